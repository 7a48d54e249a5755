use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

use modelswitch_provider::mock::{MockProvider, events, reply};
use modelswitch_provider::{Body, Document, Endpoint, ProviderExt};
use serde_json::json;

use super::*;
use crate::{Fallback, Money, Retry, Stack, Target};

/// A cent for each token of an answer; nobody knows what `secret` costs, and `yuan` is sold for others.
fn prices(_: &str, model: &str, usage: &Usage, _: SystemTime) -> Option<Money> {
    let money =
        |currency: &str| Money::new(Decimal::new(1, 2) * Decimal::from(usage.completion_tokens), currency);
    match model {
        "secret" => None,
        "yuan" => Some(money("CNY")),
        _ => Some(money("USD")),
    }
}

/// At one in the morning.
fn budget() -> Budget {
    Budget::new("test", prices, "USD").clock(|| UNIX_EPOCH + Duration::from_secs(3600))
}

fn question(model: &str, most: u64) -> Request {
    Request::chat(&json!({ "model": model, "messages": [], "max_tokens": most })).unwrap()
}

fn tagged(tag: &str, most: u64) -> Request {
    let mut request = question("m", most);
    request.extensions.insert(Tag(tag.into()));
    request
}

#[tokio::test]
async fn a_call_that_may_not_fit_is_refused_with_what_was_spent_and_when_there_is_money_again() {
    let counter = MemoryCounter::new();
    let llm = budget().day(1).month(50).counter(counter.clone()).wrap(Arc::new(MockProvider::reply("Yes.")));
    llm.send(question("m", 100)).await.unwrap();
    assert_eq!(counter.sum("test/USD/day/1970-01-01/").await.unwrap(), Decimal::new(1, 2));
    assert_eq!(counter.sum("test/USD/month/1970-01/").await.unwrap(), Decimal::new(1, 2));

    let error = llm.send(question("m", 100)).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Rejected, Some("budget_exceeded")));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(23 * 3600)));
    assert_eq!(
        error.to_string(),
        "mock: the budget `test` has 1 USD for this day, of which 0.01 are spent or reserved, and this call may cost 1; \
         the next day begins at 1970-01-02T00:00:00Z"
    );
    assert!(!error.is_retryable() && !error.may_succeed_elsewhere());
    assert_eq!(error.http_status().as_u16(), 402);
    llm.send(question("m", 99)).await.unwrap();

    let too_dear = llm.send(question("m", 101)).await.unwrap_err();
    assert_eq!(too_dear.retry_after(), None);
}

#[tokio::test]
async fn each_has_sums_of_its_own() {
    let wrap =
        |scope| budget().day(1).each(scope).wrap(Arc::new(MockProvider::error(Error::interrupted("x"))));
    let spends = async |llm: &Arc<dyn Provider>, request: Request| {
        llm.send(request).await.unwrap_err().kind() == ErrorKind::Interrupted
    };
    let (all, tag, target) = (wrap(Scope::All), wrap(Scope::Tag), wrap(Scope::Target));
    assert!(spends(&all, tagged("a", 100)).await && !spends(&all, tagged("b", 100)).await);
    assert!(spends(&tag, tagged("a", 100)).await && spends(&tag, tagged("b", 100)).await);
    assert!(!spends(&tag, tagged("a", 100)).await && spends(&tag, question("m", 100)).await);
    assert!(spends(&target, question("m", 100)).await && spends(&target, question("n", 100)).await);
    assert!(target.send(question("n", 100)).await.unwrap_err().may_succeed_elsewhere());

    let alias = wrap(Scope::Alias);
    let mut fast = question("m", 100);
    fast.extensions.insert(Alias("fast".into()));
    assert!(spends(&alias, fast.clone()).await && spends(&alias, question("m", 100)).await);
    assert!(!spends(&alias, fast).await);
}

#[tokio::test]
async fn one_providers_budget_leaves_the_call_to_the_next_target_and_the_budget_of_all_has_the_last_word() {
    let spent = |budget: Budget| Target::new(budget.day(1).wrap(Arc::new(MockProvider::reply("first"))));
    let router = |first: Target| Fallback::new("f", [first, Target::new(MockProvider::reply("second"))]);
    let own = router(spent(budget().let_others_answer())).send(question("m", 101)).await.unwrap();
    assert_eq!(own.head.failures[0].kind, ErrorKind::Rejected);
    let of_all = router(spent(budget())).send(question("m", 101)).await.unwrap_err();
    assert_eq!(of_all.code(), Some("budget_exceeded"));
}

