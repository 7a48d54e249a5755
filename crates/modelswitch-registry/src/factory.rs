//! Providers that code makes by kind, from settings in the configuration.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use modelswitch_openai::Profile;
use modelswitch_provider::{Error, Provider, Request, Response, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::{Free, ProviderConfig};
use crate::connect::{Connected, Shared, is_credential, unchanged};
use crate::keys::Keys;
use crate::made::Made;
use crate::mistake::{Mistake, dotted, looks_like_a_key, quoted};
use crate::spelling::{meant_or_list, nearest};

/// Makes a provider of one kind.
pub(crate) type Factory = Arc<dyn Fn(&str, Settings) -> Result<Arc<dyn Provider>> + Send + Sync>;

/// The table `settings` of a provider that a [factory](crate::RegistryBuilder::factory) makes.
///
/// ```
/// use std::sync::Arc;
/// use modelswitch_provider::mock::MockProvider;
/// use modelswitch_registry::Registry;
///
/// #[derive(serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Parrot {
///     says: String,
/// }
///
/// let registry = Registry::builder()
///     .toml("[providers.polly]\nkind = 'parrot'\nsettings = { says = 'hello' }")
///     .factory("parrot", |_name, settings| {
///         let Parrot { says } = settings.read()?;
///         Ok(Arc::new(MockProvider::reply(says)))
///     })
///     .build()?;
/// assert!(registry.provider("polly").is_ok());
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone)]
pub struct Settings {
    value: Value,
    path: Vec<String>,
}

impl Settings {
    /// Reads them as a type of your own.
    ///
    /// # Errors
    /// [`Config`](modelswitch_provider::ErrorKind::Config) that names the setting, and no value.
    pub fn read<T: DeserializeOwned>(self) -> Result<T> {
        serde_path_to_error::deserialize(self.value).map_err(|error| {
            let inside = error.path().iter().map(ToString::to_string).filter(|key| key != "?");
            let path: Vec<String> = self.path.into_iter().chain(inside).collect();
            let what = without_values(&error.inner().to_string());
            Error::config(format!("`{}` {what}", dotted(&path)))
                .with_hint("write it as this kind of provider wants it")
        })
    }

    /// The settings as they stand; an empty object when there are none.
    pub fn value(&self) -> &Value {
        &self.value
    }
}

/// They may be anything, so they aren't shown.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Settings").field(&dotted(&self.path)).finish()
    }
}

/// Serde's sentence begins with what it found, which may be anything, and ends with what it wanted.
fn without_values(message: &str) -> String {
    if let Some(field) = message.strip_prefix("missing field ") {
        return format!("lacks {field}");
    }
    let expected = message.rsplit_once("expected ").map(|(_, expected)| expected);
    match expected {
        Some(expected) if message.starts_with("unknown field") => {
            format!("is not a setting; allowed here: {expected}")
        }
        Some(expected) => format!("must be {expected}, which this is not"),
        None => "can't be read".to_owned(),
    }
}

