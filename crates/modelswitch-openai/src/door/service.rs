use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use async_openai::config::{Config, OpenAIConfig};
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use modelswitch_provider::{Error, Provider, Result};
use tower_service::Service;

use super::capture::Captures;
use super::request::Home;
use super::{Capture, error, request, response};

/// async-openai's own client, as [`HttpService::client`] makes it.
pub type Client = async_openai::Client<OpenAIConfig>;

/// Carries the requests of an async-openai client through a [`Provider`]: door 1.
///
/// The app keeps its types and call sites. `model` chooses the model, as the provider understands it; whatever URL, key,
/// organisation and project the client was built with stays at home. Failures come back as
/// [`OpenAIError::ApiError`] with the true status; [`provider_error`](super::OpenAiErrorExt::provider_error) gives back
/// the whole [`Error`].
///
/// What async-openai's types have no member for is lost when an app puts an answer into its next request: a service's own members
/// of tool calls, such as the thought signatures that Gemini wants back (`extra_content`,
/// <https://ai.google.dev/gemini-api/docs/thought-signatures>), and `reasoning_details` of OpenRouter. They are in
/// [`Capture::completion`](super::Capture::completion), and an app on the [`Provider`] trait or over HTTP keeps them: history goes out
/// as it came in. Reasoning text goes back by [`Extra::reasoning_content`](super::Extra::reasoning_content).
///
/// async-openai's built-in retry is replaced by whatever is in the provider: put a `Retry` layer there.
///
/// ```
/// use std::sync::Arc;
/// use modelswitch_openai::HttpService;
/// # use modelswitch_provider::mock::MockProvider;
/// # use modelswitch_openai::async_openai::types::chat::CreateChatCompletionRequestArgs;
/// # use modelswitch_openai::async_openai::types::chat::ChatCompletionRequestUserMessage;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let provider = MockProvider::reply("9.8");
/// let client = HttpService::new(Arc::new(provider)).client()?;        // an async_openai::Client<OpenAIConfig>
/// let request = CreateChatCompletionRequestArgs::default()
///     .model("deepseek-flash")
///     .messages([ChatCompletionRequestUserMessage::from("9.11 or 9.8?").into()])
///     .build()?;
/// let reply = client.chat().create(request).await?;
/// assert_eq!(reply.choices[0].message.content.as_deref(), Some("9.8"));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct HttpService {
    shared: Arc<Shared>,
    /// What the client puts around its requests, to be taken off again.
    home: Arc<Home>,
    reasoning: bool,
}

struct Shared {
    provider: Arc<dyn Provider>,
    captures: Captures,
    /// Only builds requests; they are sent by the provider. Made once, since it costs milliseconds.
    builder: OnceLock<reqwest::Client>,
}

/// A name that never resolves: nothing can be sent there by mistake.
const NOWHERE: &str = "http://modelswitch.invalid/v1";

impl HttpService {
    /// A service over a provider. A clone shares everything.
    pub fn new(provider: Arc<dyn Provider>) -> Self {
        let shared = Shared { provider, captures: Captures::default(), builder: OnceLock::new() };
        Self { shared: Arc::new(shared), home: Arc::default(), reasoning: true }
    }

    /// Leaves `metadata` and `obfuscation` of the answers alone: no reasoning is put there, and
    /// [`ReasoningExt`](super::ReasoningExt) finds none.
    #[must_use]
    pub fn without_reasoning(mut self) -> Self {
        self.reasoning = false;
        self
    }

    /// A client for this service: the type that `async_openai::Client::new()` gives, without its key or URL.
    ///
    /// Calling `with_http_client` on it drops this service without a word, and the client then talks to nowhere.
    ///
    /// # Errors
    /// [`Config`](modelswitch_provider::ErrorKind::Config) when TLS can't be set up on this machine.
    pub fn client(&self) -> Result<Client> {
        let builder = match self.shared.builder.get() {
            Some(builder) => builder.clone(),
            None => {
                let made = reqwest::Client::builder().build().map_err(|error| {
                    Error::config("the HTTP client can't be set up").with_source(error.without_url())
                })?;
                self.shared.builder.get_or_init(|| made).clone()
            }
        };
        // The defaults are read from OPENAI_* variables, which belong to another service.
        let config = OpenAIConfig::default()
            .with_api_base(NOWHERE)
            .with_api_key("modelswitch")
            .with_org_id("")
            .with_project_id("");
        Ok(self.wrap(async_openai::Client::build(builder, config)))
    }

    /// Puts this service under a client that the app has already, for whatever service it was built.
    ///
    /// Of what it was built with, only its own headers go along, without credentials. Two things stay as they are with
    /// async-openai: a key with a line break in its configuration panics when it builds a request, before this service
    /// sees it; and `with_http_client` called afterwards drops this service without a word.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use modelswitch_openai::HttpService;
    /// # use modelswitch_provider::mock::MockProvider;
    /// use modelswitch_openai::async_openai::{Client, config::OpenAIConfig};
    ///
    /// let theirs = Client::with_config(OpenAIConfig::new().with_api_key("sk-of-openai"));
    /// # let service = HttpService::new(Arc::new(MockProvider::reply("hello")));
    /// let ours: Client<OpenAIConfig> = service.wrap(theirs);
    /// ```
    pub fn wrap<C: Config>(&self, client: async_openai::Client<C>) -> async_openai::Client<C> {
        let home = Arc::new(Home::of(client.config()));
        client.with_http_service(Self { home, ..self.clone() })
    }

    /// A handle that tells afterwards who answered a call, and how.
    pub fn capture(&self) -> Capture {
        self.shared.captures.capture()
    }

    async fn exchange(self, factory: HttpRequestFactory) -> Result<reqwest::Response, OpenAIError> {
        let built = factory.build().await?;
        let (request, capture) = request::read(&self.home, built).await.map_err(error::to_openai)?;
        let wanted = capture.is_some();
        let capture = capture.and_then(|id| self.shared.captures.find(id));
        if wanted && capture.is_none() {
            tracing::warn!(
                "a capture is of another service than this client's, or was dropped: it tells nothing"
            );
        }
        let endpoint = request.endpoint.clone();
        if let Some(capture) = &capture {
            capture.forget();
        }
        let sent = self.shared.provider.send(request).await;
        let written =
            sent.and_then(|answer| response::write(&endpoint, answer, self.reasoning, capture.clone()));
        written.map_err(|failure| {
            if let Some(capture) = capture {
                capture.fail(&failure);
            }
            error::to_openai(failure)
        })
    }
}

impl Service<HttpRequestFactory> for HttpService {
    type Response = reqwest::Response;
    type Error = OpenAIError;
    type Future = Pin<Box<dyn Future<Output = Result<reqwest::Response, OpenAIError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OpenAIError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, factory: HttpRequestFactory) -> Self::Future {
        Box::pin(self.clone().exchange(factory))
    }
}

impl fmt::Debug for HttpService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpService").field("provider", &self.shared.provider.name()).finish_non_exhaustive()
    }
}
