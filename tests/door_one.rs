//! Door 1: unmodified async-openai code over simulated services on real sockets.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails loudly")]

use std::time::Duration;

use async_openai::config::{Config, OpenAIConfig};
use async_openai::error::OpenAIError;
use async_openai::types::audio::{
    AudioInput, CreateSpeechRequestArgs, CreateTranscriptionRequestArgs, SpeechModel, Voice,
};
use async_openai::types::chat::{
    ChatCompletionTool, ChatCompletionTools, CreateChatCompletionRequest, FunctionObjectArgs,
};
use async_openai::types::completions::CreateCompletionRequestArgs;
use async_openai::types::embeddings::{CreateEmbeddingRequest, CreateEmbeddingRequestArgs, EncodingFormat};
use async_openai::types::files::{CreateFileRequest, FileInput, FilePurpose};
use async_openai::types::responses::{CreateResponseArgs, ResponseStreamEvent};
use futures_util::StreamExt;
use http::HeaderMap;
use modelswitch::prelude::*;
use modelswitch::{ErrorKind, Extra};
use modelswitch_sim::Script;
use modelswitch_tests::{World, ask, world};
use secrecy::SecretString;
use serde_json::json;

/// All text and all reasoning of a stream, and its last error.
async fn stream(
    world: &World,
    request: CreateChatCompletionRequest,
) -> (String, String, Option<OpenAIError>) {
    let mut chunks = world.client().chat().create_stream(request).await.unwrap();
    let (mut text, mut reasoning, mut error) = (String::new(), String::new(), None);
    while let Some(chunk) = chunks.next().await {
        match chunk {
            Ok(chunk) => {
                reasoning += &chunk.reasoning_content().unwrap_or_default();
                for choice in chunk.choices {
                    text += &choice.delta.content.unwrap_or_default();
                }
            }
            Err(failure) => error = Some(failure),
        }
    }
    (text, reasoning, error)
}

#[tokio::test]
async fn one_call_reaches_either_provider_by_the_name_of_the_model_alone() {
    let world = world().await;
    for (model, sim) in [
        ("deepseek/deepseek-flash", &world.deepseek),
        ("fast", &world.deepseek),
        ("gpt-4o", &world.deepseek),
        ("deepseek-flash", &world.deepseek),
        ("other/sim-small", &world.other),
        ("small", &world.other),
    ] {
        let reply = world.client().chat().create(ask(model, "hello")).await.unwrap();
        assert!(reply.choices[0].message.content.as_ref().unwrap().contains("hello"), "{model}");
        let request = sim.requests().pop().unwrap();
        assert!(
            !request.path.contains("//") && request.path.ends_with("/chat/completions"),
            "{}",
            request.path
        );
        assert!(!request.json()["model"].as_str().unwrap().contains('/'));
        let (text, _, error) = stream(&world, ask(model, "hello")).await;
        assert!(text.contains("hello") && error.is_none(), "{model}");
    }
}

#[tokio::test]
async fn an_app_that_hard_codes_a_retired_name_keeps_running() {
    let world = world().await;
    let capture = world.registry.capture();
    let reply =
        world.client().chat().headers(capture.headers()).create(ask("deepseek-chat", "hello")).await.unwrap();
    assert_eq!(reply.reasoning_content(), None);
    assert!(capture.head().unwrap().adaptations[0].change.contains("switched off"));
}

#[tokio::test]
async fn reasoning_comes_through_async_openais_own_types_whole_and_in_pieces() {
    let world = world().await;
    let reply = world.client().chat().create(ask("fast", "hello")).await.unwrap();
    let whole = reply.reasoning_content().unwrap();
    let (_, pieces, _) = stream(&world, ask("fast", "hello")).await;
    assert!(whole.contains("simulated reasoning"));
    assert_eq!(whole, pieces);

    let plain = world.client().chat().create(ask("small", "hello")).await.unwrap();
    assert_eq!(plain.reasoning_content(), None);

    let off = world.registry.http_service().without_reasoning().client().unwrap();
    let reply = off.chat().create(ask("fast", "hello")).await.unwrap();
    assert_eq!((reply.reasoning_content(), reply.metadata), (None, None));
}

