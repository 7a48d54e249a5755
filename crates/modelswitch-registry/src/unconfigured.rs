//! What is said where nothing is configured at all: what to set, and why a key that is there brings no provider.

use modelswitch_openai::Profile;
use modelswitch_provider::Error;

use crate::builder::NO_PROVIDER;
use crate::environment::Environment;
use crate::keys::other_spellings;
use crate::spelling::list;

/// A service that was switched off, whose variable many machines have.
const GONE: &str = "github-models";

/// `empty` is the file that was read and has nothing in it.
pub(crate) fn no_providers(empty: Option<&str>, environment: &Environment) -> Error {
    let (unused, remedies): (Vec<String>, Vec<Option<String>>) =
        unused(environment, empty).into_iter().unzip();
    let what = match unused.as_slice() {
        [] => "no provider is configured, and no provider's key is in the environment".to_owned(),
        unused => format!("no provider is configured: {}", unused.join("; ")),
    };
    let what = match empty {
        Some(file) => format!("{what}; {file} was read, and nothing is set in it"),
        None => what,
    };
    let file = if empty.is_some() { "the file" } else { "a file modelswitch.toml" };
    let remedies: Vec<String> = remedies.into_iter().flatten().collect();
    let hint = match remedies.as_slice() {
        [] => format!(
            "set one of {}, or write {file} with a section such as [providers.deepseek]",
            list(variables())
        ),
        remedies => {
            format!("{}; or set another service's key, such as DEEPSEEK_API_KEY", remedies.join("; "))
        }
    };
    Error::config(what).with_code(NO_PROVIDER).with_hint(hint)
}

/// The variables whose being set is enough.
fn variables() -> Vec<String> {
    Profile::embedded_names()
        .filter_map(Profile::embedded)
        .filter(|profile| profile.auth.required && profile.base_url.is_some())
        .filter_map(|profile| profile.found_by().first().cloned())
        .collect()
}

/// Why each variable that may hold a key brings no provider, and what to do.
fn unused(environment: &Environment, empty: Option<&str>) -> Vec<(String, Option<String>)> {
    let mut seen: Vec<String> = Vec::new();
    let mut unused = Vec::new();
    for profile in Profile::embedded_names().chain([GONE]).filter_map(Profile::embedded) {
        let Some(variable) = environment.first_set(&profile.key_env) else {
            unused.extend(misspelt(environment, &profile));
            continue;
        };
        // Two profiles may be of one service, and the first is the usual one.
        if !seen.iter().any(|other| other == variable) {
            seen.push(variable.to_owned());
            unused.push(why(variable, &profile, empty));
        }
    }
    unused
}

fn why(variable: &str, profile: &Profile, empty: Option<&str>) -> (String, Option<String>) {
    let name = &profile.name;
    if let Some(gone) = &profile.gone {
        return (format!("{variable} is set, which is for {}, and {gone}", profile.title), None);
    }
    if profile.found_by().iter().any(|counts| counts == variable) {
        let places: Vec<&str> = profile.base_url_variables().collect();
        let why = format!("{variable} is set, and it isn't known where your `{name}` is");
        return (why, Some(format!("set {} too", places.join(" or "))));
    }
    let why =
        format!("{variable} is set, which alone doesn't bring `{name}`, since other programs use it too");
    let file = empty.unwrap_or("a file modelswitch.toml");
    (why, Some(format!("write [providers.{name}] into {file}, and it takes its key from {variable}")))
}

/// What somebody may have called the variable instead.
fn misspelt(environment: &Environment, profile: &Profile) -> Option<(String, Option<String>)> {
    let right = profile.found_by().first()?;
    let others = other_spellings(right);
    let wrong = environment.first_set(&others)?;
    Some((
        format!("{wrong} is set, and the variable's name is {right}"),
        Some(format!("set {right} instead")),
    ))
}
