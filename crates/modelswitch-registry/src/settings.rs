//! The resolved configuration: every setting with its value and where it comes from, for a person to look at.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use crate::config::{RetryConfig, TOP, TimeoutConfig};
use crate::connect::Connected;
use crate::describe;
use crate::environment::Environment;
use crate::load::Places;
use crate::mistake::{Place, dotted, looks_like_a_key};

/// One setting that counts, with where it comes from. Never a key, nor what might be one.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Setting {
    /// Its path as the file has it: `providers.deepseek.base_url`, `models."gpt-4.1"`.
    pub path: String,
    /// Its value; in place of what isn't shown, a text in brackets that says so.
    pub value: Value,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Origin {
    /// A file, or a text given in code in place of one.
    File {
        /// The file; `None` for a text.
        path: Option<PathBuf>,
        /// The line, the first is 1.
        line: usize,
        /// The column, the first is 1.
        column: usize,
        /// The environment's section, `[profile.NAME]`, that it stands in.
        #[serde(skip_serializing_if = "Option::is_none")]
        section: Option<String>,
    },
    /// An environment variable.
    Variable {
        /// Its name.
        name: String,
    },
    /// What the profile knows of the service.
    Profile {
        /// The profile's name.
        name: String,
    },
    /// Nobody said otherwise.
    Default,
    /// Code.
    Code,
    /// A source that a figment of the app's own brought along.
    Other {
        /// What figment calls it.
        name: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, section, .. } => {
                match path {
                    Some(path) => write!(f, "{}:{line}", path.display())?,
                    None => write!(f, "line {line}")?,
                }
                section.iter().try_for_each(|name| write!(f, " [{}]", dotted(&["profile", name])))
            }
            Self::Variable { name } => write!(f, "${name}"),
            Self::Profile { name } => write!(f, "profile {name}"),
            Self::Default => f.write_str("default"),
            Self::Code => f.write_str("code"),
            Self::Other { name } => f.write_str(name),
        }
    }
}

impl From<Place> for Origin {
    fn from(place: Place) -> Self {
        match place {
            Place::File { path, line, column, section } => Self::File {
                path: path.map(|path| path.to_path_buf()),
                line,
                column,
                section: section.map(|name| name.to_string()),
            },
            Place::Variable(name) => Self::Variable { name },
            Place::Code => Self::Code,
            Place::Other(name) => Self::Other { name },
        }
    }
}

/// A setting that somebody wrote, by its path.
pub(crate) type Written = (Vec<String>, Value);

/// Everything that counts: what was written, then what is taken where nothing was.
pub(crate) fn settings(
    written: &[Written],
    places: &Places,
    connected: &[Arc<Connected>],
    default: Option<String>,
    environment: &Environment,
) -> Vec<Setting> {
    let counts = |path: &[String]| !is_replaced(path, connected);
    let mut all: Vec<(Vec<String>, Value, Origin)> = written
        .iter()
        .filter(|(path, _)| counts(path))
        .map(|(path, value)| {
            let origin = places.of(path).map_or(Origin::Default, Origin::from);
            (path.clone(), value.clone(), origin)
        })
        .collect();
    for (path, value, origin) in taken(connected, default, environment) {
        // A list or table of the user's own stands for the whole.
        if !all.iter().any(|(known, ..)| known.starts_with(&path)) {
            all.push((path, value, origin));
        }
    }
    let paths: Vec<Vec<String>> = all.iter().map(|(path, ..)| path.clone()).collect();
    let is_filled =
        |path: &Vec<String>| paths.iter().any(|other| other.len() > path.len() && other.starts_with(path));
    all.retain(|(path, ..)| !is_filled(path));
    all.sort_by(|(one, ..), (other, ..)| rank(one).cmp(&rank(other)).then_with(|| one.cmp(other)));
    let shown = |(path, value, origin): (Vec<String>, Value, Origin)| Setting {
        value: redacted(&path, &value),
        path: shown(&path),
        origin,
    };
    all.into_iter().map(shown).collect()
}

/// True for a setting in whose place code gave a provider or a key.
fn is_replaced(path: &[String], connected: &[Arc<Connected>]) -> bool {
    let [first, name, rest @ ..] = path else { return false };
    let in_code = connected.iter().filter(|one| first == "providers" && one.info.name == *name);
    in_code.into_iter().any(|one| {
        let is_key = rest.first().is_some_and(|setting| setting == "api_key");
        one.profile().is_none() || (is_key && one.info.key.source == "in code")
    })
}

