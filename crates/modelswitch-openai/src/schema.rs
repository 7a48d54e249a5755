//! JSON schemas, and whether an answer follows one.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::fmt;

use modelswitch_provider::{Error, Result};
use serde_json::Value;

/// The answer doesn't follow the JSON schema that was asked for.
///
/// It is the source of a [`Decode`](modelswitch_provider::ErrorKind::Decode) error whose
/// [`code`](modelswitch_provider::Error::code) is [`SchemaMismatch::CODE`]; async-openai's clients see the code. It names
/// places and rules of the schema and nothing of the answer, which is in the error's
/// [`upstream_body`](modelswitch_provider::Error::upstream_body), for whoever wants it all the same.
///
/// ```
/// use modelswitch_openai::SchemaMismatch;
/// use modelswitch_provider::Error;
///
/// fn show(error: &Error) {
///     for problem in SchemaMismatch::of(error).into_iter().flat_map(SchemaMismatch::problems) {
///         eprintln!("{}: {}", problem.path, problem.rule);
///     }
/// }
/// # show(&Error::decode("x"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaMismatch {
    problems: Vec<SchemaProblem>,
}

/// One place of an answer that doesn't follow the schema, or one place of a schema that can't be strict.
///
/// ```
/// use modelswitch_openai::SchemaProblem;
///
/// let problem = SchemaProblem::new("/city", "it must say its type");
/// assert_eq!(problem.to_string(), "at /city: it must say its type");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaProblem {
    /// Where, as a JSON pointer; empty at the root. In an answer, members that the schema doesn't name stand as `*`.
    pub path: String,
    /// Which rule is broken.
    pub rule: String,
}

impl SchemaProblem {
    /// A broken rule and where: a JSON pointer, empty at the root.
    pub fn new(path: impl Into<String>, rule: impl Into<String>) -> Self {
        Self { path: path.into(), rule: rule.into() }
    }

    /// The first of several on one line: a person mends one at a time.
    ///
    /// ```
    /// use modelswitch_openai::SchemaProblem;
    ///
    /// let problems = vec![SchemaProblem::new("/a", "x"); 5];
    /// assert_eq!(SchemaProblem::summary(&problems), "at /a: x; at /a: x; at /a: x; and 2 more");
    /// ```
    pub fn summary(problems: &[Self]) -> String {
        let mut shown: Vec<String> = problems.iter().take(3).map(ToString::to_string).collect();
        if problems.len() > 3 {
            shown.push(format!("and {} more", problems.len() - 3));
        }
        shown.join("; ")
    }
}

impl fmt::Display for SchemaProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => write!(f, "at the root: {}", self.rule),
            path => write!(f, "at {path}: {}", self.rule),
        }
    }
}

/// More of them help nobody.
#[cfg(feature = "json-schema")]
const MOST_PROBLEMS: usize = 20;

impl SchemaMismatch {
    /// The [`code`](modelswitch_provider::Error::code) of the error.
    pub const CODE: &'static str = "json_schema_mismatch";

    /// The mismatch in an error, if it is one.
    pub fn of(error: &Error) -> Option<&Self> {
        StdError::source(error)?.downcast_ref()
    }

    /// The places that don't follow the schema, the first twenty.
    pub fn problems(&self) -> &[SchemaProblem] {
        &self.problems
    }

    fn one(rule: &str) -> Self {
        Self { problems: vec![SchemaProblem { path: String::new(), rule: rule.to_owned() }] }
    }

    fn into_error(self) -> Error {
        Error::decode(format!("the answer doesn't follow the JSON schema: {self}"))
            .with_code(Self::CODE)
            .with_param("response_format")
            .with_hint("ask again, say more about the form in the prompt, or choose the policy strict_tool for json_schema")
            .with_source(self)
    }
}

impl fmt::Display for SchemaMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&SchemaProblem::summary(&self.problems))
    }
}

impl StdError for SchemaMismatch {}

/// A schema that answers are held against. Without the feature `json-schema` only their form is looked at.
///
/// ```
/// use modelswitch_openai::adapter::Checker;
/// use serde_json::json;
///
/// let checker = Checker::new(&json!({ "type": "object", "required": ["city"] }))?;
/// assert!(checker.check(r#"{"city":"Ulm"}"#).is_ok());
/// assert!(checker.check("Ulm").is_err());
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
pub struct Checker {
    #[cfg(feature = "json-schema")]
    validator: jsonschema::Validator,
    /// The members that the schema names, which may be shown.
    names: BTreeSet<String>,
}

impl Checker {
    /// Reads a schema.
    ///
    /// # Errors
    /// [`InvalidRequest`](modelswitch_provider::ErrorKind::InvalidRequest) for what is no JSON schema, or refers to another
    /// one that isn't in it.
    pub fn new(schema: &Value) -> Result<Self> {
        let mut names = BTreeSet::new();
        collect_names(schema, &mut names);
        #[cfg(feature = "json-schema")]
        let validator = jsonschema::validator_for(schema).map_err(|error| {
            let place = SchemaProblem { path: error.instance_path().to_string(), rule: rule(&error) };
            Error::invalid_request(format!("the JSON schema can't be used: {place}"))
                .with_param("response_format")
                .with_hint("mend the schema; what it refers to must be in it")
        })?;
        Ok(Self {
            #[cfg(feature = "json-schema")]
            validator,
            names,
        })
    }

