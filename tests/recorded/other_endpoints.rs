//! Vectors and lists of models of every service, through both doors.

use std::fmt::Debug;

use async_openai::error::OpenAIError;
use async_openai::types::embeddings::CreateEmbeddingRequestArgs;
use modelswitch::Error;
use modelswitch::provider::EmbeddingRequest;
use modelswitch_sim::Sim;
use serde_json::Value;

use super::*;

/// What the two doors make of an answer, and of the same once more.
type Both<T> = (std::result::Result<T, OpenAIError>, std::result::Result<T, Error>);

/// Sends each recording of an endpoint through both doors: `ask` has them, and a way to have the answer sent again; `wanted` is
/// what stands in the recording.
async fn all_come_through<T: PartialEq + Debug>(
    (method, end): (&str, &str),
    wanted: fn(&Value) -> T,
    ask: impl AsyncFn(&Doors, &dyn Fn()) -> Both<T>,
) {
    let is_there = |exchange: &Value| {
        let path = exchange["path"].as_str().unwrap_or_default();
        exchange["method"] == method && path.split('?').next().is_some_and(|path| path.ends_with(end))
    };
    let sim = Sim::start().await.unwrap();
    let (mut doors, mut count, mut failures) = (AllDoors::on(&sim), 0, Vec::new());
    for (service, exchange) in recordings().into_iter().filter(|(_, exchange)| is_there(exchange)) {
        count += 1;
        let again = || {
            sim.clear_scripts();
            sim.script(script(&exchange));
        };
        let wanted = wanted(&serde_json::from_str(&body(&exchange)).unwrap_or_default());
        let (typed, traits) = ask(doors.to(&service), &again).await;
        let is_fine = exchange["status"] == 200;
        let fits = match (&typed, &traits) {
            (Ok(typed), Ok(traits)) => is_fine && *typed == wanted && *traits == wanted,
            (Err(_), Err(error)) => {
                let status = error.status().map(|status| u64::from(status.as_u16()));
                !is_fine && status == exchange["status"].as_u64()
            }
            _ => false,
        };
        if !fits {
            failures.push(format!("{service} {}: {wanted:?}, {typed:?}, {traits:?}", exchange["source"]));
        }
    }
    eprintln!("{count} recorded answers of {end} came through both doors");
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}

#[tokio::test]
async fn every_recorded_vector_comes_through_both_doors_or_is_an_error_with_its_status() {
    let vectors = |body: &Value| body["data"].as_array().map_or(0, Vec::len);
    all_come_through(("POST", "/embeddings"), vectors, async |Doors { client, provider, .. }, again| {
        let request = CreateEmbeddingRequestArgs::default().model("m").input("x").build().unwrap();
        again();
        let typed = client.embeddings().create(request).await.map(|answer| answer.data.len());
        again();
        (typed, provider.embed(EmbeddingRequest::new(["x"])).await.map(|answer| answer.data.len()))
    })
    .await;
}

#[tokio::test]
async fn every_recorded_list_of_models_comes_through_both_doors_or_is_an_error_with_its_status() {
    let ids = |body: &Value| {
        let list = body.as_array().or_else(|| body["data"].as_array());
        list.into_iter()
            .flatten()
            .filter_map(|model| Some(model["id"].as_str()?.to_owned()))
            .collect::<Vec<_>>()
    };
    all_come_through(("GET", "/models"), ids, async |Doors { client, provider, .. }, again| {
        again();
        let typed = client.models().list().await;
        again();
        let traits = provider.models().await;
        (
            typed.map(|list| list.data.into_iter().map(|model| model.id).collect()),
            traits.map(|list| list.into_iter().map(|model| model.id).collect()),
        )
    })
    .await;
}
