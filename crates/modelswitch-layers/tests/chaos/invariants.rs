//! What must be true of every stack, whatever its providers do.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use modelswitch_layers::{
    Balance, Breaker, Concurrency, Cost, Fallback, MemoryLedger, Money, Outcome as Written, Priced,
    RateLimit, Retry, Stack, Strategy, Tag, Target, Timeout,
};
use modelswitch_provider::mock::MockProvider;
use modelswitch_provider::{Body, Error, ErrorKind, Provider, ProviderExt, Request, TimeLeft};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tokio::time::{Instant, advance, sleep, timeout};

use crate::paused;
use crate::provider::{Call, Chaos, Diary};
use crate::purse::{COST, ESTIMATE, Purse, noon, prices};

const SECOND: Duration = Duration::from_secs(1);
/// Timers of tokio go by milliseconds, and several may stand in a row.
const TICKS: Duration = Duration::from_millis(10);
const CALLS: u32 = 30;
const TRIES: u32 = 3;

/// One target with its layers in the canonical order; each of the first three may be missing.
struct Limits {
    service: Arc<Chaos>,
    rate: Option<RateLimit>,
    few: Option<Concurrency>,
    adapts: bool,
    breaker: Option<Breaker>,
}

struct World {
    diary: Diary,
    targets: Vec<Limits>,
    llm: Arc<dyn Provider>,
    ledger: MemoryLedger,
    purse: Purse,
    /// Of a whole call, by a layer on top.
    deadline: Option<Duration>,
}

impl Limits {
    fn throw(number: u64, seed: u64, dice: &mut SmallRng, diary: &Diary) -> Self {
        let adapts = dice.random();
        let few = Concurrency::new(dice.random_range(1..6)).queue(dice.random_range(0..9));
        let few = few.max_wait(SECOND * dice.random_range(0..90));
        let few = if adapts { few.adaptive(1..=8) } else { few };
        let rate = RateLimit::new().requests(dice.random_range(3..40)).tokens(dice.random_range(500..20_000));
        let rate = rate.max_wait(SECOND * dice.random_range(0..150)).answer_tokens(100);
        let breaker = Breaker::new().minimum_calls(dice.random_range(2..8)).probes(dice.random_range(1..3));
        Self {
            service: Chaos::new(&format!("chaos-{number}"), seed * 7 + number, diary),
            rate: dice.random::<bool>().then_some(rate),
            few: dice.random::<bool>().then_some(few),
            adapts,
            breaker: dice.random::<bool>().then_some(breaker),
        }
    }

    fn stack(&self, seed: u64, service: impl Provider) -> Arc<dyn Provider> {
        Stack::new()
            .layer(self.rate.clone().map_or_else(Stack::new, |rate| Stack::new().layer(rate)))
            .layer(self.few.clone())
            .layer(self.breaker.clone())
            .layer(Retry::new().attempts(TRIES).seed(seed))
            .layer(Timeout::new().first_byte(20 * SECOND).idle(15 * SECOND).total(90 * SECOND))
            .over(service)
    }
}

