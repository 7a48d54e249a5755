use std::sync::Arc;

use modelswitch_provider::mock::MockProvider;
use modelswitch_provider::{
    ApiKey, ChatRequest, Endpoint, Error, ErrorKind, Payload, Provider, ProviderExt, Request,
};
use modelswitch_registry::{NOT_ALLOWED, RegistryBuilder, Settings};
use modelswitch_sim::{Script, Sim};
use serde_json::json;

use crate::support::*;

fn service(sim: &Sim, lines: &str) -> RegistryBuilder {
    let toml = format!(
        "[providers.mine]\nbase_url = '{}'\nretry.attempts = 1\ndefault_model = 'm'\n{lines}",
        sim.base_url()
    );
    text(&toml).api_key("mine", ApiKey::new(sim.key()).unwrap())
}

fn answers(sim: &Sim) {
    let message = json!({ "choices": [{ "index": 0, "message": { "role": "assistant", "content": "hello" }, "finish_reason": "stop" }] });
    sim.script(Script::normal().json(message).times(9));
}

#[tokio::test]
async fn a_service_is_reached_by_configuration_alone() {
    let sim = Sim::start().await.unwrap();
    answers(&sim);
    let lines = "auth = { header = 'api-key', scheme = '' }\nheaders = { x-team = 'search' }\nquery = { api-version = '2024-10-21', 'a b' = '&' }";
    let registry = service(&sim, lines).build().unwrap();
    let provider = registry.provider("mine").unwrap();
    provider.ask("?").await.unwrap();
    let endpoint = Endpoint::new(http::Method::GET, "/files?limit=3&api-version=own").unwrap();
    provider.send(Request::new(endpoint, Payload::Empty)).await.unwrap();

    let requests = sim.requests();
    assert_eq!(requests[0].path, "/chat/completions?a%20b=%26&api-version=2024-10-21");
    assert_eq!(requests[0].header("api-key"), Some(sim.key()));
    assert_eq!((requests[0].header("authorization"), requests[0].header("x-team")), (None, Some("search")));
    assert_eq!(requests[1].path, "/files?limit=3&api-version=own&a%20b=%26");
    assert!(!format!("{registry:?} {provider:?}").contains("2024"));
}

#[tokio::test]
async fn a_key_may_be_left_out_where_none_is_required() {
    let sim = Sim::start().await.unwrap();
    answers(&sim);
    let toml = |required| {
        format!(
            "[providers.vllm]\nprofile = 'deepseek'\nbase_url = '{}'\nauth = {{ required = {required} }}",
            sim.base_url()
        )
    };
    let registry = text(&toml(false)).build().unwrap();
    registry.provider("vllm").unwrap().ask("?").await.unwrap();
    assert_eq!(sim.requests()[0].header("authorization"), None);
    let registry = text(&toml(true)).build().unwrap();
    assert!(registry.provider("vllm").unwrap().ask("?").await.is_err());
}

#[tokio::test]
async fn a_profile_of_the_users_own_describes_a_service() {
    let sim = Sim::start().await.unwrap();
    answers(&sim);
    let lines = "profile = 'gateway'
        [profiles.gateway]
        title = 'The gateway'
        key_env = ['GATEWAY_KEY']
        models = ['large']
        [profiles.gateway.request]
        max_tokens = 'max_tokens'
        [profiles.gateway.query]
        tenant = '7'
        [profiles.gateway.hints]
        overloaded = 'call the platform team'";
    let registry = service(&sim, lines).build().unwrap();
    assert_eq!(registry.providers()[0].profile.as_deref(), Some("gateway"));
    assert_eq!(registry.model("large").unwrap().name(), "mine");
    let request =
        Request::chat(&json!({ "model": "large", "max_completion_tokens": 5, "messages": [] })).unwrap();
    registry.router().send(request).await.unwrap();
    let sent = sim.requests().pop().unwrap();
    assert_eq!(
        (sent.path.as_str(), sent.json()["max_tokens"].clone()),
        ("/chat/completions?tenant=7", json!(5))
    );
    sim.clear_scripts();
    sim.script(Script::status(503));
    let error = registry.model("large").unwrap().ask("?").await.unwrap_err();
    assert_eq!(error.hint(), "call the platform team");
}

