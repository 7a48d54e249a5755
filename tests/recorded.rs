//! Recorded traffic of real services, where a folder with recordings is at hand: every answer goes through the adapter and
//! comes out as something that async-openai decodes, or as an error of a kind. A clone without recordings skips this.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails loudly")]

#[path = "recorded/every_service.rs"]
mod every_service;
#[path = "recorded/meaning.rs"]
mod meaning;
#[path = "recorded/other_endpoints.rs"]
mod other_endpoints;
#[path = "recorded/requests.rs"]
mod requests;
#[path = "recorded/samples.rs"]
mod samples;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_openai::types::responses::CreateResponseArgs;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use futures_util::StreamExt;
use modelswitch::deepseek::DeepSeek;
use modelswitch::prelude::*;
use modelswitch::provider::{Body, Document, Endpoint, Request};
use modelswitch::{ApiKey, Client, ErrorKind, HttpService, OpenAiProvider, Profile};
use modelswitch_sim::{Script, Sim};
use modelswitch_tests::{ask, one_try};
use serde_json::Value;

/// One recorded exchange a line.
fn recordings() -> Vec<(String, Value)> {
    jsonl(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures"))
}

/// The lines of all files in a folder, each with its file's name.
fn jsonl(folder: &Path) -> Vec<(String, Value)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).unwrap();
            found.extend(
                text.lines().filter_map(|line| Some((name.clone(), serde_json::from_str(line).ok()?))),
            );
        }
    }
    found
}

/// Some recorders keep bodies in base64.
fn body(exchange: &Value) -> String {
    let text = exchange["body"].as_str().unwrap_or_default();
    let packed: String = text.split_whitespace().collect();
    if text.contains('{') {
        return text.to_owned();
    }
    BASE64
        .decode(packed)
        .map_or_else(|_| text.to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn chat_recordings() -> Vec<(String, Value)> {
    let is_chat =
        |exchange: &Value| exchange["path"].as_str().is_some_and(|path| path.ends_with("/chat/completions"));
    recordings().into_iter().filter(|(_, exchange)| is_chat(exchange)).collect()
}

fn script(exchange: &Value) -> Script {
    let status = u16::try_from(exchange["status"].as_u64().unwrap()).unwrap();
    let script = Script::status(status).body(body(exchange));
    match exchange["headers"]["content-type"].as_str() {
        Some(kind) => script.content_type(kind),
        None => script.no_content_type(),
    }
}

fn is_stream(body: &str) -> bool {
    ["data:", "event:", ":"].iter().any(|mark| body.trim_start().starts_with(mark))
}

/// The JSON of a stream's events.
fn events(body: &str) -> Vec<Value> {
    body.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data:")?.trim()).ok()).collect()
}

/// One service at both doors, trying once after its own profile, or after none where nothing is known of it.
struct Doors {
    provider: Arc<OpenAiProvider>,
    service: HttpService,
    client: Client,
}

impl Doors {
    fn to(sim: &Sim, service: &str) -> Self {
        let known = Profile::embedded(service).or_else(|| Profile::embedded("openai-compatible"));
        let mut profile = known.unwrap();
        // What it said while it lived is still good to read.
        profile.gone = None;
        profile.gone_endpoints.clear();
        let builder = OpenAiProvider::builder(profile).base_url(sim.base_url()).default_model("m");
        let provider = Arc::new(builder.api_key(ApiKey::new(sim.key()).unwrap()).build().unwrap());
        let service = HttpService::new(provider.clone());
        let client = service.client().unwrap();
        Self { provider, service, client }
    }
}

/// Both doors to each service, made once: making them costs milliseconds.
struct AllDoors<'a> {
    sim: &'a Sim,
    made: BTreeMap<String, Doors>,
}

impl<'a> AllDoors<'a> {
    fn on(sim: &'a Sim) -> Self {
        Self { sim, made: BTreeMap::new() }
    }

    fn to(&mut self, service: &str) -> &Doors {
        self.made.entry(service.to_owned()).or_insert_with(|| Doors::to(self.sim, service))
    }
}

#[tokio::test]
async fn every_recorded_chat_decodes_through_door_one_or_is_an_error_of_its_kind() {
    let sim = Sim::start().await.unwrap();
    let mut failures = Vec::new();
    let recordings = chat_recordings();
    // One client a profile: making one costs milliseconds.
    let clients = ["deepseek", "openai-compatible"]
        .map(|profile| HttpService::new(Arc::new(one_try(&sim, profile))).client().unwrap());
    for (service, exchange) in &recordings {
        let client = &clients[usize::from(service != "deepseek")];
        let body = body(exchange);
        let is_stream = body.trim_start().starts_with("data:") || body.trim_start().starts_with(':');
        sim.clear_scripts();
        sim.script(script(exchange));
        let ok = exchange["status"] == 200;
        let outcome = if is_stream {
            match client.chat().create_stream(ask("m", "x")).await {
                Ok(stream) => stream.collect::<Vec<_>>().await.into_iter().find_map(Result::err),
                Err(error) => Some(error),
            }
        } else {
            client.chat().create(ask("m", "x")).await.err()
        };
        let kind = outcome.as_ref().map(|error| error.provider_error().map(|error| error.kind()));
        let as_wanted = match kind {
            None => ok,
            Some(Some(kind)) => !ok || kind == ErrorKind::Upstream,
            Some(None) => false,
        };
        if !as_wanted {
            failures.push(format!(
                "{} {}: {kind:?} {}",
                exchange["source"],
                exchange["status"],
                outcome.map(|error| error.to_string()).unwrap_or_default()
            ));
        }
        sim.clear_requests();
    }
    eprintln!("{} recorded chats went through", recordings.len());
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), recordings.len(), failures.join("\n"));
}

