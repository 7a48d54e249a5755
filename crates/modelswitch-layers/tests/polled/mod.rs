//! For tests of what a call leaves behind that nobody waits for any longer.

use std::future::poll_fn;
use std::task::Poll;

/// Polls a future so many times and drops it; its result when it was ready by then.
pub(crate) async fn polled<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = Box::pin(future);
    let mut left = times;
    poll_fn(move |cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(cx).map(Some)
    })
    .await
}
