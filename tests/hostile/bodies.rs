//! What may be wrong with a body: too long, too slow, packed, too deep, or no text.

use std::time::Duration;

use modelswitch::ErrorKind;
use modelswitch::prelude::*;
use modelswitch_provider::{Body, Endpoint, Payload, Provider, Request};
use serde_json::json;

use crate::server::Server;
use crate::{BUFFERS, JSON, MIB, SSE, all_end_at_the_deadline, all_fail, all_ways, in_time, patient};

#[tokio::test]
async fn what_is_packed_is_never_unpacked_so_a_bomb_stays_as_small_as_it_came() {
    let bomb = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03";
    for content in ["application/json", "text/event-stream"] {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {content}\r\ncontent-encoding: gzip\r\n\r\n");
        let server = Server::floods([head.as_bytes(), bomb].concat(), [0; 1024]).await;
        all_fail(&server, ErrorKind::Decode).await;
        assert!(server.sent() < 4 * BUFFERS, "{}", server.sent());
        assert!(server.requests().iter().all(|request| !request.to_lowercase().contains("accept-encoding")));
    }
    let head = "HTTP/1.1 503 Busy\r\ncontent-encoding: gzip\r\n\r\n";
    let server = Server::floods([head.as_bytes(), bomb].concat(), [0; 1024]).await;
    all_fail(&server, ErrorKind::Overloaded).await;
    assert!(server.sent() < 4 * BUFFERS, "{}", server.sent());
}

#[tokio::test]
async fn bytes_of_other_endpoints_pass_packed_as_they_are() {
    let server =
        Server::sends("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nzip").await;
    let request = Request::new(Endpoint::new(http::Method::GET, "/files/f/content").unwrap(), Payload::Empty);
    let Body::Other(bytes) = patient(&server).send(request).await.unwrap().body else { panic!("bytes") };
    let read: Vec<_> = futures_util::StreamExt::collect(bytes).await;
    assert_eq!(read.into_iter().map(|piece| piece.unwrap().len()).sum::<usize>(), 3);
}

#[tokio::test]
async fn a_failure_without_end_is_told_from_its_beginning() {
    let server = Server::floods("HTTP/1.1 500 Oh\r\n\r\n{\"error\":{\"message\":\"", "and so on ").await;
    all_fail(&server, ErrorKind::Upstream).await;
    assert!(server.sent() < 4 * BUFFERS, "{}", server.sent());
}

/// Any byte re-arms the timer between bytes, so it is the deadline of the call that ends it.
#[tokio::test]
async fn bodies_that_drip_or_are_nothing_but_white_space_end_with_the_deadline_of_the_call() {
    for (head, piece) in
        [(JSON, " "), (SSE, "\n"), (JSON, "{\"a\":[1,"), (SSE, ": here\n\n"), (SSE, "data: {}\n")]
    {
        let server = Server::drips(head, piece).await;
        all_end_at_the_deadline(&server, Duration::from_millis(400)).await;
    }
    for (head, piece) in [(JSON, "                "), (SSE, ": still here\n\n"), (SSE, "\n\n\n\n\n\n\n\n")] {
        let server = Server::floods(head, piece).await;
        all_end_at_the_deadline(&server, Duration::from_millis(400)).await;
    }
}

#[tokio::test]
async fn json_that_nests_too_deep_is_an_answer_or_an_error_and_never_a_crash() {
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let choices =
        r#""choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"hi"}}]"#;
    for text in [&deep, &"{\"a\":".repeat(100_000)] {
        for body in
            [text.clone(), format!(r#"{{"id":"1","x":{text},{choices}}}"#), format!(r#"{{"error":{text}}}"#)]
        {
            for head in [JSON, "HTTP/1.1 400 Bad\r\n\r\n"] {
                let server = Server::sends(format!("{head}{body}")).await;
                for error in all_ways(patient(&server)).await.into_iter().flatten() {
                    let kinds = [ErrorKind::Decode, ErrorKind::InvalidRequest, ErrorKind::Upstream];
                    assert!(kinds.contains(&error.kind()), "{}", error.report());
                }
            }
        }
        let server =
            Server::sends(format!("{SSE}data: {{\"id\":\"1\",\"choices\":{text}}}\n\ndata: [DONE]\n\n"))
                .await;
        all_fail(&server, ErrorKind::Decode).await;
        let arguments = json!({ "choices": [{ "index": 0, "delta": { "tool_calls": [{ "index": 0, "function": { "name": "f", "arguments": text } }] }, "finish_reason": "tool_calls" }] });
        let server = Server::sends(format!("{SSE}data: {arguments}\n\ndata: [DONE]\n\n")).await;
        assert!(all_ways(patient(&server)).await.iter().all(Option::is_none), "arguments are text");
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_are_replaced_and_nothing_else_is_lost() {
    let choice = b"{\"id\":\"1\",\"choices\":[{\"index\":0,\"finish_reason\":\"stop\",\"message\":{\"role\":\"assistant\",\"content\":\"a\xff\xc3b\x00c\"}}]}";
    let server = Server::sends([JSON.as_bytes(), choice].concat()).await;
    let reply = in_time(patient(&server).chat(ChatRequest::user("?").model("m"))).await.unwrap();
    assert_eq!(reply.text(), "a\u{fffd}\u{fffd}b\0c");
    assert!(all_ways(patient(&server)).await.iter().all(Option::is_none));

    let chunk = b"data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"finish_reason\":\"stop\",\"delta\":{\"content\":\"a\xff\xc3b\x00c\"}}]}\n\ndata: [DONE]\n\n";
    let server = Server::sends([SSE.as_bytes(), chunk].concat()).await;
    assert!(all_ways(patient(&server)).await.iter().all(Option::is_none));

    for noise in [vec![0; 4096], vec![0xff; 4096], b"{\0}".to_vec(), b"\xef\xbb\xbf\0".to_vec()] {
        for head in [JSON, SSE] {
            let server = Server::sends([head.as_bytes(), &noise].concat()).await;
            all_fail(&server, ErrorKind::Decode).await;
        }
    }
}

#[tokio::test]
async fn a_hundred_thousand_calls_in_one_answer_are_read_in_a_time_that_grows_with_them() {
    let call = json!({ "type": "function", "function": { "name": "f", "arguments": "{}" } });
    let message = json!({ "role": "assistant", "content": null, "tool_calls": vec![call; 100_000] });
    let body =
        json!({ "id": "1", "choices": [{ "index": 0, "finish_reason": "tool_calls", "message": message }] });
    let server = Server::sends(format!("{JSON}{body}")).await;
    let reply = in_time(patient(&server).chat(ChatRequest::user("?").model("m"))).await.unwrap();
    let calls = &reply.choices[0].message.tool_calls;
    let ids: std::collections::BTreeSet<_> = calls.iter().map(|call| &call.id).collect();
    assert_eq!((calls.len(), ids.len()), (100_000, 100_000));
    assert!(server.sent() < 20 * MIB);
}
