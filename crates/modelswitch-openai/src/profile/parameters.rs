//! The parameters of requests that are known by name.

/// What kind of value a parameter of requests takes.
///
/// ```
/// use modelswitch_openai::Takes;
///
/// assert_eq!(Takes::of("temperature"), Some(Takes::Number));
/// assert_eq!(Takes::of("search_parameters"), None);      // a service's own may be anything
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Any number.
    Number,
    /// A whole number.
    Whole,
    /// True or false.
    Switch,
    /// A text.
    Text,
    /// A table.
    Table,
    /// A list.
    List,
    /// A text, or a list of texts.
    TextOrList,
    /// A text, or a table.
    TextOrTable,
}

impl Takes {
    /// What a parameter takes as far as all services agree; `None` for any other.
    pub fn of(parameter: &str) -> Option<Self> {
        PARAMETERS.iter().find(|(known, _)| *known == parameter)?.1
    }
}

/// OpenAI's parameters (<https://platform.openai.com/docs/api-reference/chat/create>), and those of others that mean the same at
/// each or resemble one of OpenAI's. What one takes is said where a wrong value would fail every call.
pub(super) const PARAMETERS: &[(&str, Option<Takes>)] = &[
    ("temperature", Some(Takes::Number)),
    ("top_p", Some(Takes::Number)),
    ("min_p", Some(Takes::Number)),
    ("top_k", Some(Takes::Whole)),
    ("presence_penalty", Some(Takes::Number)),
    ("frequency_penalty", Some(Takes::Number)),
    ("repetition_penalty", Some(Takes::Number)),
    ("max_tokens", Some(Takes::Whole)),
    ("max_completion_tokens", Some(Takes::Whole)),
    ("max_output_tokens", Some(Takes::Whole)),
    ("n", Some(Takes::Whole)),
    ("seed", Some(Takes::Whole)),
    ("dimensions", Some(Takes::Whole)),
    ("logprobs", Some(Takes::Switch)),
    ("top_logprobs", Some(Takes::Whole)),
    ("logit_bias", Some(Takes::Table)),
    ("stop", Some(Takes::TextOrList)),
    ("response_format", Some(Takes::Table)),
    ("tools", Some(Takes::List)),
    ("tool_choice", Some(Takes::TextOrTable)),
    ("parallel_tool_calls", Some(Takes::Switch)),
    ("reasoning_effort", Some(Takes::Text)),
    ("verbosity", Some(Takes::Text)),
    ("modalities", Some(Takes::List)),
    ("metadata", Some(Takes::Table)),
    ("store", Some(Takes::Switch)),
    ("service_tier", Some(Takes::Text)),
    ("user", Some(Takes::Text)),
    ("prompt_cache_key", Some(Takes::Text)),
    ("safety_identifier", Some(Takes::Text)),
    ("audio", None),
    ("chat_template_kwargs", None),
    ("enable_thinking", None),
    ("function_call", None),
    ("functions", None),
    ("messages[].name", None),
    ("min_tokens", None),
    ("prediction", None),
    ("prompt_cache_retention", None),
    ("random_seed", None),
    ("reasoning", None),
    ("stream", None),
    ("stream_options", None),
    ("thinking", None),
    ("web_search_options", None),
];
