//! Reads the configuration: defaults < file < environment < code. The only file that knows figment.

use std::collections::{BTreeMap, BTreeSet};

use figment::error::{Actual, Kind};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata};
use modelswitch_openai::Profile;
use modelswitch_provider::{Error, Result};
use serde::Deserialize;
use toml::Table;

use crate::builder::RegistryBuilder;
use crate::config::{Config, DURATION, EMPTY_LIST, LITERAL_KEY, NAMED_VARIABLE, NO_TIME, TOP, one_of};
use crate::connect::{credential_header, credential_parameter};
use crate::environment::Environment;
use crate::keys::default_variable;
use crate::literal::keys_among_names;
use crate::mistake::{Mistake, Place, dotted, looks_like_a_key, quoted};
use crate::parameters::is_parameter;
use crate::profiles::Profiles;
use crate::registry::Registry;
use crate::settings::Written;
use crate::source::Source;
use crate::spelling::{did_you_mean, meant_or_list, nearest};
use crate::syntax::Syntax;
use crate::variables::{Variables, known_names, put};

/// What a configuration is read from, the weakest first.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    pub(crate) source: Option<Source>,
    /// The environment's section, `[profile.NAME]`.
    pub(crate) section: Option<String>,
    pub(crate) environment: Environment,
    /// Settings made in code.
    pub(crate) code: Vec<(Vec<String>, toml::Value)>,
}

/// A configuration that was read.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) profiles: Profiles,
    pub(crate) places: Places,
    /// What is wrong so far, and what was taken out for it.
    pub(crate) mistakes: Vec<Mistake>,
    pub(crate) spoilt: Spoilt,
    /// The environments that the file has sections for.
    pub(crate) sections: Vec<String>,
    /// Whether a file says which providers there are. If none does, the environment may.
    pub(crate) lists_providers: bool,
    pub(crate) warnings: Vec<String>,
    /// Every setting as it was written, by its path.
    pub(crate) written: Vec<Written>,
}

/// Where each setting stands.
#[derive(Debug, Default)]
pub(crate) struct Places(BTreeMap<Vec<String>, Place>);

impl Places {
    pub(crate) fn of<S: AsRef<str>>(&self, path: &[S]) -> Option<Place> {
        let path: Vec<String> = path.iter().map(|key| key.as_ref().to_owned()).collect();
        self.0.get(&path).cloned()
    }

    /// What stands in a section stands under its right name, too.
    fn also_under(&mut self, name: &str, right: &str) {
        let inside = self.0.iter().filter(|(path, _)| path.first().is_some_and(|first| first == name));
        let renamed = |path: &[String]| path.iter().skip(1).cloned().collect::<Vec<_>>();
        let inside: Vec<_> = inside.map(|(path, place)| (renamed(path), place.clone())).collect();
        let right = || vec![right.to_owned()];
        self.0.extend(inside.into_iter().map(|(path, place)| ([right(), path].concat(), place)));
    }
}

/// Settings that were taken out because of a mistake in them: what they would have said isn't known, and that it is
/// missing is no mistake of its own.
#[derive(Debug, Default)]
pub(crate) struct Spoilt {
    paths: Vec<Vec<String>>,
    /// Whether a whole section is among them, so that anything may be missing.
    pub(crate) is_unsure: bool,
}

impl Spoilt {
    /// True when something at this path or below it was taken out.
    pub(crate) fn is_inside(&self, path: &[&str]) -> bool {
        self.paths
            .iter()
            .any(|spoilt| path.len() <= spoilt.len() && spoilt.iter().zip(path).all(|(a, b)| a == b))
    }

    /// True for a mistake of something in which something was taken out, or of what stands there instead: that may be just
    /// what is missing.
    pub(crate) fn may_cause(&self, mistake: &Mistake, places: &Places) -> bool {
        let around = |path: &[String]| {
            (2..=path.len()).filter_map(|end| places.of(path.get(..end)?)).collect::<Vec<_>>()
        };
        mistake.place.as_ref().is_some_and(|place| self.paths.iter().any(|path| around(path).contains(place)))
    }

    /// True when what was taken out of a provider may have said which service it is.
    pub(crate) fn may_name_the_service(&self, provider: &str) -> bool {
        const OTHERS: [&str; 10] = [
            "api_key",
            "default_model",
            "models",
            "headers",
            "retry",
            "timeout",
            "limits",
            "breaker",
            "cache",
            "budget",
        ];
        let is_other = |setting: &str| {
            OTHERS.contains(&setting)
                || also_called(setting).iter().any(|right| OTHERS.contains(right))
                || nearest(setting, OTHERS).is_some()
        };
        self.paths.iter().any(|path| match path.as_slice() {
            [section, name, setting, ..] if section == "providers" && name == provider => !is_other(setting),
            [section, name] => section == "providers" && name == provider,
            _ => false,
        })
    }

    /// The names in a section whose settings were taken out as a whole.
    pub(crate) fn names_in(&self, section: &str) -> BTreeSet<String> {
        let whole = self.paths.iter().filter_map(|path| match path.as_slice() {
            [first, name] if first == section => Some(name.clone()),
            _ => None,
        });
        whole.collect()
    }

