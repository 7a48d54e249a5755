use modelswitch_provider::ErrorKind;
use modelswitch_registry::Registry;

use crate::support::*;

/// Loads a text under these variables and compares what the error says, word for word.
#[track_caller]
fn check(toml: &str, variables: &[(&str, &str)], message: &str, hint: &str) {
    let error = with(variables).toml(toml).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!((error.message(), error.hint()), (message, hint));
    assert!(!shown(&error).contains("canary"), "{}", shown(&error));
}

const OF_A_PROVIDER: &str = "allow_endpoints, allow_models, allow_plain_http, api_key, auth, base_url, breaker, budget, cache, default_model, deny_models, headers, kind, limits, models, policy, profile, query, retry, settings, timeout";
const ALIAS: &str = "\"provider/model\", a list of them, or { targets = [\"provider/model\"] }";
/// The first dozen of the profiles.
const PROFILES: &str = "deepseek, openai, azure, azure-deployments, anthropic, gemini, openrouter, groq, mistral, xai, moonshot, dashscope and 17 more";
const CUSTOM: &str = "for another service write profile = \"openai-compatible\" and base_url = \"https://…\"";

#[test]
fn a_misspelt_setting_is_named_with_the_right_spelling() {
    check(
        "[providers.deepseek]\napi_kee = { env = \"X\" }",
        &[],
        "line 2, column 1: `providers.deepseek.api_kee` is not a setting; did you mean `api_key`?",
        "write `api_key` instead of `api_kee`",
    );
    check(
        "[providers.deepseek]\napi_key = { evn = \"X\" }",
        &[],
        "line 2, column 13: `providers.deepseek.api_key.evn` is not a setting; did you mean `env`?",
        "write `env` instead of `evn`",
    );
    check(
        "[providers.deepseek]\n[retry]\nmax_retries = 3",
        &[],
        "line 3, column 1: `retry.max_retries` is not a setting; did you mean `attempts`?",
        "write `attempts` instead of `max_retries`",
    );
    check(
        "colour = 'red'\n[providers.deepseek]",
        &[],
        "line 1, column 1: `colour` is not a setting; allowed here: breaker, budget, cache, default, ledger, limits, log, metrics, models, profile, profiles, providers, retry, timeout, trace",
        "take it out, or use one of the settings that are allowed here",
    );
}

#[test]
fn a_setting_that_is_like_no_other_is_told_with_those_that_there_are() {
    check(
        "[providers.deepseek]\ncolour = 'red'",
        &[],
        &format!(
            "line 2, column 1: `providers.deepseek.colour` is not a setting; allowed here: {OF_A_PROVIDER}"
        ),
        "take it out, or use one of the settings that are allowed here",
    );
}

#[test]
fn a_key_in_the_configuration_is_refused_and_not_repeated() {
    let keys_elsewhere = "keys don't stand in the configuration";
    check(
        &format!("[providers.deepseek]\napi_key = \"{CANARY}\""),
        &[],
        &format!(
            "line 2, column 1: `providers.deepseek.api_key` holds a key itself (not shown): {keys_elsewhere}"
        ),
        "write api_key = { env = \"DEEPSEEK_API_KEY\" } and set that variable to the key",
    );
    check(
        &format!("[providers.my-own]\nprofile = 'llamacpp'\napi_key = \"{CANARY}\""),
        &[],
        &format!(
            "line 3, column 1: `providers.my-own.api_key` holds a key itself (not shown): {keys_elsewhere}"
        ),
        "write api_key = { env = \"MY_OWN_API_KEY\" } and set that variable to the key",
    );
    check(
        "[providers.deepseek]",
        &[("MODELSWITCH_PROVIDERS__DEEPSEEK__API_KEY", CANARY)],
        "$MODELSWITCH_PROVIDERS__DEEPSEEK__API_KEY: `providers.deepseek.api_key` can't be set through this variable: keys are read from variables of their own",
        "set DEEPSEEK_API_KEY to the key and unset this one",
    );
    check(
        &format!("[providers.deepseek]\napi_key = {{ env = \"{CANARY}\" }}"),
        &[],
        "line 2, column 13: `providers.deepseek.api_key.env` is not the name of a variable: letters, digits and underscores",
        "write the variable's name here, and set that variable to the key; make a new key: this one stood in a file",
    );
    check(
        &format!("[providers.deepseek]\napi_key = {{ file = \"{CANARY}\" }}"),
        &[],
        "line 2, column 13: `providers.deepseek.api_key.file` looks like a key, not like the path of a file (not shown)",
        "write the path of the file that holds the key",
    );
    check(
        &format!("[providers.deepseek]\nheaders = {{ Authorization = 'Bearer {CANARY}' }}"),
        &[],
        "line 2, column 13: `providers.deepseek.headers.Authorization` is a header for credentials (its value is not shown)",
        "write api_key = { env = \"DEEPSEEK_API_KEY\" } instead; the key is put into the right header",
    );
    let error = text("[providers.deepseek]").set("providers.deepseek.api_key", CANARY).build().unwrap_err();
    assert_eq!(
        error.message(),
        "set in code: `providers.deepseek.api_key` holds a key itself (not shown): keys don't go among the settings"
    );
    assert_eq!(error.hint(), "give it with `.api_key(\"deepseek\", ApiKey::new(…)?)`");
    assert!(!shown(&error).contains("canary"));
}

const KEY_SOURCES: &str = r#"{ env = "VARIABLE" }, { file = "/path" }, { command = ["program", "argument"] } or { keyring = "name" }"#;

