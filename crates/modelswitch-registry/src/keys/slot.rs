//! One key in use: read, made into a provider, read again when it may have changed, left alone for a while after a
//! failure.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use modelswitch_layers::genai;
use modelswitch_provider::{ApiKey, Error, Result};
use tokio::runtime::Handle;
use tokio::sync::Mutex as Turn;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::KeyInfo;
use super::look::Look;
use super::rest::Resting;
use super::source::{Found, KeySource, Stamp};
use crate::service::{Make, Service};

/// After a key could not be read again: the old one serves meanwhile, and a vault that is down isn't asked at each call.
const AGAIN_AFTER_FAILURE: Duration = Duration::from_secs(30);
/// After a refused key was read again and was the same: its source has no other one yet.
const AGAIN_AFTER_REFUSAL: Duration = Duration::from_secs(10);
/// How long a call that has a key waits for a newer one: a vault nearby has answered by then, and a call with a short
/// deadline still has time left for what it was made for.
const WAIT_WITH_A_KEY: Duration = Duration::from_millis(500);

/// A place to read a key from, and the provider that was made with the key.
pub(super) struct Slot(pub(super) Arc<Inner>);

pub(super) struct Inner {
    provider: Arc<str>,
    source: KeySource,
    make: Make,
    /// Read without a lock by each call; written by whoever reads.
    now: ArcSwap<State>,
    /// Whose turn it is to read: what many calls want at once is read once.
    turn: Turn<Option<Reading>>,
    look: Look,
    rest: Resting,
}

/// A key that is being read by a command or the keyring. It goes on when the call that began it gives up: otherwise a
/// vault that needs longer than calls may take would give its key to none of them. It ends with the source's own time
/// limit, or with the slot.
struct Reading {
    began: Instant,
    task: JoinHandle<Outcome>,
}

/// What was read last.
#[derive(Clone, Default)]
pub(super) struct State {
    /// How often was read, so that whoever waited for the turn sees that somebody else did it.
    reads: u64,
    made: Option<Made>,
    /// Why the last read gave no key. With a key beside it: that one is still in use.
    error: Option<Error>,
    stamp: Option<Stamp>,
    /// When the key is old enough to be read again.
    due: Option<Instant>,
    /// Until when reading again after a refusal would give the same.
    settled_until: Option<Instant>,
}

#[derive(Clone)]
struct Made {
    key: ApiKey,
    service: Arc<Service>,
}

/// What a look at a key's source came to.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Same,
    Changed,
    Failed(Error),
}

impl State {
    /// The provider with the key.
    ///
    /// # Errors
    /// Why there is no key.
    pub(super) fn service(&self) -> Result<&Arc<Service>> {
        match (&self.made, &self.error) {
            (Some(made), _) => Ok(&made.service),
            (None, Some(error)) => Err(error.clone()),
            (None, None) => Err(Error::config("there is no key yet: it is still being read")
                .with_hint("let the command or the keyring answer sooner, or ask again")),
        }
    }

    pub(super) fn has_key(&self) -> bool {
        self.made.is_some()
    }

