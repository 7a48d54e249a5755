//! A whole answer, in the one shape that async-openai decodes.

use std::sync::LazyLock;

use async_openai::types::chat::CreateChatCompletionResponse;
use async_openai::types::completions::CreateCompletionResponse;
use async_openai::types::embeddings::{CreateBase64EmbeddingResponse, CreateEmbeddingResponse};
use async_openai::types::models::{ListModelResponse, Model};
use bytes::Bytes;
use memchr::memmem::Finder;
use modelswitch_provider::{Error, Result};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use super::fit::fit;
use super::{Context, Kind, embeddings, finish, look, mend, models, responses, usage, whole};
use crate::adapter::to_json;
use crate::error;
use crate::profile::Vectors;
use crate::sse::BYTE_ORDER_MARK;

/// # Errors
/// The error that stands where the answer should be; [`Decode`](modelswitch_provider::ErrorKind::Decode) when there is
/// nothing to save.
pub(super) fn shape(context: &Context, body: Bytes) -> Result<Bytes> {
    if conforms(context, &body) { Ok(body) } else { read(context, &body) }
}

/// As [`shape`], whether it conforms or not.
pub(super) fn read(context: &Context, body: &Bytes) -> Result<Bytes> {
    let Context { profile, kind, scrub, head, .. } = context;
    let keep = |error: Error| match error.upstream_body() {
        None => error.with_upstream_body(scrub.body(body.clone())),
        Some(_) => error,
    };
    let with_headers = |error| error::with_headers(error, profile, &head.headers);
    let text = body.trim_ascii();
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).trim_ascii();
    if text.is_empty() {
        return Err(keep(Error::decode("the answer is empty").with_hint(TRY_AGAIN)));
    }
    let mut value: Value = mend::parse(text).map_err(|error| keep(not_json(text, &error)))?;
    if *kind != Kind::Other {
        unwrap_list(*kind, &mut value);
    }
    if let Some(error) =
        error::from_success(profile, scrub, &value).filter(|_| !is_failed_object(*kind, &value))
    {
        return Err(keep(with_headers(error)));
    }
    match kind {
        Kind::Messages | Kind::Other => return Ok(body.slice_ref(text)),
        Kind::Chat | Kind::Completion | Kind::Embeddings | Kind::Models | Kind::Model | Kind::Responses => {
            let repaired = repair(context, &mut value);
            repaired.map_err(|error| instead(context, &value).map_or(error, with_headers)).map_err(keep)?
        }
    }
    to_json(&value).map_err(keep)
}

pub(super) const TRY_AGAIN: &str = "try again; services under load answer so";
/// What an answer is called in the error that says what of it doesn't fit.
const WHAT: &str = "the answer";

/// True when async-openai decodes the body as it is and nothing in it needs a closer look.
pub(super) fn conforms(context: &Context, body: &[u8]) -> bool {
    match context.kind {
        Kind::Chat => chat_conforms(context, body),
        _ if may_have_error(body) || look::base_may_fail(body) => false,
        Kind::Completion => usage::is_in_shape(body) && decodes::<CreateCompletionResponse>(body),
        Kind::Embeddings if context.wants_base64 => {
            context.profile.response.vectors == Vectors::Float32
                && decodes::<CreateBase64EmbeddingResponse>(body)
        }
        Kind::Embeddings => decodes::<CreateEmbeddingResponse>(body),
        Kind::Models => decodes::<ListModelResponse>(body),
        Kind::Model => decodes::<Model>(body),
        Kind::Responses => responses::conforms(body),
        Kind::Messages => body.trim_ascii().starts_with(b"{") && decodes::<IgnoredAny>(body),
        Kind::Other => matches!(body.trim_ascii().first(), Some(b'{' | b'[')),
    }
}

/// True when an error may be in it: OpenAI and others say of good answers that it is null.
fn may_have_error(body: &[u8]) -> bool {
    static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"error\""));
    NAME.find_iter(body).any(|at| {
        let rest = body.get(at + NAME.needle().len()..).unwrap_or_default().trim_ascii_start();
        let value = rest.strip_prefix(b":").map(<[u8]>::trim_ascii_start);
        !value.is_some_and(|value| value.starts_with(b"null"))
    })
}

