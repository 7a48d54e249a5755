use modelswitch_sim::{Script, Sim};

use super::support::{Place, plain_sim};

/// DeepSeek, a plain service, and one alias for each.
async fn two() -> (Sim, Sim, Place) {
    let (sim, other) = (Sim::start().await.unwrap(), plain_sim().await);
    let place = Place::with_deepseek(&sim).variable("OTHER_API_KEY", other.key()).file(&format!(
        "[providers.deepseek]\n[providers.other]\nprofile = 'openai-compatible'\nbase_url = '{}'\n\
         api_key = {{ env = 'OTHER_API_KEY' }}\n[models]\nfast = 'deepseek/deepseek-flash'\nbig = 'other/sim-large'\n\
         [retry]\nattempts = 1\n",
        other.base_url()
    ));
    (sim, other, place)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_has_the_aliases_and_what_each_provider_lists() {
    let (_sim, _other, place) = two().await;
    let outcome = place.run(&["models"]).ends(0);
    let rows: Vec<Vec<&str>> = outcome.out.lines().map(|line| line.split_whitespace().collect()).collect();
    for row in [
        &["fast", "alias", "deepseek/deepseek-flash"][..],
        &["big", "alias", "other/sim-large"],
        &["deepseek/deepseek-flash", "deepseek", "its", "default"],
        &["deepseek/deepseek-v4-pro", "deepseek"],
        &["other/sim-small", "other"],
    ] {
        assert!(rows.iter().any(|found| found == row), "{row:?}: {}", outcome.out);
    }
    let outcome = place.run(&["models", "other"]).ends(0);
    assert!(outcome.out.contains("other/sim-small") && !outcome.out.contains("deepseek"), "{}", outcome.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_has_the_same() {
    let (_sim, _other, place) = two().await;
    let list = place.run(&["models", "--json"]).ends(0).json();
    assert_eq!(list["aliases"][1]["name"], "fast");
    assert_eq!(list["aliases"][1]["target"], "deepseek/deepseek-flash");
    assert_eq!(list["providers"][0]["models"][0]["name"], "deepseek/deepseek-flash");
    assert_eq!(list["providers"][0]["models"][0]["is_default"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_fails_has_its_line_and_only_if_all_fail_does_the_command() {
    let (sim, other, place) = two().await;
    sim.script(Script::status(503));
    let outcome = place.run(&["models"]).ends(0);
    assert!(outcome.out.contains("other/sim-small"), "{outcome:#?}");
    let line = outcome.out.lines().find(|line| line.contains("failed: ")).unwrap();
    assert!(line.contains("deepseek"), "{line}");

    sim.script(Script::status(503));
    other.script(Script::status(503));
    let list = place.run(&["models", "--json"]).ends(1).json();
    for provider in list["providers"].as_array().unwrap() {
        assert_eq!(provider["error"]["kind"], "overloaded");
        assert!(!provider["error"]["hint"].as_str().unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_provider_is_told_with_those_there_are() {
    let (_sim, _other, place) = two().await;
    let outcome = place.run(&["models", "othre"]).ends(2);
    assert!(outcome.err.contains("`other`"), "{outcome:#?}");
}