    fn has_key_of(&self, other: &State) -> bool {
        match (&self.made, &other.made) {
            (Some(one), Some(other)) => one.key.same_as(&other.key),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

impl Slot {
    /// Looks for the key at once, if that takes no time; else at the first call. What the slot before had from the same
    /// place stays in use as long as nothing newer can be had.
    pub(super) fn new(provider: &Arc<str>, source: KeySource, make: Make, before: Option<&Slot>) -> Self {
        let state = before.map(|before| before.handed_over(&source, &make)).unwrap_or_default();
        let found = if state.has_key() { source.read_again_at_once() } else { source.read_at_once() };
        let slot = Inner {
            provider: provider.clone(),
            source,
            make,
            now: ArcSwap::from_pointee(state),
            turn: Turn::new(None),
            look: Look::new(),
            rest: Resting::default(),
        };
        if let Some(found) = found {
            slot.take(found);
        }
        Self(Arc::new(slot))
    }

    /// Whether it reads from the same place; how often is another matter.
    pub(super) fn reads_from(&self, source: &KeySource) -> bool {
        source.is_same_place(&self.0.source)
    }

    /// What is known of the key, with the service made anew.
    fn handed_over(&self, source: &KeySource, make: &Make) -> State {
        let now = self.seen();
        let made = now.made.as_ref().and_then(|made| {
            let service = make(made.key.clone()).ok()?;
            Some(Made { key: made.key.clone(), service: Arc::new(service) })
        });
        let in_time = source.ttl().and_then(|ttl| Instant::now().checked_add(ttl));
        let due = now.due.into_iter().chain(in_time).min();
        State { made, due, settled_until: None, ..State::clone(&now) }
    }

    /// Goes on with the rest of the slot before, unless its key is another one by now.
    pub(super) fn go_on_resting(&self, before: &Slot) {
        if self.seen().has_key_of(&before.seen()) {
            self.0.rest.go_on_with(&before.0.rest);
        }
    }

    /// Whether what is there now is the key that it has. A key that can't be read any more stays in use, and one that is
    /// still missing is still looked for.
    pub(super) fn reads_the_same(&self) -> bool {
        match (self.0.source.read_again_at_once(), &self.seen().made) {
            (None | Some(Err(_)), _) => true,
            (Some(Ok(found)), Some(made)) => made.key.same_as(&found.key),
            (Some(Ok(_)), None) => false,
        }
    }

    /// What is known now; nothing is read.
    pub(super) fn seen(&self) -> Arc<State> {
        self.0.now.load_full()
    }

    /// The key to call with. What is old enough is read again first; if that fails or takes long, the old one goes on
    /// serving. A key that isn't there yet is waited for, so long if there is a limit.
    pub(super) async fn current(&self, patience: Option<Duration>) -> Arc<State> {
        let seen = self.seen();
        if !seen.has_key() {
            within(patience, self.0.read_first(&seen)).await;
        } else if self.0.is_due(&seen)
            // One reads; the others call with the key that there is.
            && let Ok(mut turn) = self.0.turn.try_lock()
            && self.seen().reads == seen.reads
            // Nobody waits again for one that took too long for the call that began it.
            && turn.as_ref().is_none_or(|reading| reading.task.is_finished())
        {
            let limit = self.0.source.takes_time().then_some(WAIT_WITH_A_KEY);
            self.0.postpone();
            within(limit, self.0.read(&mut turn)).await;
        }
        self.seen()
    }

    /// Another key than the one that was refused to a call that was sent then, read again at most once for all calls that
    /// were refused together.
    pub(super) async fn after_refusal(
        &self,
        refused: &State,
        sent: Instant,
        patience: Option<Duration>,
    ) -> Option<Arc<State>> {
        within(patience, self.0.read_after(refused, sent)).await;
        let now = self.seen();
        (now.has_key() && !now.has_key_of(refused)).then_some(now)
    }

    /// Reads again, whatever is known. What was being read already may have been asked for before the key changed.
    pub(super) async fn refresh(&self) -> Outcome {
        let mut turn = self.0.turn.lock().await;
        if let Some(Reading { task, .. }) = turn.take() {
            task.abort();
            let _ = task.await;
        }
        self.0.read(&mut turn).await
    }

    /// Has a key that takes time to be read read again at the next call.
    pub(super) fn expire(&self) {
        if self.0.source.takes_time() {
            let due = Some(Instant::now());
            self.0.change(|now| State { due, settled_until: None, ..now.clone() });
        }
    }

    /// Leaves the slot alone for so long, unless its key is another one by now.
    pub(super) fn rest(&self, failed: &State, wait: Duration) {
        self.0.rest.begin(wait, || self.0.now.load().has_key_of(failed));
    }

    /// Its key served a call that began then.
    pub(super) fn wake(&self, started: Instant) {
        self.0.rest.end_if_begun_by(started);
    }

    /// Until when it is left alone; `None` when it isn't. A source that changed ends its rest: the failure was of the old
    /// key.
    pub(super) fn rests_until(&self) -> Option<Instant> {
        let until = self.0.rest.until()?;
        let seen = self.0.now.load();
        if self.0.look.sees_another(&self.0.source, seen.stamp) { None } else { Some(until) }
    }

    pub(super) fn shown(&self) -> String {
        self.0.source.shown()
    }

    pub(super) fn warning(&self) -> Option<String> {
        self.0.source.warning()
    }

    pub(super) fn info(&self) -> KeyInfo {
        let now = self.0.now.load();
        let resting = self.0.rest.until().map(|until| until.saturating_duration_since(Instant::now()));
        KeyInfo {
            source: self.shown(),
            set: now.has_key(),
            required: true,
            looked_for: now.reads > 0,
            resting: resting.filter(|rest| !rest.is_zero()),
            pool: Vec::new(),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Whoever has the turn has the slot too, so nobody has it.
        if let Ok(mut turn) = self.0.turn.try_lock()
            && let Some(Reading { task, .. }) = turn.take()
        {
            task.abort();
        }
    }
}

impl Inner {
    fn is_due(&self, seen: &State) -> bool {
        seen.due.is_some_and(|due| Instant::now() >= due) || self.look.sees_another(&self.source, seen.stamp)
    }

    /// All that wait here want the same.
    async fn read_first(self: &Arc<Self>, seen: &State) {
        let mut turn = self.turn.lock().await;
        if self.now.load().reads == seen.reads {
            self.read(&mut turn).await;
        }
    }

    async fn read_after(self: &Arc<Self>, refused: &State, sent: Instant) {
        let mut turn = self.turn.lock().await;
        let now = self.now.load_full();
        let is_settled = now.settled_until.is_some_and(|until| Instant::now() < until);
        if now.reads != refused.reads || is_settled {
            return;
        }
        // One that was begun before may have found the old key yet.
        let may_be_old = turn.as_ref().is_some_and(|reading| reading.began < sent);
        let mut outcome = self.read(&mut turn).await;
        if may_be_old && !matches!(outcome, Outcome::Changed) {
            outcome = self.read(&mut turn).await;
        }
        if !matches!(outcome, Outcome::Changed) {
            let settled_until = Instant::now().checked_add(AGAIN_AFTER_REFUSAL);
            self.change(|now| State { settled_until, ..now.clone() });
        }
    }

    /// Reads, for whoever has the turn, or waits for what somebody began who is gone by now.
    async fn read(self: &Arc<Self>, turn: &mut Option<Reading>) -> Outcome {
        let runtime = Handle::try_current().ok().filter(|_| self.source.takes_time());
        let Some(runtime) = runtime else { return self.read_here().await };
        // It has said what it found already, or its runtime is gone.
        turn.take_if(|reading| reading.task.is_finished());
        let reading = turn.get_or_insert_with(|| {
            let slot = self.clone();
            Reading { began: Instant::now(), task: runtime.spawn(async move { slot.read_here().await }) }
        });
        let ended = (&mut reading.task).await;
        *turn = None;
        ended.unwrap_or_else(|_| self.take(Err(Error::config("there is no key: reading it was broken off"))))
    }

    async fn read_here(&self) -> Outcome {
        let found = self.source.read().await;
        self.look.was_read();
        self.take(found)
    }

    /// Before a read that may be given up: otherwise each call after it would be caught in it too.
    fn postpone(&self) {
        let due = self.after_failure();
        self.change(|now| State { due: now.due.and(due), ..now.clone() });
    }

    fn after_failure(&self) -> Option<Instant> {
        let wait = self.source.ttl().map_or(AGAIN_AFTER_FAILURE, |ttl| ttl.min(AGAIN_AFTER_FAILURE));
        Instant::now().checked_add(wait)
    }

    /// Changes what is known beside a read that may end meanwhile.
    fn change(&self, change: impl Fn(&State) -> State) {
        self.now.rcu(|now| change(now));
    }

    fn take(&self, found: Result<Found>) -> Outcome {
        let before = self.now.load_full();
        let reads = before.reads.saturating_add(1);
        let made = found.and_then(|Found { key, stamp }| Ok((self.made(&before, key)?, stamp)));
        let (made, stamp) = match made {
            Ok(made) => made,
            Err(error) => {
                self.say_failed(&before, &error);
                // A file that can't be read is looked at again; a time to live ends, but not at each call.
                let due = before.due.and(self.after_failure());
                let outcome = Outcome::Failed(error.clone());
                self.now.store(Arc::new(State { reads, error: Some(error), due, ..State::clone(&before) }));
                return outcome;
            }
        };
        let due = self.source.ttl().and_then(|ttl| Instant::now().checked_add(ttl));
        let after = Arc::new(State { reads, made: Some(made), error: None, stamp, due, settled_until: None });
        let is_same = before.has_key_of(&after);
        self.now.store(after);
        if is_same {
            return Outcome::Same;
        }
        // Only now: a failure of the old key that comes in between would have the new one rest.
        self.rest.end();
        self.say_changed(&before);
        Outcome::Changed
    }

    /// The same key keeps its provider: nothing is made again for it.
    fn made(&self, before: &State, key: ApiKey) -> Result<Made> {
        match &before.made {
            Some(made) if made.key.same_as(&key) => Ok(made.clone()),
            Some(_) | None => {
                let service = (self.make)(key.clone())?;
                Ok(Made { key, service: Arc::new(service) })
            }
        }
    }

    fn say_changed(&self, before: &State) {
        if before.reads == 0 {
            return;
        }
        tracing::info!(
            { genai::PROVIDER_NAME } = &*self.provider,
            source = self.source.shown(),
            "the key is another one; new calls go with it"
        );
        if let Some(warning) = self.source.warning() {
            tracing::warn!({ genai::PROVIDER_NAME } = &*self.provider, "{warning}");
        }
    }

    /// Once for each new reason: a file that is gone is looked for every second.
    fn say_failed(&self, before: &State, error: &Error) {
        let is_known = before.error.as_ref().is_some_and(|known| known.message() == error.message());
        if before.has_key() && !is_known {
            tracing::warn!(
                { genai::PROVIDER_NAME } = &*self.provider,
                source = self.source.shown(),
                "the key can't be read again and the old one stays in use: {}",
                error.message()
            );
        }
    }
}

/// Waits so long, if there is a limit. What was waited for may go on.
async fn within<T>(limit: Option<Duration>, future: impl Future<Output = T>) -> Option<T> {
    match limit {
        Some(limit) => timeout(limit, future).await.ok(),
        None => Some(future.await),
    }
}

/// Where the key comes from and whether there is one.
impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = self.info();
        f.debug_struct("Slot").field("source", &info.source).field("set", &info.set).finish_non_exhaustive()
    }
}
