//! What came of each case.

use std::fmt;

/// What came of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The provider keeps the promise.
    Passed,
    /// It doesn't: what was expected, and what was seen. The key is struck out of it.
    Failed(String),
    /// It was not tried, and why.
    Skipped(String),
}

/// One line of a [`Report`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row {
    /// The case's name, the same in all versions.
    pub name: &'static str,
    /// What the case holds a provider to.
    pub promise: &'static str,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a run, a row a case. `Display` is a table for a person.
#[derive(Clone, Debug)]
pub struct Report {
    provider: String,
    rows: Vec<Row>,
}

impl Report {
    pub(super) fn new(provider: String, rows: Vec<Row>) -> Self {
        Self { provider, rows }
    }

    /// All rows, in the order of the suite.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// What came of a case; `None` when the run had none of that name.
    pub fn outcome(&self, name: &str) -> Option<&Outcome> {
        self.rows.iter().find(|row| row.name == name).map(|row| &row.outcome)
    }

    /// The cases that failed, and why.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.rows.iter().filter_map(|row| match &row.outcome {
            Outcome::Failed(why) => Some((row.name, why.as_str())),
            Outcome::Passed | Outcome::Skipped(_) => None,
        })
    }

    /// The cases that were not tried, and why.
    pub fn skipped(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.rows.iter().filter_map(|row| match &row.outcome {
            Outcome::Skipped(why) => Some((row.name, why.as_str())),
            Outcome::Passed | Outcome::Failed(_) => None,
        })
    }

    /// How many passed.
    pub fn passed(&self) -> usize {
        self.rows.iter().filter(|row| row.outcome == Outcome::Passed).count()
    }

    /// Ends a test that has a failure, with all of them.
    ///
    /// # Panics
    /// When a case failed, or the run had none.
    #[expect(clippy::panic, reason = "a test fails loudly")]
    #[track_caller]
    pub fn assert_passed(&self) {
        if self.rows.is_empty() {
            panic!("no case of the contract was run over {}", self.provider);
        }
        if self.failures().next().is_some() {
            panic!("{} breaks the contract:\n{}", self.provider, Failures(self));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = self.failures().count();
        let skipped = self.skipped().count();
        writeln!(f, "{}: {} passed, {failed} failed, {skipped} skipped", self.provider, self.passed())?;
        for row in &self.rows {
            let (mark, why) = match &row.outcome {
                Outcome::Passed => ("ok", row.promise),
                Outcome::Failed(why) => ("FAILED", why.as_str()),
                Outcome::Skipped(why) => ("skipped", why.as_str()),
            };
            writeln!(f, "  {mark:<8} {:<32} {why}", row.name)?;
        }
        Ok(())
    }
}

/// Only what failed.
struct Failures<'a>(&'a Report);

impl fmt::Display for Failures<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.0.rows {
            if let Outcome::Failed(why) = &row.outcome {
                writeln!(f, "  {} ({}): {why}", row.name, row.promise)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let row = |name, outcome| Row { name, promise: "it is so", outcome };
        let rows = vec![
            row("a-passed", Outcome::Passed),
            row("a-failed", Outcome::Failed("it isn't".to_owned())),
            row("a-skipped", Outcome::Skipped("not declared".to_owned())),
        ];
        Report::new("mine".to_owned(), rows)
    }

    #[test]
    fn a_report_is_a_table_that_hides_nothing() {
        let shown = report().to_string();
        assert!(shown.starts_with("mine: 1 passed, 1 failed, 1 skipped\n"), "{shown}");
        for line in ["ok       a-passed", "FAILED   a-failed", "skipped  a-skipped"] {
            assert!(shown.contains(line), "{shown}");
        }
        assert_eq!(report().skipped().collect::<Vec<_>>(), [("a-skipped", "not declared")]);
        assert_eq!(report().outcome("no-such"), None);
    }

    #[test]
    #[should_panic(expected = "no case of the contract was run over mine")]
    fn a_run_of_nothing_proves_nothing() {
        Report::new("mine".to_owned(), Vec::new()).assert_passed();
    }

    #[test]
    #[should_panic(expected = "a-failed (it is so): it isn't")]
    fn a_failure_ends_the_test_and_says_why() {
        report().assert_passed();
    }
}
