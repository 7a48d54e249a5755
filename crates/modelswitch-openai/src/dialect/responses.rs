//! Bodies and events of `/responses`: what OpenAI always sends and others leave out is filled in.

use async_openai::types::responses::Response;
use serde_json::{Map, Value, json};
use serde_path_to_error::Segment;

/// A whole response.
pub(super) fn repair(response: &mut Value) {
    let Some(members) = response.as_object_mut() else { return };
    fill(members, "object", || json!("response"));
    fill(members, "created_at", || json!(0));
    if let Some(items) = members.get_mut("output").and_then(Value::as_array_mut) {
        items.iter_mut().for_each(repair_item);
    }
    if let Some(usage) = members.get_mut("usage").and_then(Value::as_object_mut) {
        fill(usage, "input_tokens_details", || json!({ "cached_tokens": 0 }));
        fill(usage, "output_tokens_details", || json!({ "reasoning_tokens": 0 }));
    }
    while let Some(name) = unfitting_member(response) {
        let Some(members) = response.as_object_mut() else { return };
        let Some(value) = members.remove(&name) else { return };
        members.insert(format!("native_{name}"), value);
    }
}

/// The name of a member that async-openai can't decode and an answer can do without.
fn unfitting_member(response: &Value) -> Option<String> {
    let error = serde_path_to_error::deserialize::<_, Response>(response).err()?;
    let first = error.path().iter().next()?;
    let Segment::Map { key } = first else { return None };
    let is_the_answer =
        matches!(key.as_str(), "id" | "object" | "model" | "output" | "status" | "created_at");
    (!is_the_answer).then(|| key.clone())
}

/// One event of a stream, the `position`th.
pub(super) fn repair_event(event: &mut Value, position: u64) {
    let Some(members) = event.as_object_mut() else { return };
    fill(members, "sequence_number", || json!(position));
    let kind = members.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    match kind.as_str() {
        "response.output_text.delta" | "response.output_text.done" => fill(members, "logprobs", || json!([])),
        "response.content_part.added" | "response.content_part.done" => {
            if let Some(part) = members.get_mut("part") {
                repair_part(part);
            }
        }
        "response.output_item.added" | "response.output_item.done" => {
            if let Some(item) = members.get_mut("item") {
                repair_item(item);
            }
        }
        _ => {
            if let Some(response) = members.get_mut("response") {
                repair(response);
            }
        }
    }
}

fn repair_item(item: &mut Value) {
    let Some(item) = item.as_object_mut() else { return };
    match item.get("type").and_then(Value::as_str) {
        Some("message") => {
            fill(item, "id", || json!(""));
            fill(item, "role", || json!("assistant"));
            fill(item, "status", || json!("completed"));
            if let Some(parts) = item.get_mut("content").and_then(Value::as_array_mut) {
                parts.iter_mut().for_each(repair_part);
            }
        }
        Some("reasoning") => {
            fill(item, "id", || json!(""));
            fill(item, "summary", || json!([]));
        }
        _ => {}
    }
}

fn repair_part(part: &mut Value) {
    if let Some(part) = part.as_object_mut()
        && part.get("type").and_then(Value::as_str) == Some("output_text")
    {
        fill(part, "annotations", || json!([]));
    }
}

fn fill(object: &mut Map<String, Value>, name: &str, value: impl FnOnce() -> Value) {
    if object.get(name).is_none_or(Value::is_null) {
        object.insert(name.to_owned(), value());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_openai::types::responses::{Response, ResponseStreamEvent};

    #[test]
    fn what_openai_always_sends_is_filled_in() {
        let mut response = json!({"id":"r","model":"m","status":"completed","reasoning":"hm","usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2},"output":[
            {"type":"reasoning","content":[]},
            {"type":"message","content":[{"type":"output_text","text":"hi"}]}]});
        repair(&mut response);
        let read: Result<Response, _> = serde_json::from_value(response);
        assert!(read.is_ok(), "{read:?}");
    }

    #[test]
    fn an_event_is_completed_the_same_way() {
        let mut event = json!({"type":"response.output_text.delta","item_id":"i","output_index":0,"content_index":0,"delta":"hi"});
        repair_event(&mut event, 3);
        let read: Result<ResponseStreamEvent, _> = serde_json::from_value(event);
        assert!(read.is_ok(), "{read:?}");
    }
}
