use modelswitch_sim::Sim;

use super::support::Place;

/// The lines of calls, by their target.
fn calls(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains(" modelswitch::call: ")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_is_a_line_on_standard_error_when_it_is_asked_for() {
    let sim = Sim::start().await.unwrap();
    let place = Place::with_deepseek(&sim);
    let with_variable = Place::with_deepseek(&sim).variable("MODELSWITCH_LOG", "info");
    for outcome in [
        place.run(&["chat", "prompt-canary", "--log", "info"]),
        place.run(&["chat", "--no-stream", "prompt-canary", "-v"]),
        with_variable.run(&["chat", "prompt-canary"]),
    ] {
        let outcome = outcome.ends(0);
        let calls = calls(&outcome.err);
        assert_eq!(calls.len(), 1, "{outcome:#?}");
        for part in [
            " INFO modelswitch::call: call ended modelswitch.outcome=\"ok\"",
            "gen_ai.operation.name=\"chat\"",
            "gen_ai.provider.name=\"deepseek\"",
            "gen_ai.request.model=\"deepseek-flash\"",
            "gen_ai.usage.input_tokens=",
            "gen_ai.response.finish_reasons=\"stop\"",
        ] {
            assert!(calls[0].contains(part), "{part}: {}", calls[0]);
        }
        assert!(!outcome.err.contains("prompt-canary"), "{outcome:#?}");
    }
    assert_eq!(place.run(&["chat", "Hello"]).ends(0).err, "");
    assert_eq!(with_variable.run(&["chat", "--log", "off", "Hello"]).ends(0).err, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_is_a_line_and_each_try_at_debug_one_more() {
    let sim = Sim::start().await.unwrap();
    let place =
        Place::with_deepseek(&sim).file("[providers.deepseek]\n[retry]\nattempts = 2\nbase_delay = '1ms'\n");
    let outcome =
        place.run(&["chat", "-m", "deepseek/deepseek-flash", "--log", "debug", "[sim:503]"]).ends(1);
    let calls = calls(&outcome.err);
    assert!(calls.len() == 1 && calls[0].contains(" WARN "), "{outcome:#?}");
    assert!(calls[0].contains("error.type=\"overloaded\"") && calls[0].contains("modelswitch.attempts=2"));
    let tries: Vec<&str> = outcome.err.lines().filter(|line| line.contains("trying again")).collect();
    assert!(tries.len() == 1 && tries[0].contains("call{"), "{outcome:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn prompts_and_answers_are_logged_when_the_configuration_says_so_and_keys_never() {
    let sim = Sim::start().await.unwrap();
    let arguments = ["chat", "--log", "trace", "prompt-canary"];
    let silent = Place::with_deepseek(&sim).run(&arguments).ends(0);
    assert!(!silent.err.contains("prompt-canary"), "{silent:#?}");
    // That no key is there is looked at in every run.
    let talking =
        Place::with_deepseek(&sim).variable("MODELSWITCH_LOG__CONTENT", "true").run(&arguments).ends(0);
    let said: Vec<&str> = talking.err.lines().filter(|line| line.contains("prompt-canary")).collect();
    assert!(
        said.len() == 1 && said[0].contains("gen_ai.input.messages=") && said[0].contains("You said"),
        "{talking:#?}"
    );
}

#[test]
fn a_level_that_is_none_is_a_mistake_of_the_command_line() {
    let outcome = Place::empty().run(&["--log", "loud", "providers"]).ends(2);
    assert!(outcome.err.contains("off, error, warn, info, debug or trace"), "{outcome:#?}");
}
