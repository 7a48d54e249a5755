//! steady with OpenAI's published specification: whether what goes out is what the specification allows, and whether anything
//! that it allows in an answer can be read.

use async_openai::types::chat::{ReasoningEffort, ResponseFormat};
use async_openai::types::embeddings::CreateEmbeddingRequestArgs;
use async_openai::types::responses::CreateResponseArgs;
use modelswitch::prelude::*;
use modelswitch::provider::{ChatRequest, Head, Message, ProviderExt};
use modelswitch::{Error, OpenAiErrorExt};
use serde_json::json;

use super::{Server, registry, short, weather, weather_tool};

/// It has no `/v1`, as its specification names the server apart.
fn steady() -> Option<Server> {
    let mut server = Server::find("steady", "openai")?;
    server.registry = registry(&server.address, "openai", Some("sk-anything"));
    Some(server)
}

#[track_caller]
fn is_valid(head: &Head) {
    assert_eq!(head.headers["x-steady-request-valid"], "true", "{:?}", head.headers);
}

/// An answer of its making may be one that can't be, such as a finish reason that means a failure.
#[track_caller]
fn was_valid(error: &Error) {
    let body = error.upstream_body().map(|body| String::from_utf8_lossy(body).into_owned());
    assert!(error.status().is_some_and(|status| status.is_success()), "{}: {body:?}", error.report());
}

#[tokio::test]
#[ignore = "needs real servers: run .ci/real-servers"]
async fn what_an_app_asks_at_door_one_goes_out_after_openais_specification() {
    let Some(server) = steady() else { return };
    let mut full = short("hello");
    full.tools = Some(vec![weather()]);
    full.parallel_tool_calls = Some(false);
    full.response_format = Some(ResponseFormat::JsonObject);
    full.reasoning_effort = Some(ReasoningEffort::Low);
    let mut old = short("hello");
    #[expect(deprecated, reason = "apps still send it, and what it stands for must go out")]
    (old.max_tokens = old.max_completion_tokens.take());
    for request in [short("hello"), full, old] {
        let capture = server.registry.capture();
        match server.client().chat().headers(capture.headers()).create(request).await {
            Ok(_) => is_valid(&capture.head().unwrap()),
            Err(error) => was_valid(&capture.error().or(error.provider_error()).unwrap()),
        }
    }
    let capture = server.registry.capture();
    let request = CreateEmbeddingRequestArgs::default().model("real/e").input("x").build().unwrap();
    server.client().embeddings().headers(capture.headers()).create(request).await.unwrap();
    is_valid(&capture.head().unwrap());
    let capture = server.registry.capture();
    let request = CreateResponseArgs::default().model("real/r").input("x").build().unwrap();
    match server.client().responses().headers(capture.headers()).create(request).await {
        Ok(_) => is_valid(&capture.head().unwrap()),
        Err(error) => was_valid(&capture.error().or(error.provider_error()).unwrap()),
    }
}

#[tokio::test]
#[ignore = "needs real servers: run .ci/real-servers"]
async fn what_the_trait_asks_goes_out_after_openais_specification() {
    let Some(server) = steady() else { return };
    let called = serde_json::from_value::<Message>(json!({
        "role": "assistant", "content": null, "reasoning_content": "I look.",
        "tool_calls": [{ "id": "c", "type": "function", "function": { "name": "weather", "arguments": "{}" } }],
    }));
    let image = json!([{ "type": "text", "text": "what?" }, { "type": "image_url", "image_url": { "url": "data:," } }]);
    let requests = [
        ChatRequest::user("x").max_tokens(5).temperature(0.5).system("be brief"),
        ChatRequest::user("x").tool(weather_tool()).set("tool_choice", "required"),
        ChatRequest::user("x")
            .tool(weather_tool())
            .message(called.unwrap())
            .message(Message::tool("c", "18")),
        ChatRequest::new([]).set("messages", json!([{ "role": "user", "content": image }])),
        ChatRequest::new([]).set("messages", json!([{ "role": "developer", "content": "x" }])),
    ];
    for request in requests {
        let mut request = request.into_request().unwrap();
        for stream in [false, true] {
            request.document_mut().unwrap().set("stream", stream).unwrap();
            match server.model().send(request.clone()).await {
                Ok(response) => is_valid(&response.head),
                Err(error) => was_valid(&error),
            }
        }
    }
}

/// So that the two above mean something.
#[tokio::test]
#[ignore = "needs real servers: run .ci/real-servers"]
async fn what_breaks_the_specification_is_told() {
    let Some(server) = steady() else { return };
    let error = server.model().chat(ChatRequest::user("x").set("n", "many")).await.unwrap_err();
    assert_eq!(error.status().unwrap().as_u16(), 400, "{}", error.report());
    let _ = server.client();
}
