use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Mutex;

use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt, stream};
use modelswitch_provider::mock::{MockProvider, reply};
use modelswitch_provider::{Body, EventStream};
use proptest::prelude::*;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet, yield_now};
use tokio::time::Instant;

use super::*;
use crate::{Stack, layer_fn};

const SECOND: Duration = Duration::from_secs(1);

/// Which call it is.
#[derive(Clone, Copy, PartialEq)]
struct Id(u32);

fn call(id: u32) -> Request {
    let mut request = Request::chat(&json!({ "model": "m", "messages": [] })).unwrap();
    request.extensions.insert(Id(id));
    request
}

/// How an answer ends, or that it is a stream that doesn't yet.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Answered,
    Fails(ErrorKind),
    Streams,
}

/// A provider whose calls end when and how the test says.
#[derive(Clone, Default)]
struct Held(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    fates: HashMap<u32, oneshot::Sender<Fate>>,
    /// In the order in which they came.
    came: Vec<u32>,
}

impl Held {
    fn behind(&self, layer: &Concurrency) -> Arc<dyn Provider> {
        let held = self.clone();
        let inner = layer_fn("held", move |_, request: Request| {
            let held = held.clone();
            let id = *request.extensions.get::<Id>().unwrap();
            async move {
                match held.fate(id).await {
                    Fate::Answered => Ok(reply("Yes.", false)),
                    Fate::Fails(kind) => Err(Error::new(kind, "it failed")),
                    Fate::Streams => {
                        let end = stream::once(async move {
                            match held.fate(id).await {
                                Fate::Fails(kind) => Some(Err(Error::new(kind, "it broke"))),
                                Fate::Answered | Fate::Streams => None,
                            }
                        });
                        let events = end.filter_map(std::future::ready);
                        Ok(Response::new(Body::Events(EventStream::new(events))))
                    }
                }
            }
        });
        Stack::new().layer(layer.clone()).layer(inner).over(MockProvider::reply(""))
    }

    async fn fate(&self, Id(id): Id) -> Fate {
        self.asks(id).await.unwrap()
    }

    fn asks(&self, id: u32) -> oneshot::Receiver<Fate> {
        let (send, receive) = oneshot::channel();
        let mut state = self.0.lock().unwrap();
        state.fates.insert(id, send);
        if !state.came.contains(&id) {
            state.came.push(id);
        }
        receive
    }

    fn end(&self, id: u32, fate: Fate) {
        let sender = self.0.lock().unwrap().fates.remove(&id).unwrap();
        sender.send(fate).unwrap();
    }

    fn came(&self) -> Vec<u32> {
        self.0.lock().unwrap().came.clone()
    }
}

async fn settle() {
    for _ in 0..12 {
        yield_now().await;
    }
}

/// Makes a call and reads its answer to the end, in a task that the test can drop.
fn spawn(tasks: &mut JoinSet<Option<ErrorKind>>, llm: &Arc<dyn Provider>, request: Request) -> AbortHandle {
    let llm = llm.clone();
    tasks.spawn(async move {
        match llm.send(request).await {
            Err(error) => Some(error.kind()),
            Ok(Response { body: Body::Events(mut events), .. }) => {
                events.next().await.and_then(|last| last.err()).map(|error| error.kind())
            }
            Ok(_) => None,
        }
    })
}

