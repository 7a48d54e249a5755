//! What an answer tells of itself, without what it says.

use modelswitch_provider::{UsageSeen, has_member};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Found in an answer, or in the events of one.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) id: Option<String>,
    pub(crate) model: Option<String>,
    /// With commas between.
    pub(crate) finish_reasons: Option<String>,
    pub(crate) input: Option<u64>,
    pub(crate) output: Option<u64>,
    pub(crate) cached: Option<u64>,
    pub(crate) reasoning: Option<u64>,
    usage: UsageSeen,
    events: u32,
}

/// The opening of a stream has the id and the model, if not in its first event then soon.
const OPENING: u32 = 3;
/// Nobody asks for so many choices; a stream that ends for ever must not fill the memory.
const MOST_REASONS: usize = 256;

impl Told {
    /// Takes in a whole answer.
    pub(crate) fn hear(&mut self, json: &[u8]) {
        // What can't be read tells nothing.
        if let Ok(answer) = serde_json::from_slice::<Answer<'_>>(json) {
            self.take(&answer);
        }
    }

    /// Takes in an event, if there can be something in it.
    pub(crate) fn hear_event(&mut self, json: &[u8]) {
        self.events = self.events.saturating_add(1);
        let is_opening = self.events <= OPENING && (self.id.is_none() || self.model.is_none());
        if is_opening || has_news(json) {
            self.hear(json);
        }
    }

    /// True when it is known why the answer ended.
    pub(super) fn is_finished(&self) -> bool {
        self.finish_reasons.is_some()
    }

    fn take(&mut self, answer: &Answer<'_>) {
        set(&mut self.id, answer.id.and_then(text));
        set(&mut self.model, answer.model.and_then(text));
        if let Some(usage) = answer.usage {
            self.take_usage(usage);
        }
        for choice in answer.choices.and_then(parsed::<Vec<Choice<'_>>>).into_iter().flatten() {
            self.ended_for(choice.finish_reason.and_then(text));
        }
        self.ended_for(answer.stop_reason.and_then(text));
        if answer.object.and_then(text).as_deref() == Some("response") {
            let is_over = |status: &String| !matches!(status.as_str(), "queued" | "in_progress");
            self.ended_for(answer.status.and_then(text).filter(is_over));
        }
        // Events of `/responses` and of Anthropic's `/messages` have the answer one level deeper.
        for inner in [answer.response, answer.message, answer.delta].into_iter().flatten() {
            if let Some(inner) = parsed::<Answer<'_>>(inner) {
                self.take(&inner);
            }
        }
    }

    fn take_usage(&mut self, usage: &RawValue) {
        let _ = self.usage.take(usage);
        if let Some(usage) = self.usage.usage() {
            self.input = Some(usage.prompt_tokens);
            self.output = Some(usage.completion_tokens);
            set(&mut self.cached, usage.cached_tokens());
            set(&mut self.reasoning, usage.reasoning_tokens());
        }
    }

    fn ended_for(&mut self, reason: Option<String>) {
        let Some(reason) = reason else { return };
        match &mut self.finish_reasons {
            Some(all) if all.len() < MOST_REASONS => {
                all.push(',');
                all.push_str(&reason);
            }
            Some(_) => {}
            none => *none = Some(reason),
        }
    }
}

/// What was said last counts; what isn't said takes nothing back.
fn set<T>(known: &mut Option<T>, new: Option<T>) {
    if new.is_some() {
        *known = new;
    }
}

/// As much of an answer as is of interest here. Values as they stand: one that is something else than it should be must
/// not make the others unreadable.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    choices: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
}

fn parsed<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Option<T> {
    serde_json::from_str(value.get()).ok()
}

fn text(value: &RawValue) -> Option<String> {
    parsed::<String>(value).filter(|text| !text.is_empty()).map(|text| shown(&text))
}

/// True when an event may tell why something ended, or what it took.
fn has_news(json: &[u8]) -> bool {
    [("\"usage\"", b'{'), ("\"finish_reason\"", b'"'), ("\"stop_reason\"", b'"'), ("\"response\"", b'{')]
        .into_iter()
        .any(|(name, value)| has_member(json, name, value))
}

