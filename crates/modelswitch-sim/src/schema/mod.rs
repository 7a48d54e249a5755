//! A simple value that satisfies a JSON schema, for tool arguments and structured output.

mod find;
mod number;
mod pattern;
mod string;

use std::cell::Cell;

use serde_json::{Map, Value, json};

pub(crate) use find::{argument_word, in_text};

/// A value for `schema`: required properties only, `word` for free strings.
///
/// What can't be satisfied (recursion without an end, `false`, a pattern beyond the simple ones) is
/// filled as near as it goes.
pub(crate) fn example(schema: &Value, word: &str) -> Value {
    // A schema that contains itself is filled as flat as it can be.
    let depths = [8, 16, 32, 64];
    let filled = depths.into_iter().find_map(|depth| Filler::new(schema, word).fill(schema, depth, 0));
    filled.unwrap_or_else(|| json!({}))
}

struct Filler<'a> {
    root: &'a Value,
    word: &'a str,
    /// Alternatives inside alternatives must not take for ever.
    steps: Cell<usize>,
}

impl<'a> Filler<'a> {
    fn new(root: &'a Value, word: &'a str) -> Self {
        Self { root, word, steps: Cell::new(5_000) }
    }

    /// The `nth` different value for a schema; `None` if there is none within the depth.
    fn fill(&self, schema: &Value, depth: usize, nth: usize) -> Option<Value> {
        let depth = depth.checked_sub(1)?;
        self.steps.set(self.steps.get().checked_sub(1)?);
        let Value::Object(fields) = schema else {
            return (*schema != Value::Bool(false)).then(|| json!(self.word));
        };
        if let Some(given) = given(fields, nth) {
            return Some(given);
        }
        if let Some(target) = fields.get("$ref").and_then(Value::as_str) {
            let (target, rest) = (resolve(self.root, target)?, without(fields, "$ref"));
            return self.fill_both(rest, target, depth, nth);
        }
        if let Some(all) = list(fields, "allOf") {
            let whole =
                all.iter().try_fold(without(fields, "allOf"), |whole, part| self.both(&whole, part))?;
            return self.fill(&Value::Object(whole), depth, nth);
        }
        for either in ["anyOf", "oneOf"] {
            if let Some(choices) = list(fields, either) {
                let rest = without(fields, either);
                return choices.iter().find_map(|choice| self.fill_both(rest.clone(), choice, depth, nth));
            }
        }
        match kind(fields) {
            "object" => self.object(fields, depth),
            "array" => self.array(fields, depth),
            "integer" => number::integer(fields, nth),
            "number" => number::number(fields, nth),
            "boolean" => Some(json!(nth.is_multiple_of(2))),
            "null" => Some(Value::Null),
            _ => Some(json!(string::string(fields, self.word, nth))),
        }
    }

    /// A value for two schemas at once, the first of which is often empty.
    fn fill_both(&self, one: Map<String, Value>, other: &Value, depth: usize, nth: usize) -> Option<Value> {
        if one.is_empty() {
            return self.fill(other, depth, nth);
        }
        self.fill(&Value::Object(self.both(&one, other)?), depth, nth)
    }

    /// What satisfies two schemas, as far as they don't contradict each other.
    fn both(&self, one: &Map<String, Value>, other: &Value) -> Option<Map<String, Value>> {
        let other = match other {
            Value::Bool(true) => return Some(one.clone()),
            Value::Object(fields) => fields,
            _ => return None,
        };
        let mut whole = one.clone();
        let target = other.get("$ref").and_then(Value::as_str).map(|target| resolve(self.root, target));
        let fields = match target {
            Some(target) => target?.as_object()?,
            None => other,
        };
        for (name, value) in fields {
            match (whole.get_mut(name), value) {
                (Some(Value::Object(mine)), Value::Object(theirs)) => mine.extend(theirs.clone()),
                (Some(Value::Array(mine)), Value::Array(theirs)) if name == "required" => {
                    mine.extend(theirs.iter().cloned());
                }
                _ => drop(whole.insert(name.clone(), value.clone())),
            }
        }
        Some(whole)
    }

    fn object(&self, fields: &Map<String, Value>, depth: usize) -> Option<Value> {
        let none = Map::new();
        let properties = fields.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let more = fields.get("additionalProperties").unwrap_or(&Value::Bool(true));
        let mut out = Map::new();
        for name in list(fields, "required").into_iter().flatten().filter_map(Value::as_str) {
            let value = self.fill(properties.get(name).unwrap_or(more), depth, 0)?;
            out.insert(name.to_owned(), value);
        }
        let least = size(fields, "minProperties").unwrap_or(0);
        for (name, schema) in properties {
            if out.len() >= least {
                break;
            }
            if !out.contains_key(name) {
                out.insert(name.clone(), self.fill(schema, depth, 0)?);
            }
        }
        while out.len() < least.min(MOST) {
            let name = format!("member_{}", out.len() + 1);
            out.insert(name, self.fill(more, depth, 0)?);
        }
        Some(Value::Object(out))
    }

    fn array(&self, fields: &Map<String, Value>, depth: usize) -> Option<Value> {
        let least = size(fields, "minItems").unwrap_or(0);
        let most = size(fields, "maxItems").unwrap_or(MOST);
        let first = list(fields, "prefixItems").map_or(&[][..], Vec::as_slice);
        let item = fields.get("items");
        let wanted = least.max(first.len()).max(usize::from(item.is_some())).min(most).min(MOST);
        let unique = fields.get("uniqueItems") == Some(&Value::Bool(true));
        let mut out = Vec::with_capacity(wanted);
        for place in 0..wanted {
            let schema = first.get(place).or(item).unwrap_or(&Value::Bool(true));
            match self.fill(schema, depth, if unique { place } else { 0 }) {
                Some(value) => out.push(value),
                // A list of itself may be empty.
                None if place >= least => break,
                None => return None,
            }
        }
        Some(Value::Array(out))
    }
}