#[tokio::test]
async fn what_goes_on_in_the_background_is_held_and_charged_by_its_estimate() {
    let counter = MemoryCounter::new();
    let queued = MockProvider::answering(|_| Response::json(&json!({ "status": "queued", "usage": null })));
    let llm = budget().day(1).counter(counter.clone()).wrap(Arc::new(queued));
    let ask = || {
        let body = json!({ "model": "m", "input": "?", "background": true, "max_output_tokens": 60 });
        Request::new(Endpoint::RESPONSES, Document::from_serialize(&body).unwrap())
    };
    llm.send(ask()).await.unwrap();
    assert_eq!(counter.sum("test/USD/day/1970-01-01/").await.unwrap(), Decimal::new(60, 2));
    assert_eq!(llm.send(ask()).await.unwrap_err().code(), Some("budget_exceeded"));
}

#[tokio::test(start_paused = true)]
async fn a_try_that_the_service_may_charge_is_charged_whatever_the_last_one_ends_in() {
    for (first, charged) in [(ErrorKind::Interrupted, 50), (ErrorKind::Overloaded, 0)] {
        let counter = MemoryCounter::new();
        let failing = MockProvider::script([
            Err(Error::new(first, "x").with_attempts(1)),
            Err(Error::new(ErrorKind::Overloaded, "busy").with_attempts(1)),
        ]);
        let llm = Stack::new()
            .layer(budget().day(1).counter(counter.clone()))
            .layer(Retry::new().attempts(2))
            .over(failing);
        assert_eq!(llm.send(question("m", 50)).await.unwrap_err().kind(), ErrorKind::Overloaded);
        let sum = counter.sum("test/USD/day/1970-01-01/").await.unwrap();
        assert_eq!(sum, Decimal::new(charged, 2), "{first}");
    }
}

#[tokio::test]
async fn another_currency_and_another_midnight_have_sums_of_their_own() {
    let counter = MemoryCounter::new();
    let in_yuan = |_: &str, _: &str, usage: &Usage, _: SystemTime| {
        Some(Money::new(Decimal::new(1, 2) * Decimal::from(usage.completion_tokens), "CNY"))
    };
    let spends = |budget: Budget| budget.day(1).counter(counter.clone()).clock(|| UNIX_EPOCH);
    let cut = || Arc::new(MockProvider::error(Error::interrupted("x")));
    let dollars = spends(budget());
    let yuan = spends(Budget::new("test", in_yuan, "CNY"));
    let elsewhere = spends(budget().utc_offset(480));
    for budget in [dollars, yuan, elsewhere] {
        let llm = budget.wrap(cut());
        assert_eq!(llm.send(question("m", 100)).await.unwrap_err().kind(), ErrorKind::Interrupted);
        assert_eq!(llm.send(question("m", 100)).await.unwrap_err().kind(), ErrorKind::Rejected);
    }
    assert_eq!(counter.sum("test/USD+08:00/day/1970-01-01/").await.unwrap(), Decimal::ONE);
}

#[tokio::test]
async fn who_knows_how_a_price_is_given_says_so_in_the_hint() {
    struct List;
    impl Prices for List {
        fn cost(&self, _: &str, _: &str, _: &Usage, _: SystemTime) -> Option<Money> {
            None
        }
        fn how_to_add(&self, provider: &str, model: &str, currency: &str) -> Option<String> {
            Some(format!("write {provider}, {model}, {currency}"))
        }
    }
    let llm = Budget::new("test", List, "USD").day(1).wrap(Arc::new(MockProvider::reply("Yes.")));
    let error = llm.send(question("m", 1)).await.unwrap_err();
    assert!(error.hint().contains("a price: write mock, m, USD") && error.hint().contains("unpriced"));
}

#[tokio::test]
async fn a_new_day_has_new_money() {
    let now = Arc::new(Mutex::new(UNIX_EPOCH));
    let clock = now.clone();
    let llm = budget()
        .day(1)
        .utc_offset(60)
        .clock(move || *clock.lock().unwrap())
        .wrap(Arc::new(MockProvider::error(Error::interrupted("x"))));
    let kind = async || llm.send(question("m", 100)).await.unwrap_err().kind();
    assert_eq!((kind().await, kind().await), (ErrorKind::Interrupted, ErrorKind::Rejected));
    *now.lock().unwrap() += Duration::from_secs(23 * 3600);
    assert_eq!(kind().await, ErrorKind::Interrupted);
}