#[tokio::test]
async fn tool_calls_come_through_whole_and_in_pieces() {
    let world = world().await;
    let function = FunctionObjectArgs::default()
        .name("weather")
        .parameters(json!({"type":"object","properties":{"place":{"type":"string"}},"required":["place"]}))
        .build()
        .unwrap();
    let mut request = ask("fast", "What's the weather in Paris and in Rome? both");
    request.tools = Some(vec![ChatCompletionTools::Function(ChatCompletionTool { function })]);
    let reply = world.client().chat().create(request.clone()).await.unwrap();
    assert_eq!(reply.choices[0].message.tool_calls.as_ref().unwrap().len(), 2);
    let mut chunks = world.client().chat().create_stream(request).await.unwrap();
    let mut indices = std::collections::BTreeSet::new();
    while let Some(chunk) = chunks.next().await {
        for call in
            chunk.unwrap().choices.into_iter().flat_map(|choice| choice.delta.tool_calls.unwrap_or_default())
        {
            indices.insert(call.index);
        }
    }
    assert_eq!(indices, [0, 1].into());
}

#[tokio::test]
async fn a_capture_tells_who_answered_at_which_try_and_what_was_changed() {
    let world = world().await;
    world.deepseek.script(Script::status(503).json(json!({"error":{"message":"busy"}})));
    let capture = world.registry.capture();
    let mut request = ask("fast", "hello");
    request.max_completion_tokens = Some(200);
    world.client().chat().headers(capture.headers()).create(request).await.unwrap();

    let head = capture.head().unwrap();
    assert_eq!((head.provider.as_deref(), head.model.as_deref()), (Some("deepseek"), Some("deepseek-flash")));
    assert_eq!((head.attempts(), head.failures[0].kind), (2, ErrorKind::Overloaded));
    assert!(head.request_id.is_some() && head.headers.contains_key("x-ds-trace-id"));
    assert_eq!(head.adaptations[0].parameter, "max_completion_tokens");
    assert!(capture.usage().unwrap().extra.contains_key("prompt_cache_hit_tokens"));

    let sent = world.deepseek.requests().pop().unwrap();
    assert_eq!(sent.json()["max_tokens"], 200);
    assert!(
        sent.headers.keys().all(|name| !name.as_str().starts_with("x-modelswitch")),
        "{:?}",
        sent.headers
    );
}

#[tokio::test]
async fn a_capture_tells_of_a_stream_and_of_what_broke_it() {
    let world = world().await;
    let capture = world.registry.capture();
    let mut chunks =
        world.client().chat().headers(capture.headers()).create_stream(ask("fast", "hello")).await.unwrap();
    assert_eq!(capture.head().unwrap().provider.as_deref(), Some("deepseek"));
    while chunks.next().await.is_some() {}
    assert!(capture.usage().unwrap().total_tokens > 0);
    assert!(capture.error().is_none());

    world.deepseek.script(Script::normal().cut_after_events(8));
    let mut chunks =
        world.client().chat().headers(capture.headers()).create_stream(ask("fast", "hello")).await.unwrap();
    while chunks.next().await.is_some() {}
    assert_eq!(capture.error().unwrap().kind(), ErrorKind::Interrupted);
}

