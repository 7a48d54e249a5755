//! What a provider may be asked for, as it is written.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Unexpected, Visitor};

/// A model's exact id, or the beginning of some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModelPattern {
    text: String,
    is_beginning: bool,
}

impl ModelPattern {
    /// True for this very id, or one that begins so.
    pub(crate) fn is_exactly(&self, model: &str) -> bool {
        if self.is_beginning { model.starts_with(&self.text) } else { model == self.text }
    }

    /// The same, and for one that a service with lenient eyes might take for it: in other capitals, with blanks around.
    pub(crate) fn is_like(&self, model: &str) -> bool {
        let folded = Self { text: self.text.to_lowercase(), is_beginning: self.is_beginning };
        folded.is_exactly(&model.trim().to_lowercase())
    }
}

impl ModelPattern {
    /// The id, or its beginning.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for ModelPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.text, if self.is_beginning { "*" } else { "" })
    }
}

impl<'de> Deserialize<'de> for ModelPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pattern;
        impl Visitor<'_> for Pattern {
            type Value = ModelPattern;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the exact id of a model, or the beginning of some and a `*` at the end")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                let text = text.trim();
                let (text, is_beginning) = text.strip_suffix('*').map_or((text, false), |text| (text, true));
                if text.contains('*') || (text.is_empty() && !is_beginning) {
                    return Err(E::invalid_value(Unexpected::Other("another text"), &self));
                }
                Ok(ModelPattern { text: text.to_owned(), is_beginning })
            }
        }
        deserializer.deserialize_any(Pattern)
    }
}

/// Endpoints of one kind, or those under a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndpointRule {
    /// As it was written.
    name: String,
    path: String,
}

/// The endpoints that have names, with the path that they are under.
const ENDPOINTS: [(&str, &str); 11] = [
    ("chat", "/chat/completions"),
    ("completions", "/completions"),
    ("embeddings", "/embeddings"),
    ("models", "/models"),
    ("responses", "/responses"),
    ("files", "/files"),
    ("messages", "/messages"),
    ("audio", "/audio"),
    ("images", "/images"),
    ("moderations", "/moderations"),
    ("balance", "/user/balance"),
];

/// What can be written. A test holds it against the names.
const WORDS: &[&str] = &[
    "chat",
    "completions",
    "embeddings",
    "models",
    "responses",
    "files",
    "messages",
    "audio",
    "images",
    "moderations",
    "balance",
    "/a/path",
];

impl EndpointRule {
    /// True for the path of an endpoint that it means, or one below it. Whatever version or beta of an API a path begins
    /// with makes no difference, unless a rule is a path itself.
    pub(crate) fn allows(&self, path: &str) -> bool {
        let is_path = self.name.starts_with('/');
        let path = if is_path { path } else { without_version(path) };
        path.strip_prefix(self.path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for EndpointRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// `/anthropic/v1/messages` is `/messages`.
pub(crate) fn without_version(path: &str) -> &str {
    let mut path = path;
    for prefix in ["/anthropic", "/beta", "/v1"] {
        path = path.strip_prefix(prefix).filter(|rest| rest.starts_with('/')).unwrap_or(path);
    }
    path
}

impl<'de> Deserialize<'de> for EndpointRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rule;
        impl Visitor<'_> for Rule {
            type Value = EndpointRule;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&super::one_of(WORDS))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                let name = text.trim();
                let named = ENDPOINTS.iter().find(|(known, _)| *known == name).map(|(_, path)| *path);
                let path =
                    named.or_else(|| name.starts_with('/').then(|| name.strip_suffix('/').unwrap_or(name)));
                match path {
                    Some(path) => Ok(EndpointRule { name: name.to_owned(), path: path.to_owned() }),
                    None => Err(E::unknown_variant(text, WORDS)),
                }
            }
        }
        deserializer.deserialize_any(Rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> ModelPattern {
        serde_json::from_value(text.into()).unwrap()
    }

    #[test]
    fn a_pattern_is_an_exact_id_or_a_beginning() {
        assert!(pattern("gpt-4o").is_exactly("gpt-4o") && !pattern("gpt-4o").is_exactly("gpt-4o-mini"));
        assert!(pattern("gpt-4*").is_exactly("gpt-4o-mini") && !pattern("gpt-4*").is_exactly("gpt-3"));
        assert!(pattern("*").is_exactly("whatever"));
        assert!(pattern("gpt-4o").is_like(" GPT-4o ") && !pattern("gpt-4o").is_exactly("GPT-4o"));
        for wrong in ["", "g*t", "**"] {
            assert!(serde_json::from_value::<ModelPattern>(wrong.into()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_named_endpoint_is_a_family_and_a_path_is_taken_as_it_is() {
        let allows = |rule: &str, path: &str| {
            serde_json::from_value::<EndpointRule>(rule.into()).unwrap().allows(path)
        };
        assert!(allows("chat", "/chat/completions") && allows("chat", "/chat/completions/abc"));
        assert!(!allows("completions", "/chat/completions") && allows("completions", "/beta/completions"));
        assert!(allows("messages", "/anthropic/v1/messages/count_tokens"));
        assert!(allows("/batches", "/batches/b1") && !allows("/batches", "/batchesx"));
        assert!(!allows("/files", "/anthropic/v1/files") && allows("/", "/files"));
        assert!(serde_json::from_value::<EndpointRule>("chats".into()).is_err());
    }

    #[test]
    fn every_name_is_told_to_whoever_misspelt_one() {
        assert_eq!(&WORDS[..WORDS.len() - 1], ENDPOINTS.map(|(name, _)| name));
    }
}
