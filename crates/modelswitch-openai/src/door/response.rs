//! A provider's answer, as what async-openai expects of HTTP.

use std::sync::{Arc, LazyLock};

use async_openai::types::responses::{self, ResponseStreamEvent};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, TRANSFER_ENCODING,
};
use modelswitch_provider::{Body, Endpoint, Error, Event, EventStream, Head, Response, Result};
use reqwest::{ResponseBuilderExt, Url};

use super::capture::Sink;
use super::reasoning;

/// # Errors
/// [`Decode`](modelswitch_provider::ErrorKind::Decode) for a response that async-openai can't decode: it would log it
/// whole, and forget its status.
pub(super) fn write(
    endpoint: &Endpoint,
    answer: Response,
    with_reasoning: bool,
    capture: Option<Arc<Sink>>,
) -> Result<reqwest::Response> {
    let Response { head, body } = answer;
    if let Some(capture) = &capture {
        capture.begin(&head);
    }
    let is_chat = *endpoint == Endpoint::CHAT_COMPLETIONS;
    let with_reasoning = with_reasoning && is_chat;
    let (content_type, body) = match body {
        Body::Json(json) => {
            if let Some(capture) = &capture {
                capture.see(&json);
                if is_chat {
                    capture.keep(&json);
                }
            }
            if *endpoint == Endpoint::RESPONSES {
                check_response(&head, &json)?;
            }
            let json = if with_reasoning { reasoning::into_reply(json) } else { json };
            ("application/json", reqwest::Body::from(json))
        }
        Body::Events(events) => {
            let is_responses = *endpoint == Endpoint::RESPONSES;
            let events = if is_responses { only_known(events) } else { events };
            let form = Form { is_chat, with_reasoning, has_terminator: !is_responses };
            ("text/event-stream", frames(events, form, capture))
        }
        Body::Other(bytes) => ("", reqwest::Body::wrap_stream(bytes)),
        _ => ("", reqwest::Body::from("")),
    };
    let mut response = http::Response::builder()
        .url(NOWHERE.clone())
        .body(body)
        .map_err(|_| Error::decode("the answer is no HTTP"))?;
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    for name in [CONTENT_LENGTH, CONTENT_ENCODING, TRANSFER_ENCODING, CONNECTION] {
        // To look takes less than to search, since most of them aren't there.
        if response.headers().keys().any(|there| *there == name) {
            response.headers_mut().remove(name);
        }
    }
    if !content_type.is_empty() {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    Ok(response.into())
}

/// Where reqwest says that a response came from which it didn't fetch. It would parse this anew for each.
static NOWHERE: LazyLock<Url> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "it is a URL")]
    Url::parse("http://no.url.provided.local").expect("a URL")
});

fn check_response(head: &Head, json: &[u8]) -> Result<()> {
    match serde_json::from_slice::<responses::Response>(json) {
        Ok(_) => Ok(()),
        Err(error) => Err(head.blame(Error::decode_json("the response", &error).with_status(head.status))),
    }
}

/// The events that async-openai knows. It has no place for others, and would log each of them whole as an error.
fn only_known(events: EventStream) -> EventStream {
    EventStream::new(events.filter(|event| {
        let known = event.as_ref().map_or(true, |event| {
            let read = serde_json::from_slice::<ResponseStreamEvent>(&event.data);
            if read.is_err() {
                tracing::trace!(
                    event = event.name.as_deref(),
                    "left out an event that async-openai has no type for"
                );
            }
            read.is_ok()
        });
        std::future::ready(known)
    }))
}

/// What a stream of an endpoint is like.
#[derive(Clone, Copy)]
struct Form {
    is_chat: bool,
    with_reasoning: bool,
    has_terminator: bool,
}

/// Events as bytes, one frame an event. A failure goes out as an `error` event and the stream stops without a
/// terminator: failing the body instead would leave async-openai no more than a sentence.
fn frames(events: EventStream, form: Form, capture: Option<Arc<Sink>>) -> reqwest::Body {
    let state = (events, capture, reasoning::IntoChunks::default(), false);
    let frames = stream::unfold(state, move |(mut events, capture, mut reasoning, is_over)| async move {
        if is_over {
            return None;
        }
        let (frame, is_over) = match events.next().await {
            Some(Ok(event)) => {
                if let Some(capture) = &capture {
                    capture.see(&event.data);
                    if form.is_chat {
                        capture.keep_piece(&event.data);
                    }
                }
                (frame(&if form.with_reasoning { reasoning.put(event) } else { event }), false)
            }
            Some(Err(error)) => {
                if let Some(capture) = &capture {
                    capture.fail(&error);
                }
                (error_frame(&error), true)
            }
            None if form.has_terminator => (Bytes::from_static(b"data: [DONE]\n\n"), true),
            None => return None,
        };
        Some((Ok::<_, std::convert::Infallible>(frame), (events, capture, reasoning, is_over)))
    });
    reqwest::Body::wrap_stream(frames)
}

fn error_frame(error: &Error) -> Bytes {
    frame(&Event::new(error.to_body().to_string()).with_name("error"))
}

fn frame(event: &Event) -> Bytes {
    let mut text = BytesMut::with_capacity(event.data.len() + 32);
    if let Some(name) = &event.name {
        text.put_slice(b"event: ");
        text.put_slice(name.as_bytes());
        text.put_u8(b'\n');
    }
    let mut rest = &event.data[..];
    while let Some((line, more)) =
        memchr::memchr(b'\n', rest).and_then(|end| Some((rest.get(..end)?, rest.get(end + 1..)?)))
    {
        put_data(&mut text, line);
        rest = more;
    }
    put_data(&mut text, rest);
    text.put_u8(b'\n');
    text.freeze()
}

fn put_data(text: &mut BytesMut, line: &[u8]) {
    text.put_slice(b"data: ");
    text.put_slice(line);
    text.put_u8(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_what_a_decoder_reads_back() {
        assert_eq!(frame(&Event::new("{}")), "data: {}\n\n");
        assert_eq!(frame(&Event::new("{\n}").with_name("x")), "event: x\ndata: {\ndata: }\n\n");
    }
}
