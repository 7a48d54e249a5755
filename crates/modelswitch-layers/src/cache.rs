mod canonical;
mod events;
mod key;
mod stored;
#[cfg(test)]
mod tests;
mod turn;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use modelswitch_provider::{
    Body, Event, Follow, Head, Passing, Provider, Request, Response, Result, TimeLeft, Usage, UsageWatch,
};
use tokio::time::timeout;

use self::events::Events;
use self::key::{Key, key_of};
use self::stored::{Form, Stored};
use self::turn::{Turn, Turns};
use crate::layer::Wrapped;
use crate::spent::Spent;
use crate::{Ending, Layer};

/// Answers a question that was asked before with the answer that it had.
///
/// A question is the same when it goes to the same provider and endpoint and its JSON says the same, whatever the order of
/// members and the blanks between them. What changes nothing of the answer isn't looked at: `stream`, `stream_options`,
/// `user`, `safety_identifier`, `prompt_cache_key`, `prompt_cache_retention`, `service_tier` and `metadata`; nor are headers.
/// An answer that was given whole is given as a stream where one is asked for, and the other way round.
///
/// What is kept: whole answers and finished streams of `/chat/completions`, `/completions` and `/embeddings`. Never an error,
/// a stream that was cut or dropped, an answer larger than a [MiB](Self::max_answer), and never one that leaves something at
/// the service (`store: true`) or that belongs to a moment (audio, which expires there; a search on the web).
///
/// When the same question comes while it is being answered, it waits for that answer instead of being asked again
/// ([`max_wait`](Self::max_wait)). If that fails or is given up, the next one in line asks; when that fails too, or the answer
/// is one that isn't kept, all others ask at once.
///
/// A question that leaves the model freedom has one and the same answer then, too.
/// [`max_temperature`](Self::max_temperature) leaves requests out that ask for variety, and [`CacheUse`] in a request says
/// what that request wants.
///
/// Each answer's head says whether the cache had it ([`CacheStatus`]). It costs a parse and a SHA-256 of the request, and a
/// parse of an answer that has to change its form.
///
/// It belongs below [`Cost`](crate::Cost), which then counts such answers as free, and above a router. All that pass through
/// one cache share its answers; where tenants mustn't learn from the time it takes what others asked,
/// [`per_tag`](Self::per_tag) keeps them apart.
///
/// ```
/// use modelswitch_layers::{Cache, CacheStatus, Stack};
/// use modelswitch_provider::mock::{MockProvider, reply};
/// use modelswitch_provider::{ChatRequest, Provider, ProviderExt};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// // The service answers once.
/// let llm = Stack::new().layer(Cache::new()).over(MockProvider::script([Ok(reply("Yes.", false))]));
/// let question = || ChatRequest::user("Is water wet?").temperature(0.0);
///
/// let first = llm.chat(question()).await?;
/// assert!(matches!(first.head.extensions.get(), Some(CacheStatus::Miss)));
/// let again = llm.chat_stream(question()).await?.completion().await?;
/// assert_eq!(again.text(), "Yes.");
/// assert!(matches!(again.head.extensions.get(), Some(CacheStatus::Hit { .. })));
/// # Ok::<(), modelswitch_provider::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Cache {
    kept: moka::sync::Cache<Key, Arc<Stored>>,
    turns: Turns,
    /// How often something was kept, by all clones.
    keeps: Arc<AtomicU64>,
    time_to_live: Duration,
    max_size: u64,
    max_answer: usize,
    max_wait: Duration,
    max_temperature: Option<f64>,
    per_tag: bool,
    name: Option<Arc<str>>,
}

impl Default for Cache {
    fn default() -> Self {
        // Long enough for a session of work, short enough that a model's update is seen the same day.
        let time_to_live = Duration::from_secs(3600);
        // Some ten thousand answers, which a server has to spare.
        let max_size = 64 * 1024 * 1024;
        Self {
            kept: storage(time_to_live, max_size),
            turns: Turns::default(),
            keeps: Arc::default(),
            time_to_live,
            max_size,
            // Longer than a model writes; embeddings of a large batch reach it.
            max_answer: 1024 * 1024,
            // Whoever reads the first answer may be slow, and nobody else should have to wait for that.
            max_wait: Duration::from_secs(60),
            max_temperature: None,
            per_tag: false,
            name: None,
        }
    }
}

fn storage(time_to_live: Duration, max_size: u64) -> moka::sync::Cache<Key, Arc<Stored>> {
    moka::sync::Cache::builder()
        .max_capacity(max_size)
        .weigher(|_: &Key, stored: &Arc<Stored>| u32::try_from(stored.size()).unwrap_or(u32::MAX))
        .time_to_live(time_to_live)
        .build()
}

