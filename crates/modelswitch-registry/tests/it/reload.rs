use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use modelswitch_provider::mock::MockProvider;
use modelswitch_provider::{ApiKey, ChatRequest, Error, ErrorKind, Message, Provider, ProviderExt, Tool};
use modelswitch_registry::{
    AliasChange, Changes, DefaultChange, ProviderChange, Registry, RegistryBuilder, RegistryEvent,
};
use modelswitch_sim::{Personality, Sim};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::support::*;

/// A configuration file in a folder of its own.
pub(crate) struct File {
    folder: TempDir,
}

impl File {
    pub(crate) fn new(text: &str) -> Self {
        let file = Self { folder: tempfile::tempdir().unwrap() };
        file.write(text);
        file
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder().join("modelswitch.toml")
    }

    pub(crate) fn write(&self, text: &str) {
        std::fs::write(self.path(), text).unwrap();
    }

    /// As it is done without a gap: whoever reads meanwhile finds the old text or the new one.
    pub(crate) fn replace(&self, text: &str) {
        let new = self.path().with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.path()).unwrap();
    }

    /// A registry that sees this file and these variables.
    pub(crate) fn builder(&self, variables: &[(&str, &str)]) -> RegistryBuilder {
        with(variables).file(self.path())
    }

    pub(crate) fn registry(&self) -> Registry {
        self.builder(&[]).build().unwrap()
    }
}

/// Two providers that no test asks, and what `fast` stands for.
pub(crate) fn fast_is(target: &str) -> String {
    format!(
        "[providers.a]\nprofile = 'llamacpp'\ndefault_model = 'large'\n\
         [providers.b]\nprofile = 'llamacpp'\n[models]\nfast = '{target}'\n"
    )
}

/// A service that answers to any key.
async fn service() -> Sim {
    Sim::builder().personality(Personality::OpenAi).any_key(true).remember(100_000).start().await.unwrap()
}

/// A configuration whose only provider is this service.
fn only(sim: &Sim) -> String {
    one_at(sim.base_url(), FROM_KEY)
}

fn one_at(url: &str, more: &str) -> String {
    format!(
        "[providers.s]\nprofile = 'openai-compatible'\nbase_url = '{url}'\n{more}\n[models]\nfast = 's/sim-large'\n"
    )
}

const FROM_KEY: &str = "api_key = { env = 'KEY' }";
const KEY: [(&str, &str); 1] = [("KEY", "sk-any")];

async fn ask(llm: &dyn Provider) -> modelswitch_provider::Result<String> {
    Ok(llm.chat(ChatRequest::user("?").model("fast")).await?.text())
}

#[tokio::test]
async fn what_was_given_out_before_follows_a_reload() {
    let (old, new) = (service().await, service().await);
    let file = File::new(&only(&old));
    let registry = file.builder(&KEY).build().unwrap();
    let router = registry.router();
    let model = registry.model("fast").unwrap();
    let provider = registry.provider("s").unwrap();
    let client = registry.client().unwrap();
    let service = registry.http_service().client().unwrap();

    file.write(&only(&new));
    registry.reload().unwrap();
    ask(&*router).await.unwrap();
    ask(&*model).await.unwrap();
    provider.chat(ChatRequest::user("?").model("sim-large")).await.unwrap();
    client.models().list().await.unwrap();
    service.models().list().await.unwrap();
    assert_eq!((old.requests().len(), new.requests().len()), (0, 5));
    assert_eq!(registry.providers()[0].base_url.as_deref(), Some(new.base_url()));
}

#[tokio::test]
async fn the_registry_shows_what_counts_now() {
    let file = File::new(&fast_is("a/x"));
    let registry = file.registry();
    assert_eq!(registry.default_model(), None);
    file.write("default = 'c/y'\n[providers.c]\nprofile = 'llamacpp'\n[models]\nsmart = ['c/y', 'd/z']\n");
    registry.reload().unwrap();
    let names: Vec<String> = registry.providers().into_iter().map(|one| one.name).collect();
    assert_eq!(names, ["c"]);
    assert_eq!(registry.aliases(), [("smart".to_owned(), "c/y".to_owned())]);
    assert_eq!(registry.default_model().as_deref(), Some("c/y"));
    assert_eq!(registry.warnings().len(), 1);
    assert_eq!(registry.source(), file.path().display().to_string());
    assert!(registry.provider("a").is_err());
}

