//! Layers by configuration: limits, breakers, retries, time limits, caches, budgets and the ledger, over simulated services.

use std::time::Duration;

use modelswitch_layers::{By, CacheStatus, CallCost, Query, StickyKey, Tag};
use modelswitch_provider::{ApiKey, Body, ChatRequest, ErrorKind, Provider, ProviderExt, Request, Response};
use modelswitch_registry::{
    ATTEMPTS_HEADER, CACHE_HEADER, FALLBACK_HEADER, Registry, RegistryBuilder, TAG_HEADER, TIMEOUT_HEADER,
};
use modelswitch_sim::{Script, Sim};

use crate::support::*;

/// A registry over services with DeepSeek's profile, called `a`, `b` …, each tried once unless `lines` say otherwise.
fn registry(sims: &[&Sim], lines: &str) -> Registry {
    builder(sims, lines).build().unwrap()
}

fn builder(sims: &[&Sim], lines: &str) -> RegistryBuilder {
    let builder = text(&toml(sims, lines));
    with_keys(builder, sims)
}

fn toml(sims: &[&Sim], lines: &str) -> String {
    let sections = sims.iter().zip(["a", "b", "c"]).map(|(sim, name)| {
        format!("[providers.{name}]\nprofile = 'deepseek'\nbase_url = '{}'\n", sim.base_url())
    });
    // The settings at the top come first, and `lines` may go on with sections of their own.
    format!("{}{lines}\n", sections.collect::<String>())
}

fn with_keys(builder: RegistryBuilder, sims: &[&Sim]) -> RegistryBuilder {
    let named = sims.iter().zip(["a", "b", "c"]);
    named.fold(builder, |builder, (sim, name)| builder.api_key(name, ApiKey::new(sim.key()).unwrap()))
}

async fn sim() -> Sim {
    Sim::start().await.unwrap()
}

fn question(model: &str) -> ChatRequest {
    ChatRequest::user("9.11 or 9.8?").model(model).max_tokens(100)
}

fn tagged(model: &str, tag: &str) -> Request {
    let mut request = question(model).into_request().unwrap();
    request.extensions.insert(Tag(tag.into()));
    request
}

async fn ask(registry: &Registry, model: &str) -> Result<String, (ErrorKind, Option<String>)> {
    match registry.router().chat(question(model)).await {
        Ok(reply) => Ok(reply.head.provider.as_deref().unwrap_or_default().to_owned()),
        Err(error) => Err((error.kind(), error.code().map(str::to_owned))),
    }
}

fn rejected(code: &str) -> Result<String, (ErrorKind, Option<String>)> {
    Err((ErrorKind::Rejected, Some(code.to_owned())))
}

#[tokio::test]
async fn a_provider_gets_no_more_requests_a_minute_than_its_section_or_the_top_says() {
    let (a, b) = (sim().await, sim().await);
    let lines =
        "[limits]\nrequests_per_minute = 2\nwait = '0s'\n[providers.b.limits]\nrequests_per_minute = 1";
    let registry = registry(&[&a, &b], lines);
    for (model, most) in [("a/deepseek-flash", 2), ("b/deepseek-flash", 1)] {
        for _ in 0..most {
            assert!(ask(&registry, model).await.is_ok());
        }
        assert_eq!(ask(&registry, model).await, rejected("rate_limit"));
    }
    assert_eq!((a.requests().len(), b.requests().len()), (2, 1));
}

#[tokio::test]
async fn what_a_provider_has_no_room_for_the_next_target_of_an_alias_answers() {
    let (a, b) = (sim().await, sim().await);
    let lines = "limits = { concurrent = 1, wait = '0s' }\n[models]\nsmart = ['a/deepseek-flash', 'b/deepseek-flash']";
    let lines = format!("[providers.a]\nprofile = 'deepseek'\nbase_url = '{}'\n{lines}", a.base_url());
    let b_section = format!("[providers.b]\nprofile = 'deepseek'\nbase_url = '{}'\n", b.base_url());
    let registry = with_keys(text(&format!("{b_section}{lines}")), &[&a, &b]).build().unwrap();
    let running = registry.router().chat_stream(question("smart")).await.unwrap();
    assert_eq!(running.head().provider.as_deref(), Some("a"));
    assert_eq!(ask(&registry, "a/deepseek-flash").await, rejected("concurrency_limit"));
    assert_eq!(ask(&registry, "smart").await.as_deref(), Ok("b"));
    drop(running);
    assert_eq!(ask(&registry, "smart").await.as_deref(), Ok("a"));
}

#[tokio::test]
async fn tokens_a_minute_are_limited_too() {
    let a = sim().await;
    let registry = registry(&[&a], "[limits]\ntokens_per_minute = 150\nwait = '0s'");
    assert!(ask(&registry, "a/deepseek-flash").await.is_ok());
    let mut refused = None;
    for _ in 0..10 {
        refused = refused.or(ask(&registry, "a/deepseek-flash").await.err());
    }
    assert_eq!(refused, rejected("rate_limit").err());
}

#[tokio::test]
async fn an_alias_has_limits_of_its_own_beside_those_of_its_providers() {
    let a = sim().await;
    let lines =
        "[models.few]\ntarget = 'a/deepseek-flash'\nlimits = { requests_per_minute = 1, wait = '0s' }";
    let registry = registry(&[&a], lines);
    assert!(ask(&registry, "few").await.is_ok());
    assert_eq!(ask(&registry, "few").await, rejected("rate_limit"));
    assert!(ask(&registry, "a/deepseek-flash").await.is_ok());
}

