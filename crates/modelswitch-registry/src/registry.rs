//! The registry: every provider by name, every name that models go by.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;
use futures_util::stream::{self, Stream, StreamExt};
use modelswitch_deepseek::Balance;
use modelswitch_layers::{Ledger, MemoryCounter, ReasoningOrigin};
use modelswitch_openai::{Capture, Client, HttpService, async_openai};
use modelswitch_provider::{Error, Provider, Result};

use crate::builder::RegistryBuilder;
use crate::catalogue::Catalogue;
use crate::changes::Changes;
use crate::check::{CheckOptions, CheckReport, check};
use crate::connect::{Connected, ProviderInfo};
use crate::events::{Events, Observers, RegistryEvent};
use crate::keys::KeyRefresh;
use crate::pools::Pools;
use crate::router::{Bound, Called, Logged, NamedBy, Router};
use crate::settings::Setting;
use crate::snapshot::{Current, Snapshot};

/// Configuration made into providers. A clone is another handle on the same registry.
///
/// ```no_run
/// use modelswitch_provider::{ChatRequest, ProviderExt};
/// use modelswitch_registry::Registry;
///
/// # async fn run() -> modelswitch_provider::Result<()> {
/// let registry = Registry::load()?;                       // file + environment
/// let smart = registry.model("smart")?;                   // Arc<dyn Provider>, the alias bound
/// println!("{}", smart.chat(ChatRequest::user("9.11 or 9.8?")).await?.text());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    /// How to read everything again.
    recipe: RegistryBuilder,
    current: Current,
    lasting: Lasting,
    router: Arc<dyn Provider>,
    http: HttpService,
    observers: Observers,
    /// Held while it is read again: two at once could put the older one last.
    reloading: Mutex<()>,
}

/// What outlives a snapshot. Whatever else a provider knows, it keeps as long as its own settings stay as they are.
#[derive(Debug, Default)]
pub(crate) struct Lasting {
    /// Who thought what. It goes around all providers of all snapshots.
    pub(crate) reasoning: ReasoningOrigin,
    pub(crate) pools: Pools,
    /// What budgets have counted, where no ledger's file does.
    pub(crate) counter: Arc<MemoryCounter>,
    /// Whether files are made; not by who only looks whether a configuration is right.
    pub(crate) makes_files: bool,
}

impl Registry {
    pub(crate) fn begin(recipe: RegistryBuilder) -> Result<Self> {
        let lasting = Lasting { makes_files: !recipe.without_files, ..Lasting::default() };
        let current = Current::new(recipe.read(&lasting, None)?);
        // Around the router, so that it is one line a call and not one for each provider that is asked.
        let router: Arc<dyn Provider> =
            Logged::around(&current, NamedBy::Request, Arc::new(Router(current.clone())));
        let http = HttpService::new(router.clone());
        let (observers, reloading) = (Observers::default(), Mutex::default());
        Ok(Self(Arc::new(Inner { recipe, current, lasting, router, http, observers, reloading })))
    }
}

/// Made from configuration.
impl Registry {
    /// Reads the configuration file, if there is one, and the environment. Without a file, each provider whose key
    /// variable is set is there.
    ///
    /// The file is the one that `MODELSWITCH_CONFIG` names, else `./modelswitch.toml`, else `modelswitch/modelswitch.toml`
    /// under `$XDG_CONFIG_HOME` or `~/.config`.
    ///
    /// ```no_run
    /// # use modelswitch_registry::Registry;
    /// let registry = Registry::load()?;
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Config`](modelswitch_provider::ErrorKind::Config), which names the file, line and setting, what is wrong and
    /// what to write. A key that is missing is no error here, but one of the first call to its provider.
    pub fn load() -> Result<Self> {
        Self::builder().build()
    }

    /// Reads this file, and the environment.
    ///
    /// ```no_run
    /// # use modelswitch_registry::Registry;
    /// let registry = Registry::from_file("config/modelswitch.toml")?;
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`load`](Self::load), and when there is no such file.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder().file(path).build()
    }

    /// Reads this text in place of a file, and the environment.
    ///
    /// ```
    /// use modelswitch_registry::Registry;
    ///
    /// let registry = Registry::from_toml(r#"
    ///     [providers.deepseek]
    ///     [models]
    ///     fast = "deepseek/deepseek-flash"
    /// "#)?;
    /// assert!(registry.model("fast").is_ok());
    /// assert!(registry.model("fsat").is_err_and(|error| error.to_string().contains("did you mean `fast`?")));
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_toml(text: &str) -> Result<Self> {
        Self::builder().toml(text).build()
    }

    /// Begins with what [`load`](Self::load) would read, to which code adds.
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder::default()
    }
}

