//! The tables, and what is read from and written to them.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use modelswitch_provider::{Error, ErrorKind, Result};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use rust_decimal::Decimal;

use crate::counter::{Tidied, weigh};
use crate::ledger::Sums;
use crate::{Allowance, Entry, Money, Outcome, Priced, Query, Sum, Taken, Tokens};

/// Of an error: the file was somebody else's all the time.
pub(super) const LOCKED: &str = "ledger_locked";

/// Amounts are texts: SQLite has no decimals, and a float isn't what was spent.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS entries (
        id INTEGER PRIMARY KEY, time INTEGER NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL, alias TEXT, tag TEXT,
        input INTEGER, output INTEGER, cached INTEGER, reasoning INTEGER,
        cost TEXT, currency TEXT, no_cost TEXT, outcome TEXT NOT NULL, duration_ms INTEGER NOT NULL, attempts INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS entries_by_time ON entries (time);
    CREATE TABLE IF NOT EXISTS sums (name TEXT PRIMARY KEY, amount TEXT NOT NULL, ends INTEGER NOT NULL) STRICT, WITHOUT ROWID;
";
/// Of the tables above.
const VERSION: i64 = 1;
/// How long somebody else may have the file: a call may be waiting.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// How often, and after which pause, a file is tried to open that somebody else has.
const MOST_TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

pub(super) struct File {
    connection: Connection,
    tidied: Tidied,
}

impl File {
    /// How long is waited from now on while somebody else has the file; [`PATIENCE`] unless set.
    pub(super) fn wait_at_most(&self, patience: Duration) {
        // It only sets a number.
        let _ = self.connection.busy_timeout(patience);
    }

    /// Opens a file, or makes it. Programs that make one at the same time are in each other's way for a moment, without any
    /// patience of SQLite's own where it changes to its write-ahead log.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let mut tries = 0;
        loop {
            match Self::open_once(path) {
                Err(Unopened::Sqlite(error)) if is_busy(&error) && tries < MOST_TRIES => tries += 1,
                opened => return opened.map_err(|unopened| unopened.told(path)),
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn open_once(path: &Path) -> Result<Self, Unopened> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(PATIENCE)?;
        let version = version(&mut connection)?;
        // Only now: it changes the file.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        if version < VERSION {
            let all = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            all.execute_batch(TABLES)?;
            all.pragma_update(None, "user_version", VERSION)?;
            all.commit()?;
        }
        Ok(Self { connection, tidied: Tidied::default() })
    }

