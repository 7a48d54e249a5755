//! The bytes of an answer as a stream of events that ends properly or with an error.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use modelswitch_provider::{ByteStream, Error, ErrorKind, Event, EventStream, Head, Result};
use serde_json::Value;

use super::Kind;
use super::chunk::{self, Seen};
use crate::sse::{Item, SseDecoder};
use crate::{Profile, error};

/// More than a chunk with an image in it needs.
const LONGEST_EVENT: usize = 32 << 20;

pub(super) fn read(profile: Arc<Profile>, kind: Kind, head: Head, body: ByteStream) -> EventStream {
    EventStream::new(Events {
        profile,
        kind,
        head,
        body,
        decoder: SseDecoder::new(LONGEST_EVENT),
        seen: Seen::default(),
        ended: false,
        is_over: false,
        any: false,
        late: VecDeque::new(),
    })
}

struct Events {
    profile: Arc<Profile>,
    kind: Kind,
    head: Head,
    body: ByteStream,
    decoder: SseDecoder,
    seen: Seen,
    /// The endpoint's own last event has come.
    ended: bool,
    /// Nothing more is to be read.
    is_over: bool,
    /// At least one event has come.
    any: bool,
    /// Events found when the bytes had ended.
    late: VecDeque<Item>,
}

impl Stream for Events {
    type Item = Result<Event>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if this.is_over && this.late.is_empty() {
                return Poll::Ready(None);
            }
            let next = this.late.pop_front().map(Ok).or_else(|| this.decoder.next_item());
            match next {
                Some(Ok(Item::Event(event))) => {
                    this.any = true;
                    return Poll::Ready(Some(this.take(event).map_err(|error| this.head.blame(error))));
                }
                Some(Ok(Item::Done)) => {
                    // Whatever comes after it is nothing of the answer.
                    this.is_over = true;
                    this.late.clear();
                    continue;
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(this.head.blame(error)))),
                None => {}
            }
            match ready!(Pin::new(&mut this.body).poll_next(cx)) {
                Some(Ok(bytes)) => this.decoder.push(&bytes),
                Some(Err(error)) => return Poll::Ready(Some(Err(this.head.blame(error)))),
                None => {
                    if let Some(error) = this.end() {
                        return Poll::Ready(Some(Err(this.head.blame(error))));
                    }
                }
            }
        }
    }
}

impl Events {
    fn take(&mut self, event: Event) -> Result<Event> {
        if event.name.as_deref() == Some("error") {
            return Err(self.error_event(&event));
        }
        match self.kind {
            Kind::Chat | Kind::Completion => {
                let data = chunk::shape(&self.profile, self.kind, &self.head, &mut self.seen, event.data)?;
                // A name is not a part of these endpoints; only some services send one.
                Ok(Event::new(data))
            }
            Kind::Responses | Kind::Embeddings | Kind::Models | Kind::Model | Kind::Other => {
                let kind = event.name.as_deref().map(str::to_owned).or_else(|| {
                    let value: Value = serde_json::from_slice(&event.data).ok()?;
                    value.get("type").and_then(Value::as_str).map(str::to_owned)
                });
                match kind.as_deref() {
                    Some("response.completed" | "response.incomplete" | "response.failed") => {
                        self.ended = true
                    }
                    Some("error") => return Err(self.error_event(&event)),
                    _ => {
                        let value = serde_json::from_slice(&event.data).unwrap_or(Value::Null);
                        if self.kind == Kind::Responses
                            && value.get("type").is_none()
                            && let Some(error) = error::from_success(&self.profile, &value)
                        {
                            return Err(error.with_upstream_body(event.data));
                        }
                    }
                }
                Ok(event)
            }
        }
    }

