//! Looks at JSON text that cost less than parsing it.

use memchr::memmem;

/// True when a JSON text has a member of this name at any depth, whose value begins with this, white space aside. Text inside
/// of strings is no member: its quotes are escaped.
pub(super) fn has_member(text: &str, name: &str, value: &str) -> bool {
    let quoted = format!("\"{name}\"");
    memmem::find_iter(text.as_bytes(), quoted.as_bytes()).any(|at| {
        let rest = text.get(at + quoted.len()..).unwrap_or_default().trim_start();
        rest.strip_prefix(':').is_some_and(|rest| rest.trim_start().starts_with(value))
    })
}

/// True when a JSON text has a member of this name at any depth.
pub(super) fn has_name(text: &str, name: &str) -> bool {
    has_member(text, name, "")
}

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
        assert!(has_name(r#"{"a":{"b":null}}"#, "b") && !has_name(r#"{"a":"b"}"#, "b"));
    }
}
