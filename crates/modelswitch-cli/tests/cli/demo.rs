use modelswitch_sim::Sim;

use super::support::{Place, plain_sim};

#[test]
fn without_a_key_it_shows_everything_with_simulated_providers() {
    let outcome = Place::empty().run(&["demo"]).ends(0);
    for part in [
        "SIMULATED",
        "- chat = \"deepseek/deepseek-flash\"",
        "+ chat = \"other/sim-large\"",
        "[simulated deepseek-flash]",
        "[simulated sim-large]",
        "answered by deepseek/deepseek-flash",
        "answered by other/sim-large",
        "reasoning: [simulated reasoning]",
        "error: deepseek: Insufficient Balance",
        "https://platform.deepseek.com/top_up",
        "api_key  = { env = \"DEEPSEEK_API_KEY\" }",
        "modelswitch check",
    ] {
        assert!(outcome.out.contains(part), "{part}: {}", outcome.out);
    }
    assert!(!outcome.out.contains("REAL") && !outcome.out.contains("sk-"), "{}", outcome.out);
    assert!(outcome.err.is_empty(), "{}", outcome.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_configured_provider_it_says_which_is_real() {
    let sim = Sim::start().await.unwrap();
    // One model only, so that there is nothing to switch to.
    let place = Place::empty().variable("MINE", sim.key()).file(&format!(
        "[providers.mine]\nprofile = 'openai-compatible'\nbase_url = '{}'\ndefault_model = 'deepseek-flash'\n\
         api_key = {{ env = 'MINE' }}",
        sim.base_url()
    ));
    let outcome = place.run(&["demo"]).ends(0);
    for part in
        ["REAL: mine/deepseek-flash", "SIMULATED on this machine: simulated/sim-large", "no-such-model"]
    {
        assert!(outcome.out.contains(part), "{part}: {}", outcome.out);
    }
    assert!(outcome.out.contains("answered by mine/deepseek-flash"), "{}", outcome.out);
    assert!(outcome.out.contains("answered by simulated/sim-large"), "{}", outcome.out);
    assert_eq!(sim.requests().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_two_configured_providers_both_are_real() {
    let (sim, other) = (Sim::start().await.unwrap(), plain_sim().await);
    let place = Place::with_deepseek(&sim)
        .variable("OPENAI_BASE_URL", other.base_url())
        .variable("OPENAI_API_KEY", other.key());
    // The plain simulator knows no gpt-4o-mini: a call that fails is shown, and the demo goes on.
    let outcome = place.run(&["demo"]).ends(1);
    for part in ["REAL", "deepseek/deepseek-flash", "openai/gpt-4o-mini", "7. Next"] {
        assert!(outcome.out.contains(part), "{part}: {}", outcome.out);
    }
    assert!(!outcome.out.contains("SIMULATED") && !outcome.out.contains(sim.key()), "{}", outcome.out);
    let simulated = place.run(&["demo", "--simulated"]).ends(0);
    assert!(simulated.out.contains("SIMULATED"), "{}", simulated.out);
}

#[test]
fn a_provider_without_its_key_is_not_called() {
    let outcome = Place::empty().file("[providers.deepseek]").run(&["demo"]).ends(0);
    assert!(outcome.out.contains("SIMULATED") && outcome.out.contains("its key set"), "{}", outcome.out);
}

/// The demo goes through async-openai, which reads these variables for the service it was made for.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_belongs_to_openai_reaches_another_provider() {
    let (sim, other) = (Sim::start().await.unwrap(), plain_sim().await);
    let place = Place::with_deepseek(&sim)
        .variable("OPENAI_BASE_URL", other.base_url())
        .variable("OPENAI_API_KEY", "sk-canary-openai")
        .variable("OPENAI_ADMIN_KEY", "sk-canary-admin")
        .variable("OPENAI_ORG_ID", "canary-org")
        .variable("OPENAI_PROJECT_ID", "canary-project");
    place.run(&["demo"]);
    assert!(!sim.requests().is_empty());
    for request in sim.requests() {
        let headers: Vec<String> = request
            .headers
            .values()
            .map(|value| format!("{:?}", value.as_bytes().escape_ascii().to_string()))
            .collect();
        assert!(!headers.concat().contains("canary") && !request.path.contains("canary"));
    }
}
