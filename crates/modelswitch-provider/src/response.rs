use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Extensions, HeaderMap, StatusCode, Version};
use serde::Serialize;

use crate::usage::Told;
use crate::{ByteStream, Error, ErrorKind, EventStream, Result};

/// What a provider answers: who answered and how, and the body.
///
/// ```
/// use modelswitch_provider::{Body, Response};
/// use serde_json::json;
///
/// let mut response = Response::json(&json!({ "choices": [] }))?;
/// response.head.provider = Some("mine".into());
/// assert!(matches!(response.body, Body::Json(_)));
/// let (head, body) = response.into_json()?;
/// assert_eq!((head.provider.as_deref(), body.as_ref()), (Some("mine"), &br#"{"choices":[]}"#[..]));
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Debug)]
pub struct Response {
    /// Who answered, at which try, with which headers and adaptations.
    pub head: Head,
    /// The answer itself.
    pub body: Body,
}

/// The answer itself.
#[non_exhaustive]
pub enum Body {
    /// A JSON document, complete.
    Json(Bytes),
    /// A stream of events, which ends properly or with an `Err`.
    Events(EventStream),
    /// Anything else, such as audio or a file.
    Other(ByteStream),
}

impl Response {
    /// An answer with an empty head.
    pub fn new(body: Body) -> Self {
        Self { head: Head::default(), body }
    }

    /// An answer that serialises to JSON.
    ///
    /// # Errors
    /// [`InvalidRequest`](ErrorKind::InvalidRequest) when it can't be serialised.
    pub fn json(value: &(impl Serialize + ?Sized)) -> Result<Self> {
        Ok(Self::new(Body::Json(crate::document::to_json(value)?)))
    }

    /// The whole body when it is JSON.
    ///
    /// # Errors
    /// [`Decode`](ErrorKind::Decode) when it is a stream or something else.
    pub fn into_json(self) -> Result<(Head, Bytes)> {
        match self.body {
            Body::Json(bytes) => Ok((self.head, bytes)),
            Body::Events(_) | Body::Other(_) => {
                Err(self.head.blame(Error::decode("the answer is not JSON where JSON was asked for")))
            }
        }
    }
}

/// Sizes only: a body is what somebody paid for.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(bytes) => write!(f, "Json({} B)", bytes.len()),
            Self::Events(_) => f.write_str("Events(…)"),
            Self::Other(_) => f.write_str("Other(…)"),
        }
    }
}

/// Who answered, and what had to be done for it.
///
/// ```
/// use modelswitch_provider::Head;
///
/// let mut head = Head::default();
/// head.provider = Some("deepseek".into());
/// head.model = Some("deepseek-flash".into());
/// assert_eq!(head.target().as_deref(), Some("deepseek/deepseek-flash"));
/// assert_eq!(head.attempts(), 1);
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Head {
    /// The provider that answered.
    pub provider: Option<Arc<str>>,
    /// The model that the provider was asked for. The body says which one served.
    pub model: Option<Arc<str>>,
    /// The HTTP status; 200 where there was none.
    pub status: StatusCode,
    /// The version of HTTP that the service spoke; `None` where there was none.
    pub version: Option<Version>,
    /// The service's headers, without cookies.
    pub headers: HeaderMap,
    /// The service's id of the request.
    pub request_id: Option<Arc<str>>,
    /// The tries before this one, oldest first.
    pub failures: Vec<Attempt>,
    /// What was changed in the request so that this provider could take it.
    pub adaptations: Vec<Adaptation>,
    /// Typed values that layers leave for whoever is above: what the call cost, whether a cache had it.
    pub extensions: Extensions,
    /// What [`Response::usage`] found.
    pub(crate) told: Option<Box<Told>>,
}

/// By all but the extensions, which can't be compared, and what was read out of the body.
impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            provider,
            model,
            status,
            version,
            headers,
            request_id,
            failures,
            adaptations,
            extensions: _,
            told: _,
        } = self;
        *provider == other.provider
            && *model == other.model
            && *status == other.status
            && *version == other.version
            && *headers == other.headers
            && *request_id == other.request_id
            && *failures == other.failures
            && *adaptations == other.adaptations
    }
}

impl Head {
    /// How many tries the answer took, this one included.
    pub fn attempts(&self) -> u32 {
        u32::try_from(self.failures.len()).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// Who answered, as `provider/model`; one of them where only one is known.
    pub fn target(&self) -> Option<String> {
        match (&self.provider, &self.model) {
            (Some(provider), Some(model)) => Some(format!("{provider}/{model}")),
            (Some(one), None) | (None, Some(one)) => Some(one.to_string()),
            (None, None) => None,
        }
    }

    /// Puts what this head knows on an error that came after it, such as a cut in the middle of a stream.
    pub fn blame(&self, mut error: Error) -> Error {
        if let Some(provider) = &self.provider {
            error = error.with_provider(provider.clone());
        }
        if let Some(model) = &self.model {
            error = error.with_model(model.clone());
        }
        if let Some(id) = &self.request_id
            && error.request_id().is_none()
        {
            error = error.with_request_id(id.clone());
        }
        if error.attempts() == 0 {
            error = error.with_attempts(1);
        }
        error.with_adaptations(self.adaptations.iter().cloned())
    }
}

/// One try that failed.
///
/// ```
/// use std::time::Duration;
///
/// use modelswitch_provider::{Attempt, Error, ErrorKind};
///
/// let busy = Error::new(ErrorKind::Overloaded, "too busy").with_provider("deepseek").with_attempts(1);
/// let tried = Attempt::of(&busy, Duration::from_millis(80));
/// assert_eq!((tried.provider.as_deref(), tried.kind), (Some("deepseek"), ErrorKind::Overloaded));
/// assert_eq!(busy.with_failures(vec![tried]).attempts(), 2);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// The provider that was tried.
    pub provider: Option<Arc<str>>,
    /// The model that was asked for.
    pub model: Option<Arc<str>>,
    /// How it failed.
    pub kind: ErrorKind,
    /// The HTTP status, when there was one.
    pub status: Option<StatusCode>,
    /// From the request to the failure.
    pub duration: Duration,
}

impl Attempt {
    /// The try that ended in this error.
    pub fn of(error: &Error, duration: Duration) -> Self {
        Self {
            provider: error.provider().map(Arc::from),
            model: error.model().map(Arc::from),
            kind: error.kind(),
            status: error.status(),
            duration,
        }
    }
}

/// One change that was made to a request so that a provider could take it.
///
/// ```
/// use modelswitch_provider::Adaptation;
///
/// let renamed = Adaptation::new("max_completion_tokens", "sent as `max_tokens`, the name that the service knows");
/// assert!(renamed.to_string().starts_with("max_completion_tokens: sent as"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adaptation {
    /// The parameter, as the caller named it.
    pub parameter: String,
    /// What was done and why, in a phrase.
    pub change: String,
}

impl Adaptation {
    /// A change to a parameter.
    pub fn new(parameter: impl Into<String>, change: impl Into<String>) -> Self {
        Self { parameter: parameter.into(), change: change.into() }
    }
}

impl fmt::Display for Adaptation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.parameter, self.change)
    }
}
