//! What DeepSeek has besides chat, its errors and its keys, against a simulated DeepSeek on a real socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails loudly"
)]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use async_openai::types::InputSource;
use async_openai::types::chat::{ChatCompletionRequestUserMessage, CreateChatCompletionRequestArgs};
use async_openai::types::completions::{CreateCompletionRequest, CreateCompletionRequestArgs};
use async_openai::types::files::{CreateFileRequest, FileInput, FilePurpose as TheirPurpose};
use futures_util::StreamExt;
use modelswitch_deepseek::{
    Currency, DeepSeek, DeepSeekErrorExt, FilePurpose, FileQuery, FileUpload, KeyState, Verification,
    anthropic, verify_at,
};
use modelswitch_layers::{Retry, Stack};
use modelswitch_openai::{Client, HttpService, OpenAiErrorExt, Timeouts};
use modelswitch_provider::{
    ApiKey, Body, ChatRequest, CompletionRequest, Error, ErrorKind, Provider, ProviderExt, Request, Response,
};
use modelswitch_sim::{Nobody, Personality, Recorded, Script, Sim};
use serde_json::{Value, json};

fn deepseek_with(sim: &Sim, key: &str) -> DeepSeek {
    let mut timeouts = Timeouts::default();
    timeouts.idle = Duration::from_millis(300);
    let builder = DeepSeek::builder().base_url(sim.base_url()).api_key(ApiKey::new(key).unwrap());
    DeepSeek::connect(builder.timeouts(timeouts)).unwrap()
}

fn deepseek(sim: &Sim) -> DeepSeek {
    deepseek_with(sim, sim.key())
}

/// Door 1 without retries: each script is one answer.
fn client(sim: &Sim) -> Client {
    HttpService::new(Arc::new(deepseek(sim))).client().unwrap()
}

fn last(sim: &Sim) -> Recorded {
    sim.requests().pop().unwrap()
}

// Balance

#[tokio::test]
async fn the_balance_comes_in_exact_decimals() {
    let sim = Sim::start().await.unwrap();
    let balance = deepseek(&sim).balance().await.unwrap();
    assert!(balance.is_available);
    assert_eq!(balance.total(&Currency::Cny).unwrap().to_string(), "110.00");
    assert_eq!(
        (balance.infos[0].granted.to_string(), balance.infos[0].topped_up.to_string()),
        ("10.00".into(), "100.00".into())
    );
    assert_eq!(last(&sim).path, "/user/balance");
    assert!(!deepseek_with(&sim, "sk-no-balance").balance().await.unwrap().is_available);
}

#[tokio::test]
async fn a_balance_is_read_whatever_its_content_type_and_a_wrong_one_names_its_field() {
    let sim = Sim::start().await.unwrap();
    let wire = |total: Value| {
        json!({ "is_available": true, "balance_infos": [{ "currency": "USD", "total_balance": total,
            "granted_balance": "0", "topped_up_balance": "0.05" }] })
    };
    for (script, total) in [
        (Script::status(200).json(wire(json!("0.05"))), "0.05"),
        (Script::status(200).content_type("application/octet-stream").json(wire(json!("0.05"))), "0.05"),
        (Script::status(200).no_content_type().body(wire(json!(0.05)).to_string()), "0.05"),
        (Script::status(200).content_type("application/json").body(format!("\n\n{}", wire(json!(12)))), "12"),
    ] {
        sim.script(script);
        let balance = deepseek(&sim).balance().await.unwrap();
        assert_eq!(balance.total(&Currency::Usd).unwrap().to_string(), total);
    }
    sim.script(Script::status(200).json(wire(json!("a lot"))));
    let error = deepseek(&sim).balance().await.unwrap_err();
    assert_eq!((error.kind(), error.provider()), (ErrorKind::Decode, Some("deepseek")));
    assert!(error.message().contains("`balance_infos[0].total_balance`"), "{error}");
    assert!(error.request_id().is_some() && error.upstream_body().is_some());
    sim.script(Script::status(200).content_type("application/json").body("\n\n"));
    assert_eq!(deepseek(&sim).balance().await.unwrap_err().kind(), ErrorKind::Decode);
}

// Fill in the middle

fn middle() -> CompletionRequest {
    CompletionRequest::new("fn add(").suffix(") -> i32 {").max_tokens(20).temperature(0.0)
}

fn their_middle() -> CreateCompletionRequest {
    CreateCompletionRequestArgs::default()
        .model("deepseek-flash")
        .prompt("fn add(")
        .suffix(") -> i32 {")
        .max_tokens(20_u32)
        .build()
        .unwrap()
}

