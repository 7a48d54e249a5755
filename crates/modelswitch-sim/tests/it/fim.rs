//! Text in the middle: `/beta/completions`.

use serde_json::{Value, json};

use super::refusals::refusal;
use super::*;

fn middle(more: Value) -> Value {
    with(json!({"model": "deepseek-flash", "prompt": "fn main() {", "suffix": "}"}), more)
}

async fn fill(sim: &Sim, more: Value) -> Value {
    let response = post(sim, "/beta/completions", &middle(more)).await;
    assert_eq!(response.status(), 200);
    response.json().await.unwrap()
}

#[tokio::test]
async fn probabilities_come_in_lists_side_by_side() {
    let sim = deepseek().await;
    let answer = fill(&sim, json!({"logprobs": 2})).await;
    let choice = &answer["choices"][0];
    let list = |name: &str| choice["logprobs"][name].as_array().unwrap().clone();
    let tokens: String = list("tokens").iter().map(|token| token.as_str().unwrap()).collect();
    assert_eq!(choice["text"], tokens);
    for name in ["text_offset", "token_logprobs", "top_logprobs"] {
        assert_eq!(list(name).len(), list("tokens").len(), "{name}");
    }
    assert_eq!(list("text_offset")[1], list("tokens")[0].as_str().unwrap().chars().count());
    assert_eq!(list("top_logprobs")[0].as_object().unwrap().len(), 2);
    assert!(fill(&sim, json!({})).await["choices"][0]["logprobs"].is_null());
}

#[tokio::test]
async fn an_echo_repeats_the_prompt_and_costs_no_answer() {
    let sim = deepseek().await;
    let plain = fill(&sim, json!({})).await;
    let echoed = fill(&sim, json!({"echo": true, "logprobs": 0})).await;
    let expected = format!("fn main() {{{}", plain["choices"][0]["text"].as_str().unwrap());
    assert_eq!(echoed["choices"][0]["text"], expected);
    assert_eq!(echoed["choices"][0]["logprobs"]["tokens"][0], "fn");
    assert_eq!(echoed["usage"]["completion_tokens"], plain["usage"]["completion_tokens"]);
}

#[tokio::test]
async fn a_stream_has_the_same_text_and_its_usage_at_the_end() {
    let sim = deepseek().await;
    let asked =
        json!({"logprobs": 1, "echo": true, "stream": true, "stream_options": {"include_usage": true}});
    let events = events(post(&sim, "/beta/completions", &middle(asked)).await).await;
    let whole = fill(&sim, json!({"logprobs": 1, "echo": true})).await;
    let [early @ .., last, done] = events.as_slice() else { panic!("a short stream") };
    let text: String = early.iter().map(|event| event["choices"][0]["text"].as_str().unwrap()).collect();
    assert_eq!(whole["choices"][0]["text"], text);
    let offsets: Vec<&Value> =
        early.iter().map(|event| &event["choices"][0]["logprobs"]["text_offset"][0]).collect();
    assert_eq!(
        offsets,
        whole["choices"][0]["logprobs"]["text_offset"].as_array().unwrap().iter().collect::<Vec<_>>()
    );
    assert!(early.iter().all(|event| event["usage"].is_null() && event["object"] == "text_completion"));
    assert_eq!(
        (&last["choices"][0]["finish_reason"], &last["choices"][0]["text"]),
        (&json!("stop"), &json!(""))
    );
    assert_eq!(last["usage"]["completion_tokens"], whole["usage"]["completion_tokens"]);
    assert_eq!(done, "[DONE]");
}

#[tokio::test]
async fn it_stops_at_a_word_or_a_budget_and_never_thinks() {
    let sim = deepseek().await;
    let stopped = fill(&sim, json!({"stop": ["You"]})).await;
    assert_eq!(
        (&stopped["choices"][0]["text"], &stopped["choices"][0]["finish_reason"]),
        (&json!("[simulated deepseek-flash] "), &json!("stop"))
    );
    let cut = fill(&sim, json!({"max_tokens": 2, "thinking": {"type": "enabled"}})).await;
    assert_eq!(
        (&cut["choices"][0]["finish_reason"], &cut["usage"]["completion_tokens"]),
        (&json!("length"), &json!(2))
    );
    assert!(cut["usage"].get("completion_tokens_details").is_none());
}

#[tokio::test]
async fn it_has_ranges_of_its_own() {
    let sim = deepseek().await;
    for (change, words) in [
        (json!({"logprobs": 21}), "the valid range of logprobs is [0, 20]"),
        (json!({"logprobs": true}), "logprobs: invalid type: boolean, expected i32"),
        (json!({"max_tokens": 0}), "Invalid max_tokens value, the valid range of max_tokens is [1, 393216]"),
        (json!({"temperature": 3}), "the valid range of temperature is [0, 2]"),
        (json!({"stop": vec!["x"; 17]}), "16"),
        (json!({"prompt": null}), "missing field `prompt`"),
        (json!({"prompt": ["a", "b"]}), "prompt: invalid type: sequence, expected a string"),
        (json!({"stream_options": {}}), "stream_options should be set along with stream = true"),
        (json!({"model": "gpt-5"}), "The supported API model names are"),
    ] {
        let (message, _) = refusal(&sim, "/beta/completions", &middle(change)).await;
        assert!(message.contains(words), "{message}");
    }
}
