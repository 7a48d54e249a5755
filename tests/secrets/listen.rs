//! Writes down every event and span of every level. One subscriber for the whole program, since `tracing` remembers of each
//! line whether anybody wanted it; each test reads what its own thread wrote, and those that have other threads write for
//! them, with words that no other test has, what all threads wrote.

use std::cell::RefCell;
use std::fmt::{Debug, Write};
use std::sync::{Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

thread_local! {
    static HEARD: RefCell<String> = const { RefCell::new(String::new()) };
}

static HEARD_BY_ALL: Mutex<String> = Mutex::new(String::new());

/// Listens from now on.
pub(crate) fn begin() {
    // Another test may have been first.
    let _ = tracing::subscriber::set_global_default(Listener);
    HEARD.take();
}

/// What has been heard on this thread.
pub(crate) fn heard() -> String {
    HEARD.take()
}

/// What has been heard on every thread since the first test began to listen.
pub(crate) fn heard_by_all() -> String {
    HEARD_BY_ALL.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn write_down(text: &str) {
    HEARD.with_borrow_mut(|heard| heard.push_str(text));
    HEARD_BY_ALL.lock().unwrap_or_else(PoisonError::into_inner).push_str(text);
}

struct Listener;

impl Subscriber for Listener {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::always()
    }
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut line = String::new();
        span.record(&mut Pen(&mut line));
        write_down(&line);
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut line = String::new();
        values.record(&mut Pen(&mut line));
        write_down(&line);
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        // What other crates log of a connection is theirs; what this workspace and async-openai log is ours to answer for.
        let (level, target) = (event.metadata().level(), event.metadata().target());
        if target.starts_with("modelswitch") || target.starts_with("async_openai") || *level <= Level::INFO {
            let mut line = format!("\n{level} {target} ");
            event.record(&mut Pen(&mut line));
            write_down(&line);
        }
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Pen<'a>(&'a mut String);

impl Visit for Pen<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a text can't fail.
        let _ = write!(self.0, "{field}={value:?} ");
    }
}
