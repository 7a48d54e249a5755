//! Tools and the choice between them.

use modelswitch_provider::{Document, Error, Result};
use serde_json::{Value, json};

use super::look::has_member;
use super::notes::Notes;
use super::parameters::{switch_thinking_off, thinks, value_of};
use crate::policy::ForcedToolChoice;

/// Puts the list of tools as DeepSeek takes it.
///
/// # Errors
/// [`Unsupported`](modelswitch_provider::ErrorKind::Unsupported) for tools that are no functions.
pub(super) fn adapt(body: &mut Document, notes: &mut Notes) -> Result<()> {
    let Some(text) = body.get_raw("tools") else { return Ok(()) };
    if matches!(text, "[]" | "null") {
        // An empty list is refused there, and means none.
        body.remove("tools");
        return Ok(());
    }
    let mut tools = body.get::<Vec<Value>>("tools")?.unwrap_or_default();
    tools.iter().try_for_each(refuse_what_is_no_function)?;
    let mut changed = false;
    for tool in &mut tools {
        changed |= complete_schema(tool);
    }
    changed |= keep_allowed(body, &mut tools, notes)?;
    if changed { body.set("tools", tools) } else { Ok(()) }
}

fn refuse_what_is_no_function(tool: &Value) -> Result<()> {
    match tool.get("type").and_then(Value::as_str) {
        Some("function") | None => Ok(()),
        Some(other) => {
            let shown: String =
                other.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect();
            Err(Error::unsupported(format!("DeepSeek calls functions, and no tools of the type `{shown}`"))
                .with_param("tools")
                .with_hint("describe the tool as a function with a JSON schema"))
        }
    }
}

/// A function without parameters may leave them out; `null` or a schema without a type is refused there.
fn complete_schema(tool: &mut Value) -> bool {
    let Some(function) = tool.get_mut("function").and_then(Value::as_object_mut) else { return false };
    match function.get_mut("parameters") {
        Some(Value::Null) => function.remove("parameters").is_some(),
        Some(Value::Object(schema)) if schema.get("type").is_none_or(Value::is_null) => {
            schema.insert("type".to_owned(), "object".into());
            schema.entry("properties").or_insert_with(|| json!({}));
            true
        }
        Some(_) | None => false,
    }
}

/// OpenAI's choice among some of the tools: only those are sent.
fn keep_allowed(body: &mut Document, tools: &mut Vec<Value>, notes: &mut Notes) -> Result<bool> {
    if !body.get_raw("tool_choice").is_some_and(|choice| has_member(choice, "type", "\"allowed_tools\"")) {
        return Ok(false);
    }
    let choice = value_of(body, "tool_choice")?;
    // OpenAI's documentation nests the choice, and so does async-openai; others don't.
    let inner = choice.get("allowed_tools").filter(|inner| inner.is_object()).unwrap_or(&choice);
    let name_of = |tool: &Value| tool.pointer("/function/name").or_else(|| tool.get("name")).cloned();
    let allowed: Vec<Value> =
        inner.get("tools").and_then(Value::as_array).into_iter().flatten().filter_map(name_of).collect();
    notes.change(
        "tool_choice",
        "only the allowed tools are sent: DeepSeek chooses among all that it gets",
        "send the allowed tools alone",
    )?;
    tools.retain(|tool| name_of(tool).is_some_and(|name| allowed.contains(&name)));
    body.set("tool_choice", inner.get("mode").cloned().unwrap_or_else(|| "auto".into()))?;
    Ok(true)
}

/// A choice that forces a call, which DeepSeek refuses while it thinks.
///
/// # Errors
/// As [`Notes::change`], and [`Unsupported`](modelswitch_provider::ErrorKind::Unsupported) where the policy says so.
pub(super) fn forced_choice(body: &mut Document, notes: &mut Notes) -> Result<()> {
    let Some(text) = body.get_raw("tool_choice") else { return Ok(()) };
    let forces = text == "\"required\"" || text.starts_with('{');
    if !forces || !thinks(body) {
        return Ok(());
    }
    let because = "DeepSeek can't be forced to call a tool while it thinks";
    let instead = "switch thinking off, or send auto";
    match notes.policies.forced_tool_choice {
        ForcedToolChoice::DisableThinking => {
            notes.change(
                "tool_choice",
                format!("{because}; thinking switched off for this call"),
                instead,
            )?;
            switch_thinking_off(body)
        }
        ForcedToolChoice::Auto => {
            notes.change("tool_choice", format!("{because}; sent as `auto`"), instead)?;
            body.set("tool_choice", "auto")
        }
        ForcedToolChoice::Refuse => {
            Err(Error::unsupported(because).with_param("tool_choice").with_hint(instead))
        }
    }
}

/// The beta wants every function strict and refuses the rest; the normal base takes the flag and doesn't enforce it.
///
/// # Errors
/// [`InvalidRequest`](modelswitch_provider::ErrorKind::InvalidRequest) for tools that are no list.
pub(super) fn all_are_strict(body: &Document) -> Result<bool> {
    if !body.get_raw("tools").is_some_and(|tools| has_member(tools, "strict", "true")) {
        return Ok(false);
    }
    let tools = body.get::<Vec<Value>>("tools")?.unwrap_or_default();
    Ok(tools.iter().all(|tool| tool.pointer("/function/strict") == Some(&Value::Bool(true))))
}
