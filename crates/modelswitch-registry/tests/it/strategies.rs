//! What each strategy of an alias does, over simulated services on real sockets.

use std::time::Duration;

use modelswitch_provider::{ChatRequest, Provider, ProviderExt, Request};
use modelswitch_registry::Registry;
use modelswitch_sim::{Script, Sim};
use serde_json::json;

use crate::support::*;

/// Two services `a` and `b`, and what the configuration says besides.
struct Pair {
    a: Sim,
    b: Sim,
}

impl Pair {
    async fn start() -> Self {
        Self { a: Sim::start().await.unwrap(), b: Sim::start().await.unwrap() }
    }

    fn registry(&self, lines: &str) -> Registry {
        self.registry_at(self.a.base_url(), lines)
    }

    fn registry_at(&self, a: &str, lines: &str) -> Registry {
        self.registry_under("", a, lines)
    }

    fn registry_under(&self, top: &str, a: &str, lines: &str) -> Registry {
        let b = self.b.base_url();
        let provider = |name: &str, url: &str| {
            format!("[providers.{name}]\nprofile = 'deepseek'\nbase_url = '{url}'\nretry.attempts = 1\n")
        };
        let toml = format!("{top}\n{}{}{lines}", provider("a", a), provider("b", b));
        let key = |sim: &Sim| modelswitch_provider::ApiKey::new(sim.key()).unwrap();
        text(&toml).api_key("a", key(&self.a)).api_key("b", key(&self.b)).build().unwrap()
    }
}

const SMART: &str = "[models]\nsmart = ['a/deepseek-flash', 'b/deepseek-v4-pro']";

fn smart() -> ChatRequest {
    ChatRequest::user("9.11 or 9.8?").model("smart")
}

#[tokio::test]
async fn defaults_and_overrides_hold_for_each_target_and_its_dialect_puts_them_its_own_way() {
    let (a, b) =
        (Sim::start().await.unwrap(), Sim::builder().personality(modelswitch_sim::Personality::OpenAi));
    let b = b.start().await.unwrap();
    let toml = format!(
        "[providers.deepseek]\nbase_url = '{}'\nretry.attempts = 1
        [providers.openai]\nbase_url = '{}'
        [models.smart]\ntargets = ['deepseek/deepseek-flash', 'openai/sim-small']
        defaults = {{ max_tokens = 300 }}\noverrides = {{ user = 'team 7' }}",
        a.base_url(),
        b.base_url()
    );
    let key = |sim: &Sim| modelswitch_provider::ApiKey::new(sim.key()).unwrap();
    let registry = text(&toml).api_key("deepseek", key(&a)).api_key("openai", key(&b)).build().unwrap();
    a.script(Script::status(503));
    registry.router().chat(smart()).await.unwrap();
    let (first, second) = (a.requests()[0].json(), b.requests()[0].json());
    assert_eq!((&first["max_tokens"], &second["max_completion_tokens"]), (&json!(300), &json!(300)));
    assert_eq!((&first["model"], &second["model"]), (&json!("deepseek-flash"), &json!("sim-small")));
    assert_eq!(second["user"], "team 7");
}

#[tokio::test]
async fn a_default_that_is_an_alias_falls_back_too() {
    let pair = Pair::start().await;
    let registry = pair.registry_under("default = 'smart'", pair.a.base_url(), SMART);
    pair.a.script(Script::status(503));
    let reply = registry.router().chat(ChatRequest::user("?")).await.unwrap();
    assert_eq!(reply.head.provider.as_deref(), Some("b"));
    assert_eq!(registry.default_model().as_deref(), Some("a/deepseek-flash"));
}

/// Which of `a` and `b` answered so many calls one after the other.
async fn answered(registry: &Registry, calls: usize) -> String {
    let mut answered = String::new();
    for _ in 0..calls {
        answered.push_str(registry.router().chat(smart()).await.unwrap().head.provider.as_deref().unwrap());
    }
    answered
}

fn by(strategy: &str, more: &str) -> String {
    format!(
        "[models.smart]\ntargets = ['a/deepseek-v4-pro', 'b/deepseek-flash']\nstrategy = '{strategy}'\n{more}"
    )
}

#[tokio::test]
async fn the_cheapest_target_is_asked_as_its_profile_has_the_prices() {
    let pair = Pair::start().await;
    assert_eq!(answered(&pair.registry(&by("cheapest", "")), 3).await, "bbb");
    // And the dearer one when it fails.
    let registry = pair.registry(&by("cheapest", ""));
    pair.b.script(Script::status(503));
    assert_eq!(answered(&registry, 2).await, "ab");
}

#[tokio::test]
async fn the_target_with_fewer_calls_under_way_is_asked() {
    let pair = Pair::start().await;
    let registry = pair.registry(&by("least_busy", ""));
    let first = registry.router().chat_stream(smart()).await.unwrap();
    let busy = first.head().provider.clone().unwrap();
    let other = if &*busy == "a" { "b" } else { "a" };
    assert_eq!(answered(&registry, 3).await, other.repeat(3));
    drop(first);
}

#[tokio::test]
async fn the_target_that_answers_soonest_is_asked_most() {
    let pair = Pair::start().await;
    let registry = pair.registry(&by("fastest", ""));
    for _ in 0..40 {
        pair.a.script(Script::normal().delay(Duration::from_millis(300)));
    }
    let answered = answered(&registry, 20).await;
    assert!(answered.matches('b').count() >= 15, "{answered}");
}

#[tokio::test]
async fn calls_that_belong_together_go_to_the_same_target() {
    let pair = Pair::start().await;
    let registry = pair.registry(&by("round_robin", "sticky = 'user'"));
    let mut chosen = std::collections::BTreeSet::new();
    for user in 0..16 {
        let ask = || {
            let request = json!({ "model": "smart", "user": format!("u{user}"), "messages": [{ "role": "user", "content": "?" }] });
            let router = registry.router();
            async move {
                let head = router.send(Request::chat(&request).unwrap()).await.unwrap().head;
                head.provider.unwrap().to_string()
            }
        };
        let first = ask().await;
        assert_eq!((ask().await, ask().await), (first.clone(), first.clone()));
        chosen.insert(first);
    }
    assert_eq!(chosen.len(), 2, "sixteen users are spread");
}
