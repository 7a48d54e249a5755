use std::time::{Duration, SystemTime};

use http::HeaderMap;

/// How long a service wants to be left alone, by its headers: `retry-after-ms` (OpenAI's own, in milliseconds), or
/// `retry-after` in seconds, in fractions of them, or as a date. A date that has passed is zero.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    if let Some(wait) = text("retry-after-ms").and_then(|text| number(text, 0.001)) {
        return Some(wait);
    }
    let text = text("retry-after")?;
    number(text, 1.0).or_else(|| {
        let then = httpdate::parse_http_date(text).ok()?;
        Some(then.duration_since(SystemTime::now()).unwrap_or_default())
    })
}

fn number(text: &str, unit: f64) -> Option<Duration> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite())? * unit;
    Duration::try_from_secs_f64(seconds.max(0.0)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &'static str, value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        retry_after(&headers)
    }

    #[test]
    fn every_form_is_understood_and_nonsense_is_none() {
        let seconds = |text| read("retry-after", text).map(|wait| wait.as_secs_f64());
        assert_eq!(seconds("3"), Some(3.0));
        assert_eq!(seconds("0.5"), Some(0.5));
        assert_eq!(seconds("3600"), Some(3600.0));
        assert_eq!(seconds("-1"), Some(0.0));
        for nonsense in ["soon", "", "NaN", "inf", "1e300"] {
            assert_eq!(seconds(nonsense), None, "{nonsense}");
        }
        assert_eq!(read("retry-after-ms", "250"), Some(Duration::from_millis(250)));
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60));
        assert!(seconds(&date).is_some_and(|wait| (50.0..=60.0).contains(&wait)));
        assert_eq!(seconds("Wed, 21 Oct 2015 07:28:00 GMT"), Some(0.0));
    }
}
