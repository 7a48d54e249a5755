//! Streams that have no end, or more of something than any answer has.

use futures_util::StreamExt;
use modelswitch::ErrorKind;
use modelswitch::prelude::*;
use modelswitch_provider::{EventStream, Provider, Request, committed};
use serde_json::{Value, json};

use crate::server::Server;
use crate::{BUFFERS, LONGEST, MIB, SSE, all_fail, all_ways, in_time, patient, provider};

/// Most of an event that is kept, at each of the two times that a call is made whole and at each of the two that it is streamed.
const LONGEST_EVENT: usize = 32 * MIB;

#[tokio::test]
async fn a_line_and_an_event_without_end_are_errors_before_they_fill_the_memory() {
    for piece in ["xxxxxxxxxxxxxxxx".repeat(1024), "data: xxxxxxxxxxxxxxxx\n".repeat(1024)] {
        let server = Server::floods(format!("{SSE}data: {{"), piece).await;
        all_fail(&server, ErrorKind::Decode).await;
        assert!(server.sent() < 4 * (2 * LONGEST_EVENT + BUFFERS), "{}", server.sent());
        in_time(server.is_left()).await;
    }
}

#[tokio::test]
async fn names_and_comments_without_end_hold_nothing_and_end_when_the_reader_goes() {
    for piece in ["event: x\n", ": x\n", "id: 1\n", "event: ping\ndata: {}\n\n", "data: null\n\n"] {
        let server = Server::floods(SSE, piece).await;
        let mut chunks =
            in_time(patient(&server).chat_stream(ChatRequest::user("?").model("m"))).await.unwrap();
        let nothing = tokio::time::timeout(std::time::Duration::from_millis(200), chunks.next()).await;
        assert!(nothing.is_err(), "{piece:?} is nothing of an answer");
        drop(chunks);
        in_time(server.is_left()).await;
    }
}

fn chunk(delta: &Value) -> String {
    format!(
        "data: {}\n\n",
        json!({ "id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] })
    )
}

#[tokio::test]
async fn chunks_without_content_are_not_waited_for_without_end() {
    let server = Server::floods(SSE, chunk(&json!({ "role": "assistant" }))).await;
    let request = || {
        let body = json!({ "model": "m", "messages": [], "stream": true });
        Request::chat(&body).unwrap()
    };
    let response = in_time(async { patient(&server).send(request()).await }).await.unwrap();
    // Somebody has to hold what was read, so it counts as an answer after a while.
    let response = in_time(committed(response)).await.unwrap();
    drop(response);
    in_time(server.is_left()).await;
    assert!(server.sent() < 2 * BUFFERS, "{}", server.sent());
}

#[tokio::test]
async fn white_space_before_a_thought_is_held_within_bounds() {
    let server = Server::floods(SSE, chunk(&json!({ "content": "                                " }))).await;
    let llm = provider(&server, "minimax", LONGEST, LONGEST);
    let mut chunks = in_time(llm.chat_stream(ChatRequest::user("?").model("m"))).await.unwrap();
    let mut said = 0;
    while said < MIB / 4 {
        let chunk = in_time(chunks.next()).await.unwrap().unwrap();
        said += chunk
            .choices
            .iter()
            .map(|choice| choice.delta.content.as_deref().unwrap_or_default().len())
            .sum::<usize>();
    }
}

async fn count(events: EventStream) -> usize {
    events.fold(0, |count, event| async move { count + usize::from(event.is_ok()) }).await
}

/// One call in as many pieces, and a tenth of it as calls and as choices of their own.
#[tokio::test]
async fn a_hundred_thousand_deltas_of_calls_are_read_in_a_time_that_grows_with_them() {
    let deltas = 100_000;
    let piece = |call: Value| chunk(&json!({ "tool_calls": [call] }));
    let same = piece(json!({ "index": 0, "function": { "arguments": "1" } })).repeat(deltas);
    let begin = piece(
        json!({ "index": 0, "id": "a", "type": "function", "function": { "name": "f", "arguments": "" } }),
    );
    let last = "data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n";
    let server = Server::sends(format!("{SSE}{begin}{same}{last}")).await;
    let reply = in_time(patient(&server).chat(ChatRequest::user("?").model("m"))).await.unwrap();
    assert_eq!(reply.choices[0].message.tool_calls[0].function.arguments.len(), deltas);

    let many: String = (0..deltas / 10)
        .map(|number| piece(json!({ "index": number, "id": format!("call_{number}"), "type": "function", "function": { "name": "f", "arguments": "{}" } })))
        .collect();
    let server = Server::sends(format!("{SSE}{many}{last}")).await;
    let reply = in_time(patient(&server).chat(ChatRequest::user("?").model("m"))).await.unwrap();
    assert!(reply.choices[0].message.tool_calls.len() <= 1024);

    let choices: String = (0..deltas / 10).map(|number| format!("data: {{\"id\":\"1\",\"choices\":[{{\"index\":{number},\"delta\":{{\"content\":\"x\"}},\"finish_reason\":\"stop\"}}]}}\n\n")).collect();
    let server = Server::sends(format!("{SSE}{choices}data: [DONE]\n\n")).await;
    let request = Request::chat(&json!({ "model": "m", "messages": [], "stream": true })).unwrap();
    let response = in_time(async { patient(&server).send(request).await }).await.unwrap();
    let modelswitch_provider::Body::Events(events) = response.body else { panic!("a stream") };
    assert!(in_time(count(events)).await > 0);
}

#[tokio::test]
async fn what_comes_after_the_end_is_not_read_and_the_connection_is_given_up() {
    let whole = "data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let server = Server::floods(format!("{SSE}{whole}"), "data: more\n\n").await;
    assert!(all_ways(patient(&server)).await.iter().all(Option::is_none));
    in_time(server.is_left()).await;
    assert!(server.sent() < 4 * BUFFERS, "{}", server.sent());
}
