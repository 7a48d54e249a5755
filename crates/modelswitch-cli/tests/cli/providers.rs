use modelswitch_sim::Sim;

use super::support::Place;

const CANARY: &str = "sk-canary-7f3a9c51e2";

#[test]
fn a_table_says_where_each_key_comes_from_and_whether_it_is_there() {
    let place = Place::empty().variable("DEEPSEEK_API_KEY", CANARY).file(
        "default = 'deepseek/deepseek-flash'\n[providers.deepseek]\n[providers.openai]\n[providers.llamacpp]\n",
    );
    let outcome = place.run(&["providers"]).ends(0);
    for part in
        ["$DEEPSEEK_API_KEY (set)", "$OPENAI_API_KEY (not set)", "none needed", "https://api.deepseek.com"]
    {
        assert!(outcome.out.contains(part), "{part}: {}", outcome.out);
    }
    assert!(outcome.err.contains("configuration: modelswitch.toml"), "{}", outcome.err);
    let list = place.run(&["providers", "--json"]).ends(0).json();
    assert_eq!(list["default"], "deepseek/deepseek-flash");
    assert_eq!(list["providers"][0]["key"]["set"], true);
    let needed: Vec<_> =
        list["providers"].as_array().unwrap().iter().map(|one| one["key"]["required"] == true).collect();
    assert_eq!(needed, [true, false, true]);
}

#[test]
fn all_services_that_are_known_are_listed_without_any_configuration() {
    let place = Place::empty();
    let outcome = place.run(&["providers", "--all"]).ends(0);
    for part in
        ["mistral", "MISTRAL_API_KEY", "{AZURE_OPENAI_ENDPOINT}/openai/v1", "LM Studio", "none needed"]
    {
        assert!(outcome.out.contains(part), "{part}: {}", outcome.out);
    }
    let list = place.run(&["providers", "--all", "--json"]).ends(0).json();
    assert!(list.as_array().unwrap().len() > 20);
    assert_eq!((&list[0]["name"], &list[0]["key_required"]), (&"deepseek".into(), &true.into()));
    assert!(!list.to_string().contains("github-models"), "it is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_appears_in_no_output() {
    let sim = Sim::start().await.unwrap();
    let place =
        Place::empty().variable("DEEPSEEK_BASE_URL", sim.base_url()).variable("DEEPSEEK_API_KEY", CANARY);
    for arguments in [
        &["providers"][..],
        &["providers", "--json"],
        &["models", "-v"],
        &["models", "--json"],
        &["check", "-v"],
        &["check", "--json"],
        &["chat", "-v", "Hello"],
        &["demo", "-v"],
        &["chat", "-v", "-m", "fsat", "Hello"],
    ] {
        let outcome = place.run(arguments);
        assert!(
            !outcome.out.contains(CANARY) && !outcome.err.contains(CANARY),
            "{arguments:?}: {outcome:#?}"
        );
    }
    let sim_with_own_key =
        place.command(&["sim", "--address", "256.0.0.1:1", "--key", CANARY]).output().unwrap();
    assert!(!String::from_utf8_lossy(&sim_with_own_key.stderr).contains(CANARY));
}

#[test]
fn a_file_of_variables_is_read_when_it_is_named_and_the_configuration_may_be_yaml() {
    let place = Place::empty();
    std::fs::write(place.folder.path().join("modelswitch.yaml"), "providers:\n  deepseek:\n").unwrap();
    std::fs::write(place.folder.path().join(".env"), format!("DEEPSEEK_API_KEY='{CANARY}'\n")).unwrap();
    let without = place.run(&["providers"]).ends(0);
    assert!(without.out.contains("$DEEPSEEK_API_KEY (not set)"), "{without:#?}");
    let with = place.run(&["providers", "--env-file", ".env"]).ends(0);
    assert!(with.out.contains("$DEEPSEEK_API_KEY (set)") && !with.out.contains(CANARY), "{with:#?}");
    assert!(with.err.contains("configuration: modelswitch.yaml"), "{}", with.err);
    let missing = place.run(&["providers", "--env-file", "none"]).ends(2);
    assert!(missing.err.contains("the environment file none: there is no such file"), "{missing:#?}");
}

#[test]
fn the_environment_that_is_chosen_is_shown_by_whoever_reads_the_file() {
    let text = "[providers.deepseek]\n[profile.production]\ndefault = 'deepseek/deepseek-v4-pro'";
    let place = Place::empty().variable("DEEPSEEK_API_KEY", CANARY).file(text);
    for command in [&["providers"][..], &["config", "show"], &["config", "validate"]] {
        let outcome = place.run(&[command, &["--profile", "production"]].concat()).ends(0);
        assert!(
            outcome.err.contains("configuration: modelswitch.toml, profile production"),
            "{command:?}: {outcome:#?}"
        );
        let outcome = place.run(command).ends(0);
        assert!(!outcome.err.contains("profile production"), "{command:?}: {outcome:#?}");
    }
    let place = place.variable("MODELSWITCH_PROFILE", "production");
    let list = place.run(&["providers", "--json"]).ends(0).json();
    assert_eq!(
        (&list["section"], &list["default"]),
        (&"production".into(), &"deepseek/deepseek-v4-pro".into())
    );
}

#[test]
fn a_pool_that_is_not_complete_is_told() {
    let text = "[providers.deepseek]\napi_key = [{ env = 'KEY_1' }, { env = 'KEY_2' }, { file = 'none' }]";
    let place = Place::empty().variable("KEY_1", CANARY).file(text);
    let outcome = place.run(&["providers"]).ends(0);
    assert!(outcome.out.contains("(1 of 3 set)"), "{outcome:#?}");
    let outcome = place.run(&["config", "validate"]).ends(0);
    assert!(outcome.err.contains("the key of `deepseek` is not there: $KEY_2"), "{outcome:#?}");
    assert_eq!(outcome.err.matches("is not there").count(), 2, "{outcome:#?}");
}

#[test]
fn a_kind_that_only_the_app_can_make_is_shown_with_a_warning() {
    let place = Place::empty().file("[providers.polly]\nkind = 'parrot'\nmodels = ['ara']");
    for command in [&["providers"][..], &["config", "show"], &["config", "validate"]] {
        let outcome = place.run(command).ends(0);
        assert!(outcome.err.contains("which the app's own code makes"), "{command:?}: {outcome:#?}");
    }
    assert!(place.run(&["check"]).ends(1).out.contains("✗"));
}
