//! What the model thought in earlier turns, in the form that the service looks for.

use modelswitch_provider::{Document, Result};
use serde_json::{Value, json};

use super::messages::contains;
use crate::Profile;
use crate::adapter::{Notes, has_member};
use crate::profile::{History, PassBack};

const CONTENT: &str = "reasoning_content";
/// All names that it has; the first is ours.
const NAMES: [&str; 3] = [CONTENT, "reasoning", "reasoning_details"];

/// What becomes of the reasoning in the history of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thoughts<'a> {
    form: History,
    tags: (&'a str, &'a str),
    rule: PassBack,
    /// What stands for a thought that isn't known and must be there.
    empty: Option<&'a str>,
    has_tools: bool,
    /// `reasoning` is moved to `reasoning_content`: not where the service knows it itself.
    takes_ours_only: bool,
}

impl<'a> Thoughts<'a> {
    pub(super) fn of(profile: &'a Profile, model: &str, document: &Document) -> Self {
        let rules = &profile.reasoning;
        let is_off = |name: &str| {
            let raw = document.get_raw(name).unwrap_or_default();
            raw == "false" || has_member(raw, "type", "\"disabled\"")
        };
        let thinks = !is_off("thinking")
            && !is_off("enable_thinking")
            && document.str("reasoning_effort").as_deref() != Some("none");
        let has_place = matches!(
            rules.history,
            History::ReasoningContent | History::Reasoning | History::ReasoningDetails
        );
        Self {
            form: rules.history,
            tags: rules.tags.as_ref().map_or(("<think>", "</think>"), |(open, close)| (open, close)),
            rule: profile.pass_back(model),
            empty: profile.empty_reasoning(model).filter(|_| thinks && has_place),
            takes_ours_only: rules.fields.iter().any(|name| name == CONTENT)
                && !rules.fields.iter().any(|name| name == "reasoning"),
            has_tools: document.get_raw("tools").is_some_and(|tools| tools != "[]" && tools != "null"),
        }
    }

    /// True when a conversation with this text may have to be changed: a look that costs next to nothing.
    pub(super) fn may_change(self, text: &str) -> bool {
        self.moves(text) || self.may_miss(text)
    }

    fn moves(self, text: &str) -> bool {
        match self.form {
            History::ReasoningContent => {
                self.takes_ours_only
                    && (contains(text, "\"reasoning\"") || contains(text, "\"reasoning_details\""))
            }
            History::Reasoning
            | History::ReasoningDetails
            | History::ThinkingParts
            | History::Tags
            | History::Drop => contains(text, "\"reasoning"),
        }
    }

    fn may_miss(self, text: &str) -> bool {
        self.empty.is_some()
            && self.rule.wants(self.has_tools, contains(text, "\"tool_calls\""))
            && contains(text, "\"assistant\"")
    }

    /// True when this one message may have to be changed.
    pub(super) fn may_change_message(self, text: &str) -> bool {
        self.moves(text) || (self.may_miss(text) && !contains(text, "\"reasoning"))
    }

    /// Puts the reasoning of a message where the service looks for it; `attached` is what the app gave beside its messages. Says
    /// whether something was changed.
    ///
    /// # Errors
    /// Never but for lack of memory: the values are plain JSON.
    pub(super) fn put(
        self,
        message: &mut Document,
        attached: Option<String>,
        notes: &mut Notes,
    ) -> Result<bool> {
        let mut changed = false;
        if let Some(text) = attached.filter(|_| !message.has(CONTENT)) {
            message.set(CONTENT, text)?;
            changed = true;
        }
        let names: Vec<&str> = NAMES.into_iter().filter(|name| message.get_raw(name).is_some()).collect();
        if names.is_empty() {
            return Ok(self.fill_in(message, notes)? || changed);
        }
        Ok(match self.form {
            History::ReasoningContent if !self.takes_ours_only => changed,
            History::ReasoningContent => as_ours(message, notes)? || changed,
            History::Reasoning => as_reasoning(message, notes)? || changed,
            History::ReasoningDetails if message.has("reasoning_details") => {
                let is_double = message.remove(CONTENT);
                if is_double {
                    notes.same_meaning(CONTENT, "left out of the history: `reasoning_details` says it");
                }
                is_double || changed
            }
            History::ReasoningDetails => as_reasoning(message, notes)? || changed,
            History::ThinkingParts => {
                self.as_content(message, thinking_part, "a part of the type `thinking`", notes)?
            }
            History::Tags => {
                let (open, close) = self.tags;
                let part = |text: &str| json!({ "type": "text", "text": format!("{open}{text}{close}\n") });
                self.as_content(message, part, &format!("text between {open} and {close}"), notes)?
            }
            History::Drop => {
                notes.same_meaning(CONTENT, "left out of the history: the service has no place for it");
                names.iter().fold(changed, |changed, name| message.remove(name) || changed)
            }
        })
    }