#[tokio::test]
async fn the_changes_name_providers_settings_aliases_and_the_default() {
    let file = File::new(
        "default = 'a/x'\n[providers.a]\nprofile = 'llamacpp'\n[providers.b]\nprofile = 'llamacpp'\n\
         [models]\nfast = 'a/x'\ngone = 'a/x'\n",
    );
    let registry = file.registry();
    file.write(
        "default = 'c/y'\n[providers.c]\nprofile = 'llamacpp'\n\
         [providers.b]\nprofile = 'llamacpp'\nbase_url = 'http://127.0.0.1:1/v1'\nheaders = { x-team = 's' }\n\
         [models]\nfast = 'c/y'\nnew = 'c/y'\n",
    );
    let changes = registry.reload().unwrap();
    let text = |text: &str| text.to_owned();
    assert_eq!(
        changes.providers,
        [
            ProviderChange::Removed { name: text("a") },
            ProviderChange::Changed { name: text("b"), settings: vec![text("base_url"), text("headers")] },
            ProviderChange::Added { name: text("c") },
        ]
    );
    assert_eq!(
        changes.aliases,
        [
            AliasChange::Changed { alias: text("fast"), from: text("a/x"), to: text("c/y") },
            AliasChange::Removed { alias: text("gone"), target: text("a/x") },
            AliasChange::Added { alias: text("new"), target: text("c/y") },
        ]
    );
    let default = DefaultChange { from: Some(text("a/x")), to: Some(text("c/y")) };
    assert_eq!(changes.default, Some(default));
    assert_eq!(
        changes.to_string(),
        "providers: `a` removed, `b` changed (base_url, headers), `c` added; \
         aliases: `fast` is c/y (was a/x), `gone` removed (was a/x), `new` is c/y (new); default: c/y (was a/x)"
    );
    assert!(!changes.is_empty());
}

#[track_caller]
fn check_changed(before: &str, after: &str, expected: &[&str]) {
    let section = |more: &str| format!("[providers.deepseek]\n{more}\n");
    let file = File::new(&section(before));
    let registry = file.builder(&[("DEEPSEEK_API_KEY", "sk-1"), ("OTHER", "sk-2"), ("SAME", "sk-1")]);
    let registry = registry.build().unwrap();
    file.write(&section(after));
    let changes = registry.reload().unwrap();
    let settings = changes.providers.iter().flat_map(|change| match change {
        ProviderChange::Changed { settings, .. } => settings.clone(),
        other => vec![format!("{other:?}")],
    });
    assert_eq!(settings.collect::<Vec<_>>(), expected, "{after}");
}

#[test]
fn it_is_what_a_setting_comes_down_to_that_counts() {
    for (before, after, expected) in [
        ("", "# a remark", &[][..]),
        ("timeout = { connect = '10s' }", "timeout = { connect = '10000ms' }", &[]),
        ("", "[timeout]\nconnect = '10s'\nidle = '5m'", &[]),
        ("", "base_url = 'https://api.deepseek.com'", &[]),
        ("", "allow_plain_http = false", &[]),
        ("", "[providers.deepseek.policy]", &[]),
        ("", "profile = 'deepseek'", &[]),
        ("", "timeout = { connect = '11s' }", &["timeout"]),
        ("", "[timeout]\nconnect = '11s'", &["timeout"]),
        ("retry = { attempts = 2 }", "[retry]\nattempts = 2", &[]),
        ("", "[retry]\nattempts = 2", &["retry"]),
        ("", "policy = { strict = true }", &["policy"]),
        (
            "",
            "profile = 'openai-compatible'\nbase_url = 'https://x.test'",
            &["profile", "base_url", "api_key"],
        ),
        ("", "api_key = { env = 'OTHER' }", &["api_key"]),
        ("", "api_key = { env = 'SAME' }", &["api_key"]),
        ("", "api_key = { env = 'DEEPSEEK_API_KEY' }", &[]),
        ("", "default_model = 'x'\nmodels = ['y']", &["default_model", "models"]),
        ("", "allow_plain_http = true", &["allow_plain_http"]),
    ] {
        check_changed(before, after, expected);
    }
}

