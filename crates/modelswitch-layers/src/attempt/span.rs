//! The span of one try.

use modelswitch_provider::{Request, Response, Result};
use tokio::time::Instant;
use tracing::{Span, field};

use crate::genai;
use crate::log::TARGET;
use crate::observe::{seconds, shown};
use crate::trace::OTEL_STATUS;

/// In a request's extensions: its call is a span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traced;

/// The span of a try. One that is dropped before it has ended was cancelled.
pub(super) struct AttemptSpan {
    span: Span,
    started: Instant,
    ended: bool,
}

impl AttemptSpan {
    /// `None` where the call is no span.
    pub(super) fn begin(provider: &str, request: &Request) -> Option<Self> {
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

    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    pub(super) fn end(mut self, outcome: &Result<Response>) {
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

impl Drop for AttemptSpan {
    fn drop(&mut self) {
        if !self.ended {
            self.span.record(genai::OUTCOME, "cancelled");
        }
        self.span.record(genai::ATTEMPT_DURATION, seconds(self.started.elapsed()));
    }
}
