//! The bytes of an answer as a stream of events that ends properly or with an error.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context as Task, Poll, ready};

use futures_util::{FutureExt, Stream, StreamExt};
use modelswitch_provider::{ByteStream, Error, ErrorKind, Event, EventStream, Result};
use serde::Deserialize;
use serde_json::Value;

use super::chunk;
use super::seen::Seen;
use super::{Context, Kind, mend, outward, responses};
use crate::adapter::to_json;
use crate::error;
use crate::sse::{Item, SseDecoder};

/// More than a chunk with an image in it needs.
const LONGEST_EVENT: usize = 32 << 20;
/// Whoever sends more pieces after the end of an answer doesn't end.
const MOST_AFTER_THE_END: usize = 16;

pub(super) fn read(context: Context, body: ByteStream) -> EventStream {
    EventStream::new(Events {
        context,
        body,
        decoder: SseDecoder::new(LONGEST_EVENT),
        seen: Seen::default(),
        is_over: false,
        count: 0,
        late: VecDeque::new(),
        ready: VecDeque::new(),
    })
}

struct Events {
    context: Context,
    body: ByteStream,
    decoder: SseDecoder,
    seen: Seen,
    /// Nothing more is to be read.
    is_over: bool,
    /// How many events have come.
    count: u64,
    /// Events found when the bytes had ended.
    late: VecDeque<Item>,
    /// What is shaped and waits to be handed on.
    ready: VecDeque<Result<Event>>,
}

impl Stream for Events {
    type Item = Result<Event>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let fail = |this: &Self, error| Poll::Ready(Some(Err(this.context.head.blame(error))));
        loop {
            if let Some(next) = this.ready.pop_front() {
                this.count += 1;
                return Poll::Ready(Some(next.map_err(|error| this.context.head.blame(error))));
            }
            if this.is_over && this.late.is_empty() {
                return Poll::Ready(None);
            }
            let next = this.late.pop_front().map(Ok).or_else(|| this.decoder.next_item());
            match next {
                Some(Ok(Item::Event(event))) => {
                    if let Err(error) = this.take(event) {
                        this.ready.push_back(Err(error));
                    }
                    continue;
                }
                Some(Ok(Item::Done)) => {
                    // Whatever comes after it is nothing of the answer.
                    this.close();
                    this.say_last_words();
                    continue;
                }
                Some(Err(error)) => return fail(this, error),
                None => {}
            }
            match ready!(Pin::new(&mut this.body).poll_next(task)) {
                Some(Ok(bytes)) => this.decoder.push(&bytes),
                // The answer is whole; that the service doesn't say so, and how the connection ends, is no matter.
                Some(Err(_)) if this.seen.is_finished() => {
                    this.close();
                    this.say_last_words();
                }
                Some(Err(error)) => return fail(this, error),
                None => {
                    if let Some(error) = this.end() {
                        return fail(this, error);
                    }
                }
            }
        }
    }
}

impl Events {
    /// Takes no more events. A body that has ended already is read to its end, which lets the connection be used again.
    fn close(&mut self) {
        self.is_over = true;
        self.late.clear();
        for _ in 0..MOST_AFTER_THE_END {
            if !matches!(self.body.next().now_or_never(), Some(Some(Ok(_)))) {
                break;
            }
        }
    }

    /// Shapes an event; what comes of it is ready.
    fn take(&mut self, event: Event) -> Result<()> {
        if event.name.as_deref() == Some("error") {
            return Err(self.error_event(&event));
        }
        let event = match self.context.kind {
            // A name is not a part of this endpoint.
            Kind::Chat if self.seen.is_more_text(&event.data) => Event::new(event.data),
            Kind::Chat | Kind::Completion => return self.take_chunk(event),
            Kind::Responses => self.take_response(event)?,
            Kind::Messages => self.take_message(event)?,
            Kind::Embeddings | Kind::Models | Kind::Model | Kind::Other => event,
        };
        self.ready.push_back(Ok(event));
        Ok(())
    }

    fn take_chunk(&mut self, event: Event) -> Result<()> {
        let mut chunks = Vec::new();
        let shaped = chunk::shape(&self.context, &mut self.seen, event.data, &mut chunks);
        // A name is not a part of these endpoints; only some services send one.
        self.ready.extend(chunks.into_iter().map(|data| Ok(Event::new(data))));
        shaped
    }

