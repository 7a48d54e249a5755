//! Any OpenAI-compatible service as a modelswitch [`Provider`](modelswitch_provider::Provider), and the door for apps on
//! async-openai.
//!
//! * [`OpenAiProvider`] reaches a service, after a [`Profile`]: one try over HTTP, answers in the one strict shape that
//!   async-openai decodes, failures as errors that know their kind. What a service sends that deviates is repaired; what
//!   can't be repaired is an error; what conforms passes as the bytes it came in.
//! * [`HttpService`] carries the requests of an `async_openai::Client` through any provider. The app keeps its types and
//!   call sites; [`ReasoningExt`], [`Capture`], [`Extra`] and [`OpenAiErrorExt`] reach what those types have no room for.
//!
//! # Invariants
//!
//! * The feature `byot` of async-openai is on nowhere: with it the typed `create_stream` no longer asks for a stream.
//! * A key goes to the base URL it was given for and to no other origin; it is in no error, log or `Debug` text.
//! * Nothing is registered before `main`, and there is no global state.

pub mod adapter;
mod dialect;
mod door;
mod error;
pub mod guide;
mod http_client;
mod moment;
mod policy;
mod price;
mod profile;
mod provider;
mod retry_after;
mod schema;
mod scrub;
mod sse;
mod transport;
mod unasked;

pub use async_openai;
pub use dialect::BrokenOffIsFinishReason;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub use dialect::bench;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub use dialect::fuzz;
pub use door::{
    ATTACHED_PREFIX, ATTACHED_REASONING, Capture, Client, Extra, HttpService, OpenAiErrorExt, ReasoningExt,
};
pub use http_client::{HttpClient, WeakHttpClient};
pub use moment::Moment;
pub use policy::{EmptyAnswer, ForcedToolChoice, JsonSchema, Policies};
pub use price::{Billing, Calendar, Cost, CostPart, Doubt, Hours, Peak, Price, Rates};
pub use profile::{
    Auth, AuthAt, BrokenOff, Capability, ContentRule, DefaultMaxOutput, Effort, FailureKind, FormatKind,
    Hidden, History, Modality, ModelFacts, ModelReasoning, ModelRequest, PassBack, Profile, ReasoningRules,
    RequestRules, ResponseRules, Retired, Takes, ToolChoiceKind, Vectors,
};
pub use provider::{OpenAiBuilder, OpenAiProvider, checked_base_url};
pub use schema::{SchemaMismatch, SchemaProblem};
pub use transport::Timeouts;
