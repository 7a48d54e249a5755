//! What all connections of one simulator share.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

use crate::ask::Prompt;
use crate::files::Files;
use crate::personality::Personality;
use crate::recorded::{Log, Recorded};
use crate::script::Queue;
use crate::turn::Turn;

/// What the builder decided.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) personality: Personality,
    /// The first one is shown.
    pub(crate) keys: Vec<String>,
    pub(crate) any_key: bool,
    pub(crate) keep_alives: usize,
    pub(crate) chunk_delay: Duration,
    pub(crate) body_limit: usize,
    pub(crate) remember: usize,
    pub(crate) header_read_timeout: Duration,
    pub(crate) concurrency: Option<usize>,
    pub(crate) balance: Balance,
}

impl Settings {
    /// True for a key that is accepted.
    pub(crate) fn takes(&self, key: &str) -> bool {
        self.any_key || self.keys.iter().any(|known| known == key)
    }
}

/// What `GET /user/balance` shows.
#[derive(Clone)]
pub(crate) struct Balance {
    pub(crate) currency: String,
    pub(crate) total: String,
    pub(crate) granted: String,
    pub(crate) topped_up: String,
}

impl Balance {
    pub(crate) fn is_spent(&self) -> bool {
        self.total.parse::<f64>().is_ok_and(|total| total <= 0.0)
    }
}

/// Settings, the record, the scripts and the counters. No lock is ever held across an await.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    log: Mutex<Log>,
    scripts: Mutex<Queue>,
    files: Mutex<Files>,
    seen: Mutex<HashSet<u64>>,
    counter: AtomicU64,
    open: AtomicUsize,
    connections: AtomicUsize,
    calls: AtomicUsize,
    idle: Notify,
}

impl Shared {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            log: Mutex::default(),
            scripts: Mutex::default(),
            files: Mutex::default(),
            seen: Mutex::default(),
            counter: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            idle: Notify::new(),
        }
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }

    pub(crate) fn scripts(&self) -> MutexGuard<'_, Queue> {
        lock(&self.scripts)
    }

    pub(crate) fn files(&self) -> MutexGuard<'_, Files> {
        lock(&self.files)
    }

    pub(crate) fn open_responses(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    pub(crate) fn open_connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }

    pub(crate) async fn idle(&self) {
        loop {
            let mut changed = std::pin::pin!(self.idle.notified());
            // Registered before the count is read, so that a change in between is not missed.
            changed.as_mut().enable();
            if self.open_responses() == 0 {
                return;
            }
            changed.await;
        }
    }

    /// Numbers for this answer: the same for the same request at the same place in a run.
    pub(crate) fn ids(&self, request: &Recorded) -> Ids {
        let count = self.counter.fetch_add(1, Ordering::Relaxed);
        let edge = 4096;
        let body = &request.body;
        let mut hash = fnv(BASIS, request.path.as_bytes());
        hash = fnv(hash, body.get(..edge).unwrap_or(body));
        hash = fnv(hash, body.len().checked_sub(edge).and_then(|from| body.get(from..)).unwrap_or_default());
        Ids { state: fnv(hash, &count.to_le_bytes()) }
    }

    /// How many of a prompt's tokens an earlier prompt (or it and its answer) began with, in whole blocks
    /// of 128 as DeepSeek counts them. From here on this prompt and its answer are known.
    pub(crate) fn cached_tokens(&self, prompt: &Prompt, turn: &Turn) -> u64 {
        let beginnings = &prompt.beginnings;
        let mut seen = lock(&self.seen);
        let hit =
            beginnings.iter().rev().find(|(hash, _)| seen.contains(hash)).map_or(0, |(_, tokens)| *tokens);
        if seen.len() > 200_000 {
            seen.clear();
        }
        seen.extend(beginnings.iter().copied().chain(prompt.with_answer(turn)).map(|(hash, _)| hash));
        hit / 128 * 128
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panicking thread left behind is still a list of requests.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a connection as open until it is dropped.
pub(crate) struct Connection(Arc<Shared>);

impl Connection {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        shared.connections.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(shared))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Counts a response as open until it is dropped.
pub(crate) struct Open {
    shared: Arc<Shared>,
    /// Whether it is a call of a model, which the concurrency limit counts.
    call: bool,
}

impl Open {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        shared.open.fetch_add(1, Ordering::AcqRel);
        Self { shared: Arc::clone(shared), call: false }
    }

    /// Counts this as a call of a model, from here to the end of its body; over the limit says how many
    /// there would be.
    pub(crate) fn begin_call(&mut self) -> Result<(), TooMany> {
        let current = self.shared.calls.fetch_add(1, Ordering::AcqRel) + 1;
        match self.shared.settings.concurrency {
            Some(limit) if current > limit => {
                self.shared.calls.fetch_sub(1, Ordering::AcqRel);
                Err(TooMany { current, limit })
            }
            _ => {
                self.call = true;
                Ok(())
            }
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.call {
            self.shared.calls.fetch_sub(1, Ordering::AcqRel);
        }
        self.shared.open.fetch_sub(1, Ordering::AcqRel);
        self.shared.idle.notify_waiters();
    }
}

/// A call over the limit.
pub(crate) struct TooMany {
    pub(crate) current: usize,
    pub(crate) limit: usize,
}

/// A stream of identifiers.
pub(crate) struct Ids {
    state: u64,
}

impl Ids {
    /// Numbers that depend on a text alone.
    pub(crate) fn from_text(text: &str) -> Self {
        Self { state: fnv(BASIS, text.as_bytes()) }
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 32 hexadecimal digits.
    pub(crate) fn hex(&mut self) -> String {
        format!("{:016x}{:016x}", self.number(), self.number())
    }

    /// A UUID in version 4's form.
    pub(crate) fn uuid(&mut self) -> String {
        let (a, b) = (self.number(), self.number());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xfff,
            0x8000 | ((b >> 48) & 0x3fff),
            b & 0xffff_ffff_ffff
        )
    }

    /// Letters and digits, as in `call_00_…`.
    pub(crate) fn letters(&mut self, count: usize) -> String {
        let alphabet = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        (0..count)
            .filter_map(|_| alphabet.get(usize::try_from(self.number() % 62).ok()?))
            .map(|byte| char::from(*byte))
            .collect()
    }
}

/// Where an FNV-1a hash begins.
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;

fn fnv(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Standard base64 with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = alphabet.get(bits >> (18 - 6 * place) & 63).copied().unwrap_or(b'=');
            let _ = out.write_char(if place > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    out
}
