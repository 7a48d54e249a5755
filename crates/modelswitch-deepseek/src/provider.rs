use async_trait::async_trait;
use modelswitch_openai::{OpenAiBuilder, OpenAiProvider, Profile};
use modelswitch_provider::{ApiKey, Provider, Request, Response, Result};

use crate::config;

/// DeepSeek as a [`Provider`].
///
/// ```no_run
/// use modelswitch_deepseek::DeepSeek;
///
/// let deepseek = DeepSeek::from_env()?;           // DEEPSEEK_API_KEY, and DEEPSEEK_BASE_URL where it is set
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DeepSeek(OpenAiProvider);

impl DeepSeek {
    /// DeepSeek with a key.
    ///
    /// # Errors
    /// [`Config`](modelswitch_provider::ErrorKind::Config) for a key that can't be sent, or a `DEEPSEEK_BASE_URL` that is
    /// no URL.
    pub fn new(key: impl Into<String>) -> Result<Self> {
        Self::connect(Self::builder().api_key(ApiKey::new(key)?))
    }

    /// DeepSeek with the key in `DEEPSEEK_API_KEY`.
    ///
    /// # Errors
    /// As [`new`](Self::new), and when the variable isn't set.
    pub fn from_env() -> Result<Self> {
        Self::connect(Self::builder().api_key(config::key_from_env()?))
    }

    /// Begins with DeepSeek's profile: for another URL, time limits, a shared pool of connections.
    ///
    /// ```
    /// use modelswitch_deepseek::DeepSeek;
    /// use modelswitch_provider::ApiKey;
    ///
    /// let builder = DeepSeek::builder().base_url("http://127.0.0.1:8787").api_key(ApiKey::new("sk-0123")?);
    /// let deepseek = DeepSeek::connect(builder)?;
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    pub fn builder() -> OpenAiBuilder {
        let builder = OpenAiProvider::builder(Profile::embedded("deepseek").unwrap_or_default());
        match config::base_url_from_env() {
            Some(url) => builder.base_url(url),
            None => builder,
        }
    }

    /// Builds what was begun with [`builder`](Self::builder), or with a profile of DeepSeek's kind.
    ///
    /// # Errors
    /// As [`OpenAiBuilder::build`].
    pub fn connect(builder: OpenAiBuilder) -> Result<Self> {
        Ok(Self(builder.build()?))
    }
}

#[async_trait]
impl Provider for DeepSeek {
    fn name(&self) -> &str {
        self.0.name()
    }

    async fn send(&self, request: Request) -> Result<Response> {
        self.0.send(request).await
    }
}
