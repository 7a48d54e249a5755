//! `POST /responses` in both personalities: items instead of choices, named events, no `[DONE]`.

use http::StatusCode;
use serde_json::{Value, json};

use crate::answer::{Answer, Ending, Piece};
use crate::ask::Ask;
use crate::mode::Mode;
use crate::state::{Ids, Shared, now};
use crate::turn::Turn;

/// What differs between the personalities.
pub(crate) struct Form {
    pub(crate) deepseek: bool,
    pub(crate) thinking: bool,
    pub(crate) model: &'static str,
}

/// Answers a request that is good, with what it asks for.
pub(crate) fn answer(
    shared: &Shared,
    ask: &Ask,
    body: &Value,
    ids: &mut Ids,
    form: &Form,
    failure: impl FnOnce(u16) -> Answer,
) -> Answer {
    let turn = Turn::compose(ask, form.model, form.thinking);
    let items = items(&turn, ids, form);
    let head = Head { id: id(ids, "resp_", form), created: now(), body, form };
    let usage = usage(shared, ask, &turn, form);
    let status = match turn.finish {
        "length" => "incomplete",
        "insufficient_system_resource" | "aborted" => "failed",
        _ => "completed",
    };
    let done = head.response(status, items.iter().map(Item::done).collect(), usage);
    let answer = if ask.stream {
        let keep_alives = std::iter::repeat_with(Piece::keep_alive).take(shared.settings.keep_alives);
        let events = events(&head, &items, done, ask.mode);
        Answer::events(keep_alives.chain(events).collect(), shared.settings.chunk_delay)
    } else if ask.mode == Some(Mode::ErrorInStream) {
        failure(503)
    } else {
        Answer::json(StatusCode::OK, &done)
    };
    match ask.mode {
        Some(Mode::Cut) => answer.stopped_inside(Ending::Cut),
        Some(Mode::Stall) => answer.stopped_inside(Ending::Stall),
        Some(Mode::Blank) => {
            let nothing = if ask.stream { Piece::keep_alive() } else { Piece::Other("\n\n\n".into()) };
            Answer { pieces: vec![nothing], ..answer }
        }
        _ => answer,
    }
}

fn usage(shared: &Shared, ask: &Ask, turn: &Turn, form: &Form) -> Value {
    let (input, output) = (ask.prompt.tokens, turn.completion_tokens());
    let mut details = json!({"cached_tokens": shared.cached_tokens(&ask.prompt, turn)});
    if let (false, Some(details)) = (form.deepseek, details.as_object_mut()) {
        details.insert("cache_write_tokens".to_owned(), json!(0));
    }
    json!({
        "input_tokens": input, "input_tokens_details": details, "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": turn.reasoning_tokens()}, "total_tokens": input + output,
    })
}

struct Head<'a> {
    id: String,
    created: u64,
    body: &'a Value,
    form: &'a Form,
}

impl Head<'_> {
    fn response(&self, status: &str, output: Value, usage: Value) -> Value {
        let asked = |name: &str, default: Value| match self.body.get(name) {
            Some(value) if !value.is_null() => value.clone(),
            _ => default,
        };
        let cut = if status == "incomplete" { json!({"reason": "max_output_tokens"}) } else { Value::Null };
        let error = json!({"code": "server_error", "message": "[simulated] The answer was broken off"});
        let mut response = json!({
            "id": self.id, "object": "response", "created_at": self.created, "status": status,
            "background": false, "error": if status == "failed" { error } else { Value::Null },
            "incomplete_details": cut,
            "completed_at": if status == "completed" { json!(now()) } else { Value::Null },
            "instructions": asked("instructions", Value::Null),
            "max_output_tokens": asked("max_output_tokens", Value::Null),
            "model": self.form.model, "output": output, "parallel_tool_calls": true,
            "previous_response_id": null, "reasoning": {"effort": null, "summary": null},
            "service_tier": "default", "store": false, "temperature": 1.0,
            "text": {"format": self.body.pointer("/text/format").cloned().unwrap_or(json!({"type": "text"}))},
            "tool_choice": asked("tool_choice", json!("auto")), "tools": asked("tools", json!([])),
            "top_logprobs": 0, "top_p": 1.0, "truncation": "disabled", "usage": usage,
            "metadata": if self.form.deepseek { json!({}) } else { asked("metadata", json!({})) },
        });
        if let (true, Some(fields)) = (self.form.deepseek, response.as_object_mut()) {
            fields.extend(self.deepseeks());
        }
        response
    }

    /// What DeepSeek writes beside, or instead: it echoes little of what it ignores.
    fn deepseeks(&self) -> impl Iterator<Item = (String, Value)> {
        let nothing = [
            "content_filters",
            "max_tool_calls",
            "moderation",
            "prompt_cache_key",
            "prompt_cache_retention",
            "safety_identifier",
        ];
        let format = self.body.pointer("/text/format").cloned().unwrap_or(json!({"type": "text"}));
        let something = [
            ("frequency_penalty", json!(0.0)),
            ("presence_penalty", json!(0.0)),
            ("text", json!({"format": format, "verbosity": null})),
            ("user", self.body.get("user").cloned().unwrap_or_default()),
            ("reasoning", json!({"effort": self.body.pointer("/reasoning/effort"), "summary": null})),
        ];
        let nothing = nothing.into_iter().map(|name| (name, Value::Null));
        nothing.chain(something).map(|(name, value)| (name.to_owned(), value))
    }
}

/// One output item with its tokens.
struct Item {
    id: String,
    kind: Kind,
    tokens: Vec<String>,
    phase: bool,
}

enum Kind {
    Reasoning,
    Message,
    Call { name: String, call_id: String },
    Custom { name: String, call_id: String },
}

