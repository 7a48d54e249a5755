//! What the chunks of one stream have told so far.

use std::collections::VecDeque;

use modelswitch_provider::Alike;
use serde_json::{Map, Value};

use super::calls::{Calls, Placed};
use super::look::OnlyText;
use super::repair;
use super::thought::{Thought, Told};
use crate::Profile;

#[derive(Debug, Default)]
pub(super) struct Seen {
    id: Option<String>,
    model: Option<String>,
    created: Option<u32>,
    choices: Vec<SeenChoice>,
    /// The last chunk that conformed and told nothing but text.
    alike: Alike,
    /// The choice that it was of, and what of an answer it told.
    alike_choice: u32,
    alike_part: Parts,
    /// How many deltas came.
    delta: u64,
    /// The usage that was handed on.
    given: Option<Counts>,
    /// One that was held back, for a later one may say more.
    owed: Option<Value>,
}

/// Of the request, of the answer, of both.
type Counts = (u32, u32, u32);

/// What the chunks have told of one choice.
#[derive(Debug, Default)]
pub(super) struct SeenChoice {
    pub(super) index: u32,
    pub(super) ended: bool,
    /// What came as deltas.
    pub(super) said: Parts,
    /// Why it ended, and the number of the delta that told so.
    reason: Option<(u64, String)>,
    pub(super) calls: Calls,
    /// Where the pieces of calls belong that a look has seen.
    pub(super) placed: VecDeque<Placed>,
    thought: Option<Thought>,
    /// The text and the reasoning so far, of a service that says all of it in each chunk.
    so_far: [String; 2],
}

/// What of an answer is said in a message or a delta, or was in those before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) text: bool,
    pub(super) thought: bool,
    pub(super) refusal: bool,
    pub(super) calls: bool,
    pub(super) audio: bool,
}

impl Parts {
    /// Reasoning counts where [`unify`](super::reasoning::unify) puts it.
    pub(super) fn of(message: &Map<String, Value>) -> Self {
        let has = |name: &str| match message.get(name) {
            Some(Value::String(text)) => !text.is_empty(),
            Some(Value::Array(items)) => !items.is_empty(),
            Some(Value::Object(members)) => !members.is_empty(),
            Some(Value::Null | Value::Bool(_) | Value::Number(_)) | None => false,
        };
        Self {
            text: has("content"),
            thought: has("reasoning_content"),
            refusal: has("refusal"),
            calls: has("tool_calls") || has("function_call"),
            audio: has("audio"),
        }
    }

    pub(super) fn is_none(self) -> bool {
        self == Self::default()
    }

    /// True when more than thoughts are said.
    pub(super) fn answers(self) -> bool {
        !Self { thought: false, ..self }.is_none()
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self {
            text: self.text || other.text,
            thought: self.thought || other.thought,
            refusal: self.refusal || other.refusal,
            calls: self.calls || other.calls,
            audio: self.audio || other.audio,
        }
    }

    /// Of a message that says the whole once more, what isn't said yet.
    pub(super) fn unsaid(self, message: Map<String, Value>) -> impl Iterator<Item = (String, Value)> {
        message.into_iter().filter(move |(name, _)| match name.as_str() {
            "content" => !self.text,
            "reasoning_content" => !self.thought,
            "refusal" => !self.refusal,
            "tool_calls" | "function_call" => !self.calls,
            "audio" => !self.audio,
            _ => false,
        })
    }
}

/// More than any service answers; a stream that invents new ones for ever must not fill the memory.
pub(super) const MOST_CHOICES: usize = 128;

impl Seen {
    /// True when a choice has begun.
    pub(super) fn has_begun(&self) -> bool {
        !self.choices.is_empty()
    }

    /// True when each choice that began has ended.
    pub(super) fn is_finished(&self) -> bool {
        !self.choices.is_empty() && self.choices.iter().all(|choice| choice.ended)
    }

    pub(super) fn next_delta(&mut self) {
        self.delta = self.delta.saturating_add(1);
        self.forget_placed();
    }

    /// Keeps a chunk that conforms, to know others like it.
    pub(super) fn learn(&mut self, chunk: &[u8], only: &OnlyText<'_>) {
        if self.alike.learn(chunk, only.text) {
            self.alike_choice = only.choice;
            self.alike_part = only.part();
        }
    }

    /// True for a chunk that conforms and tells nothing but more text, as is seen without reading it. What reading it would
    /// have noted is noted.
    pub(super) fn is_more_text(&mut self, chunk: &[u8]) -> bool {
        let Some(text) = self.alike.text_of(chunk) else { return false };
        self.next_delta();
        let part = self.alike_part;
        if !text.is_empty()
            && let Some(choice) = self.choice(self.alike_choice)
        {
            choice.said = choice.said.and(part);
        }
        true
    }

    /// True when all that comes of the text of a choice is the answer, with no tag to look for.
    pub(super) fn is_answering(&mut self, profile: &Profile, choice: u32) -> bool {
        self.choice(choice).and_then(|choice| choice.thought(profile)).is_none_or(|thought| thought.is_over())
    }

