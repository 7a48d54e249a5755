mod estimate;
mod pace;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use modelswitch_provider::{
    Error, ErrorKind, Provider, Request, Response, Result, TimeLeft, Usage, UsageWatch,
};

use self::pace::{Pace, Reservation, Use};
use crate::layer::Wrapped;
use crate::refusal::refused;
use crate::retry::tries;
use crate::spent::Spent;
use crate::usage::{hide, on_usage};
use crate::{Ending, Layer};

/// Keeps to so many requests and tokens a minute, as the service's account allows: who would exceed them waits here, instead of
/// being refused there.
///
/// Counted is a sliding minute ([`per`](Self::per) for another span): in whatever minute one looks, no more begin than the
/// limit. A call that finds no room waits in the order of coming. It is refused at once when it would have to wait for longer
/// than [`max_wait`](Self::max_wait), or than the caller does ([`TimeLeft`]): as [`Rejected`](ErrorKind::Rejected) with the code
/// `rate_limit` and [`retry_after`](Error::retry_after), and nothing is sent; another target may answer. What it waited is taken
/// off the caller's time.
///
/// **Tokens** are reserved before and corrected after. Before, they are guessed: a token for four bytes of the request's text
/// (an image or a piece of audio in it counts as a thousand), and as many as the request allows for the answer
/// (`max_completion_tokens`, `max_tokens`, `max_output_tokens`) or as [`answer_tokens`](Self::answer_tokens) says. After, the
/// `usage` of the answer counts instead, that of a stream when it ends; what was too much is there for others at once, what was
/// too little is missing for them. A stream is asked for it
/// ([`WantsUsage`](modelswitch_provider::WantsUsage)), and an answer that tells none leaves the guess. A call that alone is guessed at more than the limit waits until the minute is
/// empty. A failed call keeps its guess when it may have used tokens (it took too long, or broke), else none.
///
/// **Requests** are corrected, too: it stands above [`Retry`](crate::Retry), whose repeats are counted when they are known. Those
/// who come later wait for them. Where repeats must not exceed the limit, put it below `Retry`. What was refused further down
/// before anything was sent isn't counted.
///
/// Costs two locks and a look through the request's text a call, with a limit on tokens also a search through each event, which is
/// made once for all who want them.
///
/// ```
/// use std::time::Duration;
/// use modelswitch_layers::{RateLimit, Stack};
/// use modelswitch_provider::mock::MockProvider;
/// use modelswitch_provider::{ErrorKind, ProviderExt};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
/// let limit = RateLimit::new().requests(2).tokens(90_000).max_wait(Duration::ZERO);
/// let llm = Stack::new().layer(limit).over(MockProvider::reply("Yes."));
/// assert_eq!(llm.ask("?").await?, "Yes.");
/// assert_eq!(llm.ask("?").await?, "Yes.");
/// let refused = llm.ask("?").await.err();
/// assert_eq!(refused.as_ref().map(|error| error.kind()), Some(ErrorKind::Rejected));
/// assert!(refused.and_then(|error| error.retry_after()) >= Some(Duration::from_secs(60)));
/// # Ok::<(), modelswitch_provider::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct RateLimit {
    limits: Use<Option<u64>>,
    per: Duration,
    max_wait: Duration,
    answer_tokens: u64,
    pace: Arc<Pace>,
}

impl Default for RateLimit {
    fn default() -> Self {
        let (limits, per) = (Use { requests: None, tokens: None }, Duration::from_secs(60));
        Self {
            limits,
            per,
            // Within a minute, and the little by which the window is coarse, there is room for whoever comes first.
            max_wait: Duration::from_secs(90),
            // Most answers are shorter, and one that is longer is corrected when it is there.
            answer_tokens: 1000,
            pace: Pace::new(limits, per),
        }
    }
}

impl RateLimit {
    /// No limit yet; a minute's window, and a minute and a half of waiting at most.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many requests a minute; 0 is 1.
    #[must_use]
    pub fn requests(mut self, limit: u64) -> Self {
        self.limits.requests = Some(limit.max(1));
        self.anew()
    }

    /// How many tokens a minute, of requests and answers together; 0 is 1.
    #[must_use]
    pub fn tokens(mut self, limit: u64) -> Self {
        self.limits.tokens = Some(limit.max(1));
        self.anew()
    }

    /// Within which time they count, a minute unless said: a second, a day.
    #[must_use]
    pub fn per(mut self, span: Duration) -> Self {
        self.per = span;
        self.anew()
    }

    /// How long a call may wait. Zero refuses whatever finds no room.
    #[must_use]
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = wait;
        self
    }

    /// How many tokens are reserved for an answer whose length the request doesn't limit.
    #[must_use]
    pub fn answer_tokens(mut self, tokens: u64) -> Self {
        self.answer_tokens = tokens;
        self
    }

    /// How many requests could begin now; `None` without a limit on them.
    pub fn requests_left(&self) -> Option<u64> {
        self.pace.left().requests
    }

    /// How many tokens could be reserved now; `None` without a limit on them.
    pub fn tokens_left(&self) -> Option<u64> {
        self.pace.left().tokens
    }

    /// How many calls wait.
    pub fn waiting(&self) -> usize {
        self.pace.waiting()
    }

    /// Other limits are another count, which begins with nothing.
    fn anew(mut self) -> Self {
        self.pace = Pace::new(self.limits, self.per);
        self
    }

    fn guess(&self, request: &Request) -> Use<u64> {
        let tokens = match self.limits.tokens {
            Some(_) => estimate::tokens(request, self.answer_tokens),
            None => 0,
        };
        Use { requests: 1, tokens }
    }

    async fn reserve(&self, provider: &str, request: &Request) -> Result<Reservation> {
        let left = TimeLeft::of(request);
        self.pace.reserve(self.guess(request), self.max_wait, left).await.map_err(|wait| {
            let message = format!("the limit of {} is reached", self.limits.shown(self.per));
            refused(provider, "rate_limit", message, Some(wait))
                .with_hint("wait as long as the error says, use another target, or raise the limit")
        })
    }
}

impl Layer for RateLimit {
    fn wrap(&self, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
        Arc::new(Wrapped { layer: self.clone(), inner })
    }
}

#[async_trait]
impl Provider for Wrapped<RateLimit> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn send(&self, mut request: Request) -> Result<Response> {
        let spent = Spent::begin(&request);
        let reservation = self.layer.reserve(self.name(), &request).await?;
        spent.take_off(&mut request);
        let watch = self.layer.limits.tokens.map(|_| UsageWatch::ask(&mut request));
        match self.inner.send(request).await {
            Ok(response) if watch.is_some() => {
                let requests = response.head.attempts().into();
                let settle = move |_: &Ending, usage: Option<&Usage>| {
                    let tokens =
                        usage.map(|usage| usage.prompt_tokens.saturating_add(usage.completion_tokens));
                    reservation.settle(requests, tokens);
                };
                Ok(hide(watch, on_usage(response, settle)))
            }
            Ok(response) => {
                reservation.settle(response.head.attempts().into(), None);
                Ok(response)
            }
            Err(error) => {
                let requests = tries(&error);
                let tokens = (requests == 0 || !may_have_used_tokens(&error)).then_some(0);
                reservation.settle(requests.into(), tokens);
                Err(error)
            }
        }
    }
}

/// The service may have read the request, and written, before this.
fn may_have_used_tokens(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Interrupted | ErrorKind::Decode)
}
