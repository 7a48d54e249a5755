//! Pages to read: how something is done, step by step.

#[doc = include_str!("guide/adding_a_service.md")]
pub mod adding_a_service {}
