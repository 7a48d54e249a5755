use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use modelswitch_provider::{
    Adaptation, Body, Document, Ending, Endpoint, Follow, Passing, Provider, Reasons, Request, Response,
    Result, Usage,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Layer;
use crate::layer::Wrapped;

/// Keeps what one provider thought from every other.
///
/// Some services want the `reasoning_content` of earlier turns back with the history, so apps keep it there. When the
/// same conversation then goes to another provider, by an app's choice or after a fallback, the thoughts must not go
/// along: they are of no use there, they may be refused, and nobody agreed that one company reads another's.
///
/// # How it works
///
/// Put **one** `ReasoningOrigin` around **all** providers, outside of their retries; what it knows is shared. It remembers
/// which provider, by its [name](Provider::name), gave which reasoning: of whole answers and of streams, of every choice,
/// under `reasoning_content` and under `reasoning`. It keeps a keyed hash of each, never the text. When a message of a
/// chat request carries reasoning that others gave and this provider didn't, that member is taken out before the
/// provider sees the request; what an app attached beside the messages likewise. The
/// [head](modelswitch_provider::Head::adaptations) of the answer tells of it, and a line at debug level in the log, without
/// the text.
///
/// The same reasoning given by two providers passes to both. White space makes no difference, since apps trim. Of a stream
/// that breaks off or is dropped, what was handed on counts as given: an app may have kept it.
///
/// # Its limits
///
/// * What nobody is known to have given passes: after a restart, from another machine, from an app that wrote it itself,
///   or what was given so long ago that it was forgotten. It remembers the last 32 768 thoughts, which takes about
///   five MiB; [`new`](Self::new) takes another number.
/// * It knows a thought as a whole: one that an app shortened, translated or put into the text of a message passes.
/// * It looks at `/chat/completions` and at text. Encrypted or signed reasoning, such as that of `/responses` and of
///   Anthropic's messages, passes.
/// * Providers are told apart by name. Two names for one service are two providers.
///
/// ```
/// use modelswitch_layers::{Layer, ReasoningOrigin};
/// use modelswitch_provider::mock::MockProvider;
/// use modelswitch_provider::{ChatRequest, Message, Provider, ProviderExt, Response, Result};
/// use serde_json::json;
/// use std::sync::Arc;
///
/// fn thinker(name: &str) -> Arc<dyn Provider> {
///     let mut mock = MockProvider::new();
///     mock.expect_name().return_const(name.to_owned());
///     mock.expect_send().returning(|_| {
///         let message = json!({ "role": "assistant", "content": "9.8", "reasoning_content": "0.80 is more than 0.11" });
///         Response::json(&json!({ "choices": [{ "index": 0, "message": message }] }))
///     });
///     Arc::new(mock)
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let origin = ReasoningOrigin::default();
/// let (a, b) = (origin.wrap(thinker("a")), origin.wrap(thinker("b")));
///
/// let answer = a.chat("9.11 or 9.8?").await?.message().cloned().unwrap_or_default();
/// let mut next = ChatRequest::user("9.11 or 9.8?");
/// next.messages.extend([answer, Message::user("Why?")]);
/// let reply = b.chat(next).await?;
/// assert_eq!(reply.head.adaptations[0].parameter, "reasoning_content");
/// # Ok::<(), modelswitch_provider::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ReasoningOrigin(Arc<Shared>);

struct Shared {
    most_thoughts: usize,
    /// Makes hashes that nobody outside can compute or compare.
    keys: RandomState,
    known: Mutex<Known>,
}

impl Default for ReasoningOrigin {
    /// Remembers the last 32 768 thoughts: days of somebody's conversations, or an hour of a busy service's.
    fn default() -> Self {
        Self::new(32_768)
    }
}

impl ReasoningOrigin {
    /// Remembers so many thoughts; the oldest are forgotten first. 0 switches it off.
    pub fn new(most_thoughts: usize) -> Self {
        Self(Arc::new(Shared { most_thoughts, keys: RandomState::new(), known: Mutex::default() }))
    }
}

impl Layer for ReasoningOrigin {
    fn wrap(&self, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
        Arc::new(Wrapped { layer: self.clone(), inner })
    }
}

/// How much it knows, and nothing of it.
impl fmt::Debug for ReasoningOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReasoningOrigin").field("thoughts", &self.known().thoughts.len()).finish()
    }
}

