//! `/anthropic/v1/messages`.

use reqwest::Response;
use serde_json::{Value, json};

use super::*;

fn asks(content: &str) -> Value {
    json!({"model": "deepseek-flash", "max_tokens": 1000, "messages": [{"role": "user", "content": content}]})
}

async fn send(sim: &Sim, key: &str, body: &Value) -> Response {
    let request = reqwest::Client::new().post(format!("{}/anthropic/v1/messages", sim.base_url()));
    request
        .header("x-api-key", key)
        .header("anthropic-version", "2023-06-01")
        .json(body)
        .send()
        .await
        .unwrap()
}

async fn message(sim: &Sim, body: Value) -> Value {
    let response = send(sim, sim.key(), &body).await;
    assert_eq!(response.status(), 200, "{body}");
    response.json().await.unwrap()
}

/// The message of a 400 in Anthropic's envelope.
async fn refusal(sim: &Sim, body: &Value) -> String {
    let response = send(sim, sim.key(), body).await;
    assert_eq!(response.status(), 400, "{body}");
    assert_eq!(content_type(&response), "application/json");
    let error: Value = response.json().await.unwrap();
    assert_eq!((&error["type"], &error["error"]["type"]), (&json!("error"), &json!("invalid_request_error")));
    error["error"]["message"].as_str().unwrap().to_owned()
}

/// Name and data of each event.
async fn named_events(response: Response) -> Vec<(String, Value)> {
    assert_eq!(content_type(&response), "text/event-stream; charset=utf-8");
    let text = response.text().await.unwrap();
    let event = |event: &str| {
        let (name, data) = event.strip_prefix("event: ")?.split_once("\ndata: ")?;
        Some((name.to_owned(), serde_json::from_str(data).unwrap()))
    };
    text.split_terminator("\n\n").map(|part| event(part).unwrap_or_else(|| panic!("{part}"))).collect()
}

fn tools() -> Value {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    json!([{"name": "get_weather", "description": "x", "input_schema": schema}])
}

#[tokio::test]
async fn an_answer_has_blocks_and_its_own_words() {
    let sim = deepseek().await;
    let answer = message(&sim, asks("Hello")).await;
    assert_eq!(
        (&answer["type"], &answer["role"], &answer["model"]),
        (&json!("message"), &json!("assistant"), &json!("deepseek-flash"))
    );
    assert_eq!(answer["content"][0]["type"], "thinking");
    assert!(answer["content"][0]["signature"].is_string());
    assert_eq!(
        answer["content"][1],
        json!({"type": "text", "text": r#"[simulated deepseek-flash] You said: "Hello""#})
    );
    assert_eq!((&answer["stop_reason"], &answer["stop_sequence"]), (&json!("end_turn"), &Value::Null));
    assert!(answer["usage"]["output_tokens"].as_u64().unwrap() > 0);

    let off = message(&sim, with(asks("Hello"), json!({"thinking": {"type": "disabled"}}))).await;
    assert_eq!(off["content"][0]["type"], "text");
    let cut = message(&sim, with(asks("Hello"), json!({"max_tokens": 2}))).await;
    assert_eq!(cut["stop_reason"], "max_tokens");
    let stopped = message(&sim, with(asks("Hello"), json!({"stop_sequences": ["said"]}))).await;
    assert_eq!(
        (&stopped["stop_reason"], &stopped["stop_sequence"]),
        (&json!("stop_sequence"), &json!("said"))
    );
}

#[tokio::test]
async fn a_stream_begins_and_ends_each_block_and_the_message() {
    let sim = deepseek().await;
    let whole = message(&sim, asks("Hello")).await;
    let events = named_events(send(&sim, sim.key(), &streamed(asks("Hello"))).await).await;
    assert!(events.iter().all(|(name, data)| data["type"] == *name));
    let mut names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    names.dedup();
    let block = ["content_block_start", "content_block_delta", "content_block_stop"];
    assert_eq!(names, [&["message_start"][..], &block, &block, &["message_delta", "message_stop"]].concat());
    assert_eq!(events[0].1["message"]["content"], json!([]));
    let said = |kind: &str, field: &str| -> String {
        let deltas = events.iter().map(|(_, data)| &data["delta"]).filter(|delta| delta["type"] == kind);
        deltas.map(|delta| delta[field].as_str().unwrap()).collect()
    };
    assert_eq!(whole["content"][0]["thinking"], said("thinking_delta", "thinking"));
    assert_eq!(whole["content"][1]["text"], said("text_delta", "text"));
    assert!(!said("signature_delta", "signature").is_empty());
    let (_, end) = &events[events.len() - 2];
    assert_eq!(
        (&end["delta"]["stop_reason"], &end["usage"]["output_tokens"]),
        (&json!("end_turn"), &whole["usage"]["output_tokens"])
    );
}

#[tokio::test]
async fn a_tool_is_used_and_its_result_quoted() {
    let sim = deepseek().await;
    let asked = with(asks("Weather in Paris?"), json!({"tools": tools()}));
    let answer = message(&sim, asked.clone()).await;
    assert_eq!(answer["stop_reason"], "tool_use");
    let used = &answer["content"][1];
    assert_eq!(
        (&used["type"], &used["name"], &used["input"]),
        (&json!("tool_use"), &json!("get_weather"), &json!({"city": "Paris"}))
    );
    let events = named_events(send(&sim, sim.key(), &streamed(asked.clone())).await).await;
    let parts = events.iter().filter_map(|(_, data)| data["delta"]["partial_json"].as_str());
    assert_eq!(parts.collect::<String>(), r#"{"city":"Paris"}"#);

    let result = json!({"type": "tool_result", "tool_use_id": used["id"], "content": [{"type": "text", "text": "sunny"}]});
    let turn = |result: Value| json!([asked["messages"][0], {"role": "assistant", "content": answer["content"]}, {"role": "user", "content": [result]}]);
    let next = message(&sim, with(asked.clone(), json!({"messages": turn(result)}))).await;
    assert_eq!(next["content"][1]["text"], r#"[simulated deepseek-flash] The tool answered: "sunny""#);
    let orphan = turn(json!({"type": "tool_result", "tool_use_id": "other", "content": "x"}));
    assert!(
        refusal(&sim, &with(asked, json!({"messages": orphan}))).await.contains("without a `tool_result`")
    );
}

#[tokio::test]
async fn the_names_of_others_lead_to_a_model() {
    let sim = deepseek().await;
    for (asked, serving) in [
        ("claude-opus-4-6", "deepseek-v4-pro"),
        ("claude-sonnet-4-5", "deepseek-flash"),
        ("claude-haiku-4-5", "deepseek-flash"),
        ("deepseek-v4-pro", "deepseek-v4-pro"),
        ("deepseek-v4-flash", "deepseek-flash"),
    ] {
        assert_eq!(message(&sim, with(asks("Hi"), json!({"model": asked}))).await["model"], serving);
    }
    assert!(
        refusal(&sim, &with(asks("Hi"), json!({"model": "gpt-5"})))
            .await
            .starts_with("The supported API model names are")
    );
}

#[tokio::test]
async fn what_it_refuses_is_written_in_anthropics_form() {
    let sim = deepseek().await;
    let user = json!({"role": "user", "content": "Hi"});
    let used = json!({"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "get_weather", "input": {}}]});
    let result =
        json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "x"}]});
    let block = |block: Value| json!([{"role": "user", "content": [block]}]);
    let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}});
    for (change, words) in [
        (
            json!({"messages": [{"role": "tool", "content": "x"}]}),
            "unknown variant `tool`, expected `user` or `assistant`",
        ),
        (json!({"messages": []}), "messages must be"),
        (json!({"max_tokens": 0}), "Invalid max_tokens value"),
        (json!({"temperature": 9}), "temperature"),
        (json!({"metadata": {"user_id": "a b"}}), "Invalid user_id"),
        (json!({"messages": block(json!({"type": "document"}))}), "unknown variant `document`"),
        (
            json!({"messages": block(image.clone()), "model": "deepseek-v4-pro"}),
            "an image is not supported here",
        ),
        (
            json!({"tools": [{"name": "f", "input_schema": {"type": "array"}}]}),
            "Invalid schema for function 'f'",
        ),
        (
            json!({"tools": tools(), "tool_choice": {"type": "any"}}),
            "Thinking mode does not support this tool_choice",
        ),
        (json!({"messages": [user, used]}), "`tool_use` without a `tool_result`"),
        (
            json!({"messages": [user, used, result], "tools": tools()}),
            "The `content[].thinking` in the thinking mode must be passed back to the API.",
        ),
        (json!({"messages": [{"role": "user", "content": "[sim:risk]"}]}), "Content Exists Risk"),
    ] {
        let message = refusal(&sim, &with(asks("Hi"), change)).await;
        assert!(message.contains(words), "{message}");
    }
    message(&sim, with(asks("Hi"), json!({"messages": block(image)}))).await;
    // Without tools in the request nobody asks for the thoughts.
    message(&sim, with(asks("Hi"), json!({"messages": [user, used, result]}))).await;
}

