//! As much of a whole answer as tells whether async-openai decodes it.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::mould::Form;
use super::{Function, Groq, Object, Reason, Role, Text, Tier};
use crate::Profile;
use crate::dialect::{finish, usage, whole};

/// What it has no member for is told by decoding it.
#[derive(Deserialize)]
pub(in crate::dialect) struct Whole<'a> {
    #[serde(borrow, rename = "id")]
    _id: Text<'a>,
    #[serde(borrow, rename = "object")]
    _object: Text<'a>,
    #[serde(rename = "created")]
    _created: u32,
    #[serde(borrow, rename = "model")]
    _model: Text<'a>,
    #[serde(borrow)]
    choices: Vec<Object<Choice<'a>>>,
    #[serde(default)]
    usage: Option<Object<usage::Look>>,
    #[serde(default, rename = "service_tier")]
    _service_tier: Option<Tier>,
    #[serde(borrow, default, rename = "system_fingerprint")]
    _system_fingerprint: Option<Text<'a>>,
    #[serde(default)]
    error: Option<IgnoredAny>,
    #[serde(default)]
    moderation: Option<IgnoredAny>,
    #[serde(default)]
    metadata: Option<IgnoredAny>,
    #[serde(default)]
    x_groq: Option<Object<Groq>>,
    #[serde(default)]
    base_resp: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(rename = "index")]
    _index: u32,
    #[serde(borrow)]
    message: Object<Message<'a>>,
    #[serde(default)]
    finish_reason: Option<Reason>,
    #[serde(default)]
    logprobs: Option<IgnoredAny>,
    #[serde(default)]
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(rename = "role")]
    _role: Role,
    #[serde(borrow, default)]
    content: Option<Text<'a>>,
    #[serde(borrow, default)]
    refusal: Option<Text<'a>>,
    #[serde(borrow, default, rename = "reasoning_content")]
    _reasoning_content: Option<Text<'a>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<Object<Call<'a>>>>,
    /// OpenAI sends none of them in each answer.
    #[serde(default, rename = "annotations")]
    _annotations: Option<[IgnoredAny; 0]>,
    #[serde(default)]
    function_call: Option<IgnoredAny>,
    #[serde(default)]
    audio: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(rename = "type")]
    _kind: Function,
    #[serde(borrow, rename = "function")]
    _function: Object<CallFunction<'a>>,
}

#[derive(Deserialize)]
struct CallFunction<'a> {
    #[serde(borrow, rename = "name")]
    _name: Text<'a>,
    #[serde(borrow, rename = "arguments")]
    _arguments: Text<'a>,
}

/// What async-openai has no member for, and our own view has.
#[derive(Deserialize)]
struct Thoughts<'a> {
    #[serde(borrow, rename = "choices")]
    _choices: Vec<ThoughtChoice<'a>>,
}

#[derive(Deserialize)]
struct ThoughtChoice<'a> {
    #[serde(borrow, rename = "message")]
    _message: ThoughtMessage<'a>,
}

#[derive(Deserialize)]
struct ThoughtMessage<'a> {
    #[serde(borrow, default, rename = "reasoning_content")]
    _reasoning_content: Option<Text<'a>>,
}

/// True when each `reasoning_content` of an answer that async-openai decodes is a text.
pub(in crate::dialect) fn has_thoughts_in_shape(body: &[u8]) -> bool {
    memchr::memmem::find(body, b"reasoning_content").is_none()
        || serde_json::from_slice::<Thoughts<'_>>(body).is_ok()
}

impl<'a> Whole<'a> {
    /// The look at a text; `None` where decoding must tell.
    pub(in crate::dialect) fn of(text: &'a str) -> Option<Self> {
        serde_json::from_str::<Object<Self>>(text).ok().map(|Object(whole)| whole)
    }

    /// True when async-openai decodes it, and nothing is in it that must be looked at more closely.
    pub(in crate::dialect) fn conforms(&self, profile: &Profile) -> bool {
        let has_more = self.x_groq.as_ref().is_some_and(|own| own.0.usage.is_some() || own.0.error.is_some());
        // Without choices it decodes, and the first app that reads the first one panics.
        !self.choices.is_empty()
            && self.choices.iter().all(|Object(choice)| choice.conforms())
            && self.error.is_none()
            && self.moderation.is_none()
            && self.metadata.is_none()
            && !has_more
            && self.usage.as_ref().is_none_or(|usage| usage.0.is_in_shape())
            && !finish::calls_a_standard_one_a_failure(profile)
    }

    /// The form of one that conforms, where all of its messages have the same. A number in MiniMax's own member may be a failure.
    pub(in crate::dialect) fn form(&self) -> Option<Form> {
        if self.base_resp.is_some() {
            return None;
        }
        let mut forms = self.choices.iter().map(|Object(choice)| choice.message.0.form());
        let first = forms.next()??;
        forms.all(|form| form == Some(first)).then_some(first)
    }
}

impl Choice<'_> {
    fn conforms(&self) -> bool {
        let Object(message) = &self.message;
        !matches!(self.finish_reason, None | Some(Reason::FunctionCall))
            && self.logprobs.is_none()
            && self.error.is_none()
            && message.function_call.is_none()
            && message.audio.is_none()
            // What an empty message doesn't say may stand beside it.
            && message.says_something()
            && message.tool_calls.as_deref().is_none_or(ids_are_unique)
    }
}

impl Message<'_> {
    fn form(&self) -> Option<Form> {
        let has_text = self.content.as_ref().is_some_and(|text| !text.is_empty());
        match self.tool_calls.as_deref() {
            None | Some([]) if has_text => Some(Form::Texts),
            Some([_]) => Some(Form::Calls),
            None | Some(_) => None,
        }
    }

    fn says_something(&self) -> bool {
        [&self.content, &self.refusal].into_iter().flatten().any(|text| !text.is_empty())
            || self.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty())
    }
}

fn ids_are_unique(calls: &[Object<Call<'_>>]) -> bool {
    whole::are_unique(calls.iter().map(|call| &*call.0.id.0))
}
