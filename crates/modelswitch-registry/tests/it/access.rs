use http::Method;
use modelswitch_openai::async_openai::types::chat::CreateChatCompletionRequest;
use modelswitch_provider::{
    ChatRequest, Endpoint, Error, ErrorKind, Payload, Provider, ProviderExt, Request, Response, Result,
};
use modelswitch_registry::{NOT_ALLOWED, Outcome, PROVIDER_HEADER, Registry, Stage};
use modelswitch_sim::Sim;
use serde_json::{Value, json};

use crate::support::*;

fn request(method: Method, path: &'static str, body: impl Into<Payload>) -> Request {
    Request::new(Endpoint::new(method, path).unwrap(), body)
}

fn json_to(path: &'static str, body: Value) -> Request {
    request(Method::POST, path, modelswitch_provider::Document::from_serialize(&body).unwrap())
}

fn form(path: &'static str, fields: &[(&str, &str)]) -> Request {
    let mut text = String::new();
    for (name, value) in fields {
        text.push_str(&format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"));
    }
    text.push_str("--x--\r\n");
    let content_type = "multipart/form-data; boundary=x".parse().unwrap();
    request(Method::POST, path, Payload::Raw { content_type, bytes: text.into() })
}

fn chat(model: Option<&str>) -> Request {
    let mut body = json!({ "messages": [{ "role": "user", "content": "?" }] });
    if let Some(model) = model {
        body.as_object_mut().unwrap().insert("model".to_owned(), model.into());
    }
    json_to("/chat/completions", body)
}

#[track_caller]
fn refused(answer: Result<Response>, rule: &str) -> Error {
    let error = answer.map(drop).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unsupported, Some(NOT_ALLOWED)), "{error}");
    assert_eq!(error.provider(), Some("deepseek"));
    assert!(error.message().contains(&format!("`providers.deepseek.{rule}` (line ")), "{error}");
    assert!(error.hint().contains(rule), "{}", error.hint());
    error
}

/// Every way to a provider.
fn doors(registry: &Registry, model: &str) -> Vec<std::sync::Arc<dyn Provider>> {
    vec![registry.router(), registry.provider("deepseek").unwrap(), registry.model(model).unwrap()]
}

#[tokio::test]
async fn a_model_that_is_not_allowed_is_refused_in_every_door_before_a_request_leaves() {
    let sim = Sim::start().await.unwrap();
    let registry = over(
        &sim,
        "allow_models = ['deepseek-v4-*', 'deepseek-flash']\ndeny_models = ['deepseek-v4-pro']\n[models]\nsmart = 'deepseek/deepseek-v4-pro'",
    );
    for model in ["deepseek-v4-pro", "DeepSeek-V4-Pro"] {
        for door in doors(&registry, "deepseek/deepseek-v4-pro") {
            let name =
                if door.name() == "modelswitch" { format!("deepseek/{model}") } else { model.to_owned() };
            let error = refused(door.send(chat(Some(&name))).await, "deny_models");
            assert_eq!(error.param(), Some("model"));
        }
    }
    let unknown = registry.router().send(chat(Some("deepseek/other"))).await;
    let error = refused(unknown, "allow_models");
    assert_eq!(
        error.message(),
        "`deepseek` may not be asked for `other`: `providers.deepseek.allow_models` (line 4, column 1) doesn't allow it"
    );
    assert_eq!(
        error.hint(),
        "ask for what is allowed: deepseek-v4-*, deepseek-flash; or change `providers.deepseek.allow_models`"
    );
    for alias in ["smart", "deepseek-v4-pro"] {
        refused(registry.router().send(chat(Some(alias))).await, "deny_models");
    }
    refused(registry.model("smart").unwrap().send(chat(None)).await, "deny_models");

    let typed: CreateChatCompletionRequest =
        serde_json::from_value(json!({ "model": "smart", "messages": [{ "role": "user", "content": "?" }] }))
            .unwrap();
    let error = registry.client().unwrap().chat().create(typed).await.unwrap_err();
    assert!(error.to_string().contains("may not be asked for"), "{error}");

    assert!(sim.requests().is_empty());
    registry.router().send(chat(Some("deepseek/deepseek-flash"))).await.unwrap();
    assert_eq!(sim.requests().len(), 1);
}

#[tokio::test]
async fn a_name_that_the_adapter_sends_as_another_is_held_against_both() {
    let sim = Sim::start().await.unwrap();
    let denied = over(&sim, "deny_models = ['deepseek-flash']");
    refused(denied.router().send(chat(Some("deepseek-chat"))).await, "deny_models");
    assert!(sim.requests().is_empty());
    let allowed = over(&sim, "allow_models = ['deepseek-flash']");
    allowed.router().send(chat(Some("deepseek-chat"))).await.unwrap();
}

