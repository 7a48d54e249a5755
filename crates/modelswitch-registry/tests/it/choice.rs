use futures_util::StreamExt;
use modelswitch_provider::{ApiKey, Body, ErrorKind, Provider, ProviderExt, Request, Response};
use modelswitch_registry::Registry;
use modelswitch_sim::{Personality, Script, Sim};
use serde_json::json;

use crate::support::*;

async fn sim() -> Sim {
    Sim::builder().personality(Personality::OpenAi).start().await.unwrap()
}

/// Providers `a`, `b` … over simulated services, each tried once, and these aliases.
fn registry(urls: &[&str], models: &str) -> Registry {
    let mut toml = "[retry]\nattempts = 1\n".to_owned();
    for (name, url) in ["a", "b", "c"].iter().zip(urls) {
        toml += &format!("[providers.{name}]\nprofile = 'openai-compatible'\nbase_url = '{url}'\n");
    }
    toml += &format!("[models]\n{models}\n");
    let mut builder = text(&toml);
    for (name, _) in ["a", "b", "c"].iter().zip(urls) {
        builder = builder.api_key(*name, ApiKey::new("sk-sim").unwrap());
    }
    builder.build().unwrap()
}

async fn open_to_all() -> Sim {
    Sim::builder().personality(Personality::OpenAi).any_key(true).start().await.unwrap()
}

fn question(stream: bool) -> Request {
    let body =
        json!({ "model": "smart", "stream": stream, "messages": [{ "role": "user", "content": "?" }] });
    Request::chat(&body).unwrap()
}

fn answered_by(response: &Response) -> Option<&str> {
    response.head.provider.as_deref()
}

const IN_ORDER: &str = "smart = ['a/sim-small', 'b/sim-small']";

#[tokio::test]
async fn an_alias_falls_back_when_its_first_target_fails_and_tells_who_failed() {
    let (a, b) = (open_to_all().await, open_to_all().await);
    let registry = registry(&[a.base_url(), b.base_url()], IN_ORDER);
    for (status, kind) in [
        (401, ErrorKind::Authentication),
        (402, ErrorKind::InsufficientBalance),
        (429, ErrorKind::RateLimited),
        (503, ErrorKind::Overloaded),
    ] {
        for stream in [false, true] {
            a.script(Script::status(status).json(json!({ "error": { "message": "no" } })));
            let response = registry.router().send(question(stream)).await.unwrap();
            let failed = &response.head.failures;
            assert_eq!((answered_by(&response), failed.len()), (Some("b"), 1), "{status}");
            assert_eq!((failed[0].kind, failed[0].provider.as_deref()), (kind, Some("a")), "{status}");
            assert_eq!(failed[0].model.as_deref(), Some("sim-small"));
        }
    }
    let response = registry.model("smart").unwrap().send(question(false)).await.unwrap();
    assert_eq!((answered_by(&response), response.head.attempts()), (Some("a"), 1));
}

#[tokio::test]
async fn an_alias_falls_back_from_a_service_that_is_not_there() {
    let b = open_to_all().await;
    // Port 1 is nobody's.
    let registry = registry(&["http://127.0.0.1:1/v1", b.base_url()], IN_ORDER);
    let response = registry.router().send(question(true)).await.unwrap();
    assert_eq!(answered_by(&response), Some("b"));
    assert_eq!(response.head.failures[0].kind, ErrorKind::Connection);
}

#[tokio::test]
async fn a_stream_falls_back_before_its_first_content_and_never_after() {
    let (a, b) = (open_to_all().await, open_to_all().await);
    let registry = registry(&[a.base_url(), b.base_url()], IN_ORDER);
    a.script(Script::normal().cut_after_events(0));
    let response = registry.router().send(question(true)).await.unwrap();
    assert_eq!(answered_by(&response), Some("b"));

    a.script(Script::normal().cut_after_events(2));
    let response = registry.router().send(question(true)).await.unwrap();
    assert_eq!(answered_by(&response), Some("a"));
    let Body::Events(events) = response.body else { panic!("a stream") };
    let last = events.collect::<Vec<_>>().await.pop().unwrap();
    let error = last.unwrap_err();
    assert_eq!((error.kind(), error.provider()), (ErrorKind::Interrupted, Some("a")));
    assert_eq!(b.requests().len(), 1);
}

#[tokio::test]
async fn when_all_fail_the_error_tells_of_each_and_nobody_else_is_asked() {
    let (a, b, c) = (open_to_all().await, open_to_all().await, open_to_all().await);
    let registry = registry(&[a.base_url(), b.base_url(), c.base_url()], IN_ORDER);
    for sim in [&a, &b] {
        sim.script(Script::status(503).times(1));
    }
    let error = registry.router().send(question(false)).await.unwrap_err();
    assert_eq!((error.kind(), error.provider(), error.attempts()), (ErrorKind::Overloaded, Some("b"), 2));
    assert_eq!(error.failures()[0].provider.as_deref(), Some("a"));
    assert!(c.requests().is_empty(), "it isn't in the alias's list");
}

