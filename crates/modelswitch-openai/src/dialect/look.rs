//! As much of a chunk as tells whether async-openai decodes it, borrowed from its text: no copy, hardly an allocation.

pub(super) mod mould;
pub(super) mod whole;

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::calls::Piece;
use super::seen::Parts;
use super::{finish, usage};
use crate::Profile;

#[derive(Deserialize)]
#[serde(bound(deserialize = "C: Deserialize<'de>"))]
pub(super) struct Look<'a, C = Choice<'a>> {
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    #[serde(borrow)]
    object: Text<'a>,
    pub(super) created: u32,
    #[serde(borrow)]
    pub(super) model: Text<'a>,
    pub(super) choices: Vec<Object<C>>,
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
    #[serde(borrow, default, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(default)]
    base_resp: Option<Object<BaseResp>>,
}

#[derive(Deserialize)]
pub(super) struct Choice<'a> {
    pub(super) index: u32,
    #[serde(borrow)]
    pub(super) delta: Object<Delta<'a>>,
    /// The whole answer once more, or where a delta should be.
    #[serde(default)]
    message: Option<IgnoredAny>,
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    #[serde(default)]
    pub(super) finish_reason: Option<Reason>,
    #[serde(default)]
    logprobs: Option<IgnoredAny>,
    #[serde(default)]
    error: Option<IgnoredAny>,
}

/// One of the older completions.
#[derive(Deserialize)]
pub(super) struct TextChoice<'a> {
    pub(super) index: u32,
    #[serde(borrow, rename = "text")]
    _text: Text<'a>,
    #[serde(default)]
    pub(super) finish_reason: Option<Reason>,
    #[serde(default)]
    logprobs: Option<IgnoredAny>,
    #[serde(default)]
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
pub(super) struct Delta<'a> {
    #[serde(borrow, default)]
    pub(super) content: Option<Text<'a>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Text<'a>>,
    #[serde(borrow, default)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning_details: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<Text<'a>>,
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
    #[serde(default)]
    custom: Option<IgnoredAny>,
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
    /// Why it broke a stream off.
    #[serde(default)]
    error: Option<IgnoredAny>,
}

/// MiniMax says there in each chunk how it goes.
#[derive(Deserialize)]
struct BaseResp {
    #[serde(default)]
    status_code: Option<i64>,
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

impl Reason {
    /// As it is written.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::FunctionCall => "function_call",
        }
    }
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
            let text_is_repeated =
                choice.text.as_ref().is_none_or(Text::is_empty) || !delta.parts().is_none();
            choice.logprobs.is_none()
                && choice.error.is_none()
                && choice.message.is_none()
                && text_is_repeated
                && delta.function_call.is_none()
                && delta.tool_calls.iter().flatten().all(|call| call.0.custom.is_none())
                && delta.audio.is_none()
                && !matches!(choice.finish_reason, Some(Reason::FunctionCall))
                && reason_is_plain
        };
        self.envelope_conforms() && self.choices.iter().all(plain)
    }
}

/// The one piece of text or of reasoning in a chunk, as it is written, and the choice that it is of.
pub(super) struct OnlyText<'a> {
    pub(super) choice: u32,
    pub(super) text: &'a str,
    pub(super) is_reasoning: bool,
}

impl OnlyText<'_> {
    /// What more of it says.
    pub(super) fn part(&self) -> Parts {
        Parts { text: !self.is_reasoning, thought: self.is_reasoning, ..Parts::default() }
    }
}

impl Look<'_> {
    /// `None` where it tells something else that is kept count of.
    pub(super) fn only_text(&self) -> Option<OnlyText<'_>> {
        let ([Object(choice)], None) = (self.choices.as_slice(), &self.usage) else { return None };
        let delta = &choice.delta.0;
        if choice.finish_reason.is_some() || choice.text.is_some() || delta.tool_calls.is_some() {
            return None;
        }
        let (text, other, is_reasoning) = match (&delta.content, &delta.reasoning_content) {
            (Some(text), Some(thought)) if text.is_empty() => (thought, Some(text), true),
            (Some(text), thought) => (text, thought.as_ref(), false),
            (None, Some(thought)) => (thought, None, true),
            (None, None) => return None,
        };
        match &text.0 {
            Cow::Borrowed(text) if other.is_none_or(Text::is_empty) => {
                Some(OnlyText { choice: choice.index, text, is_reasoning })
            }
            // What had to be read isn't as it is written.
            Cow::Borrowed(_) | Cow::Owned(_) => None,
        }
    }
}