#[tokio::test]
async fn the_middle_is_filled_in_whole_and_streamed_through_both_doors() {
    let sim = Sim::builder().keep_alives(2).start().await.unwrap();
    let whole = deepseek(&sim).complete(middle()).await.unwrap();
    assert!(!whole.text().is_empty() && whole.usage.is_some() && whole.head.request_id.is_some());
    assert_eq!(last(&sim).path, "/beta/completions");
    assert_eq!(last(&sim).json()["suffix"], ") -> i32 {");

    let stream = deepseek(&sim).complete_stream(middle()).await.unwrap();
    let streamed = stream.completion().await.unwrap();
    assert_eq!((streamed.text(), streamed.finish_reason()), (whole.text(), whole.finish_reason()));
    assert_eq!(streamed.usage.as_ref(), whole.usage.as_ref());

    let client = client(&sim);
    let theirs = client.completions().create(their_middle()).await.unwrap();
    assert_eq!((theirs.choices[0].text.as_str(), theirs.object.as_str()), (whole.text(), "text_completion"));
    let chunks: Vec<_> = client.completions().create_stream(their_middle()).await.unwrap().collect().await;
    let text: String = chunks.iter().map(|chunk| chunk.as_ref().unwrap().choices[0].text.as_str()).collect();
    assert_eq!(text, whole.text());
    assert!(sim.requests().iter().all(|request| request.path == "/beta/completions"));
}

fn middle_chunk(text: &str, offset: u32, finish: Value) -> String {
    json!({ "id": "1", "object": "text_completion", "created": 1, "model": "deepseek-flash", "system_fingerprint": "fp_1",
        "choices": [{ "index": 0, "text": text, "finish_reason": finish, "logprobs": { "text_offset": [offset],
            "token_logprobs": [-0.5], "tokens": [text], "top_logprobs": [{ text: -0.5 }] } }] })
    .to_string()
}

#[tokio::test]
async fn the_logprobs_of_the_old_form_come_through_whole_and_streamed() {
    let sim = Sim::start().await.unwrap();
    let stream = || {
        Script::sse([middle_chunk("a", 7, Value::Null), middle_chunk("b", 8, json!("stop")), "[DONE]".into()])
    };
    sim.script(stream());
    let streamed =
        deepseek(&sim).complete_stream(middle().logprobs(1)).await.unwrap().completion().await.unwrap();
    let logprobs = &streamed.choices[0].extra["logprobs"];
    assert_eq!((&logprobs["tokens"], &logprobs["text_offset"]), (&json!(["a", "b"]), &json!([7, 8])));
    assert_eq!(streamed.extra["system_fingerprint"], "fp_1");

    sim.script(stream());
    let chunks: Vec<_> =
        client(&sim).completions().create_stream(their_middle()).await.unwrap().collect().await;
    assert_eq!(chunks[0].as_ref().unwrap().choices[0].logprobs.as_ref().unwrap().tokens, ["a"]);

    sim.script(
        Script::status(200)
            .json(serde_json::from_str::<Value>(&middle_chunk("a", 7, json!("stop"))).unwrap()),
    );
    let theirs = client(&sim).completions().create(their_middle()).await.unwrap();
    assert_eq!(theirs.choices[0].logprobs.as_ref().unwrap().text_offset, [7]);
}

#[tokio::test]
async fn a_middle_that_is_cut_is_an_error_and_a_whole_one_is_a_stream_of_one() {
    let sim = Sim::start().await.unwrap();
    for script in [Script::normal().cut_after_events(2), Script::normal().end_after_events(2)] {
        sim.script(script);
        let stream = deepseek(&sim).complete_stream(middle()).await.unwrap();
        assert_eq!(stream.completion().await.unwrap_err().kind(), ErrorKind::Interrupted);
    }
    let whole: Value = serde_json::from_str(&middle_chunk("whole", 0, json!("stop"))).unwrap();
    sim.script(Script::status(200).json(whole));
    let chunks: Vec<_> = deepseek(&sim).complete_stream(middle()).await.unwrap().collect().await;
    assert_eq!((chunks.len(), chunks[0].as_ref().unwrap().text()), (1, "whole"));
}

#[tokio::test]
async fn what_deepseek_cannot_complete_is_refused_before_any_request() {
    let sim = Sim::start().await.unwrap();
    for request in [
        middle().set("n", 2),
        middle().set("best_of", 2),
        middle().logprobs(21),
        middle().set("prompt", json!(["a", "b"])),
    ] {
        let error = deepseek(&sim).complete(request).await.unwrap_err();
        assert_eq!((error.kind(), error.provider()), (ErrorKind::Unsupported, Some("deepseek")));
    }
    let mut list = their_middle();
    list.prompt = vec!["a", "b"].into();
    let error = client(&sim).completions().create(list).await.unwrap_err().provider_error().unwrap();
    assert_eq!((error.kind(), error.param()), (ErrorKind::Unsupported, Some("prompt")));
    assert!(sim.requests().is_empty());
}

// Files

fn file() -> Value {
    json!({ "id": "file-api-1", "object": "file", "bytes": 5, "created_at": 1_790_000_000_u64,
        "expires_at": 1_790_086_400_u64, "filename": "a.pdf", "purpose": "user_data", "new_field": [1] })
}

