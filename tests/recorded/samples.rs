//! Samples of our own writing, after the shapes of each service: a whole answer, a stream, a call, a thought and an error.
//! They are here for everybody; the recordings, which are other people's, are not.

use std::collections::BTreeSet;

use modelswitch_sim::Sim;
use serde_json::Value;

use super::every_service::through_the_doors;
use super::meaning::Meaning;
use super::*;

/// One sample a line, by the service that its file is named after.
fn samples() -> Vec<(String, Value)> {
    jsonl(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("samples"))
}

/// What a sample says that it means.
fn wanted(sample: &Value) -> Meaning {
    let text = |name: &str| sample[name].as_str().unwrap_or_default().to_owned();
    let calls = sample["calls"].as_array().into_iter().flatten();
    let tokens = sample["tokens"].as_array();
    Meaning {
        text: text("text"),
        reasoning: text("reasoning"),
        calls: calls.map(|call| (call[0].as_str().unwrap().to_owned(), call[1].clone())).collect(),
        finish: sample["finish"].as_str().map(str::to_owned),
        tokens: tokens.map(|pair| (pair[0].as_u64().unwrap(), pair[1].as_u64().unwrap())),
    }
}

/// A sample as a recording.
fn exchange(sample: &Value) -> Value {
    serde_json::json!({
        "status": sample["status"], "body": sample["body"], "headers": { "content-type": sample["content_type"] },
    })
}

#[tokio::test]
async fn a_sample_of_each_service_means_the_same_at_both_doors() {
    let sim = Sim::start().await.unwrap();
    let (mut doors, mut failures) = (AllDoors::on(&sim), Vec::new());
    for (service, sample) in samples().into_iter().filter(|(_, sample)| sample["error"].is_null()) {
        for (door, shown) in through_the_doors(&sim, doors.to(&service), &exchange(&sample)).await {
            let difference = match shown {
                Ok(shown) => wanted(&sample).difference(&shown),
                Err(error) => Some(error),
            };
            if let Some(difference) = difference {
                failures.push(format!("{service} {} {door}: {difference}", sample["what"]));
            }
        }
        sim.clear_requests();
    }
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}

#[tokio::test]
async fn an_error_of_each_service_is_of_its_kind_at_both_doors() {
    let sim = Sim::start().await.unwrap();
    let (mut doors, mut failures) = (AllDoors::on(&sim), Vec::new());
    for (service, sample) in samples().into_iter().filter(|(_, sample)| sample["error"].is_string()) {
        let Doors { client, provider, .. } = doors.to(&service);
        let streams = sample["content_type"] == "text/event-stream";
        sim.clear_scripts();
        (0..2).for_each(|_| sim.script(script(&exchange(&sample))));
        let typed = if streams {
            match client.chat().create_stream(ask("m", "x")).await {
                Ok(stream) => stream.collect::<Vec<_>>().await.into_iter().find_map(Result::err),
                Err(error) => Some(error),
            }
        } else {
            client.chat().create(ask("m", "x")).await.err()
        };
        let traits = if streams {
            match provider.chat_stream("x").await {
                Ok(stream) => stream.collect::<Vec<_>>().await.into_iter().find_map(Result::err),
                Err(error) => Some(error),
            }
        } else {
            provider.chat("x").await.err()
        };
        let typed = typed.and_then(|error| error.provider_error());
        for (door, error) in [("door 1", typed), ("door 2", traits)] {
            let kind = error.as_ref().map(|error| error.kind().as_str());
            if kind != sample["error"].as_str() {
                failures.push(format!("{service} {door}: {kind:?} and not {}", sample["error"]));
            }
        }
    }
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn each_service_has_a_sample_of_everything() {
    let samples = samples();
    let services: BTreeSet<&str> = samples.iter().map(|(service, _)| service.as_str()).collect();
    assert!(services.len() >= 28, "{}", services.len());
    for service in services {
        assert!(Profile::embedded(service).is_some(), "{service}.jsonl is named after a profile");
        for what in ["whole", "stream", "call", "reasoning", "error"] {
            let has = |(name, sample): &(String, Value)| name == service && sample["what"] == what;
            assert!(samples.iter().any(has), "{service} has no {what}");
        }
    }
}
