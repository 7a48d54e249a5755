//! `POST /v1/completions`, the older text endpoint.

use serde_json::{Value, json};

use super::chat::{finish, usage};
use super::{missing, no_model, serving, stream, troubled, whole};
use crate::answer::{Answer, Piece};
use crate::ask::Ask;
use crate::recorded::Recorded;
use crate::state::{Shared, now};
use crate::turn::Turn;

pub(super) fn answer(shared: &Shared, request: &Recorded, body: &Value) -> Answer {
    let ask = Ask::completion(body);
    let Some(model) = serving(&ask.model) else { return no_model(&ask.model) };
    if body.get("prompt").is_none() {
        return missing("prompt");
    }
    if let Some(trouble) = troubled(ask.mode) {
        return trouble;
    }
    let turn = Turn::compose(&ask, model, false);
    let id = format!("cmpl-{}", shared.ids(request).letters(29));
    let created = now();
    let envelope = |choices: Value, usage: Option<&Value>| {
        let mut body = json!({
            "id": id, "object": "text_completion", "created": created, "model": model, "choices": choices,
        });
        if let (Some(usage), Some(fields)) = (usage, body.as_object_mut()) {
            fields.insert("usage".to_owned(), usage.clone());
        }
        body
    };
    let choice = |text: &str, finish: Option<&str>| json!([{"text": text, "index": 0, "logprobs": null, "finish_reason": finish}]);
    let usage = usage(&ask, &turn);
    if !ask.stream {
        return whole(&envelope(choice(&turn.content.concat(), Some(finish(&turn))), Some(&usage)), ask.mode);
    }
    let early = ask.include_usage.then_some(&Value::Null);
    let mut pieces: Vec<Piece> =
        turn.content.iter().map(|token| Piece::event(&envelope(choice(token, None), early))).collect();
    pieces.push(Piece::event(&envelope(choice("", Some(finish(&turn))), early)));
    if ask.include_usage {
        pieces.push(Piece::event(&envelope(json!([]), Some(&usage))));
    }
    pieces.push(Piece::data("[DONE]"));
    stream(shared, pieces, ask.mode)
}