#[tokio::test]
async fn a_file_is_uploaded_listed_shown_and_deleted() {
    let sim = Sim::start().await.unwrap();
    let deepseek = deepseek(&sim);
    sim.script(Script::status(200).json(file()));
    let upload = FileUpload::new("a.pdf", "hello")
        .purpose(FilePurpose::TextRecognition)
        .expires_after(Duration::from_secs(86_400));
    let uploaded = deepseek.files().upload(upload).await.unwrap();
    assert_eq!(serde_json::to_value(&uploaded).unwrap(), file(), "nothing is lost");
    let request = last(&sim);
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/files"));
    let body = String::from_utf8(request.body.to_vec()).unwrap();
    let place = |text: &str| body.find(text).unwrap();
    assert!(place("\r\n\r\ntext_recognition\r\n") < place("name=\"file\"; filename=\"a.pdf\""));
    assert!(place("expires_after[seconds]\"\r\n\r\n86400") < place("\r\n\r\nhello\r\n"));
    assert!(request.header("content-type").unwrap().starts_with("multipart/form-data; boundary="));

    sim.script(Script::status(200).json(
        json!({ "object": "list", "data": [file()], "first_id": "file-api-1", "last_id": "file-api-1", "has_more": true }),
    ));
    let query = FileQuery::new().after("file-api-0").limit(1).purpose(FilePurpose::UserData);
    let page = deepseek.files().list(query).await.unwrap();
    assert_eq!((page.data.len(), page.next()), (1, Some("file-api-1")));
    assert_eq!(last(&sim).path, "/files?after=file-api-0&limit=1&purpose=user_data");

    sim.script(Script::status(200).json(file()));
    assert_eq!(deepseek.files().retrieve("file-api-1").await.unwrap(), uploaded);
    sim.script(Script::status(200).json(json!({ "id": "file-api-1", "object": "file", "deleted": true })));
    deepseek.files().delete("file-api-1").await.unwrap();
    assert_eq!((last(&sim).method.as_str(), last(&sim).path.as_str()), ("DELETE", "/files/file-api-1"));
    sim.script(Script::status(200).json(json!({ "id": "file-api-1", "deleted": false })));
    assert!(deepseek.files().delete("file-api-1").await.is_err());
}

#[tokio::test]
async fn what_is_no_file_of_deepseeks_never_leaves() {
    let sim = Sim::start().await.unwrap();
    let deepseek = deepseek(&sim);
    let too_short = FileUpload::new("a", "b").expires_after(Duration::from_secs(1));
    assert_eq!(deepseek.files().upload(too_short).await.unwrap_err().kind(), ErrorKind::InvalidRequest);
    assert!(deepseek.files().delete("../user/balance").await.is_err());
    assert!(deepseek.files().list(FileQuery::new().limit(0)).await.is_err());
    assert!(sim.requests().is_empty());
}

#[tokio::test]
async fn a_file_that_fails_has_its_kind_and_is_sent_once() {
    let sim = Sim::start().await.unwrap();
    sim.script(Script::status(500).body("oops"));
    let provider = Stack::new().layer(Retry::new()).over(deepseek(&sim));
    let request = FileUpload::new("a", "b").into_request().unwrap();
    assert_eq!(provider.send(request).await.unwrap_err().kind(), ErrorKind::Upstream);
    assert_eq!(sim.requests().len(), 1);
}

fn their_upload() -> CreateFileRequest {
    let source = InputSource::Bytes { filename: "cat.png".into(), bytes: "hello".into() };
    CreateFileRequest { file: FileInput { source }, purpose: TheirPurpose::UserData, expires_after: None }
}

#[tokio::test]
async fn async_openais_files_work_through_door_one() {
    let sim = Sim::start().await.unwrap();
    let client = client(&sim);
    sim.script(Script::status(200).json(file()));
    assert_eq!(client.files().create(their_upload()).await.unwrap().id, "file-api-1");
    assert_eq!(last(&sim).path, "/files");
    sim.script(Script::status(200).json(json!({ "object": "list", "data": [file()], "has_more": false })));
    assert_eq!(client.files().list().await.unwrap().data[0].bytes, Some(5));
    sim.script(Script::status(200).json(file()));
    assert_eq!(client.files().retrieve("file-api-1").await.unwrap().filename, "a.pdf");
    sim.script(Script::status(200).json(json!({ "id": "file-api-1", "object": "file", "deleted": true })));
    assert!(client.files().delete("file-api-1").await.unwrap().deleted);
}

/// As much of a picture as tells that it is one.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

fn their_picture() -> CreateFileRequest {
    CreateFileRequest { file: FileInput::from_vec_u8("a.png".to_owned(), PNG.to_vec()), ..their_upload() }
}

#[tokio::test]
async fn files_stay_at_the_simulated_deepseek_through_both_doors() {
    let sim = Sim::start().await.unwrap();
    let (deepseek, client) = (deepseek(&sim), client(&sim));
    let ours = deepseek.files().upload(FileUpload::new("ours.png", PNG)).await.unwrap();
    let theirs = client.files().create(their_picture()).await.unwrap();
    assert_eq!(deepseek.files().list(FileQuery::new()).await.unwrap().data.len(), 2);
    assert_eq!(client.files().list().await.unwrap().data.len(), 2);
    assert_eq!(client.files().retrieve(&ours.id).await.unwrap().id, ours.id);
    assert_eq!(deepseek.files().retrieve(&theirs.id).await.unwrap().bytes, Some(8));
    deepseek.files().delete(&theirs.id).await.unwrap();
    assert!(client.files().delete(&ours.id).await.unwrap().deleted);
    assert!(deepseek.files().list(FileQuery::new()).await.unwrap().data.is_empty());
}

