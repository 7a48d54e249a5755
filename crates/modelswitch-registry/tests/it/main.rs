//! The registry as its users see it, over mocks and the simulator.

#![expect(clippy::unwrap_used, reason = "helpers of tests aren't known as tests to the lint")]

mod access;
mod aliases;
mod check;
mod custom;
mod mistakes;
mod mistakes_told;
mod names;
mod precedence;
mod router;
mod sources;
mod support;
