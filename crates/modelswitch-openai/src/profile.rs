mod hidden;
mod layered;
mod model;
mod place;
mod request;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use modelswitch_provider::{Error, ErrorKind, Result};
use serde::{Deserialize, Deserializer, de::Error as _};

pub use hidden::Hidden;
pub use model::{Capability, DefaultMaxOutput, Modality, ModelFacts, ModelReasoning, PassBack, Retired};
pub use request::{ContentRule, Effort, FormatKind, ModelRequest, RequestRules, ToolChoiceKind};

/// A service described as data: where it is, how it is asked, and how it deviates from OpenAI's own.
///
/// Some two dozen are embedded, a file each in the folder `profiles` of this crate: `deepseek`, `openai`, `mistral`,
/// `llamacpp`, `openai-compatible` and others; [`embedded_names`](Self::embedded_names) tells them. More are read from
/// TOML or built in code: [`guide::adding_a_service`](crate::guide::adding_a_service) does it step by step.
///
/// ```
/// use modelswitch_openai::Profile;
///
/// let deepseek = Profile::embedded("deepseek").ok_or("there is one")?;
/// assert_eq!(deepseek.base_url.as_deref(), Some("https://api.deepseek.com"));
///
/// let mine = Profile::from_toml("mine", r#"
///     base_url = "https://llm.example.com/v1"
///     key_env = ["MINE_API_KEY"]
///     [request]
///     max_tokens = "max_tokens"
/// "#)?;
/// assert_eq!(mine.name, "mine");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Profile {
    /// The profile's name, also the provider's unless it is given another.
    #[serde(skip)]
    pub name: String,
    /// What people call the service.
    pub title: String,
    /// The URL that endpoints are appended to. A profile without one needs it from the configuration.
    pub base_url: Option<String>,
    /// Environment variables that replace the base URL, the first that is set.
    pub base_url_env: Vec<String>,
    /// Base URLs that are made of an environment variable, whose name stands in braces:
    /// `https://{AZURE_RESOURCE_NAME}.openai.azure.com/openai/v1`. The first whose variable is set counts, after
    /// [`base_url_env`](Self::base_url_env).
    pub base_url_from: Vec<String>,
    /// Base URLs of the same service at other places, by what people call them. Each has keys of its own.
    pub regions: BTreeMap<String, String>,
    /// The path of a request that names a model, for a service that wants the model there: `{model}` and `{endpoint}` are
    /// replaced, such as in `/deployments/{model}{endpoint}`. Without it, the endpoint is the path.
    pub path: Option<String>,
    /// Environment variables that hold the key, the first that is set.
    pub key_env: Vec<String>,
    /// Those of [`key_env`](Self::key_env) that say by themselves that somebody wants this service. All of them, unless
    /// some are set on many machines for other reasons, or another profile has them first.
    pub found_by: Option<Vec<String>>,
    /// Where a person makes a key.
    pub key_url: Option<String>,
    /// What is worth knowing before one asks it, in half a sentence.
    pub note: Option<String>,
    /// The model that answers when a request names none.
    pub default_model: Option<String>,
    /// The names that this service owns, the most wanted first: a request for such a bare name can be routed to it.
    pub models: Vec<String>,
    /// What is known of models, by exact id; see [`model`](Self::model()).
    #[serde(rename = "model")]
    pub facts: BTreeMap<String, ModelFacts>,
    /// Names that it owned and no longer takes. Requests for them are still routed to it, but they are in no list.
    pub retired: BTreeMap<String, Retired>,
    /// Why the service can't be asked any more, and what to use instead. A provider of it isn't built.
    pub gone: Option<String>,
    /// Endpoints that it no longer has, by their path, and what to use instead. A request to one is refused before it is
    /// sent.
    pub gone_endpoints: BTreeMap<String, String>,
    /// What in this profile is assumed and not read anywhere, by the path of the field, and why.
    pub assumed: BTreeMap<String, String>,
    /// How the key is sent.
    pub auth: Auth,
    /// Paths under which the key is sent otherwise.
    pub auth_at: Vec<AuthAt>,
    /// Headers sent with every request.
    pub headers: Hidden,
    /// Headers whose value stands in an environment variable: the header, and the variable.
    pub headers_env: BTreeMap<String, String>,
    /// Parameters appended to every request's URL, such as `api-version`. Never a key: URLs end in logs.
    pub query: Hidden,
    /// Parameters whose value may stand in an environment variable: the parameter, and the variable.
    pub query_env: BTreeMap<String, String>,
    /// How requests are put.
    pub request: RequestRules,
    /// Where reasoning appears and goes.
    pub reasoning: ReasoningRules,
    /// What its answers are like.
    pub response: ResponseRules,
    /// Finish reasons of its own that are failures: the reason, and the name of the [`ErrorKind`] it becomes.
    pub finish_reasons: BTreeMap<String, FailureKind>,
    /// Phrases in error texts, whatever their case, by the name of the [`ErrorKind`] they mean. One that begins with `=` is
    /// the whole of an error's code or type: `"=1302"`. They win over what the status and the usual words say.
    pub patterns: BTreeMap<FailureKind, Vec<String>>,
    /// What a person should do, by the name of the [`ErrorKind`].
    pub hints: BTreeMap<FailureKind, String>,
    /// The embedded profile that this is, or those that it was laid over.
    #[serde(skip)]
    pub(crate) lineage: Vec<String>,
}

