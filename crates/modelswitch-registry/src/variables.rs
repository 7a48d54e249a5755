//! Settings in variables: `MODELSWITCH_PROVIDERS__LOCAL__BASE_URL` is `providers.local.base_url`.

use modelswitch_openai::Profile;
use toml::Table;

use crate::config::TOP;
use crate::environment::Environment;
use crate::mistake::{Mistake, Place, looks_like_a_key};
use crate::spelling::nearest;

const PREFIX: &str = "MODELSWITCH_";
/// Variables that are no settings: which file, which section, and what the program logs.
const OTHERS: [&str; 3] = ["CONFIG", "PROFILE", "LOG"];

/// Settings that stand in variables.
#[derive(Default)]
pub(crate) struct Variables {
    pub(crate) table: Table,
    places: Vec<(Vec<String>, String)>,
    pub(crate) mistakes: Vec<Mistake>,
    pub(crate) warnings: Vec<String>,
}

impl Variables {
    /// Reads them. `names` are the names of providers and aliases that a variable may mean.
    pub(crate) fn read(environment: &Environment, names: &[String]) -> Self {
        let mut found = Self::default();
        for (variable, text) in environment.beginning_with(PREFIX) {
            let rest = variable.strip_prefix(PREFIX).unwrap_or_default();
            if OTHERS.contains(&rest) {
                continue;
            }
            let mut path: Vec<String> = rest.to_lowercase().split("__").map(str::to_owned).collect();
            let first = path.first().cloned().unwrap_or_default();
            if !TOP.contains(&first.as_str()) {
                not_ours(
                    &mut found,
                    if looks_like_a_key(rest) { "MODELSWITCH_…" } else { &variable },
                    &first,
                );
                continue;
            }
            if matches!(first.as_str(), "providers" | "models" | "profiles")
                && let Some(name) = path.get_mut(1)
                && let Some(known) = names.iter().find(|known| as_in_variables(known) == *name)
            {
                name.clone_from(known);
            } else if let Some(warning) = new_provider(environment, &variable, &path, names) {
                found.warnings.push(warning);
            }
            put(
                &mut found.table,
                &path,
                if is_parameter(&path) { parameter(&text) } else { text_or_structure(&text) },
            );
            // Whoever looks for it among the process's variables would look in vain.
            let shown = match environment.file_of(&variable) {
                Some(file) => format!("{variable} in {}", file.display()),
                None => variable,
            };
            found.places.push((path, shown));
        }
        found
    }

    /// The variable that sets this, or something inside it.
    pub(crate) fn place(&self, path: &[String]) -> Option<Place> {
        let inside = self.places.iter().find(|(other, _)| other.starts_with(path));
        let around = || self.places.iter().find(|(other, _)| path.starts_with(other));
        inside.or_else(around).map(|(_, name)| Place::Variable(name.clone()))
    }
}

/// A variable may bring a provider of its own, and a slip of the pen makes one too.
fn new_provider(
    environment: &Environment,
    variable: &str,
    path: &[String],
    names: &[String],
) -> Option<String> {
    let [section, name, _, ..] = path else { return None };
    let is_meant =
        || environment.get(&format!("{PREFIX}PROVIDERS__{}__PROFILE", name.to_uppercase())).is_some();
    let near = nearest(name, names.iter().map(String::as_str)).filter(|_| section == "providers")?;
    let right = variable.replacen(&name.to_uppercase(), &as_in_variables(near).to_uppercase(), 1);
    (!is_meant() && !looks_like_a_key(name))
        .then(|| format!("${variable} makes a provider `{name}` of its own; did you mean ${right}?"))
}

/// Container platforms put variables of their own beside ours when a service is called `modelswitch`; a misspelt one
/// of ours must not get lost among them.
fn not_ours(found: &mut Variables, variable: &str, first: &str) {
    if let Some(right) = with_two_underscores(first) {
        found.mistakes.push(Mistake::new(
            None,
            format!("${variable} is not a setting; did you mean ${PREFIX}{right}?"),
            format!("set {PREFIX}{right} instead: two underscores go one level down"),
        ));
        return;
    }
    match nearest(first, TOP) {
        Some(near) => {
            let right = variable.replacen(&first.to_uppercase(), &near.to_uppercase(), 1);
            found.mistakes.push(Mistake::new(
                None,
                format!("${variable} is not a setting; did you mean ${right}?"),
                format!("set {right} instead of {variable}"),
            ));
        }
        None => found.warnings.push(format!(
            "${variable} is not a setting and is ignored; after {PREFIX} comes one of: {}",
            [&TOP[..], &["config", "profile"]].concat().join(", ").to_uppercase()
        )),
    }
}