#[tokio::test]
async fn what_is_wrong_with_the_request_is_wrong_everywhere() {
    let (a, b) = (open_to_all().await, open_to_all().await);
    let registry = registry(&[a.base_url(), b.base_url()], IN_ORDER);
    a.script(Script::status(422).json(json!({ "error": { "message": "no" } })));
    let error = registry.router().send(question(false)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(b.requests().is_empty());
}

#[tokio::test]
async fn each_target_gets_the_aliass_parameters_under_its_own_model() {
    let (a, b) = (open_to_all().await, open_to_all().await);
    let models = "smart = { targets = ['a/sim-small', 'b/other'], defaults = { temperature = 0.2 } }";
    let registry = registry(&[a.base_url(), b.base_url()], models);
    a.script(Script::status(503));
    b.script(Script::normal());
    registry.router().send(question(false)).await.ok();
    for (sim, model) in [(&a, "sim-small"), (&b, "other")] {
        let body: serde_json::Value = sim.requests().pop().unwrap().json();
        assert_eq!((&body["model"], &body["temperature"]), (&json!(model), &json!(0.2)));
    }
}

/// How often each of two services answered eight calls.
async fn spread(alias: &str) -> (usize, usize) {
    let (a, b) = (open_to_all().await, open_to_all().await);
    let registry = registry(&[a.base_url(), b.base_url()], alias);
    for _ in 0..8 {
        registry.router().send(question(false)).await.unwrap();
    }
    (a.requests().len(), b.requests().len())
}

#[tokio::test]
async fn a_round_robin_spreads_by_weight_and_balance_is_another_word_for_it() {
    let targets = "targets = ['a/sim-small', 'b/sim-small']";
    for strategy in ["round_robin", "balance"] {
        assert_eq!(spread(&format!("smart = {{ {targets}, strategy = '{strategy}' }}")).await, (4, 4));
        let weighted = format!("smart = {{ {targets}, strategy = '{strategy}', weights = [3, 1] }}");
        assert_eq!(spread(&weighted).await, (6, 2));
        let fractions = format!("smart = {{ {targets}, strategy = '{strategy}', weights = [0.25, 0.75] }}");
        assert_eq!(spread(&fractions).await, (2, 6));
    }
    assert_eq!(
        spread("smart = { target = 'inner' }\ninner = { targets = ['a/sim-small', 'b/sim-small'], strategy = 'balance' }")
            .await,
        (4, 4),
        "an alias of an alias chooses as that one does"
    );
}

#[tokio::test]
async fn the_other_strategies_reach_both_or_stay_where_they_should() {
    let targets = "targets = ['a/sim-small', 'b/sim-small']";
    for strategy in ["least_busy", "fastest", "cheapest"] {
        let (a, b) = spread(&format!("smart = {{ {targets}, strategy = '{strategy}' }}")).await;
        assert_eq!(a + b, 8, "{strategy}");
    }
    let (a, b) =
        spread(&format!("smart = {{ {targets}, strategy = 'round_robin', sticky = 'conversation' }}")).await;
    assert!((a, b) == (8, 0) || (a, b) == (0, 8), "one conversation stays at one target: {a}, {b}");
}

#[tokio::test]
async fn a_hedge_asks_the_next_target_beside_a_slow_one() {
    let (a, b) = (open_to_all().await, open_to_all().await);
    let models = "smart = { targets = ['a/sim-small', 'b/sim-small'], hedge_after = '20ms' }";
    let registry = registry(&[a.base_url(), b.base_url()], models);
    a.script(Script::normal().delay(std::time::Duration::from_secs(600)));
    let response = registry.router().send(question(false)).await.unwrap();
    assert_eq!(answered_by(&response), Some("b"));
}

#[tokio::test]
async fn a_reload_that_changes_nothing_of_an_alias_keeps_its_turn() {
    let (a, b) = (sim().await, sim().await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("modelswitch.toml");
    let write = |more: &str| {
        let toml = format!(
            "[providers.a]\nprofile = 'openai-compatible'\nbase_url = '{}'\n[providers.b]\nprofile = 'openai-compatible'\nbase_url = '{}'\n\
             [models]\nsmart = {{ targets = ['a/sim-small', 'b/sim-small'], strategy = 'round_robin' }}\n{more}",
            a.base_url(),
            b.base_url()
        );
        std::fs::write(&file, toml).unwrap();
    };
    write("");
    let registry = Registry::builder()
        .file(&file)
        .environment([])
        .api_key("a", ApiKey::new(a.key()).unwrap())
        .api_key("b", ApiKey::new(b.key()).unwrap())
        .build()
        .unwrap();
    for turn in 0..4 {
        registry.router().send(question(false)).await.unwrap();
        write(&format!("other{turn} = 'a/x'\n"));
        registry.reload().unwrap();
    }
    assert_eq!((a.requests().len(), b.requests().len()), (2, 2));
    let smart = registry.model("smart").unwrap();
    assert!(smart.ask("?").await.is_ok());
}
