//! A command that prints a key: `op`, `vault`, `pass`, a cloud's program.

use std::fmt;
use std::path::PathBuf;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, FusedFuture, select, try_join};
use modelswitch_provider::{ApiKey, Error, Result};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::source::LONGEST;
use crate::environment::Environment;

/// How long a command may take that says nothing else: a vault across the world answers in one.
const LIMIT: Duration = Duration::from_secs(10);
/// How long its complaints are read on after it has ended, to tell how much it said: a program that it left running may
/// hold them open for ever.
const REST_OF_COMPLAINTS: Duration = Duration::from_millis(100);

/// A program and its arguments, run without a shell, whose output is the key.
///
/// It gets no input and is killed at its time limit, or when nobody waits for it any more, on Unix together with the
/// programs that it started. So it has a process group of its own, and can't ask at the terminal. What it prints on its
/// standard error is never shown: it may repeat what it was given.
#[derive(Clone)]
pub(crate) struct KeyCommand {
    program: PathBuf,
    arguments: Vec<String>,
    limit: Duration,
    environment: Environment,
}

impl KeyCommand {
    /// Whether the same is run in the same way.
    pub(super) fn runs_as(&self, other: &Self) -> bool {
        let Self { program, arguments, limit: _, environment } = self;
        *program == other.program
            && *arguments == other.arguments
            && environment.has_same_files(&other.environment)
    }

    /// Whether it may take as long.
    pub(super) fn has_limit_of(&self, other: &Self) -> bool {
        self.limit == other.limit
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
        let has_ended = AtomicBool::new(false);
        match timeout(self.limit, self.run(&has_ended)).await {
            Ok(key) => key,
            Err(_) => Err(self.too_slow(has_ended.into_inner())),
        }
    }

    async fn run(&self, has_ended: &AtomicBool) -> Result<ApiKey> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // The future may be dropped at any time, by the limit or by whoever waits.
        command.kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        command.envs(self.environment.replaced());
        let mut child = command.spawn().map_err(|error| self.not_run(&error))?;
        let mut group = Group::led_by(&child);
        let (output, complaints) = (child.stdout.take(), child.stderr.take());
        let ended = async {
            let status = child.wait().await.map_err(|error| self.not_run(&error))?;
            // What it leaves running is meant to run on, as an agent does.
            group.let_go();
            has_ended.store(true, Ordering::Relaxed);
            Ok(status)
        };
        let complained = AtomicUsize::new(0);
        // Nobody else reads them, and the command would wait for a reader.
        let mut complaining = pin!(first_line(complaints, &complained).fuse());
        let answered = pin!(try_join(self.printed(output), ended));
        let ((printed, length), status) = match select(answered, complaining.as_mut()).await {
            Either::Left((answer, _)) => answer?,
            Either::Right(((), answered)) => answered.await?,
        };
        if !status.success() && !complaining.is_terminated() {
            let _ = timeout(REST_OF_COMPLAINTS, complaining).await;
        }
        let complained = complained.load(Ordering::Relaxed);
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

    fn too_slow(&self, has_ended: bool) -> Error {
        let seconds = self.limit.as_secs_f64();
        if has_ended {
            let what = format!(
                "gave no key within {seconds} s: it ended, and left something running that holds its output"
            );
            return self
                .failed(&what)
                .with_hint("let what it leaves running write elsewhere, such as >/dev/null");
        }
        self.failed(&format!("gave no key within {seconds} s and was stopped"))
            .with_hint("run it by hand: does it ask for something? give it more time with timeout = \"30s\"")
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
async fn first_line(complaints: Option<impl AsyncRead + Unpin>, length: &AtomicUsize) {
    let Some(mut complaints) = complaints else { return };
    let mut buffer = Zeroizing::new(vec![0; 4096]);
    let mut is_first = true;
    // Whatever keeps them from being read says nothing of the key.
    while let Ok(more @ 1..) = complaints.read(&mut buffer).await {
        let line = buffer.get(..more).unwrap_or_default();
        let end = line.iter().position(|byte| *byte == b'\n');
        if is_first {
            length.fetch_add(end.unwrap_or(more), Ordering::Relaxed);
        }
        is_first &= end.is_none();
    }
}

/// The programs that a command started, and itself: killed when this is dropped before it has ended. Elsewhere than on
/// Unix the command alone is killed, by tokio.
struct Group(#[cfg(unix)] Option<rustix::process::Pid>);

impl Group {
    #[cfg(unix)]
    fn led_by(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(rustix::process::Pid::from_raw))
    }

    #[cfg(not(unix))]
    fn led_by(_: &Child) -> Self {
        Self()
    }

    fn let_go(&mut self) {
        #[cfg(unix)]
        self.0.take();
    }
}

#[cfg(unix)]
impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0.take() {
            // It may have ended by itself just now.
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
        }
    }
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
    use std::path::Path;

