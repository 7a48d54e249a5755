//! What a service says instead of an answer, in its own form.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Envelope, Service};
use crate::answer::Answer;

impl Service {
    pub(super) fn refusal(&self, status: u16, code: &str, message: &str) -> Answer {
        let code_of_http = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let is_key = status == 401 && self.envelope == Envelope::PlainKeyRefusal;
        if is_key {
            return Answer::body(code_of_http, "text/plain", message.to_owned());
        }
        Answer::json(code_of_http, &self.error_body(status, code, message))
    }

    /// The body of an error, also of one under 200.
    pub(super) fn error_body(&self, status: u16, code: &str, message: &str) -> Value {
        let kind = kind_of(status);
        match self.envelope {
            Envelope::OpenAi | Envelope::PlainKeyRefusal => {
                json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
            }
            Envelope::Numbered => json!({"error": {"message": message, "type": kind, "code": status}}),
            Envelope::Flat => {
                json!({"object": "error", "message": message, "type": code, "param": null, "code": code})
            }
            Envelope::Detail => json!({"detail": message}),
            Envelope::Sentence => json!({"error": message}),
            Envelope::Coded => json!({"code": code, "error": message}),
            Envelope::GoogleList => {
                json!([{"error": {"code": status, "message": message, "status": code.to_uppercase()}}])
            }
            Envelope::Data => json!({"code": 20_000 + u32::from(status), "message": message, "data": null}),
            Envelope::CodeText => json!({"error": {"code": format!("1{status}"), "message": message}}),
            Envelope::BaseResp => {
                json!({"base_resp": {"status_code": minimax_code(status), "status_msg": message}})
            }
            Envelope::Anthropic => json!({"type": "error", "error": {"type": kind, "message": message}}),
        }
    }

    pub(super) fn key_refused(&self, message: &str) -> Answer {
        self.refusal(401, "invalid_api_key", message)
    }

    pub(super) fn no_model(&self, asked: &str) -> Answer {
        let message = format!("The model `{asked}` does not exist or you do not have access to it.");
        self.refusal(404, "model_not_found", &message)
    }

    /// The answer of a service in trouble.
    pub(super) fn failure(&self, status: u16) -> Answer {
        let (code, message) = match status {
            402 => (self.no_money, "[simulated] Insufficient balance"),
            429 => ("rate_limit_exceeded", "[simulated] Rate limit reached for requests"),
            503 => ("unavailable", "[simulated] The service is unavailable"),
            500.. => ("server_error", "[simulated] The server had an error"),
            _ => ("invalid_request_error", "[simulated] The request was refused"),
        };
        self.refusal(status, code, message)
    }
}

/// MiniMax's numbers, of its documentation's list.
fn minimax_code(status: u16) -> u16 {
    match status {
        401 | 403 => 1004,
        402 => 1008,
        408 | 504 => 1001,
        429 => 1002,
        400..=499 => 2013,
        _ => 1000,
    }
}

fn kind_of(status: u16) -> &'static str {
    match status {
        401 | 403 => "authentication_error",
        402 => "billing_error",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}
