//! What a request asks for, read once from its JSON, whatever the API's form.

use serde_json::Value;

use crate::mode::Mode;
use crate::state::Prefixes;
use crate::text::prompt_tokens;

/// The parts of a chat, completion or responses request that change the answer.
#[derive(Default)]
pub(crate) struct Ask {
    pub(crate) model: String,
    pub(crate) last_user: String,
    /// The results behind the last assistant message, if the conversation ends with them.
    pub(crate) tool_results: Vec<String>,
    /// The beginning of the answer, if the conversation ends with one to be continued.
    pub(crate) prefix: Option<String>,
    pub(crate) tools: Vec<Tool>,
    pub(crate) choice: Choice,
    pub(crate) format: Format,
    pub(crate) stop: Vec<String>,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    pub(crate) logprobs: bool,
    pub(crate) top_logprobs: u64,
    pub(crate) mode: Option<Mode>,
    pub(crate) prompt_tokens: u64,
    pub(crate) prefixes: Vec<(u64, u64)>,
}

pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) parameters: Value,
}

#[derive(Default, PartialEq, Eq)]
pub(crate) enum Choice {
    #[default]
    Auto,
    None,
    Required,
    Named(String),
}

impl Choice {
    fn of(value: Option<&Value>) -> Self {
        match value {
            Some(Value::String(word)) if word == "none" => Self::None,
            Some(Value::String(word)) if word == "required" => Self::Required,
            Some(object @ Value::Object(_)) => {
                let name = object.pointer("/function/name").or_else(|| object.get("name"));
                name.and_then(Value::as_str).map_or(Self::Required, |name| Self::Named(name.to_owned()))
            }
            _ => Self::Auto,
        }
    }

    pub(crate) fn is_forced(&self) -> bool {
        matches!(self, Self::Required | Self::Named(_))
    }
}

#[derive(Default)]
pub(crate) enum Format {
    #[default]
    Text,
    JsonObject,
    JsonSchema(Value),
}

impl Format {
    fn of(value: Option<&Value>) -> Self {
        match value.and_then(|format| format.get("type")).and_then(Value::as_str) {
            Some("json_object") => Self::JsonObject,
            Some("json_schema") => {
                let schema = value.and_then(|v| v.pointer("/json_schema/schema").or_else(|| v.get("schema")));
                Self::JsonSchema(schema.cloned().unwrap_or_default())
            }
            _ => Self::Text,
        }
    }
}

impl Ask {
    /// Reads a chat completions request.
    pub(crate) fn chat(body: &Value) -> Self {
        let empty = Vec::new();
        let messages = body.get("messages").and_then(Value::as_array).unwrap_or(&empty);
        let mut ask = Self::common(body);
        ask.choice = Choice::of(body.get("tool_choice"));
        ask.format = Format::of(body.get("response_format"));
        ask.read_prompt(body, messages);
        for message in messages.iter().rev() {
            match role(message) {
                "tool" => ask.tool_results.push(text_of(message)),
                _ => break,
            }
        }
        ask.tool_results.reverse();
        let open = messages.last().filter(|last| last.get("prefix") == Some(&Value::Bool(true)));
        ask.prefix = open.map(text_of);
        ask.set_user(messages.iter().rev().find(|message| role(message) == "user").map(text_of));
        ask
    }

    /// Reads a responses request.
    pub(crate) fn responses(body: &Value) -> Self {
        let input = match body.get("input") {
            Some(Value::Array(items)) => items.clone(),
            Some(Value::String(text)) => vec![serde_json::json!({"role": "user", "content": text})],
            _ => Vec::new(),
        };
        let mut ask = Self::common(body);
        ask.choice = Choice::of(body.get("tool_choice"));
        ask.format = Format::of(body.pointer("/text/format"));
        ask.max_tokens = body.get("max_output_tokens").and_then(Value::as_u64);
        ask.read_prompt(body, &input);
        for item in input.iter().rev() {
            match item.get("type").and_then(Value::as_str) {
                Some("function_call_output") => {
                    let output = item.get("output");
                    let text = output.and_then(Value::as_str).map(str::to_owned);
                    ask.tool_results.push(text.or_else(|| output.map(Value::to_string)).unwrap_or_default());
                }
                _ => break,
            }
        }
        ask.tool_results.reverse();
        ask.set_user(input.iter().rev().find(|item| role(item) == "user").map(text_of));
        ask
    }