impl Item {
    fn text(&self) -> String {
        self.tokens.concat()
    }

    fn part(&self, text: &str) -> Value {
        match self.kind {
            Kind::Reasoning => json!({"type": "reasoning_text", "text": text}),
            Kind::Message | Kind::Call { .. } | Kind::Custom { .. } => {
                json!({"type": "output_text", "annotations": [], "logprobs": [], "text": text})
            }
        }
    }

    fn whole(&self, status: &str, content: Value, arguments: &str) -> Value {
        match &self.kind {
            Kind::Reasoning => {
                json!({"type": "reasoning", "id": self.id, "status": status, "content": content, "summary": []})
            }
            Kind::Message => {
                let mut item = json!({
                    "type": "message", "id": self.id, "status": status, "content": content, "role": "assistant",
                });
                if let (true, Some(item)) = (self.phase, item.as_object_mut()) {
                    item.insert("phase".to_owned(), json!("final_answer"));
                }
                item
            }
            Kind::Call { name, call_id } => json!({
                "type": "function_call", "id": self.id, "call_id": call_id, "name": name, "status": status,
                "arguments": arguments,
            }),
            Kind::Custom { name, call_id } => json!({
                "type": "custom_tool_call", "id": self.id, "call_id": call_id, "name": name, "status": status,
                "input": arguments,
            }),
        }
    }

    fn begun(&self) -> Value {
        self.whole("in_progress", json!([]), "")
    }

    fn done(&self) -> Value {
        self.whole("completed", json!([self.part(&self.text())]), &self.text())
    }
}

fn id(ids: &mut Ids, prefix: &str, form: &Form) -> String {
    if form.deepseek { ids.uuid() } else { format!("{prefix}{}", ids.hex()) }
}

fn items(turn: &Turn, ids: &mut Ids, form: &Form) -> Vec<Item> {
    let mut items = Vec::new();
    if let Some(tokens) = turn.reasoning.clone() {
        items.push(Item { id: id(ids, "rs_", form), kind: Kind::Reasoning, tokens, phase: false });
    }
    if turn.calls.is_empty() {
        let (id, tokens) = (id(ids, "msg_", form), turn.content.clone());
        items.push(Item { id, kind: Kind::Message, tokens, phase: form.deepseek });
    }
    for (index, call) in turn.calls.iter().enumerate() {
        let letters = ids.letters(24);
        let call_id =
            if form.deepseek { format!("call_{index:02}_{letters}") } else { format!("call_{letters}") };
        let name = call.name.clone();
        let kind = if call.custom { Kind::Custom { name, call_id } } else { Kind::Call { name, call_id } };
        items.push(Item { id: id(ids, "fc_", form), kind, tokens: call.arguments.clone(), phase: false });
    }
    items
}

/// Writes events with growing sequence numbers.
#[derive(Default)]
struct Writer {
    pieces: Vec<Piece>,
}

impl Writer {
    fn push(&mut self, name: &str, mut value: Value) {
        if let Some(fields) = value.as_object_mut() {
            fields.insert("type".to_owned(), json!(name));
            fields.insert("sequence_number".to_owned(), json!(self.pieces.len()));
        }
        self.pieces.push(Piece::named(name, &value));
    }
}

fn events(head: &Head<'_>, items: &[Item], done: Value, mode: Option<Mode>) -> Vec<Piece> {
    let mut out = Writer::default();
    let begun = head.response("in_progress", json!([]), Value::Null);
    out.push("response.created", json!({"response": begun}));
    out.push("response.in_progress", json!({"response": begun}));
    if mode == Some(Mode::ErrorInStream) {
        let error =
            json!({"code": "server_error", "message": "[simulated] The server had an error", "param": null});
        out.push("error", error);
        return out.pieces;
    }
    for (index, item) in items.iter().enumerate() {
        item_events(&mut out, index, item);
    }
    let last = done.get("status").and_then(Value::as_str).unwrap_or("completed").to_owned();
    out.push(&format!("response.{last}"), json!({"response": done}));
    out.pieces
}

fn item_events(out: &mut Writer, index: usize, item: &Item) {
    let text = item.text();
    out.push("response.output_item.added", json!({"output_index": index, "item": item.begun()}));
    let (name, parted) = match item.kind {
        Kind::Reasoning => ("response.reasoning_text", true),
        Kind::Message => ("response.output_text", true),
        Kind::Call { .. } => ("response.function_call_arguments", false),
        Kind::Custom { .. } => ("response.custom_tool_call_input", false),
    };
    let at = |mut value: Value| {
        if let Some(fields) = value.as_object_mut() {
            fields.insert("item_id".to_owned(), json!(item.id));
            fields.insert("output_index".to_owned(), json!(index));
            if parted {
                fields.insert("content_index".to_owned(), json!(0));
            }
            if matches!(item.kind, Kind::Message) && !fields.contains_key("part") {
                fields.insert("logprobs".to_owned(), json!([]));
            }
        }
        value
    };
    if parted {
        out.push("response.content_part.added", at(json!({"part": item.part("")})));
    }
    for token in &item.tokens {
        out.push(&format!("{name}.delta"), at(json!({"delta": token})));
    }
    let whole = match &item.kind {
        Kind::Call { name, .. } => json!({"arguments": text, "name": name}),
        Kind::Custom { .. } => json!({"input": text}),
        Kind::Reasoning | Kind::Message => json!({"text": text}),
    };
    out.push(&format!("{name}.done"), at(whole));
    if parted {
        out.push("response.content_part.done", at(json!({"part": item.part(&text)})));
    }
    out.push("response.output_item.done", json!({"output_index": index, "item": item.done()}));
}
