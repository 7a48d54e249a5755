#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use modelswitch_provider::{Provider, Request, Response, Result};

use crate::Target;
use crate::race::{first_answer, no_target};

/// Asks the first target, and the next one when that fails in a way that may go well elsewhere
/// ([`Error::may_succeed_elsewhere`](modelswitch_provider::Error::may_succeed_elsewhere)): it is down, out of money, has no such
/// model, can't take the request. Never once an answer is [`committed`](modelswitch_provider::committed).
///
/// Each target's own layers (retries, limits) are below, so a target is given up when those have. What a target can't take
/// of a request its own dialect adapts or refuses; a refusal goes on to the next. Every failed try is in
/// [`Head::failures`](modelswitch_provider::Head::failures) or [`Error::failures`](modelswitch_provider::Error::failures), with
/// target, kind and duration.
///
/// Only questions to a model go elsewhere. Files, batches and lists are the first target's: at another provider they would
/// be others.
///
/// It bites when a target fails before its first content. It costs one clone of the request, which shares the body; a stream is handed on at its first content.
///
/// ```
/// use modelswitch_layers::{Fallback, Target};
/// use modelswitch_provider::mock::MockProvider;
/// use modelswitch_provider::{Error, ErrorKind, ProviderExt};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let down = MockProvider::error(Error::new(ErrorKind::Upstream, "it broke"));
/// let smart = Fallback::new("smart", [
///     Target::new(down).model("deepseek-v4-pro"),
///     Target::new(MockProvider::reply("9.8")).model("gpt-5.5"),
/// ]);
/// let reply = smart.chat("9.11 or 9.8?").await?;
/// assert_eq!((reply.text().as_str(), reply.head.attempts()), ("9.8", 2));
/// # Ok::<(), Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Fallback {
    name: Arc<str>,
    targets: Arc<[Target]>,
    hedge: Option<Duration>,
}

impl Fallback {
    /// Targets, the most wanted first, under a name for logs.
    pub fn new(name: impl Into<Arc<str>>, targets: impl IntoIterator<Item = Target>) -> Self {
        Self { name: name.into(), targets: targets.into_iter().collect(), hedge: None }
    }

    /// Asks the next target too when the one before has had no content for so long, and takes whichever comes first. The
    /// other is cancelled, and may charge for what it did until then: it is told as a try that took too long.
    #[must_use]
    pub fn hedge_after(mut self, patience: Duration) -> Self {
        self.hedge = Some(patience);
        self
    }
}

#[async_trait]
impl Provider for Fallback {
    fn name(&self) -> &str {
        &self.name
    }

    async fn send(&self, request: Request) -> Result<Response> {
        first_answer(&self.targets, 0..self.targets.len(), &request, self.hedge, |target, request| {
            async move {
                match self.targets.get(target) {
                    Some(target) => target.ask(request).await,
                    None => Err(no_target()),
                }
            }
            .boxed()
        })
        .await
    }
}
