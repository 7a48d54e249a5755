//! Strict functions: on the beta base their schemas are held to the documented subset.
//!
//! <https://api-docs.deepseek.com/guides/tool_calls>

use serde_json::{Map, Value};

use super::refusal::Refusal;

/// Keywords that the guide names as unsupported, and the combinations that it does not name at all.
const UNSUPPORTED: [&str; 17] = [
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "uniqueItems",
    "contains",
    "prefixItems",
    "minProperties",
    "maxProperties",
    "patternProperties",
    "propertyNames",
    "dependentRequired",
    "oneOf",
    "allOf",
    "not",
    "if",
    "unevaluatedProperties",
];

const FORMATS: [&str; 5] = ["email", "hostname", "ipv4", "ipv6", "uuid"];

const TYPES: [&str; 7] = ["object", "string", "number", "integer", "boolean", "array", "null"];

/// Checks the functions of a request if one of them is strict.
pub(super) fn check(tools: &[Value]) -> Result<(), Refusal> {
    let is_strict = |tool: &Value| tool.pointer("/function/strict") == Some(&Value::Bool(true));
    if !tools.iter().any(is_strict) {
        return Ok(());
    }
    for tool in tools {
        let name = tool.pointer("/function/name").and_then(Value::as_str).unwrap_or_default();
        if !is_strict(tool) {
            return Err(Refusal::simulated(format!(
                "all functions must set strict = true if one of them does, '{name}' does not"
            )));
        }
        let Some(root) = tool.pointer("/function/parameters") else { continue };
        schema(root, root, "").map_err(|what| Refusal::schema(name, what))?;
    }
    Ok(())
}

/// Checks a schema and what is in it; the error says where and what.
fn schema(schema: &Value, root: &Value, place: &str) -> Result<(), String> {
    let here = if place.is_empty() { "the root" } else { place };
    let Value::Object(fields) = schema else {
        return Err(format!("{here} must be a schema object"));
    };
    if let Some(keyword) = UNSUPPORTED.iter().find(|keyword| fields.contains_key(**keyword)) {
        return Err(format!("'{keyword}' is not supported, found at {here}"));
    }
    if let Some(format) = fields.get("format").and_then(Value::as_str)
        && !FORMATS.contains(&format)
    {
        return Err(format!("format '{format}' is not supported, found at {here}"));
    }
    if let Some(target) = fields.get("$ref") {
        reference(target, root).ok_or_else(|| format!("'$ref' at {here} points to nothing"))?;
    }
    kinds(fields, here)?;
    if fields.get("type").is_some_and(|kind| kind == "object") {
        object(fields, here)?;
    }
    children(fields).try_for_each(|(name, child)| self::schema(child, root, &format!("{place}/{name}")))
}

fn kinds(fields: &Map<String, Value>, here: &str) -> Result<(), String> {
    let kinds = match fields.get("type") {
        Some(Value::Array(kinds)) => kinds.as_slice(),
        Some(kind) => std::slice::from_ref(kind),
        None if ["$ref", "anyOf", "enum", "const"].iter().any(|name| fields.contains_key(*name)) => &[],
        None => return Err(format!("'type' is missing at {here}")),
    };
    match kinds.iter().find(|kind| !TYPES.iter().any(|known| kind == known)) {
        Some(kind) => Err(format!("type {kind} is not supported, found at {here}")),
        None => Ok(()),
    }
}

fn object(fields: &Map<String, Value>, here: &str) -> Result<(), String> {
    if fields.get("additionalProperties") != Some(&Value::Bool(false)) {
        return Err(format!("'additionalProperties' must be false at {here}"));
    }
    let required = fields.get("required").and_then(Value::as_array);
    let is_required = |name: &String| required.is_some_and(|names| names.iter().any(|other| other == name));
    let properties = fields.get("properties").and_then(Value::as_object);
    match properties.and_then(|properties| properties.keys().find(|name| !is_required(name))) {
        Some(name) => Err(format!("all properties must be required, '{name}' is not at {here}")),
        None => Ok(()),
    }
}

fn reference<'a>(target: &Value, root: &'a Value) -> Option<&'a Value> {
    root.pointer(target.as_str()?.strip_prefix('#')?)
}

/// The schemas inside a schema, with their place. DeepSeek's guide keeps definitions under `$def`.
fn children(fields: &Map<String, Value>) -> impl Iterator<Item = (String, &Value)> {
    let named = ["properties", "$defs", "$def", "definitions"].into_iter().flat_map(|key| {
        let members = fields.get(key).and_then(Value::as_object).into_iter().flatten();
        members.map(move |(name, child)| (format!("{key}/{name}"), child))
    });
    let choices = fields.get("anyOf").and_then(Value::as_array).into_iter().flatten().enumerate();
    let choices = choices.map(|(index, child)| (format!("anyOf/{index}"), child));
    let items = fields.get("items").map(|child| ("items".to_owned(), child));
    named.chain(choices).chain(items)
}
