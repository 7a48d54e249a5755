//! Recorded DeepSeek traffic, asked again of the simulator, where a folder with recordings is at hand: the answers must have
//! the same shape, or the simulator is wrong. A clone without recordings skips this.
//!
//! A shape is the status, the content type, the end of the stream, and for each kind of body or chunk the set of JSON paths
//! with the types of what is there. Values, lengths of lists and what the model was free to choose (whether it spoke, called
//! a tool or thought for long) are of no account.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails loudly")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use modelswitch_sim::Sim;
use serde_json::{Value, json};

/// Exchanges that differ for a known reason, by a part of their source. They are not compared.
const ACCEPTED: [(&str, &str); 3] = [
    // Tools, thinking, and an assistant's message that called none, without its thoughts: refused by today's rule, taken in
    // August 2026.
    ("prompt_caching/blocking_probe.yaml#2", "reasoning_content of a turn without calls"),
    ("prompt_caching/streaming_probe.yaml#2", "reasoning_content of a turn without calls"),
    // The guide of September 2026 says that built-in tools are ignored.
    ("searches_server-side_and_records_the_search_turns", "web_search on responses"),
];

/// What an answer has only if the model chose so, by the beginning of its path.
const FREE: [&str; 3] =
    [".choices[].message.tool_calls", ".choices[].logprobs.content", ".choices[].logprobs.reasoning_content"];

type Shape = BTreeSet<String>;

/// The kinds with their paths, of many answers.
type Kinds = BTreeSet<String>;

/// An answer without its values.
#[derive(Debug)]
struct Seen {
    status: u64,
    content_type: String,
    /// By kind of body, chunk or event.
    shapes: BTreeMap<String, BTreeSet<Shape>>,
    /// The last thing in a stream, if it is no JSON.
    end: Option<String>,
}

#[tokio::test]
async fn every_recorded_request_is_answered_in_the_recorded_shape() {
    let sim = Sim::start().await.unwrap();
    let client = reqwest::Client::new();
    let (mut same, mut accepted, mut failures) = (0, 0, Vec::new());
    let (mut ever_recorded, mut ever_simulated) = (Kinds::new(), Kinds::new());
    for exchange in recordings() {
        let source = exchange["source"].as_str().unwrap();
        if ACCEPTED.iter().any(|(part, _)| source.contains(part)) {
            accepted += 1;
            continue;
        }
        let recorded = seen_in(&exchange);
        let simulated = replay(&sim, &client, &exchange).await;
        let differences = differences(&recorded, &simulated);
        gather(&mut ever_recorded, &recorded);
        gather(&mut ever_simulated, &simulated);
        sim.clear_requests();
        if differences.is_empty() {
            same += 1;
        } else {
            failures.push(format!("{source}\n    {}", differences.join("\n    ")));
        }
    }
    eprintln!(
        "{same} recorded requests were answered in the same shape, {accepted} differ for a known reason"
    );
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
    // What was left out of single comparisons must be the same in sum.
    let only = |one: &Kinds, other: &Kinds| one.difference(other).cloned().collect::<Vec<_>>();
    assert_eq!(only(&ever_recorded, &ever_simulated), [""; 0], "never simulated");
    assert_eq!(only(&ever_simulated, &ever_recorded), [""; 0], "never recorded");
}

/// One recorded exchange a line.
fn recordings() -> Vec<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures/deepseek.jsonl");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn seen_in(exchange: &Value) -> Seen {
    let text = exchange["body"].as_str().unwrap_or_default();
    let packed: String = text.split_whitespace().collect();
    // Some recorders keep bodies in base64.
    let text = match BASE64.decode(packed) {
        Ok(bytes) if !text.contains('{') => String::from_utf8(bytes).unwrap(),
        _ => text.to_owned(),
    };
    let content_type = exchange["headers"]["content-type"].as_str().unwrap_or_default();
    seen(exchange["status"].as_u64().unwrap(), content_type, &text)
}

async fn replay(sim: &Sim, client: &reqwest::Client, exchange: &Value) -> Seen {
    let url = format!("{}{}", sim.base_url(), exchange["path"].as_str().unwrap());
    let key = if exchange["status"] == 401 { "sk-a-rejected-key" } else { sim.key() };
    let request = match exchange["method"].as_str().unwrap() {
        "GET" => client.get(url),
        _ => client.post(url).json(&todays(exchange["request"].clone())),
    };
    let response = request.bearer_auth(key).send().await.unwrap();
    let status = u64::from(response.status().as_u16());
    let kind = response.headers().get("content-type").map_or("", |kind| kind.to_str().unwrap()).to_owned();
    seen(status, &kind, &response.text().await.unwrap())
}

/// A recorded request as it would be made today.
fn todays(mut request: Value) -> Value {
    // Switched off in July 2026; while they lived they meant a model and whether it thinks.
    let thinking = match request["model"].as_str() {
        Some("deepseek-chat") => Some("disabled"),
        Some("deepseek-reasoner") => Some("enabled"),
        _ => None,
    };
    if let Some(thinking) = thinking {
        request["model"] = json!("deepseek-flash");
        if request.get("thinking").is_none() && request.get("reasoning_effort").is_none() {
            request["thinking"] = json!({"type": thinking});
        }
    }
    // Flash sees by now, and its old name leads to the model that does; Pro is blind as Flash was.
    let parts = request["messages"].as_array().into_iter().flatten().filter_map(|m| m["content"].as_array());
    if parts.flatten().any(|part| part["type"] != "text") {
        request["model"] = json!("deepseek-v4-pro");
    }
    // A recorder left the prompt out that was too long.
    for message in request["messages"].as_array_mut().into_iter().flatten() {
        if message["content"] == "<MASSIVE_TEXT>" {
            message["content"] = json!("too much ".repeat(60_000));
        }
    }
    request
}

