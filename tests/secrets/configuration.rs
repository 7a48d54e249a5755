//! A key is put wherever a configuration has room for a text, and looked for in whatever is said about it.

use std::fmt::Write;
use std::time::Duration;

use modelswitch::provider::mock::MockProvider;
use modelswitch::registry::RegistryBuilder;
use modelswitch::{ApiKey, Error, HttpClient, Registry};
use modelswitch_sim::Sim;

use crate::{KEY, listen, shows_none_of};

/// As services make their keys: DeepSeek and OpenAI, Anthropic, Stripe's fashion, Groq, xAI, Hugging Face, Perplexity,
/// Google, NVIDIA, Replicate, Cerebras, Vault, GitHub, and those that begin in no way of their own.
const SHAPES: [&str; 15] = [
    KEY,
    "sk-ant-api03-Canary_0123456789",
    "sk_live_canary0123456789",
    "gsk_Canary0123456789abcdef",
    "xai-Canary0123456789abcdef",
    "hf_CanaryAbCdEfGhIjKlMnOp",
    "pplx-canary0123456789abcdef",
    "AIzaCanary-01_23-45_67-89_ab-cd_ef",
    "nvapi-Canary-0123-4567-89ab-cdef-0123",
    "r8_Canary0123456789abcdef",
    "csk-canary0123456789abcdef",
    "hvs.Canary0123456789abcdef",
    "ghp_Canary0123456789abcdef",
    "c0a1b2c3d4e5f60718293a4b5c6d7e8f",
    "Canary0123456789abcdefGHIJKL",
];

/// All that an error says.
pub(crate) fn said(error: &Error) -> String {
    format!("{error} {error:?} {} {} {}\n", error.report(), error.facts(), error.to_body())
}

/// All that a registry says of itself, and that a call says which goes nowhere.
fn all_of(builder: RegistryBuilder) -> String {
    listen::begin();
    let mut shown = format!("{builder:?}");
    for invalid in builder.validate() {
        shown += &said(&invalid.error);
    }
    match builder.build() {
        Ok(registry) => shown += &all_of_registry(&registry),
        Err(error) => shown += &said(&error),
    }
    shown + &listen::heard()
}

fn all_of_registry(registry: &Registry) -> String {
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
    write!(shown, "{:?} {:?} {:?}", registry.settings(), registry.aliases(), registry.default_model())
        .unwrap();
    shown += &serde_json::to_string(&registry.settings()).unwrap();
    shown += &registry.source();
    match registry.reload() {
        Ok(changes) => write!(shown, "{changes:?} {changes}").unwrap(),
        Err(error) => shown += &said(&error),
    }
    for info in registry.providers() {
        write!(shown, "{:?} {}", info.key, serde_json::to_string(&info.key).unwrap()).unwrap();
        if let Ok(provider) = registry.provider(&info.name) {
            write!(shown, "{provider:?}").unwrap();
        }
    }
    for wrong in ["fsat", "fast", "deepseek/fsat", "mine/x", "sk-canary"] {
        match registry.model(wrong) {
            Ok(model) => write!(shown, "{model:?}").unwrap(),
            Err(error) => shown += &said(&error),
        }
    }
    shown
}

