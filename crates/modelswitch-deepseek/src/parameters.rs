use modelswitch_openai::{ATTACHED_PREFIX, Extra};
use modelswitch_provider::{ChatRequest, Message, Tool};
use serde_json::{Value, json};

/// Whether the model thinks before it answers. It does unless it is told not to
/// (<https://api-docs.deepseek.com/guides/thinking_mode>).
///
/// ```
/// use modelswitch_deepseek::{DeepSeekParameters, Thinking};
/// use modelswitch_provider::ChatRequest;
///
/// let request = ChatRequest::user("Say ok.").thinking(Thinking::Off);
/// assert_eq!(request.extra["thinking"]["type"], "disabled");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thinking {
    /// It thinks, and the thought counts against `max_tokens` first.
    On,
    /// It answers at once.
    Off,
}

/// How much it thinks; `High` unless it is told otherwise.
///
/// OpenAI's words are understood too, in `reasoning_effort` of a request: `minimal` is sent as low, `medium` and `xhigh` as high,
/// `none` as thinking off, each told in [`Head::adaptations`](modelswitch_provider::Head::adaptations).
///
/// ```
/// use modelswitch_deepseek::{DeepSeekParameters, Effort};
/// use modelswitch_provider::ChatRequest;
///
/// let request = ChatRequest::user("Prove it.").effort(Effort::Max);
/// assert_eq!(request.extra["reasoning_effort"], "max");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// A little.
    Low,
    /// As usual.
    High,
    /// As much as it takes; up to 128K tokens where `max_tokens` isn't set.
    Max,
}

impl Effort {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::High => "high",
            Self::Max => "max",
        }
    }
}

/// DeepSeek's own parameters, on a [`ChatRequest`] and on the [`Extra`] that goes with a call of async-openai.
///
/// ```
/// use modelswitch_deepseek::{DeepSeekParameters, Effort, Thinking};
/// use modelswitch_openai::Extra;
/// use modelswitch_provider::ChatRequest;
///
/// let request = ChatRequest::user("9.11 or 9.8?").effort(Effort::Low).user_id("team-7");
/// // client.chat().headers(extra.headers()?).create(…)
/// let extra = Extra::new().thinking(Thinking::Off);
/// # let _ = (request, extra);
/// ```
pub trait DeepSeekParameters: Sized {
    /// Sets a parameter by its name on the wire.
    #[doc(hidden)]
    fn parameter(self, name: &str, value: Value) -> Self;

    /// Switches thinking on or off.
    #[must_use]
    fn thinking(self, thinking: Thinking) -> Self {
        let kind = match thinking {
            Thinking::On => "enabled",
            Thinking::Off => "disabled",
        };
        self.parameter("thinking", json!({ "type": kind }))
    }

    /// Sets how much it thinks.
    #[must_use]
    fn effort(self, effort: Effort) -> Self {
        self.parameter("reasoning_effort", effort.as_str().into())
    }

    /// Says that the last message, of the assistant, is a beginning that the model goes on with (beta). For messages whose type has
    /// no field for it, as async-openai's; on the provider trait [`prefix`] makes such a message.
    ///
    /// ```no_run
    /// # async fn run(client: modelswitch_openai::Client, request: async_openai::types::chat::CreateChatCompletionRequest) -> Result<(), Box<dyn std::error::Error>> {
    /// use async_openai::traits::RequestOptionsBuilder;
    /// use modelswitch_deepseek::DeepSeekParameters;
    /// use modelswitch_openai::Extra;
    ///
    /// let begun = Extra::new().last_is_prefix();
    /// let reply = client.chat().headers(begun.headers()?).create(request).await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    fn last_is_prefix(self) -> Self {
        self.parameter(ATTACHED_PREFIX, true.into())
    }

    /// Keeps safety, caches and scheduling of one of your users apart from the others'. At most 512 letters, digits, `-` and `_`
    /// (<https://api-docs.deepseek.com/quick_start/rate_limit>); OpenAI's `user` is put so by itself.
    #[must_use]
    fn user_id(self, id: impl Into<String>) -> Self {
        self.parameter("user_id", id.into().into())
    }
}

impl DeepSeekParameters for ChatRequest {
    fn parameter(self, name: &str, value: Value) -> Self {
        self.set(name, value)
    }
}

impl DeepSeekParameters for Extra {
    fn parameter(self, name: &str, value: Value) -> Self {
        self.set(name, value)
    }
}

/// The beginning of an answer that the model goes on with (beta; the call goes to `/beta` by itself). It must be the last message
/// (<https://api-docs.deepseek.com/guides/chat_prefix_completion>).
///
/// ```
/// use modelswitch_deepseek::prefix;
/// use modelswitch_provider::{ChatRequest, Message};
///
/// let request = ChatRequest::user("A quicksort, please").message(prefix("```python\n")).set("stop", "```");
/// assert_eq!(request.messages[1].extra["prefix"], true);
/// ```
pub fn prefix(text: impl Into<String>) -> Message {
    let mut message = Message::assistant(text);
    message.extra.insert("prefix".to_owned(), true.into());
    message
}

/// A function whose arguments are made to follow its schema (beta). When all functions of a request are strict the call goes to
/// `/beta` by itself; otherwise the flag has no effect there. [`strict_problems`](crate::strict_problems) says beforehand which
/// schema isn't taken.
///
/// ```
/// use modelswitch_deepseek::strict_function;
/// use serde_json::json;
///
/// let weather = strict_function("weather", "The weather at a place", json!({
///     "type": "object", "properties": { "place": { "type": "string" } }, "required": ["place"],
///     "additionalProperties": false
/// }));
/// assert_eq!(weather.extra["function"]["strict"], true);
/// ```
pub fn strict_function(name: impl Into<String>, description: impl Into<String>, parameters: Value) -> Tool {
    let mut tool = Tool::function(name, description, parameters);
    if let Some(function) = tool.extra.get_mut("function").and_then(Value::as_object_mut) {
        function.insert("strict".to_owned(), true.into());
    }
    tool
}
