//! Pools of connections, by the time that a connection may take to be made.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use modelswitch_openai::{HttpClient, WeakHttpClient};
use modelswitch_provider::Result;

/// Providers with one limit for connecting share a pool, across reloads too. A pool that no provider holds any more is
/// closed: only weak handles are kept here.
#[derive(Debug, Default)]
pub(crate) struct Pools(Mutex<BTreeMap<Duration, WeakHttpClient>>);

impl Pools {
    /// The pool with this limit, which is made if there is none.
    ///
    /// # Errors
    /// As [`HttpClient::new`].
    pub(crate) fn get(&self, connect: Duration) -> Result<HttpClient> {
        let mut pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pools.retain(|_, pool| pool.upgrade().is_some());
        if let Some(pool) = pools.get(&connect).and_then(WeakHttpClient::upgrade) {
            return Ok(pool);
        }
        let pool = HttpClient::new(connect)?;
        pools.insert(connect, pool.downgrade());
        Ok(pool)
    }

    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        let pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pools.values().filter(|pool| pool.upgrade().is_some()).count()
    }
}
