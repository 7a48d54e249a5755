//! The profiles that a provider can be made from: those that are embedded, and the user's own, which come first.

use std::collections::{BTreeMap, BTreeSet};

use modelswitch_openai::Profile;

/// Every profile by its name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Profiles {
    own: BTreeMap<String, Profile>,
    /// Those of the user's own that have mistakes.
    broken: BTreeSet<String>,
}

impl Profiles {
    pub(crate) fn add(&mut self, profile: Profile) {
        self.own.insert(profile.name.clone(), profile);
    }

    pub(crate) fn add_broken(&mut self, name: &str) {
        self.broken.insert(name.to_owned());
    }

    pub(crate) fn get(&self, name: &str) -> Option<Profile> {
        self.own.get(name).cloned().or_else(|| Profile::embedded(name))
    }

    /// True for a profile that was told to have a mistake.
    pub(crate) fn is_broken(&self, name: &str) -> bool {
        self.broken.contains(name)
    }

    /// All names, the embedded ones in their order first.
    pub(crate) fn names(&self) -> Vec<&str> {
        let embedded: Vec<&str> = Profile::embedded_names().collect();
        let own = self.own.keys().map(String::as_str).filter(|name| !embedded.contains(name));
        embedded.iter().copied().chain(own).collect()
    }
}
