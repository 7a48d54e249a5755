use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::{FutureExt, StreamExt};
use modelswitch_provider::mock::{MockProvider, events, reply};
use modelswitch_provider::{Body, Error, TimeLeft};
use proptest::prelude::*;
use serde_json::json;
use tokio::time::{advance, sleep};

use super::*;
use crate::{Fallback, Stack, Target, Timeout, layer_fn};

const SECOND: Duration = Duration::from_secs(1);

fn question() -> Request {
    Request::chat(&json!({ "model": "m", "messages": [], "stream": true })).unwrap()
}

fn breaker() -> Breaker {
    Breaker::new().window(30 * SECOND).minimum_calls(4).rest(5 * SECOND, 30 * SECOND).probes(1)
}

fn fault(kind: ErrorKind) -> Error {
    Error::new(kind, "it failed")
}

/// A provider that answers as it is told, one answer a call.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<VecDeque<Result<Response>>>>);

impl Told {
    fn will(&self, answer: Result<Response>) {
        self.0.lock().unwrap().push_back(answer);
    }

    fn behind(&self, breaker: &Breaker) -> Arc<dyn Provider> {
        let told = self.clone();
        breaker.wrap(Arc::new(MockProvider::answering(move |_| {
            told.0.lock().unwrap().pop_front().unwrap_or_else(|| Ok(reply("Yes.", false)))
        })))
    }
}

async fn kind_of(llm: &Arc<dyn Provider>) -> Option<ErrorKind> {
    llm.send(question()).await.err().map(|error| error.kind())
}

/// Makes calls that fail like this.
async fn fail(llm: &Arc<dyn Provider>, told: &Told, error: Error, times: u32) {
    for _ in 0..times {
        told.will(Err(error.clone()));
        assert_eq!(kind_of(llm).await, Some(error.kind()));
    }
}

#[tokio::test(start_paused = true)]
async fn it_opens_when_half_of_the_recent_calls_failed_and_there_were_enough() {
    let (told, breaker) = (Told::default(), breaker());
    let llm = told.behind(&breaker);
    fail(&llm, &told, fault(ErrorKind::Upstream), 3).await;
    assert_eq!(breaker.state(), BreakerState::Closed, "three say too little");
    advance(31 * SECOND).await;
    for _ in 0..3 {
        assert_eq!(kind_of(&llm).await, None);
    }
    fail(&llm, &told, fault(ErrorKind::Upstream), 2).await;
    assert_eq!(breaker.state(), BreakerState::Closed, "two of five are less than half");
    fail(&llm, &told, fault(ErrorKind::Upstream), 1).await;
    assert_eq!(breaker.state(), BreakerState::Open);
    let error = llm.send(question()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code(), error.provider()),
        (ErrorKind::Rejected, Some("breaker_open"), Some("mock"))
    );
    assert_eq!((error.retry_after(), error.attempts()), (Some(5 * SECOND), 0));
    assert!(error.may_succeed_elsewhere() && !error.is_retryable());
    assert_eq!(
        error.message(),
        "the call was not sent: the target rests, since 3 of 6 calls failed, the last one as upstream"
    );
}

