//! From and to the structs of others: async-openai's of any version, `json!`, a user's own.

use serde::{Deserialize, Deserializer};

use crate::Error;

impl Error {
    /// A [`Decode`](crate::ErrorKind::Decode) error that says what was expected and where, but not what was there:
    /// serde_json quotes the values that it can't read, and those are answers or prompts.
    pub fn decode_json(what: &str, error: &serde_json::Error) -> Self {
        Self::decode(format!("{what} can't be read: {}", reason(error)))
    }
}

/// serde_json's sentence without the values in it.
pub(crate) fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // Only names of our own stand between backticks after these words; values stand before `expected`.
    let what = if text.starts_with("missing field") || text.starts_with("EOF") {
        text.split(" at line").next().unwrap_or_default().to_owned()
    } else if let Some((_, expected)) = text.rsplit_once("expected ") {
        format!("expected {}", expected.split(" at line").next().unwrap_or_default())
    } else if error.is_syntax() {
        "it is not valid JSON".to_owned()
    } else {
        "a value has the wrong type".to_owned()
    };
    match error.line() {
        // It wasn't read from a text.
        0 => what,
        line => format!("{what} (line {line}, column {})", error.column()),
    }
}

/// The two conversions, as methods of a view.
macro_rules! wire {
    ($($view:ty),+) => {$(
        impl $view {
            /// Reads anything that serialises to the same JSON: a struct of async-openai, `json!`, one of your own.
            /// Fields that have no place here are kept in `extra`.
            ///
            /// # Errors
            /// [`Decode`](crate::ErrorKind::Decode) when the JSON is of another shape.
            pub fn from_wire(value: &(impl serde::Serialize + ?Sized)) -> crate::Result<Self> {
                serde_json::to_value(value)
                    .and_then(serde_json::from_value)
                    .map_err(|error| crate::Error::decode_json(stringify!($view), &error))
            }

            /// Writes it as anything that deserialises from the same JSON.
            ///
            /// # Errors
            /// [`Decode`](crate::ErrorKind::Decode) when that type wants another shape.
            pub fn to_wire<T: serde::de::DeserializeOwned>(&self) -> crate::Result<T> {
                serde_json::to_value(self)
                    .and_then(serde_json::from_value)
                    .map_err(|error| crate::Error::decode_json(stringify!($view), &error))
            }
        }
    )+};
}
pub(crate) use wire;

/// Reads a view whose members that have no field go to `extra`. Of a name that stands twice the last counts.
///
/// `#[serde(flatten)]` would do the same and read every member into a value of serde's first, which costs a chunk as much
/// as all the rest of its decoding.
macro_rules! lossless {
    ($view:ident { $($name:literal => $field:ident: $reader:ident),+ $(,)? }) => {
        impl<'de> serde::Deserialize<'de> for $view {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
                struct Members;
                impl<'de> serde::de::Visitor<'de> for Members {
                    type Value = $view;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!("struct ", stringify!($view)))
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> std::result::Result<$view, A::Error> {
                        let mut view = $view::default();
                        while let Some(name) = map.next_key::<crate::document::Name<'de>>()? {
                            match &*name.0 {
                                $($name => view.$field = map.next_value::<crate::wire::$reader<_>>()?.0,)+
                                _ => {
                                    let value = map.next_value()?;
                                    view.extra.insert(name.0.into_owned(), value);
                                }
                            }
                        }
                        Ok(view)
                    }
                }
                deserializer.deserialize_map(Members)
            }
        }
    };
}
pub(crate) use lossless;

/// A member that means nothing when it is `null`.
pub(crate) struct OrNull<T>(pub(crate) T);

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for OrNull<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Option::deserialize(deserializer)?.unwrap_or_default()))
    }
}

/// A member that is of its type, or wrong.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Always<T>(pub(crate) T);

/// An enum of strings that keeps the strings it has never heard of.
macro_rules! open_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(from = "String", into = "String")]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
            /// Something that has no name here, kept as it is.
            Other(String),
        }

        impl $name {
            /// The word on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Other(text) => text,
                }
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                match text.as_str() {
                    $($text => Self::$variant,)+
                    _ => Self::Other(text),
                }
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                match value {
                    $name::Other(text) => text,
                    named => named.as_str().to_owned(),
                }
            }
        }
    };
}
pub(crate) use open_enum;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_member_that_stands_twice_the_last_counts_in_a_view_as_in_a_document() {
        let text = r#"{"model":"a","choices":[{"delta":{"content":"x","content":"y"}}],"extra":1,"model":"b","extra":2}"#;
        let chunk: crate::ChatChunk = serde_json::from_str(text).unwrap();
        assert_eq!((chunk.model.as_str(), chunk.text(), &chunk.extra["extra"]), ("b", "y", &2.into()));
        let document = crate::Document::parse(text).unwrap();
        assert_eq!((document.str("model").as_deref(), document.get_raw("extra")), (Some("b"), Some("2")));
    }

    #[test]
    fn a_decode_error_never_quotes_the_value() {
        #[derive(serde::Deserialize, Debug)]
        #[allow(dead_code, reason = "only read by serde")]
        struct Wanted {
            number: u32,
            kind: Kind,
        }
        #[derive(serde::Deserialize, Debug)]
        enum Kind {
            A,
        }
        for text in [
            r#"{"number":"hush"}"#,
            r#"{"number":1,"kind":"hush"}"#,
            r#"{"number":1,"kind":"hush, expected `hush"}"#,
            r#"{"number":hush}"#,
            r#"{"number":-5}"#,
        ] {
            let error = serde_json::from_str::<Wanted>(text).unwrap_err();
            assert!(!reason(&error).contains("hush"), "{}", reason(&error));
        }
        let missing = serde_json::from_str::<Wanted>("{}").unwrap_err();
        assert!(reason(&missing).contains("missing field `number`"));
        assert!(reason(&missing).contains("line 1"));
        let _ = Kind::A;
    }

    #[test]
    fn a_decode_error_names_a_line_only_where_there_is_one() {
        let error = serde_json::from_value::<u32>(serde_json::json!("x")).unwrap_err();
        assert_eq!(reason(&error), "expected u32");
    }
}
