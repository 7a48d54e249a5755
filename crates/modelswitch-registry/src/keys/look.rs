//! When a key's file is looked at: often enough to see a rotation, not at each of a thousand calls a second.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::source::{KeySource, Stamp};

/// How often a file is looked at, at most.
const EVERY: Duration = Duration::from_secs(1);

/// What was seen of a file, and when.
#[derive(Debug)]
pub(super) struct Look {
    at: Mutex<Instant>,
    saw_another: AtomicBool,
}

impl Look {
    pub(super) fn new() -> Self {
        Self { at: Mutex::new(Instant::now()), saw_another: AtomicBool::new(false) }
    }

    /// Whether the file is another one than was read.
    pub(super) fn sees_another(&self, source: &KeySource, read: Option<Stamp>) -> bool {
        let Some(read) = read else { return false };
        if self.saw_another.load(Ordering::Relaxed) {
            return true;
        }
        if !self.may_look() || source.stamp() == Some(read) {
            return false;
        }
        self.saw_another.store(true, Ordering::Relaxed);
        true
    }

    /// The file was read just now.
    pub(super) fn was_read(&self) {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.saw_another.store(false, Ordering::Relaxed);
    }

    fn may_look(&self) -> bool {
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        let may = at.elapsed() >= EVERY;
        if may {
            *at = Instant::now();
        }
        may
    }
}
