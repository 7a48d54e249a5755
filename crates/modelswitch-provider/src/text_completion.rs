use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::message::null_is_default;
use crate::outline::Outline;
use crate::wire::wire;
use crate::{Document, Endpoint, FinishReason, Request, Result, Usage};

/// A request to the older completions endpoint, which goes on with a text; DeepSeek fills in the middle with it.
///
/// ```
/// use modelswitch_provider::CompletionRequest;
///
/// let request = CompletionRequest::new("fn add(").set("suffix", "}").set("max_tokens", 64);
/// assert_eq!(request.prompt, "fn add(");
/// ```
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CompletionRequest {
    /// As in [`ChatRequest`](crate::ChatRequest).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The text to go on with.
    pub prompt: String,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Names and sizes: the prompt is a user's.
impl fmt::Debug for CompletionRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Outline::new(f, "CompletionRequest")
            .some("model", self.model.as_ref())
            .text("prompt", Some(&self.prompt))
            .extra(&self.extra)
            .finish()
    }
}

impl CompletionRequest {
    /// A request to go on with a text.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: prompt.into(), ..Self::default() }
    }

    /// Chooses the model.
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Sets any other field: `suffix`, `max_tokens`, `stop`.
    pub fn set(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extra.insert(name.into(), value.into());
        self
    }

    /// The request for a provider.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) when a field stands twice.
    pub fn into_request(self) -> Result<Request> {
        Ok(Request::new(Endpoint::COMPLETIONS, Document::from_serialize(&self)?))
    }
}

/// The answer of the older completions endpoint.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Completion {
    /// The answers.
    #[serde(default, deserialize_with = "null_is_default")]
    pub choices: Vec<CompletionChoice>,
    /// The tokens that were used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Structure, names and sizes: the text is what somebody paid for.
impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Outline::new(f, "Completion")
            .field("choices", &self.choices)
            .some("usage", self.usage.as_ref())
            .extra(&self.extra)
            .finish()
    }
}

impl Completion {
    /// The text of the first choice; empty when it has none.
    pub fn text(&self) -> &str {
        self.choices.first().map(|choice| choice.text.as_str()).unwrap_or_default()
    }
}

/// One of the answers.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CompletionChoice {
    /// Its number.
    #[serde(default, deserialize_with = "null_is_default")]
    pub index: u32,
    /// The text that goes on.
    #[serde(default, deserialize_with = "null_is_default")]
    pub text: String,
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<FinishReason>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl fmt::Debug for CompletionChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Outline::new(f, "CompletionChoice")
            .field("index", &self.index)
            .text("text", Some(&self.text))
            .some("finish_reason", self.finish_reason.as_ref())
            .extra(&self.extra)
            .finish()
    }
}

wire!(CompletionRequest, Completion);
