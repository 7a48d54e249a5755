use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method};
use serde::Serialize;

use crate::{Document, Error, Result, form};

/// One OpenAI-shaped request. A clone shares the body, so retry and fallback cost nothing.
///
/// ```
/// use modelswitch_provider::{Endpoint, Request};
/// use serde_json::json;
///
/// let request = Request::chat(&json!({ "model": "fast", "messages": [{ "role": "user", "content": "hi" }] }))?;
/// assert_eq!(request.endpoint, Endpoint::CHAT_COMPLETIONS);
/// assert_eq!(request.model().as_deref(), Some("fast"));
/// assert!(!request.is_stream());
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Request {
    /// What is asked for.
    pub endpoint: Endpoint,
    /// What is sent.
    pub body: Payload,
    /// Headers of the caller's own. Credentials don't belong here: the transport adds the provider's.
    pub headers: HeaderMap,
    /// Typed values for layers and providers; they never reach the wire.
    pub extensions: Extensions,
}

impl Request {
    /// A request with a body.
    pub fn new(endpoint: Endpoint, body: impl Into<Payload>) -> Self {
        Self { endpoint, body: body.into(), headers: HeaderMap::new(), extensions: Extensions::new() }
    }

    /// A chat completion from anything that serialises to its JSON: `json!`, async-openai's struct, one of your own.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) when it isn't a JSON object.
    pub fn chat(body: &(impl Serialize + ?Sized)) -> Result<Self> {
        Ok(Self::new(Endpoint::CHAT_COMPLETIONS, Document::from_serialize(body)?))
    }

    /// The list of models.
    pub fn models() -> Self {
        Self::new(Endpoint::MODELS, Payload::Empty)
    }

    /// The body, when it is JSON.
    pub fn document(&self) -> Option<&Document> {
        match &self.body {
            Payload::Json(document) => Some(document),
            Payload::Empty | Payload::Raw { .. } => None,
        }
    }

    /// The body to change, when it is JSON.
    pub fn document_mut(&mut self) -> Option<&mut Document> {
        match &mut self.body {
            Payload::Json(document) => Some(document),
            Payload::Empty | Payload::Raw { .. } => None,
        }
    }

    /// The model that is asked for, in JSON or in a multipart form. `None` when there is none.
    pub fn model(&self) -> Option<Cow<'_, str>> {
        self.field("model").filter(|model| !model.is_empty())
    }

    /// The model, for whoever would take another one where there is none: a model that is no text must not count as
    /// none. `null` and an empty text do.
    ///
    /// ```
    /// use modelswitch_provider::Request;
    /// use serde_json::json;
    ///
    /// let request = Request::chat(&json!({ "model": 5 }))?;
    /// assert_eq!(request.model(), None);
    /// assert!(request.checked_model().is_err_and(|error| error.param() == Some("model")));
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) when the model is there and is no text.
    pub fn checked_model(&self) -> Result<Option<Cow<'_, str>>> {
        let is_there = match &self.body {
            Payload::Json(document) => document.has("model"),
            Payload::Raw { content_type, bytes } => form::field(content_type, bytes, "model").is_some(),
            Payload::Empty => false,
        };
        match self.field("model") {
            Some(model) => Ok(Some(model).filter(|model| !model.is_empty())),
            None if is_there => Err(Error::invalid_request("`model` must be a text")
                .with_param("model")
                .with_hint("set the request's model to a name in quotes, or leave it out")),
            None => Ok(None),
        }
    }

    /// Asks for another model, in JSON or in a multipart form; a form without the field, and any other body, stays as
    /// it is.
    pub fn set_model(&mut self, model: &str) {
        if self.field("model").as_deref() == Some(model) {
            return;
        }
        match &mut self.body {
            Payload::Json(document) => document.set_str("model", model),
            Payload::Raw { content_type, bytes } => {
                if let Some(place) = form::field(content_type, bytes, "model") {
                    *bytes = form::replace(bytes, place, model.as_bytes());
                }
            }
            Payload::Empty => {}
        }
    }

    /// True when the answer is wanted as a stream of events.
    pub fn is_stream(&self) -> bool {
        match &self.body {
            Payload::Json(document) => document.bool("stream") == Some(true),
            Payload::Raw { .. } => self.field("stream").as_deref() == Some("true"),
            Payload::Empty => {
                self.endpoint.query().is_some_and(|query| query.split('&').any(|pair| pair == "stream=true"))
            }
        }
    }

    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        match &self.body {
            Payload::Json(document) => document.str(name),
            Payload::Raw { content_type, bytes } => {
                let place = form::field(content_type, bytes, name)?;
                std::str::from_utf8(bytes.get(place)?).ok().map(Cow::Borrowed)
            }
            Payload::Empty => None,
        }
    }
}

/// Sizes, and the names of headers: what is in them may be a key that stands in the wrong place.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.keys().map(HeaderName::as_str).collect();
        f.debug_struct("Request")
            .field("endpoint", &self.endpoint)
            .field("body", &self.body)
            .field("headers", &headers)
            .finish_non_exhaustive()
    }
}

/// What is sent with a request.
#[derive(Clone)]
#[non_exhaustive]
pub enum Payload {
    /// Nothing: GET and DELETE.
    Empty,
    /// A JSON object.
    Json(Document),
    /// Anything else, such as a multipart form, as the bytes that go out.
    Raw {
        /// The `content-type`, with the boundary of a form.
        content_type: HeaderValue,
        /// The bytes.
        bytes: Bytes,
    },
}

