//! The ways to ask a service, from the barest up.

mod bare;
mod ours;
mod stock;
mod typed;

use std::pin::Pin;

use async_trait::async_trait;
use futures_util::Stream;

use crate::Failure;

/// One way to ask a service, as an app would use it.
#[async_trait]
pub trait Way: Send + Sync {
    /// Asks, and gives back the length of the answer's text: whoever only reads bytes gives back theirs.
    async fn ask(&self, prompt: String) -> Result<usize, Failure>;

    /// Asks for a stream. An item is a chunk, and the length of its text.
    async fn open(&self, prompt: String) -> Result<Chunks, Failure>;
}

/// The chunks of a stream.
pub type Chunks = Pin<Box<dyn Stream<Item = Result<usize, Failure>> + Send>>;

/// Makes a way for a base URL.
pub type Make = fn(&str) -> Result<Box<dyn Way>, Failure>;

/// The ways of this workspace and of what it stands on, each with its name in the tables.
pub const WAYS: &[(&str, Make)] = &[
    ("bare hyper", bare::hyper),
    ("bare reqwest", bare::reqwest),
    (TYPED, typed::make),
    (STOCK, stock::make),
    ("door 1", ours::door_one),
    ("door 1, all layers", ours::door_one_with_layers),
    ("door 2", ours::door_two),
    ("door 2, all layers", ours::door_two_with_layers),
];

/// What async-openai itself is.
pub const STOCK: &str = "async-openai 0.43";
/// The least that a typed client must do.
pub const TYPED: &str = "reqwest + serde";

/// The model that everybody asks.
pub const MODEL: &str = "deepseek-flash";
/// A key that opens nothing.
pub const KEY: &str = "sk-bench";
