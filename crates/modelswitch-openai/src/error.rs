//! A failed answer as our [`Error`]: whatever shape its body has, whatever content type it claims.
//!
//! [`said`] reads what the body says, [`kind`] tells which kind that is, and here it becomes an error that repeats neither
//! a key nor what the user wrote.

mod kind;
mod page;
mod said;
mod words;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use modelswitch_provider::{Error, ErrorKind};
use serde_json::{Map, Value};

use self::kind::Heard;
use self::said::Said;
use crate::Profile;
use crate::retry_after::{self, header, retry_after};
use crate::scrub::{Cleaner, Scrub, cut};

/// The error that an answer with a failing status is.
pub(crate) fn from_answer(
    profile: &Profile,
    scrub: &Scrub,
    names_model: bool,
    status: StatusCode,
    headers: &HeaderMap,
    body: Bytes,
) -> Error {
    let mut said = Said::read(&body);
    said.names.extend(
        header(headers, "x-amzn-errortype").and_then(|name| name.split(':').next()).map(str::to_owned),
    );
    let cleaner = scrub.cleaner();
    let message = said.message(&cleaner);
    let heard = Heard::new(profile, &cleaner, &said, &message);
    let kind = heard.kind(status, names_model);
    let error = said.error(&cleaner, kind, &message, Some(status));
    let error = with_headers(error, profile, headers);
    said.advise(error, profile, names_model).with_upstream_body(scrub.body(body))
}

/// The error with what the headers of its answer say. They are surer than the body, but for Cloudflare's ray.
pub(crate) fn with_headers(mut error: Error, profile: &Profile, headers: &HeaderMap) -> Error {
    let own = |id: &str| header(headers, "cf-ray") != Some(id) || error.request_id().is_none();
    if let Some(id) = profile.request_id(headers).filter(|id| own(id)) {
        error = error.with_request_id(id);
    }
    let is_limit = error.kind() == ErrorKind::RateLimited;
    let reset = || is_limit.then(|| retry_after::reset(headers)).flatten();
    if let Some(wait) = retry_after(headers).or(error.retry_after()).or_else(reset) {
        error = error.with_retry_after(wait);
    }
    if let Some(should_retry) = header(headers, "x-should-retry").and_then(|word| word.parse().ok()) {
        error = error.with_should_retry(should_retry);
    }
    error
}

/// The error in an answer that came under 200: a member `error`, or an object that is nothing but an error.
/// `None` when there isn't one.
pub(crate) fn from_success(profile: &Profile, scrub: &Scrub, body: &Value) -> Option<Error> {
    // Google streams lists.
    let body = body.as_array().and_then(|items| items.first()).unwrap_or(body);
    let object = body.as_object()?;
    if is_error(object) {
        return Some(read(profile, scrub, body));
    }
    // Groq says there why it broke a stream off.
    let own = object.get("x_groq").filter(|own| own.get("error").is_some_and(says_something))?;
    Some(read(profile, scrub, own))
}

/// The error that a document under 200 is in which no answer was found: whatever it says then says why, in whichever of its
/// members. `None` when it says nothing.
pub(crate) fn instead_of_answer(profile: &Profile, scrub: &Scrub, body: &Value) -> Option<Error> {
    let said = Said::from_value(body);
    said.message.is_some().then(|| of_said(profile, scrub, &said))
}

/// The error in one choice of an answer. `None` when there isn't one.
pub(crate) fn in_choice(profile: &Profile, scrub: &Scrub, choice: &Map<String, Value>) -> Option<Error> {
    let error = choice.get("error").filter(|error| says_something(error))?;
    Some(read(profile, scrub, &serde_json::json!({ "error": error })))
}

fn read(profile: &Profile, scrub: &Scrub, body: &Value) -> Error {
    of_said(profile, scrub, &Said::from_value(body))
}