    fn add(&mut self, path: &[String], was_section: bool) {
        let is_names = |name: &str| matches!(name, "providers" | "models" | "profiles");
        self.is_unsure |= matches!(path, [top] if was_section || is_names(top));
        self.paths.push(path.to_vec());
    }
}

impl Registry {
    /// Takes the configuration from a figment of your own; its selected profile counts, and keys are still read from
    /// the environment or files that it names.
    ///
    /// ```
    /// use figment::{Figment, providers::Serialized};
    /// use modelswitch_registry::Registry;
    ///
    /// let figment = Figment::new()
    ///     .merge(Serialized::default("providers.local.profile", "llamacpp"))
    ///     .merge(Serialized::default("models.fast", "local/qwen"));
    /// let registry = Registry::from_figment(figment)?;
    /// assert_eq!(registry.aliases(), [("fast".to_owned(), "local/qwen".to_owned())]);
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`load`](Registry::load).
    pub fn from_figment(figment: Figment) -> Result<Self> {
        RegistryBuilder::read_by(move || extract(&figment, &|_, metadata| foreign_place(metadata))).build()
    }
}

const FILE: &str = "file";
const SECTION: &str = "section";
const ENVIRONMENT: &str = "environment";
const CODE: &str = "code";

/// Reads everything at once.
///
/// # Errors
/// All mistakes in one error of kind [`Config`](modelswitch_provider::ErrorKind::Config).
pub(crate) fn load(inputs: Inputs) -> Result<Loaded> {
    let Inputs { source, section, environment, code } = inputs;
    let mut common = source.as_ref().map(|source| source.table.clone()).unwrap_or_default();
    let sections = common.remove("profile");
    let environments = sections.as_ref().and_then(toml::Value::as_table).into_iter().flat_map(Table::keys);
    let environments: Vec<String> = environments.cloned().collect();
    let chosen = choose(section.as_deref(), sections.as_ref(), source.as_ref())?;

    let mut in_code = Table::new();
    for (path, value) in code {
        put(&mut in_code, &path, value);
    }
    let names = known_names(&[&common, &chosen, &in_code]);
    let mut variables = Variables::read(&environment, &names);
    let is_providers = |name: &String| name == "providers" || meant_section(name) == Some("providers");
    let lists_providers = [&common, &chosen].iter().any(|table| table.keys().any(is_providers));

    let mut trees = [
        Tree { name: FILE, table: common },
        Tree { name: SECTION, table: chosen },
        Tree { name: ENVIRONMENT, table: std::mem::take(&mut variables.table) },
        Tree { name: CODE, table: in_code },
    ];
    replace_keys_whole(&mut trees);
    let figment = trees.into_iter().fold(Figment::new(), Figment::merge);

    let section = section.unwrap_or_default();
    let place_of = |path: &[String], metadata: &Metadata| {
        let in_file = || source.as_ref().and_then(|source| source.place(path).cloned());
        let in_section = || {
            let path = [&["profile".to_owned(), section.clone()], path].concat();
            let place = source.as_ref().and_then(|source| source.place(&path).cloned());
            place.map(|place| place.in_section(&section))
        };
        match &*metadata.name {
            FILE => in_file(),
            SECTION => in_section().or_else(in_file),
            ENVIRONMENT => variables.place(path).or_else(in_section).or_else(in_file),
            _ => Some(Place::Code),
        }
    };
    let mut loaded = extract(&figment, &place_of)?;
    // A misspelt variable may have been to bring a provider, or an alias.
    loaded.spoilt.is_unsure |= !variables.mistakes.is_empty();
    loaded.mistakes.append(&mut variables.mistakes);
    loaded.lists_providers = lists_providers;
    loaded.sections = environments;
    loaded.warnings.extend(source.into_iter().flat_map(|source| source.warnings));
    loaded.warnings.extend(variables.warnings);
    Ok(loaded)
}

type PlaceOf<'a> = &'a dyn Fn(&[String], &Metadata) -> Option<Place>;

fn extract(figment: &Figment, place_of: PlaceOf<'_>) -> Result<Loaded> {
    // An empty path finds the whole.
    let mut value = figment.find_value("").map_err(|error| {
        // A figment of the caller's own couldn't read its source, and its sentence may quote it.
        let name = error.metadata.as_ref().and_then(foreign_place);
        let name = name.map_or_else(|| "its source".to_owned(), |place| place.to_string());
        Error::config(format!("the figment can't be read: {name} is not valid"))
            .with_hint("look at what figment says about it, `figment.extract::<figment::value::Value>()`")
    })?;
    let mut places = Places::default();
    locate(&value, figment, place_of, &mut Vec::new(), &mut places);
    let mistakes = put_right(&mut value, &mut places);
    let lists_providers = value.find_ref("providers").is_some();
    let mut written = Vec::new();
    leaves(&value, &mut Vec::new(), &mut written);
    let mut found = Found { places: &places, mistakes, spoilt: Spoilt::default() };
    let mut config = read(&mut value, &mut found);
    // Before anything else: what follows would repeat the names.
    let keys = keys_among_names(&config, &places);
    if !keys.is_empty() {
        for (path, mistake) in keys {
            found.mistakes.push(mistake);
            take_out(&mut value, &path);
        }
        // What is gone now isn't missing.
        found.spoilt.is_unsure = true;
        config = read(&mut value, &mut found);
    }
    let profiles = read_profiles(&value, &mut found);
    let Found { mistakes, spoilt, .. } = found;
    Ok(Loaded {
        config,
        profiles,
        places,
        mistakes,
        spoilt,
        sections: Vec::new(),
        lists_providers,
        warnings: Vec::new(),
        written,
    })
}

