//! What an app's tracing and metrics see of calls through a configured registry, over real sockets.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails loudly")]

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use modelswitch::{ApiKey, Registry};
use modelswitch_layers::genai;
use modelswitch_provider::{ChatRequest, ProviderExt};
use modelswitch_sim::{Script, Sim};
use tracing::Level;

use crate::listener::*;

#[path = "../crates/modelswitch-layers/tests/listener/mod.rs"]
mod listener;

/// Two simulated services, the first of which has too much to do, behind the alias `smart`.
fn registry(sims: [&Sim; 2], lines: &str) -> Registry {
    let sections = ["a", "b"].into_iter().zip(sims).map(|(name, sim)| {
        format!("[providers.{name}]\nprofile = 'deepseek'\nbase_url = '{}'\n", sim.base_url())
    });
    let text = format!(
        "{lines}\n[models]\nsmart = ['a/deepseek-flash', 'b/deepseek-v4-pro']\n[retry]\nattempts = 2\nbase_delay = '1ms'\n{}",
        sections.collect::<String>()
    );
    let builder = Registry::builder().without_file().environment([]).toml(text);
    let keyed = ["a", "b"]
        .into_iter()
        .zip(sims)
        .fold(builder, |builder, (name, sim)| builder.api_key(name, ApiKey::new(sim.key()).unwrap()));
    keyed.build().unwrap()
}

fn port(sim: &Sim) -> String {
    sim.base_url().trim_end_matches('/').rsplit(':').next().unwrap().split('/').next().unwrap().to_owned()
}

async fn stream(registry: &Registry) {
    let question = ChatRequest::user("9.11 or 9.8?").model("smart");
    registry.router().chat_stream(question).await.unwrap().completion().await.unwrap();
}

/// The sums of what was measured, by metric.
fn measured(snapshotter: &Snapshotter) -> Vec<(String, usize, f64)> {
    let mut all: Vec<_> = snapshotter
        .snapshot()
        .into_vec()
        .into_iter()
        .map(|(key, _, _, value)| {
            let (_, key) = key.into_parts();
            let label =
                |name: &str| key.labels().find(|label| label.key() == name).map(|label| label.value());
            assert_eq!(label(genai::PROVIDER_NAME), Some("b"));
            assert_eq!(label(genai::REQUEST_MODEL), Some("deepseek-v4-pro"));
            let DebugValue::Histogram(values) = value else { panic!("a histogram") };
            let sum = values.iter().map(|value| value.into_inner()).sum();
            (format!("{} {}", key.name(), label(genai::TOKEN_TYPE).unwrap_or_default()), values.len(), sum)
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

#[tokio::test]
async fn a_call_over_real_sockets_has_its_attempts_as_spans_and_is_measured_as_the_configuration_says() {
    let sims = [Sim::start().await.unwrap(), Sim::start().await.unwrap()];
    sims[0].script(Script::status(503).times(2));
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _listening = metrics::set_default_local_recorder(&recorder);
    listen(Level::INFO);
    stream(&registry([&sims[0], &sims[1]], "metrics = true\n[log]\nusage = true")).await;

    let spans: Vec<_> = spans().into_iter().collect();
    let told: Vec<_> = spans
        .iter()
        .map(|(_, span)| {
            let inside = spans.iter().position(|(id, _)| Some(*id) == span.inside);
            (span.name, inside, span.get(genai::PROVIDER_NAME).unwrap(), span.get(genai::ERROR_TYPE))
        })
        .collect();
    assert_eq!(
        told,
        [
            ("call", None, "b", None),
            ("attempt", Some(0), "a", Some("overloaded")),
            ("attempt", Some(1), "a", Some("overloaded")),
            ("attempt", Some(1), "a", Some("overloaded")),
            ("attempt", Some(0), "b", None),
            ("attempt", Some(4), "b", None),
        ]
    );
    let call = &spans[0].1;
    for (name, value) in [
        ("otel.name", "chat deepseek-v4-pro"),
        (genai::ASKED_MODEL, "smart"),
        (genai::OUTCOME, "ok"),
        (genai::ATTEMPTS, "3"),
        (genai::RESPONSE_FINISH_REASONS, "stop"),
    ] {
        assert_eq!(call.get(name), Some(value), "{call:#?}");
    }
    for (span, sim) in [(&spans[2].1, &sims[0]), (&spans[5].1, &sims[1])] {
        assert_eq!(span.get(genai::SERVER_ADDRESS), Some("127.0.0.1"));
        assert_eq!(span.get(genai::SERVER_PORT), Some(port(sim).as_str()));
    }

    let measured = measured(&snapshotter);
    let counts: Vec<_> = measured.iter().map(|(name, count, _)| (name.as_str(), *count)).collect();
    assert_eq!(
        counts,
        [
            ("gen_ai.client.operation.duration ", 1),
            ("gen_ai.client.operation.time_to_first_chunk ", 1),
            ("gen_ai.client.token.usage input", 1),
            ("gen_ai.client.token.usage output", 1),
        ]
    );
    for (position, name) in [(2, genai::USAGE_INPUT_TOKENS), (3, genai::USAGE_OUTPUT_TOKENS)] {
        assert_eq!(call.get(name), Some(measured[position].2.to_string().as_str()));
    }
}

#[tokio::test]
async fn spans_can_be_switched_off_and_measures_are_off_unless_switched_on() {
    let sims = [Sim::start().await.unwrap(), Sim::start().await.unwrap()];
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _listening = metrics::set_default_local_recorder(&recorder);
    listen(Level::INFO);
    stream(&registry([&sims[0], &sims[1]], "trace = false")).await;
    assert!(spans().is_empty());
    assert_eq!(lines().len(), 1);
    assert!(snapshotter.snapshot().into_vec().is_empty());
}
