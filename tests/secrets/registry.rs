//! What a registry tells of itself while keys of every source change under it: nothing of it may show one.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use modelswitch::prelude::*;
use modelswitch::provider::mock::MockProvider;
use modelswitch::registry::{CheckOptions, Events, RegistryEvent, WatchOptions};
use modelswitch::{ApiKey, Registry};
use modelswitch_sim::Sim;
use serde::Serialize;

use crate::configuration::said;
use crate::{listen, shows_none_of};

const IN_ENV: &str = "sk-env-canary-0123456789";
const IN_FILE: &str = "sk-file-canary-0123456789";
const ROTATED: &str = "sk-rotated-canary-0123456789";
const BY_COMMAND: &str = "sk-command-canary-0123456789";
const IN_CODE: &str = "sk-code-canary-0123456789";
const IN_HEADER: &str = "sk-header-canary-0123456789";
const ALL: [&str; 6] = [IN_ENV, IN_FILE, ROTATED, BY_COMMAND, IN_CODE, IN_HEADER];

/// What a value shows in every way that it has.
fn all_of<T: std::fmt::Debug + Serialize>(value: &T) -> String {
    format!("{value:?} {value:#?} {}\n", serde_json::to_string(value).unwrap())
}

/// One provider for each way to have a key, and a pool of all of them.
fn configuration(url: &str, file: &Path) -> String {
    let printed = file.with_extension("printed");
    std::fs::write(&printed, BY_COMMAND).unwrap();
    let (file, printed) = (file.display(), printed.display());
    let sources = [
        ("by_env", "api_key = { env = 'MY_KEY' }".to_owned()),
        ("by_file", format!("api_key = {{ file = '{file}' }}")),
        ("by_command", format!("api_key = {{ command = ['cat', '{printed}'], cache = '1h' }}")),
        ("failing", format!("api_key = {{ command = ['sh', '-c', 'cat {printed} >&2; exit 3'] }}")),
        ("in_code", String::new()),
        (
            "pool",
            format!(
                "api_key = [{{ env = 'MY_KEY' }}, {{ file = '{file}' }}, {{ command = ['cat', '{printed}'] }}]"
            ),
        ),
    ];
    let mut text = "[providers.made]\nkind = 'parrot'\nsettings = { says = 'hello' }\n".to_owned();
    for (name, source) in sources {
        writeln!(
            text,
            "[providers.{name}]\nprofile = 'deepseek'\nbase_url = '{url}'\nheaders = {{ x-team = '{IN_HEADER}' }}\n{source}"
        )
        .unwrap();
    }
    text + "[retry]\nattempts = 1\n"
}

async fn tell_everything(registry: &Registry, disk: &Path) -> String {
    let mut shown = format!("{registry:?} {:#?} {}\n", registry.router(), registry.source());
    for info in registry.providers() {
        shown += &all_of(&info);
        match registry.provider(&info.name) {
            Ok(provider) => {
                write!(shown, "{provider:?} {provider:#?}").unwrap();
                if let Err(error) = provider.chat(ChatRequest::user("Hi").model("deepseek-flash")).await {
                    shown += &said(&error);
                }
            }
            Err(error) => shown += &said(&error),
        }
        match registry.balance(&info.name).await {
            Ok(balance) => write!(shown, "{balance:?}").unwrap(),
            Err(error) => shown += &said(&error),
        }
    }
    for setting in registry.settings() {
        shown += &all_of(&setting);
    }
    let options = CheckOptions::new();
    write!(shown, "{options:?}").unwrap();
    let mut reports = registry.check_all(options);
    while let Some(report) = reports.next().await {
        shown += &all_of(&report);
    }
    let catalogue = registry.catalogue().on_disk(disk);
    write!(shown, "{catalogue:?}").unwrap();
    for provider in catalogue.refresh().await {
        write!(shown, "{provider:?}").unwrap();
        for model in &provider.models {
            shown += &all_of(model);
        }
    }
    for entry in std::fs::read_dir(disk).into_iter().flatten() {
        shown += &std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
    }
    for refresh in registry.refresh_keys().await {
        write!(shown, "{refresh:?} {refresh:#?}").unwrap();
    }
    write!(shown, "{:?} {:?}", registry.warnings(), registry.aliases()).unwrap();
    shown
}

