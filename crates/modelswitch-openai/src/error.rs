//! A failed answer as our [`Error`]: whatever shape its body has, whatever content type it claims.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use modelswitch_provider::{Error, ErrorKind};
use serde_json::Value;

use crate::Profile;
use crate::retry_after::retry_after;
use crate::scrub::Scrub;

/// Phrases that mean the same with every service, in lower case; a profile adds its own.
const PATTERNS: &[(ErrorKind, &[&str])] = &[
    (
        ErrorKind::ContextLength,
        &[
            "context_length_exceeded",
            "maximum context length",
            "context window",
            "context length",
            "exceed_context_size",
            "exceeds the available context size",
            "prompt is too long",
            "input is too long",
            "too many input tokens",
            "string_above_max_length",
        ],
    ),
    (
        ErrorKind::ContentFiltered,
        &[
            "content_filter",
            "content_policy",
            "content management policy",
            "content policy",
            "data_inspection_failed",
        ],
    ),
    (
        ErrorKind::InsufficientBalance,
        &[
            "insufficient_quota",
            "insufficient balance",
            "insufficient credit",
            "credit balance is too low",
            "billing_hard_limit",
        ],
    ),
    (
        ErrorKind::Authentication,
        &["invalid_api_key", "invalid api key", "incorrect api key", "api key not valid", "api_key_invalid"],
    ),
    (ErrorKind::Overloaded, &["overloaded", "server is busy", "engine is busy"]),
    (
        ErrorKind::ModelNotFound,
        &[
            "model_not_found",
            "model not found",
            "model_not_exist",
            "model not exist",
            "supported api model names",
            "no such model",
            "unknown model",
            "unknown_model",
            "not a valid model",
        ],
    ),
];

const LONGEST_MESSAGE: usize = 1_000;

/// What an error body says, wherever it says it.
#[derive(Debug, Default)]
struct Said {
    message: Option<String>,
    kind: Option<String>,
    code: Option<String>,
    param: Option<String>,
    is_page: bool,
}

/// The error that an answer with a failing status is.
pub(crate) fn from_answer(
    profile: &Profile,
    scrub: &Scrub,
    names_model: bool,
    status: StatusCode,
    headers: &HeaderMap,
    body: Bytes,
) -> Error {
    let said = Said::read(&body);
    let kind = kind_of(profile, names_model, status, &said);
    let mut error =
        said.into_error(profile, scrub, kind, Some(status), names_model).with_upstream_body(scrub.body(body));
    if let Some(id) = profile.request_id(headers) {
        error = error.with_request_id(id);
    }
    if let Some(wait) = retry_after(headers) {
        error = error.with_retry_after(wait);
    }
    error
}

/// The error in an answer that came under 200: a member `error`, or an object that is nothing but an error.
/// `None` when there isn't one.
pub(crate) fn from_success(profile: &Profile, scrub: &Scrub, body: &Value) -> Option<Error> {
    let object = body.as_object()?;
    let is_error = match object.get("error") {
        Some(Value::Null) | None => {
            object.get("object").and_then(Value::as_str) == Some("error")
                || object.get("type").and_then(Value::as_str) == Some("error")
        }
        Some(Value::Object(members)) => !members.is_empty(),
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Bool(failed)) => *failed,
        Some(_) => true,
    };
    is_error.then(|| {
        let said = Said::from_value(body);
        // OpenRouter and vLLM put the status that they would have sent into `code`.
        let status = said
            .code
            .as_deref()
            .and_then(|code| code.parse().ok())
            .and_then(|code| StatusCode::from_u16(code).ok())
            .filter(|status| status.is_client_error() || status.is_server_error());
        let kind = match status {
            Some(status) => kind_of(profile, true, status, &said),
            None => {
                phrase_kind(profile, &said).or_else(|| kind_of_type(&said)).unwrap_or(ErrorKind::Upstream)
            }
        };
        said.into_error(profile, scrub, kind, None, true)
    })
}

