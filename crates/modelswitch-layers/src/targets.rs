//! Several providers that may answer one call, tried in an order until one does.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use modelswitch_provider::{Error, Provider, Request, Response, Result, TimeLeft};
use rust_decimal::Decimal;
use tokio::time::{Instant, sleep};

use crate::attempt::{record, send_until_committed};
use crate::genai;
use crate::refusal::BREAKER_OPEN;
use crate::repeatable::wants_an_answer;

/// One of several providers that may answer, and as which model.
///
/// ```
/// use modelswitch_layers::Target;
/// use modelswitch_provider::mock::MockProvider;
///
/// let target = Target::new(MockProvider::reply("Yes.")).model("deepseek-flash").weight(3);
/// assert_eq!(target.to_string(), "mock/deepseek-flash");
/// ```
#[derive(Clone, Debug)]
pub struct Target {
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) model: Option<Arc<str>>,
    pub(crate) weight: u32,
    pub(crate) price: Option<Decimal>,
}

impl Target {
    /// A provider, asked for whatever model the request names.
    pub fn new(provider: impl Provider) -> Self {
        Self { provider: crate::stack::shared(provider), model: None, weight: 1, price: None }
    }

    /// The model to ask it for, whatever the request names.
    #[must_use]
    pub fn model(mut self, model: impl Into<Arc<str>>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// How much of the load it takes, beside the others'; 1 unless said. 0 gets calls only when the others fail.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// What it costs, in any unit that is the same for all targets: the price of a million tokens for example.
    #[must_use]
    pub fn price(mut self, price: impl Into<Decimal>) -> Self {
        self.price = Some(price.into());
        self
    }

    /// Asks it, and waits for its first content.
    pub(crate) async fn ask(&self, mut request: Request) -> Result<Response> {
        if let Some(model) = &self.model {
            request.set_model(model);
        }
        let mut response = send_until_committed(&*self.provider, request).await.map_err(|error| {
            let error = error.with_provider(self.provider.name());
            match &self.model {
                Some(model) => error.with_model(model.clone()),
                None => error,
            }
        })?;
        // Who answered, where that one doesn't say so itself.
        let head = &mut response.head;
        head.provider.get_or_insert_with(|| self.provider.name().into());
        head.model = head.model.take().or_else(|| self.model.clone());
        Ok(response)
    }
}

/// `provider/model`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.provider.name())?;
        match &self.model {
            Some(model) => write!(f, "/{model}"),
            None => Ok(()),
        }
    }
}

/// Asks targets in order until one answers. After `hedge` without an answer the next one is asked beside it, and whoever
/// has content first wins; the others are dropped, which ends their calls.
///
/// Those whose [`Breaker`](crate::Breaker) refused are asked once more when nobody else is left: the call fails anyway, and one
/// of them may be well again before its rest is over.
///
/// Nothing is asked elsewhere once content was handed on, when the error says that it would fail everywhere, when no time
/// is left, or when the request isn't a question to a model: files and batches live at one provider.
///
/// # Errors
/// That of the last target, with all tries before it in [`Error::failures`].
pub(crate) async fn first_answer<'a>(
    order: impl IntoIterator<Item = usize>,
    request: &Request,
    hedge: Option<Duration>,
    ask: impl Fn(usize, Request) -> BoxFuture<'a, Result<Response>>,
) -> Result<Response> {
    let begun = Instant::now();
    let question = wants_an_answer(request);
    let hedge = hedge.filter(|_| question);
    // Whoever asked this one may have others to ask first, or none left.
    let outside = request.extensions.get::<Chance>().copied();
    let first = outside.unwrap_or(Chance::First);
    let mut waiting: VecDeque<_> = order.into_iter().map(|target| (target, first)).collect();
    let mut running = FuturesUnordered::new();
    let mut failures = Vec::new();
    let begin = |(target, chance): (usize, Chance)| {
        let mut this_try = request.clone();
        TimeLeft::spend(&mut this_try, begun.elapsed());
        this_try.extensions.insert(chance);
        let started = Instant::now();
        ask(target, this_try).map(move |outcome| (target, chance, started, outcome))
    };
    match waiting.pop_front() {
        Some(first) => running.push(begin(first)),
        None => return Err(no_target()),
    }
    loop {
        let finished = match hedge {
            Some(patience) if !waiting.is_empty() => {
                tokio::select! {
                    biased;
                    finished = running.next() => finished,
                    () = sleep(patience) => {
                        if let Some(next) = waiting.pop_front() {
                            running.push(begin(next));
                        }
                        continue;
                    }
                }
            }
            _ => running.next().await,
        };
        let Some((target, chance, started, outcome)) = finished else {
            return Err(no_target());
        };
        let error = match outcome {
            Ok(mut response) => {
                failures.append(&mut response.head.failures);
                response.head.failures = failures;
                return Ok(response);
            }
            Err(error) => error,
        };
        let none_left = TimeLeft::of(request).is_some_and(|left| begun.elapsed() >= left);
        if !question || none_left || !error.may_succeed_elsewhere() {
            return Err(error.with_failures(failures));
        }
        if outside.is_none() && chance == Chance::First && error.code() == Some(BREAKER_OPEN) {
            waiting.push_back((target, Chance::Last));
        }
        if running.is_empty() {
            let Some(next) = waiting.pop_front() else { return Err(error.with_failures(failures)) };
            tell(&error);
            running.push(begin(next));
        }
        record(&mut failures, &error, started.elapsed());
    }
}

/// In a request's extensions: whether there is anybody else to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chance {
    First,
    Last,
}

impl Chance {
    /// True when nobody else is left to ask.
    pub(crate) fn is_last(request: &Request) -> bool {
        request.extensions.get() == Some(&Self::Last)
    }
}

fn tell(error: &Error) {
    tracing::debug!(
        { genai::PROVIDER_NAME } = error.provider(),
        { genai::REQUEST_MODEL } = error.model(),
        { genai::ERROR_TYPE } = error.kind().as_str(),
        "asking the next target"
    );
}

/// What whoever has no targets is told.
pub(crate) fn no_target() -> Error {
    Error::config("there is no target to ask")
}
