//! A chunk of a streamed answer, in the one shape that async-openai decodes.

use std::borrow::Cow;

use async_openai::types::chat::CreateChatCompletionStreamResponse;
use async_openai::types::completions::CreateCompletionResponse;
use bytes::Bytes;
use modelswitch_provider::{Error, Result, ToolCallSlots};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::outward::{
    decodes_as, repair_envelope, repair_finish_reason, repair_index, repair_logprobs, set_aside,
    string_or_null,
};
use super::{Context, Kind, reasoning, repair};
use crate::{Profile, error};

/// What the chunks of one stream have told so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    id: Option<String>,
    created: Option<u32>,
    choices: Vec<SeenChoice>,
}

/// What the chunks have told of one choice.
#[derive(Debug, Default)]
struct SeenChoice {
    index: u32,
    ended: bool,
    calls_tools: bool,
    slots: ToolCallSlots,
}

/// More than any service answers; a stream that invents new ones for ever must not fill the memory.
const MOST_CHOICES: usize = 128;

impl Seen {
    /// True when each choice that began has ended.
    pub(super) fn is_finished(&self) -> bool {
        !self.choices.is_empty() && self.choices.iter().all(|choice| choice.ended)
    }

    /// `None` beyond the most choices that are told apart.
    fn choice(&mut self, index: u32) -> Option<&mut SeenChoice> {
        let position = match self.choices.iter().position(|choice| choice.index == index) {
            Some(position) => position,
            None if self.choices.len() < MOST_CHOICES => {
                self.choices.push(SeenChoice { index, ..SeenChoice::default() });
                self.choices.len() - 1
            }
            None => return None,
        };
        self.choices.get_mut(position)
    }
}

/// # Errors
/// The error that stands where a chunk should be; [`Decode`](modelswitch_provider::ErrorKind::Decode) when there is
/// nothing to save.
pub(super) fn shape(context: &Context, seen: &mut Seen, data: Bytes) -> Result<Bytes> {
    if context.kind == Kind::Chat
        && !reasoning::may_need_unifying(&data)
        && let Ok(look) = serde_json::from_slice::<Look<'_>>(&data)
        && look.conforms(&context.profile)
        && look.choices.iter().all(|choice| choice.pairs_up(seen))
    {
        if seen.id.is_none() {
            seen.id = Some(look.id.0.into_owned());
            seen.created = Some(look.created);
        }
        return Ok(data);
    }
    let mut value: Value =
        serde_json::from_slice(&data).map_err(|error| Error::decode_json("a chunk of the stream", &error))?;
    if let Some(error) = error::from_success(&context.profile, &context.scrub, &value) {
        return Err(error.with_upstream_body(context.scrub.body(data)));
    }
    let Some(object) = value.as_object_mut() else {
        return Err(Error::decode("a chunk of the stream is not a JSON object"));
    };
    repair_chunk(context, seen, object)?;
    match context.kind {
        Kind::Chat => decodes_as::<CreateChatCompletionStreamResponse>(&value, "a chunk of the stream")?,
        _ => decodes_as::<CreateCompletionResponse>(&value, "a chunk of the stream")?,
    }
    super::json(&value)
}

fn repair_chunk(context: &Context, seen: &mut Seen, object: &mut Map<String, Value>) -> Result<()> {
    let is_chat = context.kind == Kind::Chat;
    if let Some(id) = &seen.id
        && !object.get("id").is_some_and(Value::is_string)
    {
        object.insert("id".to_owned(), id.clone().into());
    }
    repair_envelope(&context.head, object, if is_chat { "chat.completion.chunk" } else { "text_completion" });
    repair::created(object, seen.created);
    seen.created = object.get("created").and_then(repair::count);
    seen.id = object.get("id").and_then(Value::as_str).map(str::to_owned);
    if !object.get("choices").is_some_and(Value::is_array) {
        // A chunk that only carries usage, or nothing.
        object.insert("choices".to_owned(), Value::Array(Vec::new()));
    }
    string_or_null(object, "obfuscation");
    let Some(choices) = object.get_mut("choices").and_then(Value::as_array_mut) else { return Ok(()) };
    for (position, choice) in choices.iter_mut().enumerate() {
        let Some(choice) = choice.as_object_mut() else {
            return Err(Error::decode(format!("choices[{position}] of a chunk is not an object")));
        };
        repair_index(choice, position);
        let index = choice.get("index").and_then(repair::count).unwrap_or_default();
        let mut spare = SeenChoice::default();
        let seen = seen.choice(index).unwrap_or(&mut spare);
        if is_chat {
            repair_delta(&context.profile, seen, choice);
        } else {
            repair::string_or(choice, "text", String::new);
        }
        repair_finish_reason(&context.profile, choice, seen.calls_tools)?;
        repair_logprobs(choice);
        seen.ended |= choice.get("finish_reason").is_some_and(Value::is_string);
    }
    Ok(())
}

