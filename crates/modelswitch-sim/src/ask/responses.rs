//! The Responses API.

use serde_json::{Value, json};

use super::{Ask, Choice, Format, role, text_of};

impl Ask {
    /// Reads a responses request. `users` are the roles that speak for the user.
    pub(crate) fn responses(body: &Value, users: &[&str]) -> Self {
        let input = items(body);
        let mut ask = Self::common(body);
        ask.choice = Choice::of(body.get("tool_choice"));
        ask.format = Format::of(body.pointer("/text/format"));
        ask.max_tokens = body.get("max_output_tokens").and_then(Value::as_u64);
        let mut prompt = ask.begin_prompt(body.get("user"), body.get("tools"));
        let instructions =
            body.get("instructions").and_then(Value::as_str).map(|text| json!({"content": text}));
        instructions.iter().chain(&input).for_each(|item| prompt.message(item));
        ask.prompt = prompt;
        ask.tool_results = input.iter().rev().map_while(output).collect();
        ask.tool_results.reverse();
        ask.find_schema(input.iter().rev().filter(|item| role(item) != "assistant").chain(&instructions));
        ask.set_user(input.iter().rev().find(|item| users.contains(&role(item))).map(text_of));
        ask
    }
}

/// The input as items; a text is one message.
pub(crate) fn items(body: &Value) -> Vec<Value> {
    match body.get("input") {
        Some(Value::Array(items)) => items.clone(),
        Some(Value::String(text)) => vec![json!({"role": "user", "content": text})],
        _ => Vec::new(),
    }
}

fn output(item: &Value) -> Option<String> {
    let kind = item.get("type").and_then(Value::as_str)?;
    if !matches!(kind, "function_call_output" | "custom_tool_call_output") {
        return None;
    }
    Some(match item.get("output") {
        Some(Value::String(text)) => text.clone(),
        Some(parts @ Value::Array(_)) => text_of(&json!({"content": parts})),
        other => other.map(Value::to_string).unwrap_or_default(),
    })
}
