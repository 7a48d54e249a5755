//! The conversation of a chat request.

use std::sync::Arc;

use modelswitch_openai::adapter::{
    AttachedReasoning, Notes, has_member, insert_instructions, joined_text, members,
};
use modelswitch_openai::{ATTACHED_PREFIX, PassBack};
use modelswitch_provider::{Document, Error, Result};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::parameters::{self, thinks};
use super::{Plan, Terms};
use crate::memory::{ReasoningMemory, Said};

/// # Errors
/// [`Unsupported`](modelswitch_provider::ErrorKind::Unsupported) for pictures and sounds that the model doesn't take.
pub(super) fn adapt(
    body: &mut Document,
    terms: Terms<'_>,
    instructions: Option<String>,
    plan: &mut Plan,
    notes: &mut Notes,
) -> Result<()> {
    let mut attached = AttachedReasoning::take(body)?;
    let marks_prefix = body.bool(ATTACHED_PREFIX) == Some(true);
    body.remove(ATTACHED_PREFIX);
    let model = body.str("model").unwrap_or_default().into_owned();
    let thoughts = Thoughts::of(body, &terms, &model);
    let sees = parameters::sees(terms.profile, &model);
    let text = body.get_raw("messages").unwrap_or_default();
    let is_needed = Look::of(text).finds_something()
        || thoughts.wants_the_conversation()
        || !attached.is_empty()
        || marks_prefix
        || instructions.is_some();
    if !is_needed {
        return Ok(());
    }
    let Some(mut messages) = body.get::<Vec<Box<RawValue>>>("messages")? else { return Ok(()) };
    let mut changed = marks_prefix;
    if marks_prefix {
        mark_prefix(&mut messages)?;
    }
    refuse_prefix_inside(&messages)?;
    let memory =
        terms.memory.filter(|_| thoughts.wants_the_conversation()).map(|memory| match body.str("user_id") {
            Some(user) => memory.of_user(&user),
            None => memory.clone(),
        });
    let mut trace = memory.as_ref().map(ReasoningMemory::begin);
    for (index, message) in messages.iter_mut().enumerate() {
        let (known, after) = match (&memory, trace, Said::read(message.get())) {
            (Some(memory), Some(trace), Some(said)) => {
                (memory.recall_after(trace, &said), Some(memory.follow(trace, &said)))
            }
            _ => (None, trace),
        };
        let is_answer = has_member(message.get(), "role", "\"assistant\"");
        let attached = if is_answer { attached.remove(index) } else { None };
        let mut editor = Editor { model: &model, sees, index, is_answer, thoughts, notes: &mut *notes };
        if let Some(edited) = editor.edit(message, attached, known)? {
            *message = edited;
            changed = true;
        }
        trace = after;
    }
    attached.refuse_unplaced()?;
    plan.memory = memory.zip(trace);
    plan.beta |= messages.last().is_some_and(|last| has_member(last.get(), "prefix", "true"));
    if let Some(instructions) = instructions {
        insert_instructions(&mut messages, instructions)?;
        changed = true;
    }
    if changed { body.set("messages", messages) } else { Ok(()) }
}

/// What becomes of the reasoning in the history of this request.
#[derive(Clone, Copy, Debug)]
struct Thoughts<'a> {
    rule: PassBack,
    thinks: bool,
    has_tools: bool,
    /// What stands for a thought that isn't known.
    empty: Option<&'a str>,
}

impl<'a> Thoughts<'a> {
    fn of(body: &Document, terms: &Terms<'a>, model: &str) -> Self {
        Self {
            rule: terms.profile.pass_back(model),
            thinks: thinks(body),
            has_tools: body.get_raw("tools").is_some_and(|tools| tools != "[]" && tools != "null"),
            empty: terms.profile.empty_reasoning(model),
        }
    }

    /// True when answers of this conversation will be wanted back.
    fn wants_the_conversation(self) -> bool {
        self.thinks && self.rule.wants(self.has_tools, self.has_tools)
    }

    fn wants(self, message: &Map<String, Value>) -> bool {
        let calls =
            message.get("tool_calls").and_then(Value::as_array).is_some_and(|calls| !calls.is_empty());
        self.wants_the_conversation() && self.rule.wants(self.has_tools, calls)
    }
}