/// The error of an answer whose own status says nothing.
fn of_said(profile: &Profile, scrub: &Scrub, said: &Said) -> Error {
    let cleaner = scrub.cleaner();
    let message = said.message(&cleaner);
    let heard = Heard::new(profile, &cleaner, said, &message);
    let kind = match said.status() {
        Some(status) => heard.kind(status, true),
        None => heard.kind_without_status(),
    };
    said.advise(said.error(&cleaner, kind, &message, None), profile, true)
}

/// True when an answer is an error.
fn is_error(object: &Map<String, Value>) -> bool {
    let is = |name: &str, value: &str| object.get(name).and_then(Value::as_str) == Some(value);
    let error = object.get("error");
    // One that says nothing is one only where nothing else is said.
    let is_alone = || !has_an_answer(object) && !is_there(object.get("usage"));
    error.is_some_and(says_something)
        || (error.is_some_and(has_members) && is_alone())
        || is("object", "error")
        || is("type", "error")
        || base_fails(object)
        || (!has_an_answer(object) && says_failure(object))
}

fn has_members(error: &Value) -> bool {
    error.as_object().is_some_and(|members| !members.is_empty())
}

/// True when a member `error` says that something failed: services put one without words, or with the code of a success,
/// beside good answers.
fn says_something(error: &Value) -> bool {
    match error {
        Value::Object(members) => members
            .iter()
            // Which request it was says nothing of how it went.
            .any(|(name, value)| !said::REQUEST_IDS.contains(&name.as_str()) && says_something(value)),
        Value::Array(items) => items.iter().any(says_something),
        Value::String(text) => !text.trim().is_empty() && is_failure(error),
        Value::Bool(failed) => *failed,
        Value::Null | Value::Number(_) => is_failure(error),
    }
}

/// The members that answers are made of.
fn has_an_answer(object: &Map<String, Value>) -> bool {
    let names = ["choices", "data", "object", "output", "content", "result", "results", "models"];
    names.iter().any(|name| is_there(object.get(*name)))
}

/// True for a member that holds something.
pub(crate) fn is_there(member: Option<&Value>) -> bool {
    member.is_some_and(|value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    })
}

/// MiniMax's `base_resp`, which is in each of its answers, and none of whose codes but 0 goes with a good one
/// (<https://platform.minimax.io/docs/api-reference/errorcode>). As with `error`, choices beside it make no difference: what
/// they hold may have been held back (1027) or cut, and must not pass for a whole answer.
fn base_fails(object: &Map<String, Value>) -> bool {
    object.get("base_resp").and_then(|base| base.get("status_code")).is_some_and(is_failure)
}

/// The flat forms: `{"code":20012,"message":"…"}`, `{"success":false,…}`.
fn says_failure(object: &Map<String, Value>) -> bool {
    let is = |name: &str, fails: fn(&Value) -> bool| object.get(name).is_some_and(fails);
    let has_message = ["message", "msg", "error_msg"].iter().any(|name| is(name, Value::is_string));
    let code_fails = is("code", is_failure) || is("error_code", is_failure);
    let status_fails = is("status", |status| matches!(status.as_str(), Some("error" | "failed" | "fail")));
    is("success", |success| *success == Value::Bool(false)) || (has_message && (code_fails || status_fails))
}

fn is_failure(code: &Value) -> bool {
    let well = ["0", "200", "ok", "success", "none", "null", "false"];
    said::word(code).is_some_and(|code| !well.contains(&code.trim().to_ascii_lowercase().as_str()))
}

/// More of a message is hardly read, and a code or an id that is longer is none.
const LONGEST_MESSAGE: usize = 1_000;
const LONGEST_NAME: usize = 200;

impl Said {
    /// The message, to tell by it what happened: it may have pieces of what the user wrote. Empty when there is none.
    fn message(&self, cleaner: &Cleaner<'_>) -> String {
        self.message.as_deref().map(|text| cleaner.line(text)).unwrap_or_default()
    }

