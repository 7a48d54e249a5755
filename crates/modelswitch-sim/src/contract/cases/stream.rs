//! What a stream holds.

use std::time::Duration;

use futures_util::StreamExt;
use modelswitch_provider::{FinishReason, Role};
use serde_json::json;

use super::Case;
use crate::Script;
use crate::contract::Capability::{StreamUsage, Streams, Usage};
use crate::contract::stage::{Stage, Verdict, event, same, text_of, texts, unexpected, want};

pub(super) const CASES: &[Case] = &[
    Case::new("stream-text", "a stream put together is the whole answer", |s| Box::pin(text(s)))
        .needs(&[Streams])
        .without_service(),
    Case::new("stream-asked-for", "the service is asked for a stream", |s| Box::pin(asked_for(s)))
        .needs(&[Streams]),
    Case::new("stream-order", "chunks come once each and in order", |s| Box::pin(order(s))).needs(&[Streams]),
    Case::new("stream-role-first", "the role comes before the text", |s| Box::pin(role_first(s)))
        .needs(&[Streams])
        .without_service(),
    Case::new("stream-finish-reason", "the finish reason comes once, at the end", |s| Box::pin(finish(s)))
        .needs(&[Streams])
        .without_service(),
    Case::new("stream-length", "a stream cut by the token limit says `length`", |s| Box::pin(length(s)))
        .needs(&[Streams]),
    Case::new("stream-usage", "a stream ends with the tokens of the whole answer", |s| Box::pin(usage(s)))
        .needs(&[Streams, Usage, StreamUsage]),
    Case::new("stream-one-id", "all chunks name one answer and one model", |s| Box::pin(one_id(s)))
        .needs(&[Streams]),
    Case::new("stream-unknown-fields", "fields nobody has heard of come through", |s| Box::pin(unknown(s)))
        .needs(&[Streams]),
    Case::new("stream-empty", "a stream without text is an answer", |s| Box::pin(empty(s))).needs(&[Streams]),
    Case::new("stream-collected", "a stream collected is the answer, finish reason and all", |s| {
        Box::pin(collected(s))
    })
    .needs(&[Streams]),
    Case::new("stream-split-bytes", "chunks may be split inside a letter", |s| Box::pin(split(s)))
        .needs(&[Streams]),
    Case::new("stream-line-ends", "any line end, comments and missing spaces are understood", |s| {
        Box::pin(line_ends(s))
    })
    .needs(&[Streams]),
    Case::new("stream-slow", "a slow stream is no other stream", |s| Box::pin(slow(s))).needs(&[Streams]),
    Case::new("stream-as-it-comes", "what has come is handed on while the rest is awaited", |s| {
        Box::pin(as_it_comes(s))
    })
    .needs(&[Streams]),
    Case::new("stream-many", "thousands of chunks are all there", |s| Box::pin(many(s))).needs(&[Streams]),
];

async fn text(stage: &Stage) -> Verdict {
    let whole = stage.chat(stage.ask("marker-stream")).await?.text();
    let streamed = text_of(&stage.chunks(stage.ask("marker-stream")).await?);
    want(!streamed.is_empty(), || "expected a stream with text, got none".to_owned())?;
    same("the text", streamed.trim(), whole.trim())
}

async fn asked_for(stage: &Stage) -> Verdict {
    stage.chunks(stage.ask("Hello")).await?;
    same("`stream` at the service", stage.one_body()?.get("stream"), Some(&json!(true)))
}

async fn order(stage: &Stage) -> Verdict {
    let words: Vec<String> = (0..40).map(|number| format!("<{number}>")).collect();
    stage.script(finished(texts(words.iter().map(String::as_str))))?;
    let chunks = stage.chunks(stage.ask("Count")).await?;
    let said: Vec<&str> = chunks.iter().map(|chunk| chunk.text()).filter(|text| !text.is_empty()).collect();
    same("the chunks", said, words.iter().map(String::as_str).collect())
}

async fn role_first(stage: &Stage) -> Verdict {
    let chunks = stage.chunks(stage.ask("Hello")).await?;
    let deltas: Vec<_> = chunks.iter().flat_map(|chunk| &chunk.choices).map(|choice| &choice.delta).collect();
    let role = deltas
        .iter()
        .position(|delta| delta.role == Some(Role::Assistant))
        .ok_or("expected the role `assistant` in a chunk, got none")?;
    let text = deltas.iter().position(|delta| delta.content.as_ref().is_some_and(|text| !text.is_empty()));
    want(text.is_none_or(|text| role <= text), || {
        "expected the role before the text, got text first".to_owned()
    })
}

async fn finish(stage: &Stage) -> Verdict {
    let chunks = stage.chunks(stage.ask("Hello")).await?;
    let choices: Vec<_> = chunks.iter().flat_map(|chunk| &chunk.choices).collect();
    let reasons: Vec<_> = choices.iter().filter_map(|choice| choice.finish_reason.as_ref()).collect();
    same("the finish reasons", reasons, vec![&FinishReason::Stop])?;
    let at = choices.iter().position(|choice| choice.finish_reason.is_some()).unwrap_or_default();
    let late = choices
        .iter()
        .skip(at + 1)
        .any(|choice| choice.delta.content.as_ref().is_some_and(|text| !text.is_empty()));
    want(!late, || "expected no text after the finish reason, got some".to_owned())
}

async fn length(stage: &Stage) -> Verdict {
    let chunks = stage.chunks(stage.ask("Say it at length").max_tokens(3)).await?;
    let reason =
        chunks.iter().flat_map(|chunk| &chunk.choices).find_map(|choice| choice.finish_reason.clone());
    same("the finish reason", reason, Some(FinishReason::Length))
}