    /// Holds the text of an answer against it.
    ///
    /// # Errors
    /// [`Decode`](modelswitch_provider::ErrorKind::Decode) with a [`SchemaMismatch`] in it.
    pub fn check(&self, answer: &str) -> Result<()> {
        if answer.trim().is_empty() {
            return Err(SchemaMismatch::one("it is empty").into_error());
        }
        let Ok(answer) = serde_json::from_str::<Value>(answer) else {
            return Err(SchemaMismatch::one("it is no JSON").into_error());
        };
        let problems = self.problems(&answer);
        if problems.is_empty() { Ok(()) } else { Err(SchemaMismatch { problems }.into_error()) }
    }

    #[cfg(feature = "json-schema")]
    fn problems(&self, answer: &Value) -> Vec<SchemaProblem> {
        let problem = |error: jsonschema::ValidationError<'_>| SchemaProblem {
            path: self.shown_path(error.instance_path().as_str()),
            rule: rule(&error),
        };
        self.validator.iter_errors(answer).take(MOST_PROBLEMS).map(problem).collect()
    }

    /// Without the feature `json-schema` only the form is looked at.
    #[cfg(not(feature = "json-schema"))]
    fn problems(&self, answer: &Value) -> Vec<SchemaProblem> {
        let rule = "it is no JSON object".to_owned();
        if answer.is_object() { Vec::new() } else { vec![SchemaProblem { path: String::new(), rule }] }
    }

    /// The path without names that the model made up: they are a part of its answer.
    #[cfg_attr(not(feature = "json-schema"), expect(dead_code, reason = "nothing is looked at but the form"))]
    fn shown_path(&self, path: &str) -> String {
        let shown = |part: &str| {
            let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            if is_number || self.names.contains(part) { part.to_owned() } else { "*".to_owned() }
        };
        path.split('/').skip(1).map(|part| format!("/{}", shown(part))).collect()
    }
}

/// jsonschema's sentence without the value. Where even that would name something of the answer, a sentence of our own.
#[cfg(feature = "json-schema")]
fn rule(error: &jsonschema::ValidationError<'_>) -> String {
    let keyword = error.schema_path().as_str().rsplit('/').next().unwrap_or_default().to_owned();
    match keyword.as_str() {
        "additionalProperties" | "unevaluatedProperties" | "propertyNames" => {
            format!("it has members that the schema doesn't allow (`{keyword}`)")
        }
        // What may stand there can be data too.
        "enum" | "const" | "pattern" | "anyOf" | "oneOf" | "not" | "$ref" => format!("it breaks `{keyword}`"),
        _ => error.masked().to_string(),
    }
}

fn collect_names(schema: &Value, names: &mut BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Object(properties)) = members.get("properties") {
                names.extend(properties.keys().cloned());
            }
            members.values().for_each(|value| collect_names(value, names));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_names(item, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

impl fmt::Debug for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checker").field("names", &self.names.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(feature = "json-schema")]
mod tests {
    use super::*;
    use modelswitch_provider::ErrorKind;
    use serde_json::json;

    fn check(schema: &Value, answer: &str) -> Option<String> {
        let error = Checker::new(schema).unwrap().check(answer).err()?;
        assert_eq!((error.kind(), error.code()), (ErrorKind::Decode, Some(SchemaMismatch::CODE)));
        assert!(SchemaMismatch::of(&error).is_some());
        let shown = format!("{error} {error:?} {}", error.report());
        assert!(!shown.contains("hush"), "{shown}");
        Some(error.message().to_owned())
    }

    #[test]
    fn an_answer_that_follows_the_schema_passes_and_another_is_told_by_place_and_rule_alone() {
        let schema = json!({"type":"object","properties":{"city":{"type":"string","maxLength":3},"tags":{"type":"array","items":{"enum":["a","b"]}}},
            "required":["city"],"additionalProperties":false});
        assert_eq!(check(&schema, r#"{"city":"Ulm","tags":["a"]}"#), None);
        for (answer, told) in [
            ("", "it is empty"),
            ("hush", "it is no JSON"),
            (r#"{"tags":[]}"#, "required"),
            (r#"{"city":"hush"}"#, "at /city: value is longer than 3 characters"),
            (r#"{"city":"Ulm","hush":1}"#, "at the root: it has members that the schema doesn't allow"),
            (r#"{"city":"Ulm","tags":["a","hush"]}"#, "at /tags/1: it breaks `enum`"),
            (r#"["hush"]"#, "object"),
        ] {
            let message = check(&schema, answer).unwrap();
            assert!(message.contains(told), "{message}");
        }
        let free = json!({"type":"object","additionalProperties":{"type":"number"}});
        assert!(check(&free, r#"{"hush":"x"}"#).unwrap().contains("at /*:"));
    }

    #[test]
    fn what_is_no_schema_is_refused_before_anything_is_sent() {
        for schema in [json!({"type":"nonsense"}), json!({"$ref":"https://x.example/schema.json"})] {
            let error = Checker::new(&schema).unwrap_err();
            assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidRequest, Some("response_format")));
        }
    }
}
