//! The policies of DeepSeek's adapter, chosen by configuration alone, over real sockets.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails loudly")]

use modelswitch::prelude::*;
use modelswitch::{ApiKey, ErrorKind, Registry};
use modelswitch_provider::{ChatCompletion, Request, Result};
use modelswitch_sim::Sim;
use serde_json::{Value, json};

/// A simulated DeepSeek, and a registry over it with these lines as its policy.
async fn with_policy(lines: &str, variables: &[(&str, &str)]) -> (Sim, Registry) {
    let sim = Sim::start().await.unwrap();
    let text = format!(
        "[providers.deepseek]\nbase_url = '{}'\nretry = {{ attempts = 1 }}\n[providers.deepseek.policy]\n{lines}",
        sim.base_url()
    );
    let registry = Registry::builder()
        .toml(text)
        .environment(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
        .api_key("deepseek", ApiKey::new(sim.key()).unwrap())
        .build()
        .unwrap();
    (sim, registry)
}

async fn ask(registry: &Registry, body: Value) -> Result<ChatCompletion> {
    let response = registry.router().send(Request::chat(&body)?).await?;
    Ok(serde_json::from_slice(&response.into_json()?.1).unwrap())
}

fn question(text: &str, more: Value) -> Value {
    let mut body = json!({ "model": "deepseek-flash", "messages": [{ "role": "user", "content": text }] });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn tools() -> Value {
    json!([{ "type": "function", "function": { "name": "weather", "parameters": {
        "type": "object", "properties": { "place": { "type": "string" } }, "required": ["place"],
        "additionalProperties": false } } }])
}

fn last(sim: &Sim) -> Value {
    sim.requests().pop().unwrap().json()
}

#[tokio::test]
async fn a_forced_tool_choice_goes_as_the_configuration_says() {
    let forced =
        || question("What's the weather in Paris?", json!({ "tools": tools(), "tool_choice": "required" }));
    for (lines, choice, thinking) in [
        ("", json!("required"), json!({ "type": "disabled" })),
        ("forced_tool_choice = 'disable_thinking'", json!("required"), json!({ "type": "disabled" })),
        ("forced_tool_choice = 'auto'", json!("auto"), Value::Null),
    ] {
        let (sim, registry) = with_policy(lines, &[]).await;
        ask(&registry, forced()).await.unwrap();
        let sent = last(&sim);
        assert_eq!((&sent["tool_choice"], &sent["thinking"]), (&choice, &thinking), "{lines}");
    }
    let (sim, registry) = with_policy("forced_tool_choice = 'refuse'", &[]).await;
    let error = ask(&registry, forced()).await.unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::Unsupported, Some("tool_choice")));
    assert!(sim.requests().is_empty());
}

#[tokio::test]
async fn what_would_be_changed_is_refused_in_strict_mode_by_file_or_variable() {
    let retired = || {
        let mut body = question("hello", json!({}));
        body["model"] = json!("deepseek-chat");
        body
    };
    let (_sim, registry) = with_policy("", &[]).await;
    ask(&registry, retired()).await.unwrap();
    let variable = ("MODELSWITCH_PROVIDERS__DEEPSEEK__POLICY__STRICT", "true");
    for (lines, variables) in [("strict = true", &[][..]), ("", &[variable]), ("strict = false", &[variable])]
    {
        let (sim, registry) = with_policy(lines, variables).await;
        let error = ask(&registry, retired()).await.unwrap_err();
        assert_eq!((error.kind(), error.param()), (ErrorKind::Unsupported, Some("model")));
        assert!(sim.requests().is_empty());
    }
}

#[tokio::test]
async fn a_json_schema_is_asked_for_as_the_configuration_says() {
    let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } },
        "required": ["city"], "additionalProperties": false });
    let format = json!({ "type": "json_schema", "json_schema": { "name": "place", "schema": schema } });
    let wanted = || question("Name a city, as json.", json!({ "response_format": format }));

    let (sim, registry) = with_policy("json_schema = 'json_object'", &[]).await;
    // Whether the simulator's answer fits is not the point here.
    let _ = ask(&registry, wanted()).await;
    assert_eq!(last(&sim)["response_format"]["type"], "json_object");

    let (sim, registry) = with_policy("json_schema = 'strict_tool'", &[]).await;
    let reply = ask(&registry, wanted()).await.unwrap();
    assert!(serde_json::from_str::<Value>(&reply.text()).unwrap()["city"].is_string());
    assert_eq!(sim.requests()[0].path, "/beta/chat/completions");

    let (sim, registry) = with_policy("json_schema = 'refuse'", &[]).await;
    assert_eq!(ask(&registry, wanted()).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(sim.requests().is_empty());
}

#[tokio::test]
async fn a_broken_off_answer_and_an_empty_one_are_errors_or_not_as_the_configuration_says() {
    for (lines, broken_off, empty) in [
        ("", Some(ErrorKind::Overloaded), None),
        ("broken_off = 'error'\nempty_answer = 'accept'", Some(ErrorKind::Overloaded), None),
        ("broken_off = 'finish_reason'\nempty_answer = 'error'", None, Some(ErrorKind::Decode)),
    ] {
        let (_sim, registry) = with_policy(lines, &[]).await;
        let kind = |reply: Result<ChatCompletion>| reply.err().map(|error| error.kind());
        assert_eq!(kind(ask(&registry, question("[sim:resource]", json!({}))).await), broken_off, "{lines}");
        assert_eq!(kind(ask(&registry, question("[sim:empty]", json!({}))).await), empty, "{lines}");
    }
}

#[tokio::test]
async fn reasoning_is_remembered_as_far_as_the_configuration_says() {
    const OFF: (&str, &str) = ("MODELSWITCH_PROVIDERS__DEEPSEEK__POLICY__REASONING_MEMORY", "false");
    for (lines, variables, remembered) in [
        ("", &[][..], [true, true]),
        ("reasoning_memory = true", &[], [true, true]),
        ("reasoning_memory = false", &[], [false, false]),
        ("reasoning_memory = true", &[OFF], [false, false]),
        ("reasoning_memory = { answers = 1 }", &[], [false, true]),
        ("reasoning_memory = { bytes = 1 }", &[], [false, false]),
        ("reasoning_memory = { answers = 10, bytes = 100000 }", &[], [true, true]),
    ] {
        let (sim, registry) = with_policy(lines, variables).await;
        let asked =
            |place: &str| question(&format!("What's the weather in {place}?"), json!({ "tools": tools() }));
        let mut conversations = Vec::new();
        for place in ["Paris", "Rome"] {
            let mut body = asked(place);
            let mut answer =
                ask(&registry, body.clone()).await.unwrap().message().unwrap().to_wire::<Value>().unwrap();
            answer.as_object_mut().unwrap().remove("reasoning_content").unwrap();
            let id = answer["tool_calls"][0]["id"].clone();
            let history = body["messages"].as_array_mut().unwrap();
            history.extend([answer, json!({ "role": "tool", "tool_call_id": id, "content": "sunny" })]);
            conversations.push(body);
        }
        let mut found = Vec::new();
        // The later first: going on with a conversation is remembered too.
        for body in conversations.into_iter().rev() {
            ask(&registry, body).await.unwrap();
            found.push(last(&sim)["messages"][1]["reasoning_content"] != "");
        }
        found.reverse();
        assert_eq!(found, remembered, "{lines} {variables:?}");
    }
}
