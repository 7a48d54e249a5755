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
use proptest::sample::Index;
use proptest::test_runner::{TestCaseResult, TestRunner};
use serde_json::{Value, json};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(&["", "x", "stop", "tool_calls", "error", "{}"][..]).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let names = proptest::sample::select(
            &[
                "id",
                "choices",
                "message",
                "delta",
                "content",
                "type",
                "text",
                "function",
                "name",
                "arguments",
                "usage",
                "x",
            ][..],
        );
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::vec((names.prop_map(str::to_owned), inner), 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn places(value: &Value, here: String, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| places(value, format!("{here}/{name}"), found))
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, value)| places(value, format!("{here}/{index}"), found));
        }
        _ => {}
    }
    found.push(here);
}

fn changed(document: &Value, (place, new): &(Index, Value)) -> Value {
    let (mut document, mut found) = (document.clone(), Vec::new());
    places(&document, String::new(), &mut found);
    let place: &String = place.get(&found);
    *document.pointer_mut(place).unwrap() = new.clone();
    document
}

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
    let run = |change: (Index, Value)| -> TestCaseResult {
        let document = changed(document, &change);
        world.sim.clear_scripts();
        world.sim.clear_requests();
        let error = ask(&world, document.clone());
        let is_known = error.as_ref().is_none_or(|error| error.provider_error().is_some());
        prop_assert!(is_known, "{document}\n{error:?}");
        Ok(())
    };
    TestRunner::new(config).run(&(any::<Index>(), any_json()), run).unwrap();
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
