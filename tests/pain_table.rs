//! What stock async-openai does with what services really send, and what modelswitch does: both, over the same socket,
//! with the same script. The README's table has only rows that stand here.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails loudly")]

use std::time::Duration;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::types::chat::{CreateChatCompletionResponse, CreateChatCompletionStreamResponse};
use futures_util::StreamExt;
use modelswitch::prelude::*;
use modelswitch::{Error, ErrorKind};
use modelswitch_sim::{Script, Sim};
use modelswitch_tests::{ask, world};
use serde_json::{Value, json};
use tokio::time::timeout;

/// Stock async-openai with the service's base URL and key.
fn stock(sim: &Sim) -> Client<OpenAIConfig> {
    let config = OpenAIConfig::new().with_api_base(sim.base_url()).with_api_key(sim.key());
    Client::with_config(config.with_org_id("").with_project_id(""))
}

type Whole = Result<CreateChatCompletionResponse, OpenAIError>;
type Pieces = Vec<Result<CreateChatCompletionStreamResponse, OpenAIError>>;

/// The same script for stock and for ours, each answered that often.
async fn unary(script: Script) -> (Whole, Whole) {
    let world = world().await;
    world.deepseek.script(script.clone().times(4));
    let stock = stock(&world.deepseek).chat().create(ask("deepseek-flash", "hello")).await;
    world.deepseek.clear_scripts();
    world.deepseek.script(script.times(4));
    (stock, world.client().chat().create(ask("fast", "hello")).await)
}

async fn streamed(script: Script) -> (Pieces, Pieces) {
    let world = world().await;
    world.deepseek.script(script.clone());
    let stock = pieces(&stock(&world.deepseek), "deepseek-flash", GENEROUS).await;
    world.deepseek.script(script);
    (stock, pieces(&world.client(), "fast", GENEROUS).await)
}

/// A stream, for as long as it comes and at most for so long.
async fn pieces(client: &Client<OpenAIConfig>, model: &str, most: Duration) -> Pieces {
    let mut stream = client.chat().create_stream(ask(model, "hello")).await.unwrap();
    let mut pieces = Vec::new();
    let _ = timeout(most, async {
        while let Some(piece) = stream.next().await {
            pieces.push(piece);
        }
    })
    .await;
    pieces
}

fn text(pieces: &Pieces) -> String {
    let pieces = pieces.iter().filter_map(|piece| piece.as_ref().ok());
    pieces.flat_map(|piece| piece.choices.iter().filter_map(|choice| choice.delta.content.clone())).collect()
}

fn failure(pieces: &Pieces) -> Option<Error> {
    pieces.last()?.as_ref().err()?.provider_error()
}

fn undecodable(result: &Whole) -> bool {
    matches!(result, Err(OpenAIError::JSONDeserialize(..)))
}

fn kind(result: &Whole) -> Option<ErrorKind> {
    result.as_ref().err()?.provider_error().map(|error| error.kind())
}

