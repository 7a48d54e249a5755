//! Tools and which of them must be called.

use std::collections::HashSet;

use serde_json::Value;

use super::refusal::{Place, Refusal};
use super::{is_name, strict};
use crate::recorded::Recorded;

pub(super) fn check(request: &Recorded, body: &Value, beta: bool) -> Result<(), Refusal> {
    let tools = body.get("tools").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if tools.is_empty() && body.get("tools").is_some_and(Value::is_array) {
        return Err(Refusal::simulated("'tools' must not be an empty list".to_owned()));
    }
    let mut names = HashSet::new();
    for (index, tool) in tools.iter().enumerate() {
        let kind = tool.get("type").and_then(Value::as_str).unwrap_or_default();
        if kind != "function" {
            let what = format!("tools[{index}].type: unknown variant `{kind}`, expected `function`");
            return Err(Refusal::unreadable(&what, &Place::behind(request, kind)));
        }
        let Some(name) = tool.pointer("/function/name").and_then(Value::as_str) else {
            let what = format!("tools[{index}].function: missing field `name`");
            return Err(Refusal::unreadable(&what, &Place::NOWHERE));
        };
        function(name, tool.pointer("/function/parameters"))?;
        if !names.insert(name) {
            return Err(Refusal::simulated(format!("Tool names must be unique, '{name}' is there twice")));
        }
    }
    if beta {
        strict::check(tools)?;
    }
    choice(request, body.get("tool_choice"), &names)
}

/// A function's name and parameters, on every endpoint.
pub(in crate::deepseek) fn function(name: &str, parameters: Option<&Value>) -> Result<(), Refusal> {
    if !is_name(name, 128) {
        return Err(Refusal::simulated(format!(
            "Invalid function name '{name}', it must match [a-zA-Z0-9_-] and have 1 to 128 characters"
        )));
    }
    let Some(schema) = parameters else { return Ok(()) };
    let found = schema.get("type").unwrap_or(&Value::Null);
    if found == "object" {
        return Ok(());
    }
    let found = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
    Err(Refusal::schema(
        name,
        format!("schema must be a JSON Schema of 'type: \"object\"', got 'type: {found}'."),
    ))
}

fn choice(request: &Recorded, choice: Option<&Value>, names: &HashSet<&str>) -> Result<(), Refusal> {
    match choice {
        Some(Value::String(word)) if !["none", "auto", "required"].contains(&word.as_str()) => {
            let what =
                format!("tool_choice: unknown variant `{word}`, expected one of `none`, `auto`, `required`");
            Err(Refusal::unreadable(&what, &Place::behind(request, word)))
        }
        Some(Value::Object(_)) => {
            let name = choice.and_then(|choice| choice.pointer("/function/name")).and_then(Value::as_str);
            let Some(name) = name else {
                return Err(Refusal::unreadable("tool_choice: missing field `function`", &Place::NOWHERE));
            };
            if names.contains(name) {
                return Ok(());
            }
            Err(Refusal::simulated(format!("tool_choice names '{name}', which is none of the tools")))
        }
        _ => Ok(()),
    }
}
