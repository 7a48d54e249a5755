use std::collections::VecDeque;
use std::task::{Context, Poll};

use futures_util::Stream;

use crate::stream::UntilEnd;
use crate::{Ending, Event, Follow, Passing, Result, UsageSeen};

/// A stream of events and those who follow it, the innermost first.
pub(crate) struct Flow {
    source: UntilEnd<Event>,
    held: VecDeque<Held>,
    followers: Vec<Box<dyn Follow>>,
    seen: UsageSeen,
    wants_usage: bool,
    is_committed: bool,
}

/// An event that was read ahead. It has passed the first so many of those who follow.
struct Held {
    event: Event,
    passed: usize,
    is_heard: bool,
}

impl Flow {
    pub(crate) fn new(source: impl Stream<Item = Result<Event>> + Send + 'static) -> Self {
        Self {
            source: UntilEnd::new(source),
            held: VecDeque::new(),
            followers: Vec::new(),
            seen: UsageSeen::default(),
            wants_usage: false,
            is_committed: false,
        }
    }

    pub(crate) fn follow(&mut self, follower: impl Follow) {
        self.wants_usage |= follower.wants_usage();
        self.followers.push(Box::new(follower));
    }

    /// Puts back what was read ahead, for those who follow from now on. Committed is what has content, or as much of nothing
    /// as anybody holds.
    pub(crate) fn put_back(&mut self, events: Vec<Event>, is_committed: bool) {
        let (passed, is_heard) = (self.followers.len(), self.wants_usage);
        self.is_committed |= is_committed;
        // What was held before and wasn't read comes after it.
        for event in events.into_iter().rev() {
            self.held.push_front(Held { event, passed, is_heard });
        }
    }