#[tokio::test]
async fn a_client_that_was_built_for_openai_is_taken_over_and_nothing_of_it_leaks() {
    let world = world().await;
    let config = OpenAIConfig::new()
        .with_api_base("https://api.openai.com/v1/")
        .with_api_key("sk-canary-openai")
        .with_org_id("org-canary")
        .with_project_id("proj-canary")
        .with_header("x-api-key", "canary-header")
        .unwrap()
        .with_header("x-team", "blue")
        .unwrap();
    let client = world.registry.wrap(async_openai::Client::with_config(config));
    client.chat().create(ask("fast", "hello")).await.unwrap();
    let sent = world.deepseek.requests().pop().unwrap();
    assert_eq!(sent.path, "/chat/completions");
    assert_eq!(sent.header("x-team"), Some("blue"));
    assert_eq!(sent.header("authorization"), Some(format!("Bearer {}", world.deepseek.key()).as_str()));
    assert!(
        !format!("{:?}", sent.headers.iter().map(|(n, v)| format!("{n}{v:?}")).collect::<Vec<_>>())
            .contains("canary")
    );
}

/// The configuration of a service that takes its key in the query.
#[derive(Clone)]
struct KeyInQuery(OpenAIConfig);

impl Config for KeyInQuery {
    fn headers(&self) -> HeaderMap {
        self.0.headers()
    }
    fn url(&self, path: &str) -> String {
        self.0.url(path)
    }
    fn query(&self) -> Vec<(&str, &str)> {
        vec![("key", "canary-query")]
    }
    fn api_base(&self) -> &str {
        self.0.api_base()
    }
    fn api_key(&self) -> &SecretString {
        self.0.api_key()
    }
}

#[tokio::test]
async fn a_key_in_the_query_of_a_client_stays_at_home_too() {
    let world = world().await;
    let config = KeyInQuery(OpenAIConfig::new().with_api_base("https://x.example/v1").with_api_key("k"));
    world
        .registry
        .wrap(async_openai::Client::with_config(config))
        .chat()
        .create(ask("fast", "hello"))
        .await
        .unwrap();
    assert_eq!(world.deepseek.requests()[0].path, "/chat/completions");
}

#[tokio::test]
async fn every_other_endpoint_and_kind_of_body_goes_through() {
    let world = world().await;
    let client = world.client();

    let embed = CreateEmbeddingRequestArgs::default()
        .model("other/sim-embedding")
        .input(["red", "blue"])
        .build()
        .unwrap();
    assert_eq!(client.embeddings().create(embed.clone()).await.unwrap().data.len(), 2);
    let packed = CreateEmbeddingRequest { encoding_format: Some(EncodingFormat::Base64), ..embed };
    assert_eq!(client.embeddings().create_base64(packed).await.unwrap().data.len(), 2);

    let complete = CreateCompletionRequestArgs::default().model("small").prompt("Once").build().unwrap();
    assert!(!client.completions().create(complete.clone()).await.unwrap().choices[0].text.is_empty());
    let pieces: Vec<_> = client.completions().create_stream(complete).await.unwrap().collect().await;
    assert!(pieces.iter().all(Result::is_ok) && !pieces.is_empty());

    let transcribe = CreateTranscriptionRequestArgs::default()
        .model("small")
        .file(AudioInput::from_vec_u8("a.wav".into(), b"RIFFxxxx".to_vec()))
        .build()
        .unwrap();
    let heard = client.audio().transcription().create(transcribe).await.unwrap();
    assert!(heard.text.contains("a.wav"), "{}", heard.text);

    let speak = CreateSpeechRequestArgs::default()
        .model(SpeechModel::Other("small".into()))
        .input("hello")
        .voice(Voice::Alloy)
        .build()
        .unwrap();
    assert!(!client.audio().speech().create(speak).await.unwrap().bytes.is_empty());

    let at_other: HeaderMap =
        [("x-modelswitch-provider".parse().unwrap(), "other".parse().unwrap())].into_iter().collect();
    let upload = CreateFileRequest {
        file: FileInput::from_vec_u8("a.txt".into(), b"text".to_vec()),
        purpose: FilePurpose::UserData,
        expires_after: None,
    };
    let file = client.files().headers(at_other.clone()).create(upload).await.unwrap();
    assert!(
        client
            .files()
            .headers(at_other.clone())
            .list()
            .await
            .unwrap()
            .data
            .iter()
            .any(|one| one.id == file.id)
    );
    assert!(client.files().headers(at_other).delete(&file.id).await.unwrap().deleted);

    let respond = CreateResponseArgs::default().model("small").input("hello").build().unwrap();
    assert!(!client.responses().create(respond.clone()).await.unwrap().output.is_empty());
    let events: Vec<_> = client.responses().create_stream(respond).await.unwrap().collect().await;
    assert!(
        matches!(events.last(), Some(Ok(ResponseStreamEvent::ResponseCompleted(_)))),
        "{:?}",
        events.last()
    );
}

