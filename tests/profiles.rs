//! The services that are known: where each is asked and how, written down a second time; the README's table of them; and the
//! page that adds one.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails loudly")]

use std::fs;
use std::path::Path;

use modelswitch::provider::{Endpoint, Payload, Request};
use modelswitch::{ApiKey, ErrorKind, OpenAiProvider, Profile, Provider, ProviderExt, Registry};
use modelswitch_sim::{Personality, Script, Sim};
use modelswitch_tests::{all_embedded, embedded};
use serde_json::json;

/// How a key is sent, by its header and the word before it.
const BEARER: (&str, &str) = ("authorization", "Bearer sk-0123");
const API_KEY: (&str, &str) = ("api-key", "sk-0123");
const X_API_KEY: (&str, &str) = ("x-api-key", "sk-0123");

/// The variables that tell where Azure's resource is.
const VARIABLES: [(&str, &str); 2] = [
    ("AZURE_OPENAI_ENDPOINT", "https://mine.openai.azure.com/"),
    ("OPENAI_API_VERSION", "2025-04-01-preview"),
];

/// A header and its value.
type Credential = (&'static str, &'static str);

/// For each service: what is asked for a chat with the model `m/1`, for the list of models where there is one, and with which
/// credential each.
#[rustfmt::skip]
const WHERE: &[(&str, &str, Credential, &str, Credential)] = &[
    ("deepseek", "https://api.deepseek.com/chat/completions", BEARER, "https://api.deepseek.com/models", BEARER),
    ("openai", "https://api.openai.com/v1/chat/completions", BEARER, "https://api.openai.com/v1/models", BEARER),
    ("azure", "https://mine.openai.azure.com/openai/v1/chat/completions", API_KEY, "", API_KEY),
    ("azure-deployments", "https://mine.openai.azure.com/openai/deployments/m%2F1/chat/completions?api-version=2025-04-01-preview", API_KEY, "", API_KEY),
    ("anthropic", "https://api.anthropic.com/v1/chat/completions", BEARER, "https://api.anthropic.com/v1/models", X_API_KEY),
    ("gemini", "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions", BEARER, "https://generativelanguage.googleapis.com/v1beta/openai/models", BEARER),
    ("openrouter", "https://openrouter.ai/api/v1/chat/completions", BEARER, "https://openrouter.ai/api/v1/models", BEARER),
    ("groq", "https://api.groq.com/openai/v1/chat/completions", BEARER, "https://api.groq.com/openai/v1/models", BEARER),
    ("mistral", "https://api.mistral.ai/v1/chat/completions", BEARER, "https://api.mistral.ai/v1/models", BEARER),
    ("xai", "https://api.x.ai/v1/chat/completions", BEARER, "https://api.x.ai/v1/models", BEARER),
    ("moonshot", "https://api.moonshot.ai/v1/chat/completions", BEARER, "https://api.moonshot.ai/v1/models", BEARER),
    ("dashscope", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1/chat/completions", BEARER, "https://dashscope-intl.aliyuncs.com/compatible-mode/v1/models", BEARER),
    ("zai", "https://api.z.ai/api/paas/v4/chat/completions", BEARER, "https://api.z.ai/api/paas/v4/models", BEARER),
    ("zhipu", "https://open.bigmodel.cn/api/paas/v4/chat/completions", BEARER, "https://open.bigmodel.cn/api/paas/v4/models", BEARER),
    ("minimax", "https://api.minimax.io/v1/chat/completions", BEARER, "https://api.minimax.io/v1/models", BEARER),
    ("siliconflow", "https://api.siliconflow.com/v1/chat/completions", BEARER, "https://api.siliconflow.com/v1/models", BEARER),
    ("volcengine", "https://ark.cn-beijing.volces.com/api/v3/chat/completions", BEARER, "https://ark.cn-beijing.volces.com/api/v3/models", BEARER),
    ("together", "https://api.together.xyz/v1/chat/completions", BEARER, "https://api.together.xyz/v1/models", BEARER),
    ("fireworks", "https://api.fireworks.ai/inference/v1/chat/completions", BEARER, "https://api.fireworks.ai/inference/v1/models", BEARER),
    ("cerebras", "https://api.cerebras.ai/v1/chat/completions", BEARER, "https://api.cerebras.ai/v1/models", BEARER),
    ("nvidia", "https://integrate.api.nvidia.com/v1/chat/completions", BEARER, "https://integrate.api.nvidia.com/v1/models", BEARER),
    ("huggingface", "https://router.huggingface.co/v1/chat/completions", BEARER, "https://router.huggingface.co/v1/models", BEARER),
    ("perplexity", "", BEARER, "https://api.perplexity.ai/v1/models", BEARER),
    ("llamacpp", "http://127.0.0.1:8080/v1/chat/completions", BEARER, "http://127.0.0.1:8080/v1/models", BEARER),
    ("ollama", "http://127.0.0.1:11434/v1/chat/completions", BEARER, "http://127.0.0.1:11434/v1/models", BEARER),
    ("vllm", "http://127.0.0.1:8000/v1/chat/completions", BEARER, "http://127.0.0.1:8000/v1/models", BEARER),
    ("lmstudio", "http://127.0.0.1:1234/v1/chat/completions", BEARER, "http://127.0.0.1:1234/v1/models", BEARER),
    ("litellm", "http://127.0.0.1:4000/v1/chat/completions", BEARER, "http://127.0.0.1:4000/v1/models", BEARER),
];

fn variable(name: &str) -> Option<String> {
    VARIABLES.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
}

/// A service's base URL, in two: the origin, and the path.
fn origin_and_path(profile: &Profile) -> (String, String) {
    let url = profile.base_url.clone().or_else(|| profile.base_url_in(variable).map(|(_, url)| url)).unwrap();
    let path = url.match_indices('/').nth(2).map_or(url.len(), |(at, _)| at);
    (url[..path].to_owned(), url[path..].to_owned())
}

fn chat() -> Request {
    Request::chat(&json!({ "model": "m/1", "messages": [{ "role": "user", "content": "?" }] })).unwrap()
}

/// What arrives at a service of a request: its whole URL, as if it had been sent to the service itself, and its credential.
async fn arrives(sim: &Sim, profile: &Profile, request: Request) -> Option<(String, String)> {
    let (origin, path) = origin_and_path(profile);
    let here = format!("http://{}{path}", sim.address());
    let profile = profile.clone().with_variables(variable);
    let key = ApiKey::new("sk-0123").unwrap();
    let provider = OpenAiProvider::builder(profile).base_url(here).api_key(key).build().unwrap();
    sim.clear_requests();
    // What it answers is of no account here.
    let _ = provider.send(request).await;
    let request = sim.requests().into_iter().next()?;
    let known = ["authorization", "api-key", "x-api-key"];
    let sent = known.into_iter().filter_map(|name| Some(format!("{name}: {}", request.header(name)?)));
    Some((format!("{origin}{}", request.path), sent.collect::<Vec<_>>().join(", ")))
}

#[tokio::test]
async fn every_service_is_asked_at_its_url_with_its_kind_of_key() {
    let sim = Sim::builder().personality(Personality::OpenAi).any_key(true).start().await.unwrap();
    for (name, chat_url, chat_key, models_url, models_key) in WHERE {
        let profile = Profile::embedded(name).unwrap();
        let expected = |url: &str, (header, value): (&str, &str)| {
            (!url.is_empty()).then(|| (url.to_owned(), format!("{header}: {value}")))
        };
        assert_eq!(arrives(&sim, &profile, chat()).await, expected(chat_url, *chat_key), "{name}");
        assert_eq!(
            arrives(&sim, &profile, Request::models()).await,
            expected(models_url, *models_key),
            "{name}"
        );
    }
}

/// Whoever adds a service need not look its URL up twice; nobody takes one off the table.
#[test]
fn the_table_of_urls_is_of_embedded_services_and_goes_back_on_none() {
    let names: Vec<&str> = Profile::embedded_names().collect();
    assert!(WHERE.iter().all(|row| names.contains(&row.0)) && WHERE.len() >= 28);
}

#[tokio::test]
async fn a_deployment_that_would_lead_to_another_path_is_refused() {
    let sim = Sim::start().await.unwrap();
    let azure = Profile::embedded("azure-deployments").unwrap();
    for (model, arrived) in [
        ("..", None),
        (
            "../../secret",
            Some("/openai/deployments/..%2F..%2Fsecret/chat/completions?api-version=2025-04-01-preview"),
        ),
        (
            "a?b#c {endpoint}",
            Some(
                "/openai/deployments/a%3Fb%23c%20%7Bendpoint%7D/chat/completions?api-version=2025-04-01-preview",
            ),
        ),
    ] {
        let request = Request::chat(&json!({ "model": model, "messages": [] })).unwrap();
        let found = arrives(&sim, &azure, request).await;
        let path = found.as_ref().map(|(url, _)| url.trim_start_matches("https://mine.openai.azure.com"));
        assert_eq!(path, arrived, "{model}");
    }
}

#[tokio::test]
async fn perplexitys_chat_is_refused_with_what_to_use_instead_and_its_responses_are_asked() {
    let sim = Sim::builder().personality(Personality::OpenAi).any_key(true).start().await.unwrap();
    let perplexity = Profile::embedded("perplexity").unwrap();
    assert_eq!(arrives(&sim, &perplexity, chat()).await, None);
    let body = modelswitch::provider::Document::from_serialize(
        &json!({ "model": "perplexity/sonar", "input": "?" }),
    );
    let request = Request::new(Endpoint::RESPONSES, Payload::Json(body.unwrap()));
    let (url, _) = arrives(&sim, &perplexity, request).await.unwrap();
    assert_eq!(url, "https://api.perplexity.ai/v1/responses");
    let key = [("PERPLEXITY_API_KEY".to_owned(), "sk-0123".to_owned())];
    let registry = Registry::builder().without_file().environment(key).build().unwrap();
    let error = registry.provider("perplexity").unwrap().ask("?").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.hint().contains("/responses"), "{}", error.hint());
}

