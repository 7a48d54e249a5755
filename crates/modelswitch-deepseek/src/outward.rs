//! An answer of the chat, put as the app that asked wants it: calls of functions under their old name, the arguments of a strict
//! tool as the answer that they are, what doesn't follow its schema as an error. What the model thought is remembered on the way.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use modelswitch_provider::{
    Adaptation, Body, ChatChunk, ChatCompletion, Choice, Collector, Error, Event, EventStream, FinishReason,
    Head, Message, Response, Result,
};
use serde_json::{Value, json};

use crate::inward::{Legacy, Plan};
use crate::memory::{ReasoningMemory, Trace};
use crate::schema::Checker;

/// # Errors
/// [`Decode`](modelswitch_provider::ErrorKind::Decode) for an answer that isn't what was asked for, where that was to be checked.
pub(crate) fn finish(response: Response, plan: Plan) -> Result<Response> {
    if plan.leaves_the_answer_alone() {
        return Ok(response);
    }
    let Response { mut head, body } = response;
    let work = Work {
        memory: plan.memory,
        legacy: plan.legacy,
        answer_tool: plan.answer_tool,
        checker: plan.checker,
        refuses_empty: plan.refuses_empty,
    };
    let body = match body {
        Body::Json(json) => match serde_json::from_slice::<ChatCompletion>(&json) {
            Ok(reply) => {
                let read = work.whole(reply, &mut head);
                let put = read.map_err(|error| {
                    head.blame(error.with_status(head.status).with_upstream_body(json.clone()))
                })?;
                match put {
                    Some(reply) => Body::Json(to_json(&reply)?.into()),
                    None => Body::Json(json),
                }
            }
            // Whatever it is, it was an answer below.
            Err(_) => Body::Json(json),
        },
        Body::Events(events) => Body::Events(work.stream(events, head.clone())),
        other => other,
    };
    Ok(Response { head, body })
}

/// What has to be done with an answer.
#[derive(Clone)]
struct Work {
    memory: Option<(ReasoningMemory, Trace)>,
    legacy: Option<Legacy>,
    answer_tool: bool,
    checker: Option<Arc<Checker>>,
    refuses_empty: bool,
}

/// For a whole answer.
impl Work {
    /// The answer when it had to be changed.
    fn whole(&self, mut reply: ChatCompletion, head: &mut Head) -> Result<Option<ChatCompletion>> {
        self.remember(&reply);
        for choice in &mut reply.choices {
            if self.refuses_empty && says_nothing(choice) {
                return Err(empty());
            }
            if self.answer_tool {
                answer_from_call(choice);
            }
            self.check(choice)?;
            if self.legacy.is_some() {
                let left_out = call_to_function(choice);
                if left_out > 0 {
                    head.adaptations.push(Adaptation::new("functions", left_out_note(left_out)));
                }
            }
        }
        Ok((self.answer_tool || self.legacy.is_some()).then_some(reply))
    }

    fn remember(&self, reply: &ChatCompletion) {
        let Some((memory, trace)) = &self.memory else { return };
        for choice in &reply.choices {
            match (&self.legacy, choice.message.tool_calls.first()) {
                (Some(legacy), Some(_)) => {
                    let mut message: Message = choice.message.clone();
                    if let Some(call) = message.tool_calls.first_mut() {
                        call.id.clone_from(&legacy.next_id);
                    }
                    memory.remember_after(*trace, &message);
                }
                _ => memory.remember_after(*trace, &choice.message),
            }
        }
    }

    /// Only an answer that has ended by itself can be held against a schema: of a cut one the finish reason says enough.
    fn check(&self, choice: &Choice) -> Result<()> {
        let Some(checker) = &self.checker else { return Ok(()) };
        let refused = choice.message.extra.get("refusal").is_some_and(|refusal| !refusal.is_null());
        if choice.finish_reason != Some(FinishReason::Stop)
            || !choice.message.tool_calls.is_empty()
            || refused
        {
            return Ok(());
        }
        checker.check(&choice.message.text())
    }
}

/// For a stream.
impl Work {
    fn stream(self, events: EventStream, head: Head) -> EventStream {
        let wants_whole = self.memory.is_some() || self.checker.is_some();
        let state = Flow {
            events,
            head,
            collector: wants_whole.then(Collector::new),
            said: false,
            answer: AnswerTool::default(),
            work: self,
        };
        EventStream::new(stream::unfold(Some(state), |state| async move {
            let mut state = state?;
            match state.events.next().await {
                Some(Ok(event)) => match state.take(event) {
                    Ok(event) => Some((Ok(event), Some(state))),
                    Err(error) => Some((Err(state.head.blame(error)), None)),
                },
                Some(Err(error)) => Some((Err(error), None)),
                None => state.end().err().map(|error| (Err(state.head.blame(error)), None)),
            }
        }))
    }
}

