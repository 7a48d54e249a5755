use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::outline::Outline;
use crate::wire::{lossless, wire};
use crate::{ChatCompletion, Content, FinishReason, Role, Usage};

/// A piece of a streamed answer.
#[derive(Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ChatChunk {
    /// The service's id of the answer, the same in all its chunks.
    pub id: String,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// The model that serves.
    pub model: String,
    /// The pieces; none in a chunk that only carries the usage.
    pub choices: Vec<ChunkChoice>,
    /// The tokens that were used; on the last chunk or the one after, as the service likes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Structure, names and sizes: the text is what somebody paid for.
impl fmt::Debug for ChatChunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Outline::new(f, "ChatChunk")
            .field("id", &self.id)
            .field("created", &self.created)
            .field("model", &self.model)
            .field("choices", &self.choices)
            .some("usage", self.usage.as_ref())
            .extra(&self.extra)
            .finish()
    }
}

impl ChatChunk {
    /// The piece of text in the first choice; empty when there is none.
    pub fn text(&self) -> &str {
        self.delta().and_then(|delta| delta.content.as_deref()).unwrap_or_default()
    }

    /// The piece of reasoning in the first choice.
    pub fn reasoning(&self) -> Option<&str> {
        self.delta()?.reasoning_content.as_deref().filter(|text| !text.is_empty())
    }

    fn delta(&self) -> Option<&Delta> {
        self.choices.first().map(|choice| &choice.delta)
    }

    pub(crate) fn from_completion(completion: ChatCompletion) -> Self {
        let mut extra = completion.extra;
        extra.insert("object".to_owned(), "chat.completion.chunk".into());
        let choices = completion.choices.into_iter().map(|choice| {
            let message = choice.message;
            let tool_calls = message.tool_calls.into_iter().zip(0..).map(|(call, index)| ToolCallDelta {
                index: Some(index),
                id: Some(call.id),
                kind: Some(call.kind),
                function: Some(FunctionDelta {
                    name: Some(call.function.name),
                    arguments: Some(call.function.arguments),
                    extra: call.function.extra,
                }),
                extra: call.extra.into_iter().filter(|(name, _)| name != "index").collect(),
            });
            let delta = Delta {
                role: Some(message.role),
                content: message.content.as_ref().map(Content::text),
                reasoning_content: message.reasoning_content,
                tool_calls: tool_calls.collect(),
                extra: message.extra,
            };
            ChunkChoice {
                index: choice.index,
                delta,
                finish_reason: choice.finish_reason,
                extra: choice.extra,
            }
        });
        Self {
            id: completion.id,
            created: completion.created,
            model: completion.model,
            choices: choices.collect(),
            usage: completion.usage,
            extra,
        }
    }
}

/// A piece of one of the answers.
#[derive(Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ChunkChoice {
    /// Which answer.
    pub index: u32,
    /// What is new.
    pub delta: Delta,
    /// Why it ended, on its last piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<FinishReason>,
    /// Everything else, such as `logprobs`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl fmt::Debug for ChunkChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Outline::new(f, "ChunkChoice")
            .field("index", &self.index)
            .field("delta", &self.delta)
            .some("finish_reason", self.finish_reason.as_ref())
            .extra(&self.extra)
            .finish()
    }
}

/// What is new in a message.
#[derive(Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Delta {
    /// Who speaks; in the first piece, or in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// More text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// More reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// More of the tool calls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCallDelta>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl fmt::Debug for Delta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Outline::new(f, "Delta")
            .some("role", self.role.as_ref())
            .text("content", self.content.as_ref())
            .text("reasoning_content", self.reasoning_content.as_ref())
            .list("tool_calls", &self.tool_calls)
            .extra(&self.extra)
            .finish()
    }
}

/// A piece of a tool call.
#[derive(Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ToolCallDelta {
    /// Which call of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// Its id, in its first piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `function`, in its first piece.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The name, in its first piece, and more of the arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<FunctionDelta>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl fmt::Debug for ToolCallDelta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Outline::new(f, "ToolCallDelta")
            .some("index", self.index.as_ref())
            .some("id", self.id.as_ref())
            .some("kind", self.kind.as_ref())
            .some("function", self.function.as_ref())
            .extra(&self.extra)
            .finish()
    }
}

/// A piece of a function call.
#[derive(Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FunctionDelta {
    /// The function, in the first piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// More of the JSON text of the arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl fmt::Debug for FunctionDelta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Outline::new(f, "FunctionDelta")
            .some("name", self.name.as_ref())
            .text("arguments", self.arguments.as_ref())
            .extra(&self.extra)
            .finish()
    }
}

wire!(ChatChunk, ChunkChoice);

lossless!(ChatChunk {
    "id" => id: OrNull,
    "created" => created: OrNull,
    "model" => model: OrNull,
    "choices" => choices: OrNull,
    "usage" => usage: Always,
});
lossless!(ChunkChoice {
    "index" => index: OrNull,
    "delta" => delta: OrNull,
    "finish_reason" => finish_reason: Always,
});
lossless!(Delta {
    "role" => role: Always,
    "content" => content: Always,
    "reasoning_content" => reasoning_content: Always,
    "tool_calls" => tool_calls: OrNull,
});
lossless!(ToolCallDelta {
    "index" => index: Always,
    "id" => id: Always,
    "type" => kind: Always,
    "function" => function: Always,
});
lossless!(FunctionDelta {
    "name" => name: Always,
    "arguments" => arguments: Always,
});
