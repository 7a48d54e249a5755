//! What becomes of a request for a model: its targets, and what it goes through on the way to each.

use modelswitch_provider::Result;
use serde::Serialize;
use serde_json::json;

use crate::config::{AliasConfig, AliasLayers, RetryConfig, Switch, TimeoutConfig};
use crate::connect::Connected;
use crate::describe::{self, Row};
use crate::registry::Registry;
use crate::resolve::Target;
use crate::settings::{Origin, Setting};
use crate::snapshot::Snapshot;

/// What becomes of a request for a model, for a person to look at.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The name that was asked for.
    pub asked_for: String,
    /// What each call goes through once, whatever target answers; the first sees the request first.
    pub call: Vec<ExplainedLayer>,
    /// Who may be asked, in the order in which they are written. Nobody else is.
    pub targets: Vec<ExplainedTarget>,
}

/// One of those that may be asked.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ExplainedTarget {
    /// The provider's name.
    pub provider: String,
    /// The model that it is asked for.
    pub model: String,
    /// Its share of the calls beside the others', where the alias spreads them.
    pub weight: Option<u32>,
    /// What calls to it go through; the first sees the request first.
    pub layers: Vec<ExplainedLayer>,
}

/// One thing that calls go through.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ExplainedLayer {
    /// What it is: `trace`, `log`, `metrics`, `cost`, `timeout`, `cache`, `limits`, `choice`, `parameters`, `budget`, `breaker`, `retry`, `service`.
    pub name: String,
    /// What it is set to, with where each comes from.
    pub settings: Vec<Setting>,
}

