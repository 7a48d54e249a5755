//! What `[models]` says that a name stands for: a target, a list of them, or a table that says more.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Unexpected, Visitor};

use modelswitch_layers::StickyBy;

use super::layers::{BreakerConfig, BudgetConfig, CacheConfig, LimitsConfig, Switch};
use super::value::{EMPTY_LIST, Free, NotEmpty, Period, Word, number};
use super::{RetryConfig, TimeoutConfig};

/// An alias as it is written.
#[derive(Clone, Debug, Default)]
pub(crate) struct AliasConfig {
    /// One target, in a table of its own or as all that is written.
    pub(crate) target: Option<String>,
    /// Several, in the order in which they are tried.
    pub(crate) targets: Option<NotEmpty<Weighted>>,
    pub(crate) strategy: Option<Word<Strategy>>,
    /// One for each of `targets`, where they don't say it themselves.
    pub(crate) weights: Option<NotEmpty<Weight>>,
    /// By what calls belong together, which then go to one target.
    pub(crate) sticky: Option<Word<Sticky>>,
    /// After how long without an answer the next one is asked too.
    pub(crate) hedge_after: Option<Period>,
    /// Parameters for requests that don't say them.
    pub(crate) defaults: BTreeMap<String, Free>,
    /// Parameters for every request.
    pub(crate) overrides: BTreeMap<String, Free>,
    /// What holds for its calls.
    pub(crate) layers: AliasLayers,
}

/// What an alias says of its calls besides who answers them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AliasLayers {
    pub(crate) retry: RetryConfig,
    pub(crate) timeout: TimeoutConfig,
    /// For all of its calls together, beside those of each provider.
    pub(crate) limits: LimitsConfig,
    pub(crate) breaker: Option<Switch<BreakerConfig>>,
    pub(crate) cache: Option<Switch<CacheConfig>>,
    pub(crate) budget: Option<BudgetConfig>,
}

impl AliasLayers {
    /// Whether its targets are asked otherwise than they are by their own names.
    pub(crate) fn is_about_targets(&self) -> bool {
        let timeout = TimeoutConfig { total: None, ..self.timeout };
        self.retry != RetryConfig::default() || timeout != TimeoutConfig::default() || self.breaker.is_some()
    }

    /// These, and those of the alias that this one stands for where they say nothing.
    pub(crate) fn or(self, inner: &Self) -> Self {
        let whole = self.timeout.total.or(inner.timeout.total);
        Self {
            retry: self.retry.or(inner.retry),
            timeout: TimeoutConfig { total: whole, ..self.timeout.or(inner.timeout) },
            limits: self.limits.or(inner.limits),
            breaker: self.breaker.or(inner.breaker),
            cache: self.cache.or(inner.cache),
            budget: self.budget.or_else(|| inner.budget.clone()),
        }
    }
}

impl AliasConfig {
    /// Where it points, in order.
    pub(crate) fn targets(&self) -> Vec<String> {
        match (&self.target, &self.targets) {
            (Some(target), _) => vec![target.clone()],
            (None, Some(NotEmpty(targets))) => targets.iter().map(|target| target.model.clone()).collect(),
            (None, None) => Vec::new(),
        }
    }

    /// The positions of the targets that say their own weight.
    pub(crate) fn weighted(&self) -> Vec<usize> {
        let targets = self.targets.iter().flat_map(|NotEmpty(targets)| targets).enumerate();
        targets.filter(|(_, target)| target.weight.is_some()).map(|(position, _)| position).collect()
    }
}

/// One of several targets: `"provider/model"`, or a table that gives it a weight.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weighted {
    pub(crate) model: String,
    pub(crate) weight: Option<Weight>,
}

impl<'de> Deserialize<'de> for Weighted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Table {
            model: Option<String>,
            weight: Option<Weight>,
        }
        struct Target;
        impl<'de> Visitor<'de> for Target {
            type Value = Weighted;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"provider/model\", or { model = \"provider/model\", weight = 3 }")
            }
            fn visit_str<E: de::Error>(self, model: &str) -> Result<Self::Value, E> {
                Ok(Weighted { model: model.to_owned(), weight: None })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let Table { model, weight } = Table::deserialize(MapAccessDeserializer::new(map))?;
                // One that names no model is told of where its place is known.
                Ok(Weighted { model: model.unwrap_or_default(), weight })
            }
        }
        deserializer.deserialize_any(Target)
    }
}

