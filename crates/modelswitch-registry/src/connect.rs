//! One provider's configuration, made into a provider.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use modelswitch_deepseek::{Balance, DeepSeek, ReasoningMemory};
use modelswitch_layers::{Layer, ReasoningOrigin, Retry, Stack};
use modelswitch_openai::{HttpClient, OpenAiBuilder, OpenAiProvider, Profile, Timeouts};
use modelswitch_provider::{ApiKey, Error, ErrorKind, Provider, Request, Response, Result};
use serde::Serialize;
use tokio::time::timeout;

use crate::config::{ProviderConfig, RetryConfig, TimeoutConfig};
use crate::environment::Environment;
use crate::keys::{Folders, KeyInfo, KeySource, Keyed, Keys, check_the_key_from, default_variable};
use crate::load::Places;
use crate::made::Settings;
use crate::mistake::{Mistake, Place, quoted};
use crate::pools::Pools;
use crate::service::{DEEPSEEK, Service, over_http, with_keys};
use crate::spelling::{did_you_mean, list, nearest};

/// A provider of the registry, for a person to look at. Never the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ProviderInfo {
    /// The name that it is asked for by.
    pub name: String,
    /// The profile that it was made from; `None` for one that was given in code.
    pub profile: Option<String>,
    /// Where requests go; `None` for one that was given in code.
    pub base_url: Option<String>,
    /// Where its key comes from, and whether it is there.
    pub key: KeyInfo,
    /// The model that answers when a request to it names none.
    pub default_model: Option<String>,
    /// The bare names that it owns.
    pub models: Vec<String>,
}

impl ProviderInfo {
    /// True when it can be asked: its key is there or not looked for yet, or it needs none.
    pub fn is_usable(&self) -> bool {
        self.key.set || !self.key.looked_for || !self.key.required
    }
}

/// A provider that is ready to be asked, or to say why not.
#[derive(Clone, Debug)]
pub(crate) struct Connected {
    /// As it was when it was built; [`info`](Self::info) knows its keys of now.
    pub(crate) info: ProviderInfo,
    /// Bare names that it owns, but that are shown nowhere: its service no longer takes them.
    pub(crate) retired: Vec<String>,
    /// With its layers, as everybody gets it.
    pub(crate) provider: Arc<dyn Provider>,
    /// Without them, for whoever wants to see one try fail.
    pub(crate) once: Arc<dyn Provider>,
    /// Its keys, where they are read.
    pub(crate) keys: Option<Arc<Keyed>>,
    /// The adapter, for what no provider in general has. Where keys are read, it is the one that those with keys are made
    /// from: it has no key itself.
    deepseek: Option<DeepSeek>,
    /// What it was made of, to be compared at a reload; `None` for one that was given in code, which never changes.
    pub(crate) settings: Option<Box<Settings>>,
    /// Files besides the configuration that it was made from.
    pub(crate) files: Vec<PathBuf>,
}

impl Connected {
    /// A provider that code brought along. It is taken as it is, but for what others thought, which is kept from it too.
    pub(crate) fn in_code(name: &str, provider: Arc<dyn Provider>, reasoning: &ReasoningOrigin) -> Self {
        let once = if provider.name() == name {
            provider
        } else {
            Arc::new(Named { name: name.into(), inner: provider })
        };
        let info = ProviderInfo {
            name: name.to_owned(),
            profile: None,
            base_url: None,
            key: KeyInfo::in_code(false),
            default_model: None,
            models: Vec::new(),
        };
        let provider = reasoning.wrap(once.clone());
        Self {
            info,
            retired: Vec::new(),
            provider,
            once,
            keys: None,
            deepseek: None,
            settings: None,
            files: Vec::new(),
        }
    }

    /// What is known of its service; nothing of one that was given in code.
    pub(crate) fn profile(&self) -> Option<&Profile> {
        self.settings.as_ref().map(|settings| &settings.profile)
    }

