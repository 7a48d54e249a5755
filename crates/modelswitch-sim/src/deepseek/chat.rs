//! `POST /chat/completions`: one answer, whole or as a stream.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::trouble::{stream, trouble, whole};
use super::{check, has_image, logprobs};
use crate::answer::{Answer, Piece};
use crate::ask::Ask;
use crate::recorded::Recorded;
use crate::state::{Ids, Shared, now};
use crate::turn::{Call, Turn};

/// What every body and chunk says about itself, in DeepSeek's order.
#[derive(Serialize)]
pub(super) struct Envelope<'a> {
    pub(super) id: &'a str,
    pub(super) object: &'static str,
    pub(super) created: u64,
    pub(super) model: &'a str,
    pub(super) system_fingerprint: &'static str,
    pub(super) choices: [Value; 1],
    /// `None` leaves the key out; `Null` writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<Value>,
}

/// The fingerprint of every simulated answer.
pub(super) const FINGERPRINT: &str = "fp_simulated0000_prod_fp8_kvcache";

pub(super) fn answer(shared: &Shared, request: &Recorded, beta: bool) -> Answer {
    let body = match check::parse(request) {
        Ok(body) => body,
        Err(refusal) => return refusal.answer(),
    };
    let ask = Ask::chat(&body);
    let thinking = thinks(&body);
    let has_file = |id: &str| has_image(shared, request.bearer(), id);
    let about = check::About { thinking, beta, has_file: &has_file };
    let serving = match check::chat(request, &body, &ask, &about) {
        Ok(serving) => serving,
        Err(refusal) => return refusal.answer(),
    };
    if let Some(trouble) = trouble(&ask) {
        return trouble;
    }
    let turn = Turn::compose(&ask, serving, thinking);
    let usage = usage(shared, &ask, &turn);
    let mut ids = shared.ids(request);
    let head = Head { id: ids.uuid(), created: now(), model: serving };
    if ask.stream {
        stream(shared, chunks(&ask, &turn, &head, &mut ids, usage), ask.mode)
    } else {
        whole(shared, &completion(&ask, &turn, &head, &mut ids, usage), ask.mode)
    }
}

struct Head {
    id: String,
    created: u64,
    model: &'static str,
}

impl Head {
    fn envelope(&self, object: &'static str, choice: Value, usage: Option<Value>) -> Envelope<'_> {
        let (id, created, model) = (self.id.as_str(), self.created, self.model);
        Envelope { id, object, created, model, system_fingerprint: FINGERPRINT, choices: [choice], usage }
    }
}

/// Thinking is on unless it is switched off.
fn thinks(body: &Value) -> bool {
    let disabled = body.pointer("/thinking/type").and_then(Value::as_str) == Some("disabled");
    let no_effort = body.get("reasoning_effort").and_then(Value::as_str) == Some("none");
    !disabled && !no_effort
}

pub(super) fn usage(shared: &Shared, ask: &Ask, turn: &Turn) -> Value {
    let (hit, prompt) = (shared.cached_tokens(&ask.prompt, turn), ask.prompt.tokens);
    let completion = turn.completion_tokens();
    let mut usage = json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": hit},
        "prompt_cache_hit_tokens": hit,
        "prompt_cache_miss_tokens": prompt - hit,
    });
    if let (Some(_), Some(usage)) = (&turn.reasoning, usage.as_object_mut()) {
        let details = json!({"reasoning_tokens": turn.reasoning_tokens()});
        usage.insert("completion_tokens_details".to_owned(), details);
    }
    usage
}

fn completion<'a>(ask: &Ask, turn: &Turn, head: &'a Head, ids: &mut Ids, usage: Value) -> Envelope<'a> {
    let mut message = Map::new();
    message.insert("role".to_owned(), json!("assistant"));
    message.insert("content".to_owned(), json!(turn.content.concat()));
    if let Some(reasoning) = &turn.reasoning {
        message.insert("reasoning_content".to_owned(), json!(reasoning.concat()));
    }
    if !turn.calls.is_empty() {
        let calls = turn.calls.iter().enumerate().map(|(index, call)| {
            let function = json!({"name": call.name, "arguments": call.arguments.concat()});
            json!({"index": index, "id": call_id(index, ids), "type": "function", "function": function})
        });
        message.insert("tool_calls".to_owned(), calls.collect());
    }
    let logprobs = logprobs::whole(ask, turn);
    let choice = json!({"index": 0, "message": message, "logprobs": logprobs, "finish_reason": turn.finish});
    head.envelope("chat.completion", choice, Some(usage))
}

fn chunks(ask: &Ask, turn: &Turn, head: &Head, ids: &mut Ids, usage: Value) -> Vec<Piece> {
    let early = ask.include_usage.then_some(Value::Null);
    let chunk = |delta: Value, logprobs: Value| {
        let choice = json!({"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": null});
        Piece::event(&head.envelope("chat.completion.chunk", choice, early.clone()))
    };
    let mut pieces = Vec::new();
    let thinking = turn.reasoning.is_some();
    pieces.push(chunk(
        if thinking {
            json!({"role": "assistant", "content": null, "reasoning_content": ""})
        } else {
            json!({"role": "assistant", "content": ""})
        },
        Value::Null,
    ));
    for token in turn.reasoning.iter().flatten() {
        let logprobs = logprobs::chunk(ask, "reasoning_content", token);
        pieces.push(chunk(json!({"content": null, "reasoning_content": token}), logprobs));
    }
    for token in &turn.content {
        pieces.push(chunk(text_delta(token, thinking), logprobs::chunk(ask, "content", token)));
    }
    for (index, call) in turn.calls.iter().enumerate() {
        let deltas = call_deltas(index, call, ids);
        pieces.extend(deltas.map(|delta| chunk(json!({"tool_calls": [delta]}), Value::Null)));
    }
    let choice = json!({
        "index": 0, "delta": text_delta("", thinking), "logprobs": null, "finish_reason": turn.finish,
    });
    pieces.push(Piece::event(&head.envelope("chat.completion.chunk", choice, Some(usage))));
    pieces.push(Piece::data("[DONE]"));
    pieces
}

fn text_delta(text: &str, thinking: bool) -> Value {
    if thinking { json!({"content": text, "reasoning_content": null}) } else { json!({"content": text}) }
}

/// The name first with empty arguments, then the arguments in tokens.
fn call_deltas(index: usize, call: &Call, ids: &mut Ids) -> impl Iterator<Item = Value> {
    let function = json!({"name": call.name, "arguments": ""});
    let first = json!({"index": index, "id": call_id(index, ids), "type": "function", "function": function});
    let rest =
        call.arguments.iter().map(move |part| json!({"index": index, "function": {"arguments": part}}));
    std::iter::once(first).chain(rest)
}

fn call_id(index: usize, ids: &mut Ids) -> String {
    format!("call_{index:02}_{}", ids.letters(24))
}
