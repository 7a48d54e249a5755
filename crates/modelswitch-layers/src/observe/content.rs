//! What was asked and answered, for a log that is meant to have it: in the shape of the conventions, and bounded.

use modelswitch_provider::{ChatChunk, ChatCompletion, Collector, Document, Endpoint, Event, Request};
use serde_json::{Map, Value, json};

use super::told::{shown, without_keys};

/// A question and what has been heard of the answer.
pub(super) struct Conversation {
    is_chat: bool,
    input: Vec<String>,
    left_out: usize,
    answer: Answer,
    /// The bytes of events that were taken in.
    taken: usize,
}

enum Answer {
    Whole(Vec<Value>),
    /// A chat's, which may think and call tools.
    Pieces(Box<Collector>),
    Text(String),
}

/// Of one text.
const MOST_TEXT: usize = 8 * 1024;
/// Of all messages together.
const MOST: usize = 64 * 1024;
/// Of the events of a stream: each wraps a word into two hundred bytes.
const MOST_EVENTS: usize = 4 * 1024 * 1024;

impl Conversation {
    pub(super) fn begin(request: &Request) -> Self {
        let is_chat = request.endpoint == Endpoint::CHAT_COMPLETIONS;
        let asked = request.document().map(asked).unwrap_or_default();
        let (input, left_out) = last_of(&asked);
        let answer = if is_chat { Answer::Pieces(Box::default()) } else { Answer::Text(String::new()) };
        Self { is_chat, input, left_out, answer, taken: 0 }
    }

    /// Takes in a whole answer.
    pub(super) fn hear(&mut self, json: &[u8]) {
        let Ok(value) = serde_json::from_slice::<Value>(json) else { return };
        let said = if self.is_chat {
            ChatCompletion::from_wire(&value).map(|whole| said(&whole)).unwrap_or_default()
        } else {
            let mut text = String::new();
            collect_text(&value, &mut text);
            one_message("assistant", text)
        };
        self.answer = Answer::Whole(said);
    }

    /// Takes in an event, as long as there is room.
    pub(super) fn hear_event(&mut self, event: &Event) {
        if self.taken > MOST_EVENTS {
            return;
        }
        self.taken = self.taken.saturating_add(event.data.len());
        match &mut self.answer {
            Answer::Pieces(collector) => {
                if let Ok(chunk) = event.json::<ChatChunk>() {
                    collector.push(chunk);
                }
            }
            Answer::Text(text) => {
                if let Ok(value) = event.json::<Value>() {
                    collect_delta(&value, text);
                }
            }
            Answer::Whole(_) => {}
        }
    }

    /// What is written of it.
    pub(super) fn finish(self) -> Messages {
        let said = match self.answer {
            Answer::Whole(said) => said,
            Answer::Pieces(collector) => said(&collector.finish()),
            Answer::Text(text) => one_message("assistant", text),
        };
        let (output, _) = last_of(&said);
        let list = |messages: &[String]| format!("[{}]", messages.join(","));
        Messages {
            input: list(&self.input),
            output: list(&output),
            left_out: (self.left_out > 0).then_some(self.left_out),
        }
    }
}

/// A conversation in the conventions' JSON.
pub(crate) struct Messages {
    pub(crate) input: String,
    pub(crate) output: String,
    /// How many messages were too many.
    pub(crate) left_out: Option<usize>,
}

/// The last messages that fit, and how many don't.
fn last_of(messages: &[Value]) -> (Vec<String>, usize) {
    let mut size = 0;
    let texts = messages.iter().rev().map(Value::to_string);
    let mut kept: Vec<String> = texts
        .take_while(|text| {
            size += text.len();
            size <= MOST
        })
        .collect();
    kept.reverse();
    let left_out = messages.len() - kept.len();
    (kept, left_out)
}

fn asked(body: &Document) -> Vec<Value> {
    let value = |name: &str| body.get::<Value>(name).ok().flatten();
    let mut asked = Vec::new();
    for name in ["system", "instructions"] {
        asked.extend(value(name).map(|content| message("system", parts(&content))));
    }
    for name in ["messages", "input", "prompt"] {
        match value(name) {
            Some(Value::Array(items)) => asked.extend(items.iter().map(given)),
            Some(content) => asked.push(message("user", parts(&content))),
            None => {}
        }
    }
    asked
}

