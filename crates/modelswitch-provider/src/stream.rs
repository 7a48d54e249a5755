use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::flow::Flow;
use crate::{Body, Error, Follow, Response, Result};

/// A stream of server-sent events that ends in one of two ways: properly (`None`), or with an `Err` and nothing after.
///
/// A stream that was cut is never mistaken for a finished one. The terminator (`[DONE]`) is not an item. It pulls:
/// there is no task behind it and nothing is buffered without bound; dropping it closes the upstream connection. At its end, be
/// it good or bad, it lets go of whatever it is made of by itself: a reader who keeps a stream that failed keeps nothing else.
pub struct EventStream(Box<Flow>);

impl EventStream {
    /// A stream of events. After an `Err` nothing more is taken from it.
    pub fn new(events: impl Stream<Item = Result<Event>> + Send + 'static) -> Self {
        Self(Box::new(Flow::new(events)))
    }

    /// Changes the stream, and keeps its promise.
    pub fn map_events(self, map: impl FnMut(Result<Event>) -> Result<Event> + Send + 'static) -> Self {
        Self::new(self.map(map))
    }

    /// Lets somebody go along with it, after those who do already: what they keep back the new one doesn't meet.
    pub fn follow(&mut self, follower: impl Follow) {
        self.0.follow(follower);
    }
}

impl Stream for EventStream {
    type Item = Result<Event>;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll(cx)
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventStream(…)")
    }
}

/// A stream of bytes that ends properly (`None`), or with an `Err` and nothing after; then it lets go of whatever it is made of.
pub struct ByteStream(UntilEnd<Bytes>);

impl ByteStream {
    /// A stream of bytes. After an `Err` nothing more is taken from it.
    pub fn new(bytes: impl Stream<Item = Result<Bytes>> + Send + 'static) -> Self {
        Self(UntilEnd::new(bytes))
    }
}

impl From<Bytes> for ByteStream {
    fn from(bytes: Bytes) -> Self {
        Self::new(stream::iter([Ok(bytes)]))
    }
}

impl Stream for ByteStream {
    type Item = Result<Bytes>;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next(cx)
    }
}

impl fmt::Debug for ByteStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByteStream(…)")
    }
}

/// Items up to the end or the first failure, and nothing after it.
///
/// What they come from is dropped there, and not only when the reader drops this: layers outside take the end for the end of
/// the call and give its place away, so nothing of it may go on.
pub(crate) struct UntilEnd<T>(Option<Pin<Box<dyn Stream<Item = Result<T>> + Send>>>);

impl<T> UntilEnd<T> {
    pub(crate) fn new(items: impl Stream<Item = Result<T>> + Send + 'static) -> Self {
        Self(Some(Box::pin(items)))
    }

    /// Lets go of what they come from before their end.
    pub(crate) fn close(&mut self) {
        self.0 = None;
    }

    // An item is as large as a line of the processor's cache: it stays where it is, and is not handed from one to the next.
    #[inline]
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        let Some(items) = &mut self.0 else { return Poll::Ready(None) };
        let next = items.as_mut().poll_next(cx);
        if matches!(next, Poll::Ready(Some(Err(_)) | None)) {
            self.0 = None;
        }
        next
    }
}

/// One server-sent event.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    /// The `event:` line, where the endpoint uses them (`/responses` does, chat doesn't).
    pub name: Option<Box<str>>,
    /// The `data:` lines, as UTF-8 text.
    pub data: Bytes,
}

impl Event {
    /// An event without a name.
    pub fn new(data: impl Into<Bytes>) -> Self {
        Self { name: None, data: data.into() }
    }