    fn error_event(&self, event: &Event) -> Error {
        let value: Value = serde_json::from_slice(&event.data)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&event.data).into_owned()));
        let wrapped =
            if value.get("error").is_some() { value } else { serde_json::json!({ "error": value }) };
        error::from_success(&self.profile, &wrapped)
            .unwrap_or_else(|| Error::new(ErrorKind::Upstream, "an error event without a message"))
            .with_upstream_body(event.data.clone())
    }

    /// The bytes have ended: is the answer whole?
    fn end(&mut self) -> Option<Error> {
        self.is_over = true;
        let cut_inside = self.decoder.has_rest();
        match self.decoder.finish() {
            Some(Item::Done) => return None,
            Some(item @ Item::Event(_)) => {
                // Another look comes when that event has been handed on.
                self.late.push_back(item);
                self.is_over = false;
                return None;
            }
            None if cut_inside => {
                return Some(Error::interrupted("the stream was cut in the middle of an event"));
            }
            None => {}
        }
        let whole = match self.kind {
            Kind::Chat | Kind::Completion => self.seen.is_finished(),
            Kind::Responses => self.ended,
            // Of other endpoints the last event isn't known.
            Kind::Embeddings | Kind::Models | Kind::Model | Kind::Other => true,
        };
        if whole {
            return None;
        }
        Some(Error::interrupted(if self.any {
            "the stream ended without a finish reason and without `[DONE]`"
        } else {
            "the stream ended before it had begun"
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use futures_util::{StreamExt, stream};

    async fn read_all(kind: Kind, pieces: &[&str]) -> (usize, Option<ErrorKind>) {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::from((*piece).to_owned()))).collect();
        let body = ByteStream::new(stream::iter(pieces));
        let profile = Arc::new(Profile::embedded("deepseek").unwrap());
        let events: Vec<_> = read(profile, kind, Head::default(), body).collect().await;
        let error = events.last().and_then(|event| event.as_ref().err().map(Error::kind));
        (events.iter().filter(|event| event.is_ok()).count(), error)
    }

    const TEXT: &str = r#"data: {"id":"1","choices":[{"index":0,"delta":{"content":"x"}}]}"#;
    const LAST: &str = r#"data: {"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;

    #[tokio::test]
    async fn a_stream_ends_properly_or_with_an_error() {
        let chat = |pieces: &'static [&'static str]| read_all(Kind::Chat, pieces);
        assert_eq!(chat(&[TEXT, "\n\n", LAST, "\n\ndata: [DONE]\n\n"]).await, (2, None));
        assert_eq!(chat(&[TEXT, "\n\n", LAST, "\n\n"]).await, (2, None));
        assert_eq!(chat(&[TEXT, "\n\n", LAST]).await, (2, None));
        assert_eq!(chat(&[TEXT, "\n\ndata: [DONE]"]).await, (1, None));
        assert_eq!(chat(&[TEXT, "\n\ndata: [DONE]\n\ngarbage"]).await, (1, None));
        assert_eq!(chat(&[TEXT, "\n\n"]).await, (1, Some(ErrorKind::Interrupted)));
        assert_eq!(chat(&[TEXT]).await, (1, Some(ErrorKind::Interrupted)));
        assert_eq!(chat(&[TEXT, "\n\ndata: {\"id\":"]).await, (1, Some(ErrorKind::Interrupted)));
        assert_eq!(chat(&[]).await, (0, Some(ErrorKind::Interrupted)));
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
    async fn the_responses_endpoint_ends_with_its_own_last_event() {
        let created = "event: response.created\ndata: {\"type\":\"response.created\"}\n\n";
        let completed = "event: response.completed\ndata: {\"type\":\"response.completed\"}\n\n";
        assert_eq!(read_all(Kind::Responses, &[created, completed]).await, (2, None));
        assert_eq!(read_all(Kind::Responses, &[created]).await, (1, Some(ErrorKind::Interrupted)));
        let error = "event: error\ndata: {\"type\":\"error\",\"code\":\"x\",\"message\":\"broke\"}\n\n";
        assert_eq!(read_all(Kind::Responses, &[created, error]).await, (1, Some(ErrorKind::Upstream)));
    }
}