/// Puts sections under their right names whose own is misspelt, `[provider.x]`: what is wrong in them, and what depends on
/// them, is found in the same look.
fn put_right(value: &mut Value, places: &mut Places) -> Vec<Mistake> {
    let Value::Dict(_, top) = value else { return Vec::new() };
    let is_free = |right: &&str| !top.contains_key(*right);
    let misspelt = top.iter().filter(|(_, value)| matches!(value, Value::Dict(..)));
    let misspelt =
        misspelt.filter_map(|(name, _)| Some((name.clone(), meant_section(name).filter(is_free)?)));
    let mut mistakes = Vec::new();
    for (name, right) in misspelt.collect::<Vec<_>>() {
        let path = [name.clone()];
        mistakes.push(unknown_key(places.of(&path), &path, &TOP));
        // Another one may have been meant to be the same.
        if let Some(section) = top.remove(&name).filter(|_| !top.contains_key(right)) {
            top.insert(right.to_owned(), section);
            places.also_under(&name, right);
        }
    }
    mistakes
}

/// The section of names that a misspelt one was meant to be.
fn meant_section(name: &str) -> Option<&'static str> {
    let sections = ["providers", "models", "profiles"];
    let is_right = TOP.contains(&name) || name == "profile";
    let near = || nearest(name, TOP.into_iter().chain(["profile"]));
    let near = near().or_else(|| also_called(name).first().copied()).filter(|_| !is_right)?;
    sections.into_iter().find(|section| *section == near)
}

/// What was found to be wrong.
struct Found<'a> {
    places: &'a Places,
    mistakes: Vec<Mistake>,
    spoilt: Spoilt,
}

/// Mistakes beyond this many are told in the next run; nobody mends so many at once.
const MOST: usize = 50;

/// Reads the tree, leaving out what is wrong: one look finds every mistake. Every setting may be left out, so a
/// mistake that was taken out makes no other.
fn read(value: &mut Value, found: &mut Found<'_>) -> Config {
    let mut before: Vec<String> = Vec::new();
    while found.mistakes.len() < MOST {
        let error = match Config::deserialize(&*value) {
            Ok(config) => return config,
            Err(error) => error,
        };
        if error.path == before {
            // A text in a wrong item's place was no better: the list goes.
            before.pop();
            if !take_out(value, &before) {
                break;
            }
            continue;
        }
        found.mistakes.push(mistake(&error.path, &error.kind, found.places));
        let was_section = at(value, &error.path).is_some_and(|value| value.as_dict().is_some());
        found.spoilt.add(&error.path, was_section);
        if !take_out(value, &error.path) {
            break;
        }
        before = error.path;
    }
    Config::default()
}

/// The user's own profiles, each laid over what it extends.
fn read_profiles(value: &Value, found: &mut Found<'_>) -> Profiles {
    let mut profiles = Profiles::default();
    let Some(written) = value.find_ref("profiles").and_then(Value::as_dict) else { return profiles };
    for name in written.keys() {
        let before = found.mistakes.len();
        match laid_over(name, written, &mut Vec::new(), found.places) {
            Ok((dict, lineage)) => {
                let profile = read_profile(name, written, Value::from(dict), found);
                let place = found.places.of(&["profiles", name]);
                match profile.derived(name, lineage) {
                    Ok(profile) => profiles.add(profile),
                    Err(error) => {
                        let what = format!("`{}`: {}", dotted(&["profiles", name]), error.message());
                        found.mistakes.push(Mistake::new(place, what, error.hint().to_owned()));
                    }
                }
            }
            Err(mistake) => {
                profiles.add_broken(name);
                // All that lie over the same one would tell it again.
                if !found.mistakes.contains(&mistake) {
                    found.mistakes.push(mistake);
                }
                // What is wrong with its own settings is so whatever it lies over.
                let own = written.get(name).and_then(Value::as_dict).cloned().unwrap_or_default();
                let own: Dict = own.into_iter().filter(|(setting, _)| setting != "extends").collect();
                read_profile(name, written, Value::from(over(any_service(), own)), found);
            }
        }
        if found.mistakes.len() > before {
            profiles.add_broken(name);
        }
    }
    profiles
}

/// What a profile lies over that says nothing else.
const ANY: &str = "openai-compatible";

