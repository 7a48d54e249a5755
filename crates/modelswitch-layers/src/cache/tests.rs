use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::{FutureExt, StreamExt, future};
use modelswitch_provider::mock::{MockProvider, events, reply};
use modelswitch_provider::{Completion, Document, Endpoint, Error, ErrorKind, EventStream, FinishReason};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::{Stack, Tag, layer_fn};

fn question(text: &str, stream: bool) -> Request {
    let messages = json!([{ "role": "user", "content": text }]);
    Request::chat(&json!({ "model": "m", "messages": messages, "stream": stream })).unwrap()
}

fn wanting(mut request: Request, wish: CacheUse) -> Request {
    request.extensions.insert(wish);
    request
}

/// Answers with the number of the call, as it is asked: whole, or as a stream with its tokens where those are asked for.
fn counting() -> (MockProvider, Arc<AtomicU32>) {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = calls.clone();
    let service = MockProvider::answering(move |request| {
        let number = counted.fetch_add(1, Ordering::Relaxed).to_string();
        Ok(if request.is_stream() { streamed(&number) } else { reply(&number, false) })
    });
    (service, calls)
}

fn streamed(text: &str) -> Response {
    let chunk = |delta: Value, finish: Value| {
        Ok(json!({ "id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m",
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] }))
    };
    let usage = json!({ "id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [],
        "usage": { "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2 } });
    events([
        chunk(json!({ "role": "assistant", "content": "" }), json!(null)),
        chunk(json!({ "content": text }), json!(null)),
        chunk(json!({}), json!("stop")),
        Ok(usage),
    ])
}

/// The text, the tokens in all, and what the head says.
async fn read(response: Response) -> (String, Option<u64>, &'static str) {
    let status = match response.head.extensions.get::<CacheStatus>() {
        Some(CacheStatus::Hit { .. }) => "hit",
        Some(CacheStatus::Miss) => "miss",
        Some(CacheStatus::Bypass) => "bypass",
        None => "nothing",
    };
    let completion = match response.body {
        Body::Json(json) => Event::new(json).json().unwrap(),
        Body::Events(mut events) => {
            let mut collector = modelswitch_provider::Collector::new();
            while let Some(event) = events.next().await {
                collector.push(event.unwrap().json().unwrap());
            }
            collector.finish()
        }
        _ => panic!("an answer"),
    };
    (completion.text(), completion.usage.map(|usage| usage.total_tokens), status)
}

async fn ask(llm: &Arc<dyn Provider>, request: Request) -> (String, Option<u64>, &'static str) {
    read(llm.send(request).await.unwrap()).await
}

fn told(text: &str, tokens: Option<u64>, status: &'static str) -> (String, Option<u64>, &'static str) {
    (text.to_owned(), tokens, status)
}

#[tokio::test(start_paused = true)]
async fn the_same_question_has_the_same_answer_in_whichever_form_it_is_wanted() {
    for first in [false, true] {
        let (service, calls) = counting();
        let llm = Cache::new().wrap(Arc::new(service));
        let seen = if first { None } else { Some(2) };
        assert_eq!(ask(&llm, question("a", first)).await, told("0", seen, "miss"));
        assert_eq!(ask(&llm, question("a", false)).await, told("0", Some(2), "hit"));
        assert_eq!(ask(&llm, question("a", true)).await, told("0", None, "hit"));
        let mut with_usage = question("a", true);
        let options = json!({ "include_usage": true });
        with_usage.document_mut().unwrap().set("stream_options", &options).unwrap();
        assert_eq!(ask(&llm, with_usage).await, told("0", Some(2), "hit"));
        assert_eq!(ask(&llm, question("b", false)).await, told("1", Some(2), "miss"));
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn the_older_completions_change_their_form_too() {
    let piece = |text: &str, finish: Value| {
        json!({ "id": "1", "object": "text_completion", "created": 0, "model": "m",
            "choices": [{ "index": 0, "text": text, "finish_reason": finish }] })
    };
    let request = |stream: bool| {
        let body = json!({ "model": "m", "prompt": "p", "stream": stream });
        Request::new(Endpoint::COMPLETIONS, Document::from_serialize(&body).unwrap())
    };
    for first in [false, true] {
        let llm = Cache::new().wrap(Arc::new(MockProvider::script([Ok(if first {
            events([Ok(piece("a", json!(null))), Ok(piece("b", json!("stop")))])
        } else {
            Response::json(&piece("ab", json!("stop"))).unwrap()
        })])));
        for stream in [first, !first, first] {
            let response = llm.send(request(stream)).await.unwrap();
            let mut whole = Completion::default();
            match response.body {
                Body::Json(json) => whole.push(Event::new(json).json().unwrap()),
                Body::Events(mut events) => {
                    while let Some(event) = events.next().await {
                        whole.push(event.unwrap().json().unwrap());
                    }
                }
                _ => panic!("an answer"),
            }
            assert_eq!((whole.text(), whole.finish_reason()), ("ab", Some(&FinishReason::Stop)));
            assert_eq!(whole.extra["object"], "text_completion");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_forgotten_when_its_time_is_over() {
    let (service, _) = counting();
    let llm = Cache::new().time_to_live(Duration::from_secs(100)).wrap(Arc::new(service));
    assert_eq!(ask(&llm, question("a", false)).await.2, "miss");
    tokio::time::advance(Duration::from_secs(99)).await;
    let again = llm.send(question("a", false)).await.unwrap();
    assert_eq!(again.head.extensions.get(), Some(&CacheStatus::Hit { age: Duration::from_secs(99) }));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(ask(&llm, question("a", false)).await, told("1", Some(2), "miss"));
}

#[tokio::test(start_paused = true)]
async fn a_request_says_what_it_wants_of_the_cache() {
    let (service, _) = counting();
    let llm = Cache::new().wrap(Arc::new(service));
    let asked = async |wish| ask(&llm, wanting(question("a", false), wish)).await;
    assert_eq!(asked(CacheUse::Bypass).await, told("0", Some(2), "bypass"));
    assert_eq!(asked(CacheUse::Allowed).await, told("1", Some(2), "miss"));
    assert_eq!(asked(CacheUse::Bypass).await, told("2", Some(2), "bypass"));
    assert_eq!(asked(CacheUse::Refresh).await, told("3", Some(2), "miss"));
    assert_eq!(asked(CacheUse::Allowed).await, told("3", Some(2), "hit"));
}

#[tokio::test(start_paused = true)]
async fn errors_and_streams_that_did_not_end_well_are_not_kept() {
    let cut = || {
        let opening = json!({ "choices": [{ "index": 0, "delta": { "content": "a" } }] });
        Ok(events([Ok(opening), Err(Error::interrupted("cut"))]))
    };
    let llm = Cache::new().wrap(Arc::new(MockProvider::script([
        Err(Error::new(ErrorKind::Overloaded, "busy")),
        cut(),
        Ok(streamed("dropped")),
        Ok(events([])),
        Ok(streamed("whole")),
    ])));
    llm.send(question("a", true)).await.unwrap_err();
    for reads in [9, 2, 9] {
        let response = llm.send(question("a", true)).await.unwrap();
        assert_eq!(response.head.extensions.get(), Some(&CacheStatus::Miss));
        let Body::Events(mut events) = response.body else { panic!("a stream") };
        for _ in 0..reads {
            events.next().await;
        }
    }
    assert_eq!(ask(&llm, question("a", true)).await.2, "miss");
    assert_eq!(ask(&llm, question("a", true)).await, told("whole", None, "hit"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_large_passes_and_is_not_kept() {
    for stream in [false, true] {
        let (service, _) = counting();
        let llm = Cache::new().max_answer(50).wrap(Arc::new(service));
        assert_eq!(ask(&llm, question("a", stream)).await.2, "miss");
        assert_eq!(ask(&llm, question("a", stream)).await.0, "1");
    }
}

#[tokio::test(start_paused = true)]
async fn what_leaves_something_is_not_for_caches_and_tags_can_be_kept_apart() {
    let (service, _) = counting();
    let llm = Cache::new().per_tag().wrap(Arc::new(service));
    let mut stored = question("a", false);
    stored.document_mut().unwrap().set("store", true).unwrap();
    assert_eq!(ask(&llm, stored.clone()).await, told("0", Some(2), "bypass"));
    assert_eq!(ask(&llm, stored).await, told("1", Some(2), "bypass"));

    for (tag, status) in [("x", "miss"), ("y", "miss"), ("x", "hit")] {
        let mut request = question("a", false);
        request.extensions.insert(Tag(tag.into()));
        assert_eq!(ask(&llm, request).await.2, status);
    }
}

/// Takes a second for each answer, and fails as often as it is told to before.
fn slow(failures: u32) -> (Cache, Arc<dyn Provider>, Arc<AtomicU32>) {
    slow_under(Cache::new(), failures)
}

fn slow_under(cache: Cache, failures: u32) -> (Cache, Arc<dyn Provider>, Arc<AtomicU32>) {
    let (service, calls) = counting();
    let tries = Arc::new(AtomicU32::new(0));
    let wait = layer_fn("slow", move |inner, request| {
        let tries = tries.clone();
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if tries.fetch_add(1, Ordering::Relaxed) < failures {
                return Err(Error::new(ErrorKind::Upstream, "down"));
            }
            inner.send(request).await
        }
    });
    let llm = Stack::new().layer(cache.clone()).layer(wait).over(service);
    (cache, llm, calls)
}

#[tokio::test(start_paused = true)]
async fn the_same_question_at_the_same_time_is_asked_once() {
    for stream in [false, true] {
        let (cache, llm, calls) = slow(0);
        let started = Instant::now();
        let answers = future::join_all((0..50).map(|_| ask(&llm, question("a", stream)))).await;
        assert!(answers.iter().all(|answer| answer.0 == "0"));
        assert_eq!(answers.iter().filter(|answer| answer.2 == "hit").count(), 49);
        assert_eq!((calls.load(Ordering::Relaxed), started.elapsed()), (1, Duration::from_secs(1)));
        assert_eq!(cache.turns.open(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_first_fails_or_is_given_up_the_next_one_asks() {
    let (cache, llm, calls) = slow(1);
    let answers = future::join_all((0..5).map(|_| llm.send(question("a", false)))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_err()).count(), 1);
    assert_eq!((calls.load(Ordering::Relaxed), cache.turns.open()), (1, 0));

    let (cache, llm, _) = slow(0);
    let mut first = llm.send(question("a", false));
    let mut second = llm.send(question("a", false));
    let third = llm.send(question("a", false));
    assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
    drop(first);
    drop(second);
    assert_eq!(read(third.await.unwrap()).await.2, "miss");
    assert_eq!(cache.turns.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_through_a_row_of_failures_or_for_an_answer_that_is_not_kept() {
    let (cache, llm, _) = slow(u32::MAX);
    let began = Instant::now();
    future::join_all((0..10).map(|_| llm.send(question("a", false)))).await;
    let three_times = began.elapsed();
    let began = Instant::now();
    llm.send(question("a", false)).await.unwrap_err();
    assert_eq!((three_times, cache.turns.open()), (began.elapsed() * 3, 0));

    for stream in [false, true] {
        let (cache, llm, calls) = slow_under(Cache::new().max_answer(1), 0);
        let began = Instant::now();
        future::join_all((0..10).map(|_| ask(&llm, question("a", stream)))).await;
        assert_eq!((began.elapsed(), cache.turns.open()), (Duration::from_secs(2), 0), "{stream}");
        assert_eq!(calls.load(Ordering::Relaxed), 10);
    }
}

#[tokio::test]
async fn a_hit_of_a_cache_further_in_stays_one() {
    let (service, calls) = counting();
    let inner = Cache::new();
    let llm = Stack::new().layer(inner.clone()).over(service);
    ask(&llm, question("a", false)).await;
    let llm = Stack::new().layer(Cache::new()).wrap(llm);
    assert_eq!(ask(&llm, question("a", false)).await.2, "hit");
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn clones_under_different_names_give_none_of_each_others_answers() {
    let (service, calls) = counting();
    let (cache, service) = (Cache::new(), Arc::new(service) as Arc<dyn Provider>);
    let under = |name: &str| cache.clone().kept_under(name).wrap(service.clone());
    for (name, status) in [("one", "miss"), ("two", "miss"), ("one", "hit")] {
        assert_eq!(ask(&under(name), question("a", false)).await.2, status, "{name}");
    }
    assert_eq!((under("one").name(), calls.load(Ordering::Relaxed)), (service.name(), 2));
}

#[test]
fn the_temperature_that_is_sent_in_the_end_decides() {
    let cold = Cache::new().max_temperature(0.0);
    for (sent, is_kept) in [(0.0, true), (1.9, false)] {
        let mut request = question("a", false);
        request.extensions.insert(SentTemperature(sent));
        assert_eq!(key_of(&cold, "p", &request).is_some(), is_kept);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_slow_reader_for_ever() {
    let never_ends = MockProvider::answering(|_| {
        let events = futures_util::stream::pending();
        Ok(Response::new(Body::Events(EventStream::new(events))))
    });
    let cache = Cache::new().max_wait(Duration::from_secs(5));
    let llm = cache.wrap(Arc::new(never_ends));
    let started = Instant::now();
    let first = llm.send(question("a", true)).await.unwrap();
    let mut hurried = question("a", true);
    TimeLeft::limit(&mut hurried, Duration::from_secs(2));
    llm.send(hurried).await.unwrap();
    assert_eq!(started.elapsed(), Duration::from_secs(2));
    llm.send(question("a", true)).await.unwrap();
    assert_eq!(started.elapsed(), Duration::from_secs(7));
    drop(first);
    assert_eq!(cache.turns.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_least_goes_when_there_is_no_more_room() {
    let (service, calls) = counting();
    let cache = Cache::new().max_size(2000);
    let llm = cache.wrap(Arc::new(service));
    for round in 0..100 {
        ask(&llm, question(&round.to_string(), false)).await;
    }
    cache.kept.run_pending_tasks();
    assert!(cache.kept.weighted_size() <= 2000);
    assert_eq!(calls.load(Ordering::Relaxed), 100);
}
