//! What a service really speaks: requests put as it takes them, answers put in the one strict shape that async-openai
//! decodes. Both directions look before they parse; what conforms passes on as the bytes it came in.

mod beginning;
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
#[cfg(test)]
mod identity;
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
#[cfg(test)]
mod unread;
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
use serde_json::json;
use serde_json::value::RawValue;

use self::beginning::{First, LONGEST_LINE, beginning, first_line, is_line_of_stream};
use self::inward::Adapted;
use self::look::mould::Moulds;
use crate::adapter::to_json;
use crate::profile::BrokenOff;
use crate::scrub::Scrub;
use crate::transport::{Answer, Transport, no_larger_than_an_answer, whole};
use crate::{Policies, Profile};

/// A profile, ready to work.
#[derive(Clone)]
pub(crate) struct Dialect {
    profile: Arc<Profile>,
    places: Arc<reasoning::Names>,
    moulds: Arc<Moulds>,
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
    /// Where its answers may have reasoning.
    places: Arc<reasoning::Names>,
    /// How its whole answers are written.
    moulds: Arc<Moulds>,
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
        let places = Arc::new(reasoning::Names::new(&profile.reasoning.fields));
        Self { profile: Arc::new(profile), places, moulds: Arc::default(), policies: Policies::default() }
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
        let Adapted { request, adaptations, answer, functions } =
            inward::adapt(&self.profile, policies, kind, request)?;
        for adaptation in &adaptations {
            let (parameter, change) = (&adaptation.parameter, &adaptation.change);
            tracing::debug!("gen_ai.provider.name" = &**name, parameter, change, "request adapted");
        }
        let scrub = Scrub::new(transport.key.clone(), request.clone());
        let sent = transport.send(&self.profile, &scrub, &request).await;
        let Answer { status, version, headers, body } = match sent {
            Ok(answer) => answer,
            Err(error) => return Err(self.explain(error).with_adaptations(adaptations)),
        };
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
            places: self.places.clone(),
            moulds: self.moulds.clone(),
            kind,
            wants_stream: request.is_stream(),
            // A download is whatever it is.
            is_download: request.endpoint.path().ends_with("/content"),
            wants_usage,
            asked_functions: request.document().is_some_and(|body| body.has("functions")),
            wants_base64: request.document().and_then(|body| body.str("encoding_format")).as_deref()
                == Some("base64"),
            salt: RandomState::new().build_hasher().finish(),
            head,
            scrub,
        };
        let read = context.read(body).await;
        let head = context.head;
        match read {
            Ok(body) => {
                let adaptations = head.adaptations.clone();
                let applied = answer.apply(Response { head, body }).and_then(|response| match functions {
                    Some(functions) => functions.apply(response),
                    None => Ok(response),
                });
                applied.map_err(|error| self.explain(error).with_adaptations(adaptations))
            }
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
    /// The body of an answer, as what it is: its beginning tells a document from a stream of events, since content
    /// types are often wrong.
    async fn read(&self, body: ByteStream) -> Result<Body> {
        let header =
            |name| self.head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if self.is_download {
            return Ok(Body::Other(body));
        }
        if self.kind == Kind::Other {
            let content_type = header(CONTENT_TYPE).to_ascii_lowercase();
            return match content_type.split(';').next().unwrap_or_default().trim() {
                "text/html" => Err(outward::web_page()),
                "text/event-stream" => Ok(Body::Events(events::read(self.clone(), body))),
                // Lines of JSON, which name it too, are no document.
                kind if kind == "application/json" || kind.ends_with("+json") => {
                    Ok(Body::Json(outward::shape(self, whole(Bytes::new(), body).await?)?))
                }
                _ => Ok(Body::Other(body)),
            };
        }
        let packed = header(CONTENT_ENCODING);
        if !matches!(packed, "" | "identity") {
            return Err(Error::decode(format!("the answer is packed ({packed}), which was not asked for"))
                .with_hint("switch compression off at the service or at the proxy before it"));
        }
        let (first, read, body) = beginning(body).await?;
        match first {
            Some(First::Events) => self.events(after(read, body)).await,
            None if self.wants_stream => {
                Err(Error::decode("the stream is empty").with_hint(outward::TRY_AGAIN))
            }
            Some(First::Byte(b'{')) if self.wants_stream => self.lines_or_document(after(read, body)).await,
            Some(First::Byte(b'[')) if self.wants_stream => {
                self.chunks_or_document(whole(read, body).await?).await
            }
            Some(First::Byte(_)) | None => self.document(whole(read, body).await?),
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
                    return self.events(after(read.freeze(), body)).await;
                }
                None if read.len() < LONGEST_LINE => {}
                Some(_) | None => break,
            }
        }
        let text = whole(read.freeze(), body).await?;
        // One line alone, without an end, may be the last.
        if is_line_of_stream(text.trim_ascii()) {
            self.events(text.into()).await
        } else {
            self.document(text)
        }
    }

    /// For a request that wanted a stream, a list may be all of its chunks.
    async fn chunks_or_document(&self, text: Bytes) -> Result<Body> {
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
                Event::new(calls::without_custom(to_json(&whole.into_chunk())?)?)
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
}

/// A body from its beginning.
fn after(read: Bytes, rest: ByteStream) -> ByteStream {
    ByteStream::new(stream::iter([Ok(read)]).chain(rest))
}

#[cfg(any(test, feature = "bench", feature = "fuzz"))]
impl Context {
    /// Of a request that wanted nothing in particular.
    fn plain(profile: Profile, kind: Kind) -> Self {
        let mut head = Head::default();
        head.model = Some("asked".into());
        Self {
            places: Arc::new(reasoning::Names::new(&profile.reasoning.fields)),
            profile: Arc::new(profile),
            moulds: Arc::default(),
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

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(path: &'static str, content_type: &str, body: &'static str) -> Result<Body> {
        let kind = Kind::of(&Endpoint::new(Method::GET, path).unwrap());
        let mut context = Context::of_test("openai", kind);
        context.is_download = path.ends_with("/content");
        context.head.headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        context.read(Bytes::from(body).into()).await
    }

    #[tokio::test]
    async fn a_download_and_lines_of_json_pass_as_they_are() {
        for (path, content_type, body) in [
            ("/files/f/content", "application/json", "{\"error\":{\"message\":\"a line of a batch\"}}"),
            ("/files/f/content", "text/event-stream", "data: x"),
            ("/files/f/content", "text/html", "<html>"),
            ("/files/f/lines", "application/jsonl", "{}\n{}"),
            ("/files/f/lines", "application/x-ndjson; charset=utf-8", "{}\n{}"),
        ] {
            let read = read(path, content_type, body).await;
            assert!(matches!(read, Ok(Body::Other(_))), "{path} {content_type}");
        }
        for content_type in
            ["application/json", "Application/JSON; charset=utf-8", "application/problem+json"]
        {
            assert!(matches!(read("/files", content_type, "{}").await, Ok(Body::Json(_))), "{content_type}");
        }
        assert!(read("/files", "text/html; charset=utf-8", "<html>").await.is_err());
    }
}
