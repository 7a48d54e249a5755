//! The words of a profile that can be told to be wrong when it is read.

use std::collections::BTreeMap;

use serde::de::{self, Unexpected};
use serde::{Deserialize, Deserializer};

use super::Effort;
use super::parameters::PARAMETERS;

/// OpenAI's words of `reasoning_effort`, and `default` of Groq's.
const EFFORTS: &[&str] = &["none", "minimal", "low", "medium", "high", "xhigh", "max", "default"];

/// Shorter names are too near to each other: `top_k` is no misspelt `top_p`.
const SHORTEST_MISSPELT: usize = 6;

/// The name of a parameter. A service may have others than those that are known here, so one is wrong only where it is
/// nearly one of these.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        match meant(&name) {
            None => Ok(Self(name)),
            Some(meant) => {
                let wanted = format!("`{meant}`, or another name");
                Err(de::Error::invalid_value(Unexpected::Other("misspelt"), &wanted.as_str()))
            }
        }
    }
}

/// The parameter that a misspelt one was meant to be: a letter is wrong, missing, doubled, swapped or a capital.
fn meant(name: &str) -> Option<&'static str> {
    let mut known = PARAMETERS.iter().map(|(known, _)| *known);
    if name.len() < SHORTEST_MISSPELT || known.clone().any(|known| known == name) {
        return None;
    }
    let lower = name.to_lowercase();
    known.find(|known| strsim::osa_distance(known, &lower) <= 1)
}

struct Range(f64, f64);

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (least, most) = <(f64, f64)>::deserialize(deserializer)?;
        if least <= most {
            Ok(Self(least, most))
        } else {
            Err(de::Error::invalid_value(
                Unexpected::Other("the most first"),
                &"two numbers, the least first",
            ))
        }
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Word(String);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        if EFFORTS.contains(&word.as_str()) {
            Ok(Self(word))
        } else {
            Err(de::Error::unknown_field(&word, EFFORTS))
        }
    }
}

pub(super) fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<Name>::deserialize(deserializer)?;
    Ok(names.into_iter().map(|name| name.0).collect())
}

pub(super) fn some_names<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<String>>, D::Error> {
    names(deserializer).map(Some)
}

pub(super) fn renamed<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let renamed = BTreeMap::<Name, String>::deserialize(deserializer)?;
    Ok(renamed.into_iter().map(|(name, own)| (name.0, own)).collect())
}

pub(super) fn ranges<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, (f64, f64)>, D::Error> {
    let ranges = BTreeMap::<Name, Range>::deserialize(deserializer)?;
    Ok(ranges.into_iter().map(|(name, range)| (name.0, (range.0, range.1))).collect())
}

pub(super) fn efforts<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Effort>, D::Error> {
    let efforts = BTreeMap::<Word, Effort>::deserialize(deserializer)?;
    Ok(efforts.into_iter().map(|(word, effort)| (word.0, effort)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Profile;

    #[test]
    fn a_word_that_cannot_be_right_is_told_with_its_path_and_what_would_be() {
        for (text, told) in [
            ("tool_choice = ['any']", "`request.tool_choice[0]` must be one of `auto`, `none`, `required`"),
            (
                "response_format = ['json']",
                "`request.response_format[0]` must be one of `text`, `json_object`",
            ),
            (
                "ranges.temperature = [1.0, 0.0]",
                "`request.ranges.temperature` must be two numbers, the least first",
            ),
            ("effort.hihg = 'high'", "`request.effort.hihg` is not a field; allowed are `none`, `minimal`"),
            ("drop = ['temprature']", "`request.drop[0]` must be `temperature`, or another name"),
            ("refuse = ['Logit_Bias']", "`request.refuse[0]` must be `logit_bias`, or another name"),
            ("rename = { max_token = 'x' }", "must be `max_tokens`, or another name"),
            ("ranges = { presense_penalty = [0, 1] }", "must be `presence_penalty`, or another name"),
        ] {
            for section in ["request", "model.m.request"] {
                let error = Profile::from_toml("mine", &format!("[{section}]\n{text}")).unwrap_err();
                let told = told.replace("`request.", &format!("`{section}."));
                assert!(error.message().contains(&told), "{error}");
            }
        }
    }

    #[test]
    fn a_name_of_a_services_own_is_no_misspelt_one() {
        for name in [
            "top_k",
            "top_a",
            "min_p",
            "users",
            "user_id",
            "max_new_tokens",
            "search_parameters",
            "thinking_budget",
        ] {
            assert_eq!(meant(name), None, "{name}");
        }
    }
}
