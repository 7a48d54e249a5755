//! What tokens cost, exactly: prices as data, in decimals, by the moment.

mod calendar;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::SystemTime;

use modelswitch_provider::{Error, Result, Usage};
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::moment::{Moment, SECONDS_A_DAY};
pub use calendar::Calendar;
use calendar::{Day, days_of, seconds_since_1970};

/// What a model's tokens cost from one moment on, for each currency it is sold in.
///
/// In TOML every number is a text, so that none of them is ever a float. `since` is for a price that has changed or will:
///
/// ```
/// use modelswitch_openai::Profile;
/// use modelswitch_provider::Usage;
/// use serde_json::json;
///
/// let mine = Profile::from_toml("mine", r#"
///     base_url = "https://llm.example.com/v1"
///     [[model."large".prices]]
///     since = "2026-11-01"
///     rates.USD = { input = "2", cached_input = "0.2", output = "8" }     # a million tokens each
///     peak = { factor = "1.5", hours = [["08:00", "18:00"]], weekdays_only = true }
/// "#)?;
/// let usage = Usage::from_wire(&json!({ "prompt_tokens": 1000, "completion_tokens": 500 }))?;
/// let monday_noon = humantime::parse_rfc3339("2026-11-16T12:00:00Z")?;
/// let cost = mine.model("large").and_then(|model| model.cost(&usage, monday_noon)).ok_or("priced")?;
/// assert_eq!(cost.to_string(), "0.009 USD");                              // (1000 × 2 + 500 × 8) × 1.5 / 1,000,000
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Price {
    /// The first moment that it counts for; without it, it has always counted.
    #[serde(default)]
    pub since: Option<Moment>,
    /// The first moment that it no longer counts for. Needed only where nothing is known of what came next.
    #[serde(default)]
    pub until: Option<Moment>,
    /// By currency (`USD`, `CNY`).
    pub rates: BTreeMap<String, Rates>,
    /// Hours that cost more.
    #[serde(default)]
    pub peak: Option<Peak>,
}

/// What a million tokens cost, outside of peak hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Rates {
    /// Of the request, read anew.
    #[serde(deserialize_with = "decimal")]
    pub input: Decimal,
    /// Of the request, from the service's cache; the same as others where it isn't given.
    #[serde(default, deserialize_with = "some_decimal")]
    pub cached_input: Option<Decimal>,
    /// Of the answer, reasoning included.
    #[serde(deserialize_with = "decimal")]
    pub output: Decimal,
}

/// Hours in which everything costs more.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Peak {
    /// How many times as much.
    #[serde(deserialize_with = "decimal")]
    pub factor: Decimal,
    /// When, in UTC.
    pub hours: Vec<Hours>,
    /// Whether Saturdays and Sundays are free of it. Their midnight is that of the calendar, or of UTC without one.
    #[serde(default)]
    pub weekdays_only: bool,
    /// The [calendar](Calendar) of the holidays that are free of it.
    #[serde(default, deserialize_with = "calendar")]
    pub holidays: Option<&'static Calendar>,
}

/// A part of a day in UTC, such as `["01:00", "04:00"]`: the first second belongs to it, the last doesn't.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "(String, String)")]
pub struct Hours {
    from: u64,
    to: u64,
}

/// In what a bill differs from what a profile knows: another currency, holidays of a year that the calendar lacks.
///
/// ```
/// use modelswitch_openai::Billing;
///
/// let billing = Billing::new().currency("CNY").holidays(2027, ["2027-01-01", "2027-02-05..2027-02-11"])?;
/// # let _ = billing;
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Billing {
    currency: Option<String>,
    years: BTreeSet<i64>,
    days: BTreeSet<Day>,
}

impl Billing {
    /// As the profile knows it, in US dollars where there is a price in them.
    pub fn new() -> Self {
        Self::default()
    }

    /// In this currency. A model that has no price in it then has no cost.
    #[must_use]
    pub fn currency(mut self, code: impl Into<String>) -> Self {
        self.currency = Some(code.into());
        self
    }