/// Settings with a key in a wrong place. Nothing of them may be repeated, whether they are refused or not.
fn texts(key: &str) -> Vec<String> {
    let in_provider = [
        format!("api_key = \"{key}\""),
        format!("api_key = [\"{key}\"]"),
        format!("api_key = {{ env = \"{key}\" }}"),
        format!("api_key = {{ file = \"{key}\" }}"),
        format!("api_key = {{ value = \"{key}\" }}"),
        format!("api_key = {{ \"{key}\" = 1 }}"),
        format!("key = \"{key}\""),
        format!("token = \"{key}\""),
        format!("profile = \"{key}\""),
        format!("base_url = \"{key}\""),
        format!("base_url = \"https://user:{key}@llm.example.com/v1\""),
        format!("base_url = \"https://{key}@llm.example.com/v1\""),
        format!("base_url = \"https://llm.example.com/v1?api_key={key}\""),
        format!("base_url = \"https://llm.example.com/v1#{key}\""),
        format!("base_url = \"http://llm.example.com:{key}/v1\""),
        format!("models = \"{key}\""),
        format!("models = {{ \"{key}\" = 1 }}"),
        format!("allow_plain_http = \"{key}\""),
        format!("headers = \"{key}\""),
        format!("headers = {{ authorization = \"Bearer {key}\" }}"),
        format!("headers = {{ x-api-key = \"{key}\" }}"),
        format!("headers = {{ x-team = \"{key}\" }}"),
        format!("headers = {{ x-team = \"{key}\\n\" }}"),
        format!("headers = {{ x-team = [\"{key}\"] }}"),
        format!("policy = {{ strict = \"{key}\" }}"),
        format!("policy = {{ json_schema = \"{key}\" }}"),
        format!("policy = {{ reasoning_memory = \"{key}\" }}"),
        format!("retry = {{ attempts = \"{key}\" }}"),
        format!("timeout = {{ idle = \"{key}\" }}"),
        format!("\"{key}\" = 1"),
        format!("headers = {{ \"{key}\" = \"x\" }}"),
        format!("query = {{ x = \"{key}\" }}"),
        format!("query = {{ api_key = \"{key}\" }}"),
        format!("query = {{ \"{key}\" = \"x\" }}"),
        format!("query = \"{key}\""),
        format!("auth = {{ header = \"{key}\" }}"),
        format!("auth = {{ scheme = \"{key}\" }}"),
        format!("auth = {{ required = \"{key}\" }}"),
        format!("auth = {{ \"{key}\" = true }}"),
        format!("auth = \"{key}\""),
        format!("allow_models = [\"{key}\"]"),
        format!("deny_models = [\"{key}\", \"x\"]"),
        format!("allow_endpoints = [\"{key}\"]"),
        format!("kind = \"{key}\""),
        format!("settings = {{ x = \"{key}\" }}"),
        format!("api_key = {{ keyring = \"{key}\" }}"),
        format!("api_key = {{ command = [\"{key}\"] }}"),
        format!("api_key = {{ command = [\"echo\", \"{key}\"] }}"),
        format!("api_key = {{ command = [\"vault\", \"--token={key}\"], ttl = \"1h\" }}"),
        format!("api_key = [{{ command = [\"vault\", \"--token={key}\"] }}, {{ env = \"X\" }}]"),
        format!("api_key = {{ env = \"X\", ttl = \"{key}\" }}"),
        format!("default_model = \"{key}\""),
        format!("models = [\"{key}\"]"),
    ];
    let at_the_top = [
        format!("default = \"{key}\"\n[providers.deepseek]"),
        format!("[providers.deepseek]\n[models]\nfast = \"{key}\""),
        format!("[providers.deepseek]\n[models]\n\"{key}\" = \"deepseek/deepseek-flash\""),
        format!("[providers.\"{key}\"]"),
        format!("retry = \"{key}\""),
        format!("timeout.idle = \"{key}\""),
        format!("log.content = \"{key}\""),
        format!("log = \"{key}\""),
        format!("providers = \"{key}\""),
        format!("api_key = \"{key}\""),
        format!("deepseek = \"{key}\""),
        format!("\"{key}\" = 1"),
        format!("[models]\nfast = 5\n\"x\" = [1, \"{key}\"]"),
        format!("[providers.deepseek]\napi_key = \"{key}"),
        format!("[providers.deepseek]\napi_key = {key}"),
        format!("[providers.deepseek]\napi_key = \"{key}\"\napi_key = \"{key}\""),
        format!("[profile.x.providers.deepseek]\napi_key = \"{key}\""),
        format!("[providers.deepseek]\n[profile.\"{key}\".retry]\nattempts = 1"),
        format!("[providers.deepseek]\n[models.fast]\ntarget = \"deepseek/{key}\""),
        format!("[providers.deepseek]\n[models.fast]\ntarget = \"{key}\""),
        format!("[providers.deepseek]\n[models.fast]\ntargets = [\"deepseek/x\", {{ model = \"{key}\" }}]"),
        format!("[providers.deepseek]\n[models.fast]\ntarget = \"deepseek/x\"\nstrategy = \"{key}\""),
        format!("[providers.deepseek]\n[models.fast]\ntarget = \"deepseek/x\"\nweights = [\"{key}\"]"),
        format!(
            "[providers.deepseek]\n[models.fast]\ntarget = \"deepseek/x\"\ndefaults = {{ user = \"{key}\" }}"
        ),
        format!(
            "[providers.deepseek]\n[models.fast]\ntarget = \"deepseek/x\"\ndefaults = {{ \"{key}\" = 1 }}"
        ),
        format!(
            "[providers.deepseek]\n[models.fast]\ntarget = \"deepseek/x\"\noverrides = {{ x = {{ y = [\"{key}\"] }} }}"
        ),
        format!(
            "[providers.deepseek]\n[models.fast]\ntarget = \"deepseek/x\"\noverrides = {{ api_key = \"{key}\" }}"
        ),
        format!("[providers.deepseek]\n[models.fast]\ntarget = \"deepseek/x\"\ndefaults = \"{key}\""),
        format!("[providers.deepseek]\n[profiles.\"{key}\"]\ntitle = \"x\""),
        format!("[providers.deepseek]\n[profiles.mine]\nextends = \"{key}\""),
        format!("[providers.mine]\n[profiles.mine]\ntitle = \"{key}\""),
        format!("[providers.mine]\n[profiles.mine]\n\"{key}\" = 1"),
        format!("[providers.mine]\n[profiles.mine]\nkey_env = [\"{key}\"]"),
        format!("[providers.mine]\n[profiles.mine]\nbase_url = \"https://user:{key}@llm.example.com/v1\""),
        format!("[providers.mine]\n[profiles.mine]\nbase_url = \"https://llm.example.com/{key}?x={key}\""),
        format!("[providers.mine]\n[profiles.mine.headers]\nauthorization = \"Bearer {key}\""),
        format!("[providers.mine]\n[profiles.mine.headers]\nx-team = \"{key}\""),
        format!("[providers.mine]\n[profiles.mine.query]\napi_key = \"{key}\""),
        format!("[providers.mine]\n[profiles.mine.auth]\nheader = \"{key}\""),
        format!("[providers.mine]\n[profiles.mine.auth]\nscheme = \"{key}\""),
        format!("[providers.mine]\n[profiles.mine]\nmodels = [\"{key}\"]\ndefault_model = \"{key}\""),
        format!("[providers.mine]\n[profiles.mine.request]\nmax_tokens = \"{key}\""),
    ];
    let mut all: Vec<String> =
        in_provider.iter().map(|line| format!("[providers.deepseek]\n{line}\n")).collect();
    all.extend(in_provider.iter().map(|line| format!("[providers.mine]\n{line}\n")));
    all.extend(at_the_top);
    all
}

