//! Reasoning, wherever it stands: outwards always `reasoning_content`.

use memchr::memmem::Finder;
use serde_json::{Map, Value};

use super::thought::Told;

/// Where reasoning may stand, beside what a profile says.
const PLACES: [&str; 3] = ["reasoning", "reasoning_details", "thinking"];

/// The names of all places, as they stand in a text. Made once for a profile.
pub(super) struct Names {
    /// Of those that most services have, and that are cheap to copy.
    plain: [Finder<'static>; 2],
    others: Vec<Finder<'static>>,
    /// `reasoning` counts before all others.
    is_plain_first: bool,
}

impl Names {
    pub(super) fn new(fields: &[String]) -> Self {
        let quoted = |name: &str| Finder::new(Value::from(name).to_string().as_bytes()).into_owned();
        let [reasoning, details, thinking] = PLACES;
        // Where it belongs needs no closer look.
        let own = fields.iter().map(String::as_str).filter(|name| *name != "reasoning_content");
        let others = own.clone().filter(|name| !PLACES.contains(name)).chain([thinking]);
        Self {
            plain: [quoted(reasoning), quoted(details)],
            others: others.map(quoted).collect(),
            is_plain_first: own.take(1).all(|name| name == reasoning),
        }
    }

    /// True when `unify` may have something to do: a look that costs next to nothing.
    pub(super) fn are_in(&self, text: &[u8]) -> bool {
        self.plain.iter().any(|name| name.find(text).is_some()) || self.others_are_in(text)
    }

    /// True when the first that counts is `reasoning`, if any is there at all.
    pub(super) fn are_plain_in(&self, text: &[u8]) -> bool {
        self.is_plain_first && !self.others_are_in(text)
    }

