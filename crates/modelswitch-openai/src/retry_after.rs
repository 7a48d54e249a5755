//! How long a service wants to be left alone, wherever it says so: in headers, or in the words of an error.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;

/// By the headers that say it outright: `retry-after-ms` (OpenAI's own, in milliseconds), or `retry-after` in seconds, in
/// fractions of them, or as a date. A date that has passed is zero.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    if let Some(wait) = header(headers, "retry-after-ms").and_then(|text| number(text, 0.001)) {
        return Some(wait);
    }
    moment_or_duration(header(headers, "retry-after")?)
}

/// By the headers that tell when limits start anew: `x-ratelimit-reset-requests`, `anthropic-ratelimit-tokens-reset` and
/// their like, as durations, seconds, dates, or seconds and milliseconds since 1970.
///
/// Such headers come with every answer, so they mean something beside a refusal only. Of several limits those count that
/// nothing remains of; when none says so, it is the one that starts anew first.
pub(crate) fn reset(headers: &HeaderMap) -> Option<Duration> {
    let resets = || {
        headers.keys().filter_map(|name| {
            let name = name.as_str();
            let is_limit = name.contains("ratelimit") && name.split('-').any(|part| part == "reset");
            let wait = is_limit.then(|| header(headers, name)).flatten().and_then(moment_or_duration)?;
            let remaining = name.replace("reset", "remaining");
            let is_spent = header(headers, &remaining).and_then(|text| text.parse::<f64>().ok()) == Some(0.0);
            Some((is_spent, wait))
        })
    };
    let spent = resets().filter(|(is_spent, _)| *is_spent).map(|(_, wait)| wait).max();
    spent.or_else(|| resets().map(|(_, wait)| wait).min())
}

/// By a sentence, such as “Please try again in 7.66s” or “please retry after 60 seconds”. It is in lower case.
pub(crate) fn in_sentence(sentence: &str) -> Option<Duration> {
    const BEFORE: [&str; 4] = ["try again in ", "try again after ", "retry in ", "retry after "];
    let rest = BEFORE.iter().find_map(|before| sentence.split_once(before)).map(|(_, rest)| rest)?;
    // The full stop of the sentence may stand at the unit.
    leading_duration(rest)
}

/// A duration as services write it: `12s`, `7.66s`, `20ms`, `2m59.56s`, `1h2m3s`, `60 seconds`. `None` for anything else
/// and for a number without a unit.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    leading_duration(text)
        .filter(|_| text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | ' ')))
}

/// Seconds since 1970 that were a duration would be thirty years.
const FIRST_MOMENT: f64 = 1e9;
const FIRST_MOMENT_IN_MILLIS: f64 = 1e12;

/// What a header or member says: a duration, plain seconds, a date, or seconds or milliseconds since 1970.
pub(crate) fn moment_or_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        return match number {
            n if n >= FIRST_MOMENT_IN_MILLIS => until(UNIX_EPOCH.checked_add(seconds(n * 0.001)?)?),
            n if n >= FIRST_MOMENT => until(UNIX_EPOCH.checked_add(seconds(n)?)?),
            n => seconds(n),
        };
    }
    let date = || httpdate::parse_http_date(text).ok().or_else(|| humantime::parse_rfc3339(text).ok());
    duration(text).or_else(|| until(date()?))
}

fn until(then: SystemTime) -> Option<Duration> {
    Some(then.duration_since(SystemTime::now()).unwrap_or_default())
}

/// Numbers with units, one after the other, up to the first word that is neither.
fn leading_duration(text: &str) -> Option<Duration> {
    let (mut rest, mut total) = (text.trim_start(), None::<f64>);
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at_checked(digits)?;
        let after = after.trim_start();
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(letters)?;
        let Some((number, unit)) = number.parse::<f64>().ok().zip(unit_in_seconds(unit)) else { break };
        total = Some(total.unwrap_or_default() + number * unit);
        rest = after.trim_start();
    }
    seconds(total?)
}

fn unit_in_seconds(unit: &str) -> Option<f64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "ms" | "millisecond" | "milliseconds" => 0.001,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600.0,
        "d" | "day" | "days" => 86_400.0,
        _ => return None,
    })
}

