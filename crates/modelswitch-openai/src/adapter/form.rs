//! A form of the answer that the service can't be made to keep to: it is said in the prompt, or taken as a tool's arguments.

use modelswitch_provider::{Document, Error, Message, Result};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::look::has_member;
use crate::schema::Checker;

/// The form that a request wants its answer in: its `response_format`.
///
/// ```
/// use modelswitch_openai::adapter::WantedForm;
/// use modelswitch_provider::Document;
///
/// let body = Document::parse(r#"{"response_format":{"type":"json_schema","json_schema":{"name":"city","schema":{"type":"object"}}}}"#)?;
/// let wanted = WantedForm::of(&body)?.ok_or("it has one")?;
/// assert!(wanted.instructions().contains("named `city`"));
/// wanted.checker()?.ok_or("it has a schema")?.check("{}")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Deserialize)]
pub struct WantedForm {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    json_schema: Option<Schema>,
}

/// The text of the schema stays as it is: the order of its properties is the order in which a model answers.
#[derive(Debug, Default, Deserialize)]
struct Schema {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    schema: Option<Box<RawValue>>,
}

impl WantedForm {
    /// What a caller who wants no changes should do.
    pub const INSTEAD: &'static str =
        "send json_object and check the answer, or choose a policy for json_schema";

    /// The form that a request wants; `None` when it wants none.
    ///
    /// # Errors
    /// [`InvalidRequest`](modelswitch_provider::ErrorKind::InvalidRequest) for a `response_format` that can't be read.
    pub fn of(body: &Document) -> Result<Option<Self>> {
        if body.has("response_format") { body.get("response_format") } else { Ok(None) }
    }

    /// Its type: `text`, `json_object`, `json_schema`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The schema; `None` where there isn't any.
    pub fn schema(&self) -> Option<Value> {
        serde_json::from_str(self.text()?.get()).ok()
    }

    fn text(&self) -> Option<&RawValue> {
        self.json_schema.as_ref()?.schema.as_deref()
    }

    /// What the answer is to be held against.
    ///
    /// # Errors
    /// [`InvalidRequest`](modelswitch_provider::ErrorKind::InvalidRequest) for what is no JSON schema.
    pub fn checker(&self) -> Result<Option<Checker>> {
        self.schema().as_ref().map(Checker::new).transpose()
    }

    /// What a system message has to say, for a model that can only be asked to keep to the form.
    pub fn instructions(&self) -> String {
        let (Some(wanted), Some(schema)) = (&self.json_schema, self.text()) else {
            return "Answer with one JSON object and nothing else.".to_owned();
        };
        let name = wanted.name.as_deref().map(|name| format!(" named `{name}`")).unwrap_or_default();
        let about = wanted.description.as_deref().map(|text| format!(" ({text})")).unwrap_or_default();
        format!(
            "Answer with one JSON object and nothing else, no code fence around it. It must be valid under this JSON schema{name}{about}:\n{}",
            schema.get()
        )
    }

    /// The error for a caller who wants the service to keep to the schema or nothing.
    pub fn refused(service: &str) -> Error {
        Error::unsupported(format!("{service} has no response_format of the type json_schema"))
            .with_param("response_format")
            .with_hint(Self::INSTEAD)
    }

    /// Puts a tool in its place that must be called with the answer, and gives back the tool's name.
    ///
    /// # Errors
    /// [`Unsupported`](modelswitch_provider::ErrorKind::Unsupported) for a request that has tools of its own.
    pub fn into_tool(self, body: &mut Document, strict: bool) -> Result<String> {
        if body.has("tools") {
            return Err(Error::unsupported(
                "an answer by a strict tool can't stand beside tools of the request's own",
            )
            .with_param("response_format")
            .with_hint("leave the tools out, or choose the policy json_object for json_schema"));
        }
        let Schema { name, description, schema } = self.json_schema.unwrap_or_default();
        let name = name.filter(|name| is_tool_name(name)).unwrap_or_else(|| "answer".to_owned());
        let function =
            Function { name: &name, description: description.as_deref(), strict, parameters: schema };
        body.remove("response_format");
        body.set("tools", [Tool { r#type: "function", function }])?;
        body.set("tool_choice", json!({ "type": "function", "function": { "name": name } }))?;
        Ok(name)
    }
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
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    strict: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Box<RawValue>>,
}

fn is_tool_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Puts a system message behind those at the beginning, so that what stands before it stays the same from call to call and a
/// service's cache of it is found again.
///
/// ```
/// use modelswitch_openai::adapter::insert_instructions;
/// use serde_json::value::RawValue;
///
/// let mut messages: Vec<Box<RawValue>> =
///     serde_json::from_str(r#"[{"role":"system","content":"a"},{"role":"user","content":"b"}]"#)?;
/// insert_instructions(&mut messages, "Be brief.".to_owned())?;
/// assert!(messages[1].get().contains("Be brief."));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Never but for lack of memory: the message is plain text.
pub fn insert_instructions(messages: &mut Vec<Box<RawValue>>, instructions: String) -> Result<()> {
    let is_system = |message: &RawValue| {
        ["\"system\"", "\"developer\""].into_iter().any(|role| has_member(message.get(), "role", role))
    };
    let place = messages.iter().take_while(|message| is_system(message)).count();
    let message = serde_json::value::to_raw_value(&Message::system(instructions))
        .map_err(|_| Error::invalid_request("a message can't be sent"))?;
    messages.insert(place, message);
    Ok(())
}

/// The text of a list of parts that has nothing but text in it; `None` for any other.
///
/// ```
/// use modelswitch_openai::adapter::joined_text;
/// use serde_json::json;
///
/// let text = json!({ "type": "text", "text": "a" });
/// assert_eq!(joined_text(&[text.clone(), text.clone()]).as_deref(), Some("a\na"));
/// assert_eq!(joined_text(&[text, json!({ "type": "image_url" })]), None);
/// ```
pub fn joined_text(parts: &[Value]) -> Option<String> {
    let text = |part: &Value| match part.get("type").and_then(Value::as_str) {
        Some(kind @ ("text" | "refusal")) => part.get(kind).and_then(Value::as_str).map(str::to_owned),
        _ => None,
    };
    parts.iter().map(text).collect::<Option<Vec<_>>>().map(|texts| texts.join("\n"))
}
