//! `modelswitch usage` over a ledger that the test writes.

use std::time::{Duration, SystemTime};

use modelswitch_layers::{Entry, Ledger, Money, Outcome, Priced, Sqlite, Tokens};
use modelswitch_provider::ErrorKind;
use rust_decimal::Decimal;
use serde_json::json;

use super::support::{Outcome as Ended, Place};

fn at(moment: &str) -> SystemTime {
    humantime::parse_rfc3339(moment).unwrap()
}

fn entry(moment: &str, provider: &str, model: &str, cost: Priced) -> Entry {
    let mut entry = Entry::at(at(moment));
    entry.provider = provider.to_owned();
    entry.model = model.to_owned();
    entry.tokens = Some(Tokens { input: 1000, output: 200, cached: 300, reasoning: 50 });
    entry.cost = cost;
    entry.outcome = Outcome::Ok;
    entry
}

fn money(amount: &str, currency: &str) -> Priced {
    Priced::Known(Money::new(amount.parse::<Decimal>().unwrap(), currency))
}

/// Three days of DeepSeek, one call of a model without a price, one that failed, and one with a tag that wants quotes.
async fn written() -> Place {
    let place = Place::empty();
    let ledger = Sqlite::open(place.folder.path().join("usage.sqlite")).unwrap();
    let flash =
        |moment: &str, amount: &str| entry(moment, "deepseek", "deepseek-flash", money(amount, "USD"));
    ledger.record(flash("2026-11-01T10:00:00Z", "0.0012"));
    ledger.record(flash("2026-11-01T20:00:00Z", "0.0000000004"));
    ledger.record(flash("2026-11-03T10:00:00Z", "0.0012"));
    ledger.record(entry("2026-11-02T10:00:00Z", "local", "qwen", Priced::NoPrice));
    let mut failed = entry("2026-11-02T10:00:00Z", "openai", "gpt-5.5", Priced::Free);
    failed.outcome = Outcome::Error(ErrorKind::RateLimited);
    failed.tokens = None;
    ledger.record(failed);
    let mut tagged = entry("2026-11-02T11:00:00Z", "zhipu", "glm", money("1.5", "CNY"));
    tagged.tag = Some("team \"a\", b".to_owned());
    ledger.record(tagged);
    ledger.flush().await.unwrap();
    place
}

fn usage(place: &Place, arguments: &[&str]) -> Ended {
    place.run(&[&["usage", "--ledger", "usage.sqlite"], arguments].concat()).ends(0)
}

#[track_caller]
fn has_row(outcome: &Ended, row: &[&str]) {
    let rows = outcome.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    assert!(rows.into_iter().any(|found| found == row), "{row:?}: {}", outcome.out);
}

#[tokio::test]
async fn a_table_has_a_row_for_each_model_with_its_cost_and_its_days() {
    let place = written().await;
    let outcome = usage(&place, &[]);
    let deepseek =
        ["deepseek", "deepseek-flash", "3", "0", "3000", "900", "600", "150", "0.0024", "USD", "█·▄"];
    has_row(&outcome, &deepseek);
    assert!(outcome.out.contains("TOKENS A DAY"), "{}", outcome.out);
    assert!(outcome.err.contains("2026-11-01 to 2026-11-03, days of UTC"), "{}", outcome.err);
    let total = [
        "total",
        "6",
        "1",
        "5000",
        "1500",
        "1000",
        "250",
        "1.5",
        "CNY",
        "+",
        "0.0024",
        "USD",
        "+",
        "1",
        "call",
        "unknown",
        "██▄",
    ];
    has_row(&usage(&place, &["--by", "provider"]), &total);
}

