//! What reads foreign bytes, by itself and without a socket, for the fuzz targets. Behind a feature, hidden, and promised to
//! nobody.

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::{HeaderMap, StatusCode};
use modelswitch_provider::{
    Adaptation, ApiKey, Body, ByteStream, Endpoint, Error, ErrorKind, Event, Request, Result,
};

use super::thought::Thought;
use super::{Context, Kind, inward};
use crate::scrub::Scrub;
use crate::sse::{Item, SseDecoder};
use crate::{Policies, Profile, error};

/// The events that a decoder finds in the pieces of a stream; `None` is `[DONE]`.
///
/// # Errors
/// Where a line or an event is longer than `limit` bytes.
pub fn events(pieces: &[&[u8]], limit: usize) -> Result<Vec<Option<Event>>> {
    let mut decoder = SseDecoder::new(limit);
    let mut found = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        while let Some(item) = decoder.next_item() {
            found.push(event(item?));
        }
    }
    while let Some(item) = decoder.finish() {
        found.push(event(item));
    }
    Ok(found)
}

fn event(item: Item) -> Option<Event> {
    match item {
        Item::Event(event) => Some(event),
        Item::Done => None,
    }
}

/// What of the pieces of a text is reasoning and what is the answer.
pub fn thought(tags: (&str, &str), pieces: &[&str]) -> (String, String) {
    let mut thought = Thought::new(&(tags.0.to_owned(), tags.1.to_owned()));
    let (mut reasoning, mut text) = (String::new(), String::new());
    let told = pieces.iter().map(|piece| thought.push(piece)).collect::<Vec<_>>();
    for told in told.into_iter().chain([thought.finish()]) {
        reasoning.push_str(&told.reasoning);
        text.push_str(&told.text);
    }
    (reasoning, text)
}

/// A request, put as the profile's service takes it, and what was changed.
///
/// # Errors
/// As a call's.
pub fn inward(profile: &Profile, policies: Policies, request: Request) -> Result<(Request, Vec<Adaptation>)> {
    let kind = Kind::of(&request.endpoint);
    inward::adapt(profile, policies, kind, request).map(|adapted| (adapted.request, adapted.adaptations))
}

/// The error that a failed answer is, to a request that was sent with a key.
pub fn failure(
    profile: &Profile,
    key: ApiKey,
    request: Request,
    status: StatusCode,
    headers: &HeaderMap,
    body: Bytes,
) -> Error {
    error::from_answer(profile, &Scrub::new(Some(key), request), true, status, headers, body)
}

/// What an app reads of an answer under 200, whose body comes in pieces.
///
/// # Errors
/// As a call's.
pub fn outward(
    profile: &Profile,
    endpoint: &Endpoint,
    wants_stream: bool,
    headers: HeaderMap,
    pieces: &[&[u8]],
) -> Result<Body> {
    let plain = Context::plain(profile.clone(), Kind::of(endpoint));
    let mut context = Context { wants_stream, wants_usage: wants_stream, ..plain };
    context.head.headers = headers;
    let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let read = context.read(ByteStream::new(stream::iter(pieces)));
    read.now_or_never().unwrap_or_else(|| Err(Error::new(ErrorKind::Timeout, "it waits for nothing")))
}
