//! The table of error bodies over a real socket: each row through a provider and through a stock async-openai client, whole
//! and streamed. Whatever shape a service's refusal has, the app sees one.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails loudly")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_openai::error::OpenAIError;
use futures_util::StreamExt;
use modelswitch::prelude::*;
use modelswitch::provider::{Body, Request};
use modelswitch::{ApiKey, Error, ErrorKind};
use modelswitch_openai::{HttpClient, HttpService, OpenAiProvider, Profile};
use modelswitch_sim::{Script, Sim};
use modelswitch_tests::{ask, embedded};
use serde_json::json;

use self::row::{Row, Table, Wanted};

#[allow(dead_code, reason = "where a row is from is of account to the crate's own test")]
#[path = "../crates/modelswitch-openai/src/error/table/row.rs"]
mod row;

fn table() -> Table {
    let crates = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let path = crates.join("modelswitch-openai/tests/error_bodies.toml");
    toml::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn profile(service: &str) -> Profile {
    // Perplexity's chat completions ended on 2026-09-27; what it said of them is asked of a service that still has them.
    let name = if service == "perplexity" { "openai-compatible" } else { service };
    embedded(name)
}

impl Row {
    fn script(&self) -> Script {
        let mut script = match self.stream {
            true => Script::raw_sse(self.body.clone()),
            false => Script::status(self.status).body(self.body.clone()),
        };
        if !self.headers.contains_key("x-ds-trace-id") {
            // Instead of the simulator's own.
            script = script.header("x-ds-trace-id", "");
        }
        for (name, value) in self.headers.iter().filter(|(name, _)| *name != "content-type") {
            script = script.header(name, value);
        }
        match self.headers.get("content-type") {
            Some(content_type) => script.content_type(content_type),
            None => script.no_content_type(),
        }
    }

    /// What differs from what it must become; `None` when nothing does.
    fn difference(&self, error: &Error) -> Option<String> {
        let status = error.status().map(|status| status.as_u16()).unwrap_or(200);
        let same = self.wanted.is_met_by(&Wanted::of(error))
            && status == self.status
            && error.model() == Some("m")
            && error.attempts() == 1;
        (!same).then(|| format!("found {}", error.facts()))
    }
}

/// The error of a call, whole or streamed.
async fn door_two(provider: &OpenAiProvider, stream: bool) -> Option<Error> {
    let content = json!({"role": "user", "content": "hello there"});
    let request = Request::chat(&json!({"model": "m", "messages": [content], "stream": stream})).unwrap();
    match provider.send(request).await {
        Err(error) => Some(error),
        Ok(response) => match response.body {
            Body::Events(mut events) => loop {
                match events.next().await? {
                    Ok(_) => {}
                    Err(error) => break Some(error),
                }
            },
            _ => None,
        },
    }
}

async fn door_one(provider: &OpenAiProvider, stream: bool) -> Option<OpenAIError> {
    let client = HttpService::new(Arc::new(provider.clone())).client().unwrap();
    let request = ask("m", "hello there");
    if !stream {
        return client.chat().create(request).await.err();
    }
    let mut events = match client.chat().create_stream(request).await {
        Ok(events) => events,
        Err(error) => return Some(error),
    };
    while let Some(event) = events.next().await {
        if let Err(error) = event {
            return Some(error);
        }
    }
    None
}

/// All that differs in one row, door by door.
async fn differences(row: &Row, sim: &Sim, provider: &OpenAiProvider) -> Vec<String> {
    let mut found = Vec::new();
    for stream in [false, true] {
        sim.script(row.script().times(2));
        let two = door_two(provider, stream).await;
        let difference = two.as_ref().map_or(Some("no error".to_owned()), |error| row.difference(error));
        found.extend(difference.map(|what| format!("door 2, stream {stream}: {what}")));
        let one = door_one(provider, stream).await;
        let difference = match &one {
            Some(error) => match error.provider_error() {
                Some(provider_error) => {
                    row.difference(&provider_error).or_else(|| status_differs(row, error))
                }
                None => Some(format!("{error:?}")),
            },
            None => Some("no error".to_owned()),
        };
        found.extend(difference.map(|what| format!("door 1, stream {stream}: {what}")));
        sim.clear_scripts();
    }
    found
}

/// An app that looks at the status alone sees the service's own, or that of the kind where there is none. In the middle of
/// a stream async-openai has no status.
fn status_differs(row: &Row, error: &OpenAIError) -> Option<String> {
    let kind = ErrorKind::ALL.into_iter().find(|kind| kind.as_str() == row.wanted.kind)?;
    let wanted = if row.status >= 400 { row.status } else { kind.http_status().as_u16() };
    match error {
        OpenAIError::ApiError(api) if api.status_code.as_u16() == wanted => None,
        OpenAIError::ApiError(api) => Some(format!("status {}", api.status_code)),
        other => (!row.stream).then(|| format!("{other:?}")),
    }
}

#[tokio::test]
async fn every_row_of_the_table_is_the_same_error_at_every_door() {
    let table = table();
    let sim = Sim::start().await.unwrap();
    let http_client = HttpClient::new(Duration::from_secs(60)).unwrap();
    let mut all = Vec::new();
    for row in &table.row {
        let provider = OpenAiProvider::builder(profile(&row.service))
            .base_url(sim.base_url())
            .api_key(ApiKey::new(sim.key()).unwrap())
            .http_client(http_client.clone())
            .build()
            .unwrap();
        for what in differences(row, &sim, &provider).await {
            all.push(format!("{}: {}: {what}", row.service, row.name));
        }
    }
    assert!(all.is_empty(), "{} differ:\n{}", all.len(), all.join("\n"));
}