    pub(super) fn insert<'a>(&mut self, entries: impl Iterator<Item = &'a Entry>) -> Result<()> {
        self.in_one_step(|all| {
            for entry in entries {
                insert_one(all, entry)?;
            }
            Ok(())
        })
    }

    pub(super) fn sums(&self, query: &Query) -> Result<Vec<Sum>> {
        let (since, until) = query.span();
        let mut sums = Sums::new(query);
        let mut select = self
            .connection
            .prepare("SELECT * FROM entries WHERE time >= ?1 AND time <= ?2 ORDER BY time, id")
            .map_err(unreadable)?;
        let bounds = params![since.map_or(i64::MIN, millis), until.map_or(i64::MAX, millis)];
        let mut rows = select.query(bounds).map_err(unreadable)?;
        while let Some(row) = rows.next().map_err(unreadable)? {
            sums.add(&entry_of(row)?);
        }
        Ok(sums.finish())
    }

    pub(super) fn take(&mut self, now: SystemTime, amount: Decimal, from: &[Allowance]) -> Result<Taken> {
        let ended = self.tidied.is_due(now);
        self.in_one_step(|all| {
            if let Some(ended) = ended {
                all.execute("DELETE FROM sums WHERE ends <= ?1", [millis(ended)])?;
            }
            let mut sums = Vec::with_capacity(from.len());
            for allowance in from {
                sums.push(sum_of(all, &allowance.key)?.unwrap_or_default());
            }
            let taken = weigh(amount, from, &sums);
            if taken == Taken::Yes {
                for (allowance, sum) in from.iter().zip(&sums) {
                    all.prepare_cached(
                        "INSERT OR REPLACE INTO sums (name, amount, ends) VALUES (?1, ?2, ?3)",
                    )?
                    .execute(params![
                        allowance.key,
                        sum.saturating_add(amount).to_string(),
                        millis(allowance.end)
                    ])?;
                }
            }
            Ok(taken)
        })
    }

    pub(super) fn correct(&mut self, difference: Decimal, of: &[Allowance]) -> Result<()> {
        self.in_one_step(|all| {
            for Allowance { key, .. } in of {
                if let Some(sum) = sum_of(all, key)? {
                    all.prepare_cached("UPDATE sums SET amount = ?2 WHERE name = ?1")?
                        .execute(params![key, sum.saturating_add(difference).to_string()])?;
                }
            }
            Ok(())
        })
    }

    pub(super) fn sum(&self, key: &str) -> Result<Decimal> {
        sum_of(&self.connection, key).map(Option::unwrap_or_default).map_err(unreadable)
    }

    /// All or nothing, and nobody else in between. It has the lock from its beginning: one that reads first and writes then
    /// could fail in the middle.
    fn in_one_step<T>(&mut self, act: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T> {
        let all =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(unreadable)?;
        let done = act(&all).map_err(unreadable)?;
        all.commit().map_err(unreadable)?;
        Ok(done)
    }
}

