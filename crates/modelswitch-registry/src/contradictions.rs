//! Settings that say nothing together, or not the same.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::config::{
    AliasConfig, AliasLayers, BreakerConfig, BudgetConfig, Config, Flag, LimitsConfig, Period, Switch, Word,
};
use crate::layers::{MAX_REST, REST};
use crate::mistake::dotted;

/// A path within the section's owner, what is wrong there, and what to write.
pub(crate) type Contradiction = (Vec<&'static str>, String, String);

/// A target that hangs takes `first_byte`, and when that is all there is, no other target of the alias is ever asked instead.
pub(crate) fn no_time_for_another(
    alias: &str,
    total: Duration,
    (provider, first_byte): (&str, Duration),
) -> Option<String> {
    (total <= first_byte).then(|| {
        let path = dotted(&["models", alias, "timeout", "first_byte"]);
        let shown = humantime::format_duration;
        format!(
            "a call to `{alias}` has {} in all, and the provider `{provider}` alone is waited for {}: when it hangs, no other \
             target is asked in time; write a shorter `{path}`",
            shown(total),
            shown(first_byte)
        )
    })
}

pub(crate) fn of_limits(limits: &LimitsConfig) -> Option<Contradiction> {
    (limits.adaptive == Some(Flag(true)) && limits.concurrent.is_none()).then(|| {
        (
            vec!["limits", "adaptive"],
            "adapts how many calls run at once, and no number is given".to_owned(),
            "write concurrent = 8 beside it, the most that there may be".to_owned(),
        )
    })
}

/// One of which a part was taken out for a mistake may have had its amount there.
pub(crate) fn of_budget(budget: Option<&BudgetConfig>, is_whole: bool) -> Option<Contradiction> {
    let amounts: Vec<_> = budget?.amounts().collect();
    let currencies: BTreeSet<&str> = amounts.iter().map(|(_, amount)| amount.currency.as_str()).collect();
    if amounts.is_empty() {
        let hint = "write day = \"5 USD\" into it, or hour or month".to_owned();
        return is_whole.then(|| (vec!["budget"], "has no amount".to_owned(), hint));
    }
    (currencies.len() > 1).then(|| {
        let currencies: Vec<&str> = currencies.into_iter().collect();
        (
            vec!["budget"],
            format!("has amounts in several currencies: {}", currencies.join(", ")),
            "write all of them in one, that of the prices".to_owned(),
        )
    })
}

/// A warning for each setting that does nothing as it stands.
pub(crate) fn idle_settings(config: &Config) -> Vec<String> {
    let mut told = Vec::new();
    let settled: Vec<LimitsConfig> =
        config.providers.values().map(|provider| provider.limits.or(config.limits)).collect();
    // What stands at the top may be for limits that providers have.
    told.extend(idle_limits(&[], &config.limits, settled.iter().copied().chain([config.limits])));
    told.extend(idle_breaker(&[], config.breaker, None));
    told.extend(idle_budget(&[], config.budget.as_ref()));
    for ((name, provider), settled) in config.providers.iter().zip(settled) {
        let path = ["providers", name];
        told.extend(idle_limits(&path, &provider.limits, [settled]));
        told.extend(idle_breaker(&path, provider.breaker, config.breaker));
        told.extend(idle_budget(&path, provider.budget.as_ref()));
    }
    for (name, alias) in &config.models {
        let (path, layers) = (["models", name], &alias.layers);
        told.extend(idle_limits(&path, &layers.limits, [layers.limits]));
        told.extend(idle_breaker(&path, layers.breaker, config.breaker));
        told.extend(idle_budget(&path, layers.budget.as_ref()));
        told.extend(idle_choice(&path, alias));
        told.extend(flattened(name, alias, config));
    }
    told
}

fn at(owner: &[&str], path: &[&str]) -> String {
    dotted(&[owner, path].concat())
}

/// `settled` has what counts together with the settings.
fn idle_limits(
    owner: &[&str],
    own: &LimitsConfig,
    settled: impl IntoIterator<Item = LimitsConfig>,
) -> Vec<String> {
    let (mut has_any, mut has_tokens) = (false, false);
    for limits in settled {
        has_tokens |= limits.tokens_per_minute.is_some();
        has_any |= limits.concurrent.is_some() || limits.requests_per_minute.is_some();
    }
    let wait = (own.wait.is_some() && !has_any && !has_tokens).then(|| {
        let path = at(owner, &["limits", "wait"]);
        format!("`{path}` does nothing without a limit to wait for: write concurrent = 8 beside it, or requests_per_minute")
    });
    let tokens = (own.answer_tokens.is_some() && !has_tokens).then(|| {
        let path = at(owner, &["limits", "answer_tokens"]);
        format!("`{path}` does nothing without a limit on tokens: write tokens_per_minute = 100000 beside it")
    });
    wait.into_iter().chain(tokens).collect()
}

fn idle_breaker(
    owner: &[&str],
    own: Option<Switch<BreakerConfig>>,
    common: Option<Switch<BreakerConfig>>,
) -> Option<String> {
    let Some(Switch::On(BreakerConfig { rest, max_rest, .. })) = own else { return None };
    let settled = Switch::settle(own, common)?;
    if settled.rest.is_none() || (rest.is_none() && max_rest.is_none()) {
        return None;
    }
    let or = |period: Option<Period>, usual: Duration| period.map_or(usual, |period| period.0);
    let most = or(settled.max_rest, MAX_REST);
    (or(settled.rest, REST) > most).then(|| {
        let (path, most) = (at(owner, &["breaker", "rest"]), humantime::format_duration(most));
        format!("`{path}` is longer than `max_rest`, {most}, which counts: raise that one too")
    })
}

fn idle_budget(owner: &[&str], budget: Option<&BudgetConfig>) -> Option<String> {
    let amounts: Vec<_> = budget?.amounts().collect();
    amounts.windows(2).find_map(|pair| {
        let [(shorter, less), (longer, more)] = pair else { return None };
        (less.currency == more.currency && less.number > more.number).then(|| {
            let path = at(owner, &["budget", *shorter]);
            format!("`{path}` does nothing: it is more than there is for the {longer}, {more}")
        })
    })
}

/// How to choose among targets, where there is one.
fn idle_choice(owner: &[&str], alias: &AliasConfig) -> Vec<String> {
    let spreads = alias.strategy.is_some_and(|Word(strategy)| strategy.balanced().is_some());
    let settings = [("strategy", spreads), ("hedge_after", alias.hedge_after.is_some())];
    let idle = settings.into_iter().filter(|(_, is_set)| *is_set && alias.targets().len() == 1);
    let told = |(setting, _): (&str, bool)| {
        let path = at(owner, &[setting]);
        format!("`{path}` does nothing with one target: write it where several are listed")
    };
    idle.map(told).collect()
}

/// Aliases in a list, of which only the targets are taken.
fn flattened(outer: &str, alias: &AliasConfig, config: &Config) -> Vec<String> {
    if alias.targets().len() < 2 {
        return Vec::new();
    }
    let mut told = Vec::new();
    let (mut waiting, mut seen) = (alias.targets(), BTreeSet::new());
    while let Some(name) = waiting.pop() {
        let Some(inner) = config.models.get(&name).filter(|_| seen.insert(name.clone())) else { continue };
        waiting.extend(inner.targets());
        if says_how(inner) {
            let (inner, outer) = (dotted(&["models", &name]), dotted(&["models", outer]));
            told.push(format!(
                "what `{inner}` says of its strategy and layers doesn't count in `{outer}`, which takes its targets alone: \
                 write it there, or ask for the inner one by its own name"
            ));
        }
    }
    told.sort_unstable();
    told
}

/// Whether an alias says more than where it points and with which parameters.
fn says_how(alias: &AliasConfig) -> bool {
    alias.strategy.is_some()
        || alias.weights.is_some()
        || alias.sticky.is_some()
        || alias.hedge_after.is_some()
        || alias.layers != AliasLayers::default()
}
