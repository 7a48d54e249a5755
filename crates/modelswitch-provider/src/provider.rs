use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{Request, Response, Result};

/// Whatever answers OpenAI-shaped requests: a service, a retry around one, a router over many, a mock.
///
/// One method to write, and object safe: `Arc<dyn Provider>` is how providers are passed around. What callers enjoy is
/// in [`ProviderExt`](crate::ProviderExt).
///
/// Whatever is not a usable answer is an `Err` that knows its kind and origin: an implementor turns error statuses,
/// error objects under 200 and undecodable bodies into [`Error`](crate::Error)s, and makes every stream end properly or
/// with an `Err`. Dropping the future or the stream cancels the call.
///
/// ```
/// use async_trait::async_trait;
/// use modelswitch_provider::{Provider, Request, Response, Result};
/// use serde_json::json;
///
/// /// Answers whatever it is asked with the same sentence.
/// #[derive(Debug)]
/// struct Parrot;
///
/// #[async_trait]
/// impl Provider for Parrot {
///     fn name(&self) -> &str {
///         "parrot"
///     }
///     async fn send(&self, _request: Request) -> Result<Response> {
///         Response::json(&json!({ "choices": [{ "index": 0, "message": { "role": "assistant", "content": "hello" } }] }))
///     }
/// }
/// ```
#[async_trait]
pub trait Provider: Debug + Send + Sync + 'static {
    /// The name that configuration, logs and errors use for this provider.
    fn name(&self) -> &str;

    /// Sends one request.
    ///
    /// # Errors
    /// Whatever is not a usable answer.
    async fn send(&self, request: Request) -> Result<Response>;
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Response>> + Send + 'a>>;

// Both hand on the future of what is inside. A future of their own around it would cost each layer of a stack a box a call: a
// call of `send` on an `Arc<dyn Provider>` is one of these.
impl<P: Provider + ?Sized> Provider for Arc<P> {
    fn name(&self) -> &str {
        (**self).name()
    }
    fn send<'a, 'b>(&'a self, request: Request) -> Answer<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        (**self).send(request)
    }
}

impl<P: Provider + ?Sized> Provider for Box<P> {
    fn name(&self) -> &str {
        (**self).name()
    }
    fn send<'a, 'b>(&'a self, request: Request) -> Answer<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        (**self).send(request)
    }
}
