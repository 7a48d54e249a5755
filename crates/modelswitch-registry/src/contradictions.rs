//! Settings of layers that say nothing together, or not the same.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::config::{BudgetConfig, Flag, LimitsConfig};
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

pub(crate) fn of_budget(budget: Option<&BudgetConfig>) -> Option<Contradiction> {
    let amounts: Vec<_> = budget?.amounts().collect();
    let currencies: BTreeSet<&str> = amounts.iter().map(|(_, amount)| amount.currency.as_str()).collect();
    if amounts.is_empty() {
        let hint = "write day = \"5 USD\" into it, or hour or month".to_owned();
        return Some((vec!["budget"], "has no amount".to_owned(), hint));
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
