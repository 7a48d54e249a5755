//! The program `modelswitch`: asks any configured provider, and shows whether it works.
//!
//! One file a command under `command/`. Every command takes a [`Registry`](modelswitch_registry::Registry) as an app would
//! have it, and writes through `terminal.rs`: colour and progress on a terminal only, answers and tables on standard
//! output, everything else on standard error.

mod args;
mod command;
mod error;
mod log;
mod table;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;
use crate::error::Failure;

fn main() -> ExitCode {
    let cli = Cli::parse();
    cli.common.color.apply();
    log::start(cli.common.log(), std::io::stderr);
    let verbose = cli.common.verbose;
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.show(verbose);
            failure.exit_code()
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(command::run(cli));
    // A thread that waits for a line of input must not keep the program.
    runtime.shutdown_background();
    outcome
}
