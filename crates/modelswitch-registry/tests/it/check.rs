use modelswitch_provider::mock::{self, MockProvider};
use modelswitch_provider::{ApiKey, Endpoint, Error, ErrorKind, Request, Response, Result};
use modelswitch_registry::{CheckReport, Outcome, Outcome::*, Stage};
use modelswitch_sim::{Personality, Sim};
use serde_json::json;

use crate::support::*;

fn service(
    list: impl Fn() -> Result<Response> + Send + Sync + 'static,
    chat: impl Fn() -> Result<Response> + Send + Sync + 'static,
) -> impl Fn(&Request) -> Result<Response> + Send + Sync + 'static {
    move |request| if request.endpoint == Endpoint::MODELS { list() } else { chat() }
}

fn list(ids: &[&str]) -> Result<Response> {
    Response::json(&json!({ "data": ids.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>() }))
}

fn fails(kind: ErrorKind) -> Result<Response> {
    Err(Error::new(kind, "it failed"))
}

fn outcomes(report: &CheckReport) -> Vec<Outcome> {
    report.stages.iter().map(|stage| stage.outcome).collect()
}

async fn check(answer: impl Fn(&Request) -> Result<Response> + Send + Sync + 'static) -> CheckReport {
    let registry =
        with(&[]).provider("a", MockProvider::answering(move |request| answer(&request))).build().unwrap();
    registry.check_provider("a").await.unwrap()
}

#[tokio::test]
async fn a_provider_that_works_passes_every_stage_with_the_cheapest_question() {
    let diary = Diary::default();
    let answers = service(|| list(&["m", "n"]), || Ok(mock::reply("ok", false)));
    let registry = with(&[]).provider("a", diary.provider(answers)).build().unwrap();
    let report = registry.check_provider("a").await.unwrap();
    assert!(report.passed());
    assert_eq!(outcomes(&report), [Passed; 6]);
    assert_eq!(report.stage(Stage::Models).unwrap().detail, "2 models");
    assert_eq!(report.metadata.models, ["m", "n"]);
    let asked = diary.asked();
    assert_eq!(asked[1].model().as_deref(), Some("m"));
    assert_eq!(asked[1].document().unwrap().get_raw("max_tokens"), Some("16"));
}

#[tokio::test]
async fn the_model_that_calls_go_to_by_default_is_the_one_that_is_asked() {
    let sim = Sim::builder().personality(Personality::OpenAi).any_key(true).start().await.unwrap();
    let text = format!("default = 'groq/sim-small'\n[providers.groq]\nbase_url = '{}'", sim.base_url());
    let registry = with(&[("GROQ_API_KEY", "sk-0123")]).toml(text).build().unwrap();
    let report = registry.check_provider("groq").await.unwrap();
    assert!(report.passed(), "{report:?}");
    assert_eq!(sim.requests().last().unwrap().json()["model"], "sim-small");
}

#[tokio::test]
async fn after_a_stage_that_failed_the_others_are_skipped_and_a_remedy_is_given() {
    for (kind, expected) in [
        (ErrorKind::Connection, [Passed, Passed, Failed, Skipped, Skipped, Skipped]),
        (ErrorKind::Authentication, [Passed, Passed, Passed, Failed, Skipped, Skipped]),
        (ErrorKind::Overloaded, [Passed, Passed, Passed, Skipped, Failed, Skipped]),
    ] {
        let answer = service(move || fails(kind), || Ok(mock::reply("ok", false)));
        let report = check(answer).await;
        assert!(!report.passed());
        assert_eq!(outcomes(&report), expected);
        assert!(report.failure().unwrap().remedy.is_some());
    }
}

#[tokio::test]
async fn a_service_that_lists_no_models_can_still_pass() {
    let report = check(service(|| fails(ErrorKind::ModelNotFound), || Ok(mock::reply("ok", false)))).await;
    assert!(report.passed());
    assert_eq!(outcomes(&report), [Passed, Passed, Passed, Skipped, Skipped, Skipped]);
    assert!(report.stage(Stage::Completion).unwrap().detail.contains("set default_model"));
}

#[tokio::test]
async fn an_empty_account_fails_at_the_completion() {
    let broke = || fails(ErrorKind::InsufficientBalance);
    let report = check(service(|| list(&["m"]), broke)).await;
    assert_eq!(outcomes(&report), [Passed, Passed, Passed, Passed, Passed, Failed]);
    assert!(report.failure().unwrap().remedy.as_ref().unwrap().contains("top up"));
}

