//! A chunk of a streamed answer, in the one shape that async-openai decodes.

use std::borrow::Cow;

use async_openai::types::chat::CreateChatCompletionStreamResponse;
use async_openai::types::completions::CreateCompletionResponse;
use bytes::Bytes;
use modelswitch_provider::{Error, Head, Result};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::outward::{repair_envelope, repair_finish_reason, repair_index, repair_logprobs, string_or_null};
use super::{Kind, reasoning, repair};
use crate::{Profile, error};

/// What the chunks of one stream have told so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    id: Option<String>,
    created: Option<u32>,
    /// Choices that have begun, and those that have ended, by their index.
    begun: Vec<u32>,
    ended: Vec<u32>,
    calls: Vec<Calls>,
}

/// The tool calls of one choice, for services that leave their index out.
#[derive(Debug, Default)]
struct Calls {
    choice: u32,
    ids: Vec<Option<String>>,
}

impl Seen {
    /// True when each choice that began has ended.
    pub(super) fn is_finished(&self) -> bool {
        !self.begun.is_empty() && self.begun.iter().all(|choice| self.ended.contains(choice))
    }

    fn note(&mut self, choice: u32, ended: bool) {
        if !self.begun.contains(&choice) && self.begun.len() < MOST_CHOICES {
            self.begun.push(choice);
        }
        if ended && !self.ended.contains(&choice) && self.ended.len() < MOST_CHOICES {
            self.ended.push(choice);
        }
    }
}

/// More than any service answers; a stream that invents new ones for ever must not fill the memory.
const MOST_CHOICES: usize = 1024;

/// # Errors
/// The error that stands where a chunk should be; [`Decode`](modelswitch_provider::ErrorKind::Decode) when there is
/// nothing to save.
pub(super) fn shape(
    profile: &Profile,
    kind: Kind,
    head: &Head,
    seen: &mut Seen,
    data: Bytes,
) -> Result<Bytes> {
    if kind == Kind::Chat
        && !reasoning::may_need_unifying(&data)
        && let Ok(look) = serde_json::from_slice::<Look<'_>>(&data)
        && look.conforms(profile)
    {
        for choice in &look.choices {
            seen.note(choice.index, choice.finish_reason.is_some());
        }
        if seen.id.is_none() {
            seen.id = Some(look.id.0.into_owned());
            seen.created = Some(look.created);
        }
        return Ok(data);
    }
    let mut value: Value =
        serde_json::from_slice(&data).map_err(|error| Error::decode_json("a chunk of the stream", &error))?;
    if let Some(error) = error::from_success(profile, &value) {
        return Err(error.with_upstream_body(data));
    }
    let Some(object) = value.as_object_mut() else {
        return Err(Error::decode("a chunk of the stream is not a JSON object"));
    };
    repair_chunk(profile, kind, head, seen, object)?;
    let decodes = match kind {
        Kind::Chat => CreateChatCompletionStreamResponse::deserialize(&value).map(drop),
        _ => CreateCompletionResponse::deserialize(&value).map(drop),
    };
    decodes.map_err(|error| Error::decode_json("a chunk of the stream", &error))?;
    serde_json::to_vec(&value)
        .map(Bytes::from)
        .map_err(|_| Error::decode("a chunk of the stream can't be written again"))
}

fn repair_chunk(
    profile: &Profile,
    kind: Kind,
    head: &Head,
    seen: &mut Seen,
    object: &mut Map<String, Value>,
) -> Result<()> {
    if let Some(id) = &seen.id
        && !object.get("id").is_some_and(Value::is_string)
    {
        object.insert("id".to_owned(), id.clone().into());
    }
    repair_envelope(
        head,
        object,
        if kind == Kind::Chat { "chat.completion.chunk" } else { "text_completion" },
    );
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
        if kind == Kind::Chat {
            repair_delta(profile, seen, index, choice);
        } else {
            repair::string_or(choice, "text", String::new);
        }
        let calls_tools = seen.calls.iter().any(|calls| calls.choice == index);
        repair_finish_reason(profile, choice, calls_tools)?;
        repair_logprobs(choice);
        seen.note(index, choice.get("finish_reason").is_some_and(Value::is_string));
    }
    Ok(())
}

fn repair_delta(profile: &Profile, seen: &mut Seen, index: u32, choice: &mut Map<String, Value>) {
    if !choice.get("delta").is_some_and(Value::is_object) {
        // Some services send the whole message where a delta should be.
        let message = choice.get("message").filter(|message| message.is_object()).cloned();
        choice.insert("delta".to_owned(), message.unwrap_or_else(|| Value::Object(Map::new())));
    }
    let Some(delta) = choice.get_mut("delta").and_then(Value::as_object_mut) else { return };
    let known = ["developer", "system", "user", "assistant", "tool", "function"];
    if delta.get("role").is_some_and(|role| !role.as_str().is_some_and(|role| known.contains(&role))) {
        delta.remove("role");
    }
    reasoning::unify(delta, &profile.reasoning.fields);
    string_or_null(delta, "content");
    string_or_null(delta, "refusal");
    match delta.get_mut("tool_calls") {
        Some(Value::Array(pieces)) => {
            pieces.retain(Value::is_object);
            for piece in pieces.iter_mut().filter_map(Value::as_object_mut) {
                repair_piece(seen, index, piece);
            }
        }
        Some(Value::Null) | None => {}
        Some(_) => {
            delta.remove("tool_calls");
        }
    }
}