const BREAKER: &str = "[retry]\nattempts = 1\n[breaker]\nminimum_calls = 2\nrest = '10m'\nmax_rest = '10m'";

#[tokio::test]
async fn a_target_that_keeps_failing_is_left_alone_and_other_models_of_its_provider_are_not() {
    let a = sim().await;
    let registry = registry(&[&a], BREAKER);
    a.script(Script::status(500).times(2));
    for _ in 0..2 {
        assert_eq!(ask(&registry, "a/deepseek-flash").await.unwrap_err().0, ErrorKind::Upstream);
    }
    assert_eq!(ask(&registry, "a/deepseek-flash").await, rejected("breaker_open"));
    assert_eq!(a.requests().len(), 2);
    assert!(ask(&registry, "a/deepseek-v4-pro").await.is_ok());
}

#[tokio::test]
async fn a_section_that_is_false_switches_the_common_one_off() {
    let a = sim().await;
    let registry = registry(&[&a], &format!("breaker = false\n{BREAKER}"));
    a.script(Script::status(500).times(6));
    for _ in 0..6 {
        assert_eq!(ask(&registry, "a/deepseek-flash").await.unwrap_err().0, ErrorKind::Upstream);
    }
}

#[tokio::test]
async fn an_alias_asks_its_targets_as_often_and_as_long_as_it_says_itself() {
    let a = sim().await;
    let lines = "[retry]\nbase_delay = '1ms'\nattempts = 2\n[models.once]\ntarget = 'a/deepseek-flash'\nretry.attempts = 1\n\
                 [models.thrice]\ntarget = 'once'\nretry.attempts = 3\n[models.soon]\ntarget = 'once'\ntimeout.first_byte = '50ms'";
    let registry = registry(&[&a], lines);
    for (model, tries) in [("a/deepseek-flash", 2), ("once", 1), ("thrice", 3)] {
        a.clear_requests();
        a.script(Script::status(503).times(10));
        assert_eq!(ask(&registry, model).await.unwrap_err().0, ErrorKind::Overloaded);
        assert_eq!(a.requests().len(), tries, "{model}");
        a.clear_scripts();
    }
    a.script(Script::normal().delay(Duration::from_secs(600)));
    assert_eq!(ask(&registry, "soon").await.unwrap_err().0, ErrorKind::Timeout);
}

#[tokio::test]
async fn the_whole_of_a_call_has_a_limit_with_all_its_tries_and_targets() {
    let (a, b) = (sim().await, sim().await);
    let lines = "[timeout]\ntotal = '300ms'\n[models]\nsmart = ['a/deepseek-flash', 'b/deepseek-flash']\n\
                 [models.own]\ntargets = ['a/deepseek-flash', 'b/deepseek-flash']\ntimeout.total = '10m'";
    let registry = registry(&[&a, &b], lines);
    for model in ["smart", "a/deepseek-flash"] {
        a.script(Script::normal().delay(Duration::from_secs(600)));
        assert_eq!(ask(&registry, model).await.unwrap_err().0, ErrorKind::Timeout);
    }
    assert!(b.requests().is_empty(), "no time was left for it");
    a.script(Script::normal().delay(Duration::from_millis(400)));
    assert_eq!(ask(&registry, "own").await.as_deref(), Ok("a"));
}

#[tokio::test]
async fn a_provider_that_takes_too_long_in_all_leaves_the_rest_to_the_next_target() {
    let (a, b) = (sim().await, sim().await);
    let lines =
        "[providers.a.timeout]\ntotal = '100ms'\n[models]\nsmart = ['a/deepseek-flash', 'b/deepseek-flash']";
    let registry = registry(&[&a, &b], lines);
    a.script(Script::normal().delay(Duration::from_secs(600)));
    assert_eq!(ask(&registry, "smart").await.as_deref(), Ok("b"));
}

async fn sent(registry: &Registry, request: Request) -> Response {
    registry.router().send(request).await.unwrap()
}

fn status(response: &Response) -> String {
    response.head.extensions.get::<CacheStatus>().map_or_else(|| "none".to_owned(), ToString::to_string)
}

#[tokio::test]
async fn a_question_that_was_asked_before_is_answered_without_asking_anybody() {
    let (a, b) = (sim().await, sim().await);
    let lines = "[cache]\n[models]\nsmart = ['a/deepseek-flash', 'b/deepseek-flash']\nother = ['b/deepseek-flash', 'a/deepseek-flash']\n\
                 fresh = { targets = ['a/deepseek-flash'], cache = false }";
    let registry = registry(&[&a, &b], lines);
    let asked = |model: &'static str| {
        let registry = registry.clone();
        async move { status(&sent(&registry, question(model).into_request().unwrap()).await) }
    };
    assert_eq!((asked("smart").await, asked("smart").await), ("miss".into(), "hit".into()));
    assert_eq!(
        (asked("a/deepseek-flash").await, asked("a/deepseek-flash").await),
        ("miss".into(), "hit".into())
    );
    assert_eq!((a.requests().len(), b.requests().len()), (2, 0));
    // What another alias means is another question.
    assert_eq!(asked("other").await, "miss");
    assert_eq!(b.requests().len(), 1);
    assert_eq!((asked("fresh").await, asked("fresh").await), ("none".into(), "none".into()));
}

