//! The spans that a `Trace` and the layers under it make.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails loudly")]

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use http::StatusCode;
use modelswitch_layers::{Balance, Fallback, Retry, Stack, Target, Trace, genai, layer_fn};
use modelswitch_provider::mock::{MockProvider, events, reply};
use modelswitch_provider::{ChatRequest, Error, ErrorKind, Provider, ProviderExt, Result};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tracing::Level;

use crate::listener::*;

mod listener;

const SECOND: Duration = Duration::from_secs(1);

/// Takes a second for everything.
fn slowly(provider: impl Provider) -> Arc<dyn Provider> {
    let slow = layer_fn("slow", |inner, request| async move {
        sleep(SECOND).await;
        inner.send(request).await
    });
    Stack::new().layer(slow).over(provider)
}

fn busy() -> Error {
    Error::new(ErrorKind::Overloaded, "hush").with_status(StatusCode::SERVICE_UNAVAILABLE)
}

fn traced(provider: impl Provider) -> Arc<dyn Provider> {
    Stack::new().layer(Trace::new()).over(provider)
}

fn chunk(delta: Value) -> Result<Value> {
    Ok(json!({ "id": "c1", "model": "m", "choices": [{ "index": 0, "delta": delta }] }))
}

fn answering(model: &'static str) -> MockProvider {
    MockProvider::answering(move |request| Ok(reply(model, request.is_stream())))
}

/// What the spans are: name, number of the span around it, and some fields.
fn tree(fields: &[&str]) -> Vec<(&'static str, Option<usize>, Vec<String>)> {
    let spans = spans();
    let number = |id: u64| spans.keys().position(|known| *known == id);
    let shown = |span: &HeardSpan| {
        fields.iter().map(|field| span.get(field).unwrap_or_default().to_owned()).collect()
    };
    spans.values().map(|span| (span.name, span.inside.and_then(number), shown(span))).collect()
}

