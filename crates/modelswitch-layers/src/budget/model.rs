//! Random calls, drops, failures and settlements against an obvious model: never overspent, charged once, and every reservation
//! given back.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use futures_util::{FutureExt, Stream, StreamExt, stream};
use modelswitch_provider::mock::MockProvider;
use modelswitch_provider::{Body, Event, EventStream};
use proptest::prelude::*;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::{Money, layer_fn};

const HOUR_HAS: u64 = 100;
const DAY_HAS: u64 = 250;

#[derive(Clone, Debug)]
enum Step {
    /// A call that may cost so much.
    Call(u64),
    /// One of the open calls gets so many percent of the tokens that it may have, as a whole answer or the end of its stream.
    Answer(usize, u64),
    /// One gets a stream, which is open from then on.
    OpenStream(usize),
    /// A stream tells tokens on the way.
    Tell(usize, u64),
    /// One fails, or its stream is cut.
    Fail(usize, ErrorKind),
    /// Nobody wants one any longer.
    Drop(usize),
    /// Minutes go by.
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let which = 0..8_usize;
    let kinds = prop::sample::select(ErrorKind::ALL.to_vec());
    prop::collection::vec(
        prop_oneof![
            4 => (0..60_u64).prop_map(Step::Call),
            2 => (which.clone(), 0..=100_u64).prop_map(|(which, share)| Step::Answer(which, share)),
            2 => which.clone().prop_map(Step::OpenStream),
            1 => (which.clone(), 0..=100_u64).prop_map(|(which, share)| Step::Tell(which, share)),
            1 => (which.clone(), kinds).prop_map(|(which, kind)| Step::Fail(which, kind)),
            1 => which.prop_map(Step::Drop),
            1 => (0..50_u64).prop_map(Step::Wait),
        ],
        0..60,
    )
}

type Answers = oneshot::Sender<Result<Response>>;
type Events = mpsc::UnboundedSender<Result<Event>>;
type Waiting = Pin<Box<dyn Future<Output = Result<Response>>>>;

enum Open {
    Waiting(Waiting, Answers),
    Streaming(Pin<Box<dyn Stream<Item = Result<Event>>>>, Events),
}

/// What the model knows of a call.
struct Call {
    open: Open,
    most: u64,
    told: Option<u64>,
    windows: [(Period, String); 2],
}

struct World {
    llm: Arc<dyn Provider>,
    counter: MemoryCounter,
    minutes: Arc<AtomicU64>,
    handed: Arc<Mutex<Option<Answers>>>,
    sums: BTreeMap<(Period, String), u64>,
    calls: Vec<Call>,
}

/// A dollar for each token of an answer.
fn prices(_: &str, _: &str, usage: &Usage, _: SystemTime) -> Option<Money> {
    Some(Money::new(usage.completion_tokens, "USD"))
}

fn at(minutes: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(60 * minutes)
}

fn usage_of(tokens: u64) -> serde_json::Value {
    json!({ "choices": [], "usage": { "prompt_tokens": 1, "completion_tokens": tokens } })
}

impl World {
    fn new() -> Self {
        let (counter, minutes) = (MemoryCounter::new(), Arc::new(AtomicU64::new(0)));
        let (handed, clock) = (Arc::new(Mutex::new(None)), minutes.clone());
        let budget = Budget::new("b", prices, "USD")
            .hour(HOUR_HAS)
            .day(DAY_HAS)
            .counter(counter.clone())
            .clock(move || at(clock.load(Ordering::Relaxed)));
        let hand = handed.clone();
        let service = layer_fn("service", move |_, _| {
            let (answers, answer) = oneshot::channel();
            *hand.lock().unwrap() = Some(answers);
            async move { answer.await.unwrap() }
        });
        let llm = budget.wrap(service.wrap(Arc::new(MockProvider::reply(""))));
        Self { llm, counter, minutes, handed, sums: BTreeMap::new(), calls: Vec::new() }
    }

    fn step(&mut self, step: Step) {
        let count = self.calls.len();
        let place = |which: usize| which.checked_rem(count);
        match step {
            Step::Call(most) => self.call(most),
            Step::Wait(minutes) => {
                self.minutes.fetch_add(minutes, Ordering::Relaxed);
            }
            Step::Answer(which, share) => {
                if let Some(at) = place(which) {
                    let call = self.calls.swap_remove(at);
                    self.answer(call, share);
                }
            }
            Step::OpenStream(which) => {
                if let Some(at) = place(which) {
                    let call = self.calls.swap_remove(at);
                    self.open(call);
                }
            }
            Step::Tell(which, share) => {
                if let Some(at) = place(which) {
                    tell(&mut self.calls[at], share);
                }
            }
            Step::Fail(which, kind) => {
                if let Some(at) = place(which) {
                    let call = self.calls.swap_remove(at);
                    self.fail(call, kind);
                }
            }
            Step::Drop(which) => {
                if let Some(at) = place(which) {
                    let call = self.calls.swap_remove(at);
                    let charge = call.told.unwrap_or(call.most);
                    self.charge(&call, charge);
                }
            }
        }
    }

