//! One place to read a key from: what the configuration says of it, and how it is read.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use modelswitch_openai::Profile;
use modelswitch_provider::{ApiKey, Error, Result};
use zeroize::Zeroizing;

use super::Folders;
use super::command::KeyCommand;
use super::keyring;
use crate::config::{KeyConfig, KeyEntry};
use crate::environment::Environment;
use crate::mistake::{begins_like_a_key, looks_like_a_key};

/// A key is a line. What is longer is something else, and isn't read into memory.
pub(super) const LONGEST: usize = 16 << 10;

/// One place to read a key from, and after how long it is read again.
#[derive(Clone, Debug)]
pub(crate) struct KeySource {
    place: KeyPlace,
    ttl: Option<Duration>,
}

#[derive(Clone, Debug)]
enum KeyPlace {
    Variables(Variables),
    File(PathBuf),
    Command(KeyCommand),
    Keyring(String),
}

#[derive(Clone, Debug)]
struct Variables {
    /// The first one that is set counts.
    names: Vec<String>,
    environment: Environment,
    /// What else the service's key may be called.
    others: Vec<String>,
    /// Where keys are made.
    key_url: Option<String>,
}

/// A key that was read.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) key: ApiKey,
    /// As what the file was found, to see when it is another one.
    pub(super) stamp: Option<Stamp>,
}

/// What tells one state of a file from the next. A file that is replaced, by a link in front of it too, has another
/// number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    changed: Option<SystemTime>,
    length: u64,
    number: (u64, u64),
}

/// What is wrong with where a key is said to be.
#[derive(Debug)]
pub(crate) struct WrongKey {
    /// The setting under `api_key`; empty for all of it.
    pub(crate) path: Vec<String>,
    pub(crate) what: &'static str,
    pub(crate) hint: &'static str,
}

impl KeySource {
    /// What the configuration says, checked: one place, or several that share the work. Empty where no key is needed and
    /// none is there.
    ///
    /// # Errors
    /// What is wrong and what to write, with the setting under `api_key` that it concerns.
    pub(crate) fn all(
        config: Option<&KeyConfig>,
        at: &Folders<'_>,
        profile: &Profile,
        environment: &Environment,
    ) -> Result<Vec<Self>, WrongKey> {
        let new = |entry| Self::new(entry, at, profile, environment);
        match config {
            None => Ok(Self::of_profile(profile, environment).into_iter().collect()),
            Some(KeyConfig::One(entry)) => Ok(vec![new(entry)?]),
            Some(KeyConfig::Pool(entries)) => {
                let numbered = entries.iter().enumerate();
                numbered.map(|(number, entry)| new(entry).map_err(|wrong| wrong.inside(number))).collect()
            }
        }
    }

    fn of_profile(profile: &Profile, environment: &Environment) -> Option<Self> {
        let is_there = environment.first_set(&profile.key_env).is_some();
        (is_there || profile.auth.required).then(|| Self {
            place: KeyPlace::Variables(Variables::new(&profile.key_env, profile, environment)),
            ttl: None,
        })
    }

    fn new(
        entry: &KeyEntry,
        at: &Folders<'_>,
        profile: &Profile,
        environment: &Environment,
    ) -> Result<Self, WrongKey> {
        let place = match (&entry.env, &entry.file, &entry.command, &entry.keyring) {
            (Some(variable), None, None, None) => {
                check_variable(variable)?;
                let names = std::slice::from_ref(variable);
                KeyPlace::Variables(Variables::new(names, profile, environment))
            }
            (None, Some(file), None, None) => KeyPlace::File(checked_path(file, at)?),
            (None, None, Some(argv), None) => {
                KeyPlace::Command(checked_command(argv, at, entry.timeout, environment)?)
            }
            (None, None, None, Some(name)) => KeyPlace::Keyring(checked_entry(name)?),
            (None, None, None, None) => {
                return Err(WrongKey::of_all(
                    "names no place to read a key from",
                    "write { env = \"VARIABLE\" }, { file = \"/path\" }, { command = [\"program\", \"argument\"] } or { keyring = \"name\" }",
                ));
            }
            _ => {
                return Err(WrongKey::of_all(
                    "names several places to read one key from",
                    "leave all but one of env, file, command and keyring out; for several keys write a list of them, [{ … }, { … }]",
                ));
            }
        };
        check_times(entry)?;
        Ok(Self { place, ttl: entry.ttl.or(entry.cache) })
    }

