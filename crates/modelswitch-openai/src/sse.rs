use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr2;
use modelswitch_provider::{Error, Event, Result};
use serde::de::IgnoredAny;

/// Reads server-sent events out of bytes, whatever way the bytes are split.
///
/// After the [standard](https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation):
/// lines end with LF, CR or CRLF, a byte order mark at the start is skipped, comments are skipped, several `data:` lines
/// make one event. And as services really send: an event without data, with `null`, and a `ping` are skipped; `[DONE]` may have
/// spaces around it; events that are separated by a single line break are told apart, since two JSON values in a row
/// are no JSON; the blank line after the last event may be missing; `data:` may stand twice, or not at all before a line
/// that is JSON by itself, as where a service sends JSON lines; names of fields may have spaces around them and capitals.
///
/// Each event costs the same, however large the packet is that it came in.
#[derive(Debug)]
pub(crate) struct SseDecoder {
    buffer: BytesMut,
    /// How much of the buffer is known to have no line end.
    scanned: usize,
    started: bool,
    /// A CR ended the last line: an LF right after it belongs to it.
    after_cr: bool,
    name: Option<Box<str>>,
    data: Data,
    limit: usize,
}

/// What the decoder found.
#[derive(Debug, PartialEq)]
pub(crate) enum Item {
    /// An event with data.
    Event(Event),
    /// `[DONE]`.
    Done,
}

#[derive(Debug)]
enum Data {
    None,
    One(Bytes),
    Many(BytesMut),
}

pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

impl SseDecoder {
    /// A decoder that refuses lines and events longer than `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            scanned: 0,
            started: false,
            after_cr: false,
            name: None,
            data: Data::None,
            limit,
        }
    }

    /// Adds bytes, as they came.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next event that is complete; `None` until there are more bytes.
    pub(crate) fn next_item(&mut self) -> Option<Result<Item>> {
        if !self.skip_byte_order_mark() {
            return None;
        }
        if let Some(event) = self.plain_event() {
            return Some(Ok(Item::Event(event)));
        }
        while let Some(line) = self.next_line() {
            match self.take_line(line) {
                Ok(None) => {}
                Ok(Some(item)) => return Some(Ok(item)),
                Err(error) => return Some(Err(error)),
            }
        }
        (self.buffer.len() > self.limit).then(|| Err(self.too_long()))
    }

    /// What is left when the bytes have ended: a last event that lacks its blank line. Half an event is none.
    pub(crate) fn finish(&mut self) -> Option<Item> {
        self.started = true;
        let rest = self.buffer.split().freeze();
        if !rest.is_empty()
            && let Ok(Some(item)) = self.take_line(rest)
        {
            return Some(item);
        }
        self.dispatch().filter(|item| match item {
            Item::Done => true,
            Item::Event(event) => is_json(&event.data),
        })
    }

    /// True when the bytes ended inside something.
    pub(crate) fn has_rest(&self) -> bool {
        !self.buffer.is_empty() || !matches!(self.data, Data::None)
    }

    /// False while it can't be told yet whether there is one.
    fn skip_byte_order_mark(&mut self) -> bool {
        if !self.started {
            if self.buffer.starts_with(BYTE_ORDER_MARK) {
                self.buffer.advance(BYTE_ORDER_MARK.len());
            } else if BYTE_ORDER_MARK.starts_with(&self.buffer) {
                return false;
            }
            self.started = true;
        }
        true
    }

    /// An event that is one line of JSON and a blank line, as nearly all are: what the lines would come to, in fewer steps.
    fn plain_event(&mut self) -> Option<Event> {
        const START: &[u8] = b"data: ";
        let is_between_events = !self.after_cr && self.name.is_none() && matches!(self.data, Data::None);
        if self.scanned > 0 || !is_between_events || !self.buffer.strip_prefix(START)?.starts_with(b"{") {
            return None;
        }
        let end = memchr2(b'\n', b'\r', &self.buffer)?;
        if !self.buffer.get(end..)?.starts_with(b"\n\n") {
            return None;
        }
        self.buffer.advance(START.len());
        let data = self.buffer.split_to(end - START.len()).freeze();
        self.buffer.advance(b"\n\n".len());
        Some(Event::new(as_text(data)))
    }

    fn next_line(&mut self) -> Option<Bytes> {
        if self.after_cr {
            match self.buffer.first() {
                Some(b'\n') => self.buffer.advance(1),
                Some(_) => {}
                None => return None,
            }
            self.after_cr = false;
        }
        let unseen = self.buffer.get(self.scanned..).unwrap_or_default();
        let Some(offset) = memchr2(b'\n', b'\r', unseen) else {
            self.scanned = self.buffer.len();
            return None;
        };
        let line = self.buffer.split_to(self.scanned + offset).freeze();
        self.scanned = 0;
        self.after_cr = self.buffer.first() == Some(&b'\r');
        self.buffer.advance(1);
        Some(line)
    }

    fn take_line(&mut self, line: Bytes) -> Result<Option<Item>> {
        if line.is_empty() {
            return Ok(self.dispatch());
        }
        if is_bare(&line) {
            return self.take_data(line);
        }
        let colon = memchr::memchr(b':', &line).unwrap_or(line.len());
        let value = line.slice((colon + 1).min(line.len())..);
        let value = if value.first() == Some(&b' ') { value.slice(1..) } else { value };
        let field = line.get(..colon).unwrap_or_default();
        match field.trim_ascii() {
            // An empty name is a comment's.
            [] => Ok(None),
            name if name.eq_ignore_ascii_case(b"data") => self.take_data(without_prefix(value)),
            name if name.eq_ignore_ascii_case(b"event") => {
                // Where events are not set apart by blank lines, a new name ends the event before it.
                let before = if self.is_whole() { self.dispatch() } else { None };
                let name = std::str::from_utf8(&value).ok().map(str::trim);
                self.name = name.filter(|name| !name.is_empty()).map(Into::into);
                Ok(before)
            }
            // `id`, `retry` and names of the future.
            _ => Ok(None),
        }
    }

    fn take_data(&mut self, value: Bytes) -> Result<Option<Item>> {
        if self.is_whole() {
            let before = self.dispatch();
            self.data = Data::One(value);
            return Ok(before);
        }
        match self.data {
            Data::None => {
                self.data = Data::One(value);
                Ok(None)
            }
            Data::One(_) | Data::Many(_) => self.append(&value),
        }
    }

    /// True when the only line of data is an event by itself. One that isn't is joined with whatever comes, and is not looked at
    /// again at each of a thousand names after it.
    fn is_whole(&mut self) -> bool {
        match std::mem::replace(&mut self.data, Data::None) {
            Data::One(data) if is_done(&data) || is_json(&data) => {
                self.data = Data::One(data);
                true
            }
            Data::One(data) => {
                self.data = Data::Many(data.into());
                false
            }
            other => {
                self.data = other;
                false
            }
        }
    }

    fn append(&mut self, value: &[u8]) -> Result<Option<Item>> {
        let Data::Many(joined) = &mut self.data else { return Ok(None) };
        joined.extend_from_slice(b"\n");
        joined.extend_from_slice(value);
        if joined.len() > self.limit { Err(self.too_long()) } else { Ok(None) }
    }

    fn dispatch(&mut self) -> Option<Item> {
        let data = match std::mem::replace(&mut self.data, Data::None) {
            Data::None => {
                self.name = None;
                return None;
            }
            Data::One(data) => data,
            Data::Many(joined) => joined.freeze(),
        };
        let item = self.item(data);
        self.name = None;
        item
    }

    fn item(&self, data: Bytes) -> Option<Item> {
        if is_done(&data) {
            return Some(Item::Done);
        }
        let is_alive_sign = self
            .name
            .as_deref()
            .is_some_and(|name| matches!(name, "ping" | "keepalive" | "keep-alive" | "heartbeat"));
        if matches!(data.trim_ascii(), b"" | b"null") || is_alive_sign {
            return None;
        }
        Some(Item::Event(Event { name: self.name.clone(), data: as_text(data) }))
    }

    fn too_long(&self) -> Error {
        Error::decode(format!("an event of the stream is longer than {} MiB", self.limit >> 20))
    }
}

