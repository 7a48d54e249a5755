//! Answers as they are kept, and as they are given again.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use modelswitch_provider::{
    Body, ChatCompletion, Collector, Completion, Event, EventStream, Head, Request, Response, Result,
    WantsUsage,
};
use serde_json::Value;
use tokio::time::Instant;

use super::events::Events;

/// How an answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Whole,
    Stream {
        /// Whether its tokens are wanted in a chunk of their own.
        usage: bool,
    },
}

impl Form {
    pub(super) fn of(request: &Request) -> Self {
        if !request.is_stream() {
            return Self::Whole;
        }
        Self::Stream { usage: request.includes_usage() || request.extensions.get::<WantsUsage>().is_some() }
    }
}

/// An answer that ended well.
pub(super) struct Stored {
    since: Instant,
    head: Head,
    content: Content,
}

enum Content {
    Whole(Bytes),
    Events(Events),
}

impl Stored {
    pub(super) fn whole(head: &Head, json: Bytes) -> Self {
        Self::new(head, Content::Whole(json))
    }

    /// `None` for a stream without content: whatever it was, nobody wants it again.
    pub(super) fn stream(head: &Head, events: Events) -> Option<Self> {
        let has_content = events.iter().any(Event::is_content);
        has_content.then(|| Self::new(head, Content::Events(events)))
    }

    /// Of the head only what is as true the next time. Limits and dates among the headers are not.
    fn new(head: &Head, content: Content) -> Self {
        let mut kept = Head::default();
        kept.provider.clone_from(&head.provider);
        kept.model.clone_from(&head.model);
        kept.request_id.clone_from(&head.request_id);
        kept.adaptations.clone_from(&head.adaptations);
        Self { since: Instant::now(), head: kept, content }
    }

    pub(super) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// In bytes, with what there is around each event.
    pub(super) fn size(&self) -> usize {
        const AROUND: usize = 64;
        match &self.content {
            Content::Whole(json) => json.len() + AROUND,
            Content::Events(events) => events.iter().map(|event| event.data.len() + AROUND).sum(),
        }
    }

    /// The answer in the form that is wanted; `None` when it can't be put into it.
    pub(super) fn replay(&self, form: Form) -> Option<Response> {
        let body = match (&self.content, form) {
            (Content::Whole(json), Form::Whole) => Body::Json(json.clone()),
            (Content::Whole(json), Form::Stream { usage }) => as_stream(told_at_once(json, usage).ok()?),
            (Content::Events(events), Form::Whole) => Body::Json(collected(events).ok()?),
            (Content::Events(events), Form::Stream { usage }) => {
                as_stream(events.iter().filter(|event| usage || !event.is_usage_alone()).cloned().collect())
            }
        };
        Some(Response { head: self.head.clone(), body })
    }
}

fn as_stream(events: Vec<Event>) -> Body {
    Body::Events(EventStream::new(stream::iter(events.into_iter().map(Ok))))
}

/// A whole answer as one chunk, and one for its tokens where they are wanted.
fn told_at_once(json: &[u8], usage: bool) -> Result<Vec<Event>> {
    let whole: Value = Event::new(json.to_vec()).json()?;
    let mut chunk =
        if is_text(&whole) { whole } else { ChatCompletion::from_wire(&whole)?.into_chunk().to_wire()? };
    let told =
        chunk.as_object_mut().and_then(|members| members.remove("usage")).filter(|usage| !usage.is_null());
    let mut events = vec![Event::new(chunk.to_string())];
    if let (Some(told), Some(members), true) = (told, chunk.as_object_mut(), usage) {
        members.insert("choices".to_owned(), Value::Array(Vec::new()));
        members.insert("usage".to_owned(), told);
        events.push(Event::new(chunk.to_string()));
    }
    Ok(events)
}

fn collected(events: &Events) -> Result<Bytes> {
    let (mut chat, mut text) = (Collector::new(), Completion::default());
    let mut of_texts = false;
    for event in events.iter() {
        let chunk: Value = event.json()?;
        of_texts |= is_text(&chunk);
        if of_texts {
            text.push(Completion::from_wire(&chunk)?);
        } else {
            chat.push(event.json()?);
        }
    }
    let whole: Value = if of_texts { text.to_wire()? } else { chat.finish().to_wire()? };
    Ok(whole.to_string().into())
}

/// True for answers of the older completions endpoint, whose chunks have the same form as the whole.
fn is_text(answer: &Value) -> bool {
    let first = answer.get("choices").and_then(|choices| choices.get(0));
    first.is_some_and(|choice| choice.get("text").is_some())
}
