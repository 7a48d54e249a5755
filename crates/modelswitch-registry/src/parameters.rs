//! Parameters that an alias puts into requests.

mod types;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use modelswitch_provider::{Adaptation, Document, Request, Result};

use crate::config::{AliasConfig, Free};
pub(crate) use types::{is_parameter, wrong_type};

/// What an alias, and those that it points to, say of parameters.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Parameters(BTreeMap<String, Parameter>);

#[derive(Clone, Debug, PartialEq)]
struct Parameter {
    value: Free,
    /// Whether it counts more than what the request says.
    always: bool,
    /// Who says so.
    alias: Arc<str>,
}

/// A number that is put into requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Set {
    pub(crate) value: f64,
    /// Whether it counts more than what the request says.
    pub(crate) always: bool,
}

impl Parameters {
    pub(crate) fn of(alias: &str, config: &AliasConfig) -> Self {
        let alias: Arc<str> = alias.into();
        let with = |always| {
            let alias = alias.clone();
            move |(name, value): (&String, &Free)| {
                (name.clone(), Parameter { value: value.clone(), always, alias: alias.clone() })
            }
        };
        Self(config.defaults.iter().map(with(false)).chain(config.overrides.iter().map(with(true))).collect())
    }

    /// Adds what an alias further in says of parameters that nobody further out speaks of.
    pub(crate) fn over(mut self, inner: Option<&Self>) -> Self {
        let theirs = |name: &str, own: &Self| spellings(name).any(|name| own.0.contains_key(name));
        for (name, parameter) in inner.into_iter().flat_map(|inner| &inner.0) {
            if !theirs(name, &self)
                && let Entry::Vacant(free) = self.0.entry(name.clone())
            {
                free.insert(parameter.clone());
            }
        }
        self
    }

    /// All of it as one text, to tell whether two say the same.
    pub(crate) fn written(&self) -> String {
        let said = self.0.iter().map(|(name, Parameter { value: Free(value), always, .. })| {
            format!("{name:?} {always} {value}\n")
        });
        said.collect()
    }

    /// `None` for none.
    pub(crate) fn shared(self) -> Option<Arc<Self>> {
        (!self.0.is_empty()).then(|| Arc::new(self))
    }

    /// The temperature that requests have by it.
    pub(crate) fn temperature(&self) -> Option<Set> {
        let Parameter { value: Free(value), always, .. } = self.0.get("temperature")?;
        Some(Set { value: value.as_f64()?, always: *always })
    }

    /// Puts them into a JSON request, and tells which. The values aren't told: they may be anything.
    ///
    /// # Errors
    /// None in fact: what was read from a file can be written as JSON.
    pub(crate) fn put_into(&self, request: &mut Request) -> Result<Vec<Adaptation>> {
        let Some(body) = request.document_mut() else { return Ok(Vec::new()) };
        let mut told = Vec::new();
        for (name, Parameter { value: Free(value), always, alias }) in &self.0 {
            let said = spellings(name).any(|name| body.has(name));
            if said && (!always || is_said(body, name, value)) {
                continue;
            }
            for other in spellings(name).filter(|other| *other != name) {
                body.remove(other);
            }
            body.set(name, value)?;
            let change = match (always, said) {
                (true, true) => format!("replaced: the alias `{alias}` overrides it"),
                (true, false) => format!("set: the alias `{alias}` overrides it"),
                (false, _) => format!("set: the request doesn't say it, and the alias `{alias}` does"),
            };
            told.push(Adaptation::new(name, change));
        }
        Ok(told)
    }
}

/// True when the request says the very same already.
fn is_said(body: &Document, name: &str, value: &serde_json::Value) -> bool {
    body.get_raw(name)
        .is_some_and(|text| serde_json::from_str(text).is_ok_and(|said: serde_json::Value| said == *value))
}

/// The names of one parameter: who limits the tokens under one name must not be contradicted under the other.
fn spellings(name: &str) -> impl Iterator<Item = &str> {
    let other = match name {
        "max_tokens" => Some("max_completion_tokens"),
        "max_completion_tokens" => Some("max_tokens"),
        _ => None,
    };
    std::iter::once(name).chain(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parameters(alias: &str, config: Value) -> Parameters {
        Parameters::of(alias, &serde_json::from_value(config).unwrap())
    }

    #[track_caller]
    fn check(parameters: &Parameters, request: Value, expected: Value, told: &[&str]) {
        let mut request = Request::chat(&request).unwrap();
        let changes = parameters.put_into(&mut request).unwrap();
        let body: Value = serde_json::from_slice(&request.document().unwrap().to_bytes()).unwrap();
        assert_eq!(body, expected);
        assert_eq!(changes.iter().map(|change| change.parameter.as_str()).collect::<Vec<_>>(), told);
    }

    #[test]
    fn defaults_fill_in_and_overrides_replace() {
        let fast = parameters(
            "fast",
            json!({ "target": "x", "defaults": { "temperature": 0.2 }, "overrides": { "thinking": { "type": "disabled" } } }),
        );
        let off = json!({ "type": "disabled" });
        check(&fast, json!({}), json!({ "temperature": 0.2, "thinking": off }), &["temperature", "thinking"]);
        let own = json!({ "temperature": 1, "thinking": { "type": "enabled" } });
        check(&fast, own, json!({ "temperature": 1, "thinking": off }), &["thinking"]);
        check(
            &fast,
            json!({ "temperature": null, "thinking": off }),
            json!({ "temperature": 0.2, "thinking": off }),
            &["temperature"],
        );
    }

    #[test]
    fn a_token_limit_is_one_parameter_under_two_names() {
        let default = parameters("a", json!({ "target": "x", "defaults": { "max_tokens": 5 } }));
        check(&default, json!({ "max_completion_tokens": 7 }), json!({ "max_completion_tokens": 7 }), &[]);
        let always = parameters("a", json!({ "target": "x", "overrides": { "max_tokens": 5 } }));
        check(&always, json!({ "max_completion_tokens": 7 }), json!({ "max_tokens": 5 }), &["max_tokens"]);
    }

    #[test]
    fn the_outer_alias_counts_more_whatever_the_inner_one_insists_on() {
        let inner =
            parameters("inner", json!({ "target": "x", "overrides": { "temperature": 0, "top_p": 1 } }));
        let outer = parameters("outer", json!({ "target": "inner", "defaults": { "temperature": 0.9 } }));
        let both = outer.over(Some(&inner));
        check(&both, json!({ "temperature": 2 }), json!({ "temperature": 2, "top_p": 1 }), &["top_p"]);
        check(&both, json!({}), json!({ "temperature": 0.9, "top_p": 1 }), &["temperature", "top_p"]);
    }
}
