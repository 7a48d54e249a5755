//! Five services on real sockets, each with a trouble of its own, behind one alias of a configuration: who asks it must not
//! notice, as long as one of them is well.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use futures_util::future::join_all;
use modelswitch_provider::{ApiKey, Body, Request, Response};
use modelswitch_registry::Registry;
use modelswitch_sim::{Personality, Script, Sim};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use crate::support::*;

/// The troubles change from round to round, and not with the clock: a busy machine has the same ones.
const ROUNDS: usize = 20;
const CALLS_A_ROUND: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    /// Down for half of the time: connections are reset, or break off before there is content.
    Outage,
    /// Refuses whatever comes, and only sometimes says for how long.
    Storm,
    /// Has no answer for longer than anybody waits.
    SlowStart,
    /// Up in one round, down in the next.
    Flapping,
    /// From some time on there is no money.
    Poor,
}

const TROUBLES: [Trouble; 5] =
    [Trouble::Outage, Trouble::Storm, Trouble::SlowStart, Trouble::Flapping, Trouble::Poor];

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

    /// The one model of each that the alias names; the services have others, too.
    fn model(self) -> &'static str {
        match self {
            Self::Outage | Self::SlowStart | Self::Poor => "sim-small",
            Self::Storm | Self::Flapping => "sim-large",
        }
    }

    /// Whether it bites in a round, where it begins with another.
    fn bites(self, offset: usize, round: usize) -> bool {
        match self {
            Self::Outage => (offset..offset + ROUNDS / 2).contains(&round),
            Self::Storm | Self::SlowStart => (round + offset) % 8 < 3,
            Self::Flapping => (round + offset).is_multiple_of(2),
            Self::Poor => round >= offset,
        }
    }

    fn script(self, chance: f64) -> Script {
        let script = match self {
            Self::Outage if chance < 0.5 => Script::reset(),
            Self::Outage => Script::normal().cut_after(0),
            Self::Storm if chance < 0.3 => Script::status(429).header("retry-after", "1"),
            Self::Storm => Script::status(429),
            Self::SlowStart => Script::normal().delay(std::time::Duration::from_secs(600)),
            Self::Flapping => Script::status(503),
            Self::Poor => Script::status(402),
        };
        script.times(usize::MAX)
    }
}

struct World {
    sims: Vec<Sim>,
    offsets: Vec<usize>,
    registry: Registry,
}

impl World {
    async fn throw(dice: &mut SmallRng, way: &str) -> Self {
        let mut sims = Vec::new();
        for _ in TROUBLES {
            sims.push(Sim::builder().personality(Personality::OpenAi).start().await.unwrap());
        }
        let offsets = TROUBLES.map(|_| dice.random_range(1..ROUNDS)).to_vec();
        let registry = registry(&sims, way);
        Self { sims, offsets, registry }
    }

    /// Whether a service is well that nobody was asked to leave alone.
    fn has_a_well_one(&self, round: usize) -> bool {
        TROUBLES.iter().zip(&self.offsets).any(|(trouble, offset)| {
            // What it asked for lasts longer than a round may.
            let since = if *trouble == Trouble::Storm { 0 } else { round };
            (since..=round).all(|round| !trouble.bites(*offset, round))
        })
    }

    fn put_in_trouble(&self, round: usize, dice: &mut SmallRng) {
        for ((trouble, offset), sim) in TROUBLES.iter().zip(&self.offsets).zip(&self.sims) {
            sim.clear_scripts();
            if trouble.bites(*offset, round) {
                sim.script(trouble.script(dice.random()));
            }
        }
    }

    /// Whether the call is served to its last event.
    async fn is_served(&self, number: usize) -> bool {
        let messages = json!([{ "role": "user", "content": "?" }]);
        let user = format!("user {}", number % 7);
        let stream = number.is_multiple_of(2);
        let body = json!({ "model": "smart", "messages": messages, "user": user, "stream": stream });
        match self.registry.router().send(Request::chat(&body).unwrap()).await {
            Ok(Response { body: Body::Events(events), .. }) => {
                events.all(|event| std::future::ready(event.is_ok())).await
            }
            Ok(_) => true,
            Err(_) => false,
        }
    }