/// A profile as the user writes it over the one that it extends, and the names of all that it lies over.
fn laid_over(
    name: &str,
    written: &Dict,
    trail: &mut Vec<String>,
    places: &Places,
) -> Result<(Dict, Vec<String>), Mistake> {
    let place = || places.of(&["profiles", name, "extends"]).or_else(|| places.of(&["profiles", name]));
    let shown = dotted(&["profiles", name]);
    let Some(mut own) = written.get(name).and_then(Value::as_dict).cloned() else {
        return Err(wrong_type(place(), &shown, "which this is not", "struct Profile"));
    };
    let base = match own.remove("extends") {
        None if Profile::embedded(name).is_some() => name.to_owned(),
        None => ANY.to_owned(),
        Some(Value::String(_, base)) => base,
        Some(_) => {
            return Err(wrong_type(place(), &format!("{shown}.extends"), "which this is not", "a string"));
        }
    };
    trail.push(name.to_owned());
    let (below, mut lineage) = match Profile::embedded_toml(&base) {
        // A profile of an embedded one's name can only mean that one, not itself.
        Some(text) if base == name || !written.contains_key(&base) => (embedded(text), vec![base]),
        _ if trail.contains(&base) => return Err(extends_itself(trail, &base, places)),
        _ if written.contains_key(&base) => {
            let (below, mut lineage) = laid_over(&base, written, trail, places)?;
            lineage.insert(0, base);
            (below, lineage)
        }
        _ => {
            let embedded = Profile::embedded_names().map(str::to_owned);
            let is_own = |name: &&String| Profile::embedded(name).is_none();
            let known: Vec<String> = embedded.chain(written.keys().filter(is_own).cloned()).collect();
            let near = nearest(&base, known.iter().map(String::as_str));
            return Err(Mistake::new(
                place(),
                format!(
                    "`{shown}.extends`: there is no profile {}{}",
                    quoted(&base),
                    meant_or_list(near, &known)
                ),
                near.map_or_else(
                    || format!("write extends = \"{ANY}\""),
                    |near| format!("write extends = \"{near}\""),
                ),
            ));
        }
    };
    lineage.dedup();
    Ok((over(below, own), lineage))
}

/// Told of the same one of a circle, whoever is looked at first.
fn extends_itself(trail: &[String], again: &String, places: &Places) -> Mistake {
    let mut circle: Vec<&String> = trail.iter().skip_while(|name| *name != again).collect();
    let first = circle.iter().enumerate().min_by_key(|(_, name)| **name).map_or(0, |(position, _)| position);
    circle.rotate_left(first);
    circle.extend(circle.first().copied());
    let path = ["profiles", circle.first().map_or("", |name| name.as_str()), "extends"];
    let circle: Vec<&str> = circle.into_iter().map(String::as_str).collect();
    Mistake::new(
        places.of(&path),
        format!("`{}` leads back to itself: {}", dotted(&path), circle.join(" → ")),
        "let one of these profiles extend an embedded one",
    )
}

fn any_service() -> Dict {
    Profile::embedded_toml(ANY).map(embedded).unwrap_or_default()
}

/// The settings of an embedded profile. A test of its crate reads every one of them.
fn embedded(text: &str) -> Dict {
    let table: Table = text.parse().unwrap_or_default();
    Value::serialize(&table).ok().and_then(Value::into_dict).unwrap_or_default()
}

/// Tables are laid over each other field by field; all else is replaced.
fn over(mut below: Dict, above: Dict) -> Dict {
    for (name, value) in above {
        let value = match (below.remove(&name), value) {
            (Some(Value::Dict(_, below)), Value::Dict(tag, above)) => Value::Dict(tag, over(below, above)),
            (_, value) => value,
        };
        below.insert(name, value);
    }
    below
}

/// Reads a profile, leaving out what is wrong. A mistake that it has from another one is told there.
fn read_profile(name: &str, written: &Dict, mut value: Value, found: &mut Found<'_>) -> Profile {
    let is_own = |path: &[String]| written.get(name).and_then(|own| at(own, path)).is_some();
    let in_file = |path: &[String]| [&["profiles".to_owned(), name.to_owned()], path].concat();
    while found.mistakes.len() < MOST {
        let error = match Profile::deserialize(&value) {
            Ok(profile) => {
                let headers =
                    profile.headers.keys().map(|header| ("headers", header, credential_header(header)));
                let query = profile.query.keys().map(|query| ("query", query, credential_parameter(query)));
                for (section, key, refusal) in headers.chain(query) {
                    let path = in_file(&[section.to_owned(), key.clone()]);
                    if let Some((what, hint)) = refusal.filter(|_| is_own(&[section.to_owned(), key.clone()]))
                    {
                        let what = format!("`{}` {what}", dotted(&path));
                        found.mistakes.push(Mistake::new(found.places.of(&path), what, hint));
                    }
                }
                return profile;
            }
            Err(error) => error,
        };
        let path = in_file(&error.path);
        if is_own(&error.path) {
            found.mistakes.push(mistake(&path, &error.kind, found.places));
        }
        // An item of a list can't be left out alone.
        let list = error.path.iter().position(|key| key.parse::<usize>().is_ok());
        let taken = error.path.get(..list.unwrap_or(error.path.len())).unwrap_or_default();
        if !take_out(&mut value, taken) {
            break;
        }
    }
    Profile::default()
}

/// What stands at a path.
fn at<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |here, key| match here {
        Value::Dict(_, dict) => dict.get(key),
        Value::Array(_, items) => items.get(key.parse::<usize>().ok()?),
        Value::String(..) | Value::Char(..) | Value::Bool(..) | Value::Num(..) | Value::Empty(..) => None,
    })
}

