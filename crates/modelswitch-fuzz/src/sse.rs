use modelswitch_openai::fuzz;
use serde::de::IgnoredAny;

use crate::input::{Input, pieces};

/// An event as its name and data; `None` is `[DONE]`.
type Event = Option<(Option<String>, String)>;

/// A stream of events means what the slow reader below reads, however it is split.
pub fn sse(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let seed = input.byte();
    let stream = input.rest();
    let wanted = slowly(stream);
    assert_eq!(read(&[stream]), wanted, "in one piece");
    assert_eq!(read(&pieces(stream, 1)), wanted, "byte by byte");
    assert_eq!(read(&pieces(stream, seed)), wanted, "with the seed {seed}");
    for split in 0..stream.len().min(64) {
        let (one, two) = stream.split_at(split);
        assert_eq!(read(&[one, two]), wanted, "split at {split}");
    }
}

fn read(pieces: &[&[u8]]) -> Vec<Event> {
    // Nothing here is as long as what is refused.
    let events = fuzz::events(pieces, 1 << 30).unwrap_or_default();
    let shown = |event: modelswitch_provider::Event| (event.name.map(String::from), lossy(&event.data));
    events.into_iter().map(|event| event.map(shown)).collect()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Reads the whole stream at once, line after line, and keeps every line of an event by itself.
fn slowly(stream: &[u8]) -> Vec<Event> {
    let stream = stream.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(stream);
    let mut reader = Slow::default();
    let (ended, rest) = lines(stream);
    for line in ended {
        reader.line(&line);
    }
    if !rest.is_empty() {
        reader.line(&rest);
    }
    // What no blank line ends counts only where it is surely whole.
    let is_whole = reader.data.len() == 1 || is_whole(&reader.data.join(&b'\n'));
    let before = reader.found.len();
    reader.end();
    let last = reader.found.get(before).cloned();
    if let Some(Some((_, data))) = last
        && !(is_whole && is_json(data.as_bytes()))
    {
        reader.found.truncate(before);
    }
    reader.found
}

/// The lines that have an end, and what comes after the last of them.
fn lines(stream: &[u8]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let (mut ended, mut line, mut after_cr) = (Vec::new(), Vec::new(), false);
    for byte in stream {
        match byte {
            b'\n' if after_cr => {}
            b'\n' | b'\r' => ended.push(std::mem::take(&mut line)),
            byte => line.push(*byte),
        }
        after_cr = *byte == b'\r';
    }
    (ended, line)
}

#[derive(Default)]
struct Slow {
    name: Option<String>,
    data: Vec<Vec<u8>>,
    found: Vec<Event>,
}

impl Slow {
    fn line(&mut self, line: &[u8]) {
        let is_bare = (line.starts_with(b"{") && is_json(line)) || (line.starts_with(b"[") && is_whole(line));
        if line.is_empty() {
            return self.end();
        }
        if is_bare {
            return self.data(line.to_vec());
        }
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let field = parts.next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
        let value = parts.next().unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field.as_slice() {
            b"data" => self.data(without_data(value).to_vec()),
            b"event" => {
                if self.is_one_whole() {
                    self.end();
                }
                let name = std::str::from_utf8(value).unwrap_or_default().trim();
                self.name = (!name.is_empty()).then(|| name.to_owned());
            }
            _ => {}
        }
    }

    fn data(&mut self, value: Vec<u8>) {
        if self.is_one_whole() {
            self.end();
        }
        self.data.push(value);
    }

    fn is_one_whole(&self) -> bool {
        matches!(self.data.as_slice(), [one] if is_whole(one))
    }

    /// The event is over.
    fn end(&mut self) {
        let name = self.name.take();
        if self.data.is_empty() {
            return;
        }
        let data = std::mem::take(&mut self.data).join(&b'\n');
        let is_alive_sign =
            matches!(name.as_deref(), Some("ping" | "keepalive" | "keep-alive" | "heartbeat"));
        match data.trim_ascii() {
            b"[DONE]" => self.found.push(None),
            b"" | b"null" => {}
            _ if is_alive_sign => {}
            _ => self.found.push(Some((name, lossy(&data)))),
        }
    }
}

fn without_data(value: &[u8]) -> &[u8] {
    match value.strip_prefix(b"data:") {
        Some(rest) => without_data(rest.trim_ascii_start()),
        None => value,
    }
}

fn is_whole(data: &[u8]) -> bool {
    data.trim_ascii() == b"[DONE]" || is_json(data)
}

/// True for an object or a list.
fn is_json(data: &[u8]) -> bool {
    let text = data.trim_ascii();
    let has_ends =
        (text.starts_with(b"{") && text.ends_with(b"}")) || (text.starts_with(b"[") && text.ends_with(b"]"));
    has_ends && serde_json::from_slice::<IgnoredAny>(text).is_ok()
}
