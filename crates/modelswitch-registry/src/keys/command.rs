//! A command that prints a key: `op`, `vault`, `pass`, a cloud's program.

use std::fmt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures_util::future::try_join3;
use modelswitch_provider::{ApiKey, Error, Result};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::source::LONGEST;
use crate::environment::Environment;

/// How long a command may take that says nothing else: a vault across the world answers in one.
const LIMIT: Duration = Duration::from_secs(10);

/// A program and its arguments, run without a shell, whose output is the key.
///
/// It gets no input and is killed at its time limit, or when nobody waits for it any more. What it prints on its
/// standard error is never shown: it may repeat what it was given.
#[derive(Clone)]
pub(crate) struct KeyCommand {
    program: PathBuf,
    arguments: Vec<String>,
    limit: Duration,
    environment: Environment,
}

impl KeyCommand {
    /// Whether the same would be run, for as long.
    pub(super) fn same_as(&self, other: &Self) -> bool {
        let Self { program, arguments, limit, environment: _ } = self;
        *program == other.program && *arguments == other.arguments && *limit == other.limit
    }

    pub(super) fn new(
        program: PathBuf,
        arguments: Vec<String>,
        limit: Option<Duration>,
        environment: Environment,
    ) -> Self {
        Self { program, arguments, limit: limit.unwrap_or(LIMIT), environment }
    }

    /// The program alone: an argument may tell more than it should.
    pub(super) fn shown(&self) -> String {
        format!("the command `{}`", self.program.display())
    }

    /// Runs it.
    ///
    /// # Errors
    /// [`Config`](modelswitch_provider::ErrorKind::Config), which names the program and what it did, and nothing of what
    /// it printed.
    pub(super) async fn read(&self) -> Result<ApiKey> {
        match timeout(self.limit, self.run()).await {
            Ok(key) => key,
            Err(_) => {
                let seconds = self.limit.as_secs_f64();
                Err(self.failed(&format!("gave no key within {seconds} s and was stopped")).with_hint(
                    "run it by hand: does it ask for something? give it more time with timeout = \"30s\"",
                ))
            }
        }
    }

    async fn run(&self) -> Result<ApiKey> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // The future may be dropped at any time, by the limit or by whoever waits.
        command.kill_on_drop(true);
        command.envs(self.environment.replaced());
        let mut child = command.spawn().map_err(|error| self.not_run(&error))?;
        let (output, complaints) = (child.stdout.take(), child.stderr.take());
        let ended = async { child.wait().await.map_err(|error| self.not_run(&error)) };
        let ((printed, length), complained, status) =
            try_join3(self.printed(output), first_line(complaints), ended).await?;
        if !status.success() {
            let hint = "run it by hand to see why; what it said is not shown, it might hold a key";
            return Err(self.failed(&ended_badly(status, complained)).with_hint(hint));
        }
        let printed = printed.get(..length).unwrap_or_default();
        let text = std::str::from_utf8(printed)
            .map_err(|_| self.failed("printed something that is not text").with_hint(ALONE))?;
        if text.trim().is_empty() {
            let hint = "run it by hand: it must print the key to its standard output";
            return Err(self.failed("printed nothing").with_hint(hint));
        }
        ApiKey::new(text.trim())
            .map_err(|error| self.failed(&format!("printed no key: {}", error.message())).with_hint(ALONE))
    }

    /// What it prints, into a buffer as large as a key may become: one that grows leaves copies behind.
    async fn printed(&self, output: Option<impl AsyncRead + Unpin>) -> Result<(Zeroizing<Vec<u8>>, usize)> {
        let mut buffer = Zeroizing::new(vec![0; LONGEST + 1]);
        let mut length = 0;
        let Some(mut output) = output else { return Ok((buffer, length)) };
        loop {
            let room = buffer.get_mut(length..).unwrap_or_default();
            if room.is_empty() {
                return Err(self.failed("printed more than a key").with_hint(ALONE));
            }
            match output.read(room).await {
                Ok(0) => return Ok((buffer, length)),
                Ok(more) => length += more,
                Err(_) => return Err(self.failed("can't be read from").with_hint(ALONE)),
            }
        }
    }

    fn failed(&self, what: &str) -> Error {
        Error::config(format!("there is no key: {} {what}", self.shown()))
    }

    fn not_run(&self, error: &std::io::Error) -> Error {
        let (what, hint) = match error.kind() {
            std::io::ErrorKind::NotFound => {
                ("is not there", "install it, or write its whole path; no shell looks for it")
            }
            std::io::ErrorKind::PermissionDenied => ("may not be run", "let this process run it"),
            _ => ("can't be run", "run it by hand to see why"),
        };
        self.failed(what).with_hint(hint)
    }
}

const ALONE: &str = "let the command print the key alone, on one line";

