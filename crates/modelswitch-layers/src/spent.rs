//! What a layer spends of the time that a caller still has.

use modelswitch_provider::{Request, TimeLeft};
use tokio::time::Instant;

/// Since when a layer has a request. Without a deadline nobody looks at the clock.
pub(crate) struct Spent(Option<Instant>);

impl Spent {
    pub(crate) fn begin(request: &Request) -> Self {
        Self(TimeLeft::of(request).map(|_| Instant::now()))
    }

    /// Takes what was spent off the request's time.
    pub(crate) fn take_off(&self, request: &mut Request) {
        if let Some(since) = self.0 {
            TimeLeft::spend(request, since.elapsed());
        }
    }
}
