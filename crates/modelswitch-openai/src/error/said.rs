//! What an error body says, wherever it says it.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value};

use crate::retry_after::{self, retry_after};

/// What an error body says. Nothing in it is fit to be shown before it has been cleaned.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) message: Option<String>,
    /// `error.type`, or what stands for it.
    pub(super) kind: Option<String>,
    pub(super) code: Option<String>,
    pub(super) param: Option<String>,
    pub(super) request_id: Option<String>,
    /// Further names of what went wrong, from deeper inside.
    pub(super) names: Vec<String>,
    /// How long to wait, where the body says so outside of its sentences.
    pub(super) wait: Option<Duration>,
    /// When a limit starts anew, by the headers in the body.
    pub(super) reset: Option<Duration>,
    /// The status that stands in the body.
    pub(super) status: Option<u16>,
    pub(super) is_page: bool,
}

const MESSAGES: [&str; 12] = [
    "message",
    "Message",
    "msg",
    "error_msg",
    "error_message",
    "errorMessage",
    "error_description",
    "status_msg",
    "faultstring",
    "reason",
    "description",
    "title",
];
const CODES: [&str; 6] = ["code", "Code", "error_code", "errorCode", "errorcode", "errcode"];
const TYPES: [&str; 4] = ["type", "__type", "error_type", "errorType"];
const STATUSES: [&str; 5] = ["status", "status_code", "statusCode", "http_code", "raw_status_code"];
pub(super) const REQUEST_IDS: [&str; 6] =
    ["request_id", "requestId", "RequestId", "requestID", "trace_id", "traceId"];
/// Members that hold the error, or a part of it. What is inside says more than what is around it.
const INSIDE: [&str; 6] = ["error", "errors", "detail", "base_resp", "fault", "Error"];

/// How often JSON may stand in a string in JSON. Gateways behind gateways do that.
const DEEPEST: usize = 4;

impl Said {
    pub(super) fn read(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let text = text.trim().trim_start_matches('\u{feff}').trim_start();
        match serde_json::from_str::<Value>(text) {
            Ok(value) => {
                let mut said = Self::from_value(&value);
                // Beside an error that is the request's; in an answer under 200 it would be the answer's.
                let id = || value.get("error").and(value.get("id")).and_then(Value::as_str);
                said.request_id = said.request_id.or_else(|| id().map(str::to_owned));
                said
            }
            Err(_) => Self::from_text(text),
        }
    }

    pub(super) fn from_value(value: &Value) -> Self {
        Self::of(value, DEEPEST)
    }

    fn of(value: &Value, depth: usize) -> Self {
        match value {
            Value::String(text) => Self::of_sentence(text, depth),
            // Some of Google's endpoints wrap the error in a list.
            Value::Array(items) => items.first().map(|item| Self::of(item, depth)).unwrap_or_default(),
            Value::Object(object) => Self::of_object(object, depth),
            Value::Null | Value::Bool(_) | Value::Number(_) => Self::default(),
        }
    }

    fn of_object(object: &Map<String, Value>, depth: usize) -> Self {
        let first = |names: &[&str]| names.iter().find_map(|name| object.get(*name).and_then(word));
        let mut said = Self {
            kind: first(&TYPES).or_else(|| object.get("status").and_then(Value::as_str).map(str::to_owned)),
            code: first(&CODES),
            param: first(&["param", "parameter"]),
            request_id: first(&REQUEST_IDS),
            status: STATUSES.iter().chain(&CODES).find_map(|name| object.get(*name).and_then(status)),
            wait: wait(object),
            reset: headers_in(object).as_ref().and_then(retry_after::reset),
            ..Self::default()
        };
        said.code = said.code.or_else(|| first(STATUSES.get(1..).unwrap_or_default()));
        for inner in MESSAGES.iter().filter_map(|name| object.get(*name)) {
            if said.message.is_none() {
                said.absorb(Self::of(inner, depth));
            }
        }
        for name in INSIDE {
            match object.get(name) {
                Some(Value::String(text)) if said.message.is_some() && name == "error" => {
                    // `{"error":"Bad Request","message":"…"}`: a title.
                    said.kind.get_or_insert_with(|| text.clone());
                }
                Some(inner @ Value::Array(_)) if name == "detail" => {
                    said.fill_from(Self::of_complaints(inner))
                }
                Some(inner @ (Value::Object(_) | Value::Array(_) | Value::String(_))) => {
                    said.fill_from(Self::of(inner, depth));
                }
                _ => {}
            }
        }
        said.absorb_details(object, depth);
        said
    }

