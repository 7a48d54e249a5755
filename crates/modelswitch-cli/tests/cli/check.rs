use modelswitch_sim::Sim;

use super::support::Place;

#[tokio::test(flavor = "multi_thread")]
async fn when_everything_works_it_ends_with_0() {
    let sim = Sim::start().await.unwrap();
    let place = Place::with_deepseek(&sim);
    let outcome = place.run(&["check"]).ends(0);
    for stage in ["✓ key", "✓ reachable", "✓ authorised", "✓ models", "✓ completion"] {
        assert!(outcome.out.contains(stage), "{stage}: {}", outcome.out);
    }
    let report = place.run(&["check", "deepseek", "--json"]).ends(0).json();
    assert_eq!(report[0]["provider"], "deepseek");
    assert_eq!(report[0]["stages"].as_array().unwrap().len(), 5);
    assert_eq!(report[0]["stages"][4]["outcome"], "passed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_fails_with_what_to_do() {
    let sim = Sim::start().await.unwrap();
    let place =
        Place::empty().variable("DEEPSEEK_BASE_URL", sim.base_url()).variable("DEEPSEEK_API_KEY", "sk-wrong");
    let outcome = place.run(&["check"]).ends(1);
    for part in [
        "✓ reachable",
        "✗ authorised",
        "HTTP 401",
        "check the key from $DEEPSEEK_API_KEY",
        "– completion",
        "It failed.",
    ] {
        assert!(outcome.out.contains(part), "{part}: {}", outcome.out);
    }
    let report = place.run(&["check", "--json"]).ends(1).json();
    assert_eq!(report[0]["stages"][2]["outcome"], "failed");
    assert!(report[0]["stages"][2]["remedy"].as_str().unwrap().contains("DEEPSEEK_API_KEY"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_fails_does_not_hide_one_that_works() {
    let sim = Sim::start().await.unwrap();
    let place = Place::with_deepseek(&sim)
        .file("[providers.deepseek]\n[providers.dead]\nprofile = 'openai-compatible'\nbase_url = 'http://127.0.0.1:9/v1'\n");
    let outcome = place.run(&["check"]).ends(1);
    assert!(
        outcome.out.contains("✗ reachable") && outcome.out.contains("1 of 2 providers passed."),
        "{}",
        outcome.out
    );
    place.run(&["check", "deepseek"]).ends(0);
    let outcome = place.run(&["check", "deepsek"]).ends(2);
    assert!(outcome.err.contains("deepseek"), "{outcome:#?}");
}

#[test]
fn a_missing_key_is_a_failed_check_that_names_the_variable() {
    let outcome = Place::empty().file("[providers.deepseek]").run(&["check"]).ends(1);
    assert!(outcome.out.contains("✗ key") && outcome.out.contains("set DEEPSEEK_API_KEY"), "{}", outcome.out);
}
