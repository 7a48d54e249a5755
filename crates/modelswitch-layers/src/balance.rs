mod load;
mod sticky;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use modelswitch_provider::{Provider, Request, Response, Result};

pub use self::sticky::{StickyBy, StickyKey};

use self::load::Load;
use crate::race::{first_answer, no_target};
use crate::{Target, on_end};

/// How [`Balance`] chooses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// One after the other, each as often as its weight says. It bites when targets are alike.
    #[default]
    RoundRobin,
    /// The one with the fewest calls in flight for its weight. It bites when calls differ much in length: a slow target
    /// fills up and gets no more.
    LeastBusy,
    /// The one whose first content comes soonest, by a moving average; each that has not been asked yet is asked first, by one
    /// call, and one call in twenty asks another, or a target that was slow once would be slow for ever. A failure of the
    /// target's own counts as slow, and a call that was given up as long as it was waited for.
    Fastest,
    /// The one with the lowest [price](Target::price) at the moment; those without a price last.
    Cheapest,
}

/// Spreads calls over targets. When the one that was chosen fails in a way that may go well elsewhere, the others are asked in
/// the order of the same choice, as [`Fallback`](crate::Fallback) does.
///
/// With [`sticky`](Self::sticky) calls that belong together go to the same target as long as it answers: a provider's prompt
/// cache lives in one account. Which one that is follows from the key alone (rendezvous hashing), so it is the same on every
/// machine, and when a target is added or taken away only the keys of that one move.
///
/// It bites at every call, which it sends where it chooses. It costs a look at each target's counters a call; a stream is handed on at its first content.
///
/// ```
/// use modelswitch_layers::{Balance, Strategy, Target};
/// use modelswitch_provider::ProviderExt;
/// use modelswitch_provider::mock::MockProvider;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let both = Balance::new("both", [
///     Target::new(MockProvider::reply("one")).weight(2),
///     Target::new(MockProvider::reply("two")),
/// ])
/// .strategy(Strategy::RoundRobin);
/// let mut answers = Vec::new();
/// for _ in 0..3 {
///     answers.push(both.ask("?").await?);
/// }
/// answers.sort();
/// assert_eq!(answers, ["one", "one", "two"]);
/// # Ok::<(), modelswitch_provider::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Balance {
    name: Arc<str>,
    targets: Arc<[Target]>,
    strategy: Strategy,
    sticky: Option<StickyBy>,
    hedge: Option<Duration>,
    state: Arc<State>,
}

/// What is known of the targets, one for all clones.
struct State {
    loads: Vec<Arc<Load>>,
    /// How far each target is ahead of its share, for the round robin.
    credits: Mutex<Vec<i64>>,
    calls: AtomicU64,
}

impl Balance {
    /// Targets, under a name for logs.
    pub fn new(name: impl Into<Arc<str>>, targets: impl IntoIterator<Item = Target>) -> Self {
        let targets: Arc<[Target]> = targets.into_iter().collect();
        let state = State {
            loads: targets.iter().map(|_| Arc::default()).collect(),
            credits: Mutex::new(vec![0; targets.len()]),
            calls: AtomicU64::new(0),
        };
        Self {
            name: name.into(),
            targets,
            strategy: Strategy::default(),
            sticky: None,
            hedge: None,
            state: Arc::new(state),
        }
    }

    /// How it chooses.
    #[must_use]
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Which calls belong together. One without such a key goes by the strategy.
    #[must_use]
    pub fn sticky(mut self, by: StickyBy) -> Self {
        self.sticky = Some(by);
        self
    }

    /// As [`Fallback::hedge_after`](crate::Fallback::hedge_after).
    #[must_use]
    pub fn hedge_after(mut self, patience: Duration) -> Self {
        self.hedge = Some(patience);
        self
    }

