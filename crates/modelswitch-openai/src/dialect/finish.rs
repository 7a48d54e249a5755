//! Why an answer ended, as OpenAI names it.

use modelswitch_provider::{Error, ErrorKind, Result};
use serde_json::{Map, Value};

use super::Context;
use crate::profile::BrokenOff;
use crate::{Profile, error};

/// A finish reason as OpenAI names it, by meaning; the service's own word is kept as `native_finish_reason`. One that says
/// nothing (`""`, `false`) is none.
///
/// # Errors
/// When the reason says that the answer failed.
pub(super) fn repair(context: &Context, choice: &mut Map<String, Value>, calls_tools: bool) -> Result<()> {
    let profile = &context.profile;
    let reason = match choice.get("finish_reason") {
        Some(Value::String(reason)) => reason.clone(),
        Some(Value::Null) | None => return Ok(()),
        Some(Value::Object(members)) => word_of(members),
        Some(_) => String::new(),
    };
    let meaning = match meaning_of(profile, &reason, calls_tools) {
        Ok(meaning) => meaning,
        // Something is missing: whoever doesn't want an error must not take it for a whole answer.
        Err(_) if profile.response.broken_off == BrokenOff::FinishReason => Some("length"),
        Err(kind) => return Err(failed_by_reason(context, kind, &reason)),
    };
    if meaning != Some(reason.as_str()) {
        choice.insert("finish_reason".to_owned(), meaning.into());
        if !reason.is_empty() {
            choice.entry("native_finish_reason").or_insert_with(|| reason.into());
        }
    } else if !choice.get("finish_reason").is_some_and(Value::is_string) {
        choice.insert("finish_reason".to_owned(), meaning.into());
    }
    Ok(())
}

/// An error inside of a choice, as OpenRouter sends it when a service behind it breaks off
/// (<https://openrouter.ai/docs/api-reference/errors>).
///
/// # Errors
/// What it says, unless an answer that was broken off is wanted as what there is of it.
pub(super) fn refuse_failed(context: &Context, choice: &mut Map<String, Value>) -> Result<()> {
    let Some(error) = error::in_choice(&context.profile, &context.scrub, choice) else { return Ok(()) };
    if context.profile.response.broken_off != BrokenOff::FinishReason {
        return Err(error);
    }
    let reason = choice.insert("finish_reason".to_owned(), "length".into());
    let reason = reason.filter(|reason| !reason.is_null()).unwrap_or_else(|| "error".into());
    choice.entry("native_finish_reason").or_insert(reason);
    Ok(())
}

/// An answer that is whole has ended: where the service doesn't say why, it said everything, or it waits for tools.
pub(super) fn complete(choice: &mut Map<String, Value>, calls_tools: bool) {
    if !choice.get("finish_reason").is_some_and(Value::is_string) {
        choice.insert("finish_reason".to_owned(), ordinary(calls_tools).into());
    }
}

/// The reason of an answer that ended as it should.
pub(super) fn ordinary(calls_tools: bool) -> &'static str {
    if calls_tools { "tool_calls" } else { "stop" }
}

/// The older completions know three reasons only.
pub(super) fn of_text(choice: &mut Map<String, Value>) {
    if choice
        .get("finish_reason")
        .and_then(Value::as_str)
        .is_some_and(|reason| reason.ends_with("_call") || reason.ends_with("_calls"))
    {
        choice.insert("finish_reason".to_owned(), "stop".into());
    }
}

/// A profile may say of one of OpenAI's own finish reasons that it is a failure.
pub(super) fn calls_a_standard_one_a_failure(profile: &Profile) -> bool {
    let standard = ["stop", "length", "tool_calls", "content_filter", "function_call"];
    standard.iter().any(|reason| profile.finish_reasons.contains_key(*reason))
}

fn word_of(members: &Map<String, Value>) -> String {
    let word = ["type", "reason", "finish_reason"].into_iter().find_map(|name| members.get(name)?.as_str());
    word.unwrap_or_default().to_owned()
}

