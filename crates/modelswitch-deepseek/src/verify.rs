//! What a key is good for, found out without a completion: the list of models and the balance cost nothing.

use std::error::Error as StdError;
use std::time::Duration;

use modelswitch_openai::{OpenAiBuilder, Timeouts};
use modelswitch_provider::{ApiKey, Error, ErrorKind, ProviderExt};
use serde::{Serialize, Serializer};

use crate::{Balance, DeepSeek};

/// What was found out about a key: a state to act on, and what the account sees. The key itself is nowhere in it.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let found = modelswitch_deepseek::verify("sk-0123 456").await;              // can't be sent, so nothing is
/// assert_eq!(found.state.as_str(), "malformed");
/// assert!(found.remedy.is_some() && !found.detail.contains("0123"));
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Verification {
    /// How the key is.
    pub state: KeyState,
    /// The models that the account sees; empty when it wasn't let in.
    pub models: Vec<String>,
    /// What is left on the account; `None` when nobody told.
    pub balance: Option<Balance>,
    /// What was found, in a sentence: DeepSeek's own where there is one.
    pub detail: String,
    /// What a person should do now; `None` when there is nothing to do.
    pub remedy: Option<String>,
}

/// How a key is.
///
/// ```
/// use modelswitch_deepseek::{KeyState, verify};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// assert_eq!(verify("sk-0123\n456").await.state, KeyState::Malformed);      // nothing is sent
/// # });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyState {
    /// DeepSeek takes it, and there is money on the account.
    Good,
    /// There is none.
    Missing,
    /// It can't be sent: white space or something that isn't ASCII in it.
    Malformed,
    /// DeepSeek doesn't take it.
    Rejected,
    /// DeepSeek takes it, and there is no money on the account.
    NoBalance,
    /// Nobody answers.
    Unreachable,
    /// Somebody else answers: a proxy, a firewall, a page to log in at.
    Blocked,
    /// DeepSeek answers, and doesn't say whether the key is good: too many requests, an outage.
    Unknown,
}

impl KeyState {
    /// The state in snake case, as JSON has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Rejected => "rejected",
            Self::NoBalance => "no_balance",
            Self::Unreachable => "unreachable",
            Self::Blocked => "blocked",
            Self::Unknown => "unknown",
        }
    }
}

impl std::fmt::Display for KeyState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for KeyState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Verification {
    /// True when calls can be made with the key.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// assert!(!modelswitch_deepseek::verify(None).await.is_good());
    /// # });
    /// ```
    pub fn is_good(&self) -> bool {
        self.state == KeyState::Good
    }

    fn failed(state: KeyState, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        let (detail, remedy) = (detail.into(), Some(remedy.into()));
        Self { state, models: Vec::new(), balance: None, detail, remedy }
    }
}

/// How long a small list may take: whoever checks a key is waiting in front of a screen.
const PATIENCE: Duration = Duration::from_secs(30);

const KEYS: &str = "https://platform.deepseek.com/api_keys";
const TOP_UP: &str = "https://platform.deepseek.com/top_up";

/// Finds out what a key is good for, one that may be missing or malformed too. It asks DeepSeek, or `DEEPSEEK_BASE_URL` where
/// that is set, for the models and the balance; it makes no completion and costs nothing.
///
/// ```no_run
/// use modelswitch_deepseek::{KeyState, verify};
///
/// # async fn run(typed: &str) {
/// let found = verify(typed).await;
/// match found.state {
///     KeyState::Good => println!("{} models, {:?}", found.models.len(), found.balance),
///     _ => println!("{}; {}", found.detail, found.remedy.unwrap_or_default()),
/// }
/// # }
/// ```
pub async fn verify<'a>(key: impl Into<Option<&'a str>>) -> Verification {
    let mut timeouts = Timeouts::default();
    timeouts.first_byte = PATIENCE;
    timeouts.idle = PATIENCE;
    verify_at(DeepSeek::builder().timeouts(timeouts), key).await
}

