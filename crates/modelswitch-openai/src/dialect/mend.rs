//! JSON as some servers write it.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde_json::Result;

/// Reads JSON. Where that fails, it is read as it was meant: half of a surrogate pair and bytes that are no UTF-8 (text that
/// was cut in the middle of a character) become the replacement character, a control character inside of a text stands for
/// itself, and `NaN` and the infinities, of which Python makes numbers, become `null`.
///
/// # Errors
/// As without.
pub(super) fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T> {
    let read = serde_json::from_slice(text);
    match read {
        Err(error) if !error.is_eof() => match mended(&String::from_utf8_lossy(text)) {
            Cow::Owned(mended) => serde_json::from_str(&mended).map_err(|_| error),
            Cow::Borrowed(_) if std::str::from_utf8(text).is_err() => {
                serde_json::from_str(&String::from_utf8_lossy(text)).map_err(|_| error)
            }
            Cow::Borrowed(_) => Err(error),
        },
        read => read,
    }
}

/// Borrowed when there is nothing to mend.
fn mended(text: &str) -> Cow<'_, str> {
    let mut out = Cow::Borrowed("");
    let (mut rest, mut in_text) = (text, false);
    while let Some(first) = rest.chars().next() {
        let (taken, meant) = if in_text { in_string(rest, first) } else { outside(rest, first) };
        in_text ^= first == '"';
        let (piece, after) = rest.split_at_checked(taken).unwrap_or((rest, ""));
        match (meant, &mut out) {
            (None, Cow::Borrowed(all)) => *all = text.get(..text.len() - after.len()).unwrap_or(text),
            (None, Cow::Owned(all)) => all.push_str(piece),
            (Some(meant), all) => all.to_mut().push_str(&meant),
        }
        rest = after;
    }
    out
}

/// How many bytes to take of a text, and what they mean where it is something else.
fn in_string(rest: &str, first: char) -> (usize, Option<Cow<'static, str>>) {
    match first {
        '\\' => match code_unit(rest) {
            Some(0xD800..=0xDBFF) => {
                let low = rest.get(6..).and_then(code_unit);
                if matches!(low, Some(0xDC00..=0xDFFF)) { (12, None) } else { (6, Some("\\ufffd".into())) }
            }
            Some(0xDC00..=0xDFFF) => (6, Some("\\ufffd".into())),
            Some(_) => (6, None),
            None => (1 + rest.chars().nth(1).map_or(0, char::len_utf8), None),
        },
        '\0'..='\u{1f}' => (1, Some(format!("\\u{:04x}", u32::from(first)).into())),
        _ => (first.len_utf8(), None),
    }
}

fn code_unit(escape: &str) -> Option<u16> {
    let digits = escape.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

fn outside(rest: &str, first: char) -> (usize, Option<Cow<'static, str>>) {
    let no_number = ["NaN", "-NaN", "Infinity", "-Infinity"].into_iter().find(|word| rest.starts_with(word));
    match no_number {
        Some(word) => (word.len(), Some("null".into())),
        None => (first.len_utf8(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn what_servers_write_is_read_as_it_was_meant() {
        for (text, meant) in [
            (&br#"{"a":"x\ud83d"}"#[..], json!({"a":"x\u{fffd}"})),
            (br#"{"a":"\ude00\ud83d\ude00"}"#, json!({"a":"\u{fffd}\u{1f600}"})),
            (br#"{"a":"\ud83dNaN \\ud83d"}"#, json!({"a":"\u{fffd}NaN \\ud83d"})),
            (b"{\"a\":\"x\xff\"}", json!({"a":"x\u{fffd}"})),
            (b"{\"a\":\"x\ty\nz\"}", json!({"a":"x\ty\nz"})),
            (br#"{"a":[NaN,-Infinity,Infinity,"NaN \" NaN"]}"#, json!({"a":[null,null,null,"NaN \" NaN"]})),
        ] {
            assert_eq!(parse::<Value>(text).unwrap(), meant);
        }
    }

    #[test]
    fn what_is_no_json_at_all_stays_an_error() {
        for text in [&b"oops"[..], b"{\"a\":", b"{\"a\":\"\\u12", b"\xff", b"\"\\", b"{'a':1}"] {
            assert!(parse::<Value>(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn sound_json_is_never_changed(text in "[\\PC\\\\\"n\u{0}-\u{20}]{0,40}") {
            let json = json!({"a":text}).to_string();
            prop_assert!(matches!(mended(&json), Cow::Borrowed(same) if same == json));
        }

        #[test]
        fn any_bytes_are_read_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = parse::<Value>(&bytes);
        }
    }
}
