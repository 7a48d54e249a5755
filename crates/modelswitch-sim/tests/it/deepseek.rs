use std::time::Duration;

use modelswitch_sim::Sim;
use serde_json::{Value, json};

use super::*;

fn weather() -> Value {
    json!([{"type": "function", "function": {"name": "get_weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
    }}}])
}

/// Posts a body and compares status, content type and the error's message.
async fn refused(sim: &Sim, path: &str, body: Value, kind: &str, words: &str) {
    let response = post(sim, path, &body).await;
    assert_eq!(response.status(), 400, "{words}");
    assert_eq!(content_type(&response), kind, "{words}");
    let error: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.starts_with(words), "{message}\n{words}");
    assert_eq!(error["error"]["type"], "invalid_request_error");
    assert_eq!(error["error"]["code"], "invalid_request_error");
    assert!(error["error"]["param"].is_null());
}

#[tokio::test]
async fn an_answer_thinks_first_and_says_that_it_is_simulated() {
    let sim = deepseek().await;
    let body = chat(&sim, says("Hello there")).await;
    let message = &body["choices"][0]["message"];
    assert_eq!(message["content"], r#"[simulated deepseek-flash] You said: "Hello there""#);
    assert!(
        message["reasoning_content"]
            .as_str()
            .unwrap()
            .starts_with("[simulated reasoning] The user asks about")
    );
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert!(body["choices"][0]["logprobs"].is_null());
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["id"].as_str().unwrap().len(), 36);
    let usage = &body["usage"];
    let number = |name: &str| usage[name].as_u64().unwrap();
    assert_eq!(number("prompt_tokens") + number("completion_tokens"), number("total_tokens"));
    let (hit, miss) = (number("prompt_cache_hit_tokens"), number("prompt_cache_miss_tokens"));
    assert_eq!(hit + miss, number("prompt_tokens"));
    assert!(usage["completion_tokens_details"]["reasoning_tokens"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn without_thinking_neither_reasoning_nor_its_count_is_there() {
    let sim = deepseek().await;
    for off in [json!({"thinking": {"type": "disabled"}}), json!({"reasoning_effort": "none"})] {
        let body = chat(&sim, with(says("Hello"), off)).await;
        assert!(body["choices"][0]["message"].get("reasoning_content").is_none());
        assert!(body["usage"].get("completion_tokens_details").is_none());
    }
}

#[tokio::test]
async fn a_request_without_a_key_gets_plain_text_without_a_type() {
    let sim = deepseek().await;
    let response = reqwest::get(format!("{}/models", sim.base_url())).await.unwrap();
    assert_eq!(response.status(), 401);
    assert!(response.headers().get("content-type").is_none());
    assert_eq!(response.headers()["x-ds-trace-id"].len(), 32);
    assert_eq!(response.text().await.unwrap(), "Authentication Fails (governor)");
}

#[tokio::test]
async fn a_key_that_is_wrong_gets_deepseeks_401_with_the_key_masked() {
    let sim = deepseek().await;
    let url = format!("{}/chat/completions", sim.base_url());
    let request = reqwest::Client::new().post(url).bearer_auth("sk-planted-secret-tail").json(&says("Hi"));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 401);
    let text = response.text().await.unwrap();
    assert!(!text.contains("planted"));
    let error: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(error["error"]["message"], "Authentication Fails, Your api key: ****tail is invalid");
    assert_eq!(error["error"]["type"], "authentication_error");
}

#[tokio::test]
async fn the_model_list_has_no_creation_time() {
    let sim = deepseek().await;
    for path in ["/models", "/v1/models"] {
        let list: Value = get(&sim, path).await.json().await.unwrap();
        assert_eq!(
            list["data"][0],
            json!({"id": "deepseek-flash", "object": "model", "owned_by": "deepseek"})
        );
        assert_eq!(list["data"][1]["id"], "deepseek-v4-pro");
    }
}

#[tokio::test]
async fn the_balance_is_in_strings() {
    let sim = deepseek().await;
    let balance: Value = get(&sim, "/user/balance").await.json().await.unwrap();
    assert_eq!(balance["is_available"], true);
    assert_eq!(balance["balance_infos"][0]["total_balance"], "110.00");
}

#[tokio::test]
async fn a_key_without_balance_gets_402() {
    let sim = deepseek().await;
    let url = format!("{}/chat/completions", sim.base_url());
    let request = reqwest::Client::new().post(url).bearer_auth("sk-no-balance").json(&says("Hi"));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 402);
    let error: Value = response.json().await.unwrap();
    assert_eq!(error["error"]["message"], "Insufficient Balance");
}

#[tokio::test]
async fn every_way_to_the_chat_leads_there() {
    let sim = deepseek().await;
    for path in ["/chat/completions", "/v1/chat/completions", "/beta/chat/completions"] {
        assert_eq!(post(&sim, path, &says("Hi")).await.status(), 200, "{path}");
    }
    assert_eq!(get(&sim, "/chat/completions").await.status(), 405);
    assert_eq!(get(&sim, "/embeddings").await.status(), 404);
}

#[tokio::test]
async fn an_old_name_is_served_by_flash_and_the_answer_says_so() {
    let sim = deepseek().await;
    for (asked, serving) in [("deepseek-v4-flash", "deepseek-flash"), ("deepseek-v4-pro", "deepseek-v4-pro")]
    {
        assert_eq!(chat(&sim, with(says("Hi"), json!({"model": asked}))).await["model"], serving);
    }
}

#[tokio::test]
async fn what_the_service_refuses_comes_as_octets() {
    let sim = deepseek().await;
    let user = json!({"role": "user", "content": "Hi"});
    let calls = json!([{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    let called = json!({"role": "assistant", "content": "", "reasoning_content": "", "tool_calls": calls});
    let cases = [
        (
            json!({"model": "deepseek-chat"}),
            "The supported API model names are deepseek-v4-pro or deepseek-v4-flash, but you passed deepseek-chat.",
        ),
        (json!({"model": "gpt-5"}), "The supported API model names are"),
        (json!({"max_tokens": 0}), "Invalid max_tokens value, the valid range of max_tokens is [1, 393216]"),
        (json!({"max_tokens": 393_217}), "Invalid max_tokens value"),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {}}}),
            "This response_format type is unavailable now",
        ),
        (json!({"response_format": {"type": "json_object"}}), "Prompt must contain the word 'json'"),
        (
            json!({"stream_options": {"include_usage": true}}),
            "stream_options should be set along with stream = true",
        ),
        (
            json!({"tools": weather(), "tool_choice": "required"}),
            "Thinking mode does not support this tool_choice",
        ),
        (json!({"messages": [user, called]}), "An assistant message with 'tool_calls' must be followed by"),
        (
            json!({"messages": [user, called, user]}),
            "An assistant message with 'tool_calls' must be followed by",
        ),
        (
            json!({"messages": [user, {"role": "tool", "tool_call_id": "x", "content": ""}]}),
            "Messages with role 'tool' must be",
        ),
        (json!({"messages": [{"role": "assistant", "content": null}, user]}), "Invalid assistant message"),
        (
            json!({"tools": weather(), "messages": [user, {"role": "assistant", "content": "A"}, user]}),
            "The `reasoning_content` in the thinking mode must be passed back",
        ),
        (
            json!({"messages": [user, {"role": "assistant", "content": "A", "prefix": true}]}),
            "prefix is only available when using beta api",
        ),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}),
            "Invalid schema for function 'f': schema must be a JSON Schema of 'type: \"object\"', got 'type: null'.",
        ),
    ];
    for (change, words) in cases {
        refused(&sim, "/chat/completions", with(says("Hi"), change), "application/octet-stream", words).await;
    }
}

