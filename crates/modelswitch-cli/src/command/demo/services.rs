//! Whom the demonstration calls: the configured providers, simulated ones, or one of each.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use modelswitch_openai::{OpenAiProvider, Profile};
use modelswitch_provider::{ApiKey, Error, Result};
use modelswitch_registry::{NO_PROVIDER, ProviderInfo, Registry, RegistryBuilder};
use modelswitch_sim::{Personality, Sim};

use crate::args::Common;
use crate::error::Failure;

/// The name that the app asks for.
pub(super) const ALIAS: &str = "chat";

/// Two targets to switch between, and how a registry is made that names one of them.
pub(super) struct Services {
    pub(super) is_simulated: bool,
    /// What is real and what is not, in lines.
    pub(super) notice: Vec<String>,
    /// Where the configuration comes from, for a heading.
    pub(super) origin: String,
    /// The configuration, in lines, without any key.
    pub(super) shown: Vec<String>,
    pub(super) first: String,
    pub(super) second: String,
    pub(super) trouble: Trouble,
    source: Source,
    /// They stop when they are dropped.
    _simulators: Vec<Sim>,
}

/// What brings about an error that is meant.
pub(super) enum Trouble {
    Question(String),
    Model(String),
}

enum Source {
    /// Exactly what is shown, with the keys in variables as an app would have them.
    Text { providers: String, variables: Vec<(String, String)> },
    /// What an app would load here, and maybe a simulated provider beside it.
    Loaded { file: Option<PathBuf>, simulated: Option<(String, ApiKey)> },
}

impl Services {
    /// Looks for configured providers with a key; without any, two simulated ones are started.
    pub(super) async fn find(simulated: bool, common: &Common) -> Result<Self, Failure> {
        if simulated {
            return Self::simulated(Vec::new()).await;
        }
        let registry = match common.registry() {
            Ok(registry) => registry,
            Err(error) if error.code() == Some(NO_PROVIDER) => return Self::simulated(Vec::new()).await,
            Err(error) => return Err(error.into()),
        };
        let targets = targets(&registry);
        match targets.as_slice() {
            [] => {
                let source = registry.source();
                Self::simulated(vec![format!("No provider in {source} has a model to ask and its key set.")])
                    .await
            }
            [only] => Self::with_one(&registry, only.clone(), common).await,
            [first, second, ..] => Ok(Self::real(&registry, first.clone(), second.clone(), common)),
        }
    }

    /// What an app would load, with the alias bound to this target.
    ///
    /// # Errors
    /// As [`Registry::load`].
    pub(super) fn registry(&self, target: &str) -> Result<Registry> {
        match &self.source {
            Source::Text { providers, variables } => Registry::builder()
                .toml(format!("{providers}\n[models]\n{ALIAS} = {target:?}\n"))
                .environment(variables.clone())
                .build(),
            Source::Loaded { file, simulated } => {
                let mut builder = Registry::builder().alias(ALIAS, target);
                if let Some(file) = file {
                    builder = builder.file(file);
                }
                match simulated {
                    Some((url, key)) => add_simulated(builder, url, key)?.build(),
                    None => builder.build(),
                }
            }
        }
    }

    async fn simulated(mut notice: Vec<String>) -> Result<Self, Failure> {
        notice.push(
            "The providers are SIMULATED on this machine: no key is needed, nothing leaves it, answers are made up."
                .to_owned(),
        );
        let deepseek = start(Personality::DeepSeek).await?;
        let other = start(Personality::OpenAi).await?;
        let providers = format!(
            "[providers.deepseek]\n\
             base_url = \"{}\"  # the simulator; leave it out for the real one\n\
             api_key  = {{ env = \"DEEPSEEK_API_KEY\" }}\n\
             \n\
             [providers.other]\n\
             profile  = \"openai-compatible\"\n\
             base_url = \"{}\"\n\
             api_key  = {{ env = \"OTHER_API_KEY\" }}\n",
            deepseek.base_url(),
            other.base_url()
        );
        let variables = vec![
            ("DEEPSEEK_API_KEY".to_owned(), deepseek.key().to_owned()),
            ("OTHER_API_KEY".to_owned(), other.key().to_owned()),
        ];
        let mut shown: Vec<String> = providers.lines().map(str::to_owned).collect();
        shown.extend([
            String::new(),
            "[models]".to_owned(),
            format!("{ALIAS} = \"deepseek/deepseek-flash\""),
        ]);
        Ok(Self {
            is_simulated: true,
            notice,
            origin: "as it would stand in modelswitch.toml".to_owned(),
            shown,
            first: "deepseek/deepseek-flash".to_owned(),
            second: "other/sim-large".to_owned(),
            trouble: Trouble::Question("Hello [sim:402]".to_owned()),
            source: Source::Text { providers, variables },
            _simulators: vec![deepseek, other],
        })
    }