#[tokio::test]
async fn a_providers_own_word_on_caches_counts_in_place_of_the_tops() {
    for (own, second) in [("cache = false", "none"), ("cache = { time_to_live = '1m' }", "hit")] {
        let (a, b) = (sim().await, sim().await);
        // The last provider's section goes on.
        let lines = format!("{own}\n[cache]\n[models]\nsmart = ['b/deepseek-flash', 'a/deepseek-flash']");
        let registry = registry(&[&a, &b], &lines);
        for model in ["b/deepseek-flash", "smart"] {
            let asked = async || status(&sent(&registry, question(model).into_request().unwrap()).await);
            asked().await;
            assert_eq!(asked().await, second, "{own} {model}");
        }
        let explained = registry.explain("b/deepseek-flash").unwrap();
        assert!(explained.call.iter().all(|layer| layer.name != "cache"), "{own}");
    }
}

#[tokio::test]
async fn the_temperature_that_an_alias_sets_decides_what_its_cache_keeps() {
    let a = sim().await;
    let lines = "[cache]\nmax_temperature = 0\n[models]\n\
                 cold = { targets = ['a/deepseek-flash', 'a/deepseek-v4-pro'], overrides = { temperature = 0 } }\n\
                 warm = { targets = ['a/deepseek-flash', 'a/deepseek-v4-pro'], overrides = { temperature = 1.9 } }";
    let registry = registry(&[&a], lines);
    let asked = async |model: &str| {
        let question = question(model).temperature(if model == "warm" { 0.0 } else { 1.0 });
        status(&sent(&registry, question.into_request().unwrap()).await)
    };
    assert_eq!((asked("cold").await, asked("cold").await), ("miss".into(), "hit".into()));
    assert_eq!((asked("warm").await, asked("warm").await), ("bypass".into(), "bypass".into()));
}

#[tokio::test]
async fn what_is_spent_is_limited_for_all_for_a_provider_for_an_alias_and_for_a_tag() {
    let a = sim().await;
    for (lines, model) in [
        ("[budget]\nday = '0.0005 USD'", "a/deepseek-flash"),
        ("[providers.a.budget]\nhour = '0.0005 USD'", "a/deepseek-flash"),
        ("[models.fast]\ntarget = 'a/deepseek-flash'\nbudget = { month = '0.0005 USD' }", "fast"),
        ("[budget]\nday = '0.0005 USD'\neach = 'tag'", "a/deepseek-flash"),
    ] {
        let registry = registry(&[&a], lines);
        let mut refused = None;
        for _ in 0..200 {
            refused = refused.or(registry.router().send(tagged(model, "one")).await.err());
        }
        let refused = refused.unwrap_or_else(|| panic!("{lines}"));
        assert_eq!(
            (refused.kind(), refused.code()),
            (ErrorKind::Rejected, Some("budget_exceeded")),
            "{lines}"
        );
        let other_tag = registry.router().send(tagged(model, "two")).await;
        assert_eq!(other_tag.is_ok(), lines.contains("each"), "{lines}");
        if lines.starts_with("[models") {
            assert!(ask(&registry, "a/deepseek-flash").await.is_ok());
        }
    }
}

#[tokio::test]
async fn a_provider_that_is_out_of_money_leaves_the_call_to_the_next_target_of_an_alias() {
    let (a, b) = (sim().await, sim().await);
    let lines = "[providers.a.budget]\nday = '0.000001 USD'\n[models]\nsmart = ['a/deepseek-flash', 'b/deepseek-flash']";
    let registry = registry(&[&a, &b], lines);
    let reply = registry.router().chat(question("smart")).await.unwrap();
    assert_eq!((reply.head.provider.as_deref(), reply.head.failures.len()), (Some("b"), 1));
    let error = registry.router().chat(question("a/deepseek-flash")).await.unwrap_err();
    assert!(error.message().contains("`providers.a.budget` has 0.000001 USD for this day"), "{error}");
    assert_eq!(a.requests().len(), 0);
}

#[tokio::test]
async fn when_the_budget_of_all_or_of_the_alias_is_spent_nobody_else_is_asked() {
    let (a, b) = (sim().await, sim().await);
    let smart = "[models.smart]\ntargets = ['a/deepseek-flash', 'b/deepseek-flash']";
    for (lines, section) in [
        (format!("[budget]\nday = '0.000001 USD'\n{smart}"), "`budget`"),
        (format!("{smart}\nbudget.day = '0.000001 USD'"), "`models.smart.budget`"),
    ] {
        let error = registry(&[&a, &b], &lines).router().chat(question("smart")).await.unwrap_err();
        assert!(error.message().contains(&format!("{section} has 0.000001 USD")), "{error}");
        assert_eq!((a.requests().len(), b.requests().len()), (0, 0));
    }
}

#[tokio::test]
async fn a_name_that_its_service_has_retired_is_priced_as_what_stands_for_it() {
    let a = sim().await;
    let registry = registry(&[&a], "[budget]\nday = '5 USD'");
    for model in ["a/deepseek-chat", "deepseek-reasoner"] {
        assert_eq!(ask(&registry, model).await.as_deref(), Ok("a"), "{model}");
    }
}

#[tokio::test]
async fn each_alias_has_a_sum_of_its_own_also_where_it_only_names_a_model() {
    let a = sim().await;
    let lines = "[budget]\nday = '0.0003 USD'\neach = 'alias'\n[models]\none = 'a/deepseek-flash'\ntwo = 'a/deepseek-flash'";
    let registry = registry(&[&a], lines);
    let mut calls = 0;
    while ask(&registry, "one").await.is_ok() {
        calls += 1;
        assert!(calls < 1000, "it is never used up");
    }
    assert_eq!(ask(&registry, "one").await, rejected("budget_exceeded"));
    assert_eq!(ask(&registry, "two").await.as_deref(), Ok("a"));
    assert_eq!(ask(&registry, "a/deepseek-flash").await.as_deref(), Ok("a"));
}

