//! Tools and the choice between them.

use std::borrow::Cow;

use modelswitch_provider::{Document, Error, Result};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::parameters::{switch_thinking_off, thinks, value_of};
use crate::strict::{NotStrict, strict_problems};
use modelswitch_openai::ForcedToolChoice;
use modelswitch_openai::adapter::Notes;
use modelswitch_openai::adapter::has_member;

/// As much of a tool as tells whether it must be changed.
#[derive(Deserialize)]
struct Look<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    function: Option<LookFunction<'a>>,
}

#[derive(Deserialize)]
struct LookFunction<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(default)]
    strict: Option<bool>,
    // Not `Option`, which would take `null` for nothing.
    #[serde(borrow, default)]
    parameters: Parameters<'a>,
}

#[derive(Default)]
struct Parameters<'a>(Option<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Parameters<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(|text| Self(Some(text)))
    }
}

/// Puts the list of tools as DeepSeek takes it. A tool that it takes stays the text that it was: the order of parameters may mean
/// something to the model.
///
/// # Errors
/// [`Unsupported`](modelswitch_provider::ErrorKind::Unsupported) for tools that are no functions;
/// [`InvalidRequest`](modelswitch_provider::ErrorKind::InvalidRequest) when none of the allowed tools is there.
pub(super) fn adapt(body: &mut Document, notes: &mut Notes) -> Result<()> {
    let Some(text) = body.get_raw("tools") else { return Ok(()) };
    if matches!(text, "[]" | "null") {
        // An empty list is refused there, and means none.
        body.remove("tools");
        return Ok(());
    }
    let Ok(tools) = serde_json::from_str::<Vec<&RawValue>>(text) else {
        // Not a list of anything: the service says so best.
        return Ok(());
    };
    let mut changed = false;
    let mut kept = Vec::with_capacity(tools.len());
    for tool in tools {
        let look: Look<'_> = serde_json::from_str(tool.get())
            .map_err(|_| Error::invalid_request("a tool can't be read").with_param("tools"))?;
        refuse_what_is_no_function(look.kind.as_deref())?;
        let completed = complete_schema(tool, &look)?;
        changed |= completed.is_some();
        let name = look.function.and_then(|function| function.name).unwrap_or_default().into_owned();
        kept.push((name, completed.unwrap_or_else(|| tool.to_owned())));
    }
    changed |= keep_allowed(body, &mut kept, notes)?;
    if !changed {
        return Ok(());
    }
    body.set("tools", kept.into_iter().map(|(_, tool)| tool).collect::<Vec<_>>())
}

fn refuse_what_is_no_function(kind: Option<&str>) -> Result<()> {
    match kind {
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
fn complete_schema(tool: &RawValue, look: &Look<'_>) -> Result<Option<Box<RawValue>>> {
    #[derive(Deserialize)]
    struct Typed<'a> {
        #[serde(borrow, rename = "type", default)]
        kind: Option<&'a RawValue>,
    }
    let Some(schema) = look.function.as_ref().and_then(|function| function.parameters.0) else {
        return Ok(None);
    };
    let is_object = schema.get().starts_with('{');
    let has_type = serde_json::from_str::<Typed<'_>>(schema.get()).is_ok_and(|schema| schema.kind.is_some());
    if schema.get() != "null" && (!is_object || has_type) {
        return Ok(None);
    }
    let unreadable = |_| Error::invalid_request("a tool can't be read").with_param("tools");
    let mut tool: Value = serde_json::from_str(tool.get()).map_err(unreadable)?;
    if let Some(function) = tool.get_mut("function").and_then(Value::as_object_mut) {
        match function.get_mut("parameters") {
            Some(Value::Object(schema)) => {
                schema.insert("type".to_owned(), "object".into());
                schema.entry("properties").or_insert_with(|| json!({}));
            }
            Some(_) | None => {
                function.remove("parameters");
            }
        }
    }
    serde_json::value::to_raw_value(&tool).map(Some).map_err(unreadable)
}

/// OpenAI's choice among some of the tools: only those are sent.
fn keep_allowed(
    body: &mut Document,
    tools: &mut Vec<(String, Box<RawValue>)>,
    notes: &mut Notes,
) -> Result<bool> {
    if !body.get_raw("tool_choice").is_some_and(|choice| has_member(choice, "type", "\"allowed_tools\"")) {
        return Ok(false);
    }
    let choice = value_of(body, "tool_choice")?;
    // OpenAI's documentation nests the choice, and so does async-openai; others don't.
    let inner = choice.get("allowed_tools").filter(|inner| inner.is_object()).unwrap_or(&choice);
    let name_of = |tool: &Value| {
        tool.pointer("/function/name").or_else(|| tool.get("name")).and_then(Value::as_str).map(str::to_owned)
    };
    let allowed: Vec<String> =
        inner.get("tools").and_then(Value::as_array).into_iter().flatten().filter_map(name_of).collect();
    notes.change(
        "tool_choice",
        "only the allowed tools are sent: DeepSeek chooses among all that it gets",
        "send the allowed tools alone",
    );
    tools.retain(|(name, _)| allowed.contains(name));
    if tools.is_empty() {
        return Err(Error::invalid_request("none of the allowed tools is among the tools of the request")
            .with_param("tool_choice")
            .with_hint("name tools that the request has"));
    }
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
    match notes.policies().forced_tool_choice {
        ForcedToolChoice::DisableThinking => {
            notes.change("tool_choice", format!("{because}; thinking switched off for this call"), instead);
            switch_thinking_off(body)
        }
        ForcedToolChoice::Auto => {
            notes.change("tool_choice", format!("{because}; sent as `auto`"), instead);
            body.set("tool_choice", "auto")
        }
        ForcedToolChoice::Refuse => {
            Err(Error::unsupported(because).with_param("tool_choice").with_hint(instead))
        }
    }
}

/// True when strict tools are to be enforced, which the beta does: it wants every function strict and its schema one that it
/// takes, and refuses the rest. The normal base takes the flag and doesn't enforce it, so that is told.
///
/// # Errors
/// As [`Notes::no_effect`].
pub(super) fn are_strict(body: &Document, notes: &mut Notes) -> Result<bool> {
    let Some(text) = body.get_raw("tools").filter(|tools| has_member(tools, "strict", "true")) else {
        return Ok(false);
    };
    let tools: Vec<Look<'_>> = serde_json::from_str(text).unwrap_or_default();
    let functions: Vec<LookFunction<'_>> = tools.into_iter().filter_map(|tool| tool.function).collect();
    // A schema of somebody's may have a property of that name.
    if !functions.iter().any(|function| function.strict == Some(true)) {
        return Ok(false);
    }
    if functions.iter().any(|function| function.strict != Some(true)) {
        notes.no_effect("tools", "DeepSeek makes tools strict only when all of a request are");
        return Ok(false);
    }
    for function in &functions {
        let schema = function.parameters.0.and_then(|text| serde_json::from_str::<Value>(text.get()).ok());
        let problems = schema.as_ref().map(strict_problems).unwrap_or_default();
        let Some(first) = problems.first() else { continue };
        if notes.policies().strict {
            return Err(NotStrict::new(problems).into_error("tools"));
        }
        let name = function.name.as_deref().unwrap_or_default();
        let why = format!("`strict` of `{name}`: DeepSeek's strict mode doesn't take its schema ({first})");
        notes.no_effect("tools", &why);
        return Ok(false);
    }
    Ok(true)
}
