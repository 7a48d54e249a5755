//! Asks several targets for one call, until one of them answers.

mod running;

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::future::BoxFuture;
use modelswitch_provider::{Attempt, Error, ErrorKind, Request, Response, Result, TimeLeft};
use tokio::time::{Instant, sleep};

use self::running::Running;
use crate::attempt::{Tried, last_of, record};
use crate::refusal::BREAKER_OPEN;
use crate::repeatable::wants_an_answer;
use crate::{Target, genai};

/// Asks targets in order until one answers. One that fails makes room for the next at once. After `hedge` without an answer
/// the next one is asked beside it, and whoever has content first wins; the others are dropped, which ends their calls.
///
/// Those whose [`Breaker`](crate::Breaker) refused are asked once more when nobody else is left: the call fails anyway, and one
/// of them may be well again before its rest is over.
///
/// Nothing is asked elsewhere once content was handed on, when an error says that it would fail everywhere, when no time
/// is left, or when the request isn't a question to a model: files and batches live at one provider. Whoever was asked
/// before such an error may still answer.
///
/// # Errors
/// The one that would be the same everywhere, or else that of the last target, with all other tries in
/// [`Error::failures`]. When it says that there may be room later, it says so of the target that has it first.
pub(crate) async fn first_answer<'a>(
    targets: &'a [Target],
    order: impl IntoIterator<Item = usize>,
    request: &'a Request,
    hedge: Option<Duration>,
    ask: impl Fn(usize, Request) -> BoxFuture<'a, Result<Response>> + Send,
) -> Result<Response> {
    let mut race = Race::new(targets, order, request, hedge, ask);
    race.ask_next();
    while let Some((number, outcome)) = race.next_outcome().await {
        match outcome {
            Ok(response) => return Ok(race.won(number, response)),
            Err(error) => {
                if let Some(error) = race.lost(number, error) {
                    return Err(error);
                }
            }
        }
    }
    Err(no_target())
}

/// What whoever has no targets is told.
pub(crate) fn no_target() -> Error {
    Error::config("there is no target to ask")
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

/// In a request's extensions: after how long without an answer another target is asked too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience(pub(crate) Duration);

/// A call, and those who are asked for it.
struct Race<'a, A> {
    targets: &'a [Target],
    request: &'a Request,
    ask: A,
    hedge: Option<Duration>,
    is_question: bool,
    /// Whoever asked this one may have others to ask first, or none left.
    outside: Option<Chance>,
    begun: Instant,
    waiting: VecDeque<usize>,
    /// Those whose breaker refused.
    resting: VecDeque<usize>,
    running: Running<'a>,
    /// One for each that runs.
    tries: Vec<Try>,
    asked: usize,
    failures: Vec<Attempt>,
    /// What holds for all targets, while somebody who was asked before still runs, and the tries that it took.
    last_word: Option<(Error, Vec<Attempt>)>,
    /// When a target that was full may have room.
    rooms: Vec<(usize, Instant)>,
}

/// A target that is being asked.
struct Try {
    number: usize,
    target: usize,
    chance: Chance,
    started: Instant,
    tried: Option<Tried>,
}

