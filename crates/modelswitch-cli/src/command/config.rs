//! `modelswitch config`: what counts and where it comes from, whether it is right, and what may be written.

use std::io::Write;

use modelswitch_registry::{Invalid, NO_PROVIDER, Registry, Setting, config_schema};
use serde::Serialize;
use serde_json::Value;

use super::write_json;
use crate::args::Common;
use crate::error::{self, Failure};
use crate::table;
use crate::terminal::{DIM, GOOD, NOTE, clean, stderr, stdout};

/// The arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Show every setting that counts, with where it comes from; never a key
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Tell every mistake, in the sections of [profile] too; ends with 2 if there is one
    Validate,
    /// Print the JSON Schema of the file, for editors
    Schema,
}

pub(crate) fn run(args: &Args, common: &Common) -> Result<(), Failure> {
    match args.what {
        What::Show { json } => show(json, &common.registry()?),
        What::Validate => validate(common),
        What::Schema => write_json(&config_schema()),
    }
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    source: &'a str,
    warnings: &'a [String],
    settings: Vec<Setting>,
}

fn show(json: bool, registry: &Registry) -> Result<(), Failure> {
    let settings = registry.settings();
    if json {
        return write_json(&Report { source: &registry.source(), warnings: &registry.warnings(), settings });
    }
    remark(registry)?;
    let rows =
        settings.into_iter().map(|setting| [setting.path, shown(&setting.value), setting.origin.to_string()]);
    Ok(table::write(["SETTING", "VALUE", "FROM"], rows.collect())?)
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn remark(registry: &Registry) -> std::io::Result<()> {
    let mut notes = stderr();
    writeln!(notes, "{DIM}configuration: {}{DIM:#}", clean(&registry.source()))?;
    for warning in registry.warnings() {
        writeln!(notes, "{NOTE}warning:{NOTE:#} {}", clean(&warning))?;
    }
    Ok(())
}

fn validate(common: &Common) -> Result<(), Failure> {
    let builder = common.builder();
    let invalid = builder.validate();
    for Invalid { section, error, .. } in &invalid {
        if let Some(section) = section {
            writeln!(stderr(), "{DIM}with MODELSWITCH_PROFILE={}:{DIM:#}", clean(section))?;
        }
        error::show(error, common.verbose);
    }
    if !invalid.is_empty() {
        return Err(Failure::told_before_the_call());
    }
    let sections = builder.sections()?;
    let registry = match builder.build() {
        Ok(registry) => registry,
        // Each section has providers of its own, and none is chosen.
        Err(error) if error.code() == Some(NO_PROVIDER) && !sections.is_empty() => {
            return Ok(writeln!(
                stdout(),
                "{GOOD}no mistakes{GOOD:#}: {}",
                count(sections.len(), "section")
            )?);
        }
        Err(error) => return Err(error.into()),
    };
    remark(&registry)?;
    let missing = registry.providers().into_iter().filter(|provider| !provider.is_usable());
    for provider in missing {
        let (name, source) = (clean(&provider.name), clean(&provider.key.source));
        writeln!(stderr(), "{NOTE}warning:{NOTE:#} the key of `{name}` is not there: {source}")?;
    }
    let found = [
        Some(count(registry.providers().len(), "provider")),
        Some(count(registry.aliases().len(), "alias")).map(|text| text.replace("aliass", "aliases")),
        (!sections.is_empty()).then(|| count(sections.len(), "section")),
    ];
    let found: Vec<String> = found.into_iter().flatten().collect();
    Ok(writeln!(stdout(), "{GOOD}no mistakes{GOOD:#}: {}", found.join(", "))?)
}

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}
