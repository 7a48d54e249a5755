//! One provider over all: the request's `model` chooses.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use http::{HeaderMap, Method};
use modelswitch_layers::{Alias, Cache, Layer, Timeout};
use modelswitch_provider::{
    Adaptation, Body, Endpoint, Error, ErrorKind, Head, Model, ModelList, Provider, Request, Response,
    Result, TimeLeft,
};
use tokio::time::timeout;

use crate::choice::Switch;
use crate::config::CacheConfig;
use crate::hints;
use crate::layers::Kept;
use crate::resolve::{Names, Target};
use crate::snapshot::Current;
use crate::spelling::{did_you_mean, list, nearest};

/// The header that chooses a provider for a request without a model, such as `GET /files`. It isn't sent on.
pub const PROVIDER_HEADER: &str = "x-modelswitch-provider";

/// Every provider, and what each name stands for.
#[derive(Clone, Debug)]
pub(crate) struct Routes {
    pub(crate) names: Names,
    pub(crate) providers: Vec<Route>,
    /// Those of aliases that have several targets, by the alias.
    pub(crate) switches: BTreeMap<String, Switch>,
    /// The answers that are given again, where the top of the configuration says so.
    pub(crate) cache: Option<Kept<CacheConfig, Cache>>,
}

/// A provider under its name.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) name: Arc<str>,
    /// With its layers, and those of a whole call.
    pub(crate) provider: Arc<dyn Provider>,
    /// With its layers, as one of an alias's targets.
    pub(crate) target: Arc<dyn Provider>,
    /// Without them: one try.
    pub(crate) once: Arc<dyn Provider>,
}

/// The name of all providers as one.
const NAME: &str = "modelswitch";

/// A list of models is a small file, and all wait for the slowest provider.
const LIST_LIMIT: Duration = Duration::from_secs(20);

impl Routes {
    /// A provider by its name.
    ///
    /// # Errors
    /// [`Config`](modelswitch_provider::ErrorKind::Config), with the names that there are.
    pub(crate) fn provider(&self, name: &str) -> Result<&Arc<dyn Provider>> {
        let found = self.providers.iter().find(|route| *route.name == *name);
        found.map(|route| &route.provider).ok_or_else(|| {
            let near = nearest(name, self.names.providers());
            let all = list(self.names.providers());
            let separator = if near.is_some() { "" } else { ";" };
            let near_text = did_you_mean(near);
            Error::config(format!("no provider `{name}`{near_text}{separator} there are: {all}")).with_hint(
                match near {
                    Some(near) => format!("ask for `{near}`"),
                    None => format!("ask for one that is there, or add a section [providers.{name}]"),
                },
            )
        })
    }

    /// Where requests go that name neither a model nor a provider.
    fn default_provider(&self) -> Result<&Arc<dyn Provider>> {
        match (&self.names.default, self.providers.as_slice()) {
            (Some(target), _) => self.provider(&target.provider),
            (None, [only]) => Ok(&only.provider),
            (None, _) => Err(Error::invalid_request(format!(
                "the request names no model, and there is no default; there are the providers: {}",
                list(self.names.providers())
            ))
            .with_hint(format!(
                "set default = \"provider/model\" in the configuration, or name a provider in the header {PROVIDER_HEADER}"
            ))),
        }
    }

    fn default_target(&self) -> Result<Target> {
        self.names.default.clone().ok_or_else(|| {
            Error::invalid_request("the request names no model, and the configuration no default")
                .with_param("model")
                .with_hint(
                    "name a model in the request, or set default = \"provider/model\" in the configuration",
                )
        })
    }
}

/// Chooses a provider by the request's model, as the configuration says at that moment.
#[derive(Clone, Debug)]
pub(crate) struct Router(pub(crate) Current);

#[async_trait]
impl Provider for Router {
    fn name(&self) -> &str {
        NAME
    }

    async fn send(&self, mut request: Request) -> Result<Response> {
        // Held to the end of this call: a reload meanwhile is for others.
        let snapshot = self.0.get();
        let routes = &snapshot.routes;
        let named = request.headers.remove(PROVIDER_HEADER);
        if let Some(model) = request.checked_model()? {
            let target = routes.names.resolve(&model)?;
            return routes.ask(&target, request).await;
        }
        if let Some(named) = named {
            let name = named.to_str().unwrap_or_default();
            let provider = routes.provider(name).map_err(|error| {
                Error::invalid_request(format!("the header {PROVIDER_HEADER}: {}", error.message()))
                    .with_hint(error.hint().to_owned())
            })?;
            return send_to(provider, None, request).await;
        }
        if request.endpoint == Endpoint::MODELS {
            return routes.list_models(&request.headers).await;
        }
        if let Some(id) = request.endpoint.path().strip_prefix("/models/") {
            return routes.one_model(&decode(id), request).await;
        }
        if wants_the_default(&request) {
            let target = routes.default_target()?;
            return routes.ask(&target, request).await;
        }
        send_to(routes.default_provider()?, None, request).await
    }
}

