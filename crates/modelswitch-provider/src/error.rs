use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use crate::{Adaptation, Attempt};

/// `std`'s `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call gave no usable answer: a kind to act on, a sentence to read, a source to dig.
///
/// One word wide and cheap to clone. `Display` is one line: who failed and what it said; no key, no prompt, no source.
/// Only where a configuration has several mistakes it has more lines, and the first stands for itself.
/// [`report`](Error::report) adds the hint and the chain of sources.
///
/// ```
/// use modelswitch_provider::{Error, ErrorKind};
///
/// fn what_now(error: &Error) -> &'static str {
///     match error.kind() {
///         ErrorKind::InsufficientBalance => "top up",
///         ErrorKind::RateLimited => "wait",
///         _ if error.is_retryable() => "try again",
///         _ if error.may_succeed_elsewhere() => "try another model",
///         _ => "mend the request",
///     }
/// }
/// let error = Error::new(ErrorKind::InsufficientBalance, "Insufficient Balance").with_provider("deepseek");
/// assert_eq!(what_now(&error), "top up");
/// assert_eq!(error.to_string(), "deepseek: Insufficient Balance");
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    status: Option<StatusCode>,
    provider: Option<Arc<str>>,
    model: Option<Arc<str>>,
    request_id: Option<Arc<str>>,
    retry_after: Option<Duration>,
    should_retry: Option<bool>,
    code: Option<String>,
    upstream_type: Option<String>,
    param: Option<String>,
    upstream_body: Option<Bytes>,
    hint: Option<Cow<'static, str>>,
    failures: Vec<Attempt>,
    adaptations: Vec<Adaptation>,
    attempts: u32,
    exhausted: bool,
    last_word: bool,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What went wrong, as far as a caller would act differently. The table of the kinds is in the crate's guide.
///
/// New kinds are rare, and a breaking change on purpose: an exhaustive `match` then names every place that must decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong: HTTP 400, 413, 422, or a check made here.
    InvalidRequest,
    /// The conversation is longer than the model takes.
    ContextLength,
    /// The provider's moderation refused the content.
    ContentFiltered,
    /// The provider, or the configuration, has no such model.
    ModelNotFound,
    /// The provider refused its key: HTTP 401 or 403.
    Authentication,
    /// The account has no money or no quota left: HTTP 402, or a 429 that says so.
    InsufficientBalance,
    /// Too many requests or tokens: HTTP 429.
    RateLimited,
    /// The provider is too busy: HTTP 503 or 529, or an answer broken off for want of resources.
    Overloaded,
    /// Another failure of the provider: HTTP 5xx, or an error object where an answer should be.
    Upstream,
    /// Nothing came in time: HTTP 408, 504, or a timer here.
    Timeout,
    /// No connection, or one that broke before an answer began.
    Connection,
    /// An answer that began and was cut off.
    Interrupted,
    /// An answer that isn't what the API promises.
    Decode,
    /// A layer refused the call: an open breaker, a limit, a budget.
    Rejected,
    /// This provider can't honour the request.
    Unsupported,
    /// The configuration is wrong; nothing was sent.
    Config,
}

impl ErrorKind {
    /// Every kind, in the order of the table.
    pub const ALL: [ErrorKind; 16] = [
        Self::InvalidRequest,
        Self::ContextLength,
        Self::ContentFiltered,
        Self::ModelNotFound,
        Self::Authentication,
        Self::InsufficientBalance,
        Self::RateLimited,
        Self::Overloaded,
        Self::Upstream,
        Self::Timeout,
        Self::Connection,
        Self::Interrupted,
        Self::Decode,
        Self::Rejected,
        Self::Unsupported,
        Self::Config,
    ];

