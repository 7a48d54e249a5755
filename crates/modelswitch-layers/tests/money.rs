//! Cost, cache and budget together, in the order in which they belong: each call is counted once, and what was asked before is
//! free.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails loudly")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt;
use modelswitch_layers::{
    Alias, Budget, By, Cache, CallCost, Cost, Counter, Fallback, Ledger, MemoryCounter, MemoryLedger, Money,
    Query, Retry, Scope, Stack, Tag, Target,
};
use modelswitch_provider::mock::{MockProvider, events};
use modelswitch_provider::{Body, Error, ErrorKind, Provider, Request, Usage, WantsUsage};
use rust_decimal::Decimal;
use serde_json::json;

/// A dollar for each token of an answer.
fn prices(_: &str, _: &str, usage: &Usage, _: SystemTime) -> Option<Money> {
    Some(Money::new(usage.completion_tokens, "USD"))
}

fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(12 * 3600)
}

/// Streams two words, and what they took only when it is asked.
fn service(calls: &Arc<AtomicU32>) -> MockProvider {
    let calls = calls.clone();
    MockProvider::answering(move |request| {
        // The first try of three fails on the way.
        if calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(3) {
            return Err(Error::new(ErrorKind::Overloaded, "busy"));
        }
        let is_asked = request.includes_usage() || request.extensions.get::<WantsUsage>().is_some();
        let usage = json!({ "choices": [], "usage": { "prompt_tokens": 1, "completion_tokens": 2 } });
        let word = |text: &str| json!({ "choices": [{ "index": 0, "delta": { "content": text } }] });
        let end = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
        let told = is_asked.then_some(usage);
        let mut answer = events([word("a"), word("b"), end].into_iter().chain(told).map(Ok));
        answer.head.provider = Some("second".into());
        answer.head.model = request.model().map(|model| model.as_ref().into());
        Ok(answer)
    })
}

fn question(text: &str) -> Request {
    let messages = json!([{ "role": "user", "content": text }]);
    let body = json!({ "model": "smart", "messages": messages, "stream": true, "max_tokens": 10 });
    let mut request = Request::chat(&body).unwrap();
    request.extensions.insert(Tag("tenant".into()));
    request.extensions.insert(Alias("smart".into()));
    request
}

#[tokio::test(start_paused = true)]
async fn a_call_is_counted_once_by_all_and_what_was_asked_before_is_free() {
    let (calls, ledger, counter) = (Arc::new(AtomicU32::new(0)), MemoryLedger::new(), MemoryCounter::new());
    let budget =
        Budget::new("b", prices, "USD").day(15).each(Scope::Tag).counter(counter.clone()).clock(noon);
    let target = |provider: MockProvider| {
        Target::new(Stack::new().layer(budget.clone()).layer(Retry::new()).over(provider)).model("m")
    };
    let down = MockProvider::error(Error::new(ErrorKind::Authentication, "no such key"));
    let router = Fallback::new("smart", [target(down), target(service(&calls))]);
    let llm = Stack::new()
        .layer(Cost::new(prices).ledger(Arc::new(ledger.clone()) as Arc<dyn Ledger>).clock(noon))
        .layer(Cache::new())
        .over(router);

    for (text, cost) in [("a", "2 USD"), ("a", "free"), ("b", "2 USD"), ("a", "free")] {
        let answer = llm.send(question(text)).await.unwrap();
        let told = answer.head.extensions.get::<CallCost>().unwrap().clone();
        let Body::Events(stream) = answer.body else { panic!("a stream") };
        assert_eq!(stream.count().await, 3, "the tokens were not asked for");
        assert_eq!(told.get().unwrap().to_string(), cost);
    }
    let sums = ledger.sums(&Query::new().by([By::Provider, By::Model, By::Alias, By::Tag])).await.unwrap();
    let group = ["second", "m", "smart", "tenant"].map(|value| Some(value.to_owned()));
    assert_eq!((sums.len(), &sums[0].group[..]), (1, &group[..]));
    assert_eq!((sums[0].calls, sums[0].tokens.output, sums[0].costs["USD"]), (4, 4, Decimal::from(4)));
    let spent = || counter.sum("b/USD/day/1970-01-01/tenant");
    assert_eq!(spent().await.unwrap(), Decimal::from(4));

    // Two streams that are read at the same time may cost more than is left, and the second isn't begun anywhere.
    let open = llm.send(question("c")).await.unwrap();
    let refused = llm.send(question("d")).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Rejected, Some("budget_exceeded")));
    drop(open);
    assert_eq!(spent().await.unwrap(), Decimal::from(14));
}
