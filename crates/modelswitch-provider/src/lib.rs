//! The contract of modelswitch: **everything is a [`Provider`]**.
//!
//! A provider takes one OpenAI-shaped [`Request`] and gives back one OpenAI-shaped [`Response`]. A service on the network
//! is a provider; a retry around a provider is a provider; a router over many is a provider; a mock is a provider. What
//! flows through is the OpenAI wire format itself, so fields that nobody has heard of yet pass through untouched.
//!
//! # For authors of libraries
//!
//! Take a `&dyn Provider` (or an `Arc<dyn Provider>`), call it through [`ProviderExt`], and test against
//! [`mock::MockProvider`] (feature `mock`) with no network at all:
//!
//! ```
//! use modelswitch_provider::{ChatRequest, Provider, ProviderExt, Result};
//!
//! pub async fn classify(llm: &dyn Provider, text: &str) -> Result<bool> {
//!     let reply = llm.chat(ChatRequest::user(text).system("Answer yes or no.").temperature(0.0)).await?;
//!     Ok(reply.text().to_lowercase().contains("yes"))
//! }
//! # use modelswitch_provider::mock::MockProvider;
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let llm = MockProvider::reply("Yes.");
//! assert!(classify(&llm, "Is water wet?").await?);
//! # Ok::<(), modelswitch_provider::Error>(()) }).unwrap();
//! ```
//!
//! # Errors
//!
//! | [`ErrorKind`] | from | retry the same | try elsewhere | status |
//! |---|---|---|---|---|
//! | `InvalidRequest` | 400, 413, 422, checks made here | no | no | 400 |
//! | `ContextLength` | 400 or 413 whose text says so | no | yes | 400 |
//! | `ContentFiltered` | moderation | no | no | 400 |
//! | `ModelNotFound` | 404, DeepSeek's 400 that names the supported models | no | yes | 404 |
//! | `Authentication` | 401, 403: the provider's key | no | yes | 502 |
//! | `InsufficientBalance` | 402, 429 `insufficient_quota` | no | yes | 402 |
//! | `RateLimited` | 429 | yes, after `retry_after` | yes | 429 |
//! | `Overloaded` | 503, 529, `insufficient_system_resource` | yes | yes | 503 |
//! | `Upstream` | other 5xx, an error object under 200 | yes | yes | 502 |
//! | `Timeout` | 408, 504, timers here | once, if not committed | yes | 504 |
//! | `Connection` | connect, reset | if not committed | yes | 502 |
//! | `Interrupted` | a stream or body cut after it began | if not committed | if not committed | 502 |
//! | `Decode` | a 200 that is not what the API promises | once | yes | 502 |
//! | `Rejected` | a layer refused | no | yes, unless it is the [last word](Error::is_last_word) | 429, of a budget 402 |
//! | `Unsupported` | this provider can't honour the request | no | yes | 400 |
//! | `Config` | before any request | no | no | 500 |
//!
//! # Invariants
//!
//! * This crate depends on no runtime, no HTTP client, no configuration library and not on async-openai.
//! * A stream ends properly or with an `Err`; [`committed`] is the one idea of "too late to try again".
//! * Keys, prompts and answers are in no `Debug` and no `Display` of a request, response, event or error.

mod alike;
mod calls;
mod chat;
mod chunk;
mod chunk_reader;
mod collect;
mod completion;
mod document;
mod embeddings;
mod envelope;
mod error;
mod ext;
mod flow;
mod follow;
mod form;
mod key;
mod message;
#[cfg(feature = "mock")]
pub mod mock;
mod models;
mod outline;
mod provider;
mod reasons;
mod request;
mod response;
mod stream;
mod text_completion;
mod time_left;
mod usage;
mod wire;

pub use alike::Alike;
pub use calls::ToolCallSlots;
pub use chat::ChatRequest;
pub use chunk::{ChatChunk, ChunkChoice, Delta, FunctionDelta, ToolCallDelta};
pub use collect::Collector;
pub use completion::{ChatCompletion, Choice, FinishReason, Usage};
pub use document::Document;
pub use embeddings::{Embedding, EmbeddingRequest, Embeddings};
pub use error::{Error, ErrorKind, Result};
pub use ext::{ChatStream, CompletionStream, ProviderExt};
pub use follow::{Ending, Follow, Passing};
pub use key::ApiKey;
pub use message::{Content, FunctionCall, Message, Role, Tool, ToolCall};
pub use models::{Model, ModelList};
pub use provider::Provider;
pub use reasons::Reasons;
pub use request::{Endpoint, Payload, Request};
pub use response::{Adaptation, Attempt, Body, Head, Response};
pub use stream::{ByteStream, Event, EventStream, committed};
pub use text_completion::{Completion, CompletionChoice, CompletionRequest};
pub use time_left::TimeLeft;
pub use usage::{UsageSeen, UsageWatch, WantsUsage, has_member};
