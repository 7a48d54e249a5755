//! A provider that does by its seed whatever a service may do: answers, fails, takes its time, hangs, and cuts.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use http::StatusCode;
use modelswitch_layers::on_end;
use modelswitch_provider::{Body, Error, ErrorKind, Event, EventStream, Provider, Request, Response, Result};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::purse::COST;

/// In a request's extensions: which call of the test it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call(pub(crate) u32);

/// A request that reached a service.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Its number among everything that happened.
    pub(crate) at: u64,
    /// The call that it belongs to.
    pub(crate) call: u32,
}

/// What happened, in one row for all providers of a test.
#[derive(Clone, Default)]
pub(crate) struct Diary {
    count: Arc<AtomicU64>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Diary {
    /// A number for what happens now.
    pub(crate) fn number(&self) -> u64 {
        self.count.fetch_add(1, Ordering::SeqCst)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

pub(crate) struct Chaos {
    name: String,
    diary: Diary,
    dice: Mutex<SmallRng>,
    running: Arc<AtomicU32>,
    peak: AtomicU32,
}

/// What becomes of a request.
enum Fate {
    Answer,
    Fail(Error),
    Hang,
    /// A stream fails or hangs after so many of its pieces; the first has no content.
    Break {
        after: usize,
        hangs: bool,
    },
}

impl Chaos {
    pub(crate) fn new(name: &str, seed: u64, diary: &Diary) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            diary: diary.clone(),
            dice: Mutex::new(SmallRng::seed_from_u64(seed)),
            running: Arc::default(),
            peak: AtomicU32::new(0),
        })
    }

    /// How many requests it is busy with.
    pub(crate) fn running(&self) -> u32 {
        self.running.load(Ordering::SeqCst)
    }

    /// How many they were at most.
    pub(crate) fn peak(&self) -> u32 {
        self.peak.load(Ordering::SeqCst)
    }

    fn begin(&self) -> Running {
        let now = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.peak.fetch_max(now, Ordering::SeqCst);
        Running(self.running.clone())
    }

    fn throw(&self) -> (Fate, [Duration; 4]) {
        let mut dice = self.dice.lock().unwrap();
        let fate = match dice.random_range(0..100) {
            0..50 => Fate::Answer,
            50..75 => Fate::Fail(failure(&mut dice)),
            75..82 => Fate::Hang,
            _ => Fate::Break { after: dice.random_range(0..4), hangs: dice.random_bool(0.3) },
        };
        let waits = [0; 4].map(|_: u8| match dice.random_range(0..10) {
            0..3 => Duration::ZERO,
            3..9 => Duration::from_millis(dice.random_range(0..3000)),
            _ => Duration::from_millis(dice.random_range(3000..40_000)),
        });
        (fate, waits)
    }
}

fn failure(dice: &mut SmallRng) -> Error {
    let kind = ErrorKind::ALL[dice.random_range(0..ErrorKind::ALL.len())];
    let error = Error::new(kind, "by chance").with_attempts(1);
    let error = if dice.random() { error.with_status(StatusCode::IM_A_TEAPOT) } else { error };
    if dice.random_bool(0.3) {
        return error.with_retry_after(Duration::from_millis(dice.random_range(0..100_000)));
    }
    error
}

/// A request that is being worked on, as long as this lives.
struct Running(Arc<AtomicU32>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl std::fmt::Debug for Chaos {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Chaos")
    }
}

#[async_trait]
impl Provider for Chaos {
    fn name(&self) -> &str {
        &self.name
    }

    async fn send(&self, request: Request) -> Result<Response> {
        let running = self.begin();
        let at = self.diary.number();
        let call = request.extensions.get::<Call>().unwrap().0;
        self.diary.asked.lock().unwrap().push(Asked { at, call });
        let (fate, waits) = self.throw();
        sleep(waits[0]).await;
        let (breaks_after, hangs) = match fate {
            Fate::Answer => (usize::MAX, false),
            Fate::Fail(error) => return Err(error),
            Fate::Hang => std::future::pending().await,
            Fate::Break { after, .. } if !request.is_stream() && after == 0 => {
                return Err(Error::new(ErrorKind::Decode, "half of a body").with_attempts(1));
            }
            Fate::Break { after, hangs } => (after, hangs),
        };
        let response =
            if request.is_stream() { streamed(at, &waits, breaks_after, hangs) } else { whole(at) };
        Ok(on_end(response, move |_| drop(running)))
    }
}

/// Says as its content which request it answers.
fn whole(at: u64) -> Response {
    let message = json!({ "role": "assistant", "content": at.to_string() });
    Response::json(&json!({
        "choices": [{ "index": 0, "finish_reason": "stop", "message": message }],
        "usage": { "prompt_tokens": 5, "completion_tokens": COST }
    }))
    .unwrap()
}

fn streamed(at: u64, waits: &[Duration; 4], breaks_after: usize, hangs: bool) -> Response {
    let chunk = |delta: Value| json!({ "choices": [{ "index": 0, "delta": delta }] }).to_string();
    let content = chunk(json!({ "content": at.to_string() }));
    let last = json!({
        "choices": [{ "index": 0, "delta": { "content": at.to_string() } }],
        "usage": { "prompt_tokens": 5, "completion_tokens": COST }
    });
    let pieces = [chunk(json!({ "role": "assistant" })), content.clone(), content, last.to_string()];
    let waits = *waits;
    let pieces = stream::iter(pieces.into_iter().enumerate()).then(move |(number, piece)| async move {
        sleep(waits[number]).await;
        if number < breaks_after {
            return Ok(Event::new(piece));
        }
        if hangs {
            std::future::pending::<()>().await;
        }
        Err(Error::interrupted("by chance").with_attempts(1))
    });
    Response::new(Body::Events(EventStream::new(pieces)))
}
