//! JSON: the settings of a text, and the offset that each value stands at.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use toml::{Table, Value};

use super::{Flaw, Parsed, Position, is_section};

/// # Errors
/// The first thing that isn't JSON, or isn't meant, in words that don't repeat the text.
pub(super) fn parse(text: &str) -> Result<Parsed, Flaw> {
    // Reads all of it once, and refuses what is nested too deeply.
    let whole: serde_json::Value = serde_json::from_str(text).map_err(|error| {
        let at = Position::At { line: error.line(), column: error.column().max(1) };
        let shown = error.to_string();
        let why = shown.split(" at line ").next().unwrap_or_default();
        Flaw {
            position: Some(at),
            what: format!("this is not valid JSON: {why}"),
            hint: "mend the line; JSON has no comments, and no comma before a closing bracket",
        }
    })?;
    if !whole.is_object() {
        return Err(Flaw {
            position: Some(Position::At { line: 1, column: 1 }),
            what: "the configuration must be a JSON object".to_owned(),
            hint: "write { \"providers\": { … } }",
        });
    }
    let mut reading = Reading { text, places: Vec::new() };
    let table = reading.table(text, &mut Vec::new())?;
    Ok(Parsed { table, places: reading.places })
}

struct Reading<'a> {
    text: &'a str,
    places: Vec<(Vec<String>, Position)>,
}

impl Reading<'_> {
    fn table(&mut self, object: &str, path: &mut Vec<String>) -> Result<Table, Flaw> {
        let Members(members) = serde_json::from_str(object).map_err(|_| unreadable(None))?;
        let mut table = Table::new();
        for (name, value) in members {
            path.push(name.clone());
            let position = self.position(value.get());
            self.places.push((path.clone(), position));
            if table.contains_key(&name) {
                return Err(Flaw {
                    position: Some(position),
                    what: "this name stands twice in one object".to_owned(),
                    hint: "take one of the two out",
                });
            }
            if let Some(value) = self.value(value.get(), path)? {
                table.insert(name, value);
            }
            path.pop();
        }
        Ok(table)
    }

    /// `None` for what is not set.
    fn value(&mut self, text: &str, path: &mut Vec<String>) -> Result<Option<Value>, Flaw> {
        let unreadable = || unreadable(Some(self.position(text)));
        Ok(Some(match text.as_bytes().first() {
            Some(b'{') => Value::Table(self.table(text, path)?),
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| unreadable())?;
                let mut list = Vec::new();
                for (number, item) in items.into_iter().enumerate() {
                    path.push(number.to_string());
                    self.places.push((path.clone(), self.position(item.get())));
                    list.extend(self.value(item.get(), path)?);
                    path.pop();
                }
                Value::Array(list)
            }
            Some(b'"') => Value::String(serde_json::from_str(text).map_err(|_| unreadable())?),
            Some(b't') => Value::Boolean(true),
            Some(b'f') => Value::Boolean(false),
            Some(b'n') if is_section(path) => Value::Table(Table::new()),
            Some(b'n') => return Ok(None),
            _ => match (text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(number), _) => Value::Integer(number),
                (_, Ok(number)) => Value::Float(number),
                _ => return Err(unreadable()),
            },
        }))
    }

    /// Where a part of the text stands in it.
    fn position(&self, part: &str) -> Position {
        Position::Offset((part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize))
    }
}

fn unreadable(position: Option<Position>) -> Flaw {
    Flaw {
        position,
        what: "this can't be read".to_owned(),
        hint: "compare it with the documentation's example",
    }
}

/// The members of an object, each with its text.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(All)
    }
}