impl Look<'_, TextChoice<'_>> {
    /// The same of the older completions.
    pub(super) fn text_conforms(&self, profile: &Profile) -> bool {
        let plain = |Object(choice): &Object<TextChoice<'_>>| {
            let reason_is_plain = match choice.finish_reason {
                None => true,
                Some(Reason::Stop | Reason::Length | Reason::ContentFilter) => {
                    !finish::calls_a_standard_one_a_failure(profile)
                }
                Some(Reason::ToolCalls | Reason::FunctionCall) => false,
            };
            choice.logprobs.is_none() && choice.error.is_none() && reason_is_plain
        };
        self.envelope_conforms() && self.choices.iter().all(plain)
    }
}

impl<C> Look<'_, C> {
    fn envelope_conforms(&self) -> bool {
        let has_more = self.x_groq.as_ref().is_some_and(|own| own.0.usage.is_some() || own.0.error.is_some());
        // What these say may be a failure, and so may anything beside nothing.
        let may_fail = self.object.0 == "error"
            || self.kind.as_ref().is_some_and(|kind| kind.0 == "error")
            || self.base_resp.as_ref().is_some_and(|base| base.0.fails())
            || (self.choices.is_empty() && self.usage.is_none());
        !may_fail
            && self.error.is_none()
            && self.moderation.is_none()
            && !has_more
            && self.usage.as_ref().is_none_or(|usage| usage.0.is_in_shape())
    }
}

impl BaseResp {
    fn fails(&self) -> bool {
        !matches!(self.status_code, None | Some(0))
    }
}

/// True when MiniMax's member in a whole answer may say a failure.
pub(super) fn base_may_fail(body: &[u8]) -> bool {
    static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"base_resp\""));
    if NAME.find(body).is_none() {
        return false;
    }
    let base = usage::last_member(body, NAME.needle()).map(|rest| {
        serde_json::Deserializer::from_slice(rest).into_iter::<Option<Object<BaseResp>>>().next()
    });
    !matches!(base, Some(Some(Ok(base))) if base.as_ref().is_none_or(|base| !base.0.fails()))
}

impl Text<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> Delta<'a> {
    /// What of an answer is in it.
    pub(super) fn parts(&self) -> Parts {
        let has = |text: &Option<Text<'_>>| text.as_ref().is_some_and(|text| !text.is_empty());
        Parts {
            text: has(&self.content),
            thought: has(&self.reasoning_content)
                || self.reasoning.is_some_and(|reasoning| reasoning.get() != "\"\"")
                || self.reasoning_details.is_some_and(|details| details.get() != "[]"),
            refusal: has(&self.refusal),
            calls: self.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty()),
            audio: false,
        }
    }

    /// The reasoning, as it is written, that has to stand under `reasoning_content` too.
    ///
    /// # Errors
    /// [`TakesACloserLook`] where that isn't all.
    pub(super) fn elsewhere(&self) -> Result<Option<&'a str>, TakesACloserLook> {
        if self.reasoning_content.as_ref().is_some_and(|text| !text.0.is_empty()) {
            return Ok(None);
        }
        let has_details = self.reasoning_details.is_some_and(|details| details.get() != "[]");
        match self.reasoning.map(RawValue::get) {
            None | Some("\"\"") if !has_details => Ok(None),
            None | Some("\"\"") => Err(TakesACloserLook),
            // Half of a surrogate pair is seen only by reading it.
            Some(text) if text.starts_with('"') && !text.contains("\\u") => Ok(Some(text)),
            Some(_) => Err(TakesACloserLook),
        }
    }
}

/// There is more to do than a look can.
pub(super) struct TakesACloserLook;

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
