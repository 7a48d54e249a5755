//! JSON schemas: whether an answer follows one, and whether DeepSeek's strict mode takes one.

mod check;
mod strict;

pub(crate) use check::Checker;
pub use check::{SchemaMismatch, SchemaProblem};
pub use strict::{NotStrict, strict_problems};

/// The first of the problems on one line: a person mends one at a time.
fn summary(problems: &[SchemaProblem], f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    let shown: Vec<String> = problems.iter().take(3).map(ToString::to_string).collect();
    f.write_str(&shown.join("; "))?;
    match problems.len().saturating_sub(3) {
        0 => Ok(()),
        more => write!(f, "; and {more} more"),
    }
}
