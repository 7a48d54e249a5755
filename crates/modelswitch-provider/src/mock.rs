//! A provider for tests: answers what you say, offline.
//!
//! ```
//! use modelswitch_provider::mock::MockProvider;
//! use modelswitch_provider::{Error, ErrorKind, ProviderExt};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let llm = MockProvider::reply("It rains.");
//! assert_eq!(llm.ask("What's the weather?").await?, "It rains.");
//!
//! let broke = MockProvider::error(Error::new(ErrorKind::InsufficientBalance, "Insufficient Balance"));
//! assert_eq!(broke.ask("Anyone?").await.unwrap_err().kind(), ErrorKind::InsufficientBalance);
//! # Ok::<(), Error>(()) }).unwrap();
//! ```
//!
//! For anything finer, `MockProvider` is a [mockall](https://docs.rs/mockall) mock: `expect_send()` takes matchers,
//! counts and closures.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::stream;
use serde_json::{Value, json};

use crate::{Body, Error, Event, EventStream, Head, Provider, Request, Response, Result};

mockall::mock! {
    /// A provider whose answers a test writes. `reply`, `script` and `error` are the short ways; `expect_send` and
    /// `expect_name` are mockall's.
    pub Provider {}

    #[async_trait]
    impl Provider for Provider {
        fn name(&self) -> &str;
        async fn send(&self, request: Request) -> Result<Response>;
    }
}

impl fmt::Debug for MockProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MockProvider")
    }
}

impl MockProvider {
    /// A provider named `mock` that expects nothing yet.
    pub fn named_mock() -> Self {
        let mut mock = Self::new();
        mock.expect_name().return_const("mock".to_owned());
        mock
    }

    /// Answers every chat request with this text: as one completion, or as a stream of words when a stream is wanted.
    pub fn reply(text: impl Into<String>) -> Self {
        let text = text.into();
        Self::answering(move |request| Ok(reply(&text, request.is_stream())))
    }

    /// Fails every request.
    pub fn error(error: Error) -> Self {
        Self::answering(move |_| Err(error.clone()))
    }

    /// Gives these answers, one a request, in order; after the last one every request fails.
    pub fn script(answers: impl IntoIterator<Item = Result<Response>>) -> Self {
        let answers: Mutex<VecDeque<_>> = Mutex::new(answers.into_iter().collect());
        Self::answering(move |_| {
            let next = answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            next.unwrap_or_else(|| Err(Error::invalid_request("the mock's script has no answer left")))
        })
    }

    /// Computes each answer from the request.
    pub fn answering(answer: impl Fn(Request) -> Result<Response> + Send + Sync + 'static) -> Self {
        let mut mock = Self::named_mock();
        mock.expect_send().returning(answer);
        mock
    }
}

/// A chat answer with this text: whole, or as a stream of words.
pub fn reply(text: &str, streamed: bool) -> Response {
    if !streamed {
        let whole = json!({
            "id": "mock", "object": "chat.completion", "created": 0, "model": "mock",
            "choices": [{ "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": text } }],
            "usage": { "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2 }
        });
        return Response::new(Body::Json(whole.to_string().into()));
    }
    let chunk = |delta: Value, finish: Value| {
        json!({ "id": "mock", "object": "chat.completion.chunk", "created": 0, "model": "mock",
                "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] })
    };
    let opening = chunk(json!({ "role": "assistant", "content": "" }), Value::Null);
    let words = text.split_inclusive(' ').map(|word| chunk(json!({ "content": word }), Value::Null));
    let end = chunk(json!({}), json!("stop"));
    events(std::iter::once(opening).chain(words).chain([end]).map(Ok))
}

/// A streamed answer of these chunks. An `Err` among them ends it, as a cut connection would.
///
/// ```
/// use modelswitch_provider::mock::{MockProvider, events};
/// use modelswitch_provider::{Error, ErrorKind, ProviderExt};
/// use serde_json::json;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let cut = events([
///     Ok(json!({ "choices": [{ "index": 0, "delta": { "content": "It ra" } }] })),
///     Err(Error::interrupted("the connection was cut")),
/// ]);
/// let llm = MockProvider::script([Ok(cut)]);
/// let error = llm.chat_stream("What's the weather?").await?.completion().await.unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Interrupted);
/// # Ok::<(), Error>(()) }).unwrap();
/// ```
pub fn events(chunks: impl IntoIterator<Item = Result<Value>>) -> Response {
    let events: Vec<Result<Event>> =
        chunks.into_iter().map(|chunk| chunk.map(|chunk| Event::new(chunk.to_string()))).collect();
    let head = Head { provider: Some("mock".into()), ..Head::default() };
    Response { head, body: Body::Events(EventStream::new(stream::iter(events))) }
}
