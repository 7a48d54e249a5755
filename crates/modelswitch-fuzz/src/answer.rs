use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::Stream;
use modelswitch_deepseek::fuzz as deepseek;
use modelswitch_openai::async_openai::types::chat::{
    CreateChatCompletionResponse, CreateChatCompletionStreamResponse,
};
use modelswitch_openai::async_openai::types::completions::CreateCompletionResponse;
use modelswitch_openai::async_openai::types::embeddings::CreateEmbeddingResponse;
use modelswitch_openai::async_openai::types::models::ListModelResponse;
use modelswitch_openai::{Policies, Profile, fuzz};
use modelswitch_provider::{Body, Endpoint, ErrorKind, Request, Response, Result};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};

use crate::input::{Input, pieces};

/// What an app has of an answer.
#[derive(Debug, PartialEq)]
enum Had {
    Whole(Bytes),
    /// The events, and the kind of the error that the stream ended in.
    Stream(Vec<Bytes>, Option<ErrorKind>),
    Nothing(ErrorKind),
    Other,
}

/// An answer under 200 is one that async-openai decodes, or an error, and the same however its bytes are split.
pub fn answer(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (profile, endpoint) = (input.profile(), input.endpoint());
    let (choice, headers, seed) = (input.byte(), input.content_type(), input.byte());
    let wants_stream = choice & 1 == 1;
    let body = input.rest();
    let read = |seed| fuzz::outward(&profile, &endpoint, wants_stream, headers.clone(), &pieces(body, seed));
    let whole = had(read(0));
    is_decoded(&endpoint, &whole);
    let whole = timeless(whole);
    assert_eq!(timeless(had(read(seed))), whole, "with the seed {seed}");
    assert_eq!(timeless(had(read(1))), whole, "byte by byte");
    if endpoint == Endpoint::CHAT_COMPLETIONS
        && let Ok(body) = read(0)
    {
        of_deepseek(choice & 2 == 2, body);
    }
}

fn had(read: Result<Body>) -> Had {
    match read {
        Ok(Body::Json(bytes)) => Had::Whole(bytes),
        Ok(Body::Events(events)) => {
            let (mut all, mut error) = (Vec::new(), None);
            for event in all_of(events) {
                assert!(error.is_none(), "nothing comes after an error");
                match event {
                    Ok(event) => all.push(event.data),
                    Err(failure) => error = Some(failure.kind()),
                }
            }
            Had::Stream(all, error)
        }
        Ok(_) => Had::Other,
        Err(error) => Had::Nothing(error.kind()),
    }
}

/// The same without the moments: one that is filled in is another a second later.
fn timeless(had: Had) -> Had {
    let without = |bytes: Bytes| {
        let Ok(mut value) = serde_json::from_slice::<Value>(&bytes) else { return bytes };
        forget_moments(&mut value);
        if let Some(response) = value.get_mut("response") {
            forget_moments(response);
        }
        Bytes::from(value.to_string())
    };
    match had {
        Had::Whole(bytes) => Had::Whole(without(bytes)),
        Had::Stream(events, error) => Had::Stream(events.into_iter().map(without).collect(), error),
        Had::Nothing(_) | Had::Other => had,
    }
}

fn forget_moments(value: &mut Value) {
    if let Some(members) = value.as_object_mut() {
        members.retain(|name, _| name != "created" && name != "created_at");
    }
}

/// All of a stream that never waits.
fn all_of<T>(stream: impl Stream<Item = T>) -> Vec<T> {
    let (mut stream, mut all) = (pin!(stream), Vec::new());
    while let Poll::Ready(Some(item)) = stream.as_mut().poll_next(&mut Context::from_waker(Waker::noop())) {
        all.push(item);
    }
    all
}

fn is_decoded(endpoint: &Endpoint, had: &Had) {
    match had {
        Had::Whole(body) => match endpoint.path() {
            "/chat/completions" => decodes::<CreateChatCompletionResponse>(body),
            "/completions" => decodes::<CreateCompletionResponse>(body),
            "/embeddings" => decodes::<CreateEmbeddingResponse>(body),
            "/models" => decodes::<ListModelResponse>(body),
            "/responses" => decodes::<IgnoredAny>(body),
            _ => {}
        },
        Had::Stream(events, _) => events.iter().for_each(|event| match endpoint.path() {
            "/chat/completions" => decodes::<CreateChatCompletionStreamResponse>(event),
            "/completions" => decodes::<CreateCompletionResponse>(event),
            "/responses" => decodes::<IgnoredAny>(event),
            _ => {}
        }),
        // Nothing here refuses or connects. That it ran out of time a service may say under 200.
        Had::Nothing(kind) => assert!(!matches!(kind, ErrorKind::Rejected | ErrorKind::Connection)),
        Had::Other => {}
    }
}

fn decodes<T: DeserializeOwned>(body: &[u8]) {
    let read = serde_json::from_slice::<T>(body);
    assert!(read.is_ok(), "{}\n{:?}", String::from_utf8_lossy(body), read.err());
}

/// What is left for DeepSeek's own adapter: calls of functions in the way before tools, and what was thought.
fn of_deepseek(functions: bool, body: Body) {
    let mut asked = json!({ "model": "deepseek-flash", "messages": [{ "role": "user", "content": "?" }] });
    if let Some(asked) = asked.as_object_mut() {
        let f = json!({ "name": "f", "parameters": { "type": "object" } });
        let offer = if functions { json!([f]) } else { json!([{ "type": "function", "function": f }]) };
        asked.insert(if functions { "functions" } else { "tools" }.to_owned(), offer);
    }
    let profile = Profile::embedded("deepseek").unwrap_or_default();
    let Ok(mut request) = Request::chat(&asked) else { return };
    let Ok(adapted) = deepseek::inward(&profile, Policies::default(), &mut request) else { return };
    let finished = adapted.outward(Response::new(body)).map(|response| response.body);
    is_decoded(&Endpoint::CHAT_COMPLETIONS, &had(finished));
}
