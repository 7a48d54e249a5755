//! Looks at JSON text that cost less than parsing it.

use memchr::memmem;

/// True when a JSON text has a member of this name at any depth, whose value begins with this, white space aside. Text inside
/// of strings is no member: its quotes are escaped.
///
/// ```
/// use modelswitch_openai::adapter::has_member;
///
/// assert!(has_member(r#"[{"type" : "text"}]"#, "type", "\"text\""));
/// assert!(!has_member(r#"["type","text"]"#, "type", "\"text\""));
/// ```
pub fn has_member(text: &str, name: &str, value: &str) -> bool {
    // Nothing is looked for in nothing: most members that are asked for aren't there.
    if text.len() <= name.len() {
        return false;
    }
    let quoted = format!("\"{name}\"");
    memmem::find_iter(text.as_bytes(), quoted.as_bytes()).any(|at| {
        let rest = text.get(at + quoted.len()..).unwrap_or_default().trim_start();
        rest.strip_prefix(':').is_some_and(|rest| rest.trim_start().starts_with(value))
    })
}

/// The members of a JSON text that an adapter may have to do with, at any depth, each with the text that its value begins.
/// Names of more than 24 bytes are none of them.
///
/// ```
/// use modelswitch_openai::adapter::members;
///
/// let names: Vec<&str> = members(r#"{"a":{"b":1}}"#).map(|(name, _)| name).collect();
/// assert_eq!(names, ["a", "b"]);
/// ```
pub fn members(text: &str) -> impl Iterator<Item = (&str, &str)> {
    // Every name stands before a colon, and colons are rarer than quotes.
    memchr::memchr_iter(b':', text.as_bytes()).filter_map(|colon| {
        let before = text.get(..colon)?.trim_ascii_end().strip_suffix('"')?;
        let start =
            memchr::memrchr(b'"', before.as_bytes().get(before.len().saturating_sub(LONGEST_NAME)..)?)?;
        let name = before.get(before.len().saturating_sub(LONGEST_NAME) + start + 1..)?;
        // A quote that is escaped stands inside of a string.
        let is_inside = before.ends_with('\\');
        let opening = before.get(..before.len() - name.len() - 1)?;
        (!is_inside && !opening.ends_with('\\'))
            .then(|| (name, text.get(colon + 1..).unwrap_or_default().trim_start()))
    })
}

/// No name that is looked for is longer.
const LONGEST_NAME: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_and_text_is_not_taken_for_them() {
        for (text, found) in [
            (r#"[{"type":"text"}]"#, true),
            (r#"[{"type" : "text"}]"#, true),
            (r#"[{"type":"image"}]"#, false),
            (r#"[{"content":"\"type\":\"text\""}]"#, false),
            (r#"["type","text"]"#, false),
        ] {
            assert_eq!(has_member(text, "type", "\"text\""), found, "{text}");
        }
        let found: Vec<_> =
            members(r#"{"a": 1, "b\\":2" :{"type":"text"},"x\"y":null,"url":"http://c"}"#).collect();
        let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
        assert!(names.contains(&"a") && names.contains(&"type") && names.contains(&"url"), "{names:?}");
        assert!(members(r#"{"content":"say \"type\":\"text\" now"}"#).all(|(name, _)| name != "type"));
    }
}