fn repair_delta(profile: &Profile, seen: &mut SeenChoice, choice: &mut Map<String, Value>) {
    if !choice.get("delta").is_some_and(Value::is_object) {
        // Some services send the whole message where a delta should be.
        let message = choice.get("message").filter(|message| message.is_object()).cloned();
        choice.insert("delta".to_owned(), message.unwrap_or_else(|| Value::Object(Map::new())));
    }
    let Some(delta) = choice.get_mut("delta").and_then(Value::as_object_mut) else { return };
    if delta.contains_key("role") && !repair::is_role(delta.get("role")) {
        delta.remove("role");
    }
    reasoning::unify(delta, &profile.reasoning.fields);
    string_or_null(delta, "content");
    string_or_null(delta, "refusal");
    set_aside::<async_openai::types::chat::FunctionCallStream>(delta, "function_call");
    set_aside::<async_openai::types::chat::ChatCompletionStreamAudio>(delta, "audio");
    match delta.get_mut("tool_calls") {
        Some(Value::Array(pieces)) => {
            pieces.retain(Value::is_object);
            seen.calls_tools |= !pieces.is_empty();
            for piece in pieces.iter_mut().filter_map(Value::as_object_mut) {
                repair_piece(seen, piece);
            }
        }
        Some(Value::Null) | None => {}
        Some(_) => {
            delta.remove("tool_calls");
        }
    }
}

fn repair_piece(seen: &mut SeenChoice, piece: &mut Map<String, Value>) {
    repair::string_or_nothing(piece, "id");
    if piece.get("type").is_some_and(|kind| kind.as_str() != Some("function")) {
        piece.insert("type".to_owned(), "function".into());
    }
    repair::nest_function(piece);
    match piece.get_mut("function") {
        Some(Value::Object(function)) => {
            string_or_null(function, "name");
            if function.contains_key("arguments") {
                repair::arguments(function);
            }
        }
        Some(_) => {
            piece.remove("function");
        }
        None => {}
    }
    let given = piece.get("index").and_then(repair::count);
    let slot = seen.slots.slot(given, piece.get("id").and_then(Value::as_str));
    piece.insert("index".to_owned(), slot.into());
}

/// As much of a chunk as tells whether async-openai decodes it, borrowed from its text: no copy, hardly an allocation.
#[derive(Deserialize)]
struct Look<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow, rename = "object")]
    _object: Text<'a>,
    created: u32,
    #[serde(borrow, rename = "model")]
    _model: Text<'a>,
    #[serde(borrow)]
    choices: Vec<LookChoice<'a>>,
    #[serde(default, rename = "usage")]
    _usage: Option<LookUsage>,
    #[serde(default, rename = "service_tier")]
    _service_tier: Option<LookTier>,
    #[serde(borrow, default, rename = "system_fingerprint")]
    _system_fingerprint: Option<Text<'a>>,
    #[serde(borrow, default, rename = "obfuscation")]
    _obfuscation: Option<Text<'a>>,
    #[serde(default)]
    error: Option<IgnoredAny>,
    #[serde(default)]
    moderation: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct LookChoice<'a> {
    index: u32,
    #[serde(borrow)]
    delta: LookDelta<'a>,
    #[serde(default)]
    finish_reason: Option<LookReason>,
    #[serde(default)]
    logprobs: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct LookDelta<'a> {
    #[serde(borrow, default, rename = "content")]
    _content: Option<Text<'a>>,
    #[serde(borrow, default, rename = "reasoning_content")]
    _reasoning_content: Option<Text<'a>>,
    #[serde(borrow, default, rename = "refusal")]
    _refusal: Option<Text<'a>>,
    #[serde(default, rename = "role")]
    _role: Option<LookRole>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<LookCall<'a>>>,
    #[serde(default)]
    function_call: Option<IgnoredAny>,
    #[serde(default)]
    audio: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct LookCall<'a> {
    index: u32,
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(default, rename = "type")]
    _type: Option<LookFunction>,
    #[serde(borrow, default, rename = "function")]
    _function: Option<LookCallFunction<'a>>,
}