#[test]
fn a_key_comes_from_one_place() {
    check(
        "[providers.deepseek]\napi_key = {}",
        &[],
        "line 2, column 1: `providers.deepseek.api_key` names no place to read a key from",
        &format!("write {KEY_SOURCES}"),
    );
    check(
        "[providers.deepseek]\napi_key = { env = \"A\", file = \"b\" }",
        &[],
        "line 2, column 1: `providers.deepseek.api_key` names several places to read one key from",
        "leave all but one of env, file, command and keyring out; for several keys write a list of them, [{ … }, { … }]",
    );
    check(
        "[providers.deepseek]\napi_key = 7",
        &[],
        &format!(
            "line 2, column 1: `providers.deepseek.api_key` must be {KEY_SOURCES}, or a list of them, not a number"
        ),
        &format!("write {KEY_SOURCES}, or a list of them"),
    );
}

#[test]
fn a_mistake_in_one_of_several_keys_says_in_which() {
    let keys = |keys: &str| format!("[providers.deepseek]\napi_key = [{keys}]");
    check(
        &keys(""),
        &[],
        &format!(
            "line 2, column 1: `providers.deepseek.api_key` must be {KEY_SOURCES}, or a list of them, not an empty list"
        ),
        "say what it is to hold, or take it out",
    );
    check(
        &keys(&format!("{{ env = \"A\" }}, \"{CANARY}\"")),
        &[],
        "line 2, column 27: `providers.deepseek.api_key.1` holds a key itself (not shown): keys don't stand in the configuration",
        "write { env = \"VARIABLE\" } in its place and set that variable to the key",
    );
    check(
        &keys("\"\""),
        &[],
        "line 2, column 12: `providers.deepseek.api_key.0` names no place to read a key from",
        &format!("write {KEY_SOURCES}"),
    );
    check(
        &keys("{ env = \"A\" }, { env = \"B C\" }"),
        &[],
        "line 2, column 29: `providers.deepseek.api_key.1.env` is not the name of a variable: letters, digits and underscores",
        "write the variable's name here, and set that variable to the key",
    );
    check(
        &keys(&format!("\"{CANARY}\", {{ cmd = [\"op\"] }}")),
        &[],
        "line 2, column 12: `providers.deepseek.api_key.0` holds a key itself (not shown): keys don't stand in the configuration (the first of 2 mistakes)
  write { env = \"VARIABLE\" } in its place and set that variable to the key
line 2, column 37: `providers.deepseek.api_key.1.cmd` is not a setting; did you mean `command`?
  write `command` instead of `cmd`",
        "mend all 2, each as the line below it says",
    );
}

#[test]
fn a_key_command_is_a_program_and_its_arguments() {
    let example = "[\"pass\", \"show\", \"deepseek\"]";
    let column_13 = "line 2, column 13: `providers.deepseek.api_key.command`";
    for (key, message, hint) in [
        ("command = []".to_owned(), format!("{column_13} names no program"), format!("write the program and its arguments, such as {example}")),
        ("command = [\" \"]".to_owned(), format!("{column_13} names no program"), format!("write the program and its arguments, such as {example}")),
        (
            "command = \"pass show deepseek\"".to_owned(),
            format!("{column_13} must be a list, such as [\"a\", \"b\"], not a text"),
            "write a list, such as [\"a\", \"b\"]".to_owned(),
        ),
        (
            "command = [\"pass show deepseek\"]".to_owned(),
            format!("{column_13} is one text: no shell takes it apart"),
            format!("write each argument as a text of its own, such as {example}"),
        ),
        (
            format!("command = [\"echo\", \"{CANARY}\"]"),
            format!("{column_13} holds a key itself (not shown): keys don't stand in the configuration"),
            "write a command that prints the key, or { env = \"VARIABLE\" }".to_owned(),
        ),
        (
            "env = \"A\", timeout = \"1s\"".to_owned(),
            "line 2, column 24: `providers.deepseek.api_key.timeout` counts only for a command".to_owned(),
            "take it out".to_owned(),
        ),
        (
            "env = \"A\", cache = \"1h\"".to_owned(),
            "line 2, column 24: `providers.deepseek.api_key.cache` counts only for a command".to_owned(),
            "write ttl instead: after it the key is read again".to_owned(),
        ),
        (
            "command = [\"op\"], cache = \"1h\", ttl = \"1h\"".to_owned(),
            "line 2, column 45: `providers.deepseek.api_key.ttl` says the same as cache".to_owned(),
            "leave one of the two out".to_owned(),
        ),
        (
            "env = \"A\", ttl = 15".to_owned(),
            "line 2, column 24: `providers.deepseek.api_key.ttl` must be a duration with its unit in quotes, such as \"10s\" or \"5m\", not a number".to_owned(),
            "write \"15s\" for 15 seconds".to_owned(),
        ),
        (
            format!("keyring = \"{CANARY}\""),
            "line 2, column 13: `providers.deepseek.api_key.keyring` is not the name of an entry in the keyring (not shown)".to_owned(),
            "write the name under which the key is kept, such as \"deepseek\"".to_owned(),
        ),
    ] {
        check(&format!("[providers.deepseek]\napi_key = {{ {key} }}"), &[], &message, &hint);
    }
}

#[test]
fn an_unknown_profile_lists_the_known_ones_and_how_to_write_another() {
    check(
        "[providers.depseek]",
        &[],
        "line 1, column 12: `providers.depseek`: there is no profile `depseek`; did you mean `deepseek`?",
        &format!("write [providers.deepseek], or profile = \"deepseek\" below; {CUSTOM}"),
    );
    check(
        "[providers.mine]",
        &[],
        &format!("line 1, column 12: `providers.mine`: there is no profile `mine`; there are: {PROFILES}"),
        CUSTOM,
    );
    check(
        "[providers.mine]\nprofile = 'lamacpp'\nbase_url = 'http://127.0.0.1:1/v1'",
        &[],
        "line 2, column 1: `providers.mine.profile`: there is no profile `lamacpp`; did you mean `llamacpp`?",
        &format!("write profile = \"llamacpp\"; {CUSTOM}"),
    );
}

#[test]
fn a_value_of_another_type_says_what_is_wanted_and_is_not_repeated() {
    for (toml, message) in [
        (
            "[providers.deepseek]\n[timeout]\nconnect = 10",
            "line 3, column 1: `timeout.connect` must be a duration with its unit in quotes, such as \"10s\" or \"5m\", not a number",
        ),
        (
            "[providers.deepseek]\n[timeout]\nidle = 'canary'",
            "line 3, column 1: `timeout.idle` must be a duration with its unit in quotes, such as \"10s\" or \"5m\", which this is not",
        ),
        (
            "[providers.deepseek]\n[retry]\nattempts = 0",
            "line 3, column 1: `retry.attempts` must be a whole number of at least 1, which this is not",
        ),
        (
            "[providers.deepseek]\nallow_plain_http = 'canary'",
            "line 2, column 1: `providers.deepseek.allow_plain_http` must be true or false, which this is not",
        ),
        (
            "[providers.deepseek]\nmodels = ['x', 1]",
            "line 2, column 16: `providers.deepseek.models.1` must be a text in quotes, not a number",
        ),
        (
            "[providers.deepseek]\nmodels = 'canary'",
            "line 2, column 1: `providers.deepseek.models` must be a list, such as [\"a\", \"b\"], not a text",
        ),
        (
            "[providers]\ndeepseek = 'canary'",
            "line 2, column 1: `providers.deepseek` must be a section, [providers.deepseek], with the settings in it, not a text",
        ),
        (
            "[providers.deepseek]\nheaders = ['canary']",
            "line 2, column 1: `providers.deepseek.headers` must be a table, such as { name = \"value\" }, not a list",
        ),
        (
            "[providers.deepseek]\n[models]\nfast = []",
            "line 3, column 1: `models.fast` must be \"provider/model\", a list of them, or { targets = [\"provider/model\"] }, not an empty list",
        ),
        (
            "[providers.deepseek]\n[models]\n\"gpt-4.1\" = true",
            "line 3, column 1: `models.\"gpt-4.1\"` must be \"provider/model\", a list of them, or { targets = [\"provider/model\"] }, not true or false",
        ),
    ] {
        let error = text(toml).build().unwrap_err();
        assert_eq!(error.message(), message);
        assert!(error.hint().starts_with("write ") || error.hint().starts_with("say "), "{}", error.hint());
        assert!(!shown(&error).contains("canary"));
    }
}

#[test]
fn a_wrong_word_of_a_policy_is_told_with_the_right_ones_and_the_nearest() {
    let policy = |line: &str| format!("[providers.deepseek.policy]\n{line}");
    let words = "\"disable_thinking\", \"auto\" or \"refuse\"";
    check(
        &policy("forced_tool_choice = 'refuze'"),
        &[],
        &format!(
            "line 2, column 1: `providers.deepseek.policy.forced_tool_choice` must be {words}, which this is not; did you mean `refuse`?"
        ),
        "write \"refuse\"",
    );
    check(
        &policy(&format!("forced_tool_choice = '{CANARY}'")),
        &[],
        &format!(
            "line 2, column 1: `providers.deepseek.policy.forced_tool_choice` must be {words}, which this is not"
        ),
        &format!("write {words}"),
    );
    check(
        &policy("json_schema = true"),
        &[],
        "line 2, column 1: `providers.deepseek.policy.json_schema` must be \"json_object\", \"strict_tool\" or \"refuse\", not true or false",
        "write \"json_object\", \"strict_tool\" or \"refuse\"",
    );
    for (line, setting, words) in [
        ("broken_off = 'stop'", "broken_off", "\"error\" or \"finish_reason\""),
        ("empty_answer = 'retry'", "empty_answer", "\"accept\" or \"error\""),
    ] {
        check(
            &policy(line),
            &[],
            &format!(
                "line 2, column 1: `providers.deepseek.policy.{setting}` must be {words}, which this is not"
            ),
            &format!("write {words}"),
        );
    }
    check(
        "[providers.deepseek]",
        &[("MODELSWITCH_PROVIDERS__DEEPSEEK__POLICY__BROKEN_OFF", "eror")],
        "$MODELSWITCH_PROVIDERS__DEEPSEEK__POLICY__BROKEN_OFF: `providers.deepseek.policy.broken_off` must be \"error\" or \"finish_reason\", which this is not; did you mean `error`?",
        "write \"error\"",
    );
}

#[test]
fn a_wrong_setting_of_a_policy_is_told_like_any_other() {
    let policy = |line: &str| format!("[providers.deepseek.policy]\n{line}");
    check(
        &policy("forced_tool_choise = 'auto'"),
        &[],
        "line 2, column 1: `providers.deepseek.policy.forced_tool_choise` is not a setting; did you mean `forced_tool_choice`?",
        "write `forced_tool_choice` instead of `forced_tool_choise`",
    );
    check(
        &policy("strict = 'maybe'"),
        &[],
        "line 2, column 1: `providers.deepseek.policy.strict` must be true or false, which this is not",
        "write true or false",
    );
    let memory = "true, false or { answers = 4000, bytes = 33554432 }";
    for (line, found) in [
        ("reasoning_memory = 4000", "not a number"),
        ("reasoning_memory = 'canary'", "which this is not"),
        ("reasoning_memory = [1]", "not a list"),
    ] {
        check(
            &policy(line),
            &[],
            &format!(
                "line 2, column 1: `providers.deepseek.policy.reasoning_memory` must be {memory}, {found}"
            ),
            &format!("write {memory}"),
        );
    }
    check(
        &policy("reasoning_memory = { answers = 0 }"),
        &[],
        "line 2, column 22: `providers.deepseek.policy.reasoning_memory.answers` must be a whole number of at least 1, which this is not",
        "write a whole number of at least 1",
    );
    check(
        &policy("reasoning_memory = { entries = 10 }"),
        &[],
        "line 2, column 22: `providers.deepseek.policy.reasoning_memory.entries` is not a setting; did you mean `answers`?",
        "write `answers` instead of `entries`",
    );
    check(
        "[providers.deepseek]\npolicy = 'strict'",
        &[],
        "line 2, column 1: `providers.deepseek.policy` must be a section, [providers.deepseek.policy], with lines such as strict = true in it, not a text",
        "write a section, [providers.deepseek.policy], with lines such as strict = true in it",
    );
}

#[test]
fn a_memory_of_a_profile_that_has_none_names_the_one_that_has() {
    let hint = "take it out, or write profile = \"deepseek\" if the service is one";
    check(
        "[providers.local]\nprofile = 'llamacpp'\n[providers.local.policy]\nstrict = true\nreasoning_memory = true",
        &[],
        "line 5, column 1: `providers.local.policy.reasoning_memory`: the profile `llamacpp` has no such memory; those that have: deepseek",
        hint,
    );
    check(
        "[providers.openai]",
        &[("MODELSWITCH_PROVIDERS__OPENAI__POLICY__REASONING_MEMORY", "true")],
        "$MODELSWITCH_PROVIDERS__OPENAI__POLICY__REASONING_MEMORY: `providers.openai.policy.reasoning_memory`: the profile `openai` has no such memory; those that have: deepseek",
        hint,
    );
}

#[test]
fn a_service_that_is_gone_is_told_with_what_to_use_instead() {
    check(
        "[providers.old]\n[profiles.old]\nbase_url = 'https://x.example'\ngone = 'it was switched off on 2026-07-30; use openai'",
        &[],
        "line 1, column 12: `providers.old`: an OpenAI-compatible service can't be asked any more",
        "it was switched off on 2026-07-30; use openai",
    );
}

#[test]
fn a_wrong_rule_of_a_profile_is_told_like_any_other_mistake() {
    check(
        "[profiles.mine.request]\nmax_token = 'x'",
        &[],
        "line 2, column 1: `profiles.mine.request.max_token` is not a setting; did you mean `max_tokens`?",
        "write `max_tokens` instead of `max_token`",
    );
    let error = text("[profiles.mine.model.m.request]\neffort = { low = 5 }").build().unwrap_err();
    let told = "`profiles.mine.model.m.request.effort.low` must be a word, or a table of parameters";
    assert!(error.message().contains(told), "{error}");
}

#[test]
fn a_duration_without_its_unit_is_told_with_one() {
    let message = "must be a duration with its unit in quotes, such as \"10s\" or \"5m\", not a number";
    for (number, found) in [("5", "not a number"), ("'5'", "and this has no unit")] {
        let toml = format!("[providers.deepseek]\n[timeout]\nidle = {number}");
        let message = message.replace("not a number", found);
        let message = format!("line 3, column 1: `timeout.idle` {message}");
        check(&toml, &[], &message, "write \"5s\" for 5 seconds");
    }
    check(
        "[providers.deepseek]",
        &[("MODELSWITCH_TIMEOUT__IDLE", "5")],
        &format!("$MODELSWITCH_TIMEOUT__IDLE: `timeout.idle` {message}"),
        "set MODELSWITCH_TIMEOUT__IDLE to 5s for 5 seconds",
    );
    let error = text("[providers.deepseek]\n[timeout]\nidle = 123456789012").build().unwrap_err();
    assert!(!shown(&error).contains("123456789012"), "{}", shown(&error));
}

#[test]
fn a_base_url_that_cannot_work_is_named_where_it_stands_and_not_repeated() {
    for (toml, variables, message) in [
        (
            "[providers.mine]\nprofile = 'openai-compatible'",
            &[][..],
            "line 1, column 12: `providers.mine`: there is no base URL",
        ),
        (
            "[providers.mine]\nbase_url = 'sk-canary0123456789'",
            &[],
            "line 2, column 1: `providers.mine`: the base URL is not a URL",
        ),
        (
            "[providers.mine]\nbase_url = 'https://user:canary@x.example'",
            &[],
            "line 2, column 1: `providers.mine`: the base URL holds a user name or password",
        ),
        (
            "[providers.deepseek]",
            &[("DEEPSEEK_BASE_URL", "canary")],
            "$DEEPSEEK_BASE_URL: `providers.deepseek`: the base URL is not a URL",
        ),
    ] {
        let error = with(variables).toml(toml).build().unwrap_err();
        assert_eq!(error.message(), message);
        assert!(!shown(&error).contains("canary"));
    }
}

#[test]
fn a_mistake_beside_a_missing_key_is_found_all_the_same() {
    let error = text("[providers.deepseek]\nbase_url = 'nonsense'").build().unwrap_err();
    assert_eq!(error.message(), "line 2, column 1: `providers.deepseek`: the base URL is not a URL");
}

#[test]
fn an_alias_that_leads_nowhere_is_named_with_its_target() {
    let aliases = |lines: &str| format!("[providers.deepseek]\n[models]\n{lines}");
    check(
        &aliases("fast = 'openai/gpt-4o'"),
        &[],
        "line 3, column 1: `models.fast` points to `openai/gpt-4o`: there is no provider `openai`; there are: deepseek",
        "add a section [providers.openai], or point to a provider that is there",
    );
    check(
        &aliases("fast = 'depseek/x'"),
        &[],
        "line 3, column 1: `models.fast` points to `depseek/x`: there is no provider `depseek`; did you mean `deepseek`?",
        "write \"deepseek/x\", or add a section [providers.depseek]",
    );
    check(
        &aliases("fast = 'smrt'\nsmart = 'deepseek/x'"),
        &[],
        "line 3, column 1: `models.fast` points to `smrt`: it is neither an alias nor a model that a provider owns; did you mean `smart`?",
        "write \"smart\"",
    );
    check(
        &aliases("fast = 'deepseek/'"),
        &[],
        "line 3, column 1: `models.fast` points to `deepseek/`: it names the provider `deepseek` and no model",
        "write one of its models, such as \"deepseek/deepseek-flash\"",
    );
    check(
        &aliases("fast = ['openai/a', 'groq/b']"),
        &[],
        "line 3, column 1: `models.fast`: none of its targets can be used; the first, `openai/a`: there is no provider `openai`; there are: deepseek",
        "add a section [providers.openai], or point to a provider that is there",
    );
    check(
        "[models]\nfast = 'openai/gpt-4o'",
        &[("DEEPSEEK_API_KEY", CANARY)],
        "line 2, column 1: `models.fast` points to `openai/gpt-4o`: there is no provider `openai`; there are: deepseek",
        "set OPENAI_API_KEY, or point to a provider that is there",
    );
}

#[test]
fn aliases_that_point_to_each_other_are_refused_by_name_and_once() {
    check(
        "[providers.deepseek]\n[models]\na = 'b'\nb = 'c'\nc = 'a'\nd = 'a'",
        &[],
        "line 3, column 1: `models.a` points to itself: a → b → c → a",
        "let one of these aliases point to \"provider/model\"",
    );
    check(
        "[providers.deepseek]\n[models]\n'gpt-4o' = 'gpt-4o'",
        &[],
        "line 3, column 1: `models.gpt-4o` points to itself: gpt-4o → gpt-4o",
        "let one of these aliases point to \"provider/model\"",
    );
}

#[test]
fn a_default_that_leads_nowhere_is_refused() {
    check(
        "default = 'fsat'\n[providers.deepseek]\n[models]\nfast = 'deepseek/x'",
        &[],
        "line 1, column 1: `default` points to `fsat`: it is neither an alias nor a model that a provider owns; did you mean `fast`?",
        "write \"fast\"",
    );
}

#[test]
fn broken_toml_says_where_and_how_to_mend_it() {
    check(
        "default = deepseek/deepseek-flash",
        &[],
        "line 1, column 11: this is not valid TOML: string values must be quoted, expected literal string",
        "put the value in quotes: name = \"value\"",
    );
    check(
        "default = 'a'\ndefault = 'b'",
        &[],
        "line 2, column 1: this is not valid TOML: duplicate key",
        "a name may stand once in a section: take one of the two out",
    );
}

#[test]
fn a_variable_that_is_wrong_is_named() {
    check(
        "[providers.deepseek]",
        &[("MODELSWITCH_DEFUALT", "x")],
        "$MODELSWITCH_DEFUALT is not a setting; did you mean $MODELSWITCH_DEFAULT?",
        "set MODELSWITCH_DEFAULT instead of MODELSWITCH_DEFUALT",
    );
    check(
        "[providers.deepseek]",
        &[("MODELSWITCH_RETRY__ATTEMPTS", "canary")],
        "$MODELSWITCH_RETRY__ATTEMPTS: `retry.attempts` must be a whole number of at least 1, which this is not",
        "set MODELSWITCH_RETRY__ATTEMPTS to a whole number of at least 1",
    );
    check(
        "[providers.deepseek]",
        &[("MODELSWITCH_PROVIDERS__DEEPSEEK__BASE_ULR", "canary")],
        "$MODELSWITCH_PROVIDERS__DEEPSEEK__BASE_ULR: `providers.deepseek.base_ulr` is not a setting; did you mean `base_url`?",
        "write `base_url` instead of `base_ulr`",
    );
}

#[test]
fn a_profile_that_is_not_there_names_those_that_are() {
    check(
        "[providers.deepseek]\n[profile.production]\n[profile.staging]",
        &[("MODELSWITCH_PROFILE", "prodction")],
        "there is no section [profile.prodction] in the configuration; did you mean `production`?",
        "choose the profile `production`: MODELSWITCH_PROFILE=production",
    );
    let error = with(&[("DEEPSEEK_API_KEY", CANARY)]).profile("production").build().unwrap_err();
    assert_eq!(error.message(), "the profile `production` is chosen, but there is no configuration file");
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    check(
        "defualt = 'deepseek/x'\n[providers.deepseek]\nurl = 'x'\n[models]\nx = 1\n",
        &[],
        &format!(
            "line 1, column 1: `defualt` is not a setting; did you mean `default`? (the first of 3 mistakes)
  write `default` instead of `defualt`
line 3, column 1: `providers.deepseek.url` is not a setting; did you mean `base_url`?
  write `base_url` instead of `url`
line 5, column 1: `models.x` must be {ALIAS}, not a number
  write {ALIAS}"
        ),
        "mend all 3, each as the line below it says",
    );
}

#[test]
fn a_mistake_in_a_file_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.toml");
    std::fs::write(&path, "[providers.deepseek]\n\n  api_kee = 'canary'\n").unwrap();
    let error = with(&[]).file(&path).build().unwrap_err();
    let place = format!("{}:3:3: `providers.deepseek.api_kee` is not a setting", path.display());
    assert!(error.message().starts_with(&place), "{error}");
    assert!(!shown(&error).contains("canary"));
}

