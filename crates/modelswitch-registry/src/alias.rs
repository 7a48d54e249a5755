//! What the configuration says that names stand for, checked: cycles, providers that aren't there, fallback lists.

use std::sync::Arc;

use crate::config::Config;
use crate::connect::Connected;
use crate::load::Places;
use crate::mistake::{Mistake, dotted, quoted};
use crate::resolve::{Names, Nothing, Target, Written};
use crate::spelling::{did_you_mean, list, nearest};

/// Adds every alias with the target that it comes down to; says what is wrong, and what isn't done.
pub(crate) fn resolve_aliases(
    names: &mut Names,
    config: &Config,
    places: &Places,
    mistakes: &mut Vec<Mistake>,
    warnings: &mut Vec<String>,
) {
    let written: Written =
        config.models.iter().map(|(alias, targets)| (alias.clone(), targets.0.clone())).collect();
    let mut resolved = Vec::new();
    let mut cycles: Vec<Vec<String>> = Vec::new();
    for (alias, targets) in &written {
        let path = ["models", alias.as_str()];
        let found = match names.follow(alias, &written, &mut Vec::new()) {
            Ok(found) => found,
            Err(Nothing::Cycle(cycle)) => {
                // Each alias of a cycle would report it again.
                let mut members = cycle.clone();
                members.sort_unstable();
                members.dedup();
                if !cycles.contains(&members) {
                    mistakes.push(cycle_mistake(&cycle, places));
                    cycles.push(members);
                }
                continue;
            }
            Err(nothing) => {
                // Where an alias points to one that has a mistake itself, that one is to be mended.
                if targets.iter().all(|target| !written.contains_key(target)) {
                    mistakes.push(target_mistake(&path, targets, &nothing, names, &written, places));
                }
                continue;
            }
        };
        if let [_, _, ..] = targets.as_slice() {
            for target in targets {
                if let Err(nothing) = names.follow(target, &written, &mut Vec::new()) {
                    let why = why(&nothing, names, &written, target);
                    warnings.push(format!("`{}`: {} is left out: {}", dotted(&path), quoted(target), why.0));
                }
            }
        }
        if let [first, _, ..] = found.as_slice() {
            warnings.push(format!(
                "`{}` names {} targets; only the first, `{first}`, is used for now",
                dotted(&path),
                found.len()
            ));
        }
        resolved.extend(found.into_iter().next().map(|target| (alias.clone(), target)));
    }
    for (alias, target) in resolved {
        names.add_alias(alias, target);
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
    written: &Written,
    places: &Places,
) -> Mistake {
    let target = targets.first().map_or("", String::as_str);
    let (why, hint) = why(nothing, names, written, target);
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
fn why(nothing: &Nothing, names: &Names, written: &Written, target: &str) -> (String, String) {
    match nothing {
        Nothing::NoProvider(provider) => {
            let near = nearest(provider, names.providers());
            let separator = if near.is_some() { "" } else { ";" };
            let why = format!(
                "there is no provider {}{}{separator} there are: {}",
                quoted(provider),
                did_you_mean(near),
                list(names.providers())
            );
            let hint = match near {
                Some(near) => {
                    let model = target.split_once('/').map_or("…", |(_, model)| model);
                    format!("write \"{near}/{model}\", or {}", names.how_to_add(provider))
                }
                None => format!("{}, or point to a provider that is there", names.how_to_add(provider)),
            };
            (why, hint)
        }
        Nothing::Several(owners) => (
            format!("several providers own that name: {}", owners.join(", ")),
            format!("write \"{}\"", owners.first().map_or("provider/model", String::as_str)),
        ),
        Nothing::NoModel(provider) => (
            format!("it names the provider `{provider}` and no model"),
            format!("write \"{provider}/model\""),
        ),
        Nothing::Unknown | Nothing::Cycle(_) => {
            let near = nearest(target, written.keys().map(String::as_str));
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
    places: &Places,
    connected: &[Arc<Connected>],
    lists_providers: bool,
    mistakes: &mut Vec<Mistake>,
) -> Option<Target> {
    let Some(written) = &config.default else { return own_default(connected, lists_providers) };
    let aliases: Written =
        names.aliases().map(|(alias, target)| (alias.to_owned(), vec![target.to_string()])).collect();
    if config.models.contains_key(written) && !aliases.contains_key(written) {
        return None;
    }
    match names.follow(written, &aliases, &mut Vec::new()) {
        Ok(targets) => targets.into_iter().next(),
        Err(nothing) => {
            mistakes.push(target_mistake(
                &["default"],
                std::slice::from_ref(written),
                &nothing,
                names,
                &aliases,
                places,
            ));
            None
        }
    }
}

/// The default where none is written: what the only provider answers with, or, where the environment brought them,
/// DeepSeek or else the first.
fn own_default(connected: &[Arc<Connected>], lists_providers: bool) -> Option<Target> {
    let target = |one: &Arc<Connected>| {
        let model = one.info.default_model.as_deref()?;
        Some(Target { provider: one.info.name.as_str().into(), model: model.into() })
    };
    if let ([one], _) | ([one, ..], false) = (connected, lists_providers) {
        let deepseek = connected.iter().find(|one| one.info.profile.as_deref() == Some("deepseek"));
        return deepseek
            .and_then(target)
            .or_else(|| target(one))
            .or_else(|| connected.iter().find_map(target));
    }
    None
}
