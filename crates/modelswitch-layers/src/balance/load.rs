//! How busy a target is, and how fast.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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

/// A call in flight, as long as this lives.
#[derive(Debug)]
pub(super) struct Busy(Arc<Load>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Load {
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Nothing for one that wasn't asked yet, which sorts first.
    pub(super) fn time_to_first(&self) -> Option<Duration> {
        *self.time_to_first.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn answered(&self, after: Duration) {
        self.average(|before| match before {
            Some(before) => before.mul_f64(1.0 - NEWEST).saturating_add(after.mul_f64(NEWEST)),
            None => after,
        });
    }

    pub(super) fn failed(&self) {
        self.average(|before| before.unwrap_or_default().saturating_mul(2).max(PENALTY));
    }

    fn average(&self, next: impl FnOnce(Option<Duration>) -> Duration) {
        let mut average = self.time_to_first.lock().unwrap_or_else(PoisonError::into_inner);
        *average = Some(next(*average).min(SLOWEST));
    }
}
