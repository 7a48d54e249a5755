//! DeepSeek as its documentation and recorded traffic show it.

mod chat;
mod check;
mod fim;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::answer::{Answer, Ending, Piece};
use crate::mode::{self, Mode};
use crate::recorded::Recorded;
use crate::responses;
use crate::state::Shared;

/// Model ids and the id that serves them. The older names are still routed to Flash.
const SERVING: [(&str, &str); 4] = [
    ("deepseek-flash", "deepseek-flash"),
    ("deepseek-v4-pro", "deepseek-v4-pro"),
    ("deepseek-v4-flash", "deepseek-flash"),
    ("deepseek-v4-flash-vision-exp", "deepseek-flash"),
];

pub(crate) fn answer(shared: &Shared, request: &Recorded) -> Answer {
    let route = request.route();
    let (beta, path) = match route.strip_prefix("/beta") {
        Some(path) => (true, path),
        None => (false, route.strip_prefix("/v1").unwrap_or(route)),
    };
    let method = match path {
        "/models" | "/user/balance" => Method::GET,
        "/chat/completions" | "/completions" | "/responses" => Method::POST,
        _ => return Answer::empty(StatusCode::NOT_FOUND),
    };
    if request.method != method {
        let allow = if method == Method::GET { "GET" } else { "POST" };
        return Answer::empty(StatusCode::METHOD_NOT_ALLOWED).with(http::header::ALLOW, allow);
    }
    if let Err(refused) = authorize(shared, request) {
        return *refused;
    }
    let key_mode = request.bearer().and_then(Mode::of_key);
    match path {
        "/models" => models(),
        "/user/balance" => balance(key_mode == Some(402)),
        _ if key_mode.is_some() => failure(key_mode.unwrap_or(500)),
        "/chat/completions" => chat::answer(shared, request, beta),
        "/completions" => fim::answer(shared, request, beta),
        _ => respond(shared, request),
    }
}

fn authorize(shared: &Shared, request: &Recorded) -> Result<(), Box<Answer>> {
    let Some(key) = request.bearer() else {
        let refused = Answer::body(StatusCode::UNAUTHORIZED, "", "Authentication Fails (governor)");
        return Err(Box::new(refused));
    };
    let settings = &shared.settings;
    if key == settings.key || settings.any_key || Mode::of_key(key).is_some() {
        return Ok(());
    }
    let tail: String = key.chars().skip(key.chars().count().saturating_sub(4)).collect();
    let message = format!("Authentication Fails, Your api key: ****{tail} is invalid");
    Err(Box::new(error(StatusCode::UNAUTHORIZED, "authentication_error", &message)))
}

fn models() -> Answer {
    let model = |id: &str| json!({"id": id, "object": "model", "owned_by": "deepseek"});
    let list = json!({"object": "list", "data": [model("deepseek-flash"), model("deepseek-v4-pro")]});
    Answer::json(StatusCode::OK, &list)
}

fn balance(spent: bool) -> Answer {
    let (total, granted, topped_up) =
        if spent { ("0.00", "0.00", "0.00") } else { ("110.00", "10.00", "100.00") };
    let info = json!({
        "currency": "CNY", "total_balance": total, "granted_balance": granted, "topped_up_balance": topped_up,
    });
    Answer::json(StatusCode::OK, &json!({"is_available": !spent, "balance_infos": [info]}))
}

fn respond(shared: &Shared, request: &Recorded) -> Answer {
    let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
        return error(StatusCode::BAD_REQUEST, "invalid_request_error", "the body is not JSON");
    };
    let asked = body.get("model").and_then(Value::as_str).unwrap_or_default();
    let Some(serving) = serving(asked) else { return check::Refusal::no_model(asked).answer() };
    let thinking = body.pointer("/reasoning/effort").and_then(Value::as_str) != Some("none");
    let mut ids = shared.ids(request);
    let form = responses::Form { deepseek: true, thinking, model: serving };
    responses::answer(shared, &body, &mut ids, &form, failure)
}

