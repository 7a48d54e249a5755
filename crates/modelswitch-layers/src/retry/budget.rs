//! How many repeats a layer may make, as a share of what passes through it: why a retry is no storm.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Over this the share is taken.
const WINDOW: Duration = Duration::from_secs(10);
/// Counts are kept by the second.
const STEP: Duration = Duration::from_secs(1);

/// One for all calls of a layer; clones are the same.
#[derive(Clone)]
pub(super) struct Budget {
    share: f64,
    at_least: u32,
    counts: Arc<Mutex<VecDeque<Second>>>,
}

/// What passed within one second.
#[derive(Clone, Copy, Debug)]
struct Second {
    since: Instant,
    calls: u32,
    repeats: u32,
}

impl Budget {
    /// Repeats may be this share of the calls of the last ten seconds, and this many a second whatever their number.
    pub(super) fn new(share: f64, at_least: u32) -> Self {
        Self { share: share.max(0.0), at_least, counts: Arc::default() }
    }

    /// A call came.
    pub(super) fn call(&self) {
        self.now(|second| second.calls = second.calls.saturating_add(1));
    }

    /// True when one more may be repeated, which is then counted.
    pub(super) fn repeat(&self) -> bool {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let (calls, repeats) = recent(&mut counts);
        #[expect(clippy::cast_precision_loss, reason = "nobody makes 2^52 calls in ten seconds")]
        let allowed = calls as f64 * self.share + f64::from(self.at_least) * WINDOW.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "as above")]
        if repeats as f64 + 1.0 > allowed {
            return false;
        }
        drop(counts);
        self.now(|second| second.repeats = second.repeats.saturating_add(1));
        true
    }

    fn now(&self, count: impl FnOnce(&mut Second)) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match counts.back_mut() {
            Some(last) if now.duration_since(last.since) < STEP => count(last),
            _ => {
                let mut second = Second { since: now, calls: 0, repeats: 0 };
                count(&mut second);
                counts.push_back(second);
                recent(&mut counts);
            }
        }
    }
}

/// The settings; what has passed says nothing to a reader.
impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of the calls, at least {} a second", self.share, self.at_least)
    }
}

/// Forgets what is older than the window, and sums up the rest.
fn recent(counts: &mut VecDeque<Second>) -> (u64, u64) {
    let now = Instant::now();
    while counts.front().is_some_and(|oldest| now.duration_since(oldest.since) >= WINDOW) {
        counts.pop_front();
    }
    counts.iter().fold((0, 0), |(calls, repeats), second| {
        (calls + u64::from(second.calls), repeats + u64::from(second.repeats))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_share_of_the_recent_calls_and_a_few_a_second_may_be_repeated() {
        let budget = Budget::new(0.2, 1);
        (0..100).for_each(|_| budget.call());
        assert_eq!((0..100).filter(|_| budget.repeat()).count(), 30);
        tokio::time::advance(9 * STEP).await;
        assert!(!budget.repeat());
        tokio::time::advance(STEP).await;
        assert_eq!((0..100).filter(|_| budget.repeat()).count(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_share_and_a_minimum_nothing_is_repeated() {
        let budget = Budget::new(0.0, 0);
        (0..100).for_each(|_| budget.call());
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
                            budget.call();
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