    /// What it is called, without anything that might be secret: `$DEEPSEEK_API_KEY`, a file's path, ``the command `op` ``.
    pub(crate) fn shown(&self) -> String {
        match &self.place {
            KeyPlace::Variables(variables) => variables.shown(),
            KeyPlace::File(path) => path.display().to_string(),
            KeyPlace::Command(command) => command.shown(),
            KeyPlace::Keyring(name) => format!("the keyring's `{name}`"),
        }
    }

    /// Whether it is the same place as before, read as often and waited for as long.
    pub(super) fn same_as(&self, before: &Self) -> bool {
        let same_limit = match (&self.place, &before.place) {
            (KeyPlace::Command(one), KeyPlace::Command(before)) => one.has_limit_of(before),
            (KeyPlace::Variables(_) | KeyPlace::File(_) | KeyPlace::Command(_) | KeyPlace::Keyring(_), _) => {
                true
            }
        };
        self.is_same_place(before) && same_limit && self.ttl == before.ttl
    }

    /// Whether it is the same place as before: a key that was read there is one of this place.
    pub(super) fn is_same_place(&self, before: &Self) -> bool {
        match (&self.place, &before.place) {
            (KeyPlace::Variables(one), KeyPlace::Variables(before)) => {
                one.shown() == before.shown() && !one.replaces(before)
            }
            (KeyPlace::File(one), KeyPlace::File(before)) => one == before,
            (KeyPlace::Command(one), KeyPlace::Command(before)) => one.runs_as(before),
            (KeyPlace::Keyring(one), KeyPlace::Keyring(before)) => one == before,
            (KeyPlace::Variables(_) | KeyPlace::File(_) | KeyPlace::Command(_) | KeyPlace::Keyring(_), _) => {
                false
            }
        }
    }

    /// Whether somebody else is asked for it, who may need long.
    pub(super) fn takes_time(&self) -> bool {
        match &self.place {
            KeyPlace::Command(_) | KeyPlace::Keyring(_) => true,
            KeyPlace::Variables(_) | KeyPlace::File(_) => false,
        }
    }

    /// The file that it is, if it is one.
    pub(super) fn file(&self) -> Option<&Path> {
        match &self.place {
            KeyPlace::File(path) => Some(path),
            KeyPlace::Variables(_) | KeyPlace::Command(_) | KeyPlace::Keyring(_) => None,
        }
    }

    /// Looks for the key once more, if that takes no time and asks nobody.
    pub(super) fn read_again_at_once(&self) -> Option<Result<Found>> {
        match &self.place {
            KeyPlace::File(path) => Some(from_file_again(path)),
            KeyPlace::Variables(_) | KeyPlace::Command(_) | KeyPlace::Keyring(_) => self.read_at_once(),
        }
    }

    /// After how long the key is read again.
    pub(super) fn ttl(&self) -> Option<Duration> {
        self.ttl
    }

    /// Looks for the key, if that takes no time and asks nobody.
    pub(super) fn read_at_once(&self) -> Option<Result<Found>> {
        match &self.place {
            KeyPlace::Variables(variables) => Some(variables.read()),
            KeyPlace::File(path) => Some(from_file(path)),
            KeyPlace::Keyring(_) => keyring::missing().map(Err),
            KeyPlace::Command(_) => None,
        }
    }

