//! Where an answer tells its tokens: found without reading what comes before.

use memchr::memchr2;
use serde_json::value::RawValue;

use super::usages;

/// Where the `usage` of a JSON object is.
pub(super) enum Place<'a> {
    Nowhere,
    /// A member of the object itself, and the only one of that name at whatever depth.
    Outermost(&'a RawValue),
    /// Deeper in it, or in several places.
    Unclear,
}

impl<'a> Place<'a> {
    /// Most services tell it behind all that they wrote, so what stands behind it is short. It is a member of the object itself when
    /// nothing but that object is closed there.
    pub(super) fn of(json: &'a [u8]) -> Self {
        let mut all = usages(json);
        let Some(rest) = all.next() else { return Self::Nowhere };
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<&RawValue>();
        let value = values.next();
        match (value, rest.get(values.byte_offset()..), all.next()) {
            (Some(Ok(usage)), Some(behind), None) if closes_one(behind) => Self::Outermost(usage),
            _ => Self::Unclear,
        }
    }
}

/// True when one object is closed by the end of a text, and nothing else that wasn't opened in it.
fn closes_one(mut json: &[u8]) -> bool {
    let mut open = 1_usize;
    while let Some((byte, rest)) = json.split_first() {
        json = rest;
        match byte {
            b'"' => match behind_string(rest) {
                Some(behind) => json = behind,
                None => return false,
            },
            b'{' | b'[' => open = open.saturating_add(1),
            b'}' | b']' if open == 1 => return *byte == b'}' && rest.trim_ascii().is_empty(),
            b'}' | b']' => open -= 1,
            _ => {}
        }
    }
    false
}

/// What stands behind the end of a string.
fn behind_string(mut text: &[u8]) -> Option<&[u8]> {
    loop {
        let at = memchr2(b'"', b'\\', text)?;
        if text.get(at) == Some(&b'"') {
            return text.get(at + 1..);
        }
        // Whatever is escaped is no end.
        text = text.get(at + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(json: &str) -> &'static str {
        match Place::of(json.as_bytes()) {
            Place::Nowhere => "nowhere",
            Place::Outermost(_) => "outermost",
            Place::Unclear => "unclear",
        }
    }

    #[test]
    fn only_a_member_of_the_object_itself_is_outermost() {
        for (json, wanted) in [
            (r#"{"choices":[{"a":"\"usage\":{"}],"usage":null}"#, "nowhere"),
            (r#"{"choices":[],"usage":{"a":{"b":1}}}"#, "outermost"),
            (r#"{"usage" : {}, "choices":[{"a":["}\"]",{}]}], "b":1 } "#, "outermost"),
            (r#"{"response":{"usage":{}}}"#, "unclear"),
            (r#"{"choices":[{"usage":{}}]}"#, "unclear"),
            (r#"{"response":{"usage":{}},"usage":{}}"#, "unclear"),
            (r#"{"usage":{},"usage":{}}"#, "unclear"),
            (r#"{"usage":{}"#, "unclear"),
            (r#"{"usage":{},"a":"}"#, "unclear"),
            (r#"{"usage":{"#, "unclear"),
            (r#"{"usage":{}]"#, "unclear"),
            (r#"{"usage":{}} {}"#, "unclear"),
        ] {
            assert_eq!(place(json), wanted, "{json}");
        }
    }
}
