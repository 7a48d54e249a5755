use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use modelswitch_provider::mock::{MockProvider, events, reply};
use modelswitch_provider::{Body, Document, Endpoint, EventStream, Payload, ProviderExt};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{Stack, layer_fn};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn fails(kind: ErrorKind) -> Result<Response> {
    Err(Error::new(kind, "it failed").with_attempts(1))
}

fn asks_to_wait(wait: Duration) -> Result<Response> {
    fails(ErrorKind::RateLimited).map_err(|error| error.with_retry_after(wait))
}

fn yes() -> Result<Response> {
    Ok(reply("Yes.", false))
}

fn question(stream: bool) -> Request {
    Request::chat(&json!({ "model": "m", "messages": [], "stream": stream })).unwrap()
}

/// A provider that gives these answers and counts how often it was asked.
fn script(answers: impl IntoIterator<Item = Result<Response>>) -> (Arc<dyn Provider>, Arc<AtomicU32>) {
    counting(MockProvider::script(answers))
}

/// A provider that always fails like this and counts how often it was asked.
fn always(error: Error) -> (Arc<dyn Provider>, Arc<AtomicU32>) {
    counting(MockProvider::error(error))
}

fn counting(provider: impl Provider) -> (Arc<dyn Provider>, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let counter = asked.clone();
    let count = layer_fn("count", move |inner, request| {
        counter.fetch_add(1, Ordering::SeqCst);
        async move { inner.send(request).await }
    });
    (Stack::new().layer(count).over(provider), asked)
}

fn retry(attempts: u32, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
    Retry::new().attempts(attempts).seed(7).wrap(inner)
}

fn times(asked: &AtomicU32) -> u32 {
    asked.load(Ordering::SeqCst)
}

fn chunk(content: &str) -> Result<Value> {
    Ok(json!({ "choices": [{ "index": 0, "delta": { "role": "assistant", "content": content } }] }))
}