    /// Looks for the key. Dropping the future ends what was begun for it. A variable and a file are read on the thread of
    /// whoever asks, without waiting in between: keys are short, and their files stand on the machine's own disk or in
    /// its memory, as secrets that are mounted do.
    pub(super) async fn read(&self) -> Result<Found> {
        let key = match &self.place {
            KeyPlace::Variables(variables) => return variables.read(),
            KeyPlace::File(path) => return from_file_again(path),
            KeyPlace::Command(command) => command.read().await?,
            KeyPlace::Keyring(name) => keyring::read(name).await?,
        };
        Ok(Found { key, stamp: None })
    }

    /// As what its file is there now; `None` for what can't be watched by looking.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        match &self.place {
            KeyPlace::File(path) => Stamp::of(&std::fs::metadata(path).ok()?),
            KeyPlace::Variables(_) | KeyPlace::Command(_) | KeyPlace::Keyring(_) => None,
        }
    }

    /// What a person should know of where the key is kept.
    pub(super) fn warning(&self) -> Option<String> {
        match &self.place {
            KeyPlace::File(path) => open_to_others(path),
            KeyPlace::Variables(_) | KeyPlace::Command(_) | KeyPlace::Keyring(_) => None,
        }
    }
}

impl WrongKey {
    fn of_all(what: &'static str, hint: &'static str) -> Self {
        Self { path: Vec::new(), what, hint }
    }

    fn of(setting: &str, what: &'static str, hint: &'static str) -> Self {
        Self { path: vec![setting.to_owned()], what, hint }
    }

    fn inside(mut self, number: usize) -> Self {
        self.path.insert(0, number.to_string());
        self
    }
}

fn check_variable(name: &str) -> Result<(), WrongKey> {
    let is_name = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_name && !looks_like_a_key(name) {
        return Ok(());
    }
    let hint = if looks_like_a_key(name) {
        "write the variable's name here, and set that variable to the key; make a new key: this one stood in a file"
    } else {
        "write the variable's name here, and set that variable to the key"
    };
    Err(WrongKey::of("env", "is not the name of a variable: letters, digits and underscores", hint))
}

fn checked_path(file: &str, at: &Folders<'_>) -> Result<PathBuf, WrongKey> {
    if file.trim().is_empty() {
        return Err(WrongKey::of("file", "names no file", "write the path of the file that holds the key"));
    }
    if looks_like_a_key(file) && (!file.contains(['/', '\\']) || file.contains("://")) {
        return Err(WrongKey::of(
            "file",
            "looks like a key, not like the path of a file (not shown)",
            "write the path of the file that holds the key",
        ));
    }
    Ok(at.resolve(file))
}

fn checked_command(
    argv: &[String],
    at: &Folders<'_>,
    timeout: Option<Duration>,
    environment: &Environment,
) -> Result<KeyCommand, WrongKey> {
    let hint = "write the program and its arguments, such as [\"pass\", \"show\", \"deepseek\"]";
    let Some((program, arguments)) = argv.split_first().filter(|(program, _)| !program.trim().is_empty())
    else {
        return Err(WrongKey::of("command", "names no program", hint));
    };
    // Random letters may be the id of an entry, or of a folder; only what begins like a key is one for sure.
    let is_key = |text: &String| begins_like_a_key(text);
    if argv.iter().any(is_key) || (looks_like_a_key(program) && !program.contains(['/', '\\'])) {
        return Err(WrongKey::of(
            "command",
            "holds a key itself (not shown): keys don't stand in the configuration",
            "write a command that prints the key, or { env = \"VARIABLE\" }",
        ));
    }
    if arguments.is_empty() && program.trim().contains(' ') {
        return Err(WrongKey::of(
            "command",
            "is one text: no shell takes it apart",
            "write each argument as a text of its own, such as [\"pass\", \"show\", \"deepseek\"]",
        ));
    }
    // As with a shell, only what has a slash is a path.
    let is_path = program.contains('/') || program.contains(std::path::MAIN_SEPARATOR);
    let program = if is_path { at.resolve(program) } else { PathBuf::from(program) };
    Ok(KeyCommand::new(program, arguments.to_vec(), timeout, environment.clone()))
}