/// That of the ledger's tables, 0 for a file that is empty. Both are read at one moment: another program may be making it.
fn version(connection: &mut Connection) -> Result<i64, Unopened> {
    let moment = connection.transaction()?;
    let version: i64 = moment.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let (tables, own): (i64, i64) = moment.query_row(
        "SELECT count(*), count(CASE WHEN name IN ('entries', 'sums') THEN 1 END) FROM sqlite_master WHERE type = 'table'",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    match (version, tables, own) {
        (0, 0, _) | (VERSION, _, 2) => Ok(version),
        (later, _, 2) if later > VERSION => Err(Unopened::Later),
        _ => Err(Unopened::Foreign),
    }
}

enum Unopened {
    Later,
    /// A database of somebody else's.
    Foreign,
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Unopened {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Unopened {
    fn told(self, path: &Path) -> Error {
        let path = path.display();
        match self {
            Self::Later => {
                Error::config(format!("the ledger `{path}` was made by a later version of this program"))
                    .with_hint("use the later version, or name another file")
            }
            Self::Foreign => {
                Error::config(format!("`{path}` is a database of another program, and no ledger"))
                    .with_hint("name a file of its own for the ledger; it is made when it isn't there")
            }
            Self::Sqlite(error) => Error::config(format!("the ledger `{path}` can't be opened"))
                .with_hint("name a file in a folder that may be written to, or one that was made as a ledger")
                .with_source(error),
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn unreadable(error: rusqlite::Error) -> Error {
    let code = if is_busy(&error) { LOCKED } else { "ledger_unusable" };
    Error::new(ErrorKind::Upstream, "the ledger's file can't be used")
        .with_code(code)
        .with_hint("look whether its disk is full, or another program keeps it locked")
        .with_source(error)
}

fn sum_of(connection: &Connection, key: &str) -> rusqlite::Result<Option<Decimal>> {
    let amount: Option<String> = connection
        .prepare_cached("SELECT amount FROM sums WHERE name = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?;
    // What isn't a number was put there by somebody else; nothing can be said of it but that it isn't nothing.
    Ok(amount.map(|amount| amount.parse().unwrap_or(Decimal::MAX)))
}

fn insert_one(all: &Transaction<'_>, entry: &Entry) -> rusqlite::Result<()> {
    let tokens = entry.tokens;
    let count = |of: fn(&Tokens) -> u64| {
        tokens.as_ref().map(of).map(|count| i64::try_from(count).unwrap_or(i64::MAX))
    };
    let money = entry.cost.known();
    let no_cost = match &entry.cost {
        Priced::Known(_) => None,
        Priced::Free => Some("free"),
        Priced::NoPrice => Some("no_price"),
        Priced::NoUsage => Some("no_usage"),
    };
    all.prepare_cached(
        "INSERT INTO entries (time, provider, model, alias, tag, input, output, cached, reasoning, cost, currency, no_cost,
         outcome, duration_ms, attempts) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    )?
    .execute(params![
        millis(entry.time),
        entry.provider,
        entry.model,
        entry.alias,
        entry.tag,
        count(|tokens| tokens.input),
        count(|tokens| tokens.output),
        count(|tokens| tokens.cached),
        count(|tokens| tokens.reasoning),
        money.map(|money| money.amount.to_string()),
        money.map(|money| &*money.currency),
        no_cost,
        entry.outcome.to_string(),
        i64::try_from(entry.duration.as_millis()).unwrap_or(i64::MAX),
        entry.attempts,
    ])?;
    Ok(())
}

fn entry_of(row: &Row<'_>) -> Result<Entry> {
    let mut entry = Entry::at(moment(row.get("time").map_err(unreadable)?));
    entry.provider = row.get("provider").map_err(unreadable)?;
    entry.model = row.get("model").map_err(unreadable)?;
    entry.alias = row.get("alias").map_err(unreadable)?;
    entry.tag = row.get("tag").map_err(unreadable)?;
    entry.tokens = tokens_of(row).map_err(unreadable)?;
    entry.cost = cost_of(row).map_err(unreadable)?;
    let outcome: String = row.get("outcome").map_err(unreadable)?;
    // A later version may have kinds of its own.
    entry.outcome = outcome.parse().unwrap_or(Outcome::Error(ErrorKind::Upstream));
    let millis: i64 = row.get("duration_ms").map_err(unreadable)?;
    entry.duration = Duration::from_millis(u64::try_from(millis).unwrap_or_default());
    entry.attempts = row.get("attempts").map_err(unreadable)?;
    Ok(entry)
}

fn tokens_of(row: &Row<'_>) -> rusqlite::Result<Option<Tokens>> {
    let count = |name: &str| {
        let count: Option<i64> = row.get(name)?;
        Ok::<_, rusqlite::Error>(count.map(|count| u64::try_from(count).unwrap_or_default()))
    };
    let Some(input) = count("input")? else { return Ok(None) };
    Ok(Some(Tokens {
        input,
        output: count("output")?.unwrap_or_default(),
        cached: count("cached")?.unwrap_or_default(),
        reasoning: count("reasoning")?.unwrap_or_default(),
    }))
}

fn cost_of(row: &Row<'_>) -> rusqlite::Result<Priced> {
    let (amount, currency): (Option<String>, Option<String>) = (row.get("cost")?, row.get("currency")?);
    let why: Option<String> = row.get("no_cost")?;
    // An amount that can't be read is unknown, and is counted as such.
    let money = amount.and_then(|amount| amount.parse::<Decimal>().ok()).zip(currency);
    Ok(match (money, why.as_deref()) {
        (Some((amount, currency)), _) => Priced::Known(Money::new(amount, currency)),
        (None, Some("free")) => Priced::Free,
        (None, Some("no_price")) => Priced::NoPrice,
        (None, _) => Priced::NoUsage,
    })
}

fn millis(when: SystemTime) -> i64 {
    when.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn moment(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}

#[cfg(test)]
impl File {
    /// Makes the disk seem full: no more than so many pages, or as many as there are.
    pub(super) fn limit_pages(&self, most: i64) -> i64 {
        self.connection.query_row(&format!("PRAGMA max_page_count = {most}"), [], |row| row.get(0)).unwrap()
    }
}
