//! `/responses` of DeepSeek.

use serde_json::{Value, json};

use super::refusals::refusal;
use super::*;

fn asks(input: Value) -> Value {
    json!({"model": "deepseek-flash", "input": input})
}

async fn respond(sim: &Sim, body: Value) -> Value {
    let response = post(sim, "/responses", &body).await;
    assert_eq!(response.status(), 200, "{body}");
    response.json().await.unwrap()
}

fn call(id: &str) -> Value {
    json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"})
}

fn output(id: &str) -> Value {
    json!({"type": "function_call_output", "call_id": id, "output": format!("result {id}")})
}

#[tokio::test]
async fn calls_stand_together_and_their_outputs_after_them() {
    let sim = deepseek().await;
    let user = json!({"role": "user", "content": "Hi"});
    let spoken = json!({"type": "message", "role": "assistant", "content": "Wait"});
    let thought = json!({"type": "reasoning", "content": [{"type": "reasoning_text", "text": "x"}]});
    for input in [
        json!([user, call("call-a"), spoken, call("b"), output("call-a"), output("b")]),
        json!([user, call("call-a")]),
        json!([user, call("call-a"), user, output("call-a")]),
        json!([user, call("call-a"), call("b"), output("b"), call("c"), output("call-a"), output("c")]),
    ] {
        let (message, kind) = refusal(&sim, "/responses", &asks(input)).await;
        assert_eq!(message, "No tool output found for tool call call-a.");
        assert_eq!(kind, "application/octet-stream");
    }
    let (message, _) = refusal(&sim, "/responses", &asks(json!([user, output("x")]))).await;
    assert!(message.contains("No tool call found for tool output x."), "{message}");
    for input in [
        json!([user, spoken, call("a"), call("b"), output("b"), output("a")]),
        json!([user, call("a"), output("a"), thought, call("b"), output("b"), spoken, user]),
        json!([user, thought, call("a"), {"type": "unheard_of"}, output("a")]),
    ] {
        respond(&sim, asks(input)).await;
    }
    let quoted = respond(&sim, asks(json!([user, call("a"), output("a")]))).await;
    assert!(quoted["output"][1]["content"][0]["text"].as_str().unwrap().contains("result a"));
}

#[tokio::test]
async fn images_have_one_source_and_a_model_that_sees() {
    let sim = deepseek().await;
    let shown = |part: Value| asks(json!([{"role": "user", "content": [part]}]));
    let url = "https://example.com/a.png";
    for (body, words) in [
        (shown(json!({"type": "input_image"})), "input_image must have image_url or file_id"),
        (
            shown(json!({"type": "input_image", "image_url": url, "file_id": "x"})),
            "input_image cannot have both image_url and file_id",
        ),
        (shown(json!({"type": "input_image", "file_id": "file-api-none"})), "no such file"),
        (
            with(
                shown(json!({"type": "input_image", "image_url": url})),
                json!({"model": "deepseek-v4-pro"}),
            ),
            "takes no images",
        ),
        (
            asks(json!([{"role": "assistant", "content": [{"type": "input_image", "image_url": url}]}])),
            "images are only for",
        ),
        (asks(json!([])), "input must be"),
        (with(asks(json!("Hi")), json!({"max_output_tokens": 0})), "Invalid max_output_tokens value"),
        (with(asks(json!("Hi")), json!({"model": "gpt-5"})), "The supported API model names are"),
        (
            with(asks(json!("Hi")), json!({"tools": [{"type": "custom", "name": "shell"}]})),
            "custom tool 'shell'",
        ),
        (
            with(
                asks(json!("Hi")),
                json!({"tools": [{"type": "function", "name": "f"}], "tool_choice": "required"}),
            ),
            "Thinking mode does not support this tool_choice",
        ),
    ] {
        let (message, _) = refusal(&sim, "/responses", &body).await;
        assert!(message.contains(words), "{message}");
    }
    respond(&sim, shown(json!({"type": "input_image", "image_url": url}))).await;
}