fn seen(status: u64, content_type: &str, text: &str) -> Seen {
    let mut seen = Seen { status, content_type: content_type.to_owned(), shapes: BTreeMap::new(), end: None };
    let mut add = |kind: String, value: &Value| {
        let mut shape = Shape::new();
        paths(value, "", &mut shape);
        seen.shapes.entry(kind).or_default().insert(shape);
    };
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        add("whole".to_owned(), &value);
        return seen;
    }
    let data: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim).collect();
    let chunks: Vec<Value> = data.iter().filter_map(|data| serde_json::from_str(data).ok()).collect();
    for (place, chunk) in chunks.iter().enumerate() {
        add(kind(chunk, place == 0, place + 1 == chunks.len()), chunk);
    }
    seen.end = data.last().filter(|last| !last.starts_with('{')).map(ToString::to_string);
    seen
}

/// The kind of a chunk: its place in a chat's stream and what it brings, or the type of a named event.
fn kind(chunk: &Value, first: bool, last: bool) -> String {
    if let Some(name) = chunk["type"].as_str() {
        return name.to_owned();
    }
    let delta = &chunk["choices"][0]["delta"];
    let call = &delta["tool_calls"][0];
    match delta {
        _ if first => "first chunk".to_owned(),
        _ if last => "last chunk".to_owned(),
        _ if call.get("id").is_some() => "chunk that begins a call".to_owned(),
        _ if call.is_object() => "chunk with arguments".to_owned(),
        _ if delta["reasoning_content"].is_string() => "chunk with a thought".to_owned(),
        _ => "chunk with text".to_owned(),
    }
}

fn paths(value: &Value, path: &str, out: &mut Shape) {
    match value {
        Value::Object(members) => {
            out.insert(format!("{path}: object"));
            members.iter().for_each(|(name, value)| paths(value, &format!("{path}.{name}"), out));
        }
        Value::Array(items) => {
            out.insert(format!("{path}: list"));
            items.iter().for_each(|item| paths(item, &format!("{path}[]"), out));
        }
        Value::Null => drop(out.insert(format!("{path}: null"))),
        Value::Bool(_) => drop(out.insert(format!("{path}: boolean"))),
        Value::Number(_) => drop(out.insert(format!("{path}: number"))),
        Value::String(_) => drop(out.insert(format!("{path}: string"))),
    }
}

fn differences(recorded: &Seen, simulated: &Seen) -> Vec<String> {
    let mut out = Vec::new();
    let mut compare = |what: &str, recorded: String, simulated: String| {
        if recorded != simulated {
            out.push(format!("{what} was {recorded}, is {simulated}"));
        }
    };
    compare("status", recorded.status.to_string(), simulated.status.to_string());
    compare("content type", recorded.content_type.clone(), simulated.content_type.clone());
    compare("end", format!("{:?}", recorded.end), format!("{:?}", simulated.end));
    for always in ["whole", "first chunk", "last chunk"] {
        let has = |seen: &Seen| seen.shapes.contains_key(always).to_string();
        compare(always, has(recorded), has(simulated));
    }
    for (kind, shapes) in &recorded.shapes {
        let Some(others) = simulated.shapes.get(kind) else { continue };
        let (was, is) = (all(shapes), all(others));
        let free = |path: &String, other: &Shape| is_free(path, &was, &is) || is_empty_list(path, other);
        out.extend(
            was.difference(&is).filter(|path| !free(path, &is)).map(|path| format!("{kind}: lacks {path}")),
        );
        out.extend(
            is.difference(&was)
                .filter(|path| !free(path, &was))
                .map(|path| format!("{kind}: invents {path}")),
        );
    }
    out
}

fn gather(kinds: &mut Kinds, seen: &Seen) {
    for (kind, shapes) in &seen.shapes {
        kinds.extend(shapes.iter().flatten().map(|path| format!("{kind}: {path}")));
    }
}

fn all(shapes: &BTreeSet<Shape>) -> Shape {
    shapes.iter().flatten().cloned().collect()
}

/// Whether a path belongs to what only one of both has, by the model's choice.
fn is_free(path: &str, was: &Shape, is: &Shape) -> bool {
    let has = |shape: &Shape, group: &str| shape.iter().any(|path| path.starts_with(group));
    FREE.iter().any(|group| path.starts_with(group) && has(was, group) != has(is, group))
}

/// Whether a path is inside a list that has nothing in it on the other side.
fn is_empty_list(path: &str, other: &Shape) -> bool {
    path.match_indices("[]").any(|(at, _)| {
        let list = &path[..at];
        let inside = format!("{list}[]");
        other.contains(&format!("{list}: list")) && !other.iter().any(|path| path.starts_with(&inside))
    })
}