#[tokio::test]
async fn the_form_of_async_openai_is_put_in_order_and_unknown_purposes_can_be_listed() {
    let sim = Sim::start().await.unwrap();
    sim.script(Script::status(200).json(file()));
    client(&sim).files().create(their_upload()).await.unwrap();
    let body = String::from_utf8(last(&sim).body.to_vec()).unwrap();
    assert!(body.find("name=\"purpose\"").unwrap() < body.find("name=\"file\"").unwrap());

    let mut document = file();
    document["purpose"] = json!("text_recognition");
    let list =
        || Script::status(200).json(json!({ "object": "list", "data": [document], "has_more": false }));
    sim.script(list());
    assert_eq!(client(&sim).files().list().await.unwrap().data.len(), 1);
    sim.script(list());
    let page = deepseek(&sim).files().list(FileQuery::new()).await.unwrap();
    assert_eq!(page.data[0].purpose, Some(FilePurpose::TextRecognition));
}

#[tokio::test]
async fn what_is_at_the_root_is_found_there_from_every_base_url() {
    let sim = Sim::start().await.unwrap();
    for base in ["/beta", ""] {
        let builder = DeepSeek::builder().base_url(format!("{}{base}", sim.base_url()));
        let deepseek = DeepSeek::connect(builder.api_key(ApiKey::new(sim.key()).unwrap())).unwrap();
        assert!(deepseek.balance().await.is_ok());
        assert_eq!(last(&sim).path, "/user/balance");
        let _ = deepseek.send(question(false)).await;
        assert_eq!(last(&sim).path, "/anthropic/v1/messages");
    }
}

// Anthropic's endpoint

fn question(stream: bool) -> Request {
    anthropic::messages(&json!({
        "model": "deepseek-flash", "max_tokens": 100, "stream": stream, "system": "Be short.",
        "messages": [{ "role": "user", "content": "9.11 or 9.8?" }]
    }))
    .unwrap()
}

fn message() -> Value {
    json!({ "id": "1", "type": "message", "role": "assistant", "model": "deepseek-flash", "stop_reason": "end_turn",
        "content": [{ "type": "thinking", "thinking": "…", "signature": "s" }, { "type": "text", "text": "9.8" }],
        "usage": { "input_tokens": 1, "output_tokens": 1 } })
}

const STARTED: [&str; 2] = [
    r#"{"type":"message_start","message":{"id":"1","type":"message","role":"assistant","content":[]}}"#,
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
];
const ENDED: [&str; 4] = [
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"9.8"}}"#,
    r#"{"type":"content_block_stop","index":0}"#,
    r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}}"#,
    r#"{"type":"message_stop"}"#,
];

fn stream_of(events: &[&str]) -> Script {
    let frame = |data: &str| {
        let value: Value = serde_json::from_str(data).unwrap();
        format!("event: {}\ndata: {data}\n\n", value["type"].as_str().unwrap())
    };
    Script::raw_sse(events.iter().map(|data| frame(data)).collect::<String>())
}

async fn events_of(response: Response) -> Vec<modelswitch_provider::Result<modelswitch_provider::Event>> {
    match response.body {
        Body::Events(events) => events.collect().await,
        other => panic!("a stream: {other:?}"),
    }
}

#[tokio::test]
async fn anthropics_endpoint_gets_the_key_as_it_takes_it_and_answers_as_it_answers() {
    let sim = Sim::start().await.unwrap();
    sim.script(Script::status(200).content_type("application/json").body(format!("\n\n{}", message())));
    let mut asked = question(false);
    asked.headers.insert("x-api-key", "of-somebody-else".parse().unwrap());
    let (head, body) = deepseek(&sim).send(asked).await.unwrap().into_json().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), message());
    assert!(head.request_id.is_some() && head.model.as_deref() == Some("deepseek-flash"));
    let sent = last(&sim);
    assert_eq!((sent.method.as_str(), sent.path.as_str()), ("POST", "/anthropic/v1/messages"));
    assert_eq!(sent.headers.get_all("x-api-key").iter().collect::<Vec<_>>(), [sim.key()]);
    assert_eq!((sent.header("authorization"), sent.header("anthropic-version")), (None, Some("2023-06-01")));
    assert_eq!(sent.json()["system"], "Be short.");

    let mut chat = Request::chat(
        &json!({ "model": "deepseek-flash", "messages": [{ "role": "user", "content": "hi" }] }),
    )
    .unwrap();
    chat.headers.insert("x-api-key", "of-somebody-else".parse().unwrap());
    deepseek(&sim).send(chat).await.unwrap();
    assert_eq!(last(&sim).header("x-api-key"), None);
}