    /// What it is, with what is known of its keys now.
    pub(crate) fn info(&self) -> ProviderInfo {
        let mut info = self.info.clone();
        if let Some(keys) = &self.keys {
            info.key = keys.info();
        }
        info
    }

    /// Whether its service tells what is left on the account.
    pub(crate) fn has_balance(&self) -> bool {
        self.deepseek.is_some()
    }

    /// What there is to ask its adapter with, if it has one. Keys that were not looked for yet are read.
    ///
    /// # Errors
    /// Why there is no key.
    pub(crate) async fn adapter(&self) -> Result<Option<DeepSeek>> {
        match &self.keys {
            Some(keys) => Ok(keys.ready().await?.deepseek.clone()),
            None => Ok(self.deepseek.clone()),
        }
    }

    /// An error that nobody sent, with what its profile knows to do about it.
    pub(crate) fn hinted(&self, error: Error) -> Error {
        let profile = self.info.profile.as_deref().and_then(Profile::embedded);
        let hint = profile.and_then(|profile| profile.hints.get(&error.kind().into()).cloned());
        match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }

    /// What is left on the account, by one try.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) for a provider whose service doesn't tell; whatever a call fails with.
    pub(crate) async fn balance(&self) -> Result<Balance> {
        let name = self.info.name.as_str();
        let not_told = || {
            Error::unsupported(format!("`{name}` doesn't tell what is left on the account"))
                .with_provider(name)
                .with_hint(format!(
                    "only a provider with the profile {DEEPSEEK} does; for others look at their own pages"
                ))
        };
        let ask = |deepseek: Option<DeepSeek>| async move {
            let Some(deepseek) = deepseek else { return Err(not_told()) };
            timeout(BALANCE_LIMIT, deepseek.balance()).await.unwrap_or_else(|_| {
                let message = format!("no balance within {} s", BALANCE_LIMIT.as_secs());
                Err(Error::new(ErrorKind::Timeout, message).with_attempts(1))
            })
        };
        let answer = match &self.keys {
            Some(keys) if self.has_balance() => {
                let asked = keys.ask(|service| ask(service.deepseek.clone())).await;
                asked.map(|(balance, _)| balance)
            }
            Some(_) | None => ask(self.deepseek.clone()).await,
        };
        answer.map_err(|error| error.with_provider(name))
    }
}

/// A balance is a line; whoever needs longer isn't there.
const BALANCE_LIMIT: Duration = Duration::from_secs(30);

/// What all providers share.
pub(crate) struct Shared<'a> {
    pub(crate) environment: &'a Environment,
    pub(crate) folders: Folders<'a>,
    pub(crate) places: &'a Places,
    pub(crate) retry: RetryConfig,
    pub(crate) timeout: TimeoutConfig,
    pub(crate) keys: &'a BTreeMap<String, ApiKey>,
    /// The pool of connections that came from code: then its own time limit counts.
    pub(crate) http: Option<&'a HttpClient>,
    /// Otherwise, the pools by their time limit.
    pub(crate) pools: &'a Pools,
    /// Keeps what one of them thought from the others.
    pub(crate) reasoning: ReasoningOrigin,
    /// The providers of the snapshot that this one replaces. What hasn't changed is taken over as it is, with all that
    /// it knows.
    pub(crate) before: &'a [Arc<Connected>],
}

impl Shared<'_> {
    /// The provider of that name in the snapshot before.
    pub(crate) fn before(&self, name: &str) -> Option<&Arc<Connected>> {
        self.before.iter().find(|one| one.info.name == name)
    }
}