impl From<Document> for Payload {
    fn from(document: Document) -> Self {
        Self::Json(document)
    }
}

/// Sizes only: a payload may be somebody's prompt.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Json(document) => f.debug_tuple("Json").field(document).finish(),
            Self::Raw { content_type, bytes } => {
                write!(f, "Raw({content_type:?}, {} B)", bytes.len())
            }
        }
    }
}

/// What is asked for: a method and a path under a provider's base URL, as OpenAI names it (`/chat/completions`).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    method: Method,
    path: Cow<'static, str>,
}

impl Endpoint {
    /// `POST /chat/completions`
    pub const CHAT_COMPLETIONS: Self = Self::post("/chat/completions");
    /// `POST /completions`
    pub const COMPLETIONS: Self = Self::post("/completions");
    /// `POST /embeddings`
    pub const EMBEDDINGS: Self = Self::post("/embeddings");
    /// `POST /responses`
    pub const RESPONSES: Self = Self::post("/responses");
    /// `GET /models`
    pub const MODELS: Self = Self { method: Method::GET, path: Cow::Borrowed("/models") };

    const fn post(path: &'static str) -> Self {
        Self { method: Method::POST, path: Cow::Borrowed(path) }
    }

    /// Any endpoint. The path starts with a slash and may carry a query: `/files?limit=3`.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for a path that could leave the base URL, or that URL
    /// parsers would cut.
    pub fn new(method: Method, path: impl Into<Cow<'static, str>>) -> Result<Self> {
        let path = path.into();
        // URL parsers drop tabs and line breaks, wherever they stand, and cut at `#`: `/.\t./` would become `/../`.
        if path.contains(|c: char| c.is_control() || c == ' ' || c == '#') {
            return Err(Error::invalid_request(
                "the path must have no control characters, spaces and `#`; write them escaped, as %20 and %23",
            ));
        }
        let plain = path.split('?').next().unwrap_or_default();
        let leaves = plain.split('/').any(|part| matches!(part, "." | "..") || is_encoded_dots(part));
        if !path.starts_with('/') || path.starts_with("//") || plain.contains('\\') || leaves {
            return Err(Error::invalid_request(
                "the path must start with one `/` and have no `.` or `..` parts",
            ));
        }
        Ok(Self { method, path })
    }

    /// The HTTP method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        let end = memchr::memchr(b'?', self.path.as_bytes()).unwrap_or(self.path.len());
        self.path.get(..end).unwrap_or_default()
    }

    /// The query, without its question mark.
    pub fn query(&self) -> Option<&str> {
        self.path.split_once('?').map(|(_, query)| query)
    }

    /// The path with the query.
    pub fn path_and_query(&self) -> &str {
        &self.path
    }
}

/// Without what is in the query.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let query = if self.query().is_some() { "?…" } else { "" };
        write!(f, "Endpoint({self}{query})")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path())
    }
}

/// URL parsers take `%2e` for a dot when they resolve `..`.
fn is_encoded_dots(part: &str) -> bool {
    part.contains('%') && matches!(part.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_leave_the_base_url() {
        for path in ["chat", "//evil.example/x", "/../x", "/a/%2E./b", "/a\\b", ""] {
            assert!(Endpoint::new(Method::GET, path).is_err(), "{path}");
        }
        let endpoint = Endpoint::new(Method::GET, "/files/file-1..2?after=..&limit=3").unwrap();
        assert_eq!((endpoint.path(), endpoint.query()), ("/files/file-1..2", Some("after=..&limit=3")));
    }

    #[test]
    fn a_path_has_nothing_that_url_parsers_drop_or_cut_at() {
        for path in ["/.\t./evil", "/.\r./x", "/a\n", "/a b", "/a ", "/a#b", "/a?b#c", "/a?b=\t", "/\u{7f}"] {
            assert!(Endpoint::new(Method::GET, path).is_err(), "{path:?}");
        }
        assert!(Endpoint::new(Method::GET, "/models/a%20b%23c?after=é").is_ok());
    }

    #[test]
    fn a_model_that_is_no_text_is_refused_and_not_taken_for_none() {
        let ask = |body: serde_json::Value| Request::chat(&body).unwrap();
        for model in [serde_json::json!(5), serde_json::json!(["m"]), serde_json::json!(false)] {
            let error = ask(serde_json::json!({ "model": model })).checked_model().unwrap_err();
            assert_eq!((error.kind(), error.param()), (crate::ErrorKind::InvalidRequest, Some("model")));
        }
        for body in
            [serde_json::json!({}), serde_json::json!({ "model": null }), serde_json::json!({ "model": "" })]
        {
            assert_eq!(ask(body).checked_model().unwrap(), None);
        }
        let named = ask(serde_json::json!({ "model": "m" }));
        assert_eq!(named.checked_model().unwrap().as_deref(), Some("m"));
        assert!(Request::models().checked_model().unwrap().is_none());
    }

    #[test]
    fn a_request_says_whether_it_wants_a_stream() {
        let ask = |body: serde_json::Value| Request::chat(&body).unwrap().is_stream();
        assert!(ask(serde_json::json!({ "stream": true })));
        assert!(!ask(serde_json::json!({ "stream": false })) && !ask(serde_json::json!({})));
        let get = Endpoint::new(Method::GET, "/responses/r1?stream=true").unwrap();
        assert!(Request::new(get, Payload::Empty).is_stream());
    }
}