fn checked_entry(name: &str) -> Result<String, WrongKey> {
    if name.trim().is_empty() || looks_like_a_key(name) {
        return Err(WrongKey::of(
            "keyring",
            "is not the name of an entry in the keyring (not shown)",
            "write the name under which the key is kept, such as \"deepseek\"",
        ));
    }
    Ok(name.to_owned())
}

/// A setting that does nothing would be taken for one that does.
fn check_times(entry: &KeyEntry) -> Result<(), WrongKey> {
    let is_command = entry.command.is_some();
    let only = "counts only for a command";
    if entry.timeout.is_some() && !is_command {
        return Err(WrongKey::of("timeout", only, "take it out"));
    }
    if entry.cache.is_some() && !is_command {
        return Err(WrongKey::of("cache", only, "write ttl instead: after it the key is read again"));
    }
    if entry.cache.is_some() && entry.ttl.is_some() {
        return Err(WrongKey::of("ttl", "says the same as cache", "leave one of the two out"));
    }
    Ok(())
}

impl Variables {
    fn new(names: &[String], profile: &Profile, environment: &Environment) -> Self {
        let spelt_otherwise = names.iter().chain(&profile.key_env).flat_map(|name| other_spellings(name));
        Self {
            names: names.to_vec(),
            others: profile.key_env.iter().cloned().chain(spelt_otherwise).collect(),
            environment: environment.clone(),
            key_url: profile.key_url.as_ref().map(ToString::to_string),
        }
    }

    /// The one that is set, or all that would be looked at.
    fn shown(&self) -> String {
        if let Some(name) = self.environment.first_set(&self.names) {
            return format!("${name}");
        }
        let listed: Vec<String> = self.names.iter().map(|name| format!("${name}")).collect();
        listed.join(" or ")
    }

    /// Whether another key stands here than in variables that were read before: those of files are kept as they were.
    fn replaces(&self, before: &Self) -> bool {
        let key = |variables: &Self| Some(variables.environment.first_secret(&variables.names)?.1);
        key(self).is_some_and(|own| key(before).is_none_or(|before| own != before))
    }

    fn read(&self) -> Result<Found> {
        let Some((name, mut key)) = self.environment.first_secret(&self.names) else {
            return Err(self.nothing());
        };
        let key = ApiKey::new(std::mem::take(&mut *key)).map_err(|error| {
            Error::config(format!("${name}: {}", error.message()))
                .with_hint(format!("set {name} again: {}", error.hint()))
        })?;
        Ok(Found { key, stamp: None })
    }

    fn nothing(&self) -> Error {
        let message = match self.names.as_slice() {
            [] => "a key is needed, and no variable is named for it".to_owned(),
            [name] if self.environment.is_blank(name) => {
                format!("there is no key: ${name} is set to nothing")
            }
            _ => format!("there is no key: {} is not set", self.shown()),
        };
        let made = self.key_url.as_ref().map(|url| format!("; keys are made at {url}")).unwrap_or_default();
        let other = self.environment.first_set(&self.others);
        let hint = match (self.names.first(), other) {
            (Some(name), Some(other)) => {
                format!("{other} is set: write api_key = {{ env = \"{other}\" }}, or set {name} to the key")
            }
            (Some(name), None) => format!("set {name} to the key{made}"),
            (None, _) => format!("write api_key = {{ env = \"VARIABLE\" }}{made}"),
        };
        Error::config(message).with_hint(hint)
    }
}

/// What a key's variable may have been called by mistake.
pub(crate) fn other_spellings(variable: &str) -> Vec<String> {
    const ENDS: [&str; 6] = ["_API_KEY", "_KEY", "_APIKEY", "_API_TOKEN", "_TOKEN", "_SECRET_KEY"];
    let Some(stem) = ENDS.iter().find_map(|end| variable.strip_suffix(end)) else { return Vec::new() };
    ENDS.iter().map(|end| format!("{stem}{end}")).filter(|other| other != variable).collect()
}

