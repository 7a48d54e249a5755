//! What a provider can do, declared by whoever runs the suite. What is not declared is skipped, and reported as skipped.

use std::collections::BTreeSet;
use std::fmt;

use crate::Personality;
use crate::service::{Calls, Models, REASONER, Reasoning};

/// One thing that a provider may be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// Answers as a stream of events.
    Streams,
    /// Tool calls.
    Tools,
    /// Reasoning beside the text; see [`Capabilities::reasoning_model`].
    Reasoning,
    /// The tokens that were used.
    Usage,
    /// The tokens at the end of a stream, when asked for.
    StreamUsage,
    /// The list of models.
    ListsModels,
    /// Vectors for texts; see [`Capabilities::embedding_model`].
    Embeddings,
    /// The model of a request decides who answers, and an unknown one is refused.
    ModelNames,
    /// The service's id of a request.
    RequestId,
    /// It repeats nothing. A stack with a retry in it is declared [without](Capabilities::without) this.
    OneTry,
    /// It repeats what may pass: a stack with a retry in it.
    Retries,
    /// Reasoning in the history is kept from a service that has no place for it.
    DropsReasoning,
    /// What this service refuses of a request is left out, renamed, or refused before anything is sent. An adapter that hands
    /// on what it gets is declared [without](Capabilities::without) this.
    AdaptsRequests,
}

impl Capability {
    /// Its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Streams => "streams",
            Self::Tools => "tools",
            Self::Reasoning => "reasoning",
            Self::Usage => "usage",
            Self::StreamUsage => "stream-usage",
            Self::ListsModels => "lists-models",
            Self::Embeddings => "embeddings",
            Self::ModelNames => "model-names",
            Self::RequestId => "request-id",
            Self::OneTry => "one-try",
            Self::Retries => "retries",
            Self::DropsReasoning => "drops-reasoning",
            Self::AdaptsRequests => "adapts-requests",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a provider can do, and the models to ask it for.
///
/// ```
/// use modelswitch_sim::Personality;
/// use modelswitch_sim::contract::{Capabilities, Capability};
///
/// let can = Capabilities::of(Personality::DeepSeek).without(Capability::OneTry).with(Capability::Retries);
/// assert!(can.has(Capability::Reasoning) && !can.has(Capability::OneTry));
/// assert_eq!(can.under("deepseek").model, "deepseek/deepseek-flash");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Capabilities {
    /// The model that most cases ask.
    pub model: String,
    /// A second one.
    pub other_model: String,
    /// The one that reasons.
    pub reasoning_model: String,
    /// The one that makes vectors.
    pub embedding_model: String,
    set: BTreeSet<Capability>,
}

impl Capabilities {
    /// What a single adapter of a service can do that is simulated with this personality.
    pub fn of(personality: Personality) -> Self {
        use Capability::{
            AdaptsRequests, Embeddings, ListsModels, ModelNames, OneTry, RequestId, StreamUsage, Streams,
            Tools, Usage,
        };
        let always = [Streams, Usage, StreamUsage, RequestId, OneTry, AdaptsRequests];
        let mut can = Self {
            model: "sim-small".to_owned(),
            other_model: "sim-large".to_owned(),
            reasoning_model: REASONER.to_owned(),
            embedding_model: "sim-embedding".to_owned(),
            set: always.into(),
        };
        match personality {
            Personality::DeepSeek => {
                "deepseek-flash".clone_into(&mut can.model);
                "deepseek-v4-pro".clone_into(&mut can.other_model);
                "deepseek-flash".clone_into(&mut can.reasoning_model);
                can.set.extend([Tools, Capability::Reasoning, ListsModels, ModelNames]);
            }
            Personality::OpenAi => can.set.extend([Tools, ListsModels, Embeddings, ModelNames]),
            Personality::Compatible(service) => {
                can.set.extend((service.calls != Calls::Absent).then_some(Tools));
                can.set.extend((service.reasoning != Reasoning::Absent).then_some(Capability::Reasoning));
                can.set.extend((service.models != Models::Absent).then_some(ListsModels));
                can.set.extend(service.embeds.then_some(Embeddings));
                can.set.insert(ModelNames);
            }
        }
        can
    }

    /// Nothing but whole answers: the least that a provider can do.
    pub fn none() -> Self {
        Self { set: BTreeSet::new(), ..Self::of(Personality::OpenAi) }
    }

    /// Declares one more.
    #[must_use]
    pub fn with(mut self, capability: Capability) -> Self {
        self.set.insert(capability);
        self
    }

    /// Takes one back.
    #[must_use]
    pub fn without(mut self, capability: Capability) -> Self {
        self.set.remove(&capability);
        self
    }

    /// The same models by the name of a provider in a router: `groq/sim-small`.
    #[must_use]
    pub fn under(mut self, provider: &str) -> Self {
        for model in
            [&mut self.model, &mut self.other_model, &mut self.reasoning_model, &mut self.embedding_model]
        {
            *model = format!("{provider}/{model}");
        }
        self
    }

    /// Whether it is declared.
    pub fn has(&self, capability: Capability) -> bool {
        self.set.contains(&capability)
    }
}
