//! A whole answer of the chat, and of the completions before it.

use std::collections::HashSet;

use async_openai::types::chat::ChatCompletionMessageToolCalls;
use modelswitch_provider::{Error, Head, Result};
use serde_json::{Map, Value, json};

use super::calls::{self, Ids};
use super::seen::Parts;
use super::{Context, finish, reasoning, repair, thought, usage};

/// The members that an answer is nothing without.
pub(super) const ESSENTIAL: [&str; 11] = [
    "id",
    "object",
    "created",
    "model",
    "choices",
    "choices.index",
    "choices.text",
    "choices.message",
    "choices.message.role",
    "choices.message.content",
    "choices.message.tool_calls",
];

/// # Errors
/// [`Decode`](modelswitch_provider::ErrorKind::Decode) that names what is missing; the error that a finish reason means.
pub(super) fn repair_chat(context: &Context, object: &mut Map<String, Value>) -> Result<()> {
    fetch_choices(object, "message");
    repair_envelope(&context.head, object, "chat.completion");
    repair::created(object, None);
    for (position, choice) in choices(object)?.iter_mut().enumerate() {
        let Some(choice) = choice.as_object_mut() else {
            return Err(Error::decode(format!("choices[{position}] is not an object")));
        };
        repair_index(choice, position);
        fetch_message(choice);
        let number = choice.get("index").and_then(repair::count).unwrap_or_default();
        let Some(message) = choice.get_mut("message").and_then(Value::as_object_mut) else {
            finish::refuse_failed(context, choice)?;
            return Err(Error::decode(format!("choices[{position}].message is missing")));
        };
        let calls_tools = repair_message(context, message, number);
        finish::refuse_failed(context, choice)?;
        finish::repair(context, choice, calls_tools)?;
        finish_function_call(context, choice);
        finish::complete(choice, calls_tools);
    }
    Ok(())
}

/// Puts what is said under `message`, also where a service that only streams answers with the whole in one delta, or with a text.
fn fetch_message(choice: &mut Map<String, Value>) {
    let answers = |message: &Map<String, Value>| Parts::of(message).answers();
    if choice.get("message").and_then(Value::as_object).is_some_and(answers) {
        return;
    }
    let places = ["message", "delta", "text"].into_iter();
    let mut there: Vec<_> = places.filter_map(|name| as_message(choice.get(name)?.clone())).collect();
    let says = |message: &Map<String, Value>| !Parts::of(message).is_none();
    let best = there.iter().position(answers).or_else(|| there.iter().position(says)).unwrap_or_default();
    if best < there.len() {
        let mut message = there.swap_remove(best);
        // One that doesn't answer may have thought, in a place of the service's own.
        for (name, value) in there.into_iter().flatten() {
            message.entry(name).or_insert(value);
        }
        choice.insert("message".to_owned(), Value::Object(message));
    }
}

/// What stands where a message or a delta should be, as one: a string is its content.
pub(super) fn as_message(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(members) => Some(members),
        Value::String(_) => Some(Map::from_iter([("content".to_owned(), value)])),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    }
}

/// True when it calls tools.
fn repair_message(context: &Context, message: &mut Map<String, Value>, choice: u32) -> bool {
    if !repair::is_role(message.get("role")) {
        message.insert("role".to_owned(), "assistant".into());
    }
    reasoning::unify(message, &context.profile.reasoning.fields);
    if let Some(tags) = &context.profile.reasoning.tags
        && let Some(text) = message.get("content").and_then(Value::as_str)
    {
        let is_known =
            message.get("reasoning_content").and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        let told = thought::tell(tags, text, is_known);
        reasoning::add(message, told);
    }
    repair::string_or_null(message, "refusal");
    if !context.asked_functions {
        calls::from_function_call(message);
    }
    if let Some(function) = message.get_mut("function_call").and_then(Value::as_object_mut) {
        calls::repair_arguments(function);
    }
    calls::repair_whole(message, Ids { salt: context.salt, choice });
    message.get("tool_calls").and_then(Value::as_array).is_some_and(|calls| !calls.is_empty())
}

/// Whoever offered tools waits for tools.
pub(super) fn finish_function_call(context: &Context, choice: &mut Map<String, Value>) {
    if !context.asked_functions
        && choice.get("finish_reason").and_then(Value::as_str) == Some("function_call")
    {
        choice.insert("finish_reason".to_owned(), "tool_calls".into());
    }
}

/// True when each call has an id that no other has.
pub(super) fn ids_are_unique<'a>(calls: impl Iterator<Item = &'a ChatCompletionMessageToolCalls>) -> bool {
    are_unique(calls.map(|call| match call {
        ChatCompletionMessageToolCalls::Function(call) => call.id.as_str(),
        ChatCompletionMessageToolCalls::Custom(call) => call.id.as_str(),
    }))
}

/// True when each of these ids says something, and none is there twice.
pub(super) fn are_unique<'a>(mut ids: impl Iterator<Item = &'a str>) -> bool {
    let mut known: HashSet<&str> = HashSet::new();
    ids.all(|id| !id.is_empty() && known.insert(id))
}

