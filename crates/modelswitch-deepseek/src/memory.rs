use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use modelswitch_openai::adapter::LegacyFunctions;
use modelswitch_provider::Message;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// What DeepSeek thought in earlier turns, for apps whose message types can't say it.
///
/// DeepSeek wants the `reasoning_content` of earlier turns back when a request carries tools, and refuses it otherwise
/// with 400 ("must be passed back", <https://api-docs.deepseek.com/guides/thinking_mode>). async-openai's messages have no
/// field for it, so a tool loop through them can't work. This memory keeps the reasoning of each answer that passes and
/// puts it back where it is missing. [`guide::reasoning`](crate::guide::reasoning) tells the whole of it.
///
/// An answer is known again by its first tool call (id, name and arguments, since some services give ids twice), or, if it
/// called no tool, by its text and everything before it, pictures and results of tools included: the same words in somebody
/// else's conversation must not bring back what was thought in this one. Calls of different `user_id`s have nothing in common.
/// What isn't known, because the history was shortened for example, goes back as the empty string, which DeepSeek takes. Only
/// calls that carry tools are remembered; nothing else is ever asked for.
///
/// It is bounded, what was not asked for longest goes first, and lives in this process: after a restart, or on another machine,
/// tell it with [`remember`](Self::remember). Each provider has its own, so reasoning of one account or service never reaches
/// another. A clone is another handle on the same memory.
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
/// assert_eq!(memory.recall(&[Message::user("9.9 or 9.8?")], &Message::assistant("9.8")), None);
/// ```
#[derive(Clone)]
pub struct ReasoningMemory {
    shared: Arc<Shared>,
    /// Whose conversations these are, as a hash.
    user: u64,
}

/// What is left of a conversation when only its sameness matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trace(u64);

struct Shared {
    most_entries: usize,
    most_bytes: usize,
    hasher: RandomState,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    thoughts: HashMap<u64, Thought>,
    /// By when they were asked for last.
    ages: BTreeMap<u64, u64>,
    now: u64,
    bytes: usize,
}

