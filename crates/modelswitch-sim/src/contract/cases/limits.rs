//! Limits: a service that is broken or means harm takes no more than its share.

use std::time::Duration;

use modelswitch_provider::{Error, ErrorKind, Provider, ProviderExt};
use serde_json::json;
use std::sync::Arc;

use super::Case;
use super::stream_end::failed;
use crate::Script;
use crate::contract::Capability::{OneTry, Streams};
use crate::contract::flood::{Flood, Flooding};
use crate::contract::stage::{Stage, Verdict, answer, kind_is, texts, want};

pub(super) const CASES: &[Case] = &[
    Case::new("limit-large-request", "a request of megabytes arrives whole", |s| Box::pin(large_request(s))),
    Case::new("limit-large-answer", "an answer of megabytes comes whole", |s| Box::pin(large_answer(s))),
    Case::new("limit-deep-json", "an answer nested without end is `decode`", |s| Box::pin(deep_json(s)))
        .needs(&[OneTry]),
    Case::new("limit-deep-json-stream", "an event nested without end is `decode`", |s| {
        Box::pin(deep_event(s))
    })
    .needs(&[Streams]),
    Case::new("limit-endless-line", "an event without an end is refused", |s| Box::pin(endless_line(s)))
        .needs(&[Streams, OneTry]),
    Case::new("limit-endless-header", "a head without an end is refused", |s| Box::pin(endless_header(s)))
        .needs(&[OneTry]),
    Case::new("limit-endless-failure", "a failure without an end is told from its beginning", |s| {
        Box::pin(endless_failure(s))
    })
    .needs(&[OneTry]),
    Case::new("limit-long-sentence", "a sentence of megabytes is not shown whole", |s| {
        Box::pin(long_sentence(s))
    }),
];

async fn large_request(stage: &Stage) -> Verdict {
    let text = "0123456789abcdef".repeat(2 << 16);
    stage.chat(stage.ask(&text)).await?;
    let body = stage.one_body()?.to_string();
    want(body.contains(&text), || {
        format!(
            "expected the whole text of {} bytes in the request, got a body of {} without it",
            text.len(),
            body.len()
        )
    })
}

async fn large_answer(stage: &Stage) -> Verdict {
    let text = "0123456789abcdef".repeat(4 << 16);
    stage.script(Script::status(200).json(answer(&json!({"role": "assistant", "content": text}), "stop")))?;
    let got = stage.chat(stage.ask("Hello")).await?.text();
    want(got == text, || format!("expected {} bytes of text, got {}", text.len(), got.len()))
}

async fn deep_json(stage: &Stage) -> Verdict {
    let body = format!(r#"{{"choices": {}"#, "[".repeat(200_000));
    stage.script(Script::status(200).content_type("application/json").body(body))?;
    kind_is(&stage.error(stage.ask("Hello")).await?, ErrorKind::Decode)
}

async fn deep_event(stage: &Stage) -> Verdict {
    let mut events = texts(["one "]);
    events.push(format!(r#"{{"choices": {}"#, "[".repeat(200_000)));
    stage.script(Script::sse(events))?;
    let (_, error) = stage.drained(stage.ask("Hello")).await?;
    kind_is(&failed(error)?, ErrorKind::Decode)
}

/// More than any part of an answer may have.
const MOST: usize = 160 << 20;

async fn endless_line(stage: &Stage) -> Verdict {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\ndata: ";
    let (flood, provider) = flooded(stage, head, vec![b'x'; 1 << 16]).await?;
    let asked = async {
        match provider.chat_stream(stage.ask("Hello")).await {
            Ok(stream) => stage.drain(stream).await.map(|(_, error)| error),
            Err(error) => Ok(Some(error)),
        }
    };
    let error = stage.within("an error", asked).await??;
    failed(error)?;
    unspent(&flood).await
}

async fn endless_header(stage: &Stage) -> Verdict {
    let line = format!("x-filler: {}\r\n", "x".repeat(8000));
    let (flood, provider) = flooded(stage, "HTTP/1.1 200 OK\r\n", line.into_bytes()).await?;
    failure_of(stage, &provider).await?;
    unspent(&flood).await
}

async fn endless_failure(stage: &Stage) -> Verdict {
    let head =
        "HTTP/1.1 402 Payment Required\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\nno money";
    let (flood, provider) = flooded(stage, head, b" and more".repeat(4000)).await?;
    let error = failure_of(stage, &provider).await?;
    kind_is(&error, ErrorKind::InsufficientBalance)?;
    let kept = error.upstream_body().map_or(0, bytes::Bytes::len);
    want(kept <= 1 << 20, || {
        format!("expected at most 1 MiB of the body in `upstream_body`, got {kept} bytes")
    })?;
    unspent(&flood).await
}

async fn long_sentence(stage: &Stage) -> Verdict {
    let error = json!({"message": "too much ".repeat(200_000), "type": "invalid_request_error"});
    stage.script(Script::status(400).json(json!({"error": error})))?;
    let error = stage.error(stage.ask("Hello")).await?;
    let shown = error.to_string();
    want(shown.len() < 10_000, || {
        format!("expected less than 10 000 bytes of `Display`, got {}", shown.len())
    })?;
    want(!shown.contains('\n'), || "expected one line of `Display`, got several".to_owned())
}

async fn flooded(
    stage: &Stage,
    head: &'static str,
    pattern: Vec<u8>,
) -> Result<(Flooding, Arc<dyn Provider>), String> {
    let flood = Flood { head, pattern, most: MOST }.start().await.map_err(|error| error.to_string())?;
    let provider = stage.provider_at(flood.base_url(stage.sim()?.personality().path()), stage.key())?;
    Ok((flood, provider))
}

async fn failure_of(stage: &Stage, provider: &Arc<dyn Provider>) -> Result<Error, String> {
    let answered = stage.within("an error", provider.chat(stage.ask("Hello"))).await?;
    answered.err().ok_or_else(|| "expected an error, got a whole answer".to_owned())
}

async fn unspent(flood: &Flooding) -> Verdict {
    // The other side learns a moment later that nobody reads any more.
    tokio::time::sleep(Duration::from_millis(20)).await;
    want(!flood.is_spent(), || format!("expected an end before {} MiB, got all of them taken", MOST >> 20))
}