#[tokio::test]
async fn keys_and_failures_have_their_kinds() {
    let sim = deepseek().await;
    assert_eq!(post(&sim, "/anthropic/v1/messages", &asks("Hi")).await.status(), 200);
    let url = format!("{}/anthropic/v1/messages", sim.base_url());
    let none = reqwest::Client::new().post(&url).json(&asks("Hi")).send().await.unwrap();
    assert_eq!(
        (none.status().as_u16(), none.text().await.unwrap().as_str()),
        (401, "Authentication Fails (governor)")
    );
    for (key, text, status, kind) in [
        ("sk-wrong", "Hi", 401, "authentication_error"),
        ("sk-no-balance", "Hi", 402, "billing_error"),
        (sim.key(), "[sim:429]", 429, "rate_limit_error"),
        (sim.key(), "[sim:500]", 500, "api_error"),
        (sim.key(), "[sim:503]", 503, "overloaded_error"),
        (sim.key(), "[sim:error-in-stream]", 503, "overloaded_error"),
    ] {
        let response = send(&sim, key, &asks(text)).await;
        assert_eq!(response.status(), status);
        let error: Value = response.json().await.unwrap();
        assert_eq!((&error["type"], &error["error"]["type"]), (&json!("error"), &json!(kind)));
    }
    let broken = named_events(send(&sim, sim.key(), &streamed(asks("[sim:error-in-stream]"))).await).await;
    assert_eq!(broken.last().unwrap().0, "error");
    assert_eq!(get(&sim, "/anthropic/v1/messages").await.status(), 405);
    assert_eq!(get(&sim, "/anthropic/v1/other").await.status(), 404);
}

#[tokio::test]
async fn what_was_read_before_is_counted_apart() {
    let sim = deepseek().await;
    let body = with(asks(&"abcd".repeat(300)), json!({"metadata": {"user_id": "ann"}}));
    let first = message(&sim, body.clone()).await["usage"].clone();
    let second = message(&sim, body).await["usage"].clone();
    assert_eq!((&first["input_tokens"], &first["cache_read_input_tokens"]), (&json!(304), &json!(0)));
    assert_eq!((&second["input_tokens"], &second["cache_read_input_tokens"]), (&json!(48), &json!(256)));
}
