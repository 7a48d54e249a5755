//! What DeepSeek refuses with a 400: in its words where they are known, marked as simulated where only
//! the rule is.

mod fields;
mod history;
pub(super) mod images;
pub(super) mod limits;
mod messages;
mod refusal;
mod strict;
pub(super) mod tools;

use serde_json::Value;

use crate::ask::{Ask, Format, text_of};
use crate::recorded::Recorded;

use refusal::Place;
pub(super) use refusal::Refusal;

/// The longest prompt with its answer, in tokens.
const CONTEXT: u64 = 1_048_565;

/// Reads the body as far as every endpoint does.
pub(super) fn parse(request: &Recorded) -> Result<Value, Refusal> {
    let body: Value = serde_json::from_slice(&request.body).map_err(|error| Refusal::unparsed(&error))?;
    if body.get("model").and_then(Value::as_str).is_none() {
        return Err(Refusal::unreadable("missing field `model`", &Place::NOWHERE));
    }
    Ok(body)
}

/// What the check of a chat request must know beside its body.
pub(super) struct About<'a> {
    pub(super) thinking: bool,
    pub(super) beta: bool,
    /// Whether an uploaded image can be used.
    pub(super) has_file: &'a dyn Fn(&str) -> bool,
}

/// Everything about a chat request that is refused, in the order in which it is noticed. Gives the id
/// that serves it.
pub(super) fn chat(
    request: &Recorded,
    body: &Value,
    ask: &Ask,
    about: &About<'_>,
) -> Result<&'static str, Refusal> {
    fields::check(request, body, fields::CHAT)?;
    let Some(messages) = body.get("messages").and_then(Value::as_array) else {
        return Err(Refusal::unreadable("missing field `messages`", &Place::NOWHERE));
    };
    let serving = super::serving(&ask.model);
    for (index, message) in messages.iter().enumerate() {
        messages::readable(request, index, message, serving == Some("deepseek-flash"))?;
    }
    tools::check(request, body, about.beta)?;
    let serving = serving.ok_or_else(|| Refusal::no_model(&ask.model))?;
    limits::chat(body)?;
    if messages.is_empty() {
        return Err(Refusal::octets("Empty input messages"));
    }
    messages::images(messages, about.has_file)?;
    format(&ask.format, messages)?;
    if about.thinking && ask.choice.is_forced() {
        return Err(Refusal::octets("Thinking mode does not support this tool_choice"));
    }
    history::prefix(messages, about.beta)?;
    history::check(messages, about.thinking && !ask.tools.is_empty())?;
    context(ask)?;
    Ok(serving)
}

/// What is refused of a completion request. Gives the id that serves it.
pub(super) fn fim(request: &Recorded, body: &Value, ask: &Ask, beta: bool) -> Result<&'static str, Refusal> {
    fields::check(request, body, fields::FIM)?;
    if body.get("prompt").is_none_or(Value::is_null) {
        return Err(Refusal::unreadable("missing field `prompt`", &Place::NOWHERE));
    }
    let serving = super::serving(&ask.model).ok_or_else(|| Refusal::no_model(&ask.model))?;
    if !beta {
        return Err(Refusal::octets(
            "completions api is only available when using beta api (set \
             base_url=\"https://api.deepseek.com/beta\")",
        ));
    }
    limits::fim(body)?;
    context(ask)?;
    Ok(serving)
}

fn format(format: &Format, messages: &[Value]) -> Result<(), Refusal> {
    match format {
        Format::JsonSchema(_) => Err(Refusal::octets("This response_format type is unavailable now")),
        Format::JsonObject if !messages.iter().any(|m| text_of(m).to_lowercase().contains("json")) => {
            Err(Refusal::octets(
                "Prompt must contain the word 'json' in some form to use 'response_format' of type 'json_object'.",
            ))
        }
        Format::JsonObject | Format::Text => Ok(()),
    }
}

/// Prompt and answer must fit together.
pub(super) fn context(ask: &Ask) -> Result<(), Refusal> {
    let (prompt, answer) = (ask.prompt.tokens, ask.max_tokens.unwrap_or(0));
    if prompt + answer <= CONTEXT { Ok(()) } else { Err(too_long(prompt, answer)) }
}

pub(super) fn too_long(prompt: u64, answer: u64) -> Refusal {
    Refusal::octets(format!(
        "This model's maximum context length is {CONTEXT} tokens. However, you requested {} tokens ({prompt} in the \
         messages, {answer} in the completion). Please reduce the length of the messages or completion.",
        prompt + answer
    ))
}

/// Letters, digits, `_` and `-`, and not too many of them.
fn is_name(text: &str, most: usize) -> bool {
    let letters = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    letters && (1..=most).contains(&text.len())
}
