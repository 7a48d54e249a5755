//! Errors for the asking: `[sim:503]` in the last user message or in the model's name.

/// What a tag asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Status(u16),
    Cut,
    Stall,
    Resource,
    Aborted,
    ErrorInStream,
    Long,
    Empty,
    Blank,
    Risk,
    Context,
    BadJson,
    NotJson,
    TokensPerMinute,
}

impl Mode {
    /// The first known tag in a text.
    pub(crate) fn of(text: &str) -> Option<Self> {
        text.split("[sim:").skip(1).find_map(|rest| Self::named(rest.split_once(']')?.0))
    }

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "cut" => Self::Cut,
            "stall" => Self::Stall,
            "resource" => Self::Resource,
            "aborted" => Self::Aborted,
            "error-in-stream" => Self::ErrorInStream,
            "long" => Self::Long,
            "empty" => Self::Empty,
            "blank" => Self::Blank,
            "risk" => Self::Risk,
            "context" => Self::Context,
            "bad-json" => Self::BadJson,
            "not-json" => Self::NotJson,
            "429-tpm" => Self::TokensPerMinute,
            number => Self::Status(number.parse().ok().filter(|status| (400..600).contains(status))?),
        })
    }

    /// What keys ask for, whoever is simulated.
    pub(crate) fn of_key(key: &str) -> Option<u16> {
        match key {
            "sk-no-balance" => Some(402),
            "sk-rate-limited" => Some(429),
            "sk-overloaded" => Some(503),
            _ => None,
        }
    }
}

/// A model's name without a tag behind it.
pub(crate) fn without_tag(model: &str) -> &str {
    model.split("[sim:").next().unwrap_or(model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_inside_a_text_and_unknown_ones_are_text() {
        for (text, mode) in [
            ("please [sim:503]", Some(Mode::Status(503))),
            ("[sim:what] [sim:cut] now", Some(Mode::Cut)),
            ("[sim:429-tpm]", Some(Mode::TokensPerMinute)),
            ("[sim:200]", None),
            ("[sim:stall", None),
            ("sim:stall]", None),
        ] {
            assert_eq!(Mode::of(text), mode, "{text}");
        }
    }
}
