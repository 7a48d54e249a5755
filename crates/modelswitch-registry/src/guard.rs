//! Least privilege: what a provider may not be asked for is refused here, before a request leaves. Nothing goes around
//! it, since it stands right around the service.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::Method;
use memchr::memmem;
use modelswitch_openai::Profile;
use modelswitch_provider::{
    Body, Document, Endpoint, Error, Model, ModelList, Payload, Provider, Request, Response, Result,
};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::config::{EndpointRule, ModelPattern, NotEmpty, ProviderConfig, without_version};
use crate::load::Places;
use crate::mistake::{Place, dotted, quoted};
use crate::router::decode;
use crate::spelling::list;

/// The [code](Error::code) of the error of kind [`Unsupported`](modelswitch_provider::ErrorKind::Unsupported) that says that
/// the configuration doesn't allow what was asked for: a provider's `allow_models`, `deny_models` or `allow_endpoints`.
pub const NOT_ALLOWED: &str = "not_allowed";

/// What one provider may be asked for.
#[derive(Debug)]
pub(crate) struct Rules {
    provider: String,
    allow_models: Option<Vec<ModelPattern>>,
    deny_models: Vec<ModelPattern>,
    allow_endpoints: Option<Vec<EndpointRule>>,
    /// What the service is asked for when a request names no model.
    default_model: Option<String>,
    /// Names that the adapter asks for under another one.
    renamed: Vec<(String, String)>,
    /// Where the three rules stand.
    places: ArcSwap<[Option<Place>; 3]>,
}

/// The settings, in the order of [`Rules::places`].
const SETTINGS: [&str; 3] = ["allow_models", "deny_models", "allow_endpoints"];

#[derive(Clone, Copy)]
enum Rule {
    AllowModels,
    DenyModels,
    AllowEndpoints,
}

impl Rules {
    /// What the configuration says; `None` where it allows everything.
    pub(crate) fn new(
        name: &str,
        config: &ProviderConfig,
        profile: Option<&Profile>,
        places: &Places,
    ) -> Option<Arc<Self>> {
        let allow_models = config.allow_models.as_ref().map(|NotEmpty(models)| models.clone());
        let deny_models = config.deny_models.as_ref().map(|NotEmpty(models)| models.clone());
        let allow_endpoints = config.allow_endpoints.as_ref().map(|NotEmpty(endpoints)| endpoints.clone());
        if allow_models.is_none() && deny_models.is_none() && allow_endpoints.is_none() {
            return None;
        }
        let renamed = profile.into_iter().flat_map(Profile::retired_names);
        Some(Arc::new(Self {
            provider: name.to_owned(),
            allow_models,
            deny_models: deny_models.unwrap_or_default(),
            allow_endpoints,
            // What code made is given no default.
            default_model: profile
                .and_then(|profile| config.default_model.clone().or_else(|| profile.default_model.clone())),
            renamed: renamed.map(|(name, retired)| (name.to_owned(), retired.instead.clone())).collect(),
            places: ArcSwap::from_pointee(places_of(name, places)),
        }))
    }

    /// The same rules in a configuration that was read again, where they may stand in other lines.
    pub(crate) fn stand_in(&self, places: &Places) {
        self.places.store(Arc::new(places_of(&self.provider, places)));
    }

    /// True when some endpoints are not allowed.
    pub(crate) fn limits_endpoints(&self) -> bool {
        self.allow_endpoints.is_some()
    }

    /// # Errors
    /// [`NOT_ALLOWED`] for an endpoint under a path that isn't allowed.
    pub(crate) fn endpoint(&self, path: &str) -> Result<()> {
        let Some(allowed) = &self.allow_endpoints else { return Ok(()) };
        if allowed.iter().any(|rule| rule.allows(path)) {
            return Ok(());
        }
        let what = format!("`{}` may not be asked at {}", self.provider, quoted(path));
        Err(self.refused(what, Rule::AllowEndpoints, list(allowed.iter().map(ToString::to_string))))
    }