#[tokio::test]
async fn a_price_that_nobody_knows_is_never_a_zero() {
    let place = written().await;
    let outcome = usage(&place, &["--by", "provider", "--trend", "cost"]);
    has_row(&outcome, &["local", "1", "0", "1000", "300", "200", "50", "unknown", "·?·"]);
    // Nothing was paid for a call that the service refused, and that is known.
    has_row(&outcome, &["openai", "1", "1", "0", "0", "0", "0", "free", "···"]);
    assert!(outcome.out.contains("several currencies"), "{}", outcome.out);
    let report = usage(&place, &["--provider", "local", "--json"]).json();
    assert_eq!(
        (&report["rows"][0]["costs"], &report["rows"][0]["calls_of_unknown_cost"]),
        (&json!({}), &json!(1))
    );
    let csv = usage(&place, &["--by", "provider", "--format", "csv"]).out;
    assert!(csv.contains("\nlocal,1,0,1000,300,200,50,1,,\n"), "{csv}");
    let nobody = usage(&place, &["--provider", "nobody"]);
    assert!(nobody.out.is_empty() && nobody.err.contains("no such call is written down"), "{nobody:#?}");
    let little = usage(&place, &["--since", "2026-11-01T20:00:00Z", "--until", "2026-11-01"]);
    assert!(little.out.contains("<0.000001 USD"), "{}", little.out);
}

#[tokio::test]
async fn calls_are_put_together_by_what_is_wished_for_in_its_order() {
    let place = written().await;
    let outcome = usage(&place, &["--by", "day,model"]);
    has_row(
        &outcome,
        &["2026-11-01", "deepseek-flash", "2", "0", "2000", "600", "400", "100", "0.0012", "USD"],
    );
    assert!(!outcome.out.contains("A DAY"), "{}", outcome.out);
    let outcome = usage(&place, &["--by", "tag", "--by", "tag"]);
    assert!(outcome.out.contains("team \"a\", b") && outcome.out.contains("\n-  "), "{}", outcome.out);
    let err = place.run(&["usage", "--by", "week"]).ends(2).err;
    assert!(err.contains("day, provider, model, alias, tag"), "{err}");
}

#[tokio::test]
async fn csv_and_json_have_exact_amounts() {
    let place = written().await;
    let csv = usage(&place, &["--by", "day,tag", "--format", "csv"]).out;
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(
        lines[0],
        "day,tag,calls,failed,input_tokens,cached_tokens,output_tokens,reasoning_tokens,calls_of_unknown_cost,cost_CNY,cost_USD"
    );
    assert!(lines.contains(&"2026-11-01,,2,0,2000,600,400,100,0,,0.0012000004"), "{csv}");
    assert!(lines.contains(&"2026-11-02,\"team \"\"a\"\", b\",1,0,1000,300,200,50,0,1.5,"), "{csv}");
    let report =
        usage(&place, &["--format", "json", "--since", "2026-11-01", "--until", "2026-11-01"]).json();
    assert_eq!(
        report,
        json!({
            "ledger": "usage.sqlite",
            "since": "2026-11-01T00:00:00Z",
            "until": "2026-11-02T00:00:00Z",
            "by": ["provider", "model"],
            "rows": [{
                "provider": "deepseek", "model": "deepseek-flash", "calls": 2, "failed": 0,
                "tokens": { "input": 2000, "cached": 600, "output": 400, "reasoning": 100 },
                "costs": { "USD": "0.0012000004" }, "calls_of_unknown_cost": 0,
            }],
            "total": {
                "calls": 2, "failed": 0,
                "tokens": { "input": 2000, "cached": 600, "output": 400, "reasoning": 100 },
                "costs": { "USD": "0.0012000004" }, "calls_of_unknown_cost": 0,
            },
        })
    );
}

