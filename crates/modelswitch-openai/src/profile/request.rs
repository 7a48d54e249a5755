//! How requests are put as a service takes them, as data.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::{Profile, words};

/// How requests of the chat are put. Every change is told in
/// [`Head::adaptations`](modelswitch_provider::Head::adaptations); with [`Policies::strict`](crate::Policies::strict) one that
/// alters what was asked for is refused instead.
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
    /// Parameters that the service doesn't take and an answer doesn't depend on: they are left out. A member of messages is
    /// named as `messages[].name`.
    #[serde(deserialize_with = "words::names")]
    pub drop: Vec<String>,
    /// Parameters that the service doesn't take and an answer depends on: a request with one is refused before it is sent. One
    /// that says what is so without it, such as `presence_penalty = 0`, is left out.
    #[serde(deserialize_with = "words::names")]
    pub refuse: Vec<String>,
    /// Parameters by OpenAI's name, and the service's own. All other rules go by OpenAI's.
    #[serde(deserialize_with = "words::renamed")]
    pub rename: BTreeMap<String, String>,
    /// The least and the most that a number may be; what is beyond is sent as the nearest that is within.
    #[serde(deserialize_with = "words::ranges")]
    pub ranges: BTreeMap<String, (f64, f64)>,
    /// How many answers one request can ask for (`n`). Without it, any number passes.
    pub most_choices: Option<u32>,
    /// The words of OpenAI's `reasoning_effort`, and what the service takes for each: the same word, another, or parameters. A
    /// parameter that the request has itself stays as it is. Where there are any, a word that stands on neither side isn't known
    /// for the service: it is sent as it is and told, and refused with [`Policies::strict`](crate::Policies::strict). Without
    /// any, all words pass.
    #[serde(deserialize_with = "words::efforts")]
    pub effort: BTreeMap<String, Effort>,
    /// The choices of a tool that the service takes. Without any, all pass.
    pub tool_choice: Vec<ToolChoiceKind>,
    /// The types of `response_format` that the service takes. Without any, all pass.
    pub response_format: Vec<FormatKind>,
    /// Whether a tool may be marked `strict`; else the mark is taken off.
    pub strict_tools: Option<bool>,
    /// Whether `functions` and `function_call` are taken, which OpenAI's API had before tools. Without it they are sent as tools,
    /// which all services know, and a call comes back as `function_call`.
    pub functions: Option<bool>,
    /// Whether `stream_options` is taken; else it is left out.
    pub stream_options: Option<bool>,
    /// How many letters and digits the id of a tool call must have, where it must be exactly so many. Ids of others are put in
    /// that form, the same one each time.
    pub tool_id_length: Option<u8>,
}

/// Where a model is asked otherwise than its service, laid over the service's [`RequestRules`] field by field: what is left out is
/// as the service has it, tables are laid over each other, and lists are replaced whole.
///
/// ```
/// use modelswitch_openai::Profile;
///
/// let mine = Profile::from_toml("mine", r#"
///     [request]
///     drop = ["seed"]
///     ranges = { temperature = [0.0, 2.0] }
///     [model."thinker-1".request]
///     drop = ["seed", "temperature"]
///     effort = { minimal = "low" }
/// "#)?;
/// assert_eq!(mine.request_rules("talker-1").drop, ["seed"]);
/// let own = mine.request_rules("thinker-1");
/// assert_eq!(own.drop, ["seed", "temperature"]);
/// assert!(own.ranges.contains_key("temperature") && own.effort.contains_key("minimal"));
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ModelRequest {
    /// As [`RequestRules::max_tokens`].
    pub max_tokens: Option<String>,
    /// As [`RequestRules::developer_role`].
    pub developer_role: Option<String>,
    /// As [`RequestRules::content`].
    pub content: Option<ContentRule>,
    /// As [`RequestRules::drop`].
    #[serde(deserialize_with = "words::some_names")]
    pub drop: Option<Vec<String>>,
    /// As [`RequestRules::refuse`].
    #[serde(deserialize_with = "words::some_names")]
    pub refuse: Option<Vec<String>>,
    /// As [`RequestRules::rename`].
    #[serde(deserialize_with = "words::renamed")]
    pub rename: BTreeMap<String, String>,
    /// As [`RequestRules::ranges`].
    #[serde(deserialize_with = "words::ranges")]
    pub ranges: BTreeMap<String, (f64, f64)>,
    /// As [`RequestRules::most_choices`].
    pub most_choices: Option<u32>,
    /// As [`RequestRules::effort`].
    #[serde(deserialize_with = "words::efforts")]
    pub effort: BTreeMap<String, Effort>,
    /// As [`RequestRules::tool_choice`].
    pub tool_choice: Option<Vec<ToolChoiceKind>>,
    /// As [`RequestRules::response_format`].
    pub response_format: Option<Vec<FormatKind>>,
    /// As [`RequestRules::strict_tools`].
    pub strict_tools: Option<bool>,
    /// As [`RequestRules::functions`].
    pub functions: Option<bool>,
    /// As [`RequestRules::stream_options`].
    pub stream_options: Option<bool>,
    /// As [`RequestRules::tool_id_length`].
    pub tool_id_length: Option<u8>,
}

