use metrics::{Label, Unit, describe_histogram, histogram};
use modelswitch_provider::ErrorKind;

use crate::genai;
use crate::observe::{Call, Told};

/// Measures each call under the names that OpenTelemetry gives to clients of generative AI, by the facade [`metrics`]: for
/// Prometheus, StatsD or whatever [recorder](metrics::Recorder) the program has.
///
/// | histogram | of | in |
/// |---|---|---|
/// | `gen_ai.client.operation.duration` | every call, from the request to the end of the answer | seconds |
/// | `gen_ai.client.operation.time_to_first_chunk` | streams, from the request to the first content | seconds |
/// | `gen_ai.client.token.usage` | answers that tell their tokens: one for `gen_ai.token.type="input"`, one for `"output"` | tokens |
///
/// Each has the labels `gen_ai.operation.name`, `gen_ai.provider.name`, `gen_ai.request.model` and `gen_ai.response.model`
/// as far as they are known. The duration also has `modelswitch.outcome` (`ok`, `error`, `cancelled`) and, of a call that
/// failed, `error.type`. A model that nobody has is no label: who asks for a thousand of them makes no thousand rows.
///
/// Tokens are those that somebody pays for. An answer out of [`Cache`](crate::Cache) has none here, and what isn't told isn't
/// counted: services tell the tokens of a stream when they are asked, by the app or [by this layer](Self::with_usage).
///
/// It belongs on top of a stack, around a router, and never bites. The facade can't tell whether anybody listens, so it costs
/// the same without a recorder: about two microseconds a call, and a search through each event of a stream.
///
/// ```
/// use modelswitch_layers::{Metrics, Retry, Stack, genai};
/// use modelswitch_provider::ProviderExt;
/// use modelswitch_provider::mock::MockProvider;
///
/// // Where the program sets up its recorder: `PrometheusBuilder::new()
/// //     .set_buckets_for_metric(Matcher::Full(genai::TOKEN_USAGE.into()), &genai::TOKEN_BUCKETS)` …
/// Metrics::describe();
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let llm = Stack::new().layer(Metrics::new()).layer(Retry::new()).over(MockProvider::reply("Yes."));
/// assert_eq!(llm.ask("Is water wet?").await?, "Yes.");
/// # let _ = genai::TOKEN_USAGE;
/// # Ok::<(), modelswitch_provider::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Metrics {
    pub(crate) usage: bool,
}

impl Metrics {
    /// Measures of what is seen anyway.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for the usage of every stream, as [`Log::with_usage`](crate::Log::with_usage) does.
    #[must_use]
    pub fn with_usage(mut self, on: bool) -> Self {
        self.usage = on;
        self
    }

    /// Tells the recorder the unit and the meaning of each measure. For whoever sets up a recorder, once it is there.
    pub fn describe() {
        describe_histogram!(genai::OPERATION_DURATION, Unit::Seconds, "Duration of calls to a model.");
        describe_histogram!(
            genai::TIME_TO_FIRST_CHUNK,
            Unit::Seconds,
            "Time to the first content of a stream."
        );
        describe_histogram!(genai::TOKEN_USAGE, Unit::Count, "Tokens of requests and answers.");
    }

    pub(crate) fn record(self, call: &Call, told: &Told) {
        let labels = labels(call, told);
        for (kind, tokens) in [("input", told.input), ("output", told.output)] {
            if let Some(tokens) = tokens.filter(|_| !call.is_cached) {
                let typed = with(&labels, genai::TOKEN_TYPE, kind);
                // Exact up to 2^53, more than anybody pays for.
                histogram!(genai::TOKEN_USAGE, typed).record(tokens as f64);
            }
        }
        if let Some(first) = call.first.filter(|_| call.streamed) {
            histogram!(genai::TIME_TO_FIRST_CHUNK, labels.clone()).record(first);
        }
        let mut labels = with(&labels, genai::OUTCOME, call.outcome.as_str());
        labels.extend(call.outcome.error().map(|kind| Label::from_static_parts(genai::ERROR_TYPE, kind)));
        histogram!(genai::OPERATION_DURATION, labels).record(call.started.elapsed());
    }
}

fn labels(call: &Call, told: &Told) -> Vec<Label> {
    let mut labels = Vec::with_capacity(6);
    labels.push(Label::from_static_parts(genai::OPERATION_NAME, call.operation));
    labels.push(Label::new(genai::PROVIDER_NAME, call.provider.clone()));
    let is_missing = call.outcome.error() == Some(ErrorKind::ModelNotFound.as_str());
    if let Some(model) = call.requested().filter(|_| !is_missing) {
        labels.push(Label::new(genai::REQUEST_MODEL, model.to_owned()));
    }
    if let Some(model) = &told.model {
        labels.push(Label::new(genai::RESPONSE_MODEL, model.clone()));
    }
    labels
}

fn with(labels: &[Label], name: &'static str, value: &'static str) -> Vec<Label> {
    let mut more = Vec::with_capacity(labels.len() + 2);
    more.extend_from_slice(labels);
    more.push(Label::from_static_parts(name, value));
    more
}

#[cfg(test)]
mod tests;
