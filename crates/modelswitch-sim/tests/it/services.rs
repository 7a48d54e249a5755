//! The services of the table: each deviates where it is known to, and nowhere breaks HTTP.

use std::collections::BTreeSet;

use super::*;

async fn named(name: &str) -> Sim {
    Sim::builder().personality(Personality::named(name).unwrap()).start().await.unwrap()
}

fn asks(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]})
}

/// The path of a chat completion, with what the service wants in every URL.
fn path(name: &str) -> &'static str {
    match name {
        "azure-deployments" => "/deployments/sim-small/chat/completions?api-version=1",
        _ => "/chat/completions",
    }
}

#[tokio::test]
async fn every_personality_answers_whole_and_streamed_under_its_own_path() {
    for name in Personality::names().filter(|name| !["deepseek", "perplexity"].contains(name)) {
        let sim = named(name).await;
        assert!(sim.base_url().ends_with(sim.personality().path()), "{name}");
        let response = post(&sim, path(name), &asks("sim-small")).await;
        assert_eq!(response.status(), 200, "{name}");
        let whole: Value = response.json().await.unwrap();
        let text = whole["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
        assert!(text.contains(r#"You said: "Hello""#), "{name}");
        let events = events(post(&sim, path(name), &streamed(asks("sim-small"))).await).await;
        assert_eq!(joined(&events, "content"), text, "{name}");
    }
}

#[tokio::test]
async fn a_wrong_key_an_unknown_path_and_an_unknown_model_are_refused_by_everybody() {
    for name in Personality::names().filter(|name| !["deepseek", "perplexity"].contains(name)) {
        let sim = named(name).await;
        let url = format!("{}{}", sim.base_url(), path(name));
        let wrong = reqwest::Client::new().post(&url).bearer_auth("sk-wrong").json(&asks("sim-small"));
        assert_eq!(wrong.send().await.unwrap().status(), 401, "{name}");
        assert_eq!(post(&sim, "/no/such/path", &asks("sim-small")).await.status(), 404, "{name}");
        let path = path(name).replace("sim-small", "no-such-model");
        assert_eq!(post(&sim, &path, &asks("no-such-model")).await.status(), 404, "{name}");
    }
}

#[tokio::test]
async fn reasoning_stands_where_each_service_has_it() {
    let message = async |name: &str| {
        let sim = named(name).await;
        chat(&sim, asks("sim-reasoner")).await["choices"][0]["message"].clone()
    };
    let mark = "[simulated reasoning]";
    let has = |value: &Value| value.as_str().is_some_and(|text| text.starts_with(mark));
    assert!(has(&message("fireworks").await["reasoning_content"]));
    assert!(has(&message("groq").await["reasoning"]));
    let openrouter = message("openrouter").await;
    assert!(has(&openrouter["reasoning"]) && has(&openrouter["reasoning_details"][0]["text"]));
    let mistral = message("mistral").await;
    assert!(has(&mistral["content"][0]["thinking"][0]["text"]), "{mistral}");
    assert!(
        message("minimax").await["content"].as_str().unwrap().starts_with("<think>\n[simulated reasoning]")
    );
    assert!(!message("gemini").await.to_string().contains(mark));
}

#[tokio::test]
async fn tags_are_split_across_chunks() {
    let sim = named("minimax").await;
    let events = events(post(&sim, "/chat/completions", &streamed(asks("sim-reasoner"))).await).await;
    let joined = joined(&events, "content");
    assert!(joined.starts_with("<think>\n") && joined.contains("\n</think>\n\n[simulated"), "{joined}");
    // The last one has the whole message once more.
    let pieces = events.iter().filter(|event| event["choices"][0].get("message").is_none());
    assert!(
        pieces.count() > 3
            && events.iter().filter(|event| event.to_string().contains("think>\\n")).count() == 1
    );
}

#[tokio::test]
async fn usage_stands_where_each_service_has_it() {
    let events = async |name: &str| {
        let sim = named(name).await;
        events(post(&sim, path(name), &streamed(asks("sim-small"))).await).await
    };
    let groq = events("groq").await;
    assert!(groq.iter().any(|event| event["x_groq"]["usage"]["total_tokens"].is_u64()));
    assert!(groq.iter().all(|event| event.get("usage").is_none()));
    let together = events("together").await;
    assert_eq!(together[together.len() - 2]["choices"], json!([]));
    let mistral = events("mistral").await;
    assert!(mistral[mistral.len() - 2]["usage"].is_object());
    let siliconflow = events("siliconflow").await;
    assert!(siliconflow[..siliconflow.len() - 1].iter().all(|event| event["usage"].is_object()));
}

#[tokio::test]
async fn errors_have_each_services_own_form() {
    let mut forms = BTreeSet::new();
    for (name, pointer) in [
        ("openai-compatible", "/error/message"),
        ("openrouter", "/error/code"),
        ("mistral", "/message"),
        ("nvidia", "/detail"),
        ("huggingface", "/error"),
        ("xai", "/code"),
        ("gemini", "/0/error/status"),
        ("siliconflow", "/data"),
        ("minimax", "/base_resp/status_msg"),
        ("anthropic", "/error/type"),
        ("zhipu", "/error/code"),
    ] {
        let sim = named(name).await;
        let response = post(&sim, path(name), &with(asks("sim-small"), json!({"messages": []}))).await;
        assert_eq!(response.status(), 400, "{name}");
        let body: Value = response.json().await.unwrap();
        assert!(body.pointer(pointer).is_some(), "{name}: {body}");
        forms.insert(body.to_string().replace("messages", ""));
    }
    assert_eq!(forms.len(), 11);
}

#[tokio::test]
async fn what_a_service_does_not_take_is_refused() {
    for (name, more) in [
        ("groq", json!({"logprobs": true})),
        ("groq", json!({"messages": [{"role": "user", "content": "Hi", "name": "me"}]})),
        ("mistral", json!({"max_completion_tokens": 5})),
        ("cerebras", json!({"messages": [{"role": "assistant", "content": "", "reasoning_content": "x"}]})),
        ("moonshot", json!({"messages": [{"role": "assistant", "tool_calls": []}, {"role": "tool"}]})),
        ("moonshot", json!({"reasoning_effort": "none"})),
        ("xai", json!({"stop": ["x"]})),
        ("xai", json!({"presence_penalty": 1})),
        ("anthropic", json!({"n": 2})),
        ("groq", json!({"n": 2})),
    ] {
        let sim = named(name).await;
        let response = post(&sim, "/chat/completions", &with(asks("sim-reasoner"), more)).await;
        assert_eq!(response.status(), 400, "{name}");
    }
    let sim = named("xai").await;
    let talks = post(&sim, "/chat/completions", &with(asks("sim-small"), json!({"stop": ["x"]}))).await;
    assert_eq!(talks.status(), 200, "a model that doesn't think takes it");
}

#[tokio::test]
async fn a_choice_of_a_tool_is_kept_to_only_where_the_service_knows_it() {
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}});
    let called = async |name: &str, choice: Value| {
        let more = json!({"tools": [tool("first"), tool("second")], "tool_choice": choice});
        let answer = chat(&named(name).await, with(asks("sim-small"), more)).await;
        answer["choices"][0]["message"]["tool_calls"][0]["function"]["name"].as_str().map(str::to_owned)
    };
    for (name, choice, expected) in [
        ("openai-compatible", tool("second"), Some("second")),
        ("llamacpp", tool("second"), Some("first")),
        ("llamacpp", json!("none"), None),
        ("ollama", tool("second"), Some("first")),
        ("ollama", json!("none"), Some("first")),
    ] {
        assert_eq!(called(name, choice.clone()).await.as_deref(), expected, "{name}: {choice}");
    }
}

