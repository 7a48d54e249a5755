//! Requests to services that are data alone, put as their profiles say, with the policies of the configuration: over real sockets.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails loudly")]

use futures_util::StreamExt;
use modelswitch::prelude::*;
use modelswitch::{ApiKey, ErrorKind, Registry};
use modelswitch_openai::{JsonSchema, Policies, SchemaMismatch};
use modelswitch_provider::{Body, ChatCompletion, Head, Request, Result};
use modelswitch_sim::{Personality, Script, Sim};
use modelswitch_tests::{all_embedded, one_try};
use serde_json::{Value, json};

/// A service of somebody's, which knows little.
const PROFILE: &str = r#"
    [profiles.mine.request]
    max_tokens = "max_tokens"
    developer_role = "system"
    content = "text"
    drop = ["logit_bias"]
    response_format = ["text", "json_object"]
    tool_choice = ["auto", "none"]
    [profiles.mine.request.effort]
    none = { thinking = { type = "disabled" } }
    minimal = "low"
    [profiles.mine.reasoning]
    history = "reasoning"
"#;

async fn service(policy: &str) -> (Sim, Registry) {
    let sim = Sim::builder().personality(Personality::OpenAi).start().await.unwrap();
    let text = format!(
        "{PROFILE}\n[providers.mine]\nbase_url = '{}'\nretry = {{ attempts = 1 }}\n[providers.mine.policy]\n{policy}",
        sim.base_url()
    );
    let key = ApiKey::new(sim.key()).unwrap();
    let registry = Registry::builder().toml(text).environment([]).api_key("mine", key).build().unwrap();
    (sim, registry)
}

fn request(more: Value) -> Request {
    let mut body =
        json!({ "model": "mine/m", "messages": [{ "role": "user", "content": "Name a city, as json." }] });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Request::chat(&body).unwrap()
}

async fn ask(registry: &Registry, request: Request) -> Result<(ChatCompletion, Head)> {
    let (head, body) = registry.router().send(request).await?.into_json()?;
    Ok((serde_json::from_slice(&body).unwrap(), head))
}

fn told(head: &Head) -> Vec<&str> {
    head.adaptations.iter().map(|one| one.parameter.as_str()).collect()
}

fn answers(sim: &Sim, text: &str) {
    sim.clear_scripts();
    let message = json!({ "role": "assistant", "content": text });
    let choice = json!({ "index": 0, "message": message, "finish_reason": "stop" });
    sim.script(Script::status(200).json(
        json!({ "id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice] }),
    ));
}

fn wants_a_city() -> Value {
    let schema =
        json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] });
    json!({ "response_format": { "type": "json_schema", "json_schema": { "name": "place", "schema": schema } } })
}

#[tokio::test]
async fn a_request_arrives_as_the_profile_says_and_the_head_tells_every_change() {
    let (sim, registry) = service("").await;
    let parts = json!([{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }]);
    let messages = json!([
        { "role": "developer", "content": parts },
        { "role": "assistant", "content": "x", "reasoning_content": "r" },
        { "role": "user", "content": "?" }
    ]);
    let more = json!({ "messages": messages, "max_completion_tokens": 5, "logit_bias": { "1": 2 }, "reasoning_effort": "none" });
    answers(&sim, "x");
    let (_, head) = ask(&registry, request(more)).await.unwrap();
    let sent = sim.requests().pop().unwrap().json();
    assert_eq!(sent["messages"][0], json!({ "role": "system", "content": "a\nb" }));
    assert_eq!(sent["messages"][1], json!({ "role": "assistant", "content": "x", "reasoning": "r" }));
    assert_eq!((&sent["max_tokens"], &sent["thinking"]["type"]), (&json!(5), &json!("disabled")));
    assert!(sent.get("logit_bias").is_none() && sent.get("reasoning_effort").is_none());
    let told = told(&head);
    for name in
        ["role", "messages", "reasoning_content", "max_completion_tokens", "logit_bias", "reasoning_effort"]
    {
        assert!(told.contains(&name), "{name}: {told:?}");
    }
}

#[tokio::test]
async fn strict_refuses_with_all_reasons_and_sends_nothing() {
    let (sim, registry) = service("strict = true").await;
    let more = json!({ "logit_bias": { "1": 2 }, "reasoning_effort": "minimal" });
    let error = ask(&registry, request(more)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(
        error.message().contains("logit_bias") && error.message().contains("reasoning_effort"),
        "{error}"
    );
    assert!(sim.requests().is_empty());
    // What means the same is nobody's loss.
    answers(&sim, "x");
    ask(&registry, request(json!({ "max_completion_tokens": 5 }))).await.unwrap();
}

#[tokio::test]
async fn an_effort_that_the_service_has_no_word_for_is_told_and_strict_refuses_it() {
    let high = || request(json!({ "reasoning_effort": "high" }));
    let (sim, registry) = service("").await;
    answers(&sim, "x");
    let (_, head) = ask(&registry, high()).await.unwrap();
    assert_eq!(told(&head), ["reasoning_effort"]);
    assert_eq!(sim.requests().pop().unwrap().json()["reasoning_effort"], "high");
    let (sim, registry) = service("strict = true").await;
    let error = ask(&registry, high()).await.unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::Unsupported, Some("reasoning_effort")));
    assert!(error.hint().contains("minimal") && sim.requests().is_empty(), "{error:?}");
}

