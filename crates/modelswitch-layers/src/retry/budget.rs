//! How many repeats a layer may make, as a share of what passes through it: why a retry is no storm.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::window::Window;

/// Over this the share is taken.
const WINDOW: Duration = Duration::from_secs(10);
/// Counts are kept by the second.
const STEP: Duration = Duration::from_secs(1);

/// One for all calls of a layer; clones are the same.
#[derive(Clone)]
pub(super) struct Budget {
    share: f64,
    at_least: u32,
    passed: Arc<Mutex<Window<Passed>>>,
}

/// What passed within one slice of time.
#[derive(Debug, Default)]
struct Passed {
    calls: u32,
    repeats: u32,
}

impl Budget {
    /// Repeats may be this share of the calls of the last ten seconds, and this many a second whatever their number.
    pub(super) fn new(share: f64, at_least: u32) -> Self {
        let passed = Arc::new(Mutex::new(Window::new(WINDOW, STEP)));
        Self { share: share.max(0.0), at_least, passed }
    }

    /// A call came now.
    pub(super) fn call(&self, now: Instant) {
        let mut passed = self.passed();
        passed.count(now, |slice| slice.calls = slice.calls.saturating_add(1));
        // While nothing fails, nobody else looks what is to be forgotten.
        drop(passed.recent(now));
    }

    /// True when one more may be repeated, which is then counted.
    pub(super) fn repeat(&self) -> bool {
        let (mut passed, now) = (self.passed(), Instant::now());
        let (calls, repeats) = passed.recent(now).fold((0.0, 0.0), |(calls, repeats), (_, slice)| {
            (calls + f64::from(slice.calls), repeats + f64::from(slice.repeats))
        });
        let allowed = calls * self.share + f64::from(self.at_least) * WINDOW.as_secs_f64();
        if repeats + 1.0 > allowed {
            return false;
        }
        passed.count(now, |slice| slice.repeats = slice.repeats.saturating_add(1));
        true
    }

    fn passed(&self) -> MutexGuard<'_, Window<Passed>> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The settings; what has passed says nothing to a reader.
impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of the calls, at least {} a second", self.share, self.at_least)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_share_of_the_recent_calls_and_a_few_a_second_may_be_repeated() {
        let budget = Budget::new(0.2, 1);
        (0..100).for_each(|_| budget.call(Instant::now()));
        assert_eq!((0..100).filter(|_| budget.repeat()).count(), 30);
        tokio::time::advance(9 * STEP).await;
        assert!(!budget.repeat());
        tokio::time::advance(STEP).await;
        assert_eq!((0..100).filter(|_| budget.repeat()).count(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_share_and_a_minimum_nothing_is_repeated() {
        let budget = Budget::new(0.0, 0);
        (0..100).for_each(|_| budget.call(Instant::now()));
        assert!(!budget.repeat());
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Call,
        Repeat,
        Wait(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![Just(Step::Call), Just(Step::Repeat), (0_u64..4000).prop_map(Step::Wait)];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        /// However calls and failures are spread: within any window the repeats stay below what the share allows for the
        /// calls of twice that window, and the minimum.
        #[test]
        fn repeats_never_exceed_the_share(steps in steps(), share in 0.0..1.0_f64, at_least in 0_u32..3) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            runtime.block_on(async {
                let budget = Budget::new(share, at_least);
                let (mut calls, mut repeats) = (Vec::new(), Vec::new());
                for step in steps {
                    let now = Instant::now();
                    match step {
                        Step::Call => {
                            budget.call(now);
                            calls.push(now);
                        }
                        Step::Repeat if budget.repeat() => {
                            repeats.push(now);
                            let within = |times: &[Instant], span| times.iter().filter(|time| now - **time < span).count();
                            let most = share * within(&calls, WINDOW) as f64 + f64::from(at_least) * 10.0;
                            prop_assert!(within(&repeats, WINDOW - STEP) as f64 <= most + 1e-9);
                        }
                        Step::Repeat => {}
                        Step::Wait(millis) => tokio::time::advance(Duration::from_millis(millis)).await,
                    }
                }
                Ok(())
            })?;
        }
    }
}
