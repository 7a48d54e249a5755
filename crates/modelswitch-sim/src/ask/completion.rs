//! Text completions.

use serde_json::Value;

use super::{Ask, Prompt};

impl Ask {
    /// Reads a text completion request; its prompt counts as the user's message.
    pub(crate) fn completion(body: &Value) -> Self {
        let prompt = match body.get("prompt") {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(list)) => list.first().and_then(Value::as_str).unwrap_or_default().to_owned(),
            _ => String::new(),
        };
        let mut ask = Self::common(body);
        ask.prompt = Prompt::new(&ask.model);
        ask.prompt.text(&prompt);
        ask.prompt.text(body.get("suffix").and_then(Value::as_str).unwrap_or_default());
        ask.set_user(Some(prompt));
        ask
    }
}