fn reply() -> Value {
    json!({"id":"1","object":"chat.completion","created":7,"model":"m","choices":[{"index":0,"finish_reason":"stop",
        "message":{"role":"assistant","content":"hi","reasoning_content":"hm"}}],
        "usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}})
}

fn chunk(delta: Value, finish: Value) -> String {
    json!({"id":"1","object":"chat.completion.chunk","created":7,"model":"m",
        "choices":[{"index":0,"delta":delta,"finish_reason":finish}]})
    .to_string()
}

fn hi() -> String {
    chunk(json!({"role":"assistant","content":"hi"}), Value::Null)
}

fn end() -> String {
    chunk(json!({}), json!("stop"))
}

/// For what comes at once on a machine that has nothing else to do.
const GENEROUS: Duration = Duration::from_secs(60);

#[tokio::test]
async fn reasoning_is_dropped_by_stock_and_kept_by_ours() {
    let (stock, ours) = unary(Script::normal()).await;
    assert_eq!(stock.unwrap().reasoning_content(), None);
    assert!(ours.unwrap().reasoning_content().unwrap().contains("simulated"));
}

#[tokio::test]
async fn a_finish_reason_that_is_a_failure_is_undecodable_for_stock_and_an_error_of_its_kind_for_ours() {
    let mut body = reply();
    body["choices"][0]["finish_reason"] = json!("insufficient_system_resource");
    let (stock, ours) = unary(Script::status(200).json(body)).await;
    assert!(undecodable(&stock));
    assert_eq!(kind(&ours), Some(ErrorKind::Overloaded));
}

#[tokio::test]
async fn deepseeks_models_are_undecodable_for_stock_and_listed_by_ours() {
    let world = world().await;
    assert!(stock(&world.deepseek).models().list().await.is_err());
    let ours = world.client().models().list().await.unwrap();
    assert!(ours.data.iter().any(|model| model.id == "deepseek/deepseek-flash"));
}

#[tokio::test]
async fn sloppy_answers_are_undecodable_for_stock_and_repaired_by_ours() {
    for (pointer, value) in [
        ("/id", Value::Null),
        ("/created", json!(1705651092.5)),
        ("/created", json!("1705651092")),
        ("/service_tier", json!("on_demand")),
        ("/usage", json!({})),
        ("/choices/0/finish_reason", json!("")),
        ("/choices/0/message/tool_calls", json!([{"id":"c","function":{"name":"f","arguments":{"a":1}}}])),
    ] {
        let mut body = reply();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(name.to_owned(), value.clone());
        let (stock, ours) = unary(Script::status(200).json(body)).await;
        assert!(undecodable(&stock), "{pointer} {value}");
        assert_eq!(ours.unwrap().choices[0].message.content.as_deref(), Some("hi"), "{pointer} {value}");
    }
}

#[tokio::test]
async fn failures_in_other_words_lose_their_status_in_stock_and_keep_it_in_ours() {
    for body in [
        "<html><title>Too many</title></html>",
        "slow down",
        "",
        r#"{"error":"slow down"}"#,
        r#"{"detail":[{"loc":["body"],"msg":"slow down"}]}"#,
        r#"{"error":{"message":"slow down","type":"t","param":null,"code":429}}"#,
    ] {
        let (stock, ours) = unary(Script::status(429).body(body)).await;
        assert!(undecodable(&stock), "{body}");
        let Err(OpenAIError::ApiError(api)) = &ours else { panic!("{body}: {ours:?}") };
        assert_eq!(api.status_code.as_u16(), 429);
        let error = ours.as_ref().unwrap_err().provider_error().unwrap();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::RateLimited, 4), "{body}");
    }
}

#[tokio::test]
async fn an_error_under_200_has_no_status_in_stock_and_its_kind_in_ours() {
    let (stock, ours) =
        unary(Script::status(200).json(json!({"error":{"message":"Insufficient Balance"}}))).await;
    assert!(undecodable(&stock));
    assert_eq!(kind(&ours), Some(ErrorKind::InsufficientBalance));
}

#[tokio::test]
async fn a_stream_request_answered_with_an_error_document_is_an_empty_stream_in_stock() {
    let world = world().await;
    let script = || Script::status(200).json(json!({"error":{"message":"Insufficient Balance"}}));
    world.deepseek.script(script());
    assert!(pieces(&stock(&world.deepseek), "deepseek-flash", GENEROUS).await.is_empty());
    world.deepseek.script(script());
    let ours = world.client().chat().create_stream(ask("fast", "hello")).await;
    assert_eq!(ours.err().unwrap().provider_error().unwrap().kind(), ErrorKind::InsufficientBalance);
}

#[tokio::test]
async fn a_stream_request_answered_with_a_whole_completion_is_an_empty_stream_in_stock() {
    let (stock, ours) = streamed(Script::status(200).json(reply())).await;
    assert!(stock.is_empty());
    assert_eq!(text(&ours), "hi");
    assert_eq!(ours[0].as_ref().unwrap().reasoning_content().as_deref(), Some("hm"));
}

