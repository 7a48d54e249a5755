//! How a layer says that it refused a call.

use std::time::Duration;

use modelswitch_provider::{Error, ErrorKind};

/// The code of a [`Breaker`](crate::Breaker)'s refusal.
pub(crate) const BREAKER_OPEN: &str = "breaker_open";

/// A call that a layer refused: nothing was sent. The code tells which layer it was, the wait when it may go well.
pub(crate) fn refused(
    provider: &str,
    code: &str,
    message: impl Into<String>,
    retry_after: Option<Duration>,
) -> Error {
    let error = Error::new(ErrorKind::Rejected, message).with_provider(provider).with_code(code);
    match retry_after {
        Some(wait) => error.with_retry_after(wait),
        None => error,
    }
}
