//! YAML: the settings of a text, and the line that each stands in.
//!
//! By `saphyr`, which tells where each node stands, refuses a key that stands twice and aliases that expand without end,
//! and reads YAML 1.2: `on` and `no` are texts.

use saphyr::{LoadableYamlNode, MarkedYaml, Marker, Scalar, YamlData};
use toml::{Table, Value};

use super::{Flaw, Parsed, Position, is_section};

/// # Errors
/// The first thing that isn't YAML, or isn't meant, in words that don't repeat the text.
pub(super) fn parse(text: &str) -> Result<Parsed, Flaw> {
    let documents = MarkedYaml::load_from_str(text).map_err(|error| Flaw {
        position: Some(position(error.marker())),
        // The parser's words are fixed sentences about YAML, with at most one character of the text.
        what: format!("this is not valid YAML: {}", error.info()),
        hint: "mend the line; sections are indented by spaces, and a text with a colon or hash is put in quotes",
    })?;
    let mut places = Vec::new();
    let table = match documents.as_slice() {
        [] => Table::new(),
        [only] => match &only.data {
            YamlData::Mapping(_) => match value(only, &mut Vec::new(), &mut places)? {
                Some(Value::Table(table)) => table,
                _ => Table::new(),
            },
            YamlData::Value(Scalar::Null) => Table::new(),
            _ => {
                return Err(Flaw {
                    position: Some(position(&only.span.start)),
                    what: "the configuration must be a mapping".to_owned(),
                    hint: "write `providers:` and the providers below it",
                });
            }
        },
        [_, second, ..] => {
            return Err(Flaw {
                position: Some(position(&second.span.start)),
                what: "a second document begins here".to_owned(),
                hint: "write one document in a file; `profile:` has sections for environments",
            });
        }
    };
    Ok(Parsed { table, places })
}

type Places = Vec<(Vec<String>, Position)>;

/// `None` for what is not set.
fn value(node: &MarkedYaml<'_>, path: &mut Vec<String>, places: &mut Places) -> Result<Option<Value>, Flaw> {
    let at = || Some(position(&node.span.start));
    Ok(Some(match &node.data {
        YamlData::Value(Scalar::Null) if is_section(path) => Value::Table(Table::new()),
        YamlData::Value(Scalar::Null) => return Ok(None),
        YamlData::Value(Scalar::Boolean(on)) => Value::Boolean(*on),
        YamlData::Value(Scalar::Integer(number)) => Value::Integer(*number),
        YamlData::Value(Scalar::FloatingPoint(number)) => Value::Float(number.into_inner()),
        YamlData::Value(Scalar::String(text)) => Value::String(text.to_string()),
        YamlData::Sequence(items) => {
            let mut list = Vec::new();
            for (number, item) in items.iter().enumerate() {
                path.push(number.to_string());
                places.push((path.clone(), position(&item.span.start)));
                list.extend(value(item, path, places)?);
                path.pop();
            }
            Value::Array(list)
        }
        YamlData::Mapping(members) => {
            let mut table = Table::new();
            for (name, member) in members {
                let at = position(&name.span.start);
                path.push(name_of(name)?);
                places.push((path.clone(), at));
                if let Some(value) = value(member, path, places)? {
                    table.insert(path.last().cloned().unwrap_or_default(), value);
                }
                path.pop();
            }
            Value::Table(table)
        }
        YamlData::Tagged(_, node) => return value(node, path, places),
        YamlData::Representation(..) | YamlData::Alias(_) | YamlData::BadValue => {
            return Err(Flaw {
                position: at(),
                what: "this value can't be read".to_owned(),
                hint: "write a text, a number, true or false, a list or a mapping",
            });
        }
    }))
}

/// A model may be called `4.1`: a name is its text, whatever else it looks like.
fn name_of(node: &MarkedYaml<'_>) -> Result<String, Flaw> {
    match &node.data {
        YamlData::Value(Scalar::String(text)) => Ok(text.to_string()),
        YamlData::Value(Scalar::Integer(number)) => Ok(number.to_string()),
        YamlData::Value(Scalar::FloatingPoint(number)) => Ok(number.to_string()),
        YamlData::Value(Scalar::Boolean(on)) => Ok(on.to_string()),
        _ => Err(Flaw {
            position: Some(position(&node.span.start)),
            what: "the name of a setting must be a text".to_owned(),
            hint: "put the name in quotes",
        }),
    }
}

fn position(marker: &Marker) -> Position {
    Position::At { line: marker.line(), column: marker.col() + 1 }
}
