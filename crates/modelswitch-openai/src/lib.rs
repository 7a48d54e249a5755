//! Any OpenAI-compatible service as a provider.
mod dialect;
mod error;
mod http_client;
mod profile;
mod provider;
mod retry_after;
mod sse;
mod transport;

pub use http_client::HttpClient;
pub use profile::{Auth, FailureKind, History, Profile, ReasoningRules, RequestRules, ResponseRules};
pub use provider::{OpenAiBuilder, OpenAiProvider};
pub use transport::Timeouts;
