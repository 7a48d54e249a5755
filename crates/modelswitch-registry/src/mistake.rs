//! What is wrong in a configuration, where, and what to write instead.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use modelswitch_provider::Error;

use crate::syntax::Syntax;

/// Where a setting stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Place {
    File {
        path: Option<Arc<Path>>,
        line: usize,
        column: usize,
        /// The environment's section that it is in.
        section: Option<Arc<str>>,
    },
    Variable(String),
    Code,
    /// A source that a figment of the caller's own brought along.
    Other(String),
}

impl Place {
    /// The same in an environment's section.
    pub(crate) fn in_section(self, name: &str) -> Self {
        match self {
            Self::File { path, line, column, .. } => {
                Self::File { path, line, column, section: Some(name.into()) }
            }
            other => other,
        }
    }

    /// What is written at this place.
    fn syntax(&self) -> Syntax {
        match self {
            Self::File { path: Some(path), .. } => Syntax::of(path),
            Self::File { path: None, .. } | Self::Variable(_) | Self::Code | Self::Other(_) => {
                Syntax::default()
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path: Some(path), line, column, .. } => {
                write!(f, "{}:{line}:{column}", path.display())
            }
            Self::File { path: None, line, column, .. } => write!(f, "line {line}, column {column}"),
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

    /// In the words of the file that it is in.
    fn in_its_language(self) -> Self {
        let syntax = self.place.as_ref().map(Place::syntax).unwrap_or_default();
        Self { what: syntax.put(&self.what), hint: syntax.put(&self.hint), ..self }
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

/// Why a configuration isn't taken.
#[derive(Debug)]
pub(crate) enum Wrong {
    /// All that is wrong in it.
    Mistakes(Vec<Mistake>),
    /// What keeps it from being read at all.
    Unread(Error),
}

impl From<Error> for Wrong {
    fn from(error: Error) -> Self {
        Self::Unread(error)
    }
}

/// One error for all mistakes: whoever mends a file wants to run once, not once a mistake. Several stand below each
/// other, each with its hint; the first line can stand alone, in a log for example.
impl From<Wrong> for Error {
    fn from(wrong: Wrong) -> Self {
        let mut mistakes = match wrong {
            Wrong::Mistakes(mistakes) => {
                mistakes.into_iter().map(Mistake::in_its_language).collect::<Vec<_>>()
            }
            Wrong::Unread(error) => return error,
        };
        mistakes.sort_by_key(|mistake| match &mistake.place {
            Some(Place::File { line, column, .. }) => (0, *line, *column),
            Some(Place::Variable(_) | Place::Code | Place::Other(_)) | None => (1, 0, 0),
        });
        match mistakes.as_slice() {
            [] => Self::config("the configuration can't be read"),
            [only] => Self::config(only.to_string()).with_hint(only.hint.clone()),
            [first, others @ ..] => {
                let count = mistakes.len();
                let mut lines = vec![format!("{first} (the first of {count} mistakes)\n  {}", first.hint)];
                lines.extend(others.iter().map(|mistake| format!("{mistake}\n  {}", mistake.hint)));
                let hint = format!("mend all {count}, each as the line below it says");
                Self::config(lines.join("\n")).with_hint(hint)
            }
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
            key if looks_like_a_key(key) => "…".to_owned(),
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

/// A path as it was given, unless it is a key that somebody took for one.
pub(crate) fn shown_path(path: &Path) -> String {
    let shown = path.display().to_string();
    // A folder may well have a long number for its name.
    let is_path = shown.contains(['/', '\\']) && !begins_like_a_key(&shown);
    if !is_path && looks_like_a_key(&shown) { "(looks like a key, not shown)".to_owned() } else { shown }
}

/// How many services begin their keys, and nobody a name, whatever follows.
const BEGINNINGS: [&str; 3] = ["sk-", "sk_", "Bearer "];

/// As others begin theirs, and some a name (`pplx-70b-online`), so that what follows must look random: Groq, xAI, Hugging
/// Face, Perplexity, Replicate, Cerebras, Together, Vault, GitHub, GitLab.
const PREFIXES: [&str; 11] =
    ["gsk_", "xai-", "hf_", "pplx-", "r8_", "csk-", "tgp_", "hvs.", "ghp_", "github_pat_", "glpat-"];

/// The keys of Google and NVIDIA, which may have a hyphen after every few letters.
const WITH_HYPHENS: [&str; 2] = ["AIza", "nvapi-"];

/// Whether a text might be a key, by its shape: a guess, to be on the safe side before something is shown. Names are made
/// of words, keys of long runs of letters and digits, and most services begin theirs in a way of their own.
///
/// ```
/// use modelswitch_registry::looks_like_a_key;
///
/// assert!(looks_like_a_key("sk-0123456789abcdef"));
/// assert!(!looks_like_a_key("MY_COMPANY_PRODUCTION_DEEPSEEK_API_KEY"));
/// ```
pub fn looks_like_a_key(value: &str) -> bool {
    // A key may stand in something else: a URL, an argument, a path of settings.
    let ends = |(position, c): (usize, char)| {
        (c.is_whitespace() || "/:=.,;@?&#\"'`([{".contains(c)).then_some(position + c.len_utf8())
    };
    let beginnings = std::iter::once(0).chain(value.char_indices().filter_map(ends));
    let mut runs = value.split(|c: char| !c.is_ascii_alphanumeric());
    beginnings.filter_map(|at| value.get(at..)).any(begins_like_a_key)
        || runs.any(|run| run.len() >= 20 && run.contains(|c: char| c.is_ascii_digit()))
}

/// Only what shows at the beginning: a long run without such a beginning may be the id of a model.
pub(crate) fn begins_like_a_key(value: &str) -> bool {
    let value = value.trim();
    let is_mixed = |run: &str| {
        run.contains(|c: char| c.is_ascii_digit())
            || (run.contains(|c: char| c.is_ascii_uppercase())
                && run.contains(|c: char| c.is_ascii_lowercase()))
    };
    let is_random = |rest: &str| {
        rest.split(|c: char| !c.is_ascii_alphanumeric()).any(|run| run.len() >= 12 && is_mixed(run))
    };
    let after = |prefixes: &'static [&str]| prefixes.iter().find_map(|prefix| value.strip_prefix(prefix));
    after(&BEGINNINGS).is_some()
        || after(&PREFIXES).is_some_and(is_random)
        || after(&WITH_HYPHENS).map(with_hyphens).is_some_and(|rest| rest.len() >= 24 && is_mixed(rest))
}

/// Letters, digits, hyphens and underscores, as far as they go.
fn with_hyphens(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_'));
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_keys() {
        for key in [
            "sk-1",
            "Bearer x",
            "0123456789abcdef0123456789abcdef",
            "gsk_a1B2c3D4e5F6g7H8i9J0k",
            "xai-a1B2c3D4e5F6g7",
            "hf_aBcDeFgHiJkLmNoPqRs",
            "pplx-0123456789abcdef",
            "r8_a1B2c3D4e5F6g7",
            "hvs.CAESIa1B2c3D4e5",
            "ghp_a1B2c3D4e5F6g7",
            "AIzaSyA1-b2_C3-d4_E5-f6_G7-h8_I9-j0_K1",
            "nvapi-A1b2-C3d4-E5f6-G7h8-I9j0-K1l2",
            " sk-1\n",
            "https://user:sk-1@llm.example.com",
            "--token=hf_aBcDeFgHiJkLmNoPqRs",
            "providers.sk-1/",
        ] {
            assert!(looks_like_a_key(key), "{key}");
        }
        for name in [
            "deepseek-v4-flash-vision-exp-2026-preview",
            "MY_COMPANY_PRODUCTION_DEEPSEEK_V4_API_KEY",
            "openai/gpt-4o",
            "pplx-70b-online",
            "xai-grok-4-fast-non-reasoning",
            "hf_mistralinstruct",
            "nvapi-nemotron",
            "task-sk-1",
        ] {
            assert!(!looks_like_a_key(name), "{name}");
        }
    }

    #[test]
    fn a_path_is_shown_as_it_would_be_written() {
        assert_eq!(dotted(&["models", "gpt-4.1"]), r#"models."gpt-4.1""#);
    }
}
