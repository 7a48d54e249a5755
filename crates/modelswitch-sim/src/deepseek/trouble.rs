//! Failures with the bodies that the service is known to send, and answers that end badly.

use http::StatusCode;
use serde_json::{Value, json};

use super::check;
use crate::answer::{Answer, Ending, Piece};
use crate::ask::Ask;
use crate::mode::Mode;
use crate::state::Shared;

/// An answer that is no answer: what went wrong, for whichever API writes it.
pub(super) struct Failure {
    pub(super) status: StatusCode,
    kind: &'static str,
    code: &'static str,
    pub(super) message: String,
}

impl Failure {
    /// What the service says with a status.
    pub(super) fn of(status: u16) -> Self {
        let (kind, message) = match status {
            402 => ("unknown_error", "Insufficient Balance"),
            422 => ("invalid_request_error", "[simulated] Invalid Parameters"),
            429 => return Self::too_many(26, 25),
            503 => return Self::busy(),
            500.. => ("server_error", "[simulated] The server had an error"),
            _ => ("invalid_request_error", "[simulated] The request was refused"),
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, kind, code: "invalid_request_error", message: message.to_owned() }
    }

    /// The limit shrinks with the balance, and its text alone shows it.
    pub(super) fn too_many(current: usize, limit: usize) -> Self {
        Self::rate(format!(
            "Too many requests. Your current concurrency is {current}, which exceeds your concurrency limit of {limit} \
             based on your remaining balance. Please top up your balance to restore your concurrency."
        ))
    }

    fn rate(message: String) -> Self {
        let (status, kind) = (StatusCode::TOO_MANY_REQUESTS, "rate_limit_error");
        Self { status, kind, code: "invalid_request_error", message }
    }

    /// The only failure whose code says something.
    fn busy() -> Self {
        let message = "Service is too busy. We advise users to temporarily switch to alternative LLM API service \
                       providers.";
        let kind = "service_unavailable_error";
        Self { status: StatusCode::SERVICE_UNAVAILABLE, kind, code: kind, message: message.to_owned() }
    }

    fn envelope(&self) -> Value {
        json!({"error": {"message": self.message, "type": self.kind, "param": null, "code": self.code}})
    }

    pub(super) fn answer(&self) -> Answer {
        Answer::json(self.status, &self.envelope())
    }
}

/// DeepSeek's error envelope; its code says nothing, whatever the status.
pub(super) fn error(status: StatusCode, kind: &'static str, message: &str) -> Answer {
    Failure { status, kind, code: "invalid_request_error", message: message.to_owned() }.answer()
}

/// What a tag in the message asks for instead of an answer: a failure or a refusal.
pub(super) fn troubled(ask: &Ask) -> Option<Result<Failure, check::Refusal>> {
    match ask.mode? {
        Mode::Status(status) => Some(Ok(Failure::of(status))),
        Mode::TokensPerMinute => Some(Ok(Failure::rate("Rate limit reached for TPM".to_owned()))),
        Mode::Risk => Some(Err(check::Refusal::octets("Content Exists Risk"))),
        Mode::Context => Some(Err(check::too_long(ask.prompt.tokens.max(1_250_025), 0))),
        Mode::Cut | Mode::Stall | Mode::Resource | Mode::Aborted | Mode::ErrorInStream => None,
        Mode::Long | Mode::Empty | Mode::Blank | Mode::BadJson | Mode::NotJson => None,
    }
}

/// [`troubled`] in the form of chat, completions and responses.
pub(super) fn trouble(ask: &Ask) -> Option<Answer> {
    Some(match troubled(ask)? {
        Ok(failure) => failure.answer(),
        Err(refusal) => refusal.answer(),
    })
}

/// A finished stream or body with the ending that was asked for.
pub(super) fn ended(answer: Answer, mode: Option<Mode>) -> Answer {
    match mode {
        Some(Mode::Cut) => answer.stopped_inside(Ending::Cut),
        Some(Mode::Stall) => answer.stopped_inside(Ending::Stall),
        _ => answer,
    }
}

/// A stream with the keep-alives and troubles of this simulator around its events. `broken` is the event
/// that ends it when an error is asked for.
pub(super) fn stream_with(
    shared: &Shared,
    mut events: Vec<Piece>,
    mode: Option<Mode>,
    broken: fn(&Failure) -> Piece,
) -> Answer {
    let settings = &shared.settings;
    match mode {
        Some(Mode::ErrorInStream) => {
            events.truncate((events.len() / 2).clamp(1, 5));
            events.push(broken(&Failure::busy()));
        }
        Some(Mode::Blank) => events = vec![Piece::keep_alive()],
        _ => {}
    }
    let mut pieces: Vec<Piece> =
        std::iter::repeat_with(Piece::keep_alive).take(settings.keep_alives).collect();
    for (index, event) in events.into_iter().enumerate() {
        pieces.push(event);
        if settings.keep_alives > 0 && index % 10 == 0 {
            pieces.push(Piece::keep_alive());
        }
    }
    ended(Answer::events(pieces, settings.chunk_delay), mode)
}

/// [`stream_with`] with the service's own error envelope.
pub(super) fn stream(shared: &Shared, events: Vec<Piece>, mode: Option<Mode>) -> Answer {
    stream_with(shared, events, mode, |failure| Piece::event(&failure.envelope()))
}

/// A JSON body behind the blank lines that keep the connection alive.
pub(super) fn whole<T: serde::Serialize>(shared: &Shared, value: &T, mode: Option<Mode>) -> Answer {
    if mode == Some(Mode::ErrorInStream) {
        return Failure::busy().answer();
    }
    let settings = &shared.settings;
    let mut answer = Answer::json(StatusCode::OK, value);
    if mode == Some(Mode::Blank) {
        answer.pieces = vec![Piece::Other("\n\n\n".into())];
    }
    let blank = || Piece::Other("\n".into());
    answer.pieces.splice(0..0, std::iter::repeat_with(blank).take(settings.keep_alives));
    answer.delivery.pace = Some(settings.chunk_delay);
    ended(answer, mode)
}