struct Thought {
    text: Arc<str>,
    age: u64,
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
        let shared = Shared { most_entries, most_bytes, hasher: RandomState::new(), kept: Mutex::default() };
        Self { shared: Arc::new(shared), user: 0 }
    }

    /// The part of this memory that belongs to the requests of one `user_id`. Requests that name none have a part of their own.
    #[must_use]
    pub fn of_user(&self, user_id: &str) -> Self {
        Self { shared: self.shared.clone(), user: self.shared.hasher.hash_one(("user", user_id)) }
    }

    /// Keeps the reasoning of an answer to a conversation: messages of the provider crate, or whatever serialises to the same
    /// JSON. Without reasoning, or without anything to know it by, it does nothing.
    pub fn remember<M: Serialize>(&self, conversation: &[M], answer: &impl Serialize) {
        let Ok(text) = serde_json::to_string(answer) else { return };
        if let (Some(said), Some(trace)) = (Said::read(&text), self.trace_of(conversation)) {
            let reasoning = said.reasoning_content.as_ref().map(|text| &*text.0).unwrap_or_default();
            self.keep(self.key(trace, &said.known_by()), reasoning);
        }
    }

    /// The reasoning of an answer that this conversation has had before.
    pub fn recall<M: Serialize>(&self, conversation: &[M], answer: &impl Serialize) -> Option<Arc<str>> {
        let text = serde_json::to_string(answer).ok()?;
        self.recall_after(self.trace_of(conversation)?, &Said::read(&text)?)
    }

    /// Of a conversation that has not begun.
    pub(crate) fn begin(&self) -> Trace {
        Trace(self.user)
    }

    pub(crate) fn remember_after(&self, trace: Trace, answer: &Message) {
        let reasoning = answer.reasoning_content.as_deref().unwrap_or_default();
        let call = answer.tool_calls.first().map(|call| {
            let function = &call.function;
            (call.id.as_str().into(), function.name.as_str().into(), canonical(&function.arguments))
        });
        self.keep(self.key(trace, &KnownBy { call, text: answer.text().into() }), reasoning);
    }

    pub(crate) fn recall_after(&self, trace: Trace, answer: &Said<'_>) -> Option<Arc<str>> {
        let key = self.key(trace, &answer.known_by())?;
        self.kept().recall(key)
    }

    /// The trace of a conversation that goes on with one more message.
    pub(crate) fn follow(&self, trace: Trace, message: &Said<'_>) -> Trace {
        let role = message.role.as_ref().map(|role| &*role.0);
        let answers = message.tool_call_id.as_ref().map(|id| &*id.0);
        let calls: Vec<_> = message.calls().collect();
        Trace(self.shared.hasher.hash_one((trace.0, role, message.text(), calls, answers)))
    }

    fn trace_of<M: Serialize>(&self, conversation: &[M]) -> Option<Trace> {
        conversation.iter().try_fold(self.begin(), |trace, message| {
            let text = serde_json::to_string(message).ok()?;
            Some(self.follow(trace, &Said::read(&text)?))
        })
    }

    fn key(&self, trace: Trace, answer: &KnownBy<'_>) -> Option<u64> {
        if let Some(call) = &answer.call {
            // An id that was given here, where the app's own types have none, says nothing of the conversation.
            let before = if call.0.starts_with(LegacyFunctions::ID) { trace } else { self.begin() };
            return Some(self.shared.hasher.hash_one(("call", before.0, call)));
        }
        (!answer.text.is_empty()).then(|| self.shared.hasher.hash_one(("text", trace.0, &answer.text)))
    }

    fn keep(&self, key: Option<u64>, reasoning: &str) {
        let Some(key) = key else { return };
        if reasoning.is_empty() || reasoning.len() > self.shared.most_bytes || self.shared.most_entries == 0 {
            return;
        }
        let mut kept = self.kept();
        kept.put(key, reasoning.into());
        while kept.thoughts.len() > self.shared.most_entries || kept.bytes > self.shared.most_bytes {
            let Some(oldest) = kept.ages.first_key_value().map(|(_, key)| *key) else { break };
            kept.forget(oldest);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn put(&mut self, key: u64, text: Arc<str>) {
        self.forget(key);
        self.bytes += text.len();
        let age = self.next();
        self.ages.insert(age, key);
        self.thoughts.insert(key, Thought { text, age });
    }

    /// What was asked for is young again: its conversation goes on.
    fn recall(&mut self, key: u64) -> Option<Arc<str>> {
        let age = self.next();
        let thought = self.thoughts.get_mut(&key)?;
        self.ages.remove(&thought.age);
        thought.age = age;
        self.ages.insert(age, key);
        Some(thought.text.clone())
    }

    fn forget(&mut self, key: u64) {
        if let Some(thought) = self.thoughts.remove(&key) {
            self.bytes = self.bytes.saturating_sub(thought.text.len());
            self.ages.remove(&thought.age);
        }
    }

    fn next(&mut self) -> u64 {
        self.now += 1;
        self.now
    }
}

/// As much of a message as it is known by, borrowed from its text.
#[derive(Deserialize)]
pub(crate) struct Said<'a> {
    #[serde(borrow, default)]
    role: Option<Text<'a>>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<Call<'a>>>,
    #[serde(borrow, default)]
    tool_call_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    arguments: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A call by its id, its function and its arguments.
type CallBy<'a> = (Cow<'a, str>, Cow<'a, str>, Cow<'a, str>);

struct KnownBy<'a> {
    call: Option<CallBy<'a>>,
    text: Cow<'a, str>,
}

impl<'a> Said<'a> {
    /// `None` for what is no message.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    fn known_by(&self) -> KnownBy<'_> {
        KnownBy { call: self.calls().next(), text: self.text() }
    }

    fn calls(&self) -> impl Iterator<Item = CallBy<'_>> {
        self.tool_calls.iter().flatten().map(|call| {
            let function = call.function.as_ref();
            let name = function.and_then(|function| function.name.as_ref());
            let arguments = function.and_then(|function| function.arguments.as_ref());
            let text = |text: Option<&'_ Text<'_>>| text.map(|text| text.0.clone().into_owned());
            (
                Cow::Owned(text(call.id.as_ref()).unwrap_or_default()),
                Cow::Owned(text(name).unwrap_or_default()),
                Cow::Owned(arguments.map(|text| canonical(&text.0).into_owned()).unwrap_or_default()),
            )
        })
    }

    /// What is said. A list of texts is what it is sent as, one text; of any other list all of it counts, pictures too.
    fn text(&self) -> Cow<'_, str> {
        let Some(content) = self.content else { return Cow::Borrowed("") };
        if let Ok(Text(text)) = serde_json::from_str(content.get()) {
            return text;
        }
        match serde_json::from_str::<Value>(content.get()) {
            Ok(Value::Array(parts)) => match modelswitch_openai::adapter::joined_text(&parts) {
                Some(text) => Cow::Owned(text),
                None => Cow::Owned(Value::Array(parts).to_string()),
            },
            _ => Cow::Borrowed(content.get()),
        }
    }
}

