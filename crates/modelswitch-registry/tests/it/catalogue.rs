use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use modelswitch_openai::{Capability, Modality};
use modelswitch_provider::{Error, ErrorKind, Provider, Request, Response, Result};
use modelswitch_registry::{CatalogueModel, ModelSource};
use modelswitch_sim::{Script, Sim};
use serde_json::json;

use crate::support::*;

/// A service that takes a second to list its models, and can be told to fail.
#[derive(Clone, Debug, Default)]
struct Slow {
    asked: Arc<AtomicUsize>,
    fails: Arc<AtomicBool>,
}

#[async_trait::async_trait]
impl Provider for Slow {
    fn name(&self) -> &str {
        "slow"
    }
    async fn send(&self, _: Request) -> Result<Response> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let number = self.asked.fetch_add(1, Ordering::SeqCst);
        if self.fails.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Overloaded, "not now"));
        }
        Response::json(&json!({ "data": [{ "id": format!("list-{number}") }] }))
    }
}

impl Slow {
    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn names(models: &[CatalogueModel]) -> Vec<&str> {
    models.iter().map(|model| model.name.as_str()).collect()
}

fn find<'a>(models: &'a [CatalogueModel], name: &str) -> &'a CatalogueModel {
    models.iter().find(|model| model.name == name).unwrap()
}

#[tokio::test]
async fn what_a_service_lists_is_put_together_with_what_its_profile_knows() {
    let sim = Sim::builder().key(CANARY).start().await.unwrap();
    let registry = with(&[("DEEPSEEK_API_KEY", CANARY)])
        .toml(format!(
            "[providers.deepseek]\nbase_url = '{}'\nmodels = ['tuned']\n[models]\nfast = 'deepseek/deepseek-flash'\n",
            sim.base_url()
        ))
        .build()
        .unwrap();
    let models = registry.catalogue().models().await;
    let flash = find(&models, "deepseek/deepseek-flash");
    assert_eq!(flash.sources, [ModelSource::Service, ModelSource::Profile]);
    assert!(
        flash.is_listed() && flash.is_default && flash.can(Capability::Tools) && flash.takes(Modality::Image)
    );
    assert_eq!((flash.context, &*flash.aliases), (Some(1_048_565), &["fast".to_owned()][..]));
    assert!(flash.listed.is_some() && flash.documented.is_some());
    let price = flash.price.as_ref().unwrap();
    let factor = if price.is_peak { 2 } else { 1 };
    assert_eq!(
        (price.currency.as_str(), price.output * rust_decimal::Decimal::from(100)),
        ("USD", (60 * factor).into())
    );
    assert_eq!(find(&models, "deepseek/tuned").sources, [ModelSource::Configuration]);
    let legacy = find(&models, "deepseek/deepseek-v4-flash");
    assert_eq!(legacy.serves.as_deref(), Some("deepseek-flash"));
    // Switched off in July 2026.
    assert!(!names(&models).contains(&"deepseek/deepseek-chat"));
    let json = serde_json::to_value(flash).unwrap();
    assert_eq!(json["capabilities"][0], "tools");
    assert!(json["price"]["output"].is_string(), "{json}");
}