impl World {
    fn throw(seed: u64) -> (Self, SmallRng) {
        let mut dice = SmallRng::seed_from_u64(seed);
        let diary = Diary::default();
        let targets: Vec<_> = (0..dice.random_range(1..4))
            .map(|number| Limits::throw(number, seed, &mut dice, &diary))
            .collect();
        // A store that others keep busy, sometimes.
        let wait = if dice.random_bool(0.25) { dice.random_range(0..5000) } else { 0 };
        let (ledger, purse) = (MemoryLedger::new(), Purse::slow(Duration::from_millis(wait)));
        // Sometimes there isn't enough for a second target, once the first is charged.
        let most = if dice.random_bool(0.25) { ESTIMATE * 3 / 2 } else { ESTIMATE * 99 };
        let ready = targets.iter().map(|target| {
            let one = purse.around(most, target.stack(seed, target.service.clone()));
            Target::new(one).model(target.service.name())
        });
        let hedge = dice.random_bool(0.25).then(|| SECOND * dice.random_range(1..10));
        let patience = hedge.unwrap_or(Duration::MAX);
        let strategies = [Strategy::RoundRobin, Strategy::LeastBusy, Strategy::Fastest, Strategy::Cheapest];
        let top: Arc<dyn Provider> = match strategies.get(dice.random_range(0..8)) {
            Some(strategy) => Arc::new(Balance::new("all", ready).strategy(*strategy).hedge_after(patience)),
            None => Arc::new(Fallback::new("all", ready).hedge_after(patience)),
        };
        let deadline = dice.random::<bool>().then(|| SECOND * dice.random_range(1..200));
        let llm = Stack::new()
            .layer(Cost::new(prices).ledger(ledger.clone()).clock(noon))
            .layer(deadline.map(|deadline| Timeout::new().total(deadline)))
            .over(top);
        (Self { diary, targets, llm, ledger, purse, deadline }, dice)
    }
}

/// A call as the caller wants it.
struct Plan {
    id: u32,
    begins: Duration,
    streams: bool,
    left: Option<Duration>,
    /// When the caller goes away.
    leaves: Option<Duration>,
    /// What a reader does before it takes each event, the end included.
    pauses: [Duration; 5],
}

impl Plan {
    fn throw(id: u32, dice: &mut SmallRng) -> Self {
        Self {
            id,
            begins: Duration::from_millis(dice.random_range(0..150_000)),
            streams: dice.random(),
            left: dice.random_bool(0.4).then(|| Duration::from_millis(dice.random_range(0..120_000))),
            leaves: dice.random_bool(0.2).then(|| Duration::from_millis(dice.random_range(0..30_000))),
            pauses: [0; 5].map(|_: u8| match dice.random_range(0..10) {
                0 => Duration::from_millis(dice.random_range(0..60_000)),
                _ => Duration::ZERO,
            }),
        }
    }

    fn request(&self) -> Request {
        let body = json!({ "model": "all", "messages": [{ "role": "user", "content": "?" }], "stream": self.streams, "max_tokens": ESTIMATE });
        let mut request = Request::chat(&body).unwrap();
        request.extensions.insert(Tag(self.id.to_string()));
        request.extensions.insert(Call(self.id));
        if let Some(left) = self.left {
            TimeLeft::limit(&mut request, left);
        }
        request
    }
}

/// What became of a call.
struct Outcome {
    plan: Plan,
    took: Duration,
    /// When the reader's last pause is over.
    resumed: Duration,
    /// The number of when the answer was handed on.
    handed_on: Option<u64>,
    attempts: Option<u32>,
    failed: Option<Error>,
    content: Vec<String>,
    /// When the last event was taken.
    last_event: Duration,
}

async fn make(world: &World, plan: Plan) -> Outcome {
    sleep(plan.begins).await;
    let started = Instant::now();
    let mut outcome = Outcome {
        took: Duration::ZERO,
        resumed: Duration::ZERO,
        handed_on: None,
        attempts: None,
        failed: None,
        content: Vec::new(),
        last_event: Duration::ZERO,
        plan,
    };
    let leaves = outcome.plan.leaves.unwrap_or(Duration::MAX);
    let _left = timeout(leaves, follow(world, &mut outcome, started)).await;
    outcome.took = started.elapsed();
    outcome
}