/// Providers by name.
impl Registry {
    /// A provider by its own name. The request's model is passed on as it is. After a [`reload`](Self::reload) it is the
    /// one that has the name then; a call when nobody has it is refused as here.
    ///
    /// ```
    /// # use modelswitch_registry::Registry;
    /// let registry = Registry::from_toml("[providers.local]\nprofile = 'llamacpp'")?;
    /// assert_eq!(registry.provider("local")?.name(), "local");
    /// # use modelswitch_provider::Provider;
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Config`](modelswitch_provider::ErrorKind::Config) that lists the providers there are.
    pub fn provider(&self, name: &str) -> Result<Arc<dyn Provider>> {
        let current = self.0.current.clone();
        current.get().routes.provider(name)?;
        let called = Arc::new(Called { current: current.clone(), name: name.into() });
        Ok(Logged::around(&current, NamedBy::Nobody, called))
    }

    /// A model by an alias, by `provider/model`, or by a bare name that exactly one provider owns. What is sent to the
    /// returned provider is answered by that model, whatever model it names.
    ///
    /// What the name stands for is looked up at each call, so it follows a [`reload`](Self::reload); an alias that is gone
    /// is [`ModelNotFound`](modelswitch_provider::ErrorKind::ModelNotFound) at the call. The provider's
    /// [`name`](Provider::name) is of the one whose model it was when it was asked for here;
    /// [`Head::provider`](modelswitch_provider::Head::provider) tells who answered.
    ///
    /// ```
    /// # use modelswitch_registry::Registry;
    /// # use modelswitch_provider::Provider;
    /// let registry = Registry::from_toml("[providers.deepseek]\n[models]\n'gpt-4o' = 'deepseek/deepseek-flash'")?;
    /// for name in ["gpt-4o", "deepseek/deepseek-v4-pro", "deepseek-flash"] {
    ///     assert_eq!(registry.model(name)?.name(), "deepseek");
    /// }
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ModelNotFound`](modelswitch_provider::ErrorKind::ModelNotFound) with what was probably meant and what there is.
    pub fn model(&self, name: &str) -> Result<Arc<dyn Provider>> {
        let current = self.0.current.clone();
        let snapshot = current.get();
        let target = snapshot.routes.names.resolve(name)?;
        snapshot.routes.provider(&target.provider)?;
        let asked_for: Arc<str> = name.into();
        let named = NamedBy::Holder(asked_for.clone());
        let bound = Bound { current: current.clone(), asked_for, provider: target.provider };
        Ok(Logged::around(&current, named, Arc::new(bound)))
    }

    /// All providers as one: each request goes where its `model` says, one without a model to the default.
    ///
    /// `GET /models` answers with the aliases and every provider's models; each provider is asked once and has 20
    /// seconds. A request that has no model to go by, such as `GET /files`, goes to the provider that the header
    /// [`x-modelswitch-provider`](crate::PROVIDER_HEADER) names, else to the default's.
    ///
    /// ```
    /// use modelswitch_provider::mock::MockProvider;
    /// use modelswitch_provider::{ChatRequest, ProviderExt};
    /// use modelswitch_registry::Registry;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
    /// let registry = Registry::builder()
    ///     .without_file()
    ///     .provider("a", MockProvider::reply("from a"))
    ///     .provider("b", MockProvider::reply("from b"))
    ///     .alias("fast", "b/small")
    ///     .build()?;
    /// let llm = registry.router();
    /// assert_eq!(llm.chat(ChatRequest::user("Who?").model("a/large")).await?.text(), "from a");
    /// assert_eq!(llm.chat(ChatRequest::user("Who?").model("fast")).await?.text(), "from b");
    /// # Ok::<(), modelswitch_provider::Error>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn router(&self) -> Arc<dyn Provider> {
        self.0.router.clone()
    }

    /// An async-openai client over [`router`](Self::router). The model of each call chooses the provider.
    ///
    /// ```
    /// # use modelswitch_registry::Registry;
    /// let registry = Registry::from_toml("[providers.deepseek]")?;
    /// let client: modelswitch_openai::Client = registry.client()?;
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Config`](modelswitch_provider::ErrorKind::Config) when TLS can't be set up on this machine.
    pub fn client(&self) -> Result<Client> {
        self.0.http.client()
    }

    /// An async-openai client that an app has already, its calls taken over: nothing of its URL and key reaches a
    /// provider.
    ///
    /// ```
    /// use modelswitch_openai::async_openai::{Client, config::OpenAIConfig};
    /// use modelswitch_registry::Registry;
    ///
    /// let registry = Registry::from_toml("[providers.deepseek]")?;
    /// let client = Client::with_config(OpenAIConfig::new());
    /// let client = registry.wrap(client);
    /// # let _: Client<OpenAIConfig> = client;
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    pub fn wrap<C: async_openai::config::Config>(
        &self,
        client: async_openai::Client<C>,
    ) -> async_openai::Client<C> {
        self.0.http.wrap(client)
    }

    /// The HTTP service behind [`client`](Self::client), for a client made in another way.
    ///
    /// ```
    /// use modelswitch_registry::Registry;
    ///
    /// let registry = Registry::from_toml("[providers.deepseek]")?;
    /// let client = registry.http_service().without_reasoning().client()?;
    /// # let _: modelswitch_openai::Client = client;
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    pub fn http_service(&self) -> HttpService {
        self.0.http.clone()
    }

    /// A handle that tells afterwards who answered a call of [`client`](Self::client), and how.
    ///
    /// ```no_run
    /// use modelswitch_openai::async_openai::traits::RequestOptionsBuilder;
    /// use modelswitch_registry::Registry;
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let registry = Registry::load()?;
    /// let capture = registry.capture();
    /// let models = registry.client()?.models().headers(capture.headers()).list().await?;
    /// if let Some(head) = capture.head() {
    ///     println!("{} models; left out: {:?}", models.data.len(), head.adaptations);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn capture(&self) -> Capture {
        self.0.http.capture()
    }
}

