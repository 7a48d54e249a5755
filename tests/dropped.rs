//! A call through everything that a configuration can put around it, over real sockets, is dropped at each of its await points: it is
//! polled n times and dropped, for n = 0, 1, 2, … until it ends. Nothing is left behind: no connection in use, no place, no turn, no
//! reservation of money, no task.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails loudly")]

#[path = "../crates/modelswitch-layers/tests/polled/mod.rs"]
mod polled;

use std::time::Duration;

use futures_util::StreamExt;
use modelswitch::{ApiKey, Error, ErrorKind, Registry, RegistryBuilder};
use modelswitch_openai::HttpClient;
use modelswitch_provider::{Body, Request};
use modelswitch_sim::{Personality, Script, Sim};
use modelswitch_tests::{ask, tasks, until};
use serde_json::json;

use self::polled::polled;

/// More than a call is ever polled.
const MOST_POLLS: usize = 2_000;
/// Nothing here waits for it; it keeps a test that fails from hanging.
const LONG: Duration = Duration::from_secs(60);
/// What a call reserves: a dollar for each token that its answer may have.
const RESERVED: u64 = 100;
const SERVICES: [&str; 2] = ["one", "two"];

/// One call at once, without a queue: a place that isn't given back refuses the next one. The budget has room for what the dropped
/// call may have cost, for a whole answer and for one more reservation; not for one that nobody settles.
const SETTINGS: &str = r#"
    [profiles.priced]
    extends = "openai-compatible"
    [[profiles.priced.model."sim-small".prices]]
    since = "2020-01-01"
    rates.USD = { input = "0", output = "1000000" }
    [models]
    in_order = ["one/sim-small", "two/sim-small"]
    [models.both_at_once]
    targets = ["one/sim-small", "two/sim-small"]
    hedge_after = "1ms"
    [limits]
    concurrent = 1
    requests_per_minute = 1000000
    tokens_per_minute = 1000000000
    wait = "0s"
    [breaker]
    minimum_calls = 1000
    [cache]
    [retry]
    attempts = 2
    base_delay = "1ms"
    max_delay = "2ms"
    [timeout]
    total = "10m"
    [ledger]
"#;

struct World {
    services: [Sim; 2],
    http: HttpClient,
}

impl World {
    async fn start() -> Self {
        let service = || async {
            let sim = Sim::builder().personality(Personality::OpenAi).chunk_delay(Duration::from_millis(1));
            sim.remember(0).start().await.unwrap()
        };
        Self { services: [service().await, service().await], http: HttpClient::new(LONG).unwrap() }
    }

    /// All layers new, over the same connections; the first try of the first service fails.
    fn registry(&self) -> Registry {
        self.builder().build().unwrap()
    }

    fn builder(&self) -> RegistryBuilder {
        let busy = json!({ "error": { "message": "busy" } });
        self.services[0].clear_scripts();
        self.services[0].script(Script::status(503).json(busy));
        let sections = SERVICES.iter().zip(&self.services).map(|(name, sim)| {
            let budget = format!("budget = {{ day = '{} USD' }}", 2 * RESERVED + RESERVED / 2);
            format!("[providers.{name}]\nprofile = 'priced'\nbase_url = '{}'\n{budget}\n", sim.base_url())
        });
        let builder = Registry::builder()
            .toml(format!("{}{SETTINGS}", sections.collect::<String>()))
            .environment([])
            .http_client(self.http.clone());
        let named = SERVICES.iter().zip(&self.services);
        named.fold(builder, |builder, (name, sim)| builder.api_key(*name, ApiKey::new(sim.key()).unwrap()))
    }