/// A name that stands in the wrong place may be a key too.
fn shown(path: &[String]) -> String {
    let part = |name: &String| if looks_like_a_key(name) { "(not shown)".to_owned() } else { name.clone() };
    dotted(&path.iter().map(part).collect::<Vec<_>>())
}

/// The order of the documentation's file.
fn rank(path: &[String]) -> usize {
    TOP.iter().position(|name| path.first().is_some_and(|first| first == name)).unwrap_or(TOP.len())
}

/// What is taken where nothing was written.
fn taken(
    connected: &[Arc<Connected>],
    default: Option<String>,
    environment: &Environment,
) -> Vec<(Vec<String>, Value, Origin)> {
    let mut taken = Vec::new();
    let mut take = |path: &[&str], value: Value, origin: Origin| {
        taken.push((path.iter().map(|key| (*key).to_owned()).collect(), value, origin));
    };
    if let Some(default) = default {
        take(&["default"], default.into(), Origin::Default);
    }
    for one in connected {
        let info = &one.info;
        let at = |setting: &'static str| ["providers", info.name.as_str(), setting];
        let Some(profile) = one.profile() else {
            take(&["providers", &info.name], "(given in code)".into(), Origin::Code);
            continue;
        };
        let of_profile = || Origin::Profile { name: profile.name.clone() };
        take(&at("profile"), profile.name.clone().into(), Origin::Default);
        if let Some(url) = &info.base_url {
            let variable = profile.base_url_in(|name| environment.get(name));
            let variable = variable.map(|(name, _)| Origin::Variable { name: name.to_owned() });
            take(&at("base_url"), url.clone().into(), variable.unwrap_or_else(of_profile));
        }
        for (section, variables) in [("headers", &profile.headers_env), ("query", &profile.query_env)] {
            for (name, variable) in
                variables.iter().filter(|(_, variable)| environment.get(variable).is_some())
            {
                let origin = Origin::Variable { name: variable.clone() };
                take(&["providers", &info.name, section, name], "(not shown)".into(), origin);
            }
        }
        let key = match info.key.source.as_str() {
            "in code" => (json!("(given in code)"), Origin::Code),
            source => (json!(source), of_profile()),
        };
        take(&at("api_key"), key.0, key.1);
        if let Some(model) = &info.default_model {
            take(&at("default_model"), model.clone().into(), of_profile());
        }
        if !info.models.is_empty() {
            take(&at("models"), info.models.clone().into(), of_profile());
        }
    }
    let defaults = [
        ("timeout", describe::timeout(TimeoutConfig::default())),
        ("retry", describe::retry(RetryConfig::default())),
    ];
    for (section, rows) in defaults {
        for (name, _, value) in rows {
            take(&[section, name], value.unwrap_or_default(), Origin::Default);
        }
    }
    taken
}

/// Headers, queries and what a factory reads may be anything, and so may a text that looks like a key.
fn redacted(path: &[String], value: &Value) -> Value {
    let is_anything = path.get(2).is_some_and(|name| match name.as_str() {
        "headers" | "query" => path.len() > 3,
        "settings" => true,
        _ => false,
    });
    if is_anything {
        return json!("(not shown)");
    }
    if path.last().is_some_and(|name| name == "command") && path.get(2).is_some_and(|name| name == "api_key")
    {
        return program(value);
    }
    match value {
        Value::String(text) if looks_like_a_key(text) => json!("(looks like a key, not shown)"),
        Value::Array(items) => items.iter().map(|item| redacted(path, item)).collect(),
        Value::Object(table) => {
            let inside = |key: &String| [path, std::slice::from_ref(key)].concat();
            table.iter().map(|(key, value)| (key.clone(), redacted(&inside(key), value))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// A program without its arguments, which may say more than they should: a token for the vault, the name of a secret.
fn program(command: &Value) -> Value {
    let Some([program, arguments @ ..]) = command.as_array().map(Vec::as_slice) else {
        return json!("(not shown)");
    };
    let program = redacted(&[], program);
    match arguments.len() {
        0 => json!([program]),
        1 => json!([program, "(1 argument, not shown)"]),
        count => json!([program, format!("({count} arguments, not shown)")]),
    }
}
