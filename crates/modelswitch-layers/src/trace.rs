use modelswitch_provider::Request;
use tracing::{Span, field};

use crate::genai;
use crate::log::TARGET;
use crate::observe::{Call, Messages, Told, seconds};

/// Makes each call a span, from the request to the end of the answer: the last event of a stream, a failure, or the moment
/// at which whoever reads it has had enough.
///
/// It is a span of [`tracing`] named `call`, under the target `modelswitch::call` at `INFO`, with the attributes of
/// OpenTelemetry's conventions for generative AI ([`genai`]). An exporter such as tracing-opentelemetry
/// makes it a span of the kind `client`, named `chat deepseek-flash` after the operation and the model, in the state
/// `ERROR` if the call failed.
///
/// | field | says |
/// |---|---|
/// | those of [`Log`](crate::Log) | the same |
/// | `gen_ai.request.max_tokens`, `….temperature`, `….top_p`, `….seed` | what the app asked for, where it did |
/// | `server.address`, `server.port` | where the provider is, as far as the adapter tells and no attempt stands between |
/// | `gen_ai.input.messages`, `gen_ai.output.messages` | only [with content](Self::with_content) |
///
/// Inside of it each **attempt** is a span of its own, opened by [`Retry`](crate::Retry), [`Fallback`](crate::Fallback) and
/// [`Balance`](crate::Balance) from the request to the first content: named `attempt`, with provider, model, how it ended
/// (`modelswitch.outcome`, `error.type`, the status) and how long it took
/// (`modelswitch.attempt.duration`, in seconds). A target's attempt holds those that its own `Retry` makes; a hedge that lost
/// was `cancelled`. Whatever layers and adapters say meanwhile is inside, too.
///
/// It belongs on top of a stack, around a router. It never bites. While nobody listens it costs a look at a static variable;
/// while somebody does, a span a call and one an attempt, a search through each event of a stream, and a parsing of those that
/// tell something.
///
/// ```
/// use modelswitch_layers::{Retry, Stack, Trace};
/// use modelswitch_provider::ProviderExt;
/// use modelswitch_provider::mock::MockProvider;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let llm = Stack::new().layer(Trace::new()).layer(Retry::new()).over(MockProvider::reply("Yes."));
/// assert_eq!(llm.ask("Is water wet?").await?, "Yes.");
/// # Ok::<(), modelswitch_provider::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Trace {
    pub(crate) content: bool,
    pub(crate) usage: bool,
}

impl Trace {
    /// One span a call, and nothing of what is asked and answered.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts what is asked and answered on the span too, as `gen_ai.input.messages` and `gen_ai.output.messages` in the
    /// conventions' JSON, bounded and without keys as [`Log::with_content`](crate::Log::with_content) says. Whoever can look
    /// at the traces can read it.
    ///
    /// ```
    /// use modelswitch_layers::Trace;
    ///
    /// let trace = Trace::new().with_content(cfg!(debug_assertions));
    /// # let _ = trace;
    /// ```
    #[must_use]
    pub fn with_content(mut self, on: bool) -> Self {
        self.content = on;
        self
    }

    /// Asks for the usage of every stream, as [`Log::with_usage`](crate::Log::with_usage) does.
    #[must_use]
    pub fn with_usage(mut self, on: bool) -> Self {
        self.usage = on;
        self
    }

    pub(crate) fn open(self, operation: &'static str, asked: Option<&str>, request: &Request) -> Span {
        let span = tracing::info_span!(
            target: TARGET,
            "call",
            { OTEL_NAME } = name(operation, asked),
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
            { genai::REQUEST_TOP_P } = field::Empty,
            { genai::REQUEST_SEED } = field::Empty,
            { genai::OPERATION_DURATION } = field::Empty,
            { genai::RESPONSE_TIME_TO_FIRST_CHUNK } = field::Empty,
            { genai::HTTP_STATUS_CODE } = field::Empty,
            { genai::SERVER_ADDRESS } = field::Empty,
            { genai::SERVER_PORT } = field::Empty,
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
            { genai::INPUT_MESSAGES } = field::Empty,
            { genai::OUTPUT_MESSAGES } = field::Empty,
        );
        if !span.is_disabled() {
            take_parameters(&span, request);
        }
        span
    }

    /// Puts into the span what has become known.
    pub(crate) fn fill_in(self, call: &Call, told: &Told, messages: Option<&Messages>) {
        let span = &call.span;
        if span.is_disabled() {
            return;
        }
        span.record(OTEL_NAME, name(call.operation, call.requested()));
        span.record(genai::OUTCOME, call.outcome.as_str());
        span.record(genai::ERROR_TYPE, call.outcome.error());
        span.record(OTEL_STATUS, call.outcome.error().map(|_| "ERROR"));
        span.record(genai::PROVIDER_NAME, call.provider.as_str());
        span.record(genai::REQUEST_MODEL, call.requested());
        span.record(genai::ASKED_MODEL, call.asked_otherwise());
        span.record(genai::OPERATION_DURATION, seconds(call.started.elapsed()));
        span.record(genai::RESPONSE_TIME_TO_FIRST_CHUNK, call.first.map(seconds));
        span.record(genai::HTTP_STATUS_CODE, call.status);
        span.record(genai::RESPONSE_MODEL, told.model.as_deref());
        span.record(genai::RESPONSE_ID, told.id.as_deref());
        span.record(genai::REQUEST_ID, call.request_id.as_deref());
        span.record(genai::RESPONSE_FINISH_REASONS, told.finish_reasons.as_deref());
        span.record(genai::USAGE_INPUT_TOKENS, told.input);
        span.record(genai::USAGE_OUTPUT_TOKENS, told.output);
        span.record(genai::USAGE_CACHE_READ_INPUT_TOKENS, told.cached);
        span.record(genai::USAGE_REASONING_OUTPUT_TOKENS, told.reasoning);
        span.record(genai::ATTEMPTS, call.attempts);
        span.record(genai::ADAPTATIONS, call.adaptations);
        if let Some(messages) = messages.filter(|_| self.content) {
            span.record(genai::INPUT_MESSAGES, messages.input.as_str());
            span.record(genai::OUTPUT_MESSAGES, messages.output.as_str());
        }
    }
}

// Names that tracing-opentelemetry takes for the span itself.
pub(crate) const OTEL_NAME: &str = "otel.name";
pub(crate) const OTEL_KIND: &str = "otel.kind";
pub(crate) const OTEL_STATUS: &str = "otel.status_code";

/// What the conventions call a span: the operation and the model.
fn name(operation: &str, model: Option<&str>) -> String {
    match model {
        Some(model) => format!("{operation} {model}"),
        None => operation.to_owned(),
    }
}

fn take_parameters(span: &Span, request: &Request) {
    let raw = |name: &str| request.document()?.get_raw(name);
    let whole = |name: &str| raw(name)?.parse::<i64>().ok();
    let number = |name: &str| raw(name)?.parse::<f64>().ok();
    let most = ["max_completion_tokens", "max_tokens", "max_output_tokens"].into_iter().find_map(whole);
    span.record(genai::REQUEST_MAX_TOKENS, most);
    span.record(genai::REQUEST_SEED, whole("seed"));
    span.record(genai::REQUEST_TEMPERATURE, number("temperature"));
    span.record(genai::REQUEST_TOP_P, number("top_p"));
}
