//! What becomes of an answer after it was handed on: the end of a stream is the end of a call.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::{Stream, stream};
use modelswitch_provider::{Body, ByteStream, Ending, Follow, Response, Usage};

/// Runs `act` when an answer has ended: at once for a whole one, at its last event for a stream, and when a stream is
/// dropped before that. It is run once, whatever happens. A permit or a reservation that is moved into the closure lives
/// as long as the answer does.
///
/// ```
/// use std::sync::Arc;
/// use modelswitch_layers::{Ending, layer_fn, on_end, Stack};
/// use tokio::sync::Semaphore;
///
/// // At most eight calls at once, and a stream is a call until its end.
/// let permits = Arc::new(Semaphore::new(8));
/// let few = layer_fn("few at once", move |inner, request| {
///     let permits = permits.clone();
///     async move {
///         let permit = permits.acquire_owned().await.ok();
///         let response = inner.send(request).await?;
///         Ok(on_end(response, move |_ending: Ending| drop(permit)))
///     }
/// });
/// # use modelswitch_provider::ProviderExt;
/// # use modelswitch_provider::mock::MockProvider;
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let llm = Stack::new().layer(few).over(MockProvider::reply("Yes."));
/// assert_eq!(llm.ask("Is water wet?").await?, "Yes.");
/// # Ok::<(), modelswitch_provider::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[inline]
pub fn on_end(mut response: Response, act: impl FnOnce(Ending) + Send + 'static) -> Response {
    match &mut response.body {
        Body::Events(events) => events.follow(OnEnd(act)),
        Body::Other(bytes) => {
            let stream = std::mem::replace(bytes, ByteStream::new(stream::empty()));
            *bytes = ByteStream::new(Watched { stream, last: Last(Some(Box::new(act))) });
        }
        _ => act(Ending::Finished),
    }
    response
}

struct OnEnd<F>(F);

impl<F: FnOnce(Ending) + Send + 'static> Follow for OnEnd<F> {
    fn ended(self: Box<Self>, ending: &Ending, _: Option<&Usage>) {
        (self.0)(ending.clone());
    }
}

type Act = Box<dyn FnOnce(Ending) + Send>;

/// Tells the end once; a drop is an end too.
struct Last(Option<Act>);

impl Last {
    fn tell(&mut self, ending: Ending) {
        if let Some(act) = self.0.take() {
            act(ending);
        }
    }
}

impl Drop for Last {
    fn drop(&mut self) {
        self.tell(Ending::Dropped);
    }
}

/// Bytes have nobody who follows them: they are few and large.
struct Watched<S> {
    stream: S,
    last: Last,
}

impl<S, T> Stream for Watched<S>
where
    S: Stream<Item = modelswitch_provider::Result<T>> + Unpin,
{
    type Item = modelswitch_provider::Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.stream).poll_next(cx);
        match &polled {
            Poll::Ready(Some(Err(error))) => this.last.tell(Ending::Failed(error.clone())),
            Poll::Ready(None) => this.last.tell(Ending::Finished),
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures_util::StreamExt;
    use modelswitch_provider::mock::reply;
    use modelswitch_provider::{Error, ErrorKind, Event, EventStream};

    use super::*;

    fn listened(response: Response) -> (Response, Arc<Mutex<Vec<String>>>) {
        let endings = Arc::new(Mutex::new(Vec::new()));
        let heard = endings.clone();
        let response = on_end(response, move |ending| {
            heard.lock().unwrap().push(match ending {
                Ending::Finished => "finished".to_owned(),
                Ending::Failed(error) => error.kind().to_string(),
                Ending::Dropped => "dropped".to_owned(),
            });
        });
        (response, endings)
    }

    fn events(items: Vec<modelswitch_provider::Result<Event>>) -> Response {
        Response::new(Body::Events(EventStream::new(stream::iter(items))))
    }

    #[tokio::test]
    async fn an_answer_ends_once_however_it_ends() {
        let cut = || Err(Error::new(ErrorKind::Interrupted, "cut"));
        for (response, reads, ending) in [
            (reply("Yes.", false), 0, "finished"),
            (events(vec![Ok(Event::new("{}"))]), 9, "finished"),
            (events(vec![Ok(Event::new("{}")), cut()]), 9, "interrupted"),
            (events(vec![Ok(Event::new("{}")), cut()]), 1, "dropped"),
        ] {
            let (response, endings) = listened(response);
            if let Body::Events(mut events) = response.body {
                for _ in 0..reads {
                    events.next().await;
                }
            }
            assert_eq!(*endings.lock().unwrap(), [ending]);
        }
    }
}
