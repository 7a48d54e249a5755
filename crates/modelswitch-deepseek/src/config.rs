use std::fmt;

use async_openai::config::Config;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};
use modelswitch_openai::checked_base_url;
use modelswitch_provider::{ApiKey, Error, Result};
use secrecy::SecretString;

use crate::BASE_URL;

/// The base URL and the key, for a stock async-openai client.
///
/// That is all it can be: async-openai's `Config` sees neither bodies nor errors. A stock client still drops
/// `reasoning_content`, loses the status of many errors, can't list DeepSeek's models and takes a cut stream for a
/// finished one. [`client`](crate::client) is the same with the repairs.
///
/// ```
/// use modelswitch_deepseek::DeepSeekConfig;
///
/// let config = DeepSeekConfig::new("sk-0123")?;
/// let client = async_openai::Client::with_config(config);
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone)]
pub struct DeepSeekConfig {
    base_url: String,
    key: ApiKey,
    header: HeaderValue,
}

impl DeepSeekConfig {
    /// A configuration with a key, for the official service or for `DEEPSEEK_BASE_URL` where that is set.
    ///
    /// # Errors
    /// [`Config`](modelswitch_provider::ErrorKind::Config) for a key that can't be sent. A stock configuration would
    /// panic with it at the first request.
    pub fn new(key: impl Into<String>) -> Result<Self> {
        Self::with_key(ApiKey::new(key)?)
    }

    /// A configuration with the key in `DEEPSEEK_API_KEY`.
    ///
    /// # Errors
    /// As [`new`](Self::new), and when the variable isn't set.
    pub fn from_env() -> Result<Self> {
        Self::with_key(key_from_env()?)
    }

    /// The same with another base URL. A slash at its end makes no difference.
    ///
    /// # Errors
    /// [`Config`](modelswitch_provider::ErrorKind::Config) for what isn't a URL of an API, and for plain http to another
    /// machine, where everybody on the way could read the key.
    pub fn with_base_url(mut self, url: impl AsRef<str>) -> Result<Self> {
        self.base_url = checked_base_url(url.as_ref())?;
        Ok(self)
    }

    fn with_key(key: ApiKey) -> Result<Self> {
        let header = key.to_header(Some("Bearer"))?;
        let url = base_url_from_env().unwrap_or_else(|| BASE_URL.to_owned());
        Self { base_url: String::new(), key, header }.with_base_url(url)
    }
}

impl Config for DeepSeekConfig {
    fn headers(&self) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, self.header.clone())])
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    fn query(&self) -> Vec<(&str, &str)> {
        Vec::new()
    }

    fn api_base(&self) -> &str {
        &self.base_url
    }

    fn api_key(&self) -> &SecretString {
        self.key.secret()
    }
}

/// Where it goes; never the key.
impl fmt::Debug for DeepSeekConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeepSeekConfig").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// # Errors
/// [`Config`](modelswitch_provider::ErrorKind::Config) when the variable isn't set or its value can't be a key.
pub(crate) fn key_from_env() -> Result<ApiKey> {
    match variable("DEEPSEEK_API_KEY") {
        Some(key) => ApiKey::new(key),
        None => Err(Error::config("DEEPSEEK_API_KEY is not set")
            .with_provider("deepseek")
            .with_hint("set DEEPSEEK_API_KEY; keys are made at https://platform.deepseek.com/api_keys")),
    }
}

pub(crate) fn base_url_from_env() -> Option<String> {
    variable("DEEPSEEK_BASE_URL")
}

#[expect(clippy::disallowed_methods, reason = "this is where DeepSeek's two variables are read")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_at_the_end_of_the_base_url_makes_no_difference() {
        let config = DeepSeekConfig::new("sk-1").unwrap().with_base_url("https://x.example/beta/").unwrap();
        assert_eq!(config.url("/chat/completions"), "https://x.example/beta/chat/completions");
    }

    #[test]
    fn a_base_url_that_would_show_the_key_to_everybody_is_refused() {
        let config = || DeepSeekConfig::new("sk-1").unwrap();
        assert!(config().with_base_url("http://10.0.0.7").is_err());
        assert!(config().with_base_url("deepseek").is_err());
        assert!(config().with_base_url("http://127.0.0.1:1").is_ok());
    }

    #[test]
    fn a_key_with_a_line_break_is_refused_when_the_configuration_is_built() {
        assert!(DeepSeekConfig::new("sk-1\n2").is_err());
    }

    #[test]
    fn neither_debug_nor_a_header_shows_the_key() {
        let config = DeepSeekConfig::new("sk-canary").unwrap();
        assert!(!format!("{config:?} {:?} {:?}", config.headers(), config.api_key()).contains("canary"));
    }
}
