//! Counts over the time that has just passed.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// What was counted lately, in slices of time: however much is counted, it is kept in a bounded number of them.
#[derive(Debug)]
pub(crate) struct Window<T> {
    keep: Duration,
    step: Duration,
    slices: VecDeque<Slice<T>>,
}

#[derive(Debug)]
struct Slice<T> {
    since: Instant,
    counts: T,
}

impl<T: Default> Window<T> {
    /// A slice takes what comes within `step` of its first, and is kept for `keep` since that.
    pub(crate) fn new(keep: Duration, step: Duration) -> Self {
        Self { keep, step, slices: VecDeque::new() }
    }

    /// Counts something now. What comes back finds the slice again.
    pub(crate) fn count(&mut self, now: Instant, count: impl FnOnce(&mut T)) -> Instant {
        let begins = self.slices.back().is_none_or(|last| now.duration_since(last.since) >= self.step);
        if begins {
            self.slices.push_back(Slice { since: now, counts: T::default() });
        }
        if let Some(slice) = self.slices.back_mut() {
            count(&mut slice.counts);
            return slice.since;
        }
        now
    }

    /// The counts of a slice, while it is kept.
    pub(crate) fn slice_of(&mut self, since: Instant) -> Option<&mut T> {
        let position = self.slices.binary_search_by_key(&since, |slice| slice.since).ok()?;
        self.slices.get_mut(position).map(|slice| &mut slice.counts)
    }

    /// What is kept, oldest first, and after how long each is forgotten.
    pub(crate) fn recent(&mut self, now: Instant) -> impl Iterator<Item = (Duration, &T)> {
        let age = move |slice: &Slice<T>| now.duration_since(slice.since);
        while self.slices.front().is_some_and(|oldest| age(oldest) >= self.keep) {
            self.slices.pop_front();
        }
        let keep = self.keep;
        self.slices.iter().map(move |slice| (keep.saturating_sub(age(slice)), &slice.counts))
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.slices.clear();
    }
}
