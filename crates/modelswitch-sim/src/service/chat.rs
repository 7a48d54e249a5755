//! `POST /chat/completions` as the table says: OpenAI's answer first, then where the service deviates.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Calls, History, Reasoning, Service, ToolChoice, UsageAt};
use crate::answer::{Answer, Ending, Piece};
use crate::ask::{Ask, Choice};
use crate::mode::Mode;
use crate::recorded::Recorded;
use crate::state::{Ids, Shared, now};
use crate::turn::{Call, Turn};

/// What every body and chunk of an answer says alike.
struct Head {
    id: String,
    created: u64,
    model: &'static str,
}

impl Service {
    pub(super) fn chat(
        &'static self,
        shared: &Shared,
        request: &Recorded,
        body: &Value,
        deployment: Option<&str>,
    ) -> Answer {
        let mut ask = Ask::chat(body);
        // Where the path says which model, the body's name is of no account.
        if let Some(model) = deployment {
            model.clone_into(&mut ask.model);
        }
        let Some(model) = self.serving(&ask.model) else { return self.no_model(&ask.model) };
        if let Some(refused) = self.check(body, self.thinks(&ask)) {
            return refused;
        }
        if let Some(trouble) = self.troubled(ask.mode) {
            return trouble;
        }
        if self.calls == Calls::Absent {
            ask.tools.clear();
        }
        match (self.tool_choice, &ask.choice) {
            (ToolChoice::Ignored, _) | (ToolChoice::Unnamed, Choice::Named(_)) => ask.choice = Choice::Auto,
            (ToolChoice::Kept | ToolChoice::Unnamed, _) => {}
        }
        ask.max_tokens = body.get("max_completion_tokens").and_then(Value::as_u64).or(ask.max_tokens);
        let turn = Turn::compose(&ask, model, self.thinks(&ask));
        let mut ids = shared.ids(request);
        let head = Head { id: format!("chatcmpl-{}", ids.letters(24)), created: now(), model };
        if ask.stream {
            return self.stream(shared, &ask, &turn, &head, &mut ids);
        }
        self.whole(&ask, &turn, &head, &mut ids)
    }

    /// What is refused before a model sees it.
    fn check(&self, body: &Value, thinks: bool) -> Option<Answer> {
        let refuse = |message: &str| Some(self.refusal(400, "invalid_request_error", message));
        let Some(messages) = body.get("messages").and_then(Value::as_array).filter(|list| !list.is_empty())
        else {
            return refuse("[simulated] `messages` is missing");
        };
        let has = |name: &&&str| {
            let there = |value: Option<&Value>| value.is_some_and(|value| !value.is_null());
            match name.strip_prefix("messages[].") {
                Some(name) => messages.iter().any(|message| there(message.get(name))),
                None => there(body.get(**name)),
            }
        };
        let of_thinkers = if thinks { self.refuses_thinking } else { &[] };
        if let Some(name) = self.refuses.iter().chain(of_thinkers).find(has) {
            return refuse(&format!("[simulated] property '{name}' is unsupported"));
        }
        if self.one_choice && body.get("n").and_then(Value::as_u64).is_some_and(|count| count > 1) {
            return refuse("[simulated] 'n' must be 1");
        }
        let effort = body.get("reasoning_effort").and_then(Value::as_str);
        if effort.is_some_and(|effort| !self.efforts.is_empty() && !self.efforts.contains(&effort)) {
            return refuse("[simulated] 'reasoning_effort' has no such value");
        }
        match self.history {
            History::Refuses(name) if messages.iter().any(|message| message.get(name).is_some()) => {
                refuse(&format!("[simulated] property 'messages[].{name}' is unsupported"))
            }
            History::Needed if thinks && messages.iter().any(lacks_reasoning) => {
                refuse("thinking is enabled but reasoning_content is missing in assistant tool call message")
            }
            History::Free | History::Needed | History::Refuses(_) => None,
        }
    }

    pub(super) fn troubled(&self, mode: Option<Mode>) -> Option<Answer> {
        match mode? {
            Mode::Status(status) => Some(self.failure(status)),
            Mode::TokensPerMinute => Some(self.failure(429)),
            Mode::Risk => Some(self.refusal(
                400,
                "content_filter",
                "[simulated] The prompt was refused under the content policy",
            )),
            Mode::Context => {
                let message = "This model's maximum context length is 128000 tokens. However, your messages resulted in \
                               200000 tokens.";
                Some(self.refusal(400, "context_length_exceeded", message))
            }
            Mode::Cut | Mode::Stall | Mode::Resource | Mode::Aborted | Mode::ErrorInStream => None,
            Mode::Long | Mode::Empty | Mode::Blank | Mode::BadJson | Mode::NotJson => None,
        }
    }

    fn whole(&self, ask: &Ask, turn: &Turn, head: &Head, ids: &mut Ids) -> Answer {
        let choice =
            json!({"index": 0, "message": self.message(turn, ids), "finish_reason": self.finish(turn)});
        let body = self.envelope("chat.completion", head, json!([choice]), Some(usage(ask, turn)));
        let answer = match ask.mode {
            Some(Mode::ErrorInStream) => return self.failure(503),
            Some(Mode::Blank) => Answer::body(StatusCode::OK, "application/json", "\n\n\n"),
            _ => Answer::json(StatusCode::OK, &body),
        };
        ended(answer, ask.mode)
    }