    /// The kind in snake case, as logs and profiles name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::ContextLength => "context_length",
            Self::ContentFiltered => "content_filtered",
            Self::ModelNotFound => "model_not_found",
            Self::Authentication => "authentication",
            Self::InsufficientBalance => "insufficient_balance",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::Upstream => "upstream",
            Self::Timeout => "timeout",
            Self::Connection => "connection",
            Self::Interrupted => "interrupted",
            Self::Decode => "decode",
            Self::Rejected => "rejected",
            Self::Unsupported => "unsupported",
            Self::Config => "config",
        }
    }

    /// The `code` that clients of OpenAI know the kind by; where OpenAI has none, [`as_str`](Self::as_str).
    ///
    /// ```
    /// use modelswitch_provider::ErrorKind;
    ///
    /// assert_eq!(ErrorKind::RateLimited.as_str(), "rate_limited");
    /// assert_eq!(ErrorKind::RateLimited.code(), "rate_limit_exceeded");
    /// ```
    pub fn code(self) -> &'static str {
        match self {
            Self::ContextLength => "context_length_exceeded",
            Self::ContentFiltered => "content_filter",
            Self::InsufficientBalance => "insufficient_quota",
            Self::RateLimited => "rate_limit_exceeded",
            Self::InvalidRequest
            | Self::ModelNotFound
            | Self::Authentication
            | Self::Overloaded
            | Self::Upstream
            | Self::Timeout
            | Self::Connection
            | Self::Interrupted
            | Self::Decode
            | Self::Rejected
            | Self::Unsupported
            | Self::Config => self.as_str(),
        }
    }

    /// The HTTP status that stands for this kind where no service has sent one.
    ///
    /// [`Authentication`](Self::Authentication) is 502: the key that was refused is the provider's, never the caller's.
    pub fn http_status(self) -> StatusCode {
        match self {
            Self::InvalidRequest | Self::ContextLength | Self::ContentFiltered | Self::Unsupported => {
                StatusCode::BAD_REQUEST
            }
            Self::ModelNotFound => StatusCode::NOT_FOUND,
            Self::InsufficientBalance => StatusCode::PAYMENT_REQUIRED,
            Self::RateLimited | Self::Rejected => StatusCode::TOO_MANY_REQUESTS,
            Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Authentication | Self::Upstream | Self::Connection | Self::Interrupted | Self::Decode => {
                StatusCode::BAD_GATEWAY
            }
            Self::Config => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Reads what [`as_str`](Self::as_str) wrote.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    fn retryable(self) -> bool {
        match self {
            Self::RateLimited
            | Self::Overloaded
            | Self::Upstream
            | Self::Timeout
            | Self::Connection
            | Self::Interrupted
            | Self::Decode => true,
            Self::InvalidRequest
            | Self::ContextLength
            | Self::ContentFiltered
            | Self::ModelNotFound
            | Self::Authentication
            | Self::InsufficientBalance
            | Self::Rejected
            | Self::Unsupported
            | Self::Config => false,
        }
    }

    fn elsewhere(self) -> bool {
        match self {
            Self::ContextLength
            | Self::ModelNotFound
            | Self::Authentication
            | Self::InsufficientBalance
            | Self::RateLimited
            | Self::Overloaded
            | Self::Upstream
            | Self::Timeout
            | Self::Connection
            | Self::Interrupted
            | Self::Decode
            | Self::Rejected
            | Self::Unsupported => true,
            Self::InvalidRequest | Self::ContentFiltered | Self::Config => false,
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::InvalidRequest => "mend the request; sending it again changes nothing",
            Self::ContextLength => "shorten the conversation, or choose a model with a longer context",
            Self::ContentFiltered => "change the content; the provider's moderation refused it",
            Self::ModelNotFound => "choose a model that the provider lists; `modelswitch models` shows them",
            Self::Authentication => {
                "check the provider's API key: is it whole, of this account and not revoked?"
            }
            Self::InsufficientBalance => "top up the account at the provider, or use another provider",
            Self::RateLimited => "send less at once, or wait as long as the error says",
            Self::Overloaded => "try again in a while, or use another provider",
            Self::Upstream => "try again; if it stays, look at the provider's status page",
            Self::Timeout => "try again, or raise the time limits of this provider",
            Self::Connection => "check the network, the proxy and the provider's base URL",
            Self::Interrupted => "the answer is incomplete; ask again",
            Self::Decode => "the service doesn't speak the OpenAI API here; check its base URL and profile",
            Self::Rejected => "a limit of your own refused the call; wait, or raise the limit",
            Self::Unsupported => "leave the parameter out, or choose a provider that can do it",
            Self::Config => "mend the configuration; nothing was sent",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a caller reads.
impl Error {
    /// What a caller would act on.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What went wrong, in a sentence: the provider's own where there is one.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The HTTP status that the service answered with; `None` when none did.
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// The provider that failed.
    pub fn provider(&self) -> Option<&str> {
        self.0.provider.as_deref()
    }

    /// The model that was asked for.
    pub fn model(&self) -> Option<&str> {
        self.0.model.as_deref()
    }

    /// The service's id of the request, for its support.
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// How long the service wants to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// What the service itself says about sending the request again; `None` when it says nothing. OpenAI's header
    /// `x-should-retry` is such a word (<https://github.com/openai/openai-python>, `_should_retry`).
    ///
    /// [`is_retryable`](Self::is_retryable) goes by the kind alone.
    ///
    /// ```
    /// use modelswitch_provider::{Error, ErrorKind};
    ///
    /// let error = Error::new(ErrorKind::RateLimited, "too many requests").with_should_retry(false);
    /// assert_eq!((error.should_retry(), error.is_retryable()), (Some(false), true));
    /// ```
    pub fn should_retry(&self) -> Option<bool> {
        self.0.should_retry
    }

    /// The service's `error.code`, numbers as text.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The service's `error.type`.
    pub fn upstream_type(&self) -> Option<&str> {
        self.0.upstream_type.as_deref()
    }

    /// The parameter that the service, or a check here, complained of.
    pub fn param(&self) -> Option<&str> {
        self.0.param.as_deref()
    }

    /// The body of the failure as it came, at most 64 KiB, keys struck out. It may repeat what a user wrote: it is in
    /// no `Display`, `Debug` or log.
    pub fn upstream_body(&self) -> Option<&Bytes> {
        self.0.upstream_body.as_ref()
    }

    /// How many tries were made; 0 when nothing was sent.
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// The tries before the last one, oldest first.
    pub fn failures(&self) -> &[Attempt] {
        &self.0.failures
    }

    /// What was changed in the request so that the provider that failed could take it, as
    /// [`Head::adaptations`](crate::Head::adaptations) tells it of an answer: what the service complains of may be what it was
    /// made into. Empty when nothing was changed, or nothing was sent. [`report`](Self::report) has it too.
    ///
    /// ```
    /// use modelswitch_provider::{Adaptation, Error, ErrorKind};
    ///
    /// let renamed = Adaptation::new("max_completion_tokens", "sent as `max_tokens`, the name that the service knows");
    /// let error = Error::new(ErrorKind::InvalidRequest, "max_tokens is too large").with_adaptations([renamed]);
    /// assert_eq!(error.adaptations()[0].parameter, "max_completion_tokens");
    /// assert!(error.report().contains("adapted: max_completion_tokens: sent as `max_tokens`"));
    /// ```
    pub fn adaptations(&self) -> &[Adaptation] {
        &self.0.adaptations
    }

    /// True when the same request at the same provider may succeed later. False once a retry has given up, so that
    /// nested retries never multiply.
    pub fn is_retryable(&self) -> bool {
        !self.0.exhausted && self.0.kind.retryable()
    }

    /// True when a retry has spent its tries on this error.
    pub fn is_exhausted(&self) -> bool {
        self.0.exhausted
    }

    /// True when another provider may be able to answer.
    pub fn may_succeed_elsewhere(&self) -> bool {
        !self.0.last_word && self.0.kind.elsewhere()
    }

    /// True when the refusal holds for every provider, whatever its kind says.
    pub fn is_last_word(&self) -> bool {
        self.0.last_word
    }

    /// What a person should do now.
    pub fn hint(&self) -> &str {
        self.0.hint.as_deref().unwrap_or(self.0.kind.hint())
    }

    /// The error with its hint, status, request id, adaptations of the request and sources, several lines, for a person.
    pub fn report(&self) -> String {
        use fmt::Write;
        let mut text = self.to_string();
        // Writing to a `String` can't fail.
        let _ = write!(text, "\n  what to do: {}", self.hint());
        let facts: Vec<String> = [
            Some(format!("kind {}", self.kind())),
            self.status().map(|status| format!("HTTP {}", status.as_u16())),
            self.model().map(|model| format!("model {model}")),
            self.code().map(|code| format!("code {code}")),
            self.param().map(|param| format!("parameter {param}")),
            self.request_id().map(|id| format!("request id {id}")),
            self.retry_after().map(|wait| format!("retry after {:.1} s", wait.as_secs_f64())),
            (self.attempts() > 1).then(|| format!("{} attempts", self.attempts())),
        ]
        .into_iter()
        .flatten()
        .collect();
        let _ = write!(text, "\n  facts: {}", facts.join(", "));
        for adaptation in self.adaptations() {
            let _ = write!(text, "\n  adapted: {adaptation}");
        }
        let mut source = StdError::source(self);
        while let Some(cause) = source {
            let _ = write!(text, "\n  because: {cause}");
            source = cause.source();
        }
        text
    }
}

/// What a provider or layer writes.
impl Error {
    /// An error of a kind, with a sentence: lower case, no full stop, what was wrong and what would be right.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            status: None,
            provider: None,
            model: None,
            request_id: None,
            retry_after: None,
            should_retry: None,
            code: None,
            upstream_type: None,
            param: None,
            upstream_body: None,
            hint: None,
            failures: Vec::new(),
            adaptations: Vec::new(),
            attempts: 0,
            exhausted: false,
            last_word: false,
            source: None,
        }))
    }

    /// A request that is refused before it leaves.
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidRequest, message)
    }

    /// A configuration that can't work.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// A request that this provider can't honour.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// An answer that isn't what the API promises.
    pub fn decode(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Decode, message)
    }

    /// An answer that was cut off.
    pub fn interrupted(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Interrupted, message)
    }

    /// Sets the kind.
    pub fn with_kind(self, kind: ErrorKind) -> Self {
        self.change(|inner| inner.kind = kind)
    }

    /// Sets the HTTP status that the service answered with.
    pub fn with_status(self, status: StatusCode) -> Self {
        self.change(|inner| inner.status = Some(status))
    }

    /// Sets the provider. The innermost one stays: whoever set it first was nearest to the failure.
    pub fn with_provider(self, provider: impl Into<Arc<str>>) -> Self {
        self.change(|inner| {
            inner.provider.get_or_insert_with(|| provider.into());
        })
    }

    /// Sets the model. The innermost one stays, as with the provider.
    pub fn with_model(self, model: impl Into<Arc<str>>) -> Self {
        self.change(|inner| {
            inner.model.get_or_insert_with(|| model.into());
        })
    }

    /// Sets the service's id of the request.
    pub fn with_request_id(self, id: impl Into<Arc<str>>) -> Self {
        self.change(|inner| inner.request_id = Some(id.into()))
    }

    /// Sets how long the service wants to be left alone.
    pub fn with_retry_after(self, wait: Duration) -> Self {
        self.change(|inner| inner.retry_after = Some(wait))
    }

    /// Sets what the service itself says about sending the request again.
    pub fn with_should_retry(self, should_retry: bool) -> Self {
        self.change(|inner| inner.should_retry = Some(should_retry))
    }

    /// Sets the service's `error.code`.
    pub fn with_code(self, code: impl Into<String>) -> Self {
        self.change(|inner| inner.code = Some(code.into()))
    }

    /// Sets the service's `error.type`.
    pub fn with_upstream_type(self, name: impl Into<String>) -> Self {
        self.change(|inner| inner.upstream_type = Some(name.into()))
    }

    /// Sets the parameter that is wrong.
    pub fn with_param(self, param: impl Into<String>) -> Self {
        self.change(|inner| inner.param = Some(param.into()))
    }

    /// Keeps the body of the failure.
    pub fn with_upstream_body(self, body: impl Into<Bytes>) -> Self {
        self.change(|inner| inner.upstream_body = Some(body.into()))
    }

    /// Says what a person should do now, better than the kind's own hint can.
    pub fn with_hint(self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.change(|inner| inner.hint = Some(hint.into()))
    }

    /// Keeps the error underneath, for [`report`](Self::report) and `source()`.
    pub fn with_source(self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.change(|inner| inner.source = Some(Arc::new(source)))
    }

    /// Sets how many tries were made.
    pub fn with_attempts(self, attempts: u32) -> Self {
        self.change(|inner| inner.attempts = attempts)
    }

    /// Puts earlier tries before those that are known, and counts them.
    pub fn with_failures(self, mut earlier: Vec<Attempt>) -> Self {
        self.change(|inner| {
            let more = u32::try_from(earlier.len()).unwrap_or(u32::MAX);
            inner.attempts = inner.attempts.saturating_add(more);
            earlier.append(&mut inner.failures);
            inner.failures = earlier;
        })
    }

    /// Puts changes of the request before those that are known: whoever is further out changed it first. One that is known
    /// already stays once.
    pub fn with_adaptations(self, earlier: impl IntoIterator<Item = Adaptation>) -> Self {
        let mut earlier = earlier.into_iter().peekable();
        // Most errors have none, and need no copy of what they share.
        if earlier.peek().is_none() {
            return self;
        }
        self.change(|inner| {
            let mut list: Vec<Adaptation> =
                earlier.filter(|change| !inner.adaptations.contains(change)).collect();
            list.append(&mut inner.adaptations);
            inner.adaptations = list;
        })
    }

    /// Marks that a retry has spent its tries on this error.
    pub fn into_exhausted(self) -> Self {
        self.change(|inner| inner.exhausted = true)
    }

    /// Marks that the refusal holds for every provider, so that none is asked instead: a budget that is one for all.
    ///
    /// ```
    /// use modelswitch_provider::{Error, ErrorKind};
    ///
    /// let refused = Error::new(ErrorKind::Rejected, "the budget is used up");
    /// assert!(refused.may_succeed_elsewhere());
    /// assert!(!refused.into_last_word().may_succeed_elsewhere());
    /// ```
    pub fn into_last_word(self) -> Self {
        self.change(|inner| inner.last_word = true)
    }

    fn change(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(provider) = self.provider() {
            write!(f, "{provider}: ")?;
        }
        f.write_str(self.message())
    }
}

