use modelswitch_provider::{Adaptation, Error, Result};

use crate::policy::Policies;

/// What was changed in a request, each thing once.
#[derive(Debug)]
pub(super) struct Notes {
    pub(super) policies: Policies,
    list: Vec<Adaptation>,
}

impl Notes {
    pub(super) fn new(policies: Policies) -> Self {
        Self { policies, list: Vec::new() }
    }

    /// Tells a change of what the caller asked for.
    ///
    /// # Errors
    /// [`Unsupported`](modelswitch_provider::ErrorKind::Unsupported) for a caller who wants no changes; `instead` says what to
    /// write.
    pub(super) fn change(&mut self, parameter: &str, change: impl Into<String>, instead: &str) -> Result<()> {
        let change = change.into();
        if self.policies.strict {
            return Err(Error::unsupported(format!("`{parameter}` would have to be changed: {change}"))
                .with_param(parameter)
                .with_hint(instead.to_owned()));
        }
        self.same_meaning(parameter, change);
        Ok(())
    }

    /// Tells a parameter that is sent and does nothing.
    ///
    /// # Errors
    /// As [`change`](Self::change).
    pub(super) fn no_effect(&mut self, parameter: &str, why: &str) -> Result<()> {
        if self.policies.strict {
            return Err(Error::unsupported(format!("`{parameter}` would have no effect: {why}"))
                .with_param(parameter)
                .with_hint("leave it out"));
        }
        self.same_meaning(parameter, format!("has no effect: {why}"));
        Ok(())
    }

    /// Tells a change that means the same; nobody minds it.
    pub(super) fn same_meaning(&mut self, parameter: &str, change: impl Into<String>) {
        let adaptation = Adaptation::new(parameter, change);
        if !self.list.contains(&adaptation) {
            self.list.push(adaptation);
        }
    }

    pub(super) fn into_list(self) -> Vec<Adaptation> {
        self.list
    }
}