fn repair_piece(seen: &mut Seen, choice: u32, piece: &mut Map<String, Value>) {
    repair::string_or_nothing(piece, "id");
    if piece.get("type").is_some_and(|kind| kind.as_str() != Some("function")) {
        piece.insert("type".to_owned(), "function".into());
    }
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
    let id = piece.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned);
    let given = piece.get("index").and_then(repair::count);
    let index = seen.call_index(choice, given, id);
    piece.insert("index".to_owned(), index.into());
}

impl Seen {
    /// Where a service leaves the index out, a new id begins a new call and anything else goes on with the last one.
    fn call_index(&mut self, choice: u32, given: Option<u32>, id: Option<String>) -> u32 {
        let position = match self.calls.iter().position(|calls| calls.choice == choice) {
            Some(position) => position,
            None => {
                self.calls.push(Calls { choice, ids: Vec::new() });
                self.calls.len() - 1
            }
        };
        let Some(calls) = self.calls.get_mut(position) else { return 0 };
        if let Some(given) = given {
            let slot = usize::try_from(given).unwrap_or_default();
            if slot < MOST_CHOICES && calls.ids.len() <= slot {
                calls.ids.resize(slot + 1, None);
            }
            if let (Some(known), Some(id)) = (calls.ids.get_mut(slot), id) {
                *known = Some(id);
            }
            return given;
        }
        let known = id.as_ref().and_then(|id| calls.ids.iter().position(|known| known.as_ref() == Some(id)));
        let slot = match (known, id) {
            (Some(slot), _) => slot,
            (None, Some(id)) if calls.ids.len() < MOST_CHOICES => {
                calls.ids.push(Some(id));
                calls.ids.len() - 1
            }
            _ => {
                if calls.ids.is_empty() {
                    calls.ids.push(None);
                }
                calls.ids.len() - 1
            }
        };
        u32::try_from(slot).unwrap_or_default()
    }
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
    #[serde(borrow, default, rename = "tool_calls")]
    _tool_calls: Option<Vec<LookCall<'a>>>,
    #[serde(default)]
    function_call: Option<IgnoredAny>,
    #[serde(default)]
    audio: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct LookCall<'a> {
    #[serde(rename = "index")]
    _index: u32,
    #[serde(borrow, default, rename = "id")]
    _id: Option<Text<'a>>,
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
            choice.logprobs.is_none() && choice.delta.function_call.is_none() && choice.delta.audio.is_none()
        };
        let reasons = profile.finish_reasons.is_empty()
            || self.choices.iter().all(|choice| choice.finish_reason.is_none())
            || !self.reason_is_failure(profile);
        self.error.is_none() && self.moderation.is_none() && self.choices.iter().all(plain) && reasons
    }

    /// A profile may call one of the standard reasons a failure.
    fn reason_is_failure(&self, profile: &Profile) -> bool {
        ["stop", "length", "tool_calls", "content_filter", "function_call"]
            .iter()
            .any(|reason| profile.finish_reasons.contains_key(*reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use modelswitch_provider::ErrorKind;
    use serde_json::json;

    fn run(profile: &str, chunks: &[Value]) -> Result<Vec<Value>> {
        let profile = Profile::embedded(profile).unwrap();
        let mut head = Head::default();
        head.model = Some("asked".into());
        let mut seen = Seen::default();
        chunks
            .iter()
            .map(|chunk| shape(&profile, Kind::Chat, &head, &mut seen, chunk.to_string().into()))
            .map(|bytes| bytes.map(|bytes| serde_json::from_slice(&bytes).unwrap()))
            .collect()
    }

    fn good(delta: Value) -> Value {
        json!({"id":"1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":delta,"logprobs":null,"finish_reason":null}],"usage":null})
    }

    #[test]
    fn a_conforming_chunk_passes_as_the_bytes_it_came_in() {
        let profile = Profile::embedded("deepseek").unwrap();
        for delta in [
            json!({"role":"assistant","content":null,"reasoning_content":""}),
            json!({"content":"x\n\u{e9}","reasoning_content":null}),
            json!({"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":""}}]}),
            json!({}),
        ] {
            let data = Bytes::from(good(delta).to_string());
            let out =
                shape(&profile, Kind::Chat, &Head::default(), &mut Seen::default(), data.clone()).unwrap();
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
