use figment::Figment;
use figment::providers::Serialized;
use modelswitch_provider::mock::MockProvider;
use modelswitch_provider::{ApiKey, ErrorKind, ProviderExt};
use modelswitch_registry::{Registry, RegistryBuilder};

use crate::support::*;

fn url(builder: RegistryBuilder, provider: &str) -> String {
    let registry = builder.build().unwrap();
    let info = registry.providers().into_iter().find(|info| info.name == provider).unwrap();
    info.base_url.unwrap()
}

const URL: &str = "providers.local.base_url";
const FILE: &str = r#"
    [providers.local]
    profile = "llamacpp"
    base_url = "http://127.0.0.1:1/file"
    [profile.production.providers.local]
    base_url = "http://127.0.0.1:1/section"
"#;
const VARIABLE: (&str, &str) = ("MODELSWITCH_PROVIDERS__LOCAL__BASE_URL", "http://127.0.0.1:1/variable");

#[test]
fn defaults_file_section_environment_and_code_count_in_this_order() {
    assert_eq!(url(text("[providers.local]\nprofile = 'llamacpp'"), "local"), "http://127.0.0.1:8080/v1");
    assert_eq!(url(text(FILE), "local"), "http://127.0.0.1:1/file");
    assert_eq!(url(text(FILE).profile("production"), "local"), "http://127.0.0.1:1/section");
    let all = || with(&[VARIABLE, ("MODELSWITCH_PROFILE", "production")]).toml(FILE);
    assert_eq!(url(all(), "local"), "http://127.0.0.1:1/variable");
    assert_eq!(url(all().set(URL, "http://127.0.0.1:1/code"), "local"), "http://127.0.0.1:1/code");
}

#[test]
fn a_profiles_own_url_variable_counts_less_than_the_configuration() {
    let variable = [("LLAMACPP_BASE_URL", "http://127.0.0.1:1/own")];
    assert_eq!(url(with(&variable).toml("[providers.llamacpp]"), "llamacpp"), "http://127.0.0.1:1/own");
    assert_eq!(url(with(&variable).toml(FILE), "local"), "http://127.0.0.1:1/file");
}

#[test]
fn with_no_file_each_profile_whose_key_is_set_is_a_provider() {
    let registry = with(&[
        ("OPENAI_API_KEY", CANARY),
        ("DEEPSEEK_API_KEY", CANARY),
        ("VLLM_API_KEY", " "),
        ("DEEPSEEK_BASE_URL", "https://deepseek.example/"),
    ])
    .build()
    .unwrap();
    let names: Vec<String> = registry.providers().into_iter().map(|info| info.name).collect();
    assert_eq!(names, ["deepseek", "openai"]);
    assert_eq!(registry.providers()[0].base_url.as_deref(), Some("https://deepseek.example/"));
    assert_eq!(registry.providers()[0].key.source, "$DEEPSEEK_API_KEY");
    assert_eq!(registry.default_model().as_deref(), Some("deepseek/deepseek-flash"));
    assert_eq!(registry.source(), "environment only");
}

#[test]
fn with_no_file_and_no_deepseek_the_first_provider_is_the_default() {
    let registry = with(&[("OPENAI_API_KEY", CANARY)]).build().unwrap();
    assert_eq!(registry.default_model().as_deref(), Some("openai/gpt-4o-mini"));
}

#[test]
fn a_file_without_providers_leaves_them_to_the_environment() {
    let registry =
        with(&[("DEEPSEEK_API_KEY", CANARY)]).toml("[models]\nfast = 'deepseek-flash'").build().unwrap();
    assert_eq!(registry.aliases(), [("fast".to_owned(), "deepseek/deepseek-flash".to_owned())]);
}

#[test]
fn a_file_with_providers_says_which_there_are() {
    let registry = with(&[("OPENAI_API_KEY", CANARY)]).toml("[providers.deepseek]").build().unwrap();
    assert_eq!(registry.providers().len(), 1);
}