#[tokio::test(start_paused = true)]
async fn so_many_run_at_once_and_the_others_follow_in_the_order_of_coming() {
    let (held, few) = (Held::default(), Concurrency::new(2));
    let llm = held.behind(&few);
    let mut tasks = JoinSet::new();
    for id in 0..6 {
        spawn(&mut tasks, &llm, call(id));
        settle().await;
    }
    assert_eq!((few.in_flight(), few.waiting(), held.came()), (2, 4, vec![0, 1]));
    for (id, came) in [(1, vec![0, 1, 2]), (0, vec![0, 1, 2, 3]), (3, vec![0, 1, 2, 3, 4])] {
        held.end(id, Fate::Answered);
        settle().await;
        assert_eq!(held.came(), came);
    }
    drop(tasks);
    settle().await;
    assert_eq!((few.in_flight(), few.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stream_keeps_its_place_until_it_ends_or_is_dropped() {
    let (held, few) = (Held::default(), Concurrency::new(1));
    let llm = held.behind(&few);
    let mut tasks = JoinSet::new();
    for (id, fate) in [(1, Some(Fate::Answered)), (2, Some(Fate::Fails(ErrorKind::Interrupted))), (3, None)] {
        let task = spawn(&mut tasks, &llm, call(id));
        settle().await;
        held.end(id, Fate::Streams);
        settle().await;
        assert_eq!(few.in_flight(), 1);
        match fate {
            Some(fate) => held.end(id, fate),
            None => task.abort(),
        }
        settle().await;
        assert_eq!(few.in_flight(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn who_finds_the_queue_full_is_refused_and_may_go_elsewhere() {
    let (held, few) = (Held::default(), Concurrency::new(1).queue(1));
    let llm = held.behind(&few);
    let mut tasks = JoinSet::new();
    for id in 0..2 {
        spawn(&mut tasks, &llm, call(id));
        settle().await;
    }
    let error = llm.send(call(2)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code(), error.attempts(), error.provider()),
        (ErrorKind::Rejected, Some("concurrency_limit"), 0, Some("mock"))
    );
    assert!(error.may_succeed_elsewhere() && !error.is_retryable());
    assert_eq!(error.message(), "the limit of 1 calls at once is reached, and 1 wait");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_allowed_or_than_there_is_time() {
    for (left, waits) in [(None, 20), (Some(7), 7), (Some(30), 20)] {
        let (held, few) = (Held::default(), Concurrency::new(1).max_wait(20 * SECOND));
        let llm = held.behind(&few);
        let mut tasks = JoinSet::new();
        spawn(&mut tasks, &llm, call(0));
        settle().await;
        let mut request = call(1);
        if let Some(left) = left {
            TimeLeft::limit(&mut request, left * SECOND);
        }
        let came = Instant::now();
        assert_eq!(llm.send(request).await.unwrap_err().kind(), ErrorKind::Rejected);
        assert_eq!((came.elapsed().as_secs(), few.waiting()), (waits, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_waited_is_taken_off_the_time_that_is_left() {
    let few = Concurrency::new(1);
    let slow = layer_fn("slow", |inner, request: Request| async move {
        tokio::time::sleep(4 * SECOND).await;
        let mut response = inner.send(request.clone()).await?;
        response.head.model = Some(format!("{}", TimeLeft::of(&request).unwrap().as_secs()).into());
        Ok(response)
    });
    let llm = Stack::new().layer(few).layer(slow).over(MockProvider::reply("Yes."));
    let mut request = call(0);
    TimeLeft::limit(&mut request, 10 * SECOND);
    let answers = join_all([llm.send(request.clone()), llm.send(request.clone()), llm.send(request)]).await;
    let left: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().head.model.unwrap()).collect();
    assert_eq!(left, ["10".into(), "6".into(), std::sync::Arc::<str>::from("2")]);
}

#[tokio::test(start_paused = true)]
async fn the_limit_goes_up_slowly_while_all_goes_well_and_down_at_once() {
    let (held, few) = (Held::default(), Concurrency::new(4).adaptive(2..=6));
    let llm = held.behind(&few);
    let mut tasks = JoinSet::new();
    let mut next = 0;
    let mut round = |fates: &[Fate]| {
        let ids: Vec<u32> = (next..).take(fates.len()).collect();
        next += u32::try_from(fates.len()).unwrap();
        ids.iter().for_each(|id| drop(spawn(&mut tasks, &llm, call(*id))));
        let (held, fates) = (held.clone(), fates.to_vec());
        async move {
            settle().await;
            for (id, fate) in ids.iter().zip(fates) {
                held.end(*id, fate);
                settle().await;
            }
        }
    };
    round(&[Fate::Answered; 1]).await;
    assert_eq!(few.limit(), 4, "one call doesn't show that five would do");
    let mut limits = Vec::new();
    for _ in 0..5 {
        round(&[Fate::Answered; 6][..few.limit() as usize]).await;
        limits.push(few.limit());
    }
    assert!(limits.is_sorted() && limits[0] == 4 && limits[4] > 4, "{limits:?}");
    let before = few.limit();
    let too_much = Fate::Fails(ErrorKind::RateLimited);
    round(&[too_much; 4]).await;
    assert!(
        few.limit() < before && few.limit() >= 3,
        "four that fail together are one sign: {}",
        few.limit()
    );
    for _ in 0..9 {
        round(&[too_much]).await;
    }
    assert_eq!(few.limit(), 2);
    round(&[Fate::Fails(ErrorKind::Upstream); 2]).await;
    assert_eq!(few.limit(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_429_that_a_repeat_mended_takes_the_limit_down_too() {
    let mended = layer_fn("mended", |inner, request| async move {
        let mut response = inner.send(request).await?;
        let busy = Error::new(ErrorKind::RateLimited, "slow down");
        response.head.failures.push(Attempt::of(&busy, SECOND));
        Ok(response)
    });
    let few = Concurrency::new(10).adaptive(1..=20);
    let llm = Stack::new().layer(few.clone()).layer(mended).over(MockProvider::reply("Yes."));
    llm.send(call(0)).await.unwrap();
    assert_eq!(few.limit(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_place_on_its_way_to_one_who_leaves_is_not_one_too_many_when_the_limit_went_down() {
    let places = Places::new(2, 1..=4);
    let (first, second) = (places.take().unwrap(), places.take().unwrap());
    let mut waiting = Box::pin(places.queue_up(1).unwrap().place());
    assert!((&mut waiting).now_or_never().is_none());
    drop(first);
    second.learn(Sign::TooMuch);
    drop(waiting);
    assert_eq!((places.limit(), places.in_flight(), places.waiting()), (1, 1, 0));
    assert!(places.take().is_none());
    drop(second);
    assert!(places.take().is_some());
}

#[test]
fn limits_of_any_size_are_taken() {
    assert_eq!(Concurrency::new(0).limit(), 1);
    assert_eq!(Concurrency::new(u32::MAX).limit(), 1 << 20);
    #[expect(clippy::reversed_empty_ranges, reason = "so somebody may write it")]
    let reversed = Concurrency::new(9).adaptive(5..=3);
    assert_eq!(reversed.limit(), 5);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Begin,
    End(usize, Fate),
    Drop(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fate = prop_oneof![
        4 => Just(Fate::Answered),
        2 => Just(Fate::Streams),
        2 => Just(Fate::Fails(ErrorKind::RateLimited)),
        1 => Just(Fate::Fails(ErrorKind::Upstream)),
    ];
    let step = prop_oneof![
        6 => Just(Step::Begin),
        5 => (0_usize..9, fate).prop_map(|(call, fate)| Step::End(call, fate)),
        2 => (0_usize..12).prop_map(Step::Drop),
    ];
    prop::collection::vec(step, 0..120)
}

/// The same as the documentation says it.
struct Model {
    limit: f64,
    decreases: u32,
    /// Those that run, and how often the limit had gone down when they began.
    running: Vec<(u32, u32)>,
    streaming: BTreeSet<u32>,
    queue: VecDeque<u32>,
}

impl Model {
    fn let_in(&mut self) {
        while self.running.len() < self.limit as usize {
            let Some(next) = self.queue.pop_front() else { return };
            self.running.push((next, self.decreases));
        }
    }

    fn end(&mut self, place: usize, fate: Fate) {
        let (id, decreases) = self.running[place];
        let streams = self.streaming.contains(&id);
        match fate {
            Fate::Answered | Fate::Streams if !streams => {
                if self.running.len() * 2 >= self.limit as usize {
                    self.limit = (self.limit + 1.0 / self.limit).min(5.0);
                }
            }
            Fate::Fails(ErrorKind::RateLimited) if decreases == self.decreases => {
                self.decreases += 1;
                self.limit = (self.limit * 0.7).max(1.0);
            }
            Fate::Fails(_) | Fate::Answered | Fate::Streams => {}
        }
        if fate == Fate::Streams && !streams {
            self.streaming.insert(id);
        } else {
            self.running.remove(place);
        }
        self.let_in();
    }

    fn drop(&mut self, id: u32) {
        self.running.retain(|(running, _)| *running != id);
        self.queue.retain(|waiting| *waiting != id);
        self.let_in();
    }
}

proptest! {
    // Under Miri one takes a minute.
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 128 }))]

    /// Whatever calls come, end, stream and are dropped in whatever order: those run that run in the model, in the order of
    /// coming, never more than the limit, and in the end every place is free again.
    #[test]
    fn it_does_what_the_model_does(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (held, few) = (Held::default(), Concurrency::new(3).queue(4).adaptive(1..=5));
            let llm = held.behind(&few);
            let mut tasks = JoinSet::new();
            let mut handles = HashMap::new();
            let mut model = Model { limit: 3.0, decreases: 0, running: Vec::new(), streaming: BTreeSet::new(), queue: VecDeque::new() };
            for (id, step) in (0_u32..).zip(steps) {
                match step {
                    Step::Begin if model.running.len() >= model.limit as usize && model.queue.len() >= 4 => {
                        let refused = llm.send(call(id)).now_or_never();
                        prop_assert!(refused.is_some_and(|answer| answer.is_err()));
                    }
                    Step::Begin => {
                        handles.insert(id, spawn(&mut tasks, &llm, call(id)));
                        model.queue.push_back(id);
                        model.let_in();
                    }
                    Step::End(place, fate) if place < model.running.len() => {
                        held.end(model.running[place].0, fate);
                        model.end(place, fate);
                    }
                    Step::Drop(which) => {
                        let live = model.running.iter().map(|(id, _)| id).chain(&model.queue).nth(which).copied();
                        if let Some(id) = live {
                            handles[&id].abort();
                            model.drop(id);
                        }
                    }
                    Step::End(..) => {}
                }
                settle().await;
                prop_assert_eq!(few.limit(), model.limit as u32);
                prop_assert_eq!((few.in_flight() as usize, few.waiting()), (model.running.len(), model.queue.len()));
                for (id, _) in &model.running {
                    prop_assert!(held.came().contains(id), "{} should run", id);
                }
                let came = held.came();
                prop_assert!(came.is_sorted(), "in the order of coming: {:?}", came);
            }
            tasks.shutdown().await;
            prop_assert_eq!((few.in_flight(), few.waiting()), (0, 0));
            let limit = few.limit();
            let all: Vec<_> = (0..=limit).map(|_| few.places.take()).collect();
            prop_assert_eq!(all.iter().flatten().count(), limit as usize, "no place is lost, and none too many");
            Ok(())
        })?;
    }
}
