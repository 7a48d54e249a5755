//! Builds a registry: reads, connects, resolves, and tells every mistake at once.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use modelswitch_openai::{HttpClient, Profile};
use modelswitch_provider::{ApiKey, Error, Provider, Result};
use serde::Serialize;

use crate::alias::{Notes, resolve_aliases, resolve_default};
use crate::config::{Config, ProviderConfig};
use crate::connect::{Connected, Shared, WouldOwn, connect, not_a_name, profile_of, would_own};
use crate::contradictions::{Contradiction, idle_settings, of_budget, of_limits};
use crate::env_file;
use crate::environment::Environment;
use crate::factory::{Factory, Settings};
use crate::keys::{Folders, default_variable};
use crate::load::{Inputs, Loaded, Places, Spoilt, load};
use crate::mistake::{Mistake, Place, Wrong, dotted, looks_like_a_key, quoted};
use crate::registry::{Lasting, Registry};
use crate::resolve::Names;
use crate::settings::settings;
use crate::snapshot::Snapshot;
use crate::source::{self, Source};
use crate::spelling::{did_you_mean, nearest};
use crate::spend::Store;
use crate::stack::{Common, Maker};
use crate::syntax::Syntax;
use crate::unconfigured::no_providers;
use crate::unpriced::unpriced;

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
    env_files: Vec<PathBuf>,
    section: Section,
    code: Vec<(Vec<String>, toml::Value)>,
    mistakes: Vec<Mistake>,
    providers: Vec<(String, Arc<dyn Provider>)>,
    factories: BTreeMap<String, Factory>,
    stand_ins: bool,
    pub(crate) without_files: bool,
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

/// Which section of the file counts.
#[derive(Clone, Default)]
enum Section {
    /// The one that `MODELSWITCH_PROFILE` names, if it is set.
    #[default]
    ByVariable,
    Named(String),
    None,
}

/// Reads a configuration, as often as it is asked to.
type Reader = Arc<dyn Fn() -> Result<Loaded> + Send + Sync>;

impl RegistryBuilder {
    /// Reads this file, and looks for no other. What it is written in goes by its ending: `.yaml`, `.yml`, `.json`, else
    /// TOML.
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

    /// Reads variables from a `.env` file too: settings, keys, everything that is looked for in the environment. Those of
    /// the process count more, and of several files the last. The process's own environment stays as it is, and nothing
    /// in a value is replaced.
    ///
    /// ```no_run
    /// # use modelswitch_registry::Registry;
    /// let registry = Registry::builder().env_file(".env").build()?;
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    pub fn env_file(mut self, path: impl AsRef<Path>) -> Self {
        self.env_files.push(path.as_ref().to_owned());
        self
    }

    /// Chooses the section `[profile.NAME]`, in place of the variable `MODELSWITCH_PROFILE`.
    pub fn profile(mut self, name: impl Into<String>) -> Self {
        self.section = Section::Named(name.into());
        self
    }

