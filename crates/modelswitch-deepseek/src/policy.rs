/// What to do with requests that DeepSeek can't take as they are.
///
/// ```
/// use modelswitch_deepseek::{ForcedToolChoice, Policies};
///
/// let policies = Policies { forced_tool_choice: ForcedToolChoice::Refuse, ..Policies::default() };
/// # let _ = policies;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policies {
    /// Refuses what would otherwise be changed here: retired names of models, efforts, users, forced tool choices. Each is then an
    /// [`Unsupported`](modelswitch_provider::ErrorKind::Unsupported) error that says what to write.
    pub strict: bool,
    /// A tool choice that forces a call, while thinking.
    pub forced_tool_choice: ForcedToolChoice,
}

/// DeepSeek answers 400 to a tool choice that forces a call while it thinks
/// (`Thinking mode does not support this tool_choice`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForcedToolChoice {
    /// Thinking is switched off for that call: the tool is called, without reasoning.
    #[default]
    DisableThinking,
    /// The choice becomes `auto`: there is reasoning, and perhaps no call.
    Auto,
    /// The call is refused before it is sent.
    Refuse,
}