/// [`verify`] with a builder of your own: for another URL, a proxy, other time limits.
///
/// ```no_run
/// use modelswitch_deepseek::{DeepSeek, verify_at};
///
/// # async fn run(key: Option<String>) {
/// let builder = DeepSeek::builder().base_url("http://127.0.0.1:8787");
/// println!("{}", verify_at(builder, key.as_deref()).await.state);
/// # }
/// ```
pub async fn verify_at<'a>(builder: OpenAiBuilder, key: impl Into<Option<&'a str>>) -> Verification {
    let make_one = || format!("make a key at {KEYS} and set DEEPSEEK_API_KEY to it");
    let Some(key) = key.into().filter(|key| !key.trim().is_empty()) else {
        return Verification::failed(KeyState::Missing, "there is no key", make_one());
    };
    let key = match ApiKey::new(key) {
        Ok(key) => key,
        Err(error) => return Verification::failed(KeyState::Malformed, error.message(), error.hint()),
    };
    match DeepSeek::connect(builder.api_key(key)) {
        Ok(deepseek) => deepseek.verify().await,
        Err(error) => Verification::failed(KeyState::Unknown, error.message(), error.hint()),
    }
}

impl DeepSeek {
    /// Finds out what its key is good for, and what the account sees. It makes no completion and costs nothing; it waits as
    /// long as this provider's time limits say.
    ///
    /// ```no_run
    /// # async fn run() -> modelswitch_provider::Result<()> {
    /// let found = modelswitch_deepseek::DeepSeek::from_env()?.verify().await;
    /// println!("{}: {}", found.state, found.detail);
    /// # Ok(()) }
    /// ```
    pub async fn verify(&self) -> Verification {
        let models = match self.models().await {
            Ok(models) => models.into_iter().map(|model| model.id).collect(),
            Err(error) => return failure(&error),
        };
        let (state, balance, detail, remedy) = match self.balance().await {
            Ok(balance) if balance.is_available => {
                (KeyState::Good, Some(balance), "the key is good".to_owned(), None)
            }
            Ok(balance) => (
                KeyState::NoBalance,
                Some(balance),
                "the key is good, and there is no money on the account".to_owned(),
                Some(format!("top up at {TOP_UP}")),
            ),
            Err(error) => match state_of(&error) {
                state @ (KeyState::Rejected | KeyState::NoBalance) => {
                    return Verification { models, ..failure_as(state, &error) };
                }
                // A gateway may serve chats and no balance. That the key was taken is known all the same.
                _ => (
                    KeyState::Good,
                    None,
                    format!("the key is good; the balance is not known: {}", error.message()),
                    None,
                ),
            },
        };
        Verification { state, models, balance, detail, remedy }
    }
}

fn failure(error: &Error) -> Verification {
    failure_as(state_of(error), error)
}

fn failure_as(state: KeyState, error: &Error) -> Verification {
    let remedy = match state {
        KeyState::Rejected => format!("check that the key is whole and of DeepSeek, or make a new one at {KEYS}"),
        KeyState::NoBalance => format!("top up at {TOP_UP}"),
        KeyState::Blocked => {
            "look at the proxy, the firewall and base_url: the answer isn't DeepSeek's; the key may be good".to_owned()
        }
        KeyState::Unreachable => {
            "check the network, the proxy variables and base_url; https://status.deepseek.com tells of outages".to_owned()
        }
        KeyState::Good | KeyState::Missing | KeyState::Malformed | KeyState::Unknown => error.hint().to_owned(),
    };
    Verification::failed(state, error.message(), remedy)
}

fn state_of(error: &Error) -> KeyState {
    if is_from_somebody_else(error) {
        return KeyState::Blocked;
    }
    match error.kind() {
        ErrorKind::Authentication => KeyState::Rejected,
        ErrorKind::InsufficientBalance => KeyState::NoBalance,
        ErrorKind::Connection => KeyState::Unreachable,
        ErrorKind::Timeout if error.status().is_none() => KeyState::Unreachable,
        ErrorKind::Timeout
        | ErrorKind::InvalidRequest
        | ErrorKind::ContextLength
        | ErrorKind::ContentFiltered
        | ErrorKind::ModelNotFound
        | ErrorKind::RateLimited
        | ErrorKind::Overloaded
        | ErrorKind::Upstream
        | ErrorKind::Interrupted
        | ErrorKind::Decode
        | ErrorKind::Rejected
        | ErrorKind::Unsupported
        | ErrorKind::Config => KeyState::Unknown,
    }
}

