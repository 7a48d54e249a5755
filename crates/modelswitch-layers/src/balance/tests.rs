use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use modelswitch_provider::mock::{MockProvider, events};
use modelswitch_provider::{Body, Error, ErrorKind, EventStream};
use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};
use rust_decimal::Decimal;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::*;
use crate::{Stack, layer_fn};

const MS: Duration = Duration::from_millis(1);

fn question(user: &str) -> Request {
    let message = json!([{ "role": "user", "content": user }]);
    Request::chat(&json!({ "model": "m", "user": user, "messages": message })).unwrap()
}

/// Answers with its name after so many milliseconds.
fn slow(name: &'static str, millis: u32) -> Target {
    let wait = layer_fn("wait", move |inner, request| async move {
        sleep(MS * millis).await;
        inner.send(request).await
    });
    Target::new(Stack::new().layer(wait).over(MockProvider::reply(name))).model(name)
}

fn failing(name: &'static str) -> Target {
    Target::new(MockProvider::error(Error::new(ErrorKind::Overloaded, "too busy"))).model(name)
}

async fn ask(balance: &Balance, user: &str) -> String {
    let response = balance.send(question(user)).await.unwrap();
    let (_, body) = response.into_json().unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    body["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
}

async fn tally(balance: &Balance, calls: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..calls {
        *counts.entry(ask(balance, "x").await).or_default() += 1;
    }
    counts
}

fn counts<const N: usize>(wanted: [(&str, usize); N]) -> BTreeMap<String, usize> {
    wanted.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

#[tokio::test(start_paused = true)]
async fn turns_follow_the_weights_and_are_spread() {
    let balance = Balance::new("b", [slow("a", 0).weight(5), slow("b", 0).weight(1), slow("c", 0).weight(1)]);
    let mut turns = String::new();
    for _ in 0..7 {
        turns += &ask(&balance, "x").await;
    }
    assert_eq!(turns, "aabacaa", "as nginx documents it");
    assert_eq!(tally(&balance, 70).await, counts([("a", 50), ("b", 10), ("c", 10)]));
}

#[tokio::test(start_paused = true)]
async fn a_target_without_weight_is_asked_when_the_others_fail() {
    let spare = || slow("spare", 0).weight(0);
    for strategy in [Strategy::RoundRobin, Strategy::LeastBusy, Strategy::Fastest, Strategy::Cheapest] {
        let balance = Balance::new("b", [spare(), slow("a", 1)]).strategy(strategy);
        assert_eq!(tally(&balance, 40).await, counts([("a", 40)]), "{strategy:?}");
        let balance = Balance::new("b", [spare(), failing("a")]).strategy(strategy);
        assert_eq!(tally(&balance, 9).await, counts([("spare", 9)]), "{strategy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_least_busy_one_is_asked_and_a_stream_is_busy_until_its_end() {
    let hanging = layer_fn("hang", |_, _| async {
        let mut response = events([Ok(json!({ "choices": [{ "index": 0, "delta": { "content": "x" } }] }))]);
        let Body::Events(begun) = response.body else { unreachable!() };
        response.body = Body::Events(EventStream::new(futures_util::StreamExt::chain(
            begun,
            futures_util::stream::pending(),
        )));
        Ok(response)
    });
    let one = || Target::new(Stack::new().layer(hanging.clone()).over(MockProvider::reply("")));
    let balance = Balance::new("b", [one(), one(), one().weight(2)]).strategy(Strategy::LeastBusy);
    let in_flight = || balance.state.loads.iter().map(|load| load.in_flight()).collect::<Vec<_>>();
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(balance.send(question("x")).await.unwrap());
    }
    assert_eq!(in_flight(), [2, 2, 4]);
    streams.clear();
    assert_eq!(in_flight(), [0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn the_fastest_one_is_asked_and_the_others_now_and_then() {
    let balance = Balance::new("b", [slow("slow", 90), slow("fast", 10)]).strategy(Strategy::Fastest);
    let all = tally(&balance, 200).await;
    assert_eq!(all, counts([("fast", 189), ("slow", 11)]), "one to know it, and one in twenty");
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_at_once_is_not_the_fastest() {
    let balance = Balance::new("b", [failing("down"), slow("up", 50)]).strategy(Strategy::Fastest);
    let first = balance.send(question("x")).await.unwrap();
    assert_eq!(first.head.failures.len(), 1);
    let second = balance.send(question("x")).await.unwrap();
    assert_eq!(second.head.failures.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_is_not_asked_again_whoever_gave_the_call_up() {
    let targets = || [slow("hangs", 100_000_000), slow("good", 10)];
    let hedged = Balance::new("b", targets()).strategy(Strategy::Fastest).hedge_after(MS * 2000);
    assert_eq!(tally(&hedged, 1).await, counts([("good", 1)]));
    let began = Instant::now();
    assert_eq!(tally(&hedged, 9).await, counts([("good", 9)]));
    assert_eq!(began.elapsed().as_millis(), 90, "none of them waited for the one that hangs");

    let plain = Balance::new("b", targets()).strategy(Strategy::Fastest);
    assert!(tokio::time::timeout(MS * 5000, plain.send(question("x"))).await.is_err());
    assert_eq!(tally(&plain, 9).await, counts([("good", 9)]));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_given_up_early_makes_no_target_faster() {
    let balance = Balance::new("b", [slow("a", 900), slow("b", 500)]).strategy(Strategy::Fastest);
    assert_eq!(tally(&balance, 2).await, counts([("a", 1), ("b", 1)]));
    let before = balance.state.loads[1].time_to_first();
    assert!(tokio::time::timeout(MS, balance.send(question("x"))).await.is_err());
    assert_eq!(balance.state.loads[1].time_to_first(), before);
}

#[tokio::test(start_paused = true)]
async fn what_says_nothing_of_the_targets_health_does_not_make_it_slow() {
    let status = http::StatusCode::BAD_REQUEST;
    for (error, is_slow) in [
        (Error::invalid_request("yours").with_status(status), false),
        (Error::new(ErrorKind::Rejected, "a limit here").with_code("rate_limit"), false),
        (Error::new(ErrorKind::Rejected, "the budget").into_last_word(), false),
        (Error::new(ErrorKind::Overloaded, "too busy"), true),
        (Error::new(ErrorKind::Timeout, "nothing came"), true),
    ] {
        let kind = error.kind();
        let bad = layer_fn("bad", move |inner, request: Request| {
            let error = error.clone();
            async move {
                sleep(MS * 10).await;
                let is_bad = request.document().is_some_and(|body| body.has("bad"));
                if is_bad { Err(error) } else { inner.send(request).await }
            }
        });
        let fast = Target::new(Stack::new().layer(bad).over(MockProvider::reply("fast"))).model("fast");
        let balance = Balance::new("b", [fast, slow("slow", 500)]).strategy(Strategy::Fastest);
        assert_eq!(tally(&balance, 3).await, counts([("fast", 2), ("slow", 1)]));
        let bad = Request::chat(&json!({ "model": "m", "bad": true, "messages": [] })).unwrap();
        let _failed_or_answered_elsewhere = balance.send(bad).await;
        let next = ask(&balance, "x").await;
        assert_eq!(next == "slow", is_slow, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_at_the_start_is_spread_over_those_of_which_nothing_is_known() {
    let balance = Balance::new("b", [slow("a", 1000), slow("b", 1000), slow("c", 1000)]);
    let balance = balance.strategy(Strategy::Fastest);
    let all = futures_util::future::join_all((0..57).map(|_| ask(&balance, "x"))).await;
    for name in ["a", "b", "c"] {
        let count = all.iter().filter(|answer| *answer == name).count();
        assert!((17..=21).contains(&count), "{name}: {count} of 57");
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_goes_to_the_one_that_is_known_while_the_first_answer_of_another_is_awaited() {
    let balance = Balance::new("b", [slow("known", 100), slow("new", 5000)]).strategy(Strategy::Fastest);
    assert_eq!(ask(&balance, "x").await, "known");
    let all = futures_util::future::join_all((0..15).map(|_| ask(&balance, "x"))).await;
    assert_eq!(all.iter().filter(|answer| *answer == "new").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_cheapest_one_is_asked_and_one_without_a_price_last() {
    let dear = slow("dear", 0).price(Decimal::new(3, 0));
    let cheap = || slow("cheap", 0).price(Decimal::new(5, 1));
    let balance = Balance::new("b", [slow("unknown", 0), dear.clone(), cheap()]).strategy(Strategy::Cheapest);
    assert_eq!(tally(&balance, 5).await, counts([("cheap", 5)]));
    let balance = Balance::new("b", [slow("unknown", 0), dear, failing("cheap").price(Decimal::ZERO)])
        .strategy(Strategy::Cheapest);
    assert_eq!(tally(&balance, 5).await, counts([("dear", 5)]));
}

#[tokio::test(start_paused = true)]
async fn a_price_that_changes_is_asked_at_each_call() {
    let is_night = Arc::new(AtomicBool::new(false));
    let seen = is_night.clone();
    let nightly = slow("nightly", 0)
        .price_by(move || Some(Decimal::from(if seen.load(Ordering::Relaxed) { 1 } else { 3 })));
    let balance = Balance::new("b", [nightly, slow("steady", 0).price(2)]).strategy(Strategy::Cheapest);
    assert_eq!(tally(&balance, 2).await, counts([("steady", 2)]));
    is_night.store(true, Ordering::Relaxed);
    assert_eq!(tally(&balance, 2).await, counts([("nightly", 2)]));
}

#[tokio::test(start_paused = true)]
async fn what_belongs_together_goes_to_one_target_by_each_kind_of_key() {
    for by in [StickyBy::User, StickyBy::Conversation] {
        let balance = Balance::new("b", [slow("a", 0), slow("b", 0), slow("c", 0)]).sticky(by);
        let mut all = BTreeMap::new();
        for user in 0..60 {
            let user = format!("user {user}");
            let first = ask(&balance, &user).await;
            assert_eq!(ask(&balance, &user).await, first);
            *all.entry(first).or_insert(0) += 1;
        }
        assert!(all.len() == 3 && all.values().all(|count| *count > 8), "{all:?}");
    }
    let balance = Balance::new("b", [slow("a", 0), slow("b", 0)]).sticky(StickyBy::Key);
    let mut request = question("x");
    request.extensions.insert(StickyKey("k".into()));
    let order = balance.order(&request);
    assert!((0..20).all(|_| balance.order(&request) == order));
    assert_eq!(tally(&balance, 10).await, counts([("a", 5), ("b", 5)]), "without a key by turns");
}

#[test]
fn a_conversation_that_grows_belongs_to_where_it_began() {
    let chat = |messages: serde_json::Value| {
        let request = Request::chat(&json!({ "model": "m", "messages": messages })).unwrap();
        StickyBy::Conversation.key_of(&request).map(Cow::into_owned)
    };
    use std::borrow::Cow;
    let (system, user) = (json!({"role":"system","content":"s"}), json!({"role":"user","content":"u"}));
    let first = chat(json!([system, user]));
    assert_eq!(
        chat(json!([system, user, {"role":"assistant","content":"a"}, {"role":"user","content":"v"}])),
        first
    );
    assert_ne!(chat(json!([system, {"role":"user","content":"w"}])), first);
    assert_eq!(chat(json!([])), None);
}

#[tokio::test(start_paused = true)]
async fn the_next_in_the_order_of_the_key_takes_over_when_a_target_is_down() {
    let names = ["a", "b", "c"];
    let up = Balance::new("b", names.map(|name| slow(name, 0))).sticky(StickyBy::User);
    let down = Balance::new("b", names.map(|name| if name == "a" { failing(name) } else { slow(name, 0) }))
        .sticky(StickyBy::User);
    for user in 0..50 {
        let user = user.to_string();
        let (before, after) = (ask(&up, &user).await, ask(&down, &user).await);
        assert!(after != "a" && (before == "a" || before == after));
    }
}

proptest! {
    /// Weights are kept, and a target more moves nothing but what it takes.
    #[test]
    fn a_target_more_moves_only_what_it_takes(weights in prop::collection::vec(1_u32..5, 2..5), more in 1_u32..5) {
        let target = |(number, weight): (usize, &u32)| {
            Target::new(MockProvider::reply("x")).model(format!("model {number}")).weight(*weight)
        };
        let few: Vec<Target> = weights.iter().enumerate().map(target).collect();
        let many: Vec<Target> = few.iter().cloned().chain([target((few.len(), &more))]).collect();
        let best = |targets: &[Target], key: &str| {
            (0..targets.len()).max_by(|a, b| sticky::score(key, &targets[*a]).total_cmp(&sticky::score(key, &targets[*b]))).unwrap()
        };
        let mut moved = 0_u32;
        for key in 0..400 {
            let key = format!("key {key}");
            let (before, after) = (best(&few, &key), best(&many, &key));
            if before != after {
                prop_assert_eq!(after, few.len());
                moved += 1;
            }
        }
        let share = f64::from(more) / f64::from(more + weights.iter().sum::<u32>());
        prop_assert!((f64::from(moved) / 400.0 - share).abs() < 0.12, "{} of 400 for {}", moved, share);
    }
}
