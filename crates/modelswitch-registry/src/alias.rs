//! What the configuration says that names stand for, checked: cycles, providers that aren't there, fallback lists.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::choice::Choice;
use crate::config::{AliasConfig, AliasLayers, Config, Free, NotEmpty, Word};
use crate::connect::{Connected, is_credential};
use crate::contradictions::{of_budget, of_limits};
use crate::load::{Places, Spoilt};
use crate::mistake::{Mistake, dotted, quoted};
use crate::parameters::{Parameters, wrong_type};
use crate::resolve::{Names, Nothing, Target, Written, WrittenAlias, known_service};
use crate::spelling::{did_you_mean, meant_or_list, nearest};

/// What is said besides the names themselves.
pub(crate) struct Notes<'a> {
    pub(crate) places: &'a Places,
    /// What had to be taken out of the configuration, and was told.
    pub(crate) spoilt: &'a Spoilt,
    pub(crate) mistakes: &'a mut Vec<Mistake>,
    pub(crate) warnings: &'a mut Vec<String>,
}

/// Adds every alias with the target that it comes down to; says what is wrong, and what isn't done.
pub(crate) fn resolve_aliases(names: &mut Names, config: &Config, notes: &mut Notes<'_>) -> Written {
    let written = written(config, notes);
    let mut resolved = Vec::new();
    let mut cycles: Vec<Vec<String>> = Vec::new();
    for (alias, WrittenAlias { targets, .. }) in &written.aliases {
        let path = ["models", alias.as_str()];
        let found = match names.follow(alias, &written, &mut Vec::new()) {
            Ok(found) => found,
            Err(Nothing::Cycle(cycle)) => {
                // Each alias of a cycle would report it again.
                let mut members = cycle.clone();
                members.sort_unstable();
                members.dedup();
                if !cycles.contains(&members) {
                    notes.mistakes.push(cycle_mistake(&cycle, notes.places));
                    cycles.push(members);
                }
                continue;
            }
            Err(Nothing::ToBeMended) => continue,
            Err(nothing) => {
                // Where an alias points to one that has a mistake itself, that one is to be mended.
                if targets.iter().all(|target| !written.aliases.contains_key(target)) {
                    let known: Vec<&str> = written.aliases.keys().map(String::as_str).collect();
                    notes.mistakes.push(target_mistake(
                        &path,
                        targets,
                        &nothing,
                        names,
                        &known,
                        notes.places,
                    ));
                }
                continue;
            }
        };
        warn(names, &written, (alias, targets), notes);
        let choice = chooser(alias, config).and_then(|(chooser, layers)| {
            let has_a_say = found.len() > 1 || layers != AliasLayers::default();
            has_a_say.then(|| Arc::new(Choice::of((alias, layers), chooser, &found, (names, &written))))
        });
        resolved.extend(found.into_iter().next().map(|target| (alias.clone(), Target { choice, ..target })));
    }
    for (alias, target) in resolved {
        names.add_alias(alias, target);
    }
    written
}

/// Who says how an alias chooses: itself, or where it only stands for another alias, that one. What they say of their calls
/// counts together, the outer one's more. Cycles were told before.
fn chooser<'a>(alias: &'a str, config: &'a Config) -> Option<(&'a AliasConfig, AliasLayers)> {
    let mut found = config.models.get(alias)?;
    let mut layers = found.layers.clone();
    while let [only] = found.targets().as_slice()
        && let Some(next) = config.models.get(only)
    {
        found = next;
        layers = layers.or(&next.layers);
    }
    Some((found, layers))
}

/// Says which targets of an alias aren't there.
fn warn(names: &Names, written: &Written, (alias, targets): (&str, &[String]), notes: &mut Notes<'_>) {
    let path = dotted(&["models", alias]);
    if let [_, _, ..] = targets {
        for target in targets {
            if let Err(nothing) = names.follow(target, written, &mut Vec::new()) {
                let others = written.aliases.keys().filter(|known| *known != alias);
                let known: Vec<&str> = others.map(String::as_str).collect();
                if is_misspelt(&nothing, names) {
                    let path = ["models", alias];
                    let target = std::slice::from_ref(target);
                    notes.mistakes.push(target_mistake(&path, target, &nothing, names, &known, notes.places));
                    continue;
                }
                let (why, _) = why(&nothing, names, &known, target);
                let place = notes.places.of(&["models", alias]).map(|place| format!("{place}: "));
                let place = place.unwrap_or_default();
                notes.warnings.push(format!("{place}`{path}`: {} is left out: {why}", quoted(target)));
            }
        }
    }
}

/// Whether a provider that is there was meant, and not one that isn't there today: another service, a second of the same name
/// (`local2`), or one whose name is too short to tell.
fn is_misspelt(nothing: &Nothing, names: &Names) -> bool {
    let Nothing::NoProvider(provider) = nothing else { return false };
    let without_number = |name: &str| name.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
    let is_sibling = |near: &str| without_number(near) == without_number(provider);
    provider.chars().count() > 3
        && known_service(provider).is_none_or(|known| known != provider)
        && nearest(provider, names.providers()).is_some_and(|near| !is_sibling(near))
}

