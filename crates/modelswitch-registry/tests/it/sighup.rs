//! SIGHUP, sent to this process by the system's own `kill`.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use modelswitch_provider::{ChatRequest, ProviderExt};
use modelswitch_registry::{Events, Registry, RegistryEvent};
use modelswitch_sim::Sim;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{sleep, timeout};

use crate::reload::{File, fast_is};

/// A signal is for the whole process: who counts what comes of it must be alone.
static ALONE: Mutex<()> = Mutex::const_new(());

async fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().await
}

fn hang_up() {
    let sent = Command::new("kill").args(["-HUP", &std::process::id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Waits for what comes of a signal, however slow the machine is.
async fn until(what: impl AsyncFn() -> bool) {
    let waiting = async {
        while !what().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(60), waiting).await.unwrap();
}

async fn next(events: &mut Events) -> Option<RegistryEvent> {
    timeout(Duration::from_secs(60), events.next()).await.unwrap()
}

#[tokio::test]
async fn sighup_reloads_until_the_guard_is_dropped() {
    let _alone = alone().await;
    let file = File::new(&fast_is("a/old"));
    let registry = file.registry();
    let mut events = registry.events();
    let guard = registry.reload_on_sighup().unwrap();
    hang_up();
    assert!(matches!(next(&mut events).await, Some(RegistryEvent::Reloaded(changes)) if changes.is_empty()));

    file.replace(&fast_is("b/new"));
    hang_up();
    assert!(matches!(next(&mut events).await, Some(RegistryEvent::Reloaded(changes)) if !changes.is_empty()));

    drop(guard);
    file.replace("wrong");
    hang_up();
    // Another registry hears it: then this one would have, too.
    let other = File::new(&fast_is("a/x")).registry();
    let mut heard = other.events();
    let _guard = other.reload_on_sighup().unwrap();
    hang_up();
    next(&mut heard).await.unwrap();
    assert!(events.try_next().is_none());
    drop(registry);
    assert!(next(&mut events).await.is_none(), "the task has let go of the registry");
}

#[test]
fn outside_of_a_runtime_it_says_what_is_missing() {
    let registry = File::new(&fast_is("a/x")).registry();
    let error = registry.reload_on_sighup().unwrap_err();
    assert_eq!(error.message(), "SIGHUP can't be listened to: there is no tokio runtime");
}

/// The key of the last call, if there was one.
fn last_key(sim: &Sim) -> Option<String> {
    let last = sim.requests().pop()?;
    Some(last.header("authorization")?.trim_start_matches("Bearer ").to_owned())
}

async fn ask(registry: &Registry) {
    registry.router().chat(ChatRequest::user("Hi").model("deepseek/deepseek-flash")).await.unwrap();
}

fn at(sim: &Sim, key: &Path, more: &str) -> String {
    let (url, key) = (sim.base_url(), key.display());
    format!(
        "[providers.deepseek]\nbase_url = '{url}'\nretry.attempts = 1\napi_key = {{ command = ['cat', '{key}'] }}\n{more}"
    )
}

#[tokio::test]
async fn a_hangup_has_the_keys_of_commands_read_again_also_beside_a_wrong_file() {
    let _alone = alone().await;
    let sim = Sim::builder().any_key(true).start().await.unwrap();
    let file = File::new("");
    let key = file.folder().join("key");
    std::fs::write(&key, "sk-1").unwrap();
    file.replace(&at(&sim, &key, ""));
    let registry = file.registry();
    ask(&registry).await;
    let mut events = registry.events();
    let guard = registry.reload_on_sighup().unwrap();
    std::fs::write(&key, "sk-2").unwrap();
    hang_up();
    until(async || {
        ask(&registry).await;
        last_key(&sim).as_deref() == Some("sk-2")
    })
    .await;

    std::fs::write(&key, "sk-3").unwrap();
    file.replace("wrong");
    next(&mut events).await.unwrap();
    hang_up();
    assert!(matches!(next(&mut events).await, Some(RegistryEvent::ReloadFailed(_))));
    until(async || {
        ask(&registry).await;
        last_key(&sim).as_deref() == Some("sk-3")
    })
    .await;
    drop(guard);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_under_load_rotate_keys_and_models_and_lose_no_call() {
    let _alone = alone().await;
    let sim = Sim::builder().any_key(true).remember(1_000_000).start().await.unwrap();
    let file = File::new("");
    let key = file.folder().join("key");
    let rotate = |number: usize| {
        std::fs::write(key.with_extension("new"), format!("sk-{number}")).unwrap();
        std::fs::rename(key.with_extension("new"), &key).unwrap();
        file.replace(&at(&sim, &key, &format!("models = ['m{number}']")));
    };
    rotate(0);
    let registry = file.registry();
    let _guard = registry.reload_on_sighup().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..6)
        .map(|_| {
            let (registry, stop) = (registry.clone(), stop.clone());
            tokio::spawn(async move {
                let mut calls = 0;
                while !stop.load(Ordering::Relaxed) {
                    ask(&registry).await;
                    calls += 1;
                    // The simulator keeps each one, to be counted.
                    sleep(Duration::from_millis(5)).await;
                }
                calls
            })
        })
        .collect();
    for number in 1..=20 {
        rotate(number);
        hang_up();
        let model = format!("m{number}");
        until(async || {
            let is_read = registry.providers()[0].models.contains(&model);
            is_read && last_key(&sim) == Some(format!("sk-{number}"))
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut calls = 0;
    for caller in callers {
        calls += caller.await.unwrap();
    }
    assert_eq!(sim.requests().len(), calls, "one request a call");
}
