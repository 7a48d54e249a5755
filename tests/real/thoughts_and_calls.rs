//! llama.cpp with chat templates of ours, under which even the smallest model thinks and calls tools.

use async_openai::types::chat::{ChatCompletionToolChoiceOption, FinishReason, ToolChoiceOptions};
use modelswitch::ErrorKind;
use modelswitch::prelude::*;
use modelswitch::provider::{ChatRequest, Message, ProviderExt};
use serde_json::{Value, json};

use super::{Server, chunks, short, text, weather, weather_tool};

/// What a model may say, so that it ends its thought.
const GRAMMAR: &str = "root ::= \"I count.\\n</think>\\n\\nTwo.\"";

#[tokio::test]
#[ignore = "needs real servers: run .ci/real-servers"]
async fn reasoning_comes_through_async_openais_types_whole_and_in_pieces() {
    let Some(server) = Server::find("llamacpp_thinks", "llamacpp") else { return };
    let mut request = short("One and one?");
    request.max_completion_tokens = Some(60);
    let extra = Extra::new().set("grammar", GRAMMAR).headers().unwrap();
    let client = server.client();
    let reply = client.chat().headers(extra.clone()).create(request.clone()).await.unwrap();
    assert_eq!(reply.reasoning_content().unwrap().trim(), "I count.");
    assert_eq!(reply.choices[0].message.content.as_deref().unwrap().trim(), "Two.");

    let stream = client.chat().headers(extra).create_stream(request).await.unwrap();
    let chunks: Vec<_> =
        futures_util::StreamExt::collect::<Vec<_>>(stream).await.into_iter().map(Result::unwrap).collect();
    let thought: String = chunks.iter().filter_map(|chunk| chunk.reasoning_content()).collect();
    assert_eq!((thought.trim(), text(&chunks).trim()), ("I count.", "Two."));
}

#[tokio::test]
#[ignore = "needs real servers: run .ci/real-servers"]
async fn reasoning_comes_through_the_trait_and_may_be_all_there_is() {
    let Some(server) = Server::find("llamacpp_thinks", "llamacpp") else { return };
    let request = ChatRequest::user("One and one?").max_tokens(60).set("grammar", GRAMMAR);
    let stream = server.model().chat_stream(request.clone()).await.unwrap();
    let whole = stream.completion().await.unwrap();
    assert_eq!((whole.reasoning().unwrap().trim(), whole.text().trim()), ("I count.", "Two."));

    // The limit ends the answer inside its thought.
    let cut = server.model().chat(request.max_tokens(2)).await.unwrap();
    assert!(cut.reasoning().is_some() && cut.text().trim().is_empty(), "{cut:?}");
    assert_eq!(cut.finish_reason().unwrap().as_str(), "length");
}

#[tokio::test]
#[ignore = "needs real servers: run .ci/real-servers"]
async fn a_tool_is_called_through_async_openais_types_whole_and_in_pieces() {
    let Some(server) = Server::find("llamacpp_calls", "llamacpp") else { return };
    let mut request = short("The weather in Rome?");
    request.max_completion_tokens = Some(80);
    request.tools = Some(vec![weather()]);
    request.tool_choice = Some(ChatCompletionToolChoiceOption::Mode(ToolChoiceOptions::Required));
    request.parallel_tool_calls = Some(false);
    let reply = server.client().chat().create(request.clone()).await.unwrap();
    assert_eq!(reply.choices[0].finish_reason, Some(FinishReason::ToolCalls));
    let calls = reply.choices[0].message.tool_calls.as_ref().unwrap();
    assert_eq!(calls.len(), 1);
    let call = serde_json::to_value(&calls[0]).unwrap();
    assert!(!call["id"].as_str().unwrap().is_empty());
    is_for_rome(call["function"]["arguments"].as_str().unwrap());

    let chunks = chunks(&server.client(), request).await;
    let deltas: Vec<_> = chunks
        .iter()
        .flat_map(|chunk| &chunk.choices)
        .filter_map(|choice| choice.delta.tool_calls.as_ref())
        .flatten()
        .collect();
    assert!(deltas.len() > 1 && deltas.iter().all(|delta| delta.index == 0));
    let functions: Vec<_> = deltas.iter().filter_map(|delta| delta.function.as_ref()).collect();
    assert_eq!(
        functions.iter().filter_map(|function| function.name.as_deref()).collect::<String>(),
        "weather"
    );
    is_for_rome(&functions.iter().filter_map(|function| function.arguments.as_deref()).collect::<String>());
}

#[tokio::test]
#[ignore = "needs real servers: run .ci/real-servers"]
async fn a_tool_loop_closes_through_the_trait() {
    let Some(server) = Server::find("llamacpp_calls", "llamacpp") else { return };
    let ask =
        || ChatRequest::user("The weather in Rome?").max_tokens(80).temperature(0.0).tool(weather_tool());
    let request = ask().set("tool_choice", "required").set("parallel_tool_calls", false);
    let reply = server.model().chat_stream(request).await.unwrap().completion().await.unwrap();
    let calls = reply.tool_calls();
    assert_eq!((calls.len(), calls[0].function.name.as_str()), (1, "weather"));
    is_for_rome(&calls[0].function.arguments);

    let history =
        ask().message(reply.message().unwrap().clone()).message(Message::tool(&calls[0].id, "18 °C"));
    let reply = server.model().chat(history.set("tool_choice", "none").max_tokens(4)).await.unwrap();
    assert!(reply.finish_reason().is_some());
}

#[tokio::test]
#[ignore = "needs real servers: run .ci/real-servers"]
async fn a_servers_own_failure_is_one_that_may_be_tried_again() {
    let Some(server) = Server::find("llamacpp_calls", "llamacpp") else { return };
    // Free to choose, the model says what the server's own parser can't read.
    let request =
        ChatRequest::user("The weather in Rome?").max_tokens(60).temperature(0.0).tool(weather_tool());
    if let Err(error) = server.model().chat(request.set("tool_choice", "auto")).await {
        assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::Upstream, 500));
        assert!(error.is_retryable() && error.upstream_type() == Some("server_error"), "{}", error.report());
    }
}

#[track_caller]
fn is_for_rome(arguments: &str) {
    assert_eq!(serde_json::from_str::<Value>(arguments).unwrap(), json!({ "place": "Rome" }));
}
