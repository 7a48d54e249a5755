//! What apps really asked of each service, inwards after its profile: it arrives as it was asked, or the head says what was
//! changed.

use async_openai::types::chat::CreateChatCompletionRequest;
use modelswitch::provider::{Adaptation, Request};
use modelswitch_sim::{Script, Sim};
use serde_json::{Value, json};

use super::*;

fn answer() -> Script {
    Script::status(200).json(json!({
        "id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": "x" }, "finish_reason": "stop" }],
    }))
}

/// Requests that their services took.
fn taken() -> impl Iterator<Item = (String, Value)> {
    let is_taken = |exchange: &Value| exchange["status"] == 200 && exchange["request"].is_object();
    chat_recordings().into_iter().filter(move |(_, exchange)| is_taken(exchange))
}

#[tokio::test]
async fn what_was_asked_of_a_service_arrives_there_as_it_was_asked_or_the_head_says_so() {
    let sim = Sim::start().await.unwrap();
    let (mut doors, mut count, mut failures) = (AllDoors::on(&sim), 0, Vec::new());
    for (service, exchange) in taken() {
        count += 1;
        sim.clear_scripts();
        sim.clear_requests();
        sim.script(answer());
        let asked = &exchange["request"];
        match doors.to(&service).provider.send(Request::chat(asked).unwrap()).await {
            Ok(response) => {
                let arrived = sim.requests().pop().unwrap().json();
                if let Some(changed) = untold(asked, &arrived, &response.head.adaptations) {
                    failures.push(format!("{service} {}: `{changed}`", exchange["source"]));
                }
            }
            Err(error) => failures.push(format!("{service} {}: {}", exchange["source"], error.report())),
        }
    }
    eprintln!("{count} recorded requests arrived as they were asked");
    assert!(failures.is_empty(), "{} changed or refused:\n{}", failures.len(), failures.join("\n"));
}

#[tokio::test]
async fn what_an_app_asks_with_its_types_arrives_with_every_field_that_the_types_have() {
    let sim = Sim::start().await.unwrap();
    let (mut doors, mut count, mut failures) = (AllDoors::on(&sim), 0, Vec::new());
    for (service, exchange) in taken() {
        // What isn't OpenAI's request can't be asked with its types.
        let mut recorded = exchange["request"].clone();
        recorded["stream"] = Value::Bool(false);
        recorded.as_object_mut().unwrap().remove("stream_options");
        let Ok(typed) = serde_json::from_value::<CreateChatCompletionRequest>(recorded) else { continue };
        count += 1;
        sim.clear_scripts();
        sim.clear_requests();
        sim.script(answer());
        // Through text, as it goes: a value would show how a short number is kept.
        let asked = serde_json::from_str(&serde_json::to_string(&typed).unwrap()).unwrap();
        let door = doors.to(&service);
        let capture = door.service.capture();
        match door.client.chat().headers(capture.headers()).create(typed).await {
            Ok(_) => {
                let arrived = sim.requests().pop().unwrap().json();
                if let Some(changed) = untold(&asked, &arrived, &capture.head().unwrap().adaptations) {
                    failures.push(format!("{service} {}: `{changed}`", exchange["source"]));
                }
            }
            Err(error) => failures.push(format!("{service} {}: {error}", exchange["source"])),
        }
    }
    eprintln!("{count} recorded requests arrived through async-openai's types");
    assert!(failures.is_empty(), "{} changed or refused:\n{}", failures.len(), failures.join("\n"));
}

/// The first member that arrived otherwise than it was asked, and of which no adaptation tells.
fn untold(asked: &Value, arrived: &Value, told: &[Adaptation]) -> Option<String> {
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let is_told = |name: &String| {
        told.iter().any(|adaptation| {
            let about = |text: &str| text.contains(name.as_str());
            about(&adaptation.parameter) || about(&adaptation.change)
        })
    };
    // What is changed within a message is told by the name of what is changed there.
    let is_within = |name: &String| matches!(name.as_str(), "messages" | "tools") && !told.is_empty();
    let mut all = names(asked);
    all.extend(names(arrived));
    all.into_iter().find(|name| asked[name] != arrived[name] && !is_told(name) && !is_within(name))
}
