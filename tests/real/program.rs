//! The program as a process, over servers that nobody here wrote.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::Server;

/// The program in a folder of its own with one server in its configuration; `None` where either isn't there.
struct Program {
    folder: TempDir,
    key: Option<String>,
}

impl Program {
    fn over(server: &str, profile: &str) -> Option<Self> {
        let server = Server::find(server, profile)?;
        std::env::var_os("REAL_PROGRAM")?;
        let folder = tempfile::tempdir().unwrap();
        let key = if server.key.is_some() { "api_key = { env = 'THE_KEY' }\n" } else { "" };
        let text = format!(
            "default = 'real/smol'\n[providers.real]\nprofile = '{profile}'\nbase_url = '{}/v1'\n{key}",
            server.address
        );
        std::fs::write(folder.path().join("modelswitch.toml"), text).unwrap();
        Some(Self { folder, key: server.key })
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with_key(arguments, self.key.as_deref())
    }

    fn run_with_key(&self, arguments: &[&str], key: Option<&str>) -> Outcome {
        let program = std::env::var_os("REAL_PROGRAM").unwrap();
        let mut command = Command::new(Path::new(&program));
        command.args(arguments).env_clear().current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("XDG_CACHE_HOME", self.folder.path());
        if let Some(key) = key {
            command.env("THE_KEY", key);
        }
        let outcome = Outcome::of(command.output().unwrap());
        let printed = format!("{}{}", outcome.out, outcome.err);
        assert!(!key.is_some_and(|key| printed.contains(key)), "the key is shown");
        outcome
    }
}

#[derive(Debug)]
struct Outcome {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Outcome {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    #[track_caller]
    fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }
}

#[test]
#[ignore = "needs real servers: run .ci/real-servers"]
fn the_program_checks_lists_and_chats() {
    let Some(program) = Program::over("llamacpp", "llamacpp") else { return };
    let report: Value = serde_json::from_str(&program.run(&["check", "--json"]).ends(0).out).unwrap();
    let stages = report[0]["stages"].as_array().unwrap();
    for name in ["reachable", "authorised", "models", "completion"] {
        let stage = stages.iter().find(|stage| stage["stage"] == name).unwrap();
        assert_eq!(stage["outcome"], "passed", "{stage}");
    }
    assert!(program.run(&["models"]).ends(0).out.contains("smol"));
    // Only the shortest of answers: the model may go on until its context is full.
    let answer = program.run(&["chat", "--system", "Answer with one word.", "Hello?"]).ends(0);
    assert!(!answer.out.trim().is_empty());
}

#[test]
#[ignore = "needs real servers: run .ci/real-servers"]
fn the_program_says_what_is_wrong_with_a_key() {
    let Some(program) = Program::over("llamacpp", "llamacpp") else { return };
    let refused = program.run_with_key(&["chat", "Hello?"], Some("sk-planted-and-refused")).ends(1);
    assert!(refused.out.is_empty() && refused.err.contains("key"), "{refused:#?}");
    program.run_with_key(&["check"], Some("sk-planted-and-refused")).ends(1);
}

#[test]
#[ignore = "needs real servers: run .ci/real-servers"]
fn the_program_shows_thoughts_apart_from_the_answer() {
    let Some(program) = Program::over("aimock", "openai-compatible") else { return };
    for more in [&["--reasoning"][..], &["--reasoning", "--no-stream"]] {
        let outcome = program.run(&[&["chat", "9.11 or 9.8, which is larger?"], more].concat()).ends(0);
        assert_eq!(outcome.out.trim(), "9.8 is the larger one.");
        assert!(outcome.err.contains("Nine tenths"), "{outcome:#?}");
    }
}

#[test]
#[ignore = "needs real servers: run .ci/real-servers"]
fn the_program_reads_a_dirty_upstream() {
    let Some(program) = Program::over("mock_llm", "openai-compatible") else { return };
    assert_eq!(program.run(&["chat", "a dirty upstream"]).ends(0).out.trim(), "a dirty upstream");
    assert_eq!(
        program.run(&["chat", "--no-stream", "a dirty upstream"]).ends(0).out.trim(),
        "a dirty upstream"
    );
    assert!(program.run(&["models"]).ends(0).out.contains("echo"));
}
