//! What a service really speaks: requests put as it takes them, answers put in the one strict shape that async-openai
//! decodes. Both directions look before they parse; what conforms passes on as the bytes it came in.

#[cfg(feature = "bench")]
pub mod bench;
mod calls;
mod chunk;
mod embeddings;
mod events;
mod finish;
mod fit;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod inward;
mod look;
mod mend;
mod models;
mod outward;
#[cfg(test)]
mod properties;
mod reasoning;
mod repair;
mod responses;
mod seen;
mod thought;
mod usage;
mod whole;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::Method;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use modelswitch_provider::{
    Body, ByteStream, ChatCompletion, ChatStream, CompletionStream, Endpoint, Error, Event, EventStream,
    Head, Request, Response, Result, WantsUsage,
};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use self::inward::Adapted;
use self::seen::Seen;
use crate::adapter::to_json;
use crate::profile::BrokenOff;
use crate::scrub::Scrub;
use crate::sse::BYTE_ORDER_MARK;
use crate::transport::{Answer, Transport, no_larger_than_an_answer, whole};
use crate::{Policies, Profile};

/// A profile, ready to work.
#[derive(Clone)]
pub(crate) struct Dialect {
    profile: Arc<Profile>,
    policies: Policies,
}

/// The endpoints whose bodies are known here; all others pass as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Chat,
    Completion,
    Embeddings,
    Models,
    Model,
    Responses,
    /// Anthropic's, which some services have on the side. It passes as it is; what is known of it is how it fails and ends.
    Messages,
    Other,
}

impl Kind {
    pub(crate) fn of(endpoint: &Endpoint) -> Self {
        match (endpoint.method(), endpoint.path()) {
            (&Method::POST, "/chat/completions") => Self::Chat,
            (&Method::POST, "/completions") => Self::Completion,
            (&Method::POST, "/embeddings") => Self::Embeddings,
            (&Method::GET, "/models") => Self::Models,
            (&Method::GET, path) if path.starts_with("/models/") => Self::Model,
            (&Method::POST, "/responses") => Self::Responses,
            (&Method::POST, "/anthropic/v1/messages" | "/v1/messages" | "/messages") => Self::Messages,
            _ => Self::Other,
        }
    }
}

/// In [`Request::extensions`](modelswitch_provider::Request::extensions): an answer that the service broke off ends with the
/// finish reason `length`, and the service's own word beside it as `native_finish_reason`, instead of with an error. The same
/// for all requests is `broken_off` in [`ResponseRules`](crate::ResponseRules).
///
/// ```
/// use modelswitch_openai::BrokenOffIsFinishReason;
/// use modelswitch_provider::Request;
/// use serde_json::json;
///
/// let mut request = Request::chat(&json!({ "model": "m", "messages": [] }))?;
/// request.extensions.insert(BrokenOffIsFinishReason);
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct BrokenOffIsFinishReason;

/// What is known of one exchange while its answer is read.
#[derive(Clone)]
pub(crate) struct Context {
    profile: Arc<Profile>,
    kind: Kind,
    wants_stream: bool,
    is_download: bool,
    /// The app, or a layer, wants the usage of a stream.
    wants_usage: bool,
    /// The app offered functions in the way before tools.
    asked_functions: bool,
    /// Embeddings are wanted packed.
    wants_base64: bool,
    /// For ids that are made up: another for every answer.
    salt: u64,
    head: Head,
    scrub: Scrub,
}

impl Dialect {
    pub(crate) fn new(profile: Profile) -> Self {
        Self { profile: Arc::new(profile), policies: Policies::default() }
    }

    pub(crate) fn with_policies(self, policies: Policies) -> Self {
        Self { policies, ..self }
    }

    pub(crate) fn profile(&self) -> &Profile {
        &self.profile
    }

