//! What is found in what a user wrote: a schema, a word that may serve as an argument.

use serde_json::{Deserializer, Value};

/// A JSON schema that stands in a text, fenced or bare: the first object that describes one.
pub(crate) fn in_text(text: &str) -> Option<Value> {
    // A prompt full of brackets must not take for ever.
    let brackets = text.match_indices('{').take(256);
    brackets.filter_map(|(at, _)| first_value(text.get(at..)?)).find(is_schema)
}

fn first_value(text: &str) -> Option<Value> {
    Deserializer::from_str(text).into_iter().next()?.ok()
}

fn is_schema(value: &Value) -> bool {
    let has = |name: &str| value.get(name).is_some();
    let object = value.get("type").and_then(Value::as_str) == Some("object") && has("properties");
    let elsewhere = value.get("$ref").is_some_and(Value::is_string) && (has("$defs") || has("$def"));
    object || elsewhere || (has("$schema") && (has("type") || has("anyOf") || has("properties")))
}

/// A word of the message that may serve as an argument: the last capitalised one that does not begin
/// the text.
pub(crate) fn argument_word(message: &str) -> &str {
    let words =
        message.split_whitespace().skip(1).map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
    words.filter(|word| word.chars().next().is_some_and(char::is_uppercase)).last().unwrap_or("simulated")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_found_fenced_bare_or_wrapped_and_an_example_is_none() {
        for (text, found) in [
            (
                "Answer in JSON:\n```json\n{\"type\": \"object\", \"properties\": {\"a\": {}}}\n```\nPlease.",
                true,
            ),
            ("schema {\"type\":\"object\",\"properties\":{}} and more {", true),
            ("{\"name\": \"x\", \"schema\": {\"type\": \"object\", \"properties\": {}}}", true),
            ("{ not json } {\"$ref\": \"#/$defs/x\", \"$defs\": {\"x\": {}}}", true),
            ("for example {\"type\": \"object\", \"name\": \"x\"}", false),
            ("{{{{ \"type\": \"object\"", false),
        ] {
            assert_eq!(in_text(text).is_some(), found, "{text}");
        }
    }
}
