//! Who may begin when: what was used within the window, and those who wait, in the order of coming.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::window::Window;

/// The window moves on in so many steps. Who waits, waits up to one of them longer than needed.
const STEPS: u32 = 120;

/// Requests and tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Use<N> {
    pub(super) requests: N,
    pub(super) tokens: N,
}

impl Use<u64> {
    fn and(self, more: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(more.requests),
            tokens: self.tokens.saturating_add(more.tokens),
        }
    }

    fn without(self, less: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(less.requests),
            tokens: self.tokens.saturating_sub(less.tokens),
        }
    }
}

impl Use<Option<u64>> {
    /// `600 requests and 90000 tokens in 60 s`
    pub(super) fn shown(self, per: Duration) -> String {
        let both = [(self.requests, "requests"), (self.tokens, "tokens")];
        let limits = both.into_iter().filter_map(|(limit, what)| Some(format!("{} {what}", limit?)));
        format!("{} in {} s", limits.collect::<Vec<_>>().join(" and "), per.as_secs_f64())
    }

    /// What takes more than all waits for all: it may be a bad guess.
    fn cap(self, wanted: Use<u64>) -> Use<u64> {
        let least = |wanted: u64, limit: Option<u64>| limit.map_or(wanted, |limit| wanted.min(limit));
        Use { requests: least(wanted.requests, self.requests), tokens: least(wanted.tokens, self.tokens) }
    }
}

pub(super) struct Pace {
    limits: Use<Option<u64>>,
    per: Duration,
    counts: Mutex<Counts>,
    /// Held by whoever is the next to begin. Tokio's mutex is given on in the order of asking.
    turn: tokio::sync::Mutex<()>,
    /// Something was given back.
    room: Notify,
}

struct Counts {
    used: Window<Use<u64>>,
    /// What those want that wait, together.
    ahead: Use<u64>,
    waiting: usize,
}

impl Counts {
    /// What was used within the window.
    fn all(&mut self, now: Instant) -> Use<u64> {
        self.used.recent(now).fold(Use::default(), |all, (_, used)| all.and(*used))
    }
}

impl Pace {
    pub(super) fn new(limits: Use<Option<u64>>, per: Duration) -> Arc<Self> {
        let step = per / STEPS;
        // What came last in a slice must be older than the window when the slice is forgotten.
        let used = Window::new(per.saturating_add(step), step);
        Arc::new(Self {
            limits,
            per,
            counts: Mutex::new(Counts { used, ahead: Use::default(), waiting: 0 }),
            turn: tokio::sync::Mutex::new(()),
            room: Notify::new(),
        })
    }

    /// Waits for its turn and for room.
    ///
    /// # Errors
    /// How long it would have to wait, when that is longer than it may, or than is left.
    pub(super) async fn reserve(
        self: &Arc<Self>,
        wanted: Use<u64>,
        most: Duration,
        left: Option<Duration>,
    ) -> Result<Reservation, Duration> {
        let wanted = self.limits.cap(wanted);
        let waiting = {
            let (mut counts, now) = (self.counts(), Instant::now());
            let wait = self.wait(&mut counts, wanted, now);
            if wait.is_zero() && counts.waiting == 0 {
                return Ok(self.take(&mut counts, wanted, now));
            }
            if wait > most || left.is_some_and(|left| wait >= left) {
                return Err(wait);
            }
            self.queue_up(&mut counts, wanted)
        };
        let patience = left.map_or(most, |left| left.min(most));
        match Box::pin(timeout(patience, self.in_turn(wanted))).await {
            Ok(reservation) => Ok(reservation),
            Err(_) => {
                drop(waiting);
                Err(self.wait(&mut self.counts(), wanted, Instant::now()))
            }
        }
    }

