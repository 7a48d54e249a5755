//! SIGHUP, by which operators have always told a program to read again.

use std::fmt;

use modelswitch_provider::{Error, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::AbortHandle;

use crate::registry::Registry;

/// Has the keys read again at each SIGHUP, until it is dropped. From
/// [`Registry::refresh_keys_on_sighup`].
#[must_use = "dropping it ends the watch"]
pub struct RefreshOnSighup(AbortHandle);

impl Drop for RefreshOnSighup {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for RefreshOnSighup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshOnSighup")
    }
}

impl Registry {
    /// Reads every key again at each SIGHUP, as [`refresh_keys`](Self::refresh_keys) does, and logs what came of it. With
    /// the feature `signal`, on Unix.
    ///
    /// It runs as a task of the runtime that it is called in, until what is returned is dropped. From the first call on
    /// the process no longer ends at a SIGHUP, also afterwards.
    ///
    /// ```no_run
    /// # async fn run() -> modelswitch_provider::Result<()> {
    /// let registry = modelswitch_registry::Registry::load()?;
    /// let _watch = registry.refresh_keys_on_sighup()?;        // kill -HUP …, after a key was rotated
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Config`](modelswitch_provider::ErrorKind::Config) when the system doesn't let the signal be watched.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or in one without its I/O driver.
    pub fn refresh_keys_on_sighup(&self) -> Result<RefreshOnSighup> {
        let mut hangups = signal(SignalKind::hangup())
            .map_err(|error| Error::config("SIGHUP can't be watched").with_source(error))?;
        let registry = self.clone();
        let task = tokio::spawn(async move {
            while hangups.recv().await.is_some() {
                for key in registry.refresh_keys().await {
                    let error = key.error.as_deref();
                    tracing::info!(
                        provider = key.provider,
                        slot = key.slot,
                        source = key.source,
                        changed = key.changed,
                        error,
                        "a key was read again at SIGHUP"
                    );
                }
            }
        });
        Ok(RefreshOnSighup(task.abort_handle()))
    }
}