    pub(super) fn delta(&self) -> u64 {
        self.delta
    }

    pub(super) fn created(&self) -> Option<u32> {
        self.created
    }

    /// `None` beyond the most choices that are told apart.
    pub(super) fn choice(&mut self, index: u32) -> Option<&mut SeenChoice> {
        let position = match self.choices.iter().position(|choice| choice.index == index) {
            Some(position) => position,
            None if self.choices.len() < MOST_CHOICES => {
                self.choices.push(SeenChoice::of(index));
                self.choices.len() - 1
            }
            None => return None,
        };
        self.choices.get_mut(position)
    }

    /// The choices that began and haven't ended.
    pub(super) fn open_choices(&mut self) -> impl Iterator<Item = &mut SeenChoice> {
        self.choices.iter_mut().filter(|choice| !choice.ended)
    }

    /// What a look placed is of one chunk only.
    pub(super) fn forget_placed(&mut self) {
        self.choices.iter_mut().for_each(|choice| choice.placed.clear());
    }

    /// Learns from the first chunk what all have.
    pub(super) fn know(&mut self, id: &str, model: &str, created: u32) {
        if self.id.is_none() {
            self.id = Some(id.to_owned());
            self.model = Some(model.to_owned());
            self.created = Some(created);
        }
    }

    /// The same from one that was repaired. What is filled in must be the same in the next.
    pub(super) fn know_chunk(&mut self, chunk: &Map<String, Value>) {
        let text = |name: &str| chunk.get(name).and_then(Value::as_str).unwrap_or_default();
        let created = chunk.get("created").and_then(repair::count).unwrap_or_default();
        self.know(text("id"), text("model"), created);
    }

    /// Id and model for a chunk that has none.
    pub(super) fn lend(&self, chunk: &mut Map<String, Value>) {
        for (name, known) in [("id", &self.id), ("model", &self.model)] {
            if let Some(known) = known
                && !chunk.get(name).is_some_and(Value::is_string)
            {
                chunk.insert(name.to_owned(), known.clone().into());
            }
        }
    }
}

/// Usage goes out once, when the answer is whole: whoever adds up and whoever takes the last is right.
impl Seen {
    /// Notes a usage. False when it has to be held back: a later one says more, or it was said before.
    pub(super) fn usage_goes_out(&mut self, counts: Counts) -> bool {
        if !self.is_finished() || self.given == Some(counts) {
            return false;
        }
        self.given = Some(counts);
        self.owed = None;
        true
    }

    /// Takes the usage out of a chunk where it has to be held back. True when there was one.
    pub(super) fn settle_usage(&mut self, chunk: &mut Map<String, Value>) -> bool {
        let Some(usage @ Value::Object(_)) = chunk.get("usage") else { return false };
        let read = |name: &str| usage.get(name).and_then(repair::count).unwrap_or_default();
        let counts = (read("prompt_tokens"), read("completion_tokens"), read("total_tokens"));
        if self.usage_goes_out(counts) {
            return true;
        }
        let usage = chunk.insert("usage".to_owned(), Value::Null);
        if self.given.is_none() {
            self.owed = usage;
        }
        true
    }

    /// A usage that was held back and never said.
    pub(super) fn owed_usage(&mut self) -> Option<Value> {
        self.owed.take()
    }
}

impl SeenChoice {
    pub(super) fn of(index: u32) -> Self {
        Self { index, ..Self::default() }
    }

    /// True when an earlier delta gave the same reason for the end.
    pub(super) fn repeats_reason(&mut self, delta: u64, reason: &str) -> bool {
        match &self.reason {
            Some((at, known)) if known == reason => *at != delta,
            Some(_) | None => {
                self.reason = Some((delta, reason.to_owned()));
                false
            }
        }
    }

    /// What is told of its thoughts, where the service puts tags around them.
    pub(super) fn thought(&mut self, profile: &Profile) -> Option<&mut Thought> {
        let tags = profile.reasoning.tags.as_ref()?;
        Some(self.thought.get_or_insert_with(|| Thought::new(tags)))
    }

    /// Leaves in a delta what is new, of a service that says all of the text so far in each.
    pub(super) fn take_new(&mut self, delta: &mut Map<String, Value>) {
        for (name, so_far) in ["content", "reasoning_content"].into_iter().zip(&mut self.so_far) {
            let Some(Value::String(text)) = delta.get_mut(name) else { continue };
            match text.strip_prefix(so_far.as_str()).map(str::to_owned) {
                Some(new) => *so_far = std::mem::replace(text, new),
                // It has begun anew: then it is a piece, as others send them.
                None => so_far.push_str(text),
            }
        }
    }

    /// What of the text wasn't told apart; `None` when nothing was held.
    pub(super) fn end_thought(&mut self) -> Option<Told> {
        let thought = self.thought.as_mut().filter(|thought| !thought.is_over())?;
        Some(thought.finish()).filter(|told| *told != Told::default())
    }
}