    /// Chooses no section, whatever `MODELSWITCH_PROFILE` says.
    pub fn without_profile(mut self) -> Self {
        self.section = Section::None;
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

    /// Makes a kind of provider known, which `[providers.NAME]` with `kind = "…"` then makes, as often as it is written.
    /// What stands in its table `settings` is handed on, along with the name.
    ///
    /// What the factory gives back gets what any provider of the registry has: the retry of the configuration, its rules
    /// about models and endpoints, and that what others thought is kept from it. It goes by the name in the
    /// configuration, whatever its own is. A factory may be asked again whenever the configuration is read.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use modelswitch_provider::mock::MockProvider;
    /// use modelswitch_registry::Registry;
    ///
    /// let registry = Registry::builder()
    ///     .toml("[providers.polly]\nkind = 'parrot'\nmodels = ['ara']")
    ///     .factory("parrot", |name, _settings| Ok(Arc::new(MockProvider::reply(format!("{name} wants a cracker")))))
    ///     .build()?;
    /// assert!(registry.model("ara").is_ok());
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    pub fn factory(
        mut self,
        kind: impl Into<String>,
        make: impl Fn(&str, Settings) -> Result<Arc<dyn Provider>> + Send + Sync + 'static,
    ) -> Self {
        self.factories.insert(kind.into(), Arc::new(make));
        self
    }

    /// Takes a kind that no [`factory`](Self::factory) makes for one that another program makes, instead of a mistake: its
    /// providers are there to be looked at, calls to them fail, and a warning says so. For tools that read an app's
    /// configuration without its code.
    ///
    /// ```
    /// # use modelswitch_registry::Registry;
    /// let registry = Registry::builder().toml("[providers.polly]\nkind = 'parrot'").stand_ins().build()?;
    /// assert!(registry.warnings()[0].contains("`parrot`"));
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    pub fn stand_ins(mut self) -> Self {
        self.stand_ins = true;
        self
    }

    /// Makes no file: a `[ledger]` is kept in memory whatever its `path`. For tools that look at a configuration and send nothing.
    ///
    /// ```
    /// # use modelswitch_registry::Registry;
    /// let text = "[providers.deepseek]\n[ledger]\npath = '/there/is/no/such/folder/usage.sqlite'";
    /// assert!(Registry::builder().toml(text).environment([]).without_files().build().is_ok());
    /// ```
    pub fn without_files(mut self) -> Self {
        self.without_files = true;
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
    pub fn build(self) -> Result<Registry> {
        Registry::begin(self)
    }

    /// The environments that the file has sections for, `[profile.NAME]`, in the order of their names.
    ///
    /// ```
    /// # use modelswitch_registry::Registry;
    /// let builder = Registry::builder().toml("[providers.deepseek]\n[profile.test.retry]\nattempts = 1");
    /// assert_eq!(builder.sections()?, ["test"]);
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Config`](modelswitch_provider::ErrorKind::Config) for a file that can't be read.
    pub fn sections(&self) -> Result<Vec<String>> {
        let source = self.source(&self.variables()?)?;
        let sections = source.as_ref().and_then(|source| source.table.get("profile")?.as_table());
        Ok(sections.into_iter().flat_map(toml::Table::keys).cloned().collect())
    }

    /// Everything that is wrong: as the configuration would be read now, and then with each of its
    /// [sections](Self::sections). What is wrong with several is told with the first. Empty when all is well.
    ///
    /// ```
    /// # use modelswitch_registry::Registry;
    /// let text = "[providers.deepseek]\nmodel = 'x'\n[profile.test.retry]\nattempt = 1";
    /// let wrong = Registry::builder().toml(text).environment([]).validate();
    /// assert_eq!((wrong[0].section.as_deref(), wrong[1].section.as_deref()), (None, Some("test")));
    /// assert!(wrong[1].error.message().contains("did you mean `attempts`?"));
    /// ```
    pub fn validate(&self) -> Vec<Invalid> {
        let sections = self.sections().unwrap_or_default();
        let named = sections.iter().map(|name| (Some(name), Section::Named(name.clone())));
        let (mut told, mut invalid) = (Vec::new(), Vec::<Invalid>::new());
        for (name, section) in std::iter::once((None, self.section.clone())).chain(named) {
            let error = match self.read_with(&section, &Lasting::default(), None) {
                Ok(_) => continue,
                Err(Wrong::Mistakes(mut mistakes)) => {
                    mistakes.retain(|mistake| !told.contains(mistake));
                    told.extend(mistakes.iter().cloned());
                    if mistakes.is_empty() {
                        continue;
                    }
                    Error::from(Wrong::Mistakes(mistakes))
                }
                // Providers may stand in sections alone.
                Err(Wrong::Unread(error)) if name.is_none() && is_left_to(&sections, &error) => continue,
                Err(Wrong::Unread(error)) => error,
            };
            if !invalid.iter().any(|other| other.error.message() == error.message()) {
                invalid.push(Invalid { section: name.cloned(), error });
            }
        }
        invalid
    }

    /// Takes the configuration from elsewhere.
    pub(crate) fn read_by(read: impl Fn() -> Result<Loaded> + Send + Sync + 'static) -> Self {
        Self { file: FileChoice::Foreign(Arc::new(read)), ..Self::default() }
    }
}

/// What is wrong with a configuration: [`RegistryBuilder::validate`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Invalid {
    /// The section that was chosen, where it needs one to be wrong.
    pub section: Option<String>,
    /// All that is wrong, in one error.
    pub error: Error,
}

fn is_left_to(sections: &[String], error: &Error) -> bool {
    !sections.is_empty() && error.code() == Some(NO_PROVIDER)
}

/// What is done at a reload again: the builder is the recipe that a registry keeps.
impl RegistryBuilder {
    /// Reads and checks everything as it is now.
    ///
    /// # Errors
    /// As [`Registry::load`].
    pub(crate) fn read(&self, lasting: &Lasting, before: Option<&Snapshot>) -> Result<Snapshot> {
        Ok(self.read_with(&self.section, lasting, before)?)
    }

