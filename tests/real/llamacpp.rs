//! llama.cpp's own server with a model of 135 million parameters: what any OpenAI-compatible server does.

use std::time::Duration;

use async_openai::types::chat::{FinishReason, ResponseFormat, ResponseFormatJsonSchema};
use modelswitch::ErrorKind;
use modelswitch::prelude::*;
use modelswitch::provider::{ChatRequest, EmbeddingRequest, ProviderExt};
use serde_json::{Value, json};

use super::{Server, chunks, counted, registry, short, text};

fn llamacpp() -> Option<Server> {
    Server::find("llamacpp", "llamacpp")
}

#[tokio::test]
#[ignore = "needs real servers: run .ci/real-servers"]
async fn a_whole_answer_comes_with_its_usage_through_both_doors() {
    let Some(server) = llamacpp() else { return };
    let reply = server.client().chat().create(short("Say hello.")).await.unwrap();
    assert!(!reply.id.is_empty() && reply.created > 1_700_000_000 && reply.object == "chat.completion");
    assert!(!reply.choices[0].message.content.as_ref().unwrap().is_empty());
    assert!(matches!(reply.choices[0].finish_reason, Some(FinishReason::Length | FinishReason::Stop)));
    let usage = reply.usage.unwrap();
    assert!(usage.prompt_tokens > 0 && (1..=12).contains(&usage.completion_tokens));

    let request = ChatRequest::user("Say hello.").max_tokens(12).temperature(0.0);
    let reply = server.model().chat(request).await.unwrap();
    assert!(!reply.text().is_empty());
    let usage = reply.usage.unwrap();
    assert_eq!(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
    assert!(reply.extra.contains_key("timings"), "what only llama.cpp has is kept");
}

#[tokio::test]
#[ignore = "needs real servers: run .ci/real-servers"]
async fn a_stream_comes_in_pieces_and_ends_with_its_usage_through_both_doors() {
    let Some(server) = llamacpp() else { return };
    let chunks = chunks(&server.client(), counted(short("Say hello."))).await;
    assert!(chunks.len() > 2 && !text(&chunks).is_empty());
    assert!(chunks.iter().all(|chunk| chunk.object == "chat.completion.chunk" && chunk.id == chunks[0].id));
    assert!(chunks.iter().any(|chunk| chunk.usage.as_ref().is_some_and(|usage| usage.total_tokens > 0)));
    let reasons =
        chunks.iter().flat_map(|chunk| &chunk.choices).filter(|choice| choice.finish_reason.is_some());
    assert_eq!(reasons.count(), 1);

    let request = ChatRequest::user("Say hello.").max_tokens(12).set("temperature", 0);
    let request = request.set("stream_options", json!({ "include_usage": true }));
    let whole = server.model().chat_stream(request).await.unwrap().completion().await.unwrap();
    assert!(!whole.text().is_empty() && whole.finish_reason().is_some());
    assert!(whole.usage.unwrap().total_tokens > 0);
}

#[tokio::test]
#[ignore = "needs real servers: run .ci/real-servers"]
async fn a_refused_key_is_an_authentication_error_and_is_shown_nowhere() {
    let Some(server) = llamacpp() else { return };
    let refused = registry(&format!("{}/v1", server.address), "llamacpp", Some("sk-planted-and-refused"));
    let error = refused.client().unwrap().chat().create(short("x")).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("planted"));
    let error = error.provider_error().unwrap();
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::Authentication, 401));
    let error = refused.model("real/smol").unwrap().chat_stream("x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(!format!("{error:?} {}", error.report()).contains("planted"));
}

#[tokio::test]
#[ignore = "needs real servers: run .ci/real-servers"]
async fn too_long_a_prompt_is_a_context_error_whole_and_streamed() {
    let Some(server) = llamacpp() else { return };
    let prompt = "word ".repeat(3000);
    let error = server.client().chat().create(short(&prompt)).await.unwrap_err();
    assert_eq!(error.provider_error().unwrap().kind(), ErrorKind::ContextLength);
    let error = server.client().chat().create_stream(short(&prompt)).await.err().unwrap();
    assert_eq!(error.provider_error().unwrap().kind(), ErrorKind::ContextLength);
    let error = server.model().chat(prompt.as_str()).await.unwrap_err();
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::ContextLength, 400));
    assert!(!error.to_string().contains("word word"));
}

