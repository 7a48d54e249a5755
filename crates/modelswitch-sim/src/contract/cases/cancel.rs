//! Cancellation: dropping a call or a stream ends it, at the service too.

use std::time::Duration;

use futures_util::StreamExt;
use modelswitch_provider::{ChatRequest, ProviderExt};

use super::Case;
use crate::Script;
use crate::contract::Capability::Streams;
use crate::contract::stage::{Stage, Verdict, same, texts, unexpected, want};

pub(super) const CASES: &[Case] = &[
    Case::new("cancel-before-head", "a call dropped before its answer ends at the service", |s| {
        Box::pin(before_head(s))
    }),
    Case::new("cancel-inside-body", "a call dropped inside its answer ends at the service", |s| {
        Box::pin(inside_body(s))
    }),
    Case::new("cancel-before-first-event", "a stream dropped before its first event ends there", |s| {
        Box::pin(before_first_event(s))
    })
    .needs(&[Streams]),
    Case::new("cancel-stream", "a stream dropped half-way ends at the service", |s| Box::pin(stream(s)))
        .needs(&[Streams]),
    Case::new("cancel-sends-nothing-more", "after a cancellation nothing more is sent", |s| {
        Box::pin(nothing_more(s))
    }),
    Case::new("cancel-then-well", "a cancelled call leaves nothing behind for the next", |s| {
        Box::pin(well(s))
    }),
];

/// Longer than any test runs.
const FOR_EVER: Duration = Duration::from_secs(3600);

async fn before_head(stage: &Stage) -> Verdict {
    stage.script(Script::normal().delay(FOR_EVER))?;
    dropped_when_arrived(stage, stage.ask("Hello")).await?;
    stage.idle("a call that was dropped").await
}

async fn inside_body(stage: &Stage) -> Verdict {
    stage.script(Script::normal().stall_after(40))?;
    dropped_when_arrived(stage, stage.ask("Hello")).await?;
    stage.idle("a call that was dropped").await
}

async fn before_first_event(stage: &Stage) -> Verdict {
    stage.script(Script::sse(["[DONE]"]).delay_body(FOR_EVER))?;
    let call = stage.provider.chat_stream(stage.ask("Hello"));
    tokio::select! {
        biased;
        begun = call => drop(begun),
        arrived = stage.arrived(1) => arrived?,
    }
    stage.idle("a stream that was dropped").await
}

async fn stream(stage: &Stage) -> Verdict {
    stage.script(Script::sse(texts(["one "])).stall_after_events(2))?;
    let mut stream = stage.stream(stage.ask("Hello")).await?;
    let first = stage.within("the first event", stream.next()).await?;
    first.ok_or("expected a chunk, got the stream's end")?.map_err(|error| unexpected("a chunk", &error))?;
    drop(stream);
    stage.idle("a stream that was dropped").await
}

async fn nothing_more(stage: &Stage) -> Verdict {
    stage.script(Script::normal().delay(FOR_EVER))?;
    dropped_when_arrived(stage, stage.ask("Hello")).await?;
    stage.idle("a call that was dropped").await?;
    // Whoever would try again does so soon.
    tokio::time::sleep(Duration::from_millis(50)).await;
    same("the requests", stage.sent()?.len(), 1)
}

async fn well(stage: &Stage) -> Verdict {
    stage.script(Script::normal().delay(FOR_EVER))?;
    dropped_when_arrived(stage, stage.ask("marker-dropped")).await?;
    let reply = stage.chat(stage.ask("marker-next")).await?;
    want(reply.text().contains("marker-next"), || {
        "expected the next call's own answer, with `marker-next` in it, got another's".to_owned()
    })
}

/// Calls, and drops the call as soon as the service has its request.
async fn dropped_when_arrived(stage: &Stage, request: ChatRequest) -> Verdict {
    let call = stage.provider.chat(request);
    tokio::select! {
        biased;
        ended = call => match ended {
            Ok(_) => Err("expected a call that waits, got an answer that was never sent".to_owned()),
            Err(error) => Err(unexpected("to wait", &error)),
        },
        arrived = stage.arrived(1) => arrived,
    }
}
