//! The body on the wire: every piece a flush of its own, and the end that was asked for.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use crate::answer::{At, Delivery, Ending, Piece};
use crate::state::Open;

/// Writes pieces one by one; dropped by the server as soon as the client is gone.
pub(crate) struct PieceBody {
    pieces: std::vec::IntoIter<Bytes>,
    pace: Duration,
    ending: Ending,
    sleep: Option<Pin<Box<Sleep>>>,
    flush_first: bool,
    exact: Option<u64>,
    open: Option<Open>,
}

impl PieceBody {
    pub(crate) fn new(pieces: Vec<Piece>, delivery: &Delivery, open: Open) -> Self {
        let one = pieces.len() <= 1;
        let (mut pieces, ending) = limited(pieces, delivery);
        if let Some(size) = delivery.split {
            pieces = split(pieces, size.max(1));
        }
        let plain = one && pieces.len() <= 1 && ending == Ending::Clean && delivery.limit.is_none();
        let exact = plain.then(|| pieces.iter().map(|piece| piece.len() as u64).sum());
        let wait = delivery.body_delay;
        Self {
            pieces: pieces.into_iter(),
            pace: delivery.pace.unwrap_or_default(),
            ending,
            sleep: (!wait.is_zero()).then(|| Box::pin(sleep(wait))),
            flush_first: exact.is_none(),
            exact,
            open: Some(open),
        }
    }

    fn after_piece(&mut self) {
        if self.pieces.len() == 0 {
            // A clean end may share a write with the last piece; a cut must not swallow it.
            self.flush_first = self.ending != Ending::Clean;
        } else if self.pace.is_zero() {
            self.flush_first = true;
        } else {
            self.sleep = Some(Box::pin(sleep(self.pace)));
        }
    }
}

impl Body for PieceBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(sleep) = self.sleep.as_mut() {
            ready!(sleep.as_mut().poll(cx));
            self.sleep = None;
            self.flush_first = false;
        }
        // The server flushes what it has whenever the body isn't ready; frames that are ready at once
        // would leave in one write.
        if self.flush_first {
            self.flush_first = false;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(piece) = self.pieces.next() {
            self.after_piece();
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match self.ending {
            Ending::Clean => {
                self.open = None;
                Poll::Ready(None)
            }
            Ending::Cut => Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into()))),
            Ending::Stall => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.exact.is_some() && self.pieces.len() == 0
    }

    fn size_hint(&self) -> SizeHint {
        match self.exact {
            Some(_) => SizeHint::with_exact(self.pieces.as_slice().iter().map(|b| b.len() as u64).sum()),
            None => SizeHint::default(),
        }
    }
}

/// Cuts the pieces off where the delivery's limit stands. A limit beyond the body's end changes only
/// the ending.
fn limited(pieces: Vec<Piece>, delivery: &Delivery) -> (Vec<Bytes>, Ending) {
    let Some(limit) = delivery.limit else {
        return (pieces.into_iter().map(Piece::into_bytes).collect(), Ending::Clean);
    };
    let mut kept = Vec::new();
    let mut room = match limit.at {
        At::Bytes(count) | At::Events(count) => count,
    };
    for piece in pieces {
        if room == 0 {
            break;
        }
        let is_event = matches!(piece, Piece::Event(_));
        let mut bytes = piece.into_bytes();
        match limit.at {
            At::Bytes(_) => {
                bytes.truncate(room);
                room -= bytes.len();
            }
            At::Events(_) => room -= usize::from(is_event),
        }
        kept.push(bytes);
    }
    (kept, limit.ending)
}

fn split(pieces: Vec<Bytes>, size: usize) -> Vec<Bytes> {
    let mut whole = Bytes::from(pieces.concat());
    let mut out = Vec::with_capacity(whole.len() / size + 1);
    while !whole.is_empty() {
        out.push(whole.split_to(size.min(whole.len())));
    }
    out
}

/// A service error closes the connection before any head.
#[derive(Debug)]
pub(crate) struct Reset;

impl std::fmt::Display for Reset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the script resets this connection")
    }
}

impl std::error::Error for Reset {}
