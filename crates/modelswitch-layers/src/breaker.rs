mod machine;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use modelswitch_provider::{ErrorKind, Provider, Request, Response, Result, TimeLeft};
use tokio::time::Instant;

use self::machine::{Change, Machine, Pass, Settings};
use crate::health::Outcome;
use crate::layer::Wrapped;
use crate::race::{Chance, Patience};
use crate::refusal::{BREAKER_OPEN, refused};
use crate::{Ending, Layer, genai, on_end};

/// Leaves a target alone that keeps failing, instead of letting each call find out for itself.
///
/// * **Closed**: calls pass. It opens when at least half of the calls of the last thirty seconds failed, and there were at
///   least ten ([`failure_rate`](Self::failure_rate), [`window`](Self::window), [`minimum_calls`](Self::minimum_calls)).
/// * **Open**: calls are refused at once, as [`Rejected`](ErrorKind::Rejected) with the code `breaker_open`, the reason and
///   [`retry_after`](modelswitch_provider::Error::retry_after). Another target may answer them: a [`Fallback`](crate::Fallback) goes on at once.
/// * **Half open**: after its rest a few calls pass as [`probes`](Self::probes). One that is answered closes it; one that
///   fails opens it again, for twice as long each time up to a limit ([`rest`](Self::rest)). A target that fails again soon
///   after it was closed rests longer, too.
///
/// When every target of a [`Fallback`](crate::Fallback) or [`Balance`](crate::Balance) has failed, those that were refused here
/// are asked all the same, as probes before their time and ten times as many: the call fails anyway. Only the rest that a service
/// asked for is kept.
///
/// A 429 or 503 that says `Retry-After` rests the target that long at once, up to an hour
/// ([`max_retry_after`](Self::max_retry_after)).
///
/// What counts as a failure is what the target is to blame for: it is overloaded, broken, unreachable, too slow, out of
/// money, refuses its key, limits the rate, or answers nonsense. A stream that breaks after it was handed on counts too. A
/// request that is wrong, too long or filtered says nothing against the target, and if the service itself said so, that it
/// is alive.
///
/// A call that is dropped before there is an answer counts as a timeout when its deadline ([`TimeLeft`]) was over, unless that was
/// less than a second. One that lost to a [hedge](crate::Fallback::hedge_after) counts so when it had at least its patience, and
/// the target has answered nobody within the window: a target that answers others is slow, one that doesn't hangs. Dropped by its
/// caller before that, it says nothing.
///
/// One layer is one breaker: make one for each target. It stands above [`Retry`](crate::Retry), so it counts calls that
/// failed in spite of their repeats, and nobody repeats against an open one.
///
/// Costs a lock a call, twice.
///
/// ```
/// use std::time::Duration;
/// use modelswitch_layers::{Breaker, BreakerState, Layer};
/// use modelswitch_provider::mock::MockProvider;
/// use modelswitch_provider::{Error, ErrorKind, ProviderExt};
/// use std::sync::Arc;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
/// let breaker = Breaker::new().minimum_calls(3).rest(Duration::from_secs(5), Duration::from_secs(60));
/// let llm = breaker.wrap(Arc::new(MockProvider::error(Error::new(ErrorKind::Upstream, "it broke"))));
/// for _ in 0..3 {
///     assert_eq!(llm.ask("?").await.map_err(|error| error.kind()), Err(ErrorKind::Upstream));
/// }
/// let refused = llm.ask("?").await.err();
/// assert_eq!(refused.as_ref().map(|error| error.kind()), Some(ErrorKind::Rejected));
/// assert_eq!(refused.and_then(|error| error.retry_after()), Some(Duration::from_secs(5)));
/// assert_eq!(breaker.state(), BreakerState::Open);
/// # });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Breaker {
    settings: Settings,
    observer: Option<Observer>,
    machine: Arc<Mutex<Machine>>,
}

type Observer = Arc<dyn Fn(&BreakerChange) + Send + Sync>;

/// What a [`Breaker`] does with a call that comes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Lets it pass.
    Closed,
    /// Refuses it.
    Open,
    /// Lets it pass if not too many pass already, to see how it goes.
    HalfOpen,
}

/// A change of a [`Breaker`]'s state, for whoever [observes](Breaker::on_change) it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BreakerChange {
    /// The provider that it is around.
    pub provider: String,
    /// What it was.
    pub from: BreakerState,
    /// What it is.
    pub to: BreakerState,
    /// The kind of the last failure, when it opened.
    pub kind: Option<ErrorKind>,
    /// How long it rests, when it opened.
    pub rest: Option<Duration>,
}

impl Default for Breaker {
    fn default() -> Self {
        let settings = Settings::default();
        Self { settings, observer: None, machine: Arc::new(Mutex::new(Machine::new(settings))) }
    }
}

impl Breaker {
    /// Opens when half of at least ten calls within thirty seconds failed; rests five seconds, doubling up to a minute;
    /// lets two probes pass at a time.
    pub fn new() -> Self {
        Self::default()
    }

    /// Over how much time failures are counted.
    #[must_use]
    pub fn window(self, window: Duration) -> Self {
        self.set(|settings| settings.window = window)
    }

    /// How many calls there must have been within the window; fewer say too little. 0 is 1.
    #[must_use]
    pub fn minimum_calls(self, calls: u32) -> Self {
        self.set(|settings| settings.minimum_calls = calls.max(1))
    }

    /// The share of calls, from 0 to 1, from which on it opens. 0 is taken for the smallest share there is: any failure opens it.
    #[must_use]
    pub fn failure_rate(self, rate: f64) -> Self {
        self.set(|settings| settings.failure_rate = rate.clamp(f64::EPSILON, 1.0))
    }

