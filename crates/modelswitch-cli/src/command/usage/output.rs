//! The rows for a person, a spreadsheet and a program.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

use modelswitch_layers::Sum;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::rows::{Row, Rows};
use super::span::{Offset, Span};
use super::{Group, Trend, trend};
use crate::error::Failure;
use crate::table;
use crate::terminal::{DIM, clean, stderr};

/// As many bars as fit beside the other columns.
const MOST_BARS: usize = 30;

/// A line for each row, and one for all of them where there are several. From when to when they are goes to standard error.
pub(super) fn table(path: &Path, rows: &Rows, of: Trend, offset: Offset) -> io::Result<()> {
    remark(path, rows, offset)?;
    if rows.rows.is_empty() {
        return Ok(());
    }
    // What is of one day has no trend.
    let has_trend = rows.days.len() > 1 && !rows.by.contains(&Group::Day);
    let stretch = if has_trend { rows.days.len().div_ceil(MOST_BARS) } else { 0 };
    let mut lines = vec![headings(rows, of, stretch)];
    lines.extend(rows.rows.iter().map(|row| line(rows, row, of, stretch)));
    if rows.rows.len() > 1 {
        let mut total = line(rows, &rows.total, of, stretch);
        if let Some(first) = total.first_mut() {
            "total".clone_into(first);
        }
        lines.push(total);
    }
    table::write_lines(lines)
}

fn remark(path: &Path, rows: &Rows, offset: Offset) -> io::Result<()> {
    let days = match rows.days.as_slice() {
        [] => String::new(),
        [day] => format!(", {day}, a day of {offset}"),
        [first, .., last] => format!(", {first} to {last}, days of {offset}"),
    };
    let nothing = if rows.rows.is_empty() { ": no such call is written down" } else { "" };
    writeln!(stderr(), "{DIM}ledger: {}{days}{nothing}{DIM:#}", clean(&path.display().to_string()))
}

fn headings(rows: &Rows, of: Trend, stretch: usize) -> Vec<String> {
    let groups = rows.by.iter().map(|group| group.name().to_uppercase());
    let sums = ["CALLS", "FAILED", "INPUT", "CACHED", "OUTPUT", "REASONING", "COST"].map(str::to_owned);
    let of = match of {
        Trend::Tokens => "TOKENS",
        Trend::Cost => "COST",
    };
    let trend = match stretch {
        0 => None,
        1 => Some(format!("{of} A DAY")),
        days => Some(format!("{of} IN {days} DAYS")),
    };
    groups.chain(sums).chain(trend).collect()
}

fn line(rows: &Rows, row: &Row, of: Trend, stretch: usize) -> Vec<String> {
    let name = |group: &Option<String>| {
        group.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| "-".to_owned())
    };
    let groups = (0..rows.by.len()).map(|position| row.group.get(position).map_or_else(String::new, name));
    let Sum { calls, failed, tokens, .. } = &row.sum;
    let numbers = [calls, failed, &tokens.input, &tokens.cached, &tokens.output, &tokens.reasoning];
    let bars = (stretch > 0).then(|| {
        let numbers = row.over(of, rows.days.chunks(stretch.max(1)));
        numbers.map_or_else(|| "several currencies".to_owned(), |numbers| trend::bars(&numbers))
    });
    groups.chain(numbers.map(ToString::to_string)).chain([cost(&row.sum)]).chain(bars).collect()
}

/// What is known, and of how many calls it isn't.
fn cost(sum: &Sum) -> String {
    let known = sum.costs.iter().map(|(currency, amount)| format!("{} {currency}", rounded(*amount)));
    let known: Vec<String> = known.collect();
    match (known.is_empty(), sum.unpriced) {
        (true, 0) => "free".to_owned(),
        (true, _) => "unknown".to_owned(),
        (false, 0) => known.join(" + "),
        (false, 1) => format!("{} + 1 call unknown", known.join(" + ")),
        (false, unknown) => format!("{} + {unknown} calls unknown", known.join(" + ")),
    }
}

