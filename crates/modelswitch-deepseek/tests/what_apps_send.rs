//! What apps written for OpenAI send and expect, over a simulated DeepSeek on a real socket, through both doors.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails loudly"
)]
#![allow(deprecated, reason = "functions are what apps of before tools send")]

use async_openai::traits::RequestOptionsBuilder;
use async_openai::types::chat::{
    ChatCompletionFunctions, ChatCompletionRequestAssistantMessage, ChatCompletionRequestFunctionMessage,
    ChatCompletionRequestMessage, ChatCompletionRequestUserMessage, ChatCompletionStreamOptions,
    ChatCompletionTool, ChatCompletionTools, CreateChatCompletionRequest, CreateChatCompletionRequestArgs,
    FinishReason as OpenAiFinish, FunctionCall, FunctionObjectArgs, ResponseFormat, ResponseFormatJsonSchema,
};
use async_openai::types::responses::{CreateResponseArgs, ResponseStreamEvent};
use futures_util::StreamExt;
use modelswitch_deepseek::{
    BrokenOff, DeepSeek, DeepSeekParameters, EmptyAnswer, JsonSchema, Policies, SchemaMismatch, Thinking,
    prefix, service, strict_function,
};
use modelswitch_openai::{Client, Extra, OpenAiErrorExt, ReasoningExt};
use modelswitch_provider::{
    ApiKey, ChatRequest, Error, ErrorKind, FinishReason, Message, Provider, ProviderExt, Request,
};
use modelswitch_sim::{Script, Sim};
use serde_json::{Value, json};

fn deepseek(sim: &Sim) -> DeepSeek {
    let key = ApiKey::new(sim.key()).unwrap();
    DeepSeek::connect(DeepSeek::builder().base_url(sim.base_url()).api_key(key)).unwrap()
}

fn with(sim: &Sim, policies: Policies) -> DeepSeek {
    deepseek(sim).with_policies(policies)
}

fn client(llm: DeepSeek) -> Client {
    service(llm).client().unwrap()
}

fn ask(text: &str) -> CreateChatCompletionRequest {
    CreateChatCompletionRequestArgs::default()
        .model("deepseek-flash")
        .messages([ChatCompletionRequestUserMessage::from(text).into()])
        .build()
        .unwrap()
}

/// The joined text of a stream, its finish reason, and the error that it ended with.
async fn stream(
    client: &Client,
    request: CreateChatCompletionRequest,
) -> (String, Option<OpenAiFinish>, Option<Error>) {
    let mut chunks = client.chat().create_stream(request).await.unwrap();
    let (mut text, mut finish, mut error) = (String::new(), None, None);
    while let Some(chunk) = chunks.next().await {
        match chunk {
            Ok(chunk) => {
                for choice in chunk.choices {
                    text += &choice.delta.content.unwrap_or_default();
                    finish = choice.finish_reason.or(finish);
                }
            }
            Err(failure) => error = failure.provider_error(),
        }
    }
    (text, finish, error)
}

