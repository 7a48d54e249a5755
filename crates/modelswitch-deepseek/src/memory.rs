use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use modelswitch_provider::Message;

use crate::inward::LEGACY_ID;

/// What DeepSeek thought in earlier turns, for apps whose message types can't say it.
///
/// DeepSeek wants the `reasoning_content` of earlier turns back when a request carries tools, and refuses it otherwise
/// with 400 ("must be passed back", <https://api-docs.deepseek.com/guides/thinking_mode>). async-openai's messages have no
/// field for it, so a tool loop through them can't work. This memory keeps the reasoning of each answer that passes and
/// puts it back where it is missing.
///
/// An answer is known again by its first tool call (id, name and arguments, since some services give ids twice), or, if it
/// called no tool, by its text and the whole conversation before it: the same words in somebody else's conversation must
/// not bring back what was thought in this one. What isn't known, because the history was shortened for example, goes back
/// as the empty string, which DeepSeek takes. Only calls that carry tools are remembered; nothing else is ever asked for.
///
/// It is bounded, the oldest go first, and lives in this process: after a restart, or on another machine, tell it with
/// [`remember`](Self::remember). Each provider has its own, so reasoning of one account or service never reaches another.
/// A clone is another handle on the same memory.
///
/// ```
/// use modelswitch_deepseek::ReasoningMemory;
/// use modelswitch_provider::Message;
///
/// let memory = ReasoningMemory::new(1_000, 1 << 20);
/// let before = [Message::user("9.11 or 9.8?")];
/// let mut answer = Message::assistant("9.8");
/// answer.reasoning_content = Some("0.80 is more than 0.11".to_owned());
/// memory.remember(&before, &answer);
///
/// let recalled = memory.recall(&before, &Message::assistant("9.8"));
/// assert_eq!(recalled.as_deref(), Some("0.80 is more than 0.11"));
/// assert_eq!(memory.recall(&[], &Message::assistant("9.8")), None);
/// ```
#[derive(Clone)]
pub struct ReasoningMemory(Arc<Shared>);

/// What is left of a conversation when only its sameness matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trace(u64);

struct Shared {
    most_entries: usize,
    most_bytes: usize,
    hasher: RandomState,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    texts: HashMap<u64, Arc<str>>,
    /// Oldest first.
    order: VecDeque<u64>,
    bytes: usize,
}

impl Default for ReasoningMemory {
    /// [`ANSWERS`](Self::ANSWERS) answers, [`BYTES`](Self::BYTES) of reasoning.
    fn default() -> Self {
        Self::new(Self::ANSWERS, Self::BYTES)
    }
}

impl ReasoningMemory {
    /// How many answers it keeps by default: some days of one user's conversations, or some minutes of a busy service's.
    pub const ANSWERS: usize = 4_000;
    /// How many bytes of reasoning it keeps by default: some eight thousand for each answer, which is a long thought.
    pub const BYTES: usize = 32 << 20;

    /// A memory for so many answers, and so many bytes of reasoning.
    pub fn new(most_entries: usize, most_bytes: usize) -> Self {
        Self(Arc::new(Shared {
            most_entries,
            most_bytes,
            hasher: RandomState::new(),
            kept: Mutex::default(),
        }))
    }

    /// Keeps the reasoning of an answer to a conversation. Without reasoning, or without anything to know it by, it does
    /// nothing.
    pub fn remember(&self, conversation: &[Message], answer: &Message) {
        self.remember_after(self.trace_of(conversation), answer);
    }

    /// The reasoning of an answer that this conversation has had before.
    pub fn recall(&self, conversation: &[Message], answer: &Message) -> Option<Arc<str>> {
        self.recall_after(self.trace_of(conversation), answer)
    }

    pub(crate) fn remember_after(&self, trace: Trace, answer: &Message) {
        let Some(reasoning) = answer.reasoning_content.as_deref().filter(|text| !text.is_empty()) else {
            return;
        };
        let Some(key) = self.key(trace, answer) else { return };
        if reasoning.len() > self.0.most_bytes || self.0.most_entries == 0 {
            return;
        }
        let mut kept = self.kept();
        kept.forget(key);
        kept.bytes += reasoning.len();
        kept.texts.insert(key, reasoning.into());
        kept.order.push_back(key);
        while kept.order.len() > self.0.most_entries || kept.bytes > self.0.most_bytes {
            let Some(oldest) = kept.order.front().copied() else { break };
            kept.forget(oldest);
        }
    }

