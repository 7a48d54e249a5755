//! Any request and any answer is the same after it went through a typed view: every member that nobody has heard of is kept, in each
//! object that has a view.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

use modelswitch_provider::{
    ChatChunk, ChatCompletion, ChatRequest, Completion, CompletionRequest, Document, EmbeddingRequest,
    Embeddings, Message, Model, ModelList, Payload, Request, Response,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use serde_json::{Map, Value, json};

/// Members that have no field in a view, under names that no view has.
fn extra() -> impl Strategy<Value = Map<String, Value>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no others", |number| number.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    let name = any::<String>().prop_map(|name| format!("x {name}"));
    prop::collection::vec((name, value), 0..3).prop_map(|members| members.into_iter().collect())
}

/// An object with all of the first members, some of the second ones and others.
fn object(all: Value, some: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let some: Vec<_> = some
        .into_iter()
        .map(|(name, value)| prop::option::of(value).prop_map(move |value| (name, value)))
        .collect();
    (some, extra())
        .prop_map(move |(some, extra)| {
            let mut members = all.as_object().cloned().unwrap_or_default();
            members.extend(some.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
            members.extend(extra);
            Value::Object(members)
        })
        .boxed()
}

/// An object whose members are all there.
fn whole(members: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let members: Vec<_> = members
        .into_iter()
        .map(|(name, value)| value.prop_map(move |value| (name.to_owned(), value)))
        .collect();
    (members, extra())
        .prop_map(|(members, extra)| Value::Object(members.into_iter().chain(extra).collect()))
        .boxed()
}

/// The members of two objects.
fn both(one: BoxedStrategy<Value>, other: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    (one, other)
        .prop_map(|(one, other)| {
            let members = [one, other].into_iter().filter_map(|object| object.as_object().cloned());
            Value::Object(members.flatten().collect())
        })
        .boxed()
}

fn text() -> BoxedStrategy<Value> {
    any::<String>().prop_map(Value::from).boxed()
}

fn number() -> BoxedStrategy<Value> {
    any::<u64>().prop_map(Value::from).boxed()
}

fn index() -> BoxedStrategy<Value> {
    any::<u32>().prop_map(Value::from).boxed()
}

fn share() -> BoxedStrategy<Value> {
    (0.0..2.0f64).prop_map(Value::from).boxed()
}

/// Numbers as exact as those of a vector.
fn vector() -> BoxedStrategy<Value> {
    prop::collection::vec(-1.0..1.0f32, 0..3).prop_map(Value::from).boxed()
}

fn list(of: BoxedStrategy<Value>, least: usize) -> BoxedStrategy<Value> {
    prop::collection::vec(of, least..3).prop_map(Value::from).boxed()
}

fn word(of: &'static [&'static str]) -> BoxedStrategy<Value> {
    prop_oneof![prop::sample::select(of).prop_map(Value::from), text()].boxed()
}

fn content() -> BoxedStrategy<Value> {
    let part = object(json!({ "type": "text" }), vec![("text", text())]);
    prop_oneof![text(), list(part, 0)].boxed()
}

fn call() -> BoxedStrategy<Value> {
    let function = whole(vec![("name", text()), ("arguments", text())]);
    whole(vec![("id", text()), ("type", word(&["function", "custom"])), ("function", function)])
}

const ROLES: &[&str] = &["system", "developer", "user", "assistant", "tool"];
const REASONS: &[&str] = &["stop", "length", "tool_calls", "content_filter"];

fn message() -> BoxedStrategy<Value> {
    let some = vec![
        ("content", content()),
        ("reasoning_content", text()),
        ("tool_calls", list(call(), 1)),
        ("tool_call_id", text()),
    ];
    both(whole(vec![("role", word(ROLES))]), object(json!({}), some))
}

fn usage() -> BoxedStrategy<Value> {
    whole(vec![("prompt_tokens", number()), ("completion_tokens", number()), ("total_tokens", number())])
}

fn chat_request() -> BoxedStrategy<Value> {
    let tool = object(json!({ "type": "function", "function": { "name": "f" } }), vec![]);
    let some = vec![
        ("model", text()),
        ("temperature", share()),
        ("max_tokens", number()),
        ("tools", list(tool, 1)),
        ("stream", any::<bool>().prop_map(Value::from).boxed()),
    ];
    both(whole(vec![("messages", list(message(), 0))]), object(json!({}), some))
}

