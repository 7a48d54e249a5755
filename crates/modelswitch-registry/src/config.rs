//! The configuration as plain structs. Values that may be written in several ways have visitors of their own, since
//! enums that guess lose the path of the setting.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use modelswitch_deepseek::{BrokenOff, EmptyAnswer, ForcedToolChoice, JsonSchema, Policies};
use serde::de::{
    self, DeserializeOwned, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
    value::{MapAccessDeserializer, StrDeserializer},
};
use serde::{Deserialize, de::Error as _};

mod key;

pub(crate) use key::{KeyConfig, KeyEntry, LITERAL_KEY};

/// Everything that a configuration can say.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// What answers when a request names no model.
    pub(crate) default: Option<String>,
    pub(crate) providers: BTreeMap<String, ProviderConfig>,
    /// Aliases.
    pub(crate) models: BTreeMap<String, Targets>,
    pub(crate) retry: RetryConfig,
    pub(crate) timeout: TimeoutConfig,
    pub(crate) log: LogConfig,
}

/// The settings that stand at the top, for whoever reads them from variables.
pub(crate) const TOP: [&str; 6] = ["default", "providers", "models", "retry", "timeout", "log"];

/// What the line of each call is accompanied by.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogConfig {
    /// Writes what is asked and answered, at debug.
    pub(crate) content: Option<Flag>,
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
    pub(crate) headers: Headers,
    /// What an adapter does where a service and OpenAI's API differ; for profiles that have one.
    pub(crate) policy: Option<PolicyConfig>,
    pub(crate) retry: RetryConfig,
    pub(crate) timeout: TimeoutConfig,
}

/// The policies of DeepSeek's adapter, the only one so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PolicyConfig {
    strict: Option<Flag>,
    forced_tool_choice: Option<Word<ForcedToolChoice>>,
    json_schema: Option<Word<JsonSchema>>,
    broken_off: Option<Word<BrokenOff>>,
    empty_answer: Option<Word<EmptyAnswer>>,
    pub(crate) reasoning_memory: Option<MemoryConfig>,
}

impl PolicyConfig {
    /// These settings, and the adapter's own where they say nothing.
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
}

impl RetryConfig {
    /// These settings, and those of `common` where they say nothing.
    pub(crate) fn or(self, common: Self) -> Self {
        Self {
            attempts: self.attempts.or(common.attempts),
            base_delay: self.base_delay.or(common.base_delay),
            max_delay: self.max_delay.or(common.max_delay),
            max_retry_after: self.max_retry_after.or(common.max_retry_after),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TimeoutConfig {
    pub(crate) connect: Option<Period>,
    pub(crate) first_byte: Option<Period>,
    pub(crate) idle: Option<Period>,
}

impl TimeoutConfig {
    /// These settings, and those of `common` where they say nothing.
    pub(crate) fn or(self, common: Self) -> Self {
        Self {
            connect: self.connect.or(common.connect),
            first_byte: self.first_byte.or(common.first_byte),
            idle: self.idle.or(common.idle),
        }
    }
}

/// One target, or several in the order in which they are tried.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Targets(pub(crate) Vec<String>);

impl<'de> Deserialize<'de> for Targets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Several;
        impl<'de> Visitor<'de> for Several {
            type Value = Targets;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"provider/model\", or a list of them")
            }
            fn visit_str<E: de::Error>(self, target: &str) -> Result<Self::Value, E> {
                Ok(Targets(vec![target.to_owned()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut targets = Vec::new();
                while let Some(target) = list.next_element()? {
                    targets.push(target);
                }
                if targets.is_empty() {
                    return Err(A::Error::invalid_value(Unexpected::Other("an empty list"), &self));
                }
                Ok(Targets(targets))
            }
        }
        deserializer.deserialize_any(Several)
    }
}

/// Headers of the user's own. Their values may be anything, so only names are shown.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Headers(pub(crate) BTreeMap<String, String>);

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What a duration is said to be.
pub(crate) const DURATION: &str = "a duration with its unit in quotes, such as \"10s\" or \"5m\"";

/// `10s`, `5m`: a number alone doesn't say of what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Period(pub(crate) Duration);

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Period;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(DURATION)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                // A variable holds its numbers as text.
                if let Ok(number) = text.trim().parse() {
                    return Err(E::invalid_type(Unexpected::Unsigned(number), &self));
                }
                humantime::parse_duration(text)
                    .map(Period)
                    .map_err(|_| E::invalid_value(Unexpected::Other("another text"), &self))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

/// A number of at least one. As text too: that is what a variable holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Count(pub(crate) u32);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Number {
            fn checked<E: de::Error>(self, number: Option<u32>) -> Result<Count, E> {
                match number {
                    Some(number @ 1..) => Ok(Count(number)),
                    Some(0) | None => Err(E::invalid_value(Unexpected::Other("another value"), &self)),
                }
            }
        }
        impl Visitor<'_> for Number {
            type Value = Count;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number of at least 1")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
                self.checked(u32::try_from(number).ok())
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
                self.checked(u32::try_from(number).ok())
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                self.checked(text.trim().parse().ok())
            }
        }
        deserializer.deserialize_any(Number)
    }
}

/// `true` or `false`. As text too: that is what a variable holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Flag(pub(crate) bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Switch;
        impl Visitor<'_> for Switch {
            type Value = Flag;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true or false")
            }
            fn visit_bool<E: de::Error>(self, on: bool) -> Result<Self::Value, E> {
                Ok(Flag(on))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                text.trim()
                    .parse()
                    .map(Flag)
                    .map_err(|_| E::invalid_value(Unexpected::Other("another text"), &self))
            }
        }
        deserializer.deserialize_any(Switch)
    }
}

/// One of the words that a type is written with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Word<T>(pub(crate) T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<T>(std::marker::PhantomData<T>);
        impl<T: DeserializeOwned> Visitor<'_> for Text<T> {
            type Value = Word<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&one_of(words::<T>()))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                T::deserialize(text.trim().into_deserializer()).map(Word)
            }
        }
        deserializer.deserialize_any(Text(std::marker::PhantomData))
    }
}

/// `"a", "b" or "c"`
pub(crate) fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.as_slice() {
        [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        few => few.concat(),
    }
}

/// The words that a type without data is written with: it names them when it is given another.
fn words<T: DeserializeOwned>() -> &'static [&'static str] {
    #[derive(Debug)]
    struct Refusal(&'static [&'static str]);
    impl fmt::Display for Refusal {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("another word was wanted")
        }
    }
    impl std::error::Error for Refusal {}
    impl de::Error for Refusal {
        fn custom<M: fmt::Display>(_: M) -> Self {
            Self(&[])
        }
        fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
            Self(expected)
        }
    }
    T::deserialize(StrDeserializer::<Refusal>::new("")).err().map_or(&[], |Refusal(words)| words)
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
