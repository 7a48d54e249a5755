//! What goes around providers and aliases, in the order of the plan: once for a call, then once for each target.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use modelswitch_layers::{Budget, Cache, Counter, Layer, Stack, Timeout};
use modelswitch_provider::{Provider, Request, Response, Result};

use crate::choice::{Choice, Switch};
use crate::config::{BudgetConfig, CacheConfig, Config, Switch as Section, TimeoutConfig};
use crate::connect::{Connected, timeouts};
use crate::layers::{Kept, Limits, OwnBreakers, breakers, cache};
use crate::mistake::dotted;
use crate::resolve::Names;
use crate::router::{Route, Routes};
use crate::snapshot::Snapshot;
use crate::spend::budget;

/// What the top of the configuration says for all calls.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Common {
    budget: Option<BudgetConfig>,
    cache: Option<Section<CacheConfig>>,
    total: Option<Duration>,
}

impl Common {
    pub(crate) fn of(config: &Config) -> Self {
        let total = config.timeout.total.map(|total| total.0);
        Self { budget: config.budget.clone(), cache: config.cache, total }
    }
}

/// What all routes are made of.
pub(crate) struct Maker<'a> {
    pub(crate) common: Common,
    pub(crate) connected: Arc<[Arc<Connected>]>,
    pub(crate) counter: Arc<dyn Counter>,
    pub(crate) before: Option<&'a Snapshot>,
}

impl Maker<'_> {
    /// Where requests go, and what of the settings isn't as it may be meant.
    pub(crate) fn routes(&self, names: Names) -> (Routes, Vec<String>) {
        let shared = Section::settle(self.common.cache, None).map(|config| {
            Kept::new(config, self.before.and_then(|before| before.routes.cache.as_ref()), cache)
        });
        let budgets = self.common.budget.as_ref().and_then(|config| self.budget(&["budget"], config));
        let providers: Vec<Route> =
            self.connected.iter().map(|one| self.route(one, budgets.as_ref(), shared.as_ref())).collect();
        let mut switches = BTreeMap::new();
        let mut warnings = Vec::new();
        for (alias, target) in names.aliases() {
            let Some(choice) = &target.choice else { continue };
            warnings.extend(self.not_longer(choice));
            switches
                .insert(alias.to_owned(), self.switch(choice, &providers, budgets.as_ref(), shared.as_ref()));
        }
        (Routes { names, providers, switches, cache: shared }, warnings)
    }

    fn budget(&self, path: &[&str], config: &BudgetConfig) -> Option<Budget> {
        budget(&dotted(path), config, &self.connected, &self.counter)
    }

    fn route(
        &self,
        one: &Connected,
        common: Option<&Budget>,
        shared: Option<&Kept<CacheConfig, Cache>>,
    ) -> Route {
        let target = self.budgeted(one, common, one.provider.clone());
        let name: Arc<str> = one.info.name.as_str().into();
        let cache = shared.map(|cache| Named { cache: cache.layer.clone(), key: None, name: name.clone() });
        let provider = Stack::new().layer(self.whole(self.common.total)).layer(cache).wrap(target.clone());
        Route { name, provider, target, once: one.once.clone() }
    }

    /// A provider within the budget of all and its own.
    fn budgeted(
        &self,
        one: &Connected,
        common: Option<&Budget>,
        provider: Arc<dyn Provider>,
    ) -> Arc<dyn Provider> {
        let config = one.made.as_ref().and_then(|made| made.config.budget.as_ref());
        let own = config.and_then(|config| self.budget(&["providers", &one.info.name, "budget"], config));
        Stack::new().layer(common.cloned()).layer(own).wrap(provider)
    }

    fn whole(&self, total: Option<Duration>) -> Option<Timeout> {
        total.map(|total| Timeout::new().total(total))
    }

    /// What an alias's requests go through. What has learnt of its targets is taken over where it asks the same ones in the same
    /// way.
    fn switch(
        &self,
        choice: &Choice,
        routes: &[Route],
        common: Option<&Budget>,
        shared: Option<&Kept<CacheConfig, Cache>>,
    ) -> Switch {
        let below: Vec<Arc<Connected>> =
            choice.targets.iter().filter_map(|target| self.provider(&target.provider)).cloned().collect();
        let before = self.before.and_then(|before| before.routes.switches.get(choice.alias()));
        if let Some(same) =
            before.filter(|before| before.asks_as(choice, &self.common, &self.counter, &below))
        {
            return same.clone();
        }
        let alias = &choice.layers;
        let budget_of_alias = alias
            .budget
            .as_ref()
            .and_then(|config| self.budget(&["models", choice.alias(), "budget"], config));
        let own_breakers: Vec<OwnBreakers> = below
            .iter()
            .enumerate()
            .map(|(position, one)| {
                let target = choice.targets.get(position);
                let before = before.zip(target).and_then(|(before, target)| before.breakers_of(target, one));
                one.layers.breaker_for(alias).map(|config| breakers(config, before))
            })
            .collect();
        let asked = below.iter().zip(&own_breakers).map(|(one, own)| {
            let target = match alias.is_about_targets() {
                true => self.budgeted(one, common, one.layers.tuned(&one.once, alias, own)),
                false => route_of(routes, one),
            };
            Stack::new().layer(budget_of_alias.clone()).wrap(target)
        });
        let limits = Limits::new(alias.limits, before.map(|before| &before.limits));
        let chosen = choice.over(asked.collect(), &self.connected);
        let own_cache =
            before.filter(|before| before.choice == *choice).and_then(|before| before.cache.as_ref());
        let own_cache = match alias.cache {
            Some(_) => Section::settle(alias.cache, self.common.cache)
                .map(|config| Kept::new(config, own_cache, cache)),
            None => None,
        };
        let kept = if alias.cache.is_some() { own_cache.as_ref() } else { shared };
        let name: Arc<str> = choice.alias().into();
        let cache = kept.map(|kept| Named {
            cache: kept.layer.clone(),
            key: Some(format!("{}/{:x}", choice.alias(), fingerprint(choice)).into()),
            name,
        });
        let total = alias.timeout.total.map_or(self.common.total, |total| Some(total.0));
        let provider = Stack::new().layer(self.whole(total)).layer(cache).layer(limits.clone()).wrap(chosen);
        Switch {
            choice: choice.clone(),
            provider,
            common: self.common.clone(),
            counter: self.counter.clone(),
            below,
            limits,
            cache: own_cache,
            breakers: own_breakers,
        }
    }

    fn provider(&self, name: &str) -> Option<&Arc<Connected>> {
        self.connected.iter().find(|one| one.info.name == name)
    }

    /// An alias can't have more patience than the transport of its provider.
    fn not_longer(&self, choice: &Choice) -> Vec<String> {
        let limit = |timeout: TimeoutConfig| (timeouts(timeout).first_byte, timeouts(timeout).idle);
        let own = choice.layers.timeout;
        let mut told = Vec::new();
        for one in choice.targets.iter().filter_map(|target| self.provider(&target.provider)) {
            let Some(made) = &one.made else { continue };
            let (first_byte, idle) = limit(made.config.timeout);
            for (setting, own, theirs) in
                [("first_byte", own.first_byte, first_byte), ("idle", own.idle, idle)]
            {
                if own.is_some_and(|own| own.0 > theirs) {
                    let path = dotted(&["models", choice.alias(), "timeout", setting]);
                    let section = dotted(&["providers", &one.info.name, "timeout"]);
                    told.push(format!(
                        "`{path}` is longer than the provider `{}` is waited for, which counts: raise it in [{section}]",
                        one.info.name
                    ));
                }
            }
        }
        told.dedup();
        told
    }
}