/// A name or an id that somebody else chose: not longer than one is, without line breaks, and no key.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 128;
    let mut short: String =
        text.chars().take(LONGEST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if short.len() < text.len() && short.chars().count() == LONGEST {
        short.push('…');
    }
    without_keys(&short)
}

/// How the keys of services begin.
const KEYS: [&str; 7] = ["sk-", "sk_", "gsk_", "xai-", "hf_", "pplx-", "AIza"];
/// Words that only begin like one are shorter.
const SHORTEST_KEY: usize = 16;

/// The text with `[key]` where something looks like a key.
pub(super) fn without_keys(text: &str) -> String {
    let is_of_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_of_key) {
        let (before, from) = rest.split_at(start);
        let (word, after) = from.split_at(from.find(|c| !is_of_key(c)).unwrap_or(from.len()));
        let is_key = word.len() >= SHORTEST_KEY && KEYS.iter().any(|begin| word.starts_with(begin));
        clean.push_str(before);
        clean.push_str(if is_key { "[key]" } else { word });
        rest = after;
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn heard(events: &[Value]) -> Told {
        let mut told = Told::default();
        for event in events {
            told.hear_event(event.to_string().as_bytes());
        }
        told
    }

    #[track_caller]
    fn check(told: &Told, texts: [Option<&str>; 3], numbers: [Option<u64>; 4]) {
        assert_eq!([told.id.as_deref(), told.model.as_deref(), told.finish_reasons.as_deref()], texts);
        assert_eq!([told.input, told.output, told.cached, told.reasoning], numbers);
    }

    #[test]
    fn a_chat_stream_tells_who_and_how_much_and_why_it_ended() {
        let told = heard(&[
            json!({"id":"1","model":"m","choices":[{"delta":{"role":"assistant"},"finish_reason":null}],"usage":null}),
            json!({"id":"1","model":"m","choices":[{"delta":{"content":"\"usage\":{"}}]}),
            json!({"id":"1","model":"m","choices":[{"delta":{},"finish_reason":"stop"},{"finish_reason":"length"}]}),
            json!({"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5,"prompt_cache_hit_tokens":3,
                "completion_tokens_details":{"reasoning_tokens":2}}}),
        ]);
        let texts = [Some("1"), Some("m"), Some("stop,length")];
        check(&told, texts, [Some(7), Some(5), Some(3), Some(2)]);
    }

    #[test]
    fn events_of_responses_and_of_anthropics_messages_are_understood() {
        let told = heard(&[
            json!({"type":"response.created","response":{"id":"r","object":"response","model":"m","status":"in_progress"}}),
            json!({"type":"response.output_text.delta","delta":"text"}),
            json!({"type":"response.completed","response":{"id":"r","object":"response","model":"m","status":"completed",
                "usage":{"input_tokens":7,"output_tokens":5,"input_tokens_details":{"cached_tokens":1},
                    "output_tokens_details":{"reasoning_tokens":2}}}}),
        ]);
        check(&told, [Some("r"), Some("m"), Some("completed")], [Some(7), Some(5), Some(1), Some(2)]);

        let told = heard(&[
            json!({"type":"message_start","message":{"id":"a","model":"m","usage":{"input_tokens":7,"output_tokens":1}}}),
            json!({"type":"content_block_delta","delta":{"type":"text_delta","text":"x"}}),
            json!({"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}),
        ]);
        check(&told, [Some("a"), Some("m"), Some("end_turn")], [Some(7), Some(5), None, None]);
    }

    #[test]
    fn one_odd_value_leaves_the_others_readable() {
        let mut told = Told::default();
        told.hear(br#"{"id":7,"model":"m","choices":"none","usage":[],"message":"text","delta":5}"#);
        check(&told, [None, Some("m"), None], [None; 4]);
        told.hear(b"not json");
    }

    #[test]
    fn a_name_is_short_and_has_no_line_breaks_and_is_no_key() {
        assert_eq!(shown("deepseek/deepseek-flash"), "deepseek/deepseek-flash");
        assert_eq!(shown("a\nb\u{1b}"), "a\u{fffd}b\u{fffd}");
        assert_eq!(shown(&"é".repeat(500)).chars().count(), 129);
        assert_eq!(
            without_keys("use sk-0123456789abcdef, please; sk-lang é"),
            "use [key], please; sk-lang é"
        );
    }
}