#[test]
fn a_file_that_was_named_and_is_not_there_is_an_error() {
    let error = with(&[]).file("/nowhere/modelswitch.toml").build().unwrap_err();
    assert_eq!(error.message(), "the configuration file /nowhere/modelswitch.toml: there is no such file");
    let variables = [("MODELSWITCH_CONFIG".to_owned(), "/nowhere/modelswitch.toml".to_owned())];
    let error = Registry::builder().environment(variables).build().unwrap_err();
    assert_eq!(
        error.message(),
        "$MODELSWITCH_CONFIG: the configuration file /nowhere/modelswitch.toml: there is no such file"
    );
    assert_eq!(error.hint(), "set MODELSWITCH_CONFIG to a file that exists, or unset it");
}

#[test]
fn nothing_configured_at_all_says_what_to_set() {
    let error = with(&[]).build().unwrap_err();
    assert_eq!(error.message(), "no provider is configured, and no provider's key is in the environment");
    assert_eq!(
        error.hint(),
        "set one of DEEPSEEK_API_KEY, OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY, OPENROUTER_API_KEY, GROQ_API_KEY, MISTRAL_API_KEY, XAI_API_KEY, MOONSHOT_API_KEY, DASHSCOPE_API_KEY, ZAI_API_KEY, ZHIPUAI_API_KEY and 8 more, or write a file modelswitch.toml with a section such as [providers.deepseek]"
    );
}

