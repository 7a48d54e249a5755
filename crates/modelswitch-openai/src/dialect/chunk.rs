//! A chunk of a streamed answer, in the one shape that async-openai decodes.

use std::collections::VecDeque;

use async_openai::types::chat::CreateChatCompletionStreamResponse;
use async_openai::types::completions::CreateCompletionResponse;
use bytes::Bytes;
use modelswitch_provider::{Error, Result};
use serde_json::{Map, Value, json};

use super::calls::{self, Calls, Ids, Piece, Placed};
use super::fit::fit;
use super::look::{self, Look, Object, TextChoice};
use super::seen::{Parts, Seen, SeenChoice};
use super::{Context, Kind, finish, mend, reasoning, repair, whole};
use crate::adapter::to_json;
use crate::error;

/// What a chunk is called in the error that says what of it doesn't fit.
const WHAT: &str = "a chunk of the stream";

/// The members that a chunk is nothing without.
const ESSENTIAL: [&str; 16] = [
    "id",
    "object",
    "created",
    "model",
    "choices",
    "choices.index",
    "choices.text",
    "choices.delta",
    "choices.delta.role",
    "choices.delta.content",
    "choices.delta.tool_calls",
    "choices.delta.tool_calls.index",
    "choices.delta.tool_calls.id",
    "choices.delta.tool_calls.function",
    "choices.delta.tool_calls.function.name",
    "choices.delta.tool_calls.function.arguments",
];

/// Shapes what came in one event: a chunk, as a rule; several, in a list or one after the other; none, when it repeats what
/// was said.
///
/// # Errors
/// The error that stands where a chunk should be; [`Decode`](modelswitch_provider::ErrorKind::Decode) when there is
/// nothing to save. What stood before it is in `out`.
pub(super) fn shape(context: &Context, seen: &mut Seen, data: Bytes, out: &mut Vec<Bytes>) -> Result<()> {
    seen.next_delta();
    let passed = match context.kind {
        Kind::Chat => pass(context, seen, &data),
        _ => text_conforms(context, seen, &data).then(|| data.clone()),
    };
    if let Some(data) = passed {
        out.push(data);
        return Ok(());
    }
    let keep = |error: Error| error.with_upstream_body(context.scrub.body(data.clone()));
    let mut waiting = VecDeque::from(values(&data)?);
    while let Some(mut value) = waiting.pop_front() {
        if let Value::Array(items) = value {
            // A list in a list is no chunk, and must not be unpacked for ever.
            if items.iter().any(|item| !item.is_object()) {
                return Err(Error::decode("a chunk of the stream is not a JSON object"));
            }
            // They come before what follows the list.
            items.into_iter().rev().for_each(|item| waiting.push_front(item));
            continue;
        }
        if let Some(error) = error_in(context, &value) {
            return Err(keep(error));
        }
        if shape_value(context, seen, &mut value).map_err(|error| match error.upstream_body() {
            None => keep(error),
            Some(_) => error,
        })? {
            out.push(to_json(&value)?);
        }
        seen.next_delta();
    }
    Ok(())
}

/// The error that stands where a chunk should be. One that says nothing but how it went is no answer, though it calls itself a
/// chunk.
fn error_in(context: &Context, value: &Value) -> Option<Error> {
    let read = |value: &Value| error::from_success(&context.profile, &context.scrub, value);
    let is_bare = !error::is_there(value.get("choices")) && !error::is_there(value.get("usage"));
    read(value).or_else(|| {
        let mut bare = value.as_object().filter(|_| is_bare)?.clone();
        bare.remove("object")?;
        read(&Value::Object(bare))
    })
}

/// A chunk that conforms, or would if its reasoning were called `reasoning_content`. `None` for others.
fn pass(context: &Context, seen: &mut Seen, data: &Bytes) -> Option<Bytes> {
    let has_places = context.places.are_in(data);
    if context.profile.response.cumulative || (has_places && !context.places.are_plain_in(data)) {
        return None;
    }
    let text = std::str::from_utf8(data).ok()?;
    let look = serde_json::from_str::<Look<'_>>(text).ok().filter(|look| look.conforms(&context.profile))?;
    let copied = if has_places { with_copies(&look, data)? } else { None };
    let passed = copied.unwrap_or_else(|| data.clone());
    if !conforms(context, seen, &look) {
        return None;
    }
    // Of reasoning there may have to be a copy.
    if let Some(only) = look.only_text().filter(|_| !has_places)
        && (only.is_reasoning || seen.is_answering(&context.profile, only.choice))
    {
        seen.learn(data, &only);
    }
    Some(passed)
}

