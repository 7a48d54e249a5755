use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

use futures_util::StreamExt;
use modelswitch_provider::mock::{MockProvider, events, reply};
use modelswitch_provider::{Attempt, Body, Document, Endpoint, ErrorKind, WantsUsage};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::*;
use crate::{MemoryLedger, Money, Stack, layer_fn};

/// A dollar for each token of `flash`; nobody knows what the others cost.
fn prices(_: &str, model: &str, usage: &Usage, _: SystemTime) -> Option<Money> {
    let tokens = usage.prompt_tokens + usage.completion_tokens;
    (model == "flash").then(|| Money::new(Decimal::from(tokens), "USD"))
}

fn question(model: &str, stream: bool) -> Request {
    Request::chat(&json!({ "model": model, "messages": [], "stream": stream })).unwrap()
}

fn over(provider: MockProvider) -> (Arc<dyn Provider>, MemoryLedger) {
    let ledger = MemoryLedger::new();
    let clock = || UNIX_EPOCH + Duration::from_secs(5);
    (Cost::new(prices).ledger(ledger.clone()).clock(clock).wrap(Arc::new(provider)), ledger)
}

/// Two words, why it ended, and the tokens.
fn chunks() -> Vec<Value> {
    let word = |text: &str| json!({ "choices": [{ "index": 0, "delta": { "content": text } }] });
    vec![
        word("a"),
        word("b"),
        json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] }),
        json!({ "choices": [], "usage": { "prompt_tokens": 3, "completion_tokens": 2 } }),
    ]
}

