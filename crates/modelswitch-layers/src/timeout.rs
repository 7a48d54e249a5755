use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::Stream;
use modelswitch_provider::{
    Body, ByteStream, Error, ErrorKind, EventStream, Provider, Request, Response, Result, TimeLeft,
};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::Layer;
use crate::layer::Wrapped;

/// Ends a call that takes too long, as a [`Timeout`](ErrorKind::Timeout) error that says which limit it was.
///
/// * [`first_byte`](Self::first_byte): from the request to the head of the answer.
/// * [`idle`](Self::idle): between two pieces of a stream, counted only while somebody waits for the next one.
/// * [`total`](Self::total): from the request to the end of the answer, a stream's last event included, and with it the time that
///   its reader takes. It goes down with
///   the request as [`TimeLeft`], so that layers below don't begin what can't end in time; one that came with the request
///   counts too, whichever is shorter.
///
/// Above [`Retry`](crate::Retry) `total` is the deadline of a call, with all its tries; below it that of one try. How long
/// connecting may take only the transport knows.
///
/// It bites when a limit is over, and never before. It costs a timer a call, and one more look at the clock for each time that
/// a stream makes its reader wait; with a `total`, for each piece.
///
/// ```
/// use std::time::Duration;
/// use modelswitch_layers::{Retry, Stack, Timeout};
/// use modelswitch_provider::mock::MockProvider;
/// use modelswitch_provider::{Error, ErrorKind, ProviderExt};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
/// let busy = MockProvider::error(Error::new(ErrorKind::Overloaded, "too busy"));
/// let llm = Stack::new()
///     .layer(Timeout::new().total(Duration::from_secs(60)))           // of the call
///     .layer(Retry::new().attempts(1000))
///     .layer(Timeout::new().total(Duration::from_secs(20)))           // of a try
///     .over(busy);
/// // There is no next try where it couldn't end in time, so what the service said last is what the caller learns.
/// assert_eq!(llm.ask("?").await.err().map(|error| error.kind()), Some(ErrorKind::Overloaded));
/// # });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeout {
    first_byte: Option<Duration>,
    idle: Option<Duration>,
    total: Option<Duration>,
}

impl Timeout {
    /// No limits but the one that comes with a request.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long the head of an answer may take.
    #[must_use]
    pub fn first_byte(mut self, limit: Duration) -> Self {
        self.first_byte = Some(limit);
        self
    }

    /// How long a stream may send nothing.
    #[must_use]
    pub fn idle(mut self, limit: Duration) -> Self {
        self.idle = Some(limit);
        self
    }

    /// How long it may take in all.
    #[must_use]
    pub fn total(mut self, limit: Duration) -> Self {
        self.total = Some(limit);
        self
    }

    fn all_of(&self, request: &Request) -> Option<Duration> {
        [self.total, TimeLeft::of(request)].into_iter().flatten().min()
    }
}

impl Layer for Timeout {
    fn wrap(&self, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
        Arc::new(Wrapped { layer: self.clone(), inner })
    }
}

#[async_trait]
impl Provider for Wrapped<Timeout> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn send(&self, mut request: Request) -> Result<Response> {
        let total = self.layer.all_of(&request);
        if let Some(total) = total {
            TimeLeft::limit(&mut request, total);
        }
        let end = total.and_then(|total| Instant::now().checked_add(total).map(|end| (end, total)));
        let sent = self.inner.send(request);
        let response = match first_limit(self.layer.first_byte, total) {
            None => sent.await?,
            Some((limit, late)) => match timeout(limit, sent).await {
                Ok(answer) => answer?,
                Err(_) => return Err(late.error(limit).with_provider(self.name())),
            },
        };
        Ok(watched(response, self.layer.idle, end))
    }
}

/// What it was that took too long.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Late {
    FirstByte,
    Piece,
    Whole,
}

impl Late {
    fn error(self, limit: Duration) -> Error {
        let limit = limit.as_secs_f64();
        Error::new(
            ErrorKind::Timeout,
            match self {
                Self::FirstByte => format!("no answer began within {limit} s"),
                Self::Piece => format!("the answer stalled: nothing came for {limit} s"),
                Self::Whole => format!("the call took longer than the {limit} s that it had"),
            },
        )
    }
}

fn first_limit(first_byte: Option<Duration>, total: Option<Duration>) -> Option<(Duration, Late)> {
    let both = [first_byte.map(|limit| (limit, Late::FirstByte)), total.map(|limit| (limit, Late::Whole))];
    both.into_iter().flatten().min_by_key(|(limit, _)| *limit)
}

