//! `SIGHUP`, by which operators have always told a program to read again.

use modelswitch_layers::genai;
use modelswitch_provider::{Error, Result};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::AbortHandle;

use crate::registry::Registry;

/// Keeps a registry listening to `SIGHUP`, until it is dropped: [`Registry::reload_on_sighup`].
#[derive(Debug)]
#[must_use = "dropping it ends the listening"]
pub struct ReloadOnSighup(AbortHandle);

impl Drop for ReloadOnSighup {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Registry {
    /// Reads everything again at each `SIGHUP` of this process, as long as the guard is kept: the configuration as
    /// [`reload`](Self::reload) does, then every key as [`refresh_keys`](Self::refresh_keys) does, those of commands and
    /// the keyring too, and even if the configuration is wrong. [`events`](Self::events) tell what came of the
    /// configuration, the log what came of each key.
    ///
    /// It takes a task of the runtime that it is called in, which ends with the guard, and keeps the registry alive. From
    /// the first call on `SIGHUP` no longer ends the process, even when the guard is gone: the signal stays taken over.
    ///
    /// ```
    /// # use modelswitch_registry::Registry;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> modelswitch_provider::Result<()> {
    /// let registry = Registry::from_toml("[providers.deepseek]")?;
    /// let _on_sighup = registry.reload_on_sighup()?;          // kill -HUP …, after a key or a setting was changed
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Config`](modelswitch_provider::ErrorKind::Config) outside of a tokio runtime, or when the signal can't be had.
    ///
    /// # Panics
    /// In a runtime without I/O: `enable_io` or `enable_all` switches it on.
    pub fn reload_on_sighup(&self) -> Result<ReloadOnSighup> {
        let runtime = Handle::try_current().map_err(|error| {
            Error::config("SIGHUP can't be listened to: there is no tokio runtime")
                .with_hint("call it in an async function, or after entering the runtime")
                .with_source(error)
        })?;
        let mut signals = signal(SignalKind::hangup())
            .map_err(|error| Error::config("SIGHUP can't be listened to").with_source(error))?;
        let registry = self.clone();
        let task = runtime.spawn(async move {
            while signals.recv().await.is_some() {
                read_everything(&registry).await;
            }
        });
        Ok(ReloadOnSighup(task.abort_handle()))
    }
}

async fn read_everything(registry: &Registry) {
    let reloading = registry.clone();
    // Files are read: calls on this thread shouldn't wait for them. What is wrong is told to those who listen.
    let _ = tokio::task::spawn_blocking(move || reloading.reload_and_tell(|_| true)).await;
    for key in registry.refresh_keys().await {
        let error = key.error.as_deref();
        tracing::info!(
            { genai::PROVIDER_NAME } = key.provider,
            slot = key.slot,
            source = key.source,
            changed = key.changed,
            error,
            "a key was read again at SIGHUP"
        );
    }
}