#[test]
fn a_key_that_is_there_and_brings_no_provider_is_named_with_what_makes_it_count() {
    for (variable, why, remedy) in [
        (
            "HF_TOKEN",
            "HF_TOKEN is set, which alone doesn't bring `huggingface`, since other programs use it too",
            "write [providers.huggingface] into a file modelswitch.toml, and it takes its key from HF_TOKEN",
        ),
        (
            "GOOGLE_API_KEY",
            "GOOGLE_API_KEY is set, which alone doesn't bring `gemini`, since other programs use it too",
            "write [providers.gemini] into a file modelswitch.toml, and it takes its key from GOOGLE_API_KEY",
        ),
        (
            "AZURE_OPENAI_API_KEY",
            "AZURE_OPENAI_API_KEY is set, and it isn't known where your `azure` is",
            "set AZURE_OPENAI_BASE_URL or AZURE_OPENAI_ENDPOINT or",
        ),
        (
            "DEEPSEEK_KEY",
            "DEEPSEEK_KEY is set, and the variable's name is DEEPSEEK_API_KEY",
            "set DEEPSEEK_API_KEY instead",
        ),
        (
            "GITHUB_TOKEN",
            "GITHUB_TOKEN is set, which is for GitHub Models, and it was retired on",
            "set one of DEEPSEEK_API_KEY",
        ),
    ] {
        let error = with(&[(variable, CANARY)]).build().unwrap_err();
        assert_eq!(error.code(), Some(modelswitch_registry::NO_PROVIDER));
        assert!(error.message().starts_with(&format!("no provider is configured: {why}")), "{error}");
        assert!(error.hint().starts_with(remedy), "{}", error.hint());
        assert!(!shown(&error).contains("canary"), "{}", shown(&error));
    }
}

