//! What a prompt counts, and by which beginnings a cache knows it.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use serde_json::Value;

use super::{role, text_of};
use crate::text::prompt_tokens;
use crate::turn::Turn;

/// Tokens beside the text of a message.
const FRAME: u64 = 4;

/// Tokens of an image; DeepSeek counts at most 1024.
const IMAGE: u64 = 256;

/// A prompt's tokens and the hashes of its growing beginnings: one for each whole message.
#[derive(Clone, Default)]
pub(crate) struct Prompt {
    hasher: DefaultHasher,
    pub(crate) tokens: u64,
    pub(crate) beginnings: Vec<(u64, u64)>,
}

impl Prompt {
    /// The prompts of one scope don't know those of another.
    pub(crate) fn new(scope: &str) -> Self {
        let mut prompt = Self::default();
        scope.hash(&mut prompt.hasher);
        prompt
    }

    /// A text outside any message.
    pub(crate) fn text(&mut self, text: &str) {
        text.hash(&mut self.hasher);
        self.end(prompt_tokens(text));
    }

    /// A message, or an item that stands for one. Ids and the order of keys are of no account.
    pub(crate) fn message(&mut self, message: &Value) {
        let mut said = said_calls(message);
        let parts = message.get("content").and_then(Value::as_array).into_iter().flatten();
        let mut images = 0;
        for part in parts.filter(|part| part.get("text").is_none()) {
            match part.get("type").and_then(Value::as_str).unwrap_or_default() {
                // Thoughts are no part of what is known again.
                "thinking" | "redacted_thinking" => continue,
                "tool_use" => {
                    let input = part.get("input").map(Value::to_string).unwrap_or_default();
                    said.push_str(&said_call(
                        part.get("name").and_then(Value::as_str).unwrap_or_default(),
                        &input,
                    ));
                    continue;
                }
                "image_url" | "input_image" | "image" | "file" | "input_file" => images += 1,
                _ => {}
            }
            said.push_str(&part.to_string());
        }
        let extra = if images > 0 { images * IMAGE } else { prompt_tokens(&said) };
        self.add(role(message), &text_of(message), &said, extra);
    }

    /// The beginning that the answer makes together with its prompt.
    pub(crate) fn with_answer(&self, turn: &Turn) -> Option<(u64, u64)> {
        let mut whole = self.clone();
        let calls: String =
            turn.calls.iter().map(|call| said_call(&call.name, &call.arguments.concat())).collect();
        whole.add("assistant", &turn.content.concat(), &calls, prompt_tokens(&calls));
        whole.beginnings.pop()
    }

    fn add(&mut self, role: &str, text: &str, extra: &str, extra_tokens: u64) {
        (role, text, extra).hash(&mut self.hasher);
        self.end(prompt_tokens(text) + extra_tokens + FRAME);
    }

    fn end(&mut self, tokens: u64) {
        self.tokens += tokens;
        self.beginnings.push((self.hasher.finish(), self.tokens));
    }
}

/// The calls of a chat message; the name, arguments and output of an item.
fn said_calls(message: &Value) -> String {
    let text = |value: &Value, name: &str| {
        value
            .get(name)
            .map(|field| field.as_str().map_or_else(|| field.to_string(), str::to_owned))
            .unwrap_or_default()
    };
    let calls = message.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
    let mut said: String = calls
        .filter_map(|call| call.get("function"))
        .map(|function| said_call(&text(function, "name"), &text(function, "arguments")))
        .collect();
    if message.get("type").is_some_and(|kind| kind != "message") {
        for field in ["name", "arguments", "input", "output"] {
            said.push_str(&text(message, field));
        }
    }
    said
}

fn said_call(name: &str, arguments: &str) -> String {
    format!("{name}({arguments})")
}