#[tokio::test]
async fn a_service_without_chat_is_checked_by_its_responses() {
    let sim = Sim::builder().personality(Personality::OpenAi).any_key(true).start().await.unwrap();
    let said = json!({ "type": "message", "content": [{ "type": "output_text", "text": "ok" }] });
    let answer = json!({ "id": "r", "object": "response", "output": [said] });
    sim.script_path("/responses", Script::status(200).json(answer));
    let text = format!("[providers.perplexity]\nbase_url = '{}'", sim.base_url());
    let key = [("PERPLEXITY_API_KEY".to_owned(), "sk-0123".to_owned())];
    let registry = Registry::builder().toml(text).environment(key).build().unwrap();
    let report = registry.check_provider("perplexity").await.unwrap();
    assert!(report.passed(), "{report:?}");
    assert_eq!(sim.requests().last().unwrap().json()["model"], "perplexity/sonar");
}

#[test]
fn each_service_says_where_its_facts_come_from_and_of_which_day_they_are() {
    let is_day = |word: &str| {
        let parts: Vec<&str> = word.trim_matches(|c: char| !c.is_ascii_digit()).split('-').collect();
        parts.iter().map(|part| part.len()).eq([4, 2, 2])
            && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    // That one stands for no service.
    for name in Profile::embedded_names().filter(|name| *name != "openai-compatible") {
        let text = Profile::embedded_toml(name).unwrap();
        let head: String = text.lines().take_while(|line| line.starts_with('#')).collect();
        assert!(head.split_whitespace().any(is_day), "{name} names no day");
        assert!(head.contains("https://") || head.contains("other clients"), "{name} names no source");
    }
}

#[test]
fn a_service_that_is_gone_says_what_to_use_instead() {
    let token = || [("GITHUB_TOKEN".to_owned(), "sk-0123".to_owned())];
    let error =
        Registry::builder().toml("[providers.github-models]").environment(token()).build().unwrap_err();
    assert!(error.to_string().contains("GitHub Models can't be asked any more"), "{error}");
    assert!(error.report().contains("`azure`"), "{}", error.report());
    // The token is on many machines for other reasons.
    let error = Registry::builder().without_file().environment(token()).build().unwrap_err();
    assert!(error.message().contains("no provider is configured"), "{error}");
}

/// The names of the providers that these variables bring, without any file.
fn brought_by(variables: &[(&str, &str)]) -> Vec<String> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let registry = Registry::builder().without_file().environment(variables).build().unwrap();
    registry.providers().into_iter().map(|provider| provider.name).collect()
}

