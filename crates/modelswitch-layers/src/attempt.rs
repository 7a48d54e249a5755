//! One try: how far it goes before it counts as answered, and how a failed one is written down.

use std::time::Duration;

use modelswitch_provider::{Attempt, Error, Provider, Request, Response, Result, committed};

/// Asks a provider, and waits for the first content of its answer.
pub(crate) async fn send_until_committed(provider: &dyn Provider, request: Request) -> Result<Response> {
    let Response { head, body } = provider.send(request).await?;
    // The head stays out here, so a stream that fails before its first content can still say whose it was.
    match committed(Response::new(body)).await {
        Ok(Response { body, .. }) => Ok(Response { head, body }),
        Err(error) => Err(head.blame(error).with_failures(head.failures)),
    }
}

/// Writes down the tries that ended in this error: those of layers inside, which the error knows, and the last.
pub(crate) fn record(failures: &mut Vec<Attempt>, error: &Error, took: Duration) {
    let earlier = error.failures().iter().map(|failed| failed.duration).sum();
    failures.extend_from_slice(error.failures());
    failures.push(Attempt::of(error, took.saturating_sub(earlier)));
}
