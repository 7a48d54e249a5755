//! DeepSeek for apps on async-openai and for libraries on the provider trait.
//!
//! * [`client`] gives an `async_openai::Client` that talks to DeepSeek and repairs what stock async-openai loses:
//!   reasoning, the status of errors, the list of models, cut and stalled streams.
//! * [`provider`] gives a [`Provider`](modelswitch_provider::Provider).
//! * [`DeepSeekConfig`] is no more than the base URL and the key, for a stock client.
//!
//! `DEEPSEEK_BASE_URL` replaces the base URL wherever none is given in code.
//!
//! | what | as of | source |
//! |---|---|---|
//! | models `deepseek-flash` and `deepseek-v4-pro`; `deepseek-chat` and `deepseek-reasoner` are off since July 2026 | 2026-11-21 | <https://api-docs.deepseek.com/quick_start/pricing> |
//! | thinking is on by default, and its tokens count against `max_tokens` first | 2026-11-21 | <https://api-docs.deepseek.com/guides/thinking_mode> |
//! | a queued request's line is held open for ten minutes, with blank lines or comments | 2026-11-21 | <https://api-docs.deepseek.com/quick_start/rate_limit> |

mod answer;
pub mod anthropic;
mod balance;
mod config;
mod cost;
mod error;
mod files;
mod fim;
mod inward;
mod memory;
mod models;
mod outward;
mod parameters;
mod policy;
mod provider;
mod root;
mod schema;
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
pub use parameters::{DeepSeekParameters, Effort, Thinking, prefix, strict_function};
pub use policy::{BrokenOff, EmptyAnswer, ForcedToolChoice, JsonSchema, Policies};
pub use provider::DeepSeek;
pub use schema::{NotStrict, SchemaMismatch, SchemaProblem, strict_problems};
pub use tokens::{TokenEstimate, estimate_prompt, estimate_tokens};
pub use verify::{KeyState, Verification, verify, verify_at};

/// The official base URL. The canonical paths under it have no `/v1`.
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
