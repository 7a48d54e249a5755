//! `Debug` of what a user typed or paid for: structure, names and sizes, and none of the text.

use std::fmt;

use serde_json::{Map, Value};

/// A struct as `Debug` shows it. What is empty is left out.
pub(crate) struct Outline<'a, 'b>(fmt::DebugStruct<'a, 'b>);

impl<'a, 'b> Outline<'a, 'b> {
    pub(crate) fn new(f: &'a mut fmt::Formatter<'b>, name: &str) -> Self {
        Self(f.debug_struct(name))
    }

    /// Something that may be shown.
    pub(crate) fn field(mut self, name: &str, value: &dyn fmt::Debug) -> Self {
        self.0.field(name, value);
        self
    }

    /// Something that may be shown, if it is there.
    pub(crate) fn some(self, name: &str, value: Option<&impl fmt::Debug>) -> Self {
        match value {
            Some(value) => self.field(name, value),
            None => self,
        }
    }

    /// Things that may be shown.
    pub(crate) fn list(self, name: &str, values: &[impl fmt::Debug]) -> Self {
        self.some(name, Some(&values).filter(|values| !values.is_empty()))
    }

    /// The size of a text, if it is there.
    pub(crate) fn text(self, name: &str, text: Option<&String>) -> Self {
        self.some(name, text.map(|text| Size(text.len())).as_ref())
    }

    /// The names of the other members.
    pub(crate) fn extra(self, members: &Map<String, Value>) -> Self {
        let names: Vec<&String> = members.keys().collect();
        self.list("extra", &names)
    }

    pub(crate) fn finish(mut self) -> fmt::Result {
        self.0.finish()
    }
}

/// How long something is that isn't shown: `12 B`.
pub(crate) struct Size(pub(crate) usize);

impl fmt::Debug for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} B", self.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{
        ChatChunk, ChatCompletion, ChatRequest, Collector, Completion, CompletionRequest, Content,
        EmbeddingRequest, Embeddings, Message,
    };

    const HUSH: &str = "hush";

    /// A message with the word in every place that a text can stand in.
    fn message() -> serde_json::Value {
        json!({
            "role": "assistant", "content": HUSH, "reasoning_content": HUSH, "refusal": HUSH,
            "tool_calls": [{ "id": "call_1", "type": "function", "note": HUSH,
                "function": { "name": "weather", "arguments": HUSH, "note": HUSH } }]
        })
    }

    #[track_caller]
    fn check(shown: &str, parts: &[&str]) {
        assert!(!shown.contains(HUSH), "{shown}");
        for part in parts {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }

    #[test]
    fn a_request_shows_what_it_is_made_of_and_not_what_it_says() {
        let request = ChatRequest::from_wire(&json!({
            "model": "fast", "user": HUSH, "temperature": 0.5, "stop": [HUSH],
            "messages": [message(), { "role": "user", "content": [{ "type": "text", "text": HUSH }] }],
            "tools": [{ "type": "function", "function": {
                "name": "weather", "description": HUSH, "parameters": { "description": HUSH } } }]
        }))
        .unwrap();
        check(
            &format!("{request:?} {request:#?}"),
            &[
                "fast",
                "0.5",
                "User",
                "\"stop\"",
                "Parts(1)",
                "content: Text(4 B)",
                "call_1",
                "\"weather\"",
                "arguments: 4 B",
            ],
        );
        check(&format!("{:?}", Content::from(HUSH)), &["Text(4 B)"]);
        check(&format!("{:?}", Message::tool("call_1", HUSH)), &["Tool", "call_1"]);
        check(&format!("{:?}", CompletionRequest::new(HUSH).set("suffix", HUSH)), &["4 B", "suffix"]);
        check(&format!("{:?}", EmbeddingRequest::new([HUSH, HUSH])), &["[4 B, 4 B]"]);
    }

    #[test]
    fn an_answer_shows_what_it_is_made_of_and_not_what_it_says() {
        let completion = ChatCompletion::from_wire(&json!({
            "id": "id1", "model": "m", "note": HUSH,
            "choices": [{ "index": 0, "finish_reason": "stop", "message": message(), "logprobs": HUSH }],
            "usage": { "prompt_tokens": 7, "note": HUSH }
        }))
        .unwrap();
        check(
            &format!("{completion:?}"),
            &["id1", "Stop", "Assistant", "weather", "logprobs", "prompt_tokens: 7"],
        );
        let chunk = completion.into_chunk();
        check(
            &format!("{chunk:?}"),
            &["id1", "Stop", "Assistant", "weather", "content: 4 B", "arguments: 4 B"],
        );

        let mut collector = Collector::new();
        collector.push(chunk);
        collector.push(ChatChunk::from_wire(&json!({ "choices": [{ "delta": message() }] })).unwrap());
        check(&format!("{collector:?}"), &["id1", "Stop", "content: 8 B", "weather"]);

        let completion =
            Completion::from_wire(&json!({ "choices": [{ "text": HUSH, "note": HUSH }], "note": HUSH }));
        check(&format!("{completion:?}"), &["text: 4 B", "note"]);
        let vectors =
            Embeddings::from_wire(&json!({ "data": [{ "embedding": [0.625, 2.0], "note": HUSH }] }));
        check(&format!("{vectors:?}"), &["2 numbers"]);
        assert!(!format!("{vectors:?}").contains("0.625"));
    }
}
