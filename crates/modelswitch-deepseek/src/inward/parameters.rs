//! Everything about a chat request but its conversation, its tools and the form of its answer.

use std::borrow::Cow;

use modelswitch_openai::{Modality, Profile, Retired};
use modelswitch_provider::{Document, Endpoint, Error, Result};
use serde_json::{Value, json};

use crate::models;
use modelswitch_openai::adapter::Notes;
use modelswitch_openai::adapter::has_member;

/// What stands for a retired name, the default's too. Gives back the retired name.
///
/// # Errors
/// As [`Notes::change`].
pub(super) fn model(
    body: &mut Document,
    endpoint: &Endpoint,
    profile: &Profile,
    notes: &mut Notes,
) -> Result<Option<String>> {
    // The default itself is put in below, where a model that is no text is refused too.
    let default = profile.default_model.as_deref().filter(|_| !body.has("model")).map(Cow::Borrowed);
    let Some(name) = body.str("model").or(default).map(Cow::into_owned) else { return Ok(None) };
    let Some(retired) = profile.retired(&name) else { return Ok(None) };
    let mut sent = body.clone();
    let thinks = match endpoint.path() {
        "/chat/completions" => {
            retired.apply(&mut sent)?;
            if !thinks(&sent) && sent.has("thinking") {
                // An effort means nothing without a thought, and might be taken for one.
                sent.remove("reasoning_effort");
            }
            Some(thinks(&sent))
        }
        "/responses" => Some(respond_as(retired, &mut sent)?),
        // Fill-in-the-middle never thinks, so there is nothing to switch.
        _ => {
            sent.set("model", &retired.instead)?;
            None
        }
    };
    let with = match thinks {
        Some(true) => " with thinking enabled",
        Some(false) => " with thinking disabled",
        None => "",
    };
    let since = retired.since.date();
    let change = format!("`{name}` was switched off on {since}; sent as `{}`{with}", retired.instead);
    notes.change("model", change, "ask for a model that is there, and say thinking on or off");
    *body = sent;
    Ok(Some(name))
}

/// The Responses API has a switch of its own. Says whether the model will think.
fn respond_as(retired: &Retired, body: &mut Document) -> Result<bool> {
    body.set("model", &retired.instead)?;
    if !body.has("reasoning") && models::did_not_think(retired) {
        body.set("reasoning", json!({ "effort": "none" }))?;
    }
    Ok(!body.get_raw("reasoning").is_some_and(|reasoning| has_member(reasoning, "effort", "\"none\"")))
}

/// # Errors
/// [`Unsupported`](modelswitch_provider::ErrorKind::Unsupported) for several answers and for audio.
pub(super) fn refuse_what_it_cannot(body: &Document) -> Result<()> {
    if body.get::<f64>("n")?.is_some_and(|n| n > 1.0) {
        return Err(Error::unsupported("DeepSeek gives one answer a call, and `n` asks for more")
            .with_param("n")
            .with_hint("make several calls; their common prefix is cached"));
    }
    let wants_audio = body.get_raw("modalities").is_some_and(|list| list.contains("\"audio\""));
    if wants_audio || body.has("audio") {
        return Err(Error::unsupported("DeepSeek answers with text and not with audio")
            .with_param(if wants_audio { "modalities" } else { "audio" })
            .with_hint("leave it out, and give the text to a service that speaks"));
    }
    Ok(())
}

/// OpenAI's scale to DeepSeek's `low`, `high` and `max`; `none` is thinking off.
///
/// # Errors
/// As [`Notes::change`].
pub(super) fn effort(body: &mut Document, notes: &mut Notes) -> Result<()> {
    let Some(effort) = body.str("reasoning_effort").map(Cow::into_owned) else { return Ok(()) };
    if effort == "none" {
        // Until August 2026 the service refused the word; the switch it has always known.
        body.remove("reasoning_effort");
        if body.has("thinking") {
            notes.same_meaning("reasoning_effort", "`none` left out: `thinking` says what is wanted");
            return Ok(());
        }
        notes.same_meaning("reasoning_effort", "`none` sent as thinking off");
        return body.set("thinking", json!({ "type": "disabled" }));
    }
    if !thinks(body) {
        notes.no_effect("reasoning_effort", "thinking is off");
        return Ok(());
    }
    let Some(sent) = effort_of(&effort) else { return Ok(()) };
    notes.change("reasoning_effort", format!("`{effort}` sent as `{sent}`"), "send low, high or max");
    body.set("reasoning_effort", sent)
}

/// What DeepSeek takes for an effort that it has another word for; `None` for one that it takes as it is.
pub(super) fn effort_of(effort: &str) -> Option<&'static str> {
    match effort {
        "minimal" => Some("low"),
        "medium" | "xhigh" => Some("high"),
        "ultra" => Some("max"),
        _ => None,
    }
}

