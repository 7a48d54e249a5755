//! The conversation: roles, contents and ids as the service knows them.

use modelswitch_provider::{Document, Error, Result};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::history::Thoughts;
use crate::adapter::{AttachedReasoning, Notes, has_member, insert_instructions, joined_text};
use crate::profile::{ContentRule, RequestRules};
use crate::{ATTACHED_PREFIX, Profile};

/// # Errors
/// [`Unsupported`](modelswitch_provider::ErrorKind::Unsupported) for parts of messages that the service doesn't take.
pub(super) fn adapt(
    profile: &Profile,
    rules: &RequestRules,
    model: &str,
    document: &mut Document,
    instructions: Option<String>,
    notes: &mut Notes,
) -> Result<()> {
    let mut attached = AttachedReasoning::take(document)?;
    if document.bool(ATTACHED_PREFIX) == Some(true) {
        // For an adapter that knows what to do with it. Whoever this is, it isn't one.
        notes.no_effect("prefix", "the profile of this service says of no way to go on with a beginning");
    }
    document.remove(ATTACHED_PREFIX);
    let editor = Editor::new(rules, Thoughts::of(profile, model, document));
    let text = document.get_raw("messages").unwrap_or_default();
    if instructions.is_none() && attached.is_empty() && !editor.may_change(text) {
        return Ok(());
    }
    let Some(mut messages) = document.get::<Vec<Box<RawValue>>>("messages")? else { return Ok(()) };
    let mut changed = false;
    for (index, message) in messages.iter_mut().enumerate() {
        let attached = match has_member(message.get(), "role", "\"assistant\"") {
            true => attached.remove(index),
            false => None,
        };
        if attached.is_none() && !editor.may_change_message(message.get()) {
            continue;
        }
        // What isn't a message is told best by the service.
        let Ok(mut edited) = Document::parse(message.get().to_owned()) else { continue };
        if editor.edit(index, &mut edited, attached, notes)? {
            *message = raw(&edited)?;
            changed = true;
        }
    }
    attached.refuse_unplaced()?;
    if let Some(instructions) = instructions {
        insert_instructions(&mut messages, instructions)?;
        changed = true;
    }
    if changed { document.set("messages", messages) } else { Ok(()) }
}

struct Editor<'a> {
    rules: &'a RequestRules,
    thoughts: Thoughts<'a>,
    /// Members of messages that are left out, and as they stand in a text.
    left_out: Vec<(&'a str, String)>,
}

impl<'a> Editor<'a> {
    fn new(rules: &'a RequestRules, thoughts: Thoughts<'a>) -> Self {
        let names = rules.drop.iter().filter_map(|name| name.strip_prefix("messages[]."));
        Self { rules, thoughts, left_out: names.map(|name| (name, format!("\"{name}\""))).collect() }
    }

    /// True when there may be something to do: a look that costs next to nothing.
    fn may_change(&self, text: &str) -> bool {
        self.thoughts.may_change(text) || self.may_change_besides(text)
    }

    fn may_change_message(&self, text: &str) -> bool {
        self.thoughts.may_change_message(text) || self.may_change_besides(text)
    }

    fn may_change_besides(&self, text: &str) -> bool {
        let has = |word: &str| contains(text, word);
        (self.rules.developer_role.is_some() && has("\"developer\""))
            || (self.rules.content == ContentRule::Text && has_member(text, "content", "["))
            || (self.rules.tool_id_length.is_some() && has("\"tool_call"))
            || self.left_out.iter().any(|(_, quoted)| has(quoted))
    }

    /// Says whether something was changed.
    fn edit(
        &self,
        index: usize,
        message: &mut Document,
        attached: Option<String>,
        notes: &mut Notes,
    ) -> Result<bool> {
        let mut changed = self.role(message, notes)?;
        changed |= self.leave_out(message, notes);
        if self.rules.content == ContentRule::Text {
            changed |= text_alone(index, message, notes)?;
        }
        if let Some(length) = self.rules.tool_id_length {
            changed |= tool_ids(message, usize::from(length), notes)?;
        }
        Ok(self.thoughts.put(message, attached, notes)? || changed)
    }

