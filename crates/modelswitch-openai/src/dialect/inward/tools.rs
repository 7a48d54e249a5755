//! Tools, and the choice between them.

use std::borrow::Cow;

use modelswitch_provider::{Document, Error, Result};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::messages::raw;
use crate::ForcedToolChoice;
use crate::adapter::{Notes, has_member};
use crate::profile::{RequestRules, ToolChoiceKind};

const CHOICE: &str = "tool_choice";

/// # Errors
/// [`Unsupported`](modelswitch_provider::ErrorKind::Unsupported) for a call that the service can't be forced to make.
pub(super) fn adapt(rules: &RequestRules, document: &mut Document, notes: &mut Notes) -> Result<()> {
    if !rules.tool_choice.is_empty() && document.has(CHOICE) {
        choice(rules, document, notes)?;
    }
    if rules.strict_tools == Some(false) { unmark_strict(document, notes) } else { Ok(()) }
}

/// The choice that a request makes, as profiles know it; `None` for what is none of OpenAI's.
fn kind(raw: &str) -> Option<ToolChoiceKind> {
    match raw {
        "\"auto\"" => Some(ToolChoiceKind::Auto),
        "\"none\"" => Some(ToolChoiceKind::None),
        "\"required\"" => Some(ToolChoiceKind::Required),
        table if has_member(table, "type", "\"allowed_tools\"") => Some(ToolChoiceKind::AllowedTools),
        table if has_member(table, "type", "\"function\"") => Some(ToolChoiceKind::Named),
        _ => None,
    }
}

fn choice(rules: &RequestRules, document: &mut Document, notes: &mut Notes) -> Result<()> {
    let takes = |kind| rules.tool_choice.contains(&kind);
    let Some(kind) = kind(document.get_raw(CHOICE).unwrap_or_default()) else { return Ok(()) };
    if takes(kind) {
        return Ok(());
    }
    match kind {
        ToolChoiceKind::Auto => {
            document.remove(CHOICE);
            notes.same_meaning(CHOICE, "`auto` left out: it is what the service does anyway");
            Ok(())
        }
        ToolChoiceKind::None => {
            document.remove(CHOICE);
            document.remove("tools");
            notes.same_meaning(CHOICE, "`none` sent as a request without tools");
            Ok(())
        }
        ToolChoiceKind::AllowedTools => {
            allowed_alone(document, notes)?;
            choice(rules, document, notes)
        }
        ToolChoiceKind::Named if takes(ToolChoiceKind::Required) => {
            let name = named(&document.get::<Value>(CHOICE)?.unwrap_or_default());
            keep(document, &Vec::from_iter(name))?;
            notes.same_meaning(CHOICE, "sent as `required`, with that tool alone");
            document.set(CHOICE, "required")
        }
        ToolChoiceKind::Named | ToolChoiceKind::Required => forced(document, notes),
    }
}

fn forced(document: &mut Document, notes: &mut Notes) -> Result<()> {
    let because = "the service can't be forced to call a tool like that";
    match notes.policies().forced_tool_choice {
        ForcedToolChoice::Auto => {
            notes.change(CHOICE, format!("{because}; sent as `auto`"), "send auto");
            document.set(CHOICE, "auto")
        }
        ForcedToolChoice::DisableThinking | ForcedToolChoice::Refuse => {
            Err(Error::unsupported(because).with_param(CHOICE).with_hint(
                "send auto, or choose the policy auto for forced_tool_choice, and there may be no call",
            ))
        }
    }
}

/// OpenAI's choice among some of the tools: only those are sent.
fn allowed_alone(document: &mut Document, notes: &mut Notes) -> Result<()> {
    let choice = document.get::<Value>(CHOICE)?.unwrap_or_default();
    // OpenAI's documentation nests the choice, and so does async-openai; others don't.
    let inner = choice.get("allowed_tools").filter(|inner| inner.is_object()).unwrap_or(&choice);
    let names: Vec<String> =
        inner.get("tools").and_then(Value::as_array).into_iter().flatten().filter_map(named).collect();
    keep(document, &names)?;
    notes.same_meaning(CHOICE, "only the allowed tools are sent");
    document.set(CHOICE, inner.get("mode").and_then(Value::as_str).unwrap_or("auto"))
}

fn named(tool: &Value) -> Option<String> {
    tool.pointer("/function/name").or_else(|| tool.get("name")).and_then(Value::as_str).map(str::to_owned)
}

#[derive(Deserialize)]
struct Look<'a> {
    #[serde(borrow, default)]
    function: Option<LookFunction<'a>>,
}

#[derive(Deserialize)]
struct LookFunction<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
}

/// Leaves these tools alone in the request, each as the text that it is: the order of parameters may mean something to the model.
///
/// # Errors
/// [`InvalidRequest`](modelswitch_provider::ErrorKind::InvalidRequest) when none of them is there.
fn keep(document: &mut Document, names: &[String]) -> Result<()> {
    let mut tools = document.get::<Vec<Box<RawValue>>>("tools")?.unwrap_or_default();
    tools.retain(|tool| {
        let look: Option<Look<'_>> = serde_json::from_str(tool.get()).ok();
        let name = look.and_then(|look| look.function?.name);
        name.is_some_and(|name| names.iter().any(|kept| *kept == name))
    });
    if tools.is_empty() {
        return Err(Error::invalid_request("the chosen tool is not among the tools of the request")
            .with_param(CHOICE)
            .with_hint("name tools that the request has"));
    }
    document.set("tools", tools)
}

fn unmark_strict(document: &mut Document, notes: &mut Notes) -> Result<()> {
    if !document.get_raw("tools").is_some_and(|tools| has_member(tools, "strict", "true")) {
        return Ok(());
    }
    let mut tools = document.get::<Vec<Box<RawValue>>>("tools")?.unwrap_or_default();
    let mut changed = false;
    for tool in &mut tools {
        let Ok(mut outer) = Document::parse(tool.get().to_owned()) else { continue };
        let function = outer.get_raw("function").map(str::to_owned).unwrap_or_default();
        let Ok(mut function) = Document::parse(function) else { continue };
        // A schema of somebody's may have a property of that name.
        if function.bool("strict") != Some(true) {
            continue;
        }
        function.remove("strict");
        outer.set("function", function)?;
        *tool = raw(&outer)?;
        changed = true;
    }
    if !changed {
        return Ok(());
    }
    notes.change(
        "tools",
        "`strict` taken off: the service doesn't hold arguments to their schema",
        "leave strict out",
    );
    document.set("tools", tools)
}
