//! Requests as they arrived, kept for tests to look at.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use serde_json::Value;

/// One request as the simulator received it.
///
/// `Debug` shows the method, the path and the size of the body only: headers hold keys, bodies hold
/// what people wrote.
///
/// ```
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sim = modelswitch_sim::Sim::start().await?;
/// reqwest::get(format!("{}/models?limit=3", sim.base_url())).await?;
/// let requests = sim.requests();
/// assert_eq!(requests[0].path, "/models?limit=3");
/// assert!(requests[0].json().is_null());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Recorded {
    /// The method.
    pub method: Method,
    /// The path with its query, as it stood in the request line.
    pub path: String,
    /// All headers, the key among them.
    pub headers: HeaderMap,
    /// The whole body; empty if it was over the simulator's limit.
    pub body: Bytes,
}

impl Recorded {
    /// The body as JSON; `Null` if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// A header as text; `None` if it is absent or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The path without its query.
    pub(crate) fn route(&self) -> &str {
        self.path.split_once('?').map_or(self.path.as_str(), |(route, _)| route)
    }

    /// What follows `Bearer ` in the authorization header.
    pub(crate) fn bearer(&self) -> Option<&str> {
        let value = self.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, key) = value.split_once(' ')?;
        let key = key.trim();
        (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then_some(key)
    }
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded")
            .field("method", &self.method)
            .field("path", &self.route())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// The latest requests, bounded so that a simulator may run for days.
#[derive(Default)]
pub(crate) struct Log {
    requests: VecDeque<Recorded>,
    bytes: usize,
}

impl Log {
    /// Bodies beyond this many bytes push the oldest requests out.
    const MOST_BYTES: usize = 256 << 20;

    pub(crate) fn push(&mut self, request: Recorded, most: usize) {
        self.bytes += request.body.len();
        self.requests.push_back(request);
        while self.requests.len() > most || self.bytes > Self::MOST_BYTES {
            let Some(oldest) = self.requests.pop_front() else { return };
            self.bytes = self.bytes.saturating_sub(oldest.body.len());
        }
    }

    pub(crate) fn all(&self) -> Vec<Recorded> {
        self.requests.iter().cloned().collect()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
