//! One try over HTTP: a request out, an answer or an [`Error`] back. No retries, no interpretation of bodies beyond
//! failures.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue, SET_COOKIE,
};
use http::{HeaderMap, HeaderName, StatusCode};
use modelswitch_provider::{ApiKey, ByteStream, Error, ErrorKind, Payload, Request, Result};
use tokio::time::{Instant, Sleep};

use crate::{HttpClient, Profile, error};

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// Until the connection stands, TLS included.
    pub connect: Duration,
    /// From the request to the head of the answer.
    pub first_byte: Duration,
    /// Between two pieces of the answer. Any byte counts, a comment or a blank line too.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10), // a handshake across the world takes less than one
            first_byte: Duration::from_secs(600), // DeepSeek holds the line of a queued request for ten minutes
            idle: Duration::from_secs(300), // what DeepSeek's own client waits; its keep-alive comments count
        }
    }
}

/// The head of an answer that succeeded, and its body as it comes.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: ByteStream,
}

#[derive(Clone)]
pub(crate) struct Transport {
    pub(crate) client: HttpClient,
    pub(crate) base_url: String,
    pub(crate) auth: Option<(HeaderName, HeaderValue)>,
    pub(crate) key: Option<ApiKey>,
    pub(crate) headers: HeaderMap,
    pub(crate) timeouts: Timeouts,
}

/// Most of a failure's body that is kept.
const LONGEST_FAILURE: usize = 64 << 10;
/// Most of a whole body that is read into memory; no service sends more in one JSON document.
const LONGEST_BODY: usize = 512 << 20;

impl Transport {
    /// # Errors
    /// What keeps the answer from coming, and answers that are failures by their status.
    pub(crate) async fn send(&self, profile: &Profile, request: &Request) -> Result<Answer> {
        let url = format!("{}{}", self.base_url, request.endpoint.path_and_query());
        let mut outgoing = self
            .client
            .inner()
            .request(request.endpoint.method().clone(), url)
            .headers(self.headers_of(request));
        outgoing = match &request.body {
            Payload::Json(document) => outgoing.body(document.to_bytes()),
            Payload::Raw { bytes, .. } => outgoing.body(bytes.clone()),
            _ => outgoing,
        };
        let sent = tokio::time::timeout(self.timeouts.first_byte, outgoing.send()).await;
        let response = match sent {
            Ok(response) => response.map_err(|error| connection_error(error, self.timeouts.connect))?,
            Err(_) => {
                return Err(Error::new(
                    ErrorKind::Timeout,
                    format!("no answer began within {}", seconds(self.timeouts.first_byte)),
                ));
            }
        };
        let status = response.status();
        let mut headers = response.headers().clone();
        headers.remove(SET_COOKIE);
        let body = Idle::new(response.bytes_stream(), self.timeouts.idle);
        if status.is_success() {
            return Ok(Answer { status, headers, body: ByteStream::new(body) });
        }
        let body = self.without_key(first_bytes(body).await);
        Err(error::from_answer(profile, request.model().is_some(), status, &headers, body))
    }

    fn headers_of(&self, request: &Request) -> HeaderMap {
        let mut headers = self.headers.clone();
        for (name, value) in &request.headers {
            // The transport alone says who asks whom with which key.
            // Nothing is unpacked here, so nothing packed is asked for.
            if ![AUTHORIZATION, HOST, CONTENT_LENGTH, ACCEPT_ENCODING].contains(name) {
                headers.insert(name.clone(), value.clone());
            }
        }
        match &request.body {
            Payload::Json(_) => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            Payload::Raw { content_type, .. } => {
                headers.insert(CONTENT_TYPE, content_type.clone());
            }
            _ => {
                headers.remove(CONTENT_TYPE);
            }
        }
        if request.is_stream() {
            headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        }
        if let Some((name, value)) = &self.auth {
            headers.insert(name.clone(), value.clone());
        }
        headers
    }

    /// Some services repeat the key that they refuse.
    fn without_key(&self, body: Bytes) -> Bytes {
        match &self.key {
            Some(key) if memchr::memmem::find(&body, key.expose().as_bytes()).is_some() => {
                Bytes::from(key.redact(&String::from_utf8_lossy(&body)))
            }
            _ => body,
        }
    }
}

/// Reads a body to its end.
///
/// # Errors
/// [`Interrupted`](ErrorKind::Interrupted) when it is cut, [`Timeout`](ErrorKind::Timeout) when it stalls,
/// [`Decode`](ErrorKind::Decode) when it is larger than any answer.
pub(crate) async fn whole(mut body: ByteStream) -> Result<Bytes> {
    let Some(first) = body.next().await.transpose()? else { return Ok(Bytes::new()) };
    let Some(second) = body.next().await.transpose()? else { return Ok(first) };
    let mut all = BytesMut::from(first);
    all.extend_from_slice(&second);
    while let Some(more) = body.next().await.transpose()? {
        if all.len() + more.len() > LONGEST_BODY {
            return Err(Error::decode(format!("the answer is larger than {} MiB", LONGEST_BODY >> 20)));
        }
        all.extend_from_slice(&more);
    }
    Ok(all.freeze())
}

/// A failure is a failure even when its body is cut or endless.
async fn first_bytes(mut body: impl Stream<Item = Result<Bytes>> + Unpin) -> Bytes {
    let mut kept = BytesMut::new();
    while let Some(Ok(more)) = body.next().await {
        let room = LONGEST_FAILURE - kept.len();
        kept.extend_from_slice(more.get(..room.min(more.len())).unwrap_or_default());
        if kept.len() >= LONGEST_FAILURE {
            break;
        }
    }
    kept.freeze()
}

fn connection_error(error: reqwest::Error, connect: Duration) -> Error {
    // A URL may hold what an app put into a path or query.
    let error = error.without_url();
    let (kind, message) = if error.is_timeout() {
        (ErrorKind::Timeout, format!("no connection within {}", seconds(connect)))
    } else if error.is_builder() {
        (
            ErrorKind::Config,
            "the request can't be built; is base_url right, and is TLS compiled in?".to_owned(),
        )
    } else if error.is_connect() {
        (ErrorKind::Connection, "no connection to the service".to_owned())
    } else {
        (ErrorKind::Connection, "the connection broke before an answer began".to_owned())
    };
    Error::new(kind, message).with_source(error)
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

/// A body that fails when nothing has come for too long, and says how it was cut.
struct Idle<S> {
    bytes: S,
    limit: Duration,
    last: Instant,
    /// Set only while waiting, and looked at only when it fires: re-arming a timer for each packet costs more than
    /// the packet.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> Idle<S> {
    fn new(bytes: S, limit: Duration) -> Self {
        Self { bytes, limit, last: Instant::now(), timer: None }
    }
}

impl<S: Stream<Item = reqwest::Result<Bytes>> + Unpin> Stream for Idle<S> {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Poll::Ready(item) = Pin::new(&mut this.bytes).poll_next(cx) {
            this.last = Instant::now();
            return Poll::Ready(item.map(|item| {
                item.map_err(|error| {
                    Error::interrupted("the connection was cut in the middle of the answer")
                        .with_source(error.without_url())
                })
            }));
        }
        let timer =
            this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(this.last + this.limit)));
        loop {
            ready!(timer.as_mut().poll(cx));
            let end = this.last + this.limit;
            if Instant::now() >= end {
                let message = format!("the answer stalled: nothing came for {}", seconds(this.limit));
                return Poll::Ready(Some(Err(Error::new(ErrorKind::Timeout, message))));
            }
            timer.as_mut().reset(end);
        }
    }
}
