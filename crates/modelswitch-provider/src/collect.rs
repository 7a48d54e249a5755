use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use crate::outline::Outline;
use crate::{
    ChatChunk, ChatCompletion, Choice, ChunkChoice, Content, Delta, Message, ToolCall, ToolCallDelta,
    ToolCallSlots,
};

/// Puts the chunks of a streamed answer together to the completion they amount to: text, reasoning, several choices,
/// tool calls, log probabilities and usage. Fields that it doesn't know are joined too: texts and lists one after the
/// other, of anything else the last.
///
/// ```
/// use modelswitch_provider::{ChatChunk, Collector};
/// use serde_json::json;
///
/// let mut collector = Collector::new();
/// for piece in ["9", ".8"] {
///     collector.push(ChatChunk::from_wire(&json!({
///         "id": "1", "choices": [{ "index": 0, "delta": { "content": piece } }] }))?);
/// }
/// assert_eq!(collector.finish().text(), "9.8");
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Collector {
    whole: ChatCompletion,
    choices: BTreeMap<u32, Partial>,
}

#[derive(Clone, Default)]
struct Partial {
    choice: Choice,
    content: Option<String>,
    calls: BTreeMap<u32, ToolCall>,
    slots: ToolCallSlots,
}

/// Structure, names and sizes: the text is what somebody paid for.
impl fmt::Debug for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Outline::new(f, "Partial")
            .field("choice", &self.choice)
            .text("content", self.content.as_ref())
            .field("calls", &self.calls)
            .finish()
    }
}

impl Collector {
    /// Nothing collected yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a chunk.
    pub fn push(&mut self, chunk: ChatChunk) {
        let whole = &mut self.whole;
        if !chunk.id.is_empty() && whole.id.is_empty() {
            whole.id = chunk.id;
        }
        if !chunk.model.is_empty() {
            whole.model = chunk.model;
        }
        if chunk.created != 0 {
            whole.created = chunk.created;
        }
        if chunk.usage.is_some() {
            // Some services send what was used so far with every chunk: the last one counts.
            whole.usage = chunk.usage;
        }
        for (name, value) in chunk.extra {
            // Padding against traffic analysis; nothing of the answer.
            if name != "object" && name != "obfuscation" && !value.is_null() {
                whole.extra.insert(name, value);
            }
        }
        for choice in chunk.choices {
            let index = choice.index;
            self.choices.entry(index).or_default().push(choice);
        }
    }

    /// The completion so far.
    pub fn finish(mut self) -> ChatCompletion {
        self.whole.extra.insert("object".to_owned(), "chat.completion".into());
        self.whole.choices = self.choices.into_iter().map(|(index, partial)| partial.finish(index)).collect();
        self.whole
    }
}

impl Partial {
    fn push(&mut self, piece: ChunkChoice) {
        if piece.finish_reason.is_some() {
            self.choice.finish_reason = piece.finish_reason;
        }
        join_members(&mut self.choice.extra, piece.extra);
        self.push_delta(piece.delta);
    }

    fn push_delta(&mut self, delta: Delta) {
        let message = &mut self.choice.message;
        if let Some(role) = delta.role {
            message.role = role;
        }
        append(&mut self.content, delta.content);
        append(&mut message.reasoning_content, delta.reasoning_content);
        join_members(&mut message.extra, delta.extra);
        for call in delta.tool_calls {
            self.push_call(call);
        }
    }

    fn push_call(&mut self, piece: ToolCallDelta) {
        let slot = self.slots.slot(piece.index, piece.id.as_deref());
        let call = self.calls.entry(slot).or_insert_with(|| ToolCall::new("", "", ""));
        if let Some(id) = piece.id.filter(|id| !id.is_empty()) {
            call.id = id;
        }
        if let Some(kind) = piece.kind.filter(|kind| !kind.is_empty()) {
            call.kind = kind;
        }
        if let Some(function) = piece.function {
            if let Some(name) = function.name.filter(|name| !name.is_empty()) {
                call.function.name = name;
            }
            call.function.arguments.push_str(&function.arguments.unwrap_or_default());
            join_members(&mut call.function.extra, function.extra);
        }
        join_members(&mut call.extra, piece.extra);
    }

    fn finish(self, index: u32) -> Choice {
        let Self { mut choice, content, calls, .. } = self;
        choice.index = index;
        choice.message = Message {
            content: content.map(Content::Text),
            tool_calls: calls.into_values().collect(),
            ..choice.message
        };
        choice
    }
}

fn append(whole: &mut Option<String>, piece: Option<String>) {
    match (whole.as_mut(), piece) {
        (Some(whole), Some(piece)) => whole.push_str(&piece),
        (None, piece) => *whole = piece,
        (Some(_), None) => {}
    }
}

fn join_members(whole: &mut Map<String, Value>, pieces: Map<String, Value>) {
    for (name, piece) in pieces {
        match whole.get_mut(&name) {
            Some(value) => join(value, piece),
            None => {
                whole.insert(name, piece);
            }
        }
    }
}