fn route_of(routes: &[Route], one: &Connected) -> Arc<dyn Provider> {
    let route = routes.iter().find(|route| *route.name == *one.info.name);
    route.map_or_else(|| one.provider.clone(), |route| route.target.clone())
}

/// Whatever an alias means: the answers of other targets, or with other parameters, are other answers.
fn fingerprint(choice: &Choice) -> u64 {
    let mut hasher = DefaultHasher::new();
    for target in &choice.targets {
        target.to_string().hash(&mut hasher);
        target.parameters.as_ref().map(|parameters| parameters.written()).hash(&mut hasher);
    }
    hasher.finish()
}

/// A cache in which answers are kept under a key of their own, around a provider that keeps its name.
#[derive(Debug)]
struct Named {
    cache: Cache,
    /// The provider's name when left out.
    key: Option<Arc<str>>,
    name: Arc<str>,
}

impl Layer for Named {
    fn wrap(&self, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
        match &self.key {
            None => self.cache.wrap(inner),
            Some(key) => Arc::new(Under {
                name: self.name.clone(),
                inner: self.cache.wrap(Arc::new(Under { name: key.clone(), inner })),
            }),
        }
    }
}

/// A provider under another name.
#[derive(Debug)]
struct Under {
    name: Arc<str>,
    inner: Arc<dyn Provider>,
}

#[async_trait]
impl Provider for Under {
    fn name(&self) -> &str {
        &self.name
    }
    async fn send(&self, request: Request) -> Result<Response> {
        self.inner.send(request).await
    }
}
