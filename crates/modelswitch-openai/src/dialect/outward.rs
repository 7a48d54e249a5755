//! A whole answer, in the one shape that async-openai decodes.

use async_openai::types::chat::{
    ChatChoiceLogprobs, ChatCompletionModeration, ChatCompletionResponseMessageAnnotation,
    ChatCompletionResponseMessageAudio, CreateChatCompletionResponse, FunctionCall,
};
use async_openai::types::completions::CreateCompletionResponse;
use async_openai::types::embeddings::{CreateBase64EmbeddingResponse, CreateEmbeddingResponse};
use async_openai::types::models::{ListModelResponse, Model};
use bytes::Bytes;
use modelswitch_provider::{Error, ErrorKind, Head, Result};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Map, Value};

use super::{Context, Kind, reasoning, repair, responses};
use crate::profile::BrokenOff;
use crate::sse::BYTE_ORDER_MARK;
use crate::{Profile, error};

/// # Errors
/// The error that stands where the answer should be; [`Decode`](ErrorKind::Decode) when there is nothing to save.
pub(super) fn shape(context: &Context, body: Bytes) -> Result<Bytes> {
    let Context { profile, kind, scrub, .. } = context;
    let keep = |error: Error| match error.upstream_body() {
        None => error.with_upstream_body(scrub.body(body.clone())),
        Some(_) => error,
    };
    if conforms(profile, *kind, &body) {
        return Ok(body);
    }
    let text = body.trim_ascii();
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).trim_ascii();
    if text.is_empty() {
        return Err(keep(Error::decode("the answer is empty").with_hint(TRY_AGAIN)));
    }
    let mut value: Value = serde_json::from_slice(text).map_err(|error| keep(not_json(text, &error)))?;
    if let Some(error) =
        error::from_success(profile, scrub, &value).filter(|_| !is_failed_object(*kind, &value))
    {
        return Err(keep(error));
    }
    match kind {
        Kind::Messages | Kind::Other => return Ok(body.slice_ref(text)),
        Kind::Responses => responses::repair(&mut value),
        Kind::Chat | Kind::Completion | Kind::Embeddings | Kind::Models | Kind::Model => {
            repair(context, &mut value).map_err(keep)?;
            check(*kind, &value).map_err(keep)?;
        }
    }
    super::json(&value).map_err(keep)
}

pub(super) const TRY_AGAIN: &str = "try again; services under load answer so";

/// True when async-openai decodes the body as it is and nothing in it needs a closer look.
fn conforms(profile: &Profile, kind: Kind, body: &[u8]) -> bool {
    let mentions = |word: &[u8]| memchr::memmem::find(body, word).is_some();
    if mentions(b"\"error\"") {
        return false;
    }
    match kind {
        Kind::Chat => {
            // Without choices it decodes, and the first app that reads the first one panics.
            !reasoning::may_need_unifying(body)
                && !repair::calls_a_standard_reason_a_failure(profile)
                && serde_json::from_slice::<CreateChatCompletionResponse>(body)
                    .is_ok_and(|reply| !reply.choices.is_empty())
        }
        Kind::Completion => decodes::<CreateCompletionResponse>(body),
        Kind::Embeddings => {
            decodes::<CreateEmbeddingResponse>(body) || decodes::<CreateBase64EmbeddingResponse>(body)
        }
        Kind::Models => decodes::<ListModelResponse>(body),
        Kind::Model => decodes::<Model>(body),
        Kind::Responses => false,
        Kind::Messages => body.trim_ascii().starts_with(b"{") && decodes::<IgnoredAny>(body),
        Kind::Other => matches!(body.trim_ascii().first(), Some(b'{' | b'[')),
    }
}

fn decodes<T: DeserializeOwned>(body: &[u8]) -> bool {
    serde_json::from_slice::<T>(body).is_ok()
}