/// The chunk with a copy of the reasoning beside it: a service that calls it `reasoning` does so in each of its chunks.
/// `Some(None)` where there is nothing to copy, `None` where that isn't all there is to do.
fn with_copies(look: &Look<'_>, data: &[u8]) -> Option<Option<Bytes>> {
    let (mut out, mut done) = (Vec::new(), 0);
    for Object(choice) in &look.choices {
        let Some(text) = choice.delta.0.elsewhere().ok()? else { continue };
        // It is a part of the same bytes.
        let end = text.as_ptr().addr().checked_sub(data.as_ptr().addr())? + text.len();
        out.reserve(data.len() + text.len() + COPY.len());
        out.extend_from_slice(data.get(done..end)?);
        out.extend_from_slice(COPY);
        out.extend_from_slice(text.as_bytes());
        done = end;
    }
    if out.is_empty() {
        return Some(None);
    }
    // Beside one that is empty it would be there twice.
    if memchr::memmem::find(data, b"\"reasoning_content\"").is_some() {
        return None;
    }
    out.extend_from_slice(data.get(done..)?);
    Some(Some(out.into()))
}

const COPY: &[u8] = b",\"reasoning_content\":";

fn conforms(context: &Context, seen: &mut Seen, look: &Look<'_>) -> bool {
    // Each choice is looked at, for what it tells must be known, whatever the others are like.
    let mut in_shape = true;
    for choice in &look.choices {
        in_shape &= is_in_shape(context, seen, &choice.0);
    }
    in_shape && goes_out(seen, look)
}

/// The same of the older completions.
fn text_conforms(context: &Context, seen: &mut Seen, data: &[u8]) -> bool {
    let Ok(look) = serde_json::from_slice::<Look<'_, TextChoice<'_>>>(data) else { return false };
    if !look.text_conforms(&context.profile) {
        return false;
    }
    for Object(choice) in &look.choices {
        if let Some(seen) = seen.choice(choice.index) {
            seen.ended |= choice.finish_reason.is_some();
        }
    }
    goes_out(seen, &look)
}

/// Notes what all chunks have. False when the usage has to be held back.
fn goes_out<C>(seen: &mut Seen, look: &Look<'_, C>) -> bool {
    let usage = look.usage.as_ref().map(|usage| usage.0.counts());
    if usage.is_some_and(|usage| !seen.usage_goes_out(usage)) {
        return false;
    }
    seen.forget_placed();
    seen.know(&look.id.0, &look.model.0, look.created);
    true
}

/// Notes what the choice tells. False when something of it has to be changed.
fn is_in_shape(context: &Context, seen: &mut Seen, choice: &look::Choice<'_>) -> bool {
    let (delta, salt) = (seen.delta(), context.salt);
    let Some(seen) = seen.choice(choice.index) else { return true };
    let said = &choice.delta.0;
    seen.said = seen.said.and(said.parts());
    let has_text = said.content.as_ref().is_some_and(|text| !text.is_empty());
    let has_thought = (has_text || choice.finish_reason.is_some())
        && seen.thought(&context.profile).is_some_and(|thought| !thought.is_over());
    if !has_thought {
        seen.ended |= choice.finish_reason.is_some();
    }
    let ends_again =
        choice.finish_reason.as_ref().is_some_and(|reason| seen.repeats_reason(delta, reason.word()));
    let ids = Ids { salt, choice: choice.index };
    let mut in_shape = !has_thought && !ends_again;
    for call in said.tool_calls.iter().flatten() {
        let piece = call.0.piece();
        let placed = seen.calls.place(ids, delta, piece);
        in_shape &= Calls::is_in_shape(&placed, piece);
        seen.placed.push_back(placed);
    }
    in_shape
}

/// The values of an event; several may stand in it one after the other.
fn values(data: &[u8]) -> Result<Vec<Value>> {
    let error = match mend::parse(data) {
        Ok(value) => return Ok(vec![value]),
        Err(error) => error,
    };
    let all: serde_json::Result<Vec<Value>> =
        serde_json::Deserializer::from_slice(data).into_iter().collect();
    all.ok().filter(|values| !values.is_empty()).ok_or_else(|| Error::decode_json(WHAT, &error))
}

/// False when there is nothing in it that wasn't said before.
fn shape_value(context: &Context, seen: &mut Seen, value: &mut Value) -> Result<bool> {
    let Some(object) = value.as_object_mut() else {
        return Err(Error::decode("a chunk of the stream is not a JSON object"));
    };
    let had_usage = repair_chunk(context, seen, object)?;
    match context.kind {
        Kind::Chat => fit::<CreateChatCompletionStreamResponse>(value, &ESSENTIAL, WHAT)?,
        _ => fit::<CreateCompletionResponse>(value, &ESSENTIAL, WHAT)?,
    }
    let says_more = || {
        value.as_object().is_some_and(|members| {
            members.iter().any(|(name, value)| !OF_EACH_CHUNK.contains(&name.as_str()) && !value.is_null())
        })
    };
    let says_any = error::is_there(value.get("usage")) || error::is_there(value.get("choices"));
    Ok(!had_usage || says_any || says_more())
}

