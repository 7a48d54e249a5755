//! Sums of money that may not go over a limit: the trait that a store implements, and one that is in memory.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use modelswitch_provider::Result;
use rust_decimal::Decimal;

/// Where a [`Budget`](crate::Budget) keeps what was spent. In memory it is [`MemoryCounter`], in a file `Sqlite` (feature
/// `sqlite`), which several programs of a machine can share; a store for many machines implements this trait.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use modelswitch_layers::{Allowance, Counter, MemoryCounter, Taken};
/// use rust_decimal::Decimal;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let counter = MemoryCounter::new();
/// let day = [Allowance::new("all/1970-01-01", Decimal::from(5), UNIX_EPOCH + Duration::from_secs(86_400))];
/// assert_eq!(counter.take(UNIX_EPOCH, Decimal::from(4), &day).await?, Taken::Yes);
/// assert_eq!(counter.take(UNIX_EPOCH, Decimal::from(4), &day).await?, Taken::No { which: 0, sum: Decimal::from(4) });
/// counter.correct(Decimal::from(-3), &day);                                   // it was only one
/// assert_eq!(counter.sum(&day[0].key).await?, Decimal::ONE);
/// # Ok::<(), modelswitch_provider::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[async_trait]
pub trait Counter: fmt::Debug + Send + Sync + 'static {
    /// Adds an amount to the sums of all these allowances, or to none of them when one would go over. One step for all who
    /// share the store. A future that is dropped before it is ready has added nothing.
    ///
    /// # Errors
    /// [`Upstream`](modelswitch_provider::ErrorKind::Upstream) when the store can't be reached; nothing was added then.
    async fn take(&self, now: SystemTime, amount: Decimal, from: &[Allowance]) -> Result<Taken>;

    /// Adds what a call cost more than was taken for it, or less, at once and whatever the limit: it is called where a stream
    /// ends, also by being dropped, and there nobody can wait. A store that is slow takes it over to a thread or task of its
    /// own, and tells by `tracing` what it couldn't add. Sums that nothing was taken from stay as they are.
    fn correct(&self, difference: Decimal, of: &[Allowance]);

    /// What is spent and reserved under a key; zero when nothing is.
    ///
    /// # Errors
    /// [`Upstream`](modelswitch_provider::ErrorKind::Upstream) when the store can't be reached.
    async fn sum(&self, key: &str) -> Result<Decimal>;
}

#[async_trait]
impl<T: Counter + ?Sized> Counter for Arc<T> {
    async fn take(&self, now: SystemTime, amount: Decimal, from: &[Allowance]) -> Result<Taken> {
        (**self).take(now, amount, from).await
    }

    fn correct(&self, difference: Decimal, of: &[Allowance]) {
        (**self).correct(difference, of);
    }

    async fn sum(&self, key: &str) -> Result<Decimal> {
        (**self).sum(key).await
    }
}

/// How much may be spent under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Allowance {
    /// Names the sum, with the window of time that it is for.
    pub key: String,
    /// How much it may become.
    pub most: Decimal,
    /// When the window ends. A store may forget the sum a day later.
    pub end: SystemTime,
}

impl Allowance {
    /// So much under a key until then.
    pub fn new(key: impl Into<String>, most: Decimal, end: SystemTime) -> Self {
        Self { key: key.into(), most, end }
    }
}

/// Whether there was enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Taken {
    /// The amount was added to all sums.
    Yes,
    /// It was added to none: the sum of one allowance, the one at this place, would have become too large.
    No {
        /// The place of the allowance among those that were given.
        which: usize,
        /// What is spent and reserved there.
        sum: Decimal,
    },
}

/// How long sums are kept after their window has ended, for calls that end later.
pub(crate) const KEPT: Duration = Duration::from_secs(86_400);

/// When a store has looked last for sums that can be forgotten. That takes a look at all of them while a call waits, so it is done
/// once in a while.
#[derive(Debug, Default)]
pub(crate) struct Tidied(Option<SystemTime>);

/// As long as the shortest window: then there may be sums to forget again.
const TIDY_EACH: Duration = Duration::from_secs(3600);

impl Tidied {
    /// The end of the windows whose sums can be forgotten now, if it is time to.
    pub(crate) fn is_due(&mut self, now: SystemTime) -> Option<SystemTime> {
        let is_due = self.0.is_none_or(|last| now.duration_since(last).is_ok_and(|since| since >= TIDY_EACH));
        is_due.then(|| {
            self.0 = Some(now);
            now.checked_sub(KEPT).unwrap_or(UNIX_EPOCH)
        })
    }
}

/// What becomes of the sums when an amount is taken: the rule of every store that adds by itself.
pub(crate) fn weigh(amount: Decimal, from: &[Allowance], sums: &[Decimal]) -> Taken {
    let over = from.iter().zip(sums).position(|(allowance, sum)| sum.saturating_add(amount) > allowance.most);
    match over.and_then(|which| Some((which, *sums.get(which)?))) {
        Some((which, sum)) => Taken::No { which, sum },
        None => Taken::Yes,
    }
}

