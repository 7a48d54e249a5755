//! Calls of several threads at once, each with a runtime of its own: what layers share holds however they meet. Under Miri, with
//! many seeds, they meet in other ways each time (`.ci/miri`).

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use modelswitch_layers::{
    Balance, Breaker, BreakerState, Budget, Cache, Concurrency, Counter, Layer, MemoryCounter, Money,
    RateLimit, Stack, Target,
};
use modelswitch_provider::{Error, ErrorKind, Provider, Request, Response, Result, Usage};
use rust_decimal::Decimal;
use serde_json::json;
use tokio::task::yield_now;

const THREADS: u32 = 4;
/// Of each thread. Miri takes some thousand times as long.
const CALLS: u32 = if cfg!(miri) { 4 } else { 200 };

/// Answers, or refuses, after others had their turn, and knows how many it had at once.
#[derive(Debug, Default)]
struct Busy {
    refuses: bool,
    asked: AtomicU32,
    running: AtomicU32,
    most: AtomicU32,
}

impl Busy {
    fn refusing() -> Arc<Self> {
        Arc::new(Self { refuses: true, ..Self::default() })
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }

    fn most(&self) -> u32 {
        self.most.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Provider for Busy {
    fn name(&self) -> &str {
        "busy"
    }

    async fn send(&self, _: Request) -> Result<Response> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.most.fetch_max(self.running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::yield_now();
        yield_now().await;
        self.running.fetch_sub(1, Ordering::SeqCst);
        if self.refuses {
            return Err(Error::new(ErrorKind::Overloaded, "busy"));
        }
        let message = json!({ "role": "assistant", "content": "Yes." });
        let usage = json!({ "prompt_tokens": 1, "completion_tokens": 2 });
        Response::json(&json!({ "choices": [{ "index": 0, "message": message }], "usage": usage }))
    }
}

fn question() -> Request {
    let messages = json!([{ "role": "user", "content": "?" }]);
    Request::chat(&json!({ "model": "m", "messages": messages, "max_tokens": 10, "temperature": 0 })).unwrap()
}

fn around(layer: impl Layer, service: &Arc<Busy>) -> Arc<dyn Provider> {
    Stack::new().layer(layer).over(service.clone())
}

/// How many of the calls that all threads make at once are answered.
fn answered(llm: &dyn Provider, calls: u32) -> u32 {
    let answers = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let answers = (0..calls).map(|_| runtime.block_on(llm.send(question())));
        u32::try_from(answers.filter(Result::is_ok).count()).unwrap()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(answers)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

#[test]
fn no_more_calls_run_than_there_are_places_and_all_have_their_turn() {
    let (service, places) = (Arc::new(Busy::default()), Concurrency::new(2));
    let llm = around(places.clone(), &service);
    assert_eq!(answered(&*llm, CALLS), THREADS * CALLS);
    assert!(service.most() <= 2, "{} at once", service.most());
    assert_eq!((places.in_flight(), places.waiting()), (0, 0));
}

#[test]
fn no_more_requests_begin_than_a_window_holds() {
    let (service, rate) = (Arc::new(Busy::default()), RateLimit::new().requests(10));
    let rate = rate.per(Duration::from_secs(24 * 3600)).max_wait(Duration::ZERO);
    let llm = around(rate.clone(), &service);
    assert_eq!((answered(&*llm, CALLS.max(10)), service.asked()), (10, 10));
    assert_eq!((rate.requests_left(), rate.waiting()), (Some(0), 0));
}

#[test]
fn a_budget_is_never_passed_and_holds_what_was_answered() {
    let noon = || UNIX_EPOCH + Duration::from_secs(12 * 3600);
    let prices =
        |_: &str, _: &str, usage: &Usage, _: SystemTime| Some(Money::new(usage.completion_tokens, "USD"));
    let (service, counter) = (Arc::new(Busy::default()), MemoryCounter::new());
    // Two dollars a call, and ten while it isn't known.
    let budget = Budget::new("b", prices, "USD").day(40).counter(counter.clone()).clock(noon);
    let llm = around(budget, &service);
    let together = answered(&*llm, CALLS);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    // Reservations that met may have refused each other: who comes later finds the room.
    let later = (0..).take_while(|_| runtime.block_on(llm.send(question())).is_ok()).count();
    assert_eq!(together + u32::try_from(later).unwrap(), service.asked());
    let spent = runtime.block_on(counter.sum("b/USD/day/1970-01-01/")).unwrap();
    assert_eq!(spent, Decimal::from(2 * service.asked()));
    assert!(Decimal::from(30) < spent && spent <= Decimal::from(40), "{spent}");
}

#[test]
fn a_target_that_was_down_is_probed_by_one_call_at_a_time() {
    let (service, breaker) = (Busy::refusing(), Breaker::new().minimum_calls(1).probes(1));
    let breaker = breaker.rest(Duration::from_nanos(1), Duration::from_nanos(1));
    let llm = around(breaker.clone(), &service);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(llm.send(question())).unwrap_err();
    assert_ne!(breaker.state(), BreakerState::Closed);
    assert_eq!(answered(&*llm, CALLS), 0);
    assert_eq!(service.most(), 1);
}

#[test]
fn equal_questions_are_asked_once() {
    let service = Arc::new(Busy::default());
    let llm = around(Cache::new(), &service);
    assert_eq!((answered(&*llm, CALLS), service.asked()), (THREADS * CALLS, 1));
}

#[test]
fn the_targets_have_their_shares() {
    let services: [Arc<Busy>; 2] = Default::default();
    let weighted = services.iter().zip([3, 1]);
    let targets = weighted.map(|(service, weight)| Target::new(service.clone()).weight(weight));
    let balance = Balance::new("b", targets);
    assert_eq!(answered(&balance, CALLS), THREADS * CALLS);
    assert_eq!(services.each_ref().map(|service| service.asked()), [3 * CALLS, CALLS]);
}
