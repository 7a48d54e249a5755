use super::*;
use serde_json::json;

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
    assert_eq!(read(r#"{"choices":[],"x_groq":{"error":"over capacity"}}"#), Some(ErrorKind::Overloaded));
}

#[test]
fn an_error_that_says_nothing_beside_an_answer_is_none() {
    let profile = Profile::embedded("deepseek").unwrap();
    let read = |body: &Value| from_success(&profile, &Scrub::default(), body).map(|error| error.kind());
    for error in [
        json!({"message":"","type":"","code":null}),
        json!({"code":0,"message":""}),
        json!({"code":"ok"}),
        json!({"code":"200","message":"success"}),
        json!({"message":null,"details":[{"code":0}],"request_id":"r"}),
        json!({}),
        json!([]),
        json!(false),
        json!(0),
        json!(200),
        json!(""),
        json!(" "),
        json!("ok"),
    ] {
        assert_eq!(read(&json!({"choices":[{}],"error":error})), None, "{error}");
        assert_eq!(read(&json!({"usage":{"total_tokens":1},"error":error})), None, "{error}");
    }
    for error in
        [json!({"code":500,"message":""}), json!({"metadata":{"raw":"it broke"}}), json!(true), json!(["x"])]
    {
        assert_eq!(read(&json!({"choices":[{}],"error":error})), Some(ErrorKind::Upstream), "{error}");
    }
    // Alone, even an empty one is no answer.
    assert_eq!(read(&json!({"error":{"message":""}})), Some(ErrorKind::Upstream));
}

#[test]
fn an_error_in_a_choice_is_read_like_any_other() {
    let profile = Profile::embedded("openrouter").unwrap();
    let read = |choice: Value| in_choice(&profile, &Scrub::default(), choice.as_object().unwrap());
    let error = read(json!({"error":{"code":429,"message":"slow down"}})).unwrap();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert!(read(json!({"error":null})).is_none() && read(json!({"error":{"code":0}})).is_none());
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

/// As a service that repeats a part of what the user wrote would.
fn repeated(status: u16, prompt: &str, message: &str) -> ErrorKind {
    let messages = serde_json::json!([{ "role": "user", "content": prompt }]);
    let request =
        modelswitch_provider::Request::chat(&serde_json::json!({ "model": "m", "messages": messages }));
    let scrub = Scrub::new(None, request.unwrap());
    let body = serde_json::json!({ "error": { "message": message } }).to_string();
    let status = StatusCode::from_u16(status).unwrap();
    from_answer(&Profile::default(), &scrub, true, status, &HeaderMap::new(), body.into()).kind()
}

#[test]
fn words_that_the_user_wrote_decide_nothing() {
    let prompt =
        "Why does a maximum context length exist, and what is a rate limit? I got Insufficient Balance.";
    for (message, kind) in [
        // The whole of it, a part of it, and a part in other case and spacing.
        (format!("invalid role in: {prompt}"), ErrorKind::InvalidRequest),
        ("can't parse `does a maximum context length exist, and wh…`".to_owned(), ErrorKind::InvalidRequest),
        ("can't parse `DOES A  MAXIMUM CONTEXT\nLENGTH EXIST`".to_owned(), ErrorKind::InvalidRequest),
        // The service's own words, although the user knows them too.
        ("This model's maximum context length is 8192 tokens.".to_owned(), ErrorKind::ContextLength),
        ("Insufficient Balance".to_owned(), ErrorKind::InsufficientBalance),
        ("Does a maximum context length exist? It does.".to_owned(), ErrorKind::ContextLength),
    ] {
        assert_eq!(repeated(400, prompt, &message), kind, "{message}");
    }
}

#[test]
fn a_status_says_which_words_may_count() {
    let deepseek = |status, code: &str, message: &str| {
        let body = serde_json::json!({ "error": { "code": code, "message": message } }).to_string();
        let profile = Profile::embedded("deepseek").unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        from_answer(&profile, &Scrub::default(), true, status, &HeaderMap::new(), body.into()).kind()
    };
    for (status, code, message, kind) in [
        (401, "rate_limit_exceeded", "rate limit", ErrorKind::Authentication),
        (429, "model_not_found", "no such model", ErrorKind::RateLimited),
        (500, "x", "rate limit reached", ErrorKind::Upstream),
        (500, "rate_limit_exceeded", "x", ErrorKind::RateLimited),
        (504, "overloaded_error", "overloaded", ErrorKind::Timeout),
        (503, "x", "invalid api key", ErrorKind::Overloaded),
        (400, "invalid_request_error", "x", ErrorKind::InvalidRequest),
        // The profile's own words win.
        (500, "x", "Content Exists Risk", ErrorKind::ContentFiltered),
    ] {
        assert_eq!(deepseek(status, code, message), kind, "{status} {code} {message}");
    }
}

#[test]
fn a_pattern_that_begins_with_an_equals_sign_is_the_whole_of_a_code() {
    let profile = Profile::from_toml("mine", "[patterns]\ninsufficient_balance = ['=1113']").unwrap();
    let kind = |body: &'static str| {
        let status = StatusCode::TOO_MANY_REQUESTS;
        from_answer(&profile, &Scrub::default(), true, status, &HeaderMap::new(), body.into()).kind()
    };
    assert_eq!(kind(r#"{"error":{"code":"1113","message":"x"}}"#), ErrorKind::InsufficientBalance);
    assert_eq!(kind(r#"{"code":1113,"message":"x"}"#), ErrorKind::InsufficientBalance);
    assert_eq!(kind(r#"{"error":{"code":"11130","message":"1113 tokens"}}"#), ErrorKind::RateLimited);
}

#[test]
fn a_pattern_counts_whatever_its_case() {
    let profile = Profile::from_toml("mine", "patterns.insufficient_balance = ['Wallet is Empty']").unwrap();
    for body in [r#"{"error":{"message":"Your wallet is empty."}}"#, r#"{"error":"WALLET IS EMPTY"}"#] {
        let status = StatusCode::BAD_REQUEST;
        let error = from_answer(&profile, &Scrub::default(), true, status, &HeaderMap::new(), body.into());
        assert_eq!(error.kind(), ErrorKind::InsufficientBalance, "{body}");
    }
}

#[test]
fn a_piece_of_what_the_user_wrote_is_not_in_the_message() {
    let prompt = "Why is there a rate limit on the number of tulips that one person may buy in Amsterdam?";
    let messages = serde_json::json!([{ "role": "user", "content": prompt }]);
    let request =
        modelswitch_provider::Request::chat(&serde_json::json!({ "model": "m", "messages": messages }));
    let scrub = Scrub::new(None, request.unwrap());
    let body =
        r#"{"error":{"message":"Bad prompt: WHY IS THERE A RATE LIMIT ON THE NUMBER OF TULIPS THAT..."}}"#;
    let error = from_answer(
        &Profile::default(),
        &scrub,
        true,
        StatusCode::BAD_REQUEST,
        &HeaderMap::new(),
        body.into(),
    );
    assert_eq!((error.kind(), error.message()), (ErrorKind::InvalidRequest, "Bad prompt: […]..."));
}

#[test]
fn headers_without_number_in_a_body_are_read_up_to_some() {
    let mut headers: Map<String, Value> =
        (0..100_000).map(|n| (format!("x-ratelimit-{n:06}"), "1".into())).collect();
    headers.insert("retry-after".to_owned(), "7".into());
    let body = json!({"error":{"message":"slow down","headers":headers,"metadata":{"headers":headers}}});
    let error = from_success(&Profile::default(), &Scrub::default(), &body).unwrap();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
}

#[test]
fn an_answer_is_not_taken_for_an_error() {
    let profile = Profile::embedded("openai-compatible").unwrap();
    for answer in [
        r#"{"code":0,"data":{"balance":1}}"#,
        r#"{"code":"x","message":"y","data":[1]}"#,
        r#"{"choices":[{}],"base_resp":{"status_code":0,"status_msg":""}}"#,
        r#"{"base_resp":{"status_code":0}}"#,
        r#"{"object":"list","data":[],"message":"x","code":7}"#,
        r#"{"status":"ok","message":"fine"}"#,
        r#"{"success":true,"message":"fine"}"#,
        r#"{"error":null}"#,
        r#"{"error":{}}"#,
        r#"{"error":""}"#,
        r#"{"error":false}"#,
        r#"{"error":0,"message":"fine"}"#,
        r#"{"error":[]}"#,
        "[]",
        "7",
    ] {
        let value = serde_json::from_str(answer).unwrap();
        assert!(from_success(&profile, &Scrub::default(), &value).is_none(), "{answer}");
    }
}
