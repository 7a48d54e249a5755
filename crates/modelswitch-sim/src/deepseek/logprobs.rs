//! Probabilities of tokens, as chat and as completions write them.

use serde_json::{Value, json};

use crate::ask::Ask;
use crate::turn::Turn;

/// The simulated model is nearly certain of every token.
const CERTAIN: f64 = -0.125;

/// What DeepSeek writes for a token that is beyond consideration.
const SENTINEL: f64 = -9999.0;

/// The probabilities of a whole chat answer: a list for the thoughts and one for the text, an empty one
/// left out.
pub(super) fn whole(ask: &Ask, turn: &Turn) -> Value {
    let lists = [("content", Some(&turn.content)), ("reasoning_content", turn.reasoning.as_ref())];
    let lists = lists.into_iter().filter_map(|(key, tokens)| Some((key, tokens.filter(|t| !t.is_empty())?)));
    let all = lists.map(|(key, tokens)| {
        let each: Value = tokens.iter().map(|token| one(ask, token)).collect();
        (key.to_owned(), each)
    });
    let all: serde_json::Map<String, Value> = all.collect();
    if !ask.logprobs || all.is_empty() { Value::Null } else { Value::Object(all) }
}

/// The probability of a chunk's token, under the name of what it belongs to.
pub(super) fn chunk(ask: &Ask, key: &str, token: &str) -> Value {
    if !ask.logprobs {
        return Value::Null;
    }
    json!({key: [one(ask, token)]})
}

fn one(ask: &Ask, token: &str) -> Value {
    let entry =
        |token: &str, logprob: f64| json!({"token": token, "logprob": logprob, "bytes": token.as_bytes()});
    let mut full = entry(token, CERTAIN);
    let top = alternatives(token, ask.top_logprobs).map(|(token, logprob)| entry(&token, logprob));
    if let Some(full) = full.as_object_mut() {
        full.insert("top_logprobs".to_owned(), top.collect());
    }
    full
}

/// The token itself and others, as many as were asked for.
fn alternatives(token: &str, most: u64) -> impl Iterator<Item = (String, f64)> {
    (0..most).map(move |place| match place {
        0 => (token.to_owned(), CERTAIN),
        1 => ("<｜end▁of▁thinking｜>".to_owned(), -2.5),
        _ => (format!("{token}{place}"), SENTINEL),
    })
}

/// The older form of completions: lists side by side. `offset` is where the first token begins.
pub(super) fn legacy(tokens: &[String], offset: usize, most: u64) -> Value {
    let offsets = tokens.iter().scan(offset, |at, token| {
        let here = *at;
        *at += token.chars().count();
        Some(here)
    });
    let top = tokens.iter().map(|token| {
        let all = alternatives(token, most.max(1)).map(|(token, logprob)| (token, json!(logprob)));
        Value::Object(all.collect())
    });
    json!({
        "text_offset": offsets.collect::<Vec<_>>(), "token_logprobs": vec![CERTAIN; tokens.len()],
        "tokens": tokens, "top_logprobs": top.collect::<Vec<_>>(),
    })
}
