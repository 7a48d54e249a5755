use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::outline::{Outline, Size};
use crate::wire::{lossless, open_enum, wire};

/// One message of a conversation, in a request or in an answer.
///
/// `null` and a missing member mean the same on the wire and become `None`; what has no field here is in `extra`.
///
/// ```
/// use modelswitch_provider::Message;
///
/// let history = [Message::system("Be brief."), Message::user("9.11 or 9.8?")];
/// assert_eq!(history[1].text(), "9.11 or 9.8?");
/// ```
#[derive(Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// What the model thought before it spoke. DeepSeek wants it back with the history when tools are in play.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// The tools that the model calls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// The call that this message, of the role tool, answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Structure, names and sizes: what is said is a user's or paid for.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Outline::new(f, "Message")
            .field("role", &self.role)
            .some("content", self.content.as_ref())
            .text("reasoning_content", self.reasoning_content.as_ref())
            .list("tool_calls", &self.tool_calls)
            .some("tool_call_id", self.tool_call_id.as_ref())
            .extra(&self.extra)
            .finish()
    }
}

impl Message {
    /// A message of any role.
    pub fn new(role: Role, text: impl Into<String>) -> Self {
        Self {
            role,
            content: Some(Content::Text(text.into())),
            reasoning_content: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
            extra: Map::new(),
        }
    }

    /// Instructions.
    pub fn system(text: impl Into<String>) -> Self {
        Self::new(Role::System, text)
    }

    /// What the user says.
    pub fn user(text: impl Into<String>) -> Self {
        Self::new(Role::User, text)
    }

    /// What the model said.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::new(Role::Assistant, text)
    }

    /// What a tool answered to a call.
    pub fn tool(call_id: impl Into<String>, result: impl Into<String>) -> Self {
        Self { tool_call_id: Some(call_id.into()), ..Self::new(Role::Tool, result) }
    }

    /// The text of the message; of a list of parts, the text parts together.
    pub fn text(&self) -> String {
        self.content.as_ref().map(Content::text).unwrap_or_default()
    }
}

/// A message of an answer that doesn't say who speaks is the model's.
impl Default for Role {
    fn default() -> Self {
        Self::Assistant
    }
}

open_enum! {
    /// Who speaks.
    Role {
        /// Instructions.
        System = "system",
        /// Instructions, as OpenAI's newer models call them.
        Developer = "developer",
        /// The user.
        User = "user",
        /// The model.
        Assistant = "assistant",
        /// A tool's result.
        Tool = "tool",
    }
}

/// What a message says: text, or a list of parts (text, images, files).
#[derive(Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Content {
    /// Plain text.
    Text(String),
    /// Parts, as they stand on the wire: `{"type":"text","text":…}`, `{"type":"image_url",…}`.
    Parts(Vec<Value>),
}

/// How much there is: what is said is a user's or paid for.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.debug_tuple("Text").field(&Size(text.len())).finish(),
            Self::Parts(parts) => f.debug_tuple("Parts").field(&parts.len()).finish(),
        }
    }
}

impl Content {
    /// The text; of parts, the text parts together.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Parts(parts) => {
                parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect()
            }
        }
    }
}

/// By hand, since serde reads an untagged value twice.
impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrParts;
        impl<'de> Visitor<'de> for TextOrParts {
            type Value = Content;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of parts")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_owned()))
            }
            fn visit_string<E: de::Error>(self, text: String) -> Result<Content, E> {
                Ok(Content::Text(text))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, parts: A) -> Result<Content, A::Error> {
                Deserialize::deserialize(SeqAccessDeserializer::new(parts)).map(Content::Parts)
            }
        }
        deserializer.deserialize_any(TextOrParts)
    }
}

impl<T: Into<String>> From<T> for Content {
    fn from(text: T) -> Self {
        Self::Text(text.into())
    }
}

/// One call of a tool by the model.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolCall {
    /// The id that the tool's answer names.
    #[serde(default)]
    pub id: String,
    /// `function`, as a rule.
    #[serde(default = "function", rename = "type")]
    pub kind: String,
    /// What is called, and with what.
    #[serde(default)]
    pub function: FunctionCall,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl fmt::Debug for ToolCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Outline::new(f, "ToolCall")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("function", &self.function)
            .extra(&self.extra)
            .finish()
    }
}

impl ToolCall {
    /// A call of a function.
    pub fn new(id: impl Into<String>, name: impl Into<String>, arguments: impl Into<String>) -> Self {
        let function = FunctionCall { name: name.into(), arguments: arguments.into(), extra: Map::new() };
        Self { id: id.into(), kind: self::function(), function, extra: Map::new() }
    }
}

/// A function's name and arguments.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FunctionCall {
    /// The function.
    #[serde(default)]
    pub name: String,
    /// JSON text as the model wrote it. Models do write invalid JSON, so it is not parsed here.
    #[serde(default, deserialize_with = "text_of_any")]
    pub arguments: String,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl fmt::Debug for FunctionCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Outline::new(f, "FunctionCall")
            .field("name", &self.name)
            .text("arguments", Some(&self.arguments))
            .extra(&self.extra)
            .finish()
    }
}

/// A tool that the model may call.
///
/// ```
/// use modelswitch_provider::Tool;
/// use serde_json::json;
///
/// let weather = Tool::function("weather", "The weather at a place", json!({
///     "type": "object", "properties": { "place": { "type": "string" } }, "required": ["place"]
/// }));
/// assert_eq!(weather.kind, "function");
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Tool {
    /// `function`, as a rule.
    #[serde(rename = "type")]
    pub kind: String,
    /// Name, description and parameters, and whatever else the tool is made of.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Names only: descriptions and parameters are a user's.
impl fmt::Debug for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Outline::new(f, "Tool")
            .field("kind", &self.kind)
            .some("name", self.name().as_ref())
            .extra(&self.extra)
            .finish()
    }
}

impl Tool {
    /// A function, its parameters as a JSON schema of the type object.
    pub fn function(name: impl Into<String>, description: impl Into<String>, parameters: Value) -> Self {
        let function = serde_json::json!({
            "name": name.into(), "description": description.into(), "parameters": parameters
        });
        Self { kind: self::function(), extra: Map::from_iter([("function".to_owned(), function)]) }
    }

    fn name(&self) -> Option<&str> {
        self.extra.get("function")?.get("name")?.as_str()
    }
}

wire!(Message, ToolCall, Tool);

lossless!(Message {
    "role" => role: Always,
    "content" => content: Always,
    "reasoning_content" => reasoning_content: Always,
    "tool_calls" => tool_calls: OrNull,
    "tool_call_id" => tool_call_id: Always,
});

fn function() -> String {
    "function".to_owned()
}

pub(crate) fn null_is_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Some services send arguments as an object; the text of it is what OpenAI would have sent.
fn text_of_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    })
}
