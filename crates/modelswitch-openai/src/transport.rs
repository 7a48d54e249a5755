//! One try over HTTP: a request out, an answer or an [`Error`] back. No retries, no interpretation of bodies beyond
//! failures.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue, SET_COOKIE,
};
use http::{HeaderMap, HeaderName, StatusCode, Version};
use modelswitch_provider::{ApiKey, ByteStream, Endpoint, Error, ErrorKind, Payload, Request, Result};
use reqwest::Url;
use tokio::time::{Instant, Sleep};

use crate::scrub::Scrub;
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
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: ByteStream,
}

#[derive(Clone)]
pub(crate) struct Transport {
    pub(crate) client: HttpClient,
    pub(crate) base_url: BaseUrl,
    pub(crate) auth: Option<(HeaderName, HeaderValue)>,
    /// Where the key is sent otherwise.
    pub(crate) auth_at: Vec<Credential>,
    pub(crate) key: Option<ApiKey>,
    pub(crate) headers: HeaderMap,
    /// What every URL gets appended.
    pub(crate) query: Vec<Parameter>,
    /// The path of requests that name a model, with `{model}` and `{endpoint}`, where it isn't the endpoint.
    pub(crate) path: Option<String>,
    pub(crate) timeouts: Timeouts,
}

/// Where requests go: as text without a slash at its end, and parsed, which costs as much as a call's decoding.
#[derive(Clone)]
pub(crate) struct BaseUrl {
    text: String,
    url: Url,
    /// With the path that most requests have.
    chat: Url,
}

impl BaseUrl {
    pub(crate) fn new(url: Url) -> Self {
        let text = url.as_str().trim_end_matches('/').to_owned();
        let chat = with_path(&url, Endpoint::CHAT_COMPLETIONS.path());
        Self { text, url, chat }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// With a path, and a query where it has one, behind its own path.
    fn join(&self, path_and_query: &str) -> Url {
        if path_and_query == Endpoint::CHAT_COMPLETIONS.path() {
            return self.chat.clone();
        }
        match path_and_query.split_once('?') {
            Some((path, query)) => {
                let mut url = with_path(&self.url, path);
                url.set_query(Some(query));
                url
            }
            None => with_path(&self.url, path_and_query),
        }
    }
}

/// A URL with a path behind its own, and without a query.
fn with_path(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&[base.path().trim_end_matches('/'), path].concat());
    url.set_query(None);
    url
}

/// A parameter of a URL, escaped.
#[derive(Clone)]
pub(crate) struct Parameter {
    name: String,
    pair: String,
}

impl Parameter {
    pub(crate) fn new((name, value): (String, String)) -> Self {
        Self { pair: format!("{}={}", escaped(&name), escaped(&value)), name: escaped(&name) }
    }

    fn is_in(&self, query: &str) -> bool {
        query.split('&').any(|pair| pair.split('=').next() == Some(self.name.as_str()))
    }
}

/// A text as it can stand in a URL, as one part of a path or in a query.
fn escaped(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escape =
        |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(escape).collect()
}

/// The key, as the endpoints under a path take it.
#[derive(Clone)]
pub(crate) struct Credential {
    pub(crate) prefix: String,
    pub(crate) header: HeaderName,
    pub(crate) value: HeaderValue,
}