    /// The service says that the answer is whole: what it left out is said for it.
    fn say_last_words(&mut self) {
        match self.context.kind {
            Kind::Chat | Kind::Completion => {}
            // Its last event would have closed the stream before this.
            Kind::Responses | Kind::Messages => return self.ready.push_back(Err(self.cut())),
            Kind::Embeddings | Kind::Models | Kind::Model | Kind::Other => return,
        }
        if self.count == 0 && self.ready.is_empty() {
            self.ready.push_back(Err(empty()));
            return;
        }
        // As in a whole answer, though it may have said what was used.
        if !self.seen.has_begun() {
            let nothing = Error::decode("no chunk of the stream has `choices`").with_hint(outward::TRY_AGAIN);
            self.ready.push_back(Err(nothing));
            return;
        }
        match chunk::last_words(&self.context, &mut self.seen) {
            Ok(chunks) => self.ready.extend(chunks.into_iter().map(|data| Ok(Event::new(data)))),
            Err(error) => self.ready.push_back(Err(error)),
        }
    }

    fn take_response(&mut self, event: Event) -> Result<Event> {
        if responses::piece_conforms(&event.data) {
            return Ok(event);
        }
        let mut value: Value =
            mend::parse(&event.data).map_err(|error| Error::decode_json("an event of the stream", &error))?;
        let kind = value
            .get("type")
            .and_then(Value::as_str)
            .or(event.name.as_deref())
            .unwrap_or_default()
            .to_owned();
        match kind.as_str() {
            "response.completed" | "response.incomplete" | "response.failed" => self.close(),
            "error" => return Err(self.error_event(&event)),
            "" => {
                if let Some(error) = error::from_success(&self.context.profile, &self.context.scrub, &value) {
                    return Err(error.with_upstream_body(self.context.scrub.body(event.data)));
                }
            }
            _ => {}
        }
        responses::repair_event(&self.context.head, &mut value, event.name.as_deref(), self.count)?;
        Ok(Event { data: to_json(&value)?, ..event })
    }

    /// Nothing of it is changed: whoever asks Anthropic's way reads it as it is.
    fn take_message(&mut self, event: Event) -> Result<Event> {
        let look: Typed<'_> = serde_json::from_slice(&event.data)
            .map_err(|error| Error::decode_json("an event of the stream", &error))?;
        match look.kind.as_deref().or(event.name.as_deref()) {
            Some("message_stop") => self.close(),
            Some("error") => return Err(self.error_event(&event)),
            Some(_) => {}
            None => return Err(Error::decode("an event of the stream has no type")),
        }
        Ok(event)
    }

    fn error_event(&self, event: &Event) -> Error {
        let value: Value = serde_json::from_slice(&event.data)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&event.data).into_owned()));
        let wrapped =
            if value.get("error").is_some() { value } else { serde_json::json!({ "error": value }) };
        error::from_success(&self.context.profile, &self.context.scrub, &wrapped)
            .unwrap_or_else(|| Error::new(ErrorKind::Upstream, "an error event without a message"))
            .with_upstream_body(self.context.scrub.body(event.data.clone()))
    }

    /// The bytes have ended: is the answer whole?
    fn end(&mut self) -> Option<Error> {
        self.is_over = true;
        let cut_inside = self.decoder.has_rest();
        if let Some(item) = self.decoder.finish() {
            // Another look comes when it has been taken.
            self.late.push_back(item);
            self.is_over = false;
            return None;
        }
        let is_whole = match self.context.kind {
            Kind::Chat | Kind::Completion => self.seen.is_finished(),
            // Its last event closes the stream before this.
            Kind::Responses | Kind::Messages => false,
            // Of other endpoints the last event isn't known.
            Kind::Embeddings | Kind::Models | Kind::Model | Kind::Other => !cut_inside,
        };
        if is_whole {
            self.say_last_words();
            return None;
        }
        Some(if cut_inside {
            Error::interrupted("the stream was cut in the middle of an event")
        } else {
            self.cut()
        })
    }

    /// What an end between two events is that came too early.
    fn cut(&self) -> Error {
        match self.count {
            0 => empty(),
            _ => Error::interrupted("the stream ended without its last event"),
        }
    }
}

fn empty() -> Error {
    Error::decode("the stream is empty").with_hint(outward::TRY_AGAIN)
}