impl ModelRequest {
    fn over(&self, service: &RequestRules) -> RequestRules {
        let own = self.clone();
        let mut rules = service.clone();
        rules.rename.extend(own.rename);
        rules.ranges.extend(own.ranges);
        rules.effort.extend(own.effort);
        RequestRules {
            max_tokens: own.max_tokens.or(rules.max_tokens),
            developer_role: own.developer_role.or(rules.developer_role),
            content: own.content.unwrap_or(rules.content),
            drop: own.drop.unwrap_or(rules.drop),
            refuse: own.refuse.unwrap_or(rules.refuse),
            rename: rules.rename,
            ranges: rules.ranges,
            most_choices: own.most_choices.or(rules.most_choices),
            effort: rules.effort,
            tool_choice: own.tool_choice.unwrap_or(rules.tool_choice),
            response_format: own.response_format.unwrap_or(rules.response_format),
            strict_tools: own.strict_tools.or(rules.strict_tools),
            functions: own.functions.or(rules.functions),
            stream_options: own.stream_options.or(rules.stream_options),
            tool_id_length: own.tool_id_length.or(rules.tool_id_length),
        }
    }
}

impl RequestRules {
    /// True where functions go to the service as they are, or are refused or left out by name.
    pub(crate) fn takes_functions(&self) -> bool {
        let is_named = self.refuse.iter().chain(&self.drop).any(|name| name == "functions");
        self.functions == Some(true) || is_named
    }

    /// True for a word of `reasoning_effort` that the service takes as it is: a profile that says what it has for others
    /// names its own words so.
    pub(crate) fn takes_effort(&self, word: &str) -> bool {
        self.effort.values().any(|effort| matches!(effort, Effort::Word(own) if own == word))
    }
}

impl Profile {
    /// How requests for a model are put, by its exact id: the service's rules, and the model's own over them. A retired name goes
    /// by what stands for it.
    pub fn request_rules(&self, model: &str) -> Cow<'_, RequestRules> {
        let id = self.retired(model).map_or(model, |retired| &retired.instead);
        match self.model(id).map(|facts| &facts.request) {
            Some(own) if *own != ModelRequest::default() => Cow::Owned(own.over(&self.request)),
            Some(_) | None => Cow::Borrowed(&self.request),
        }
    }
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

/// A choice of a tool.
///
/// ```
/// use modelswitch_openai::{Profile, ToolChoiceKind};
///
/// let mine = Profile::from_toml("mine", "request.tool_choice = ['auto', 'named']")?;
/// assert_eq!(mine.request.tool_choice, [ToolChoiceKind::Auto, ToolChoiceKind::Named]);
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ToolChoiceKind {
    /// The model calls a tool or says something, as it likes.
    Auto,
    /// It calls none.
    None,
    /// It calls at least one.
    Required,
    /// It calls this one.
    Named,
    /// It calls some of these, by OpenAI's `allowed_tools`.
    AllowedTools,
}

/// A type of `response_format`.
///
/// ```
/// use modelswitch_openai::{FormatKind, Profile};
///
/// let mine = Profile::from_toml("mine", "request.response_format = ['text', 'json_object']")?;
/// assert_eq!(mine.request.response_format, [FormatKind::Text, FormatKind::JsonObject]);
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FormatKind {
    /// Plain text.
    Text,
    /// Any object of JSON.
    JsonObject,
    /// JSON that follows a schema.
    JsonSchema,
}

/// What the service takes for a word of OpenAI's `reasoning_effort`.
///
/// ```
/// use modelswitch_openai::{Effort, Profile};
///
/// let mine = Profile::from_toml("mine", "[request.effort]\nminimal = 'low'\nnone = { thinking = false }")?;
/// assert_eq!(mine.request.effort["minimal"], Effort::Word("low".to_owned()));
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Effort {
    /// Another word.
    Word(String),
    /// These parameters, in its place.
    Parameters(Map<String, Value>),
}

/// By hand: an untagged enum would say neither what is wrong nor where.
impl<'de> Deserialize<'de> for Effort {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Effort;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word, or a table of parameters")
            }
            fn visit_str<E: de::Error>(self, word: &str) -> Result<Effort, E> {
                Ok(Effort::Word(word.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Effort, A::Error> {
                Map::deserialize(MapAccessDeserializer::new(map)).map(Effort::Parameters)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effort_that_is_neither_word_nor_table_is_told_with_its_path() {
        let error = Profile::from_toml("mine", "[request.effort]\nlow = 5").unwrap_err();
        let told = "`request.effort.low` must be a word, or a table of parameters";
        assert!(error.message().contains(told), "{error}");
    }

    #[test]
    fn a_model_is_asked_by_its_own_rules_and_so_is_a_name_that_it_serves() {
        let profile = Profile::from_toml(
            "mine",
            r#"
            [request]
            max_tokens = "max_tokens"
            refuse = ["audio"]
            rename = { seed = "random_seed" }
            strict_tools = true
            [model.thinker.request]
            max_tokens = "max_completion_tokens"
            refuse = []
            rename = { user = "user_id" }
            [model.old]
            serves = "thinker"
            [retired.older]
            since = "2026-01-01"
            instead = "thinker"
            "#,
        )
        .unwrap();
        for model in ["thinker", "old", "older"] {
            let rules = profile.request_rules(model);
            assert_eq!(rules.max_tokens.as_deref(), Some("max_completion_tokens"), "{model}");
            assert!(rules.refuse.is_empty() && rules.rename.len() == 2, "{model}");
            assert_eq!(rules.strict_tools, Some(true), "{model}");
        }
        assert!(matches!(profile.request_rules("thinker-2"), Cow::Borrowed(_)));
    }
}
