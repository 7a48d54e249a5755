use super::*;

fn deepseek(status: u16, body: &'static str) -> Error {
    let profile = Profile::embedded("deepseek").unwrap();
    from_answer(
        &profile,
        &Scrub::default(),
        true,
        StatusCode::from_u16(status).unwrap(),
        &HeaderMap::new(),
        Bytes::from_static(body.as_bytes()),
    )
}

#[test]
fn every_shape_of_an_error_body_keeps_its_status_text_and_kind() {
    use ErrorKind::*;
    let table = [
        (
            400,
            r#"{"error":{"message":"The supported API model names are deepseek-v4-pro or deepseek-v4-flash, but you passed x.","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#,
            ModelNotFound,
            "The supported API model names are",
        ),
        (
            400,
            r#"{"error":{"message":"This model's maximum context length is 1048565 tokens. However, you requested 1250025 tokens"}}"#,
            ContextLength,
            "This model's maximum",
        ),
        (400, r#"{"error":{"message":"Content Exists Risk"}}"#, ContentFiltered, "Content Exists Risk"),
        (
            400,
            r#"{"error":{"message":"Thinking mode does not support this tool_choice","type":"invalid_request_error"}}"#,
            InvalidRequest,
            "Thinking mode",
        ),
        (401, "Authentication Fails (governor)", Authentication, "Authentication Fails (governor)"),
        (
            402,
            r#"{"error":{"message":"Insufficient Balance","type":"unknown_error"}}"#,
            InsufficientBalance,
            "Insufficient Balance",
        ),
        (
            403,
            "<!DOCTYPE html><html><head><title>Attention Required!</title></head>",
            Authentication,
            "HTTP 403 Forbidden (a web page: Attention Required!)",
        ),
        (404, "", ModelNotFound, "HTTP 404 Not Found"),
        (408, "", Timeout, "HTTP 408"),
        (413, "", InvalidRequest, "HTTP 413"),
        (
            422,
            r#"{"detail":[{"loc":["body","messages"],"msg":"field required","type":"missing","input":"hush"}]}"#,
            InvalidRequest,
            "body.messages: field required",
        ),
        (
            429,
            r#"{"error":{"message":"Too many requests. Your current concurrency is 26, which exceeds your concurrency limit of 25 based on your remaining balance. Please top up your balance to restore your concurrency.","type":"rate_limit_error"}}"#,
            RateLimited,
            "Too many requests",
        ),
        (
            429,
            r#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#,
            InsufficientBalance,
            "You exceeded",
        ),
        (429, r#"{"object":"error","message":"slow down","code":42901}"#, RateLimited, "slow down"),
        (429, r#"{"error":"slow down"}"#, RateLimited, "slow down"),
        (429, r#"{"detail":"slow down"}"#, RateLimited, "slow down"),
        (429, "slow down", RateLimited, "slow down"),
        (429, "", RateLimited, "HTTP 429 Too Many Requests"),
        (
            429,
            r#"[{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED"}}]"#,
            RateLimited,
            "slow down",
        ),
        (
            400,
            r#"{"error":{"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}"#,
            Authentication,
            "API key not valid",
        ),
        (500, r#"{"error":{"message":"Model overloaded"}}"#, Overloaded, "Model overloaded"),
        (304, "", Upstream, "HTTP 304"),
        (500, "oops", Upstream, "oops"),
        (
            500,
            r#"{"error":{"code":500,"message":"context size has been exceeded","type":"exceed_context_size_error"}}"#,
            ContextLength,
            "context size",
        ),
        (501, r#"{"error":{"message":"embeddings are off"}}"#, Unsupported, "embeddings are off"),
        (
            503,
            r#"{"error":{"message":"Service is too busy.","code":"service_unavailable_error"}}"#,
            Overloaded,
            "Service is too busy.",
        ),
        (
            504,
            "<html><title>504 Gateway Time-out</title>",
            Timeout,
            "HTTP 504 Gateway Timeout (a web page: 504 Gateway Time-out)",
        ),
        (529, "{}", Overloaded, "HTTP 529"),
        (307, "", Config, "HTTP 307"),
    ];
    for (status, body, kind, message) in table {
        let error = deepseek(status, body);
        assert_eq!(error.kind(), kind, "{status} {body}");
        assert_eq!(error.status().map(|status| status.as_u16()), Some(status));
        assert!(error.message().starts_with(message), "{status} {body}: {}", error.message());
        assert_eq!(error.upstream_body().map(|kept| &kept[..]), Some(body.as_bytes()));
        assert!(!format!("{error:?}{}", error.report()).contains("hush"));
    }
}

#[test]
fn a_numeric_code_is_kept_as_text() {
    let error = deepseek(429, r#"{"error":{"message":"slow","code":429}}"#);
    assert_eq!(error.code(), Some("429"));
}

#[test]
fn an_error_under_200_is_seen_and_an_answer_is_not_taken_for_one() {
    let profile = Profile::embedded("deepseek").unwrap();
    let read = |text: &str| {
        from_success(&profile, &Scrub::default(), &serde_json::from_str(text).unwrap())
            .map(|error| error.kind())
    };
    assert_eq!(read(r#"{"error":{"code":429,"message":"slow down"}}"#), Some(ErrorKind::RateLimited));
    assert_eq!(read(r#"{"error":{"message":"it broke"}}"#), Some(ErrorKind::Upstream));
    assert_eq!(read(r#"{"error":"it broke","choices":[]}"#), Some(ErrorKind::Upstream));
    assert_eq!(
        read(r#"{"object":"error","message":"x","type":"BadRequestError"}"#),
        Some(ErrorKind::InvalidRequest)
    );
    assert_eq!(read(r#"{"error":null,"choices":[]}"#), None);
    assert_eq!(read(r#"{"choices":[]}"#), None);
}

#[test]
fn the_profiles_own_hint_is_given() {
    assert!(deepseek(402, "").hint().contains("platform.deepseek.com/top_up"));
}

#[test]
fn a_very_long_message_is_cut() {
    let error = deepseek(400, Box::leak("é".repeat(5_000).into_boxed_str()));
    assert!(error.message().chars().count() <= LONGEST_MESSAGE + 1);
}
