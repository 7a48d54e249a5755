//! Key sources: where a provider's key is read, and what is said when it isn't there.

use std::path::{Path, PathBuf};

use modelswitch_openai::Profile;
use modelswitch_provider::{ApiKey, Error, Result};
use serde::Serialize;

use crate::config::KeyConfig;
use crate::environment::Environment;
use crate::mistake::looks_like_a_key;

/// Where a provider's key comes from, and whether it is there. Never the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeyInfo {
    /// `$DEEPSEEK_API_KEY`, a file's path, `in code` or `none needed`.
    pub source: String,
    /// Whether there is a usable key.
    pub set: bool,
    /// Whether the provider can only be asked with it: the service needs one, or one is said to be there.
    pub required: bool,
}

/// A key that was looked for.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) info: KeyInfo,
    /// `None` where none is needed; an error where one is and can't be had.
    pub(crate) value: Result<Option<ApiKey>>,
}

impl Key {
    pub(crate) fn in_code(key: Option<ApiKey>) -> Self {
        let required = key.is_some();
        Self { info: KeyInfo { source: "in code".to_owned(), set: true, required }, value: Ok(key) }
    }

    fn set(source: String, key: Result<ApiKey>) -> Self {
        Self { info: KeyInfo { source, set: key.is_ok(), required: true }, value: key.map(Some) }
    }
}

/// One place to read a key from.
#[derive(Clone, Debug)]
pub(crate) enum KeySource {
    Variable(String),
    File(PathBuf),
    /// The profile's own variables.
    Profile,
}

impl KeySource {
    /// What the configuration says, checked.
    ///
    /// # Errors
    /// What is wrong and what to write, with the setting under `api_key` that it concerns.
    pub(crate) fn new(config: Option<&KeyConfig>, at: &Folders<'_>) -> Result<Self, WrongKey> {
        let Some(config) = config else { return Ok(Self::Profile) };
        match (&config.env, &config.file) {
            (Some(variable), None) => match is_variable(variable) {
                true => Ok(Self::Variable(variable.clone())),
                false => Err(WrongKey {
                    setting: Some("env"),
                    what: "is not the name of a variable: letters, digits and underscores",
                    hint: "write the variable's name here, and set that variable to the key",
                }),
            },
            (None, Some(file))
                if looks_like_a_key(file) && (!file.contains(['/', '\\']) || file.contains("://")) =>
            {
                Err(WrongKey {
                    setting: Some("file"),
                    what: "looks like a key, not like the path of a file (not shown)",
                    hint: "write the path of the file that holds the key",
                })
            }
            (None, Some(file)) => Ok(Self::File(at.resolve(file))),
            (Some(_), Some(_)) => Err(WrongKey {
                setting: None,
                what: "names both a variable and a file",
                hint: "leave one of env and file out",
            }),
            (None, None) => Err(WrongKey {
                setting: None,
                what: "names neither a variable nor a file",
                hint: "write { env = \"VARIABLE\" } or { file = \"/path\" }",
            }),
        }
    }

    /// The files that it is read from: whoever watches the configuration watches them too.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::File(path) => vec![path.clone()],
            Self::Variable(_) | Self::Profile => Vec::new(),
        }
    }

    /// Looks for the key. That it is missing is kept for the first call: the other providers work meanwhile.
    pub(crate) fn read(&self, profile: &Profile, environment: &Environment) -> Key {
        match self {
            Self::Variable(name) => from_variables(std::slice::from_ref(name), true, profile, environment),
            Self::File(path) => from_file(path),
            Self::Profile => from_variables(&profile.key_env, profile.auth.required, profile, environment),
        }
    }
}

/// What is wrong with where a key is said to be.
#[derive(Debug)]
pub(crate) struct WrongKey {
    /// The setting under `api_key`, or all of it.
    pub(crate) setting: Option<&'static str>,
    pub(crate) what: &'static str,
    pub(crate) hint: &'static str,
}

/// What relative paths and `~` stand for.
#[derive(Debug)]
pub(crate) struct Folders<'a> {
    /// The folder of the configuration file.
    pub(crate) config: Option<&'a Path>,
    pub(crate) home: Option<String>,
}

impl Folders<'_> {
    fn resolve(&self, path: &str) -> PathBuf {
        match (path.strip_prefix("~/"), &self.home, self.config) {
            (Some(rest), Some(home), _) => Path::new(home).join(rest),
            (_, _, Some(folder)) => folder.join(path),
            (_, _, None) => PathBuf::from(path),
        }
    }
}

/// The variable that a provider's key would be looked for in.
pub(crate) fn default_variable(provider: &str) -> String {
    let own = Profile::embedded(provider).and_then(|profile| profile.key_env.into_iter().next());
    own.unwrap_or_else(|| {
        let name: String = provider
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
            .collect();
        format!("{name}_API_KEY")
    })
}

