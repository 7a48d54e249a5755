//! Chunks that are like one before them but for a piece of text: most of them, of most services.

/// A chunk that conformed and told nothing but a piece of text. What differs from it in that piece alone conforms too, and
/// tells nothing else, which is seen without reading it.
#[derive(Debug, Default)]
pub(crate) struct Alike {
    chunk: Vec<u8>,
    /// Where its text begins and ends, between the quotes.
    text: std::ops::Range<usize>,
    /// How many were learnt one after the other that none was like.
    in_vain: u8,
}

/// A service that writes something else into each chunk, such as a number, is read as before.
const MOST_IN_VAIN: u8 = 8;

impl Alike {
    /// Learns a chunk and its piece of text, as it stands in it. False when that has come to nothing too often.
    pub(crate) fn learn(&mut self, chunk: &[u8], text: &str) -> bool {
        if self.in_vain >= MOST_IN_VAIN {
            return false;
        }
        self.in_vain += 1;
        // It is a part of the same bytes.
        let start = text.as_ptr().addr().wrapping_sub(chunk.as_ptr().addr());
        let end = start.saturating_add(text.len());
        self.chunk.clear();
        if start > 0 && end < chunk.len() {
            self.chunk.extend_from_slice(chunk);
            self.text = start..end;
        }
        true
    }

    /// The piece of text, as it is written, of a chunk that differs in it alone.
    pub(crate) fn text_of<'a>(&mut self, chunk: &'a [u8]) -> Option<&'a str> {
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