    /// A sentence, which may be JSON as text, or end in it: gateways put what another service said into their own message.
    fn of_sentence(text: &str, depth: usize) -> Self {
        let plain =
            || Self { message: Some(text.to_owned()).filter(|text| !text.is_empty()), ..Self::default() };
        let Some((before, json)) = text.find(['{', '[']).and_then(|start| text.split_at_checked(start))
        else {
            return plain();
        };
        let value = || serde_json::Deserializer::from_str(json).into_iter::<Value>().next()?.ok();
        let Some(depth) = depth.checked_sub(1) else { return plain() };
        let Some(mut said) = value().map(|value| Self::of(&value, depth)).filter(Self::has_message) else {
            return plain();
        };
        let before = before.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '-' | ':'));
        if !before.is_empty() {
            said.message = said.message.map(|message| format!("{before}: {message}"));
        }
        said
    }

    /// The status that it gives itself: by a number, or by being nothing but the name of one, such as `Unauthorized`.
    pub(super) fn status(&self) -> Option<StatusCode> {
        let by_name = || {
            let name = self.message.as_deref()?.trim().trim_end_matches('.');
            let mut all = (400..600).filter_map(|status| StatusCode::from_u16(status).ok());
            all.find(|status| {
                status.canonical_reason().is_some_and(|reason| reason.eq_ignore_ascii_case(name))
            })
        };
        self.status.and_then(|status| StatusCode::from_u16(status).ok()).or_else(by_name)
    }

    fn has_message(&self) -> bool {
        self.message.is_some()
    }

    /// FastAPI's list of complaints. Its `input` is what the user sent and stays out.
    fn of_complaints(detail: &Value) -> Self {
        let complain = |complaint: &Value| {
            let place: Vec<String> = complaint
                .get("loc")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(word)
                .collect();
            let message = complaint.get("msg").and_then(Value::as_str).or_else(|| complaint.as_str())?;
            Some(if place.is_empty() {
                message.to_owned()
            } else {
                format!("{}: {message}", place.join("."))
            })
        };
        let complaints = detail.as_array().into_iter().flatten().filter_map(complain);
        let message = complaints.collect::<Vec<_>>().join("; ");
        Self { message: Some(message).filter(|text| !text.is_empty()), ..Self::default() }
    }

    /// What stands beside a message and tells more: who really failed (OpenRouter's `metadata`), why
    /// (Azure's `innererror`), and Google's `details`, with a delay.
    fn absorb_details(&mut self, object: &Map<String, Value>, depth: usize) {
        if let Some(metadata) = object.get("metadata").and_then(Value::as_object) {
            self.names.extend(metadata.get("error_type").and_then(word));
            self.wait = self.wait.or_else(|| wait(metadata));
            let reset = || headers_in(metadata).as_ref().and_then(retry_after::reset);
            self.reset = self.reset.or_else(reset);
            if let Some(raw) = metadata.get("raw") {
                let mut inner = Self::of(raw, depth);
                let (own, real) = (self.message.take(), inner.message.take());
                self.message = match (own, real) {
                    (Some(own), Some(real)) => Some(format!("{own}: {real}")),
                    (own, real) => own.or(real),
                };
                self.absorb(inner);
            }
        }
        for name in ["innererror", "inner_error"] {
            self.names.extend(object.get(name).and_then(|inner| inner.get("code")).and_then(word));
        }
        let details = object.get("details").and_then(Value::as_array);
        for detail in details.into_iter().flatten().filter_map(Value::as_object) {
            self.names.extend(detail.get("reason").and_then(word));
            self.wait = self.wait.or_else(|| wait(detail));
            self.request_id = self.request_id.take().or_else(|| detail.get("requestId").and_then(word));
        }
    }

    /// Takes what is missing from deeper inside, and keeps its names.
    fn absorb(&mut self, inner: Self) {
        self.names.extend(inner.kind.iter().chain(&inner.code).cloned());
        self.names.extend(inner.names);
        self.message = self.message.take().or(inner.message);
        self.kind = self.kind.take().or(inner.kind);
        self.code = self.code.take().or(inner.code);
        self.param = self.param.take().or(inner.param);
        self.request_id = self.request_id.take().or(inner.request_id);
        self.wait = self.wait.or(inner.wait);
        self.reset = self.reset.or(inner.reset);
        self.status = self.status.or(inner.status);
    }

    /// What is inside says more than what is around it.
    fn fill_from(&mut self, mut inner: Self) {
        inner.absorb(std::mem::take(self));
        *self = inner;
    }
}

/// How long to wait, where a member says so.
fn wait(object: &Map<String, Value>) -> Option<Duration> {
    let text = |name: &str| object.get(name).and_then(word);
    ["retryDelay", "retry_delay", "retry_after", "retryAfter", "retry_after_seconds", "estimated_time"]
        .iter()
        .find_map(|name| retry_after::moment_or_duration(&text(name)?))
        .or_else(|| retry_after::duration(&format!("{}ms", text("retry_after_ms")?)))
        .or_else(|| retry_after(&headers_in(object)?))
}

/// More limits has no service, and a map of headers panics when it is full.
const MOST_HEADERS: usize = 256;

/// The headers that another service's answer had and that say when to come again, where an error repeats them: gateways do that for want of others once a
/// stream has begun.
fn headers_in(object: &Map<String, Value>) -> Option<HeaderMap> {
    let names = ["headers", "response_headers", "responseHeaders"];
    let headers = names.iter().find_map(|name| object.get(*name)?.as_object())?;
    let read = |(name, value): (&String, &Value)| {
        // Some write each as a list, since a header may be there more than once.
        let value = value.as_array().and_then(|values| values.first()).unwrap_or(value);
        let name: HeaderName = name.replace('_', "-").parse().ok()?;
        let says_when = name.as_str().starts_with("retry-after") || name.as_str().contains("ratelimit");
        if !says_when {
            return None;
        }
        Some((name, HeaderValue::try_from(plain(value)?).ok()?))
    };
    Some(headers.iter().filter_map(read).take(MOST_HEADERS).collect())
}

/// A string or number as text.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A number that is the status of a failure.
fn status(value: &Value) -> Option<u16> {
    word(value)?.parse().ok().filter(|status| (400..600).contains(status))
}

/// A string, or a number as text. Zero is no code of an error, and `None` is how LiteLLM writes null.
pub(super) fn word(value: &Value) -> Option<String> {
    plain(value).filter(|text| !matches!(text.as_str(), "" | "None") && value.as_f64() != Some(0.0))
}