#[tokio::test]
async fn an_error_in_the_middle_of_a_stream_ends_it_cleanly_in_stock_and_as_an_error_in_ours() {
    for error in [
        json!({"error":{"message":"it broke","code":502}}).to_string(),
        json!({"id":"1","choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}],"error":{"message":"it broke"}}).to_string(),
    ] {
        let (stock, ours) = streamed(Script::sse([hi().as_str(), &error, "[DONE]"])).await;
        assert!(stock.iter().all(|piece| piece.as_ref().err().is_none_or(|error| error.provider_error().is_none())));
        let error = failure(&ours).unwrap();
        assert_eq!((error.kind(), error.provider()), (ErrorKind::Upstream, Some("deepseek")));
        assert_eq!(text(&ours), "hi");
    }
}

#[tokio::test]
async fn a_stream_without_its_end_looks_finished_in_stock_and_is_interrupted_in_ours() {
    let half = format!("data: {}\n\ndata: {{\"id\":", hi());
    for script in [Script::sse([hi()]), Script::raw_sse(half), Script::normal().end_after_events(8)] {
        let (stock, ours) = streamed(script).await;
        assert!(stock.iter().all(Result::is_ok));
        assert_eq!(failure(&ours).unwrap().kind(), ErrorKind::Interrupted);
    }
}

#[tokio::test]
async fn a_dropped_connection_is_a_sentence_in_stock_and_an_error_of_its_kind_in_ours() {
    let (stock, ours) = streamed(Script::normal().cut_after_events(8)).await;
    assert!(matches!(stock.last(), Some(Err(OpenAIError::StreamError(_)))));
    assert_eq!(failure(&ours).unwrap().kind(), ErrorKind::Interrupted);
}

#[tokio::test]
async fn a_stalled_stream_hangs_in_stock_and_times_out_in_ours() {
    let world = world().await;
    world.deepseek.script(Script::normal().stall_after_events(8));
    let stock = pieces(&stock(&world.deepseek), "deepseek-flash", Duration::from_secs(1)).await;
    world.deepseek.script(Script::normal().stall_after_events(8));
    let ours = pieces(&world.client(), "fast", GENEROUS).await;
    assert!(stock.iter().all(Result::is_ok));
    assert_eq!(failure(&ours).unwrap().kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn a_byte_order_mark_ends_stocks_stream_at_once() {
    let body = format!("\u{feff}data: {}\n\ndata: {}\n\ndata: [DONE]\n\n", hi(), end());
    let (stock, ours) = streamed(Script::raw_sse(body)).await;
    assert_eq!((text(&stock).as_str(), text(&ours).as_str()), ("", "hi"));
}

#[tokio::test]
async fn noise_between_events_is_undecodable_in_stock_and_skipped_by_ours() {
    let body = format!(
        ": keep-alive\r\n\r\nevent: ping\r\ndata: {{}}\r\n\r\ndata:\r\n\r\ndata: {}\r\n\r\ndata: {}\r\n\r\ndata: [DONE] \r\n\r\n",
        hi(),
        end()
    );
    let (stock, ours) = streamed(Script::raw_sse(body).split(3)).await;
    assert!(stock.iter().any(Result::is_err));
    assert!(ours.iter().all(Result::is_ok));
    assert_eq!(text(&ours), "hi");
}

#[tokio::test]
async fn sloppy_chunks_are_undecodable_in_stock_and_repaired_by_ours() {
    for chunk in [
        json!({"choices":[{"delta":{"content":"hi"}}]}),
        json!({"id":null,"object":"chat.completion.chunk","created":1.5,"model":"m","choices":[{"index":0,"delta":{"content":"hi"}}]}),
        json!({"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"hi","tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}}]}}]}),
    ] {
        let (stock, ours) = streamed(Script::sse([chunk.to_string(), end(), "[DONE]".into()])).await;
        assert!(stock.iter().any(Result::is_err), "{chunk}");
        assert!(ours.iter().all(Result::is_ok), "{chunk}: {ours:?}");
        assert_eq!(text(&ours), "hi", "{chunk}");
    }
}

#[tokio::test]
async fn a_key_with_a_line_break_panics_in_stock_and_is_refused_by_ours() {
    let panicked = tokio::spawn(async {
        let config = OpenAIConfig::new().with_api_base("http://127.0.0.1:1").with_api_key("sk-1\n2");
        Client::with_config(config).chat().create(ask("m", "x")).await
    });
    assert!(panicked.await.unwrap_err().is_panic());
    assert_eq!(modelswitch::deepseek::client("sk-1\n2").err().unwrap().kind(), ErrorKind::Config);
}

