//! Values that should be one thing and came as another.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use crate::Profile;

/// Puts a string there when it is missing or something else; a number becomes its text.
pub(super) fn string_or(object: &mut Map<String, Value>, name: &str, default: impl FnOnce() -> String) {
    match object.get(name) {
        Some(Value::String(_)) => {}
        Some(Value::Number(number)) => {
            let text = number.to_string();
            object.insert(name.to_owned(), text.into());
        }
        _ => {
            object.insert(name.to_owned(), default().into());
        }
    }
}

/// Takes a member out that is there and not a string.
pub(super) fn string_or_nothing(object: &mut Map<String, Value>, name: &str) {
    if object.get(name).is_some_and(|value| !value.is_string()) {
        object.remove(name);
    }
}

/// Seconds since 1970 as a `u32`: from a float, text, milliseconds; now when there is nothing to read.
pub(super) fn created(object: &mut Map<String, Value>, known: Option<u32>) {
    let value = object.get("created");
    let number = value.and_then(Value::as_f64).or_else(|| value?.as_str()?.trim().parse().ok());
    let seconds = number.filter(|number| *number >= 0.0).map(|number| {
        let most = f64::from(u32::MAX);
        if number > most { number / 1000.0 } else { number }
    });
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
    let seconds = seconds.filter(|number| *number <= f64::from(u32::MAX)).map(|number| number as u32);
    object.insert("created".to_owned(), seconds.or(known).unwrap_or_else(now).into());
}

/// A whole number as a `u32`, from a float or text too.
pub(super) fn count(value: &Value) -> Option<u32> {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
    (0.0..=f64::from(u32::MAX)).contains(&number).then_some(number as u32)
}

/// Usage with its three counts, the total computed where it is missing; taken out when there is nothing in it.
pub(super) fn usage(object: &mut Map<String, Value>) {
    let Some(usage) = object.get_mut("usage") else { return };
    let Some(counts) = usage.as_object_mut() else {
        *usage = Value::Null;
        return;
    };
    let read = |names: [&str; 2]| names.iter().find_map(|name| counts.get(*name).and_then(count));
    let prompt = read(["prompt_tokens", "input_tokens"]);
    let completion = read(["completion_tokens", "output_tokens"]);
    let total = read(["total_tokens", "total"]);
    if prompt.is_none() && completion.is_none() && total.is_none() {
        *usage = Value::Null;
        return;
    }
    let prompt = prompt.unwrap_or_else(|| total.unwrap_or(0).saturating_sub(completion.unwrap_or(0)));
    let completion = completion.unwrap_or_else(|| total.unwrap_or(0).saturating_sub(prompt));
    counts.insert("prompt_tokens".to_owned(), prompt.into());
    counts.insert("completion_tokens".to_owned(), completion.into());
    counts.insert("total_tokens".to_owned(), total.unwrap_or(prompt.saturating_add(completion)).into());
    for group in ["prompt_tokens_details", "completion_tokens_details"] {
        match counts.get_mut(group) {
            Some(Value::Object(details)) => details.retain(|_, value| match count(value) {
                Some(number) => {
                    *value = number.into();
                    true
                }
                // Nothing that counts tokens is anything else.
                None => value.is_null() || value.is_object(),
            }),
            Some(_) => {
                counts.remove(group);
            }
            None => {}
        }
    }
}

/// True for the roles that async-openai knows.
pub(super) fn is_role(role: Option<&Value>) -> bool {
    let known = ["developer", "system", "user", "assistant", "tool", "function"];
    role.and_then(Value::as_str).is_some_and(|role| known.contains(&role))
}

/// A service tier that async-openai has no name for is kept beside the field.
pub(super) fn service_tier(object: &mut Map<String, Value>) {
    let known = ["auto", "default", "flex", "scale", "priority", "fast"];
    if object
        .get("service_tier")
        .is_some_and(|tier| !tier.is_null() && !tier.as_str().is_some_and(|tier| known.contains(&tier)))
        && let Some(tier) = object.remove("service_tier")
    {
        object.insert("native_service_tier".to_owned(), tier);
    }
}

/// Arguments as the JSON text that OpenAI sends; an object becomes its text.
pub(super) fn arguments(function: &mut Map<String, Value>) {
    match function.get("arguments") {
        Some(Value::String(_)) => {}
        Some(Value::Null) | None => {
            function.insert("arguments".to_owned(), "".into());
        }
        Some(other) => {
            let text = other.to_string();
            function.insert("arguments".to_owned(), text.into());
        }
    }
}

/// Name and arguments beside the id instead of under `function`, as some services write a call.
pub(super) fn nest_function(call: &mut Map<String, Value>) {
    if call.contains_key("function") || !call.get("name").is_some_and(Value::is_string) {
        return;
    }
    let members = ["name", "arguments"].into_iter();
    let function = members.filter_map(|name| Some((name.to_owned(), call.remove(name)?))).collect();
    call.insert("function".to_owned(), Value::Object(function));
}

/// A profile may say of one of OpenAI's own finish reasons that it is a failure.
pub(super) fn calls_a_standard_reason_a_failure(profile: &Profile) -> bool {
    let standard = ["stop", "length", "tool_calls", "content_filter", "function_call"];
    standard.iter().any(|reason| profile.finish_reasons.contains_key(*reason))
}

fn now() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}
