//! DeepSeek as its documentation and recorded traffic show it.

mod anthropic;
mod chat;
mod check;
mod files;
mod fim;
mod logprobs;
mod responses;
mod trouble;

use http::StatusCode;
use serde_json::json;

use crate::answer::Answer;
use crate::mode::{self, Mode};
use crate::recorded::Recorded;
use crate::state::{Open, Shared};
use trouble::{Failure, error};

/// Model ids and the id that serves them. The older names are still routed to Flash.
const SERVING: [(&str, &str); 4] = [
    ("deepseek-flash", "deepseek-flash"),
    ("deepseek-v4-pro", "deepseek-v4-pro"),
    ("deepseek-v4-flash", "deepseek-flash"),
    ("deepseek-v4-flash-vision-exp", "deepseek-flash"),
];

pub(crate) fn answer(shared: &Shared, request: &Recorded, open: &mut Open) -> Answer {
    let route = request.route();
    if let Some(path) = route.strip_prefix("/anthropic") {
        return anthropic::answer(shared, request, path, open);
    }
    let (beta, path) = match route.strip_prefix("/beta") {
        Some(path) => (true, path),
        None => (false, route.strip_prefix("/v1").unwrap_or(route)),
    };
    let file = path.strip_prefix("/files").and_then(|rest| {
        if rest.is_empty() { Some("") } else { rest.strip_prefix('/').filter(|id| !id.contains('/')) }
    });
    let allowed = match path {
        "/models" | "/user/balance" => "GET",
        "/chat/completions" | "/completions" | "/responses" => "POST",
        _ if file == Some("") => "GET, POST",
        _ if file.is_some() => "GET, DELETE",
        _ => return Answer::empty(StatusCode::NOT_FOUND),
    };
    if !allowed.split(", ").any(|method| request.method == method) {
        return Answer::empty(StatusCode::METHOD_NOT_ALLOWED).with(http::header::ALLOW, allowed);
    }
    let key = request.bearer();
    if let Err(refused) = authorize(shared, key, wrong_key) {
        return *refused;
    }
    let key_mode = key.and_then(Mode::of_key);
    match (path, file) {
        ("/models", _) => return models(),
        ("/user/balance", _) => return balance(shared, key_mode == Some(402)),
        (_, Some(id)) => return files::answer(shared, request, id),
        _ => {}
    }
    if let Err(failure) = admit(shared, key_mode, open) {
        return failure.answer();
    }
    match path {
        "/chat/completions" => chat::answer(shared, request, beta),
        "/completions" => fim::answer(shared, request, beta),
        _ => responses::answer(shared, request),
    }
}

/// Whether the key is known. Without a key the gateway in front answers; `wrong` is what the service
/// says to a wrong one.
fn authorize(shared: &Shared, key: Option<&str>, wrong: fn(&str) -> Answer) -> Result<(), Box<Answer>> {
    let Some(key) = key else {
        let refused = Answer::body(StatusCode::UNAUTHORIZED, "", "Authentication Fails (governor)");
        return Err(Box::new(refused));
    };
    let settings = &shared.settings;
    if settings.takes(key) || Mode::of_key(key).is_some() {
        return Ok(());
    }
    let tail: String = key.chars().skip(key.chars().count().saturating_sub(4)).collect();
    Err(Box::new(wrong(&format!("Authentication Fails, Your api key: ****{tail} is invalid"))))
}

fn wrong_key(message: &str) -> Answer {
    error(StatusCode::UNAUTHORIZED, "authentication_error", message)
}

/// Whether a call of a model is served now, or what keeps it from it: its key, an empty purse, a full
/// house.
fn admit(shared: &Shared, key_mode: Option<u16>, open: &mut Open) -> Result<(), Failure> {
    if let Some(status) = key_mode {
        return Err(Failure::of(status));
    }
    if shared.settings.balance.is_spent() {
        return Err(Failure::of(402));
    }
    open.begin_call().map_err(|full| Failure::too_many(full.current, full.limit))
}

fn models() -> Answer {
    let model = |id: &str| json!({"id": id, "object": "model", "owned_by": "deepseek"});
    let list = json!({"object": "list", "data": [model("deepseek-flash"), model("deepseek-v4-pro")]});
    Answer::json(StatusCode::OK, &list)
}

fn balance(shared: &Shared, spent: bool) -> Answer {
    let balance = &shared.settings.balance;
    let shown = |amount: &str| if spent { "0.00".to_owned() } else { amount.to_owned() };
    let info = json!({
        "currency": balance.currency, "total_balance": shown(&balance.total),
        "granted_balance": shown(&balance.granted), "topped_up_balance": shown(&balance.topped_up),
    });
    let available = !spent && !balance.is_spent();
    Answer::json(StatusCode::OK, &json!({"is_available": available, "balance_infos": [info]}))
}

/// The serving id of a model, if there is such a model.
fn serving(asked: &str) -> Option<&'static str> {
    let name = mode::without_tag(asked);
    SERVING.iter().find(|(id, _)| *id == name).map(|(_, serving)| *serving)
}

/// Whether a key has an uploaded image of this id.
fn has_image(shared: &Shared, key: Option<&str>, id: &str) -> bool {
    let files = shared.files();
    files.find(key.unwrap_or_default(), id).is_some_and(|file| file.text("purpose") == "user_data")
}