fn check(kind: Kind, value: &Value) -> Result<()> {
    const WHAT: &str = "the answer";
    match kind {
        Kind::Chat => decodes_as::<CreateChatCompletionResponse>(value, WHAT),
        Kind::Completion => decodes_as::<CreateCompletionResponse>(value, WHAT),
        Kind::Embeddings => decodes_as::<CreateEmbeddingResponse>(value, WHAT)
            .or_else(|error| decodes_as::<CreateBase64EmbeddingResponse>(value, WHAT).map_err(|_| error)),
        Kind::Models => decodes_as::<ListModelResponse>(value, WHAT),
        Kind::Model => decodes_as::<Model>(value, WHAT),
        Kind::Responses | Kind::Messages | Kind::Other => Ok(()),
    }
}

/// # Errors
/// [`Decode`](ErrorKind::Decode) with the path of what doesn't fit, when async-openai can't decode the value.
pub(super) fn decodes_as<T: DeserializeOwned>(value: &Value, what: &str) -> Result<()> {
    match serde_path_to_error::deserialize::<_, T>(value) {
        Ok(_) => Ok(()),
        Err(error) => {
            let path = error.path().to_string();
            Err(Error::decode_json(&format!("{what} (at `{path}`)"), error.inner()))
        }
    }
}

/// Puts an optional member that async-openai can't decode under another name, where nobody stumbles over it and whoever
/// knows the service still finds it.
pub(super) fn set_aside<T: DeserializeOwned>(object: &mut Map<String, Value>, name: &str) {
    if object.get(name).is_some_and(|value| !value.is_null() && T::deserialize(value).is_err())
        && let Some(value) = object.remove(name)
    {
        object.entry(format!("native_{name}")).or_insert(value);
    }
}

/// A page where JSON should be.
pub(super) fn web_page() -> Error {
    Error::decode("the answer is a web page where JSON should be")
        .with_hint("check base_url: it must be where the API begins, and often ends in /v1")
}

/// An object of the Responses, batch or file API may report a failure of its own; it is an answer all the same.
fn is_failed_object(kind: Kind, value: &Value) -> bool {
    let object = value.get("object").and_then(Value::as_str);
    matches!(kind, Kind::Responses | Kind::Other) && object.is_some_and(|object| object != "error")
}

fn not_json(text: &[u8], error: &serde_json::Error) -> Error {
    if text.starts_with(b"<") {
        return web_page();
    }
    if error.is_eof() {
        return Error::interrupted("the answer ends in the middle of its JSON");
    }
    Error::decode_json("the answer", error)
}

fn repair(context: &Context, value: &mut Value) -> Result<()> {
    if context.kind == Kind::Models {
        return repair_models(value);
    }
    let Some(object) = value.as_object_mut() else {
        return Err(Error::decode("the answer is not a JSON object"));
    };
    match context.kind {
        Kind::Chat => repair_chat(&context.profile, &context.head, object),
        Kind::Completion => repair_completion(&context.profile, &context.head, object),
        Kind::Embeddings => {
            repair_embeddings(&context.head, object);
            Ok(())
        }
        Kind::Model => {
            repair_model(object);
            Ok(())
        }
        Kind::Models | Kind::Responses | Kind::Messages | Kind::Other => Ok(()),
    }
}

/// What an answer and a chunk have in common.
pub(super) fn repair_envelope(head: &Head, object: &mut Map<String, Value>, kind: &str) {
    let model = || head.model.as_deref().unwrap_or_default().to_owned();
    repair::string_or(object, "id", || format!("modelswitch-{}", head.request_id.as_deref().unwrap_or("0")));
    repair::string_or(object, "model", model);
    object.insert("object".to_owned(), kind.into());
    repair::service_tier(object);
    repair::string_or_nothing(object, "system_fingerprint");
    set_aside::<ChatCompletionModeration>(object, "moderation");
    repair::usage(object);
}

fn repair_chat(profile: &Profile, head: &Head, object: &mut Map<String, Value>) -> Result<()> {
    repair_envelope(head, object, "chat.completion");
    repair::created(object, None);
    for (position, choice) in choices(object)?.iter_mut().enumerate() {
        let Some(choice) = choice.as_object_mut() else {
            return Err(Error::decode(format!("choices[{position}] is not an object")));
        };
        repair_index(choice, position);
        let Some(message) = choice.get_mut("message").and_then(Value::as_object_mut) else {
            return Err(Error::decode(format!("choices[{position}].message is missing")));
        };
        repair_message(profile, message);
        let calls_tools =
            message.get("tool_calls").and_then(Value::as_array).is_some_and(|calls| !calls.is_empty());
        repair_finish_reason(profile, choice, calls_tools)?;
        repair_logprobs(choice);
    }
    Ok(())
}