fn cut<T>() -> Result<T> {
    Err(Error::interrupted("the stream was cut"))
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_retried_only_before_its_first_event() {
    for (opening, tries) in [("", 2), ("It", 1)] {
        let (inner, asked) = script([Ok(events([chunk(opening), cut()])), Ok(reply("It rains.", true))]);
        let response = retry(4, inner).send(question(true)).await.unwrap();
        assert_eq!((times(&asked), response.head.attempts()), (tries, tries), "{opening:?}");
        let Body::Events(events) = response.body else { panic!("a stream stays a stream") };
        let last = events.collect::<Vec<_>>().await.pop().unwrap();
        assert_eq!(last.is_err(), tries == 1, "what fails after it was handed on fails for the caller");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_failed_early_says_whose_it_was() {
    let (inner, _) = script([Ok(events([cut()])), Ok(events([chunk(""), cut()]))]);
    let error = retry(2, inner).send(question(true)).await.unwrap_err();
    assert_eq!(error.provider(), Some("mock"));
    assert_eq!(error.failures()[0].provider.as_deref(), Some("mock"));
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Interrupted, 2));
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_is_waited_out_and_never_cut_short() {
    let (inner, _) = script([asks_to_wait(20 * SECOND), yes()]);
    let started = Instant::now();
    retry(4, inner).send(question(false)).await.unwrap();
    let waited = started.elapsed();
    assert!(waited >= 20 * SECOND && waited <= 20 * SECOND + 501 * MS, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_longer_than_the_cap_is_not_slept() {
    let hour = 3600 * SECOND;
    let (inner, asked) = script([asks_to_wait(hour), yes()]);
    let started = Instant::now();
    let error = retry(4, inner).send(question(false)).await.unwrap_err();
    assert_eq!((times(&asked), started.elapsed()), (1, Duration::ZERO));
    assert_eq!((error.retry_after(), error.attempts()), (Some(hour), 1));
    assert!(error.is_exhausted());
}

#[tokio::test(start_paused = true)]
async fn nested_retries_do_not_multiply() {
    let (inner, asked) = always(fails(ErrorKind::Overloaded).unwrap_err());
    let llm = retry(5, retry(5, retry(3, inner)));
    let error = llm.send(question(false)).await.unwrap_err();
    assert_eq!((times(&asked), error.attempts(), error.failures().len()), (3, 3, 2));

    let (inner, asked) = always(asks_to_wait(3600 * SECOND).unwrap_err());
    retry(5, retry(3, inner)).send(question(false)).await.unwrap_err();
    assert_eq!(times(&asked), 1);
}

#[tokio::test(start_paused = true)]
async fn an_inner_retry_that_may_try_only_once_leaves_it_to_the_outer() {
    let (inner, asked) = always(fails(ErrorKind::Overloaded).unwrap_err());
    let error = retry(3, retry(1, inner)).send(question(false)).await.unwrap_err();
    assert_eq!((times(&asked), error.attempts(), error.failures().len()), (3, 3, 2));
}

#[tokio::test(start_paused = true)]
async fn a_402_is_never_retried() {
    let (inner, asked) = always(Error::new(ErrorKind::InsufficientBalance, "Insufficient Balance"));
    let error = retry(4, inner).send(question(false)).await.unwrap_err();
    assert_eq!((times(&asked), error.is_exhausted()), (1, false));
}

#[tokio::test(start_paused = true)]
async fn each_kind_is_repeated_as_the_table_says() {
    for kind in ErrorKind::ALL {
        let (inner, asked) = always(fails(kind).unwrap_err());
        let error = retry(3, inner).send(question(false)).await.unwrap_err();
        let tries = match kind {
            ErrorKind::Decode | ErrorKind::Timeout => 2,
            _ if Error::new(kind, "").is_retryable() => 3,
            _ => 1,
        };
        assert_eq!((times(&asked), error.attempts()), (tries, tries), "{kind}");
        assert_eq!(error.is_exhausted(), tries > 1, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_undecodable_answer_and_a_timeout_are_retried_once_however_they_come() {
    for kind in [ErrorKind::Decode, ErrorKind::Timeout] {
        let (inner, asked) = script([fails(kind), fails(ErrorKind::Overloaded), fails(kind), yes()]);
        let error = retry(9, inner).send(question(false)).await.unwrap_err();
        assert_eq!((times(&asked), error.attempts(), error.is_exhausted()), (3, 3, true), "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_ends_the_retrying_is_passed_on_with_the_tries_before_it() {
    let (inner, _) = script([fails(ErrorKind::Overloaded), fails(ErrorKind::Authentication)]);
    let error = retry(4, inner).send(question(false)).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Authentication, 2));
    assert_eq!(error.failures()[0].kind, ErrorKind::Overloaded);
    assert!(!error.is_exhausted());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_sent_nothing_is_not_counted_as_a_try() {
    let refused = Error::new(ErrorKind::Rejected, "the breaker is open");
    let (inner, _) = script([fails(ErrorKind::Overloaded), Err(refused)]);
    let error = retry(4, inner).send(question(false)).await.unwrap_err();
    assert_eq!((error.attempts(), error.failures().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_does_not_count_is_counted() {
    let busy = || Err(Error::new(ErrorKind::Overloaded, "too busy"));
    let refused = Error::new(ErrorKind::Authentication, "no such key").with_status("401".parse().unwrap());
    for last in [busy(), Err(refused)] {
        let (inner, _) = script([busy(), busy(), last]);
        let error = retry(3, inner).send(question(false)).await.unwrap_err();
        assert_eq!((error.attempts(), error.failures().len()), (3, 2), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn failed_tries_are_on_the_answer_with_their_own_durations() {
    let (inner, _) = script([fails(ErrorKind::Overloaded), asks_to_wait(30 * SECOND), yes()]);
    let slow = layer_fn("slow", |inner, request| async move {
        sleep(2 * SECOND).await;
        inner.send(request).await
    });
    let llm = Stack::new().layer(Retry::new()).layer(slow).over(inner);
    let head = llm.chat("Is water wet?").await.unwrap().head;
    assert_eq!(head.attempts(), 3);
    let told: Vec<_> = head.failures.iter().map(|failed| (failed.kind, failed.duration.as_secs())).collect();
    assert_eq!(told, [(ErrorKind::Overloaded, 2), (ErrorKind::RateLimited, 2)]);
}

/// A fallback inside a retry, seen from outside: each of its answers and errors stands for two tries.
#[tokio::test(start_paused = true)]
async fn the_tries_of_inner_layers_keep_their_place_and_their_time() {
    let earlier = |kind| vec![Attempt::of(&Error::new(kind, "x"), 3 * SECOND)];
    let with_earlier = |kind, mut response: Response| {
        response.head.failures = earlier(kind);
        response
    };
    let (inner, _) = script([
        fails(ErrorKind::Overloaded).map_err(|error| error.with_failures(earlier(ErrorKind::Timeout))),
        Ok(with_earlier(ErrorKind::Connection, events([chunk(""), cut()]))),
        Ok(with_earlier(ErrorKind::Upstream, reply("Yes.", true))),
    ]);
    let slow = layer_fn("slow", |inner, request| async move {
        sleep(10 * SECOND).await;
        inner.send(request).await
    });
    let llm = Stack::new().layer(Retry::new()).layer(slow).over(inner);
    let head = llm.send(question(true)).await.unwrap().head;
    let told: Vec<_> = head.failures.iter().map(|failed| (failed.kind, failed.duration.as_secs())).collect();
    assert_eq!(
        told,
        [
            (ErrorKind::Timeout, 3),
            (ErrorKind::Overloaded, 7),
            (ErrorKind::Connection, 3),
            (ErrorKind::Interrupted, 7),
            (ErrorKind::Upstream, 3),
        ]
    );
    assert_eq!(head.attempts(), 6);
}

#[tokio::test(start_paused = true)]
async fn what_makes_something_is_repeated_only_when_it_was_refused() {
    let upload = || {
        let content_type = "multipart/form-data; boundary=x".parse().unwrap();
        let payload = Payload::Raw { content_type, bytes: "…".into() };
        Request::new(Endpoint::new("POST".parse().unwrap(), "/files").unwrap(), payload)
    };
    for (kind, tries) in [
        (ErrorKind::RateLimited, 3),
        (ErrorKind::Overloaded, 3),
        (ErrorKind::Timeout, 1),
        (ErrorKind::Connection, 1),
        (ErrorKind::Upstream, 1),
        (ErrorKind::Decode, 1),
    ] {
        let (inner, asked) = always(fails(kind).unwrap_err());
        let error = retry(3, inner).send(upload()).await.unwrap_err();
        assert_eq!((times(&asked), error.is_exhausted()), (tries, tries > 1), "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_in_the_background_stays_and_one_that_is_waited_for_does_not() {
    let ask = |path, background: Value| {
        let body = json!({ "model": "m", "input": "?", "background": background });
        let endpoint = Endpoint::new("POST".parse().unwrap(), path).unwrap();
        Request::new(endpoint, Document::from_serialize(&body).unwrap())
    };
    for (request, tries) in [
        (ask("/responses", json!(true)), 1),
        (ask("/responses", json!(false)), 3),
        (ask("/responses", json!(null)), 3),
        (ask("/chat/completions", json!(true)), 3),
    ] {
        let (inner, asked) = always(fails(ErrorKind::Connection).unwrap_err());
        retry(3, inner).send(request).await.unwrap_err();
        assert_eq!(times(&asked), tries);
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_the_call_stops_the_waiting() {
    let (inner, asked) = always(asks_to_wait(10 * SECOND).unwrap_err());
    let llm = retry(4, inner);
    assert!(tokio::time::timeout(SECOND, llm.send(question(false))).await.is_err());
    sleep(600 * SECOND).await;
    assert_eq!(times(&asked), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_hangs_before_its_first_event_can_be_dropped() {
    let hanging = Body::Events(EventStream::new(stream::pending()));
    let (inner, asked) = script([Ok(Response::new(hanging)), Ok(reply("Yes.", true))]);
    let llm = retry(4, inner);
    assert!(tokio::time::timeout(SECOND, llm.send(question(true))).await.is_err());
    assert_eq!(times(&asked), 1);
}

#[tokio::test(start_paused = true)]
async fn many_calls_through_one_layer_wait_beside_each_other() {
    // Each caller's first try fails; the tries of all callers are mixed as they come.
    let seen = Mutex::new(HashSet::new());
    let inner = MockProvider::answering(move |request| {
        let caller = request.document().unwrap().get_raw("user").unwrap().to_owned();
        if seen.lock().unwrap().insert(caller) { fails(ErrorKind::Overloaded) } else { yes() }
    });
    let (inner, asked) = counting(inner);
    let llm = retry(2, inner);
    let started = Instant::now();
    let calls = (0..500).map(|caller| {
        llm.send(Request::chat(&json!({ "model": "m", "messages": [], "user": caller })).unwrap())
    });
    let answers = join_all(calls).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.head.attempts() == 2)));
    assert_eq!(times(&asked), 1000);
    assert!(started.elapsed() <= 501 * MS, "nobody waits for another: {:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn calls_that_fail_together_do_not_come_back_together() {
    let (inner, _) = always(asks_to_wait(SECOND).unwrap_err());
    let llm = retry(2, inner);
    let waits = join_all((0..20).map(|_| async {
        let started = Instant::now();
        llm.send(question(false)).await.unwrap_err();
        started.elapsed().as_millis()
    }));
    let distinct: HashSet<_> = waits.await.into_iter().collect();
    assert!(distinct.len() > 10, "{distinct:?}");
}

#[test]
fn the_same_seed_gives_the_same_waits() {
    let waits = |seed| (1..9).map(|tries| Retry::new().seed(seed).jitter(tries)).collect::<Vec<_>>();
    assert_eq!(waits(1), waits(1));
    assert_ne!(waits(1), waits(2));
}

proptest! {
    #[test]
    fn a_wait_lies_between_what_was_asked_and_the_doubled_delay_on_top(
        seed: u64,
        tries in 1u32..200,
        base in 0u64..100_000,
        most in 0u64..100_000,
        asked in proptest::option::of(0u64..60_000),
    ) {
        let retry = Retry::new().attempts(u32::MAX).seed(seed);
        let retry = retry.base_delay(Duration::from_millis(base)).max_delay(Duration::from_millis(most));
        let mut error = fails(ErrorKind::RateLimited).unwrap_err();
        if let Some(asked) = asked {
            error = error.with_retry_after(Duration::from_millis(asked));
        }
        let verdict = retry.judge(&question(false), &error, tries, &[]);
        let Verdict::TryAgain(wait) = verdict else { panic!("{verdict:?}") };
        let floor = Duration::from_millis(asked.unwrap_or(0));
        let doubled = u128::from(base) << (tries - 1).min(64);
        let ceiling = floor + Duration::from_millis(u64::try_from(doubled.min(u128::from(most))).unwrap());
        prop_assert!(wait >= floor && wait <= ceiling, "{wait:?} not in {floor:?}..={ceiling:?}");
    }

    #[test]
    fn no_setting_overflows(seed: u64, tries: u32, base: u64, most: u64) {
        let retry = Retry::new().seed(seed).base_delay(Duration::from_secs(base)).max_delay(Duration::from_secs(most));
        prop_assert!(retry.jitter(tries) <= Duration::from_secs(most));
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_shortened_by_what_was_spent_and_no_try_begins_after_it() {
    let lefts = Arc::new(Mutex::new(Vec::new()));
    let seen = lefts.clone();
    let slow = layer_fn("slow", move |_, request| {
        seen.lock().unwrap().push(TimeLeft::of(&request).unwrap().as_secs());
        async {
            sleep(4 * SECOND).await;
            fails(ErrorKind::Overloaded)
        }
    });
    let llm = Stack::new()
        .layer(Retry::new().attempts(9).base_delay(Duration::ZERO))
        .layer(slow)
        .over(MockProvider::reply(""));
    let mut request = question(false);
    TimeLeft::limit(&mut request, 10 * SECOND);
    let started = Instant::now();
    let error = llm.send(request).await.unwrap_err();
    assert_eq!(*lefts.lock().unwrap(), [10, 6, 2]);
    assert_eq!((error.attempts(), error.is_exhausted()), (3, true));
    assert_eq!(started.elapsed().as_secs(), 12, "to end a try in time is Timeout's");
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_beyond_the_deadline_is_not_waited_for() {
    let (inner, asked) = script([asks_to_wait(20 * SECOND), yes()]);
    let mut request = question(false);
    TimeLeft::limit(&mut request, 10 * SECOND);
    let error = retry(4, inner).send(request).await.unwrap_err();
    assert_eq!((times(&asked), error.retry_after()), (1, Some(20 * SECOND)));
}

#[tokio::test(start_paused = true)]
async fn a_storm_is_not_repeated_beyond_the_budget() {
    let (inner, asked) = always(fails(ErrorKind::Overloaded).unwrap_err());
    let llm = Retry::new().base_delay(Duration::ZERO).budget(0.5, 0).wrap(inner);
    let calls = join_all((0..100).map(|_| llm.send(question(false)))).await;
    assert!(calls.iter().all(|call| call.as_ref().is_err_and(Error::is_exhausted)));
    assert!(times(&asked) <= 150, "{}", times(&asked));
}

#[tokio::test(start_paused = true)]
async fn the_services_own_word_about_trying_again_counts_more_than_the_kind() {
    for (kind, word, tries) in [
        (ErrorKind::RateLimited, Some(false), 1),
        (ErrorKind::RateLimited, None, 3),
        (ErrorKind::InvalidRequest, Some(true), 3),
        (ErrorKind::InvalidRequest, None, 1),
    ] {
        let mut error = Error::new(kind, "no").with_status(http::StatusCode::CONFLICT);
        if let Some(word) = word {
            error = error.with_should_retry(word);
        }
        let outer = Retry::new().attempts(2);
        let llm = Stack::new().layer(outer).layer(Retry::new().attempts(3)).over(MockProvider::error(error));
        let error = llm.ask("?").await.unwrap_err();
        assert_eq!(error.attempts(), tries, "{kind} {word:?}");
    }
}