    /// The holidays of a year, in place of what the calendar has for it: days such as `2027-01-01`, or spans such as
    /// `2027-02-05..2027-02-11`, in the time of the country. An empty list says that there are none.
    ///
    /// # Errors
    /// [`Config`](modelswitch_provider::ErrorKind::Config) for what is no day, or not of that year.
    pub fn holidays(mut self, year: i64, days: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self> {
        self.days.extend(days_of(year, days).map_err(Error::config)?);
        self.years.insert(year);
        Ok(self)
    }
}

/// What a call cost: exact, in as many digits as it takes.
///
/// It is what the service's published prices come to, not a bill: what else is billed (searches, documents), gifts and
/// taxes are not in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Cost {
    /// The sum.
    #[serde(with = "rust_decimal::serde::str")]
    pub amount: Decimal,
    /// Of this currency.
    pub currency: String,
    /// Whether peak hours were billed.
    pub peak: bool,
    /// The tokens that came from the cache.
    pub cached: CostPart,
    /// The tokens of the request that were read anew.
    pub uncached: CostPart,
    /// The tokens of the answer.
    pub output: CostPart,
    /// Why the bill may differ; empty when nothing is known to speak against it.
    pub doubts: Vec<Doubt>,
}

impl Cost {
    /// True when nothing is known to speak against it.
    pub fn is_certain(&self) -> bool {
        self.doubts.is_empty()
    }
}

/// The sum and its currency, `0.009 USD`.
impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount.normalize(), self.currency)
    }
}

/// Tokens of one kind, and what they cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CostPart {
    /// How many.
    pub tokens: u64,
    /// What a million of them cost at that hour.
    #[serde(with = "rust_decimal::serde::str")]
    pub per_million: Decimal,
    /// What these cost.
    #[serde(with = "rust_decimal::serde::str")]
    pub amount: Decimal,
}

/// Why a bill may differ from a [`Cost`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doubt {
    /// Nobody told the holidays of this year, so a weekday was taken for a working day: the cost is an upper bound.
    UnknownHolidays(i64),
    /// The day was taken for a holiday after the calendar, which the service doesn't publish itself: were it a working
    /// day for the service, the peak would have been billed.
    Holiday,
    /// The usage contradicts itself: cached and uncached tokens don't add up to those of the request. The larger figure
    /// was billed.
    Usage,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownHolidays(year) => {
                write!(f, "at most: the holidays of {year} aren't known, and none was assumed")
            }
            Self::Holiday => f.write_str("a public holiday, on which no peak is assumed"),
            Self::Usage => f.write_str("at most: the usage's cached and uncached tokens don't add up"),
        }
    }
}

impl Serialize for Doubt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Price {
    /// What a call cost at this price; whether the price counts at that moment isn't asked. `None` when there is no price
    /// in that currency, or when the sum can't be held exactly (28 digits).
    ///
    /// ```
    /// use modelswitch_openai::{Billing, Profile};
    /// use modelswitch_provider::Usage;
    /// use serde_json::json;
    ///
    /// let deepseek = Profile::embedded("deepseek").ok_or("there is one")?;
    /// let sunday = humantime::parse_rfc3339("2026-11-22T02:00:00Z")?;
    /// let price = deepseek.model("deepseek-flash").and_then(|model| model.price_at(sunday)).ok_or("priced")?;
    /// let usage = Usage::from_wire(&json!({
    ///     "prompt_tokens": 1_000_000, "prompt_cache_hit_tokens": 1_000_000, "completion_tokens": 0 }))?;
    /// let cost = price.cost(&usage, sunday, &Billing::new().currency("CNY")).ok_or("priced")?;
    /// assert_eq!(cost.to_string(), "0.02 CNY");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cost(&self, usage: &Usage, when: SystemTime, billing: &Billing) -> Option<Cost> {
        let (currency, rates) = match &billing.currency {
            Some(code) => self.rates.get_key_value(code)?,
            None => self.rates.get_key_value("USD").or_else(|| self.rates.iter().next())?,
        };
        let (peak, holiday_doubt) = match &self.peak {
            Some(peak) => peak.counts_at(when, billing),
            None => (false, None),
        };
        let factor = self.peak.as_ref().filter(|_| peak).map_or(Decimal::ONE, |peak| peak.factor);
        let part = |tokens: u64, rate: Decimal| {
            let per_million = exact_product(rate, factor)?;
            let amount = exact_product(exact_product(tokens.into(), per_million)?, Decimal::new(1, 6))?;
            Some(CostPart { tokens, per_million, amount })
        };
        let tokens = Tokens::of(usage);
        let cached = part(tokens.cached, rates.cached_input.unwrap_or(rates.input))?;
        let uncached = part(tokens.uncached, rates.input)?;
        let output = part(usage.completion_tokens, rates.output)?;
        let amount = exact_sum(exact_sum(cached.amount, uncached.amount)?, output.amount)?;
        let doubts = holiday_doubt.into_iter().chain(tokens.disagree.then_some(Doubt::Usage)).collect();
        Some(Cost { amount, currency: currency.clone(), peak, cached, uncached, output, doubts })
    }

    /// True at moments that it counts for.
    pub fn counts_at(&self, when: SystemTime) -> bool {
        self.since.is_none_or(|since| since.time() <= when)
            && self.until.is_none_or(|until| when < until.time())
    }
}

