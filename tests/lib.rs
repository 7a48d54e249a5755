//! What the tests share, and the README, whose snippets are compiled here.

use std::time::Duration;

use async_openai::types::chat::{
    ChatCompletionRequestUserMessage, CreateChatCompletionRequest, CreateChatCompletionRequestArgs,
};
use modelswitch::{ApiKey, Client, OpenAiProvider, Profile, Registry, Timeouts};
use modelswitch_sim::{Personality, Sim};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

/// A profile that comes along. [`Profile::embedded`] has none for a file that can't be read: here that is told.
///
/// # Panics
/// When there is no such file, or with what is wrong in it.
#[expect(clippy::panic, reason = "a test fails loudly")]
pub fn embedded(name: &str) -> Profile {
    let text = Profile::embedded_toml(name).unwrap_or_else(|| panic!("there is no profile `{name}`"));
    if let Err(error) = Profile::from_toml(name, text) {
        panic!("profiles/{name}.toml: {}", error.report());
    }
    Profile::embedded(name).unwrap_or_default()
}

/// All profiles that come along, each as [`embedded`] has it.
pub fn all_embedded() -> impl Iterator<Item = Profile> {
    Profile::embedded_names().map(embedded)
}

/// Two simulated services and a registry over them: `deepseek` and `other`.
#[derive(Debug)]
pub struct World {
    /// DeepSeek, on a real socket.
    pub deepseek: Sim,
    /// A plain OpenAI-like service, on another.
    pub other: Sim,
    /// Both, by configuration.
    pub registry: Registry,
}

/// Starts both services, with short time limits and quick retries.
///
/// # Panics
/// When the machine has no port left.
#[expect(clippy::unwrap_used, reason = "a test fails loudly")]
pub async fn world() -> World {
    let deepseek = Sim::start().await.unwrap();
    let other = Sim::builder().personality(Personality::OpenAi).start().await.unwrap();
    let text = format!(
        r#"
        default = "deepseek/deepseek-flash"
        [providers.deepseek]
        base_url = "{}/"
        [providers.other]
        profile = "openai-compatible"
        base_url = "{}/"
        [models]
        fast = "deepseek/deepseek-flash"
        "gpt-4o" = "fast"
        small = "other/sim-small"
        [retry]
        base_delay = "1ms"
        max_delay = "2ms"
        max_retry_after = "1s"
        [timeout]
        idle = "3s"
        "#,
        deepseek.base_url(),
        other.base_url()
    );
    let registry = Registry::builder()
        .toml(text)
        .environment([])
        .api_key("deepseek", ApiKey::new(deepseek.key()).unwrap())
        .api_key("other", ApiKey::new(other.key()).unwrap())
        .build()
        .unwrap();
    World { deepseek, other, registry }
}

impl World {
    /// An async-openai client over both.
    ///
    /// # Panics
    /// When TLS can't be set up.
    #[expect(clippy::unwrap_used, reason = "a test fails loudly")]
    pub fn client(&self) -> Client {
        self.registry.client().unwrap()
    }
}

/// An async-openai request, as an app would write it.
///
/// # Panics
/// Never: both required fields are there.
#[expect(clippy::unwrap_used, reason = "a test fails loudly")]
pub fn ask(model: &str, text: &str) -> CreateChatCompletionRequest {
    CreateChatCompletionRequestArgs::default()
        .model(model)
        .messages([ChatCompletionRequestUserMessage::from(text).into()])
        .build()
        .unwrap()
}

/// How many tasks the runtime has.
pub fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// Waits for what comes true without a signal.
///
/// # Panics
/// When it doesn't in a minute.
#[expect(clippy::panic, reason = "a test fails loudly")]
pub async fn until(what: &str, is_true: impl Fn() -> bool) {
    for _ in 0..6_000 {
        if is_true() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

/// A provider for one service, without layers: one try.
///
/// # Panics
/// When the service's URL or key is refused.
#[expect(clippy::unwrap_used, reason = "a test fails loudly")]
pub fn one_try(sim: &Sim, profile: &str) -> OpenAiProvider {
    let mut timeouts = Timeouts::default();
    // No test waits for them; they only keep one that fails from hanging.
    timeouts.first_byte = Duration::from_secs(60);
    timeouts.idle = Duration::from_secs(60);
    OpenAiProvider::builder(Profile::embedded(profile).unwrap())
        .base_url(sim.base_url())
        .api_key(ApiKey::new(sim.key()).unwrap())
        .timeouts(timeouts)
        .build()
        .unwrap()
}
