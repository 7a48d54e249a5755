//! Keys that stand where names belong: names are shown, logged and sent to whoever asks for a list of models.

use crate::config::Config;
use crate::load::Places;
use crate::mistake::{Mistake, begins_like_a_key, dotted};

/// A mistake for each name that is a key.
pub(crate) fn keys_among_names(config: &Config, places: &Places) -> Vec<Mistake> {
    let mut names: Vec<(Vec<&str>, &str)> = Vec::new();
    names.extend(config.models.keys().map(|alias| (vec!["models", alias], alias.as_str())));
    for (name, provider) in &config.providers {
        let inside = |setting| vec!["providers", name, setting];
        names.push((vec!["providers", name], name));
        names.extend(provider.default_model.as_deref().map(|model| (inside("default_model"), model)));
        names.extend(provider.models.iter().map(|model| (inside("models"), model.as_str())));
    }
    let keys = names.into_iter().filter(|(_, name)| begins_like_a_key(name));
    keys.map(|(path, _)| {
        Mistake::new(
            places.of(&path),
            format!("`{}`: a key stands where a name belongs (not shown)", dotted(&path)),
            "write the name here, and the key's place under api_key: { env = \"VARIABLE\" }",
        )
    })
    .collect()
}
