use std::sync::atomic::{AtomicI32, Ordering};

use futures_util::StreamExt;
use modelswitch_provider::mock::{MockProvider, events, reply};
use modelswitch_provider::{Body, Endpoint, Error, ErrorKind, Payload, TimeLeft};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::*;
use crate::{Breaker, Layer, Retry, Stack, layer_fn};

const SECOND: Duration = Duration::from_secs(1);

fn question() -> Request {
    Request::chat(&json!({ "model": "smart", "messages": [], "stream": true })).unwrap()
}

fn fails(kind: ErrorKind) -> Target {
    Target::new(MockProvider::error(Error::new(kind, "it failed").with_attempts(1))).model("a")
}

fn answers() -> Target {
    Target::new(MockProvider::answering(|request| {
        Ok(reply(&request.model().unwrap_or_default(), request.is_stream()))
    }))
    .model("b")
}

/// Answers after so many seconds; counts who is still being asked.
fn slow(name: &'static str, seconds: u32, asked: &Arc<AtomicI32>) -> Target {
    struct Asked(Arc<AtomicI32>);
    impl Drop for Asked {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let asked = asked.clone();
    let wait = layer_fn("wait", move |inner, request| {
        asked.fetch_add(1, Ordering::SeqCst);
        let asked = Asked(asked.clone());
        async move {
            sleep(SECOND * seconds).await;
            let _until_here = asked;
            inner.send(request).await
        }
    });
    Target::new(Stack::new().layer(wait).over(answers().provider)).model(name)
}

async fn text(response: Response) -> String {
    let Body::Events(events) = response.body else { panic!("a stream") };
    let events: Vec<_> = events.collect().await;
    let text = events.into_iter().map(|event| event.unwrap().json::<Value>().unwrap());
    text.map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_next_target_is_asked_for_its_own_model_when_it_may_go_well_there() {
    for kind in ErrorKind::ALL {
        let fallback = Fallback::new("smart", [fails(kind), answers()]);
        match fallback.send(question()).await {
            Ok(response) => {
                let failed = response.head.failures.clone();
                assert!(Error::new(kind, "").may_succeed_elsewhere(), "{kind}");
                assert_eq!((failed.len(), failed[0].kind), (1, kind));
                assert_eq!(
                    (failed[0].provider.as_deref(), failed[0].model.as_deref()),
                    (Some("mock"), Some("a"))
                );
                assert_eq!(text(response).await, "b");
            }
            Err(error) => {
                assert!(!error.may_succeed_elsewhere(), "{kind}");
                assert_eq!((error.kind(), error.model(), error.attempts()), (kind, Some("a"), 1));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn when_all_fail_the_last_says_so_and_the_others_are_told() {
    let fallback = Fallback::new(
        "smart",
        [fails(ErrorKind::Upstream), fails(ErrorKind::RateLimited), fails(ErrorKind::Overloaded)],
    );
    let error = fallback.send(question()).await.unwrap_err();
    let failed: Vec<_> = error.failures().iter().map(|failed| failed.kind).collect();
    assert_eq!(
        (error.kind(), failed),
        (ErrorKind::Overloaded, vec![ErrorKind::Upstream, ErrorKind::RateLimited])
    );
    assert_eq!(error.attempts(), 3);
    assert_eq!(Fallback::new("none", []).send(question()).await.unwrap_err().kind(), ErrorKind::Config);
}

#[tokio::test(start_paused = true)]
async fn a_stream_goes_elsewhere_before_its_first_content_and_never_after() {
    let chunk = |text: &str| Ok(json!({ "choices": [{ "index": 0, "delta": { "content": text } }] }));
    for (opening, is_elsewhere) in [("", true), ("It", false)] {
        let cut =
            MockProvider::answering(move |_| Ok(events([chunk(opening), Err(Error::interrupted("cut"))])));
        let fallback = Fallback::new("smart", [Target::new(cut), answers()]);
        let response = fallback.send(question()).await.unwrap();
        assert_eq!(response.head.failures.len(), usize::from(is_elsewhere));
        let Body::Events(events) = response.body else { panic!("a stream") };
        let last = events.collect::<Vec<_>>().await.pop().unwrap();
        assert_eq!(last.is_ok(), is_elsewhere);
    }
}

#[tokio::test(start_paused = true)]
async fn each_target_has_its_own_retries_and_all_tries_are_told_in_order() {
    let busy = Retry::new().attempts(3).wrap(fails(ErrorKind::Overloaded).provider);
    let fallback = Fallback::new("smart", [Target::new(busy), answers()]);
    let head = fallback.send(question()).await.unwrap().head;
    assert_eq!((head.failures.len(), head.attempts()), (3, 4));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_question_is_the_first_targets_alone() {
    let upload = Request::new(Endpoint::new("POST".parse().unwrap(), "/files").unwrap(), Payload::Empty);
    for request in [Request::models(), upload] {
        let fallback = Fallback::new("smart", [fails(ErrorKind::Overloaded), answers()]);
        assert_eq!(fallback.send(request).await.unwrap_err().kind(), ErrorKind::Overloaded);
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_target_has_what_time_is_left_and_none_is_asked_without_any() {
    let asked = Arc::default();
    let late = Stack::new()
        .layer(layer_fn("late", |_, _| async {
            sleep(3 * SECOND).await;
            Err(Error::new(ErrorKind::Timeout, "late"))
        }))
        .over(MockProvider::reply(""));
    let seen = layer_fn("seen", |inner, request| async move {
        assert_eq!(TimeLeft::of(&request), Some(2 * SECOND));
        inner.send(request).await
    });
    let second = Target::new(Stack::new().layer(seen).over(slow("b", 0, &asked).provider)).model("b");
    let fallback = Fallback::new("smart", [Target::new(late), second]);
    let mut request = question();
    TimeLeft::limit(&mut request, 5 * SECOND);
    assert_eq!(text(fallback.send(request).await.unwrap()).await, "b");
    let mut request = question();
    TimeLeft::limit(&mut request, 3 * SECOND);
    assert_eq!(fallback.send(request).await.unwrap_err().kind(), ErrorKind::Timeout);
}

#[tokio::test(start_paused = true)]
async fn a_hedge_takes_whoever_is_first_and_cancels_the_other() {
    for (first, second, winner, took) in [(10, 1, "b", 3), (3, 9, "a", 3), (1, 1, "a", 1)] {
        let asked = Arc::new(AtomicI32::new(0));
        let targets = [slow("a", first, &asked), slow("b", second, &asked)];
        let fallback = Fallback::new("smart", targets).hedge_after(2 * SECOND);
        let started = Instant::now();
        let response = fallback.send(question()).await.unwrap();
        assert_eq!((started.elapsed().as_secs(), asked.load(Ordering::SeqCst)), (took, 0));
        assert_eq!(text(response).await, winner);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hedged_call_whose_first_target_fails_waits_for_the_second() {
    let asked = Arc::new(AtomicI32::new(0));
    let breaks = Stack::new()
        .layer(layer_fn("breaks", |_, _| async {
            sleep(3 * SECOND).await;
            Err(Error::new(ErrorKind::Upstream, "it broke"))
        }))
        .over(MockProvider::reply(""));
    let fallback =
        Fallback::new("smart", [Target::new(breaks), slow("b", 4, &asked)]).hedge_after(2 * SECOND);
    let response = fallback.send(question()).await.unwrap();
    assert_eq!(response.head.failures.len(), 1);
    assert_eq!(text(response).await, "b");
}

/// Fails so after so many seconds.
fn fails_late(error: Error, seconds: u32) -> Target {
    let late = layer_fn("late", move |_, _| {
        let error = error.clone();
        async move {
            sleep(SECOND * seconds).await;
            Err(error)
        }
    });
    Target::new(Stack::new().layer(late).over(MockProvider::reply("")))
}

/// What holds for all targets, each with its kind.
fn last_words() -> [Error; 2] {
    let budget = Error::new(ErrorKind::Rejected, "the budget is used up").into_last_word();
    [Error::invalid_request("not so").with_status(http::StatusCode::BAD_REQUEST), budget]
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_is_refused_leaves_the_first_target_its_call() {
    for refusal in last_words() {
        let asked = Arc::new(AtomicI32::new(0));
        let targets = [slow("a", 3, &asked), fails_late(refusal.clone(), 0), slow("c", 0, &asked)];
        let fallback = Fallback::new("smart", targets).hedge_after(SECOND);
        let response = fallback.send(question()).await.unwrap();
        let failed: Vec<_> = response.head.failures.iter().map(|failed| failed.kind).collect();
        assert_eq!(failed, [refusal.kind()], "nobody else was asked");
        assert_eq!(text(response).await, "a");
    }
}

#[tokio::test(start_paused = true)]
async fn what_holds_for_all_targets_is_told_when_those_who_still_ran_fail_too() {
    for refusal in last_words() {
        let broke = Error::new(ErrorKind::Upstream, "it broke");
        let targets = [fails_late(broke, 3), fails_late(refusal.clone(), 0), answers()];
        let fallback = Fallback::new("smart", targets).hedge_after(SECOND);
        let started = Instant::now();
        let error = fallback.send(question()).await.unwrap_err();
        assert_eq!((error.message(), started.elapsed().as_secs()), (refusal.message(), 3));
        let failed: Vec<_> = error.failures().iter().map(|failed| failed.kind).collect();
        assert_eq!(failed, [ErrorKind::Upstream]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_fails_at_once_makes_room_for_the_next_at_once() {
    let asked = Arc::new(AtomicI32::new(0));
    let targets = [slow("a", 1000, &asked), fails(ErrorKind::Overloaded), slow("c", 0, &asked)];
    let started = Instant::now();
    let response = Fallback::new("smart", targets).hedge_after(5 * SECOND).send(question()).await.unwrap();
    assert_eq!((text(response).await.as_str(), started.elapsed().as_secs()), ("c", 5));
}

#[tokio::test(start_paused = true)]
async fn those_who_lose_the_race_are_told_with_all_their_tries() {
    let asked = Arc::new(AtomicI32::new(0));
    let number = AtomicI32::new(0);
    let breaks_once = layer_fn("breaks once", move |inner, request| {
        let is_first = number.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if is_first {
                return Err(Error::new(ErrorKind::Overloaded, "busy").with_attempts(1));
            }
            sleep(100 * SECOND).await;
            inner.send(request).await
        }
    });
    let retry = Retry::new().base_delay(Duration::ZERO);
    let first = Stack::new().layer(retry).layer(breaks_once).over(MockProvider::reply(""));
    let fallback = Fallback::new("smart", [Target::new(first).model("a"), slow("b", 1, &asked)]);
    let head = fallback.hedge_after(SECOND).send(question()).await.unwrap().head;
    let told: Vec<_> = head
        .failures
        .iter()
        .map(|failed| (failed.kind, failed.model.as_deref(), failed.duration.as_secs()))
        .collect();
    assert_eq!(told, [(ErrorKind::Overloaded, None, 0), (ErrorKind::Timeout, Some("a"), 2)]);
    assert_eq!(head.attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_time_is_over_tells_of_those_who_still_ran() {
    let asked = Arc::new(AtomicI32::new(0));
    let late = Error::new(ErrorKind::Timeout, "late").with_attempts(1);
    let targets = [slow("a", 50, &asked), fails_late(late, 4)];
    let mut request = question();
    TimeLeft::limit(&mut request, 5 * SECOND);
    let error = Fallback::new("smart", targets).hedge_after(SECOND).send(request).await.unwrap_err();
    assert_eq!((error.attempts(), asked.load(Ordering::SeqCst)), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn when_all_are_full_the_first_room_is_told() {
    let full = |kind, seconds: u64| {
        fails_late(Error::new(kind, "full").with_retry_after(Duration::from_secs(seconds)), 1)
    };
    let (limit, busy) = (ErrorKind::Rejected, ErrorKind::RateLimited);
    for (targets, told) in [
        (vec![full(limit, 5), full(limit, 60)], Some(4)),
        (vec![full(limit, 60), full(busy, 5)], Some(5)),
        (vec![full(busy, 3), full(limit, 9), full(limit, 60)], Some(1)),
        (vec![full(limit, 5), fails(busy)], Some(5)),
        (vec![full(limit, 5), fails(ErrorKind::Upstream)], None),
    ] {
        let error = Fallback::new("smart", targets).send(question()).await.unwrap_err();
        assert_eq!(error.retry_after().map(|wait| wait.as_secs()), told, "{error}");
    }
    let budget = Error::new(limit, "used up").with_retry_after(900 * SECOND).into_last_word();
    let targets = [full(limit, 5), fails_late(budget, 0)];
    let error = Fallback::new("smart", targets).send(question()).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(900 * SECOND), "room at one target is no money");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_rests_is_left_alone_while_another_still_runs() {
    let asked = Arc::new(AtomicI32::new(0));
    let probes = Arc::new(AtomicI32::new(0));
    let breaker = Breaker::new().minimum_calls(1);
    let rests = breaker.wrap(fails(ErrorKind::Upstream).provider);
    rests.send(question()).await.unwrap_err();
    let seen = probes.clone();
    let rests = Stack::new()
        .layer(layer_fn("seen", move |inner, request| {
            seen.fetch_add(1, Ordering::SeqCst);
            async move { inner.send(request).await }
        }))
        .over(rests);
    let fallback = Fallback::new("smart", [slow("a", 9, &asked), Target::new(rests)]).hedge_after(SECOND);
    assert_eq!(text(fallback.send(question()).await.unwrap()).await, "a");
    assert_eq!(probes.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_call_ends_it_everywhere() {
    let asked = Arc::new(AtomicI32::new(0));
    let fallback = Fallback::new("smart", [slow("a", 50, &asked), slow("b", 50, &asked)]).hedge_after(SECOND);
    assert!(tokio::time::timeout(5 * SECOND, fallback.send(question())).await.is_err());
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}