/// Keys that change while the registry is in use.
impl Registry {
    /// Reads every key again and tells what came of each, in the order of the providers and their keys. A key that can't
    /// be read again stays in use as it was, and calls in flight go on with the one that they began with.
    ///
    /// Nobody has to call this: a file that changed, a key that is refused and one whose time is over are read again by
    /// themselves. It is for whoever knows that a key was rotated and won't wait.
    ///
    /// ```
    /// use modelswitch_registry::Registry;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let registry = Registry::from_toml("[providers.deepseek]")?;
    /// for key in registry.refresh_keys().await {
    ///     println!("{}, key {} from {}: changed: {}", key.provider, key.slot, key.source, key.changed);
    /// }
    /// # Ok::<(), modelswitch_provider::Error>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn refresh_keys(&self) -> Vec<KeyRefresh> {
        let snapshot = self.0.current.get();
        let keys = snapshot.providers.iter().filter_map(|connected| connected.keys.as_ref());
        join_all(keys.map(|keys| keys.refresh())).await.concat()
    }
}

/// For a person to look at.
impl Registry {
    /// The providers in their order, with where each key comes from and never the key.
    ///
    /// ```
    /// # use modelswitch_registry::Registry;
    /// let registry = Registry::from_toml("[providers.local]\nprofile = 'llamacpp'")?;
    /// for provider in registry.providers() {
    ///     println!("{} at {:?}, key: {}", provider.name, provider.base_url, provider.key.source);
    /// }
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    pub fn providers(&self) -> Vec<ProviderInfo> {
        self.0.current.get().providers.iter().map(|connected| connected.info()).collect()
    }

    /// The aliases and the `provider/model` that each stands for, in alphabetical order. Of several it is the first.
    pub fn aliases(&self) -> Vec<(String, String)> {
        let snapshot = self.0.current.get();
        let aliases = snapshot.routes.names.aliases();
        aliases.map(|(alias, target)| (alias.to_owned(), target.to_string())).collect()
    }