    pub(crate) fn is_committed(&self) -> bool {
        self.is_committed
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Event>>> {
        while let Some(Held { event, passed, is_heard }) = self.held.pop_front() {
            if self.lets_pass(&event, passed, is_heard) {
                return Poll::Ready(Some(Ok(event)));
            }
        }
        loop {
            let next = self.source.poll_next(cx);
            match &next {
                Poll::Ready(Some(Ok(event))) if !self.lets_pass(event, 0, false) => continue,
                Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
                Poll::Ready(Some(Err(error))) => self.over(&Ending::Failed(error.clone())),
                // Whoever came after the end hears of it too.
                Poll::Ready(None) => self.over(&Ending::Finished),
            }
            return next;
        }
    }

    fn lets_pass(&mut self, event: &Event, passed: usize, is_heard: bool) -> bool {
        let passing = Passing::new(event);
        if self.wants_usage && !is_heard && passing.tells_usage() {
            let _ = self.seen.hear(&event.data);
        }
        let further_out = self.followers.get_mut(passed..).unwrap_or_default();
        further_out.iter_mut().all(|follower| follower.passes(&passing))
    }

    /// The source is closed before anybody hears of it: a place among so many calls isn't free before.
    fn over(&mut self, ending: &Ending) {
        self.source.close();
        let usage = if self.wants_usage { self.seen.usage() } else { None };
        for follower in std::mem::take(&mut self.followers) {
            follower.ended(ending, usage.as_ref());
        }
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.over(&Ending::Dropped);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures_util::{StreamExt, stream};

    use crate::{
        Body, Ending, Error, Event, EventStream, Follow, Passing, Response, Result, Usage, committed,
    };

    type Diary = Arc<Mutex<Vec<String>>>;

    /// Writes down what it meets; keeps back the event `hidden`.
    struct Witness(&'static str, Diary);

    impl Follow for Witness {
        fn passes(&mut self, event: &Passing<'_>) -> bool {
            let text = String::from_utf8_lossy(&event.data);
            self.1.lock().unwrap().push(format!("{} {text}", self.0));
            text != "hidden"
        }
        fn wants_usage(&self) -> bool {
            true
        }
        fn ended(self: Box<Self>, ending: &Ending, usage: Option<&Usage>) {
            let ending = match ending {
                Ending::Finished => "finished",
                Ending::Failed(_) => "failed",
                Ending::Dropped => "dropped",
            };
            let tokens = usage.map_or(0, |usage| usage.total_tokens);
            self.1.lock().unwrap().push(format!("{} {ending} {tokens}", self.0));
        }
    }

    const ROLE: &str = r#"{"choices":[{"delta":{"role":"assistant"}}],"usage":{"total_tokens":3}}"#;
    const TEXT: &str = r#"{"choices":[{"delta":{"content":"x"}}]}"#;

    fn of(events: &[&'static str], end: Option<Error>) -> EventStream {
        let events: Vec<Result<Event>> = events.iter().map(|data| Ok(Event::new(*data))).collect();
        EventStream::new(stream::iter(events.into_iter().chain(end.map(Err))))
    }

    fn written(diary: &Diary) -> Vec<String> {
        std::mem::take(&mut *diary.lock().unwrap())
    }

    #[tokio::test]
    async fn an_end_of_any_kind_is_heard_once_from_the_innermost_out() {
        let cut = || Some(Error::interrupted("cut"));
        for (end, reads, ending) in [(None, 9, "finished"), (cut(), 9, "failed"), (cut(), 1, "dropped")] {
            let diary = Diary::default();
            let mut events = of(&["a"], end);
            events.follow(Witness("inner", diary.clone()));
            events.follow(Witness("outer", diary.clone()));
            for _ in 0..reads {
                events.next().await;
            }
            drop(events);
            let heard = ["inner a", "outer a"].map(str::to_owned).into_iter();
            let ended = ["inner", "outer"].map(|who| format!("{who} {ending} 0"));
            assert_eq!(written(&diary), heard.chain(ended).collect::<Vec<_>>());
        }
    }

    #[tokio::test]
    async fn what_was_read_ahead_meets_whoever_follows_later_once_and_its_tokens_are_known() {
        let diary = Diary::default();
        let mut events = of(&[ROLE, TEXT, "last"], None);
        events.follow(Witness("first", diary.clone()));
        let mut response = Response::new(Body::Events(events));
        for who in ["second", "third"] {
            response = committed(response).await.unwrap();
            let Body::Events(events) = &mut response.body else { unreachable!("a stream stays a stream") };
            events.follow(Witness(who, diary.clone()));
        }
        let ahead = [ROLE, TEXT].map(|event| format!("first {event}"));
        assert_eq!(written(&diary), ahead);
        let Body::Events(events) = response.body else { unreachable!("a stream stays a stream") };
        assert_eq!(events.count().await, 3);
        let mut wanted = Vec::new();
        for (event, who) in [
            (ROLE, &["second", "third"][..]),
            (TEXT, &["second", "third"]),
            ("last", &["first", "second", "third"]),
        ] {
            wanted.extend(who.iter().map(|who| format!("{who} {event}")));
        }
        wanted.extend(["first", "second", "third"].map(|who| format!("{who} finished 3")));
        assert_eq!(written(&diary), wanted);
    }

    #[tokio::test]
    async fn tokens_that_were_told_before_anybody_wanted_them_are_known() {
        let diary = Diary::default();
        let mut response = committed(Response::new(Body::Events(of(&[ROLE, TEXT], None)))).await.unwrap();
        let Body::Events(events) = &mut response.body else { unreachable!("a stream stays a stream") };
        events.follow(Witness("late", diary.clone()));
        let Body::Events(events) = response.body else { unreachable!("a stream stays a stream") };
        assert_eq!(events.count().await, 2);
        assert_eq!(written(&diary).last().map(String::as_str), Some("late finished 3"));
    }

    #[tokio::test]
    async fn what_one_keeps_back_nobody_further_out_meets() {
        let diary = Diary::default();
        let mut events = of(&["hidden", "shown"], None);
        events.follow(Witness("inner", diary.clone()));
        events.follow(Witness("outer", diary.clone()));
        assert_eq!(events.count().await, 1);
        assert_eq!(written(&diary)[..3], ["inner hidden", "inner shown", "outer shown"]);
    }

    #[tokio::test]
    async fn the_source_is_closed_before_anybody_hears_of_the_end() {
        struct Looks(Arc<()>);
        impl Follow for Looks {
            fn ended(self: Box<Self>, _: &Ending, _: Option<&Usage>) {
                assert_eq!(Arc::strong_count(&self.0), 1);
            }
        }
        for reads in [0, 9] {
            let open = Arc::new(());
            let held = open.clone();
            let source = stream::iter([Ok(Event::new("a"))]).inspect(move |_| {
                let _ = &held;
            });
            let mut events = EventStream::new(source);
            events.follow(Looks(open));
            for _ in 0..reads {
                events.next().await;
            }
        }
    }

    #[test]
    fn the_tokens_of_a_body_that_was_replaced_are_read_anew() {
        let mut response = Response::new(Body::Json(r#"{"usage":{"total_tokens":3}}"#.into()));
        assert_eq!(response.usage().map(|usage| usage.total_tokens), Some(3));
        response.body = Body::Json(r#"{"usage":{"total_tokens":4}}"#.into());
        assert_eq!(response.usage().map(|usage| usage.total_tokens), Some(4));
    }
}
