//! The README's configuration is one that the registry reads, and what it says of keys is what happens.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails loudly")]

use std::path::Path;
use std::time::Duration;

use modelswitch::Registry;
use modelswitch::prelude::*;
use modelswitch_sim::Sim;

fn sample() -> &'static str {
    let readme = include_str!("../README.md");
    let begin = readme.find("# modelswitch.toml").unwrap();
    readme[begin..].split("```").next().unwrap()
}

fn registry(profile: Option<&str>) -> Registry {
    let key = [("DEEPSEEK_API_KEY".to_owned(), "sk-0123".to_owned())];
    let builder = Registry::builder().toml(sample()).environment(key);
    match profile {
        Some(profile) => builder.profile(profile).build().unwrap(),
        None => builder.build().unwrap(),
    }
}

#[test]
fn the_readmes_configuration_is_read_as_it_says() {
    let registry = registry(None);
    assert!(registry.warnings().is_empty(), "{:?}", registry.warnings());
    assert_eq!(registry.default_model().as_deref(), Some("deepseek/deepseek-flash"));
    assert!(registry.aliases().contains(&("gpt-4o".to_owned(), "deepseek/deepseek-flash".to_owned())));
    assert!(registry.providers().iter().all(|provider| provider.name == "local" || provider.key.set));
}

#[test]
fn its_section_for_production_overrides_what_stands_above() {
    assert_eq!(registry(Some("production")).default_model().as_deref(), Some("deepseek/deepseek-v4-pro"));
}

#[test]
fn the_readmes_policies_are_read() {
    let readme = include_str!("../README.md");
    let begin = readme.find("[providers.deepseek.policy]").unwrap();
    let policies = readme[begin..].split("```").next().unwrap();
    let key = [("DEEPSEEK_API_KEY".to_owned(), "sk-0123".to_owned())];
    assert!(Registry::builder().toml(policies).environment(key).build().is_ok());
    let wrong = policies.replace("disable_thinking", "disable_thinkng");
    let error = Registry::builder().toml(wrong).environment([]).build().unwrap_err();
    assert!(error.to_string().contains("disable_thinking"), "{error}");
}

#[test]
fn the_readmes_router_is_read() {
    let readme = include_str!("../README.md");
    let begin = readme.find("# router.toml").unwrap();
    let text = readme[begin..].split("```").next().unwrap();
    let keys = ["DEEPSEEK_API_KEY", "OPENAI_API_KEY"].map(|name| (name.to_owned(), "sk-0123".to_owned()));
    let registry = Registry::builder().toml(text).environment(keys).without_files().build().unwrap();
    assert!(registry.warnings().is_empty(), "{:?}", registry.warnings());
    assert_eq!(registry.default_model().as_deref(), Some("deepseek/deepseek-v4-pro"));
    let layers = |target: &modelswitch::registry::ExplainedTarget| {
        target.layers.iter().map(|layer| layer.name.clone()).collect::<Vec<_>>()
    };
    let fast = registry.explain("fast").unwrap();
    let all = ["budget", "budget", "limits", "breaker", "retry", "timeout", "service"];
    assert_eq!(layers(&fast.targets[0]), all);
    assert_eq!(layers(&fast.targets[1]), all[1..]);
    assert!(registry.ledger().is_some());
}

#[test]
fn with_the_readmes_price_a_budget_holds_the_model() {
    let readme = include_str!("../README.md");
    let begin = readme.find("# price.toml").unwrap();
    let price = readme[begin..].split("```").next().unwrap();
    let lines = "[providers.openai]\n[budget]\nday = '5 USD'\n[models]\nsmart = 'openai/gpt-5.5'\n";
    let warnings = |text: String| {
        let key = [("OPENAI_API_KEY".to_owned(), "sk-0123".to_owned())];
        Registry::builder().toml(text).environment(key).build().unwrap().warnings()
    };
    assert_eq!(warnings(format!("{lines}{price}")), Vec::<String>::new());
    assert!(!warnings(lines.to_owned()).is_empty());
}

#[test]
fn the_readmes_rules_and_services_are_read() {
    let readme = include_str!("../README.md");
    let begin = readme.find("# rules.toml").unwrap();
    let text = readme[begin..].split("```").next().unwrap();
    let registry = Registry::builder().toml(text).environment([]).build().unwrap();
    assert!(registry.warnings().is_empty(), "{:?}", registry.warnings());
    assert!(registry.model("terse").is_ok());
    let mine = registry.providers().into_iter().find(|provider| provider.name == "mine").unwrap();
    assert_eq!(mine.base_url.as_deref(), Some("https://llm.example.com/v1"));
}

