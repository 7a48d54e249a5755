//! What the end of a call says of the target's health.

use std::time::Duration;

use modelswitch_provider::{Error, ErrorKind};

/// How a call ended, as far as the target had a part in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    Good,
    Fault {
        kind: ErrorKind,
        rest: Option<Duration>,
    },
    /// It was dropped, since another target was asked beside it and had an answer.
    Outrun,
    /// It tells nothing of the target.
    Unclear,
}

impl Outcome {
    pub(crate) fn of(error: &Error) -> Self {
        match error.kind() {
            kind @ (ErrorKind::RateLimited | ErrorKind::Overloaded) => {
                Self::Fault { kind, rest: error.retry_after().filter(|wait| !wait.is_zero()) }
            }
            kind @ (ErrorKind::Authentication
            | ErrorKind::InsufficientBalance
            | ErrorKind::Upstream
            | ErrorKind::Timeout
            | ErrorKind::Connection
            | ErrorKind::Interrupted
            | ErrorKind::Decode) => Self::Fault { kind, rest: None },
            // Whoever answers so is there.
            ErrorKind::InvalidRequest
            | ErrorKind::ContextLength
            | ErrorKind::ContentFiltered
            | ErrorKind::ModelNotFound
            | ErrorKind::Unsupported
                if error.status().is_some() =>
            {
                Self::Good
            }
            ErrorKind::InvalidRequest
            | ErrorKind::ContextLength
            | ErrorKind::ContentFiltered
            | ErrorKind::ModelNotFound
            | ErrorKind::Unsupported
            | ErrorKind::Rejected
            | ErrorKind::Config => Self::Unclear,
        }
    }
}
