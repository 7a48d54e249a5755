//! The context cache and the limit of calls at once.

use serde_json::{Value, json};

use super::*;

/// Asks and gives the tokens of the prompt that were known; hit and miss make the prompt.
async fn hit(sim: &Sim, body: Value) -> u64 {
    let usage = chat(sim, body).await["usage"].clone();
    let number = |name: &str| usage[name].as_u64().unwrap();
    let hit = number("prompt_cache_hit_tokens");
    assert_eq!(hit + number("prompt_cache_miss_tokens"), number("prompt_tokens"));
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], hit);
    assert_eq!(hit % 128, 0);
    hit
}

fn talk(texts: &[&str]) -> Value {
    let message = |(index, text): (usize, &&str)| json!({"role": if index % 2 == 0 { "user" } else { "assistant" }, "content": text});
    let messages: Vec<Value> = texts.iter().enumerate().map(message).collect();
    json!({"model": "deepseek-flash", "messages": messages})
}

#[tokio::test]
async fn a_prompt_is_known_as_far_as_whole_messages_agree() {
    let sim = deepseek().await;
    // 400, 600 and 200 tokens and four for each message.
    let (first, second, third) = ("abcd".repeat(400), "efgh".repeat(600), "ijkl".repeat(200));
    assert_eq!(hit(&sim, talk(&[&first, &second, &third])).await, 0);
    assert_eq!(hit(&sim, talk(&[&first, &second, &third])).await, 1152);
    assert_eq!(hit(&sim, talk(&[&first, &second, "other"])).await, 896);
    assert_eq!(hit(&sim, talk(&[&first, "other", &third])).await, 384);
    assert_eq!(hit(&sim, talk(&[&first[..1200]])).await, 0);
}

#[tokio::test]
async fn the_answer_is_known_too_whatever_goes_with_it() {
    let sim = deepseek().await;
    let said = "abcd".repeat(120);
    let answer =
        chat(&sim, talk(&[&said])).await["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    let mut next = talk(&[&said, &answer, "And now?"]);
    // What it thought is not asked for without tools.
    next["messages"][1]["reasoning_content"] = json!("anything");
    assert_eq!(hit(&sim, next).await, 128);
}

#[tokio::test]
async fn users_and_models_do_not_share_what_is_known() {
    let sim = deepseek().await;
    let body = talk(&[&"abcd".repeat(300)]);
    let of = |user: &str| with(body.clone(), json!({"user_id": user}));
    assert_eq!(hit(&sim, of("ann")).await, 0);
    assert_eq!(hit(&sim, of("ben")).await, 0);
    assert_eq!(hit(&sim, of("ann")).await, 256);
    assert_eq!(hit(&sim, body.clone()).await, 0);
    assert_eq!(hit(&sim, with(body, json!({"model": "deepseek-v4-pro"}))).await, 0);
}

#[tokio::test]
async fn calls_over_the_limit_are_told_the_numbers_and_count_until_they_end() {
    let sim = Sim::builder().concurrency(2).start().await.unwrap();
    let stalled = streamed(says("[sim:stall]"));
    let first = post(&sim, "/chat/completions", &stalled).await;
    let second = post(&sim, "/chat/completions", &stalled).await;
    let refused = post(&sim, "/chat/completions", &says("Hi")).await;
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().keys().all(|name| !name.as_str().contains("ratelimit")));
    let error: Value = refused.json().await.unwrap();
    let expected = "Too many requests. Your current concurrency is 3, which exceeds your concurrency limit of 2 based on your \
                    remaining balance. Please top up your balance to restore your concurrency.";
    assert_eq!(error["error"]["message"], expected);
    assert_eq!(error["error"]["type"], "rate_limit_error");
    // Lists are no calls.
    assert_eq!(get(&sim, "/models").await.status(), 200);
    drop((first, second));
    assert!(sim.wait_idle(LONG).await);
    assert_eq!(post(&sim, "/chat/completions", &says("Hi")).await.status(), 200);
    // An answer that was read is over.
    for _ in 0..5 {
        chat(&sim, says("Hi")).await;
    }
}

#[tokio::test]
async fn every_way_to_a_model_counts() {
    let sim = Sim::builder().concurrency(0).start().await.unwrap();
    for path in ["/chat/completions", "/beta/completions", "/responses", "/anthropic/v1/messages"] {
        assert_eq!(post(&sim, path, &json!({})).await.status(), 429, "{path}");
    }
    let sim = Sim::builder().personality(Personality::OpenAi).concurrency(0).start().await.unwrap();
    assert_eq!(post(&sim, "/chat/completions", &json!({})).await.status(), 429);
    assert_eq!(get(&sim, "/models").await.status(), 200);
}

#[tokio::test]
async fn tokens_a_minute_have_a_429_of_their_own() {
    let sim = deepseek().await;
    let response = post(&sim, "/chat/completions", &says("[sim:429-tpm]")).await;
    assert_eq!(response.status(), 429);
    assert_eq!(response.json::<Value>().await.unwrap()["error"]["message"], "Rate limit reached for TPM");
}

#[tokio::test]
async fn a_balance_can_be_set_and_spent() {
    let sim = Sim::builder().balance("USD", "3.20").start().await.unwrap();
    let shown: Value = get(&sim, "/user/balance").await.json().await.unwrap();
    let info = json!({"currency": "USD", "total_balance": "3.20", "granted_balance": "0.00", "topped_up_balance": "3.20"});
    assert_eq!(shown, json!({"is_available": true, "balance_infos": [info]}));
    assert_eq!(post(&sim, "/chat/completions", &says("Hi")).await.status(), 200);

    let sim = Sim::builder().balance("CNY", "-0.01").start().await.unwrap();
    let shown: Value = get(&sim, "/user/balance").await.json().await.unwrap();
    assert_eq!(
        (&shown["is_available"], &shown["balance_infos"][0]["total_balance"]),
        (&json!(false), &json!("-0.01"))
    );
    assert_eq!(post(&sim, "/chat/completions", &says("Hi")).await.status(), 402);
}
