use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;

use crate::{Ending, Event, Follow, Passing, Result, UsageSeen};

type Source = Pin<Box<dyn Stream<Item = Result<Event>> + Send>>;

/// A stream of events and those who follow it, the innermost first.
pub(crate) struct Flow {
    /// Gone when it has ended.
    source: Option<Source>,
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
            source: Some(Box::pin(source)),
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
        while let Some(source) = &mut self.source {
            let next = ready!(source.as_mut().poll_next(cx));
            match &next {
                Some(Ok(event)) if !self.lets_pass(event, 0, false) => continue,
                Some(Ok(_)) => {}
                Some(Err(error)) => self.over(&Ending::Failed(error.clone())),
                None => self.over(&Ending::Finished),
            }
            return Poll::Ready(next);
        }
        // Whoever came after the end hears of it too.
        self.over(&Ending::Finished);
        Poll::Ready(None)
    }

    fn lets_pass(&mut self, event: &Event, passed: usize, is_heard: bool) -> bool {
        let passing = Passing::new(event);
        if self.wants_usage && !is_heard && passing.tells_usage() {
            let _ = self.seen.hear(&event.data);
        }
        self.followers.iter_mut().skip(passed).all(|follower| follower.passes(&passing))
    }

    /// The source is closed before anybody hears of it: a place among so many calls isn't free before.
    fn over(&mut self, ending: &Ending) {
        self.source = None;
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
