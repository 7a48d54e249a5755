//! `modelswitch route`: who answers a name, and what calls go through on the way.

use std::io::Write;

use modelswitch_registry::{ExplainedLayer, Explanation};
use serde_json::Value;

use super::{remark, write_json};
use crate::args::Common;
use crate::error::Failure;
use crate::table;
use crate::terminal::{BOLD, DIM, clean, stdout};

/// The arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Show the targets of a model or alias, and what a call goes through to each, with where every setting comes from
    Explain {
        /// An alias, `provider/model`, or a bare name that one provider owns
        model: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(args: &Args, common: &Common) -> Result<(), Failure> {
    let What::Explain { model, json } = &args.what;
    let registry = common.registry_to_look_at()?;
    let explanation = registry.explain(model).map_err(Failure::before_the_call)?;
    if *json {
        return write_json(&explanation);
    }
    remark(&registry)?;
    show(&explanation)
}

fn show(explanation: &Explanation) -> Result<(), Failure> {
    heading(&format!("{}: once a call", clean(&explanation.asked_for)))?;
    layers(&explanation.call)?;
    let count = explanation.targets.len();
    for (position, target) in explanation.targets.iter().enumerate() {
        let weight = target.weight.map(|weight| format!(", weight {weight}")).unwrap_or_default();
        let (provider, model) = (clean(&target.provider), clean(&target.model));
        writeln!(stdout())?;
        heading(&format!("{provider}/{model}: target {} of {count}{weight}", position + 1))?;
        layers(&target.layers)?;
    }
    Ok(())
}

fn heading(text: &str) -> Result<(), Failure> {
    Ok(writeln!(stdout(), "{BOLD}{text}{BOLD:#}")?)
}

/// The first line sees the request first.
fn layers(layers: &[ExplainedLayer]) -> Result<(), Failure> {
    if layers.is_empty() {
        return Ok(writeln!(stdout(), "{DIM}nothing{DIM:#}")?);
    }
    let rows = layers.iter().flat_map(|layer| {
        layer.settings.iter().enumerate().map(|(position, setting)| {
            // The name once, so that one sees where the next begins.
            let name = if position == 0 { layer.name.clone() } else { String::new() };
            [name, setting.path.clone(), shown(&setting.value), setting.origin.to_string()]
        })
    });
    Ok(table::write(["LAYER", "SETTING", "VALUE", "FROM"], rows.collect())?)
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
