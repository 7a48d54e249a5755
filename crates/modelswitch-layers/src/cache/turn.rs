//! One asks, the others wait: whose turn it is to ask a question.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Key;

/// The questions that are being asked. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<Mutex<HashMap<Key, Arc<Semaphore>>>>);

/// Leave to ask, or a place in the line for it. When it is dropped the next in line has it.
pub(super) struct Turn {
    turns: Turns,
    key: Key,
    line: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// Waits for the turn to ask, in the order of coming.
    pub(super) async fn wait(&self, key: &Key) -> Turn {
        // It stands in line before it waits, so that the line is forgotten with the last of it, whoever gives up.
        let mut turn = self.stand(key);
        turn.permit = turn.line.clone().acquire_owned().await.ok();
        turn
    }

    fn stand(&self, key: &Key) -> Turn {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = lines.entry(*key).or_insert_with(|| Arc::new(Semaphore::new(1))).clone();
        Turn { turns: self.clone(), key: *key, line, permit: None }
    }

    #[cfg(test)]
    pub(super) fn open(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut lines = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.permit = None;
        // The table's and this one: nobody else is in line, and nobody can come while the table is locked.
        if Arc::strong_count(&self.line) <= 2 {
            lines.remove(&self.key);
        }
    }
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turns")
    }
}
