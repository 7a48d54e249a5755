//! All cases, by what they are about.

mod cancel;
mod concurrent;
mod errors;
mod limits;
mod reasoning;
mod redaction;
mod requests;
mod stream;
mod stream_end;
mod tools;
mod unary;

use futures_util::future::BoxFuture;

use super::stage::{Stage, Verdict};
use super::{Capabilities, Capability};

/// One promise, and how to tell whether it is kept.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) promise: &'static str,
    needs: &'static [Capability],
    /// It scripts the service, or looks at what the service got.
    needs_service: bool,
    pub(super) run: Run,
}

type Run = for<'a> fn(&'a Stage) -> BoxFuture<'a, Verdict>;

impl Case {
    const fn new(name: &'static str, promise: &'static str, run: Run) -> Self {
        Self { name, promise, needs: &[], needs_service: true, run }
    }

    const fn needs(mut self, needs: &'static [Capability]) -> Self {
        self.needs = needs;
        self
    }

    const fn without_service(mut self) -> Self {
        self.needs_service = false;
        self
    }

    /// Why it isn't run, if it isn't.
    pub(super) fn skipped(&self, can: &Capabilities, has_service: bool) -> Option<String> {
        if let Some(missing) = self.needs.iter().find(|needed| !can.has(**needed)) {
            return Some(format!("the capability `{missing}` is not declared"));
        }
        (self.needs_service && !has_service).then(|| "it must control the service".to_owned())
    }
}

pub(super) fn all() -> impl Iterator<Item = &'static Case> {
    let groups = [
        unary::CASES,
        requests::CASES,
        stream::CASES,
        stream_end::CASES,
        tools::CASES,
        reasoning::CASES,
        errors::CASES,
        cancel::CASES,
        limits::CASES,
        redaction::CASES,
        concurrent::CASES,
    ];
    groups.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own_in_kebab_case() {
        let names: Vec<&str> = all().map(|case| case.name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        assert!(names.len() >= 45);
        for name in names {
            assert!(
                name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            );
        }
    }
}