/// Builders with one pool of connections: each of their own takes its time to make.
fn begin() -> impl Fn() -> RegistryBuilder {
    let client = HttpClient::new(Duration::from_secs(1)).unwrap();
    move || Registry::builder().environment([]).http_client(client.clone())
}

#[tokio::test]
async fn a_key_of_any_shape_in_the_wrong_place_is_not_repeated() {
    let begin = begin();
    for key in SHAPES {
        // What begins in no way of its own may be a model's id, which a target is the place for.
        let may_be_an_id = key.to_lowercase().starts_with('c') && !key.starts_with("csk-");
        for text in texts(key) {
            if may_be_an_id && text.contains(&format!("deepseek/{key}")) {
                continue;
            }
            shows_none_of(&[key], &all_of(begin().toml(&text)));
        }
    }
}

#[tokio::test]
async fn a_key_in_the_wrong_place_of_a_file_is_not_repeated() {
    let begin = begin();
    let folder = tempfile::tempdir().unwrap();
    for text in texts(KEY) {
        shows_none_of(&[KEY], &all_of(begin().toml(&text).profile("x")));
        let path = folder.path().join("modelswitch.toml");
        std::fs::write(&path, &text).unwrap();
        shows_none_of(&[KEY], &all_of(begin().file(&path)));
        // YAML takes what is JSON.
        let Ok(table) = text.parse::<toml::Table>() else { continue };
        for name in ["modelswitch.json", "modelswitch.yaml"] {
            let path = folder.path().join(name);
            std::fs::write(&path, serde_json::to_string_pretty(&table).unwrap()).unwrap();
            shows_none_of(&[KEY], &all_of(begin().file(&path)));
        }
    }
    for (name, text) in [
        ("broken.json", format!("{{ \"default\": {KEY}")),
        ("broken.json", format!("{{ \"{KEY}\": 1, \"{KEY}\": 2 }}")),
        ("broken.yaml", format!("default: &{KEY} [")),
        ("broken.yaml", format!("{KEY}: 1\n{KEY}: 2\n")),
        ("broken.yaml", format!("default: *{KEY}\n")),
        ("broken.yaml", format!("? {KEY}\n: !{KEY} x\n")),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        shows_none_of(&[KEY], &all_of(begin().file(&path)));
    }
}