    /// The `provider/model` that answers when a request names no model.
    pub fn default_model(&self) -> Option<String> {
        self.0.current.get().routes.names.default_name()
    }

    /// What the configuration says and is not done, or not as it may be meant.
    pub fn warnings(&self) -> Vec<String> {
        self.0.current.get().warnings.clone()
    }

    /// Where the configuration came from: a file's path, or `environment only`.
    pub fn source(&self) -> String {
        self.0.current.get().source.clone()
    }

    /// The environment that was chosen, by `MODELSWITCH_PROFILE` or [`RegistryBuilder::profile`]: the section
    /// `[profile.NAME]` counts too.
    ///
    /// ```
    /// # use modelswitch_registry::Registry;
    /// let text = "[providers.deepseek]\n[profile.test.retry]\nattempts = 1";
    /// let registry = Registry::builder().environment([]).toml(text).profile("test").build()?;
    /// assert_eq!(registry.section().as_deref(), Some("test"));
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    pub fn section(&self) -> Option<String> {
        self.0.current.get().section.clone()
    }
}

/// Reload.
impl Registry {
    /// Reads everything again: the file, the environment, the keys. From then on it counts, for everything that this
    /// registry has given out as well: [`router`](Self::router), [`client`](Self::client), the models and providers.
    ///
    /// Keys in variables and files are read at once. Those of commands and the keyring, which may need long, are read again
    /// at their next call; to have it done now, [`refresh_keys`](Self::refresh_keys). A key that can't be read stays in use
    /// as it was, also with a provider whose other settings changed.
    ///
    /// A call that has begun goes on as it began. A provider whose settings come down to the same stays the very same, with
    /// its connections and what it remembers. One that changed is made anew; what its model thought is still remembered if
    /// its URL is the same. What is wrong changes nothing and is given back.
    ///
    /// It reads files, so it may take a moment; calls don't wait for it. One reload after the other: a second one waits for
    /// the first. Whoever [listens](Self::events) is told either way.
    ///
    /// ```
    /// use modelswitch_registry::{AliasChange, Registry};
    ///
    /// # let folder = std::env::temp_dir().join("modelswitch-reload-example");
    /// # std::fs::create_dir_all(&folder)?;
    /// # let file = folder.join("modelswitch.toml");
    /// std::fs::write(&file, "[providers.deepseek]\n[models]\nfast = 'deepseek/deepseek-flash'")?;
    /// let registry = Registry::from_file(&file)?;
    /// let fast = registry.model("fast")?;             // asks deepseek-flash for now
    ///
    /// std::fs::write(&file, "[providers.deepseek]\n[models]\nfast = 'deepseek/deepseek-v4-pro'")?;
    /// let changes = registry.reload()?;               // from here on `fast` asks deepseek-v4-pro
    /// assert!(matches!(&changes.aliases[..], [AliasChange::Changed { to, .. }] if to == "deepseek/deepseek-v4-pro"));
    /// assert_eq!(
    ///     changes.to_string(),
    ///     "aliases: `fast` is deepseek/deepseek-v4-pro (was deepseek/deepseek-flash)"
    /// );
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`load`](Self::load), and where a factory panics.
    pub fn reload(&self) -> Result<Changes> {
        let changes = self.reload_and_tell(|_| true)?;
        self.0
            .current
            .get()
            .providers
            .iter()
            .filter_map(|one| one.keys.as_ref())
            .for_each(|keys| keys.expire());
        Ok(changes)
    }

    /// What happens from now on: reloads, and those that failed, from wherever they were asked for.
    ///
    /// ```
    /// use modelswitch_registry::{Registry, RegistryEvent};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let registry = Registry::from_toml("[providers.deepseek]")?;
    /// let mut events = registry.events();
    /// registry.reload()?;
    /// match events.next().await {
    ///     Some(RegistryEvent::Reloaded(changes)) => println!("configuration: {changes}"),
    ///     Some(RegistryEvent::ReloadFailed(error)) => eprintln!("still the old configuration: {error}"),
    ///     _ => {}
    /// }
    /// # Ok::<(), modelswitch_provider::Error>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn events(&self) -> Events {
        self.0.observers.subscribe()
    }

    /// As [`reload`](Self::reload), but for keys that take time to be read: a watcher that reloads at each change of a
    /// folder must not run a vault's program as often. The changes are told if `worth_telling`, a failure always.
    pub(crate) fn reload_and_tell(&self, worth_telling: impl FnOnce(&Changes) -> bool) -> Result<Changes> {
        // Whoever panicked while he held it has left nothing half changed.
        let _one_at_a_time = self.0.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.0.current.get();
        // A factory is somebody else's code. What it left half made is dropped, and nothing here is half changed.
        let read = AssertUnwindSafe(|| self.0.recipe.read(&self.0.lasting, Some(&before)));
        match catch_unwind(read).unwrap_or_else(|_| Err(panicked())) {
            Ok(after) => {
                let changes = Changes::between(&before, &after);
                self.0.current.put(after);
                if worth_telling(&changes) {
                    tracing::info!("configuration read again: {changes}");
                    self.0.observers.tell(RegistryEvent::Reloaded(changes.clone()));
                }
                Ok(changes)
            }
            Err(error) => {
                tracing::warn!("configuration not taken, the one before still counts: {error}");
                self.0.observers.tell(RegistryEvent::ReloadFailed(error.clone()));
                Err(error)
            }
        }
    }

    /// What counts now, as it was read.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.0.current.get()
    }

    /// What counts now.
    #[cfg(any(test, feature = "watch"))]
    pub(crate) fn current(&self) -> &Current {
        &self.0.current
    }

    /// How many pools of connections are open, for tests of what a reload leaves behind.
    #[doc(hidden)]
    pub fn open_pools(&self) -> usize {
        self.0.lasting.pools.open()
    }
}

