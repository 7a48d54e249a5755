//! DeepSeek's models, from the profile: by exact id, never by a part of a name.

use std::sync::LazyLock;

use modelswitch_openai::{ModelFacts, Profile, Retired};

/// Read once: facts are looked up with every call.
static PROFILE: LazyLock<Profile> = LazyLock::new(|| Profile::embedded("deepseek").unwrap_or_default());

/// Every model that DeepSeek takes, the most wanted first: the live ones, then names that are still accepted and served by
/// one of those ([`serves`](ModelFacts::serves)). Read on 2026-11-21 from
/// <https://api-docs.deepseek.com/quick_start/pricing>; a later model is taken all the same, only nothing is known of it.
///
/// ```
/// let ids: Vec<&str> = modelswitch_deepseek::models().map(|(id, _)| id).collect();
/// assert_eq!(ids[..2], ["deepseek-flash", "deepseek-v4-pro"]);
/// for (id, facts) in modelswitch_deepseek::models() {
///     println!("{id}: {:?} tokens of context, {:?} of answer", facts.context, facts.max_output);
/// }
/// ```
pub fn models() -> impl Iterator<Item = (&'static str, &'static ModelFacts)> {
    PROFILE.known_models()
}

/// What is known of a model, by its exact id. `None` for one that isn't known here, and for `deepseek-chat` and
/// `deepseek-reasoner`: they were switched off on 2026-07-24, and the adapter asks for `deepseek-flash` in their place.
///
/// ```
/// use modelswitch_openai::{Capability, Modality};
///
/// let pro = modelswitch_deepseek::model("deepseek-v4-pro").ok_or("it is known")?;
/// assert_eq!(pro.takes(Modality::Image), Some(false));
/// assert!(pro.can(Capability::Tools) && !pro.can(Capability::JsonSchema));
/// assert_eq!(pro.default_max_output.thinking, Some(65_536));
/// assert_eq!(pro.concurrency, Some(500));
///
/// let alias = modelswitch_deepseek::model("deepseek-v4-flash").ok_or("it is known")?;
/// assert_eq!(alias.serves.as_deref(), Some("deepseek-flash"));
/// assert!(modelswitch_deepseek::model("deepseek-chat").is_none());
/// # Ok::<(), &str>(())
/// ```
pub fn model(id: &str) -> Option<&'static ModelFacts> {
    PROFILE.model(id)
}

pub(crate) fn profile() -> &'static Profile {
    &PROFILE
}

/// Whether the model of a retired name answered without thinking.
pub(crate) fn did_not_think(retired: &Retired) -> bool {
    retired.set.get("thinking").and_then(|thinking| thinking.get("type")?.as_str()) == Some("disabled")
}