impl Routes {
    /// Asks a target, or those that the alias has beside it.
    async fn ask(&self, target: &Target, request: Request) -> Result<Response> {
        let Some(choice) = &target.choice else {
            return send_to(self.provider(&target.provider)?, Some(target), request).await;
        };
        let Some(switch) = self.switches.get(choice.alias()) else {
            return Err(Error::config(format!("no targets for `{}`", choice.alias())));
        };
        switch.provider.send(request).await
    }

    /// Everything that can be asked for: the aliases, then every provider's models under `provider/model`. One try
    /// each: a provider that is down must not hold up the list of the others.
    async fn list_models(&self, headers: &HeaderMap) -> Result<Response> {
        let asked = self.providers.iter().map(|route| async move {
            let mut request = Request::models();
            request.headers = headers.clone();
            let listed = timeout(LIST_LIMIT, models_of(&route.once, request)).await;
            (&route.name, listed.unwrap_or_else(|_| Err(too_slow(&route.name))))
        });
        let mut head = Head::default();
        head.provider = Some(NAME.into());
        let mut models: Vec<Model> = self.names.aliases().map(|(alias, _)| Model::new(alias, NAME)).collect();
        let mut first_error = None;
        let mut answered = false;
        for (name, answer) in join_all(asked).await {
            match answer {
                Ok(list) => {
                    answered = true;
                    models.extend(list.into_iter().map(|mut model| {
                        model.id = format!("{name}/{}", model.id);
                        model
                    }));
                }
                Err(error) => {
                    tracing::warn!(
                        "gen_ai.provider.name" = &**name,
                        "error.type" = error.kind().as_str(),
                        "left out of the list of models"
                    );
                    let change = format!("the models of `{name}` are left out: {}", error.kind());
                    head.adaptations.push(Adaptation::new("models", change));
                    first_error = first_error.or(Some(error));
                }
            }
        }
        match first_error {
            Some(error) if !answered => Err(error),
            _ => Ok(Response { head, body: Response::json(&ModelList::new(models))?.body }),
        }
    }

    /// `GET` or `DELETE /models/{id}`: the id is resolved like any model, and its provider is asked for its own.
    async fn one_model(&self, id: &str, mut request: Request) -> Result<Response> {
        let target = self.names.resolve(id)?;
        let path = format!("/models/{}", encode(&target.model));
        request.endpoint = Endpoint::new(request.endpoint.method().clone(), path)?;
        let provider = self.provider(&target.provider)?;
        let answer = send_to(provider, None, request).await;
        answer.map_err(|error| error.with_model(target.model.clone()))
    }
}

/// One model: whatever is asked, it answers. What its name stands for is looked up at each call.
#[derive(Clone)]
pub(crate) struct Bound {
    pub(crate) current: Current,
    /// The alias, or another name of a model.
    pub(crate) asked_for: Arc<str>,
    /// Whose model it was when it was handed out.
    pub(crate) provider: Arc<str>,
}

#[async_trait]
impl Provider for Bound {
    fn name(&self) -> &str {
        &self.provider
    }

    async fn send(&self, mut request: Request) -> Result<Response> {
        let snapshot = self.current.get();
        let target = snapshot.routes.names.resolve(&self.asked_for)?;
        let provider = snapshot.routes.provider(&target.provider)?;
        request.headers.remove(PROVIDER_HEADER);
        let in_json = request.document().is_some_and(|body| body.get_raw("model").is_some());
        let in_form = request.model().is_some();
        if in_json || in_form || takes_model(&request.endpoint) {
            return snapshot.routes.ask(&target, request).await;
        }
        send_to(provider, None, request).await
    }
}

/// One provider by its name: whoever has it when a call is made.
#[derive(Clone)]
pub(crate) struct Called {
    pub(crate) current: Current,
    pub(crate) name: Arc<str>,
}

#[async_trait]
impl Provider for Called {
    fn name(&self) -> &str {
        &self.name
    }

    async fn send(&self, mut request: Request) -> Result<Response> {
        let snapshot = self.current.get();
        // It was named already.
        request.headers.remove(PROVIDER_HEADER);
        snapshot.routes.provider(&self.name)?.send(request).await
    }
}

/// With the layers of whoever would be asked now.
impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = self.current.get();
        let target = snapshot.routes.names.resolve(&self.asked_for).ok();
        let provider = target.as_ref().and_then(|target| snapshot.routes.provider(&target.provider).ok());
        let model = target.as_ref().map(|target| &target.model);
        f.debug_struct("Bound")
            .field("asked_for", &self.asked_for)
            .field("model", &model)
            .field("provider", &provider)
            .finish()
    }
}

/// With the layers of whoever would be asked now.
impl fmt::Debug for Called {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = self.current.get();
        let provider = snapshot.routes.provider(&self.name).ok();
        f.debug_struct("Called").field("name", &self.name).field("provider", &provider).finish()
    }
}

/// A line and a span a call, as the configuration says at that moment.
pub(crate) struct Logged {
    current: Current,
    names: NamedBy,
    inner: Arc<dyn Provider>,
}

impl Logged {
    pub(crate) fn around(current: &Current, names: NamedBy, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
        Arc::new(Self { current: current.clone(), names, inner })
    }
}

