use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};

use serde::Deserialize;

/// Names with values that may be anything: headers, parameters of a URL. `Debug` shows the names only.
///
/// ```
/// use modelswitch_openai::Hidden;
///
/// let headers: Hidden = [("x-team", "search")].into_iter().collect();
/// assert_eq!(headers.get("x-team").map(String::as_str), Some("search"));
/// assert_eq!(format!("{headers:?}"), r#"{"x-team"}"#);
/// ```
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Hidden(BTreeMap<String, String>);

impl Deref for Hidden {
    type Target = BTreeMap<String, String>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Hidden {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Hidden {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