    /// Reads a text completion request; its prompt counts as the user's message.
    pub(crate) fn completion(body: &Value) -> Self {
        let prompt = match body.get("prompt") {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(list)) => list.first().and_then(Value::as_str).unwrap_or_default().to_owned(),
            _ => String::new(),
        };
        let mut ask = Self::common(body);
        let suffix = body.get("suffix").and_then(Value::as_str).unwrap_or_default();
        ask.prompt_tokens = prompt_tokens(&prompt) + prompt_tokens(suffix);
        let mut prefixes = Prefixes::new(&ask.model);
        prefixes.push(&prompt, ask.prompt_tokens);
        ask.prefixes = prefixes.list;
        ask.set_user(Some(prompt));
        ask
    }

    fn common(body: &Value) -> Self {
        let flag = |name: &str| body.get(name).and_then(Value::as_bool).unwrap_or(false);
        let stop = match body.get("stop") {
            Some(Value::String(word)) => vec![word.clone()],
            Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        let tools = body.get("tools").and_then(Value::as_array).into_iter().flatten();
        Self {
            model: body.get("model").and_then(Value::as_str).unwrap_or_default().to_owned(),
            tools: tools.filter_map(tool).collect(),
            stop: stop.into_iter().filter(|word| !word.is_empty()).collect(),
            max_tokens: body.get("max_tokens").and_then(Value::as_u64),
            stream: flag("stream"),
            include_usage: body.pointer("/stream_options/include_usage") == Some(&Value::Bool(true)),
            logprobs: flag("logprobs"),
            top_logprobs: body.get("top_logprobs").and_then(Value::as_u64).unwrap_or(0).min(20),
            ..Self::default()
        }
    }

    /// Counts the prompt; each message makes a prefix that a cache may know.
    fn read_prompt(&mut self, body: &Value, messages: &[Value]) {
        let scope = body.get("user_id").and_then(Value::as_str).unwrap_or_default();
        let mut prefixes = Prefixes::new(&format!("{scope}\n{}", self.model));
        let mut count = |text: &str, tokens: u64| {
            self.prompt_tokens += tokens;
            prefixes.push(text, tokens);
        };
        if self.choice != Choice::None && !self.tools.is_empty() {
            let tools = body.get("tools").map(Value::to_string).unwrap_or_default();
            count(&tools, prompt_tokens(&tools));
        }
        if let Some(instructions) = body.get("instructions").and_then(Value::as_str) {
            count(instructions, prompt_tokens(instructions));
        }
        for message in messages {
            count(&message.to_string(), prompt_tokens(&text_of(message)) + 4);
        }
        self.prefixes = prefixes.list;
    }

    fn set_user(&mut self, text: Option<String>) {
        self.last_user = text.unwrap_or_default();
        self.mode = Mode::of(&self.model).or_else(|| Mode::of(&self.last_user));
    }
}

fn tool(value: &Value) -> Option<Tool> {
    let function = value.get("function").unwrap_or(value);
    let name = function.get("name")?.as_str()?.to_owned();
    Some(Tool { name, parameters: function.get("parameters").cloned().unwrap_or_default() })
}

pub(crate) fn role(message: &Value) -> &str {
    message.get("role").and_then(Value::as_str).unwrap_or_default()
}

/// The text of a message, parts of other kinds left out.
pub(crate) fn text_of(message: &Value) -> String {
    match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts: Vec<&str> =
                parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}
