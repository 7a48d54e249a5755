//! What a service really speaks: requests put as it takes them, answers put in the one strict shape that async-openai
//! decodes. Both directions look before they parse; what conforms passes on as the bytes it came in.

mod chunk;
mod events;
mod inward;
mod outward;
mod reasoning;
mod repair;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Method;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use modelswitch_provider::{
    Body, ByteStream, ChatCompletion, Endpoint, Error, Event, EventStream, Head, Request, Response, Result,
};

use crate::Profile;
use crate::transport::{Answer, Transport, whole};

/// A profile, ready to work.
#[derive(Clone)]
pub(crate) struct Dialect {
    profile: Arc<Profile>,
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
            _ => Self::Other,
        }
    }
}

impl Dialect {
    pub(crate) fn new(profile: Profile) -> Self {
        Self { profile: Arc::new(profile) }
    }

    pub(crate) fn profile(&self) -> &Profile {
        &self.profile
    }

    /// One request out and one answer back, both in OpenAI's shape on this side.
    pub(crate) async fn exchange(
        &self,
        name: &Arc<str>,
        transport: &Transport,
        request: Request,
    ) -> Result<Response> {
        let kind = Kind::of(&request.endpoint);
        let (request, adaptations) = inward::adapt(&self.profile, kind, request)?;
        for adaptation in &adaptations {
            tracing::debug!(
                provider = &**name,
                parameter = adaptation.parameter,
                change = adaptation.change,
                "request adapted"
            );
        }
        let answer = transport.send(&self.profile, &request).await.map_err(|error| self.explain(error))?;
        let Answer { status, headers, body } = answer;
        let mut head = Head::default();
        head.provider = Some(name.clone());
        head.model = request.model().map(|model| Arc::from(&*model));
        head.status = status;
        head.request_id = self.profile.request_id(&headers);
        head.headers = headers;
        head.adaptations = adaptations;
        match self.shape(kind, &request, &head, body).await {
            Ok(body) => Ok(Response { head, body }),
            Err(error) => Err(self.explain(head.blame(error).with_status(status))),
        }
    }

    async fn shape(&self, kind: Kind, request: &Request, head: &Head, body: ByteStream) -> Result<Body> {
        let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let packed = header(CONTENT_ENCODING);
        if kind != Kind::Other && !matches!(packed, "" | "identity") {
            return Err(Error::decode(format!("the answer is packed ({packed}), which was not asked for"))
                .with_hint("switch compression off at the service or at the proxy before it"));
        }
        let content_type = header(CONTENT_TYPE).to_ascii_lowercase();
        let is_events = content_type.starts_with("text/event-stream");
        let is_json = content_type.contains("json");
        if is_events {
            return self.events(kind, request, head, body).await;
        }
        if kind == Kind::Other && !is_json {
            return Ok(Body::Other(body));
        }
        if request.is_stream() && !is_json {
            // Without a content type that says so, the first byte tells a stream from a document.
            let (first, body) = first_byte(body).await?;
            if !matches!(first, Some(b'{' | b'[')) {
                return self.events(kind, request, head, body).await;
            }
            return self.document(kind, request, head, whole(body).await?);
        }
        self.document(kind, request, head, whole(body).await?)
    }

    /// A stream of events; for a request that wanted none, the completion it amounts to.
    async fn events(&self, kind: Kind, request: &Request, head: &Head, body: ByteStream) -> Result<Body> {
        let events = events::read(self.profile.clone(), kind, head.clone(), body);
        if request.is_stream() || kind != Kind::Chat {
            return Ok(Body::Events(events));
        }
        let response = Response { head: head.clone(), body: Body::Events(events) };
        let completion = modelswitch_provider::ChatStream::new(response)?.completion().await?;
        let Body::Json(bytes) = Response::json(&completion)?.body else {
            return Err(Error::decode("the collected stream can't be written"));
        };
        Ok(Body::Json(outward::shape(&self.profile, kind, head, bytes)?))
    }

    /// A whole document; for a request that wanted a stream, as the one event of a stream.
    fn document(&self, kind: Kind, request: &Request, head: &Head, body: Bytes) -> Result<Body> {
        let body = outward::shape(&self.profile, kind, head, body)?;
        if !request.is_stream() {
            return Ok(Body::Json(body));
        }
        let event = match kind {
            Kind::Chat => {
                let whole: ChatCompletion = serde_json::from_slice(&body)
                    .map_err(|error| Error::decode_json("the answer", &error))?;
                let Body::Json(chunk) = Response::json(&whole.into_chunk())?.body else {
                    return Err(Error::decode("the answer can't be written as a chunk"));
                };
                Event::new(chunk)
            }
            Kind::Completion => Event::new(body),
            Kind::Embeddings | Kind::Models | Kind::Model | Kind::Responses | Kind::Other => {
                return Ok(Body::Json(body));
            }
        };
        Ok(Body::Events(EventStream::new(stream::iter([Ok(event)]))))
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

/// Waits for the first byte that isn't white space: services send blank lines to keep a connection alive.
async fn first_byte(mut body: ByteStream) -> Result<(Option<u8>, ByteStream)> {
    while let Some(bytes) = body.next().await.transpose()? {
        let text = bytes.trim_ascii_start();
        let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
        if let Some(first) = text.first().copied() {
            return Ok((Some(first), ByteStream::new(stream::iter([Ok(bytes)]).chain(body))));
        }
    }
    Ok((None, Bytes::new().into()))
}
