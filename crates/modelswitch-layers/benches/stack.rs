//! What layers cost: each alone and the whole canonical stack, beside none of them in the same run.
//! `cargo bench -p modelswitch-layers`.
//!
//! The provider answers at once and from memory, so `none` is what the bench itself costs, and the rest of each line is the
//! layer. `call` is one whole answer; `stream` one of a thousand chunks, so its time in µs over that of `none` is
//! the price of a chunk in ns. Nobody listens to spans and lines, and there is no recorder of metrics.
//!
//! On a virtual machine with two cores, medians, in November 2026, `none` taken off (before: of busy ones, fastest of three runs):
//!
//! | | before layers followed streams | since | instructions, before and since |
//! |---|---|---|---|
//! | `whole`, a call | 10.5 µs | 4.9 µs | 144 000, 69 000 |
//! | `whole and Metrics`, a call | 12.6 µs | 6.4 µs | 178 000, 91 000 |
//! | `whole`, a chunk | 384 ns | 101 ns | 4450, 1380 |
//! | `whole and Metrics`, a chunk | 543 ns | 104 ns | 7780, 1500 |
//!
//! Instructions are callgrind's, which knows no instructions for SHA-256: 20 000 of each call are
//! its hash, which takes the processor a third of a microsecond.
//!
//! Where a call's time goes now: a quarter to the allocator (some seventy blocks a call, of which a dozen are the futures of the
//! layers and a dozen the typed values of request and head), a tenth each to moving requests and answers, to the cache's own
//! storage (`moka`), to the hash of the question and its reading, a twentieth to the clock, which is asked some fifteen times.
//! Where a chunk's goes: a quarter to `Timeout` and its clock, a third to two searches of the text, for tokens and for reasons,
//! a fifth to the copy that `Cache` keeps.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench that can't run has nothing to say")]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use futures_util::{StreamExt, stream};
use modelswitch_layers::{
    Breaker, Budget, Cache, Concurrency, Cost, Fallback, Layer, Log, MemoryLedger, Metrics, Money, Observe,
    Prices, RateLimit, ReasoningOrigin, Retry, Stack, Target, Timeout, Trace,
};
use modelswitch_provider::{Body, Event, EventStream, Head, Provider, Request, Response, Result, Usage};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

fn main() {
    divan::main();
}

const CHUNKS: usize = 1000;
const LONG: Duration = Duration::from_secs(600);

/// Answers at once.
#[derive(Debug)]
struct Instant {
    head: Head,
    whole: Bytes,
    events: Arc<[Event]>,
}

impl Instant {
    fn new() -> Self {
        let usage = json!({ "prompt_tokens": 12, "completion_tokens": 90, "total_tokens": 102 });
        let whole = json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "usage": usage,
            "choices": [{ "index": 0, "finish_reason": "stop",
                "message": { "role": "assistant", "content": "9.8 is larger. ".repeat(30) } }],
        });
        let mut head = Head::default();
        head.provider = Some("instant".into());
        head.model = Some("m".into());
        let chunk = |delta: serde_json::Value, end: Option<&str>| {
            let choices = json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": end }]);
            let chunk = json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
                "system_fingerprint": "fp_1", "choices": choices, "usage": null });
            Event::new(chunk.to_string())
        };
        let words = (2..CHUNKS).map(|_| chunk(json!({ "content": " word" }), None));
        let last = json!({ "id": "chatcmpl-1", "choices": [], "usage": usage }).to_string();
        let events = words.chain([chunk(json!({}), Some("stop")), Event::new(last)]).collect();
        Self { head, whole: whole.to_string().into(), events }
    }
}

#[async_trait]
impl Provider for Instant {
    fn name(&self) -> &'static str {
        "instant"
    }
    async fn send(&self, request: Request) -> Result<Response> {
        let head = self.head.clone();
        if !request.is_stream() {
            return Ok(Response { head, body: Body::Json(self.whole.clone()) });
        }
        let events = self.events.clone();
        let next = (0..events.len()).map(move |number| Ok(events[number].clone()));
        Ok(Response { head, body: Body::Events(EventStream::new(stream::iter(next))) })
    }
}

/// What stands over the provider.
#[derive(Clone, Copy)]
enum Over {
    None,
    Observe,
    Metrics,
    Cost,
    Cache,
    Fallback,
    ReasoningOrigin,
    Budget,
    RateLimit,
    Concurrency,
    Breaker,
    Retry,
    Timeout,
    Whole,
    WholeAndMetrics,
}