    /// # Errors
    /// What is wrong, mistake by mistake.
    fn read_with(
        &self,
        section: &Section,
        lasting: &Lasting,
        before: Option<&Snapshot>,
    ) -> Result<Snapshot, Wrong> {
        let environment = &self.variables()?;
        if let FileChoice::Foreign(read) = &self.file {
            let source = "a figment given in code".to_owned();
            return self.assemble(
                read()?,
                Read { environment, source, section: None, folder: None, lasting, before },
            );
        }
        let source = self.source(environment)?;
        let origin = match &source {
            Some(Source { path: Some(path), .. }) => path.display().to_string(),
            Some(Source { path: None, .. }) => "a text given in code".to_owned(),
            None => "environment only".to_owned(),
        };
        let folder = source.as_ref().and_then(|source| source.path.as_deref()?.parent().map(Path::to_owned));
        let section = match section {
            Section::ByVariable => environment.get("MODELSWITCH_PROFILE"),
            Section::Named(name) => Some(name.clone()),
            Section::None => None,
        };
        let inputs = Inputs {
            source,
            section: section.clone(),
            environment: environment.clone(),
            code: self.code.clone(),
        };
        let folder = folder.as_deref();
        self.assemble(load(inputs)?, Read { environment, source: origin, section, folder, lasting, before })
    }

    /// The process's variables, or those given in their place, with those of `.env` files.
    fn variables(&self) -> Result<Environment> {
        Ok(match self.env_files.as_slice() {
            [] => self.environment.clone(),
            files => self.environment.with_files(env_file::read(files)?),
        })
    }

    fn source(&self, environment: &Environment) -> Result<Option<Source>> {
        Ok(match &self.file {
            FileChoice::Find => source::find(environment)?,
            FileChoice::Path(path) => Some(Source::file(path)?),
            FileChoice::Text(text) => Some(Source::text(text)?),
            FileChoice::None | FileChoice::Foreign(_) => None,
        })
    }

    /// The files that are read, or would be if they were there.
    fn files(&self, environment: &Environment) -> Vec<PathBuf> {
        let mut files = match &self.file {
            FileChoice::Find => source::candidates(environment),
            FileChoice::Path(path) => vec![path.clone()],
            FileChoice::Text(_) | FileChoice::None | FileChoice::Foreign(_) => Vec::new(),
        };
        files.extend(self.env_files.iter().cloned());
        files
    }