#[test]
fn a_key_brings_the_one_service_that_it_is_for() {
    for (variables, expected) in [
        (&[("KIMI_API_KEY", "k")][..], &["moonshot"][..]),
        (&[("GEMINI_API_KEY", "k"), ("GOOGLE_API_KEY", "k")], &["gemini"]),
        (&[("ZAI_API_KEY", "k"), ("ZHIPUAI_API_KEY", "k")], &["zai", "zhipu"]),
        // Set on many machines for something else, or of no use without a place.
        (
            &[
                ("MISTRAL_API_KEY", "k"),
                ("HF_TOKEN", "k"),
                ("GITHUB_TOKEN", "k"),
                ("GOOGLE_API_KEY", "k"),
                ("ALIYUN_API_KEY", "k"),
                ("OLLAMA_API_KEY", "k"),
                ("AZURE_API_KEY", "k"),
                ("AZURE_OPENAI_API_KEY", "k"),
            ],
            &["mistral"],
        ),
        (&[("AZURE_OPENAI_API_KEY", "k"), ("AZURE_RESOURCE_NAME", "mine")], &["azure"]),
    ] {
        assert_eq!(brought_by(variables), expected, "{variables:?}");
    }
}

#[test]
fn with_the_keys_of_all_services_there_deepseek_is_the_default_and_a_name_of_two_is_an_error() {
    let found_by = Profile::embedded_names().filter_map(|name| {
        let variable = embedded(name).found_by().first()?.clone();
        Some((variable, "sk-0123".to_owned()))
    });
    let azure = [("AZURE_RESOURCE_NAME".to_owned(), "mine".to_owned())];
    let registry = Registry::builder().without_file().environment(found_by.chain(azure)).build().unwrap();
    assert!(registry.warnings().is_empty(), "{:?}", registry.warnings());
    assert!(registry.providers().len() > 20);
    assert_eq!(registry.default_model().as_deref(), Some("deepseek/deepseek-flash"));
    for (name, owner) in [("gpt-4o", "openai"), ("mistral-small-latest", "mistral"), ("kimi-k3", "moonshot")]
    {
        assert_eq!(registry.model(name).unwrap().name(), owner);
    }
    let error = registry.model("glm-5.3").unwrap_err();
    assert!(error.message().contains("zai/glm-5.3, zhipu/glm-5.3"), "{error}");
}

