use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use modelswitch_provider::mock::{MockProvider, events, reply};
use modelswitch_provider::{ChatRequest, Error, ErrorKind, Provider, ProviderExt, Request, Response, Result};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::*;
use crate::{Cache, Layer, Stack, layer_fn};

/// What was measured, as `name{label="…",…}`.
fn measured(calls: impl AsyncFnOnce()) -> BTreeMap<String, Vec<f64>> {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(calls()));
    shown(&snapshotter)
}

fn shown(snapshotter: &Snapshotter) -> BTreeMap<String, Vec<f64>> {
    let all = snapshotter.snapshot().into_vec().into_iter();
    all.map(|(key, _, _, value)| {
        let (_, key) = key.into_parts();
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let DebugValue::Histogram(values) = value else { panic!("a histogram") };
        let values = values.into_iter().map(|value| value.into_inner()).collect();
        (format!("{} {}", key.name(), labels.join(" ")), values)
    })
    .collect()
}

fn answer() -> Response {
    let mut response = Response::json(&json!({
        "model": "m-1", "choices": [{ "finish_reason": "stop", "message": { "content": "Yes." } }],
        "usage": { "prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16 }
    }))
    .unwrap();
    response.head.provider = Some("deepseek".into());
    response.head.model = Some("m".into());
    response
}

fn chunk(delta: Value) -> Result<Value> {
    Ok(json!({ "model": "m-1", "choices": [{ "index": 0, "delta": delta }] }))
}

fn question() -> ChatRequest {
    ChatRequest::user("Is water wet?").model("fast")
}

const WHO: &str = "gen_ai.operation.name=chat gen_ai.provider.name=deepseek gen_ai.request.model=m \
                   gen_ai.response.model=m-1";
const MOCK: &str = "gen_ai.operation.name=chat gen_ai.provider.name=mock gen_ai.request.model=fast";

#[track_caller]
fn check(measured: &BTreeMap<String, Vec<f64>>, wanted: &[(&str, &str, &[f64])]) {
    let wanted: BTreeMap<String, Vec<f64>> =
        wanted.iter().map(|(name, labels, values)| (format!("{name} {labels}"), values.to_vec())).collect();
    assert_eq!(*measured, wanted);
}

#[test]
fn an_answer_is_measured_under_the_names_of_the_conventions() {
    let measured = measured(async || {
        let slow = layer_fn("slow", |inner, request| async move {
            sleep(Duration::from_millis(1500)).await;
            inner.send(request).await
        });
        let service = MockProvider::answering(|_| Ok(answer()));
        let llm = Stack::new().layer(Metrics::new()).layer(slow).over(service);
        for _ in 0..2 {
            llm.chat(question()).await.unwrap();
        }
    });
    check(
        &measured,
        &[
            (genai::OPERATION_DURATION, &format!("{WHO} modelswitch.outcome=ok"), &[1.5, 1.5]),
            (genai::TOKEN_USAGE, &format!("{WHO} gen_ai.token.type=input"), &[9.0, 9.0]),
            (genai::TOKEN_USAGE, &format!("{WHO} gen_ai.token.type=output"), &[7.0, 7.0]),
        ],
    );
}

#[test]
fn a_stream_has_its_first_content_measured_and_its_tokens_where_they_are_told() {
    let measured = measured(async || {
        let service = MockProvider::answering(|_| {
            let usage = json!({ "model": "m-1", "choices": [], "usage": { "prompt_tokens": 9, "completion_tokens": 7 } });
            Ok(events([
                chunk(json!({ "role": "assistant" })),
                chunk(json!({ "content": "Yes." })),
                Ok(usage),
            ]))
        });
        let mut stream =
            Metrics::new().wrap(std::sync::Arc::new(service)).chat_stream(question()).await.unwrap();
        sleep(Duration::from_millis(250)).await;
        while stream.next().await.is_some() {
            sleep(Duration::from_millis(250)).await;
        }
    });
    let mock = format!("{MOCK} gen_ai.response.model=m-1");
    check(
        &measured,
        &[
            (genai::TIME_TO_FIRST_CHUNK, &mock, &[0.5]),
            (genai::OPERATION_DURATION, &format!("{mock} modelswitch.outcome=ok"), &[1.0]),
            (genai::TOKEN_USAGE, &format!("{mock} gen_ai.token.type=input"), &[9.0]),
            (genai::TOKEN_USAGE, &format!("{mock} gen_ai.token.type=output"), &[7.0]),
        ],
    );
}

#[test]
fn a_stream_that_is_dropped_was_cancelled_and_what_it_did_not_tell_is_not_counted() {
    let measured = measured(async || {
        let service =
            MockProvider::answering(|_| Ok(events([chunk(json!({ "content": "Y" })), chunk(json!({}))])));
        let mut stream =
            Metrics::new().wrap(std::sync::Arc::new(service)).chat_stream(question()).await.unwrap();
        stream.next().await;
    });
    let mock = format!("{MOCK} gen_ai.response.model=m-1");
    check(
        &measured,
        &[
            (genai::TIME_TO_FIRST_CHUNK, &mock, &[0.0]),
            (genai::OPERATION_DURATION, &format!("{mock} modelswitch.outcome=cancelled"), &[0.0]),
        ],
    );
}

#[test]
fn a_failure_has_its_kind_and_a_model_that_nobody_has_is_no_label() {
    for (kind, model) in
        [(ErrorKind::Overloaded, " gen_ai.request.model=fast"), (ErrorKind::ModelNotFound, "")]
    {
        let measured = measured(async || {
            let service = MockProvider::error(Error::new(kind, "no"));
            Metrics::new().wrap(std::sync::Arc::new(service)).chat(question()).await.unwrap_err();
        });
        let labels = format!(
            "gen_ai.operation.name=chat gen_ai.provider.name=mock{model} modelswitch.outcome=error error.type={kind}"
        );
        check(&measured, &[(genai::OPERATION_DURATION, &labels, &[0.0])]);
    }
}

#[test]
fn the_tokens_of_an_answer_out_of_the_cache_are_not_counted_again() {
    let measured = measured(async || {
        let service = MockProvider::answering(|_| Ok(answer()));
        let llm = Stack::new().layer(Metrics::new()).layer(Cache::new()).over(service);
        for _ in 0..3 {
            llm.chat(question()).await.unwrap();
        }
    });
    let count = |name: &str| -> usize {
        measured.iter().filter(|(key, _)| key.starts_with(name)).map(|(_, values)| values.len()).sum()
    };
    assert_eq!((count(genai::OPERATION_DURATION), count(genai::TOKEN_USAGE)), (3, 2), "{measured:#?}");
}

#[test]
fn what_is_no_question_to_a_model_has_a_duration_alone() {
    let measured = measured(async || {
        let service = MockProvider::answering(|_| Response::json(&json!({ "data": [] })));
        Metrics::new().wrap(std::sync::Arc::new(service)).send(Request::models()).await.unwrap();
    });
    let labels = "gen_ai.operation.name=models gen_ai.provider.name=mock modelswitch.outcome=ok";
    check(&measured, &[(genai::OPERATION_DURATION, labels, &[0.0])]);
}

#[test]
fn the_tokens_of_streams_are_asked_for_where_that_is_wanted() {
    for (usage, asked) in [(false, false), (true, true)] {
        measured(async || {
            let service = MockProvider::answering(move |request| {
                assert_eq!(request.extensions.get::<modelswitch_provider::WantsUsage>().is_some(), asked);
                Ok(reply("Yes.", true))
            });
            let llm = Metrics::new().with_usage(usage).wrap(std::sync::Arc::new(service));
            llm.chat_stream(question()).await.unwrap().completion().await.unwrap();
        });
    }
}

#[test]
fn a_recorder_is_told_units_and_meanings() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        Metrics::describe();
        for name in [genai::OPERATION_DURATION, genai::TIME_TO_FIRST_CHUNK, genai::TOKEN_USAGE] {
            metrics::histogram!(name).record(1.0);
        }
    });
    let told = snapshotter.snapshot().into_vec();
    assert!(told.iter().all(|(_, unit, meaning, _)| unit.is_some() && meaning.is_some()) && told.len() == 3);
}