#[tokio::test(start_paused = true)]
async fn only_what_the_target_is_to_blame_for_counts() {
    for kind in ErrorKind::ALL {
        let (told, breaker) = (Told::default(), breaker());
        let llm = told.behind(&breaker);
        fail(&llm, &told, fault(kind), 4).await;
        let to_blame = !matches!(
            kind,
            ErrorKind::InvalidRequest
                | ErrorKind::ContextLength
                | ErrorKind::ContentFiltered
                | ErrorKind::ModelNotFound
                | ErrorKind::Unsupported
                | ErrorKind::Rejected
                | ErrorKind::Config
        );
        assert_eq!(breaker.state() == BreakerState::Open, to_blame, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_answered_closes_it_and_one_that_fails_doubles_the_rest() {
    let (told, breaker) = (Told::default(), breaker());
    let llm = told.behind(&breaker);
    fail(&llm, &told, fault(ErrorKind::Connection), 4).await;
    for rest in [5, 10, 20, 30, 30] {
        assert_eq!(breaker.rests_for(), Some(rest * SECOND));
        advance(rest * SECOND).await;
        assert_eq!((breaker.state(), breaker.rests_for()), (BreakerState::HalfOpen, None));
        fail(&llm, &told, fault(ErrorKind::Connection), 1).await;
    }
    advance(30 * SECOND).await;
    assert_eq!(kind_of(&llm).await, None);
    assert_eq!(breaker.state(), BreakerState::Closed);
    fail(&llm, &told, fault(ErrorKind::Connection), 3).await;
    assert_eq!(breaker.rests_for(), Some(30 * SECOND), "it failed again at once, so it rests as long");
    advance(30 * SECOND).await;
    assert_eq!(kind_of(&llm).await, None);
    advance(30 * SECOND).await;
    fail(&llm, &told, fault(ErrorKind::Connection), 4).await;
    assert_eq!(breaker.rests_for(), Some(5 * SECOND), "it was well for a while, so it begins anew");
}

#[tokio::test(start_paused = true)]
async fn retry_after_of_a_429_and_a_503_rests_the_target_that_long_at_once() {
    for (kind, wait, rest) in [
        (ErrorKind::RateLimited, 20, Some(20)),
        (ErrorKind::Overloaded, 7, Some(7)),
        (ErrorKind::RateLimited, 1_000_000, Some(3600)),
        (ErrorKind::RateLimited, 0, None),
        (ErrorKind::Upstream, 20, None),
    ] {
        let (told, breaker) = (Told::default(), breaker());
        let llm = told.behind(&breaker);
        fail(&llm, &told, fault(kind).with_retry_after(SECOND * wait), 1).await;
        assert_eq!(breaker.rests_for(), rest.map(Duration::from_secs), "{kind} {wait}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_longer_retry_after_of_a_call_that_was_under_way_prolongs_the_rest() {
    let late = layer_fn("late", |_, request| async move {
        let wait = TimeLeft::of(&request).unwrap();
        sleep(wait).await;
        Err(fault(ErrorKind::RateLimited).with_retry_after(wait * 10))
    });
    let breaker = breaker();
    let llm = Stack::new().layer(breaker.clone()).layer(late).over(MockProvider::reply(""));
    let calls = [3, 1, 2].map(|seconds| {
        let mut request = question();
        TimeLeft::limit(&mut request, SECOND * seconds);
        llm.send(request)
    });
    futures_util::future::join_all(calls).await;
    assert_eq!(breaker.rests_for(), Some(30 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_after_it_was_handed_on_counts_and_one_that_is_dropped_does_not() {
    let chunk = || Ok(json!({ "choices": [{ "index": 0, "delta": { "content": "x" } }] }));
    for (reads, state) in [(9, BreakerState::Open), (1, BreakerState::Closed)] {
        let (told, breaker) = (Told::default(), breaker());
        let llm = told.behind(&breaker);
        for _ in 0..4 {
            told.will(Ok(events([chunk(), Err(Error::interrupted("cut"))])));
            let Body::Events(mut events) = llm.send(question()).await.unwrap().body else {
                panic!("a stream")
            };
            for _ in 0..reads {
                events.next().await;
            }
        }
        assert_eq!(breaker.state(), state);
    }
}

/// Hangs, or answers after a while.
fn slow(wait: Option<Duration>, breaker: &Breaker) -> Arc<dyn Provider> {
    let waits = layer_fn("waits", move |inner, request| async move {
        match wait {
            Some(wait) => sleep(wait).await,
            None => std::future::pending().await,
        }
        inner.send(request).await
    });
    Stack::new().layer(breaker.clone()).layer(waits).over(MockProvider::reply("Yes."))
}

#[tokio::test(start_paused = true)]
async fn a_target_that_hangs_until_the_deadline_of_the_call_is_found_out() {
    for (total, opens) in [(5 * SECOND, true), (SECOND / 2, false)] {
        let breaker = breaker();
        let both = [slow(None, &breaker), slow(Some(SECOND), &Breaker::new())].map(Target::new);
        let llm = Stack::new().layer(Timeout::new().total(total)).over(Fallback::new("both", both));
        for _ in 0..4 {
            assert_eq!(kind_of(&llm).await, Some(ErrorKind::Timeout));
        }
        assert_eq!(breaker.state() == BreakerState::Open, opens, "within {total:?}");
        assert_eq!(kind_of(&llm).await.is_none(), opens, "the other one has all the time then");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_its_caller_gives_up_before_its_deadline_says_nothing() {
    let breaker = breaker();
    let llm = Stack::new().layer(Timeout::new().total(5 * SECOND)).over(slow(None, &breaker));
    for _ in 0..9 {
        assert!(tokio::time::timeout(4 * SECOND, llm.send(question())).await.is_err());
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_only_ever_loses_to_a_hedge_is_found_out_and_one_that_answers_others_is_not() {
    for answers_others in [false, true] {
        let breaker = breaker();
        let other = Target::new(slow(Some(SECOND / 100), &Breaker::new()));
        let both = Fallback::new("both", [Target::new(slow(None, &breaker)), other]).hedge_after(2 * SECOND);
        for _ in 0..4 {
            if answers_others {
                slow(Some(SECOND), &breaker).send(question()).await.unwrap();
            }
            both.send(question()).await.unwrap();
        }
        assert_eq!(breaker.state() == BreakerState::Open, !answers_others);
        if !answers_others {
            advance(5 * SECOND).await;
            both.send(question()).await.unwrap();
            assert_eq!(
                breaker.rests_for(),
                Some(10 * SECOND),
                "a probe that loses is none that was answered"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn so_many_probes_pass_at_a_time_and_one_that_is_dropped_makes_room() {
    let hangs = layer_fn("hangs", |inner, request| async move {
        if TimeLeft::of(&request).is_some() {
            sleep(100 * SECOND).await;
        }
        inner.send(request).await
    });
    let (told, breaker) = (Told::default(), breaker().probes(2));
    let llm =
        Stack::new().layer(breaker.clone()).layer(hangs).over(told.behind(&Breaker::new().minimum_calls(99)));
    fail(&llm, &told, fault(ErrorKind::Upstream), 4).await;
    advance(5 * SECOND).await;
    let mut slow = question();
    TimeLeft::limit(&mut slow, SECOND);
    let mut first = llm.send(slow.clone());
    let mut second = llm.send(slow);
    assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
    let error = llm.send(question()).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Rejected, Some(SECOND)));
    drop(second);
    assert_eq!(breaker.machine().probing(), 1);
    assert_eq!(kind_of(&llm).await, None);
    assert_eq!(breaker.state(), BreakerState::Closed);
    drop(first);
    assert_eq!(breaker.state(), BreakerState::Closed, "what passed before counts no longer");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_refused_for_its_own_fault_shows_that_the_service_is_there() {
    for (status, state) in
        [(Some(http::StatusCode::BAD_REQUEST), BreakerState::Closed), (None, BreakerState::HalfOpen)]
    {
        let (told, breaker) = (Told::default(), breaker());
        let llm = told.behind(&breaker);
        fail(&llm, &told, fault(ErrorKind::Upstream), 4).await;
        advance(5 * SECOND).await;
        let wrong = fault(ErrorKind::InvalidRequest);
        fail(&llm, &told, status.map_or(wrong.clone(), |status| wrong.with_status(status)), 1).await;
        assert_eq!((breaker.state(), breaker.machine().probing()), (state, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn each_change_is_told_with_its_reason_and_a_fallback_goes_on() {
    let changes = Arc::new(Mutex::new(Vec::new()));
    let heard = changes.clone();
    let told = Told::default();
    let breaker = breaker().on_change(move |change| {
        heard.lock().unwrap().push((change.from, change.to, change.kind, change.rest));
    });
    let llm = told.behind(&breaker);
    let asked = Arc::new(AtomicU32::new(0));
    fail(&llm, &told, fault(ErrorKind::Timeout), 4).await;
    let counter = asked.clone();
    let other = MockProvider::answering(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        Ok(reply("Elsewhere.", false))
    });
    let both = Fallback::new("both", [Target::new(llm.clone()), Target::new(other)]);
    let head = both.send(question()).await.unwrap().head;
    assert_eq!((head.failures[0].kind, asked.load(Ordering::SeqCst)), (ErrorKind::Rejected, 1));
    advance(5 * SECOND).await;
    assert_eq!(kind_of(&llm).await, None);
    use BreakerState::{Closed, HalfOpen, Open};
    assert_eq!(
        *changes.lock().unwrap(),
        [
            (Closed, Open, Some(ErrorKind::Timeout), Some(5 * SECOND)),
            (Open, HalfOpen, None, None),
            (HalfOpen, Closed, None, None),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn when_all_targets_rest_they_are_asked_all_the_same_unless_they_asked_for_it() {
    for (kind, asked, served) in
        [(ErrorKind::Upstream, None, true), (ErrorKind::RateLimited, Some(20 * SECOND), false)]
    {
        let resting = || {
            let (told, breaker) = (Told::default(), breaker());
            let llm = told.behind(&breaker);
            let error = match asked {
                Some(wait) => fault(kind).with_retry_after(wait),
                None => fault(kind),
            };
            (llm, told, error, if asked.is_some() { 1 } else { 4 })
        };
        let (one, other) = (resting(), resting());
        for (llm, told, error, times) in [&one, &other] {
            fail(llm, told, error.clone(), *times).await;
        }
        let both = Fallback::new("both", [Target::new(one.0.clone()), Target::new(other.0)]);
        one.1.will(Err(fault(ErrorKind::Upstream)));
        let answer = both.send(question()).await;
        let tries = match &answer {
            Ok(response) => response.head.failures.clone(),
            Err(error) => error.failures().to_vec(),
        };
        let kinds: Vec<_> = tries.iter().map(|failed| failed.kind).collect();
        let third = if served { ErrorKind::Upstream } else { ErrorKind::Rejected };
        assert_eq!((answer.is_ok(), kinds), (served, vec![ErrorKind::Rejected, ErrorKind::Rejected, third]));
    }
}

#[tokio::test(start_paused = true)]
async fn in_an_alias_within_an_alias_those_that_rest_are_asked_after_all_others() {
    for others_fail in [false, true] {
        let (told, breaker) = (Told::default(), breaker());
        let rests = told.behind(&breaker);
        fail(&rests, &told, fault(ErrorKind::Upstream), 4).await;
        let inner = Fallback::new("inner", [Target::new(rests)]);
        let other = match others_fail {
            true => MockProvider::error(fault(ErrorKind::Upstream)),
            false => MockProvider::reply("Elsewhere."),
        };
        let outer = Fallback::new("outer", [Target::new(inner), Target::new(other)]);
        let failures = outer.send(question()).await.unwrap().head.failures;
        assert_eq!(failures.len(), if others_fail { 2 } else { 1 });
        assert_eq!(breaker.state() == BreakerState::Closed, others_fail);
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Perhaps one that nobody else could answer.
    Begin(bool),
    /// One of those under way ends like this.
    End(usize, Outcome),
    Answered(usize),
    Wait(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop_oneof![
        2 => Just(Outcome::Good),
        4 => Just(Outcome::Fault { kind: ErrorKind::Upstream, rest: None }),
        1 => (1_u64..40).prop_map(|wait| Outcome::Fault {
            kind: ErrorKind::RateLimited,
            rest: Some(Duration::from_secs(wait)),
        }),
        1 => Just(Outcome::Outrun),
        1 => Just(Outcome::Unclear),
    ];
    let step = prop_oneof![
        5 => prop::bool::weighted(0.1).prop_map(Step::Begin),
        5 => (0_usize..9, outcome).prop_map(|(call, outcome)| Step::End(call, outcome)),
        1 => (0_usize..9).prop_map(Step::Answered),
        2 => (0_u32..9).prop_map(Step::Wait),
        1 => (10_u32..50).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..250)
}

/// The same as the documentation says it, with lists instead of counters. Whole seconds only, so slices of time don't show.
struct Model {
    now: u64,
    /// Since when it is as it is, as a number that grows with each change.
    era: u32,
    state: BreakerState,
    until: u64,
    /// The service asked for the rest.
    asked: bool,
    /// Ends of calls since it was closed: when, and whether it failed.
    ended: Vec<(u64, bool)>,
    closed_at: Option<u64>,
    answered_at: Option<u64>,
    openings: u32,
    /// Calls under way: the era in which they began, and whether they are probes.
    calls: Vec<(u32, bool)>,
}

impl Model {
    fn turn(&mut self, state: BreakerState) {
        self.state = state;
        self.era += 1;
    }

    fn open(&mut self, rest: u64, asked: bool) {
        self.asked = asked;
        self.until = self.now + rest;
        self.turn(BreakerState::Open);
    }

    fn close(&mut self) {
        self.ended.clear();
        self.closed_at = Some(self.now);
        self.turn(BreakerState::Closed);
    }

    fn was_well(&self) -> bool {
        self.closed_at.is_none_or(|at| self.now - at >= 30)
    }

    fn rest(&self) -> u64 {
        (5 << (self.openings - 1).min(10)).min(30)
    }

    fn probing(&self) -> usize {
        self.calls.iter().filter(|(era, is_probe)| *is_probe && *era == self.era).count()
    }

    fn seen(&self) -> BreakerState {
        match self.state {
            BreakerState::Open if self.now >= self.until => BreakerState::HalfOpen,
            state => state,
        }
    }

    fn begin(&mut self, is_last_chance: bool) -> bool {
        let is_rested = self.now >= self.until || (is_last_chance && !self.asked);
        if self.state == BreakerState::Open && is_rested {
            self.turn(BreakerState::HalfOpen);
        }
        let passes = match self.state {
            BreakerState::Closed => true,
            BreakerState::Open => false,
            BreakerState::HalfOpen => self.probing() < if is_last_chance { 20 } else { 2 },
        };
        if passes {
            self.calls.push((self.era, self.state == BreakerState::HalfOpen));
        }
        passes
    }

    fn answered(&mut self, call: usize) {
        self.answered_at = Some(self.now);
        if self.calls[call] == (self.era, true) {
            self.close();
            self.calls[call] = (self.era, false);
        }
    }

    fn end(&mut self, call: usize, outcome: Outcome) {
        let (era, is_probe) = self.calls.remove(call);
        let is_current = era == self.era;
        let answers = self.answered_at.is_some_and(|at| self.now - at < 30);
        let outcome = match outcome {
            Outcome::Outrun if is_probe || !answers => {
                Outcome::Fault { kind: ErrorKind::Timeout, rest: None }
            }
            other => other,
        };
        if outcome == Outcome::Good {
            self.answered_at = Some(self.now);
        }
        match outcome {
            Outcome::Unclear | Outcome::Outrun => {}
            Outcome::Good if is_current && is_probe => self.close(),
            Outcome::Good if is_current => self.ended.push((self.now, false)),
            Outcome::Good => {}
            Outcome::Fault { rest, .. } if is_current && is_probe => {
                self.openings += 1;
                self.open(self.rest().max(rest.unwrap_or_default().as_secs()), false);
            }
            Outcome::Fault { rest: Some(rest), .. } => {
                if self.state == BreakerState::Closed && self.was_well() {
                    self.openings = 0;
                }
                if self.state != BreakerState::Open || self.now + rest.as_secs() > self.until {
                    self.open(rest.as_secs(), true);
                }
            }
            Outcome::Fault { rest: None, .. } if is_current => {
                self.ended.push((self.now, true));
                let recent: Vec<_> = self.ended.iter().filter(|(at, _)| self.now - at < 30).collect();
                let failed = recent.iter().filter(|(_, failed)| *failed).count();
                if recent.len() >= 4 && failed * 2 >= recent.len() {
                    self.openings = if self.was_well() { 1 } else { self.openings + 1 };
                    self.open(self.rest(), false);
                }
            }
            Outcome::Fault { rest: None, .. } => {}
        }
    }
}

proptest! {
    /// Whatever happens in whatever order, it is in the state in which the model is, rests as long, and lets the same calls
    /// pass; and no probe's place is lost.
    #[test]
    fn it_does_what_the_model_does(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let begun = runtime.block_on(async { Instant::now() });
        let mut machine = Machine::new(breaker().probes(2).settings);
        let mut model = Model { now: 0, era: 0, state: BreakerState::Closed, until: 0, asked: false, ended: Vec::new(), closed_at: None,
            answered_at: None, openings: 0, calls: Vec::new() };
        let mut passes = Vec::new();
        for step in steps {
            let now = begun + Duration::from_secs(model.now);
            match step {
                Step::Begin(last) => {
                    let admitted = machine.admit(now, last).0;
                    prop_assert_eq!(admitted.is_ok(), model.begin(last));
                    passes.extend(admitted.ok());
                }
                Step::Answered(call) if call < passes.len() => {
                    machine.answered(&mut passes[call], now);
                    model.answered(call);
                }
                Step::End(call, outcome) if call < passes.len() => {
                    machine.ended(passes.remove(call), outcome, now);
                    model.end(call, outcome);
                }
                Step::Answered(_) | Step::End(..) => {}
                Step::Wait(seconds) => model.now += u64::from(seconds),
            }
            let now = begun + Duration::from_secs(model.now);
            prop_assert_eq!(machine.state(now), model.seen());
            let rests = (model.seen() == BreakerState::Open).then(|| model.until - model.now);
            prop_assert_eq!(machine.rests_for(now).map(|rest| rest.as_secs()), rests);
            if model.state == BreakerState::HalfOpen {
                prop_assert_eq!(usize::try_from(machine.probing()).unwrap(), model.probing());
            }
        }
    }
}
