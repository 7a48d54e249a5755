//! Tables as Markdown, so that what the run prints is what the README shows.

/// A table: a title, heads of columns, and rows with a name first.
#[derive(Clone, Debug)]
pub struct Table {
    title: String,
    heads: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(title: impl Into<String>, heads: &[&str]) -> Self {
        Self {
            title: title.into(),
            heads: heads.iter().map(|head| (*head).to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "\n**{}**\n\n| {} |", self.title, self.heads.join(" | "))?;
        writeln!(f, "|---|{}", "--:|".repeat(self.heads.len().saturating_sub(1)))?;
        self.rows.iter().try_for_each(|row| writeln!(f, "| {} |", row.join(" | ")))
    }
}

/// A number with as many places as one can tell apart, and spaces between thousands.
///
/// ```
/// use modelswitch_bench::table::number;
///
/// assert_eq!(["0.95", "3.1", "41", "12 340"], [0.951, 3.14, 41.2, 12_340.4].map(number).each_ref().map(String::as_str));
/// ```
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size < 1.0 => format!("{value:.2}"),
        size if size < 20.0 => format!("{value:.1}"),
        _ => spaced(&format!("{value:.0}")),
    }
}

fn spaced(digits: &str) -> String {
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}
