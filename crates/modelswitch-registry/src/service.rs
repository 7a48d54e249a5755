//! One try over HTTP, by the adapter of a profile that has one.

use std::sync::Arc;

use modelswitch_deepseek::{DeepSeek, ReasoningMemory};
use modelswitch_openai::OpenAiBuilder;
use modelswitch_provider::{ApiKey, Provider, Result};

use crate::config::{Count, MemoryConfig, PolicyConfig};

/// The profile that has an adapter of its own, with a memory of reasoning and a balance.
pub(crate) const DEEPSEEK: &str = "deepseek";

/// One try over HTTP, and the adapter where there is one.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) deepseek: Option<DeepSeek>,
}

/// The one place where a profile may get more than the plain transport. A memory that is given is the one of the
/// provider that this one replaces.
///
/// # Errors
/// What is wrong with its base URL, its headers or its key.
pub(crate) fn over_http(
    builder: OpenAiBuilder,
    policy: PolicyConfig,
    memory: Option<ReasoningMemory>,
) -> Result<Service> {
    if builder.profile().descends_from(DEEPSEEK) {
        let deepseek = deepseek(builder, policy, memory)?;
        return Ok(Service { provider: Arc::new(deepseek.clone()), deepseek: Some(deepseek) });
    }
    let provider = builder.build()?.with_policies(policy.policies());
    Ok(Service { provider: Arc::new(provider), deepseek: None })
}

/// Makes the same service with a key: at the first call, after a rotation, with each of several keys.
pub(crate) type Make = Arc<dyn Fn(ApiKey) -> Result<Service> + Send + Sync>;

/// Everything but the key, checked; and the adapter that those with keys are made from, where there is one.
///
/// # Errors
/// As [`over_http`].
pub(crate) fn with_keys(
    builder: OpenAiBuilder,
    policy: PolicyConfig,
    memory: Option<ReasoningMemory>,
) -> Result<(Make, Option<DeepSeek>)> {
    // Nobody is asked with this one.
    let builder = builder.api_key(ApiKey::new("unset")?);
    if builder.profile().descends_from(DEEPSEEK) {
        let first = deepseek(builder, policy, memory)?;
        let adapter = Some(first.clone());
        let make = move |key| {
            let deepseek = first.with_key(key)?;
            Ok(Service { provider: Arc::new(deepseek.clone()), deepseek: Some(deepseek) })
        };
        return Ok((Arc::new(make), adapter));
    }
    let first = builder.build()?.with_policies(policy.policies());
    let make = move |key| Ok(Service { provider: Arc::new(first.with_key(key)?), deepseek: None });
    Ok((Arc::new(make), None))
}

fn deepseek(
    builder: OpenAiBuilder,
    policy: PolicyConfig,
    memory: Option<ReasoningMemory>,
) -> Result<DeepSeek> {
    let size = |count: Option<Count>, otherwise| {
        count.map_or(otherwise, |count| usize::try_from(count.0).unwrap_or(usize::MAX))
    };
    let deepseek = DeepSeek::connect(builder)?.with_policies(policy.policies());
    if let Some(memory) = memory {
        return Ok(deepseek.with_memory(memory));
    }
    Ok(match policy.reasoning_memory {
        None | Some(MemoryConfig::On) => deepseek,
        Some(MemoryConfig::Off) => deepseek.with_memory(None),
        Some(MemoryConfig::Bounded { answers, bytes }) => {
            let (answers, bytes) =
                (size(answers, ReasoningMemory::ANSWERS), size(bytes, ReasoningMemory::BYTES));
            deepseek.with_memory(ReasoningMemory::new(answers, bytes))
        }
    })
}
