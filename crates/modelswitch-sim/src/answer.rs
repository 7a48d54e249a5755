//! What a personality or a script wants sent, before it becomes a body on a socket.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

/// Status, headers and the pieces of a body, with the manner of their delivery.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) delivery: Delivery,
}

/// A part of a body that is flushed by itself.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// A server-sent event with data.
    Event(Bytes),
    /// Anything else: a JSON body, a comment, a blank line.
    Other(Bytes),
}

impl Piece {
    pub(crate) fn data(text: &str) -> Self {
        Self::Event(Bytes::from(format!("data: {text}\n\n")))
    }

    pub(crate) fn event<T: Serialize>(value: &T) -> Self {
        Self::data(&to_json(value))
    }

    /// An event with a name, as the Responses API writes them.
    pub(crate) fn named<T: Serialize>(name: &str, value: &T) -> Self {
        Self::Event(Bytes::from(format!("event: {name}\ndata: {}\n\n", to_json(value))))
    }

    pub(crate) fn keep_alive() -> Self {
        Self::Other(Bytes::from_static(b": keep-alive\n\n"))
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        match self {
            Self::Event(bytes) | Self::Other(bytes) => bytes,
        }
    }
}

/// How the pieces reach the client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delivery {
    pub(crate) delay: Duration,
    pub(crate) body_delay: Duration,
    pub(crate) pace: Option<Duration>,
    pub(crate) split: Option<usize>,
    pub(crate) limit: Option<Limit>,
}

impl Delivery {
    /// `over` wins wherever it says something.
    pub(crate) fn overlaid(self, over: &Self) -> Self {
        Self {
            delay: self.delay + over.delay,
            body_delay: self.body_delay + over.body_delay,
            pace: over.pace.or(self.pace),
            split: over.split.or(self.split),
            limit: over.limit.or(self.limit),
        }
    }
}

/// Where a body stops early, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) at: At,
    pub(crate) ending: Ending,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum At {
    Bytes(usize),
    Events(usize),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The body ends as HTTP wants it.
    #[default]
    Clean,
    /// The connection is dropped inside the body.
    Cut,
    /// Nothing more is sent, and the connection stays open.
    Stall,
}

impl Answer {
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), pieces: Vec::new(), delivery: Delivery::default() }
    }

    /// A body of one piece; without a content type if `content_type` is empty.
    pub(crate) fn body(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let answer = Self { pieces: vec![Piece::Other(body.into())], ..Self::empty(status) };
        if content_type.is_empty() { answer } else { answer.with(CONTENT_TYPE, content_type) }
    }

    pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Self {
        Self::body(status, "application/json", to_json(value))
    }

    /// A stream of events with `pace` between two of them.
    pub(crate) fn events(pieces: Vec<Piece>, pace: Duration) -> Self {
        let delivery = Delivery { pace: Some(pace), ..Delivery::default() };
        Self { pieces, delivery, ..Self::empty(StatusCode::OK) }
            .with(CONTENT_TYPE, "text/event-stream; charset=utf-8")
            .with(CACHE_CONTROL, "no-cache")
    }

    pub(crate) fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.insert(name, HeaderValue::from_static(value));
        self
    }

    pub(crate) fn limited(mut self, at: At, ending: Ending) -> Self {
        self.delivery.limit = Some(Limit { at, ending });
        self
    }

    /// Stops inside the body: after some events of a stream, in the middle of anything else.
    pub(crate) fn stopped_inside(self, ending: Ending) -> Self {
        let events = self.pieces.iter().filter(|piece| matches!(piece, Piece::Event(_))).count();
        let bytes: usize = self.pieces.iter().map(|piece| piece.clone().into_bytes().len()).sum();
        let at = if events > 0 { At::Events((events / 2).clamp(1, 5)) } else { At::Bytes(bytes / 2) };
        self.limited(at, ending)
    }
}

/// JSON text of a value that is known to serialize.
pub(crate) fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}