    fn assemble(&self, mut loaded: Loaded, read: Read<'_>) -> Result<Snapshot, Wrong> {
        let Read { environment, source, section, folder, lasting, before } = read;
        loaded.mistakes.splice(0..0, self.mistakes.iter().cloned());
        let found = match loaded.lists_providers {
            true => Vec::new(),
            false => self.found_in_environment(&loaded, environment),
        };
        for name in &found {
            loaded.config.providers.entry(name.clone()).or_default();
        }
        let mut mistakes = std::mem::take(&mut loaded.mistakes);
        let syntax = folder.map_or_else(Syntax::default, |_| Syntax::of(Path::new(&source)));
        let shared = Shared {
            environment,
            folders: Folders { config: folder, home: environment.get("HOME") },
            places: &loaded.places,
            profiles: &loaded.profiles,
            factories: &self.factories,
            sections: &loaded.sections,
            stand_ins: self.stand_ins,
            common: &loaded.config,
            keys: &self.keys,
            http: self.http_client.as_ref(),
            pools: &lasting.pools,
            reasoning: lasting.reasoning.clone(),
            before: before.map(|before| before.providers.as_slice()).unwrap_or_default(),
            file: folder.map(|_| source.as_str()),
        };
        let (providers, failed) = self.connect_all(&loaded, &found, &shared, &mut mistakes)?;
        let Loaded {
            config, places, spoilt, lists_providers, mut warnings, written: settings_written, ..
        } = loaded;
        warnings
            .extend(providers.iter().filter_map(|one| one.keys.as_ref()).flat_map(|keys| keys.warnings()));
        let mut names = names_of(&providers, failed);
        names.from_environment = !lists_providers;
        names.may_lack_providers = spoilt.is_unsure;
        names.syntax = syntax;
        let mut notes =
            Notes { places: &places, spoilt: &spoilt, mistakes: &mut mistakes, warnings: &mut warnings };
        let written = resolve_aliases(&mut names, &config, &mut notes);
        names.default = resolve_default(&names, &config, &providers, lists_providers, &written, &mut notes);
        mistakes.extend(contradictions(&config, &places, &spoilt));
        if !mistakes.is_empty() {
            return Err(Wrong::Mistakes(mistakes));
        }
        let store = store(&config, &places, folder, lasting, before)?;
        let maker = Maker {
            common: Common::of(&config),
            connected: providers.as_slice().into(),
            counter: Store::counter(store.as_ref(), &lasting.counter),
            before,
        };
        warnings.extend(not_allowed(&names, &providers));
        warnings.extend(idle_settings(&config));
        warnings.extend(unpriced(&names, &config, &maker.connected));
        warnings.extend(providers.iter().filter_map(|one| without_a_key(one)));
        warnings.extend(providers.iter().filter_map(|one| self.stood_in_for(one)));
        let (routes, of_aliases) = maker.routes(names);
        warnings.extend(of_aliases);
        let warnings: Vec<String> = warnings.iter().map(|warning| syntax.put(warning)).collect();
        // Only now does this configuration count, and with it the places that errors name.
        for rules in providers.iter().filter_map(|one| one.rules.as_ref()) {
            rules.stand_in(&places);
        }
        // What was said before and is still so needs no second line in the log.
        let known = before.map(|before| before.warnings.as_slice()).unwrap_or_default();
        for warning in warnings.iter().filter(|warning| !known.contains(warning)) {
            tracing::warn!("{warning}");
        }
        let mut files = self.files(environment);
        files.extend(providers.iter().flat_map(|one| one.files.iter().cloned()));
        let default = routes.names.default_name();
        let settings = settings(&settings_written, &places, &providers, default, environment);
        let observe = config.observe();
        let cost = store.as_ref().map(|store| store.cost(&maker.connected));
        Ok(Snapshot {
            source,
            section,
            providers,
            routes,
            warnings,
            settings,
            files,
            config,
            places,
            observe,
            store,
            cost,
        })
    }

    fn stood_in_for(&self, one: &Connected) -> Option<String> {
        let kind = one.made.as_ref()?.config.kind.as_ref()?;
        let (path, kind_shown) = (dotted(&["providers", &one.info.name]), quoted(kind));
        (!self.factories.contains_key(kind))
            .then(|| format!("`{path}` is of the kind {kind_shown}, which the app's own code makes: it can't be asked from here"))
    }