/// DeepSeek's answers carry its trace id or an error in its form; what carries neither is of somebody in between. A service in
/// trouble may show a page of its own, so 5xx say nothing.
fn is_from_somebody_else(error: &Error) -> bool {
    let Some(status) = error.status() else { return is_refused_tunnel(error) };
    let status = status.as_u16();
    if matches!(status, 403 | 407 | 451 | 511) || (300..400).contains(&status) {
        return true;
    }
    if status >= 500 {
        return false;
    }
    let body = error.upstream_body().map(|body| body.trim_ascii()).unwrap_or_default();
    if body.starts_with(b"<") {
        return true;
    }
    let is_deepseeks = error.request_id().is_some_and(is_trace_id);
    let speaks_its_way = error.message().contains("Authentication Fails")
        || error.upstream_type().is_some()
        || error.code().is_some();
    !is_deepseeks && !speaks_its_way
}

/// A proxy that refuses to connect is seen only in what reqwest says of it.
fn is_refused_tunnel(error: &Error) -> bool {
    let mut source = StdError::source(error);
    while let Some(cause) = source {
        let text = cause.to_string().to_ascii_lowercase();
        if text.contains("tunnel") || text.contains("proxy auth") {
            return true;
        }
        source = cause.source();
    }
    false
}

/// `x-ds-trace-id` is 32 hexadecimal digits.
fn is_trace_id(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    #[test]
    fn a_proxy_that_refuses_the_tunnel_blocks() {
        let error = Error::new(ErrorKind::Connection, "no connection to the service")
            .with_source(std::io::Error::other("tunnel error: unsuccessful"));
        assert_eq!(state_of(&error), KeyState::Blocked);
        assert_eq!(state_of(&Error::new(ErrorKind::Connection, "no connection")), KeyState::Unreachable);
    }

    #[test]
    fn an_answer_is_deepseeks_by_its_trace_id_or_by_the_form_of_its_error() {
        let error =
            |kind, status: u16| Error::new(kind, "x").with_status(StatusCode::from_u16(status).unwrap());
        let trace = "941fd38e84fd48b9698bc3ec2305d395";
        for (error, state) in [
            (error(ErrorKind::Authentication, 401), KeyState::Blocked),
            (error(ErrorKind::Authentication, 401).with_request_id("8f1-FRA"), KeyState::Blocked),
            (error(ErrorKind::Authentication, 401).with_request_id(trace), KeyState::Rejected),
            (
                error(ErrorKind::Authentication, 401).with_upstream_type("authentication_error"),
                KeyState::Rejected,
            ),
            (
                error(ErrorKind::Authentication, 401).with_request_id(trace).with_upstream_body("<html>"),
                KeyState::Blocked,
            ),
            (error(ErrorKind::Authentication, 403).with_request_id(trace), KeyState::Blocked),
            (error(ErrorKind::InvalidRequest, 407), KeyState::Blocked),
            (error(ErrorKind::Config, 302), KeyState::Blocked),
            (error(ErrorKind::Decode, 200), KeyState::Blocked),
            (error(ErrorKind::Decode, 200).with_request_id(trace), KeyState::Unknown),
            (error(ErrorKind::Overloaded, 503).with_upstream_body("<html>"), KeyState::Unknown),
            (error(ErrorKind::Timeout, 504), KeyState::Unknown),
            (error(ErrorKind::RateLimited, 429).with_request_id(trace), KeyState::Unknown),
            (error(ErrorKind::InsufficientBalance, 402).with_request_id(trace), KeyState::NoBalance),
        ] {
            assert_eq!(state_of(&error), state, "{error:?}");
        }
    }
}
