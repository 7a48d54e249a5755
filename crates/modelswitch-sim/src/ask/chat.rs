//! Chat completions.

use serde_json::Value;

use super::{Ask, Choice, Format, role, text_of};

impl Ask {
    /// Reads a chat completions request.
    pub(crate) fn chat(body: &Value) -> Self {
        let empty = Vec::new();
        let messages = body.get("messages").and_then(Value::as_array).unwrap_or(&empty);
        let mut ask = Self::common(body);
        ask.choice = Choice::of(body.get("tool_choice"));
        ask.format = Format::of(body.get("response_format"));
        let mut prompt = ask.begin_prompt(body.get("user_id"), body.get("tools"));
        messages.iter().for_each(|message| prompt.message(message));
        ask.prompt = prompt;
        let results = messages.iter().rev().take_while(|message| role(message) == "tool");
        ask.tool_results = results.map(text_of).collect();
        ask.tool_results.reverse();
        let open = messages.last().filter(|last| last.get("prefix") == Some(&Value::Bool(true)));
        ask.prefix = open.map(text_of);
        ask.find_schema(messages.iter().rev().filter(|message| role(message) != "assistant"));
        ask.set_user(messages.iter().rev().find(|message| role(message) == "user").map(text_of));
        ask
    }
}
