use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use modelswitch_provider::{Provider, Request, Response, Result};

use crate::Target;
use crate::targets::{first_answer, no_target};

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
    /// other is cancelled, and may charge for what it did until then.
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
        first_answer(0..self.targets.len(), &request, self.hedge, |target, request| {
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI32, Ordering};

    use futures_util::StreamExt;
    use modelswitch_provider::mock::{MockProvider, events, reply};
    use modelswitch_provider::{Body, Endpoint, Error, ErrorKind, Payload, TimeLeft};
    use serde_json::{Value, json};
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::{Layer, Retry, Stack, layer_fn};

    const SECOND: Duration = Duration::from_secs(1);

    fn question() -> Request {
        Request::chat(&json!({ "model": "smart", "messages": [], "stream": true })).unwrap()
    }

    fn fails(kind: ErrorKind) -> Target {
        Target::new(MockProvider::error(Error::new(kind, "it failed").with_attempts(1))).model("a")
    }

    fn answers() -> Target {
        Target::new(MockProvider::answering(|request| {
            Ok(reply(&request.model().unwrap_or_default(), request.is_stream()))
        }))
        .model("b")
    }

    /// Answers after so many seconds; counts who is still being asked.
    fn slow(name: &'static str, seconds: u32, asked: &Arc<AtomicI32>) -> Target {
        struct Asked(Arc<AtomicI32>);
        impl Drop for Asked {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let asked = asked.clone();
        let wait = layer_fn("wait", move |inner, request| {
            asked.fetch_add(1, Ordering::SeqCst);
            let asked = Asked(asked.clone());
            async move {
                sleep(SECOND * seconds).await;
                let _until_here = asked;
                inner.send(request).await
            }
        });
        Target::new(Stack::new().layer(wait).over(answers().provider)).model(name)
    }

    async fn text(response: Response) -> String {
        let Body::Events(events) = response.body else { panic!("a stream") };
        let events: Vec<_> = events.collect().await;
        let text = events.into_iter().map(|event| event.unwrap().json::<Value>().unwrap());
        text.map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_target_is_asked_for_its_own_model_when_it_may_go_well_there() {
        for kind in ErrorKind::ALL {
            let fallback = Fallback::new("smart", [fails(kind), answers()]);
            match fallback.send(question()).await {
                Ok(response) => {
                    let failed = response.head.failures.clone();
                    assert!(Error::new(kind, "").may_succeed_elsewhere(), "{kind}");
                    assert_eq!((failed.len(), failed[0].kind), (1, kind));
                    assert_eq!(
                        (failed[0].provider.as_deref(), failed[0].model.as_deref()),
                        (Some("mock"), Some("a"))
                    );
                    assert_eq!(text(response).await, "b");
                }
                Err(error) => {
                    assert!(!error.may_succeed_elsewhere(), "{kind}");
                    assert_eq!((error.kind(), error.model(), error.attempts()), (kind, Some("a"), 1));
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_fail_the_last_says_so_and_the_others_are_told() {
        let fallback = Fallback::new(
            "smart",
            [fails(ErrorKind::Upstream), fails(ErrorKind::RateLimited), fails(ErrorKind::Overloaded)],
        );
        let error = fallback.send(question()).await.unwrap_err();
        let failed: Vec<_> = error.failures().iter().map(|failed| failed.kind).collect();
        assert_eq!(
            (error.kind(), failed),
            (ErrorKind::Overloaded, vec![ErrorKind::Upstream, ErrorKind::RateLimited])
        );
        assert_eq!(error.attempts(), 3);
        assert_eq!(Fallback::new("none", []).send(question()).await.unwrap_err().kind(), ErrorKind::Config);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_goes_elsewhere_before_its_first_content_and_never_after() {
        let chunk = |text: &str| Ok(json!({ "choices": [{ "index": 0, "delta": { "content": text } }] }));
        for (opening, is_elsewhere) in [("", true), ("It", false)] {
            let cut = MockProvider::answering(move |_| {
                Ok(events([chunk(opening), Err(Error::interrupted("cut"))]))
            });
            let fallback = Fallback::new("smart", [Target::new(cut), answers()]);
            let response = fallback.send(question()).await.unwrap();
            assert_eq!(response.head.failures.len(), usize::from(is_elsewhere));
            let Body::Events(events) = response.body else { panic!("a stream") };
            let last = events.collect::<Vec<_>>().await.pop().unwrap();
            assert_eq!(last.is_ok(), is_elsewhere);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_target_has_its_own_retries_and_all_tries_are_told_in_order() {
        let busy = Retry::new().attempts(3).wrap(fails(ErrorKind::Overloaded).provider);
        let fallback = Fallback::new("smart", [Target::new(busy), answers()]);
        let head = fallback.send(question()).await.unwrap().head;
        assert_eq!((head.failures.len(), head.attempts()), (3, 4));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_question_is_the_first_targets_alone() {
        let upload = Request::new(Endpoint::new("POST".parse().unwrap(), "/files").unwrap(), Payload::Empty);
        for request in [Request::models(), upload] {
            let fallback = Fallback::new("smart", [fails(ErrorKind::Overloaded), answers()]);
            assert_eq!(fallback.send(request).await.unwrap_err().kind(), ErrorKind::Overloaded);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_target_has_what_time_is_left_and_none_is_asked_without_any() {
        let asked = Arc::default();
        let late = Stack::new()
            .layer(layer_fn("late", |_, _| async {
                sleep(3 * SECOND).await;
                Err(Error::new(ErrorKind::Timeout, "late"))
            }))
            .over(MockProvider::reply(""));
        let seen = layer_fn("seen", |inner, request| async move {
            assert_eq!(TimeLeft::of(&request), Some(2 * SECOND));
            inner.send(request).await
        });
        let second = Target::new(Stack::new().layer(seen).over(slow("b", 0, &asked).provider)).model("b");
        let fallback = Fallback::new("smart", [Target::new(late), second]);
        let mut request = question();
        TimeLeft::limit(&mut request, 5 * SECOND);
        assert_eq!(text(fallback.send(request).await.unwrap()).await, "b");
        let mut request = question();
        TimeLeft::limit(&mut request, 3 * SECOND);
        assert_eq!(fallback.send(request).await.unwrap_err().kind(), ErrorKind::Timeout);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hedge_takes_whoever_is_first_and_cancels_the_other() {
        for (first, second, winner, took) in [(10, 1, "b", 3), (3, 9, "a", 3), (1, 1, "a", 1)] {
            let asked = Arc::new(AtomicI32::new(0));
            let targets = [slow("a", first, &asked), slow("b", second, &asked)];
            let fallback = Fallback::new("smart", targets).hedge_after(2 * SECOND);
            let started = Instant::now();
            let response = fallback.send(question()).await.unwrap();
            assert_eq!((started.elapsed().as_secs(), asked.load(Ordering::SeqCst)), (took, 0));
            assert_eq!(text(response).await, winner);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_hedged_call_whose_first_target_fails_waits_for_the_second() {
        let asked = Arc::new(AtomicI32::new(0));
        let breaks = Stack::new()
            .layer(layer_fn("breaks", |_, _| async {
                sleep(3 * SECOND).await;
                Err(Error::new(ErrorKind::Upstream, "it broke"))
            }))
            .over(MockProvider::reply(""));
        let fallback =
            Fallback::new("smart", [Target::new(breaks), slow("b", 4, &asked)]).hedge_after(2 * SECOND);
        let response = fallback.send(question()).await.unwrap();
        assert_eq!(response.head.failures.len(), 1);
        assert_eq!(text(response).await, "b");
    }

    #[tokio::test(start_paused = true)]
    async fn dropping_the_call_ends_it_everywhere() {
        let asked = Arc::new(AtomicI32::new(0));
        let fallback =
            Fallback::new("smart", [slow("a", 50, &asked), slow("b", 50, &asked)]).hedge_after(SECOND);
        assert!(tokio::time::timeout(5 * SECOND, fallback.send(question())).await.is_err());
        assert_eq!(asked.load(Ordering::SeqCst), 0);
    }
}