#[tokio::test]
async fn an_embedded_profile_is_overridden_field_by_field_and_keeps_its_adapter() {
    let sim = Sim::start().await.unwrap();
    let toml = |provider: &str, profile: &str| {
        format!(
            "[providers.{provider}]\n{profile}\nbase_url = '{}'\n[providers.{provider}.policy]\nstrict = true",
            sim.base_url()
        )
    };
    for (provider, profile) in [
        ("deepseek", "[profiles.deepseek]\ndefault_model = 'deepseek-v4-pro'\n"),
        ("eu", "[profiles.eu]\nextends = 'deepseek'\ndefault_model = 'deepseek-v4-pro'\n"),
        (
            "third",
            "[profiles.third]\nextends = 'eu'\n[profiles.eu]\nextends = 'deepseek'\ndefault_model = 'deepseek-v4-pro'\n",
        ),
    ] {
        let toml = format!("{profile}{}", toml(provider, ""));
        let registry = text(&toml).api_key(provider, ApiKey::new(sim.key()).unwrap()).build().unwrap();
        let info = &registry.providers()[0];
        assert_eq!(info.default_model.as_deref(), Some("deepseek-v4-pro"));
        assert!(info.models.contains(&"deepseek-v4-flash".to_owned()), "the rest is as it was");
        registry.balance(provider).await.unwrap();
    }
    let alone = text("[providers.mine]\nprofile = 'x'\nbase_url = 'http://127.0.0.1:1'\n[profiles.x]")
        .build()
        .unwrap();
    assert!(alone.balance("mine").await.is_err());
}

#[test]
fn a_profile_of_the_users_own_is_there_when_its_key_is() {
    let toml = "[profiles.gateway]\nbase_url = 'https://llm.example.com/v1'\nkey_env = ['GATEWAY_KEY']\nmodels = ['large']";
    let registry = with(&[("GATEWAY_KEY", CANARY), ("MODELSWITCH_PROFILES__GATEWAY__TITLE", "Ours")])
        .toml(toml)
        .build()
        .unwrap();
    let info = &registry.providers()[0];
    assert_eq!((info.name.as_str(), info.key.source.as_str()), ("gateway", "$GATEWAY_KEY"));
}

#[test]
fn a_service_that_is_gone_is_not_there_by_its_key_alone() {
    let toml = "[profiles.old]\nbase_url = 'https://x.example'\nkey_env = ['OLD_KEY']\ngone = 'use openai'\n[providers.deepseek]";
    let registry = with(&[("OLD_KEY", CANARY)]).toml(toml).build().unwrap();
    let names: Vec<String> = registry.providers().into_iter().map(|one| one.name).collect();
    assert_eq!(names, ["deepseek"]);
}