const ALL: [Over; 15] = [
    Over::None,
    Over::Observe,
    Over::Metrics,
    Over::Cost,
    Over::Cache,
    Over::Fallback,
    Over::ReasoningOrigin,
    Over::Budget,
    Over::RateLimit,
    Over::Concurrency,
    Over::Breaker,
    Over::Retry,
    Over::Timeout,
    Over::Whole,
    Over::WholeAndMetrics,
];

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Observe => "Trace and Log",
            Self::Metrics => "Metrics",
            Self::Cost => "Cost",
            Self::Cache => "Cache, missed",
            Self::Fallback => "Fallback",
            Self::ReasoningOrigin => "ReasoningOrigin",
            Self::Budget => "Budget",
            Self::RateLimit => "RateLimit",
            Self::Concurrency => "Concurrency",
            Self::Breaker => "Breaker",
            Self::Retry => "Retry",
            Self::Timeout => "Timeout",
            Self::Whole => "whole",
            Self::WholeAndMetrics => "whole and Metrics",
        })
    }
}

fn prices() -> impl Prices {
    // A price list knows its currency, and doesn't write it anew for each call.
    let currency: Arc<str> = "USD".into();
    move |_: &str, _: &str, usage: &Usage, _: SystemTime| {
        Some(Money::new(usage.prompt_tokens + usage.completion_tokens, currency.clone()))
    }
}

fn told() -> Observe {
    Observe::new().trace(Trace::new()).log(Log::new())
}

fn over(what: Over, provider: Arc<dyn Provider>) -> Arc<dyn Provider> {
    let budget = || Budget::new("budget", prices(), "USD").day(u64::MAX);
    let rate = || RateLimit::new().requests(u64::MAX / 4).tokens(u64::MAX / 4);
    let timeout = || Timeout::new().first_byte(LONG).idle(LONG).total(LONG);
    let layer: Box<dyn Layer> = match what {
        Over::None => return provider,
        Over::Fallback => return Arc::new(Fallback::new("smart", [Target::new(provider).model("m")])),
        Over::Observe => Box::new(told()),
        Over::Metrics => Box::new(Metrics::new()),
        Over::Cost => Box::new(Cost::new(prices()).ledger(MemoryLedger::new())),
        Over::Cache => Box::new(Cache::new()),
        Over::ReasoningOrigin => Box::new(ReasoningOrigin::default()),
        Over::Budget => Box::new(budget()),
        Over::RateLimit => Box::new(rate()),
        Over::Concurrency => Box::new(Concurrency::new(100)),
        Over::Breaker => Box::new(Breaker::new()),
        Over::Retry => Box::new(Retry::new()),
        Over::Timeout => Box::new(timeout()),
        Over::Whole | Over::WholeAndMetrics => {
            let target = Stack::new()
                .layer(budget())
                .layer(ReasoningOrigin::default())
                .layer(rate())
                .layer(Concurrency::new(100))
                .layer(Breaker::new())
                .layer(Retry::new())
                .layer(timeout())
                .over(provider);
            let router = Fallback::new("smart", [Target::new(target).model("m")]);
            let metrics = matches!(what, Over::WholeAndMetrics).then(Metrics::new);
            return Stack::new()
                .layer(told().metrics(metrics))
                .layer(Cost::new(prices()).ledger(MemoryLedger::new()))
                .layer(Cache::new())
                .over(router);
        }
    };
    layer.wrap(provider)
}

/// Never the same question twice, or the cache would answer.
fn question(streamed: bool) -> Request {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let number = ASKED.fetch_add(1, Ordering::Relaxed);
    let content = format!("Which is larger, 9.11 or {number}? {}", "Think well. ".repeat(20));
    let body =
        json!({ "model": "smart", "messages": [{ "role": "user", "content": content }], "stream": streamed });
    Request::chat(&body).unwrap()
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

async fn read(llm: &dyn Provider, request: Request) -> usize {
    match llm.send(request).await.unwrap().body {
        Body::Json(json) => json.len(),
        Body::Events(mut events) => {
            let mut bytes = 0;
            while let Some(event) = events.next().await {
                bytes += event.unwrap().data.len();
            }
            bytes
        }
        _ => 0,
    }
}

fn measure(bencher: Bencher<'_, '_>, what: Over, streamed: bool) {
    let (runtime, llm) = (runtime(), over(what, Arc::new(Instant::new())));
    bencher
        .counter(ItemsCount::new(if streamed { CHUNKS } else { 1 }))
        .with_inputs(|| question(streamed))
        .bench_values(|request| runtime.block_on(read(&*llm, request)));
}

#[divan::bench(args = ALL, sample_count = 200, sample_size = 50)]
fn call(bencher: Bencher<'_, '_>, what: Over) {
    measure(bencher, what, false);
}

#[divan::bench(args = ALL, sample_count = 100, sample_size = 2)]
fn stream_of_1000(bencher: Bencher<'_, '_>, what: Over) {
    measure(bencher, what, true);
}
