//! Policies around any [`Provider`](modelswitch_provider::Provider), one behaviour a file.
//!
//! A [`Layer`] goes around a provider and gives back a provider; a [`Stack`] puts several around one. This crate knows
//! the contract alone, so its layers work around whatever is a provider: a service, a router, a mock, something that has
//! never heard of HTTP.
//!
//! ```
//! use std::time::Duration;
//!
//! use modelswitch_layers::{Retry, Stack, layer_fn};
//! use modelswitch_provider::ProviderExt;
//! use modelswitch_provider::mock::{MockProvider, reply};
//! use modelswitch_provider::{Error, ErrorKind};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let service = MockProvider::script([
//!     Err(Error::new(ErrorKind::Overloaded, "too busy")),
//!     Ok(reply("Yes.", false)),
//! ]);
//! let llm = Stack::new()
//!     .layer(layer_fn("once per call", |inner, request| async move { inner.send(request).await }))
//!     .layer(Retry::new().attempts(3).base_delay(Duration::from_millis(20)))
//!     .layer(layer_fn("once per try", |inner, request| async move { inner.send(request).await }))
//!     .over(service);
//!
//! let reply = llm.chat("Is water wet?").await?;
//! assert_eq!((reply.text().as_str(), reply.head.attempts()), ("Yes.", 2));
//! # Ok::<(), Error>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Order
//!
//! **The first line sees the request first**, in code, configuration, tables and drawings. The answer comes back the
//! other way. So a line above [`Retry`] sees one call however many tries it takes, and a line below it sees each try:
//!
//! | a layer that | stands | since |
//! |---|---|---|
//! | tells what became of a call: [`Trace`], [`Log`], [`Metrics`], or [`Observe`] for several | on top | it is one span, line and measure a call, with all that the others did |
//! | counts or limits what a caller asked for | above `Retry` | a repeated try is no new wish of the caller |
//! | asks other providers too: [`Fallback`], [`Balance`] | above `Retry` | the same provider comes first; an exhausted error may still succeed elsewhere |
//! | says what a call cost: [`Cost`] | above a router | it is one entry a call, of the target that answered |
//! | has an answer already: [`Cache`] | below `Cost`, above a router | an answer that costs nothing is counted as such, and no target is asked |
//! | limits what may be spent: [`Budget`] | below a router, above `Retry` | the target and its price are known; a call is charged once |
//! | keeps something from a provider: [`ReasoningOrigin`] | above `Retry` | no try may see it; what is handed on is what was given |
//! | limits what a target gets: [`RateLimit`], then [`Concurrency`] | above `Retry`, one of each for a target | who waits for the minute holds no place; who waits for the next try keeps its own, which slows the others down |
//! | leaves a target alone: [`Breaker`] | above `Retry`, one for a target | it counts calls that failed in spite of their repeats, and an open one is asked by no repeat |
//! | limits the time of a whole call: [`Timeout`] with a total | above a router | all tries and targets share it |
//! | limits the time of one try: [`Timeout`] | below `Retry` | a try that hangs must end before the next can start |
//!
//! # What each layer does, when it bites and what it costs
//!
//! | layer | bites when | costs while nothing fails |
//! |---|---|---|
//! | [`Trace`] | never; it tells | a look at a static variable while nobody listens, else a span a call and one an attempt, and a search through each event |
//! | [`Log`] | never; it tells | the same, and a line a call in place of the spans; under [`Observe`] the search is made once for all |
//! | [`Metrics`] | never; it measures | a few labels a call and the same search, whether anybody listens or not |
//! | [`Fallback`] | a target failed in a way that may go well elsewhere, and nothing was handed on yet; with a hedge also when it is slow | one clone of the request, which shares the body; a stream is handed on at its first content |
//! | [`Balance`] | always: it chooses among the targets; then as `Fallback` | a look at each target's counters a call; a stream is handed on at its first content |
//! | [`Timeout`] | a limit is over: the call or the stream ends with an error | a timer a call; a look at the clock when a stream makes its reader wait |
//! | [`Retry`] | a try failed in a way that may pass, and nothing was handed on yet | one clone of the request, which shares the body; a stream is handed on at its first content instead of at its headers |
//! | [`RateLimit`] | a minute's requests or tokens are used up: calls wait in the order of coming, or are refused | two locks and a sum over 120 slices of time a call; with tokens also a look through the request's text and each event |
//! | [`Concurrency`] | so many calls and streams run already: calls wait in the order of coming, or are refused | two locks a call |
//! | [`Breaker`] | a target keeps failing, or asked to be left alone: calls are refused at once | two locks a call |
//! | [`Cost`] | never; it says and writes down | a search through each event of a stream, and one more parsing of what tells the tokens |
//! | [`Budget`] | a call may cost more than is left | an estimate and a step of the counter a call, and the same search |
//! | [`Cache`] | a question was asked before | a parse and a hash of the request; a copy of the events of a stream |
//! | [`ReasoningOrigin`] | a conversation carries what another provider thought | a look for the word in a chat request, an answer and each event; a hash of the reasoning that there is |
//!
//! # Invariants
//!
//! * A layer spawns nothing: dropping the call or the stream ends whatever it was doing. The file of a ledger (`Sqlite`, with
//!   the feature `sqlite`) has a thread of its own, which no call waits for.
//! * State lives in the layer. One layer around several providers is one policy over all of them.
//! * [`committed`](modelswitch_provider::committed) is the one idea of "too late to try again".
//! * No prompt, answer, key or upstream message is in a layer's log or `Debug`, unless [`Log::with_content`] or
//!   [`Trace::with_content`] asks for the former two. Names of what is logged are in [`genai`].

mod attempt;
mod balance;
mod breaker;
mod budget;
mod cache;
mod concurrency;
mod cost;
mod counter;
mod ending;
mod fallback;
pub mod genai;
mod health;
mod layer;
mod ledger;
mod log;
mod metrics;
mod money;
mod observe;
mod period;
mod race;
mod rate_limit;
mod reasoning_origin;
mod refusal;
mod repeatable;
mod retry;
mod size;
#[cfg(feature = "sqlite")]
mod sqlite;
mod stack;
mod targets;
mod timeout;
mod trace;
mod usage;
mod window;

pub use self::metrics::Metrics;
pub use balance::{Balance, StickyBy, StickyKey, Strategy};
pub use breaker::{Breaker, BreakerChange, BreakerState};
pub use budget::{Budget, Scope};
pub use cache::{Cache, CacheStatus, CacheUse, SentTemperature};
pub use concurrency::Concurrency;
pub use cost::{CallCost, Cost};
pub use counter::{Allowance, Counter, MemoryCounter, Taken};
pub use ending::{Ending, on_end};
pub use fallback::Fallback;
pub use layer::{Layer, LayerFn, layer_fn};
pub use ledger::{By, Entry, Ledger, MemoryLedger, Outcome, Query, Sum, Tokens};
pub use log::Log;
pub use money::{Alias, Money, Priced, Prices, Tag};
pub use observe::Observe;
pub use period::{Period, Window};
pub use rate_limit::RateLimit;
pub use reasoning_origin::ReasoningOrigin;
pub use retry::Retry;
#[cfg(feature = "sqlite")]
pub use sqlite::Sqlite;
pub use stack::Stack;
pub use targets::Target;
pub use timeout::Timeout;
pub use trace::Trace;
