//! Chunks that are like one before them but for a piece of text: most of them, of most services.

use std::fmt;

/// Knows a chunk of a stream again that differs from another in one piece of text alone, without reading it.
///
/// A stream repeats itself thousands of times around a few new letters each. Whoever has read one of its chunks knows what is in
/// the others, which is seen in a twentieth of the time that reading them takes.
///
/// ```
/// use modelswitch_provider::Alike;
///
/// let mut alike = Alike::default();
/// let chunk = r#"{"choices":[{"index":0,"delta":{"content":"9"}}]}"#;
/// let place = chunk.find('9').unwrap_or_default();
/// alike.learn(chunk.as_bytes(), &chunk[place..=place]);
/// assert_eq!(alike.text_of(br#"{"choices":[{"index":0,"delta":{"content":".8\n"}}]}"#), Some(r".8\n"));
/// assert_eq!(alike.text_of(br#"{"choices":[{"index":1,"delta":{"content":".8"}}]}"#), None);
/// ```
#[derive(Default)]
pub struct Alike {
    chunk: Vec<u8>,
    /// Where its text begins and ends, between the quotes.
    text: std::ops::Range<usize>,
    /// How many were learnt one after the other that none was like.
    in_vain: u8,
}

/// The size only: a chunk is what somebody paid for.
impl fmt::Debug for Alike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Alike({} B)", self.chunk.len())
    }
}

/// A service that writes something else into each chunk, such as a number, is read as before.
const MOST_IN_VAIN: u8 = 8;

impl Alike {
    /// True when none was like the last few that were learnt: then no more are.
    pub fn has_given_up(&self) -> bool {
        self.in_vain >= MOST_IN_VAIN
    }

    /// Learns a chunk, which is JSON, and its piece of text: a part of the same bytes, all that stands between the quotes of one
    /// string. False when it was not learnt.
    pub fn learn(&mut self, chunk: &[u8], text: &str) -> bool {
        if self.has_given_up() {
            return false;
        }
        self.in_vain += 1;
        let start = text.as_ptr().addr().wrapping_sub(chunk.as_ptr().addr());
        let end = start.saturating_add(text.len());
        self.chunk.clear();
        let is_a_part = start > 0 && end < chunk.len();
        if is_a_part {
            self.chunk.extend_from_slice(chunk);
            self.text = start..end;
        }
        is_a_part
    }

    /// The piece of text, as it is written in JSON, of a chunk that differs from the one that was learnt in it alone. `None` for
    /// others, and for a text with `\u` in it.
    pub fn text_of<'a>(&mut self, chunk: &'a [u8]) -> Option<&'a str> {
        if self.chunk.is_empty() {
            return None;
        }
        let (before, after) = (self.chunk.get(..self.text.start)?, self.chunk.get(self.text.end..)?);
        let text = chunk.strip_prefix(before)?.strip_suffix(after)?;
        let text = std::str::from_utf8(text).ok().filter(|text| is_inside_of_a_string(text))?;
        self.in_vain = 0;
        Some(text)
    }
}

/// True for what may stand between the quotes of a string in JSON. Of what is escaped, only what is escaped by one letter:
/// whether the others are right takes more than a look.
fn is_inside_of_a_string(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let is_right = match byte {
            0..=0x1F | b'"' => false,
            b'\\' => matches!(bytes.next(), Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')),
            _ => true,
        };
        if !is_right {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: &str = r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}"#;

    fn with_text(text: &str) -> String {
        CHUNK.replace("\"a\"", &format!("\"{text}\""))
    }

    fn learn(alike: &mut Alike, chunk: &str) {
        let place = chunk.find("\"a\"").unwrap() + 1;
        alike.learn(chunk.as_bytes(), &chunk[place..place + 1]);
    }

    fn alike() -> Alike {
        let mut alike = Alike::default();
        learn(&mut alike, CHUNK);
        alike
    }

    #[test]
    fn another_text_in_the_same_chunk_is_alike() {
        for text in ["", "b", "straße, 数", "{[:,]}", r#"a \"word\"\n"#, r"\\"] {
            assert_eq!(alike().text_of(with_text(text).as_bytes()), Some(text));
        }
    }

    #[test]
    fn whatever_else_differs_is_read() {
        for chunk in [
            with_text(r#"b","role":"x"#),
            with_text(r"\u00e9"),
            with_text(r"\x"),
            with_text("\\"),
            with_text("\u{1}"),
            CHUNK.replace("\"a\"", "null"),
            CHUNK.replace("null", "\"stop\""),
            CHUNK.replace('0', "1"),
            CHUNK.replace("\"a\"", ""),
            String::new(),
        ] {
            assert_eq!(alike().text_of(chunk.as_bytes()), None, "{chunk}");
        }
        assert_eq!(Alike::default().text_of(b""), None);
    }

    #[test]
    fn what_was_learnt_is_not_shown() {
        assert_eq!(format!("{:?}", alike()), format!("Alike({} B)", CHUNK.len()));
    }

    #[test]
    fn a_text_from_elsewhere_makes_nothing_alike() {
        let mut alike = Alike::default();
        alike.learn(CHUNK.as_bytes(), "a");
        assert_eq!(alike.text_of(CHUNK.as_bytes()), None);
    }

    #[test]
    fn what_never_helps_is_learnt_no_more_and_what_helps_is_learnt_again() {
        let numbered = |number: usize| CHUNK.replace(":0", &format!(":{number}"));
        let mut alike = Alike::default();
        for number in 0..usize::from(MOST_IN_VAIN) {
            learn(&mut alike, &numbered(number));
        }
        let last = numbered(usize::from(MOST_IN_VAIN) - 1);
        learn(&mut alike, &numbered(100));
        assert_eq!(alike.text_of(numbered(100).as_bytes()), None);
        assert_eq!(alike.text_of(last.as_bytes()), Some("a"));
        learn(&mut alike, &numbered(100));
        assert_eq!(alike.text_of(numbered(100).as_bytes()), Some("a"));
    }
}
