//! Whole answers that are like one before them but for their texts and numbers: nearly all of one service.

use std::fmt;
use std::sync::RwLock;
use std::sync::atomic::{AtomicU8, Ordering};

use memchr::memchr2;

/// Knows answers again that are written as one that conformed, with other texts and other numbers in it, without reading them.
///
/// A service writes the same members in the same order into each of its answers. Which of them conform is known after the first,
/// and is seen in a tenth of the time that reading takes.
#[derive(Default)]
pub(in crate::dialect) struct Moulds {
    known: RwLock<Vec<Mould>>,
    /// How many were made one after the other that no answer fitted.
    in_vain: AtomicU8,
}

/// What is said, and must be in every answer of a form: an empty one has to be looked at more closely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dialect) enum Form {
    /// Each message has a text and no calls.
    Texts,
    /// Each message has one call. Of two the ids would have to be compared.
    Calls,
}

/// An answer, an answer that was cut and a call, each with reasoning and without.
const MOST: usize = 6;
/// A service that writes something else into each answer, such as an id of its own, is read as before.
const MOST_IN_VAIN: u8 = 12;
/// Of an answer without its texts. What is larger has lists in it that are another each time.
const LARGEST: usize = 4096;

impl Moulds {
    /// True for an answer that fits one of the moulds.
    pub(in crate::dialect) fn fit(&self, body: &[u8]) -> bool {
        // Whoever finds it locked reads the answer, which takes less time than waiting may.
        let Ok(known) = self.known.try_read() else { return false };
        let fits = known.iter().any(|mould| mould.fits(body)) && std::str::from_utf8(body).is_ok();
        if fits && self.in_vain.load(Ordering::Relaxed) > 0 {
            self.in_vain.store(0, Ordering::Relaxed);
        }
        fits
    }

    /// Keeps the mould of an answer that conforms, which is JSON.
    pub(in crate::dialect) fn learn(&self, body: &str, form: Form) {
        if self.in_vain.load(Ordering::Relaxed) >= MOST_IN_VAIN {
            return;
        }
        let (Some(mould), Ok(mut known)) = (Mould::of(body, form), self.known.try_write()) else { return };
        self.in_vain.fetch_add(1, Ordering::Relaxed);
        known.truncate(MOST - 1);
        known.insert(0, mould);
    }
}

/// The number only: what is in an answer is what somebody paid for.
impl fmt::Debug for Moulds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.known.try_read().map_or(0, |known| known.len());
        write!(f, "Moulds({count})")
    }
}