struct Flow {
    events: EventStream,
    head: Head,
    /// The answer so far: half a thought is none, and half an answer follows no schema.
    collector: Option<Collector>,
    said: bool,
    answer: AnswerTool,
    work: Work,
}

/// The pieces of a strict tool's arguments as those of the answer.
#[derive(Default)]
struct AnswerTool {
    /// What was said besides. It is the answer only where the tool isn't called after all.
    besides: String,
    is_called: bool,
}

impl Flow {
    fn take(&mut self, event: Event) -> Result<Event> {
        let Ok(mut chunk) = event.json::<ChatChunk>() else { return Ok(event) };
        self.refuse_empty(&chunk)?;
        let is_last = chunk.choices.iter().any(|choice| choice.finish_reason.is_some());
        let mut changed = self.work.answer_tool && self.answer.take(&mut chunk);
        if self.work.legacy.is_some() {
            self.collect(chunk.clone(), is_last);
            changed |= chunk_function(&mut chunk);
        } else if !changed {
            self.collect(chunk, is_last);
            return Ok(event);
        } else {
            self.collect(chunk.clone(), is_last);
        }
        if changed { Ok(Event { data: to_json(&chunk)?.into(), ..event }) } else { Ok(event) }
    }

    /// What was thought is remembered with the finish reason: many readers stop there.
    fn collect(&mut self, chunk: ChatChunk, is_last: bool) {
        let Some(collector) = &mut self.collector else { return };
        collector.push(chunk);
        if is_last && self.work.memory.is_some() {
            self.work.remember(&collector.clone().finish());
        }
    }

    /// Before the last chunk is handed on: until then a retry may repeat the call, if nothing was thought either.
    fn refuse_empty(&mut self, chunk: &ChatChunk) -> Result<()> {
        if !self.work.refuses_empty {
            return Ok(());
        }
        self.said |= chunk.choices.iter().any(|choice| {
            let delta = &choice.delta;
            let refused = delta.extra.get("refusal").is_some_and(|refusal| !refusal.is_null());
            delta.content.as_deref().is_some_and(|text| !text.trim().is_empty())
                || !delta.tool_calls.is_empty()
                || refused
        });
        let ends = chunk.choices.iter().any(|choice| choice.finish_reason == Some(FinishReason::Stop));
        if ends && !self.said { Err(empty()) } else { Ok(()) }
    }

    fn end(&mut self) -> Result<()> {
        let Some(collector) = self.collector.take() else { return Ok(()) };
        collector.finish().choices.iter().try_for_each(|choice| self.work.check(choice))
    }
}

fn empty() -> Error {
    Error::decode("DeepSeek ended its answer without having said anything")
        .with_code("empty_answer")
        .with_hint("ask again; under load and in JSON mode it answers so now and then")
}

fn says_nothing(choice: &Choice) -> bool {
    let message = &choice.message;
    let refused = message.extra.get("refusal").is_some_and(|refusal| !refusal.is_null());
    choice.finish_reason == Some(FinishReason::Stop)
        && message.text().trim().is_empty()
        && message.tool_calls.is_empty()
        && !refused
}

/// The arguments of the strict tool are the answer.
fn answer_from_call(choice: &mut Choice) {
    let calls = std::mem::take(&mut choice.message.tool_calls);
    if let Some(call) = calls.into_iter().next() {
        choice.message.content = Some(call.function.arguments.into());
    }
    if choice.finish_reason == Some(FinishReason::ToolCalls) {
        choice.finish_reason = Some(FinishReason::Stop);
    }
}

/// Gives back how many calls there were besides the one that has room.
fn call_to_function(choice: &mut Choice) -> usize {
    let calls = std::mem::take(&mut choice.message.tool_calls);
    let left_out = calls.len().saturating_sub(1);
    if let Some(call) = calls.into_iter().next() {
        let function = json!({ "name": call.function.name, "arguments": call.function.arguments });
        choice.message.extra.insert("function_call".to_owned(), function);
    }
    if choice.finish_reason == Some(FinishReason::ToolCalls) {
        choice.finish_reason = Some(function_call());
    }
    left_out
}

fn left_out_note(count: usize) -> String {
    format!(
        "the model called {} functions at once; `function_call` holds one, and the others are left out",
        count + 1
    )
}

