//! `modelswitch config`: what counts and where it comes from, whether it is right, and what may be written.

use std::io::Write;

use modelswitch_registry::{Invalid, NO_PROVIDER, ProviderInfo, Registry, Setting, config_schema};
use serde::Serialize;
use serde_json::Value;

use super::{remark, write_json};
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
        What::Show { json } => show(json, &common.registry_to_look_at()?),
        What::Validate => validate(common),
        What::Schema => write_json(&config_schema()),
    }
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    section: Option<String>,
    warnings: &'a [String],
    settings: Vec<Setting>,
}

fn show(json: bool, registry: &Registry) -> Result<(), Failure> {
    let settings = registry.settings();
    if json {
        return write_json(&Report {
            source: &registry.source(),
            section: registry.section(),
            warnings: &registry.warnings(),
            settings,
        });
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
    for provider in registry.providers() {
        for source in missing_keys(&provider) {
            let (name, source) = (clean(&provider.name), clean(&source));
            writeln!(stderr(), "{NOTE}warning:{NOTE:#} the key of `{name}` is not there: {source}")?;
        }
    }
    let found = [
        Some(count(registry.providers().len(), "provider")),
        Some(count(registry.aliases().len(), "alias")).map(|text| text.replace("aliass", "aliases")),
        (!sections.is_empty()).then(|| count(sections.len(), "section")),
    ];
    let found: Vec<String> = found.into_iter().flatten().collect();
    Ok(writeln!(stdout(), "{GOOD}no mistakes{GOOD:#}: {}", found.join(", "))?)
}

/// Where keys were looked for and not found: of several the others work, and nobody would notice.
fn missing_keys(provider: &ProviderInfo) -> Vec<String> {
    let ProviderInfo { key, .. } = provider;
    if key.pool.is_empty() {
        return if provider.is_usable() { Vec::new() } else { vec![key.source.clone()] };
    }
    let missing = key.pool.iter().filter(|one| one.looked_for && !one.set);
    missing.map(|one| one.source.clone()).collect()
}

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}