    fn real(registry: &Registry, first: String, second: String, common: &Common) -> Self {
        let missing = format!("{}/no-such-model", provider_of(&first));
        Self {
            is_simulated: false,
            notice: vec![format!(
                "The providers are REAL: a few short calls go to {first} and {second}, with your keys."
            )],
            origin: format!("from {}", registry.source()),
            shown: vec![
                "[models]  # besides what is there; in this program's memory only".to_owned(),
                format!("{ALIAS} = {first:?}"),
            ],
            first,
            second,
            trouble: Trouble::Model(missing),
            source: Source::Loaded { file: common.config.clone(), simulated: None },
            _simulators: Vec::new(),
        }
    }

    async fn with_one(registry: &Registry, first: String, common: &Common) -> Result<Self, Failure> {
        let simulator = start(Personality::OpenAi).await?;
        let second = format!("{SIMULATED}/sim-large");
        let mut services = Self::real(registry, first, second, common);
        services.notice = vec![
            format!("REAL: {}; a few short calls go there, with your key.", services.first),
            format!(
                "SIMULATED on this machine: {}, since there is no second model to switch to.",
                services.second
            ),
        ];
        let key = ApiKey::new(simulator.key())?;
        services.source = Source::Loaded {
            file: common.config.clone(),
            simulated: Some((simulator.base_url().to_owned(), key)),
        };
        services._simulators.push(simulator);
        Ok(services)
    }
}

/// A provider's name that nobody's configuration is likely to have.
const SIMULATED: &str = "simulated";

/// As a provider of the program's own: in the configuration it would hide those that the environment brings.
fn add_simulated(builder: RegistryBuilder, url: &str, key: &ApiKey) -> Result<RegistryBuilder> {
    let profile = Profile::embedded("openai-compatible")
        .ok_or_else(|| Error::config("the profile openai-compatible is missing from this program"))?;
    let provider =
        OpenAiProvider::builder(profile).name(SIMULATED).base_url(url).api_key(key.clone()).build()?;
    Ok(builder.provider(SIMULATED, provider))
}

async fn start(personality: Personality) -> Result<Sim, Failure> {
    // On a terminal a stream should be seen to stream.
    let delay = if std::io::stdout().is_terminal() { 25 } else { 0 };
    let builder = Sim::builder().personality(personality).chunk_delay(Duration::from_millis(delay));
    builder.start().await.map_err(|error| {
        Failure::local(
            format!("the simulator can't listen on 127.0.0.1: {error}"),
            "allow this program to listen on this machine",
        )
    })
}

/// Targets that can be asked, the default first, another provider's before another model of the same.
fn targets(registry: &Registry) -> Vec<String> {
    let usable: Vec<ProviderInfo> =
        registry.providers().into_iter().filter(ProviderInfo::is_usable).collect();
    let defaults = usable.iter().filter_map(|provider| {
        let model = provider.default_model.as_ref().or(provider.models.first())?;
        Some(format!("{}/{model}", provider.name))
    });
    let aliases = registry.aliases().into_iter().map(|(_, target)| target);
    let others = usable
        .iter()
        .flat_map(|provider| provider.models.iter().map(|model| format!("{}/{model}", provider.name)));
    let known = |target: &String| usable.iter().any(|provider| provider.name == provider_of(target));

    let mut found: Vec<String> = Vec::new();
    let all = registry.default_model().into_iter().chain(defaults).chain(aliases).chain(others);
    for target in all.filter(known) {
        if !found.contains(&target) {
            found.push(target);
        }
    }
    if let Some(first) = found.first().cloned() {
        found.sort_by_key(|target| (*target != first, provider_of(target) == provider_of(&first)));
    }
    found
}

fn provider_of(target: &str) -> &str {
    target.split('/').next().unwrap_or_default()
}
