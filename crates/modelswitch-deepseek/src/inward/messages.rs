//! The conversation of a chat request.

use std::collections::BTreeMap;
use std::sync::Arc;

use modelswitch_openai::{ATTACHED_REASONING, PassBack};
use modelswitch_provider::{Document, Error, Message, Result};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::look::{has_member, has_name};
use super::notes::Notes;
use super::parameters::{self, thinks};
use super::{Plan, Terms};
use crate::memory::Trace;

/// # Errors
/// [`Unsupported`](modelswitch_provider::ErrorKind::Unsupported) for pictures and sounds that the model doesn't take.
pub(super) fn adapt(
    body: &mut Document,
    terms: Terms<'_>,
    instructions: Option<String>,
    plan: &mut Plan,
    notes: &mut Notes,
) -> Result<()> {
    let attached = take_attached(body)?;
    let model = body.str("model").unwrap_or_default().into_owned();
    let thoughts = Thoughts::of(body, &terms, &model);
    let sees = parameters::sees(terms.profile, &model);
    let text = body.get_raw("messages").unwrap_or_default();
    let is_needed = Look::of(text).finds_something()
        || thoughts.wants_the_conversation()
        || !attached.is_empty()
        || instructions.is_some();
    if !is_needed {
        return Ok(());
    }
    let Some(mut messages) = body.get::<Vec<Box<RawValue>>>("messages")? else { return Ok(()) };
    let mut changed = false;
    let mut trace = Trace::default();
    for (index, message) in messages.iter_mut().enumerate() {
        let mut editor = Editor { model: &model, sees, index, thoughts, notes: &mut *notes };
        let known = || terms.memory.and_then(|memory| memory.recall_after(trace, &typed(message)));
        let reasoning = attached.get(&index).cloned();
        if let Some(edited) = editor.edit(message, reasoning, known)? {
            *message = edited;
            changed = true;
        }
        if let (true, Some(memory)) = (thoughts.wants_the_conversation(), terms.memory) {
            trace = memory.follow(trace, &typed(message));
        }
    }
    plan.trace = (thoughts.wants_the_conversation() && terms.memory.is_some()).then_some(trace);
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
#[derive(Clone, Copy, Debug)]
struct Look {
    lists: bool,
    media: bool,
    prefix: bool,
    nothing_said: bool,
    thoughts: bool,
}

impl Look {
    fn of(text: &str) -> Self {
        let part = |kind: &str| has_member(text, "type", &format!("\"{kind}\""));
        Self {
            lists: part("text") || part("refusal"),
            media: ["image_url", "input_audio", "video_url", "file"].into_iter().any(part),
            prefix: has_member(text, "prefix", "true"),
            nothing_said: has_member(text, "content", "null"),
            thoughts: ["reasoning_content", "reasoning", "reasoning_details", "reasoning_signature"]
                .into_iter()
                .any(|name| has_name(text, name)),
        }
    }

    fn finds_something(self) -> bool {
        self.lists || self.media || self.prefix || self.nothing_said || self.thoughts
    }
}

struct Editor<'a, 'n> {
    model: &'a str,
    sees: bool,
    index: usize,
    thoughts: Thoughts<'a>,
    notes: &'n mut Notes,
}

impl Editor<'_, '_> {
    /// The message as DeepSeek takes it; `None` for one that it takes as it is.
    fn edit(
        &mut self,
        text: &RawValue,
        attached: Option<String>,
        recall: impl FnOnce() -> Option<Arc<str>>,
    ) -> Result<Option<Box<RawValue>>> {
        let look = Look::of(text.get());
        let is_answer = has_member(text.get(), "role", "\"assistant\"");
        let is_wanted = is_answer && (attached.is_some() || self.thoughts.wants_the_conversation());
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
        if is_role(&message, "assistant") {
            changed |= look.nothing_said && say_nothing(&mut message);
            changed |= look.thoughts && self.clear_thoughts(&mut message);
            changed |= self.pass_back(&mut message, attached, recall);
        }
        if !changed {
            return Ok(None);
        }
        serde_json::value::to_raw_value(&message)
            .map(Some)
            .map_err(|_| Error::invalid_request("a message can't be sent"))
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
        &self,
        message: &mut Map<String, Value>,
        attached: Option<String>,
        recall: impl FnOnce() -> Option<Arc<str>>,
    ) -> bool {
        // In a prefix to be gone on with, reasoning is a beginning of the thought and not a memory of one.
        let is_prefix = message.get("prefix") == Some(&Value::Bool(true));
        let is_there = message.get("reasoning_content").is_some_and(Value::is_string);
        if is_prefix || is_there || self.thoughts.rule == PassBack::Never {
            return false;
        }
        let text = match attached {
            Some(text) => Some(text),
            None if self.thoughts.wants(message) => {
                recall().as_deref().or(self.thoughts.empty).map(str::to_owned)
            }
            None => None,
        };
        let Some(text) = text else { return false };
        message.insert("reasoning_content".to_owned(), text.into());
        true
    }
}

/// The reasoning that the app attached to its messages, by their numbers. It is no field of DeepSeek's.
fn take_attached(body: &mut Document) -> Result<BTreeMap<usize, String>> {
    let attached = body.get(ATTACHED_REASONING)?;
    body.remove(ATTACHED_REASONING);
    Ok(attached.unwrap_or_default())
}

fn typed(message: &RawValue) -> Message {
    serde_json::from_str(message.get()).unwrap_or_default()
}

fn is_role(message: &Map<String, Value>, role: &str) -> bool {
    message.get("role").and_then(Value::as_str) == Some(role)
}

/// A list of nothing but text parts as one text: DeepSeek refused lists for long, and some gateways still do.
fn collapse_text(message: &mut Map<String, Value>) -> bool {
    let Some(Value::Array(parts)) = message.get("content") else { return false };
    let text = |part: &Value| match part.get("type").and_then(Value::as_str) {
        Some(kind @ ("text" | "refusal")) => part.get(kind).and_then(Value::as_str).map(str::to_owned),
        _ => None,
    };
    let Some(texts) = parts.iter().map(text).collect::<Option<Vec<_>>>() else { return false };
    message.insert("content".to_owned(), texts.join("\n").into());
    true
}

/// DeepSeek refuses an answer in the history that has neither content nor calls.
fn say_nothing(message: &mut Map<String, Value>) -> bool {
    if message.get("content").is_some_and(|content| !content.is_null()) {
        return false;
    }
    message.insert("content".to_owned(), "".into());
    true
}

/// Behind the system messages at the beginning, so that what stands before it stays the same from call to call and its cache is
/// found again.
fn insert_instructions(messages: &mut Vec<Box<RawValue>>, instructions: String) -> Result<()> {
    let is_system = |message: &RawValue| {
        let role = typed(message).role;
        matches!(role.as_str(), "system" | "developer")
    };
    let place = messages.iter().take_while(|message| is_system(message)).count();
    let message = serde_json::value::to_raw_value(&Message::system(instructions))
        .map_err(|_| Error::invalid_request("the instructions can't be sent"))?;
    messages.insert(place, message);
    Ok(())
}