    /// The profiles whose key variable is set, and whose place is known. A variable of several finds the first.
    fn found_in_environment(&self, loaded: &Loaded, environment: &Environment) -> Vec<String> {
        let profiles = &loaded.profiles;
        let has_place = |profile: &Profile| {
            profile.base_url.is_some() || profile.base_url_in(|name| environment.get(name)).is_some()
        };
        let is_wanted = |name: &&str| {
            let Some(profile) = profiles.get(name) else { return false };
            // A key from code says which provider it is for; what is wrong with that one is told.
            let by_variable = environment.first_set(profile.found_by()).is_some() && has_place(&profile);
            by_variable || self.keys.contains_key(*name)
        };
        let names = profiles.names().into_iter().filter(is_wanted).map(str::to_owned);
        names.filter(|name| !loaded.config.providers.contains_key(name)).collect()
    }

    fn connect_all(
        &self,
        loaded: &Loaded,
        found: &[String],
        shared: &Shared<'_>,
        mistakes: &mut Vec<Mistake>,
    ) -> Result<(Vec<Arc<Connected>>, Vec<Failed>)> {
        let Loaded { config, places, spoilt, .. } = loaded;
        let in_code = |name: &str| self.providers.iter().any(|(own, _)| own == name);
        // Those that the environment brought come in the profiles' order, the most wanted first.
        let written = config.providers.iter().filter(|(name, _)| !found.contains(name));
        let brought = found.iter().filter_map(|name| config.providers.get_key_value(name));
        let all: Vec<(&String, &ProviderConfig)> =
            written.chain(brought).filter(|(name, _)| !in_code(name)).collect();

        let mut connected = Vec::new();
        let missing =
            spoilt.names_in("providers").into_iter().map(|name| Failed { name, owns: WouldOwn::Unknown });
        let mut failed: Vec<Failed> = missing.collect();
        for (name, provider) in all {
            match connect(name, provider, shared) {
                Ok(provider) => connected.push(provider),
                Err(found) => {
                    // That there is no such service may follow from what was taken out, or be a mistake beside it.
                    let is_unsure = spoilt.may_name_the_service(name);
                    let certain = match is_unsure {
                        true => Vec::new(),
                        false => profile_of(name, provider, shared).err().unwrap_or_default(),
                    };
                    let is_own =
                        |mistake: &Mistake| certain.contains(mistake) || !spoilt.may_cause(mistake, places);
                    mistakes.extend(found.into_iter().filter(is_own));
                    let owns = match would_own(name, provider, shared) {
                        WouldOwn::WithAProfile(_) if is_unsure => WouldOwn::Unknown,
                        owns => owns,
                    };
                    failed.push(Failed { name: name.clone(), owns });
                }
            }
        }
        for (name, provider) in &self.providers {
            if looks_like_a_key(name) {
                mistakes.push(Mistake::new(
                    None,
                    "code gives a key where the name of a provider belongs (not shown)",
                    "name the provider, and give its key with `.api_key(name, key)`",
                ));
                continue;
            }
            if let Some((what, hint)) = not_a_name(name) {
                mistakes.push(Mistake::new(None, format!("{} {what}", quoted(name)), hint));
            }
            connected.retain(|other: &Arc<Connected>| other.info.name != *name);
            let before = shared.before(name).filter(|before| before.made.is_none()).cloned();
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
            let empty = shared.file.filter(|_| loaded.written.iter().all(|(path, _)| path.is_empty()));
            return Err(no_providers(empty, shared.environment));
        }
        Ok((connected, failed))
    }
}

/// What a configuration was read with.
struct Read<'a> {
    /// With the variables of files, as they are now.
    environment: &'a Environment,
    /// What is told of where it was read.
    source: String,
    section: Option<String>,
    /// The folder of the file.
    folder: Option<&'a Path>,
    lasting: &'a Lasting,
    before: Option<&'a Snapshot>,
}

/// A provider that has mistakes: aliases may point to it all the same.
struct Failed {
    name: String,
    owns: WouldOwn,
}

/// Names only: settings and keys may be anything.
impl fmt::Debug for RegistryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings: Vec<String> = self.code.iter().map(|(path, _)| dotted(path)).collect();
        // A key may have been taken for a name.
        let providers: Vec<String> = self.providers.iter().map(|(name, _)| quoted(name)).collect();
        let keys: Vec<String> = self.keys.keys().map(|name| quoted(name)).collect();
        f.debug_struct("RegistryBuilder")
            .field("settings", &settings)
            .field("providers", &providers)
            .field("keys", &keys)
            .finish_non_exhaustive()
    }
}

