//! What a reload changed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::resolve::Target;
use crate::snapshot::Snapshot;

/// What a reload changed; empty when everything came down to the same. Displayed, it is one line for a log.
///
/// ```
/// use modelswitch_registry::Registry;
///
/// let registry = Registry::from_toml("[providers.deepseek]")?;
/// let changes = registry.reload()?;
/// assert!(changes.is_empty());
/// assert_eq!(changes.to_string(), "nothing changed");
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Changes {
    /// Providers, in alphabetical order.
    pub providers: Vec<ProviderChange>,
    /// Aliases, in alphabetical order.
    pub aliases: Vec<AliasChange>,
    /// What answers when a request names no model.
    pub default: Option<DefaultChange>,
}

/// What became of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderChange {
    /// It wasn't there before.
    Added {
        /// Its name.
        name: String,
    },
    /// It isn't there any more. Calls that it was asked before end as they would have.
    Removed {
        /// Its name.
        name: String,
    },
    /// It was made anew. One that has not changed is the very same as before, with its connections and all it knows.
    Changed {
        /// Its name.
        name: String,
        /// The settings that changed, as they are called in the file: `base_url`, `api_key`. Never a value.
        settings: Vec<String>,
    },
}

/// What became of an alias. Targets are written `provider/model`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AliasChange {
    /// It wasn't there before.
    Added {
        /// The alias.
        alias: String,
        /// What it stands for.
        target: String,
    },
    /// It isn't there any more: who asks for it is told that there is no such model.
    Removed {
        /// The alias.
        alias: String,
        /// What it stood for.
        target: String,
    },
    /// It stands for something else.
    Changed {
        /// The alias.
        alias: String,
        /// What it stood for.
        from: String,
        /// What it stands for now.
        to: String,
    },
    /// It stands for the same, and says something else of parameters.
    Parameters {
        /// The alias.
        alias: String,
        /// What it stands for.
        target: String,
    },
}

/// Another default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DefaultChange {
    /// What answered before, as `provider/model`; `None` if nothing did.
    pub from: Option<String>,
    /// What answers now.
    pub to: Option<String>,
}

impl Changes {
    /// True when everything came down to the same.
    pub fn is_empty(&self) -> bool {
        self.providers.is_empty() && self.aliases.is_empty() && self.default.is_none()
    }

    pub(crate) fn between(before: &Snapshot, after: &Snapshot) -> Self {
        let default = |snapshot: &Snapshot| snapshot.routes.names.default_name();
        let (from, to) = (default(before), default(after));
        Self {
            providers: providers(before, after),
            aliases: aliases(before, after),
            default: (from != to).then_some(DefaultChange { from, to }),
        }
    }
}

fn providers(before: &Snapshot, after: &Snapshot) -> Vec<ProviderChange> {
    let by_name = |snapshot: &Snapshot| -> BTreeMap<String, _> {
        snapshot.providers.iter().map(|one| (one.info.name.clone(), one.clone())).collect()
    };
    pairs(by_name(before), by_name(after))
        .filter_map(|(name, pair)| match pair {
            (None, Some(_)) => Some(ProviderChange::Added { name }),
            (Some(_), None) => Some(ProviderChange::Removed { name }),
            (Some(before), Some(after)) if Arc::ptr_eq(&before, &after) => None,
            (Some(before), Some(after)) => {
                let (before, after) = (before.made.as_ref()?, after.made.as_ref()?);
                let settings: Vec<String> =
                    after.changed_from(before).into_iter().map(str::to_owned).collect();
                (!settings.is_empty()).then_some(ProviderChange::Changed { name, settings })
            }
            (None, None) => None,
        })
        .collect()
}

fn aliases(before: &Snapshot, after: &Snapshot) -> Vec<AliasChange> {
    let by_name = |snapshot: &Snapshot| -> BTreeMap<String, Target> {
        let aliases = snapshot.routes.names.aliases();
        aliases.map(|(alias, target)| (alias.to_owned(), target.clone())).collect()
    };
    pairs(by_name(before), by_name(after))
        .filter_map(|(alias, pair)| match pair {
            (None, Some(target)) => Some(AliasChange::Added { alias, target: target.shown() }),
            (Some(target), None) => Some(AliasChange::Removed { alias, target: target.shown() }),
            (Some(from), Some(to)) if from.shown() != to.shown() => {
                Some(AliasChange::Changed { alias, from: from.shown(), to: to.shown() })
            }
            (Some(from), Some(to)) => {
                (from != to).then(|| AliasChange::Parameters { alias, target: to.shown() })
            }
            (None, None) => None,
        })
        .collect()
}

/// What stands under each name before and after.
fn pairs<T>(
    before: BTreeMap<String, T>,
    after: BTreeMap<String, T>,
) -> impl Iterator<Item = (String, (Option<T>, Option<T>))> {
    let mut pairs: BTreeMap<String, (Option<T>, Option<T>)> =
        before.into_iter().map(|(name, value)| (name, (Some(value), None))).collect();
    for (name, value) in after {
        pairs.entry(name).or_default().1 = Some(value);
    }
    pairs.into_iter()
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |what: &str, items: Vec<String>| {
            (!items.is_empty()).then(|| format!("{what}: {}", items.join(", ")))
        };
        let providers = self.providers.iter().map(ToString::to_string).collect();
        let aliases = self.aliases.iter().map(ToString::to_string).collect();
        let default = self.default.as_ref().map(|change| format!("default: {change}"));
        let parts: Vec<String> = [listed("providers", providers), listed("aliases", aliases), default]
            .into_iter()
            .flatten()
            .collect();
        f.write_str(if parts.is_empty() { "nothing changed" } else { "" })?;
        f.write_str(&parts.join("; "))
    }
}

impl fmt::Display for ProviderChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added { name } => write!(f, "`{name}` added"),
            Self::Removed { name } => write!(f, "`{name}` removed"),
            Self::Changed { name, settings } => write!(f, "`{name}` changed ({})", settings.join(", ")),
        }
    }
}

impl fmt::Display for AliasChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added { alias, target } => write!(f, "`{alias}` is {target} (new)"),
            Self::Removed { alias, target } => write!(f, "`{alias}` removed (was {target})"),
            Self::Changed { alias, from, to } => write!(f, "`{alias}` is {to} (was {from})"),
            Self::Parameters { alias, target } => {
                write!(f, "`{alias}` is {target} with other parameters")
            }
        }
    }
}

impl fmt::Display for DefaultChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |model: &Option<String>| model.clone().unwrap_or_else(|| "none".to_owned());
        write!(f, "{} (was {})", shown(&self.to), shown(&self.from))
    }
}
