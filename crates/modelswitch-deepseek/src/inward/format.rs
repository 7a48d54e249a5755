//! The form that an answer is wanted in.

use std::sync::Arc;

use memchr::memmem;
use modelswitch_openai::JsonSchema;
use modelswitch_openai::adapter::{Notes, WantedForm};
use modelswitch_provider::{Document, Result};
use serde_json::json;

use super::Plan;
use super::parameters::{switch_thinking_off, thinks};
use crate::strict::{NotStrict, strict_problems};

/// Gives back what a system message has to say to the model.
///
/// # Errors
/// [`Unsupported`](modelswitch_provider::ErrorKind::Unsupported) where the policy says so, or the schema can't be strict;
/// [`InvalidRequest`](modelswitch_provider::ErrorKind::InvalidRequest) for a schema that is none.
pub(super) fn adapt(body: &mut Document, plan: &mut Plan, notes: &mut Notes) -> Result<Option<String>> {
    let Some(wanted) = WantedForm::of(body)? else { return Ok(None) };
    match wanted.kind() {
        "json_object" => Ok(word(body, &wanted, notes)),
        "json_schema" => schema(body, wanted, plan, notes),
        _ => Ok(None),
    }
}

/// DeepSeek's JSON mode is refused where nothing in the prompt speaks of JSON.
fn word(body: &Document, wanted: &WantedForm, notes: &mut Notes) -> Option<String> {
    let text = body.get_raw("messages").unwrap_or_default().as_bytes();
    let speaks_of_it =
        ["json", "JSON", "Json"].iter().any(|word| memmem::find(text, word.as_bytes()).is_some());
    if speaks_of_it {
        return None;
    }
    notes.change(
        "response_format",
        "DeepSeek's JSON mode wants the word JSON in the prompt: a system message says it",
        "speak of JSON in the prompt",
    );
    Some(wanted.instructions())
}

fn schema(
    body: &mut Document,
    wanted: WantedForm,
    plan: &mut Plan,
    notes: &mut Notes,
) -> Result<Option<String>> {
    if notes.policies().json_schema == JsonSchema::Refuse {
        return Err(WantedForm::refused("DeepSeek's chat"));
    }
    let Some(checker) = wanted.checker()? else {
        notes.change(
            "response_format",
            "`json_schema` without a schema sent as `json_object`",
            WantedForm::INSTEAD,
        );
        body.set("response_format", json!({ "type": "json_object" }))?;
        return Ok(word(body, &wanted, notes));
    };
    plan.answer = std::mem::take(&mut plan.answer).with_checker(Arc::new(checker));
    if notes.policies().json_schema == JsonSchema::StrictTool {
        strict_tool(body, wanted, plan, notes)?;
        return Ok(None);
    }
    notes.change(
        "response_format",
        "`json_schema` sent as `json_object` with the schema in a system message; the answer is checked",
        WantedForm::INSTEAD,
    );
    body.set("response_format", json!({ "type": "json_object" }))?;
    Ok(Some(wanted.instructions()))
}

fn strict_tool(body: &mut Document, wanted: WantedForm, plan: &mut Plan, notes: &mut Notes) -> Result<()> {
    let problems = strict_problems(&wanted.schema().unwrap_or_default());
    let mut sent = body.clone();
    wanted.into_tool(&mut sent, true)?;
    if !problems.is_empty() {
        return Err(NotStrict::new(problems).into_error("response_format"));
    }
    *body = sent;
    notes.change(
        "response_format",
        "`json_schema` sent as a strict tool on the beta that is called with the answer",
        "send a strict tool yourself, or choose another policy for json_schema",
    );
    if thinks(body) {
        notes.change(
            "thinking",
            "switched off for this call: a tool has to be called",
            "switch thinking off",
        );
        switch_thinking_off(body)?;
    }
    plan.answer = std::mem::take(&mut plan.answer).with_tool();
    Ok(())
}
