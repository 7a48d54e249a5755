//! `modelswitch completions`: the words that a shell may complete.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::error::Failure;

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "For example: modelswitch completions bash > ~/.local/share/bash-completion/completions/modelswitch"
)]
pub(crate) struct Args {
    /// The shell to print them for
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    // Into memory first: the generator panics where a pipe is closed early.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "modelswitch", &mut script);
    let mut out = io::stdout().lock();
    out.write_all(&script)?;
    Ok(out.flush()?)
}
