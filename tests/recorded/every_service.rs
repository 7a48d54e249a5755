//! Whole answers and streams of every service, after its own profile, through both doors: what was said, thought and called,
//! why it ended and what it cost in tokens, as read from the recording by other means; and every field through door 2.

use futures_util::StreamExt;
use modelswitch_sim::Sim;
use modelswitch_tests::ask;
use serde_json::Value;

use super::meaning::Meaning;
use super::*;

#[tokio::test]
async fn nothing_that_any_service_said_is_lost_through_any_door() {
    let sim = Sim::start().await.unwrap();
    let (mut doors, mut count, mut failures) = (AllDoors::on(&sim), 0, Vec::new());
    for (service, exchange) in chat_recordings().into_iter().filter(|(_, one)| one["status"] == 200) {
        let body = body(&exchange);
        let Some(recorded) = Meaning::of_body(&body) else { continue };
        count += 1;
        for (door, shown) in through_the_doors(&sim, doors.to(&service), &exchange).await {
            let shown = match shown {
                Ok(shown) => shown,
                Err(error) => {
                    failures.push(format!("{service} {door} {}: {error}", exchange["source"]));
                    continue;
                }
            };
            if let Some(difference) = recorded.difference(&shown) {
                failures.push(format!("{service} {door} {}: {difference}", exchange["source"]));
            }
        }
        sim.clear_requests();
    }
    eprintln!("{count} recorded answers meant the same at both doors");
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}

type Shown = std::result::Result<Meaning, String>;

/// The answer as either door shows it, as it was asked for.
pub(crate) async fn through_the_doors(
    sim: &Sim,
    doors: &Doors,
    exchange: &Value,
) -> [(&'static str, Shown); 2] {
    let again = || {
        sim.clear_scripts();
        sim.script(script(exchange));
    };
    let body = body(exchange);
    let streams = is_stream(&body);
    again();
    let Doors { client, provider, .. } = doors;
    let typed = match streams {
        true => match client.chat().create_stream(ask("m", "x")).await {
            Ok(stream) => stream.collect::<Vec<_>>().await.into_iter().collect::<Result<Vec<_>, _>>(),
            Err(error) => Err(error),
        }
        .map(|chunks| Meaning::of_chunks(&chunks.iter().map(with_reasoning).collect::<Vec<_>>())),
        false => client.chat().create(ask("m", "x")).await.map(|reply| {
            let reasoning = reply.reasoning_content();
            let mut value = serde_json::to_value(&reply).unwrap();
            if let Some(reasoning) = reasoning {
                value["choices"][0]["message"]["reasoning_content"] = reasoning.into();
            }
            Meaning::of_whole(&value)
        }),
    };
    again();
    let traits = match streams {
        true => match provider.chat_stream("x").await {
            Ok(stream) => stream.collect::<Vec<_>>().await.into_iter().collect::<Result<Vec<_>, _>>(),
            Err(error) => Err(error),
        }
        .map(|chunks| {
            Meaning::of_chunks(&chunks.iter().map(|one| strict(one.to_wire().unwrap())).collect::<Vec<_>>())
        }),
        false => provider.chat("x").await.map(|reply| Meaning::of_whole(&strict(reply.to_wire().unwrap()))),
    };
    [("door 1", typed.map_err(|error| error.to_string())), ("door 2", traits.map_err(|error| error.report()))]
}

/// As it is on this side, where a thought has one place.
fn strict(mut value: Value) -> Value {
    for choice in value["choices"].as_array_mut().into_iter().flatten() {
        for place in ["message", "delta"] {
            let Some(said) = choice.get_mut(place).and_then(Value::as_object_mut) else { continue };
            said.retain(|name, _| !matches!(name.as_str(), "reasoning" | "reasoning_details" | "thinking"));
        }
    }
    value
}

/// A chunk with its thought where a reader of JSON finds it.
fn with_reasoning(chunk: &async_openai::types::chat::CreateChatCompletionStreamResponse) -> Value {
    let mut value = serde_json::to_value(chunk).unwrap();
    if let Some(reasoning) = chunk.reasoning_content() {
        value["choices"][0]["delta"]["reasoning_content"] = reasoning.into();
    }
    value
}

/// What isn't where it was because it now is where async-openai looks for it; the test above sees to these.
const MOVED: [&str; 15] = [
    "/choices/*/message/content",
    "/choices/*/message/reasoning",
    "/choices/*/message/reasoning_details",
    "/choices/*/message/thinking",
    "/choices/*/message/tool_calls",
    "/choices/*/delta/content",
    "/choices/*/delta/reasoning",
    "/choices/*/delta/reasoning_details",
    "/choices/*/delta/tool_calls",
    "/choices/*/finish_reason",
    "/created",
    "/id",
    "/object",
    // A tier that OpenAI doesn't have can't be decoded.
    "/service_tier",
    "/usage",
];

fn was_moved(path: &str) -> bool {
    MOVED.iter().any(|place| starred(path).starts_with(place))
}

#[tokio::test]
async fn what_only_one_service_sends_is_kept_through_the_trait() {
    let sim = Sim::start().await.unwrap();
    let (mut doors, mut count, mut failures) = (AllDoors::on(&sim), 0, Vec::new());
    for (service, exchange) in chat_recordings().into_iter().filter(|(_, one)| one["status"] == 200) {
        let body = body(&exchange);
        let llm = doors.to(&service).provider.clone();
        sim.clear_scripts();
        sim.clear_requests();
        sim.script(script(&exchange));
        if let Ok(recorded) = serde_json::from_str::<Value>(&body) {
            let reply = match llm.chat("x").await {
                Ok(reply) => reply,
                // An answer that is none is told of above, and counted where it belongs.
                Err(_) if Meaning::of_body(&body).is_none() => continue,
                Err(error) => panic!("{service} {}: {}", exchange["source"], error.report()),
            };
            count += 1;
            if let Some(path) = lost(&recorded, &reply.to_wire().unwrap(), "", was_moved) {
                failures.push(format!("{service} {}: {path}", exchange["source"]));
            }
            continue;
        }
        let Ok(stream) = llm.chat_stream("x").await else { continue };
        let shown: Vec<Value> = stream.filter_map(async |chunk| chunk.ok()?.to_wire().ok()).collect().await;
        count += 1;
        for (place, recorded) in events(&body).iter().enumerate() {
            // A chunk may have been put into others, so what it had may be in any.
            let kept = |shown: &Value| lost(recorded, shown, "", was_moved).is_none();
            if !shown.iter().any(kept) {
                let path = shown.get(place).and_then(|shown| lost(recorded, shown, "", was_moved));
                failures.push(format!("{service} {} chunk {place}: {path:?}", exchange["source"]));
                break;
            }
        }
    }
    eprintln!("{count} recorded answers kept every field through the trait");
    assert!(failures.is_empty(), "{} lost something:\n{}", failures.len(), failures.join("\n"));
}
