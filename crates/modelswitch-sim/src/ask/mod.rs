//! What a request asks for, read once from its JSON, whatever the API's form.

mod chat;
mod completion;
mod messages;
mod prompt;
mod responses;

use serde_json::Value;

use crate::mode::Mode;
use crate::schema;

pub(crate) use prompt::Prompt;
pub(crate) use responses::items;

/// The parts of a request that change the answer.
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
    /// The schema that the prompt shows, if JSON of no certain schema is asked for.
    pub(crate) prompted_schema: Option<Value>,
    pub(crate) stop: Vec<String>,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    pub(crate) logprobs: bool,
    pub(crate) top_logprobs: u64,
    pub(crate) mode: Option<Mode>,
    pub(crate) prompt: Prompt,
}

pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) parameters: Value,
    /// Takes text of its own grammar in place of arguments in JSON.
    pub(crate) custom: bool,
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
    pub(crate) fn of(value: Option<&Value>) -> Self {
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
    /// What chat, completions and responses write alike.
    fn common(body: &Value) -> Self {
        let flag = |name: &str| body.get(name).and_then(Value::as_bool).unwrap_or(false);
        let tools = body.get("tools").and_then(Value::as_array).into_iter().flatten();
        Self {
            model: body.get("model").and_then(Value::as_str).unwrap_or_default().to_owned(),
            tools: tools.filter_map(tool).collect(),
            stop: words(body.get("stop")),
            max_tokens: body.get("max_tokens").and_then(Value::as_u64),
            stream: flag("stream"),
            include_usage: body.pointer("/stream_options/include_usage") == Some(&Value::Bool(true)),
            logprobs: flag("logprobs"),
            top_logprobs: body.get("top_logprobs").and_then(Value::as_u64).unwrap_or(0).min(20),
            ..Self::default()
        }
    }

    /// The prompt of a user on a model, with the tools in front unless none may be called.
    fn begin_prompt(&self, user: Option<&Value>, tools: Option<&Value>) -> Prompt {
        let user = user.and_then(Value::as_str).unwrap_or_default();
        let mut prompt = Prompt::new(&format!("{user}\n{}", self.model));
        if self.choice != Choice::None && !self.tools.is_empty() {
            prompt.text(&tools.map(Value::to_string).unwrap_or_default());
        }
        prompt
    }

    fn set_user(&mut self, text: Option<String>) {
        self.last_user = text.unwrap_or_default();
        self.mode = Mode::of(&self.model).or_else(|| Mode::of(&self.last_user));
    }

    /// Looks for a schema in the texts of a prompt, the latest first, if JSON is wanted.
    fn find_schema<'a>(&mut self, texts: impl Iterator<Item = &'a Value>) {
        if matches!(self.format, Format::JsonObject) {
            self.prompted_schema = texts.map(text_of).find_map(|text| schema::in_text(&text));
        }
    }
}

fn words(value: Option<&Value>) -> Vec<String> {
    let words: Vec<&str> = match value {
        Some(Value::String(word)) => vec![word],
        Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    words.into_iter().filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn tool(value: &Value) -> Option<Tool> {
    let function = value.get("function").unwrap_or(value);
    let name = function.get("name")?.as_str()?.to_owned();
    let custom = value.get("type").and_then(Value::as_str) == Some("custom");
    Some(Tool { name, parameters: function.get("parameters").cloned().unwrap_or_default(), custom })
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
