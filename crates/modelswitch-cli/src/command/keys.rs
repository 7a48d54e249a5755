//! `modelswitch keys`: keys in the keyring of this desktop. A key comes from standard input or a hidden prompt, never from
//! the command line, where every process could read it, and is never shown.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, BufRead, IsTerminal, Read, Write};

use console::Term;
use keyring_core::{Entry, Error};
use modelswitch_openai::Profile;
use modelswitch_provider::ApiKey;
use serde::Serialize;

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

/// Under what all keys are kept.
const SERVICE: &str = modelswitch_registry::Keyring::SERVICE;

pub(crate) async fn run(args: Args, common: &Common) -> Result<(), Failure> {
    // Providers that are configured may be asked for by name; a configuration with mistakes has none.
    let configured = common.registry().map(|registry| registry.providers()).unwrap_or_default();
    let configured: Vec<String> = configured.into_iter().map(|provider| provider.name).collect();
    // A keyring may wait for its owner to unlock it, and brings a runtime of its own.
    let done = tokio::task::spawn_blocking(move || act(&args.what, configured, &Desktop));
    done.await.map_err(|_| {
        Failure::local("the keyring gave up", "this is a mistake in modelswitch; please report it")
    })?
}

fn act(what: &What, configured: Vec<String>, keyring: &dyn Keyring) -> Result<(), Failure> {
    match what {
        What::Set { more, .. } if !more.is_empty() => Err(Failure::usage(
            "a key doesn't go on the command line (not shown)",
            "pipe it in, or type it at the prompt; if it was one, make a new key: it stands in the shell's history",
        )),
        What::Set { name, .. } => {
            let key = ApiKey::new(read_key(name)?)?;
            set(name, &key, keyring)?;
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

fn read_key(name: &str) -> Result<String, Failure> {
    if io::stdin().is_terminal() {
        write!(stderr(), "the key for {} (not shown): ", clean(name))?;
        return Ok(Term::stderr().read_secure_line()?);
    }
    // A key is a line; whoever pipes more has piped something else.
    const LONGEST: u64 = 64 << 10;
    let mut line = String::new();
    io::stdin().lock().take(LONGEST).read_line(&mut line)?;
    Ok(line)
}

/// Where keys are kept.
trait Keyring {
    /// The place for a key, whether there is one or not.
    fn entry(&self, name: &str) -> Result<Entry, Error>;
    /// The names that the keyring itself can tell; not every one can.
    fn names(&self) -> Vec<String>;
}

/// The keyring of the desktop: Keychain, Credential Manager, Secret Service.
struct Desktop;

impl Keyring for Desktop {
    fn entry(&self, name: &str) -> Result<Entry, Error> {
        keyring::Entry::new(SERVICE, name).map(|entry| entry.inner)
    }

    fn names(&self) -> Vec<String> {
        if keyring::Entry::store_status().is_err() {
            return Vec::new();
        }
        let found = Entry::search(&HashMap::from([("service", SERVICE)])).unwrap_or_default();
        let ours = found.iter().filter_map(Entry::get_specifiers).filter(|(service, _)| service == SERVICE);
        ours.map(|(_, name)| name).collect()
    }
}

fn set(name: &str, key: &ApiKey, keyring: &dyn Keyring) -> Result<(), Failure> {
    if name.trim().is_empty() {
        return Err(Failure::usage("a key needs a name", "name it after its provider, such as deepseek"));
    }
    let entry = keyring.entry(name).map_err(|error| failure(&error))?;
    entry.set_password(key.expose()).map_err(|error| failure(&error))
}

/// The names that are asked for: those that the keyring tells, that are configured, and that have a profile.
fn list(configured: Vec<String>, keyring: &dyn Keyring) -> Result<Vec<String>, Failure> {
    let profiles = Profile::embedded_names().map(str::to_owned);
    let names: BTreeSet<String> = keyring.names().into_iter().chain(configured).chain(profiles).collect();
    let mut there = Vec::new();
    for name in names {
        let read = keyring.entry(&name).and_then(|entry| entry.get_password());
        match read {
            Ok(_) => there.push(name),
            Err(Error::NoEntry) => {}
            Err(error) => return Err(failure(&error)),
        }
    }
    Ok(there)
}

fn remove(name: &str, keyring: &dyn Keyring) -> Result<(), Failure> {
    match keyring.entry(name).and_then(|entry| entry.delete_credential()) {
        Ok(()) => Ok(()),
        Err(Error::NoEntry) => Err(Failure::local(
            format!("there is no key under `{name}`"),
            "`modelswitch keys list` shows the names",
        )),
        Err(error) => Err(failure(&error)),
    }
}

/// Its own words stay out: they may hold what was read.
fn failure(error: &Error) -> Failure {
    let (what, hint) = match error {
        Error::NoDefaultStore | Error::PlatformFailure(_) => (
            "there is no keyring that can be used here",
            "a keyring belongs to a desktop session; elsewhere keep the key in a variable or a file",
        ),
        Error::NoStorageAccess(_) => ("the keyring is locked", "unlock it, and try again"),
        Error::TooLong(..) => ("the name or the key is too long for this keyring", "take a shorter name"),
        Error::Invalid(..) => {
            ("the keyring takes no such name", "name it after its provider, such as deepseek")
        }
        Error::Ambiguous(_) => (
            "the keyring has several keys under this name",
            "take all but one away with the desktop's own program",
        ),
        _ => ("the keyring failed", "look at it with the desktop's own program"),
    };
    Failure::local(what, hint)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use keyring_core::{CredentialStore, mock};

    use super::*;

    const CANARY: &str = "sk-canary0123456789";

    struct InMemory(Arc<CredentialStore>);

    impl InMemory {
        fn new() -> Self {
            Self(mock::Store::new().unwrap())
        }
    }

    impl Keyring for InMemory {
        fn entry(&self, name: &str) -> Result<Entry, Error> {
            Entry::new_in_store(&self.0, SERVICE, name)
        }
        fn names(&self) -> Vec<String> {
            Vec::new()
        }
    }

    #[test]
    fn a_key_is_kept_listed_and_forgotten() {
        let keyring = InMemory::new();
        let key = ApiKey::new(CANARY).unwrap();
        set("deepseek", &key, &keyring).unwrap();
        set("mine", &key, &keyring).unwrap();
        assert_eq!(list(vec!["mine".to_owned()], &keyring).unwrap(), ["deepseek", "mine"]);
        assert_eq!(keyring.entry("mine").unwrap().get_password().unwrap(), CANARY);
        remove("mine", &keyring).unwrap();
        assert_eq!(list(vec!["mine".to_owned()], &keyring).unwrap(), ["deepseek"]);
        let failure = format!("{:?}", remove("mine", &keyring).unwrap_err());
        assert!(failure.contains("no key under `mine`"), "{failure}");
    }

    #[test]
    fn what_a_keyring_says_about_a_failure_is_not_repeated() {
        for error in [
            Error::NoDefaultStore,
            Error::BadEncoding(CANARY.into()),
            Error::BadStoreFormat(CANARY.to_owned()),
            Error::TooLong(CANARY.to_owned(), 1),
            Error::PlatformFailure(CANARY.into()),
            Error::NoStorageAccess(CANARY.into()),
        ] {
            let shown = format!("{:?}", failure(&error));
            assert!(!shown.contains("canary"), "{shown}");
        }
    }
}