#[test]
fn text_that_looks_like_a_number_or_switch_stays_text_where_text_is_wanted() {
    let registry = with(&[
        ("MODELSWITCH_PROVIDERS__LOCAL__PROFILE", "llamacpp"),
        ("MODELSWITCH_PROVIDERS__LOCAL__DEFAULT_MODEL", "123"),
        ("MODELSWITCH_PROVIDERS__LOCAL__MODELS", "[\"true\", 'x']"),
        ("MODELSWITCH_PROVIDERS__LOCAL__ALLOW_PLAIN_HTTP", "true"),
        ("MODELSWITCH_RETRY__ATTEMPTS", "2"),
        ("MODELSWITCH_TIMEOUT__IDLE", "7s"),
        ("MODELSWITCH_MODELS__FAST", "local/true"),
        ("MODELSWITCH_MODELS__SMART", "[\"local/a\", \"local/b\"]"),
        ("MODELSWITCH_DEFAULT", "123"),
    ])
    .build()
    .unwrap();
    assert_eq!(registry.default_model().as_deref(), Some("local/123"));
    assert_eq!(registry.providers()[0].models, ["true", "x", "123"]);
    assert_eq!(registry.aliases()[0].1, "local/true");
}

#[test]
fn a_variable_finds_the_name_with_capitals_dots_and_hyphens_that_the_file_has() {
    let toml = "[providers.My-Local]\nprofile = 'llamacpp'\n[models]\n'gpt-4.1' = 'My-Local/a'";
    let registry = with(&[
        ("MODELSWITCH_PROVIDERS__MY_LOCAL__DEFAULT_MODEL", "b"),
        ("MODELSWITCH_MODELS__GPT_4_1", "My-Local/c"),
    ])
    .toml(toml)
    .build()
    .unwrap();
    assert_eq!(registry.providers()[0].default_model.as_deref(), Some("b"));
    assert_eq!(registry.aliases(), [("gpt-4.1".to_owned(), "My-Local/c".to_owned())]);
}

#[test]
fn variables_of_others_that_begin_like_ours_are_told_and_ignored() {
    let registry = with(&[
        ("MODELSWITCH_SERVICE_HOST", "10.0.0.1"),
        ("MODELSWITCH_LOG", "debug"),
        ("MODELSWITCH_DEFAULT", ""),
    ])
    .toml("[providers.deepseek]")
    .build()
    .unwrap();
    assert_eq!(
        registry.warnings(),
        [
            "$MODELSWITCH_SERVICE_HOST is not a setting and is ignored; after MODELSWITCH_ comes one of: DEFAULT, PROVIDERS, MODELS, PROFILES, RETRY, TIMEOUT, LIMITS, BREAKER, CACHE, BUDGET, LEDGER, LOG, TRACE, METRICS, CONFIG, PROFILE"
        ]
    );
}

#[test]
fn a_stronger_key_source_replaces_a_weaker_one_whole() {
    let registry = with(&[("MODELSWITCH_PROVIDERS__DEEPSEEK__API_KEY__FILE", "/nowhere/key")])
        .toml("[providers.deepseek]\napi_key = { env = 'X' }")
        .build()
        .unwrap();
    assert_eq!(registry.providers()[0].key.source, "/nowhere/key");
}

#[test]
fn the_file_is_found_by_variable_and_in_the_users_folder() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("modelswitch");
    std::fs::create_dir(&own).unwrap();
    let path = own.join("modelswitch.toml");
    std::fs::write(&path, "[providers.local]\nprofile = 'llamacpp'\napi_key = { file = 'key' }").unwrap();
    std::fs::write(own.join("key"), CANARY).unwrap();
    for (variable, value) in [("XDG_CONFIG_HOME", folder.path()), ("MODELSWITCH_CONFIG", &path)] {
        let variables = [(variable.to_owned(), value.display().to_string())];
        let registry = Registry::builder().environment(variables).build().unwrap();
        assert_eq!(registry.source(), path.display().to_string());
        assert!(registry.providers()[0].key.set);
        assert_eq!(registry.providers()[0].key.source, own.join("key").display().to_string());
    }
}

#[tokio::test]
async fn a_missing_key_fails_the_call_and_not_the_loading() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("key");
    std::fs::write(&broken, "sk-canary\n0123456789").unwrap();
    let toml = format!(
        "[providers.deepseek]\n[providers.openai]\napi_key = {{ file = '{}' }}\n[providers.vllm]\napi_key = {{ env = 'NOT_SET' }}",
        broken.display()
    );
    let registry = text(&toml).provider("mine", MockProvider::reply("hello")).build().unwrap();
    assert_eq!(registry.model("mine/m").unwrap().ask("?").await.unwrap(), "hello");
    for (model, source) in [
        ("deepseek/x", "DEEPSEEK_API_KEY"),
        ("openai/x", &*broken.display().to_string()),
        ("vllm/x", "NOT_SET"),
    ] {
        let error = registry.model(model).unwrap().ask("?").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert_eq!(error.provider(), model.split('/').next());
        assert_eq!(error.model(), Some("x"));
        assert!(shown(&error).contains(source), "{error}");
        assert!(!shown(&error).contains("canary") && !shown(&error).contains("0123456789"));
    }
    assert!(registry.providers().iter().all(|info| info.key.set == (info.name == "mine")));
}