#[test]
fn a_budget_that_can_only_refuse_is_told_when_it_is_read() {
    for (lines, told) in [
        ("[budget]\nday = '5 EUR'", "`budget` counts in EUR, and no price of what it holds is known in it"),
        ("[providers.b.budget]\nday = '5 USD'", "`providers.b.budget` counts in USD, and no price"),
        (
            "[budget]\nday = '5 USD'\n[models]\nown = 'b/x'",
            "`models.own` leads to nothing that has a price in USD (b/x), so `budget` refuses its calls",
        ),
        (
            "[models.own]\ntargets = ['b/x', 'b/y']\nbudget.day = '5 USD'",
            "(b/x, b/y), so `models.own.budget` refuses its calls",
        ),
    ] {
        let read = |lines: &str| {
            let toml =
                format!("[providers.a]\nprofile = 'deepseek'\n[providers.b]\nprofile = 'llamacpp'\n{lines}");
            with(&[]).toml(toml).api_key("a", ApiKey::new("sk-sim").unwrap()).build().unwrap().warnings()
        };
        let warnings = read(lines);
        assert!(warnings.len() == 1 && warnings[0].contains(told), "{lines}: {warnings:?}");
        let passes = lines.replace("day = '5", "unpriced = 'pass'\nday = '5");
        let passes = passes.replace("budget.unpriced = 'pass'\nday", "budget.unpriced = 'pass'\nbudget.day");
        assert_eq!(read(&passes), Vec::<String>::new());
        let mixed = lines.replace("'b/x'", "['a/deepseek-flash', 'b/x']");
        if lines.contains("own = ") {
            assert_eq!(read(&mixed), Vec::<String>::new());
        }
    }
}

#[tokio::test]
async fn a_price_in_the_configuration_lets_a_budget_hold_the_model_and_a_refusal_says_how_it_is_written() {
    let b = sim().await;
    let registry = |lines: &str| {
        let toml = format!(
            "[providers.b]\nprofile = 'llamacpp'\nbase_url = '{}'\n[budget]\nday = '5 USD'\n{lines}",
            b.base_url()
        );
        with(&[]).toml(toml).api_key("b", ApiKey::new(b.key()).unwrap()).build().unwrap()
    };
    let error = registry("").router().chat(question("b/deepseek-flash")).await.unwrap_err();
    assert!(error.hint().contains("[[profiles.llamacpp.model.deepseek-flash.prices]]"), "{}", error.hint());
    let price =
        "[[profiles.llamacpp.model.deepseek-flash.prices]]\nrates.USD = { input = '0.15', output = '0.60' }";
    let registry = registry(price);
    assert_eq!(registry.warnings(), Vec::<String>::new());
    assert_eq!(ask(&registry, "b/deepseek-flash").await.as_deref(), Ok("b"));
}

#[test]
fn a_budgets_day_may_begin_elsewhere() {
    let toml = "[providers.deepseek]\n[budget]\nday = '5 USD'\nutc_offset = '+08:00'";
    let registry = with(&[("DEEPSEEK_API_KEY", "sk-0123")]).toml(toml).build().unwrap();
    let told = format!("{:?}", registry.explain("deepseek-flash").unwrap());
    assert!(told.contains("utc_offset") && told.contains("+08:00"), "{told}");
    let wrong = toml.replace("+08:00", "Asia/Shanghai");
    let error = with(&[("DEEPSEEK_API_KEY", "sk-0123")]).toml(wrong).build().unwrap_err();
    assert!(error.message().contains("`budget.utc_offset` must be a distance from UTC"), "{error}");
}

#[test]
fn settings_that_do_nothing_are_told() {
    for (lines, told) in [
        (
            "[models.x]\ntarget = 'a/y'\nstrategy = 'round_robin'",
            "`models.x.strategy` does nothing with one target",
        ),
        (
            "[models.x]\ntargets = ['a/y']\nhedge_after = '1s'",
            "`models.x.hedge_after` does nothing with one target",
        ),
        ("[limits]\nwait = '1s'", "`limits.wait` does nothing without a limit to wait for"),
        ("[models.x]\ntarget = 'a/y'\nlimits.wait = '1s'", "`models.x.limits.wait` does nothing"),
        (
            "[providers.a.limits]\nanswer_tokens = 9\nconcurrent = 1",
            "`providers.a.limits.answer_tokens` does nothing without a limit on tokens",
        ),
        ("[breaker]\nrest = '2m'", "`breaker.rest` is longer than `max_rest`, 1m, which counts"),
        (
            "[providers.a.breaker]\nrest = '20s'\n[breaker]\nmax_rest = '10s'",
            "`providers.a.breaker.rest` is longer than `max_rest`, 10s",
        ),
        (
            "[budget]\nhour = '9 USD'\nday = '5 USD'\nunpriced = 'pass'",
            "`budget.hour` does nothing: it is more than there is for the day, 5 USD",
        ),
        (
            "[models]\nouter = ['fast', 'a/z']\n[models.fast]\ntarget = 'a/y'\nretry.attempts = 2",
            "what `models.fast` says of its strategy and layers doesn't count in `models.outer`",
        ),
    ] {
        let warnings =
            text(&format!("[providers.a]\nprofile = 'llamacpp'\n{lines}")).build().unwrap().warnings();
        assert!(warnings.len() == 1 && warnings[0].contains(told), "{lines}: {warnings:?}");
    }
    for right in [
        "[limits]\nwait = '1s'\n[providers.a.limits]\nconcurrent = 3",
        "[limits]\nconcurrent = 3\n[providers.a.limits]\nwait = '1s'",
        "[breaker]\nrest = '2m'\nmax_rest = '2m'",
        "[models]\nouter = ['fast', 'a/z']\nfast = 'a/y'",
        "[models]\nouter = { target = 'fast', retry = { attempts = 1 } }\n[models.fast]\ntargets = ['a/y', 'a/z']\nstrategy = 'cheapest'",
    ] {
        let warnings =
            text(&format!("[providers.a]\nprofile = 'llamacpp'\n{right}")).build().unwrap().warnings();
        assert_eq!(warnings, Vec::<String>::new(), "{right}");
    }
}

