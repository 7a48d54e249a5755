//! How the program looks: a few styles, and what a terminal may be sent.

use std::borrow::Cow;
use std::io::{self, IsTerminal};
use std::time::Duration;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const NOTE: Style = AnsiColor::Yellow.on_default();
pub(crate) const NAME: Style = AnsiColor::Cyan.on_default();

/// Standard output; styles are taken out unless it is a terminal or `--color` says otherwise.
pub(crate) fn stdout() -> AutoStream<io::Stdout> {
    anstream::stdout()
}

/// Standard error, likewise.
pub(crate) fn stderr() -> AutoStream<io::Stderr> {
    anstream::stderr()
}

/// Whether a person sits before both outputs: only then are there progress and closing remarks.
pub(crate) fn is_watched() -> bool {
    io::stdout().is_terminal() && io::stderr().is_terminal()
}

/// A wheel's template: its time stands back where colour is wanted.
fn wheel_template(words: &str) -> String {
    let time = if ColorChoice::global() == ColorChoice::Never { "{elapsed}" } else { "{elapsed:.dim}" };
    format!("{{spinner}} {words} {time}")
}

/// A text of somebody else's without the control characters that could move the cursor, change the title or fill the
/// clipboard.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    let is_meant = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    if text.chars().all(is_meant) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().filter(|c| is_meant(*c)).collect())
}

/// The same on one line, for a table.
pub(crate) fn one_line(text: &str) -> String {
    clean(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A turning wheel with a word beside it; nothing unless somebody watches.
pub(crate) fn wheel(message: impl Into<Cow<'static, str>>) -> ProgressBar {
    if !is_watched() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner().with_message(message);
    if let Ok(style) = ProgressStyle::with_template(&wheel_template("{msg}")) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// A wheel for each of several things that happen at once; nothing unless somebody watches.
#[derive(Clone, Debug)]
pub(crate) struct Wheels {
    all: MultiProgress,
    each: Vec<(String, ProgressBar)>,
}

impl Wheels {
    pub(crate) fn new(names: &[String]) -> Self {
        let all = MultiProgress::new();
        if !is_watched() {
            return Self { all, each: Vec::new() };
        }
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
        let style = ProgressStyle::with_template(&wheel_template("{prefix} {msg}"));
        let wheel = |name: &String| {
            let bar = all.add(ProgressBar::new_spinner().with_prefix(format!("{:<width$}", one_line(name))));
            if let Ok(style) = &style {
                bar.set_style(style.clone());
            }
            bar.enable_steady_tick(Duration::from_millis(100));
            (name.clone(), bar)
        };
        let each = names.iter().map(wheel).collect();
        Self { all, each }
    }

    /// What one of them is doing now.
    pub(crate) fn say(&self, name: &str, word: &'static str) {
        if let Some(bar) = self.bar(name) {
            bar.set_message(word);
        }
    }

    /// One of them is done.
    pub(crate) fn stop(&self, name: &str) {
        if let Some(bar) = self.bar(name) {
            bar.finish_and_clear();
        }
    }

    /// Takes the wheels away while something is written.
    pub(crate) fn pause<T>(&self, write: impl FnOnce() -> T) -> T {
        if self.each.is_empty() { write() } else { self.all.suspend(write) }
    }

    /// Takes them away for good.
    pub(crate) fn clear(&self) {
        for (_, bar) in &self.each {
            bar.finish_and_clear();
        }
    }

    fn bar(&self, name: &str) -> Option<&ProgressBar> {
        self.each.iter().find(|(own, _)| own == name).map(|(_, bar)| bar)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_steer_the_terminal() {
        assert_eq!(clean("a\u{1b}]52;c;eA==\u{7}b\r\n\tc\u{9b}2J"), "a]52;c;eA==b\n\tc2J");
        assert_eq!(one_line("a\n  b\u{1b}[2J"), "a b[2J");
    }
}