    /// How long it rests at first, and where the doubling ends.
    #[must_use]
    pub fn rest(self, first: Duration, most: Duration) -> Self {
        self.set(|settings| (settings.rest, settings.max_rest) = (first, most.max(first)))
    }

    /// The longest `Retry-After` that is taken at its word. After it the target is probed: a wrong header must not put it away
    /// for ever.
    #[must_use]
    pub fn max_retry_after(self, most: Duration) -> Self {
        self.set(|settings| settings.max_retry_after = most)
    }

    /// How many calls may pass at a time while it is half open. 0 is 1.
    #[must_use]
    pub fn probes(self, probes: u32) -> Self {
        self.set(|settings| settings.probes = probes.max(1))
    }

    /// Calls this at each change of state, on the task of the call that brought it about: be quick.
    ///
    /// ```
    /// use modelswitch_layers::{Breaker, BreakerState};
    ///
    /// let breaker = Breaker::new().on_change(|change| {
    ///     if change.to == BreakerState::Open {
    ///         eprintln!("{} rests for {:?}", change.provider, change.rest);
    ///     }
    /// });
    /// # let _ = breaker;
    /// ```
    #[must_use]
    pub fn on_change(mut self, observer: impl Fn(&BreakerChange) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// What it would do with a call now.
    pub fn state(&self) -> BreakerState {
        self.machine().state(Instant::now())
    }

    /// How long it still refuses calls; `None` unless it is open.
    pub fn rests_for(&self) -> Option<Duration> {
        self.machine().rests_for(Instant::now())
    }

    /// Other settings are another breaker, which begins closed.
    fn set(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(&mut self.settings);
        self.machine = Arc::new(Mutex::new(Machine::new(self.settings)));
        self
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never under the lock: an observer may ask for the state.
    fn tell(&self, provider: &str, change: Option<Change>) {
        let Some(Change { from, to, kind, rest }) = change else { return };
        let state = format!("{to:?}");
        let kind_name = kind.map(ErrorKind::as_str);
        match to {
            BreakerState::Open => tracing::warn!(
                { genai::PROVIDER_NAME } = provider,
                { genai::ERROR_TYPE } = kind_name,
                ?rest,
                state,
                "breaker opened"
            ),
            BreakerState::Closed | BreakerState::HalfOpen => {
                tracing::info!({ genai::PROVIDER_NAME } = provider, state, "breaker changed");
            }
        }
        if let Some(observer) = &self.observer {
            observer(&BreakerChange { provider: provider.to_owned(), from, to, kind, rest });
        }
    }
}

/// The settings and the state.
impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("settings", &self.settings)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl Layer for Breaker {
    fn wrap(&self, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
        Arc::new(Wrapped { layer: self.clone(), inner })
    }
}

#[async_trait]
impl Provider for Wrapped<Breaker> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn send(&self, request: Request) -> Result<Response> {
        let mut call = Call::begin(&self.layer, &self.inner, &request)?;
        match self.inner.send(request).await {
            Ok(response) => {
                call.answered();
                Ok(on_end(response, move |ending| match ending {
                    Ending::Finished | Ending::Dropped => call.ended(Outcome::Good),
                    Ending::Failed(error) => call.ended(Outcome::of(&error)),
                }))
            }
            Err(error) => {
                call.ended(Outcome::of(&error));
                Err(error)
            }
        }
    }
}

/// A call that passed. One that is dropped before it ended gives its place among the probes back.
struct Call {
    breaker: Breaker,
    provider: Arc<dyn Provider>,
    pass: Option<Pass>,
    began: Instant,
    left: Option<Duration>,
    patience: Option<Duration>,
}

/// A deadline that left less than this says more of the caller, or of the targets before, than of this one.
const FAIR: Duration = Duration::from_secs(1);
/// Timers go by milliseconds, and the deadline's own was set a little earlier.
const TICKS: Duration = Duration::from_millis(10);

impl Call {
    fn begin(breaker: &Breaker, provider: &Arc<dyn Provider>, request: &Request) -> Result<Self> {
        let began = Instant::now();
        let (admitted, change) = breaker.machine().admit(began, Chance::is_last(request));
        breaker.tell(provider.name(), change);
        match admitted {
            Ok(pass) => Ok(Self {
                breaker: breaker.clone(),
                provider: provider.clone(),
                pass: Some(pass),
                began,
                left: TimeLeft::of(request).filter(|left| *left >= FAIR),
                patience: request.extensions.get().map(|Patience(patience)| *patience),
            }),
            Err(refusal) => {
                let message = format!("the call was not sent: {}", refusal.why);
                Err(refused(provider.name(), BREAKER_OPEN, message, Some(refusal.wait))
                    .with_hint("wait until the target has rested, or use another one"))
            }
        }
    }

    fn answered(&mut self) {
        let Some(pass) = &mut self.pass else { return };
        let change = self.breaker.machine().answered(pass, Instant::now());
        self.breaker.tell(self.provider.name(), change);
    }

    fn ended(mut self, outcome: Outcome) {
        self.end(outcome);
    }

    fn end(&mut self, outcome: Outcome) {
        let Some(pass) = self.pass.take() else { return };
        let change = self.breaker.machine().ended(pass, outcome, Instant::now());
        self.breaker.tell(self.provider.name(), change);
    }

    /// What it says of the target that nobody waits any longer.
    fn given_up(&self) -> Outcome {
        let waited = self.began.elapsed().saturating_add(TICKS);
        let had = |limit: Option<Duration>| limit.is_some_and(|limit| waited >= limit);
        if had(self.left) {
            Outcome::Fault { kind: ErrorKind::Timeout, rest: None }
        } else if had(self.patience) {
            Outcome::Outrun
        } else {
            Outcome::Unclear
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.pass.is_some() {
            self.end(self.given_up());
        }
    }
}