impl Registry {
    /// What becomes of a request for a model: who may be asked, and what calls go through on the way, each setting with where
    /// it comes from. `modelswitch route explain` shows it.
    ///
    /// ```
    /// use modelswitch_registry::Registry;
    ///
    /// let registry = Registry::builder().environment([]).toml(r#"
    ///     [providers.deepseek]
    ///     limits.concurrent = 8
    ///     [providers.openai]
    ///     [models.smart]
    ///     targets = ["deepseek/deepseek-v4-pro", "openai/gpt-5.5"]
    ///     retry.attempts = 2
    /// "#).build()?;
    /// let smart = registry.explain("smart")?;
    /// assert_eq!(smart.targets[1].provider, "openai");
    /// let layers: Vec<&str> = smart.targets[0].layers.iter().map(|layer| layer.name.as_str()).collect();
    /// assert_eq!(layers, ["limits", "retry", "timeout", "service"]);
    /// let attempts = &smart.targets[0].layers[1].settings[0];
    /// assert_eq!((attempts.path.as_str(), attempts.origin.to_string()), ("models.smart.retry.attempts", "line 7".into()));
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ModelNotFound`](modelswitch_provider::ErrorKind::ModelNotFound) with what was probably meant and what there is.
    pub fn explain(&self, model: &str) -> Result<Explanation> {
        let snapshot = self.snapshot();
        let first = snapshot.routes.names.resolve(model)?;
        let explained = Explained::new(&snapshot, model, &first);
        let targets = match &first.choice {
            Some(choice) => choice.targets.iter().zip(choice.weights()).collect(),
            None => vec![(&first, 1)],
        };
        let is_spread = first.choice.as_ref().is_some_and(|choice| choice.is_weighted());
        let targets = targets.into_iter().filter_map(|(target, weight)| {
            Some(ExplainedTarget {
                provider: target.provider.to_string(),
                model: target.model.to_string(),
                weight: is_spread.then_some(weight),
                layers: explained.target(target)?,
            })
        });
        Ok(Explanation {
            asked_for: model.to_owned(),
            call: explained.call(&first),
            targets: targets.collect(),
        })
    }
}

/// A section's path, from the innermost to the outermost that may set it.
type Scopes = Vec<Vec<String>>;

/// What is looked at to explain one name.
struct Explained<'a> {
    snapshot: &'a Snapshot,
    /// The alias that was asked for, and those that it only stands for.
    chain: Vec<(&'a str, &'a AliasConfig)>,
    layers: AliasLayers,
}

impl<'a> Explained<'a> {
    fn new(snapshot: &'a Snapshot, model: &str, first: &Target) -> Self {
        let models = &snapshot.config.models;
        let mut chain: Vec<(&str, &AliasConfig)> = Vec::new();
        let mut next = models.get_key_value(model).filter(|_| snapshot.routes.names.is_alias(model));
        while let Some((name, alias)) = next {
            chain.push((name, alias));
            next = match alias.targets().as_slice() {
                [only] => models.get_key_value(only),
                _ => None,
            };
        }
        let layers = first.choice.as_ref().map(|choice| choice.layers.clone()).unwrap_or_default();
        Self { snapshot, chain, layers }
    }

    /// What a call goes through once.
    fn call(&self, first: &Target) -> Vec<ExplainedLayer> {
        let config = &self.snapshot.config;
        let top = || vec![Vec::new()];
        let spans = config.spans().map(describe::trace).unwrap_or_default();
        let mut layers = vec![
            self.layer("trace", "trace", &top(), spans),
            self.layer("log", "log", &top(), describe::log(config.log)),
            self.layer("metrics", "metrics", &top(), describe::metrics(config.metrics)),
        ];
        if let Some(Switch::On(ledger)) = &config.ledger {
            layers.push(self.layer("cost", "ledger", &top(), describe::ledger(ledger)));
        }
        let total = self.layers.timeout.total.or(config.timeout.total);
        let total = TimeoutConfig { total, ..TimeoutConfig::default() };
        layers.push(self.layer("timeout", "timeout", &self.scopes(None), describe::total(total)));
        let of_all = config.cache.filter(|_| !self.say_of_a_cache(first));
        if let Some(cache) = Switch::settle(self.layers.cache, of_all) {
            layers.push(self.layer("cache", "cache", &self.scopes(None), describe::cache(cache)));
        }
        let own = self.aliases();
        layers.push(self.layer("limits", "limits", &own, describe::limits(self.layers.limits)));
        if let Some((name, alias)) = self.chain.last()
            && first.choice.as_ref().is_some_and(|choice| choice.targets.len() > 1)
        {
            let scope = vec![vec!["models".to_owned(), (*name).to_owned()]];
            layers.push(self.layer("choice", "", &scope, describe::choice(alias)));
        }
        layers.push(self.parameters());
        layers.retain(|layer| !layer.settings.is_empty());
        layers
    }

    /// Whether a target's provider does.
    fn say_of_a_cache(&self, first: &Target) -> bool {
        let targets = first.choice.as_ref().map_or(std::slice::from_ref(first), |choice| &choice.targets);
        let says = |target: &Target| {
            let one = self.snapshot.providers.iter().find(|one| *one.info.name == *target.provider);
            one.is_some_and(|one| one.says_of_a_cache())
        };
        targets.iter().any(says)
    }

    /// What calls to a target go through; `None` for a provider that isn't there.
    fn target(&self, target: &Target) -> Option<Vec<ExplainedLayer>> {
        let name = &*target.provider;
        let one = self.snapshot.providers.iter().find(|one| one.info.name == name)?;
        let config = &self.snapshot.config;
        let made = one.made.as_ref().map(|made| &made.config);
        let own = vec![vec!["providers".to_owned(), name.to_owned()]];
        let both = [own.clone(), vec![Vec::new()]].concat();
        let all = self.scopes(Some(name));
        let mut layers = Vec::new();
        let budgets = [
            (self.layers.budget.as_ref(), self.aliases()),
            (config.budget.as_ref(), vec![Vec::new()]),
            (made.and_then(|made| made.budget.as_ref()), own.clone()),
        ];
        for (budget, scopes) in budgets {
            if let Some(budget) = budget {
                layers.push(self.layer("budget", "budget", &scopes, describe::budget(budget)));
            }
        }
        if let Some(made) = made {
            if let Some(cache) = Switch::settle(made.cache, None) {
                layers.push(self.layer("cache", "cache", &own, describe::cache(cache)));
            }
            layers.push(self.layer("limits", "limits", &both, describe::limits(made.limits)));
        }
        let common = made.and_then(|made| made.breaker);
        if let Some(breaker) = Switch::settle(self.layers.breaker, common) {
            layers.push(self.layer("breaker", "breaker", &all, describe::breaker(breaker)));
        }
        if let Some(made) = made {
            layers.push(self.layer("timeout", "timeout", &own, describe::total(made.timeout)));
        }
        let says_retry = self.layers.retry != RetryConfig::default();
        if made.is_some() || says_retry {
            let common = made.map(|made| made.retry).unwrap_or_default();
            layers.push(self.layer("retry", "retry", &all, describe::retry(self.layers.retry.or(common))));
        }
        if let Some(made) = made.filter(|made| made.kind.is_none()) {
            let timeout = self.layers.timeout.or(made.timeout);
            layers.push(self.layer("timeout", "timeout", &all, describe::timeout(timeout)));
        }
        layers.push(self.service(one));
        layers.retain(|layer| !layer.settings.is_empty());
        Some(layers)
    }

    /// A section's settings, each from the innermost scope that says it.
    fn layer(&self, name: &str, section: &str, scopes: &[Vec<String>], rows: Vec<Row>) -> ExplainedLayer {
        let settings = rows.into_iter().filter_map(|(setting, value, default)| {
            let path = |scope: &Vec<String>| -> Vec<String> {
                let inside = [section, setting].into_iter().filter(|part| !part.is_empty());
                scope.iter().cloned().chain(inside.map(str::to_owned)).collect()
            };
            let said = scopes.iter().map(path).find_map(|path| {
                let place = self.snapshot.places.of(&path)?;
                Some((path, Origin::from(place)))
            });
            let (path, origin) = match said {
                Some(said) if value.is_some() => said,
                _ => (path(scopes.last()?), Origin::Default),
            };
            Some(Setting { path: crate::mistake::dotted(&path), value: value.or(default)?, origin })
        });
        ExplainedLayer { name: name.to_owned(), settings: settings.collect() }
    }

    /// What aliases put into requests, the outermost first.
    fn parameters(&self) -> ExplainedLayer {
        let prefixes: Vec<String> = (self.chain.iter())
            .flat_map(|(name, _)| ["defaults", "overrides"].map(|what| prefix(&["models", name, what])))
            .collect();
        self.shown("parameters", |path| prefixes.iter().any(|prefix| path.starts_with(prefix)))
    }

    /// The service itself: where it is, and what is known of it.
    fn service(&self, one: &Connected) -> ExplainedLayer {
        let name = one.info.name.as_str();
        if one.made.is_none() {
            let path = crate::mistake::dotted(&["providers", name]);
            let setting = Setting { path, value: json!("(given in code)"), origin: Origin::Code };
            return ExplainedLayer { name: "service".to_owned(), settings: vec![setting] };
        }
        let wanted =
            ["profile", "kind", "base_url", "api_key"].map(|what| prefix(&["providers", name, what]));
        self.shown("service", |path| {
            wanted.iter().any(|wanted| format!("{path}.").starts_with(wanted.as_str()))
        })
    }

    /// Settings as they are shown everywhere.
    fn shown(&self, name: &str, is_wanted: impl Fn(&str) -> bool) -> ExplainedLayer {
        let settings = self.snapshot.settings.iter().filter(|setting| is_wanted(&setting.path));
        ExplainedLayer { name: name.to_owned(), settings: settings.cloned().collect() }
    }

    /// The aliases, from the one that was asked for inwards.
    fn aliases(&self) -> Scopes {
        self.chain.iter().map(|(name, _)| vec!["models".to_owned(), (*name).to_owned()]).collect()
    }

    /// The aliases, the provider if there is one, and the top.
    fn scopes(&self, provider: Option<&str>) -> Scopes {
        let mut scopes = self.aliases();
        scopes.extend(provider.map(|name| vec!["providers".to_owned(), name.to_owned()]));
        scopes.push(Vec::new());
        scopes
    }
}

fn prefix(path: &[&str]) -> String {
    format!("{}.", crate::mistake::dotted(path))
}
