//! The README's DeepSeek table: each row runs the same async-openai code twice against a simulated DeepSeek on a real socket, once
//! on a stock client that knows its URL and key, once on ours.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails loudly")]
#![allow(deprecated, reason = "functions and users are what apps of before send")]

use async_openai::Client;
use async_openai::config::Config;
use async_openai::error::OpenAIError;
use async_openai::types::chat::{
    ChatCompletionFunctions, ChatCompletionNamedToolChoice, ChatCompletionRequestAssistantMessage,
    ChatCompletionRequestDeveloperMessage, ChatCompletionRequestToolMessage, ChatCompletionTool,
    ChatCompletionToolChoiceOption, ChatCompletionTools, CreateChatCompletionRequest,
    CreateChatCompletionResponse, FinishReason, FunctionName, FunctionObjectArgs, ResponseFormat,
    ResponseFormatJsonSchema,
};
use async_openai::types::completions::CreateCompletionRequestArgs;
use futures_util::StreamExt;
use modelswitch::deepseek::{self, DeepSeek, DeepSeekConfig, DeepSeekParameters};
use modelswitch::prelude::*;
use modelswitch::{ApiKey, ErrorKind, Extra};
use modelswitch_sim::{Script, Sim};
use modelswitch_tests::ask;
use serde_json::{Value, json};

struct Sides {
    sim: Sim,
    stock: Client<DeepSeekConfig>,
    ours: modelswitch::Client,
    llm: DeepSeek,
}

async fn sides() -> Sides {
    let sim = Sim::start().await.unwrap();
    let config = DeepSeekConfig::new(sim.key()).unwrap().with_base_url(sim.base_url()).unwrap();
    let builder = DeepSeek::builder().base_url(sim.base_url()).api_key(ApiKey::new(sim.key()).unwrap());
    let llm = DeepSeek::connect(builder).unwrap();
    let ours = deepseek::service(llm.clone()).client().unwrap();
    Sides { sim, stock: Client::with_config(config), ours, llm }
}

fn flash(text: &str) -> CreateChatCompletionRequest {
    ask("deepseek-flash", text)
}

fn text(reply: &CreateChatCompletionResponse) -> &str {
    reply.choices[0].message.content.as_deref().unwrap_or_default()
}

/// What a stock client is left with of a refusal: the status, if it is lucky.
fn status(outcome: Result<CreateChatCompletionResponse, OpenAIError>) -> Option<u16> {
    match outcome {
        Err(OpenAIError::ApiError(error)) => Some(error.status_code.as_u16()),
        Err(_) => None,
        Ok(_) => Some(200),
    }
}

async fn create<C: Config>(
    client: &Client<C>,
    request: CreateChatCompletionRequest,
) -> Result<CreateChatCompletionResponse, OpenAIError> {
    client.chat().create(request).await
}

fn tool(strict: Option<bool>) -> ChatCompletionTools {
    let mut function = FunctionObjectArgs::default();
    function.name("weather").parameters(
        json!({"type":"object","properties":{"place":{"type":"string"}},"required":["place"],"additionalProperties":false}),
    );
    if let Some(strict) = strict {
        function.strict(strict);
    }
    ChatCompletionTools::Function(ChatCompletionTool { function: function.build().unwrap() })
}

#[tokio::test]
async fn a_name_of_2025_is_refused_or_answered() {
    let sides = sides().await;
    for name in ["deepseek-chat", "deepseek-reasoner"] {
        assert_eq!(status(create(&sides.stock, ask(name, "hello")).await), Some(400));
        assert!(text(&create(&sides.ours, ask(name, "hello")).await.unwrap()).contains("hello"));
    }
}

#[tokio::test]
async fn reasoning_is_dropped_or_kept_and_a_tool_loop_breaks_or_works() {
    let sides = sides().await;
    async fn second<C: Config>(
        client: &Client<C>,
    ) -> (CreateChatCompletionResponse, Result<CreateChatCompletionResponse, OpenAIError>) {
        let mut request = flash("What's the weather in Paris?");
        request.tools = Some(vec![tool(None)]);
        let first = create(client, request.clone()).await.unwrap();
        let calls = first.choices[0].message.tool_calls.clone();
        let async_openai::types::chat::ChatCompletionMessageToolCalls::Function(call) =
            &calls.as_ref().unwrap()[0]
        else {
            panic!("a function")
        };
        let result =
            ChatCompletionRequestToolMessage { tool_call_id: call.id.clone(), content: "It rains.".into() };
        let said = ChatCompletionRequestAssistantMessage { tool_calls: calls.clone(), ..Default::default() };
        request.messages.extend([said.into(), result.into()]);
        (first, create(client, request).await)
    }
    let (first, second_answer) = second(&sides.stock).await;
    assert_eq!((first.reasoning_content(), status(second_answer)), (None, Some(400)));
    let (first, second_answer) = second(&sides.ours).await;
    assert!(first.reasoning_content().is_some() && text(&second_answer.unwrap()).contains("It rains."));
}

