//! A key is put wherever a configuration has room for a text, and looked for in whatever is said about it.

use std::fmt::Write;

use modelswitch::registry::RegistryBuilder;
use modelswitch::{ApiKey, Error, Registry};
use modelswitch_sim::Sim;

use crate::{KEY, listen, shows_none_of};

/// All that an error says.
fn said(error: &Error) -> String {
    format!("{error} {error:?} {} {} {}", error.report(), error.facts(), error.to_body())
}

/// All that a registry says of itself, and that a call says which goes nowhere.
async fn all_of(builder: RegistryBuilder) -> String {
    listen::begin();
    let mut shown = format!("{builder:?}");
    match builder.build() {
        Ok(registry) => shown += &all_of_registry(&registry).await,
        Err(error) => shown += &said(&error),
    }
    shown + &listen::heard()
}

async fn all_of_registry(registry: &Registry) -> String {
    let mut shown = format!(
        "{registry:?} {:?} {:?} {:?} {:?} {:?} {:?} {}",
        registry.providers(),
        registry.router(),
        registry.http_service(),
        registry.capture(),
        registry.warnings(),
        registry.client().unwrap(),
        serde_json::to_string(&registry.providers()).unwrap(),
    );
    for info in registry.providers() {
        write!(shown, "{:?} {}", info.key, serde_json::to_string(&info.key).unwrap()).unwrap();
        if let Ok(provider) = registry.provider(&info.name) {
            write!(shown, "{provider:?}").unwrap();
        }
    }
    for wrong in ["fsat", KEY] {
        if let Err(error) = registry.model(wrong) {
            // Who asks for a key as a model is told so; the name comes from code, not from the configuration.
            if wrong != KEY {
                shown += &said(&error);
            }
        }
    }
    shown
}

/// Settings with a key in a wrong place. Nothing of them may be repeated, whether they are refused or not.
fn texts() -> Vec<String> {
    let in_provider = [
        format!("api_key = \"{KEY}\""),
        format!("api_key = [\"{KEY}\"]"),
        format!("api_key = {{ env = \"{KEY}\" }}"),
        format!("api_key = {{ file = \"{KEY}\" }}"),
        format!("api_key = {{ value = \"{KEY}\" }}"),
        format!("api_key = {{ \"{KEY}\" = 1 }}"),
        format!("key = \"{KEY}\""),
        format!("token = \"{KEY}\""),
        format!("profile = \"{KEY}\""),
        format!("base_url = \"{KEY}\""),
        format!("base_url = \"https://user:{KEY}@llm.example.com/v1\""),
        format!("base_url = \"https://{KEY}@llm.example.com/v1\""),
        format!("base_url = \"https://llm.example.com/v1?api_key={KEY}\""),
        format!("base_url = \"https://llm.example.com/v1#{KEY}\""),
        format!("base_url = \"http://llm.example.com:{KEY}/v1\""),
        format!("models = \"{KEY}\""),
        format!("models = {{ \"{KEY}\" = 1 }}"),
        format!("allow_plain_http = \"{KEY}\""),
        format!("headers = \"{KEY}\""),
        format!("headers = {{ authorization = \"Bearer {KEY}\" }}"),
        format!("headers = {{ x-api-key = \"{KEY}\" }}"),
        format!("headers = {{ x-team = \"{KEY}\" }}"),
        format!("headers = {{ x-team = \"{KEY}\\n\" }}"),
        format!("headers = {{ x-team = [\"{KEY}\"] }}"),
        format!("policy = {{ strict = \"{KEY}\" }}"),
        format!("policy = {{ json_schema = \"{KEY}\" }}"),
        format!("policy = {{ reasoning_memory = \"{KEY}\" }}"),
        format!("retry = {{ attempts = \"{KEY}\" }}"),
        format!("timeout = {{ idle = \"{KEY}\" }}"),
        format!("\"{KEY}\" = 1"),
        format!("default_model = \"{KEY}\""),
        format!("models = [\"{KEY}\"]"),
    ];
    let at_the_top = [
        format!("default = \"{KEY}\"\n[providers.deepseek]"),
        format!("[providers.deepseek]\n[models]\nfast = \"{KEY}\""),
        format!("[providers.deepseek]\n[models]\n\"{KEY}\" = \"deepseek/deepseek-flash\""),
        format!("[providers.\"{KEY}\"]"),
        format!("retry = \"{KEY}\""),
        format!("timeout.idle = \"{KEY}\""),
        format!("log.content = \"{KEY}\""),
        format!("log = \"{KEY}\""),
        format!("providers = \"{KEY}\""),
        format!("api_key = \"{KEY}\""),
        format!("deepseek = \"{KEY}\""),
        format!("\"{KEY}\" = 1"),
        format!("[models]\nfast = 5\n\"x\" = [1, \"{KEY}\"]"),
        format!("[providers.deepseek]\napi_key = \"{KEY}"),
        format!("[providers.deepseek]\napi_key = {KEY}"),
        format!("[providers.deepseek]\napi_key = \"{KEY}\"\napi_key = \"{KEY}\""),
        format!("[profile.x.providers.deepseek]\napi_key = \"{KEY}\""),
    ];
    let mut all: Vec<String> =
        in_provider.iter().map(|line| format!("[providers.deepseek]\n{line}\n")).collect();
    all.extend(in_provider.iter().map(|line| format!("[providers.mine]\n{line}\n")));
    all.extend(at_the_top);
    all
}