    /// The event with a name.
    pub fn with_name(mut self, name: impl Into<Box<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// True when the event is of the answer itself, so that an answer which had it is [`committed`]: text, reasoning, a
    /// refusal, a tool call, audio or a finish reason.
    ///
    /// ```
    /// use modelswitch_provider::Event;
    ///
    /// assert!(Event::new(r#"{"choices":[{"delta":{"content":"9.8"}}]}"#).is_content());
    /// assert!(!Event::new(r#"{"choices":[{"delta":{"role":"assistant"}}]}"#).is_content());
    /// ```
    pub fn is_content(&self) -> bool {
        is_content(self)
    }

    /// The data decoded.
    ///
    /// # Errors
    /// [`Decode`](crate::ErrorKind::Decode) when it isn't the JSON that is wanted; the data isn't in the error.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        read_json(&self.data).map_err(|error| Error::decode_json("an event of the stream", &error))
    }
}

/// The size only: an event is what somebody paid for.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Event({:?}, {} B)", self.name, self.data.len())
    }
}

/// Waits until an answer is committed: its first content is there. Until then a layer may try again or elsewhere;
/// after it, never. Every layer asks here, so all have the same idea of "too late".
///
/// Content is text, reasoning, a refusal, a tool call, audio or a finish reason; a chunk that only names the role, an
/// empty delta and the opening events of `/responses` and of Anthropic's `/messages` are not. What was read is in the returned response again. A
/// body that isn't a stream of events is committed as it is, and so is a stream that has sent 256 events or a MiB of
/// nothing: somebody has to hold them.
///
/// # Errors
/// Whatever the stream fails with before its first content.
///
/// ```
/// # use modelswitch_provider::{Body, Error, Event, EventStream, Response, committed};
/// # use futures_util::stream;
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let events = [
///     Ok(Event::new(r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#)),
///     Err(Error::interrupted("the stream was cut")),
/// ];
/// let response = Response::new(Body::Events(EventStream::new(stream::iter(events))));
/// assert!(committed(response).await.is_err());             // nothing was handed on: it may be tried again
/// # });
/// ```
pub async fn committed(response: Response) -> Result<Response> {
    let Response { head, body } = response;
    let Body::Events(mut events) = body else { return Ok(Response { head, body }) };
    // Somebody further in has waited for it, and nobody has touched it since.
    if !events.0.is_committed() {
        read_ahead(&mut events).await?;
    }
    Ok(Response { head, body: Body::Events(events) })
}

async fn read_ahead(events: &mut EventStream) -> Result<()> {
    let (mut read, mut size, mut is_committed) = (Vec::new(), 0_usize, false);
    while !is_committed && let Some(event) = events.next().await {
        let event = event?;
        size = size.saturating_add(event.data.len());
        let is_content = is_content(&event);
        read.push(event);
        // A service that sends empty chunks for ever, or huge ones, must not fill the memory.
        is_committed = is_content || read.len() >= MOST_EVENTS_HELD || size >= MOST_BYTES_HELD;
    }
    events.0.put_back(read, is_committed);
    Ok(())
}

const MOST_EVENTS_HELD: usize = 256;
const MOST_BYTES_HELD: usize = 1024 * 1024;

fn is_content(event: &Event) -> bool {
    let Ok(Value::Object(data)) = serde_json::from_slice(&event.data) else { return true };
    if let Some(Value::String(name)) = data.get("type") {
        return !matches!(
            name.as_str(),
            "response.created"
                | "response.queued"
                | "response.in_progress"
                | "ping"
                | "message_start"
                | "content_block_start"
        );
    }
    match data.get("choices") {
        Some(Value::Array(choices)) => choices.iter().any(choice_has_content),
        Some(Value::Null) | None => !data.contains_key("usage"),
        Some(_) => true,
    }
}

fn choice_has_content(choice: &Value) -> bool {
    let delta = choice.get("delta").and_then(Value::as_object);
    let text = choice.get("text").is_some_and(|text| !is_blank(text));
    let finished = choice.get("finish_reason").is_some_and(|reason| !is_blank(reason));
    let said =
        delta.is_some_and(|delta| delta.iter().any(|(name, value)| name != "role" && !is_blank(value)));
    text || finished || said
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// JSON out of bytes. As a text it is checked once as a whole, which is faster than string by string.
pub(crate) fn read_json<'a, T: Deserialize<'a>>(data: &'a [u8]) -> serde_json::Result<T> {
    match std::str::from_utf8(data) {
        Ok(text) => serde_json::from_str(text),
        // It says where the first wrong byte is.
        Err(_) => serde_json::from_slice(data),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    async fn commit(events: Vec<Result<Event>>) -> Result<Vec<Result<Event>>> {
        let response = Response::new(Body::Events(EventStream::new(stream::iter(events))));
        match committed(response).await?.body {
            Body::Events(events) => Ok(events.collect().await),
            _ => unreachable!("a stream stays a stream"),
        }
    }

    fn cut() -> Result<Event> {
        Err(Error::interrupted("cut"))
    }

    #[tokio::test]
    async fn a_failure_before_the_first_content_can_still_be_repeated() {
        for opening in [
            r#"{"choices":[{"delta":{"role":"assistant","content":"","reasoning_content":""},"finish_reason":null}]}"#,
            r#"{"choices":[{"delta":{"role":"assistant","content":null,"tool_calls":[]}}]}"#,
            r#"{"choices":[],"usage":null}"#,
            r#"{"type":"response.created","response":{}}"#,
            r#"{"type":"message_start","message":{"content":[]}}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}"#,
            r#"{"type":"ping"}"#,
        ] {
            assert!(commit(vec![Ok(Event::new(opening)), cut()]).await.is_err(), "{opening}");
        }
    }

    #[tokio::test]
    async fn content_of_any_kind_commits_and_nothing_is_lost() {
        for content in [
            r#"{"choices":[{"delta":{"content":"x"}}]}"#,
            r#"{"choices":[{"delta":{"reasoning_content":"x"}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
            r#"{"choices":[{"text":"x"}]}"#,
            r#"{"type":"response.output_text.delta"}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"x"}}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#,
            r#"{"whatever":1}"#,
            "not json",
        ] {
            let opening = Event::new(r#"{"choices":[{"delta":{"role":"assistant"}}]}"#);
            let events = commit(vec![Ok(opening), Ok(Event::new(content)), cut()]).await.unwrap();
            assert_eq!(events.len(), 3, "{content}");
            assert!(events[2].is_err());
        }
    }

    #[tokio::test]
    async fn nothing_comes_after_an_error() {
        let events = EventStream::new(stream::iter([cut(), Ok(Event::new("late"))]));
        assert_eq!(events.collect::<Vec<_>>().await.len(), 1);
    }

    #[tokio::test]
    async fn what_a_stream_is_made_of_is_let_go_at_its_end_and_not_only_with_it() {
        for ending in [None, Some(cut())] {
            let held = Arc::new(());
            let holds = held.clone();
            let items = stream::iter([Ok(Event::new("1"))].into_iter().chain(ending)).inspect(move |_| {
                let _ = &holds;
            });
            // However deep it lies.
            let mut events = EventStream::new(items).map_events(|event| event);
            while matches!(events.next().await, Some(Ok(_))) {
                assert_eq!(Arc::strong_count(&held), 2);
            }
            assert_eq!(Arc::strong_count(&held), 1);
            assert!(events.next().await.is_none());
        }
    }

    #[tokio::test]
    async fn endless_empty_chunks_are_not_held_for_ever() {
        let empty = || Ok(Event::new(r#"{"choices":[{"delta":{}}]}"#));
        let response = Response::new(Body::Events(EventStream::new(stream::repeat_with(empty))));
        assert!(committed(response).await.is_ok());
    }

    #[tokio::test]
    async fn huge_empty_chunks_are_not_held_either() {
        let huge = format!(r#"{{"choices":[{{"delta":{{}}}}],"padding":"{}"}}"#, "x".repeat(300_000));
        let taken = Arc::new(AtomicU32::new(0));
        let counter = taken.clone();
        let events = stream::repeat_with(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok(Event::new(huge.clone()))
        });
        assert!(committed(Response::new(Body::Events(EventStream::new(events)))).await.is_ok());
        assert_eq!(taken.load(Ordering::Relaxed), 4);
    }
}
