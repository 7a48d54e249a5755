mod places;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use modelswitch_provider::{Attempt, Error, ErrorKind, Provider, Request, Response, Result, TimeLeft};

use self::places::{Place, Places};
use crate::layer::Wrapped;
use crate::refusal::refused;
use crate::spent::Spent;
use crate::{Ending, Layer, on_end};

/// Lets at most so many calls run at once. A stream counts until its end, or until it is dropped.
///
/// Who finds no room waits in the order of coming, in a queue of bounded length ([`queue`](Self::queue)) for a bounded time
/// ([`max_wait`](Self::max_wait)), and never past the deadline that came with the request ([`TimeLeft`]). What it waited is
/// taken off that. Who can't wait is refused as [`Rejected`](ErrorKind::Rejected) with the code `concurrency_limit`, and
/// nothing is sent; another target may answer. There is no [`retry_after`](Error::retry_after): nobody knows when a stream ends.
///
/// It bites with services that take only so many calls at a time, and keeps memory and sockets of one's own in bounds. DeepSeek
/// limits an account so (<https://api-docs.deepseek.com/quick_start/rate_limit>), with a number that shrinks with the balance, as
/// its 429 says; local servers have slots.
///
/// [`adaptive`](Self::adaptive) finds out how many the service takes: each round of calls that goes well adds one place, and a
/// 429, 503 or 529 takes some away.
///
/// One layer is one limit: around several providers it is the limit of all of them together. It stands above
/// [`Retry`](crate::Retry), so a call keeps its place while it waits for its next try, and that slows down those who come.
///
/// Costs a lock a call, twice.
///
/// ```
/// use modelswitch_layers::{Concurrency, Stack};
/// use modelswitch_provider::ProviderExt;
/// use modelswitch_provider::mock::MockProvider;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let few = Concurrency::new(8).queue(100);
/// let llm = Stack::new().layer(few.clone()).over(MockProvider::reply("Yes."));
/// let stream = llm.chat_stream("Is water wet?").await?;
/// assert_eq!(few.in_flight(), 1);
/// drop(stream);
/// assert_eq!(few.in_flight(), 0);
/// # Ok::<(), modelswitch_provider::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Concurrency {
    queue: usize,
    max_wait: Duration,
    adapts: bool,
    places: Arc<Places>,
}

impl Concurrency {
    /// At most so many at once, 1 at least; up to a thousand wait up to a minute.
    pub fn new(limit: u32) -> Self {
        let limit = limit.max(1);
        Self {
            // What waits costs little; but no queue may fill the memory.
            queue: 1000,
            // As long as `Retry` waits for a service that asks for it.
            max_wait: Duration::from_secs(60),
            adapts: false,
            places: Places::new(limit, limit..=limit),
        }
    }

    /// How many may wait. With 0 a call without room is refused at once.
    #[must_use]
    pub fn queue(mut self, most: usize) -> Self {
        self.queue = most;
        self
    }

    /// How long a call may wait.
    #[must_use]
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = wait;
        self
    }

    /// Lets the limit move within these bounds, from where it is: up by one when as many calls as it allows went well, and down by
    /// three tenths at once when the service says that it is too much (429, 503, 529; those that a repeat mended, too). Calls that
    /// were under way by then don't take it down again. Calls that don't use what they may don't take it up.
    ///
    /// ```
    /// use modelswitch_layers::Concurrency;
    ///
    /// let by_experience = Concurrency::new(8).adaptive(1..=64);
    /// assert_eq!(by_experience.limit(), 8);
    /// ```
    #[must_use]
    pub fn adaptive(mut self, bounds: RangeInclusive<u32>) -> Self {
        let least = (*bounds.start()).max(1);
        let bounds = least..=(*bounds.end()).max(least);
        self.adapts = true;
        self.places = Places::new(self.limit().clamp(*bounds.start(), *bounds.end()), bounds);
        self
    }

    /// How many may run at once now.
    pub fn limit(&self) -> u32 {
        self.places.limit()
    }

    /// How many run now. More than the limit only after that went down.
    pub fn in_flight(&self) -> u32 {
        self.places.in_flight()
    }

    /// How many wait now.
    pub fn waiting(&self) -> usize {
        self.places.waiting()
    }

    async fn place(&self, provider: &str, left: Option<Duration>) -> Result<Place> {
        let refuse = |what: String| {
            refused(provider, "concurrency_limit", what, None)
                .with_hint("wait until calls have ended, or raise the limit of calls at once")
        };
        if let Some(place) = self.places.take() {
            return Ok(place);
        }
        let limit = self.limit();
        let Some(waiting) = self.places.queue_up(self.queue) else {
            return Err(refuse(format!(
                "the limit of {limit} calls at once is reached, and {} wait",
                self.queue
            )));
        };
        let patience = left.map_or(self.max_wait, |left| left.min(self.max_wait));
        match Box::pin(tokio::time::timeout(patience, waiting.place())).await {
            Ok(Some(place)) => Ok(place),
            Ok(None) | Err(_) => {
                let waited = patience.as_secs_f64();
                Err(refuse(format!("waited {waited} s for one of the {limit} calls at once to end")))
            }
        }
    }
}

impl Layer for Concurrency {
    fn wrap(&self, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
        Arc::new(Wrapped { layer: self.clone(), inner })
    }
}

#[async_trait]
impl Provider for Wrapped<Concurrency> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn send(&self, mut request: Request) -> Result<Response> {
        let spent = Spent::begin(&request);
        let place = self.layer.place(self.name(), TimeLeft::of(&request)).await?;
        spent.take_off(&mut request);
        let adapts = self.layer.adapts;
        let answer = self.inner.send(request).await;
        if adapts {
            place.learn(Sign::of(&answer));
        }
        let response = answer?;
        Ok(on_end(response, move |ending| {
            if let Ending::Failed(error) = &ending
                && adapts
            {
                place.learn(Sign::of_error(error));
            }
            drop(place);
        }))
    }
}

/// What a call tells of how many the service takes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sign {
    Well,
    TooMuch,
    Nothing,
}

impl Sign {
    fn of(answer: &Result<Response>) -> Self {
        match answer {
            Ok(response) if was_too_much(&response.head.failures) => Self::TooMuch,
            Ok(_) => Self::Well,
            Err(error) => Self::of_error(error),
        }
    }

    fn of_error(error: &Error) -> Self {
        if is_too_much(error.kind()) || was_too_much(error.failures()) {
            Self::TooMuch
        } else {
            Self::Nothing
        }
    }
}

fn was_too_much(tries: &[Attempt]) -> bool {
    tries.iter().any(|failed| is_too_much(failed.kind))
}

fn is_too_much(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::RateLimited | ErrorKind::Overloaded)
}
