//! Whether DeepSeek's strict mode takes a JSON schema.

use std::error::Error as StdError;
use std::fmt;

use modelswitch_openai::SchemaProblem;
use modelswitch_provider::Error;
use serde_json::{Map, Value};

/// Says beforehand why DeepSeek's strict mode would not take a schema; nothing when it would.
///
/// After <https://api-docs.deepseek.com/guides/tool_calls>, read on 2026-11-21: objects whose properties are all required and
/// that allow no others; strings with `pattern` and some formats; numbers with bounds; booleans; arrays; `enum`, `anyOf` and
/// references. Lengths of texts and lists can't be bounded. What the page doesn't name is taken for a problem, but for `null`
/// and the usual annotations. For definitions it writes `$def`; `$defs`, as JSON schema has it, is taken too.
///
/// ```
/// use modelswitch_deepseek::strict_problems;
/// use serde_json::json;
///
/// let schema = json!({ "type": "object", "properties": { "city": { "type": "string", "maxLength": 80 } },
///                      "required": ["city"], "additionalProperties": false });
/// let problems = strict_problems(&schema);
/// assert_eq!(problems.len(), 1);
/// assert_eq!(problems[0].path, "/properties/city/maxLength");
/// ```
pub fn strict_problems(schema: &Value) -> Vec<SchemaProblem> {
    let mut found = Problems::default();
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        found.tell("", "the type must be object");
    }
    found.look(schema, "", DEEPEST);
    found.0
}

/// A JSON schema that DeepSeek's strict mode doesn't take. It is the source of an
/// [`Unsupported`](modelswitch_provider::ErrorKind::Unsupported) error.
///
/// ```
/// use modelswitch_deepseek::NotStrict;
/// use modelswitch_provider::Error;
///
/// fn why(error: &Error) -> Vec<String> {
///     NotStrict::of(error).map(|why| why.problems().iter().map(ToString::to_string).collect()).unwrap_or_default()
/// }
/// # assert!(why(&Error::unsupported("x")).is_empty());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotStrict {
    problems: Vec<SchemaProblem>,
}

impl NotStrict {
    pub(crate) fn new(problems: Vec<SchemaProblem>) -> Self {
        Self { problems }
    }

    /// Why a request was refused, if it was for its schema.
    pub fn of(error: &Error) -> Option<&Self> {
        StdError::source(error)?.downcast_ref()
    }

    /// What strict mode doesn't take.
    pub fn problems(&self) -> &[SchemaProblem] {
        &self.problems
    }

    /// The schema is that of this parameter.
    pub(crate) fn into_error(self, param: &str) -> Error {
        let hint = match param {
            "tools" => "mend the schema, or leave `strict` out",
            _ => "mend the schema, or choose the policy json_object for json_schema",
        };
        Error::unsupported(format!("DeepSeek's strict mode doesn't take the schema: {self}"))
            .with_param(param)
            .with_hint(hint)
            .with_source(self)
    }
}

impl fmt::Display for NotStrict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&SchemaProblem::summary(&self.problems))
    }
}

impl StdError for NotStrict {}

/// Deeper schemas are told as a problem: nobody writes them, and a check must end.
const DEEPEST: usize = 64;

/// Formats of texts that the page names.
const FORMATS: [&str; 5] = ["email", "hostname", "ipv4", "ipv6", "uuid"];

#[derive(Default)]
struct Problems(Vec<SchemaProblem>);

impl Problems {
    fn tell(&mut self, path: &str, rule: impl Into<String>) {
        self.0.push(SchemaProblem::new(path, rule));
    }

    fn look(&mut self, schema: &Value, path: &str, depth: usize) {
        let Some(members) = schema.as_object() else {
            return self.tell(path, "a schema must be an object");
        };
        if depth == 0 {
            return self.tell(path, "it is nested too deeply");
        }
        for (keyword, value) in members {
            self.keyword(keyword, value, &format!("{path}/{}", escaped(keyword)), depth);
        }
        let kind = members.get("type").and_then(Value::as_str);
        if kind == Some("object") || members.contains_key("properties") {
            self.object(members, path);
        }
        let says_what = ["type", "enum", "const", "anyOf", "$ref"];
        if !says_what.iter().any(|name| members.contains_key(*name)) {
            self.tell(path, "it must say its type");
        }
    }