#[tokio::test]
async fn a_request_without_a_model_is_held_against_the_default() {
    let sim = Sim::start().await.unwrap();
    for lines in ["deny_models = ['deepseek-flash']", "default_model = 'x'\ndeny_models = ['x']"] {
        let registry = over(&sim, lines);
        for door in [registry.router(), registry.provider("deepseek").unwrap()] {
            refused(door.send(chat(None)).await, "deny_models");
        }
        let mut empty = chat(Some(""));
        empty.headers.insert(PROVIDER_HEADER, "deepseek".parse().unwrap());
        refused(registry.router().send(empty).await, "deny_models");
        assert_eq!(registry.warnings().len(), 1, "{:?}", registry.warnings());
    }
    let toml = "[providers.deepseek]\nprofile = 'openai-compatible'\nbase_url = 'http://127.0.0.1:1'\nallow_models = ['x']";
    let registry = text(toml).build().unwrap();
    let error = refused(registry.provider("deepseek").unwrap().send(chat(None)).await, "allow_models");
    assert!(error.message().contains("without a model"), "{error}");
    assert!(sim.requests().is_empty());
}

#[tokio::test]
async fn forms_paths_and_lists_of_models_to_fall_back_to_are_held_against_the_rules_too() {
    let sim = Sim::start().await.unwrap();
    let registry = over(&sim, "deny_models = ['secret*']");
    let provider = registry.provider("deepseek").unwrap();
    for asked in [
        form("/audio/transcriptions", &[("model", "secret-1")]),
        request(Method::GET, "/models/secret-1", Payload::Empty),
        request(Method::GET, "/models/s%65cret-1", Payload::Empty),
        request(Method::DELETE, "/models/secret-1", Payload::Empty),
        json_to("/chat/completions", json!({ "model": "m", "models": ["m", "secret-2"], "messages": [] })),
        json_to("/whatever", json!({ "model": "secret" })),
        request(
            Method::POST,
            "/chat/completions",
            Payload::Raw {
                content_type: "application/json".parse().unwrap(),
                bytes: r#"{"model":"secret"}"#.into(),
            },
        ),
    ] {
        refused(provider.send(asked).await, "deny_models");
    }
    let routed =
        registry.router().send(request(Method::GET, "/models/deepseek%2Fsecret-1", Payload::Empty)).await;
    refused(routed, "deny_models");
    // What can be read in two ways isn't guessed.
    for unclear in [
        form("/audio/transcriptions", &[("model", "m"), ("model", "secret")]),
        form("/audio/transcriptions", &[("purpose", "x")]),
        json_to("/chat/completions", json!({ "model": 5 })),
    ] {
        let error = provider.send(unclear).await.map(drop).unwrap_err();
        assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidRequest, Some("model")), "{error}");
    }
    assert!(sim.requests().is_empty());
}

