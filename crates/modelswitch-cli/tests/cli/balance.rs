use modelswitch_sim::{Script, Sim};
use serde_json::json;

use super::support::{Outcome, Place, plain_sim};

fn with_key(sim: &Sim, key: &str) -> Place {
    Place::empty().variable("DEEPSEEK_BASE_URL", sim.base_url()).variable("DEEPSEEK_API_KEY", key)
}

/// The columns of each line, without the headings.
fn rows(outcome: &Outcome) -> Vec<Vec<String>> {
    let lines = outcome.out.lines().skip(1);
    lines.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_is_a_table_with_a_line_for_each_currency() {
    let sim = Sim::start().await.unwrap();
    let place = with_key(&sim, sim.key());
    let outcome = place.run(&["balance"]).ends(0);
    let heading = outcome.out.lines().next().unwrap();
    for column in ["PROVIDER", "CURRENCY", "TOTAL", "GRANTED", "TOPPED UP", "AVAILABLE"] {
        assert!(heading.contains(column), "{column}: {heading}");
    }
    assert_eq!(rows(&outcome), [["deepseek", "CNY", "110.00", "10.00", "100.00", "yes"]]);
    assert_eq!(sim.requests().last().unwrap().path, "/user/balance");

    let amount = |currency: &str, total: &str| json!({ "currency": currency, "total_balance": total, "granted_balance": "0.00", "topped_up_balance": total });
    let two = json!({ "is_available": true, "balance_infos": [amount("CNY", "0.30"), amount("USD", "12345678901234.56")] });
    sim.script_path("/user/balance", Script::status(200).json(two));
    let outcome = place.run(&["balance", "deepseek"]).ends(0);
    assert_eq!(
        rows(&outcome),
        [
            ["deepseek", "CNY", "0.30", "0.00", "0.30", "yes"],
            ["deepseek", "USD", "12345678901234.56", "0.00", "12345678901234.56", "yes"]
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn json_has_the_same_with_amounts_as_text() {
    let sim = Sim::start().await.unwrap();
    let answer = with_key(&sim, sim.key()).run(&["balance", "--json"]).ends(0).json();
    assert_eq!(
        answer,
        json!([{ "provider": "deepseek", "is_available": true, "amounts": [
            { "currency": "CNY", "total": "110.00", "granted": "10.00", "topped_up": "100.00" }] }])
    );
    let answer = with_key(&sim, "sk-no-balance").run(&["balance", "--json"]).ends(1).json();
    assert_eq!(
        (&answer[0]["is_available"], &answer[0]["amounts"][0]["total"]),
        (&json!(false), &json!("0.00"))
    );
    assert_eq!(answer[0]["error"]["kind"], "insufficient_balance");
    let answer = with_key(&sim, "sk-wrong").run(&["balance", "--json"]).ends(1).json();
    assert_eq!(
        (&answer[0]["error"]["kind"], &answer[0]["error"]["status"]),
        (&json!("authentication"), &json!(401))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_account_ends_with_1_and_says_where_to_top_up() {
    let sim = Sim::start().await.unwrap();
    let outcome = with_key(&sim, "sk-no-balance").run(&["balance"]).ends(1);
    assert_eq!(rows(&outcome), [["deepseek", "CNY", "0.00", "0.00", "0.00", "no"]]);
    assert!(outcome.err.contains("too little is left"), "{outcome:#?}");
    assert!(outcome.err.contains("https://platform.deepseek.com/top_up"), "{outcome:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balance_that_cannot_be_read_ends_with_1_and_says_why() {
    let sim = Sim::start().await.unwrap();
    let outcome = with_key(&sim, "sk-wrong").run(&["balance"]).ends(1);
    assert_eq!(rows(&outcome), [["deepseek", "-", "-", "-", "-", "failed"]]);
    assert!(outcome.err.contains("DEEPSEEK_API_KEY"), "{outcome:#?}");

    sim.script_path("/user/balance", Script::status(503));
    let outcome = with_key(&sim, sim.key()).run(&["balance"]).ends(1);
    assert!(outcome.err.starts_with("error: "), "{outcome:#?}");
    sim.script_path("/user/balance", Script::status(200).json(json!({ "is_available": "perhaps" })));
    with_key(&sim, sim.key()).run(&["balance"]).ends(1);

    let outcome = Place::empty().file("[providers.deepseek]").run(&["balance"]).ends(1);
    assert!(outcome.err.contains("set DEEPSEEK_API_KEY"), "{outcome:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_without_a_balance_are_left_out_and_said_when_there_is_nothing_else() {
    let (sim, other) = (Sim::start().await.unwrap(), plain_sim().await);
    let place = with_key(&sim, sim.key()).file(&format!(
        "[providers.deepseek]\n[providers.other]\nprofile = 'openai-compatible'\nbase_url = '{}'\n",
        other.base_url()
    ));
    let outcome = place.run(&["balance"]).ends(0);
    assert_eq!(rows(&outcome).len(), 1);
    let outcome = place.run(&["balance", "other"]).ends(2);
    assert!(outcome.out.is_empty() && outcome.err.contains("`other` has no balance"), "{outcome:#?}");
    assert!(outcome.err.contains("DeepSeek"), "{outcome:#?}");
    assert!(other.requests().is_empty());
    let outcome = place.run(&["balance", "othre"]).ends(2);
    assert!(outcome.err.contains("did you mean `other`?"), "{outcome:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balance_that_the_rules_refuse_is_told_with_the_rule() {
    let sim = Sim::start().await.unwrap();
    let place = with_key(&sim, sim.key()).file("[providers.deepseek]\nallow_endpoints = ['chat', 'models']");
    let outcome = place.run(&["balance"]).ends(1);
    assert!(outcome.err.contains("allow_endpoints"), "{outcome:#?}");
    assert!(!outcome.err.contains("only DeepSeek's service"), "{outcome:#?}");
    let outcome = place.run(&["check"]).ends(0);
    assert!(!outcome.out.contains("doesn't tell its balance"), "{outcome:#?}");
}
