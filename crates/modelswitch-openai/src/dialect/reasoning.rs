//! Reasoning, wherever it stands: outwards always `reasoning_content`.

use serde_json::{Map, Value};

/// Moves reasoning to `reasoning_content` and leaves text in `content`. The service's own field stays too, since an
/// app may read it.
pub(super) fn unify(message: &mut Map<String, Value>, fields: &[String]) {
    split_content_parts(message);
    if message.get("reasoning_content").is_some_and(Value::is_string) {
        return;
    }
    let own = fields
        .iter()
        .map(String::as_str)
        .chain(["reasoning"])
        .find_map(|name| message.get(name).and_then(Value::as_str).map(str::to_owned));
    match own {
        Some(text) => {
            message.insert("reasoning_content".to_owned(), text.into());
        }
        None if message.get("reasoning_content").is_some_and(|value| !value.is_null()) => {
            message.remove("reasoning_content");
        }
        None => {}
    }
}

/// True when `unify` may have something to do: a look that costs next to nothing.
pub(super) fn may_need_unifying(text: &[u8]) -> bool {
    memchr::memmem::find(text, b"\"reasoning\"").is_some()
}

/// A list of parts (Mistral's reasoning models answer so) becomes text, and its thinking parts reasoning.
fn split_content_parts(message: &mut Map<String, Value>) {
    let Some(Value::Array(parts)) = message.get("content") else { return };
    let (mut text, mut thought) = (String::new(), String::new());
    for part in parts {
        match part.get("type").and_then(Value::as_str) {
            Some("thinking") => collect_text(part.get("thinking"), &mut thought),
            _ => collect_text(part.get("text").or(Some(part)), &mut text),
        }
    }
    message.insert("content".to_owned(), text.into());
    if !thought.is_empty() && !message.get("reasoning_content").is_some_and(Value::is_string) {
        message.insert("reasoning_content".to_owned(), thought.into());
    }
}

fn collect_text(value: Option<&Value>, into: &mut String) {
    match value {
        Some(Value::String(text)) => into.push_str(text),
        Some(Value::Array(items)) => {
            items.iter().for_each(|item| collect_text(item.get("text").or(Some(item)), into))
        }
        _ => {}
    }
}
