//! Builds a registry: reads, connects, resolves, and tells every mistake at once.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use modelswitch_layers::Log;
use modelswitch_openai::{HttpClient, Profile};
use modelswitch_provider::{ApiKey, Error, Provider, Result};
use serde::Serialize;

use crate::alias::{resolve_aliases, resolve_default};
use crate::config::{Config, ProviderConfig};
use crate::connect::{Connected, Shared, connect};
use crate::environment::Environment;
use crate::keys::Folders;
use crate::literal::keys_among_names;
use crate::load::{Inputs, Loaded, load};
use crate::mistake::{Mistake, dotted, none_of, quoted};
use crate::registry::{Lasting, Registry};
use crate::resolve::Names;
use crate::router::{Route, Routes};
use crate::settings::settings;
use crate::snapshot::Snapshot;
use crate::source::{self, Source};
use crate::spelling::{did_you_mean, list, nearest};

/// Builds a [`Registry`] from a file, the environment and code; what is said in code counts most.
///
/// ```
/// use modelswitch_provider::mock::MockProvider;
/// use modelswitch_registry::Registry;
///
/// let registry = Registry::builder()
///     .without_file()
///     .environment([("DEEPSEEK_API_KEY".to_owned(), "sk-…".to_owned())])
///     .provider("mine", MockProvider::reply("hello"))
///     .alias("fast", "mine/small")
///     .set("retry.attempts", 2)
///     .build()?;
/// assert_eq!(registry.aliases(), [("fast".to_owned(), "mine/small".to_owned())]);
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Default)]
#[must_use]
pub struct RegistryBuilder {
    file: FileChoice,
    environment: Environment,
    section: Option<String>,
    code: Vec<(Vec<String>, toml::Value)>,
    mistakes: Vec<Mistake>,
    providers: Vec<(String, Arc<dyn Provider>)>,
    keys: BTreeMap<String, ApiKey>,
    http_client: Option<HttpClient>,
}

#[derive(Clone, Default)]
enum FileChoice {
    #[default]
    Find,
    Path(PathBuf),
    Text(String),
    None,
    /// A configuration that was read elsewhere.
    Foreign(Reader),
}

/// Reads a configuration, as often as it is asked to.
type Reader = Arc<dyn Fn() -> Result<Loaded> + Send + Sync>;

impl RegistryBuilder {
    /// Reads this file, and looks for no other.
    pub fn file(mut self, path: impl AsRef<Path>) -> Self {
        self.file = FileChoice::Path(path.as_ref().to_owned());
        self
    }

    /// Reads this text in place of a file.
    pub fn toml(mut self, text: impl Into<String>) -> Self {
        self.file = FileChoice::Text(text.into());
        self
    }

    /// Reads no file: the environment and code only.
    pub fn without_file(mut self) -> Self {
        self.file = FileChoice::None;
        self
    }

    /// Takes these variables in place of the process's environment, for settings, keys and base URLs alike.
    pub fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment = Environment::fixed(variables);
        self
    }

    /// Chooses the section `[profile.NAME]`, in place of the variable `MODELSWITCH_PROFILE`.
    pub fn profile(mut self, name: impl Into<String>) -> Self {
        self.section = Some(name.into());
        self
    }

    /// Sets one setting by its path in the file: `providers.local.base_url`, `models."gpt-4.1"`. Keys don't go here, but
    /// into [`api_key`](Self::api_key).
    pub fn set(mut self, path: &str, value: impl Serialize) -> Self {
        match (source::split_path(path), toml::Value::try_from(value)) {
            (Some(path), Ok(value)) => self.code.push((path, value)),
            (None, _) => self.mistakes.push(Mistake::new(
                None,
                format!("{} set in code is not the path of a setting", quoted(path)),
                "write it like providers.local.base_url, a part with a dot in quotes",
            )),
            (Some(_), Err(_)) => self.mistakes.push(Mistake::new(
                None,
                format!("the value that code sets for {} can't stand in TOML", quoted(path)),
                "give a text, a number, true or false, a list or a map",
            )),
        }
        self
    }

    /// Gives a provider its key, from a vault for example, in place of where the configuration would look for it.
    ///
    /// ```
    /// use modelswitch_provider::ApiKey;
    /// use modelswitch_registry::Registry;
    ///
    /// let registry = Registry::builder()
    ///     .toml("[providers.deepseek]")
    ///     .api_key("deepseek", ApiKey::new("sk-…".replace('…', "0123"))?)
    ///     .build()?;
    /// assert!(registry.providers().iter().all(|provider| provider.key.source == "in code"));
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    pub fn api_key(mut self, provider: impl Into<String>, key: ApiKey) -> Self {
        self.keys.insert(provider.into(), key);
        self
    }

    /// Adds a provider of your own, an `Arc<dyn Provider>` too. It is taken as it is, with no retry around it, and
    /// replaces a configured one of that name. Only what other providers thought is kept from it, and what it thinks
    /// from them ([`ReasoningOrigin`](modelswitch_layers::ReasoningOrigin)).
    pub fn provider(mut self, name: impl Into<String>, provider: impl Provider) -> Self {
        self.providers.push((name.into(), Arc::new(provider)));
        self
    }

    /// Adds an alias: a name that stands for `provider/model`, another alias, or a bare name.
    pub fn alias(mut self, alias: impl Into<String>, target: impl Into<String>) -> Self {
        self.code.push((vec!["models".to_owned(), alias.into()], toml::Value::String(target.into())));
        self
    }

    /// Sets what answers when a request names no model.
    pub fn default_model(mut self, model: impl Into<String>) -> Self {
        self.code.push((vec!["default".to_owned()], toml::Value::String(model.into())));
        self
    }

    /// Shares a pool of connections. Its own time limit for connecting counts.
    pub fn http_client(mut self, client: HttpClient) -> Self {
        self.http_client = Some(client);
        self
    }

    /// Reads and checks everything, and makes the providers. Nothing is sent.
    ///
    /// # Errors
    /// As [`Registry::load`].
    pub fn build(mut self) -> Result<Registry> {
        none_of(std::mem::take(&mut self.mistakes))?;
        Registry::begin(self)
    }

    /// Takes the configuration from elsewhere.
    pub(crate) fn read_by(read: impl Fn() -> Result<Loaded> + Send + Sync + 'static) -> Self {
        Self { file: FileChoice::Foreign(Arc::new(read)), ..Self::default() }
    }
}