#[tokio::test]
async fn what_the_front_door_cannot_read_comes_as_json() {
    let sim = deepseek().await;
    let picture = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}]);
    let cases = [
        (
            json!({"messages": [{"role": "developer", "content": "x"}]}),
            "Failed to deserialize the JSON body into the target type: messages[0].role: unknown variant `developer`, expected one of `system`, `user`, `assistant`, `tool`, `latest_reminder` at line 1 column",
        ),
        (
            json!({"model": "deepseek-v4-pro", "messages": picture}),
            "Failed to deserialize the JSON body into the target type: messages[0]: unknown variant `image_url`, expected `text` at line 1 column",
        ),
        (
            json!({"messages": null}),
            "Failed to deserialize the JSON body into the target type: missing field `messages`",
        ),
        (
            json!({"tools": [{"type": "custom"}]}),
            "Failed to deserialize the JSON body into the target type: tools[0].type: unknown variant `custom`",
        ),
    ];
    for (change, words) in cases {
        refused(&sim, "/chat/completions", with(says("Hi"), change), "application/json", words).await;
    }
    assert_eq!(
        post(&sim, "/chat/completions", &with(says("Hi"), json!({"messages": picture}))).await.status(),
        200
    );
}

#[tokio::test]
async fn thoughts_that_are_passed_back_are_accepted_even_if_empty() {
    let sim = deepseek().await;
    let messages = json!([
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "A", "reasoning_content": ""},
        {"role": "user", "content": "no tools please"},
    ]);
    let body = chat(&sim, with(says(""), json!({"messages": messages, "tools": weather()}))).await;
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn reasoning_spends_the_budget_first() {
    let sim = deepseek().await;
    let body = chat(&sim, with(says("Hello"), json!({"max_tokens": 5}))).await;
    assert_eq!(body["choices"][0]["message"]["content"], "");
    assert_eq!(body["choices"][0]["finish_reason"], "length");
    assert_eq!(body["usage"]["completion_tokens"], 5);
    let ignored = chat(&sim, with(says("Hello"), json!({"max_completion_tokens": 5}))).await;
    assert_eq!(ignored["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn a_tool_is_called_with_its_required_arguments_and_its_result_quoted() {
    let sim = deepseek().await;
    let asked = with(says("What is the weather in Paris?"), json!({"tools": weather()}));
    let body = chat(&sim, asked.clone()).await;
    let message = &body["choices"][0]["message"];
    assert_eq!(body["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(message["content"], "");
    let call = &message["tool_calls"][0];
    assert_eq!(call["index"], 0);
    assert!(call["id"].as_str().unwrap().starts_with("call_00_"));
    assert_eq!(call["function"], json!({"name": "get_weather", "arguments": r#"{"city":"Paris"}"#}));

    let result = json!({"role": "tool", "tool_call_id": call["id"], "content": "sunny, 21 °C"});
    let messages = json!([asked["messages"][0], message, result]);
    let body = chat(&sim, with(asked, json!({"messages": messages}))).await;
    let expected = r#"[simulated deepseek-flash] The tool answered: "sunny, 21 °C""#;
    assert_eq!(body["choices"][0]["message"]["content"], expected);
}

#[tokio::test]
async fn both_calls_two_tools_and_none_calls_none() {
    let sim = deepseek().await;
    let both = chat(&sim, with(says("Call both"), json!({"tools": weather()}))).await;
    let calls = both["choices"][0]["message"]["tool_calls"].as_array().unwrap().clone();
    assert_eq!(calls.len(), 2);
    assert!(calls[1]["id"].as_str().unwrap().starts_with("call_01_"));
    let none = chat(&sim, with(says("Call both"), json!({"tools": weather(), "tool_choice": "none"}))).await;
    assert!(none["choices"][0]["message"].get("tool_calls").is_none());
    let forced = json!({"tools": weather(), "thinking": {"type": "disabled"}, "tool_choice": {"type": "function", "function": {"name": "get_weather"}}});
    let forced = chat(&sim, with(says("Hi, no tools"), forced)).await;
    assert_eq!(forced["choices"][0]["finish_reason"], "tool_calls");
}

#[tokio::test]
async fn a_thinking_stream_has_deepseeks_chunks() {
    let sim = deepseek().await;
    let events = events(post(&sim, "/chat/completions", &streamed(says("Hello"))).await).await;
    let choice = |event: &Value| event["choices"][0].clone();
    let first = json!({"index": 0, "delta": {"role": "assistant", "content": null, "reasoning_content": ""}, "logprobs": null, "finish_reason": null});
    assert_eq!(choice(&events[0]), first);
    assert!(events[0].get("usage").is_none());
    assert!(events[1]["choices"][0]["delta"]["content"].is_null());
    let [.., text, last, done] = events.as_slice() else { panic!("a short stream") };
    assert!(text["choices"][0]["delta"]["reasoning_content"].is_null());
    assert_eq!(last["choices"][0]["delta"], json!({"content": "", "reasoning_content": null}));
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert!(last["usage"]["prompt_cache_miss_tokens"].is_number());
    assert_eq!(done, "[DONE]");
    let whole = chat(&sim, says("Hello")).await;
    let message = &whole["choices"][0]["message"];
    assert_eq!(joined(&events, "content"), message["content"].as_str().unwrap());
    assert_eq!(joined(&events, "reasoning_content"), message["reasoning_content"].as_str().unwrap());
    assert_eq!(last["usage"]["completion_tokens"], whole["usage"]["completion_tokens"]);
}

#[tokio::test]
async fn earlier_chunks_have_a_null_usage_only_on_demand_and_no_chunk_is_without_a_choice() {
    let sim = deepseek().await;
    let off = json!({"thinking": {"type": "disabled"}, "stream_options": {"include_usage": true}});
    let events = events(post(&sim, "/chat/completions", &with(streamed(says("Hello")), off)).await).await;
    assert_eq!(events[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    let (last, early) = events[..events.len() - 1].split_last().unwrap();
    assert!(early.iter().all(|event| event.get("usage") == Some(&Value::Null)));
    assert_eq!(last["choices"][0]["delta"], json!({"content": ""}));
    assert!(last["usage"]["total_tokens"].is_number());
    assert!(events[..events.len() - 1].iter().all(|event| event["choices"].as_array().unwrap().len() == 1));
}

#[tokio::test]
async fn parallel_calls_stream_name_first_and_arguments_after() {
    let sim = deepseek().await;
    let body = with(streamed(says("Call both for Rome")), json!({"tools": weather()}));
    let events = events(post(&sim, "/chat/completions", &body).await).await;
    let mut arguments = [String::new(), String::new()];
    for event in &events {
        let call = &event["choices"][0]["delta"]["tool_calls"][0];
        let Some(index) = call["index"].as_u64() else { continue };
        let part = call["function"]["arguments"].as_str().unwrap();
        assert_eq!(call.get("id").is_some(), part.is_empty());
        arguments[index as usize].push_str(part);
    }
    assert_eq!(arguments, [r#"{"city":"Rome"}"#, r#"{"city":"Rome"}"#]);
    assert_eq!(events[events.len() - 2]["choices"][0]["finish_reason"], "tool_calls");
}

#[tokio::test]
async fn json_mode_answers_json() {
    let sim = deepseek().await;
    let body = with(says("Answer in JSON"), json!({"response_format": {"type": "json_object"}}));
    let content = chat(&sim, body).await["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    assert_eq!(serde_json::from_str::<Value>(&content).unwrap()["simulated"], true);
}

#[tokio::test]
async fn a_repeated_prompt_is_found_in_the_cache_in_blocks_of_128() {
    let sim = deepseek().await;
    let body = says(&"long prompt ".repeat(100));
    let first = chat(&sim, body.clone()).await;
    let second = chat(&sim, body).await;
    assert_eq!(first["usage"]["prompt_cache_hit_tokens"], 0);
    assert_eq!(second["usage"]["prompt_cache_hit_tokens"], 256);
    assert_eq!(second["usage"]["prompt_tokens_details"]["cached_tokens"], 256);
    assert_ne!(first["id"], second["id"]);
}

#[tokio::test]
async fn blank_lines_and_comments_keep_the_line_alive() {
    let sim = Sim::builder().keep_alives(3).chunk_delay(Duration::from_millis(1)).start().await.unwrap();
    let text = post(&sim, "/chat/completions", &says("Hi")).await.text().await.unwrap();
    assert!(text.starts_with("\n\n\n{"));
    let text = post(&sim, "/chat/completions", &streamed(says("Hi"))).await.text().await.unwrap();
    assert!(text.starts_with(": keep-alive\n\n: keep-alive\n\n: keep-alive\n\ndata: "));
    assert!(text.split("data: ").skip(1).any(|event| event.contains(": keep-alive\n\n")));
    assert!(text.ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn logprobs_are_named_after_what_they_belong_to() {
    let sim = deepseek().await;
    let body = with(streamed(says("Hi")), json!({"logprobs": true, "top_logprobs": 1}));
    let events = events(post(&sim, "/chat/completions", &body).await).await;
    let thought = &events[1]["choices"][0]["logprobs"];
    assert!(thought.get("content").is_none());
    assert_eq!(
        thought["reasoning_content"][0]["token"],
        events[1]["choices"][0]["delta"]["reasoning_content"]
    );
    let text = &events[events.len() - 3]["choices"][0]["logprobs"]["content"][0];
    assert_eq!(text["top_logprobs"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_middle_is_filled_under_beta_only() {
    let sim = deepseek().await;
    let body = json!({"model": "deepseek-flash", "prompt": "fn main() {", "suffix": "}"});
    let answer: Value = post(&sim, "/beta/completions", &body).await.json().await.unwrap();
    assert_eq!(answer["object"], "text_completion");
    assert!(answer["choices"][0]["text"].as_str().unwrap().contains("fn main() {"));
    assert!(answer["usage"].get("completion_tokens_details").is_none());
    let words = "completions api is only available when using beta api";
    refused(&sim, "/completions", body.clone(), "application/octet-stream", words).await;
    let events = events(post(&sim, "/beta/completions", &streamed(body)).await).await;
    let text: String = events.iter().filter_map(|event| event["choices"][0]["text"].as_str()).collect();
    assert_eq!(answer["choices"][0]["text"], text);
}

#[tokio::test]
async fn a_begun_answer_is_continued_under_beta() {
    let sim = deepseek().await;
    let begun = json!({"role": "assistant", "content": "It was", "prefix": true});
    let body = with(says(""), json!({"messages": [{"role": "user", "content": "Tell me"}, begun]}));
    let answer: Value = post(&sim, "/beta/chat/completions", &body).await.json().await.unwrap();
    let content = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(content.contains("continues \"It was\""), "{content}");
}

#[tokio::test]
async fn responses_end_without_done() {
    let sim = deepseek().await;
    let body = json!({"model": "deepseek-flash", "input": "Hello"});
    let whole: Value = post(&sim, "/responses", &body).await.json().await.unwrap();
    assert_eq!(whole["output"][0]["content"][0]["type"], "reasoning_text");
    assert_eq!(whole["output"][1]["phase"], "final_answer");
    let events = events(post(&sim, "/responses", &streamed(body)).await).await;
    assert_eq!(events[0]["type"], "response.created");
    assert_eq!(events.last().unwrap()["type"], "response.completed");
}

#[tokio::test]
async fn nine_point_eight_is_larger() {
    let sim = deepseek().await;
    let body = chat(&sim, says("Which is larger, 9.11 or 9.8?")).await;
    assert!(body["choices"][0]["message"]["content"].as_str().unwrap().contains("9.8 is larger"));
}

#[tokio::test]
async fn a_tag_in_the_message_or_behind_the_model_asks_for_an_error() {
    let sim = deepseek().await;
    for status in [402, 418, 429, 500, 503] {
        let response = post(&sim, "/chat/completions", &says(&format!("Hello [sim:{status}]"))).await;
        assert_eq!(response.status(), status);
        assert!(response.json::<Value>().await.unwrap()["error"]["message"].is_string());
    }
    let behind = with(says("Hi"), json!({"model": "deepseek-flash[sim:503]"}));
    assert_eq!(post(&sim, "/chat/completions", &behind).await.status(), 503);
}

#[tokio::test]
async fn tags_change_the_end_of_an_answer() {
    let sim = deepseek().await;
    let resource = events(post(&sim, "/chat/completions", &streamed(says("[sim:resource]"))).await).await;
    assert_eq!(resource[resource.len() - 2]["choices"][0]["finish_reason"], "insufficient_system_resource");
    let error = events(post(&sim, "/chat/completions", &streamed(says("[sim:error-in-stream]"))).await).await;
    assert_eq!(error.last().unwrap()["error"]["type"], "service_unavailable_error");
    let cut = post(&sim, "/chat/completions", &streamed(says("[sim:cut]"))).await;
    assert!(cut.text().await.is_err());
    let long = chat(&sim, says("[sim:long]")).await;
    assert!(long["choices"][0]["message"]["content"].as_str().unwrap().len() > 5000);
    let empty = chat(&sim, says("[sim:empty]")).await;
    assert_eq!(empty["choices"][0]["message"]["content"], "");
    let blank = post(&sim, "/chat/completions", &says("[sim:blank]")).await.text().await.unwrap();
    assert!(blank.trim().is_empty());
}

#[tokio::test]
async fn a_stalled_answer_keeps_the_connection_open() {
    let sim = deepseek().await;
    let mut response = post(&sim, "/chat/completions", &streamed(says("[sim:stall]"))).await;
    assert!(response.chunk().await.unwrap().is_some());
    let rest = async { while response.chunk().await.unwrap().is_some() {} };
    assert!(tokio::time::timeout(Duration::from_millis(200), rest).await.is_err());
    assert_eq!(sim.open_responses(), 1);
    drop(response);
    assert!(sim.wait_idle(LONG).await);
}