/// How a key is sent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "WrittenAuth")]
#[non_exhaustive]
pub struct Auth {
    /// The header.
    pub header: String,
    /// The word before the key; none when empty.
    pub scheme: String,
    /// Whether the service can't be asked without a key. A profile that doesn't say it, be it read by itself or from a
    /// configuration, wants one if it names a [variable](Profile::key_env) that holds it.
    pub required: bool,
    is_said: bool,
}

impl Default for Auth {
    fn default() -> Self {
        WrittenAuth::default().into()
    }
}

/// As it stands in a file, where more can be left out than is left open in the end.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenAuth {
    header: String,
    scheme: String,
    required: Option<bool>,
}

impl Default for WrittenAuth {
    fn default() -> Self {
        Self { header: "authorization".to_owned(), scheme: "Bearer".to_owned(), required: None }
    }
}

impl From<WrittenAuth> for Auth {
    fn from(written: WrittenAuth) -> Self {
        let WrittenAuth { header, scheme, required } = written;
        Self { header, scheme, required: required.unwrap_or(true), is_said: required.is_some() }
    }
}

/// How a key is sent to the endpoints under a path, instead of the usual way: a service that speaks Anthropic's API on
/// the side takes the key there as Anthropic does.
///
/// ```
/// use modelswitch_openai::Profile;
///
/// let profile = Profile::from_toml("mine", r#"
///     [[auth_at]]
///     prefix = "/anthropic"
///     header = "x-api-key"
/// "#)?;
/// assert_eq!(profile.auth_at[0].header, "x-api-key");
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AuthAt {
    /// The path, and all paths below it.
    pub prefix: String,
    /// The header.
    pub header: String,
    /// The word before the key; none when empty.
    #[serde(default)]
    pub scheme: String,
}

/// Where reasoning appears and goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ReasoningRules {
    /// The members of a message or delta that hold reasoning; outwards it is always `reasoning_content`.
    pub fields: Vec<String>,
    /// What becomes of `reasoning_content` in the history of a request.
    pub history: History,
    /// When the service wants it back, unless a model's facts say otherwise; see [`pass_back`](Profile::pass_back).
    pub pass_back: PassBack,
    /// What stands for reasoning that is wanted back and unknown; without it, nothing is sent.
    pub empty: Option<String>,
    /// Tags around reasoning that stands in the text of an answer, such as `["<think>", "</think>"]`. In a whole answer the
    /// closing one alone ends a thought, for some models' templates open it; in a stream such a thought stays in the text, since
    /// it has been handed on before its end comes.
    pub tags: Option<(String, String)>,
}

