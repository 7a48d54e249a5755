//! The file that `init` writes: its settings, and comments that say what else could stand there.

use std::fmt::Write;

use modelswitch_openai::Profile;
use modelswitch_registry::looks_like_a_key;

/// What was asked or said.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) providers: Vec<Provider>,
    pub(super) aliases: Vec<(String, String)>,
    pub(super) default: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Provider {
    pub(super) name: String,
    pub(super) key_env: Option<String>,
    pub(super) key_file: Option<String>,
    pub(super) base_url: Option<String>,
}

impl Provider {
    pub(super) fn profile(&self) -> Option<Profile> {
        Profile::embedded(&self.name)
    }

    /// True when neither a profile nor a variable of it says where it is.
    pub(super) fn needs_url(&self) -> bool {
        self.profile().is_none_or(|profile| profile.base_url.is_none())
    }

    /// The variable that its key is read from when nobody says otherwise.
    pub(super) fn usual_variable(&self) -> Option<String> {
        match self.profile() {
            Some(profile) if profile.auth.required || !profile.key_env.is_empty() => {
                profile.key_env.into_iter().next().filter(|_| profile.auth.required)
            }
            _ => None,
        }
    }

    fn default_model(&self) -> Option<String> {
        self.profile()?.default_model
    }
}

/// The services that need no more than a name.
pub(super) fn known() -> Vec<&'static str> {
    let is_one = |name: &&str| {
        Profile::embedded(name).is_some_and(|profile| profile.base_url.is_some() && profile.gone.is_none())
    };
    Profile::embedded_names().filter(is_one).collect()
}

/// True for a key in the place of the variable's name that is to hold it. A hyphen is in no variable's name.
pub(super) fn is_no_variable(name: &str) -> bool {
    looks_like_a_key(name) || name.contains('-')
}

/// The file, with comments.
pub(super) fn text(answers: &Answers) -> String {
    let mut text = String::from(HEAD);
    let first = answers.providers.first();
    let usual = || {
        let first = first?;
        Some(format!("{}/{}", first.name, first.default_model()?))
    };
    // Writing to a `String` can't fail.
    match answers.default.clone().or_else(usual) {
        Some(default) => {
            let _ = writeln!(text, "default = {}", quoted(&default));
        }
        None => text.push_str("# default = \"provider/model\"\n"),
    }
    for provider in &answers.providers {
        provider_text(&mut text, provider);
    }
    text.push_str("\n# The names that apps ask for. An app that hard-codes a name keeps running: \"gpt-4o\" = \"fast\"\n[models]\n");
    for (alias, target) in &answers.aliases {
        let _ = writeln!(text, "{} = {}", key(alias), quoted(target));
    }
    text.push_str(TAIL);
    text
}

const HEAD: &str = "\
# modelswitch.toml: which providers there are, and what the names stand for that apps ask for.
# `modelswitch config show` tells what counts and where it comes from, `modelswitch check` whether it works.

# What answers when a request names no model.
";

const TAIL: &str = "
# How failed calls are repeated, and how long is waited; these are the defaults.
# [retry]
# attempts = 4
# [timeout]
# connect    = \"10s\"
# first_byte = \"10m\"
# idle       = \"5m\"

# What another environment has otherwise; chosen by MODELSWITCH_PROFILE=production.
# [profile.production]
# default = \"provider/model\"
";

fn provider_text(text: &mut String, provider: &Provider) {
    let title =
        provider.profile().map_or_else(|| "A service of your own".to_owned(), |profile| profile.title);
    let _ = writeln!(text, "\n# {title}. A key is read from where it says; it never stands in this file.");
    let _ = writeln!(text, "[providers.{}]", key(&provider.name));
    if provider.profile().is_none() {
        text.push_str("profile = \"openai-compatible\"\n");
    }
    if let Some(url) = &provider.base_url {
        let _ = writeln!(text, "base_url = {}", quoted(url));
    }
    let variable = provider.key_env.clone().or_else(|| provider.usual_variable());
    match (&provider.key_file, variable) {
        (Some(file), _) => {
            let _ = writeln!(text, "api_key = {{ file = {} }}", quoted(file));
        }
        (None, Some(variable)) => {
            let _ =
                writeln!(text, "api_key = {{ env = {} }}    # or {{ file = \"/path\" }}", quoted(&variable));
        }
        (None, None) => text.push_str("# api_key = { env = \"VARIABLE\" }    # if it needs one\n"),
    }
}

fn key(name: &str) -> String {
    let is_bare =
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if is_bare { name.to_owned() } else { quoted(name) }
}

/// A text as TOML has it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use modelswitch_registry::Registry;

    use super::*;

    #[test]
    fn whatever_is_named_makes_a_file_that_can_be_read() {
        let provider = |name: &str, url: Option<&str>| Provider {
            name: name.to_owned(),
            base_url: url.map(str::to_owned),
            ..Provider::default()
        };
        for (name, url) in [
            ("deepseek", None),
            ("llamacpp", None),
            ("my.own \"one\" \u{7}\\", Some("https://llm.example.com/v1")),
        ] {
            let provider = provider(name, url);
            let aliases = vec![("gpt-4.1".to_owned(), format!("{name}/some model"))];
            let text = text(&Answers { providers: vec![provider], aliases, default: None });
            let registry = Registry::builder().environment([]).toml(&text).build().unwrap();
            assert_eq!(registry.providers()[0].name, name);
            assert_eq!(registry.aliases()[0].0, "gpt-4.1");
        }
    }

    #[test]
    fn variables_are_told_from_keys() {
        for key in ["sk-0123", "gsk_a1B2c3D4e5F6", "team-key", "0123456789abcdef0123456789abcdef"] {
            assert!(is_no_variable(key), "{key}");
        }
        for name in ["DEEPSEEK_API_KEY", "MY_COMPANY_PRODUCTION_DEEPSEEK_V4_API_KEY"] {
            assert!(!is_no_variable(name), "{name}");
        }
    }
}