impl Credential {
    fn is_for(&self, path: &str) -> bool {
        path.strip_prefix(&*self.prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// Most of a failure's body that is kept.
const LONGEST_FAILURE: usize = 64 << 10;
/// How long a failure may take to say why.
const SLOWEST_FAILURE: Duration = Duration::from_secs(3);
/// Most of a whole body that is read into memory; no service sends more in one JSON document.
const LONGEST_BODY: usize = 512 << 20;

impl Transport {
    /// # Errors
    /// What keeps the answer from coming, and answers that are failures by their status.
    pub(crate) async fn send(&self, profile: &Profile, scrub: &Scrub, request: &Request) -> Result<Answer> {
        let outgoing = self.outgoing(request)?;
        self.tell_where();
        let sent =
            tokio::time::timeout(self.timeouts.first_byte, self.client.inner().execute(outgoing)).await;
        let mut response = match sent {
            Ok(response) => response.map_err(|error| self.connection_error(error))?,
            Err(_) => {
                return Err(Error::new(
                    ErrorKind::Timeout,
                    format!("no answer began within {}", seconds(self.timeouts.first_byte)),
                ));
            }
        };
        let (status, version) = (response.status(), response.version());
        let mut headers = std::mem::take(response.headers_mut());
        headers.remove(SET_COOKIE);
        scrub.headers(&mut headers);
        let body = Idle::new(response.bytes_stream(), self.timeouts.idle);
        if status.is_success() {
            return Ok(Answer { status, version, headers, body: ByteStream::new(body) });
        }
        let body = first_bytes(body).await;
        Err(error::from_answer(profile, scrub, request.model().is_some(), status, &headers, body))
    }

    fn outgoing(&self, request: &Request) -> Result<reqwest::Request> {
        let mut outgoing = reqwest::Request::new(request.endpoint.method().clone(), self.url_of(request)?);
        *outgoing.headers_mut() = self.headers_of(request);
        *outgoing.body_mut() = match &request.body {
            Payload::Json(document) => Some(document.to_bytes().into()),
            Payload::Raw { bytes, .. } => Some(bytes.clone().into()),
            _ => None,
        };
        Ok(outgoing)
    }

    fn connection_error(&self, error: reqwest::Error) -> Error {
        // A URL may hold what an app put into a path or query, and a gateway's a token of its own.
        let error = error.without_url();
        let place = self.origin();
        let (kind, message) = if error.is_timeout() {
            let within = seconds(self.timeouts.connect);
            (ErrorKind::Timeout, format!("no connection to {place} within {within}"))
        } else if error.is_builder() {
            (
                ErrorKind::Config,
                "the request can't be built; is base_url right, and is TLS compiled in?".to_owned(),
            )
        } else if error.is_connect() {
            (ErrorKind::Connection, format!("no connection to {place}: {}", reason(&error)))
        } else {
            (ErrorKind::Connection, "the connection broke before an answer began".to_owned())
        };
        Error::new(kind, message).with_source(error)
    }

    /// Writes on the span of the attempt which machine is asked, under OpenTelemetry's names, where it has room for that.
    fn tell_where(&self) {
        let span = tracing::Span::current();
        if !span.has_field("server.address") {
            return;
        }
        span.record("server.address", self.base_url.url.host_str());
        span.record("server.port", self.base_url.url.port_or_known_default());
    }

    /// Scheme, host and port of the service.
    fn origin(&self) -> String {
        self.base_url.url.origin().ascii_serialization()
    }

    /// # Errors
    /// [`InvalidRequest`](ErrorKind::InvalidRequest) for a model that can't stand in the path where it must.
    fn url_of(&self, request: &Request) -> Result<Url> {
        let place = match &self.path {
            Some(template) => path(template, request)?,
            None => Cow::Borrowed(request.endpoint.path_and_query()),
        };
        if self.query.is_empty() {
            return Ok(self.base_url.join(&place));
        }
        let mut place = place.into_owned();
        let own = request.endpoint.query();
        let mut separator = if own.is_some() { '&' } else { '?' };
        for parameter in &self.query {
            if !own.is_some_and(|own| parameter.is_in(own)) {
                place.push(separator);
                place.push_str(&parameter.pair);
                separator = '&';
            }
        }
        Ok(self.base_url.join(&place))
    }

    fn headers_of(&self, request: &Request) -> HeaderMap {
        let mut headers = self.headers.clone();
        for (name, value) in &request.headers {
            // The transport alone says who asks whom with which key.
            // Nothing is unpacked here, so nothing packed is asked for.
            let is_credential = self.auth_at.iter().any(|at| at.header == *name);
            if !is_credential && ![AUTHORIZATION, HOST, CONTENT_LENGTH, ACCEPT_ENCODING].contains(name) {
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
        match self.auth_at.iter().find(|at| at.is_for(request.endpoint.path())) {
            Some(at) => {
                headers.insert(at.header.clone(), at.value.clone());
            }
            None => {
                if let Some((name, value)) = &self.auth {
                    headers.insert(name.clone(), value.clone());
                }
            }
        }
        headers
    }
}

/// The path of a request, for a service that wants the model in it, where there is one.
///
/// # Errors
/// [`InvalidRequest`](ErrorKind::InvalidRequest) for a model that would lead to another path.
fn path<'a>(template: &str, request: &'a Request) -> Result<Cow<'a, str>> {
    let endpoint = request.endpoint.path_and_query();
    let Some(model) = request.model() else { return Ok(endpoint.into()) };
    // URL parsers resolve these, escaped or not; everything else is one part of the path.
    if matches!(&*model, "" | "." | "..") {
        let what = "the model's name stands in the path, and this one can't";
        return Err(Error::invalid_request(what).with_param("model"));
    }
    // The endpoint last: it may have braces of its own in a query.
    Ok(template.replace("{model}", &escaped(&model)).replace("{endpoint}", endpoint).into())
}

/// Reads a body to its end, of which the first bytes have been read already.
///
/// # Errors
/// [`Interrupted`](ErrorKind::Interrupted) when it is cut, [`Timeout`](ErrorKind::Timeout) when it stalls,
/// [`Decode`](ErrorKind::Decode) when it is larger than any answer.
pub(crate) async fn whole(read: Bytes, mut body: ByteStream) -> Result<Bytes> {
    let Some(next) = body.next().await.transpose()? else { return Ok(read) };
    // What comes in one piece isn't copied.
    let mut all = BytesMut::from(read);
    all.extend_from_slice(&next);
    while let Some(more) = body.next().await.transpose()? {
        if all.len() + more.len() > LONGEST_BODY {
            return Err(too_large());
        }
        all.extend_from_slice(&more);
    }
    Ok(all.freeze())
}

/// A body that fails where it becomes larger than any answer: for whoever keeps all that comes of it.
pub(crate) fn no_larger_than_an_answer(body: ByteStream) -> ByteStream {
    let mut left = LONGEST_BODY;
    ByteStream::new(body.map(move |bytes| {
        let bytes = bytes?;
        left = left.checked_sub(bytes.len()).ok_or_else(too_large)?;
        Ok(bytes)
    }))
}

fn too_large() -> Error {
    Error::decode(format!("the answer is larger than {} MiB", LONGEST_BODY >> 20))
}

/// A failure is a failure even when its body is cut, endless or slow: what comes within a few seconds is enough to tell.
async fn first_bytes(mut body: impl Stream<Item = Result<Bytes>> + Unpin) -> Bytes {
    let mut kept = BytesMut::new();
    let read = async {
        while let Some(Ok(more)) = body.next().await {
            let room = LONGEST_FAILURE - kept.len();
            kept.extend_from_slice(more.get(..room.min(more.len())).unwrap_or_default());
            if kept.len() >= LONGEST_FAILURE {
                break;
            }
        }
    };
    // Running out of time is no failure of its own.
    let _ = tokio::time::timeout(SLOWEST_FAILURE, read).await;
    kept.freeze()
}

/// What the operating system or the TLS library says at the bottom of a failed connection, in words that a person looks for.
fn reason(error: &reqwest::Error) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    match last.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
        Some(std::io::ErrorKind::ConnectionRefused) => "connection refused: nothing listens there".to_owned(),
        Some(std::io::ErrorKind::ConnectionReset) => "the connection was reset".to_owned(),
        _ => match last.to_string() {
            // The words of rustls and of OpenSSL.
            text if ["InvalidContentType", "wrong version number"]
                .iter()
                .any(|words| text.contains(words)) =>
            {
                "what answers there doesn't speak TLS; is it http:// and not https://?".to_owned()
            }
            text => text,
        },
    }
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

/// A body that fails when nothing has come for too long, and says how it was cut.
struct Idle<S> {
    bytes: S,
    limit: Duration,
    /// Since when nothing is there; what the reader spends on its own doesn't count.
    since: Option<Instant>,
    /// Looked at only when it fires: re-arming a timer for each packet costs more than the packet.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> Idle<S> {
    fn new(bytes: S, limit: Duration) -> Self {
        Self { bytes, limit, since: None, timer: None }
    }
}

impl<S: Stream<Item = reqwest::Result<Bytes>> + Unpin> Stream for Idle<S> {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Poll::Ready(item) = Pin::new(&mut this.bytes).poll_next(cx) {
            this.since = None;
            return Poll::Ready(item.map(|item| item.map_err(cut)));
        }
        let since = *this.since.get_or_insert_with(Instant::now);
        // A limit beyond the end of time is none.
        let Some(end) = since.checked_add(this.limit) else { return Poll::Pending };
        let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
        loop {
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= end {
                let message = format!("the answer stalled: nothing came for {}", seconds(this.limit));
                return Poll::Ready(Some(Err(Error::new(ErrorKind::Timeout, message))));
            }
            timer.as_mut().reset(end);
        }
    }
}

fn cut(error: reqwest::Error) -> Error {
    Error::interrupted("the connection was cut in the middle of the answer").with_source(error.without_url())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    #[test]
    fn a_parameter_is_escaped_and_gives_way_to_one_of_the_request() {
        let parameter = Parameter::new(("api-version".to_owned(), "2024 10&21".to_owned()));
        assert_eq!(parameter.pair, "api-version=2024%2010%2621");
        assert!(parameter.is_in("a=b&api-version=x") && !parameter.is_in("xapi-version=1"));
    }

    #[tokio::test]
    async fn what_is_larger_than_any_answer_is_an_error_before_it_is_kept() {
        let piece = Bytes::from(vec![b' '; 16 << 20]);
        let endless = || ByteStream::new(stream::repeat_with(move || Ok(piece.clone())));
        let read = no_larger_than_an_answer(endless()).collect::<Vec<_>>().await;
        assert_eq!(read.len(), (LONGEST_BODY >> 24) + 1);
        let error = read.last().and_then(|last| last.as_ref().err());
        assert_eq!(error.map(Error::kind), Some(ErrorKind::Decode));
    }

    fn idle(limit: Duration, gaps: &'static [u64]) -> ByteStream {
        let pieces = stream::iter(gaps).then(|gap| async move {
            tokio::time::sleep(Duration::from_millis(*gap)).await;
            Ok(Bytes::from_static(b": still here\n"))
        });
        ByteStream::new(Idle::new(Box::pin(pieces), limit))
    }

    #[tokio::test(start_paused = true)]
    async fn any_byte_re_arms_the_timer() {
        let pieces = idle(Duration::from_millis(100), &[90, 90, 90, 90, 150]).collect::<Vec<_>>().await;
        assert_eq!(pieces.iter().filter(|piece| piece.is_ok()).count(), 4);
        assert_eq!(
            pieces.get(4).and_then(|piece| piece.as_ref().err()).map(Error::kind),
            Some(ErrorKind::Timeout)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_reader_spends_on_its_own_does_not_count() {
        let mut pieces = idle(Duration::from_millis(100), &[10, 90]);
        assert!(pieces.next().await.is_some_and(|piece| piece.is_ok()));
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(pieces.next().await.is_some_and(|piece| piece.is_ok()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_beyond_the_end_of_time_is_none() {
        let mut pieces = idle(Duration::MAX, &[5_000_000]);
        assert!(pieces.next().await.is_some_and(|piece| piece.is_ok()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_drips_is_told_after_a_few_seconds() {
        let drip = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Some((Ok(Bytes::from_static(b"x")), ()))
        });
        let begin = Instant::now();
        assert!((14..=15).contains(&first_bytes(Box::pin(drip)).await.len()));
        assert!(begin.elapsed() <= SLOWEST_FAILURE);
    }
}
