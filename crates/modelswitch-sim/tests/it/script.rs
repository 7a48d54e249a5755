use std::time::{Duration, SystemTime};

use modelswitch_sim::{Script, Sim};
use reqwest::Response;
use serde_json::{Value, json};

use super::*;

async fn hello(sim: &Sim) -> Response {
    post(sim, "/chat/completions", &streamed(says("Hello"))).await
}

/// The body in the pieces in which it arrived, and whether it ended well.
async fn pieces(mut response: Response) -> (Vec<String>, bool) {
    let mut pieces = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(piece)) => pieces.push(String::from_utf8(piece.to_vec()).unwrap()),
            Ok(None) => return (pieces, true),
            Err(_) => return (pieces, false),
        }
    }
}

#[tokio::test]
async fn scripts_are_played_in_order_and_then_the_personality_answers() {
    let sim = deepseek().await;
    sim.script(Script::status(429).header("retry-after", "1").json(json!({"a": 1})));
    sim.script(Script::status(500).body("<html>").content_type("text/html").times(2));
    let first = hello(&sim).await;
    assert_eq!(first.status(), 429);
    assert_eq!(first.headers()["retry-after"], "1");
    assert_eq!(content_type(&first), "application/json");
    assert_eq!(first.headers()["x-ds-trace-id"].len(), 32);
    assert_eq!(first.json::<Value>().await.unwrap(), json!({"a": 1}));
    for _ in 0..2 {
        let second = hello(&sim).await;
        assert_eq!((second.status().as_u16(), content_type(&second)), (500, "text/html"));
    }
    assert_eq!(hello(&sim).await.status(), 200);
}

#[tokio::test]
async fn a_script_for_a_path_waits_for_it() {
    let sim = deepseek().await;
    sim.script_path("/models", Script::status(404));
    assert_eq!(hello(&sim).await.status(), 200);
    assert_eq!(get(&sim, "/v1/models?x=1").await.status(), 404);
    assert_eq!(get(&sim, "/models").await.status(), 200);
}

#[tokio::test]
async fn a_script_that_is_no_http_says_so() {
    let sim = deepseek().await;
    sim.script(Script::status(200).header("no spaces", "x"));
    let response = hello(&sim).await;
    assert_eq!(response.status(), 500);
    assert!(response.text().await.unwrap().contains("not a valid header"));
}

#[tokio::test]
async fn a_fixed_stream_is_sent_event_by_event() {
    let sim = deepseek().await;
    sim.script(Script::sse([r#"{"n":1}"#, "[DONE]"]).pace(Duration::from_millis(20)));
    let (got, well) = pieces(hello(&sim).await).await;
    assert_eq!(got, ["data: {\"n\":1}\n\n", "data: [DONE]\n\n"]);
    assert!(well);
}

#[tokio::test]
async fn raw_bytes_stay_as_they_are() {
    let sim = deepseek().await;
    let raw = ": hi\r\n\r\nevent: x\r\ndata: 1\r\n\r\nrest";
    sim.script(Script::raw_sse(raw).end_after_events(1));
    sim.script(Script::raw_sse(raw));
    assert_eq!(hello(&sim).await.text().await.unwrap(), ": hi\r\n\r\nevent: x\r\ndata: 1\r\n\r\n");
    assert_eq!(hello(&sim).await.text().await.unwrap(), raw);
}

#[tokio::test]
async fn a_split_body_arrives_in_pieces() {
    let sim = deepseek().await;
    sim.script(
        Script::status(200).body("abcdefgh").split(3).pace(Duration::from_millis(20)).no_content_type(),
    );
    let response = hello(&sim).await;
    assert_eq!(content_type(&response), "");
    assert_eq!(pieces(response).await, (vec!["abc".to_owned(), "def".to_owned(), "gh".to_owned()], true));
}

#[tokio::test]
async fn a_cut_is_an_error_and_an_end_is_not() {
    let sim = deepseek().await;
    let whole = pieces(hello(&sim).await).await.0.concat();
    sim.script(Script::normal().cut_after_events(2));
    sim.script(Script::normal().end_after_events(2));
    sim.script(Script::status(200).body("abcdef").cut_after(4));
    sim.script(Script::status(200).body("abcdef").end_after(4));
    let (cut, well) = pieces(hello(&sim).await).await;
    assert_eq!((cut.concat().matches("data: ").count(), well), (2, false));
    let (ended, well) = pieces(hello(&sim).await).await;
    assert_eq!((ended.concat().matches("data: ").count(), well), (2, true));
    assert!(!whole.is_empty());
    assert_eq!(pieces(hello(&sim).await).await, (vec!["abcd".to_owned()], false));
    assert_eq!(pieces(hello(&sim).await).await, (vec!["abcd".to_owned()], true));
}

#[tokio::test]
async fn a_stall_ends_when_the_client_leaves() {
    let sim = deepseek().await;
    sim.script(Script::normal().stall_after(10));
    let mut response = hello(&sim).await;
    assert_eq!(response.chunk().await.unwrap().unwrap().len(), 10);
    let more = tokio::time::timeout(Duration::from_millis(100), response.chunk()).await;
    assert!(more.is_err());
    assert_eq!(sim.open_responses(), 1);
    assert!(!sim.wait_idle(Duration::from_millis(10)).await);
    drop(response);
    assert!(sim.wait_idle(LONG).await);
}

#[tokio::test]
async fn a_reset_comes_before_any_head() {
    let sim = deepseek().await;
    sim.script(Script::reset());
    let url = format!("{}/models", sim.base_url());
    assert!(reqwest::get(&url).await.is_err());
    assert_eq!(sim.requests().len(), 1);
    assert_eq!(sim.open_responses(), 0);
}

#[tokio::test]
async fn delays_stand_before_the_head_and_before_the_body() {
    let sim = deepseek().await;
    let wait = Duration::from_millis(80);
    sim.script(Script::normal().delay(wait));
    sim.script(Script::normal().delay_body(wait));
    let before = SystemTime::now();
    let mut response = hello(&sim).await;
    assert!(before.elapsed().unwrap() >= wait);
    response.chunk().await.unwrap();
    let mut response = hello(&sim).await;
    let head = SystemTime::now();
    response.chunk().await.unwrap();
    assert!(head.elapsed().unwrap() >= wait / 2);
}

#[tokio::test]
async fn a_redirect_names_its_goal() {
    let sim = deepseek().await;
    sim.script(Script::redirect(307, "http://192.0.2.1/"));
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let response = client.get(format!("{}/models", sim.base_url())).send().await.unwrap();
    assert_eq!(response.status(), 307);
    assert_eq!(response.headers()["location"], "http://192.0.2.1/");
}
