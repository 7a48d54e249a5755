//! The check against services on real sockets.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use modelswitch_provider::mock::{self, MockProvider};
use modelswitch_registry::{CheckOptions, CheckReport, Outcome, Stage};
use modelswitch_sim::{Nobody, Personality, Script, Sim};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::*;

async fn sim() -> Sim {
    Sim::builder().personality(Personality::OpenAi).start().await.unwrap()
}

/// One provider, with a key, at a URL.
async fn check(url: &str, more: &str, options: &CheckOptions) -> CheckReport {
    let registry = with(&[("MINE", CANARY)])
        .toml(format!(
            "[providers.mine]\nprofile = 'openai-compatible'\nbase_url = '{url}'\napi_key = {{ env = 'MINE' }}\n{more}"
        ))
        .build()
        .unwrap();
    let report = registry.check_provider_with("mine", options).await.unwrap();
    let shown = format!("{report:?} {}", serde_json::to_string(&report).unwrap());
    assert!(!shown.contains(CANARY), "{shown}");
    report
}

fn failure(report: &CheckReport) -> (Stage, String, String) {
    let failure = report.failure().unwrap();
    (failure.stage, failure.detail.clone(), failure.remedy.clone().unwrap())
}

/// A service with this answer to everything, which isn't read further than its first bytes.
async fn answering(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 64]).await;
            let _ = socket.write_all(answer).await;
        }
    });
    port
}

