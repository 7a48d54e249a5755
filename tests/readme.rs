//! The README's configuration is one that the registry reads.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails loudly")]

use modelswitch::Registry;

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
