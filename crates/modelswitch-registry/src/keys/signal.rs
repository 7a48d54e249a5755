//! Keys that are read again on `SIGHUP`.

use modelswitch_provider::Result;

use crate::registry::Registry;
use crate::sighup::{Listening, at_each};

/// Has the keys read again at each SIGHUP, until it is dropped. From
/// [`Registry::refresh_keys_on_sighup`].
#[derive(Debug)]
#[must_use = "dropping it ends the watch"]
pub struct RefreshOnSighup(#[expect(dead_code, reason = "kept to be dropped")] Listening);

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
    /// [`Config`](modelswitch_provider::ErrorKind::Config) outside of a tokio runtime, or when the signal can't be had.
    ///
    /// # Panics
    /// In a runtime without its I/O driver.
    pub fn refresh_keys_on_sighup(&self) -> Result<RefreshOnSighup> {
        let listening = at_each(self, |registry: Registry| async move {
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
        })?;
        Ok(RefreshOnSighup(listening))
    }
}
