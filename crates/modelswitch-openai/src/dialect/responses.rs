//! Bodies and events of `/responses`: what OpenAI always sends and others leave out is filled in.

use async_openai::types::responses::{OutputItem, Response, ResponseStreamEvent};
use modelswitch_provider::{Head, Result};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use super::fit::fit;
use super::look::{Object, Text};
use super::repair;

/// The members that a response is nothing without.
const ESSENTIAL: [&str; 6] = ["id", "object", "model", "output", "status", "created_at"];

/// The members of an event that it is nothing without.
const ESSENTIAL_OF_EVENT: [&str; 12] = [
    "type",
    "sequence_number",
    "delta",
    "text",
    "arguments",
    "item_id",
    "output_index",
    "content_index",
    "response",
    "response.id",
    "response.output",
    "response.status",
];

/// A whole response.
///
/// # Errors
/// [`Decode`](modelswitch_provider::ErrorKind::Decode) that names what doesn't fit and can't be done without.
pub(super) fn repair(head: &Head, response: &mut Value) -> Result<()> {
    fill_in(head, response);
    fit::<Response>(response, &ESSENTIAL, "the response")
}

fn fill_in(head: &Head, response: &mut Value) {
    let Some(members) = response.as_object_mut() else { return };
    let model = || head.model.as_deref().unwrap_or_default().to_owned();
    repair::string_or(members, "id", || format!("modelswitch-{}", head.request_id.as_deref().unwrap_or("0")));
    repair::string_or(members, "model", model);
    fill(members, "object", || json!("response"));
    repair::moment(members, "created_at", None);
    repair_output(members);
    if let Some(usage) = members.get_mut("usage").and_then(Value::as_object_mut) {
        fill(usage, "input_tokens_details", || json!({ "cached_tokens": 0 }));
        fill(usage, "output_tokens_details", || json!({ "reasoning_tokens": 0 }));
    }
    let has_output = members.get("output").and_then(Value::as_array).is_some_and(|items| !items.is_empty());
    if has_output {
        fill(members, "status", || json!("completed"));
    }
}

/// The items that async-openai knows. Others go on as `native_output`, each with its place.
fn repair_output(members: &mut Map<String, Value>) {
    let text = members.get("output_text").and_then(Value::as_str).map(str::to_owned);
    if let Some(text) = text
        && members.get("output").is_none_or(Value::is_null)
    {
        let message = json!({ "type": "message", "content": [{ "type": "output_text", "text": text }] });
        members.insert("output".to_owned(), json!([message]));
    }
    let Some(Value::Array(items)) = members.get_mut("output") else { return };
    items.iter_mut().for_each(repair_item);
    let (mut known, mut others) = (Vec::new(), Vec::new());
    for (place, item) in std::mem::take(items).into_iter().enumerate() {
        match OutputItem::deserialize(&item) {
            Ok(_) => known.push(item),
            Err(_) => others.push(json!({ "place": place, "item": item })),
        }
    }
    *items = known;
    if !others.is_empty() {
        members.insert("native_output".to_owned(), Value::Array(others));
    }
}

/// One event of a stream, the `position`th.
///
/// # Errors
/// [`Decode`](modelswitch_provider::ErrorKind::Decode) for an event without which the answer would have a hole. Others
/// pass as they are.
pub(super) fn repair_event(head: &Head, event: &mut Value, name: Option<&str>, position: u64) -> Result<()> {
    let Some(members) = event.as_object_mut() else { return Ok(()) };
    if !members.get("type").is_some_and(Value::is_string)
        && let Some(name) = name
    {
        members.insert("type".to_owned(), name.into());
    }
    if members.get("sequence_number").and_then(Value::as_u64).is_none() {
        members.insert("sequence_number".to_owned(), position.into());
    }
    let kind = members.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    match kind.as_str() {
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
            if matches!(kind.as_str(), "response.completed" | "response.incomplete" | "response.failed") {
                // What it ends was said before it.
                fill(members, "response", || json!({}));
            }
            if let Some(response) = members.get_mut("response") {
                fill_in(head, response);
                fill_status(response, &kind);
                // What of it doesn't fit is said below.
                let _ = fit::<Response>(response, &ESSENTIAL, "the response");
            }
        }
    }
    if PIECES.contains(&kind.as_str()) || SAYS_SOMETHING.contains(&kind.as_str()) {
        place(members, &kind);
        return fit::<ResponseStreamEvent>(event, &ESSENTIAL_OF_EVENT, "an event of the stream");
    }
    Ok(())
}

