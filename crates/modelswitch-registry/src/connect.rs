//! One provider's configuration, made into a provider.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use modelswitch_deepseek::{Balance, DeepSeek, ReasoningMemory};
use modelswitch_layers::ReasoningOrigin;
use modelswitch_openai::{HttpClient, OpenAiBuilder, OpenAiProvider, Profile, Timeouts};
use modelswitch_provider::{ApiKey, Error, ErrorKind, Provider, Request, Response, Result};
use serde::Serialize;
use tokio::time::timeout;

use crate::config::{Config, ProviderConfig, Switch, TimeoutConfig};
use crate::contradictions::{of_budget, of_limits};
use crate::environment::Environment;
use crate::factory::{self, Factory};
use crate::guard::{Guard, Rules};
use crate::keys::{Before, Folders, KeyInfo, KeySource, Keyed, Keys, check_the_key_from, default_variable};
use crate::layers::Layers;
use crate::load::Places;
use crate::made::Made;
use crate::mistake::{Mistake, Place, looks_like_a_key, quoted};
use crate::pools::Pools;
use crate::profiles::Profiles;
use crate::service::{DEEPSEEK, Service, over_http, with_keys};
use crate::spelling::{meant_or_list, nearest};

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
    /// What it may not be asked for; `provider` and `once` know it already.
    pub(crate) rules: Option<Arc<Rules>>,
    /// What goes around it; `provider` has it already.
    pub(crate) layers: Layers,
    /// What it was made of, to be compared at a reload; `None` for one that was given in code, which never changes.
    pub(crate) made: Option<Box<Made>>,
    /// Files besides the configuration that it was made from.
    pub(crate) files: Vec<PathBuf>,
}

impl Connected {
    /// Whether its section has a word on caches. Then the one of all isn't around it: two in a row would contradict each other.
    pub(crate) fn says_of_a_cache(&self) -> bool {
        self.made.as_ref().is_some_and(|made| made.config.cache.is_some())
    }

    /// A provider that code brought along. It is taken as it is, but for what others thought, which is kept from it too.
    pub(crate) fn in_code(name: &str, provider: Arc<dyn Provider>, reasoning: &ReasoningOrigin) -> Self {
        let once = named(name, provider);
        let info = ProviderInfo {
            name: name.to_owned(),
            profile: None,
            base_url: None,
            key: KeyInfo::in_code(false),
            default_model: None,
            models: Vec::new(),
        };
        let layers = Layers::none(reasoning);
        let provider = layers.over(&once);
        Self {
            layers,
            info,
            retired: Vec::new(),
            provider,
            once,
            keys: None,
            deepseek: None,
            rules: None,
            made: None,
            files: Vec::new(),
        }
    }

    /// A provider that a factory made: with the layers that any other has.
    pub(crate) fn by_factory(
        name: &str,
        provider: Arc<dyn Provider>,
        made: Made,
        shared: &Shared<'_>,
    ) -> Self {
        let config = &made.config;
        let rules = Rules::new(name, config, None, shared.places);
        let once = Guard::around(rules.as_ref(), named(name, provider));
        let before = shared.before(name).filter(|before| before.made.is_some());
        let layers = Layers::new(config, &shared.reasoning, before.map(|before| &before.layers));
        let provider = layers.over(&once);
        let (models, retired) = shown_and_hidden(owned_models(config, None), rules.as_deref());
        let default_model = config.default_model.clone();
        let key = KeyInfo::in_code(false);
        let info =
            ProviderInfo { name: name.to_owned(), profile: None, base_url: None, key, default_model, models };
        let made = Some(Box::new(made));
        let (keys, deepseek, files) = (None, None, Vec::new());
        Self { info, retired, provider, once, keys, deepseek, rules, layers, made, files }
    }