fn kind_of(profile: &Profile, names_model: bool, status: StatusCode, said: &Said) -> ErrorKind {
    let phrase = || phrase_kind(profile, said);
    match status.as_u16() {
        // Nothing was asked for that could be unchanged.
        304 => ErrorKind::Upstream,
        300..=399 => ErrorKind::Config,
        401 => ErrorKind::Authentication,
        402 => ErrorKind::InsufficientBalance,
        403 => match phrase() {
            Some(kind @ (ErrorKind::ContentFiltered | ErrorKind::InsufficientBalance)) => kind,
            _ => ErrorKind::Authentication,
        },
        404 => match phrase() {
            Some(kind) => kind,
            None if names_model => ErrorKind::ModelNotFound,
            None => ErrorKind::InvalidRequest,
        },
        408 | 504 => ErrorKind::Timeout,
        429 => match phrase() {
            Some(ErrorKind::InsufficientBalance) => ErrorKind::InsufficientBalance,
            _ => ErrorKind::RateLimited,
        },
        501 => ErrorKind::Unsupported,
        503 | 529 => ErrorKind::Overloaded,
        400..=499 => phrase().unwrap_or(ErrorKind::InvalidRequest),
        _ => match phrase() {
            Some(kind @ (ErrorKind::ContextLength | ErrorKind::Overloaded)) => kind,
            _ => ErrorKind::Upstream,
        },
    }
}

/// The kind that the words of an error mean. The profile's own phrases come first.
fn phrase_kind(profile: &Profile, said: &Said) -> Option<ErrorKind> {
    let words = [&said.message, &said.kind, &said.code]
        .into_iter()
        .flatten()
        .map(|text| text.to_lowercase())
        .collect::<Vec<_>>();
    let says = |phrase: &str| words.iter().any(|text| text.contains(phrase));
    let own = profile.patterns.iter().find(|(_, phrases)| phrases.iter().any(|phrase| says(phrase)));
    own.map(|(kind, _)| kind.kind()).or_else(|| {
        PATTERNS.iter().find(|(_, phrases)| phrases.iter().any(|phrase| says(phrase))).map(|(kind, _)| *kind)
    })
}

/// The kind that `error.type` or `error.code` means where no status helps: an error under 200 or in a stream.
fn kind_of_type(said: &Said) -> Option<ErrorKind> {
    [&said.code, &said.kind].into_iter().flatten().find_map(|name| match name.as_str() {
        "invalid_request_error" | "BadRequestError" => Some(ErrorKind::InvalidRequest),
        "authentication_error" | "permission_error" | "invalid_api_key" => Some(ErrorKind::Authentication),
        "billing_error" => Some(ErrorKind::InsufficientBalance),
        "request_too_large" => Some(ErrorKind::InvalidRequest),
        "rate_limit_error" | "rate_limit_exceeded" => Some(ErrorKind::RateLimited),
        "service_unavailable_error" | "overloaded_error" | "overloaded" => Some(ErrorKind::Overloaded),
        "timeout" | "timeout_error" => Some(ErrorKind::Timeout),
        _ => None,
    })
}

impl Said {
    fn read(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let text = text.trim().trim_start_matches('\u{feff}');
        if let Ok(value) = serde_json::from_str::<Value>(text) {
            return Self::from_value(&value);
        }
        let head: String = text.chars().take(200).collect::<String>().to_lowercase();
        if head.starts_with("<!doctype")
            || head.starts_with("<html")
            || head.starts_with("<?xml")
            || head.starts_with("<head")
        {
            return Self { message: title(text), is_page: true, ..Self::default() };
        }
        Self { message: Some(text.to_owned()), ..Self::default() }
    }