#[tokio::test]
#[ignore = "needs real servers: run .ci/real-servers"]
async fn what_the_server_does_not_know_or_do_is_an_error_of_its_kind() {
    let Some(server) = llamacpp() else { return };
    let request = ChatRequest::user("x").set("temperature", "warm");
    let error = server.model().chat(request).await.unwrap_err();
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::InvalidRequest, 400));

    let nowhere = registry(&format!("{}/nowhere", server.address), "llamacpp", server.key.as_deref());
    let error = nowhere.client().unwrap().chat().create(short("x")).await.unwrap_err();
    assert_eq!(error.provider_error().unwrap().status().unwrap().as_u16(), 404);

    // It was started without embeddings, and says so with 501.
    let error = server.model().embed(EmbeddingRequest::new(["x"])).await.unwrap_err();
    assert_eq!(error.status().unwrap().as_u16(), 501);
    assert!(error.message().contains("embeddings") && !error.is_retryable(), "{}", error.report());
}

#[tokio::test]
#[ignore = "needs real servers: run .ci/real-servers"]
async fn an_answer_keeps_to_a_schema() {
    let Some(server) = llamacpp() else { return };
    let number = json!({ "type": "integer", "enum": [1, 2] });
    let schema = json!({
        "type": "object", "properties": { "n": number }, "required": ["n"], "additionalProperties": false
    });
    let mut request = short("A number, please.");
    request.max_completion_tokens = Some(60);
    request.response_format = Some(ResponseFormat::JsonSchema {
        json_schema: ResponseFormatJsonSchema {
            name: "number".into(),
            description: None,
            schema,
            strict: Some(true),
        },
    });
    let reply = server.client().chat().create(request).await.unwrap();
    let said: Value = serde_json::from_str(reply.choices[0].message.content.as_ref().unwrap()).unwrap();
    assert!(said["n"] == 1 || said["n"] == 2, "{said}");
}

#[tokio::test]
#[ignore = "needs real servers: run .ci/real-servers"]
async fn log_probabilities_come_through_async_openais_types_whole_and_in_pieces() {
    let Some(server) = llamacpp() else { return };
    let mut request = short("Say hello.");
    (request.logprobs, request.top_logprobs) = (Some(true), Some(2));
    let reply = server.client().chat().create(request.clone()).await.unwrap();
    let tokens = reply.choices[0].logprobs.as_ref().unwrap().content.as_ref().unwrap();
    assert!(!tokens.is_empty() && tokens.iter().all(|token| token.top_logprobs.len() == 2));
    let chunks = chunks(&server.client(), request).await;
    let choices = chunks.iter().flat_map(|chunk| &chunk.choices);
    let tokens = choices.filter_map(|choice| choice.logprobs.as_ref()?.content.as_ref()).flatten();
    assert!(tokens.count() > 0);
}

#[tokio::test]
#[ignore = "needs real servers: run .ci/real-servers"]
async fn its_models_are_listed() {
    let Some(server) = llamacpp() else { return };
    let models = server.registry.provider("real").unwrap().models().await.unwrap();
    assert!(models.iter().any(|model| model.id == "smol"));
}

/// Tokens of an answer that nobody reads to its end.
const LONG: u64 = 800;

#[tokio::test]
#[ignore = "needs real servers: run .ci/real-servers"]
async fn dropping_a_stream_stops_the_server_at_either_door() {
    let Some(server) = llamacpp() else { return };
    let before = finished_tokens(&server).await;
    let endless = || ChatRequest::user("Count.").max_tokens(LONG).set("ignore_eos", true);
    let mut stream = server.model().chat_stream(endless()).await.unwrap();
    futures_util::StreamExt::next(&mut stream).await.unwrap().unwrap();
    drop(stream);
    all_slots_free(&server).await;

    let mut request = short("Count.");
    request.max_completion_tokens = Some(LONG as u32);
    let extra = Extra::new().set("ignore_eos", true);
    let mut stream =
        server.client().chat().headers(extra.headers().unwrap()).create_stream(request).await.unwrap();
    futures_util::StreamExt::next(&mut stream).await.unwrap().unwrap();
    drop(stream);
    all_slots_free(&server).await;
    assert!(finished_tokens(&server).await < before + LONG, "an answer was written to its end");
}

async fn ask_server(server: &Server, path: &str) -> String {
    let request = reqwest::Client::new().get(format!("{}{path}", server.address));
    let request = request.bearer_auth(server.key.as_deref().unwrap_or_default());
    request.send().await.unwrap().text().await.unwrap()
}

async fn all_slots_free(server: &Server) {
    loop {
        let slots: Value = serde_json::from_str(&ask_server(server, "/slots").await).unwrap();
        if slots.as_array().unwrap().iter().all(|slot| slot["is_processing"] == false) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The server counts an answer's tokens when it is finished, and those of one that was dropped never.
async fn finished_tokens(server: &Server) -> u64 {
    let metrics = ask_server(server, "/metrics").await;
    let line = metrics.lines().find_map(|line| line.strip_prefix("llamacpp:tokens_predicted_total "));
    line.unwrap().trim().parse::<f64>().unwrap() as u64
}
