//! The adapter against a simulated DeepSeek on a real socket, through both of its doors.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails loudly"
)]

use std::time::Duration;

use async_openai::types::chat::{
    ChatCompletionRequestUserMessage, CreateChatCompletionRequest, CreateChatCompletionRequestArgs,
};
use futures_util::StreamExt;
use modelswitch_deepseek::{DeepSeek, DeepSeekConfig, service};
use modelswitch_openai::{OpenAiErrorExt, ReasoningExt, Timeouts};
use modelswitch_provider::{ApiKey, ChatRequest, ErrorKind, ProviderExt};
use modelswitch_sim::{Script, Sim};

fn deepseek(sim: &Sim) -> DeepSeek {
    let key = ApiKey::new(sim.key()).unwrap();
    let mut timeouts = Timeouts::default();
    timeouts.idle = Duration::from_millis(300);
    DeepSeek::connect(DeepSeek::builder().base_url(sim.base_url()).api_key(key).timeouts(timeouts)).unwrap()
}

fn ask(text: &str) -> CreateChatCompletionRequest {
    CreateChatCompletionRequestArgs::default()
        .model("deepseek-flash")
        .messages([ChatCompletionRequestUserMessage::from(text).into()])
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_chat_comes_back_with_its_reasoning_through_both_doors() {
    let sim = Sim::start().await.unwrap();
    let reply = deepseek(&sim).chat("9.11 or 9.8?").await.unwrap();
    assert!(reply.text().contains("9.8") && reply.reasoning().is_some());
    assert!(reply.head.request_id.is_some());

    let client = service(deepseek(&sim)).client().unwrap();
    let reply = client.chat().create(ask("9.11 or 9.8?")).await.unwrap();
    assert!(reply.reasoning_content().unwrap().contains("simulated"));
}

#[tokio::test]
async fn a_stream_comes_back_with_its_reasoning_through_both_doors() {
    let sim = Sim::builder().keep_alives(2).start().await.unwrap();
    let whole = deepseek(&sim).chat_stream("hello").await.unwrap().completion().await.unwrap();
    assert!(whole.text().contains("hello") && whole.reasoning().is_some() && whole.usage.is_some());

    let client = service(deepseek(&sim)).client().unwrap();
    let chunks: Vec<_> = client.chat().create_stream(ask("hello")).await.unwrap().collect().await;
    let reasoning: String =
        chunks.iter().filter_map(|chunk| chunk.as_ref().unwrap().reasoning_content()).collect();
    assert_eq!(Some(reasoning.as_str()), whole.reasoning());
}

#[tokio::test]
async fn the_models_are_listed_though_they_have_no_date() {
    let sim = Sim::start().await.unwrap();
    let models = deepseek(&sim).models().await.unwrap();
    assert!(models.iter().any(|model| model.id == "deepseek-flash"));
    let client = service(deepseek(&sim)).client().unwrap();
    assert_eq!(client.models().list().await.unwrap().data.len(), models.len());
}

#[tokio::test]
async fn every_error_has_its_kind_status_text_request_id_and_hint() {
    let sim = Sim::start().await.unwrap();
    for (request, kind, status, text, hint) in [
        (
            ChatRequest::user("[sim:402]"),
            ErrorKind::InsufficientBalance,
            402,
            "Insufficient Balance",
            "top up",
        ),
        (ChatRequest::user("[sim:429]"), ErrorKind::RateLimited, 429, "", "balance"),
        (ChatRequest::user("[sim:503]"), ErrorKind::Overloaded, 503, "too busy", "another provider"),
        (
            ChatRequest::user("x").model("deepseek-chat"),
            ErrorKind::ModelNotFound,
            400,
            "deepseek-chat",
            "deepseek-flash",
        ),
        (
            ChatRequest::user("[sim:context]"),
            ErrorKind::ContextLength,
            400,
            "maximum context length",
            "shorten",
        ),
        (ChatRequest::user("[sim:risk]"), ErrorKind::ContentFiltered, 400, "Content Exists Risk", "content"),
    ] {
        let error = deepseek(&sim).chat(request).await.unwrap_err();
        assert_eq!((error.kind(), error.status().unwrap().as_u16()), (kind, status), "{error}");
        assert!(error.message().contains(text), "{error}");
        assert!(error.hint().contains(hint), "{}", error.hint());
        assert!(error.request_id().is_some());
    }
    let wrong = DeepSeek::connect(
        DeepSeek::builder().base_url(sim.base_url()).api_key(ApiKey::new("sk-wrong-canary").unwrap()),
    );
    let error = wrong.unwrap().ask("x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(!format!("{error:?} {}", error.report()).contains("canary"));
}

#[tokio::test]
async fn retries_are_on_where_async_openais_own_would_have_been() {
    let sim = Sim::start().await.unwrap();
    let busy = || {
        Script::status(503).header("retry-after", "0").json(serde_json::json!({"error":{"message":"busy"}}))
    };
    sim.script(busy());
    sim.script(busy());
    let client = service(deepseek(&sim)).client().unwrap();
    assert!(client.chat().create(ask("hello")).await.is_ok());
    assert_eq!(sim.requests().len(), 3);
}

#[tokio::test]
async fn a_stream_that_stalls_or_is_cut_is_an_error_and_not_an_end() {
    let sim = Sim::start().await.unwrap();
    let client = service(deepseek(&sim)).client().unwrap();
    for (script, kind) in [
        (Script::normal().stall_after_events(6), ErrorKind::Timeout),
        (Script::normal().cut_after_events(6), ErrorKind::Interrupted),
        (Script::normal().end_after_events(6), ErrorKind::Interrupted),
    ] {
        sim.script(script);
        let chunks: Vec<_> = client.chat().create_stream(ask("hello")).await.unwrap().collect().await;
        let error = chunks.last().unwrap().as_ref().unwrap_err().provider_error().unwrap();
        assert_eq!(error.kind(), kind);
        assert_eq!(error.provider(), Some("deepseek"));
    }
}

#[tokio::test]
async fn the_bare_configuration_works_with_a_stock_client() {
    let sim = Sim::start().await.unwrap();
    let config =
        DeepSeekConfig::new(sim.key()).unwrap().with_base_url(format!("{}/", sim.base_url())).unwrap();
    let reply = async_openai::Client::with_config(config).chat().create(ask("hello")).await.unwrap();
    assert!(reply.choices[0].message.content.as_ref().unwrap().contains("hello"));
}