    fn from_value(value: &Value) -> Self {
        match value {
            Value::String(text) => Self { message: Some(text.clone()), ..Self::default() },
            // Some of Google's endpoints wrap the error in a list.
            Value::Array(items) => items.first().map(Self::from_value).unwrap_or_default(),
            Value::Object(object) => {
                let mut said = Self {
                    message: ["message", "msg", "error_description", "error_message", "reason"]
                        .iter()
                        .find_map(|name| object.get(*name))
                        .and_then(Value::as_str)
                        .map(str::to_owned),
                    kind: object.get("type").or_else(|| object.get("status")).and_then(word),
                    code: object.get("code").and_then(word),
                    param: object.get("param").and_then(word),
                    is_page: false,
                };
                for name in ["error", "errors", "detail", "base_resp"] {
                    if let Some(inner @ (Value::Object(_) | Value::Array(_) | Value::String(_))) =
                        object.get(name)
                    {
                        said.fill_from(if name == "detail" {
                            Self::from_detail(inner)
                        } else {
                            Self::from_value(inner)
                        });
                    }
                }
                said
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Self::default(),
        }
    }

    /// FastAPI's list of complaints. Its `input` is what the user sent and stays out.
    fn from_detail(detail: &Value) -> Self {
        let Value::Array(complaints) = detail else { return Self::from_value(detail) };
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
        let message = complaints.iter().filter_map(complain).collect::<Vec<_>>().join("; ");
        Self { message: Some(message).filter(|text| !text.is_empty()), ..Self::default() }
    }

    /// What is inside says more than what is around it.
    fn fill_from(&mut self, inner: Self) {
        self.message = inner.message.or(self.message.take());
        self.kind = inner.kind.or(self.kind.take());
        self.code = inner.code.or(self.code.take());
        self.param = inner.param.or(self.param.take());
    }

    fn into_error(
        self,
        profile: &Profile,
        scrub: &Scrub,
        kind: ErrorKind,
        status: Option<StatusCode>,
        names_model: bool,
    ) -> Error {
        let status_text = || match status {
            Some(status) => {
                format!("HTTP {} {}", status.as_u16(), status.canonical_reason().unwrap_or_default())
            }
            None => "an error without a message".to_owned(),
        };
        let message = match self
            .message
            .as_deref()
            .map(|text| one_line(&scrub.sentence(text)))
            .filter(|text| !text.is_empty())
        {
            Some(title) if self.is_page => format!("{} (a web page: {title})", status_text().trim()),
            None if self.is_page => format!("{} (a web page)", status_text().trim()),
            Some(message) => message,
            None => status_text().trim().to_owned(),
        };
        let blames_path = status == Some(StatusCode::NOT_FOUND) && !message.to_lowercase().contains("model");
        let mut error = Error::new(kind, message);
        if let Some(status) = status {
            error = error.with_status(status);
        }
        if let Some(code) = self.code {
            error = error.with_code(scrub.sentence(&code));
        }
        if let Some(name) = self.kind {
            error = error.with_upstream_type(scrub.sentence(&name));
        }
        if let Some(param) = self.param {
            error = error.with_param(scrub.sentence(&param));
        }
        if kind == ErrorKind::Config {
            error.with_hint("the service sends the request elsewhere; set base_url to where it really is")
        } else if blames_path && names_model {
            error.with_hint("either the service has no such model, or base_url isn't where its API begins (often it ends in /v1)")
        } else if self.is_page && kind == ErrorKind::Authentication {
            error.with_hint(
                "a proxy or firewall answered with a web page; check base_url and the network before the key",
            )
        } else if let Some(hint) = profile.hint(kind) {
            error.with_hint(hint.to_owned())
        } else {
            error
        }
    }
}

/// A string, or a number as text.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn title(page: &str) -> Option<String> {
    let start = page.to_ascii_lowercase().find("<title>")? + "<title>".len();
    let rest = page.get(start..)?;
    rest.get(..rest.find('<')?).map(|title| title.trim().to_owned())
}

