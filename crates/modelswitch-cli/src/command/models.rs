//! `modelswitch models`: every name that can be asked for now, and what is known of it.

use std::cmp::Reverse;
use std::io::Write;
use std::path::PathBuf;

use clap::ValueEnum;
use modelswitch_openai::{Capability, Modality, Moment};
use modelswitch_provider::Error;
use modelswitch_registry::{Catalogue, CatalogueModel, CataloguePrice, ProviderModels, Registry};
use serde::de::value::StrDeserializer;
use serde::{Deserialize, Serialize};

use super::{ErrorReport, write_json};
use crate::args::Common;
use crate::error::{self, Failure};
use crate::table;
use crate::terminal::{DIM, clean, stderr, wheel};

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Lists are kept for an hour in the user's cache folder; --refresh asks the services anew.\n\
    Prices are those of this hour for a million tokens, peak included, after the services' published lists.\n\
    Exit codes: 0 all providers told, 3 some failed and the others are listed, 1 all failed, 2 the configuration is wrong."
)]
pub(crate) struct Args {
    /// Only this provider's
    provider: Option<String>,

    /// Only this provider's; may be given several times
    #[arg(long = "provider", value_name = "NAME")]
    providers: Vec<String>,

    /// Only those that can do all of these: tools, json_schema, reasoning, vision, …
    #[arg(long, value_name = "WHAT", value_delimiter = ',', value_parser = can)]
    can: Vec<Ability>,

    /// Only those whose answers cost at most so much now, for a million tokens
    #[arg(long, value_name = "PRICE", value_parser = price)]
    max_price: Option<f64>,

    /// Only those with this text in their name or title
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,

    /// In this order, instead of the services' own
    #[arg(long, value_name = "BY", value_enum)]
    sort: Option<Sort>,

    /// Ask the services now, whatever is kept
    #[arg(long)]
    refresh: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What a model can do, or take.
#[derive(Clone, Copy, Debug)]
enum Ability {
    Do(Capability),
    Take(Modality),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Sort {
    /// By name
    Name,
    /// The largest context first
    Context,
    /// The cheapest answers first; those without a known price last
    Price,
}

#[derive(Debug, Serialize)]
struct Report {
    aliases: Vec<Alias>,
    providers: Vec<Answer>,
}

#[derive(Debug, Serialize)]
struct Alias {
    name: String,
    target: String,
}

#[derive(Debug, Serialize)]
struct Answer {
    provider: String,
    /// When the service's list was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    read: Option<Moment>,
    models: Vec<CatalogueModel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorReport>,
    #[serde(skip)]
    failure: Option<Error>,
}

pub(crate) async fn run(args: Args, common: &Common) -> Result<(), Failure> {
    let registry = common.registry()?;
    let wanted: Vec<&String> = args.provider.iter().chain(&args.providers).collect();
    for name in &wanted {
        registry.provider(name)?;
    }
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| *wanted == name);

    let wheel = wheel("asking for models");
    let catalogue = match cache_folder() {
        Some(folder) => registry.catalogue().on_disk(folder),
        None => registry.catalogue(),
    };
    let asked = ask(&registry, &catalogue, is_wanted, args.refresh).await?;
    wheel.finish_and_clear();
    let report = report(&registry, asked, &args, is_wanted);

    if args.json {
        write_json(&report)?;
    } else {
        write_table(&report, args.sort, common.verbose)?;
    }
    let failed =
        report.providers.iter().filter(|answer| answer.error.is_some() && answer.read.is_none()).count();
    match failed {
        0 => Ok(()),
        some if some < report.providers.len() => Err(Failure::told_in_part()),
        _ => Err(Failure::told()),
    }
}

async fn ask(
    registry: &Registry,
    catalogue: &Catalogue,
    is_wanted: impl Fn(&str) -> bool,
    refresh: bool,
) -> Result<Vec<ProviderModels>, Failure> {
    let names: Vec<String> = registry.providers().into_iter().map(|provider| provider.name).collect();
    let asked = names.iter().filter(|name| is_wanted(name)).map(async |name| match refresh {
        true => catalogue.refresh_provider(name).await,
        false => catalogue.provider(name).await,
    });
    let all = futures_util::future::join_all(asked.map(Box::pin)).await;
    Ok(all.into_iter().collect::<Result<_, _>>()?)
}

fn report(
    registry: &Registry,
    asked: Vec<ProviderModels>,
    args: &Args,
    is_wanted: impl Fn(&str) -> bool,
) -> Report {
    let providers: Vec<Answer> = asked
        .into_iter()
        .map(|found| {
            let mut models: Vec<CatalogueModel> =
                found.models.into_iter().filter(|model| fits(model, args)).collect();
            sort(&mut models, args.sort);
            let error = found.error.as_ref().map(ErrorReport::from);
            Answer { provider: found.provider, read: found.read, models, error, failure: found.error }
        })
        .collect();
    let is_narrowed = !args.can.is_empty() || args.max_price.is_some() || args.search.is_some();
    let is_there = |alias: &Alias| {
        let mut models = providers.iter().flat_map(|answer| &answer.models);
        is_wanted(alias.target.split('/').next().unwrap_or_default())
            && (!is_narrowed || models.any(|model| model.name == alias.target))
    };
    let aliases = registry.aliases().into_iter().map(|(name, target)| Alias { name, target });
    let aliases = aliases.filter(is_there).collect();
    Report { aliases, providers }
}

/// What isn't known of a model doesn't fit: whoever needs tools wants to be sure.
fn fits(model: &CatalogueModel, args: &Args) -> bool {
    let can = args.can.iter().all(|ability| match ability {
        Ability::Do(capability) => model.can(*capability),
        Ability::Take(modality) => model.takes(*modality),
    });
    let is_cheap = |most: f64| model.price.as_ref().is_some_and(|price| number(price) <= most);
    let is_found = |text: &String| {
        let text = text.to_lowercase();
        let aliases = model.aliases.iter().chain(&model.title).chain([&model.name]);
        aliases.into_iter().any(|name| name.to_lowercase().contains(&text))
    };
    can && args.max_price.is_none_or(is_cheap) && args.search.as_ref().is_none_or(is_found)
}

fn sort(models: &mut [CatalogueModel], by: Option<Sort>) {
    match by {
        None => {}
        Some(Sort::Name) => models.sort_by(|one, other| one.name.cmp(&other.name)),
        Some(Sort::Context) => models.sort_by_key(|model| Reverse(model.context)),
        Some(Sort::Price) => {
            let price = |model: &CatalogueModel| model.price.as_ref().map_or(f64::INFINITY, number);
            models.sort_by(|one, other| price(one).total_cmp(&price(other)));
        }
    }
}

/// What a million tokens of the answer cost, to compare with.
fn number(price: &CataloguePrice) -> f64 {
    price.output.to_string().parse().unwrap_or(f64::INFINITY)
}

/// `None` where the environment names no place for it; then nothing is kept.
pub(super) fn cache_folder() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let windows = if cfg!(windows) { folder("LOCALAPPDATA") } else { None };
    let usual = folder("XDG_CACHE_HOME").or(windows).or_else(|| Some(folder("HOME")?.join(".cache")));
    Some(usual?.join("modelswitch"))
}