/// Makes a provider, or takes over the one that was made of the same before. A key that can't be had is no mistake here: the provider says so when it is asked.
///
/// # Errors
/// What is wrong with its settings.
pub(crate) fn connect(
    name: &str,
    config: &ProviderConfig,
    shared: &Shared<'_>,
) -> Result<Arc<Connected>, Mistake> {
    check_name(name, shared)?;
    let profile = profile_of(name, config, shared)?;
    check_headers(name, config, shared)?;
    check_policy(name, config, &profile, shared)?;
    let keys = keys_of(name, config, &profile, shared)?;
    let (base_url, url_place) = base_url_of(name, config, &profile, shared);
    let config = ProviderConfig {
        retry: config.retry.or(shared.retry),
        timeout: config.timeout.or(shared.timeout),
        ..config.clone()
    };
    let before = shared.before(name);
    let rekeyed = before.and_then(|before| before.keys.as_ref()).is_some_and(|keys| !keys.reads_the_same());
    let settings = Settings { config, profile, base_url, keys, rekeyed };
    let same = before.filter(|before| {
        before.settings.as_ref().is_some_and(|before| settings.changed_from(before).is_empty())
    });
    if let Some(same) = same {
        return Ok(same.clone());
    }
    let wrong = |error: Error| {
        let place = url_place.clone().or_else(|| shared.places.of(&["providers", name]));
        Mistake::new(place, format!("`{}`: {}", dotted(name), error.message()), error.hint().to_owned())
    };
    let memory = before.and_then(|before| {
        let memory = before.deepseek.as_ref()?.memory()?;
        settings.remembers_as(before.settings.as_ref()?).then(|| memory.clone())
    });
    Ok(Arc::new(connected(name, settings, shared, memory).map_err(wrong)?))
}

/// With its layers, and what is shown of it. Nothing is sent.
///
/// # Errors
/// What is wrong with its base URL, its headers or its key.
fn connected(
    name: &str,
    settings: Settings,
    shared: &Shared<'_>,
    memory: Option<ReasoningMemory>,
) -> Result<Connected> {
    let builder = transport_of(name, &settings, shared)?;
    let Settings { config, profile, keys, .. } = &settings;
    let policy = config.policy.unwrap_or_default();
    let mut keyed = None;
    let (once, deepseek, key): (Arc<dyn Provider>, _, _) = match keys {
        Keys::Read(sources) => {
            let (make, deepseek) = with_keys(builder, policy, memory)?;
            let (hint, made_at) = (key_hint(keys, profile).unwrap_or_default(), profile.key_url.as_deref());
            let several = Arc::new(Keyed::new(name, sources.clone(), hint, made_at, &make));
            keyed = Some(several.clone());
            let key = several.info();
            (several, deepseek, key)
        }
        Keys::Given(key) => {
            let Service { provider, deepseek } = over_http(builder.api_key(key.clone()), policy, memory)?;
            (provider, deepseek, KeyInfo::in_code(true))
        }
        Keys::NoneNeeded => {
            let Service { provider, deepseek } = over_http(builder, policy, memory)?;
            (provider, deepseek, KeyInfo::none_needed())
        }
    };
    let provider = Stack::new().layer(shared.reasoning.clone()).layer(retry(config.retry)).over(once.clone());
    let info = ProviderInfo {
        name: name.to_owned(),
        base_url: settings.url().map(str::to_owned),
        key,
        default_model: config.default_model.clone().or_else(|| profile.default_model.clone()),
        models: owned_models(config, profile),
        profile: Some(profile.name.clone()),
    };
    let retired = profile.retired_names().map(|(name, _)| name.to_owned()).collect();
    let files = keys.files();
    let settings = Some(Box::new(settings));
    Ok(Connected { info, retired, provider, once, keys: keyed, deepseek, settings, files })
}

fn transport_of(name: &str, settings: &Settings, shared: &Shared<'_>) -> Result<OpenAiBuilder> {
    let Settings { config, profile, base_url, keys, .. } = settings;
    let timeouts = timeouts(config.timeout);
    let client = match shared.http {
        Some(given) => given.clone(),
        None => shared.pools.get(timeouts.connect)?,
    };
    let hint = key_hint(keys, profile);
    let mut builder = OpenAiProvider::builder(with_key_hint(profile.clone(), hint.as_ref()))
        .name(name)
        .timeouts(timeouts)
        .http_client(client)
        .allow_plain_http(config.allow_plain_http.is_some_and(|flag| flag.0));
    if let Some(url) = base_url {
        builder = builder.base_url(url);
    }
    if let Some(model) = &config.default_model {
        builder = builder.default_model(model);
    }
    for (header, value) in &config.headers.0 {
        builder = builder.header(header, value);
    }
    Ok(builder)
}

