//! What the body of an answer is, as its first line tells.

use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use modelswitch_provider::{ByteStream, Result};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::sse::BYTE_ORDER_MARK;

/// What a body begins with.
pub(super) enum First {
    /// A line of a stream of events.
    Events,
    /// Anything else.
    Byte(u8),
}

/// Waits for the first line that isn't white space, as far as it tells what it is: services send blank lines to keep a
/// connection alive. What stands before it, a byte order mark too, is taken away, so that it makes no difference how the bytes
/// are split. Gives back what it has read, and the rest.
pub(super) async fn beginning(mut body: ByteStream) -> Result<(Option<First>, Bytes, ByteStream)> {
    let (mut read, mut has_mark) = (Bytes::new(), false);
    let first = loop {
        let next = body.next().await.transpose()?;
        let has_ended = next.is_none();
        read = joined(read, next.unwrap_or_default());
        has_mark |= skip_blank(&mut read, has_mark);
        let is_half_a_mark = !has_mark && BYTE_ORDER_MARK.starts_with(&read);
        match (read.first().copied(), begins_events(&read)) {
            (Some(_), Some(true)) => break Some(First::Events),
            (Some(byte), _) if has_ended => break Some(First::Byte(byte)),
            (Some(byte), Some(false)) if !is_half_a_mark => break Some(First::Byte(byte)),
            (None, _) if has_ended => break None,
            (Some(_) | None, _) => {}
        }
    };
    Ok((first, read, body))
}

/// Only a few bytes are ever read in vain, and as a rule none.
fn joined(read: Bytes, next: Bytes) -> Bytes {
    if read.is_empty() { next } else { [read, next].concat().into() }
}

/// Takes away white space and, where none was met before, a byte order mark. True for such a mark.
fn skip_blank(read: &mut Bytes, has_mark: bool) -> bool {
    let text = read.trim_ascii_start();
    let marked = text.strip_prefix(BYTE_ORDER_MARK).filter(|_| !has_mark);
    let left = marked.map_or(text, <[u8]>::trim_ascii_start).len();
    let is_marked = marked.is_some();
    read.advance(read.len() - left);
    is_marked
}

/// True for a field of a stream of events or a comment in one. `None` where more of it must be seen.
fn begins_events(text: &[u8]) -> Option<bool> {
    const FIELDS: [&[u8]; 5] = [b"data:", b"event:", b"id:", b"retry:", b":"];
    let begins = |text: &[u8], start: &[u8]| {
        text.get(..start.len()).is_some_and(|text| text.eq_ignore_ascii_case(start))
    };
    if FIELDS.iter().any(|field| begins(text, field)) {
        return Some(true);
    }
    let may_become = FIELDS.iter().any(|field| begins(field, text));
    (!may_become).then_some(false)
}

/// Most of a line that is looked at as a chunk of a stream: a whole answer in one line may be longer.
pub(super) const LONGEST_LINE: usize = 1 << 20;

/// The first line that has an end, if it isn't empty.
pub(super) fn first_line(text: &[u8]) -> Option<&[u8]> {
    let text = text.trim_ascii_start();
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).trim_ascii_start();
    let end = memchr::memchr2(b'\n', b'\r', text)?;
    text.get(..end)
}

/// True for a line that is a chunk: JSON by itself, with a piece of an answer in it and not the whole.
pub(super) fn is_line_of_stream(line: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Look<'a> {
        #[serde(borrow, default)]
        choices: Option<&'a RawValue>,
        done: Option<bool>,
        #[serde(borrow, default, rename = "type")]
        kind: Option<&'a RawValue>,
    }
    let Ok(look) = serde_json::from_slice::<Look<'_>>(line) else { return false };
    let choices = look.choices.map(RawValue::get).unwrap_or_default();
    let has_piece = choices.contains("\"delta\"") && !choices.contains("\"message\"");
    let is_event = look.kind.is_some_and(|kind| kind.get().starts_with("\"response."));
    has_piece || is_event || look.done.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::whole;
    use futures_util::stream;

    #[test]
    fn a_stream_of_events_is_told_by_its_first_field() {
        for (text, wanted) in [
            ("data: {}", Some(true)),
            ("Event:x", Some(true)),
            (": comment", Some(true)),
            ("id:", Some(true)),
            ("retry: 5", Some(true)),
            ("dat", None),
            ("data", None),
            ("", None),
            ("database is down", Some(false)),
            ("internal error", Some(false)),
            ("error", Some(false)),
            ("{", Some(false)),
        ] {
            assert_eq!(begins_events(text.as_bytes()), wanted, "{text}");
        }
    }

    #[tokio::test]
    async fn one_mark_is_taken_away_wherever_it_is_split() {
        let mark = BYTE_ORDER_MARK;
        for (text, rest) in [
            ([b"\n".as_slice(), mark, b" {}"].concat(), b"{}".as_slice()),
            ([mark, mark, b"{}"].concat(), &[mark, b"{}"].concat()),
            (mark.to_vec(), b""),
            (b"\xEF\xBB".to_vec(), b"\xEF\xBB"),
        ] {
            for size in 1..=text.len() {
                let pieces = text.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece)));
                let body = ByteStream::new(stream::iter(pieces.collect::<Vec<_>>()));
                let (first, read, body) = beginning(body).await.unwrap();
                let byte = if let Some(First::Byte(byte)) = first { Some(byte) } else { None };
                assert_eq!(byte, rest.first().copied(), "{text:?} by {size}");
                assert_eq!(whole(read, body).await.unwrap(), rest, "{text:?} by {size}");
            }
        }
    }

    #[tokio::test]
    async fn a_beginning_that_comes_in_pieces_is_waited_for_and_kept() {
        for (pieces, is_events) in [
            (&["\n", "\u{feff}", "da", "ta: x"][..], true),
            (&["\u{feff} ", "\n", ": x"], true),
            (&["da", "tabase"], false),
            (&["\n\n", "dat"], false),
        ] {
            let body = stream::iter(pieces.iter().map(|piece| Ok(Bytes::from(*piece))));
            let (first, read, body) = beginning(ByteStream::new(body)).await.unwrap();
            assert_eq!(matches!(first, Some(First::Events)), is_events, "{pieces:?}");
            let whole = whole(read, body).await.unwrap();
            assert!(String::from_utf8_lossy(&whole).ends_with(pieces.last().unwrap()), "{pieces:?}");
        }
    }
}