/// A pipe gives its key once; whoever opens it again would wait for a writer.
fn from_file_again(path: &Path) -> Result<Found> {
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        let message = format!("there is no key: {} is not a file that can be read again", path.display());
        return Err(Error::config(message).with_hint("write the key to a file"));
    }
    from_file(path)
}

fn from_file(path: &Path) -> Result<Found> {
    let shown = path.display();
    let (text, stamp) = text_of(path).map_err(|error| {
        let (why, hint) = match error.kind() {
            std::io::ErrorKind::NotFound => ("does not exist", "write the key to that file, or name another"),
            std::io::ErrorKind::PermissionDenied => {
                ("may not be read by this process", "let this process read the file")
            }
            std::io::ErrorKind::InvalidData => ("is not text", "write the key alone to that file, as text"),
            std::io::ErrorKind::FileTooLarge => {
                ("is too long for a key", "write the key alone to that file, on one line")
            }
            _ => ("can't be read", "write the key to that file, or name another"),
        };
        Error::config(format!("there is no key: the file {shown} {why}")).with_hint(hint)
    })?;
    // Editors of one system begin a file with a mark that is none of it.
    let text = text.trim_start_matches('\u{feff}').trim();
    if let Some(what) = around_a_key(text) {
        return Err(Error::config(format!("the key file {shown}: {what}"))
            .with_hint("write the key to that file alone, without a name and without quotes"));
    }
    let key = ApiKey::new(text).map_err(|error| {
        Error::config(format!("the key file {shown}: {}", error.message()))
            .with_hint("write the key to that file alone, on one line")
    })?;
    Ok(Found { key, stamp })
}

/// What stands around a key, as in a `.env` file: a service would refuse it all as a wrong key.
fn around_a_key(text: &str) -> Option<&'static str> {
    let is_name = |name: &str| {
        let name = name.trim_start_matches("export ").trim();
        name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.contains('_')
            && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    if text.split_once('=').is_some_and(|(name, _)| is_name(name)) {
        return Some("it holds NAME=KEY, not the key alone");
    }
    let is_quoted = |quote: char| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
    (is_quoted('"') || is_quoted('\'')).then_some("the key stands in quotes")
}