/// The longest that an answer can be kept; more than that the storage underneath doesn't take.
const LONGEST_LIFE: Duration = Duration::from_secs(365 * 86_400);

impl Cache {
    /// An hour, and 64 MiB in all.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long an answer is given again; at most a year. What was kept is forgotten when it is set.
    #[must_use]
    pub fn time_to_live(mut self, life: Duration) -> Self {
        self.time_to_live = life.min(LONGEST_LIFE);
        self.kept = storage(self.time_to_live, self.max_size);
        self
    }

    /// How many bytes of answers are kept in all. Beyond that those go that are asked for least. What was kept is forgotten
    /// when it is set.
    #[must_use]
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.max_size = bytes;
        self.kept = storage(self.time_to_live, self.max_size);
        self
    }

    /// How many bytes an answer may have that is kept.
    #[must_use]
    pub fn max_answer(mut self, bytes: usize) -> Self {
        self.max_answer = bytes;
        self
    }

    /// How long a question waits for the answer to the same question that was asked before it, until it is asked after all.
    #[must_use]
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = wait;
        self
    }

    /// Leaves out requests with a higher temperature than this. One that doesn't say has 1, as OpenAI's API does. With 0 only
    /// those are kept that want the same answer every time.
    #[must_use]
    pub fn max_temperature(mut self, most: f64) -> Self {
        self.max_temperature = Some(most);
        self
    }

    /// Gives callers with another [`Tag`](crate::Tag) none of the answers.
    #[must_use]
    pub fn per_tag(mut self) -> Self {
        self.per_tag = true;
        self
    }

    /// Keeps answers under this name instead of the provider's. Clones share their room; one under another name gives none of
    /// this one's answers.
    #[must_use]
    pub fn kept_under(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Forgets all answers.
    pub fn clear(&self) {
        self.kept.invalidate_all();
    }

    fn keep(&self, key: Key, stored: Stored) {
        self.kept.insert(key, Arc::new(stored));
        // After it is there: who sees the number unchanged has missed nothing.
        self.keeps.fetch_add(1, Ordering::Release);
    }

    fn find(&self, key: &Key, form: Form) -> Option<Response> {
        let stored = self.kept.get(key)?;
        // The storage has a clock of its own, and forgets when it has time to.
        let age = stored.age();
        if age >= self.time_to_live {
            return None;
        }
        let mut response = stored.replay(form)?;
        response.head.extensions.insert(CacheStatus::Hit { age });
        Some(response)
    }
}

/// In [`Request::extensions`]: what a request wants of a [`Cache`].
///
/// ```
/// use modelswitch_layers::CacheUse;
/// use modelswitch_provider::ChatRequest;
///
/// // Somebody pressed "try again".
/// let mut request = ChatRequest::user("Tell me a joke").into_request()?;
/// request.extensions.insert(CacheUse::Refresh);
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheUse {
    /// An answer that is kept, if there is one.
    #[default]
    Allowed,
    /// An answer of its own, which is kept in place of the old one.
    Refresh,
    /// An answer of its own, which isn't kept.
    Bypass,
}

/// In [`Request::extensions`]: with which temperature the request is sent in the end, where that isn't in its body when it
/// comes to a [`Cache`] with a [`max_temperature`](Cache::max_temperature).
///
/// ```
/// use modelswitch_layers::SentTemperature;
/// use modelswitch_provider::ChatRequest;
///
/// let mut request = ChatRequest::user("Is water wet?").into_request()?;
/// // A layer further in sets it.
/// request.extensions.insert(SentTemperature(0.0));
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SentTemperature(pub f64);

/// In [`Head::extensions`](modelswitch_provider::Head::extensions): whether a [`Cache`] had the answer.
///
/// ```
/// use modelswitch_layers::CacheStatus;
///
/// assert_eq!(CacheStatus::Miss.to_string(), "miss");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheStatus {
    /// It had.
    Hit {
        /// How long ago it was given first.
        age: Duration,
    },
    /// It hadn't, and keeps it now if it ends well.
    Miss,
    /// It wasn't asked: the request, or what is asked for, isn't for caches.
    Bypass,
}

/// `hit`, `miss` or `bypass`.
impl fmt::Display for CacheStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hit { .. } => "hit",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
        })
    }
}

impl Layer for Cache {
    fn wrap(&self, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
        Arc::new(Wrapped { layer: self.clone(), inner })
    }
}

