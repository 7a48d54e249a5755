//! Whatever a body is, the error says the kind that the status says at least, and nothing that must not be said.

use http::{HeaderName, HeaderValue};
use modelswitch_provider::{ApiKey, Request};
use proptest::prelude::*;
use serde_json::json;

use super::*;

const KEY: &str = "sk-canary/0123456789";
const PROMPT: &str = "a plan that nobody else may read";

fn scrub() -> Scrub {
    let request = Request::chat(&json!({"model": "m", "messages": [{"role": "user", "content": PROMPT}]}));
    Scrub::new(Some(ApiKey::new(KEY).unwrap()), request.unwrap())
}

fn read(status: u16, headers: &HeaderMap, body: impl Into<Bytes>) -> Error {
    let profile = Profile::embedded("deepseek").unwrap();
    from_answer(&profile, &scrub(), true, StatusCode::from_u16(status).unwrap(), headers, body.into())
}

/// What may not be in any error.
fn check(error: &Error) {
    let names = [error.code(), error.upstream_type(), error.param(), error.request_id()];
    for name in names.into_iter().flatten() {
        assert!(name.chars().count() <= LONGEST_NAME + 1 && !name.contains(char::is_control));
    }
    assert!(error.message().chars().count() <= LONGEST_MESSAGE + 100);
    assert!(!error.message().is_empty() && !error.message().contains(char::is_control));
    let shown = format!("{error} {error:?} {} {}", error.report(), error.facts());
    assert!(!shown.contains(KEY) && !shown.contains(PROMPT), "{shown}");
    let body = error.upstream_body().map(|body| body.to_vec()).unwrap_or_default();
    assert!(memchr::memmem::find(&body, KEY.as_bytes()).is_none());
}

/// The kinds that a status leaves open, whatever the words are. The profile has no patterns of other kinds.
fn fits(status: u16, kind: ErrorKind) -> bool {
    use ErrorKind::*;
    match status {
        304 => kind == Upstream,
        300..=399 | 407 => kind == Config,
        401 => matches!(kind, Authentication | InsufficientBalance | ContentFiltered),
        402 => matches!(kind, InsufficientBalance | ContentFiltered),
        408 | 504 | 522 | 524 => matches!(kind, Timeout | ContentFiltered),
        429 => {
            matches!(kind, RateLimited | InsufficientBalance | Overloaded | ContextLength | ContentFiltered)
        }
        501 => matches!(kind, Unsupported | ContentFiltered),
        529 => matches!(kind, Overloaded | ContentFiltered),
        _ => !matches!(kind, Config | Connection | Interrupted | Decode | Rejected),
    }
}

/// Words that mean something somewhere, the key and what the user wrote among them.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,40}",
        prop::sample::select(vec![
            KEY,
            PROMPT,
            "rate_limit_exceeded",
            "insufficient_quota",
            "context window",
            "overloaded",
            "None",
            "model_not_found",
            "{\"error\":{\"message\":\"inner\"}}",
            "[{",
            "Please try again in 7.66s",
            "429",
            "invalid_api_key",
            "content_filter",
            "x: {\"message\": {\"message\": \"deep\"}}",
            "request id: abcdefgh",
        ])
        .prop_map(str::to_owned),
        Just("long ".repeat(2_000)),
    ]
}

fn member() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "error",
        "errors",
        "message",
        "msg",
        "detail",
        "code",
        "type",
        "__type",
        "param",
        "status",
        "metadata",
        "raw",
        "details",
        "reason",
        "retryDelay",
        "request_id",
        "id",
        "base_resp",
        "status_code",
        "innererror",
        "loc",
        "success",
        "object",
        "choices",
        "headers",
        "retry_after",
        "fault",
        "title",
        "input",
    ])
    .prop_map(str::to_owned)
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        word().prop_map(Value::String),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((member(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn headers() -> impl Strategy<Value = HeaderMap> {
    let names = prop::sample::select(vec![
        "retry-after",
        "retry-after-ms",
        "x-ratelimit-reset",
        "x-ratelimit-reset-tokens",
        "x-should-retry",
        "x-amzn-errortype",
        "cf-ray",
    ]);
    let values = prop_oneof!["[ -~]{0,30}", "[0-9.e+-]{1,12}", "[0-9]{1,20}(ms|s|m|h|d)"];
    prop::collection::vec((names, values), 0..4).prop_map(|pairs| {
        let pairs = pairs
            .into_iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(&value).unwrap()));
        pairs.collect()
    })
}

proptest! {
    #[test]
    fn any_bytes_of_any_status_are_an_error_that_follows_it(
        status in 300u16..600, headers in headers(), mut body in prop::collection::vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(), with_key in any::<bool>(),
    ) {
        if with_key {
            let at = at.index(body.len() + 1);
            body.splice(at..at, KEY.bytes());
        }
        let error = read(status, &headers, body);
        check(&error);
        prop_assert!(fits(status, error.kind()), "{status} {:?}", error.kind());
    }

    #[test]
    fn any_json_of_any_status_is_an_error_that_follows_it(
        status in 300u16..600, headers in headers(), body in document(),
    ) {
        let error = read(status, &headers, body.to_string());
        check(&error);
        prop_assert!(fits(status, error.kind()), "{status} {:?} {body}", error.kind());
    }

    #[test]
    fn any_json_under_200_is_an_error_or_none(body in document()) {
        let profile = Profile::embedded("vllm").unwrap();
        if let Some(error) = from_success(&profile, &scrub(), &body) {
            check(&error);
        }
    }

    #[test]
    fn any_text_with_markup_or_events_in_it_is_read(
        status in 400u16..600,
        text in "(<(title|Message|Code|html|\\?xml)[ a-z>]{0,5}|data: ?|event: ?|\\{|\\}|</|error code: |[0-9]|é|\n){0,40}",
    ) {
        check(&read(status, &HeaderMap::new(), text));
    }

    #[test]
    fn words_without_a_meaning_leave_the_kind_to_the_status(status in 300u16..600, text in "[0-9 äöü]{0,60}") {
        let plain = read(status, &HeaderMap::new(), "").kind();
        for body in [text.clone(), json!({"error": {"message": text}}).to_string()] {
            prop_assert_eq!(read(status, &HeaderMap::new(), body).kind(), plain);
        }
    }
}
