//! The configuration as plain structs. Values that may be written in several ways have visitors of their own, since
//! enums that guess lose the path of the setting.

mod access;
mod alias;
mod key;
mod layers;
mod value;

use std::collections::BTreeMap;
use std::fmt;

use modelswitch_deepseek::{BrokenOff, EmptyAnswer, ForcedToolChoice, JsonSchema, Policies};
use modelswitch_layers::{Log, Metrics, Observe, Trace};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Unexpected, Visitor, value::MapAccessDeserializer};

pub(crate) use access::{EndpointRule, ModelPattern, without_version};
#[cfg(test)]
pub(crate) use alias::Weighted;
pub(crate) use alias::{AliasConfig, AliasLayers, Sticky, Strategy, Weight};
pub(crate) use key::{KeyConfig, KeyEntry, LITERAL_KEY, NAMED_VARIABLE};
pub(crate) use layers::{
    Amount, BreakerConfig, BudgetConfig, CacheConfig, Each, LedgerConfig, LimitsConfig, Section, Share, Size,
    Switch, Temperature, Unpriced, UtcOffset,
};
pub(crate) use value::{
    Count, DURATION, EMPTY_LIST, Flag, Free, Hidden, NO_TIME, NotEmpty, Period, Word, limit, one_of,
};

/// Everything that a configuration can say.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// What answers when a request names no model.
    pub(crate) default: Option<String>,
    pub(crate) providers: BTreeMap<String, ProviderConfig>,
    /// Aliases.
    pub(crate) models: BTreeMap<String, AliasConfig>,
    /// Profiles of the user's own, read by whoever knows what they are laid over.
    pub(crate) profiles: BTreeMap<String, Free>,
    pub(crate) retry: RetryConfig,
    pub(crate) timeout: TimeoutConfig,
    /// What each provider may be asked.
    pub(crate) limits: LimitsConfig,
    pub(crate) breaker: Option<Switch<BreakerConfig>>,
    pub(crate) cache: Option<Switch<CacheConfig>>,
    /// What all may spend together.
    pub(crate) budget: Option<BudgetConfig>,
    pub(crate) ledger: Option<Switch<LedgerConfig>>,
    pub(crate) log: LogConfig,
    /// Whether each call is a span; it is unless switched off.
    pub(crate) trace: Option<Switch<TraceConfig>>,
    /// Whether calls are measured.
    pub(crate) metrics: Option<Flag>,
}

/// The settings that stand at the top, for whoever reads them from variables.
pub(crate) const TOP: [&str; 14] = [
    "default",
    "providers",
    "models",
    "profiles",
    "retry",
    "timeout",
    "limits",
    "breaker",
    "cache",
    "budget",
    "ledger",
    "log",
    "trace",
    "metrics",
];

/// What the line of each call is accompanied by.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogConfig {
    /// Writes what is asked and answered, at debug.
    pub(crate) content: Option<Flag>,
    /// Asks for the tokens of every stream, for all that tell of calls.
    pub(crate) usage: Option<Flag>,
}

/// What the span of each call has besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TraceConfig {
    /// Puts what is asked and answered on it.
    pub(crate) content: Option<Flag>,
}

impl Section for TraceConfig {
    fn or(self, common: Self) -> Self {
        Self { content: self.content.or(common.content) }
    }
}

impl Config {
    /// What the span of each call is set to; `None` where there is none.
    pub(crate) fn spans(&self) -> Option<TraceConfig> {
        Switch::settle(self.trace, Some(Switch::On(TraceConfig::default())))
    }

