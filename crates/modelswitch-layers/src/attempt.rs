//! One try: how far it goes before it counts as answered, and how a failed one is written down.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use modelswitch_provider::{Attempt, Body, Error, Provider, Request, Response, Result, committed};
use tracing::Instrument;

use self::span::AttemptSpan;

mod span;
pub(crate) use span::Traced;

/// Asks a provider, and waits for the first content of its answer.
///
/// What only some calls need has a box of its own, here and in other layers, and the request is given away before anything is
/// waited for: a future is as large as the largest of its ways with all that it was given, it is moved when it is made, and an
/// allocator is slow with more than a thousand bytes.
pub(crate) fn send_until_committed(
    provider: &dyn Provider,
    request: Request,
) -> impl Future<Output = Result<Response>> + Send {
    let span = AttemptSpan::begin(provider.name(), &request);
    let sent = provider.send(request);
    async move {
        match span {
            None => until_committed(sent).await,
            Some(span) => Box::pin(traced(span, sent)).await,
        }
    }
}

type Sent<'a> = Pin<Box<dyn Future<Output = Result<Response>> + Send + 'a>>;

async fn traced(span: AttemptSpan, sent: Sent<'_>) -> Result<Response> {
    let outcome = until_committed(sent).instrument(span.span()).await;
    span.end(&outcome);
    outcome
}

async fn until_committed(sent: Sent<'_>) -> Result<Response> {
    let response = sent.await?;
    match response.body {
        Body::Events(_) => Box::pin(first_content(response)).await,
        _ => Ok(response),
    }
}

async fn first_content(Response { head, body }: Response) -> Result<Response> {
    // The head stays out here, so a stream that fails before its first content can still say whose it was.
    match committed(Response::new(body)).await {
        Ok(Response { body, .. }) => Ok(Response { head, body }),
        Err(error) => Err(head.blame(error).with_failures(head.failures)),
    }
}

/// Writes down the tries that ended in this error: those of layers inside, which the error knows, and the last.
pub(crate) fn record(request: &Request, failures: &mut Vec<Attempt>, error: &Error, took: Duration) {
    let last = Attempt::of(error, last_of(error.failures(), took));
    if let Some(tried) = request.extensions.get::<Tried>() {
        tried.push(&last);
    }
    failures.extend_from_slice(error.failures());
    failures.push(last);
}

/// What is left for the last of all tries, which took so long, after those before it.
pub(crate) fn last_of(earlier: &[Attempt], took: Duration) -> Duration {
    took.saturating_sub(earlier.iter().map(|failed| failed.duration).sum())
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
