//! The registry as its users see it, over mocks and with no network.

#![expect(clippy::unwrap_used, reason = "helpers of tests aren't known as tests to the lint")]

mod catalogue;
mod check;
mod check_sockets;
mod keys;
mod mistakes;
mod names;
mod precedence;
mod reload;
mod router;
mod settings;
#[cfg(all(unix, feature = "signal"))]
mod sighup;
mod support;
#[cfg(feature = "watch")]
mod watch;
