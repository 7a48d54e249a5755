//! Every embedded profile, run through the contract suite: by itself, as DeepSeek's own adapter, and behind the router. The
//! simulator takes after the service of the same name, or is what the profile itself says of its service.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use modelswitch::deepseek::DeepSeek;
use modelswitch::{ApiKey, OpenAiProvider, Profile, Provider, Registry};
use modelswitch_openai::{History, HttpClient};
use modelswitch_sim::contract::{Capabilities, Capability, Contract, Outcome, Report, Upstream};
use modelswitch_sim::{Personality, Service};
use modelswitch_tests::{all_embedded, embedded};

/// Where a service means something else by what the suite's own services say: the profile, the case and why.
const OTHERWISE: &[(&str, &str, &str)] = &[
    ("dashscope", "stream-error-kind", TOKENS),
    ("dashscope", "error-quota", TOKENS),
    ("xai", "request-thinking", "which models think it knows by their names, and the simulator has others"),
];

/// What a profile alone can't do, and who does it.
const ALONE: &[(&str, &str, &str)] = &[(
    "deepseek",
    "request-tool-choice",
    "a tool that is forced while it thinks is seen to by DeepSeek's adapter",
)];

const TOKENS: &str = "`insufficient_quota` is what DashScope calls a limit of tokens a minute";

/// For personalities whose service has no embedded profile: what a user would write of it. Those that are not here are asked
/// as any compatible service is.
const WRITTEN: &[(&str, &str)] =
    &[("siliconflow-cn", "[response]\nrequest_id = ['x-siliconcloud-trace-id']")];

/// Profiles that can't be asked for a chat, and why.
const NO_CHAT: &[(&str, &str)] = &[("perplexity", "its chat completions ended in September 2026")];

/// Profiles that can be run at once.
const AT_ONCE: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn every_embedded_profile_keeps_the_contract() {
    let mut runs = Vec::new();
    for profile in all_embedded() {
        match not_asked(&profile) {
            Some(why) => eprintln!("{} is not run: {why}", profile.name),
            None => runs.push((personality(&profile), profile)),
        }
    }
    let names = runs.len();
    let run = |(personality, profile): (Personality, Profile)| async move {
        let name = profile.name.clone();
        (name, over_profile(profile, personality, "").run().await)
    };
    let reports: Vec<_> = stream::iter(runs).map(run).buffered(AT_ONCE).collect().await;
    eprintln!("{names} profiles");
    check(&reports);
}

/// The page that adds a service, with the file of a made-up one.
const PAGE: &str = include_str!("../crates/modelswitch-openai/src/guide/adding_a_service.md");

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_one_file_and_nothing_else_keeps_the_contract() {
    let begin = PAGE.find("# Acme.").unwrap();
    let file = PAGE.get(begin..).and_then(|rest| rest.split("```").next()).unwrap();
    let acme = Profile::from_toml("acme", file).unwrap();
    assert!(Personality::named("acme").is_none());
    check(&[(
        "acme, by its file alone".to_owned(),
        over_profile(acme.clone(), personality(&acme), "").run().await,
    )]);
}

