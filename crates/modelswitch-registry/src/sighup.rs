//! `SIGHUP`, by which operators have always told a program to read again.

use modelswitch_provider::{Error, Result};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::AbortHandle;

use crate::registry::Registry;

/// Keeps a registry listening to `SIGHUP`, until it is dropped: [`Registry::reload_on_sighup`].
#[derive(Debug)]
#[must_use = "dropping it ends the listening"]
pub struct ReloadOnSighup(#[expect(dead_code, reason = "kept to be dropped")] Listening);

/// A task that listens to the signal, until it is dropped.
#[derive(Debug)]
pub(crate) struct Listening(AbortHandle);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Does something with the registry at each `SIGHUP` of this process, one after the other.
///
/// # Errors
/// [`Config`](modelswitch_provider::ErrorKind::Config) outside of a tokio runtime, or when the signal can't be had.
pub(crate) fn at_each<Done>(
    registry: &Registry,
    mut act: impl FnMut(Registry) -> Done + Send + 'static,
) -> Result<Listening>
where
    Done: Future<Output = ()> + Send,
{
    let runtime = Handle::try_current().map_err(|error| {
        Error::config("SIGHUP can't be listened to: there is no tokio runtime")
            .with_hint("call it in an async function, or after entering the runtime")
            .with_source(error)
    })?;
    let mut signals = signal(SignalKind::hangup())
        .map_err(|error| Error::config("SIGHUP can't be listened to").with_source(error))?;
    let registry = registry.clone();
    let task = runtime.spawn(async move {
        while signals.recv().await.is_some() {
            act(registry.clone()).await;
        }
    });
    Ok(Listening(task.abort_handle()))
}

impl Registry {
    /// [Reloads](Self::reload) at each `SIGHUP` of this process, as long as the guard is kept. Listen to
    /// [`events`](Self::events) to hear what came of it.
    ///
    /// It takes a task of the runtime that it is called in, which ends with the guard, and keeps the registry alive. From
    /// the first call on `SIGHUP` no longer ends the process, even when the guard is gone: the signal stays taken over.
    ///
    /// ```
    /// # use modelswitch_registry::Registry;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> modelswitch_provider::Result<()> {
    /// let registry = Registry::from_toml("[providers.deepseek]")?;
    /// let _on_sighup = registry.reload_on_sighup()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Config`](modelswitch_provider::ErrorKind::Config) outside of a tokio runtime, or when the signal can't be had.
    ///
    /// # Panics
    /// In a runtime without I/O: `enable_io` or `enable_all` switches it on.
    pub fn reload_on_sighup(&self) -> Result<ReloadOnSighup> {
        let listening = at_each(self, |registry: Registry| async move {
            // Files are read: calls on this thread shouldn't wait for them. What is wrong is told to those who listen.
            let _ = tokio::task::spawn_blocking(move || registry.reload()).await;
        })?;
        Ok(ReloadOnSighup(listening))
    }
}
