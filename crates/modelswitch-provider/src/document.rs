use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::{Error, Result};

/// A JSON object that is parsed one level deep.
///
/// Its top-level members can be read and replaced; what is inside them stays the text it arrived as until somebody
/// asks. So a prompt of megabytes is scanned once and never rebuilt, and fields that nobody has heard of pass through
/// byte for byte. A clone shares everything.
///
/// Members keep their order. Where a name stands twice the last one counts, as in `serde_json`.
///
/// ```
/// use modelswitch_provider::Document;
///
/// let mut body = Document::parse(r#"{"model":"fast","messages":[{"role":"user","content":"hi"}],"new_field":1.50}"#)?;
/// assert_eq!(body.str("model").as_deref(), Some("fast"));
/// body.set("model", "deepseek-flash")?;
/// assert_eq!(body.get_raw("new_field"), Some("1.50"));
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone)]
pub struct Document {
    /// The text as it arrived, while nothing has been changed.
    source: Option<ByteString>,
    members: Arc<Vec<Member>>,
}

#[derive(Clone)]
struct Member {
    /// A clone of the members copies no names.
    name: Arc<str>,
    /// Valid JSON text: a slice of the source, or a value that was set.
    value: ByteString,
}

impl Document {
    /// An object without members.
    pub fn new() -> Self {
        Self { source: None, members: Arc::default() }
    }

