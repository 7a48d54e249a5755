//! `modelswitch man`: the manual page, of the program or of one command.

use std::io::{self, Write};

use clap::CommandFactory;

use crate::args::{AFTER, Cli};
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
    if args.command.is_empty() {
        page = page.after_help(None::<&str>).after_long_help(None::<&str>);
        clap_mangen::Man::new(page).title(name).render(&mut roff)?;
        roff.extend(sections(AFTER).into_bytes());
    } else {
        clap_mangen::Man::new(page).title(name).render(&mut roff)?;
    }
    let mut out = io::stdout().lock();
    out.write_all(&roff)?;
    Ok(out.flush()?)
}

/// The sections below the help as those of a manual page, their lines as they stand: they are tables.
fn sections(text: &str) -> String {
    let mut roff = String::new();
    for line in text.lines() {
        let escaped = line.trim_start().replace('\\', "\\e").replace('-', "\\-");
        match line.strip_suffix(':').filter(|heading| !heading.starts_with(' ')) {
            Some(heading) => roff.push_str(&format!(".SH {}\n.nf\n", heading.to_uppercase())),
            None if line.starts_with("  ") => {
                let indent = " ".repeat(line.len() - line.trim_start().len() - 2);
                roff.push_str(&format!("\\&{indent}{escaped}\n"));
            }
            None if line.is_empty() => roff.push_str(".fi\n"),
            None => roff.push_str(&format!(".PP\n{escaped}\n")),
        }
    }
    roff
}
