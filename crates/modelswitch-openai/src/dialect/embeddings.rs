//! Embeddings, as numbers or packed, as the app asked for them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use modelswitch_provider::{Error, Result};
use serde_json::{Map, Value, json};

use super::whole::repair_index;
use super::{Context, repair, usage};
use crate::profile::Vectors;

/// The members that embeddings are nothing without.
pub(super) const ESSENTIAL: [&str; 9] = [
    "object",
    "model",
    "data",
    "data.index",
    "data.object",
    "data.embedding",
    "usage",
    "usage.prompt_tokens",
    "usage.total_tokens",
];

/// # Errors
/// [`Decode`](modelswitch_provider::ErrorKind::Decode) that names what is missing.
pub(super) fn repair(context: &Context, object: &mut Map<String, Value>) -> Result<()> {
    fetch_data(object);
    object.insert("object".to_owned(), "list".into());
    repair::string_or(object, "model", || context.head.model.as_deref().unwrap_or_default().to_owned());
    usage::repair(object);
    if !object.get("usage").is_some_and(Value::is_object) {
        object.insert("usage".to_owned(), json!({ "prompt_tokens": 0, "total_tokens": 0 }));
    }
    let Some(items) = object.get_mut("data").and_then(Value::as_array_mut) else {
        return Err(Error::decode("`data`, the list of embeddings, is missing"));
    };
    for (position, item) in items.iter_mut().enumerate() {
        if item.is_array() || item.is_string() {
            *item = json!({ "embedding": item.take() });
        }
        let Some(item) = item.as_object_mut() else {
            return Err(Error::decode(format!("data[{position}] is not an object")));
        };
        repair_index(item, position);
        item.insert("object".to_owned(), "embedding".into());
        if let Some(embedding) = item.get_mut("embedding") {
            repair_vector(context, embedding);
        }
    }
    Ok(())
}

/// Embeddings that stand elsewhere: one alone, or a list of vectors.
fn fetch_data(object: &mut Map<String, Value>) {
    if object.get("data").is_some_and(Value::is_array) {
        return;
    }
    let elsewhere = ["embeddings", "data", "embedding", "vectors"]
        .into_iter()
        .find_map(|name| object.get(name).filter(|value| !value.is_null()))
        .cloned();
    match elsewhere {
        Some(Value::Array(items)) if items.iter().any(Value::is_number) => {
            object.insert("data".to_owned(), json!([{ "embedding": items }]));
        }
        Some(Value::Array(items)) => {
            object.insert("data".to_owned(), Value::Array(items));
        }
        Some(one @ Value::Object(_)) => {
            object.insert("data".to_owned(), Value::Array(vec![one]));
        }
        _ => {}
    }
}

/// A vector the way that was asked for. What is neither stays, and is an error.
fn repair_vector(context: &Context, embedding: &mut Value) {
    // One text, one vector, and a list around it.
    if let Value::Array(items) = embedding
        && items.len() == 1
        && items.iter().all(Value::is_array)
    {
        *embedding = items.swap_remove(0);
    }
    let other = match (&*embedding, context.wants_base64) {
        (Value::String(packed), false) => unpack(context, packed).map(Value::from),
        (Value::String(packed), true) if context.profile.response.vectors != Vectors::Float32 => {
            unpack(context, packed).and_then(|numbers| pack(&numbers))
        }
        (Value::Array(numbers), true) => pack(numbers),
        _ => None,
    };
    if let Some(other) = other {
        *embedding = other;
    }
}

fn unpack(context: &Context, packed: &str) -> Option<Vec<Value>> {
    let bytes = BASE64.decode(packed).ok()?;
    match context.profile.response.vectors {
        Vectors::Int8 => Some(bytes.iter().map(|byte| byte.cast_signed().into()).collect()),
        // The lowest byte first, as OpenAI packs them.
        Vectors::Float32 => {
            let (numbers, rest) = bytes.as_chunks::<4>();
            let number = |bytes: &[u8; 4]| f64::from(f32::from_le_bytes(*bytes)).into();
            rest.is_empty().then(|| numbers.iter().map(number).collect())
        }
    }
}