#[tokio::test]
async fn a_model_without_a_price_is_refused_by_a_budget_unless_it_may_pass() {
    let diary = Diary::default();
    let lines = "[budget]\nday = '1 USD'";
    let registry =
        |lines: &str| text(lines).provider("mine", diary.provider(reply("hello"))).build().unwrap();
    assert_eq!(ask(&registry(lines), "mine/m").await, rejected("budget_unpriced"));
    assert!(ask(&registry(&format!("{lines}\nunpriced = 'pass'")), "mine/m").await.is_ok());
}

#[tokio::test]
async fn a_ledger_has_each_call_with_its_alias_tag_and_cost() {
    let a = sim().await;
    let lines = "[ledger]\n[models]\nfast = 'a/deepseek-flash'";
    let registry = registry(&[&a], lines);
    let response = sent(&registry, tagged("fast", "team 7")).await;
    assert!(CallCost::of(&response.head).unwrap().to_string().ends_with(" USD"));
    let stream = registry.model("fast").unwrap().chat_stream(question("fast")).await.unwrap();
    stream.completion().await.unwrap();
    let ledger = registry.ledger().unwrap();
    let sums = ledger.sums(&Query::new().by([By::Provider, By::Model])).await.unwrap();
    assert_eq!(sums[0].group, [Some("a".to_owned()), Some("deepseek-flash".to_owned())]);
    assert_eq!(sums[0].calls, 2);
    let tags = ledger.sums(&Query::new().by([By::Tag])).await.unwrap();
    assert!(tags.iter().any(|sum| sum.group[0].as_deref() == Some("team 7") && sum.calls == 1));
    let aliases = ledger.sums(&Query::new().by([By::Alias])).await.unwrap();
    assert_eq!((aliases.len(), aliases[0].group[0].as_deref()), (1, Some("fast")), "by both doors");
}

#[tokio::test]
async fn only_names_of_the_configuration_are_aliases_in_the_ledger() {
    let a = sim().await;
    let lines = "[ledger]\n[models]\nsmart = ['a/deepseek-flash', 'a/deepseek-v4-pro']";
    let registry = registry(&[&a], &format!("{lines}\nold = 'a/deepseek-chat'"));
    for model in ["a/deepseek-flash", "deepseek-flash", "a/deepseek-chat"] {
        assert!(ask(&registry, model).await.is_ok(), "{model}");
        registry.model(model).unwrap().chat(question("whatever")).await.unwrap();
    }
    registry.provider("a").unwrap().chat(question("deepseek-flash")).await.unwrap();
    let aliases = || async { registry.ledger().unwrap().sums(&Query::new().by([By::Alias])).await.unwrap() };
    let only = aliases().await;
    assert_eq!((only.len(), only[0].group[0].as_deref(), only[0].calls), (1, None, 7));
    for model in ["smart", "old"] {
        registry.model(model).unwrap().chat(question("whatever")).await.unwrap();
    }
    let named: Vec<_> = aliases().await.into_iter().filter_map(|sum| sum.group[0].clone()).collect();
    assert_eq!(named, ["old", "smart"]);
}

#[tokio::test]
async fn a_default_that_is_an_alias_is_one_in_the_ledger() {
    let a = sim().await;
    let toml = format!("default = 'fast'\n{}", toml(&[&a], "[ledger]\n[models]\nfast = 'a/deepseek-flash'"));
    let registry = with_keys(text(&toml), &[&a]).build().unwrap();
    registry.router().chat(ChatRequest::user("?")).await.unwrap();
    let sums = registry.ledger().unwrap().sums(&Query::new().by([By::Alias])).await.unwrap();
    assert_eq!(sums[0].group[0].as_deref(), Some("fast"));
}