/// A recorded response or its stream, through `responses()` of an unmodified client.
#[tokio::test]
async fn every_recorded_response_decodes_through_door_one_or_is_an_error_of_its_kind() {
    let sim = Sim::start().await.unwrap();
    let client = HttpService::new(Arc::new(one_try(&sim, "openai-compatible"))).client().unwrap();
    let is_response = |exchange: &Value| {
        exchange["method"] == "POST"
            && exchange["path"].as_str().is_some_and(|path| path.ends_with("/responses"))
    };
    let mut failures = Vec::new();
    for (_, exchange) in recordings().into_iter().filter(|(_, exchange)| is_response(exchange)) {
        sim.clear_scripts();
        sim.script(script(&exchange));
        let request = CreateResponseArgs::default().model("m").input("x").build().unwrap();
        let is_stream =
            ["event:", "data:", ":"].iter().any(|mark| body(&exchange).trim_start().starts_with(mark));
        let error = if is_stream {
            match client.responses().create_stream(request).await {
                Ok(stream) => stream.collect::<Vec<_>>().await.into_iter().find_map(Result::err),
                Err(error) => Some(error),
            }
        } else {
            client.responses().create(request).await.err()
        };
        let as_wanted = match error.as_ref().map(|error| error.provider_error()) {
            None => exchange["status"] == 200,
            Some(Some(_)) => exchange["status"] != 200,
            Some(None) => false,
        };
        if !as_wanted {
            failures.push(format!("{} {}: {error:?}", exchange["source"], exchange["status"]));
        }
        sim.clear_requests();
    }
    assert!(failures.is_empty(), "{}:\n{}", failures.len(), failures.join("\n"));
}

/// What async-openai's types have no room for; it is in the capture.
const NO_ROOM: [&str; 4] =
    ["/reasoning_content", "/prompt_cache_hit_tokens", "/prompt_cache_miss_tokens", "/tool_calls/*/index"];

