//! The simplest value that satisfies a JSON schema, for tool arguments and structured output.

use serde_json::{Map, Value, json};

/// Recursive schemas end here.
const DEEPEST: usize = 8;

/// A value for `schema`: required properties only, `word` for free strings.
pub(crate) fn example(schema: &Value, word: &str) -> Value {
    fill(schema, schema, word, DEEPEST)
}

fn fill(schema: &Value, root: &Value, word: &str, depth: usize) -> Value {
    let first = |name: &str| schema.get(name).and_then(Value::as_array).and_then(|list| list.first());
    let given = schema.get("const").or_else(|| first("enum")).or_else(|| schema.get("default"));
    if let Some(value) = given.or_else(|| first("examples")) {
        return value.clone();
    }
    if depth == 0 {
        return Value::Null;
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let found = target.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return found.map_or(Value::Null, |found| fill(found, root, word, depth - 1));
    }
    if let Some(choice) = first("anyOf").or_else(|| first("oneOf")).or_else(|| first("allOf")) {
        return fill(choice, root, word, depth - 1);
    }
    match kind(schema) {
        "object" => object(schema, root, word, depth),
        "array" => {
            let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(1).clamp(1, 16);
            let item = schema.get("items").map(|items| fill(items, root, word, depth - 1));
            item.map_or_else(|| json!([]), |item| (0..least).map(|_| item.clone()).collect())
        }
        "integer" => number(schema).map_or(json!(1), |least| json!(least.ceil() as i64)),
        "number" => number(schema).map_or(json!(1.5), |least| json!(least)),
        "boolean" => json!(true),
        "null" => Value::Null,
        _ => string(schema, word),
    }
}

fn kind(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str).unwrap_or("string"),
        _ if schema.get("properties").is_some() => "object",
        _ => "string",
    }
}

fn object(schema: &Value, root: &Value, word: &str, depth: usize) -> Value {
    let properties = schema.get("properties").and_then(Value::as_object);
    let required = schema.get("required").and_then(Value::as_array);
    let mut out = Map::new();
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        let value = properties.and_then(|all| all.get(name));
        out.insert(name.to_owned(), value.map_or(Value::Null, |schema| fill(schema, root, word, depth - 1)));
    }
    Value::Object(out)
}

fn number(schema: &Value) -> Option<f64> {
    let least = schema.get("minimum").and_then(Value::as_f64);
    least.or_else(|| schema.get("exclusiveMinimum").and_then(Value::as_f64).map(|bound| bound + 1.0))
}

fn string(schema: &Value, word: &str) -> Value {
    let text = match schema.get("format").and_then(Value::as_str) {
        Some("email") => "simulated@example.com",
        Some("hostname") => "example.com",
        Some("ipv4") => "192.0.2.1",
        Some("ipv6") => "2001:db8::1",
        Some("uuid") => "00000000-0000-4000-8000-000000000000",
        Some("date") => "2026-01-01",
        Some("date-time") => "2026-01-01T00:00:00Z",
        Some("uri") => "https://example.com/",
        _ => word,
    };
    json!(text)
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
    fn required_properties_are_filled_and_others_left_out() {
        let schema = json!({
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"enum": ["celsius", "fahrenheit"]},
                "days": {"type": "integer", "minimum": 3},
                "tags": {"type": "array", "items": {"type": ["string", "null"]}, "minItems": 2},
                "where": {"$ref": "#/$defs/place"},
                "optional": {"type": "string"},
            },
            "required": ["city", "unit", "days", "tags", "where"],
            "$defs": {"place": {"type": "object", "properties": {"exact": {"type": "boolean"}}, "required": ["exact"]}},
        });
        let word = argument_word("What is the weather in Paris?");
        let expected = json!({
            "city": "Paris", "unit": "celsius", "days": 3, "tags": ["Paris", "Paris"], "where": {"exact": true},
        });
        assert_eq!(example(&schema, word), expected);
    }

    #[test]
    fn a_schema_that_contains_itself_ends() {
        let schema = json!({"type": "object", "properties": {"child": {"$ref": "#"}}, "required": ["child"]});
        assert!(example(&schema, "x").is_object());
    }
}
