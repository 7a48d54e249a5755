use std::time::{Duration, UNIX_EPOCH};

use futures_util::FutureExt;
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::Tokens;
use crate::counter::tests::check_counter;
use crate::ledger::tests::{check_sums, entries};

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("usage.sqlite");
    (folder, path)
}

fn until_tomorrow(most: i64) -> [Allowance; 1] {
    [Allowance::new("all", Decimal::from(most), UNIX_EPOCH + Duration::from_secs(86_400))]
}

#[tokio::test]
async fn entries_are_added_up_exactly_and_are_still_there_when_the_file_is_opened_again() {
    let (_folder, path) = folder();
    let store = Sqlite::open(&path).unwrap();
    for entry in entries() {
        store.record(entry);
    }
    check_sums(&store).await;
    drop(store);
    check_sums(&Sqlite::open(&path).unwrap()).await;
}

#[tokio::test]
async fn dropping_the_last_clone_waits_until_all_is_written() {
    let (_folder, path) = folder();
    let store = Sqlite::open(&path).unwrap();
    for _ in 0..500 {
        store.clone().record(Entry::at(UNIX_EPOCH));
    }
    drop(store);
    let count: i64 = Connection::open(&path)
        .unwrap()
        .query_row("SELECT count(*) FROM entries", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, 500);
}

#[tokio::test]
async fn an_amount_is_taken_from_all_or_none_and_corrected_afterwards() {
    let (_folder, path) = folder();
    check_counter(&Sqlite::open(&path).unwrap()).await;
}

/// Looking for them is a look at all sums, and each call waits for it.
#[tokio::test]
async fn sums_that_have_ended_are_looked_for_once_an_hour() {
    let (_folder, path) = folder();
    let store = Sqlite::open(&path).unwrap();
    let now = |minutes: u64| UNIX_EPOCH + Duration::from_secs(3 * 86_400 + minutes * 60);
    let ended = [Allowance::new("ended", Decimal::TEN, UNIX_EPOCH + Duration::from_secs(86_400))];
    for (minutes, sum) in [(0, 1), (1, 2), (59, 3), (60, 1), (61, 2)] {
        // The first of an hour forgets what was there, and then begins anew.
        assert_eq!(store.take(now(minutes), Decimal::ONE, &ended).await.unwrap(), Taken::Yes);
        assert_eq!(store.sum("ended").await.unwrap(), Decimal::from(sum), "{minutes}");
    }
}

#[tokio::test]
async fn money_that_nobody_waits_for_any_longer_is_given_back() {
    let (_folder, path) = folder();
    let store = Sqlite::open(&path).unwrap();
    let day = until_tomorrow(10);
    for _ in 0..50 {
        // The job is handed over by the first poll, and its answer may or may not be there when the future is dropped.
        let _ = store.take(UNIX_EPOCH, Decimal::from(5), &day).now_or_never();
    }
    // Jobs are done in their order, and one that gives back may come after that of the last question.
    for _ in 0..1000 {
        if store.sum("all").await.unwrap() == Decimal::ZERO {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it was never given back");
}

#[test]
fn programs_that_share_a_file_share_a_budget() {
    let (_folder, path) = folder();
    let day = until_tomorrow(100);
    let taken: usize = thread::scope(|scope| {
        let programs: Vec<_> = (0..4)
            .map(|_| {
                let store = Sqlite::open(&path).unwrap();
                let day = &day;
                scope.spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    let take = || runtime.block_on(store.take(UNIX_EPOCH, Decimal::ONE, day));
                    // A file that somebody else has for long is no answer; asked again it is one.
                    let answer = || (0..100).find_map(|_| take().ok()).unwrap();
                    (0..40).filter(|_| answer() == Taken::Yes).count()
                })
            })
            .collect();
        programs.into_iter().map(|program| program.join().unwrap()).sum()
    });
    assert_eq!(taken, 100);
}

#[test]
fn programs_that_make_the_file_at_the_same_time_all_open_it() {
    let (_folder, path) = folder();
    thread::scope(|scope| {
        let programs: Vec<_> = (0..12).map(|_| scope.spawn(|| Sqlite::open(&path).map(drop))).collect();
        for program in programs {
            program.join().unwrap().unwrap();
        }
    });
}

#[tokio::test]
async fn a_locked_file_fails_no_call_and_its_entries_are_written_later() {
    let (_folder, path) = folder();
    let store = Sqlite::open(&path).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    store.record(Entry::at(UNIX_EPOCH));
    let error = store.take(UNIX_EPOCH, Decimal::ONE, &until_tomorrow(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Upstream);
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.sums(&Query::new()).await.unwrap()[0].calls, 1);
}

