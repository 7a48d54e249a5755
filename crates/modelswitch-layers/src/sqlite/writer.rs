//! The thread that writes: one job after the other, so that what was handed over first is written first.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::SystemTime;

use modelswitch_provider::Result;
use rust_decimal::Decimal;
use tokio::sync::oneshot;

use super::file::File;
use crate::{Allowance, Entry, Taken};

pub(super) enum Job {
    Record(Box<Entry>),
    Take {
        now: SystemTime,
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

/// Works until nobody can hand over anything any longer. Whoever asked may be gone by the time of the answer.
pub(super) fn write_jobs(mut file: File, jobs: &Receiver<Job>) {
    let mut waiting = VecDeque::new();
    for job in jobs {
        match job {
            Job::Record(entry) => {
                waiting.push_back(*entry);
                write_entries(&mut file, &mut waiting);
            }
            Job::Take { now, amount, from, undo, reply } => {
                let reserved = file.take(now, amount, &from).map(|taken| Reserved {
                    taken,
                    undo: (taken == Taken::Yes).then_some((undo, amount, from)),
                });
                let _ = reply.send(reserved);
            }
            Job::Correct(difference, of) => {
                if let Err(error) = file.correct(difference, &of) {
                    tracing::warn!(error = error.report(), "a call stays charged with its estimate");
                }
            }
            Job::Sum(key, reply) => {
                let _ = reply.send(file.sum(&key));
            }
            Job::Flush(reply) => {
                write_entries(&mut file, &mut waiting);
                let _ = reply.send(Ok(()));
            }
        }
    }
    write_entries(&mut file, &mut waiting);
}

fn write_entries(file: &mut File, waiting: &mut VecDeque<Entry>) {
    if waiting.is_empty() {
        return;
    }
    match file.insert(waiting.iter()) {
        Ok(()) => waiting.clear(),
        Err(error) => {
            let count = waiting.len();
            tracing::warn!(
                error = error.report(),
                waiting = count,
                "the ledger can't be written; its entries wait"
            );
            if count >= MOST_WAITING {
                waiting.pop_front();
            }
        }
    }
}