    /// What tells of each call.
    pub(crate) fn observe(&self) -> Observe {
        let is_on = |flag: Option<Flag>| flag.is_some_and(|flag| flag.0);
        let usage = is_on(self.log.usage);
        let trace =
            self.spans().map(|spans| Trace::new().with_content(is_on(spans.content)).with_usage(usage));
        let log = Log::new().with_content(is_on(self.log.content)).with_usage(usage);
        let metrics = is_on(self.metrics).then(|| Metrics::new().with_usage(usage));
        Observe::new().trace(trace).log(log).metrics(metrics)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ProviderConfig {
    /// The provider's own name when left out.
    pub(crate) profile: Option<String>,
    pub(crate) base_url: Option<String>,
    pub(crate) api_key: Option<KeyConfig>,
    pub(crate) default_model: Option<String>,
    /// Names that this provider owns, besides those of its profile.
    pub(crate) models: Vec<String>,
    pub(crate) allow_plain_http: Option<Flag>,
    /// How the key is sent, where that isn't as the profile says.
    pub(crate) auth: AuthConfig,
    pub(crate) headers: Hidden,
    /// What every URL gets appended.
    pub(crate) query: Hidden,
    pub(crate) allow_models: Option<NotEmpty<ModelPattern>>,
    pub(crate) deny_models: Option<NotEmpty<ModelPattern>>,
    pub(crate) allow_endpoints: Option<NotEmpty<EndpointRule>>,
    /// Who makes it, where that is code.
    pub(crate) kind: Option<String>,
    /// What its maker reads.
    pub(crate) settings: Option<Free>,
    /// What is done where a service and OpenAI's API differ.
    pub(crate) policy: Option<PolicyConfig>,
    pub(crate) retry: RetryConfig,
    pub(crate) timeout: TimeoutConfig,
    pub(crate) limits: LimitsConfig,
    pub(crate) breaker: Option<Switch<BreakerConfig>>,
    pub(crate) cache: Option<Switch<CacheConfig>>,
    /// What may be spent at it.
    pub(crate) budget: Option<BudgetConfig>,
}

/// How the key is sent.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AuthConfig {
    pub(crate) header: Option<String>,
    /// The word before the key; none when empty.
    pub(crate) scheme: Option<String>,
    pub(crate) required: Option<Flag>,
}

/// What is done where a service and OpenAI's API differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PolicyConfig {
    strict: Option<Flag>,
    forced_tool_choice: Option<Word<ForcedToolChoice>>,
    json_schema: Option<Word<JsonSchema>>,
    broken_off: Option<Word<BrokenOff>>,
    empty_answer: Option<Word<EmptyAnswer>>,
    /// DeepSeek's adapter alone has one.
    pub(crate) reasoning_memory: Option<MemoryConfig>,
}

impl PolicyConfig {
    /// These settings, and the defaults where they say nothing.
    pub(crate) fn policies(self) -> Policies {
        let mut policies = Policies::default();
        if let Some(Flag(strict)) = self.strict {
            policies.strict = strict;
        }
        if let Some(Word(choice)) = self.forced_tool_choice {
            policies.forced_tool_choice = choice;
        }
        if let Some(Word(schema)) = self.json_schema {
            policies.json_schema = schema;
        }
        if let Some(Word(broken_off)) = self.broken_off {
            policies.broken_off = broken_off;
        }
        if let Some(Word(empty_answer)) = self.empty_answer {
            policies.empty_answer = empty_answer;
        }
        policies
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RetryConfig {
    pub(crate) attempts: Option<Count>,
    pub(crate) base_delay: Option<Period>,
    pub(crate) max_delay: Option<Period>,
    pub(crate) max_retry_after: Option<Period>,
    /// How many repeats there may be for each call, of all calls together.
    pub(crate) budget: Option<Weight>,
}

impl RetryConfig {
    /// These settings, and those of `common` where they say nothing.
    pub(crate) fn or(self, common: Self) -> Self {
        Self {
            attempts: self.attempts.or(common.attempts),
            base_delay: self.base_delay.or(common.base_delay),
            max_delay: self.max_delay.or(common.max_delay),
            max_retry_after: self.max_retry_after.or(common.max_retry_after),
            budget: self.budget.or(common.budget),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TimeoutConfig {
    #[serde(deserialize_with = "limit")]
    pub(crate) connect: Option<Period>,
    #[serde(deserialize_with = "limit")]
    pub(crate) first_byte: Option<Period>,
    #[serde(deserialize_with = "limit")]
    pub(crate) idle: Option<Period>,
    /// For the whole of a call, with all its tries.
    #[serde(deserialize_with = "limit")]
    pub(crate) total: Option<Period>,
}

impl TimeoutConfig {
    /// These settings, and those of `common` where they say nothing. The whole of a call is the business of whoever says it:
    /// what all may take together isn't what each may.
    pub(crate) fn or(self, common: Self) -> Self {
        Self {
            connect: self.connect.or(common.connect),
            first_byte: self.first_byte.or(common.first_byte),
            idle: self.idle.or(common.idle),
            total: self.total,
        }
    }
}

/// How much of what a model thought is remembered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum MemoryConfig {
    /// Nothing.
    Off,
    /// As much as the adapter thinks right.
    On,
    /// So many answers and so many bytes, each where it is given.
    Bounded { answers: Option<Count>, bytes: Option<Count> },
}

impl<'de> Deserialize<'de> for MemoryConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Table {
            answers: Option<Count>,
            bytes: Option<Count>,
        }
        struct Memory;
        impl<'de> Visitor<'de> for Memory {
            type Value = MemoryConfig;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or { answers = 4000, bytes = 33554432 }")
            }
            fn visit_bool<E: de::Error>(self, on: bool) -> Result<Self::Value, E> {
                Ok(if on { MemoryConfig::On } else { MemoryConfig::Off })
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                match text.trim().parse() {
                    Ok(on) => self.visit_bool(on),
                    Err(_) => Err(E::invalid_value(Unexpected::Other("another text"), &self)),
                }
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let Table { answers, bytes } = Table::deserialize(MapAccessDeserializer::new(map))?;
                Ok(MemoryConfig::Bounded { answers, bytes })
            }
        }
        deserializer.deserialize_any(Memory)
    }
}
