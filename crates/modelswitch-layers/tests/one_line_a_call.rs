//! What `Log` writes, under a `Trace`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails loudly")]

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use modelswitch_layers::{
    Budget, Cache, Cost, Counter, Log, MemoryCounter, MemoryLedger, Money, Observe, RateLimit, Retry, Stack,
    Trace, genai, layer_fn,
};
use modelswitch_provider::mock::{MockProvider, events, reply};
use modelswitch_provider::{
    Adaptation, Body, ChatRequest, Endpoint, Error, ErrorKind, Event, EventStream, Payload, Provider,
    ProviderExt, Request, Response, Result, Usage, WantsUsage,
};
use serde_json::{Value, json};
use tokio::time::sleep;
use tracing::Level;

use crate::listener::*;

mod listener;

fn logged(provider: impl Provider) -> Arc<dyn Provider> {
    Stack::new().layer(told()).over(provider)
}

/// The line and the span.
fn told() -> Observe {
    Observe::new().trace(Trace::new()).log(Log::new())
}

/// An answer with all that a service tells.
fn full_answer() -> Response {
    let mut response = Response::json(&json!({
        "id": "chatcmpl-1", "model": "deepseek-v4-flash",
        "choices": [{ "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": "9.8" } }],
        "usage": { "prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16, "prompt_cache_hit_tokens": 4,
            "completion_tokens_details": { "reasoning_tokens": 5 } }
    }))
    .unwrap();
    response.head.provider = Some("deepseek".into());
    response.head.model = Some("deepseek-flash".into());
    response.head.request_id = Some("req-1".into());
    response.head.adaptations.push(Adaptation::new("n", "left out"));
    response
}

fn chunk(delta: Value) -> Result<Value> {
    Ok(json!({ "id": "c1", "model": "m", "choices": [{ "index": 0, "delta": delta }] }))
}

