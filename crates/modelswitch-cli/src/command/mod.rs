//! The commands, one file each.

mod balance;
mod chat;
mod check;
mod completions;
mod config;
mod demo;
mod init;
#[cfg(feature = "keyring")]
mod keys;
mod man;
mod models;
mod providers;
mod route;
mod sim;
mod usage;

use std::io::{self, Write};

use clap::Subcommand;
use modelswitch_provider::Error;
use modelswitch_registry::Registry;
use serde::Serialize;

use crate::args::Cli;
use crate::error::Failure;
use crate::terminal::{DIM, NOTE, clean, stderr};

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show an app switching providers by configuration; needs no key
    Demo(demo::Args),
    /// Write a configuration, and test its connections
    Init(init::Args),
    /// Ask a model, once or in a conversation
    Chat(chat::Args),
    /// List the names that can be asked for: aliases, and the models of each provider
    Models(models::Args),
    /// List the configured providers, and where their keys come from
    Providers(providers::Args),
    /// Check each connection: key, the way there, authorised, models, balance, one tiny completion
    Check(check::Args),
    /// Show what is left on the account, where the service tells
    Balance(balance::Args),
    /// Show what calls took and cost, by day, provider, model or tag, out of the ledger
    Usage(usage::Args),
    /// Show who answers a name, and what calls go through on the way
    Route(route::Args),
    /// Show, check or describe the configuration
    Config(config::Args),
    /// Keep keys in the keyring of this desktop
    #[cfg(feature = "keyring")]
    Keys(keys::Args),
    /// Run a simulated provider on this machine
    Sim(sim::Args),
    /// Print the completions for a shell
    Completions(completions::Args),
    /// Print the manual page
    Man(man::Args),
}

/// Does what was asked for.
pub(crate) async fn run(cli: Cli) -> Result<(), Failure> {
    let Cli { command, common } = cli;
    match command {
        Command::Demo(args) => Box::pin(demo::run(args, &common)).await,
        Command::Chat(args) => Box::pin(chat::run(args, &common)).await,
        Command::Models(args) => Box::pin(models::run(args, &common)).await,
        Command::Providers(args) => providers::run(&args, &common),
        Command::Check(args) => Box::pin(check::run(args, &common)).await,
        Command::Balance(args) => Box::pin(balance::run(args, &common)).await,
        Command::Usage(args) => Box::pin(usage::run(args, &common)).await,
        Command::Init(args) => Box::pin(init::run(args, &common)).await,
        Command::Route(args) => route::run(&args, &common),
        Command::Config(args) => config::run(&args, &common),
        #[cfg(feature = "keyring")]
        Command::Keys(args) => keys::run(args, &common).await,
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
        Command::Sim(args) => Box::pin(sim::run(args)).await,
    }
}

/// Where the configuration came from, and what is odd about it.
fn remark(registry: &Registry) -> io::Result<()> {
    let mut notes = stderr();
    let section = registry.section().map(|name| format!(", profile {name}")).unwrap_or_default();
    writeln!(notes, "{DIM}configuration: {}{}{DIM:#}", clean(&registry.source()), clean(&section))?;
    for warning in registry.warnings() {
        writeln!(notes, "{NOTE}warning:{NOTE:#} {}", clean(&warning))?;
    }
    Ok(())
}

/// An error in `--json`.
#[derive(Debug, Serialize)]
struct ErrorReport {
    kind: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    attempts: u32,
    hint: String,
}

impl From<&Error> for ErrorReport {
    fn from(error: &Error) -> Self {
        Self {
            kind: error.kind().as_str(),
            message: error.message().to_owned(),
            status: error.status().map(|status| status.as_u16()),
            request_id: error.request_id().map(str::to_owned),
            attempts: error.attempts(),
            hint: error.hint().to_owned(),
        }
    }
}

/// Writes a document of JSON to standard output.
fn write_json(value: &impl Serialize) -> Result<(), Failure> {
    // Raw, not through the stream of styles, which would look for escape sequences.
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value).map_err(std::io::Error::from)?;
    writeln!(out)?;
    Ok(out.flush()?)
}