/// Makes a provider whose `kind` is given, or takes over the one that was made of the same before.
///
/// # Errors
/// What is wrong with it, or why its factory can't make it.
pub(crate) fn make(
    name: &str,
    kind: &str,
    config: &ProviderConfig,
    shared: &Shared<'_>,
) -> Result<Arc<Connected>, Vec<Mistake>> {
    let mut mistakes = misplaced(name, config, shared);
    let factory = match shared.factories.get(kind) {
        Some(factory) => factory.clone(),
        None if shared.stand_ins => stand_in(kind),
        None => {
            mistakes.push(unknown_kind(name, kind, shared));
            return Err(mistakes);
        }
    };
    let Free(value) = config.settings.clone().unwrap_or_else(|| Free(Value::Object(serde_json::Map::new())));
    let path = ["providers", name, "settings"].map(str::to_owned).to_vec();
    for key in keys_in(&value, &mut path.clone()) {
        mistakes.push(Mistake::new(
            shared.places.of(&key),
            format!(
                "`{}` holds a key itself (not shown): keys don't stand in the configuration",
                dotted(&key)
            ),
            "write the name of a variable here, and let the code that makes the provider read it",
        ));
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    // Time limits are refused above, and those at the top are for transports.
    let config = ProviderConfig { timeout: config.timeout, ..shared.common_and(config) };
    let (profile, keys) = (Profile::default(), Keys::NoneNeeded);
    let made = Made { config, profile, base_url: None, keys, rekeyed: false };
    if let Some(same) = unchanged(name, &made, shared) {
        return Ok(same);
    }
    match factory(name, Settings { value, path }) {
        Ok(provider) => Ok(Arc::new(Connected::by_factory(name, provider, made, shared))),
        Err(error) => {
            let own = ["providers", name];
            let place = shared.places.of(&["providers", name, "settings"]).or_else(|| shared.places.of(&own));
            let what = format!("`{}`: {}", dotted(&own), error.message());
            Err(vec![Mistake::new(place, what, error.hint().to_owned())])
        }
    }
}

/// In place of what another program's code makes.
fn stand_in(kind: &str) -> Factory {
    let kind = kind.to_owned();
    Arc::new(move |name, _| Ok(Arc::new(StandIn { name: name.to_owned(), kind: kind.clone() })))
}

/// A provider that can be looked at and not asked.
#[derive(Debug)]
struct StandIn {
    name: String,
    kind: String,
}

#[async_trait]
impl Provider for StandIn {
    fn name(&self) -> &str {
        &self.name
    }
    async fn send(&self, _: Request) -> Result<Response> {
        let (name, kind) = (&self.name, quoted(&self.kind));
        Err(Error::config(format!("`{name}` is of the kind {kind}, which the app's own code makes"))
            .with_provider(name.as_str())
            .with_hint("ask it through the app, or make the kind known with RegistryBuilder::factory"))
    }
}

/// Settings of a provider over HTTP would do nothing here.
fn misplaced(name: &str, config: &ProviderConfig, shared: &Shared<'_>) -> Vec<Mistake> {
    let misplaced = [
        ("profile", config.profile.is_some()),
        ("base_url", config.base_url.is_some()),
        ("api_key", config.api_key.is_some()),
        ("allow_plain_http", config.allow_plain_http.is_some()),
        ("auth", shared.places.of(&["providers", name, "auth"]).is_some()),
        ("headers", !config.headers.0.is_empty()),
        ("query", !config.query.0.is_empty()),
        ("policy", config.policy.is_some()),
        ("timeout", shared.places.of(&["providers", name, "timeout"]).is_some()),
    ];
    let there = misplaced.into_iter().filter(|(_, is_there)| *is_there);
    there
        .map(|(setting, _)| {
            let path = ["providers", name, setting];
            Mistake::new(
                shared.places.of(&path),
                format!(
                    "`{}` is for a provider with a profile; this one has a `kind`, and is made by code",
                    dotted(&path)
                ),
                "take it out, or put it into `settings` if the code reads it there",
            )
        })
        .collect()
}

fn unknown_kind(name: &str, kind: &str, shared: &Shared<'_>) -> Mistake {
    let path = ["providers", name, "kind"];
    let known: Vec<&str> = shared.factories.keys().map(String::as_str).collect();
    let near = nearest(kind, known.iter().copied());
    let what =
        format!("`{}`: there is no kind {}{}", dotted(&path), quoted(kind), meant_or_list(near, &known));
    let hint = match near {
        Some(near) => format!("write kind = \"{near}\""),
        None if shared.profiles.get(kind).is_some() => format!("write profile = \"{kind}\""),
        None => "a kind is made known in code, with RegistryBuilder::factory; a service has a `profile`"
            .to_owned(),
    };
    Mistake::new(shared.places.of(&path), what, hint)
}

/// The paths of values that are keys by their names and looks.
fn keys_in(value: &Value, path: &mut Vec<String>) -> Vec<Vec<String>> {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(n, value)| (n.to_string(), value)).collect(),
        Value::String(text) => {
            let named = path.last().is_some_and(|name| is_credential(name));
            return if named && looks_like_a_key(text) { vec![path.clone()] } else { Vec::new() };
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    };
    let mut found = Vec::new();
    for (name, value) in inner {
        path.push(name);
        found.extend(keys_in(value, path));
        path.pop();
    }
    found
}