/// The most items or members that are made up.
const MOST: usize = 64;

/// A value that the schema itself names. A default that holds members may lack required ones.
fn given(fields: &Map<String, Value>, nth: usize) -> Option<Value> {
    let choices = list(fields, "enum").filter(|choices| !choices.is_empty());
    let choice = choices.and_then(|choices| choices.get(nth % choices.len()));
    let default = fields.get("default").filter(|default| !default.is_object() && !default.is_array());
    let example = || list(fields, "examples").and_then(|examples| examples.first());
    let free = if nth == 0 { default.or_else(example) } else { None };
    fields.get("const").or(choice).or(free).cloned()
}

/// What a reference inside the document points to; DeepSeek's guide keeps definitions under `$def`.
fn resolve<'a>(root: &'a Value, target: &str) -> Option<&'a Value> {
    let pointer = target.strip_prefix('#')?;
    let name = || pointer.rsplit('/').next();
    root.pointer(pointer)
        .or_else(|| ["$defs", "$def", "definitions"].iter().find_map(|place| root.get(place)?.get(name()?)))
}

fn kind(fields: &Map<String, Value>) -> &str {
    match fields.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str).unwrap_or("string"),
        _ if fields.contains_key("properties") || fields.contains_key("required") => "object",
        _ if fields.contains_key("items") || fields.contains_key("prefixItems") => "array",
        _ if ["minimum", "maximum", "multipleOf"].iter().any(|name| fields.contains_key(*name)) => "number",
        _ => "string",
    }
}

fn list<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Vec<Value>> {
    fields.get(name).and_then(Value::as_array)
}

fn size(fields: &Map<String, Value>, name: &str) -> Option<usize> {
    fields.get(name).and_then(Value::as_u64).and_then(|size| usize::try_from(size).ok())
}

/// A schema without one keyword, and without what only describes.
fn without(fields: &Map<String, Value>, name: &str) -> Map<String, Value> {
    let describes = ["$schema", "$id", "$defs", "$def", "definitions", "title", "description"];
    let kept = fields.iter().filter(|(field, _)| *field != name && !describes.contains(&field.as_str()));
    kept.map(|(field, value)| (field.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_properties_are_filled_and_others_left_out() {
        let schema = json!({
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"enum": ["celsius", "fahrenheit"]},
                "days": {"type": "integer", "minimum": 3},
                "tags": {"type": "array", "items": {"type": ["string", "null"]}, "minItems": 2},
                "where": {"$ref": "#/$defs/place"},
                "optional": {"type": "string"},
            },
            "required": ["city", "unit", "days", "tags", "where"],
            "$defs": {"place": {"type": "object", "properties": {"exact": {"type": "boolean"}}, "required": ["exact"]}},
        });
        let word = argument_word("What is the weather in Paris?");
        let expected = json!({
            "city": "Paris", "unit": "celsius", "days": 3, "tags": ["Paris", "Paris"], "where": {"exact": true},
        });
        assert_eq!(example(&schema, word), expected);
    }

    #[test]
    fn each_kind_of_schema_has_its_example() {
        for (schema, expected) in [
            (json!({"const": 7}), json!(7)),
            (
                json!({"type": "object", "properties": {"a": {"default": {}, "required": ["b"]}}, "required": ["a"]}),
                json!({"a": {"b": "Paris"}}),
            ),
            (json!({"anyOf": [{"type": "null"}, {"type": "string"}]}), json!(null)),
            (
                json!({"type": "object", "properties": {"a": {"type": "boolean"}}, "anyOf": [{"required": ["a"]}]}),
                json!({"a": true}),
            ),
            (
                json!({"allOf": [{"required": ["a"]}, {"properties": {"a": {"const": 1}}, "required": ["b"]}]}),
                json!({"a": 1, "b": "Paris"}),
            ),
            (json!({"$ref": "#/$def/x", "$def": {"x": {"type": "array", "maxItems": 0}}}), json!([])),
            (json!({"$ref": "#/$defs/x", "$def": {"x": {"const": "found"}}}), json!("found")),
            (
                json!({"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 3, "uniqueItems": true}),
                json!([1, 2, 3]),
            ),
            (
                json!({"type": "array", "items": {"type": "string"}, "minItems": 2, "uniqueItems": true}),
                json!(["Paris", "Paris 2"]),
            ),
            (json!({"prefixItems": [{"const": 1}, {"type": "string"}]}), json!([1, "Paris"])),
            (
                json!({"type": "object", "minProperties": 2, "additionalProperties": {"type": "integer"}}),
                json!({"member_1": 1, "member_2": 1}),
            ),
            (json!(true), json!("Paris")),
        ] {
            assert_eq!(example(&schema, "Paris"), expected, "{schema}");
        }
    }

    #[test]
    fn a_schema_that_contains_itself_ends_where_it_may() {
        let endless =
            json!({"type": "object", "properties": {"child": {"$ref": "#"}}, "required": ["child"]});
        assert!(example(&endless, "x").is_object());
        let list = json!({
            "type": "object", "required": ["next"],
            "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
        });
        assert!(example(&list, "x").to_string().ends_with(r#""next":null}}"#));
        let tree = json!({
            "type": "object", "required": ["leaves"],
            "properties": {"leaves": {"type": "array", "items": {"$ref": "#"}}},
        });
        assert!(example(&tree, "x").to_string().contains("[]"));
        let alternatives = json!({"anyOf": vec![json!({"$ref": "#"}); 40]});
        assert_eq!(example(&alternatives, "x"), json!({}));
    }
}