#[derive(Deserialize)]
struct LookCallFunction<'a> {
    #[serde(borrow, default, rename = "name")]
    _name: Option<Text<'a>>,
    #[serde(borrow, default, rename = "arguments")]
    _arguments: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct LookUsage {
    #[serde(rename = "prompt_tokens")]
    _prompt: u32,
    #[serde(rename = "completion_tokens")]
    _completion: u32,
    #[serde(rename = "total_tokens")]
    _total: u32,
    #[serde(default, rename = "prompt_tokens_details")]
    _prompt_details: Option<LookDetails>,
    #[serde(default, rename = "completion_tokens_details")]
    _completion_details: Option<LookDetails>,
}

#[derive(Deserialize)]
struct LookDetails {
    #[serde(default, rename = "cached_tokens")]
    _cached: Option<u32>,
    #[serde(default, rename = "reasoning_tokens")]
    _reasoning: Option<u32>,
    #[serde(default, rename = "audio_tokens")]
    _audio: Option<u32>,
    #[serde(default, rename = "accepted_prediction_tokens")]
    _accepted: Option<u32>,
    #[serde(default, rename = "rejected_prediction_tokens")]
    _rejected: Option<u32>,
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum LookRole {
    Developer,
    System,
    User,
    Assistant,
    Tool,
    Function,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum LookReason {
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
    FunctionCall,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum LookFunction {
    Function,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum LookTier {
    Auto,
    Default,
    Flex,
    Scale,
    Priority,
    Fast,
}

impl Look<'_> {
    /// True when nothing is in it that must be looked at more closely.
    fn conforms(&self, profile: &Profile) -> bool {
        let plain = |choice: &LookChoice<'_>| {
            let reason_is_plain =
                choice.finish_reason.is_none() || !repair::calls_a_standard_reason_a_failure(profile);
            let delta = &choice.delta;
            choice.logprobs.is_none()
                && delta.function_call.is_none()
                && delta.audio.is_none()
                && reason_is_plain
        };
        self.error.is_none() && self.moderation.is_none() && self.choices.iter().all(plain)
    }
}

impl LookChoice<'_> {
    /// Notes what the choice tells. False when a piece of a tool call belongs elsewhere than its index says.
    fn pairs_up(&self, seen: &mut Seen) -> bool {
        let Some(seen) = seen.choice(self.index) else { return true };
        seen.ended |= self.finish_reason.is_some();
        self.delta.tool_calls.iter().flatten().all(|piece| {
            seen.calls_tools = true;
            seen.slots.slot(Some(piece.index), piece.id.as_ref().map(|id| &*id.0)) == piece.index
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use modelswitch_provider::ErrorKind;
    use serde_json::json;

    fn run(profile: &str, chunks: &[Value]) -> Result<Vec<Value>> {
        let context = Context::of_test(profile, Kind::Chat);
        let mut seen = Seen::default();
        chunks
            .iter()
            .map(|chunk| shape(&context, &mut seen, chunk.to_string().into()))
            .map(|bytes| bytes.map(|bytes| serde_json::from_slice(&bytes).unwrap()))
            .collect()
    }

    fn good(delta: Value) -> Value {
        json!({"id":"1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":delta,"logprobs":null,"finish_reason":null}],"usage":null})
    }

    #[test]
    fn a_conforming_chunk_passes_as_the_bytes_it_came_in() {
        let context = Context::of_test("deepseek", Kind::Chat);
        for delta in [
            json!({"role":"assistant","content":null,"reasoning_content":""}),
            json!({"content":"x\n\u{e9}","reasoning_content":null}),
            json!({"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":""}}]}),
            json!({}),
        ] {
            let data = Bytes::from(good(delta).to_string());
            let out = shape(&context, &mut Seen::default(), data.clone()).unwrap();
            assert_eq!(out.as_ptr(), data.as_ptr());
        }
    }

    #[test]
    fn whatever_passes_the_look_async_openai_decodes() {
        let profile = Profile::embedded("deepseek").unwrap();
        let chunk = json!({"id":"1","object":"x","created":7,"model":"m","service_tier":"default","system_fingerprint":"f",
            "choices":[{"index":1,"delta":{"role":"assistant","refusal":null,"tool_calls":[]},"finish_reason":"tool_calls"}],
            "usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"prompt_tokens_details":{"cached_tokens":1},"completion_tokens_details":{"reasoning_tokens":1}}});
        let look: Look<'_> = serde_json::from_str(Box::leak(chunk.to_string().into_boxed_str())).unwrap();
        assert!(look.conforms(&profile));
        assert!(serde_json::from_value::<CreateChatCompletionStreamResponse>(chunk).is_ok());
    }

    #[test]
    fn what_is_missing_is_filled_in_the_same_in_every_chunk() {
        let out = run(
            "openai-compatible",
            &[
                json!({"id":"a","created":9,"choices":[{"delta":{"content":"x"}}]}),
                json!({"choices":[{"delta":null}]}),
                json!({"usage":{"prompt_tokens":1,"completion_tokens":1}}),
            ],
        )
        .unwrap();
        for chunk in &out {
            assert_eq!(
                (&chunk["id"], &chunk["created"], &chunk["model"]),
                (&json!("a"), &json!(9), &json!("asked"))
            );
        }
        assert_eq!(out[1]["choices"][0]["delta"], json!({}));
        assert_eq!((&out[2]["choices"], &out[2]["usage"]["total_tokens"]), (&json!([]), &json!(2)));
    }

    #[test]
    fn reasoning_is_always_reasoning_content() {
        let out = run(
            "vllm",
            &[
                good(json!({"reasoning":"hm"})),
                good(json!({"reasoning":"","content":"x"})),
                good(json!({"content":[{"type":"thinking","thinking":"hm"}]})),
            ],
        )
        .unwrap();
        assert_eq!(out[0]["choices"][0]["delta"]["reasoning_content"], "hm");
        assert_eq!(out[1]["choices"][0]["delta"]["content"], "x");
        assert_eq!(out[2]["choices"][0]["delta"]["reasoning_content"], "hm");
    }

    #[test]
    fn tool_call_pieces_without_an_index_pair_up() {
        let piece = |call: Value| good(json!({"tool_calls":[call]}));
        let out = run(
            "openai-compatible",
            &[
                piece(json!({"id":"a","function":{"name":"f","arguments":"1"}})),
                piece(json!({"function":{"arguments":"2"}})),
                piece(json!({"id":"b","type":"","function":{"name":"g","arguments":{"x":1}}})),
                piece(json!({"id":"a","function":{"arguments":"3"}})),
            ],
        )
        .unwrap();
        let indices: Vec<_> =
            out.iter().map(|chunk| chunk["choices"][0]["delta"]["tool_calls"][0]["index"].clone()).collect();
        assert_eq!(indices, [0, 0, 1, 0]);
        assert_eq!(out[2]["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"], "{\"x\":1}");
    }

    #[test]
    fn pieces_after_well_numbered_ones_and_two_calls_under_one_index_pair_up_too() {
        let piece = |call: Value| good(json!({"tool_calls":[call]}));
        let indices = |chunks: &[Value]| -> Vec<Value> {
            let out = run("openai-compatible", chunks).unwrap();
            out.iter().map(|chunk| chunk["choices"][0]["delta"]["tool_calls"][0]["index"].clone()).collect()
        };
        let numbered = |index: u32, id: &str| {
            piece(json!({"index":index,"id":id,"type":"function","function":{"name":"f","arguments":""}}))
        };
        let bare = piece(json!({"function":{"arguments":"1"}}));
        assert_eq!(indices(&[numbered(0, "a"), numbered(1, "b"), bare]), [0, 1, 1]);
        let more = piece(json!({"index":0,"function":{"arguments":"1"}}));
        assert_eq!(indices(&[numbered(0, "a"), numbered(0, "b"), more]), [0, 1, 1]);
    }

    #[test]
    fn errors_in_the_middle_of_a_stream_are_errors() {
        for (chunk, kind) in [
            (json!({"error":{"message":"it broke"}}), ErrorKind::Upstream),
            (
                json!({"id":"1","choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}],"error":{"code":502,"message":"bad gateway"}}),
                ErrorKind::Upstream,
            ),
            (
                json!({"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"insufficient_system_resource"}]}),
                ErrorKind::Overloaded,
            ),
            (
                json!({"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"aborted"}]}),
                ErrorKind::Interrupted,
            ),
            (json!([1]), ErrorKind::Decode),
        ] {
            assert_eq!(run("deepseek", std::slice::from_ref(&chunk)).unwrap_err().kind(), kind, "{chunk}");
        }
    }

    #[test]
    fn log_probabilities_of_reasoning_are_kept() {
        let chunk = json!({"id":"1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{"reasoning_content":"x"},"logprobs":{"reasoning_content":[{"token":"x"}]},"finish_reason":null}]});
        assert_eq!(run("deepseek", std::slice::from_ref(&chunk)).unwrap()[0], chunk);
    }
}
