//! What must hold for any bytes that a service, an app or a configuration file may bring. Each target is a plain function
//! that panics where a promise is broken.
//!
//! `cargo test -p modelswitch-fuzz` runs every target over the committed corpus and over seeded changes of it; the programs in
//! `fuzz/` hand them to cargo-fuzz, as `.ci/fuzz` does. What fuzzing finds goes into `corpus/` under the name of its target.

mod answer;
mod config;
mod document;
mod error_body;
mod input;
mod request;
mod sse;
mod thought;

pub use answer::answer;
pub use config::config;
pub use document::document;
pub use error_body::error_body;
pub use request::request;
pub use sse::sse;
pub use thought::thought;

/// A target: its name, which is that of its corpus and of its program too, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 7] = [
    ("sse", sse),
    ("thought", thought),
    ("error_body", error_body),
    ("document", document),
    ("request", request),
    ("answer", answer),
    ("config", config),
];
