//! `modelswitch keys`: keys in the keyring of this desktop. A key comes from standard input or a hidden prompt, never from
//! the command line, where every process could read it, and is never shown.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, BufRead, IsTerminal, Read, Write};

use console::Term;
use keyring_core::Entry;
use modelswitch_openai::Profile;
use modelswitch_provider::{ApiKey, Error};
use modelswitch_registry::{Keyring, NO_PROVIDER, Setting};
use serde::Serialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::write_json;
use crate::args::Common;
use crate::error::Failure;
use crate::table;
use crate::terminal::{DIM, clean, stderr};

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Keys are kept under the service `modelswitch`. A provider takes one with\n\
    api_key = { keyring = \"NAME\" } in the configuration.")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Keep a key; it is read from standard input, or asked for without being shown
    Set {
        /// The name to keep it under, usually the provider's
        name: String,

        /// A key that somebody wrote here all the same: it is refused without being repeated
        #[arg(hide = true, allow_hyphen_values = true)]
        more: Vec<String>,
    },
    /// List the names under which there are keys
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Forget a key
    Remove {
        /// The name that it is kept under
        name: String,
    },
}

pub(crate) async fn run(args: Args, common: &Common) -> Result<(), Failure> {
    let configured = match args.what {
        What::List { .. } => configured(common)?,
        What::Set { .. } | What::Remove { .. } => Vec::new(),
    };
    // A keyring may wait for its owner to unlock it, and brings a runtime of its own.
    let done = tokio::task::spawn_blocking(move || act(&args.what, configured, &Desktop));
    done.await.map_err(|_| {
        Failure::local("the keyring gave up", "this is a mistake in modelswitch; please report it")
    })?
}

/// The names under which the configuration's keys may be kept: those that it says, and its providers'. Where nothing is
/// configured, there are none.
fn configured(common: &Common) -> Result<Vec<String>, Failure> {
    let registry = match common.registry_to_look_at() {
        Err(error) if error.code() == Some(NO_PROVIDER) => return Ok(Vec::new()),
        registry => registry?,
    };
    let providers = registry.providers().into_iter().map(|provider| provider.name);
    let said = registry.settings().into_iter().flat_map(|Setting { path, value, .. }| match value {
        Value::String(name) if path.ends_with(".api_key.keyring") => vec![name],
        Value::Array(pool) if path.ends_with(".api_key") => {
            pool.iter().filter_map(|key| Some(key.get("keyring")?.as_str()?.to_owned())).collect()
        }
        _ => Vec::new(),
    });
    Ok(providers.chain(said).collect())
}

fn act(what: &What, configured: Vec<String>, keyring: &dyn Place) -> Result<(), Failure> {
    match what {
        What::Set { more, .. } if !more.is_empty() => Err(Failure::usage(
            "a key doesn't go on the command line (not shown)",
            "pipe it in, or type it at the prompt; if it was one, make a new key: it stands in the shell's history",
        )),
        What::Set { name, .. } if name.trim().is_empty() => {
            Err(Failure::usage("a key needs a name", "name it after its provider, such as deepseek"))
        }
        What::Set { name, .. } => {
            let line = read_key(name)?;
            if line.trim().is_empty() {
                return Err(Failure::usage("no key was given", "pipe it in, or type it at the prompt"));
            }
            let key = ApiKey::new(line.as_str())?;
            keyring.set(name, &key).map_err(failure)?;
            let name = clean(name);
            Ok(writeln!(stderr(), "kept; write {DIM}api_key = {{ keyring = \"{name}\" }}{DIM:#}")?)
        }
        What::List { json } => {
            let names = list(configured, keyring)?;
            if *json {
                return write_json(&names.into_iter().map(|name| Kept { name }).collect::<Vec<_>>());
            }
            Ok(table::write(["NAME"], names.into_iter().map(|name| [name]).collect())?)
        }
        What::Remove { name } => {
            remove(name, keyring)?;
            Ok(writeln!(stderr(), "forgotten")?)
        }
    }
}

#[derive(Debug, Serialize)]
struct Kept {
    name: String,
}

fn read_key(name: &str) -> Result<Zeroizing<String>, Failure> {
    if io::stdin().is_terminal() {
        write!(stderr(), "the key for {} (not shown): ", clean(name))?;
        return Ok(Zeroizing::new(Term::stderr().read_secure_line()?));
    }
    // A key is a line; whoever pipes more has piped something else. The whole has room from the beginning: what grows
    // leaves a copy behind.
    const LONGEST: u16 = u16::MAX;
    let mut line = Zeroizing::new(String::with_capacity(LONGEST.into()));
    io::stdin().lock().take(LONGEST.into()).read_line(&mut line)?;
    Ok(line)
}

