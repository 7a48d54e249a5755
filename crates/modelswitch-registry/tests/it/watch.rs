use std::path::Path;
use std::time::Duration;

use modelswitch_provider::mock::MockProvider;
use modelswitch_provider::{ErrorKind, Result};
use modelswitch_registry::{Changes, Events, Registry, RegistryEvent, Watch, WatchOptions};
use tokio::time::{sleep, timeout};

use crate::reload::{File, fast_is};
use crate::support::*;

const DEBOUNCE: Duration = Duration::from_millis(60);
/// Only a test that fails waits so long.
const LONG: Duration = Duration::from_secs(60);

fn watch(registry: &Registry) -> Watch {
    let mut options = WatchOptions::default();
    options.debounce = DEBOUNCE;
    registry.watch_with(options).unwrap()
}

async fn next(events: &mut Events) -> Result<Changes> {
    match timeout(LONG, events.next()).await.unwrap() {
        Some(RegistryEvent::Reloaded(changes)) => Ok(changes),
        Some(RegistryEvent::ReloadFailed(error)) => Err(error),
        other => Err(modelswitch_provider::Error::config(format!("{other:?}"))),
    }
}

/// Nothing more is told, for as long as it would take.
async fn assert_quiet(events: &mut Events) {
    sleep(DEBOUNCE * 5).await;
    let event = events.try_next();
    assert!(event.is_none(), "{event:?}");
}

fn fast(registry: &Registry) -> String {
    registry.aliases().into_iter().map(|(_, target)| target).collect()
}

/// Waits until it is so. What is told meanwhile may be of a file that is half written, or not there.
async fn until_fast_is(registry: &Registry, events: &mut Events, target: &str) {
    while fast(registry) != target {
        let _ = next(events).await;
    }
}

/// A registry over a file in which `fast` is `a/old`, watched.
fn watched() -> (File, Registry, Events, Watch) {
    let file = File::new(&fast_is("a/old"));
    let registry = file.registry();
    let events = registry.events();
    let watch = watch(&registry);
    (file, registry, events, watch)
}

#[tokio::test]
async fn a_file_that_is_written_in_place_is_read_again() {
    let (file, registry, mut events, _watch) = watched();
    file.write(&fast_is("b/new"));
    until_fast_is(&registry, &mut events, "b/new").await;
}

fn replace(path: &Path, text: &str) {
    let temporary = path.with_extension("tmp~");
    std::fs::write(&temporary, text).unwrap();
    std::fs::rename(&temporary, path).unwrap();
}

#[tokio::test]
async fn a_file_that_is_replaced_by_a_rename_is_read_again_each_time() {
    let (file, registry, mut events, _watch) = watched();
    for round in 0..3 {
        let before = fast(&registry);
        replace(&file.path(), &fast_is(&format!("a/x{round}")));
        let changes = next(&mut events).await.unwrap();
        assert_eq!(changes.to_string(), format!("aliases: `fast` is a/x{round} (was {before})"));
        assert_eq!(fast(&registry), format!("a/x{round}"));
        assert_quiet(&mut events).await;
    }
    // As some editors do: the old one becomes the backup, then a new one is written.
    std::fs::rename(file.path(), file.folder().join("modelswitch.toml~")).unwrap();
    file.write(&fast_is("a/x3"));
    until_fast_is(&registry, &mut events, "a/x3").await;
}

#[tokio::test]
async fn a_file_that_is_deleted_and_made_again_is_read_again() {
    let (file, registry, mut events, _watch) = watched();
    std::fs::remove_file(file.path()).unwrap();
    let error = next(&mut events).await.unwrap_err();
    assert!(error.message().contains("there is no such file"), "{error}");
    assert_eq!(fast(&registry), "a/old", "what counted before still does");
    file.write(&fast_is("b/new"));
    until_fast_is(&registry, &mut events, "b/new").await;
}

#[tokio::test]
async fn a_folder_that_is_replaced_is_watched_in_its_new_form() {
    let top = tempfile::tempdir().unwrap();
    let (folder, other) = (top.path().join("conf"), top.path().join("conf.new"));
    let path = folder.join("modelswitch.toml");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(&path, fast_is("a/old")).unwrap();
    let registry = with(&[]).file(&path).build().unwrap();
    let mut events = registry.events();
    let _watch = watch(&registry);

    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("modelswitch.toml"), fast_is("a/swapped")).unwrap();
    std::fs::rename(&folder, top.path().join("conf.old")).unwrap();
    std::fs::rename(&other, &folder).unwrap();
    until_fast_is(&registry, &mut events, "a/swapped").await;

    std::fs::remove_dir_all(&folder).unwrap();
    while next(&mut events).await.is_ok() {}
    std::fs::create_dir(&folder).unwrap();
    sleep(DEBOUNCE * 3).await;
    std::fs::write(&path, fast_is("a/again")).unwrap();
    until_fast_is(&registry, &mut events, "a/again").await;
}

