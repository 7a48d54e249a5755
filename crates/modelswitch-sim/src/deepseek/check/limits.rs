//! Numbers out of range and what goes only with something else.

use serde_json::Value;

use super::refusal::Refusal;

/// The most tokens that may be asked for.
const MOST_TOKENS: i64 = 393_216;

/// The rules that chat and completions share.
pub(in crate::deepseek) fn sampling(body: &Value) -> Result<(), Refusal> {
    tokens(body, "max_tokens")?;
    number(body, "temperature", 2.0)?;
    number(body, "top_p", 1.0)?;
    stop(body.get("stop"))?;
    let streams = body.get("stream") == Some(&Value::Bool(true));
    if !streams && body.get("stream_options").is_some_and(|options| !options.is_null()) {
        return Err(Refusal::octets("stream_options should be set along with stream = true"));
    }
    Ok(())
}

/// A field with the number of tokens of an answer.
pub(in crate::deepseek) fn tokens(body: &Value, name: &str) -> Result<(), Refusal> {
    match body.get(name).and_then(Value::as_i64) {
        Some(most) if !(1..=MOST_TOKENS).contains(&most) => Err(Refusal::octets(format!(
            "Invalid {name} value, the valid range of {name} is [1, {MOST_TOKENS}]"
        ))),
        _ => Ok(()),
    }
}

pub(in crate::deepseek) fn number(body: &Value, name: &str, most: f64) -> Result<(), Refusal> {
    match body.get(name).and_then(Value::as_f64) {
        Some(number) if !(0.0..=most).contains(&number) => {
            Err(Refusal::simulated(format!("Invalid {name} value, the valid range of {name} is [0, {most}]")))
        }
        _ => Ok(()),
    }
}

pub(in crate::deepseek) fn stop(stop: Option<&Value>) -> Result<(), Refusal> {
    match stop {
        None | Some(Value::Null | Value::String(_)) => Ok(()),
        Some(Value::Array(words)) if !words.iter().all(Value::is_string) => {
            Err(Refusal::simulated("Invalid stop value, stop must be a string or a list of strings"))
        }
        Some(Value::Array(words)) if words.len() > 16 => {
            Err(Refusal::simulated("Invalid stop value, the maximum number of stop sequences is 16"))
        }
        Some(Value::Array(_)) => Ok(()),
        Some(_) => Err(Refusal::simulated("Invalid stop value, stop must be a string or a list of strings")),
    }
}

/// What only chat has.
pub(super) fn chat(body: &Value) -> Result<(), Refusal> {
    sampling(body)?;
    let top = body.get("top_logprobs").and_then(Value::as_i64);
    if top.is_some_and(|top| !(0..=20).contains(&top)) {
        return Err(Refusal::simulated(
            "Invalid top_logprobs value, the valid range of top_logprobs is [0, 20]",
        ));
    }
    if top.is_some() && body.get("logprobs") != Some(&Value::Bool(true)) {
        return Err(Refusal::simulated("top_logprobs should be set along with logprobs = true"));
    }
    user(body.get("user_id"))
}

/// The number of alternatives that a completion may ask for.
pub(super) fn fim(body: &Value) -> Result<(), Refusal> {
    sampling(body)?;
    match body.get("logprobs").and_then(Value::as_i64) {
        Some(top) if !(0..=20).contains(&top) => {
            Err(Refusal::simulated("Invalid logprobs value, the valid range of logprobs is [0, 20]"))
        }
        _ => Ok(()),
    }
}

/// An end user's id: what a URL takes, and not too long.
pub(in crate::deepseek) fn user(id: Option<&Value>) -> Result<(), Refusal> {
    let Some(id) = id.and_then(Value::as_str) else { return Ok(()) };
    if super::is_name(id, 512) {
        return Ok(());
    }
    Err(Refusal::simulated("Invalid user_id, it must match [a-zA-Z0-9_-]+ and have at most 512 characters"))
}
