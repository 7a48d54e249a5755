//! `functions` and `function_call`, which OpenAI's API had before tools. What goes in as a function is put as a tool, which all
//! services know, and what comes out as a call of a tool is put back.

use std::sync::LazyLock;

use futures_util::StreamExt;
use memchr::memmem::Finder;
use modelswitch_provider::{
    Adaptation, Body, ChatChunk, ChatCompletion, Choice, ChunkChoice, Document, Error, Event, EventStream,
    FinishReason, Head, Response, Result, ToolCallDelta,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::answer::to_json;
use super::look::has_member;
use super::notes::Notes;

/// An app of before tools: its requests are put as tools, and answers to them as it knows them
/// (<https://platform.openai.com/docs/api-reference/chat/create> calls both members deprecated).
///
/// ```
/// use modelswitch_openai::Policies;
/// use modelswitch_openai::adapter::{LegacyFunctions, Notes};
/// use modelswitch_provider::{ChatCompletion, Document, Head};
///
/// let mut notes = Notes::new(Policies::default());
/// let mut body = Document::parse(r#"{"functions":[{"name":"look"}],"function_call":"auto","messages":[]}"#)?;
/// let functions = LegacyFunctions::take(&mut body, &mut notes)?.ok_or("it has functions")?;
/// assert_eq!(body.get_raw("tools"), Some(r#"[{"type":"function","function":{"name":"look"}}]"#));
///
/// let mut reply: ChatCompletion = serde_json::from_str(r#"{"id":"1","choices":[{"index":0,"finish_reason":"tool_calls",
///     "message":{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"look","arguments":"{}"}}]}}]}"#)?;
/// functions.put_back(&mut reply, &mut Head::default());
/// assert_eq!(reply.choices[0].message.extra["function_call"]["name"], "look");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct LegacyFunctions {
    next_id: String,
}

/// For requests.
impl LegacyFunctions {
    /// How the ids begin that calls get which had none. Where they stand in a conversation tells them apart, not the id.
    pub const ID: &'static str = "call_legacy_";

    /// Puts a request's functions, the choice of one and its history as those of tools. `None` where its answers stay calls of
    /// tools: it has no functions, or has them in its history alone.
    ///
    /// # Errors
    /// [`InvalidRequest`](modelswitch_provider::ErrorKind::InvalidRequest) when functions stand beside tools, and for
    /// a history that can't be read.
    pub fn take(body: &mut Document, notes: &mut Notes) -> Result<Option<Self>> {
        let in_history = body.get_raw("messages").is_some_and(is_of_functions);
        if !body.has("functions") && !body.has("function_call") && !in_history {
            // Some libraries write out what they don't use.
            body.remove("functions");
            body.remove("function_call");
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
        body.remove("functions");
        choice_to_tool_choice(body, notes)?;
        let history = if in_history { history_to_tools(body, notes)? } else { 0 };
        // An app that has moved on to tools may still have old turns in its history; its answers stay tool calls.
        Ok(speaks_of_functions.then(|| Self { next_id: id(history) }))
    }

    /// The id that the answer's call gets: it has none in the app's history, and must be found again by.
    pub fn next_id(&self) -> &str {
        &self.next_id
    }
}

/// True for a conversation with a call of a function or its result. One search tells of most that there is none: a prompt may have
/// megabytes.
fn is_of_functions(messages: &str) -> bool {
    static BEGINNING: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"function"));
    BEGINNING.find(messages.as_bytes()).is_some()
        && (has_member(messages, "function_call", "{") || has_member(messages, "role", "\"function\""))
}

