//! Fields that have the wrong type, or a word that is none of theirs.

use serde_json::Value;

use super::refusal::{Place, Refusal};
use crate::recorded::Recorded;

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Integer,
    Number,
    Bool,
    Text,
    List,
    /// One of some words.
    Word(&'static [&'static str]),
}

use Kind::{Bool, Integer, List, Number, Text, Word};

/// The fields of a chat request, by their place in the body.
pub(super) const CHAT: &[(&str, Kind)] = &[
    ("/messages", List),
    ("/max_tokens", Integer),
    ("/top_logprobs", Integer),
    ("/temperature", Number),
    ("/top_p", Number),
    ("/stream", Bool),
    ("/stream_options/include_usage", Bool),
    ("/logprobs", Bool),
    ("/tools", List),
    ("/user_id", Text),
    ("/thinking/type", Word(&["enabled", "disabled"])),
    ("/reasoning_effort", Word(&["none", "low", "high", "max", "minimal", "medium", "xhigh", "ultra"])),
    ("/response_format/type", Word(&["text", "json_object", "json_schema"])),
];

/// The fields of a completion request.
pub(super) const FIM: &[(&str, Kind)] = &[
    ("/prompt", Text),
    ("/suffix", Text),
    ("/echo", Bool),
    ("/logprobs", Integer),
    ("/max_tokens", Integer),
    ("/temperature", Number),
    ("/top_p", Number),
    ("/stream", Bool),
    ("/stream_options/include_usage", Bool),
];

impl Kind {
    /// The name of the type, if the value is not of it.
    fn missed(self, value: &Value) -> Option<&'static str> {
        let (fits, name) = match self {
            Integer => (value.is_i64(), "i32"),
            Number => (value.is_number(), "f32"),
            Bool => (value.is_boolean(), "a boolean"),
            Text | Word(_) => (value.is_string(), "a string"),
            List => (value.is_array(), "a sequence"),
        };
        (!fits && !value.is_null()).then_some(name)
    }
}

pub(super) fn check(request: &Recorded, body: &Value, fields: &[(&str, Kind)]) -> Result<(), Refusal> {
    for (pointer, kind) in fields {
        let Some(value) = body.pointer(pointer) else { continue };
        let name = pointer.trim_start_matches('/').replace('/', ".");
        if let Some(expected) = kind.missed(value) {
            let what = format!("{name}: invalid type: {}, expected {expected}", described(value));
            return Err(Refusal::unreadable(&what, &Place::NOWHERE));
        }
        if let (Word(words), Some(word)) = (kind, value.as_str())
            && !words.contains(&word)
        {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            let what = format!("{name}: unknown variant `{word}`, expected one of {}", words.join(", "));
            return Err(Refusal::unreadable(&what, &Place::behind(request, word)));
        }
    }
    Ok(())
}

/// A value as a deserializer names it; what was written in it stays out of the text.
pub(super) fn described(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "floating point",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "sequence",
        Value::Object(_) => "map",
    }
}