#[tokio::test]
async fn a_key_that_changed_in_its_file_is_read_again() {
    let sim = Sim::builder().personality(Personality::OpenAi).key("sk-right").start().await.unwrap();
    let file = File::new(&one_at(sim.base_url(), "api_key = { file = 'key' }"));
    let key = file.folder().join("key");
    let registry = file.registry();
    let missing = ask(&*registry.router()).await.unwrap_err();
    assert!(missing.message().contains("does not exist"), "{missing}");

    std::fs::write(&key, "sk-wrong").unwrap();
    let changes = registry.reload().unwrap();
    assert_eq!(changes.to_string(), "providers: `s` changed (api_key)");
    assert_eq!(ask(&*registry.router()).await.unwrap_err().kind(), ErrorKind::Authentication);

    std::fs::write(&key, "sk-right").unwrap();
    registry.reload().unwrap();
    ask(&*registry.router()).await.unwrap();
    assert!(registry.reload().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_wrong_changes_nothing_and_is_given_back() {
    let file = File::new(&fast_is("a/x"));
    let registry = file.registry();
    let mut events = registry.events();
    let before = format!("{registry:?}");
    for wrong in [
        "[providers.a", // no TOML
        "[providers.a]\nprofil = 'llamacpp'",
        "[providers.a]\nprofile = 'llamacpp'\n[models]\nfast = 'nobody/x'",
        "[providers.a]\nprofile = 'llamacpp'\nbase_url = 'no URL'\n[providers.c]\nprofile = 'llamacpp'",
        "",
    ] {
        file.write(wrong);
        let error = registry.reload().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        let Some(RegistryEvent::ReloadFailed(told)) = events.try_next() else { panic!("{wrong}") };
        assert_eq!(told.message(), error.message());
        assert_eq!(format!("{registry:?}"), before, "{wrong}");
    }
    std::fs::remove_file(file.path()).unwrap();
    assert!(registry.reload().unwrap_err().message().contains("there is no such file"));
    assert_eq!(format!("{registry:?}"), before);
    assert!(registry.model("fast").is_ok());
}

#[tokio::test]
async fn a_model_looks_up_its_alias_at_each_call() {
    let (a, b) = (Diary::default(), Diary::default());
    let file = File::new("[models]\nfast = 'a/x'\n");
    let registry =
        file.builder(&[]).provider("a", a.provider(reply("a"))).provider("b", b.provider(reply("b")));
    let registry = registry.build().unwrap();
    let fast = registry.model("fast").unwrap();
    assert_eq!(ask(&*fast).await.unwrap(), "a");
    file.write("[models]\nfast = 'b/y'\n");
    registry.reload().unwrap();
    assert_eq!(ask(&*fast).await.unwrap(), "b");
    assert_eq!(b.models(), [Some("y".to_owned())]);

    file.write("");
    registry.reload().unwrap();
    let error = ask(&*fast).await.unwrap_err();
    assert_eq!((error.kind(), error.model()), (ErrorKind::ModelNotFound, Some("fast")));

    file.write("[models]\nfast = 'a/z'\n");
    registry.reload().unwrap();
    assert_eq!(ask(&*fast).await.unwrap(), "a");
    assert_eq!(a.models(), [Some("x".to_owned()), Some("z".to_owned())]);
}

#[tokio::test]
async fn a_provider_that_is_gone_is_told_at_the_call() {
    let file = File::new(&fast_is("a/x"));
    let registry = file.registry();
    let b = registry.provider("b").unwrap();
    file.write("[providers.a]\nprofile = 'llamacpp'\n");
    registry.reload().unwrap();
    let error = ask(&*b).await.unwrap_err();
    assert_eq!(error.message(), "no provider `b`; did you mean `a`? there are: a");
}

#[tokio::test]
async fn a_text_in_place_of_a_file_stays_and_the_keys_that_it_names_are_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "sk-1").unwrap();
    let toml = format!("[providers.deepseek]\napi_key = {{ file = '{}' }}", key.display());
    let registry = text(&toml).set("retry.attempts", 2).build().unwrap();
    assert!(registry.reload().unwrap().is_empty());
    std::fs::write(&key, "sk-2").unwrap();
    assert_eq!(registry.reload().unwrap().to_string(), "providers: `deepseek` changed (api_key)");
}