#[test]
fn mistakes_in_profiles_are_told_with_their_place_and_once() {
    for (toml, message, hint) in [
        (
            "[profiles.x.request]\nmax_token = 'canary'",
            "line 4, column 1: `profiles.x.request.max_token` is not a setting; did you mean `max_tokens`?",
            "write `max_tokens` instead of `max_token`",
        ),
        (
            "[profiles.x]\nmodels = 'canary'",
            "line 4, column 1: `profiles.x.models` must be a list, such as [\"a\", \"b\"], not a text",
            "write a list, such as [\"a\", \"b\"]",
        ),
        (
            "[profiles.x]\nextend = 'vllm'",
            "line 4, column 1: `profiles.x.extend` is not a setting; did you mean `extends`?",
            "write `extends` instead of `extend`",
        ),
        (
            "[profiles.x.request]\ntool_choice = ['requird']",
            "line 4, column 16: `profiles.x.request.tool_choice.0` must be \"auto\", \"none\", \"required\", \"named\" or \"allowed_tools\", which this is not; did you mean `required`?",
            "write \"required\"",
        ),
        (
            "[profiles.x.request]\nranges.temperature = [1.0, 0.0]",
            "line 4, column 8: `profiles.x.request.ranges.temperature` must be two numbers, the least first, which this is not",
            "write two numbers, the least first",
        ),
        (
            "[profiles.x.request]\neffort.hihg = 'high'",
            "line 4, column 8: `profiles.x.request.effort.hihg` is not a setting; did you mean `high`?",
            "write `high` instead of `hihg`",
        ),
        (
            "[profiles.x.request]\ndrop = ['temprature']",
            "line 4, column 9: `profiles.x.request.drop.0` must be `temperature`, or another name, which this is not",
            "write `temperature`, or another name",
        ),
        (
            "[profiles.x.finish_reasons]\nbusy = 'overlaoded'",
            "line 4, column 1: `profiles.x.finish_reasons.busy` must be \"invalid_request\", \"context_length\", \"content_filtered\", \"model_not_found\", \"authentication\", \"insufficient_balance\", \"rate_limited\", \"overloaded\", \"upstream\", \"timeout\", \"connection\", \"interrupted\", \"decode\", \"rejected\", \"unsupported\" or \"config\", which this is not; did you mean `overloaded`?",
            "write \"overloaded\"",
        ),
        (
            "[profiles.x.finish_reasons]\nbusy = 'canary'",
            "line 4, column 1: `profiles.x.finish_reasons.busy` must be \"invalid_request\", \"context_length\", \"content_filtered\", \"model_not_found\", \"authentication\", \"insufficient_balance\", \"rate_limited\", \"overloaded\", \"upstream\", \"timeout\", \"connection\", \"interrupted\", \"decode\", \"rejected\", \"unsupported\" or \"config\", which this is not",
            "write one of these",
        ),
        (
            "[profiles.x]\nextends = 'depseek'",
            "line 4, column 1: `profiles.x.extends`: there is no profile `depseek`; did you mean `deepseek`?",
            "write extends = \"deepseek\"",
        ),
        (
            "[profiles.x]\nextends = 'y'\n[profiles.y]\nextends = 'x'",
            "line 4, column 1: `profiles.x.extends` leads back to itself: x → y → x",
            "let one of these profiles extend an embedded one",
        ),
        (
            "[profiles.x]\nauth.required = 'canary'\n[profiles.y]\nextends = 'x'",
            "line 4, column 6: `profiles.x.auth.required` must be true or false, not a text",
            "write true or false",
        ),
        (
            "[profiles.x]\nquery = { key = 'canary' }",
            "line 4, column 11: `profiles.x.query.key` would put a credential into the URL, where logs show it (its value is not shown)",
            "auth = { header = \"…\", scheme = \"\" } says how the key is sent",
        ),
        (
            "[profiles]\nx = 'canary'",
            "line 4, column 1: `profiles.x` must be a section, [profiles.x], with the settings in it, which this is not",
            "write a section, [profiles.x], with the settings in it",
        ),
    ] {
        let error = text(&format!("[providers.mine]\nprofile = 'x'\n{toml}")).build().unwrap_err();
        assert_eq!((error.message(), error.hint()), (message, hint));
        assert!(!shown(&error).contains("canary"));
    }
}

#[test]
fn what_a_provider_says_of_its_key_is_checked_and_not_repeated() {
    for (line, message) in [
        (
            "query = { api_key = 'canary' }",
            "`providers.deepseek.query.api_key` would put a credential into the URL",
        ),
        (
            "query = { token = 'canary' }",
            "`providers.deepseek.query.token` would put a credential into the URL",
        ),
        ("auth = { header = 'api key' }", "`providers.deepseek.auth.header` is not the name of a header"),
        ("auth = { scheme = 'sk-canary0123456789' }", "`providers.deepseek.auth.scheme` looks like a key"),
        (
            "auth = { heder = 'x' }",
            "`providers.deepseek.auth.heder` is not a setting; did you mean `header`?",
        ),
        ("auth = 'canary'", "`providers.deepseek.auth` must be a section"),
    ] {
        let error = text(&format!("[providers.deepseek]\n{line}")).build().unwrap_err();
        assert!(
            error.message().starts_with("line 2, column ") && error.message().contains(message),
            "{error}"
        );
        assert!(!shown(&error).contains("canary"), "{}", shown(&error));
    }
}

fn parrots(toml: &str) -> RegistryBuilder {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Parrot {
        says: String,
        #[serde(default)]
        fails: bool,
    }
    text(toml).factory("parrot", |name: &str, settings: Settings| {
        let Parrot { says, fails } = settings.read()?;
        let says = format!("{name}: {says}");
        let provider: Arc<dyn Provider> = match fails {
            true => Arc::new(MockProvider::script([
                Err(Error::new(ErrorKind::Overloaded, "busy")),
                Ok(modelswitch_provider::mock::reply(&says, false)),
            ])),
            false => Arc::new(MockProvider::reply(says)),
        };
        Ok(provider)
    })
}