#[tokio::test]
async fn a_retry_after_of_an_hour_sleeps_an_hour_in_stock_and_is_given_back_at_once_by_ours() {
    let world = world().await;
    let script =
        || Script::status(429).header("retry-after", "3600").json(json!({"error":{"message":"slow down"}}));
    world.deepseek.script(script());
    let stock = stock(&world.deepseek);
    // It sleeps, so no time that is waited for is too short or too long.
    assert!(
        timeout(Duration::from_millis(800), stock.chat().create(ask("deepseek-flash", "x"))).await.is_err()
    );
    world.deepseek.clear_scripts();
    world.deepseek.script(script());
    let ours = timeout(GENEROUS, world.client().chat().create(ask("fast", "x"))).await.unwrap();
    let error = ours.unwrap_err().provider_error().unwrap();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
}

#[tokio::test]
async fn a_retry_after_of_a_fraction_is_ignored_in_stock_and_kept_by_ours() {
    let limited = |wait: &str| {
        Script::status(429)
            .header("retry-after", wait)
            .json(json!({"error":{"message":"slow down","type":"t","param":null,"code":"c"}}))
    };
    let world = world().await;
    // Had stock read it, it would sleep for an hour.
    world.deepseek.script(limited("3600.5"));
    let stock = stock(&world.deepseek);
    timeout(GENEROUS, stock.chat().create(ask("deepseek-flash", "x"))).await.unwrap().unwrap();
    world.deepseek.script(limited("3600.5"));
    let ours = timeout(GENEROUS, world.client().chat().create(ask("fast", "x"))).await.unwrap();
    let error = ours.unwrap_err().provider_error().unwrap();
    assert_eq!(error.retry_after(), Some(Duration::from_millis(3_600_500)));
    world.deepseek.script(limited("0.4"));
    let begin = tokio::time::Instant::now();
    world.client().chat().create(ask("fast", "x")).await.unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(400));
}

#[tokio::test]
async fn a_connection_that_breaks_before_an_answer_is_not_retried_in_stock_and_is_by_ours() {
    let world = world().await;
    world.deepseek.script(Script::reset());
    assert!(stock(&world.deepseek).chat().create(ask("deepseek-flash", "x")).await.is_err());
    world.deepseek.script(Script::reset());
    assert!(world.client().chat().create(ask("fast", "x")).await.is_ok());
}

#[tokio::test]
async fn a_408_is_not_retried_in_stock_and_is_by_ours() {
    let (stock, ours) = {
        let world = world().await;
        let late = || {
            Script::status(408).json(json!({"error":{"message":"late","type":"t","param":null,"code":"c"}}))
        };
        world.deepseek.script(late());
        let stock = stock(&world.deepseek).chat().create(ask("deepseek-flash", "x")).await;
        world.deepseek.script(late());
        (stock, world.client().chat().create(ask("fast", "x")).await)
    };
    assert!(stock.is_err() && ours.is_ok());
}

#[tokio::test]
async fn a_base_url_with_a_slash_at_its_end_gives_two_in_stock_and_one_in_ours() {
    let world = world().await;
    let config =
        OpenAIConfig::new().with_api_base(format!("{}/", world.deepseek.base_url())).with_api_key("k");
    let _ = Client::with_config(config).chat().create(ask("m", "x")).await;
    assert_eq!(world.deepseek.requests()[0].path, "//chat/completions");
    world.deepseek.clear_requests();
    world.client().chat().create(ask("fast", "x")).await.unwrap();
    assert_eq!(world.deepseek.requests()[0].path, "/chat/completions");
}

#[tokio::test]
async fn a_redirect_to_another_origin_is_followed_by_stock_and_not_by_ours() {
    let world = world().await;
    let elsewhere = format!("{}/chat/completions", world.other.base_url());
    world.deepseek.script(Script::redirect(307, &elsewhere));
    let _ = stock(&world.deepseek).chat().create(ask("deepseek-flash", "x")).await;
    assert_eq!(world.other.requests().len(), 1);
    world.other.clear_requests();
    world.deepseek.script(Script::redirect(307, &elsewhere).times(4));
    let error = world.client().chat().create(ask("fast", "x")).await.unwrap_err().provider_error().unwrap();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(world.other.requests().is_empty());
}

