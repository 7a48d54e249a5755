//! Where the key may go: to the base URL it was given for.

use modelswitch::ErrorKind;

use crate::server::Server;
use crate::{KEY, all_fail, all_ways, patient};

#[tokio::test]
async fn a_redirect_takes_the_key_to_no_other_origin_whatever_it_is_written_like() {
    let other = Server::sends("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    let place = other.base_url();
    let authority = place.strip_prefix("http:").unwrap();
    for status in [301, 302, 303, 307, 308] {
        for location in [
            format!("{place}/chat/completions"),
            format!("{authority}/chat/completions"),
            format!("{place}/chat/completions?key={KEY}"),
            format!("http://user@{}", authority.trim_start_matches('/')),
            format!("https:{authority}"),
            "http://".to_owned(),
            "\u{7f}".to_owned(),
            String::new(),
        ] {
            let server = Server::sends(format!(
                "HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"
            ))
            .await;
            for error in all_ways(patient(&server)).await {
                let error = error.expect("it fails");
                assert!(
                    matches!(error.kind(), ErrorKind::Config | ErrorKind::Connection),
                    "{status} {location}: {}",
                    error.report()
                );
            }
        }
    }
    assert_eq!(other.requests(), Vec::<String>::new(), "nobody came");
}

#[tokio::test]
async fn redirects_in_a_circle_end_and_what_changes_the_request_is_not_followed() {
    let server =
        Server::sends("HTTP/1.1 307 Again\r\nlocation: /v1/chat/completions\r\ncontent-length: 0\r\n\r\n")
            .await;
    all_fail(&server, ErrorKind::Config).await;
    let asked = server.requests();
    assert!(asked.len() > 4 && asked.len() <= 4 * 7, "{}", asked.len());
    assert!(asked.iter().all(|request| request.starts_with("POST ") && request.contains(KEY)));
}

#[tokio::test]
async fn headers_that_point_elsewhere_are_not_followed() {
    let other = Server::sends("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    let place = other.base_url();
    let head = format!(
        "alt-svc: h2=\"{}\"; ma=99\r\nrefresh: 0;url={place}\r\nlink: <{place}>; rel=preload\r\ncontent-location: {place}\r\nset-cookie: a=b; domain=127.0.0.1",
        place.strip_prefix("http://").unwrap()
    );
    let server = Server::sends(format!("HTTP/1.1 503 Busy\r\n{head}\r\ncontent-length: 0\r\n\r\n")).await;
    all_fail(&server, ErrorKind::Overloaded).await;
    assert!(server.requests().iter().all(|request| !request.to_lowercase().contains("cookie")));
    assert_eq!(other.requests(), Vec::<String>::new());
}
