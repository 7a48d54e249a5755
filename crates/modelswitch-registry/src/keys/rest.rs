//! How long a key is left alone after a failure.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The time in which a key isn't asked with, if there is one.
#[derive(Debug, Default)]
pub(super) struct Resting(Mutex<Option<Rest>>);

#[derive(Clone, Copy, Debug)]
struct Rest {
    began: Instant,
    until: Instant,
}

impl Resting {
    /// Leaves the key alone for so long from now on, or for longer if that was said before. `is_still_so` is asked while
    /// nobody can end it.
    pub(super) fn begin(&self, wait: Duration, is_still_so: impl FnOnce() -> bool) {
        let began = Instant::now();
        let Some(until) = began.checked_add(wait) else { return };
        let mut rest = self.lock();
        if is_still_so() {
            let until = rest.map_or(until, |before| until.max(before.until));
            *rest = Some(Rest { began, until });
        }
    }

    /// Another key is there by now.
    pub(super) fn end(&self) {
        *self.lock() = None;
    }

    /// The key served a call that began then. One that began before the failure says nothing of what came after.
    pub(super) fn end_if_begun_by(&self, started: Instant) {
        let mut rest = self.lock();
        if rest.is_some_and(|rest| rest.began <= started) {
            *rest = None;
        }
    }

    /// Until when; `None` when the time is over.
    pub(super) fn until(&self) -> Option<Instant> {
        self.lock().map(|rest| rest.until).filter(|until| Instant::now() < *until)
    }

    /// Goes on with a rest that was begun elsewhere.
    pub(super) fn go_on_with(&self, other: &Self) {
        let rest = *other.lock();
        *self.lock() = rest;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Rest>> {
        // A time is a time, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_success_ends_only_what_began_before_its_call() {
        let resting = Resting::default();
        let before = Instant::now();
        advance(SECOND).await;
        resting.begin(60 * SECOND, || true);
        resting.end_if_begun_by(before);
        assert!(resting.until().is_some());
        advance(SECOND).await;
        resting.end_if_begun_by(Instant::now());
        assert_eq!(resting.until(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_rest_does_not_end_a_longer_one() {
        let resting = Resting::default();
        resting.begin(60 * SECOND, || true);
        resting.begin(20 * SECOND, || true);
        advance(59 * SECOND).await;
        assert!(resting.until().is_some());
        advance(SECOND).await;
        assert_eq!(resting.until(), None);
    }
}