/// The settings, and how many answers there are.
impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("time_to_live", &self.time_to_live)
            .field("max_size", &self.max_size)
            .field("answers", &self.kept.entry_count())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Provider for Wrapped<Cache> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn send(&self, mut request: Request) -> Result<Response> {
        let wish = request.extensions.get::<CacheUse>().copied().unwrap_or_default();
        let name = self.layer.name.as_deref().unwrap_or(self.name());
        let key = if wish == CacheUse::Bypass { None } else { key_of(&self.layer, name, &request) };
        let Some(key) = key else {
            let mut response = self.inner.send(request).await?;
            response.head.extensions.insert(CacheStatus::Bypass);
            return Ok(response);
        };
        let form = Form::of(&request);
        let turn = match wish {
            CacheUse::Refresh => None,
            CacheUse::Allowed | CacheUse::Bypass => {
                match self.found_or_turn(&key, form, &mut request).await {
                    Ok(response) => return Ok(response),
                    Err(turn) => turn,
                }
            }
        };
        let watch = UsageWatch::ask(&mut request);
        let mut response = match self.inner.send(request).await {
            Ok(response) => response,
            Err(error) => {
                turn.into_iter().for_each(Turn::failed);
                return Err(error);
            }
        };
        // A cache further in may have had it.
        if !matches!(response.head.extensions.get(), Some(CacheStatus::Hit { .. })) {
            response.head.extensions.insert(CacheStatus::Miss);
        }
        self.layer.keeping(key, turn, &mut response);
        Ok(watch.hide(response))
    }
}

impl Wrapped<Cache> {
    /// The answer, at once or when whoever asked before has it; otherwise the turn to ask, or `None` after a wait that was
    /// long enough.
    async fn found_or_turn(
        &self,
        key: &Key,
        form: Form,
        request: &mut Request,
    ) -> std::result::Result<Response, Option<Turn>> {
        let keeps = self.layer.keeps.load(Ordering::Acquire);
        if let Some(response) = self.layer.find(key, form) {
            return Ok(response);
        }
        if let Some(turn) = self.layer.turns.at_once(key)
            && self.layer.keeps.load(Ordering::Acquire) == keeps
        {
            return Err(Some(turn));
        }
        let spent = Spent::begin(request);
        let patience =
            TimeLeft::of(request).map_or(self.layer.max_wait, |left| left.min(self.layer.max_wait));
        let turn = Box::pin(timeout(patience, self.layer.turns.wait(key))).await.ok();
        spent.take_off(request);
        self.layer.find(key, form).ok_or(turn)
    }
}

impl Cache {
    /// Keeps an answer once it has ended well, and then lets the next one in line look for it.
    fn keeping(&self, key: Key, turn: Option<Turn>, response: &mut Response) {
        let Response { head, body } = response;
        match body {
            Body::Json(json) if json.len() <= self.max_answer => {
                self.keep(key, Stored::whole(head, json.clone()));
            }
            Body::Events(events) => events.follow(Heard {
                events: Events::default(),
                left: Some(self.max_answer),
                turn,
                cache: self.clone(),
                key,
                head: head.clone(),
            }),
            _ => turn.into_iter().for_each(Turn::let_all_go),
        }
    }
}

/// The events of a stream so far, as long as they aren't too many.
struct Heard {
    events: Events,
    left: Option<usize>,
    /// Until it is known that the answer isn't kept.
    turn: Option<Turn>,
    cache: Cache,
    key: Key,
    head: Head,
}

impl Follow for Heard {
    fn passes(&mut self, event: &Passing<'_>) -> bool {
        self.hear(event);
        true
    }

    fn ended(self: Box<Self>, ending: &Ending, _: Option<&Usage>) {
        let Self { events, left, turn, cache, key, head } = *self;
        match (ending, left.and_then(|_| Stored::stream(&head, events))) {
            (Ending::Finished, Some(stored)) => cache.keep(key, stored),
            (Ending::Finished, None) => turn.into_iter().for_each(Turn::let_all_go),
            (Ending::Failed(_), _) => turn.into_iter().for_each(Turn::failed),
            // The next one in line asks.
            (Ending::Dropped, _) => drop(turn),
        }
    }
}

impl Heard {
    fn hear(&mut self, event: &Event) {
        self.left = self.left.and_then(|left| left.checked_sub(event.data.len()));
        match self.left {
            Some(_) => self.events.push(event.clone()),
            None => {
                self.events.clear();
                self.turn.take().into_iter().for_each(Turn::let_all_go);
            }
        }
    }
}
