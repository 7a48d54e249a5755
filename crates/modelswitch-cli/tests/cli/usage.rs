use super::support::Place;

#[test]
fn a_wrong_command_line_ends_with_2() {
    for arguments in [
        &["--nonsense"][..],
        &["nonsense"],
        &[],
        &["chat", "--nonsense"],
        &["sim", "--address", "nowhere"],
        &["sim", "--chunk-delay", "soon"],
        &["--color", "sometimes", "providers"],
    ] {
        let outcome = Place::empty().run(arguments).ends(2);
        assert!(outcome.out.is_empty() && !outcome.err.is_empty(), "{arguments:?}: {outcome:#?}");
    }
}

#[test]
fn help_tells_the_commands_and_the_exit_codes() {
    let outcome = Place::empty().run(&["--help"]).ends(0);
    for word in [
        "demo",
        "chat",
        "models",
        "providers",
        "check",
        "balance",
        "usage",
        "sim",
        "init",
        "config",
        "keys",
        "completions",
        "man",
        "Exit codes",
        "--config",
        "--log",
        "--profile",
        "MODELSWITCH_PROFILE",
        "NO_COLOR",
    ] {
        assert!(outcome.out.contains(word), "{word}: {}", outcome.out);
    }
}

#[test]
fn without_a_configuration_each_command_says_what_to_set() {
    for arguments in
        [&["check"][..], &["models"], &["providers"], &["chat", "Hello"], &["check", "--json"], &["balance"]]
    {
        let outcome = Place::empty().run(arguments).ends(2);
        assert!(outcome.out.is_empty(), "{outcome:#?}");
        assert!(outcome.err.starts_with("error: no provider is configured"), "{outcome:#?}");
        for word in ["DEEPSEEK_API_KEY", "modelswitch.toml", "modelswitch demo"] {
            assert!(outcome.err.contains(word), "{word}: {}", outcome.err);
        }
    }
}

#[test]
fn a_mistake_in_the_file_is_told_with_its_place() {
    let place = Place::empty().file("[providers.deepseek]\nbase_ulr = 'x'\n");
    let outcome = place.run(&["providers"]).ends(2);
    assert!(outcome.err.contains("modelswitch.toml:2:1") && outcome.err.contains("base_url"), "{outcome:#?}");
    let outcome = place.run(&["--config", "absent.toml", "check"]).ends(2);
    assert!(outcome.err.contains("absent.toml"), "{outcome:#?}");
}

#[test]
fn several_mistakes_in_the_file_stand_below_each_other_each_with_its_hint() {
    let place = Place::empty().file("[providers.deepseek]\nbase_ulr = 'x'\n[timeout]\nidle = 5\n");
    let outcome = place.run(&["providers"]).ends(2);
    let lines: Vec<&str> = outcome.err.lines().collect();
    assert!(lines[0].starts_with("error: modelswitch.toml:2:1: "), "{outcome:#?}");
    assert_eq!(lines[1], "  write `base_url` instead of `base_ulr`");
    assert!(lines[2].starts_with("modelswitch.toml:4:1: `timeout.idle` "), "{outcome:#?}");
    assert_eq!(lines[3], "  write \"5s\" for 5 seconds");
}

#[test]
fn colour_can_be_had_in_a_pipe_too() {
    let place = Place::empty().file("[providers.llamacpp]");
    let outcome = place.run(&["--color", "always", "providers"]);
    assert!(outcome.code == 0 && outcome.out.contains('\u{1b}'), "{outcome:#?}");
}

#[test]
fn a_value_that_can_not_be_is_refused_with_one_that_can() {
    let place = Place::empty();
    for (arguments, expected) in [
        (&["check", "--timeout", "0s"][..], "such as 5s"),
        (&["check", "--timeout", "abc"], "such as 5s"),
        (&["sim", "--address", "18799"], "such as 127.0.0.1:8787"),
        (&["sim", "--key", "a\nb"], "one line"),
        (&["init", "--provider", "deepsek"], "did you mean `deepseek`?"),
    ] {
        let outcome = place.run(arguments).ends(2);
        assert!(outcome.err.contains(expected), "{expected}: {outcome:#?}");
    }
    let place = place.variable("DEEPSEEK_API_KEY", "sk-0123456789");
    assert!(place.run(&["chat", " "]).ends(2).err.contains("there is nothing to ask"));
}

#[test]
fn a_key_that_brings_no_provider_by_itself_is_named() {
    let place =
        Place::empty().variable("HF_TOKEN", "hf_canary").variable("AZURE_OPENAI_API_KEY", "canary-key");
    let outcome = place.run(&["chat", "Hello"]).ends(2);
    for word in ["HF_TOKEN", "[providers.huggingface]", "AZURE_OPENAI_ENDPOINT", "modelswitch demo"] {
        assert!(outcome.err.contains(word), "{word}: {}", outcome.err);
    }
    assert!(!outcome.err.contains("canary"), "{}", outcome.err);
}

#[test]
fn a_misspelt_provider_is_told_with_the_same_model_at_the_right_one() {
    let place = Place::empty().variable("DEEPSEEK_API_KEY", "sk-0123456789");
    let outcome = place.run(&["chat", "--model", "deepsek/deepseek-chat", "Hello"]).ends(2);
    assert!(outcome.err.contains("did you mean `deepseek/deepseek-chat`?"), "{outcome:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_of_several_words_needs_no_quotes() {
    let sim = modelswitch_sim::Sim::start().await.unwrap();
    let outcome = Place::with_deepseek(&sim).run(&["chat", "how", "are", "you?", "--no-stream"]).ends(0);
    assert!(outcome.out.contains("how are you?"), "{outcome:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn https_where_nobody_speaks_it_is_told_as_that() {
    let sim = modelswitch_sim::Sim::start().await.unwrap();
    let url = sim.base_url().replace("http://", "https://");
    let place = Place::empty().variable("DEEPSEEK_BASE_URL", &url).variable("DEEPSEEK_API_KEY", sim.key());
    let place = place.variable("MODELSWITCH_RETRY__ATTEMPTS", "1");
    let outcome = place.run(&["chat", "Hello"]).ends(1);
    assert!(outcome.err.contains("doesn't speak TLS; is it http://"), "{outcome:#?}");
}
