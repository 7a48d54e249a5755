use modelswitch_provider::ApiKey;
use modelswitch_provider::mock::MockProvider;
use modelswitch_registry::{Origin, Registry};
use serde_json::{Value, json};

use crate::support::*;

/// A setting's value and where it comes from.
fn setting(registry: &Registry, path: &str) -> (Value, String) {
    let found = registry.settings().into_iter().find(|setting| setting.path == path);
    let setting = found.unwrap();
    (setting.value, setting.origin.to_string())
}

#[test]
fn each_setting_is_shown_with_where_it_comes_from() {
    let registry = with(&[
        ("DEEPSEEK_API_KEY", CANARY),
        ("OPENAI_BASE_URL", "https://eu.example.com/v1"),
        ("MODELSWITCH_RETRY__ATTEMPTS", "2"),
    ])
    .toml("default = 'fast'\n[providers.deepseek]\n[providers.openai]\n[models]\nfast = 'deepseek/deepseek-flash'\n'gpt-4.1' = ['fast']\n[timeout]\nidle = '1m'\n[profile.production]\ntimeout = { idle = '2m' }\n")
    .profile("production")
    .set("providers.deepseek.default_model", "deepseek-v4-pro")
    .build()
    .unwrap();
    let is = |path: &str, value: Value, origin: &str| {
        assert_eq!(setting(&registry, path), (value, origin.to_owned()), "{path}");
    };
    is("default", json!("fast"), "line 1");
    is("providers.deepseek.default_model", json!("deepseek-v4-pro"), "code");
    is("providers.deepseek.base_url", json!("https://api.deepseek.com"), "profile deepseek");
    is("providers.deepseek.api_key", json!("$DEEPSEEK_API_KEY"), "profile deepseek");
    is("providers.deepseek.profile", json!("deepseek"), "default");
    is("providers.openai.base_url", json!("https://eu.example.com/v1"), "$OPENAI_BASE_URL");
    is("models.\"gpt-4.1\"", json!(["fast"]), "line 6");
    is("timeout.idle", json!("2m"), "line 10 [profile.production]");
    is("timeout.first_byte", json!("10m"), "default");
    is("retry.attempts", json!("2"), "$MODELSWITCH_RETRY__ATTEMPTS");
    is("retry.max_delay", json!("8s"), "default");
    assert_eq!(registry.settings()[0].path, "default");
    let json = serde_json::to_value(&registry.settings()[0]).unwrap();
    assert_eq!(json["origin"], json!({ "kind": "file", "path": null, "line": 1, "column": 1 }));
}

#[test]
fn a_file_is_named_with_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("modelswitch.toml");
    std::fs::write(&path, "\n[providers.local]\nprofile = 'llamacpp'\n").unwrap();
    let registry = with(&[]).file(&path).build().unwrap();
    assert_eq!(setting(&registry, "providers.local.profile").1, format!("{}:3", path.display()));
    assert_eq!(setting(&registry, "providers.local.api_key").0, "none needed");
}

#[test]
fn without_a_file_the_environments_providers_are_shown_too() {
    let registry = with(&[("DEEPSEEK_API_KEY", CANARY)]).build().unwrap();
    assert_eq!(setting(&registry, "default"), (json!("deepseek/deepseek-flash"), "default".to_owned()));
    assert_eq!(setting(&registry, "providers.deepseek.profile").1, "default");
}

#[test]
fn nothing_that_may_be_a_key_is_shown() {
    let registry = with(&[("MINE", CANARY)])
        .toml(format!(
            "[providers.mine]\nbase_url = 'https://llm.example.com/v1'\napi_key = {{ env = 'MINE' }}\nheaders = {{ x-team = '{CANARY}', x-note = 'hush' }}\n[providers.other]\nprofile = 'deepseek'\napi_key = {{ file = '/nowhere' }}\n[providers.theirs]\nprofile = 'openai'\n"
        ))
        .api_key("other", ApiKey::new(CANARY).unwrap())
        .provider("theirs", MockProvider::reply("hello"))
        .build()
        .unwrap();
    let shown = format!("{:?} {}", registry.settings(), serde_json::to_string(&registry.settings()).unwrap());
    assert!(!shown.contains("canary") && !shown.contains("hush"), "{shown}");
    assert_eq!(setting(&registry, "providers.mine.headers.x-team").0, "(not shown)");
    assert_eq!(setting(&registry, "providers.mine.api_key.env").0, "MINE");
    assert_eq!(setting(&registry, "providers.other.api_key"), (json!("(given in code)"), "code".to_owned()));
    assert_eq!(setting(&registry, "providers.theirs").0, "(given in code)");
    assert!(
        registry.settings().iter().all(|setting| setting.origin != Origin::Other { name: String::new() })
    );
}

#[test]
fn of_a_command_the_program_is_shown_and_no_argument() {
    let registry = text(&format!(
        "[providers.a]\nprofile = 'openai'\napi_key = {{ command = ['vault', 'read', '-token={CANARY}'] }}\n\
         [providers.b]\nprofile = 'openai'\napi_key = [{{ command = ['pass', 'work/deepseek'] }}, {{ command = ['keys'] }}]\n"
    ))
    .build()
    .unwrap();
    let (value, _) = setting(&registry, "providers.a.api_key.command");
    assert_eq!(value, json!(["vault", "(2 arguments, not shown)"]));
    let (value, _) = setting(&registry, "providers.b.api_key");
    assert_eq!(value[0]["command"], json!(["pass", "(1 argument, not shown)"]));
    let shown = serde_json::to_string(&registry.settings()).unwrap();
    assert!(!shown.contains("canary") && !shown.contains("work/deepseek"), "{shown}");
}