#[async_trait]
impl Provider for Wrapped<ReasoningOrigin> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn send(&self, mut request: Request) -> Result<Response> {
        if request.endpoint.path() != Endpoint::CHAT_COMPLETIONS.path() {
            return self.inner.send(request).await;
        }
        let left_out = match request.document_mut() {
            Some(body) => self.layer.leave_out_of(body, self.name())?,
            None => LeftOut::default(),
        };
        let mut response = self.inner.send(request).await?;
        response.head.adaptations.splice(0..0, left_out.adaptations());
        self.layer.listen(&mut response.body, self.name());
        Ok(response)
    }
}

/// The members of a message that hold reasoning, by the two names that are in use.
const FIELDS: [&str; 2] = ["reasoning_content", "reasoning"];

/// The member of a request that carries reasoning of its messages, by their numbers, from apps whose types have no field
/// for it. Which adapter passes it back is not known here; whose it is may be.
const ATTACHED: &str = "modelswitch_reasoning";

/// On the way in.
impl ReasoningOrigin {
    /// Takes out of a request what others than this provider thought.
    fn leave_out_of(&self, body: &mut Document, provider: &str) -> Result<LeftOut> {
        let mut left_out = LeftOut::default();
        let has_any = |name| body.get_raw(name).is_some_and(|json| has_reasoning(json.as_bytes()));
        let (in_messages, attached) = (has_any("messages"), body.has(ATTACHED));
        if !(in_messages || attached) || !self.may_keep_from(provider) {
            return Ok(left_out);
        }
        if in_messages {
            self.leave_out_of_messages(body, provider, &mut left_out)?;
        }
        if attached {
            self.leave_out_of_attached(body, provider, &mut left_out)?;
        }
        if !left_out.is_empty() {
            tracing::event!(
                tracing::Level::DEBUG,
                { crate::genai::PROVIDER_NAME } = provider,
                members = left_out.count(),
                "reasoning of other providers was left out"
            );
        }
        Ok(left_out)
    }

    fn leave_out_of_messages(
        &self,
        body: &mut Document,
        provider: &str,
        left_out: &mut LeftOut,
    ) -> Result<()> {
        // A clone shares everything, and lets the messages be read while they are replaced.
        let original = body.clone();
        let text = original.get_raw("messages").unwrap_or_default();
        // Messages that can't be read are the service's to refuse.
        let Ok(messages) = serde_json::from_str::<Vec<&RawValue>>(text) else { return Ok(()) };
        let messages: Vec<Message<'_>> =
            messages.into_iter().map(|message| self.without_foreign(message, provider, left_out)).collect();
        if left_out.is_empty() { Ok(()) } else { body.set("messages", messages) }
    }

    fn leave_out_of_attached(
        &self,
        body: &mut Document,
        provider: &str,
        left_out: &mut LeftOut,
    ) -> Result<()> {
        let Some(Ok(mut attached)) = body.get_raw(ATTACHED).map(|text| Document::parse(text.to_owned()))
        else {
            return Ok(());
        };
        let numbers: Vec<String> = attached.names().map(str::to_owned).collect();
        let mut changed = false;
        for number in numbers {
            let text = attached.str(&number);
            if let Some(givers) = text.and_then(|text| self.foreign_givers(&text, provider)) {
                changed |= attached.remove(&number);
                left_out.add(FIELDS[0], givers);
            }
        }
        if changed { body.set(ATTACHED, attached) } else { Ok(()) }
    }

