//! Parameters under the names, in the ranges and with the meanings that the service knows; and those that it doesn't take.

use modelswitch_provider::{Document, Error, Result};
use serde_json::{Number, Value};

use crate::adapter::Notes;
use crate::profile::RequestRules;

/// # Errors
/// [`Unsupported`](modelswitch_provider::ErrorKind::Unsupported) for what the answer depends on and the service doesn't take.
pub(super) fn adapt(rules: &RequestRules, document: &mut Document, notes: &mut Notes) -> Result<()> {
    refuse(rules, document, notes)?;
    too_many_choices(rules, document)?;
    token_limit(rules, document, notes);
    leave_out(rules, document, notes);
    ranges(rules, document, notes)?;
    if rules.stream_options == Some(false) && document.remove("stream_options") {
        notes.same_meaning("stream_options", "left out: the service doesn't take it");
    }
    for (name, own) in &rules.rename {
        rename(name, own, document, notes);
    }
    Ok(())
}

fn refuse(rules: &RequestRules, document: &mut Document, notes: &mut Notes) -> Result<()> {
    let mut refused = Vec::new();
    for name in rules.refuse.iter().filter(|name| !rules.drop.contains(name)) {
        if !document.has(name) {
            continue;
        }
        if says_nothing(name, document) {
            leave_out_unsaid(name, document, notes);
        } else {
            refused.push(name.as_str());
        }
    }
    let Some(first) = refused.first() else { return Ok(()) };
    Err(Error::unsupported(format!("the service doesn't take `{}`", refused.join("`, `")))
        .with_param(*first)
        .with_hint("leave it out, or ask a service that takes it"))
}

fn too_many_choices(rules: &RequestRules, document: &Document) -> Result<()> {
    let Some(most) = rules.most_choices else { return Ok(()) };
    match number(document, "n").filter(|n| *n > f64::from(most)) {
        None => Ok(()),
        Some(_) => Err(Error::unsupported(format!(
            "`n` asks for more answers than the service gives in one call, which is {most}"
        ))
        .with_param("n")
        .with_hint("make several calls")),
    }
}

fn token_limit(rules: &RequestRules, document: &mut Document, notes: &mut Notes) {
    let Some(wanted) = rules.max_tokens.as_deref() else { return };
    for other in ["max_tokens", "max_completion_tokens"] {
        if other == wanted || !document.has(other) {
            continue;
        }
        if document.has(wanted) {
            document.remove(other);
            let change = format!("left out: the request has `{wanted}` too, which the service knows");
            notes.same_meaning(other, change);
        } else {
            document.rename(other, wanted);
            notes.same_meaning(other, format!("sent as `{wanted}`, the name that the service knows"));
        }
    }
}

fn leave_out(rules: &RequestRules, document: &mut Document, notes: &mut Notes) {
    for name in rules.drop.iter().filter(|name| document.has(name)).cloned().collect::<Vec<_>>() {
        if says_nothing(&name, document) {
            leave_out_unsaid(&name, document, notes);
        } else {
            document.remove(&name);
            notes.change(&name, "left out: the service doesn't take it", "leave it out");
        }
    }
}

fn leave_out_unsaid(name: &str, document: &mut Document, notes: &mut Notes) {
    document.remove(name);
    notes.same_meaning(name, "left out: the service doesn't take it, and it says what is so without it");
}

/// True for the value that stands for a parameter's absence in OpenAI's reference
/// (<https://platform.openai.com/docs/api-reference/chat/create>): many libraries write them all out.
fn says_nothing(name: &str, document: &Document) -> bool {
    let raw = document.get_raw(name).unwrap_or_default();
    match name {
        "frequency_penalty" | "presence_penalty" | "top_logprobs" => number(document, name) == Some(0.0),
        "temperature" | "top_p" | "n" => number(document, name) == Some(1.0),
        "logprobs" | "store" => raw == "false",
        "parallel_tool_calls" => raw == "true",
        "logit_bias" | "metadata" => raw == "{}",
        "stop" | "tools" => raw == "[]",
        "modalities" => raw == "[\"text\"]",
        "service_tier" => raw == "\"auto\"",
        _ => false,
    }
}

/// # Errors
/// Never but for lack of memory: the value is a number.
fn ranges(rules: &RequestRules, document: &mut Document, notes: &mut Notes) -> Result<()> {
    for (name, (least, most)) in &rules.ranges {
        let Some(given) = number(document, name) else { continue };
        // Not `clamp`, which panics where a profile has them the wrong way round.
        let nearest = given.max(*least).min(*most);
        if nearest == given {
            continue;
        }
        let (bound, instead) = if given < nearest { ("least", "more") } else { ("most", "less") };
        notes.change(
            name,
            format!("{given} sent as {nearest}, the {bound} that the service takes"),
            &format!("send {nearest} or {instead}"),
        );
        document.set(name, as_json(nearest))?;
    }
    Ok(())
}

/// Whole numbers as such: a service that wants an integer refuses `1.0`.
fn as_json(number: f64) -> Value {
    // The literals of a profile are far below.
    #[expect(clippy::cast_possible_truncation, reason = "it is whole, and within what an i64 holds exactly")]
    let whole = (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64);
    match whole {
        Some(whole) => whole.into(),
        None => Number::from_f64(number).into(),
    }
}

fn number(document: &Document, name: &str) -> Option<f64> {
    document.get_raw(name)?.parse().ok()
}

fn rename(name: &str, own: &str, document: &mut Document, notes: &mut Notes) {
    if !document.has(name) {
        return;
    }
    if document.has(own) {
        document.remove(name);
        notes.same_meaning(name, format!("left out: the request has `{own}` too, which the service knows"));
    } else {
        document.rename(name, own);
        notes.same_meaning(name, format!("sent as `{own}`, the name that the service knows"));
    }
}
