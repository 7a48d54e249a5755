//! `functions` and `function_call`, which OpenAI's API had before tools; DeepSeek knows only tools. What goes in as a function
//! is put as a tool here, and what comes out as a call of a tool is put back by `outward`.

use modelswitch_provider::{Document, Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use modelswitch_openai::adapter::Notes;
use modelswitch_openai::adapter::has_member;

/// An app of before tools.
#[derive(Clone, Debug)]
pub(crate) struct Legacy {
    /// The id that the answer's call gets: it has none in the app's history, and must be found again by.
    pub(crate) next_id: String,
}

/// Before the ids of calls that had none. Where they stand in a conversation tells them apart, not the id.
pub(crate) const LEGACY_ID: &str = "call_legacy_";

/// # Errors
/// [`InvalidRequest`](modelswitch_provider::ErrorKind::InvalidRequest) when functions stand beside tools.
pub(super) fn adapt(body: &mut Document, notes: &mut Notes) -> Result<Option<Legacy>> {
    let in_history = body.get_raw("messages").is_some_and(|text| {
        has_member(text, "function_call", "{") || has_member(text, "role", "\"function\"")
    });
    if !body.has("functions") && !body.has("function_call") && !in_history {
        return Ok(None);
    }
    let speaks_of_functions = body.has("functions") || !body.has("tools");
    if body.has("functions") {
        if body.has("tools") {
            return Err(Error::invalid_request("the request has both `functions` and `tools`")
                .with_param("functions")
                .with_hint("send everything as tools; `functions` is the old name"));
        }
        functions_to_tools(body)?;
        notes.same_meaning("functions", "sent as tools, and calls of them come back as `function_call`");
    }
    choice_to_tool_choice(body)?;
    let history = if in_history { history_to_tools(body)? } else { 0 };
    // An app that has moved on to tools may still have old turns in its history; its answers stay tool calls.
    Ok(speaks_of_functions.then(|| Legacy { next_id: id(history) }))
}

fn functions_to_tools(body: &mut Document) -> Result<()> {
    #[derive(Serialize)]
    struct Tool {
        r#type: &'static str,
        function: Box<RawValue>,
    }
    // The text of a function stays as it is: the order of its parameters may mean something to the model.
    let functions = body.get::<Vec<Box<RawValue>>>("functions")?.unwrap_or_default();
    let tools: Vec<Tool> =
        functions.into_iter().map(|function| Tool { r#type: "function", function }).collect();
    body.remove("functions");
    if tools.is_empty() { Ok(()) } else { body.set("tools", tools) }
}

fn choice_to_tool_choice(body: &mut Document) -> Result<()> {
    let Some(choice) = body.get::<Value>("function_call")? else {
        body.remove("function_call");
        return Ok(());
    };
    body.remove("function_call");
    if body.has("tool_choice") {
        return Ok(());
    }
    match choice.get("name").and_then(Value::as_str) {
        Some(name) => body.set("tool_choice", json!({ "type": "function", "function": { "name": name } })),
        None => body.set("tool_choice", choice),
    }
}

/// Puts calls and results of functions as those of tools, and counts the calls.
fn history_to_tools(body: &mut Document) -> Result<usize> {
    #[derive(Deserialize)]
    struct Look {
        #[serde(default)]
        role: Option<String>,
        #[serde(default)]
        function_call: Option<Call>,
    }
    #[derive(Deserialize)]
    struct Call {
        #[serde(default)]
        name: String,
    }
    let mut messages = body.get::<Vec<Box<RawValue>>>("messages")?.unwrap_or_default();
    let mut calls = 0;
    // The call that waits for its result, by the function's name.
    let mut waiting: Vec<(String, String)> = Vec::new();
    for message in &mut messages {
        let Ok(Look { role, function_call }) = serde_json::from_str(message.get()) else { continue };
        let put = match (role.as_deref(), function_call) {
            (Some("assistant"), Some(call)) => {
                let id = id(calls);
                calls += 1;
                waiting.push((call.name, id.clone()));
                call_to_tool_call(message, id)?
            }
            (Some("function"), _) => result_to_tool(message, &mut waiting)?,
            _ => continue,
        };
        *message = put;
    }
    body.set("messages", messages)?;
    Ok(calls)
}

fn id(number: usize) -> String {
    format!("{LEGACY_ID}{number}")
}

fn call_to_tool_call(message: &RawValue, id: String) -> Result<Box<RawValue>> {
    edit(message, |message| {
        let function = message.remove("function_call").unwrap_or_default();
        let call = json!({ "id": id, "type": "function", "function": function });
        message.insert("tool_calls".to_owned(), json!([call]));
        if message.get("content").is_none_or(Value::is_null) {
            message.insert("content".to_owned(), "".into());
        }
    })
}

/// A result says which function it is of; the oldest call of it that still waits is meant.
fn result_to_tool(message: &RawValue, waiting: &mut Vec<(String, String)>) -> Result<Box<RawValue>> {
    edit(message, |message| {
        let name = message.remove("name");
        let name = name.as_ref().and_then(Value::as_str).unwrap_or_default();
        let place = waiting.iter().position(|(function, _)| function == name);
        let id = place.map(|place| waiting.remove(place).1);
        message.insert("role".to_owned(), "tool".into());
        // A result without its call is refused by the service, in words that say so.
        message.insert("tool_call_id".to_owned(), id.unwrap_or_else(|| name.to_owned()).into());
    })
}

fn edit(message: &RawValue, edit: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Result<Box<RawValue>> {
    let unreadable = |_| Error::invalid_request("a message can't be read").with_param("messages");
    let mut object: serde_json::Map<String, Value> =
        serde_json::from_str(message.get()).map_err(unreadable)?;
    edit(&mut object);
    serde_json::value::to_raw_value(&object).map_err(unreadable)
}