    fn without_foreign<'a>(
        &self,
        message: &'a RawValue,
        provider: &str,
        left_out: &mut LeftOut,
    ) -> Message<'a> {
        if !has_reasoning(message.get().as_bytes()) {
            return Message::AsItWas(message);
        }
        let Ok(mut members) = Document::parse(message.get().to_owned()) else {
            return Message::AsItWas(message);
        };
        let mut changed = false;
        for field in FIELDS {
            let Some(givers) = members.str(field).and_then(|text| self.foreign_givers(&text, provider))
            else {
                continue;
            };
            changed |= members.remove(field);
            left_out.add(field, givers);
        }
        if changed { Message::Changed(members) } else { Message::AsItWas(message) }
    }

    /// Who gave a text, if this provider is not among them.
    fn foreign_givers(&self, text: &str, provider: &str) -> Option<Vec<Arc<str>>> {
        let mut print = self.fingerprint();
        print.push(text);
        let known = self.known();
        let givers = &known.thoughts.get(&print.finish()?)?.givers;
        (!givers.iter().any(|giver| **giver == *provider)).then(|| givers.clone())
    }

    /// False when nobody else has given anything: then there is no need to look closer.
    fn may_keep_from(&self, provider: &str) -> bool {
        self.known().givers.iter().any(|giver| **giver != *provider)
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint { hasher: self.0.keys.build_hasher(), word: 0, count: 0 }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// On the way out.
impl ReasoningOrigin {
    fn listen(&self, body: &mut Body, provider: &str) {
        if self.0.most_thoughts == 0 {
            return;
        }
        let listener = || Listener { layer: self.clone(), provider: provider.into(), heard: Vec::new() };
        match body {
            Body::Json(json) => {
                let reasons = Reasons::of(json);
                if reasons.reasoning {
                    listener().hear(json, reasons);
                }
            }
            Body::Events(events) => events.follow(listener()),
            _ => {}
        }
    }

    fn remember(&self, thought: u64, provider: &Arc<str>) {
        self.known().remember(thought, provider, self.0.most_thoughts);
    }
}

/// Who gave what.
#[derive(Default)]
struct Known {
    /// By the hash of what was thought.
    thoughts: HashMap<u64, Thought>,
    /// The same hashes, oldest first.
    by_age: BTreeMap<u64, u64>,
    clock: u64,
    /// Everybody who ever gave something. There are as many as there are providers.
    givers: Vec<Arc<str>>,
}

struct Thought {
    givers: Vec<Arc<str>>,
    age: u64,
}

impl Known {
    fn remember(&mut self, thought: u64, provider: &Arc<str>, most: usize) {
        let giver = match self.givers.iter().find(|giver| **giver == *provider) {
            Some(giver) => giver.clone(),
            None => {
                self.givers.push(provider.clone());
                provider.clone()
            }
        };
        self.clock += 1;
        let known = self.thoughts.entry(thought).or_insert_with(|| Thought { givers: vec![], age: 0 });
        self.by_age.remove(&known.age);
        self.by_age.insert(self.clock, thought);
        known.age = self.clock;
        if !known.givers.contains(&giver) {
            // Hardly ever more than one; a vector that grows by itself would make room for four.
            known.givers.reserve_exact(1);
            known.givers.push(giver);
        }
        while self.thoughts.len() > most {
            let Some((_, oldest)) = self.by_age.pop_first() else { break };
            self.thoughts.remove(&oldest);
        }
    }
}

/// The keyed hash of a text, however it comes in pieces. White space doesn't count.
#[derive(Clone)]
struct Fingerprint {
    hasher: DefaultHasher,
    /// Bytes that wait for their word to be full. A hasher may tell two writes from one, so it gets whole words only.
    word: u64,
    count: u64,
}

impl Fingerprint {
    fn push(&mut self, text: &str) {
        for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
            self.word = self.word << 8 | u64::from(byte);
            self.count += 1;
            if self.count.is_multiple_of(8) {
                self.hasher.write_u64(self.word);
                self.word = 0;
            }
        }
    }

    /// `None` for a text with nothing in it.
    fn finish(&self) -> Option<u64> {
        let mut hasher = self.hasher.clone();
        hasher.write_u64(self.word);
        hasher.write_u64(self.count);
        (self.count > 0).then(|| hasher.finish())
    }
}

