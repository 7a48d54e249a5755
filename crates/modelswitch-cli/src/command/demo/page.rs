//! How the demonstration looks.

use std::io::{self, Write};

use anstream::AutoStream;

use crate::terminal::{BAD, BOLD, DIM, GOOD, NAME, NOTE, clean, stdout};

/// Paper to write the demonstration on.
pub(super) struct Page {
    out: AutoStream<io::Stdout>,
    number: u32,
}

impl Page {
    pub(super) fn new() -> Self {
        Self { out: stdout(), number: 0 }
    }

    pub(super) fn title(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{BOLD}{text}{BOLD:#}")
    }

    /// What a person must not miss.
    pub(super) fn notice(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{NOTE}{}{NOTE:#}", clean(text))
    }

    pub(super) fn heading(&mut self, text: &str) -> io::Result<()> {
        self.number += 1;
        writeln!(self.out, "\n{BOLD}{}. {}{BOLD:#}", self.number, clean(text))
    }

    /// Lines of a program or a file, comments dimmed.
    pub(super) fn code(&mut self, lines: &[&str]) -> io::Result<()> {
        for line in lines {
            let line = clean(line);
            let comment = line.find(" // ").or_else(|| line.find(" # "));
            let (code, comment) = line.split_at(comment.unwrap_or(line.len()));
            match (code, comment) {
                ("", "") => writeln!(self.out)?,
                _ => writeln!(self.out, "     {code}{DIM}{comment}{DIM:#}")?,
            }
        }
        Ok(())
    }

    /// The line of the configuration that counts, and what it was before.
    pub(super) fn setting(&mut self, before: Option<&str>, now: &str) -> io::Result<()> {
        let line = |target: &str| format!("{} = {:?}", super::services::ALIAS, clean(target));
        match before {
            Some(before) => {
                writeln!(self.out, "   {BAD}- {}{BAD:#}", line(before))?;
                writeln!(self.out, "   {GOOD}+ {}{GOOD:#}", line(now))
            }
            None => writeln!(self.out, "     {}", line(now)),
        }
    }

    pub(super) fn question(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "   {NAME}>{NAME:#} {text}")?;
        self.out.flush()
    }

    pub(super) fn answer(&mut self, text: &str) -> io::Result<()> {
        for line in clean(text).lines() {
            writeln!(self.out, "     {line}")?;
        }
        Ok(())
    }

    /// An answer that comes in parts.
    pub(super) fn parts(&mut self) -> Parts<'_> {
        let width = if self.out.is_terminal() { WIDTH } else { usize::MAX };
        Parts { out: &mut self.out, now: None, column: 0, width }
    }

    pub(super) fn remark(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "     {DIM}{}{DIM:#}", clean(text))
    }

    pub(super) fn error(&mut self, message: &str, hint: &str) -> io::Result<()> {
        writeln!(self.out, "     {BAD}error:{BAD:#} {}", clean(message))?;
        for line in clean(hint).lines() {
            writeln!(self.out, "       {NOTE}{line}{NOTE:#}")?;
        }
        Ok(())
    }

    pub(super) fn step(&mut self, command: &str, what_for: &str) -> io::Result<()> {
        let width = command.chars().count();
        let gap = " ".repeat(30_usize.saturating_sub(width).max(2));
        writeln!(self.out, "     {NAME}{command}{NAME:#}{gap}{DIM}{what_for}{DIM:#}")
    }
}

/// Where a stream's lines are broken on a terminal, which would do it inside a word and without the margin.
const WIDTH: usize = 80;

/// Reasoning and answer as they come.
pub(super) struct Parts<'a> {
    out: &'a mut AutoStream<io::Stdout>,
    now: Option<Part>,
    column: usize,
    width: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Reasoning,
    Answer,
}

impl Parts<'_> {
    pub(super) fn reasoning(&mut self, text: &str) -> io::Result<()> {
        self.turn_to(Part::Reasoning)?;
        let text = self.fitted(text);
        write!(self.out, "{DIM}{text}{DIM:#}")?;
        self.out.flush()
    }

    pub(super) fn answer(&mut self, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.turn_to(Part::Answer)?;
        let text = self.fitted(text);
        write!(self.out, "{text}")?;
        self.out.flush()
    }

    pub(super) fn end(self) -> io::Result<()> {
        if self.now.is_some() {
            writeln!(self.out)?;
        }
        Ok(())
    }

    fn turn_to(&mut self, part: Part) -> io::Result<()> {
        if self.now == Some(part) {
            return Ok(());
        }
        if self.now.is_some() {
            writeln!(self.out)?;
        }
        self.now = Some(part);
        let name = match part {
            Part::Reasoning => "reasoning: ",
            Part::Answer => "answer:    ",
        };
        self.column = MARGIN.len();
        write!(self.out, "     {DIM}{name}{DIM:#}")
    }

    /// The text with its lines broken before words, and each begun at the margin.
    fn fitted(&mut self, text: &str) -> String {
        let mut fitted = String::new();
        for word in clean(text).split_inclusive([' ', '\n']) {
            let starts_word = fitted.ends_with(' ');
            let length = word.trim_end().chars().count();
            if starts_word && self.column.saturating_add(length) > self.width {
                fitted.push('\n');
                fitted.push_str(MARGIN);
                self.column = MARGIN.len();
            }
            fitted.push_str(word.trim_end_matches('\n'));
            self.column += word.chars().count();
            if word.ends_with('\n') {
                fitted.push('\n');
                fitted.push_str(MARGIN);
                self.column = MARGIN.len();
            }
        }
        fitted
    }
}

/// As wide as the names before the parts.
const MARGIN: &str = "                ";
