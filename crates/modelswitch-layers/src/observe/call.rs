//! What is known of a call, and who is told at its end.

use std::time::Duration;

use modelswitch_provider::{Error, Event, Head, Request};
use tokio::time::Instant;
use tracing::{Level, Span};

use super::Observe;
use super::content::Conversation;
use super::told::{Told, shown};
use crate::log::{CONTENT, TARGET};
use crate::{CacheStatus, genai};

/// A call that goes on. Whoever wants to know is told when it is dropped, so it rides in the stream of an answer.
pub(crate) struct Call {
    tellers: Observe,
    pub(crate) span: Span,
    /// Where the line belongs: the caller's own.
    pub(crate) outside: Span,
    pub(crate) started: Instant,
    pub(crate) first: Option<Duration>,
    pub(crate) operation: &'static str,
    pub(crate) asked: Option<String>,
    pub(crate) streamed: bool,
    pub(crate) provider: String,
    pub(crate) model: Option<String>,
    pub(crate) status: Option<u16>,
    pub(crate) request_id: Option<String>,
    pub(crate) attempts: u32,
    pub(crate) adaptations: usize,
    /// Whether the answer was there before it was asked for.
    pub(crate) is_cached: bool,
    /// What the answer tells; `None` when only failures are listened to.
    pub(crate) told: Option<Told>,
    conversation: Option<Conversation>,
    pub(crate) outcome: Outcome,
}

/// How a call ended.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Outcome {
    Open,
    Ok,
    Error(&'static str),
}

impl Call {
    /// `None` while nobody listens.
    pub(super) fn begin(tellers: Observe, provider: &str, request: &Request) -> Option<Box<Self>> {
        let Observe { trace, log, metrics } = tellers;
        let has_line = log.is_some() && tracing::enabled!(target: TARGET, Level::WARN);
        let has_span = trace.is_some() && tracing::span_enabled!(target: TARGET, Level::INFO);
        if !has_line && !has_span && metrics.is_none() {
            return None;
        }
        let operation = operation(request);
        let asked = request.model().map(|model| shown(&model));
        let opened = trace.filter(|_| has_span).map(|trace| trace.open(operation, asked.as_deref(), request));
        let span = opened.unwrap_or_else(Span::none);
        let hears =
            has_span || metrics.is_some() || (has_line && tracing::enabled!(target: TARGET, Level::INFO));
        let content = trace.is_some_and(|trace| trace.content && !span.is_disabled())
            || log.is_some_and(|log| log.content && tracing::enabled!(target: CONTENT, Level::DEBUG));
        Some(Box::new(Self {
            tellers,
            outside: Span::current(),
            span,
            started: Instant::now(),
            first: None,
            operation,
            asked,
            streamed: request.is_stream(),
            provider: provider.to_owned(),
            model: None,
            status: None,
            request_id: None,
            attempts: 0,
            adaptations: 0,
            is_cached: false,
            told: (hears && speaks(operation)).then(Told::default),
            conversation: content.then(|| Conversation::begin(request)),
            outcome: Outcome::Open,
        }))
    }

    pub(super) fn take_head(&mut self, head: &Head) {
        if let Some(provider) = &head.provider {
            self.provider = provider.to_string();
        }
        self.model = head.model.as_deref().map(shown);
        self.status = Some(head.status.as_u16());
        self.request_id = head.request_id.as_deref().map(shown);
        self.attempts = head.attempts();
        self.adaptations = head.adaptations.len();
        self.is_cached = matches!(head.extensions.get(), Some(CacheStatus::Hit { .. }));
    }

    pub(super) fn fail(&mut self, error: &Error) {
        self.outcome = Outcome::Error(error.kind().as_str());
        if let Some(provider) = error.provider() {
            self.provider = provider.to_owned();
        }
        self.model = error.model().map(shown).or(self.model.take());
        self.request_id = error.request_id().map(shown).or(self.request_id.take());
        self.status = error.status().map(|status| status.as_u16()).or(self.status);
        self.attempts = self.attempts.max(error.attempts());
    }

    pub(super) fn hear_whole(&mut self, json: &[u8]) {
        if let Some(told) = &mut self.told {
            told.hear(json);
        }
        if let Some(conversation) = &mut self.conversation {
            conversation.hear(json);
        }
    }

    pub(super) fn hear_event(&mut self, event: &Event) {
        if self.told.is_some() && self.first.is_none() && event.is_content() {
            self.first_is_here();
        }
        if let Some(told) = &mut self.told {
            told.hear_event(&event.data);
        }
        if let Some(conversation) = &mut self.conversation {
            conversation.hear_event(event);
        }
    }

    pub(super) fn first_is_here(&mut self) {
        self.first.get_or_insert_with(|| self.started.elapsed());
    }

    /// The model that was asked of the provider, or the one that the app asked for where none was chosen.
    pub(crate) fn requested(&self) -> Option<&str> {
        self.model.as_deref().or(self.asked.as_deref())
    }

    /// What the app asked for, where it is another name.
    pub(crate) fn asked_otherwise(&self) -> Option<&str> {
        self.asked.as_deref().filter(|asked| Some(*asked) != self.requested())
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.outcome == Outcome::Open && self.told.as_ref().is_some_and(Told::is_finished) {
            self.outcome = Outcome::Ok;
        }
        let messages = self.conversation.take().map(Conversation::finish);
        let nothing = Told::default();
        let told = self.told.as_ref().unwrap_or(&nothing);
        let Observe { trace, log, metrics } = self.tellers;
        if let Some(trace) = trace {
            trace.fill_in(self, told, messages.as_ref());
        }
        if let Some(log) = log {
            log.write(self, told, messages.as_ref());
        }
        if let Some(metrics) = metrics {
            metrics.record(self, told);
        }
    }
}

impl Outcome {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "cancelled",
            Self::Ok => "ok",
            Self::Error(_) => "error",
        }
    }

    pub(crate) fn error(self) -> Option<&'static str> {
        match self {
            Self::Error(kind) => Some(kind),
            Self::Open | Self::Ok => None,
        }
    }
}

/// What the conventions call an endpoint. Others by the first part of their path, where it is one of OpenAI's: a path may
/// hold anything.
fn operation(request: &Request) -> &'static str {
    const FAMILIES: [&str; 9] =
        ["models", "files", "batches", "moderations", "audio", "images", "fine_tuning", "uploads", "user"];
    let path = request.endpoint.path();
    match path {
        "/chat/completions" | "/responses" => genai::CHAT,
        "/completions" => genai::TEXT_COMPLETION,
        "/embeddings" => genai::EMBEDDINGS,
        _ if path.ends_with("/messages") && request.document().is_some() => genai::CHAT,
        _ => {
            let first = path.split('/').nth(1).unwrap_or_default();
            FAMILIES.into_iter().find(|family| *family == first).unwrap_or("other")
        }
    }
}

/// True for operations whose answer tells a model, tokens and an end.
fn speaks(operation: &str) -> bool {
    matches!(operation, genai::CHAT | genai::TEXT_COMPLETION | genai::EMBEDDINGS)
}

/// To the millisecond: nobody reads more.
pub(crate) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}
