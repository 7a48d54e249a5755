//! Aliases with several targets: who is asked, and who when that one fails.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use modelswitch_layers::{Balance, Fallback, StickyBy, Target as Asked};
use modelswitch_provider::{Provider, Request, Response, Result, Usage};

use crate::config::{AliasConfig, NotEmpty, Period, Sticky, Strategy, Word};
use crate::connect::Connected;
use crate::resolve::{Names, Target, Written};
use crate::router::{Route, send_to};

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
}

impl Choice {
    /// How an alias chooses among targets, which are those that it was followed to.
    pub(crate) fn of(
        alias: &str,
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
        }
    }

    /// The name that apps ask for.
    pub(crate) fn alias(&self) -> &str {
        &self.alias
    }

    /// The provider that asks them.
    pub(crate) fn over(&self, routes: &[Route], connected: &[Arc<Connected>]) -> Switch {
        let asked = self.targets.iter().zip(&self.weights).filter_map(|(target, weight)| {
            let route = routes.iter().find(|route| route.name == target.provider)?;
            let one = OneTarget { provider: route.provider.clone(), target: target.clone() };
            let asked = Asked::new(one).model(target.model.clone()).weight(*weight);
            Some(match price(target, connected) {
                Some(price) => asked.price(price),
                None => asked,
            })
        });
        let provider: Arc<dyn Provider> = match self.strategy.balanced() {
            None => {
                let fallback = Fallback::new(self.alias.clone(), asked);
                Arc::new(self.hedge_after.into_iter().fold(fallback, Fallback::hedge_after))
            }
            Some(strategy) => {
                let balance = Balance::new(self.alias.clone(), asked).strategy(strategy);
                let balance = self.hedge_after.into_iter().fold(balance, Balance::hedge_after);
                Arc::new(self.sticky.map(StickyBy::from).into_iter().fold(balance, Balance::sticky))
            }
        };
        let below = self.targets.iter().filter_map(|target| {
            routes.iter().find(|route| route.name == target.provider).map(|route| route.provider.clone())
        });
        Switch { choice: self.clone(), provider, below: below.collect() }
    }
}

/// `a/b, c/d`, in the order that they are written in.
impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let targets: Vec<String> = self.targets.iter().map(ToString::to_string).collect();
        f.write_str(&targets.join(", "))
    }
}

/// A choice over the providers that are there.
#[derive(Clone, Debug)]
pub(crate) struct Switch {
    choice: Choice,
    pub(crate) provider: Arc<dyn Provider>,
    below: Vec<Arc<dyn Provider>>,
}

impl Switch {
    /// Whether this one asks as the other does, and the very same providers: then what it has learnt of them still counts.
    pub(crate) fn same_as(&self, other: &Self) -> bool {
        self.choice == other.choice
            && self.below.len() == other.below.len()
            && self.below.iter().zip(&other.below).all(|(one, other)| Arc::ptr_eq(one, other))
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
        send_to(&self.provider, Some(&self.target), request).await
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
fn price(target: &Target, connected: &[Arc<Connected>]) -> Option<rust_decimal::Decimal> {
    let one = connected.iter().find(|one| *one.info.name == *target.provider)?;
    let facts = one.profile()?.model(&target.model)?;
    let million = serde_json::json!({ "prompt_tokens": 1_000_000, "completion_tokens": 1_000_000 });
    let cost = facts.cost(&Usage::from_wire(&million).ok()?, SystemTime::now())?;
    (cost.currency == "USD").then_some(cost.amount)
}
