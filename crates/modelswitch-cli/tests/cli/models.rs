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
        &["deepseek/deepseek-flash", "deepseek", "1048565"],
        &["deepseek/deepseek-v4-pro", "deepseek", "1048565"],
        &["other/sim-small", "other"],
    ] {
        assert!(rows.iter().any(|found| found.starts_with(row)), "{row:?}: {}", outcome.out);
    }
    let flash = outcome.out.lines().find(|line| line.starts_with("deepseek/deepseek-flash")).unwrap();
    assert!(flash.contains(" USD") && flash.ends_with("its default"), "{flash}");
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
async fn a_provider_that_fails_has_its_line_and_the_exit_code_says_whether_others_are_listed() {
    let (sim, other, place) = two().await;
    sim.script(Script::status(503));
    let outcome = place.run(&["models"]).ends(3);
    assert!(outcome.out.contains("other/sim-small"), "{outcome:#?}");
    assert!(outcome.err.contains("error: deepseek"), "{outcome:#?}");
    assert!(!outcome.out.contains("failed"), "{outcome:#?}");

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

#[tokio::test(flavor = "multi_thread")]
async fn models_are_chosen_by_what_they_can_cost_and_are_called() {
    let (_sim, _other, place) = two().await;
    let first = |arguments: &[&str]| -> Vec<String> {
        let outcome = place.run(&[&["models"], arguments].concat()).ends(0);
        outcome
            .out
            .lines()
            .skip(1)
            .filter_map(|line| Some(line.split_whitespace().next()?.to_owned()))
            .collect()
    };
    assert_eq!(
        first(&["--can", "tools,vision"]),
        [
            "fast",
            "deepseek/deepseek-flash",
            "deepseek/deepseek-v4-flash",
            "deepseek/deepseek-v4-flash-vision-exp"
        ]
    );
    assert_eq!(first(&["--search", "PRO"]), ["deepseek/deepseek-v4-pro"]);
    assert_eq!(first(&["--max-price", "0.01"]), [""; 0]);
    assert!(first(&["--max-price", "100"]).contains(&"deepseek/deepseek-v4-pro".to_owned()));
    assert!(!first(&["--provider", "other"]).iter().any(|name| name.contains("deepseek")));
    let by_price = first(&["--sort", "price", "--max-price", "100"]);
    assert_eq!(by_price.last().unwrap(), "deepseek/deepseek-v4-pro", "the dearest is last: {by_price:?}");
    let by_name = first(&["--sort", "name"]);
    let models: Vec<&String> = by_name.iter().filter(|name| name.contains('/')).collect();
    assert!(models.is_sorted(), "{models:?}");
    for wrong in [&["--can", "fly"][..], &["--max-price", "cheap"], &["--sort", "size"]] {
        let outcome = place.run(&[&["models"], wrong].concat()).ends(2);
        assert!(!outcome.err.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_kept_in_the_cache_folder_until_they_are_wanted_anew() {
    let sim = Sim::start().await.unwrap();
    let place = Place::with_deepseek(&sim);
    let cache = place.folder.path().join("cache");
    let place = place.variable("XDG_CACHE_HOME", cache.to_str().unwrap());
    let first = place.run(&["models"]).ends(0);
    let second = place.run(&["models"]).ends(0);
    assert_eq!((first.out, sim.requests().len()), (second.out, 1));
    let kept = std::fs::read_to_string(cache.join("modelswitch/models.json")).unwrap();
    assert!(kept.contains("deepseek-flash") && !kept.contains(sim.key()));
    place.run(&["models", "--refresh"]).ends(0);
    assert_eq!(sim.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_model_fits_no_table_is_written() {
    let (_sim, _other, place) = two().await;
    let outcome = place.run(&["models", "--search", "zzz"]).ends(0);
    assert_eq!(outcome.out, "");
    assert!(outcome.err.contains("no model fits"), "{outcome:#?}");
}
