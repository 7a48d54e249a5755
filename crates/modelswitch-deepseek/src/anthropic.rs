//! DeepSeek's endpoint in Anthropic's form, passed through: `POST /anthropic/v1/messages`
//! (<https://api-docs.deepseek.com/guides/anthropic_api>, read on 2026-11-21).
//!
//! Any [`Provider`](modelswitch_provider::Provider) over DeepSeek takes the request, layers and all. What is asked and what is
//! answered stays as it is; nothing is turned into OpenAI's form or back. What is done for it:
//!
//! * the key goes out as `x-api-key`, instead of as a bearer token;
//! * failures are [`Error`](modelswitch_provider::Error)s of the right kind, with DeepSeek's own text;
//! * a stream ends with `message_stop` or with an `Err`: one that is cut before is
//!   [`Interrupted`](modelswitch_provider::ErrorKind::Interrupted), an `error` event an error of its kind;
//! * until the first `content_block_delta` a `Retry` layer may ask again.
//!
//! # What DeepSeek makes of it
//!
//! | what | becomes |
//! |---|---|
//! | model `claude-opus…` | `deepseek-v4-pro` |
//! | model `claude-haiku…`, `claude-sonnet…` | `deepseek-flash` |
//! | any other model | the documents differ: those of September 2026 send unknown names to `deepseek-flash`, those of November answer 400 unless the name begins with `claude`. Name one of DeepSeek's models |
//! | `anthropic-version` | ignored; it is sent, for gateways that ask for it |
//! | `anthropic-beta` | ignored, but for `/anthropic/v1/files`, which needs `files-api-2025-04-14` |
//! | `thinking` | switches thinking; its `budget_tokens` is ignored, `output_config.effort` counts |
//! | `metadata.user_id` | `user_id` |
//! | `container`, `mcp_servers`, `service_tier`, `top_k`, `cache_control`, `citations`, `is_error`, `disable_parallel_tool_use` | ignored |
//! | `document`, `search_result`, `redacted_thinking`, `code_execution_*`, `mcp_*`, `container_upload` | not supported |
//!
//! The thinking of earlier turns must be sent back with tools, as on the chat endpoint. It stands in the content blocks that
//! DeepSeek answered with, so a client that sends those back has done it.

use http::{HeaderName, HeaderValue, Method};
use modelswitch_provider::{Document, Endpoint, Request, Result};
use serde::Serialize;

/// The path under DeepSeek's base URL.
pub const MESSAGES: &str = "/anthropic/v1/messages";

const VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// A request in Anthropic's form, from anything that serialises to its JSON.
///
/// ```no_run
/// use modelswitch_deepseek::{DeepSeek, anthropic};
/// use modelswitch_provider::Provider;
/// use serde_json::{Value, json};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let request = anthropic::messages(&json!({
///     "model": "deepseek-flash", "max_tokens": 1000, "messages": [{ "role": "user", "content": "9.11 or 9.8?" }]
/// }))?;
/// let (head, body) = DeepSeek::from_env()?.send(request).await?.into_json()?;
/// let message: Value = serde_json::from_slice(&body)?;
/// println!("{:?}: {}", head.request_id, message["content"]);
/// # Ok(()) }
/// ```
///
/// With `"stream": true` the answer is a [`Body::Events`](modelswitch_provider::Body::Events).
///
/// # Errors
/// [`InvalidRequest`](modelswitch_provider::ErrorKind::InvalidRequest) when it isn't a JSON object.
pub fn messages(body: &(impl Serialize + ?Sized)) -> Result<Request> {
    let mut request = Request::new(Endpoint::new(Method::POST, MESSAGES)?, Document::from_serialize(body)?);
    request.headers.insert(VERSION, HeaderValue::from_static("2023-06-01"));
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_asked_stays_as_it_is() {
        let body = Document::parse(r#"{"model":"claude-opus-5","messages":[ ],"new":1.50}"#).unwrap();
        let request = messages(&body).unwrap();
        assert_eq!(request.document().unwrap().to_bytes(), body.to_bytes().as_ref().to_vec());
        assert_eq!(request.headers["anthropic-version"], "2023-06-01");
        assert!(messages(&json!([])).is_err());
    }
}