#[tokio::test]
async fn nothing_is_written_down_where_nothing_says_so() {
    let a = sim().await;
    let registry = registry(&[&a], "");
    assert!(registry.ledger().is_none());
    let response = sent(&registry, question("a/deepseek-flash").into_request().unwrap()).await;
    assert!(CallCost::of(&response.head).is_none());
    assert_eq!(status(&response), "none");
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_ledgers_file_begins_at_the_configurations_folder_and_is_made_only_by_who_uses_it() {
    let a = sim().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("modelswitch.toml");
    std::fs::write(&file, toml(&[&a], "[ledger]\npath = 'usage.sqlite'\n[budget]\nday = '1 USD'")).unwrap();
    let builder = || with_keys(Registry::builder().environment([]).file(&file), &[&a]);
    assert!(builder().validate().is_empty());
    let written = folder.path().join("usage.sqlite");
    assert!(!written.exists());
    let registry = builder().build().unwrap();
    assert!(ask(&registry, "a/deepseek-flash").await.is_ok());
    registry.reload().unwrap();
    assert!(ask(&registry, "a/deepseek-flash").await.is_ok());
    let sums = registry.ledger().unwrap().sums(&Query::new()).await.unwrap();
    assert_eq!(sums[0].calls, 2);
    assert!(written.exists());
}

/// A configuration in a file, to be changed.
struct Changing {
    folder: tempfile::TempDir,
}

impl Changing {
    fn new(sims: &[&Sim], lines: &str) -> Self {
        let own = Self { folder: tempfile::tempdir().unwrap() };
        own.write(sims, lines);
        own
    }

    fn write(&self, sims: &[&Sim], lines: &str) {
        std::fs::write(self.folder.path().join("modelswitch.toml"), toml(sims, lines)).unwrap();
    }

    fn registry(&self, sims: &[&Sim]) -> Registry {
        let file = self.folder.path().join("modelswitch.toml");
        with_keys(Registry::builder().environment([]).file(file), sims).build().unwrap()
    }
}

#[tokio::test]
async fn what_layers_know_outlives_a_reload_that_leaves_their_settings_alone() {
    let a = sim().await;
    let common = "[limits]\nrequests_per_minute = 4\nwait = '0s'\n[cache]\n[budget]\nday = '1 USD'\n[breaker]\nminimum_calls = 2\nrest = '10m'\n\
                  max_rest = '10m'\n[retry]\nattempts = 1\n[ledger]\n";
    let file = Changing::new(&[&a], common);
    let registry = file.registry(&[&a]);
    a.script(Script::status(500).times(2));
    for n in 0..2 {
        let failed = registry.router().chat(question("a/deepseek-flash").max_tokens(90 + n)).await;
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::Upstream);
    }
    assert!(ask(&registry, "a/deepseek-v4-pro").await.is_ok());
    // Other settings of the same provider change, and it is made anew.
    file.write(&[&a], &format!("models = ['x']\ntimeout.idle = '1m'\n{common}"));
    let changes = registry.reload().unwrap();
    assert!(changes.to_string().contains("`a` changed (models, timeout)"), "{changes}");
    assert_eq!(ask(&registry, "a/deepseek-flash").await, rejected("breaker_open"));
    let again = sent(&registry, question("a/deepseek-v4-pro").into_request().unwrap()).await;
    assert_eq!(status(&again), "hit");
    assert_eq!(a.requests().len(), 3);
    assert_eq!(registry.ledger().unwrap().sums(&Query::new()).await.unwrap()[0].calls, 5);
    // Other settings of a layer are another layer.
    file.write(&[&a], &common.replace("minimum_calls = 2", "minimum_calls = 3"));
    registry.reload().unwrap();
    assert!(ask(&registry, "a/deepseek-flash").await.is_ok());
    // Three requests of this minute were made before the reloads, and one after.
    let fifth = registry.router().chat(question("a/deepseek-flash").max_tokens(50)).await;
    assert_eq!(fifth.unwrap_err().code(), Some("rate_limit"));
}

#[tokio::test]
async fn answers_of_another_place_are_not_given_after_a_reload() {
    let (a, b, elsewhere) = (sim().await, sim().await, sim().await);
    let lines = "[cache]\n[models]\nsmart = ['a/deepseek-flash', 'b/deepseek-flash']";
    let file = Changing::new(&[&a, &b], lines);
    let registry = file.registry(&[&a, &b]);
    for _ in 0..2 {
        ask(&registry, "smart").await.unwrap();
        ask(&registry, "a/deepseek-flash").await.unwrap();
    }
    assert_eq!(a.requests().len(), 2);
    file.write(&[&elsewhere, &b], lines);
    registry.reload().unwrap();
    for model in ["smart", "a/deepseek-flash"] {
        // It has another key, so that it refuses: but it is asked.
        let _ = ask(&registry, model).await;
    }
    assert_eq!((a.requests().len(), elsewhere.requests().len()), (2, 2));
}

#[tokio::test]
async fn what_was_spent_outlives_a_reload() {
    let a = sim().await;
    let file = Changing::new(&[&a], "[budget]\nday = '0.0005 USD'");
    let registry = file.registry(&[&a]);
    let mut refused = false;
    for _ in 0..200 {
        refused |= ask(&registry, "a/deepseek-flash").await.is_err();
    }
    assert!(refused);
    file.write(&[&a], "models = ['x']\n[budget]\nday = '0.0005 USD'");
    registry.reload().unwrap();
    assert_eq!(ask(&registry, "a/deepseek-flash").await, rejected("budget_exceeded"));
    file.write(&[&a], "[budget]\nday = '1 USD'");
    registry.reload().unwrap();
    assert!(ask(&registry, "a/deepseek-flash").await.is_ok());
}

