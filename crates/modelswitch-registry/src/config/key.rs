//! Where keys are said to be; never a key.

use std::fmt;
use std::time::Duration;

use serde::de::{
    self, Deserialize, Deserializer, SeqAccess, Unexpected, Visitor, value::MapAccessDeserializer,
};

use super::{Period, limit};
use crate::mistake::looks_like_a_key;

/// What [`KeyConfig`] says when a key itself stands in its place.
pub(crate) const LITERAL_KEY: &str = "a literal key";

/// What it says when a variable's name stands there, before that name.
pub(crate) const NAMED_VARIABLE: &str = "a variable's name: ";

/// What a key's setting is said to be.
const EXPECTED: &str = "{ env = \"VARIABLE\" }, { file = \"/path\" }, { command = [\"program\", \"argument\"] } or \
                        { keyring = \"name\" }, or a list of them";

/// One place to read a key from, or several keys that share the work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyConfig {
    One(KeyEntry),
    Pool(Vec<KeyEntry>),
}

/// One place to read a key from. Exactly one of the first four is right; that is checked where the rest is known too.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct KeyEntry {
    pub(crate) env: Option<String>,
    pub(crate) file: Option<String>,
    /// A program and its arguments; no shell.
    pub(crate) command: Option<Vec<String>>,
    pub(crate) keyring: Option<String>,
    /// How long the command may take.
    pub(crate) timeout: Option<Duration>,
    /// How long what the command printed is used: its `ttl` by another name.
    pub(crate) cache: Option<Duration>,
    /// After how long the key is read again.
    pub(crate) ttl: Option<Duration>,
}

impl<'de> Deserialize<'de> for KeyConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = KeyConfig;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }
            fn visit_str<E: de::Error>(self, key: &str) -> Result<Self::Value, E> {
                Err(literal(key))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                entry(map).map(KeyConfig::One)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = list.next_element()? {
                    entries.push(entry);
                }
                if entries.is_empty() {
                    return Err(de::Error::invalid_value(Unexpected::Other("an empty list"), &self));
                }
                Ok(KeyConfig::Pool(entries))
            }
        }
        deserializer.deserialize_any(Keys)
    }
}

impl<'de> Deserialize<'de> for KeyEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Key;
        impl<'de> Visitor<'de> for Key {
            type Value = KeyEntry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED.trim_end_matches(", or a list of them"))
            }
            fn visit_str<E: de::Error>(self, key: &str) -> Result<Self::Value, E> {
                // Where a mistake was taken out of a list, an empty text stands. One that somebody wrote names no
                // source, and is found by that.
                if key.is_empty() { Ok(KeyEntry::default()) } else { Err(literal(key)) }
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                entry(map)
            }
        }
        deserializer.deserialize_any(Key)
    }
}

fn literal<E: de::Error>(key: &str) -> E {
    match variable_named(key) {
        Some(variable) => E::custom(format_args!("{NAMED_VARIABLE}{variable}")),
        None => E::custom(LITERAL_KEY),
    }
}

/// The variable that somebody named in the key's place, `OPENAI_API_KEY` or `${OPENAI_API_KEY}`. Keys aren't made of
/// capitals and such words; what might be one all the same is none.
fn variable_named(text: &str) -> Option<&str> {
    let text = text.trim();
    let inner = text
        .strip_prefix('$')
        .map(|rest| rest.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(rest));
    let name = inner.unwrap_or(text);
    let is_name = name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    let has_word = name.split('_').any(|word| matches!(word, "KEY" | "TOKEN" | "SECRET" | "APIKEY"));
    (is_name && name.contains('_') && has_word && !looks_like_a_key(name)).then_some(name)
}

fn entry<'de, A: de::MapAccess<'de>>(map: A) -> Result<KeyEntry, A::Error> {
    #[derive(Default, serde::Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Table {
        env: Option<String>,
        file: Option<String>,
        command: Option<Vec<String>>,
        keyring: Option<String>,
        #[serde(deserialize_with = "limit")]
        timeout: Option<Period>,
        cache: Option<Period>,
        ttl: Option<Period>,
    }
    let Table { env, file, command, keyring, timeout, cache, ttl } =
        Table::deserialize(MapAccessDeserializer::new(map))?;
    let time = |period: Option<Period>| period.map(|Period(time)| time);
    Ok(KeyEntry { env, file, command, keyring, timeout: time(timeout), cache: time(cache), ttl: time(ttl) })
}

/// Not the command: an argument may tell more than it should.
impl fmt::Debug for KeyEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyEntry")
            .field("env", &self.env)
            .field("file", &self.file)
            .field("command", &self.command.as_ref().map(Vec::len))
            .field("keyring", &self.keyring)
            .finish_non_exhaustive()
    }
}