/// Sends the call and reads the answer to its end.
async fn follow(world: &World, outcome: &mut Outcome, started: Instant) {
    let response = match world.llm.send(outcome.plan.request()).await {
        Ok(response) => response,
        Err(error) => {
            outcome.attempts = Some(error.attempts());
            outcome.failed = Some(error);
            return;
        }
    };
    outcome.handed_on = Some(world.diary.number());
    outcome.attempts = Some(response.head.attempts());
    match response.body {
        Body::Json(json) => outcome.content.push(content(&serde_json::from_slice(&json).unwrap())),
        Body::Events(mut events) => {
            let mut pauses = outcome.plan.pauses.into_iter();
            loop {
                outcome.pause(pauses.next(), started).await;
                let Some(event) = events.next().await else { break };
                assert!(outcome.failed.is_none(), "nothing comes after an error");
                match event {
                    Ok(event) => {
                        outcome.last_event = started.elapsed();
                        outcome.content.push(content(&event.json().unwrap()));
                    }
                    Err(error) => outcome.failed = Some(error),
                }
            }
            assert!(events.next().await.is_none(), "an end is an end");
        }
        _ => panic!("an answer to a chat is one of the two"),
    }
}

fn content(answer: &Value) -> String {
    let choice = &answer["choices"][0];
    choice["message"]["content"]
        .as_str()
        .or(choice["delta"]["content"].as_str())
        .unwrap_or_default()
        .to_owned()
}

impl Outcome {
    async fn pause(&mut self, pause: Option<Duration>, started: Instant) {
        if let Some(pause) = pause.filter(|pause| !pause.is_zero()) {
            // Before it, since a caller may leave in the middle.
            self.resumed = started.elapsed().saturating_add(pause);
            sleep(pause).await;
        }
    }

    fn check(&self, world: &World) {
        self.has_one_end();
        self.begins_with_content();
        let asked: Vec<u64> = world
            .diary
            .asked()
            .iter()
            .filter(|asked| asked.call == self.plan.id)
            .map(|asked| asked.at)
            .collect();
        if let Some(handed_on) = self.handed_on {
            assert!(
                asked.iter().all(|at| *at < handed_on),
                "nothing is asked again once an answer was handed on"
            );
        }
        let mut sources: Vec<_> = self.content.iter().filter(|content| !content.is_empty()).collect();
        sources.dedup();
        assert!(sources.len() <= 1, "an answer is of one try: {sources:?}");
        self.is_in_time(world);
        self.tells_its_tries(world, asked.len());
        self.is_written_down_once(world, asked.len());
        self.is_charged_once(world);
    }

    fn has_one_end(&self) {
        let ended = self.attempts.is_some();
        assert!(ended || self.is_left(), "a call ends");
        let wanted = if self.plan.streams { 4 } else { 1 };
        assert!(!self.is_whole() || self.content.len() == wanted, "what is cut is not whole");
    }

    /// What fails before its first content is asked again, or elsewhere, and is an error in the end. Only who is late to take it
    /// finds a stream without.
    fn begins_with_content(&self) {
        let is_late = self.failed.as_ref().is_some_and(|error| error.kind() == ErrorKind::Timeout);
        let has_content = self.content.iter().any(|content| !content.is_empty());
        assert!(
            self.handed_on.is_none() || has_content || is_late || self.is_left(),
            "handed on without content: {:?}",
            self.failed
        );
    }

    fn is_in_time(&self, world: &World) {
        if let Some(whole) = world.deadline {
            let end = self.plan.left.map_or(whole, |left| left.min(whole));
            assert!(self.last_event <= end + TICKS, "an event at {:?}, after {end:?}", self.last_event);
        }
        let deadline = [world.deadline, self.plan.left, self.plan.leaves].into_iter().flatten().min();
        assert!(
            deadline.is_none_or(|deadline| self.took <= deadline.max(self.resumed) + TICKS),
            "took {:?} of {deadline:?}, the last pause until {:?}: {:?}",
            self.took,
            self.resumed,
            self.failed
        );
    }

    fn tells_its_tries(&self, world: &World, asked: usize) {
        let asked = u32::try_from(asked).unwrap();
        let most = TRIES * u32::try_from(world.targets.len()).unwrap();
        assert!(asked <= most, "asked {asked} times");
        if let Some(attempts) = self.attempts {
            assert!(asked <= attempts, "asked {asked} times and told of {attempts}: {:?}", self.failed);
        }
    }

