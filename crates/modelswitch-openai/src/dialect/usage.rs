//! The tokens of a call in one shape, wherever a service counts them.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::look::Object;
use super::repair::count;

/// The three counts, with the total computed where it is missing, and of them what came from a cache and what was
/// reasoning, where OpenAI has it. Taken out when there is nothing in it. What the service said stays beside.
pub(super) fn repair(object: &mut Map<String, Value>) {
    fetch(object);
    let Some(usage) = object.get_mut("usage") else { return };
    let Some(counts) = usage.as_object_mut() else {
        *usage = Value::Null;
        return;
    };
    let read = |names: &[&str]| names.iter().find_map(|name| counts.get(*name).and_then(count));
    let prompt = read(&["prompt_tokens", "input_tokens", "prompt_eval_count"]);
    let completion = read(&["completion_tokens", "output_tokens", "eval_count"]);
    let total = read(&["total_tokens", "total"]);
    if prompt.is_none() && completion.is_none() && total.is_none() {
        *usage = Value::Null;
        return;
    }
    let prompt = prompt.unwrap_or_else(|| total.unwrap_or(0).saturating_sub(completion.unwrap_or(0)));
    let completion = completion.unwrap_or_else(|| total.unwrap_or(0).saturating_sub(prompt));
    counts.insert("prompt_tokens".to_owned(), prompt.into());
    counts.insert("completion_tokens".to_owned(), completion.into());
    counts.insert("total_tokens".to_owned(), total.unwrap_or(prompt.saturating_add(completion)).into());
    repair_details(counts, "prompt_tokens_details", "cached_tokens", &CACHED);
    repair_details(counts, "completion_tokens_details", "reasoning_tokens", &REASONING);
}

/// Where services say what came from the cache: a group of the usage, or the usage itself, and the name in it.
const CACHED: [(&str, &str); 6] = [
    ("", "prompt_cache_hit_tokens"),
    ("", "cached_tokens"),
    ("", "cache_read_input_tokens"),
    ("", "num_cached_tokens"),
    ("input_tokens_details", "cached_tokens"),
    ("prompt_tokens_details", "cache_read_tokens"),
];
const REASONING: [(&str, &str); 3] = [
    ("", "reasoning_tokens"),
    ("output_tokens_details", "reasoning_tokens"),
    ("completion_tokens_details", "thinking_tokens"),
];

/// Groq counts in a member of its own while it streams.
fn fetch(object: &mut Map<String, Value>) {
    if object.get("usage").is_some_and(Value::is_object) {
        return;
    }
    if let Some(usage @ Value::Object(_)) = object.get("x_groq").and_then(|own| own.get("usage")) {
        let usage = usage.clone();
        object.insert("usage".to_owned(), usage);
    }
}

fn find(counts: &Map<String, Value>, (group, name): (&str, &str)) -> Option<u32> {
    let holder = if group.is_empty() { counts } else { counts.get(group)?.as_object()? };
    count(holder.get(name)?)
}

fn repair_details(counts: &mut Map<String, Value>, group: &str, name: &str, places: &[(&str, &str)]) {
    let elsewhere = places.iter().find_map(|place| find(counts, *place));
    if counts.get(group).is_some_and(|details| !details.is_object()) {
        counts.remove(group);
    }
    if let Some(number) = elsewhere {
        let details = counts.entry(group).or_insert_with(|| Value::Object(Map::new()));
        if details.get(name).and_then(count).is_none()
            && let Some(details) = details.as_object_mut()
        {
            details.insert(name.to_owned(), number.into());
        }
    }
    if let Some(Value::Object(details)) = counts.get_mut(group) {
        details.retain(|_, value| match count(value) {
            Some(number) => {
                *value = number.into();
                true
            }
            // Nothing that counts tokens is anything else.
            None => value.is_null() || value.is_object(),
        });
        details.retain(|name, value| !value.is_object() || !TYPED.contains(&name.as_str()));
    }
}

/// Counts that async-openai has a field for.
const TYPED: [&str; 9] = [
    "cached_tokens",
    "reasoning_tokens",
    "audio_tokens",
    "text_tokens",
    "image_tokens",
    "cache_write_tokens",
    "accepted_prediction_tokens",
    "rejected_prediction_tokens",
    "thinking_tokens",
];