    fn role(&self, message: &mut Document, notes: &mut Notes) -> Result<bool> {
        let Some(role) = self.rules.developer_role.as_deref() else { return Ok(false) };
        if message.str("role").as_deref() != Some("developer") {
            return Ok(false);
        }
        message.set("role", role)?;
        notes.same_meaning("role", format!("`developer` sent as `{role}`, which the service knows"));
        Ok(true)
    }

    fn leave_out(&self, message: &mut Document, notes: &mut Notes) -> bool {
        let mut changed = false;
        for (name, _) in &self.left_out {
            if message.remove(name) {
                let parameter = format!("messages[].{name}");
                notes.change(&parameter, "left out: the service doesn't take it", "leave it out");
                changed = true;
            }
        }
        changed
    }
}

/// A list of text parts as one text.
fn text_alone(index: usize, message: &mut Document, notes: &mut Notes) -> Result<bool> {
    if !message.get_raw("content").is_some_and(|content| content.starts_with('[')) {
        return Ok(false);
    }
    let parts = message.get::<Vec<Value>>("content")?.unwrap_or_default();
    if let Some(text) = joined_text(&parts) {
        message.set("content", text)?;
        notes.same_meaning("messages", "lists of texts put together: the service takes text alone");
        return Ok(true);
    }
    let mut kinds = parts.iter().filter_map(|part| part.get("type").and_then(Value::as_str));
    let kind = kinds.find(|kind| !matches!(*kind, "text" | "refusal")).unwrap_or_default();
    let shown: String = kind.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect();
    Err(Error::unsupported(format!(
        "the service takes text alone, and message {} has a part of the type `{shown}`",
        index + 1
    ))
    .with_param("messages")
    .with_hint("leave it out, or ask a service that takes it"))
}

/// The ids of calls and of their results, in the form that the service wants.
fn tool_ids(message: &mut Document, length: usize, notes: &mut Notes) -> Result<bool> {
    let mut changed = rewrite_id(message, "tool_call_id", length)?;
    if message.has("tool_calls") {
        let mut calls = message.get::<Vec<Box<RawValue>>>("tool_calls")?.unwrap_or_default();
        let mut rewritten = false;
        for call in &mut calls {
            let Ok(mut edited) = Document::parse(call.get().to_owned()) else { continue };
            if rewrite_id(&mut edited, "id", length)? {
                *call = raw(&edited)?;
                rewritten = true;
            }
        }
        if rewritten {
            message.set("tool_calls", calls)?;
            changed = true;
        }
    }
    if changed {
        notes.same_meaning(
            "tool_call_id",
            format!("ids of calls sent as {length} letters and digits, which the service wants"),
        );
    }
    Ok(changed)
}

fn rewrite_id(owner: &mut Document, name: &str, length: usize) -> Result<bool> {
    let Some(id) = owner.str(name) else { return Ok(false) };
    if id.len() == length && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(false);
    }
    let id = short_id(&id, length);
    owner.set(name, id)?;
    Ok(true)
}

/// The same for the same id, so that results find their calls again in every later request.
fn short_id(id: &str, length: usize) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    // FNV-1a: the same on every machine and in every version, unlike the hashers of the standard library.
    let mut hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mut digit = || {
        let digit = DIGITS.get(usize::try_from(hash % 36).unwrap_or_default()).copied().unwrap_or(b'0');
        hash /= 36;
        char::from(digit)
    };
    (0..length).map(|_| digit()).collect()
}

pub(super) fn raw(value: &impl Serialize) -> Result<Box<RawValue>> {
    serde_json::value::to_raw_value(value).map_err(|_| Error::invalid_request("a message can't be sent"))
}

pub(super) fn contains(text: &str, word: &str) -> bool {
    memchr::memmem::find(text.as_bytes(), word.as_bytes()).is_some()
}
