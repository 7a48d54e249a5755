//! The names that OpenTelemetry's conventions for generative AI give to what is logged, and a few of our own.
//!
//! The source is <https://github.com/open-telemetry/semantic-conventions-genai>, `docs/gen-ai/gen-ai-spans.md`, `gen-ai-metrics.md`
//! and `docs/registry/attributes/gen-ai.md`, as they stood in November 2026, and for what isn't particular to generative AI
//! <https://github.com/open-telemetry/semantic-conventions> 1.41. The former are in development: a name that changes
//! there is changed here, and nowhere else in this crate. What the conventions have no name for begins with
//! `modelswitch.`
//!
//! A field of `tracing` takes such a constant in braces:
//!
//! ```
//! use modelswitch_layers::genai;
//!
//! tracing::event!(tracing::Level::INFO, { genai::REQUEST_MODEL } = "deepseek-flash", "asked");
//! ```

/// What is done: [`CHAT`], [`TEXT_COMPLETION`], [`EMBEDDINGS`], or what the endpoint is called.
pub const OPERATION_NAME: &str = "gen_ai.operation.name";
/// The provider, by its name in the configuration.
pub const PROVIDER_NAME: &str = "gen_ai.provider.name";
/// What [`PROVIDER_NAME`] was called up to version 1.36. Nothing here writes it; many dashboards still read it.
pub const SYSTEM: &str = "gen_ai.system";

/// The model that the provider was asked for.
pub const REQUEST_MODEL: &str = "gen_ai.request.model";
/// The most tokens that the answer may have.
pub const REQUEST_MAX_TOKENS: &str = "gen_ai.request.max_tokens";
/// How freely the model chooses its words.
pub const REQUEST_TEMPERATURE: &str = "gen_ai.request.temperature";
/// How much of the likely words it chooses from.
pub const REQUEST_TOP_P: &str = "gen_ai.request.top_p";
/// What makes it choose the same again.
pub const REQUEST_SEED: &str = "gen_ai.request.seed";
/// Whether the answer was wanted as a stream.
pub const REQUEST_STREAM: &str = "gen_ai.request.stream";

/// The model that answered, as the service says.
pub const RESPONSE_MODEL: &str = "gen_ai.response.model";
/// The service's id of the answer.
pub const RESPONSE_ID: &str = "gen_ai.response.id";
/// Why each choice ended. A list in the conventions; fields of `tracing` have no lists, so there are commas in it.
pub const RESPONSE_FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
/// From the request to the first content of a stream, in seconds.
pub const RESPONSE_TIME_TO_FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";

/// The tokens of the request, cached ones included.
pub const USAGE_INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
/// The tokens of the answer, reasoning included.
pub const USAGE_OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
/// Those of the request that came out of the provider's cache.
pub const USAGE_CACHE_READ_INPUT_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
/// Those of the answer that were spent on reasoning.
pub const USAGE_REASONING_OUTPUT_TOKENS: &str = "gen_ai.usage.reasoning.output_tokens";

/// What the model was given to read. Content: only when it is switched on.
pub const INPUT_MESSAGES: &str = "gen_ai.input.messages";
/// What the model said. Content: only when it is switched on.
pub const OUTPUT_MESSAGES: &str = "gen_ai.output.messages";

/// From the request to the end of the answer, in seconds. The conventions' name of the metric.
pub const OPERATION_DURATION: &str = "gen_ai.client.operation.duration";
/// From the request to the first content of a stream, in seconds. The conventions' name of the metric.
pub const TIME_TO_FIRST_CHUNK: &str = "gen_ai.client.operation.time_to_first_chunk";
/// The tokens of a request or of an answer. The conventions' name of the metric.
pub const TOKEN_USAGE: &str = "gen_ai.client.token.usage";
/// Whose tokens [`TOKEN_USAGE`] counts: `input` or `output`.
pub const TOKEN_TYPE: &str = "gen_ai.token.type";
/// The bounds that the conventions give to the buckets of [`OPERATION_DURATION`] and [`TIME_TO_FIRST_CHUNK`], in seconds.
pub const SECONDS_BUCKETS: [f64; 14] =
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/// The bounds that the conventions give to the buckets of [`TOKEN_USAGE`], in tokens.
pub const TOKEN_BUCKETS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// Why it failed: the [kind](modelswitch_provider::ErrorKind::as_str) of the error.
pub const ERROR_TYPE: &str = "error.type";
/// The HTTP status that the service answered with.
pub const HTTP_STATUS_CODE: &str = "http.response.status_code";
/// The host that was asked. For adapters, which know it: they write it on the span that is current when they ask.
pub const SERVER_ADDRESS: &str = "server.address";
/// The port that was asked there.
pub const SERVER_PORT: &str = "server.port";

/// The model that the app asked for, an alias for example, where it isn't [`REQUEST_MODEL`].
pub const ASKED_MODEL: &str = "modelswitch.asked_model";
/// How a call ended: `ok`, `error` or `cancelled`.
pub const OUTCOME: &str = "modelswitch.outcome";
/// The service's id of the request, for its support.
pub const REQUEST_ID: &str = "modelswitch.request_id";
/// How many tries were made.
pub const ATTEMPTS: &str = "modelswitch.attempts";
/// From the request of one attempt to its first content or its failure, in seconds.
pub const ATTEMPT_DURATION: &str = "modelswitch.attempt.duration";
/// How many changes were made to the request so that the provider could take it.
pub const ADAPTATIONS: &str = "modelswitch.adaptations";
/// How many messages of a conversation were left out of [`INPUT_MESSAGES`] because they were too many.
pub const MESSAGES_LEFT_OUT: &str = "modelswitch.messages_left_out";

/// The operation of `/chat/completions`, `/responses` and Anthropic's `/messages`.
pub const CHAT: &str = "chat";
/// The operation of `/completions`.
pub const TEXT_COMPLETION: &str = "text_completion";
/// The operation of `/embeddings`.
pub const EMBEDDINGS: &str = "embeddings";
