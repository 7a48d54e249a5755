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
    ChatCompletionMessageToolCall, ChatCompletionMessageToolCalls, ChatCompletionRequestAssistantMessage,
    ChatCompletionRequestMessage, ChatCompletionRequestToolMessage, ChatCompletionRequestUserMessage,
    ChatCompletionTool, ChatCompletionTools, CreateChatCompletionRequest, CreateChatCompletionRequestArgs,
    FunctionCall, FunctionObjectArgs,
};
use futures_util::StreamExt;
use modelswitch_deepseek::{DeepSeek, DeepSeekConfig, Policies, service};
use modelswitch_openai::{OpenAiErrorExt, ReasoningExt, Timeouts};
use modelswitch_provider::{ApiKey, ChatRequest, CompletionRequest, ErrorKind, Message, ProviderExt, Tool};
use modelswitch_sim::{Script, Sim};
use serde_json::json;

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
            ChatRequest::user("x").model("deepseek-v9"),
            ErrorKind::ModelNotFound,
            400,
            "deepseek-v9",
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

fn weather() -> Vec<ChatCompletionTools> {
    let function = FunctionObjectArgs::default()
        .name("weather")
        .parameters(json!({"type":"object","properties":{"place":{"type":"string"}},"required":["place"]}))
        .build()
        .unwrap();
    vec![ChatCompletionTools::Function(ChatCompletionTool { function })]
}

/// The tool's result, as an app on async-openai adds it: the answer's own message has no field for reasoning.
fn go_on(
    request: &mut CreateChatCompletionRequest,
    calls: Vec<ChatCompletionMessageToolCalls>,
    text: Option<String>,
) {
    let results: Vec<_> = calls
        .iter()
        .map(|call| {
            let ChatCompletionMessageToolCalls::Function(call) = call else { panic!("a function") };
            ChatCompletionRequestToolMessage { tool_call_id: call.id.clone(), content: "It rains.".into() }
                .into()
        })
        .collect();
    let said = ChatCompletionRequestAssistantMessage {
        content: text.map(Into::into),
        tool_calls: Some(calls),
        ..Default::default()
    };
    request.messages.push(said.into());
    request.messages.extend::<Vec<ChatCompletionRequestMessage>>(results);
}

#[tokio::test]
async fn a_tool_loop_works_through_async_openais_own_types() {
    let sim = Sim::start().await.unwrap();
    let client = service(deepseek(&sim)).client().unwrap();
    let mut request = ask("What's the weather in Paris and in Rome? both");
    request.tools = Some(weather());
    let first = client.chat().create(request.clone()).await.unwrap();
    let reasoning = first.reasoning_content().unwrap();
    let message = first.choices.into_iter().next().unwrap().message;
    go_on(&mut request, message.tool_calls.unwrap(), message.content);
    let second = client.chat().create(request.clone()).await.unwrap();
    assert!(second.choices[0].message.content.as_ref().unwrap().contains("It rains"));
    assert_eq!(sim.requests()[1].json()["messages"][1]["reasoning_content"], reasoning.as_str());

    // A turn that called nothing is known by its text.
    let second_reasoning = second.reasoning_content().unwrap();
    let answer = second.choices.into_iter().next().unwrap().message.content.unwrap();
    request.messages.push(
        ChatCompletionRequestAssistantMessage { content: Some(answer.into()), ..Default::default() }.into(),
    );
    request.messages.push(ChatCompletionRequestUserMessage::from("Thanks! no tools").into());
    client.chat().create(request).await.unwrap();
    let sent = sim.requests()[2].json();
    assert_eq!(
        sent["messages"].as_array().unwrap().iter().filter(|one| one["role"] == "assistant").count(),
        2
    );
    assert!(
        sent["messages"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["reasoning_content"] == second_reasoning.as_str())
    );
}