/// The connection check and the balance.
impl Registry {
    /// Checks every provider, eight at once: the key, the way there, whether the service takes the key, its models, what is
    /// left on the account where the service tells, a tiny completion. See [`CheckOptions`] for less or more.
    ///
    /// ```no_run
    /// # async fn run(registry: modelswitch_registry::Registry) {
    /// for report in registry.check().await {
    ///     println!("{}: {}", report.provider, if report.passed() { "works" } else { "doesn't work" });
    /// }
    /// # }
    /// ```
    pub async fn check(&self) -> Vec<CheckReport> {
        let mut reports: Vec<CheckReport> = self.checks().collect().await;
        let names: Vec<String> = self.providers().into_iter().map(|provider| provider.name).collect();
        reports.sort_by_key(|report| names.iter().position(|name| *name == report.provider));
        reports
    }

    /// The same, each report as soon as it is there.
    pub fn checks(&self) -> impl Stream<Item = CheckReport> + use<> {
        self.check_all(CheckOptions::new())
    }

    /// Checks every provider that the options want, as they say, each report as soon as it is there. Nothing runs on when
    /// the stream is dropped.
    ///
    /// ```no_run
    /// use futures_util::StreamExt;
    /// use modelswitch_registry::CheckOptions;
    ///
    /// # async fn run(registry: modelswitch_registry::Registry) {
    /// let mut reports = registry.check_all(CheckOptions::new().at_once(2).without_completion());
    /// while let Some(report) = reports.next().await {
    ///     if let Some(failure) = report.failure() {
    ///         println!("{} fails at {}: {}", report.provider, failure.stage.as_str(), failure.detail);
    ///     }
    /// }
    /// # }
    /// ```
    pub fn check_all(&self, options: CheckOptions) -> impl Stream<Item = CheckReport> + use<> {
        let names = self.providers().into_iter().map(|provider| provider.name);
        let names: Vec<String> = names.filter(|name| options.wants(name)).collect();
        let (registry, at_once) = (self.clone(), options.at_once);
        let checks = stream::iter(names).map(move |name| {
            let (registry, options) = (registry.clone(), options.clone());
            Box::pin(async move { registry.check_provider_with(&name, &options).await.ok() })
        });
        // A provider that a reload took away meanwhile has no report.
        checks.buffer_unordered(at_once).filter_map(async |report| report).boxed()
    }

    /// Checks one provider.
    ///
    /// # Errors
    /// As [`provider`](Self::provider), for a name that is none. What the check finds is in the report.
    pub async fn check_provider(&self, name: &str) -> Result<CheckReport> {
        self.check_provider_with(name, &CheckOptions::new()).await
    }

