//! How requests are put as a service takes them, as data.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

/// How requests are put.
///
/// ```
/// use modelswitch_openai::Profile;
///
/// let mine = Profile::from_toml("mine", r#"
///     [request]
///     max_tokens = "max_tokens"
///     drop = ["logit_bias"]
///     rename = { seed = "random_seed" }
///     ranges = { temperature = [0.0, 1.0] }
///     [request.effort]
///     none = { thinking = { type = "disabled" } }
///     minimal = "low"
/// "#)?;
/// assert_eq!(mine.request.ranges["temperature"], (0.0, 1.0));
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct RequestRules {
    /// The name of the token limit, `max_tokens` or `max_completion_tokens`. Without one, either passes.
    pub max_tokens: Option<String>,
    /// The role that stands for `developer` where the service doesn't know it.
    pub developer_role: Option<String>,
    /// What the content of a message may be.
    pub content: ContentRule,
    /// Parameters that the service doesn't take and an answer doesn't depend on: they are left out.
    pub drop: Vec<String>,
    /// Parameters that the service doesn't take and an answer depends on: a request with one is refused before it is sent.
    pub refuse: Vec<String>,
    /// Parameters by OpenAI's name, and the service's own.
    pub rename: BTreeMap<String, String>,
    /// The least and the most that a number may be; what is beyond is sent as the nearest that is within.
    pub ranges: BTreeMap<String, (f64, f64)>,
    /// How many answers one request can ask for (`n`). Without it, any number passes.
    pub most_choices: Option<u32>,
    /// The words of OpenAI's `reasoning_effort` that the service takes otherwise. A word that isn't here passes.
    pub effort: BTreeMap<String, Effort>,
    /// The choices of a tool that the service takes: `auto`, `none`, `required`, `named`. Without any, all pass.
    pub tool_choice: Vec<String>,
    /// The types of `response_format` that the service takes: `text`, `json_object`, `json_schema`. Without any, all pass.
    pub response_format: Vec<String>,
    /// Whether a tool may be marked `strict`; else the mark is taken off.
    pub strict_tools: Option<bool>,
    /// Whether `stream_options` is taken; else it is left out.
    pub stream_options: Option<bool>,
}

/// What the content of a message may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ContentRule {
    /// Text, or a list of parts.
    #[default]
    Parts,
    /// Text alone: a list of text parts is put together, and other parts are refused.
    Text,
}

/// What the service takes for a word of OpenAI's `reasoning_effort`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Effort {
    /// Another word.
    Word(String),
    /// These parameters, in its place.
    Parameters(Map<String, Value>),
}