/// A message's calls are numbered by their place in async-openai's types, and a chunk's are not.
fn has_no_room(path: &str) -> bool {
    NO_ROOM.iter().any(|place| starred(path).contains(place))
}

/// A path without the places in lists.
fn starred(path: &str) -> String {
    path.split('/')
        .skip(1)
        .map(|part| if part.parse::<usize>().is_ok() { "/*".to_owned() } else { format!("/{part}") })
        .collect()
}

/// Every field of every recorded DeepSeek answer, whole or in pieces, through both doors.
#[tokio::test]
async fn no_field_of_a_recorded_deepseek_answer_is_lost_through_any_door() {
    let sim = Sim::start().await.unwrap();
    let key = modelswitch::ApiKey::new(sim.key()).unwrap();
    let llm = DeepSeek::connect(DeepSeek::builder().base_url(sim.base_url()).api_key(key)).unwrap();
    let door = modelswitch::deepseek::service(llm.clone());
    let client = door.client().unwrap();
    let (mut whole, mut streamed) = (0, 0);
    for (_, exchange) in
        chat_recordings().into_iter().filter(|(name, one)| name == "deepseek" && one["status"] == 200)
    {
        let source = &exchange["source"];
        let body = body(&exchange);
        let again = || {
            sim.clear_scripts();
            sim.clear_requests();
            sim.script(script(&exchange));
            door.capture()
        };
        let capture = again();
        if let Ok(recorded) = serde_json::from_str::<Value>(&body) {
            whole += 1;
            let reply = client.chat().headers(capture.headers()).create(ask("m", "x")).await.unwrap();
            let reasoning = &recorded["choices"][0]["message"]["reasoning_content"];
            assert_eq!(
                reply.reasoning_content().as_deref(),
                reasoning.as_str().filter(|text| !text.is_empty()),
                "{source}"
            );
            nothing_lost(&recorded, &serde_json::to_value(&reply).unwrap(), has_no_room, source);
            nothing_lost(&recorded, &capture.completion().unwrap().to_wire().unwrap(), |_| false, source);
            again();
            nothing_lost(&recorded, &llm.chat("x").await.unwrap().to_wire().unwrap(), |_| false, source);
            continue;
        }
        streamed += 1;
        let recorded: Vec<Value> = body
            .lines()
            .filter_map(|line| serde_json::from_str(line.strip_prefix("data:")?.trim()).ok())
            .collect();
        let stream = client.chat().headers(capture.headers()).create_stream(ask("m", "x")).await.unwrap();
        let shown: Vec<_> = stream.map(Result::unwrap).collect().await;
        assert_eq!(recorded.len(), shown.len(), "{source}");
        for (recorded, shown) in recorded.iter().zip(&shown) {
            let reasoning = &recorded["choices"][0]["delta"]["reasoning_content"];
            assert_eq!(
                shown.reasoning_content().as_deref(),
                reasoning.as_str().filter(|text| !text.is_empty()),
                "{source}"
            );
            nothing_lost(recorded, &serde_json::to_value(shown).unwrap(), has_no_room, source);
        }
        again();
        let chunks: Vec<_> = llm.chat_stream("x").await.unwrap().map(Result::unwrap).collect().await;
        assert_eq!(recorded.len(), chunks.len(), "{source}");
        for (recorded, chunk) in recorded.iter().zip(&chunks) {
            nothing_lost(recorded, &chunk.to_wire().unwrap(), |_| false, source);
        }
        again();
        let collected = llm.chat_stream("x").await.unwrap().completion().await.unwrap();
        assert_eq!(
            capture.completion().unwrap().to_wire::<Value>().unwrap(),
            collected.to_wire::<Value>().unwrap()
        );
        assert!(collected.usage.is_some(), "{source}");
    }
    eprintln!("{whole} whole answers and {streamed} streams went through both doors");
}

