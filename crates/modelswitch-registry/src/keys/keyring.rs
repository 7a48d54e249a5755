//! The keyring of the system: Keychain, Credential Manager, Secret Service. With the feature `keyring`.

use modelswitch_provider::{ApiKey, Error, Result};

/// The service under which this workspace's entries stand in the keyring.
#[cfg(feature = "keyring")]
const SERVICE: &str = "modelswitch";

/// Why no key can be had from a keyring, in a program that was built without it.
#[cfg(not(feature = "keyring"))]
pub(super) fn missing() -> Option<Error> {
    Some(Error::config("there is no key: this program was built without the keyring").with_hint(
        "build it with the feature `keyring` of modelswitch-registry, or write { env = \"VARIABLE\" }",
    ))
}

#[cfg(feature = "keyring")]
pub(super) fn missing() -> Option<Error> {
    None
}

/// Looks for an entry.
#[cfg(not(feature = "keyring"))]
#[expect(clippy::unused_async, reason = "with the feature it waits")]
pub(super) async fn read(_name: &str) -> Result<ApiKey> {
    Err(missing().unwrap_or_else(|| Error::config("there is no keyring")))
}

/// Looks for an entry, on a thread where it may wait: the keyring may ask a person to open it. A thread of its own, since a
/// runtime waits for those that it lent when it ends, and a keyring may wait for ever.
#[cfg(feature = "keyring")]
pub(super) async fn read(name: &str) -> Result<ApiKey> {
    let owned = name.to_owned();
    let found = answer_of(name, move || Keyring::get(&owned).map_err(|error| without_key(&error))).await?;
    found.ok_or_else(|| {
        Error::config(format!("there is no key: the keyring has no entry `{name}`")).with_hint(format!(
            "put it in: the keyring's service is `{SERVICE}` and its user `{name}`, or run `modelswitch keys set {name}`"
        ))
    })
}

#[cfg(feature = "keyring")]
async fn answer_of(
    name: &str,
    ask: impl FnOnce() -> Result<Option<ApiKey>> + Send + 'static,
) -> Result<Option<ApiKey>> {
    use std::time::Duration;
    /// Somebody may have to type a password first.
    const LIMIT: Duration = Duration::from_secs(60);

    let (tell, told) = tokio::sync::oneshot::channel();
    // Whoever asked may be gone by then.
    let asking = std::thread::Builder::new().name("modelswitch-keyring".to_owned()).spawn(move || {
        let _ = tell.send(ask());
    });
    asking.map_err(|error| {
        Error::config("there is no key: no thread can be had to ask the keyring on").with_source(error)
    })?;
    match tokio::time::timeout(LIMIT, told).await {
        Ok(Ok(found)) => found,
        Ok(Err(_)) => Err(Error::config(format!(
            "there is no key: asking the keyring for `{name}` panicked; what it said is in the program's own output"
        ))
        .with_hint("look at the entry with the system's own program, or write { env = \"VARIABLE\" }")),
        Err(_) => Err(Error::config(format!(
            "there is no key: the keyring gave no answer for `{name}` within {} s",
            LIMIT.as_secs()
        ))
        .with_hint("open the keyring")),
    }
}

/// The keyring of the system, where [`{ keyring = "name" }`](crate#keys) looks. With the feature `keyring`.
///
/// An entry stands under the service `modelswitch`, with its name as the user: the system's own programs show it too. Each
/// call may wait for a person who opens the keyring, so don't make it on a thread that has other things to do.
///
/// ```no_run
/// use modelswitch_provider::ApiKey;
/// use modelswitch_registry::Keyring;
///
/// Keyring::set("deepseek", &ApiKey::new("sk-0123")?)?;      // api_key = { keyring = "deepseek" }
/// assert!(Keyring::get("deepseek")?.is_some());
/// assert!(Keyring::remove("deepseek")?);
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[cfg(feature = "keyring")]
#[derive(Clone, Copy, Debug)]
pub struct Keyring;

#[cfg(feature = "keyring")]
impl Keyring {
    /// The service under which the entries stand.
    pub const SERVICE: &'static str = SERVICE;

    /// Keeps a key, in place of one of that name.
    ///
    /// # Errors
    /// [`Config`](modelswitch_provider::ErrorKind::Config) when the system has no keyring, or it stays closed.
    pub fn set(name: &str, key: &ApiKey) -> Result<()> {
        entry(name)?.set_password(key.expose()).map_err(|error| wrong(&error))
    }

    /// The key of that name; `None` when there is no such entry.
    ///
    /// # Errors
    /// As [`set`](Self::set), and for an entry that is no key.
    pub fn get(name: &str) -> Result<Option<ApiKey>> {
        match entry(name)?.get_password() {
            Ok(key) => ApiKey::new(key).map(Some),
            Err(::keyring::Error::NoEntry) => Ok(None),
            Err(error) => Err(wrong(&error)),
        }
    }

    /// Takes an entry out; says whether there was one.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn remove(name: &str) -> Result<bool> {
        match entry(name)?.delete_credential() {
            Ok(()) => Ok(true),
            Err(::keyring::Error::NoEntry) => Ok(false),
            Err(error) => Err(wrong(&error)),
        }
    }
}

#[cfg(feature = "keyring")]
fn entry(name: &str) -> Result<::keyring::Entry> {
    ::keyring::Entry::new(SERVICE, name).map_err(|error| wrong(&error))
}

#[cfg(feature = "keyring")]
fn without_key(error: &Error) -> Error {
    Error::config(format!("there is no key: {}", error.message())).with_hint(error.hint().to_owned())
}

/// The library's own text stays out: some of its errors carry what the entry holds.
#[cfg(feature = "keyring")]
fn wrong(error: &::keyring::Error) -> Error {
    use ::keyring::Error as Why;
    let (what, hint) = match error {
        Why::NoDefaultStore | Why::PlatformFailure(_) | Why::NotSupportedByStore(_) => (
            "there is no keyring that can be used here",
            "a keyring belongs to a desktop session, on Linux a Secret Service such as gnome-keyring; elsewhere keep the key in a variable or a file",
        ),
        Why::NoStorageAccess(_) => ("the keyring is locked", "unlock it, and try again"),
        Why::TooLong(..) => ("the name or the key is too long for this keyring", "take a shorter name"),
        Why::Invalid(..) => {
            ("the keyring takes no such name", "name the entry after its provider, such as deepseek")
        }
        Why::Ambiguous(_) => (
            "the keyring has several entries under this name",
            "take all but one away with the system's own program",
        ),
        _ => ("the keyring can't be used", "look at the entry with the system's own program"),
    };
    Error::config(what).with_hint(hint)
}

#[cfg(all(test, feature = "keyring"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_keyring_that_panics_is_not_told_as_one_that_is_closed() {
        let error = answer_of("deepseek", || panic!("on purpose")).await.unwrap_err();
        assert!(error.message().contains("asking the keyring for `deepseek` panicked"), "{error}");
    }

    #[test]
    fn a_keyring_that_never_answers_does_not_keep_a_runtime_from_ending() {
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async {
                let asked = answer_of("deepseek", move || {
                    let _ = held.recv();
                    Ok(None)
                });
                assert!(futures_util::FutureExt::now_or_never(asked).is_none());
            });
            drop(runtime);
            tell.send(()).unwrap();
        });
        assert!(told.recv_timeout(std::time::Duration::from_secs(60)).is_ok());
        drop(hold);
    }
}