/// A message of a request; texts to embed have no role.
fn given(item: &Value) -> Value {
    let Some(members) = item.as_object() else { return message("user", parts(item)) };
    let role = members.get("role").and_then(Value::as_str).unwrap_or("user");
    if role == "tool" {
        let response = members.get("content").map(plain_text).unwrap_or_default();
        let id = members.get("tool_call_id").and_then(Value::as_str).map(cut);
        return message(
            role,
            vec![json!({ "type": "tool_call_response", "id": id, "response": cut(&response) })],
        );
    }
    message(role, all_parts(members))
}

/// What a message of either side has in it.
fn all_parts(members: &Map<String, Value>) -> Vec<Value> {
    let mut all = Vec::new();
    for name in ["reasoning_content", "reasoning"] {
        if let Some(Value::String(thought)) = members.get(name) {
            all.push(json!({ "type": "reasoning", "content": cut(thought) }));
        }
    }
    all.extend(members.get("content").map(parts).unwrap_or_default());
    for call in members.get("tool_calls").and_then(Value::as_array).into_iter().flatten().take(MOST_PARTS) {
        let text = |path: &str| call.pointer(path).and_then(Value::as_str).unwrap_or_default();
        all.push(json!({ "type": "tool_call", "id": cut(text("/id")), "name": cut(text("/function/name")),
            "arguments": cut(text("/function/arguments")) }));
    }
    all
}

/// Together with [`MOST_TEXT`] the reason why a message has an end.
const MOST_PARTS: usize = 64;

/// Text as it is; of anything else, which may be a photograph, what it is.
fn parts(content: &Value) -> Vec<Value> {
    let text = |text: &str| json!({ "type": "text", "content": cut(text) });
    match content {
        Value::String(words) if words.is_empty() => Vec::new(),
        Value::String(words) => vec![text(words)],
        Value::Array(items) => items
            .iter()
            .take(MOST_PARTS)
            .map(|item| match (item.as_str(), item.get("text").and_then(Value::as_str)) {
                (Some(words), _) | (None, Some(words)) => text(words),
                (None, None) => json!({ "type": item.get("type").and_then(Value::as_str).map(shown) }),
            })
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

fn plain_text(content: &Value) -> String {
    let mut text = String::new();
    match content {
        Value::String(words) => text.push_str(words),
        other => collect_text(other, &mut text),
    }
    text
}

fn message(role: &str, parts: Vec<Value>) -> Value {
    json!({ "role": shown(role), "parts": parts })
}

fn one_message(role: &str, text: String) -> Vec<Value> {
    let is_empty = text.is_empty();
    let message = message(role, parts(&Value::String(text)));
    if is_empty { Vec::new() } else { vec![message] }
}

fn said(whole: &ChatCompletion) -> Vec<Value> {
    let choices = whole.choices.iter().map(|choice| {
        let members = choice.message.to_wire::<Map<String, Value>>().unwrap_or_default();
        let mut message = message("assistant", all_parts(&members));
        if let (Some(reason), Some(members)) = (&choice.finish_reason, message.as_object_mut()) {
            members.insert("finish_reason".to_owned(), shown(reason.as_str()).into());
        }
        message
    });
    choices.collect()
}

/// The texts of an answer that isn't a chat's: of `/completions`, `/responses` and Anthropic's `/messages`.
fn collect_text(value: &Value, text: &mut String) {
    let lists = ["choices", "output", "content"].into_iter().filter_map(|name| value.get(name)?.as_array());
    let items = lists.chain(value.as_array()).flatten();
    for item in items {
        if text.len() > MOST_TEXT {
            return;
        }
        if let Some(words) = item.get("text").and_then(Value::as_str) {
            text.push_str(words);
        }
        collect_text(item, text);
    }
}

fn collect_delta(event: &Value, text: &mut String) {
    if text.len() > MOST_TEXT {
        return;
    }
    let is_text_delta = event.get("type").is_some_and(|name| name == "response.output_text.delta");
    match event.get("delta") {
        Some(Value::String(words)) if is_text_delta => text.push_str(words),
        Some(delta) => text.push_str(delta.get("text").and_then(Value::as_str).unwrap_or_default()),
        None if event.get("choices").is_some() => collect_text(event, text),
        None => {}
    }
}

/// Not more of a text than is allowed, and no keys in it.
fn cut(text: &str) -> String {
    // Before it is cut: half a key is one too.
    let text = without_keys(text);
    let end = (0..=MOST_TEXT.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    let (kept, rest) = text.split_at(end.unwrap_or_default());
    if rest.is_empty() { text } else { format!("{kept}… ({} B more)", rest.len()) }
}
