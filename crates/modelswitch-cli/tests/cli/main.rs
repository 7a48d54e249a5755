//! The program as a process, against simulators: what it prints where, and with which exit code it ends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails loudly"
)]

mod balance;
mod chat;
mod check;
mod demo;
mod ledger;
mod log;
mod models;
mod program;
mod providers;
mod route;
mod sim;
mod support;
mod usage;