#[tokio::test]
async fn all_providers_are_checked_and_a_missing_key_is_seen_without_a_request() {
    let registry =
        text("[providers.deepseek]").provider("a", MockProvider::answering(|_| list(&[]))).build().unwrap();
    let reports = registry.check().await;
    assert_eq!(reports.iter().map(|report| report.provider.as_str()).collect::<Vec<_>>(), ["deepseek", "a"]);
    assert_eq!(outcomes(&reports[0])[..2], [Passed, Failed]);
    assert!(outcomes(&reports[0])[2..].iter().all(|outcome| *outcome == Skipped));
    let stages: Vec<Stage> = reports[0].stages.iter().map(|stage| stage.stage).collect();
    use Stage::*;
    assert_eq!(
        stages,
        [Configuration, Key, Dns, Tcp, Tls, Reachable, Authorised, Models, Balance, Completion]
    );
    assert_eq!(reports[1].stages.len(), 6, "a stage that a provider hasn't is not shown");
    assert_eq!(reports[0].stages[2].detail, "there is no key");
    let json = serde_json::to_value(&reports[0]).unwrap();
    assert_eq!(json["stages"][1]["stage"], "key");
    assert_eq!(json["stages"][1]["outcome"], "failed");
    assert!(json["stages"][1]["duration_ms"].is_u64());
    assert!(registry.check_provider("b").await.is_err());
    for stage in reports.iter().flat_map(|report| &report.stages) {
        let json = serde_json::to_value(stage).unwrap();
        assert_eq!(
            (&json["stage"], &json["outcome"]),
            (&stage.stage.as_str().into(), &stage.outcome.as_str().into())
        );
    }
}

#[tokio::test]
async fn a_balance_is_asked_of_those_that_have_one_and_not_without_a_key() {
    let registry =
        text("[providers.deepseek]").provider("a", MockProvider::answering(|_| list(&[]))).build().unwrap();
    let error = registry.balance("a").await.unwrap_err();
    assert_eq!((error.kind(), error.provider()), (ErrorKind::Unsupported, Some("a")));
    assert!(error.hint().contains("deepseek"), "{}", error.hint());
    let error = registry.balance("deepseek").await.unwrap_err();
    assert_eq!((error.kind(), error.provider()), (ErrorKind::Config, Some("deepseek")));
    assert!(error.hint().contains("DEEPSEEK_API_KEY"), "{}", error.hint());
    assert!(registry.balance("depseek").await.is_err_and(|error| error.message().contains("`deepseek`")));
}

#[tokio::test]
async fn a_service_that_nobody_runs_is_not_reachable() {
    // Port 1 is nobody's; no name has to be resolved for it.
    let registry =
        text("[providers.local]\nprofile = 'llamacpp'\nbase_url = 'http://127.0.0.1:1/v1'").build().unwrap();
    let report = registry.check_provider("local").await.unwrap();
    assert_eq!(outcomes(&report), [Passed, Passed, Failed, Skipped, Skipped, Skipped, Skipped]);
    let failure = report.failure().unwrap();
    assert_eq!((failure.stage, &*failure.detail), (Stage::Tcp, "127.0.0.1:1 refuses the connection"));
    assert!(failure.remedy.as_ref().unwrap().contains("llama-server"));
    assert_eq!(report.base_url.as_deref(), Some("http://127.0.0.1:1/v1"));
}

#[tokio::test]
async fn a_wrong_address_that_answers_is_no_success() {
    let sim = Sim::builder().personality(Personality::OpenAi).start().await.unwrap();
    let bare = sim.base_url().trim_end_matches("/v1");
    let report = async |lines: &str| {
        let toml = format!("[providers.mine]\nretry.attempts = 1\nbase_url = '{bare}'\n{lines}");
        let key = ApiKey::new(sim.key()).unwrap();
        let registry = text(&toml).api_key("mine", key).build().unwrap();
        registry.check_provider("mine").await.unwrap()
    };
    for lines in ["", "default_model = 'gpt-4o-mini'"] {
        let report = report(lines).await;
        let failure = report.failure().unwrap();
        assert_eq!(failure.stage, Stage::Completion);
        assert!(failure.remedy.as_ref().unwrap().contains("perhaps /v1 is missing"), "{failure:?}");
    }
}