#[test]
fn only_what_is_in_two_profiles_on_purpose_is_owned_by_two() {
    let mut seen = std::collections::BTreeMap::new();
    for profile in all_embedded() {
        for model in &profile.models {
            if let Some(other) = seen.insert(model.clone(), profile.name.clone()) {
                assert_eq!((other.as_str(), profile.name.as_str()), ("zai", "zhipu"), "{model}");
            }
        }
    }
}

#[tokio::test]
async fn entra_id_is_a_matter_of_configuration() {
    let sim = Sim::builder().personality(Personality::OpenAi).any_key(true).start().await.unwrap();
    let text = format!(
        "[providers.azure]\nbase_url = '{}'\nauth = {{ header = 'authorization', scheme = 'Bearer' }}\n\
         api_key = {{ command = ['echo', 'a-token'], ttl = '30m' }}",
        sim.base_url()
    );
    let registry = Registry::builder().toml(text).environment([]).build().unwrap();
    registry.model("azure/sim-small").unwrap().ask("?").await.unwrap();
    let request = sim.requests().into_iter().next().unwrap();
    assert_eq!((request.header("authorization"), request.header("api-key")), (Some("Bearer a-token"), None));
}

#[tokio::test]
async fn openais_organisation_goes_to_openai_and_to_nobody_else() {
    let sim = Sim::builder().personality(Personality::OpenAi).any_key(true).start().await.unwrap();
    let text =
        format!("[providers.openai]\nbase_url = '{0}'\n[providers.vllm]\nbase_url = '{0}'", sim.base_url());
    let variables = [
        ("VLLM_API_KEY", "sk-4567"),
        ("OPENAI_API_KEY", "sk-0123"),
        ("OPENAI_ORG_ID", "org-1"),
        ("OPENAI_PROJECT_ID", "proj-1"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let registry = Registry::builder().toml(text).environment(variables).build().unwrap();
    for (model, organisation, project) in
        [("openai/sim-small", Some("org-1"), Some("proj-1")), ("vllm/sim-small", None, None)]
    {
        sim.clear_requests();
        registry.model(model).unwrap().ask("?").await.unwrap();
        let request = sim.requests().into_iter().next().unwrap();
        let found = (request.header("openai-organization"), request.header("openai-project"));
        assert_eq!(found, (organisation, project), "{model}");
    }
}

#[tokio::test]
async fn the_models_of_a_service_without_a_list_are_told_by_configuration_and_never_as_listed() {
    let text = "[providers.azure]\nbase_url = 'http://127.0.0.1:1/openai/v1'\nmodels = ['my-gpt']";
    let key = [("AZURE_OPENAI_API_KEY".to_owned(), "sk-0123".to_owned())];
    let registry = Registry::builder().toml(text).environment(key).build().unwrap();
    let found = registry.catalogue().provider("azure").await.unwrap();
    assert!(found.error.is_none(), "{:?}", found.error);
    assert_eq!(found.models.iter().map(|model| model.id.as_str()).collect::<Vec<_>>(), ["my-gpt"]);
    assert!(!found.models[0].is_listed());
    let report = registry.check_provider("azure").await.unwrap();
    assert!(!report.passed(), "nobody listens there: {report:?}");
}

#[test]
fn the_same_text_wants_a_key_by_itself_and_in_a_configuration_alike() {
    for text in [
        "",
        "key_env = ['MINE_API_KEY']",
        "key_env = ['MINE_API_KEY']\nauth.required = false",
        "auth.required = true",
    ] {
        let alone = Profile::from_toml("mine", text).unwrap();
        let file = format!("[profiles.mine]\n{text}\n[providers.mine]\nbase_url = 'http://127.0.0.1:1'");
        let registry = Registry::builder().toml(file).environment([]).build().unwrap();
        assert_eq!(registry.providers()[0].key.required, alone.auth.required, "{text}: {registry:?}");
    }
}

// The page that adds a service.

const PAGE: &str = include_str!("../crates/modelswitch-openai/src/guide/adding_a_service.md");

/// The page's block that begins like this.
fn block(begin: &str) -> &'static str {
    let at = PAGE.find(begin).unwrap();
    PAGE[at..].split("```").next().unwrap()
}

/// The made-up service's answers, as the page describes them.
async fn acme() -> Sim {
    let sim = Sim::builder().personality(Personality::OpenAi).any_key(true).start().await.unwrap();
    let message = json!({ "role": "assistant", "content": "9.8", "reasoning": "9.80 is more than 9.11" });
    let choice = json!({ "index": 0, "finish_reason": "stop", "message": message });
    sim.script(Script::status(200).json(json!({ "model": "acme-large", "choices": [choice] })));
    sim.script(Script::status(400).json(json!({ "error": { "message": "Your wallet is empty." } })));
    sim
}

async fn is_asked_as_the_page_says(llm: &dyn Provider, sim: &Sim) {
    let body = json!({
        "model": "acme-large",
        "max_completion_tokens": 100,
        "messages": [
            { "role": "developer", "content": "Be short." },
            { "role": "user", "content": "9.11 or 9.8?" },
            { "role": "assistant", "content": "9.11", "reasoning_content": "hm" },
            { "role": "user", "content": "Sure?" },
        ],
    });
    let chat = || Request::chat(&body).unwrap();
    let (_, answer) = llm.send(chat()).await.unwrap().into_json().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["choices"][0]["message"]["reasoning_content"], "9.80 is more than 9.11");
    let sent = sim.requests()[0].json();
    assert_eq!((&sent["max_tokens"], &sent["messages"][0]["role"]), (&json!(100), &json!("system")));
    assert_eq!((&sent["messages"][2]["reasoning"], sent.get("max_completion_tokens")), (&json!("hm"), None));
    let error = llm.send(chat()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InsufficientBalance, "{error}");
}