/// What becomes of `reasoning_content` in the history of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum History {
    /// It is sent as it is.
    #[default]
    ReasoningContent,
    /// It is sent as `reasoning`.
    Reasoning,
    /// It is sent as `reasoning`, unless the message still has the service's own `reasoning_details`, which go back untouched
    /// (OpenRouter).
    ReasoningDetails,
    /// It is sent as a part of the type `thinking` in front of what was said (Mistral).
    ThinkingParts,
    /// It is sent in front of what was said, between the profile's [`tags`](ReasoningRules::tags).
    Tags,
    /// It is taken out: the service has no place for it.
    Drop,
}

/// What a service's answers are like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ResponseRules {
    /// Headers that hold the id of the request, besides the usual ones.
    pub request_id: Vec<String>,
    /// Whether the list of models can be asked for. Where it can't, the profile's own [`models`](Profile::models) are the
    /// answer, and nothing is sent.
    pub lists_models: Option<bool>,
    /// What an answer becomes that the service broke off, by its finish reason.
    pub broken_off: BrokenOff,
    /// Whether each chunk of a stream has all of the text so far, instead of what is new.
    pub cumulative: bool,
    /// How the numbers of a vector are packed when it comes as a text.
    pub vectors: Vectors,
}

/// How the numbers of a vector are packed into a text.
///
/// ```
/// use modelswitch_openai::{Profile, Vectors};
///
/// let profile = Profile::from_toml("mine", "[response]\nvectors = 'int8'")?;
/// assert_eq!(profile.response.vectors, Vectors::Int8);
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Vectors {
    /// As OpenAI does it for `encoding_format: "base64"`.
    #[default]
    Float32,
    /// A byte for each, with a sign (Perplexity, which doesn't wait to be asked for it).
    Int8,
}

/// What an answer becomes that the service broke off, by its finish reason.
///
/// ```
/// use modelswitch_openai::{BrokenOff, Profile};
///
/// let profile = Profile::from_toml("mine", "[response]\nbroken_off = 'finish_reason'")?;
/// assert_eq!(profile.response.broken_off, BrokenOff::FinishReason);
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BrokenOff {
    /// An error of the kind that the reason means.
    #[default]
    Error,
    /// An answer with the finish reason `length`, the service's own word beside it as `native_finish_reason`.
    FinishReason,
}

/// An [`ErrorKind`] by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FailureKind(u8);

impl FailureKind {
    /// The kind.
    pub fn kind(self) -> ErrorKind {
        ErrorKind::ALL.get(usize::from(self.0)).copied().unwrap_or(ErrorKind::Upstream)
    }
}

impl From<ErrorKind> for FailureKind {
    fn from(kind: ErrorKind) -> Self {
        let position = ErrorKind::ALL.iter().position(|other| *other == kind).unwrap_or_default();
        Self(u8::try_from(position).unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for FailureKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let kind = ErrorKind::ALL.into_iter().find(|kind| kind.as_str() == name);
        kind.map(Self::from).ok_or_else(|| D::Error::unknown_variant(&name, KINDS))
    }
}

/// The names of [`ErrorKind::ALL`], as serde wants them for its errors; a test holds them against it.
const KINDS: &[&str] = &[
    "invalid_request",
    "context_length",
    "content_filtered",
    "model_not_found",
    "authentication",
    "insufficient_balance",
    "rate_limited",
    "overloaded",
    "upstream",
    "timeout",
    "connection",
    "interrupted",
    "decode",
    "rejected",
    "unsupported",
    "config",
];

/// The names of services, each with the text of its file in `profiles/`.
macro_rules! files {
    ($($name:literal)*) => { &[$(($name, include_str!(concat!("../profiles/", $name, ".toml")))),*] };
}

/// A file a service, the most wanted first. Adding one is adding a line here.
const EMBEDDED: &[(&str, &str)] = files! {
    "deepseek"
    "openai"
    "azure"
    "azure-deployments"
    "anthropic"
    "gemini"
    "openrouter"
    "groq"
    "mistral"
    "xai"
    "moonshot"
    "dashscope"
    "zai"
    "zhipu"
    "minimax"
    "siliconflow"
    "volcengine"
    "together"
    "fireworks"
    "cerebras"
    "nvidia"
    "huggingface"
    "perplexity"
    "openai-compatible"
    "llamacpp"
    "ollama"
    "vllm"
    "lmstudio"
    "litellm"
};

/// Services that can't be asked any more. Who names one is told what to use instead.
const GONE: &[(&str, &str)] = files! { "github-models" };

impl Profile {
    /// A profile that comes with this crate; `None` for a name that is unknown here. That of a service that is
    /// [`gone`](Self::gone) is among them.
    pub fn embedded(name: &str) -> Option<Self> {
        let text = Self::embedded_toml(name)?;
        // A test reads every embedded profile, so this can't fail in a build that passed.
        let mut profile = Self::from_toml(name, text).ok()?;
        profile.lineage = vec![name.to_owned()];
        Some(profile)
    }

