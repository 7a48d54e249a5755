//! `modelswitch man`: the manual page, of the program or of one command.

use std::io::{self, Write};

use clap::CommandFactory;

use crate::args::Cli;
use crate::error::Failure;

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "For example: modelswitch man > ~/.local/share/man/man1/modelswitch.1\n             modelswitch man config show | man -l -"
)]
pub(crate) struct Args {
    /// The command whose page is wanted, in place of the program's
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let mut page = Cli::command();
    page.build();
    for name in &args.command {
        let found = page.find_subcommand(name).cloned();
        page = found.ok_or_else(|| {
            Failure::usage("there is no such command", "`modelswitch --help` lists the commands")
        })?;
    }
    let name = ["modelswitch"].into_iter().chain(args.command.iter().map(String::as_str));
    let name = name.collect::<Vec<_>>().join("-");
    let mut roff = Vec::new();
    clap_mangen::Man::new(page).title(name).render(&mut roff)?;
    let mut out = io::stdout().lock();
    out.write_all(&roff)?;
    Ok(out.flush()?)
}
