//! What faults are made of: answers, chunks and errors taken apart and put together wrongly.

use futures_util::{Stream, StreamExt};
use modelswitch_provider::{Body, Error, ErrorKind, Event, EventStream, Response, Result};
use serde_json::Value;

/// Changes a whole answer.
pub(crate) fn whole(mut response: Response, change: impl Fn(&mut Value)) -> Response {
    if let Body::Json(bytes) = &response.body {
        let mut value: Value = serde_json::from_slice(bytes).unwrap();
        change(&mut value);
        response.body = Body::Json(value.to_string().into());
    }
    response
}

/// Changes every chunk.
pub(crate) fn chunks(response: Response, change: impl Fn(&mut Value) + Send + 'static) -> Response {
    events(response, move |events| {
        events.map(move |event| {
            event.map(|event| {
                let mut value: Value = serde_json::from_slice(&event.data).unwrap();
                change(&mut value);
                Event::new(value.to_string())
            })
        })
    })
}

/// Changes the stream.
pub(crate) fn events<S>(response: Response, change: impl FnOnce(EventStream) -> S) -> Response
where
    S: Stream<Item = Result<Event>> + Send + 'static,
{
    let Response { head, body } = response;
    match body {
        Body::Events(events) => Response { head, body: Body::Events(EventStream::new(change(events))) },
        body => Response { head, body },
    }
}

/// Changes the message or delta of every choice, and the choice itself.
pub(crate) fn choices(value: &mut Value, change: impl Fn(&mut Value)) {
    value.get_mut("choices").and_then(Value::as_array_mut).into_iter().flatten().for_each(change);
}

pub(crate) fn messages(value: &mut Value, change: impl Fn(&mut serde_json::Map<String, Value>)) {
    choices(value, |choice| {
        for name in ["message", "delta"] {
            if let Some(message) = choice.get_mut(name).and_then(Value::as_object_mut) {
                change(message);
            }
        }
    });
}

pub(crate) fn calls(value: &mut Value, change: impl Fn(&mut serde_json::Map<String, Value>)) {
    messages(value, |message| {
        let calls = message.get_mut("tool_calls").and_then(Value::as_array_mut);
        calls.into_iter().flatten().filter_map(Value::as_object_mut).for_each(&change);
    });
}

/// What of an error is kept when it is put together again.
#[derive(Clone, Copy, Default)]
pub(crate) struct Without {
    pub(crate) status: bool,
    pub(crate) retry_after: bool,
    pub(crate) request_id: bool,
    pub(crate) provider: bool,
}

/// The same error without something.
pub(crate) fn again(error: &Error, kind: ErrorKind, message: impl Into<String>, without: Without) -> Error {
    let mut new = Error::new(kind, message).with_attempts(error.attempts());
    if let Some(status) = error.status().filter(|_| !without.status) {
        new = new.with_status(status);
    }
    if let Some(wait) = error.retry_after().filter(|_| !without.retry_after) {
        new = new.with_retry_after(wait);
    }
    if let Some(id) = error.request_id().filter(|_| !without.request_id) {
        new = new.with_request_id(id);
    }
    if let Some(provider) = error.provider().filter(|_| !without.provider) {
        new = new.with_provider(provider);
    }
    if let Some(model) = error.model() {
        new = new.with_model(model);
    }
    if let Some(body) = error.upstream_body() {
        new = new.with_upstream_body(body.clone());
    }
    new
}
