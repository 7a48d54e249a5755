//! Anthropic's Messages API.

use serde_json::{Value, json};

use super::{Ask, Choice, Tool, role, text_of, words};

impl Ask {
    /// Reads a messages request.
    pub(crate) fn messages(body: &Value) -> Self {
        let empty = Vec::new();
        let messages = body.get("messages").and_then(Value::as_array).unwrap_or(&empty);
        let mut ask = Self::common(body);
        ask.tools =
            body.get("tools").and_then(Value::as_array).into_iter().flatten().filter_map(tool).collect();
        ask.choice = choice(body.get("tool_choice"));
        ask.stop = words(body.get("stop_sequences"));
        let mut prompt = ask.begin_prompt(body.pointer("/metadata/user_id"), body.get("tools"));
        let system = body.get("system").map(|text| json!({"content": text}));
        system.iter().chain(messages).for_each(|message| prompt.message(message));
        ask.prompt = prompt;
        let last = messages.last().filter(|last| role(last) == "user");
        ask.tool_results = last.map(results).unwrap_or_default();
        let begun = messages.last().filter(|last| role(last) == "assistant");
        ask.prefix = begun.map(text_of).filter(|text| !text.is_empty());
        let spoken = messages.iter().rev().filter(|message| role(message) == "user").map(text_of);
        ask.set_user(spoken.into_iter().find(|text| !text.is_empty()));
        ask
    }
}

fn tool(value: &Value) -> Option<Tool> {
    let name = value.get("name")?.as_str()?.to_owned();
    Some(Tool { name, parameters: value.get("input_schema").cloned().unwrap_or_default(), custom: false })
}

fn choice(value: Option<&Value>) -> Choice {
    match value.and_then(|choice| choice.get("type")).and_then(Value::as_str) {
        Some("none") => Choice::None,
        Some("any") => Choice::Required,
        Some("tool") => Choice::of(value),
        _ => Choice::Auto,
    }
}

fn results(message: &Value) -> Vec<String> {
    let parts = message.get("content").and_then(Value::as_array).into_iter().flatten();
    let results = parts.filter(|part| part.get("type").and_then(Value::as_str) == Some("tool_result"));
    results.map(text_of).collect()
}
