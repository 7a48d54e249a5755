//! Aliases with several targets: who is asked, and who when that one fails.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use modelswitch_layers::{Balance, Cache, Counter, Fallback, StickyBy, Target as Asked};
use modelswitch_provider::{Provider, Request, Response, Result, Usage};

use crate::config::{
    AliasConfig, AliasLayers, BreakerConfig, CacheConfig, NotEmpty, Period, Sticky, Strategy, Word,
};
use crate::connect::Connected;
use crate::hints::OnlyFirst;
use crate::layers::{Breakers, Kept, Limits, OwnBreakers};
use crate::resolve::{Names, Target, Written};
use crate::router::send_to;
use crate::stack::Common;

/// What an alias says of its targets. Only these are ever asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Choice {
    alias: Arc<str>,
    pub(crate) targets: Vec<Target>,
    /// One for each target.
    weights: Vec<u32>,
    strategy: Strategy,
    sticky: Option<Sticky>,
    hedge_after: Option<Duration>,
    /// What else it says of its calls.
    pub(crate) layers: AliasLayers,
}

impl Choice {
    /// How an alias chooses among targets, which are those that it was followed to.
    pub(crate) fn of(
        (alias, layers): (&str, AliasLayers),
        config: &AliasConfig,
        targets: &[Target],
        (names, written): (&Names, &Written),
    ) -> Self {
        let count =
            |name: &String| names.follow(name, written, &mut Vec::new()).map_or(0, |found| found.len());
        let weights: Vec<u32> = config
            .targets()
            .iter()
            .zip(weights(config))
            .flat_map(|(name, weight)| std::iter::repeat_n(weight, count(name)))
            .collect();
        Self {
            alias: alias.into(),
            targets: targets.to_vec(),
            weights,
            strategy: config.strategy.map(|Word(strategy)| strategy).unwrap_or_default(),
            sticky: config.sticky.map(|Word(sticky)| sticky),
            hedge_after: config.hedge_after.map(|Period(patience)| patience),
            layers,
        }
    }

    /// One for each target.
    pub(crate) fn weights(&self) -> impl Iterator<Item = u32> {
        self.weights.iter().copied()
    }

    /// Whether they count.
    pub(crate) fn is_weighted(&self) -> bool {
        self.targets.len() > 1 && self.strategy.balanced().is_some()
    }

    /// Whether a second target is asked before so much time has passed.
    pub(crate) fn hedges_within(&self, time: Duration) -> bool {
        self.hedge_after.is_some_and(|patience| patience < time)
    }

    /// The name that apps ask for.
    pub(crate) fn alias(&self) -> &str {
        &self.alias
    }

    /// The provider that asks them: `asked` has one for each target, with its layers.
    pub(crate) fn over(
        &self,
        asked: Vec<Arc<dyn Provider>>,
        connected: &[Arc<Connected>],
    ) -> Arc<dyn Provider> {
        let asked: Vec<Asked> = (self.targets.iter().zip(&self.weights).zip(asked))
            .map(|((target, weight), provider)| {
                let one = OneTarget { provider, target: target.clone() };
                let asked = Asked::new(one).model(target.model.clone()).weight(*weight);
                match connected.iter().find(|one| *one.info.name == *target.provider).cloned() {
                    Some(one) => {
                        let model = target.model.clone();
                        asked.price_by(move || price(&one, &model))
                    }
                    None => asked,
                }
            })
            .collect();
        match self.strategy.balanced() {
            None => {
                let fallback = Fallback::new(self.alias.clone(), asked);
                Arc::new(self.hedge_after.into_iter().fold(fallback, Fallback::hedge_after))
            }
            Some(strategy) => {
                let balance = Balance::new(self.alias.clone(), asked).strategy(strategy);
                let balance = self.hedge_after.into_iter().fold(balance, Balance::hedge_after);
                Arc::new(self.sticky.map(StickyBy::from).into_iter().fold(balance, Balance::sticky))
            }
        }
    }
}

