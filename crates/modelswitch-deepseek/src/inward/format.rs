//! The form that an answer is wanted in.

use std::sync::Arc;

use memchr::memmem;
use modelswitch_provider::{Document, Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Plan;
use super::notes::Notes;
use super::parameters::{switch_thinking_off, thinks};
use crate::policy::JsonSchema;
use crate::schema::{Checker, NotStrict, strict_problems};

#[derive(Deserialize)]
struct Format {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    json_schema: Option<Wanted>,
}

/// The text of the schema stays as it is: the order of its properties is the order in which a model answers.
#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    schema: Option<Box<RawValue>>,
}

/// Gives back what a system message has to say to the model.
///
/// # Errors
/// [`Unsupported`](modelswitch_provider::ErrorKind::Unsupported) where the policy says so, or the schema can't be strict;
/// [`InvalidRequest`](modelswitch_provider::ErrorKind::InvalidRequest) for a schema that is none.
pub(super) fn adapt(body: &mut Document, plan: &mut Plan, notes: &mut Notes) -> Result<Option<String>> {
    if !body.has("response_format") {
        return Ok(None);
    }
    let Some(format) = body.get::<Format>("response_format")? else { return Ok(None) };
    match (format.kind.as_str(), format.json_schema) {
        ("json_object", _) => word(body, notes),
        ("json_schema", Some(wanted)) => schema(body, wanted, plan, notes),
        _ => Ok(None),
    }
}

/// DeepSeek's JSON mode is refused where nothing in the prompt speaks of JSON.
fn word(body: &Document, notes: &mut Notes) -> Result<Option<String>> {
    let text = body.get_raw("messages").unwrap_or_default().as_bytes();
    let speaks_of_it =
        ["json", "JSON", "Json"].iter().any(|word| memmem::find(text, word.as_bytes()).is_some());
    if speaks_of_it {
        return Ok(None);
    }
    notes.change(
        "response_format",
        "DeepSeek's JSON mode wants the word JSON in the prompt: a system message says it",
        "speak of JSON in the prompt",
    );
    Ok(Some("Answer with one JSON object and nothing else.".to_owned()))
}

fn schema(body: &mut Document, wanted: Wanted, plan: &mut Plan, notes: &mut Notes) -> Result<Option<String>> {
    const INSTEAD: &str = "send json_object and check the answer, or choose a policy for json_schema";
    if notes.policies.json_schema == JsonSchema::Refuse {
        return Err(Error::unsupported("DeepSeek's chat has no response_format of the type json_schema")
            .with_param("response_format")
            .with_hint(INSTEAD));
    }
    let Some(text) = &wanted.schema else {
        notes.change("response_format", "`json_schema` without a schema sent as `json_object`", INSTEAD);
        body.set("response_format", json!({ "type": "json_object" }))?;
        return word(body, notes);
    };
    let parsed: Value = serde_json::from_str(text.get()).unwrap_or_default();
    plan.checker = Some(Arc::new(Checker::new(&parsed)?));
    if notes.policies.json_schema == JsonSchema::StrictTool {
        strict_tool(body, &wanted, text, &parsed, plan, notes)?;
        return Ok(None);
    }
    notes.change(
        "response_format",
        "`json_schema` sent as `json_object` with the schema in a system message; the answer is checked",
        INSTEAD,
    );
    body.set("response_format", json!({ "type": "json_object" }))?;
    Ok(Some(instructions(&wanted, text)))
}

fn instructions(wanted: &Wanted, schema: &RawValue) -> String {
    let name = wanted.name.as_deref().map(|name| format!(" named `{name}`")).unwrap_or_default();
    let about = wanted.description.as_deref().map(|text| format!(" ({text})")).unwrap_or_default();
    format!(
        "Answer with one JSON object and nothing else, no code fence around it. It must be valid under this JSON schema{name}{about}:\n{}",
        schema.get()
    )
}

fn strict_tool(
    body: &mut Document,
    wanted: &Wanted,
    text: &RawValue,
    schema: &Value,
    plan: &mut Plan,
    notes: &mut Notes,
) -> Result<()> {
    if body.has("tools") {
        return Err(Error::unsupported(
            "an answer by a strict tool can't stand beside tools of the request's own",
        )
        .with_param("response_format")
        .with_hint("leave the tools out, or choose the policy json_object for json_schema"));
    }
    let problems = strict_problems(schema);
    if !problems.is_empty() {
        return Err(NotStrict::new(problems).into_error("response_format"));
    }
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
    let name = wanted.name.as_deref().filter(|name| is_tool_name(name)).unwrap_or("answer");
    body.remove("response_format");
    body.set("tools", [Tool::new(name, wanted.description.as_deref(), text)])?;
    body.set("tool_choice", json!({ "type": "function", "function": { "name": name } }))?;
    plan.answer_tool = true;
    Ok(())
}

#[derive(Serialize)]
struct Tool<'a> {
    r#type: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    strict: bool,
    parameters: &'a RawValue,
}

impl<'a> Tool<'a> {
    fn new(name: &'a str, description: Option<&'a str>, parameters: &'a RawValue) -> Self {
        Self { r#type: "function", function: Function { name, description, strict: true, parameters } }
    }
}

fn is_tool_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}