#[tokio::test]
async fn a_price_that_changes_while_it_runs_changes_who_is_the_cheapest() {
    let (a, b) = (sim().await, sim().await);
    let later = std::time::SystemTime::now() + Duration::from_secs(3);
    let provider = |name: &str, sim: &Sim| {
        format!(
            "[providers.{name}]\nprofile = '{name}'\nbase_url = '{}'\n[profiles.{name}]\n",
            sim.base_url()
        )
    };
    let price = |name: &str, since: &str, dollars: u32| {
        format!(
            "[[profiles.{name}.model.deepseek-flash.prices]]\n{since}\nrates.USD = {{ input = '{dollars}', output = '{dollars}' }}\n"
        )
    };
    let since = format!("since = '{}'", humantime::format_rfc3339_seconds(later));
    let toml = [
        provider("a", &a),
        provider("b", &b),
        price("a", "", 1),
        price("a", &since, 3),
        price("b", "", 2),
        "[models.smart]\ntargets = ['a/deepseek-flash', 'b/deepseek-flash']\nstrategy = 'cheapest'"
            .to_owned(),
    ];
    let registry = with_keys(text(&toml.concat()), &[&a, &b]).build().unwrap();
    let mut calls = 0;
    while ask(&registry, "smart").await.as_deref() != Ok("b") {
        calls += 1;
        assert!(calls < 1200, "it goes by the price of when it was read");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_call_says_itself_where_it_belongs() {
    let (a, b) = (sim().await, sim().await);
    let lines = "[models.smart]\ntargets = ['a/deepseek-flash', 'b/deepseek-flash']\nstrategy = 'round_robin'\nsticky = 'key'";
    let registry = registry(&[&a, &b], lines);
    for _ in 0..4 {
        let mut request = question("smart").into_request().unwrap();
        request.extensions.insert(StickyKey("me".into()));
        let Body::Json(_) = sent(&registry, request).await.body else { panic!("a whole answer") };
    }
    assert!(matches!((a.requests().len(), b.requests().len()), (4, 0) | (0, 4)));
}

#[test]
fn settings_that_say_nothing_together_are_mistakes() {
    for (lines, what) in [
        (
            "[limits]\nadaptive = true",
            "`limits.adaptive` adapts how many calls run at once, and no number is given",
        ),
        ("[providers.a.limits]\nadaptive = true", "`providers.a.limits.adaptive` adapts"),
        ("[models.x]\ntarget = 'a/y'\nlimits.adaptive = true", "`models.x.limits.adaptive` adapts"),
        ("[budget]\neach = 'tag'", "`budget` has no amount"),
        ("[budget]\nday = '1 USD'\nmonth = '9 CNY'", "`budget` has amounts in several currencies: CNY, USD"),
        (
            "[budget]\nday = 5",
            "`budget.day` must be an amount above 0 with its currency in quotes, such as \"5 USD\"",
        ),
        (
            "[cache]\nmax_size = '64 megs'",
            "`cache.max_size` must be a number of bytes, or a size such as \"64MB\"",
        ),
        ("[breaker]\nrest = '5'", "such as \"10s\" or \"5m\", and this has no unit"),
        ("[budget]\nday = '5 USD'\nper = 'tag'", "`budget.per` is not a setting; did you mean `each`?"),
        (
            "[models.x]\ntarget = 'a/y'\ntimeout.connect = '1s'",
            "`models.x.timeout.connect` is a matter of the provider",
        ),
        ("[breaker]\nfailure_rate = 1.5", "`breaker.failure_rate` must be a number above 0, and 1 at most"),
        ("breakers = true", "did you mean `breaker`?"),
        ("[limits]\nrpm = 3", "did you mean `requests_per_minute`?"),
        ("[cache]\nttl = '1m'", "did you mean `time_to_live`?"),
        ("[timeout]\ntotal = '0s'", "`timeout.total` must be a duration above 0"),
    ] {
        let toml = format!(
            "{}[providers.a]\nprofile = 'llamacpp'\n{}",
            if lines.starts_with('[') { "" } else { lines },
            if lines.starts_with('[') { lines } else { "" }
        );
        let toml = toml.replacen("true[", "true\n[", 1);
        let error = text(&toml).build().unwrap_err();
        assert!(error.message().contains(what), "{lines}: {error}");
        assert!(error.message().starts_with("line ") && !error.message().contains("the first of"), "{error}");
    }
}

#[test]
fn the_samples_of_the_documentation_are_right() {
    let guide = include_str!("../../src/lib.rs");
    let sample = |first: &str| {
        let begin = guide.find(first).unwrap();
        let text = guide[begin..].split("//! ```").next().unwrap();
        text.lines().map(|line| line.trim_start_matches("//!").trim_start()).collect::<Vec<_>>().join("\n")
    };
    let of_layers =
        format!("[providers.a]\nprofile = 'llamacpp'\n{}", sample("[limits]\n//! requests_per_minute"));
    for text in [of_layers, sample("# modelswitch.toml\n")] {
        let wrong = with(&[("DEEPSEEK_API_KEY", "sk-0123")]).toml(text.clone()).validate();
        let told: Vec<_> = wrong.iter().map(|wrong| wrong.error.message().to_owned()).collect();
        assert_eq!(told, Vec::<String>::new(), "{text}");
    }
}

#[test]
fn a_variable_sets_a_layer_too() {
    let registry = with(&[
        ("MODELSWITCH_LIMITS__CONCURRENT", "3"),
        ("MODELSWITCH_BREAKER", "true"),
        ("MODELSWITCH_BUDGET__DAY", "5 USD"),
        ("MODELSWITCH_BUDGET__UNPRICED", "pass"),
        ("MODELSWITCH_MODELS__FAST__RETRY__ATTEMPTS", "1"),
        ("MODELSWITCH_MODELS__FAST__TARGET", "a/x"),
        ("MODELSWITCH_PROVIDERS__A__BREAKER", "false"),
    ])
    .toml("[providers.a]\nprofile = 'llamacpp'")
    .build()
    .unwrap();
    assert!(registry.warnings().is_empty(), "{:?}", registry.warnings());
    let shown = |path: &str| registry.settings().into_iter().find(|setting| setting.path == path).unwrap();
    assert_eq!(shown("budget.day").origin.to_string(), "$MODELSWITCH_BUDGET__DAY");
}

#[test]
fn an_alias_that_would_wait_longer_than_its_provider_is_told() {
    let toml = "[providers.a]\nprofile = 'llamacpp'\n[timeout]\nidle = '1m'\n[models.x]\ntarget = 'a/y'\ntimeout.idle = '2m'";
    let warnings = text(toml).build().unwrap().warnings();
    assert_eq!(
        warnings,
        [
            "`models.x.timeout.idle` is longer than the provider `a` is waited for, which counts: raise it in [providers.a.timeout]"
        ]
    );
}

#[test]
fn an_alias_whose_whole_time_one_target_may_take_is_told() {
    let told = |alias: &str| {
        let toml = format!(
            "[providers.a]\nprofile = 'llamacpp'\n[providers.b]\nprofile = 'llamacpp'\n[timeout]\ntotal = '1m'\n[models.x]\n{alias}"
        );
        text(&toml).build().unwrap().warnings()
    };
    assert_eq!(
        told("targets = ['a/y', 'b/y']"),
        [
            "a call to `x` has 1m in all, and the provider `a` alone is waited for 10m: when it hangs, no other target is asked \
             in time; write a shorter `models.x.timeout.first_byte`"
        ]
    );
    for alias in [
        "target = 'a/y'",
        "targets = ['a/y', 'b/y']\ntimeout.first_byte = '20s'",
        "targets = ['a/y', 'b/y']\ntimeout.total = '11m'",
        "targets = ['a/y', 'b/y']\nhedge_after = '10s'",
    ] {
        assert!(told(alias).is_empty(), "{alias}: {:?}", told(alias));
    }
}

/// A question with one header.
fn hinted(model: &str, header: &'static str, value: &'static str) -> Request {
    let mut request = question(model).into_request().unwrap();
    request.headers.insert(header, value.parse().unwrap());
    request
}

#[tokio::test]
async fn a_call_says_in_headers_how_it_is_to_be_made_and_no_service_sees_them() {
    let (a, b) = (sim().await, sim().await);
    let lines = "[retry]\nbase_delay = '1ms'\n[cache]\n[ledger]\n[models]\nsmart = ['a/deepseek-flash', 'b/deepseek-flash']\n\
                 [models.slow]\ntargets = ['a/deepseek-flash', 'b/deepseek-flash']\nhedge_after = '10ms'";
    let registry = registry(&[&a, &b], lines);
    let router = registry.router();
    let failed = |result: modelswitch_provider::Result<Response>| result.map(|_| ()).unwrap_err().kind();

    a.script(Script::status(503).times(9));
    let once = router.send(hinted("a/deepseek-flash", ATTEMPTS_HEADER, "1")).await;
    assert_eq!((failed(once), a.requests().len()), (ErrorKind::Overloaded, 1));
    let first = router.send(hinted("smart", FALLBACK_HEADER, "off")).await;
    assert_eq!((failed(first), b.requests().len()), (ErrorKind::Overloaded, 0));
    a.clear_scripts();

    a.script(Script::normal().delay(Duration::from_millis(200)));
    let waited_for = router.send(hinted("slow", FALLBACK_HEADER, "off")).await.unwrap();
    assert_eq!((waited_for.head.provider.as_deref(), b.requests().len()), (Some("a"), 0));

    a.script(Script::normal().delay(Duration::from_secs(600)));
    assert_eq!(
        failed(router.send(hinted("a/deepseek-v4-pro", TIMEOUT_HEADER, "100ms")).await),
        ErrorKind::Timeout
    );

    for (value, status_of) in [("use", "miss"), ("use", "hit"), ("refresh", "miss"), ("bypass", "bypass")] {
        let response = sent(&registry, hinted("b/deepseek-flash", CACHE_HEADER, value)).await;
        assert_eq!(status(&response), status_of, "{value}");
    }
    sent(&registry, hinted("b/deepseek-v4-pro", TAG_HEADER, "team 7")).await;
    let tags = registry.ledger().unwrap().sums(&Query::new().by([By::Tag])).await.unwrap();
    assert!(tags.iter().any(|sum| sum.group[0].as_deref() == Some("team 7")));

    for provider in [registry.model("smart").unwrap(), registry.provider("b").unwrap()] {
        provider.send(hinted("deepseek-flash", CACHE_HEADER, "bypass")).await.unwrap();
        let mut wrong = hinted("deepseek-flash", CACHE_HEADER, "sometimes");
        wrong.headers.insert("x-team", "search".parse().unwrap());
        assert_eq!(failed(provider.send(wrong).await), ErrorKind::InvalidRequest);
    }
    let sent = a.requests().into_iter().chain(b.requests());
    for request in sent {
        for header in [ATTEMPTS_HEADER, FALLBACK_HEADER, TIMEOUT_HEADER, CACHE_HEADER, TAG_HEADER] {
            assert_eq!(request.header(header), None);
        }
    }
}

#[tokio::test]
async fn an_app_on_async_openai_sends_hints_with_a_call() {
    use modelswitch_openai::async_openai::traits::RequestOptionsBuilder;
    use modelswitch_openai::async_openai::types::chat::{
        ChatCompletionRequestUserMessage, CreateChatCompletionRequestArgs,
    };
    let a = sim().await;
    let registry = registry(&[&a], "[ledger]");
    let client = registry.client().unwrap();
    let request = || {
        CreateChatCompletionRequestArgs::default()
            .model("a/deepseek-flash")
            .messages([ChatCompletionRequestUserMessage::from("?").into()])
            .build()
            .unwrap()
    };
    client.chat().header(TAG_HEADER, "team 7").unwrap().create(request()).await.unwrap();
    let tags = registry.ledger().unwrap().sums(&Query::new().by([By::Tag])).await.unwrap();
    assert_eq!(tags[0].group[0].as_deref(), Some("team 7"));
    let wrong =
        client.chat().header("x-modelswitch-atempts", "1").unwrap().create(request()).await.unwrap_err();
    assert!(wrong.to_string().contains("did you mean `x-modelswitch-attempts`?"), "{wrong}");
}