#[tokio::test]
async fn a_service_that_works_tells_of_itself() {
    let sim = Sim::builder().personality(Personality::OpenAi).key(CANARY).start().await.unwrap();
    let report = check(sim.base_url(), "default_model = 'sim-small'", &CheckOptions::new()).await;
    assert!(report.passed(), "{report:#?}");
    assert!(report.stage(Stage::Dns).is_none() && report.stage(Stage::Tls).is_none());
    assert_eq!(report.stage(Stage::Tcp).unwrap().detail, sim.address().to_string());
    let told = &report.metadata;
    assert_eq!(told.addresses, [sim.address()]);
    assert_eq!(told.http_version.as_deref(), Some("HTTP/1.1"));
    assert_eq!(told.serving_model.as_deref(), Some("sim-small"));
    assert!(told.models.contains(&"sim-small".to_owned()) && told.request_id.is_some(), "{told:?}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["metadata"]["serving_model"], "sim-small");
    assert_eq!(json["metadata"]["addresses"][0], sim.address().to_string());
}

#[tokio::test]
async fn a_name_is_looked_up_and_its_addresses_are_shown() {
    let sim = Sim::builder().personality(Personality::OpenAi).key(CANARY).start().await.unwrap();
    let url = sim.base_url().replace("127.0.0.1", "localhost");
    let report = check(&url, "default_model = 'sim-small'", &CheckOptions::new()).await;
    assert!(report.stage(Stage::Dns).unwrap().detail.contains("127.0.0.1"), "{report:#?}");
    assert!(report.passed(), "{report:#?}");
}

#[tokio::test]
async fn a_completion_that_is_not_wanted_is_not_asked_for() {
    let sim = Sim::builder().personality(Personality::OpenAi).key(CANARY).start().await.unwrap();
    let report = check(sim.base_url(), "", &CheckOptions::new().without_completion()).await;
    assert!(report.passed());
    assert_eq!(report.stage(Stage::Completion).unwrap().outcome, Outcome::Skipped);
    assert!(sim.requests().iter().all(|request| request.path == "/v1/models"), "{:?}", sim.requests().len());
}

#[tokio::test]
async fn a_name_that_nobody_has_fails_at_dns() {
    let report = check("https://llm.nowhere.invalid/v1", "", &CheckOptions::new()).await;
    let (stage, detail, remedy) = failure(&report);
    assert_eq!(stage, Stage::Dns);
    // Where no name server answers at all, the time runs out first.
    let words = ["can't be resolved", "didn't resolve within 10 s"];
    assert!(
        words.iter().any(|words| detail == format!("the name `llm.nowhere.invalid` {words}")),
        "{detail}"
    );
    assert!(remedy.contains("base_url"), "{remedy}");
    assert_eq!(report.stage(Stage::Tls).unwrap().outcome, Outcome::Skipped);
}

#[tokio::test]
async fn a_closed_port_fails_at_tcp() {
    let nobody = Nobody::new().unwrap();
    let closed = nobody.address();
    let report = check(&format!("https://{closed}/v1"), "", &CheckOptions::new()).await;
    let (stage, detail, remedy) = failure(&report);
    assert_eq!((stage, detail), (Stage::Tcp, format!("{closed} refuses the connection")));
    assert!(remedy.contains("port"), "{remedy}");
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn plain_text_where_tls_was_expected_fails_at_tls() {
    let port = answering(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    let report = check(&format!("https://localhost:{port}/v1"), "", &CheckOptions::new()).await;
    let (stage, detail, remedy) = failure(&report);
    assert_eq!((stage, &*detail), (Stage::Tls, "what answers there doesn't speak TLS"));
    assert!(remedy.contains("http://"), "{remedy}");
}

#[tokio::test]
async fn a_refused_key_an_empty_account_and_a_wrong_model_each_fail_at_their_stage() {
    let sim = sim().await;
    let report = check(sim.base_url(), "", &CheckOptions::new()).await;
    let (stage, _, remedy) = failure(&report);
    assert_eq!(stage, Stage::Authorised);
    assert!(remedy.contains("$MINE"), "{remedy}");

    let sim = Sim::builder().personality(Personality::OpenAi).key(CANARY).start().await.unwrap();
    sim.script_path("/chat/completions", Script::status(402));
    let report = check(sim.base_url(), "default_model = 'sim-small'", &CheckOptions::new()).await;
    assert_eq!(failure(&report).0, Stage::Completion, "{report:#?}");
    assert!(failure(&report).1.starts_with("HTTP 402: "));

    let report = check(sim.base_url(), "default_model = 'sim-smal'", &CheckOptions::new()).await;
    let (stage, _, remedy) = failure(&report);
    assert_eq!((stage, &*remedy), (Stage::Completion, "set default_model = \"sim-small\""));
    assert!(report.stage(Stage::Models).unwrap().detail.contains("`sim-smal` is not among them"));
}

#[tokio::test]
async fn a_service_that_is_silent_is_given_the_time_that_was_said() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let report = check(&url, "", &CheckOptions::new().timeout(Duration::from_millis(200))).await;
    let (stage, detail, _) = failure(&report);
    assert_eq!((stage, &*detail), (Stage::Reachable, "no answer to GET /models within 0.2 s"));
}

#[tokio::test]
async fn limits_and_versions_in_headers_are_kept_and_other_headers_are_not() {
    let port = answering(
        b"HTTP/1.1 200 OK\r\nserver: llm/1\r\nopenai-version: 2020-10-01\r\nx-ratelimit-limit-requests: 60\r\n\
          x-ratelimit-echo: sk-0123456789\r\nx-secret: hush\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{\"data\":[]}",
    )
    .await;
    let report = check(&format!("http://127.0.0.1:{port}/v1"), "", &CheckOptions::new()).await;
    let headers: Vec<(&str, &str)> =
        report.metadata.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        headers,
        [("openai-version", "2020-10-01"), ("server", "llm/1"), ("x-ratelimit-limit-requests", "60")]
    );
}

/// A provider over these keys, and what is found of each of them.
async fn check_pool(sim: &Sim, options: &CheckOptions) -> (CheckReport, Vec<(String, Outcome)>) {
    let registry = with(&[("GOOD", sim.key()), ("BAD", CANARY)])
        .toml(format!(
            "[providers.mine]\nprofile = 'openai-compatible'\nbase_url = '{}'\ndefault_model = 'sim-small'\n\
             api_key = [{{ env = 'GOOD' }}, {{ env = 'BAD' }}, {{ env = 'NONE' }}]",
            sim.base_url()
        ))
        .build()
        .unwrap();
    let report = registry.check_provider_with("mine", options).await.unwrap();
    let shown = format!("{report:?} {}", serde_json::to_string(&report).unwrap());
    assert!(!shown.contains(CANARY) && !shown.contains(sim.key()), "{shown}");
    let keys = report.keys.iter().map(|key| (key.source.clone(), key.outcome)).collect();
    (report, keys)
}

#[tokio::test]
async fn each_key_of_a_pool_is_tried_by_itself_though_the_pool_works() {
    let sim = Sim::builder().personality(Personality::OpenAi).key("sk-good").start().await.unwrap();
    for options in [CheckOptions::new(), CheckOptions::new().without_completion()] {
        let (report, keys) = check_pool(&sim, &options).await;
        assert!(report.failure().is_none() && !report.passed(), "{report:#?}");
        let outcomes = [Outcome::Passed, Outcome::Failed, Outcome::Failed];
        let sources = ["$GOOD", "$BAD", "$NONE"].map(str::to_owned);
        assert_eq!(keys, sources.into_iter().zip(outcomes).collect::<Vec<_>>());
        let bad: Vec<_> = report.failed_keys().collect();
        assert!(bad[0].detail.contains("HTTP 401"), "{bad:?}");
        assert_eq!(bad[0].remedy.as_deref(), Some("check the key from $BAD"));
        assert!(bad[1].remedy.as_ref().unwrap().contains("NONE"), "{bad:?}");
    }
}

#[tokio::test]
async fn what_a_service_fails_with_for_itself_is_not_held_against_a_key() {
    let sim = Sim::builder().personality(Personality::OpenAi).key("sk-good").start().await.unwrap();
    sim.script_path("/chat/completions", Script::status(503).times(9));
    let (report, keys) = check_pool(&sim, &CheckOptions::new()).await;
    assert_eq!(report.failure().unwrap().stage, Stage::Completion);
    let outcomes: Vec<Outcome> = keys.into_iter().map(|(_, outcome)| outcome).collect();
    assert_eq!(outcomes, [Outcome::Skipped, Outcome::Skipped, Outcome::Failed]);

    let registry = with(&[("ONE", CANARY)])
        .toml("[providers.mine]\nprofile = 'llamacpp'\nbase_url = 'http://127.0.0.1:1/v1'\napi_key = [{ env = 'ONE' }, { env = 'NONE' }]")
        .build()
        .unwrap();
    let report = registry.check_provider("mine").await.unwrap();
    let outcomes: Vec<Outcome> = report.keys.iter().map(|key| key.outcome).collect();
    assert_eq!(outcomes, [Outcome::Skipped, Outcome::Failed], "{report:#?}");
}

#[tokio::test]
async fn a_single_key_is_told_of_by_the_stages_alone() {
    let sim = sim().await;
    let report = check(sim.base_url(), "", &CheckOptions::new()).await;
    assert!(report.keys.is_empty());
    assert!(serde_json::to_value(&report).unwrap().get("keys").is_none());
}

#[tokio::test]
async fn only_those_that_are_wanted_are_checked() {
    let service = || MockProvider::answering(|_| Ok(mock::reply("ok", false)));
    let registry = with(&[]).provider("a", service()).provider("b", service()).build().unwrap();
    let checks = registry.check_all(CheckOptions::new().only(["b", "nobody"]));
    let names: Vec<String> = checks.map(|report| report.provider).collect().await;
    assert_eq!(names, ["b"]);
}

#[tokio::test(start_paused = true)]
async fn so_many_are_checked_at_once_and_each_stage_is_told() {
    let running = Arc::new(Mutex::new((0, 0)));
    let mut builder = with(&[]);
    for number in 0..12 {
        let running = running.clone();
        builder = builder.provider(format!("p{number}"), Slow(running));
    }
    let registry = builder.build().unwrap();
    let stages = Arc::new(Mutex::new(Vec::new()));
    let told = stages.clone();
    let options = CheckOptions::new()
        .at_once(3)
        .on_stage(move |provider, stage| told.lock().unwrap().push((provider.to_owned(), stage)));
    let reports: Vec<CheckReport> = registry.check_all(options).collect().await;
    assert_eq!(reports.len(), 12);
    assert_eq!(running.lock().unwrap().1, 3);
    assert!(stages.lock().unwrap().contains(&("p11".to_owned(), Stage::Reachable)));
}

/// Takes a second, and counts how many calls run at once.
#[derive(Debug)]
struct Slow(Arc<Mutex<(usize, usize)>>);

#[async_trait::async_trait]
impl modelswitch_provider::Provider for Slow {
    fn name(&self) -> &str {
        "slow"
    }
    async fn send(
        &self,
        request: modelswitch_provider::Request,
    ) -> modelswitch_provider::Result<modelswitch_provider::Response> {
        {
            let mut running = self.0.lock().unwrap();
            running.0 += 1;
            running.1 = running.1.max(running.0);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.0.lock().unwrap().0 -= 1;
        MockProvider::answering(|_| Ok(mock::reply("ok", false))).send(request).await
    }
}
