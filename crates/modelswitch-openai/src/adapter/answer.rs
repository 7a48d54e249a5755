//! What has to be done with an answer whose form the service wasn't asked to keep to, or that must not be empty.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use modelswitch_provider::{
    Body, ChatChunk, ChatCompletion, Choice, ChunkChoice, Collector, Delta, Error, Event, EventStream,
    FinishReason, Head, Response, Result,
};

use crate::schema::Checker;

/// What an answer of the chat must be like: the arguments of a tool as the answer that they are, what doesn't follow its schema
/// as an error, and an empty one too.
///
/// ```
/// use modelswitch_openai::adapter::AnswerCheck;
/// use modelswitch_provider::{Body, ErrorKind, Head, Response};
///
/// let body = r#"{"id":"1","choices":[{"index":0,"message":{"content":""},"finish_reason":"stop"}]}"#;
/// let response = Response { head: Head::default(), body: Body::Json(body.into()) };
/// let error = AnswerCheck::default().refusing_empty().apply(response).err().ok_or("it is empty")?;
/// assert_eq!(error.kind(), ErrorKind::Decode);
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct AnswerCheck {
    answer_tool: bool,
    checker: Option<Arc<Checker>>,
    refuses_empty: bool,
}

impl AnswerCheck {
    /// The answer comes as the arguments of a tool that the app knows nothing of.
    #[must_use]
    pub fn with_tool(mut self) -> Self {
        self.answer_tool = true;
        self
    }

    /// The answer must follow a schema.
    #[must_use]
    pub fn with_checker(mut self, checker: Arc<Checker>) -> Self {
        self.checker = Some(checker);
        self
    }

    /// An answer without anything in it is a failure.
    #[must_use]
    pub fn refusing_empty(mut self) -> Self {
        self.refuses_empty = true;
        self
    }

    /// True when the answer is held against a schema.
    pub fn has_checker(&self) -> bool {
        self.checker.is_some()
    }

    /// True when the answer is taken from a tool's arguments.
    pub fn has_tool(&self) -> bool {
        self.answer_tool
    }

    /// True when answers pass as they come.
    pub fn is_idle(&self) -> bool {
        !self.answer_tool && self.checker.is_none() && !self.refuses_empty
    }

    /// The answer as the app that asked wants it. A stream is looked at while it flows; what is wrong with its form is told at its
    /// end.
    ///
    /// # Errors
    /// [`Decode`](modelswitch_provider::ErrorKind::Decode) for an answer that isn't what was asked for.
    pub fn apply(self, response: Response) -> Result<Response> {
        if self.is_idle() {
            return Ok(response);
        }
        let Response { head, body } = response;
        let body = match body {
            Body::Json(json) => match serde_json::from_slice::<ChatCompletion>(&json) {
                Ok(reply) => {
                    let put = self.whole(reply).map_err(|error| {
                        head.blame(error.with_status(head.status).with_upstream_body(json.clone()))
                    })?;
                    match put {
                        Some(reply) => Body::Json(to_json(&reply)?),
                        None => Body::Json(json),
                    }
                }
                // Whatever it is, it was an answer below.
                Err(_) => Body::Json(json),
            },
            Body::Events(events) => Body::Events(self.stream(events, head.clone())),
            other => other,
        };
        Ok(Response { head, body })
    }

