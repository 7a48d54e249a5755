//! What was spent, call by call: the trait that a store implements, and one that is in memory.

mod sums;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use modelswitch_provider::{Error, ErrorKind, Result, Usage};

use crate::Priced;

pub(crate) use self::sums::Sums;
pub use self::sums::{By, Query, Sum};

/// Where [`Cost`](crate::Cost) writes down each call. In memory it is [`MemoryLedger`], in a file `Sqlite` (feature
/// `sqlite`); a store for many machines implements this trait.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use modelswitch_layers::{By, Entry, Ledger, MemoryLedger, Query};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let ledger = MemoryLedger::new();
/// let mut entry = Entry::at(UNIX_EPOCH + Duration::from_secs(86_400));
/// entry.provider = "deepseek".into();
/// ledger.record(entry);
/// let sums = ledger.sums(&Query::new().by([By::Day, By::Provider])).await?;
/// assert_eq!(sums[0].group, [Some("1970-01-02".to_owned()), Some("deepseek".to_owned())]);
/// # Ok::<(), modelswitch_provider::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[async_trait]
pub trait Ledger: fmt::Debug + Send + Sync + 'static {
    /// Takes an entry, at once: it is called where a stream ends, also by being dropped, and there nobody can wait. A store
    /// that is slow takes it over to a thread or task of its own. What it can't keep it tells by `tracing`; the call that was
    /// made doesn't fail for it.
    fn record(&self, entry: Entry);

    /// Sums of what is written down, in the order of their groups. What was recorded before is in them.
    ///
    /// # Errors
    /// [`Upstream`](ErrorKind::Upstream) when the store can't be read.
    async fn sums(&self, query: &Query) -> Result<Vec<Sum>>;

    /// Waits until what was recorded is where it is to be kept.
    ///
    /// # Errors
    /// [`Upstream`](ErrorKind::Upstream) when the store is gone.
    async fn flush(&self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl<T: Ledger + ?Sized> Ledger for Arc<T> {
    fn record(&self, entry: Entry) {
        (**self).record(entry);
    }

    async fn sums(&self, query: &Query) -> Result<Vec<Sum>> {
        (**self).sums(query).await
    }

    async fn flush(&self) -> Result<()> {
        (**self).flush().await
    }
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// When it was made.
    pub time: SystemTime,
    /// Who answered or failed.
    pub provider: String,
    /// The model that was asked for there; empty when none was named.
    pub model: String,
    /// The [`Alias`](crate::Alias) that the app asked for.
    pub alias: Option<String>,
    /// The caller's [`Tag`](crate::Tag).
    pub tag: Option<String>,
    /// The tokens that it took; `None` when the answer didn't tell, and when a cache had it.
    pub tokens: Option<Tokens>,
    /// What it cost.
    pub cost: Priced,
    /// How it ended.
    pub outcome: Outcome,
    /// From the request to the end of the answer.
    pub duration: Duration,
    /// How many tries it took, each of which may have cost something that no service told of.
    pub attempts: u32,
}

impl Entry {
    /// A call that was made then, and of which nothing more is known: it was given up.
    pub fn at(time: SystemTime) -> Self {
        Self {
            time,
            provider: String::new(),
            model: String::new(),
            alias: None,
            tag: None,
            tokens: None,
            cost: Priced::NoUsage,
            outcome: Outcome::Cancelled,
            duration: Duration::ZERO,
            attempts: 0,
        }
    }
}

/// How many tokens a call took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Of the request, cached ones included.
    pub input: u64,
    /// Of the answer, reasoning included.
    pub output: u64,
    /// Those of the request that came out of the provider's cache.
    pub cached: u64,
    /// Those of the answer that were spent on reasoning.
    pub reasoning: u64,
}

impl From<&Usage> for Tokens {
    fn from(usage: &Usage) -> Self {
        Self {
            input: usage.prompt_tokens,
            output: usage.completion_tokens,
            cached: usage.cached_tokens().unwrap_or_default(),
            reasoning: usage.reasoning_tokens().unwrap_or_default(),
        }
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was answered.
    Ok,
    /// It failed.
    Error(ErrorKind),
    /// Whoever asked had enough before the end.
    Cancelled,
}

/// `ok`, `cancelled`, or the kind of the error.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Error(kind) => kind.as_str(),
            Self::Cancelled => "cancelled",
        })
    }
}

/// Reads what `Display` wrote.
impl FromStr for Outcome {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "ok" => Ok(Self::Ok),
            "cancelled" => Ok(Self::Cancelled),
            other => ErrorKind::ALL
                .into_iter()
                .find(|kind| kind.as_str() == other)
                .map(Self::Error)
                .ok_or_else(|| Error::decode("there is an outcome in the ledger that isn't known")),
        }
    }
}

/// A ledger in memory: gone when the program ends, and the oldest entries go when it is full. Clones are the same ledger.
///
/// ```
/// use modelswitch_layers::MemoryLedger;
///
/// let ledger = MemoryLedger::new();
/// assert!(ledger.entries().is_empty());
/// ```
#[derive(Clone, Default)]
pub struct MemoryLedger(Arc<Mutex<VecDeque<Entry>>>);

/// Some twenty megabytes.
const MOST_ENTRIES: usize = 100_000;

impl MemoryLedger {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// All entries, the oldest first.
    pub fn entries(&self) -> Vec<Entry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    fn record(&self, entry: Entry) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MOST_ENTRIES {
            entries.pop_front();
        }
        entries.push_back(entry);
    }

    async fn sums(&self, query: &Query) -> Result<Vec<Sum>> {
        let mut sums = Sums::new(query);
        for entry in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            sums.add(entry);
        }
        Ok(sums.finish())
    }
}

/// How many entries there are: who asked for what is nobody's business in a log.
impl fmt::Debug for MemoryLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.lock().unwrap_or_else(PoisonError::into_inner).len();
        write!(f, "MemoryLedger({count} entries)")
    }
}
