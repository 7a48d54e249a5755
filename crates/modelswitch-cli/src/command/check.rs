//! `modelswitch check`: what works with each provider, and what to do about what doesn't.

use std::io::{self, Write};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use modelswitch_provider::Result;
use modelswitch_registry::{CheckOptions, CheckReport, Outcome, StageReport};

use super::write_json;
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
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,

    /// Ask no model, so that nothing is paid for
    #[arg(long)]
    no_completion: bool,
}

/// How many providers are checked at once.
const AT_ONCE: usize = 8;

pub(crate) async fn run(args: Args, common: &Common) -> Result<(), Failure> {
    let registry = common.registry()?;
    let configured: Vec<String> = registry.providers().into_iter().map(|provider| provider.name).collect();
    for name in &args.providers {
        registry.provider(name)?;
    }
    let is_wanted = |name: &String| args.providers.is_empty() || args.providers.contains(name);
    let wanted: Vec<String> = configured.into_iter().filter(is_wanted).collect();

    let wheels = Wheels::new(&wanted);
    let watched = wheels.clone();
    let mut options =
        CheckOptions::new().on_stage(move |provider, stage| watched.say(provider, stage.as_str()));
    if let Some(limit) = args.timeout {
        options = options.timeout(limit);
    }
    if args.no_completion {
        options = options.without_completion();
    }
    let checks = wanted.iter().map(|name| Box::pin(registry.check_provider_with(name, &options)));
    let mut checks = stream::iter(checks).buffer_unordered(AT_ONCE);
    let mut reports = Vec::new();
    while let Some(report) = checks.next().await {
        let report = report?;
        wheels.stop(&report.provider);
        if !args.json {
            wheels.pause(|| write(&report))?;
        }
        reports.push(report);
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

/// One provider's stages.
pub(super) fn write(report: &CheckReport) -> io::Result<()> {
    let mut out = stdout();
    let url = report.base_url.as_deref().unwrap_or_default();
    writeln!(out, "{BOLD}{}{BOLD:#}  {DIM}{}{DIM:#}", one_line(&report.provider), one_line(url))?;
    for stage in &report.stages {
        write_stage(&mut out, stage)?;
    }
    writeln!(out)
}

fn write_stage(out: &mut impl Write, stage: &StageReport) -> io::Result<()> {
    let (mark, style) = match stage.outcome {
        Outcome::Passed => ('✓', GOOD),
        Outcome::Failed => ('✗', BAD),
        Outcome::Skipped => ('–', DIM),
    };
    let name = stage.stage.as_str();
    let (detail, took) = (one_line(&stage.detail), duration(stage.duration));
    let quiet = if stage.outcome == Outcome::Skipped { DIM } else { anstyle::Style::new() };
    write!(out, "  {style}{mark}{style:#} {quiet}{name:<13} {detail}{quiet:#}")?;
    writeln!(out, "{DIM}{took}{DIM:#}")?;
    for line in stage.remedy.iter().flat_map(|remedy| remedy.lines()) {
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
        let (result, note) = match report.failure() {
            Some(failure) => ("failed", format!("{}: {}", failure.stage.as_str(), failure.detail)),
            None => ("passed", report.metadata.serving_model.clone().unwrap_or_default()),
        };
        [report.provider.clone(), result.to_owned(), duration(report.duration).trim().to_owned(), note]
    });
    table::write(["PROVIDER", "RESULT", "TOOK", "WHERE, OR WHO ANSWERED"], rows.collect())?;
    writeln!(stdout())
}

fn write_sum(reports: &[CheckReport]) -> io::Result<()> {
    let passed = reports.iter().filter(|report| report.passed()).count();
    let mut out = stdout();
    match (passed, reports.len()) {
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