/// How one of several targets is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Strategy {
    /// The first that answers.
    #[default]
    Fallback,
    /// Each in its turn, by weight.
    RoundRobin,
    /// The same under a general word.
    Balance,
    /// The one with the fewest calls in flight.
    LeastBusy,
    /// The one whose first content comes soonest.
    Fastest,
    /// The one with the lowest price.
    Cheapest,
}

impl Strategy {
    /// How the load is spread; `None` where it isn't.
    pub(crate) fn balanced(self) -> Option<modelswitch_layers::Strategy> {
        match self {
            Self::Fallback => None,
            Self::RoundRobin | Self::Balance => Some(modelswitch_layers::Strategy::RoundRobin),
            Self::LeastBusy => Some(modelswitch_layers::Strategy::LeastBusy),
            Self::Fastest => Some(modelswitch_layers::Strategy::Fastest),
            Self::Cheapest => Some(modelswitch_layers::Strategy::Cheapest),
        }
    }
}

/// By what calls belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Sticky {
    /// By what code says of the call.
    Key,
    /// By OpenAI's parameter of that name.
    PromptCacheKey,
    /// By whom the request names.
    User,
    /// By the beginning of the messages.
    Conversation,
}

impl From<Sticky> for StickyBy {
    fn from(sticky: Sticky) -> Self {
        match sticky {
            Sticky::Key => Self::Key,
            Sticky::PromptCacheKey => Self::PromptCacheKey,
            Sticky::User => Self::User,
            Sticky::Conversation => Self::Conversation,
        }
    }
}

impl<'de> Deserialize<'de> for AliasConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Table {
            target: Option<String>,
            targets: Option<NotEmpty<Weighted>>,
            strategy: Option<Word<Strategy>>,
            weights: Option<NotEmpty<Weight>>,
            sticky: Option<Word<Sticky>>,
            hedge_after: Option<Period>,
            defaults: BTreeMap<String, Free>,
            overrides: BTreeMap<String, Free>,
            retry: RetryConfig,
            timeout: TimeoutConfig,
            limits: LimitsConfig,
            breaker: Option<Switch<BreakerConfig>>,
            cache: Option<Switch<CacheConfig>>,
            budget: Option<BudgetConfig>,
        }
        struct Alias;
        impl<'de> Visitor<'de> for Alias {
            type Value = AliasConfig;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"provider/model\", a list of them, or { targets = [\"provider/model\"] }")
            }
            fn visit_str<E: de::Error>(self, target: &str) -> Result<Self::Value, E> {
                Ok(AliasConfig { target: Some(target.to_owned()), ..AliasConfig::default() })
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
                let targets = Vec::deserialize(SeqAccessDeserializer::new(list))?;
                if targets.is_empty() {
                    return Err(de::Error::invalid_value(Unexpected::Other(EMPTY_LIST), &self));
                }
                Ok(AliasConfig { targets: Some(NotEmpty(targets)), ..AliasConfig::default() })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let table = Table::deserialize(MapAccessDeserializer::new(map))?;
                let layers = AliasLayers {
                    retry: table.retry,
                    timeout: table.timeout,
                    limits: table.limits,
                    breaker: table.breaker,
                    cache: table.cache,
                    budget: table.budget,
                };
                Ok(AliasConfig {
                    target: table.target,
                    targets: table.targets,
                    strategy: table.strategy,
                    weights: table.weights,
                    sticky: table.sticky,
                    hedge_after: table.hedge_after,
                    defaults: table.defaults,
                    overrides: table.overrides,
                    layers,
                })
            }
        }
        deserializer.deserialize_any(Alias)
    }
}

/// How often a target is chosen, compared with the others: a number above zero. As text too, which variables hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Weight(pub(crate) f64);

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        number(deserializer, "a number above 0", |number| number > 0.0).map(Self)
    }
}
