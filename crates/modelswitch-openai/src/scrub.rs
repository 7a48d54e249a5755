mod echo;

use std::cell::OnceCell;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use memchr::memmem;
use modelswitch_provider::{ApiKey, Payload, Request};
use serde_json::Value;

/// Takes out of a service's own words what must not be shown: the key, and what the user wrote. Services repeat both in
/// their errors.
///
/// Only errors go through it: an answer is what the app paid for, and stays as it is.
#[derive(Clone, Default)]
pub(crate) struct Scrub {
    key: Option<ApiKey>,
    request: Option<Request>,
}

/// Shorter texts say nothing about anybody, and would be struck out of words that only resemble them.
const SHORTEST_PROMPT: usize = 8;

/// More of a sentence isn't looked through, and not shown either.
const LONGEST_SENTENCE: usize = 2_000;

/// The members of requests that hold what a user wrote.
const WRITTEN: [&str; 9] = [
    "messages",
    "input",
    "prompt",
    "suffix",
    "instructions",
    "system",
    // What the answer is expected to be, and what a search goes through.
    "prediction",
    "query",
    "documents",
];

/// Validation errors of FastAPI and pydantic repeat the input after these.
const INPUT_MARKS: [&str; 3] = ["'input':", "\"input\":", "input_value="];

impl Scrub {
    pub(crate) fn new(key: Option<ApiKey>, request: Request) -> Self {
        Self { key, request: Some(request) }
    }

    /// Cleans one failure's words. What the user wrote is looked up once for all of them, and only when there are words that
    /// could hold some of it: a long conversation takes a while to read, and many failures say nothing.
    pub(crate) fn cleaner(&self) -> Cleaner<'_> {
        Cleaner { scrub: self, prompts: OnceCell::new(), letters: OnceCell::new() }
    }

    /// A body for whoever asks for it, without the key.
    pub(crate) fn body(&self, body: Bytes) -> Bytes {
        let Some(key) = &self.key else { return body };
        // In JSON a slash may stand escaped. Not every body is text.
        let escaped = key.expose().replace('/', "\\/");
        let body = without(body, key.expose().as_bytes());
        without(body, escaped.as_bytes())
    }

    /// A service's headers, without the key: what is in them is shown and logged.
    pub(crate) fn headers(&self, headers: &mut HeaderMap) {
        let Some(key) = &self.key else { return };
        for value in headers.values_mut() {
            let (text, key_text) = (value.as_bytes(), key.expose().as_bytes());
            let has_key = text.len() >= key_text.len() && memmem::find(text, key_text).is_some();
            if has_key {
                let clean =
                    value.to_str().ok().and_then(|text| HeaderValue::from_str(&key.redact(text)).ok());
                *value = clean.unwrap_or_else(|| HeaderValue::from_static("[key]"));
            }
        }
    }

    fn without_key(&self, text: &str) -> String {
        let Some(key) = &self.key else { return text.to_owned() };
        // In JSON a slash may stand escaped.
        key.redact(text).replace(&key.expose().replace('/', "\\/"), "[key]")
    }

    /// What the user wrote, each on one line, longest first: a short text may be a part of a long one.
    fn prompts(&self) -> Vec<String> {
        let Some(Payload::Json(document)) = self.request.as_ref().map(|request| &request.body) else {
            return Vec::new();
        };
        let mut texts = Vec::new();
        for name in WRITTEN {
            if let Ok(Some(value)) = document.get::<Value>(name) {
                collect(&value, &mut texts);
            }
        }
        let lines = texts.iter().map(|text| on_one_line(text)).filter(|line| line.len() >= SHORTEST_PROMPT);
        let mut lines: Vec<String> = lines.collect();
        lines.sort_by_key(|line| std::cmp::Reverse(line.len()));
        lines
    }
}

/// Takes out of the words of one failure what must not be shown.
pub(crate) struct Cleaner<'a> {
    scrub: &'a Scrub,
    prompts: OnceCell<Vec<String>>,
    /// What the user wrote, to be found again in pieces.
    letters: OnceCell<Vec<Vec<u8>>>,
}

impl Cleaner<'_> {
    /// A sentence for a person to read, on one line, without the key and without what the user wrote: neither whole texts
    /// nor pieces of them. A service's own words are lost only where the user wrote two dozen of their letters in a row.
    pub(crate) fn sentence(&self, text: &str) -> String {
        self.without_pieces(&self.line(text))
    }

    /// A sentence for the program to read, on one line: without the key and without whole texts of the user's.
    /// [`without_pieces`](Self::without_pieces) makes it fit to be shown.
    pub(crate) fn line(&self, text: &str) -> String {
        // Services repeat a text with other white space, and on one line it would be read again as it was written.
        let mut text = on_one_line(&self.scrub.without_key(text));
        if let Some(cut) = INPUT_MARKS.iter().filter_map(|mark| text.find(mark)).min() {
            text.truncate(cut);
            text.push('…');
        }
        for prompt in self.prompts_in(&text) {
            if text.contains(prompt) {
                text = text.replace(prompt, "[…]");
            }
        }
        cut(text, LONGEST_SENTENCE)
    }

    /// A [`line`](Self::line) for a person to read.
    pub(crate) fn without_pieces(&self, line: &str) -> String {
        if self.prompts_in(line).is_empty() {
            return line.to_owned();
        }
        echo::without_pieces(line, self.letters())
    }

    /// True when the user wrote this, whatever the case, white space and punctuation. Only a piece of what was written may
    /// have been repeated.
    pub(crate) fn wrote(&self, text: &str) -> bool {
        let text = echo::letters(text);
        self.letters().iter().any(|prompt| memmem::find(prompt, &text).is_some())
    }

    fn letters(&self) -> &[Vec<u8>] {
        self.letters.get_or_init(|| self.prompts().iter().map(|prompt| echo::letters(prompt)).collect())
    }

    fn prompts(&self) -> &[String] {
        self.prompts.get_or_init(|| self.scrub.prompts())
    }

    /// What may stand in this text: nothing where not even the shortest would have room.
    fn prompts_in(&self, text: &str) -> &[String] {
        if text.len() < SHORTEST_PROMPT { &[] } else { self.prompts() }
    }
}