async fn usage(stage: &Stage) -> Verdict {
    let asking = stage.ask("How much?").set("stream_options", json!({"include_usage": true}));
    let whole = stage
        .chat(stage.ask("How much?"))
        .await?
        .usage
        .ok_or("expected `usage` in the whole answer, got none")?;
    let chunks = stage.chunks(asking).await?;
    let last = chunks.iter().filter_map(|chunk| chunk.usage.as_ref()).next_back();
    let last = last.ok_or("expected `usage` in a chunk of a stream that asked for it, got none")?;
    same("the completion's tokens", last.completion_tokens, whole.completion_tokens)?;
    same("the total", last.total_tokens, last.prompt_tokens + last.completion_tokens)
}

async fn one_id(stage: &Stage) -> Verdict {
    let chunks = stage.chunks(stage.ask("Hello")).await?;
    let first = chunks.first().ok_or("expected a chunk, got none")?;
    want(!first.id.is_empty() && !first.model.is_empty(), || {
        "expected `id` and `model` in each chunk, got one without".to_owned()
    })?;
    let other = chunks.iter().find(|chunk| chunk.id != first.id);
    want(other.is_none(), || "expected one id in all chunks of an answer, got two".to_owned())
}

async fn unknown(stage: &Stage) -> Verdict {
    let mut chunk: serde_json::Value =
        serde_json::from_str(&event(&json!({"content": "a", "x_inner": 7}), None)).unwrap_or_default();
    if let Some(chunk) = chunk.as_object_mut() {
        chunk.insert("x_outer".to_owned(), json!(["kept"]));
    }
    stage.script(finished([chunk.to_string()]))?;
    let chunks = stage.chunks(stage.ask("Hello")).await?;
    let outer = chunks.iter().find_map(|chunk| chunk.extra.get("x_outer"));
    same("the chunk's field", outer, Some(&json!(["kept"])))?;
    let mut deltas = chunks.iter().flat_map(|chunk| &chunk.choices).map(|choice| &choice.delta);
    same("the delta's field", deltas.find_map(|delta| delta.extra.get("x_inner")), Some(&json!(7)))
}

async fn empty(stage: &Stage) -> Verdict {
    same("the text", text_of(&stage.chunks(stage.ask("[sim:empty]")).await?).trim(), "")
}

async fn collected(stage: &Stage) -> Verdict {
    let whole = stage.chat(stage.ask("marker-collected")).await?;
    let stream = stage.stream(stage.ask("marker-collected")).await?;
    let collected = stage.within("the end", stream.completion()).await?;
    let collected = collected.map_err(|error| unexpected("the collected answer", &error))?;
    same("the text", collected.text().trim(), whole.text().trim())?;
    same("the finish reason", collected.finish_reason(), whole.finish_reason())
}

async fn split(stage: &Stage) -> Verdict {
    let said = "日本語 🦀 ñ e\u{301}";
    stage.script(Script::normal().split(1))?;
    let text = text_of(&stage.chunks(stage.ask(said)).await?);
    want(text.contains(said), || "expected the text as the service sent it, got another".to_owned())
}

async fn line_ends(stage: &Stage) -> Verdict {
    let [role, one, two]: [String; 3] = texts(["one ", "two"]).try_into().map_err(|_| "three events")?;
    let end = event(&json!({}), Some("stop"));
    let stream = format!(
        ": a comment\r\n\r\ndata:{role}\r\n\r\ndata: {one}\n\n:\n\nid: 7\nretry: 10\ndata: {two}\r\n\r\ndata: {end}\n\ndata: [DONE]\n\n"
    );
    stage.script(Script::raw_sse(stream))?;
    same("the text", text_of(&stage.chunks(stage.ask("Hello")).await?).as_str(), "one two")
}

async fn slow(stage: &Stage) -> Verdict {
    stage.script(Script::normal().pace(Duration::from_millis(3)).delay_body(Duration::from_millis(20)))?;
    let text = text_of(&stage.chunks(stage.ask("marker-slow")).await?);
    want(text.contains("marker-slow"), || {
        "expected the whole text, with `marker-slow` in it, got less".to_owned()
    })
}

async fn as_it_comes(stage: &Stage) -> Verdict {
    // Nothing follows the third event, and the connection stays open.
    stage.script(Script::sse(texts(["first", "second"])).stall_after_events(3))?;
    let mut stream = stage.stream(stage.ask("Hello")).await?;
    let mut text = String::new();
    while !text.contains("second") {
        let next = stage.within("what has been sent", stream.next()).await?;
        let chunk = next
            .ok_or("expected a chunk, got the stream's end")?
            .map_err(|error| unexpected("a chunk", &error))?;
        text += chunk.text();
    }
    Ok(())
}

async fn many(stage: &Stage) -> Verdict {
    let words: Vec<String> = (0..3000).map(|number| format!("{number},")).collect();
    stage.script(finished(texts(words.iter().map(String::as_str))))?;
    let text = text_of(&stage.chunks(stage.ask("Count")).await?);
    want(text == words.concat(), || {
        format!("{} bytes of text instead of {}", text.len(), words.concat().len())
    })
}

/// These events with a proper end.
pub(super) fn finished(events: impl IntoIterator<Item = String>) -> Script {
    let end = [event(&json!({}), Some("stop")), "[DONE]".to_owned()];
    Script::sse(events.into_iter().chain(end))
}
