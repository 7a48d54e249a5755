//! Roles, contents and their parts.

use serde_json::Value;

use super::fields::described;
use super::images::{Images, file, image_url};
use super::refusal::{Place, Refusal};
use crate::ask::role;
use crate::recorded::Recorded;

const ROLES: [&str; 5] = ["system", "user", "assistant", "tool", "latest_reminder"];

/// Refuses what the front door can't read of a message.
pub(super) fn readable(
    request: &Recorded,
    index: usize,
    message: &Value,
    vision: bool,
) -> Result<(), Refusal> {
    let role = role(message);
    if !ROLES.contains(&role) {
        let what = format!(
            "messages[{index}].role: unknown variant `{role}`, expected one of `system`, `user`, `assistant`, \
             `tool`, `latest_reminder`"
        );
        return Err(Refusal::unreadable(&what, &Place::behind(request, role)));
    }
    let refused =
        |what: &str| Err(Refusal::unreadable(&format!("messages[{index}]: {what}"), &Place::NOWHERE));
    match message.get("content") {
        Some(Value::String(_) | Value::Array(_)) => {}
        None | Some(Value::Null) if role == "assistant" => {}
        None => return refused("missing field `content`"),
        Some(other) => {
            return refused(&format!("invalid type: {}, expected a string or a sequence", described(other)));
        }
    }
    if role == "tool" && message.get("tool_call_id").and_then(Value::as_str).is_none() {
        return refused("missing field `tool_call_id`");
    }
    for call in message.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
        for pointer in ["/id", "/function/name", "/function/arguments"] {
            if call.pointer(pointer).and_then(Value::as_str).is_none() {
                let field = pointer.rsplit('/').next().unwrap_or_default();
                return refused(&format!("missing field `{field}`"));
            }
        }
    }
    parts(request, index, message, vision && matches!(role, "user" | "tool"))
}

fn parts(request: &Recorded, index: usize, message: &Value, pictures: bool) -> Result<(), Refusal> {
    for part in message.get("content").and_then(Value::as_array).into_iter().flatten() {
        let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
        let expected = match kind {
            "text" => continue,
            "image_url" | "file" if pictures => continue,
            _ if pictures => "one of `text`, `image_url`, `file`",
            _ => "`text`",
        };
        let what = format!("messages[{index}]: unknown variant `{kind}`, expected {expected}");
        return Err(Refusal::unreadable(&what, &Place::behind(request, kind)));
    }
    Ok(())
}

/// Refuses images that can't be had. They stand only where they may by now.
pub(super) fn images(messages: &[Value], has_file: &dyn Fn(&str) -> bool) -> Result<(), Refusal> {
    let mut images = Images::default();
    let parts = messages.iter().filter_map(|message| message.get("content")?.as_array()).flatten();
    for part in parts {
        match part.get("type").and_then(Value::as_str) {
            Some("image_url") => image_url(part.get("image_url"), &mut images)?,
            Some("file") => file(part, has_file, &mut images)?,
            _ => {}
        }
    }
    Ok(())
}
