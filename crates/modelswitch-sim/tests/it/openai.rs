use serde_json::{Value, json};

use super::*;

fn small(text: &str) -> Value {
    with(says(text), json!({"model": "sim-small"}))
}

#[tokio::test]
async fn an_answer_has_openais_form() {
    let sim = openai().await;
    let response = post(&sim, "/chat/completions", &small("Hello")).await;
    assert!(response.headers()["x-request-id"].to_str().unwrap().starts_with("req_"));
    assert!(response.headers().get("x-ds-trace-id").is_none());
    let body: Value = response.json().await.unwrap();
    assert!(body["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert_eq!(body["choices"][0]["message"]["content"], r#"[simulated sim-small] You said: "Hello""#);
    assert!(body["choices"][0]["message"].get("reasoning_content").is_none());
}

#[tokio::test]
async fn usage_comes_in_a_chunk_of_its_own_and_only_on_demand() {
    let sim = openai().await;
    let plain = events(post(&sim, "/chat/completions", &streamed(small("Hello"))).await).await;
    assert!(plain.iter().all(|event| event.get("usage").is_none()));
    let asked = with(streamed(small("Hello")), json!({"stream_options": {"include_usage": true}}));
    let asked = events(post(&sim, "/chat/completions", &asked).await).await;
    let [.., last, usage, done] = asked.as_slice() else { panic!("a short stream") };
    assert_eq!((&last["choices"][0]["delta"], &last["usage"]), (&json!({}), &Value::Null));
    assert_eq!(usage["choices"], json!([]));
    assert!(usage["usage"]["total_tokens"].is_number());
    assert_eq!(done, "[DONE]");
}

#[tokio::test]
async fn errors_have_their_codes() {
    let sim = openai().await;
    let url = format!("{}/models", sim.base_url());
    let wrong = reqwest::Client::new().get(&url).bearer_auth("sk-planted-secret").send().await.unwrap();
    assert_eq!(wrong.status(), 401);
    let wrong: Value = wrong.json().await.unwrap();
    assert_eq!(wrong["error"]["code"], "invalid_api_key");
    assert!(!wrong.to_string().contains("planted"));
    let none = post(&sim, "/chat/completions", &says("Hi")).await;
    assert_eq!(none.status(), 404);
    assert_eq!(none.json::<Value>().await.unwrap()["error"]["code"], "model_not_found");
    assert_eq!(get(&sim, "/nothing").await.status(), 404);
    assert_eq!(get(&sim, "/chat/completions").await.status(), 405);
    assert_eq!(post(&sim, "/chat/completions", &small("[sim:429]")).await.status(), 429);
}

#[tokio::test]
async fn models_are_listed_and_found() {
    let sim = openai().await;
    let list: Value = get(&sim, "/models").await.json().await.unwrap();
    assert_eq!(list["data"][0]["id"], "sim-small");
    let one: Value = get(&sim, "/models/sim-large").await.json().await.unwrap();
    assert!(one["created"].is_number());
    assert_eq!(get(&sim, "/models/none").await.status(), 404);
}

#[tokio::test]
async fn an_embedding_depends_on_its_text_and_comes_in_two_codings() {
    let sim = openai().await;
    let body = json!({"model": "sim-embedding", "input": ["a", "b", "a"]});
    let floats: Value = post(&sim, "/embeddings", &body).await.json().await.unwrap();
    let vector = |index: usize| floats["data"][index]["embedding"].as_array().unwrap().clone();
    assert_eq!(vector(0), vector(2));
    assert_ne!(vector(0), vector(1));
    let length: f64 = vector(0).iter().map(|x| x.as_f64().unwrap().powi(2)).sum();
    assert!((length - 1.0).abs() < 1e-5);
    let coded = with(body, json!({"encoding_format": "base64", "dimensions": 2}));
    let coded: Value = post(&sim, "/embeddings", &coded).await.json().await.unwrap();
    // Two floats are eight bytes are twelve letters.
    assert_eq!(coded["data"][0]["embedding"].as_str().unwrap().len(), 12);
}

#[tokio::test]
async fn structured_output_follows_its_schema() {
    let sim = openai().await;
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
    let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
    let body =
        post(&sim, "/chat/completions", &with(small("Count"), json!({"response_format": format}))).await;
    let body: Value = body.json().await.unwrap();
    assert_eq!(body["choices"][0]["message"]["content"], r#"{"n":1}"#);
}

#[tokio::test]
async fn text_completions_answer_whole_and_streamed() {
    let sim = openai().await;
    let body = json!({"model": "sim-small", "prompt": "Once"});
    let whole: Value = post(&sim, "/completions", &body).await.json().await.unwrap();
    let events = events(post(&sim, "/completions", &streamed(body)).await).await;
    let text: String = events.iter().filter_map(|event| event["choices"][0]["text"].as_str()).collect();
    assert_eq!(whole["choices"][0]["text"], text);
}

#[tokio::test]
async fn an_upload_is_named_and_counted() {
    let sim = openai().await;
    let client = reqwest::Client::new();
    let part = || reqwest::multipart::Part::bytes(b"--\r\n\r\nbinary\0".to_vec()).file_name("talk.mp3");
    let form = reqwest::multipart::Form::new().text("model", "sim-transcribe").part("file", part());
    let url = format!("{}/audio/transcriptions", sim.base_url());
    let heard: Value =
        client.post(url).bearer_auth(sim.key()).multipart(form).send().await.unwrap().json().await.unwrap();
    assert_eq!(heard["text"], "[simulated transcription] talk.mp3, 13 bytes");

    let form = reqwest::multipart::Form::new().text("purpose", "user_data").part("file", part());
    let url = format!("{}/files", sim.base_url());
    let file: Value =
        client.post(url).bearer_auth(sim.key()).multipart(form).send().await.unwrap().json().await.unwrap();
    assert_eq!((&file["filename"], &file["bytes"]), (&json!("talk.mp3"), &json!(13)));
    let id = file["id"].as_str().unwrap();
    let content = get(&sim, &format!("/files/{id}/content")).await.bytes().await.unwrap();
    assert_eq!(content, &b"--\r\n\r\nbinary\0"[..]);
    let url = format!("{}/files/{id}", sim.base_url());
    let deleted: Value =
        client.delete(url).bearer_auth(sim.key()).send().await.unwrap().json().await.unwrap();
    assert_eq!(deleted["deleted"], true);
    let list: Value = get(&sim, "/files").await.json().await.unwrap();
    assert_eq!(list["data"], json!([]));
}

#[tokio::test]
async fn speech_is_bytes() {
    let sim = openai().await;
    let body = json!({"model": "sim-speech", "input": "Hello", "voice": "alloy"});
    let response = post(&sim, "/audio/speech", &body).await;
    assert_eq!(content_type(&response), "audio/mpeg");
    assert!(response.bytes().await.unwrap().starts_with(b"ID3"));
}

#[tokio::test]
async fn responses_name_their_events_and_call_tools() {
    let sim = openai().await;
    let body = json!({"model": "sim-small", "input": [{"role": "user", "content": "Hello"}], "stream": true});
    let text = post(&sim, "/responses", &body).await.text().await.unwrap();
    assert!(text.starts_with("event: response.created\ndata: {"));
    assert!(!text.contains("[DONE]"));
    let deltas = text.matches("event: response.output_text.delta\n").count();
    assert!(deltas > 3);
    let tools =
        json!([{"type": "function", "name": "ping", "parameters": {"type": "object", "properties": {}}}]);
    let body = with(body, json!({"stream": false, "tools": tools}));
    let whole: Value = post(&sim, "/responses", &body).await.json().await.unwrap();
    assert_eq!(whole["output"][0]["type"], "function_call");
    assert_eq!(whole["output"][0]["arguments"], "{}");
}
