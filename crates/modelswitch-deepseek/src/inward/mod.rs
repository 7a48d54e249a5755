//! A request as OpenAI's apps send it, put as DeepSeek takes it. What the profile's data can say (token limit, roles) is done
//! below; this is the rest. Facts are from <https://api-docs.deepseek.com/api/create-chat-completion>,
//! <https://api-docs.deepseek.com/guides/thinking_mode> and <https://api-docs.deepseek.com/guides/responses_api>, read on
//! 2026-11-21.
//!
//! Everything looks before it parses: a request that DeepSeek takes as it is passes as the bytes it came in.

mod format;
mod messages;
mod parameters;
mod responses;
mod tools;

use modelswitch_openai::adapter::{AnswerCheck, LegacyFunctions, Notes};
use modelswitch_openai::{EmptyAnswer, Policies, Profile};
use modelswitch_provider::{Adaptation, Document, Endpoint, Result};

pub(crate) use self::responses::adapt as responses;

use crate::fim;
use crate::memory::{ReasoningMemory, Trace};

/// What adapting a request has to know besides the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) policies: Policies,
    pub(crate) profile: &'a Profile,
    pub(crate) memory: Option<&'a ReasoningMemory>,
}

/// What a request became, and what has to be done with its answer.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) adaptations: Vec<Adaptation>,
    /// Chat prefix completion and strict tools live under `/beta`.
    pub(crate) beta: bool,
    /// The conversation so far and who remembers it, where its answer is worth remembering.
    pub(crate) memory: Option<(ReasoningMemory, Trace)>,
    /// A name that is retired was asked for.
    pub(crate) retired: Option<String>,
    /// The app speaks of functions where DeepSeek speaks of tools.
    pub(crate) legacy: Option<LegacyFunctions>,
    /// What the answer must be like.
    pub(crate) answer: AnswerCheck,
}

/// A chat request.
///
/// # Errors
/// [`Unsupported`](modelswitch_provider::ErrorKind::Unsupported) for what DeepSeek can't do, before anything is sent.
pub(crate) fn chat(body: &mut Document, terms: Terms<'_>) -> Result<Plan> {
    let mut notes = Notes::new(terms.policies);
    let mut plan = Plan::default();
    if terms.policies.empty_answer == EmptyAnswer::Error {
        plan.answer = std::mem::take(&mut plan.answer).refusing_empty();
    }
    plan.retired = parameters::model(body, &Endpoint::CHAT_COMPLETIONS, terms.profile, &mut notes)?;
    parameters::refuse_what_it_cannot(body)?;
    parameters::effort(body, &mut notes)?;
    parameters::user(body, &mut notes)?;
    plan.legacy = LegacyFunctions::take(body, &mut notes)?;
    tools::adapt(body, &mut notes)?;
    let instructions = format::adapt(body, &mut plan, &mut notes)?;
    tools::forced_choice(body, &mut notes)?;
    parameters::without_effect(body, &mut notes)?;
    plan.beta = tools::are_strict(body, &mut notes)?;
    messages::adapt(body, terms, instructions, &mut plan, &mut notes)?;
    plan.adaptations = notes.finish()?;
    Ok(plan)
}

/// A text completion.
///
/// # Errors
/// As [`chat`].
pub(crate) fn completion(body: &mut Document, terms: Terms<'_>) -> Result<Plan> {
    let mut notes = Notes::new(terms.policies);
    let retired = parameters::model(body, &Endpoint::COMPLETIONS, terms.profile, &mut notes)?;
    let mut adaptations = notes.finish()?;
    adaptations.extend(fim::adapt(body)?);
    Ok(Plan { adaptations, retired, beta: true, ..Plan::default() })
}

#[cfg(test)]
mod tests;