/// The text on one line, without what a terminal would act on.
fn on_one_line(text: &str) -> String {
    let text = text.replace(char::is_control, " ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The beginning of a text, if it is longer.
pub(crate) fn cut(mut text: String, longest: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(longest) {
        text.truncate(end);
        text.push('…');
    }
    text
}

fn without(body: Bytes, key: &[u8]) -> Bytes {
    if memmem::find(&body, key).is_none() {
        return body;
    }
    let mut clean = Vec::with_capacity(body.len());
    let mut rest = &*body;
    while let Some((before, after)) =
        memmem::find(rest, key).and_then(|start| Some((rest.get(..start)?, rest.get(start + key.len()..)?)))
    {
        clean.extend_from_slice(before);
        clean.extend_from_slice(b"[key]");
        rest = after;
    }
    clean.extend_from_slice(rest);
    clean.into()
}

fn collect(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) if text.len() >= SHORTEST_PROMPT => texts.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
        Value::Object(members) => {
            for (name, value) in members {
                // Names of the API's own, which an error should be able to speak of.
                if !matches!(
                    name.as_str(),
                    "role" | "type" | "id" | "name" | "tool_call_id" | "call_id" | "detail"
                ) {
                    collect(value, texts);
                }
            }
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn scrub() -> Scrub {
        let request = Request::chat(&json!({"model":"m","messages":[
            {"role":"assistant","content":"a secret plan"},
            {"role":"user","content":[{"type":"text","text":"another secret"}]}]}));
        Scrub::new(Some(ApiKey::new("sk-a/b-canary").unwrap()), request.unwrap())
    }

    #[test]
    fn neither_the_key_nor_what_the_user_wrote_stays_in_a_sentence() {
        for (said, shown) in [
            ("key sk-a/b-canary is bad", "key [key] is bad"),
            (r"key sk-a\/b-canary is bad", "key [key] is bad"),
            ("you said a secret plan, and another secret", "you said […], and […]"),
            ("you said a\nsecret  \0plan", "you said […]"),
            ("you said ANOTHER SECRET", "you said […]"),
            ("field required, 'input': {'x': 'cut off secr", "field required, …"),
            (
                "messages[0].role: unknown variant `assistant`",
                "messages[0].role: unknown variant `assistant`",
            ),
        ] {
            assert_eq!(scrub().cleaner().sentence(said), shown);
        }
    }

    #[test]
    fn the_prompt_is_not_read_for_words_that_have_no_room_for_it() {
        let scrub = scrub();
        let cleaner = scrub.cleaner();
        assert_eq!((cleaner.sentence(""), cleaner.sentence("busy")), (String::new(), "busy".to_owned()));
        assert!(cleaner.prompts.get().is_none());
        cleaner.sentence("a longer sentence");
        assert_eq!(cleaner.prompts.get().map(Vec::len), Some(2));
    }

    #[test]
    fn headers_lose_the_key_and_nothing_else() {
        let value = |text: &'static str| HeaderValue::from_static(text);
        let mut headers = HeaderMap::new();
        headers.insert("x-echo", value("Bearer sk-a/b-canary"));
        headers.insert("x-odd", HeaderValue::from_bytes(b"sk-a/b-canary \xff").unwrap());
        headers.insert("x-request-id", value("req-1"));
        scrub().headers(&mut headers);
        assert_eq!(headers["x-echo"], "Bearer [key]");
        assert_eq!(headers["x-odd"], "[key]");
        assert_eq!(headers["x-request-id"], "req-1");
    }

    #[test]
    fn a_body_only_loses_the_key() {
        let body = Bytes::from_static(b"sk-a/b-canary a secret plan");
        assert_eq!(scrub().body(body), "[key] a secret plan");
        let packed = Bytes::from_static(b"\xff\x00sk-a/b-canary\xfe sk-a\\/b-canary");
        assert_eq!(scrub().body(packed), &b"\xff\x00[key]\xfe [key]"[..]);
    }

    #[test]
    fn whatever_member_holds_what_the_user_wrote_it_is_struck() {
        for member in WRITTEN {
            let request = Request::chat(&json!({"model":"m", member:[{"content":"a secret plan"}]}));
            let scrub = Scrub::new(None, request.unwrap());
            assert_eq!(scrub.cleaner().sentence("bad: a secret plan"), "bad: […]", "{member}");
        }
    }

    #[test]
    fn a_piece_of_what_the_user_wrote_is_known_again() {
        let scrub = scrub();
        let cleaner = scrub.cleaner();
        assert!(cleaner.wrote("Secret\n PLAN") && cleaner.wrote("other secret"));
        assert!(!cleaner.wrote("secret plans"));
    }
}