#[tokio::test]
async fn perplexity_answers_responses_and_no_chat() {
    let sim = named("perplexity").await;
    assert!(sim.base_url().ends_with("/v1"));
    assert_eq!(post(&sim, "/chat/completions", &asks("sim-small")).await.status(), 404);
    let answer = post(&sim, "/responses", &json!({"model": "sim-small", "input": "Hello"})).await;
    assert_eq!(answer.status(), 200);
    let answer: Value = answer.json().await.unwrap();
    assert!(answer["output"][0]["content"][0]["text"].as_str().unwrap().contains("Hello"), "{answer}");
    assert_eq!(
        post(&sim, "/responses", &json!({"model": "no-such-model", "input": "?"})).await.status(),
        404
    );
    assert_eq!(get(&sim, "/models").await.status(), 200);
    let openai = named("openai-compatible").await;
    assert_eq!(post(&openai, "/responses", &json!({"model": "sim-small", "input": "?"})).await.status(), 404);
}

#[tokio::test]
async fn a_service_of_ones_own_is_as_it_is_said_to_be() {
    let acme = Service::plain("acme", "/api/v2")
        .key_header("x-acme-key")
        .query("version")
        .reasoning_field("thought");
    let acme = acme.refusing(["seed", "messages[].name"]).without_models().request_id_in("X-Acme-Id");
    let sim = Sim::builder().personality(Personality::of(acme)).start().await.unwrap();
    let ask = |path: &str, body: Value| {
        let url = format!("{}{path}", sim.base_url());
        reqwest::Client::new().post(url).header("x-acme-key", sim.key()).json(&body).send()
    };
    let good = ask("/chat/completions?version=1", asks("sim-reasoner")).await.unwrap();
    assert!(good.headers().contains_key("x-acme-id"));
    let body: Value = good.json().await.unwrap();
    assert!(body["choices"][0]["message"]["thought"].is_string(), "{body}");
    let seeded = with(asks("sim-small"), json!({"seed": 1}));
    assert_eq!(ask("/chat/completions?version=1", seeded).await.unwrap().status(), 400);
    assert_eq!(ask("/chat/completions", asks("sim-small")).await.unwrap().status(), 404);
    assert_eq!(get(&sim, "/models?version=1").await.status(), 404);
}

