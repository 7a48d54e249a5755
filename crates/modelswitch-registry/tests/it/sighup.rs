use std::process::Command;
use std::time::Duration;

use modelswitch_registry::RegistryEvent;
use tokio::time::{sleep, timeout};

use crate::reload::{File, fast_is};

fn hang_up() {
    let sent = Command::new("kill").args(["-HUP", &std::process::id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[tokio::test]
async fn sighup_reloads_until_the_guard_is_dropped() {
    let file = File::new(&fast_is("a/old"));
    let registry = file.registry();
    let mut events = registry.events();
    let guard = registry.reload_on_sighup().unwrap();
    hang_up();
    let event = timeout(Duration::from_secs(5), events.next()).await.unwrap();
    assert!(matches!(event, Some(RegistryEvent::Reloaded(changes)) if changes.is_empty()));

    file.write(&fast_is("b/new"));
    hang_up();
    let event = timeout(Duration::from_secs(5), events.next()).await.unwrap();
    assert!(matches!(event, Some(RegistryEvent::Reloaded(changes)) if !changes.is_empty()));

    drop(guard);
    file.write("wrong");
    hang_up();
    sleep(Duration::from_millis(100)).await;
    assert!(events.try_next().is_none());
    drop(registry);
    assert!(events.next().await.is_none(), "the task has let go of the registry");
}

#[test]
fn outside_of_a_runtime_it_says_what_is_missing() {
    let registry = File::new(&fast_is("a/x")).registry();
    let error = registry.reload_on_sighup().unwrap_err();
    assert_eq!(error.message(), "SIGHUP can't be listened to: there is no tokio runtime");
}
