//! Strings of a format, a pattern or a length.

use serde_json::{Map, Value};

use super::{pattern, size};

/// The `nth` string of a schema, `word` where it is free.
pub(super) fn string(fields: &Map<String, Value>, word: &str, nth: usize) -> String {
    let format = fields.get("format").and_then(Value::as_str).and_then(|format| formatted(format, nth));
    if let Some(text) = format {
        return text;
    }
    let by_pattern =
        fields.get("pattern").and_then(Value::as_str).and_then(|text| pattern::example(text, word));
    if let Some(text) = by_pattern {
        return text;
    }
    let text = if nth == 0 { word.to_owned() } else { format!("{word} {}", nth + 1) };
    let least = size(fields, "minLength").unwrap_or(0).min(10_000);
    let most = size(fields, "maxLength").unwrap_or(usize::MAX);
    let padding = std::iter::repeat_n('x', least.saturating_sub(text.chars().count()));
    // What makes it different stands at its end.
    let skip = if nth == 0 { 0 } else { text.chars().count().saturating_sub(most) };
    text.chars().skip(skip).take(most).chain(padding).collect()
}

fn formatted(format: &str, nth: usize) -> Option<String> {
    let one = nth % 99 + 1;
    Some(match format {
        "email" | "idn-email" if nth == 0 => "simulated@example.com".to_owned(),
        "email" | "idn-email" => format!("simulated{one}@example.com"),
        "hostname" | "idn-hostname" if nth == 0 => "example.com".to_owned(),
        "hostname" | "idn-hostname" => format!("host{one}.example.com"),
        "ipv4" => format!("192.0.2.{one}"),
        "ipv6" => format!("2001:db8::{one}"),
        "uuid" => format!("00000000-0000-4000-8000-{nth:012}"),
        "date" => format!("{}-01-01", 2026 + nth),
        "time" => format!("00:00:{:02}Z", nth % 60),
        "date-time" => format!("{}-01-01T00:00:00Z", 2026 + nth),
        "duration" => format!("P{one}D"),
        "uri" | "url" | "iri" | "uri-reference" if nth == 0 => "https://example.com/".to_owned(),
        "uri" | "url" | "iri" | "uri-reference" => format!("https://example.com/{one}"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn strings_have_their_form() {
        for (schema, expected) in [
            (json!({}), "Paris"),
            (json!({"format": "ipv4"}), "192.0.2.1"),
            (json!({"format": "unheard-of"}), "Paris"),
            (json!({"pattern": "^[A-Z]{3}-\\d+$"}), "AAA-0"),
            (json!({"minLength": 8}), "Parisxxx"),
            (json!({"maxLength": 2}), "Pa"),
        ] {
            assert_eq!(string(schema.as_object().unwrap(), "Paris", 0), expected, "{schema}");
        }
    }
}