    /// # Errors
    /// [`NOT_ALLOWED`] for a model that isn't allowed.
    pub(crate) fn model(&self, model: &str) -> Result<()> {
        let what = || format!("`{}` may not be asked for {}", self.provider, quoted(model));
        let renamed = self.renamed.iter().find(|(name, _)| name == model).map(|(_, sent)| sent.as_str());
        let names = [Some(model), renamed];
        if names.into_iter().flatten().any(|name| self.deny_models.iter().any(|denied| denied.is_like(name)))
        {
            let error = self.refused(what(), Rule::DenyModels, "all others".to_owned());
            return Err(error.with_model(model).with_param("model"));
        }
        let Some(allowed) = &self.allow_models else { return Ok(()) };
        if names.into_iter().flatten().any(|name| allowed.iter().any(|allowed| allowed.is_exactly(name))) {
            return Ok(());
        }
        let error = self.refused(what(), Rule::AllowModels, list(allowed.iter().map(ToString::to_string)));
        Err(error.with_model(model).with_param("model"))
    }

    /// The rules about models as a text, which is another one for other rules; `None` where there are none.
    pub(crate) fn of_models(&self) -> Option<String> {
        let shown =
            |models: &[ModelPattern]| models.iter().map(|model| format!(" {model}")).collect::<String>();
        let allowed = self.allow_models.as_deref().map(|models| format!("allow:{}", shown(models)));
        let denied = (!self.deny_models.is_empty()).then(|| format!("deny:{}", shown(&self.deny_models)));
        let rules: Vec<String> = [allowed, denied].into_iter().flatten().collect();
        (!rules.is_empty()).then(|| rules.join("; "))
    }

    fn limits_models(&self) -> bool {
        self.allow_models.is_some() || !self.deny_models.is_empty()
    }

    fn check(&self, request: &Request) -> Result<()> {
        let path = request.endpoint.path();
        self.endpoint(path)?;
        if !self.limits_models() {
            return Ok(());
        }
        if let Some((_, id)) = path.split_once("/models/") {
            self.model(&decode(id))?;
        }
        let asked = asked_models(request)?;
        for model in &asked {
            self.model(model)?;
        }
        if asked.is_empty() && wants_model(&request.endpoint) {
            self.unnamed()?;
        }
        Ok(())
    }

    /// A request that names no model is asked of the default one, or of whatever the service takes then.
    fn unnamed(&self) -> Result<()> {
        if let Some(model) = &self.default_model {
            return self.model(model);
        }
        let Some(allowed) = &self.allow_models else { return Ok(()) };
        let what = format!("`{}` may not be asked without a model, since it might take any", self.provider);
        let allowed = list(allowed.iter().map(ToString::to_string));
        Err(self.refused(what, Rule::AllowModels, allowed).with_param("model"))
    }

    fn refused(&self, what: String, rule: Rule, allowed: String) -> Error {
        let places = self.places.load();
        let (Some(setting), place) = (SETTINGS.get(rule as usize), places.get(rule as usize)) else {
            return Error::unsupported(what);
        };
        let setting = dotted(&["providers", &self.provider, setting]);
        let place = place.into_iter().flatten().map(|place| format!(" ({place})")).collect::<String>();
        Error::unsupported(format!("{what}: `{setting}`{place} doesn't allow it"))
            .with_code(NOT_ALLOWED)
            .with_provider(self.provider.as_str())
            .with_hint(format!("ask for what is allowed: {allowed}; or change `{setting}`"))
    }
}

fn places_of(name: &str, places: &Places) -> [Option<Place>; 3] {
    SETTINGS.map(|setting| places.of(&["providers", name, setting]))
}

/// Stands right around a service.
pub(crate) struct Guard {
    rules: Arc<Rules>,
    inner: Arc<dyn Provider>,
}

impl Guard {
    /// Puts the rules around a provider, if there are any.
    pub(crate) fn around(rules: Option<&Arc<Rules>>, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
        match rules {
            Some(rules) => Arc::new(Self { rules: rules.clone(), inner }),
            None => inner,
        }
    }
}