/// As much of a usage as tells whether it is in shape.
#[derive(Deserialize)]
pub(super) struct Look {
    prompt_tokens: u32,
    completion_tokens: u32,
    total_tokens: u32,
    #[serde(default)]
    prompt_tokens_details: Option<Object<Details>>,
    #[serde(default)]
    completion_tokens_details: Option<Object<Details>>,
    #[serde(default)]
    prompt_cache_hit_tokens: Option<IgnoredAny>,
    #[serde(default)]
    cached_tokens: Option<IgnoredAny>,
    #[serde(default)]
    cache_read_input_tokens: Option<IgnoredAny>,
    #[serde(default)]
    num_cached_tokens: Option<IgnoredAny>,
    #[serde(default)]
    reasoning_tokens: Option<IgnoredAny>,
    #[serde(default)]
    input_tokens_details: Option<IgnoredAny>,
    #[serde(default)]
    output_tokens_details: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default, rename = "cached_tokens")]
    cached: Option<u32>,
    #[serde(default, rename = "reasoning_tokens")]
    reasoning: Option<u32>,
    #[serde(default, rename = "audio_tokens")]
    _audio: Option<u32>,
    #[serde(default, rename = "accepted_prediction_tokens")]
    _accepted: Option<u32>,
    #[serde(default, rename = "rejected_prediction_tokens")]
    _rejected: Option<u32>,
    #[serde(default, rename = "text_tokens")]
    _text: Option<i64>,
    #[serde(default, rename = "image_tokens")]
    _image: Option<i64>,
    #[serde(default, rename = "cache_write_tokens")]
    _written: Option<i64>,
    #[serde(default, rename = "cache_read_tokens")]
    read: Option<IgnoredAny>,
    #[serde(default, rename = "thinking_tokens")]
    thought: Option<IgnoredAny>,
}

impl Look {
    /// Of the request, of the answer, of both.
    pub(super) fn counts(&self) -> (u32, u32, u32) {
        (self.prompt_tokens, self.completion_tokens, self.total_tokens)
    }

    /// True when nothing is said elsewhere that OpenAI's own places don't say.
    pub(super) fn is_in_shape(&self) -> bool {
        let asked = self.prompt_tokens_details.as_ref().map(|details| &details.0);
        let said = self.completion_tokens_details.as_ref().map(|details| &details.0);
        let cached_elsewhere = [
            &self.prompt_cache_hit_tokens,
            &self.cached_tokens,
            &self.cache_read_input_tokens,
            &self.num_cached_tokens,
            &self.input_tokens_details,
        ];
        let is_cached_elsewhere = cached_elsewhere.iter().any(|place| place.is_some())
            || asked.is_some_and(|asked| asked.read.is_some());
        let is_thought_elsewhere = self.reasoning_tokens.is_some()
            || self.output_tokens_details.is_some()
            || said.is_some_and(|said| said.thought.is_some());
        (!is_cached_elsewhere || asked.is_some_and(|asked| asked.cached.is_some()))
            && (!is_thought_elsewhere || said.is_some_and(|said| said.reasoning.is_some()))
    }
}

/// What follows the last member of this name, its quotes included. Inside of a text they would be escaped, and a text of
/// its own has no colon after it.
pub(super) fn last_member<'a>(body: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut before = body;
    while let Some(at) = memchr::memmem::rfind(before, name) {
        let rest = body.get(at + name.len()..)?.trim_ascii_start();
        if let Some(rest) = rest.strip_prefix(b":") {
            return Some(rest);
        }
        before = body.get(..at)?;
    }
    None
}