/// A counter in memory: what was spent is forgotten when the program ends. Clones are the same counter.
///
/// ```
/// use modelswitch_layers::MemoryCounter;
///
/// let counter = MemoryCounter::new();
/// assert_eq!(format!("{counter:?}"), "MemoryCounter(0 sums)");
/// ```
#[derive(Clone, Default)]
pub struct MemoryCounter(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    sums: HashMap<String, (Decimal, SystemTime)>,
    tidied: Tidied,
}

impl MemoryCounter {
    /// Nothing spent yet.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Counter for MemoryCounter {
    async fn take(&self, now: SystemTime, amount: Decimal, from: &[Allowance]) -> Result<Taken> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.tidy(now);
        let sums: Vec<Decimal> = from.iter().map(|allowance| state.sum(&allowance.key)).collect();
        let taken = weigh(amount, from, &sums);
        if taken == Taken::Yes {
            for allowance in from {
                // The key is copied only for a sum that is new.
                match state.sums.get_mut(&allowance.key) {
                    Some((sum, _)) => *sum = sum.saturating_add(amount),
                    None => {
                        state.sums.insert(allowance.key.clone(), (amount, allowance.end));
                    }
                }
            }
        }
        Ok(taken)
    }

    fn correct(&self, difference: Decimal, of: &[Allowance]) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for allowance in of {
            if let Some((sum, _)) = state.sums.get_mut(&allowance.key) {
                *sum = sum.saturating_add(difference);
            }
        }
    }

    async fn sum(&self, key: &str) -> Result<Decimal> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).sum(key))
    }
}

impl State {
    fn sum(&self, key: &str) -> Decimal {
        self.sums.get(key).map(|(sum, _)| *sum).unwrap_or_default()
    }

    fn tidy(&mut self, now: SystemTime) {
        if let Some(ended) = self.tidied.is_due(now) {
            self.sums.retain(|_, (_, end)| *end > ended);
        }
    }
}

/// How many sums there are: their keys have callers' tags in them.
impl fmt::Debug for MemoryCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.lock().unwrap_or_else(PoisonError::into_inner).sums.len();
        write!(f, "MemoryCounter({count} sums)")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn until(key: &str, most: i64, day: u64) -> Allowance {
        Allowance::new(key, Decimal::from(most), UNIX_EPOCH + Duration::from_secs(day * 86_400))
    }

    /// What every counter does, for an empty one.
    pub(crate) async fn check_counter(counter: &dyn Counter) {
        let both = [until("hour", 10, 1), until("day", 12, 1)];
        let take = |amount: i64| counter.take(UNIX_EPOCH, Decimal::from(amount), &both);
        assert_eq!(take(7).await.unwrap(), Taken::Yes);
        assert_eq!(take(4).await.unwrap(), Taken::No { which: 0, sum: Decimal::from(7) });
        counter.correct(Decimal::from(-2), &both[..1]);
        assert_eq!(take(5).await.unwrap(), Taken::Yes);
        assert_eq!(take(0).await.unwrap(), Taken::Yes);
        let one_more = counter.take(UNIX_EPOCH, Decimal::ONE, &both[1..]).await.unwrap();
        assert_eq!(one_more, Taken::No { which: 0, sum: Decimal::from(12) });
        counter.correct("0.0000000001".parse().unwrap(), &both);
        counter.correct(Decimal::ONE, &[until("nothing was taken here", 1, 1)]);
        for (key, sum) in
            [("hour", "10.0000000001"), ("day", "12.0000000001"), ("nothing was taken here", "0")]
        {
            assert_eq!(counter.sum(key).await.unwrap(), sum.parse().unwrap(), "{key}");
        }
        // Two days later the sums are forgotten.
        let later = UNIX_EPOCH + KEPT * 3;
        assert_eq!(counter.take(later, Decimal::ONE, &[until("new", 1, 4)]).await.unwrap(), Taken::Yes);
        assert_eq!(counter.sum("day").await.unwrap(), Decimal::ZERO);
    }

    #[test]
    fn sums_are_looked_through_once_an_hour() {
        let mut tidied = Tidied::default();
        let at = |hours: u32| UNIX_EPOCH + KEPT + TIDY_EACH * hours;
        assert_eq!(tidied.is_due(at(0)), Some(UNIX_EPOCH));
        assert_eq!(tidied.is_due(at(1) - Duration::from_secs(1)), None);
        assert_eq!(tidied.is_due(at(1)), Some(UNIX_EPOCH + TIDY_EACH));
        assert_eq!(tidied.is_due(at(1)), None);
    }

    #[tokio::test]
    async fn an_amount_is_taken_from_all_or_none_and_corrected_afterwards() {
        check_counter(&MemoryCounter::new()).await;
    }
}
