use modelswitch_provider::{Provider, ProviderExt, Request, Response};
use modelswitch_registry::Registry;
use modelswitch_sim::Sim;
use serde_json::{Value, json};

use crate::support::*;

async fn ask(provider: &dyn Provider, body: Value) -> Response {
    let mut whole = json!({ "messages": [{ "role": "user", "content": "?" }] });
    whole.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    provider.send(Request::chat(&whole).unwrap()).await.unwrap()
}

fn sent(sim: &Sim) -> Value {
    sim.requests().pop().unwrap().json()
}

fn told(response: &Response) -> Vec<String> {
    response.head.adaptations.iter().map(ToString::to_string).collect()
}

const FAST: &str = r#"
    [models.fast]
    targets = ["deepseek/deepseek-flash"]
    defaults = { temperature = 0.2, max_tokens = 500 }
    overrides = { thinking = { type = "disabled" } }
"#;

#[tokio::test]
async fn an_alias_fills_in_its_defaults_and_insists_on_its_overrides_and_says_so() {
    let sim = Sim::start().await.unwrap();
    let registry = over(&sim, FAST);
    let response = ask(&*registry.router(), json!({ "model": "fast" })).await;
    let body = sent(&sim);
    assert_eq!(
        (&body["model"], &body["temperature"], &body["max_tokens"]),
        (&json!("deepseek-flash"), &json!(0.2), &json!(500))
    );
    assert_eq!(body["thinking"], json!({ "type": "disabled" }));
    assert_eq!(
        told(&response),
        [
            "max_tokens: set: the request doesn't say it, and the alias `fast` does",
            "temperature: set: the request doesn't say it, and the alias `fast` does",
            "thinking: set: the alias `fast` overrides it",
        ]
    );

    let own = json!({ "model": "fast", "temperature": 1, "max_completion_tokens": 7, "thinking": { "type": "enabled" }, "stream": true });
    let response = ask(&*registry.router(), own).await;
    let body = sent(&sim);
    assert_eq!((&body["temperature"], &body["max_tokens"]), (&json!(1), &json!(7)));
    assert_eq!(body["thinking"], json!({ "type": "disabled" }));
    assert_eq!(told(&response)[0], "thinking: replaced: the alias `fast` overrides it");
}

#[tokio::test]
async fn every_door_puts_them_in_and_other_names_of_the_model_do_not() {
    let sim = Sim::start().await.unwrap();
    let registry = over(&sim, FAST);
    ask(&*registry.model("fast").unwrap(), json!({})).await;
    assert_eq!(sent(&sim)["temperature"], 0.2);
    ask(&*registry.router(), json!({ "model": "deepseek/deepseek-flash" })).await;
    assert_eq!(sent(&sim)["temperature"], Value::Null);
    // A list of models is no request for this one.
    registry.model("fast").unwrap().models().await.unwrap();

    let toml = format!("default = 'fast'\n[providers.deepseek]\nbase_url = '{}'\n{FAST}", sim.base_url());
    let key = modelswitch_provider::ApiKey::new(sim.key()).unwrap();
    let registry = text(&toml).api_key("deepseek", key).build().unwrap();
    ask(&*registry.router(), json!({})).await;
    assert_eq!(sent(&sim)["temperature"], 0.2);
}

#[tokio::test]
async fn of_aliases_in_a_row_the_outer_one_counts_more() {
    let sim = Sim::start().await.unwrap();
    let registry = over(
        &sim,
        "[models]
        inner = { target = 'deepseek/deepseek-flash', overrides = { temperature = 0, top_p = 0.5 } }
        middle = 'inner'
        outer = { target = 'middle', defaults = { temperature = 0.9 } }",
    );
    let response =
        ask(&*registry.router(), json!({ "model": "outer", "temperature": 0.4, "top_p": 1 })).await;
    assert_eq!((&sent(&sim)["temperature"], &sent(&sim)["top_p"]), (&json!(0.4), &json!(0.5)));
    assert_eq!(told(&response)[0], "top_p: replaced: the alias `inner` overrides it");
    assert!(!told(&response).iter().any(|change| change.starts_with("temperature: replaced")));
    ask(&*registry.router(), json!({ "model": "middle", "temperature": 0.4 })).await;
    assert_eq!(sent(&sim)["temperature"], 0);
}