    /// The answer when it had to be changed.
    fn whole(&self, mut reply: ChatCompletion) -> Result<Option<ChatCompletion>> {
        for choice in &mut reply.choices {
            if self.refuses_empty && says_nothing(choice) {
                return Err(empty());
            }
            if self.answer_tool {
                answer_from_call(choice);
            }
            self.check(choice)?;
        }
        Ok(self.answer_tool.then_some(reply))
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

    fn stream(self, events: EventStream, head: Head) -> EventStream {
        let state = Flow {
            events,
            head,
            collector: self.checker.is_some().then(Collector::new),
            choices: BTreeMap::new(),
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
    /// The answer so far: half an answer follows no schema.
    collector: Option<Collector>,
    choices: BTreeMap<u32, Flowing>,
    work: AnswerCheck,
}

/// One choice of the stream.
#[derive(Default)]
struct Flowing {
    said: bool,
    answer: AnswerTool,
}

/// A stream that invents new choices for ever must not fill the memory: those beyond pass as they come.
const MOST_CHOICES: usize = 128;

/// The pieces of a tool's arguments as those of the answer.
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
        if !(self.work.answer_tool && self.take_answers(&mut chunk)) {
            self.collect(chunk);
            return Ok(event);
        }
        let data = to_json(&chunk)?;
        self.collect(chunk);
        Ok(Event { data, ..event })
    }

    fn collect(&mut self, chunk: ChatChunk) {
        if let Some(collector) = &mut self.collector {
            collector.push(chunk);
        }
    }

    /// Before the last chunk is handed on: until then a retry may repeat the call, if nothing was thought either.
    fn refuse_empty(&mut self, chunk: &ChatChunk) -> Result<()> {
        if !self.work.refuses_empty {
            return Ok(());
        }
        for choice in &chunk.choices {
            let Some(flowing) = self.choice(choice.index) else { continue };
            flowing.said |= says_something(&choice.delta);
            if choice.finish_reason == Some(FinishReason::Stop) && !flowing.said {
                return Err(empty());
            }
        }
        Ok(())
    }

    /// Says whether something was changed.
    fn take_answers(&mut self, chunk: &mut ChatChunk) -> bool {
        let mut changed = false;
        for choice in &mut chunk.choices {
            if let Some(flowing) = self.choice(choice.index) {
                changed |= flowing.answer.take(choice);
            }
        }
        changed
    }

    fn choice(&mut self, index: u32) -> Option<&mut Flowing> {
        if self.choices.len() >= MOST_CHOICES && !self.choices.contains_key(&index) {
            return None;
        }
        Some(self.choices.entry(index).or_default())
    }

    fn end(&mut self) -> Result<()> {
        let Some(collector) = self.collector.take() else { return Ok(()) };
        collector.finish().choices.iter().try_for_each(|choice| self.work.check(choice))
    }
}

fn empty() -> Error {
    Error::decode("the service ended its answer without having said anything")
        .with_code("empty_answer")
        .with_hint("ask again; under load and in JSON mode models answer so now and then")
}

fn says_something(delta: &Delta) -> bool {
    let refused = delta.extra.get("refusal").is_some_and(|refusal| !refusal.is_null());
    delta.content.as_deref().is_some_and(|text| !text.trim().is_empty())
        || !delta.tool_calls.is_empty()
        || refused
}

fn says_nothing(choice: &Choice) -> bool {
    let message = &choice.message;
    let refused = message.extra.get("refusal").is_some_and(|refusal| !refusal.is_null());
    choice.finish_reason == Some(FinishReason::Stop)
        && message.text().trim().is_empty()
        && message.tool_calls.is_empty()
        && !refused
}

/// The arguments of the tool are the answer.
fn answer_from_call(choice: &mut Choice) {
    let calls = std::mem::take(&mut choice.message.tool_calls);
    if let Some(call) = calls.into_iter().next() {
        choice.message.content = Some(call.function.arguments.into());
    }
    if choice.finish_reason == Some(FinishReason::ToolCalls) {
        choice.finish_reason = Some(FinishReason::Stop);
    }
}

impl AnswerTool {
    /// Says whether something was changed.
    fn take(&mut self, choice: &mut ChunkChoice) -> bool {
        let mut changed = false;
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
        changed
    }
}

/// Writes an answer again that was changed.
///
/// ```
/// use modelswitch_openai::adapter::to_json;
///
/// assert_eq!(to_json(&serde_json::json!({ "id": "1" }))?, r#"{"id":"1"}"#);
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
///
/// # Errors
/// [`Decode`](modelswitch_provider::ErrorKind::Decode) when it can't be, as for a map whose keys are no texts.
pub fn to_json(value: &impl serde::Serialize) -> Result<Bytes> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|_| Error::decode("the answer can't be written again"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn chunk(delta: Value, finish: Value) -> Event {
        Event::new(json!({"id":"1","choices":[{"index":0,"delta":delta,"finish_reason":finish}]}).to_string())
    }

    async fn texts(events: Vec<Event>) -> String {
        let events = EventStream::new(stream::iter(events.into_iter().map(Ok)));
        let work = AnswerCheck::default().with_tool();
        let chunks: Vec<ChatChunk> =
            work.stream(events, Head::default()).map(|event| event.unwrap().json().unwrap()).collect().await;
        chunks.iter().map(ChatChunk::text).collect()
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
        assert_eq!(texts(events).await, "{\"a\":1}");
        let plain = vec![
            chunk(json!({"content":"It is"}), Value::Null),
            chunk(json!({"content":" so."}), json!("stop")),
        ];
        assert_eq!(texts(plain).await, "It is so.");
    }

    #[tokio::test]
    async fn each_of_several_answers_is_told_by_itself() {
        let of = |index: u32, delta: Value, finish: Value| {
            Event::new(
                json!({"id":"1","choices":[{"index":index,"delta":delta,"finish_reason":finish}]})
                    .to_string(),
            )
        };
        let call =
            |text: &str| json!({"tool_calls":[{"index":0,"function":{"name":"answer","arguments":text}}]});
        let events = || {
            [
                of(0, json!({"content":"Sure: "}), Value::Null),
                of(1, json!({"content":"It is"}), Value::Null),
                of(0, call("{}"), Value::Null),
                of(0, json!({}), json!("tool_calls")),
                of(1, json!({"content":" so."}), json!("stop")),
            ]
        };
        let work = AnswerCheck::default().with_tool();
        let stream = EventStream::new(stream::iter(events().into_iter().map(Ok)));
        let mut all = [String::new(), String::new()];
        let chunks = work.stream(stream, Head::default());
        for choice in chunks
            .map(|event| event.unwrap().json::<ChatChunk>().unwrap())
            .collect::<Vec<_>>()
            .await
            .into_iter()
            .flat_map(|chunk| chunk.choices)
        {
            all[choice.index as usize] += choice.delta.content.as_deref().unwrap_or_default();
        }
        assert_eq!(all, ["{}", "It is so."]);

        // One that says nothing is empty, whatever the others say.
        let empty = [of(0, json!({"content":"x"}), json!("stop")), of(1, json!({}), json!("stop"))];
        let stream = EventStream::new(stream::iter(empty.into_iter().map(Ok)));
        let read: Vec<_> =
            AnswerCheck::default().refusing_empty().stream(stream, Head::default()).collect().await;
        assert!(read[0].is_ok() && read[1].is_err());
    }
}