fn repair_message(profile: &Profile, message: &mut Map<String, Value>) {
    if !repair::is_role(message.get("role")) {
        message.insert("role".to_owned(), "assistant".into());
    }
    reasoning::unify(message, &profile.reasoning.fields);
    if message.get("content").is_some_and(|content| !content.is_string() && !content.is_null()) {
        // Whatever it is, its text is better than no answer.
        let text = message.get("content").map(Value::to_string).unwrap_or_default();
        message.insert("content".to_owned(), text.into());
    }
    string_or_null(message, "refusal");
    set_aside::<Vec<ChatCompletionResponseMessageAnnotation>>(message, "annotations");
    set_aside::<ChatCompletionResponseMessageAudio>(message, "audio");
    set_aside::<FunctionCall>(message, "function_call");
    match message.get_mut("tool_calls") {
        Some(Value::Array(calls)) => {
            for (position, call) in calls.iter_mut().enumerate() {
                repair_tool_call(call, position);
            }
        }
        Some(_) => {
            message.remove("tool_calls");
        }
        None => {}
    }
}

fn repair_tool_call(call: &mut Value, position: usize) {
    let Some(call) = call.as_object_mut() else { return };
    if call.get("type").and_then(Value::as_str) != Some("custom") {
        call.insert("type".to_owned(), "function".into());
    }
    repair::string_or(call, "id", || format!("call_{position}"));
    repair::nest_function(call);
    if let Some(function) = call.get_mut("function").and_then(Value::as_object_mut) {
        repair::arguments(function);
    }
}

fn repair_completion(profile: &Profile, head: &Head, object: &mut Map<String, Value>) -> Result<()> {
    repair_envelope(head, object, "text_completion");
    repair::created(object, None);
    for (position, choice) in choices(object)?.iter_mut().enumerate() {
        let Some(choice) = choice.as_object_mut() else {
            return Err(Error::decode(format!("choices[{position}] is not an object")));
        };
        repair_index(choice, position);
        repair::string_or(choice, "text", String::new);
        repair_finish_reason(profile, choice, false)?;
    }
    Ok(())
}

fn choices(object: &mut Map<String, Value>) -> Result<&mut Vec<Value>> {
    match object.get_mut("choices") {
        Some(Value::Array(choices)) if choices.is_empty() => Err(Error::decode("`choices` is empty")),
        Some(Value::Array(choices)) => Ok(choices),
        Some(_) => Err(Error::decode("`choices` is not a list")),
        None => Err(Error::decode("`choices` is missing")),
    }
}

pub(super) fn repair_index(item: &mut Map<String, Value>, position: usize) {
    let index = item.get("index").and_then(repair::count);
    item.insert(
        "index".to_owned(),
        index.unwrap_or_else(|| u32::try_from(position).unwrap_or_default()).into(),
    );
}

pub(super) fn string_or_null(object: &mut Map<String, Value>, name: &str) {
    if object.get(name).is_some_and(|value| !value.is_string()) {
        object.insert(name.to_owned(), Value::Null);
    }
}

pub(super) fn repair_logprobs(choice: &mut Map<String, Value>) {
    set_aside::<ChatChoiceLogprobs>(choice, "logprobs");
}

/// A finish reason as OpenAI names it, by meaning; the service's own word is kept as `native_finish_reason`.
///
/// # Errors
/// When the reason says that the answer failed.
pub(super) fn repair_finish_reason(
    profile: &Profile,
    choice: &mut Map<String, Value>,
    calls_tools: bool,
) -> Result<()> {
    let reason = match choice.get("finish_reason") {
        Some(Value::String(reason)) => reason.clone(),
        Some(Value::Null) | None => return Ok(()),
        Some(other) => other.to_string(),
    };
    let meaning = match meaning_of(profile, &reason, calls_tools) {
        Ok(meaning) => meaning,
        // Something is missing: whoever doesn't want an error must not take it for a whole answer.
        Err(_) if profile.response.broken_off == BrokenOff::FinishReason => Some("length"),
        Err(kind) => return Err(failed_by_reason(kind, &reason)),
    };
    if meaning != Some(reason.as_str()) {
        choice.insert("finish_reason".to_owned(), meaning.into());
        if !reason.is_empty() {
            choice.entry("native_finish_reason").or_insert_with(|| reason.into());
        }
    }
    Ok(())
}