impl<'a, A> Race<'a, A>
where
    A: Fn(usize, Request) -> BoxFuture<'a, Result<Response>>,
{
    fn new(
        targets: &'a [Target],
        order: impl IntoIterator<Item = usize>,
        request: &'a Request,
        hedge: Option<Duration>,
        ask: A,
    ) -> Self {
        let is_question = wants_an_answer(request);
        Self {
            targets,
            request,
            ask,
            hedge: hedge.filter(|_| is_question),
            is_question,
            outside: request.extensions.get().copied(),
            begun: Instant::now(),
            waiting: order.into_iter().collect(),
            resting: VecDeque::new(),
            running: Running::default(),
            tries: Vec::new(),
            asked: 0,
            failures: Vec::new(),
            last_word: None,
            rooms: Vec::new(),
        }
    }

    /// True when somebody was left to ask.
    fn ask_next(&mut self) -> bool {
        let next = match self.waiting.pop_front() {
            Some(target) => Some((target, self.outside.unwrap_or(Chance::First))),
            // While somebody runs the call may go well, and those that rest are left alone.
            None if self.running.is_empty() => self.resting.pop_front().map(|target| (target, Chance::Last)),
            None => None,
        };
        if let Some((target, chance)) = next {
            self.start(target, chance);
        }
        next.is_some()
    }

    fn start(&mut self, target: usize, chance: Chance) {
        let mut request = self.request.clone();
        let started = if self.asked == 0 { self.begun } else { Instant::now() };
        TimeLeft::spend(&mut request, started - self.begun);
        request.extensions.insert(chance);
        let tried = self.hedge.map(|patience| {
            request.extensions.insert(Patience(patience));
            Tried::begin(&mut request)
        });
        let number = self.asked;
        self.asked += 1;
        self.tries.push(Try { number, target, chance, started, tried });
        self.running.push(number, (self.ask)(target, request));
    }

    /// The next one who has something to say; `None` when nobody runs.
    async fn next_outcome(&mut self) -> Option<(usize, Result<Response>)> {
        while let Some(patience) = self.hedge.filter(|_| !self.waiting.is_empty()) {
            tokio::select! {
                biased;
                outcome = self.running.next() => return outcome,
                () = Box::pin(sleep(patience)) => {
                    self.ask_next();
                }
            }
        }
        self.running.next().await
    }

    fn won(&mut self, number: usize, mut response: Response) -> Response {
        self.tries.retain(|one| one.number != number);
        if let Some((_, mut tries)) = self.last_word.take() {
            self.failures.append(&mut tries);
        }
        self.drop_others();
        self.failures.append(&mut response.head.failures);
        response.head.failures = std::mem::take(&mut self.failures);
        response
    }

    /// Takes a failure in. The error of the call, if that is over.
    fn lost(&mut self, number: usize, error: Error) -> Option<Error> {
        let position = self.tries.iter().position(|one| one.number == number)?;
        let lost = self.tries.swap_remove(position);
        let is_late = TimeLeft::of(self.request).is_some_and(|left| self.begun.elapsed() >= left);
        let goes_on = self.is_question && !is_late && error.may_succeed_elsewhere();
        if !goes_on {
            self.waiting.clear();
            self.resting.clear();
        } else if self.may_ask_again(&lost, &error) {
            self.resting.push_back(lost.target);
        }
        if goes_on && self.ask_next() {
            tell(&error);
        } else if is_late || self.running.is_empty() {
            return Some(self.over(&lost, error));
        } else if !goes_on && self.last_word.is_none() {
            let mut tries = Vec::new();
            record(self.request, &mut tries, &error, lost.started.elapsed());
            self.last_word = Some((error, tries));
            return None;
        }
        self.record(&lost, &error);
        None
    }

    fn may_ask_again(&self, lost: &Try, error: &Error) -> bool {
        self.outside.is_none() && lost.chance == Chance::First && error.code() == Some(BREAKER_OPEN)
    }

    fn record(&mut self, lost: &Try, error: &Error) {
        record(self.request, &mut self.failures, error, lost.started.elapsed());
        self.rooms.retain(|(target, _)| *target != lost.target);
        let room = error.retry_after().filter(|_| says_when(error.kind()));
        let room = room.and_then(|wait| Instant::now().checked_add(wait));
        self.rooms.extend(room.map(|room| (lost.target, room)));
    }

    /// The error of the call, of which this was the last failure.
    fn over(&mut self, lost: &Try, error: Error) -> Error {
        let error = match self.last_word.take() {
            Some((last_word, _)) => {
                self.record(lost, &error);
                last_word
            }
            None => self.with_first_room(lost, error),
        };
        self.drop_others();
        error.with_failures(std::mem::take(&mut self.failures))
    }

    /// Whoever is told to come back should come when the first of the targets has room, and not when the last one has.
    fn with_first_room(&self, lost: &Try, error: Error) -> Error {
        if !says_when(error.kind()) || !error.may_succeed_elsewhere() {
            return error;
        }
        let others = self.rooms.iter().filter(|(target, _)| *target != lost.target);
        let first = others.map(|(_, room)| room.saturating_duration_since(Instant::now())).min();
        match first.filter(|first| error.retry_after().is_none_or(|own| *first < own)) {
            Some(first) => error.with_retry_after(first),
            None => error,
        }
    }

    /// Ends the calls that still run. Each was sent, so each is told as a try.
    fn drop_others(&mut self) {
        self.running.clear();
        for one in std::mem::take(&mut self.tries) {
            let mut earlier = one.tried.map(Tried::into_failures).unwrap_or_default();
            let took = last_of(&earlier, one.started.elapsed());
            self.failures.append(&mut earlier);
            let error = Error::new(ErrorKind::Timeout, "another target was faster");
            let error = match self.targets.get(one.target) {
                Some(target) => target.blame(error),
                None => error,
            };
            self.failures.push(Attempt::of(&error, took));
        }
    }
}

/// Of these kinds `retry_after` tells when there is room again.
fn says_when(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::RateLimited | ErrorKind::Overloaded | ErrorKind::Rejected)
}

fn tell(error: &Error) {
    tracing::debug!(
        { genai::PROVIDER_NAME } = error.provider(),
        { genai::REQUEST_MODEL } = error.model(),
        { genai::ERROR_TYPE } = error.kind().as_str(),
        "asking the next target"
    );
}
