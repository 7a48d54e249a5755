//! `POST /beta/completions`: text between a prefix and a suffix, never with thinking.

use serde_json::{Value, json};

use super::chat::{Envelope, FINGERPRINT, usage};
use super::{check, stream, troubled, whole};
use crate::answer::{Answer, Piece};
use crate::ask::Ask;
use crate::recorded::Recorded;
use crate::state::{Shared, now};
use crate::turn::Turn;

pub(super) fn answer(shared: &Shared, request: &Recorded, beta: bool) -> Answer {
    let checked = check::parse(request).and_then(|body| {
        let asked = body.get("model").and_then(Value::as_str).unwrap_or_default();
        let serving = super::serving(asked).ok_or_else(|| check::Refusal::no_model(asked))?;
        if !beta {
            return Err(check::Refusal::octets(
                "completions api is only available when using beta api (set \
                 base_url=\"https://api.deepseek.com/beta\")",
            ));
        }
        check::limits(&body).map(|()| (body, serving))
    });
    let (body, serving) = match checked {
        Ok(checked) => checked,
        Err(refusal) => return refusal.answer(),
    };
    let ask = Ask::completion(&body);
    if let Some(trouble) = troubled(ask.mode, ask.prompt_tokens) {
        return trouble;
    }
    let mut turn = Turn::compose(&ask, serving, false);
    let usage = usage(shared, &ask, &turn);
    if body.get("echo") == Some(&Value::Bool(true)) {
        let prompt = body.get("prompt").and_then(Value::as_str).unwrap_or_default();
        turn.content.insert(0, prompt.to_owned());
    }
    let (id, created) = (shared.ids(request).uuid(), now());
    let envelope = |text: &str, finish: Option<&str>, usage: Option<Value>| Envelope {
        id: &id,
        object: "text_completion",
        created,
        model: serving,
        system_fingerprint: FINGERPRINT,
        choices: [json!({"index": 0, "text": text, "logprobs": null, "finish_reason": finish})],
        usage,
    };
    if !ask.stream {
        return whole(shared, &envelope(&turn.content.concat(), Some(turn.finish), Some(usage)), ask.mode);
    }
    let early = ask.include_usage.then_some(Value::Null);
    let mut pieces: Vec<Piece> =
        turn.content.iter().map(|token| Piece::event(&envelope(token, None, early.clone()))).collect();
    pieces.push(Piece::event(&envelope("", Some(turn.finish), Some(usage))));
    pieces.push(Piece::data("[DONE]"));
    stream(shared, pieces, ask.mode)
}
