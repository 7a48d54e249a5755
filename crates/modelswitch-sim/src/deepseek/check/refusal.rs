//! A 400, its words, and the form in which each endpoint writes it.

use http::StatusCode;
use http::header::CONTENT_TYPE;

use crate::answer::Answer;
use crate::recorded::Recorded;

/// A 400 and its words.
#[derive(Debug)]
pub(in crate::deepseek) struct Refusal {
    pub(in crate::deepseek) message: String,
    content_type: &'static str,
}

impl Refusal {
    /// What the model service refuses comes without a useful content type.
    pub(in crate::deepseek) fn octets(message: impl Into<String>) -> Self {
        Self { message: message.into(), content_type: "application/octet-stream" }
    }

    /// A rule that is known, in words that are not.
    pub(in crate::deepseek) fn simulated(message: impl std::fmt::Display) -> Self {
        Self::octets(format!("[simulated] {message}"))
    }

    /// What the front door could not read comes as JSON.
    pub(super) fn unreadable(what: &str, place: &Place<'_>) -> Self {
        let message =
            format!("Failed to deserialize the JSON body into the target type: {what}{}", place.text());
        Self { message, content_type: "application/json" }
    }

    /// A body that is no JSON at all.
    pub(super) fn unparsed(error: &serde_json::Error) -> Self {
        let message = format!("Failed to parse the request body as JSON: {error}");
        Self { message, content_type: "application/json" }
    }

    pub(in crate::deepseek) fn no_model(asked: &str) -> Self {
        Self::octets(format!(
            "The supported API model names are deepseek-v4-pro or deepseek-v4-flash, but you passed {asked}."
        ))
    }

    pub(in crate::deepseek) fn schema(function: &str, what: impl std::fmt::Display) -> Self {
        Self::octets(format!("Invalid schema for function '{function}': {what}"))
    }

    pub(in crate::deepseek) fn answer(&self) -> Answer {
        crate::deepseek::error(StatusCode::BAD_REQUEST, "invalid_request_error", &self.message)
            .with(CONTENT_TYPE, self.content_type)
    }
}

/// Where in the body the reader stumbled: behind a word of it.
pub(super) struct Place<'a> {
    body: &'a [u8],
    word: &'a str,
}

impl<'a> Place<'a> {
    pub(super) const NOWHERE: Place<'static> = Place { body: &[], word: "" };

    pub(super) fn behind(request: &'a Recorded, word: &'a str) -> Self {
        Self { body: &request.body, word }
    }

    fn text(&self) -> String {
        let quoted = format!("\"{}\"", self.word);
        let Some(at) = memchr::memmem::find(self.body, quoted.as_bytes()) else { return String::new() };
        let before = self.body.get(..at + quoted.len()).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count();
        format!(" at line {line} column {column}")
    }
}
