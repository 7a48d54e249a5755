//! What is known of a model, by its exact id: never by a part of a name.

use std::collections::BTreeMap;
use std::time::SystemTime;

use modelswitch_provider::{Document, Result, Usage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ModelRequest;
use crate::moment::Moment;
use crate::price::{Billing, Cost, Price};

/// What is known of a model. What isn't known is `None` or empty, and means nothing.
///
/// ```
/// use modelswitch_openai::{Capability, Modality, Profile};
///
/// let deepseek = Profile::embedded("deepseek").ok_or("there is one")?;
/// let flash = deepseek.model("deepseek-flash").ok_or("there is one")?;
/// assert_eq!(flash.max_output, Some(393_216));
/// assert!(flash.can(Capability::Fim));
/// assert_eq!(flash.takes(Modality::Image), Some(true));
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ModelFacts {
    /// The day on which this was read from the service's documentation.
    pub read: Option<Moment>,
    /// What people call it.
    pub title: Option<String>,
    /// The id that answers for this one: it is a name that is still taken, and knows what that id knows.
    pub serves: Option<String>,
    /// How many tokens request and answer may have together.
    pub context: Option<u64>,
    /// How many tokens an answer can be allowed.
    pub max_output: Option<u64>,
    /// How many tokens an answer may have when the request doesn't say.
    pub default_max_output: DefaultMaxOutput,
    /// What a message may hold.
    pub input: Vec<Modality>,
    /// What it can do.
    pub capabilities: Vec<Capability>,
    /// How many calls of one account may run at once.
    pub concurrency: Option<u64>,
    /// What it costs and has cost.
    pub prices: Vec<Price>,
    /// Where it differs from the service's [`ReasoningRules`](crate::ReasoningRules).
    pub reasoning: ModelReasoning,
    /// Where it is asked otherwise than by the service's [`RequestRules`](crate::RequestRules).
    pub request: ModelRequest,
}

/// How many tokens an answer may have when the request doesn't say, by how the model is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct DefaultMaxOutput {
    /// Without reasoning.
    pub plain: Option<u64>,
    /// With reasoning.
    pub thinking: Option<u64>,
    /// With the highest effort.
    pub max_effort: Option<u64>,
}

/// What a message may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Modality {
    /// Text.
    Text,
    /// Pictures.
    Image,
    /// Sound.
    Audio,
    /// Moving pictures.
    Video,
    /// Documents.
    File,
}

/// What a model can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Capability {
    /// It calls tools.
    Tools,
    /// It keeps to the schema of a tool that is marked `strict`.
    StrictTools,
    /// `response_format: json_object`.
    JsonObject,
    /// `response_format: json_schema`.
    JsonSchema,
    /// It thinks before it answers.
    Reasoning,
    /// It goes on with the beginning of an answer.
    Prefix,
    /// It fills in the middle of a text.
    Fim,
    /// It tells how probable each token was.
    Logprobs,
    /// OpenAI's Responses API.
    Responses,
    /// Anthropic's Messages API.
    Anthropic,
    /// It makes embeddings.
    Embeddings,
}

/// Where a model differs from the service's [`ReasoningRules`](crate::ReasoningRules).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ModelReasoning {
    /// When reasoning must be sent back.
    pub pass_back: Option<PassBack>,
    /// What stands for reasoning that is unknown.
    pub empty: Option<String>,
}

/// When the reasoning of earlier turns must be sent back with a conversation, or the service refuses it.
///
/// DeepSeek changed this twice: in 2025 reasoning in a request was an error ([`Never`](Self::Never)), since V3.2 it was
/// wanted while tools were being called ([`ToolTurns`](Self::ToolTurns)), and since V4 from every turn of a conversation
/// with tools ([`WithTools`](Self::WithTools)). That is why it is data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PassBack {
    /// It isn't asked for.
    #[default]
    Never,
    /// In turns that call tools.
    ToolTurns,
    /// In every turn, when the request carries tools.
    WithTools,
    /// In every turn.
    Always,
}

impl PassBack {
    /// True when a turn of the assistant's must carry its reasoning: by whether the request carries tools, and whether the
    /// turn calls some.
    ///
    /// ```
    /// use modelswitch_openai::PassBack;
    ///
    /// assert!(PassBack::WithTools.wants(true, false));
    /// assert!(!PassBack::ToolTurns.wants(true, false));
    /// ```
    pub fn wants(self, request_has_tools: bool, turn_calls_tools: bool) -> bool {
        match self {
            Self::Never => false,
            Self::ToolTurns => turn_calls_tools,
            Self::WithTools => request_has_tools,
            Self::Always => true,
        }
    }
}

impl ModelFacts {
    /// True when it is known to be able to.
    pub fn can(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }

    /// Whether a message to it may hold that; `None` when nothing is known of what it takes.
    pub fn takes(&self, modality: Modality) -> Option<bool> {
        (!self.input.is_empty()).then(|| self.input.contains(&modality))
    }

    /// The price that counts at a moment; `None` when it isn't known. The latest price is taken to hold until a later one
    /// is known here, so for a moment after [`read`](Self::read) it may have changed.
    pub fn price_at(&self, when: SystemTime) -> Option<&Price> {
        self.prices.iter().filter(|price| price.counts_at(when)).max_by_key(|price| price.since)
    }

    /// What a call at that moment cost, in US dollars where it has a price in them; `None` when its price then isn't known.
    pub fn cost(&self, usage: &Usage, when: SystemTime) -> Option<Cost> {
        self.cost_with(usage, when, &Billing::new())
    }

    /// [`cost`](Self::cost) in another currency, or with holidays that this crate doesn't know.
    ///
    /// ```
    /// use modelswitch_openai::{Billing, Profile};
    /// use modelswitch_provider::Usage;
    /// use serde_json::json;
    ///
    /// let deepseek = Profile::embedded("deepseek").ok_or("there is one")?;
    /// let pro = deepseek.model("deepseek-v4-pro").ok_or("there is one")?;
    /// let usage = Usage::from_wire(&json!({ "prompt_tokens": 0, "completion_tokens": 1_000_000 }))?;
    /// let billing = Billing::new().currency("CNY").holidays(2027, ["2027-01-01"])?;
    /// let new_year = humantime::parse_rfc3339("2027-01-01T02:00:00Z")?;
    /// let cost = pro.cost_with(&usage, new_year, &billing).ok_or("priced")?;
    /// assert_eq!(cost.to_string(), "13.5 CNY");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cost_with(&self, usage: &Usage, when: SystemTime, billing: &Billing) -> Option<Cost> {
        self.price_at(when)?.cost(usage, when, billing)
    }

    /// Takes over from the id that serves what isn't said here. Prices are a history: its own and then the other's.
    pub(super) fn fill_from(&mut self, served: &Self) {
        self.title = self.title.take().or_else(|| served.title.clone());
        self.read = self.read.or(served.read);
        self.context = self.context.or(served.context);
        self.max_output = self.max_output.or(served.max_output);
        self.concurrency = self.concurrency.or(served.concurrency);
        if self.default_max_output == DefaultMaxOutput::default() {
            self.default_max_output = served.default_max_output;
        }
        if self.input.is_empty() {
            self.input.clone_from(&served.input);
        }
        if self.capabilities.is_empty() {
            self.capabilities.clone_from(&served.capabilities);
        }
        self.prices.extend_from_slice(&served.prices);
        self.reasoning.pass_back = self.reasoning.pass_back.or(served.reasoning.pass_back);
        self.reasoning.empty = self.reasoning.empty.take().or_else(|| served.reasoning.empty.clone());
        if self.request == ModelRequest::default() {
            self.request.clone_from(&served.request);
        }
    }
}

/// A name that the service no longer takes, and what stands for it.
///
/// ```
/// use modelswitch_openai::Profile;
/// use modelswitch_provider::Document;
///
/// let deepseek = Profile::embedded("deepseek").ok_or("there is one")?;
/// let chat = deepseek.retired("deepseek-chat").ok_or("switched off")?;
/// let mut body = Document::parse(r#"{"model":"deepseek-chat","messages":[]}"#)?;
/// chat.apply(&mut body)?;
/// assert_eq!(body.to_bytes(), r#"{"model":"deepseek-flash","messages":[],"thinking":{"type":"disabled"}}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Retired {
    /// When it was switched off.
    pub since: Moment,
    /// The id to ask for instead.
    pub instead: String,
    /// Parameters that make the other one answer as this one did.
    #[serde(default)]
    pub set: BTreeMap<String, Value>,
    /// Parameters by which a request says for itself what is [`set`](Self::set): with one of them, nothing is.
    #[serde(default)]
    pub unless: Vec<String>,
}

impl Retired {
    /// Puts a request that asks for the retired name so that it asks for the other one. Says whether parameters were set.
    ///
    /// # Errors
    /// [`InvalidRequest`](modelswitch_provider::ErrorKind::InvalidRequest) when a parameter can't be written as JSON, which
    /// none that was read from TOML is.
    pub fn apply(&self, body: &mut Document) -> Result<bool> {
        body.set("model", &self.instead)?;
        if self.set.is_empty() || self.unless.iter().any(|name| body.has(name)) {
            return Ok(false);
        }
        for (name, value) in &self.set {
            body.set(name, value)?;
        }
        Ok(true)
    }
}
