//! Entries added up by day, provider and the like: one rule for every store that can't add decimals itself.

use std::collections::BTreeMap;
use std::time::SystemTime;

use rust_decimal::Decimal;

use super::{Entry, Outcome, Tokens};
use crate::{Period, Priced};

/// By what entries are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum By {
    /// The day on which a call was made: `2026-11-25`.
    Day,
    /// Who answered.
    Provider,
    /// The model that was asked for.
    Model,
    /// The name that the app asked for.
    Alias,
    /// The caller's [`Tag`](crate::Tag).
    Tag,
}

/// What to add up: which entries, and by what they are put together.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use modelswitch_layers::{By, Query};
///
/// let last_week = Query::new()
///     .since(SystemTime::now() - Duration::from_secs(7 * 86_400))
///     .only(By::Provider, "deepseek")
///     .by([By::Day, By::Model]);
/// # let _ = last_week;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    since: Option<SystemTime>,
    until: Option<SystemTime>,
    only: Vec<(By, String)>,
    by: Vec<By>,
    utc_offset_minutes: i16,
}

impl Query {
    /// Everything, in one sum.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only calls that were made then or later.
    #[must_use]
    pub fn since(mut self, first: SystemTime) -> Self {
        self.since = Some(first);
        self
    }

    /// Only calls that were made earlier.
    #[must_use]
    pub fn until(mut self, end: SystemTime) -> Self {
        self.until = Some(end);
        self
    }

    /// Only those with this value. Said twice, both must fit.
    #[must_use]
    pub fn only(mut self, by: By, value: impl Into<String>) -> Self {
        self.only.push((by, value.into()));
        self
    }

    /// A sum for each combination of these, in the order of their values.
    #[must_use]
    pub fn by(mut self, groups: impl IntoIterator<Item = By>) -> Self {
        self.by = groups.into_iter().collect();
        self
    }

    /// By how many minutes the days begin before those of UTC: 480 for Beijing.
    #[must_use]
    pub fn utc_offset(mut self, minutes: i16) -> Self {
        self.utc_offset_minutes = minutes;
        self
    }

    /// The span of time that is asked for: from the first moment to that before the second one.
    pub fn span(&self) -> (Option<SystemTime>, Option<SystemTime>) {
        (self.since, self.until)
    }

    fn wants(&self, entry: &Entry) -> bool {
        self.since.is_none_or(|since| entry.time >= since)
            && self.until.is_none_or(|until| entry.time < until)
            && self.only.iter().all(|(by, wanted)| self.value(*by, entry).as_deref() == Some(wanted))
    }

    fn value(&self, by: By, entry: &Entry) -> Option<String> {
        match by {
            By::Day => Some(Period::Day.window(entry.time, self.utc_offset_minutes).name),
            By::Provider => Some(entry.provider.clone()),
            By::Model => Some(entry.model.clone()),
            By::Alias => entry.alias.clone(),
            By::Tag => entry.tag.clone(),
        }
    }
}

/// What the calls of a group come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sum {
    /// The values that they have in common, in the order of [`Query::by`]; `None` for those without.
    pub group: Vec<Option<String>>,
    /// How many there were.
    pub calls: u64,
    /// How many of them failed.
    pub failed: u64,
    /// The tokens that are known.
    pub tokens: Tokens,
    /// The costs that are known, by currency.
    pub costs: BTreeMap<String, Decimal>,
    /// How many calls have an unknown cost: what was really spent is more than [`costs`](Self::costs) say.
    pub unpriced: u64,
}

/// Adds up entry by entry.
pub(crate) struct Sums<'a> {
    query: &'a Query,
    groups: BTreeMap<Vec<Option<String>>, Sum>,
}

impl<'a> Sums<'a> {
    pub(crate) fn new(query: &'a Query) -> Self {
        Self { query, groups: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, entry: &Entry) {
        if self.query.wants(entry) {
            let group: Vec<_> = self.query.by.iter().map(|by| self.query.value(*by, entry)).collect();
            self.groups.entry(group).or_default().add(entry);
        }
    }

    pub(crate) fn finish(self) -> Vec<Sum> {
        self.groups.into_iter().map(|(group, sum)| Sum { group, ..sum }).collect()
    }
}

impl Sum {
    fn add(&mut self, entry: &Entry) {
        self.calls += 1;
        self.failed += u64::from(matches!(entry.outcome, Outcome::Error(_)));
        let tokens = entry.tokens.unwrap_or_default();
        for (sum, more) in [
            (&mut self.tokens.input, tokens.input),
            (&mut self.tokens.output, tokens.output),
            (&mut self.tokens.cached, tokens.cached),
            (&mut self.tokens.reasoning, tokens.reasoning),
        ] {
            *sum = sum.saturating_add(more);
        }
        match &entry.cost {
            Priced::Known(money) => {
                let sum = self.costs.entry(money.currency.to_string()).or_default();
                *sum = sum.saturating_add(money.amount);
            }
            Priced::NoPrice | Priced::NoUsage => self.unpriced += 1,
            Priced::Free => {}
        }
    }
}