#[tokio::test]
async fn a_variable_sets_a_parameter_as_what_it_looks_like() {
    let diary = Diary::default();
    let registry = with(&[
        ("MODELSWITCH_MODELS__FAST__TARGET", "mine/m"),
        ("MODELSWITCH_MODELS__FAST__DEFAULTS__TEMPERATURE", "0.5"),
        ("MODELSWITCH_MODELS__FAST__DEFAULTS__LOGPROBS", "true"),
        ("MODELSWITCH_MODELS__FAST__OVERRIDES__USER", "team 7"),
    ])
    .provider("mine", diary.provider(reply("hello")))
    .build()
    .unwrap();
    ask(&*registry.router(), json!({ "model": "fast" })).await;
    let asked = diary.asked();
    let body = asked[0].document().unwrap();
    assert_eq!(
        ["temperature", "logprobs", "user"].map(|name| body.get_raw(name).unwrap()),
        ["0.5", "true", "\"team 7\""]
    );
}

fn warnings(models: &str) -> Vec<String> {
    text(&format!("[providers.deepseek]\n[models]\n{models}")).build().unwrap().warnings().to_vec()
}

#[test]
fn several_targets_are_no_reason_to_warn() {
    assert!(
        warnings(
            "smart = { targets = ['deepseek/a', 'deepseek/b'], strategy = 'balance', weights = [3, 1.5] }"
        )
        .is_empty()
    );
    assert!(warnings("smart = { targets = ['deepseek/a'], strategy = 'fallback' }").is_empty());
}

#[test]
fn a_target_says_its_weight_itself_or_all_are_weighed_in_one_list() {
    let wrong = |alias: &str| {
        let toml = format!("[providers.deepseek]\n[models]\nsmart = {alias}");
        text(&toml).build().map(drop).map_err(|error| error.message().to_owned())
    };
    for right in [
        "{ targets = [{ model = 'deepseek/a', weight = 3 }, 'deepseek/b'], strategy = 'balance' }",
        "{ targets = [{ model = 'deepseek/a', weight = '1.5' }], strategy = 'balance' }",
        "{ targets = [{ model = 'deepseek/a' }, { model = 'deepseek/b' }] }",
        "[{ model = 'deepseek/a' }, 'deepseek/b']",
    ] {
        assert_eq!(wrong(right), Ok(()), "{right}");
    }
    for (alias, what) in [
        (
            "{ targets = [{ model = 'deepseek/a', weight = 3 }], strategy = 'balance', weights = [1] }",
            "`models.smart.targets.0.weight` weighs what `weights` weighs too",
        ),
        (
            "{ targets = ['deepseek/b', { model = 'deepseek/a', weight = 3 }] }",
            "`models.smart.targets.1.weight` weighs a target of those that are tried one after the other",
        ),
        ("{ targets = [{ weight = 3 }], strategy = 'balance' }", "`models.smart.targets.0` names no model"),
        (
            "{ targets = [{ model = 'deepseek/a', weight = 0 }] }",
            "targets.0.weight` must be a number above 0",
        ),
        ("{ targets = [{ modle = 'deepseek/a' }] }", "did you mean `model`?"),
        ("{ targets = ['deepseek/a'], weight = 3 }", "did you mean `weights`?"),
    ] {
        let error = wrong(alias).unwrap_err();
        assert!(error.contains(what) && error.starts_with("line 3"), "{error}");
        assert!(!error.contains('\n'), "it is told once: {error}");
    }
}

#[test]
fn an_unknown_model_is_told_with_those_that_are_spelt_like_it_and_where_each_comes_from() {
    let registry = text(
        "[providers.deepseek]\n[providers.local]\nprofile = 'llamacpp'\nmodels = ['deepseek-flsh']\n[models]\nflash = 'local/x'",
    )
    .build()
    .unwrap();
    let error = registry.model("deepseek-fash").unwrap_err();
    assert!(
        error.message().starts_with(
            "no model `deepseek-fash`; did you mean `deepseek/deepseek-flash`? names like it: deepseek/deepseek-flash, local/deepseek-flsh"
        ),
        "{error}"
    );
    let error = registry.model("flsh").unwrap_err();
    assert!(
        error.message().contains("did you mean `flash`? names like it: flash = local/x; there are:"),
        "{error}"
    );
}

#[test]
fn nothing_of_a_parameter_shows() {
    let toml = format!(
        "[providers.deepseek]\n[models.fast]\ntarget = 'deepseek/x'\noverrides = {{ user = '{CANARY}' }}"
    );
    let registry: Registry = text(&toml).build().unwrap();
    assert!(!format!("{registry:?} {:?}", registry.model("fast").unwrap()).contains("canary"));
}