/// What is wrong with the settings at the top by themselves.
fn contradictions(config: &Config, places: &Places, spoilt: &Spoilt) -> Vec<Mistake> {
    let budget = of_budget(config.budget.as_ref(), !spoilt.is_inside(&["budget"]));
    let found = of_limits(&config.limits).into_iter().chain(budget);
    let mistake = |(path, what, hint): Contradiction| {
        Mistake::new(places.of(&path), format!("`{}` {what}", dotted(&path)), hint)
    };
    found.map(mistake).collect()
}

/// Where calls are written down. A relative path begins at the folder of the file that says it.
///
/// # Errors
/// The mistake in `ledger.path`, for a file that can't be opened.
fn store(
    config: &Config,
    places: &Places,
    folder: Option<&Path>,
    lasting: &Lasting,
    before: Option<&Snapshot>,
) -> Result<Option<Store>, Wrong> {
    let path = ["ledger", "path"];
    let place = places.of(&path);
    let folder = folder.filter(|_| matches!(place, Some(Place::File { .. })));
    let before = before.and_then(|before| before.store.as_ref());
    Store::new(config.ledger.as_ref(), folder, lasting.makes_files, before).map_err(|error| {
        let what = format!("`{}`: {}", dotted(&path), error.message());
        Wrong::Mistakes(vec![Mistake::new(place, what, error.hint().to_owned())])
    })
}

fn names_of(connected: &[Arc<Connected>], failed: Vec<Failed>) -> Names {
    let may_own_more = failed.iter().any(|one| matches!(one.owns, WouldOwn::Unknown));
    let may_own_known = failed.iter().any(|one| matches!(one.owns, WouldOwn::WithAProfile(_)));
    let owned = connected.iter().map(|one| (Arc::from(one.info.name.as_str()), one.info.models.clone()));
    let would = failed.into_iter().map(|Failed { name, owns }| match owns {
        WouldOwn::These(models) | WouldOwn::WithAProfile(models) => (Arc::from(name), models),
        WouldOwn::Unknown => (Arc::from(name), Vec::new()),
    });
    let mut names = Names::new(owned.chain(would).collect());
    names.may_own_more = may_own_more;
    names.may_own_known = may_own_known;
    for one in connected {
        names.add_retired(&one.info.name, &one.retired);
    }
    names
}

/// How a key is sent was said, and there is none to be sent.
fn without_a_key(one: &Connected) -> Option<String> {
    let auth = &one.made.as_ref()?.config.auth;
    let is_said = auth.header.is_some() || auth.scheme.is_some();
    let says_none = auth.required.as_ref().is_some_and(|required| !required.0);
    let name = &one.info.name;
    (is_said && !says_none && one.keys.is_none() && !one.info.key.set).then(|| {
        let path = dotted(&["providers", name, "auth"]);
        let variable = default_variable(name);
        format!("`{path}` says how a key is sent, and no key is: write api_key = {{ env = \"{variable}\" }} beside it")
    })
}

/// Aliases and a default that lead to what their provider's own rules refuse: every request for them fails.
fn not_allowed(names: &Names, connected: &[Arc<Connected>]) -> Vec<String> {
    let aliases = names.aliases().map(|(alias, target)| (dotted(&["models", alias]), target));
    let default = names.default.iter().map(|target| ("default".to_owned(), target));
    let refused = aliases.chain(default).filter_map(|(path, target)| {
        let rules = connected.iter().find(|one| *one.info.name == *target.provider)?.rules.as_ref()?;
        let error = rules.model(&target.model).err()?;
        Some(format!("`{path}` leads to what isn't allowed: {}", error.message()))
    });
    refused.collect()
}

/// The [code](Error::code) of the error that says that nothing is configured at all: neither a file nor a key. A program
/// that has something to offer then, such as a demonstration, can tell it from a mistake.
pub const NO_PROVIDER: &str = "no_provider";
