//! What the examples share: real services where there is a configuration or a key, simulated ones where there is none.

use modelswitch::registry::NO_PROVIDER;
use modelswitch::{ApiKey, Registry};
use modelswitch_sim::{Personality, Sim};

/// The providers of an example. The simulators stop when it is dropped.
#[derive(Debug)]
pub struct Services {
    /// What an app would get from `Registry::load()`.
    pub registry: Registry,
    _simulators: Vec<Sim>,
}

/// `Registry::load()`; where that finds no provider, two simulated ones, and a line on standard error that says so.
///
/// # Errors
/// What `Registry::load()` fails with, or a simulator that can't be started.
pub async fn services() -> Result<Services, Box<dyn std::error::Error>> {
    match Registry::load() {
        Ok(registry) => {
            eprintln!("(using your providers, from: {})", registry.source());
            return Ok(Services { registry, _simulators: Vec::new() });
        }
        // A mistake in a configuration is told; only where there is nothing at all, something is simulated.
        Err(error) if error.code() == Some(NO_PROVIDER) => {}
        Err(error) => return Err(error.into()),
    }
    eprintln!(
        "(no key and no modelswitch.toml: the providers `deepseek` and `other` are SIMULATED on this machine)"
    );
    let deepseek = Sim::start().await?;
    let other = Sim::builder().personality(Personality::OpenAi).start().await?;
    let registry = Registry::builder()
        .toml(simulated_configuration(&deepseek, &other))
        .api_key("deepseek", ApiKey::new(deepseek.key())?)
        .api_key("other", ApiKey::new(other.key())?)
        .build()?;
    Ok(Services { registry, _simulators: vec![deepseek, other] })
}

fn simulated_configuration(deepseek: &Sim, other: &Sim) -> String {
    format!(
        r#"
        default = "deepseek/deepseek-flash"

        [providers.deepseek]
        base_url = "{}"

        [providers.other]
        profile = "openai-compatible"
        base_url = "{}"

        [models]
        fast = "deepseek/deepseek-flash"
        small = "other/sim-small"
        "#,
        deepseek.base_url(),
        other.base_url(),
    )
}