#[tokio::test]
async fn code_counts_after_a_reload_as_it_did_before() {
    let file = File::new(&fast_is("a/x"));
    let builder = file.builder(&[]).provider("mine", MockProvider::reply("mine")).alias("fast", "mine/m");
    let builder = builder.set("providers.a.base_url", "http://127.0.0.1:1/v1");
    let registry = builder.api_key("a", ApiKey::new("sk-0123").unwrap()).build().unwrap();
    file.write(&fast_is("b/y"));
    assert!(registry.reload().unwrap().is_empty());
    assert_eq!(ask(&*registry.router()).await.unwrap(), "mine");
    let a = registry.providers().into_iter().find(|one| one.name == "a").unwrap();
    assert_eq!((a.base_url.as_deref(), a.key.source.as_str()), (Some("http://127.0.0.1:1/v1"), "in code"));
}

/// A service that answers one call, when it is told to, and says when the call is there.
async fn held() -> (String, oneshot::Receiver<()>, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let (arrive, arrived) = oneshot::channel();
    let (release, released) = oneshot::channel();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut buffer = vec![0; 64 << 10];
        assert!(socket.read(&mut buffer).await.unwrap() > 0);
        arrive.send(()).unwrap();
        released.await.unwrap();
        let message = json!({ "role": "assistant", "content": "Yes." });
        let choice = json!({ "index": 0, "message": message, "finish_reason": "stop" });
        let body = json!({ "id": "1", "object": "chat.completion", "created": 1, "model": "x", "choices": [choice] });
        let body = body.to_string();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
        let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        socket.write_all(answer.as_bytes()).await.unwrap();
        while socket.read(&mut buffer).await.is_ok_and(|more| more > 0) {}
    });
    (url, arrived, release)
}

#[tokio::test]
async fn a_stream_in_flight_ends_on_the_old_target_while_new_calls_go_to_the_new_one() {
    let slow = Sim::builder().personality(Personality::OpenAi).any_key(true);
    let old = slow.chunk_delay(Duration::from_millis(30)).start().await.unwrap();
    let new = service().await;
    let (held, arrived, release) = held().await;
    let both = |one: &str, other: &str, more: &str| {
        let other = format!(
            "[providers.held]\nprofile = 'openai-compatible'\nbase_url = '{other}'\n{FROM_KEY}\n{more}\n"
        );
        other + &one_at(one, &format!("{FROM_KEY}\n{more}"))
    };
    let file = File::new(&both(old.base_url(), &held, ""));
    let registry = file.builder(&KEY).build().unwrap();
    let router = registry.router();
    let mut stream =
        router.chat_stream(ChatRequest::user("Tell me. [sim:long]").model("fast")).await.unwrap();
    stream.next().await.unwrap().unwrap();
    // A call that waits for its answer, too.
    let waiting = tokio::spawn({
        let router = router.clone();
        async move { Ok::<_, Error>(router.chat(ChatRequest::user("?").model("held/x")).await?.text()) }
    });
    arrived.await.unwrap();

    // The old providers go, and their pool with them.
    file.write(&both(new.base_url(), new.base_url(), "timeout = { connect = '3s' }"));
    registry.reload().unwrap();
    assert_eq!(registry.open_pools(), 2, "the waiting call holds the old one");
    ask(&*router).await.unwrap();
    assert_eq!(new.requests().len(), 1);
    release.send(()).unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), "Yes.");
    assert_eq!(registry.open_pools(), 1, "only a stream is left of the old one, and that holds no pool");
    assert_eq!(old.open_responses(), 1);
    let mut events = 1;
    for _ in 0..20 {
        stream.next().await.unwrap().unwrap();
        events += 1;
    }
    assert_eq!((events, old.requests().len()), (21, 1));
    drop(stream);
    assert!(old.wait_idle(Duration::from_secs(60)).await);
}