/// Our own sentence for figment's error. Whatever figment, serde or the value itself would say stays out of it.
fn mistake(path: &[String], kind: &Kind, places: &Places) -> Mistake {
    let place = places.of(path);
    let name = dotted(path);
    match kind {
        Kind::UnknownField(_, allowed) => unknown_key(place, path, allowed),
        Kind::Message(text) if text == LITERAL_KEY => literal_key(place, path),
        Kind::Message(text) if text.starts_with(NAMED_VARIABLE) => {
            named_variable(place, path, text.trim_start_matches(NAMED_VARIABLE))
        }
        Kind::InvalidType(actual, expected) => {
            let expected = expected_at(path).unwrap_or(expected);
            let mistake = wrong_type(place, &name, &format!("not {}", kind_of(actual)), expected);
            if expected == DURATION { in_seconds(mistake, actual) } else { mistake }
        }
        // A variable holds its numbers as text.
        Kind::InvalidValue(actual @ Actual::Unsigned(_), expected) if expected == DURATION => {
            let is_variable = matches!(place, Some(Place::Variable(_)));
            let found = if is_variable { "not a number" } else { "and this has no unit" };
            in_seconds(wrong_type(place, &name, found, expected), actual)
        }
        Kind::InvalidValue(Actual::Other(found), expected) if found == NO_TIME => {
            let mistake = wrong_type(place, &name, "not 0: every call would fail", expected);
            let hint = "write a longer time, such as \"10s\", or take it out for the default".to_owned();
            Mistake { hint, ..mistake }
        }
        Kind::InvalidValue(Actual::Other(found), expected) if found == EMPTY_LIST => {
            let mistake = wrong_type(place, &name, "not an empty list", expected);
            Mistake { hint: "say what it is to hold, or take it out".to_owned(), ..mistake }
        }
        Kind::InvalidValue(_, expected) | Kind::InvalidLength(_, expected) => {
            wrong_type(place, &name, "which this is not", expected)
        }
        Kind::UnknownVariant(word, words) => wrong_word(place, &name, word, words),
        Kind::MissingField(field) => lacks(place, path, field),
        Kind::Message(_) if expected_at(path).is_some() => {
            wrong_type(place, &name, "which this is not", expected_at(path).unwrap_or_default())
        }
        Kind::Message(_)
        | Kind::DuplicateField(_)
        | Kind::ISizeOutOfRange(_)
        | Kind::USizeOutOfRange(_)
        | Kind::Unsupported(_)
        | Kind::UnsupportedKey(..) => Mistake::new(
            place,
            format!("`{name}` can't be read"),
            "compare it with the documentation's example",
        ),
    }
}

/// What a profile's own types take, where the name of the setting says which they are.
fn expected_at(path: &[String]) -> Option<&'static str> {
    if path.first().is_none_or(|section| section != "profiles") {
        return None;
    }
    match path.last()?.as_str() {
        "since" | "until" | "read" => Some("a day in quotes, such as \"2026-11-21\""),
        "input" | "cached_input" | "output" if path.iter().any(|key| key == "rates") => {
            Some("the price of a million tokens in quotes, such as \"0.15\"")
        }
        "factor" => Some("a number in quotes, such as \"1.5\""),
        _ => None,
    }
}

/// A setting that others don't do without.
fn lacks(place: Option<Place>, path: &[String], field: &str) -> Mistake {
    const RATES: &str = "rates.USD = { input = \"0.15\", output = \"0.60\" }, what a million tokens cost";
    let hint = match field {
        "rates" => format!("write {RATES}"),
        "input" | "output" => format!("write both: {RATES}"),
        other => format!("write {other} = … beside the others"),
    };
    Mistake::new(place, format!("`{}` lacks `{field}`", dotted(path)), hint)
}

fn wrong_type(place: Option<Place>, name: &str, found: &str, expected: &str) -> Mistake {
    let section = format!("a section, [{name}]{}", example_in(name));
    let expected = match expected {
        "a sequence" => "a list, such as [\"a\", \"b\"]",
        "a map" => "a table, such as { name = \"value\" }",
        "a string" => "a text in quotes",
        "a boolean" => "true or false",
        struct_name if struct_name.starts_with("struct ") => &section,
        own => own,
    };
    let what = format!("`{name}` must be {expected}, {found}");
    let hint = match &place {
        // A shell takes quotes away, and so a variable has none.
        Some(Place::Variable(variable)) => {
            format!("set {variable} to {}", expected.replace(" in quotes", ""))
        }
        _ => format!("write {expected}"),
    };
    Mistake::new(place, what, hint)
}

/// What is written in a section in whose place a value stands, where that is known.
fn example_in(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("timeout") => ", with lines such as first_byte = \"10m\" in it",
        Some("retry") => ", with lines such as attempts = 3 in it",
        Some("auth") => ", with lines such as header = \"api-key\" in it",
        Some("log" | "trace") => ", with lines such as content = true in it",
        Some("limits") => ", with lines such as concurrent = 8 in it",
        Some("budget") => ", with lines such as day = \"5 USD\" in it",
        Some("policy") => ", with lines such as strict = true in it",
        _ => ", with the settings in it",
    }
}

