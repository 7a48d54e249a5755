//! What DeepSeek refuses of a chat request, and what it takes or ignores.

use serde_json::{Value, json};

use super::*;

/// The message of a 400 in DeepSeek's envelope, with its content type.
pub(crate) async fn refusal(sim: &Sim, path: &str, body: &Value) -> (String, String) {
    let response = post(sim, path, body).await;
    assert_eq!(response.status(), 400, "{body}");
    let kind = content_type(&response).to_owned();
    let error: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(error["error"]["type"], "invalid_request_error");
    assert_eq!(error["error"]["code"], "invalid_request_error");
    (error["error"]["message"].as_str().unwrap().to_owned(), kind)
}

/// Posts each change of a plain request; its refusal comes as octets and has these words in it.
async fn check(path: &str, cases: &[(Value, &str)]) {
    let sim = deepseek().await;
    for (change, words) in cases {
        let (message, kind) = refusal(&sim, path, &with(says("Hi"), change.clone())).await;
        assert!(message.contains(words), "{change}\n{message}");
        assert_eq!(kind, "application/octet-stream", "{change}");
    }
}

/// Posts each change of a plain request, which is answered.
async fn accepted(path: &str, changes: &[Value]) {
    let sim = deepseek().await;
    for change in changes {
        let response = post(&sim, path, &with(says("Hi"), change.clone())).await;
        assert_eq!(response.status(), 200, "{change}: {}", response.text().await.unwrap());
    }
}

fn function(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}})
}

fn user_parts(parts: Value) -> Value {
    json!({"messages": [{"role": "user", "content": parts}]})
}

#[tokio::test]
async fn numbers_out_of_range_are_refused() {
    check(
        "/chat/completions",
        &[
            (json!({"temperature": 2.1}), "the valid range of temperature is [0, 2]"),
            (json!({"temperature": -0.1}), "the valid range of temperature is [0, 2]"),
            (json!({"top_p": 1.5}), "the valid range of top_p is [0, 1]"),
            (json!({"logprobs": true, "top_logprobs": 21}), "the valid range of top_logprobs is [0, 20]"),
            (json!({"top_logprobs": 2}), "along with logprobs = true"),
            (json!({"logprobs": false, "top_logprobs": 2}), "along with logprobs = true"),
            (json!({"stop": vec!["x"; 17]}), "the maximum number of stop sequences is 16"),
            (json!({"stop": 5}), "stop must be a string or a list of strings"),
            (json!({"stop": ["a", 5]}), "stop must be a string or a list of strings"),
            (json!({"user_id": "ann@example.com"}), "Invalid user_id"),
            (json!({"user_id": ""}), "Invalid user_id"),
            (json!({"user_id": "x".repeat(513)}), "Invalid user_id"),
        ],
    )
    .await;
}

#[tokio::test]
async fn the_ends_of_the_ranges_are_inside_and_what_is_not_documented_is_ignored() {
    accepted(
        "/chat/completions",
        &[
            json!({"temperature": 2}),
            json!({"temperature": 0, "top_p": 1, "max_tokens": 393_216}),
            json!({"logprobs": true, "top_logprobs": 20}),
            json!({"stop": vec!["x"; 16]}),
            json!({"user_id": "x".repeat(512)}),
            json!({"temperature": null, "stop": null, "tools": null, "tool_choice": null, "user_id": null}),
            json!({"max_completion_tokens": 0, "user": "ann@example.com", "seed": "x", "logit_bias": 1, "store": true}),
            json!({"functions": [{"name": "f"}], "function_call": {"name": "f"}, "presence_penalty": 7}),
            json!({"reasoning_effort": "ultra", "thinking": {"type": "enabled"}}),
            json!({"response_format": {"type": "text"}}),
        ],
    )
    .await;
}