#[tokio::test]
async fn a_provider_that_did_not_change_keeps_its_connections() {
    let (kept, other) = (service().await, service().await);
    let both = |alias: &str| {
        format!(
            "[providers.kept]\nprofile = 'openai-compatible'\nbase_url = '{}'\ndefault_model = 'x'\n{FROM_KEY}\n\
             [providers.other]\nprofile = 'openai-compatible'\nbase_url = '{}'\nmodels = ['{alias}']\n{FROM_KEY}\n",
            kept.base_url(),
            other.base_url()
        )
    };
    let file = File::new(&both("m0"));
    let registry = file.builder(&KEY).build().unwrap();
    for round in 1..=10 {
        registry.router().chat(ChatRequest::user("?").model("kept/sim-large")).await.unwrap();
        file.write(&both(&format!("m{round}")));
        assert_eq!(registry.reload().unwrap().to_string(), "providers: `other` changed (models)");
    }
    assert_eq!((kept.requests().len(), kept.open_connections()), (10, 1));
    assert_eq!(registry.open_pools(), 1);
}

#[tokio::test]
async fn what_one_provider_thought_is_kept_from_others_across_a_reload() {
    let (first, second) = (Sim::start().await.unwrap(), service().await);
    let toml = |more: &str| {
        format!(
            "[providers.deepseek]\nbase_url = '{}'\napi_key = {{ env = 'KEY' }}\n{more}\n\
             [providers.other]\nprofile = 'openai-compatible'\nbase_url = '{}'\napi_key = {{ env = 'KEY' }}\n",
            first.base_url(),
            second.base_url()
        )
    };
    let file = File::new(&toml(""));
    let registry = file.builder(&[("KEY", first.key())]).build().unwrap();
    let question = Message::user("9.11 or 9.8?");
    let asked = ChatRequest::new([question.clone()]).model("deepseek/deepseek-flash");
    let thought = registry.router().chat(asked).await.unwrap();
    let mut answer = Message::assistant(thought.text());
    answer.reasoning_content = Some(thought.reasoning().unwrap().to_owned());

    file.write(&toml("default_model = 'deepseek-v4-pro'"));
    assert!(!registry.reload().unwrap().is_empty());
    let history = ChatRequest::new([question, answer, Message::user("Why?")]).model("other/sim-large");
    registry.router().chat(history).await.unwrap();
    let sent = String::from_utf8(second.requests()[0].body.to_vec()).unwrap();
    assert!(!sent.contains("reasoning"), "{sent}");
}

/// Whether DeepSeek's adapter still knows, after a reload, what it thought at a call with tools.
async fn remembers(change: impl Fn(&str) -> String) -> bool {
    let (sim, moved) = (Sim::start().await.unwrap(), Sim::start().await.unwrap());
    let file = File::new(&format!(
        "[providers.deepseek]\nbase_url = '{}'\napi_key = {{ env = 'KEY' }}\n",
        sim.base_url()
    ));
    let registry = file.builder(&[("KEY", sim.key())]).build().unwrap();
    let tool = || Tool::function("weather", "The weather", json!({"type": "object", "properties": {}}));
    let question = Message::user("The weather?");
    let ask =
        |messages: Vec<Message>| ChatRequest::new(messages).tool(tool()).model("deepseek/deepseek-flash");
    let answer = registry.router().chat(ask(vec![question.clone()])).await.unwrap();
    let called = answer.choices.first().unwrap().message.clone();
    let thought = called.reasoning_content.clone().unwrap();
    let mut bare = called.clone();
    bare.reasoning_content = None;
    let id = called.tool_calls.first().unwrap().id.clone();

    let text = std::fs::read_to_string(file.path()).unwrap();
    file.write(&change(&text).replace("MOVED", moved.base_url()));
    assert!(!registry.reload().unwrap().is_empty());
    let history = vec![question, bare, Message::tool(id, "Rain")];
    registry.router().chat(ask(history)).await.unwrap();
    let asked = sim.requests().into_iter().chain(moved.requests()).last().unwrap();
    let sent: Value = serde_json::from_slice(&asked.body).unwrap();
    sent.pointer("/messages/1/reasoning_content").is_some_and(|sent| *sent == *thought)
}

