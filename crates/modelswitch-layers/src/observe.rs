//! One pass over a call for all that tell of it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use futures_util::{Stream, StreamExt};
use modelswitch_provider::{
    Body, ByteStream, Event, EventStream, Provider, Request, Response, Result, UsageWatch,
};
use tracing::Instrument;

pub(crate) use self::call::{Call, Outcome, seconds};
pub(crate) use self::content::Messages;
pub(crate) use self::told::{Told, shown};
use crate::attempt::Traced;
use crate::layer::Wrapped;
use crate::usage::hide;
use crate::{Layer, Log, Metrics, Trace};

mod call;
mod content;
mod told;

/// [`Trace`], [`Log`] and [`Metrics`] as one layer, or some of them: each event of a stream is then searched once for all.
///
/// It bites never. While nobody listens, and without [`Metrics`], it costs a look at a static variable or two.
///
/// ```
/// use modelswitch_layers::{Log, Observe, Retry, Stack, Trace};
/// use modelswitch_provider::ProviderExt;
/// use modelswitch_provider::mock::MockProvider;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let told = Observe::new().trace(Trace::new()).log(Log::new());
/// let llm = Stack::new().layer(told).layer(Retry::new()).over(MockProvider::reply("Yes."));
/// assert_eq!(llm.ask("Is water wet?").await?, "Yes.");
/// # Ok::<(), modelswitch_provider::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Observe {
    trace: Option<Trace>,
    log: Option<Log>,
    metrics: Option<Metrics>,
}

impl Observe {
    /// Tells nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A span a call.
    #[must_use]
    pub fn trace(mut self, trace: impl Into<Option<Trace>>) -> Self {
        self.trace = trace.into();
        self
    }

    /// A line a call. It stands outside of the call's span, so that a formatter doesn't write all fields twice.
    #[must_use]
    pub fn log(mut self, log: impl Into<Option<Log>>) -> Self {
        self.log = log.into();
        self
    }

    /// Measures of each call.
    #[must_use]
    pub fn metrics(mut self, metrics: impl Into<Option<Metrics>>) -> Self {
        self.metrics = metrics.into();
        self
    }

    fn asks_for_usage(self) -> bool {
        self.trace.is_some_and(|trace| trace.usage)
            || self.log.is_some_and(|log| log.usage)
            || self.metrics.is_some_and(|metrics| metrics.usage)
    }
}

impl Layer for Observe {
    fn wrap(&self, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
        Arc::new(Wrapped { layer: *self, inner })
    }
}

impl Layer for Trace {
    fn wrap(&self, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
        Observe::new().trace(*self).wrap(inner)
    }
}

impl Layer for Log {
    fn wrap(&self, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
        Observe::new().log(*self).wrap(inner)
    }
}

impl Layer for Metrics {
    fn wrap(&self, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
        Observe::new().metrics(*self).wrap(inner)
    }
}

#[async_trait]
impl Provider for Wrapped<Observe> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn send(&self, mut request: Request) -> Result<Response> {
        let Some(mut call) = Call::begin(self.layer, self.name(), &request) else {
            return self.inner.send(request).await;
        };
        let asks = self.layer.asks_for_usage() && call.told.is_some();
        let usage = asks.then(|| UsageWatch::ask(&mut request));
        let span = call.span.clone();
        if !span.is_disabled() {
            request.extensions.insert(Traced);
        }
        match self.inner.send(request).instrument(span).await {
            Ok(response) => {
                // Heard before it is hidden.
                Ok(hide(usage, watched(call, response)))
            }
            Err(error) => {
                call.fail(&error);
                Err(error)
            }
        }
    }
}

/// Follows an answer to its end.
fn watched(mut call: Box<Call>, response: Response) -> Response {
    let Response { head, body } = response;
    call.take_head(&head);
    let body = match body {
        Body::Json(json) => {
            call.hear_whole(&json);
            call.outcome = Outcome::Ok;
            Body::Json(json)
        }
        Body::Events(events) => {
            let heard = |call: &mut Call, event: &Event| call.hear_event(event);
            Body::Events(EventStream::new(Watched { items: events, heard, call: Some(call) }))
        }
        Body::Other(bytes) => {
            let heard = |call: &mut Call, _: &_| call.first_is_here();
            Body::Other(ByteStream::new(Watched { items: bytes, heard, call: Some(call) }))
        }
        // A kind of body that isn't known yet ends somewhere else.
        other => {
            call.outcome = Outcome::Ok;
            other
        }
    };
    Response { head, body }
}

/// A stream that passes as it is, with the call that it belongs to.
struct Watched<S, F> {
    items: S,
    heard: F,
    call: Option<Box<Call>>,
}

impl<S, T, F> Stream for Watched<S, F>
where
    S: Stream<Item = Result<T>> + Unpin,
    F: Fn(&mut Call, &T) + Unpin,
{
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let next = {
            let _inside = this.call.as_ref().map(|call| call.span.enter());
            ready!(this.items.poll_next_unpin(cx))
        };
        if let Some(call) = &mut this.call {
            match &next {
                Some(Ok(item)) => (this.heard)(call, item),
                Some(Err(error)) => call.fail(error),
                None => call.outcome = Outcome::Ok,
            }
        }
        // It is over, well or badly; what is told need not wait until the stream is dropped.
        if !matches!(next, Some(Ok(_))) {
            this.call = None;
        }
        Poll::Ready(next)
    }
}
