//! aimock with a script of ours: thoughts, calls, limits and broken connections, as somebody else understands OpenAI's API.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use modelswitch::ErrorKind;
use modelswitch::prelude::*;
use modelswitch::provider::{ChatRequest, Message, ProviderExt};

use super::{Server, chunks, short, text, weather, weather_tool};

fn aimock() -> Option<Server> {
    Server::find("aimock", "openai-compatible")
}

#[tokio::test]
#[ignore = "needs real servers: run .ci/real-servers"]
async fn a_thought_that_comes_before_the_role_is_whole_at_both_doors() {
    let Some(server) = aimock() else { return };
    let thought = "Nine tenths less than eight tenths? No.";
    let reply = server.client().chat().create(short("9.11 or 9.8, which is larger?")).await.unwrap();
    assert_eq!(reply.reasoning_content().as_deref(), Some(thought));
    let chunks = chunks(&server.client(), short("9.11 or 9.8, which is larger?")).await;
    let pieces: String = chunks.iter().filter_map(|chunk| chunk.reasoning_content()).collect();
    assert_eq!((pieces.as_str(), text(&chunks).as_str()), (thought, "9.8 is the larger one."));

    let stream = server.model().chat_stream("9.11 or 9.8, which is larger?").await.unwrap();
    let whole = stream.completion().await.unwrap();
    assert_eq!((whole.reasoning(), whole.text().as_str()), (Some(thought), "9.8 is the larger one."));
}

#[tokio::test]
#[ignore = "needs real servers: run .ci/real-servers"]
async fn two_calls_at_once_keep_apart_and_their_results_find_them() {
    let Some(server) = aimock() else { return };
    let ask = || ChatRequest::user("The weather in Rome and Oslo?").tool(weather_tool());
    let reply = server.model().chat_stream(ask()).await.unwrap().completion().await.unwrap();
    let calls: Vec<_> =
        reply.tool_calls().iter().map(|call| (call.id.as_str(), call.function.arguments.as_str())).collect();
    assert_eq!(calls, [("call_rome", r#"{"place":"Rome"}"#), ("call_oslo", r#"{"place":"Oslo"}"#)]);
    let answered = ask()
        .message(reply.message().unwrap().clone())
        .message(Message::tool("call_rome", "28"))
        .message(Message::tool("call_oslo", "3"));
    assert_eq!(server.model().chat(answered).await.unwrap().text(), "Warm in Rome, cold in Oslo.");

    let mut request = short("The weather in Rome and Oslo?");
    request.tools = Some(vec![weather()]);
    let chunks = chunks(&server.client(), request).await;
    let choices = chunks.iter().flat_map(|chunk| &chunk.choices);
    let mut arguments = [String::new(), String::new()];
    for delta in choices.filter_map(|choice| choice.delta.tool_calls.as_ref()).flatten() {
        let piece = delta.function.as_ref().and_then(|function| function.arguments.as_deref());
        arguments[delta.index as usize] += piece.unwrap_or_default();
    }
    assert_eq!(arguments, [r#"{"place":"Rome"}"#, r#"{"place":"Oslo"}"#]);
}

#[tokio::test]
#[ignore = "needs real servers: run .ci/real-servers"]
async fn a_limit_keeps_its_wait_and_its_request_id_at_both_doors() {
    let Some(server) = aimock() else { return };
    let capture = server.registry.capture();
    let request = short("This is too many.");
    let error = server.client().chat().headers(capture.headers()).create(request).await.unwrap_err();
    let error = error.provider_error().unwrap();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::RateLimited, Some(Duration::from_secs(7))));
    assert!(error.request_id().unwrap().starts_with("req-"));
    let error = server.model().chat_stream("This is too many.").await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    assert_eq!(error.code(), Some("rate_limit_exceeded"));
}

#[tokio::test]
#[ignore = "needs real servers: run .ci/real-servers"]
async fn what_breaks_on_purpose_is_an_error_of_its_kind() {
    let Some(server) = aimock() else { return };
    for (fault, kinds) in [
        ("x-aimock-chaos-drop", &[ErrorKind::Upstream][..]),
        ("x-aimock-chaos-malformed", &[ErrorKind::Decode]),
        ("x-aimock-chaos-disconnect", &[ErrorKind::Connection, ErrorKind::Interrupted]),
        ("x-aimock-chaos-ratelimit", &[ErrorKind::RateLimited]),
    ] {
        let headers = HeaderMap::from_iter([(HeaderName::from_static(fault), HeaderValue::from_static("1"))]);
        let error = server.client().chat().headers(headers.clone()).create(short("hello")).await.unwrap_err();
        let error = error.provider_error().unwrap_or_else(|| panic!("{fault}: {error:?}"));
        assert!(kinds.contains(&error.kind()), "{fault}: {}", error.report());
        let mut request = ChatRequest::user("hello").into_request().unwrap();
        request.headers = headers;
        let error = server.model().send(request).await.unwrap_err();
        assert!(kinds.contains(&error.kind()), "{fault}: {}", error.report());
    }
}
