//! What must stand together in a conversation.

use serde_json::Value;

use super::refusal::Refusal;
use crate::ask::role;

/// Tool calls need their results, results their calls, and thinking with tools its thoughts back.
pub(super) fn check(messages: &[Value], thoughts_needed: bool) -> Result<(), Refusal> {
    let mut waiting: Vec<&str> = Vec::new();
    let mut called: Vec<&str> = Vec::new();
    for message in messages {
        if role(message) == "tool" {
            let id = message.get("tool_call_id").and_then(Value::as_str).unwrap_or_default();
            if !called.contains(&id) {
                return Err(Refusal::octets(
                    "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'",
                ));
            }
            waiting.retain(|open| *open != id);
            continue;
        }
        answered(&waiting)?;
        called.clear();
        if role(message) == "assistant" {
            called.extend(assistant(message, thoughts_needed)?);
        }
        waiting.clone_from(&called);
    }
    answered(&waiting)
}

/// The ids that an assistant's message calls.
fn assistant(message: &Value, thoughts_needed: bool) -> Result<Vec<&str>, Refusal> {
    let calls = message.get("tool_calls").and_then(Value::as_array).filter(|calls| !calls.is_empty());
    if calls.is_none() && message.get("content").is_none_or(Value::is_null) {
        return Err(Refusal::octets("Invalid assistant message: content or tool_calls must be set"));
    }
    // A message to be continued is not a turn yet; an empty thought is one.
    let is_turn = !is_prefix(message);
    if thoughts_needed && is_turn && message.get("reasoning_content").is_none_or(|value| !value.is_string()) {
        return Err(Refusal::octets(
            "The `reasoning_content` in the thinking mode must be passed back to the API.",
        ));
    }
    Ok(calls.into_iter().flatten().filter_map(|call| call.get("id").and_then(Value::as_str)).collect())
}

fn answered(waiting: &[&str]) -> Result<(), Refusal> {
    if waiting.is_empty() {
        return Ok(());
    }
    Err(Refusal::octets(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each \
         'tool_call_id'. (insufficient tool messages following tool_calls message)",
    ))
}

/// The message to be continued: the last, the assistant's, and only on the beta base.
pub(super) fn prefix(messages: &[Value], beta: bool) -> Result<(), Refusal> {
    let Some(place) = messages.iter().position(is_prefix) else { return Ok(()) };
    if !beta {
        return Err(Refusal::octets(
            "prefix is only available when using beta api (set base_url=\"https://api.deepseek.com/beta\")",
        ));
    }
    let is_last = place + 1 == messages.len();
    if is_last && messages.last().is_some_and(|last| role(last) == "assistant") {
        return Ok(());
    }
    Err(Refusal::simulated("prefix is only for the last message, which must be an assistant message"))
}

fn is_prefix(message: &Value) -> bool {
    message.get("prefix") == Some(&Value::Bool(true))
}
