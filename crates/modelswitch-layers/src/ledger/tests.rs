use std::time::UNIX_EPOCH;

use rust_decimal::Decimal;

use super::*;
use crate::Money;

/// Calls of three days, with and without tag and price.
pub(crate) fn entries() -> Vec<Entry> {
    let entry = |day: u64, model: &str, tag: Option<&str>, cost: Priced| {
        let mut entry = Entry::at(UNIX_EPOCH + Duration::from_secs(day * 86_400 + 80_000));
        entry.provider = "deepseek".to_owned();
        entry.model = model.to_owned();
        entry.tag = tag.map(str::to_owned);
        entry.alias = Some("fast".to_owned());
        entry.tokens = Some(Tokens { input: 10, output: 5, cached: 4, reasoning: 2 });
        entry.cost = cost;
        entry.outcome = Outcome::Ok;
        entry.duration = Duration::from_millis(1234);
        entry.attempts = 2;
        entry
    };
    let known = |amount: &str, currency: &str| {
        Priced::Known(Money::new(amount.parse::<Decimal>().unwrap(), currency))
    };
    let mut failed = entry(2, "pro", None, Priced::Free);
    (failed.outcome, failed.tokens) = (Outcome::Error(ErrorKind::RateLimited), None);
    vec![
        entry(0, "flash", Some("a"), known("0.1", "USD")),
        entry(0, "flash", Some("b"), known("0.2", "USD")),
        entry(1, "flash", Some("a"), known("0.0000000000000000000000000001", "USD")),
        entry(1, "pro", Some("a"), known("7", "CNY")),
        entry(1, "own", None, Priced::NoPrice),
        failed,
    ]
}

/// What each question has for an answer, for a ledger that holds [`entries`].
pub(crate) async fn check_sums(ledger: &dyn Ledger) {
    for (query, expected) in [
        (
            Query::new(),
            vec![" calls 6 failed 1 tokens 50/25/20/10 CNY 7 USD 0.3000000000000000000000000001 unpriced 1"],
        ),
        (
            Query::new().by([By::Day]),
            vec![
                "1970-01-01 calls 2 failed 0 tokens 20/10/8/4 USD 0.3 unpriced 0",
                "1970-01-02 calls 3 failed 0 tokens 30/15/12/6 CNY 7 USD 0.0000000000000000000000000001 unpriced 1",
                "1970-01-03 calls 1 failed 1 tokens 0/0/0/0 unpriced 0",
            ],
        ),
        (
            Query::new().only(By::Model, "flash").by([By::Tag, By::Alias]),
            vec![
                "a fast calls 2 failed 0 tokens 20/10/8/4 USD 0.1000000000000000000000000001 unpriced 0",
                "b fast calls 1 failed 0 tokens 10/5/4/2 USD 0.2 unpriced 0",
            ],
        ),
        (
            Query::new()
                .since(UNIX_EPOCH + Duration::from_secs(90_000))
                .until(UNIX_EPOCH + Duration::from_secs(180_000))
                .by([By::Tag]),
            vec![
                "- calls 1 failed 0 tokens 10/5/4/2 unpriced 1",
                "a calls 2 failed 0 tokens 20/10/8/4 CNY 7 USD 0.0000000000000000000000000001 unpriced 0",
            ],
        ),
        (
            Query::new().only(By::Tag, "b").utc_offset(120).by([By::Day, By::Provider]),
            vec!["1970-01-02 deepseek calls 1 failed 0 tokens 10/5/4/2 USD 0.2 unpriced 0"],
        ),
    ] {
        let sums: Vec<String> = ledger.sums(&query).await.unwrap().iter().map(shown).collect();
        assert_eq!(sums, expected, "{query:?}");
    }
}

fn shown(sum: &Sum) -> String {
    let group: Vec<&str> = sum.group.iter().map(|value| value.as_deref().unwrap_or("-")).collect();
    let Tokens { input, output, cached, reasoning } = sum.tokens;
    let costs: String = sum.costs.iter().map(|(currency, amount)| format!("{currency} {amount} ")).collect();
    format!(
        "{} calls {} failed {} tokens {input}/{output}/{cached}/{reasoning} {costs}unpriced {}",
        group.join(" "),
        sum.calls,
        sum.failed,
        sum.unpriced
    )
}

#[tokio::test]
async fn entries_are_added_up_exactly_and_by_whatever_is_asked() {
    let ledger = MemoryLedger::new();
    for entry in entries() {
        ledger.record(entry);
    }
    check_sums(&ledger).await;
    assert_eq!(format!("{ledger:?}"), "MemoryLedger(6 entries)");
}

#[test]
fn every_outcome_survives_as_text() {
    for outcome in ErrorKind::ALL.map(Outcome::Error).into_iter().chain([Outcome::Ok, Outcome::Cancelled]) {
        assert_eq!(outcome.to_string().parse::<Outcome>().unwrap(), outcome);
    }
    assert!("perhaps".parse::<Outcome>().is_err());
}
