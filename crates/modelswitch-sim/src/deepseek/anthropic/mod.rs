//! `POST /anthropic/v1/messages`: the same models in Anthropic's form.
//!
//! <https://api-docs.deepseek.com/guides/anthropic_api>

mod check;
mod write;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::check::{About, Refusal};
use super::trouble::{Failure, stream_with, troubled, whole};
use super::{admit, authorize, has_image};
use crate::answer::{Answer, Piece};
use crate::ask::Ask;
use crate::mode::{self, Mode};
use crate::recorded::Recorded;
use crate::state::{Open, Shared};
use crate::turn::Turn;

pub(super) fn answer(shared: &Shared, request: &Recorded, path: &str, open: &mut Open) -> Answer {
    if path != "/v1/messages" {
        return Answer::empty(StatusCode::NOT_FOUND);
    }
    if request.method != Method::POST {
        return Answer::empty(StatusCode::METHOD_NOT_ALLOWED).with(http::header::ALLOW, "POST");
    }
    let key = request.header("x-api-key").filter(|key| !key.is_empty()).or_else(|| request.bearer());
    if let Err(refused) = authorize(shared, key, |message| error(StatusCode::UNAUTHORIZED, message)) {
        return *refused;
    }
    if let Err(failure) = admit(shared, key.and_then(Mode::of_key), open) {
        return failed(&failure);
    }
    message(shared, request, key).unwrap_or_else(|refusal| error(StatusCode::BAD_REQUEST, &refusal.message))
}

fn message(shared: &Shared, request: &Recorded, key: Option<&str>) -> Result<Answer, Refusal> {
    let body = super::check::parse(request)?;
    let ask = Ask::messages(&body);
    let thinking = body.pointer("/thinking/type").and_then(Value::as_str) != Some("disabled");
    let has_file = |id: &str| has_image(shared, key, id);
    let model = serving(&ask.model).ok_or_else(|| Refusal::no_model(&ask.model))?;
    check::messages(&body, &ask, model, &About { thinking, beta: false, has_file: &has_file })?;
    match troubled(&ask) {
        Some(Ok(failure)) => return Ok(failed(&failure)),
        Some(Err(refusal)) => return Err(refusal),
        None => {}
    }
    let turn = Turn::compose(&ask, model, thinking);
    let hit = shared.cached_tokens(&ask.prompt, &turn);
    let mut ids = shared.ids(request);
    let reply = write::Reply::of(&ask, &turn, model, hit, &mut ids);
    Ok(if ask.stream {
        let broken = |failure: &Failure| Piece::named("error", &envelope(failure.status, &failure.message));
        stream_with(shared, reply.events(), ask.mode, broken)
    } else if ask.mode == Some(Mode::ErrorInStream) {
        failed(&Failure::of(503))
    } else {
        whole(shared, &reply.whole(), ask.mode)
    })
}

/// The serving id of a model; Anthropic's names stand for DeepSeek's.
fn serving(asked: &str) -> Option<&'static str> {
    let name = mode::without_tag(asked);
    match name {
        _ if name.starts_with("claude-opus") => Some("deepseek-v4-pro"),
        // The guide names Haiku and Sonnet; what else begins so is taken for the default.
        _ if name.starts_with("claude-") => Some("deepseek-flash"),
        _ => super::serving(name),
    }
}

fn failed(failure: &Failure) -> Answer {
    error(failure.status, &failure.message)
}

fn error(status: StatusCode, message: &str) -> Answer {
    Answer::json(status, &envelope(status, message))
}

/// Anthropic's error envelope, with its kind for a status.
fn envelope(status: StatusCode, message: &str) -> Value {
    let kind = match status.as_u16() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": message}})
}
