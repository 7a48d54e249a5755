//! The ledger's sums as rows: those of the days put together, and beside them what each day was.

use std::collections::BTreeMap;

use modelswitch_layers::Sum;
use rust_decimal::Decimal;

use super::span::{Offset, Span};
use super::{Group, Trend};

/// Everything that is printed.
pub(super) struct Rows {
    pub(super) by: Vec<Group>,
    pub(super) rows: Vec<Row>,
    pub(super) total: Row,
    /// The days from the first to the last, those without a call too.
    pub(super) days: Vec<String>,
}

/// The calls that have something in common.
#[derive(Default)]
pub(super) struct Row {
    /// What they have in common, in the order of [`Rows::by`].
    pub(super) group: Vec<Option<String>>,
    pub(super) sum: Sum,
    days: BTreeMap<String, Sum>,
}

impl Rows {
    /// `sums` are by these groups, and the day last of all.
    pub(super) fn new(by: &[Group], sums: Vec<Sum>, span: Span, offset: Offset) -> Self {
        let mut rows: Vec<Row> = Vec::new();
        let mut total = Row::default();
        for mut sum in sums {
            let day = sum.group.pop().flatten().unwrap_or_default();
            let group = std::mem::take(&mut sum.group);
            total.add(&day, &sum);
            // They come in the order of their groups.
            match rows.last_mut().filter(|row| row.group == group) {
                Some(row) => row.add(&day, &sum),
                None => {
                    let mut row = Row { group, ..Row::default() };
                    row.add(&day, &sum);
                    rows.push(row);
                }
            }
        }
        let called: Vec<&str> = total.days.keys().map(String::as_str).collect();
        let days = span.days(offset, &called);
        Self { by: by.to_vec(), rows, total, days }
    }

    /// In the order of their names.
    pub(super) fn currencies(&self) -> impl Iterator<Item = &String> {
        self.total.sum.costs.keys()
    }
}

impl Row {
    fn add(&mut self, day: &str, sum: &Sum) {
        add(&mut self.sum, sum);
        add(self.days.entry(day.to_owned()).or_default(), sum);
    }

    /// What each stretch of days came to, `None` for a cost of which nothing is known. There is no trend of several currencies,
    /// which can't be added.
    pub(super) fn over<'a>(
        &self,
        trend: Trend,
        stretches: impl Iterator<Item = &'a [String]>,
    ) -> Option<Vec<Option<Decimal>>> {
        if trend == Trend::Cost && self.sum.costs.len() > 1 {
            return None;
        }
        Some(stretches.map(|days| self.of(trend, days)).collect())
    }

    fn of(&self, trend: Trend, days: &[String]) -> Option<Decimal> {
        let mut all = Sum::default();
        for sum in days.iter().filter_map(|day| self.days.get(day)) {
            add(&mut all, sum);
        }
        match trend {
            Trend::Tokens => Some(Decimal::from(all.tokens.input.saturating_add(all.tokens.output))),
            Trend::Cost if all.costs.is_empty() && all.unpriced > 0 => None,
            Trend::Cost => Some(all.costs.values().next().copied().unwrap_or_default()),
        }
    }
}

fn add(sum: &mut Sum, more: &Sum) {
    sum.calls += more.calls;
    sum.failed += more.failed;
    sum.unpriced += more.unpriced;
    for (sum, more) in [
        (&mut sum.tokens.input, more.tokens.input),
        (&mut sum.tokens.output, more.tokens.output),
        (&mut sum.tokens.cached, more.tokens.cached),
        (&mut sum.tokens.reasoning, more.tokens.reasoning),
    ] {
        *sum = sum.saturating_add(more);
    }
    for (currency, amount) in &more.costs {
        let sum = sum.costs.entry(currency.clone()).or_default();
        *sum = sum.saturating_add(*amount);
    }
}