/// The stamp is that of the file that was opened: what comes to its place meanwhile is seen at the next look.
fn text_of(path: &Path) -> std::io::Result<(Zeroizing<String>, Option<Stamp>)> {
    let file = File::open(path)?;
    let stamp = file.metadata().ok().as_ref().and_then(Stamp::of);
    // As large as it may become: what grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST + 1));
    file.take(LONGEST as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > LONGEST {
        return Err(std::io::ErrorKind::FileTooLarge.into());
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| std::io::ErrorKind::InvalidData)?;
    Ok((Zeroizing::new(text.to_owned()), stamp))
}

impl Stamp {
    /// `None` for what isn't a file to be read twice: a pipe gives its key once.
    fn of(metadata: &Metadata) -> Option<Self> {
        let number = number_of(metadata);
        metadata.is_file().then(|| Self { changed: metadata.modified().ok(), length: metadata.len(), number })
    }
}

#[cfg(unix)]
fn number_of(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn number_of(_: &Metadata) -> (u64, u64) {
    (0, 0)
}

#[cfg(unix)]
fn open_to_others(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then(|| {
        let shown = path.display();
        format!("the key file {shown} is open to others than its owner (mode {mode:04o}); chmod 600 {shown}")
    })
}

#[cfg(not(unix))]
fn open_to_others(_: &Path) -> Option<String> {
    None
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const CANARY: &str = "sk-canary0123456789";

    fn deepseek() -> Profile {
        Profile::embedded("deepseek").unwrap()
    }

    pub(in crate::keys) fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::fixed(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    fn folders() -> Folders<'static> {
        Folders { config: None, home: None }
    }

    fn one(profile: &Profile, entry: Option<KeyEntry>, environment: &Environment) -> KeySource {
        let config = entry.map(KeyConfig::One);
        let mut all = KeySource::all(config.as_ref(), &folders(), profile, environment).unwrap();
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    pub(in crate::keys) fn of_file(path: &Path, ttl: Option<Duration>) -> KeySource {
        KeySource { place: KeyPlace::File(path.to_owned()), ttl }
    }

    pub(in crate::keys) fn of_variable(
        name: &str,
        environment: Environment,
        ttl: Option<Duration>,
    ) -> KeySource {
        let names = vec![name.to_owned()];
        KeySource {
            place: KeyPlace::Variables(Variables { names, others: Vec::new(), environment, key_url: None }),
            ttl,
        }
    }

    pub(in crate::keys) fn of_command(command: KeyCommand, ttl: Option<Duration>) -> KeySource {
        KeySource { place: KeyPlace::Command(command), ttl }
    }

    fn variable(name: &str) -> Option<KeyEntry> {
        Some(KeyEntry { env: Some(name.to_owned()), ..KeyEntry::default() })
    }

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn read(source: &KeySource) -> Result<ApiKey> {
        source.read_at_once().unwrap().map(|found| found.key)
    }

    #[test]
    fn a_key_that_is_there_under_another_name_is_told_with_how_to_take_it() {
        let profile = Profile::embedded("deepseek").unwrap();
        for (named, there) in [("DEEPSEEK_KEY", "DEEPSEEK_API_KEY"), ("DEEPSEEK_API_KEY", "DEEPSEEK_TOKEN")] {
            let environment = Environment::fixed([(there.to_owned(), "sk-canary".to_owned())]);
            let error = Variables::new(&[named.to_owned()], &profile, &environment).nothing();
            let hint =
                format!("{there} is set: write api_key = {{ env = \"{there}\" }}, or set {named} to the key");
            assert_eq!(
                (error.message(), error.hint()),
                (&*format!("there is no key: ${named} is not set"), &*hint)
            );
        }
    }

    #[test]
    fn a_key_is_read_from_the_profiles_variable_or_the_named_one() {
        let environment = environment(&[("DEEPSEEK_API_KEY", CANARY), ("OTHER", "sk-other")]);
        for (entry, expected, shown) in
            [(None, CANARY, "$DEEPSEEK_API_KEY"), (variable("OTHER"), "sk-other", "$OTHER")]
        {
            let source = one(&deepseek(), entry, &environment);
            assert_eq!(source.shown(), shown);
            assert!(!format!("{source:?}").contains(expected));
            assert_eq!(read(&source).unwrap().expose(), expected);
        }
    }

    #[test]
    fn a_key_file_may_end_in_a_line_break() {
        let (_folder, path) = file(&format!("{CANARY}\n"));
        let source = of_file(&path, None);
        assert_eq!(source.shown(), path.display().to_string());
        assert_eq!(read(&source).unwrap().expose(), CANARY);
    }

    #[test]
    fn a_key_file_may_begin_with_a_mark_and_has_no_name_or_quotes_around_the_key() {
        let (_folder, path) = file(&format!("\u{feff}{CANARY}\r\n"));
        assert_eq!(read(&of_file(&path, None)).unwrap().expose(), CANARY);
        for (text, what) in [
            (format!("DEEPSEEK_API_KEY={CANARY}"), "it holds NAME=KEY, not the key alone"),
            (format!("export DEEPSEEK_API_KEY={CANARY}\n"), "it holds NAME=KEY, not the key alone"),
            (format!("\"{CANARY}\"\n"), "the key stands in quotes"),
            (format!("'{CANARY}'"), "the key stands in quotes"),
        ] {
            let (_folder, path) = file(&text);
            let error = read(&of_file(&path, None)).unwrap_err();
            assert!(error.message().ends_with(what), "{error}");
            assert!(!format!("{error:?} {}", error.report()).contains("canary"));
        }
        // A key may end in what base64 ends in.
        let (_folder, path) = file("dGVzdA_==");
        assert!(read(&of_file(&path, None)).is_ok());
    }

    #[test]
    fn a_key_with_a_line_break_inside_names_its_source_and_not_itself() {
        let broken = "sk-canary\n0123456789";
        let (_folder, path) = file(broken);
        let environment = environment(&[("DEEPSEEK_API_KEY", broken)]);
        for source in [one(&deepseek(), None, &environment), of_file(&path, None)] {
            let error = read(&source).unwrap_err();
            let shown = format!("{error} {error:?} {}", error.report());
            assert!(!shown.contains("canary") && !shown.contains("0123456789"), "{shown}");
            assert!(shown.contains("a line break at position 10"), "{shown}");
            assert!(shown.contains(&source.shown()), "{shown}");
        }
    }

    #[test]
    fn a_missing_key_names_what_to_set() {
        let unset = read(&one(&deepseek(), None, &environment(&[]))).unwrap_err();
        assert_eq!(unset.message(), "there is no key: $DEEPSEEK_API_KEY is not set");
        assert_eq!(
            unset.hint(),
            "set DEEPSEEK_API_KEY to the key; keys are made at https://platform.deepseek.com/api_keys"
        );
        let blank = environment(&[("DEEPSEEK_API_KEY", " ")]);
        let blank = read(&one(&deepseek(), None, &blank)).unwrap_err();
        assert_eq!(blank.message(), "there is no key: $DEEPSEEK_API_KEY is set to nothing");
        let file = read(&of_file(Path::new("/nowhere/key"), None)).unwrap_err();
        assert_eq!(file.message(), "there is no key: the file /nowhere/key does not exist");
    }

    #[test]
    fn a_file_that_is_no_key_is_not_read_into_memory() {
        let (_folder, path) = file(&"canary".repeat(LONGEST));
        let error = read(&of_file(&path, None)).unwrap_err();
        assert_eq!(
            error.message(),
            format!("there is no key: the file {} is too long for a key", path.display())
        );
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_pipe_is_not_waited_for_twice() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let error = of_file(&pipe, None).read().await.unwrap_err();
        assert!(error.message().ends_with("is not a file that can be read again"), "{error}");
    }

    #[test]
    fn a_profile_that_needs_no_key_does_without() {
        let llamacpp = Profile::embedded("llamacpp").unwrap();
        assert!(KeySource::all(None, &folders(), &llamacpp, &environment(&[])).unwrap().is_empty());
        // But one that is asked for by name must be there.
        assert!(read(&one(&llamacpp, variable("MINE"), &environment(&[]))).is_err());
    }

    #[test]
    fn a_file_has_another_stamp_when_it_is_written_or_replaced_by_a_link_in_front_of_it() {
        let (folder, path) = file("sk-old");
        let source = of_file(&path, None);
        let before = source.stamp();
        assert!(before.is_some() && before == source.stamp());
        std::fs::write(&path, "sk-newer").unwrap();
        assert_ne!(source.stamp(), before);
        #[cfg(unix)]
        {
            let (link, swap) = (folder.path().join("link"), folder.path().join("swap"));
            let old = folder.path().join("old");
            std::fs::write(&old, "sk-oldest").unwrap();
            std::os::unix::fs::symlink(&old, &link).unwrap();
            let source = of_file(&link, None);
            let before = source.stamp();
            std::os::unix::fs::symlink(&path, &swap).unwrap();
            std::fs::rename(&swap, &link).unwrap();
            assert_ne!(source.stamp(), before);
        }
        drop(folder);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_is_warned_of_through_a_link_too() {
        use std::os::unix::fs::PermissionsExt;
        let (folder, path) = file(CANARY);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for (mode, warned) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            for path in [&path, &link] {
                let warning = of_file(path, None).warning();
                assert_eq!(warning.is_some(), warned, "{mode:o}");
                assert!(warning.is_none_or(|text| text.contains(&format!("mode {mode:04o}"))));
            }
        }
    }
}
