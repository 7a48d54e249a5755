use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use modelswitch_openai::{BrokenOffIsFinishReason, OpenAiBuilder, OpenAiProvider, Profile};
use modelswitch_provider::{Adaptation, ApiKey, Document, Endpoint, Provider, Request, Response, Result};

use crate::inward::{self, Plan, Terms};
use crate::memory::ReasoningMemory;
use crate::policy::{BrokenOff, Policies};
use crate::{config, error, files, fim, outward, root};

/// DeepSeek as a [`Provider`].
///
/// Requests that OpenAI's apps send are put as DeepSeek takes them, each change told in
/// [`Head::adaptations`](modelswitch_provider::Head::adaptations): retired model names, `reasoning_effort`, `user`, forced
/// tool choices. Lists of text are sent as text, which means the same. Chat prefix completion, strict tools and fill-in-the-middle go to `/beta` by themselves. What
/// the model thought is remembered and put back where DeepSeek wants it, see [`ReasoningMemory`].
///
/// ```no_run
/// use modelswitch_deepseek::DeepSeek;
///
/// let deepseek = DeepSeek::from_env()?;           // DEEPSEEK_API_KEY, and DEEPSEEK_BASE_URL where it is set
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DeepSeek {
    stable: OpenAiProvider,
    beta: OpenAiProvider,
    /// Where the balance, the files and Anthropic's API are, whichever base URL was given.
    root: OpenAiProvider,
    policies: Policies,
    memory: Option<ReasoningMemory>,
    /// A retired name is warned of once, not at each call.
    warned: Arc<AtomicBool>,
}

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
        let stable = builder.build()?;
        let (root, beta) = match root::root_url(stable.base_url()) {
            Some(url) => (stable.at(url)?, stable.at(&format!("{url}/beta"))?),
            // Nothing is known of a beta there.
            None => (stable.clone(), stable.clone()),
        };
        let memory = Some(ReasoningMemory::default());
        Ok(Self { stable, beta, root, policies: Policies::default(), memory, warned: Arc::default() })
    }

    /// The same with another key, after a rotation for example: the same connections, policies and memory. Calls of this
    /// one go on with its own key.
    ///
    /// The memory goes along because keys of one account are meant; for another account's key give it one of its own
    /// by [`with_memory`](Self::with_memory).
    ///
    /// ```
    /// use modelswitch_deepseek::DeepSeek;
    /// use modelswitch_provider::ApiKey;
    ///
    /// let old = DeepSeek::new("sk-0123")?;
    /// let new = old.with_key(ApiKey::new("sk-4567")?)?;
    /// # let _: DeepSeek = new;
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`OpenAiProvider::with_key`].
    pub fn with_key(&self, key: ApiKey) -> Result<Self> {
        Ok(Self {
            stable: self.stable.with_key(key.clone())?,
            beta: self.beta.with_key(key.clone())?,
            root: self.root.with_key(key)?,
            policies: self.policies,
            memory: self.memory.clone(),
            warned: self.warned.clone(),
        })
    }

    /// The same with other policies.
    #[must_use]
    pub fn with_policies(mut self, policies: Policies) -> Self {
        self.policies = policies;
        self
    }

    /// The same with a memory of your own, shared with other providers of the same account, or with none: then messages
    /// that have no `reasoning_content` go back with an empty one.
    ///
    /// ```
    /// use modelswitch_deepseek::{DeepSeek, ReasoningMemory};
    ///
    /// let memory = ReasoningMemory::default();        // keep a handle, to tell it what was said before a restart
    /// let deepseek = DeepSeek::new("sk-0123")?.with_memory(memory.clone());
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    #[must_use]
    pub fn with_memory(mut self, memory: impl Into<Option<ReasoningMemory>>) -> Self {
        self.memory = memory.into();
        self
    }

    async fn send_by_endpoint(&self, mut request: Request) -> Result<Response> {
        if request.endpoint == Endpoint::CHAT_COMPLETIONS {
            self.chat(request).await
        } else if request.endpoint == Endpoint::COMPLETIONS {
            self.complete(request).await
        } else if request.endpoint == Endpoint::RESPONSES {
            self.respond(request).await
        } else if root::is_at_root(&request.endpoint) {
            let adaptations = files::adapt(&mut request);
            self.send_adapted(&self.root, request, adaptations).await
        } else {
            self.stable.send(request).await
        }
    }

    async fn chat(&self, mut request: Request) -> Result<Response> {
        let plan: Plan = self.adapt(&mut request, inward::chat)?;
        self.warn_of_retired_name(&plan.adaptations);
        let target = if plan.beta { &self.beta } else { &self.stable };
        let mut response = target.send(request).await?;
        response.head.adaptations.splice(0..0, plan.adaptations.iter().cloned());
        outward::finish(response, plan, self.memory.as_ref())
    }

    async fn complete(&self, mut request: Request) -> Result<Response> {
        let adaptations = self.adapt(&mut request, |body, terms| {
            let mut adaptations = inward::model_of_completion(body, terms)?;
            adaptations.extend(fim::adapt(body)?);
            Ok(adaptations)
        })?;
        // Fill-in-the-middle is a beta feature.
        self.send_adapted(&self.beta, request, adaptations).await
    }

    async fn respond(&self, mut request: Request) -> Result<Response> {
        let adaptations = self.adapt(&mut request, inward::responses)?;
        self.send_adapted(&self.stable, request, adaptations).await
    }

    async fn send_adapted(
        &self,
        target: &OpenAiProvider,
        request: Request,
        adaptations: Vec<Adaptation>,
    ) -> Result<Response> {
        self.warn_of_retired_name(&adaptations);
        let mut response = target.send(request).await?;
        response.head.adaptations.splice(0..0, adaptations);
        Ok(response)
    }

    /// Puts a request as DeepSeek takes it; one without a JSON body is as it is.
    fn adapt<T: Default>(
        &self,
        request: &mut Request,
        adapt: impl FnOnce(&mut Document, Terms<'_>) -> Result<T>,
    ) -> Result<T> {
        let policies = request.extensions.get::<Policies>().copied().unwrap_or(self.policies);
        if policies.broken_off == BrokenOff::FinishReason {
            request.extensions.insert(BrokenOffIsFinishReason);
        }
        let terms = Terms { policies, profile: self.stable.profile(), memory: self.memory.as_ref() };
        let Some(body) = request.document_mut() else { return Ok(T::default()) };
        adapt(body, terms).map_err(|error| error.with_provider(self.stable.name()))
    }

    fn warn_of_retired_name(&self, adaptations: &[Adaptation]) {
        if let Some(retired) = adaptations.iter().find(|one| one.parameter == "model")
            && !self.warned.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                provider = self.stable.name(),
                change = retired.change,
                "a retired model name was asked for"
            );
        }
    }
}

#[async_trait]
impl Provider for DeepSeek {
    fn name(&self) -> &str {
        self.stable.name()
    }

    async fn send(&self, request: Request) -> Result<Response> {
        let endpoint = request.endpoint.clone();
        let sent = self.send_by_endpoint(request).await;
        sent.map(|response| error::explained(files::outward(&endpoint, response))).map_err(error::explain)
    }
}
