//! Hears what a test's thread says. One subscriber for the whole program, since `tracing` remembers of each line whether
//! anybody wanted it; each test reads what its own thread wrote.

#![allow(dead_code, unreachable_pub, reason = "several programs, and none needs all of it")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Metadata, Subscriber};
use tracing_core::span::Current;

/// The fields of an event or a span.
#[derive(Clone, Default, Debug)]
pub struct Fields(pub BTreeMap<String, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

#[derive(Clone, Debug)]
pub struct Line {
    pub level: Level,
    pub target: &'static str,
    pub fields: Fields,
    /// The span that it stands in.
    pub inside: Option<u64>,
}

impl Line {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.0.get(name).map(String::as_str)
    }
    #[track_caller]
    pub fn has(&self, wanted: &[(&str, &str)]) -> &Self {
        for (name, value) in wanted {
            assert_eq!(self.get(name), Some(*value), "{name} of {self:#?}");
        }
        self
    }
    #[track_caller]
    pub fn lacks(&self, names: &[&str]) {
        for name in names {
            assert_eq!(self.get(name), None, "{name} of {self:#?}");
        }
    }
}

/// A span, as far as it is filled in.
#[derive(Clone, Debug, Default)]
pub struct HeardSpan {
    pub name: &'static str,
    metadata: Option<&'static Metadata<'static>>,
    pub fields: Fields,
    /// The span that it was opened in.
    pub inside: Option<u64>,
    /// Who holds it; nobody when it is over.
    pub handles: usize,
}

impl HeardSpan {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.0.get(name).map(String::as_str)
    }
}

#[derive(Default)]
struct Heard {
    lines: Vec<Line>,
    spans: BTreeMap<u64, HeardSpan>,
    entered: Vec<u64>,
    quietest: Option<Level>,
}

thread_local! {
    static HEARD: RefCell<Heard> = RefCell::default();
}

/// Writes down what a thread says.
struct Listener(AtomicU64);

impl Subscriber for Listener {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> tracing::subscriber::Interest {
        // Whether it is wanted is another question on each thread.
        tracing::subscriber::Interest::sometimes()
    }
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        HEARD.with_borrow(|heard| heard.quietest.is_some_and(|quietest| *metadata.level() <= quietest))
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        let mut fields = Fields::default();
        span.record(&mut fields);
        HEARD.with_borrow_mut(|heard| {
            let inside = heard.entered.last().copied().filter(|_| span.is_contextual());
            let (name, metadata) = (span.metadata().name(), Some(span.metadata()));
            heard.spans.insert(id, HeardSpan { name, metadata, fields, inside, handles: 1 });
        });
        Id::from_u64(id)
    }
    fn record(&self, id: &Id, values: &Record<'_>) {
        HEARD.with_borrow_mut(|heard| {
            values.record(&mut heard.spans.entry(id.into_u64()).or_default().fields)
        });
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        HEARD.with_borrow_mut(|heard| {
            let around = heard.entered.last().copied().filter(|_| event.is_contextual());
            let inside = event.parent().map(Id::into_u64).or(around);
            heard.lines.push(Line { level, target, fields, inside });
        });
    }
    fn clone_span(&self, id: &Id) -> Id {
        HEARD.with_borrow_mut(|heard| heard.spans.entry(id.into_u64()).or_default().handles += 1);
        id.clone()
    }
    fn try_close(&self, id: Id) -> bool {
        HEARD.with_borrow_mut(|heard| {
            let span = heard.spans.entry(id.into_u64()).or_default();
            span.handles = span.handles.saturating_sub(1);
            span.handles == 0
        })
    }
    fn current_span(&self) -> Current {
        HEARD.with_borrow(|heard| {
            let id = heard.entered.last().copied();
            let known = id.and_then(|id| Some((Id::from_u64(id), heard.spans.get(&id)?.metadata?)));
            known.map_or_else(Current::none, |(id, metadata)| Current::new(id, metadata))
        })
    }
    fn enter(&self, id: &Id) {
        HEARD.with_borrow_mut(|heard| heard.entered.push(id.into_u64()));
    }
    fn exit(&self, _: &Id) {
        HEARD.with_borrow_mut(|heard| heard.entered.pop());
    }
}

/// Listens on this thread, to this level and what is more important.
pub fn listen(quietest: Level) {
    // Another test may have been first.
    let _ = tracing::subscriber::set_global_default(Listener(AtomicU64::new(0)));
    HEARD.set(Heard { quietest: Some(quietest), ..Heard::default() });
}

pub fn lines() -> Vec<Line> {
    HEARD.with_borrow_mut(|heard| std::mem::take(&mut heard.lines))
}

/// The one line, at a level at which there is no other.
#[track_caller]
pub fn line() -> Line {
    let mut lines = lines();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    lines.remove(0)
}

/// The one span.
#[track_caller]
pub fn span() -> BTreeMap<String, String> {
    let mut spans = spans();
    assert_eq!(spans.len(), 1);
    spans.pop_first().unwrap().1.fields.0
}

/// Whether the first span is still open.
pub fn is_open() -> bool {
    HEARD.with_borrow(|heard| heard.spans.values().next().is_some_and(|span| span.handles > 0))
}

/// All spans by their ids, in the order in which they were opened.
pub fn spans() -> BTreeMap<u64, HeardSpan> {
    HEARD.with_borrow_mut(|heard| std::mem::take(&mut heard.spans))
}

/// Everything that was written on this thread.
pub fn everything() -> String {
    HEARD.with_borrow(|heard| {
        let mut all = String::new();
        for line in &heard.lines {
            writeln!(all, "{line:?}").unwrap();
        }
        write!(all, "{:?}", heard.spans).unwrap();
        all
    })
}