/// What a look finds in the text of a message, or of all.
#[derive(Clone, Copy, Debug, Default)]
struct Look {
    lists: bool,
    media: bool,
    prefix: bool,
    nothing_said: bool,
    thoughts: bool,
}

impl Look {
    fn of(text: &str) -> Self {
        let mut look = Self::default();
        let mut roles = 0;
        let mut contents = 0;
        // One pass over the names: a conversation may be megabytes.
        for (name, value) in members(text) {
            match name {
                "type" => {
                    let part =
                        |kind: &str| value.strip_prefix('"').is_some_and(|rest| rest.starts_with(kind));
                    look.lists |= part("text\"") || part("refusal\"");
                    look.media |=
                        ["image_url\"", "input_audio\"", "video_url\"", "file\""].into_iter().any(part);
                }
                "prefix" => look.prefix |= value.starts_with("true"),
                "role" => roles += 1,
                "content" => {
                    contents += 1;
                    look.nothing_said |= value.starts_with("null");
                }
                name => look.thoughts |= name.starts_with("reasoning"),
            }
        }
        // A message without a content, or a part with one: either way there is something to look at.
        look.nothing_said |= roles != contents;
        look
    }

    fn finds_something(self) -> bool {
        self.lists || self.media || self.prefix || self.nothing_said || self.thoughts
    }
}

struct Editor<'a, 'n> {
    model: &'a str,
    sees: bool,
    index: usize,
    is_answer: bool,
    thoughts: Thoughts<'a>,
    notes: &'n mut Notes,
}

impl Editor<'_, '_> {
    /// The message as DeepSeek takes it; `None` for one that it takes as it is.
    fn edit(
        &mut self,
        text: &RawValue,
        attached: Option<String>,
        known: Option<Arc<str>>,
    ) -> Result<Option<Box<RawValue>>> {
        let look = Look::of(text.get());
        let is_wanted = self.is_answer && (attached.is_some() || self.thoughts.wants_the_conversation());
        if !look.finds_something() && !is_wanted {
            return Ok(None);
        }
        let Ok(mut message) = serde_json::from_str::<Map<String, Value>>(text.get()) else { return Ok(None) };
        let mut changed = false;
        if look.media {
            self.refuse_media(&message)?;
            changed |= self.flatten_files(&mut message);
        }
        changed |= look.lists && collapse_text(&mut message);
        if self.is_answer {
            changed |= say_nothing(&mut message);
            changed |= look.thoughts && self.clear_thoughts(&mut message);
            changed |= self.pass_back(&mut message, attached, known);
        }
        if !changed {
            return Ok(None);
        }
        raw(&message).map(Some)
    }

    fn refuse_media(&self, message: &Map<String, Value>) -> Result<()> {
        let parts = message.get("content").and_then(Value::as_array).into_iter().flatten();
        for kind in parts.filter_map(|part| part.get("type").and_then(Value::as_str)) {
            let (wrong, hint) = match kind {
                "input_audio" => ("DeepSeek takes no audio".to_owned(), "send a transcript"),
                "video_url" => ("DeepSeek takes no video".to_owned(), "send pictures of it"),
                "image_url" | "file" if !self.sees => {
                    (format!("`{}` takes no images", self.model), "ask deepseek-flash, which sees")
                }
                "image_url" | "file" if is_role(message, "system") || is_role(message, "assistant") => (
                    "DeepSeek takes images in messages of the user and of tools only".to_owned(),
                    "put the image into a message of the user",
                ),
                _ => continue,
            };
            return Err(Error::unsupported(format!("{wrong} (message {})", self.index + 1))
                .with_param("messages")
                .with_hint(hint));
        }
        Ok(())
    }

