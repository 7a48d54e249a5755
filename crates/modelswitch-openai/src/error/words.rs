//! The words that mean the same with every service, as data.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::FailureKind;

/// Words by the kind that they mean.
pub(super) type Table = BTreeMap<FailureKind, Vec<String>>;

/// See the file for what each table is.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Words {
    pub(super) names: Table,
    pub(super) vague: Table,
    pub(super) phrases: Table,
}

/// A test reads the file, so it can be read in a build that passed.
pub(super) static WORDS: LazyLock<Words> = LazyLock::new(|| Words::read().unwrap_or_default());

impl Words {
    fn read() -> Result<Self, toml::de::Error> {
        let mut words: Self = toml::from_str(include_str!("words.toml"))?;
        for table in [&mut words.names, &mut words.vague] {
            for names in table.values_mut() {
                names.iter_mut().for_each(|name| *name = plain(name));
            }
        }
        Ok(words)
    }
}

/// A name without case and separators.
pub(super) fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_can_be_read_and_none_stands_twice() {
        let words = Words::read().unwrap();
        for table in [&words.names, &words.vague, &words.phrases] {
            let mut all: Vec<&String> = table.values().flatten().collect();
            let count = all.len();
            all.sort();
            all.dedup();
            assert!(all.len() == count && count > 0 && all.iter().all(|word| word.len() > 3));
        }
        assert!(words.phrases.values().flatten().all(|phrase| *phrase == phrase.to_lowercase()));
    }
}