    /// One request out and one answer back, both in OpenAI's shape on this side.
    pub(crate) async fn exchange(
        &self,
        name: &Arc<str>,
        transport: &Transport,
        mut request: Request,
    ) -> Result<Response> {
        let kind = Kind::of(&request.endpoint);
        let wants_usage = self.ask_usage(kind, &mut request)?;
        let policies = request.extensions.get::<Policies>().copied().unwrap_or(self.policies);
        let Adapted { request, adaptations, answer } = inward::adapt(&self.profile, policies, kind, request)?;
        for adaptation in &adaptations {
            let (parameter, change) = (&adaptation.parameter, &adaptation.change);
            tracing::debug!("gen_ai.provider.name" = &**name, parameter, change, "request adapted");
        }
        let scrub = Scrub::new(transport.key.clone(), request.clone());
        let sent = transport.send(&self.profile, &scrub, &request).await;
        let Answer { status, version, headers, body } = sent.map_err(|error| self.explain(error))?;
        let mut head = Head::default();
        head.provider = Some(name.clone());
        head.model = request.model().map(|model| Arc::from(&*model));
        head.status = status;
        head.version = Some(version);
        head.request_id = self.profile.request_id(&headers);
        head.headers = headers;
        head.adaptations = adaptations;
        let context = Context {
            profile: self.profile_for(&request, policies),
            kind,
            wants_stream: request.is_stream(),
            // A download is whatever it is.
            is_download: request.endpoint.path().ends_with("/content"),
            wants_usage,
            asked_functions: request.document().is_some_and(|body| body.has("functions")),
            wants_base64: request.document().and_then(|body| body.str("encoding_format")).as_deref()
                == Some("base64"),
            salt: RandomState::new().build_hasher().finish(),
            head: head.clone(),
            scrub,
        };
        match context.read(body).await {
            Ok(body) => answer.apply(Response { head, body }).map_err(|error| self.explain(error)),
            Err(error) => Err(self.explain(head.blame(error).with_status(status))),
        }
    }

    /// Asks for the usage of a stream where a layer wants it. True when it was asked for, by whomever.
    fn ask_usage(&self, kind: Kind, request: &mut Request) -> Result<bool> {
        if !matches!(kind, Kind::Chat | Kind::Completion) || !request.is_stream() {
            return Ok(false);
        }
        let for_a_layer = request.extensions.get::<WantsUsage>().is_some();
        if for_a_layer && self.profile.request.stream_options != Some(false) {
            request.include_usage()?;
        }
        Ok(request.includes_usage())
    }

    fn profile_for(&self, request: &Request, policies: Policies) -> Arc<Profile> {
        let is_wanted = policies.broken_off == BrokenOff::FinishReason
            || request.extensions.get::<BrokenOffIsFinishReason>().is_some();
        if !is_wanted {
            return self.profile.clone();
        }
        let mut profile = Profile::clone(&self.profile);
        profile.response.broken_off = BrokenOff::FinishReason;
        Arc::new(profile)
    }

    /// Counts the try, and gives the profile's advice to errors that were not a service's own.
    fn explain(&self, error: Error) -> Error {
        let error = error.with_attempts(1);
        match self.profile.hint(error.kind()) {
            Some(hint) if error.upstream_body().is_none() => error.with_hint(hint.to_owned()),
            _ => error,
        }
    }
}

impl Context {
    /// The body of an answer, as what it is: the first byte tells a document from a stream of events, since content
    /// types are often wrong.
    async fn read(&self, body: ByteStream) -> Result<Body> {
        let header =
            |name| self.head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let content_type = header(CONTENT_TYPE).to_ascii_lowercase();
        let (says_events, says_json) =
            (content_type.starts_with("text/event-stream"), content_type.contains("json"));
        if self.kind == Kind::Other {
            if content_type.starts_with("text/html") && !self.is_download {
                return Err(outward::web_page());
            }
            return match (says_events, says_json) {
                (true, _) => Ok(Body::Events(events::read(self.clone(), body))),
                (false, true) => Ok(Body::Json(outward::shape(self, whole(body).await?)?)),
                (false, false) => Ok(Body::Other(body)),
            };
        }
        let packed = header(CONTENT_ENCODING);
        if !matches!(packed, "" | "identity") {
            return Err(Error::decode(format!("the answer is packed ({packed}), which was not asked for"))
                .with_hint("switch compression off at the service or at the proxy before it"));
        }
        let (first, body) = first_byte(body).await?;
        let first = first.map(|byte| byte.to_ascii_lowercase());
        match first {
            // `data:`, `event:`, `id:`, `retry:` or a comment; JSON and web pages begin otherwise.
            Some(b'd' | b'e' | b'i' | b'r' | b':') => self.events(body).await,
            None if self.wants_stream => {
                Err(Error::decode("the stream is empty").with_hint(outward::TRY_AGAIN))
            }
            Some(b'{') if self.wants_stream => self.lines_or_document(body).await,
            Some(b'[') if self.wants_stream => self.chunks_or_document(body).await,
            Some(_) | None => self.document(whole(body).await?),
        }
    }

