//! Values of the configuration that may be written in several ways, each with a visitor of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{
    self, DeserializeOwned, Deserializer, IntoDeserializer, SeqAccess, Unexpected, Visitor,
    value::StrDeserializer,
};

/// Headers or parameters of the user's own. Their values may be anything, so only names are shown.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Hidden(pub(crate) BTreeMap<String, String>);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What a duration is said to be.
pub(crate) const DURATION: &str = "a duration with its unit in quotes, such as \"10s\" or \"5m\"";

/// `10s`, `5m`: a number alone doesn't say of what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Period(pub(crate) Duration);

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Period;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(DURATION)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                if let Ok(number) = text.trim().parse() {
                    return Err(E::invalid_value(Unexpected::Unsigned(number), &self));
                }
                humantime::parse_duration(text)
                    .map(Period)
                    .map_err(|_| E::invalid_value(Unexpected::Other("another text"), &self))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

/// What a limit says that it found when there is no time in it.
pub(crate) const NO_TIME: &str = "no time at all";

/// A time that something may take. With none nothing could be done.
pub(crate) fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Period>, D::Error> {
    let limit = Option::<Period>::deserialize(deserializer)?;
    match limit {
        Some(Period(Duration::ZERO)) => {
            Err(de::Error::invalid_value(Unexpected::Other(NO_TIME), &"a duration above 0"))
        }
        limit => Ok(limit),
    }
}

/// A number of at least one. As text too: that is what a variable holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Count(pub(crate) u32);

impl Count {
    fn of(number: u32) -> Option<Self> {
        (number > 0).then_some(Self(number))
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = |text: &str| text.trim().parse().ok().and_then(Self::of);
        whole(deserializer, "a whole number of at least 1", Self::of, read)
    }
}

/// `true` or `false`. As text too: that is what a variable holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Flag(pub(crate) bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Switch;
        impl Visitor<'_> for Switch {
            type Value = Flag;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true or false")
            }
            fn visit_bool<E: de::Error>(self, on: bool) -> Result<Self::Value, E> {
                Ok(Flag(on))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                text.trim()
                    .parse()
                    .map(Flag)
                    .map_err(|_| E::invalid_value(Unexpected::Other("another text"), &self))
            }
        }
        deserializer.deserialize_any(Switch)
    }
}

/// One of the words that a type is written with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Word<T>(pub(crate) T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<T>(std::marker::PhantomData<T>);
        impl<T: DeserializeOwned> Visitor<'_> for Text<T> {
            type Value = Word<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&one_of(words::<T>()))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                T::deserialize(text.trim().into_deserializer()).map(Word)
            }
        }
        deserializer.deserialize_any(Text(std::marker::PhantomData))
    }
}

/// `"a", "b" or "c"`
pub(crate) fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.as_slice() {
        [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        few => few.concat(),
    }
}

/// The words that a type without data is written with: it names them when it is given another.
fn words<T: DeserializeOwned>() -> &'static [&'static str] {
    #[derive(Debug)]
    struct Refusal(&'static [&'static str]);
    impl fmt::Display for Refusal {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("another word was wanted")
        }
    }
    impl std::error::Error for Refusal {}
    impl de::Error for Refusal {
        fn custom<M: fmt::Display>(_: M) -> Self {
            Self(&[])
        }
        fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
            Self(expected)
        }
    }
    T::deserialize(StrDeserializer::<Refusal>::new("")).err().map_or(&[], |Refusal(words)| words)
}

/// A list with something in it: what an empty one means, each reader guesses otherwise.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NotEmpty<T>(pub(crate) Vec<T>);

/// What the list's visitor says that it found.
pub(crate) const EMPTY_LIST: &str = "an empty list";

impl<'de, T: Deserialize<'de>> Deserialize<'de> for NotEmpty<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
            type Value = NotEmpty<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list with something in it, such as [\"a\", \"b\"]")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                if items.is_empty() {
                    return Err(de::Error::invalid_value(Unexpected::Other(EMPTY_LIST), &self));
                }
                Ok(NotEmpty(items))
            }
        }
        deserializer.deserialize_any(List(std::marker::PhantomData))
    }
}

/// Anything at all, for somebody else to read. It may hold anything, so it isn't shown.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Free(pub(crate) serde_json::Value);

impl fmt::Debug for Free {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("_")
    }
}

/// A whole number that `of` allows, as text too, which variables hold and `read` understands. Another is told with what was
/// expected.
pub(super) fn whole<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &'static str,
    of: fn(u32) -> Option<T>,
    read: fn(&str) -> Option<T>,
) -> Result<T, D::Error> {
    struct Whole<T> {
        expected: &'static str,
        of: fn(u32) -> Option<T>,
        read: fn(&str) -> Option<T>,
    }
    impl<T> Whole<T> {
        fn checked<E: de::Error>(&self, value: Option<T>) -> Result<T, E> {
            value.ok_or_else(|| E::invalid_value(Unexpected::Other("another value"), self))
        }
    }
    impl<T> Visitor<'_> for Whole<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.expected)
        }
        fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
            self.checked(u32::try_from(number).ok().and_then(self.of))
        }
        fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
            self.checked(u32::try_from(number).ok().and_then(self.of))
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            self.checked((self.read)(text))
        }
    }
    deserializer.deserialize_any(Whole { expected, of, read })
}

/// What stands in quotes, as `read` understands it. Another is told with what was expected.
pub(super) fn quoted<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &'static str,
    read: fn(&str) -> Option<T>,
) -> Result<T, D::Error> {
    struct Quoted<T> {
        expected: &'static str,
        read: fn(&str) -> Option<T>,
    }
    impl<T> Visitor<'_> for Quoted<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.expected)
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            (self.read)(text).ok_or_else(|| E::invalid_value(Unexpected::Other("another text"), &self))
        }
    }
    deserializer.deserialize_any(Quoted { expected, read })
}

/// A number that is allowed, as text too, which variables hold. Another is told with what was expected.
pub(super) fn number<'de, D: Deserializer<'de>>(
    deserializer: D,
    expected: &'static str,
    allows: fn(f64) -> bool,
) -> Result<f64, D::Error> {
    struct Number {
        expected: &'static str,
        allows: fn(f64) -> bool,
    }
    impl Number {
        fn checked<E: de::Error>(&self, number: Option<f64>) -> Result<f64, E> {
            let number = number.filter(|number| number.is_finite() && (self.allows)(*number));
            number.ok_or_else(|| E::invalid_value(Unexpected::Other("another value"), self))
        }
    }
    impl Visitor<'_> for Number {
        type Value = f64;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.expected)
        }
        fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
            self.checked(u32::try_from(number).ok().map(f64::from))
        }
        fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
            self.checked(u32::try_from(number).ok().map(f64::from))
        }
        fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
            self.checked(Some(number))
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            self.checked(text.trim().parse().ok())
        }
    }
    deserializer.deserialize_any(Number { expected, allows })
}