fn watched(response: Response, idle: Option<Duration>, end: Option<(Instant, Duration)>) -> Response {
    if idle.is_none() && end.is_none() {
        return response;
    }
    let Response { head, body } = response;
    let body = match body {
        Body::Events(stream) => {
            let head = head.clone();
            Body::Events(EventStream::new(Timed::new(stream, idle, end, move |error| head.blame(error))))
        }
        Body::Other(stream) => Body::Other(ByteStream::new(Timed::new(stream, idle, end, |error| error))),
        whole => whole,
    };
    Response { head, body }
}

/// A stream that fails when it takes too long.
struct Timed<S, B> {
    stream: S,
    idle: Option<Duration>,
    end: Option<(Instant, Duration)>,
    /// Since when nothing is there; what the reader spends on its own doesn't count.
    since: Option<Instant>,
    /// Looked at only when it fires: re-arming a timer for each piece costs more than the piece.
    timer: Option<Pin<Box<Sleep>>>,
    blame: B,
}

impl<S, B> Timed<S, B> {
    fn new(stream: S, idle: Option<Duration>, end: Option<(Instant, Duration)>, blame: B) -> Self {
        Self { stream, idle, end, since: None, timer: None, blame }
    }

    /// The limit that comes first, for a wait that began then.
    fn next_limit(&self, since: Instant) -> Option<(Instant, Duration, Late)> {
        let idle = self.idle.and_then(|idle| Some((since.checked_add(idle)?, idle, Late::Piece)));
        let end = self.end.map(|(end, total)| (end, total, Late::Whole));
        [idle, end].into_iter().flatten().min_by_key(|(at, ..)| *at)
    }
}

impl<S, B: Fn(Error) -> Error> Timed<S, B> {
    /// What is taken after the end is late, also when it was there before: what a slow reader takes is of the whole, too.
    fn in_time<T>(&self, item: Option<Result<T>>) -> Option<Result<T>> {
        match (&item, self.end) {
            (Some(Ok(_)), Some((end, total))) if Instant::now() >= end => {
                Some(Err((self.blame)(Late::Whole.error(total))))
            }
            _ => item,
        }
    }
}