#[test]
fn a_personality_is_made_of_what_a_profile_says() {
    for name in ["groq", "azure-deployments", "minimax", "perplexity", "gemini", "zai"] {
        let profile = Profile::embedded(name).unwrap();
        assert_eq!(plain(&profile).path(), Personality::named(name).unwrap().path(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_personality_without_a_profile_is_kept_to_by_one_that_a_user_would_write() {
    let run = |name: &'static str| async move {
        if Profile::embedded_names().any(|embedded| embedded == name) {
            return None;
        }
        let written = WRITTEN.iter().find(|(of, _)| *of == name);
        let text =
            written.map_or("[reasoning]\nfields = ['reasoning_content', 'reasoning']", |(_, text)| text);
        let profile = Profile::from_toml(name, text).unwrap();
        // A user who has one deployment writes it into the URL.
        let suffix = if name == "azure-deployments" { "/deployments/sim-small" } else { "" };
        let report = over_profile(profile, Personality::named(name).unwrap(), suffix).run().await;
        Some((format!("{name}, written"), report))
    };
    let reports: Vec<_> = stream::iter(Personality::names()).map(run).buffered(AT_ONCE).collect().await;
    check(&reports.into_iter().flatten().collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deepseek_adapter_keeps_the_contract() {
    let contract = Contract::new(|at: &Upstream| {
        let key = ApiKey::new(&*at.key).unwrap();
        Arc::new(DeepSeek::connect(DeepSeek::builder().base_url(&*at.base_url).api_key(key)).unwrap())
    });
    check(&[("DeepSeek".to_owned(), contract.personality(Personality::DeepSeek).run().await)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_router_keeps_the_contract_for_every_profile_without_its_retry() {
    let run = |name: &'static str| async move {
        let profile = embedded(name);
        let can = capabilities(&profile, personality(&profile)).under(name);
        Some((format!("{name} by the router"), routed(name, 1)?.capabilities(can).run().await))
    };
    let reports: Vec<_> = stream::iter(Profile::embedded_names()).map(run).buffered(AT_ONCE).collect().await;
    check(&reports.into_iter().flatten().collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_router_with_its_retry_keeps_the_contract() {
    for name in ["deepseek", "openai"] {
        let can = Capabilities::of(Personality::named(name).unwrap())
            .under(name)
            .without(Capability::OneTry)
            .with(Capability::Retries);
        let report = routed(name, 2).unwrap().capabilities(can).run().await;
        assert_eq!(report.outcome("error-second-try"), Some(&Outcome::Passed));
        check(&[(format!("{name} by the router, with retry"), report)]);
    }
}

/// The simulated service for a profile: the one of its name, else what the profile says of its service.
fn personality(profile: &Profile) -> Personality {
    Personality::named(&profile.name).unwrap_or_else(|| plain(profile))
}

fn plain(profile: &Profile) -> Personality {
    let url = profile.base_url.as_ref().or(profile.base_url_from.last()).unwrap();
    let path = url.match_indices('/').nth(2).map_or("", |(at, _)| url.get(at..).unwrap_or_default());
    let mut service = Service::plain(&*profile.name, path);
    if profile.auth.header != "authorization" {
        service = service.key_header(&profile.auth.header);
    } else if !profile.auth.required {
        service = service.key_optional();
    }
    if let Some(parameter) = profile.query.keys().next() {
        service = service.query(parameter);
    }
    service = match (profile.reasoning.fields.first(), &profile.reasoning.tags) {
        (Some(field), _) => service.reasoning_field(field),
        (None, Some(_)) => service.reasoning_tags(),
        (None, None) => service,
    };
    if let Some(header) = profile.response.request_id.first() {
        service = service.request_id_in(header);
    }
    if profile.response.lists_models == Some(false) {
        service = service.without_models();
    }
    let rules = &profile.request;
    let renamed = rules.rename.keys();
    let other_limit = match rules.max_tokens.as_deref() {
        Some("max_tokens") => Some("max_completion_tokens"),
        Some(_) => Some("max_tokens"),
        None => None,
    };
    let refused =
        rules.refuse.iter().chain(&rules.drop).chain(renamed).map(String::as_str).chain(other_limit);
    Personality::of(service.refusing(refused))
}

/// Why a profile isn't run.
fn not_asked(profile: &Profile) -> Option<String> {
    let no_chat = NO_CHAT.iter().find(|(name, _)| *name == profile.name).map(|(_, why)| (*why).to_owned());
    profile.gone.clone().or(no_chat)
}

/// What a provider of a profile can do over a service of this personality.
fn capabilities(profile: &Profile, personality: Personality) -> Capabilities {
    let can = Capabilities::of(personality);
    let can = match profile.reasoning.history {
        History::Drop => can.with(Capability::DropsReasoning),
        _ => can,
    };
    match profile.response.lists_models {
        Some(false) => can.without(Capability::ListsModels),
        _ => can,
    }
}

/// A provider of a profile, as it is, at the service's base URL with this behind it.
fn over_profile(profile: Profile, personality: Personality, suffix: &'static str) -> Contract {
    let mut can = capabilities(&profile, personality);
    if !suffix.is_empty() {
        can = can.without(Capability::ModelNames);
    }
    if Profile::embedded(&profile.name).is_none() && Personality::named(&profile.name).is_some() {
        // What a user writes of a service need know nothing of what that refuses.
        can = can.without(Capability::AdaptsRequests);
    }
    let client = HttpClient::new(Duration::from_secs(30)).unwrap();
    let build = move |at: &Upstream| {
        let builder = OpenAiProvider::builder(profile.clone()).http_client(client.clone());
        let builder =
            builder.base_url(format!("{}{suffix}", at.base_url)).api_key(ApiKey::new(&*at.key).unwrap());
        Arc::new(builder.build().unwrap())
    };
    Contract::new(build).personality(personality).capabilities(can)
}

/// A router over one service, with so many attempts. `None` for a service that can't be asked.
fn routed(name: &'static str, attempts: usize) -> Option<Contract> {
    let profile = Profile::embedded(name).filter(|profile| not_asked(profile).is_none())?;
    let personality = personality(&profile);
    let client = HttpClient::new(Duration::from_secs(30)).unwrap();
    let build = move |at: &Upstream| -> Arc<dyn Provider> {
        let text = format!(
            "[providers.{name}]\nbase_url = \"{}/\"\n[retry]\nattempts = {attempts}\nbase_delay = \"1ms\"\nmax_delay = \"2ms\"",
            at.base_url
        );
        let key = ApiKey::new(&*at.key).unwrap();
        let registry = Registry::builder().toml(text).environment([]).api_key(name, key);
        let registry = registry.http_client(client.clone()).build().unwrap();
        registry.router()
    };
    Some(Contract::of_dyn(build).personality(personality).capabilities(capabilities(&profile, personality)))
}

fn check(reports: &[(String, Report)]) {
    let mut wrong = Vec::new();
    for (name, report) in reports {
        eprintln!(
            "{name}: {} passed, {} failed, skipped: {:?}",
            report.passed(),
            report.failures().count(),
            report.skipped().map(|(case, _)| case).collect::<Vec<_>>()
        );
        let profile = name.split(' ').next().unwrap_or_default();
        let alone = if profile == name { ALONE } else { &[] };
        let known = |case: &str| {
            OTHERWISE.iter().chain(alone).any(|(other, known, _)| *other == profile && *known == case)
        };
        wrong.extend(
            report
                .failures()
                .filter(|(case, _)| !known(case))
                .map(|(case, why)| format!("{name}: {case}: {why}")),
        );
        let mended = report.rows().iter().filter(|row| row.outcome == Outcome::Passed && known(row.name));
        wrong.extend(mended.map(|row| format!("{name}: {} passes; take it off the list", row.name)));
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