#[tokio::test]
async fn a_failed_call_tells_what_was_changed_as_an_answer_does() {
    let (sim, registry) = service("").await;
    let changed = |more: Value| {
        let mut body = json!({ "logit_bias": { "1": 2 } });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request(body)
    };
    let told = |error: &modelswitch::Error| {
        let list: Vec<_> = error.adaptations().iter().map(|one| one.parameter.clone()).collect();
        assert!(error.report().contains("adapted: logit_bias: left out"), "{error:?}");
        list
    };
    sim.script(Script::status(400));
    let refused = ask(&registry, changed(json!({}))).await.unwrap_err();
    assert_eq!((refused.kind(), told(&refused)), (ErrorKind::InvalidRequest, vec!["logit_bias".to_owned()]));
    sim.script(Script::status(200).content_type("application/json").body("no answer"));
    let unread = ask(&registry, changed(json!({}))).await.unwrap_err();
    assert_eq!((unread.kind(), told(&unread)), (ErrorKind::Decode, vec!["logit_bias".to_owned()]));
    let delta = json!({ "index": 0, "delta": { "content": "x" } });
    let chunk = json!({ "id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [delta] });
    sim.script(Script::sse([chunk.to_string()]));
    let response = registry.router().send(changed(json!({ "stream": true }))).await.unwrap();
    let Body::Events(events) = response.body else { panic!("a stream was asked for") };
    let cut = events.filter_map(async |event| event.err()).collect::<Vec<_>>().await.pop().unwrap();
    assert_eq!((cut.kind(), told(&cut)), (ErrorKind::Interrupted, vec!["logit_bias".to_owned()]));
    // Nothing was changed for this one.
    sim.script(Script::status(400));
    assert!(ask(&registry, request(json!({}))).await.unwrap_err().adaptations().is_empty());
}

#[tokio::test]
async fn deepseeks_own_changes_are_told_on_its_errors_too() {
    let sim = Sim::start().await.unwrap();
    let text = format!("[providers.deepseek]\nbase_url = '{}'\nretry = {{ attempts = 1 }}", sim.base_url());
    let key = ApiKey::new(sim.key()).unwrap();
    let registry = Registry::builder().toml(text).environment([]).api_key("deepseek", key).build().unwrap();
    let body = json!({ "model": "deepseek/deepseek-flash", "reasoning_effort": "minimal", "max_completion_tokens": 5,
        "messages": [{ "role": "user", "content": "[sim:500]" }] });
    let error = ask(&registry, Request::chat(&body).unwrap()).await.unwrap_err();
    let told: Vec<_> = error.adaptations().iter().map(|one| one.parameter.as_str()).collect();
    assert!(told.contains(&"reasoning_effort") && told.contains(&"max_completion_tokens"), "{told:?}");
}

#[tokio::test]
async fn an_answer_is_held_against_the_schema_that_the_service_does_not_know() {
    let (sim, registry) = service("").await;
    answers(&sim, r#"{"city":"Ulm"}"#);
    let (reply, head) = ask(&registry, request(wants_a_city())).await.unwrap();
    assert_eq!((reply.text().as_str(), told(&head)), (r#"{"city":"Ulm"}"#, vec!["response_format"]));
    let sent = sim.requests().pop().unwrap().json();
    assert_eq!(sent["response_format"], json!({ "type": "json_object" }));
    assert!(sent["messages"][0]["content"].as_str().unwrap().contains("named `place`"));

    answers(&sim, r#"{"town":"Ulm"}"#);
    let error = ask(&registry, request(wants_a_city())).await.unwrap_err();
    assert_eq!((error.kind(), error.provider()), (ErrorKind::Decode, Some("mine")));
    assert!(SchemaMismatch::of(&error).is_some() && error.upstream_body().is_some());
}

#[tokio::test]
async fn a_streamed_answer_that_does_not_follow_the_schema_ends_in_an_error() {
    let (sim, registry) = service("").await;
    let chunk = |delta: Value, finish: Value| {
        json!({ "id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] })
        .to_string()
    };
    sim.script(Script::sse([
        chunk(json!({ "role": "assistant", "content": "Ulm" }), Value::Null),
        chunk(json!({}), json!("stop")),
        "[DONE]".to_owned(),
    ]));
    let mut more = wants_a_city();
    more["stream"] = json!(true);
    let response = registry.router().send(request(more)).await.unwrap();
    let Body::Events(mut events) = response.body else { panic!("a stream was asked for") };
    let mut last = None;
    while let Some(event) = events.next().await {
        last = Some(event);
    }
    let error = last.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Decode, Some(SchemaMismatch::CODE)));
}

#[tokio::test]
async fn policies_of_one_call_come_before_those_of_the_configuration() {
    let (sim, registry) = service("json_schema = 'json_object'").await;
    let mut one = request(wants_a_city());
    one.extensions.insert(Policies { json_schema: JsonSchema::Refuse, ..Policies::default() });
    assert_eq!(ask(&registry, one).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(sim.requests().is_empty());
}

#[tokio::test]
async fn a_forced_call_and_an_empty_answer_are_dealt_with_as_the_configuration_says() {
    let tools = json!([{ "type": "function", "function": { "name": "f", "parameters": { "type": "object", "properties": {} } } }]);
    let forced = || request(json!({ "tools": tools, "tool_choice": "required" }));
    let (sim, registry) = service("").await;
    assert_eq!(ask(&registry, forced()).await.unwrap_err().kind(), ErrorKind::Unsupported);
    answers(&sim, "");
    ask(&registry, request(json!({}))).await.unwrap();

    let (sim, registry) = service("forced_tool_choice = 'auto'\nempty_answer = 'error'").await;
    answers(&sim, "x");
    ask(&registry, forced()).await.unwrap();
    assert_eq!(sim.requests().pop().unwrap().json()["tool_choice"], "auto");
    answers(&sim, "");
    let error = ask(&registry, request(json!({}))).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Decode, Some("empty_answer")));
}

/// An app of before tools, and the service's answer to it, whole and in pieces.
fn functions() -> Request {
    let function = json!({ "name": "look", "parameters": { "type": "object", "properties": {} } });
    let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "Look!" }], "functions": [function], "function_call": "auto" });
    Request::chat(&body).unwrap()
}

fn calls(sim: &Sim) {
    sim.clear_requests();
    let call = json!({ "index": 0, "id": "c", "type": "function", "function": { "name": "look", "arguments": "{}" } });
    let message = json!({ "role": "assistant", "content": null, "tool_calls": [call] });
    let choice = |name: &str| json!([{ "index": 0, name: message, "finish_reason": "tool_calls" }]);
    let answer = |kind: &str, name: &str| json!({ "id": "1", "object": kind, "created": 1, "model": "m", "choices": choice(name) });
    sim.script(Script::status(200).json(answer("chat.completion", "message")));
    sim.script(Script::sse([answer("chat.completion.chunk", "delta").to_string(), "[DONE]".to_owned()]));
}

#[tokio::test]
async fn functions_reach_every_service_as_it_knows_them_and_come_back_as_the_app_does() {
    let sim = Sim::builder().personality(Personality::OpenAi).any_key(true).start().await.unwrap();
    for profile in all_embedded().filter(|profile| !profile.gone_endpoints.contains_key("/chat/completions"))
    {
        let name = &profile.name;
        let provider = one_try(&sim, name);
        calls(&sim);
        let (head, body) = provider.send(functions()).await.unwrap().into_json().unwrap();
        let reply: Value = serde_json::from_slice(&body).unwrap();
        let sent = sim.requests().pop().unwrap().json();
        if profile.request.functions == Some(true) {
            assert!(sent.get("functions").is_some() && sent.get("tools").is_none(), "{name}");
            assert!(told(&head).is_empty(), "{name}: {:?}", head.adaptations);
        } else {
            assert!(sent.get("functions").is_none() && sent.get("function_call").is_none(), "{name}");
            assert_eq!(sent["tools"][0]["function"]["name"], "look", "{name}");
            assert!(["functions", "function_call"].iter().all(|one| told(&head).contains(one)), "{name}");
            let choice = &reply["choices"][0];
            assert_eq!(choice["message"]["function_call"]["name"], "look", "{name}");
            assert!(choice["message"].get("tool_calls").is_none(), "{name}");
            assert_eq!(choice["finish_reason"], "function_call", "{name}");
        }
        let mut streamed = functions();
        streamed.document_mut().unwrap().set("stream", true).unwrap();
        let Body::Events(events) = provider.send(streamed).await.unwrap().body else { panic!("{name}") };
        let events: Vec<Value> = events.map(|event| event.unwrap().json().unwrap()).collect().await;
        if profile.request.functions != Some(true) {
            let choice = &events[0]["choices"][0];
            assert_eq!(
                choice["delta"]["function_call"],
                json!({ "name": "look", "arguments": "{}" }),
                "{name}"
            );
            assert_eq!(choice["finish_reason"], "function_call", "{name}");
        }
        sim.clear_scripts();
    }
}