    pub(in crate::keys) fn shell(script: &str, limit: Option<Duration>) -> KeyCommand {
        let arguments = vec!["-c".to_owned(), script.to_owned()];
        KeyCommand::new("sh".into(), arguments, limit, Environment::default())
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
            KeyCommand::new("/nowhere/op".into(), vec!["canary".to_owned()], None, Environment::default());
        let error = command.read().await.unwrap_err();
        assert_eq!(error.message(), "there is no key: the command `/nowhere/op` is not there");
        assert!(!format!("{command:?} {error:?}").contains("canary"));
    }

    #[tokio::test]
    async fn a_slow_command_is_stopped_at_its_limit() {
        let error = fails("sleep 600; echo canary", Some(Duration::from_millis(100))).await;
        assert_eq!(
            error.message(),
            "there is no key: the command `sh` gave no key within 0.1 s and was stopped"
        );
    }

    /// Waits until a file has had the same length for a while. On a slow machine one that is still written to may seem
    /// still, never the other way round.
    async fn stays_as_it_is(file: &Path) {
        let length = || std::fs::metadata(file).map(|found| found.len()).unwrap_or_default();
        for _ in 0..60 {
            let before = length();
            tokio::time::sleep(Duration::from_millis(500)).await;
            if length() == before {
                return;
            }
        }
        panic!("something goes on writing");
    }

    #[tokio::test]
    async fn a_command_that_nobody_waits_for_is_stopped_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let beat = folder.path().join("beat");
        let beats = format!("while :; do echo x >> {}; sleep 0.02; done", beat.display());
        for script in [format!("({beats}) & wait"), beats] {
            let command = shell(&script, Some(Duration::from_secs(600)));
            let begun = async {
                while !beat.exists() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            assert!(matches!(select(pin!(command.read()), pin!(begun)).await, Either::Right(_)));
            stays_as_it_is(&beat).await;
            std::fs::remove_file(&beat).unwrap();
        }
    }

    #[tokio::test]
    async fn what_a_command_leaves_running_does_not_hold_up_its_key() {
        let long = Some(Duration::from_secs(30));
        let key = shell("sleep 40 >/dev/null & echo $! >&2; echo sk-0123", long).read().await.unwrap();
        assert_eq!(key.expose(), "sk-0123");
        let error = fails("sleep 40 >/dev/null & echo canary >&2; exit 3", long).await;
        assert!(
            error.message().ends_with("ended with exit code 3 and said 6 characters (not shown)"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn what_a_command_leaves_holding_its_output_is_told() {
        let error = fails("sleep 20 & echo canary", Some(Duration::from_secs(2))).await;
        let expected = "there is no key: the command `sh` gave no key within 2 s: it ended, and left something running that holds its output";
        assert_eq!(error.message(), expected);
    }

    #[tokio::test]
    async fn a_command_gets_no_input_and_the_variables_that_stand_for_the_environment() {
        let environment = Environment::fixed([("VAULT_TOKEN".to_owned(), "sk-0123".to_owned())]);
        let arguments = vec!["-c".to_owned(), "cat; printf %s \"$VAULT_TOKEN\"".to_owned()];
        let command = KeyCommand::new("sh".into(), arguments, None, environment);
        assert_eq!(command.read().await.unwrap().expose(), "sk-0123");
    }
}