fn one_line(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(LONGEST_MESSAGE) {
        line.truncate(end);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deepseek(status: u16, body: &'static str) -> Error {
        let profile = Profile::embedded("deepseek").unwrap();
        from_answer(
            &profile,
            &Scrub::default(),
            true,
            StatusCode::from_u16(status).unwrap(),
            &HeaderMap::new(),
            Bytes::from_static(body.as_bytes()),
        )
    }

    #[test]
    fn every_shape_of_an_error_body_keeps_its_status_text_and_kind() {
        use ErrorKind::*;
        let table = [
            (
                400,
                r#"{"error":{"message":"The supported API model names are deepseek-v4-pro or deepseek-v4-flash, but you passed x.","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#,
                ModelNotFound,
                "The supported API model names are",
            ),
            (
                400,
                r#"{"error":{"message":"This model's maximum context length is 1048565 tokens. However, you requested 1250025 tokens"}}"#,
                ContextLength,
                "This model's maximum",
            ),
            (400, r#"{"error":{"message":"Content Exists Risk"}}"#, ContentFiltered, "Content Exists Risk"),
            (
                400,
                r#"{"error":{"message":"Thinking mode does not support this tool_choice","type":"invalid_request_error"}}"#,
                InvalidRequest,
                "Thinking mode",
            ),
            (401, "Authentication Fails (governor)", Authentication, "Authentication Fails (governor)"),
            (
                402,
                r#"{"error":{"message":"Insufficient Balance","type":"unknown_error"}}"#,
                InsufficientBalance,
                "Insufficient Balance",
            ),
            (
                403,
                "<!DOCTYPE html><html><head><title>Attention Required!</title></head>",
                Authentication,
                "HTTP 403 Forbidden (a web page: Attention Required!)",
            ),
            (404, "", ModelNotFound, "HTTP 404 Not Found"),
            (408, "", Timeout, "HTTP 408"),
            (413, "", InvalidRequest, "HTTP 413"),
            (
                422,
                r#"{"detail":[{"loc":["body","messages"],"msg":"field required","type":"missing","input":"hush"}]}"#,
                InvalidRequest,
                "body.messages: field required",
            ),
            (
                429,
                r#"{"error":{"message":"Too many requests. Your current concurrency is 26, which exceeds your concurrency limit of 25 based on your remaining balance. Please top up your balance to restore your concurrency.","type":"rate_limit_error"}}"#,
                RateLimited,
                "Too many requests",
            ),
            (
                429,
                r#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#,
                InsufficientBalance,
                "You exceeded",
            ),
            (429, r#"{"object":"error","message":"slow down","code":42901}"#, RateLimited, "slow down"),
            (429, r#"{"error":"slow down"}"#, RateLimited, "slow down"),
            (429, r#"{"detail":"slow down"}"#, RateLimited, "slow down"),
            (429, "slow down", RateLimited, "slow down"),
            (429, "", RateLimited, "HTTP 429 Too Many Requests"),
            (
                429,
                r#"[{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED"}}]"#,
                RateLimited,
                "slow down",
            ),
            (
                400,
                r#"{"error":{"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}"#,
                Authentication,
                "API key not valid",
            ),
            (500, r#"{"error":{"message":"Model overloaded"}}"#, Overloaded, "Model overloaded"),
            (304, "", Upstream, "HTTP 304"),
            (500, "oops", Upstream, "oops"),
            (
                500,
                r#"{"error":{"code":500,"message":"context size has been exceeded","type":"exceed_context_size_error"}}"#,
                ContextLength,
                "context size",
            ),
            (501, r#"{"error":{"message":"embeddings are off"}}"#, Unsupported, "embeddings are off"),
            (
                503,
                r#"{"error":{"message":"Service is too busy.","code":"service_unavailable_error"}}"#,
                Overloaded,
                "Service is too busy.",
            ),
            (
                504,
                "<html><title>504 Gateway Time-out</title>",
                Timeout,
                "HTTP 504 Gateway Timeout (a web page: 504 Gateway Time-out)",
            ),
            (529, "{}", Overloaded, "HTTP 529"),
            (307, "", Config, "HTTP 307"),
        ];
        for (status, body, kind, message) in table {
            let error = deepseek(status, body);
            assert_eq!(error.kind(), kind, "{status} {body}");
            assert_eq!(error.status().map(|status| status.as_u16()), Some(status));
            assert!(error.message().starts_with(message), "{status} {body}: {}", error.message());
            assert_eq!(error.upstream_body().map(|kept| &kept[..]), Some(body.as_bytes()));
            assert!(!format!("{error:?}{}", error.report()).contains("hush"));
        }
    }

    #[test]
    fn a_numeric_code_is_kept_as_text() {
        let error = deepseek(429, r#"{"error":{"message":"slow","code":429}}"#);
        assert_eq!(error.code(), Some("429"));
    }

    #[test]
    fn an_error_under_200_is_seen_and_an_answer_is_not_taken_for_one() {
        let profile = Profile::embedded("deepseek").unwrap();
        let read = |text: &str| {
            from_success(&profile, &Scrub::default(), &serde_json::from_str(text).unwrap())
                .map(|error| error.kind())
        };
        assert_eq!(read(r#"{"error":{"code":429,"message":"slow down"}}"#), Some(ErrorKind::RateLimited));
        assert_eq!(read(r#"{"error":{"message":"it broke"}}"#), Some(ErrorKind::Upstream));
        assert_eq!(read(r#"{"error":"it broke","choices":[]}"#), Some(ErrorKind::Upstream));
        assert_eq!(
            read(r#"{"object":"error","message":"x","type":"BadRequestError"}"#),
            Some(ErrorKind::InvalidRequest)
        );
        assert_eq!(read(r#"{"error":null,"choices":[]}"#), None);
        assert_eq!(read(r#"{"choices":[]}"#), None);
    }

    #[test]
    fn the_profiles_own_hint_is_given() {
        assert!(deepseek(402, "").hint().contains("platform.deepseek.com/top_up"));
    }

    #[test]
    fn a_very_long_message_is_cut() {
        let error = deepseek(400, Box::leak("é".repeat(5_000).into_boxed_str()));
        assert!(error.message().chars().count() <= LONGEST_MESSAGE + 1);
    }
}
