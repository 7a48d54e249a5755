//! As much of a chunk as tells whether async-openai decodes it, borrowed from its text: no copy, hardly an allocation.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::calls::Piece;
use super::{finish, usage};
use crate::Profile;

#[derive(Deserialize)]
pub(super) struct Look<'a> {
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    #[serde(borrow, rename = "object")]
    _object: Text<'a>,
    pub(super) created: u32,
    #[serde(borrow)]
    pub(super) model: Text<'a>,
    #[serde(borrow)]
    pub(super) choices: Vec<Object<Choice<'a>>>,
    #[serde(default)]
    pub(super) usage: Option<Object<usage::Look>>,
    #[serde(default, rename = "service_tier")]
    _service_tier: Option<Tier>,
    #[serde(borrow, default, rename = "system_fingerprint")]
    _system_fingerprint: Option<Text<'a>>,
    #[serde(borrow, default, rename = "obfuscation")]
    _obfuscation: Option<Text<'a>>,
    #[serde(default)]
    error: Option<IgnoredAny>,
    #[serde(default)]
    moderation: Option<IgnoredAny>,
    #[serde(default)]
    x_groq: Option<Object<Groq>>,
}

#[derive(Deserialize)]
pub(super) struct Choice<'a> {
    pub(super) index: u32,
    #[serde(borrow)]
    pub(super) delta: Object<Delta<'a>>,
    #[serde(default)]
    pub(super) finish_reason: Option<Reason>,
    #[serde(default)]
    logprobs: Option<IgnoredAny>,
}

#[derive(Deserialize)]
pub(super) struct Delta<'a> {
    #[serde(borrow, default)]
    pub(super) content: Option<Text<'a>>,
    #[serde(borrow, default, rename = "reasoning_content")]
    _reasoning_content: Option<Text<'a>>,
    #[serde(borrow, default, rename = "refusal")]
    _refusal: Option<Text<'a>>,
    #[serde(default, rename = "role")]
    _role: Option<Role>,
    #[serde(borrow, default)]
    pub(super) tool_calls: Option<Vec<Object<Call<'a>>>>,
    #[serde(default)]
    function_call: Option<IgnoredAny>,
    #[serde(default)]
    audio: Option<IgnoredAny>,
}

#[derive(Deserialize)]
pub(super) struct Call<'a> {
    index: u32,
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(default, rename = "type")]
    kind: Option<Function>,
    #[serde(borrow, default)]
    function: Option<Object<CallFunction<'a>>>,
}

#[derive(Deserialize)]
struct CallFunction<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    arguments: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Groq {
    #[serde(default)]
    usage: Option<IgnoredAny>,
}

#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// What a derived `Deserialize` reads from a list too, read from an object alone: async-openai counts the members of a list,
/// and there are others than here.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    Developer,
    System,
    User,
    Assistant,
    Tool,
    Function,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reason {
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
    FunctionCall,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Function {
    Function,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Tier {
    Auto,
    Default,
    Flex,
    Scale,
    Priority,
    Fast,
}

impl Look<'_> {
    /// True when nothing is in it that must be looked at more closely.
    pub(super) fn conforms(&self, profile: &Profile) -> bool {
        let plain = |Object(choice): &Object<Choice<'_>>| {
            let reason_is_plain =
                choice.finish_reason.is_none() || !finish::calls_a_standard_one_a_failure(profile);
            let delta = &choice.delta.0;
            choice.logprobs.is_none()
                && delta.function_call.is_none()
                && delta.audio.is_none()
                && !matches!(choice.finish_reason, Some(Reason::FunctionCall))
                && reason_is_plain
        };
        let has_usage_elsewhere = self.x_groq.as_ref().is_some_and(|own| own.0.usage.is_some());
        self.error.is_none()
            && self.moderation.is_none()
            && !has_usage_elsewhere
            && self.usage.as_ref().is_none_or(|usage| usage.0.is_in_shape())
            && self.choices.iter().all(plain)
    }
}

impl Call<'_> {
    pub(super) fn piece(&self) -> Piece<'_> {
        let function = self.function.as_ref().map(|function| &function.0);
        Piece {
            index: Some(self.index),
            id: self.id.as_ref().map(|id| &*id.0),
            name: function.and_then(|function| function.name.as_ref()).map(|name| &*name.0),
            arguments: function.and_then(|function| function.arguments.as_ref()).map(|text| &*text.0),
            has_type: self.kind.is_some(),
        }
    }
}
