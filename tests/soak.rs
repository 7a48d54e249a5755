//! Ten thousand calls, half of them streams, two hundred at a time, through the whole canonical stack over real sockets, while one
//! answer in five is broken in one of many ways. Every call ends once, and afterwards nothing is held any more: no permit, no
//! connection, no task, no memory.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails loudly")]

use std::alloc::System;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt, stream};
use modelswitch_layers::{
    Balance, Breaker, Budget, Cache, Concurrency, Cost, Fallback, Log, MemoryLedger, Metrics, Money, Observe,
    RateLimit, Retry, Stack, Strategy, Target, Timeout, Trace,
};
use modelswitch_openai::{HttpClient, OpenAiProvider, Profile, Timeouts};
use modelswitch_provider::{ApiKey, Body, Error, ErrorKind, Provider, Request, Usage};
use modelswitch_sim::{Script, Sim};
use modelswitch_tests::{tasks, until};
use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static MEMORY: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CALLS: usize = 10_000;
const AT_ONCE: usize = 200;
const TRIES: u32 = 3;
/// Of a call: those of two targets, and a refusal of each by its breaker, which is asked once more when nobody else is left.
const MOST_ATTEMPTS: u32 = 2 * (TRIES + 1);
/// Of a hundred answers.
const FAULTS: u64 = 20;
const LONG: Duration = Duration::from_secs(60);

/// What goes wrong, one after the other.
fn fault(number: u64) -> Script {
    let error = |status| {
        Script::status(status).json(json!({ "error": { "message": "simulated", "type": "server_error" } }))
    };
    match number % 16 {
        0 => error(429).header("retry-after", "0.01"),
        1 => error(429).header("retry-after-ms", "5"),
        2 => error(500),
        3 => Script::status(502).body("<html>bad gateway</html>").content_type("text/html"),
        4 => error(503),
        5 => Script::status(504),
        6 => Script::reset(),
        7 => Script::normal().cut_after(0),
        8 => Script::normal().cut_after(150),
        9 => Script::normal().cut_after_events(3),
        10 => Script::normal().end_after_events(2),
        11 => Script::normal().stall_after(100),
        12 => Script::status(200).body("{\"id\":").content_type("application/json"),
        13 => Script::status(200).json(json!({ "error": { "message": "simulated", "code": 503 } })),
        14 => Script::status(200),
        _ => error(402),
    }
}

/// A service with its faults laid out beforehand: which answers are broken follows from the seed alone.
async fn service(seed: u64, answers: usize) -> Sim {
    let sim = Sim::builder().remember(0).start().await.unwrap();
    let mut state = seed;
    let mut faults = 0;
    for _ in 0..answers {
        // Knuth's numbers: any would do, as long as they are the same each time.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if (state >> 33) % 100 < FAULTS {
            sim.script(fault(faults));
            faults += 1;
        } else {
            sim.script(Script::normal());
        }
    }
    sim
}

/// One target's layers, of which some tell what they hold.
struct Limits {
    rate: RateLimit,
    few: Concurrency,
    provider: Arc<dyn Provider>,
}

fn prices(_provider: &str, _model: &str, usage: &Usage, _when: SystemTime) -> Option<Money> {
    Some(Money::new(usage.prompt_tokens + usage.completion_tokens, "USD"))
}

fn target(sim: &Sim, name: &str, http: &HttpClient) -> Limits {
    let mut timeouts = Timeouts::default();
    timeouts.first_byte = LONG;
    timeouts.idle = Duration::from_millis(500);
    let service = OpenAiProvider::builder(Profile::embedded("deepseek").unwrap())
        .name(name)
        .base_url(sim.base_url())
        .api_key(ApiKey::new(sim.key()).unwrap())
        .http_client(http.clone())
        .timeouts(timeouts)
        .build()
        .unwrap();
    let rate = RateLimit::new().requests(1_000_000).tokens(1_000_000_000);
    let few = Concurrency::new(150).queue(1_000).max_wait(LONG);
    let provider = Stack::new()
        .layer(Budget::new(name.to_owned(), prices, "USD").day(1_000_000_000))
        .layer(rate.clone())
        .layer(few.clone())
        // It would rest through most of the test if it opened at the faults that are wanted.
        .layer(Breaker::new().failure_rate(0.9))
        .layer(Retry::new().attempts(TRIES).base_delay(Duration::from_millis(2)).without_budget())
        .layer(Timeout::new().total(LONG))
        .over(service);
    Limits { rate, few, provider }
}