#[tokio::test]
async fn a_service_that_does_not_answer_has_what_is_known_without_it() {
    let registry = text("[providers.deepseek]").build().unwrap();
    let all = registry.catalogue().providers().await;
    assert_eq!(all[0].models[0].name, "deepseek/deepseek-flash");
    assert!(!all[0].models[0].is_listed() && all[0].read.is_none());
    assert!(all[0].error.as_ref().unwrap().message().contains("DEEPSEEK_API_KEY"));
    assert!(registry.catalogue().provider("depseek").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn fifty_callers_ask_once_and_share_a_failure_too() {
    let service = Slow::default();
    let catalogue = with(&[]).provider("a", service.clone()).build().unwrap().catalogue();
    service.fails.store(true, Ordering::SeqCst);
    let answers = join_all((0..50).map(|_| catalogue.provider("a"))).await;
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().error.is_some()));
    assert_eq!(service.asked(), 1);
    // Nor does the next one wait for it, as long as it is left alone.
    assert!(catalogue.provider("a").await.unwrap().error.is_some());
    assert_eq!(service.asked(), 1);
    tokio::time::advance(Duration::from_secs(31)).await;
    service.fails.store(false, Ordering::SeqCst);
    let answers = join_all((0..50).map(|_| catalogue.models())).await;
    assert!(answers.iter().all(|models| names(models) == ["a/list-1"]));
    assert_eq!(service.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_list_is_kept_for_its_time_and_an_old_one_is_served_while_it_is_asked_for() {
    let service = Slow::default();
    let registry = with(&[]).provider("a", service.clone()).build().unwrap();
    let catalogue = registry.catalogue().time_to_live(Duration::from_secs(60));
    assert_eq!(names(&catalogue.models().await), ["a/list-0"]);
    tokio::time::advance(Duration::from_secs(58)).await;
    assert_eq!(names(&catalogue.clone().models().await), ["a/list-0"]);
    assert_eq!(service.asked(), 1);

    tokio::time::advance(Duration::from_secs(5)).await;
    let (first, others) = tokio::join!(catalogue.models(), join_all((0..9).map(|_| catalogue.models())));
    assert_eq!(names(&first), ["a/list-1"]);
    assert!(others.iter().all(|models| names(models) == ["a/list-0"]));
    assert_eq!(service.asked(), 2);

    assert_eq!(names(&catalogue.refresh().await[0].models), ["a/list-2"]);
}

#[tokio::test(start_paused = true)]
async fn an_old_list_stands_in_for_a_service_that_fails_which_is_then_left_alone_for_a_while() {
    let service = Slow::default();
    let registry = with(&[]).provider("a", service.clone()).build().unwrap();
    let catalogue = registry.catalogue().time_to_live(Duration::from_secs(60));
    catalogue.models().await;
    tokio::time::advance(Duration::from_secs(61)).await;
    service.fails.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let found = catalogue.provider("a").await.unwrap();
        assert_eq!(names(&found.models), ["a/list-0"]);
        assert_eq!(found.error.unwrap().kind(), ErrorKind::Overloaded);
    }
    assert_eq!(service.asked(), 2);
    service.fails.store(false, Ordering::SeqCst);
    tokio::time::advance(Duration::from_secs(31)).await;
    let found = catalogue.provider("a").await.unwrap();
    assert_eq!(names(&found.models), ["a/list-2"]);
    assert!(found.error.is_none());
}

#[tokio::test]
async fn a_caller_who_gives_up_leaves_the_asking_to_the_next() {
    let service = Slow::default();
    let catalogue = with(&[]).provider("a", service.clone()).build().unwrap().catalogue();
    let given_up = tokio::time::timeout(Duration::from_millis(50), catalogue.models()).await;
    assert!(given_up.is_err());
    assert_eq!(names(&catalogue.models().await), ["a/list-0"]);
}

#[tokio::test]
async fn lists_on_disk_serve_the_next_process_and_hold_no_key() {
    let sim = Sim::builder().key(CANARY).start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let catalogue = |url: &str| {
        let registry = with(&[("DEEPSEEK_API_KEY", CANARY)])
            .toml(format!("[providers.deepseek]\nbase_url = '{url}'\n[retry]\nattempts = 1\n"))
            .build()
            .unwrap();
        registry.catalogue().on_disk(folder.path().join("cache"))
    };
    let first = catalogue(sim.base_url()).models().await;
    let read = sim.requests().len();
    let second = catalogue(sim.base_url()).models().await;
    assert_eq!((names(&first), sim.requests().len()), (names(&second), read));
    assert!(find(&second, "deepseek/deepseek-flash").is_listed());

    let path = folder.path().join("cache/models.json");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("deepseek-flash") && !text.contains(CANARY), "{text}");
    let files = std::fs::read_dir(folder.path().join("cache")).unwrap().count();
    assert_eq!(files, 1, "what was written beside it is gone");

    // Elsewhere is somebody else, however old this list.
    let other = Sim::builder().key(CANARY).start().await.unwrap();
    catalogue(other.base_url()).models().await;
    assert_eq!(other.requests().len(), 1);

    for broken in ["", "{", "{\"version\":7}", "[]"] {
        std::fs::write(&path, broken).unwrap();
        let before = sim.requests().len();
        assert!(!catalogue(sim.base_url()).models().await.is_empty());
        assert_eq!(sim.requests().len(), before + 1, "{broken}");
    }

    // An old one serves when nobody answers.
    let mut old: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    old["lists"]["deepseek"]["read"] = "2020-01-01".into();
    std::fs::write(&path, old.to_string()).unwrap();
    sim.script(Script::status(503));
    let found = catalogue(sim.base_url()).provider("deepseek").await.unwrap();
    assert!(find(&found.models, "deepseek/deepseek-flash").is_listed() && found.error.is_some());
}