/// What is done at a reload again: the builder is the recipe that a registry keeps.
impl RegistryBuilder {
    /// Reads and checks everything as it is now.
    ///
    /// # Errors
    /// As [`Registry::load`].
    pub(crate) fn read(&self, lasting: &Lasting, before: Option<&Snapshot>) -> Result<Snapshot> {
        let source = match &self.file {
            FileChoice::Find => source::find(&self.environment)?,
            FileChoice::Path(path) => Some(Source::file(path)?),
            FileChoice::Text(text) => Some(Source::text(text)?),
            FileChoice::None => None,
            FileChoice::Foreign(read) => {
                return self.assemble(read()?, "a figment given in code".to_owned(), None, lasting, before);
            }
        };
        let origin = match &source {
            Some(Source { path: Some(path), .. }) => path.display().to_string(),
            Some(Source { path: None, .. }) => "a text given in code".to_owned(),
            None => "environment only".to_owned(),
        };
        let folder = source.as_ref().and_then(|source| source.path.as_deref()?.parent().map(Path::to_owned));
        let section = self.section.clone().or_else(|| self.environment.get("MODELSWITCH_PROFILE"));
        let inputs =
            Inputs { source, section, environment: self.environment.clone(), code: self.code.clone() };
        self.assemble(load(inputs)?, origin, folder.as_deref(), lasting, before)
    }