/// A mount as Kubernetes makes it: `modelswitch.toml` → `..data/modelswitch.toml`, `..data` → a folder with a time in its
/// name, and at a change `..data` is swapped for one to a new folder.
#[cfg(unix)]
#[tokio::test]
async fn a_mount_of_kubernetes_is_read_again_at_each_swap() {
    use std::os::unix::fs::symlink;

    let mount = tempfile::tempdir().unwrap();
    let at = |name: &str| mount.path().join(name);
    let put = |number: u32| {
        let folder = format!("..2026_11_25_{number}");
        std::fs::create_dir(at(&folder)).unwrap();
        std::fs::write(at(&folder).join("modelswitch.toml"), fast_is(&format!("a/x{number}"))).unwrap();
        symlink(&folder, at("..data_tmp")).unwrap();
        std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
        if let Some(before) = number.checked_sub(1) {
            std::fs::remove_dir_all(at(&format!("..2026_11_25_{before}"))).unwrap();
        }
    };
    put(0);
    symlink("..data/modelswitch.toml", at("modelswitch.toml")).unwrap();
    let registry = with(&[]).file(at("modelswitch.toml")).build().unwrap();
    let mut events = registry.events();
    let _watch = watch(&registry);
    for number in 1..=4 {
        put(number);
        next(&mut events).await.unwrap();
        assert_eq!(fast(&registry), format!("a/x{number}"));
        assert_quiet(&mut events).await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_on_the_way_that_is_swapped_and_the_file_behind_it_are_watched() {
    use std::os::unix::fs::symlink;

    let top = tempfile::tempdir().unwrap();
    let at = |name: &str| top.path().join(name);
    for release in ["v1", "v2"] {
        std::fs::create_dir_all(at(release).join("conf")).unwrap();
        std::fs::write(at(release).join("conf/modelswitch.toml"), fast_is(&format!("a/{release}"))).unwrap();
    }
    symlink("v1", at("current")).unwrap();
    let registry = with(&[]).file(at("current").join("conf/modelswitch.toml")).build().unwrap();
    let mut events = registry.events();
    let _watch = watch(&registry);

    symlink("v2", at("next")).unwrap();
    std::fs::rename(at("next"), at("current")).unwrap();
    until_fast_is(&registry, &mut events, "a/v2").await;
    std::fs::write(at("v2").join("conf/modelswitch.toml"), fast_is("a/v3")).unwrap();
    until_fast_is(&registry, &mut events, "a/v3").await;
}

#[tokio::test]
async fn many_writes_in_a_row_make_few_reloads_and_the_last_one_counts() {
    let (file, registry, mut events, _watch) = watched();
    let started = std::time::SystemTime::now();
    for round in 0..100 {
        file.write(&fast_is(&format!("a/x{round}")));
        sleep(Duration::from_millis(10)).await;
    }
    let mut reloads = 0;
    while fast(&registry) != "a/x99" {
        let _ = next(&mut events).await;
        reloads += 1;
    }
    // Before each it was quiet, and once more at the beginning.
    let most = started.elapsed().unwrap().as_millis() / DEBOUNCE.as_millis() + 1;
    assert!(reloads <= most, "{reloads} of at most {most}");
}

#[tokio::test]
async fn writes_that_never_pause_are_read_after_ten_times_the_quiet() {
    let (file, registry, mut events, _watch) = watched();
    let mut written = 0;
    let started = std::time::SystemTime::now();
    while fast(&registry) == "a/old" {
        written += 1;
        // Whole each time: half a file would be told as wrong.
        replace(&file.path(), &fast_is(&format!("a/x{written}")));
        sleep(Duration::from_millis(5)).await;
        assert!(started.elapsed().unwrap() < LONG);
    }
    next(&mut events).await.unwrap();
}

#[tokio::test]
async fn the_same_content_and_other_files_in_the_folder_reload_nothing() {
    let (file, _registry, mut events, _watch) = watched();
    replace(&file.path(), &fast_is("a/old"));
    std::fs::write(file.folder().join("app.log"), "a line").unwrap();
    assert_quiet(&mut events).await;
}

#[tokio::test]
async fn a_wrong_file_is_told_and_changes_nothing_until_it_is_mended() {
    let (file, registry, mut events, _watch) = watched();
    replace(&file.path(), "[providers.a]\nprofil = 'llamacpp'\n");
    let error = next(&mut events).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("did you mean `profile`?"), "{error}");
    assert_eq!(fast(&registry), "a/old");
    replace(&file.path(), &fast_is("a/old"));
    assert!(next(&mut events).await.unwrap().is_empty(), "it is told that all is well again");
}

#[tokio::test]
async fn a_factory_that_panics_is_told_and_the_watching_goes_on() {
    let file = File::new(&fast_is("a/old"));
    let builder = file.builder(&[]).factory("moody", |_, settings| {
        assert!(settings.value()["mood"] != "bad", "a factory's own words");
        Ok(std::sync::Arc::new(MockProvider::reply("hello")))
    });
    let registry = builder.build().unwrap();
    let mut events = registry.events();
    let _watch = watch(&registry);
    let of_mood =
        |mood: &str| format!("{}[providers.c]\nkind = 'moody'\nsettings.mood = '{mood}'\n", fast_is("a/new"));
    replace(&file.path(), &of_mood("bad"));
    let error = next(&mut events).await.unwrap_err();
    assert!(error.message().contains("panicked") && !error.message().contains("own words"), "{error}");
    assert_eq!(fast(&registry), "a/old", "what counted before still does");
    assert_eq!(registry.reload().unwrap_err().message(), error.message(), "whoever asks is told too");
    replace(&file.path(), &of_mood("good"));
    until_fast_is(&registry, &mut events, "a/new").await;
}

#[tokio::test]
async fn the_file_of_a_key_is_watched_too_even_one_that_came_with_a_reload() {
    let (file, _registry, mut events, _watch) = watched();
    let secrets = tempfile::tempdir().unwrap();
    let key = secrets.path().join("key");
    std::fs::write(&key, CANARY).unwrap();
    replace(&file.path(), &format!("[providers.deepseek]\napi_key = {{ file = '{}' }}\n", key.display()));
    next(&mut events).await.unwrap();
    assert_quiet(&mut events).await;
    replace(&key, "sk-another");
    let changes = next(&mut events).await.unwrap();
    assert_eq!(changes.to_string(), "providers: `deepseek` changed (api_key)");
    assert!(!format!("{changes:?}").contains("sk-"));
}

#[tokio::test]
async fn a_file_that_is_not_there_yet_is_waited_for() {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().to_str().unwrap();
    let variables = [("XDG_CONFIG_HOME", config), ("DEEPSEEK_API_KEY", "sk-0")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let registry = Registry::builder().environment(variables).build().unwrap();
    assert_eq!(registry.source(), "environment only");
    let mut events = registry.events();
    let _watch = watch(&registry);
    let folder = home.path().join("modelswitch");
    std::fs::create_dir(&folder).unwrap();
    sleep(DEBOUNCE * 3).await;
    std::fs::write(folder.join("modelswitch.toml"), fast_is("a/x")).unwrap();
    until_fast_is(&registry, &mut events, "a/x").await;
    assert!(registry.source().ends_with("modelswitch.toml"));
}

#[tokio::test]
async fn what_changed_before_it_was_watched_is_found() {
    let file = File::new(&fast_is("a/old"));
    let registry = file.registry();
    let mut events = registry.events();
    file.write(&fast_is("b/new"));
    let _watch = watch(&registry);
    next(&mut events).await.unwrap();
    assert_eq!(fast(&registry), "b/new");
}

#[tokio::test]
async fn a_dropped_guard_watches_no_longer_and_holds_nothing() {
    let (file, registry, mut events, guard) = watched();
    drop(guard);
    replace(&file.path(), &fast_is("b/new"));
    assert_quiet(&mut events).await;
    assert_eq!(fast(&registry), "a/old");

    // Until then it is the guard that keeps the registry alive, for a client for example.
    let guard = watch(&registry);
    next(&mut events).await.unwrap();
    drop(registry);
    replace(&file.path(), &fast_is("a/newer"));
    assert!(!next(&mut events).await.unwrap().is_empty());
    drop(guard);
    let end = timeout(LONG, events.next()).await.unwrap();
    assert!(end.is_none(), "the thread has let go of the registry");
}

#[test]
fn without_a_file_there_is_nothing_to_watch() {
    let registry = text("[providers.a]\nprofile = 'llamacpp'\n").build().unwrap();
    let error = registry.watch().unwrap_err();
    assert_eq!(
        error.message(),
        "there is no file to watch: the configuration comes from a text given in code"
    );
}
