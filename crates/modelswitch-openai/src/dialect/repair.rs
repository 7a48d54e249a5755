//! Values that should be one thing and came as another.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

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

/// Puts `null` there when it is something else than a string.
pub(super) fn string_or_null(object: &mut Map<String, Value>, name: &str) {
    if object.get(name).is_some_and(|value| !value.is_string()) {
        object.insert(name.to_owned(), Value::Null);
    }
}

/// The `created` of an answer, see [`moment`].
pub(super) fn created(object: &mut Map<String, Value>, known: Option<u32>) {
    moment(object, "created", known);
}

/// Seconds since 1970 as a `u32`: from a float, text, milliseconds; now when there is nothing to read.
pub(super) fn moment(object: &mut Map<String, Value>, name: &str, known: Option<u32>) {
    let value = object.get(name);
    let number = value.and_then(Value::as_f64).or_else(|| value?.as_str()?.trim().parse().ok());
    let seconds = number.filter(|number| *number >= 0.0).map(|number| {
        let most = f64::from(u32::MAX);
        if number > most { number / 1000.0 } else { number }
    });
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
    let seconds = seconds.filter(|number| *number <= f64::from(u32::MAX)).map(|number| number as u32);
    object.insert(name.to_owned(), seconds.or(known).unwrap_or_else(now).into());
}

/// A whole number as a `u32`, from a float or text too.
pub(super) fn count(value: &Value) -> Option<u32> {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
    (0.0..=f64::from(u32::MAX)).contains(&number).then_some(number as u32)
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

fn now() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}