/// For answers.
impl LegacyFunctions {
    /// The answer to such a request as the app that asked knows it. A stream is put back while it flows.
    ///
    /// # Errors
    /// [`Decode`](modelswitch_provider::ErrorKind::Decode) for an answer that can't be written again.
    pub fn apply(self, response: Response) -> Result<Response> {
        let Response { mut head, body } = response;
        let body = match body {
            Body::Json(json) => {
                // Whatever it is, it was an answer below.
                let reply = serde_json::from_slice::<ChatCompletion>(&json).ok();
                let put_back =
                    reply.and_then(|mut reply| self.put_back(&mut reply, &mut head).then_some(reply));
                Body::Json(put_back.map_or(Ok(json), |reply| to_json(&reply))?)
            }
            Body::Events(events) => {
                Body::Events(EventStream::new(events.map(move |event| self.event(event?))))
            }
            other => other,
        };
        Ok(Response { head, body })
    }

    /// Puts calls of tools as the call of a function, for which there is room in each choice once: what is left out is told on the
    /// head. True when something was changed.
    pub fn put_back(&self, reply: &mut ChatCompletion, head: &mut Head) -> bool {
        let mut changed = false;
        for choice in &mut reply.choices {
            let count = choice.message.tool_calls.len();
            if count > 1 {
                head.adaptations.push(Adaptation::new("functions", left_out_note(count)));
            }
            changed |= call_to_function(choice);
        }
        changed
    }

    /// The same of a piece of a stream.
    pub fn put_back_piece(&self, chunk: &mut ChatChunk) -> bool {
        let mut changed = false;
        for choice in &mut chunk.choices {
            changed |= piece_to_function(choice);
        }
        changed
    }

    fn event(&self, event: Event) -> Result<Event> {
        let Ok(mut chunk) = event.json::<ChatChunk>() else { return Ok(event) };
        if self.put_back_piece(&mut chunk) {
            Ok(Event { data: to_json(&chunk)?, ..event })
        } else {
            Ok(event)
        }
    }
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
    if tools.is_empty() { Ok(()) } else { body.set("tools", tools) }
}

fn choice_to_tool_choice(body: &mut Document, notes: &mut Notes) -> Result<()> {
    let choice = body.get::<Value>("function_call")?;
    body.remove("function_call");
    let Some(choice) = choice else { return Ok(()) };
    if body.has("tool_choice") {
        notes.same_meaning("function_call", "left out: the request has `tool_choice` too");
        return Ok(());
    }
    notes.same_meaning("function_call", "sent as `tool_choice`");
    match choice.get("name").and_then(Value::as_str) {
        Some(name) => body.set("tool_choice", json!({ "type": "function", "function": { "name": name } })),
        None => body.set("tool_choice", choice),
    }
}

/// Puts calls and results of functions as those of tools, and counts the calls.
fn history_to_tools(body: &mut Document, notes: &mut Notes) -> Result<usize> {
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
        notes.same_meaning("messages", "calls and results of functions sent as those of tools");
    }
    body.set("messages", messages)?;
    Ok(calls)
}

fn id(number: usize) -> String {
    format!("{}{number}", LegacyFunctions::ID)
}