impl<S, T, B> Stream for Timed<S, B>
where
    S: Stream<Item = Result<T>> + Unpin,
    B: Fn(Error) -> Error + Unpin,
{
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Poll::Ready(item) = Pin::new(&mut this.stream).poll_next(cx) {
            this.since = None;
            return Poll::Ready(this.in_time(item));
        }
        let since = *this.since.get_or_insert_with(Instant::now);
        let Some((at, limit, late)) = this.next_limit(since) else { return Poll::Pending };
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if timer.deadline() > at {
            timer.as_mut().reset(at);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= at {
                return Poll::Ready(Some(Err((this.blame)(late.error(limit)))));
            }
            timer.as_mut().reset(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};
    use modelswitch_provider::mock::{MockProvider, events};
    use modelswitch_provider::{Event, ProviderExt};
    use serde_json::json;

    use super::*;
    use crate::{Retry, Stack, layer_fn};

    const SECOND: Duration = Duration::from_secs(1);

    fn question() -> Request {
        Request::chat(&json!({ "model": "m", "messages": [], "stream": true })).unwrap()
    }

    /// Answers after a while, with a stream whose pieces come at these distances, in seconds, and then never ends.
    fn slow(head: u64, gaps: &'static [u64]) -> Arc<dyn Provider> {
        let late = layer_fn("late", move |_, _| async move {
            tokio::time::sleep(SECOND * u32::try_from(head).unwrap()).await;
            let pieces = stream::iter(gaps).then(|gap| async move {
                tokio::time::sleep(Duration::from_secs(*gap)).await;
                Ok(Event::new("{}"))
            });
            let mut response = events([]);
            response.body = Body::Events(EventStream::new(pieces.chain(stream::pending())));
            Ok(response)
        });
        Stack::new().layer(late).over(MockProvider::reply(""))
    }

    /// How many pieces came, after how long it failed and with what.
    async fn outcome(limits: Timeout, provider: Arc<dyn Provider>) -> (usize, u64, String) {
        let started = Instant::now();
        let mut count = 0;
        let error = match limits.wrap(provider).send(question()).await {
            Err(error) => error,
            Ok(response) => {
                let Body::Events(mut events) = response.body else { panic!("a stream") };
                loop {
                    match events.next().await {
                        Some(Ok(_)) => count += 1,
                        Some(Err(error)) => break error,
                        None => panic!("it never ends"),
                    }
                }
            }
        };
        assert_eq!((error.kind(), error.provider()), (ErrorKind::Timeout, Some("mock")));
        (count, started.elapsed().as_secs(), error.message().to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn each_limit_ends_what_it_is_about() {
        let limits = Timeout::new;
        for (limits, provider, ending) in [
            (limits().first_byte(3 * SECOND), slow(4, &[]), (0, 3, "no answer began within 3 s")),
            (
                limits().total(3 * SECOND),
                slow(4, &[]),
                (0, 3, "the call took longer than the 3 s that it had"),
            ),
            (
                limits().first_byte(5 * SECOND).idle(2 * SECOND),
                slow(4, &[1, 1, 3]),
                (2, 8, "the answer stalled: nothing came for 2 s"),
            ),
            (
                limits().idle(2 * SECOND).total(6 * SECOND),
                slow(0, &[1, 1, 1, 1, 1, 2, 1]),
                (5, 6, "the call took longer than the 6 s that it had"),
            ),
            (
                limits().idle(20 * SECOND).total(6 * SECOND),
                slow(1, &[1]),
                (1, 6, "the call took longer than the 6 s that it had"),
            ),
        ] {
            let shown = format!("{limits:?}");
            let (count, seconds, message) = outcome(limits, provider).await;
            assert_eq!((count, seconds, message.as_str()), ending, "{shown}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_reader_spends_on_its_own_counts_for_the_whole_and_not_for_a_piece() {
        let limits = Timeout::new().idle(2 * SECOND).total(60 * SECOND);
        let response = limits.wrap(slow(0, &[1, 1, 1])).send(question()).await.unwrap();
        let Body::Events(mut events) = response.body else { panic!("a stream") };
        events.next().await.unwrap().unwrap();
        tokio::time::sleep(30 * SECOND).await;
        events.next().await.unwrap().unwrap();
        tokio::time::sleep(40 * SECOND).await;
        assert!(events.next().await.unwrap().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_of_a_fast_stream_has_no_more_than_the_whole() {
        let chunk = |number: u32| {
            Ok(json!({ "choices": [{ "index": 0, "delta": { "content": number.to_string() } }] }))
        };
        let fast = MockProvider::answering(move |_| Ok(events((0..100).map(chunk))));
        let response = Timeout::new().total(3 * SECOND).wrap(Arc::new(fast)).send(question()).await.unwrap();
        let Body::Events(mut events) = response.body else { panic!("a stream") };
        let (mut count, mut late) = (0, None);
        while let Some(event) = events.next().await {
            match event {
                Ok(_) => count += 1,
                Err(error) => late = Some(error.kind()),
            }
            tokio::time::sleep(SECOND).await;
        }
        assert_eq!((count, late), (3, Some(ErrorKind::Timeout)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_has_ended_is_whole_however_late_its_end_is_read() {
        let one = MockProvider::answering(|_| Ok(events([Ok(json!({ "choices": [] }))])));
        let response = Timeout::new().total(3 * SECOND).wrap(Arc::new(one)).send(question()).await.unwrap();
        let Body::Events(mut events) = response.body else { panic!("a stream") };
        events.next().await.unwrap().unwrap();
        tokio::time::sleep(9 * SECOND).await;
        assert!(events.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_shorter_of_ones_own_limit_and_the_requests_counts_and_goes_down() {
        let seen = layer_fn("seen", |inner, request| async move {
            assert_eq!(TimeLeft::of(&request), Some(5 * SECOND));
            inner.send(request).await
        });
        for (own, asked) in [(5, 9), (9, 5)] {
            let llm = Stack::new()
                .layer(Timeout::new().total(SECOND * own))
                .layer(seen.clone())
                .over(MockProvider::reply("Yes."));
            let mut request = question();
            TimeLeft::limit(&mut request, SECOND * asked);
            llm.send(request).await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_that_hangs_is_cut_off_and_the_next_one_has_what_is_left() {
        let left = Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = left.clone();
        let note = layer_fn("note", move |inner, request| {
            seen.lock().unwrap().push(TimeLeft::of(&request).unwrap().as_secs());
            async move { inner.send(request).await }
        });
        let llm = Stack::new()
            .layer(Timeout::new().total(50 * SECOND))
            .layer(Retry::new().base_delay(Duration::ZERO))
            .layer(Timeout::new().first_byte(20 * SECOND))
            .layer(note)
            .over(slow(1000, &[]));
        let error = llm.send(question()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert_eq!(*left.lock().unwrap(), [50, 30]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_limits_an_answer_passes_as_it_is() {
        let llm = Timeout::new().wrap(Arc::new(MockProvider::reply("Yes.")));
        assert_eq!(llm.ask("?").await.unwrap(), "Yes.");
    }
}
