//! Every public type that could hold a key, as `Debug`, `Display` and JSON show it.

use std::fmt::{Debug, Write};
use std::time::Duration;

use async_openai::config::Config;
use modelswitch::deepseek::{self, DeepSeek, DeepSeekConfig, verify_at};
use modelswitch::layers::{Layer, Log, ReasoningOrigin, Retry, Stack};
use modelswitch::prelude::*;
use modelswitch::provider::{Attempt, Endpoint, ErrorKind, Event, EventStream, Payload, Request, Response};
use modelswitch::{ApiKey, Capture, Error, Extra, HttpClient, HttpService, OpenAiProvider, Profile};
use modelswitch_sim::{Script, Sim};
use serde_json::json;

use crate::{KEY, PROMPT, listen, shows_none_of};

fn key() -> ApiKey {
    ApiKey::new(KEY).unwrap()
}

/// What `Debug` shows, on one line and on many.
fn debug(value: &impl Debug) -> String {
    format!("{value:?} {value:#?}\n")
}

#[test]
fn a_key_is_in_no_debug_of_what_is_made_with_it() {
    let client = async_openai::Client::with_config(DeepSeekConfig::new(KEY).unwrap());
    let builder =
        OpenAiProvider::builder(Profile::embedded("openai").unwrap()).api_key(key()).header("x-mine", KEY);
    let provider = builder.clone().build().unwrap();
    let shown = [
        debug(&key()),
        debug(&key().clone()),
        debug(&key().to_header(Some("Bearer"))),
        debug(&key().to_header(None)),
        debug(key().secret()),
        debug(&key().redact(&format!("your key {KEY} is bad"))),
        debug(&DeepSeekConfig::new(KEY).unwrap()),
        debug(&DeepSeekConfig::new(KEY).unwrap().headers()),
        debug(&client),
        debug(&DeepSeek::new(KEY).unwrap()),
        debug(&DeepSeek::new(KEY).unwrap().files()),
        debug(&DeepSeek::builder().api_key(key())),
        debug(&DeepSeek::connect(DeepSeek::builder().api_key(key())).unwrap()),
        debug(&deepseek::client(KEY).unwrap()),
        debug(&builder),
        debug(&provider),
        debug(&provider.at("https://api.openai.com/v2").unwrap()),
        debug(&HttpClient::new(Duration::from_secs(1)).unwrap()),
        debug(&HttpService::new(std::sync::Arc::new(provider.clone()))),
        debug(&Log::new().wrap(std::sync::Arc::new(provider.clone()))),
        debug(&Stack::new().layer(Retry::new()).layer(ReasoningOrigin::default()).over(provider)),
        debug(&Extra::new().set("x", KEY)),
        debug(&Extra::new().set("x", KEY).headers().unwrap()),
    ];
    shows_none_of(&[KEY], &shown.concat());
}

#[test]
fn a_key_that_somebody_puts_where_it_does_not_belong_is_not_shown_either() {
    let mut request = Request::chat(
        &json!({ "model": "m", "messages": [{ "role": "user", "content": KEY }], "user": KEY }),
    )
    .unwrap();
    request.headers.insert("authorization", format!("Bearer {KEY}").parse().unwrap());
    request.headers.insert("x-mine", KEY.parse().unwrap());
    let form = Payload::Raw { content_type: "text/plain".parse().unwrap(), bytes: KEY.into() };
    let response = Response::json(&json!({ "id": "1", "x": KEY })).unwrap();
    let events = EventStream::new(futures_util::stream::iter([Ok(Event::new(KEY))]));
    let upload = deepseek::FileUpload::new("notes.txt", KEY);
    let query = Endpoint::new(http::Method::GET, format!("/files?after={KEY}")).unwrap();
    let shown = [
        debug(&request),
        debug(&Request::new(query.clone(), Payload::Empty)),
        debug(&query),
        query.to_string(),
        debug(&form),
        debug(&response),
        debug(&events),
        debug(&Event::new(KEY)),
        debug(&upload),
        debug(&ChatRequest::user(KEY).system(KEY)),
        debug(&Message::user(KEY)),
    ];
    shows_none_of(&[KEY], &shown.concat());
}