    /// Checks one provider as the options say.
    ///
    /// # Errors
    /// As [`check_provider`](Self::check_provider).
    pub async fn check_provider_with(&self, name: &str, options: &CheckOptions) -> Result<CheckReport> {
        let connected = self.connected(name)?;
        // Where the configuration's own default is of this provider, that is the model that calls will go to.
        let default = self.0.current.get().routes.names.default.clone();
        let model = default.filter(|target| *target.provider == *name).map(|target| target.model.to_string());
        Ok(Box::pin(check(&connected, model, options)).await)
    }

    /// What is left on the account of a provider, asked once. Of the profiles that there are, DeepSeek's service tells.
    ///
    /// ```no_run
    /// # async fn run(registry: modelswitch_registry::Registry) -> modelswitch_provider::Result<()> {
    /// let balance = registry.balance("deepseek").await?;
    /// println!("enough for a call: {}", balance.is_available);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Unsupported`](modelswitch_provider::ErrorKind::Unsupported) for a provider that has no balance; as
    /// [`provider`](Self::provider) for a name that is none; whatever the call fails with.
    pub async fn balance(&self, name: &str) -> Result<Balance> {
        self.connected(name)?.balance().await
    }

    pub(crate) fn connected(&self, name: &str) -> Result<Arc<Connected>> {
        let snapshot = self.0.current.get();
        snapshot.routes.provider(name)?;
        let found = snapshot.providers.iter().find(|connected| connected.info.name == name);
        found.cloned().ok_or_else(|| Error::config(format!("no provider `{name}`")))
    }
}

/// The catalogue, and the settings.
impl Registry {
    /// Every setting that counts, with its value and where it comes from: a file's line, a variable, a profile, a default,
    /// code. Never a key.
    ///
    /// ```
    /// use modelswitch_registry::Registry;
    ///
    /// let registry = Registry::builder().environment([]).toml("[providers.deepseek]\nbase_url = 'https://llm.example.com'").build()?;
    /// let url = registry.settings().into_iter().find(|setting| setting.path == "providers.deepseek.base_url");
    /// assert_eq!(url.map(|setting| setting.origin.to_string()), Some("line 2".to_owned()));
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    pub fn settings(&self) -> Vec<Setting> {
        self.0.current.get().settings.clone()
    }

    /// Where calls and their costs are written down, if the configuration has a `[ledger]`: to be asked for sums.
    ///
    /// ```
    /// use modelswitch_layers::{By, Query};
    /// use modelswitch_registry::Registry;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let registry = Registry::builder().environment([]).toml("[providers.deepseek]\n[ledger]").build()?;
    /// if let Some(ledger) = registry.ledger() {
    ///     for sum in ledger.sums(&Query::new().by([By::Day, By::Model])).await? {
    ///         println!("{:?}: {} calls", sum.group, sum.calls);
    ///     }
    /// }
    /// # Ok::<(), modelswitch_provider::Error>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ledger(&self) -> Option<Arc<dyn Ledger>> {
        self.0.current.get().store.as_ref().map(|store| store.ledger.clone())
    }

    /// The models of all providers with what is known of each: context, abilities, prices. Make one and keep it: it holds
    /// what the services listed, and each that is made begins with nothing.
    ///
    /// ```no_run
    /// # async fn run(registry: modelswitch_registry::Registry) {
    /// let catalogue = registry.catalogue().on_disk("/var/cache/my-app");
    /// for model in catalogue.models().await {
    ///     println!("{}: {:?} tokens", model.name, model.context);
    /// }
    /// # }
    /// ```
    pub fn catalogue(&self) -> Catalogue {
        Catalogue::new(self.clone())
    }
}

/// What it panicked with may be anything, so it isn't repeated.
fn panicked() -> Error {
    Error::config("code that takes part in reading the configuration panicked").with_hint(
        "look at what it wrote on standard error; the factories of `RegistryBuilder::factory` are such code",
    )
}

/// What is there and where it came from; never a key.
impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("source", &self.source())
            .field("providers", &self.providers())
            .field("aliases", &self.aliases())
            .field("default", &self.default_model())
            .finish_non_exhaustive()
    }
}
