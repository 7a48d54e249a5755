//! What a provider is made of, to be compared at a reload.

use modelswitch_openai::Profile;

use crate::config::ProviderConfig;
use crate::connect::timeouts;
use crate::keys::Keys;

/// Everything that a provider was made of. Two that are equal make the same provider.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// With the common settings where it says nothing itself.
    pub(crate) config: ProviderConfig,
    pub(crate) profile: Profile,
    /// Instead of the profile's.
    pub(crate) base_url: Option<String>,
    pub(crate) keys: Keys,
    /// Whether the keys of the provider that this one replaces are others now than it goes with.
    pub(crate) rekeyed: bool,
}

impl Settings {
    /// Where requests go.
    pub(crate) fn url(&self) -> Option<&str> {
        self.base_url.as_deref().or(self.profile.base_url.as_deref())
    }

    /// The settings that changed, by their names under `[providers.NAME]`. It is what they come down to that counts: the
    /// same time in another unit, or what would be so anyway, is no change.
    pub(crate) fn changed_from(&self, before: &Self) -> Vec<&'static str> {
        // Taken apart, so that a new setting is not forgotten here.
        let ProviderConfig {
            profile: _,
            base_url: _,
            api_key: _,
            default_model,
            models,
            allow_plain_http,
            headers,
            policy,
            retry,
            timeout,
        } = &self.config;
        let other = &before.config;
        let is_on = |config: &ProviderConfig| config.allow_plain_http.is_some_and(|flag| flag.0);
        [
            ("profile", self.profile != before.profile),
            ("base_url", self.url() != before.url()),
            ("api_key", self.rekeyed || !self.keys.same_as(&before.keys)),
            ("default_model", *default_model != other.default_model),
            ("models", *models != other.models),
            ("allow_plain_http", allow_plain_http.is_some_and(|flag| flag.0) != is_on(other)),
            ("headers", *headers != other.headers),
            ("policy", policy.unwrap_or_default() != other.policy.unwrap_or_default()),
            ("retry", *retry != other.retry),
            ("timeout", timeouts(*timeout) != timeouts(other.timeout)),
        ]
        .into_iter()
        .filter_map(|(setting, changed)| changed.then_some(setting))
        .collect()
    }

    /// Whether what a model thought is still remembered: at the same place, and in the same amount. Another place may be
    /// another company's.
    pub(crate) fn remembers_as(&self, before: &Self) -> bool {
        let amount = |settings: &Self| settings.config.policy.and_then(|policy| policy.reasoning_memory);
        self.url() == before.url() && amount(self) == amount(before)
    }
}