#[tokio::test]
async fn the_models_of_all_providers_are_listed_with_the_aliases() {
    let world = world().await;
    let ids: Vec<String> =
        world.client().models().list().await.unwrap().data.into_iter().map(|model| model.id).collect();
    for id in ["fast", "gpt-4o", "small", "deepseek/deepseek-flash", "other/sim-small"] {
        assert!(ids.iter().any(|one| one == id), "{id} in {ids:?}");
    }
}

#[tokio::test]
async fn an_unknown_model_is_an_error_that_names_the_near_ones_and_nothing_is_sent() {
    let world = world().await;
    let error = world.client().chat().create(ask("fsat", "hello")).await.unwrap_err();
    let OpenAIError::ApiError(api) = &error else { panic!("{error:?}") };
    assert_eq!(api.status_code.as_u16(), 404);
    assert!(api.api_error.message.contains("did you mean `fast`?"), "{error}");
    assert_eq!(error.provider_error().unwrap().kind(), ErrorKind::ModelNotFound);
    assert!(world.deepseek.requests().is_empty() && world.other.requests().is_empty());
}

#[tokio::test]
async fn fields_that_the_type_lacks_go_along_and_their_header_does_not() {
    let world = world().await;
    let quick = Extra::new().set("thinking", json!({"type":"disabled"})).headers().unwrap();
    let reply = world.client().chat().headers(quick).create(ask("fast", "hello")).await.unwrap();
    assert_eq!(reply.reasoning_content(), None);
    let sent = world.deepseek.requests().pop().unwrap();
    assert_eq!(sent.json()["thinking"]["type"], "disabled");
    assert!(sent.header("x-modelswitch-extra").is_none());
}

#[tokio::test]
async fn errors_carry_the_true_status_and_give_back_ours() {
    let world = world().await;
    for (text, status, kind) in [
        ("[sim:402]", 402, ErrorKind::InsufficientBalance),
        ("[sim:429]", 429, ErrorKind::RateLimited),
        ("[sim:500]", 500, ErrorKind::Upstream),
        ("[sim:503]", 503, ErrorKind::Overloaded),
    ] {
        let error = world.client().chat().create(ask("fast", text)).await.unwrap_err();
        let OpenAIError::ApiError(api) = &error else { panic!("{error:?}") };
        assert_eq!(api.status_code.as_u16(), status);
        let ours = error.provider_error().unwrap();
        assert_eq!(
            (ours.kind(), ours.provider(), ours.model()),
            (kind, Some("deepseek"), Some("deepseek-flash"))
        );
        assert!(ours.request_id().is_some());
        assert_eq!(ours.attempts(), if kind == ErrorKind::InsufficientBalance { 1 } else { 4 }, "{kind}");
    }
}

#[tokio::test]
async fn dropping_a_stream_closes_the_connection_to_the_service_at_once() {
    let world = world().await;
    world.deepseek.script(Script::normal().stall_after_events(8));
    let mut chunks = world.client().chat().create_stream(ask("fast", "hello")).await.unwrap();
    chunks.next().await.unwrap().unwrap();
    assert_eq!(world.deepseek.open_responses(), 1);
    drop(chunks);
    assert!(world.deepseek.wait_idle(Duration::from_secs(60)).await);
}