#[tokio::test]
async fn a_provider_that_was_made_anew_at_the_same_place_remembers_what_it_thought() {
    assert!(remembers(|text| format!("{text}default_model = 'deepseek-v4-pro'\n")).await);
    let moved = |text: &str| {
        let key = text.lines().last().unwrap();
        format!("[providers.deepseek]\nbase_url = 'MOVED'\n{key}\n")
    };
    assert!(!remembers(moved).await, "another place may be another company's");
}

#[tokio::test]
async fn events_come_in_their_order_and_the_newest_is_never_lost() {
    let file = File::new(&fast_is("a/x0"));
    let registry = file.registry();
    let (mut quick, slow) = (registry.events(), registry.events());
    let to = |changes: &Changes| match changes.aliases.as_slice() {
        [AliasChange::Changed { to, .. }] => to.clone(),
        other => panic!("{other:?}"),
    };
    for round in 1..=200 {
        file.write(&fast_is(&format!("a/x{round}")));
        registry.reload().unwrap();
        let Some(RegistryEvent::Reloaded(changes)) = quick.next().await else { panic!() };
        assert_eq!(to(&changes), format!("a/x{round}"));
    }
    assert!(quick.try_next().is_none());
    let mut slow = slow;
    let mut seen = Vec::new();
    while let Some(RegistryEvent::Reloaded(changes)) = slow.try_next() {
        seen.push(to(&changes));
    }
    assert_eq!((seen.len(), seen.last().unwrap().as_str()), (64, "a/x200"));
    drop(slow);
    drop(registry);
    assert!(quick.next().await.is_none(), "the registry is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_at_the_same_time_come_one_after_the_other() {
    let file = File::new(&fast_is("a/x0"));
    let registry = file.registry();
    let mut events = registry.events();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (file, registry) = (&file, &registry);
            scope.spawn(move || {
                for round in 0..5 {
                    let temporary = file.folder().join(format!("{thread}"));
                    std::fs::write(&temporary, fast_is(&format!("a/x{thread}-{round}"))).unwrap();
                    std::fs::rename(&temporary, file.path()).unwrap();
                    registry.reload().unwrap();
                }
            });
        }
    });
    // Each change begins where the one before ended.
    let mut now = "a/x0".to_owned();
    while let Some(event) = events.try_next() {
        let RegistryEvent::Reloaded(changes) = event else { panic!("{event:?}") };
        for change in changes.aliases {
            let AliasChange::Changed { from, to, .. } = change else { panic!("{change:?}") };
            assert_eq!(from, now);
            now = to;
        }
    }
    assert_eq!(registry.aliases()[0].1, now);
    assert!(registry.reload().unwrap().is_empty(), "the last one has read the last file");
}

/// Asks without a pause until told to stop; gives back how many calls there were.
async fn caller(router: Arc<dyn Provider>, streams: bool, stop: Arc<AtomicBool>) -> usize {
    let mut calls = 0;
    while !stop.load(Ordering::Relaxed) {
        let request = ChatRequest::user("Hello").model("fast");
        if streams {
            let stream = router.chat_stream(request).await.unwrap();
            assert!(!stream.completion().await.unwrap().text().is_empty());
        } else {
            assert!(!router.chat(request).await.unwrap().text().is_empty());
        }
        calls += 1;
    }
    calls
}

