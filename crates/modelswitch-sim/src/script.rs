//! Answers that a test prescribes: any status, any bytes, any misbehaviour.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use crate::answer::{Answer, At, Delivery, Ending, Limit, Piece, to_json};

/// One prescribed answer, queued with [`Sim::script`](crate::Sim::script).
///
/// ```
/// use std::time::Duration;
/// use modelswitch_sim::Script;
///
/// // Refused once, then cut inside the stream, then a normal answer in pieces of seven bytes.
/// let refused = Script::status(429).header("retry-after", "1").json(serde_json::json!({"error": {}}));
/// let cut = Script::normal().cut_after_events(3);
/// let slow = Script::normal().split(7).pace(Duration::from_millis(1));
/// # let _ = (refused, cut, slow);
/// ```
///
/// A status or header that HTTP does not know makes the simulator answer 500 with a sentence about it.
#[derive(Clone, Debug)]
pub struct Script {
    reply: Reply,
    headers: HeaderMap,
    content_type: ContentType,
    delivery: Delivery,
    times: usize,
    mistake: Option<String>,
}

#[derive(Clone, Debug)]
enum Reply {
    Normal,
    Reset,
    Fixed(StatusCode, Vec<Piece>),
}

#[derive(Clone, Debug)]
enum ContentType {
    AsIs,
    Absent,
}

/// What the server does with a script.
pub(crate) enum Play {
    Reset(Duration),
    Answer(Box<Answer>),
    /// The personality's answer, changed by [`Script::over`].
    Normal,
}

impl Script {
    /// The personality's own answer, to be combined with delays, pieces and endings.
    pub fn normal() -> Self {
        Self::of(Reply::Normal)
    }

    /// An answer with this status and, until [`json`](Self::json) or [`body`](Self::body), no body.
    pub fn status(status: u16) -> Self {
        let code = StatusCode::from_u16(status);
        let mistaken = code.is_err();
        let mut script = Self::of(Reply::Fixed(code.unwrap_or_default(), Vec::new()));
        if mistaken {
            script.mistake = Some(format!("the script's status {status} is not an HTTP status"));
        }
        script
    }

    /// A 200 stream of events; each text becomes one `data:` event. Add `"[DONE]"` yourself.
    ///
    /// ```
    /// let script = modelswitch_sim::Script::sse([r#"{"choices":[]}"#, "[DONE]"]);
    /// # let _ = script;
    /// ```
    pub fn sse<I>(events: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let pieces = events.into_iter().map(|event| Piece::data(event.as_ref())).collect();
        Self::of(Reply::Fixed(StatusCode::OK, pieces)).content_type("text/event-stream; charset=utf-8")
    }

    /// A 200 stream of exactly these bytes, flushed after each blank line in them.
    pub fn raw_sse(bytes: impl Into<Bytes>) -> Self {
        Self::of(Reply::Fixed(StatusCode::OK, sse_pieces(bytes.into())))
            .content_type("text/event-stream; charset=utf-8")
    }

    /// Closes the connection before any response head.
    pub fn reset() -> Self {
        Self::of(Reply::Reset)
    }

