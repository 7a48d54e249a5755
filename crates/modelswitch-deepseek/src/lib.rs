//! DeepSeek for apps on async-openai and for libraries on the provider trait.
//!
//! * [`client`] gives an `async_openai::Client` that talks to DeepSeek and repairs what stock async-openai loses:
//!   reasoning, the status of errors, the list of models, cut and stalled streams.
//! * [`provider`] gives a [`Provider`](modelswitch_provider::Provider).
//! * [`DeepSeekConfig`] is no more than the base URL and the key, for a stock client.
//!
//! `DEEPSEEK_BASE_URL` replaces the base URL wherever none is given in code.
//!
//! # What there is
//!
//! | wish | here |
//! |---|---|
//! | an app of 2025 that asks for `deepseek-chat` | [`guide::coming_from_deepseek_chat`] |
//! | tool loops, and reasoning that has to go back | [`guide::reasoning`], [`ReasoningMemory`] |
//! | thinking on or off, its effort, users | [`DeepSeekParameters`] |
//! | what to do with requests that DeepSeek can't take | [`Policies`] |
//! | answers after a JSON schema | [`JsonSchema`], [`SchemaMismatch`], [`strict_problems`] |
//! | an answer that goes on with a beginning; strict tools | [`prefix`], [`strict_function`] |
//! | fill in the middle | [`complete`](modelswitch_provider::ProviderExt::complete) and `complete_stream`; `completions()` of async-openai |
//! | the Responses endpoint | `responses()` of async-openai |
//! | Anthropic's messages | [`anthropic`] |
//! | files | [`DeepSeek::files`] |
//! | models, limits, prices | [`models`], [`cost`], [`estimate_tokens`] |
//! | money left | [`DeepSeek::balance`] |
//! | is the key good? | [`DeepSeek::verify`], [`verify`] |
//! | the numbers in an error | [`DeepSeekErrorExt`] |
//!
//! What is known of the service was read on 2026-11-21 from <https://api-docs.deepseek.com> and from recorded traffic. Where
//! sources disagree both readings are taken, and the item says so. Nothing here was tried against the live service yet.

mod answer;
pub mod anthropic;
mod balance;
mod config;
mod cost;
mod error;
mod files;
mod fim;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz;
pub mod guide;
mod inward;
mod memory;
mod models;
mod outward;
mod parameters;
mod provider;
mod root;
mod strict;
mod tokens;
mod verify;

use modelswitch_layers::{Retry, Stack};
use modelswitch_openai::{Client, HttpService};
use modelswitch_provider::Result;

pub use balance::{Balance, BalanceInfo, Currency};
pub use config::DeepSeekConfig;
pub use cost::{cost, cost_with};
pub use error::{Concurrency, ContextExceeded, DeepSeekErrorExt};
pub use files::{FileList, FileObject, FilePurpose, FileQuery, FileUpload, Files};
pub use memory::ReasoningMemory;
pub use models::{model, models};
pub use modelswitch_openai::{
    BrokenOff, EmptyAnswer, ForcedToolChoice, JsonSchema, Policies, SchemaMismatch, SchemaProblem,
};
pub use parameters::{DeepSeekParameters, Effort, Thinking, prefix, strict_function};
pub use provider::DeepSeek;
pub use strict::{NotStrict, strict_problems};
pub use tokens::{TokenEstimate, estimate_prompt, estimate_tokens};
pub use verify::{KeyState, Verification, verify, verify_at};

/// The official base URL. The canonical paths under it have no `/v1`.
///
/// ```
/// assert_eq!(modelswitch_deepseek::BASE_URL, "https://api.deepseek.com");
/// ```
pub const BASE_URL: &str = "https://api.deepseek.com";

/// An async-openai client that talks to DeepSeek, with retries where async-openai's own were.
///
/// ```no_run
/// # async fn run(request: async_openai::types::chat::CreateChatCompletionRequest) -> Result<(), Box<dyn std::error::Error>> {
/// use modelswitch_openai::ReasoningExt;
///
/// let client = modelswitch_deepseek::client("sk-…")?;
/// let reply = client.chat().create(request).await?;
/// println!("{:?}", reply.reasoning_content());
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`Config`](modelswitch_provider::ErrorKind::Config) for a key that can't be sent, or a `DEEPSEEK_BASE_URL` that is no
/// URL.
pub fn client(key: impl Into<String>) -> Result<Client> {
    service(provider(key)?).client()
}

/// DeepSeek as a provider: one try, no layers. Put a [`Stack`] around it for retries.
///
/// ```no_run
/// # async fn run() -> modelswitch_provider::Result<()> {
/// use modelswitch_provider::ProviderExt;
///
/// let deepseek = modelswitch_deepseek::provider("sk-…")?;
/// println!("{}", deepseek.ask("9.11 or 9.8?").await?);
/// # Ok(()) }
/// ```
///
/// # Errors
/// As [`client`].
pub fn provider(key: impl Into<String>) -> Result<DeepSeek> {
    DeepSeek::new(key)
}

/// Door 1 over a DeepSeek provider, with retries where async-openai's own were.
///
/// ```
/// let service = modelswitch_deepseek::service(modelswitch_deepseek::provider("sk-0123")?);
/// let (client, capture) = (service.client()?, service.capture());
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
pub fn service(provider: DeepSeek) -> HttpService {
    HttpService::new(Stack::new().layer(Retry::new()).over(provider))
}