/// An answer without its texts and numbers.
struct Mould {
    /// What is written before each gap, and what may stand in it.
    parts: Vec<(Box<[u8]>, Gap)>,
    /// What is written after the last.
    end: Box<[u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gap {
    /// Between the quotes of a string.
    Text,
    /// The same, and not empty.
    Said,
    /// Nothing but digits, of a number that any type of async-openai holds.
    Number,
    /// Digits after a point.
    Fraction,
}

impl Mould {
    fn of(body: &str, form: Form) -> Option<Self> {
        let (mut parts, mut written, mut size) = (Vec::new(), 0, 0);
        for (place, gap) in gaps(body.as_bytes(), form)? {
            let before = body.as_bytes().get(written..place.start)?;
            size += before.len();
            parts.push((before.into(), gap));
            written = place.end;
        }
        let end = body.as_bytes().get(written..)?;
        (size + end.len() <= LARGEST).then(|| Self { parts, end: end.into() })
    }

    /// True for what is the same but for its gaps. Whether it is UTF-8 is not looked at.
    fn fits(&self, body: &[u8]) -> bool {
        let take = |mut rest: &'_ [u8]| {
            for (before, gap) in &self.parts {
                rest = rest.strip_prefix(&**before)?;
                rest = rest.get(gap.length(rest)?..)?;
            }
            Some(rest == &*self.end)
        };
        take(body).unwrap_or(false)
    }
}

impl Gap {
    /// How many of the bytes are in it; `None` where they can't be.
    fn length(self, bytes: &[u8]) -> Option<usize> {
        let digits = || bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        match self {
            Self::Text => text_length(bytes),
            Self::Said => text_length(bytes).filter(|length| *length > 0),
            Self::Number => {
                Some(digits()).filter(|length| is_small(bytes.get(..*length).unwrap_or_default()))
            }
            Self::Fraction => Some(digits()).filter(|length| (1..=20).contains(length)),
        }
    }
}

/// A number in JSON that is at most the largest of 32 bits: a time as of now has ten digits.
fn is_small(digits: &[u8]) -> bool {
    match digits {
        [_] => true,
        [b'1'..=b'9', rest @ ..] => rest.len() < 9 || (rest.len() == 9 && digits.first() == Some(&b'1')),
        _ => false,
    }
}

/// The length of a text up to its closing quote. Of what is escaped, only what is escaped by one letter: whether the others are right
/// takes more than a look.
fn text_length(bytes: &[u8]) -> Option<usize> {
    let mut end = 0;
    loop {
        end += memchr2(b'"', b'\\', bytes.get(end..)?)?;
        match bytes.get(end..)? {
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => end += 2,
            [b'\\', ..] => return None,
            _ => break,
        }
    }
    // Without an end in the middle, so that many are looked at at once.
    let has_control = bytes.get(..end)?.iter().fold(false, |found, byte| found | (*byte < 0x20));
    (!has_control).then_some(end)
}

/// Where the texts and the numbers are that may be any.
fn gaps(body: &[u8], form: Form) -> Option<Vec<(std::ops::Range<usize>, Gap)>> {
    // The names of the objects and lists around a place, and the name before it. What is in a list has none.
    let (mut around, mut name, mut at): (Vec<&[u8]>, &[u8], usize) = (Vec::new(), b"", 0);
    let mut found = Vec::new();
    while let Some(byte) = body.get(at) {
        match byte {
            b'{' | b'[' => around.push(std::mem::take(&mut name)),
            b'}' | b']' => {
                around.pop();
                name = b"";
            }
            b'"' => {
                let place = at + 1..at + 1 + text_end(body.get(at + 1..)?)?;
                let is_name = body.get(place.end + 1..)?.trim_ascii_start().starts_with(b":");
                at = place.end;
                if is_name {
                    name = body.get(place)?;
                } else if let Some(gap) = text_gap(&around, name, form) {
                    found.push((place, gap));
                }
            }
            b'0'..=b'9' => {
                let length = body.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
                match (body.get(..at)?, body.get(at + length)) {
                    // What these make of it may be more than a number holds.
                    ([.., b'e' | b'E' | b'+'] | [.., b'e' | b'E', b'-'], _) | (_, Some(b'e' | b'E')) => {}
                    ([.., b'.'], _) => found.push((at..at + length, Gap::Fraction)),
                    _ => found.push((at..at + length, Gap::Number)),
                }
                at += length - 1;
            }
            _ => {}
        }
        at += 1;
    }
    Some(found)
}

/// The length of a text up to its closing quote, whatever is escaped.
fn text_end(bytes: &[u8]) -> Option<usize> {
    let mut end = 0;
    loop {
        end += memchr2(b'"', b'\\', bytes.get(end..)?)?;
        if bytes.get(end) == Some(&b'"') {
            return Some(end);
        }
        end += 2;
    }
}

/// What the text of a member may be; `None` for those that mean something.
fn text_gap(around: &[&[u8]], name: &[u8], form: Form) -> Option<Gap> {
    match (around, name) {
        ([b""], b"id" | b"model" | b"system_fingerprint") => Some(Gap::Text),
        ([b"", b"choices", b"", b"message", inner @ ..], name) => match (inner, name) {
            ([], b"content") if form == Form::Texts => Some(Gap::Said),
            ([], b"content" | b"reasoning_content") => Some(Gap::Text),
            ([b"tool_calls", b""], b"id") if form == Form::Calls => Some(Gap::Said),
            ([b"tool_calls", b"", b"function"], b"name" | b"arguments") => Some(Gap::Text),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"id":"1","object":"chat.completion","created":1764028800,"model":"m","took":0.05,"choices":[{"index":0,"message":{"role":"assistant","content":"hi \"you\"\n"},"finish_reason":"stop"}],"usage":{"total_tokens":3}}"#;
    const CALL: &str = r#"{"id":"1","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},"finish_reason":"tool_calls"}]}"#;

    fn known(body: &str, form: Form) -> Moulds {
        let moulds = Moulds::default();
        moulds.learn(body, form);
        moulds
    }

    #[test]
    fn other_texts_and_numbers_in_the_same_answer_fit() {
        let answers = known(ANSWER, Form::Texts);
        assert!(answers.fit(ANSWER.as_bytes()));
        for (from, to) in [
            (r#""id":"1""#, r#""id":"chatcmpl-2""#),
            (r#"hi \"you\"\n"#, "straße, 数 [{:,}]"),
            ("1764028800", "0"),
            ("1764028800", "999999999"),
            ("0.05", "12.250"),
            (r#""total_tokens":3"#, r#""total_tokens":1024"#),
        ] {
            assert!(answers.fit(ANSWER.replace(from, to).as_bytes()), "{to}");
        }
        let calls = known(CALL, Form::Calls);
        assert!(calls.fit(CALL.replace(r#"{\"a\":1}"#, "").replace(r#""c""#, r#""call_1""#).as_bytes()));
    }

    #[test]
    fn whatever_else_differs_is_read() {
        let answers = known(ANSWER, Form::Texts);
        for (from, to) in [
            (r#"hi \"you\"\n"#, ""),
            (r#"hi \"you\"\n"#, r"\u00e9"),
            (r#"hi \"you\"\n"#, "\t"),
            (r#"hi \"you\"\n"#, r#"hi","refusal":"no"#),
            ("assistant", "user"),
            ("stop", "eos"),
            ("chat.completion", "error"),
            ("1764028800", "2764028800"),
            ("1764028800", "17640288000"),
            ("1764028800", "01"),
            ("1764028800", "-1"),
            ("1764028800", "1.5"),
            ("1764028800", ""),
            ("0.05", "0."),
            ("0.05", "0.05e9"),
            ("\"usage\"", "\"error\""),
            ("]", "],\"error\":{}"),
            ("}}", "}} "),
        ] {
            let answer = ANSWER.replacen(from, to, 1);
            assert!(answer != ANSWER && !answers.fit(answer.as_bytes()), "{answer}");
        }
        let broken = ANSWER.replace("you", "\u{1}").into_bytes();
        let broken: Vec<u8> = broken.into_iter().map(|byte| if byte == 1 { 0xFF } else { byte }).collect();
        assert!(!answers.fit(&broken), "it is no UTF-8");
        let calls = known(CALL, Form::Calls);
        assert!(!calls.fit(CALL.replace(r#""c""#, r#""""#).as_bytes()));
        assert!(!Moulds::default().fit(ANSWER.as_bytes()));
    }

    #[test]
    fn what_never_helps_is_learnt_no_more_and_the_last_few_are_kept() {
        let moulds = Moulds::default();
        let other = |number: u8| ANSWER.replace("\"took\"", &format!("\"took_{number}\""));
        for number in 0..MOST_IN_VAIN {
            moulds.learn(&other(number), Form::Texts);
        }
        moulds.learn(&other(100), Form::Texts);
        assert!(!moulds.fit(other(100).as_bytes()) && !moulds.fit(other(0).as_bytes()));
        assert!(moulds.fit(other(MOST_IN_VAIN - 1).as_bytes()));
        moulds.learn(&other(100), Form::Texts);
        assert!(moulds.fit(other(100).as_bytes()));
        assert_eq!(format!("{moulds:?}"), format!("Moulds({MOST})"));
    }

    #[test]
    fn an_answer_that_is_mostly_something_else_is_not_kept() {
        let moulds = Moulds::default();
        moulds.learn(&ANSWER.replace("\"took\"", &format!("\"{}\"", "x".repeat(LARGEST))), Form::Texts);
        assert_eq!(format!("{moulds:?}"), "Moulds(0)");
    }
}
