//! One try: how far it goes before it counts as answered, and how a failed one is written down.

use std::time::Duration;

use modelswitch_provider::{Attempt, Error, Provider, Request, Response, Result, committed};
use tokio::time::Instant;
use tracing::{Instrument, Span, field};

use crate::genai;
use crate::log::TARGET;
use crate::observe::{seconds, shown};
use crate::trace::OTEL_STATUS;

/// Asks a provider, and waits for the first content of its answer.
pub(crate) async fn send_until_committed(provider: &dyn Provider, request: Request) -> Result<Response> {
    let Some(tried) = Tried::begin(provider.name(), &request) else {
        return until_committed(provider, request).await;
    };
    let outcome = until_committed(provider, request).instrument(tried.span.clone()).await;
    tried.end(&outcome);
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

/// In a request's extensions: its call is a span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traced;

/// The span of a try. One that is dropped before it has ended was cancelled.
struct Tried {
    span: Span,
    started: Instant,
    ended: bool,
}

impl Tried {
    /// `None` where the call is no span.
    fn begin(provider: &str, request: &Request) -> Option<Self> {
        request.extensions.get::<Traced>()?;
        let span = tracing::info_span!(
            target: TARGET,
            "attempt",
            { OTEL_STATUS } = field::Empty,
            { genai::PROVIDER_NAME } = provider,
            { genai::REQUEST_MODEL } = request.model().map(|model| shown(&model)),
            { genai::OUTCOME } = field::Empty,
            { genai::ERROR_TYPE } = field::Empty,
            { genai::HTTP_STATUS_CODE } = field::Empty,
            { genai::REQUEST_ID } = field::Empty,
            { genai::SERVER_ADDRESS } = field::Empty,
            { genai::SERVER_PORT } = field::Empty,
            { genai::ATTEMPT_DURATION } = field::Empty,
        );
        Some(Self { span, started: Instant::now(), ended: false })
    }

    fn end(mut self, outcome: &Result<Response>) {
        self.ended = true;
        match outcome {
            Ok(Response { head, .. }) => {
                self.span.record(genai::OUTCOME, "ok");
                self.span.record(genai::HTTP_STATUS_CODE, head.status.as_u16());
                self.span.record(genai::REQUEST_ID, head.request_id.as_deref().map(shown));
            }
            Err(error) => {
                self.span.record(genai::OUTCOME, "error");
                self.span.record(OTEL_STATUS, "ERROR");
                self.span.record(genai::ERROR_TYPE, error.kind().as_str());
                self.span.record(genai::HTTP_STATUS_CODE, error.status().map(|status| status.as_u16()));
                self.span.record(genai::REQUEST_ID, error.request_id().map(shown));
            }
        }
    }
}

impl Drop for Tried {
    fn drop(&mut self) {
        if !self.ended {
            self.span.record(genai::OUTCOME, "cancelled");
        }
        self.span.record(genai::ATTEMPT_DURATION, seconds(self.started.elapsed()));
    }
}

/// Writes down the tries that ended in this error: those of layers inside, which the error knows, and the last.
pub(crate) fn record(failures: &mut Vec<Attempt>, error: &Error, took: Duration) {
    let earlier = error.failures().iter().map(|failed| failed.duration).sum();
    failures.extend_from_slice(error.failures());
    failures.push(Attempt::of(error, took.saturating_sub(earlier)));
}
