//! What is DeepSeek's own of a request and of its answer, without a socket, for the fuzz targets. Behind a feature, hidden, and
//! promised to nobody.

use modelswitch_openai::{Policies, Profile};
use modelswitch_provider::{Document, Endpoint, Request, Response, Result};

use crate::inward::{self, Plan, Terms};
use crate::memory::ReasoningMemory;
use crate::outward;

/// A request, put as DeepSeek takes it, and what was done.
///
/// # Errors
/// As a call's.
pub fn inward(profile: &Profile, policies: Policies, request: &mut Request) -> Result<Adapted> {
    let memory = ReasoningMemory::default();
    let terms = Terms { policies, profile, memory: Some(&memory) };
    let adapt: fn(&mut Document, Terms<'_>) -> Result<Plan> = match request.endpoint.path() {
        path if path == Endpoint::COMPLETIONS.path() => inward::completion,
        path if path == Endpoint::RESPONSES.path() => inward::responses,
        _ => inward::chat,
    };
    let Some(body) = request.document_mut() else { return Ok(Adapted(Plan::default())) };
    adapt(body, terms).map(Adapted)
}

/// What a request became.
#[derive(Debug)]
pub struct Adapted(Plan);

impl Adapted {
    /// How many changes are told.
    pub fn told(&self) -> usize {
        self.0.adaptations.len()
    }

    /// An answer, put as the app that asked wants it.
    ///
    /// # Errors
    /// As a call's.
    pub fn outward(self, response: Response) -> Result<Response> {
        outward::finish(response, self.0)
    }
}
