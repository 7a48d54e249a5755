//! init, config, keys, completions and the manual page.

use std::fs;

use modelswitch_sim::Sim;
use serde_json::Value;

use super::support::Place;

const CANARY: &str = "sk-canary0123456789";

fn written(place: &Place) -> String {
    fs::read_to_string(place.folder.path().join("modelswitch.toml")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn init_writes_a_commented_file_without_a_key_and_tests_the_connection() {
    let sim = Sim::start().await.unwrap();
    let place = Place::empty().variable("DEEPSEEK_BASE_URL", sim.base_url()).variable("TEAM_KEY", sim.key());
    let arguments = [
        "init",
        "--provider",
        "deepseek",
        "--key-env",
        "TEAM_KEY",
        "--alias",
        "fast=deepseek/deepseek-flash",
        "--yes",
    ];
    let outcome = place.run(&arguments).ends(0);
    assert!(
        outcome.out.contains("written: modelswitch.toml") && outcome.out.contains("✓ completion"),
        "{outcome:#?}"
    );
    let text = written(&place);
    for part in [
        "default = \"deepseek/deepseek-flash\"",
        "[providers.deepseek]",
        "api_key = { env = \"TEAM_KEY\" }",
        "fast = \"deepseek/deepseek-flash\"",
        "# [timeout]",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains(sim.key()));
    place.run(&["config", "validate"]).ends(0);

    let outcome = place.run(&arguments).ends(2);
    assert!(outcome.err.contains("is there already") && outcome.err.contains("--force"), "{outcome:#?}");
    place.run(&[&arguments[..], &["--force", "--no-check"]].concat()).ends(0);
}

#[test]
fn init_takes_several_providers_and_a_service_of_ones_own() {
    let place = Place::empty();
    let arguments = [
        "init",
        "--provider",
        "deepseek",
        "--provider",
        "mine",
        "--base-url",
        "mine=http://127.0.0.1:9/v1",
        "--key-file",
        "mine=/run/secrets/mine",
        "--path",
        "conf/team.toml",
        "--default",
        "mine/large",
        "--no-check",
    ];
    place.run(&arguments).ends(0);
    let text = fs::read_to_string(place.folder.path().join("conf/team.toml")).unwrap();
    for part in [
        "[providers.mine]",
        "profile = \"openai-compatible\"",
        "file = \"/run/secrets/mine\"",
        "default = \"mine/large\"",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    place.run(&["--config", "conf/team.toml", "config", "validate"]).ends(0);
}

#[test]
fn init_says_what_is_missing_or_wrong_and_writes_nothing() {
    for (arguments, part) in [
        (&["init"][..], "--provider deepseek --yes"),
        (&["init", "--provider", "mine"], "--base-url"),
        (&["init", "--provider", "deepseek", "--key-env", CANARY], "not shown"),
        (&["init", "--provider", "deepseek", "--alias", "fast"], "fast=deepseek/deepseek-flash"),
        (&["init", "--provider", "deepseek", "--alias", "fast=depseek/x"], "deepseek"),
        (&["init", "--provider", "deepseek", "--provider", "openai", "--key-env", "A"], "NAME="),
        (&["init", "--provider", "deepseek", "--key-env", "A", "--key-file", "b"], "one of the two"),
    ] {
        let place = Place::empty();
        let outcome = place.run(arguments).ends(2);
        assert!(outcome.err.contains(part), "{part}: {outcome:#?}");
        assert!(!outcome.err.contains(CANARY) && !outcome.out.contains(CANARY), "{outcome:#?}");
        assert!(!place.folder.path().join("modelswitch.toml").exists());
    }
    // A connection that fails is told, and the file stands.
    let place = Place::empty();
    let outcome = place.run(&["init", "--provider", "deepseek"]).ends(1);
    assert!(
        outcome.out.contains("set DEEPSEEK_API_KEY") && written(&place).contains("deepseek"),
        "{outcome:#?}"
    );
}

#[test]
fn config_show_tells_each_value_and_where_it_comes_from() {
    let place = Place::empty()
        .variable("DEEPSEEK_API_KEY", CANARY)
        .variable("MODELSWITCH_RETRY__ATTEMPTS", "2")
        .file("[providers.deepseek]\nheaders = { x-note = 'hush' }\n[timeout]\nidle = '1m'\n");
    let outcome = place.run(&["config", "show"]).ends(0);
    let rows: Vec<Vec<&str>> = outcome.out.lines().map(|line| line.split_whitespace().collect()).collect();
    for row in [
        &["timeout.idle", "1m", "modelswitch.toml:4"][..],
        &["retry.attempts", "2", "$MODELSWITCH_RETRY__ATTEMPTS"],
        &["timeout.first_byte", "10m", "default"],
        &["providers.deepseek.base_url", "https://api.deepseek.com", "profile", "deepseek"],
    ] {
        assert!(rows.iter().any(|found| found == row), "{row:?}: {}", outcome.out);
    }
    assert!(!outcome.out.contains("hush"), "{}", outcome.out);
    let report = place.run(&["config", "show", "--json"]).ends(0).json();
    assert_eq!(report["source"], "modelswitch.toml");
    let settings = report["settings"].as_array().unwrap();
    let idle = settings.iter().find(|setting| setting["path"] == "timeout.idle").unwrap();
    assert_eq!((&idle["value"], &idle["origin"]["line"]), (&Value::from("1m"), &Value::from(4)));
}

#[test]
fn config_show_names_the_section_that_a_value_comes_from() {
    let place = Place::empty().file(
        "default = 'deepseek/a'\n[providers.deepseek]\n[profile.live]\ndefault = 'deepseek/b'\n[profile.live.timeout]\nidle = '1m'\n",
    );
    let outcome = place.run(&["config", "show", "--profile", "live"]).ends(0);
    let rows: Vec<Vec<&str>> = outcome.out.lines().map(|line| line.split_whitespace().collect()).collect();
    for row in [
        &["default", "deepseek/b", "modelswitch.toml:4", "[profile.live]"][..],
        &["timeout.idle", "1m", "modelswitch.toml:6", "[profile.live]"],
    ] {
        assert!(rows.iter().any(|found| found == row), "{row:?}: {}", outcome.out);
    }
    let report = place.run(&["config", "show", "--profile", "live", "--json"]).ends(0).json();
    let settings = report["settings"].as_array().unwrap();
    let default = settings.iter().find(|setting| setting["path"] == "default").unwrap();
    assert_eq!(default["origin"]["section"], "live");
}

#[test]
fn config_validate_tells_every_mistake_in_sections_too() {
    let right = Place::empty().file("[providers.deepseek]\n[profile.test]\ndefault = 'deepseek/x'\n");
    let outcome = right.run(&["config", "validate"]).ends(0);
    assert!(outcome.out.contains("no mistakes: 1 provider, 0 aliases, 1 section"), "{outcome:#?}");
    assert!(outcome.err.contains("the key of `deepseek` is not there"), "{outcome:#?}");

    let wrong = Place::empty().file("[providers.deepseek]\nbase_ulr = 'x'\n[timeout]\nidle = 5\n");
    let outcome = wrong.run(&["config", "validate"]).ends(2);
    assert!(outcome.err.contains("toml:2:1") && outcome.err.contains("toml:4:1"), "{outcome:#?}");

    let section = Place::empty()
        .file("[providers.deepseek]\n[profile.test]\ndefualt = 'x'\n[profile.live.timeout]\nidel = '5s'\n");
    let outcome = section.run(&["config", "validate"]).ends(2);
    for part in ["MODELSWITCH_PROFILE=test", "`default`", "MODELSWITCH_PROFILE=live", "`idle`"] {
        assert!(outcome.err.contains(part), "{part}: {outcome:#?}");
    }
}

#[test]
fn config_validate_tells_what_is_wrong_above_and_in_every_section_in_one_run_and_each_once() {
    let place = Place::empty().file(
        "[providers.deepseek]\nbase_ulr = 'x'\n[profile.test]\ndefualt = 'x'\n[profile.live.timeout]\nidel = '5s'\n",
    );
    let outcome = place.run(&["config", "validate"]).ends(2);
    let times = |part: &str| outcome.err.matches(part).count();
    for part in ["toml:2:1", "toml:4:1", "toml:6:1"] {
        assert_eq!(times(part), 1, "{part}: {outcome:#?}");
    }
    assert!(outcome.err.find("`base_url`") < outcome.err.find("MODELSWITCH_PROFILE=live"), "{outcome:#?}");
    // A key in place of a name hides no other mistake.
    let place = Place::empty()
        .file(&format!("[providers.deepseek]\ndefault_model = '{CANARY}'\nbase_ulr = 'x'\n[models]\n'{CANARY}' = 'deepseek/x'\n"));
    let outcome = place.run(&["config", "validate"]).ends(2);
    for part in ["toml:2:1", "toml:3:1", "toml:5:1"] {
        assert_eq!(outcome.err.matches(part).count(), 1, "{part}: {outcome:#?}");
    }
    assert!(!outcome.err.contains(CANARY), "{outcome:#?}");
}

#[test]
fn config_validate_looks_into_the_sections_of_yaml_and_json_too() {
    for (name, text) in [
        ("modelswitch.yaml", "providers:\n  deepseek: {}\nprofile:\n  test:\n    defualt: x\n"),
        (
            "modelswitch.json",
            "{ \"providers\": { \"deepseek\": {} }, \"profile\": { \"test\": { \"defualt\": \"x\" } } }",
        ),
    ] {
        let place = Place::empty();
        fs::write(place.folder.path().join(name), text).unwrap();
        let outcome = place.run(&["config", "validate"]).ends(2);
        assert!(outcome.err.contains("did you mean `default`?"), "{outcome:#?}");
        assert!(outcome.err.contains("MODELSWITCH_PROFILE=test"), "{outcome:#?}");
    }
}

#[test]
fn config_validate_takes_a_file_whose_providers_stand_in_sections_alone() {
    let place = Place::empty().file("[profile.a.providers.deepseek]\n[profile.b.providers.openai]\n");
    let outcome = place.run(&["config", "validate"]).ends(0);
    assert!(outcome.out.contains("no mistakes: 2 sections"), "{outcome:#?}");
    let wrong =
        Place::empty().file("[profile.a.providers.deepseek]\n[profile.b.providers.openai]\nprofil = 'x'\n");
    let outcome = wrong.run(&["config", "validate"]).ends(2);
    assert!(outcome.err.contains("did you mean `profile`?"), "{outcome:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn init_tests_with_the_variables_of_a_file_and_whatever_section_is_chosen() {
    let sim = modelswitch_sim::Sim::start().await.unwrap();
    let place = Place::empty().variable("MODELSWITCH_PROFILE", "production");
    let variables = format!("DEEPSEEK_API_KEY={}\nDEEPSEEK_BASE_URL={}\n", sim.key(), sim.base_url());
    fs::write(place.folder.path().join("keys.env"), variables).unwrap();
    let outcome = place.run(&["init", "--provider", "deepseek", "--env-file", "keys.env"]).ends(0);
    assert!(outcome.out.contains("✓ completion"), "{outcome:#?}");
}

#[test]
fn config_schema_takes_the_files_of_the_documentation() {
    let schema = Place::empty().run(&["config", "schema"]).ends(0).json();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let readme = include_str!("../../../../README.md");
    let guide: String = include_str!("../../../modelswitch-registry/src/lib.rs")
        .lines()
        .filter_map(|line| {
            Some(format!("{}\n", line.strip_prefix("//!")?.strip_prefix(' ').unwrap_or_default()))
        })
        .collect();
    for text in [readme, guide.as_str()] {
        let begin = text.find("# modelswitch.toml").unwrap();
        let length = text[begin..].find("```").unwrap();
        let file: toml::Table = toml::from_str(&text[begin..begin + length]).unwrap();
        let file = serde_json::to_value(file).unwrap();
        let errors: Vec<String> = validator.iter_errors(&file).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
    let place = Place::empty();
    place.run(&["init", "--provider", "deepseek", "--no-check"]).ends(0);
    let file: toml::Table = toml::from_str(&written(&place)).unwrap();
    assert!(validator.is_valid(&serde_json::to_value(file).unwrap()));
}

#[cfg(feature = "keyring")]
#[test]
fn a_key_for_the_keyring_is_read_from_standard_input_and_never_shown() {
    let place = Place::empty();
    // Nobody unlocks a keyring for a test: it ends with what to do instead.
    let outcome = place.run_with_input(&["keys", "set", "deepseek"], CANARY);
    assert!(!outcome.out.contains(CANARY) && !outcome.err.contains(CANARY), "{outcome:#?}");
    if cfg!(target_os = "linux") {
        let outcome = outcome.ends(1);
        assert!(outcome.err.contains("no keyring that can be used here"), "{outcome:#?}");
        place.run(&["keys", "list"]).ends(1);
        place.run(&["keys", "remove", "deepseek"]).ends(1);
    }
    let outcome = place.run_with_input(&["keys", "set", "deepseek"], "\n").ends(2);
    assert!(outcome.err.contains("no key was given"), "{outcome:#?}");
    let outcome = place.run_with_input(&["keys", "set", "deepseek"], "sk-canary 0123456789").ends(2);
    assert!(outcome.err.contains("white space") && !outcome.err.contains("canary"), "{outcome:#?}");
    // A key on the command line is refused, and not repeated.
    let outcome = place.run(&["keys", "set", "deepseek", CANARY]).ends(2);
    assert!(outcome.err.contains("not shown") && !outcome.err.contains(CANARY), "{outcome:#?}");
}

#[test]
fn each_shell_has_its_completions() {
    for (shell, part) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef modelswitch"),
        ("fish", "complete -c modelswitch"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let outcome = Place::empty().run(&["completions", shell]).ends(0);
        assert!(outcome.out.contains(part) && outcome.out.contains("providers"), "{shell}");
    }
    Place::empty().run(&["completions", "dos"]).ends(2);
}

#[test]
fn the_manual_page_tells_the_commands_and_exit_codes() {
    let outcome = Place::empty().run(&["man"]).ends(0);
    for part in [".TH", "modelswitch", "EXIT CODES", "check"] {
        assert!(outcome.out.contains(part), "{part}: {}", outcome.out);
    }
    let outcome = Place::empty().run(&["man", "config", "show"]).ends(0);
    assert!(
        outcome.out.contains("modelswitch\\-config\\-show")
            || outcome.out.contains("modelswitch-config-show"),
        "{}",
        outcome.out
    );
    Place::empty().run(&["man", "nonsense"]).ends(2);
}

/// The README's two environments in processes of their own, the key of one rotated between them.
#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_two_environments_are_shown_and_checked_each_with_its_key() {
    let readme = include_str!("../../../../README.md");
    let begin = readme.find("# two-environments.toml").unwrap();
    let text = readme[begin..].split("```").next().unwrap();
    let sim = modelswitch_sim::Sim::start().await.unwrap();
    let place = || {
        let place = Place::empty().file(text).variable("DEEPSEEK_BASE_URL", sim.base_url());
        fs::create_dir(place.folder.path().join("keys")).unwrap();
        place.variable("DEEPSEEK_DEV_KEY", sim.key())
    };
    let dev = place();
    assert!(dev.run(&["providers"]).ends(0).out.contains("$DEEPSEEK_DEV_KEY"));
    assert!(dev.run(&["check", "deepseek"]).ends(0).out.contains("It passed."));

    let production = place().variable("MODELSWITCH_PROFILE", "production");
    let key = production.folder.path().join("keys/production");
    fs::write(&key, CANARY).unwrap();
    assert!(production.run(&["providers"]).ends(0).out.contains("keys/production"));
    let outcome = production.run(&["check", "deepseek"]).ends(1);
    assert!(outcome.out.contains("✗ authorised") && !outcome.out.contains(CANARY), "{outcome:#?}");
    fs::write(&key, sim.key()).unwrap();
    assert!(production.run(&["check", "deepseek"]).ends(0).out.contains("It passed."));
}

/// Wherever a key comes from, and wherever somebody put one by mistake, the program's output has none.
#[tokio::test(flavor = "multi_thread")]
async fn no_output_of_the_program_shows_a_key() {
    let sim = modelswitch_sim::Sim::builder().any_key(true).start().await.unwrap();
    let sources = [
        "{ env = 'MINE' }",
        "{ file = 'key' }",
        "{ command = ['cat', 'key'] }",
        "{ command = ['vault', '--token=KEY'] }",
        "[{ env = 'MINE' }, { file = 'key' }, { command = ['vault', '--token=KEY'] }]",
        "'KEY'",
    ];
    for key in [
        CANARY,
        "gsk_Canary0123456789abcdef",
        "AIzaCanary-01_23-45_67-89_ab-cd_ef",
        "c0a1b2c3d4e5f60718293a4b5c6d7e8f",
    ] {
        for source in sources {
            let text = format!(
                "[providers.deepseek]\nbase_url = '{}'\nheaders = {{ x-team = '{key}' }}\napi_key = {}\n\
                 [models.fast]\ntarget = 'deepseek/x'\noverrides = {{ user = '{key}' }}\n[retry]\nattempts = 1\n",
                sim.base_url(),
                source.replace("KEY", key)
            );
            let place = Place::empty().file(&text);
            fs::write(place.folder.path().join("key"), key).unwrap();
            fs::write(place.folder.path().join("keys.env"), format!("MINE={key}\n")).unwrap();
            for arguments in [
                &["config", "show"][..],
                &["config", "show", "--json"],
                &["config", "validate", "-v"],
                &["providers"],
                &["providers", "--json"],
                &["models", "--json"],
                &["balance"],
                &["check"],
                &["check", "--json"],
                &["--log", "trace", "chat", "--model", "fast", "hello"],
            ] {
                let outcome = place.run(&[arguments, &["--env-file", "keys.env"]].concat());
                assert!(
                    !outcome.out.contains(key) && !outcome.err.contains(key),
                    "{arguments:?}: {outcome:#?}"
                );
            }
        }
        for (variable, arguments) in [
            ("X", &["--config", key, "providers"][..]),
            ("X", &["--env-file", key, "providers"]),
            ("X", &["init", "--provider", "deepseek", "--key-env", key]),
            ("MODELSWITCH_CONFIG", &["providers"]),
            ("MODELSWITCH_PROFILE", &["providers"]),
            ("MODELSWITCH_PROVIDERS__DEEPSEEK__API_KEY", &["providers"]),
            ("MODELSWITCH_PROVIDERS__DEEPSEEK__DEFAULT_MODEL", &["config", "show"]),
        ] {
            let place = Place::empty().file("[providers.deepseek]").variable(variable, key);
            let outcome = place.run(arguments);
            assert!(!outcome.out.contains(key) && !outcome.err.contains(key), "{arguments:?}: {outcome:#?}");
        }
    }
}

#[test]
fn init_writes_toml_where_it_will_be_read_as_toml() {
    let place = Place::empty();
    for path in ["d.yaml", "d.json"] {
        let outcome = place.run(&["init", "--provider", "deepseek", "--path", path, "--no-check"]).ends(2);
        assert!(outcome.err.contains("write it to d.toml"), "{outcome:#?}");
        assert!(!place.folder.path().join(path).exists());
    }
}

#[test]
fn init_names_the_file_that_a_second_check_must_read() {
    let place = Place::empty();
    let outcome = place.run(&["init", "--provider", "deepseek", "--path", "b.toml"]).ends(1);
    assert!(outcome.err.contains("`modelswitch --config b.toml check` tests it again"), "{outcome:#?}");
}

#[test]
fn init_that_can_write_nothing_ends_with_2() {
    let place = Place::empty().file("");
    let inside_a_file = "modelswitch.toml/b.toml";
    let outcome = place.run(&["init", "--provider", "deepseek", "--path", inside_a_file]).ends(2);
    assert!(outcome.err.contains("can't be"), "{outcome:#?}");
}

#[test]
fn the_manual_page_has_sections_for_variables_files_and_exit_codes() {
    let page = Place::empty().run(&["man"]).ends(0).out;
    for part in [".SH ENVIRONMENT\n.nf\n", ".SH FILES\n.nf\n", ".SH EXIT CODES\n.nf\n", "MODELSWITCH_PROFILE"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains(".SH EXTRA"), "{page}");
}
