//! What the configuration came down to at one moment.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use modelswitch_layers::{Cost, Observe};

use crate::config::Config;
use crate::connect::Connected;
use crate::load::Places;
use crate::router::Routes;
use crate::settings::Setting;
use crate::spend::Store;

/// Everything that a call needs, as it was read at one moment. It never changes: a reload makes another one and puts it in
/// its place, and who is in the middle of a call keeps the one that the call began with.
///
/// So whatever is put here follows reloads by itself. What must outlive them, such as a memory or a counter, is kept in
/// [`Lasting`](crate::registry::Lasting) or handed over from the provider before, as
/// [`connect`](crate::connect::connect) does.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Where it was read.
    pub(crate) source: String,
    /// The section that was chosen.
    pub(crate) section: Option<String>,
    pub(crate) providers: Vec<Arc<Connected>>,
    pub(crate) routes: Routes,
    pub(crate) warnings: Vec<String>,
    /// Every setting that counts, to be shown.
    pub(crate) settings: Vec<Setting>,
    /// The files that it was read from, and those that would be read if they were there.
    #[cfg_attr(not(feature = "watch"), allow(dead_code, reason = "the watcher reads it"))]
    pub(crate) files: Vec<PathBuf>,
    /// What was written, and where, to be explained.
    pub(crate) config: Config,
    pub(crate) places: Places,
    /// What tells of calls.
    pub(crate) observe: Observe,
    /// Where they are written down, and what does it.
    pub(crate) store: Option<Store>,
    pub(crate) cost: Option<Cost>,
}

/// The snapshot that counts now. A clone is another handle on the same.
#[derive(Clone)]
pub(crate) struct Current(Arc<ArcSwap<Snapshot>>);

impl Current {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(snapshot)))
    }

    /// No lock is taken.
    pub(crate) fn get(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    pub(crate) fn put(&self, snapshot: Snapshot) {
        self.0.store(Arc::new(snapshot));
    }
}

/// The names of the providers that are there now.
impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = self.get();
        f.debug_set().entries(snapshot.providers.iter().map(|one| &one.info.name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::Registry;

    #[test]
    fn a_provider_that_did_not_change_is_the_very_same_after_a_reload() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("modelswitch.toml");
        let write = |text: &str| std::fs::write(&file, text).unwrap();
        write("[providers.a]\nprofile = 'llamacpp'\n[providers.b]\nprofile = 'llamacpp'\n");
        let mine = modelswitch_provider::mock::MockProvider::reply("");
        let registry =
            Registry::builder().file(&file).environment([]).provider("mine", mine).build().unwrap();
        let before = registry.current().get();
        write("[providers.b]\nprofile = 'llamacpp'\nmodels = ['x']\n[providers.a]\nprofile = 'llamacpp'\n");
        registry.reload().unwrap();
        let after = registry.current().get();
        for (position, same) in [(0, true), (1, false), (2, true)] {
            let (before, after) = (&before.routes.providers[position], &after.routes.providers[position]);
            assert_eq!(before.name, after.name);
            assert_eq!(Arc::ptr_eq(&before.provider, &after.provider), same, "{}", before.name);
            assert_eq!(Arc::ptr_eq(&before.once, &after.once), same, "{}", before.name);
        }
    }
}