/// Provider, model, alias, cost, outcome and attempts of the one entry.
fn only(ledger: &MemoryLedger) -> String {
    let entries = ledger.entries();
    assert_eq!(entries.len(), 1, "{entries:?}");
    let entry = &entries[0];
    let Entry { provider, model, cost, outcome, attempts, .. } = entry;
    let alias = entry.alias.as_deref().unwrap_or("-");
    format!("{provider}/{model} {alias} {cost} {outcome} {attempts}")
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_has_its_cost_on_the_head_and_in_the_ledger() {
    let (llm, ledger) = over(MockProvider::reply("Yes."));
    let mut request = question("flash", false);
    request.extensions.insert(Tag("t".into()));
    let answer = llm.send(request).await.unwrap();
    assert_eq!(CallCost::of(&answer.head).unwrap().to_string(), "2 USD");
    assert_eq!(only(&ledger), "mock/flash - 2 USD ok 1");
    let entry = ledger.entries().remove(0);
    assert_eq!((entry.tag.as_deref(), entry.time), (Some("t"), UNIX_EPOCH + Duration::from_secs(5)));
    assert_eq!(entry.tokens.map(|tokens| (tokens.input, tokens.output)), Some((1, 1)));
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_asked_for_its_tokens_and_the_app_sees_only_what_it_asked_for() {
    for (options, seen) in [(json!(null), 3), (json!({ "include_usage": true }), 4)] {
        let (llm, ledger) = over(MockProvider::answering(|request| {
            assert!(request.extensions.get::<WantsUsage>().is_some());
            Ok(events(chunks().into_iter().map(Ok)))
        }));
        let body = json!({ "model": "flash", "stream": true, "stream_options": options });
        let answer = llm.send(Request::chat(&body).unwrap()).await.unwrap();
        let cost = answer.head.extensions.get::<CallCost>().unwrap().clone();
        let Body::Events(stream) = answer.body else { panic!("a stream") };
        assert_eq!((cost.get(), ledger.entries().len()), (None, 0));
        assert_eq!(stream.count().await, seen);
        assert_eq!(cost.get().unwrap().to_string(), "5 USD");
        assert_eq!(only(&ledger), "mock/flash - 5 USD ok 1");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_is_said_and_never_zero() {
    let told = |reads: usize, cut: bool| async move {
        let mut all: Vec<Result<Value>> = chunks().into_iter().take(2).map(Ok).collect();
        if cut {
            all.push(Err(Error::interrupted("cut")));
        }
        let (llm, ledger) = over(MockProvider::script([Ok(events(all))]));
        let answer = llm.send(question("flash", true)).await.unwrap();
        let Body::Events(mut stream) = answer.body else { panic!("a stream") };
        for _ in 0..reads {
            stream.next().await;
        }
        drop(stream);
        only(&ledger)
    };
    assert_eq!(told(9, true).await, "mock/flash - unknown: no usage interrupted 1");
    assert_eq!(told(1, true).await, "mock/flash - unknown: no usage cancelled 1");
    assert_eq!(told(9, false).await, "mock/flash - unknown: no usage ok 1");

    let (llm, ledger) = over(MockProvider::reply("Yes."));
    llm.send(question("another", false)).await.unwrap();
    assert_eq!(only(&ledger), "mock/another - unknown: no price ok 1");
}

#[tokio::test(start_paused = true)]
async fn a_failure_costs_nothing_unless_the_service_may_have_worked() {
    for (kind, line) in [
        (ErrorKind::RateLimited, "p/m - free rate_limited 3"),
        (ErrorKind::Timeout, "p/m - unknown: no usage timeout 3"),
    ] {
        let busy = Error::new(kind, "x").with_provider("p").with_model("m").with_attempts(3);
        let (llm, ledger) = over(MockProvider::error(busy));
        llm.send(question("flash", false)).await.unwrap_err();
        assert_eq!(only(&ledger), line);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_is_written_down_too() {
    let ledger = MemoryLedger::new();
    let slow = layer_fn("slow", |inner, request| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        inner.send(request).await
    });
    let llm = Stack::new()
        .layer(Cost::new(prices).ledger(ledger.clone()))
        .layer(slow)
        .over(MockProvider::reply(""));
    let waited = tokio::time::timeout(Duration::from_secs(7), llm.send(question("flash", false))).await;
    assert!(waited.is_err());
    assert_eq!(only(&ledger), "mock/flash - unknown: no usage cancelled 0");
    assert_eq!(ledger.entries()[0].duration, Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn the_target_that_answered_is_priced_and_the_alias_is_remembered() {
    let (llm, ledger) = over(MockProvider::answering(|_| {
        let mut answer = reply("Yes.", false);
        answer.head.provider = Some("second".into());
        answer.head.model = Some("flash".into());
        let failed = Error::new(ErrorKind::Overloaded, "busy");
        answer.head.failures = vec![Attempt::of(&failed, Duration::ZERO)];
        Ok(answer)
    }));
    let mut request = question("fast", false);
    request.extensions.insert(Alias("fast".into()));
    llm.send(request).await.unwrap();
    assert_eq!(only(&ledger), "second/flash fast 2 USD ok 2");
}

#[tokio::test(start_paused = true)]
async fn another_name_of_a_model_is_no_alias() {
    let (llm, ledger) = over(MockProvider::answering(|_| {
        let mut answer = reply("Yes.", false);
        answer.head.model = Some("flash".into());
        Ok(answer)
    }));
    llm.send(question("mock/flash", false)).await.unwrap();
    assert_eq!(only(&ledger), "mock/flash - 2 USD ok 1");
}

#[tokio::test(start_paused = true)]
async fn what_goes_on_in_the_background_is_written_down_without_a_cost() {
    let (llm, ledger) = over(MockProvider::answering(|_| Response::json(&json!({ "status": "queued" }))));
    let body = json!({ "model": "flash", "input": "?", "background": true });
    let document = Document::from_serialize(&body).unwrap();
    llm.send(Request::new(Endpoint::RESPONSES, document)).await.unwrap();
    assert_eq!(only(&ledger), "mock/flash - unknown: no usage ok 1");
}

#[tokio::test(start_paused = true)]
async fn a_try_that_the_service_may_charge_isnt_free_whatever_the_last_one_ends_in() {
    let busy = || Error::new(ErrorKind::Overloaded, "busy");
    let after = |kind| busy().with_failures(vec![Attempt::of(&Error::new(kind, "x"), Duration::ZERO)]);
    for (error, cost) in [
        (after(ErrorKind::Interrupted), "unknown: no usage"),
        (after(ErrorKind::RateLimited), "free"),
        (busy(), "free"),
    ] {
        let (llm, ledger) = over(MockProvider::error(error));
        llm.send(question("flash", false)).await.unwrap_err();
        assert_eq!(ledger.entries()[0].cost.to_string(), cost);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_question_to_a_model_is_no_entry_and_prices_see_the_time_of_the_call() {
    let (llm, ledger) = over(MockProvider::answering(|_| Response::json(&json!({ "data": [] }))));
    llm.send(Request::models()).await.unwrap();
    assert!(ledger.entries().is_empty());

    let asked = Arc::new(Mutex::new(None));
    let seen = asked.clone();
    let prices = move |_: &str, _: &str, _: &Usage, when: SystemTime| {
        *seen.lock().unwrap() = Some(when);
        None
    };
    let at_ten = || UNIX_EPOCH + Duration::from_secs(10);
    let llm = Cost::new(prices).clock(at_ten).wrap(Arc::new(MockProvider::reply("Yes.")));
    llm.send(question("flash", false)).await.unwrap();
    assert_eq!(*asked.lock().unwrap(), Some(at_ten()));
}