fn function_call() -> FinishReason {
    FinishReason::Other("function_call".to_owned())
}

impl AnswerTool {
    /// Says whether something was changed.
    fn take(&mut self, chunk: &mut ChatChunk) -> bool {
        let mut changed = false;
        for choice in &mut chunk.choices {
            if let Some(text) = choice.delta.content.as_mut().filter(|text| !text.is_empty()) {
                self.besides.push_str(&std::mem::take(text));
                changed = true;
            }
            for call in std::mem::take(&mut choice.delta.tool_calls) {
                (changed, self.is_called) = (true, true);
                let more = call.function.and_then(|function| function.arguments).unwrap_or_default();
                if call.index.unwrap_or_default() == 0 {
                    choice.delta.content.get_or_insert_default().push_str(&more);
                }
            }
            if choice.finish_reason == Some(FinishReason::ToolCalls) {
                choice.finish_reason = Some(FinishReason::Stop);
                changed = true;
            }
            if choice.finish_reason.is_some() && !self.is_called {
                choice.delta.content = Some(std::mem::take(&mut self.besides));
                changed = true;
            }
        }
        changed
    }
}

/// Says whether something was changed.
fn chunk_function(chunk: &mut ChatChunk) -> bool {
    let mut changed = false;
    for choice in &mut chunk.choices {
        for call in std::mem::take(&mut choice.delta.tool_calls) {
            changed = true;
            if call.index.unwrap_or_default() > 0 {
                // The head has gone already; this is all that is left to tell.
                tracing::trace!("{}", left_out_note(1));
                continue;
            }
            let function = call.function.unwrap_or_default();
            let mut piece = serde_json::Map::new();
            if let Some(name) = function.name {
                piece.insert("name".to_owned(), name.into());
            }
            piece.insert("arguments".to_owned(), function.arguments.unwrap_or_default().into());
            choice.delta.extra.insert("function_call".to_owned(), Value::Object(piece));
        }
        if choice.finish_reason == Some(FinishReason::ToolCalls) {
            choice.finish_reason = Some(function_call());
            changed = true;
        }
    }
    changed
}

fn to_json(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|_| Error::decode("the answer can't be written again"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    fn chunk(delta: Value, finish: Value) -> Event {
        Event::new(json!({"id":"1","choices":[{"index":0,"delta":delta,"finish_reason":finish}]}).to_string())
    }

    async fn texts(work: Work, events: Vec<Event>) -> String {
        let events = EventStream::new(stream::iter(events.into_iter().map(Ok)));
        let chunks: Vec<ChatChunk> =
            work.stream(events, Head::default()).map(|event| event.unwrap().json().unwrap()).collect().await;
        chunks.iter().map(ChatChunk::text).collect()
    }

    fn work() -> Work {
        Work { memory: None, legacy: None, answer_tool: true, checker: None, refuses_empty: false }
    }

    #[tokio::test]
    async fn what_is_said_beside_the_strict_tool_is_no_part_of_the_answer_whole_or_streamed() {
        let call = |arguments: &str| json!({"tool_calls":[{"index":0,"function":{"name":"answer","arguments":arguments}}]});
        let events = vec![
            chunk(json!({"role":"assistant","content":"Sure: "}), Value::Null),
            chunk(call("{\"a\""), Value::Null),
            chunk(call(":1}"), Value::Null),
            chunk(json!({}), json!("tool_calls")),
        ];
        assert_eq!(texts(work(), events).await, "{\"a\":1}");
        let plain = vec![
            chunk(json!({"content":"It is"}), Value::Null),
            chunk(json!({"content":" so."}), json!("stop")),
        ];
        assert_eq!(texts(work(), plain).await, "It is so.");
    }

    #[tokio::test]
    async fn a_thought_is_remembered_though_the_reader_stops_at_the_finish_reason() {
        let memory = ReasoningMemory::default();
        let work = Work { memory: Some((memory.clone(), memory.begin())), answer_tool: false, ..work() };
        let events = vec![
            chunk(json!({"reasoning_content":"because"}), Value::Null),
            chunk(json!({"content":"Yes."}), json!("stop")),
            chunk(json!({}), Value::Null),
        ];
        let mut stream =
            work.stream(EventStream::new(stream::iter(events.into_iter().map(Ok))), Head::default());
        stream.next().await.unwrap().unwrap();
        stream.next().await.unwrap().unwrap();
        drop(stream);
        assert_eq!(memory.recall::<Message>(&[], &Message::assistant("Yes.")).as_deref(), Some("because"));
    }
}
