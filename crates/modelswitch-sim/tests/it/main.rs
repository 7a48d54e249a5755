//! The simulator over its real socket, seen by a client that knows nothing of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what only tests call may fail loudly"
)]

mod anthropic;
mod cache;
mod deepseek;
mod files;
mod fim;
mod formats;
mod openai;
mod refusals;
mod responses;
mod script;
mod server;
mod services;
mod strict;

use std::time::Duration;

use modelswitch_sim::{Personality, Service, Sim};
use reqwest::Response;
use serde_json::{Value, json};

/// Longer than anything here takes, even on a busy machine.
const LONG: Duration = Duration::from_secs(20);

async fn deepseek() -> Sim {
    Sim::start().await.unwrap()
}

async fn openai() -> Sim {
    Sim::builder().personality(Personality::OpenAi).start().await.unwrap()
}

/// A request with one user message.
fn says(text: &str) -> Value {
    json!({"model": "deepseek-flash", "messages": [{"role": "user", "content": text}]})
}

/// `base` with the fields of `more` over it.
fn with(mut base: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        base[name] = value.clone();
    }
    base
}

fn streamed(base: Value) -> Value {
    with(base, json!({"stream": true}))
}

async fn post(sim: &Sim, path: &str, body: &Value) -> Response {
    let url = format!("{}{path}", sim.base_url());
    reqwest::Client::new().post(url).bearer_auth(sim.key()).json(body).send().await.unwrap()
}

async fn get(sim: &Sim, path: &str) -> Response {
    let url = format!("{}{path}", sim.base_url());
    reqwest::Client::new().get(url).bearer_auth(sim.key()).send().await.unwrap()
}

async fn chat(sim: &Sim, body: Value) -> Value {
    let response = post(sim, "/chat/completions", &body).await;
    assert_eq!(response.status(), 200);
    response.json().await.unwrap()
}

/// The data of all events of a stream, `[DONE]` as a string.
async fn events(response: Response) -> Vec<Value> {
    assert_eq!(content_type(&response), "text/event-stream; charset=utf-8");
    let text = response.text().await.unwrap();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap_or_else(|_| json!(data))).collect()
}

fn content_type(response: &Response) -> &str {
    response.headers().get("content-type").map_or("", |value| value.to_str().unwrap())
}

/// All of one field of the deltas, put together.
fn joined(events: &[Value], field: &str) -> String {
    events.iter().filter_map(|event| event["choices"][0]["delta"][field].as_str()).collect()
}
