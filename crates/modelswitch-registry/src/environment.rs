//! Environment variables: the process's own, or a list in their place.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Where variables are read: settings, keys and base URLs alike.
#[derive(Clone, Default)]
pub(crate) enum Environment {
    #[default]
    Process,
    Fixed(Arc<BTreeMap<String, String>>),
}

impl Environment {
    pub(crate) fn fixed(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self::Fixed(Arc::new(variables.into_iter().collect()))
    }

    /// A variable's value. One that is set but blank counts as unset: that is how compose files say "not set".
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.raw(name).filter(|value| !value.trim().is_empty())
    }

    /// True for a variable that is set to nothing.
    pub(crate) fn is_blank(&self, name: &str) -> bool {
        self.raw(name).is_some_and(|value| value.trim().is_empty())
    }

    /// The first of these variables that is set, and its value.
    pub(crate) fn first<'a>(&self, names: &'a [String]) -> Option<(&'a str, String)> {
        names.iter().find_map(|name| Some((name.as_str(), self.get(name)?)))
    }

    /// Every variable that is set and whose name begins so, in alphabetical order.
    pub(crate) fn beginning_with(&self, prefix: &str) -> BTreeMap<String, String> {
        let wanted = |name: &str, value: &str| name.starts_with(prefix) && !value.trim().is_empty();
        match self {
            // `vars` would panic at a variable of somebody else's that isn't text.
            Self::Process => std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .filter(|(name, value)| wanted(name, value))
                .collect(),
            Self::Fixed(variables) => variables
                .iter()
                .filter(|(name, value)| wanted(name, value))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        }
    }

    /// The variables that stand in place of the process's own, for the commands that are run.
    pub(crate) fn replaced(&self) -> impl Iterator<Item = (&String, &String)> {
        let fixed = match self {
            Self::Process => None,
            Self::Fixed(variables) => Some(variables.iter()),
        };
        fixed.into_iter().flatten()
    }

    #[expect(clippy::disallowed_methods, reason = "the one place where the registry reads a variable")]
    fn raw(&self, name: &str) -> Option<String> {
        match self {
            Self::Process => std::env::var(name).ok(),
            Self::Fixed(variables) => variables.get(name).cloned(),
        }
    }
}

/// Values may be keys.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process => f.write_str("Process"),
            Self::Fixed(variables) => f.debug_set().entries(variables.keys()).finish(),
        }
    }
}