#[tokio::test]
async fn the_simulated_service_answers_in_anthropics_form_whole_and_streamed() {
    let sim = Sim::start().await.unwrap();
    let llm = deepseek(&sim);
    let ask = |stream: bool| {
        let body = json!({"model":"deepseek-flash","max_tokens":200,"stream":stream,"messages":[{"role":"user","content":"hello"}]});
        modelswitch_deepseek::anthropic::messages(&body).unwrap()
    };
    let (_, whole) = llm.send(ask(false)).await.unwrap().into_json().unwrap();
    let whole: Value = serde_json::from_slice(&whole).unwrap();
    let kinds: Vec<&Value> = whole["content"].as_array().unwrap().iter().map(|part| &part["type"]).collect();
    assert_eq!(kinds, ["thinking", "text"]);
    let events = events_of(llm.send(ask(true)).await.unwrap()).await;
    let names: Vec<String> =
        events.into_iter().map(|event| event.unwrap().name.unwrap_or_default().into()).collect();
    assert_eq!(
        (names.first().unwrap().as_str(), names.last().unwrap().as_str()),
        ("message_start", "message_stop")
    );
    let wrong = json!({"model":"gpt-5","max_tokens":20,"messages":[]});
    let error = llm.send(modelswitch_deepseek::anthropic::messages(&wrong).unwrap()).await.unwrap_err();
    assert_eq!(error.status().unwrap().as_u16(), 400);
}

#[tokio::test]
async fn anthropics_files_take_the_same_key() {
    use http::Method;
    use modelswitch_provider::{Endpoint, Payload};
    let sim = Sim::start().await.unwrap();
    sim.script(Script::status(200).json(json!({ "data": [], "has_more": false })));
    let endpoint = Endpoint::new(Method::GET, "/anthropic/v1/files?limit=3").unwrap();
    let mut list = Request::new(endpoint, Payload::Empty);
    list.headers.insert("anthropic-beta", "files-api-2025-04-14".parse().unwrap());
    assert!(deepseek(&sim).send(list).await.unwrap().into_json().is_ok());
    let sent = last(&sim);
    assert_eq!(sent.path, "/anthropic/v1/files?limit=3");
    assert_eq!((sent.header("x-api-key"), sent.header("authorization")), (Some(sim.key()), None));
    assert_eq!(sent.header("anthropic-beta"), Some("files-api-2025-04-14"));
}

#[tokio::test]
async fn anthropics_errors_have_their_kind_whole_and_streamed() {
    let sim = Sim::start().await.unwrap();
    let error =
        |kind: &str, text: &str| json!({ "type": "error", "error": { "type": kind, "message": text } });
    for (status, kind, wanted) in [
        (400, "invalid_request_error", ErrorKind::InvalidRequest),
        (401, "authentication_error", ErrorKind::Authentication),
        (402, "billing_error", ErrorKind::InsufficientBalance),
        (403, "permission_error", ErrorKind::Authentication),
        (404, "not_found_error", ErrorKind::ModelNotFound),
        (413, "request_too_large", ErrorKind::InvalidRequest),
        (429, "rate_limit_error", ErrorKind::RateLimited),
        (500, "api_error", ErrorKind::Upstream),
        (503, "service_unavailable_error", ErrorKind::Overloaded),
        (529, "overloaded_error", ErrorKind::Overloaded),
    ] {
        sim.script(Script::status(status).json(error(kind, "it broke")));
        let failed = deepseek(&sim).send(question(status == 429)).await.unwrap_err();
        assert_eq!((failed.kind(), failed.upstream_type()), (wanted, Some(kind)), "{status}");
        assert_eq!((failed.message(), failed.request_id().is_some()), ("it broke", true));
    }
    let said = error("invalid_request_error", "you said: Be short. and 9.11 or 9.8?").to_string();
    sim.script(Script::status(400).body(said));
    let failed = deepseek(&sim).send(question(false)).await.unwrap_err();
    assert!(!failed.message().contains("Be short"), "{failed}");
    sim.script(stream_of(&[STARTED[0], ENDED[0], &error("overloaded_error", "Overloaded").to_string()]));
    let events = events_of(deepseek(&sim).send(question(true)).await.unwrap()).await;
    let failed = events.last().unwrap().as_ref().unwrap_err();
    assert_eq!((events.len(), failed.kind(), failed.message()), (3, ErrorKind::Overloaded, "Overloaded"));
    for (body, kind) in
        [("", ErrorKind::Decode), ("\n\n", ErrorKind::Decode), ("{\"type\":", ErrorKind::Interrupted)]
    {
        sim.script(Script::status(200).content_type("application/json").body(body));
        assert_eq!(deepseek(&sim).send(question(false)).await.unwrap_err().kind(), kind, "{body:?}");
    }
}

