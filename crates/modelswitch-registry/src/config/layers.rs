//! What the configuration says of limits, breakers, caches, budgets and the ledger.

use std::fmt;

use rust_decimal::Decimal;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Unexpected, Visitor};

use super::alias::Weight;
use super::value::{Count, Flag, Period, Word, limit, number, quoted, whole};

/// What a provider may be asked at a time, and in a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LimitsConfig {
    pub(crate) requests_per_minute: Option<Count>,
    pub(crate) tokens_per_minute: Option<Count>,
    /// How many calls may run at once.
    pub(crate) concurrent: Option<Count>,
    /// How long a call waits for room; with 0 it is refused at once.
    pub(crate) wait: Option<Period>,
    /// How many tokens an answer is taken for whose length the request doesn't limit.
    pub(crate) answer_tokens: Option<Count>,
    /// Whether fewer run at once when the service says that it is too much.
    pub(crate) adaptive: Option<Flag>,
}

impl LimitsConfig {
    /// These settings, and those of `common` where they say nothing.
    pub(crate) fn or(self, common: Self) -> Self {
        Self {
            requests_per_minute: self.requests_per_minute.or(common.requests_per_minute),
            tokens_per_minute: self.tokens_per_minute.or(common.tokens_per_minute),
            concurrent: self.concurrent.or(common.concurrent),
            wait: self.wait.or(common.wait),
            answer_tokens: self.answer_tokens.or(common.answer_tokens),
            adaptive: self.adaptive.or(common.adaptive),
        }
    }
}

/// When a target is left alone, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BreakerConfig {
    pub(crate) failure_rate: Option<Share>,
    #[serde(deserialize_with = "limit")]
    pub(crate) window: Option<Period>,
    pub(crate) minimum_calls: Option<Count>,
    #[serde(deserialize_with = "limit")]
    pub(crate) rest: Option<Period>,
    #[serde(deserialize_with = "limit")]
    pub(crate) max_rest: Option<Period>,
    pub(crate) max_retry_after: Option<Period>,
    pub(crate) probes: Option<Count>,
}

/// Which answers are given again, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CacheConfig {
    #[serde(deserialize_with = "limit")]
    pub(crate) time_to_live: Option<Period>,
    /// Of all answers.
    pub(crate) max_size: Option<Size>,
    /// Of one answer.
    pub(crate) max_answer: Option<Size>,
    /// How long the same question waits for the answer to the first.
    pub(crate) max_wait: Option<Period>,
    pub(crate) max_temperature: Option<Temperature>,
    pub(crate) per_tag: Option<Flag>,
}

/// Settings of a section that can be switched off.
pub(crate) trait Section: Copy + Default {
    /// These settings, and those of `common` where they say nothing.
    fn or(self, common: Self) -> Self;
}

impl Section for BreakerConfig {
    fn or(self, common: Self) -> Self {
        Self {
            failure_rate: self.failure_rate.or(common.failure_rate),
            window: self.window.or(common.window),
            minimum_calls: self.minimum_calls.or(common.minimum_calls),
            rest: self.rest.or(common.rest),
            max_rest: self.max_rest.or(common.max_rest),
            max_retry_after: self.max_retry_after.or(common.max_retry_after),
            probes: self.probes.or(common.probes),
        }
    }
}

impl Section for CacheConfig {
    fn or(self, common: Self) -> Self {
        Self {
            time_to_live: self.time_to_live.or(common.time_to_live),
            max_size: self.max_size.or(common.max_size),
            max_answer: self.max_answer.or(common.max_answer),
            max_wait: self.max_wait.or(common.max_wait),
            max_temperature: self.max_temperature.or(common.max_temperature),
            per_tag: self.per_tag.or(common.per_tag),
        }
    }
}

/// A section that is on when it is there: `breaker = true`, `breaker = false`, or a table of settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Switch<T> {
    Off,
    On(T),
}

impl<T: Section> Switch<T> {
    /// What counts of a section and the one that stands further out; `None` where it is off.
    pub(crate) fn settle(own: Option<Self>, common: Option<Self>) -> Option<T> {
        match (own, common) {
            (Some(Self::Off), _) | (None, Some(Self::Off) | None) => None,
            (Some(Self::On(own)), Some(Self::On(common))) => Some(own.or(common)),
            (Some(Self::On(one)), Some(Self::Off) | None) | (None, Some(Self::On(one))) => Some(one),
        }
    }
}

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Switch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for Either<T> {
            type Value = Switch<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or a section with its settings")
            }
            fn visit_bool<E: de::Error>(self, on: bool) -> Result<Self::Value, E> {
                Ok(if on { Switch::On(T::default()) } else { Switch::Off })
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                match text.trim().parse() {
                    Ok(on) => self.visit_bool(on),
                    Err(_) => Err(E::invalid_value(Unexpected::Other("another text"), &self)),
                }
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Switch::On)
            }
        }
        deserializer.deserialize_any(Either(std::marker::PhantomData))
    }
}

/// How much may be spent.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BudgetConfig {
    pub(crate) hour: Option<Amount>,
    pub(crate) day: Option<Amount>,
    pub(crate) month: Option<Amount>,
    /// For whom the amounts are; for all together unless said.
    pub(crate) each: Option<Word<Each>>,
    /// What becomes of calls whose price isn't known.
    pub(crate) unpriced: Option<Word<Unpriced>>,
    /// How many tokens an answer is taken for whose length the request doesn't limit.
    pub(crate) answer_tokens: Option<Count>,
    /// Whose midnight ends a day.
    pub(crate) utc_offset: Option<UtcOffset>,
}