    fn is_whole(&self) -> bool {
        self.handed_on.is_some() && self.failed.is_none() && !self.is_left()
    }

    fn is_left(&self) -> bool {
        self.plan.leaves.is_some_and(|leaves| self.took >= leaves)
    }

    fn is_written_down_once(&self, world: &World, asked: usize) {
        let (entries, tag) = (world.ledger.entries(), self.plan.id.to_string());
        let mut mine = entries.iter().filter(|entry| entry.tag.as_ref() == Some(&tag));
        let entry = mine.next().expect("a call is written down");
        assert!(mine.next().is_none(), "and once");
        if self.is_whole() {
            assert_eq!((entry.outcome, &entry.cost), (Written::Ok, &Priced::Known(Money::new(COST, "USD"))));
        }
        let asked = u32::try_from(asked).unwrap();
        assert!(self.is_left() || asked <= entry.attempts, "asked {asked} times: {entry:?}");
    }

    /// A target's budget charges a call once, whatever its retries are.
    fn is_charged_once(&self, world: &World) {
        let (charged, passes) = (world.purse.charged(self.plan.id), world.purse.passes(self.plan.id));
        assert!(charged <= Decimal::from(ESTIMATE) * Decimal::from(passes), "{charged} of {passes}");
        if self.is_whole() {
            assert!(charged >= Decimal::from(COST), "an answer costs something");
            assert!(passes > 1 || charged == Decimal::from(COST), "one answer, and charged {charged}");
        }
    }
}

impl Limits {
    /// Everything that was taken is given back: all of it can be taken again.
    async fn are_free(&self) {
        assert_eq!(self.service.running(), 0, "nothing goes on at the service");
        if let Some(few) = &self.few {
            assert_eq!((few.in_flight(), few.waiting()), (0, 0));
            if !self.adapts {
                assert!(self.service.peak() <= few.limit(), "never more than the limit");
            }
        }
        if let Some(rate) = &self.rate {
            assert_eq!(rate.waiting(), 0);
        }
        let calm = self.stack(0, MockProvider::reply("Yes."));
        assert_eq!(calm.ask("?").await.unwrap(), "Yes.");
        let many = self.few.as_ref().map_or(1, Concurrency::limit).min(3);
        let many =
            self.rate.as_ref().and_then(RateLimit::requests_left).map_or(many, |left| many.min(left as u32));
        let mut streams = Vec::new();
        for _ in 0..many {
            streams.push(calm.chat_stream("?").await.unwrap());
        }
    }
}

fn run(seed: u64) {
    paused(async {
        let (world, mut dice) = World::throw(seed);
        let plans: Vec<_> = (0..CALLS).map(|id| Plan::throw(id, &mut dice)).collect();
        let calls = join_all(plans.into_iter().map(|plan| make(&world, plan)));
        let outcomes = timeout(24 * 3600 * SECOND, calls).await.expect("every call ends");
        for outcome in &outcomes {
            outcome.check(&world);
        }
        drop(outcomes);
        advance(2 * 3600 * SECOND).await;
        for target in &world.targets {
            target.are_free().await;
        }
    });
}

/// `CHAOS_SEEDS=2000` tries more of them than there is time for each time.
fn seeds() -> u64 {
    std::env::var("CHAOS_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(400)
}

/// Each call has one outcome, nothing is repeated after it was handed on, nothing leaks, no more is asked than is told, each
/// call is written down and charged once, and no deadline is passed.
#[test]
fn every_stack_keeps_its_promises_whatever_its_providers_do() {
    let tell = |seed: u64| move |cause| (seed, cause);
    for seed in 0..seeds() {
        let run = std::panic::catch_unwind(|| run(seed)).map_err(tell(seed));
        if let Err((seed, cause)) = run {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(cause);
        }
    }
}