/// True when the usage of a body, found without reading the rest, is in shape or isn't there.
pub(super) fn is_in_shape(body: &[u8]) -> bool {
    let Some(rest) = last_member(body, b"\"usage\"") else { return true };
    let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<Option<Object<Look>>>();
    values
        .next()
        .is_some_and(|usage| usage.is_ok_and(|usage| usage.is_none_or(|usage| usage.0.is_in_shape())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_counted_in_another_place_is_never_in_shape() {
        for ((group, name), ours) in CACHED
            .into_iter()
            .map(|place| (place, "/prompt_tokens_details/cached_tokens"))
            .chain(REASONING.into_iter().map(|place| (place, "/completion_tokens_details/reasoning_tokens")))
        {
            let mut usage = json!({"prompt_tokens":9,"completion_tokens":9,"total_tokens":18});
            if group.is_empty() {
                usage[name] = 5.into();
            } else {
                usage[group] = json!({ name: 5 });
            }
            assert!(!is_in_shape(json!({ "usage": usage }).to_string().as_bytes()), "{usage}");
            assert_eq!(repaired(usage.clone()).pointer(ours), Some(&json!(5)), "{usage}");
        }
    }

    fn repaired(usage: Value) -> Value {
        let mut object = json!({ "usage": usage });
        repair(object.as_object_mut().unwrap());
        object["usage"].clone()
    }

    #[test]
    fn cached_and_reasoning_tokens_are_found_wherever_they_are() {
        for usage in [
            json!({"prompt_tokens":9,"completion_tokens":4,"prompt_cache_hit_tokens":5,"completion_tokens_details":{"reasoning_tokens":3}}),
            json!({"prompt_tokens":9,"completion_tokens":4,"cached_tokens":5,"reasoning_tokens":3}),
            json!({"prompt_tokens":9,"completion_tokens":4,"num_cached_tokens":"5","reasoning_tokens":3.0}),
            json!({"input_tokens":9,"output_tokens":4,"cache_read_input_tokens":5,"output_tokens_details":{"reasoning_tokens":3}}),
            json!({"input_tokens":9,"total_tokens":13,"input_tokens_details":{"cached_tokens":5},"output_tokens_details":{"reasoning_tokens":3}}),
            json!({"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,"prompt_tokens_details":{"cached_tokens":5},"completion_tokens_details":{"reasoning_tokens":3}}),
            json!({"prompt_tokens":9,"completion_tokens":4,"cached_tokens":5,"prompt_tokens_details":null,"completion_tokens_details":[],"reasoning_tokens":3}),
        ] {
            let out = repaired(usage.clone());
            let read = |path: &str| out.pointer(path).and_then(Value::as_u64);
            assert_eq!(read("/prompt_tokens_details/cached_tokens"), Some(5), "{usage}");
            assert_eq!(read("/completion_tokens_details/reasoning_tokens"), Some(3), "{usage}");
            assert_eq!(
                (read("/prompt_tokens"), read("/completion_tokens"), read("/total_tokens")),
                (Some(9), Some(4), Some(13)),
                "{usage}"
            );
        }
    }

    #[test]
    fn what_openai_says_itself_counts_and_what_the_service_said_stays_beside() {
        let out = repaired(
            json!({"prompt_tokens":9,"completion_tokens":4,"cached_tokens":7,"prompt_tokens_details":{"cached_tokens":5},"cost":0.1}),
        );
        assert_eq!(out["prompt_tokens_details"]["cached_tokens"], 5);
        assert_eq!((&out["cached_tokens"], &out["cost"]), (&json!(7), &json!(0.1)));
    }

    #[test]
    fn a_usage_with_nothing_in_it_is_none() {
        for usage in [json!({}), json!([]), json!("x"), json!({"cost":1}), json!({"prompt_tokens":null})] {
            assert_eq!(repaired(usage.clone()), Value::Null, "{usage}");
        }
    }

    #[test]
    fn groqs_own_usage_is_taken_where_there_is_no_other() {
        let mut object =
            json!({"x_groq":{"id":"r","usage":{"prompt_tokens":1,"completion_tokens":2,"queue_time":0.1}}});
        repair(object.as_object_mut().unwrap());
        assert_eq!(object["usage"]["total_tokens"], 3);
    }

    #[test]
    fn a_usage_is_found_in_shape_or_not_without_reading_the_rest() {
        for (body, is_fine) in [
            (r#"{"choices":[]}"#, true),
            (r#"{"a":"\"usage\":{}","usage":null}"#, true),
            (r#"{"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2},"x":1}"#, true),
            (
                r#"{"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2,"prompt_cache_hit_tokens":1,"prompt_tokens_details":{"cached_tokens":1}}}"#,
                true,
            ),
            (
                r#"{"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2,"prompt_cache_hit_tokens":1}}"#,
                false,
            ),
            (
                r#"{"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2,"reasoning_tokens":1}}"#,
                false,
            ),
            (r#"{"usage":{"prompt_tokens":1}}"#, false),
            ("{\"usage\" :\n{\"prompt_tokens\":1}, \"x\":\"usage\"}", false),
            (r#"{"x":"usage"}"#, true),
        ] {
            assert_eq!(is_in_shape(body.as_bytes()), is_fine, "{body}");
        }
    }
}