#[test]
fn a_time_limit_of_nothing_is_refused_with_advice() {
    for (section, setting) in [
        ("timeout", "connect"),
        ("timeout", "first_byte"),
        ("timeout", "idle"),
        ("providers.deepseek.timeout", "connect"),
    ] {
        check(
            &format!("[{section}]\n{setting} = '0s'"),
            &[],
            &format!(
                "line 2, column 1: `{section}.{setting}` must be a duration above 0, not 0: every call would fail"
            ),
            "write a longer time, such as \"10s\", or take it out for the default",
        );
    }
    // Not to wait between tries is a wish that can be met.
    text("[providers.llamacpp]\n[retry]\nbase_delay = '0s'").build().unwrap();
}

#[test]
fn a_parameter_of_another_type_is_told_when_it_is_read_and_not_at_each_call() {
    let alias = |parameters: &str| {
        format!("[providers.deepseek]\n[models.fast]\ntarget = 'deepseek/x'\n{parameters}")
    };
    check(
        &alias("overrides = { temperature = 'canary' }"),
        &[],
        "line 4, column 15: `models.fast.overrides.temperature` must be a number, not a text",
        "write a number",
    );
    check(
        &alias("[models.fast.defaults]\nmax_tokens = '500'"),
        &[],
        "line 5, column 1: `models.fast.defaults.max_tokens` must be a whole number, not a text",
        "leave the quotes out",
    );
}

