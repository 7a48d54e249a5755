//! The configuration file: where it is found, and which line and column each setting stands in.

#[cfg(feature = "json")]
mod json;
mod toml;
#[cfg(feature = "yaml")]
mod yaml;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::toml::Table;
use modelswitch_provider::{Error, Result};

use crate::environment::Environment;
use crate::mistake::{Mistake, Place, Wrong, shown_path};

/// The names that are looked for, the first one first.
const NAMES: [&str; 4] = ["modelswitch.toml", "modelswitch.yaml", "modelswitch.yml", "modelswitch.json"];
/// Names the file in place of the usual ones.
const VARIABLE: &str = "MODELSWITCH_CONFIG";

/// A configuration text that was read: its settings, and where each of them stands.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: Option<Arc<Path>>,
    pub(crate) table: Table,
    places: BTreeMap<Vec<String>, Place>,
    pub(crate) warnings: Vec<String>,
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
            Error::config(format!("the configuration file {}: {what}", shown_path(path))).with_hint(hint)
        })?;
        Self::parse(&text, Format::of(path)?, Some(path.into()))
    }

    /// Reads a text that stands for a file.
    pub(crate) fn text(text: &str) -> Result<Self> {
        Self::parse(text, Format::Toml, None)
    }

    /// Where a setting stands.
    pub(crate) fn place(&self, path: &[String]) -> Option<&Place> {
        self.places.get(path)
    }

    fn parse(text: &str, format: Format, path: Option<Arc<Path>>) -> Result<Self> {
        // Editors of one system begin a file with a mark that is none of it.
        let text = text.trim_start_matches('\u{feff}');
        let place = |position: Position| {
            let (line, column) = match position {
                Position::Offset(offset) => line_and_column(text, offset),
                Position::At { line, column } => (line, column),
            };
            Place::File { path: path.clone(), line, column, section: None }
        };
        let parsed = match format {
            Format::Toml => toml::parse(text),
            #[cfg(feature = "yaml")]
            Format::Yaml => yaml::parse(text),
            #[cfg(feature = "json")]
            Format::Json => json::parse(text),
        };
        let Parsed { mut table, places } = match parsed {
            Ok(parsed) => parsed,
            Err(_)
                if format != Format::Toml && text.parse::<Table>().is_ok_and(|table| !table.is_empty()) =>
            {
                let what = "this is TOML, and the file's ending says otherwise";
                let mistake = Mistake::new(Some(place(Position::Offset(0))), what, "end its name in .toml");
                return Err(Wrong::Mistakes(vec![mistake]).into());
            }
            Err(Flaw { position, what, hint }) => {
                let mistake = Mistake::new(position.map(place), what, hint);
                return Err(Wrong::Mistakes(vec![mistake]).into());
            }
        };
        // What editors are told of the file's schema is nothing for us.
        table.remove("$schema");
        let places = places.into_iter().map(|(path, position)| (path, place(position))).collect();
        Ok(Self { path, table, places, warnings: Vec::new() })
    }
}

/// What a file is written in, by its ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Toml,
    #[cfg(feature = "yaml")]
    Yaml,
    #[cfg(feature = "json")]
    Json,
}

impl Format {
    /// # Errors
    /// What this build can't read.
    fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
        match ending.as_str() {
            #[cfg(feature = "yaml")]
            "yaml" | "yml" => Ok(Self::Yaml),
            #[cfg(not(feature = "yaml"))]
            "yaml" | "yml" => Err(not_compiled_in(path, "YAML", "yaml")),
            #[cfg(feature = "json")]
            "json" => Ok(Self::Json),
            #[cfg(not(feature = "json"))]
            "json" => Err(not_compiled_in(path, "JSON", "json")),
            // Where no ending says otherwise: secret stores mount files under whatever name.
            _ => Ok(Self::Toml),
        }
    }
}

#[cfg(not(all(feature = "yaml", feature = "json")))]
fn not_compiled_in(path: &Path, language: &str, feature: &str) -> Error {
    Error::config(format!("the configuration file {}: this build reads no {language}", shown_path(path)))
        .with_hint(format!("build with the feature `{feature}` of modelswitch, or write TOML"))
}

/// The settings of a text, and where each of them stands.
struct Parsed {
    table: Table,
    places: Vec<(Vec<String>, Position)>,
}

/// What makes a text unreadable, in words that don't repeat it.
struct Flaw {
    position: Option<Position>,
    what: String,
    hint: &'static str,
}

/// A place in a text, as its parser tells it.
#[derive(Clone, Copy)]
#[cfg_attr(
    not(any(feature = "yaml", feature = "json")),
    expect(dead_code, reason = "TOML's parser tells offsets")
)]
enum Position {
    /// In bytes from the beginning.
    Offset(usize),
    /// Counted from one.
    At { line: usize, column: usize },
}

/// True for a section that may be written with nothing in it, as YAML and JSON have it: there it isn't "not set".
#[cfg(any(feature = "yaml", feature = "json"))]
fn is_section(path: &[String]) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["profile", _, rest @ ..] if !rest.is_empty() => {
            matches!(
                rest,
                ["providers" | "models" | "profiles" | "retry" | "timeout" | "log"]
                    | ["providers" | "profiles", _]
            )
        }
        ["providers" | "models" | "profiles" | "profile" | "retry" | "timeout" | "log"] => true,
        ["providers" | "profiles" | "profile", _] => true,
        _ => false,
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
    let Some(folder) = usual_folders(environment).into_iter().find(|folder| !files_in(folder).is_empty())
    else {
        return Ok(None);
    };
    let files = files_in(&folder);
    let Some((first, others)) = files.split_first() else { return Ok(None) };
    let mut source = Source::file(first)?;
    source.warnings = others
        .iter()
        .map(|other| format!("{} is not read: {} stands beside it", other.display(), first.display()))
        .collect();
    Ok(Some(source))
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    paths_in(folder).filter(|path| path.is_file()).collect()
}

fn paths_in(folder: &Path) -> impl Iterator<Item = PathBuf> + '_ {
    NAMES.iter().map(|name| folder.join(name))
}

/// The files that [`find`] would read, of which the first that is there counts.
pub(crate) fn candidates(environment: &Environment) -> Vec<PathBuf> {
    match environment.get(VARIABLE) {
        Some(path) => vec![path.into()],
        None => usual_folders(environment).iter().flat_map(|folder| paths_in(folder)).collect(),
    }
}

fn usual_folders(environment: &Environment) -> Vec<PathBuf> {
    let folder = |variable: &str| environment.get(variable).map(PathBuf::from);
    let own = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")));
    let windows = if cfg!(windows) { folder("APPDATA") } else { None };
    let folders = own.into_iter().chain(windows).map(|folder| folder.join("modelswitch"));
    std::iter::once(PathBuf::new()).chain(folders).collect()
}

/// A dotted path as TOML writes keys, `models."gpt-4.1"`, taken apart.
pub(crate) fn split_path(path: &str) -> Option<Vec<String>> {
    let mut table: Table = ::toml::from_str(&format!("{path} = 0")).ok()?;
    let mut keys = Vec::new();
    loop {
        let mut entries = std::mem::take(&mut table).into_iter();
        let ((key, value), None) = (entries.next()?, entries.next()) else { return None };
        keys.push(key);
        match value {
            ::toml::Value::Table(inner) => table = inner,
            _ => return Some(keys),
        }
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
        let at = |line, column| Some(Place::File { path: None, line, column, section: None });
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
