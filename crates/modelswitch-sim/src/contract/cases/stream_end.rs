//! How a stream ends: properly, or with an error that says why. Never quietly half-way.

use futures_util::StreamExt;
use modelswitch_provider::{ChatChunk, Error, ErrorKind};
use serde_json::{Value, json};

use super::Case;
use crate::Script;
use crate::contract::Capability::{OneTry, Streams};
use crate::contract::flood::Flood;
use crate::contract::stage::{Stage, Verdict, event, kind_is, same, text_of, texts, unexpected, want};

pub(super) const CASES: &[Case] = &[
    Case::new("stream-ends-once", "after its end a stream has nothing more", |s| Box::pin(ends_once(s)))
        .needs(&[Streams])
        .without_service(),
    Case::new("stream-without-done", "a finish reason ends a stream that lacks `[DONE]`", |s| {
        Box::pin(without_done(s))
    })
    .needs(&[Streams]),
    Case::new("stream-after-done", "nothing after `[DONE]` is of the answer", |s| Box::pin(after_done(s)))
        .needs(&[Streams]),
    Case::new("stream-cut", "a cut connection is `interrupted`, after all that came before", |s| {
        Box::pin(cut(s))
    })
    .needs(&[Streams]),
    Case::new("stream-ended-early", "a body that ends before the answer does is `interrupted`", |s| {
        Box::pin(ended_early(s))
    })
    .needs(&[Streams]),
    Case::new("stream-cut-inside-event", "half an event is none", |s| Box::pin(cut_inside(s)))
        .needs(&[Streams]),
    Case::new("stream-cut-once", "after its first content a stream is not begun again", |s| {
        Box::pin(cut_once(s))
    })
    .needs(&[Streams]),
    Case::new("stream-nothing", "a stream without an event is an error", |s| Box::pin(nothing(s)))
        .needs(&[Streams, OneTry]),
    Case::new("stream-error-inside", "an error event ends the stream as an error", |s| {
        Box::pin(error_inside(s))
    })
    .needs(&[Streams]),
    Case::new("stream-error-own-form", "the service's own error event does so too", |s| {
        Box::pin(own_form(s))
    })
    .needs(&[Streams]),
    Case::new("stream-error-named", "an event named `error` does so too", |s| Box::pin(named(s)))
        .needs(&[Streams]),
    Case::new("stream-error-kind", "an error event keeps its kind", |s| Box::pin(kinds(s))).needs(&[Streams]),
    Case::new("stream-not-json", "an event that is no JSON is `decode`", |s| Box::pin(not_json(s)))
        .needs(&[Streams]),
    Case::new("stream-refused", "a refused stream is an error before it begins", |s| Box::pin(refused(s)))
        .needs(&[Streams]),
    Case::new("stream-pulls", "no more is taken from the service than is read", |s| Box::pin(pulls(s)))
        .needs(&[Streams]),
];

async fn ends_once(stage: &Stage) -> Verdict {
    let mut stream = stage.stream(stage.ask("Hello")).await?;
    while let Some(chunk) = stage.within("the next event", stream.next()).await? {
        chunk.map_err(|error| unexpected("a chunk", &error))?;
    }
    for _ in 0..2 {
        let more = stage.within("the end again", stream.next()).await?;
        want(more.is_none(), || "expected nothing after a stream's end, got more".to_owned())?;
    }
    Ok(())
}

async fn without_done(stage: &Stage) -> Verdict {
    let mut events = texts(["all of it"]);
    events.push(event(&json!({}), Some("stop")));
    stage.script(Script::sse(events))?;
    same("the text", text_of(&stage.chunks(stage.ask("Hello")).await?).as_str(), "all of it")
}

async fn after_done(stage: &Stage) -> Verdict {
    let mut events = texts(["all of it"]);
    events.extend([event(&json!({}), Some("stop")), "[DONE]".to_owned()]);
    events.push(event(&json!({"content": " and more"}), None));
    stage.script(Script::sse(events))?;
    same("the text", text_of(&stage.chunks(stage.ask("Hello")).await?).as_str(), "all of it")
}

async fn cut(stage: &Stage) -> Verdict {
    stage.script(Script::sse(texts(["one ", "two"])).cut_after_events(3))?;
    let (chunks, error) = stage.drained(stage.ask("Hello")).await?;
    kind_is(&failed(error)?, ErrorKind::Interrupted)?;
    same("the text before it", text_of(&chunks).as_str(), "one two")?;
    unfinished(&chunks)
}

async fn ended_early(stage: &Stage) -> Verdict {
    stage.script(Script::sse(texts(["one ", "two"])))?;
    let (chunks, error) = stage.drained(stage.ask("Hello")).await?;
    kind_is(&failed(error)?, ErrorKind::Interrupted)?;
    same("the text before it", text_of(&chunks).as_str(), "one two")?;
    unfinished(&chunks)
}

async fn cut_inside(stage: &Stage) -> Verdict {
    let events = texts(["one ", "two"]);
    let whole: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    stage.script(Script::raw_sse(whole.clone()).end_after(whole.len() - 20))?;
    let (chunks, error) = stage.drained(stage.ask("Hello")).await?;
    kind_is(&failed(error)?, ErrorKind::Interrupted)?;
    same("the text before it", text_of(&chunks).as_str(), "one ")
}

