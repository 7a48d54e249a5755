//! What happens to a registry, for whoever wants to be told.

use modelswitch_provider::Error;
use tokio::sync::broadcast::{self, Receiver, Sender, error::RecvError, error::TryRecvError};

use crate::changes::Changes;

/// What happened to a registry.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RegistryEvent {
    /// The configuration was read again, and counts from now on.
    Reloaded(Changes),
    /// It was read again and is wrong: what counted before still does.
    ReloadFailed(Error),
}

/// The events of a registry from a moment on, in their order: [`Registry::events`](crate::Registry::events).
///
/// Nobody waits for who doesn't read them: the last 64 are kept, older ones are lost to the slow reader, the newest never.
/// Dropping it unsubscribes. It needs no runtime of its own and keeps no registry alive.
#[derive(Debug)]
pub struct Events(Receiver<RegistryEvent>);

impl Events {
    /// Waits for the next event; `None` when the registry is gone, with every handle and guard on it. Safe to cancel.
    pub async fn next(&mut self) -> Option<RegistryEvent> {
        loop {
            match self.0.recv().await {
                Ok(event) => return Some(event),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// The next event if there is one by now.
    pub fn try_next(&mut self) -> Option<RegistryEvent> {
        loop {
            match self.0.try_recv() {
                Ok(event) => return Some(event),
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
    }
}

/// Those who want to be told.
#[derive(Debug)]
pub(crate) struct Observers(Sender<RegistryEvent>);

impl Default for Observers {
    fn default() -> Self {
        // A person who edits a file makes a few events a minute.
        Self(broadcast::Sender::new(64))
    }
}

impl Observers {
    pub(crate) fn subscribe(&self) -> Events {
        Events(self.0.subscribe())
    }

    /// Never waits.
    pub(crate) fn tell(&self, event: RegistryEvent) {
        // That nobody listens is no error.
        let _ = self.0.send(event);
    }
}