impl Peak {
    fn counts_at(&self, when: SystemTime, billing: &Billing) -> (bool, Option<Doubt>) {
        let second = seconds_since_1970(when).cast_unsigned() % SECONDS_A_DAY;
        if !self.hours.iter().any(|hours| (hours.from..hours.to).contains(&second)) {
            return (false, None);
        }
        let day = self.holidays.map_or_else(|| Day::at(when, 0), |calendar| calendar.day(when));
        if self.weekdays_only && day.is_weekend() {
            return (false, None);
        }
        let Some(calendar) = self.holidays else { return (true, None) };
        let year = day.year();
        if billing.years.contains(&year) {
            return (!billing.days.contains(&day), None);
        }
        match (calendar.knows(year), calendar.is_holiday(day)) {
            (true, true) => (false, Some(Doubt::Holiday)),
            (true, false) => (true, None),
            (false, _) => (true, Some(Doubt::UnknownHolidays(year))),
        }
    }
}

/// The tokens of a request, so that never less is counted than is billed.
struct Tokens {
    cached: u64,
    uncached: u64,
    disagree: bool,
}

impl Tokens {
    fn of(usage: &Usage) -> Self {
        let cached = usage.cached_tokens().unwrap_or_default();
        let (said, left) = (usage.uncached_tokens(), usage.prompt_tokens.saturating_sub(cached));
        let disagree = cached.checked_add(said) != Some(usage.prompt_tokens);
        Self { cached, uncached: said.max(left), disagree }
    }
}

/// `Decimal` rounds what it can't hold without a word; here that is no result.
fn exact_product(one: Decimal, other: Decimal) -> Option<Decimal> {
    if one.is_zero() || other.is_zero() {
        return Some(Decimal::ZERO);
    }
    let product = one.checked_mul(other)?;
    (product.scale() == one.scale() + other.scale()).then_some(product)
}

fn exact_sum(one: Decimal, other: Decimal) -> Option<Decimal> {
    let (one, other) = (one.normalize(), other.normalize());
    let sum = one.checked_add(other)?;
    (one.is_zero() || other.is_zero() || sum.scale() == one.scale().max(other.scale())).then_some(sum)
}

impl TryFrom<(String, String)> for Hours {
    type Error = String;
    fn try_from((from, to): (String, String)) -> Result<Self, String> {
        match (second_of_day(&from), second_of_day(&to)) {
            (Some(from), Some(to)) if from < to => Ok(Self { from, to }),
            _ => Err(format!(
                "`{from}` to `{to}` are no hours of a day; write them like [\"01:00\", \"04:00\"]"
            )),
        }
    }
}

