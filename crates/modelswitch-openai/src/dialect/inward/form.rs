//! The form that an answer is wanted in, where the service doesn't know it.

use std::sync::Arc;

use modelswitch_provider::{Document, Result};
use serde_json::json;

use crate::JsonSchema;
use crate::adapter::{AnswerCheck, Checker, Notes, WantedForm};
use crate::profile::{FormatKind, RequestRules};

const FORMAT: &str = "response_format";

/// Gives back what a system message has to say to the model.
///
/// # Errors
/// [`Unsupported`](modelswitch_provider::ErrorKind::Unsupported) where the policy says so,
/// [`InvalidRequest`](modelswitch_provider::ErrorKind::InvalidRequest) for a schema that is none.
pub(super) fn adapt(
    rules: &RequestRules,
    document: &mut Document,
    answer: &mut AnswerCheck,
    notes: &mut Notes,
) -> Result<Option<String>> {
    if rules.response_format.is_empty() || !document.has(FORMAT) {
        return Ok(None);
    }
    let Some(wanted) = WantedForm::of(document)? else { return Ok(None) };
    let Some(kind) = kind(&wanted) else { return Ok(None) };
    let takes = |kind| rules.response_format.contains(&kind);
    if takes(kind) {
        return Ok(None);
    }
    match kind {
        FormatKind::Text => {
            document.remove(FORMAT);
            notes.same_meaning(FORMAT, "`text` left out: it is what the service answers with anyway");
            Ok(None)
        }
        FormatKind::JsonObject if takes(FormatKind::JsonSchema) => {
            notes.change(FORMAT, "`json_object` sent as a schema that any object follows", "send a schema");
            let any = json!({ "name": "answer", "schema": { "type": "object" } });
            document.set(FORMAT, json!({ "type": "json_schema", "json_schema": any }))?;
            Ok(None)
        }
        FormatKind::JsonObject => asked_for(&wanted, document, answer, notes).map(Some),
        FormatKind::JsonSchema => schema(rules, wanted, document, answer, notes),
    }
}

/// The form as profiles know it; `None` for what is none of OpenAI's.
fn kind(wanted: &WantedForm) -> Option<FormatKind> {
    match wanted.kind() {
        "text" => Some(FormatKind::Text),
        "json_object" => Some(FormatKind::JsonObject),
        "json_schema" => Some(FormatKind::JsonSchema),
        _ => None,
    }
}

fn schema(
    rules: &RequestRules,
    wanted: WantedForm,
    document: &mut Document,
    answer: &mut AnswerCheck,
    notes: &mut Notes,
) -> Result<Option<String>> {
    match notes.policies().json_schema {
        JsonSchema::Refuse => Err(WantedForm::refused("the service")),
        JsonSchema::StrictTool => {
            let checker = wanted.checker()?;
            wanted.into_tool(document, rules.strict_tools != Some(false))?;
            notes.change(
                FORMAT,
                "`json_schema` sent as a tool that is called with the answer",
                WantedForm::INSTEAD,
            );
            let with_tool = std::mem::take(answer).with_tool();
            *answer = match checker {
                Some(checker) => with_tool.with_checker(Arc::new(checker)),
                None => with_tool,
            };
            Ok(None)
        }
        JsonSchema::JsonObject if rules.response_format.contains(&FormatKind::JsonObject) => {
            let checked = hold(&wanted, answer)?;
            notes.change(
                FORMAT,
                format!("`json_schema` sent as `json_object` with {checked}"),
                WantedForm::INSTEAD,
            );
            document.set(FORMAT, json!({ "type": "json_object" }))?;
            Ok(Some(wanted.instructions()))
        }
        JsonSchema::JsonObject => asked_for(&wanted, document, answer, notes).map(Some),
    }
}

/// Where the service knows no JSON at all, the prompt alone asks for it.
fn asked_for(
    wanted: &WantedForm,
    document: &mut Document,
    answer: &mut AnswerCheck,
    notes: &mut Notes,
) -> Result<String> {
    let checked = hold(wanted, answer)?;
    let change = format!("`{}` left out, with {checked}", wanted.kind());
    notes.change(FORMAT, change, "leave it out, and ask for JSON in the prompt");
    document.remove(FORMAT);
    Ok(wanted.instructions())
}

/// The answer is held against the schema, or against any object where there is none.
fn hold(wanted: &WantedForm, answer: &mut AnswerCheck) -> Result<&'static str> {
    let (checker, checked) = match wanted.checker()? {
        Some(checker) => (checker, "the schema in a system message; the answer is checked"),
        None => (
            Checker::new(&json!({ "type": "object" }))?,
            "a system message that asks for JSON; the answer is checked",
        ),
    };
    *answer = std::mem::take(answer).with_checker(Arc::new(checker));
    Ok(checked)
}
