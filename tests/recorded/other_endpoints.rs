//! Vectors and lists of models of every service, through both doors.

use async_openai::types::embeddings::CreateEmbeddingRequestArgs;
use modelswitch::provider::EmbeddingRequest;
use modelswitch_sim::Sim;
use serde_json::Value;

use super::*;

fn recorded_at(method: &str, end: &str) -> Vec<(String, Value)> {
    let is_there = |exchange: &Value| {
        let path = exchange["path"].as_str().unwrap_or_default();
        exchange["method"] == method && path.split('?').next().is_some_and(|path| path.ends_with(end))
    };
    recordings().into_iter().filter(|(_, exchange)| is_there(exchange)).collect()
}

#[tokio::test]
async fn every_recorded_vector_comes_through_both_doors_or_is_an_error_with_its_status() {
    let sim = Sim::start().await.unwrap();
    let (mut doors, mut count, mut failures) = (AllDoors::on(&sim), 0, Vec::new());
    for (service, exchange) in recorded_at("POST", "/embeddings") {
        count += 1;
        let again = || {
            sim.clear_scripts();
            sim.script(script(&exchange));
        };
        let Doors { client, provider, .. } = doors.to(&service);
        let wanted = serde_json::from_str::<Value>(&body(&exchange))
            .map_or(0, |body| body["data"].as_array().map_or(0, Vec::len));
        let request = CreateEmbeddingRequestArgs::default().model("m").input("x").build().unwrap();
        again();
        let typed = client.embeddings().create(request).await.map(|answer| answer.data.len());
        again();
        let traits = provider.embed(EmbeddingRequest::new(["x"])).await.map(|answer| answer.data.len());
        let is_fine = exchange["status"] == 200;
        let fits = match (&typed, &traits) {
            (Ok(typed), Ok(traits)) => is_fine && *typed == wanted && *traits == wanted,
            (Err(_), Err(error)) => {
                !is_fine
                    && error.status().map(|status| u64::from(status.as_u16())) == exchange["status"].as_u64()
            }
            _ => false,
        };
        if !fits {
            failures
                .push(format!("{service} {}: {wanted} vectors, {typed:?}, {traits:?}", exchange["source"]));
        }
    }
    eprintln!("{count} recorded answers with vectors came through both doors");
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}

#[tokio::test]
async fn every_recorded_list_of_models_comes_through_both_doors_or_is_an_error_with_its_status() {
    let sim = Sim::start().await.unwrap();
    let (mut doors, mut count, mut failures) = (AllDoors::on(&sim), 0, Vec::new());
    for (service, exchange) in recorded_at("GET", "/models") {
        count += 1;
        let again = || {
            sim.clear_scripts();
            sim.script(script(&exchange));
        };
        let Doors { client, provider, .. } = doors.to(&service);
        let body: Value = serde_json::from_str(&body(&exchange)).unwrap_or_default();
        let list = body.as_array().or_else(|| body["data"].as_array());
        let wanted: Vec<&str> = list.into_iter().flatten().filter_map(|model| model["id"].as_str()).collect();
        again();
        let typed = client.models().list().await;
        again();
        let traits = provider.models().await;
        let fits = match (&typed, &traits) {
            (Ok(typed), Ok(traits)) => {
                typed.data.iter().map(|model| &*model.id).eq(wanted.iter().copied())
                    && traits.iter().map(|model| &*model.id).eq(wanted.iter().copied())
            }
            (Err(_), Err(error)) => {
                error.status().map(|status| u64::from(status.as_u16())) == exchange["status"].as_u64()
            }
            _ => false,
        };
        if !fits {
            failures.push(format!("{service} {}: {} models", exchange["source"], wanted.len()));
        }
    }
    eprintln!("{count} recorded lists of models came through both doors");
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}
