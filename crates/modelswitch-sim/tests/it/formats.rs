//! Answers in JSON, answers that end oddly, and how probable their tokens were.

use serde_json::{Value, json};

use super::*;

fn wanted() -> Value {
    json!({
        "type": "object", "required": ["title", "pages", "author"],
        "properties": {
            "title": {"type": "string", "minLength": 20}, "pages": {"type": "integer", "minimum": 100},
            "author": {"$ref": "#/$defs/person"},
        },
        "$defs": {"person": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
    })
}

async fn in_json_mode(messages: Value) -> String {
    let sim = deepseek().await;
    let body = with(says(""), json!({"messages": messages, "response_format": {"type": "json_object"}}));
    chat(&sim, body).await["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn json_mode_follows_the_schema_in_the_prompt() {
    let expected = json!({"title": "Tolstoyxxxxxxxxxxxxx", "pages": 100, "author": {"name": "Tolstoy"}});
    let user = json!({"role": "user", "content": "A book by Tolstoy"});
    let fenced = format!("Answer in JSON after this schema:\n```json\n{:#}\n```", wanted());
    let bare = format!("In json: {} A book by Tolstoy", wanted());
    let older =
        json!({"role": "system", "content": "json {\"type\": \"object\", \"properties\": {\"x\": {}}}"});
    for messages in [
        json!([{"role": "system", "content": fenced}, user]),
        json!([{"role": "user", "content": bare}]),
        json!([{"role": "user", "content": [{"type": "text", "text": bare}]}]),
        // The latest schema counts, and none that the model wrote itself.
        json!([older, {"role": "system", "content": fenced}, {"role": "assistant", "content": "{\"type\": \"object\", \"properties\": {}}"}, user]),
    ] {
        let answer: Value = serde_json::from_str(&in_json_mode(messages).await).unwrap();
        assert_eq!(answer, expected);
    }
}

#[tokio::test]
async fn json_that_does_not_fit_and_no_json_at_all_can_be_had() {
    let prompt = |tag: &str| json!([{"role": "user", "content": format!("{tag} JSON: {}", wanted())}]);
    let misfit: Value = serde_json::from_str(&in_json_mode(prompt("[sim:bad-json]")).await).unwrap();
    assert_eq!(misfit, json!({"simulated_misfit": true}));
    assert!(serde_json::from_str::<Value>(&in_json_mode(prompt("[sim:not-json]")).await).is_err());
    assert_eq!(in_json_mode(prompt("[sim:empty]")).await, "");
}

#[tokio::test]
async fn the_arguments_of_a_call_can_be_wrong_too() {
    let sim = deepseek().await;
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": wanted()}}]);
    for (tag, is_json) in [("[sim:bad-json]", true), ("[sim:not-json]", false)] {
        let answer = chat(&sim, with(says(tag), json!({"tools": tools}))).await;
        let arguments = &answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"];
        let parsed = serde_json::from_str::<Value>(arguments.as_str().unwrap());
        assert_eq!(parsed.is_ok(), is_json, "{tag}");
        assert!(parsed.is_ok_and(|value| value.get("title").is_none()) || !is_json);
        assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
    }
}

#[tokio::test]
async fn a_tool_call_is_cut_off_where_the_budget_ends() {
    let sim = deepseek().await;
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": wanted()}}]);
    let cut = |most: u64| {
        with(says("Hi"), json!({"tools": tools, "max_tokens": most, "thinking": {"type": "disabled"}}))
    };
    let answer = chat(&sim, cut(4)).await;
    let call = answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"].as_str().unwrap();
    assert!(!call.is_empty() && serde_json::from_str::<Value>(call).is_err(), "{call}");
    assert_eq!(
        (&answer["choices"][0]["finish_reason"], &answer["usage"]["completion_tokens"]),
        (&json!("length"), &json!(4))
    );
    let empty = chat(&sim, cut(1)).await;
    assert_eq!(empty["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"], "");
    assert_eq!(empty["choices"][0]["finish_reason"], "length");
}

#[tokio::test]
async fn an_answer_can_be_aborted_whole_and_streamed() {
    let sim = deepseek().await;
    let whole = chat(&sim, says("[sim:aborted]")).await;
    assert_eq!(whole["choices"][0]["finish_reason"], "aborted");
    let events = events(post(&sim, "/chat/completions", &streamed(says("[sim:aborted]"))).await).await;
    let [.., last, done] = events.as_slice() else { panic!("a short stream") };
    assert_eq!((&last["choices"][0]["finish_reason"], done), (&json!("aborted"), &json!("[DONE]")));
    assert_eq!(joined(&events, "content"), whole["choices"][0]["message"]["content"].as_str().unwrap());
    let empty = chat(&sim, says("[sim:empty]")).await;
    assert_eq!(
        (&empty["choices"][0]["finish_reason"], &empty["choices"][0]["message"]["content"]),
        (&json!("stop"), &json!(""))
    );
}

#[tokio::test]
async fn invalid_parameters_have_a_status_of_their_own() {
    let sim = deepseek().await;
    let response = post(&sim, "/chat/completions", &says("[sim:422]")).await;
    assert_eq!(response.status(), 422);
    let error: Value = response.json().await.unwrap();
    assert!(error["error"]["message"].as_str().unwrap().contains("Invalid Parameters"));
}

#[tokio::test]
async fn probabilities_are_listed_only_for_what_was_said() {
    let sim = deepseek().await;
    let asked = |more: Value| with(says("Hi"), with(json!({"logprobs": true, "top_logprobs": 3}), more));
    let both = chat(&sim, asked(json!({}))).await["choices"][0]["logprobs"].clone();
    assert!(both["content"].is_array() && both["reasoning_content"].is_array());
    let top = both["content"][0]["top_logprobs"].as_array().unwrap();
    assert_eq!((top.len(), &top[2]["logprob"]), (3, &json!(-9999.0)));
    let cut = chat(&sim, asked(json!({"max_tokens": 3}))).await["choices"][0]["logprobs"].clone();
    assert!(cut.get("content").is_none() && cut["reasoning_content"].is_array());
    let text =
        chat(&sim, asked(json!({"thinking": {"type": "disabled"}}))).await["choices"][0]["logprobs"].clone();
    assert!(text["content"].is_array() && text.get("reasoning_content").is_none());
}
