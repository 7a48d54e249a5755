//! `modelswitch providers`: what is configured, and where the keys come from.

use std::io::Write;

use modelswitch_registry::{KeyInfo, ProviderInfo, Registry};
use serde::Serialize;

use super::write_json;
use crate::args::Common;
use crate::error::Failure;
use crate::table;
use crate::terminal::{DIM, NOTE, clean, stderr};

/// The arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    source: String,
    warnings: Vec<String>,
    default: Option<String>,
    providers: Vec<ProviderInfo>,
}

pub(crate) fn run(args: &Args, common: &Common) -> Result<(), Failure> {
    let registry = common.registry()?;
    if args.json {
        return write_json(&Report {
            source: registry.source(),
            warnings: registry.warnings(),
            default: registry.default_model(),
            providers: registry.providers(),
        });
    }
    remark(&registry)?;
    let rows = registry.providers().into_iter().map(|provider| {
        [
            provider.name,
            provider.profile.unwrap_or_default(),
            provider.base_url.unwrap_or_default(),
            key(&provider.key),
            provider.default_model.unwrap_or_default(),
        ]
    });
    Ok(table::write(["NAME", "PROFILE", "BASE URL", "KEY", "DEFAULT MODEL"], rows.collect())?)
}

/// Where the configuration came from, and what is odd about it.
fn remark(registry: &Registry) -> std::io::Result<()> {
    let mut notes = stderr();
    writeln!(notes, "{DIM}configuration: {}{DIM:#}", clean(&registry.source()))?;
    if let Some(default) = registry.default_model() {
        writeln!(notes, "{DIM}default: {}{DIM:#}", clean(&default))?;
    }
    for warning in registry.warnings() {
        writeln!(notes, "{NOTE}warning:{NOTE:#} {}", clean(&warning))?;
    }
    Ok(())
}

fn key(key: &KeyInfo) -> String {
    match (key.set, key.required) {
        (true, _) => format!("{} (set)", key.source),
        (false, true) if !key.looked_for => format!("{} (not looked for yet)", key.source),
        (false, true) => format!("{} (not set)", key.source),
        (false, false) => "none needed".to_owned(),
    }
}
