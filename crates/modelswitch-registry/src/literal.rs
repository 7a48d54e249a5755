//! Keys that stand where names belong: names are shown, logged and sent to whoever asks for a list of models.

use crate::config::{Config, ModelPattern, NotEmpty};
use crate::load::Places;
use crate::mistake::{Mistake, begins_like_a_key, dotted, looks_like_a_key};

/// A mistake for each name that is a key, with the path of what is to be taken out, so that nothing else repeats it.
pub(crate) fn keys_among_names(config: &Config, places: &Places) -> Vec<(Vec<String>, Mistake)> {
    let mut names: Vec<(Vec<String>, &str)> = Vec::new();
    names.extend(config.models.keys().map(|alias| (at(&["models", alias]), alias.as_str())));
    names.extend(config.profiles.keys().map(|name| (at(&["profiles", name]), name.as_str())));
    for (name, provider) in &config.providers {
        names.push((at(&["providers", name]), name));
        let default = provider.default_model.as_deref();
        names.extend(default.map(|model| (at(&["providers", name, "default_model"]), model)));
        let models = provider.models.iter().enumerate();
        names.extend(models.map(|(number, model)| {
            (at(&["providers", name, "models", &number.to_string()]), model.as_str())
        }));
    }
    for (name, provider) in &config.providers {
        let rules = [("allow_models", &provider.allow_models), ("deny_models", &provider.deny_models)];
        for (rule, models) in rules {
            let mut models = models.iter().flat_map(|NotEmpty(models)| models).map(ModelPattern::text);
            names.extend(
                models.find(|model| looks_like_a_key(model)).map(|key| (at(&["providers", name, rule]), key)),
            );
        }
    }
    let keys = names.into_iter().filter(|(_, name)| looks_like_a_key(name));
    let of_names = keys.map(|(path, name)| {
        let mistake = mistake(&path, name, places);
        (path, mistake)
    });
    of_names.chain(keys_among_targets(config, places)).collect()
}

fn at(path: &[&str]) -> Vec<String> {
    path.iter().map(|key| (*key).to_owned()).collect()
}

/// A model's id may be a long run of letters and digits, and a target is where it can be written.
fn keys_among_targets(config: &Config, places: &Places) -> impl Iterator<Item = (Vec<String>, Mistake)> {
    let is_key = |target: &String| {
        let model = target.split_once('/').map_or(target.as_str(), |(_, model)| model);
        begins_like_a_key(model)
    };
    let aliases = config.models.iter().filter(move |(_, alias)| alias.targets().iter().any(is_key));
    aliases.filter(|(alias, _)| !looks_like_a_key(alias)).map(|(alias, _)| {
        let path = vec!["models".to_owned(), alias.clone()];
        let mistake = Mistake::new(
            places.of(&path),
            format!("`{}`: a key stands where a model belongs (not shown)", dotted(&path)),
            "write \"provider/model\" here, and the key's place under the provider's api_key: { env = \"VARIABLE\" }",
        );
        (path, mistake)
    })
}

fn mistake(path: &[String], name: &str, places: &Places) -> Mistake {
    let way_out = match path.first().map(String::as_str) {
        // It may be an id that the service made.
        Some("providers") if path.len() > 2 && !begins_like_a_key(name) => {
            "; if it is a model's id, let an alias point to it: [models] short = \"provider/id\""
        }
        _ if !begins_like_a_key(name) => "; a name of words with hyphens between them isn't taken for one",
        _ => "",
    };
    Mistake::new(
        places.of(path),
        format!("`{}`: a key stands where a name belongs (not shown)", dotted(path)),
        format!("write the name here, and the key's place under api_key: {{ env = \"VARIABLE\" }}{way_out}"),
    )
}