    fn message(&self, turn: &Turn, ids: &mut Ids) -> Map<String, Value> {
        let mut message = Map::new();
        message.insert("role".to_owned(), json!("assistant"));
        let content = turn.content.concat();
        message
            .insert("content".to_owned(), if turn.calls.is_empty() { json!(content) } else { Value::Null });
        if let Some(reasoning) = &turn.reasoning {
            self.think(&mut message, &reasoning.concat(), &content);
        }
        if !turn.calls.is_empty() {
            let calls = turn.calls.iter().enumerate().map(|(at, call)| self.call(call, at, ids));
            message.insert("tool_calls".to_owned(), calls.collect());
        }
        message
    }

    /// Puts the reasoning of a whole message where the service has it.
    fn think(&self, message: &mut Map<String, Value>, reasoning: &str, content: &str) {
        let mut put = |name: &str, value: Value| message.insert(name.to_owned(), value);
        let details =
            || json!([{"type": "reasoning.text", "text": reasoning, "format": "unknown", "index": 0}]);
        match self.reasoning {
            Reasoning::Absent => {}
            Reasoning::Field(name) => {
                put(name, json!(reasoning));
            }
            Reasoning::Details => {
                put("reasoning", json!(reasoning));
                put("reasoning_details", details());
            }
            Reasoning::Parts => {
                put("content", json!([thinking_part(reasoning), {"type": "text", "text": content}]));
            }
            Reasoning::Tags => {
                put("content", json!(format!("<think>\n{reasoning}\n</think>\n\n{content}")));
            }
        }
    }

    fn stream(&self, shared: &Shared, ask: &Ask, turn: &Turn, head: &Head, ids: &mut Ids) -> Answer {
        let deltas = self.deltas(turn, ids);
        let total = deltas.len() as u64;
        let mut pieces = Vec::new();
        if self.stream.opens_empty {
            pieces.push(Piece::event(&self.envelope("chat.completion.chunk", head, json!([]), None)));
        }
        for (delta, number) in deltas.into_iter().zip(1..) {
            let finish = (number == total).then(|| self.finish(turn));
            let usage = self.usage_beside(ask, turn, finish.is_some(), number);
            let choice = match finish {
                Some(finish) if self.stream.ends_whole => {
                    json!({"index": 0, "message": self.message(turn, ids), "finish_reason": finish})
                }
                finish => self.piece(delta, finish),
            };
            let mut chunk = self.envelope("chat.completion.chunk", head, json!([choice]), usage);
            if let (UsageAt::Groq, true, Some(chunk)) = (self.usage, finish.is_some(), chunk.as_object_mut())
            {
                chunk.insert("x_groq".to_owned(), json!({"usage": self::usage(ask, turn)}));
            }
            pieces.push(Piece::event(&chunk));
        }
        let own_chunk = match self.usage {
            UsageAt::AlwaysOwnChunk => true,
            UsageAt::OwnChunk | UsageAt::Groq => ask.include_usage,
            UsageAt::LastChoice | UsageAt::Cumulative => false,
        };
        if own_chunk {
            let usage = Some(usage(ask, turn));
            pieces.push(Piece::event(&self.envelope("chat.completion.chunk", head, json!([]), usage)));
        }
        pieces.push(Piece::data("[DONE]"));
        self.delivered(shared, pieces, ask.mode)
    }

    fn delivered(&self, shared: &Shared, mut pieces: Vec<Piece>, mode: Option<Mode>) -> Answer {
        if mode == Some(Mode::ErrorInStream) {
            pieces.truncate((pieces.len() / 2).clamp(1, 5));
            // An envelope without the word could be told from a chunk by nobody.
            let error = json!({"message": "[simulated] The server had an error", "type": "server_error", "code": 502});
            pieces.push(Piece::event(&json!({"error": error})));
        }
        if !self.stream.comment.is_empty() {
            pieces.insert(0, Piece::Other(format!(": {}\n\n", self.stream.comment).into()));
        }
        let keep_alives = std::iter::repeat_with(Piece::keep_alive).take(shared.settings.keep_alives);
        pieces.splice(0..0, keep_alives);
        ended(Answer::events(pieces, shared.settings.chunk_delay), mode)
    }