#[tokio::test]
async fn a_key_in_a_file_of_variables_is_not_repeated() {
    let begin = begin();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.env");
    for key in SHAPES {
        for text in [
            format!("DEEPSEEK_API_KEY={key}"),
            format!("DEEPSEEK_API_KEY='{key} {key}'"),
            format!("DEEPSEEK_API_KEY=\"{key}"),
            format!("export DEEPSEEK_API_KEY={key} # {key}"),
            key.to_owned(),
            format!("{key} = x"),
            format!("{key}=x"),
            format!("MODELSWITCH_PROVIDERS__DEEPSEEK__API_KEY={key}"),
            format!("MODELSWITCH_PROVIDERS__DEEPSEEK__DEFAULT_MODEL={key}"),
            format!("MODELSWITCH_PROFILE={key}"),
            format!("MODELSWITCH_CONFIG={key}"),
            format!("MODELSWITCH_{key}=x"),
            format!("DEEPSEEK_BASE_URL=https://user:{key}@llm.example.com"),
        ] {
            std::fs::write(&path, text).unwrap();
            shows_none_of(&[key], &all_of(begin().toml("[providers.deepseek]").env_file(&path)));
        }
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
            shows_none_of(&[KEY], &all_of(builder));
        }
    }
}

#[tokio::test]
async fn a_key_in_code_is_not_repeated() {
    let begin = begin();
    let over = || begin().toml("[providers.deepseek]\n[providers.made]\nkind = 'parrot'");
    for key in SHAPES {
        let right = || ApiKey::new(KEY).unwrap();
        for builder in [
            over().api_key("deepseek", right()),
            over().api_key("deepsek", right()),
            over().api_key(key, right()),
            over().set("providers.deepseek.api_key", key),
            over().set("providers.deepseek.base_url", format!("https://user:{key}@llm.example.com/v1")),
            over().set("providers.deepseek.headers.x-api-key", key),
            over().set("providers.deepseek.headers.x-team", key),
            over().set("timeout.idle", key),
            over().set(key, 1),
            over().set(&format!("providers.{key}/"), 1),
            over().profile(key),
            over().without_file().profile(key),
            over().file(key),
            over().file(format!("{key}.json")),
            over().env_file(key),
            over().provider(key, MockProvider::reply("hello")),
            over().provider(key, MockProvider::reply("hello")).alias("fast", "x/y"),
            over().factory(key, |_, _| Ok(std::sync::Arc::new(MockProvider::reply("hello")))),
            over().alias(key, "deepseek/x"),
            over().alias("fast", key),
            over().default_model(key),
            begin().environment([("MODELSWITCH_CONFIG".to_owned(), key.to_owned())]),
            over().environment([("MODELSWITCH_PROFILE".to_owned(), key.to_owned())]),
        ] {
            shows_none_of(&[KEY, key], &all_of(builder));
        }
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
            let mut shown = all_of_registry(&registry);
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