    /// The names of the profiles that come with this crate and can be asked, the most wanted first.
    pub fn embedded_names() -> impl Iterator<Item = &'static str> {
        EMBEDDED.iter().map(|(name, _)| *name)
    }

    /// A service about which nothing is known but where it is.
    pub fn compatible(name: impl Into<String>, base_url: impl Into<String>) -> Self {
        let mut profile = Self::embedded("openai-compatible").unwrap_or_default();
        profile.name = name.into();
        profile.base_url = Some(base_url.into());
        profile
    }

    /// Reads a profile from TOML.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) that says what is wrong and where, without a value of the text.
    pub fn from_toml(name: impl Into<String>, text: &str) -> Result<Self> {
        let name = name.into();
        let table = layered::parse(&name, text)?;
        layered::read(&name, table)?.derived(name, [])
    }

    /// What is known of a model, by its exact id. An accepted alias knows what the id that serves it does.
    pub fn model(&self, id: &str) -> Option<&ModelFacts> {
        self.facts.get(id)
    }

    /// What is known of the model that answers to a name: for a [retired](Self::retired()) one, of what stands for it.
    ///
    /// ```
    /// use modelswitch_openai::Profile;
    ///
    /// let deepseek = Profile::embedded("deepseek").ok_or("there is one")?;
    /// assert_eq!(deepseek.answering_to("deepseek-chat"), deepseek.model("deepseek-flash"));
    /// # Ok::<(), &str>(())
    /// ```
    pub fn answering_to(&self, name: &str) -> Option<&ModelFacts> {
        self.model(self.retired(name).map_or(name, |retired| &retired.instead))
    }

    /// All models of which something is known: those of [`models`](Self::models) in their order, then others.
    ///
    /// ```
    /// use modelswitch_openai::Profile;
    ///
    /// let deepseek = Profile::embedded("deepseek").ok_or("there is one")?;
    /// assert_eq!(deepseek.known_models().map(|(id, _)| id).next(), Some("deepseek-flash"));
    /// # Ok::<(), &str>(())
    /// ```
    pub fn known_models(&self) -> impl Iterator<Item = (&str, &ModelFacts)> {
        let owned = self.models.iter().filter_map(|id| self.facts.get_key_value(id));
        let others = self.facts.iter().filter(|(id, _)| !self.models.contains(id));
        owned.chain(others).map(|(id, facts)| (id.as_str(), facts))
    }

    /// What stands for a name that the service no longer takes.
    pub fn retired(&self, name: &str) -> Option<&Retired> {
        self.retired.get(name)
    }

    /// All names that the service no longer takes.
    pub fn retired_names(&self) -> impl Iterator<Item = (&str, &Retired)> {
        self.retired.iter().map(|(name, retired)| (name.as_str(), retired))
    }

    /// When a model wants the reasoning of earlier turns back: its own rule, else the service's. A retired name goes by
    /// what stands for it.
    ///
    /// ```
    /// use modelswitch_openai::{PassBack, Profile};
    ///
    /// let deepseek = Profile::embedded("deepseek").ok_or("there is one")?;
    /// assert_eq!(deepseek.pass_back("deepseek-flash"), PassBack::WithTools);
    /// assert_eq!(deepseek.empty_reasoning("deepseek-flash"), Some(""));
    /// # Ok::<(), &str>(())
    /// ```
    pub fn pass_back(&self, model: &str) -> PassBack {
        self.model_reasoning(model).and_then(|own| own.pass_back).unwrap_or(self.reasoning.pass_back)
    }