    /// The message, or what stands for it.
    fn sentence(&self, message: &str, status: Option<StatusCode>) -> String {
        let status = match status {
            Some(status) => {
                let reason = status.canonical_reason().unwrap_or_default();
                format!("HTTP {} {reason}", status.as_u16()).trim_end().to_owned()
            }
            None => "an error without a message".to_owned(),
        };
        match (message, self.is_page) {
            ("", true) => format!("{status} (a web page)"),
            ("", false) => status,
            (title, true) => format!("{status} (a web page: {title})"),
            (message, false) => message.to_owned(),
        }
    }

    fn error(
        &self,
        cleaner: &Cleaner<'_>,
        kind: ErrorKind,
        message: &str,
        status: Option<StatusCode>,
    ) -> Error {
        let shown = cut(cleaner.without_pieces(message), LONGEST_MESSAGE);
        let mut error = Error::new(kind, self.sentence(&shown, status));
        let name = |text: &Option<String>| text.as_deref().map(|text| name(cleaner, text));
        if let Some(status) = status {
            error = error.with_status(status);
        }
        if let Some(code) = name(&self.code) {
            error = error.with_code(code);
        }
        if let Some(kind) = name(&self.kind) {
            error = error.with_upstream_type(kind);
        }
        if let Some(param) = name(&self.param) {
            error = error.with_param(param);
        }
        if let Some(id) = name(&self.request_id).or_else(|| request_id_in(&shown)) {
            error = error.with_request_id(id);
        }
        if let Some(wait) = self.wait_for(kind, message) {
            error = error.with_retry_after(wait);
        }
        error
    }

    /// How long to wait. A sentence counts only where waiting helps.
    fn wait_for(&self, kind: ErrorKind, message: &str) -> Option<Duration> {
        let helps = matches!(
            kind,
            ErrorKind::RateLimited | ErrorKind::Overloaded | ErrorKind::Upstream | ErrorKind::Timeout
        );
        let in_sentence = || retry_after::in_sentence(&message.to_lowercase());
        let reset = || self.reset.filter(|_| kind == ErrorKind::RateLimited);
        self.wait.or_else(reset).or_else(|| helps.then(in_sentence).flatten())
    }

    /// The error with what a person should do, where more is known than the kind's own advice.
    fn advise(&self, error: Error, profile: &Profile, names_model: bool) -> Error {
        let is_404 = error.status() == Some(StatusCode::NOT_FOUND);
        let blames_path = is_404 && !error.message().to_lowercase().contains("model");
        if error.status() == Some(StatusCode::PROXY_AUTHENTICATION_REQUIRED) {
            error.with_hint("a proxy on the way wants credentials; check the network's proxy settings")
        } else if error.kind() == ErrorKind::Config {
            error.with_hint("the service sends the request elsewhere; set base_url to where it really is")
        } else if blames_path && names_model {
            error.with_hint("either the service has no such model, or base_url isn't where its API begins (often it ends in /v1)")
        } else if self.is_page && error.kind() == ErrorKind::Authentication {
            error.with_hint(
                "a proxy or firewall answered with a web page; check base_url and the network before the key",
            )
        } else if let Some(hint) = profile.hint(error.kind()) {
            error.with_hint(hint.to_owned())
        } else {
            error
        }
    }
}

/// A name of what went wrong, fit to be shown.
pub(crate) fn name(cleaner: &Cleaner<'_>, text: &str) -> String {
    cut(cleaner.sentence(text), LONGEST_NAME)
}

/// The id in a sentence such as Ark's “… Request id: 0217…”.
fn request_id_in(message: &str) -> Option<String> {
    const MARK: &str = "request id: ";
    let lower = message.to_ascii_lowercase();
    let rest = message.get(lower.find(MARK)? + MARK.len()..)?;
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let id = rest.get(..rest.find(|c| !is_part(c)).unwrap_or(rest.len()))?;
    (8..=LONGEST_NAME).contains(&id.len()).then(|| id.to_owned())
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod table;
#[cfg(test)]
mod tests;
