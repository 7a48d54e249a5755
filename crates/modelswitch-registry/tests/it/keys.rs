//! Keys that change while a registry is in use: real files, processes and sockets.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use modelswitch_provider::{ChatRequest, Error, ErrorKind, ProviderExt};
use modelswitch_registry::{KeyInfo, Registry, Stage};
use modelswitch_sim::{Personality, Sim};
use tempfile::TempDir;

use crate::support::*;

const MS: Duration = Duration::from_millis(1);

/// A DeepSeek at the simulator, whose keys are as said.
fn registry(sim: &Sim, keys: &str) -> Registry {
    let text = format!(
        "[providers.deepseek]\nbase_url = '{}'\napi_key = {keys}\n[retry]\nattempts = 1",
        sim.base_url()
    );
    text_with_variables(&text, &[]).unwrap()
}

fn text_with_variables(toml: &str, variables: &[(&str, &str)]) -> Result<Registry, Error> {
    with(variables).toml(toml).build()
}

async fn ask(registry: &Registry) -> Result<String, Error> {
    let request = ChatRequest::user("Hi").model("deepseek/deepseek-flash");
    registry.router().chat(request).await.map(|reply| reply.text())
}

fn key_info(registry: &Registry) -> KeyInfo {
    registry.providers().swap_remove(0).key
}

/// How often each key was asked with.
fn used(sim: &Sim) -> BTreeMap<String, usize> {
    let mut used = BTreeMap::new();
    for request in sim.requests() {
        let key = request.header("authorization").unwrap_or_default().trim_start_matches("Bearer ");
        *used.entry(key.to_owned()).or_default() += 1;
    }
    used
}

/// A file with a key, and how it is replaced without a gap.
struct KeyFile(TempDir, PathBuf);

impl KeyFile {
    fn new(key: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let file = Self(folder, path);
        file.rotate(key);
        file
    }

    fn rotate(&self, key: &str) {
        let new = self.0.path().join("new");
        std::fs::write(&new, key).unwrap();
        only_for_the_owner(&new);
        std::fs::rename(new, &self.1).unwrap();
    }

    fn config(&self) -> String {
        format!("{{ file = '{}' }}", self.1.display())
    }
}

