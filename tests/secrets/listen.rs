//! Writes down every event and span of every level. One subscriber for the whole program, since `tracing` remembers of each
//! line whether anybody wanted it; each test reads what its own thread wrote.

use std::cell::RefCell;
use std::fmt::{Debug, Write};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

thread_local! {
    static HEARD: RefCell<String> = const { RefCell::new(String::new()) };
}

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

struct Listener;

impl Subscriber for Listener {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::always()
    }
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut Pen);
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Pen);
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        // What other crates log of a connection is theirs; what this workspace and async-openai log is ours to answer for.
        let (level, target) = (event.metadata().level(), event.metadata().target());
        if target.starts_with("modelswitch") || target.starts_with("async_openai") || *level <= Level::INFO {
            HEARD.with_borrow_mut(|heard| write!(heard, "\n{level} {target} ").unwrap());
            event.record(&mut Pen);
        }
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Pen;

impl Visit for Pen {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{field}={value:?} ");
        HEARD.with_borrow_mut(|heard| heard.push_str(&text));
    }
}
