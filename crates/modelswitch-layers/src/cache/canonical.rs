//! One text for whatever JSON says the same.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Number;
use sha2::{Digest, Sha256};

use super::key::Key;

/// A JSON value that borrows what it can: a prompt of megabytes is not copied to be read.
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    /// Sorted by name, each once.
    Members(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// Values one after the other, each with its kind and its length, so that no two lists of values read the same.
#[derive(Default)]
pub(super) struct Canonical(Vec<u8>);

impl Canonical {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub(super) fn value(&mut self, value: &Json<'_>) {
        match value {
            Json::Null => self.0.push(b'n'),
            Json::Bool(true) => self.0.push(b't'),
            Json::Bool(false) => self.0.push(b'f'),
            Json::Number(number) => self.sized(b'0', number.to_string().as_bytes()),
            Json::Text(text) => self.text(text),
            Json::List(items) => {
                self.count(b'[', items.len());
                items.iter().for_each(|item| self.value(item));
            }
            Json::Members(members) => {
                self.count(b'{', members.len());
                for (name, value) in members {
                    self.text(name);
                    self.value(value);
                }
            }
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        self.sized(b'"', text.as_bytes());
    }

    /// Whoever could make two questions with one hash would get one's answer for the other.
    pub(super) fn hash(&self) -> Key {
        Sha256::digest(&self.0).into()
    }

    fn sized(&mut self, kind: u8, bytes: &[u8]) {
        self.count(kind, bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// Seven bits a byte, the last byte without its highest: most lengths are short, and every byte is hashed.
    fn count(&mut self, kind: u8, mut count: usize) {
        self.0.push(kind);
        while count > 0x7F {
            self.0.push(u8::try_from(count & 0x7F).unwrap_or_default() | 0x80);
            count >>= 7;
        }
        self.0.push(u8::try_from(count).unwrap_or_default());
    }
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members: Vec<(Cow<'de, str>, Json<'de>)> = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            members.push((name, map.next_value()?));
        }
        // Of a name that stands twice the last one counts, as everywhere here.
        members.reverse();
        members.sort_by(|(a, _), (b, _)| a.cmp(b));
        members.dedup_by(|(later, _), (first, _)| later == first);
        Ok(Json::Members(members))
    }
}

/// `Cow<str>` alone would always be read as owned.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn canonical(json: &str) -> Vec<u8> {
        let mut text = Canonical::default();
        text.value(&serde_json::from_str(json).unwrap());
        text.0
    }

    #[test]
    fn the_last_of_doubled_members_counts() {
        assert_eq!(canonical(r#"{"a":1,"b":2,"a":3}"#), canonical(r#"{"b":2,"a":3}"#));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-3_i64..3).prop_map(Value::from),
            (-3_i64..3).prop_map(|number| Value::from(number as f64 / 2.0)),
            "[a\"\\\\é]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[ab]{0,2}", inner, 0..3)
                    .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn two_texts_are_one_exactly_when_they_say_the_same(a in any_json(), b in any_json()) {
            let pretty = serde_json::to_string_pretty(&a).unwrap();
            prop_assert_eq!(canonical(&a.to_string()), canonical(&pretty));
            prop_assert_eq!(canonical(&a.to_string()) == canonical(&b.to_string()), a == b);
        }
    }
}
