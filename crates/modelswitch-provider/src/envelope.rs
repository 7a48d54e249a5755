//! The error as OpenAI's JSON, for whoever is on the other side of a door: `{"error":{"message","type","param","code"}}`
//! with a member `modelswitch` from which the same [`Error`] can be read again.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::{Attempt, Error, ErrorKind};

const OURS: &str = "modelswitch";

impl Error {
    /// The HTTP status that goes with the error: the service's own where it has one that tells of a failure, else the
    /// one that stands for the kind. A refusal by a budget (its code begins with `budget_`) is 402: OpenAI's SDKs repeat a
    /// 429, and money doesn't come back within seconds.
    ///
    /// ```
    /// use modelswitch_provider::{Error, ErrorKind};
    ///
    /// let refused = Error::new(ErrorKind::Rejected, "the budget is used up");
    /// assert_eq!(refused.http_status(), 429);
    /// assert_eq!(refused.with_code("budget_exceeded").http_status(), 402);
    /// ```
    pub fn http_status(&self) -> StatusCode {
        self.status().filter(|status| status.is_client_error() || status.is_server_error()).unwrap_or_else(
            || match self.code() {
                Some(code) if self.kind() == ErrorKind::Rejected && code.starts_with("budget_") => {
                    StatusCode::PAYMENT_REQUIRED
                }
                _ => self.kind().http_status(),
            },
        )
    }

    /// OpenAI's error object. Code and type are the service's own where it gave them, else the kind's. The upstream
    /// body and the sources are not in it.
    ///
    /// ```
    /// use modelswitch_provider::{Error, ErrorKind};
    ///
    /// let error = Error::new(ErrorKind::RateLimited, "too many requests").with_provider("deepseek");
    /// let body = error.to_body();
    /// assert_eq!(body["error"]["code"], "rate_limit_exceeded");
    /// assert_eq!(Error::from_body(&body).as_ref().map(Error::kind), Some(ErrorKind::RateLimited));
    /// ```
    pub fn to_body(&self) -> Value {
        let kind = self.kind();
        json!({ "error": {
            "message": self.to_string(),
            "type": self.upstream_type().unwrap_or(kind.code()),
            "param": self.param(),
            "code": self.code().unwrap_or(kind.code()),
            OURS: self.facts(),
        }})
    }

    /// Reads what [`to_body`](Self::to_body) wrote; `None` for anybody else's JSON.
    pub fn from_body(body: &Value) -> Option<Self> {
        Self::from_facts(body.get("error")?.get(OURS)?)
    }

    /// Everything a caller may ask, but for the upstream body and the sources, as JSON.
    pub fn facts(&self) -> Value {
        let failures: Vec<Value> = self.failures().iter().map(attempt_to_json).collect();
        let mut facts = Map::new();
        let mut put = |name: &str, value: Value| {
            if !value.is_null() {
                facts.insert(name.to_owned(), value);
            }
        };
        put("kind", self.kind().as_str().into());
        put("message", self.message().into());
        put("status", self.status().map(|status| status.as_u16()).into());
        put("provider", self.provider().into());
        put("model", self.model().into());
        put("request_id", self.request_id().into());
        put("retry_after_ms", self.retry_after().map(millis).into());
        put("should_retry", self.should_retry().into());
        put("code", self.code().into());
        put("type", self.upstream_type().into());
        put("param", self.param().into());
        put("hint", self.hint().into());
        put("attempts", self.attempts().into());
        put("exhausted", self.is_exhausted().into());
        put("last_word", if self.is_last_word() { true.into() } else { Value::Null });
        put("failures", failures.into());
        Value::Object(facts)
    }

    /// Reads what [`facts`](Self::facts) wrote.
    pub fn from_facts(facts: &Value) -> Option<Self> {
        let text = |name: &str| facts.get(name).and_then(Value::as_str);
        let mut error = Error::new(ErrorKind::from_name(text("kind")?)?, text("message")?);
        if let Some(status) = facts.get("status").and_then(status_of) {
            error = error.with_status(status);
        }
        if let Some(provider) = text("provider") {
            error = error.with_provider(provider);
        }
        if let Some(model) = text("model") {
            error = error.with_model(model);
        }
        if let Some(id) = text("request_id") {
            error = error.with_request_id(id);
        }
        if let Some(wait) = facts.get("retry_after_ms").and_then(Value::as_u64) {
            error = error.with_retry_after(Duration::from_millis(wait));
        }
        if let Some(should_retry) = facts.get("should_retry").and_then(Value::as_bool) {
            error = error.with_should_retry(should_retry);
        }
        if let Some(code) = text("code") {
            error = error.with_code(code);
        }
        if let Some(name) = text("type") {
            error = error.with_upstream_type(name);
        }
        if let Some(param) = text("param") {
            error = error.with_param(param);
        }
        if let Some(hint) = text("hint") {
            error = error.with_hint(hint.to_owned());
        }
        let failures: Vec<Attempt> = facts
            .get("failures")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(attempt_from_json)
            .collect();
        error = error.with_failures(failures);
        if let Some(attempts) = facts.get("attempts").and_then(Value::as_u64) {
            error = error.with_attempts(u32::try_from(attempts).unwrap_or(u32::MAX));
        }
        if facts.get("exhausted").and_then(Value::as_bool) == Some(true) {
            error = error.into_exhausted();
        }
        if facts.get("last_word").and_then(Value::as_bool) == Some(true) {
            error = error.into_last_word();
        }
        Some(error)
    }
}

fn attempt_to_json(attempt: &Attempt) -> Value {
    json!({
        "provider": attempt.provider.as_deref(), "model": attempt.model.as_deref(), "kind": attempt.kind.as_str(),
        "status": attempt.status.map(|status| status.as_u16()), "duration_ms": millis(attempt.duration),
    })
}

fn attempt_from_json(value: &Value) -> Option<Attempt> {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    Some(Attempt {
        provider: text("provider").map(Into::into),
        model: text("model").map(Into::into),
        kind: ErrorKind::from_name(text("kind")?)?,
        status: value.get("status").and_then(status_of),
        duration: Duration::from_millis(value.get("duration_ms").and_then(Value::as_u64).unwrap_or_default()),
    })
}

fn status_of(value: &Value) -> Option<StatusCode> {
    StatusCode::from_u16(u16::try_from(value.as_u64()?).ok()?).ok()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_way_through_json() {
        for kind in ErrorKind::ALL {
            let inner = Error::new(kind, "inner").with_provider("a").with_status(StatusCode::BAD_GATEWAY);
            let error = Error::new(kind, "it failed")
                .with_provider("p")
                .with_model("m")
                .with_status(StatusCode::IM_A_TEAPOT)
                .with_request_id("id")
                .with_retry_after(Duration::from_millis(1500))
                .with_should_retry(false)
                .with_code("c")
                .with_param("q")
                .with_attempts(1)
                .with_failures(vec![Attempt::of(&inner, Duration::from_secs(2))])
                .into_exhausted()
                .into_last_word();
            let back = Error::from_body(&error.to_body()).unwrap();
            assert_eq!(back.facts(), error.facts());
            assert_eq!(back.failures(), error.failures());
            assert_eq!((back.attempts(), back.may_succeed_elsewhere()), (2, false));
        }
    }

    #[test]
    fn an_error_object_under_200_has_the_status_of_its_kind() {
        let error = Error::new(ErrorKind::Upstream, "x").with_status(StatusCode::OK);
        assert_eq!(error.http_status(), StatusCode::BAD_GATEWAY);
    }
}
