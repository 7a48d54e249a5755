//! Advice in the language of the file that it is for. It is written as TOML has it, and put into the others' words here.

use std::path::Path;

/// What a setting is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Syntax {
    #[default]
    Toml,
    Yaml,
    Json,
}

impl Syntax {
    /// That of a file, by its ending.
    pub(crate) fn of(path: &Path) -> Self {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        match ending.to_lowercase().as_str() {
            "yaml" | "yml" => Self::Yaml,
            "json" => Self::Json,
            _ => Self::Toml,
        }
    }

    /// A sentence with what is to be written in it, as this language has it.
    ///
    /// `name = "value"` becomes `name: "value"` or `"name": "value"`, and a section `[a.b]` what is the same there.
    pub(crate) fn put(self, text: &str) -> String {
        if self == Self::Toml {
            return text.to_owned();
        }
        let mut put = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let (piece, after) = match first.is_ascii() {
                true => self.piece(rest, put.chars().next_back()),
                false => (first.to_string(), rest.get(first.len_utf8()..).unwrap_or_default()),
            };
            put.push_str(&piece);
            rest = after;
        }
        put
    }

    /// The next few letters, translated, and what comes after them.
    fn piece(self, rest: &str, before: Option<char>) -> (String, &str) {
        if let Some((section, after)) = section(rest) {
            return (self.section(section), after);
        }
        let begins_word = !before.is_some_and(|c| is_of_name(c) || c == '$');
        let end = match rest.strip_prefix('"') {
            Some(_) => end_of_text(rest),
            None => rest.find(|c| !is_of_name(c)).unwrap_or(rest.len()),
        };
        let (word, after) = rest.split_at_checked(end.max(1)).unwrap_or((rest, ""));
        let value = after.strip_prefix(" = ").filter(|value| begins_word && is_name(word) && is_value(value));
        match value {
            Some(value) => (format!("{}: ", self.key(word)), value),
            None => (word.to_owned(), after),
        }
    }

    fn key(self, name: &str) -> String {
        match self {
            Self::Json if !name.starts_with('"') => format!("\"{name}\""),
            Self::Toml | Self::Yaml | Self::Json => name.to_owned(),
        }
    }

    /// `providers: { deepseek: … }`; a section at the top is only its name.
    fn section(self, path: &str) -> String {
        let names = names(path);
        let (first, inner) = match names.split_first() {
            Some((first, inner)) => (self.key(first), inner),
            None => return String::new(),
        };
        let Some(inside) = inner.iter().rev().fold(None, |inside: Option<String>, name| {
            Some(format!("{{ {}: {} }}", self.key(name), inside.unwrap_or_else(|| "…".to_owned())))
        }) else {
            return if self == Self::Json { first } else { format!("{first}:") };
        };
        format!("{first}: {inside}")
    }
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn is_name(word: &str) -> bool {
    word.starts_with('"') || word.starts_with(is_of_name)
}

fn is_value(text: &str) -> bool {
    text.starts_with(|c: char| "\"{[…".contains(c) || c.is_ascii_digit())
        || ["true", "false"].iter().any(|word| text.starts_with(word))
}

/// Where a text in quotes ends.
fn end_of_text(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == '"' && !is_escaped;
        is_escaped = *c == '\\' && !is_escaped;
        ends
    });
    end.map_or(text.len(), |(position, _)| position + 1)
}

/// What stands between brackets, if it is the name of a section and no list, and what comes after it.
fn section(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix('[').filter(|inside| inside.starts_with(is_of_name))?;
    let mut is_quoted = false;
    let end = inside.find(|c| {
        is_quoted ^= c == '"';
        !is_quoted && c != '"' && !is_of_name(c)
    })?;
    let (section, after) = inside.split_at_checked(end)?;
    Some((section, after.strip_prefix(']')?))
}

/// A path taken apart; a dot between quotes is none.
fn names(path: &str) -> Vec<&str> {
    let mut is_quoted = false;
    path.split(|c| {
        is_quoted ^= c == '"';
        c == '.' && !is_quoted
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(toml: &str, yaml: &str, json: &str) {
        let put = [Syntax::Toml, Syntax::Yaml, Syntax::Json].map(|syntax| syntax.put(toml));
        assert_eq!(put, [toml, yaml, json]);
    }

    #[test]
    fn settings_and_sections_are_written_as_the_file_has_them() {
        check(
            "write api_key = { env = \"A_KEY\" } and set that variable",
            "write api_key: { env: \"A_KEY\" } and set that variable",
            "write \"api_key\": { \"env\": \"A_KEY\" } and set that variable",
        );
        check(
            "write [providers.deepseek], or profile = \"deepseek\" below",
            "write providers: { deepseek: … }, or profile: \"deepseek\" below",
            "write \"providers\": { \"deepseek\": … }, or \"profile\": \"deepseek\" below",
        );
        check("add `x` to [models]", "add `x` to models:", "add `x` to \"models\"");
        check(
            "[models.\"gpt-4.1\".defaults]",
            "models: { \"gpt-4.1\": { defaults: … } }",
            "\"models\": { \"gpt-4.1\": { \"defaults\": … } }",
        );
        check("allow_plain_http = true", "allow_plain_http: true", "\"allow_plain_http\": true");
        check(
            "\"gpt-4o\" = \"fast\", weight = 3",
            "\"gpt-4o\": \"fast\", weight: 3",
            "\"gpt-4o\": \"fast\", \"weight\": 3",
        );
    }

    #[test]
    fn what_is_no_setting_stays_as_it_is() {
        for text in [
            "a list, such as [\"a\", \"b\"]",
            "[{ … }, { … }]",
            "choose it by MODELSWITCH_PROFILE=test",
            "names like it: fast = deepseek/deepseek-flash",
            "a text \"with = \\\"quotes\\\" = 5\" in it, … “é” [unclosed",
            "$NAME = 5",
            "",
        ] {
            check(text, text, text);
        }
    }
}