/// A line that is data though it doesn't say so.
fn is_bare(line: &[u8]) -> bool {
    match line.first() {
        Some(b'{') => is_json(line),
        Some(b'[') => is_done(line) || is_json(line),
        _ => false,
    }
}

/// Some proxies put `data:` before lines that have it.
fn without_prefix(mut value: Bytes) -> Bytes {
    while value.starts_with(b"data:") {
        let rest = value.slice(b"data:".len()..);
        value = rest.slice_ref(rest.trim_ascii_start());
    }
    value
}

fn is_done(data: &[u8]) -> bool {
    data.trim_ascii() == b"[DONE]"
}

fn is_json(data: &[u8]) -> bool {
    let text = data.trim_ascii();
    matches!((text.first(), text.last()), (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')))
        && serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

/// The standard decodes with replacement characters; valid text, the rule, isn't copied.
fn as_text(data: Bytes) -> Bytes {
    match std::str::from_utf8(&data) {
        Ok(_) => data,
        Err(_) => Bytes::from(String::from_utf8_lossy(&data).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(pieces: &[&[u8]]) -> Vec<String> {
        let mut decoder = SseDecoder::new(1 << 20);
        let mut found = Vec::new();
        for piece in pieces {
            decoder.push(piece);
            while let Some(item) = decoder.next_item() {
                found.push(show(item.unwrap()));
            }
        }
        found.extend(decoder.finish().map(show));
        found
    }

    fn show(item: Item) -> String {
        match item {
            Item::Done => "DONE".to_owned(),
            Item::Event(event) => {
                format!(
                    "{}{}",
                    event.name.map(|name| format!("{name}=")).unwrap_or_default(),
                    String::from_utf8_lossy(&event.data)
                )
            }
        }
    }

    /// What the stream means, and the bytes of it.
    const CASES: &[(&[u8], &[&str])] = &[
        (b"data: {\"a\":1}\n\ndata: {\"b\":2}\n\ndata: [DONE]\n\n", &["{\"a\":1}", "{\"b\":2}", "DONE"]),
        (b"data: {\"a\":1}\r\n\r\ndata: [DONE]\r\n\r\n", &["{\"a\":1}", "DONE"]),
        (b"data: {\"a\":1}\r\rdata: [DONE]\r\r", &["{\"a\":1}", "DONE"]),
        (b"\xEF\xBB\xBFdata: x\n\n", &["x"]),
        (b": keep-alive\n\n: keep-alive\n\ndata:x\n\n", &["x"]),
        (b"event: response.created\ndata: {}\nid: 7\nretry: 1\n\n", &["response.created={}"]),
        (b"data: {\ndata: \"a\":1}\n\n", &["{\n\"a\":1}"]),
        (b"data: {\"a\":1}\ndata: {\"b\":2}\ndata: [DONE]\n", &["{\"a\":1}", "{\"b\":2}", "DONE"]),
        (b"data:\n\ndata: \n\nevent: ping\ndata: {}\n\ndata: x\n\n", &["x"]),
        (b"data:  [DONE] \n\n", &["DONE"]),
        (b"data: [DONE]", &["DONE"]),
        (b"data: {\"a\":1}\n\ndata: {\"b\":2}", &["{\"a\":1}", "{\"b\":2}"]),
        (b"data: {\"a\":1}\n\ndata: {\"b\":", &["{\"a\":1}"]),
        (b"data: {\"a\":1}\n\ndata: {\"b\":2}\n", &["{\"a\":1}", "{\"b\":2}"]),
        (b"data", &[]),
        (b"\n\n\n", &[]),
        (b"", &[]),
        (b"data: a\xFFb\n\n", &["a\u{FFFD}b"]),
        (b"event: a\n\ndata: x\n\n", &["x"]),
        (b"data:{\"a\":1}\nevent: ping\ndata: {}\n\n", &["{\"a\":1}"]),
        (b"event: a\ndata: {}\nevent: b\ndata: []\n\n", &["a={}", "b=[]"]),
        (b"event: a\ndata: {}\ndata: []\n\n", &["a={}", "[]"]),
        (b"event: a\ndata: {\nevent: b\ndata: }\n\n", &["b={\n}"]),
        (b"unknown: x\ndata\ndata: x\n\n", &["\nx"]),
        (b"{\"a\":1}\n{\"b\":2}\n[DONE]\n", &["{\"a\":1}", "{\"b\":2}", "DONE"]),
        (b"{\"a\":1}\r\n\r\n{\"b\":2}", &["{\"a\":1}", "{\"b\":2}"]),
        (b"data: data: {\"a\":1}\n\ndata: data: [DONE]\n\n", &["{\"a\":1}", "DONE"]),
        (b"Data : {\"a\":1}\n\n DATA:[DONE]\n\n", &["{\"a\":1}", "DONE"]),
        (b"{no json}\n\ndata: x\n\n", &["x"]),
        (b" : comment\n\nid: 1\rretry: 5\rdata: {\"a\":1}\r\r", &["{\"a\":1}"]),
    ];

    #[test]
    fn the_table_of_streams_is_read_as_it_is_meant_under_every_split_in_two() {
        for (bytes, wanted) in CASES {
            for split in 0..=bytes.len() {
                let (a, b) = bytes.split_at(split);
                assert_eq!(decode(&[a, b]), *wanted, "{:?} at {split}", String::from_utf8_lossy(bytes));
            }
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(decode(&single), *wanted, "{:?} byte by byte", String::from_utf8_lossy(bytes));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_mean_the_same_whatever_the_split(
            text in proptest::collection::vec(prop_oneof![
                Just("data: "), Just("data:"), Just("event: e"), Just(": c"), Just("\n"), Just("\r"), Just("\r\n"),
                Just("{\"a\":1}"), Just("{"), Just("[DONE]"), Just("x"), Just(" "), Just("\u{feff}"),
            ], 0..24),
            cuts in proptest::collection::vec(0usize..120, 0..6),
        ) {
            let text = text.concat();
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).chain([0, bytes.len()]).collect();
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(decode(&pieces), decode(&[bytes]));
        }
    }

    /// Minutes where each name has the line before it read once more.
    #[test]
    fn a_long_line_that_is_no_event_is_looked_at_once_however_many_names_follow() {
        let mut text = format!("data: {{\"a\":{}}}\n", "[".repeat(1 << 18));
        text.push_str(&"event: x\n".repeat(100_000));
        text.push_str("data: end\n\n");
        assert_eq!(decode(&[text.as_bytes()]).len(), 1);
    }

    #[test]
    fn an_endless_line_or_event_is_an_error_and_not_endless_memory() {
        for piece in [&b"data: xxxxxxxxxxxxxxxx"[..], b"data: xxxxxxxx\n"] {
            let mut decoder = SseDecoder::new(64);
            let failed = (0..100).any(|_| {
                decoder.push(piece);
                decoder.next_item().is_some_and(|item| item.is_err())
            });
            assert!(failed);
        }
    }
}