/// What is in every chunk, or is looked at by itself.
const OF_EACH_CHUNK: [&str; 8] =
    ["id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier"];

/// True when it had a usage, whether it still has it or not.
fn repair_chunk(context: &Context, seen: &mut Seen, object: &mut Map<String, Value>) -> Result<bool> {
    let is_chat = context.kind == Kind::Chat;
    whole::fetch_choices(object, "delta");
    seen.lend(object);
    whole::repair_envelope(
        &context.head,
        object,
        if is_chat { "chat.completion.chunk" } else { "text_completion" },
    );
    repair::created(object, seen.created());
    seen.know_chunk(object);
    if !object.get("choices").is_some_and(Value::is_array) {
        // A chunk that only carries usage, or nothing.
        object.insert("choices".to_owned(), Value::Array(Vec::new()));
    }
    repair::string_or_null(object, "obfuscation");
    for (position, choice) in
        object.get_mut("choices").and_then(Value::as_array_mut).into_iter().flatten().enumerate()
    {
        let Some(choice) = choice.as_object_mut() else {
            return Err(Error::decode(format!("choices[{position}] of a chunk is not an object")));
        };
        repair_choice(context, seen, choice, position)?;
    }
    Ok(seen.settle_usage(object))
}

fn repair_choice(
    context: &Context,
    seen: &mut Seen,
    choice: &mut Map<String, Value>,
    position: usize,
) -> Result<()> {
    whole::repair_index(choice, position);
    let index = choice.get("index").and_then(repair::count).unwrap_or_default();
    let delta = seen.delta();
    let mut spare = SeenChoice::of(index);
    let seen = seen.choice(index).unwrap_or(&mut spare);
    if context.kind == Kind::Chat {
        repair_delta(context, seen, choice, delta);
        finish::refuse_failed(context, choice)?;
        finish::repair(context, choice, !seen.calls.is_empty())?;
        whole::finish_function_call(context, choice);
        end_thought(seen, choice);
        end_once(seen, choice, delta);
    } else {
        whole::repair_text(choice);
        finish::refuse_failed(context, choice)?;
        finish::repair(context, choice, false)?;
        finish::of_text(choice);
    }
    seen.ended |= choice.get("finish_reason").is_some_and(Value::is_string);
    Ok(())
}

fn repair_delta(context: &Context, seen: &mut SeenChoice, choice: &mut Map<String, Value>, number: u64) {
    fetch_delta(context, seen, choice);
    let Some(delta) = choice.get_mut("delta").and_then(Value::as_object_mut) else { return };
    if delta.contains_key("role") && !repair::is_role(delta.get("role")) {
        delta.remove("role");
    }
    if context.profile.response.cumulative {
        seen.take_new(delta);
    }
    if let Some(thought) = seen.thought(&context.profile)
        && let Some(text) = delta.get("content").and_then(Value::as_str)
    {
        let told = thought.push(text);
        seen.said.thought |= !told.reasoning.is_empty();
        reasoning::add(delta, told);
    }
    repair::string_or_null(delta, "refusal");
    if !context.asked_functions {
        calls::from_function_call(delta);
    }
    if let Some(function) = delta.get_mut("function_call").and_then(Value::as_object_mut) {
        calls::repair_arguments(function);
    }
    let ids = Ids { salt: context.salt, choice: seen.index };
    for piece in calls::list_of_calls(delta).into_iter().flatten().filter_map(Value::as_object_mut) {
        repair_piece(seen, piece, ids, number);
    }
}

/// Puts what is said under `delta`, also where a message or a text stands for it. After deltas these say the whole once more,
/// and of a message only what no delta said is new.
fn fetch_delta(context: &Context, seen: &mut SeenChoice, choice: &mut Map<String, Value>) {
    let unified = |value: Value| {
        let mut delta = whole::as_message(value)?;
        reasoning::unify(&mut delta, &context.profile.reasoning.fields);
        Some(delta)
    };
    let mut delta = choice.get_mut("delta").map(Value::take).and_then(unified);
    let parts = |delta: &Option<Map<_, _>>| delta.as_ref().map(Parts::of).unwrap_or_default();
    seen.said = seen.said.and(parts(&delta));
    if !seen.said.is_none() {
        let message = choice.get("message").cloned().and_then(unified);
        let unsaid = message.map(|message| seen.said.unsaid(message));
        delta.get_or_insert_default().extend(unsaid.into_iter().flatten());
    }
    for name in ["message", "text"].into_iter().filter(|_| seen.said.is_none()) {
        let other = choice.get(name).cloned().and_then(unified);
        if !parts(&other).is_none() && parts(&delta).is_none() || delta.is_none() {
            delta = other;
        }
    }
    choice.insert("delta".to_owned(), Value::Object(delta.unwrap_or_default()));
}

