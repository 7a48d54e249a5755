//! How much the model is to think: OpenAI's words, on the service's scale.

use std::borrow::Cow;

use modelswitch_provider::{Document, Result};
use serde_json::{Map, Value};

use crate::adapter::Notes;
use crate::profile::{Effort, RequestRules};

const EFFORT: &str = "reasoning_effort";

/// # Errors
/// Never but for lack of memory: the values are plain JSON.
pub(super) fn adapt(rules: &RequestRules, document: &mut Document, notes: &mut Notes) -> Result<()> {
    if rules.effort.is_empty() {
        return Ok(());
    }
    let Some(word) = document.str(EFFORT).map(Cow::into_owned) else { return Ok(()) };
    match rules.effort.get(&word) {
        None => Ok(()),
        Some(Effort::Word(same)) if *same == word => Ok(()),
        Some(Effort::Word(other)) => {
            notes.change(EFFORT, format!("`{word}` sent as `{other}`"), &format!("send `{other}`"));
            document.set(EFFORT, other)
        }
        Some(Effort::Parameters(parameters)) => by_parameters(&word, parameters, document, notes),
    }
}

/// A parameter that the app gave itself says what it wants.
fn by_parameters(
    word: &str,
    parameters: &Map<String, Value>,
    document: &mut Document,
    notes: &mut Notes,
) -> Result<()> {
    document.remove(EFFORT);
    let (given, missing): (Vec<_>, Vec<_>) = parameters.iter().partition(|(name, _)| document.has(name));
    for (name, value) in &missing {
        document.set(name, value)?;
    }
    let names = |list: &[(&String, &Value)]| {
        list.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    };
    let change = match (missing.as_slice(), given.as_slice()) {
        ([], []) => format!("`{word}` left out: it is what the service does anyway"),
        ([], given) => format!("`{word}` left out: {} says what is wanted", names(given)),
        (missing, _) => format!("`{word}` sent by {}", names(missing)),
    };
    // To think or not is the same everywhere; how much is not.
    if word == "none" || missing.is_empty() {
        notes.same_meaning(EFFORT, change);
    } else {
        notes.change(EFFORT, change, "send the service's own parameters");
    }
    Ok(())
}
