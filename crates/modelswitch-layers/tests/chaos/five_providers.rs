//! Five providers, each with a trouble of its own, behind one alias: who asks it must not notice, as long as one of them is well.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::future::join_all;
use modelswitch_layers::{
    Balance, Breaker, Concurrency, Fallback, RateLimit, Retry, Stack, StickyBy, Strategy, Target, Timeout,
};
use modelswitch_provider::mock::reply;
use modelswitch_provider::{Body, Error, ErrorKind, Provider, Request, Response, Result};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rust_decimal::Decimal;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::paused;

const SECOND: Duration = Duration::from_secs(1);
/// Half an hour.
const SPAN: u32 = 1800;
/// What a call has, and what a service asks for, in seconds.
const DEADLINE: u32 = 60;
const RETRY_AFTER: u32 = 20;
const CALLS: usize = 2000;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    /// Down for a quarter of an hour: connections are refused, or nobody answers.
    Outage,
    /// Five minutes of every ten it refuses whatever comes, and only sometimes says for how long.
    Storm,
    /// Five minutes of every ten it takes forty seconds for an answer.
    SlowStart,
    /// Fifteen seconds up, fifteen seconds down.
    Flapping,
    /// From some time on there is no money.
    Poor,
}

const TROUBLES: [Trouble; 5] =
    [Trouble::Outage, Trouble::Storm, Trouble::SlowStart, Trouble::Flapping, Trouble::Poor];

struct Service {
    trouble: Trouble,
    /// When the trouble begins, in seconds.
    offset: u32,
    opened: Instant,
    dice: Mutex<SmallRng>,
    models: Arc<Mutex<BTreeSet<(String, String)>>>,
}

impl Trouble {
    fn name(self) -> &'static str {
        match self {
            Self::Outage => "outage",
            Self::Storm => "storm",
            Self::SlowStart => "slow-start",
            Self::Flapping => "flapping",
            Self::Poor => "poor",
        }
    }

    fn model(self) -> String {
        format!("model-of-{}", self.name())
    }

    /// Whether it bites, so many seconds after the beginning.
    fn bites(self, offset: u32, second: u32) -> bool {
        match self {
            Self::Outage => (offset..offset + 900).contains(&second),
            Self::Storm => (second + offset) % 600 < 300,
            Self::SlowStart => (second + offset) % 600 < 300,
            Self::Flapping => (second + offset) % 30 < 15,
            Self::Poor => second >= offset,
        }
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.trouble)
    }
}

impl Service {
    fn bites(&self) -> bool {
        let second = u32::try_from(self.opened.elapsed().as_secs()).unwrap();
        self.trouble.bites(self.offset, second)
    }

    async fn trouble(&self) -> Result<()> {
        let chance: f64 = self.dice.lock().unwrap().random();
        let fails = |kind| Error::new(kind, "in trouble").with_attempts(1);
        match self.trouble {
            Trouble::Outage if chance < 0.2 => std::future::pending().await,
            Trouble::Outage => Err(fails(ErrorKind::Connection)),
            Trouble::Storm if chance < 0.5 => {
                Err(fails(ErrorKind::RateLimited).with_retry_after(RETRY_AFTER * SECOND))
            }
            Trouble::Storm => Err(fails(ErrorKind::RateLimited)),
            Trouble::SlowStart => {
                sleep(40 * SECOND).await;
                Ok(())
            }
            Trouble::Flapping => Err(fails(ErrorKind::Overloaded)),
            Trouble::Poor => Err(fails(ErrorKind::InsufficientBalance)),
        }
    }
}

#[async_trait]
impl Provider for Service {
    fn name(&self) -> &str {
        self.trouble.name()
    }

    async fn send(&self, request: Request) -> Result<Response> {
        let model = request.model().unwrap_or_default().into_owned();
        self.models.lock().unwrap().insert((self.name().to_owned(), model));
        let wait = self.dice.lock().unwrap().random_range(200..2000);
        sleep(Duration::from_millis(wait)).await;
        if self.bites() {
            self.trouble().await?;
        }
        Ok(reply("Yes.", request.is_stream()))
    }
}

/// As a configuration would have it, with a deadline of a minute for each call.
fn target(service: Service, seed: u64) -> Target {
    let (model, price) = (service.trouble.model(), Decimal::from(service.trouble.name().len()));
    let stack = Stack::new()
        .layer(RateLimit::new().requests(600).max_wait(5 * SECOND))
        .layer(Concurrency::new(32).adaptive(4..=64).max_wait(5 * SECOND))
        .layer(Breaker::new())
        .layer(Retry::new().attempts(2).max_retry_after(2 * SECOND).seed(seed))
        .layer(Timeout::new().first_byte(10 * SECOND).idle(10 * SECOND));
    Target::new(stack.over(service)).model(model).price(price)
}