fn pack(numbers: &[Value]) -> Option<Value> {
    let mut bytes = Vec::with_capacity(numbers.len() * 4);
    for number in numbers {
        #[expect(clippy::cast_possible_truncation, reason = "that is how precise they are packed")]
        let number = number.as_f64()? as f32;
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    Some(BASE64.encode(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{Kind, outward};
    use async_openai::types::embeddings::{CreateBase64EmbeddingResponse, CreateEmbeddingResponse};

    fn shaped(wants_base64: bool, body: &Value) -> Result<Value> {
        let mut context = Context::of_test("openai-compatible", Kind::Embeddings);
        context.wants_base64 = wants_base64;
        outward::shape(&context, body.to_string().into()).map(|bytes| serde_json::from_slice(&bytes).unwrap())
    }

    #[test]
    fn embeddings_come_as_they_were_asked_for_however_they_are_sent() {
        let packed = BASE64.encode([0.5_f32, -2.0].map(f32::to_le_bytes).concat());
        for body in [
            json!({"data":[{"embedding":[0.5,-2]}]}),
            json!({"data":[{"embedding":packed,"index":"0"}],"usage":{"prompt_tokens":3}}),
            json!({"data":[[0.5,-2]]}),
            json!({"data":[{"embedding":[[0.5,-2]]}],"usage":null}),
            json!({"embeddings":[[0.5,-2]]}),
            json!({"embedding":[0.5,-2]}),
            json!([{"data":[{"embedding":[0.5,-2]}]}]),
        ] {
            let numbers: CreateEmbeddingResponse =
                serde_json::from_value(shaped(false, &body).unwrap()).unwrap();
            assert_eq!(numbers.data[0].embedding, [0.5, -2.0], "{body}");
            let text: CreateBase64EmbeddingResponse =
                serde_json::from_value(shaped(true, &body).unwrap()).unwrap();
            assert_eq!(serde_json::to_value(&text.data[0].embedding).unwrap(), json!(packed), "{body}");
        }
    }

    #[test]
    fn vectors_of_bytes_become_numbers_and_are_packed_as_openai_packs_them() {
        let mut context = Context::of_test("perplexity", Kind::Embeddings);
        let body = json!({"object":"list","model":"m","data":[{"object":"embedding","index":0,"embedding":BASE64.encode([1, 127, 255, 128])}],
            "usage":{"prompt_tokens":1,"total_tokens":1}});
        let mut shaped = |wants_base64| {
            context.wants_base64 = wants_base64;
            outward::shape(&context, body.to_string().into())
        };
        let numbers: CreateEmbeddingResponse = serde_json::from_slice(&shaped(false).unwrap()).unwrap();
        assert_eq!(numbers.data[0].embedding, [1.0, 127.0, -1.0, -128.0]);
        let text: Value = serde_json::from_slice(&shaped(true).unwrap()).unwrap();
        let packed = BASE64.encode([1_f32, 127.0, -1.0, -128.0].map(f32::to_le_bytes).concat());
        assert_eq!(text["data"][0]["embedding"], packed);
    }

    #[test]
    fn embeddings_without_usage_or_index_are_completed() {
        let out = shaped(false, &json!({"data":[{"embedding":[0.5]},{"embedding":[1]}]})).unwrap();
        assert_eq!(out["data"][1]["index"], 1);
    }

    #[test]
    fn what_is_no_vector_is_an_error_that_names_the_place() {
        for (body, place) in [
            (json!({}), "data"),
            (json!({"data":[7]}), "data[0]"),
            (json!({"data":[{}]}), "data[0]"),
            (json!({"data":[{"embedding":[1]},{"embedding":["x"]}]}), "data[1].embedding"),
            (json!({"data":[{"embedding":"***"}]}), "data[0].embedding"),
        ] {
            let error = shaped(false, &body).unwrap_err();
            assert!(error.message().contains(place), "{body}: {error}");
        }
    }
}