#[tokio::test]
async fn anthropics_stream_ends_with_its_message_stop_and_a_cut_one_is_an_error() {
    let sim = Sim::start().await.unwrap();
    let all: Vec<&str> = STARTED.into_iter().chain(ENDED).collect();
    sim.script(stream_of(&all));
    let events = events_of(deepseek(&sim).send(question(true)).await.unwrap()).await;
    let data: Vec<_> = events.iter().map(|event| event.as_ref().unwrap().data.clone()).collect();
    assert_eq!(data, all);
    assert_eq!(events[0].as_ref().unwrap().name.as_deref(), Some("message_start"));
    for (script, kind) in [
        (stream_of(&all).cut_after_events(4), ErrorKind::Interrupted),
        (stream_of(&all).end_after_events(5), ErrorKind::Interrupted),
        (stream_of(&all).stall_after_events(4), ErrorKind::Timeout),
    ] {
        sim.script(script);
        let events = events_of(deepseek(&sim).send(question(true)).await.unwrap()).await;
        assert_eq!(events.last().unwrap().as_ref().unwrap_err().kind(), kind);
    }
}

#[tokio::test]
async fn anthropics_question_is_repeated_until_its_first_content_and_not_after() {
    let sim = Sim::start().await.unwrap();
    let all: Vec<&str> = STARTED.into_iter().chain(ENDED).collect();
    let retry = Retry::new().base_delay(Duration::from_millis(1));
    let provider = Stack::new().layer(retry).over(deepseek(&sim));
    sim.script(
        Script::status(529)
            .json(json!({ "type": "error", "error": { "type": "overloaded_error", "message": "busy" } })),
    );
    sim.script(stream_of(&all).cut_after_events(2));
    sim.script(stream_of(&all));
    let response = provider.send(question(true)).await.unwrap();
    assert_eq!(response.head.attempts(), 3);
    assert_eq!(events_of(response).await.len(), all.len());

    sim.clear_requests();
    sim.script(stream_of(&all).cut_after_events(3));
    let events = events_of(provider.send(question(true)).await.unwrap()).await;
    assert_eq!(events.last().unwrap().as_ref().unwrap_err().kind(), ErrorKind::Interrupted);
    assert_eq!(sim.requests().len(), 1);
}

// Errors

/// What DeepSeek sends, the kind it means, and what the advice must have in it.
struct Row {
    script: fn() -> Script,
    kind: ErrorKind,
    text: &'static str,
    hint: &'static str,
}

fn failed(status: u16, kind: &str, text: &str, content_type: &str) -> Script {
    let error =
        json!({ "error": { "message": text, "type": kind, "param": null, "code": "invalid_request_error" } });
    Script::status(status).content_type(content_type).body(error.to_string())
}

/// A 400 of the model service, which comes as `application/octet-stream`.
fn octets(text: &str) -> Script {
    failed(400, "invalid_request_error", text, "application/octet-stream")
}

fn plain(status: u16, kind: &str, text: &str) -> Script {
    failed(status, kind, text, "application/json")
}

macro_rules! row {
    ($kind:ident, $script:expr, $text:literal, $hint:literal) => {
        Row { script: || $script, kind: ErrorKind::$kind, text: $text, hint: $hint }
    };
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    row!(ModelNotFound, octets("The supported API model names are deepseek-v4-pro or deepseek-v4-flash, but you passed deepseek-v9."),
        "but you passed deepseek-v9", "deepseek-v4-pro or deepseek-v4-flash"),
    row!(InvalidRequest, octets("Thinking mode does not support this tool_choice"), "Thinking mode", "thinking off"),
    row!(ContextLength, octets("This model's maximum context length is 1048565 tokens. However, you requested 1250025 tokens (1250025 in the messages, 0 in the completion). Please reduce the length of the messages or completion."),
        "1250025 in the messages", "201460"),
    row!(InvalidRequest, plain(400, "invalid_request_error", "Failed to deserialize the JSON body into the target type: messages[0]: unknown variant `image_url`, expected `text` at line 1 column 216"),
        "unknown variant `image_url`", "deepseek-flash"),
    row!(InvalidRequest, octets("An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. (insufficient tool messages following tool_calls message)"),
        "insufficient tool messages", "tool_call_id"),
    row!(InvalidRequest, octets("The `reasoning_content` in the thinking mode must be passed back to the API."), "must be passed back", "ReasoningMemory"),
    row!(ContentFiltered, octets("Content Exists Risk"), "Content Exists Risk", "moderation"),
    row!(InvalidRequest, octets("Invalid max_tokens value, the valid range of max_tokens is [1, 393216]"), "393216", "from 1 to 393216"),
    row!(InvalidRequest, octets("This response_format type is unavailable now"), "unavailable now", "json_object"),
    row!(InvalidRequest, octets("Prompt must contain the word 'json' in some form to use 'response_format' of type 'json_object'."), "'json'", "word json"),
    row!(InvalidRequest, octets("Invalid schema for function 'f': schema must be a JSON Schema of 'type: \"object\"', got 'type: null'."), "Invalid schema", "type object"),
    row!(InvalidRequest, octets("Invalid assistant message: content or tool_calls must be set"), "must be set", "instead of null"),
    row!(InvalidRequest, octets("prefix is only available when using beta api (set base_url=\"https://api.deepseek.com/beta\")"), "beta api", "/beta"),
    row!(Authentication, plain(401, "authentication_error", "Authentication Fails, Your api key: ****-key is invalid"), "****-key", "https://platform.deepseek.com/api_keys"),
    row!(Authentication, Script::status(401).no_content_type().body("Authentication Fails (governor)"), "Authentication Fails (governor)", "no key reached"),
    row!(InsufficientBalance, plain(402, "unknown_error", "Insufficient Balance"), "Insufficient Balance", "https://platform.deepseek.com/top_up"),
    row!(InvalidRequest, plain(422, "invalid_request_error", "Invalid Parameters"), "Invalid Parameters", "field"),
    row!(RateLimited, plain(429, "rate_limit_error", "Too many requests. Your current concurrency is 26, which exceeds your concurrency limit of 25 based on your remaining balance. Please top up your balance to restore your concurrency."),
        "concurrency limit of 25", "at most 25 at once"),
    row!(RateLimited, plain(429, "rate_limit_error", "Rate limit reached for TPM"), "TPM", "minute"),
    row!(Upstream, Script::status(500), "HTTP 500", "https://status.deepseek.com"),
    row!(Overloaded, plain(503, "service_unavailable_error", "Service is too busy. We advise users to temporarily switch to alternative LLM API service providers."),
        "too busy", "https://status.deepseek.com"),
    row!(Decode, Script::status(200).content_type("application/json").body("\n\n\n"), "is empty", "blank lines"),
];