#[test]
fn a_section_or_setting_that_stands_a_level_too_high_is_told_with_its_place() {
    check(
        "[deepseek]\ndefault_model = 'x'",
        &[],
        "line 1, column 2: `deepseek` is not a setting; did you mean [providers.deepseek]?",
        "write [providers.deepseek] instead of [deepseek]",
    );
    check(
        "default_model = 'deepseek/x'\n[providers.deepseek]",
        &[],
        "line 1, column 1: `default_model` is not a setting; did you mean `default`?",
        "write `default` instead of `default_model`",
    );
}

#[test]
fn a_parameter_beside_an_aliass_target_is_told_where_it_belongs() {
    check(
        "[providers.deepseek]\n[models.fast]\ntarget = 'deepseek/x'\ntemperature = 0.2",
        &[],
        "line 4, column 1: `models.fast.temperature` is not a setting; parameters of requests stand in `defaults` or `overrides`",
        "write defaults = { temperature = … } for requests that don't say it, or overrides = { … } for all",
    );
    check(
        "[providers.deepseek]\nmodel = 'x'",
        &[],
        "line 2, column 1: `providers.deepseek.model` is not a setting; did you mean `default_model`?",
        "write `default_model` instead of `model`",
    );
}

#[test]
fn a_variable_of_another_type_is_told_what_to_set_it_to() {
    for (variable, value, hint) in [
        ("MODELSWITCH_TIMEOUT__CONNECT", "5", "set MODELSWITCH_TIMEOUT__CONNECT to 5s for 5 seconds"),
        (
            "MODELSWITCH_TIMEOUT__CONNECT",
            "soon",
            "set MODELSWITCH_TIMEOUT__CONNECT to a duration with its unit, such as \"10s\" or \"5m\"",
        ),
        (
            "MODELSWITCH_RETRY__ATTEMPTS",
            "many",
            "set MODELSWITCH_RETRY__ATTEMPTS to a whole number of at least 1",
        ),
    ] {
        let error = with(&[(variable, value)]).toml("[providers.llamacpp]").build().unwrap_err();
        assert!(error.message().starts_with(&format!("${variable}: ")), "{error}");
        assert_eq!(error.hint(), hint);
    }
}

