//! The command line: what is common to all commands. A command's own arguments stand in its file.

use std::path::PathBuf;

use anstream::ColorChoice;
use clap::{Args, Parser, ValueEnum};
use modelswitch_provider::Result;
use modelswitch_registry::{Registry, RegistryBuilder};

use crate::command::Command;
use crate::log::LogFilter;

/// One way to every OpenAI-compatible provider, chosen by configuration.
#[derive(Debug, Parser)]
#[command(name = "modelswitch", version, after_help = AFTER, after_long_help = AFTER, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What stands below the help of the program: sections, each with a heading and lines that are indented.
pub(crate) const AFTER: &str = "\
Files:
  The file that --config or MODELSWITCH_CONFIG names, else ./modelswitch.toml, else
  ~/.config/modelswitch/modelswitch.toml; each may be .yaml, .yml or .json instead.
  Without a file, each provider whose key variable is set (DEEPSEEK_API_KEY,
  OPENAI_API_KEY, ...) is simply there. A .env file is read when --env-file names it.

Environment:
  MODELSWITCH_CONFIG   the configuration file, as --config
  MODELSWITCH_PROFILE  the file's section [profile.NAME] counts too, as --profile
  MODELSWITCH_LOG      what is logged, as --log
  MODELSWITCH_LEDGER__PATH  the ledger that `usage` reads, as its --ledger
  MODELSWITCH_...      any setting, __ going one level down:
                       MODELSWITCH_PROVIDERS__DEEPSEEK__BASE_URL, MODELSWITCH_DEFAULT

Exit codes:
  0  it worked
  1  the call failed, or a check did
  2  the configuration or the command line is wrong; nothing was asked
  3  `models`: some providers failed, and the others are listed

`modelswitch demo` shows everything without a key.";

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// The configuration file, instead of the usual places
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) config: Option<PathBuf>,

    /// The environment: the file's section [profile.NAME] counts too; instead of MODELSWITCH_PROFILE
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,

    /// A file of variables, keys among them, for those that the environment lacks; may be given several times
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) env_file: Vec<PathBuf>,

    /// When to use colour; NO_COLOR is respected
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,

    /// Show every fact about an error: kind, status, request id, attempts; and a line for each call, like --log info
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,

    /// What to log on standard error: off, error, warn, info (a line for each call), debug (each try and each change),
    /// trace; or TARGET=LEVEL, several with commas
    #[arg(long, global = true, value_name = "LEVEL", env = "MODELSWITCH_LOG", hide_env_values = true)]
    log: Option<LogFilter>,
}

impl Common {
    /// The configuration as this call wants it, for code to add to.
    pub(crate) fn builder(&self) -> RegistryBuilder {
        let builder = match &self.config {
            Some(path) => Registry::builder().file(path),
            None => Registry::builder(),
        };
        let builder = match &self.profile {
            Some(name) => builder.profile(name),
            None => builder,
        };
        // An app's file is to be looked at although the app's code isn't here.
        self.env_file.iter().fold(builder.stand_ins(), RegistryBuilder::env_file)
    }

    /// What is logged.
    pub(crate) fn log(&self) -> LogFilter {
        let otherwise = if self.verbose { LogFilter::a_line_for_each_call() } else { LogFilter::off() };
        self.log.clone().unwrap_or(otherwise)
    }

    /// # Errors
    /// As [`Registry::load`].
    pub(crate) fn registry(&self) -> Result<Registry> {
        self.builder().build()
    }

    /// For a command that sends nothing: it makes no file either.
    ///
    /// # Errors
    /// As [`Registry::load`].
    pub(crate) fn registry_to_look_at(&self) -> Result<Registry> {
        self.builder().without_files().build()
    }
}

/// When to use colour: `Auto` on a terminal, `Always` in a pipe too.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    /// Decides for every stream of this program.
    pub(crate) fn apply(self) {
        let choice = match self {
            Self::Auto => ColorChoice::Auto,
            Self::Always => ColorChoice::Always,
            Self::Never => ColorChoice::Never,
        };
        choice.write_global();
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