#[tokio::test]
async fn a_key_in_the_wrong_place_of_a_file_is_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("modelswitch.toml");
    for text in texts() {
        shows_none_of(&[KEY], &all_of(Registry::builder().toml(&text).environment([])).await);
        shows_none_of(&[KEY], &all_of(Registry::builder().toml(&text).environment([]).profile("x")).await);
        std::fs::write(&path, &text).unwrap();
        shows_none_of(&[KEY], &all_of(Registry::builder().file(&path).environment([])).await);
    }
}

#[tokio::test]
async fn a_key_in_the_wrong_variable_is_not_repeated() {
    for name in [
        "MODELSWITCH_API_KEY",
        "MODELSWITCH_KEY",
        "MODELSWITCH_TIMEOUT",
        "MODELSWITCH_TIMEOUT__IDLE",
        "MODELSWITCH_RETRY__ATTEMPTS",
        "MODELSWITCH_LOG",
        "MODELSWITCH_LOG__CONTENT",
        "MODELSWITCH_PROVIDERS",
        "MODELSWITCH_PROVIDERS__DEEPSEEK",
        "MODELSWITCH_PROVIDERS__DEEPSEEK__API_KEY",
        "MODELSWITCH_PROVIDERS__DEEPSEEK__API_KEY__ENV",
        "MODELSWITCH_PROVIDERS__DEEPSEEK__API_KEY__FILE",
        "MODELSWITCH_PROVIDERS__DEEPSEEK__API_KEY__VALUE",
        "MODELSWITCH_PROVIDERS__DEEPSEEK__TOKEN",
        "MODELSWITCH_PROVIDERS__DEEPSEEK__BASE_URL",
        "MODELSWITCH_PROVIDERS__DEEPSEEK__PROFILE",
        "MODELSWITCH_PROVIDERS__DEEPSEEK__HEADERS",
        "MODELSWITCH_PROVIDERS__DEEPSEEK__HEADERS__AUTHORIZATION",
        "MODELSWITCH_PROVIDERS__DEEPSEEK__HEADERS__X_TEAM",
        "MODELSWITCH_PROVIDERS__DEEPSEEK__POLICY__STRICT",
        "MODELSWITCH_PROVIDERS__DEEPSEEK__MODELS",
        "MODELSWITCH_MODELS",
        "DEEPSEEK_BASE_URL",
        "DEEPSEEK_API_KEY",
    ] {
        for value in [KEY.to_owned(), format!("https://user:{KEY}@llm.example.com/v1"), format!("{KEY}\nx")] {
            let variables = [(name.to_owned(), value)];
            let builder = Registry::builder().toml("[providers.deepseek]").environment(variables);
            shows_none_of(&[KEY], &all_of(builder).await);
        }
    }
}

#[tokio::test]
async fn a_key_in_code_is_not_repeated() {
    let begin = || Registry::builder().toml("[providers.deepseek]").environment([]);
    let key = || ApiKey::new(KEY).unwrap();
    for builder in [
        begin().api_key("deepseek", key()),
        begin().api_key("deepsek", key()),
        begin().api_key(KEY, key()),
        begin().set("providers.deepseek.api_key", KEY),
        begin().set("providers.deepseek.base_url", format!("https://user:{KEY}@llm.example.com/v1")),
        begin().set("providers.deepseek.headers.x-api-key", KEY),
        begin().set("providers.deepseek.headers.x-team", KEY),
        begin().set("timeout.idle", KEY),
        begin().set(KEY, 1),
        begin().set(&format!("providers.{KEY}/"), 1),
    ] {
        shows_none_of(&[KEY], &all_of(builder).await);
    }
    for wrong in [format!("{KEY} {KEY}"), format!("{KEY}\nx"), format!("ä{KEY}")] {
        shows_none_of(&[KEY], &said(&ApiKey::new(wrong).unwrap_err()));
    }
}

#[tokio::test]
async fn a_key_from_where_it_belongs_is_in_no_report() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, format!("{KEY}\n")).unwrap();
    let file = file.display();
    let variable =
        || [("MY_KEY".to_owned(), KEY.to_owned()), ("DEEPSEEK_API_KEY".to_owned(), KEY.to_owned())];
    let taken = Sim::builder().any_key(true).start().await.unwrap();
    // Doesn't take it, and says so.
    let refused = Sim::start().await.unwrap();
    for sim in [&taken, &refused] {
        for source in [
            String::new(),
            "api_key = { env = 'MY_KEY' }".to_owned(),
            format!("api_key = {{ file = '{file}' }}"),
        ] {
            listen::begin();
            let text = format!(
                "[providers.deepseek]\nbase_url = '{}'\n{source}\n[retry]\nattempts = 1",
                sim.base_url()
            );
            let registry = Registry::builder().toml(text).environment(variable()).build().unwrap();
            let mut shown = all_of_registry(&registry).await;
            for report in registry.check().await {
                write!(shown, "{report:?} {}", serde_json::to_string(&report).unwrap()).unwrap();
            }
            match registry.balance("deepseek").await {
                Ok(balance) => write!(shown, "{balance:?}").unwrap(),
                Err(error) => shown += &said(&error),
            }
            shows_none_of(&[KEY], &(shown + &listen::heard()));
        }
    }
}