#[tokio::test]
async fn several_keys_are_taken_and_no_other() {
    let sim = Sim::builder().keys(["sk-one", "sk-two"]).start().await.unwrap();
    let status = async |key: &str| {
        let url = format!("{}/models", sim.base_url());
        reqwest::Client::new().get(url).bearer_auth(key).send().await.unwrap().status().as_u16()
    };
    assert_eq!((status("sk-one").await, status("sk-two").await, status("sk-three").await), (200, 200, 401));
}

#[tokio::test]
async fn azure_takes_its_own_header_and_wants_a_version_in_the_url_of_a_deployment() {
    let sim = named("azure-deployments").await;
    let ask = |path: &str| {
        let url = format!("{}{path}", sim.base_url());
        reqwest::Client::new().post(url).header("api-key", sim.key()).json(&asks("anything")).send()
    };
    assert_eq!(
        ask("/deployments/sim-small/chat/completions?api-version=2024-10-21").await.unwrap().status(),
        200
    );
    assert_eq!(ask("/deployments/sim-small/chat/completions").await.unwrap().status(), 404);
}

#[tokio::test]
async fn lists_of_models_differ_as_they_do() {
    let list = async |name: &str| get(&named(name).await, "/models").await;
    let json = async |name: &str| list(name).await.json::<Value>().await.unwrap();
    assert!(json("together").await[0]["id"].is_string());
    assert!(json("gemini").await["data"][0]["id"].as_str().unwrap().starts_with("models/"));
    assert!(json("lmstudio").await["data"][0].get("created").is_none());
    assert_eq!(list("volcengine").await.status(), 404);
}