#[test]
fn another_sign_between_provider_and_model_is_seen_through() {
    check(
        "[providers.deepseek]\n[models]\nfast = 'deepseek:deepseek-flash'",
        &[],
        "line 3, column 1: `models.fast` points to `deepseek:deepseek-flash`: it is neither an alias nor a model that a provider owns; did you mean `deepseek/deepseek-flash`?",
        "write \"deepseek/deepseek-flash\"",
    );
}

#[test]
fn a_figments_own_words_and_values_stay_out_of_errors() {
    use figment::Figment;
    use figment::providers::Serialized;

    for (path, message) in [
        ("providers.deepseek.api_key", "holds a key itself (not shown)"),
        ("providers.deepseek.timeout.connect", "must be a duration"),
        ("providers.deepseek", "must be a section"),
        ("retry", "must be a section"),
        ("colour", "is not a setting"),
    ] {
        let error = Registry::from_figment(Figment::from(Serialized::default(path, CANARY))).unwrap_err();
        assert!(error.message().contains(message), "{error}");
        assert!(!shown(&error).contains("canary"), "{}", shown(&error));
    }
}

#[test]
fn a_variable_with_one_underscore_too_few_is_named_as_it_was_meant() {
    for (wrong, right) in [
        ("PROVIDERS_DEEPSEEK_BASE_URL", "PROVIDERS__DEEPSEEK__BASE_URL"),
        ("PROVIDERS_MY_OWN_DEFAULT_MODEL", "PROVIDERS__MY_OWN__DEFAULT_MODEL"),
        ("RETRY_ATTEMPTS", "RETRY__ATTEMPTS"),
    ] {
        check(
            "[providers.deepseek]",
            &[(&format!("MODELSWITCH_{wrong}"), "canary")],
            &format!("$MODELSWITCH_{wrong} is not a setting; did you mean $MODELSWITCH_{right}?"),
            &format!("set MODELSWITCH_{right} instead: two underscores go one level down"),
        );
    }
}

#[test]
fn a_provider_that_only_a_variable_names_is_warned_of_when_another_is_spelt_like_it() {
    let variable = ("MODELSWITCH_PROVIDERS__DEPSEEK__BASE_URL", "https://llm.example.com");
    let registry = with(&[variable]).toml("[providers.deepseek]").build().unwrap();
    assert_eq!(
        registry.warnings(),
        [
            "$MODELSWITCH_PROVIDERS__DEPSEEK__BASE_URL makes a provider `depseek` of its own; did you mean $MODELSWITCH_PROVIDERS__DEEPSEEK__BASE_URL?"
        ]
    );
    let meant = ("MODELSWITCH_PROVIDERS__DEPSEEK__PROFILE", "deepseek");
    let registry = with(&[variable, meant]).toml("[providers.deepseek]").build().unwrap();
    assert!(registry.warnings().is_empty(), "{:?}", registry.warnings());
}

#[test]
fn what_belongs_to_an_environment_or_to_a_service_is_sent_to_the_right_section() {
    check(
        "[providers.deepseek]\n[profiles.production]\ndefault = 'deepseek/x'",
        &[],
        "line 3, column 1: `profiles.production.default` is not a setting; did you mean [profile.production]?",
        "write [profile.production] for what another environment has otherwise; [profiles.NAME] describes a service",
    );
    check(
        "[providers.deepseek]\n[profile.gateway]\nextends = 'deepseek'",
        &[("MODELSWITCH_PROFILE", "gateway")],
        "line 3, column 1: `extends` is not a setting; it describes a service, and belongs into [profiles.NAME]",
        "write [profiles.NAME], with an s; [profile.NAME] is what another environment has otherwise",
    );
    check(
        "[providers.deepseek]\n[profiles.gateway]\nextends = 'deepseek'",
        &[("MODELSWITCH_PROFILE", "gateway")],
        "there is no section [profile.gateway] in the configuration; [profiles.gateway] describes a service, which isn't chosen so",
        "write [profile.gateway] for an environment, and profile = \"gateway\" in a provider's section for a service",
    );
}

#[test]
fn a_variables_name_in_the_keys_place_is_told_as_one() {
    for text in ["OPENAI_API_KEY", "$OPENAI_API_KEY", "${OPENAI_API_KEY}"] {
        check(
            &format!("[providers.d]\nprofile = 'openai'\napi_key = '{text}'"),
            &[],
            "line 3, column 1: `providers.d.api_key` is a text, OPENAI_API_KEY, which is no key but the name of a variable",
            "write api_key = { env = \"OPENAI_API_KEY\" }",
        );
    }
    check(
        "[providers.d]\nprofile = 'openai'\napi_key = [{ env = 'A' }, 'B_KEY']",
        &[],
        "line 3, column 27: `providers.d.api_key.1` is a text, B_KEY, which is no key but the name of a variable",
        "write { env = \"B_KEY\" }",
    );
    let error = text("[providers.deepseek]\napi_key = 'SK_CANARY0123456789ABCDEFG_KEY'").build().unwrap_err();
    assert!(!shown(&error).to_lowercase().contains("canary"), "{}", shown(&error));
}