    /// OpenAI puts a file's members under `file`, DeepSeek beside the type.
    fn flatten_files(&mut self, message: &mut Map<String, Value>) -> bool {
        let mut changed = false;
        for part in message.get_mut("content").and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(part) = part.as_object_mut() else { continue };
            if !part.get("file").is_some_and(Value::is_object) {
                continue;
            }
            if let Some(Value::Object(file)) = part.remove("file") {
                part.extend(file);
                changed = true;
            }
        }
        if changed {
            self.notes.same_meaning(
                "messages",
                "the members of files sent beside their type, where DeepSeek looks for them",
            );
        }
        changed
    }

    /// Takes out what other services call thoughts: DeepSeek refuses or ignores it, and it isn't its own. And its own, where a
    /// model refuses it.
    fn clear_thoughts(&mut self, message: &mut Map<String, Value>) -> bool {
        let mut changed = false;
        for name in ["reasoning", "reasoning_details", "reasoning_signature"] {
            changed |= message.remove(name).is_some();
        }
        if message.get("reasoning_content").is_some_and(Value::is_null) {
            message.remove("reasoning_content");
            changed = true;
        }
        if self.thoughts.rule == PassBack::Never && message.remove("reasoning_content").is_some() {
            self.notes
                .same_meaning("reasoning_content", "left out of the history: this model refuses it there");
            changed = true;
        }
        changed
    }

    /// Puts back what the model thought.
    fn pass_back(
        &mut self,
        message: &mut Map<String, Value>,
        attached: Option<String>,
        known: Option<Arc<str>>,
    ) -> bool {
        // In a prefix to be gone on with, reasoning is a beginning of the thought and not a memory of one.
        let is_prefix = message.get("prefix") == Some(&Value::Bool(true));
        let is_there = message.get("reasoning_content").is_some_and(Value::is_string);
        if is_prefix || is_there || self.thoughts.rule == PassBack::Never {
            return false;
        }
        let text = match (attached, known) {
            (Some(text), _) => Some(text),
            (None, _) if !self.thoughts.wants(message) => None,
            (None, Some(text)) => Some(text.to_string()),
            (None, None) => {
                let said = "what was thought before an earlier answer isn't known; it goes back empty";
                self.notes.same_meaning("reasoning_content", said);
                self.thoughts.empty.map(str::to_owned)
            }
        };
        let Some(text) = text else { return false };
        message.insert("reasoning_content".to_owned(), text.into());
        true
    }
}

/// The service would say that it wants the beta, and be there already.
fn refuse_prefix_inside(messages: &[Box<RawValue>]) -> Result<()> {
    let inside = messages.split_last().map(|(_, before)| before).unwrap_or_default();
    match inside.iter().position(|message| has_member(message.get(), "prefix", "true")) {
        None => Ok(()),
        Some(index) => {
            Err(Error::invalid_request(format!("message {index} is a prefix and not the last one"))
                .with_param("messages")
                .with_hint("put the beginning of the answer behind all other messages"))
        }
    }
}

fn mark_prefix(messages: &mut [Box<RawValue>]) -> Result<()> {
    let last = messages
        .last_mut()
        .and_then(|last| Some((serde_json::from_str::<Map<String, Value>>(last.get()).ok()?, last)));
    let Some((mut message, last)) = last.filter(|(message, _)| is_role(message, "assistant")) else {
        return Err(Error::invalid_request("only a last message of the assistant can be a prefix")
            .with_param("messages")
            .with_hint("put the beginning of the answer behind the other messages, as the assistant's"));
    };
    message.insert("prefix".to_owned(), true.into());
    *last = raw(&message)?;
    Ok(())
}

fn raw(message: &impl serde::Serialize) -> Result<Box<RawValue>> {
    serde_json::value::to_raw_value(message).map_err(|_| Error::invalid_request("a message can't be sent"))
}

fn is_role(message: &Map<String, Value>, role: &str) -> bool {
    message.get("role").and_then(Value::as_str) == Some(role)
}

/// A list of nothing but text parts as one text: DeepSeek refused lists for long, and some gateways still do.
fn collapse_text(message: &mut Map<String, Value>) -> bool {
    let Some(Value::Array(parts)) = message.get("content") else { return false };
    let Some(text) = joined_text(parts) else { return false };
    message.insert("content".to_owned(), text.into());
    true
}

/// DeepSeek refuses an answer in the history that has neither content nor calls, and takes an empty one.
fn say_nothing(message: &mut Map<String, Value>) -> bool {
    if message.get("content").is_some_and(|content| !content.is_null()) {
        return false;
    }
    message.insert("content".to_owned(), "".into());
    true
}