/// The wrong word isn't repeated: it may be anything.
fn wrong_word(place: Option<Place>, name: &str, word: &str, words: &[&str]) -> Mistake {
    // More of them nobody wants to read twice.
    const FEW: usize = 6;
    let near = nearest(word.trim(), words.iter().copied());
    let what = format!("`{name}` must be {}, which this is not{}", one_of(words), did_you_mean(near));
    let hint = match near {
        Some(near) => format!("\"{near}\""),
        None if words.len() > FEW => "one of these".to_owned(),
        None => one_of(words),
    };
    Mistake::new(place, what, format!("write {hint}"))
}

/// A mistake in whose place a number of seconds was probably meant.
fn in_seconds(mistake: Mistake, actual: &Actual) -> Mistake {
    let Some(seconds) = seconds(actual) else { return mistake };
    let hint = match &mistake.place {
        Some(Place::Variable(variable)) => format!("set {variable} to {seconds}s"),
        _ => format!("write \"{seconds}s\""),
    };
    Mistake { hint: format!("{hint} for {seconds} seconds"), ..mistake }
}

/// The number that was probably meant in seconds. A longer one might be anything, and isn't repeated.
fn seconds(actual: &Actual) -> Option<u32> {
    const MOST: u32 = 86_400;
    let number = match actual {
        Actual::Unsigned(number) => u32::try_from(*number).ok(),
        Actual::Signed(number) => u32::try_from(*number).ok(),
        _ => None,
    };
    number.filter(|number| *number <= MOST)
}

fn unknown_key(place: Option<Place>, path: &[String], allowed: &[&str]) -> Mistake {
    let name = path.last().map_or("", String::as_str);
    if let Some((what, hint)) = other_profile(path) {
        return Mistake::new(place, format!("`{}` is not a setting; {what}", dotted(path)), hint);
    }
    // Taken out before the rest is read.
    let own: &[&str] = match path {
        [_] => &["profile"],
        [section, _, _] if section == "profiles" => &["extends"],
        _ => &[],
    };
    let allowed = &[allowed, own].concat();
    let near = also_called(name).iter().copied().find(|right| allowed.contains(right));
    let near = near.or_else(|| nearest(name, allowed.iter().copied()));
    // A name that stands in the wrong section is a key all the same.
    let shown = if looks_like_a_key(name) { "a name".to_owned() } else { format!("`{}`", dotted(path)) };
    let what = match near {
        Some(near) => format!("{shown} is not a setting{}", did_you_mean(Some(near))),
        None => format!("{shown} is not a setting; {}", allowed_here(allowed)),
    };
    let hint = match near {
        Some(near) => format!("write `{near}` instead of {}", quoted(name)),
        None => "take it out, or use one of the settings that are allowed here".to_owned(),
    };
    Mistake::new(place, what, hint)
}

fn allowed_here(allowed: &[&str]) -> String {
    let mut allowed = allowed.to_vec();
    allowed.sort_unstable();
    format!("allowed here: {}", allowed.join(", "))
}

/// `[profile.X]` is an environment's section and `[profiles.X]` a service: what only the other one has was meant for it.
fn other_profile(path: &[String]) -> Option<(String, String)> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["profiles", name, setting] if TOP.contains(setting) && *setting != "models" => {
            let section = dotted(&["profile", name]);
            Some((
                format!("did you mean [{section}]?"),
                format!(
                    "write [{section}] for what another environment has otherwise; [profiles.NAME] describes a service"
                ),
            ))
        }
        ["models", _, parameter] if is_parameter(parameter) => {
            let hint = format!(
                "write defaults = {{ {parameter} = … }} for requests that don't say it, or overrides = {{ … }} for all"
            );
            Some(("parameters of requests stand in `defaults` or `overrides`".to_owned(), hint))
        }
        ["log", "level"] => Some((
            "a program says itself how much it logs".to_owned(),
            "take it out; `modelswitch` takes --log LEVEL or MODELSWITCH_LOG".to_owned(),
        )),
        [name] if Profile::embedded(name).is_some() => {
            let section = dotted(&["providers", name]);
            Some((format!("did you mean [{section}]?"), format!("write [{section}] instead of [{name}]")))
        }
        ["extends" | "key_env" | "key_url" | "base_url_env" | "hints" | "request" | "response"] => Some((
            "it describes a service, and belongs into [profiles.NAME]".to_owned(),
            "write [profiles.NAME], with an s; [profile.NAME] is what another environment has otherwise"
                .to_owned(),
        )),
        _ => None,
    }
}