struct World {
    llm: Arc<dyn Provider>,
    offsets: [u32; 5],
    models: Arc<Mutex<BTreeSet<(String, String)>>>,
}

impl World {
    fn throw(seed: u64, dice: &mut SmallRng, strategy: Option<Strategy>, sticky: bool) -> Self {
        let models = Arc::default();
        let offsets = [0; 5].map(|_: u8| dice.random_range(60..1200));
        let opened = Instant::now();
        let targets = TROUBLES.iter().zip(offsets).map(|(trouble, offset)| {
            let dice = Mutex::new(SmallRng::seed_from_u64(seed + u64::from(offset)));
            target(Service { trouble: *trouble, offset, opened, dice, models: Arc::clone(&models) }, seed)
        });
        let top: Arc<dyn Provider> = match strategy {
            None => Arc::new(Fallback::new("smart", targets)),
            Some(strategy) if sticky => {
                Arc::new(Balance::new("smart", targets).strategy(strategy).sticky(StickyBy::User))
            }
            Some(strategy) => Arc::new(Balance::new("smart", targets).strategy(strategy)),
        };
        let llm = Stack::new().layer(Timeout::new().total(DEADLINE * SECOND)).over(top);
        Self { llm, offsets, models }
    }

    /// Whether one target is well for the whole time that a call has. One that asked to be left alone isn't until that is over.
    fn has_a_well_one(&self, second: u32) -> bool {
        TROUBLES.iter().zip(self.offsets).any(|(trouble, offset)| {
            let since = if *trouble == Trouble::Storm { second.saturating_sub(RETRY_AFTER) } else { second };
            (since..=second + DEADLINE).all(|second| !trouble.bites(offset, second))
        })
    }

    /// Whether the call is served to its last event.
    async fn is_served(&self, number: usize) -> bool {
        let user = format!("user {}", number % 50);
        let body =
            json!({ "model": "smart", "messages": [], "user": user, "stream": number.is_multiple_of(2) });
        match self.llm.send(Request::chat(&body).unwrap()).await {
            Ok(Response { body: Body::Events(events), .. }) => {
                events.all(|event| std::future::ready(event.is_ok())).await
            }
            Ok(_) => true,
            Err(_) => false,
        }
    }
}

/// How many calls there were while one target was well, and how many of these were served.
async fn half_an_hour(seed: u64, strategy: Option<Strategy>, sticky: bool) -> (usize, usize) {
    let mut dice = SmallRng::seed_from_u64(seed);
    let world = World::throw(seed, &mut dice, strategy, sticky);
    let begins: Vec<u32> = (0..CALLS).map(|_| dice.random_range(0..SPAN * 1000)).collect();
    let calls = begins.into_iter().enumerate().map(|(number, millis)| {
        let world = &world;
        async move {
            sleep(Duration::from_millis(millis.into())).await;
            let counts = world.has_a_well_one(millis / 1000);
            let served = world.is_served(number).await;
            (usize::from(counts), usize::from(counts && served))
        }
    });
    let (counted, served) =
        join_all(calls).await.into_iter().fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    let list: BTreeSet<_> =
        TROUBLES.iter().map(|trouble| (trouble.name().to_owned(), trouble.model())).collect();
    let asked = world.models.lock().unwrap().clone();
    assert!(asked.is_subset(&list), "never another model than those of the alias: {asked:?}");
    (counted, served)
}

#[test]
fn five_providers_in_trouble_serve_whatever_a_well_one_among_them_could() {
    let ways = [
        (None, false),
        (Some(Strategy::RoundRobin), false),
        (Some(Strategy::RoundRobin), true),
        (Some(Strategy::LeastBusy), false),
        (Some(Strategy::Fastest), false),
        (Some(Strategy::Cheapest), false),
    ];
    for (strategy, sticky) in ways {
        let (mut counted, mut served) = (0, 0);
        for seed in 0..4 {
            let (more, of_them) = paused(half_an_hour(seed, strategy, sticky));
            (counted, served) = (counted + more, served + of_them);
        }
        assert!(counted > CALLS * 2, "most of the time one is well: {counted}");
        assert!(served * 1000 >= counted * 999, "{strategy:?} {sticky}: {served} of {counted}");
    }
}
