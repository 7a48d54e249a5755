//! TOML: the settings of a text, and the offset that each stands at.

use toml::Table;
use toml::de::{DeTable, DeValue};

use super::{Flaw, Parsed, Position};

/// # Errors
/// The first thing that isn't TOML, in words that don't repeat the text.
pub(super) fn parse(text: &str) -> Result<Parsed, Flaw> {
    let spans = match DeTable::parse_recoverable(text) {
        (spans, errors) if errors.is_empty() => spans,
        // One unclosed quote makes many errors; the first is the one that tells.
        (spans, errors) => match errors.first() {
            Some(error) => return Err(flaw(error)),
            None => spans,
        },
    };
    let mut places = Vec::new();
    locate(spans.get_ref(), &mut Vec::new(), &mut |path, offset| {
        places.push((path.to_vec(), Position::Offset(offset)));
    });
    let mut table: Table = toml::from_str(text).map_err(|error| flaw(&error))?;
    table.iter_mut().for_each(|(_, value)| dates_as_text(value));
    Ok(Parsed { table, places })
}

/// The parser's messages are fixed sentences about TOML; the text itself is in its `Display` only, which stays unused.
fn flaw(error: &toml::de::Error) -> Flaw {
    let what = format!("this is not valid TOML: {}", error.message());
    let hint = match error.message() {
        message if message.starts_with("string values must be quoted") => {
            "put the value in quotes: name = \"value\""
        }
        message if message.starts_with("duplicate key") => {
            "a name may stand once in a section: take one of the two out"
        }
        _ => "mend the line; a setting is written name = \"value\"",
    };
    Flaw { position: error.span().map(|span| Position::Offset(span.start)), what, hint }
}

fn locate(table: &DeTable<'_>, path: &mut Vec<String>, found: &mut impl FnMut(&[String], usize)) {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        found(path, key.span().start);
        locate_value(value.get_ref(), path, found);
        path.pop();
    }
}

fn locate_value(value: &DeValue<'_>, path: &mut Vec<String>, found: &mut impl FnMut(&[String], usize)) {
    match value {
        DeValue::Table(table) => locate(table, path, found),
        DeValue::Array(items) => {
            for (position, item) in items.iter().enumerate() {
                path.push(position.to_string());
                found(path, item.span().start);
                locate_value(item.get_ref(), path, found);
                path.pop();
            }
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => {}
    }
}

/// Nothing here is a date, and serde would show one as a table of the TOML crate's own.
fn dates_as_text(value: &mut toml::Value) {
    match value {
        toml::Value::Datetime(date) => *value = toml::Value::String(date.to_string()),
        toml::Value::Array(items) => items.iter_mut().for_each(dates_as_text),
        toml::Value::Table(table) => table.iter_mut().for_each(|(_, value)| dates_as_text(value)),
        toml::Value::String(_)
        | toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_) => {}
    }
}
