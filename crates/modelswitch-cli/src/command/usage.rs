//! `modelswitch usage`: what calls took and cost, out of the ledger.

mod output;
mod rows;
mod span;
mod trend;

use std::path::PathBuf;
use std::time::SystemTime;

use clap::ValueEnum;
use modelswitch_layers::{By, Ledger, Query, Sqlite};
use modelswitch_registry::{NO_PROVIDER, Origin, Registry};
use serde_json::Value;

use self::rows::Rows;
use self::span::{Last, Offset, Span, When};
use super::write_json;
use crate::args::Common;
use crate::error::Failure;

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A cost is the sum of those that are known. Calls without one are told beside it: nobody knows their model's price, or
the answer didn't say how many tokens it took.
The trend goes day by day from left to right, each row on its own scale: · no tokens or cost, ? a cost that isn't known.
The ledger is the file that [ledger] path names in the configuration, or MODELSWITCH_LEDGER__PATH, or --ledger.")]
pub(crate) struct Args {
    /// What to add up by, with commas between
    #[arg(long, value_name = "WHAT", value_enum, value_delimiter = ',', default_value = "provider,model")]
    by: Vec<Group>,

    /// From this day or moment on: 2026-11-01, or 2026-11-01T08:00:00Z
    #[arg(long, value_name = "WHEN", value_parser = When::read)]
    since: Option<When>,

    /// Up to the end of this day, or to this moment
    #[arg(long, value_name = "WHEN", value_parser = When::read)]
    until: Option<When>,

    /// Only of late: 7d and 2w are days of the calendar, today among them; 12h are hours
    #[arg(long, value_name = "TIME", value_parser = Last::read, conflicts_with_all = ["since", "until"])]
    last: Option<Last>,

    /// Only this provider's
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,

    /// Only this model's, as the provider calls it
    #[arg(long, value_name = "NAME")]
    model: Option<String>,

    /// Only what was asked for by this name
    #[arg(long, value_name = "NAME")]
    alias: Option<String>,

    /// Only calls with this tag
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,

    /// How to print it
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Table)]
    format: Format,

    /// Print JSON, as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,

    /// What the last column of the table shows day by day
    #[arg(long, value_name = "OF", value_enum, default_value_t = Trend::Tokens)]
    trend: Trend,

    /// By how many hours days begin before those of UTC: 8, +05:30, -3
    #[arg(long, value_name = "HOURS", value_parser = Offset::read, default_value = "0", allow_hyphen_values = true)]
    utc_offset: Offset,

    /// The ledger's file, instead of the configuration's
    #[arg(long, value_name = "PATH")]
    ledger: Option<PathBuf>,
}

/// By what calls are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Group {
    Day,
    Provider,
    Model,
    Alias,
    Tag,
}

impl Group {
    fn by(self) -> By {
        match self {
            Self::Day => By::Day,
            Self::Provider => By::Provider,
            Self::Model => By::Model,
            Self::Alias => By::Alias,
            Self::Tag => By::Tag,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Provider => "provider",
            Self::Model => "model",
            Self::Alias => "alias",
            Self::Tag => "tag",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a person
    Table,
    /// For a spreadsheet: amounts are exact, each currency has a column
    Csv,
    /// For a program: amounts are texts, and exact
    Json,
}

/// What a trend is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Trend {
    /// Those of the request and of the answer
    Tokens,
    /// What is known of it
    Cost,
}

pub(crate) async fn run(args: Args, common: &Common) -> Result<(), Failure> {
    let path = ledger(&args, common)?;
    // It would be made by being opened.
    if !path.exists() {
        return Err(Failure::usage(
            format!("there is no ledger at {}", path.display()),
            "it is made by the first call that is written down; see that the path is that of the app's ledger",
        ));
    }
    let by = groups(&args.by);
    let span = Span::new(args.since, args.until, args.last, args.utc_offset, SystemTime::now())?;
    let sums = Sqlite::open(&path)?.sums(&query(&args, &by, span)).await?;
    let rows = Rows::new(&by, sums, span, args.utc_offset);
    match if args.json { Format::Json } else { args.format } {
        Format::Table => Ok(output::table(&path, &rows, args.trend, args.utc_offset)?),
        Format::Csv => output::csv(&rows),
        Format::Json => write_json(&output::json(&path, &rows, span)),
    }
}

/// Each once, in the order of the command line.
fn groups(wanted: &[Group]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for group in wanted {
        if !groups.contains(group) {
            groups.push(*group);
        }
    }
    groups
}

/// By the days too, last of all: that is what trends are made of.
fn query(args: &Args, by: &[Group], span: Span) -> Query {
    let groups = by.iter().map(|group| group.by()).chain([By::Day]);
    let mut query = Query::new().by(groups).utc_offset(args.utc_offset.minutes());
    if let Some(since) = span.since {
        query = query.since(since);
    }
    if let Some(until) = span.until {
        query = query.until(until);
    }
    let only = [
        (By::Provider, &args.provider),
        (By::Model, &args.model),
        (By::Alias, &args.alias),
        (By::Tag, &args.tag),
    ];
    only.into_iter()
        .filter_map(|(by, value)| Some((by, value.as_ref()?)))
        .fold(query, |query, (by, value)| query.only(by, value))
}

/// The variable of the configuration's setting counts without a configuration, too.
fn ledger(args: &Args, common: &Common) -> Result<PathBuf, Failure> {
    let variable = || std::env::var_os("MODELSWITCH_LEDGER__PATH").filter(|path| !path.is_empty());
    if let Some(path) = args.ledger.clone().or_else(|| variable().map(PathBuf::from)) {
        return Ok(path);
    }
    let registry = match common.registry_to_look_at() {
        Ok(registry) => Some(registry),
        Err(error) if error.code() == Some(NO_PROVIDER) => None,
        Err(error) => return Err(error.into()),
    };
    let what = match &registry {
        Some(registry) if registry.ledger().is_some() => match configured(registry) {
            Some(path) => return Ok(path),
            None => "the configured ledger is in the app's memory, and gone when that ends",
        },
        _ => "no ledger is configured, so nothing that calls took is written down",
    };
    Err(Failure::usage(
        what,
        "write a section [ledger] with path = \"usage.sqlite\" into the configuration, or name a file that an app \
         has written: --ledger PATH",
    ))
}

/// The path in the configuration. One that isn't absolute begins where the file stands, as those of key files do.
fn configured(registry: &Registry) -> Option<PathBuf> {
    let setting = registry.settings().into_iter().find(|setting| setting.path == "ledger.path")?;
    let Value::String(path) = setting.value else { return None };
    let folder = match setting.origin {
        Origin::File { path: Some(file), .. } => file.parent().map(PathBuf::from),
        _ => None,
    };
    Some(folder.unwrap_or_default().join(path))
}
