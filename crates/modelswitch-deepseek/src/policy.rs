use modelswitch_openai::BrokenOff;
use serde::Deserialize;

/// What to do with requests that DeepSeek can't take as they are, and with answers that are none.
///
/// Choose them for a provider with [`DeepSeek::with_policies`](crate::DeepSeek::with_policies), in a configuration file as
/// the table `policy` of the provider, or for one call by putting them into
/// [`Request::extensions`](modelswitch_provider::Request::extensions).
///
/// ```
/// use modelswitch_deepseek::{ForcedToolChoice, JsonSchema, Policies};
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
    /// Refuses what would otherwise be changed here or have no effect: retired names of models, efforts, users, forced tool
    /// choices, a temperature while thinking. Each is then an
    /// [`Unsupported`](modelswitch_provider::ErrorKind::Unsupported) error that says what to write.
    pub strict: bool,
    /// A tool choice that forces a call, while thinking.
    pub forced_tool_choice: ForcedToolChoice,
    /// An answer that must follow a JSON schema.
    pub json_schema: JsonSchema,
    /// An answer that DeepSeek broke off: it ends with the finish reason `insufficient_system_resource` or `aborted` when it
    /// can't go on (<https://api-docs.deepseek.com/api/create-chat-completion>). As errors they are
    /// [`Overloaded`](modelswitch_provider::ErrorKind::Overloaded) and [`Interrupted`](modelswitch_provider::ErrorKind::Interrupted).
    pub broken_off: BrokenOff,
    /// An answer without text and without calls.
    pub empty_answer: EmptyAnswer,
}

/// DeepSeek answers 400 to a tool choice that forces a call while it thinks
/// (`Thinking mode does not support this tool_choice`, <https://api-docs.deepseek.com/guides/tool_calls>).
///
/// ```
/// use modelswitch_deepseek::{ForcedToolChoice, Policies};
///
/// // Reasoning matters more than the call.
/// let policies = Policies { forced_tool_choice: ForcedToolChoice::Auto, ..Policies::default() };
/// # let _ = policies;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForcedToolChoice {
    /// Thinking is switched off for that call: the tool is called, without reasoning.
    #[default]
    DisableThinking,
    /// The choice becomes `auto`: there is reasoning, and perhaps no call.
    Auto,
    /// The call is refused before it is sent.
    Refuse,
}

/// DeepSeek's chat has no `response_format` of the type `json_schema` (400 `This response_format type is unavailable now`).
///
/// ```
/// use modelswitch_deepseek::{JsonSchema, Policies};
///
/// let policies = Policies { json_schema: JsonSchema::StrictTool, ..Policies::default() };
/// # let _ = policies;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JsonSchema {
    /// JSON mode, with the schema in a system message. The model is asked and not made to follow it, so the whole answer is
    /// checked: one that doesn't fit is a [`Decode`](modelswitch_provider::ErrorKind::Decode) error with a
    /// [`SchemaMismatch`](crate::SchemaMismatch) in it.
    #[default]
    JsonObject,
    /// A strict tool on `/beta` that is called with the answer; thinking is off for that call. DeepSeek takes only a part of
    /// JSON schema there, see [`strict_problems`](crate::strict_problems); another schema, or a request with tools of its own, is
    /// refused before it is sent.
    StrictTool,
    /// The call is refused before it is sent.
    Refuse,
}

/// Under load, and in JSON mode, DeepSeek now and then ends properly without having said anything
/// (<https://api-docs.deepseek.com/guides/json_mode>).
///
/// ```
/// use modelswitch_deepseek::{EmptyAnswer, Policies};
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

impl EmptyAnswer {
    pub(crate) fn is_refused(self) -> bool {
        self == Self::Error
    }
}