/// The text of a header.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn number(text: &str, unit: f64) -> Option<Duration> {
    seconds(text.parse::<f64>().ok()? * unit)
}

fn seconds(seconds: f64) -> Option<Duration> {
    seconds.is_finite().then(|| Duration::try_from_secs_f64(seconds.max(0.0)).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn read(name: &'static str, value: &str) -> Option<Duration> {
        retry_after(&headers(&[(name, value)]))
    }

    #[test]
    fn every_form_is_understood_and_nonsense_is_none() {
        let seconds = |text| read("retry-after", text).map(|wait| wait.as_secs_f64());
        assert_eq!(seconds("3"), Some(3.0));
        assert_eq!(seconds("0.5"), Some(0.5));
        assert_eq!(seconds("3600"), Some(3600.0));
        assert_eq!(seconds("-1"), Some(0.0));
        assert_eq!(seconds("12s"), Some(12.0));
        for nonsense in ["soon", "", "NaN", "inf", "1e300", "-inf", "s", "1 fortnight", "....", "1..2s"] {
            assert_eq!(seconds(nonsense), None, "{nonsense}");
        }
        assert_eq!(read("retry-after-ms", "250"), Some(Duration::from_millis(250)));
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(86_400));
        assert!(seconds(&date).is_some_and(|wait| (1_000.0..=86_400.0).contains(&wait)));
        assert_eq!(seconds("Wed, 21 Oct 2015 07:28:00 GMT"), Some(0.0));
    }

    #[test]
    fn a_moment_since_1970_is_told_from_a_duration() {
        let then = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() + 86_400.0;
        for text in [format!("{then}"), format!("{}", then * 1_000.0)] {
            let wait = moment_or_duration(&text).unwrap().as_secs_f64();
            assert!((1_000.0..=86_400.0).contains(&wait), "{text}: {wait}");
        }
        assert_eq!(moment_or_duration("1700000000"), Some(Duration::ZERO));
    }

    #[test]
    fn durations_are_read_as_services_write_them() {
        for (text, seconds) in [
            ("7.66s", 7.66),
            ("20ms", 0.02),
            ("1m2s", 62.0),
            ("2m59.56s", 179.56),
            ("1h2m3s", 3_723.0),
            ("6m0s", 360.0),
            ("60 seconds", 60.0),
            ("1 minute 5 seconds", 65.0),
        ] {
            assert_eq!(duration(text).map(|wait| wait.as_secs_f64()), Some(seconds), "{text}");
        }
        for nonsense in ["", "7", "later", "1x", "s7"] {
            assert_eq!(duration(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_sentence_tells_how_long() {
        for (sentence, millis) in [
            ("limit 30000, used 18928. please try again in 174ms. visit https://example.com", 174),
            ("please try again in 6.596s.", 6_596),
            ("please retry in 11.5s.", 11_500),
            ("please retry after 60 seconds. to increase it, go elsewhere", 60_000),
            ("max request: 3, please try again after 1 seconds", 1_000),
            ("try again in 7m12s. need more tokens?", 432_000),
        ] {
            assert_eq!(in_sentence(sentence), Some(Duration::from_millis(millis)), "{sentence}");
        }
        for silent in ["try again in a while", "please try again later", "retry after that", "5 s"] {
            assert_eq!(in_sentence(silent), None, "{silent}");
        }
    }

    #[test]
    fn of_several_limits_the_spent_one_counts() {
        let of = |pairs: &[(&'static str, &str)]| reset(&headers(pairs)).map(|wait| wait.as_secs_f64());
        assert_eq!(
            of(&[
                ("x-ratelimit-remaining-requests", "14370"),
                ("x-ratelimit-reset-requests", "2m59.56s"),
                ("x-ratelimit-remaining-tokens", "0"),
                ("x-ratelimit-reset-tokens", "7.66s"),
            ]),
            Some(7.66)
        );
        assert_eq!(
            of(&[("x-ratelimit-reset-requests", "9s"), ("x-ratelimit-reset-tokens", "8s")]),
            Some(8.0)
        );
        assert_eq!(of(&[("anthropic-ratelimit-tokens-reset", "2020-01-01T00:00:00Z")]), Some(0.0));
        assert_eq!(of(&[("x-ratelimit-limit", "5")]), None);
    }
}
