//! The registry as its users see it, over mocks and the simulator.

#![expect(clippy::unwrap_used, reason = "helpers of tests aren't known as tests to the lint")]

mod access;
mod aliases;
mod catalogue;
mod check;
mod check_sockets;
mod choice;
mod custom;
mod explain;
mod five_providers;
mod keys;
mod layers;
mod mistakes;
mod mistakes_told;
mod names;
mod precedence;
mod reload;
mod router;
mod settings;
#[cfg(all(unix, feature = "signal"))]
mod sighup;
mod sources;
mod strategies;
mod support;
#[cfg(feature = "watch")]
mod watch;