fn city() -> Value {
    json!({"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false})
}

fn ask_for_city() -> CreateChatCompletionRequest {
    let mut request = ask("Where is the Louvre?");
    request.response_format = Some(ResponseFormat::JsonSchema {
        json_schema: ResponseFormatJsonSchema {
            name: "city".to_owned(),
            description: None,
            schema: city(),
            strict: Some(true),
        },
    });
    request
}

fn says(content: &str) -> Value {
    json!({"id":"1","object":"chat.completion","created":1,"model":"deepseek-flash",
        "choices":[{"index":0,"message":{"role":"assistant","content":content},"logprobs":null,"finish_reason":"stop"}]})
}

fn streams(content: &str, finish: &str) -> Script {
    let chunk = |delta: Value, finish: Value| {
        json!({"id":"1","object":"chat.completion.chunk","created":1,"model":"deepseek-flash",
            "choices":[{"index":0,"delta":delta,"logprobs":null,"finish_reason":finish}]})
        .to_string()
    };
    Script::sse([
        chunk(json!({"role":"assistant","content":""}), Value::Null),
        chunk(json!({"content":content}), Value::Null),
        chunk(json!({"content":""}), finish.into()),
        "[DONE]".to_owned(),
    ])
}

#[tokio::test]
async fn an_answer_follows_the_schema_that_async_openai_asked_for_or_is_an_error_that_says_where() {
    let sim = Sim::start().await.unwrap();
    let client = client(deepseek(&sim));
    sim.script(Script::status(200).json(says(r#"{"city":"Paris"}"#)));
    let reply = client.chat().create(ask_for_city()).await.unwrap();
    assert_eq!(reply.choices[0].message.content.as_deref(), Some(r#"{"city":"Paris"}"#));
    let sent = sim.requests()[0].json();
    assert_eq!(sent["response_format"], json!({"type":"json_object"}));
    assert!(sent["messages"][0]["content"].as_str().unwrap().contains(r#""required":["city"]"#));

    // A model that erred once may not err again: it is asked twice.
    sim.clear_requests();
    sim.script(Script::status(200).json(says(r#"{"town":"Paris"}"#)));
    sim.script(Script::status(200).json(says(r#"{"city":"Paris"}"#)));
    assert!(client.chat().create(ask_for_city()).await.is_ok());
    assert_eq!(sim.requests().len(), 2);

    for _ in 0..2 {
        sim.script(Script::status(200).json(says("It is in Paris.")));
    }
    let error = client.chat().create(ask_for_city()).await.unwrap_err().provider_error().unwrap();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Decode, Some(SchemaMismatch::CODE)));
    assert!(!format!("{error} {}", error.report()).contains("Paris"));
}

#[tokio::test]
async fn the_mismatch_is_typed_at_door_two_and_the_answer_is_there_for_whoever_wants_it() {
    let sim = Sim::start().await.unwrap();
    sim.script(Script::status(200).json(says(r#"{"city":7}"#)));
    let request = ChatRequest::user("Where?")
        .set("response_format", json!({"type":"json_schema","json_schema":{"name":"city","schema":city()}}));
    let error = deepseek(&sim).chat(request).await.unwrap_err();
    let problems = SchemaMismatch::of(&error).unwrap().problems().to_vec();
    assert_eq!((problems.len(), problems[0].path.as_str()), (1, "/city"));
    assert!(String::from_utf8_lossy(error.upstream_body().unwrap()).contains("city"));
    assert!(error.request_id().is_some() && error.provider() == Some("deepseek"));
}

#[tokio::test]
async fn a_streamed_answer_is_checked_when_it_is_whole_and_a_cut_one_is_not() {
    let sim = Sim::start().await.unwrap();
    let client = client(deepseek(&sim));
    for (content, finish, code) in [
        (r#"{"city":"Paris"}"#, "stop", None),
        (r#"{"town":"Paris"}"#, "stop", Some(SchemaMismatch::CODE)),
        (r#"{"city":"Par"#, "length", None),
    ] {
        sim.script(streams(content, finish));
        let (text, _, error) = stream(&client, ask_for_city()).await;
        assert_eq!(text, content);
        assert_eq!(error.as_ref().and_then(Error::code), code);
    }
}

#[tokio::test]
async fn a_strict_tool_on_the_beta_answers_as_if_it_were_text() {
    let sim = Sim::start().await.unwrap();
    let llm = with(&sim, Policies { json_schema: JsonSchema::StrictTool, ..Policies::default() });
    let client = client(llm.clone());
    let reply = client.chat().create(ask_for_city()).await.unwrap();
    let answer: Value = serde_json::from_str(reply.choices[0].message.content.as_deref().unwrap()).unwrap();
    assert!(answer["city"].is_string());
    assert_eq!(reply.choices[0].finish_reason, Some(OpenAiFinish::Stop));
    assert!(reply.choices[0].message.tool_calls.is_none());
    assert_eq!(sim.requests()[0].path, "/beta/chat/completions");

    let (text, finish, error) = stream(&client, ask_for_city()).await;
    assert_eq!((serde_json::from_str::<Value>(&text).unwrap(), finish), (answer, Some(OpenAiFinish::Stop)));
    assert!(error.is_none());
}

#[tokio::test]
async fn an_app_of_before_tools_calls_functions() {
    let sim = Sim::start().await.unwrap();
    let client = client(deepseek(&sim));
    let mut request = ask("What's the weather in Paris?");
    request.functions = Some(vec![ChatCompletionFunctions {
        name: "weather".to_owned(),
        description: None,
        parameters: json!({"type":"object","properties":{"place":{"type":"string"}},"required":["place"]}),
    }]);
    let reply = client.chat().create(request.clone()).await.unwrap();
    let thought = reply.reasoning_content().unwrap();
    let message = reply.choices.into_iter().next().unwrap();
    assert_eq!(message.finish_reason, Some(OpenAiFinish::FunctionCall));
    let call = message.message.function_call.unwrap();
    assert_eq!((call.name.as_str(), message.message.tool_calls), ("weather", None));
    assert!(call.arguments.contains("Paris"));

    // The same in pieces.
    let mut chunks = client.chat().create_stream(request.clone()).await.unwrap();
    let (mut name, mut arguments, mut finish) = (String::new(), String::new(), None);
    while let Some(chunk) = chunks.next().await {
        for choice in chunk.unwrap().choices {
            finish = choice.finish_reason.or(finish);
            let piece = choice.delta.function_call.unwrap_or_default();
            name += &piece.name.unwrap_or_default();
            arguments += &piece.arguments.unwrap_or_default();
            assert!(choice.delta.tool_calls.is_none());
        }
    }
    assert_eq!(
        (name, arguments, finish),
        (call.name.clone(), call.arguments.clone(), Some(OpenAiFinish::FunctionCall))
    );

    // The result goes back, and with it what was thought, which the types have no field for.
    let called = ChatCompletionRequestAssistantMessage {
        function_call: Some(FunctionCall { name: call.name, arguments: call.arguments }),
        ..Default::default()
    };
    let result = ChatCompletionRequestFunctionMessage {
        content: Some("It rains.".to_owned()),
        name: "weather".to_owned(),
    };
    request.messages.extend::<[ChatCompletionRequestMessage; 2]>([called.into(), result.into()]);
    let reply = client.chat().create(request).await.unwrap();
    assert!(reply.choices[0].message.content.as_ref().unwrap().contains("It rains."));
    assert_eq!(sim.requests()[2].json()["messages"][1]["reasoning_content"], thought.as_str());
}

#[tokio::test]
async fn an_answer_that_was_broken_off_is_an_error_or_by_choice_a_finish_reason() {
    let sim = Sim::start().await.unwrap();
    let lenient = Policies { broken_off: BrokenOff::FinishReason, ..Policies::default() };
    for (word, kind) in
        [("insufficient_system_resource", ErrorKind::Overloaded), ("aborted", ErrorKind::Interrupted)]
    {
        let mut whole = says("half");
        whole["choices"][0]["finish_reason"] = word.into();
        sim.script(Script::status(200).json(whole.clone()));
        assert_eq!(deepseek(&sim).ask("x").await.unwrap_err().kind(), kind);
        sim.script(streams("half", word));
        let failed = deepseek(&sim).chat_stream("x").await.unwrap().completion().await.unwrap_err();
        assert_eq!((failed.kind(), failed.code()), (kind, Some(word)));

        sim.script(Script::status(200).json(whole));
        let reply = with(&sim, lenient).chat("x").await.unwrap();
        assert_eq!((reply.text().as_str(), reply.finish_reason()), ("half", Some(&FinishReason::Length)));
        assert_eq!(reply.choices[0].extra["native_finish_reason"], word);
        sim.script(streams("half", word));
        let (text, finish, error) = stream(&client(with(&sim, lenient)), ask("x")).await;
        assert_eq!((text.as_str(), finish, error.is_none()), ("half", Some(OpenAiFinish::Length), true));
    }
}

#[tokio::test]
async fn an_empty_answer_is_one_or_by_choice_an_error_that_is_tried_again() {
    let sim = Sim::start().await.unwrap();
    let off = || ChatRequest::user("[sim:empty]").thinking(Thinking::Off);
    assert_eq!(deepseek(&sim).chat(off()).await.unwrap().text(), "");
    let picky = Policies { empty_answer: EmptyAnswer::Error, ..Policies::default() };
    let error = with(&sim, picky).chat(off()).await.unwrap_err();
    assert!(
        (error.kind(), error.is_retryable()) == (ErrorKind::Decode, true) && error.request_id().is_some()
    );
    let error = with(&sim, picky).chat_stream(off()).await.unwrap().completion().await.unwrap_err();
    assert_eq!(error.code(), Some("empty_answer"));

    sim.clear_requests();
    let client = client(with(&sim, picky));
    let quiet = Extra::new().thinking(Thinking::Off).headers().unwrap();
    assert!(client.chat().headers(quiet.clone()).create(ask("[sim:empty]")).await.is_err());
    assert_eq!(sim.requests().len(), 2);
    // In a stream too, as long as nothing was handed on.
    sim.clear_requests();
    assert!(client.chat().headers(quiet.clone()).create_stream(ask("[sim:empty]")).await.is_err());
    assert_eq!(sim.requests().len(), 2);
    // A call of a tool is something.
    let mut request = ask("What's the weather in Paris?");
    request.tools = Some(vec![weather()]);
    assert!(client.chat().create(request).await.is_ok());
}

fn weather() -> ChatCompletionTools {
    let function = FunctionObjectArgs::default()
        .name("weather")
        .parameters(json!({"type":"object","properties":{"place":{"type":"string"}},"required":["place"]}))
        .build()
        .unwrap();
    ChatCompletionTools::Function(ChatCompletionTool { function })
}

#[tokio::test]
async fn after_a_restart_an_app_attaches_what_was_thought() {
    let sim = Sim::start().await.unwrap();
    let mut request = ask("What's the weather in Paris?");
    request.tools = Some(vec![weather()]);
    let first = client(deepseek(&sim)).chat().create(request.clone()).await.unwrap();
    let thought = first.reasoning_content().unwrap();
    let message = first.choices.into_iter().next().unwrap().message;
    let said = ChatCompletionRequestAssistantMessage {
        tool_calls: message.tool_calls.clone(),
        ..Default::default()
    };
    request.messages.push(said.into());
    let async_openai::types::chat::ChatCompletionMessageToolCalls::Function(call) =
        &message.tool_calls.unwrap()[0]
    else {
        panic!("a function")
    };
    let result = async_openai::types::chat::ChatCompletionRequestToolMessage {
        tool_call_id: call.id.clone(),
        content: "It rains.".into(),
    };
    request.messages.push(result.into());

    // Another process: nothing is remembered there.
    let attached = Extra::new().reasoning_content(1, thought.clone()).headers().unwrap();
    client(deepseek(&sim)).chat().headers(attached).create(request).await.unwrap();
    let sent = sim.requests()[1].json();
    assert_eq!(sent["messages"][1]["reasoning_content"], thought.as_str());
    assert!(sent.get("modelswitch_reasoning").is_none());
}

#[tokio::test]
async fn what_deepseek_cannot_do_is_refused_before_any_request() {
    let sim = Sim::start().await.unwrap();
    let llm = deepseek(&sim);
    let image = json!([{"type":"image_url","image_url":{"url":"https://x.example/a.png"}}]);
    let mut several = ask("x");
    several.n = Some(2);
    let error = client(llm.clone()).chat().create(several).await.unwrap_err().provider_error().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    for body in [
        json!({"model":"deepseek-v4-pro","messages":[{"role":"user","content":image}]}),
        json!({"model":"deepseek-flash","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"","format":"wav"}}]}]}),
    ] {
        let error = llm.send(Request::chat(&body).unwrap()).await.unwrap_err();
        assert_eq!((error.kind(), error.provider()), (ErrorKind::Unsupported, Some("deepseek")));
    }
    assert!(sim.requests().is_empty());
    let seen = json!({"model":"deepseek-flash","messages":[{"role":"user","content":image}]});
    assert!(llm.send(Request::chat(&seen).unwrap()).await.is_ok());
}

#[tokio::test]
async fn what_has_no_effect_is_told_on_the_head() {
    let sim = Sim::start().await.unwrap();
    let reply = deepseek(&sim).chat(ChatRequest::user("x").temperature(0.3).set("seed", 7)).await.unwrap();
    let told: Vec<&str> = reply.head.adaptations.iter().map(|one| one.parameter.as_str()).collect();
    assert_eq!(told, ["temperature", "seed"]);
    let strict = Policies { strict: true, ..Policies::default() };
    let error = with(&sim, strict).chat(ChatRequest::user("x").temperature(0.3)).await.unwrap_err();
    assert_eq!(error.param(), Some("temperature"));
}

#[tokio::test]
async fn one_call_can_have_policies_of_its_own() {
    let sim = Sim::start().await.unwrap();
    let mut request = ChatRequest::user("x").model("deepseek-chat").into_request().unwrap();
    request.extensions.insert(Policies { strict: true, ..Policies::default() });
    let error = deepseek(&sim).send(request).await.unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::Unsupported, Some("model")));
}

#[tokio::test]
async fn usage_comes_with_a_stream_whether_it_was_asked_for_or_not() {
    let sim = Sim::start().await.unwrap();
    let client = client(deepseek(&sim));
    for include_usage in [None, Some(true)] {
        let mut request = ask("hello");
        request.stream_options = include_usage.map(|include| ChatCompletionStreamOptions {
            include_usage: Some(include),
            ..Default::default()
        });
        let chunks: Vec<_> = client.chat().create_stream(request).await.unwrap().collect().await;
        let usage =
            chunks.iter().filter_map(|chunk| chunk.as_ref().unwrap().usage.as_ref()).next_back().unwrap();
        assert_eq!(usage.prompt_tokens + usage.completion_tokens, usage.total_tokens);
        assert!(usage.completion_tokens_details.as_ref().unwrap().reasoning_tokens.unwrap() > 0);
    }
}

#[tokio::test]
async fn log_probabilities_of_thoughts_are_kept_at_door_two_and_disturb_nobody_at_door_one() {
    let sim = Sim::start().await.unwrap();
    let request = ChatRequest::user("hello").set("logprobs", true).set("top_logprobs", 1);
    let whole = deepseek(&sim).chat_stream(request.clone()).await.unwrap().completion().await.unwrap();
    let logprobs = &whole.choices[0].extra["logprobs"];
    assert!(logprobs["reasoning_content"].as_array().unwrap().len() > 1);
    assert!(logprobs["content"].as_array().unwrap().len() > 1);
    let unary = deepseek(&sim).chat(request).await.unwrap();
    assert_eq!(&unary.choices[0].extra["logprobs"], logprobs);

    let mut request = ask("hello");
    request.logprobs = Some(true);
    let chunks: Vec<_> = client(deepseek(&sim)).chat().create_stream(request).await.unwrap().collect().await;
    let has_logprobs = |chunk: &async_openai::types::chat::CreateChatCompletionStreamResponse| {
        chunk
            .choices
            .iter()
            .any(|choice| choice.logprobs.as_ref().is_some_and(|logprobs| logprobs.content.is_some()))
    };
    assert!(chunks.iter().any(|chunk| has_logprobs(chunk.as_ref().unwrap())));
}

#[tokio::test]
async fn a_call_that_was_cut_off_says_so_and_keeps_what_came() {
    let sim = Sim::start().await.unwrap();
    let client = client(deepseek(&sim));
    let mut request = ask("What's the weather in Paris?");
    request.tools = Some(vec![weather()]);
    request.max_completion_tokens = Some(3);
    let quiet = Extra::new().thinking(Thinking::Off).headers().unwrap();
    let reply = client.chat().headers(quiet.clone()).create(request.clone()).await.unwrap();
    assert_eq!(reply.choices[0].finish_reason, Some(OpenAiFinish::Length));
    assert_eq!(sim.requests()[0].json()["max_tokens"], 3);
    let (_, finish, error) = stream(&client, request).await;
    assert_eq!((finish, error.is_none()), (Some(OpenAiFinish::Length), true));
}

#[tokio::test]
async fn the_typed_helpers_reach_the_beta() {
    let sim = Sim::start().await.unwrap();
    let llm = deepseek(&sim);
    llm.chat(ChatRequest::user("A story").message(prefix("Once upon"))).await.unwrap();
    llm.chat(ChatRequest::user("Weather in Paris?").tool(strict_function("weather", "", city())))
        .await
        .unwrap();
    llm.chat(ChatRequest::user("x").message(Message::assistant("y")).message(Message::user("z")))
        .await
        .unwrap();
    let paths: Vec<String> = sim.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/beta/chat/completions", "/beta/chat/completions", "/chat/completions"]);
}

#[tokio::test]
async fn the_responses_endpoint_works_through_async_openais_own_types_without_a_terminator() {
    let sim = Sim::start().await.unwrap();
    let client = client(deepseek(&sim));
    let request = CreateResponseArgs::default().model("deepseek-reasoner").input("hello").build().unwrap();
    let reply = client.responses().create(request.clone()).await.unwrap();
    assert!(reply.output_text().unwrap().contains("hello"));
    assert_eq!(sim.requests()[0].json()["model"], "deepseek-flash");
    let events: Vec<_> = client.responses().create_stream(request).await.unwrap().collect().await;
    assert!(matches!(events.last(), Some(Ok(ResponseStreamEvent::ResponseCompleted(_)))));
    let reasons =
        events.iter().any(|event| matches!(event, Ok(ResponseStreamEvent::ResponseReasoningTextDelta(_))));
    assert!(reasons);

    sim.clear_requests();
    let stateful = CreateResponseArgs::default()
        .model("deepseek-flash")
        .input("x")
        .previous_response_id("r")
        .build()
        .unwrap();
    let error = client.responses().create(stateful).await.unwrap_err().provider_error().unwrap();
    assert_eq!((error.kind(), error.param()), (ErrorKind::Unsupported, Some("previous_response_id")));
    assert!(sim.requests().is_empty());
}

#[tokio::test]
async fn a_retired_name_is_put_right_wherever_it_stands() {
    let sim = Sim::start().await.unwrap();
    let key = ApiKey::new(sim.key()).unwrap();
    let builder = DeepSeek::builder().base_url(sim.base_url()).api_key(key).default_model("deepseek-chat");
    let llm = DeepSeek::connect(builder).unwrap();
    assert_eq!(llm.chat("hello").await.unwrap().reasoning(), None);
    llm.complete(modelswitch_provider::CompletionRequest::new("fn f(").model("deepseek-chat")).await.unwrap();
    for request in sim.requests() {
        assert_eq!(request.json()["model"], "deepseek-flash", "{}", request.path);
    }
    assert!(sim.requests()[1].json().get("thinking").is_none());
}

/// Counts warnings.
#[derive(Clone, Default)]
struct Warnings(std::sync::Arc<std::sync::atomic::AtomicUsize>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN && metadata.target().starts_with("modelswitch")
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn a_retired_name_is_warned_of_once_and_told_each_time() {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let sim = Sim::start().await.unwrap();
    let llm = deepseek(&sim);
    for name in ["deepseek-chat", "deepseek-reasoner", "deepseek-chat"] {
        let reply = llm.chat(ChatRequest::user("hello").model(name)).await.unwrap();
        assert!(reply.head.adaptations[0].change.contains(name));
    }
    // Once for each name.
    assert_eq!(warnings.0.load(std::sync::atomic::Ordering::Relaxed), 2);
}

/// A request as an app sends it, whether DeepSeek itself takes it, and a place of what is sent with what stands there.
struct Sent {
    body: Value,
    taken_raw: bool,
    place: &'static str,
    value: Value,
}

fn requests() -> Vec<Sent> {
    let user = |content: Value| json!([{"role":"user","content":content}]);
    let hello = || user(json!("hello"));
    let with = |extra: Value| {
        let mut body = json!({"messages":hello()});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    let weather = |parameters: Value| json!([{"type":"function","function":{"name":"weather","parameters":parameters}}]);
    let object = || json!({"type":"object","properties":{}});
    let sent = |body: Value, taken_raw: bool, place: &'static str, value: Value| Sent {
        body,
        taken_raw,
        place,
        value,
    };
    vec![
        sent(
            json!({"messages":user(json!([{"type":"text","text":"a"},{"type":"text","text":"b"}]))}),
            true,
            "/messages/0/content",
            json!("a\nb"),
        ),
        sent(
            json!({"messages":[{"role":"developer","content":"x"},{"role":"user","content":"y"}]}),
            false,
            "/messages/0/role",
            json!("system"),
        ),
        sent(with(json!({"reasoning_effort":"none"})), true, "/thinking/type", json!("disabled")),
        sent(with(json!({"reasoning_effort":"minimal"})), true, "/reasoning_effort", json!("low")),
        sent(with(json!({"reasoning_effort":"low"})), true, "/reasoning_effort", json!("low")),
        sent(with(json!({"reasoning_effort":"medium"})), true, "/reasoning_effort", json!("high")),
        sent(with(json!({"reasoning_effort":"high"})), true, "/reasoning_effort", json!("high")),
        sent(with(json!({"reasoning_effort":"xhigh"})), true, "/reasoning_effort", json!("high")),
        sent(with(json!({"reasoning_effort":"max"})), true, "/reasoning_effort", json!("max")),
        sent(with(json!({"stream_options":{"include_usage":true}})), false, "/stream_options", Value::Null),
        sent(with(json!({"tools":[]})), false, "/tools", Value::Null),
        sent(with(json!({"tools":weather(Value::Null)})), false, "/tools/0/function/parameters", Value::Null),
        sent(
            with(json!({"tools":weather(json!({}))})),
            false,
            "/tools/0/function/parameters/type",
            json!("object"),
        ),
        sent(
            with(
                json!({"tools":weather(object()),"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"weather"}}]}}}),
            ),
            false,
            "/tool_choice",
            json!("auto"),
        ),
        sent(
            json!({"messages":[{"role":"user","content":"x"},{"role":"assistant","content":null},{"role":"user","content":"y"}]}),
            false,
            "/messages/1/content",
            json!(""),
        ),
        // A thought without tools is neither wanted nor refused.
        sent(
            json!({"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y","reasoning_content":"r"},{"role":"user","content":"z"}]}),
            true,
            "/messages/1/reasoning_content",
            json!("r"),
        ),
        sent(
            json!({"tools":weather(object()),"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"},{"role":"user","content":"z"}]}),
            false,
            "/messages/1/reasoning_content",
            json!(""),
        ),
    ]
}

#[tokio::test]
async fn what_openais_apps_send_is_taken_where_deepseek_alone_would_refuse_or_misread_it() {
    let sim = Sim::start().await.unwrap();
    let llm = deepseek(&sim);
    // The plain transport under a profile that changes nothing: what DeepSeek itself makes of it.
    let raw = modelswitch_openai::OpenAiProvider::builder(modelswitch_openai::Profile::compatible(
        "raw",
        sim.base_url(),
    ))
    .api_key(ApiKey::new(sim.key()).unwrap())
    .default_model("deepseek-flash")
    .build()
    .unwrap();
    for Sent { body, taken_raw, place, value } in requests() {
        let request = || Request::chat(&body).unwrap();
        assert_eq!(raw.send(request()).await.is_ok(), taken_raw, "{body}");
        sim.clear_requests();
        let answer = llm.send(request()).await;
        assert!(answer.is_ok(), "{body}: {answer:?}");
        let sent = sim.requests()[0].json();
        assert_eq!(sent.pointer(place).cloned().unwrap_or_default(), value, "{body}");
    }
}