fn answer(object_name: &'static str, choice: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    let members =
        whole(vec![("id", text()), ("created", number()), ("model", text()), ("choices", list(choice, 0))]);
    both(members, object(json!({ "object": object_name }), vec![("usage", usage())]))
}

fn choice(what: &'static str, said: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    let some = vec![("finish_reason", word(REASONS))];
    both(whole(vec![("index", index()), (what, said)]), object(json!({}), some))
}

fn delta() -> BoxedStrategy<Value> {
    let function = object(json!({}), vec![("name", text()), ("arguments", text())]);
    let call = object(
        json!({}),
        vec![("index", index()), ("id", text()), ("type", word(&["function"])), ("function", function)],
    );
    let some = vec![
        ("role", word(ROLES)),
        ("content", text()),
        ("reasoning_content", text()),
        ("tool_calls", list(call, 1)),
    ];
    object(json!({}), some)
}

fn model() -> BoxedStrategy<Value> {
    whole(vec![("id", text()), ("created", number()), ("owned_by", text())])
}

/// Nothing is lost on the way through a view and back.
macro_rules! survives {
    ($view:ty, $value:expr) => {{
        let value: &Value = $value;
        let view = <$view>::from_wire(value);
        prop_assert!(view.is_ok(), "{value}: {:?}", view.err());
        prop_assert_eq!(&view.unwrap().to_wire::<Value>().unwrap(), value);
    }};
}

/// Nor on the way into a request and out of it.
fn is_sent_as_it_is(request: Request, value: &Value) -> TestCaseResult {
    let Payload::Json(document) = &request.body else { panic!("a document") };
    prop_assert_eq!(&serde_json::from_slice::<Value>(&document.to_bytes()).unwrap(), value);
    let again = Document::parse(document.to_bytes()).unwrap();
    for (name, member) in value.as_object().unwrap() {
        prop_assert_eq!(&again.get::<Value>(name).unwrap().unwrap_or_default(), member);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_of_a_chat_request_is_lost(value in chat_request()) {
        survives!(ChatRequest, &value);
        is_sent_as_it_is(ChatRequest::from_wire(&value).unwrap().into_request().unwrap(), &value)?;
        is_sent_as_it_is(Request::chat(&value).unwrap(), &value)?;
    }

    #[test]
    fn nothing_of_a_message_is_lost(value in message()) {
        survives!(Message, &value);
    }

    #[test]
    fn nothing_of_a_chat_completion_is_lost(value in answer("chat.completion", choice("message", message()))) {
        survives!(ChatCompletion, &value);
        let response = Response::json(&value).unwrap();
        let modelswitch_provider::Body::Json(bytes) = response.body else { panic!("JSON") };
        prop_assert_eq!(&serde_json::from_slice::<Value>(&bytes).unwrap(), &value);
    }

    #[test]
    fn nothing_of_a_chunk_is_lost(value in answer("chat.completion.chunk", choice("delta", delta()))) {
        survives!(ChatChunk, &value);
    }

    #[test]
    fn nothing_of_the_older_completions_is_lost(
        value in answer("text_completion", choice("text", text())),
        request in both(whole(vec![("prompt", text())]), object(json!({}), vec![("model", text()), ("suffix", text())])),
    ) {
        survives!(Completion, &value);
        survives!(CompletionRequest, &request);
        is_sent_as_it_is(CompletionRequest::from_wire(&request).unwrap().into_request().unwrap(), &request)?;
    }

    #[test]
    fn nothing_of_embeddings_is_lost(
        value in whole(vec![
            ("data", list(whole(vec![("index", index()), ("embedding", vector())]), 0)),
            ("model", text()),
            ("usage", usage()),
        ]),
        request in both(whole(vec![("input", list(text(), 0))]), object(json!({}), vec![("model", text())])),
    ) {
        survives!(Embeddings, &value);
        survives!(EmbeddingRequest, &request);
        is_sent_as_it_is(EmbeddingRequest::from_wire(&request).unwrap().into_request().unwrap(), &request)?;
    }

    #[test]
    fn nothing_of_models_is_lost(value in whole(vec![("data", list(model(), 0))]), one in model()) {
        survives!(ModelList, &value);
        survives!(Model, &one);
    }
}
