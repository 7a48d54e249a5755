//! DeepSeek's models, from the profile: by exact id, never by a part of a name.

use std::sync::LazyLock;

use modelswitch_openai::{Modality, ModelFacts, Profile};

/// Read once: facts are looked up with every call.
static PROFILE: LazyLock<Profile> = LazyLock::new(|| Profile::embedded("deepseek").unwrap_or_default());

static RETIRED: LazyLock<Vec<Retired>> =
    LazyLock::new(|| PROFILE.retired_names().map(|(name, retired)| Retired::new(name, retired)).collect());

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

/// A name that DeepSeek no longer takes, and what stands for it.
#[derive(Debug)]
pub(crate) struct Retired {
    pub(crate) name: &'static str,
    pub(crate) instead: &'static str,
    pub(crate) thinks: bool,
    pub(crate) off_since: String,
}

impl Retired {
    fn new(name: &'static str, retired: &'static modelswitch_openai::Retired) -> Self {
        let thinking = retired.set.get("thinking").and_then(|thinking| thinking.get("type")?.as_str());
        Self {
            name,
            instead: &retired.instead,
            thinks: thinking != Some("disabled"),
            off_since: retired.since.date(),
        }
    }
}

pub(crate) fn retired(model: &str) -> Option<&'static Retired> {
    RETIRED.iter().find(|retired| retired.name == model)
}

/// Whether a model takes images; `None` for one that isn't known here.
pub(crate) fn sees(model: &str) -> Option<bool> {
    self::model(model)?.takes(Modality::Image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_a_retired_name_thinks_as_that_did() {
        for (name, thinks) in [("deepseek-chat", false), ("deepseek-reasoner", true)] {
            let retired = retired(name).unwrap();
            assert_eq!((retired.instead, retired.thinks), ("deepseek-flash", thinks));
            assert_eq!(retired.off_since, "2026-07-24");
        }
        assert!(retired("deepseek-flash").is_none());
    }

    #[test]
    fn only_known_models_are_said_to_see_or_not_to() {
        for (model, expected) in [
            ("deepseek-flash", Some(true)),
            ("deepseek-v4-flash", Some(true)),
            ("deepseek-v4-flash-vision-exp", Some(true)),
            ("deepseek-v4-pro", Some(false)),
            ("deepseek-v5", None),
            ("deepseek-flash-2", None),
        ] {
            assert_eq!(sees(model), expected, "{model}");
        }
    }
}