    /// What is sent as the reasoning of a turn that must have some and whose own is unknown; `None` when nothing is.
    pub fn empty_reasoning(&self, model: &str) -> Option<&str> {
        let own = self.model_reasoning(model).and_then(|own| own.empty.as_deref());
        own.or(self.reasoning.empty.as_deref())
    }

    fn model_reasoning(&self, model: &str) -> Option<&ModelReasoning> {
        Some(&self.answering_to(model)?.reasoning)
    }

    /// Gives accepted aliases what the ids that serve them know.
    fn fill_in_served(&mut self) -> Result<()> {
        let known = self.facts.clone();
        for (alias, facts) in &mut self.facts {
            let Some(id) = &facts.serves else { continue };
            let served = known.get(id).filter(|served| served.serves.is_none()).ok_or_else(|| {
                Error::config(format!(
                    "the profile `{}` says that `{id}` serves `{alias}`, and knows no model `{id}`",
                    self.name
                ))
                .with_hint(format!("add [model.\"{id}\"], or name the id that really serves"))
            })?;
            facts.fill_from(served);
        }
        Ok(())
    }

    /// The service's id of a request, from the headers of its answer.
    pub(crate) fn request_id(&self, headers: &HeaderMap) -> Option<Arc<str>> {
        let text =
            |value: Option<&'_ HeaderValue>| value?.to_str().ok().filter(|id| !id.is_empty()).map(Arc::from);
        let own = self.response.request_id.iter().find_map(|name| text(headers.get(name.as_str())));
        own.or_else(|| {
            // One way over the headers takes less than looking each of the names up.
            let rank = |name: &HeaderName| USUAL_REQUEST_IDS.iter().position(|usual| usual == name);
            let ids = headers.iter().filter_map(|(name, value)| Some((rank(name)?, text(Some(value))?)));
            ids.min_by_key(|(rank, _)| *rank).map(|(_, id)| id)
        })
    }

    /// A service whose key nobody knows a variable for may be one that wants none.
    fn fill_in_required(&mut self) {
        self.auth.required &= self.auth.is_said || !self.key_env.is_empty();
    }

    /// What a person should do about a key that is refused, unless the profile says it: which variables hold it, where a
    /// new one is made, and that other regions have other keys.
    fn fill_in_hints(&mut self) {
        if self.key_env.is_empty() {
            return;
        }
        let made_at = self.key_url.as_ref().map(|url| format!(", or make a new key at {url}"));
        let hint = format!("check {}{}", self.key_env.join(" or "), made_at.unwrap_or_default());
        self.hints.entry(ErrorKind::Authentication.into()).or_insert_with(|| hint);
    }

    /// What a person should do about an error of this kind, where the profile knows better than the kind itself.
    pub(crate) fn hint(&self, kind: ErrorKind) -> Option<&str> {
        self.hints.get(&kind.into()).map(String::as_str)
    }
}

