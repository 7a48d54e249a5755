//! Words are planted in everything that goes through both doors, and looked for in the logs of every level.

use std::fmt::Write;

use async_openai::error::OpenAIError;
use futures_util::StreamExt;
use modelswitch::prelude::*;
use modelswitch::provider::{Body, Request, Response};
use modelswitch::{ApiKey, Client, Registry};
use modelswitch_sim::{Script, Sim};
use serde_json::{Value, json};

use crate::{KEY, PROMPT, listen, scripts, shows_none_of};

const THOUGHT: &str = "thought-canary";
const ARGUMENT: &str = "argument-canary";
const ANSWER: &str = "answer-canary";
const HEADER: &str = "header-canary";
const WORDS: [&str; 6] = [KEY, PROMPT, THOUGHT, ARGUMENT, ANSWER, HEADER];

/// A conversation with a word wherever a text can stand.
fn conversation(streamed: bool) -> Value {
    json!({
        "model": "fast", "stream": streamed, "stop": [PROMPT], "temperature": 0.5, "max_tokens": 50,
        "tools": [{ "type": "function", "function": { "name": "weather", "description": PROMPT,
            "parameters": { "type": "object", "description": PROMPT, "properties": {} } } }],
        "messages": [
            { "role": "system", "content": PROMPT },
            { "role": "user", "content": [{ "type": "text", "text": PROMPT }] },
            { "role": "assistant", "content": ANSWER, "reasoning_content": THOUGHT, "tool_calls": [
                { "id": "call_1", "type": "function",
                    "function": { "name": "weather", "arguments": format!("{{\"x\":\"{ARGUMENT}\"}}") } }] },
            { "role": "tool", "tool_call_id": "call_1", "content": PROMPT },
            { "role": "user", "content": format!("{PROMPT}, and my own key is {KEY}") },
        ],
    })
}

fn message() -> Value {
    json!({ "role": "assistant", "content": ANSWER, "reasoning_content": THOUGHT, "refusal": ANSWER,
        "tool_calls": [{ "index": 0, "id": "call_2", "type": "function",
            "function": { "name": "weather", "arguments": format!("{{\"x\":\"{ARGUMENT}\"}}") } }] })
}

/// What the service answers to one call, whole and streamed: well, and badly in every way.
fn answers() -> Vec<Script> {
    let whole = json!({ "id": "1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{ "index": 0, "message": message(), "finish_reason": "tool_calls" }],
        "usage": { "prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3 } });
    let chunk = json!({ "id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{ "index": 0, "delta": message(), "finish_reason": "tool_calls" }] })
    .to_string();
    let mut all = scripts();
    all.extend([
        Script::status(200).json(whole).header("x-echo", HEADER).header("x-request-id", "req-1"),
        Script::sse([chunk.clone(), "[DONE]".to_owned()]),
        Script::sse([chunk.clone(), chunk]).cut_after_events(1),
        Script::status(429).header("retry-after", "1").json(json!({ "error": { "message": PROMPT } })),
        Script::status(503).body(PROMPT),
        Script::status(402).json(json!({ "error": { "message": format!("pay, {KEY}") } })),
    ]);
    all
}

async fn registry(sim: &Sim, content: bool) -> Registry {
    let text = format!(
        r#"
        [providers.deepseek]
        base_url = "{}"
        headers = {{ "x-team" = "{HEADER}" }}
        [models]
        fast = "deepseek/deepseek-flash"
        [retry]
        attempts = 2
        base_delay = "1ms"
        max_retry_after = "1ms"
        [timeout]
        idle = "400ms"
        [log]
        content = {content}
        "#,
        sim.base_url()
    );
    let key = ApiKey::new(KEY).unwrap();
    Registry::builder().toml(text).environment([]).api_key("deepseek", key).build().unwrap()
}

async fn through_door_two(llm: &dyn Provider, streamed: bool, shown: &mut String) {
    let mut request = Request::chat(&conversation(streamed)).unwrap();
    request.headers.insert("x-mine", HEADER.parse().unwrap());
    request.headers.insert("authorization", format!("Bearer {KEY}").parse().unwrap());
    let answer = llm.send(request).await;
    if let Ok(Response { head, body: Body::Events(mut events) }) = answer {
        write!(shown, "{:?}", head.target()).unwrap();
        while let Some(event) = events.next().await {
            if let Err(error) = event {
                write!(shown, "{error} {error:?} {}", error.report()).unwrap();
            }
        }
    } else if let Err(error) = answer {
        write!(shown, "{error} {error:?} {}", error.report()).unwrap();
    }
}

async fn through_door_one(client: &Client, streamed: bool, shown: &mut String) {
    let request = serde_json::from_value(conversation(streamed)).unwrap();
    let chat = client.chat();
    let chat = chat.header("x-mine", HEADER).unwrap();
    let mut show = |error: OpenAIError| write!(shown, "{error} {error:?}").unwrap();
    if streamed {
        match chat.create_stream(request).await {
            Ok(mut stream) => {
                while let Some(piece) = stream.next().await {
                    let _ = piece.map_err(&mut show);
                }
            }
            Err(error) => show(error),
        }
    } else if let Err(error) = chat.create(request).await {
        show(error);
    }
}

/// Everything that is logged while each answer is given to each kind of call, and what the errors show.
async fn all_that_is_logged(content: bool) -> (String, String) {
    let sim = Sim::builder().any_key(true).start().await.unwrap();
    listen::begin();
    let registry = registry(&sim, content).await;
    let client = registry.client().unwrap();
    let llm = registry.model("fast").unwrap();
    let router = registry.router();
    let (mut log, mut shown) = (String::new(), String::new());
    for answer in answers() {
        for streamed in [false, true] {
            for door in 0..3 {
                // A retry gets it again.
                sim.script(answer.clone().times(2));
                match door {
                    0 => through_door_one(&client, streamed, &mut shown).await,
                    1 => through_door_two(&llm, streamed, &mut shown).await,
                    _ => through_door_two(&router, streamed, &mut shown).await,
                }
                sim.clear_scripts();
                let heard = listen::heard();
                assert_eq!(heard.matches("modelswitch::call ").count(), 1, "one line a call: {heard}");
                log.push_str(&heard);
            }
        }
    }
    (log, shown)
}

#[tokio::test]
async fn no_word_of_a_conversation_is_in_the_logs_of_any_level_or_in_an_error() {
    let (log, shown) = all_that_is_logged(false).await;
    for part in ["call ended", "call failed", "trying again", "error.type=\"rate_limited\"", "DEBUG"] {
        assert!(log.contains(part), "{part} is in the log");
    }
    shows_none_of(&WORDS, &log);
    // What the service says of its own accord is in its error; what the user wrote and the key are not.
    shows_none_of(&[KEY, PROMPT, HEADER], &shown);
}

#[tokio::test]
async fn with_content_switched_on_prompts_and_answers_are_logged_and_keys_and_headers_are_not() {
    let (log, _) = all_that_is_logged(true).await;
    for word in [PROMPT, THOUGHT, ARGUMENT, ANSWER] {
        assert!(log.contains(word), "{word}");
    }
    for line in log.lines().filter(|line| !line.contains(" modelswitch::content ")) {
        shows_none_of(&WORDS, line);
    }
    shows_none_of(&[KEY, HEADER], &log);
}