#[cfg(unix)]
fn only_for_the_owner(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[cfg(not(unix))]
fn only_for_the_owner(_: &Path) {}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_file_is_rotated_under_load_and_no_call_is_lost() {
    let sim = Sim::builder().any_key(true).chunk_delay(5 * MS).start().await.unwrap();
    let file = KeyFile::new("sk-0");
    let registry = registry(&sim, &file.config());
    let done = Cell::new(false);
    let callers = (0..20).map(|_| async {
        let mut calls = 0_u32;
        while !done.get() {
            let request = ChatRequest::user("Hi").model("deepseek/deepseek-flash");
            let whole = registry.router().chat_stream(request).await.unwrap().completion().await.unwrap();
            assert!(whole.text().contains("Hi"));
            calls += 1;
        }
        calls
    });
    // Each key is replaced once the service has seen it: how long that takes is the machine's affair.
    let rotations = async {
        for number in 0..=3 {
            let key = format!("sk-{number}");
            file.rotate(&key);
            let seen = async {
                while !used(&sim).contains_key(&key) {
                    tokio::time::sleep(20 * MS).await;
                }
            };
            tokio::time::timeout(30_000 * MS, seen).await.unwrap_or_else(|_| panic!("{key} is never used"));
        }
        done.set(true);
    };
    let (calls, ()) = futures_util::future::join(join_all(callers), rotations).await;
    assert_eq!(used(&sim).values().sum::<usize>(), calls.iter().sum::<u32>() as usize, "one request a call");
    sim.clear_requests();
    ask(&registry).await.unwrap();
    assert_eq!(self::used(&sim), [("sk-3".to_owned(), 1)].into());
}

#[tokio::test]
async fn a_stream_that_began_finishes_with_its_key_after_a_rotation() {
    let sim = Sim::builder().any_key(true).chunk_delay(30 * MS).start().await.unwrap();
    let file = KeyFile::new("sk-old");
    let registry = registry(&sim, &file.config());
    let request = ChatRequest::user("Hi").model("deepseek/deepseek-flash");
    let mut stream = registry.router().chat_stream(request).await.unwrap();
    stream.next().await.unwrap().unwrap();
    file.rotate("sk-new");
    let changed = registry.refresh_keys().await;
    assert!(changed[0].changed && changed[0].provider == "deepseek");
    ask(&registry).await.unwrap();
    assert!(stream.completion().await.is_ok());
    assert_eq!(used(&sim), [("sk-old".to_owned(), 1), ("sk-new".to_owned(), 1)].into());
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_calls_that_meet_a_401_together_cause_one_read() {
    let sim = Sim::builder().key("sk-new").start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (runs, key) = (folder.path().join("runs"), folder.path().join("key"));
    let script = format!("echo x >> {}; sleep 0.2; cat {}", runs.display(), key.display());
    let registry = registry(&sim, &format!("{{ command = ['sh', '-c', '{script}'] }}"));
    let count = || std::fs::read_to_string(&runs).unwrap_or_default().lines().count();
    assert_eq!(count(), 0, "a build asks nobody");

    std::fs::write(&key, "sk-old").unwrap();
    assert!(registry.refresh_keys().await[0].changed);
    std::fs::write(&key, "sk-new").unwrap();
    for answer in join_all((0..50).map(|_| ask(&registry))).await {
        answer.unwrap();
    }
    assert_eq!(count(), 2);
    assert_eq!(used(&sim), [("sk-old".to_owned(), 50), ("sk-new".to_owned(), 50)].into());
}

#[tokio::test]
async fn a_pool_spreads_and_goes_on_with_the_keys_that_work() {
    for (bad, kind) in [
        ("sk-wrong", ErrorKind::Authentication),
        ("sk-no-balance", ErrorKind::InsufficientBalance),
        ("sk-rate-limited", ErrorKind::RateLimited),
    ] {
        let sim = Sim::builder().key("sk-good").start().await.unwrap();
        let text = format!(
            "[providers.deepseek]\nbase_url = '{}'\napi_key = [{{ env = 'BAD' }}, {{ env = 'GOOD' }}]\n[retry]\nattempts = 1",
            sim.base_url()
        );
        let registry = text_with_variables(&text, &[("BAD", bad), ("GOOD", "sk-good")]).unwrap();
        for _ in 0..6 {
            ask(&registry).await.unwrap();
        }
        assert_eq!(used(&sim), [(bad.to_owned(), 1), ("sk-good".to_owned(), 6)].into());
        let info = key_info(&registry);
        assert_eq!(info.source, "$BAD, $GOOD");
        assert!(info.set && info.resting.is_none());
        assert!(info.pool[0].resting.is_some() && info.pool[1].resting.is_none(), "{kind}");
        assert!(registry.balance("deepseek").await.is_ok());
    }
}

#[tokio::test]
async fn keys_that_all_work_share_the_calls() {
    let sim = Sim::builder().personality(Personality::OpenAi).any_key(true).start().await.unwrap();
    let text = format!(
        "[providers.mine]\nprofile = 'openai-compatible'\nbase_url = '{}'\napi_key = [{{ env = 'A' }}, {{ env = 'B' }}, {{ env = 'C' }}]",
        sim.base_url()
    );
    let registry = text_with_variables(&text, &[("A", "sk-a"), ("B", "sk-b"), ("C", "sk-c")]).unwrap();
    let provider = registry.provider("mine").unwrap();
    for _ in 0..9 {
        provider.chat(ChatRequest::user("Hi").model("sim-small")).await.unwrap();
    }
    assert!(used(&sim).values().all(|count| *count == 3), "{:?}", used(&sim));
}

#[tokio::test]
async fn a_key_that_comes_later_is_found_without_a_restart() {
    let sim = Sim::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let registry = registry(&sim, &format!("{{ file = '{}' }}", path.display()));
    let error = ask(&registry).await.unwrap_err();
    assert_eq!((error.kind(), error.provider()), (ErrorKind::Config, Some("deepseek")));
    assert!(!key_info(&registry).set);
    std::fs::write(&path, sim.key()).unwrap();
    ask(&registry).await.unwrap();
    assert!(key_info(&registry).set);
}

#[cfg(unix)]
#[tokio::test]
async fn a_slow_command_is_cut_off_at_its_time_limit() {
    let sim = Sim::start().await.unwrap();
    let registry = registry(&sim, "{ command = ['sleep', '600'], timeout = '200ms' }");
    let error = tokio::time::timeout(60_000 * MS, ask(&registry)).await.unwrap().unwrap_err();
    assert_eq!(
        error.message(),
        "there is no key: the command `sleep` gave no key within 0.2 s and was stopped"
    );
    assert!(sim.requests().is_empty());
}

#[cfg(unix)]
#[tokio::test]
async fn what_a_command_prints_is_used_for_so_long_and_then_asked_for_again() {
    let sim = Sim::builder().any_key(true).start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let script = format!("echo x >> {0}; printf sk-; wc -l < {0} | tr -d \" \"", runs.display());
    let command = format!("command = ['sh', '-c', '{script}']");
    let long = registry(&sim, &format!("{{ {command}, cache = '1h' }}"));
    for _ in 0..3 {
        ask(&long).await.unwrap();
    }
    assert_eq!(used(&sim), [("sk-1".to_owned(), 3)].into());
    // Both names mean the same.
    for name in ["cache", "ttl"] {
        std::fs::remove_file(&runs).unwrap();
        sim.clear_requests();
        let short = registry(&sim, &format!("{{ {command}, {name} = '10ms' }}"));
        until(&short, || used(&sim).contains_key("sk-3")).await;
        assert!(used(&sim).contains_key("sk-1"));
    }
}

/// Asks until that is so, however long the machine needs.
#[cfg(unix)]
async fn until(registry: &Registry, is_so: impl Fn() -> bool) {
    let asking = async {
        while !is_so() {
            ask(registry).await.unwrap();
            tokio::time::sleep(10 * MS).await;
        }
    };
    tokio::time::timeout(60_000 * MS, asking).await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn no_call_with_a_short_deadline_is_lost_while_a_vault_hangs() {
    let sim = Sim::builder().any_key(true).start().await.unwrap();
    let (folder, file) = (tempfile::tempdir().unwrap(), KeyFile::new("sk-1"));
    let hang = folder.path().join("hang");
    let script = format!("while [ -e {} ]; do sleep 0.05; done; cat {}", hang.display(), file.1.display());
    let command = format!("{{ command = ['sh', '-c', '{script}'], ttl = '10ms', timeout = '10m' }}");
    let registry = registry(&sim, &command);
    ask(&registry).await.unwrap();
    std::fs::write(&hang, "").unwrap();
    file.rotate("sk-2");
    tokio::time::sleep(20 * MS).await;
    sim.clear_requests();
    // One is given up while it waits; what it began isn't waited for by the next ones.
    drop(tokio::time::timeout(50 * MS, ask(&registry)).await);
    for _ in 0..4 {
        tokio::time::timeout(60_000 * MS, ask(&registry)).await.unwrap().unwrap();
    }
    assert!(used(&sim).get("sk-1").is_some_and(|calls| *calls >= 4));
    std::fs::remove_file(&hang).unwrap();
    until(&registry, || used(&sim).contains_key("sk-2")).await;
}

#[cfg(unix)]
#[tokio::test]
async fn neither_output_nor_complaints_of_a_command_show_anywhere() {
    let sim = Sim::start().await.unwrap();
    for script in [
        format!("echo {CANARY}; echo {CANARY} >&2; exit 3"),
        format!("echo {CANARY} {CANARY}"),
        format!("echo {CANARY}; echo {CANARY}"),
        // It is a key, and a wrong one: the service repeats its end.
        format!("echo {CANARY}; echo {CANARY} >&2"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script-canary");
        std::fs::write(&path, script).unwrap();
        let registry = registry(&sim, &format!("{{ command = ['sh', '{}'] }}", path.display()));
        let error = ask(&registry).await.unwrap_err();
        let report = registry.check_provider("deepseek").await.unwrap();
        let refreshed = registry.refresh_keys().await;
        let json = [
            serde_json::to_string(&registry.providers()).unwrap(),
            serde_json::to_string(&report).unwrap(),
            serde_json::to_string(&refreshed).unwrap(),
        ];
        let shown = format!("{}\n{registry:?}\n{report:?}\n{refreshed:?}\n{json:?}", shown(&error));
        assert!(!shown.contains("canary"), "{shown}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_key_file_that_others_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let sim = Sim::start().await.unwrap();
    let file = KeyFile::new(sim.key());
    assert!(registry(&sim, &file.config()).warnings().is_empty());
    std::fs::set_permissions(&file.1, std::fs::Permissions::from_mode(0o644)).unwrap();
    let registry = registry(&sim, &format!("[{}, {{ env = 'NONE' }}]", file.config()));
    let expected = format!(
        "the key file {0} is open to others than its owner (mode 0644); chmod 600 {0}",
        file.1.display()
    );
    assert_eq!(registry.warnings(), [expected]);
}

#[cfg(unix)]
#[tokio::test]
async fn the_check_looks_for_keys_that_take_time() {
    let sim = Sim::start().await.unwrap();
    let file = KeyFile::new(sim.key());
    let registry = registry(&sim, &format!("{{ command = ['cat', '{}'] }}", file.1.display()));
    assert!(!key_info(&registry).looked_for && registry.providers()[0].is_usable());
    let report = registry.check_provider("deepseek").await.unwrap();
    let key = report.stages.iter().find(|one| one.stage == Stage::Key).unwrap();
    assert_eq!(key.detail, "the command `cat`");
    assert!(key_info(&registry).looked_for);
}

#[cfg(not(feature = "keyring"))]
#[tokio::test]
async fn without_the_keyring_the_error_says_how_to_get_it() {
    let sim = Sim::start().await.unwrap();
    let error = ask(&registry(&sim, "{ keyring = 'deepseek' }")).await.unwrap_err();
    assert_eq!(error.message(), "there is no key: this program was built without the keyring");
    assert!(error.hint().contains("feature `keyring`"), "{}", error.hint());
}

#[cfg(feature = "keyring")]
#[tokio::test]
async fn a_keyring_that_is_not_there_is_told_without_its_own_words() {
    let sim = Sim::start().await.unwrap();
    let registry = registry(&sim, "{ keyring = 'modelswitch-test-no-such-entry' }");
    assert!(!key_info(&registry).looked_for, "a build asks nobody");
    let error = ask(&registry).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().starts_with("there is no key: "), "{error}");
    assert!(std::error::Error::source(&error).is_none());
}

/// `dbus-run-session -- sh -c 'echo | gnome-keyring-daemon --unlock --components=secrets; cargo test … -- --ignored'`
#[cfg(feature = "keyring")]
#[tokio::test]
#[ignore = "needs an open keyring, into which it puts an entry"]
async fn an_entry_of_the_keyring_is_the_key_and_its_rotation_is_taken_up() {
    use modelswitch_provider::ApiKey;
    use modelswitch_registry::Keyring;

    const ENTRY: &str = "modelswitch-test-rotation";
    let keep = |key: &'static str| {
        tokio::task::spawn_blocking(move || Keyring::set(ENTRY, &ApiKey::new(key).unwrap()).unwrap())
    };
    let sim = Sim::builder().any_key(true).start().await.unwrap();
    let registry = registry(&sim, &format!("{{ keyring = '{ENTRY}' }}"));
    assert!(ask(&registry).await.unwrap_err().message().contains("no entry"));
    for key in ["sk-1", "sk-2"] {
        keep(key).await.unwrap();
        registry.refresh_keys().await;
        ask(&registry).await.unwrap();
    }
    assert_eq!(used(&sim), [("sk-1".to_owned(), 1), ("sk-2".to_owned(), 1)].into());
    let removed = tokio::task::spawn_blocking(|| [Keyring::remove(ENTRY), Keyring::remove(ENTRY)]);
    assert_eq!(removed.await.unwrap().map(Result::unwrap), [true, false]);
}