/// What others call our settings.
fn also_called(name: &str) -> &'static [&'static str] {
    match name.to_lowercase().replace('-', "_").as_str() {
        "key" | "token" | "secret" | "api_token" | "key_env" | "api_key_env" => &["api_key"],
        "url" | "endpoint" | "host" | "api_base" | "base" | "server" => &["base_url"],
        "model" => &["default_model", "target", "default"],
        "default_model" => &["default"],
        "aliases" | "alias" => &["models"],
        "type" => &["profile"],
        "extend" | "extends" => &["extends", "profile"],
        "params" | "query_params" | "query_parameters" | "extra_query" => &["query"],
        "authorization" | "authentication" => &["auth"],
        "allow" | "allowed" | "whitelist" => &["allow_models"],
        "deny" | "denied" | "blacklist" | "forbid_models" => &["deny_models"],
        "endpoints" => &["allow_endpoints"],
        "weight" => &["weights"],
        "parameters" | "params_default" => &["defaults"],
        "http_headers" | "extra_headers" => &["headers"],
        "retries" | "max_attempts" | "max_retries" => &["attempts", "retry"],
        "variable" | "var" => &["env"],
        "cmd" | "exec" | "program" | "run" => &["command"],
        "keychain" | "secret_service" => &["keyring"],
        "max_age" | "refresh" | "expires" => &["ttl", "time_to_live"],
        "ttl" => &["time_to_live"],
        "path" => &["file"],
        "policies" => &["policy"],
        "entries" | "most_entries" => &["answers"],
        "most_bytes" | "size" => &["bytes", "max_size"],
        "rpm" | "requests" | "rate_limit" => &["requests_per_minute"],
        "tpm" | "tokens" => &["tokens_per_minute"],
        "concurrency" | "max_concurrent" | "parallel" | "max_parallel" => &["concurrent"],
        "max_wait" | "timeout" => &["wait"],
        "daily" | "per_day" => &["day"],
        "hourly" | "per_hour" => &["hour"],
        "monthly" | "per_month" => &["month"],
        "scope" | "per" => &["each"],
        "lifetime" => &["time_to_live"],
        "deadline" => &["total"],
        "circuit_breaker" => &["breaker"],
        "budgets" => &["budget"],
        "limit" | "rate_limits" => &["limits"],
        _ => &[],
    }
}

fn literal_key(place: Option<Place>, path: &[String]) -> Mistake {
    let name = dotted(path);
    let provider = path.get(1).map_or("", String::as_str);
    let variable = default_variable(provider);
    let is_a_variable = matches!(place, Some(Place::Variable(_)));
    let (what, hint) = if is_a_variable {
        (
            format!("`{name}` can't be set through this variable: keys are read from variables of their own"),
            format!("set {variable} to the key and unset this one"),
        )
    } else if place == Some(Place::Code) {
        (
            format!("`{name}` holds a key itself (not shown): keys don't go among the settings"),
            format!("give it with `.api_key({provider:?}, ApiKey::new(…)?)`"),
        )
    } else if path.len() > 3 {
        (
            format!("`{name}` holds a key itself (not shown): keys don't stand in the configuration"),
            "write { env = \"VARIABLE\" } in its place and set that variable to the key".to_owned(),
        )
    } else {
        (
            format!("`{name}` holds a key itself (not shown): keys don't stand in the configuration"),
            format!("write api_key = {{ env = \"{variable}\" }} and set that variable to the key"),
        )
    };
    Mistake::new(place, what, hint)
}

/// Nothing in a file is replaced by a variable's value: where it is read from is said.
fn named_variable(place: Option<Place>, path: &[String], variable: &str) -> Mistake {
    if matches!(place, Some(Place::Variable(_) | Place::Code)) {
        return literal_key(place, path);
    }
    let what =
        format!("`{}` is a text, {variable}, which is no key but the name of a variable", dotted(path));
    let setting = if path.len() > 3 { "" } else { "api_key = " };
    Mistake::new(place, what, format!("write {setting}{{ env = \"{variable}\" }}"))
}

fn kind_of(actual: &Actual) -> &'static str {
    match actual {
        Actual::Bool(_) => "true or false",
        Actual::Unsigned(_) | Actual::Signed(_) | Actual::Float(_) => "a number",
        Actual::Char(_) | Actual::Str(_) | Actual::Bytes(_) => "a text",
        Actual::Seq => "a list",
        Actual::Map => "a table",
        Actual::Unit | Actual::Option => "nothing",
        Actual::NewtypeStruct
        | Actual::Enum
        | Actual::UnitVariant
        | Actual::NewtypeVariant
        | Actual::TupleVariant
        | Actual::StructVariant
        | Actual::Other(_) => "something else",
    }
}

/// Removes what stands at a path; says whether something did.
fn take_out(value: &mut Value, path: &[String]) -> bool {
    let Some((last, way)) = path.split_last() else { return false };
    let mut here = value;
    for key in way {
        let next = match here {
            Value::Dict(_, dict) => dict.get_mut(key),
            Value::Array(_, items) => key.parse().ok().and_then(|position: usize| items.get_mut(position)),
            Value::String(..) | Value::Char(..) | Value::Bool(..) | Value::Num(..) | Value::Empty(..) => None,
        };
        let Some(next) = next else { return false };
        here = next;
    }
    match here {
        Value::Dict(_, dict) => dict.remove(last).is_some(),
        Value::Array(_, items) => {
            // The others keep their places: later mistakes are looked up by them. Lists here are lists of texts.
            let wrong = last.parse().ok().and_then(|position: usize| items.get_mut(position));
            wrong.map(|item| *item = Value::from("")).is_some()
        }
        Value::String(..) | Value::Char(..) | Value::Bool(..) | Value::Num(..) | Value::Empty(..) => false,
    }
}