#[derive(Default)]
struct Ends {
    whole: AtomicUsize,
    failed: AtomicUsize,
    broken_off: AtomicUsize,
}

/// Makes a call and follows it to its one end.
async fn call(llm: &Arc<dyn Provider>, number: usize, ends: &Ends) {
    let body = json!({
        "model": "deepseek-flash", "stream": number.is_multiple_of(2), "temperature": 0.0,
        // Some questions are asked again, which is for the cache.
        "messages": [{ "role": "user", "content": format!("question {}", number % 9_000) }],
    });
    let response = match llm.send(Request::chat(&body).unwrap()).await {
        Ok(response) => response,
        Err(error) => {
            check(&error);
            ends.failed.fetch_add(1, Ordering::Relaxed);
            return;
        }
    };
    assert!(response.head.attempts() <= MOST_ATTEMPTS, "{}", response.head.attempts());
    match response.body {
        Body::Json(json) => assert!(json.starts_with(b"{")),
        Body::Events(mut events) => {
            let mut failure = None;
            while let Some(event) = events.next().await {
                assert!(failure.is_none(), "nothing comes after an error");
                failure = event.err();
            }
            if let Some(error) = failure {
                check(&error);
                ends.broken_off.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        _ => panic!("an answer to a chat is JSON or events"),
    }
    ends.whole.fetch_add(1, Ordering::Relaxed);
}

fn check(error: &Error) {
    assert!(!matches!(error.kind(), ErrorKind::InvalidRequest | ErrorKind::Config), "{}", error.report());
    assert!(error.attempts() <= MOST_ATTEMPTS, "{}", error.attempts());
}

fn live_bytes() -> usize {
    let stats = MEMORY.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}

/// One service after the other, each with the layers of a target, under those of a call.
async fn run(calls: usize, seed: u64) -> Ends {
    let sims = [service(seed, calls).await, service(seed + 1, calls).await];
    let http = HttpClient::new(LONG).unwrap();
    let targets = [target(&sims[0], "one", &http), target(&sims[1], "two", &http)];
    let ready = || targets.iter().map(|target| Target::new(target.provider.clone()).model("deepseek-flash"));
    let balanced: Arc<dyn Provider> = Arc::new(Balance::new("both", ready()).strategy(Strategy::LeastBusy));
    let in_order: Arc<dyn Provider> = Arc::new(Fallback::new("both", ready()));
    let ledger = MemoryLedger::new();
    let stack = Stack::new()
        .layer(Observe::new().trace(Trace::new()).log(Log::new()).metrics(Metrics::new()))
        .layer(Cost::new(prices).ledger(ledger.clone()))
        .layer(Cache::new().max_size(1 << 20));
    let doors = [stack.over(balanced), stack.over(in_order)];
    let ends = Ends::default();
    stream::iter(0..calls)
        .for_each_concurrent(AT_ONCE, |number| call(&doors[number % 3 % 2], number, &ends))
        .await;

    assert_eq!(ledger.entries().len(), calls, "one entry a call");
    for Limits { rate, few, .. } in &targets {
        assert_eq!((few.in_flight(), few.waiting(), rate.waiting()), (0, 0, 0));
    }
    for sim in &sims {
        assert!(sim.wait_idle(LONG).await, "an answer is still being written");
    }
    drop((doors, targets, stack, http));
    until("the connections are closed", || sims.iter().all(|sim| sim.open_connections() == 0)).await;
    ends
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_calls_over_services_that_fail_end_once_each_and_leave_nothing_behind() {
    // What is made once and kept, such as buffers of threads, is made before anything is compared.
    run(500, 3).await;
    until("the first services are gone", || tasks() == 0).await;
    let (memory, before) = (live_bytes(), tasks());

    let Ends { whole, failed, broken_off } = run(CALLS, 7).await;

    let (whole, failed, broken_off) = (whole.into_inner(), failed.into_inner(), broken_off.into_inner());
    assert_eq!(whole + failed + broken_off, CALLS);
    assert!(whole > CALLS * 8 / 10, "{whole} whole, {failed} failed, {broken_off} broken off");
    until("no task is left", || tasks() <= before).await;
    until("memory comes back", || live_bytes() < memory + (4 << 20)).await;
}
