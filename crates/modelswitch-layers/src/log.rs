use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{Stream, StreamExt};
use modelswitch_provider::{
    Body, ByteStream, Error, Event, EventStream, Head, Provider, Request, Response, Result, UsageWatch,
};
use tokio::time::Instant;
use tracing::{Instrument, Level, Span, field};

use self::content::Conversation;
use self::told::Told;
pub(crate) use self::told::shown;
use crate::layer::Wrapped;
use crate::usage::hide;
use crate::{Layer, genai};

mod content;

pub(crate) mod told;

/// Tells what became of each call, in one line when it has ended: after the last event of a stream, when it fails, or when
/// whoever reads it has had enough.
///
/// The line is an event of [`tracing`] under the target `modelswitch::call`: at `INFO`, and at `WARN` when the call
/// failed. Its fields have OpenTelemetry's names ([`genai`]); what isn't known is left out.
///
/// | field | says |
/// |---|---|
/// | `modelswitch.outcome` | `ok`, `error`, or `cancelled`: dropped before it had ended |
/// | `gen_ai.operation.name` | `chat`, `text_completion`, `embeddings`, or the endpoint: `models`, `files`, … |
/// | `gen_ai.provider.name` | who answered or failed, by its name in the configuration |
/// | `gen_ai.request.model` | the model that the provider was asked for |
/// | `modelswitch.asked_model` | what the app asked for, where it is another name: an alias |
/// | `gen_ai.request.stream` | whether a stream was wanted |
/// | `gen_ai.client.operation.duration` | seconds from the request to the end |
/// | `gen_ai.response.time_to_first_chunk` | seconds to the first content of a stream |
/// | `http.response.status_code`, `error.type` | the status, and the kind of the error |
/// | `gen_ai.response.model`, `gen_ai.response.id`, `modelswitch.request_id` | as the service says |
/// | `gen_ai.response.finish_reasons` | why it ended, one for each choice |
/// | `gen_ai.usage.input_tokens`, `….output_tokens` | what it took |
/// | `gen_ai.usage.cache_read.input_tokens`, `….reasoning.output_tokens` | what of it was cached, and thought |
/// | `modelswitch.attempts`, `modelswitch.adaptations` | how many tries and changes it took |
///
/// A span of the same target and fields, named `call`, goes around it, also with the highest number of tokens and the
/// temperature that were asked for. What layers and adapters say meanwhile (each try that failed, each adaptation, at
/// `DEBUG`) is inside of it, and tracing-opentelemetry makes it a span of the kind `client`. The line itself stands
/// outside, in the caller's span, so that a formatter doesn't write all fields twice.
///
/// The sentence of an error isn't in the line: it is a service's own, and those repeat what users write. The caller has it.
/// Nor is anything else of the content, unless [`with_content`](Self::with_content) asks for it.
///
/// It belongs on top of a stack, and around a router rather than in it: then it is one line a call, however many tries and
/// providers it takes. While nobody listens it costs a look at a static variable; while somebody does, a stream's events
/// are searched for what belongs in the line, and only those that have it are parsed.
///
/// A reader who drops a stream after it said why it ended, but before its last event, has it all: the outcome is `ok`.
///
/// ```
/// use modelswitch_layers::{Log, Retry, Stack};
/// use modelswitch_provider::ProviderExt;
/// use modelswitch_provider::mock::MockProvider;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let llm = Stack::new().layer(Log::new()).layer(Retry::new()).over(MockProvider::reply("Yes."));
/// assert_eq!(llm.ask("Is water wet?").await?, "Yes.");
/// // INFO modelswitch::call: call ended modelswitch.outcome="ok" gen_ai.operation.name="chat" …
/// # Ok::<(), modelswitch_provider::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Log {
    content: bool,
    usage: bool,
}

impl Log {
    /// One line a call, and nothing of what is asked and answered.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes what is asked and answered too: one more event a call, at `DEBUG` under the target `modelswitch::content`,
    /// with the fields `gen_ai.input.messages` and `gen_ai.output.messages` in the conventions' JSON.
    ///
    /// Long texts are cut at 8 KiB, and of a long conversation the last 64 KiB are written; images, audio and files are
    /// named and not copied. Headers are not in it, so no key that this program sends is; what looks like a key in a text
    /// (`sk-…` and the like) is struck out. Everything else that users wrote is there for all to read who read the log.
    ///
    /// ```
    /// use modelswitch_layers::Log;
    ///
    /// let log = Log::new().with_content(cfg!(debug_assertions));
    /// # let _ = log;
    /// ```
    #[must_use]
    pub fn with_content(mut self, on: bool) -> Self {
        self.content = on;
        self
    }
}

