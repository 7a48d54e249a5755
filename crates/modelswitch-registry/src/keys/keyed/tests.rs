use std::path::PathBuf;
use std::sync::Mutex;

use modelswitch_provider::mock::{MockProvider, events, reply};
use modelswitch_provider::{Body, ProviderExt};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::{advance, sleep};

use super::super::source::tests::{environment, of_file, of_variable};
use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// What each key is answered with, and the keys that were asked with, in order.
#[derive(Clone, Default)]
struct World {
    asked: Arc<Mutex<Vec<String>>>,
    bad: Arc<Mutex<Vec<(String, Error)>>>,
}

impl World {
    /// From now on this key fails like this.
    fn breaks(&self, key: &str, error: Error) {
        self.bad.lock().unwrap().push((key.to_owned(), error.with_attempts(1)));
    }

    fn mends(&self, key: &str) {
        self.bad.lock().unwrap().retain(|(bad, _)| bad != key);
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn make(&self) -> Make {
        let world = self.clone();
        Arc::new(move |key| {
            let world = world.clone();
            let provider = MockProvider::answering(move |request| {
                world.asked.lock().unwrap().push(key.expose().to_owned());
                let bad = world.bad.lock().unwrap();
                match bad.iter().find(|(bad, _)| bad == key.expose()) {
                    Some((_, error)) => Err(error.clone()),
                    None => Ok(reply("Yes.", request.is_stream())),
                }
            });
            Ok(Service { provider: Arc::new(provider), deepseek: None })
        })
    }

    fn keyed(&self, sources: Vec<KeySource>) -> Keyed {
        let hint = check_the_key_from("all of them", None);
        Keyed::new("p", sources, hint, Some("https://keys.example"), &self.make(), None)
    }

    /// The provider that takes another one's place.
    fn after(&self, before: &Keyed, sources: Vec<KeySource>) -> Keyed {
        let before = Before { keys: before, is_same_service: true };
        Keyed::new("p", sources, String::new(), None, &self.make(), Some(&before))
    }

    /// The keys of these files, and answers that take a second.
    fn slow(&self, files: &Files) -> Keyed {
        #[derive(Debug)]
        struct Slow(Arc<dyn Provider>);
        #[async_trait]
        impl Provider for Slow {
            fn name(&self) -> &str {
                "slow"
            }
            async fn send(&self, request: Request) -> Result<Response> {
                sleep(SECOND).await;
                self.0.send(request).await
            }
        }
        let inner = self.make();
        let make: Make = Arc::new(move |key| {
            let service = inner(key)?;
            Ok(Service { provider: Arc::new(Slow(service.provider)), deepseek: None })
        });
        let sources = files.1.iter().map(|path| of_file(path, None)).collect();
        Keyed::new("p", sources, String::new(), None, &make, None)
    }

    /// One key in each file.
    fn files(&self, keys: &[&str], ttl: Option<Duration>) -> (Keyed, Files) {
        let files = Files::new(keys);
        let sources = files.1.iter().map(|path| of_file(path, ttl)).collect();
        (self.keyed(sources), files)
    }
}

struct Files(#[expect(dead_code, reason = "removes the folder")] TempDir, Vec<PathBuf>);

impl Files {
    fn new(keys: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> =
            (0..keys.len()).map(|number| folder.path().join(number.to_string())).collect();
        let files = Self(folder, paths);
        for (number, key) in keys.iter().enumerate() {
            files.write(number, key);
        }
        files
    }

    /// As it is done without a gap: another file takes its place.
    fn write(&self, number: usize, key: &str) {
        let new = self.1[number].with_extension("new");
        std::fs::write(&new, key).unwrap();
        std::fs::rename(new, &self.1[number]).unwrap();
    }
}

fn refused() -> Error {
    Error::new(ErrorKind::Authentication, "wrong key").with_hint(check_the_key_from("all of them", None))
}

fn limited() -> Error {
    Error::new(ErrorKind::RateLimited, "too many requests")
}

#[tokio::test(start_paused = true)]
async fn calls_are_spread_over_the_keys_in_turn() {
    let world = World::default();
    let (keyed, _files) = world.files(&["sk-a", "sk-b", "sk-c"], None);
    for _ in 0..6 {
        keyed.ask_for("Yes.").await;
    }
    assert_eq!(world.asked(), ["sk-a", "sk-b", "sk-c", "sk-a", "sk-b", "sk-c"]);
}

impl Keyed {
    async fn ask_for(&self, text: &str) {
        assert_eq!(ProviderExt::ask(self, "?").await.unwrap(), text);
    }

    async fn fail(&self) -> Error {
        ProviderExt::ask(self, "?").await.unwrap_err()
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_fails_for_itself_rests_and_the_call_goes_on_with_the_next() {
    for (error, rest) in [
        (refused(), 60),
        (Error::new(ErrorKind::InsufficientBalance, "no money"), 300),
        (limited(), 20),
        (limited().with_retry_after(7 * SECOND), 7),
        (limited().with_retry_after(90_000 * SECOND), 3600),
    ] {
        let world = World::default();
        let (keyed, _files) = world.files(&["sk-a", "sk-b"], None);
        world.breaks("sk-a", error.clone());
        let answer = ProviderExt::chat(&keyed, "?").await.unwrap();
        let failed: Vec<_> = answer.head.failures.iter().map(|failed| failed.kind).collect();
        assert_eq!(failed, [error.kind()]);
        keyed.ask_for("Yes.").await;
        keyed.ask_for("Yes.").await;
        assert_eq!(world.asked(), ["sk-a", "sk-b", "sk-b", "sk-b"], "{error}");
        assert_eq!(keyed.info().pool[0].resting, Some(rest * SECOND), "{error}");
        assert_eq!((keyed.info().resting, keyed.info().pool[1].resting), (None, None));

        world.mends("sk-a");
        advance(rest * SECOND).await;
        keyed.ask_for("Yes.").await;
        keyed.ask_for("Yes.").await;
        assert!(world.asked().contains(&"sk-a".to_owned()), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn when_all_rest_the_one_that_is_ready_soonest_is_asked_and_its_failure_given_back() {
    let world = World::default();
    let (keyed, _files) = world.files(&["sk-a", "sk-b", "sk-c"], None);
    world.breaks("sk-a", refused());
    world.breaks("sk-b", limited().with_retry_after(5 * SECOND));
    world.breaks("sk-c", limited().with_retry_after(9 * SECOND));
    let error = keyed.fail().await;
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::RateLimited, Some(5 * SECOND)));
    assert_eq!((error.attempts(), error.failures().len(), error.provider()), (3, 2, Some("p")));
    assert_eq!(world.asked(), ["sk-a", "sk-b", "sk-c"]);
    assert_eq!(keyed.info().resting, Some(5 * SECOND));

    assert_eq!(keyed.fail().await.attempts(), 1);
    world.mends("sk-b");
    keyed.ask_for("Yes.").await;
    assert_eq!(world.asked(), ["sk-b", "sk-b"]);
    assert_eq!(keyed.info().resting, None, "what works rests no longer");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_the_keys_fault_is_passed_on_and_rests_nobody() {
    for kind in [ErrorKind::Overloaded, ErrorKind::InvalidRequest, ErrorKind::Timeout, ErrorKind::Config] {
        let world = World::default();
        let (keyed, _files) = world.files(&["sk-a", "sk-b"], None);
        world.breaks("sk-a", Error::new(kind, "it failed"));
        assert_eq!(keyed.fail().await.kind(), kind);
        assert_eq!(world.asked(), ["sk-a"]);
        assert_eq!(keyed.info().pool[0].resting, None);
    }
}

#[tokio::test(start_paused = true)]
async fn with_a_single_key_a_limit_and_an_empty_purse_are_left_to_the_layers_outside() {
    for error in [limited(), Error::new(ErrorKind::InsufficientBalance, "no money")] {
        let world = World::default();
        let (keyed, _files) = world.files(&["sk-a"], None);
        world.breaks("sk-a", error.clone());
        let failed = keyed.fail().await;
        assert_eq!((failed.kind(), failed.attempts()), (error.kind(), 1));
        assert_eq!(keyed.info().resting, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_is_read_again_and_the_call_repeated_with_another_one() {
    let world = World::default();
    let (keyed, files) = world.files(&["sk-old"], None);
    world.breaks("sk-old", refused());
    files.write(0, "sk-new");
    let answer = ProviderExt::chat(&keyed, "?").await.unwrap();
    assert_eq!(world.asked(), ["sk-old", "sk-new"]);
    assert_eq!(answer.head.failures[0].kind, ErrorKind::Authentication);
    assert_eq!(answer.head.attempts(), 2);
    keyed.ask_for("Yes.").await;
    assert_eq!(world.asked(), ["sk-new"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_repeated_once_however_often_the_key_changes() {
    let world = World::default();
    let (keyed, files) = world.files(&["sk-1"], None);
    for key in ["sk-1", "sk-2", "sk-3"] {
        world.breaks(key, refused());
    }
    files.write(0, "sk-2");
    let error = keyed.fail().await;
    assert_eq!(world.asked(), ["sk-1", "sk-2"]);
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Authentication, 2));
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_of_several_is_named_by_its_own_source() {
    let world = World::default();
    let (keyed, files) = world.files(&["sk-a", "sk-b"], None);
    world.breaks("sk-a", refused());
    world.breaks("sk-b", refused());
    let error = keyed.fail().await;
    let expected =
        format!("check the key from {}; keys are made at https://keys.example", files.1[1].display());
    assert_eq!(error.hint(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_file_is_looked_at_once_a_second_and_no_more() {
    let world = World::default();
    let (keyed, files) = world.files(&["sk-1"], None);
    files.write(0, "sk-2");
    keyed.ask_for("Yes.").await;
    advance(SECOND).await;
    keyed.ask_for("Yes.").await;
    assert_eq!(world.asked(), ["sk-1", "sk-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_changes_ends_the_rest_of_its_key() {
    let world = World::default();
    let (keyed, files) = world.files(&["sk-a", "sk-b"], None);
    world.breaks("sk-a", refused());
    keyed.ask_for("Yes.").await;
    files.write(0, "sk-c");
    advance(SECOND).await;
    for _ in 0..4 {
        keyed.ask_for("Yes.").await;
    }
    assert!(world.asked().contains(&"sk-c".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_gone_or_half_written_leaves_the_old_key_in_use() {
    let world = World::default();
    let (keyed, files) = world.files(&["sk-1"], Some(60 * SECOND));
    for text in ["", "sk- half", "\u{0}"] {
        files.write(0, text);
        advance(100 * SECOND).await;
        keyed.ask_for("Yes.").await;
    }
    std::fs::remove_file(&files.1[0]).unwrap();
    advance(100 * SECOND).await;
    keyed.ask_for("Yes.").await;
    assert_eq!(world.asked(), ["sk-1"; 4]);
    assert!(keyed.info().set);
    let refreshed = keyed.refresh().await;
    assert!(refreshed[0].error.as_ref().unwrap().contains("does not exist"));
    files.write(0, "sk-2");
    advance(SECOND).await;
    keyed.ask_for("Yes.").await;
    assert_eq!(world.asked(), ["sk-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_missing_is_looked_for_at_each_call_until_it_is_there() {
    let world = World::default();
    let (keyed, files) = world.files(&[""], None);
    assert_eq!((keyed.info().set, keyed.info().looked_for), (false, true));
    let error = keyed.fail().await;
    assert_eq!((error.kind(), error.provider(), error.attempts()), (ErrorKind::Config, Some("p"), 0));
    files.write(0, "sk-1");
    keyed.ask_for("Yes.").await;
    assert!(keyed.info().set);
}

#[tokio::test(start_paused = true)]
async fn a_missing_key_of_several_does_not_hold_up_the_others() {
    let world = World::default();
    let files = Files::new(&["sk-b"]);
    let missing = of_variable("NOBODYS", environment(&[]), None);
    let keyed = world.keyed(vec![missing, of_file(&files.1[0], None)]);
    for _ in 0..3 {
        let answer = ProviderExt::chat(&keyed, "?").await.unwrap();
        assert_eq!(answer.head.attempts(), 1, "nothing was sent with the one that is missing");
    }
    assert_eq!(world.asked(), ["sk-b"; 3]);
    let info = keyed.info();
    assert!(info.set && !info.pool[0].set && info.pool[0].resting.is_some());
    world.breaks("sk-b", limited());
    assert_eq!(keyed.fail().await.kind(), ErrorKind::RateLimited, "the failure of the key that there is");
}

#[tokio::test(start_paused = true)]
async fn a_key_is_read_again_after_its_time_to_live() {
    let world = World::default();
    let (keyed, files) = world.files(&["sk-1"], Some(900 * SECOND));
    // The same size and time of change, as on a file system that keeps neither: only its age tells.
    advance(899 * SECOND).await;
    keyed.ask_for("Yes.").await;
    std::fs::write(&files.1[0], "sk-2").unwrap();
    advance(SECOND).await;
    keyed.ask_for("Yes.").await;
    assert_eq!(world.asked(), ["sk-1", "sk-2"]);
}

#[tokio::test(start_paused = true)]
async fn refreshing_tells_which_keys_changed() {
    let world = World::default();
    let (keyed, files) = world.files(&["sk-a", "sk-b"], None);
    files.write(1, "sk-c");
    let changed: Vec<_> =
        keyed.refresh().await.into_iter().map(|one| (one.slot, one.changed, one.error)).collect();
    assert_eq!(changed, [(0, false, None), (1, true, None)]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_names_the_limit_first_goes_on_with_the_next_key_and_one_that_began_does_not() {
    for (opening, survives) in [("", true), ("It", false)] {
        let chunk = json!({ "choices": [{ "index": 0, "delta": { "content": opening } }] });
        let first = Mutex::new(true);
        let first = Arc::new(first);
        let make: Make = Arc::new(move |_| {
            let (first, chunk) = (first.clone(), chunk.clone());
            let provider = MockProvider::answering(move |_| {
                let is_first = std::mem::replace(&mut *first.lock().unwrap(), false);
                Ok(if is_first { events([Ok(chunk.clone()), Err(limited())]) } else { reply("Yes.", true) })
            });
            Ok(Service { provider: Arc::new(provider), deepseek: None })
        });
        let files = Files::new(&["sk-a", "sk-b"]);
        let sources = files.1.iter().map(|path| of_file(path, None)).collect();
        let keyed = Keyed::new("p", sources, String::new(), None, &make, None);
        let answer = ProviderExt::chat_stream(&keyed, "?").await.unwrap().completion().await;
        assert_eq!(answer.is_ok(), survives, "{opening:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_old_key_does_not_rest_the_new_one() {
    let (world, files) = (World::default(), Files::new(&["sk-old", "sk-b"]));
    let keyed = world.slow(&files);
    world.breaks("sk-old", limited());
    let rotated = async {
        files.write(0, "sk-new");
        keyed.refresh().await
    };
    let (answer, _) = futures_util::future::join(ProviderExt::ask(&keyed, "?"), rotated).await;
    answer.unwrap();
    assert_eq!(world.asked(), ["sk-old", "sk-b"]);
    assert!(keyed.info().pool.iter().all(|key| key.resting.is_none()));
}

#[tokio::test(start_paused = true)]
async fn neither_keys_nor_arguments_are_in_what_is_shown() {
    let world = World::default();
    let (keyed, _files) = world.files(&["sk-canary0123456789", "sk-canary0123456789"], None);
    world.breaks("sk-canary0123456789", refused());
    let error = keyed.fail().await;
    let info = serde_json::to_string(&keyed.info()).unwrap();
    let refreshed = serde_json::to_string(&keyed.refresh().await).unwrap();
    let shown =
        format!("{keyed:?} {error:?} {error} {} {:?} {info} {refreshed}", error.report(), keyed.info());
    assert!(!shown.contains("canary"), "{shown}");
    let request = Request::chat(&json!({ "model": "m", "messages": [] })).unwrap();
    world.mends("sk-canary0123456789");
    assert!(matches!(keyed.send(request).await.unwrap().body, Body::Json(_)));
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_one_key_gives_its_share_to_all_others_alike() {
    let world = World::default();
    let (keyed, _files) = world.files(&["sk-a", "sk-b", "sk-c"], None);
    world.breaks("sk-a", limited().with_retry_after(60 * SECOND));
    keyed.ask_for("Yes.").await;
    world.asked();
    for _ in 0..6 {
        keyed.ask_for("Yes.").await;
    }
    let asked = world.asked();
    let count = |key: &str| asked.iter().filter(|asked| *asked == key).count();
    assert_eq!((count("sk-b"), count("sk-c")), (3, 3), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_began_before_the_failure_does_not_end_the_rest_of_its_key() {
    let (world, files) = (World::default(), Files::new(&["sk-a", "sk-b"]));
    let keyed = world.slow(&files);
    let older = ProviderExt::ask(&keyed, "?");
    let later = async {
        sleep(SECOND / 2).await;
        // As a call does that is refused at once.
        let slot = &keyed.slots[0];
        slot.rest(&slot.seen(), 60 * SECOND);
    };
    let (answer, ()) = futures_util::future::join(older, later).await;
    answer.unwrap();
    assert_eq!(world.asked(), ["sk-a"]);
    assert_eq!(keyed.info().pool[0].resting, Some(SECOND * 119 / 2));

    // One that began afterwards does: it is asked when all others rest too.
    world.breaks("sk-b", limited().with_retry_after(600 * SECOND));
    keyed.fail().await;
    assert!(keyed.info().pool[0].resting.is_some());
    keyed.ask_for("Yes.").await;
    assert_eq!(keyed.info().pool[0].resting, None);
}

#[tokio::test(start_paused = true)]
async fn keys_and_rests_are_handed_over_to_the_provider_that_takes_the_place() {
    let world = World::default();
    let (before, files) = world.files(&["sk-a", "sk-b"], None);
    world.breaks("sk-a", limited().with_retry_after(60 * SECOND));
    before.ask_for("Yes.").await;
    for path in &files.1 {
        std::fs::remove_file(path).unwrap();
    }
    let sources = || files.1.iter().map(|path| of_file(path, Some(SECOND))).collect();
    let after = world.after(&before, sources());
    let info = after.info();
    assert_eq!((info.pool[0].set, info.pool[0].resting), (true, Some(60 * SECOND)));
    assert_eq!((info.pool[1].set, info.pool[1].resting), (true, None));
    world.asked();
    after.ask_for("Yes.").await;
    assert_eq!(world.asked(), ["sk-b"]);

    // One key is rotated: the other one's rest is as it was.
    files.write(0, "sk-a");
    files.write(1, "sk-c");
    let last = world.after(&after, sources());
    last.ask_for("Yes.").await;
    assert_eq!(world.asked(), ["sk-c"]);
    assert_eq!(last.info().pool[0].resting, Some(60 * SECOND));

    // What was refused by one service may be taken by another.
    let before = Before { keys: &last, is_same_service: false };
    let elsewhere = Keyed::new("p", sources(), String::new(), None, &world.make(), Some(&before));
    assert_eq!(elsewhere.info().pool[0].resting, None);
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_another_one_gets_no_key_of_the_old() {
    let world = World::default();
    let (before, files) = world.files(&["sk-a"], None);
    let elsewhere = files.1[0].with_extension("elsewhere");
    let after = world.after(&before, vec![of_file(&elsewhere, None)]);
    assert!(!after.info().set);
    assert_eq!(after.fail().await.kind(), ErrorKind::Config);
}

/// The lines of a log, each with all its fields.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("modelswitch_registry")
    }
    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = String::new();
        event.record(&mut |field: &tracing::field::Field, value: &dyn fmt::Debug| {
            line += &format!("{field}={value:?} ");
        });
        self.0.lock().unwrap().push(line);
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn each_line_of_the_log_names_the_provider_as_opentelemetry_does() {
    let log = Log::default();
    let world = World::default();
    let (keyed, files) = world.files(&["sk-a", "sk-b"], None);
    let listening = tracing::subscriber::set_default(log.clone());
    world.breaks("sk-a", limited());
    keyed.ask_for("Yes.").await;
    files.write(0, "sk-c");
    keyed.refresh().await;
    std::fs::remove_file(&files.1[0]).unwrap();
    keyed.refresh().await;
    drop(listening);
    let lines = log.0.lock().unwrap().clone();
    for message in ["a key is left alone", "the key is another one", "the key can't be read again"] {
        let line = lines.iter().find(|line| line.contains(message)).unwrap();
        assert!(line.contains("gen_ai.provider.name=\"p\""), "{line}");
    }
    assert!(
        lines.iter().all(|line| line.contains("gen_ai.provider.name") && !line.contains("sk-")),
        "{lines:?}"
    );
}

#[cfg(unix)]
mod over_commands {
    use super::super::super::command::tests::shell;
    use super::super::super::source::tests::of_command;
    use super::*;
    use futures_util::future::{Either, join_all, select};

    /// A command that writes a line into `runs` and then says the file's text.
    fn counted(folder: &TempDir, pause: &str) -> KeySource {
        let (runs, key) = (folder.path().join("runs"), folder.path().join("key"));
        let script = format!("echo x >> {}; sleep {pause}; cat {}", runs.display(), key.display());
        of_command(shell(&script, None), None)
    }

    fn runs(folder: &TempDir) -> usize {
        std::fs::read_to_string(folder.path().join("runs")).unwrap_or_default().lines().count()
    }

    #[tokio::test]
    async fn a_command_is_run_at_the_first_call_once_for_all_that_wait() {
        let (world, folder) = (World::default(), tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("key"), "sk-1").unwrap();
        let keyed = world.keyed(vec![counted(&folder, "0.1")]);
        assert_eq!((keyed.info().set, keyed.info().looked_for, runs(&folder)), (false, false, 0));
        join_all((0..50).map(|_| keyed.ask_for("Yes."))).await;
        assert_eq!(runs(&folder), 1);
        assert_eq!(keyed.info().source, "the command `sh`");
        assert!(keyed.info().set);
    }

    #[tokio::test]
    async fn fifty_calls_that_are_refused_together_run_it_once_and_none_is_lost() {
        let (world, folder) = (World::default(), tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("key"), "sk-1").unwrap();
        let keyed = world.keyed(vec![counted(&folder, "0.1")]);
        keyed.ask_for("Yes.").await;
        world.breaks("sk-1", refused());
        std::fs::write(folder.path().join("key"), "sk-2").unwrap();
        join_all((0..50).map(|_| keyed.ask_for("Yes."))).await;
        assert_eq!(runs(&folder), 2);

        // Nor does a key that stays wrong cost a run a call.
        world.breaks("sk-2", refused());
        let errors = join_all((0..50).map(|_| keyed.fail())).await;
        assert!(
            errors.iter().all(|error| error.kind() == ErrorKind::Authentication && error.attempts() == 1)
        );
        keyed.fail().await;
        assert_eq!(runs(&folder), 3);
    }

    #[tokio::test]
    async fn fifty_calls_that_miss_a_key_run_it_once_and_the_next_call_again() {
        let (world, folder) = (World::default(), tempfile::tempdir().unwrap());
        let keyed = world.keyed(vec![counted(&folder, "0.1")]);
        let errors = join_all((0..50).map(|_| keyed.fail())).await;
        assert!(errors.iter().all(|error| error.message().contains("exit code 1")));
        assert_eq!(runs(&folder), 1);
        std::fs::write(folder.path().join("key"), "sk-1").unwrap();
        keyed.ask_for("Yes.").await;
        assert_eq!(runs(&folder), 2);
    }

    /// A command that begins to hang when `hang` is there, and goes on when it is gone again.
    fn hanging(folder: &TempDir, ttl: Option<Duration>) -> KeySource {
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (runs, hang, key) = (path("runs"), path("hang"), path("key"));
        let script = format!(
            "echo x >> {runs}; while [ -e {hang} ]; do sleep 0.02; done; cat {key}; echo x >> {runs}-done"
        );
        of_command(shell(&script, Some(600 * SECOND)), ttl)
    }

    fn write(folder: &TempDir, name: &str, text: &str) {
        std::fs::write(folder.path().join(name), text).unwrap();
    }

    /// Waits for what other programs do, however slow the machine is.
    async fn until(what: impl Fn() -> bool) {
        for _ in 0..6000 {
            if what() {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("it never happens");
    }

    #[tokio::test]
    async fn a_call_that_is_dropped_leaves_its_reading_to_the_next() {
        let (world, folder) = (World::default(), tempfile::tempdir().unwrap());
        write(&folder, "key", "sk-1");
        write(&folder, "hang", "");
        let keyed = world.keyed(vec![hanging(&folder, None)]);
        let call = Box::pin(keyed.ask_for("Yes."));
        let begun = Box::pin(until(|| runs(&folder) == 1));
        assert!(
            matches!(select(call, begun).await, Either::Right(_)),
            "the call is dropped while the command runs"
        );
        std::fs::remove_file(folder.path().join("hang")).unwrap();
        keyed.ask_for("Yes.").await;
        assert_eq!((runs(&folder), world.asked()), (1, vec!["sk-1".to_owned()]));
    }

    #[tokio::test]
    async fn calls_with_short_deadlines_go_with_the_old_key_while_a_vault_hangs() {
        let (world, folder) = (World::default(), tempfile::tempdir().unwrap());
        write(&folder, "key", "sk-1");
        let keyed = world.keyed(vec![hanging(&folder, Some(Duration::from_millis(1)))]);
        keyed.ask_for("Yes.").await;
        until(|| runs(&folder) == 1).await;
        write(&folder, "hang", "");
        write(&folder, "key", "sk-2");
        sleep(Duration::from_millis(2)).await;
        // The first one gives up before its wait is over: it leaves nothing for the others to be caught in.
        let given_up = Box::pin(keyed.ask_for("Yes."));
        assert!(matches!(select(given_up, Box::pin(until(|| runs(&folder) == 2))).await, Either::Right(_)));
        for _ in 0..20 {
            keyed.ask_for("Yes.").await;
        }
        assert_eq!((runs(&folder), world.asked()), (2, vec!["sk-1".to_owned(); 21]));
        std::fs::remove_file(folder.path().join("hang")).unwrap();
        for _ in 0..6000 {
            keyed.ask_for("Yes.").await;
            if world.asked() == ["sk-2"] {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("the new key is never used");
    }

    #[tokio::test]
    async fn a_key_that_hangs_at_first_holds_up_no_call_that_has_another() {
        let (world, folder) = (World::default(), tempfile::tempdir().unwrap());
        write(&folder, "key", "sk-slow");
        write(&folder, "hang", "");
        let files = Files::new(&["sk-b"]);
        let keyed = world.keyed(vec![hanging(&folder, None), of_file(&files.1[0], None)]);
        let first = Box::pin(keyed.ask_for("Yes."));
        let Either::Right(((), first)) = select(first, Box::pin(until(|| runs(&folder) == 1))).await else {
            panic!("it waits for a key that hangs")
        };
        // While it waits, the others go on with the key that there is.
        for _ in 0..3 {
            keyed.ask_for("Yes.").await;
        }
        first.await;
        assert_eq!(world.asked(), ["sk-b"; 4]);
        std::fs::remove_file(folder.path().join("hang")).unwrap();
        until(|| keyed.info().pool[0].set).await;
        assert_eq!(keyed.info().pool[0].resting, None, "a key that came rests no longer");
        keyed.ask_for("Yes.").await;
        keyed.ask_for("Yes.").await;
        assert!(world.asked().contains(&"sk-slow".to_owned()));
    }

    #[tokio::test]
    async fn a_refused_key_whose_vault_hangs_holds_up_no_call_that_has_another() {
        let (world, folder) = (World::default(), tempfile::tempdir().unwrap());
        write(&folder, "key", "sk-1");
        let files = Files::new(&["sk-b"]);
        let keyed = world.keyed(vec![hanging(&folder, None), of_file(&files.1[0], None)]);
        keyed.ask_for("Yes.").await;
        world.breaks("sk-1", refused());
        write(&folder, "hang", "");
        write(&folder, "key", "sk-2");
        keyed.next.store(0, Ordering::Relaxed);
        // The command may take ten minutes; the call doesn't.
        tokio::time::timeout(60 * SECOND, keyed.ask_for("Yes.")).await.unwrap();
        assert_eq!(world.asked(), ["sk-1", "sk-1", "sk-b"]);
        assert!(keyed.info().pool[0].resting.is_some());
        std::fs::remove_file(folder.path().join("hang")).unwrap();
        until(|| keyed.info().pool[0].resting.is_none()).await;
        keyed.next.store(0, Ordering::Relaxed);
        keyed.ask_for("Yes.").await;
        assert_eq!(world.asked(), ["sk-2"]);
    }

    #[tokio::test]
    async fn keys_that_take_time_are_read_again_after_they_expired_and_the_old_one_serves_if_that_fails() {
        let (world, folder) = (World::default(), tempfile::tempdir().unwrap());
        write(&folder, "key", "sk-1");
        let keyed = world.keyed(vec![hanging(&folder, None)]);
        keyed.ask_for("Yes.").await;
        std::fs::remove_file(folder.path().join("key")).unwrap();
        keyed.expire();
        until(|| runs(&folder) == 1).await;
        keyed.ask_for("Yes.").await;
        until(|| runs(&folder) == 2).await;
        assert_eq!(world.asked(), ["sk-1", "sk-1"]);
        write(&folder, "key", "sk-2");
        keyed.expire();
        for _ in 0..6000 {
            keyed.ask_for("Yes.").await;
            if world.asked() == ["sk-2"] {
                return;
            }
            keyed.expire();
            sleep(Duration::from_millis(10)).await;
        }
        panic!("the new key is never used");
    }

    #[tokio::test]
    async fn a_command_is_stopped_with_its_provider() {
        let (world, folder) = (World::default(), tempfile::tempdir().unwrap());
        write(&folder, "key", "sk-1");
        write(&folder, "hang", "");
        let keyed = world.keyed(vec![hanging(&folder, None)]);
        let call = Box::pin(keyed.ask_for("Yes."));
        assert!(matches!(select(call, Box::pin(until(|| runs(&folder) == 1))).await, Either::Right(_)));
        let slot = Arc::downgrade(&keyed.slots[0].0);
        drop(keyed);
        until(|| slot.strong_count() == 0).await;
        assert!(!folder.path().join("runs-done").exists());
    }
}