/// A reason that is given again is none: whoever acts on it would do so twice.
fn end_once(seen: &mut SeenChoice, choice: &mut Map<String, Value>, delta: u64) {
    let reason = choice.get("finish_reason").and_then(Value::as_str);
    if reason.is_some_and(|reason| seen.repeats_reason(delta, reason)) {
        choice.insert("finish_reason".to_owned(), Value::Null);
    }
}

/// The last piece tells what was not told apart before.
fn end_thought(seen: &mut SeenChoice, choice: &mut Map<String, Value>) {
    if !choice.get("finish_reason").is_some_and(Value::is_string) {
        return;
    }
    let Some(told) = seen.end_thought() else { return };
    if let Some(delta) = choice.get_mut("delta").and_then(Value::as_object_mut) {
        let said = delta.get("content").and_then(Value::as_str).unwrap_or_default();
        let text = format!("{said}{}", told.text);
        reasoning::add(delta, super::thought::Told { text, ..told });
    }
}

fn repair_piece(seen: &mut SeenChoice, piece: &mut Map<String, Value>, ids: Ids, delta: u64) {
    repair::string_or_nothing(piece, "id");
    calls::nest_function(piece);
    let is_custom = calls::custom_as_function(piece);
    match piece.get_mut("function") {
        Some(Value::Object(function)) => {
            repair::string_or_null(function, "name");
            if function.contains_key("arguments") {
                calls::repair_arguments(function);
            }
        }
        Some(_) => {
            piece.remove("function");
        }
        None => {}
    }
    let placed = match seen.placed.pop_front() {
        // A look at the same chunk placed it.
        Some(placed) => placed,
        None => seen.calls.place(ids, delta, sent(piece)),
    };
    let Placed { slot, id, repeats_name } = placed;
    piece.insert("index".to_owned(), slot.into());
    match id {
        Some(id) => {
            piece.insert("id".to_owned(), id.into());
            if !is_custom {
                piece.insert("type".to_owned(), "function".into());
            }
        }
        None => {
            piece.remove("id");
            piece.remove("type");
        }
    }
    if repeats_name && let Some(function) = piece.get_mut("function").and_then(Value::as_object_mut) {
        function.remove("name");
    }
}

fn sent(piece: &Map<String, Value>) -> Piece<'_> {
    let function = piece.get("function").and_then(Value::as_object);
    let text = |name: &str| function?.get(name)?.as_str();
    Piece {
        index: piece.get("index").and_then(repair::count),
        id: piece.get("id").and_then(Value::as_str),
        name: text("name"),
        arguments: text("arguments"),
        has_type: piece.contains_key("type"),
    }
}

/// What is still to be said when the service says that it is done: why each choice ended, and what was used.
pub(super) fn last_words(context: &Context, seen: &mut Seen) -> Result<Vec<Bytes>> {
    let mut choices = Vec::new();
    for open in seen.open_choices() {
        let reason = finish::ordinary(!open.calls.is_empty());
        let choice = if context.kind == Kind::Chat {
            let mut choice = json!({ "index": open.index, "delta": {}, "finish_reason": reason });
            if let Some(choice) = choice.as_object_mut() {
                end_thought(open, choice);
            }
            choice
        } else {
            json!({ "index": open.index, "text": "", "finish_reason": "stop" })
        };
        open.ended = true;
        choices.push(choice);
    }
    let usage = seen.owed_usage();
    let mut chunks = Vec::new();
    if !choices.is_empty() {
        // Who didn't ask for a chunk with the usage alone may not expect one.
        let beside = usage.clone().filter(|_| !context.wants_usage);
        chunks.push(envelope(context, seen, choices, beside));
    }
    if usage.is_some() && context.wants_usage {
        chunks.push(envelope(context, seen, Vec::new(), usage));
    }
    chunks.iter().map(to_json).collect()
}

fn envelope(context: &Context, seen: &Seen, choices: Vec<Value>, usage: Option<Value>) -> Value {
    let mut chunk = json!({ "choices": choices, "usage": usage });
    if let Some(object) = chunk.as_object_mut() {
        seen.lend(object);
        let kind = if context.kind == Kind::Chat { "chat.completion.chunk" } else { "text_completion" };
        whole::repair_envelope(&context.head, object, kind);
        repair::created(object, seen.created());
    }
    chunk
}

#[cfg(test)]
mod tests;