impl BudgetConfig {
    /// The amounts that there are, by the names of their settings.
    pub(crate) fn amounts(&self) -> impl Iterator<Item = (&'static str, &Amount)> {
        let all = [("hour", &self.hour), ("day", &self.day), ("month", &self.month)];
        all.into_iter().filter_map(|(name, amount)| Some((name, amount.as_ref()?)))
    }
}

/// For whom a budget is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Each {
    #[default]
    All,
    Tag,
    Alias,
    Target,
}

/// What a budget does with a model whose price nobody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unpriced {
    #[default]
    Refuse,
    Pass,
}

/// Where calls and their costs are written down.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LedgerConfig {
    /// A file of SQLite; in memory when left out.
    pub(crate) path: Option<String>,
}

/// A part of the whole: above 0, and 1 at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Share(pub(crate) f64);

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "a number above 0, and 1 at most, such as 0.5";
        match Weight::deserialize(deserializer) {
            Ok(Weight(share)) if share <= 1.0 => Ok(Self(share)),
            Ok(_) | Err(_) => Err(de::Error::invalid_value(Unexpected::Other("another value"), &expected)),
        }
    }
}

/// A temperature, 0 or more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Temperature(pub(crate) f64);

impl<'de> Deserialize<'de> for Temperature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        number(deserializer, "a number, 0 or more", |number| number >= 0.0).map(Self)
    }
}

/// `64MB`, or a number of bytes: at least one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Size(pub(crate) u32);

impl Size {
    fn of(bytes: u32) -> Option<Self> {
        (bytes > 0).then_some(Self(bytes))
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
        let number: u32 = text.strip_suffix(unit)?.parse().ok()?;
        let times: u32 = match unit.trim() {
            "" | "B" => 1,
            "kB" | "KB" => 1000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return None,
        };
        number.checked_mul(times).and_then(Self::of)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "a number of bytes, or a size such as \"64MB\", below 4 GiB";
        whole(deserializer, expected, Self::of, Self::parse)
    }
}

/// `+08:00`: by how many minutes clocks are ahead of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UtcOffset(pub(crate) i16);

impl UtcOffset {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let ahead = if text.starts_with('-') { -1 } else { 1 };
        let (hours, minutes) = text.strip_prefix(['+', '-'])?.split_once(':')?;
        let number = |text: &str| -> Option<i16> {
            (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
        };
        let (hours, minutes) = (number(hours)?, number(minutes)?);
        // No place is further from Greenwich.
        (hours <= 14 && minutes < 60).then_some(Self(ahead * (hours * 60 + minutes)))
    }
}

impl fmt::Display for UtcOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, minutes) = (if self.0 < 0 { '-' } else { '+' }, self.0.unsigned_abs());
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

impl<'de> Deserialize<'de> for UtcOffset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        quoted(deserializer, "a distance from UTC in quotes, such as \"+08:00\"", Self::parse)
    }
}

/// `5 USD`: a number alone doesn't say of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) number: Decimal,
    pub(crate) currency: String,
}

impl Amount {
    fn parse(text: &str) -> Option<Self> {
        let (number, currency) = text.trim().split_once(char::is_whitespace)?;
        let number: Decimal = number.parse().ok()?;
        let currency = currency.trim();
        let is_code = currency.len() == 3 && currency.chars().all(|letter| letter.is_ascii_uppercase());
        (is_code && number > Decimal::ZERO).then(|| Self { number, currency: currency.to_owned() })
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.currency)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "an amount above 0 with its currency in quotes, such as \"5 USD\"";
        quoted(deserializer, expected, Self::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_has_a_currency_and_is_exact() {
        assert_eq!(Amount::parse("0.10 USD").unwrap().to_string(), "0.10 USD");
        for wrong in ["5", "USD", "5 usd", "-1 USD", "0 USD", "5 Dollars", "5USD", "five USD"] {
            assert_eq!(Amount::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_size_is_in_bytes_unless_it_says_a_unit() {
        for (text, bytes) in
            [("5", 5), ("64MB", 64_000_000), (" 2 KiB", 2048), ("1GB", 1_000_000_000), ("7B", 7)]
        {
            assert_eq!(Size::parse(text), Some(Size(bytes)), "{text}");
        }
        for wrong in ["", "MB", "0", "0MB", "-1", "1.5MB", "5GB", "64 megabytes", "99999999999"] {
            assert_eq!(Size::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_offset_is_told_as_it_is_written() {
        for (text, minutes) in [("+08:00", 480), ("-03:30", -210), ("+00:00", 0)] {
            let offset = UtcOffset::parse(text).unwrap();
            assert_eq!((offset.0, offset.to_string().as_str()), (minutes, text));
        }
        for wrong in ["", "8", "08:00", "+8:00", "+15:00", "+08:60", "+0800", "Asia/Shanghai"] {
            assert_eq!(UtcOffset::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_section_further_in_is_laid_over_the_one_further_out_or_switches_it_off() {
        let set = |probes| BreakerConfig { probes: Some(Count(probes)), ..BreakerConfig::default() };
        let rate = BreakerConfig { failure_rate: Some(Share(0.3)), ..BreakerConfig::default() };
        let settle = |own, common| Switch::settle(own, common);
        assert_eq!(settle(None, None), None);
        assert_eq!(settle(None, Some(Switch::On(set(1)))), Some(set(1)));
        assert_eq!(settle(Some(Switch::Off), Some(Switch::On(set(1)))), None);
        assert_eq!(settle(Some(Switch::On(set(2))), Some(Switch::Off)), Some(set(2)));
        let both = BreakerConfig { probes: Some(Count(1)), ..rate };
        assert_eq!(settle(Some(Switch::On(rate)), Some(Switch::On(set(1)))), Some(both));
    }
}
