use std::cell::Cell;
use std::ops::Deref;

use crate::{Error, Event, Reasons, Usage};

/// How an answer ended that was handed on.
#[derive(Clone, Debug)]
pub enum Ending {
    /// It is whole.
    Finished,
    /// It failed on the way.
    Failed(Error),
    /// Nobody wanted the rest.
    Dropped,
}

/// Goes along with a stream of events and hears how it ends, without being a stream around it
/// ([`EventStream::follow`](crate::EventStream::follow)).
///
/// A stream around a stream costs a box, and takes each event out and puts it in again; a dozen layers are a dozen of
/// those. Those who follow stand in a row instead, and what they look for in an event is looked for once ([`Passing`]).
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// use futures_util::{StreamExt, stream};
/// use modelswitch_provider::{Ending, Event, EventStream, Follow, Passing, Usage};
///
/// struct Bytes(usize, Arc<AtomicUsize>);
///
/// impl Follow for Bytes {
///     fn passes(&mut self, event: &Passing<'_>) -> bool {
///         self.0 += event.data.len();
///         true
///     }
///     fn ended(self: Box<Self>, _: &Ending, _: Option<&Usage>) {
///         self.1.store(self.0, Ordering::Relaxed);
///     }
/// }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let bytes = Arc::new(AtomicUsize::new(0));
/// let mut events = EventStream::new(stream::iter([Ok(Event::new("{}")), Ok(Event::new("[]"))]));
/// events.follow(Bytes(0, bytes.clone()));
/// assert_eq!((events.count().await, bytes.load(Ordering::Relaxed)), (2, 4));
/// # });
/// ```
pub trait Follow: Send + 'static {
    /// An event passes. With false it goes no further: whoever follows further out, and the reader, never meet it.
    fn passes(&mut self, event: &Passing<'_>) -> bool {
        let _ = event;
        true
    }

    /// Whether [`ended`](Self::ended) is to be told the tokens of the answer. Each event is then searched for them, once for all
    /// who want it.
    fn wants_usage(&self) -> bool {
        false
    }

    /// The stream has ended, failed or was dropped, and what it came from is closed. It is called once, whatever happens. The
    /// tokens are those that were told until then.
    fn ended(self: Box<Self>, ending: &Ending, usage: Option<&Usage>);
}

/// An event that passes those who follow its stream. What several of them look for in it is found once.
///
/// ```
/// use modelswitch_provider::{Event, Passing};
///
/// let event = Event::new(r#"{"choices":[],"usage":{"total_tokens":3}}"#);
/// let passing = Passing::new(&event);
/// assert!(passing.tells_usage() && passing.is_usage_alone() && !passing.reasons().finish);
/// ```
pub struct Passing<'a> {
    event: &'a Event,
    usage: Cell<Option<bool>>,
    reasons: Cell<Option<Reasons>>,
}

impl<'a> Passing<'a> {
    /// Nothing is looked for yet.
    pub fn new(event: &'a Event) -> Self {
        Self { event, usage: Cell::new(None), reasons: Cell::new(None) }
    }

    /// True when it tells tokens.
    pub fn tells_usage(&self) -> bool {
        once(&self.usage, || self.event.tells_usage())
    }

    /// As [`Event::is_usage_alone`].
    pub fn is_usage_alone(&self) -> bool {
        self.tells_usage() && self.event.has_no_choices()
    }

    /// Whether it reasons, and gives reasons.
    pub fn reasons(&self) -> Reasons {
        once(&self.reasons, || Reasons::of(&self.event.data))
    }
}

impl Deref for Passing<'_> {
    type Target = Event;
    fn deref(&self) -> &Event {
        self.event
    }
}

/// The size only, as of the event.
impl std::fmt::Debug for Passing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.event.fmt(f)
    }
}

fn once<T: Copy>(known: &Cell<Option<T>>, find: impl FnOnce() -> T) -> T {
    known.get().unwrap_or_else(|| {
        let found = find();
        known.set(Some(found));
        found
    })
}
