use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use futures_util::{FutureExt, StreamExt};
use modelswitch_provider::Body;
use modelswitch_provider::mock::{MockProvider, events};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet, yield_now};
use tokio::time::{Instant, advance, sleep};

use super::*;
use crate::{Retry, Stack, layer_fn};

const SECOND: Duration = Duration::from_secs(1);

/// A call that is guessed at so many tokens.
fn call(tokens: u64) -> Request {
    Request::chat(&json!({ "model": "m", "max_tokens": tokens })).unwrap()
}

fn usage(tokens: u64) -> Value {
    json!({ "prompt_tokens": tokens - 1, "completion_tokens": 1 })
}

/// An answer that tells what it took, as one piece.
fn whole(tokens: u64) -> Result<Response> {
    Response::json(&json!({ "choices": [], "usage": usage(tokens) }))
}

fn around(
    limit: &RateLimit,
    answer: impl Fn() -> Result<Response> + Send + Sync + 'static,
) -> Arc<dyn Provider> {
    limit.wrap(Arc::new(MockProvider::answering(move |_| answer())))
}

#[tokio::test(start_paused = true)]
async fn so_many_begin_in_a_minute_and_the_others_wait_in_the_order_of_coming() {
    let limit = RateLimit::new().requests(3).max_wait(300 * SECOND);
    let begun = Instant::now();
    let began = Arc::new(Mutex::new(Vec::new()));
    let notes = began.clone();
    let note = layer_fn("note", move |inner, request: Request| {
        notes.lock().unwrap().push((request.document().unwrap().get::<u64>("max_tokens"), begun.elapsed()));
        async move { inner.send(request).await }
    });
    let llm = Stack::new().layer(limit.clone()).layer(note).over(MockProvider::reply("Yes."));
    let all = (0..8).map(|number| llm.send(call(number)));
    assert!(futures_util::future::join_all(all).await.iter().all(Result::is_ok));
    let began = began.lock().unwrap();
    let numbers: Vec<u64> = began.iter().map(|(number, _)| number.as_ref().unwrap().unwrap()).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7]);
    let times: Vec<u64> = began.iter().map(|(_, at)| at.as_secs()).collect();
    assert_eq!(times, [0, 0, 0, 60, 60, 60, 121, 121]);
    assert_eq!((limit.waiting(), limit.requests_left(), limit.tokens_left()), (0, Some(1), None));
}