    /// For a request that wanted a stream, JSON may be the whole answer, or the first line of a stream of lines.
    async fn lines_or_document(&self, mut body: ByteStream) -> Result<Body> {
        let mut read = BytesMut::new();
        while let Some(bytes) = body.next().await.transpose()? {
            let ends_a_line = memchr::memchr2(b'\n', b'\r', &bytes).is_some();
            read.extend_from_slice(&bytes);
            match first_line(&read).filter(|_| ends_a_line) {
                Some(line) if is_line_of_stream(line) => {
                    let rest = stream::iter([Ok(read.freeze())]).chain(body);
                    return self.events(ByteStream::new(rest)).await;
                }
                None if read.len() < LONGEST_LINE => {}
                Some(_) | None => break,
            }
        }
        let rest = stream::iter([Ok(read.freeze())]).chain(body);
        let text = whole(ByteStream::new(rest)).await?;
        // One line alone, without an end, may be the last.
        if is_line_of_stream(text.trim_ascii()) {
            self.events(text.into()).await
        } else {
            self.document(text)
        }
    }

    /// For a request that wanted a stream, a list may be all of its chunks.
    async fn chunks_or_document(&self, body: ByteStream) -> Result<Body> {
        let text = whole(body).await?;
        let items: Vec<&RawValue> = serde_json::from_slice(&text).unwrap_or_default();
        if items.is_empty() || !items.iter().all(|item| is_line_of_stream(item.get().as_bytes())) {
            return self.document(text);
        }
        // A line break in JSON is nothing but white space.
        let lines = items.iter().map(|item| format!("data: {}\n\n", item.get().replace(['\n', '\r'], " ")));
        self.events(Bytes::from(lines.collect::<String>()).into()).await
    }

    /// A stream of events; for a request that wanted none, the answer it amounts to.
    async fn events(&self, body: ByteStream) -> Result<Body> {
        if self.wants_stream {
            return Ok(Body::Events(events::read(self.clone(), body)));
        }
        let mut events = events::read(self.clone(), no_larger_than_an_answer(body));
        let whole = match self.kind {
            Kind::Chat => {
                let response = Response { head: self.head.clone(), body: Body::Events(events) };
                to_json(&ChatStream::new(response)?.completion().await?)?
            }
            Kind::Completion => {
                let response = Response { head: self.head.clone(), body: Body::Events(events) };
                to_json(&CompletionStream::new(response)?.completion().await?)?
            }
            Kind::Responses => {
                let mut last = None;
                while let Some(event) = events.next().await.transpose()? {
                    last = Some(event);
                }
                let last: serde_json::Value = last.map(|event| event.json()).transpose()?.unwrap_or_default();
                to_json(&last.get("response"))?
            }
            Kind::Embeddings | Kind::Models | Kind::Model | Kind::Messages | Kind::Other => {
                return Err(Error::decode("the service streams where a whole answer was asked for"));
            }
        };
        Ok(Body::Json(outward::shape(self, whole)?))
    }

    /// A whole document; for a request that wanted a stream, as the one event of a stream.
    fn document(&self, body: Bytes) -> Result<Body> {
        let body = outward::shape(self, body)?;
        if !self.wants_stream {
            return Ok(Body::Json(body));
        }
        let event = match self.kind {
            Kind::Chat => {
                let whole: ChatCompletion = serde_json::from_slice(&body)
                    .map_err(|error| Error::decode_json("the answer", &error))?;
                return self.one_chunk(to_json(&whole.into_chunk())?);
            }
            Kind::Completion => Event::new(body),
            Kind::Responses => {
                let response: Box<RawValue> = serde_json::from_slice(&body)
                    .map_err(|error| Error::decode_json("the answer", &error))?;
                let completed =
                    json!({ "type": "response.completed", "sequence_number": 0, "response": response });
                Event::new(completed.to_string()).with_name("response.completed")
            }
            Kind::Embeddings | Kind::Models | Kind::Model | Kind::Messages | Kind::Other => {
                return Ok(Body::Json(body));
            }
        };
        Ok(Body::Events(EventStream::new(stream::iter([Ok(event)]))))
    }

