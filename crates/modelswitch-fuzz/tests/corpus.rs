//! Every target over its corpus, and over changes of it that go by a seed: what fuzzing found stays found.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails loudly")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use modelswitch_fuzz::TARGETS;

/// What bytes are made into that mean something.
const WORDS: &[&str] = &[
    "\n",
    "\r\n",
    "\r",
    "\n\n",
    "data: ",
    "event: ping",
    "[DONE]",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\ud83d",
    "null",
    "1e400",
    "-0",
    "<think>",
    "</think>",
    "\0",
    "\u{feff}",
    "é",
    "\"error\":",
    "\"choices\":",
    "\"delta\":",
    "\"tool_calls\":",
    "\"index\":",
    "[providers.x]\n",
    "= ",
    "\"content\":",
    "\"role\":\"developer\"",
];

/// A small generator of Knuth's kind: a seed that fails fails again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end.max(1)
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn changed(all: &[Vec<u8>], one: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = one.to_vec();
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len() + 1);
        let end = (at + dice.below(12)).min(bytes.len());
        match dice.below(6) {
            0 if at < bytes.len() => bytes[at] = u8::try_from(dice.below(256)).unwrap(),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            3 => bytes.truncate(at),
            4 => {
                let other = &all[dice.below(all.len())];
                let from = dice.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => drop(bytes.splice(at..at, WORDS[dice.below(WORDS.len())].bytes())),
        }
    }
    bytes
}

#[track_caller]
fn run(name: &str, changes: usize) {
    let (_, target) = TARGETS.into_iter().find(|(other, _)| *other == name).unwrap();
    let all = corpus(name);
    assert!(!all.is_empty());
    let mut dice = Dice(7);
    for one in &all {
        let changed = (0..changes).map(|_| changed(&all, one, &mut dice));
        for input in std::iter::once(one.clone()).chain(changed) {
            if let Err(cause) = catch_unwind(AssertUnwindSafe(|| target(&input))) {
                eprintln!("input: {:?}", String::from_utf8_lossy(&input));
                resume_unwind(cause);
            }
        }
    }
}

#[test]
fn events_mean_the_same_however_their_bytes_are_split() {
    run("sse", 100);
}

#[test]
fn thoughts_are_told_apart_however_their_text_is_split() {
    run("thought", 100);
}

#[test]
fn any_failed_answer_is_an_error_that_says_no_secret() {
    run("error_body", 40);
}

#[test]
fn documents_are_what_serde_json_reads() {
    run("document", 60);
}

#[test]
fn requests_are_adapted_or_refused_and_changes_are_told() {
    run("request", 30);
}

#[test]
fn answers_are_decoded_or_errors_however_their_bytes_are_split() {
    run("answer", 30);
}

#[test]
fn any_text_is_a_configuration_or_an_error() {
    run("config", 4);
}

#[test]
fn each_target_has_a_program_and_a_corpus_that_is_small() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut size = 0;
    for (name, _) in TARGETS {
        assert!(folder.join("fuzz/targets").join(name).with_extension("rs").is_file(), "{name}");
        size += corpus(name).iter().map(Vec::len).sum::<usize>();
    }
    assert!(size < 150 << 10, "{size} bytes");
}