fn from_variables(names: &[String], required: bool, profile: &Profile, environment: &Environment) -> Key {
    if let Some((name, key)) = environment.first(names) {
        let key = ApiKey::new(key).map_err(|error| {
            Error::config(format!("${name}: {}", error.message()))
                .with_hint(format!("set {name} again: {}", error.hint()))
        });
        return Key::set(format!("${name}"), key);
    }
    if !required {
        let info = KeyInfo { source: "none needed".to_owned(), set: false, required: false };
        return Key { info, value: Ok(None) };
    }
    let listed: Vec<String> = names.iter().map(|name| format!("${name}")).collect();
    let source = listed.join(" or ");
    let message = match names {
        [] => "a key is needed, and no variable is named for it".to_owned(),
        [name] if environment.is_blank(name) => format!("there is no key: ${name} is set to nothing"),
        _ => format!("there is no key: {source} is not set"),
    };
    let made = profile.key_url.as_ref().map(|url| format!("; keys are made at {url}")).unwrap_or_default();
    let hint = match names.first() {
        Some(name) => format!("set {name} to the key{made}"),
        None => format!("write api_key = {{ env = \"VARIABLE\" }}{made}"),
    };
    Key::set(source, Err(Error::config(message).with_hint(hint)))
}

fn from_file(path: &Path) -> Key {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        let (why, hint) = match error.kind() {
            std::io::ErrorKind::NotFound => ("does not exist", "write the key to that file, or name another"),
            std::io::ErrorKind::PermissionDenied => {
                ("may not be read by this process", "let this process read the file")
            }
            std::io::ErrorKind::InvalidData => ("is not text", "write the key alone to that file, as text"),
            _ => ("can't be read", "write the key to that file, or name another"),
        };
        Error::config(format!("there is no key: the file {shown} {why}")).with_hint(hint)
    });
    let key = text.and_then(|text| {
        ApiKey::new(text).map_err(|error| {
            Error::config(format!("the key file {shown}: {}", error.message()))
                .with_hint("write the key to that file alone, on one line")
        })
    });
    Key::set(shown, key)
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !looks_like_a_key(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANARY: &str = "sk-canary0123456789";

    fn deepseek() -> Profile {
        Profile::embedded("deepseek").unwrap()
    }

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::fixed(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn a_key_is_read_from_the_profiles_variable_or_the_named_one() {
        let environment = environment(&[("DEEPSEEK_API_KEY", CANARY), ("OTHER", "sk-other")]);
        for (source, expected, shown) in [
            (KeySource::Profile, CANARY, "$DEEPSEEK_API_KEY"),
            (KeySource::Variable("OTHER".to_owned()), "sk-other", "$OTHER"),
        ] {
            let key = source.read(&deepseek(), &environment);
            assert_eq!(key.info, KeyInfo { source: shown.to_owned(), set: true, required: true });
            assert!(!format!("{key:?}").contains(expected));
            assert_eq!(key.value.unwrap().unwrap().expose(), expected);
        }
    }

    #[test]
    fn a_key_file_may_end_in_a_line_break() {
        let (_folder, path) = file(&format!("{CANARY}\n"));
        let key = KeySource::File(path.clone()).read(&deepseek(), &environment(&[]));
        assert_eq!(key.info.source, path.display().to_string());
        assert_eq!(key.value.unwrap().unwrap().expose(), CANARY);
    }

    #[test]
    fn a_key_with_a_line_break_inside_names_its_source_and_not_itself() {
        let broken = "sk-canary\n0123456789";
        let (_folder, path) = file(broken);
        let environment = environment(&[("DEEPSEEK_API_KEY", broken)]);
        for source in [KeySource::Profile, KeySource::File(path)] {
            let key = source.read(&deepseek(), &environment);
            assert!(!key.info.set);
            let error = key.value.unwrap_err();
            let shown = format!("{error} {error:?} {}", error.report());
            assert!(!shown.contains("canary") && !shown.contains("0123456789"), "{shown}");
            assert!(shown.contains("a line break at position 10"), "{shown}");
            assert!(shown.contains(&key.info.source), "{shown}");
        }
    }

    #[test]
    fn a_missing_key_names_what_to_set() {
        let unset = KeySource::Profile.read(&deepseek(), &environment(&[])).value.unwrap_err();
        assert_eq!(unset.message(), "there is no key: $DEEPSEEK_API_KEY is not set");
        assert_eq!(
            unset.hint(),
            "set DEEPSEEK_API_KEY to the key; keys are made at https://platform.deepseek.com/api_keys"
        );
        let blank = environment(&[("DEEPSEEK_API_KEY", " ")]);
        let blank = KeySource::Profile.read(&deepseek(), &blank).value.unwrap_err();
        assert_eq!(blank.message(), "there is no key: $DEEPSEEK_API_KEY is set to nothing");
        let file =
            KeySource::File("/nowhere/key".into()).read(&deepseek(), &environment(&[])).value.unwrap_err();
        assert_eq!(file.message(), "there is no key: the file /nowhere/key does not exist");
    }

    #[test]
    fn a_profile_that_needs_no_key_does_without() {
        let llamacpp = Profile::embedded("llamacpp").unwrap();
        let key = KeySource::Profile.read(&llamacpp, &environment(&[]));
        assert_eq!(key.info, KeyInfo { source: "none needed".to_owned(), set: false, required: false });
        assert!(key.value.unwrap().is_none());
        // But one that is asked for by name must be there.
        assert!(KeySource::Variable("MINE".to_owned()).read(&llamacpp, &environment(&[])).value.is_err());
    }

    #[test]
    fn paths_are_relative_to_the_configuration_file() {
        let folders = Folders { config: Some(Path::new("/etc/app")), home: Some("/home/me".to_owned()) };
        assert_eq!(folders.resolve("keys/deepseek"), Path::new("/etc/app/keys/deepseek"));
        assert_eq!(folders.resolve("/run/secrets/deepseek"), Path::new("/run/secrets/deepseek"));
        assert_eq!(folders.resolve("~/deepseek"), Path::new("/home/me/deepseek"));
    }
}