    /// How much could begin now.
    pub(super) fn left(&self) -> Use<Option<u64>> {
        let mut counts = self.counts();
        let used = counts.all(Instant::now()).and(counts.ahead);
        let left = |limit: Option<u64>, used: u64| limit.map(|limit| limit.saturating_sub(used));
        Use {
            requests: left(self.limits.requests, used.requests),
            tokens: left(self.limits.tokens, used.tokens),
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.counts().waiting
    }

    async fn in_turn(self: &Arc<Self>, wanted: Use<u64>) -> Reservation {
        let _turn = self.turn.lock().await;
        loop {
            let wait = {
                let (mut counts, now) = (self.counts(), Instant::now());
                let wait = self.wait_for(&mut counts, wanted, now);
                if wait.is_zero() {
                    return self.take(&mut counts, wanted, now);
                }
                wait
            };
            tokio::select! {
                biased;
                () = sleep(wait) => {}
                () = self.room.notified() => {}
            }
        }
    }

    /// How long one that comes now waits at least: for those that came before, too.
    fn wait(&self, counts: &mut Counts, wanted: Use<u64>, now: Instant) -> Duration {
        let all = counts.ahead.and(wanted);
        self.wait_for(counts, all, now)
    }

    fn wait_for(&self, counts: &mut Counts, wanted: Use<u64>, now: Instant) -> Duration {
        let all = counts.all(now).and(wanted);
        let requests = self.wait_of(counts, self.limits.requests, all.requests, now, |used| used.requests);
        requests.max(self.wait_of(counts, self.limits.tokens, all.tokens, now, |used| used.tokens))
    }

    fn wait_of(
        &self,
        counts: &mut Counts,
        limit: Option<u64>,
        all: u64,
        now: Instant,
        part: impl Fn(&Use<u64>) -> u64,
    ) -> Duration {
        let Some(limit) = limit else { return Duration::ZERO };
        let mut missing = all.saturating_sub(limit);
        if missing == 0 {
            return Duration::ZERO;
        }
        for (until, used) in counts.used.recent(now) {
            missing = missing.saturating_sub(part(used));
            if missing == 0 {
                return until;
            }
        }
        // The rest must be used by those who wait, and forgotten again.
        let windows = u32::try_from(missing.div_ceil(limit)).unwrap_or(u32::MAX);
        self.per.saturating_mul(windows)
    }

    fn take(self: &Arc<Self>, counts: &mut Counts, wanted: Use<u64>, now: Instant) -> Reservation {
        let since = counts.used.count(now, |used| *used = used.and(wanted));
        Reservation { pace: self.clone(), since, reserved: wanted }
    }

    fn queue_up(self: &Arc<Self>, counts: &mut Counts, wanted: Use<u64>) -> Waiting {
        counts.ahead = counts.ahead.and(wanted);
        counts.waiting += 1;
        Waiting { pace: self.clone(), wanted }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is left; what was used when says nothing to a reader.
impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Use { requests, tokens } = self.left();
        write!(f, "{requests:?} requests and {tokens:?} tokens left, {} waiting", self.waiting())
    }
}

/// Somebody who waits, until this is dropped.
struct Waiting {
    pace: Arc<Pace>,
    wanted: Use<u64>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut counts = self.pace.counts();
        counts.ahead = counts.ahead.without(self.wanted);
        counts.waiting -= 1;
    }
}

/// What a call is counted with, until it is known better. A call that is dropped stays counted: it may have been sent.
#[derive(Debug)]
pub(super) struct Reservation {
    pace: Arc<Pace>,
    since: Instant,
    reserved: Use<u64>,
}

impl Reservation {
    /// Counts what it took instead, at the time when it was reserved. Without tokens those that were reserved stay.
    pub(super) fn settle(self, requests: u64, tokens: Option<u64>) {
        let took = Use { requests, tokens: tokens.unwrap_or(self.reserved.tokens) };
        if let Some(used) = self.pace.counts().used.slice_of(self.since) {
            *used = used.without(self.reserved).and(took);
        }
        if took.requests < self.reserved.requests || took.tokens < self.reserved.tokens {
            self.pace.room.notify_one();
        }
    }
}