fn ended_badly(status: ExitStatus, complained: usize) -> String {
    let how = match status.code() {
        Some(code) => format!("ended with exit code {code}"),
        None => "was killed".to_owned(),
    };
    match complained {
        0 => format!("{how} and said nothing"),
        1 => format!("{how} and said 1 character (not shown)"),
        count => format!("{how} and said {count} characters (not shown)"),
    }
}

/// How long the first line of its complaints is. The rest is read too, or it would wait for a reader.
async fn first_line(complaints: Option<impl AsyncRead + Unpin>) -> Result<usize> {
    let Some(mut complaints) = complaints else { return Ok(0) };
    let mut buffer = Zeroizing::new(vec![0; 4096]);
    let (mut length, mut is_first) = (0_usize, true);
    // Whatever keeps them from being read says nothing of the key.
    while let Ok(more @ 1..) = complaints.read(&mut buffer).await {
        let line = buffer.get(..more).unwrap_or_default();
        let end = line.iter().position(|byte| *byte == b'\n');
        if is_first {
            length = length.saturating_add(end.unwrap_or(more));
        }
        is_first &= end.is_none();
    }
    Ok(length)
}

impl fmt::Debug for KeyCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyCommand")
            .field("program", &self.program)
            .field("arguments", &self.arguments.len())
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(unix)]
pub(super) mod tests {
    use super::*;
    use std::time::SystemTime;

    pub(in crate::keys) fn shell(script: &str, limit: Option<Duration>) -> KeyCommand {
        let arguments = vec!["-c".to_owned(), script.to_owned()];
        KeyCommand::new("sh".into(), arguments, limit, Environment::Process)
    }

    async fn fails(script: &str, limit: Option<Duration>) -> Error {
        let error = shell(script, limit).read().await.unwrap_err();
        let shown = format!("{error}\n{error:?}\n{}\n{}", error.report(), error.to_body());
        assert!(!shown.contains("canary"), "{shown}");
        error
    }

    #[tokio::test]
    async fn what_a_command_prints_is_the_key_without_the_white_space_around_it() {
        let key = shell("printf '\\n  sk-0123 \\n\\n'; echo canary >&2", None).read().await.unwrap();
        assert_eq!(key.expose(), "sk-0123");
    }

    #[tokio::test]
    async fn a_command_that_fails_is_told_with_the_length_of_what_it_said_and_no_more() {
        for (script, message) in [
            (
                "echo canary; echo canary-0 >&2; echo more >&2; exit 7",
                "ended with exit code 7 and said 8 characters (not shown)",
            ),
            ("exit 1", "ended with exit code 1 and said nothing"),
            ("kill -9 $$", "was killed and said nothing"),
            ("true", "printed nothing"),
            (
                "echo canary; echo canary",
                "printed no key: the API key has a line break at position 7 and can't be sent in a header",
            ),
            ("printf '\\377canary'", "printed something that is not text"),
            ("yes canary", "printed more than a key"),
        ] {
            assert_eq!(
                fails(script, None).await.message(),
                format!("there is no key: the command `sh` {message}")
            );
        }
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named_and_its_arguments_are_not() {
        let command =
            KeyCommand::new("/nowhere/op".into(), vec!["canary".to_owned()], None, Environment::Process);
        let error = command.read().await.unwrap_err();
        assert_eq!(error.message(), "there is no key: the command `/nowhere/op` is not there");
        assert!(!format!("{command:?} {error:?}").contains("canary"));
    }

    #[tokio::test]
    async fn a_slow_command_is_stopped_at_its_limit_and_when_nobody_waits() {
        let folder = tempfile::tempdir().unwrap();
        let survivor = folder.path().join("survivor");
        // A shell that `exec`s is the sleeping program itself; this one would write after it.
        let script = format!("sleep 1; echo canary; touch {}", survivor.display());
        let started = SystemTime::now();
        let error = fails(&script, Some(Duration::from_millis(100))).await;
        assert_eq!(
            error.message(),
            "there is no key: the command `sh` gave no key within 0.1 s and was stopped"
        );
        let command = shell(&script, None);
        assert!(timeout(Duration::from_millis(100), command.read()).await.is_err());
        assert!(started.elapsed().unwrap() < Duration::from_millis(900));
        tokio::time::sleep(Duration::from_millis(1300)).await;
        assert!(!survivor.exists(), "it was stopped and not left alone");
    }

    #[tokio::test]
    async fn a_command_gets_no_input_and_the_variables_that_stand_for_the_environment() {
        let environment = Environment::fixed([("VAULT_TOKEN".to_owned(), "sk-0123".to_owned())]);
        let arguments = vec!["-c".to_owned(), "cat; printf %s \"$VAULT_TOKEN\"".to_owned()];
        let command = KeyCommand::new("sh".into(), arguments, None, environment);
        assert_eq!(command.read().await.unwrap().expose(), "sk-0123");
    }
}
