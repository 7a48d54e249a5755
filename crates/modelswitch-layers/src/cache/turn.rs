//! One asks, the others wait: whose turn it is to ask a question.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Key;

/// The questions that are being asked. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<Mutex<HashMap<Key, Arc<Line>>>>);

/// Those who have the same question.
struct Line {
    asking: Arc<Semaphore>,
    failures: AtomicU32,
}

/// So often one after the other asks in vain; then all go at once. One that is in trouble for a moment isn't asked by a crowd,
/// and nobody waits through a long row of failures.
const MOST_FAILURES: u32 = 2;

/// Leave to ask, or a place in the line for it. When it is dropped the next in line has it.
pub(super) struct Turn {
    turns: Turns,
    key: Key,
    line: Arc<Line>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// Waits for the turn to ask, in the order of coming.
    pub(super) async fn wait(&self, key: &Key) -> Turn {
        // It stands in line before it waits, so that the line is forgotten with the last of it, whoever gives up.
        let mut turn = self.stand(key);
        turn.permit = turn.line.asking.clone().acquire_owned().await.ok();
        turn
    }

    /// The turn to ask, where nobody has it.
    pub(super) fn at_once(&self, key: &Key) -> Option<Turn> {
        let mut turn = self.stand(key);
        turn.permit = Some(turn.line.asking.clone().try_acquire_owned().ok()?);
        Some(turn)
    }

    fn stand(&self, key: &Key) -> Turn {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = lines.entry(*key).or_insert_with(|| {
            Arc::new(Line { asking: Arc::new(Semaphore::new(1)), failures: AtomicU32::new(0) })
        });
        let line = line.clone();
        Turn { turns: self.clone(), key: *key, line, permit: None }
    }

    #[cfg(test)]
    pub(super) fn open(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl Turn {
    /// It was asked in vain.
    pub(super) fn failed(self) {
        if self.line.failures.fetch_add(1, Ordering::Relaxed) + 1 >= MOST_FAILURES {
            self.let_all_go();
        }
    }

    /// Nobody in line need wait: there will be no answer for them. Who comes later stands in a new one.
    pub(super) fn let_all_go(self) {
        self.leave(&mut self.turns.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.line.asking.close();
    }

    /// Takes the line out of the table, unless there is another by now.
    fn leave(&self, lines: &mut HashMap<Key, Arc<Line>>) {
        if lines.get(&self.key).is_some_and(|line| Arc::ptr_eq(line, &self.line)) {
            lines.remove(&self.key);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let turns = self.turns.clone();
        let mut lines = turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.permit = None;
        // The table's and this one: nobody else is in line, and nobody can come while the table is locked.
        if Arc::strong_count(&self.line) <= 2 {
            self.leave(&mut lines);
        }
    }
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turns")
    }
}
