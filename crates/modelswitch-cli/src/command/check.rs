//! `modelswitch check`: what works with each provider, and what to do about what doesn't.

use std::io::{self, Write};
use std::time::Duration;

use futures_util::stream::StreamExt;
use modelswitch_registry::{CheckOptions, CheckReport, KeyReport, Outcome, StageReport};

use super::{remark, write_json};
use crate::args::Common;
use crate::error::Failure;
use crate::table;
use crate::terminal::{BAD, BOLD, DIM, GOOD, NOTE, Wheels, clean, one_line, stdout};

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 all passed, 1 some failed, 2 the configuration is wrong.")]
pub(crate) struct Args {
    /// Only these; all that are configured when none is named
    providers: Vec<String>,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// How long each stage may take, such as 5s
    #[arg(long, value_name = "TIME", value_parser = limit)]
    timeout: Option<Duration>,

    /// Ask no model, so that nothing is paid for
    #[arg(long)]
    no_completion: bool,
}

fn limit(text: &str) -> Result<Duration, String> {
    let limit = humantime::parse_duration(text).ok().filter(|limit| !limit.is_zero());
    limit.ok_or_else(|| "write a time above 0 with its unit, such as 5s or 500ms".to_owned())
}

pub(crate) async fn run(args: Args, common: &Common) -> Result<(), Failure> {
    let registry = common.registry()?;
    let configured: Vec<String> = registry.providers().into_iter().map(|provider| provider.name).collect();
    for name in &args.providers {
        registry.provider(name)?;
    }
    let is_wanted = |name: &String| args.providers.is_empty() || args.providers.contains(name);
    let wanted: Vec<String> = configured.into_iter().filter(is_wanted).collect();

    if !args.json {
        remark(&registry)?;
    }
    let wheels = Wheels::new(&wanted);
    let watched = wheels.clone();
    let mut options = CheckOptions::new()
        .only(&wanted)
        .on_stage(move |provider, stage| watched.say(provider, stage.as_str()));
    if let Some(limit) = args.timeout {
        options = options.timeout(limit);
    }
    if args.no_completion {
        options = options.without_completion();
    }
    let mut checks = registry.check_all(options);
    let mut reports: Vec<CheckReport> = Vec::new();
    let mut written = 0;
    while let Some(report) = checks.next().await {
        wheels.stop(&report.provider);
        reports.push(report);
        // In the order of the configuration, whoever answers first: two runs can be compared.
        while let Some(report) = next(&reports, &wanted, written).filter(|_| !args.json) {
            wheels.pause(|| write(report))?;
            written += 1;
        }
    }
    drop(checks);
    wheels.clear();

    reports.sort_by_key(|report| wanted.iter().position(|name| *name == report.provider));
    if args.json {
        write_json(&reports)?;
    } else {
        write_table(&reports)?;
        write_sum(&reports)?;
    }
    if reports.iter().all(CheckReport::passed) { Ok(()) } else { Err(Failure::told()) }
}

/// The report of the provider in this place, once it is there.
fn next<'a>(reports: &'a [CheckReport], wanted: &[String], place: usize) -> Option<&'a CheckReport> {
    let name = wanted.get(place)?;
    reports.iter().find(|report| report.provider == *name)
}

/// One provider's stages, and its keys where there are several.
pub(super) fn write(report: &CheckReport) -> io::Result<()> {
    let mut out = stdout();
    let url = report.base_url.as_deref().unwrap_or_default();
    writeln!(out, "{BOLD}{}{BOLD:#}  {DIM}{}{DIM:#}", one_line(&report.provider), one_line(url))?;
    for stage in &report.stages {
        let StageReport { stage, outcome, detail, remedy, duration, .. } = stage;
        let text = format!("{:<13} {}", stage.as_str(), one_line(detail));
        write_line(&mut out, *outcome, &text, *duration, remedy.as_deref())?;
    }
    if !report.keys.is_empty() {
        writeln!(out, "  each of its {} keys", report.keys.len())?;
    }
    for KeyReport { source, outcome, detail, remedy, duration, .. } in &report.keys {
        let text = format!("{}: {}", one_line(source), one_line(detail));
        write_line(&mut out, *outcome, &text, *duration, remedy.as_deref())?;
    }
    writeln!(out)
}

fn write_line(
    out: &mut impl Write,
    outcome: Outcome,
    text: &str,
    took: Duration,
    remedy: Option<&str>,
) -> io::Result<()> {
    let (mark, style) = match outcome {
        Outcome::Passed => ('✓', GOOD),
        Outcome::Failed => ('✗', BAD),
        Outcome::Skipped => ('–', DIM),
    };
    let took = duration(took);
    let quiet = if outcome == Outcome::Skipped { DIM } else { anstyle::Style::new() };
    write!(out, "  {style}{mark}{style:#} {quiet}{text}{quiet:#}")?;
    writeln!(out, "{DIM}{took}{DIM:#}")?;
    for line in remedy.into_iter().flat_map(str::lines) {
        writeln!(out, "                  {NOTE}{}{NOTE:#}", clean(line))?;
    }
    Ok(())
}

/// All of them side by side, where there are several.
fn write_table(reports: &[CheckReport]) -> io::Result<()> {
    if reports.len() < 2 {
        return Ok(());
    }
    let rows = reports.iter().map(|report| {
        let (result, note) = match (report.failure(), report.failed_keys().next()) {
            (Some(failure), _) => ("failed", format!("{}: {}", failure.stage.as_str(), failure.detail)),
            (None, Some(key)) => ("failed", format!("{}: {}", key.source, key.detail)),
            (None, None) => ("passed", report.metadata.serving_model.clone().unwrap_or_default()),
        };
        [report.provider.clone(), result.to_owned(), duration(report.duration).trim().to_owned(), note]
    });
    table::write(["PROVIDER", "RESULT", "TOOK", "WHERE, OR WHO ANSWERED"], rows.collect())?;
    writeln!(stdout())
}

fn write_sum(reports: &[CheckReport]) -> io::Result<()> {
    let passed = reports.iter().filter(|report| report.passed()).count();
    let mut out = stdout();
    let unproved = reports.iter().filter(|report| report.passed() && !report.proved());
    let unproved: Vec<String> = unproved.map(|report| one_line(&report.provider)).collect();
    if !unproved.is_empty() {
        writeln!(out, "{NOTE}Nothing was proved of {}: no model was asked.{NOTE:#}", unproved.join(", "))?;
    }
    match (passed, reports.len()) {
        (1, 1) if !unproved.is_empty() => writeln!(out, "Nothing failed."),
        (1, 1) => writeln!(out, "{GOOD}It passed.{GOOD:#}"),
        (0, 1) => writeln!(out, "{BAD}It failed.{BAD:#}"),
        (passed, all) if passed == all => writeln!(out, "{GOOD}All {all} providers passed.{GOOD:#}"),
        (passed, all) => writeln!(out, "{BAD}{passed} of {all} providers passed.{BAD:#}"),
    }
}

/// Nothing for a stage that took no time of its own.
fn duration(duration: Duration) -> String {
    match duration.as_millis() {
        0 => String::new(),
        millis @ 1..1000 => format!("  {millis} ms"),
        _ => format!("  {:.1} s", duration.as_secs_f64()),
    }
}
