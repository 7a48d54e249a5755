//! What a request for a model goes through, as a person is shown it.

use modelswitch_registry::{ExplainedLayer, Explanation};
use serde_json::json;

use crate::support::*;

/// Each setting as `layer path = value (from)`.
fn lines(layers: &[ExplainedLayer]) -> Vec<String> {
    let of =
        |layer: &ExplainedLayer| {
            let name = layer.name.clone();
            layer.settings.clone().into_iter().map(move |setting| {
                format!("{name} {} = {} ({})", setting.path, setting.value, setting.origin)
            })
        };
    layers.iter().flat_map(of).collect()
}

fn names(layers: &[ExplainedLayer]) -> Vec<&str> {
    layers.iter().map(|layer| layer.name.as_str()).collect()
}

const FILE: &str = r#"
[providers.a]
profile = "llamacpp"
limits = { concurrent = 8 }
[providers.b]
profile = "llamacpp"
breaker = false
[models]
outer = { target = "smart", retry = { attempts = 2 } }
[models.smart]
targets = ["a/x", "b/y"]
strategy = "round_robin"
weights = [3, 1]
defaults = { temperature = 0.2 }
timeout = { total = "1m", idle = "10s" }
[breaker]
minimum_calls = 3
[cache]
[budget]
day = "5 USD"
"#;

fn explained(name: &str) -> Explanation {
    text(FILE).build().unwrap().explain(name).unwrap()
}

#[test]
fn each_layer_is_told_in_its_order_with_where_every_setting_comes_from() {
    let outer = explained("outer");
    assert_eq!(names(&outer.call), ["trace", "log", "metrics", "timeout", "cache", "choice", "parameters"]);
    let call = lines(&outer.call);
    for line in [
        "timeout models.smart.timeout.total = \"1m\" (line 15)",
        "cache cache.time_to_live = \"1h\" (default)",
        "choice models.smart.strategy = \"round_robin\" (line 12)",
        "parameters models.smart.defaults.temperature = 0.2 (line 14)",
    ] {
        assert!(call.iter().any(|told| told == line), "{line} in {call:#?}");
    }
    let [a, b] = outer.targets.as_slice() else { panic!("two targets") };
    assert_eq!((a.provider.as_str(), a.model.as_str(), a.weight), ("a", "x", Some(3)));
    assert_eq!((b.provider.as_str(), b.weight), ("b", Some(1)));
    assert_eq!(names(&a.layers), ["budget", "limits", "breaker", "retry", "timeout", "service"]);
    assert_eq!(names(&b.layers), ["budget", "retry", "timeout", "service"]);
    let of_a = lines(&a.layers);
    for line in [
        "budget budget.day = \"5 USD\" (line 20)",
        "limits providers.a.limits.concurrent = 8 (line 4)",
        "breaker breaker.minimum_calls = 3 (line 17)",
        "breaker breaker.failure_rate = 0.5 (default)",
        "retry models.outer.retry.attempts = 2 (line 9)",
        "retry retry.max_delay = \"8s\" (default)",
        "timeout models.smart.timeout.idle = \"10s\" (line 15)",
        "timeout timeout.first_byte = \"10m\" (default)",
        "service providers.a.profile = \"llamacpp\" (line 3)",
    ] {
        assert!(of_a.iter().any(|told| told == line), "{line} in {of_a:#?}");
    }
}

#[test]
fn a_model_by_its_own_name_has_one_target_and_none_of_what_aliases_say() {
    let direct = explained("a/x");
    assert_eq!(names(&direct.call), ["trace", "log", "metrics", "cache"]);
    assert_eq!((direct.targets.len(), direct.targets[0].weight), (1, None));
    assert!(lines(&direct.targets[0].layers).contains(&"retry retry.attempts = 4 (default)".to_owned()));
}

#[test]
fn it_is_json_and_what_is_not_configured_is_not_in_it() {
    let plain = text("[providers.a]\nprofile = 'llamacpp'").build().unwrap().explain("a/x").unwrap();
    let json = serde_json::to_value(&plain).unwrap();
    assert_eq!(json["asked_for"], "a/x");
    let layers = json["targets"][0]["layers"].as_array().unwrap();
    let told: Vec<_> = layers.iter().map(|layer| &layer["name"]).collect();
    assert_eq!(told, ["retry", "timeout", "service"]);
    assert_eq!(
        layers[0]["settings"][0],
        json!({ "path": "retry.attempts", "value": 4, "origin": { "kind": "default" } })
    );
}

#[test]
fn an_unknown_name_is_told_with_the_nearest() {
    let error = text(FILE).build().unwrap().explain("smrat").unwrap_err();
    assert!(error.message().contains("did you mean `smart`?"), "{error}");
}

#[test]
fn nothing_that_may_be_a_key_is_told() {
    let toml = format!(
        "[providers.mine]\nbase_url = 'https://llm.example.com/v1'\napi_key = {{ env = 'MINE' }}\n[models.x]\ntarget = 'mine/m'\noverrides = {{ user = '{CANARY}' }}"
    );
    let explanation = with(&[("MINE", CANARY)]).toml(toml).build().unwrap().explain("x").unwrap();
    let shown = format!("{explanation:?} {}", serde_json::to_string(&explanation).unwrap());
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn what_tells_of_calls_is_explained_with_where_it_was_switched() {
    let call = |lines: &str| {
        text(&format!("{lines}\n[providers.a]\nprofile = 'llamacpp'"))
            .build()
            .unwrap()
            .explain("a/x")
            .unwrap()
            .call
    };
    let told = lines(&call("metrics = true\n[trace]\ncontent = true"));
    for line in ["trace trace.content = true (line 3)", "metrics metrics = true (line 1)"] {
        assert!(told.iter().any(|told| told == line), "{line} in {told:#?}");
    }
    assert!(lines(&call("")).contains(&"metrics metrics = false (default)".to_owned()));
    assert_eq!(names(&call("trace = false")), ["log", "metrics"]);
}