#[test]
fn a_thousand_reloads_under_load_lose_no_call_and_leave_nothing_behind() {
    // The services run apart, so that what is counted here is the registry's.
    let services =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (one, two) = services.block_on(async { (service().await, service().await) });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let before = tasks();
        // A call is tried once: a retry would hide one that was lost.
        let toml = |sim: &Sim, connect| {
            one_at(
                sim.base_url(),
                &format!("{FROM_KEY}\nretry = {{ attempts = 1 }}\ntimeout = {{ connect = '{connect}s' }}"),
            )
        };
        let file = File::new(&toml(&one, 10));
        let registry = file.builder(&KEY).build().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let callers: Vec<_> = (0..8)
            .map(|number| tokio::spawn(caller(registry.router(), number % 2 == 0, stop.clone())))
            .collect();
        let mut most = (0, 0);
        for round in 1..=1000 {
            let (sim, connect) = if round % 2 == 0 { (&one, 10) } else { (&two, 11) };
            file.write(&toml(sim, connect));
            let reloading = registry.clone();
            let changes = tokio::task::spawn_blocking(move || reloading.reload()).await.unwrap().unwrap();
            assert_eq!(changes.to_string(), "providers: `s` changed (base_url, timeout)");
            let sockets = one.open_connections() + two.open_connections();
            most = (most.0.max(registry.open_pools()), most.1.max(sockets));
        }
        stop.store(true, Ordering::Relaxed);
        let mut calls = 0;
        for caller in callers {
            calls += caller.await.unwrap();
        }
        assert_eq!(one.requests().len() + two.requests().len(), calls);
        assert!(!one.requests().is_empty() && !two.requests().is_empty());
        // Two pools, by their limits for connecting; each service has the callers' sockets and those being closed, which
        // takes as long as the machine likes. One left behind by each reload would be a thousand.
        assert!(most.0 <= 2, "{most:?}");
        assert!(most.1 <= 500, "{most:?}");
        assert_eq!(registry.open_pools(), 1);
        drop(registry);
        let all_gone = async {
            while tasks() > before || one.open_connections() + two.open_connections() > 0 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(60), all_gone).await.expect("tasks or sockets are left");
    });
}

/// A provider of each source, and one of all, whose keys stand in this file and are read by `cat` or at once.
#[cfg(unix)]
fn of_each_source(url: &str, key: &Path, more: &str) -> String {
    let (file, cat) = (format!("{{ file = '{0}' }}", key.display()), key.display());
    let command = format!("{{ command = ['cat', '{cat}'], ttl = '50ms' }}");
    let pool = format!("[{file}, {command}, {{ env = 'KEY' }}]");
    let providers = [("by-file", &file), ("by-command", &command), ("by-pool", &pool)].map(|(name, keys)| {
        format!(
            "[providers.{name}]\nprofile = 'openai-compatible'\nbase_url = '{url}'\napi_key = {keys}\n\
             retry = {{ attempts = 1 }}\n{more}\n"
        )
    });
    providers.concat()
}

#[cfg(unix)]
#[tokio::test]
async fn a_reload_keeps_keys_whose_place_is_gone() {
    let sim = service().await;
    let file = File::new("");
    let key = file.folder().join("key");
    std::fs::write(&key, "sk-here").unwrap();
    file.write(&of_each_source(sim.base_url(), &key, ""));
    let registry = file.builder(&[]).build().unwrap();
    let ask_all = async || {
        for name in ["by-file/sim-large", "by-command/sim-large", "by-pool/sim-large", "by-pool/sim-large"] {
            registry.router().chat(ChatRequest::user("?").model(name)).await.unwrap();
        }
    };
    ask_all().await;
    std::fs::remove_file(&key).unwrap();
    file.write(&of_each_source(sim.base_url(), &key, "models = ['another']"));
    assert_eq!(registry.reload().unwrap().providers.len(), 3);
    ask_all().await;
    assert!(registry.reload().unwrap().is_empty());
    ask_all().await;
    let asked = sim.requests();
    assert!(asked.iter().all(|one| one.header("authorization") == Some("Bearer sk-here")));
}