    /// Whatever a dropped call held is free again, at once or when whoever reads for the app has noticed.
    async fn nothing_is_held(&self, registry: &Registry, at_once: bool, polls: usize) {
        for (name, sim) in SERVICES.iter().zip(&self.services) {
            let model = format!("{name}/sim-small");
            let mut next = read(registry, &model, "another question", true).await;
            for _ in 0..6_000 {
                if next.is_ok() || at_once {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
                next = read(registry, &model, "another question", true).await;
            }
            assert!(next.is_ok(), "{model} after {polls} polls: {}", next.unwrap_err().report());
            assert!(sim.wait_idle(LONG).await, "{name} goes on after {polls} polls");
        }
    }
}

fn request(model: &str, question: &str, streams: bool) -> Request {
    let body = json!({
        "model": model, "stream": streams, "temperature": 0, "max_tokens": RESERVED,
        "messages": [{ "role": "user", "content": question }],
    });
    Request::chat(&body).unwrap()
}

/// Makes a call and reads its answer to the end.
async fn read(registry: &Registry, model: &str, question: &str, streams: bool) -> Result<(), Error> {
    if let Body::Events(mut events) = registry.router().send(request(model, question, streams)).await?.body {
        while let Some(event) = events.next().await {
            event?;
        }
    }
    Ok(())
}

/// The same as an app on async-openai does it.
async fn read_as_an_app(registry: &Registry, model: &str, streams: bool) {
    let mut request = ask(model, "a question");
    (request.temperature, request.max_completion_tokens) = (Some(0.0), Some(RESERVED.try_into().unwrap()));
    let client = registry.client().unwrap();
    if streams {
        let mut chunks = client.chat().create_stream(request).await.unwrap();
        while let Some(chunk) = chunks.next().await {
            chunk.unwrap();
        }
    } else {
        client.chat().create(request).await.unwrap();
    }
}

/// Drops a call at each of its polls; how many those are.
async fn drop_at_every_poll(
    at_once: bool,
    call: impl AsyncFn(&Registry, bool) + Copy,
    streams: bool,
) -> usize {
    let before = tasks();
    let world = World::start().await;
    for polls in 0..MOST_POLLS {
        let registry = world.registry();
        let ended = polled(polls, call(&registry, streams)).await;
        world.nothing_is_held(&registry, at_once, polls).await;
        if ended.is_none() {
            continue;
        }
        let World { services, http } = world;
        drop((registry, http));
        until("the connections are closed", || services.iter().all(|sim| sim.open_connections() == 0)).await;
        drop(services);
        until("no task is left", || tasks() <= before).await;
        return polls;
    }
    panic!("it never ends")
}

/// What the other tests go by: a place and reservations that somebody keeps refuse the next call.
#[tokio::test]
async fn what_is_held_is_noticed() {
    let world = World::start().await;
    for (places, refusal) in [(1, "concurrency_limit"), (9, "budget_exceeded")] {
        let registry = world.builder().set("limits.concurrent", places).build().unwrap();
        let mut held = Vec::new();
        let mut refused = None;
        while refused.is_none() && held.len() < 9 {
            let question = format!("question {}", held.len());
            match registry.router().send(request("one/sim-small", &question, true)).await {
                Ok(response) => held.push(response),
                Err(error) => refused = Some(error),
            }
        }
        let held = held.len();
        let Some(refused) = refused else { panic!("{held} calls are held, and none is refused") };
        assert_eq!((refused.kind(), refused.code()), (ErrorKind::Rejected, Some(refusal)));
        assert!(held <= 2, "only after {held} calls: {}", refused.message());
    }
}

#[tokio::test]
async fn a_call_of_an_alias_that_falls_back_leaves_nothing_behind() {
    let call = async |registry: &Registry, streams: bool| {
        read(registry, "in_order", "a question", streams).await.unwrap();
    };
    assert!(drop_at_every_poll(true, call, false).await > 3);
    assert!(drop_at_every_poll(true, call, true).await > 5);
}

#[tokio::test]
async fn a_call_that_asks_two_services_at_once_leaves_nothing_behind() {
    let call = async |registry: &Registry, streams: bool| {
        read(registry, "both_at_once", "a question", streams).await.unwrap();
    };
    assert!(drop_at_every_poll(true, call, false).await > 3);
    assert!(drop_at_every_poll(true, call, true).await > 5);
}

/// async-openai reads a stream in a task of its own, which notices with the next event that nobody listens.
#[tokio::test]
async fn a_call_of_an_app_leaves_nothing_behind() {
    let call = async |registry: &Registry, streams: bool| {
        read_as_an_app(registry, "both_at_once", streams).await;
    };
    assert!(drop_at_every_poll(true, call, false).await > 3);
    assert!(drop_at_every_poll(false, call, true).await > 2);
}