    fn others_are_in(&self, text: &[u8]) -> bool {
        self.others.iter().any(|name| name.find(text).is_some())
    }
}

/// Moves reasoning to `reasoning_content` and leaves text in `content`. The service's own field stays too, since an
/// app may read it.
pub(super) fn unify(message: &mut Map<String, Value>, fields: &[String]) {
    split_content(message);
    if has_text(message.get("reasoning_content")) {
        return;
    }
    let named = fields.iter().map(String::as_str).chain(PLACES);
    let elsewhere = named.filter_map(|name| text_of(message.get(name)?)).find(|text| !text.is_empty());
    let own = message.get("reasoning_content").and_then(text_of);
    match elsewhere.or(own) {
        Some(text) => {
            message.insert("reasoning_content".to_owned(), text.into());
        }
        None if message.get("reasoning_content").is_some_and(|value| !value.is_null()) => {
            message.remove("reasoning_content");
        }
        None => {}
    }
}

/// Adds what was told apart by its tags.
pub(super) fn add(message: &mut Map<String, Value>, told: Told) {
    if !told.reasoning.is_empty() {
        match message.get_mut("reasoning_content") {
            Some(Value::String(text)) => text.push_str(&told.reasoning),
            _ => {
                message.insert("reasoning_content".to_owned(), told.reasoning.into());
            }
        }
    }
    message.insert("content".to_owned(), told.text.into());
}

fn has_text(value: Option<&Value>) -> bool {
    value.and_then(Value::as_str).is_some_and(|text| !text.is_empty())
}

/// The text of a string, or of a list of details (OpenRouter's, MiniMax's): what is encrypted has none.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(_) | Value::Object(_) => {
            let mut text = String::new();
            collect_text(value, &mut text);
            Some(text).filter(|text| !text.is_empty())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Leaves text in `content`. A list of parts (Mistral's reasoning models answer so) becomes its text, and its thinking parts
/// reasoning; parts that are neither stay as `native_content`. Of anything else the text is better than no answer.
fn split_content(message: &mut Map<String, Value>) {
    let content = match message.get_mut("content") {
        None | Some(Value::Null | Value::String(_)) => return,
        Some(content) => content.take(),
    };
    let parts = match content {
        Value::Array(parts) => parts,
        part @ Value::Object(_) => vec![part],
        other => {
            message.insert("content".to_owned(), other.to_string().into());
            return;
        }
    };
    let (mut text, mut thought, mut refused) = (String::new(), String::new(), String::new());
    let mut others = Vec::new();
    for part in parts {
        match part.get("type").and_then(Value::as_str) {
            Some("thinking" | "reasoning") => collect_text(&part, &mut thought),
            Some("redacted_thinking") => {}
            Some("refusal") if part.get("refusal").is_some_and(Value::is_string) => {
                refused.push_str(part.get("refusal").and_then(Value::as_str).unwrap_or_default());
            }
            Some("text" | "output_text") | None if has_words(&part) => collect_text(&part, &mut text),
            Some(_) | None => others.push(part),
        }
    }
    message.insert("content".to_owned(), text.into());
    if !thought.is_empty() && !has_text(message.get("reasoning_content")) {
        message.insert("reasoning_content".to_owned(), thought.into());
    }
    if !refused.is_empty() && !has_text(message.get("refusal")) {
        message.insert("refusal".to_owned(), refused.into());
    }
    if !others.is_empty() {
        message.insert("native_content".to_owned(), Value::Array(others));
    }
}

/// Where a part or a detail has its words.
const WORDS: [&str; 6] = ["text", "thinking", "reasoning", "summary", "content", "parts"];

fn has_words(part: &Value) -> bool {
    part.is_string() || part.is_array() || WORDS.iter().any(|name| part.get(*name).is_some())
}

fn collect_text(value: &Value, into: &mut String) {
    match value {
        Value::String(text) => into.push_str(text),
        Value::Array(items) => items.iter().for_each(|item| collect_text(item, into)),
        Value::Object(members) => {
            if let Some(words) =
                WORDS.iter().find_map(|name| members.get(*name).filter(|words| !words.is_null()))
            {
                collect_text(words, into);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(mut message: Value, reasoning: Value, content: Value) {
        let sent = message.to_string();
        unify(message.as_object_mut().unwrap(), &[]);
        let read = |name: &str| message.get(name).cloned().unwrap_or_default();
        assert_eq!((read("reasoning_content"), read("content")), (reasoning, content), "{sent}");
    }

    #[test]
    fn reasoning_is_found_wherever_it_stands() {
        for message in [
            json!({"reasoning_content":"hm","content":"x"}),
            json!({"reasoning":"hm","content":"x"}),
            json!({"reasoning":"hm","reasoning_content":"","content":"x"}),
            json!({"reasoning":"hm","reasoning_content":null,"content":"x"}),
            json!({"reasoning":"hm","reasoning_content":"hm","content":"x"}),
            json!({"thinking":"hm","content":"x"}),
            json!({"reasoning_details":[{"type":"reasoning.text","text":"h"},{"type":"reasoning.summary","summary":"m"},{"type":"reasoning.encrypted","data":"=="}],"content":"x"}),
            json!({"reasoning":{"content":"hm"},"content":"x"}),
            json!({"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"x"}]}),
            json!({"content":[{"type":"thinking","thinking":"hm"},{"type":"redacted_thinking","data":"=="},"x"]}),
            json!({"content":[{"type":"reasoning","reasoning":"hm"},{"text":"x"}]}),
        ] {
            check(message, json!("hm"), json!("x"));
        }
    }

    #[test]
    fn where_there_is_none_nothing_is_made_up() {
        check(json!({"content":"x"}), Value::Null, json!("x"));
        check(json!({"content":"x","reasoning":null}), Value::Null, json!("x"));
        check(
            json!({"content":"x","reasoning_details":[{"type":"reasoning.encrypted","data":"=="}]}),
            Value::Null,
            json!("x"),
        );
        check(json!({"content":"x","reasoning_content":7}), Value::Null, json!("x"));
        check(json!({"content":7}), Value::Null, json!("7"));
        check(json!({"content":{"type":"text","text":"x"}}), Value::Null, json!("x"));
    }

    #[test]
    fn the_services_own_fields_and_parts_that_are_no_text_stay_beside() {
        let image = json!({"type":"image_url","image_url":{"url":"data:"}});
        let details = json!([{"type":"reasoning.text","text":"hm","signature":"s"}]);
        let mut message = json!({"content":[{"type":"text","text":"x"}, image],"reasoning_details":details});
        unify(message.as_object_mut().unwrap(), &[]);
        assert_eq!((&message["reasoning_details"], &message["native_content"][0]), (&details, &image));
    }

    #[test]
    fn a_part_that_refuses_is_the_refusal() {
        let mut message =
            json!({"content":[{"type":"refusal","refusal":"I won't"},{"type":"text","text":"x"}]});
        unify(message.as_object_mut().unwrap(), &[]);
        assert_eq!(message, json!({"content":"x","refusal":"I won't"}));
    }

    #[test]
    fn only_a_text_that_names_another_place_is_looked_at() {
        let fields = ["reasoning_content", "inner_voice"].map(str::to_owned);
        let names = Names::new(&fields);
        for text in [
            r#"{"delta":{"content":"more reasoning","reasoning_content":"nothing"}}"#,
            r#"{"delta":{"content":"a \"reasoning\" b, an inner_voice"}}"#,
        ] {
            assert!(!names.are_in(text.as_bytes()), "{text}");
        }
        for name in ["reasoning", "reasoning_details", "thinking", "inner_voice"] {
            assert!(names.are_in(format!(r#"{{"{name}":1}}"#).as_bytes()), "{name}");
        }
        assert!(!Names::new(&[]).are_in(br#"{"inner_voice":1}"#));
    }
}