#[tokio::test]
async fn several_choices_are_one_and_legacy_functions_are_not_called() {
    let sim = deepseek().await;
    let body = json!({"n": 3, "functions": [{"name": "f"}], "function_call": {"name": "f"}});
    let answer = chat(&sim, with(says("Hi"), body)).await;
    assert_eq!(answer["choices"].as_array().unwrap().len(), 1);
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn fields_of_the_wrong_type_are_unreadable_and_their_values_are_not_repeated() {
    let sim = deepseek().await;
    for (change, words) in [
        (json!({"temperature": "planted"}), "temperature: invalid type: string, expected f32"),
        (json!({"max_tokens": 1.5}), "max_tokens: invalid type: floating point, expected i32"),
        (json!({"stream": "planted"}), "stream: invalid type: string, expected a boolean"),
        (json!({"thinking": {"type": "auto"}}), "thinking.type: unknown variant `auto`"),
        (json!({"reasoning_effort": "huge"}), "reasoning_effort: unknown variant `huge`"),
        (json!({"response_format": {"type": "xml"}}), "response_format.type: unknown variant `xml`"),
        (json!({"tool_choice": "any"}), "tool_choice: unknown variant `any`"),
        (json!({"messages": [{"role": "user"}]}), "messages[0]: missing field `content`"),
        (json!({"messages": [{"role": "user", "content": 5}]}), "messages[0]: invalid type: integer"),
        (
            json!({"messages": [{"role": "tool", "content": "x"}]}),
            "messages[0]: missing field `tool_call_id`",
        ),
        (
            user_parts(json!([{"type": "input_audio", "input_audio": {}}])),
            "messages[0]: unknown variant `input_audio`",
        ),
        (json!({"tools": [{"type": "function", "function": {}}]}), "tools[0].function: missing field `name`"),
    ] {
        let (message, kind) = refusal(&sim, "/chat/completions", &with(says("Hi"), change.clone())).await;
        let expected = format!("Failed to deserialize the JSON body into the target type: {words}");
        assert!(message.starts_with(&expected), "{change}\n{message}");
        assert!(!message.contains("planted"), "{message}");
        assert_eq!(kind, "application/json", "{change}");
    }
}

#[tokio::test]
async fn tools_have_names_that_are_unique_and_schemas_that_are_objects() {
    check(
        "/chat/completions",
        &[
            (json!({"tools": [function("has space")]}), "Invalid function name 'has space'"),
            (json!({"tools": [function("")]}), "Invalid function name"),
            (json!({"tools": [function(&"x".repeat(129))]}), "1 to 128 characters"),
            (json!({"tools": [function("f"), function("f")]}), "'f' is there twice"),
            (
                json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "array"}}}]}),
                "Invalid schema for function 'f': schema must be a JSON Schema of 'type: \"object\"', got 'type: array'.",
            ),
            (
                json!({"tools": [function("f")], "thinking": {"type": "disabled"},
                    "tool_choice": {"type": "function", "function": {"name": "g"}}}),
                "names 'g', which is none of the tools",
            ),
        ],
    )
    .await;
    let omitted = json!({"tools": [{"type": "function", "function": {"name": "f"}}]});
    accepted("/chat/completions", &[json!({"tools": [function(&"x".repeat(128))]}), omitted]).await;
}

#[tokio::test]
async fn a_prefix_is_the_assistants_and_the_last() {
    let user = json!({"role": "user", "content": "Hi"});
    let open = json!({"role": "assistant", "content": "A", "prefix": true});
    let wrong = json!({"role": "user", "content": "A", "prefix": true});
    check(
        "/beta/chat/completions",
        &[
            (json!({"messages": [user, open, user]}), "prefix is only for the last message"),
            (json!({"messages": [user, wrong]}), "which must be an assistant message"),
        ],
    )
    .await;
    // An assistant's message at the end without it is a turn like any other.
    let closed = json!({"role": "assistant", "content": "A", "prefix": false});
    accepted("/chat/completions", &[json!({"messages": [user, closed]})]).await;
    let with_tools = json!({"messages": [user, open], "tools": [function("f")]});
    accepted("/beta/chat/completions", &[with_tools]).await;
}

#[tokio::test]
async fn results_answer_the_calls_right_before_them() {
    let user = json!({"role": "user", "content": "Hi"});
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let called = json!({"role": "assistant", "content": null, "tool_calls": [call("a"), call("b")]});
    let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "1"});
    let insufficient = "An assistant message with 'tool_calls' must be followed by tool messages";
    let orphan = "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'";
    check(
        "/chat/completions",
        &[
            (json!({"messages": [user, called, result("a")]}), insufficient),
            (json!({"messages": [user, called, result("a"), user]}), insufficient),
            (json!({"messages": [user, called, result("a"), result("b"), result("c")]}), orphan),
            (json!({"messages": [user, called, result("a"), result("b"), user, result("a")]}), orphan),
        ],
    )
    .await;
    accepted("/chat/completions", &[json!({"messages": [user, called, result("b"), result("a"), user]})])
        .await;
}