/// To a millionth, which is what a short answer of a cheap model costs. What is less is not nothing.
fn rounded(amount: Decimal) -> String {
    let rounded = amount.round_dp(6).normalize();
    if rounded.is_zero() && !amount.is_zero() { "<0.000001".to_owned() } else { rounded.to_string() }
}

/// Exact amounts, a column for each currency: an empty one is no amount, and not zero.
pub(super) fn csv(rows: &Rows) -> Result<(), Failure> {
    let mut writer = csv::Writer::from_writer(io::stdout().lock());
    let groups = rows.by.iter().map(|group| group.name().to_owned());
    let numbers = [
        "calls",
        "failed",
        "input_tokens",
        "cached_tokens",
        "output_tokens",
        "reasoning_tokens",
        "calls_of_unknown_cost",
    ];
    let costs = rows.currencies().map(|currency| format!("cost_{currency}"));
    writer.write_record(groups.chain(numbers.map(str::to_owned)).chain(costs)).map_err(io::Error::from)?;
    for Row { group, sum, .. } in &rows.rows {
        let groups = group.iter().map(|name| name.clone().unwrap_or_default());
        let Sum { calls, failed, tokens, unpriced, .. } = sum;
        let numbers =
            [calls, failed, &tokens.input, &tokens.cached, &tokens.output, &tokens.reasoning, unpriced];
        let costs = rows.currencies().map(|currency| sum.costs.get(currency).map(exact).unwrap_or_default());
        let record = groups.chain(numbers.map(ToString::to_string)).chain(costs);
        writer.write_record(record).map_err(io::Error::from)?;
    }
    Ok(writer.flush()?)
}

fn exact(amount: &Decimal) -> String {
    amount.normalize().to_string()
}

/// What `--format json` prints.
#[derive(Serialize)]
pub(super) struct Report {
    ledger: String,
    since: Option<String>,
    until: Option<String>,
    by: Vec<&'static str>,
    rows: Vec<Map<String, Value>>,
    total: Totals,
}

#[derive(Serialize)]
struct Totals {
    calls: u64,
    failed: u64,
    tokens: BTreeMap<&'static str, u64>,
    /// By currency; without those that aren't known.
    costs: BTreeMap<String, String>,
    calls_of_unknown_cost: u64,
}

impl From<&Sum> for Totals {
    fn from(sum: &Sum) -> Self {
        let tokens = &sum.tokens;
        Self {
            calls: sum.calls,
            failed: sum.failed,
            tokens: BTreeMap::from([
                ("input", tokens.input),
                ("cached", tokens.cached),
                ("output", tokens.output),
                ("reasoning", tokens.reasoning),
            ]),
            costs: sum.costs.iter().map(|(currency, amount)| (currency.clone(), exact(amount))).collect(),
            calls_of_unknown_cost: sum.unpriced,
        }
    }
}

pub(super) fn json(path: &Path, rows: &Rows, span: Span) -> Report {
    let moment = |moment: Option<SystemTime>| {
        moment.map(|moment| humantime::format_rfc3339_seconds(moment).to_string())
    };
    Report {
        ledger: path.display().to_string(),
        since: moment(span.since),
        until: moment(span.until),
        by: rows.by.iter().map(|group| group.name()).collect(),
        rows: rows.rows.iter().map(|row| in_json(&rows.by, row)).collect(),
        total: Totals::from(&rows.total.sum),
    }
}

fn in_json(by: &[Group], row: &Row) -> Map<String, Value> {
    let groups = by.iter().zip(&row.group).map(|(group, name)| (group.name().to_owned(), json!(name)));
    let sums = match json!(Totals::from(&row.sum)) {
        Value::Object(sums) => sums,
        _ => Map::new(),
    };
    groups.chain(sums).collect()
}
