//! A request, put as the service takes it, after its profile. One concern a file.
//!
//! Everything looks before it parses: a request that the service takes as it is passes as the bytes it came in. Whatever is changed
//! is told; what can't be changed without asking is refused before it is sent.

mod effort;
mod form;
mod history;
mod messages;
mod parameters;
mod tools;

use modelswitch_provider::{Adaptation, Document, Error, Request, Result};

use super::Kind;
use crate::adapter::{AnswerCheck, LegacyFunctions, Notes};
use crate::profile::RequestRules;
use crate::{EmptyAnswer, Policies, Profile};

/// What a request became, and what has to be done with its answer.
#[derive(Debug)]
pub(super) struct Adapted {
    pub(super) request: Request,
    pub(super) adaptations: Vec<Adaptation>,
    pub(super) answer: AnswerCheck,
    /// The app speaks of functions where the service speaks of tools.
    pub(super) functions: Option<LegacyFunctions>,
}

/// # Errors
/// [`InvalidRequest`](modelswitch_provider::ErrorKind::InvalidRequest) for a body that can't be read,
/// [`Unsupported`](modelswitch_provider::ErrorKind::Unsupported) for what the service can't do.
pub(super) fn adapt(
    profile: &Profile,
    policies: Policies,
    kind: Kind,
    mut request: Request,
) -> Result<Adapted> {
    let names_model = request.checked_model()?.is_some();
    if let Some(document) = request.document_mut() {
        if !names_model && matches!(kind, Kind::Chat | Kind::Completion | Kind::Embeddings | Kind::Responses)
        {
            document.set("model", default_model(profile)?)?;
        }
        if kind == Kind::Chat {
            let (adaptations, answer, functions) = chat(profile, policies, document)?;
            return Ok(Adapted { request, adaptations, answer, functions });
        }
    }
    Ok(Adapted { request, adaptations: Vec::new(), answer: AnswerCheck::default(), functions: None })
}

fn default_model(profile: &Profile) -> Result<&str> {
    profile.default_model.as_deref().ok_or_else(|| {
        Error::invalid_request("the request names no model, and this provider has no default one")
            .with_param("model")
            .with_hint("set the request's model, or default_model of the provider")
    })
}

fn chat(
    profile: &Profile,
    policies: Policies,
    document: &mut Document,
) -> Result<(Vec<Adaptation>, AnswerCheck, Option<LegacyFunctions>)> {
    let model = document.str("model").unwrap_or_default().into_owned();
    let rules: &RequestRules = &profile.request_rules(&model);
    let mut notes = Notes::new(policies);
    let mut answer = AnswerCheck::default();
    if policies.empty_answer == EmptyAnswer::Error {
        answer = answer.refusing_empty();
    }
    let functions = if rules.takes_functions() { None } else { LegacyFunctions::take(document, &mut notes)? };
    let instructions = form::adapt(rules, document, &mut answer, &mut notes)?;
    tools::adapt(rules, document, &mut notes)?;
    effort::adapt(rules, document, &mut notes)?;
    parameters::adapt(rules, document, &mut notes)?;
    messages::adapt(profile, rules, &model, document, instructions, &mut notes)?;
    Ok((notes.finish()?, answer, functions))
}

#[cfg(test)]
mod tests;
