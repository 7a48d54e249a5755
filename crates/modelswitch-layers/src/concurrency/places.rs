//! Places for calls, how many there are, and who waits for one.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Sign;

/// What is left of the limit when the service says that it is too much. TCP halves; but a model's next answer is seconds away,
/// and what was halved by mistake takes long to come back.
const LESS: f64 = 0.7;
/// So many at once are no limit, and more may be more than the semaphore counts.
const MOST: u32 = 1 << 20;

pub(super) struct Places {
    /// Gives places in the order of asking. It holds a permit for each place that is free.
    free: Arc<Semaphore>,
    bounds: RangeInclusive<u32>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Its whole part is the limit; the rest is on the way to the next one.
    limit: f64,
    /// How many that run are too many, since the limit went down: their places are not given on.
    surplus: u32,
    in_flight: u32,
    waiting: usize,
    /// How often the limit went down. A call that began before the last time says nothing new.
    decreases: u64,
}

impl Places {
    pub(super) fn new(limit: u32, bounds: RangeInclusive<u32>) -> Arc<Self> {
        let (least, most) = bounds.into_inner();
        let (limit, bounds) = (limit.min(MOST), least.min(MOST)..=most.min(MOST));
        let state = State { limit: f64::from(limit), surplus: 0, in_flight: 0, waiting: 0, decreases: 0 };
        Arc::new(Self {
            free: Arc::new(Semaphore::new(usize::try_from(limit).unwrap_or_default())),
            bounds,
            state: Mutex::new(state),
        })
    }

    /// A place, if there is a free one. Nobody who waits is overtaken: a place that is given back is theirs already.
    pub(super) fn take(self: &Arc<Self>) -> Option<Place> {
        self.free.clone().try_acquire_owned().ok().map(|permit| self.place(permit))
    }

    /// A ticket to wait with, unless so many wait already.
    pub(super) fn queue_up(self: &Arc<Self>, most: usize) -> Option<Waiting> {
        let mut state = self.state();
        if state.waiting >= most {
            return None;
        }
        state.waiting += 1;
        Some(Waiting(self.clone()))
    }

    pub(super) fn limit(&self) -> u32 {
        whole(self.state().limit)
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.state().in_flight
    }

    pub(super) fn waiting(&self) -> usize {
        self.state().waiting
    }

    fn place(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Place {
        let mut state = self.state();
        state.in_flight += 1;
        Place { places: self.clone(), permit: Some(permit), decreases: state.decreases }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: &mut State, limit: f64) {
        let (before, after) = (whole(state.limit), whole(limit));
        state.limit = limit;
        let fewer = before.saturating_sub(after);
        let at_once = self.free.forget_permits(usize::try_from(fewer).unwrap_or(usize::MAX));
        state.surplus += fewer.saturating_sub(u32::try_from(at_once).unwrap_or(fewer));
        let more = after.saturating_sub(before);
        let owed = more.min(state.surplus);
        state.surplus -= owed;
        self.free.add_permits(usize::try_from(more - owed).unwrap_or_default());
    }
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let State { limit, in_flight, waiting, .. } = &*self.state();
        write!(f, "{in_flight} of {} in flight, {waiting} waiting", whole(*limit))
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it stays within bounds of u32")]
fn whole(limit: f64) -> u32 {
    limit as u32
}

/// Somebody who waits, until this is dropped.
pub(super) struct Waiting(Arc<Places>);

impl Waiting {
    pub(super) async fn place(self) -> Option<Place> {
        // Nothing closes the semaphore.
        let permit = self.0.free.clone().acquire_owned().await.ok()?;
        Some(self.0.place(permit))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.waiting -= 1;
        // A place that was on its way here when the limit went down is free again now.
        let back = self.0.free.forget_permits(usize::try_from(state.surplus).unwrap_or_default());
        state.surplus -= u32::try_from(back).unwrap_or_default();
    }
}

/// A place, until this is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    permit: Option<OwnedSemaphorePermit>,
    decreases: u64,
}

impl Place {
    /// Moves the limit by what became of the call.
    pub(super) fn learn(&self, sign: Sign) {
        let mut state = self.places.state();
        let (least, most) = (f64::from(*self.places.bounds.start()), f64::from(*self.places.bounds.end()));
        let limit = state.limit;
        match sign {
            Sign::Well if state.in_flight.saturating_mul(2) >= whole(limit) => {
                self.places.set(&mut state, (limit + 1.0 / limit).min(most));
            }
            Sign::TooMuch if state.decreases == self.decreases => {
                state.decreases += 1;
                self.places.set(&mut state, (limit * LESS).max(least));
            }
            Sign::Well | Sign::TooMuch | Sign::Nothing => {}
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.state();
        state.in_flight -= 1;
        let Some(permit) = self.permit.take() else { return };
        if state.surplus > 0 {
            state.surplus -= 1;
            permit.forget();
        }
    }
}
