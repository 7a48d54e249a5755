//! Runs the program in an empty folder with an environment of the test's own.

use std::io::Write;
use std::process::{Command, Stdio};

use modelswitch_sim::{Personality, Sim};
use tempfile::TempDir;

/// An empty folder to run in, and the variables to run with.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    variables: Vec<(String, String)>,
}

/// What a run left.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Place {
    pub(crate) fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    /// With a simulated DeepSeek behind the usual variables.
    pub(crate) fn with_deepseek(sim: &Sim) -> Self {
        Self::empty().variable("DEEPSEEK_BASE_URL", sim.base_url()).variable("DEEPSEEK_API_KEY", sim.key())
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a `modelswitch.toml`.
    pub(crate) fn file(self, text: &str) -> Self {
        std::fs::write(self.folder.path().join("modelswitch.toml"), text).unwrap();
        self
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_modelswitch"));
        command.args(arguments).env_clear().current_dir(self.folder.path());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        // Windows finds its sockets through it.
        if let Some(root) = std::env::var_os("SystemRoot") {
            command.env("SystemRoot", root);
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with_input(arguments, "")
    }

    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> Outcome {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that reads nothing may be gone by now.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let outcome = Outcome {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        };
        self.shows_no_key(&outcome);
        outcome
    }

    /// Whatever a command does, it prints no key that it was given.
    #[track_caller]
    fn shows_no_key(&self, outcome: &Outcome) {
        for (name, key) in self.variables.iter().filter(|(name, key)| name.contains("KEY") && key.len() > 4) {
            assert!(
                !outcome.out.contains(key.as_str()) && !outcome.err.contains(key.as_str()),
                "${name} is shown"
            );
        }
    }
}

impl Outcome {
    /// The output of a run that ended in this way and put no escape sequence into a pipe.
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        assert!(!self.out.contains('\u{1b}') && !self.err.contains('\u{1b}'), "{self:#?}");
        self
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

pub(crate) async fn plain_sim() -> Sim {
    Sim::builder().personality(Personality::OpenAi).start().await.unwrap()
}