#[tokio::test]
async fn the_made_up_service_is_added_by_configuration_alone() {
    let sim = acme().await;
    let text = block("# modelswitch.toml").replace("https://api.acme.example/v1", sim.base_url());
    let key = [("ACME_API_KEY".to_owned(), "sk-0123".to_owned())];
    let registry = Registry::builder().toml(text).environment(key).build().unwrap();
    assert_eq!(registry.default_model().as_deref(), Some("acme/acme-large"));
    is_asked_as_the_page_says(&registry.model("acme-large").unwrap(), &sim).await;
}

#[tokio::test]
async fn the_made_up_services_file_describes_it_whole() {
    let sim = acme().await;
    let profile = Profile::from_toml("acme", block("# Acme.")).unwrap();
    let builder = OpenAiProvider::builder(profile).base_url(sim.base_url());
    let provider = builder.api_key(ApiKey::new("sk-0123").unwrap()).build().unwrap();
    is_asked_as_the_page_says(&provider, &sim).await;
    let hint = provider.profile().hints.values().find(|hint| hint.contains("wallet"));
    assert!(hint.is_some());
}

// The README's table.

const BEGIN: &str = "<!-- begin: written by tests/profiles.rs -->\n";
const END: &str = "<!-- end -->";

fn table() -> String {
    let mut table = String::from(
        "| name | service | key | base URL | reasoning | to know |\n|---|---|---|---|---|---|\n",
    );
    for profile in all_embedded() {
        let cells = [
            format!("`{}`", profile.name),
            profile.title.clone(),
            keys(&profile),
            url(&profile),
            thought(&profile),
            notes(&profile),
        ];
        table.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    table
}

fn keys(profile: &Profile) -> String {
    let key = |variable: &String| match profile.found_by().contains(variable) || !profile.auth.required {
        true => format!("`{variable}`"),
        false => format!("`{variable}` ¹"),
    };
    let keys: Vec<String> = profile.key_env.iter().map(key).collect();
    match (profile.auth.required, keys.is_empty()) {
        (true, _) => keys.join(", "),
        (false, true) => "none".to_owned(),
        (false, false) => format!("{}, or none", keys.join(", ")),
    }
}

fn url(profile: &Profile) -> String {
    let templates = profile.base_url.iter().chain(&profile.base_url_from);
    let urls: Vec<String> = templates.map(|url| format!("`{url}`")).collect();
    if urls.is_empty() { "yours".to_owned() } else { urls.join(" or ") }
}

fn thought(profile: &Profile) -> String {
    let fields = profile.reasoning.fields.iter().map(|field| format!("`{field}`"));
    let tags = profile.reasoning.tags.iter().map(|(begin, _)| format!("`{begin}`"));
    let places: Vec<String> = fields.chain(tags).collect();
    if places.is_empty() { "–".to_owned() } else { places.join(", ") }
}

fn notes(profile: &Profile) -> String {
    let note = profile.note.iter().cloned();
    let regions = profile.regions.iter().map(|(name, url)| format!("{name}: `{url}`"));
    let unlisted = (profile.response.lists_models == Some(false)).then(|| "no list of models".to_owned());
    note.chain(regions).chain(unlisted).collect::<Vec<_>>().join("; ")
}

#[test]
fn the_readmes_table_of_services_is_what_the_profiles_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    if std::env::var_os("MODELSWITCH_WRITE").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{}{END}{after}", table())).unwrap();
    } else {
        assert_eq!(
            written,
            table(),
            "write it anew: MODELSWITCH_WRITE=1 cargo test -p modelswitch-tests --test profiles"
        );
    }
}