    /// All targets, in the order in which this request asks them.
    fn order(&self, request: &Request) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.targets.len()).collect();
        if let Some(key) = self.sticky.and_then(|by| by.key_of(request)) {
            order.sort_by(|a, b| {
                let score =
                    |target: &usize| self.targets.get(*target).map(|target| sticky::score(&key, target));
                score(b).partial_cmp(&score(a)).unwrap_or(std::cmp::Ordering::Equal)
            });
            return order;
        }
        let call = self.state.calls.fetch_add(1, Ordering::Relaxed);
        match self.strategy {
            Strategy::RoundRobin => self.by_turn(&mut order),
            Strategy::LeastBusy => {
                self.rotate(&mut order, call);
                // Cached, since calls begin and end meanwhile, and a sort may panic over an order that changes.
                order.sort_by_cached_key(|target| self.busy(*target));
            }
            Strategy::Fastest => {
                order.sort_by_cached_key(|target| self.slowness(*target));
                if call % EXPLORE == EXPLORE - 1 && order.len() > 1 {
                    let others = order.len() as u64 - 1;
                    let other = 1 + usize::try_from((call / EXPLORE) % others).unwrap_or_default();
                    order.swap(0, other);
                }
            }
            Strategy::Cheapest => {
                order.sort_by_cached_key(|target| {
                    let price = self.targets.get(*target).and_then(|target| target.price.now());
                    (price.is_none(), price)
                });
            }
        }
        // Whoever takes no share of the load is there for when the others fail.
        order.sort_by_key(|target| self.weight(*target) == 0);
        order
    }

    /// Smooth weighted round robin, as nginx has it: turns are spread evenly however unlike the weights.
    fn by_turn(&self, order: &mut [usize]) {
        let mut credits = self.state.credits.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = 0;
        for (target, credit) in credits.iter_mut().enumerate() {
            *credit += i64::from(self.weight(target));
            all += i64::from(self.weight(target));
        }
        order.sort_by_key(|target| Reverse(credits.get(*target).copied()));
        if let Some(credit) = order.first().and_then(|first| credits.get_mut(*first)) {
            *credit -= all;
        }
    }

    fn rotate(&self, order: &mut [usize], call: u64) {
        if let Some(by) = call.checked_rem(order.len() as u64) {
            order.rotate_left(usize::try_from(by).unwrap_or_default());
        }
    }

    /// The calls in flight for its weight, in millionths.
    fn busy(&self, target: usize) -> u64 {
        let calls = self.load(target).map_or(0, |load| load.in_flight());
        u64::from(calls) * 1_000_000 / u64::from(self.weight(target).max(1))
    }

    /// One that nobody has asked yet comes first, and while the first answer is awaited last: a burst must not go to one of
    /// which nothing is known.
    fn slowness(&self, target: usize) -> (u8, u128) {
        match (self.load(target).and_then(|load| load.time_to_first()), self.busy(target)) {
            (None, 0) => (0, 0),
            (Some(time), _) => (1, time.as_nanos()),
            (None, busy) => (2, busy.into()),
        }
    }

    fn weight(&self, target: usize) -> u32 {
        self.targets.get(target).map_or(0, |target| target.weight)
    }

    fn load(&self, target: usize) -> Option<&Arc<Load>> {
        self.state.loads.get(target)
    }

    async fn ask(&self, target: usize, request: Request) -> Result<Response> {
        let (Some(target), Some(load)) = (self.targets.get(target), self.load(target)) else {
            return Err(no_target());
        };
        let mut busy = load.begin();
        match target.ask(request).await {
            Ok(response) => {
                busy.answered();
                Ok(on_end(response, move |_| drop(busy)))
            }
            Err(error) => {
                busy.failed(&error);
                Err(error)
            }
        }
    }
}

/// One call in so many asks another target than the fastest.
const EXPLORE: u64 = 20;

#[async_trait]
impl Provider for Balance {
    fn name(&self) -> &str {
        &self.name
    }

    async fn send(&self, request: Request) -> Result<Response> {
        let order = self.order(&request);
        let ask = |target, request| self.ask(target, request).boxed();
        first_answer(&self.targets, order, &request, self.hedge, ask).await
    }
}

/// The settings; the counters say nothing to a reader.
impl fmt::Debug for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balance")
            .field("name", &self.name)
            .field("targets", &self.targets)
            .field("strategy", &self.strategy)
            .field("sticky", &self.sticky)
            .field("hedge", &self.hedge)
            .finish_non_exhaustive()
    }
}