    fn keyword(&mut self, keyword: &str, value: &Value, path: &str, depth: usize) {
        match keyword {
            "type" => self.kind(value, path),
            "properties" | "$def" | "$defs" => {
                for (name, inner) in value.as_object().into_iter().flatten() {
                    self.look(inner, &format!("{path}/{}", escaped(name)), depth - 1);
                }
            }
            "items" => self.look(value, path, depth - 1),
            "anyOf" => {
                for (index, inner) in value.as_array().into_iter().flatten().enumerate() {
                    self.look(inner, &format!("{path}/{index}"), depth - 1);
                }
            }
            "format" if !value.as_str().is_some_and(|format| FORMATS.contains(&format)) => {
                self.tell(path, format!("the format must be one of {}", FORMATS.join(", ")));
            }
            "minLength" | "maxLength" => {
                self.tell(path, format!("`{keyword}` isn't taken; lengths of texts can't be bounded"))
            }
            "minItems" | "maxItems" => {
                self.tell(path, format!("`{keyword}` isn't taken; lengths of lists can't be bounded"))
            }
            "required"
            | "additionalProperties"
            | "enum"
            | "const"
            | "default"
            | "pattern"
            | "format"
            | "minimum"
            | "maximum"
            | "exclusiveMinimum"
            | "exclusiveMaximum"
            | "multipleOf"
            | "$ref"
            | "title"
            | "description"
            | "examples"
            | "$schema"
            | "$id"
            | "$comment" => {}
            _ => self.tell(path, format!("`{keyword}` isn't among the keywords that strict mode takes")),
        }
    }

    fn kind(&mut self, value: &Value, path: &str) {
        match value.as_str() {
            Some("object" | "string" | "number" | "integer" | "boolean" | "array" | "null") => {}
            Some(_) => self.tell(path, "there is no such type"),
            None => self.tell(path, "a list of types isn't taken; write anyOf"),
        }
    }

    fn object(&mut self, members: &Map<String, Value>, path: &str) {
        if members.get("additionalProperties") != Some(&Value::Bool(false)) {
            self.tell(path, "`additionalProperties` must be false");
        }
        let required: Vec<&str> = members
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        for name in members.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::keys) {
            if !required.contains(&name.as_str()) {
                self.tell(&format!("{path}/properties/{}", escaped(name)), "every property must be required");
            }
        }
    }
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_strict_mode_takes_has_no_problems() {
        let good = json!({"type":"object","additionalProperties":false,"required":["a","b","c","d","e"],"properties":{
            "a":{"type":"string","pattern":"^x","format":"email","description":"d"},
            "b":{"type":"integer","minimum":1,"exclusiveMaximum":9,"multipleOf":2,"default":4},
            "c":{"anyOf":[{"type":"null"},{"$ref":"#/$defs/place"}]},
            "d":{"type":"array","items":{"enum":["x","y"]}},
            "e":{"type":"boolean"}},
            "$defs":{"place":{"type":"object","properties":{},"additionalProperties":false}}});
        assert_eq!(strict_problems(&good), []);
    }

    #[test]
    fn each_thing_that_it_does_not_take_is_told_with_its_place() {
        for (schema, path, rule) in [
            (json!({"type":"string"}), "", "type must be object"),
            (json!(true), "", "must be an object"),
            (json!({"type":"object","properties":{}}), "", "`additionalProperties` must be false"),
            (
                json!({"type":"object","properties":{"a/b":{"type":"string"}},"additionalProperties":false}),
                "/properties/a~1b",
                "every property must be required",
            ),
            (
                json!({"type":"object","properties":{"a":{"type":["string","null"]}},"required":["a"],"additionalProperties":false}),
                "/properties/a/type",
                "anyOf",
            ),
            (
                json!({"type":"object","properties":{"a":{"type":"array","maxItems":2}},"required":["a"],"additionalProperties":false}),
                "/properties/a/maxItems",
                "lengths of lists",
            ),
            (
                json!({"type":"object","properties":{"a":{"description":"x"}},"required":["a"],"additionalProperties":false}),
                "/properties/a",
                "say its type",
            ),
            (
                json!({"type":"object","properties":{"a":{"oneOf":[]}},"required":["a"],"additionalProperties":false}),
                "/properties/a/oneOf",
                "keywords",
            ),
            (
                json!({"type":"object","properties":{"a":{"type":"string","format":"date"}},"required":["a"],"additionalProperties":false}),
                "/properties/a/format",
                "format must be one of",
            ),
        ] {
            let problems = strict_problems(&schema);
            assert!(
                problems.iter().any(|one| one.path == path && one.rule.contains(rule)),
                "{schema}: {problems:?}"
            );
        }
    }

    #[test]
    fn a_schema_without_end_is_told_and_not_followed() {
        let mut schema = json!({"type":"string"});
        for _ in 0..100 {
            schema = json!({"type":"array","items":schema});
        }
        assert!(strict_problems(&schema).iter().any(|one| one.rule.contains("too deeply")));
    }
}