#[tokio::test]
async fn a_packed_answer_that_nobody_asked_for_says_so() {
    let (_, ours) = unary(Script::status(200).header("content-encoding", "gzip").body("\u{1f}\u{8b}")).await;
    let error = ours.unwrap_err().provider_error().unwrap();
    assert!(error.message().contains("gzip"), "{error}");
}

#[tokio::test]
async fn the_bytes_tell_a_stream_from_a_document_whatever_the_content_type_says() {
    let error = json!({"error":{"message":"slow down","code":429}}).to_string();
    let (_, ours) = unary(Script::status(200).content_type("text/event-stream").body(error.clone())).await;
    assert_eq!(kind(&ours), Some(ErrorKind::RateLimited));
    let sse = format!("data: {}\n\ndata: {}\n\ndata: [DONE]\n\n", hi(), end());
    let (stock, ours) =
        streamed(Script::status(200).content_type("application/json").body(sse.clone())).await;
    assert_eq!((text(&stock), text(&ours)), ("hi".to_owned(), "hi".to_owned()));
    let (_, ours) = unary(Script::status(200).content_type("application/json").body(sse)).await;
    assert_eq!(ours.unwrap().choices[0].message.content.as_deref(), Some("hi"));
    let (stock, ours) =
        unary(Script::status(200).content_type("application/json").body(format!("\u{feff}{}", reply())))
            .await;
    assert!(undecodable(&stock) && ours.is_ok());
}

#[tokio::test]
async fn comments_alone_keep_a_quiet_stream_alive() {
    let quiet = ": keep-alive\n\n".repeat(12);
    let body = format!("{quiet}data: {}\n\ndata: {}\n\ndata: [DONE]\n\n", hi(), end());
    // The time limit is 400 ms; twelve comments take 720.
    let (_, ours) = streamed(Script::raw_sse(body).split(14).pace(Duration::from_millis(60))).await;
    assert!(ours.iter().all(Result::is_ok), "{ours:?}");
}

#[tokio::test]
async fn a_retry_after_of_a_date_is_ignored_in_stock_and_kept_by_ours() {
    let world = world().await;
    let slow_down = || {
        let body = json!({"error":{"message":"slow down","type":"t","param":null,"code":"c"}});
        Script::status(429).header("retry-after", "Tue, 31 Dec 2199 23:59:59 GMT").json(body)
    };
    world.deepseek.script(slow_down());
    let stock = stock(&world.deepseek);
    let soon = timeout(GENEROUS, stock.chat().create(ask("deepseek-flash", "x"))).await;
    assert!(soon.is_ok_and(|reply| reply.is_ok()));
    world.deepseek.clear_requests();
    world.deepseek.script(slow_down());
    let error = world.client().chat().create(ask("fast", "x")).await.unwrap_err().provider_error().unwrap();
    assert!(error.retry_after().unwrap() > Duration::from_secs(3_600));
    assert_eq!(world.deepseek.requests().len(), 1);
}

#[tokio::test]
async fn a_reply_without_choices_is_a_reply_in_stock_and_an_error_in_ours() {
    let mut body = reply();
    body["choices"] = json!([]);
    let (stock, ours) = unary(Script::status(200).json(body)).await;
    assert!(stock.unwrap().choices.is_empty());
    assert_eq!(kind(&ours), Some(ErrorKind::Decode));
}

#[tokio::test]
async fn a_redirect_within_the_origin_that_repeats_the_request_is_followed() {
    let world = world().await;
    world.deepseek.script(Script::redirect(307, "/v1/chat/completions"));
    world.client().chat().create(ask("fast", "hello")).await.unwrap();
    let requests = world.deepseek.requests();
    assert_eq!((requests.len(), requests[1].path.as_str()), (2, "/v1/chat/completions"));
    assert_eq!(requests[0].body, requests[1].body);
}