    /// Reads a JSON object.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for text that is not a JSON object, with line and column,
    /// never with the text.
    pub fn parse(source: impl Into<Bytes>) -> Result<Self> {
        let source = source.into();
        // Of what is no text serde_json says where it ends to be one.
        let checked = ByteString::try_from(source.clone());
        let source =
            checked.map_err(|_| not_an_object(serde_json::from_slice::<Spans<'_>>(&source).err()))?;
        let Spans(spans) = serde_json::from_str(&source).map_err(|error| not_an_object(Some(error)))?;
        let member = |(name, text): (Cow<'_, str>, &RawValue)| Member {
            name: name.into(),
            value: source.slice_ref(text.get()),
        };
        let mut members: Vec<Member> = spans.into_iter().map(member).collect();
        let doubled = drop_doubled(&mut members);
        Ok(Self { source: (!doubled).then_some(source), members: Arc::new(members) })
    }

    /// Takes anything that serialises to a JSON object: a user's struct, `json!`, a type of async-openai.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) when it serialises to something else, or not at all.
    pub fn from_serialize(value: &(impl Serialize + ?Sized)) -> Result<Self> {
        Self::parse(to_json(value)?)
    }

    /// A member as the JSON text that it is.
    pub fn get_raw(&self, name: &str) -> Option<&str> {
        self.members.iter().find(|member| &*member.name == name).map(|member| &*member.value)
    }

    /// A member decoded; `None` when it is missing or `null`.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) naming the member, when it is not of the wanted type.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let Some(text) = self.get_raw(name) else { return Ok(None) };
        serde_json::from_str(text).map_err(|error| {
            // serde_json's own sentence would quote the value, which may be a prompt.
            Error::invalid_request(format!("`{name}` has the wrong type (column {})", error.column()))
        })
    }

    /// A member that is a string; `None` when it is missing or anything else.
    pub fn str(&self, name: &str) -> Option<Cow<'_, str>> {
        let text = self.get_raw(name)?;
        match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(plain) if memchr::memchr(b'\\', plain.as_bytes()).is_none() => Some(Cow::Borrowed(plain)),
            _ => serde_json::from_str(text).ok().map(Cow::Owned),
        }
    }

    /// A member that is `true` or `false`; `None` when it is missing or anything else.
    pub fn bool(&self, name: &str) -> Option<bool> {
        match self.get_raw(name)? {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// True when the member is there and not `null`.
    pub fn has(&self, name: &str) -> bool {
        self.get_raw(name).is_some_and(|text| text != "null")
    }

    /// Sets a member, in its place when it is there already, else at the end.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) when the value can't be serialised.
    pub fn set(&mut self, name: &str, value: impl Serialize) -> Result<()> {
        let value = serde_json::to_string(&value).map_err(|_| cannot_be_written())?;
        self.put(name, value.into());
        Ok(())
    }

    /// Sets a member to a text, which never fails.
    pub(crate) fn set_str(&mut self, name: &str, text: &str) {
        self.put(name, quoted(text).into());
    }

    /// Takes a member out, and says whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        if self.get_raw(name).is_none() {
            return false;
        }
        self.source = None;
        Arc::make_mut(&mut self.members).retain(|member| &*member.name != name);
        true
    }

    /// Gives a member another name; a member that has the new name already is replaced.
    /// Says whether there was something to rename.
    pub fn rename(&mut self, from: &str, to: &str) -> bool {
        let Some(value) =
            self.members.iter().find(|member| &*member.name == from).map(|member| member.value.clone())
        else {
            return false;
        };
        if from != to {
            self.remove(from);
            self.put(to, value);
        }
        true
    }

    /// The members in order, with the JSON text that they are.
    pub fn members(&self) -> impl Iterator<Item = (&str, &str)> {
        self.members.iter().map(|member| (&*member.name, &*member.value))
    }

    /// The names of the members, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| &*member.name)
    }

    /// Sets each member of `other` here.
    pub fn merge(&mut self, other: &Document) {
        for member in other.members.iter() {
            self.put(&member.name, member.value.clone());
        }
    }

    /// The object as JSON text. Unchanged documents give back the bytes they were read from, without a copy.
    pub fn to_bytes(&self) -> Bytes {
        if let Some(source) = &self.source {
            return source.as_bytes().clone();
        }
        let length =
            self.members.iter().map(|member| member.name.len() + member.value.len() + 6).sum::<usize>();
        let mut text = BytesMut::with_capacity(length + 2);
        text.put_u8(b'{');
        for (position, member) in self.members.iter().enumerate() {
            if position > 0 {
                text.put_u8(b',');
            }
            text.put_slice(quoted(&member.name).as_bytes());
            text.put_u8(b':');
            text.put_slice(member.value.as_bytes());
        }
        text.put_u8(b'}');
        text.freeze()
    }

    fn put(&mut self, name: &str, value: ByteString) {
        self.source = None;
        let members = Arc::make_mut(&mut self.members);
        match members.iter_mut().find(|member| &*member.name == name) {
            Some(member) => member.value = value,
            None => members.push(Member { name: name.into(), value }),
        }
    }
}

impl Default for Document {
    fn default() -> Self {
        Self::new()
    }
}

/// Names and sizes only: the values may be somebody's prompt.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(
                self.members
                    .iter()
                    .map(|member| (&member.name, format_args!("{} B", member.value.len()).to_string())),
            )
            .finish()
    }
}

impl Serialize for Document {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.members.iter().filter_map(|member| {
            let value: &RawValue = serde_json::from_str(&member.value).ok()?;
            Some((&*member.name, value))
        }))
    }
}

/// The top-level members as slices of the text that was read.
struct Spans<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Spans<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Spans<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut spans = Vec::with_capacity(12);
                while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    spans.push((name, value));
                }
                Ok(Spans(spans))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// `Cow<str>` alone would always be read as owned.
#[derive(Deserialize)]
pub(crate) struct Name<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// Keeps the last of members with one name, and says whether there were any such.
fn drop_doubled(members: &mut Vec<Member>) -> bool {
    // Requests have a dozen members, which are compared faster than hashed; somebody's answer may have a million.
    if members.len() <= FEW {
        let is_alone = |(place, one): (usize, &Member)| {
            members.iter().skip(place + 1).all(|later| later.name != one.name)
        };
        if members.iter().enumerate().all(is_alone) {
            return false;
        }
    }
    let mut seen = HashSet::with_capacity(members.len());
    let before = members.len();
    let keep: Vec<bool> = members.iter().rev().map(|member| seen.insert(member.name.clone())).collect();
    let mut keep = keep.into_iter().rev();
    members.retain(|_| keep.next().unwrap_or(true));
    members.len() != before
}