/// The serving id of a model, if there is such a model.
fn serving(asked: &str) -> Option<&'static str> {
    let name = mode::without_tag(asked);
    SERVING.iter().find(|(id, _)| *id == name).map(|(_, serving)| *serving)
}

/// DeepSeek's error envelope; the code says nothing, whatever the status.
fn envelope(message: &str, kind: &str, code: &str) -> Value {
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
}

fn error(status: StatusCode, kind: &str, message: &str) -> Answer {
    Answer::json(status, &envelope(message, kind, "invalid_request_error"))
}

/// The answer of a service in trouble.
fn failure(status: u16) -> Answer {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match status {
        402 => error(code, "unknown_error", "Insufficient Balance"),
        429 => error(
            code,
            "rate_limit_error",
            "Too many requests. Your current concurrency is 26, which exceeds your concurrency limit of 25 based \
             on your remaining balance. Please top up your balance to restore your concurrency.",
        ),
        503 => Answer::json(code, &busy()),
        500.. => error(code, "server_error", "[simulated] The server had an error"),
        _ => error(code, "invalid_request_error", "[simulated] The request was refused"),
    }
}

fn busy() -> Value {
    envelope(
        "Service is too busy. We advise users to temporarily switch to alternative LLM API service providers.",
        "service_unavailable_error",
        "service_unavailable_error",
    )
}

/// What a tag in the message asks for instead of an answer.
fn troubled(mode: Option<Mode>, tokens: u64) -> Option<Answer> {
    match mode? {
        Mode::Status(status) => Some(failure(status)),
        Mode::Risk => Some(check::Refusal::octets("Content Exists Risk").answer()),
        Mode::Context => Some(
            check::Refusal::octets(format!(
                "This model's maximum context length is 1048565 tokens. However, you requested {0} tokens ({0} in \
                 the messages, 0 in the completion). Please reduce the length of the messages or completion.",
                tokens.max(1_250_025)
            ))
            .answer(),
        ),
        Mode::Cut | Mode::Stall | Mode::Resource | Mode::ErrorInStream => None,
        Mode::Long | Mode::Empty | Mode::Blank => None,
    }
}

/// A finished stream or body with the ending that was asked for.
fn ended(answer: Answer, mode: Option<Mode>) -> Answer {
    match mode {
        Some(Mode::Cut) => answer.stopped_inside(Ending::Cut),
        Some(Mode::Stall) => answer.stopped_inside(Ending::Stall),
        _ => answer,
    }
}

/// A stream with the keep-alives and troubles of this simulator around its events.
fn stream(shared: &Shared, mut events: Vec<Piece>, mode: Option<Mode>) -> Answer {
    let settings = &shared.settings;
    if mode == Some(Mode::ErrorInStream) {
        events.truncate((events.len() / 2).clamp(1, 5));
        events.push(Piece::event(&busy()));
    }
    let mut pieces: Vec<Piece> =
        std::iter::repeat_with(Piece::keep_alive).take(settings.keep_alives).collect();
    for (index, event) in events.into_iter().enumerate() {
        pieces.push(event);
        if settings.keep_alives > 0 && index % 10 == 0 {
            pieces.push(Piece::keep_alive());
        }
    }
    ended(Answer::events(pieces, settings.chunk_delay), mode)
}

/// A JSON body behind the blank lines that keep the connection alive.
fn whole<T: serde::Serialize>(shared: &Shared, value: &T, mode: Option<Mode>) -> Answer {
    if mode == Some(Mode::ErrorInStream) {
        return failure(503);
    }
    let settings = &shared.settings;
    let mut answer = Answer::json(StatusCode::OK, value);
    if mode == Some(Mode::Blank) {
        answer.pieces = vec![Piece::Other("\n\n\n".into())];
    }
    let blank = || Piece::Other("\n".into());
    answer.pieces.splice(0..0, std::iter::repeat_with(blank).take(settings.keep_alives));
    answer.delivery.pace = Some(settings.chunk_delay);
    ended(answer, mode)
}