/// Who says what a call asks for.
#[derive(Clone, Debug)]
pub(crate) enum NamedBy {
    /// The request, or the default where it says nothing.
    Request,
    /// Whoever took this name from the registry.
    Holder(Arc<str>),
    /// Nobody: models of a provider go by their own names.
    Nobody,
}

impl NamedBy {
    /// The alias that a call asks for.
    fn alias<'a>(&self, names: &'a Names, request: &Request) -> Option<&'a Arc<str>> {
        match self {
            Self::Request => match request.model() {
                Some(model) => names.alias(&model),
                None if request.headers.contains_key(PROVIDER_HEADER) || !wants_the_default(request) => None,
                None => names.default.as_ref()?.alias.as_ref(),
            },
            Self::Holder(name) => names.alias(name),
            Self::Nobody => None,
        }
    }
}

/// Whether a request that names no model is a question to one.
fn wants_the_default(request: &Request) -> bool {
    takes_model(&request.endpoint) && request.document().is_some()
}

impl fmt::Debug for Logged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let observe = self.current.get().observe;
        f.debug_struct("Logged").field("observe", &observe).field("inner", &self.inner).finish()
    }
}

#[async_trait]
impl Provider for Logged {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn send(&self, mut request: Request) -> Result<Response> {
        let snapshot = self.current.get();
        if let Err(error) = hints::take(&mut request) {
            // It is a call that failed, and told like any other.
            return snapshot.observe.wrap(Arc::new(Refused(error))).send(request).await;
        }
        // Here, where costs are written down too, it isn't known yet what the name stands for.
        if let Some(alias) = self.names.alias(&snapshot.routes.names, &request) {
            request.extensions.insert(Alias(alias.to_string()));
        }
        let inner = match TimeLeft::of(&request) {
            Some(_) => Timeout::new().wrap(self.inner.clone()),
            None => self.inner.clone(),
        };
        let priced = match &snapshot.cost {
            Some(cost) => cost.wrap(inner),
            None => inner,
        };
        snapshot.observe.wrap(priced).send(request).await
    }
}

/// In place of what a request that isn't one would have asked.
#[derive(Debug)]
struct Refused(Error);

#[async_trait]
impl Provider for Refused {
    fn name(&self) -> &str {
        NAME
    }
    async fn send(&self, _: Request) -> Result<Response> {
        Err(self.0.clone())
    }
}

/// Sends a request to a provider, under the model's bare name and with what an alias says of parameters. Whoever fails is
/// named, in the middle of a stream too.
pub(crate) async fn send_to(
    provider: &Arc<dyn Provider>,
    target: Option<&Target>,
    mut request: Request,
) -> Result<Response> {
    let model = target.map(|target| &target.model);
    if let Some(model) = model {
        request.set_model(model);
    }
    let told = match target.and_then(|target| target.parameters.as_ref()) {
        Some(parameters) => parameters.put_into(&mut request)?,
        None => Vec::new(),
    };
    let mut origin = Head::default();
    origin.provider = Some(provider.name().into());
    origin.model = model.cloned();
    let mut response = provider.send(request).await.map_err(|error| {
        let error = error.with_provider(provider.name());
        match model {
            Some(model) => error.with_model(model.clone()),
            None => error,
        }
    })?;
    response.head.adaptations.splice(0..0, told);
    response.head.provider = response.head.provider.or_else(|| origin.provider.clone());
    response.head.model = response.head.model.or_else(|| origin.model.clone());
    if let Body::Events(events) = response.body {
        response.body =
            Body::Events(events.map_events(move |event| event.map_err(|error| origin.blame(error))));
    }
    Ok(response)
}

fn too_slow(provider: &Arc<str>) -> Error {
    let message = format!("no answer to {} within {} s", Endpoint::MODELS, LIST_LIMIT.as_secs());
    Error::new(ErrorKind::Timeout, message).with_provider(provider.clone()).with_attempts(1)
}

async fn models_of(provider: &Arc<dyn Provider>, request: Request) -> Result<Vec<Model>> {
    let (head, body) = send_to(provider, None, request).await?.into_json()?;
    let list: ModelList = serde_json::from_slice(&body)
        .map_err(|error| head.blame(Error::decode_json("the list of models", &error)))?;
    Ok(list.data)
}

/// Endpoints whose JSON body has a `model`. Others, such as `/batches`, would refuse one.
pub(crate) fn takes_model(endpoint: &Endpoint) -> bool {
    *endpoint.method() == Method::POST
        && matches!(
            endpoint.path(),
            "/chat/completions"
                | "/completions"
                | "/embeddings"
                | "/responses"
                | "/moderations"
                | "/images/generations"
                | "/audio/speech"
        )
}

/// Model ids have slashes and colons; in a path some clients escape them and some don't.
pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'%')
            .then(|| u8::from_str_radix(std::str::from_utf8(after.get(..2)?).ok()?, 16).ok())
            .flatten();
        bytes.push(escaped.unwrap_or(*first));
        rest = after.get(if escaped.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn encode(model: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:@".contains(&byte);
    model
        .bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
