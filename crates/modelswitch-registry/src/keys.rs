//! Keys: where they are read, when they are read again, and which of several a call goes with.
//!
//! | file | its job |
//! |---|---|
//! | `source.rs` | one place to read a key from |
//! | `command.rs`, `keyring.rs` | the two that take time |
//! | `slot.rs` | one key in use: the provider made with it, when it is read again |
//! | `look.rs`, `rest.rs` | when its file is looked at, and how long it is left alone |
//! | `keyed.rs` | the provider over them: whose turn it is, what a failure means |

use std::path::{Path, PathBuf};
use std::time::Duration;

use modelswitch_openai::Profile;
use modelswitch_provider::ApiKey;
use serde::{Serialize, Serializer};

mod command;
mod keyed;
mod keyring;
mod look;
mod rest;
mod slot;
mod source;

pub(crate) use keyed::{Before, Keyed, check_the_key_from};
#[cfg(feature = "keyring")]
pub use keyring::Keyring;
pub(crate) use source::{KeySource, other_spellings};

/// Where a provider's key comes from, and what is known of it. Never the key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeyInfo {
    /// `$DEEPSEEK_API_KEY`, a file's path, ``the command `op` ``, ``the keyring's `name` ``, `in code` or `none needed`;
    /// of several keys all of them.
    pub source: String,
    /// Whether there is a usable key. Of several: at least one.
    pub set: bool,
    /// Whether the provider can only be asked with it: the service needs one, or one is said to be there.
    pub required: bool,
    /// Whether it was looked for. Commands and the keyring are asked at the first call, not when the registry is built.
    pub looked_for: bool,
    /// How much longer the key is left alone after a failure; `None` when it isn't. Of several: until one is ready again.
    #[serde(rename = "resting_ms", serialize_with = "as_millis", skip_serializing_if = "Option::is_none")]
    pub resting: Option<Duration>,
    /// Each of several keys, in the order of the configuration. Empty for a single one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pool: Vec<KeyInfo>,
}

impl KeyInfo {
    pub(crate) fn in_code(set: bool) -> Self {
        let source = "in code".to_owned();
        Self { source, set: true, required: set, looked_for: true, ..Self::default() }
    }

    pub(crate) fn none_needed() -> Self {
        Self { source: "none needed".to_owned(), looked_for: true, ..Self::default() }
    }

    fn of_pool(pool: Vec<Self>) -> Self {
        let sources: Vec<&str> = pool.iter().map(|one| one.source.as_str()).collect();
        Self {
            source: sources.join(", "),
            set: pool.iter().any(|one| one.set),
            required: true,
            looked_for: pool.iter().all(|one| one.looked_for),
            resting: pool.iter().map(|one| one.resting).min().flatten(),
            pool,
        }
    }
}

/// What reading a key again came to; see [`Registry::refresh_keys`](crate::Registry::refresh_keys). Never the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeyRefresh {
    /// The provider.
    pub provider: String,
    /// Which of its keys, counted from 0.
    pub slot: usize,
    /// Where the key comes from.
    pub source: String,
    /// Whether it is another key than before.
    pub changed: bool,
    /// Why it could not be read. The key from before, if there was one, stays in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Where a provider's keys come from.
#[derive(Clone, Debug)]
pub(crate) enum Keys {
    /// One place, or several.
    Read(Vec<KeySource>),
    /// In code.
    Given(ApiKey),
    NoneNeeded,
}

impl Keys {
    /// Whether they come from the same places; what is there may have changed all the same.
    pub(crate) fn same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Read(one), Self::Read(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.same_as(other))
            }
            (Self::Given(one), Self::Given(other)) => one.same_as(other),
            (Self::NoneNeeded, Self::NoneNeeded) => true,
            (Self::Read(_) | Self::Given(_) | Self::NoneNeeded, _) => false,
        }
    }

    /// The files that they are read from: whoever watches the configuration watches them too.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::Read(sources) => sources.iter().filter_map(KeySource::file).map(Path::to_owned).collect(),
            Self::Given(_) | Self::NoneNeeded => Vec::new(),
        }
    }
}

/// What relative paths and `~` stand for.
#[derive(Debug)]
pub(crate) struct Folders<'a> {
    /// The folder of the configuration file.
    pub(crate) config: Option<&'a Path>,
    pub(crate) home: Option<String>,
}

impl Folders<'_> {
    fn resolve(&self, path: &str) -> PathBuf {
        match (path.strip_prefix("~/"), &self.home, self.config) {
            (Some(rest), Some(home), _) => Path::new(home).join(rest),
            (_, _, Some(folder)) => folder.join(path),
            (_, _, None) => PathBuf::from(path),
        }
    }
}

/// The variable that a provider's key would be looked for in.
pub(crate) fn default_variable(provider: &str) -> String {
    let own = Profile::embedded(provider).and_then(|profile| profile.key_env.into_iter().next());
    own.unwrap_or_else(|| {
        let name: String = provider
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
            .collect();
        format!("{name}_API_KEY")
    })
}

fn as_millis<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    let millis = duration.map(|duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
    millis.serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_configuration_file() {
        let folders = Folders { config: Some(Path::new("/etc/app")), home: Some("/home/me".to_owned()) };
        assert_eq!(folders.resolve("keys/deepseek"), Path::new("/etc/app/keys/deepseek"));
        assert_eq!(folders.resolve("/run/secrets/deepseek"), Path::new("/run/secrets/deepseek"));
        assert_eq!(folders.resolve("~/deepseek"), Path::new("/home/me/deepseek"));
    }

    #[test]
    fn of_several_keys_the_whole_is_told_and_each() {
        let one = |set, resting| KeyInfo {
            source: "$A".to_owned(),
            set,
            looked_for: true,
            resting,
            ..KeyInfo::default()
        };
        let second = Some(Duration::from_secs(1));
        let pool = KeyInfo::of_pool(vec![one(true, second), one(false, None)]);
        assert_eq!((pool.source.as_str(), pool.set, pool.resting), ("$A, $A", true, None));
        let json = serde_json::to_value(&pool).unwrap();
        assert_eq!((&json["pool"][0]["resting_ms"], &json["pool"][1]["set"]), (&1000.into(), &false.into()));
        assert!(json.get("resting_ms").is_none());
        let both = KeyInfo::of_pool(vec![one(true, second), one(true, Some(Duration::from_secs(5)))]);
        assert_eq!(both.resting, second);
    }
}