#[test]
fn a_providers_own_retry_counts_more_than_the_common_one() {
    let toml = "[retry]\nattempts = 2\nmax_delay = '3s'\n[providers.deepseek]\n[providers.openai.retry]\nattempts = 5";
    let registry = text(toml).build().unwrap();
    let layers = |name: &str| format!("{:?}", registry.provider(name).unwrap());
    assert!(layers("deepseek").contains("Retry { attempts: 2, base_delay: 500ms, max_delay: 3s"));
    assert!(layers("openai").contains("Retry { attempts: 5, base_delay: 500ms, max_delay: 3s"));
}

#[test]
fn a_key_can_be_given_in_code() {
    let key = || ApiKey::new(CANARY).unwrap();
    let registry = with(&[]).api_key("deepseek", key()).build().unwrap();
    let info = &registry.providers()[0];
    assert_eq!((info.name.as_str(), info.key.source.as_str(), info.key.set), ("deepseek", "in code", true));
    let error = with(&[]).api_key("deepseek", key()).api_key("depseek", key()).build().unwrap_err();
    assert_eq!(
        error.message(),
        "code gives a key to `depseek`, and there is no such provider; did you mean `deepseek`?"
    );
}

#[test]
fn a_path_of_a_setting_that_is_none_is_refused() {
    let error = text("[providers.deepseek]").set("a b", 1).build().unwrap_err();
    assert_eq!(error.message(), "`a b` set in code is not the path of a setting");
    let error = text("[providers.deepseek]").set("retry.attemps", 1).build().unwrap_err();
    assert!(error.message().starts_with("set in code: `retry.attemps` is not a setting"), "{error}");
}

#[test]
fn a_figment_of_the_callers_own_takes_the_place_of_everything() {
    let figment = Figment::new()
        .merge(Serialized::default("providers.local.profile", "llamacpp"))
        .merge(Serialized::from(
            std::collections::BTreeMap::from([("default", "local/production")]),
            "production",
        ))
        .select("production");
    let registry = Registry::from_figment(figment).unwrap();
    assert_eq!(registry.default_model().as_deref(), Some("local/production"));
}

#[test]
fn nothing_that_was_planted_shows() {
    let toml = format!(
        "[providers.deepseek]\nheaders = {{ x-team = '{CANARY}' }}\n[providers.openai]\napi_key = {{ env = 'MINE' }}"
    );
    let builder = || {
        with(&[("DEEPSEEK_API_KEY", CANARY), ("MINE", CANARY)])
            .toml(toml.clone())
            .api_key("openai", ApiKey::new(CANARY).unwrap())
            .set("default", CANARY)
    };
    assert!(!format!("{:?}", builder()).contains("canary"));
    let error = builder().build().unwrap_err();
    assert!(error.message().contains("a value that looks like a key"), "{error}");
    assert!(!shown(&error).contains("canary"), "{}", shown(&error));

    let registry = builder().default_model("deepseek/m").build().unwrap();
    let everything = format!(
        "{registry:?} {:?} {:?} {:?} {:?} {}",
        registry.router(),
        registry.provider("deepseek").unwrap(),
        registry.model("openai/x").unwrap(),
        registry.http_service(),
        serde_json::to_string(&registry.providers()).unwrap(),
    );
    assert!(!everything.contains("canary"), "{everything}");
}

#[test]
fn what_is_logged_is_a_setting_like_any_other() {
    for (text, variables) in [
        ("[providers.deepseek]\n[log]\ncontent = true", vec![]),
        ("[providers.deepseek]", vec![("MODELSWITCH_LOG__CONTENT", "true"), ("MODELSWITCH_LOG", "info")]),
    ] {
        let registry = with(&variables).toml(text).build().unwrap();
        assert!(registry.warnings().is_empty(), "{:?}", registry.warnings());
        let router = format!("{:?}", registry.router());
        assert!(router.contains("Log { content: true"), "{router}");
    }
    let error = with(&[]).toml("[providers.deepseek]\n[log]\ncontent = 'loud'").build().unwrap_err();
    assert!(error.message().contains("`log.content` must be true or false"), "{error}");
}