/// The aliases that can be followed; what is wrong with the others is told.
fn written(config: &Config, notes: &mut Notes<'_>) -> Written {
    let mut written = Written { broken: notes.spoilt.names_in("models"), ..Written::default() };
    for (name, alias) in &config.models {
        let mistakes = mistakes_of(name, alias, notes);
        // A text that isn't there stands where a mistake was taken out.
        let is_spoilt = notes.spoilt.is_inside(&["models", name]);
        let has_target = alias.targets().iter().any(|target| !target.is_empty());
        if !mistakes.is_empty() || written.broken.contains(name) || (is_spoilt && !has_target) {
            written.broken.insert(name.clone());
            notes.mistakes.extend(mistakes);
            continue;
        }
        let parameters = Parameters::of(name, alias);
        written.aliases.insert(name.clone(), WrittenAlias { targets: alias.targets(), parameters });
    }
    written
}

/// What is wrong with an alias in itself, wherever it points.
fn mistakes_of(name: &str, alias: &AliasConfig, notes: &Notes<'_>) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let mut wrong = |setting: &[&str], what: &str, hint: String| {
        let path: Vec<&str> = ["models", name].iter().chain(setting).copied().collect();
        // What stands in a list that is all of the alias has the alias's place.
        let place = notes.places.of(&path).or_else(|| notes.places.of(&["models", name]));
        mistakes.push(Mistake::new(place, format!("`{}` {what}", dotted(&path)), hint));
    };
    let is_whole = !notes.spoilt.is_inside(&["models", name]);
    match (&alias.target, &alias.targets) {
        (Some(_), Some(_)) => {
            wrong(&[], "has both `target` and `targets`", "leave one of them out".to_owned())
        }
        (None, None) if is_whole => {
            wrong(&[], "points nowhere", "write targets = [\"provider/model\"] into it".to_owned());
        }
        (Some(_), None) | (None, Some(_)) | (None, None) => {}
    }
    let listed = alias.targets.iter().flat_map(|NotEmpty(targets)| targets).enumerate();
    for (position, _) in listed.filter(|(_, target)| is_whole && target.model.trim().is_empty()) {
        let position = position.to_string();
        wrong(&["targets", &position], "names no model", "write \"provider/model\" there".to_owned());
    }
    let balances = alias.strategy.is_some_and(|Word(strategy)| strategy.balanced().is_some());
    if alias.sticky.is_some() && !balances && is_whole {
        wrong(
            &["sticky"],
            "holds calls together that aren't spread",
            "write strategy = \"round_robin\" beside it, or take it out".to_owned(),
        );
    }
    for position in alias.weighted() {
        let position = position.to_string();
        let path = ["targets", &position, "weight"];
        if alias.weights.is_some() {
            wrong(&path, "weighs what `weights` weighs too", "leave one of them out".to_owned());
        } else if !balances && is_whole {
            wrong(
                &path,
                "weighs a target of those that are tried one after the other",
                "write strategy = \"balance\" beside `targets`, or take it out".to_owned(),
            );
        }
    }
    if let Some(NotEmpty(weights)) = &alias.weights {
        let (count, targets) = (weights.len(), alias.targets().len());
        if balances && count != targets && is_whole {
            wrong(
                &["weights"],
                &format!("has {count} weights for {targets} targets"),
                format!("write {targets}, one for each target"),
            );
        } else if !balances && is_whole {
            wrong(
                &["weights"],
                "weighs targets that are tried one after the other",
                "write strategy = \"balance\" beside it, or take it out".to_owned(),
            );
        }
    }
    let AliasLayers { timeout, limits, budget, .. } = &alias.layers;
    if timeout.connect.is_some() {
        wrong(
            &["timeout", "connect"],
            "is a matter of the provider",
            "write it into the provider's section, or into [timeout] for all".to_owned(),
        );
    }
    let has_all = !notes.spoilt.is_inside(&["models", name, "budget"]);
    for (path, what, hint) in of_limits(limits).into_iter().chain(of_budget(budget.as_ref(), has_all)) {
        wrong(&path, &what, hint);
    }
    let both: BTreeSet<&String> =
        alias.defaults.keys().filter(|name| alias.overrides.contains_key(*name)).collect();
    for parameter in both {
        let hint =
            "leave it in one of them: `defaults` gives way to the request, `overrides` doesn't".to_owned();
        wrong(&["overrides", parameter], "stands in `defaults` too", hint);
    }
    for (section, parameters) in [("defaults", &alias.defaults), ("overrides", &alias.overrides)] {
        for (parameter, Free(value)) in parameters {
            if let Some((what, hint)) = not_a_parameter(parameter) {
                wrong(&[section, parameter], what, hint.to_owned());
            } else if let Some((what, hint)) = wrong_type(parameter, value) {
                wrong(&[section, parameter], &what, hint);
            }
        }
    }
    mistakes
}

