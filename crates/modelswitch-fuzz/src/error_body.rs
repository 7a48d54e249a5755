use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{HeaderName, StatusCode};
use modelswitch_openai::fuzz;
use modelswitch_provider::{ApiKey, Error, Request};
use serde_json::json;

use crate::input::Input;

/// The corpus has them in its bodies, as services repeat what they were sent.
const KEY: &str = "sk-canary/0123456789";
const PROMPT: &str = "a plan that nobody else may read";

/// Whatever a failed answer is, it is an error that has its status, and says neither the key nor what the user wrote.
pub fn error_body(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let profile = input.profile();
    let (high, low) = (u16::from(input.byte()), u16::from(input.byte()));
    let Ok(status) = StatusCode::from_u16(300 + (high * 256 + low) % 300) else { return };
    let headers = headers(&mut input);
    let (Ok(key), Ok(request)) = (ApiKey::new(KEY), request()) else { return };
    let body = Bytes::copy_from_slice(input.rest());
    let error = fuzz::failure(&profile, key, request, status, &headers, body);
    assert_eq!(error.status(), Some(status));
    check(&error);
}

fn request() -> modelswitch_provider::Result<Request> {
    Request::chat(&json!({ "model": "m", "messages": [{ "role": "user", "content": PROMPT }] }))
}

fn headers(input: &mut Input<'_>) -> HeaderMap {
    let all = [
        (CONTENT_TYPE, "text/html"),
        (RETRY_AFTER, "7"),
        (RETRY_AFTER, "Fri, 31 Dec 9999 23:59:59 GMT"),
        (RETRY_AFTER, "99999999999999999999"),
        (HeaderName::from_static("x-ratelimit-reset-requests"), "6m0s"),
        (HeaderName::from_static("x-should-retry"), "true"),
        (HeaderName::from_static("cf-ray"), "8f1a-FRA"),
        (HeaderName::from_static("x-request-id"), "req_1"),
    ];
    let value = |(name, value)| (name, HeaderValue::from_static(value));
    input.one_of(&all).into_iter().chain(input.one_of(&all)).map(value).collect()
}

fn check(error: &Error) {
    for name in [error.code(), error.upstream_type(), error.param(), error.request_id()].into_iter().flatten()
    {
        assert!(name.chars().count() <= 201 && !name.contains(char::is_control), "{name:?}");
    }
    let message = error.message();
    assert!(
        !message.is_empty() && message.chars().count() <= 1_100 && !message.contains(char::is_control),
        "{message:?}"
    );
    let shown = format!("{error} {error:?} {error:#?} {} {}", error.report(), error.facts());
    assert!(!shown.contains(KEY) && !shown.contains(PROMPT), "{shown}");
    let body = error.upstream_body().map(|body| body.to_vec()).unwrap_or_default();
    assert!(!body.windows(KEY.len()).any(|part| part == KEY.as_bytes()), "the body has the key");
}