impl Log {
    /// Asks for the usage of every stream, so that the tokens of streams are in the line too where the app didn't ask for them.
    /// It is one more parameter in the request (`stream_options`), and the app doesn't see what came of it.
    ///
    /// ```
    /// use modelswitch_layers::Log;
    ///
    /// let log = Log::new().with_usage(true);
    /// # let _ = log;
    /// ```
    #[must_use]
    pub fn with_usage(mut self, on: bool) -> Self {
        self.usage = on;
        self
    }
}

impl Layer for Log {
    fn wrap(&self, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
        Arc::new(Wrapped { layer: *self, inner })
    }
}

/// Of the line and the span. A constant of its own, so that a filter can name them apart from everything else.
const TARGET: &str = "modelswitch::call";
/// Of what is asked and answered.
const CONTENT: &str = "modelswitch::content";

#[async_trait]
impl Provider for Wrapped<Log> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn send(&self, mut request: Request) -> Result<Response> {
        if !tracing::enabled!(target: TARGET, Level::WARN) {
            return self.inner.send(request).await;
        }
        let is_told = tracing::enabled!(target: TARGET, Level::INFO);
        let usage = (self.layer.usage && is_told).then(|| UsageWatch::ask(&mut request));
        let mut call = Box::new(Call::begin(self.layer, self.name(), &request));
        let span = call.span.clone();
        match self.inner.send(request).instrument(span).await {
            Ok(response) => {
                // Heard before it is hidden.
                Ok(hide(usage, call.watch(response)))
            }
            Err(error) => {
                call.fail(&error);
                Err(error)
            }
        }
    }
}

/// A call that goes on. It tells what became of it when it is dropped, so it rides in the stream of an answer.
struct Call {
    span: Span,
    /// Where the line belongs: the caller's own.
    outside: Span,
    started: Instant,
    first: Option<Duration>,
    operation: &'static str,
    asked: Option<String>,
    streamed: bool,
    provider: String,
    model: Option<String>,
    status: Option<u16>,
    request_id: Option<String>,
    attempts: u32,
    adaptations: usize,
    /// What the answer tells; `None` when only failures are listened to.
    told: Option<Told>,
    conversation: Option<Conversation>,
    outcome: Outcome,
}

#[derive(Clone, Copy, PartialEq)]
enum Outcome {
    Open,
    Ok,
    Error(&'static str),
}

impl Call {
    fn begin(layer: Log, provider: &str, request: &Request) -> Self {
        let operation = operation(request);
        let is_told = tracing::enabled!(target: TARGET, Level::INFO);
        let content = layer.content && tracing::enabled!(target: CONTENT, Level::DEBUG);
        Self {
            outside: Span::current(),
            span: span(operation, request),
            started: Instant::now(),
            first: None,
            operation,
            asked: request.model().map(|model| shown(&model)),
            streamed: request.is_stream(),
            provider: provider.to_owned(),
            model: None,
            status: None,
            request_id: None,
            attempts: 0,
            adaptations: 0,
            told: (is_told && speaks(operation)).then(Told::default),
            conversation: content.then(|| Conversation::begin(request)),
            outcome: Outcome::Open,
        }
    }

    /// Follows an answer to its end.
    fn watch(mut self: Box<Self>, response: Response) -> Response {
        let Response { head, body } = response;
        self.take_head(&head);
        let body = match body {
            Body::Json(json) => {
                self.hear_whole(&json);
                self.outcome = Outcome::Ok;
                Body::Json(json)
            }
            Body::Events(events) => {
                let heard = |call: &mut Call, event: &Event| call.hear_event(event);
                Body::Events(EventStream::new(Watched { items: events, heard, call: Some(self) }))
            }
            Body::Other(bytes) => {
                let heard = |call: &mut Call, _: &_| call.first_is_here();
                Body::Other(ByteStream::new(Watched { items: bytes, heard, call: Some(self) }))
            }
            // A kind of body that isn't known yet ends somewhere else.
            other => {
                self.outcome = Outcome::Ok;
                other
            }
        };
        Response { head, body }
    }

    fn take_head(&mut self, head: &Head) {
        if let Some(provider) = &head.provider {
            self.provider = provider.to_string();
        }
        self.model = head.model.as_deref().map(shown);
        self.status = Some(head.status.as_u16());
        self.request_id = head.request_id.as_deref().map(shown);
        self.attempts = head.attempts();
        self.adaptations = head.adaptations.len();
    }

