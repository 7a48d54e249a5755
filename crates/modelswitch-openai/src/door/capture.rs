use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use modelswitch_provider::{ChatCompletion, Collector, Error, Head, Usage};
use serde::Deserialize;

use super::header;

/// Tells about one call what async-openai's types have no room for: who answered, at which try, with which headers,
/// what was adapted, the usage as the service wrote it, and the whole error.
///
/// Its header goes with the call and is taken off before the wire. Use one for each call; it keeps what the last one
/// told.
///
/// ```no_run
/// # async fn run(service: modelswitch_openai::HttpService, request: modelswitch_openai::async_openai::types::chat::CreateChatCompletionRequest) -> Result<(), Box<dyn std::error::Error>> {
/// use modelswitch_openai::async_openai::traits::RequestOptionsBuilder;
///
/// let client = service.client()?;
/// let capture = service.capture();
/// let reply = client.chat().headers(capture.headers()).create(request).await?;
/// if let Some(head) = capture.head() {
///     println!("{:?} answered at try {}", head.provider, head.attempts());
/// }
/// # Ok(()) }
/// ```
pub struct Capture {
    sink: Arc<Sink>,
    captures: Captures,
}

/// Where a call writes what it knows.
pub(super) struct Sink {
    id: u64,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    head: Option<Head>,
    error: Option<Error>,
    usage: Option<Usage>,
    /// A whole answer as the service wrote it.
    whole: Option<Bytes>,
    /// What a stream has come to so far.
    pieces: Option<Collector>,
}

/// The captures of one service that still have a holder.
#[derive(Clone, Default)]
pub(super) struct Captures(Arc<Table>);

struct Table {
    /// Begins anywhere: a capture of one service that goes through another must find nobody there.
    next: AtomicU64,
    open: Mutex<HashMap<u64, Weak<Sink>>>,
}

impl Default for Table {
    fn default() -> Self {
        let anywhere = RandomState::new().build_hasher().finish();
        Self { next: AtomicU64::new(anywhere), open: Mutex::default() }
    }
}

impl Capture {
    /// The header to send with the call: `client.chat().headers(capture.headers())`.
    pub fn headers(&self) -> HeaderMap {
        HeaderMap::from_iter([(header::CAPTURE.clone(), HeaderValue::from(self.sink.id))])
    }

    /// Who answered. For a stream it is there as soon as the stream is.
    pub fn head(&self) -> Option<Head> {
        self.sink.told().head.clone()
    }

    /// The tokens as the service counted them; of a stream, once the chunk with the usage has passed.
    pub fn usage(&self) -> Option<Usage> {
        self.sink.told().usage.clone()
    }

    /// The answer of a chat with every field that the service sent, those included that async-openai's types have no room
    /// for; of a stream, what has passed so far. `None` for other endpoints.
    ///
    /// ```no_run
    /// # fn show(capture: modelswitch_openai::Capture) {
    /// if let Some(answer) = capture.completion() {
    ///     println!("{:?}", answer.choices[0].extra.get("logprobs"));
    /// }
    /// # }
    /// ```
    pub fn completion(&self) -> Option<ChatCompletion> {
        let (whole, pieces) = {
            let told = self.sink.told();
            (told.whole.clone(), told.pieces.clone())
        };
        match (whole, pieces) {
            (Some(whole), _) => serde_json::from_slice(&whole).ok(),
            (None, pieces) => pieces.map(Collector::finish),
        }
    }

    /// What went wrong, with the upstream body; also from the middle of a stream.
    pub fn error(&self) -> Option<Error> {
        self.sink.told().error.clone()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.captures.open().remove(&self.sink.id);
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture")
            .field("head", &self.head())
            .field("error", &self.error())
            .finish_non_exhaustive()
    }
}

impl Captures {
    pub(super) fn capture(&self) -> Capture {
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let sink = Arc::new(Sink { id, told: Mutex::default() });
        self.open().insert(id, Arc::downgrade(&sink));
        Capture { sink, captures: self.clone() }
    }

    pub(super) fn find(&self, id: u64) -> Option<Arc<Sink>> {
        self.open().get(&id)?.upgrade()
    }

    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Weak<Sink>>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink {
    pub(super) fn begin(&self, head: &Head) {
        self.told().head = Some(head.clone());
    }

    /// Another call begins.
    pub(super) fn forget(&self) {
        *self.told() = Told::default();
    }

    /// Looks for usage in a document or chunk.
    pub(super) fn see(&self, json: &[u8]) {
        #[derive(Deserialize)]
        struct Look {
            usage: Option<Usage>,
        }
        if memchr::memmem::find(json, b"\"usage\"").is_some()
            && let Ok(Look { usage: usage @ Some(_) }) = serde_json::from_slice(json)
        {
            self.told().usage = usage;
        }
    }

    /// Keeps a chat's answer.
    pub(super) fn keep(&self, json: &Bytes) {
        self.told().whole = Some(json.clone());
    }

    /// Keeps a piece of a chat's answer.
    pub(super) fn keep_piece(&self, json: &[u8]) {
        if let Ok(chunk) = serde_json::from_slice(json) {
            self.told().pieces.get_or_insert_default().push(chunk);
        }
    }

    pub(super) fn fail(&self, error: &Error) {
        self.told().error = Some(error.clone());
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
