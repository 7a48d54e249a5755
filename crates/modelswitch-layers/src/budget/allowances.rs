//! The sums that calls are charged to, made once for each owner and window of time instead of for each call.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::Allowance;

/// Those that were made lately. A clone knows none: it may be given other limits.
#[derive(Default)]
pub(super) struct Known(Mutex<State>);

#[derive(Default)]
struct State {
    /// From when to when they hold: until the first of their windows ends.
    span: Option<(SystemTime, SystemTime)>,
    of: HashMap<String, Arc<[Allowance]>>,
}

/// More owners at a time than that are made anew: a million tags must not fill the memory.
const MOST_OWNERS: usize = 1024;

impl Known {
    /// Those of an owner at a moment.
    pub(super) fn of(
        &self,
        owner: &str,
        now: SystemTime,
        make: impl FnOnce() -> Vec<Allowance>,
    ) -> Arc<[Allowance]> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let holds = state.span.is_some_and(|(from, until)| from <= now && now < until);
        if let Some(allowances) = state.of.get(owner).filter(|_| holds) {
            return allowances.clone();
        }
        let made: Arc<[Allowance]> = make().into();
        if !holds || state.of.len() >= MOST_OWNERS {
            state.of.clear();
            state.span = made.iter().map(|allowance| allowance.end).min().map(|until| (now, until));
        }
        state.of.insert(owner.to_owned(), made.clone());
        made
    }
}

impl Clone for Known {
    fn clone(&self) -> Self {
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn sums_are_made_once_for_each_owner_until_a_window_ends() {
        let (known, made) = (Known::default(), Cell::new(0));
        let ask = |owner: &str, second: u64| {
            let now = UNIX_EPOCH + Duration::from_secs(second);
            let end = UNIX_EPOCH + Duration::from_secs(second / 60 * 60 + 60);
            let allowances = known.of(owner, now, || {
                made.set(made.get() + 1);
                vec![Allowance::new(format!("{owner}/{}", second / 60), 1.into(), end)]
            });
            assert_eq!(allowances[0].key, format!("{owner}/{}", second / 60));
            made.get()
        };
        assert_eq!([ask("a", 5), ask("a", 59), ask("b", 30), ask("a", 8)], [1, 1, 2, 2]);
        assert_eq!([ask("a", 60), ask("b", 61)], [3, 4]);
        // A clock that goes back finds the window that it is in then.
        assert_eq!([ask("a", 59), ask("a", 60)], [5, 6]);
    }

    #[test]
    fn however_many_owners_there_are_only_so_many_are_kept() {
        let known = Known::default();
        for owner in 0..MOST_OWNERS * 3 {
            let end = UNIX_EPOCH + Duration::from_secs(60);
            known.of(&owner.to_string(), UNIX_EPOCH, || vec![Allowance::new("key", 1.into(), end)]);
        }
        assert!(known.0.lock().unwrap().of.len() <= MOST_OWNERS);
    }
}