/// What a finish reason is called by OpenAI; `None` for one that says nothing.
///
/// # Errors
/// The kind of failure that it means.
fn meaning_of(
    profile: &Profile,
    reason: &str,
    calls_tools: bool,
) -> std::result::Result<Option<&'static str>, ErrorKind> {
    if let Some(kind) = profile.finish_reasons.get(reason) {
        return Err(kind.kind());
    }
    Ok(match reason.to_ascii_lowercase().as_str() {
        "" => None,
        "stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence" | "complete" | "completed" | "end" => {
            Some("stop")
        }
        "tool_calls" | "tool_use" | "tool_call" => Some("tool_calls"),
        "content_filter" | "content_filtered" | "safety" | "sensitive" | "refusal" | "recitation" => {
            Some("content_filter")
        }
        "function_call" => Some("function_call"),
        "insufficient_system_resource" => return Err(ErrorKind::Overloaded),
        "aborted" | "abort" | "cancelled" | "canceled" => return Err(ErrorKind::Interrupted),
        other if other.contains("error") || other.contains("fail") => return Err(ErrorKind::Upstream),
        // Whatever it is called, an answer that was cut must not pass for a whole one.
        other if ["length", "max", "limit", "trunc", "exceed"].iter().any(|word| other.contains(word)) => {
            Some("length")
        }
        _ if calls_tools => Some("tool_calls"),
        _ => Some("stop"),
    })
}

fn failed_by_reason(kind: ErrorKind, reason: &str) -> Error {
    Error::new(kind, format!("the service broke the answer off with the finish reason `{reason}`"))
        .with_code(reason)
}

fn repair_models(value: &mut Value) -> Result<()> {
    if let Value::Array(_) = value {
        let models = value.take();
        *value = serde_json::json!({ "data": models });
    }
    let Some(object) = value.as_object_mut() else {
        return Err(Error::decode("the list of models is neither an object nor a list"));
    };
    if !object.get("data").is_some_and(Value::is_array) {
        match object.get("models") {
            Some(models @ Value::Array(_)) => {
                let models = models.clone();
                object.insert("data".to_owned(), models);
            }
            _ => return Err(Error::decode("`data` is missing in the list of models")),
        }
    }
    object.insert("object".to_owned(), "list".into());
    if let Some(models) = object.get_mut("data").and_then(Value::as_array_mut) {
        for model in models.iter_mut() {
            if let Value::String(id) = model {
                *model = serde_json::json!({ "id": id });
            }
            if let Some(model) = model.as_object_mut() {
                repair_model(model);
            }
        }
    }
    Ok(())
}

fn repair_model(model: &mut Map<String, Value>) {
    let id = ["id", "name", "model"].iter().find_map(|name| model.get(*name)?.as_str().map(str::to_owned));
    repair::string_or(model, "id", || id.unwrap_or_default());
    repair::string_or(model, "owned_by", String::new);
    model.insert("object".to_owned(), "model".into());
    // DeepSeek doesn't say when a model was made; 0 says that nobody knows.
    repair::created(model, Some(0));
}