    /// In front of what was said.
    fn as_content(
        self,
        message: &mut Document,
        part: impl Fn(&str) -> Value,
        form: &str,
        notes: &mut Notes,
    ) -> Result<bool> {
        let thought = thought(message).filter(|text| !text.is_empty());
        NAMES.into_iter().for_each(|name| {
            message.remove(name);
        });
        let Some(thought) = thought else {
            notes.same_meaning(CONTENT, "left out of the history: nothing was thought");
            return Ok(true);
        };
        notes.same_meaning(CONTENT, format!("sent as {form}, where the service looks for it"));
        let part = part(&thought);
        let said = message.get::<Value>("content")?;
        let content = match (said, part.get("text").and_then(Value::as_str)) {
            (Some(Value::String(said)), Some(before)) => format!("{before}{said}").into(),
            (None, Some(before)) => before.into(),
            (Some(Value::Array(parts)), _) => std::iter::once(part).chain(parts).collect(),
            (Some(Value::String(said)), None) if !said.is_empty() => {
                json!([part, { "type": "text", "text": said }])
            }
            (_, _) => json!([part]),
        };
        message.set("content", content)?;
        Ok(true)
    }

    /// A service that wants reasoning back refuses a turn without; an empty one is taken.
    fn fill_in(self, message: &mut Document, notes: &mut Notes) -> Result<bool> {
        let calls = message.get_raw("tool_calls").is_some_and(|calls| calls != "[]" && calls != "null");
        let is_answer = message.str("role").as_deref() == Some("assistant");
        // In a prefix to be gone on with, reasoning would be a beginning of the thought and not a memory of one.
        let is_prefix = message.bool("prefix") == Some(true) || message.bool("partial") == Some(true);
        let Some(empty) =
            self.empty.filter(|_| is_answer && !is_prefix && self.rule.wants(self.has_tools, calls))
        else {
            return Ok(false);
        };
        notes.same_meaning(
            CONTENT,
            "what was thought before an earlier answer isn't known; it goes back empty",
        );
        let name = if self.form == History::ReasoningContent { CONTENT } else { "reasoning" };
        message.set(name, empty)?;
        Ok(true)
    }
}

/// Moves what another service called otherwise to where this one looks.
fn as_ours(message: &mut Document, notes: &mut Notes) -> Result<bool> {
    if message.str(CONTENT).is_none() {
        let Some(thought) = thought(message) else { return Ok(false) };
        message.set(CONTENT, thought)?;
        notes.same_meaning("reasoning", "sent as `reasoning_content`, where the service looks for it");
    } else {
        notes.same_meaning("reasoning", "left out of the history: `reasoning_content` says it");
    }
    message.remove("reasoning");
    message.remove("reasoning_details");
    Ok(true)
}

fn as_reasoning(message: &mut Document, notes: &mut Notes) -> Result<bool> {
    if message.has("reasoning") {
        let is_double = message.remove(CONTENT);
        if is_double {
            notes.same_meaning(CONTENT, "left out of the history: `reasoning` says it");
        }
        return Ok(is_double);
    }
    if message.rename(CONTENT, "reasoning") {
        notes.same_meaning(CONTENT, "sent as `reasoning`, where the service looks for it");
        return Ok(true);
    }
    let Some(thought) = thought(message) else { return Ok(false) };
    message.set("reasoning", thought)?;
    message.remove("reasoning_details");
    notes.same_meaning("reasoning_details", "sent as `reasoning`, where the service looks for it");
    Ok(true)
}

/// What was thought, under whichever name it is known. Details that are encrypted say nothing to another service.
fn thought(message: &Document) -> Option<String> {
    let plain = message.str(CONTENT).or_else(|| message.str("reasoning"));
    if let Some(text) = plain {
        return Some(text.into_owned());
    }
    let details: Vec<Value> = message.get("reasoning_details").ok()??;
    let texts = details.iter().filter_map(|one| one.get("text").or_else(|| one.get("summary"))?.as_str());
    let texts: Vec<&str> = texts.collect();
    (!texts.is_empty()).then(|| texts.concat())
}

/// As Mistral's reasoning models answer, and take it back (<https://docs.mistral.ai/capabilities/reasoning/>).
fn thinking_part(text: &str) -> Value {
    json!({ "type": "thinking", "thinking": [{ "type": "text", "text": text }] })
}
