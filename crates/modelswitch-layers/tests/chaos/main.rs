//! Whole stacks over providers that fail in every way, on a paused clock and by seed: a seed that fails fails again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails loudly"
)]

mod five_providers;
mod invariants;
mod provider;
mod purse;

/// A run of simulated time.
fn paused<T>(run: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap().block_on(run)
}