    /// Sends the client elsewhere.
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::status(status).header(LOCATION.as_str(), location)
    }

    fn of(reply: Reply) -> Self {
        Self {
            reply,
            headers: HeaderMap::new(),
            content_type: ContentType::AsIs,
            delivery: Delivery::default(),
            times: 1,
            mistake: None,
        }
    }

    /// Sets a header; on [`normal`](Self::normal) it replaces the personality's.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        match (HeaderName::try_from(name), HeaderValue::from_bytes(value.as_ref())) {
            (Ok(name), Ok(value)) => {
                self.headers.append(name, value);
            }
            _ => self.mistake = Some(format!("the script's header {name:?} is not a valid header")),
        }
        self
    }

    /// A JSON body with `content-type: application/json` (unless a content type was set before).
    #[must_use]
    pub fn json(self, value: impl Serialize) -> Self {
        let typed = self.headers.contains_key(CONTENT_TYPE);
        let script = self.body(to_json(&value));
        if typed { script } else { script.content_type("application/json") }
    }

    /// A body of these bytes. It has no content type unless one is set.
    #[must_use]
    pub fn body(mut self, bytes: impl Into<Bytes>) -> Self {
        let status = match self.reply {
            Reply::Fixed(status, _) => status,
            Reply::Normal | Reply::Reset => StatusCode::OK,
        };
        self.reply = Reply::Fixed(status, vec![Piece::Other(bytes.into())]);
        self
    }

    /// Sets the content type.
    #[must_use]
    pub fn content_type(mut self, value: &str) -> Self {
        self.headers.remove(CONTENT_TYPE);
        self.content_type = ContentType::AsIs;
        self.header(CONTENT_TYPE.as_str(), value)
    }

    /// Leaves the content type out.
    #[must_use]
    pub fn no_content_type(mut self) -> Self {
        self.headers.remove(CONTENT_TYPE);
        self.content_type = ContentType::Absent;
        self
    }

    /// Waits before the head.
    #[must_use]
    pub fn delay(mut self, wait: Duration) -> Self {
        self.delivery.delay = wait;
        self
    }

    /// Waits between the head and the first byte of the body.
    #[must_use]
    pub fn delay_body(mut self, wait: Duration) -> Self {
        self.delivery.body_delay = wait;
        self
    }

    /// Writes the body in pieces of so many bytes, each flushed by itself.
    #[must_use]
    pub fn split(mut self, bytes: usize) -> Self {
        self.delivery.split = Some(bytes);
        self
    }

    /// Waits between two pieces.
    #[must_use]
    pub fn pace(mut self, wait: Duration) -> Self {
        self.delivery.pace = Some(wait);
        self
    }

    /// After so many bytes of the body sends nothing more and keeps the connection open.
    #[must_use]
    pub fn stall_after(self, bytes: usize) -> Self {
        self.limit(At::Bytes(bytes), Ending::Stall)
    }

    /// After so many bytes drops the connection inside the body: the client sees an error.
    #[must_use]
    pub fn cut_after(self, bytes: usize) -> Self {
        self.limit(At::Bytes(bytes), Ending::Cut)
    }

    /// After so many bytes ends the body properly: the client sees a clean end, without `[DONE]`.
    #[must_use]
    pub fn end_after(self, bytes: usize) -> Self {
        self.limit(At::Bytes(bytes), Ending::Clean)
    }

    /// [`stall_after`](Self::stall_after), counting events with data; comments do not count.
    #[must_use]
    pub fn stall_after_events(self, events: usize) -> Self {
        self.limit(At::Events(events), Ending::Stall)
    }

    /// [`cut_after`](Self::cut_after), counting events with data; comments do not count.
    #[must_use]
    pub fn cut_after_events(self, events: usize) -> Self {
        self.limit(At::Events(events), Ending::Cut)
    }

    /// [`end_after`](Self::end_after), counting events with data; comments do not count.
    #[must_use]
    pub fn end_after_events(self, events: usize) -> Self {
        self.limit(At::Events(events), Ending::Clean)
    }

    /// Answers so many requests with this script instead of one.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    fn limit(mut self, at: At, ending: Ending) -> Self {
        self.delivery.limit = Some(Limit { at, ending });
        self
    }

    pub(crate) fn play(&self) -> Play {
        if let Some(mistake) = &self.mistake {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            return Play::Answer(Box::new(Answer::body(status, "text/plain", mistake.clone())));
        }
        match &self.reply {
            Reply::Normal => Play::Normal,
            Reply::Reset => Play::Reset(self.delivery.delay),
            Reply::Fixed(status, pieces) => {
                let answer = Answer { pieces: pieces.clone(), ..Answer::empty(*status) };
                Play::Answer(Box::new(self.over(answer)))
            }
        }
    }

    /// The answer with this script's headers and delivery laid over it.
    pub(crate) fn over(&self, mut answer: Answer) -> Answer {
        for name in self.headers.keys() {
            answer.headers.remove(name);
        }
        for (name, value) in &self.headers {
            answer.headers.append(name.clone(), value.clone());
        }
        if matches!(self.content_type, ContentType::Absent) {
            answer.headers.remove(CONTENT_TYPE);
        }
        answer.delivery = answer.delivery.overlaid(&self.delivery);
        answer
    }
}

/// Scripts waiting for their requests.
#[derive(Default)]
pub(crate) struct Queue {
    any: VecDeque<Script>,
    by_path: HashMap<String, VecDeque<Script>>,
}

impl Queue {
    pub(crate) fn push(&mut self, path: Option<&str>, script: Script) {
        if script.times == 0 {
            return;
        }
        match path {
            None => self.any.push_back(script),
            Some(path) => self.by_path.entry(path.to_owned()).or_default().push_back(script),
        }
    }

    /// The script for this request, a path's own before the others.
    pub(crate) fn next(&mut self, route: &str) -> Option<Script> {
        for path in [Some(route), route.strip_prefix("/v1"), route.strip_prefix("/beta")] {
            if let Some(script) = path.and_then(|path| take(self.by_path.get_mut(path)?)) {
                return Some(script);
            }
        }
        take(&mut self.any)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn take(queue: &mut VecDeque<Script>) -> Option<Script> {
    let front = queue.front_mut()?;
    if front.times > 1 {
        front.times -= 1;
        return Some(front.clone());
    }
    queue.pop_front()
}

fn sse_pieces(mut bytes: Bytes) -> Vec<Piece> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let ends = [(b"\n\n".as_slice(), 2), (b"\r\n\r\n".as_slice(), 4)];
        let end = ends.iter().filter_map(|(mark, len)| Some(memchr::memmem::find(&bytes, mark)? + len)).min();
        let piece = bytes.split_to(end.unwrap_or(bytes.len()));
        let has_data = piece.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"data"));
        pieces.push(if has_data { Piece::Event(piece) } else { Piece::Other(piece) });
    }
    pieces
}