#[tokio::test]
async fn a_developer_speaks_as_the_user_and_much_is_ignored() {
    let sim = deepseek().await;
    let input = json!([{"role": "user", "content": "first"}, {"role": "developer", "content": "second"}]);
    let ignored = json!({
        "previous_response_id": "resp_1", "conversation": "c", "store": true, "background": true, "metadata": {"a": "b"},
        "include": ["x"], "truncation": "auto", "max_tool_calls": 1, "tools": [{"type": "web_search"}],
    });
    let answer = respond(&sim, with(asks(input), ignored)).await;
    assert!(answer["output"][1]["content"][0]["text"].as_str().unwrap().contains("second"));
    assert_eq!(
        (&answer["store"], &answer["previous_response_id"], &answer["metadata"]),
        (&json!(false), &Value::Null, &json!({}))
    );
    assert_eq!(answer["model"], "deepseek-flash");
}

#[tokio::test]
async fn thinking_is_switched_off_by_the_effort() {
    let sim = deepseek().await;
    let answer = respond(&sim, with(asks(json!("Hi")), json!({"reasoning": {"effort": "none"}}))).await;
    assert_eq!(answer["output"][0]["type"], "message");
    assert_eq!(answer["usage"]["output_tokens_details"]["reasoning_tokens"], 0);
}

#[tokio::test]
async fn a_schema_is_followed_and_reported_back() {
    let sim = deepseek().await;
    let schema =
        json!({"type": "object", "properties": {"n": {"type": "integer", "minimum": 5}}, "required": ["n"]});
    let format = json!({"type": "json_schema", "name": "x", "schema": schema});
    let answer = respond(&sim, with(asks(json!("Hi")), json!({"text": {"format": format}}))).await;
    assert_eq!(answer["output"][1]["content"][0]["text"], r#"{"n":5}"#);
    assert_eq!(answer["text"]["format"], format);
}

#[tokio::test]
async fn the_custom_tool_takes_a_patch_as_text() {
    let sim = deepseek().await;
    let body = with(asks(json!("Hi")), json!({"tools": [{"type": "custom", "name": "apply_patch"}]}));
    let answer = respond(&sim, body.clone()).await;
    let call = &answer["output"][1];
    assert_eq!((&call["type"], &call["name"]), (&json!("custom_tool_call"), &json!("apply_patch")));
    assert!(call["input"].as_str().unwrap().starts_with("*** Begin Patch\n"));
    let events = events(post(&sim, "/responses", &streamed(body)).await).await;
    let parts = events.iter().filter(|event| event["type"] == "response.custom_tool_call_input.delta");
    let input: String = parts.map(|event| event["delta"].as_str().unwrap()).collect();
    assert_eq!(call["input"], input);
}

#[tokio::test]
async fn an_answer_that_is_cut_or_broken_off_says_so() {
    let sim = deepseek().await;
    let cut = respond(&sim, with(asks(json!("Hi")), json!({"max_output_tokens": 3}))).await;
    assert_eq!(
        (&cut["status"], &cut["incomplete_details"]["reason"]),
        (&json!("incomplete"), &json!("max_output_tokens"))
    );
    let broken = respond(&sim, asks(json!("[sim:resource]"))).await;
    assert_eq!(broken["status"], "failed");
    let events = events(post(&sim, "/responses", &streamed(asks(json!("[sim:aborted]")))).await).await;
    assert_eq!(events.last().unwrap()["type"], "response.failed");
    assert_eq!(post(&sim, "/responses", &asks(json!("[sim:503]"))).await.status(), 503);
    let blank = post(&sim, "/responses", &asks(json!("[sim:blank]"))).await;
    assert_eq!((blank.status().as_u16(), blank.text().await.unwrap().trim()), (200, ""));
    let (message, _) = refusal(&sim, "/responses", &asks(json!("[sim:risk]"))).await;
    assert_eq!(message, "Content Exists Risk");
}
