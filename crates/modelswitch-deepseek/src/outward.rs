//! An answer of the chat, put as the app that asked wants it: calls of functions under their old name. What the model thought is
//! remembered on the way. What an answer must be like besides is seen to before.

use futures_util::StreamExt;
use modelswitch_openai::adapter::{LegacyFunctions, to_json};
use modelswitch_provider::{
    Body, ChatChunk, ChatCompletion, Collector, Event, EventStream, Head, Message, Response, Result,
};

use crate::inward::Plan;
use crate::memory::{ReasoningMemory, Trace};

/// # Errors
/// [`Decode`](modelswitch_provider::ErrorKind::Decode) for an answer that isn't what was asked for, where that was to be checked.
pub(crate) fn finish(response: Response, plan: Plan) -> Result<Response> {
    let response = plan.answer.apply(response)?;
    if plan.memory.is_none() && plan.legacy.is_none() {
        return Ok(response);
    }
    let Response { mut head, body } = response;
    let work = Work { memory: plan.memory, legacy: plan.legacy };
    let body = match body {
        Body::Json(json) => match serde_json::from_slice::<ChatCompletion>(&json) {
            Ok(reply) => match work.whole(reply, &mut head) {
                Some(reply) => Body::Json(to_json(&reply)?),
                None => Body::Json(json),
            },
            // Whatever it is, it was an answer below.
            Err(_) => Body::Json(json),
        },
        Body::Events(events) => Body::Events(work.stream(events)),
        other => other,
    };
    Ok(Response { head, body })
}

/// What has to be done with an answer.
#[derive(Clone)]
struct Work {
    memory: Option<(ReasoningMemory, Trace)>,
    legacy: Option<LegacyFunctions>,
}

/// For a whole answer.
impl Work {
    /// The answer when it had to be changed.
    fn whole(&self, mut reply: ChatCompletion, head: &mut Head) -> Option<ChatCompletion> {
        self.remember(&reply);
        let legacy = self.legacy.as_ref()?;
        legacy.put_back(&mut reply, head).then_some(reply)
    }

    fn remember(&self, reply: &ChatCompletion) {
        let Some((memory, trace)) = &self.memory else { return };
        for choice in &reply.choices {
            match (&self.legacy, choice.message.tool_calls.first()) {
                (Some(legacy), Some(_)) => {
                    let mut message: Message = choice.message.clone();
                    if let Some(call) = message.tool_calls.first_mut() {
                        call.id = legacy.next_id().to_owned();
                    }
                    memory.remember_after(*trace, &message);
                }
                _ => memory.remember_after(*trace, &choice.message),
            }
        }
    }
}

/// For a stream.
impl Work {
    fn stream(self, events: EventStream) -> EventStream {
        let collector = self.memory.is_some().then(Collector::new);
        let mut flow = Flow { collector, room: LONGEST_REMEMBERED, ends: MOST_ENDS, work: self };
        EventStream::new(events.map(move |event| flow.take(event?)))
    }
}

struct Flow {
    /// The answer so far: half a thought is none.
    collector: Option<Collector>,
    /// How many bytes of it may still come.
    room: usize,
    /// How many of its choices may still end.
    ends: usize,
    work: Work,
}

/// What is longer was thought by nobody; a stream without end must not fill the memory.
const LONGEST_REMEMBERED: usize = 16 << 20;
/// More than there are choices in any answer; each end looks at all that came.
const MOST_ENDS: usize = 128;

impl Flow {
    fn take(&mut self, event: Event) -> Result<Event> {
        let Ok(mut chunk) = event.json::<ChatChunk>() else { return Ok(event) };
        self.count(event.data.len());
        let is_last = chunk.choices.iter().any(|choice| choice.finish_reason.is_some());
        let Some(legacy) = self.work.legacy.clone() else {
            self.collect(chunk, is_last);
            return Ok(event);
        };
        self.collect(chunk.clone(), is_last);
        if legacy.put_back_piece(&mut chunk) {
            Ok(Event { data: to_json(&chunk)?, ..event })
        } else {
            Ok(event)
        }
    }

    /// Gives up remembering what has no end.
    fn count(&mut self, bytes: usize) {
        self.room = self.room.saturating_sub(bytes);
        if self.room == 0 || self.ends == 0 {
            self.collector = None;
        }
    }

    /// What was thought is remembered with the finish reason: many readers stop there.
    fn collect(&mut self, chunk: ChatChunk, is_last: bool) {
        let Some(collector) = &mut self.collector else { return };
        collector.push(chunk);
        if is_last {
            self.ends -= 1;
            self.work.remember(&collector.clone().finish());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use serde_json::{Value, json};

    fn chunk(delta: Value, finish: Value) -> Event {
        Event::new(json!({"id":"1","choices":[{"index":0,"delta":delta,"finish_reason":finish}]}).to_string())
    }

    #[tokio::test]
    async fn a_thought_is_remembered_though_the_reader_stops_at_the_finish_reason() {
        let memory = ReasoningMemory::default();
        let work = Work { memory: Some((memory.clone(), memory.begin())), legacy: None };
        let events = vec![
            chunk(json!({"reasoning_content":"because"}), Value::Null),
            chunk(json!({"content":"Yes."}), json!("stop")),
            chunk(json!({}), Value::Null),
        ];
        let mut stream = work.stream(EventStream::new(stream::iter(events.into_iter().map(Ok))));
        stream.next().await.unwrap().unwrap();
        stream.next().await.unwrap().unwrap();
        drop(stream);
        assert_eq!(memory.recall::<Message>(&[], &Message::assistant("Yes.")).as_deref(), Some("because"));
    }

    #[tokio::test]
    async fn an_answer_without_end_is_not_kept_without_end() {
        let memory = ReasoningMemory::default();
        let work = Work { memory: Some((memory.clone(), memory.begin())), legacy: None };
        let mut flow =
            Flow { collector: Some(Collector::new()), room: LONGEST_REMEMBERED, ends: MOST_ENDS, work };
        let piece = chunk(json!({"content":"x".repeat(1 << 20)}), Value::Null);
        for _ in 0..20 {
            assert!(flow.take(piece.clone()).is_ok());
        }
        assert!(flow.collector.is_none());
        let mut flow = Flow { collector: Some(Collector::new()), room: LONGEST_REMEMBERED, ..flow };
        for _ in 0..1000 {
            assert!(flow.take(chunk(json!({"content":"x"}), json!("stop"))).is_ok());
        }
        assert!(flow.collector.is_none());
    }
}