const TRACE: &str = "941fd38e84fd48b9698bc3ec2305d395";

/// The errors of a row as both doors give them.
async fn both_doors(sim: &Sim, row: &Row) -> [Error; 2] {
    sim.script((row.script)().header("x-ds-trace-id", TRACE));
    let ours = deepseek(sim).chat(ChatRequest::user("x").model("deepseek-v9")).await.unwrap_err();
    sim.script((row.script)().header("x-ds-trace-id", TRACE));
    let request = CreateChatCompletionRequestArgs::default()
        .model("deepseek-v9")
        .messages([ChatCompletionRequestUserMessage::from("x").into()])
        .build()
        .unwrap();
    let theirs = client(sim).chat().create(request).await.unwrap_err();
    [ours, theirs.provider_error().unwrap()]
}

#[tokio::test]
async fn every_known_error_has_its_kind_deepseeks_text_and_its_trace_id_through_both_doors() {
    let sim = Sim::start().await.unwrap();
    for row in ROWS {
        for error in both_doors(&sim, row).await {
            assert_eq!(error.kind(), row.kind, "{}: {error}", row.text);
            assert!(error.message().contains(row.text), "{}: {error}", row.text);
            assert_eq!((error.request_id(), error.provider()), (Some(TRACE), Some("deepseek")));
        }
    }
}

#[tokio::test]
async fn every_known_error_says_what_to_do_through_both_doors() {
    let sim = Sim::start().await.unwrap();
    for row in ROWS {
        for error in both_doors(&sim, row).await {
            assert!(error.hint().contains(row.hint), "{}: {}", row.text, error.hint());
        }
    }
}

#[tokio::test]
async fn the_numbers_in_deepseeks_sentences_are_typed_through_both_doors() {
    let sim = Sim::start().await.unwrap();
    let find = |part: &str| ROWS.iter().find(|row| row.text.contains(part)).unwrap();
    for error in both_doors(&sim, find("concurrency limit")).await {
        let concurrency = error.concurrency().unwrap();
        assert_eq!((concurrency.current, concurrency.limit, concurrency.by_balance), (26, 25, true));
    }
    for error in both_doors(&sim, find("in the messages")).await {
        let context = error.context().unwrap();
        assert_eq!((context.limit, context.over(), context.in_completion), (1_048_565, 201_460, Some(0)));
    }
    for error in both_doors(&sim, find("but you passed")).await {
        assert_eq!(error.supported_models(), ["deepseek-v4-pro", "deepseek-v4-flash"]);
    }
}

// Keys

async fn found(base_url: &str, key: &str) -> Verification {
    let mut timeouts = Timeouts::default();
    timeouts.first_byte = Duration::from_millis(500);
    let found = verify_at(DeepSeek::builder().base_url(base_url).timeouts(timeouts), key).await;
    let shown = format!("{found:?} {}", serde_json::to_string(&found).unwrap());
    assert!(key.is_empty() || !shown.contains(key), "{shown}");
    assert_eq!(found.remedy.is_none(), found.is_good(), "{found:?}");
    found
}

