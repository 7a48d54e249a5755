//! Any JSON in place of any member of a document. The workspace's `tests/any_json.rs` does the same over a socket, with this file.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

/// JSON of any kind, with what a service might well send more often than by chance.
pub(super) fn any_json() -> impl Strategy<Value = Value> {
    let words = prop_oneof![
        Just(""),
        Just("x"),
        Just("stop"),
        Just("length"),
        Just("tool_calls"),
        Just("error"),
        Just("assistant"),
        Just("function"),
        Just("custom"),
        Just("message"),
        Just("text"),
        Just("thinking"),
        Just("<think>"),
        Just("</think>x"),
        Just("1"),
        Just("1.5"),
        Just("{}"),
        Just("AACAPw=="),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-10i64..10).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        words.prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let names = prop_oneof![
        3 => proptest::sample::select(NAMES).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((names.clone(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Names that mean something somewhere.
const NAMES: &[&str] = &[
    "id",
    "object",
    "created",
    "model",
    "choices",
    "index",
    "message",
    "delta",
    "role",
    "content",
    "text",
    "type",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "thinking",
    "tool_calls",
    "function",
    "function_call",
    "name",
    "arguments",
    "finish_reason",
    "logprobs",
    "usage",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "prompt_tokens_details",
    "completion_tokens_details",
    "cached_tokens",
    "reasoning_tokens",
    "x_groq",
    "data",
    "embedding",
    "embeddings",
    "output",
    "result",
    "response",
    "models",
    "owned_by",
    "service_tier",
    "system_fingerprint",
    "moderation",
    "annotations",
    "audio",
    "refusal",
    "custom",
    "status",
    "summary",
    "item",
    "part",
    "obfuscation",
    "metadata",
    "shutdown_date",
    "done",
    "done_reason",
];

/// What is put at which of the places of a document; `None` takes the place away.
pub(super) type Change = (Index, Option<Value>);

/// A few of them.
pub(crate) fn changes() -> impl Strategy<Value = Vec<Change>> {
    proptest::collection::vec((any::<Index>(), proptest::option::weighted(0.85, any_json())), 1..4)
}

fn places(value: &Value, here: &str, found: &mut Vec<String>) {
    found.push(here.to_owned());
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                places(value, &format!("{here}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                places(value, &format!("{here}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// The document with these changes, one after the other.
pub(crate) fn changed(mut document: Value, changes: &[Change]) -> Value {
    for (index, new) in changes {
        let mut found = Vec::new();
        places(&document, "", &mut found);
        let place = index.get(&found);
        match new {
            Some(new) => *document.pointer_mut(place).unwrap() = new.clone(),
            None => {
                let Some((parent, name)) = place.rsplit_once('/') else { continue };
                match document.pointer_mut(parent) {
                    Some(Value::Object(members)) => drop(members.remove(name)),
                    Some(Value::Array(items)) => drop(items.remove(name.parse().unwrap())),
                    _ => {}
                }
            }
        }
    }
    document
}
