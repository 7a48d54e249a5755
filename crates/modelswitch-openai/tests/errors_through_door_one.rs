//! Any error of a provider through an unmodified async-openai client: its status, code and kind are those that the provider gave, and
//! nothing that a caller may ask is lost.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails loudly")]

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use http::StatusCode;
use modelswitch_openai::async_openai::error::OpenAIError;
use modelswitch_openai::async_openai::types::chat::{
    ChatCompletionRequestUserMessage, CreateChatCompletionRequest, CreateChatCompletionRequestArgs,
};
use modelswitch_openai::{HttpService, OpenAiErrorExt};
use modelswitch_provider::mock::MockProvider;
use modelswitch_provider::{Attempt, Body, Error, ErrorKind, Event, EventStream, Response};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

fn kinds() -> impl Strategy<Value = ErrorKind> {
    prop::sample::select(ErrorKind::ALL.as_slice())
}

fn statuses() -> impl Strategy<Value = Option<StatusCode>> {
    prop::option::of((200..600u16).prop_map(|status| StatusCode::from_u16(status).unwrap()))
}

fn word() -> BoxedStrategy<Option<String>> {
    prop::option::of(".{0,20}").boxed()
}

fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
    let attempt = (kinds(), word(), 0..100_000u64).prop_map(|(kind, provider, millis)| {
        let error = Error::new(kind, "before").with_provider(provider.unwrap_or_default());
        Attempt::of(&error, Duration::from_millis(millis))
    });
    prop::collection::vec(attempt, 0..3)
}

/// An error with any of what an error may have.
fn errors() -> impl Strategy<Value = Error> {
    let names = prop::collection::vec(word(), 6);
    let marks =
        (any::<bool>(), any::<bool>(), prop::option::of(any::<bool>()), prop::option::of(0..10_000_000u64));
    (kinds(), ".{0,40}", statuses(), names, marks, attempts()).prop_map(
        |(kind, message, status, names, (exhausted, last_word, should_retry, wait), failures)| {
            let set = |error: Error, name: usize, with: fn(Error, String) -> Error| match &names[name] {
                Some(value) => with(error, value.clone()),
                None => error,
            };
            let mut error = Error::new(kind, message).with_attempts(1).with_failures(failures);
            error = set(error, 0, Error::with_provider);
            error = set(error, 1, Error::with_model);
            error = set(error, 2, Error::with_request_id);
            error = set(error, 3, Error::with_code);
            error = set(error, 4, Error::with_upstream_type);
            error = set(error, 5, Error::with_param);
            if let Some(status) = status {
                error = error.with_status(status);
            }
            if let Some(wait) = wait {
                error = error.with_retry_after(Duration::from_millis(wait));
            }
            if let Some(should_retry) = should_retry {
                error = error.with_should_retry(should_retry);
            }
            error = if exhausted { error.into_exhausted() } else { error };
            if last_word { error.into_last_word() } else { error }
        },
    )
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn question() -> CreateChatCompletionRequest {
    CreateChatCompletionRequestArgs::default()
        .model("m")
        .messages([ChatCompletionRequestUserMessage::from("?").into()])
        .build()
        .unwrap()
}

/// What an app has of a whole answer and of a stream that failed so.
async fn had(provider: MockProvider) -> [OpenAIError; 2] {
    let client = HttpService::new(Arc::new(provider)).client().unwrap();
    let whole = client.chat().create(question()).await.unwrap_err();
    let streamed = match client.chat().create_stream(question()).await {
        Err(error) => error,
        Ok(chunks) => chunks.filter_map(async |chunk| chunk.err()).boxed_local().next().await.unwrap(),
    };
    [whole, streamed]
}

/// A stream that says a word, and fails.
fn failing_stream(error: &Error) -> Response {
    let chunk = json!({
        "id": "1", "object": "chat.completion.chunk", "created": 7, "model": "m",
        "choices": [{ "index": 0, "delta": { "content": "a" }, "finish_reason": null }],
    });
    let events = [Ok(Event::new(chunk.to_string())), Err(error.clone())];
    Response::new(Body::Events(EventStream::new(stream::iter(events))))
}

fn is_told(openai: &OpenAIError, error: &Error) -> TestCaseResult {
    let known = openai.provider_error();
    prop_assert_eq!(known.as_ref().map(Error::facts), Some(error.facts()), "{:?}", openai);
    let known = known.unwrap();
    prop_assert_eq!(known.failures(), error.failures());
    prop_assert_eq!(known.is_retryable(), error.is_retryable());
    prop_assert_eq!(known.may_succeed_elsewhere(), error.may_succeed_elsewhere());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_error_in_place_of_an_answer_is_an_api_error_with_its_status_code_and_kind(error in errors()) {
        let given = error.clone();
        let provider = MockProvider::answering(move |_| Err(given.clone()));
        for openai in runtime().block_on(had(provider)) {
            is_told(&openai, &error)?;
            let OpenAIError::ApiError(api) = &openai else { panic!("{openai:?}") };
            prop_assert_eq!(api.status_code, error.http_status());
            let api = &api.api_error;
            prop_assert_eq!(api.code.as_deref(), Some(error.code().unwrap_or(error.kind().code())));
            prop_assert_eq!(api.r#type.as_deref(), Some(error.upstream_type().unwrap_or(error.kind().code())));
            prop_assert_eq!(api.param.as_deref(), error.param());
            prop_assert!(api.message.contains(error.message()));
        }
    }

    #[test]
    fn an_error_in_the_middle_of_a_stream_is_the_same_error_afterwards(error in errors()) {
        let given = error.clone();
        let provider = MockProvider::answering(move |_| Ok(failing_stream(&given)));
        let openai = runtime().block_on(async {
            let client = HttpService::new(Arc::new(provider)).client().unwrap();
            let mut chunks = client.chat().create_stream(question()).await.unwrap();
            assert_eq!(chunks.next().await.unwrap().unwrap().choices[0].delta.content.as_deref(), Some("a"));
            let openai = chunks.next().await.unwrap().unwrap_err();
            assert!(chunks.next().await.is_none(), "nothing comes after an error");
            openai
        });
        is_told(&openai, &error)?;
    }
}
