//! Environment variables: the process's own, or a list in their place.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::env_file;

/// Where variables are read: settings, keys and base URLs alike. Any of them may be a key, so what is kept or copied here
/// is wiped; the process's own environment is the system's.
#[derive(Clone, Default)]
pub(crate) struct Environment {
    own: Own,
    /// What stands in files, and counts less.
    files: Arc<env_file::Variables>,
}

#[derive(Clone, Default)]
enum Own {
    #[default]
    Process,
    Fixed(Arc<BTreeMap<String, Zeroizing<String>>>),
}

impl Environment {
    pub(crate) fn fixed(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let wiped = variables.into_iter().map(|(name, value)| (name, Zeroizing::new(value)));
        Self { own: Own::Fixed(Arc::new(wiped.collect())), ..Self::default() }
    }

    /// The same, and these variables of files where there is none of that name, or one that is blank.
    pub(crate) fn with_files(&self, files: env_file::Variables) -> Self {
        Self { own: self.own.clone(), files: Arc::new(files) }
    }

    /// True when files say the same in both.
    pub(crate) fn has_same_files(&self, other: &Self) -> bool {
        self.files == other.files
    }

    /// The file that a variable's value comes from, if it is one.
    pub(crate) fn file_of(&self, name: &str) -> Option<&Path> {
        let is_own = self.own(name).is_some_and(|value| !value.trim().is_empty());
        self.files.get(name).filter(|_| !is_own).map(|(_, path)| path.as_path())
    }

    /// The value of a variable that is no key. One that is set but blank counts as unset: that is how compose files say
    /// "not set".
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.secret(name).map(|mut value| std::mem::take(&mut *value))
    }

    fn secret(&self, name: &str) -> Option<Zeroizing<String>> {
        self.raw(name).filter(|value| !value.trim().is_empty())
    }

    /// True for a variable that is set to nothing.
    pub(crate) fn is_blank(&self, name: &str) -> bool {
        self.raw(name).is_some_and(|value| value.trim().is_empty())
    }

    /// The same for a key.
    pub(crate) fn first_secret<'a>(&self, names: &'a [String]) -> Option<(&'a str, Zeroizing<String>)> {
        names.iter().find_map(|name| Some((name.as_str(), self.secret(name)?)))
    }

    /// The first of these variables that is set.
    pub(crate) fn first_set<'a>(&self, names: &'a [String]) -> Option<&'a str> {
        self.first_secret(names).map(|(name, _)| name)
    }

    /// Every variable that is set and whose name begins so, in alphabetical order; for what are no keys.
    pub(crate) fn beginning_with(&self, prefix: &str) -> BTreeMap<String, String> {
        let wanted = |name: &str, value: &str| name.starts_with(prefix) && !value.trim().is_empty();
        let copied =
            |name: &String, value: &String| wanted(name, value).then(|| (name.clone(), value.clone()));
        let in_files = self.files.iter().filter_map(|(name, (value, _))| copied(name, value));
        let own: BTreeMap<String, String> = match &self.own {
            // `vars` would panic at a variable of somebody else's that isn't text.
            Own::Process => std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .filter(|(name, value)| wanted(name, value))
                .collect(),
            Own::Fixed(variables) => {
                variables.iter().filter_map(|(name, value)| copied(name, value)).collect()
            }
        };
        in_files.chain(own).collect()
    }

    fn raw(&self, name: &str) -> Option<Zeroizing<String>> {
        let own = self.own(name);
        match own {
            Some(value) if !value.trim().is_empty() => Some(value),
            own => self.files.get(name).map(|(value, _)| value.clone()).or(own),
        }
    }

    /// The variables that stand in place of the process's own, or beside them, for the commands that are run.
    pub(crate) fn replaced(&self) -> impl Iterator<Item = (&String, &String)> {
        let fixed = match &self.own {
            Own::Process => None,
            Own::Fixed(variables) => Some(variables.iter()),
        };
        let in_files = self.files.iter().filter(|(name, _)| self.file_of(name).is_some());
        let fixed = fixed.into_iter().flatten().map(|(name, value)| (name, &**value));
        fixed.chain(in_files.map(|(name, (value, _))| (name, &**value)))
    }

    #[expect(clippy::disallowed_methods, reason = "the one place where the registry reads a variable")]
    fn own(&self, name: &str) -> Option<Zeroizing<String>> {
        match &self.own {
            Own::Process => std::env::var(name).ok().map(Zeroizing::new),
            Own::Fixed(variables) => variables.get(name).cloned(),
        }
    }
}

/// Values may be keys.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = self.files.keys();
        match &self.own {
            Own::Process => f.debug_tuple("Process").field(&files).finish(),
            Own::Fixed(variables) => f.debug_set().entries(variables.keys()).entries(files).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_given_out_in_what_is_wiped_and_asked_for_without_being_given_out() {
        let own = Environment::fixed([
            ("OWN".to_owned(), "sk-own".to_owned()),
            ("BLANK".to_owned(), " ".to_owned()),
        ]);
        let (folder, path) = (tempfile::tempdir().unwrap(), "variables");
        let path = folder.path().join(path);
        std::fs::write(&path, "BLANK=sk-file\nOWN=sk-other").unwrap();
        let files = env_file::read(&[path]).unwrap();
        let kept: Vec<&Zeroizing<String>> = files.values().map(|(value, _)| value).collect();
        assert_eq!(kept.len(), 2);
        let environment = own.with_files(files);
        let names = ["NONE", "BLANK", "OWN"].map(str::to_owned);
        let found: Option<(&str, Zeroizing<String>)> = environment.first_secret(&names);
        assert_eq!(
            found.map(|(name, mut key)| (name, std::mem::take(&mut *key))),
            Some(("BLANK", "sk-file".to_owned()))
        );
        assert_eq!(environment.first_set(&names), Some("BLANK"));
        assert_eq!(own.first_set(&names), Some("OWN"));
        assert_eq!(environment.first_set(&names[..1]), None);
        assert!(!format!("{environment:?}").contains("sk-"));
    }
}