fn join(whole: &mut Value, piece: Value) {
    match (whole, piece) {
        (_, Value::Null) => {}
        (Value::String(whole), Value::String(piece)) => whole.push_str(&piece),
        (Value::Array(whole), Value::Array(mut piece)) => whole.append(&mut piece),
        (Value::Object(whole), Value::Object(piece)) => join_members(whole, piece),
        (whole, piece) => *whole = piece,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn collect(chunks: &[Value]) -> Value {
        let mut collector = Collector::new();
        for chunk in chunks {
            collector.push(ChatChunk::from_wire(chunk).unwrap());
        }
        collector.finish().to_wire().unwrap()
    }

    #[test]
    fn text_reasoning_logprobs_and_usage_are_joined() {
        let whole = collect(&[
            json!({"id":"1","created":7,"model":"m","system_fingerprint":"fp","choices":[{"index":0,"delta":{"role":"assistant","content":null,"reasoning_content":""}}],"usage":null}),
            json!({"id":"1","choices":[{"index":0,"delta":{"content":null,"reasoning_content":"th"},"logprobs":{"reasoning_content":[{"token":"th"}]}}]}),
            json!({"id":"1","choices":[{"index":0,"delta":{"content":null,"reasoning_content":"ink"},"logprobs":{"reasoning_content":[{"token":"ink"}]}}]}),
            json!({"id":"1","choices":[{"index":0,"delta":{"content":"sa","reasoning_content":null},"logprobs":{"content":[{"token":"sa"}]}}]}),
            json!({"id":"1","choices":[{"index":0,"delta":{"content":"y"},"logprobs":null}]}),
            json!({"id":"1","choices":[{"index":0,"delta":{"content":""},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"prompt_cache_hit_tokens":1}}),
        ]);
        assert_eq!(
            whole,
            json!({"id":"1","object":"chat.completion","created":7,"model":"m","system_fingerprint":"fp",
                "choices":[{"index":0,"finish_reason":"stop",
                    "message":{"role":"assistant","content":"say","reasoning_content":"think"},
                    "logprobs":{"reasoning_content":[{"token":"th"},{"token":"ink"}],"content":[{"token":"sa"}]}}],
                "usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"prompt_cache_hit_tokens":1}})
        );
    }

    #[test]
    fn several_choices_and_parallel_tool_calls_are_kept_apart() {
        let delta =
            |choice: u32, call: Value| json!({"choices":[{"index":choice,"delta":{"tool_calls":[call]}}]});
        let whole = collect(&[
            delta(1, json!({"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}})),
            delta(0, json!({"index":1,"id":"c","type":"function","function":{"name":"h","arguments":"{"}})),
            delta(
                0,
                json!({"index":0,"id":"b","type":"function","function":{"name":"g","arguments":"{\"x\""}}),
            ),
            delta(0, json!({"index":1,"function":{"arguments":"}"}})),
            delta(0, json!({"index":0,"function":{"arguments":":1}"}})),
        ]);
        let calls = &whole["choices"][0]["message"]["tool_calls"];
        assert_eq!(calls[0]["function"], json!({"name":"g","arguments":"{\"x\":1}"}));
        assert_eq!(calls[1]["function"], json!({"name":"h","arguments":"{}"}));
        assert_eq!(whole["choices"][1]["message"]["tool_calls"][0]["id"], "a");
    }

    #[test]
    fn calls_without_an_index_pair_up_by_id() {
        let delta = |call: Value| json!({"choices":[{"index":0,"delta":{"tool_calls":[call]}}]});
        let whole = collect(&[
            delta(json!({"id":"a","function":{"name":"f","arguments":"1"}})),
            delta(json!({"function":{"arguments":"2"}})),
            delta(json!({"id":"b","function":{"name":"g","arguments":"3"}})),
            delta(json!({"id":"a","function":{"arguments":"4"}})),
        ]);
        let calls = &whole["choices"][0]["message"]["tool_calls"];
        assert_eq!(
            (&calls[0]["function"]["arguments"], &calls[1]["function"]["arguments"]),
            (&json!("124"), &json!("3"))
        );
    }

    fn calls_of(pieces: &[Value]) -> Vec<(String, String)> {
        let chunks: Vec<_> = pieces
            .iter()
            .map(|piece| json!({"choices":[{"index":0,"delta":{"tool_calls":[piece]}}]}))
            .collect();
        let whole = ChatCompletion::from_wire(&collect(&chunks)).unwrap();
        let calls = whole.message().unwrap().tool_calls.iter();
        calls.map(|call| (call.id.clone(), call.function.arguments.clone())).collect()
    }

    #[test]
    fn a_piece_without_an_index_goes_on_with_the_last_call() {
        let calls = calls_of(&[
            json!({"index":0,"id":"a","function":{"name":"f","arguments":"1"}}),
            json!({"index":1,"id":"b","function":{"name":"g","arguments":"2"}}),
            json!({"function":{"arguments":"3"}}),
        ]);
        assert_eq!(calls, [("a".into(), "1".into()), ("b".into(), "23".into())]);
    }

    #[test]
    fn two_ids_under_one_index_are_two_calls() {
        let calls = calls_of(&[
            json!({"index":0,"id":"a","function":{"name":"f","arguments":"1"}}),
            json!({"index":0,"id":"b","function":{"name":"g","arguments":"2"}}),
            json!({"index":0,"function":{"arguments":"3"}}),
        ]);
        assert_eq!(calls, [("a".into(), "1".into()), ("b".into(), "23".into())]);
    }

    #[test]
    fn a_completion_is_the_same_through_its_one_chunk() {
        let completion = json!({"id":"1","object":"chat.completion","created":7,"model":"m",
            "choices":[{"index":0,"finish_reason":"tool_calls","logprobs":null,
                "message":{"role":"assistant","content":"","reasoning_content":"r",
                    "tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}","more":1}}]}}]});
        let chunk = ChatCompletion::from_wire(&completion).unwrap().into_chunk();
        assert_eq!(chunk.extra["object"], "chat.completion.chunk");
        assert_eq!(collect(&[chunk.to_wire().unwrap()]), completion);
    }
}
