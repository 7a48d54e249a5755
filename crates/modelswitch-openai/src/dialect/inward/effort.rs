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
        None => {
            unknown(rules, &word, notes);
            Ok(())
        }
        Some(Effort::Word(same)) if *same == word => Ok(()),
        Some(Effort::Word(other)) => {
            notes.change(EFFORT, format!("`{word}` sent as `{other}`"), &format!("send `{other}`"));
            document.set(EFFORT, other)
        }
        Some(Effort::Parameters(parameters)) => by_parameters(&word, parameters, document, notes),
    }
}

/// The service may know a word that its profile doesn't, so it goes out; what comes of it nobody can say.
fn unknown(rules: &RequestRules, word: &str, notes: &mut Notes) {
    if rules.takes_effort(word) {
        return;
    }
    let known: Vec<&str> = rules.effort.keys().map(String::as_str).collect();
    notes.change(
        EFFORT,
        format!("{} sent as it is, though the service isn't known to take the word", shown(word)),
        &format!("send one of {}", known.join(", ")),
    );
}

/// A word that an app made up may be as long as it likes, and anything at all.
fn shown(word: &str) -> String {
    const LONGEST: usize = 16;
    let is_word =
        word.len() <= LONGEST && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_word { format!("`{word}`") } else { "a word that is none of OpenAI's".to_owned() }
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