#[tokio::test]
async fn a_body_that_names_its_model_in_two_ways_never_leaves() {
    let sim = Sim::start().await.unwrap();
    let registry = over(&sim, "allow_models = ['deepseek-flash']");
    let provider = registry.provider("deepseek").unwrap();
    let raw = |text: &'static str| Payload::Raw {
        content_type: "application/json".parse().unwrap(),
        bytes: text.into(),
    };
    let parsed = |text: &'static str| Payload::from(modelswitch_provider::Document::parse(text).unwrap());
    for unclear in [
        raw(r#"{"model":"deepseek-v4-pro","messages":[],"model":"deepseek-flash"}"#),
        raw(r#"{"mod\u0065l":"deepseek-v4-pro","messages":[],"model":"deepseek-flash"}"#),
        raw(r#"{"model":"deepseek-flash","models":["deepseek-v4-pro"],"models":[]}"#),
        raw(r#"{"Model":"deepseek-v4-pro","model":"deepseek-flash","messages":[]}"#),
        parsed(r#"{"model":"deepseek-flash","MODEL":"deepseek-v4-pro","messages":[]}"#),
        parsed(r#"{"model":"deepseek-flash","modelſ":["deepseek-v4-pro"],"messages":[]}"#),
    ] {
        let answer = provider.send(request(Method::POST, "/chat/completions", unclear)).await;
        let error = answer.map(drop).unwrap_err();
        assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidRequest, Some("model")), "{error}");
    }
    assert!(sim.requests().is_empty());
    // One that was parsed goes out with the name alone that counts.
    let twice =
        r#"{"model":"deepseek-v4-pro","messages":[{"role":"user","content":"?"}],"model":"deepseek-flash"}"#;
    provider.send(request(Method::POST, "/chat/completions", parsed(twice))).await.unwrap();
    let sent = String::from_utf8(sim.requests()[0].body.to_vec()).unwrap();
    assert!(!sent.contains("deepseek-v4-pro"), "{sent}");
}

#[tokio::test]
async fn lists_of_models_leave_out_what_is_not_allowed() {
    let sim = Sim::start().await.unwrap();
    let registry =
        over(&sim, "allow_models = ['deepseek-flash']\n[models]\nfast = 'deepseek/deepseek-flash'");
    let ids = |models: Vec<modelswitch_provider::Model>| {
        models.into_iter().map(|model| model.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(registry.provider("deepseek").unwrap().models().await.unwrap()), ["deepseek-flash"]);
    assert_eq!(ids(registry.router().models().await.unwrap()), ["fast", "deepseek/deepseek-flash"]);
}

#[tokio::test]
async fn an_endpoint_that_is_not_allowed_is_refused_before_a_request_leaves() {
    let sim = Sim::start().await.unwrap();
    let registry = over(&sim, "allow_endpoints = ['chat', '/files/f1']");
    let provider = registry.provider("deepseek").unwrap();
    for asked in [
        json_to("/completions", json!({ "model": "deepseek-v4-pro", "prompt": "x" })),
        Request::models(),
        request(Method::GET, "/files", Payload::Empty),
        request(Method::GET, "/files/f10", Payload::Empty),
        request(Method::GET, "/user/balance", Payload::Empty),
        json_to("/anthropic/v1/messages", json!({ "model": "deepseek-flash" })),
        json_to("/chat%2Fcompletions", json!({ "model": "deepseek-flash" })),
    ] {
        refused(provider.send(asked).await, "allow_endpoints");
    }
    let error = registry.router().models().await.unwrap_err();
    assert_eq!(error.code(), Some(NOT_ALLOWED));
    let error = registry.balance("deepseek").await.unwrap_err();
    assert_eq!(error.code(), Some(NOT_ALLOWED));
    assert!(sim.requests().is_empty());

    // A check goes as far as it may.
    let report = registry.check_provider("deepseek").await.unwrap();
    assert!(report.passed(), "{report:#?}");
    for (stage, outcome) in [
        (Stage::Key, Outcome::Passed),
        (Stage::Models, Outcome::Skipped),
        (Stage::Completion, Outcome::Passed),
    ] {
        assert_eq!(report.stage(stage).map(|one| one.outcome), Some(outcome), "{report:#?}");
    }
    assert!(sim.requests().iter().all(|recorded| recorded.path.ends_with("/chat/completions")));
    provider.chat(ChatRequest::user("?")).await.unwrap();
}

#[tokio::test]
async fn what_is_not_allowed_comes_before_a_missing_key() {
    let registry = text("[providers.deepseek]\ndeny_models = ['*']").build().unwrap();
    refused(registry.provider("deepseek").unwrap().send(chat(Some("x"))).await, "deny_models");
}

#[test]
fn names_that_are_not_allowed_are_suggested_to_nobody() {
    let toml = "[providers.deepseek]\ndeny_models = ['deepseek-v4*']\n[providers.other]\nprofile = 'llamacpp'\nmodels = ['deepseek-v4-pro']";
    let registry = text(toml).build().unwrap();
    assert_eq!(registry.providers()[0].models, ["deepseek-flash"]);
    assert_eq!(registry.model("deepseek-v4-pro").unwrap().name(), "other", "whoever may serve it owns it");
    let error = registry.model("deepseek-v4-flsh").unwrap_err();
    assert!(!error.message().contains("deepseek/deepseek-v4"), "{error}");
}

#[test]
fn rules_that_cannot_be_meant_are_refused() {
    for (line, what) in [
        ("allow_models = []", "must be a list with something in it"),
        ("allow_models = ['a*b']", "`providers.deepseek.allow_models.0` must be the exact id of a model, or"),
        ("deny_models = 'x'", "must be a list with something in it"),
        ("allow_endpoints = ['chats']", "did you mean `chat`?"),
        ("allow_endpoints = ['']", "\"balance\" or \"/a/path\""),
    ] {
        let error = text(&format!("[providers.deepseek]\n{line}")).build().unwrap_err();
        assert!(error.message().contains(what), "{error}");
        assert!(!error.message().contains('\n'), "it is told once: {error}");
    }
}