/// As much of one of Anthropic's events as tells what it is.
#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use futures_util::{StreamExt, stream};

    async fn read_all(kind: Kind, pieces: &[&str]) -> (usize, Option<ErrorKind>) {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::from((*piece).to_owned()))).collect();
        let body = ByteStream::new(stream::iter(pieces));
        let events: Vec<_> = read(Context::of_test("deepseek", kind), body).collect().await;
        let error = events.last().and_then(|event| event.as_ref().err().map(Error::kind));
        (events.iter().filter(|event| event.is_ok()).count(), error)
    }

    const TEXT: &str = r#"data: {"id":"1","choices":[{"index":0,"delta":{"content":"x"}}]}"#;
    const LAST: &str = r#"data: {"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;

    const PLAIN: &str =
        r#"{"id":"1","object":"o","created":7,"model":"m","choices":[{"index":0,"delta":{"content":"hi"}}]}"#;

    #[tokio::test]
    async fn more_text_passes_as_the_bytes_it_came_in_whatever_its_event_is_called() {
        let named = PLAIN.replace("hi", "you\\n");
        let last = PLAIN.replace(r#"{"content":"hi"}"#, r#"{},"finish_reason":"stop""#);
        let body = format!("data: {PLAIN}\n\nevent: chunk\ndata: {named}\n\ndata: {last}\n\n");
        let body = ByteStream::from(Bytes::from(body));
        let events: Vec<_> = read(Context::of_test("deepseek", Kind::Chat), body).collect().await;
        let events: Vec<Event> = events.into_iter().map(|event| event.unwrap()).collect();
        assert_eq!(events, [PLAIN.to_owned(), named, last].map(Event::new));
    }

    #[tokio::test]
    async fn a_stream_ends_properly_or_with_an_error() {
        let chat = |pieces: &'static [&'static str]| read_all(Kind::Chat, pieces);
        assert_eq!(chat(&[TEXT, "\n\n", LAST, "\n\ndata: [DONE]\n\n"]).await, (2, None));
        assert_eq!(chat(&[TEXT, "\n\n", LAST, "\n\n"]).await, (2, None));
        assert_eq!(chat(&[TEXT, "\n\n", LAST]).await, (2, None));
        assert_eq!(chat(&[TEXT, "\n\ndata: [DONE]"]).await, (2, None));
        assert_eq!(chat(&[TEXT, "\n\ndata: [DONE]\n\ngarbage"]).await, (2, None));
        assert_eq!(chat(&[TEXT, "\n\n"]).await, (1, Some(ErrorKind::Interrupted)));
        assert_eq!(chat(&[TEXT]).await, (1, Some(ErrorKind::Interrupted)));
        assert_eq!(chat(&[TEXT, "\n\ndata: {\"id\":"]).await, (1, Some(ErrorKind::Interrupted)));
        assert_eq!(chat(&[]).await, (0, Some(ErrorKind::Decode)));
        assert_eq!(chat(&[TEXT, "\n\n", LAST, "\n\n: bye"]).await, (2, None));
        assert_eq!(
            chat(&[TEXT, "\n\nevent: error\ndata: {\"message\":\"broke\"}\n\n"]).await,
            (1, Some(ErrorKind::Upstream))
        );
        assert_eq!(
            chat(&[TEXT, "\n\nevent: error\ndata: plain words\n\n"]).await,
            (1, Some(ErrorKind::Upstream))
        );
        assert_eq!(chat(&[TEXT, "\n\ndata: {broken\n\n"]).await, (1, Some(ErrorKind::Decode)));
    }

    #[tokio::test]
    async fn a_stream_that_is_done_before_it_said_anything_is_no_answer() {
        let usage = "data: {\"id\":\"1\",\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":0,\"total_tokens\":1}}\n\n";
        for kind in [Kind::Chat, Kind::Completion] {
            for before in ["", "data: {}\n\n", "event: ping\ndata: {}\n\n", usage] {
                let (_, error) = read_all(kind, &[before, "data: [DONE]\n\n"]).await;
                assert_eq!(error, Some(ErrorKind::Decode), "{kind:?} {before:?}");
            }
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_whole_ends_whatever_becomes_of_the_connection() {
        for failure in [Error::interrupted("cut"), Error::new(ErrorKind::Timeout, "stalled")] {
            let text = format!("{TEXT}\n\n{LAST}\n\n");
            let body = ByteStream::new(stream::iter([Ok(Bytes::from(text)), Err(failure)]));
            let events: Vec<_> = read(Context::of_test("deepseek", Kind::Chat), body).collect().await;
            assert!(events.len() == 2 && events.iter().all(Result::is_ok));
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_whole_ends_though_the_service_goes_on_for_ever() {
        let text = Bytes::from(format!("{TEXT}\n\n{LAST}\n\ndata: [DONE]\n\n"));
        let body =
            stream::iter([Ok(text)]).chain(stream::repeat_with(|| Ok(Bytes::from_static(b": more\n\n"))));
        let events: Vec<_> =
            read(Context::of_test("deepseek", Kind::Chat), ByteStream::new(body)).collect().await;
        assert!(events.len() == 2 && events.iter().all(Result::is_ok));
    }

    #[tokio::test]
    async fn the_responses_endpoint_ends_with_its_own_last_event() {
        let created = "event: response.created\ndata: {\"type\":\"response.created\"}\n\n";
        let completed = "event: response.completed\ndata: {\"type\":\"response.completed\"}\n\n";
        assert_eq!(read_all(Kind::Responses, &[created, completed]).await, (2, None));
        assert_eq!(read_all(Kind::Responses, &[created, completed, "garbage"]).await, (2, None));
        assert_eq!(read_all(Kind::Responses, &[created]).await, (1, Some(ErrorKind::Interrupted)));
        let error = "event: error\ndata: {\"type\":\"error\",\"code\":\"x\",\"message\":\"broke\"}\n\n";
        assert_eq!(read_all(Kind::Responses, &[created, error]).await, (1, Some(ErrorKind::Upstream)));
    }

    #[tokio::test]
    async fn done_before_the_last_event_of_an_endpoint_that_has_one_is_a_cut() {
        let created = "event: response.created\ndata: {\"type\":\"response.created\"}\n\n";
        let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\n";
        for (kind, begin) in [(Kind::Responses, created), (Kind::Messages, start)] {
            assert_eq!(read_all(kind, &[begin, "data: [DONE]\n\n"]).await, (1, Some(ErrorKind::Interrupted)));
            assert_eq!(read_all(kind, &["data: [DONE]\n\n"]).await, (0, Some(ErrorKind::Decode)));
        }
        let completed = "event: response.completed\ndata: {\"type\":\"response.completed\"}\n\n";
        assert_eq!(read_all(Kind::Responses, &[created, completed, "data: [DONE]\n\n"]).await, (2, None));
    }

    #[tokio::test]
    async fn a_conforming_event_of_responses_and_completions_passes_as_it_came() {
        let piece = r#"{ "type":"response.output_text.delta","sequence_number":1,"item_id":"i","output_index":0,"content_index":0,"delta":"x","logprobs":[] }"#;
        let text = r#"{ "id":"1","object":"text_completion","created":7,"model":"m","choices":[{"text":"x","index":0,"logprobs":null,"finish_reason":null}] }"#;
        let last = r#"{ "id":"1","object":"text_completion","created":7,"model":"m","choices":[{"text":"","index":0,"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2} }"#;
        for (kind, data) in [(Kind::Responses, vec![piece]), (Kind::Completion, vec![text, last])] {
            let body: String = data.iter().map(|data| format!("data: {data}\n\n")).collect();
            let body = ByteStream::new(stream::iter([Ok(Bytes::from(body))]));
            let events: Vec<_> = read(Context::of_test("deepseek", kind), body).collect().await;
            for (event, data) in events.iter().zip(data) {
                assert_eq!(event.as_ref().unwrap().data, data, "{kind:?}");
            }
        }
    }

    #[tokio::test]
    async fn anthropics_endpoint_ends_with_its_message_stop_or_an_error() {
        let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\n";
        let stop = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
        let nameless = "data: {\"type\":\"message_stop\"}\n\n";
        assert_eq!(read_all(Kind::Messages, &[start, stop]).await, (2, None));
        assert_eq!(read_all(Kind::Messages, &[start, nameless]).await, (2, None));
        assert_eq!(read_all(Kind::Messages, &[start, stop, "garbage"]).await, (2, None));
        assert_eq!(read_all(Kind::Messages, &[start]).await, (1, Some(ErrorKind::Interrupted)));
        assert_eq!(read_all(Kind::Messages, &[start, "data: {}\n\n"]).await, (1, Some(ErrorKind::Decode)));
        for (kind, wanted) in [
            ("overloaded_error", ErrorKind::Overloaded),
            ("rate_limit_error", ErrorKind::RateLimited),
            ("authentication_error", ErrorKind::Authentication),
            ("permission_error", ErrorKind::Authentication),
            ("billing_error", ErrorKind::InsufficientBalance),
            ("invalid_request_error", ErrorKind::InvalidRequest),
            ("timeout_error", ErrorKind::Timeout),
            ("api_error", ErrorKind::Upstream),
        ] {
            let error = format!(
                "event: error\ndata: {{\"type\":\"error\",\"error\":{{\"type\":\"{kind}\",\"message\":\"it broke\"}}}}\n\n"
            );
            assert_eq!(read_all(Kind::Messages, &[start, &error]).await, (1, Some(wanted)), "{kind}");
        }
    }
}