    fn fail(&mut self, error: &Error) {
        self.outcome = Outcome::Error(error.kind().as_str());
        if let Some(provider) = error.provider() {
            self.provider = provider.to_owned();
        }
        self.model = error.model().map(shown).or(self.model.take());
        self.request_id = error.request_id().map(shown).or(self.request_id.take());
        self.status = error.status().map(|status| status.as_u16()).or(self.status);
        self.attempts = self.attempts.max(error.attempts());
    }

    fn hear_whole(&mut self, json: &[u8]) {
        if let Some(told) = &mut self.told {
            told.hear(json);
        }
        if let Some(conversation) = &mut self.conversation {
            conversation.hear(json);
        }
    }

    fn hear_event(&mut self, event: &Event) {
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

    fn first_is_here(&mut self) {
        self.first.get_or_insert_with(|| self.started.elapsed());
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.outcome == Outcome::Open && self.told.as_ref().is_some_and(Told::is_finished) {
            self.outcome = Outcome::Ok;
        }
        if let Some(conversation) = self.conversation.take() {
            conversation.write(&self.span);
        }
        self.write();
    }
}

/// A field that isn't known is left out.
macro_rules! line {
    ($level:expr, $call:expr, $told:expr, $message:literal) => {
        tracing::event!(
            target: TARGET,
            parent: &$call.outside,
            $level,
            { genai::OUTCOME } = $call.outcome.as_str(),
            { genai::ERROR_TYPE } = $call.outcome.error(),
            { genai::OPERATION_NAME } = $call.operation,
            { genai::PROVIDER_NAME } = $call.provider.as_str(),
            { genai::REQUEST_MODEL } = $call.requested(),
            { genai::ASKED_MODEL } = $call.asked_otherwise(),
            { genai::REQUEST_STREAM } = $call.streamed,
            { genai::OPERATION_DURATION } = seconds($call.started.elapsed()),
            { genai::RESPONSE_TIME_TO_FIRST_CHUNK } = $call.first.map(seconds),
            { genai::HTTP_STATUS_CODE } = $call.status,
            { genai::RESPONSE_MODEL } = $told.model.as_deref(),
            { genai::RESPONSE_ID } = $told.id.as_deref(),
            { genai::REQUEST_ID } = $call.request_id.as_deref(),
            { genai::RESPONSE_FINISH_REASONS } = $told.finish_reasons.as_deref(),
            { genai::USAGE_INPUT_TOKENS } = $told.input,
            { genai::USAGE_OUTPUT_TOKENS } = $told.output,
            { genai::USAGE_CACHE_READ_INPUT_TOKENS } = $told.cached,
            { genai::USAGE_REASONING_OUTPUT_TOKENS } = $told.reasoning,
            { genai::ATTEMPTS } = $call.attempts,
            { genai::ADAPTATIONS } = $call.adaptations,
            $message
        )
    };
}

impl Call {
    fn write(&self) {
        let nothing = Told::default();
        let told = self.told.as_ref().unwrap_or(&nothing);
        self.fill_in(told);
        match self.outcome {
            Outcome::Ok | Outcome::Open => line!(Level::INFO, self, told, "call ended"),
            Outcome::Error(_) => line!(Level::WARN, self, told, "call failed"),
        }
    }

    /// Puts into the span what has become known.
    fn fill_in(&self, told: &Told) {
        let span = &self.span;
        if span.is_disabled() {
            return;
        }
        let name = format!("{} {}", self.operation, self.requested().unwrap_or_default());
        span.record(OTEL_NAME, name.trim_end());
        span.record(genai::OUTCOME, self.outcome.as_str());
        span.record(genai::ERROR_TYPE, self.outcome.error());
        span.record(OTEL_STATUS, self.outcome.error().map(|_| "ERROR"));
        span.record(genai::PROVIDER_NAME, self.provider.as_str());
        span.record(genai::REQUEST_MODEL, self.requested());
        span.record(genai::ASKED_MODEL, self.asked_otherwise());
        span.record(genai::OPERATION_DURATION, seconds(self.started.elapsed()));
        span.record(genai::RESPONSE_TIME_TO_FIRST_CHUNK, self.first.map(seconds));
        span.record(genai::HTTP_STATUS_CODE, self.status);
        span.record(genai::RESPONSE_MODEL, told.model.as_deref());
        span.record(genai::RESPONSE_ID, told.id.as_deref());
        span.record(genai::REQUEST_ID, self.request_id.as_deref());
        span.record(genai::RESPONSE_FINISH_REASONS, told.finish_reasons.as_deref());
        span.record(genai::USAGE_INPUT_TOKENS, told.input);
        span.record(genai::USAGE_OUTPUT_TOKENS, told.output);
        span.record(genai::USAGE_CACHE_READ_INPUT_TOKENS, told.cached);
        span.record(genai::USAGE_REASONING_OUTPUT_TOKENS, told.reasoning);
        span.record(genai::ATTEMPTS, self.attempts);
        span.record(genai::ADAPTATIONS, self.adaptations);
    }

