//! `POST /v1/embeddings`: small unit vectors that depend on the text alone.

use http::StatusCode;
use serde_json::{Value, json};

use super::{invalid, missing, no_model, serving};
use crate::answer::Answer;
use crate::state::{Ids, base64};
use crate::text::prompt_tokens;

/// The size of a vector unless `dimensions` says otherwise.
const SIZE: u64 = 8;

pub(super) fn answer(body: &Value) -> Answer {
    let asked = body.get("model").and_then(Value::as_str).unwrap_or_default();
    let Some(model) = serving(asked) else { return no_model(asked) };
    let Some(texts) = inputs(body.get("input")) else { return missing("input") };
    let size = body.get("dimensions").and_then(Value::as_u64).unwrap_or(SIZE);
    if texts.is_empty() || !(1..=4096).contains(&size) {
        return invalid("'$.input' is empty or 'dimensions' is not between 1 and 4096.", json!("input"));
    }
    let coded = body.get("encoding_format").and_then(Value::as_str) == Some("base64");
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let vector = vector(text, size);
            let embedding = if coded {
                let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
                json!(base64(&bytes))
            } else {
                json!(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let tokens: u64 = texts.iter().map(|text| prompt_tokens(text)).sum();
    let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    Answer::json(StatusCode::OK, &json!({"object": "list", "data": data, "model": model, "usage": usage}))
}

/// One text, a list of texts, one list of token numbers or a list of those.
fn inputs(input: Option<&Value>) -> Option<Vec<String>> {
    match input? {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(list) if list.iter().all(Value::is_number) && !list.is_empty() => {
            Some(vec![Value::Array(list.clone()).to_string()])
        }
        Value::Array(list) => Some(
            list.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect(),
        ),
        _ => None,
    }
}

fn vector(text: &str, size: u64) -> Vec<f32> {
    let mut numbers = Ids::from_text(text);
    // 24 bits fit a float exactly.
    let raw: Vec<f32> = (0..size).map(|_| (numbers.number() >> 40) as f32 / 8_388_608.0 - 1.0).collect();
    let length = raw.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    raw.into_iter().map(|x| x / length).collect()
}