/// Pieces of an answer.
const PIECES: [&str; 5] = [
    "response.output_text.delta",
    "response.refusal.delta",
    "response.reasoning_text.delta",
    "response.reasoning_summary_text.delta",
    "response.function_call_arguments.delta",
];

/// Further events without which an answer has a hole.
const SAYS_SOMETHING: [&str; 4] =
    ["response.function_call_arguments.done", "response.completed", "response.incomplete", "response.failed"];

/// As much of a piece as tells whether async-openai decodes it.
#[derive(Deserialize)]
struct Piece<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(rename = "sequence_number")]
    _sequence_number: u64,
    #[serde(borrow, rename = "item_id")]
    _item_id: Text<'a>,
    #[serde(rename = "output_index")]
    _output_index: u32,
    #[serde(default)]
    content_index: Option<u32>,
    #[serde(default)]
    summary_index: Option<u32>,
    #[serde(borrow, rename = "delta")]
    _delta: Text<'a>,
    #[serde(default)]
    logprobs: Option<Vec<IgnoredAny>>,
}

/// True for a piece of an answer that async-openai decodes as it is: nearly all events are such pieces.
pub(super) fn piece_conforms(event: &[u8]) -> bool {
    let Ok(Object(piece)) = serde_json::from_slice::<Object<Piece<'_>>>(event) else { return false };
    if piece.logprobs.is_some_and(|logprobs| !logprobs.is_empty()) {
        return false;
    }
    let kind = &*piece.kind.0;
    PIECES.contains(&kind)
        && match index_inside(kind) {
            Some("summary_index") => piece.summary_index.is_some(),
            Some(_) => piece.content_index.is_some(),
            None => true,
        }
}

/// True for a whole response that async-openai decodes and in which nothing needs a closer look.
pub(super) fn conforms(response: &[u8]) -> bool {
    let response = serde_json::from_slice::<Response>(response);
    // Whoever says more than that says milliseconds.
    response.is_ok_and(|response| response.created_at <= u64::from(u32::MAX))
}

/// The index inside of an item, for the kinds of events that have one.
fn index_inside(kind: &str) -> Option<&'static str> {
    if kind.starts_with("response.reasoning_summary") {
        Some("summary_index")
    } else if kind.starts_with("response.function_call_arguments") {
        None
    } else {
        Some("content_index")
    }
}

/// Where a piece belongs, for a service that has one item and one part.
fn place(members: &mut Map<String, Value>, kind: &str) {
    if !kind.ends_with(".delta") && !kind.ends_with(".done") {
        return;
    }
    repair::string_or(members, "item_id", String::new);
    for name in ["output_index"].into_iter().chain(index_inside(kind)) {
        let index = members.get(name).and_then(repair::count);
        members.insert(name.to_owned(), index.unwrap_or_default().into());
    }
}

