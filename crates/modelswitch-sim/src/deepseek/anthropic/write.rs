//! The answer in Anthropic's form, whole and as events.

use serde_json::{Map, Value, json};

use crate::answer::Piece;
use crate::ask::Ask;
use crate::state::Ids;
use crate::turn::Turn;

/// One message of the assistant.
pub(super) struct Reply {
    id: String,
    model: &'static str,
    blocks: Vec<Block>,
    stop_reason: &'static str,
    stop_sequence: Option<String>,
    usage: Value,
}

/// One block of its content, in tokens.
struct Block {
    kind: Kind,
    tokens: Vec<String>,
}

enum Kind {
    Thinking { signature: String },
    Text,
    ToolUse { id: String, name: String },
}

impl Block {
    /// The block with nothing in it yet.
    fn begun(&self) -> Value {
        match &self.kind {
            Kind::Thinking { .. } => json!({"type": "thinking", "thinking": "", "signature": ""}),
            Kind::Text => json!({"type": "text", "text": ""}),
            Kind::ToolUse { id, name } => json!({"type": "tool_use", "id": id, "name": name, "input": {}}),
        }
    }

    fn whole(&self) -> Value {
        let text = self.tokens.concat();
        match &self.kind {
            Kind::Thinking { signature } => {
                json!({"type": "thinking", "thinking": text, "signature": signature})
            }
            Kind::Text => json!({"type": "text", "text": text}),
            Kind::ToolUse { id, name } => {
                // Arguments that were cut off are no object.
                let input = serde_json::from_str::<Map<String, Value>>(&text).unwrap_or_default();
                json!({"type": "tool_use", "id": id, "name": name, "input": input})
            }
        }
    }

    fn deltas(&self) -> Vec<Value> {
        let delta = |token: &String| match &self.kind {
            Kind::Thinking { .. } => json!({"type": "thinking_delta", "thinking": token}),
            Kind::Text => json!({"type": "text_delta", "text": token}),
            Kind::ToolUse { .. } => json!({"type": "input_json_delta", "partial_json": token}),
        };
        let signature = match &self.kind {
            Kind::Thinking { signature } => Some(json!({"type": "signature_delta", "signature": signature})),
            Kind::Text | Kind::ToolUse { .. } => None,
        };
        self.tokens.iter().map(delta).chain(signature).collect()
    }
}

impl Reply {
    /// `hit` tokens of the prompt were found in the cache.
    pub(super) fn of(ask: &Ask, turn: &Turn, model: &'static str, hit: u64, ids: &mut Ids) -> Self {
        let id = ids.uuid();
        let thinking = turn
            .reasoning
            .iter()
            .map(|tokens| Block { kind: Kind::Thinking { signature: id.clone() }, tokens: tokens.clone() });
        let text =
            (!turn.content.is_empty()).then(|| Block { kind: Kind::Text, tokens: turn.content.clone() });
        let mut blocks: Vec<Block> = thinking.chain(text).collect();
        for (index, call) in turn.calls.iter().enumerate() {
            let id = format!("call_{index:02}_{}", ids.letters(24));
            let kind = Kind::ToolUse { id, name: call.name.clone() };
            blocks.push(Block { kind, tokens: call.arguments.clone() });
        }
        let usage = json!({
            "input_tokens": ask.prompt.tokens - hit, "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": hit, "output_tokens": turn.completion_tokens(),
            "service_tier": "standard",
        });
        Self {
            id,
            model,
            blocks,
            stop_reason: stop_reason(turn),
            stop_sequence: turn.stopped_by.clone(),
            usage,
        }
    }

    fn message(&self, content: Value, stop: bool, usage: Value) -> Value {
        json!({
            "id": self.id, "type": "message", "role": "assistant", "model": self.model, "content": content,
            "stop_reason": stop.then_some(self.stop_reason),
            "stop_sequence": self.stop_sequence.as_ref().filter(|_| stop), "usage": usage,
        })
    }

    pub(super) fn whole(&self) -> Value {
        self.message(self.blocks.iter().map(Block::whole).collect(), true, self.usage.clone())
    }

    /// Named events; no `[DONE]` at the end.
    pub(super) fn events(&self) -> Vec<Piece> {
        let mut usage = self.usage.clone();
        if let Some(fields) = usage.as_object_mut() {
            fields.insert("output_tokens".to_owned(), json!(0));
        }
        let message = self.message(json!([]), false, usage);
        let mut pieces = vec![event("message_start", json!({"message": message}))];
        for (index, block) in self.blocks.iter().enumerate() {
            pieces
                .push(event("content_block_start", json!({"index": index, "content_block": block.begun()})));
            let deltas = block.deltas();
            pieces.extend(
                deltas
                    .into_iter()
                    .map(|delta| event("content_block_delta", json!({"index": index, "delta": delta}))),
            );
            pieces.push(event("content_block_stop", json!({"index": index})));
        }
        let delta = json!({"stop_reason": self.stop_reason, "stop_sequence": self.stop_sequence});
        pieces.push(event("message_delta", json!({"delta": delta, "usage": self.usage})));
        pieces.push(event("message_stop", json!({})));
        pieces
    }
}

fn event(name: &str, mut value: Value) -> Piece {
    if let Some(fields) = value.as_object_mut() {
        fields.insert("type".to_owned(), json!(name));
    }
    Piece::named(name, &value)
}

/// DeepSeek's own ends have no word in Anthropic's form and keep theirs.
fn stop_reason(turn: &Turn) -> &'static str {
    match turn.finish {
        "stop" if turn.stopped_by.is_some() => "stop_sequence",
        "stop" => "end_turn",
        "length" => "max_tokens",
        "tool_calls" => "tool_use",
        other => other,
    }
}
