//! Every embedded profile, run through the contract suite: by itself, as DeepSeek's own adapter, and behind the router. The
//! simulator takes after the service of the same name.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use modelswitch::deepseek::DeepSeek;
use modelswitch::{ApiKey, OpenAiProvider, Profile, Provider, Registry};
use modelswitch_openai::{History, HttpClient};
use modelswitch_sim::Personality;
use modelswitch_sim::contract::{Capabilities, Capability, Contract, Outcome, Report, Upstream};

/// Where a service means something else by what the suite's own services say: the profile, the case and why.
const OTHERWISE: &[(&str, &str, &str)] =
    &[("dashscope", "stream-error-kind", TOKENS), ("dashscope", "error-quota", TOKENS)];

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
    let mut unknown = Vec::new();
    let mut runs = Vec::new();
    for name in Profile::embedded_names() {
        let profile = Profile::embedded(name).unwrap();
        match (not_asked(&profile), Personality::named(name)) {
            (Some(why), _) => eprintln!("{name} is not run: {why}"),
            (None, Some(personality)) => runs.push((profile, personality)),
            (None, None) => unknown.push(name),
        }
    }
    let names = runs.len();
    let run = |(profile, personality): (Profile, Personality)| async move {
        let name = profile.name.clone();
        (name, over_profile(profile, personality, "").run().await)
    };
    let reports: Vec<_> = stream::iter(runs).map(run).buffered(AT_ONCE).collect().await;
    eprintln!("{names} profiles");
    check(&reports);
    assert!(unknown.is_empty(), "the simulator has no personality for {unknown:?}; add a line to its table");
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
        let can = capabilities(&Profile::embedded(name)?, Personality::named(name)?).under(name);
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
    let client = HttpClient::new(Duration::from_secs(30)).unwrap();
    let build = move |at: &Upstream| {
        let builder = OpenAiProvider::builder(profile.clone()).http_client(client.clone());
        let builder =
            builder.base_url(format!("{}{suffix}", at.base_url)).api_key(ApiKey::new(&*at.key).unwrap());
        Arc::new(builder.build().unwrap())
    };
    Contract::new(build).personality(personality).capabilities(can)
}

/// A router over one service, with so many attempts. `None` for a service that can't be asked or isn't simulated.
fn routed(name: &'static str, attempts: usize) -> Option<Contract> {
    let personality = Personality::named(name)?;
    let profile = Profile::embedded(name).filter(|profile| not_asked(profile).is_none())?;
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
        let known = |case: &str| {
            let profile = name.split(' ').next().unwrap_or_default();
            OTHERWISE.iter().any(|(other, known, _)| *other == profile && *known == case)
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
