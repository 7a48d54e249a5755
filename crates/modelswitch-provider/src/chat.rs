use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::message::null_is_default;
use crate::outline::Outline;
use crate::wire::wire;
use crate::{Document, Message, Request, Result, Tool};

/// A request for a chat completion, to be built step by step. A field is typed when something here acts on it;
/// everything else goes through [`set`](Self::set) and is kept in `extra`.
///
/// ```
/// use modelswitch_provider::{ChatRequest, Message};
///
/// let request = ChatRequest::user("9.11 or 9.8?")
///     .model("deepseek/deepseek-flash")
///     .temperature(0.2)
///     .max_tokens(500)
///     .set("thinking", serde_json::json!({ "type": "disabled" }));
/// assert_eq!(request.messages, [Message::user("9.11 or 9.8?")]);
/// ```
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChatRequest {
    /// `provider/model`, an alias, or a name that one provider owns. Without it the provider's default model answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The conversation.
    #[serde(default)]
    pub messages: Vec<Message>,
    /// 0 to 2 with most services; DeepSeek ignores it while thinking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// The most tokens that the answer may have, reasoning included. It goes out under the name that the service
    /// knows (`max_completion_tokens` at OpenAI).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// The tools that the model may call.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub tools: Vec<Tool>,
    /// Whether the answer comes as a stream; [`ProviderExt`](crate::ProviderExt)'s methods set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Structure, names and sizes: the conversation is a user's.
impl fmt::Debug for ChatRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Outline::new(f, "ChatRequest")
            .some("model", self.model.as_ref())
            .list("messages", &self.messages)
            .some("temperature", self.temperature.as_ref())
            .some("max_tokens", self.max_tokens.as_ref())
            .list("tools", &self.tools)
            .some("stream", self.stream.as_ref())
            .extra(&self.extra)
            .finish()
    }
}

impl ChatRequest {
    /// A request with a conversation.
    pub fn new(messages: impl Into<Vec<Message>>) -> Self {
        Self { messages: messages.into(), ..Self::default() }
    }

    /// A request with one message of the user.
    pub fn user(text: impl Into<String>) -> Self {
        Self::new([Message::user(text)])
    }

    /// Chooses the model.
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Puts instructions before the conversation.
    pub fn system(mut self, text: impl Into<String>) -> Self {
        self.messages.insert(0, Message::system(text));
        self
    }

    /// Adds a message.
    pub fn message(mut self, message: Message) -> Self {
        self.messages.push(message);
        self
    }

    /// Sets the temperature.
    pub fn temperature(mut self, temperature: f64) -> Self {
        self.temperature = Some(temperature);
        self
    }

    /// Sets the most tokens that the answer may have, reasoning included.
    pub fn max_tokens(mut self, tokens: u64) -> Self {
        self.max_tokens = Some(tokens);
        self
    }

    /// Adds a tool.
    pub fn tool(mut self, tool: Tool) -> Self {
        self.tools.push(tool);
        self
    }

    /// Sets any other field of the request: `thinking`, `response_format`, one that is new.
    /// A field that this struct has is set there, when the value fits.
    pub fn set(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        let (name, value) = (name.into(), value.into());
        match (name.as_str(), &value) {
            ("model", Value::String(model)) => self.model = Some(model.clone()),
            ("temperature", Value::Number(number)) => self.temperature = number.as_f64(),
            ("max_tokens", Value::Number(number)) => self.max_tokens = number.as_u64(),
            ("stream", Value::Bool(stream)) => self.stream = Some(*stream),
            _ => {
                self.extra.insert(name, value);
            }
        }
        self
    }

    /// The request for a provider.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) when a field was set twice, typed and with
    /// [`set`](Self::set), to something that doesn't fit.
    pub fn into_request(self) -> Result<Request> {
        Ok(Request::new(crate::Endpoint::CHAT_COMPLETIONS, Document::from_serialize(&self)?))
    }
}

wire!(ChatRequest);

impl From<&str> for ChatRequest {
    fn from(text: &str) -> Self {
        Self::user(text)
    }
}

impl From<String> for ChatRequest {
    fn from(text: String) -> Self {
        Self::user(text)
    }
}

impl From<Vec<Message>> for ChatRequest {
    fn from(messages: Vec<Message>) -> Self {
        Self::new(messages)
    }
}
