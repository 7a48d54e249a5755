//! How busy a target is, and how fast.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use modelswitch_provider::Error;
use tokio::time::Instant;

use crate::health::Outcome;

/// How much the last answer counts beside all before it.
const NEWEST: f64 = 0.3;
/// What a failure makes of an average, at least and by what: a target that fails at once must not seem the fastest.
const PENALTY: Duration = Duration::from_secs(1);
const SLOWEST: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
pub(super) struct Load {
    in_flight: AtomicU32,
    time_to_first: Mutex<Option<Duration>>,
}

/// A call in flight, as long as this lives. One that is dropped without an answer was waited for in vain.
#[derive(Debug)]
pub(super) struct Busy {
    load: Arc<Load>,
    began: Instant,
    is_awaited: bool,
}

impl Busy {
    pub(super) fn answered(&mut self) {
        self.is_awaited = false;
        self.load.answered(self.began.elapsed());
    }

    /// What a caller did wrong, or a limit here refused, makes no target slow.
    pub(super) fn failed(&mut self, error: &Error) {
        self.is_awaited = false;
        match Outcome::of(error) {
            Outcome::Fault { .. } => self.load.failed(self.began.elapsed()),
            Outcome::Good | Outcome::Outrun | Outcome::Unclear => {}
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.is_awaited {
            self.load.given_up(self.began.elapsed());
        }
        self.load.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Load {
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Busy { load: self.clone(), began: Instant::now(), is_awaited: true }
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Nothing for one of which nothing is known yet.
    pub(super) fn time_to_first(&self) -> Option<Duration> {
        *self.time_to_first.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answered(&self, after: Duration) {
        self.average(|before| moved(before, after));
    }

    /// It takes at least so long, which tells nothing of one that is known to be slower.
    fn given_up(&self, after: Duration) {
        self.average(|before| moved(before, before.map_or(after, |before| before.max(after))));
    }

    fn failed(&self, after: Duration) {
        self.average(|before| before.unwrap_or_default().saturating_mul(2).max(PENALTY).max(after));
    }

    fn average(&self, next: impl FnOnce(Option<Duration>) -> Duration) {
        let mut average = self.time_to_first.lock().unwrap_or_else(PoisonError::into_inner);
        *average = Some(next(*average).min(SLOWEST));
    }
}

fn moved(before: Option<Duration>, newest: Duration) -> Duration {
    match before {
        Some(before) => before.mul_f64(1.0 - NEWEST).saturating_add(newest.mul_f64(NEWEST)),
        None => newest,
    }
}
