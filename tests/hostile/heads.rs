//! What may be wrong before a body begins.

use std::time::Duration;

use modelswitch::ErrorKind;

use crate::server::Server;
use crate::{BUFFERS, KEY, LONGEST, all_end_at_the_deadline, all_fail, all_ways, in_time, provider};

#[tokio::test]
async fn headers_without_end_are_an_error_before_they_fill_the_memory() {
    for (head, piece) in [
        ("HTTP/1.1 200 OK\r\n", "x-more: of the same\r\n"),
        ("HTTP/1.1 200 OK\r\nx-long: ", "xxxxxxxxxxxxxxxx"),
        ("HTTP/1.1 200 ", "OK OK OK OK"),
        ("", "\r\n\r\n\r\n\r\n"),
        ("", "garbage garbage "),
    ] {
        let server = Server::floods(head, piece).await;
        all_fail(&server, ErrorKind::Connection).await;
        assert!(server.sent() < 4 * BUFFERS, "{} bytes of {piece:?}", server.sent());
        in_time(server.is_left()).await;
    }
}

#[tokio::test]
async fn a_head_that_drips_is_an_error_once_the_time_for_a_head_is_over() {
    let server = Server::drips("HTTP/1.1 200 OK\r\nx-slow: ", "x").await;
    let errors = all_ways(provider(&server, "openai-compatible", Duration::from_millis(300), LONGEST)).await;
    assert!(errors.into_iter().all(|error| error.is_some_and(|error| error.kind() == ErrorKind::Timeout)));
    in_time(server.is_left()).await;
}

#[tokio::test]
async fn interim_answers_without_end_are_over_when_the_time_for_a_head_is() {
    let server = Server::floods("", "HTTP/1.1 103 Early Hints\r\n\r\n").await;
    let errors = all_ways(provider(&server, "openai-compatible", Duration::from_millis(300), LONGEST)).await;
    for error in errors {
        let kind = error.expect("it fails").kind();
        assert!(matches!(kind, ErrorKind::Timeout | ErrorKind::Connection), "{kind:?}");
    }
    in_time(server.is_left()).await;
}

/// HTTP/2 isn't spoken, so its resets reach nobody: it is neither asked for nor understood.
#[tokio::test]
async fn http_2_is_not_asked_for_and_an_answer_in_it_is_an_error() {
    let settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00".to_vec();
    let reset = b"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x02".to_vec();
    let upgrade = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n".to_vec();
    for answer in [[settings.clone(), reset.clone()].concat(), b"HTTP/2 200\r\n\r\n".to_vec(), reset.clone()]
    {
        let server = Server::sends(answer).await;
        all_fail(&server, ErrorKind::Connection).await;
        for request in server.requests() {
            let head = request.split("\r\n\r\n").next().unwrap().to_lowercase();
            assert!(head.lines().next().unwrap().ends_with("http/1.1"), "{head}");
            assert!(!head.contains("upgrade") && !head.contains("http2-settings"), "{head}");
        }
    }
    let server = Server::sends([upgrade, settings, reset].concat()).await;
    assert!(all_ways(crate::patient(&server)).await.iter().all(Option::is_some));
}

#[tokio::test]
async fn a_head_that_lies_about_the_length_is_an_error_and_nothing_is_set_aside_for_it() {
    let short = r#"{"id":"1","choices":["#;
    for (head, kind) in [
        ("content-length: 1000000000000000000", ErrorKind::Interrupted),
        ("content-length: 21", ErrorKind::Interrupted),
        ("content-length: 3", ErrorKind::Interrupted),
        ("content-length: -1", ErrorKind::Connection),
        ("content-length: 5\r\ncontent-length: 6", ErrorKind::Connection),
        ("content-length: 99999999999999999999999999", ErrorKind::Connection),
        ("transfer-encoding: chunked", ErrorKind::Interrupted),
    ] {
        let server = Server::sends(format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{head}\r\n\r\n{short}"
        ))
        .await;
        all_fail(&server, kind).await;
    }
}

#[tokio::test]
async fn chunks_of_a_body_that_lie_or_have_no_end_are_an_error() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    for body in [
        "FFFFFFFFFFFFFFFF\r\n{",
        "FFFFFFFFFFFFFFFFFFFF\r\n{",
        "-1\r\n{",
        "5\r\n{\"a\":1}\r\n0\r\n\r\n",
        "5\r\n{\"a\"",
    ] {
        let server = Server::sends(format!("{head}{body}")).await;
        all_fail(&server, ErrorKind::Interrupted).await;
    }
    // What is read and is nothing of the body re-arms no timer.
    let idle = Duration::from_millis(300);
    for (begin, piece) in
        [("1;", "extension"), ("1\r\n{\r\n0\r\n", "x-trailer: of many\r\n"), ("0", "0000000000000000")]
    {
        let server = Server::floods(format!("{head}{begin}"), piece).await;
        let errors = all_ways(provider(&server, "openai-compatible", LONGEST, idle)).await;
        assert!(errors.iter().all(Option::is_some), "{begin}");
        in_time(server.is_left()).await;
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_or_goes_is_an_error() {
    let server = Server::sends("").await;
    all_fail(&server, ErrorKind::Connection).await;
    let server = Server::silent().await;
    all_end_at_the_deadline(&server, Duration::from_millis(300)).await;
}

#[tokio::test]
async fn headers_that_are_no_text_and_repeat_the_key_are_told_without_it() {
    let head = format!(
        "HTTP/1.1 429 \r\nx-request-id: \u{e9}{KEY}\r\nretry-after: {KEY}\r\nx-{KEY}: 1\r\n\r\n{KEY}"
    );
    let server = Server::sends(head).await;
    all_fail(&server, ErrorKind::RateLimited).await;
    let server = Server::sends("HTTP/1.1 200 OK\r\nx-nul: a\0b\r\n\r\n{}").await;
    all_fail(&server, ErrorKind::Connection).await;
}
