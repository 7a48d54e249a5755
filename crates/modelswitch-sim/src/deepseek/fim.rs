//! `POST /beta/completions`: text between a prefix and a suffix, never with thinking.
//!
//! <https://api-docs.deepseek.com/api/create-completion>

use serde_json::{Value, json};

use super::chat::{Envelope, FINGERPRINT, usage};
use super::trouble::{stream, trouble, whole};
use super::{check, logprobs};
use crate::answer::{Answer, Piece};
use crate::ask::Ask;
use crate::recorded::Recorded;
use crate::state::{Shared, now};
use crate::text::tokens;
use crate::turn::Turn;

pub(super) fn answer(shared: &Shared, request: &Recorded, beta: bool) -> Answer {
    let checked = check::parse(request).and_then(|body| {
        let ask = Ask::completion(&body);
        check::fim(request, &body, &ask, beta).map(|serving| (body, ask, serving))
    });
    let (body, ask, serving) = match checked {
        Ok(checked) => checked,
        Err(refusal) => return refusal.answer(),
    };
    if let Some(trouble) = trouble(&ask) {
        return trouble;
    }
    let turn = Turn::compose(&ask, serving, false);
    let usage = usage(shared, &ask, &turn);
    let said = Said::of(&body, &turn);
    let (id, created) = (shared.ids(request).uuid(), now());
    let envelope = |choice: Value, usage: Option<Value>| Envelope {
        id: &id,
        object: "text_completion",
        created,
        model: serving,
        system_fingerprint: FINGERPRINT,
        choices: [choice],
        usage,
    };
    if !ask.stream {
        return whole(
            shared,
            &envelope(said.choice(0..said.tokens.len(), Some(turn.finish)), Some(usage)),
            ask.mode,
        );
    }
    let early = ask.include_usage.then_some(Value::Null);
    let mut pieces: Vec<Piece> = (0..said.tokens.len())
        .map(|place| Piece::event(&envelope(said.choice(place..place + 1, None), early.clone())))
        .collect();
    pieces.push(Piece::event(&envelope(said.choice(0..0, Some(turn.finish)), Some(usage))));
    pieces.push(Piece::data("[DONE]"));
    stream(shared, pieces, ask.mode)
}

/// The tokens of the answer, the prompt before them if it is to be repeated.
struct Said {
    tokens: Vec<String>,
    /// How many alternatives each token has; `None` without probabilities.
    alternatives: Option<u64>,
}

impl Said {
    fn of(body: &Value, turn: &Turn) -> Self {
        let echo = body.get("echo") == Some(&Value::Bool(true));
        let prompt = body.get("prompt").and_then(Value::as_str).filter(|_| echo).unwrap_or_default();
        let said = tokens(prompt).into_iter().chain(turn.content.iter().cloned());
        Self { tokens: said.collect(), alternatives: body.get("logprobs").and_then(Value::as_u64) }
    }

    fn choice(&self, range: std::ops::Range<usize>, finish: Option<&str>) -> Value {
        let tokens = self.tokens.get(range.clone()).unwrap_or_default();
        let before = self.tokens.iter().take(range.start).map(|token| token.chars().count()).sum();
        let logprobs = match self.alternatives {
            Some(most) if !tokens.is_empty() => logprobs::legacy(tokens, before, most),
            _ => Value::Null,
        };
        json!({"index": 0, "text": tokens.concat(), "logprobs": logprobs, "finish_reason": finish})
    }
}