#[tokio::test]
async fn a_factory_makes_providers_by_kind_with_the_layers_of_any_other() {
    let registry = parrots(
        "[retry]\nbase_delay = '1ms'
        [providers.polly]\nkind = 'parrot'\nsettings = { says = 'hello', fails = true }\nmodels = ['ara']\ndeny_models = ['kea']
        [providers.coco]\nkind = 'parrot'\nsettings.says = 'bye'",
    )
    .build()
    .unwrap();
    assert_eq!(registry.provider("polly").unwrap().name(), "polly");
    assert_eq!(registry.model("ara").unwrap().ask("?").await.unwrap(), "polly: hello", "it was asked again");
    assert_eq!(registry.model("coco/x").unwrap().ask("?").await.unwrap(), "coco: bye");
    let error = registry.router().chat(ChatRequest::user("?").model("polly/kea")).await.unwrap_err();
    assert_eq!(error.code(), Some(NOT_ALLOWED));
}

#[test]
fn mistakes_with_kinds_are_told() {
    for (lines, message, hint) in [
        (
            "kind = 'parot'",
            "line 2, column 1: `providers.polly.kind`: there is no kind `parot`; did you mean `parrot`?",
            "write kind = \"parrot\"",
        ),
        (
            "kind = 'openai'",
            "line 2, column 1: `providers.polly.kind`: there is no kind `openai`; there are: parrot",
            "write profile = \"openai\"",
        ),
        (
            "kind = 'parrot'\nbase_url = 'http://x'\nsettings.says = 'x'",
            "line 3, column 1: `providers.polly.base_url` is for a provider with a profile; this one has a `kind`, and is made by code",
            "take it out, or put it into `settings` if the code reads it there",
        ),
        (
            "kind = 'parrot'\nsettings = { says = ['canary'] }",
            "line 3, column 1: `providers.polly`: `providers.polly.settings.says` must be a string, which this is not",
            "write it as this kind of provider wants it",
        ),
        (
            "kind = 'parrot'",
            "line 1, column 12: `providers.polly`: `providers.polly.settings` lacks `says`",
            "write it as this kind of provider wants it",
        ),
        (
            "kind = 'parrot'\nsettings = { says = 'x', api_key = 'sk-canary0123456789' }",
            "line 3, column 26: `providers.polly.settings.api_key` holds a key itself (not shown): keys don't stand in the configuration",
            "write the name of a variable here, and let the code that makes the provider read it",
        ),
        (
            "profile = 'llamacpp'\nsettings = { says = 'x' }",
            "line 3, column 1: `providers.polly.settings` is read by the code that makes a provider, and there is no `kind` to say which",
            "write kind = \"…\" beside it, or take it out",
        ),
    ] {
        let error = parrots(&format!("[providers.polly]\n{lines}")).build().unwrap_err();
        assert_eq!((error.message(), error.hint()), (message, hint));
        assert!(!shown(&error).contains("canary"));
    }
}

#[tokio::test]
async fn a_tool_without_the_apps_code_can_look_at_its_kinds_and_ask_the_others() {
    let toml =
        "default = 'deepseek/x'\n[providers.polly]\nkind = 'parrot'\nmodels = ['ara']\n[providers.deepseek]";
    assert!(text(toml).build().is_err());
    let registry = text(toml).stand_ins().build().unwrap();
    assert_eq!(
        registry.warnings(),
        [
            "`providers.polly` is of the kind `parrot`, which the app's own code makes: it can't be asked from here"
        ]
    );
    let error = registry.model("ara").unwrap().ask("hello").await.unwrap_err();
    assert_eq!(error.message(), "`polly` is of the kind `parrot`, which the app's own code makes");
    assert!(registry.model("deepseek/x").is_ok());
}

#[test]
fn a_misspelt_extends_hides_no_other_mistake_of_the_file() {
    let error = text(
        "[profiles.x]\nextends = 'depseek'\nbase_ulr = 'canary'\nauth.required = 'canary'\n\
         [providers.x]\nheaders = { cookie = 'canary' }\nmodels = ['m']\n\
         [models]\nfast = 'y/m'\nok = 'x/m'\n",
    )
    .build()
    .unwrap_err();
    for part in [
        "(the first of 5 mistakes)",
        "line 2, column 1: `profiles.x.extends`: there is no profile `depseek`; did you mean `deepseek`?",
        "line 3, column 1: `profiles.x.base_ulr` is not a setting; did you mean `base_url`?",
        "line 4, column 6: `profiles.x.auth.required` must be true or false, not a text",
        "line 6, column 13: `providers.x.headers.cookie` is a header for credentials",
        "line 9, column 1: `models.fast` points to `y/m`: there is no provider `y`",
    ] {
        assert!(error.message().contains(part), "{part}: {error}");
    }
    assert!(!shown(&error).contains("canary"), "{}", shown(&error));
}