    /// Which models were asked for that the alias doesn't name; the requests are forgotten.
    fn strangers(&self) -> BTreeSet<String> {
        let asked = TROUBLES.iter().zip(&self.sims).flat_map(|(trouble, sim)| {
            let requests = sim.requests();
            sim.clear_requests();
            let models =
                requests.into_iter().filter_map(|request| Some(request.json().get("model")?.to_string()));
            models.filter(|model| !model.contains(trouble.model())).collect::<Vec<_>>()
        });
        asked.collect()
    }
}

fn registry(sims: &[Sim], way: &str) -> Registry {
    let mut toml = String::from(
        "[retry]\nattempts = 2\nbase_delay = '1ms'\nmax_retry_after = '10ms'\n\
         [timeout]\nfirst_byte = '2s'\nidle = '30s'\ntotal = '2m'\n\
         [limits]\nconcurrent = 64\nrequests_per_minute = 6000\nwait = '30s'\nadaptive = true\n\
         [breaker]\nminimum_calls = 3\nfailure_rate = 0.2\n",
    );
    for (trouble, sim) in TROUBLES.iter().zip(sims) {
        let (name, url) = (trouble.name(), sim.base_url());
        toml += &format!("[providers.{name}]\nprofile = 'openai-compatible'\nbase_url = '{url}'\n");
    }
    // Whoever waits for it twice waits in vain twice.
    toml += "[providers.slow-start.retry]\nattempts = 1\n";
    let targets: Vec<String> =
        TROUBLES.iter().map(|trouble| format!("'{}/{}'", trouble.name(), trouble.model())).collect();
    toml += &format!("[models.smart]\ntargets = [{}]\n{way}\n", targets.join(", "));
    let named = TROUBLES.iter().zip(sims);
    let builder = named.fold(text(&toml), |builder, (trouble, sim)| {
        builder.api_key(trouble.name(), ApiKey::new(sim.key()).unwrap())
    });
    builder.build().unwrap()
}

/// How many calls there were while one service was well, and how many of these were served.
async fn run(seed: u64, way: &str) -> (usize, usize) {
    let mut dice = SmallRng::seed_from_u64(seed);
    let world = World::throw(&mut dice, way).await;
    let (mut counted, mut served) = (0, 0);
    for round in 0..ROUNDS {
        world.put_in_trouble(round, &mut dice);
        let calls = (0..CALLS_A_ROUND).map(|number| world.is_served(round * CALLS_A_ROUND + number));
        let outcomes = join_all(calls).await;
        if world.has_a_well_one(round) {
            counted += outcomes.len();
            served += outcomes.into_iter().filter(|is_served| *is_served).count();
        }
        assert_eq!(world.strangers(), BTreeSet::new(), "never another model than those of the alias");
    }
    (counted, served)
}

/// All seeds at once: they wait more than they work.
async fn check(way: &str) {
    let runs = join_all((0..3).map(|seed| run(seed, way))).await;
    let (counted, served) = runs.into_iter().fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    assert!(counted > ROUNDS * CALLS_A_ROUND, "most of the time one is well: {counted}");
    assert!(served * 1000 >= counted * 999, "{way}: {served} of {counted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_providers_in_trouble_serve_whatever_a_well_one_among_them_could_in_order() {
    check("").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_providers_in_trouble_serve_whatever_a_well_one_among_them_could_in_turn() {
    check("strategy = 'round_robin'").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_providers_in_trouble_serve_whatever_a_well_one_among_them_could_by_user() {
    check("strategy = 'least_busy'\nsticky = 'user'").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_providers_in_trouble_serve_whatever_a_well_one_among_them_could_fastest_first() {
    check("strategy = 'fastest'").await;
}