/// What an alias can't say of a request, and why.
fn not_a_parameter(name: &str) -> Option<(&'static str, &'static str)> {
    match name {
        "model" | "models" => Some((
            "can't be set here: the targets are the models",
            "write the model into `targets`, as provider/model",
        )),
        "stream" | "stream_options" | "messages" | "prompt" | "input" => {
            Some(("can't be set here: it is the request's own", "take it out"))
        }
        name if is_credential(name) => Some((
            "is a name for credentials (its value is not shown)",
            "write api_key into the provider's section",
        )),
        _ => None,
    }
}

fn cycle_mistake(cycle: &[String], places: &Places) -> Mistake {
    let first = cycle.first().map_or("", String::as_str);
    let path = ["models", first];
    Mistake::new(
        places.of(&path),
        format!("`{}` points to itself: {}", dotted(&path), cycle.join(" → ")),
        "let one of these aliases point to \"provider/model\"",
    )
}

fn target_mistake(
    path: &[&str],
    targets: &[String],
    nothing: &Nothing,
    names: &Names,
    known: &[&str],
    places: &Places,
) -> Mistake {
    let target = targets.first().map_or("", String::as_str);
    let (why, hint) = why(nothing, names, known, target);
    let what = match targets {
        [_] => format!("`{}` points to {}: {why}", dotted(path), quoted(target)),
        _ => format!(
            "`{}`: none of its targets can be used; the first, {}: {why}",
            dotted(path),
            quoted(target)
        ),
    };
    Mistake::new(places.of(path), what, hint)
}

/// Why a target stands for nothing, and what to write.
fn why(nothing: &Nothing, names: &Names, known: &[&str], target: &str) -> (String, String) {
    match nothing {
        Nothing::NoProvider(provider) => {
            let near = nearest(provider, names.providers());
            let known: Vec<&str> = names.providers().collect();
            let why = format!("there is no provider {}{}", quoted(provider), meant_or_list(near, &known));
            let hint = match near {
                Some(near) => {
                    let model = target.split_once('/').map_or("…", |(_, model)| model);
                    format!("write \"{near}/{model}\", or {}", names.how_to_add(provider))
                }
                None => {
                    let add = names.how_to_add(provider);
                    match known_service(provider).filter(|known| known != provider) {
                        Some(known) => format!("write {known} instead of {}, and {add}", quoted(provider)),
                        None => format!("{add}, or point to a provider that is there"),
                    }
                }
            };
            (why, hint)
        }
        Nothing::Several(owners) => (
            format!("several providers own that name: {}", owners.join(", ")),
            format!("write \"{}\"", owners.first().map_or("provider/model", String::as_str)),
        ),
        Nothing::NoModel(provider) => (
            format!("it names the provider `{provider}` and no model"),
            match names.models_of(provider).first() {
                Some(model) => format!("write one of its models, such as \"{provider}/{model}\""),
                None => format!("write \"{provider}/model\""),
            },
        ),
        Nothing::ToBeMended => ("it has a mistake of its own".to_owned(), "mend that one".to_owned()),
        Nothing::Unknown | Nothing::Cycle(_) => {
            let near = nearest(target, known.iter().copied()).map(str::to_owned);
            let near = near.or_else(|| names.probably(target));
            let near = near.as_deref();
            let why =
                format!("it is neither an alias nor a model that a provider owns{}", did_you_mean(near));
            let hint = match near {
                Some(near) => format!("write \"{near}\""),
                None => "write \"provider/model\"".to_owned(),
            };
            (why, hint)
        }
    }
}

/// What answers when a request names no model.
pub(crate) fn resolve_default(
    names: &Names,
    config: &Config,
    connected: &[Arc<Connected>],
    lists_providers: bool,
    written: &Written,
    notes: &mut Notes<'_>,
) -> Option<Target> {
    let Some(default) = &config.default else { return own_default(connected, lists_providers) };
    // An alias that led nowhere was told already.
    let is_told = written.broken.contains(default)
        || (written.aliases.contains_key(default) && !names.aliases().any(|(alias, _)| alias == default));
    if is_told {
        return None;
    }
    match names.find(default) {
        Ok(target) => Some(target),
        Err(Nothing::ToBeMended) => None,
        Err(nothing) => {
            let known: Vec<&str> = names.aliases().map(|(alias, _)| alias).collect();
            let targets = std::slice::from_ref(default);
            notes.mistakes.push(target_mistake(&["default"], targets, &nothing, names, &known, notes.places));
            None
        }
    }
}

/// The default where none is written: what the only provider answers with, or, where the environment brought them,
/// DeepSeek or else the first.
fn own_default(connected: &[Arc<Connected>], lists_providers: bool) -> Option<Target> {
    let target = |one: &Arc<Connected>| {
        let model = one.info.default_model.as_deref()?;
        Some(Target::new(one.info.name.as_str(), model))
    };
    if let ([one], _) | ([one, ..], false) = (connected, lists_providers) {
        let deepseek = connected.iter().find(|one| one.has_balance());
        return deepseek
            .and_then(target)
            .or_else(|| target(one))
            .or_else(|| connected.iter().find_map(target));
    }
    None
}