fn cut() -> Error {
    Error::interrupted("the connection was cut")
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_one_line_with_all_that_is_known() {
    listen(Level::INFO);
    let slow = layer_fn("slow", |inner, request| async move {
        sleep(Duration::from_millis(1500)).await;
        inner.send(request).await
    });
    let llm = Stack::new().layer(told()).layer(slow).over(MockProvider::answering(|_| Ok(full_answer())));
    llm.chat(ChatRequest::user("9.11 or 9.8?").model("fast").temperature(0.5).max_tokens(50)).await.unwrap();

    let line = line();
    assert_eq!((line.level, line.target), (Level::INFO, "modelswitch::call"));
    line.has(&[
        ("message", "call ended"),
        (genai::OUTCOME, "ok"),
        (genai::OPERATION_NAME, "chat"),
        (genai::PROVIDER_NAME, "deepseek"),
        (genai::REQUEST_MODEL, "deepseek-flash"),
        (genai::ASKED_MODEL, "fast"),
        (genai::REQUEST_STREAM, "false"),
        (genai::OPERATION_DURATION, "1.5"),
        (genai::HTTP_STATUS_CODE, "200"),
        (genai::RESPONSE_MODEL, "deepseek-v4-flash"),
        (genai::RESPONSE_ID, "chatcmpl-1"),
        (genai::REQUEST_ID, "req-1"),
        (genai::RESPONSE_FINISH_REASONS, "stop"),
        (genai::USAGE_INPUT_TOKENS, "9"),
        (genai::USAGE_OUTPUT_TOKENS, "7"),
        (genai::USAGE_CACHE_READ_INPUT_TOKENS, "4"),
        (genai::USAGE_REASONING_OUTPUT_TOKENS, "5"),
        (genai::ATTEMPTS, "1"),
        (genai::ADAPTATIONS, "1"),
    ])
    .lacks(&[genai::ERROR_TYPE, genai::RESPONSE_TIME_TO_FIRST_CHUNK]);

    let span = span();
    for (name, value) in [
        ("otel.name", "chat deepseek-flash"),
        ("otel.kind", "client"),
        (genai::REQUEST_MAX_TOKENS, "50"),
        (genai::REQUEST_TEMPERATURE, "0.5"),
    ] {
        assert_eq!(span.get(name).map(String::as_str), Some(value), "{span:#?}");
    }
    for (name, value) in line.fields.0.iter().filter(|(name, _)| *name != "message") {
        assert_eq!(span.get(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn the_tokens_of_a_stream_are_asked_for_where_that_is_wanted_and_the_app_does_not_see_them() {
    for (usage, tokens, shown) in [(true, Some("7"), 1), (false, None, 1)] {
        listen(Level::INFO);
        let service = MockProvider::answering(move |request| {
            let mut chunks = vec![Ok(
                json!({"id":"1","model":"m","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}),
            )];
            if request.extensions.get::<WantsUsage>().is_some() {
                chunks.push(Ok(
                    json!({"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":7,"total_tokens":16}}),
                ));
            }
            Ok(events(chunks))
        });
        let llm = Stack::new().layer(Log::new().with_usage(usage)).over(service);
        let chunks: Vec<_> = llm.chat_stream(ChatRequest::user("x")).await.unwrap().collect().await;
        assert_eq!(chunks.len(), shown);
        assert_eq!(line().get(genai::USAGE_OUTPUT_TOKENS), tokens);
    }
}

#[tokio::test]
async fn all_layers_hear_the_tokens_of_a_stream_and_the_app_sees_what_it_asked_for() {
    for (options, shown) in [(json!(null), 1), (json!({ "include_usage": true }), 2)] {
        listen(Level::INFO);
        let service = MockProvider::answering(|request| {
            let asked = request.includes_usage() || request.extensions.get::<WantsUsage>().is_some();
            let told = asked.then(|| {
                Ok(json!({"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":7,"total_tokens":16}}))
            });
            let text = json!({"id":"1","model":"m","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]});
            Ok(events([Ok(text)].into_iter().chain(told)))
        });
        let prices =
            |_: &str, _: &str, usage: &Usage, _: SystemTime| Some(Money::new(usage.total_tokens, "USD"));
        let (ledger, counter) = (MemoryLedger::new(), MemoryCounter::new());
        let limit = RateLimit::new().tokens(100_000);
        let llm = Stack::new()
            .layer(Log::new().with_usage(true))
            .layer(Cost::new(prices).ledger(ledger.clone()))
            .layer(Cache::new())
            .layer(
                Budget::new("b", prices, "USD").day(1_000_000).counter(counter.clone()).clock(|| UNIX_EPOCH),
            )
            .layer(limit.clone())
            .over(service);
        let body = json!({"model":"m","messages":[],"stream":true,"temperature":0,"stream_options":options});
        // The second time it comes out of the cache.
        for cost in ["16 USD", "free"] {
            let answer = llm.send(Request::chat(&body).unwrap()).await.unwrap();
            let Body::Events(chunks) = answer.body else { panic!("a stream") };
            assert_eq!(chunks.count().await, shown, "{options}");
            assert_eq!(line().get(genai::USAGE_OUTPUT_TOKENS), Some("7"));
            assert_eq!(ledger.entries().last().map(|entry| entry.cost.to_string()).as_deref(), Some(cost));
        }
        assert_eq!(counter.sum("b/USD/day/1970-01-01/").await.unwrap(), 16.into());
        assert_eq!(limit.tokens_left(), Some(100_000 - 16));
    }
}

#[tokio::test]
async fn a_failure_is_one_line_too_at_warn_and_without_the_services_sentence() {
    listen(Level::INFO);
    let error = Error::new(ErrorKind::InsufficientBalance, "hush")
        .with_status(ErrorKind::InsufficientBalance.http_status())
        .with_provider("deepseek")
        .with_model("deepseek-flash")
        .with_request_id("req-2")
        .with_upstream_body("hush")
        .with_attempts(1);
    logged(MockProvider::error(error)).ask("hush").await.unwrap_err();
    let line = line();
    assert_eq!(line.level, Level::WARN);
    line.has(&[
        ("message", "call failed"),
        (genai::OUTCOME, "error"),
        (genai::ERROR_TYPE, "insufficient_balance"),
        (genai::HTTP_STATUS_CODE, "402"),
        (genai::PROVIDER_NAME, "deepseek"),
        (genai::REQUEST_MODEL, "deepseek-flash"),
        (genai::REQUEST_ID, "req-2"),
        (genai::ATTEMPTS, "1"),
    ])
    .lacks(&[genai::RESPONSE_MODEL, genai::USAGE_INPUT_TOKENS]);
    assert_eq!(span().get("otel.status_code").map(String::as_str), Some("ERROR"));
    assert!(!format!("{line:?}").contains("hush"));
}

#[tokio::test(start_paused = true)]
async fn tries_are_counted_in_the_line_and_each_failed_one_is_a_line_of_retry_at_debug() {
    let busy = || Error::new(ErrorKind::Overloaded, "too busy");
    let script = || [Err(busy()), Err(busy()), Ok(reply("Yes.", false))];
    for (level, count) in [(Level::INFO, 1), (Level::DEBUG, 3)] {
        listen(level);
        let llm = Stack::new().layer(told()).layer(Retry::new()).over(MockProvider::script(script()));
        llm.ask("Is water wet?").await.unwrap();
        let lines = lines();
        assert_eq!(lines.len(), count, "{lines:#?}");
        lines.last().unwrap().has(&[(genai::ATTEMPTS, "3"), (genai::OUTCOME, "ok")]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_a_line_when_it_has_ended_and_no_sooner() {
    listen(Level::INFO);
    let slow = MockProvider::answering(|_| {
        let pieces = [
            chunk(json!({ "role": "assistant", "content": "" })),
            chunk(json!({ "content": "9" })),
            chunk(json!({ "content": ".8" })),
            Ok(
                json!({ "id": "c1", "model": "m", "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] }),
            ),
            Ok(json!({ "choices": [], "usage": { "prompt_tokens": 9, "completion_tokens": 2 } })),
        ];
        let pieces = stream::iter(pieces).then(|piece| async move {
            sleep(Duration::from_millis(100)).await;
            piece.map(|piece| Event::new(piece.to_string()))
        });
        Ok(Response::new(Body::Events(EventStream::new(pieces.boxed()))))
    });
    let mut events = logged(slow).chat_stream(ChatRequest::user("?").model("m")).await.unwrap();
    for _ in 0..5 {
        events.next().await.unwrap().unwrap();
        assert!(lines().is_empty());
    }
    assert!(events.next().await.is_none());
    line()
        .has(&[
            (genai::OUTCOME, "ok"),
            (genai::REQUEST_STREAM, "true"),
            // The first event names the role only.
            (genai::RESPONSE_TIME_TO_FIRST_CHUNK, "0.2"),
            (genai::OPERATION_DURATION, "0.5"),
            (genai::RESPONSE_ID, "c1"),
            (genai::RESPONSE_FINISH_REASONS, "stop"),
            (genai::USAGE_INPUT_TOKENS, "9"),
            (genai::USAGE_OUTPUT_TOKENS, "2"),
            (genai::PROVIDER_NAME, "mock"),
        ])
        .lacks(&[genai::ASKED_MODEL]);
    drop(events);
    assert!(lines().is_empty());
}

#[tokio::test]
async fn a_stream_that_fails_is_a_line_at_warn() {
    listen(Level::INFO);
    let broken = MockProvider::script([Ok(events([chunk(json!({ "content": "9" })), Err(cut())]))]);
    logged(broken).chat_stream("?").await.unwrap().completion().await.unwrap_err();
    let line = line();
    assert_eq!(line.level, Level::WARN);
    line.has(&[
        (genai::OUTCOME, "error"),
        (genai::ERROR_TYPE, "interrupted"),
        (genai::RESPONSE_MODEL, "m"),
        (genai::PROVIDER_NAME, "mock"),
        (genai::ATTEMPTS, "1"),
    ]);
}

#[tokio::test]
async fn a_stream_that_is_dropped_was_cancelled_unless_it_had_said_all() {
    for (finish, outcome) in [(Value::Null, "cancelled"), (json!("stop"), "ok")] {
        listen(Level::INFO);
        let last = json!({ "choices": [{ "delta": { "content": "9" }, "finish_reason": finish }] });
        let long = MockProvider::script([Ok(events([Ok(last), chunk(json!({ "content": "." }))]))]);
        let mut stream = logged(long).chat_stream("?").await.unwrap();
        stream.next().await.unwrap().unwrap();
        drop(stream);
        let line = line();
        assert_eq!(line.level, Level::INFO);
        line.has(&[(genai::OUTCOME, outcome)]);
    }
}

/// Never answers.
#[derive(Debug)]
struct Silent;

#[async_trait]
impl Provider for Silent {
    fn name(&self) -> &str {
        "silent"
    }
    async fn send(&self, _: Request) -> Result<Response> {
        pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_before_it_was_answered_was_cancelled() {
    listen(Level::INFO);
    let llm = logged(Silent);
    let waited = tokio::time::timeout(Duration::from_secs(2), llm.ask("?")).await;
    assert!(waited.is_err());
    line()
        .has(&[
            (genai::OUTCOME, "cancelled"),
            (genai::OPERATION_DURATION, "2.0"),
            (genai::PROVIDER_NAME, "silent"),
        ])
        .lacks(&[genai::HTTP_STATUS_CODE]);
}

#[tokio::test]
async fn other_endpoints_are_named_and_their_paths_are_not() {
    for (path, operation) in [
        ("/responses", "chat"),
        ("/anthropic/v1/messages", "chat"),
        ("/completions", "text_completion"),
        ("/embeddings", "embeddings"),
        ("/files/hush", "files"),
        ("/audio/speech", "audio"),
        ("/hush", "other"),
    ] {
        listen(Level::INFO);
        let llm = logged(MockProvider::answering(|_| Response::json(&json!({ "id": "hush" }))));
        let body = modelswitch_provider::Document::from_serialize(&json!({ "model": "m" })).unwrap();
        let endpoint = Endpoint::new(Endpoint::CHAT_COMPLETIONS.method().clone(), path).unwrap();
        llm.send(Request::new(endpoint, body)).await.unwrap();
        let line = line();
        line.has(&[(genai::OPERATION_NAME, operation)]);
        assert!(!path.contains("hush") || !format!("{line:?}").contains("hush"), "{line:?}");
    }
}

#[tokio::test]
async fn bytes_are_followed_to_their_end_too() {
    listen(Level::INFO);
    let speech = MockProvider::answering(|_| {
        Ok(Response::new(Body::Other(bytes::Bytes::from_static(b"RIFF").into())))
    });
    let endpoint = Endpoint::new(Endpoint::CHAT_COMPLETIONS.method().clone(), "/audio/speech").unwrap();
    let answer = logged(speech).send(Request::new(endpoint, Payload::Empty)).await.unwrap();
    assert!(lines().is_empty());
    let Body::Other(mut bytes) = answer.body else { panic!("bytes stay bytes") };
    while bytes.next().await.is_some() {}
    line().has(&[(genai::OUTCOME, "ok"), (genai::OPERATION_NAME, "audio")]);
}

#[tokio::test]
async fn whoever_listens_to_warnings_only_hears_of_failures_alone() {
    listen(Level::WARN);
    logged(MockProvider::reply("Yes.")).ask("?").await.unwrap();
    assert!(lines().is_empty());
    let broken = MockProvider::script([Ok(events([chunk(json!({ "content": "9" })), Err(cut())]))]);
    logged(broken).chat_stream("?").await.unwrap().completion().await.unwrap_err();
    line().has(&[(genai::ERROR_TYPE, "interrupted")]);
}

#[tokio::test]
async fn what_is_said_meanwhile_stands_inside_of_the_span_and_the_line_outside() {
    listen(Level::DEBUG);
    let talks = layer_fn("talks", |inner, request| async move {
        tracing::debug!("on the way in");
        let Response { head, body } = inner.send(request).await?;
        let Body::Events(events) = body else { panic!("a stream was wanted") };
        let events = events.map_events(|event| {
            tracing::debug!("on the way out");
            event
        });
        Ok(Response { head, body: Body::Events(events) })
    });
    let llm = Stack::new().layer(told()).layer(talks).over(MockProvider::reply("Yes."));
    llm.chat_stream("?").await.unwrap().completion().await.unwrap();
    let (inside, outside): (Vec<Line>, Vec<Line>) =
        lines().into_iter().partition(|line| line.inside.is_some());
    assert_eq!((inside.len(), outside.len()), (4, 1), "{inside:#?} {outside:#?}");
    outside[0].has(&[("message", "call ended")]);
}

const HUSH: &str = "hush-hush";

/// A conversation with the word in every place that a text can stand in.
fn whispered(streamed: bool) -> Request {
    let mut request = Request::chat(&json!({
        "model": "m", "stream": streamed, "stop": HUSH, "user": HUSH, "metadata": { "x": HUSH },
        "tools": [{ "type": "function", "function": { "name": "weather", "description": HUSH } }],
        "messages": [
            { "role": "system", "content": HUSH },
            { "role": "user", "content": [{ "type": "text", "text": HUSH }, { "type": "image_url", "image_url": { "url": HUSH } }] },
            { "role": "assistant", "reasoning_content": HUSH, "tool_calls": [
                { "id": "call_1", "type": "function", "function": { "name": "weather", "arguments": HUSH } }] },
            { "role": "tool", "tool_call_id": "call_1", "content": HUSH },
        ],
    }))
    .unwrap();
    request.headers.insert("x-canary", HUSH.parse().unwrap());
    request.headers.insert("authorization", HUSH.parse().unwrap());
    request
}

fn whispers(streamed: bool) -> Response {
    let message = json!({ "role": "assistant", "content": HUSH, "reasoning_content": HUSH, "refusal": HUSH,
        "tool_calls": [{ "index": 0, "id": "call_2", "type": "function",
            "function": { "name": "weather", "arguments": HUSH } }] });
    let mut response = if streamed {
        events([Ok(json!({ "choices": [{ "delta": message, "finish_reason": "stop" }] }))])
    } else {
        Response::json(&json!({ "choices": [{ "message": message, "finish_reason": "stop" }] })).unwrap()
    };
    response.head.headers.insert("x-canary", HUSH.parse().unwrap());
    response
}

async fn talk(log: Log, streamed: bool) {
    let llm = Stack::new()
        .layer(log)
        .layer(Retry::new())
        .over(MockProvider::answering(|request| Ok(whispers(request.is_stream()))));
    if let Body::Events(mut events) = llm.send(whispered(streamed)).await.unwrap().body {
        while events.next().await.is_some() {}
    }
}

#[tokio::test]
async fn nothing_of_a_conversation_is_written_at_any_level() {
    for streamed in [false, true] {
        listen(Level::TRACE);
        talk(Log::new(), streamed).await;
        let everything = everything();
        assert!(everything.contains("call ended") && !everything.contains(HUSH), "{everything}");
    }
}

#[tokio::test]
async fn a_conversation_is_written_when_it_is_switched_on_and_somebody_listens_to_debug() {
    let log = Log::new().with_content(true);
    for streamed in [false, true] {
        listen(Level::INFO);
        talk(log, streamed).await;
        assert!(!everything().contains(HUSH));

        listen(Level::DEBUG);
        talk(log, streamed).await;
        let lines = lines();
        let content = lines.iter().find(|line| line.target == "modelswitch::content").unwrap();
        let messages = |name: &str| serde_json::from_str::<Value>(content.get(name).unwrap()).unwrap();
        assert_eq!(
            messages(genai::INPUT_MESSAGES),
            json!([
                { "role": "system", "parts": [{ "type": "text", "content": HUSH }] },
                { "role": "user", "parts": [{ "type": "text", "content": HUSH }, { "type": "image_url" }] },
                { "role": "assistant", "parts": [
                    { "type": "reasoning", "content": HUSH },
                    { "type": "tool_call", "id": "call_1", "name": "weather", "arguments": HUSH }] },
                { "role": "tool", "parts": [{ "type": "tool_call_response", "id": "call_1", "response": HUSH }] },
            ])
        );
        assert_eq!(
            messages(genai::OUTPUT_MESSAGES),
            json!([{ "role": "assistant", "finish_reason": "stop", "parts": [
                { "type": "reasoning", "content": HUSH },
                { "type": "text", "content": HUSH },
                { "type": "tool_call", "id": "call_2", "name": "weather", "arguments": HUSH }] }])
        );
        // The line itself stays as it is.
        let line = lines.iter().find(|line| line.target == "modelswitch::call").unwrap();
        assert!(!format!("{line:?}").contains(HUSH));
    }
}

#[tokio::test]
async fn content_is_bounded_and_what_looks_like_a_key_is_struck_out() {
    const KEY: &str = "sk-0123456789abcdef0123456789abcdef";
    listen(Level::DEBUG);
    let long = "é".repeat(100_000);
    let messages: Vec<Value> = (0..100)
        .map(|number| json!({ "role": "user", "content": format!("{number} {KEY} {long}") }))
        .collect();
    let request = Request::chat(&json!({ "model": KEY, "messages": messages })).unwrap();
    let echo = MockProvider::reply(format!("your key is {KEY} {long}"));
    Stack::new().layer(Log::new().with_content(true)).over(echo).send(request).await.unwrap();
    let everything = everything();
    assert!(everything.contains("99 [key]") && everything.contains("your key is [key]"));
    assert!(!everything.contains(KEY) && everything.len() < 200_000, "{}", everything.len());
    let lines = lines();
    let content = lines.iter().find(|line| line.target == "modelswitch::content").unwrap();
    assert_eq!(content.get(genai::MESSAGES_LEFT_OUT), Some("93"));
}

#[tokio::test]
async fn other_endpoints_have_content_too() {
    let log = Log::new().with_content(true);
    let cases = [
        (
            "/responses",
            json!({ "instructions": "Be brief.", "input": "Who?" }),
            json!({ "output": [{ "content": [{ "type": "output_text", "text": "Me." }] }] }),
        ),
        ("/completions", json!({ "prompt": "Who?" }), json!({ "choices": [{ "text": "Me." }] })),
        (
            "/anthropic/v1/messages",
            json!({ "system": "Be brief.", "messages": [{ "role": "user", "content": "Who?" }] }),
            json!({ "content": [{ "type": "text", "text": "Me." }] }),
        ),
    ];
    for (path, body, answer) in cases {
        listen(Level::DEBUG);
        let llm = Stack::new().layer(log).over(MockProvider::answering(move |_| Response::json(&answer)));
        let body = modelswitch_provider::Document::from_serialize(&body).unwrap();
        llm.send(Request::new(
            Endpoint::new(Endpoint::CHAT_COMPLETIONS.method().clone(), path).unwrap(),
            body,
        ))
        .await
        .unwrap();
        let everything = everything();
        assert!(everything.contains("Who?") && everything.contains("Me."), "{path}: {everything}");
    }
}