fn fill_status(response: &mut Value, kind: &str) {
    let status = match kind {
        "response.completed" => "completed",
        "response.incomplete" => "incomplete",
        "response.failed" => "failed",
        "response.queued" => "queued",
        _ => "in_progress",
    };
    if let Some(members) = response.as_object_mut() {
        fill(members, "status", || json!(status));
        fill(members, "output", || json!([]));
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
    use modelswitch_provider::ErrorKind;

    #[test]
    fn what_openai_always_sends_is_filled_in() {
        let mut response = json!({"id":"r","model":"m","status":"completed","reasoning":"hm","usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2},"output":[
            {"type":"reasoning","content":[]},
            {"type":"message","content":[{"type":"output_text","text":"hi"}]}]});
        repair(&Head::default(), &mut response).unwrap();
        let read: Response = serde_json::from_value(response).unwrap();
        assert_eq!(read.output.len(), 2);
    }

    #[test]
    fn a_time_in_milliseconds_is_seconds() {
        let mut response = json!({"output_text":"hi","created_at":1705651092123u64});
        assert!(!conforms(response.to_string().as_bytes()));
        repair(&Head::default(), &mut response).unwrap();
        assert_eq!(response["created_at"], 1_705_651_092);
        assert!(conforms(response.to_string().as_bytes()), "{response}");
    }

    #[test]
    fn a_piece_that_passes_the_look_is_decoded_and_others_become_ones_that_do() {
        for kind in PIECES {
            let mut event = json!({"type":kind,"delta":"hi"});
            assert!(!piece_conforms(event.to_string().as_bytes()), "{kind}");
            repair_event(&Head::default(), &mut event, None, 0).unwrap();
            let text = event.to_string();
            assert!(piece_conforms(text.as_bytes()), "{text}");
            assert!(serde_json::from_str::<ResponseStreamEvent>(&text).is_ok(), "{text}");
            let places = ["summary_index", "content_index"].map(|name| event.get(name).is_some());
            assert_eq!(
                places,
                [index_inside(kind) == Some("summary_index"), index_inside(kind) == Some("content_index")],
                "{text}"
            );
        }
        for event in [
            json!({"type":"response.output_text.delta","sequence_number":0,"item_id":"i","output_index":0,"content_index":0,"delta":"x","logprobs":[7]}),
            json!({"type":"response.from_the_future.delta","sequence_number":0,"item_id":"i","output_index":0,"content_index":0,"delta":"x"}),
            json!(["response.output_text.delta", 0, "i", 0, 0, null, "x", null]),
        ] {
            assert!(!piece_conforms(event.to_string().as_bytes()), "{event}");
        }
    }

    #[test]
    fn an_event_is_completed_the_same_way() {
        let mut event = json!({"type":"response.output_text.delta","item_id":"i","output_index":0,"content_index":0,"delta":"hi"});
        repair_event(&Head::default(), &mut event, None, 3).unwrap();
        let read: Result<ResponseStreamEvent, _> = serde_json::from_value(event);
        assert!(read.is_ok(), "{read:?}");
    }

    #[test]
    fn items_that_async_openai_has_no_type_for_stand_beside() {
        let mut response = json!({"status":"completed","output":[{"type":"from_the_future"},{"type":"message","content":[{"type":"output_text","text":"hi"}]}]});
        repair(&Head::default(), &mut response).unwrap();
        assert_eq!(response["native_output"][0], json!({"place":0,"item":{"type":"from_the_future"}}));
        assert_eq!(response["output"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn text_alone_is_an_answer_and_nothing_is_an_error() {
        let mut response = json!({"output_text":"hi"});
        repair(&Head::default(), &mut response).unwrap();
        assert_eq!(response["output"][0]["content"][0]["text"], "hi");
        for mut response in
            [json!({}), json!({"output":null}), json!({"output":7}), json!({"status":"done","output":[]})]
        {
            let error = repair(&Head::default(), &mut response).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Decode);
        }
    }

    #[test]
    fn a_piece_that_does_not_say_where_it_belongs_is_of_the_first_item() {
        for kind in
            ["output_text", "refusal", "reasoning_text", "reasoning_summary_text", "function_call_arguments"]
        {
            let mut event = json!({"delta":"hi","content_index":null});
            repair_event(&Head::default(), &mut event, Some(&format!("response.{kind}.delta")), 0).unwrap();
            let read: Result<ResponseStreamEvent, _> = serde_json::from_value(event);
            assert!(read.is_ok(), "{kind}: {read:?}");
        }
        let mut event = json!({"type":"response.output_text.delta","delta":{"a":1}});
        let error = repair_event(&Head::default(), &mut event, None, 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode);
    }
}
