//! What sections come down to, setting by setting, with what is so where nobody says otherwise.

use std::time::Duration;

use modelswitch_openai::Timeouts;
use serde_json::{Value, json};

use crate::config::{
    AliasConfig, BreakerConfig, BudgetConfig, CacheConfig, Count, Each, Flag, LedgerConfig, LimitsConfig,
    LogConfig, Period, RetryConfig, Share, Size, Sticky, Strategy, Temperature, TimeoutConfig, TraceConfig,
    Unpriced, Weight, Word,
};

/// A setting of a section, what it is set to, and what it is where nobody sets it. Without either it isn't there.
pub(crate) type Row = (&'static str, Option<Value>, Option<Value>);

fn period(period: Option<Period>) -> Option<Value> {
    period.map(|Period(time)| shown(time))
}

fn shown(time: Duration) -> Value {
    humantime::format_duration(time).to_string().into()
}

fn count(count: Option<Count>) -> Option<Value> {
    count.map(|Count(number)| number.into())
}

fn flag(flag: Option<Flag>) -> Option<Value> {
    flag.map(|Flag(on)| on.into())
}

// The defaults below are the layers' own, which they keep to themselves.

pub(crate) fn retry(config: RetryConfig) -> Vec<Row> {
    vec![
        ("attempts", count(config.attempts), Some(json!(4))),
        ("base_delay", period(config.base_delay), Some(json!("500ms"))),
        ("max_delay", period(config.max_delay), Some(json!("8s"))),
        ("max_retry_after", period(config.max_retry_after), Some(json!("1m"))),
        ("budget", config.budget.map(|Weight(share)| share.into()), Some(json!(1.0))),
    ]
}

/// Those of one try.
pub(crate) fn timeout(config: TimeoutConfig) -> Vec<Row> {
    let usual = Timeouts::default();
    vec![
        ("connect", period(config.connect), Some(shown(usual.connect))),
        ("first_byte", period(config.first_byte), Some(shown(usual.first_byte))),
        ("idle", period(config.idle), Some(shown(usual.idle))),
    ]
}

pub(crate) fn total(config: TimeoutConfig) -> Vec<Row> {
    vec![("total", period(config.total), None)]
}

pub(crate) fn limits(config: LimitsConfig) -> Vec<Row> {
    let has_tokens = config.tokens_per_minute.is_some();
    let waits = config.concurrent.is_some() || config.requests_per_minute.is_some() || has_tokens;
    let wait = match (config.concurrent.is_some(), has_tokens || config.requests_per_minute.is_some()) {
        (true, false) => json!("1m"),
        (false, _) => json!("1m 30s"),
        (true, true) => json!("1m for a place, 1m 30s for the minute"),
    };
    vec![
        ("requests_per_minute", count(config.requests_per_minute), None),
        ("tokens_per_minute", count(config.tokens_per_minute), None),
        ("concurrent", count(config.concurrent), None),
        ("wait", period(config.wait), waits.then_some(wait)),
        ("answer_tokens", count(config.answer_tokens), has_tokens.then(|| json!(1000))),
        ("adaptive", flag(config.adaptive), config.concurrent.map(|_| json!(false))),
    ]
}

pub(crate) fn breaker(config: BreakerConfig) -> Vec<Row> {
    let rate = config.failure_rate.map(|Share(rate)| rate.into());
    vec![
        ("failure_rate", rate, Some(json!(0.5))),
        ("minimum_calls", count(config.minimum_calls), Some(json!(10))),
        ("window", period(config.window), Some(json!("30s"))),
        ("rest", period(config.rest), Some(json!("5s"))),
        ("max_rest", period(config.max_rest), Some(json!("1m"))),
        ("max_retry_after", period(config.max_retry_after), Some(json!("1h"))),
        ("probes", count(config.probes), Some(json!(2))),
    ]
}

pub(crate) fn cache(config: CacheConfig) -> Vec<Row> {
    let temperature = config.max_temperature.map(|Temperature(most)| most.into());
    vec![
        ("time_to_live", period(config.time_to_live), Some(json!("1h"))),
        ("max_size", config.max_size.map(|Size(bytes)| bytes.into()), Some(json!(67_108_864))),
        ("max_answer", config.max_answer.map(|Size(bytes)| bytes.into()), Some(json!(1_048_576))),
        ("max_wait", period(config.max_wait), Some(json!("1m"))),
        ("max_temperature", temperature, None),
        ("per_tag", flag(config.per_tag), Some(json!(false))),
    ]
}

pub(crate) fn budget(config: &BudgetConfig) -> Vec<Row> {
    let each = config.each.map(|Word(each)| match each {
        Each::All => json!("all"),
        Each::Tag => json!("tag"),
        Each::Alias => json!("alias"),
        Each::Target => json!("target"),
    });
    let unpriced = config.unpriced.map(|Word(unpriced)| match unpriced {
        Unpriced::Refuse => json!("refuse"),
        Unpriced::Pass => json!("pass"),
    });
    let amounts = config.amounts().map(|(period, amount)| (period, Some(json!(amount.to_string())), None));
    let others = [
        ("each", each, Some(json!("all"))),
        ("unpriced", unpriced, Some(json!("refuse"))),
        ("answer_tokens", count(config.answer_tokens), Some(json!(4096))),
        ("utc_offset", config.utc_offset.map(|offset| offset.to_string().into()), Some(json!("+00:00"))),
    ];
    amounts.chain(others).collect()
}

pub(crate) fn ledger(config: &LedgerConfig) -> Vec<Row> {
    vec![("path", config.path.clone().map(Value::from), Some(json!("in memory")))]
}

pub(crate) fn log(config: LogConfig) -> Vec<Row> {
    vec![
        ("content", flag(config.content), Some(json!(false))),
        ("usage", flag(config.usage), Some(json!(false))),
    ]
}

pub(crate) fn trace(config: TraceConfig) -> Vec<Row> {
    vec![("content", flag(config.content), Some(json!(false)))]
}

pub(crate) fn metrics(config: Option<Flag>) -> Vec<Row> {
    vec![("", flag(config), Some(json!(false)))]
}

/// How an alias chooses among several targets.
pub(crate) fn choice(config: &AliasConfig) -> Vec<Row> {
    let strategy = config.strategy.map(|Word(strategy)| match strategy {
        Strategy::Fallback => json!("fallback"),
        Strategy::RoundRobin => json!("round_robin"),
        Strategy::Balance => json!("balance"),
        Strategy::LeastBusy => json!("least_busy"),
        Strategy::Fastest => json!("fastest"),
        Strategy::Cheapest => json!("cheapest"),
    });
    let sticky = config.sticky.map(|Word(sticky)| match sticky {
        Sticky::Key => json!("key"),
        Sticky::PromptCacheKey => json!("prompt_cache_key"),
        Sticky::User => json!("user"),
        Sticky::Conversation => json!("conversation"),
    });
    vec![
        ("strategy", strategy, Some(json!("fallback"))),
        ("sticky", sticky, None),
        ("hedge_after", period(config.hedge_after), None),
    ]
}

#[cfg(test)]
mod tests {
    use modelswitch_layers::{Breaker, Cache, RateLimit, Retry};
    use serde::de::DeserializeOwned;

    use super::*;
    use crate::layers;

    /// A section in which every default is written out.
    fn written<T: DeserializeOwned>(rows: Vec<Row>) -> T {
        let all = rows.into_iter().filter_map(|(name, _, default)| Some((name.to_owned(), default?)));
        serde_json::from_value(Value::Object(all.collect())).unwrap()
    }

    #[test]
    fn the_defaults_that_are_shown_are_the_layers_own() {
        let same = |own: String, shown: String| assert_eq!(own, shown);
        same(
            format!("{:?}", Retry::new()),
            format!("{:?}", layers::retry(written(retry(RetryConfig::default())))),
        );
        same(
            format!("{:?}", Breaker::new()),
            format!("{:?}", layers::breaker(&written(breaker(BreakerConfig::default())))),
        );
        same(
            format!("{:?}", Cache::new()),
            format!("{:?}", layers::cache(&written(cache(CacheConfig::default())))),
        );
        let few = LimitsConfig { tokens_per_minute: Some(Count(9)), ..LimitsConfig::default() };
        let shown = LimitsConfig { tokens_per_minute: Some(Count(9)), ..written(limits(few)) };
        same(format!("{:?}", RateLimit::new().tokens(9)), format!("{:?}", layers::pace(&shown)));
    }
}
