use std::sync::Arc;
use std::time::Duration;

use modelswitch_sim::{Script, Sim};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

#[tokio::test]
async fn requests_are_kept_and_forgotten_and_never_shown() {
    let sim = deepseek().await;
    post(&sim, "/chat/completions?x=1", &says("planted-word")).await;
    let requests = sim.requests();
    assert_eq!(requests[0].path, "/chat/completions?x=1");
    assert_eq!(requests[0].json(), says("planted-word"));
    assert_eq!(requests[0].headers["authorization"], format!("Bearer {}", sim.key()));
    let shown = format!("{:?} {sim:?}", requests[0]);
    assert!(!shown.contains("planted-word") && !shown.contains(sim.key()), "{shown}");
    sim.clear_requests();
    assert!(sim.requests().is_empty());
}

#[tokio::test]
async fn only_the_latest_requests_are_kept() {
    let sim = Sim::builder().remember(2).start().await.unwrap();
    for n in 0..4 {
        get(&sim, &format!("/models?n={n}")).await;
    }
    let paths: Vec<String> = sim.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/models?n=2", "/models?n=3"]);
}

#[tokio::test]
async fn connections_count_until_their_client_lets_go_of_them() {
    let sim = deepseek().await;
    let client = reqwest::Client::new();
    client.get(format!("{}/models", sim.base_url())).send().await.unwrap().bytes().await.unwrap();
    assert!(sim.wait_idle(Duration::from_secs(5)).await);
    assert_eq!(sim.open_connections(), 1);
    drop(client);
    while sim.open_connections() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn any_key_is_accepted_on_demand() {
    let sim = Sim::builder().any_key(true).start().await.unwrap();
    let url = format!("{}/models", sim.base_url());
    let client = reqwest::Client::new();
    assert_eq!(client.get(&url).bearer_auth("whatever").send().await.unwrap().status(), 200);
    assert_eq!(client.get(&url).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_response_stops_when_its_client_leaves() {
    let sim = Sim::builder().chunk_delay(Duration::from_millis(50)).start().await.unwrap();
    let mut response = post(&sim, "/chat/completions", &streamed(says("[sim:long]"))).await;
    response.chunk().await.unwrap();
    assert_eq!(sim.open_responses(), 1);
    drop(response);
    // The whole stream would take more than a minute.
    assert!(sim.wait_idle(Duration::from_secs(10)).await);
}

#[tokio::test]
async fn a_client_that_leaves_before_the_head_is_noticed() {
    let sim = deepseek().await;
    sim.script(Script::normal().delay(Duration::from_secs(600)));
    let waiting = get(&sim, "/models");
    assert!(tokio::time::timeout(Duration::from_millis(200), waiting).await.is_err());
    assert!(sim.wait_idle(LONG).await);
}

#[tokio::test]
async fn a_body_over_the_limit_gets_413_even_while_it_is_written() {
    let sim = Sim::builder().body_limit(1000).start().await.unwrap();
    assert_eq!(post(&sim, "/chat/completions", &says(&"x".repeat(3000))).await.status(), 413);
    assert_eq!(post(&sim, "/chat/completions", &says("x")).await.status(), 200);
}

#[tokio::test]
async fn a_tower_of_brackets_is_refused() {
    let sim = deepseek().await;
    let url = format!("{}/chat/completions", sim.base_url());
    let body = "[".repeat(200_000);
    let response = reqwest::Client::new().post(url).bearer_auth(sim.key()).body(body).send().await.unwrap();
    assert_eq!(response.status(), 400);
}

#[tokio::test]
async fn a_head_that_is_never_finished_is_given_up() {
    let sim = Sim::builder().header_read_timeout(Duration::from_millis(100)).start().await.unwrap();
    let mut stream = TcpStream::connect(sim.address()).await.unwrap();
    stream.write_all(b"GET /models HTTP/1.1\r\n").await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(LONG, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_the_end() {
    let sim = Sim::builder().header_read_timeout(Duration::from_millis(100)).start().await.unwrap();
    let mut stream = TcpStream::connect(sim.address()).await.unwrap();
    stream.write_all(b"GET /models HTTP/1.1\r\nhost: sim\r\n\r\n").await.unwrap();
    let mut text = String::new();
    tokio::time::timeout(LONG, stream.read_to_string(&mut text)).await.unwrap().unwrap();
    assert!(text.ends_with("Authentication Fails (governor)"));
}

#[tokio::test]
async fn each_event_is_a_chunk_of_its_own_even_without_a_delay() {
    let sim = deepseek().await;
    let mut stream = TcpStream::connect(sim.address()).await.unwrap();
    let body = streamed(says("Hi")).to_string();
    let key = sim.key();
    let size = body.len();
    let head = format!(
        "POST /chat/completions HTTP/1.1\r\nhost: sim\r\nauthorization: Bearer {key}\r\nconnection: close\r\ncontent-length: {size}\r\n\r\n"
    );
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    // One chunk of the transfer coding for each event, the head and the end beside them.
    let events = text.matches("data: ").count();
    assert!(events > 10);
    assert_eq!(text.split("\r\n").filter(|line| line.starts_with("data: ")).count(), events);
}

#[tokio::test]
async fn many_tasks_share_one_simulator() {
    let sim = Arc::new(deepseek().await);
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let sim = Arc::clone(&sim);
            tokio::spawn(async move { post(&sim, "/chat/completions", &says("Hi")).await.status() })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 200);
    }
    assert_eq!(sim.requests().len(), 50);
}

#[tokio::test]
async fn after_shutdown_nobody_listens_and_connections_are_closed() {
    let sim = deepseek().await;
    sim.script(Script::normal().stall_after(1));
    let mut response = post(&sim, "/chat/completions", &json!({})).await;
    response.chunk().await.unwrap();
    sim.shutdown().await;
    assert!(response.chunk().await.is_err());
    assert!(TcpStream::connect(sim.address()).await.is_err());
    assert_eq!(sim.open_responses(), 0);
}

#[tokio::test]
async fn a_dropped_simulator_frees_its_port() {
    let sim = deepseek().await;
    let address = sim.address();
    drop(sim);
    let gone = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(LONG, gone).await.unwrap();
}
