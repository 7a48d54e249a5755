//! What goes around providers and aliases, in the order of the plan: once for a call, then once for each target.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use modelswitch_layers::{Budget, Cache, Counter, Layer, SentTemperature, Stack, Timeout, layer_fn};
use modelswitch_provider::Provider;

use crate::choice::{Choice, Switch};
use crate::config::{BudgetConfig, CacheConfig, Config, Switch as Section, TimeoutConfig};
use crate::connect::{Connected, timeouts};
use crate::contradictions::no_time_for_another;
use crate::layers::{Kept, Limits, OwnBreakers, breakers, cache};
use crate::mistake::dotted;
use crate::parameters::Set;
use crate::resolve::{Names, Target};
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

/// What the aliases share.
struct OfAll<'a> {
    providers: &'a [Route],
    budget: Option<&'a Budget>,
    cache: Option<&'a Kept<CacheConfig, Cache>>,
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
        let of_all = OfAll { providers: &providers, budget: budgets.as_ref(), cache: shared.as_ref() };
        let mut switches = BTreeMap::new();
        let mut warnings = Vec::new();
        for (alias, target) in names.aliases() {
            let Some(choice) = &target.choice else { continue };
            warnings.extend(self.not_longer(choice));
            warnings.extend(self.no_time_for_another(choice));
            switches.insert(alias.to_owned(), self.switch(choice, &of_all));
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
        let cache = shared.filter(|_| !one.says_of_a_cache());
        let cache = cache.map(|cache| cache.layer.clone().kept_under(format!("{name}/{:x}", place(one))));
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
        // An alias's other providers may still have money.
        let own = own.map(Budget::let_others_answer);
        Stack::new().layer(common.cloned()).layer(own).wrap(provider)
    }

    fn whole(&self, total: Option<Duration>) -> Option<Timeout> {
        total.map(|total| Timeout::new().total(total))
    }

    /// What an alias's requests go through. What has learnt of its targets is taken over where it asks the same ones in the same
    /// way.
    fn switch(&self, choice: &Choice, of_all: &OfAll<'_>) -> Switch {
        let targets = choice.targets.iter();
        let below: Vec<_> = targets.filter_map(|target| self.provider(&target.provider)).cloned().collect();
        let before = self.before.and_then(|before| before.routes.switches.get(choice.alias()));
        if let Some(same) =
            before.filter(|before| before.asks_as(choice, &self.common, &self.counter, &below))
        {
            return same.clone();
        }
        let breakers = breakers_of(choice, &below, before);
        let asked = self.asked(choice, &below, &breakers, of_all);
        let limits = Limits::new(choice.layers.limits, before.map(|before| &before.limits));
        let cache = self.cache_of(choice, before);
        let total = choice.layers.timeout.total.map_or(self.common.total, |total| Some(total.0));
        let around = cache_around(choice, &below, cache.as_ref(), of_all.cache);
        let provider = Stack::new()
            .layer(self.whole(total))
            .layer(around.as_ref().and_then(|_| warmed(choice)))
            .layer(around)
            .layer(limits.clone())
            .wrap(choice.over(asked, &self.connected));
        Switch {
            choice: choice.clone(),
            provider,
            common: self.common.clone(),
            counter: self.counter.clone(),
            below,
            limits,
            cache,
            breakers,
        }
    }

    /// The targets, each within all budgets. One of which the alias says nothing goes the way of its provider.
    fn asked(
        &self,
        choice: &Choice,
        below: &[Arc<Connected>],
        breakers: &[OwnBreakers],
        of_all: &OfAll<'_>,
    ) -> Vec<Arc<dyn Provider>> {
        let alias = &choice.layers;
        let path = ["models", choice.alias(), "budget"];
        let budget = alias.budget.as_ref().and_then(|config| self.budget(&path, config));
        let asked = below.iter().zip(breakers).map(|(one, own)| {
            let target = match alias.is_about_targets() {
                true => self.budgeted(one, of_all.budget, one.layers.tuned(&one.once, alias, own)),
                false => route_of(of_all.providers, one),
            };
            Stack::new().layer(budget.clone()).wrap(target)
        });
        asked.collect()
    }

    /// The alias's own cache, if it says anything of one.
    fn cache_of(&self, choice: &Choice, before: Option<&Switch>) -> Option<Kept<CacheConfig, Cache>> {
        choice.layers.cache?;
        let config = Section::settle(choice.layers.cache, self.common.cache)?;
        let same = before.filter(|before| before.choice == *choice);
        Some(Kept::new(config, same.and_then(|before| before.cache.as_ref()), cache))
    }

    fn provider(&self, name: &str) -> Option<&Arc<Connected>> {
        self.connected.iter().find(|one| one.info.name == name)
    }

    /// Whether the whole time of a call may pass at one of several targets.
    fn no_time_for_another(&self, choice: &Choice) -> Option<String> {
        let own = choice.layers.timeout;
        let total = own.total.map_or(self.common.total, |total| Some(total.0))?;
        let (_, followed) = choice.targets.split_last()?;
        let waits = followed.iter().filter_map(|target| {
            let one = self.provider(&target.provider)?;
            let theirs = timeouts(one.made.as_ref()?.config.timeout).first_byte;
            Some((one.info.name.as_str(), own.first_byte.map_or(theirs, |own| own.0.min(theirs))))
        });
        let longest =
            waits.max_by_key(|(_, first_byte)| *first_byte).filter(|_| !choice.hedges_within(total))?;
        no_time_for_another(choice.alias(), total, longest)
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

/// One for each target that has any, with what was learnt of it before.
fn breakers_of(choice: &Choice, below: &[Arc<Connected>], before: Option<&Switch>) -> Vec<OwnBreakers> {
    let of = |(one, target): (&Arc<Connected>, _)| {
        let before = before.and_then(|before| before.breakers_of(target, one));
        one.layers.breaker_for(&choice.layers).map(|config| breakers(config, before))
    };
    below.iter().zip(&choice.targets).map(of).collect()
}

/// The cache that an alias uses: its own, or that of all if neither it nor the provider of a target says anything of one.
fn cache_around(
    choice: &Choice,
    below: &[Arc<Connected>],
    own: Option<&Kept<CacheConfig, Cache>>,
    of_all: Option<&Kept<CacheConfig, Cache>>,
) -> Option<Cache> {
    let of_all = of_all.filter(|_| !below.iter().any(|one| one.says_of_a_cache()));
    let kept = if choice.layers.cache.is_some() { own } else { of_all };
    let name = || format!("{}/{:x}", choice.alias(), fingerprint(choice, below));
    kept.map(|kept| kept.layer.clone().kept_under(name()))
}

/// Tells a cache how warm a request is in the end: as warm as the warmest of the targets makes it, since any may be asked.
fn warmed(choice: &Choice) -> Option<impl Layer + use<>> {
    let set = |target: &Target| target.parameters.as_ref().and_then(|said| said.temperature());
    let temperatures: Vec<Option<Set>> = choice.targets.iter().map(set).collect();
    temperatures.iter().any(Option::is_some).then(|| {
        layer_fn("temperature", move |inner, mut request| {
            let said = request.document().and_then(|body| body.get_raw("temperature")?.parse::<f64>().ok());
            let sent = |set: &Option<Set>| match (set, said) {
                (Some(Set { always: true, value }), _) | (Some(Set { value, .. }), None) => *value,
                // Who says nothing has 1, as OpenAI's API does.
                (_, said) => said.unwrap_or(1.0),
            };
            if let Some(warmest) = temperatures.iter().map(sent).reduce(f64::max) {
                request.extensions.insert(SentTemperature(warmest));
            }
            async move { inner.send(request).await }
        })
    })
}

fn route_of(routes: &[Route], one: &Connected) -> Arc<dyn Provider> {
    let route = routes.iter().find(|route| *route.name == *one.info.name);
    route.map_or_else(|| one.provider.clone(), |route| route.target.clone())
}

/// Whatever an alias means: the answers of other targets, or with other parameters, are other answers.
fn fingerprint(choice: &Choice, below: &[Arc<Connected>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for target in &choice.targets {
        target.to_string().hash(&mut hasher);
        target.parameters.as_ref().map(|parameters| parameters.written()).hash(&mut hasher);
    }
    below.iter().for_each(|one| place(one).hash(&mut hasher));
    hasher.finish()
}

/// Answers of one place aren't given as those of another.
fn place(one: &Connected) -> u64 {
    let mut hasher = DefaultHasher::new();
    one.info.base_url.hash(&mut hasher);
    hasher.finish()
}
