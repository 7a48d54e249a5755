//! What the layers log. One test in a program of its own: while one thread listens, tracing lets another thread's first
//! visit to the same line switch that line off.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use modelswitch_layers::{Layer, ReasoningOrigin, Retry, Stack};
use modelswitch_provider::mock::MockProvider;
use modelswitch_provider::{Error, ErrorKind, Provider, ProviderExt, Request, Response};
use serde_json::json;
use tracing::field::Field;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Writes a line for each event, with all its fields.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Log {
    fn write(&self, text: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_str(text);
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("modelswitch")
    }
    fn event(&self, event: &Event<'_>) {
        event.record(&mut |field: &Field, value: &dyn Debug| self.write(&format!("{field}={value:?} ")));
        self.write("\n");
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn the_layers_write_lines_without_anything_that_a_user_typed_or_paid_for() {
    a_retried_try_is_a_line().await;
    reasoning_that_is_left_out_is_a_line().await;
}

async fn a_retried_try_is_a_line() {
    let log = Log::default();
    let listening = tracing::subscriber::set_default(log.clone());
    let error = Error::new(ErrorKind::Upstream, "hush").with_upstream_body("hush");
    let llm = Stack::new().layer(Retry::new().attempts(3)).over(MockProvider::error(error));
    llm.ask("hush").await.unwrap_err();
    drop(listening);

    let log = log.0.lock().unwrap().clone();
    assert_eq!(log.lines().count(), 2, "{log}");
    assert!(
        log.lines().all(|line| line.contains("gen_ai.provider.name=\"mock\" error.type=\"upstream\" wait=")),
        "{log}"
    );
    assert!(!log.contains("hush") && !format!("{llm:?}").contains("hush"));
}

async fn reasoning_that_is_left_out_is_a_line() {
    let thinker = |name: &str| -> Arc<dyn Provider> {
        let mut mock = MockProvider::new();
        mock.expect_name().return_const(name.to_owned());
        mock.expect_send().returning(|_| {
            Response::json(&json!({ "choices": [{ "message": { "reasoning_content": "hush" } }] }))
        });
        Arc::new(mock)
    };
    let origin = ReasoningOrigin::default();
    let (a, b) = (origin.wrap(thinker("a")), origin.wrap(thinker("b")));
    let history = Request::chat(&json!({ "messages": [{ "reasoning_content": "hush" }] })).unwrap();
    a.send(history.clone()).await.unwrap();

    let log = Log::default();
    let listening = tracing::subscriber::set_default(log.clone());
    a.send(history.clone()).await.unwrap();
    let answer = b.send(history).await.unwrap();
    drop(listening);

    let log = log.0.lock().unwrap().clone();
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.contains("gen_ai.provider.name=\"b\" members=1"), "{log}");
    assert!(!format!("{log} {:?} {b:?}", answer.head).contains("hush"));
}