fn repair_embeddings(head: &Head, object: &mut Map<String, Value>) {
    object.insert("object".to_owned(), "list".into());
    repair::string_or(object, "model", || head.model.as_deref().unwrap_or_default().to_owned());
    repair::usage(object);
    if !object.get("usage").is_some_and(Value::is_object) {
        object.insert("usage".to_owned(), serde_json::json!({ "prompt_tokens": 0, "total_tokens": 0 }));
    }
    if let Some(items) = object.get_mut("data").and_then(Value::as_array_mut) {
        for (position, item) in items.iter_mut().enumerate() {
            if let Some(item) = item.as_object_mut() {
                repair_index(item, position);
                item.insert("object".to_owned(), "embedding".into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shaped(kind: Kind, body: &Value) -> Result<Value> {
        let context = Context::of_test("openai-compatible", kind);
        shape(&context, body.to_string().into()).map(|bytes| serde_json::from_slice(&bytes).unwrap())
    }

    fn good() -> Value {
        json!({"id":"1","object":"chat.completion","created":7,"model":"m","choices":[{"index":0,"finish_reason":"stop",
            "message":{"role":"assistant","content":"hi","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]}}],
            "usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}})
    }

    #[test]
    fn a_conforming_answer_passes_as_the_bytes_it_came_in() {
        let context = Context::of_test("deepseek", Kind::Chat);
        let body = Bytes::from(format!(" {} \n", good()));
        assert_eq!(shape(&context, body.clone()).unwrap().as_ptr(), body.as_ptr());
    }

    /// A pointer into the good answer, what a service puts there, and what it becomes.
    #[test]
    fn every_sloppy_value_is_repaired() {
        let same = good();
        let missing = json!("missing");
        let table = [
            ("/id", json!(null), "/id", json!("modelswitch-0")),
            ("/id", json!(5), "/id", json!("5")),
            ("/object", missing.clone(), "/object", json!("chat.completion")),
            ("/model", missing.clone(), "/model", json!("asked")),
            ("/created", json!(1705651092.5), "/created", json!(1705651092)),
            ("/created", json!("1705651092"), "/created", json!(1705651092)),
            ("/created", json!(1705651092123u64), "/created", json!(1705651092)),
            ("/service_tier", json!("on_demand"), "/native_service_tier", json!("on_demand")),
            ("/system_fingerprint", json!(5), "/system_fingerprint", missing.clone()),
            ("/usage", json!({}), "/usage", json!(null)),
            ("/usage/total_tokens", missing.clone(), "/usage/total_tokens", json!(3)),
            ("/choices/0/index", missing.clone(), "/choices/0/index", json!(0)),
            ("/choices/0/message/role", missing.clone(), "/choices/0/message/role", json!("assistant")),
            ("/choices/0/message/content", missing.clone(), "/choices/0/message/content", missing.clone()),
            (
                "/choices/0/message/content",
                json!([{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"hi"}]),
                "/choices/0/message/reasoning_content",
                json!("hm"),
            ),
            (
                "/choices/0/message/content",
                json!([{"type":"text","text":"hi"}]),
                "/choices/0/message/content",
                json!("hi"),
            ),
            (
                "/choices/0/message/reasoning",
                json!("hm"),
                "/choices/0/message/reasoning_content",
                json!("hm"),
            ),
            (
                "/choices/0/message/tool_calls/0/type",
                missing.clone(),
                "/choices/0/message/tool_calls/0/type",
                json!("function"),
            ),
            (
                "/choices/0/message/tool_calls/0/id",
                missing.clone(),
                "/choices/0/message/tool_calls/0/id",
                json!("call_0"),
            ),
            (
                "/choices/0/message/tool_calls/0/function/arguments",
                json!({"a":1}),
                "/choices/0/message/tool_calls/0/function/arguments",
                json!("{\"a\":1}"),
            ),
            ("/choices/0/finish_reason", json!(""), "/choices/0/finish_reason", json!(null)),
            ("/choices/0/finish_reason", json!("end_turn"), "/choices/0/finish_reason", json!("stop")),
            ("/choices/0/finish_reason", json!("MAX_TOKENS"), "/choices/0/finish_reason", json!("length")),
            (
                "/choices/0/finish_reason",
                json!("something_new"),
                "/choices/0/native_finish_reason",
                json!("something_new"),
            ),
        ];
        for (at, sent, look, wanted) in table {
            let mut body = same.clone();
            let (parent, name) = at.rsplit_once('/').unwrap();
            let parent = body.pointer_mut(parent).unwrap().as_object_mut().unwrap();
            if sent == missing {
                parent.remove(name);
            } else {
                parent.insert(name.to_owned(), sent.clone());
            }
            let out = shaped(Kind::Chat, &body).unwrap_or_else(|error| panic!("{at} {sent}: {error}"));
            assert_eq!(out.pointer(look).unwrap_or(&missing), &wanted, "{at} {sent}");
        }
    }

    #[test]
    fn what_cannot_be_saved_is_a_decode_error_that_names_the_place() {
        for (body, place) in [
            (json!({"id":"1"}), "choices"),
            (json!({"choices":null}), "choices"),
            (json!({"choices":[{"message":null}]}), "choices[0].message"),
            (json!({"choices":[7]}), "choices[0]"),
            (json!([1]), "object"),
        ] {
            let error = shaped(Kind::Chat, &body).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Decode, "{body}");
            assert!(error.message().contains(place), "{body}: {error}");
        }
    }

    #[test]
    fn a_finish_reason_that_is_a_failure_is_an_error() {
        for (reason, kind) in [
            ("insufficient_system_resource", ErrorKind::Overloaded),
            ("aborted", ErrorKind::Interrupted),
            ("error", ErrorKind::Upstream),
        ] {
            let mut body = good();
            body["choices"][0]["finish_reason"] = json!(reason);
            assert_eq!(shaped(Kind::Chat, &body).unwrap_err().kind(), kind);
        }
    }

    #[test]
    fn empty_cut_and_foreign_bodies_are_errors_of_the_right_kind() {
        let context = Context::of_test("deepseek", Kind::Chat);
        for (body, kind) in [
            ("", ErrorKind::Decode),
            (" \n\n ", ErrorKind::Decode),
            ("<html>", ErrorKind::Decode),
            ("{\"id\":", ErrorKind::Interrupted),
            ("oops", ErrorKind::Decode),
        ] {
            let error = shape(&context, Bytes::from_static(body.as_bytes())).unwrap_err();
            assert_eq!(error.kind(), kind, "{body:?}");
        }
    }

    #[test]
    fn lists_of_models_of_every_shape_are_listed() {
        for body in [
            json!({"object":"list","data":[{"id":"a","object":"model","owned_by":"deepseek"}]}),
            json!({"data":[{"id":"a"}]}),
            json!([{"id":"a"}]),
            json!({"models":[{"name":"a"}]}),
            json!({"data":["a"]}),
        ] {
            let out = shaped(Kind::Models, &body).unwrap();
            assert_eq!(
                (&out["data"][0]["id"], &out["data"][0]["created"]),
                (&json!("a"), &json!(0)),
                "{body}"
            );
        }
    }

    #[test]
    fn embeddings_without_usage_or_index_are_completed() {
        let out = shaped(Kind::Embeddings, &json!({"data":[{"embedding":[0.5]},{"embedding":[1]}]})).unwrap();
        assert_eq!(out["data"][1]["index"], 1);
    }

    proptest::proptest! {
        /// Any JSON in place of any member: never a panic, and either something async-openai decodes or an error.
        #[test]
        fn any_value_anywhere_is_decodable_or_an_error(path in 0usize..24, value in 0usize..12) {
            let pointers = ["/id","/object","/created","/model","/choices","/choices/0","/choices/0/index","/choices/0/message",
                "/choices/0/message/role","/choices/0/message/content","/choices/0/message/tool_calls","/choices/0/message/tool_calls/0",
                "/choices/0/message/tool_calls/0/id","/choices/0/message/tool_calls/0/type","/choices/0/message/tool_calls/0/function",
                "/choices/0/message/tool_calls/0/function/name","/choices/0/message/tool_calls/0/function/arguments","/choices/0/finish_reason",
                "/usage","/usage/prompt_tokens","/usage/total_tokens","","/choices/0/message/reasoning_content","/choices/0/logprobs"];
            let values = [json!(null), json!(true), json!(-1), json!(1.5), json!(1e300), json!(""), json!("x"), json!([]), json!([null]), json!({}), json!({"a":{"b":[1]}}), json!(99999999999u64)];
            let mut body = good();
            if let Some(place) = body.pointer_mut(pointers[path]) {
                *place = values[value].clone();
            }
            if let Ok(out) = shaped(Kind::Chat, &body) {
                proptest::prop_assert!(serde_json::from_value::<CreateChatCompletionResponse>(out).is_ok());
            }
        }
    }
}