    fn usage_beside(&self, ask: &Ask, turn: &Turn, is_last: bool, number: u64) -> Option<Value> {
        match self.usage {
            UsageAt::LastChoice => is_last.then(|| usage(ask, turn)),
            UsageAt::Cumulative if is_last => Some(usage(ask, turn)),
            UsageAt::Cumulative => {
                let (prompt, said) = (ask.prompt.tokens, number.min(turn.completion_tokens()));
                Some(
                    json!({"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said}),
                )
            }
            UsageAt::OwnChunk | UsageAt::AlwaysOwnChunk | UsageAt::Groq => None,
        }
    }

    fn piece(&self, mut delta: Value, finish: Option<&str>) -> Value {
        if let (true, Some(delta)) = (self.stream.repeats_role, delta.as_object_mut()) {
            delta.insert("role".to_owned(), json!("assistant"));
        }
        if finish.is_none() && self.stream.omits_null_finish {
            return json!({"index": 0, "delta": delta});
        }
        json!({"index": 0, "delta": delta, "finish_reason": finish})
    }

    fn deltas(&self, turn: &Turn, ids: &mut Ids) -> Vec<Value> {
        let mut deltas = vec![json!({"role": "assistant", "content": ""})];
        for token in turn.reasoning.iter().flatten() {
            deltas.push(match self.reasoning {
                Reasoning::Field(name) => json!({ name: token }),
                Reasoning::Parts => json!({"content": [thinking_part(token)]}),
                Reasoning::Tags | Reasoning::Absent => json!({"content": token}),
                Reasoning::Details => {
                    let detail =
                        json!({"type": "reasoning.text", "text": token, "format": "unknown", "index": 0});
                    json!({"content": "", "reasoning": token, "reasoning_details": [detail]})
                }
            });
        }
        if self.reasoning == Reasoning::Tags && turn.reasoning.is_some() {
            // Tags come in pieces like any other text.
            let opening = ["<thi", "nk>\n"].map(|piece| json!({"content": piece}));
            deltas.splice(1..1, opening);
            deltas.extend(["\n</th", "ink>", "\n\n"].map(|piece| json!({"content": piece})));
        }
        deltas.extend(turn.content.iter().map(|token| json!({"content": token})));
        deltas.extend(self.call_deltas(turn, ids));
        deltas.push(json!({"content": ""}));
        deltas
    }

    fn call_deltas(&self, turn: &Turn, ids: &mut Ids) -> Vec<Value> {
        let mut deltas = Vec::new();
        match self.calls {
            Calls::Absent => {}
            Calls::Pieces => {
                for (index, call) in turn.calls.iter().enumerate() {
                    let function = json!({"name": call.name, "arguments": ""});
                    let first =
                        json!({"index": index, "id": call_id(ids), "type": "function", "function": function});
                    deltas.push(json!({"tool_calls": [first]}));
                    deltas.extend(call.arguments.iter().map(
                        |part| json!({"tool_calls": [{"index": index, "function": {"arguments": part}}]}),
                    ));
                }
            }
            Calls::Whole | Calls::Unnumbered if !turn.calls.is_empty() => {
                let calls: Vec<Value> =
                    turn.calls.iter().enumerate().map(|(at, call)| self.call(call, at, ids)).collect();
                deltas.push(json!({"tool_calls": calls}));
            }
            Calls::Whole | Calls::Unnumbered => {}
        }
        deltas
    }

    fn call(&self, call: &Call, index: usize, ids: &mut Ids) -> Value {
        let function = json!({"name": call.name, "arguments": call.arguments.concat()});
        if self.calls == Calls::Unnumbered {
            return json!({"id": call_id(ids), "type": "function", "function": function});
        }
        json!({"index": index, "id": call_id(ids), "type": "function", "function": function})
    }

    fn finish(&self, turn: &Turn) -> &'static str {
        let word = match turn.finish {
            "insufficient_system_resource" | "aborted" => "stop",
            other => other,
        };
        self.finish.iter().find(|(openai, _)| *openai == word).map_or(word, |(_, own)| own)
    }

    fn envelope(&self, object: &str, head: &Head, choices: Value, usage: Option<Value>) -> Value {
        let mut body = json!({
            "id": head.id, "object": object, "created": head.created, "model": head.model, "choices": choices,
        });
        if let Some(body) = body.as_object_mut() {
            if let Some(usage) = usage {
                body.insert("usage".to_owned(), usage);
            }
            if let Ok(Value::Object(extra)) = serde_json::from_str(self.extra) {
                body.extend(extra);
            }
            for name in self.absent {
                body.remove(*name);
            }
        }
        body
    }
}

fn ended(answer: Answer, mode: Option<Mode>) -> Answer {
    match mode {
        Some(Mode::Cut) => answer.stopped_inside(Ending::Cut),
        Some(Mode::Stall) => answer.stopped_inside(Ending::Stall),
        _ => answer,
    }
}

fn thinking_part(text: &str) -> Value {
    json!({"type": "thinking", "thinking": [{"type": "text", "text": text}]})
}

fn lacks_reasoning(message: &Value) -> bool {
    message.get("tool_calls").is_some() && message.get("reasoning_content").is_none()
}

/// Nine letters and digits, which is what the strictest service takes back.
fn call_id(ids: &mut Ids) -> String {
    ids.letters(9)
}

fn usage(ask: &Ask, turn: &Turn) -> Value {
    let (prompt, completion) = (ask.prompt.tokens, turn.completion_tokens());
    json!({
        "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
        "completion_tokens_details": {"reasoning_tokens": turn.reasoning_tokens()},
    })
}
