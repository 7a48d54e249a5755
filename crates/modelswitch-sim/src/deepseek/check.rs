//! What DeepSeek refuses with a 400, in its words.

use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::Value;

use crate::answer::Answer;
use crate::ask::{Ask, Format, role, text_of};
use crate::recorded::Recorded;

/// The most tokens that may be asked for.
const MOST_TOKENS: i64 = 393_216;

/// A 400 and its words.
#[derive(Debug)]
pub(super) struct Refusal {
    message: String,
    content_type: &'static str,
}

impl Refusal {
    /// What the model service refuses comes without a useful content type.
    pub(super) fn octets(message: impl Into<String>) -> Self {
        Self { message: message.into(), content_type: "application/octet-stream" }
    }

    /// What the front door could not read comes as JSON.
    fn unreadable(what: &str, place: &Place<'_>) -> Self {
        let message =
            format!("Failed to deserialize the JSON body into the target type: {what}{}", place.text());
        Self { message, content_type: "application/json" }
    }

    pub(super) fn no_model(asked: &str) -> Self {
        Self::octets(format!(
            "The supported API model names are deepseek-v4-pro or deepseek-v4-flash, but you passed {asked}."
        ))
    }

    pub(super) fn answer(&self) -> Answer {
        super::error(StatusCode::BAD_REQUEST, "invalid_request_error", &self.message)
            .with(CONTENT_TYPE, self.content_type)
    }
}

/// Where in the body the reader stumbled: behind a word of it.
struct Place<'a> {
    body: &'a [u8],
    word: String,
}

impl Place<'_> {
    fn text(&self) -> String {
        let quoted = format!("\"{}\"", self.word);
        let Some(at) = memchr::memmem::find(self.body, quoted.as_bytes()) else { return String::new() };
        let before = self.body.get(..at + quoted.len()).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count();
        format!(" at line {line} column {column}")
    }
}

/// Reads the body as far as DeepSeek's front door does.
pub(super) fn parse(request: &Recorded) -> Result<Value, Refusal> {
    let body: Value = serde_json::from_slice(&request.body).map_err(|error| Refusal {
        message: format!("Failed to parse the request body as JSON: {error}"),
        content_type: "application/json",
    })?;
    let nowhere = Place { body: &[], word: String::new() };
    if body.get("model").and_then(Value::as_str).is_none() {
        return Err(Refusal::unreadable("missing field `model`", &nowhere));
    }
    for name in ["max_tokens", "top_logprobs"] {
        if body.get(name).is_some_and(|value| !value.is_null() && !value.is_i64()) {
            return Err(Refusal::unreadable(&format!("{name}: invalid type, expected i32"), &nowhere));
        }
    }
    Ok(body)
}

/// Everything about a chat request that is refused, in the order in which it is noticed.
pub(super) fn chat(
    request: &Recorded,
    body: &Value,
    ask: &Ask,
    thinking: bool,
    beta: bool,
) -> Result<&'static str, Refusal> {
    let Some(messages) = body.get("messages").and_then(Value::as_array) else {
        let nowhere = Place { body: &[], word: String::new() };
        return Err(Refusal::unreadable("missing field `messages`", &nowhere));
    };
    let serving = super::serving(&ask.model);
    for (index, message) in messages.iter().enumerate() {
        readable(request, index, message, serving == Some("deepseek-flash"))?;
    }
    tools(request, body)?;
    let serving = serving.ok_or_else(|| Refusal::no_model(&ask.model))?;
    limits(body)?;
    if messages.is_empty() {
        return Err(Refusal::octets("Empty input messages"));
    }
    match ask.format {
        Format::JsonSchema(_) => return Err(Refusal::octets("This response_format type is unavailable now")),
        Format::JsonObject if !messages.iter().any(|m| text_of(m).to_lowercase().contains("json")) => {
            return Err(Refusal::octets(
                "Prompt must contain the word 'json' in some form to use 'response_format' of type 'json_object'.",
            ));
        }
        Format::JsonObject | Format::Text => {}
    }
    if thinking && ask.choice.is_forced() {
        return Err(Refusal::octets("Thinking mode does not support this tool_choice"));
    }
    history(messages, thinking && !ask.tools.is_empty())?;
    let prefix = messages.last().and_then(|last| last.get("prefix")) == Some(&Value::Bool(true));
    if prefix && !beta {
        return Err(Refusal::octets(
            "prefix is only available when using beta api (set base_url=\"https://api.deepseek.com/beta\")",
        ));
    }
    Ok(serving)
}