fn locate(
    value: &Value,
    figment: &Figment,
    place_of: PlaceOf<'_>,
    path: &mut Vec<String>,
    found: &mut Places,
) {
    if let Some(place) = figment.get_metadata(value.tag()).and_then(|metadata| place_of(path, metadata)) {
        found.0.insert(path.clone(), place);
    }
    let inner: Vec<(String, &Value)> = match value {
        Value::Dict(_, dict) => dict.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(_, items) => items.iter().enumerate().map(|(n, value)| (n.to_string(), value)).collect(),
        Value::String(..) | Value::Char(..) | Value::Bool(..) | Value::Num(..) | Value::Empty(..) => {
            Vec::new()
        }
    };
    for (key, value) in inner {
        path.push(key);
        locate(value, figment, place_of, path, found);
        path.pop();
    }
}

fn foreign_place(metadata: &Metadata) -> Option<Place> {
    let source = metadata.source.as_ref().map(|source| format!(" {source}")).unwrap_or_default();
    Some(Place::Other(format!("{}{source}", metadata.name)))
}

/// The chosen section, `[profile.NAME]`; empty when none is chosen.
fn choose(chosen: Option<&str>, sections: Option<&toml::Value>, source: Option<&Source>) -> Result<Table> {
    let Some(chosen) = chosen else { return Ok(Table::new()) };
    let sections = sections.and_then(toml::Value::as_table);
    if let Some(section) = sections.and_then(|sections| sections.get(chosen)).and_then(toml::Value::as_table)
    {
        return Ok(section.clone());
    }
    let Some(source) = source else {
        return Err(Error::config(format!(
            "the profile {} is chosen, but there is no configuration file",
            quoted(chosen)
        ))
        .with_hint("write the file, or unset MODELSWITCH_PROFILE"));
    };
    let names = sections.into_iter().flat_map(Table::keys).map(String::as_str);
    let names: Vec<&str> = names.filter(|name| !looks_like_a_key(name)).collect();
    let is_service = |name: &str| {
        let own = source.table.get("profiles").and_then(toml::Value::as_table);
        !looks_like_a_key(name) && own.is_some_and(|own| own.contains_key(name))
    };
    let shown = dotted(&["profile", chosen]);
    let syntax = source.path.as_deref().map(Syntax::of).unwrap_or_default();
    let file =
        source.path.as_deref().map_or("the configuration".to_owned(), |path| path.display().to_string());
    // `prod` is short for `production`.
    let begins = || names.iter().copied().find(|name| chosen.len() > 2 && name.starts_with(chosen));
    let near = nearest(chosen, names.iter().copied()).or_else(begins);
    if near.is_none() && is_service(chosen) {
        return Err(Error::config(format!(
            "there is no section [{shown}] in {file}; [{}] describes a service, which isn't chosen so",
            dotted(&["profiles", chosen])
        ))
        .with_hint(syntax.put(&format!("write [{shown}] for an environment, and profile = \"{chosen}\" in a provider's section for a service"))));
    }
    Err(Error::config(format!("there is no section [{shown}] in {file}{}", meant_or_list(near, &names)))
        .with_hint(match near {
            Some(near) => format!("choose the profile `{near}`: MODELSWITCH_PROFILE={near}"),
            None => {
                let hint = format!(
                    "write a section [{shown}], choose one that exists, or unset MODELSWITCH_PROFILE"
                );
                syntax.put(&hint)
            }
        }))
}

/// One source of settings, as figment takes it.
struct Tree {
    name: &'static str,
    table: Table,
}

impl figment::Provider for Tree {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }
    fn data(&self) -> figment::Result<Map<figment::Profile, Dict>> {
        let dict = Value::serialize(&self.table)?.into_dict().unwrap_or_default();
        Ok(Map::from([(figment::Profile::Default, dict)]))
    }
}

/// Merging `{ env = … }` with a stronger `{ file = … }` would give both; the stronger one is meant alone.
fn replace_keys_whole(trees: &mut [Tree]) {
    let mut stronger: Vec<String> = Vec::new();
    for tree in trees.iter_mut().rev() {
        let Some(providers) = tree.table.get_mut("providers").and_then(toml::Value::as_table_mut) else {
            continue;
        };
        for (name, settings) in providers.iter_mut() {
            let Some(settings) = settings.as_table_mut() else { continue };
            if stronger.contains(name) {
                settings.remove("api_key");
            } else if settings.contains_key("api_key") {
                stronger.push(name.clone());
            }
        }
    }
}

/// Each value that is no table, and each empty table: that one is there may be all that it says.
fn leaves(value: &Value, path: &mut Vec<String>, found: &mut Vec<Written>) {
    match value {
        Value::Dict(_, dict) if !dict.is_empty() => {
            for (key, value) in dict {
                path.push(key.clone());
                leaves(value, path, found);
                path.pop();
            }
        }
        other => {
            // A value that JSON can't hold isn't one that a setting takes either.
            let value = serde_json::to_value(other).unwrap_or_default();
            found.push((path.clone(), value));
        }
    }
}
