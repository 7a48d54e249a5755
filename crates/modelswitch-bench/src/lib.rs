//! What a call costs through each door, beside its peers, in one run against one server.
//!
//! `cargo bench -p modelswitch-bench` prints the tables of the README's section "Measured"; with `-- --quick` it takes
//! seconds and its figures mean little. Every way of asking is a process of its own on one core ([`client`]), the server is
//! another on another core ([`server`]), and a third ([`run`]) tells the clients what to do and prints what they say.
//!
//! It has a `main` of its own and neither divan nor criterion: what is measured belongs to a whole process. CPU time is the
//! client's, not the server's, and a clock on the wall sees both; allocations and memory are a process's; and a first
//! call is only once first. divan measures what is inside one function, see `benches/dialect.rs` of `modelswitch-openai`.
//!
//! Instructions are counted by `.ci/instructions`, which runs the same clients under callgrind: two runs of each case, of which the
//! difference counts. They don't depend on what else the machine does, and leave the kernel's out.
//!
//! The peers, genai and rig, are a workspace of their own in `peers`, with their own `Cargo.lock`: they ask for a newer
//! compiler than this workspace, and bring crates along that nothing here may need. The same command builds and runs them,
//! unless `--no-peers` is given.

pub mod case;
pub mod client;
pub mod run;
pub mod server;
pub mod table;
pub mod ways;

/// What anything here fails with: nobody acts on it, somebody reads it.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
