//! An app written against the OpenAI API reaches any OpenAI-compatible provider, DeepSeek first, by changing
//! configuration and not code.
//!
//! ```no_run
//! # fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = async_openai::Client::new();       // before
//! let client = modelswitch::client()?;            // after: the same type, Client<OpenAIConfig>
//! # let _: async_openai::Client<async_openai::config::OpenAIConfig> = client;
//! # Ok(()) }
//! # use modelswitch::async_openai;
//! ```
//!
//! Three doors lead into one pipe:
//!
//! 1. **An app on async-openai** takes [`client`], or [`Registry::wrap`]s the client that it has. Its types and call sites
//!    stay. [`ReasoningExt`], [`Capture`], [`Extra`] and [`OpenAiErrorExt`] reach what those types have no room for.
//! 2. **A library** takes a `&dyn` [`Provider`] and calls it through [`ProviderExt`]; its tests run against a mock
//!    (feature `mock`).
//! 3. **Any language, over HTTP**: a gateway, not built yet.
//!
//! What is asked for by which name is in `modelswitch.toml`, see [`Registry`]. Without a file, each provider whose key
//! variable is set (`DEEPSEEK_API_KEY`, `OPENAI_API_KEY`, …) is simply there.

pub use modelswitch_deepseek as deepseek;
pub use modelswitch_layers as layers;
pub use modelswitch_openai::{
    Capture, Client, EmptyAnswer, Extra, ForcedToolChoice, HttpClient, HttpService, JsonSchema,
    OpenAiErrorExt, OpenAiProvider, Policies, Profile, ReasoningExt, SchemaMismatch, Timeouts, async_openai,
};
#[cfg(feature = "mock")]
pub use modelswitch_provider::mock;
pub use modelswitch_provider::{
    self as provider, ApiKey, ChatCompletion, ChatRequest, ChatStream, Error, ErrorKind, Message, Provider,
    ProviderExt, Result, Tool,
};
pub use modelswitch_registry::{self as registry, Registry, RegistryBuilder};

/// The traits that add methods, and what most calls need.
///
/// ```
/// use modelswitch::prelude::*;
///
/// async fn summarize(llm: &dyn Provider, text: &str) -> modelswitch::Result<String> {
///     llm.ask(format!("One sentence: {text}")).await
/// }
/// ```
pub mod prelude {
    pub use modelswitch_deepseek::DeepSeekParameters as _;
    pub use modelswitch_openai::{
        Extra, OpenAiErrorExt as _, ReasoningExt as _, async_openai::traits::RequestOptionsBuilder as _,
    };
    pub use modelswitch_provider::{ChatRequest, Message, Provider, ProviderExt as _};

    pub use crate::Registry;
}

/// An async-openai client whose calls go where the configuration says: the one line that an app changes.
///
/// It is the type that `async_openai::Client::new()` gives. `model` chooses: `"deepseek/deepseek-flash"`, an alias such as
/// `"fast"`, or a bare name that exactly one provider owns. Where the configuration is found is told at
/// [`Registry::load`]. Keep the client and clone it; making one reads the configuration anew.
///
/// ```no_run
/// use modelswitch::async_openai::types::chat::{ChatCompletionRequestUserMessage, CreateChatCompletionRequestArgs};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let client = modelswitch::client()?;
/// let request = CreateChatCompletionRequestArgs::default()
///     .model("deepseek/deepseek-flash")
///     .messages([ChatCompletionRequestUserMessage::from("9.11 or 9.8?").into()])
///     .build()?;
/// let reply = client.chat().create(request).await?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`Config`](ErrorKind::Config), which names the file, line and setting, what is wrong and what to write. No provider
/// at all is an error too.
pub fn client() -> Result<Client> {
    Registry::load()?.client()
}