/// The rules that chat and completions share.
pub(super) fn limits(body: &Value) -> Result<(), Refusal> {
    if let Some(most) = body.get("max_tokens").and_then(Value::as_i64)
        && !(1..=MOST_TOKENS).contains(&most)
    {
        return Err(Refusal::octets(format!(
            "Invalid max_tokens value, the valid range of max_tokens is [1, {MOST_TOKENS}]"
        )));
    }
    let streams = body.get("stream") == Some(&Value::Bool(true));
    if !streams && body.get("stream_options").is_some_and(|options| !options.is_null()) {
        return Err(Refusal::octets("stream_options should be set along with stream = true"));
    }
    Ok(())
}

fn readable(request: &Recorded, index: usize, message: &Value, vision: bool) -> Result<(), Refusal> {
    let role = role(message);
    let place = |word: &str| Place { body: &request.body, word: word.to_owned() };
    if !["system", "user", "assistant", "tool", "latest_reminder"].contains(&role) {
        let what = format!(
            "messages[{index}].role: unknown variant `{role}`, expected one of `system`, `user`, `assistant`, \
             `tool`, `latest_reminder`"
        );
        return Err(Refusal::unreadable(&what, &place(role)));
    }
    let pictures = vision && matches!(role, "user" | "tool");
    for part in message.get("content").and_then(Value::as_array).into_iter().flatten() {
        let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
        let expected = match kind {
            "text" => continue,
            "image_url" | "file" if pictures => continue,
            _ if pictures => "one of `text`, `image_url`, `file`",
            _ => "`text`",
        };
        let what = format!("messages[{index}]: unknown variant `{kind}`, expected {expected}");
        return Err(Refusal::unreadable(&what, &place(kind)));
    }
    Ok(())
}

fn tools(request: &Recorded, body: &Value) -> Result<(), Refusal> {
    let list = body.get("tools").and_then(Value::as_array);
    for (index, tool) in list.into_iter().flatten().enumerate() {
        let kind = tool.get("type").and_then(Value::as_str).unwrap_or_default();
        if kind != "function" {
            let what = format!("tools[{index}].type: unknown variant `{kind}`, expected `function`");
            return Err(Refusal::unreadable(&what, &Place { body: &request.body, word: kind.to_owned() }));
        }
        let name = tool.pointer("/function/name").and_then(Value::as_str).unwrap_or_default();
        let Some(schema) = tool.pointer("/function/parameters") else { continue };
        let found = schema.get("type").unwrap_or(&Value::Null);
        if found != "object" {
            return Err(Refusal::octets(format!(
                "Invalid schema for function '{name}': schema must be a JSON Schema of 'type: \"object\"', got \
                 'type: {found}'."
            )));
        }
    }
    Ok(())
}

/// Tool calls need their results, results their calls, and thinking with tools its thoughts back.
fn history(messages: &[Value], thoughts_needed: bool) -> Result<(), Refusal> {
    let mut waiting: Vec<&str> = Vec::new();
    let mut after_calls = false;
    for message in messages {
        if role(message) == "tool" {
            let id = message.get("tool_call_id").and_then(Value::as_str).unwrap_or_default();
            if !after_calls {
                return Err(Refusal::octets(
                    "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'",
                ));
            }
            waiting.retain(|open| *open != id);
            continue;
        }
        answered(&waiting)?;
        let calls = message.get("tool_calls").and_then(Value::as_array).filter(|calls| !calls.is_empty());
        after_calls = role(message) == "assistant" && calls.is_some();
        if role(message) != "assistant" {
            continue;
        }
        let ids = calls.into_iter().flatten().filter_map(|call| call.get("id").and_then(Value::as_str));
        waiting = ids.collect();
        if calls.is_none() && message.get("content").is_none_or(Value::is_null) {
            return Err(Refusal::octets("Invalid assistant message: content or tool_calls must be set"));
        }
        if thoughts_needed && message.get("reasoning_content").is_none_or(|value| !value.is_string()) {
            return Err(Refusal::octets(
                "The `reasoning_content` in the thinking mode must be passed back to the API.",
            ));
        }
    }
    answered(&waiting)
}

fn answered(waiting: &[&str]) -> Result<(), Refusal> {
    if waiting.is_empty() {
        return Ok(());
    }
    Err(Refusal::octets(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each \
         'tool_call_id'. (insufficient tool messages following tool_calls message)",
    ))
}