#[tokio::test]
async fn a_tool_loop_works_streamed_too() {
    let sim = Sim::start().await.unwrap();
    let client = service(deepseek(&sim)).client().unwrap();
    let mut request = ask("What's the weather in Paris?");
    request.tools = Some(weather());
    let mut chunks = client.chat().create_stream(request.clone()).await.unwrap();
    let (mut id, mut name, mut arguments) = (String::new(), String::new(), String::new());
    while let Some(chunk) = chunks.next().await {
        for piece in
            chunk.unwrap().choices.into_iter().flat_map(|choice| choice.delta.tool_calls.unwrap_or_default())
        {
            id += &piece.id.unwrap_or_default();
            let function = piece.function.unwrap_or_default();
            name += &function.name.unwrap_or_default();
            arguments += &function.arguments.unwrap_or_default();
        }
    }
    let call = ChatCompletionMessageToolCall { id, function: FunctionCall { name, arguments } };
    go_on(&mut request, vec![ChatCompletionMessageToolCalls::Function(call)], None);
    let mut chunks = client.chat().create_stream(request).await.unwrap();
    while let Some(chunk) = chunks.next().await {
        chunk.unwrap();
    }
    assert!(
        sim.requests()[1].json()["messages"][1]["reasoning_content"].as_str().unwrap().contains("simulated")
    );
}

#[tokio::test]
async fn without_a_memory_deepseek_gets_the_empty_text_and_without_help_its_400_stays_away() {
    let sim = Sim::start().await.unwrap();
    let client = service(deepseek(&sim).with_memory(None)).client().unwrap();
    let mut request = ask("What's the weather in Paris?");
    request.tools = Some(weather());
    let message =
        client.chat().create(request.clone()).await.unwrap().choices.into_iter().next().unwrap().message;
    go_on(&mut request, message.tool_calls.unwrap(), message.content);
    client.chat().create(request).await.unwrap();
    assert_eq!(sim.requests()[1].json()["messages"][1]["reasoning_content"], "");
}

#[tokio::test]
async fn apps_that_hard_code_a_retired_name_keep_running_and_are_told() {
    let sim = Sim::start().await.unwrap();
    for (name, thinks) in [("deepseek-chat", false), ("deepseek-reasoner", true)] {
        let reply = deepseek(&sim).chat(ChatRequest::user("hello").model(name)).await.unwrap();
        assert_eq!(reply.reasoning().is_some(), thinks, "{name}");
        assert!(reply.head.adaptations[0].change.contains("switched off"));
    }
    let strict = Policies { strict: true, ..Policies::default() };
    let error = deepseek(&sim)
        .with_policies(strict)
        .chat(ChatRequest::user("x").model("deepseek-chat"))
        .await
        .unwrap_err();
    assert_eq!((error.kind(), error.provider()), (ErrorKind::Unsupported, Some("deepseek")));
}

#[tokio::test]
async fn a_forced_tool_choice_works_although_thinking_is_on_by_default() {
    let sim = Sim::start().await.unwrap();
    let tool = Tool::function("weather", "", json!({"type":"object","properties":{}}));
    let request = ChatRequest::user("hello").tool(tool).set("tool_choice", "required");
    let reply = deepseek(&sim).chat(request).await.unwrap();
    assert_eq!((reply.tool_calls().len(), reply.reasoning()), (1, None));
}

#[tokio::test]
async fn prefixes_and_fill_in_the_middle_go_to_the_beta_by_themselves() {
    let sim = Sim::start().await.unwrap();
    let mut begun = Message::assistant("Once upon");
    begun.extra.insert("prefix".into(), true.into());
    deepseek(&sim).chat(ChatRequest::user("A story").message(begun)).await.unwrap();
    deepseek(&sim).complete(CompletionRequest::new("fn add(").set("suffix", "}")).await.unwrap();
    deepseek(&sim).ask("hello").await.unwrap();
    let paths: Vec<String> = sim.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/beta/chat/completions", "/beta/completions", "/chat/completions"]);
}

#[tokio::test]
async fn another_key_goes_to_every_base_and_the_old_one_keeps_its_own() {
    let sim = Sim::builder().any_key(true).start().await.unwrap();
    let old = deepseek(&sim);
    let new = old.with_key(ApiKey::new("sk-rotated").unwrap()).unwrap();
    new.chat("Hi").await.unwrap();
    new.balance().await.unwrap();
    let fim = CompletionRequest::new("def f(").suffix("return 1").model("deepseek-v4-pro");
    new.complete(fim).await.unwrap();
    old.chat("Still there?").await.unwrap();

    let requests = sim.requests();
    let keys: Vec<_> = requests.iter().map(|request| request.header("authorization").unwrap()).collect();
    let (own, rotated) = (format!("Bearer {}", sim.key()), "Bearer sk-rotated");
    assert_eq!(keys, [rotated, rotated, rotated, own.as_str()]);
}