#[async_trait]
impl Provider for Guard {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn send(&self, request: Request) -> Result<Response> {
        self.rules.check(&request)?;
        let lists_models = self.rules.limits_models() && is_list_of_models(&request.endpoint);
        let response = self.inner.send(request).await?;
        if lists_models { self.rules.without_others(response) } else { Ok(response) }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Rules {
    /// The list without the models that aren't allowed. One that can't be read stays: somebody else will say so.
    fn without_others(&self, response: Response) -> Result<Response> {
        let Body::Json(json) = &response.body else { return Ok(response) };
        let Ok(mut models) = serde_json::from_slice::<ModelList>(json) else { return Ok(response) };
        let before = models.data.len();
        models.data.retain(|Model { id, .. }| self.model(id).is_ok());
        if models.data.len() == before {
            return Ok(response);
        }
        Ok(Response { head: response.head, body: Response::json(&models)?.body })
    }
}

fn is_list_of_models(endpoint: &Endpoint) -> bool {
    *endpoint.method() == Method::GET && without_version(endpoint.path()) == "/models"
}

/// Endpoints that ask a model, named or not.
fn wants_model(endpoint: &Endpoint) -> bool {
    *endpoint.method() == Method::POST
        && matches!(
            without_version(endpoint.path()),
            "/chat/completions"
                | "/completions"
                | "/embeddings"
                | "/responses"
                | "/messages"
                | "/moderations"
                | "/images/generations"
                | "/images/edits"
                | "/images/variations"
                | "/audio/speech"
                | "/audio/transcriptions"
                | "/audio/translations"
        )
}

/// Every model that a request names: in its member `model`, and in the list of others to fall back to that some services
/// take.
///
/// # Errors
/// For a model that is no text, or that stands where it might be read in two ways: nothing may be guessed here.
fn asked_models(request: &Request) -> Result<Vec<String>> {
    let ambiguous = |what: &str| {
        Error::invalid_request(format!("{what}, so it isn't known whether it is allowed")).with_param("model")
    };
    let mut asked: Vec<String> = request.checked_model()?.into_iter().map(Cow::into_owned).collect();
    match &request.body {
        Payload::Json(document) => {
            if document.names().any(is_another_spelling) {
                return Err(ambiguous("the body names its model in another spelling"));
            }
            asked.extend(others(document)?);
        }
        Payload::Raw { content_type, bytes } => {
            let kind = content_type.to_str().unwrap_or_default().to_ascii_lowercase();
            if kind.contains("json") {
                let document = Document::parse(bytes.clone())?;
                let Names(names) = serde_json::from_slice(bytes).unwrap_or_default();
                let count = |name: &str| names.iter().filter(|other| *other == name).count();
                if count("model") > 1 || count("models") > 1 {
                    return Err(ambiguous("the body names its model twice"));
                }
                if names.iter().any(|name| is_another_spelling(name)) {
                    return Err(ambiguous("the body names its model in another spelling"));
                }
                let named = document.get::<String>("model")?;
                asked.extend(named.filter(|model| !model.is_empty()));
                asked.extend(others(&document)?);
            } else if wants_model(&request.endpoint) {
                // Files of sound and pictures don't have these words in them.
                let count = |name: &[u8]| memmem::find_iter(bytes, name).count();
                if count(b"name=\"model\"") + count(b"name=model") > 1 {
                    return Err(ambiguous("the form names its model twice"));
                }
                if asked.is_empty() {
                    return Err(ambiguous("the form has no `model` that can be read"));
                }
            }
        }
        _ => {}
    }
    Ok(asked)
}

/// Some services read `Model` as `model`, as Go's decoder does: it pays no heed to case
/// (<https://pkg.go.dev/encoding/json#Unmarshal>).
fn is_another_spelling(name: &str) -> bool {
    // In capitals, since that is where `ſ` is an `S` too.
    matches!(name.to_uppercase().as_str(), "MODEL" | "MODELS") && !matches!(name, "model" | "models")
}

/// The names of a JSON object's members, each as often as it stands there: which of two a service takes isn't known.
#[derive(Default)]
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Names;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut names = Vec::new();
                while let Some((name, IgnoredAny)) = map.next_entry()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// The models that a service may fall back to, as OpenRouter takes them
/// (<https://openrouter.ai/docs/guides/routing/model-fallbacks>).
fn others(document: &Document) -> Result<Vec<String>> {
    Ok(if document.has("models") { document.get("models")?.unwrap_or_default() } else { Vec::new() })
}
