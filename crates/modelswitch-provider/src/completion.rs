use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::outline::Outline;
use crate::wire::{lossless, open_enum, wire};
use crate::{ChatChunk, Head, Message, ToolCall};

/// An answer to a chat request.
///
/// ```
/// use modelswitch_provider::ChatCompletion;
/// use serde_json::json;
///
/// let reply = ChatCompletion::from_wire(&json!({
///     "id": "1", "object": "chat.completion", "created": 0, "model": "deepseek-flash",
///     "choices": [{ "index": 0, "finish_reason": "stop", "message": {
///         "role": "assistant", "content": "9.8", "reasoning_content": "0.80 is more than 0.11" } }],
///     "usage": { "prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16 },
///     "system_fingerprint": "fp_1"
/// }))?;
/// assert_eq!(reply.text(), "9.8");
/// assert_eq!(reply.reasoning(), Some("0.80 is more than 0.11"));
/// assert_eq!(reply.extra["system_fingerprint"], "fp_1");
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ChatCompletion {
    /// The service's id of the answer.
    pub id: String,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// The model that served: often not the name that was asked for.
    pub model: String,
    /// The answers; one, unless `n` asked for more.
    pub choices: Vec<Choice>,
    /// The tokens that were used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
    /// Who answered, at which try, with which headers and adaptations. Not a part of the wire.
    #[serde(skip)]
    pub head: Head,
}

/// Structure, names and sizes: the text is what somebody paid for.
impl fmt::Debug for ChatCompletion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Outline::new(f, "ChatCompletion")
            .field("id", &self.id)
            .field("created", &self.created)
            .field("model", &self.model)
            .field("choices", &self.choices)
            .some("usage", self.usage.as_ref())
            .extra(&self.extra)
            .field("head", &self.head)
            .finish()
    }
}

impl ChatCompletion {
    /// The text of the first choice; empty when it has none.
    pub fn text(&self) -> String {
        self.choices.first().map(|choice| choice.message.text()).unwrap_or_default()
    }

    /// What the model thought before the first choice's answer.
    pub fn reasoning(&self) -> Option<&str> {
        self.choices.first()?.message.reasoning_content.as_deref()
    }

    /// The tools that the first choice calls.
    pub fn tool_calls(&self) -> &[ToolCall] {
        self.choices.first().map(|choice| choice.message.tool_calls.as_slice()).unwrap_or_default()
    }

    /// Why the first choice ended.
    pub fn finish_reason(&self) -> Option<&FinishReason> {
        self.choices.first()?.finish_reason.as_ref()
    }

    /// The first choice's message, to be put into the next request: with its reasoning and its tool calls.
    pub fn message(&self) -> Option<&Message> {
        self.choices.first().map(|choice| &choice.message)
    }

    /// The answer as the one chunk of a stream.
    pub fn into_chunk(self) -> ChatChunk {
        ChatChunk::from_completion(self)
    }
}

/// One of the answers.
#[derive(Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Choice {
    /// Its number.
    pub index: u32,
    /// What the model says.
    pub message: Message,
    /// Why it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<FinishReason>,
    /// Everything else, such as `logprobs`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Outline::new(f, "Choice")
            .field("index", &self.index)
            .field("message", &self.message)
            .some("finish_reason", self.finish_reason.as_ref())
            .extra(&self.extra)
            .finish()
    }
}

open_enum! {
    /// Why an answer ended.
    FinishReason {
        /// The model had said everything.
        Stop = "stop",
        /// It reached the token limit: the text, or a tool call's arguments, may be cut off.
        Length = "length",
        /// It waits for tools.
        ToolCalls = "tool_calls",
        /// The provider's moderation stopped it.
        ContentFilter = "content_filter",
    }
}

/// The tokens of a call.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Usage {
    /// Of the request, cached ones included.
    pub prompt_tokens: u64,
    /// Of the answer, reasoning included.
    pub completion_tokens: u64,
    /// Of both.
    pub total_tokens: u64,
    /// Everything else, such as `prompt_tokens_details`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl fmt::Debug for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Outline::new(f, "Usage")
            .field("prompt_tokens", &self.prompt_tokens)
            .field("completion_tokens", &self.completion_tokens)
            .field("total_tokens", &self.total_tokens)
            .extra(&self.extra)
            .finish()
    }
}

impl Usage {
    /// The tokens of the request that came from the provider's cache, wherever the service says it:
    /// `prompt_tokens_details.cached_tokens`, or DeepSeek's `prompt_cache_hit_tokens`.
    pub fn cached_tokens(&self) -> Option<u64> {
        self.detail("prompt_tokens_details", "cached_tokens")
            .or_else(|| self.extra.get("prompt_cache_hit_tokens")?.as_u64())
    }

    /// The tokens of the request that were read anew, for which the full price of input is paid: DeepSeek's
    /// `prompt_cache_miss_tokens` where it is given, else all that didn't come from the cache. A service that says nothing
    /// of a cache has none.
    ///
    /// ```
    /// use modelswitch_provider::Usage;
    /// use serde_json::json;
    ///
    /// let deepseek = Usage::from_wire(&json!({
    ///     "prompt_tokens": 339, "prompt_cache_hit_tokens": 320, "prompt_cache_miss_tokens": 19 }))?;
    /// assert_eq!(deepseek.uncached_tokens(), 19);
    ///
    /// let openai = Usage::from_wire(&json!({
    ///     "prompt_tokens": 1500, "prompt_tokens_details": { "cached_tokens": 1024 } }))?;
    /// assert_eq!(openai.uncached_tokens(), 476);
    ///
    /// let local = Usage::from_wire(&json!({ "prompt_tokens": 12 }))?;
    /// assert_eq!(local.uncached_tokens(), 12);
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    pub fn uncached_tokens(&self) -> u64 {
        let said = self.extra.get("prompt_cache_miss_tokens").and_then(Value::as_u64);
        said.unwrap_or_else(|| self.prompt_tokens.saturating_sub(self.cached_tokens().unwrap_or_default()))
    }

    /// The tokens of the answer that were spent on reasoning.
    pub fn reasoning_tokens(&self) -> Option<u64> {
        self.detail("completion_tokens_details", "reasoning_tokens")
    }

    fn detail(&self, group: &str, name: &str) -> Option<u64> {
        self.extra.get(group)?.get(name)?.as_u64()
    }
}

wire!(ChatCompletion, Choice, Usage);

lossless!(ChatCompletion {
    "id" => id: OrNull,
    "created" => created: OrNull,
    "model" => model: OrNull,
    "choices" => choices: OrNull,
    "usage" => usage: Always,
});
lossless!(Choice {
    "index" => index: OrNull,
    "message" => message: OrNull,
    "finish_reason" => finish_reason: Always,
});
lossless!(Usage {
    "prompt_tokens" => prompt_tokens: OrNull,
    "completion_tokens" => completion_tokens: OrNull,
    "total_tokens" => total_tokens: OrNull,
});
