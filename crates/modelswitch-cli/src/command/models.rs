//! `modelswitch models`: every name that can be asked for now.

use std::time::Duration;

use futures_util::future::join_all;
use modelswitch_provider::{Error, ErrorKind, ProviderExt, Result};
use modelswitch_registry::{ProviderInfo, Registry};
use serde::Serialize;

use super::{ErrorReport, write_json};
use crate::args::Common;
use crate::error::{self, Failure};
use crate::table;
use crate::terminal::wheel;

/// The arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this provider's
    provider: Option<String>,

    /// Print JSON
    #[arg(long)]
    json: bool,
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
    models: Vec<Listed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorReport>,
    #[serde(skip)]
    failure: Option<Error>,
}

#[derive(Debug, Serialize)]
struct Listed {
    /// What to ask for.
    name: String,
    id: String,
    is_default: bool,
}

/// A list is a small file. Tries and waits together must not take longer than somebody looks at a wheel.
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) async fn run(args: Args, common: &Common) -> Result<(), Failure> {
    let registry = common.registry()?;
    if let Some(name) = &args.provider {
        registry.provider(name)?;
    }
    let wanted = |name: &str| args.provider.as_deref().is_none_or(|provider| provider == name);
    let asked: Vec<ProviderInfo> =
        registry.providers().into_iter().filter(|provider| wanted(&provider.name)).collect();

    let wheel = wheel("asking for models");
    let providers = join_all(asked.iter().map(|provider| ask(&registry, provider))).await;
    wheel.finish_and_clear();
    let aliases = registry.aliases().into_iter().map(|(name, target)| Alias { name, target });
    let aliases =
        aliases.filter(|alias| wanted(alias.target.split('/').next().unwrap_or_default())).collect();
    let report = Report { aliases, providers };

    if args.json {
        write_json(&report)?;
    } else {
        write_table(&report, common.verbose)?;
    }
    let all_failed = report.providers.iter().all(|answer| answer.error.is_some());
    if all_failed { Err(Failure::told()) } else { Ok(()) }
}

async fn ask(registry: &Registry, info: &ProviderInfo) -> Answer {
    let listed = async { registry.provider(&info.name)?.models().await };
    let listed = tokio::time::timeout(LIMIT, listed).await.unwrap_or_else(|_| {
        let message = format!("no list of models within {} s", LIMIT.as_secs());
        Err(Error::new(ErrorKind::Timeout, message).with_provider(info.name.as_str()))
    });
    let (models, failure) = match listed {
        Ok(models) => (models, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let models = models.into_iter().map(|model| Listed {
        name: format!("{}/{}", info.name, model.id),
        is_default: info.default_model.as_ref() == Some(&model.id),
        id: model.id,
    });
    let error = failure.as_ref().map(ErrorReport::from);
    Answer { provider: info.name.clone(), models: models.collect(), error, failure }
}

fn write_table(report: &Report, verbose: bool) -> Result<(), Failure> {
    let mut rows: Vec<[String; 3]> = report
        .aliases
        .iter()
        .map(|alias| [alias.name.clone(), "alias".to_owned(), alias.target.clone()])
        .collect();
    for answer in &report.providers {
        rows.extend(answer.models.iter().map(|model| {
            let note = if model.is_default { "its default" } else { "" };
            [model.name.clone(), answer.provider.clone(), note.to_owned()]
        }));
        if let Some(error) = &answer.failure {
            let note = format!("failed: {}; {}", error.message(), error.hint());
            rows.push(["-".to_owned(), answer.provider.clone(), note]);
        }
    }
    table::write(["MODEL", "FROM", "NOTE"], rows)?;
    // The table has said the rest.
    if verbose {
        for error in report.providers.iter().filter_map(|answer| answer.failure.as_ref()) {
            error::show(error, verbose);
        }
    }
    Ok(())
}
