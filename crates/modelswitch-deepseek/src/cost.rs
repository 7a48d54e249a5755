//! What a call cost.

use std::time::SystemTime;

use modelswitch_openai::{Billing, Cost};
use modelswitch_provider::Usage;

use crate::models;

/// What a call to a model cost at that moment, in US dollars, exact to the last digit. `None` when the price isn't known:
/// an unknown model, or a moment before the first price that is sure.
///
/// Everything costs twice as much at peak hours: 01:00–04:00 and 06:00–10:00 UTC from Monday to Friday, Chinese public
/// holidays excepted. The prices were read on 2026-11-21 from <https://api-docs.deepseek.com/quick_start/pricing>; their
/// history begins with June 2026.
///
/// ```
/// use std::time::SystemTime;
/// use modelswitch_provider::Usage;
/// use serde_json::json;
///
/// let usage = Usage::from_wire(&json!({
///     "prompt_tokens": 339, "completion_tokens": 92,
///     "prompt_cache_hit_tokens": 320, "prompt_cache_miss_tokens": 19 }))?;
/// # fn ask_deepseek() -> SystemTime { humantime::parse_rfc3339("2026-11-23T02:00:00Z").unwrap_or(SystemTime::UNIX_EPOCH) }
/// let when = ask_deepseek();                           // a Monday, 02:00 UTC
/// let cost = modelswitch_deepseek::cost("deepseek-flash", &usage, when).ok_or("its price is known")?;
/// assert_eq!(cost.to_string(), "0.00011802 USD");      // 2 × (320 × 0.003 + 19 × 0.15 + 92 × 0.60) / 1,000,000
/// assert!(cost.peak && cost.is_certain());
/// assert!(modelswitch_deepseek::cost("deepseek-v9", &usage, when).is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What isn't sure
///
/// * **Whether a call's beginning or end counts** where it crosses the edge of an hour. DeepSeek doesn't say. For an upper
///   bound take the larger of both.
/// * **Which holidays.** DeepSeek names no dates; those of the State Council's notice are taken, and a cost in a holiday's
///   peak hours says so ([`Doubt::Holiday`](modelswitch_openai::Doubt)). Of 2027 no notice is known here: its weekdays are
///   taken for working days, which makes an upper bound ([`Doubt::UnknownHolidays`](modelswitch_openai::Doubt)), until
///   [`cost_with`] is told.
/// * **Prices after they were read** may have changed.
/// * **Documents and searches** are billed by other measures and aren't in a usage. Images are: they are tokens of the
///   request.
///
/// A granted balance is spent before a topped-up one, so the cost may not be seen in what you paid. A call that failed has
/// no usage, and whether it is billed isn't documented.
///
/// The model is that of the request, or of the answer, with `deepseek/` before it or without. The usage of async-openai's types
/// becomes one by `Usage::from_wire(&usage)`, or comes from a capture as the service wrote it. A retired name is billed as what stands for it, since it was switched
/// off; the adapter sends that.
pub fn cost(model: &str, usage: &Usage, when: SystemTime) -> Option<Cost> {
    cost_with(model, usage, when, &Billing::new())
}