/// What a finish reason is called by OpenAI; `None` for one that says nothing.
///
/// # Errors
/// The kind of failure that it means.
fn meaning_of(
    profile: &Profile,
    reason: &str,
    calls_tools: bool,
) -> std::result::Result<Option<&'static str>, ErrorKind> {
    if let Some(kind) = profile.finish_reasons.get(reason) {
        return Err(kind.kind());
    }
    let word = reason.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|part| word.contains(part));
    // A `skill` is nothing that was killed.
    let begins = |start: &str| word.split(|c: char| !c.is_alphanumeric()).any(|part| part.starts_with(start));
    Ok(match word.as_str() {
        "" | "null" | "none" | "unspecified" | "finish_reason_unspecified" => None,
        "stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence" | "complete" | "completed" | "end" => {
            Some("stop")
        }
        "tool_calls" | "tool_use" | "tool_call" => Some("tool_calls"),
        "function_call" => Some("function_call"),
        "insufficient_system_resource" => return Err(ErrorKind::Overloaded),
        _ if says(&["abort", "cancel", "interrupt", "disconnect"]) || begins("kill") => {
            return Err(ErrorKind::Interrupted);
        }
        _ if says(&["timeout", "timed_out"]) => return Err(ErrorKind::Timeout),
        _ if says(&["overload", "preempt", "evict", "out_of_memory"]) || begins("oom") => {
            return Err(ErrorKind::Overloaded);
        }
        _ if says(&[
            "filter",
            "safety",
            "sensitive",
            "refus",
            "recitation",
            "guardrail",
            "block",
            "prohibit",
            "spii",
            "moderat",
        ]) =>
        {
            Some("content_filter")
        }
        _ if says(&["error", "fail", "malformed", "crash"]) => return Err(ErrorKind::Upstream),
        // Whatever it is called, an answer that was cut must not pass for a whole one.
        _ if says(&["length", "max", "limit", "trunc", "exceed", "incomplete", "budget"]) => Some("length"),
        _ if says(&["stop", "eos", "end_of"]) => Some(ordinary(calls_tools)),
        _ if says(&["context", "token"]) => Some("length"),
        _ => Some(ordinary(calls_tools)),
    })
}

/// Some services put a sentence there, with whatever they repeat.
fn failed_by_reason(context: &Context, kind: ErrorKind, reason: &str) -> Error {
    let reason = error::name(&context.scrub.cleaner(), reason);
    Error::new(kind, format!("the service broke the answer off with the finish reason `{reason}`"))
        .with_code(reason.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn repaired(reason: Value, calls_tools: bool) -> Result<Value> {
        let mut choice = json!({ "finish_reason": reason });
        let context = Context::of_test("openai-compatible", super::super::Kind::Chat);
        repair(&context, choice.as_object_mut().unwrap(), calls_tools)?;
        Ok(choice["finish_reason"].clone())
    }

    #[test]
    fn a_reason_becomes_the_one_that_openai_has_for_it() {
        for (meaning, reasons) in [
            (
                "stop",
                &[
                    "stop",
                    "STOP",
                    "eos",
                    "eos_token",
                    "end_turn",
                    "stop_sequence",
                    "COMPLETE",
                    "something_new",
                    "stop_token",
                    "skill_done",
                ][..],
            ),
            (
                "length",
                &[
                    "length",
                    "MAX_TOKENS",
                    "max_output_tokens",
                    "model_length",
                    "model_context_window_exceeded",
                    "truncated",
                    "context_window",
                    "out_of_context",
                    "token_budget",
                    "incomplete",
                    "thinking_budget",
                ],
            ),
            ("tool_calls", &["tool_calls", "tool_use", "TOOL_CALL"]),
            ("function_call", &["function_call"]),
            (
                "content_filter",
                &[
                    "content_filter",
                    "SAFETY",
                    "sensitive",
                    "refusal",
                    "RECITATION",
                    "BLOCKLIST",
                    "PROHIBITED_CONTENT",
                    "SPII",
                    "IMAGE_SAFETY",
                    "guardrail_intervened",
                    "blocked",
                ],
            ),
        ] {
            for reason in reasons {
                assert_eq!(repaired(json!(reason), false).unwrap(), meaning, "{reason}");
            }
        }
        assert_eq!(repaired(json!("something_new"), true).unwrap(), "tool_calls");
        assert_eq!(repaired(json!({"type":"stop"}), false).unwrap(), "stop");
    }

    #[test]
    fn a_reason_that_says_nothing_is_none() {
        for reason in [
            json!(""),
            json!("null"),
            json!(false),
            json!(0),
            json!([]),
            json!({}),
            json!("FINISH_REASON_UNSPECIFIED"),
        ] {
            assert_eq!(repaired(reason.clone(), false).unwrap(), Value::Null, "{reason}");
        }
    }

    #[test]
    fn a_reason_that_is_a_failure_is_an_error_of_its_kind() {
        for (reason, kind) in [
            ("insufficient_system_resource", ErrorKind::Overloaded),
            ("aborted", ErrorKind::Interrupted),
            ("cancelled", ErrorKind::Interrupted),
            ("network_error", ErrorKind::Upstream),
            ("error", ErrorKind::Upstream),
            ("MALFORMED_FUNCTION_CALL", ErrorKind::Upstream),
            ("timeout", ErrorKind::Timeout),
            ("client_disconnected", ErrorKind::Interrupted),
            ("worker_killed", ErrorKind::Interrupted),
            ("preempted", ErrorKind::Overloaded),
            ("OOM", ErrorKind::Overloaded),
            ("engine_crash", ErrorKind::Upstream),
        ] {
            assert_eq!(repaired(json!(reason), false).unwrap_err().kind(), kind, "{reason}");
        }
    }
}