#[test]
fn an_empty_name_or_path_is_called_empty() {
    let error = text("[providers.'']\nprofile = 'deepseek'").build().unwrap_err();
    assert!(error.message().ends_with("can't be the name of a provider: it is empty"), "{error}");
    check(
        "[providers.deepseek]\napi_key = { file = '' }",
        &[],
        "line 2, column 13: `providers.deepseek.api_key.file` names no file",
        "write the path of the file that holds the key",
    );
}

#[test]
fn a_file_in_which_nothing_is_set_is_told_to_have_been_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("modelswitch.toml");
    std::fs::write(&path, "# nothing yet").unwrap();
    let error = with(&[]).file(&path).build().unwrap_err();
    assert!(error.message().ends_with("modelswitch.toml was read, and nothing is set in it"), "{error}");
    assert!(!error.hint().contains("a file modelswitch.toml"), "{}", error.hint());
}

#[test]
fn how_a_key_is_sent_without_a_key_is_warned_of() {
    let service =
        "[providers.mine]\nbase_url = 'https://llm.example.com/v1'\nauth = { header = 'x-api-key' }";
    let registry = text(service).build().unwrap();
    assert_eq!(
        registry.warnings(),
        [
            "`providers.mine.auth` says how a key is sent, and no key is: write api_key = { env = \"MINE_API_KEY\" } beside it"
        ]
    );
    let with_key = format!("{service}\napi_key = {{ env = 'MINE_API_KEY' }}");
    assert!(text(&with_key).build().unwrap().warnings().is_empty());
}

#[test]
fn a_target_that_is_left_out_is_named_with_its_line_and_not_by_its_own_alias() {
    let registry = text("[providers.deepseek]\n[models]\nh = ['f', 'deepseek/x']").build().unwrap();
    let warning = registry.warnings().into_iter().find(|warning| warning.contains("left out")).unwrap();
    assert!(warning.starts_with("line 3, column 1: `models.h`: `f` is left out"), "{warning}");
    assert!(!warning.contains("did you mean `h`"), "{warning}");
}

#[test]
fn an_unknown_service_is_told_beside_a_setting_that_has_nothing_to_do_with_it() {
    let error = text("[providers.depseek]\nkey = 3").build().unwrap_err();
    for part in ["`providers.depseek.key` is not a setting", "there is no profile `depseek`"] {
        assert!(error.message().contains(part), "{part}: {error}");
    }
    // This one may have said where it is.
    let error = text("[providers.depseek]\nadress = 'x'").build().unwrap_err();
    assert!(!error.message().contains("there is no profile"), "{error}");
}

#[test]
fn an_environments_name_in_the_services_place_is_told_as_one() {
    check(
        "[providers.deepseek]\nprofile = 'production'\n[profile.production]",
        &[],
        "line 2, column 1: `providers.deepseek.profile`: there is no profile `production`; [profile.production] is an environment's section",
        "choose it by MODELSWITCH_PROFILE=production, and name the service here: [profiles.NAME] or a known one",
    );
}

#[test]
fn a_price_that_is_not_one_is_told_with_what_is() {
    for (price, message, hint) in [
        (
            "since = '2026-11-01'",
            "`profiles.mine.model.m.prices.0` lacks `rates`",
            "write rates.USD = { input = \"0.15\", output = \"0.60\" }, what a million tokens cost",
        ),
        (
            "rates.USD = { input = '1' }",
            "lacks `output`",
            "write both: rates.USD = { input = \"0.15\", output = \"0.60\" }, what a million tokens cost",
        ),
        (
            "rates.USD = { input = 0.15, output = '1' }",
            "must be the price of a million tokens in quotes, such as \"0.15\", not a number",
            "write the price of a million tokens in quotes, such as \"0.15\"",
        ),
        (
            "rates.USD = { input = '15 cents', output = '1' }",
            "must be the price of a million tokens in quotes, such as \"0.15\", which this is not",
            "write the price of a million tokens in quotes, such as \"0.15\"",
        ),
        (
            "since = 'November'\nrates.USD = { input = '1', output = '1' }",
            "must be a day in quotes, such as \"2026-11-21\"",
            "write a day in quotes, such as \"2026-11-21\"",
        ),
    ] {
        let error = text(&format!("[providers.deepseek]\n[[profiles.mine.model.m.prices]]\n{price}"))
            .build()
            .unwrap_err();
        assert!(
            error.message().contains(message) && error.message().starts_with("line "),
            "{price}: {error}"
        );
        assert_eq!(error.hint(), hint, "{price}");
    }
}

#[test]
fn a_target_whose_provider_is_misspelt_is_a_mistake_in_a_list_too() {
    check(
        "[providers.deepseek]\n[models]\nsmart = ['deepseek/deepseek-flash', 'deepsek/deepseek-v4-pro']",
        &[],
        "line 3, column 1: `models.smart` points to `deepsek/deepseek-v4-pro`: there is no provider `deepsek`; did you mean `deepseek`?",
        "write \"deepseek/deepseek-v4-pro\", or add a section [providers.deepsek]",
    );
    for other in ["groq/llama", "local2/qwen", "abd/m"] {
        let provider = |name: &str| format!("[providers.{name}]\nprofile = 'llamacpp'\n");
        let providers = ["grok", "local", "abc"].map(provider).concat();
        let toml = format!("{providers}[models]\nsmart = ['grok/m', '{other}']");
        let warnings = text(&toml).build().unwrap().warnings().concat();
        assert!(warnings.contains("is left out"), "{other}: {warnings}");
    }
}