/// Arguments whatever way they are written: who parses and writes them again changes spaces and order.
fn canonical(arguments: &str) -> Cow<'_, str> {
    match serde_json::from_str::<Value>(arguments) {
        Ok(value) => Cow::Owned(value.to_string()),
        Err(_) => Cow::Borrowed(arguments),
    }
}

/// How much it keeps, and nothing of it.
impl fmt::Debug for ReasoningMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept();
        f.debug_struct("ReasoningMemory")
            .field("answers", &kept.thoughts.len())
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
        memory.remember::<Message>(&[], &answer("", &[ToolCall::new("1", "f", "{}")], "first"));
        memory.remember::<Message>(&[], &answer("", &[ToolCall::new("1", "f", "{\"a\":1}")], "second"));
        let recall = |arguments: &str| {
            memory.recall::<Message>(&[], &answer("", &[ToolCall::new("1", "f", arguments)], ""))
        };
        assert_eq!(recall("{}").as_deref(), Some("first"));
        assert_eq!(recall("{\"a\":1}").as_deref(), Some("second"));
        assert_eq!(recall("{\"a\":2}"), None);
    }

    #[test]
    fn arguments_that_were_parsed_and_written_again_are_the_same() {
        let memory = ReasoningMemory::default();
        memory.remember::<Message>(
            &[],
            &answer("", &[ToolCall::new("1", "f", "{\"b\": 1, \"a\":2}")], "thought"),
        );
        let again = answer("", &[ToolCall::new("1", "f", "{\"a\":2,\"b\":1}")], "");
        assert_eq!(memory.recall::<Message>(&[], &again).as_deref(), Some("thought"));
    }

    #[test]
    fn whoever_differs_in_a_picture_a_result_or_a_name_shares_nothing() {
        let memory = ReasoningMemory::default();
        let asked = |picture: &str| serde_json::json!({"role":"user","content":[{"type":"text","text":"who?"},{"type":"image_url","image_url":{"url":picture}}]});
        memory.remember(&[asked("a")], &answer("A person.", &[], "thought about a"));
        let recall = |memory: &ReasoningMemory, before: &[Value]| {
            memory.recall(before, &Message::assistant("A person."))
        };
        assert!(recall(&memory, &[asked("a")]).is_some());
        assert_eq!(recall(&memory, &[asked("b")]), None);
        assert_eq!(recall(&memory.of_user("bob"), &[asked("a")]), None);
        let result = |id: &str| serde_json::json!({"role":"tool","tool_call_id":id,"content":"rain"});
        memory.remember(&[result("1")], &answer("It rains.", &[], "thought"));
        assert_eq!(memory.recall(&[result("2")], &Message::assistant("It rains.")), None);
    }

    #[test]
    fn a_list_of_texts_and_the_text_that_it_is_sent_as_are_the_same() {
        let memory = ReasoningMemory::default();
        let list = serde_json::json!({"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]});
        memory.remember(&[list], &answer("Yes.", &[], "thought"));
        assert!(memory.recall(&[Message::user("a\nb")], &Message::assistant("Yes.")).is_some());
    }

    #[test]
    fn what_is_asked_for_stays_and_many_are_kept_cheaply() {
        let memory = ReasoningMemory::new(2, 1 << 20);
        for text in ["a", "b"] {
            memory.remember::<Message>(&[], &answer(text, &[], "12345"));
        }
        assert!(memory.recall::<Message>(&[], &Message::assistant("a")).is_some());
        memory.remember::<Message>(&[], &answer("c", &[], "12345"));
        assert!(memory.recall::<Message>(&[], &Message::assistant("a")).is_some());
        assert_eq!(memory.recall::<Message>(&[], &Message::assistant("b")), None);
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
                memory.remember::<Message>(&[], &answer(text, &[], "12345"));
            }
            assert_eq!(memory.recall::<Message>(&[], &Message::assistant("a")), None);
            assert!(memory.recall::<Message>(&[], &Message::assistant("c")).is_some());
        }
        let none = ReasoningMemory::new(0, 0);
        none.remember::<Message>(&[], &answer("a", &[], "12345"));
        assert_eq!(none.recall::<Message>(&[], &Message::assistant("a")), None);
    }

    #[test]
    fn debug_shows_nothing_of_what_it_keeps() {
        let memory = ReasoningMemory::default();
        memory.remember::<Message>(&[], &answer("a", &[], "canary"));
        assert_eq!(format!("{memory:?}"), "ReasoningMemory { answers: 1, bytes: 6 }");
    }
}