fn told(events: &mut Events) -> String {
    let mut shown = format!("{events:?}");
    while let Some(event) = events.try_next() {
        write!(shown, "{event:?} {event:#?}").unwrap();
    }
    shown
}

#[tokio::test]
async fn a_registry_shows_no_key_while_keys_of_every_source_change_under_it() {
    listen::begin();
    let folder = tempfile::tempdir().unwrap();
    let (key, config, disk) =
        (folder.path().join("key"), folder.path().join("modelswitch.toml"), folder.path().join("catalogue"));
    std::fs::write(&key, IN_FILE).unwrap();
    for sim in [Sim::builder().any_key(true).start().await.unwrap(), Sim::start().await.unwrap()] {
        std::fs::write(&config, configuration(sim.base_url(), &key)).unwrap();
        let builder = Registry::builder()
            .file(&config)
            .environment([("MY_KEY".to_owned(), IN_ENV.to_owned())])
            .api_key("in_code", ApiKey::new(IN_CODE).unwrap())
            .factory("parrot", |_, settings| {
                tracing::info!(?settings, "making one");
                Ok(std::sync::Arc::new(MockProvider::reply(format!("{settings:?}"))))
            });
        let mut shown = format!("{builder:?}");
        let registry = builder.build().unwrap();
        let mut events = registry.events();
        let watch = registry.watch_with(WatchOptions::default()).unwrap();
        write!(shown, "{watch:?}").unwrap();
        shown += &tell_everything(&registry, &disk).await;

        std::fs::write(&key, ROTATED).unwrap();
        write!(shown, "{:?}", registry.refresh_keys().await).unwrap();
        std::fs::write(
            &config,
            configuration(sim.base_url(), &key) + "[models]\nfast = 'pool/deepseek-flash'\n",
        )
        .unwrap();
        write!(shown, "{:?}", registry.reload()).unwrap();
        shown += &tell_everything(&registry, &disk).await;

        std::fs::write(&config, format!("[providers.pool]\napi_key = ['{IN_FILE}', '{ROTATED}']")).unwrap();
        // The thread that watches reads it too, and says so in the log.
        let refused = async {
            while let Some(event) = events.next().await {
                write!(shown, "{event:?} {event:#?}").unwrap();
                if matches!(event, RegistryEvent::ReloadFailed(_)) {
                    break;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), refused).await.unwrap();
        shown += &said(&registry.reload().unwrap_err());
        shown += &told(&mut events);
        drop(watch);
        assert!(listen::heard_by_all().contains("configuration not taken"));
        shows_none_of(&ALL, &(shown + &listen::heard() + &listen::heard_by_all()));
    }
}

/// A canary that the test above would find if it were shown: it does reach the service.
#[tokio::test]
async fn every_source_of_keys_is_asked_with() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, IN_FILE).unwrap();
    let sim = Sim::builder().any_key(true).start().await.unwrap();
    let registry = Registry::builder()
        .toml(configuration(sim.base_url(), &key))
        .environment([("MY_KEY".to_owned(), IN_ENV.to_owned())])
        .api_key("in_code", ApiKey::new(IN_CODE).unwrap())
        .factory("parrot", |_, _| Ok(std::sync::Arc::new(MockProvider::reply("hello"))))
        .build()
        .unwrap();
    for name in ["by_env", "by_file", "by_command", "in_code", "pool"] {
        let provider = registry.provider(name).unwrap();
        let answer = provider.chat(ChatRequest::user("Hi").model("deepseek-flash"));
        tokio::time::timeout(Duration::from_secs(60), answer).await.unwrap().unwrap();
    }
    let sent: Vec<String> = sim
        .requests()
        .iter()
        .filter_map(|request| request.header("authorization").map(str::to_owned))
        .collect();
    for canary in [IN_ENV, IN_FILE, BY_COMMAND, IN_CODE] {
        assert!(sent.iter().any(|header| header.ends_with(canary)), "{canary} is used");
    }
}