fn can(word: &str) -> Result<Ability, String> {
    let word = word.trim().to_lowercase().replace('-', "_");
    let read = StrDeserializer::<serde::de::value::Error>::new;
    let modality = match word.as_str() {
        "vision" | "images" => "image",
        other => other,
    };
    if let Ok(capability) = Capability::deserialize(read(&word)) {
        return Ok(Ability::Do(capability));
    }
    Modality::deserialize(read(modality)).map(Ability::Take).map_err(|_| {
        "write one or more of tools, strict_tools, json_object, json_schema, reasoning, prefix, fim, logprobs, \
         responses, anthropic, embeddings, vision, audio, video, file"
            .to_owned()
    })
}

fn price(text: &str) -> Result<f64, String> {
    let price = text.parse::<f64>().ok().filter(|price| *price >= 0.0);
    price.ok_or_else(|| "write a number such as 0.6".to_owned())
}

fn write_table(report: &Report, by: Option<Sort>, verbose: bool) -> Result<(), Failure> {
    let row = |name: &str, from: &str, note: String| {
        let [context, price] = [String::new(), String::new()];
        [name.to_owned(), from.to_owned(), context, price, note]
    };
    let mut rows: Vec<[String; 5]> =
        report.aliases.iter().map(|alias| row(&alias.name, "alias", alias.target.clone())).collect();
    let mut models: Vec<(&Answer, CatalogueModel)> = Vec::new();
    for answer in &report.providers {
        models.extend(answer.models.iter().map(|model| (answer, model.clone())));
    }
    // Across providers only when an order was asked for.
    if by.is_some() {
        let mut all: Vec<CatalogueModel> = models.into_iter().map(|(_, model)| model).collect();
        sort(&mut all, by);
        let answer =
            |model: &CatalogueModel| report.providers.iter().find(|answer| answer.provider == model.provider);
        models = all.into_iter().filter_map(|model| Some((answer(&model)?, model))).collect();
    }
    rows.extend(models.iter().map(|(answer, model)| {
        let context = model.context.map(|context| context.to_string()).unwrap_or_default();
        let price = model.price.as_ref().map(shown).unwrap_or_default();
        [model.name.clone(), model.provider.clone(), context, price, note(model, answer)]
    }));
    let failed = report.providers.iter().filter_map(|answer| Some((answer, answer.failure.as_ref()?)));
    let failed: Vec<(&Answer, &Error)> = failed.collect();
    if !rows.is_empty() {
        table::write(["MODEL", "FROM", "CONTEXT", "PRICE IN/OUT", "NOTE"], rows)?;
    } else if failed.is_empty() {
        writeln!(stderr(), "{DIM}no model fits{DIM:#}")?;
    }
    // Whoever reads the table from a pipe wants models in it and nothing else.
    for (answer, error) in failed {
        if let Some(read) = answer.read {
            writeln!(stderr(), "{DIM}{}: its list is of {read}{DIM:#}", clean(&answer.provider))?;
        }
        error::show(error, verbose);
    }
    Ok(())
}

fn shown(price: &CataloguePrice) -> String {
    let peak = if price.is_peak { " (peak)" } else { "" };
    format!("{}/{} {}{peak}", price.input, price.output, price.currency)
}

fn note(model: &CatalogueModel, answer: &Answer) -> String {
    let served = model.serves.as_ref().map(|serves| format!("served by {serves}"));
    let unlisted = answer.read.is_some() && !model.is_listed() && served.is_none();
    let notes = [
        model.is_default.then(|| "its default".to_owned()),
        served,
        unlisted.then(|| "not in its list".to_owned()),
    ];
    notes.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
