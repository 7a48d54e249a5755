//! What a provider is made of, to be compared at a reload.

use modelswitch_openai::{Auth, Profile};

use crate::config::ProviderConfig;
use crate::connect::timeouts;
use crate::keys::Keys;

/// Everything that a provider was made of. Two that are equal make the same provider.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    /// With the common settings where it says nothing itself.
    pub(crate) config: ProviderConfig,
    pub(crate) profile: Profile,
    /// Instead of the profile's.
    pub(crate) base_url: Option<String>,
    pub(crate) keys: Keys,
    /// Whether the keys of the provider that this one replaces are others now than it goes with.
    pub(crate) rekeyed: bool,
}

impl Made {
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
            auth,
            headers,
            query,
            allow_models,
            deny_models,
            allow_endpoints,
            kind,
            settings,
            policy,
            retry,
            timeout,
            limits,
            breaker,
            cache,
            budget,
        } = &self.config;
        let other = &before.config;
        let is_on = |config: &ProviderConfig| config.allow_plain_http.is_some_and(|flag| flag.0);
        // How the key is sent has a setting of its own, where it isn't the profile that says it.
        let says_auth = *auth != other.auth;
        let profile = |made: &Self| {
            let mut profile = made.profile.clone();
            if says_auth {
                profile.auth = Auth::default();
            }
            profile
        };
        [
            ("profile", profile(self) != profile(before)),
            ("base_url", self.url() != before.url()),
            ("api_key", self.rekeyed || !self.keys.same_as(&before.keys)),
            ("default_model", *default_model != other.default_model),
            ("models", *models != other.models),
            ("allow_plain_http", allow_plain_http.is_some_and(|flag| flag.0) != is_on(other)),
            ("auth", says_auth && self.profile.auth != before.profile.auth),
            ("headers", *headers != other.headers),
            ("query", *query != other.query),
            ("allow_models", *allow_models != other.allow_models),
            ("deny_models", *deny_models != other.deny_models),
            ("allow_endpoints", *allow_endpoints != other.allow_endpoints),
            ("kind", *kind != other.kind),
            ("settings", *settings != other.settings),
            ("policy", policy.unwrap_or_default() != other.policy.unwrap_or_default()),
            ("retry", *retry != other.retry),
            (
                "timeout",
                timeouts(*timeout) != timeouts(other.timeout) || timeout.total != other.timeout.total,
            ),
            ("limits", *limits != other.limits),
            ("breaker", *breaker != other.breaker),
            ("cache", *cache != other.cache),
            ("budget", *budget != other.budget),
        ]
        .into_iter()
        .filter_map(|(setting, changed)| changed.then_some(setting))
        .collect()
    }

    /// Whether the same place is asked, and the key sent in the same way: then what failed with a key still does.
    pub(crate) fn asks_as(&self, before: &Self) -> bool {
        self.url() == before.url() && self.profile.auth == before.profile.auth
    }

    /// Whether what a model thought is still remembered: at the same place, and in the same amount. Another place may be
    /// another company's.
    pub(crate) fn remembers_as(&self, before: &Self) -> bool {
        let amount = |made: &Self| made.config.policy.and_then(|policy| policy.reasoning_memory);
        self.url() == before.url() && amount(self) == amount(before)
    }
}
