//! Any JSON in place of any member, in whole answers and in streams: never a panic, and either something that stock
//! async-openai decodes, or an error that names the place.

use std::pin::pin;
use std::task::{Context as Task, Poll, Waker};

use async_openai::types::chat::{CreateChatCompletionResponse, CreateChatCompletionStreamResponse};
use async_openai::types::completions::CreateCompletionResponse;
use async_openai::types::embeddings::{CreateBase64EmbeddingResponse, CreateEmbeddingResponse};
use async_openai::types::models::{ListModelResponse, Model};
use async_openai::types::responses::Response;
use bytes::Bytes;
use futures_util::Stream;
use modelswitch_provider::{ByteStream, Error, ErrorKind, Event, Result};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseResult;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use self::any_json::{Change, any_json, changed, changes};
use super::{Context, Kind, events, outward};
use crate::Profile;

pub(super) mod any_json;

pub(super) fn usage() -> Value {
    json!({"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"prompt_tokens_details":{"cached_tokens":1},"completion_tokens_details":{"reasoning_tokens":1}})
}

fn logprobs() -> Value {
    json!({"content":[{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[{"token":"a","logprob":-0.5,"bytes":null}]}],"refusal":null})
}

fn chat() -> Value {
    json!({"id":"1","object":"chat.completion","created":7,"model":"m","service_tier":"default","system_fingerprint":"f","metadata":{},"choices":[
        {"index":0,"finish_reason":"stop","logprobs":logprobs(),"message":{"role":"assistant","content":"hi","refusal":null,"reasoning_content":"hm","reasoning":"hm",
            "annotations":[{"type":"url_citation","url_citation":{"start_index":0,"end_index":1,"url":"u","title":"t"}}],
            "audio":{"id":"a","expires_at":1,"data":"d","transcript":"t"}}},
        {"index":1,"finish_reason":"tool_calls","message":{"role":"assistant","content":null,"tool_calls":[
            {"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}, {"id":"d","type":"custom","custom":{"name":"g","input":"i"}}]}}],
        "usage":usage()})
}

fn chat_chunks() -> Vec<Value> {
    let chunk = |choice: Value, usage: Value| json!({"id":"1","object":"chat.completion.chunk","created":7,"model":"m","service_tier":"default","system_fingerprint":"f","choices":[choice],"usage":usage});
    let delta = |delta: Value| {
        chunk(json!({"index":0,"delta":delta,"logprobs":null,"finish_reason":null}), Value::Null)
    };
    vec![
        delta(json!({"role":"assistant","content":null,"reasoning_content":""})),
        delta(json!({"reasoning_content":"hm"})),
        delta(json!({"content":"<think>a</think>hi"})),
        delta(
            json!({"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":""}}]}),
        ),
        delta(json!({"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]})),
        chunk(json!({"index":0,"delta":{},"logprobs":logprobs(),"finish_reason":"tool_calls"}), Value::Null),
        json!({"id":"1","object":"chat.completion.chunk","created":7,"model":"m","choices":[],"usage":usage()}),
    ]
}

fn completion() -> Value {
    json!({"id":"1","object":"text_completion","created":7,"model":"m","system_fingerprint":"f","choices":[{"index":0,"text":"hi","finish_reason":"stop",
        "logprobs":{"tokens":["a"],"token_logprobs":[-0.5],"top_logprobs":[{"a":-0.5}],"text_offset":[0]}}],"usage":usage()})
}

fn embeddings() -> Value {
    json!({"object":"list","model":"m","data":[{"object":"embedding","index":0,"embedding":[0.5,1]},{"object":"embedding","index":1,"embedding":[0.5,1]}],"usage":{"prompt_tokens":1,"total_tokens":1}})
}

fn model() -> Value {
    json!({"id":"a","object":"model","created":1,"owned_by":"o","shutdown_date":"2030-01-01"})
}

fn response() -> Value {
    json!({"id":"r","object":"response","created_at":1,"model":"m","status":"completed","parallel_tool_calls":true,"temperature":1.0,"metadata":{},"output":[
        {"type":"reasoning","id":"i","summary":[{"type":"summary_text","text":"hm"}]},
        {"type":"message","id":"i","role":"assistant","status":"completed","content":[{"type":"output_text","text":"hi","annotations":[],"logprobs":[]}]},
        {"type":"function_call","id":"i","call_id":"c","name":"f","arguments":"{}","status":"completed"}],
        "usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3,"input_tokens_details":{"cached_tokens":0},"output_tokens_details":{"reasoning_tokens":0}}})
}

fn response_events() -> Vec<Value> {
    vec![
        json!({"type":"response.created","sequence_number":0,"response":response()}),
        json!({"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"type":"message","id":"i","role":"assistant","status":"in_progress","content":[]}}),
        json!({"type":"response.output_text.delta","sequence_number":2,"item_id":"i","output_index":0,"content_index":0,"delta":"hi","logprobs":[]}),
        json!({"type":"response.completed","sequence_number":3,"response":response()}),
    ]
}

pub(super) fn context(kind: Kind, tags: bool) -> Context {
    let mut context = Context::of_test("openai-compatible", kind);
    if !tags {
        let mut profile = Profile::clone(&context.profile);
        profile.reasoning.tags = None;
        context.profile = profile.into();
    }
    context
}

/// Whatever error it is, it is one of an answer, and one of its shape says where.
fn is_told(error: &Error) -> TestCaseResult {
    let message = error.message();
    match error.kind() {
        ErrorKind::Decode => {
            prop_assert!(
                message.contains('`')
                    || message.contains('[')
                    || message.contains("is not a JSON object")
                    || message.contains("empty")
                    || message.contains("list of models"),
                "{message}"
            );
        }
        kind => prop_assert!(
            !matches!(kind, ErrorKind::Config | ErrorKind::Rejected | ErrorKind::Connection),
            "{kind:?} {message}"
        ),
    }
    Ok(())
}

fn whole<T: DeserializeOwned>(kind: Kind, tags: bool, document: &Value) -> TestCaseResult {
    decoded::<T>(&outward::shape(&context(kind, tags), document.to_string().into()), document)
}

fn decoded<T: DeserializeOwned>(shaped: &Result<Bytes>, sent: &Value) -> TestCaseResult {
    match shaped {
        Ok(bytes) => {
            let read = serde_json::from_slice::<T>(bytes);
            prop_assert!(
                read.is_ok(),
                "{sent}\nbecame {}\n{}",
                String::from_utf8_lossy(bytes),
                read.err().unwrap()
            );
        }
        Err(error) => is_told(error)?,
    }
    Ok(())
}

/// All of a stream that never waits.
pub(super) fn all_of(events: impl Stream<Item = Result<Event>>) -> Vec<Result<Event>> {
    let (mut events, mut all) = (pin!(events), Vec::new());
    while let Poll::Ready(Some(event)) = events.as_mut().poll_next(&mut Task::from_waker(Waker::noop())) {
        all.push(event);
    }
    all
}

fn streamed<T: DeserializeOwned>(kind: Kind, tags: bool, chunks: &[Value], done: bool) -> TestCaseResult {
    let mut text: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    if done {
        text.push_str("data: [DONE]\n\n");
    }
    let body = ByteStream::from(Bytes::from(text.clone()));
    for event in all_of(events::read(context(kind, tags), body)) {
        match event {
            Ok(event) => {
                let read = serde_json::from_slice::<T>(&event.data);
                prop_assert!(
                    read.is_ok(),
                    "{text}\nhas {}\n{}",
                    String::from_utf8_lossy(&event.data),
                    read.err().unwrap()
                );
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => is_told(&error)?,
        }
    }
    Ok(())
}

/// Some of the chunks changed, each by itself.
fn changed_chunks(chunks: Vec<Value>, all: &[(Index, Vec<Change>)]) -> Vec<Value> {
    let mut chunks = chunks;
    for (index, changes) in all {
        let chunk = index.get(&chunks).clone();
        let place = index.index(chunks.len());
        chunks[place] = changed(chunk, changes);
    }
    chunks
}

fn chunk_changes() -> impl Strategy<Value = Vec<(Index, Vec<Change>)>> {
    proptest::collection::vec((any::<Index>(), changes()), 1..4)
}

#[test]
fn the_answers_that_are_changed_are_decoded_unchanged() {
    let sound = [
        whole::<CreateChatCompletionResponse>(Kind::Chat, false, &chat()),
        streamed::<CreateChatCompletionStreamResponse>(Kind::Chat, true, &chat_chunks(), true),
        whole::<Response>(Kind::Responses, false, &response()),
    ];
    assert!(sound.iter().all(Result::is_ok), "{sound:?}");
    for (kind, document) in [
        (Kind::Chat, chat()),
        (Kind::Completion, completion()),
        (Kind::Embeddings, embeddings()),
        (Kind::Models, json!({"object":"list","data":[model()]})),
        (Kind::Model, model()),
        (Kind::Responses, response()),
    ] {
        assert!(outward::shape(&context(kind, true), document.to_string().into()).is_ok(), "{kind:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_json_anywhere_in_a_chat(changes in changes(), tags: bool) {
        whole::<CreateChatCompletionResponse>(Kind::Chat, tags, &changed(chat(), &changes))?;
    }

    #[test]
    fn any_json_anywhere_in_a_completion(changes in changes()) {
        whole::<CreateCompletionResponse>(Kind::Completion, false, &changed(completion(), &changes))?;
    }

    #[test]
    fn any_json_anywhere_in_embeddings(changes in changes(), packed: bool) {
        let document = changed(embeddings(), &changes);
        let mut context = context(Kind::Embeddings, false);
        context.wants_base64 = packed;
        let shaped = outward::shape(&context, document.to_string().into());
        if packed {
            decoded::<CreateBase64EmbeddingResponse>(&shaped, &document)?;
        } else {
            decoded::<CreateEmbeddingResponse>(&shaped, &document)?;
        }
    }

    #[test]
    fn any_json_anywhere_in_models(changes in changes()) {
        whole::<ListModelResponse>(Kind::Models, false, &changed(json!({"object":"list","data":[model(), model()]}), &changes))?;
        whole::<Model>(Kind::Model, false, &changed(model(), &changes))?;
    }

    #[test]
    fn any_json_anywhere_in_a_response(changes in changes()) {
        whole::<Response>(Kind::Responses, false, &changed(response(), &changes))?;
    }

    #[test]
    fn any_json_anywhere_in_the_chunks_of_a_chat(changes in chunk_changes(), tags: bool, done: bool) {
        let chunks = changed_chunks(chat_chunks(), &changes);
        streamed::<CreateChatCompletionStreamResponse>(Kind::Chat, tags, &chunks, done)?;
    }

    #[test]
    fn any_json_anywhere_in_the_chunks_of_a_completion(changes in chunk_changes(), done: bool) {
        let chunks = changed_chunks(vec![completion(), completion()], &changes);
        streamed::<CreateCompletionResponse>(Kind::Completion, false, &chunks, done)?;
    }

    /// async-openai has no types for some events; they pass as they are, and the door leaves them out.
    #[test]
    fn any_json_anywhere_in_the_events_of_a_response(changes in chunk_changes()) {
        streamed::<Value>(Kind::Responses, false, &changed_chunks(response_events(), &changes), false)?;
    }

    #[test]
    fn any_json_at_all_in_place_of_an_answer(document in any_json()) {
        whole::<CreateChatCompletionResponse>(Kind::Chat, true, &document)?;
        whole::<CreateCompletionResponse>(Kind::Completion, true, &document)?;
        whole::<CreateEmbeddingResponse>(Kind::Embeddings, true, &document)?;
        whole::<ListModelResponse>(Kind::Models, true, &document)?;
        whole::<Response>(Kind::Responses, true, &document)?;
        streamed::<CreateChatCompletionStreamResponse>(Kind::Chat, true, &[document], true)?;
    }
}