/// [`cost`] in yuan, or with holidays that aren't known here.
///
/// ```
/// use modelswitch_openai::Billing;
/// use modelswitch_provider::Usage;
/// use serde_json::json;
///
/// let usage = Usage::from_wire(&json!({ "prompt_tokens": 1_000_000, "completion_tokens": 0 }))?;
/// let new_year = humantime::parse_rfc3339("2027-01-01T02:00:00Z")?;
/// let billing = Billing::new().currency("CNY").holidays(2027, ["2027-01-01..2027-01-03"])?;
/// let cost = modelswitch_deepseek::cost_with("deepseek-v4-pro", &usage, new_year, &billing).ok_or("known")?;
/// assert_eq!(cost.to_string(), "4.5 CNY");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn cost_with(model: &str, usage: &Usage, when: SystemTime, billing: &Billing) -> Option<Cost> {
    let profile = models::profile();
    let model = model.strip_prefix("deepseek/").unwrap_or(model);
    let id = match profile.retired(model) {
        Some(retired) if retired.since.time() <= when => &retired.instead,
        _ => model,
    };
    profile.model(id)?.cost_with(usage, when, billing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use modelswitch_openai::{Doubt, Moment};
    use serde_json::{Value, json};

    fn at(text: &str) -> SystemTime {
        text.parse::<Moment>().unwrap().time()
    }

    fn usage(json: Value) -> Usage {
        Usage::from_wire(&json).unwrap()
    }

    /// A million tokens each: from the cache, read anew, of the answer.
    fn millions() -> Usage {
        usage(json!({"prompt_tokens":2_000_000,"completion_tokens":1_000_000,
            "prompt_cache_hit_tokens":1_000_000,"prompt_cache_miss_tokens":1_000_000}))
    }

    fn told(model: &str, when: &str, billing: &Billing) -> Option<String> {
        cost_with(model, &millions(), at(when), billing).map(|cost| cost.to_string())
    }

    #[test]
    fn each_period_has_its_price() {
        for (model, when, expected) in [
            // 0.003 + 0.15 + 0.60, and twice that.
            ("deepseek-flash", "2026-11-20T12:00:00Z", Some("0.753 USD")),
            ("deepseek-flash", "2026-11-20T09:59:59Z", Some("1.506 USD")),
            ("deepseek-flash", "2026-09-10T04:00:00Z", Some("0.753 USD")),
            ("deepseek-flash", "2026-09-10T03:59:59Z", None),
            // 0.022 + 0.66 + 1.98.
            ("deepseek-v4-pro", "2026-11-20T12:00:00Z", Some("2.662 USD")),
            ("deepseek-v4-pro", "2026-11-20T01:00:00Z", Some("5.324 USD")),
            ("deepseek-v4-pro", "2026-08-16T16:00:00Z", Some("2.662 USD")),
            // 0.003625 + 0.435 + 0.87.
            ("deepseek-v4-pro", "2026-08-16T15:59:59Z", Some("1.308625 USD")),
            ("deepseek-v4-pro", "2026-05-31T23:59:59Z", None),
            // An alias at the price of what serves it, and before at its own: 0.007 + 0.22 + 0.66.
            ("deepseek-v4-flash", "2026-11-20T12:00:00Z", Some("0.753 USD")),
            ("deepseek-v4-flash", "2026-09-10T03:59:59Z", Some("1.774 USD")),
            ("deepseek-v4-flash", "2026-09-10T04:00:00Z", Some("0.753 USD")),
            ("deepseek-v4-flash", "2026-07-01T02:00:00Z", Some("0.4228 USD")),
            // The one Saturday on which the peak was billed.
            ("deepseek-v4-flash", "2026-08-22T02:00:00Z", Some("1.774 USD")),
            ("deepseek-v4-flash", "2026-08-23T02:00:00Z", Some("0.887 USD")),
            ("deepseek-v4-flash-vision-exp", "2026-08-24T12:00:00Z", Some("0.887 USD")),
            // A retired name as what stands for it, and not before it was retired.
            ("deepseek-chat", "2026-11-20T12:00:00Z", Some("0.753 USD")),
            ("deepseek-chat", "2026-07-01T12:00:00Z", None),
            ("deepseek-v5", "2026-11-20T12:00:00Z", None),
            ("", "2026-11-20T12:00:00Z", None),
        ] {
            assert_eq!(told(model, when, &Billing::new()).as_deref(), expected, "{model} {when}");
        }
    }

    #[test]
    fn yuan_are_prices_of_their_own_and_not_converted() {
        let yuan = Billing::new().currency("CNY");
        assert_eq!(told("deepseek-flash", "2026-11-20T12:00:00Z", &yuan).as_deref(), Some("5.02 CNY"));
        assert_eq!(told("deepseek-v4-pro", "2026-11-20T02:00:00Z", &yuan).as_deref(), Some("36.3 CNY"));
    }

    #[test]
    fn what_is_assumed_is_said() {
        let doubts = |when| cost("deepseek-flash", &millions(), at(when)).unwrap().doubts;
        assert_eq!(doubts("2026-11-20T02:00:00Z"), []);
        assert_eq!(doubts("2026-10-01T02:00:00Z"), [Doubt::Holiday]);
        assert_eq!(doubts("2027-03-01T02:00:00Z"), [Doubt::UnknownHolidays(2027)]);
    }
}