/// Each would wait a second, one after the other.
#[tokio::test]
async fn calls_do_not_queue_up_for_a_locked_file() {
    let (_folder, path) = folder();
    let store = Sqlite::open(&path).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let allowance = until_tomorrow(1000);
    let takes = (0..200).map(|_| {
        store.record(Entry::at(UNIX_EPOCH));
        store.take(UNIX_EPOCH, Decimal::ONE, &allowance)
    });
    // More than 200, if they queued up.
    let all = tokio::time::timeout(Duration::from_secs(120), futures_util::future::join_all(takes));
    assert!(all.await.unwrap().iter().all(|taken| taken.is_err()));
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.take(UNIX_EPOCH, Decimal::ONE, &allowance).await.unwrap(), Taken::Yes);
    assert_eq!(store.sums(&Query::new()).await.unwrap()[0].calls, 200);
}

#[tokio::test]
async fn an_outcome_of_a_later_version_is_a_failure_and_no_end_of_the_sums() {
    let (_folder, path) = folder();
    let store = Sqlite::open(&path).unwrap();
    store.record(Entry::at(UNIX_EPOCH));
    store.flush().await.unwrap();
    Connection::open(&path).unwrap().execute_batch("UPDATE entries SET outcome = 'melted'").unwrap();
    assert_eq!(store.sums(&Query::new()).await.unwrap()[0].failed, 1);
}

#[tokio::test]
async fn a_full_disk_fails_no_call_and_its_entries_are_written_later() {
    let (_folder, path) = folder();
    let mut file = File::open(&path).unwrap();
    let pages = |file: &File, most: i64| file.limit_pages(most);
    let full = pages(&file, 1);
    let mut large = Entry::at(UNIX_EPOCH);
    large.tag = Some("x".repeat(1_000_000));
    large.tokens = Some(Tokens::default());
    assert_eq!(file.insert([&large].into_iter()).unwrap_err().kind(), ErrorKind::Upstream);
    assert!(full < 100, "{full}");
    pages(&file, 1_000_000);
    file.insert([&large].into_iter()).unwrap();
    assert_eq!(file.sums(&Query::new()).unwrap()[0].calls, 1);
}

#[test]
fn what_is_no_ledger_or_a_later_one_is_refused_and_left_alone() {
    let (folder, path) = folder();
    std::fs::write(&path, "my diary, which is long enough to be looked at and isn't a database of any kind")
        .unwrap();
    let error = Sqlite::open(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("my diary"));

    let later = folder.path().join("later.sqlite");
    drop(Sqlite::open(&later).unwrap());
    Connection::open(&later).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(Sqlite::open(&later).unwrap_err().message().contains("later version"));
    assert!(Sqlite::open(folder.path().join("no such folder/usage.sqlite")).is_err());
}

#[test]
fn a_database_of_another_program_is_refused_and_left_alone() {
    let (_folder, path) = folder();
    let notes = "CREATE TABLE notes (text TEXT)";
    for version in [0, 1, 99] {
        let other = Connection::open(&path).unwrap();
        other.execute_batch(&notes.replace("notes", &format!("notes{version}"))).unwrap();
        other.pragma_update(None, "user_version", version).unwrap();
        drop(other);
        let before = std::fs::read(&path).unwrap();
        let error = Sqlite::open(&path).unwrap_err();
        assert!(error.message().contains("another program"), "{version}: {error}");
        assert_eq!(std::fs::read(&path).unwrap(), before, "{version}");
    }
}

/// With this file in its folder a second program writes until it is killed.
const GO: &str = "go";

#[test]
#[ignore = "it is the second program of the test below"]
fn writes_until_it_is_killed() {
    if !Path::new(GO).exists() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = Sqlite::open("usage.sqlite").unwrap();
    loop {
        store.record(Entry::at(UNIX_EPOCH));
        let _ = runtime.block_on(store.take(UNIX_EPOCH, Decimal::ONE, &until_tomorrow(i64::MAX)));
    }
}

#[tokio::test]
async fn what_was_written_outlives_a_program_that_is_killed() {
    let (folder, path) = folder();
    std::fs::write(folder.path().join(GO), "").unwrap();
    let mut other = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "sqlite::tests::writes_until_it_is_killed"])
        .current_dir(folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let store = Sqlite::open(&path).unwrap();
    let mut seen = 0;
    for _ in 0..6000 {
        seen = store.sums(&Query::new()).await.unwrap().first().map_or(0, |sum| sum.calls);
        if seen > 100 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(seen > 100, "it wrote {seen}");
    store.record(Entry::at(UNIX_EPOCH));
    let calls = store.sums(&Query::new()).await.unwrap()[0].calls;
    let taken = store.sum("all").await.unwrap();
    assert!(calls > seen && taken >= Decimal::from(100), "{calls} calls, {taken} taken");
    let file = Connection::open(&path).unwrap();
    let sound: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
}