#[tokio::test]
async fn only_a_span_of_time_is_added_up_where_one_is_given() {
    let place = written().await;
    let calls = |arguments: &[&str]| {
        usage(&place, &[arguments, &["--json"]].concat()).json()["total"]["calls"].clone()
    };
    assert_eq!(calls(&["--since", "2026-11-02"]), 4);
    assert_eq!(calls(&["--until", "2026-11-02"]), 5);
    assert_eq!(calls(&["--until", "2026-11-01", "--utc-offset", "8"]), 1);
    assert_eq!(calls(&["--since", "2026-11-03T10:00:01Z"]), 0);
    for arguments in [
        &["--since", "2026-11-02", "--until", "2026-11-01"][..],
        &["--since", "yesterday"],
        &["--last", "7"],
        &["--last", "7d", "--since", "2026-11-01"],
        &["--utc-offset", "east"],
    ] {
        let outcome = place.run(&[&["usage", "--ledger", "usage.sqlite"], arguments].concat()).ends(2);
        assert!(outcome.out.is_empty() && !outcome.err.is_empty(), "{outcome:#?}");
    }
}

#[tokio::test]
async fn the_last_days_end_with_today() {
    let place = Place::empty();
    let ledger = Sqlite::open(place.folder.path().join("usage.sqlite")).unwrap();
    let ago = |days: u64| SystemTime::now() - Duration::from_secs(days * 86_400);
    for time in [ago(0), ago(1), ago(9)] {
        let mut entry = entry("2026-11-01T10:00:00Z", "deepseek", "deepseek-flash", Priced::NoUsage);
        entry.time = time;
        ledger.record(entry);
    }
    ledger.flush().await.unwrap();
    let outcome = usage(&place, &["--last", "7d"]);
    let row = outcome.out.lines().nth(1).unwrap();
    let trend = row.split_whitespace().last().unwrap();
    // Midnight may come between the two.
    assert!(row.contains(" 2 ") && trend.chars().count() == 7 && trend.contains("██"), "{}", outcome.out);
}

#[test]
fn without_a_ledger_it_is_said_what_to_configure() {
    for place in [Place::empty(), Place::empty().file("[providers.llamacpp]")] {
        let outcome = place.run(&["usage"]).ends(2);
        assert!(outcome.err.starts_with("error: no ledger is configured"), "{outcome:#?}");
        assert!(outcome.err.contains("[ledger]") && outcome.err.contains("--ledger"), "{outcome:#?}");
    }
    let place = Place::empty().file("ledger = true\n[providers.llamacpp]");
    assert!(place.run(&["usage"]).ends(2).err.contains("in the app's memory"));
    // What is looked at by any command is not made.
    let place = Place::empty().file("[providers.llamacpp]\n[ledger]\npath = 'absent.sqlite'");
    for command in [&["usage"][..], &["config", "show"], &["providers"]] {
        let outcome = place.run(command);
        assert!(!place.folder.path().join("absent.sqlite").exists(), "{command:?}: {outcome:#?}");
    }
    assert!(place.run(&["usage"]).ends(2).err.contains("there is no ledger at"));
    let place = Place::empty();
    let outcome = place.run(&["usage", "--ledger", "absent.sqlite"]).ends(2);
    assert!(outcome.err.contains("there is no ledger at absent.sqlite"), "{outcome:#?}");
    // Looking makes no file.
    assert!(!place.folder.path().join("absent.sqlite").exists());
    let place = place.variable("MODELSWITCH_LEDGER__PATH", "elsewhere.sqlite");
    assert!(place.run(&["usage"]).ends(2).err.contains("elsewhere.sqlite"));
    std::fs::write(place.folder.path().join("elsewhere.sqlite"), "this is a text and no database at all")
        .unwrap();
    let outcome = place.run(&["usage"]).ends(2);
    assert!(outcome.err.contains("can't be opened"), "{outcome:#?}");
}

#[tokio::test]
async fn a_ledger_without_calls_is_told_and_no_failure() {
    let place = Place::empty();
    drop(Sqlite::open(place.folder.path().join("usage.sqlite")).unwrap());
    let outcome = usage(&place, &[]);
    assert!(outcome.out.is_empty() && outcome.err.contains("no such call is written down"), "{outcome:#?}");
    assert_eq!(usage(&place, &["--json"]).json()["total"]["calls"], 0);
    assert_eq!(usage(&place, &["--format", "csv"]).out.lines().count(), 1);
}
