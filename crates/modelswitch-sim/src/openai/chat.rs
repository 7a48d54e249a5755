//! `POST /v1/chat/completions`.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{invalid, missing, no_model, serving, stream, troubled, whole};
use crate::answer::{Answer, Piece};
use crate::ask::Ask;
use crate::recorded::Recorded;
use crate::state::{Ids, Shared, now};
use crate::turn::Turn;

#[derive(Serialize)]
struct Envelope<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'static str,
    choices: Vec<Value>,
    /// `None` leaves the key out; `Null` writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Value>,
    system_fingerprint: &'static str,
}

pub(super) fn answer(shared: &Shared, request: &Recorded, body: &Value) -> Answer {
    let mut ask = Ask::chat(body);
    let Some(model) = serving(&ask.model) else { return no_model(&ask.model) };
    if body.get("messages").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        return missing("messages");
    }
    if !ask.stream && body.get("stream_options").is_some_and(|options| !options.is_null()) {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return invalid(message, json!("stream_options"));
    }
    if let Some(trouble) = troubled(ask.mode) {
        return trouble;
    }
    ask.max_tokens = body.get("max_completion_tokens").and_then(Value::as_u64).or(ask.max_tokens);
    let turn = Turn::compose(&ask, model, false);
    let mut ids = shared.ids(request);
    let id = format!("chatcmpl-{}", ids.letters(29));
    let created = now();
    let envelope = |object, choices, usage| Envelope {
        id: &id,
        object,
        created,
        model,
        choices,
        usage,
        system_fingerprint: "fp_simulated",
    };
    let usage = usage(&ask, &turn);
    if !ask.stream {
        let choice = choice(&turn, &mut ids);
        return whole(&envelope("chat.completion", vec![choice], Some(usage)), ask.mode);
    }
    let early = ask.include_usage.then_some(Value::Null);
    let object = "chat.completion.chunk";
    let mut pieces: Vec<Piece> = choices(&turn, &mut ids)
        .into_iter()
        .map(|choice| Piece::event(&envelope(object, vec![choice], early.clone())))
        .collect();
    if ask.include_usage {
        pieces.push(Piece::event(&envelope(object, Vec::new(), Some(usage))));
    }
    pieces.push(Piece::data("[DONE]"));
    stream(shared, pieces, ask.mode)
}

pub(super) fn usage(ask: &Ask, turn: &Turn) -> Value {
    let completion = turn.completion_tokens();
    json!({
        "prompt_tokens": ask.prompt.tokens, "completion_tokens": completion,
        "total_tokens": ask.prompt.tokens + completion,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0, "audio_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    })
}

fn choice(turn: &Turn, ids: &mut Ids) -> Value {
    let mut message = Map::new();
    message.insert("role".to_owned(), json!("assistant"));
    let content = if turn.calls.is_empty() { json!(turn.content.concat()) } else { Value::Null };
    message.insert("content".to_owned(), content);
    message.insert("refusal".to_owned(), Value::Null);
    message.insert("annotations".to_owned(), json!([]));
    if !turn.calls.is_empty() {
        let calls = turn.calls.iter().map(|call| {
            let function = json!({"name": call.name, "arguments": call.arguments.concat()});
            json!({"id": format!("call_{}", ids.letters(24)), "type": "function", "function": function})
        });
        message.insert("tool_calls".to_owned(), calls.collect());
    }
    json!({"index": 0, "message": message, "logprobs": null, "finish_reason": finish(turn)})
}

fn choices(turn: &Turn, ids: &mut Ids) -> Vec<Value> {
    let choice = |delta: Value, finish: Value| json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish});
    let mut out = Vec::new();
    if turn.calls.is_empty() {
        out.push(choice(json!({"role": "assistant", "content": "", "refusal": null}), Value::Null));
    } else {
        out.push(choice(json!({"role": "assistant", "content": null}), Value::Null));
    }
    out.extend(turn.content.iter().map(|token| choice(json!({"content": token}), Value::Null)));
    for (index, call) in turn.calls.iter().enumerate() {
        let id = format!("call_{}", ids.letters(24));
        let function = json!({"name": call.name, "arguments": ""});
        let first = json!({"index": index, "id": id, "type": "function", "function": function});
        out.push(choice(json!({"tool_calls": [first]}), Value::Null));
        out.extend(call.arguments.iter().map(|part| {
            let part = json!({"index": index, "function": {"arguments": part}});
            choice(json!({"tool_calls": [part]}), Value::Null)
        }));
    }
    out.push(choice(json!({}), json!(finish(turn))));
    out
}

/// DeepSeek's own finish reasons do not exist here.
pub(super) fn finish(turn: &Turn) -> &'static str {
    match turn.finish {
        "insufficient_system_resource" | "aborted" => "stop",
        other => other,
    }
}
