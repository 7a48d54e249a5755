mod budget;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use modelswitch_provider::{Attempt, Error, ErrorKind, Provider, Request, Response, Result, TimeLeft};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::{Instant, sleep};
use tracing::Level;

use self::budget::Budget;
use crate::attempt::{record, send_until_committed};
use crate::layer::Wrapped;
use crate::repeatable::{did_nothing, leaves_something};
use crate::{Layer, genai};

/// Tries a call again when it failed in a way that may pass.
///
/// What is repeated: errors that say so themselves ([`Error::is_retryable`]), a reply that can't be decoded and a timeout
/// only once: each try of a call that times out takes minutes, and perhaps money.
/// Never once an answer is [`committed`](modelswitch_provider::committed): a stream that fails after its first content fails for the caller too. So that
/// this can be told, a stream is handed on when its first content is there, not when its headers are.
///
/// A service's own word counts more than the kind: with `x-should-retry: false` nothing is repeated, with `true` whatever it
/// stands on ([`Error::should_retry`]).
///
/// What is **not** repeated although it is retryable: a request that makes something that stays, such as
/// `POST /files`, unless the service certainly did nothing (`RateLimited` and `Overloaded`). After a timeout, a reset or
/// a 500 the thing may exist, and a second try would make a second one. Reading, deleting, and POSTs that only want an
/// answer (chat, completions, embeddings, responses, Anthropic's messages, moderations, audio, images) are repeated. A response that is asked
/// for with `background: true` goes on at the service without anybody who waits: it stays, too.
///
/// How long it waits: `Retry-After` where the service gave one, never less, and a random share of a doubling delay on top
/// (full jitter), so that those who failed together don't come back together. A service that asks for longer than
/// [`max_retry_after`](Self::max_retry_after) is taken at its word: the error is given back at once.
///
/// A `Retry` that has spent its tries marks the error [exhausted](Error::is_exhausted), so nested retries never
/// multiply. Every failed try is in [`Head::failures`](modelswitch_provider::Head::failures) or [`Error::failures`].
///
/// How many in all: repeats are at most a share of the calls that pass ([`budget`](Self::budget)). When a service is down,
/// repeating everything would multiply its load at the worst moment.
///
/// It has no deadline of its own, and keeps the one that comes with a request ([`TimeLeft`], set by
/// [`Timeout`](crate::Timeout) above it): each try gets what is left, and none begins after a wait that would use it up.
///
/// While nothing fails it costs one clone of the request, which shares the body, and a stream is handed on at its first content
/// instead of at its headers.
///
/// ```
/// use modelswitch_layers::{Retry, Stack};
/// use modelswitch_provider::mock::MockProvider;
/// use modelswitch_provider::{Error, ErrorKind, ProviderExt};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
/// let busy = MockProvider::error(Error::new(ErrorKind::Overloaded, "too busy"));
/// let llm = Stack::new().layer(Retry::new().attempts(3)).over(busy);
///
/// let error = llm.ask("Anyone?").await.err();
/// assert_eq!(error.map(|error| (error.attempts(), error.failures().len())), Some((3, 2)));
/// # });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Retry {
    attempts: u32,
    base_delay: Duration,
    max_delay: Duration,
    max_retry_after: Duration,
    budget: Option<Budget>,
    // One for all calls: a generator of its own would give calls that fail together the same waits under one seed.
    dice: Arc<Mutex<SmallRng>>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            // async-openai makes one try and three more; an app that moves here must not lose any.
            attempts: 4,
            // OpenAI's SDKs begin with half a second. Full jitter makes it a quarter on average.
            base_delay: Duration::from_millis(500),
            // OpenAI's SDKs stop doubling here. Somebody is waiting for the answer.
            max_delay: Duration::from_secs(8),
            // Limits are counted by the minute, so a minute helps; what takes longer is better tried elsewhere.
            max_retry_after: Duration::from_secs(60),
            // At worst the load of a service in trouble is doubled. Proxies stop at a fifth; but a client whose burst ran into a
            // rate limit wants each of its calls repeated once.
            budget: Some(Budget::new(1.0, 10)),
            dice: Arc::new(Mutex::new(SmallRng::from_rng(&mut rand::rng()))),
        }
    }
}

impl Retry {
    /// Four tries in all, half a second doubling up to eight, at most a minute of `Retry-After`, and no more repeats than
    /// calls within ten seconds, or ten a second.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many tries in all, the first included. 1 tries once and leaves the error to whoever is outside; 0 is 1.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// The longest wait before the second try. Each later one may be twice as long.
    #[must_use]
    pub fn base_delay(mut self, delay: Duration) -> Self {
        self.base_delay = delay;
        self
    }

    /// Where the doubling ends. What a service asks for by `Retry-After` has a limit of its own.
    #[must_use]
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// The longest `Retry-After` that is waited out. For a longer one the error is given back at once, marked exhausted;
    /// its [`retry_after`](Error::retry_after) still says when to come back.
    #[must_use]
    pub fn max_retry_after(mut self, wait: Duration) -> Self {
        self.max_retry_after = wait;
        self
    }

    /// How many repeats there may be in all: a share of the calls of the last ten seconds, and so many a second whatever the
    /// number of calls. Beyond that an error is given back at once, marked exhausted. Calls through clones of this layer, and
    /// through everything that it wraps, count together.
    ///
    /// ```
    /// use modelswitch_layers::Retry;
    ///
    /// let careful = Retry::new().budget(0.1, 2);
    /// # let _ = careful;
    /// ```
    #[must_use]
    pub fn budget(mut self, share: f64, at_least_per_second: u32) -> Self {
        self.budget = Some(Budget::new(share, at_least_per_second));
        self
    }