fn second_of_day(text: &str) -> Option<u64> {
    let (hour, minute) = text.split_once(':')?;
    let is_number = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(hour) || !is_number(minute) {
        return None;
    }
    let (hour, minute): (u64, u64) = (hour.parse().ok()?, minute.parse().ok()?);
    (minute < 60 && hour * 60 + minute <= 24 * 60).then_some((hour * 60 + minute) * 60)
}

fn decimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
    let text = String::deserialize(deserializer)?;
    Decimal::from_str_exact(&text)
        .ok()
        .filter(|number| !number.is_sign_negative())
        .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no price; write it like \"0.15\"")))
}

fn some_decimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Decimal>, D::Error> {
    decimal(deserializer).map(Some)
}

fn calendar<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'static Calendar>, D::Error> {
    let name = String::deserialize(deserializer)?;
    Calendar::embedded(&name)
        .map(Some)
        .ok_or_else(|| serde::de::Error::custom(format!("there is no calendar `{name}`; there is: china")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn price() -> Price {
        toml::from_str(
            r#"
            since = "2026-08-22T16:00:00Z"
            rates.USD = { input = "0.15", cached_input = "0.003", output = "0.60" }
            rates.CNY = { input = "1", cached_input = "0.02", output = "4" }
            peak = { factor = "2", hours = [["01:00", "04:00"], ["06:00", "10:00"]], weekdays_only = true, holidays = "china" }
            "#,
        )
        .unwrap()
    }

    fn at(text: &str) -> SystemTime {
        text.parse::<Moment>().unwrap().time()
    }

    fn usage(json: Value) -> Usage {
        Usage::from_wire(&json).unwrap()
    }

    fn cost(json: Value, when: &str, billing: &Billing) -> Cost {
        price().cost(&usage(json), at(when), billing).unwrap()
    }

    /// A call whose cost off-peak is 20 millionths of a dollar times 0.15, to tell the hours by.
    fn is_peak(when: &str) -> (bool, Vec<Doubt>) {
        let cost = cost(json!({"prompt_tokens": 20}), when, &Billing::new());
        assert_eq!(cost.amount, Decimal::new(if cost.peak { 6 } else { 3 }, 6));
        (cost.peak, cost.doubts)
    }

    #[test]
    fn a_cost_is_exact_to_the_last_digit() {
        // 320 × 0.003 + 19 × 0.15 + 92 × 0.60 = 0.96 + 2.85 + 55.2 = 59.01 millionths.
        let recorded = json!({"prompt_tokens":339,"completion_tokens":92,"total_tokens":431,
            "prompt_tokens_details":{"cached_tokens":320},"completion_tokens_details":{"reasoning_tokens":48},
            "prompt_cache_hit_tokens":320,"prompt_cache_miss_tokens":19});
        let off_peak = cost(recorded.clone(), "2026-11-20T12:00:00Z", &Billing::new());
        assert_eq!(off_peak.to_string(), "0.00005901 USD");
        assert_eq!(off_peak.cached.amount, Decimal::new(96, 8));
        assert_eq!(off_peak.uncached.amount, Decimal::new(285, 8));
        assert_eq!(off_peak.output.amount, Decimal::new(552, 7));
        assert!(off_peak.is_certain() && !off_peak.peak);

        let peak = cost(recorded.clone(), "2026-11-20T03:00:00Z", &Billing::new());
        assert_eq!(peak.to_string(), "0.00011802 USD");
        assert_eq!((peak.peak, peak.output.per_million), (true, Decimal::new(12, 1)));

        // 320 × 0.02 + 19 × 1 + 92 × 4 = 6.4 + 19 + 368 = 393.4 millionths.
        let yuan = cost(recorded, "2026-11-20T12:00:00Z", &Billing::new().currency("CNY"));
        assert_eq!(yuan.to_string(), "0.0003934 CNY");
    }

    #[test]
    fn a_price_that_says_no_beginning_counts_until_a_later_one_does() {
        let text = "[[model.m.prices]]\nrates.USD = { input = '1', output = '1' }\n\
                    [[model.m.prices]]\nsince = '2026-11-01'\nrates.USD = { input = '2', output = '1' }";
        let profile = crate::Profile::from_toml("mine", text).unwrap();
        let input = |when: &str| {
            let million = usage(json!({ "prompt_tokens": 1_000_000, "completion_tokens": 0 }));
            profile.model("m").unwrap().cost(&million, at(when)).unwrap().to_string()
        };
        assert_eq!((input("2020-01-01"), input("2026-11-01")), ("1 USD".to_owned(), "2 USD".to_owned()));
    }

    #[test]
    fn a_million_of_each_costs_what_the_price_says() {
        let million = json!({"prompt_tokens":2_000_000,"completion_tokens":1_000_000,"prompt_cache_hit_tokens":1_000_000});
        assert_eq!(cost(million, "2026-11-22T02:00:00Z", &Billing::new()).to_string(), "0.753 USD");
    }

    #[test]
    fn peak_hours_begin_with_their_first_second_and_end_before_their_last() {
        for (time, peak) in [
            ("00:59:59", false),
            ("01:00:00", true),
            ("03:59:59", true),
            ("04:00:00", false),
            ("05:59:59", false),
            ("06:00:00", true),
            ("09:59:59", true),
            ("10:00:00", false),
        ] {
            // A Friday and a Monday.
            for day in ["2026-11-20", "2026-11-23"] {
                assert_eq!(is_peak(&format!("{day}T{time}Z")), (peak, vec![]), "{day} {time}");
            }
        }
    }

    #[test]
    fn weekends_and_holidays_have_no_peak() {
        for (day, peak, doubts) in [
            ("2026-11-21", false, vec![]),
            ("2026-11-22", false, vec![]),
            ("2026-09-24", true, vec![]),
            ("2026-09-25", false, vec![Doubt::Holiday]),
            ("2026-09-26", false, vec![]),
            ("2026-09-28", true, vec![]),
            ("2026-10-07", false, vec![Doubt::Holiday]),
            ("2026-10-08", true, vec![]),
            // A Saturday that is worked for a holiday is a Saturday all the same.
            ("2026-10-10", false, vec![]),
        ] {
            assert_eq!(is_peak(&format!("{day}T02:00:00Z")), (peak, doubts), "{day}");
        }
    }

    #[test]
    fn a_year_without_a_calendar_is_billed_as_peak_and_says_so() {
        assert_eq!(is_peak("2027-01-01T02:00:00Z"), (true, vec![Doubt::UnknownHolidays(2027)]));
        assert_eq!(is_peak("2027-01-01T05:00:00Z"), (false, vec![]));
        assert_eq!(is_peak("2027-01-02T02:00:00Z"), (false, vec![]));
        assert!(Doubt::UnknownHolidays(2027).to_string().starts_with("at most"));
    }

    #[test]
    fn holidays_that_the_caller_knows_count_instead_of_the_calendars() {
        let billing = Billing::new().holidays(2027, ["2027-01-01..2027-01-03"]).unwrap();
        let one = || json!({"prompt_tokens": 1});
        let day = |day: &str, billing: &Billing| cost(one(), &format!("{day}T02:00:00Z"), billing);
        assert!(!day("2027-01-01", &billing).peak);
        assert!(day("2027-01-04", &billing).peak && day("2027-01-04", &billing).is_certain());
        assert!(!day("2026-10-01", &billing).peak);
        let none = Billing::new().holidays(2026, [] as [&str; 0]).unwrap();
        assert!(day("2026-10-01", &none).peak && day("2026-10-01", &none).is_certain());
        assert!(Billing::new().holidays(2027, ["2028-01-01"]).is_err());
    }

    #[test]
    fn without_figures_of_a_cache_everything_is_read_anew() {
        let cost = cost(json!({"prompt_tokens":100,"completion_tokens":0}), "2026-11-22", &Billing::new());
        assert_eq!((cost.cached.tokens, cost.uncached.tokens), (0, 100));
        assert_eq!(cost.to_string(), "0.000015 USD");
    }

    #[test]
    fn figures_that_do_not_add_up_are_billed_at_the_larger_and_said() {
        for (json, cached, uncached) in [
            // 30 tokens are missing: taken as read anew.
            (json!({"prompt_tokens":100,"prompt_cache_hit_tokens":50,"prompt_cache_miss_tokens":20}), 50, 50),
            // 20 tokens too many: DeepSeek's own figure of those read anew.
            (json!({"prompt_tokens":100,"prompt_cache_hit_tokens":50,"prompt_cache_miss_tokens":70}), 50, 70),
            (json!({"prompt_tokens":10,"prompt_cache_hit_tokens":50}), 50, 0),
        ] {
            let cost = cost(json, "2026-11-22", &Billing::new());
            assert_eq!((cost.cached.tokens, cost.uncached.tokens), (cached, uncached));
            assert_eq!(cost.doubts, [Doubt::Usage]);
        }
    }

    #[test]
    fn a_currency_that_it_is_not_sold_in_has_no_cost() {
        assert!(price().cost(&usage(json!({})), at("2026-11-22"), &Billing::new().currency("EUR")).is_none());
    }

    #[test]
    fn a_price_counts_from_its_first_moment_to_before_its_end() {
        let mut price = price();
        assert!(!price.counts_at(at("2026-08-22T15:59:59Z")) && price.counts_at(at("2026-08-22T16:00:00Z")));
        price.until = Some("2026-09-10T04:00:00Z".parse().unwrap());
        assert!(price.counts_at(at("2026-09-10T03:59:59Z")) && !price.counts_at(at("2026-09-10T04:00:00Z")));
    }

    #[test]
    fn what_cannot_be_held_exactly_is_no_cost_rather_than_a_rounded_one() {
        let huge = json!({"prompt_tokens": u64::MAX, "completion_tokens": u64::MAX});
        assert_eq!(
            cost(huge.clone(), "2026-11-22", &Billing::new()).to_string(),
            "13835058055282.16371125 USD"
        );
        let mut price = price();
        let fine = "0.1234567890123456789012345678".parse().unwrap();
        price.rates.get_mut("USD").unwrap().input = fine;
        assert_eq!(price.cost(&usage(huge), at("2026-11-22"), &Billing::new()), None);
    }

    #[test]
    fn a_price_that_is_no_price_is_refused_with_what_to_write() {
        for (text, expected) in [
            (
                r#"since = "2026-01-01"
rates.USD = { input = "cheap", output = "1" }"#,
                "write it like \"0.15\"",
            ),
            (
                r#"since = "2026-01-01"
rates.USD = { input = "-1", output = "1" }"#,
                "write it like \"0.15\"",
            ),
            (
                r#"since = "2026-01-01"
rates.USD = { input = 0.15, output = "1" }"#,
                "expected a string",
            ),
            (
                r#"since = "soon"
rates.USD = { input = "1", output = "1" }"#,
                "write it like 2026-11-21",
            ),
            (
                r#"since = "2026-01-01"
rates = {}
peak = { factor = "2", hours = [["4", "25:00"]] }"#,
                "no hours of a day",
            ),
            (
                r#"since = "2026-01-01"
rates = {}
peak = { factor = "2", hours = [], holidays = "mars" }"#,
                "no calendar `mars`",
            ),
        ] {
            let error = toml::from_str::<Price>(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn the_parts_add_up_to_the_sum_and_the_peak_is_twice_as_much(
            prompt in 0u64..1 << 40, hit in 0u64..1 << 40, output in 0u64..1 << 40
        ) {
            let json = json!({"prompt_tokens":prompt,"prompt_cache_hit_tokens":hit.min(prompt),"completion_tokens":output});
            let (off, peak) = (
                cost(json.clone(), "2026-11-20T00:00:00Z", &Billing::new()),
                cost(json, "2026-11-20T02:00:00Z", &Billing::new()),
            );
            proptest::prop_assert_eq!(off.cached.amount + off.uncached.amount + off.output.amount, off.amount);
            proptest::prop_assert_eq!(off.amount * Decimal::TWO, peak.amount);
            proptest::prop_assert!(off.is_certain() && peak.is_certain());
        }
    }
}
