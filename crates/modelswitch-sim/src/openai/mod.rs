//! A plain service in OpenAI's form: no reasoning on chat, usage in a chunk of its own.

mod audio;
mod chat;
mod completions;
mod embeddings;
mod files;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::answer::{Answer, Ending, Piece};
use crate::ask::Ask;
use crate::mode::{self, Mode};
use crate::recorded::Recorded;
use crate::responses;
use crate::state::{Open, Shared};

/// `POST /embeddings`, for whoever has them alike.
pub(crate) fn embeddings(body: &Value) -> Answer {
    embeddings::answer(body)
}

/// The models served.
const MODELS: [&str; 5] = ["sim-small", "sim-large", "sim-embedding", "sim-transcribe", "sim-speech"];

/// When the simulated models were made.
const MADE: u64 = 1_750_000_000;

pub(crate) fn answer(shared: &Shared, request: &Recorded, open: &mut Open) -> Answer {
    let Some(path) = request.route().strip_prefix("/v1/") else { return no_path(request) };
    let (path, rest) = path.split_once('/').unwrap_or((path, ""));
    let method = |method: Method| (request.method == method).then_some(());
    let found = match (path, rest) {
        ("models" | "files", _) => Some(()),
        ("chat", "completions") | ("completions" | "embeddings" | "responses", "") => method(Method::POST),
        ("audio", "transcriptions" | "translations" | "speech") => method(Method::POST),
        _ => return no_path(request),
    };
    if found.is_none() {
        return wrong_method(request);
    }
    if let Err(refused) = authorize(shared, request) {
        return *refused;
    }
    if let Some(status) = request.bearer().and_then(Mode::of_key) {
        return failure(status);
    }
    if !matches!(path, "models" | "files") && open.begin_call().is_err() {
        return failure(429);
    }
    match (path, rest) {
        ("models", id) => models(request, id),
        ("files", id) => files::answer(shared, request, id),
        ("audio", "speech") => with_json(request, |body| audio::speech(shared, body)),
        ("audio", _) => audio::transcription(request),
        ("chat", _) => with_json(request, |body| chat::answer(shared, request, body)),
        ("completions", _) => with_json(request, |body| completions::answer(shared, request, body)),
        ("embeddings", _) => with_json(request, embeddings::answer),
        _ => with_json(request, |body| respond(shared, request, body)),
    }
}

fn authorize(shared: &Shared, request: &Recorded) -> Result<(), Box<Answer>> {
    let settings = &shared.settings;
    let refused = |message: &str, code: Value| {
        let kind = "invalid_request_error";
        Err(Box::new(error(StatusCode::UNAUTHORIZED, kind, message, Value::Null, code)))
    };
    let Some(key) = request.bearer() else {
        return refused(
            "You didn't provide an API key. Send it as 'Authorization: Bearer KEY'.",
            Value::Null,
        );
    };
    if settings.takes(key) || Mode::of_key(key).is_some() {
        return Ok(());
    }
    let count = key.chars().count();
    let head: String = key.chars().take(count.min(3)).collect();
    let tail: String = key.chars().skip(count.saturating_sub(4)).collect();
    refused(&format!("Incorrect API key provided: {head}****{tail}."), json!("invalid_api_key"))
}

fn models(request: &Recorded, id: &str) -> Answer {
    if request.method != Method::GET {
        return wrong_method(request);
    }
    let model = |id: &str| json!({"id": id, "object": "model", "created": MADE, "owned_by": "simulator"});
    if id.is_empty() {
        let data: Vec<Value> = MODELS.iter().copied().map(model).collect();
        return Answer::json(StatusCode::OK, &json!({"object": "list", "data": data}));
    }
    serving(id).map_or_else(|| no_model(id), |id| Answer::json(StatusCode::OK, &model(id)))
}

fn respond(shared: &Shared, request: &Recorded, body: &Value) -> Answer {
    let asked = body.get("model").and_then(Value::as_str).unwrap_or_default();
    let Some(model) = serving(asked) else { return no_model(asked) };
    let ask = Ask::responses(body, &["user"]);
    if let Some(trouble) = troubled(ask.mode) {
        return trouble;
    }
    let form = responses::Form { deepseek: false, thinking: false, model };
    responses::answer(shared, &ask, body, &mut shared.ids(request), &form, failure)
}

fn serving(asked: &str) -> Option<&'static str> {
    let name = mode::without_tag(asked);
    MODELS.iter().copied().find(|model| *model == name)
}