/// Who is told that a key was refused must hear which key: the profile only knows the usual variable.
fn key_hint(keys: &Keys, profile: &Profile) -> Option<String> {
    let source = match keys {
        Keys::Read(sources) => {
            let shown: Vec<String> = sources.iter().map(KeySource::shown).collect();
            shown.join(", ")
        }
        Keys::Given(_) => KeyInfo::in_code(true).source,
        Keys::NoneNeeded => return None,
    };
    Some(check_the_key_from(&source, profile.key_url.as_deref()))
}

fn with_key_hint(mut profile: Profile, hint: Option<&String>) -> Profile {
    if let Some(hint) = hint {
        profile.hints.insert(ErrorKind::Authentication.into(), hint.clone());
    }
    profile
}

pub(crate) fn timeouts(config: TimeoutConfig) -> Timeouts {
    let mut timeouts = Timeouts::default();
    if let Some(connect) = config.connect {
        timeouts.connect = connect.0;
    }
    if let Some(first_byte) = config.first_byte {
        timeouts.first_byte = first_byte.0;
    }
    if let Some(idle) = config.idle {
        timeouts.idle = idle.0;
    }
    timeouts
}

fn retry(config: RetryConfig) -> Retry {
    let mut retry = Retry::default();
    if let Some(attempts) = config.attempts {
        retry = retry.attempts(attempts.0);
    }
    if let Some(delay) = config.base_delay {
        retry = retry.base_delay(delay.0);
    }
    if let Some(delay) = config.max_delay {
        retry = retry.max_delay(delay.0);
    }
    if let Some(wait) = config.max_retry_after {
        retry = retry.max_retry_after(wait.0);
    }
    retry
}

fn check_name(name: &str, shared: &Shared<'_>) -> Result<(), Mistake> {
    if !name.trim().is_empty() && !name.contains('/') {
        return Ok(());
    }
    Err(Mistake::new(
        shared.places.of(&["providers", name]),
        format!(
            "`{}` can't be the name of a provider: `provider/model` splits at the first slash",
            dotted(name)
        ),
        "give the provider a name without a slash",
    ))
}

/// The profile that a provider names, the one of the same name, or the one that fits everything.
fn profile_of(name: &str, config: &ProviderConfig, shared: &Shared<'_>) -> Result<Profile, Mistake> {
    const ANY: &str = "openai-compatible";
    let wanted = config.profile.as_deref().unwrap_or(name);
    if let Some(profile) = Profile::embedded(wanted) {
        return Ok(profile);
    }
    if config.profile.is_none()
        && config.base_url.is_some()
        && let Some(profile) = Profile::embedded(ANY)
    {
        return Ok(profile);
    }
    let known: Vec<&str> = Profile::embedded_names().collect();
    let near = nearest(wanted, known.iter().copied());
    let place =
        shared.places.of(&["providers", name, "profile"]).or_else(|| shared.places.of(&["providers", name]));
    let path = if config.profile.is_some() { format!("{}.profile", dotted(name)) } else { dotted(name) };
    let separator = if near.is_some() { "" } else { ";" };
    let what = format!(
        "`{path}`: there is no profile {}{}{separator} there are: {}",
        quoted(wanted),
        did_you_mean(near),
        list(known)
    );
    let custom = format!("for another service write profile = \"{ANY}\" and base_url = \"https://…\"");
    let hint = match (near, config.profile.is_some()) {
        (Some(near), true) => format!("write profile = \"{near}\"; {custom}"),
        (Some(near), false) => format!("write [providers.{near}], or profile = \"{near}\" below; {custom}"),
        (None, _) => custom,
    };
    Err(Mistake::new(place, what, hint))
}