/// Where services write the id of a request, the first of them first.
static USUAL_REQUEST_IDS: [HeaderName; 10] = [
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("request-id"),
    HeaderName::from_static("x-ds-trace-id"),
    HeaderName::from_static("apim-request-id"),
    HeaderName::from_static("x-amzn-requestid"),
    HeaderName::from_static("mistral-correlation-id"),
    HeaderName::from_static("msh-request-id"),
    HeaderName::from_static("nvcf-reqid"),
    HeaderName::from_static("x-siliconcloud-trace-id"),
    HeaderName::from_static("cf-ray"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Moment;
    use modelswitch_provider::Document;

    #[test]
    fn every_error_kind_has_its_name_in_a_profile() {
        assert_eq!(KINDS, ErrorKind::ALL.map(ErrorKind::as_str));
    }

    fn all() -> impl Iterator<Item = (&'static str, &'static str, Profile)> {
        let files = EMBEDDED.iter().chain(GONE).copied();
        files.map(|(name, text)| (name, text, Profile::from_toml(name, text).unwrap()))
    }

    #[test]
    fn every_embedded_profile_can_be_read_and_says_where_its_facts_are_from_and_when() {
        let is_day = |word: &str| {
            let word = word.trim_matches(|c: char| !c.is_ascii_digit());
            word.starts_with("2026-") && word.parse::<Moment>().is_ok()
        };
        for (name, text, profile) in all() {
            let head: String = text.lines().take_while(|line| line.starts_with('#')).collect();
            assert!(!profile.title.is_empty() && profile.title != name, "{name} has a title");
            let any = name == "openai-compatible";
            assert!(any || head.contains("https://"), "{name} names a page: {head}");
            assert!(any || head.split_whitespace().any(is_day), "{name} says on which day: {head}");
        }
    }

    #[test]
    fn every_embedded_profile_knows_where_its_service_is_and_how_one_gets_in() {
        for (name, _, profile) in all().filter(|(name, ..)| *name != "openai-compatible") {
            assert!(profile.base_url.is_some() || !profile.base_url_from.is_empty(), "{name} has a base URL");
            assert_ne!(profile.key_env, Vec::<String>::new(), "{name} names a variable");
            assert!(!profile.auth.required || profile.gone.is_some() || profile.key_url.is_some(), "{name}");
            assert!(profile.hint(ErrorKind::Authentication).is_some(), "{name} has a hint for a refused key");
            let local = profile.base_url.as_deref().is_some_and(|url| url.contains("//127.0.0.1"));
            assert_eq!(local, profile.hint(ErrorKind::Connection).is_some(), "{name} says how it is started");
            for variable in profile.found_by() {
                assert!(profile.key_env.contains(variable), "{name} is found by a key");
            }
        }
    }

    #[test]
    fn a_variable_finds_one_service_only() {
        let mut seen = BTreeMap::new();
        for (name, _, profile) in all() {
            for variable in profile.found_by() {
                assert_eq!(seen.insert(variable.clone(), name), None, "{variable} finds {name} and another");
            }
        }
        assert_eq!(seen.get("DEEPSEEK_API_KEY"), Some(&"deepseek"));
    }

    #[test]
    fn what_is_assumed_is_in_the_profile_and_has_a_reason() {
        for (name, text, profile) in all() {
            let table = layered::parse(name, text).unwrap();
            for (path, why) in &profile.assumed {
                let mut parts = path.split('.');
                let first = table.get(parts.next().unwrap());
                let found = parts.try_fold(first.unwrap(), |here, part| here.get(part));
                assert!(found.is_some() && why.len() > 10, "{name}: {path} = {why}");
            }
        }
    }

    #[test]
    fn only_the_living_are_listed_and_the_gone_say_what_to_use_instead() {
        for (name, _, profile) in all() {
            let is_gone = GONE.iter().any(|(gone, _)| *gone == name);
            assert_eq!(profile.gone.is_some(), is_gone, "{name}");
            assert_eq!(Profile::embedded_names().any(|other| other == name), !is_gone, "{name}");
            assert!(Profile::embedded(name).is_some_and(|profile| profile.descends_from(name)), "{name}");
            assert!(!is_gone || profile.found_by().is_empty(), "{name}");
        }
    }

    #[test]
    fn everything_that_an_embedded_profile_refers_to_exists() {
        for profile in Profile::embedded_names().map(|name| Profile::embedded(name).unwrap()) {
            let owns = |id: &String| profile.models.contains(id);
            assert!(profile.default_model.as_ref().is_none_or(owns), "{}", profile.name);
            for (id, facts) in &profile.facts {
                assert!(owns(id), "{id} is in `models`");
                assert!(facts.serves.as_ref().is_none_or(owns), "{id} is served");
                assert!(facts.read.is_some(), "{id} says when it was read");
                assert!(facts.max_output <= facts.context, "{id}");
                for price in &facts.prices {
                    assert!(
                        price.until.is_none_or(|until| price.since < Some(until)),
                        "{id} since {:?}",
                        price.since
                    );
                    assert!(price.since.is_some() && !price.rates.is_empty(), "{id} since {:?}", price.since);
                }
            }
            for (name, retired) in profile.retired_names() {
                assert!(owns(&retired.instead), "what stands for {name}");
                assert!(!owns(&name.to_owned()) && profile.model(name).is_none(), "{name} is retired");
            }
        }
    }

    #[test]
    fn an_alias_knows_what_serves_it_and_keeps_its_own_history() {
        let profile = Profile::from_toml(
            "mine",
            r#"
            [model.new]
            context = 1000
            input = ["text"]
            reasoning.pass_back = "always"
            [[model.new.prices]]
            since = "2026-02-01"
            rates.USD = { input = "1", output = "1" }
            [model.old]
            serves = "new"
            context = 500
            [[model.old.prices]]
            since = "2026-01-01"
            rates.USD = { input = "2", output = "2" }
            "#,
        )
        .unwrap();
        let old = profile.model("old").unwrap();
        assert_eq!((old.context, old.takes(Modality::Image)), (Some(500), Some(false)));
        assert_eq!(profile.pass_back("old"), PassBack::Always);
        let since = |day: &str| Some(old.price_at(day.parse::<Moment>().ok()?.time())?.since?.to_string());
        assert_eq!(since("2026-01-31").as_deref(), Some("2026-01-01"));
        assert_eq!(since("2026-02-01").as_deref(), Some("2026-02-01"));
        assert_eq!(since("2025-12-31"), None);
    }

    #[test]
    fn an_alias_of_nothing_is_an_error_that_names_both() {
        let error = Profile::from_toml("mine", "[model.old]\nserves = 'new'").unwrap_err();
        assert!(error.message().contains("`new` serves `old`"), "{error}");
    }

    #[test]
    fn a_model_may_have_its_own_rule_of_passing_reasoning_back() {
        let profile = Profile::from_toml(
            "mine",
            r#"
            [reasoning]
            pass_back = "with_tools"
            empty = ""
            [model.strange.reasoning]
            pass_back = "never"
            empty = " "
            [retired.older]
            since = "2026-01-01"
            instead = "strange"
            "#,
        )
        .unwrap();
        for (model, pass_back, empty) in [
            ("usual", PassBack::WithTools, ""),
            ("strange", PassBack::Never, " "),
            ("older", PassBack::Never, " "),
        ] {
            assert_eq!((profile.pass_back(model), profile.empty_reasoning(model)), (pass_back, Some(empty)));
        }
        assert_eq!(Profile::default().empty_reasoning("x"), None);
    }

    #[test]
    fn a_retired_name_sets_its_parameters_unless_the_request_says_them() {
        let deepseek = Profile::embedded("deepseek").unwrap();
        for (name, body, expected, set) in [
            (
                "deepseek-chat",
                r#"{"model":"deepseek-chat"}"#,
                r#"{"model":"deepseek-flash","thinking":{"type":"disabled"}}"#,
                true,
            ),
            (
                "deepseek-reasoner",
                r#"{"model":"x"}"#,
                r#"{"model":"deepseek-flash","thinking":{"type":"enabled"}}"#,
                true,
            ),
            (
                "deepseek-chat",
                r#"{"model":"x","thinking":{"type":"enabled"}}"#,
                r#"{"model":"deepseek-flash","thinking":{"type":"enabled"}}"#,
                false,
            ),
            (
                "deepseek-chat",
                r#"{"model":"x","reasoning_effort":"low"}"#,
                r#"{"model":"deepseek-flash","reasoning_effort":"low","thinking":{"type":"disabled"}}"#,
                true,
            ),
            (
                "deepseek-chat",
                r#"{"model":"x","thinking":null}"#,
                r#"{"model":"deepseek-flash","thinking":{"type":"disabled"}}"#,
                true,
            ),
        ] {
            let mut document = Document::parse(body).unwrap();
            assert_eq!(deepseek.retired(name).unwrap().apply(&mut document).unwrap(), set);
            assert_eq!(document.to_bytes(), expected);
        }
    }

    #[test]
    fn a_misspelt_member_is_an_error_that_says_so() {
        let error = Profile::from_toml("mine", "base_ulr = 'x'").unwrap_err();
        assert!(error.to_string().contains("base_ulr"), "{error}");
    }
}