    fn requested(&self) -> Option<&str> {
        self.model.as_deref().or(self.asked.as_deref())
    }

    fn asked_otherwise(&self) -> Option<&str> {
        self.asked.as_deref().filter(|asked| Some(*asked) != self.requested())
    }
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Open => "cancelled",
            Self::Ok => "ok",
            Self::Error(_) => "error",
        }
    }

    fn error(self) -> Option<&'static str> {
        match self {
            Self::Error(kind) => Some(kind),
            Self::Open | Self::Ok => None,
        }
    }
}

/// Names that tracing-opentelemetry takes for the span itself.
const OTEL_NAME: &str = "otel.name";
const OTEL_KIND: &str = "otel.kind";
const OTEL_STATUS: &str = "otel.status_code";

fn span(operation: &'static str, request: &Request) -> Span {
    let span = tracing::info_span!(
        target: TARGET,
        "call",
        { OTEL_NAME } = field::Empty,
        { OTEL_KIND } = "client",
        { OTEL_STATUS } = field::Empty,
        { genai::OUTCOME } = field::Empty,
        { genai::ERROR_TYPE } = field::Empty,
        { genai::OPERATION_NAME } = operation,
        { genai::PROVIDER_NAME } = field::Empty,
        { genai::REQUEST_MODEL } = field::Empty,
        { genai::ASKED_MODEL } = field::Empty,
        { genai::REQUEST_STREAM } = request.is_stream(),
        { genai::REQUEST_MAX_TOKENS } = field::Empty,
        { genai::REQUEST_TEMPERATURE } = field::Empty,
        { genai::OPERATION_DURATION } = field::Empty,
        { genai::RESPONSE_TIME_TO_FIRST_CHUNK } = field::Empty,
        { genai::HTTP_STATUS_CODE } = field::Empty,
        { genai::RESPONSE_MODEL } = field::Empty,
        { genai::RESPONSE_ID } = field::Empty,
        { genai::REQUEST_ID } = field::Empty,
        { genai::RESPONSE_FINISH_REASONS } = field::Empty,
        { genai::USAGE_INPUT_TOKENS } = field::Empty,
        { genai::USAGE_OUTPUT_TOKENS } = field::Empty,
        { genai::USAGE_CACHE_READ_INPUT_TOKENS } = field::Empty,
        { genai::USAGE_REASONING_OUTPUT_TOKENS } = field::Empty,
        { genai::ATTEMPTS } = field::Empty,
        { genai::ADAPTATIONS } = field::Empty,
    );
    if !span.is_disabled() {
        let number = |name: &str| request.document()?.get_raw(name)?.parse::<f64>().ok();
        let most = ["max_completion_tokens", "max_tokens", "max_output_tokens"].into_iter().find_map(number);
        span.record(genai::REQUEST_MAX_TOKENS, most);
        span.record(genai::REQUEST_TEMPERATURE, number("temperature"));
    }
    span
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
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

/// A stream that passes as it is, with the call that it belongs to.
struct Watched<S, F> {
    items: S,
    heard: F,
    call: Option<Box<Call>>,
}

impl<S, T, F> Stream for Watched<S, F>
where
    S: Stream<Item = Result<T>> + Unpin,
    F: Fn(&mut Call, &T) + Unpin,
{
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let span = this.call.as_ref().map_or_else(Span::none, |call| call.span.clone());
        let _inside = span.enter();
        let next = ready!(this.items.poll_next_unpin(cx));
        if let Some(call) = &mut this.call {
            match &next {
                Some(Ok(item)) => (this.heard)(call, item),
                Some(Err(error)) => call.fail(error),
                None => call.outcome = Outcome::Ok,
            }
        }
        // It is over, well or badly; the line need not wait until the stream is dropped.
        if !matches!(next, Some(Ok(_))) {
            this.call = None;
        }
        Poll::Ready(next)
    }
}