#[tokio::test]
async fn the_developer_role_and_functions_are_refused_or_ignored_or_work() {
    let sides = sides().await;
    let developer = || {
        let mut request = flash("hello");
        request.messages.insert(0, ChatCompletionRequestDeveloperMessage::from("Be brief.").into());
        request
    };
    assert_eq!(status(create(&sides.stock, developer()).await), Some(400));
    assert!(create(&sides.ours, developer()).await.is_ok());

    let functions = || {
        let mut request = flash("What's the weather in Paris?");
        let parameters =
            json!({"type":"object","properties":{"place":{"type":"string"}},"required":["place"]});
        request.functions =
            Some(vec![ChatCompletionFunctions { name: "weather".to_owned(), description: None, parameters }]);
        request
    };
    assert_eq!(create(&sides.stock, functions()).await.unwrap().choices[0].message.function_call, None);
    let reply = create(&sides.ours, functions()).await.unwrap();
    assert_eq!(reply.choices[0].message.function_call.as_ref().unwrap().name, "weather");
    assert_eq!(reply.choices[0].finish_reason, Some(FinishReason::FunctionCall));
}

#[tokio::test]
async fn a_token_limit_a_user_and_several_answers_are_ignored_or_mean_something() {
    let sides = sides().await;
    let limited = || {
        let mut request = flash("hello");
        request.max_completion_tokens = Some(3);
        request.user = Some("mail@x.example".to_owned());
        request
    };
    let reply = create(&sides.stock, limited()).await.unwrap();
    assert_eq!(reply.choices[0].finish_reason, Some(FinishReason::Stop));
    assert!(sides.sim.requests()[0].json().get("user_id").is_none());
    let reply = create(&sides.ours, limited()).await.unwrap();
    assert_eq!(reply.choices[0].finish_reason, Some(FinishReason::Length));
    assert_eq!(sides.sim.requests()[1].json()["user_id"], "mail_40x_2eexample");

    let mut several = flash("hello");
    several.n = Some(2);
    assert_eq!(create(&sides.stock, several.clone()).await.unwrap().choices.len(), 1);
    let refused = create(&sides.ours, several).await.unwrap_err().provider_error().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn json_is_refused_or_answered() {
    let sides = sides().await;
    let schema = json!({"type":"object","properties":{"city":{"type":"string"}},"required":["city"]});
    let formats = [
        ResponseFormat::JsonObject,
        ResponseFormat::JsonSchema {
            json_schema: ResponseFormatJsonSchema {
                name: "city".to_owned(),
                description: None,
                schema,
                strict: None,
            },
        },
    ];
    for format in formats {
        let mut request = flash("Where is the Louvre?");
        request.response_format = Some(format);
        assert_eq!(status(create(&sides.stock, request.clone()).await), Some(400));
        let reply = create(&sides.ours, request).await.unwrap();
        assert!(serde_json::from_str::<Value>(text(&reply)).unwrap().is_object());
    }
    // What doesn't follow the schema is an error, and not the app's to find out.
    let mut request = flash("Where is the Louvre? [sim:bad-json]");
    let schema = json!({"type":"object","properties":{"city":{"type":"string"}},"required":["city"]});
    request.response_format = Some(ResponseFormat::JsonSchema {
        json_schema: ResponseFormatJsonSchema {
            name: "city".to_owned(),
            description: None,
            schema,
            strict: None,
        },
    });
    let error = create(&sides.ours, request).await.unwrap_err().provider_error().unwrap();
    assert_eq!(error.code(), Some(deepseek::SchemaMismatch::CODE));
}

#[tokio::test]
async fn a_forced_tool_is_refused_or_called_and_a_strict_one_is_strict_on_the_beta_alone() {
    let sides = sides().await;
    let mut forced = flash("hello");
    forced.tools = Some(vec![tool(None)]);
    forced.tool_choice = Some(ChatCompletionToolChoiceOption::Function(ChatCompletionNamedToolChoice {
        function: FunctionName { name: "weather".to_owned() },
    }));
    assert_eq!(status(create(&sides.stock, forced.clone()).await), Some(400));
    assert!(create(&sides.ours, forced).await.unwrap().choices[0].message.tool_calls.is_some());

    let mut strict = flash("What's the weather in Paris?");
    strict.tools = Some(vec![tool(Some(true))]);
    create(&sides.stock, strict.clone()).await.unwrap();
    assert_eq!(sides.sim.requests().pop().unwrap().path, "/chat/completions");
    create(&sides.ours, strict).await.unwrap();
    assert_eq!(sides.sim.requests().pop().unwrap().path, "/beta/chat/completions");
}

#[tokio::test]
async fn what_is_on_the_beta_is_refused_or_found_there() {
    let sides = sides().await;
    let middle = CreateCompletionRequestArgs::default()
        .model("deepseek-flash")
        .prompt("fn add(")
        .suffix("}")
        .build()
        .unwrap();
    assert!(sides.stock.completions().create(middle.clone()).await.is_err());
    assert!(!sides.ours.completions().create(middle).await.unwrap().choices[0].text.is_empty());

    let mut begun = flash("A story");
    let beginning =
        ChatCompletionRequestAssistantMessage { content: Some("Once upon".into()), ..Default::default() };
    begun.messages.push(beginning.into());
    let extra = Extra::new().last_is_prefix();
    let reply = sides.ours.chat().headers(extra.headers().unwrap()).create(begun).await.unwrap();
    assert!(text(&reply).contains("Once upon"));
    assert_eq!(sides.sim.requests().pop().unwrap().path, "/beta/chat/completions");
}

#[tokio::test]
async fn a_parameter_without_effect_goes_unnoticed_or_is_told() {
    let sides = sides().await;
    let mut warm = flash("hello");
    warm.temperature = Some(0.2);
    assert!(create(&sides.stock, warm.clone()).await.is_ok());
    let service = deepseek::service(sides.llm.clone());
    let capture = service.capture();
    service.client().unwrap().chat().headers(capture.headers()).create(warm).await.unwrap();
    assert_eq!(capture.head().unwrap().adaptations[0].parameter, "temperature");
}

#[tokio::test]
async fn the_models_and_the_money_are_unreadable_or_there() {
    let sides = sides().await;
    assert!(sides.stock.models().list().await.is_err());
    assert_eq!(sides.ours.models().list().await.unwrap().data.len(), 2);
    let balance = sides.llm.balance().await.unwrap();
    assert_eq!(balance.total(&deepseek::Currency::Cny).unwrap().to_string(), "110.00");
    assert!(sides.llm.verify().await.is_good());
}

#[tokio::test]
async fn errors_lose_their_status_or_say_what_to_do() {
    let sides = sides().await;
    sides.sim.script(Script::status(401).body("Authentication Fails (governor)"));
    assert_eq!(status(create(&sides.stock, flash("hello")).await), None);
    sides.sim.script(Script::status(401).body("Authentication Fails (governor)"));
    let error = create(&sides.ours, flash("hello")).await.unwrap_err().provider_error().unwrap();
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::Authentication, 401));
    assert!(error.request_id().is_some() && error.hint().contains("platform.deepseek.com"));

    let error = create(&sides.ours, flash("[sim:402]")).await.unwrap_err().provider_error().unwrap();
    assert!(error.hint().contains("top_up"));
}

#[tokio::test]
async fn an_answer_that_was_broken_off_is_unreadable_or_an_error_of_its_kind() {
    let sides = sides().await;
    for (tag, kind) in [("[sim:resource]", ErrorKind::Overloaded), ("[sim:aborted]", ErrorKind::Interrupted)]
    {
        assert_eq!(status(create(&sides.stock, flash(tag)).await), None);
        let error = sides.llm.chat(ChatRequest::user(tag)).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        let mut stream = sides.ours.chat().create_stream(flash(tag)).await.unwrap();
        let mut last = None;
        while let Some(chunk) = stream.next().await {
            last = Some(chunk);
        }
        assert_eq!(last.unwrap().unwrap_err().provider_error().unwrap().kind(), kind);
    }
}