    /// What is known of its service; nothing of one that code made.
    pub(crate) fn profile(&self) -> Option<&Profile> {
        self.info.profile.as_ref()?;
        self.made.as_ref().map(|made| &made.profile)
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

    /// Whether its service can be asked which models it has. One that can't is answered for by its profile.
    pub(crate) fn lists_models(&self) -> bool {
        self.profile().is_none_or(|profile| profile.response.lists_models != Some(false))
    }

    /// An error that nobody sent, with what its profile knows to do about it.
    pub(crate) fn hinted(&self, error: Error) -> Error {
        let hints = self.made.as_ref().map(|made| &made.profile.hints);
        match hints.and_then(|hints| hints.get(&error.kind().into())) {
            Some(hint) => error.with_hint(hint.clone()),
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
        if self.has_balance()
            && let Some(rules) = &self.rules
        {
            rules.endpoint(BALANCE)?;
        }
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

/// Where the adapter asks for it (<https://api-docs.deepseek.com/api/get-user-balance>).
const BALANCE: &str = "/user/balance";

/// A balance is a line; whoever needs longer isn't there.
const BALANCE_LIMIT: Duration = Duration::from_secs(30);

/// What all providers share.
pub(crate) struct Shared<'a> {
    pub(crate) environment: &'a Environment,
    pub(crate) folders: Folders<'a>,
    pub(crate) places: &'a Places,
    pub(crate) profiles: &'a Profiles,
    pub(crate) factories: &'a BTreeMap<String, Factory>,
    /// What the top of the configuration says for each of them.
    pub(crate) common: &'a Config,
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
    /// The environments that the file has sections for.
    pub(crate) sections: &'a [String],
    /// Whether a kind that nobody makes is stood in for.
    pub(crate) stand_ins: bool,
    /// The configuration file, if one was read.
    pub(crate) file: Option<&'a str>,
}

impl Shared<'_> {
    /// A provider's settings, and the common ones where it says nothing itself.
    pub(crate) fn common_and(&self, config: &ProviderConfig) -> ProviderConfig {
        let common = self.common;
        ProviderConfig {
            retry: config.retry.or(common.retry),
            timeout: config.timeout.or(common.timeout),
            limits: config.limits.or(common.limits),
            breaker: Switch::settle(config.breaker, common.breaker).map(Switch::On),
            ..config.clone()
        }
    }

    /// The provider of that name in the snapshot before.
    pub(crate) fn before(&self, name: &str) -> Option<&Arc<Connected>> {
        self.before.iter().find(|one| one.info.name == name)
    }
}

/// Makes a provider, or takes over the one that was made of the same before. A key that can't be had is no mistake here:
/// the provider says so when it is asked.
///
/// # Errors
/// Everything that is wrong with its settings; nothing at all where that was told elsewhere.
pub(crate) fn connect(
    name: &str,
    config: &ProviderConfig,
    shared: &Shared<'_>,
) -> Result<Arc<Connected>, Vec<Mistake>> {
    let mut mistakes = check_settings(name, config, shared);
    let connected = match &config.kind {
        Some(kind) => factory::make(name, kind, config, shared),
        None => over_profile(name, config, shared),
    };
    match connected {
        Ok(connected) if mistakes.is_empty() => Ok(connected),
        Ok(_) => Err(mistakes),
        Err(others) => {
            mistakes.extend(others);
            Err(mistakes)
        }
    }
}

/// The provider of the snapshot before, if it was made of the same.
pub(crate) fn unchanged(name: &str, made: &Made, shared: &Shared<'_>) -> Option<Arc<Connected>> {
    let before = shared.before(name)?;
    made.changed_from(before.made.as_ref()?).is_empty().then(|| before.clone())
}

fn over_profile(
    name: &str,
    config: &ProviderConfig,
    shared: &Shared<'_>,
) -> Result<Arc<Connected>, Vec<Mistake>> {
    let profile = profile_of(name, config, shared)?.with_variables(|name| shared.environment.get(name));
    let profile = with_auth(profile, config);
    let mut mistakes: Vec<Mistake> = check_policy(name, config, &profile, shared).err().into_iter().collect();
    let keys = keys_of(name, config, &profile, shared).unwrap_or_else(|mistake| {
        mistakes.push(mistake);
        // A stand-in, so that mistakes in the other settings are found all the same.
        ApiKey::new("unset").map_or(Keys::NoneNeeded, Keys::Given)
    });
    let (base_url, url_place) = base_url_of(name, config, &profile, shared);
    let config = shared.common_and(config);
    let before = shared.before(name);
    let rekeyed = before.and_then(|before| before.keys.as_ref()).is_some_and(|keys| !keys.reads_the_same());
    let made = Made { config, profile, base_url, keys, rekeyed };
    if mistakes.is_empty()
        && let Some(same) = unchanged(name, &made, shared)
    {
        return Ok(same);
    }
    let memory = before.and_then(|before| {
        let memory = before.deepseek.as_ref()?.memory()?;
        made.remembers_as(before.made.as_ref()?).then(|| memory.clone())
    });
    let keys = before.and_then(|before| {
        let is_same_service = made.asks_as(before.made.as_ref()?);
        Some(Before { keys: before.keys.as_deref()?, is_same_service })
    });
    match connected(name, made, shared, memory, keys.as_ref()) {
        Ok(connected) if mistakes.is_empty() => Ok(Arc::new(connected)),
        Ok(_) => Err(mistakes),
        Err(error) => {
            let place = url_place.or_else(|| shared.places.of(&["providers", name]));
            let what = format!("`{}`: {}", dotted(name), error.message());
            mistakes.push(Mistake::new(place, what, error.hint().to_owned()));
            Err(mistakes)
        }
    }
}

/// With its layers, and what is shown of it. Nothing is sent.
///
/// # Errors
/// What is wrong with its base URL, its headers or its key.
fn connected(
    name: &str,
    made: Made,
    shared: &Shared<'_>,
    memory: Option<ReasoningMemory>,
    keys_before: Option<&Before<'_>>,
) -> Result<Connected> {
    let builder = transport_of(name, &made, shared)?;
    let Made { config, profile, keys, .. } = &made;
    let policy = config.policy.unwrap_or_default();
    let mut keyed = None;
    let (once, deepseek, key): (Arc<dyn Provider>, _, _) = match keys {
        Keys::Read(sources) => {
            let (make, deepseek) = with_keys(builder, policy, memory)?;
            let (hint, made_at) = (key_hint(keys, profile).unwrap_or_default(), profile.key_url.as_deref());
            let several = Arc::new(Keyed::new(name, sources.clone(), hint, made_at, &make, keys_before));
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
    let rules = Rules::new(name, config, Some(profile), shared.places);
    let once = Guard::around(rules.as_ref(), once);
    let same_place = shared.before(name).filter(|before| before.info.base_url.as_deref() == made.url());
    let layers = Layers::new(config, &shared.reasoning, same_place.map(|before| &before.layers));
    let provider = layers.over(&once);
    let (models, mut retired) = shown_and_hidden(owned_models(config, Some(profile)), rules.as_deref());
    retired.extend(profile.retired_names().map(|(name, _)| name.to_owned()));
    let info = ProviderInfo {
        name: name.to_owned(),
        base_url: made.url().map(str::to_owned),
        key,
        default_model: config.default_model.clone().or_else(|| profile.default_model.clone()),
        models,
        profile: Some(profile.name.clone()),
    };
    let files = keys.files();
    let made = Some(Box::new(made));
    Ok(Connected { info, retired, provider, once, keys: keyed, deepseek, rules, layers, made, files })
}

fn transport_of(name: &str, made: &Made, shared: &Shared<'_>) -> Result<OpenAiBuilder> {
    let Made { config, profile, base_url, keys, .. } = made;
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
    for (parameter, value) in &config.query.0 {
        builder = builder.query(parameter, value);
    }
    Ok(builder)
}

/// The names that a provider owns: those that may be asked for, and those that may not and are shown nowhere.
fn shown_and_hidden(models: Vec<String>, rules: Option<&Rules>) -> (Vec<String>, Vec<String>) {
    models.into_iter().partition(|model| rules.is_none_or(|rules| rules.model(model).is_ok()))
}

/// The profile with what the provider says of how its key is sent.
fn with_auth(mut profile: Profile, config: &ProviderConfig) -> Profile {
    let auth = &config.auth;
    if let Some(header) = auth.header.as_ref().filter(|header| is_header(header)) {
        profile.auth.header = header.trim().to_owned();
    }
    if let Some(scheme) = &auth.scheme {
        profile.auth.scheme = scheme.trim().to_owned();
    }
    if let Some(required) = auth.required {
        profile.auth.required = required.0;
    }
    profile
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
    let check = check_the_key_from(&source, profile.key_url.as_deref());
    Some(match profile.told_regions() {
        Some(regions) => format!("{check}; {regions}"),
        None => check,
    })
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

fn is_header(name: &str) -> bool {
    http::HeaderName::try_from(name.trim()).is_ok() && !looks_like_a_key(name)
}

/// What is wrong with settings by themselves, whatever the profile.
fn check_settings(name: &str, config: &ProviderConfig, shared: &Shared<'_>) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let mut wrong = |setting: &[&str], what: String, hint: String| {
        let path: Vec<&str> = ["providers", name].iter().chain(setting).copied().collect();
        mistakes.push(Mistake::new(
            shared.places.of(&path),
            format!("`{}` {what}", crate::mistake::dotted(&path)),
            hint,
        ));
    };
    if let Some((what, hint)) = not_a_name(name) {
        wrong(&[], what.to_owned(), hint.to_owned());
    }
    let variable = default_variable(name);
    for header in config.headers.0.keys() {
        if let Some((what, _)) = credential_header(header) {
            let hint = format!(
                "write api_key = {{ env = \"{variable}\" }} instead; the key is put into the right header"
            );
            wrong(&["headers", header], what.to_owned(), hint);
        }
    }
    for parameter in config.query.0.keys() {
        if let Some((what, hint)) = credential_parameter(parameter) {
            let hint = format!("write api_key = {{ env = \"{variable}\" }} instead; {hint}");
            wrong(&["query", parameter], what.to_owned(), hint);
        }
    }
    if config.auth.header.as_ref().is_some_and(|header| !is_header(header)) {
        let what = "is not the name of a header (not shown)".to_owned();
        wrong(
            &["auth", "header"],
            what,
            "write it like \"api-key\"; the key itself comes from api_key".to_owned(),
        );
    }
    if config.auth.scheme.as_ref().is_some_and(|scheme| looks_like_a_key(scheme)) {
        let what = "looks like a key, not like the word before it (not shown)".to_owned();
        wrong(&["auth", "scheme"], what, "write it like \"Bearer\", or \"\" for none".to_owned());
    }
    if config.settings.is_some() && config.kind.is_none() {
        let what =
            "is read by the code that makes a provider, and there is no `kind` to say which".to_owned();
        wrong(&["settings"], what, "write kind = \"…\" beside it, or take it out".to_owned());
    }
    for (path, what, hint) in
        of_limits(&config.limits).into_iter().chain(of_budget(config.budget.as_ref(), true))
    {
        // What stands at the top may say the rest.
        if path.first() != Some(&"limits") || shared.common.limits.concurrent.is_none() {
            wrong(&path, what, hint);
        }
    }
    mistakes
}

/// What is wrong with a name by itself, and what to do.
pub(crate) fn not_a_name(name: &str) -> Option<(&'static str, &'static str)> {
    if name.trim().is_empty() {
        return Some(("can't be the name of a provider: it is empty", "give the provider a name"));
    }
    name.contains('/').then_some((
        "can't be the name of a provider: `provider/model` splits at the first slash",
        "give the provider a name without a slash",
    ))
}

/// The profile that a provider names, the one of the same name, or the one that fits everything.
///
/// # Errors
/// That there is none; without a mistake where that one has mistakes of its own.
pub(crate) fn profile_of(
    name: &str,
    config: &ProviderConfig,
    shared: &Shared<'_>,
) -> Result<Profile, Vec<Mistake>> {
    const ANY: &str = "openai-compatible";
    let wanted = config.profile.as_deref().unwrap_or(name);
    if shared.profiles.is_broken(wanted) {
        return Err(Vec::new());
    }
    if let Some(profile) = shared.profiles.get(wanted) {
        return Ok(profile);
    }
    if config.profile.is_none()
        && config.base_url.is_some()
        && let Some(profile) = shared.profiles.get(ANY)
    {
        return Ok(profile);
    }
    let known = shared.profiles.names();
    let near = nearest(wanted, known.iter().copied());
    let place =
        shared.places.of(&["providers", name, "profile"]).or_else(|| shared.places.of(&["providers", name]));
    let path = if config.profile.is_some() { format!("{}.profile", dotted(name)) } else { dotted(name) };
    let what = format!("`{path}`: there is no profile {}{}", quoted(wanted), meant_or_list(near, &known));
    if near.is_none() && shared.sections.iter().any(|section| section == wanted) {
        let section = crate::mistake::dotted(&["profile", wanted]);
        let what = format!(
            "`{path}`: there is no profile {}; [{section}] is an environment's section",
            quoted(wanted)
        );
        let hint = format!(
            "choose it by MODELSWITCH_PROFILE={wanted}, and name the service here: [profiles.NAME] or a known one"
        );
        return Err(vec![Mistake::new(place, what, hint)]);
    }
    let custom = format!("for another service write profile = \"{ANY}\" and base_url = \"https://…\"");
    let hint = match (near, config.profile.is_some()) {
        (Some(near), true) => format!("write profile = \"{near}\"; {custom}"),
        (Some(near), false) => format!("write [providers.{near}], or profile = \"{near}\" below; {custom}"),
        (None, _) => custom,
    };
    Err(vec![Mistake::new(place, what, hint)])
}

/// What a provider with a mistake would own.
pub(crate) enum WouldOwn {
    These(Vec<String>),
    /// These, and what the profile has that was meant by one that there isn't.
    WithAProfile(Vec<String>),
    Unknown,
}

pub(crate) fn would_own(name: &str, config: &ProviderConfig, shared: &Shared<'_>) -> WouldOwn {
    if config.kind.is_some() {
        return WouldOwn::These(owned_models(config, None));
    }
    match profile_of(name, config, shared) {
        Ok(profile) => WouldOwn::These(owned_models(config, Some(&profile))),
        // It has mistakes of its own, and may be without its models for them.
        Err(mistakes) if mistakes.is_empty() => WouldOwn::Unknown,
        Err(_) => WouldOwn::WithAProfile(owned_models(config, None)),
    }
}

/// Keys in headers would be shown, logged and sent by whoever doesn't know that they are keys: what is wrong with a header
/// of this name, and what to do.
pub(crate) fn credential_header(name: &str) -> Option<(&'static str, &'static str)> {
    let what = "is a header for credentials (its value is not shown)";
    is_credential(name).then_some((what, "give the provider an api_key; it is put into the right header"))
}

/// The same for a parameter of a URL, which everybody on the way writes into his log.
pub(crate) fn credential_parameter(name: &str) -> Option<(&'static str, &'static str)> {
    let word = name.to_lowercase().replace('_', "-");
    let is_one =
        is_credential(name) || matches!(word.as_str(), "key" | "sig" | "signature" | "auth" | "code");
    let what = "would put a credential into the URL, where logs show it (its value is not shown)";
    is_one.then_some((what, "auth = { header = \"…\", scheme = \"\" } says how the key is sent"))
}

/// A setting that does nothing would be taken for one that does.
fn check_policy(
    name: &str,
    config: &ProviderConfig,
    profile: &Profile,
    shared: &Shared<'_>,
) -> Result<(), Mistake> {
    let remembers = config.policy.is_some_and(|policy| policy.reasoning_memory.is_some());
    if !remembers || profile.descends_from(DEEPSEEK) {
        return Ok(());
    }
    let path = ["providers", name, "policy", "reasoning_memory"];
    Err(Mistake::new(
        shared.places.of(&path),
        format!(
            "`{}.policy.reasoning_memory`: the profile `{}` has no such memory; those that have: {DEEPSEEK}",
            dotted(name),
            profile.name
        ),
        format!("take it out, or write profile = \"{DEEPSEEK}\" if the service is one"),
    ))
}

pub(crate) fn is_credential(header: &str) -> bool {
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
    match profile.base_url_in(|name| shared.environment.get(name)) {
        Some((variable, url)) => (Some(url), Some(Place::Variable(variable.to_owned()))),
        None => (None, None),
    }
}

fn owned_models(config: &ProviderConfig, profile: Option<&Profile>) -> Vec<String> {
    let mut models: Vec<String> = Vec::new();
    let known = profile.map_or(&[][..], |profile| &profile.models);
    for model in config.models.iter().chain(&config.default_model).chain(known) {
        if !models.contains(model) {
            models.push(model.clone());
        }
    }
    models
}

fn dotted(name: &str) -> String {
    crate::mistake::dotted(&["providers", name])
}

/// A provider under the name that it goes by here.
fn named(name: &str, provider: Arc<dyn Provider>) -> Arc<dyn Provider> {
    if provider.name() == name { provider } else { Arc::new(Named { name: name.into(), inner: provider }) }
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