/// # Errors
/// As [`repair_chat`].
pub(super) fn repair_completion(context: &Context, object: &mut Map<String, Value>) -> Result<()> {
    fetch_choices(object, "message");
    repair_envelope(&context.head, object, "text_completion");
    repair::created(object, None);
    for (position, choice) in choices(object)?.iter_mut().enumerate() {
        let Some(choice) = choice.as_object_mut() else {
            return Err(Error::decode(format!("choices[{position}] is not an object")));
        };
        repair_index(choice, position);
        repair_text(choice);
        finish::refuse_failed(context, choice)?;
        finish::repair(context, choice, false)?;
        finish::complete(choice, false);
        finish::of_text(choice);
    }
    Ok(())
}

/// The text of a completion, also where a service answers as if it had been a chat.
pub(super) fn repair_text(choice: &mut Map<String, Value>) {
    if !choice.get("text").is_some_and(Value::is_string) {
        let said =
            ["message", "delta"].into_iter().find_map(|name| choice.get(name)?.get("content")?.as_str());
        let said = said.map(str::to_owned);
        repair::string_or(choice, "text", || said.unwrap_or_default());
    }
}

/// Choices that stand elsewhere than where OpenAI has them: in an object around (`output` of DashScope's own API, `result`
/// of Cloudflare's), or a `message` alone (Ollama's own API).
pub(super) fn fetch_choices(object: &mut Map<String, Value>, said: &str) {
    if object.get("choices").is_some_and(|choices| !choices.is_null()) {
        return;
    }
    let around = ["result", "output", "data", "response"].into_iter().find(|name| {
        object.get(*name).is_some_and(|inner| inner.get("choices").is_some_and(Value::is_array))
    });
    if let Some(Value::Object(inner)) = around.and_then(|name| object.remove(name)) {
        for (name, value) in inner {
            if object.get(&name).is_none_or(Value::is_null) {
                object.insert(name, value);
            }
        }
    } else if object.get("message").is_some_and(Value::is_object) {
        let message = object.remove("message").unwrap_or_default();
        let reason = match object.get("done").and_then(Value::as_bool) {
            Some(true) => object.get("done_reason").cloned().unwrap_or_else(|| "stop".into()),
            Some(false) | None => Value::Null,
        };
        object.insert("choices".to_owned(), json!([{ "index": 0, said: message, "finish_reason": reason }]));
        let counts = ["prompt_eval_count", "eval_count"].into_iter();
        let counts: Map<String, Value> =
            counts.filter_map(|name| Some((name.to_owned(), object.get(name)?.clone()))).collect();
        if !counts.is_empty() {
            object.entry("usage").or_insert(Value::Object(counts));
        }
    }
}

/// What an answer and a chunk have in common.
pub(super) fn repair_envelope(head: &Head, object: &mut Map<String, Value>, kind: &str) {
    let model = || head.model.as_deref().unwrap_or_default().to_owned();
    repair::string_or(object, "id", || format!("modelswitch-{}", head.request_id.as_deref().unwrap_or("0")));
    repair::string_or(object, "model", model);
    object.insert("object".to_owned(), kind.into());
    repair::service_tier(object);
    repair::string_or_nothing(object, "system_fingerprint");
    usage::repair(object);
}

pub(super) fn repair_index(item: &mut Map<String, Value>, position: usize) {
    let index = item.get("index").and_then(repair::count);
    item.insert(
        "index".to_owned(),
        index.unwrap_or_else(|| u32::try_from(position).unwrap_or_default()).into(),
    );
}

fn choices(object: &mut Map<String, Value>) -> Result<&mut Vec<Value>> {
    match object.get_mut("choices") {
        Some(Value::Array(choices)) if choices.is_empty() => Err(Error::decode("`choices` is empty")),
        Some(Value::Array(choices)) => Ok(choices),
        Some(_) => Err(Error::decode("`choices` is not a list")),
        None => Err(Error::decode("`choices` is missing")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;
    use crate::scrub::Scrub;
    use modelswitch_provider::{ApiKey, Request};

    #[test]
    fn a_reason_that_repeats_a_key_or_a_prompt_shows_neither() {
        let request =
            Request::chat(&json!({"model":"m","messages":[{"role":"user","content":"a secret plan"}]}));
        let mut context = Context::of_test("openai", Kind::Chat);
        context.scrub = Scrub::new(Some(ApiKey::new("sk-canary-1").unwrap()), request.unwrap());
        let reason = format!("error: sk-canary-1 may not ask for a secret plan {}", "x".repeat(100_000));
        let mut answer = json!({"choices":[{"message":{"content":"hi"},"finish_reason":reason}]});
        let error = repair_chat(&context, answer.as_object_mut().unwrap()).unwrap_err();
        let shown = format!("{error} {error:?} {}", error.report());
        assert!(!shown.contains("canary") && !shown.contains("secret") && shown.len() < 2_000, "{shown}");
    }
}
