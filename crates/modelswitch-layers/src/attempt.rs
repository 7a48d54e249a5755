//! One try: how far it goes before it counts as answered, and how a failed one is written down.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use modelswitch_provider::{Attempt, Error, Provider, Request, Response, Result, committed};
use tracing::Instrument;

use self::span::AttemptSpan;

mod span;
pub(crate) use span::Traced;

/// Asks a provider, and waits for the first content of its answer.
pub(crate) async fn send_until_committed(provider: &dyn Provider, request: Request) -> Result<Response> {
    let Some(span) = AttemptSpan::begin(provider.name(), &request) else {
        return until_committed(provider, request).await;
    };
    let outcome = until_committed(provider, request).instrument(span.span()).await;
    span.end(&outcome);
    outcome
}

async fn until_committed(provider: &dyn Provider, request: Request) -> Result<Response> {
    let Response { head, body } = provider.send(request).await?;
    // The head stays out here, so a stream that fails before its first content can still say whose it was.
    match committed(Response::new(body)).await {
        Ok(Response { body, .. }) => Ok(Response { head, body }),
        Err(error) => Err(head.blame(error).with_failures(head.failures)),
    }
}

/// Writes down the tries that ended in this error: those of layers inside, which the error knows, and the last.
pub(crate) fn record(request: &Request, failures: &mut Vec<Attempt>, error: &Error, took: Duration) {
    let earlier = error.failures().iter().map(|failed| failed.duration).sum();
    let last = Attempt::of(error, took.saturating_sub(earlier));
    if let Some(tried) = request.extensions.get::<Tried>() {
        tried.push(&last);
    }
    failures.extend_from_slice(error.failures());
    failures.push(last);
}

/// In a request's extensions: the tries that failed so far, for whoever may drop the call before it can tell of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tried {
    failures: Arc<Mutex<Vec<Attempt>>>,
    outer: Option<Arc<Tried>>,
}

impl Tried {
    /// Asks those below to tell of their tries; whoever asked before hears of them, too.
    pub(crate) fn begin(request: &mut Request) -> Self {
        let outer = request.extensions.get::<Self>().cloned().map(Arc::new);
        let tried = Self { failures: Arc::default(), outer };
        request.extensions.insert(tried.clone());
        tried
    }

    pub(crate) fn into_failures(self) -> Vec<Attempt> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *failures)
    }

    fn push(&self, failed: &Attempt) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(failed.clone());
        if let Some(outer) = &self.outer {
            outer.push(failed);
        }
    }
}