#[tokio::test]
async fn models_that_may_not_be_asked_for_are_not_in_it() {
    let sim = Sim::start().await.unwrap();
    let registry = with(&[("DEEPSEEK_API_KEY", sim.key())])
        .toml(format!(
            "[providers.deepseek]\nbase_url = '{}'\nallow_models = ['deepseek-flash']\n",
            sim.base_url()
        ))
        .build()
        .unwrap();
    let ids: Vec<String> = registry.catalogue().models().await.into_iter().map(|model| model.id).collect();
    assert_eq!(ids, ["deepseek-flash"]);
}

#[tokio::test]
async fn rules_that_are_loosened_or_tightened_count_at_once() {
    let sim = Sim::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("modelswitch.toml");
    let write = |rule: &str| {
        let text = format!("[providers.deepseek]\nbase_url = '{}'\n{rule}\n", sim.base_url());
        std::fs::write(&path, text).unwrap();
    };
    write("allow_models = ['deepseek-flash']");
    let builder = || with(&[("DEEPSEEK_API_KEY", sim.key())]).file(&path);
    let registry = builder().build().unwrap();
    let catalogue = registry.catalogue().on_disk(folder.path());
    let mut counts = Vec::new();
    for rule in ["allow_models = ['deepseek-flash']", "", "deny_models = ['deepseek-v4-pro']"] {
        write(rule);
        registry.reload().unwrap();
        let models = catalogue.models().await;
        // So is what is kept for the next process.
        let next = builder().build().unwrap().catalogue().on_disk(folder.path()).models().await;
        assert_eq!(names(&models), names(&next));
        let listed = models.iter().filter(|model| model.is_listed()).count();
        counts.push((listed, models.iter().any(|model| model.id == "deepseek-v4-pro")));
    }
    assert_eq!(counts[0], (1, false));
    assert!(counts[1].0 > counts[2].0 && counts[1].1 && !counts[2].1, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lists_that_are_put_on_disk_at_once_are_all_kept() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..8).map(|number| format!("p{number}")).collect();
    let list = |_: &Request| Response::json(&json!({ "data": [{ "id": "m" }] }));
    let builder = names
        .iter()
        .fold(with(&[]), |builder, name| builder.provider(name.as_str(), Diary::default().provider(list)));
    let registry = builder.build().unwrap();
    for round in 0..20 {
        let folder = folder.path().join(round.to_string());
        let catalogue = registry.catalogue().on_disk(&folder);
        let asking = names.iter().cloned().map(|name| {
            let catalogue = catalogue.clone();
            tokio::spawn(async move { catalogue.provider(&name).await.map(drop) })
        });
        assert!(join_all(asking).await.into_iter().all(|asked| asked.unwrap().is_ok()));
        let kept: serde_json::Value =
            serde_json::from_slice(&std::fs::read(folder.join("models.json")).unwrap()).unwrap();
        assert_eq!(kept["lists"].as_object().unwrap().len(), 8, "in round {round}");
    }
}
