//! Keys and prompts are planted and searched for: in errors, `Debug` texts, reports, logs of every level, and in what a
//! service gets that they were not meant for.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails loudly")]

mod configuration;
mod listen;
mod logs;
mod registry;
mod types;

use std::fmt::Write;

use futures_util::StreamExt;
use modelswitch::prelude::*;
use modelswitch::{ApiKey, OpenAiProvider, Profile};
use modelswitch_sim::{Script, Sim};
use modelswitch_tests::{ask, world};
use serde_json::json;

const KEY: &str = "sk-canary0123456789abcdef";
const PROMPT: &str = "prompt-canary";

/// None of the words is in what was shown; where one is, the text around it is told.
#[track_caller]
fn shows_none_of(words: &[&str], shown: &str) {
    for word in words {
        if let Some(at) = shown.find(word) {
            let from = (0..=at.saturating_sub(300)).rev().find(|from| shown.is_char_boundary(*from)).unwrap();
            panic!("{word} is shown: …{}", shown[from..].chars().take(700).collect::<String>());
        }
    }
}

fn provider(sim: &Sim) -> OpenAiProvider {
    OpenAiProvider::builder(Profile::embedded("deepseek").unwrap())
        .base_url(sim.base_url())
        .api_key(ApiKey::new(KEY).unwrap())
        .build()
        .unwrap()
}

/// A service that repeats the key and the prompt in whatever it says.
fn scripts() -> Vec<Script> {
    let echo = format!("your key {KEY} is bad; you said {PROMPT}");
    vec![
        Script::status(401).json(json!({"error":{"message":format!("your key {KEY} is bad")}})),
        Script::status(401).body(format!("bad key {KEY}")),
        Script::status(422).json(json!({"detail":[{"loc":["body"],"msg":"wrong","input":echo}]})),
        Script::status(500).json(json!({"error":{"message":"oops","debug":echo}})),
        Script::status(200).json(
            json!({"choices":[{"message":{"role":"assistant","content":{"x":PROMPT}}}],"created":PROMPT}),
        ),
        Script::status(200).json(json!({"choices":PROMPT})),
        Script::status(200).body(format!("{{\"choices\": {PROMPT}")),
        Script::sse([format!("{{\"choices\": {PROMPT}")]),
        Script::sse([json!({"choices":[{"delta":{"content":PROMPT}}]}).to_string()]),
        Script::status(200).json(json!({"error":{"message":format!("your key {KEY} is bad"),"code":KEY}})),
        Script::sse([json!({"error":{"message":format!("your key {KEY} is bad"),"type":KEY}}).to_string()]),
        Script::raw_sse(format!("event: error\ndata: bad key {KEY}\n\n")),
        Script::status(400).json(
            json!({"error":{"message":format!("[{{'type':'missing','input':{{'content':'{PROMPT}'}}}}]")}}),
        ),
        Script::status(400).json(json!({"error":{"message":format!("I can't read {PROMPT}")}})),
        Script::status(500).body(format!("crashed on {PROMPT}")),
        Script::reset(),
        Script::redirect(307, &format!("https://elsewhere.example/{KEY}")),
    ]
}

#[tokio::test]
async fn no_key_and_no_prompt_is_in_any_error_debug_report_or_log() {
    listen::begin();
    let sim = Sim::builder().any_key(true).start().await.unwrap();
    let llm = provider(&sim);
    let mut shown = format!("{llm:?}");
    for script in scripts() {
        for streamed in [false, true] {
            sim.script(script.clone());
            let request = ChatRequest::user(PROMPT);
            write!(shown, "{:?}", request.clone().into_request().unwrap()).unwrap();
            let result = if streamed {
                match llm.chat_stream(request).await {
                    Ok(stream) => stream.completion().await,
                    Err(error) => Err(error),
                }
            } else {
                llm.chat(request).await
            };
            if let Err(error) = result {
                write!(shown, "{error} {error:?} {} {} {}", error.report(), error.facts(), error.to_body())
                    .unwrap();
                assert!(
                    !String::from_utf8_lossy(error.upstream_body().map(|body| &body[..]).unwrap_or_default())
                        .contains(KEY)
                );
            }
        }
    }
    shown += &listen::heard();
    shows_none_of(&[KEY, PROMPT], &shown);
}

#[tokio::test]
async fn async_openais_own_errors_and_logs_stay_clean_at_door_one() {
    listen::begin();
    let world = world().await;
    let mut shown =
        format!("{:?} {:?} {:?}", world.registry, world.registry.http_service(), world.registry.capture());
    for script in scripts() {
        world.deepseek.script(script.clone());
        let capture = world.registry.capture();
        if let Err(error) = world.client().chat().headers(capture.headers()).create(ask("fast", PROMPT)).await
        {
            write!(shown, "{error} {error:?} {capture:?}").unwrap();
        }
        world.deepseek.clear_scripts();
        world.deepseek.script(script);
        if let Ok(mut stream) = world.client().chat().create_stream(ask("fast", PROMPT)).await {
            while let Some(piece) = stream.next().await {
                if let Err(error) = piece {
                    write!(shown, "{error} {error:?}").unwrap();
                }
            }
        }
        world.deepseek.clear_scripts();
    }
    shown += &listen::heard();
    shows_none_of(&[world.deepseek.key(), world.other.key(), PROMPT], &shown);
}

#[tokio::test]
async fn a_key_reaches_its_own_service_and_no_other() {
    let world = world().await;
    for model in ["fast", "small"] {
        world.client().chat().create(ask(model, "hello")).await.unwrap();
    }
    world.client().models().list().await.unwrap();
    let seen = |sim: &Sim, key: &str| {
        sim.requests().iter().any(|request| {
            format!(
                "{} {:?} {:?}",
                request.path,
                request
                    .headers
                    .values()
                    .map(|value| value.as_bytes().to_vec())
                    .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                    .collect::<Vec<_>>(),
                request.body
            )
            .contains(key)
        })
    };
    let other_key = "sk-other-service-key";
    assert!(seen(&world.deepseek, world.deepseek.key()));
    assert!(!seen(&world.deepseek, other_key));
    let in_path = world.deepseek.requests().iter().any(|request| request.path.contains(world.deepseek.key()));
    assert!(!in_path);
}