/// `providers_deepseek_base_url` as it was meant, `PROVIDERS__DEEPSEEK__BASE_URL`. Container platforms write
/// `…_SERVICE_HOST` and `…_PORT`, which none of ours is.
fn with_two_underscores(name: &str) -> Option<String> {
    const OF_A_PROVIDER: [&str; 8] = [
        "base_url",
        "default_model",
        "profile",
        "models",
        "allow_plain_http",
        "allow_models",
        "deny_models",
        "allow_endpoints",
    ];
    let (top, rest) = name.split_once('_')?;
    let below = match top {
        "providers" | "provider" => {
            let setting = OF_A_PROVIDER.into_iter().find(|setting| rest.ends_with(&format!("_{setting}")))?;
            let provider = rest.strip_suffix(setting)?.trim_end_matches('_');
            return (!provider.is_empty())
                .then(|| format!("PROVIDERS__{provider}__{setting}").to_uppercase());
        }
        "retry" => ["attempts", "base_delay", "max_delay", "max_retry_after", "budget"].as_slice(),
        "timeout" => ["connect", "first_byte", "idle", "total"].as_slice(),
        "limits" => {
            ["requests_per_minute", "tokens_per_minute", "concurrent", "wait", "answer_tokens", "adaptive"]
                .as_slice()
        }
        "budget" => ["hour", "day", "month", "each", "unpriced", "answer_tokens"].as_slice(),
        "ledger" => ["path"].as_slice(),
        "log" => ["content", "usage"].as_slice(),
        "trace" => ["content"].as_slice(),
        _ => return None,
    };
    below.contains(&rest).then(|| format!("{top}__{rest}").to_uppercase())
}

/// The names that variables may mean: those have no capitals, dots and hyphens.
pub(crate) fn known_names(tables: &[&Table]) -> Vec<String> {
    let in_tables = tables.iter().flat_map(|table| {
        ["providers", "models", "profiles"].into_iter().filter_map(|section| table.get(section)?.as_table())
    });
    let mut names: Vec<String> = in_tables.flat_map(Table::keys).cloned().collect();
    names.extend(Profile::embedded_names().map(str::to_owned));
    names
}

fn as_in_variables(name: &str) -> String {
    name.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// A variable's text is a text: `123` may be a model's name, and numbers and switches are read from text too. Only
/// what is plainly a list, a table or a quoted text in TOML is taken as such.
fn text_or_structure(text: &str) -> toml::Value {
    let is_structure = text.trim_start().starts_with(['[', '{', '"', '\'']);
    let parsed = is_structure
        .then(|| toml::from_str::<Table>(&format!("value = {text}")).ok()?.remove("value"))
        .flatten();
    parsed.unwrap_or_else(|| toml::Value::String(text.to_owned()))
}

/// A parameter that an alias puts into requests: nobody reads it who knows its type, so it is taken for what it looks like.
fn is_parameter(path: &[String]) -> bool {
    matches!(path, [models, _, section, _, ..] if models == "models" && matches!(section.as_str(), "defaults" | "overrides"))
}

fn parameter(text: &str) -> toml::Value {
    let parsed =
        toml::from_str::<Table>(&format!("value = {text}")).ok().and_then(|mut table| table.remove("value"));
    match parsed {
        Some(value) if !matches!(value, toml::Value::Datetime(_)) => value,
        _ => toml::Value::String(text.to_owned()),
    }
}

/// Sets a value at a path, making the tables on the way.
pub(crate) fn put(table: &mut Table, path: &[String], value: toml::Value) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        table.insert(first.clone(), value);
        return;
    }
    let next = table.entry(first.clone()).or_insert_with(|| toml::Value::Table(Table::new()));
    if !next.is_table() {
        *next = toml::Value::Table(Table::new());
    }
    if let Some(next) = next.as_table_mut() {
        put(next, rest, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_that_is_written_twice_makes_no_setting() {
        let variable = ("MODELSWITCH_MODELSWITCH_DEFAULT".to_owned(), "a/x".to_owned());
        let found = Variables::read(&Environment::fixed([variable]), &[]);
        assert!(found.table.is_empty());
        assert_eq!(found.warnings.len() + found.mistakes.len(), 1);
    }
}