#[cfg(unix)]
#[tokio::test]
async fn a_reload_that_changes_nothing_has_commands_run_again_at_their_next_call() {
    let sim = service().await;
    let file = File::new("");
    let key = file.folder().join("key");
    std::fs::write(&key, "sk-1").unwrap();
    file.write(&one_at(sim.base_url(), &format!("api_key = {{ command = ['cat', '{}'] }}", key.display())));
    let registry = file.registry();
    ask(&*registry.router()).await.unwrap();
    std::fs::write(&key, "sk-2").unwrap();
    assert!(registry.reload().unwrap().is_empty());
    // A slow machine's command is waited for by none of them.
    let seen = async {
        while sim.requests().pop().unwrap().header("authorization") != Some("Bearer sk-2") {
            ask(&*registry.router()).await.unwrap();
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(60), seen).await.expect("the new key is never used");
}

#[cfg(unix)]
#[test]
fn reloads_under_load_with_keys_of_files_commands_and_pools_lose_no_call_and_leave_nothing_behind() {
    let services =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let sim = services.block_on(service());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let before = tasks();
        let file = File::new("");
        let key = file.folder().join("key");
        let rotate = |round: usize| {
            std::fs::write(key.with_extension("new"), format!("sk-{round}")).unwrap();
            std::fs::rename(key.with_extension("new"), &key).unwrap();
        };
        rotate(0);
        file.replace(&of_each_source(sim.base_url(), &key, ""));
        let registry = file.builder(&KEY).build().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let callers: Vec<_> =
            ["by-file/sim-large", "by-command/sim-large", "by-pool/sim-large", "by-pool/sim-large"]
                .map(|model| {
                    let (router, stop) = (registry.router(), stop.clone());
                    tokio::spawn(async move {
                        let mut calls = 0;
                        while !stop.load(Ordering::Relaxed) {
                            router.chat(ChatRequest::user("Hello").model(model)).await.unwrap();
                            calls += 1;
                        }
                        calls
                    })
                })
                .into();
        let seen = async |count: usize| {
            while sim.requests().len() < count {
                sleep(Duration::from_millis(5)).await;
            }
        };
        // Each has its key before its place is gone for the first time.
        while registry.providers().iter().any(|one| !one.key.set) {
            sleep(Duration::from_millis(5)).await;
        }
        for round in 1..=60 {
            // Rotated, gone, as it was: and something else changes at each.
            match round % 3 {
                0 => rotate(round),
                1 => std::fs::remove_file(&key).unwrap(),
                _ => rotate(round - 2),
            }
            file.replace(&of_each_source(sim.base_url(), &key, &format!("models = ['m{round}']")));
            let reloading = registry.clone();
            let changes = tokio::task::spawn_blocking(move || reloading.reload()).await.unwrap().unwrap();
            assert_eq!(changes.providers.len(), 3);
            seen(sim.requests().len() + 8).await;
        }
        stop.store(true, Ordering::Relaxed);
        let mut calls = 0;
        for caller in callers {
            calls += caller.await.unwrap();
        }
        assert_eq!(sim.requests().len(), calls, "one request a call");
        let used: std::collections::BTreeSet<_> =
            sim.requests().iter().filter_map(|one| one.header("authorization").map(str::to_owned)).collect();
        assert!(used.len() > 3, "{used:?}");
        assert_eq!(registry.open_pools(), 1);
        drop(registry);
        let all_gone = async {
            while tasks() > before || sim.open_connections() > 0 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(60), all_gone).await.expect("tasks, commands or sockets are left");
    });
}

#[tokio::test]
async fn rules_parameters_and_variables_of_files_follow_a_reload() {
    let file = File::new("");
    let variables = file.folder().join(".env");
    let toml = |rules: &str, temperature: &str| {
        format!(
            "[providers.deepseek]\n{rules}\n[models]\n\
             fast = {{ target = 'deepseek/deepseek-flash', defaults = {{ temperature = {temperature} }} }}\n"
        )
    };
    file.write(&toml("", "0.1"));
    std::fs::write(&variables, "DEEPSEEK_API_KEY=sk-one\n").unwrap();
    let registry = file.builder(&[]).env_file(&variables).build().unwrap();
    std::fs::write(&variables, "DEEPSEEK_API_KEY=sk-two\n").unwrap();
    file.write(&toml("deny_models = ['deepseek-flash']", "0.2"));
    assert_eq!(
        registry.reload().unwrap().to_string(),
        "providers: `deepseek` changed (api_key, deny_models); \
         aliases: `fast` is deepseek/deepseek-flash with other parameters"
    );
    let refused = ask(&*registry.router()).await.unwrap_err();
    assert_eq!(refused.code(), Some(modelswitch_registry::NOT_ALLOWED));
    file.write(&format!("\n\n{}", toml("deny_models = ['deepseek-flash']", "0.2")));
    assert!(registry.reload().unwrap().is_empty());
    let refused = ask(&*registry.router()).await.unwrap_err();
    assert!(refused.message().contains("modelswitch.toml:4:"), "{refused}");
}