fn chat_conforms(context: &Context, body: &[u8]) -> bool {
    let tags = context.profile.reasoning.tags.as_ref();
    if tags.is_some_and(|tags| has_tag(tags, body)) {
        return false;
    }
    // What may stand in the wrong place has a name, which none of the moulds has.
    context.moulds.fit(body)
        || !(may_have_error(body) || look::base_may_fail(body) || context.places.are_in(body))
            && (looks_right(context, body) || decodes_as_it_is(context, body))
}

/// True when either tag may be in it. Go's encoder escapes the brackets of one, and .NET's does so in capitals.
fn has_tag((open, close): &(String, String), body: &[u8]) -> bool {
    const ESCAPE: &[u8] = b"\\u003c";
    let (open, close) = (open.as_bytes(), close.as_bytes());
    let (Some(first), Some(other)) = (open.first(), close.first()) else { return true };
    // In one pass, since each search of a word has to be set up.
    memchr::memchr3_iter(*first, *other, b'\\', body).any(|at| {
        let rest = body.get(at..).unwrap_or_default();
        let is_escape = || rest.get(..ESCAPE.len()).is_some_and(|text| text.eq_ignore_ascii_case(ESCAPE));
        rest.starts_with(open) || rest.starts_with(close) || is_escape()
    })
}

/// A look that costs less than decoding; it knows what most answers have. The next that is like it is known without one.
fn looks_right(context: &Context, body: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(body) else { return false };
    let look = look::whole::Whole::of(text).filter(|whole| whole.conforms(&context.profile));
    if let Some(form) = look.as_ref().and_then(look::whole::Whole::form) {
        context.moulds.learn(text, form);
    }
    look.is_some()
}

fn decodes_as_it_is(context: &Context, body: &[u8]) -> bool {
    if finish::calls_a_standard_one_a_failure(&context.profile)
        || memchr::memmem::find(body, b"\"function_call\"").is_some()
        || !usage::is_in_shape(body)
        || !look::whole::has_thoughts_in_shape(body)
    {
        return false;
    }
    let Ok(reply) = serde_json::from_slice::<CreateChatCompletionResponse>(body) else { return false };
    // Without choices it decodes, and the first app that reads the first one panics.
    !reply.choices.is_empty()
        && reply.choices.iter().all(|choice| {
            let message = &choice.message;
            let has_text = message.content.as_ref().is_some_and(|text| !text.is_empty());
            let has_calls = message.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty());
            // What an empty message doesn't say may stand beside it.
            (has_text || has_calls || message.refusal.is_some() || message.audio.is_some())
                && choice.finish_reason.is_some()
                && whole::ids_are_unique(choice.message.tool_calls.iter().flatten())
        })
}

fn decodes<T: DeserializeOwned>(body: &[u8]) -> bool {
    serde_json::from_slice::<T>(body).is_ok()
}

/// A page where JSON should be.
pub(super) fn web_page() -> Error {
    Error::decode("the answer is a web page where JSON should be")
        .with_hint("check base_url: it must be where the API begins, and often ends in /v1")
}

/// Some of Google's endpoints put what they answer into a list.
fn unwrap_list(kind: Kind, value: &mut Value) {
    let Value::Array(items) = value else { return };
    let is_error = |item: &Value| item.get("error").is_some_and(|error| !error.is_null());
    let is_alone = kind != Kind::Models && items.len() == 1 && items.iter().all(Value::is_object);
    if is_alone || items.first().is_some_and(is_error) {
        *value = items.swap_remove(0);
    }
}

/// An object of the Responses, batch or file API may report a failure of its own; it is an answer all the same.
fn is_failed_object(kind: Kind, value: &Value) -> bool {
    let object = value.get("object").and_then(Value::as_str);
    matches!(kind, Kind::Responses | Kind::Other) && object.is_some_and(|object| object != "error")
}

/// What stands where the answer should be, however it is put: `{"detail":"Not Found"}`. `None` where there is something of an
/// answer.
fn instead(context: &Context, value: &Value) -> Option<Error> {
    let names: &[&str] = match context.kind {
        Kind::Chat | Kind::Completion => &["choices"],
        Kind::Embeddings => &["data", "embeddings", "embedding"],
        Kind::Models => &["data", "models"],
        Kind::Model => &["id"],
        Kind::Responses => &["output"],
        Kind::Messages | Kind::Other => return None,
    };
    if names.iter().any(|name| error::is_there(value.get(*name))) {
        return None;
    }
    error::instead_of_answer(&context.profile, &context.scrub, value)
}