/// DeepSeek's `user_id` keeps safety, caches and scheduling of users apart; it takes letters, digits, `-` and `_`. OpenAI has
/// begun to call the same thing `safety_identifier`.
///
/// # Errors
/// As [`Notes::change`].
pub(super) fn user(body: &mut Document, notes: &mut Notes) -> Result<()> {
    for name in ["user", "safety_identifier"] {
        let Some(user) = body.str(name).map(Cow::into_owned) else { continue };
        if body.has("user_id") || user.is_empty() {
            return Ok(());
        }
        notes.change(name, "sent as `user_id`, in the characters that DeepSeek takes", "send user_id");
        body.remove(name);
        body.set("user_id", valid_user_id(&user))?;
    }
    Ok(())
}

/// Two users must not become one: what doesn't fit goes as the number of its byte, and so does `_` wherever it could be taken
/// for the beginning of such a number. Of a long name the end is a hash.
fn valid_user_id(user: &str) -> String {
    const LONGEST: usize = 512;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let one = |byte: u8| if fits(byte) { char::from(byte).to_string() } else { format!("_{byte:02x}") };
    let is_hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let looks_escaped =
        |window: &[u8]| window.first() == Some(&b'_') && is_hex(window.get(1)) && is_hex(window.get(2));
    // A name that is valid goes as it is, so that other clients find its caches.
    let is_plain =
        user.bytes().all(|byte| fits(byte) || byte == b'_') && !user.as_bytes().windows(3).any(looks_escaped);
    let id: String = if is_plain { user.to_owned() } else { user.bytes().map(one).collect() };
    if id.len() <= LONGEST {
        return id;
    }
    let begin: String = id.chars().take(LONGEST - 17).collect();
    format!("{begin}_{:016x}", fnv(user.as_bytes()))
}

/// The same on every machine and in every version, unlike the hashers of the standard library.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Parameters that DeepSeek takes and does nothing with, and those that no page of it knows.
const UNKNOWN: [&str; 10] = [
    "seed",
    "logit_bias",
    "prediction",
    "service_tier",
    "store",
    "metadata",
    "verbosity",
    "prompt_cache_key",
    "web_search_options",
    "moderation",
];

/// # Errors
/// As [`Notes::no_effect`].
pub(super) fn without_effect(body: &mut Document, notes: &mut Notes) -> Result<()> {
    let thinks = thinks(body);
    if thinks && body.has("temperature") {
        notes.no_effect("temperature", "DeepSeek ignores it while thinking");
    }
    match body.get_raw("top_p").and_then(|text| text.parse::<f64>().ok()) {
        Some(top_p) if thinks && top_p < 0.95 => {
            notes.no_effect("top_p", "DeepSeek raises it to 0.95 while thinking");
        }
        Some(top_p) if !thinks && top_p < 1.0 => {
            notes.no_effect("top_p", "DeepSeek takes it as 1 unless it thinks");
        }
        Some(_) | None => {}
    }
    for penalty in ["presence_penalty", "frequency_penalty"] {
        if body.get_raw(penalty).and_then(|text| text.parse::<f64>().ok()).is_some_and(|value| value != 0.0) {
            notes.no_effect(penalty, "DeepSeek has given up penalties");
        }
    }
    if body.bool("parallel_tool_calls") == Some(false) {
        notes.no_effect("parallel_tool_calls", "DeepSeek may always call several tools at once");
    }
    for name in UNKNOWN.into_iter().filter(|name| body.has(name)) {
        notes.no_effect(name, "DeepSeek's documentation doesn't know it");
    }
    if body.has("stream_options") && body.bool("stream") != Some(true) {
        // They are 400 there; OpenAI refuses them too, other services don't.
        notes.same_meaning("stream_options", "left out: the answer is no stream");
        body.remove("stream_options");
    }
    Ok(())
}

/// Thinking is on unless it is switched off.
pub(super) fn thinks(body: &Document) -> bool {
    let off = body.get_raw("thinking").is_some_and(|thinking| has_member(thinking, "type", "\"disabled\""));
    !off && body.str("reasoning_effort").as_deref() != Some("none")
}

/// False for a model that is known to take no images.
pub(super) fn sees(profile: &Profile, model: &str) -> bool {
    profile.model(model).and_then(|facts| facts.takes(Modality::Image)) != Some(false)
}

/// Switches thinking off, for a call that can't be made with it.
///
/// # Errors
/// Never but for lack of memory: the value is plain JSON.
pub(super) fn switch_thinking_off(body: &mut Document) -> Result<()> {
    body.remove("reasoning_effort");
    body.set("thinking", json!({ "type": "disabled" }))
}

/// A member as JSON, whatever it is; `Null` where it is missing.
///
/// # Errors
/// [`InvalidRequest`](modelswitch_provider::ErrorKind::InvalidRequest) for what is no JSON.
pub(super) fn value_of(body: &Document, name: &str) -> Result<Value> {
    Ok(body.get::<Value>(name)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_users_never_become_one_user_id() {
        assert_eq!(valid_user_id("team-7_b"), "team-7_b");
        assert_eq!(valid_user_id("mail@x.example"), "mail_40x_2eexample");
        assert_ne!(valid_user_id("mail_40x"), valid_user_id("mail@x"));
        let (long, other) = ("ä".repeat(600), format!("{}b", "ä".repeat(600)));
        let ids = [valid_user_id(&long), valid_user_id(&other)];
        assert_ne!(ids[0], ids[1]);
        for id in ids {
            assert!(id.len() <= 512 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
        }
    }
}