/// The [`report`](Error::report): `main` prints an error that reaches it so, and whoever runs the program wants to read what to
/// do. `{:#?}` shows the fields. Never the upstream body.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return f.write_str(&self.report());
        }
        let inner = &*self.0;
        let mut text = f.debug_struct("Error");
        text.field("kind", &inner.kind).field("message", &inner.message);
        if let Some(status) = inner.status {
            text.field("status", &status.as_u16());
        }
        for (name, value) in
            [("provider", &inner.provider), ("model", &inner.model), ("request_id", &inner.request_id)]
        {
            if let Some(value) = value {
                text.field(name, value);
            }
        }
        for (name, value) in [("code", &inner.code), ("type", &inner.upstream_type), ("param", &inner.param)]
        {
            if let Some(value) = value {
                text.field(name, value);
            }
        }
        if let Some(wait) = inner.retry_after {
            text.field("retry_after", &wait);
        }
        if let Some(should_retry) = inner.should_retry {
            text.field("should_retry", &should_retry);
        }
        text.field("attempts", &inner.attempts).field("hint", &self.hint());
        if let Some(source) = &inner.source {
            text.field("source", &source.to_string());
        }
        text.finish_non_exhaustive()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the contract: retry the same, try elsewhere, status.
    #[test]
    fn each_kind_says_what_the_table_says() {
        let table = [
            (ErrorKind::InvalidRequest, false, false, 400),
            (ErrorKind::ContextLength, false, true, 400),
            (ErrorKind::ContentFiltered, false, false, 400),
            (ErrorKind::ModelNotFound, false, true, 404),
            (ErrorKind::Authentication, false, true, 502),
            (ErrorKind::InsufficientBalance, false, true, 402),
            (ErrorKind::RateLimited, true, true, 429),
            (ErrorKind::Overloaded, true, true, 503),
            (ErrorKind::Upstream, true, true, 502),
            (ErrorKind::Timeout, true, true, 504),
            (ErrorKind::Connection, true, true, 502),
            (ErrorKind::Interrupted, true, true, 502),
            (ErrorKind::Decode, true, true, 502),
            (ErrorKind::Rejected, false, true, 429),
            (ErrorKind::Unsupported, false, true, 400),
            (ErrorKind::Config, false, false, 500),
        ];
        assert_eq!(table.map(|row| row.0), ErrorKind::ALL);
        for (kind, same, elsewhere, status) in table {
            let error = Error::new(kind, "x");
            assert_eq!(error.is_retryable(), same, "{kind}");
            assert_eq!(error.may_succeed_elsewhere(), elsewhere, "{kind}");
            assert_eq!(kind.http_status().as_u16(), status, "{kind}");
            assert_eq!(ErrorKind::from_name(kind.as_str()), Some(kind));
            assert_eq!(kind.as_str(), snake_case(&format!("{kind:?}")));
            assert!(!error.hint().is_empty());
            assert!(!error.clone().into_exhausted().is_retryable());
        }
    }

    fn snake_case(name: &str) -> String {
        let mut text = String::new();
        for letter in name.chars() {
            if letter.is_uppercase() && !text.is_empty() {
                text.push('_');
            }
            text.extend(letter.to_lowercase());
        }
        text
    }

    #[test]
    fn an_error_body_has_the_codes_that_clients_of_openai_know() {
        for (kind, code) in [
            (ErrorKind::ContextLength, "context_length_exceeded"),
            (ErrorKind::ContentFiltered, "content_filter"),
            (ErrorKind::InsufficientBalance, "insufficient_quota"),
            (ErrorKind::RateLimited, "rate_limit_exceeded"),
            (ErrorKind::Connection, "connection"),
        ] {
            let body = Error::new(kind, "x").to_body();
            assert_eq!((&body["error"]["code"], &body["error"]["type"]), (&code.into(), &code.into()));
            assert_eq!(body["error"]["modelswitch"]["kind"], kind.as_str());
        }
        let own =
            Error::new(ErrorKind::RateLimited, "x").with_code("1302").with_upstream_type("busy").to_body();
        assert_eq!((&own["error"]["code"], &own["error"]["type"]), (&"1302".into(), &"busy".into()));
    }

    #[test]
    fn tries_are_counted_to_the_end_of_the_numbers() {
        let try_ = Attempt::of(&Error::config("x"), Duration::ZERO);
        let error = Error::config("x").with_attempts(u32::MAX).with_failures(vec![try_]);
        assert_eq!(error.attempts(), u32::MAX);
    }

    #[test]
    fn it_is_one_word_wide() {
        assert_eq!(size_of::<Result<(), Error>>(), size_of::<usize>());
    }

    #[test]
    fn neither_display_nor_debug_nor_report_shows_the_body() {
        let error = Error::new(ErrorKind::Upstream, "it failed")
            .with_provider("p")
            .with_upstream_body("the user's hush")
            .with_source(std::io::Error::other("deep"));
        let shown = format!("{error} {error:?} {}", error.report());
        assert!(!shown.contains("hush"));
        assert!(shown.contains("because: deep"));
        assert!(!error.to_string().contains("deep"));
    }

    #[test]
    fn the_one_nearest_to_the_failure_names_itself() {
        let error = Error::config("x").with_provider("inner").with_provider("outer");
        assert_eq!(error.provider(), Some("inner"));
    }
}