    pub(crate) fn recall_after(&self, trace: Trace, answer: &Message) -> Option<Arc<str>> {
        let key = self.key(trace, answer)?;
        self.kept().texts.get(&key).cloned()
    }

    /// The trace of a conversation that goes on with one more message.
    pub(crate) fn follow(&self, trace: Trace, message: &Message) -> Trace {
        Trace(self.0.hasher.hash_one((trace.0, message.role.as_str(), message.text())))
    }

    fn trace_of(&self, conversation: &[Message]) -> Trace {
        conversation.iter().fold(Trace::default(), |trace, message| self.follow(trace, message))
    }

    fn key(&self, trace: Trace, answer: &Message) -> Option<u64> {
        if let Some(call) = answer.tool_calls.first() {
            // An id that was given here, where the app's own types have none, says nothing of the conversation.
            let before = if call.id.starts_with(LEGACY_ID) { trace } else { Trace::default() };
            return Some(self.0.hasher.hash_one((
                "call",
                before.0,
                &call.id,
                &call.function.name,
                &call.function.arguments,
            )));
        }
        let text = answer.text();
        (!text.is_empty()).then(|| self.0.hasher.hash_one(("text", trace.0, text)))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn forget(&mut self, key: u64) {
        if let Some(text) = self.texts.remove(&key) {
            self.bytes = self.bytes.saturating_sub(text.len());
            self.order.retain(|other| *other != key);
        }
    }
}

/// How much it keeps, and nothing of it.
impl fmt::Debug for ReasoningMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept();
        f.debug_struct("ReasoningMemory")
            .field("answers", &kept.order.len())
            .field("bytes", &kept.bytes)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use modelswitch_provider::ToolCall;

    fn answer(text: &str, calls: &[ToolCall], reasoning: &str) -> Message {
        let mut message = Message::assistant(text);
        message.tool_calls = calls.to_vec();
        message.reasoning_content = Some(reasoning.to_owned());
        message
    }

    #[test]
    fn a_call_is_known_by_its_id_name_and_arguments() {
        let memory = ReasoningMemory::default();
        memory.remember(&[], &answer("", &[ToolCall::new("1", "f", "{}")], "first"));
        memory.remember(&[], &answer("", &[ToolCall::new("1", "f", "{\"a\":1}")], "second"));
        let recall =
            |arguments: &str| memory.recall(&[], &answer("", &[ToolCall::new("1", "f", arguments)], ""));
        assert_eq!(recall("{}").as_deref(), Some("first"));
        assert_eq!(recall("{\"a\":1}").as_deref(), Some("second"));
        assert_eq!(recall("{\"a\":2}"), None);
    }

    #[test]
    fn the_same_words_in_another_conversation_bring_nothing_back() {
        let memory = ReasoningMemory::default();
        let mine = [Message::system("secret"), Message::user("May I?")];
        memory.remember(&mine, &answer("Yes.", &[], "because of the secret"));
        assert!(memory.recall(&mine, &Message::assistant("Yes.")).is_some());
        assert_eq!(memory.recall(&[Message::user("May I?")], &Message::assistant("Yes.")), None);
    }

    #[test]
    fn it_is_bounded_by_number_and_by_size_and_the_oldest_go_first() {
        for memory in [ReasoningMemory::new(2, 1 << 20), ReasoningMemory::new(100, 10)] {
            for text in ["a", "b", "c"] {
                memory.remember(&[], &answer(text, &[], "12345"));
            }
            assert_eq!(memory.recall(&[], &Message::assistant("a")), None);
            assert!(memory.recall(&[], &Message::assistant("c")).is_some());
        }
        let none = ReasoningMemory::new(0, 0);
        none.remember(&[], &answer("a", &[], "12345"));
        assert_eq!(none.recall(&[], &Message::assistant("a")), None);
    }

    #[test]
    fn debug_shows_nothing_of_what_it_keeps() {
        let memory = ReasoningMemory::default();
        memory.remember(&[], &answer("a", &[], "canary"));
        assert_eq!(format!("{memory:?}"), "ReasoningMemory { answers: 1, bytes: 6 }");
    }
}
