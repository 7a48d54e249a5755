//! What ends a command: an exit code, and a message with what to do about it.

use std::error::Error as _;
use std::io::{self, Write};
use std::process::ExitCode;

use modelswitch_openai::OpenAiErrorExt;
use modelswitch_openai::async_openai::error::OpenAIError;
use modelswitch_provider::{Error, ErrorKind};
use modelswitch_registry::NO_PROVIDER;

use crate::terminal::{BAD, DIM, clean, stderr};

/// The exit code of a call or a check that failed. `args.rs` tells users of all of them.
const FAILED: u8 = 1;
/// The exit code where the configuration or the command line is wrong; nothing was asked.
const WRONG: u8 = 2;
/// The exit code where some of several failed and the others' answers are there.
const PARTIAL: u8 = 3;

/// Why a command ends before its time.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    what: What,
}

#[derive(Debug)]
enum What {
    /// Everything is said already.
    Nothing,
    Error(Error),
    Message {
        message: String,
        hint: String,
    },
}

impl Failure {
    /// A call or a check failed, and the output says so.
    pub(crate) fn told() -> Self {
        Self { code: FAILED, what: What::Nothing }
    }

    /// Some of several calls failed, and the output says so.
    pub(crate) fn told_in_part() -> Self {
        Self { code: PARTIAL, what: What::Nothing }
    }

    /// The configuration is wrong, and the output says so.
    pub(crate) fn told_before_the_call() -> Self {
        Self { code: WRONG, what: What::Nothing }
    }

    /// The command line asks for what can't be.
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code: WRONG, what: What::Message { message: message.into(), hint: hint.into() } }
    }

    /// An error found before anything was sent: a name that stands for nothing counts as configuration.
    pub(crate) fn before_the_call(error: Error) -> Self {
        Self { code: WRONG, what: What::Error(error) }
    }

    /// Something on this machine failed.
    pub(crate) fn local(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code: FAILED, what: What::Message { message: message.into(), hint: hint.into() } }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }

    /// Says on standard error what is wrong and what to do.
    pub(crate) fn show(&self, verbose: bool) {
        match &self.what {
            What::Nothing => {}
            What::Error(error) => show(error, verbose),
            What::Message { message, hint } => print(message, hint, &[]),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = if error.kind() == ErrorKind::Config { WRONG } else { FAILED };
        Self { code, what: What::Error(error) }
    }
}

impl From<OpenAIError> for Failure {
    fn from(error: OpenAIError) -> Self {
        match error.provider_error() {
            Some(error) => error.into(),
            None => Self::local(error.to_string(), "this is a mistake in modelswitch; please report it"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        // Whoever reads has had enough: `modelswitch models | head -1` is no failure.
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { code: 0, what: What::Nothing };
        }
        Self::local(error.to_string(), "see that input and output can be read and written")
    }
}

/// Says on standard error what went wrong and what to do; all that is known when `verbose`.
pub(crate) fn show(error: &Error, verbose: bool) {
    let facts = if verbose { facts(error) } else { Vec::new() };
    let hint = match error.code() {
        Some(NO_PROVIDER) => format!("{}\n`modelswitch demo` needs neither", error.hint()),
        _ => error.hint().to_owned(),
    };
    let hint = [before(error), Some(hint)].into_iter().flatten().collect::<Vec<_>>().join("\n");
    print(&error.to_string(), &hint, &facts);
}

/// Who failed before the one that the error is of.
fn before(error: &Error) -> Option<String> {
    let last = target(error.provider(), error.model());
    let mut targets: Vec<String> = Vec::new();
    for attempt in error.failures() {
        let target = target(attempt.provider.as_deref(), attempt.model.as_deref());
        if target != last && !targets.contains(&target) {
            targets.push(target);
        }
    }
    match targets.as_slice() {
        [] => None,
        [one] => Some(format!("and 1 target before it failed: {one}")),
        several => Some(format!("and {} targets before it failed: {}", several.len(), several.join(", "))),
    }
}

/// `provider/model`, as far as it is known.
fn target(provider: Option<&str>, model: Option<&str>) -> String {
    let known: Vec<&str> = [provider, model].into_iter().flatten().collect();
    if known.is_empty() { "unknown".to_owned() } else { known.join("/") }
}

fn print(message: &str, hint: &str, facts: &[String]) {
    let mut out = stderr();
    // With standard error gone there is nobody left to tell.
    let _ = writeln!(out, "{BAD}error:{BAD:#} {}", clean(message));
    for line in hint.lines() {
        let _ = writeln!(out, "  {}", clean(line));
    }
    for fact in facts {
        let _ = writeln!(out, "  {DIM}{}{DIM:#}", clean(fact));
    }
}

fn facts(error: &Error) -> Vec<String> {
    let mut facts = vec![format!("kind: {}", error.kind())];
    facts.extend(error.status().map(|status| format!("status: {status}")));
    facts.extend(error.provider().map(|provider| format!("provider: {provider}")));
    facts.extend(error.model().map(|model| format!("model: {model}")));
    facts.extend(error.request_id().map(|id| format!("request id: {id}")));
    facts.extend(error.retry_after().map(|wait| format!("retry after: {:.1} s", wait.as_secs_f64())));
    facts.push(format!("attempts: {}", error.attempts()));
    for (number, attempt) in error.failures().iter().enumerate() {
        let seconds = attempt.duration.as_secs_f64();
        let target = target(attempt.provider.as_deref(), attempt.model.as_deref());
        facts.push(format!("attempt {}: {target}: {} after {seconds:.1} s", number + 1, attempt.kind));
    }
    let mut source = error.source();
    while let Some(cause) = source {
        facts.push(format!("because: {cause}"));
        source = cause.source();
    }
    facts
}