#[tokio::test(start_paused = true)]
async fn who_would_wait_too_long_is_refused_at_once_with_the_wait() {
    for (most, left, waits) in
        [(0, None, false), (59, None, false), (61, None, true), (61, Some(60), false), (61, Some(70), true)]
    {
        let llm = around(&RateLimit::new().requests(1).max_wait(most * SECOND), || whole(5));
        llm.send(call(1)).await.unwrap();
        let mut request = call(1);
        if let Some(left) = left {
            TimeLeft::limit(&mut request, left * SECOND);
        }
        let came = Instant::now();
        match llm.send(request).await {
            Ok(_) => assert!(waits, "{most} {left:?}"),
            Err(error) => {
                assert!(!waits && came.elapsed().is_zero(), "{most} {left:?}");
                assert_eq!((error.kind(), error.code()), (ErrorKind::Rejected, Some("rate_limit")));
                assert_eq!(error.retry_after(), Some(Duration::from_millis(60_500)));
                assert!(error.may_succeed_elsewhere() && !error.is_retryable());
                assert_eq!(error.message(), "the limit of 1 requests in 60 s is reached");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_waited_is_taken_off_the_time_that_is_left() {
    let left = Arc::new(Mutex::new(Vec::new()));
    let notes = left.clone();
    let seen = layer_fn("seen", move |inner, request| {
        notes.lock().unwrap().push(TimeLeft::of(&request).unwrap().as_secs());
        async move { inner.send(request).await }
    });
    let limit = RateLimit::new().requests(1).max_wait(90 * SECOND);
    let llm = Stack::new().layer(limit).layer(seen).over(MockProvider::reply("Yes."));
    for _ in 0..2 {
        let mut request = call(1);
        TimeLeft::limit(&mut request, 100 * SECOND);
        llm.send(request).await.unwrap();
    }
    assert_eq!(*left.lock().unwrap(), [100, 39]);
}

#[tokio::test(start_paused = true)]
async fn tokens_are_guessed_before_and_corrected_by_what_the_answer_tells() {
    let chunk = |text: &str| Ok(json!({ "choices": [{ "index": 0, "delta": { "content": text } }] }));
    let told = || Ok(json!({ "choices": [], "usage": usage(70) }));
    let cut = || Err(Error::interrupted("cut"));
    let fails = |kind| Err(Error::new(kind, "it failed").with_attempts(1));
    type Answer = Box<dyn Fn() -> Result<Response> + Send + Sync>;
    let cases: [(&str, Answer, u64, u64); 9] = [
        ("whole", Box::new(|| whole(7)), 1, 7),
        ("more than guessed", Box::new(|| whole(800)), 1, 800),
        ("whole without usage", Box::new(|| Response::json(&json!({ "choices": [] }))), 1, 500),
        ("stream", Box::new(move || Ok(events([chunk("x"), told()]))), 1, 70),
        ("stream without usage", Box::new(move || Ok(events([chunk("x")]))), 1, 500),
        ("cut stream", Box::new(move || Ok(events([chunk("x"), cut()]))), 1, 500),
        ("refused", Box::new(move || fails(ErrorKind::InvalidRequest)), 1, 0),
        ("too late", Box::new(move || fails(ErrorKind::Timeout)), 1, 500),
        ("not sent", Box::new(|| Err(Error::new(ErrorKind::Rejected, "not here"))), 0, 0),
    ];
    for (name, answer, requests, tokens) in cases {
        let limit = RateLimit::new().requests(10).tokens(1000);
        let llm = around(&limit, answer);
        if let Ok(Response { body: Body::Events(events), .. }) = llm.send(call(500)).await {
            assert_eq!(limit.tokens_left(), Some(500), "{name}: not before its end");
            events.for_each(|_| std::future::ready(())).await;
        }
        let left = (limit.requests_left().unwrap(), limit.tokens_left().unwrap());
        assert_eq!(left, (10 - requests, 1000 - tokens), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_too_much_is_there_for_the_next_one_at_once() {
    let slow = layer_fn("slow", |_, _| async move {
        sleep(4 * SECOND).await;
        whole(10)
    });
    let limit = RateLimit::new().tokens(1000);
    let llm = Stack::new().layer(limit.clone()).layer(slow).over(MockProvider::reply(""));
    let begun = Instant::now();
    let both = futures_util::future::join(llm.send(call(900)), llm.send(call(900))).await;
    assert!(both.0.is_ok() && both.1.is_ok());
    assert_eq!((begun.elapsed().as_secs(), limit.tokens_left()), (8, Some(980)));
}

#[tokio::test(start_paused = true)]
async fn one_that_needs_more_than_all_waits_until_nothing_else_is_counted() {
    let limit = RateLimit::new().tokens(1000).max_wait(100 * SECOND);
    let llm = around(&limit, || Response::json(&json!({ "choices": [] })));
    let begun = Instant::now();
    for (tokens, second) in [(10, 0), (5000, 60), (1, 121)] {
        llm.send(call(tokens)).await.unwrap();
        assert_eq!(begun.elapsed().as_secs(), second);
    }
}

#[tokio::test(start_paused = true)]
async fn repeats_are_counted_when_they_are_known() {
    let limit = RateLimit::new().requests(10);
    let busy = MockProvider::error(Error::new(ErrorKind::Overloaded, "too busy"));
    let retry = Retry::new().attempts(3).base_delay(Duration::ZERO);
    let llm = Stack::new().layer(limit.clone()).layer(retry).over(busy);
    assert_eq!(llm.send(call(1)).await.unwrap_err().attempts(), 3);
    assert_eq!(limit.requests_left(), Some(7));
}

#[tokio::test(start_paused = true)]
async fn who_stops_waiting_leaves_no_gap_and_nobody_is_overtaken() {
    let limit = RateLimit::new().tokens(1000).max_wait(200 * SECOND);
    let llm = around(&limit, || Response::json(&json!({ "choices": [] })));
    llm.send(call(900)).await.unwrap();
    let mut first = llm.send(call(600));
    assert!((&mut first).now_or_never().is_none());
    let mut second = llm.send(call(10));
    assert!((&mut second).now_or_never().is_none(), "there would be room, but it isn't its turn");
    assert_eq!(limit.waiting(), 2);
    drop(first);
    assert!(second.now_or_never().is_some_and(|answer| answer.is_ok()));
    assert_eq!((limit.waiting(), limit.tokens_left()), (0, Some(90)));
}

/// What becomes of a call in the test with the model.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Took(u64),
    TellsNothing,
    Fails,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Begin(u64),
    End(usize, Fate),
    Drop(usize),
    Wait(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fate = prop_oneof![
        4 => (2_u64..150).prop_map(Fate::Took),
        1 => Just(Fate::TellsNothing),
        1 => Just(Fate::Fails),
    ];
    let step = prop_oneof![
        6 => (0_u64..120).prop_map(Step::Begin),
        4 => (0_usize..9, fate).prop_map(|(call, fate)| Step::End(call, fate)),
        1 => (0_usize..12).prop_map(Step::Drop),
        3 => (1_u32..150).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..60)
}

/// The same as the documentation says it: a list of what began when, and a queue. Whole seconds only; a window of 120 of them
/// has steps of one.
#[derive(Default)]
struct Model {
    now: u64,
    began: Vec<(usize, u64, u64)>,
    running: Vec<usize>,
    queue: VecDeque<(usize, u64)>,
}

impl Model {
    const REQUESTS: usize = 5;
    const TOKENS: u64 = 200;

    fn let_in(&mut self) {
        while let Some((id, tokens)) = self.queue.front().copied() {
            let recent: Vec<_> = self.began.iter().filter(|(_, at, _)| self.now - at <= 120).collect();
            let used: u64 = recent.iter().map(|(.., tokens)| tokens).sum();
            // A call that failed before it was sent is none.
            if recent.len() >= Self::REQUESTS || used + tokens > Self::TOKENS {
                return;
            }
            self.queue.pop_front();
            self.began.push((id, self.now, tokens));
            self.running.push(id);
        }
    }

    fn end(&mut self, place: usize, fate: Fate) {
        let id = self.running.remove(place);
        let (_, _, tokens) = self.began.iter_mut().find(|(began, ..)| *began == id).unwrap();
        match fate {
            Fate::Took(took) => *tokens = took,
            Fate::TellsNothing => {}
            Fate::Fails => *tokens = 0,
        }
        self.let_in();
    }

    fn drop(&mut self, which: usize) -> Option<usize> {
        let waiting = self.queue.iter().map(|(id, _)| id);
        let id = self.running.iter().chain(waiting).nth(which).copied()?;
        self.running.retain(|running| *running != id);
        self.queue.retain(|(waiting, _)| *waiting != id);
        self.let_in();
        Some(id)
    }
}

/// A provider whose calls end when and how the test says.
#[derive(Clone, Default)]
struct Held {
    fates: Arc<Mutex<HashMap<usize, oneshot::Sender<Fate>>>>,
    began: Arc<Mutex<Vec<usize>>>,
}

#[derive(Clone, Copy)]
struct Id(usize);

impl Held {
    fn behind(&self, limit: &RateLimit) -> Arc<dyn Provider> {
        let held = self.clone();
        let inner = layer_fn("held", move |_, request: Request| {
            let Id(id) = *request.extensions.get::<Id>().unwrap();
            let (send, receive) = oneshot::channel();
            held.fates.lock().unwrap().insert(id, send);
            held.began.lock().unwrap().push(id);
            async move {
                match receive.await.unwrap() {
                    Fate::Took(tokens) => whole(tokens),
                    Fate::TellsNothing => Response::json(&json!({ "choices": [] })),
                    Fate::Fails => Err(Error::new(ErrorKind::Upstream, "it broke")),
                }
            }
        });
        Stack::new().layer(limit.clone()).layer(inner).over(MockProvider::reply(""))
    }

    fn end(&self, id: usize, fate: Fate) {
        self.fates.lock().unwrap().remove(&id).unwrap().send(fate).unwrap();
    }
}

fn spawn(tasks: &mut JoinSet<()>, llm: &Arc<dyn Provider>, id: usize, tokens: u64) -> AbortHandle {
    let mut request = call(tokens);
    request.extensions.insert(Id(id));
    let llm = llm.clone();
    tasks.spawn(async move { drop(llm.send(request).await) })
}

async fn settle() {
    for _ in 0..16 {
        yield_now().await;
    }
}

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

proptest! {
    // Under Miri one takes a minute.
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 96 }))]

    /// Whatever calls come, end, are corrected and dropped in whatever order: those begin that begin in the model, at the same
    /// second, in the order of coming.
    #[test]
    fn it_does_what_the_model_does(steps in steps()) {
        paused().block_on(async {
            let limit = RateLimit::new().requests(Model::REQUESTS as u64).tokens(Model::TOKENS)
                .per(120 * SECOND).max_wait(Duration::MAX);
            let (held, mut model) = (Held::default(), Model::default());
            let llm = held.behind(&limit);
            let (mut tasks, mut handles) = (JoinSet::new(), HashMap::new());
            for (id, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Begin(tokens) => {
                        handles.insert(id, spawn(&mut tasks, &llm, id, tokens));
                        model.queue.push_back((id, tokens));
                        model.let_in();
                    }
                    Step::End(place, fate) if place < model.running.len() => {
                        held.end(model.running[place], fate);
                        model.end(place, fate);
                    }
                    Step::Drop(which) => if let Some(id) = model.drop(which) {
                        handles[&id].abort();
                    },
                    Step::End(..) => {}
                    Step::Wait(seconds) => for _ in 0..seconds {
                        settle().await;
                        advance(SECOND).await;
                        model.now += 1;
                        model.let_in();
                    },
                }
                settle().await;
                let began: Vec<_> = model.began.iter().map(|(id, ..)| *id).collect();
                prop_assert_eq!(&*held.began.lock().unwrap(), &began);
                prop_assert_eq!(limit.waiting(), model.queue.len());
            }
            tasks.shutdown().await;
            advance(300 * SECOND).await;
            let left = (limit.waiting(), limit.requests_left(), limit.tokens_left());
            prop_assert_eq!(left, (0, Some(Model::REQUESTS as u64), Some(Model::TOKENS)));
            Ok(())
        })?;
    }

    /// In whatever minute one looks, no more begin than the limit; and who is refused and comes back when it was told to finds
    /// room, if nobody else came.
    #[test]
    fn no_minute_has_more_than_the_limit(calls in prop::collection::vec((0_u64..40_000, 1_u64..80), 0..80)) {
        paused().block_on(async {
            let limit = RateLimit::new().requests(4).tokens(100).max_wait(Duration::ZERO);
            let llm = around(&limit, || Response::json(&json!({ "choices": [] })));
            let mut began: Vec<(Instant, u64)> = Vec::new();
            for (pause, tokens) in calls {
                advance(Duration::from_millis(pause)).await;
                if let Err(error) = llm.send(call(tokens)).await {
                    advance(error.retry_after().unwrap()).await;
                    prop_assert!(llm.send(call(tokens)).await.is_ok());
                }
                began.push((Instant::now(), tokens));
                let last = Instant::now();
                let minute: Vec<_> = began.iter().filter(|(at, _)| last - *at < 60 * SECOND).collect();
                prop_assert!(minute.len() <= 4);
                prop_assert!(minute.iter().map(|(_, tokens)| tokens).sum::<u64>() <= 100);
            }
            Ok(())
        })?;
    }
}
