//! Any JSON in place of any member of an answer, through an unmodified async-openai client over a socket: it gets a value of
//! its types, or an error that knows its kind. Never a panic, never an error of async-openai's own parser.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails loudly")]

use std::sync::Arc;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::types::completions::CreateCompletionRequestArgs;
use async_openai::types::embeddings::CreateEmbeddingRequestArgs;
use async_openai::types::responses::CreateResponseArgs;
use futures_util::StreamExt;
use modelswitch::HttpService;
use modelswitch::prelude::*;
use modelswitch_sim::{Script, Sim};
use modelswitch_tests::{ask, one_try};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseResult, TestRunner};
use serde_json::{Value, json};

#[path = "../crates/modelswitch-openai/src/dialect/properties/any_json.rs"]
mod properties;

use properties::{Change, changed, changes};

/// What is checked, over one socket.
struct World {
    runtime: tokio::runtime::Runtime,
    sim: Sim,
    client: Client<OpenAIConfig>,
}

fn world() -> World {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let sim = runtime.block_on(Sim::start()).unwrap();
    let client = HttpService::new(Arc::new(one_try(&sim, "openai-compatible"))).client().unwrap();
    World { runtime, sim, client }
}

fn check(cases: u32, document: &Value, ask: impl Fn(&World, Value) -> Option<OpenAIError>) {
    let world = world();
    let default = ProptestConfig::default();
    // `PROPTEST_CASES` says how many of them: it stands in the default, and as many times more or less are run here.
    let cases = (cases * default.cases / 256).max(1);
    let config = ProptestConfig { cases, failure_persistence: None, ..default };
    let run = |changes: Vec<Change>| -> TestCaseResult {
        let document = changed(document.clone(), &changes);
        world.sim.clear_scripts();
        world.sim.clear_requests();
        let error = ask(&world, document.clone());
        let is_known = error.as_ref().is_none_or(|error| error.provider_error().is_some());
        prop_assert!(is_known, "{document}\n{error:?}");
        Ok(())
    };
    TestRunner::new(config).run(&changes(), run).unwrap();
}

fn usage() -> Value {
    json!({"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"prompt_tokens_details":{"cached_tokens":1}})
}

fn chat() -> Value {
    json!({"id":"1","object":"chat.completion","created":7,"model":"m","choices":[{"index":0,"finish_reason":"tool_calls","logprobs":null,
        "message":{"role":"assistant","content":"hi","reasoning":"hm","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]}}],"usage":usage()})
}

#[test]
fn a_chat_is_decoded_or_an_error_of_its_kind() {
    check(96, &chat(), |world, body| {
        world.sim.script(Script::status(200).json(body));
        world.runtime.block_on(world.client.chat().create(ask("m", "x"))).err()
    });
}

#[test]
fn a_streamed_chat_is_decoded_or_an_error_of_its_kind() {
    let delta = |delta: Value| json!({"id":"1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":delta,"finish_reason":null}],"usage":null});
    let stream = json!([
        delta(json!({"role":"assistant","content":"","reasoning_content":"hm"})),
        delta(json!({"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]})),
        {"id":"1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":usage()},
    ]);
    check(96, &stream, |world, body| {
        let chunks = body.as_array().cloned().unwrap_or_else(|| vec![body]);
        let chunks = chunks.iter().map(Value::to_string).chain(["[DONE]".to_owned()]);
        world.sim.script(Script::sse(chunks));
        world.runtime.block_on(async {
            match world.client.chat().create_stream(ask("m", "x")).await {
                Ok(chunks) => chunks.collect::<Vec<_>>().await.into_iter().find_map(Result::err),
                Err(error) => Some(error),
            }
        })
    });
}

#[test]
fn a_completion_is_decoded_or_an_error_of_its_kind() {
    let body = json!({"id":"1","object":"text_completion","created":7,"model":"m","choices":[{"index":0,"text":"hi","finish_reason":"stop","logprobs":null}],"usage":usage()});
    check(48, &body, |world, body| {
        world.sim.script(Script::status(200).json(body));
        let request = CreateCompletionRequestArgs::default().model("m").prompt("x").build().unwrap();
        world.runtime.block_on(world.client.completions().create(request)).err()
    });
}

#[test]
fn embeddings_are_decoded_or_an_error_of_their_kind() {
    let body = json!({"object":"list","model":"m","data":[{"object":"embedding","index":0,"embedding":[0.5,1]}],"usage":usage()});
    check(48, &body, |world, body| {
        world.sim.script(Script::status(200).json(body));
        let request = CreateEmbeddingRequestArgs::default().model("m").input("x").build().unwrap();
        world.runtime.block_on(world.client.embeddings().create(request)).err()
    });
}

#[test]
fn models_are_decoded_or_an_error_of_their_kind() {
    let body = json!({"object":"list","data":[{"id":"a","object":"model","created":1,"owned_by":"o"}]});
    check(48, &body, |world, body| {
        world.sim.script(Script::status(200).json(body));
        world.runtime.block_on(world.client.models().list()).err()
    });
}

#[test]
fn a_response_is_decoded_or_an_error_of_its_kind() {
    let body = json!({"id":"r","object":"response","created_at":1,"model":"m","status":"completed","output":[
        {"type":"message","id":"i","role":"assistant","status":"completed","content":[{"type":"output_text","text":"hi","annotations":[]}]}],
        "usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}});
    check(48, &body, |world, body| {
        world.sim.script(Script::status(200).json(body));
        let request = CreateResponseArgs::default().model("m").input("x").build().unwrap();
        world.runtime.block_on(world.client.responses().create(request)).err()
    });
}
