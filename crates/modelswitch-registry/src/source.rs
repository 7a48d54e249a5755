//! The configuration file: where it is found, and which line and column each setting stands in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use modelswitch_provider::{Error, Result};
use toml::Table;
use toml::de::{DeTable, DeValue};

use crate::environment::Environment;
use crate::mistake::{Mistake, Place, none_of};

const NAME: &str = "modelswitch.toml";
/// Names the file in place of the usual ones.
const VARIABLE: &str = "MODELSWITCH_CONFIG";

/// A configuration text that was read: its settings, and where each of them stands.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: Option<Arc<Path>>,
    pub(crate) table: Table,
    places: BTreeMap<Vec<String>, Place>,
}

impl Source {
    /// Reads a file that somebody named: that it is missing is an error.
    pub(crate) fn file(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            let (what, hint) = match error.kind() {
                std::io::ErrorKind::NotFound => ("there is no such file", "name a file that exists"),
                std::io::ErrorKind::PermissionDenied => {
                    ("this process may not read it", "let this process read the file")
                }
                std::io::ErrorKind::InvalidData => ("it is not UTF-8 text", "save the file as UTF-8"),
                _ => ("it can't be read", "name a file that can be read"),
            };
            Error::config(format!("the configuration file {}: {what}", path.display())).with_hint(hint)
        })?;
        Self::parse(&text, Some(path.into()))
    }

    /// Reads a text that stands for a file.
    pub(crate) fn text(text: &str) -> Result<Self> {
        Self::parse(text, None)
    }

    /// Where a setting stands.
    pub(crate) fn place(&self, path: &[String]) -> Option<&Place> {
        self.places.get(path)
    }

    fn parse(text: &str, path: Option<Arc<Path>>) -> Result<Self> {
        let place = |offset: usize| {
            let (line, column) = line_and_column(text, offset);
            Place::File { path: path.clone(), line, column }
        };
        let spans = match DeTable::parse_recoverable(text) {
            (spans, errors) if errors.is_empty() => spans,
            (_, errors) => {
                // One unclosed quote makes many errors; the first is the one that tells.
                let mistakes = errors.iter().take(1).map(|error| syntax_error(error, &place)).collect();
                return none_of(mistakes).and(Err(Error::config("the configuration is not valid TOML")));
            }
        };
        let mut places = BTreeMap::new();
        locate(spans.get_ref(), &mut Vec::new(), &mut |path, offset| {
            places.insert(path.to_vec(), place(offset));
        });
        let mut table: Table = match toml::from_str(text) {
            Ok(table) => table,
            Err(error) => {
                return none_of(vec![syntax_error(&error, &place)])
                    .and(Err(Error::config("the configuration is not valid TOML")));
            }
        };
        table.iter_mut().for_each(|(_, value)| dates_as_text(value));
        Ok(Self { path, table, places })
    }
}

/// The file that is meant when code names none.
///
/// # Errors
/// `MODELSWITCH_CONFIG` names a file that can't be read.
pub(crate) fn find(environment: &Environment) -> Result<Option<Source>> {
    if let Some(path) = environment.get(VARIABLE) {
        return Source::file(Path::new(&path)).map(Some).map_err(|error| {
            // Only a missing or unreadable file is the variable's fault; a mistake in it is the file's.
            if Path::new(&path).is_file() {
                return error;
            }
            Error::config(format!("${VARIABLE}: {}", error.message()))
                .with_hint(format!("set {VARIABLE} to a file that exists, or unset it"))
        });
    }
    let found = usual_places(environment).into_iter().find(|path| path.is_file());
    found.map(|path| Source::file(&path)).transpose()
}

/// The files that [`find`] would read, of which the first that is there counts.
pub(crate) fn candidates(environment: &Environment) -> Vec<PathBuf> {
    match environment.get(VARIABLE) {
        Some(path) => vec![path.into()],
        None => usual_places(environment),
    }
}

fn usual_places(environment: &Environment) -> Vec<PathBuf> {
    let folder = |variable: &str| environment.get(variable).map(PathBuf::from);
    let own = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")));
    let windows = if cfg!(windows) { folder("APPDATA") } else { None };
    let folders = own.into_iter().chain(windows).map(|folder| folder.join("modelswitch").join(NAME));
    std::iter::once(PathBuf::from(NAME)).chain(folders).collect()
}

/// A dotted path as TOML writes keys, `models."gpt-4.1"`, taken apart.
pub(crate) fn split_path(path: &str) -> Option<Vec<String>> {
    let mut table: Table = toml::from_str(&format!("{path} = 0")).ok()?;
    let mut keys = Vec::new();
    loop {
        let mut entries = std::mem::take(&mut table).into_iter();
        let ((key, value), None) = (entries.next()?, entries.next()) else { return None };
        keys.push(key);
        match value {
            toml::Value::Table(inner) => table = inner,
            _ => return Some(keys),
        }
    }
}

/// The parser's messages are fixed sentences about TOML; the text itself is in its `Display` only, which stays unused.
fn syntax_error(error: &toml::de::Error, place: &impl Fn(usize) -> Place) -> Mistake {
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
    Mistake::new(error.span().map(|span| place(span.start)), what, hint)
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

fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_knows_its_line_and_column() {
        let source = Source::text("a = 1\n[b.'c d']\n  e = [1,\n    2]\n").unwrap();
        let place = |path: &[&str]| {
            source.place(&path.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>()).cloned()
        };
        let at = |line, column| Some(Place::File { path: None, line, column });
        assert_eq!(place(&["a"]), at(1, 1));
        assert_eq!(place(&["b", "c d"]), at(2, 4));
        assert_eq!(place(&["b", "c d", "e"]), at(3, 3));
        assert_eq!(place(&["b", "c d", "e", "1"]), at(4, 5));
    }

    #[test]
    fn a_path_is_written_as_in_the_file() {
        assert_eq!(split_path(r#"models."gpt-4.1""#).unwrap(), ["models", "gpt-4.1"]);
        assert_eq!(split_path("default").unwrap(), ["default"]);
        for wrong in ["", "a.", "a b", "a = 1\nb"] {
            assert!(split_path(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_text_that_is_no_toml_is_refused_without_being_shown() {
        let canary = "sk-canary0123456789";
        for text in [
            format!("default = {canary}"),
            format!("default = \"{canary}"),
            canary.to_owned(),
            format!("[providers.{canary}"),
            format!("a = \"{canary}\" \"{canary}\""),
            format!("{canary} = 1\n{canary} = 2"),
            format!("a.b = 1\na.b.{canary} = 2"),
            format!("a = 0x{canary}"),
            format!("a = 99999999999999999999999 # {canary}"),
            format!("a = \"\\q{canary}\""),
        ] {
            let error = Source::text(&text).unwrap_err();
            let shown = format!("{error} {error:?} {}", error.report());
            assert!(!shown.contains("canary"), "{shown}");
            assert!(shown.contains("line "), "{shown}");
        }
    }
}