#[test]
fn the_readmes_azure_is_read() {
    let readme = include_str!("../README.md");
    let begin = readme.find("# azure.toml").unwrap();
    let text = readme[begin..].split("```").next().unwrap();
    let registry = Registry::builder().toml(text).environment([]).build().unwrap();
    assert_eq!(registry.providers()[0].key.source, "the command `az`");
}

#[test]
fn the_readmes_two_environments_have_a_key_each() {
    let readme = include_str!("../README.md");
    let begin = readme.find("# two-environments.toml").unwrap();
    let text = readme[begin..].split("```").next().unwrap();
    let source = |profile: Option<&str>| {
        let builder = Registry::builder().toml(text).environment([]);
        let registry = match profile {
            Some(profile) => builder.profile(profile).build().unwrap(),
            None => builder.build().unwrap(),
        };
        registry.providers().into_iter().map(|provider| provider.key.source).collect::<Vec<_>>()
    };
    assert_eq!(source(None), ["$DEEPSEEK_DEV_KEY"]);
    assert_eq!(source(Some("production")), ["keys/production"]);
}

/// A text in backquotes that begins so, as often as there are such.
fn quoted(beginning: &str) -> Vec<&'static str> {
    let parts = include_str!("../README.md").split('`');
    parts.filter(|part| part.starts_with(beginning)).collect()
}

#[test]
fn the_readmes_sources_of_keys_are_read() {
    let sources = [quoted("{ command ="), quoted("{ keyring ="), quoted("[{ env =")].concat();
    assert_eq!(sources.len(), 3, "{sources:?}");
    for source in sources {
        let text = format!("[providers.deepseek]\napi_key = {source}");
        match Registry::builder().toml(text).environment([]).build() {
            Ok(registry) => assert!(!registry.providers()[0].key.set, "{source}"),
            // The facade has the keyring by feature.
            Err(error) => assert!(error.hint().contains("feature `keyring`"), "{source}: {error}"),
        }
    }
}

const PRODUCTION: &str = "production";

/// The registry of an app in one of the README's environments. The URL would stand in neither.
fn in_environment(file: &Path, profile: Option<&str>, sim: &Sim, dev_key: &str) -> Registry {
    let variables = [("DEEPSEEK_DEV_KEY", dev_key), ("DEEPSEEK_BASE_URL", sim.base_url())];
    let chosen = profile.map(|name| ("MODELSWITCH_PROFILE", name));
    let variables =
        variables.into_iter().chain(chosen).map(|(name, value)| (name.to_owned(), value.to_owned()));
    Registry::builder().file(file).environment(variables).build().unwrap()
}

/// The key that a call goes with.
async fn asked_with(registry: &Registry, sim: &Sim) -> String {
    sim.clear_requests();
    registry.router().ask("Hi").await.unwrap();
    sim.requests()[0].header("authorization").unwrap().trim_start_matches("Bearer ").to_owned()
}

#[tokio::test]
async fn a_key_of_the_readmes_production_is_rotated_while_it_runs_and_no_other_environment_notices() {
    let readme = include_str!("../README.md");
    let begin = readme.find("# two-environments.toml").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("two-environments.toml");
    std::fs::write(&file, readme[begin..].split("```").next().unwrap()).unwrap();
    let key = folder.path().join("keys/production");
    std::fs::create_dir(folder.path().join("keys")).unwrap();
    std::fs::write(&key, "sk-production-1\n").unwrap();

    let sim = Sim::builder().any_key(true).start().await.unwrap();
    let dev = in_environment(&file, None, &sim, "sk-dev-1");
    let production = in_environment(&file, Some(PRODUCTION), &sim, "sk-dev-1");
    assert_eq!(asked_with(&dev, &sim).await, "sk-dev-1");
    assert_eq!(asked_with(&production, &sim).await, "sk-production-1");

    std::fs::write(&key, "sk-production-2\n").unwrap();
    let late = std::time::SystemTime::now() + Duration::from_secs(60);
    while asked_with(&production, &sim).await != "sk-production-2" {
        assert!(std::time::SystemTime::now() < late);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(asked_with(&dev, &sim).await, "sk-dev-1");
    // A variable's new value is in the next process.
    let next = in_environment(&file, None, &sim, "sk-dev-2");
    assert_eq!(asked_with(&next, &sim).await, "sk-dev-2");
}