/// What was taken out of a request.
#[derive(Default)]
struct LeftOut(BTreeMap<&'static str, (usize, BTreeSet<Arc<str>>)>);

impl LeftOut {
    fn add(&mut self, field: &'static str, givers: Vec<Arc<str>>) {
        let (count, all) = self.0.entry(field).or_default();
        *count += 1;
        all.extend(givers);
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn count(&self) -> usize {
        self.0.values().map(|(count, _)| count).sum()
    }

    fn adaptations(self) -> impl Iterator<Item = Adaptation> {
        self.0.into_iter().map(|(field, (count, givers))| {
            let givers: Vec<String> = givers.iter().map(|giver| format!("`{giver}`")).collect();
            let messages = if count == 1 { "1 message".to_owned() } else { format!("{count} messages") };
            let change = format!(
                "left out of {messages}: {} thought it, and reasoning isn't sent to another provider",
                givers.join(" and ")
            );
            Adaptation::new(field, change)
        })
    }
}

/// A message of a request.
#[derive(Serialize)]
#[serde(untagged)]
enum Message<'a> {
    AsItWas(&'a RawValue),
    Changed(Document),
}

/// Hears what one answer thinks, and has it remembered: of each choice when it is finished, and of the others when the
/// answer ends, however it ends.
struct Listener {
    layer: ReasoningOrigin,
    provider: Arc<str>,
    heard: Vec<Heard>,
}

struct Heard {
    choice: u64,
    field: &'static str,
    print: Fingerprint,
    is_remembered: bool,
}

/// Several times more than any service gives choices; a stream that invents new ones for ever must not fill the memory.
const MOST_HEARD: usize = 256;

impl Listener {
    /// Takes in a whole answer, or a piece of one.
    fn hear(&mut self, json: &[u8], reasons: Reasons) {
        let is_of_interest = reasons.reasoning || (reasons.finish && self.has_news());
        if !is_of_interest {
            return;
        }
        // What can't be read, the app can't read either.
        let Ok(answer) = serde_json::from_slice::<Answer<'_>>(json) else { return };
        for (position, choice) in (0..).zip(answer.choices.into_iter().flatten()) {
            let index = choice.index.unwrap_or(position);
            let said = choice.delta.or(choice.message).unwrap_or_default();
            for (field, value) in FIELDS.into_iter().zip([said.reasoning_content, said.reasoning]) {
                if let Some(text) = value.and_then(text_of) {
                    self.take(index, field, &text);
                }
            }
            if choice.finish_reason.is_some() {
                self.remember(|heard| heard.choice == index);
            }
        }
    }

    fn take(&mut self, choice: u64, field: &'static str, text: &str) {
        let found = self.heard.iter_mut().find(|heard| heard.choice == choice && heard.field == field);
        if let Some(heard) = found {
            heard.print.push(text);
            heard.is_remembered = false;
        } else if self.heard.len() < MOST_HEARD {
            let mut print = self.layer.fingerprint();
            print.push(text);
            self.heard.push(Heard { choice, field, print, is_remembered: false });
        }
    }

    fn has_news(&self) -> bool {
        self.heard.iter().any(|heard| !heard.is_remembered)
    }

    fn remember(&mut self, is_meant: impl Fn(&Heard) -> bool) {
        for heard in self.heard.iter_mut().filter(|heard| !heard.is_remembered && is_meant(heard)) {
            heard.is_remembered = true;
            if let Some(thought) = heard.print.finish() {
                self.layer.remember(thought, &self.provider);
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.remember(|_| true);
    }
}

/// It is remembered when the stream ends, and not only when that is dropped: whoever asks next need not wait for it.
impl Follow for Listener {
    fn passes(&mut self, event: &Passing<'_>) -> bool {
        self.hear(&event.data, event.reasons());
        true
    }

    fn ended(self: Box<Self>, _: &Ending, _: Option<&Usage>) {}
}

/// As much of an answer, or of a chunk of one, as is of interest here.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    index: Option<u64>,
    #[serde(borrow)]
    delta: Option<Said<'a>>,
    #[serde(borrow)]
    message: Option<Said<'a>>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
}

/// Values as they stand: reasoning that is no text must not make the rest unreadable.
#[derive(Default, Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
}

fn has_reasoning(json: &[u8]) -> bool {
    Reasons::of(json).reasoning
}

fn text_of(value: &RawValue) -> Option<Cow<'_, str>> {
    let text = value.get();
    match text.strip_prefix('"')?.strip_suffix('"') {
        Some(plain) if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
        _ => serde_json::from_str(text).ok().map(Cow::Owned),
    }
}

#[cfg(test)]
mod tests;
