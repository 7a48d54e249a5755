//! What the program logs: what the crates tell of each call, on standard error.

use std::str::FromStr;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::prelude::*;

/// Which lines are wanted.
#[derive(Clone, Debug)]
pub(crate) struct LogFilter(Targets);

impl LogFilter {
    pub(crate) fn off() -> Self {
        Self(Targets::new())
    }

    /// One line for each call, and warnings.
    pub(crate) fn a_line_for_each_call() -> Self {
        Self::ours(LevelFilter::INFO)
    }

    /// Of this workspace's crates from a level on; of others what they warn of, since at lower levels those tell of
    /// every packet.
    fn ours(level: LevelFilter) -> Self {
        Self(Targets::new().with_target("modelswitch", level).with_default(level.min(LevelFilter::WARN)))
    }
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self::off());
        }
        let wanted = "write off, error, warn, info, debug or trace, or TARGET=LEVEL and several with commas";
        match text.parse::<LevelFilter>() {
            Ok(level) => Ok(Self::ours(level)),
            // A word alone would be taken for a target; it is a level misspelt.
            Err(_) if text.contains('=') => text.parse().map(Self).map_err(|_| wanted.to_owned()),
            Err(_) => Err(wanted.to_owned()),
        }
    }
}

/// Logs from now on.
pub(crate) fn start(filter: LogFilter, writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static) {
    let lines = fmt::layer().with_writer(writer).with_ansi(false).with_filter(filter.0);
    // Only a second call could fail, and there is none.
    let _ = tracing_subscriber::registry().with(lines).try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(filter: &str, target: &str, level: LevelFilter, is_wanted: bool) {
        let LogFilter(targets) = filter.parse().unwrap();
        let level = level.into_level().unwrap();
        assert_eq!(targets.would_enable(target, &level), is_wanted, "{filter}: {target} at {level}");
    }

    #[test]
    fn a_level_is_ours_and_others_are_heard_when_they_warn() {
        check("info", "modelswitch::call", LevelFilter::INFO, true);
        check("info", "modelswitch_layers::retry", LevelFilter::DEBUG, false);
        check("debug", "modelswitch_layers::retry", LevelFilter::DEBUG, true);
        check("DEBUG", "hyper_util::client", LevelFilter::DEBUG, false);
        check("debug", "reqwest", LevelFilter::WARN, true);
        check("error", "reqwest", LevelFilter::WARN, false);
        check("off", "modelswitch::call", LevelFilter::ERROR, false);
        check("", "modelswitch::call", LevelFilter::ERROR, false);
        check("modelswitch=warn,hyper_util=trace", "hyper_util::client", LevelFilter::TRACE, true);
    }

    #[test]
    fn another_word_is_refused_with_those_that_there_are() {
        for text in ["loud", "modelswitch=loud", "inf"] {
            assert!(text.parse::<LogFilter>().is_err_and(|error| error.contains("info")), "{text}");
        }
    }
}
