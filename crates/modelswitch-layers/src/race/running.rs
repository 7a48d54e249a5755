//! The calls that run for one call.

use std::future::poll_fn;
use std::task::Poll;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use modelswitch_provider::{Response, Result};

type Numbered = (usize, Result<Response>);

/// One alone, as almost always, is polled as it is; only more of them need somebody who knows which was woken.
#[derive(Default)]
pub(super) struct Running<'a> {
    one: Option<(usize, BoxFuture<'a, Result<Response>>)>,
    more: Option<FuturesUnordered<BoxFuture<'a, Numbered>>>,
}

impl<'a> Running<'a> {
    pub(super) fn push(&mut self, number: usize, call: BoxFuture<'a, Result<Response>>) {
        if self.is_empty() {
            self.one = Some((number, call));
        } else {
            let numbered = call.map(move |outcome| (number, outcome));
            self.more.get_or_insert_default().push(numbered.boxed());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.one.is_none() && self.more.as_ref().is_none_or(FuturesUnordered::is_empty)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The first that ends; `None` when nobody runs.
    pub(super) async fn next(&mut self) -> Option<Numbered> {
        poll_fn(|cx| {
            if let Some((number, call)) = &mut self.one
                && let Poll::Ready(outcome) = call.poll_unpin(cx)
            {
                let number = *number;
                self.one = None;
                return Poll::Ready(Some((number, outcome)));
            }
            match self.more.as_mut().map(|more| more.poll_next_unpin(cx)) {
                Some(Poll::Ready(None)) | None if self.one.is_none() => Poll::Ready(None),
                Some(Poll::Ready(None)) | None => Poll::Pending,
                Some(other) => other,
            }
        })
        .await
    }
}
