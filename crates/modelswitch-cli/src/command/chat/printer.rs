//! Where an answer goes as it comes: the text to one output, the reasoning to another.

use std::io::{self, IsTerminal, Write};

use indicatif::ProgressBar;

use crate::terminal::{DIM, clean, stderr, wheel};

/// Writes one answer after the other.
pub(super) struct Printer {
    answer: Box<dyn Write>,
    reasoning: Option<Box<dyn Write>>,
    /// Whether the answer must not steer what shows it.
    is_terminal: bool,
    wait: Option<ProgressBar>,
    place: Place,
}

/// How far the answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Before,
    Reasoning { ends_line: bool },
    Answer { ends_line: bool },
}

impl Printer {
    /// The answer to standard output as it is, the reasoning to standard error if it is wanted.
    pub(super) fn for_program(reasoning: bool) -> Self {
        // Not through the stream of styles: in a pipe an answer with escape sequences in it stays as it came.
        let reasoning = reasoning.then(|| Box::new(stderr()) as Box<dyn Write>);
        Self::to(Box::new(io::stdout()), reasoning, io::stdout().is_terminal())
    }

    /// To any outputs; `is_terminal` says whether the answer's could be steered by it.
    pub(super) fn to(answer: Box<dyn Write>, reasoning: Option<Box<dyn Write>>, is_terminal: bool) -> Self {
        Self { answer, reasoning, is_terminal, wait: None, place: Place::Before }
    }

    /// An answer is on its way.
    pub(super) fn begin(&mut self) {
        self.place = Place::Before;
        self.wait = Some(wheel("waiting"));
    }

    /// Some of the reasoning. Where it isn't wanted, a wheel shows that there is some.
    pub(super) fn reasoning(&mut self, text: &str) -> io::Result<()> {
        let Some(out) = &mut self.reasoning else {
            if let Some(wait) = &self.wait {
                wait.set_message("reasoning");
            }
            return Ok(());
        };
        if text.is_empty() {
            return Ok(());
        }
        stop(&mut self.wait);
        if self.place == Place::Before {
            writeln!(out, "{DIM}reasoning:{DIM:#}")?;
        }
        write!(out, "{DIM}{}{DIM:#}", clean(text))?;
        self.place = Place::Reasoning { ends_line: text.ends_with('\n') };
        out.flush()
    }

    /// Some of the answer.
    pub(super) fn answer(&mut self, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        stop(&mut self.wait);
        self.end_reasoning()?;
        if self.is_terminal {
            self.answer.write_all(clean(text).as_bytes())?;
        } else {
            self.answer.write_all(text.as_bytes())?;
        }
        self.place = Place::Answer { ends_line: text.ends_with('\n') };
        self.answer.flush()
    }

    /// The answer is complete: its last line is ended.
    pub(super) fn end(&mut self) -> io::Result<()> {
        stop(&mut self.wait);
        self.end_reasoning()?;
        if self.place != (Place::Answer { ends_line: true }) {
            writeln!(self.answer)?;
        }
        self.place = Place::Before;
        self.answer.flush()
    }

    /// Nothing more comes. What came stays as it is, but a message after it begins a line of its own.
    pub(super) fn break_off(&mut self) -> io::Result<()> {
        stop(&mut self.wait);
        self.end_reasoning()?;
        if self.is_terminal && self.place == (Place::Answer { ends_line: false }) {
            writeln!(self.answer)?;
        }
        self.place = Place::Before;
        self.answer.flush()
    }

    /// A blank line between the reasoning and what follows.
    fn end_reasoning(&mut self) -> io::Result<()> {
        if let (Place::Reasoning { ends_line }, Some(out)) = (self.place, &mut self.reasoning) {
            out.write_all(if ends_line { b"\n" } else { b"\n\n" })?;
            out.flush()?;
            self.place = Place::Before;
        }
        Ok(())
    }
}

fn stop(wait: &mut Option<ProgressBar>) {
    if let Some(wait) = wait.take() {
        wait.finish_and_clear();
    }
}