#[tokio::test]
async fn what_has_no_price_is_refused_unless_it_may_pass() {
    for model in ["secret", "yuan"] {
        let refused = budget().day(1).wrap(Arc::new(MockProvider::reply("Yes.")));
        let error = refused.send(question(model, 1)).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Rejected, Some("budget_unpriced")));
        assert!(error.may_succeed_elsewhere() && error.message().contains(model));

        let passes = budget().day(1).let_unpriced_pass().wrap(Arc::new(MockProvider::reply("Yes.")));
        passes.send(question(model, 1_000_000)).await.unwrap();
    }
}

#[tokio::test]
async fn a_key_in_place_of_a_model_is_not_repeated() {
    let llm = Budget::new("test", |_: &str, _: &str, _: &Usage, _: SystemTime| None, "USD")
        .day(1)
        .wrap(Arc::new(MockProvider::reply("Yes.")));
    let error = llm.send(question("sk-0123456789abcdef0123", 1)).await.unwrap_err();
    assert!(!error.report().contains("0123456789abcdef"), "{}", error.report());
}

#[tokio::test(start_paused = true)]
async fn a_call_is_charged_once_however_often_it_is_tried_and_wherever_it_ends() {
    let counter = MemoryCounter::new();
    let shared = || budget().day(10).counter(counter.clone());
    let flaky = MockProvider::script([
        Err(Error::new(ErrorKind::Overloaded, "busy")),
        Err(Error::interrupted("cut")),
        Ok(reply("Yes.", false)),
    ]);
    let down = MockProvider::error(Error::new(ErrorKind::Upstream, "down"));
    let llm = Fallback::new(
        "both",
        [
            Target::new(Stack::new().layer(shared()).layer(Retry::new()).over(down)),
            Target::new(Stack::new().layer(shared()).layer(Retry::new()).over(flaky)),
        ],
    );
    llm.send(question("m", 500)).await.unwrap();
    assert_eq!(counter.sum("test/USD/day/1970-01-01/").await.unwrap(), Decimal::new(1, 2));
}

#[tokio::test]
async fn a_stream_is_charged_by_the_tokens_that_it_is_asked_for_and_the_app_does_not_see_them() {
    let counter = MemoryCounter::new();
    let llm = budget().day(100).counter(counter.clone()).wrap(Arc::new(MockProvider::answering(|_| {
        Ok(events([
            Ok(json!({ "choices": [{ "index": 0, "delta": { "content": "Yes." }, "finish_reason": "stop" }] })),
            Ok(json!({ "choices": [], "usage": { "prompt_tokens": 1, "completion_tokens": 7 } })),
        ]))
    })));
    let streamed = llm.chat_stream("?").await.unwrap().completion().await.unwrap();
    assert_eq!((streamed.text().as_str(), streamed.usage), ("Yes.", None));
    assert_eq!(counter.sum("test/USD/day/1970-01-01/").await.unwrap(), Decimal::new(7, 2));
}

#[tokio::test]
async fn an_answer_from_a_cache_and_what_is_no_question_cost_nothing() {
    let counter = MemoryCounter::new();
    let llm = budget().day(10).counter(counter.clone()).wrap(Arc::new(MockProvider::answering(|_| {
        let mut answer = reply("Yes.", false);
        answer.head.extensions.insert(CacheStatus::Hit { age: Duration::ZERO });
        Ok(answer)
    })));
    llm.send(question("m", 5)).await.unwrap();
    llm.send(Request::models()).await.unwrap();
    assert_eq!(counter.sum("test/USD/day/1970-01-01/").await.unwrap(), Decimal::ZERO);
}

/// A store that is gone.
#[derive(Debug)]
struct Gone;

#[async_trait]
impl Counter for Gone {
    async fn take(&self, _: SystemTime, _: Decimal, _: &[Allowance]) -> Result<Taken> {
        Err(Error::new(ErrorKind::Upstream, "gone"))
    }
    fn correct(&self, _: Decimal, _: &[Allowance]) {}
    async fn sum(&self, _: &str) -> Result<Decimal> {
        Err(Error::new(ErrorKind::Upstream, "gone"))
    }
}

#[tokio::test]
async fn a_counter_that_is_gone_fails_no_call() {
    let llm = budget().day(1).counter(Gone).wrap(Arc::new(MockProvider::reply("Yes.")));
    let answer = llm.send(question("m", 1_000_000)).await.unwrap();
    assert!(matches!(answer.body, Body::Json(_)));
}
