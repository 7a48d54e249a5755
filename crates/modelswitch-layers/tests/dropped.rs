//! A call that is dropped at any of its await points leaves nothing behind: it is polled n times and dropped, for n = 0, 1, 2, …
//! until it ends, over the whole canonical stack and a service that makes it wait wherever it can.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

mod polled;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use modelswitch_layers::{
    Breaker, BreakerState, Budget, Cache, Concurrency, Cost, Counter, Fallback, Log, MemoryCounter, Money,
    RateLimit, Retry, Stack, Target, Timeout, on_end,
};
use modelswitch_provider::{
    Body, Error, ErrorKind, Event, EventStream, Provider, Request, Response, Result, Usage,
};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tokio::task::yield_now;

use self::polled::polled;

/// More than a call is ever polled.
const MOST_POLLS: usize = 500;
/// A reservation: a dollar for each token that an answer may have.
const RESERVED: u32 = 10;

/// A service that waits before each thing that it does. Every other request is refused, so that there is a second try.
#[derive(Debug, Default)]
struct Slow {
    asked: AtomicU32,
    running: Arc<AtomicU32>,
}

struct Running(Arc<AtomicU32>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Provider for Slow {
    fn name(&self) -> &str {
        "slow"
    }

    async fn send(&self, request: Request) -> Result<Response> {
        self.running.fetch_add(1, Ordering::SeqCst);
        let running = Running(self.running.clone());
        yield_now().await;
        tokio::time::sleep(Duration::from_millis(3)).await;
        yield_now().await;
        if self.asked.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            return Err(Error::new(ErrorKind::Overloaded, "busy").with_attempts(1));
        }
        let response = if request.is_stream() { streamed() } else { whole() };
        Ok(on_end(response, move |_| drop(running)))
    }
}

fn usage() -> Value {
    json!({ "prompt_tokens": 1, "completion_tokens": 2 })
}

fn whole() -> Response {
    let message = json!({ "role": "assistant", "content": "Yes." });
    let choice = json!({ "index": 0, "finish_reason": "stop", "message": message });
    Response::json(&json!({ "choices": [choice], "usage": usage() })).unwrap()
}

fn streamed() -> Response {
    let chunk = |delta: Value, finish: Value| json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] });
    let chunks = [
        chunk(json!({ "role": "assistant" }), Value::Null),
        chunk(json!({ "content": "Y" }), Value::Null),
        chunk(json!({ "content": "es." }), Value::Null),
        chunk(json!({}), "stop".into()),
        json!({ "choices": [], "usage": usage() }),
    ];
    let events = stream::iter(chunks).then(|chunk| async move {
        yield_now().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(Event::new(chunk.to_string()))
    });
    Response::new(Body::Events(EventStream::new(events)))
}

fn prices(_: &str, _: &str, usage: &Usage, _: SystemTime) -> Option<Money> {
    Some(Money::new(usage.completion_tokens, "USD"))
}

fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(12 * 3600)
}

struct World {
    service: Arc<Slow>,
    few: Concurrency,
    rate: RateLimit,
    breaker: Breaker,
    counter: MemoryCounter,
    llm: Arc<dyn Provider>,
}

fn world() -> World {
    let service = Arc::new(Slow::default());
    let (few, rate) = (Concurrency::new(1), RateLimit::new().requests(1_000_000));
    let (breaker, counter) = (Breaker::new().minimum_calls(1_000_000), MemoryCounter::new());
    let budget = Budget::new("b", prices, "USD").day(1_000_000).counter(counter.clone()).clock(noon);
    let target = Stack::new()
        .layer(budget)
        .layer(rate.clone())
        .layer(few.clone())
        .layer(breaker.clone())
        .layer(Retry::new().seed(7))
        .layer(Timeout::new().first_byte(Duration::from_secs(9)).idle(Duration::from_secs(9)))
        .over(service.clone());
    let llm = Stack::new()
        .layer(Log::new())
        .layer(Cost::new(prices).clock(noon))
        .layer(Cache::new())
        .over(Fallback::new("smart", [Target::new(target).model("m")]));
    World { service, few, rate, breaker, counter, llm }
}

fn question(streams: bool) -> Request {
    let messages = json!([{ "role": "user", "content": "?" }]);
    let mut body =
        json!({ "model": "smart", "messages": messages, "max_tokens": RESERVED, "temperature": 0 });
    if streams {
        body.as_object_mut().unwrap().insert("stream".to_owned(), true.into());
    }
    Request::chat(&body).unwrap()
}

/// The answer, read to its end.
async fn read(llm: &dyn Provider, streams: bool) -> Result<()> {
    if let Body::Events(mut events) = llm.send(question(streams)).await?.body {
        while let Some(event) = events.next().await {
            yield_now().await;
            event?;
        }
    }
    Ok(())
}

impl World {
    async fn holds_nothing(&self, polls: usize) {
        assert_eq!(self.service.running.load(Ordering::SeqCst), 0, "a request goes on after {polls} polls");
        assert_eq!(
            (self.few.in_flight(), self.few.waiting()),
            (0, 0),
            "a place is taken after {polls} polls"
        );
        assert_eq!(self.rate.waiting(), 0, "somebody waits after {polls} polls");
        assert_eq!(self.breaker.state(), BreakerState::Closed);
        assert_eq!(
            tokio::runtime::Handle::current().metrics().num_alive_tasks(),
            0,
            "a task after {polls} polls"
        );
        // What may have been billed is charged once; a reservation that nobody settles would be left beside it.
        let spent = self.counter.sum("b/USD/day/1970-01-01").await.unwrap();
        assert!(spent <= Decimal::from(RESERVED), "{spent} after {polls} polls");
    }
}

/// How many polls a call takes that nobody drops, after it was dropped at each of them.
fn drop_at_every_poll(streams: bool) -> usize {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    for polls in 0..MOST_POLLS {
        let ended = runtime.block_on(async {
            let world = world();
            let read_it = read(&*world.llm, streams);
            let ended = polled(polls, read_it).await;
            world.holds_nothing(polls).await;
            // Whoever asks the same next isn't kept waiting for who has gone.
            let next = tokio::time::timeout(Duration::from_secs(60), read(&*world.llm, streams)).await;
            assert!(next.is_ok_and(|next| next.is_ok()), "the next call after {polls} polls");
            ended
        });
        if let Some(ended) = ended {
            ended.unwrap();
            return polls;
        }
    }
    panic!("it never ends")
}

#[test]
fn a_whole_answer_that_nobody_waits_for_any_more_leaves_nothing_behind() {
    assert!(drop_at_every_poll(false) > 5);
}

#[test]
fn a_stream_that_nobody_reads_any_more_leaves_nothing_behind() {
    assert!(drop_at_every_poll(true) > 15);
}

/// Two wait for one place: the one that goes hands its turn on.
#[test]
fn a_call_that_waits_for_a_place_and_is_dropped_leaves_its_turn_to_the_next() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    for polls in 0..20 {
        runtime.block_on(async {
            let world = world();
            let calm = Stack::new().layer(world.few.clone()).over(world.service.clone());
            let first = calm.send(question(true)).await.or(calm.send(question(true)).await).unwrap();
            let waiting =
                polled(polls, tokio::time::timeout(Duration::from_secs(1), calm.send(question(true))));
            assert!(!matches!(waiting.await, Some(Ok(Ok(_)))), "there is one place");
            drop(first);
            world.holds_nothing(polls).await;
        });
    }
}
