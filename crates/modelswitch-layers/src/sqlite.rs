mod file;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Instant, SystemTime};

use async_trait::async_trait;
use modelswitch_provider::{Error, ErrorKind, Result};
use rust_decimal::Decimal;
use tokio::sync::oneshot;

use self::file::File;
use self::writer::{Job, write_jobs};
use crate::{Allowance, Counter, Entry, Ledger, Query, Sum, Taken};

/// A [`Ledger`] and a [`Counter`] in a file of SQLite, which is built in (feature `sqlite`).
///
/// What was written is still there after a crash of the program, and but for the last moments after one of the machine
/// (write-ahead log). Several programs of one machine may share the file: their budgets then are one, and each sees what the
/// others wrote. On a network's file system that isn't safe.
///
/// No call waits for the disk: a thread of its own writes, one for all clones. Only a [`Budget`](crate::Budget) waits until
/// its money is reserved, and where somebody else keeps the file locked a second at most. A file that is locked, or a disk
/// that is full, fails no call: entries wait in memory, the last 10,000 of them, and a budget that can't be read lets calls
/// pass; both is told by `tracing` at `WARN`.
///
/// What a program has reserved when it is killed stays charged until the hour, day or month is over: nobody knows whether the
/// calls went through. Entries are kept for ever, some 200 bytes each.
///
/// When the last clone is dropped it waits until everything is written.
///
/// ```
/// use modelswitch_layers::{Budget, Cost, Ledger, Money, Query, Sqlite, Stack};
/// use modelswitch_provider::ProviderExt;
/// use modelswitch_provider::Usage;
/// use modelswitch_provider::mock::MockProvider;
/// use rust_decimal::Decimal;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// # let folder = tempfile::tempdir().map_err(|error| modelswitch_provider::Error::config(error.to_string()))?;
/// # let path = folder.path().join("usage.sqlite");
/// let prices = |_: &str, _: &str, usage: &Usage, _: std::time::SystemTime| {
///     Some(Money::new(Decimal::new(2, 6) * Decimal::from(usage.total_tokens), "USD"))
/// };
/// let store = Sqlite::open(&path)?;
/// let llm = Stack::new()
///     .layer(Cost::new(prices).ledger(store.clone()))
///     .layer(Budget::new("all", prices, "USD").day(Decimal::from(5)).counter(store.clone()))
///     .over(MockProvider::reply("Yes."));
/// llm.ask("Is water wet?").await?;
/// assert_eq!(store.sums(&Query::new()).await?[0].calls, 1);
/// # Ok::<(), modelswitch_provider::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Sqlite(Arc<Shared>);

struct Shared {
    path: PathBuf,
    /// `None` while it is dropped: the thread ends with the last sender.
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// More than that waits only when the disk stands still; then memory must not fill up.
const MOST_JOBS: usize = 10_000;

impl Sqlite {
    /// Opens a file, or makes it.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) when it can't be opened, is something else, or was made by a later version of this crate.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let file = File::open(&path)?;
        let (jobs, received) = sync_channel(MOST_JOBS);
        let thread = thread::Builder::new()
            .name("modelswitch-sqlite".to_owned())
            .spawn(move || write_jobs(file, &received))
            .map_err(|error| Error::config("there can't be a thread for the ledger").with_source(error))?;
        Ok(Self(Arc::new(Shared { path, jobs: Some(jobs), thread: Some(thread) })))
    }

    fn hand_over(&self, job: Job) -> Result<()> {
        let jobs = self.0.jobs.as_ref().ok_or_else(gone)?;
        jobs.try_send(job)
            .map_err(|_| Error::new(ErrorKind::Upstream, "the ledger's file is behind: its disk is too slow"))
    }

    async fn asked<T>(&self, job: impl FnOnce(oneshot::Sender<Result<T>>) -> Job) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.hand_over(job(reply))?;
        answer.await.map_err(|_| gone())?
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::Upstream, "the ledger's thread has ended")
}

#[async_trait]
impl Ledger for Sqlite {
    fn record(&self, entry: Entry) {
        if let Err(error) = self.hand_over(Job::Record(Box::new(entry))) {
            tracing::warn!(%error, "an entry of the ledger is lost");
        }
    }

    async fn sums(&self, query: &Query) -> Result<Vec<Sum>> {
        self.flush().await?;
        let (reply, answer) = oneshot::channel();
        let (path, query) = (self.0.path.clone(), query.clone());
        // A connection of its own: adding up years must not keep calls from being written down.
        thread::Builder::new()
            .name("modelswitch-sums".to_owned())
            .spawn(move || {
                // Whoever asked may be gone.
                let _ = reply.send(File::open(&path).and_then(|file| file.sums(&query)));
            })
            .map_err(|error| {
                Error::new(ErrorKind::Upstream, "there can't be a thread to read").with_source(error)
            })?;
        answer.await.map_err(|_| gone())?
    }

    async fn flush(&self) -> Result<()> {
        self.asked(Job::Flush).await
    }
}

#[async_trait]
impl Counter for Sqlite {
    async fn take(&self, now: SystemTime, amount: Decimal, from: &[Allowance]) -> Result<Taken> {
        let undo = self.0.jobs.clone().ok_or_else(gone)?;
        let from = from.to_vec();
        #[expect(clippy::disallowed_methods, reason = "a thread measures it, which knows no paused clock")]
        let asked = Instant::now();
        let reserved = self.asked(|reply| Job::Take { now, asked, amount, from, undo, reply }).await?;
        Ok(reserved.keep())
    }

    fn correct(&self, difference: Decimal, of: &[Allowance]) {
        if let Err(error) = self.hand_over(Job::Correct(difference, of.to_vec())) {
            tracing::warn!(%error, "a call stays charged with its estimate");
        }
    }

    async fn sum(&self, key: &str) -> Result<Decimal> {
        let key = key.to_owned();
        self.asked(|reply| Job::Sum(key, reply)).await
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // It can only have failed by a panic, which has been told.
            let _ = thread.join();
        }
    }
}

/// The file.
impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sqlite").field(&self.0.path).finish()
    }
}
