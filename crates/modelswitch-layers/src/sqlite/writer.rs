//! The thread that writes: one job after the other, so that what was handed over first is written first.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant, SystemTime};

use modelswitch_provider::Result;
use rust_decimal::Decimal;
use tokio::sync::oneshot;

use super::file::{File, LOCKED, PATIENCE};
use crate::{Allowance, Entry, Taken};

pub(super) enum Job {
    Record(Box<Entry>),
    Take {
        now: SystemTime,
        /// A call waits since then.
        asked: Instant,
        amount: Decimal,
        from: Vec<Allowance>,
        /// Where it is given back when nobody waits for it any longer.
        undo: SyncSender<Job>,
        reply: oneshot::Sender<Result<Reserved>>,
    },
    Correct(Decimal, Vec<Allowance>),
    Sum(String, oneshot::Sender<Result<Decimal>>),
    Flush(oneshot::Sender<Result<()>>),
}

/// Money that was taken and that nobody has yet. It is given back unless somebody comes for it: whoever asked may be gone
/// before, or after, the answer is sent.
pub(super) struct Reserved {
    taken: Taken,
    undo: Option<(SyncSender<Job>, Decimal, Vec<Allowance>)>,
}

impl Reserved {
    pub(super) fn keep(mut self) -> Taken {
        self.undo = None;
        self.taken
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some((jobs, amount, from)) = self.undo.take() {
            // A queue that is full leaves the money charged, which is on the safe side.
            let _ = jobs.try_send(Job::Correct(-amount, from));
        }
    }
}

/// Entries that can't be written wait here; the oldest go when they are too many.
const MOST_WAITING: usize = 10_000;

/// So many are written in one step; more would keep calls waiting that want money.
const AT_ONCE: usize = 500;

/// Works until nobody can hand over anything any longer. Whoever asked may be gone by the time of the answer.
pub(super) fn write_jobs(file: File, jobs: &Receiver<Job>) {
    let mut writer = Writer { file, waiting: VecDeque::new(), is_locked: false };
    while let Ok(job) = jobs.recv() {
        writer.work(job);
        // What came in the meantime is written with it, in one step.
        while let Ok(job) = jobs.try_recv() {
            writer.work(job);
        }
        writer.write_entries();
    }
    writer.is_locked = false;
    writer.write_entries();
}

struct Writer {
    file: File,
    waiting: VecDeque<Entry>,
    /// Somebody else had the file all the time when it was wanted last. Nobody is to wait for that again and again.
    is_locked: bool,
}

/// How long a file that was locked is waited for: somebody else who works on it, and doesn't keep it, lets it go by then.
const WHILE_LOCKED: Duration = Duration::from_millis(5);

impl Writer {
    fn work(&mut self, job: Job) {
        match job {
            Job::Record(entry) => self.wait(*entry),
            Job::Take { now, asked, amount, from, undo, reply } => {
                let left = PATIENCE.saturating_sub(asked.elapsed());
                let taken = self.within(left, |file| file.take(now, amount, &from));
                let reserved = taken.map(|taken| Reserved {
                    taken,
                    undo: (taken == Taken::Yes).then_some((undo, amount, from)),
                });
                let _ = reply.send(reserved);
            }
            Job::Correct(difference, of) => {
                if let Err(error) = self.within(PATIENCE, |file| file.correct(difference, &of)) {
                    tracing::warn!(error = error.report(), "a call stays charged with its estimate");
                }
            }
            Job::Sum(key, reply) => {
                let _ = reply.send(self.file.sum(&key));
            }
            Job::Flush(reply) => {
                self.write_entries();
                let _ = reply.send(Ok(()));
            }
        }
    }

    /// Works on the file, which somebody else may have so long, or shorter when he had it before.
    fn within<T>(&mut self, patience: Duration, work: impl FnOnce(&mut File) -> Result<T>) -> Result<T> {
        self.file.wait_at_most(if self.is_locked { patience.min(WHILE_LOCKED) } else { patience });
        let done = work(&mut self.file);
        self.is_locked = done.as_ref().is_err_and(|error| error.code() == Some(LOCKED));
        done
    }

    fn wait(&mut self, entry: Entry) {
        if self.waiting.len() >= MOST_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(entry);
        if self.waiting.len().is_multiple_of(AT_ONCE) {
            self.write_entries();
        }
    }

    fn write_entries(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.waiting);
        let written = self.within(PATIENCE, |file| file.insert(waiting.iter()));
        if let Err(error) = written {
            let count = waiting.len();
            self.waiting = waiting;
            tracing::warn!(
                error = error.report(),
                waiting = count,
                "the ledger can't be written; its entries wait"
            );
        }
    }
}
