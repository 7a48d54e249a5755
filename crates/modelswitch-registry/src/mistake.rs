//! What is wrong in a configuration, where, and what to write instead.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use modelswitch_provider::{Error, Result};

/// Where a setting stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Place {
    File {
        path: Option<Arc<Path>>,
        line: usize,
        column: usize,
    },
    Variable(String),
    Code,
    /// A source that a figment of the caller's own brought along.
    Other(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path: Some(path), line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::File { path: None, line, column } => write!(f, "line {line}, column {column}"),
            Self::Variable(name) => write!(f, "${name}"),
            Self::Code => f.write_str("set in code"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// One thing that is wrong. No text in it comes from a value that might be a key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mistake {
    pub(crate) place: Option<Place>,
    /// What is wrong, naming the path of the setting.
    pub(crate) what: String,
    /// What to write instead.
    pub(crate) hint: String,
}

impl Mistake {
    pub(crate) fn new(place: Option<Place>, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { place, what: what.into(), hint: hint.into() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.what)
    }
}

/// One error for all mistakes: whoever mends a file wants to run once, not once a mistake. Several stand below each
/// other, each with its hint; the first line can stand alone, in a log for example.
pub(crate) fn none_of(mut mistakes: Vec<Mistake>) -> Result<()> {
    mistakes.sort_by_key(|mistake| match &mistake.place {
        Some(Place::File { line, column, .. }) => (0, *line, *column),
        Some(Place::Variable(_) | Place::Code | Place::Other(_)) | None => (1, 0, 0),
    });
    match mistakes.as_slice() {
        [] => Ok(()),
        [only] => Err(Error::config(only.to_string()).with_hint(only.hint.clone())),
        [first, others @ ..] => {
            let count = mistakes.len();
            let mut lines = vec![format!("{first} (the first of {count} mistakes)\n  {}", first.hint)];
            lines.extend(others.iter().map(|mistake| format!("{mistake}\n  {}", mistake.hint)));
            let hint = format!("mend all {count}, each as the line below it says");
            Err(Error::config(lines.join("\n")).with_hint(hint))
        }
    }
}

/// A path as it would stand in the file: `models."gpt-4.1"`. A key that somebody took for a name isn't in it.
pub(crate) fn dotted<S: AsRef<str>>(path: &[S]) -> String {
    let is_bare = |key: &str| {
        !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
    };
    let keys: Vec<String> = path
        .iter()
        .map(AsRef::as_ref)
        .map(|key| match key {
            key if begins_like_a_key(key) => "…".to_owned(),
            key if is_bare(key) => key.to_owned(),
            key => format!("{key:?}"),
        })
        .collect();
    keys.join(".")
}

/// A value between backticks, unless it might be a key that somebody put in the wrong place.
pub(crate) fn quoted(value: &str) -> String {
    if looks_like_a_key(value) { "a value that looks like a key".to_owned() } else { format!("`{value}`") }
}

/// A guess, to be on the safe side. Names are made of words, keys of long runs of letters and digits.
pub(crate) fn looks_like_a_key(value: &str) -> bool {
    let value = value.trim();
    let is_random = |run: &str| run.len() >= 20 && run.contains(|c: char| c.is_ascii_digit());
    begins_like_a_key(value) || value.split(|c: char| !c.is_ascii_alphanumeric()).any(is_random)
}

/// As most services begin theirs, and nobody a name.
pub(crate) fn begins_like_a_key(value: &str) -> bool {
    ["sk-", "sk_", "Bearer "].iter().any(|prefix| value.trim().starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_keys() {
        for key in ["sk-1", "Bearer x", "0123456789abcdef0123456789abcdef", "gsk_a1B2c3D4e5F6g7H8i9J0k"] {
            assert!(looks_like_a_key(key), "{key}");
        }
        for name in [
            "deepseek-v4-flash-vision-exp-2026-preview",
            "MY_COMPANY_PRODUCTION_DEEPSEEK_V4_API_KEY",
            "openai/gpt-4o",
        ] {
            assert!(!looks_like_a_key(name), "{name}");
        }
    }

    #[test]
    fn a_path_is_shown_as_it_would_be_written() {
        assert_eq!(dotted(&["models", "gpt-4.1"]), r#"models."gpt-4.1""#);
    }
}
