use super::support::Place;

const FILE: &str = "\
[providers.deepseek]
limits.concurrent = 8
[providers.openai]
[models.smart]
targets = ['deepseek/deepseek-v4-pro', 'openai/gpt-5.5']
retry.attempts = 2
";

#[test]
fn route_explain_shows_the_targets_and_what_calls_to_each_go_through() {
    let place = Place::empty().file(FILE);
    let outcome = place.run(&["route", "explain", "smart"]).ends(0);
    for part in [
        "smart: once a call",
        "deepseek/deepseek-v4-pro: target 1 of 2",
        "openai/gpt-5.5: target 2 of 2",
        "models.smart.retry.attempts",
        "modelswitch.toml:6",
        "providers.deepseek.limits.concurrent",
        "default",
    ] {
        assert!(outcome.out.contains(part), "{part}: {}", outcome.out);
    }
    let json = place.run(&["route", "explain", "smart", "--json"]).ends(0).json();
    assert_eq!(json["targets"][1]["model"], "gpt-5.5");
    assert_eq!(json["targets"][0]["layers"][0]["name"], "limits");
}

#[test]
fn route_explain_of_a_name_that_is_none_says_what_was_meant() {
    let outcome = Place::empty().file(FILE).run(&["route", "explain", "smrat"]).ends(2);
    assert!(outcome.err.contains("did you mean `smart`?"), "{}", outcome.err);
}

#[test]
fn when_all_targets_fail_the_program_tells_who_they_were() {
    // Port 1 is nobody's.
    let file = "\
retry.attempts = 1
[providers.a]
profile = 'llamacpp'
base_url = 'http://127.0.0.1:1/v1'
[providers.b]
profile = 'llamacpp'
base_url = 'http://127.0.0.1:1/v1'
[models]
smart = ['a/x', 'b/y']
";
    let place = Place::empty().file(file);
    let outcome = place.run(&["chat", "-m", "smart", "hi"]).ends(1);
    assert!(outcome.err.contains("and 1 target before it failed: a/x"), "{}", outcome.err);
    let outcome = place.run(&["-v", "chat", "-m", "smart", "hi"]).ends(1);
    assert!(outcome.err.contains("attempt 1: a/x: connection after"), "{}", outcome.err);
}
