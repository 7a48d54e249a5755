//! How a check is made.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Stage;

/// How a check is made: which providers, what is tried, how long, and how many at once.
///
/// ```
/// use modelswitch_registry::CheckOptions;
/// use std::time::Duration;
///
/// let quick = CheckOptions::new().timeout(Duration::from_secs(5)).without_completion();
/// # let _ = quick;
/// ```
#[derive(Clone)]
#[must_use]
pub struct CheckOptions {
    pub(crate) at_once: usize,
    pub(super) timeout: Option<Duration>,
    pub(super) completion: bool,
    only: Option<Vec<String>>,
    observer: Option<Observer>,
}

/// Hears which provider is at which stage.
type Observer = Arc<dyn Fn(&str, Stage) + Send + Sync>;

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            at_once: 8,       // as many connections as a small machine's resolver takes without queueing
            timeout: None,    // each stage's own: a list is short, a model may have to be loaded first
            completion: true, // only an answer shows that everything works
            only: None,
            observer: None,
        }
    }
}

impl CheckOptions {
    /// Everything is tried, eight providers at once.
    pub fn new() -> Self {
        Self::default()
    }

    /// So many providers at once, at least one.
    pub fn at_once(mut self, providers: usize) -> Self {
        self.at_once = providers.max(1);
        self
    }

    /// These providers only; of a name that is none nothing is told.
    pub fn only<S: Into<String>>(mut self, providers: impl IntoIterator<Item = S>) -> Self {
        self.only = Some(providers.into_iter().map(Into::into).collect());
        self
    }

    /// How long each stage may take. Otherwise looking up and connecting have 10 seconds, the list of models and the
    /// balance 30, and the completion 60.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Asks no model: nothing is paid for.
    pub fn without_completion(mut self) -> Self {
        self.completion = false;
        self
    }

    /// Tells which provider is at which stage, for progress on a screen.
    pub fn on_stage(mut self, observer: impl Fn(&str, Stage) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    pub(crate) fn wants(&self, provider: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|name| name == provider))
    }

    pub(super) fn tell(&self, provider: &str, stage: Stage) {
        if let Some(observer) = &self.observer {
            observer(provider, stage);
        }
    }

    pub(super) fn or(&self, usual: Duration) -> Duration {
        self.timeout.unwrap_or(usual)
    }
}

impl fmt::Debug for CheckOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckOptions")
            .field("at_once", &self.at_once)
            .field("timeout", &self.timeout)
            .field("completion", &self.completion)
            .field("only", &self.only)
            .finish_non_exhaustive()
    }
}