/// DeepSeek's recorded responses, its models and its errors, through the adapter: every field, word and status.
#[tokio::test]
async fn no_field_of_deepseeks_other_recordings_is_lost_either() {
    let sim = Sim::start().await.unwrap();
    let key = modelswitch::ApiKey::new(sim.key()).unwrap();
    let llm = DeepSeek::connect(DeepSeek::builder().base_url(sim.base_url()).api_key(key)).unwrap();
    let mut count = 0;
    for (_, exchange) in recordings().into_iter().filter(|(name, _)| name == "deepseek") {
        let (path, source) = (exchange["path"].as_str().unwrap(), &exchange["source"]);
        let is_chat = path.ends_with("/chat/completions");
        if is_chat && exchange["status"] == 200 {
            continue;
        }
        count += 1;
        sim.clear_scripts();
        sim.clear_requests();
        sim.script(script(&exchange));
        let body = body(&exchange);
        let streams = body.trim_start().starts_with("event:");
        let request = match path {
            "/models" => Request::models(),
            "/responses" => {
                let body = serde_json::json!({"model":"deepseek-flash","input":"x","stream":streams});
                Request::new(Endpoint::RESPONSES, Document::from_serialize(&body).unwrap())
            }
            _ => ChatRequest::user("x").into_request().unwrap(),
        };
        match llm.send(request).await {
            Err(error) => {
                let said: Value = serde_json::from_str(&body).unwrap();
                assert_eq!(error.status().unwrap().as_u16(), exchange["status"].as_u64().unwrap() as u16);
                assert_eq!(error.upstream_type(), said["error"]["type"].as_str(), "{source}");
                assert_eq!(Some(error.message()), said["error"]["message"].as_str(), "{source}");
            }
            Ok(response) => match response.body {
                Body::Json(json) => {
                    let recorded = serde_json::from_str(&body).unwrap();
                    nothing_lost(&recorded, &serde_json::from_slice(&json).unwrap(), |_| false, source);
                }
                Body::Events(events) => {
                    let recorded: Vec<Value> = body
                        .lines()
                        .filter_map(|line| serde_json::from_str(line.strip_prefix("data:")?.trim()).ok())
                        .collect();
                    let shown: Vec<Value> =
                        events.map(|event| event.unwrap().json().unwrap()).collect().await;
                    assert_eq!(recorded.len(), shown.len(), "{source}");
                    for (recorded, shown) in recorded.iter().zip(&shown) {
                        nothing_lost(recorded, shown, |_| false, source);
                    }
                }
                other => panic!("{source}: {other:?}"),
            },
        }
    }
    eprintln!("{count} other recordings of DeepSeek went through");
}

#[track_caller]
fn nothing_lost(recorded: &Value, shown: &Value, excepted: fn(&str) -> bool, source: &Value) {
    let path = lost(recorded, shown, "", excepted);
    assert!(path.is_none(), "{source} lost {path:?}");
}

/// The path of the first value that is in the recording and not in the answer; `null` and missing are the same, and numbers are
/// as precise as the app's type.
fn lost(recorded: &Value, shown: &Value, path: &str, excepted: fn(&str) -> bool) -> Option<String> {
    if excepted(path) {
        return None;
    }
    match (recorded, shown) {
        (Value::Null, _) => None,
        (Value::Object(members), _) => members.iter().find_map(|(name, value)| {
            lost(value, &shown[name.as_str()], &format!("{path}/{name}"), excepted)
        }),
        (Value::Array(items), _) => items
            .iter()
            .enumerate()
            .find_map(|(index, value)| lost(value, &shown[index], &format!("{path}/{index}"), excepted)),
        (Value::Number(one), Value::Number(other)) => {
            let close = |one: f64, other: f64| (one - other).abs() <= one.abs() * 1e-6;
            (!close(one.as_f64()?, other.as_f64()?)).then(|| path.to_owned())
        }
        (other, _) => (other != shown).then(|| path.to_owned()),
    }
}