#[test]
fn an_error_shows_neither_its_body_nor_a_key_in_its_sources() {
    for kind in ErrorKind::ALL {
        let error =
            Error::new(kind, "it failed").with_upstream_body(KEY).with_provider("mine").with_attempts(1);
        let attempt = Attempt::of(&error, Duration::from_secs(1));
        let shown = [
            debug(&error),
            error.to_string(),
            error.report(),
            error.facts().to_string(),
            error.to_body().to_string(),
            debug(&attempt),
            debug(&Error::from_body(&error.to_body())),
        ];
        shows_none_of(&[KEY], &shown.concat());
    }
}

/// A service that repeats the key in whatever it can: headers, ids, names, its own words.
fn echoes() -> Vec<Script> {
    let ok = json!({ "id": KEY, "object": "chat.completion", "created": 1, "model": KEY,
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": "Yes." }, "finish_reason": KEY }] });
    let with_headers = |script: Script| {
        script
            .header("x-echo", KEY)
            .header("x-request-id", KEY)
            .header("x-ds-trace-id", KEY)
            .header("server", KEY)
    };
    vec![
        with_headers(Script::status(200).json(ok)),
        with_headers(
            Script::status(401)
                .json(json!({ "error": { "message": KEY, "code": KEY, "type": KEY, "param": KEY } })),
        ),
        with_headers(Script::status(503).body(KEY)),
        with_headers(Script::status(200).body(KEY)),
        with_headers(Script::sse([
            json!({ "id": KEY, "model": KEY, "choices": [{ "index": 0, "delta": { "content": "x" } }] })
                .to_string(),
        ])),
    ]
}

#[tokio::test]
async fn a_service_that_repeats_the_key_everywhere_does_not_get_it_shown() {
    let sim = Sim::builder().any_key(true).start().await.unwrap();
    listen::begin();
    let builder = || DeepSeek::builder().base_url(sim.base_url()).api_key(key());
    let registry = modelswitch::Registry::builder()
        .toml(format!("[providers.deepseek]\nbase_url = '{}'\n[retry]\nattempts = 1", sim.base_url()))
        .environment([])
        .api_key("deepseek", key())
        .build()
        .unwrap();
    let client = registry.client().unwrap();
    let mut shown = String::new();
    for script in echoes() {
        for streamed in [false, true] {
            sim.script(script.clone());
            let request = Request::chat(
                &json!({ "stream": streamed, "messages": [{ "role": "user", "content": PROMPT }] }),
            );
            match registry.router().send(request.unwrap()).await {
                Ok(response) => shown += &debug(&response),
                Err(error) => write!(
                    shown,
                    "{error} {error:?} {} {} {}",
                    error.report(),
                    error.facts(),
                    error.to_body()
                )
                .unwrap(),
            }
            sim.clear_scripts();
        }
        sim.script(script.clone());
        let capture: Capture = registry.capture();
        let answer = client
            .chat()
            .headers(capture.headers())
            .create(modelswitch_tests::ask("deepseek-flash", PROMPT))
            .await;
        if let Err(error) = answer {
            write!(shown, "{error} {error:?}").unwrap();
        }
        write!(shown, "{capture:?} {:?} {:?}", capture.head(), capture.error()).unwrap();
        sim.clear_scripts();

        sim.script_path("/models", script.clone());
        sim.script_path("/user/balance", script.clone());
        for report in registry.check().await {
            write!(shown, "{report:?} {}", serde_json::to_string(&report).unwrap()).unwrap();
        }
        sim.clear_scripts();
        sim.script_path("/models", script.clone());
        let verification = verify_at(builder(), KEY).await;
        write!(shown, "{verification:?} {}", serde_json::to_string(&verification).unwrap()).unwrap();
        sim.clear_scripts();
    }
    shown += &listen::heard();
    shows_none_of(&[KEY], &shown);
}