    /// A whole answer as the chunk that it would have been: what a chunk has no room for is put aside as in any stream.
    fn one_chunk(&self, chunk: Bytes) -> Result<Body> {
        let mut chunks = Vec::new();
        chunk::shape(self, &mut Seen::default(), chunk, &mut chunks)?;
        let events = chunks.into_iter().map(|chunk| Ok(Event::new(chunk)));
        Ok(Body::Events(EventStream::new(stream::iter(events.collect::<Vec<_>>()))))
    }
}

#[cfg(any(test, feature = "bench", feature = "fuzz"))]
impl Context {
    /// Of a request that wanted nothing in particular.
    fn plain(profile: Profile, kind: Kind) -> Self {
        let mut head = Head::default();
        head.model = Some("asked".into());
        Self {
            profile: Arc::new(profile),
            kind,
            wants_stream: false,
            is_download: false,
            wants_usage: false,
            asked_functions: false,
            wants_base64: false,
            salt: 7,
            head,
            scrub: Scrub::default(),
        }
    }
}

#[cfg(test)]
impl Context {
    fn of_test(profile: &str, kind: Kind) -> Self {
        Self::plain(Profile::embedded(profile).unwrap(), kind)
    }
}

/// Most of a line that is looked at as a chunk of a stream: a whole answer in one line may be longer.
const LONGEST_LINE: usize = 1 << 20;

/// The first line that has an end, if it isn't empty.
fn first_line(text: &[u8]) -> Option<&[u8]> {
    let text = text.trim_ascii_start();
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).trim_ascii_start();
    let end = memchr::memchr2(b'\n', b'\r', text)?;
    text.get(..end)
}

/// True for a line that is a chunk: JSON by itself, with a piece of an answer in it and not the whole.
fn is_line_of_stream(line: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Look<'a> {
        #[serde(borrow, default)]
        choices: Option<&'a RawValue>,
        done: Option<bool>,
        #[serde(borrow, default, rename = "type")]
        kind: Option<&'a RawValue>,
    }
    let Ok(look) = serde_json::from_slice::<Look<'_>>(line) else { return false };
    let choices = look.choices.map(RawValue::get).unwrap_or_default();
    let has_piece = choices.contains("\"delta\"") && !choices.contains("\"message\"");
    let is_event = look.kind.is_some_and(|kind| kind.get().starts_with("\"response."));
    has_piece || is_event || look.done.is_some()
}

/// Waits for the first byte that isn't white space: services send blank lines to keep a connection alive. What stands before it,
/// a byte order mark too, is taken away, so that it makes no difference how the bytes are split.
async fn first_byte(mut body: ByteStream) -> Result<(Option<u8>, ByteStream)> {
    let (mut half_a_mark, mut has_mark) = (Bytes::new(), false);
    while let Some(bytes) = body.next().await.transpose()? {
        let bytes = if half_a_mark.is_empty() { bytes } else { [half_a_mark, bytes].concat().into() };
        half_a_mark = Bytes::new();
        let mut text = bytes.trim_ascii_start();
        if !has_mark && let Some(rest) = text.strip_prefix(BYTE_ORDER_MARK) {
            text = rest.trim_ascii_start();
            has_mark = true;
        }
        let Some(first) = text.first().copied() else { continue };
        let text = bytes.slice_ref(text);
        if !has_mark && BYTE_ORDER_MARK.starts_with(&text) {
            half_a_mark = text;
            continue;
        }
        return Ok((Some(first), ByteStream::new(stream::iter([Ok(text)]).chain(body))));
    }
    Ok((half_a_mark.first().copied(), half_a_mark.into()))
}