#[tokio::test]
async fn a_key_is_good_rejected_without_money_missing_or_malformed_and_finding_out_costs_nothing() {
    let sim = Sim::start().await.unwrap();
    let good = found(sim.base_url(), sim.key()).await;
    assert_eq!((good.state, good.models.len()), (KeyState::Good, 2));
    assert_eq!(
        good.balance.as_ref().and_then(|balance| balance.total(&Currency::Cny)).unwrap().to_string(),
        "110.00"
    );
    let json = serde_json::to_value(&good).unwrap();
    assert_eq!((&json["state"], &json["balance"]["is_available"]), (&json!("good"), &json!(true)));

    let poor = found(sim.base_url(), "sk-no-balance").await;
    assert_eq!((poor.state, poor.models.len()), (KeyState::NoBalance, 2));
    assert!(poor.remedy.unwrap().contains("top_up"));

    let rejected = found(sim.base_url(), "sk-canary-canary").await;
    assert_eq!((rejected.state, rejected.models.len()), (KeyState::Rejected, 0));
    assert!(
        rejected.detail.contains("Authentication Fails") && rejected.remedy.unwrap().contains("api_keys")
    );

    assert_eq!(deepseek(&sim).verify().await.state, KeyState::Good);
    assert!(
        sim.requests().iter().all(|request| matches!(request.path.as_str(), "/models" | "/user/balance"))
    );

    sim.clear_requests();
    for key in ["", "  \n"] {
        let missing = verify_at(DeepSeek::builder().base_url(sim.base_url()), key).await;
        assert_eq!(missing.state, KeyState::Missing);
        assert!(missing.remedy.unwrap().contains("api_keys"));
    }
    assert_eq!(verify_at(DeepSeek::builder(), None).await.state, KeyState::Missing);
    for key in ["sk-canary\ncanary", "sk-canary canary", "sk-cänäry"] {
        assert_eq!(found(sim.base_url(), key).await.state, KeyState::Malformed);
    }
    assert!(sim.requests().is_empty());
}

#[tokio::test]
async fn trouble_that_says_nothing_of_the_key_is_told_as_such() {
    let sim = Sim::start().await.unwrap();
    for script in [
        plain(429, "rate_limit_error", "slow down"),
        plain(503, "service_unavailable_error", "Service is too busy."),
        Script::status(500),
        Script::status(502).content_type("text/html").body("<html><title>Bad gateway</title></html>"),
        Script::status(200).json(json!({ "object": 5 })),
    ] {
        sim.script(script);
        let unknown = found(sim.base_url(), sim.key()).await;
        assert_eq!(unknown.state, KeyState::Unknown, "{unknown:?}");
    }
    // A balance that isn't told says nothing against a key that was taken.
    sim.script_path("/user/balance", Script::status(404));
    let good = deepseek(&sim).verify().await;
    assert_eq!((good.state, good.balance), (KeyState::Good, None));
    sim.script_path("/user/balance", plain(402, "unknown_error", "Insufficient Balance"));
    assert_eq!(deepseek(&sim).verify().await.state, KeyState::NoBalance);
}

#[tokio::test]
async fn where_nobody_answers_the_key_is_not_blamed() {
    let nobody = Nobody::new().unwrap();
    let unreachable = found(&nobody.base_url(""), "sk-canary").await;
    assert_eq!(unreachable.state, KeyState::Unreachable);
    assert!(unreachable.remedy.unwrap().contains("network"));

    let sim = Sim::start().await.unwrap();
    sim.script(Script::reset());
    assert_eq!(found(sim.base_url(), sim.key()).await.state, KeyState::Unreachable);
    sim.script(Script::normal().delay(Duration::from_secs(5)));
    assert_eq!(found(sim.base_url(), sim.key()).await.state, KeyState::Unreachable);
}

/// Answers every request with these bytes, as somebody who isn't DeepSeek.
fn somebody_else(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let Ok((mut stream, _)) = listener.accept() else { return };
        let mut asked = Vec::new();
        let mut piece = [0; 1024];
        while !asked.windows(4).any(|end| end == b"\r\n\r\n") {
            match stream.read(&mut piece) {
                Ok(count) if count > 0 => asked.extend_from_slice(&piece[..count]),
                _ => return,
            }
        }
        let _ = stream.write_all(answer.as_bytes());
    });
    format!("http://{address}")
}

#[tokio::test]
async fn where_somebody_else_answers_the_key_is_not_blamed_either() {
    for answer in [
        "HTTP/1.1 403 Forbidden\r\ncontent-type: text/html\r\ncontent-length: 25\r\n\r\n<html><title>No</title> .",
        "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 511 Network Authentication Required\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nlocation: http://login.example/\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 15\r\n\r\n<html>log in!..",
        "HTTP/1.1 401 Unauthorized\r\ncontent-type: text/html\r\ncontent-length: 15\r\n\r\n<html>log in!..",
        "HTTP/1.1 401 Unauthorized\r\ncontent-length: 12\r\n\r\nwho are you?",
        "HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\nnot found",
    ] {
        let blocked = found(&somebody_else(answer), "sk-canary").await;
        assert_eq!(blocked.state, KeyState::Blocked, "{answer} {blocked:?}");
        assert!(blocked.remedy.unwrap().contains("proxy"));
    }
    // A service in OpenAI's form that refuses the key has refused it, though it isn't DeepSeek's own.
    let sim = Sim::builder().personality(Personality::OpenAi).start().await.unwrap();
    assert_eq!(found(sim.base_url(), "sk-canary-canary").await.state, KeyState::Rejected);
}