fn call_to_tool_call(message: &RawValue, id: String) -> Result<Box<RawValue>> {
    edit(message, |message| {
        let function = message.remove("function_call").unwrap_or_default();
        let call = json!({ "id": id, "type": "function", "function": function });
        message.insert("tool_calls".to_owned(), json!([call]));
        // Beside a call of a function it may be missing; beside those of tools some want it to be there.
        message.entry("content").or_insert(Value::Null);
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

fn edit(message: &RawValue, edit: impl FnOnce(&mut Map<String, Value>)) -> Result<Box<RawValue>> {
    let unreadable = |_| Error::invalid_request("a message can't be read").with_param("messages");
    let mut object: Map<String, Value> = serde_json::from_str(message.get()).map_err(unreadable)?;
    edit(&mut object);
    serde_json::value::to_raw_value(&object).map_err(unreadable)
}

/// True when something was changed.
fn call_to_function(choice: &mut Choice) -> bool {
    let call = std::mem::take(&mut choice.message.tool_calls).into_iter().next();
    let is_called = call.is_some();
    if let Some(call) = call {
        let function = json!({ "name": call.function.name, "arguments": call.function.arguments });
        choice.message.extra.insert("function_call".to_owned(), function);
    }
    end(&mut choice.finish_reason) || is_called
}

fn left_out_note(count: usize) -> String {
    format!(
        "the model called {count} functions at once; `function_call` holds one, and the others are left out"
    )
}

/// Whoever speaks of functions waits for a reason of that name.
fn end(reason: &mut Option<FinishReason>) -> bool {
    let ends = *reason == Some(FinishReason::ToolCalls);
    if ends {
        *reason = Some(FinishReason::Other("function_call".to_owned()));
    }
    ends
}

/// True when something was changed.
fn piece_to_function(choice: &mut ChunkChoice) -> bool {
    let calls = std::mem::take(&mut choice.delta.tool_calls);
    let is_called = !calls.is_empty();
    let (ours, others): (Vec<_>, Vec<_>) =
        calls.into_iter().partition(|call| call.index.unwrap_or_default() == 0);
    if !others.is_empty() {
        // The head has gone already; this is all that is left to tell.
        tracing::trace!("{}", left_out_note(2));
    }
    if !ours.is_empty() {
        choice.delta.extra.insert("function_call".to_owned(), joined(ours));
    }
    end(&mut choice.finish_reason) || is_called
}

/// The pieces of one call as one piece: there is room for one.
fn joined(pieces: Vec<ToolCallDelta>) -> Value {
    let (mut name, mut arguments) = (None, String::new());
    for function in pieces.into_iter().filter_map(|piece| piece.function) {
        name = name.or(function.name);
        arguments.push_str(&function.arguments.unwrap_or_default());
    }
    let name = name.map(|name| ("name".to_owned(), name.into()));
    Value::Object(name.into_iter().chain([("arguments".to_owned(), arguments.into())]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policies;

    fn taken(body: Value) -> (Value, Vec<Adaptation>, Option<LegacyFunctions>) {
        let mut body = Document::parse(body.to_string()).unwrap();
        let mut notes = Notes::new(Policies { strict: true, ..Policies::default() });
        let functions = LegacyFunctions::take(&mut body, &mut notes).unwrap();
        (serde_json::from_slice(&body.to_bytes()).unwrap(), notes.finish().unwrap(), functions)
    }

    #[test]
    fn all_that_is_changed_is_told_and_strict_takes_it() {
        let (body, told, functions) = taken(json!({
            "functions":[{"name":"f"}],"function_call":{"name":"f"},
            "messages":[{"role":"assistant","function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"1"}],
        }));
        let told: Vec<&str> = told.iter().map(|one| one.parameter.as_str()).collect();
        assert_eq!(told, ["functions", "function_call", "messages"]);
        assert_eq!(body["tool_choice"]["function"]["name"], "f");
        assert_eq!(body["messages"][0]["tool_calls"][0]["id"], body["messages"][1]["tool_call_id"]);
        assert_eq!(functions.unwrap().next_id(), "call_legacy_1");
    }

    #[test]
    fn members_that_are_null_are_no_functions() {
        let tools = json!([{"type":"function","function":{"name":"f"}}]);
        let (body, told, functions) = taken(json!({"functions":null,"function_call":null,"tools":tools}));
        assert_eq!(body, json!({ "tools": tools }));
        assert!(told.is_empty() && functions.is_none());
    }

    #[test]
    fn pieces_of_one_call_in_one_delta_stay_together() {
        let mut chunk: ChatChunk = serde_json::from_value(json!({"id":"1","choices":[{"index":0,"delta":{"tool_calls":[
            {"index":0,"id":"c","function":{"name":"f","arguments":""}},{"index":0,"function":{"arguments":"{\"a\""}},
            {"index":0,"function":{"arguments":":1}"}},{"index":1,"id":"d","function":{"name":"g","arguments":"{}"}}]}}]}))
        .unwrap();
        assert!(LegacyFunctions { next_id: id(0) }.put_back_piece(&mut chunk));
        assert_eq!(
            chunk.choices[0].delta.extra["function_call"],
            json!({"name":"f","arguments":"{\"a\":1}"})
        );
    }
}