    /// Repeats whatever may be repeated, however many calls fail.
    #[must_use]
    pub fn without_budget(mut self) -> Self {
        self.budget = None;
        self
    }

    /// Makes the waits the same in every run, for tests. Calls at the same time still share one row of numbers.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.dice = Arc::new(Mutex::new(SmallRng::seed_from_u64(seed)));
        self
    }
}

impl Layer for Retry {
    fn wrap(&self, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
        Arc::new(Wrapped { layer: self.clone(), inner })
    }
}

/// The settings; the dice say nothing to a reader.
impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("attempts", &self.attempts)
            .field("base_delay", &self.base_delay)
            .field("max_delay", &self.max_delay)
            .field("max_retry_after", &self.max_retry_after)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Provider for Wrapped<Retry> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn send(&self, request: Request) -> Result<Response> {
        if let Some(budget) = &self.layer.budget {
            budget.call();
        }
        let begun = Instant::now();
        let mut failures = Vec::new();
        let mut tries = 0;
        loop {
            let started = Instant::now();
            let mut this_try = request.clone();
            TimeLeft::spend(&mut this_try, begun.elapsed());
            let error = match send_until_committed(&*self.inner, this_try).await {
                Ok(mut response) => {
                    failures.append(&mut response.head.failures);
                    response.head.failures = failures;
                    return Ok(response);
                }
                Err(error) => counted(error),
            };
            tries += 1;
            let left = TimeLeft::of(&request).map(|left| left.saturating_sub(begun.elapsed()));
            match self
                .layer
                .judge(&request, &error, tries, &failures)
                .within(left, self.layer.budget.as_ref())
            {
                Verdict::TryAgain(wait) => {
                    tracing::event!(
                        Level::DEBUG,
                        { genai::PROVIDER_NAME } = self.name(),
                        { genai::ERROR_TYPE } = error.kind().as_str(),
                        { genai::HTTP_STATUS_CODE } = error.status().map(|status| status.as_u16()),
                        ?wait,
                        "trying again"
                    );
                    record(&request, &mut failures, &error.with_provider(self.name()), started.elapsed());
                    sleep(wait).await;
                }
                Verdict::GiveUp => return Err(error.with_failures(failures).into_exhausted()),
                Verdict::PassOn => return Err(error.with_failures(failures)),
            }
        }
    }
}

/// What becomes of a call after a try that failed.
#[derive(Debug, PartialEq)]
enum Verdict {
    TryAgain(Duration),
    /// This layer has done what it may; an outer `Retry` must not start the count again.
    GiveUp,
    /// The error was never this layer's to repeat.
    PassOn,
}

impl Verdict {
    /// What remains of it when so much time is left, and so many repeats.
    fn within(self, left: Option<Duration>, budget: Option<&Budget>) -> Self {
        match self {
            Self::TryAgain(wait) if left.is_some_and(|left| wait >= left) => Self::GiveUp,
            Self::TryAgain(_) if budget.is_some_and(|budget| !budget.repeat()) => {
                tracing::debug!("not tried again: too many calls are being repeated");
                Self::GiveUp
            }
            other => other,
        }
    }
}

impl Retry {
    fn judge(&self, request: &Request, error: &Error, tries: u32, failures: &[Attempt]) -> Verdict {
        let kind = error.kind();
        // The service knows better than its status does.
        let may_pass = match error.should_retry() {
            Some(wanted) => wanted && !error.is_exhausted(),
            None => error.is_retryable(),
        };
        if !may_pass || (leaves_something(request) && !did_nothing(kind)) {
            return Verdict::PassOn;
        }
        if tries >= self.attempts {
            return if tries > 1 { Verdict::GiveUp } else { Verdict::PassOn };
        }
        let asked = error.retry_after().unwrap_or_default();
        if asked > self.max_retry_after {
            return Verdict::GiveUp;
        }
        if is_repeated_once(kind) && failures.iter().any(|failed| failed.kind == kind) {
            return Verdict::GiveUp;
        }
        Verdict::TryAgain(asked.saturating_add(self.jitter(tries)))
    }

    /// A random share of the delay: waits that are drawn from the whole of it spread the load best.
    fn jitter(&self, tries: u32) -> Duration {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        dice.random_range(Duration::ZERO..=self.longest_delay(tries))
    }

    fn longest_delay(&self, tries: u32) -> Duration {
        let doubled = 1u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX);
        self.base_delay.saturating_mul(doubled).min(self.max_delay)
    }
}

/// A service that breaks the API once may have hiccuped; one that does it twice doesn't speak it. Every try of a slow
/// call costs minutes, and the service may charge for what it went on with.
fn is_repeated_once(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Decode | ErrorKind::Timeout)
}

/// A provider that doesn't count its tries has still made one, if a service answered or the kind says that one was asked.
fn counted(error: Error) -> Error {
    let tries = tries(&error);
    if tries == error.attempts() { error } else { error.with_attempts(tries) }
}

/// How many tries an error stands for; 0 when nothing was sent.
pub(crate) fn tries(error: &Error) -> u32 {
    let one_was_made = error.is_retryable() || error.status().is_some();
    error.attempts().max(u32::from(one_was_made))
}

#[cfg(test)]
mod tests;
