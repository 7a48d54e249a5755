//! What async-openai can't decode and an answer can do without is set aside.

use modelswitch_provider::{Error, Result};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::{Path, Segment};

/// Each round takes a member away, and reads the answer anew: four for each of the most choices that are told apart.
const MOST_ROUNDS: usize = 4 * super::seen::MOST_CHOICES;
/// Of an answer that takes long to read a few are set aside: whoever sends a large one that is wrong everywhere must not keep
/// a core busy for minutes.
const LEAST_ROUNDS: usize = 8;
/// Values that are looked at in all rounds together: about a second's work.
const MOST_VALUES: usize = 10_000_000;

/// Makes a value one that async-openai decodes. A member that doesn't fit goes on under the name `native_…`, where
/// nobody stumbles over it and whoever knows the service still finds it; the members in `essential` never do.
///
/// # Errors
/// [`Decode`](modelswitch_provider::ErrorKind::Decode) with the path of what doesn't fit.
pub(super) fn fit<T: DeserializeOwned>(value: &mut Value, essential: &[&str], what: &str) -> Result<()> {
    // What is set aside stays in it, so one look is enough.
    let by_text = has_huge_number(value);
    let Err(mut error) = read::<T>(value, by_text) else { return Ok(()) };
    for _ in 0..rounds(values(value)) {
        if !set_aside(value, error.path(), essential) {
            return Err(at(what, &error));
        }
        match read::<T>(value, by_text) {
            Ok(()) => return Ok(()),
            Err(next) => error = next,
        }
    }
    Err(at(what, &error))
}

fn rounds(values: usize) -> usize {
    (MOST_VALUES / values.max(1)).clamp(LEAST_ROUNDS, MOST_ROUNDS)
}

/// How many values there are in one.
fn values(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(values).sum::<usize>() + 1,
        Value::Object(members) => members.values().map(values).sum::<usize>() + 1,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}

/// Decodes a value, by its text where it has a number beyond an `f32`: a value is decoded to an infinite one, and a text isn't.
fn read<T: DeserializeOwned>(
    value: &Value,
    by_text: bool,
) -> Result<(), serde_path_to_error::Error<serde_json::Error>> {
    if !by_text {
        return serde_path_to_error::deserialize::<_, T>(value).map(drop);
    }
    let text = value.to_string();
    serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_str(&text)).map(drop)
}

fn has_huge_number(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64().is_some_and(|number| number.abs() > f64::from(f32::MAX)),
        Value::Array(items) => items.iter().any(has_huge_number),
        Value::Object(members) => members.values().any(has_huge_number),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

fn at(what: &str, error: &serde_path_to_error::Error<serde_json::Error>) -> Error {
    Error::decode_json(&format!("{what} (at `{}`)", error.path()), error.inner())
}

/// Follows the path down to the first member that isn't essential. False when there is none.
fn set_aside(value: &mut Value, path: &Path, essential: &[&str]) -> bool {
    let mut place = value;
    let mut names = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Map { key } => {
                if !names.is_empty() {
                    names.push('.');
                }
                names.push_str(key);
                let Some(members) = place.as_object_mut() else { return false };
                if !essential.contains(&names.as_str()) {
                    return rename(members, key);
                }
                let Some(member) = members.get_mut(key) else { return false };
                place = member;
            }
            Segment::Seq { index } => {
                let Some(item) = place.get_mut(*index) else { return false };
                place = item;
            }
            Segment::Enum { .. } | Segment::Unknown => return false,
        }
    }
    false
}

fn rename(members: &mut Map<String, Value>, name: &str) -> bool {
    let Some(value) = members.remove(name) else { return false };
    members.insert(format!("native_{name}"), value);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Deserialize)]
    struct Outer {
        #[expect(dead_code, reason = "it is only decoded")]
        list: Vec<Inner>,
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "it is only decoded")]
    struct Inner {
        text: String,
        extra: Option<u32>,
    }

    #[test]
    fn what_doesnt_fit_in_each_of_the_most_choices_is_set_aside() {
        let item = json!({"text":"a","extra":"b"});
        let mut value = json!({"list":vec![item; super::super::seen::MOST_CHOICES]});
        assert!(fit::<Outer>(&mut value, &["list", "list.text"], "it").is_ok());
    }

    #[test]
    fn a_large_answer_that_is_wrong_everywhere_is_given_up_and_a_small_one_is_not() {
        assert_eq!(values(&json!({"list":[{"text":"a"}, null]})), 5);
        assert_eq!((rounds(0), rounds(1_000), rounds(usize::MAX)), (MOST_ROUNDS, MOST_ROUNDS, LEAST_ROUNDS));
        let filler = vec![0; MOST_VALUES / LEAST_ROUNDS];
        let mut value =
            json!({"filler":filler,"list":vec![json!({"text":"a","extra":"b"}); LEAST_ROUNDS + 1]});
        let error = fit::<Outer>(&mut value, &["list", "list.text"], "it").unwrap_err();
        assert!(error.message().contains(&format!("list[{LEAST_ROUNDS}].extra")), "{error}");
    }

    #[test]
    fn what_can_be_done_without_is_set_aside_and_what_cannot_is_named() {
        let essential = ["list", "list.text"];
        let mut value = json!({"list":[{"text":"a","extra":"b"}]});
        assert!(fit::<Outer>(&mut value, &essential, "it").is_ok());
        assert_eq!(value, json!({"list":[{"text":"a","native_extra":"b"}]}));

        // Not `Outer`'s affair, but a text can't hold it and a value can.
        assert!(
            fit::<f32>(&mut json!(1e300), &[], "it").is_err()
                && fit::<f64>(&mut json!(1e300), &[], "it").is_ok()
        );

        let mut value = json!({"list":[{"text":"a"},{"text":7}]});
        let error = fit::<Outer>(&mut value, &essential, "it").unwrap_err();
        assert!(error.message().contains("list[1].text"), "{error}");
        assert!(!error.message().contains("line"), "{error}");
    }
}
