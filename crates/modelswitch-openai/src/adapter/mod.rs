//! What adapters of services share: looking at JSON before parsing it, telling what was changed, and answers that must have a
//! form which the service doesn't know. The profiles' own dialect is built of it, and so is an adapter of a service with
//! features of its own.

mod answer;
mod attached;
mod form;
mod functions;
mod look;
mod notes;

pub use answer::{AnswerCheck, to_json};
pub use attached::AttachedReasoning;
pub use form::{WantedForm, insert_instructions, joined_text};
pub use functions::LegacyFunctions;
pub use look::{has_member, members};
pub use notes::Notes;

pub use crate::schema::Checker;
