use std::sync::LazyLock;

use memchr::memmem::Finder;

/// Where a JSON text has reasoning, and reasons why an answer ended, found out in one search and without reading it. Text inside
/// of strings is never taken for it: its quotes are escaped.
///
/// ```
/// use modelswitch_provider::Reasons;
///
/// let found = Reasons::of(br#"{"delta":{"reasoning_content":"Hm."},"finish_reason":null}"#);
/// assert!(found.reasoning && !found.finish);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reasons {
    /// `reasoning_content` or `reasoning` is a text with something in it, at whatever depth.
    pub reasoning: bool,
    /// `finish_reason` is a text.
    pub finish: bool,
    /// `stop_reason` is a text, as in Anthropic's messages.
    pub stop: bool,
}

/// In all of them.
const WORD: &[u8] = b"reason";

impl Reasons {
    /// Looks for them.
    pub fn of(json: &[u8]) -> Self {
        static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(WORD));
        let mut found = Self::default();
        for at in FINDER.find_iter(json) {
            let (before, rest) = json.split_at(at);
            found.take(before, rest.get(WORD.len()..).unwrap_or_default());
        }
        found
    }

    fn take(&mut self, before: &[u8], after: &[u8]) {
        if let Some(rest) = after.strip_prefix(b"ing") {
            let rest = rest.strip_prefix(b"_content").unwrap_or(rest);
            self.reasoning |=
                before.ends_with(b"\"") && matches!(value_after(rest), [b'"', next, ..] if *next != b'"');
        } else if before.ends_with(b"\"finish_") {
            self.finish |= value_after(after).starts_with(b"\"");
        } else if before.ends_with(b"\"stop_") {
            self.stop |= value_after(after).starts_with(b"\"");
        }
    }
}

/// What stands behind the rest of a member's name; nothing if it is no member, or its name goes on.
fn value_after(rest: &[u8]) -> &[u8] {
    let colon =
        rest.strip_prefix(b"\"").map(<[u8]>::trim_ascii_start).and_then(|rest| rest.strip_prefix(b":"));
    colon.map(<[u8]>::trim_ascii_start).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_members_with_a_text_are_found() {
        for (json, found) in [
            (r#"{"reasoning":"x"}"#, [true, false, false]),
            (r#"{"a":[{"reasoning_content" : "x"}]}"#, [true, false, false]),
            (r#"{"reasoning_content":"","reasoning":null}"#, [false; 3]),
            (r#"{"reasoning_tokens":"x","reasoning_contents":"x"}"#, [false; 3]),
            (r#"{"finish_reason":null,"x":"finish_reason"}"#, [false; 3]),
            (r#"{"reasoning_details":"x","my_reasoning":"x","reasons":"x"}"#, [false; 3]),
            (r#"{"content":"\"reasoning\":\"x\" \"finish_reason\":\"x\""}"#, [false; 3]),
            (r#"{"finish_reason" :"stop","stop_reason":null}"#, [false, true, false]),
            (r#"{"finish_reason":null,"stop_reason": "end_turn"}"#, [false, false, true]),
            (r#"{"reasoning":"x","finish_reason":"stop"}"#, [true, true, false]),
            (r#"{"finish_reason"#, [false; 3]),
        ] {
            let Reasons { reasoning, finish, stop } = Reasons::of(json.as_bytes());
            assert_eq!([reasoning, finish, stop], found, "{json}");
        }
    }
}