/// Parses the body or refuses it.
fn with_json(request: &Recorded, then: impl FnOnce(&Value) -> Answer) -> Answer {
    match serde_json::from_slice::<Value>(&request.body) {
        Ok(body) if body.is_object() => then(&body),
        _ => invalid("We could not parse the JSON body of your request.", Value::Null),
    }
}

fn error(status: StatusCode, kind: &str, message: &str, param: Value, code: Value) -> Answer {
    let error = json!({"message": message, "type": kind, "param": param, "code": code});
    Answer::json(status, &json!({"error": error}))
}

fn invalid(message: &str, param: Value) -> Answer {
    error(StatusCode::BAD_REQUEST, "invalid_request_error", message, param, Value::Null)
}

fn missing(name: &str) -> Answer {
    let message = format!("Missing required parameter: '{name}'.");
    let code = json!("missing_required_parameter");
    error(StatusCode::BAD_REQUEST, "invalid_request_error", &message, json!(name), code)
}

fn no_model(asked: &str) -> Answer {
    let message = format!("The model `{asked}` does not exist or you do not have access to it.");
    let code = json!("model_not_found");
    error(StatusCode::NOT_FOUND, "invalid_request_error", &message, Value::Null, code)
}

fn no_path(request: &Recorded) -> Answer {
    let message = format!("Invalid URL ({} {})", request.method, request.route());
    error(StatusCode::NOT_FOUND, "invalid_request_error", &message, Value::Null, Value::Null)
}

fn wrong_method(request: &Recorded) -> Answer {
    let message = format!("Not allowed to {} on {}", request.method, request.route());
    let code = json!("method_not_supported");
    error(StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error", &message, Value::Null, code)
}

/// The answer of a service in trouble.
fn failure(status: u16) -> Answer {
    let (kind, message, code) = match status {
        429 => ("requests", "[simulated] Rate limit reached for requests", json!("rate_limit_exceeded")),
        402 => {
            ("insufficient_quota", "[simulated] You exceeded your current quota", json!("insufficient_quota"))
        }
        500.. => ("server_error", "[simulated] The server had an error processing your request", Value::Null),
        _ => ("invalid_request_error", "[simulated] The request was refused", Value::Null),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    error(status, kind, message, Value::Null, code)
}

/// What a tag in the message asks for instead of an answer.
fn troubled(mode: Option<Mode>) -> Option<Answer> {
    let refused = |message: &str, code: &str| {
        error(StatusCode::BAD_REQUEST, "invalid_request_error", message, json!("messages"), json!(code))
    };
    match mode? {
        Mode::Status(status) => Some(failure(status)),
        Mode::Risk => Some(refused("[simulated] The prompt was refused by a filter", "content_filter")),
        Mode::Context => {
            let message = "This model's maximum context length is 128000 tokens. However, your messages resulted in \
                           200000 tokens. Please reduce the length of the messages.";
            Some(refused(message, "context_length_exceeded"))
        }
        Mode::TokensPerMinute => Some(failure(429)),
        Mode::Cut | Mode::Stall | Mode::Resource | Mode::Aborted | Mode::ErrorInStream => None,
        Mode::Long | Mode::Empty | Mode::Blank | Mode::BadJson | Mode::NotJson => None,
    }
}

/// A stream with the trouble that was asked for.
fn stream(shared: &Shared, mut events: Vec<Piece>, mode: Option<Mode>) -> Answer {
    if mode == Some(Mode::ErrorInStream) {
        events.truncate((events.len() / 2).clamp(1, 5));
        let error = json!({
            "message": "[simulated] The server had an error", "type": "server_error", "param": null, "code": null,
        });
        events.push(Piece::event(&json!({"error": error})));
    }
    let keep_alives = std::iter::repeat_with(Piece::keep_alive).take(shared.settings.keep_alives);
    events.splice(0..0, keep_alives);
    ended(Answer::events(events, shared.settings.chunk_delay), mode)
}

fn ended(answer: Answer, mode: Option<Mode>) -> Answer {
    match mode {
        Some(Mode::Cut) => answer.stopped_inside(Ending::Cut),
        Some(Mode::Stall) => answer.stopped_inside(Ending::Stall),
        _ => answer,
    }
}

/// A JSON body with the trouble that was asked for.
fn whole<T: serde::Serialize>(value: &T, mode: Option<Mode>) -> Answer {
    match mode {
        Some(Mode::ErrorInStream) => failure(503),
        Some(Mode::Blank) => Answer::body(StatusCode::OK, "application/json", "\n\n\n"),
        _ => ended(Answer::json(StatusCode::OK, value), mode),
    }
}