const FEW: usize = 24;

pub(crate) fn to_json(value: &(impl Serialize + ?Sized)) -> Result<Bytes> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|_| cannot_be_written())
}

fn cannot_be_written() -> Error {
    Error::invalid_request("the value can't be written as JSON")
}

/// Where it stops being one, and nothing of what is in it.
fn not_an_object(error: Option<serde_json::Error>) -> Error {
    let (line, column) = error.map_or((1, 0), |error| (error.line(), error.column()));
    Error::invalid_request(format!("the body is not a JSON object (line {line}, column {column})"))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn an_untouched_document_gives_back_its_own_bytes() {
        let source = Bytes::from_static(b"{ \"a\" : 1.50 , \"b\":\"\\u00e9\" }");
        let document = Document::parse(source.clone()).unwrap();
        assert_eq!(document.to_bytes().as_ptr(), source.as_ptr());
    }

    #[test]
    fn members_are_replaced_in_place_and_the_rest_stays_as_it_was_written() {
        let mut document = Document::parse(r#"{"a":1.50,"model":"x","z":[1, 2]}"#).unwrap();
        document.set("model", "y").unwrap();
        assert_eq!(document.to_bytes(), r#"{"a":1.50,"model":"y","z":[1, 2]}"#);
        assert!(document.remove("a"));
        assert!(document.rename("z", "list"));
        assert_eq!(document.to_bytes(), r#"{"model":"y","list":[1, 2]}"#);
    }

    #[test]
    fn the_last_of_doubled_members_counts() {
        let document = Document::parse(r#"{"a":1,"b":2,"a":3}"#).unwrap();
        assert_eq!(document.to_bytes(), r#"{"b":2,"a":3}"#);
    }

    #[test]
    fn names_with_escapes_are_compared_by_meaning() {
        let document = Document::parse(r#"{"mod\u0065l":"a\nb"}"#).unwrap();
        assert_eq!(document.str("model").as_deref(), Some("a\nb"));
    }

    #[test]
    fn text_that_is_no_object_is_refused_without_being_shown() {
        for text in ["", "[]", "\"hush\"", "{\"a\":hush}", "{\"a\":1} hush", "{\"a\":\u{1}}"] {
            let error = Document::parse(text).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::InvalidRequest);
            assert!(!error.report().contains("hush"), "{}", error.report());
        }
    }

    #[test]
    fn very_deep_nesting_neither_overflows_nor_fails() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200_000), "]".repeat(200_000));
        assert!(Document::parse(deep).is_ok());
    }

    #[test]
    fn debug_shows_no_values() {
        let document = Document::parse(r#"{"messages":"hush"}"#).unwrap();
        assert_eq!(format!("{document:?}"), r#"{"messages": "6 B"}"#);
    }

    proptest::proptest! {
        #[test]
        fn any_object_survives_the_way_through(keys in proptest::collection::vec(("[a-z\"\\\\é]{0,4}", 0i64..9), 0..8)) {
            let object: Value = keys.iter().map(|(k, v)| (k.clone(), json!({ "v": v }))).collect::<serde_json::Map<_, _>>().into();
            let mut document = Document::parse(object.to_string()).unwrap();
            proptest::prop_assert_eq!(&serde_json::from_slice::<Value>(&document.to_bytes()).unwrap(), &object);
            document.set("extra", 1).unwrap();
            document.remove("extra");
            if object.get("extra").is_none() {
                proptest::prop_assert_eq!(&serde_json::from_slice::<Value>(&document.to_bytes()).unwrap(), &object);
            }
        }
    }
}
