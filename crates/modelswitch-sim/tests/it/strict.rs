//! Strict functions: checked on the beta base, taken for granted elsewhere.

use serde_json::{Value, json};

use super::refusals::refusal;
use super::*;

fn strict(name: &str, parameters: Value) -> Value {
    json!({"type": "function", "function": {"name": name, "strict": true, "parameters": parameters}})
}

fn object(properties: Value) -> Value {
    let required: Vec<&String> = properties.as_object().unwrap().keys().collect();
    json!({"type": "object", "required": required, "additionalProperties": false, "properties": properties})
}

async fn refused(parameters: Value, words: &str) {
    let sim = deepseek().await;
    let body = with(says("Hi"), json!({"tools": [strict("f", parameters)]}));
    let (message, kind) = refusal(&sim, "/beta/chat/completions", &body).await;
    assert!(message.starts_with("Invalid schema for function 'f': ") && message.contains(words), "{message}");
    assert_eq!(kind, "application/octet-stream");
    // The normal base takes the flag and doesn't look at the schema.
    assert_eq!(post(&sim, "/chat/completions", &body).await.status(), 200);
}

#[tokio::test]
async fn a_schema_outside_the_subset_is_refused_with_its_place() {
    let text = json!({"type": "string"});
    for (parameters, words) in [
        (
            json!({"type": "object", "properties": {"a": text}, "required": ["a"]}),
            "'additionalProperties' must be false at the root",
        ),
        (
            json!({"type": "object", "properties": {"a": text}, "additionalProperties": false}),
            "all properties must be required, 'a' is not at the root",
        ),
        (
            object(json!({"a": {"type": "string", "minLength": 1}})),
            "'minLength' is not supported, found at /properties/a",
        ),
        (object(json!({"a": {"type": "string", "maxLength": 1}})), "'maxLength'"),
        (object(json!({"a": {"type": "array", "items": text, "minItems": 1}})), "'minItems'"),
        (object(json!({"a": {"type": "array", "items": text, "maxItems": 1}})), "'maxItems'"),
        (object(json!({"a": {"type": "string", "format": "date"}})), "format 'date'"),
        (object(json!({"a": {"oneOf": [text]}})), "'oneOf'"),
        (object(json!({"a": {"type": "date"}})), "type \"date\" is not supported"),
        (object(json!({"a": {}})), "'type' is missing at /properties/a"),
        (object(json!({"a": {"$ref": "#/$defs/none"}})), "points to nothing"),
        (
            object(json!({"a": {"type": "array", "items": {"type": "object", "properties": {}}}})),
            "at /properties/a/items",
        ),
        (object(json!({"a": {"anyOf": [text, {"type": "object"}]}})), "at /properties/a/anyOf/1"),
        (with(object(json!({})), json!({"$def": {"x": {"type": "object"}}})), "at /$def/x"),
    ] {
        refused(parameters, words).await;
    }
}

#[tokio::test]
async fn a_schema_of_the_subset_is_taken_and_answered_validly() {
    let sim = deepseek().await;
    let parameters = with(
        object(json!({
            "name": {"type": "string", "pattern": "^[A-Z]{2}$"},
            "mail": {"type": "string", "format": "email"},
            "size": {"type": "number", "exclusiveMinimum": 2, "maximum": 9, "multipleOf": 3},
            "kind": {"enum": ["a", "b"]},
            "maybe": {"anyOf": [{"type": "null"}, {"$ref": "#/$def/x"}]},
            "deep": {"$ref": "#/$def/x"},
            "list": {"type": "array", "items": {"type": "boolean"}},
        })),
        json!({"$def": {"x": object(json!({"n": {"type": "integer", "const": 7}}))}}),
    );
    let body = with(says("Hi"), json!({"tools": [strict("f", parameters)]}));
    let response = post(&sim, "/beta/chat/completions", &body).await;
    let answer: Value = response.json().await.unwrap();
    let call = &answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"];
    let arguments: Value = serde_json::from_str(call.as_str().unwrap()).unwrap();
    let expected = json!({
        "name": "AA", "mail": "simulated@example.com", "size": 3.0, "kind": "a", "maybe": null, "deep": {"n": 7},
        "list": [true],
    });
    assert_eq!(arguments, expected);
}

#[tokio::test]
async fn either_all_functions_are_strict_or_none() {
    let sim = deepseek().await;
    let loose = json!({"type": "function", "function": {"name": "g", "parameters": {"type": "object"}}});
    let body = with(says("Hi"), json!({"tools": [strict("f", object(json!({}))), loose]}));
    let (message, _) = refusal(&sim, "/beta/chat/completions", &body).await;
    assert!(message.contains("'g' does not"), "{message}");
    let loose = with(says("Hi"), json!({"tools": [loose]}));
    assert_eq!(post(&sim, "/beta/chat/completions", &loose).await.status(), 200);
}
