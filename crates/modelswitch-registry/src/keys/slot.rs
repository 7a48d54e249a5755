//! One key in use: read, made into a provider, read again when it may have changed, left alone for a while after a
//! failure.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use modelswitch_provider::{ApiKey, Error, Result};
use tokio::sync::Mutex as Turn;
use tokio::time::Instant;

use super::KeyInfo;
use super::source::{Found, KeySource, Stamp};
use crate::service::{Make, Service};

/// How often a file is looked at, at most: a look is cheap, but not at each of a thousand calls a second.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After a key could not be read again: the old one serves meanwhile, and a vault that is down isn't asked at each call.
const AGAIN_AFTER_FAILURE: Duration = Duration::from_secs(30);
/// After a refused key was read again and was the same: its source has no other one yet.
const AGAIN_AFTER_REFUSAL: Duration = Duration::from_secs(10);

/// A place to read a key from, and the provider that was made with the key.
pub(super) struct Slot {
    source: KeySource,
    make: Make,
    /// Read without a lock by each call; written by whoever has the turn.
    now: ArcSwap<State>,
    /// Whose turn it is to read: what many calls want at once is read once.
    turn: Turn<()>,
    looked: Mutex<Instant>,
    /// Whether a look saw another file than was read.
    is_stale: AtomicBool,
    rests_until: Mutex<Option<Instant>>,
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
            (None, None) => Err(Error::config("the key was not looked for yet")),
        }
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
    /// Looks for the key at once, if that takes no time; else at the first call.
    pub(super) fn new(source: KeySource, make: Make) -> Self {
        let slot = Self {
            now: ArcSwap::default(),
            make,
            turn: Turn::new(()),
            looked: Mutex::new(Instant::now()),
            is_stale: AtomicBool::new(false),
            rests_until: Mutex::new(None),
            source,
        };
        if let Some(found) = slot.source.read_at_once() {
            slot.take(found);
        }
        slot
    }

    /// Whether what is there now is the key that it has. A key that can't be read any more stays in use, and one that is
    /// still missing is still looked for.
    pub(super) fn reads_the_same(&self) -> bool {
        match (self.source.read_again_at_once(), &self.now.load().made) {
            (None | Some(Err(_)), _) => true,
            (Some(Ok(found)), Some(made)) => made.key.same_as(&found.key),
            (Some(Ok(_)), None) => false,
        }
    }

    /// The key to call with. What is old enough is read again first; if that fails, the old one goes on serving.
    pub(super) async fn current(&self) -> Arc<State> {
        let seen = self.now.load_full();
        if seen.made.is_none() {
            // All that wait here want the same.
            let _turn = self.turn.lock().await;
            if self.now.load().reads == seen.reads {
                self.read().await;
            }
        } else if self.is_due(&seen) {
            // One reads; the others call with the key that there is.
            if let Ok(_turn) = self.turn.try_lock()
                && self.now.load().reads == seen.reads
            {
                self.read().await;
            }
        }
        self.now.load_full()
    }

    /// Another key than the one that was refused, read again at most once for all calls that were refused together.
    pub(super) async fn after_refusal(&self, refused: &State) -> Option<Arc<State>> {
        let _turn = self.turn.lock().await;
        let now = self.now.load_full();
        let is_settled = now.settled_until.is_some_and(|until| Instant::now() < until);
        if now.reads == refused.reads && !is_settled && !matches!(self.read().await, Outcome::Changed) {
            let settled_until = Instant::now().checked_add(AGAIN_AFTER_REFUSAL);
            self.now.store(Arc::new(State { settled_until, ..State::clone(&self.now.load()) }));
        }
        let now = self.now.load_full();
        (now.made.is_some() && !now.has_key_of(refused)).then_some(now)
    }

    /// Reads again, whatever is known.
    pub(super) async fn refresh(&self) -> Outcome {
        let _turn = self.turn.lock().await;
        self.read().await
    }

    /// Leaves the slot alone for so long, unless its key is another one by now.
    pub(super) fn rest(&self, failed: &State, wait: Duration) {
        let until = Instant::now().checked_add(wait);
        let mut rests_until = lock(&self.rests_until);
        if self.now.load().has_key_of(failed) {
            *rests_until = until;
        }
    }

    /// Its key works.
    pub(super) fn wake(&self) {
        *lock(&self.rests_until) = None;
    }

    /// Until when it is left alone; `None` when it isn't. A source that changed ends its rest: the failure was of the old
    /// key.
    pub(super) fn rests_until(&self) -> Option<Instant> {
        let until = (*lock(&self.rests_until)).filter(|until| Instant::now() < *until)?;
        let seen = self.now.load();
        if self.has_another_stamp(&seen) { None } else { Some(until) }
    }

    pub(super) fn shown(&self) -> String {
        self.source.shown()
    }

    pub(super) fn warning(&self) -> Option<String> {
        self.source.warning()
    }

    pub(super) fn info(&self) -> KeyInfo {
        let now = self.now.load();
        let rests_until = *lock(&self.rests_until);
        let resting = rests_until.map(|until| until.saturating_duration_since(Instant::now()));
        KeyInfo {
            source: self.shown(),
            set: now.made.is_some(),
            required: true,
            looked_for: now.reads > 0,
            resting: resting.filter(|rest| !rest.is_zero()),
            pool: Vec::new(),
        }
    }

    fn is_due(&self, seen: &State) -> bool {
        seen.due.is_some_and(|due| Instant::now() >= due) || self.has_another_stamp(seen)
    }

    /// Whether the file is another one, looked at once in a while.
    fn has_another_stamp(&self, seen: &State) -> bool {
        let Some(stamp) = seen.stamp else { return false };
        if self.is_stale.load(Ordering::Relaxed) {
            return true;
        }
        if !self.may_look() || self.source.stamp() == Some(stamp) {
            return false;
        }
        self.is_stale.store(true, Ordering::Relaxed);
        true
    }

    fn may_look(&self) -> bool {
        let mut looked = lock(&self.looked);
        let may = looked.elapsed() >= LOOK_EVERY;
        if may {
            *looked = Instant::now();
        }
        may
    }

    /// For whoever has the turn.
    async fn read(&self) -> Outcome {
        let found = self.source.read().await;
        *lock(&self.looked) = Instant::now();
        self.is_stale.store(false, Ordering::Relaxed);
        self.take(found)
    }

    fn take(&self, found: Result<Found>) -> Outcome {
        let before = self.now.load_full();
        let reads = before.reads.saturating_add(1);
        let made = found.and_then(|Found { key, stamp }| Ok((self.made(&before, key)?, stamp)));
        let (made, stamp) = match made {
            Ok(made) => made,
            Err(error) => {
                self.say_failed(&before, &error);
                let wait = self.source.ttl().map_or(AGAIN_AFTER_FAILURE, |ttl| ttl.min(AGAIN_AFTER_FAILURE));
                // A file that can't be read is looked at again; a time to live ends, but not at each call.
                let due = before.due.and_then(|_| Instant::now().checked_add(wait));
                let error = Some(error);
                let outcome = Outcome::Failed(error.clone().unwrap_or_else(|| Error::config("no key")));
                self.now.store(Arc::new(State { reads, error, due, ..State::clone(&before) }));
                return outcome;
            }
        };
        let due = self.source.ttl().and_then(|ttl| Instant::now().checked_add(ttl));
        let after = State { reads, made: Some(made), error: None, stamp, due, settled_until: None };
        let is_same = before.has_key_of(&after);
        if !is_same {
            self.wake();
            self.say_changed(&before);
        }
        self.now.store(Arc::new(after));
        if is_same { Outcome::Same } else { Outcome::Changed }
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
        tracing::info!(source = self.shown(), "the key is another one; new calls go with it");
        if let Some(warning) = self.warning() {
            tracing::warn!("{warning}");
        }
    }

    /// Once for each new reason: a file that is gone is looked for every second.
    fn say_failed(&self, before: &State, error: &Error) {
        let is_known = before.error.as_ref().is_some_and(|known| known.message() == error.message());
        if before.made.is_some() && !is_known {
            tracing::warn!(
                source = self.shown(),
                "the key can't be read again and the old one stays in use: {}",
                error.message()
            );
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing here can panic with the lock held, and a time is a time.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the key comes from and whether there is one.
impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = self.info();
        f.debug_struct("Slot").field("source", &info.source).field("set", &info.set).finish_non_exhaustive()
    }
}