fn not_json(text: &[u8], error: &serde_json::Error) -> Error {
    if text.starts_with(b"<") {
        return web_page();
    }
    if error.is_eof() {
        return Error::interrupted("the answer ends in the middle of its JSON");
    }
    Error::decode_json(WHAT, error)
}

fn repair(context: &Context, value: &mut Value) -> Result<()> {
    if context.kind == Kind::Models {
        models::repair_list(value)?;
        return fit::<ListModelResponse>(value, &models::ESSENTIAL, WHAT);
    }
    let Some(object) = value.as_object_mut() else {
        return Err(Error::decode("the answer is not a JSON object"));
    };
    match context.kind {
        Kind::Chat => {
            whole::repair_chat(context, object)?;
            fit::<CreateChatCompletionResponse>(value, &whole::ESSENTIAL, WHAT)
        }
        Kind::Completion => {
            whole::repair_completion(context, object)?;
            fit::<CreateCompletionResponse>(value, &whole::ESSENTIAL, WHAT)
        }
        Kind::Embeddings => {
            embeddings::repair(context, object)?;
            if context.wants_base64 {
                fit::<CreateBase64EmbeddingResponse>(value, &embeddings::ESSENTIAL, WHAT)
            } else {
                fit::<CreateEmbeddingResponse>(value, &embeddings::ESSENTIAL, WHAT)
            }
        }
        Kind::Model => {
            models::repair(object);
            if !error::is_there(object.get("id")) {
                return Err(Error::decode("`id` is missing in the model"));
            }
            fit::<Model>(value, &models::ESSENTIAL, WHAT)
        }
        Kind::Responses => responses::repair(&context.head, value),
        Kind::Models | Kind::Messages | Kind::Other => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use modelswitch_provider::ErrorKind;
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

    #[test]
    fn an_error_that_is_null_needs_no_closer_look() {
        let context = Context::of_test("deepseek", Kind::Chat);
        let mut good = good();
        good["error"] = Value::Null;
        assert!(conforms(&context, good.to_string().as_bytes()));
        assert!(conforms(&context, good.to_string().replace("\"error\":", "\"error\" : ").as_bytes()));
        good["error"] = json!({});
        assert!(!conforms(&context, good.to_string().as_bytes()));
        assert!(may_have_error(br#"{"status":"error"}"#));
    }

    #[test]
    fn a_conforming_response_passes_as_the_bytes_it_came_in() {
        let mut response = json!({"output_text":"hi","error":null});
        responses::repair(&Default::default(), &mut response).unwrap();
        let context = Context::of_test("openai", Kind::Responses);
        let body = Bytes::from(format!(" {response} "));
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
                json!("call_0000000000000007_0_0"),
            ),
            (
                "/choices/0/message/tool_calls/0/function/arguments",
                json!({"a":1}),
                "/choices/0/message/tool_calls/0/function/arguments",
                json!("{\"a\":1}"),
            ),
            ("/choices/0/finish_reason", json!(""), "/choices/0/finish_reason", json!("tool_calls")),
            ("/choices/0/finish_reason", missing.clone(), "/choices/0/finish_reason", json!("tool_calls")),
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
    fn a_text_and_a_string_are_what_is_said() {
        for choice in [
            json!({"text":"hi"}),
            json!({"text":"hi","message":{"role":"assistant","content":null},"finish_reason":"stop","index":0}),
            json!({"text":"hi","message":{"role":"assistant","content":"hi"}}),
            json!({"message":"hi"}),
            json!({"delta":"hi"}),
            json!({"message":{"role":"assistant"},"delta":{"content":"hi"}}),
        ] {
            let body =
                json!({"id":"1","object":"chat.completion","created":7,"model":"m","choices":[choice]});
            let out = shaped(Kind::Chat, &body).unwrap();
            assert_eq!(out["choices"][0]["message"]["content"], "hi", "{body}");
        }
    }

    #[test]
    fn a_closing_tag_alone_takes_a_closer_look() {
        let mut body = good();
        for (text, is_known) in [("hm</think>hi", false), ("hi </think>", true)] {
            body["choices"][0]["message"]["content"] = text.into();
            if is_known {
                body["choices"][0]["message"]["reasoning_content"] = "hm".into();
            }
            let message = &shaped(Kind::Chat, &body).unwrap()["choices"][0]["message"];
            assert_eq!(message["reasoning_content"], "hm", "{text}");
            assert_eq!(message["content"], if is_known { text } else { "hi" });
        }
    }

    #[test]
    fn brackets_of_a_tag_may_be_escaped_in_either_case() {
        let mut body = good();
        body["choices"][0]["message"]["content"] = "<think>hm</think>hi".into();
        let context = Context::of_test("openai-compatible", Kind::Chat);
        // As Go's encoder does it, and as .NET's does.
        for (open, close) in [("\\u003c", "\\u003e"), ("\\u003C", "\\u003E")] {
            let text = body.to_string().replace('<', open).replace('>', close);
            let out: Value = serde_json::from_slice(&shape(&context, text.into()).unwrap()).unwrap();
            assert_eq!(out["choices"][0]["message"]["reasoning_content"], "hm", "{open}");
        }
    }

    #[test]
    fn a_text_beside_a_message_that_only_thought_takes_nothing_from_it() {
        for message in [json!({"reasoning":"hm","content":""}), json!({"reasoning_content":"hm"})] {
            let mut body = good();
            body["choices"][0]["message"] = message;
            body["choices"][0]["text"] = "hi".into();
            let message = &shaped(Kind::Chat, &body).unwrap()["choices"][0]["message"];
            assert_eq!((&message["reasoning_content"], &message["content"]), (&json!("hm"), &json!("hi")));
        }
    }

    #[test]
    fn what_is_said_where_an_answer_should_be_is_the_error() {
        for (kind, body) in [
            (Kind::Chat, json!({"choices":null,"message":"rate limit reached"})),
            (Kind::Chat, json!({"choices":[],"detail":"rate limit reached"})),
            (Kind::Completion, json!({"choices":null,"detail":"rate limit reached"})),
            (Kind::Embeddings, json!({"data":null,"detail":"rate limit reached"})),
            (Kind::Models, json!({"detail":"rate limit reached"})),
            (Kind::Model, json!({"detail":"rate limit reached"})),
            (Kind::Responses, json!({"detail":"rate limit reached"})),
        ] {
            assert_eq!(shaped(kind, &body).unwrap_err().kind(), ErrorKind::RateLimited, "{kind:?} {body}");
        }
    }

    #[test]
    fn a_failure_in_minimaxs_own_member_is_one_whatever_the_choices_hold() {
        let mut body = good();
        for choices in [
            body["choices"].clone(),
            json!([{"index":0,"message":{"role":"assistant","content":""}}]),
            json!([]),
        ] {
            body["choices"] = choices;
            for (code, fails) in [
                (json!(1008), true),
                (json!("1008"), true),
                (json!(0), false),
                (json!("0"), false),
                (Value::Null, false),
            ] {
                body["base_resp"] = json!({"status_code":code,"status_msg":"insufficient balance"});
                let kind = shaped(Kind::Chat, &body).map_err(|error| error.kind());
                let is_empty = body["choices"].as_array().unwrap().is_empty();
                assert!(kind.is_ok() == (!fails && !is_empty), "{body} {kind:?}");
                assert!(!fails || kind == Err(ErrorKind::InsufficientBalance), "{body} {kind:?}");
            }
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
    fn empty_cut_and_foreign_bodies_are_errors_of_the_right_kind() {
        let context = Context::of_test("deepseek", Kind::Chat);
        for (body, kind) in [
            ("", ErrorKind::Decode),
            (" \n\n ", ErrorKind::Decode),
            ("<html>", ErrorKind::Decode),
            ("{\"id\":", ErrorKind::Interrupted),
            ("[]", ErrorKind::Decode),
            ("null", ErrorKind::Decode),
            ("oops", ErrorKind::Decode),
        ] {
            let error = shape(&context, Bytes::from_static(body.as_bytes())).unwrap_err();
            assert_eq!(error.kind(), kind, "{body:?}");
        }
    }
}
