use std::fmt;

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{Error, Result};

/// A provider's API key: wiped from memory when dropped, and never shown.
///
/// It is checked once, here. Whoever holds one knows that it can stand in a header, so a key with a line break is an
/// error where it was read and not a panic at the first request. Nothing else about a key is guessed: services change
/// their formats.
///
/// ```
/// use modelswitch_provider::ApiKey;
///
/// let key = ApiKey::new("  sk-0123456789\n")?;            // a trailing line break of a file is trimmed
/// assert_eq!(format!("{key:?}"), "ApiKey(…)");
/// assert!(ApiKey::new("sk-0123\n456").is_err());           // one inside is refused
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone)]
pub struct ApiKey(SecretString);

impl ApiKey {
    /// Checks a key and keeps it. White space around it is trimmed.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) for an empty key, or one that can't be in an HTTP header: a line break, a
    /// control character or a character outside ASCII inside it. The error names the position, never the key.
    pub fn new(key: impl Into<String>) -> Result<Self> {
        let key = Zeroizing::new(key.into());
        let trimmed = key.trim();
        if trimmed.is_empty() {
            return Err(Error::config("the API key is empty")
                .with_hint("set the key's variable or file to the key itself"));
        }
        if let Some((position, wrong)) = trimmed.chars().enumerate().find(|(_, c)| !c.is_ascii_graphic()) {
            let what = match wrong {
                '\n' | '\r' => "a line break",
                c if c.is_whitespace() => "white space",
                c if c.is_control() => "a control character",
                _ => "a character outside ASCII",
            };
            return Err(Error::config(format!(
                "the API key has {what} at position {} and can't be sent in a header",
                position + 1
            ))
            .with_hint("copy the key again, alone, on one line"));
        }
        Ok(Self(SecretString::from(trimmed.to_owned())))
    }

    /// The key as the value of a header, marked sensitive so that no `Debug` text shows it: `Bearer sk-…` with the
    /// scheme `Some("Bearer")`, the key alone with `None`.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) when the scheme can't be in a header.
    pub fn to_header(&self, scheme: Option<&str>) -> Result<HeaderValue> {
        let text = Zeroizing::new(match scheme {
            Some(scheme) => format!("{scheme} {}", self.0.expose_secret()),
            None => self.0.expose_secret().to_owned(),
        });
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| Error::config("the scheme before the API key can't be sent in a header"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Puts `[key]` wherever the key stands in a text: some services repeat it in their errors.
    pub fn redact(&self, text: &str) -> String {
        text.replace(self.0.expose_secret(), "[key]")
    }

    /// True when both are the same key. How long it takes tells nothing of where they differ, only whether they are of the
    /// same length.
    ///
    /// There is no `==` on keys: a comparison that stops at the first difference must not be a slip away.
    ///
    /// ```
    /// use modelswitch_provider::ApiKey;
    ///
    /// let (old, new) = (ApiKey::new("sk-0123")?, ApiKey::new("sk-4567")?);
    /// assert!(old.same_as(&old.clone()) && !old.same_as(&new));
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    #[must_use]
    pub fn same_as(&self, other: &ApiKey) -> bool {
        self.expose().as_bytes().ct_eq(other.expose().as_bytes()).into()
    }

    /// The key as the secret that async-openai's `Config` wants.
    pub fn secret(&self) -> &SecretString {
        &self.0
    }

    /// The key itself. Whatever is done with it, it must not be printed or logged.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_header_is_refused_without_being_shown() {
        for key in ["", "  ", "sk-ab\ncd", "sk-ab cd", "sk-ab\u{7f}cd", "sk-äbcd", "sk-ab\0cd"] {
            let error = ApiKey::new(key).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Config);
            for part in ["sk-", "ab", "cd"] {
                assert!(
                    !format!("{error} {error:?} {}", error.report()).contains(part) || key.trim().is_empty()
                );
            }
        }
    }

    #[test]
    fn the_header_is_sensitive() {
        let key = ApiKey::new("sk-canary").unwrap();
        let header = key.to_header(Some("Bearer")).unwrap();
        assert_eq!(header.to_str().unwrap(), "Bearer sk-canary");
        assert!(!format!("{header:?} {key:?}").contains("canary"));
    }

    #[test]
    fn keys_are_the_same_when_every_byte_is() {
        let key = |text: &str| ApiKey::new(text).unwrap();
        for (one, other, same) in [
            ("sk-canary", "sk-canary\n", true),
            ("sk-canary", "sk-canarz", false),
            ("sk-canary", "xk-canary", false),
            ("sk-canary", "sk-canary0", false),
        ] {
            assert_eq!(key(one).same_as(&key(other)), same);
        }
    }

    #[test]
    fn a_key_is_struck_out_of_a_text() {
        let key = ApiKey::new("sk-canary").unwrap();
        assert_eq!(key.redact("key sk-canary is bad"), "key [key] is bad");
    }
}