    /// The files that are read, or would be if they were there.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        match &self.file {
            FileChoice::Find => source::candidates(&self.environment),
            FileChoice::Path(path) => vec![path.clone()],
            FileChoice::Text(_) | FileChoice::None | FileChoice::Foreign(_) => Vec::new(),
        }
    }

    fn assemble(
        &self,
        loaded: Loaded,
        source: String,
        folder: Option<&Path>,
        lasting: &Lasting,
        before: Option<&Snapshot>,
    ) -> Result<Snapshot> {
        let Loaded { mut config, places, lists_providers, mut warnings, written } = loaded;
        // Before anything else: what follows would repeat the names.
        none_of(keys_among_names(&config, &places))?;
        let found = if lists_providers { Vec::new() } else { self.found_in_environment(&config) };
        for name in &found {
            config.providers.entry(name.clone()).or_default();
        }
        let shared = Shared {
            environment: &self.environment,
            folders: Folders { config: folder, home: self.environment.get("HOME") },
            places: &places,
            retry: config.retry,
            timeout: config.timeout,
            keys: &self.keys,
            http: self.http_client.as_ref(),
            pools: &lasting.pools,
            reasoning: lasting.reasoning.clone(),
            before: before.map(|before| before.providers.as_slice()).unwrap_or_default(),
        };
        let mut mistakes = Vec::new();
        let providers = self.connect_all(&config, &found, &shared, &mut mistakes)?;
        warnings
            .extend(providers.iter().filter_map(|one| one.keys.as_ref()).flat_map(|keys| keys.warnings()));
        let mut names = names_of(&providers);
        names.from_environment = !lists_providers;
        // A provider that has a mistake would make another of each alias that points to it.
        if mistakes.is_empty() {
            resolve_aliases(&mut names, &config, &places, &mut mistakes, &mut warnings);
            names.default =
                resolve_default(&names, &config, &places, &providers, lists_providers, &mut mistakes);
        }
        none_of(mistakes)?;
        // What was said before and is still so needs no second line in the log.
        let known = before.map(|before| before.warnings.as_slice()).unwrap_or_default();
        for warning in warnings.iter().filter(|warning| !known.contains(warning)) {
            tracing::warn!("{warning}");
        }
        let mut files = self.files();
        files.extend(providers.iter().flat_map(|one| one.files.iter().cloned()));
        let default = names.default.as_ref().map(ToString::to_string);
        let settings = settings(&written, &places, &providers, default, &self.environment);
        let routes = Routes { names, providers: providers.iter().map(|one| route(one)).collect() };
        let log = Log::new().with_content(config.log.content.is_some_and(|flag| flag.0));
        Ok(Snapshot { source, providers, routes, warnings, settings, files, log })
    }

    /// The profiles whose key variable is set.
    fn found_in_environment(&self, config: &Config) -> Vec<String> {
        let has_key = |name: &&str| {
            let variables = Profile::embedded(name).map(|profile| profile.key_env).unwrap_or_default();
            self.environment.first(&variables).is_some() || self.keys.contains_key(*name)
        };
        let names = Profile::embedded_names().filter(has_key).map(str::to_owned);
        names.filter(|name| !config.providers.contains_key(name)).collect()
    }

    fn connect_all(
        &self,
        config: &Config,
        found: &[String],
        shared: &Shared<'_>,
        mistakes: &mut Vec<Mistake>,
    ) -> Result<Vec<Arc<Connected>>> {
        let in_code = |name: &str| self.providers.iter().any(|(own, _)| own == name);
        // Those that the environment brought come in the profiles' order, the most wanted first.
        let written = config.providers.iter().filter(|(name, _)| !found.contains(name));
        let brought = found.iter().filter_map(|name| config.providers.get_key_value(name));
        let all: Vec<(&String, &ProviderConfig)> =
            written.chain(brought).filter(|(name, _)| !in_code(name)).collect();

        let mut connected = Vec::new();
        for (name, provider) in all {
            match connect(name, provider, shared) {
                Ok(provider) => connected.push(provider),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        for (name, provider) in &self.providers {
            if name.trim().is_empty() || name.contains('/') {
                mistakes.push(Mistake::new(
                    None,
                    format!(
                        "{} can't be the name of a provider: `provider/model` splits at the first slash",
                        quoted(name)
                    ),
                    "give the provider a name without a slash",
                ));
            }
            connected.retain(|other: &Arc<Connected>| other.info.name != *name);
            let before = shared.before(name).filter(|before| before.settings.is_none()).cloned();
            connected.push(
                before.unwrap_or_else(|| {
                    Arc::new(Connected::in_code(name, provider.clone(), &shared.reasoning))
                }),
            );
        }
        for name in self.keys.keys().filter(|name| !connected.iter().any(|one| one.info.name == **name)) {
            if mistakes.is_empty() {
                let near = nearest(name, connected.iter().map(|one| one.info.name.as_str()));
                mistakes.push(Mistake::new(
                    None,
                    format!(
                        "code gives a key to {}, and there is no such provider{}",
                        quoted(name),
                        did_you_mean(near)
                    ),
                    "name a provider that is configured",
                ));
            }
        }
        if connected.is_empty() && mistakes.is_empty() {
            return Err(no_providers());
        }
        Ok(connected)
    }
}

/// Names only: settings and keys may be anything.
impl fmt::Debug for RegistryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings: Vec<String> = self.code.iter().map(|(path, _)| dotted(path)).collect();
        let providers: Vec<&str> = self.providers.iter().map(|(name, _)| name.as_str()).collect();
        // The two arguments of `api_key` may have been taken one for the other.
        let keys: Vec<String> = self.keys.keys().map(|name| quoted(name)).collect();
        f.debug_struct("RegistryBuilder")
            .field("settings", &settings)
            .field("providers", &providers)
            .field("keys", &keys)
            .finish_non_exhaustive()
    }
}

fn route(one: &Connected) -> Route {
    Route { name: one.info.name.as_str().into(), provider: one.provider.clone(), once: one.once.clone() }
}

fn names_of(connected: &[Arc<Connected>]) -> Names {
    let owned = connected.iter().map(|one| (Arc::from(one.info.name.as_str()), one.info.models.clone()));
    let mut names = Names::new(owned.collect());
    for one in connected {
        names.add_retired(&one.info.name, &one.retired);
    }
    names
}

/// The [code](Error::code) of the error that says that nothing is configured at all: neither a file nor a key. A program
/// that has something to offer then, such as a demonstration, can tell it from a mistake.
pub const NO_PROVIDER: &str = "no_provider";

fn no_providers() -> Error {
    let variables: Vec<String> = Profile::embedded_names()
        .filter_map(Profile::embedded)
        .filter(|profile| profile.auth.required)
        .flat_map(|profile| profile.key_env)
        .collect();
    Error::config("no provider is configured, and no provider's key is in the environment")
        .with_code(NO_PROVIDER)
        .with_hint(format!(
            "set one of {}, or write a file modelswitch.toml with a section such as [providers.deepseek]",
            list(variables)
        ))
}
