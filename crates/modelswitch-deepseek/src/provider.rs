use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use modelswitch_openai::{BrokenOff, BrokenOffIsFinishReason, OpenAiBuilder, OpenAiProvider, Profile};
use modelswitch_provider::{Adaptation, ApiKey, Document, Endpoint, Provider, Request, Response, Result};

use crate::inward::{self, Plan, Terms};
use crate::memory::ReasoningMemory;
use crate::{config, error, files, outward, root};
use modelswitch_openai::Policies;

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
    warned: Arc<Mutex<BTreeSet<String>>>,
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
        let given = builder.build()?;
        let (stable, beta, root) = match root::root_url(given.base_url()) {
            Some(url) => {
                let root = given.at(url)?;
                // Whoever gave the beta's URL wants what it has, and the rest would be refused there.
                let stable = if given.base_url().ends_with("/beta") { root.clone() } else { given.clone() };
                (stable, given.at(&format!("{url}/beta"))?, root)
            }
            // Nothing is known of a beta there.
            None => (given.clone(), given.clone(), given),
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

    /// What it remembers of what the model thought; `None` when it was built without.
    pub fn memory(&self) -> Option<&ReasoningMemory> {
        self.memory.as_ref()
    }

    /// Names as a registry takes them, `deepseek/deepseek-flash`, mean the same here.
    fn with_bare_model(&self, mut request: Request) -> Request {
        let named = request.model();
        let bare =
            named.as_deref().and_then(|model| model.strip_prefix(self.stable.name())?.strip_prefix('/'));
        if let Some(bare) = bare.map(str::to_owned) {
            request.set_model(&bare);
        }
        request
    }

    async fn send_by_endpoint(&self, mut request: Request) -> Result<Response> {
        if request.endpoint == Endpoint::CHAT_COMPLETIONS {
            self.chat(request).await
        } else if request.endpoint == Endpoint::COMPLETIONS {
            let plan = self.adapt(&mut request, inward::completion)?;
            self.send_adapted(request, &plan).await
        } else if request.endpoint == Endpoint::RESPONSES {
            let plan = self.adapt(&mut request, inward::responses)?;
            self.send_adapted(request, &plan).await
        } else if root::is_at_root(&request.endpoint) {
            let adaptations = files::adapt(&mut request);
            self.log(&adaptations);
            let mut response = self.root.send(request).await?;
            response.head.adaptations.splice(0..0, adaptations);
            Ok(response)
        } else {
            self.stable.send(request).await
        }
    }

    async fn chat(&self, mut request: Request) -> Result<Response> {
        let plan = self.adapt(&mut request, inward::chat)?;
        let response = self.send_adapted(request, &plan).await?;
        outward::finish(response, plan)
    }

    /// Sends a request to where its plan says, and tells on the head what was changed.
    async fn send_adapted(&self, request: Request, plan: &Plan) -> Result<Response> {
        self.log(&plan.adaptations);
        if let Some(retired) = &plan.retired {
            self.warn_of(retired);
        }
        let target = if plan.beta { &self.beta } else { &self.stable };
        let sent = target.send(request).await;
        let mut response = sent.map_err(|error| error.with_adaptations(plan.adaptations.iter().cloned()))?;
        response.head.adaptations.splice(0..0, plan.adaptations.iter().cloned());
        Ok(response)
    }

    /// Puts a request as DeepSeek takes it; one without a JSON body is as it is.
    fn adapt(
        &self,
        request: &mut Request,
        adapt: impl FnOnce(&mut Document, Terms<'_>) -> Result<Plan>,
    ) -> Result<Plan> {
        let policies = request.extensions.get::<Policies>().copied().unwrap_or(self.policies);
        if policies.broken_off == BrokenOff::FinishReason {
            request.extensions.insert(BrokenOffIsFinishReason);
        }
        let terms = Terms { policies, profile: self.stable.profile(), memory: self.memory.as_ref() };
        let Some(body) = request.document_mut() else { return Ok(Plan::default()) };
        adapt(body, terms).map_err(|error| error.with_provider(self.stable.name()))
    }

    /// What the dialect changes besides, it tells itself.
    fn log(&self, adaptations: &[Adaptation]) {
        for Adaptation { parameter, change } in adaptations {
            tracing::debug!(
                "gen_ai.provider.name" = self.stable.name(),
                parameter,
                change,
                "request adapted"
            );
        }
    }

    fn warn_of(&self, retired: &str) {
        let is_new = self.warned.lock().unwrap_or_else(PoisonError::into_inner).insert(retired.to_owned());
        if is_new {
            tracing::warn!(
                "gen_ai.provider.name" = self.stable.name(),
                "gen_ai.request.model" = retired,
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
        let sent = self.send_by_endpoint(self.with_bare_model(request)).await;
        sent.map(|response| error::explained(files::outward(&endpoint, response))).map_err(error::explain)
    }
}
