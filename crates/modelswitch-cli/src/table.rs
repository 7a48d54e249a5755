//! Tables: plain columns that `grep` and `cut` can work with, headings bold on a terminal.

use std::io::{self, Write};

use comfy_table::{Attribute, Cell, ContentArrangement, Table, presets};

use crate::terminal::{one_line, stdout};

/// Writes rows under headings. In a pipe each row is one line, however long.
pub(crate) fn write<const N: usize>(headings: [&str; N], rows: Vec<[String; N]>) -> io::Result<()> {
    let headings = headings.map(str::to_owned).to_vec();
    write_lines(std::iter::once(headings).chain(rows.into_iter().map(Vec::from)).collect())
}

/// The same for as many columns as the first line has, which are the headings.
pub(crate) fn write_lines(lines: Vec<Vec<String>>) -> io::Result<()> {
    let mut lines = lines.into_iter();
    let headings = lines.next().unwrap_or_default();
    let mut out = stdout();
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if out.is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    // Whether the bold headings come through is for the stream to decide.
    table.enforce_styling().style_text_only();
    table.set_header(headings.iter().map(|heading| Cell::new(heading).add_attribute(Attribute::Bold)));
    for row in lines {
        table.add_row(row.iter().map(|cell| Cell::new(one_line(cell))));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    out.flush()
}