fn of(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

const TOLD: [&str; 4] = [genai::PROVIDER_NAME, genai::OUTCOME, genai::ERROR_TYPE, genai::ATTEMPT_DURATION];

#[tokio::test(start_paused = true)]
async fn each_try_is_a_span_in_that_of_the_call_with_target_kind_and_duration() {
    listen(Level::INFO);
    let script = [Err(busy()), Ok(reply("Yes.", false))];
    let service = slowly(MockProvider::script(script));
    let llm = Stack::new().layer(Trace::new()).layer(Retry::new()).over(service);
    llm.chat(ChatRequest::user("?").model("m")).await.unwrap();
    assert!(!everything().contains("hush"));
    let spans = spans();
    let of_try = spans.values().nth(1).unwrap();
    for (name, value) in [
        (genai::REQUEST_MODEL, "m"),
        (genai::HTTP_STATUS_CODE, "503"),
        (genai::ATTEMPT_DURATION, "1.0"),
        ("otel.status_code", "ERROR"),
    ] {
        assert_eq!(of_try.get(name), Some(value), "{of_try:#?}");
    }
    let shown: Vec<_> = spans.values().map(|span| (span.name, span.get(genai::OUTCOME))).collect();
    assert_eq!(shown, [("call", Some("ok")), ("attempt", Some("error")), ("attempt", Some("ok"))]);
    let call = *spans.keys().next().unwrap();
    assert!(spans.values().skip(1).all(|span| span.inside == Some(call)));
    assert_eq!(spans[&call].get(genai::ATTEMPTS), Some("2"));
}

#[tokio::test(start_paused = true)]
async fn a_target_of_a_fallback_is_a_span_and_holds_its_own_tries() {
    listen(Level::INFO);
    let down = Stack::new().layer(Retry::new().attempts(2)).over(MockProvider::error(busy()));
    let targets = [Target::new(down).model("a"), Target::new(answering("b")).model("b")];
    traced(Fallback::new("smart", targets)).ask("?").await.unwrap();
    assert_eq!(
        tree(&[genai::REQUEST_MODEL, genai::ERROR_TYPE]),
        [
            ("call", None, of(&["b", ""])),
            ("attempt", Some(0), of(&["a", "overloaded"])),
            ("attempt", Some(1), of(&["a", "overloaded"])),
            ("attempt", Some(1), of(&["a", "overloaded"])),
            ("attempt", Some(0), of(&["b", ""])),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_lost_was_cancelled() {
    listen(Level::INFO);
    let never = layer_fn("never", |_, _| std::future::pending());
    let silent = Stack::new().layer(never).over(answering("a"));
    let fallback = Fallback::new("smart", [Target::new(silent), Target::new(answering("b"))]);
    traced(fallback.hedge_after(3 * SECOND)).ask("?").await.unwrap();
    assert_eq!(
        tree(&TOLD[1..]),
        [
            ("call", None, of(&["ok", "", ""])),
            ("attempt", Some(0), of(&["cancelled", "", "3.0"])),
            ("attempt", Some(0), of(&["ok", "", "0.0"])),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_balanced_call_tells_its_attempts_too() {
    listen(Level::INFO);
    let targets = [Target::new(MockProvider::error(busy())), Target::new(slowly(answering("b")))];
    traced(Balance::new("both", targets)).ask("?").await.unwrap();
    assert_eq!(
        tree(&TOLD),
        [
            ("call", None, of(&["mock", "ok", "", ""])),
            ("attempt", Some(0), of(&["mock", "error", "overloaded", "0.0"])),
            ("attempt", Some(0), of(&["mock", "ok", "", "1.0"])),
        ]
    );
}

#[tokio::test]
async fn the_span_lives_as_long_as_the_stream_and_an_attempt_until_its_first_content() {
    listen(Level::INFO);
    let service = MockProvider::answering(|_| {
        Ok(events([chunk(json!({ "content": "9" })), chunk(json!({ "content": ".8" }))]))
    });
    let llm = Stack::new().layer(Trace::new()).layer(Retry::new()).over(service);
    let mut stream = llm.chat_stream("?").await.unwrap();
    assert!(everything().contains(genai::ATTEMPT_DURATION), "the attempt is over");
    while stream.next().await.is_some() {
        assert!(is_open());
    }
    assert!(!is_open());
    assert_eq!(tree(&[genai::OUTCOME])[0].2, ["ok"]);
}

#[tokio::test(start_paused = true)]
async fn whatever_is_dropped_was_cancelled() {
    listen(Level::INFO);
    let service =
        MockProvider::answering(|_| Ok(events([chunk(json!({ "content": "9" })), chunk(json!({}))])));
    let mut stream = traced(service).chat_stream("?").await.unwrap();
    stream.next().await;
    drop(stream);
    assert!(!is_open());
    assert_eq!(tree(&[genai::OUTCOME]), [("call", None, of(&["cancelled"]))]);

    let llm = Stack::new().layer(Trace::new()).layer(Retry::new()).over(slowly(answering("m")));
    assert!(timeout(SECOND / 2, llm.ask("?")).await.is_err());
    assert!(!is_open());
    let both = [("call", None, of(&["cancelled"])), ("attempt", Some(0), of(&["cancelled"]))];
    assert_eq!(tree(&[genai::OUTCOME]), both);
}

#[tokio::test]
async fn a_span_has_its_name_and_the_parameters_from_its_beginning() {
    listen(Level::INFO);
    let pending = layer_fn("pending", |_, _| async {
        let spans = spans();
        let (_, span) = spans.first_key_value().unwrap();
        for (name, value) in [
            ("otel.name", "chat fast"),
            ("otel.kind", "client"),
            (genai::OPERATION_NAME, "chat"),
            (genai::REQUEST_TEMPERATURE, "0.5"),
            (genai::REQUEST_TOP_P, "0.9"),
            (genai::REQUEST_SEED, "7"),
        ] {
            assert_eq!(span.get(name), Some(value), "{span:#?}");
        }
        Err(busy())
    });
    let request = ChatRequest::user("?").model("fast").temperature(0.5).set("top_p", 0.9).set("seed", 7);
    let llm = Stack::new().layer(Trace::new()).layer(pending).over(answering("m"));
    llm.chat(request).await.unwrap_err();
}

#[tokio::test]
async fn content_is_on_the_span_only_when_that_is_switched_on() {
    for content in [false, true] {
        for streamed in [false, true] {
            listen(Level::TRACE);
            let trace = Trace::new().with_content(content);
            let llm = Stack::new().layer(trace).layer(Retry::new()).over(MockProvider::reply("hush"));
            if streamed {
                llm.chat_stream("whisper").await.unwrap().completion().await.unwrap();
            } else {
                llm.ask("whisper").await.unwrap();
            }
            let everything = everything();
            assert_eq!(everything.contains("hush") && everything.contains("whisper"), content);
            assert_eq!(everything.contains("hush") || everything.contains("whisper"), content);
            let call = spans().pop_first().unwrap().1;
            let said =
                call.get(genai::OUTPUT_MESSAGES).map(|json| serde_json::from_str::<Value>(json).unwrap());
            assert_eq!(
                said.map(|said| said[0]["parts"][0]["content"].clone()),
                content.then(|| "hush".into())
            );
        }
    }
}

#[tokio::test]
async fn whoever_listens_to_warnings_only_gets_no_span() {
    listen(Level::WARN);
    let llm = Stack::new().layer(Trace::new()).layer(Retry::new()).over(answering("m"));
    llm.ask("?").await.unwrap();
    assert!(spans().is_empty() && lines().is_empty());
}
