//! `modelswitch balance`: what is left on the accounts of those providers whose service tells.

use futures_util::future::join_all;
use modelswitch_openai::Profile;
use modelswitch_provider::{Error, ErrorKind};
use modelswitch_registry::{NOT_ALLOWED, ProviderInfo, Registry};
use serde::Serialize;

use super::{ErrorReport, write_json};
use crate::args::Common;
use crate::error::{self, Failure};
use crate::table;
use crate::terminal::wheel;

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 enough is left everywhere, 1 nothing is left or it can't be read,
2 the configuration is wrong or no provider has a balance.")]
pub(crate) struct Args {
    /// Only this provider's; of all that have one when none is named
    provider: Option<String>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One provider's answer. Amounts are texts, so that no decimal is rounded on the way.
#[derive(Debug, Serialize)]
struct Answer {
    provider: String,
    is_available: bool,
    amounts: Vec<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorReport>,
    #[serde(skip)]
    failure: Option<Error>,
}

#[derive(Debug, Serialize)]
struct Amount {
    currency: String,
    total: String,
    granted: String,
    topped_up: String,
}

pub(crate) async fn run(args: Args, common: &Common) -> Result<(), Failure> {
    let registry = common.registry()?;
    if let Some(name) = &args.provider {
        registry.provider(name)?;
    }
    let wanted = |info: &ProviderInfo| args.provider.as_ref().is_none_or(|name| *name == info.name);
    let asked: Vec<ProviderInfo> = registry.providers().into_iter().filter(wanted).collect();

    let wheel = wheel("asking for balances");
    let answers = join_all(asked.iter().map(|info| ask(&registry, info))).await;
    wheel.finish_and_clear();
    let answers: Vec<Answer> = answers.into_iter().flatten().collect();
    if answers.is_empty() {
        return Err(nobody_tells(&asked));
    }
    if args.json {
        write_json(&answers)?;
    } else {
        write_table(&answers, common.verbose)?;
    }
    if answers.iter().all(|answer| answer.is_available) { Ok(()) } else { Err(Failure::told()) }
}

/// `None` for a provider whose service doesn't tell.
async fn ask(registry: &Registry, info: &ProviderInfo) -> Option<Answer> {
    let answer = |amounts, failure: Option<Error>| Answer {
        provider: info.name.clone(),
        is_available: failure.is_none(),
        amounts,
        error: failure.as_ref().map(ErrorReport::from),
        failure,
    };
    let balance = match registry.balance(&info.name).await {
        Ok(balance) => balance,
        // A service that tells, and may not be asked by the configuration's own rules, is a failure to be told.
        Err(error) if error.kind() == ErrorKind::Unsupported && error.code() != Some(NOT_ALLOWED) => {
            return None;
        }
        Err(error) => return Some(answer(Vec::new(), Some(error))),
    };
    let amounts = balance.infos.iter().map(|amount| Amount {
        currency: amount.currency.to_string(),
        total: amount.total.to_string(),
        granted: amount.granted.to_string(),
        topped_up: amount.topped_up.to_string(),
    });
    let failure = (!balance.is_available).then(|| nothing_left(info));
    Some(answer(amounts.collect(), failure))
}

fn nothing_left(info: &ProviderInfo) -> Error {
    let kind = ErrorKind::InsufficientBalance;
    let error = Error::new(kind, "too little is left for a call").with_provider(info.name.as_str());
    let profile = info.profile.as_deref().and_then(Profile::embedded);
    match profile.and_then(|profile| profile.hints.get(&kind.into()).cloned()) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

fn nobody_tells(asked: &[ProviderInfo]) -> Failure {
    let names: Vec<String> = asked.iter().map(|info| format!("`{}`", info.name)).collect();
    let verb = if names.len() == 1 { "has" } else { "have" };
    Failure::usage(
        format!("{} {verb} no balance that can be asked for", names.join(", ")),
        "only DeepSeek's service tells it, by a provider with profile = \"deepseek\"; for others look at their own pages",
    )
}

fn write_table(answers: &[Answer], verbose: bool) -> Result<(), Failure> {
    let rows: Vec<[String; 6]> = answers.iter().flat_map(rows).collect();
    table::write(["PROVIDER", "CURRENCY", "TOTAL", "GRANTED", "TOPPED UP", "AVAILABLE"], rows)?;
    for failure in answers.iter().filter_map(|answer| answer.failure.as_ref()) {
        error::show(failure, verbose);
    }
    Ok(())
}

/// A line for each currency; one for a provider that told none.
fn rows(answer: &Answer) -> Vec<[String; 6]> {
    let available = match &answer.failure {
        None => "yes",
        Some(error) if error.kind() == ErrorKind::InsufficientBalance => "no",
        Some(_) => "failed",
    };
    let row = |currency: &str, total: &str, granted: &str, topped_up: &str| {
        [&answer.provider, currency, total, granted, topped_up, available].map(str::to_owned)
    };
    if answer.amounts.is_empty() {
        return vec![row("-", "-", "-", "-")];
    }
    let amounts = answer.amounts.iter();
    amounts.map(|one| row(&one.currency, &one.total, &one.granted, &one.topped_up)).collect()
}