async fn cut_once(stage: &Stage) -> Verdict {
    stage.script(Script::sse(texts(["one ", "two"])).cut_after_events(3))?;
    let (_, error) = stage.drained(stage.ask("Hello")).await?;
    failed(error)?;
    stage.one_sent().map(|_| ())
}

async fn nothing(stage: &Stage) -> Verdict {
    stage.script(Script::raw_sse("\n\n"))?;
    let (_, error) = stage.drained(stage.ask("Hello")).await?;
    let error = failed(error)?;
    want(matches!(error.kind(), ErrorKind::Decode | ErrorKind::Interrupted), || {
        unexpected("`decode` or `interrupted`", &error)
    })
}

async fn error_inside(stage: &Stage) -> Verdict {
    let error = json!({"error": {"message": "the engine broke", "type": "server_error", "code": 500}});
    let (chunks, error) = broken_by(stage, &error).await?;
    kind_is(&error, ErrorKind::Upstream)?;
    same("the text before it", text_of(&chunks).as_str(), "one ")?;
    want(error.message().contains("the engine broke"), || {
        format!("expected the service's sentence `the engine broke`, got {:?}", error.message())
    })
}

async fn own_form(stage: &Stage) -> Verdict {
    let (chunks, error) = stage.drained(stage.ask("[sim:error-in-stream]")).await?;
    let error = failed(error)?;
    unfinished(&chunks)?;
    want(matches!(error.kind(), ErrorKind::Upstream | ErrorKind::Overloaded), || {
        unexpected("`upstream` or `overloaded`", &error)
    })
}

async fn named(stage: &Stage) -> Verdict {
    let mut stream: String = texts(["one "]).iter().map(|event| format!("data: {event}\n\n")).collect();
    stream += "event: error\ndata: {\"message\": \"the engine broke\"}\n\ndata: [DONE]\n\n";
    stage.script(Script::raw_sse(stream))?;
    let (chunks, error) = stage.drained(stage.ask("Hello")).await?;
    kind_is(&failed(error)?, ErrorKind::Upstream)?;
    unfinished(&chunks)
}

async fn kinds(stage: &Stage) -> Verdict {
    for (error, kind) in [
        (json!({"message": "slow down", "type": "rate_limit_error", "code": 429}), ErrorKind::RateLimited),
        (
            json!({"message": "no money", "type": "insufficient_quota", "code": 402}),
            ErrorKind::InsufficientBalance,
        ),
        (json!({"message": "Overloaded", "type": "overloaded_error", "code": null}), ErrorKind::Overloaded),
    ] {
        let (_, error) = broken_by(stage, &json!({"error": error})).await?;
        kind_is(&error, kind)?;
    }
    Ok(())
}

async fn not_json(stage: &Stage) -> Verdict {
    let mut events = texts(["one "]);
    events.extend(["this is no JSON".to_owned(), event(&json!({}), Some("stop")), "[DONE]".to_owned()]);
    stage.script(Script::sse(events))?;
    let (_, error) = stage.drained(stage.ask("Hello")).await?;
    kind_is(&failed(error)?, ErrorKind::Decode)
}

async fn refused(stage: &Stage) -> Verdict {
    let (chunks, error) = stage.drained(stage.ask("[sim:402]")).await?;
    kind_is(&failed(error)?, ErrorKind::InsufficientBalance)?;
    same("the chunks before it", chunks.len(), 0)
}

async fn pulls(stage: &Stage) -> Verdict {
    let one = format!("data: {}\n\n", event(&json!({"content": "x".repeat(8000)}), None));
    let flood = Flood {
        head: "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n",
        pattern: one.into_bytes(),
        most: 128 << 20, // More than all the buffers between two sockets hold.
    };
    let flood = flood.start().await.map_err(|error| error.to_string())?;
    let provider = stage.provider_at(flood.base_url(stage.sim()?.personality().path()), stage.key())?;
    let asking = modelswitch_provider::ProviderExt::chat_stream(&provider, stage.ask("Hello"));
    let begun = stage.within("a stream", asking).await?;
    let mut stream = begun.map_err(|error| unexpected("a stream", &error))?;
    let first = stage.within("the first event", stream.next()).await?;
    first.ok_or("expected a chunk, got the stream's end")?.map_err(|error| unexpected("a chunk", &error))?;
    flood.settled().await;
    want(!flood.is_spent(), || {
        "expected a stream to be read as its events are asked for, got all of an endless one taken for one event".to_owned()
    })
}

/// A stream in the middle of which an error comes, and then its usual end.
async fn broken_by(stage: &Stage, error: &Value) -> Result<(Vec<ChatChunk>, Error), String> {
    let mut events = texts(["one "]);
    events.extend([error.to_string(), event(&json!({}), Some("stop")), "[DONE]".to_owned()]);
    stage.script(Script::sse(events))?;
    let (chunks, error) = stage.drained(stage.ask("Hello")).await?;
    Ok((chunks, failed(error)?))
}

pub(super) fn failed(error: Option<Error>) -> Result<Error, String> {
    error.ok_or_else(|| "expected an error at the end of a broken stream, got a proper end".to_owned())
}

fn unfinished(chunks: &[ChatChunk]) -> Verdict {
    let reason =
        chunks.iter().flat_map(|chunk| &chunk.choices).find_map(|choice| choice.finish_reason.as_ref());
    want(reason.is_none(), || "expected no finish reason in a stream that broke, got one".to_owned())
}