/// Keys in headers would be shown, logged and sent by whoever doesn't know that they are keys.
fn check_headers(name: &str, config: &ProviderConfig, shared: &Shared<'_>) -> Result<(), Mistake> {
    let Some(header) = config.headers.0.keys().find(|header| is_credential(header)) else { return Ok(()) };
    Err(Mistake::new(
        shared.places.of(&["providers", name, "headers", header]),
        format!("`{}.headers.{header}` is a header for credentials (its value is not shown)", dotted(name)),
        format!(
            "write api_key = {{ env = \"{}\" }} instead; the key is put into the right header",
            default_variable(name)
        ),
    ))
}

/// A setting that does nothing would be taken for one that does.
fn check_policy(
    name: &str,
    config: &ProviderConfig,
    profile: &Profile,
    shared: &Shared<'_>,
) -> Result<(), Mistake> {
    if config.policy.is_none() || profile.name == DEEPSEEK {
        return Ok(());
    }
    Err(Mistake::new(
        shared.places.of(&["providers", name, "policy"]),
        format!(
            "`{}.policy`: the profile `{}` has no policies; those that have: {DEEPSEEK}",
            dotted(name),
            profile.name
        ),
        format!("take it out, or write profile = \"{DEEPSEEK}\" if the service is one"),
    ))
}

fn is_credential(header: &str) -> bool {
    let name = header.to_lowercase().replace('_', "-");
    let is_known = matches!(name.as_str(), "authorization" | "proxy-authorization" | "cookie");
    let parts = ["api-key", "apikey", "secret", "password", "access-key", "auth-key"];
    is_known || parts.iter().any(|part| name.contains(part)) || name.ends_with("token")
}

fn keys_of(
    name: &str,
    config: &ProviderConfig,
    profile: &Profile,
    shared: &Shared<'_>,
) -> Result<Keys, Mistake> {
    if let Some(key) = shared.keys.get(name) {
        return Ok(Keys::Given(key.clone()));
    }
    let sources = KeySource::all(config.api_key.as_ref(), &shared.folders, profile, shared.environment);
    let sources = sources.map_err(|wrong| {
        let within = wrong.path.iter().map(String::as_str);
        let path: Vec<&str> = ["providers", name, "api_key"].into_iter().chain(within).collect();
        let what = format!("`{}` {}", crate::mistake::dotted(&path), wrong.what);
        Mistake::new(shared.places.of(&path), what, wrong.hint)
    })?;
    Ok(if sources.is_empty() { Keys::NoneNeeded } else { Keys::Read(sources) })
}

/// The base URL, if it isn't the profile's, and the place that it was set in.
fn base_url_of(
    name: &str,
    config: &ProviderConfig,
    profile: &Profile,
    shared: &Shared<'_>,
) -> (Option<String>, Option<Place>) {
    if let Some(url) = &config.base_url {
        return (Some(url.clone()), shared.places.of(&["providers", name, "base_url"]));
    }
    match shared.environment.first(&profile.base_url_env) {
        Some((variable, url)) => (Some(url), Some(Place::Variable(variable.to_owned()))),
        None => (None, None),
    }
}

fn owned_models(config: &ProviderConfig, profile: &Profile) -> Vec<String> {
    let mut models: Vec<String> = Vec::new();
    for model in config.models.iter().chain(&config.default_model).chain(&profile.models) {
        if !models.contains(model) {
            models.push(model.clone());
        }
    }
    models
}

fn dotted(name: &str) -> String {
    crate::mistake::dotted(&["providers", name])
}

/// A provider under the name that code gave it.
struct Named {
    name: Arc<str>,
    inner: Arc<dyn Provider>,
}

#[async_trait]
impl Provider for Named {
    fn name(&self) -> &str {
        &self.name
    }
    async fn send(&self, request: Request) -> Result<Response> {
        self.inner.send(request).await
    }
}

impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Named").field(&self.name).field(&self.inner).finish()
    }
}