#[tokio::test]
async fn thoughts_are_demanded_only_with_tools_and_while_thinking() {
    let messages = json!([
        {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "A"}, {"role": "user", "content": "Hi"},
    ]);
    let tools = json!([function("f")]);
    let null_thought = json!([
        {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "A", "reasoning_content": null},
        {"role": "user", "content": "Hi"},
    ]);
    let words = "The `reasoning_content` in the thinking mode must be passed back to the API.";
    check(
        "/chat/completions",
        &[
            (json!({"messages": messages, "tools": tools}), words),
            (json!({"messages": null_thought, "tools": tools}), words),
            (json!({"messages": messages, "tools": tools, "tool_choice": "none"}), words),
            (json!({"messages": messages, "tools": []}), "[simulated] 'tools' must not be an empty list"),
        ],
    )
    .await;
    accepted(
        "/chat/completions",
        &[
            json!({"messages": messages}),
            json!({"messages": messages, "tools": tools, "thinking": {"type": "disabled"}}),
            json!({"messages": messages, "tools": tools, "reasoning_effort": "none"}),
        ],
    )
    .await;
}

#[tokio::test]
async fn images_are_for_flash_and_have_an_address_that_can_be_had() {
    let image = |url: &str| json!({"type": "image_url", "image_url": {"url": url}});
    let png = "data:image/png;base64,iVBORw0KGgo=";
    let sim = deepseek().await;
    for (parts, words) in [
        (json!([image("ftp://example.com/a.png")]), "must be http, https or data"),
        (json!([image(&format!("https://example.com/{}", "x".repeat(8192)))]), "at most 8192 characters"),
        (json!([image("data:image/bmp;base64,AAAA")]), "must be a JPEG, PNG, GIF or WebP image"),
        (json!([{"type": "image_url", "image_url": png}]), "must be an object with a url"),
        (json!([{"type": "image_url", "image_url": {"url": png, "detail": "huge"}}]), "image_url.detail"),
        (json!(vec![image("https://example.com/a.png"); 601]), "at most 600"),
        (json!([{"type": "file", "file": {"file_id": "file-api-1"}}]), "file must have file_id or file_data"),
        (json!([{"type": "file", "file_id": "file-api-none"}]), "no such file: file-api-none"),
        (json!([{"type": "file", "file_id": "x", "file_data": png}]), "cannot have both"),
        (json!([{"type": "file", "file_data": "data:application/pdf;base64,AAAA"}]), "must be a JPEG"),
    ] {
        let body = with(says(""), user_parts(parts));
        let (message, _) = refusal(&sim, "/chat/completions", &body).await;
        assert!(message.contains(words), "{message}");
    }
    for role in ["system", "assistant"] {
        let messages = json!([{"role": role, "content": [image(png)]}, {"role": "user", "content": "Hi"}]);
        let (message, _) =
            refusal(&sim, "/chat/completions", &with(says(""), json!({"messages": messages}))).await;
        assert!(message.contains("unknown variant `image_url`, expected `text`"), "{message}");
    }
    let called = json!([{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    accepted(
        "/chat/completions",
        &[
            user_parts(json!([{"type": "text", "text": "What?"}, image(png), image("https://example.com/a.png")])),
            user_parts(json!([{"type": "image_url", "image_url": {"url": png, "detail": "original"}}])),
            user_parts(json!([{"type": "file", "file_data": png, "filename": "a.png"}])),
            json!({"messages": [
                {"role": "user", "content": "Look"}, {"role": "assistant", "content": "", "tool_calls": called},
                {"role": "tool", "tool_call_id": "a", "content": [image(png)]},
            ]}),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_prompt_must_fit_with_its_answer() {
    let sim = deepseek().await;
    let body = with(says(&"word".repeat(1_000_000)), json!({"max_tokens": 50_000}));
    let (message, _) = refusal(&sim, "/chat/completions", &body).await;
    let words = "This model's maximum context length is 1048565 tokens. However, you requested 1050004 tokens (1000004 in \
                 the messages, 50000 in the completion).";
    assert!(message.starts_with(words), "{message}");
}
