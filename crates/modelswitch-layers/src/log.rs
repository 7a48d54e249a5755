use tracing::Level;

use crate::genai;
use crate::observe::{Call, Messages, Outcome, Told, seconds};

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
/// The line stands in the caller's span. What layers and adapters say meanwhile (each try that failed, each adaptation, at
/// `DEBUG`) stands before it; [`Trace`](crate::Trace) holds it together.
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
    pub(crate) content: bool,
    pub(crate) usage: bool,
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

    pub(crate) fn write(self, call: &Call, told: &Told, messages: Option<&Messages>) {
        if let Some(messages) = messages.filter(|_| self.content) {
            write_content(call, messages);
        }
        match call.outcome {
            Outcome::Ok | Outcome::Open => line!(Level::INFO, call, told, "call ended"),
            Outcome::Error(_) => line!(Level::WARN, call, told, "call failed"),
        }
    }
}

/// Of the line and the span. A constant of its own, so that a filter can name them apart from everything else.
pub(crate) const TARGET: &str = "modelswitch::call";
/// Of what is asked and answered.
pub(crate) const CONTENT: &str = "modelswitch::content";

fn write_content(call: &Call, messages: &Messages) {
    let parent = if call.span.is_none() { &call.outside } else { &call.span };
    tracing::event!(
        target: CONTENT,
        parent: parent,
        Level::DEBUG,
        { genai::INPUT_MESSAGES } = messages.input,
        { genai::OUTPUT_MESSAGES } = messages.output,
        { genai::MESSAGES_LEFT_OUT } = messages.left_out,
        "content of the call"
    );
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
use line;