/// Where keys are kept.
trait Place {
    fn set(&self, name: &str, key: &ApiKey) -> Result<(), Error>;
    fn has(&self, name: &str) -> Result<bool, Error>;
    /// Says whether there was one.
    fn remove(&self, name: &str) -> Result<bool, Error>;
    /// The names that the keyring itself can tell; not every one can.
    fn names(&self) -> Vec<String>;
}

/// The keyring of the desktop: Keychain, Credential Manager, Secret Service.
struct Desktop;

impl Place for Desktop {
    fn set(&self, name: &str, key: &ApiKey) -> Result<(), Error> {
        Keyring::set(name, key)
    }

    fn has(&self, name: &str) -> Result<bool, Error> {
        Ok(Keyring::get(name)?.is_some())
    }

    fn remove(&self, name: &str) -> Result<bool, Error> {
        Keyring::remove(name)
    }

    fn names(&self) -> Vec<String> {
        if keyring::Entry::store_status().is_err() {
            return Vec::new();
        }
        let found = Entry::search(&HashMap::from([("service", Keyring::SERVICE)])).unwrap_or_default();
        let ours = found.iter().filter_map(Entry::get_specifiers);
        ours.filter(|(service, _)| service == Keyring::SERVICE).map(|(_, name)| name).collect()
    }
}

/// The names that are asked for: those that the keyring tells, that are configured, and that have a profile.
fn list(configured: Vec<String>, keyring: &dyn Place) -> Result<Vec<String>, Failure> {
    let profiles = Profile::embedded_names().map(str::to_owned);
    let names: BTreeSet<String> = keyring.names().into_iter().chain(configured).chain(profiles).collect();
    let mut there = Vec::new();
    for name in names {
        if keyring.has(&name).map_err(failure)? {
            there.push(name);
        }
    }
    Ok(there)
}

fn remove(name: &str, keyring: &dyn Place) -> Result<(), Failure> {
    if keyring.remove(name).map_err(failure)? {
        return Ok(());
    }
    Err(Failure::local(
        format!("there is no key under `{}`", clean(name)),
        "`modelswitch keys list` shows the names",
    ))
}

/// It is this machine that fails, not the configuration.
fn failure(error: Error) -> Failure {
    Failure::local(error.message(), error.hint())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use clap::Parser;

    use super::*;

    /// A keyring that can't be searched.
    #[derive(Default)]
    struct InMemory(RefCell<BTreeSet<String>>);

    impl Place for InMemory {
        fn set(&self, name: &str, _: &ApiKey) -> Result<(), Error> {
            self.0.borrow_mut().insert(name.to_owned());
            Ok(())
        }
        fn has(&self, name: &str) -> Result<bool, Error> {
            Ok(self.0.borrow().contains(name))
        }
        fn remove(&self, name: &str) -> Result<bool, Error> {
            Ok(self.0.borrow_mut().remove(name))
        }
        fn names(&self) -> Vec<String> {
            Vec::new()
        }
    }

    #[test]
    fn a_key_is_kept_listed_and_forgotten() {
        let keyring = InMemory::default();
        let key = ApiKey::new("sk-canary0123456789").unwrap();
        keyring.set("deepseek", &key).unwrap();
        keyring.set("mine", &key).unwrap();
        assert_eq!(list(vec!["mine".to_owned()], &keyring).unwrap(), ["deepseek", "mine"]);
        remove("mine", &keyring).unwrap();
        assert_eq!(list(vec!["mine".to_owned()], &keyring).unwrap(), ["deepseek"]);
        let failure = format!("{:?}", remove("mine", &keyring).unwrap_err());
        assert!(failure.contains("no key under `mine`"), "{failure}");
    }

    #[test]
    fn names_that_the_configuration_keeps_keys_under_are_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("modelswitch.toml");
        let text = "[providers.deepseek]\napi_key = { keyring = 'work' }\n[providers.openai]\n\
                    api_key = [{ keyring = 'one' }, { env = 'X' }, { keyring = 'two' }]\n";
        std::fs::write(&config, text).unwrap();
        let cli = |path: &std::path::Path| {
            crate::args::Cli::parse_from(["modelswitch", "--config", path.to_str().unwrap(), "keys", "list"])
        };
        let mut names = configured(&cli(&config).common).unwrap();
        names.sort();
        assert_eq!(names, ["deepseek", "one", "openai", "two", "work"]);
        let failure = configured(&cli(&folder.path().join("nowhere.toml")).common).unwrap_err();
        assert!(format!("{failure:?}").contains("nowhere.toml"), "a wrong --config is told");
    }
}
