use modelswitch_provider::{Adaptation, Error, Result};

use crate::policy::Policies;

/// What was changed in a request, each thing once.
#[derive(Debug)]
pub(super) struct Notes {
    pub(super) policies: Policies,
    list: Vec<Adaptation>,
    /// What a caller who wants no changes must write otherwise: all of it is told at once.
    refused: Vec<Refused>,
}

#[derive(Debug)]
struct Refused {
    parameter: String,
    message: String,
    instead: String,
}

impl Notes {
    pub(super) fn new(policies: Policies) -> Self {
        Self { policies, list: Vec::new(), refused: Vec::new() }
    }

    /// Tells a change of what the caller asked for; `instead` says what a caller who wants no changes should write.
    pub(super) fn change(&mut self, parameter: &str, change: impl Into<String>, instead: &str) {
        let change = change.into();
        if self.policies.strict {
            self.refuse(parameter, format!("`{parameter}` would have to be changed: {change}"), instead);
        }
        self.same_meaning(parameter, change);
    }

    /// Tells a parameter that is sent and does nothing.
    pub(super) fn no_effect(&mut self, parameter: &str, why: &str) {
        if self.policies.strict {
            self.refuse(parameter, format!("`{parameter}` would have no effect: {why}"), "leave it out");
        }
        self.same_meaning(parameter, format!("has no effect: {why}"));
    }

    /// Tells a change that means the same; nobody minds it.
    pub(super) fn same_meaning(&mut self, parameter: &str, change: impl Into<String>) {
        let adaptation = Adaptation::new(parameter, change);
        if !self.list.contains(&adaptation) {
            self.list.push(adaptation);
        }
    }

    fn refuse(&mut self, parameter: &str, message: String, instead: &str) {
        let (parameter, instead) = (parameter.to_owned(), instead.to_owned());
        self.refused.push(Refused { parameter, message, instead });
    }

    /// What was changed.
    ///
    /// # Errors
    /// [`Unsupported`](modelswitch_provider::ErrorKind::Unsupported) for a caller who wants no changes, with all of them.
    pub(super) fn finish(self) -> Result<Vec<Adaptation>> {
        let Some(first) = self.refused.first() else { return Ok(self.list) };
        let messages: Vec<&str> = self.refused.iter().map(|one| one.message.as_str()).collect();
        let instead: Vec<String> = match self.refused.as_slice() {
            [one] => vec![one.instead.clone()],
            several => several.iter().map(|one| format!("`{}`: {}", one.parameter, one.instead)).collect(),
        };
        Err(Error::unsupported(messages.join("; "))
            .with_param(first.parameter.clone())
            .with_hint(instead.join("; ")))
    }
}
