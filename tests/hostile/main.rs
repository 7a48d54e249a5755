//! Servers that mean harm, over real sockets and through both doors: whatever they do, a call ends, in an error that knows its kind
//! or an answer, what is held is bounded, and the key goes nowhere else.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails loudly"
)]

mod bodies;
mod heads;
mod key;
mod server;
mod streams;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use modelswitch::prelude::*;
use modelswitch::{ApiKey, Error, ErrorKind, HttpService, OpenAiProvider, Profile, Timeouts};
use modelswitch_layers::{Stack, Timeout};
use modelswitch_provider::Provider;
use modelswitch_tests::ask;

use server::Server;

const KEY: &str = "sk-canary-0123456789";
/// Nothing here takes a tenth of it, on a machine that does nothing else.
const LONGEST: Duration = Duration::from_secs(120);
const MIB: usize = 1 << 20;
/// What the system may hold of a connection, at both ends.
const BUFFERS: usize = 16 * MIB;

const SSE: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
const JSON: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";

/// A provider for the server with the profile, that waits for a head and for the next byte as long as is said.
fn provider(server: &Server, profile: &str, first_byte: Duration, idle: Duration) -> OpenAiProvider {
    let mut timeouts = Timeouts::default();
    (timeouts.first_byte, timeouts.idle) = (first_byte, idle);
    let builder = OpenAiProvider::builder(Profile::embedded(profile).unwrap());
    let builder = builder.base_url(server.base_url()).api_key(ApiKey::new(KEY).unwrap());
    builder.timeouts(timeouts).build().unwrap()
}

/// One that waits long enough for anything that comes at all.
fn patient(server: &Server) -> OpenAiProvider {
    provider(server, "openai-compatible", LONGEST, LONGEST)
}

/// What comes of a call that must end.
async fn in_time<T>(call: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONGEST, call).await.expect("it ends")
}

/// The errors that a whole and a streamed chat end in, at door 2 and at door 1; `None` for an answer.
async fn all_ways(llm: impl Provider) -> [Option<Error>; 4] {
    let llm: Arc<dyn Provider> = Arc::new(llm);
    let client = HttpService::new(llm.clone()).client().unwrap();
    let request = || ChatRequest::user("?").model("m");
    let whole = in_time(llm.chat(request())).await.err();
    let streamed = in_time(async {
        let mut chunks = llm.chat_stream(request()).await?;
        while let Some(chunk) = chunks.next().await {
            chunk?;
        }
        Ok::<(), Error>(())
    });
    let streamed = streamed.await.err();
    let known = |error: async_openai::error::OpenAIError| {
        error.provider_error().unwrap_or_else(|| panic!("{error:?}"))
    };
    let stock = in_time(client.chat().create(ask("m", "?"))).await.err().map(known);
    let stock_streamed = in_time(async {
        let mut chunks = client.chat().create_stream(ask("m", "?")).await?;
        while let Some(chunk) = chunks.next().await {
            chunk?;
        }
        Ok::<(), async_openai::error::OpenAIError>(())
    });
    let errors = [whole, streamed, stock, stock_streamed.await.err().map(known)];
    errors.iter().flatten().for_each(says_no_key);
    errors
}

fn says_no_key(error: &Error) {
    let body = error.upstream_body().map(|body| String::from_utf8_lossy(body).into_owned());
    let shown = format!("{error} {error:?} {error:#?} {} {body:?}", error.report());
    assert!(!shown.contains(KEY), "{shown}");
}

/// All four ways end in an error of this kind.
async fn all_fail(server: &Server, kind: ErrorKind) {
    for error in all_ways(patient(server)).await {
        let error = error.expect("it fails");
        assert_eq!(error.kind(), kind, "{}", error.report());
    }
}

/// All four ways end in the kind when a layer says how long a call may take.
async fn all_end_at_the_deadline(server: &Server, limit: Duration) {
    let llm = Stack::new().layer(Timeout::new().total(limit)).over(patient(server));
    for error in all_ways(llm).await {
        let error = error.expect("it fails");
        assert_eq!(error.kind(), ErrorKind::Timeout, "{}", error.report());
    }
    in_time(server.is_left()).await;
}