    fn call(&mut self, most: u64) {
        let now = at(self.minutes.load(Ordering::Relaxed));
        let windows = [Period::Hour, Period::Day].map(|period| (period, period.window(now, 0).name));
        let fits = windows
            .iter()
            .zip([HOUR_HAS, DAY_HAS])
            .all(|(window, has)| self.sums.get(window).copied().unwrap_or_default() + most <= has);
        let body = json!({ "model": "m", "messages": [], "max_tokens": most, "stream": true });
        let (llm, request) = (self.llm.clone(), Request::chat(&body).unwrap());
        let mut waiting: Waiting = Box::pin(async move { llm.send(request).await });
        match (&mut waiting).now_or_never() {
            None => {
                assert!(fits, "{most} was let through");
                for window in &windows {
                    *self.sums.entry(window.clone()).or_default() += most;
                }
                let answers = self.handed.lock().unwrap().take().unwrap();
                self.calls.push(Call { open: Open::Waiting(waiting, answers), most, told: None, windows });
            }
            Some(refused) => {
                let error = refused.unwrap_err();
                assert!(!fits && error.code() == Some(EXCEEDED), "{most} was refused: {error}");
            }
        }
    }

    fn charge(&mut self, call: &Call, charge: u64) {
        for window in &call.windows {
            let sum = self.sums.get_mut(window).unwrap();
            *sum = *sum + charge - call.most;
        }
    }

    fn answer(&mut self, call: Call, share: u64) {
        let tokens = call.most * share / 100;
        self.charge(&call, tokens);
        match call.open {
            Open::Waiting(waiting, answers) => {
                answers.send(Response::json(&usage_of(tokens))).unwrap();
                waiting.now_or_never().unwrap().unwrap();
            }
            Open::Streaming(mut stream, events) => {
                events.send(Ok(Event::new(usage_of(tokens).to_string()))).unwrap();
                drop(events);
                while let Some(event) = stream.next().now_or_never().unwrap() {
                    event.unwrap();
                }
            }
        }
    }

    fn open(&mut self, mut call: Call) {
        call.open = match call.open {
            Open::Waiting(waiting, answers) => {
                let (events, received) = mpsc::unbounded_channel();
                let stream = stream::unfold(received, |mut received| async move {
                    let event = received.recv().await?;
                    Some((event, received))
                });
                answers.send(Ok(Response::new(Body::Events(EventStream::new(stream))))).unwrap();
                let Body::Events(stream) = waiting.now_or_never().unwrap().unwrap().body else {
                    panic!("a stream")
                };
                Open::Streaming(Box::pin(stream), events)
            }
            streaming @ Open::Streaming(..) => streaming,
        };
        self.calls.push(call);
    }

    fn fail(&mut self, call: Call, kind: ErrorKind) {
        let error = Error::new(kind, "x");
        let free = matches!(call.open, Open::Waiting(..)) && !may_be_billed(&error);
        let charge = if free { 0 } else { call.told.unwrap_or(call.most) };
        self.charge(&call, charge);
        match call.open {
            Open::Waiting(waiting, answers) => {
                answers.send(Err(error)).unwrap();
                waiting.now_or_never().unwrap().unwrap_err();
            }
            Open::Streaming(mut stream, events) => {
                events.send(Err(error)).unwrap();
                while let Some(Ok(_)) = stream.next().now_or_never().unwrap() {}
            }
        }
    }

    fn check(&self) {
        for (window, sum) in &self.sums {
            let (period, name) = window;
            let kept = self.counter.sum(&format!("b/USD/{period}/{name}/")).now_or_never().unwrap().unwrap();
            assert_eq!(kept, Decimal::from(*sum), "{window:?}");
            let has = if *period == Period::Hour { HOUR_HAS } else { DAY_HAS };
            assert!(*sum <= has, "{window:?} is overspent");
        }
    }

    fn end(mut self) {
        while let Some(call) = self.calls.pop() {
            let charge = call.told.unwrap_or(call.most);
            self.charge(&call, charge);
        }
        self.check();
    }
}

/// A stream tells what was used so far.
fn tell(call: &mut Call, share: u64) {
    if let Open::Streaming(stream, events) = &mut call.open {
        let tokens = call.most * share / 100;
        let mut chunk = usage_of(tokens);
        chunk["choices"] = json!([{ "index": 0, "delta": { "content": "a" } }]);
        events.send(Ok(Event::new(chunk.to_string()))).unwrap();
        stream.next().now_or_never().unwrap().unwrap().unwrap();
        call.told = Some(tokens);
    }
}

proptest! {
    #[test]
    fn a_budget_is_never_overspent_and_each_call_is_charged_once(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            world.check();
        }
        world.end();
    }
}
