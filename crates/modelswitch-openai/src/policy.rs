use serde::Deserialize;

use crate::BrokenOff;

/// What to do with requests that a service can't take as they are, and with answers that are none.
///
/// Choose them for a provider with [`OpenAiProvider::with_policies`](crate::OpenAiProvider::with_policies), in a configuration
/// file as the table `policy` of the provider, or for one call by putting them into
/// [`Request::extensions`](modelswitch_provider::Request::extensions).
///
/// ```
/// use modelswitch_openai::{ForcedToolChoice, JsonSchema, Policies};
///
/// let policies = Policies {
///     forced_tool_choice: ForcedToolChoice::Refuse,
///     json_schema: JsonSchema::StrictTool,
///     ..Policies::default()
/// };
/// # let _ = policies;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policies {
    /// Refuses what would otherwise be changed here or have no effect: retired names of models, efforts, forced tool choices,
    /// a temperature that is out of range. Each is then an
    /// [`Unsupported`](modelswitch_provider::ErrorKind::Unsupported) error that says what to write. So is an effort that the
    /// service isn't known to have a word for.
    ///
    /// What means the same is changed all the same, and told on the head: a token limit or another parameter under the name
    /// that the service knows, the role `developer` as `system`, `tool_choice = "none"` as a request without tools, a value
    /// that says what is so without it left out.
    pub strict: bool,
    /// A tool choice that forces a call, where the service can't be forced.
    pub forced_tool_choice: ForcedToolChoice,
    /// An answer that must follow a JSON schema, where the service doesn't take one.
    pub json_schema: JsonSchema,
    /// An answer that the service broke off, such as DeepSeek's with the finish reason `insufficient_system_resource`
    /// (<https://api-docs.deepseek.com/api/create-chat-completion>). As an error it is of the kind that the profile says.
    pub broken_off: BrokenOff,
    /// An answer without text and without calls.
    pub empty_answer: EmptyAnswer,
}

/// A tool choice that forces a call, where the service can't be forced. DeepSeek can't while it thinks: it answers 400,
/// `Thinking mode does not support this tool_choice` (<https://api-docs.deepseek.com/guides/tool_calls>).
///
/// ```
/// use modelswitch_openai::{ForcedToolChoice, Policies};
///
/// // Reasoning matters more than the call.
/// let policies = Policies { forced_tool_choice: ForcedToolChoice::Auto, ..Policies::default() };
/// # let _ = policies;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForcedToolChoice {
    /// Thinking is switched off for that call: the tool is called, without reasoning. Where the service can never be forced, the
    /// call is refused as by [`Refuse`](Self::Refuse): somebody counts on a call.
    #[default]
    DisableThinking,
    /// The choice becomes `auto`: there is reasoning, and perhaps no call.
    Auto,
    /// The call is refused before it is sent.
    Refuse,
}

/// An answer that must follow a JSON schema, where the service has no `response_format` of the type `json_schema`. One that
/// has it gets the schema untouched.
///
/// ```
/// use modelswitch_openai::{JsonSchema, Policies};
///
/// let policies = Policies { json_schema: JsonSchema::StrictTool, ..Policies::default() };
/// # let _ = policies;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JsonSchema {
    /// JSON mode, where there is one, with the schema in a system message. The model is asked and not made to follow it, so the
    /// whole answer is checked: one that doesn't fit is a [`Decode`](modelswitch_provider::ErrorKind::Decode) error with a
    /// [`SchemaMismatch`](crate::SchemaMismatch) in it.
    #[default]
    JsonObject,
    /// A strict tool that is called with the answer; the answer is checked too. A request with tools of its own is refused
    /// before it is sent. On DeepSeek thinking is off for that call, and a schema that its strict mode
    /// doesn't take is refused.
    StrictTool,
    /// The call is refused before it is sent.
    Refuse,
}

/// An answer that ended properly without anything in it. Under load, and in JSON mode, DeepSeek now and then gives one
/// (<https://api-docs.deepseek.com/guides/json_mode>).
///
/// ```
/// use modelswitch_openai::{EmptyAnswer, Policies};
///
/// let policies = Policies { empty_answer: EmptyAnswer::Error, ..Policies::default() };
/// # let _ = policies;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptyAnswer {
    /// It is an answer.
    #[default]
    Accept,
    /// It is a [`Decode`](modelswitch_provider::ErrorKind::Decode) error, which a retry repeats once.
    Error,
}
