use std::path::{Path, PathBuf};

use modelswitch_provider::Error;
use modelswitch_registry::Registry;

use crate::support::*;

fn written(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn url(registry: &Registry) -> String {
    registry.providers().first().unwrap().base_url.clone().unwrap()
}

/// What is wrong with a file, without its path, which is another each time.
fn mistake(name: &str, text: &str) -> Error {
    let (_folder, path) = written(name, text);
    let error = with(&[]).file(&path).build().unwrap_err();
    assert!(error.message().starts_with(&format!("{}", path.display())), "{error}");
    assert!(!shown(&error).contains("canary"), "{}", shown(&error));
    error
}

#[track_caller]
fn check(name: &str, text: &str, place: &str, what: &str) {
    let error = mistake(name, text);
    assert!(error.message().contains(&format!("{name}:{place}: {what}")), "{error}");
    assert!(!error.hint().is_empty());
}

#[cfg(all(feature = "yaml", feature = "json"))]
mod other_languages {
    use modelswitch_registry::RegistryBuilder;

    use super::*;

    const YAML: &str = "
default: local/qwen
providers:
  local:
    profile: llamacpp
    base_url: http://127.0.0.1:1/file
    models: [qwen, \"4.1\"]
    timeout: { idle: 5m }
    allow_plain_http: true
    default_model:
  deepseek:
models:
  4.1: local/qwen
  fast:
    targets: [local/qwen]
    defaults: { temperature: 0.2 }
retry:
profile:
  production:
    providers:
      local: { base_url: http://127.0.0.1:1/section }
";
    const JSON: &str = r#"{
  "$schema": "https://example.com/modelswitch.schema.json",
  "default": "local/qwen",
  "providers": {
    "local": {
      "profile": "llamacpp", "base_url": "http://127.0.0.1:1/file", "models": ["qwen", "4.1"],
      "timeout": { "idle": "5m" }, "allow_plain_http": true, "default_model": null
    },
    "deepseek": null
  },
  "models": { "4.1": "local/qwen", "fast": { "targets": ["local/qwen"], "defaults": { "temperature": 0.2 } } },
  "retry": null,
  "profile": { "production": { "providers": { "local": { "base_url": "http://127.0.0.1:1/section" } } } }
}"#;

    #[test]
    fn yaml_and_json_say_what_toml_says_and_count_as_much() {
        for (name, text) in [("a.yaml", YAML), ("a.yml", YAML), ("a.json", JSON), ("A.JSON", JSON)] {
            let (_folder, path) = written(name, text);
            let load = |variables: &[(&str, &str)]| with(variables).file(&path);
            let registry = load(&[]).build().unwrap();
            let mut names: Vec<String> = registry.providers().into_iter().map(|info| info.name).collect();
            names.sort();
            assert_eq!(names, ["deepseek", "local"], "{name}");
            assert_eq!(
                registry.aliases().iter().map(|(alias, _)| alias.as_str()).collect::<Vec<_>>(),
                ["4.1", "fast"]
            );
            assert_eq!(registry.default_model().as_deref(), Some("local/qwen"));

            let of_local = |builder: RegistryBuilder| {
                let providers = builder.build().unwrap().providers();
                providers.into_iter().find(|info| info.name == "local").unwrap().base_url.unwrap()
            };
            assert_eq!(of_local(load(&[])), "http://127.0.0.1:1/file");
            let variable = ("MODELSWITCH_PROVIDERS__LOCAL__BASE_URL", "http://127.0.0.1:1/variable");
            assert_eq!(
                of_local(load(&[("MODELSWITCH_PROFILE", "production")])),
                "http://127.0.0.1:1/section"
            );
            assert_eq!(
                of_local(load(&[variable, ("MODELSWITCH_PROFILE", "production")])),
                "http://127.0.0.1:1/variable"
            );
            let in_code = load(&[variable]).set("providers.local.base_url", "http://127.0.0.1:1/code");
            assert_eq!(of_local(in_code), "http://127.0.0.1:1/code");
        }
    }

    #[test]
    fn mistakes_in_yaml_are_told_with_line_and_column() {
        check(
            "a.yaml",
            "providers:\n  deepseek:\n    api_kee: canary",
            "3:5",
            "`providers.deepseek.api_kee` is not a setting; did you mean `api_key`?",
        );
        check(
            "a.yaml",
            "providers:\n  deepseek:\n    api_key: sk-canary0123456789",
            "3:5",
            "`providers.deepseek.api_key` holds a key itself (not shown)",
        );
        check(
            "a.yaml",
            "providers:\n  deepseek:\n    models: [x, 5]",
            "3:17",
            "`providers.deepseek.models.1` must be a text in quotes, not a number",
        );
        check("a.yaml", "providers:\n  deepseek: {\n", "3:1", "this is not valid YAML: ");
        check("a.yaml", "default: a\ndefault: canary", "2:1", "this is not valid YAML: ");
        check("a.yaml", "- canary", "1:1", "the configuration must be a mapping");
        check(
            "toml.yaml",
            "[providers.a]\nprofile = 'canary'",
            "1:1",
            "this is TOML, and the file's ending says otherwise",
        );
        check("a.yaml", "default: a\n---\ndefault: canary", "3:1", "a second document begins here");
        check(
            "a.yaml",
            "a: b: canary",
            "1:5",
            "this is not valid YAML: mapping values are not allowed in this context",
        );
    }

    #[test]
    fn yaml_that_expands_without_end_is_refused() {
        let mut text = String::from("a0: &a0 [x, x]\n");
        for n in 1..30 {
            text.push_str(&format!("a{n}: &a{n} [*a{}, *a{}]\n", n - 1, n - 1));
        }
        assert!(mistake("a.yaml", &text).message().contains("not valid YAML"));
    }

    #[test]
    fn mistakes_in_json_are_told_with_line_and_column() {
        check(
            "a.json",
            "{\"providers\": {\n  \"deepseek\": { \"api_kee\": \"canary\" } } }",
            "2:28",
            "`providers.deepseek.api_kee` is not a setting; did you mean `api_key`?",
        );
        check(
            "a.json",
            "{\"providers\": {\"deepseek\": {\n \"models\": [\"x\", 5]}}}",
            "2:18",
            "`providers.deepseek.models.1` must be a text in quotes, not a number",
        );
        check("a.json", "{\n  \"default\": canary }", "2:14", "this is not valid JSON: expected value");
        check("a.json", "{\n  \"default\": \"canary\",\n}", "3:1", "this is not valid JSON: trailing comma");
        check(
            "a.json",
            "{ \"default\": \"a\",\n \"default\": \"canary\" }",
            "2:13",
            "this name stands twice in one object",
        );
        assert!(
            mistake("a.json", &format!("{{\"a\":{}", "[".repeat(9999))).message().contains("recursion limit")
        );
        check("a.json", "[]", "1:1", "the configuration must be a JSON object");
    }

    #[test]
    fn advice_is_written_as_the_file_is() {
        for (name, text, hint) in [
            (
                "a.yaml",
                "providers:\n  deepseek:\n    api_key: sk-canary0123456789",
                "write api_key: { env: \"DEEPSEEK_API_KEY\" } and set that variable to the key",
            ),
            (
                "a.json",
                "{\"providers\": {\"deepseek\": {\"api_key\": \"sk-canary0123456789\"}}}",
                "write \"api_key\": { \"env\": \"DEEPSEEK_API_KEY\" } and set that variable to the key",
            ),
            (
                "a.yaml",
                "providers:\n  depseek: {}",
                "write providers: { deepseek: … }, or profile: \"deepseek\" below; for another service write \
                 profile: \"openai-compatible\" and base_url: \"https://…\"",
            ),
            (
                "a.json",
                "{\"providers\": {\"deepseek\": {}}, \"models\": {\"fast\": \"openai/x\"}}",
                "add a section \"providers\": { \"openai\": … }, or point to a provider that is there",
            ),
            (
                "a.yaml",
                "providers:\n  deepseek: canary",
                "write a section, providers: { deepseek: … }, with the settings in it",
            ),
            ("a.yaml", "deepseek: {}", "write providers: { deepseek: … } instead of deepseek:"),
        ] {
            assert_eq!(mistake(name, text).hint(), hint);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        std::fs::write(&path, "{\"providers\": {\"llamacpp\": {\"auth\": {\"header\": \"x-key\"}}}}")
            .unwrap();
        let registry = Registry::builder().environment([]).file(&path).build().unwrap();
        let warning = registry.warnings().concat();
        assert!(
            warning.contains("write \"api_key\": { \"env\": \"LLAMACPP_API_KEY\" } beside it"),
            "{warning}"
        );
        let hint = registry.model("claude").unwrap_err().hint().to_owned();
        assert_eq!(hint, "ask for `provider/model`, or say under \"models\" what `claude` stands for");
    }

    #[test]
    fn each_language_is_found_in_the_users_folder_and_toml_first() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("modelswitch");
        std::fs::create_dir(&own).unwrap();
        let load = || {
            let variable = ("XDG_CONFIG_HOME".to_owned(), folder.path().display().to_string());
            Registry::builder().environment([variable]).build().unwrap()
        };
        let toml = "[providers.local]\nprofile = 'llamacpp'";
        for (name, text) in [
            ("modelswitch.json", "{ \"providers\": { \"local\": { \"profile\": \"llamacpp\" } } }"),
            ("modelswitch.yml", "providers: { local: { profile: llamacpp } }"),
            ("modelswitch.yaml", "providers: { local: { profile: llamacpp } }"),
            ("modelswitch.toml", toml),
        ] {
            std::fs::write(own.join(name), text).unwrap();
            assert_eq!(load().source(), own.join(name).display().to_string());
        }
        let warnings = load().warnings().to_vec();
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        assert!(warnings[0].ends_with("modelswitch.toml stands beside it"), "{warnings:?}");
    }
}

#[cfg(not(any(feature = "yaml", feature = "json")))]
#[test]
fn a_language_that_is_not_compiled_in_is_told_with_its_feature() {
    for (name, feature) in [("a.yaml", "`yaml`"), ("a.yml", "`yaml`"), ("a.json", "`json`")] {
        let (_folder, path) = written(name, "");
        let error = with(&[]).file(path).build().unwrap_err();
        assert!(error.message().contains("this build reads no") && error.hint().contains(feature), "{error}");
    }
}

#[test]
fn a_file_without_an_ending_is_toml() {
    let (_folder, path) = written("config", "[providers.local]\nprofile = 'llamacpp'");
    assert_eq!(url(&with(&[]).file(path).build().unwrap()), "http://127.0.0.1:8080/v1");
    check(
        "a.toml",
        "\u{feff}default = 'canary'\n[providers.local]\nprofile = 7",
        "3:1",
        "`providers.local.profile` must be a text in quotes",
    );
}

#[test]
fn the_variables_of_a_file_count_less_than_the_processes_and_more_than_the_configuration() {
    let (_folder, env) = written(
        ".env",
        &format!(
            "# for development\nDEEPSEEK_API_KEY='{CANARY}'\nexport MODELSWITCH_PROVIDERS__DEEPSEEK__BASE_URL=http://127.0.0.1:1/file # here\nMODELSWITCH_DEFAULT=deepseek/m"
        ),
    );
    let toml = "default = 'deepseek/x'\n[providers.deepseek]\nbase_url = 'http://127.0.0.1:1/toml'";
    let load = |variables: &[(&str, &str)]| with(variables).toml(toml).env_file(&env).build().unwrap();
    let registry = load(&[]);
    assert_eq!(url(&registry), "http://127.0.0.1:1/file");
    assert_eq!(registry.default_model().as_deref(), Some("deepseek/m"));
    assert!(registry.providers()[0].key.set);
    let own = ("MODELSWITCH_PROVIDERS__DEEPSEEK__BASE_URL", "http://127.0.0.1:1/process");
    assert_eq!(url(&load(&[own])), "http://127.0.0.1:1/process");
    assert_eq!(url(&load(&[(own.0, " ")])), "http://127.0.0.1:1/file", "blank counts as unset");

    let (_folder, second) = written("second.env", "MODELSWITCH_DEFAULT=deepseek/second\n");
    let both = with(&[]).toml(toml).env_file(&env).env_file(second);
    assert!(!format!("{both:?}").contains("canary"));
    assert_eq!(both.build().unwrap().default_model().as_deref(), Some("deepseek/second"));
    // Not asked, not read.
    assert!(!with(&[]).toml(toml).build().unwrap().providers()[0].key.set);
}

#[test]
fn a_file_of_variables_brings_providers_and_names_the_configuration() {
    let (folder, env) = written(".env", "DEEPSEEK_API_KEY=sk-1\n");
    assert_eq!(with(&[]).env_file(&env).build().unwrap().providers()[0].name, "deepseek");
    let config = folder.path().join("own.toml");
    std::fs::write(&config, "[providers.local]\nprofile = 'llamacpp'").unwrap();
    std::fs::write(&env, format!("MODELSWITCH_CONFIG={}", config.display())).unwrap();
    let registry = Registry::builder().environment([]).env_file(&env).build().unwrap();
    assert_eq!(registry.source(), config.display().to_string());
}

#[test]
fn mistakes_in_a_file_of_variables_name_it_and_show_no_value() {
    let (_folder, env) = written(".env", "A=1\nsk-canary0123456789\n");
    let error = text("[providers.deepseek]").env_file(&env).build().unwrap_err();
    assert_eq!(error.message(), format!("{}:2: this is not NAME=value", env.display()));
    assert!(!shown(&error).contains("canary"));
    let error = text("[providers.deepseek]").env_file(Path::new("/nowhere/.env")).build().unwrap_err();
    assert_eq!(error.message(), "the environment file /nowhere/.env: there is no such file");

    let (_folder, env) = written(".env", "MODELSWITCH_RETRY__ATTEMPTS=canary\n");
    let error = text("[providers.deepseek]").env_file(&env).build().unwrap_err();
    let place = format!("$MODELSWITCH_RETRY__ATTEMPTS in {}: `retry.attempts` must be", env.display());
    assert!(error.message().starts_with(&place), "{error}");
}

#[test]
fn every_file_in_the_documentation_can_be_read() {
    let guide: String = include_str!("../../src/lib.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
        .collect();
    let files: Vec<&str> =
        guide.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(files.len() > 5);
    // What they make stands beside them.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("modelswitch.toml");
    for file in files {
        std::fs::write(&path, file).unwrap();
        let built = with(&[("DEEPSEEK_API_KEY", CANARY), ("GATEWAY_KEY", CANARY)])
            .file(&path)
            .factory("parrot", |_, _| {
                Ok(std::sync::Arc::new(modelswitch_provider::mock::MockProvider::reply("")))
            })
            .build();
        if cfg!(not(feature = "sqlite")) && file.contains("usage.sqlite") {
            let error = built.unwrap_err();
            assert!(error.message().contains("needs the feature `sqlite`"), "{file}\n{error:?}");
            continue;
        }
        assert!(built.is_ok(), "{file}\n{built:?}");
    }
}