/// `a/b, c/d`, in the order that they are written in.
impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let targets: Vec<String> = self.targets.iter().map(ToString::to_string).collect();
        f.write_str(&targets.join(", "))
    }
}

/// A choice over the providers that are there, with its layers.
#[derive(Clone, Debug)]
pub(crate) struct Switch {
    pub(crate) choice: Choice,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) common: Common,
    pub(crate) counter: Arc<dyn Counter>,
    /// One for each target.
    pub(crate) below: Vec<Arc<Connected>>,
    pub(crate) limits: Limits,
    /// Its own, not the one of all.
    pub(crate) cache: Option<Kept<CacheConfig, Cache>>,
    /// Its own of each target.
    pub(crate) breakers: Vec<OwnBreakers>,
}

impl Switch {
    /// Whether it asks like this, and the very same providers: then what it has learnt of them still counts.
    pub(crate) fn asks_as(
        &self,
        choice: &Choice,
        common: &Common,
        counter: &Arc<dyn Counter>,
        below: &[Arc<Connected>],
    ) -> bool {
        self.choice == *choice
            && self.common == *common
            && std::ptr::addr_eq(Arc::as_ptr(&self.counter), Arc::as_ptr(counter))
            && self.below.len() == below.len()
            && self.below.iter().zip(below).all(|(one, other)| Arc::ptr_eq(one, other))
    }

    /// The breakers that it has of a target, if that is at the same place as this one.
    pub(crate) fn breakers_of(
        &self,
        target: &Target,
        provider: &Connected,
    ) -> Option<&Kept<BreakerConfig, Breakers>> {
        let position = self.choice.targets.iter().position(|known| known.is_at(target))?;
        let known = self.below.get(position)?;
        (known.info.base_url == provider.info.base_url).then(|| self.breakers.get(position)?.as_ref())?
    }
}

/// One of several targets, with what aliases put into its requests.
struct OneTarget {
    provider: Arc<dyn Provider>,
    target: Target,
}

impl fmt::Debug for OneTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.provider.fmt(f)
    }
}

#[async_trait]
impl Provider for OneTarget {
    fn name(&self) -> &str {
        self.provider.name()
    }

    async fn send(&self, request: Request) -> Result<Response> {
        OnlyFirst::ask(request, async |request| send_to(&self.provider, Some(&self.target), request).await)
            .await
    }
}

/// One for each written target. Layers weigh in whole numbers, so fractions are counted in thousandths.
fn weights(config: &AliasConfig) -> Vec<u32> {
    let own = config.targets.iter().flat_map(|NotEmpty(targets)| targets).map(|target| target.weight);
    let listed = config.weights.iter().flat_map(|NotEmpty(weights)| weights).map(|weight| Some(*weight));
    let written: Vec<_> = if config.weights.is_some() { listed.collect() } else { own.collect() };
    let numbers: Vec<f64> = match written.is_empty() {
        true => vec![1.0],
        false => written.iter().map(|weight| weight.map_or(1.0, |weight| weight.0)).collect(),
    };
    let scale = if numbers.iter().all(|number| number.fract() == 0.0) { 1.0 } else { 1000.0 };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "held between 1 and a million"
    )]
    let whole = |number: &f64| (number * scale).round().clamp(1.0, 1_000_000.0) as u32;
    numbers.iter().map(whole).collect()
}

/// What a million tokens each way cost now, in US dollars: prices in other currencies can't be compared.
fn price(one: &Connected, model: &str) -> Option<rust_decimal::Decimal> {
    let facts = one.profile()?.answering_to(model)?;
    let mut million = Usage::default();
    million.prompt_tokens = 1_000_000;
    million.completion_tokens = 1_000_000;
    let cost = facts.cost(&million, SystemTime::now())?;
    (cost.currency == "USD").then_some(cost.amount)
}
