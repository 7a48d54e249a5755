//! What services send that is sloppy, each row through every door: async-openai's typed calls, whole and streamed, and the
//! provider trait, whole and streamed. A whole answer is sent where a stream was wanted too, and a stream where a whole answer
//! was: all four must come to the same.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails loudly")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::types::chat::{ChatCompletionMessageToolCalls, CompletionUsage};
use futures_util::StreamExt;
use modelswitch::prelude::*;
use modelswitch::{ApiKey, ErrorKind, HttpService, OpenAiProvider, Profile};
use modelswitch_provider::{ChatCompletion, Usage};
use modelswitch_sim::{Script, Sim};
use modelswitch_tests::ask;
use serde_json::{Value, json};

/// What an answer says.
#[derive(Debug, Default, PartialEq)]
struct Said {
    text: String,
    reasoning: String,
    /// Name and arguments; that each has an id of its own is checked on the way.
    calls: Vec<(String, String)>,
    finish: String,
    /// Of the request, of the answer, cached, reasoning.
    usage: Option<[u64; 4]>,
}

impl Said {
    fn thinking(self, reasoning: &str) -> Self {
        Self { reasoning: reasoning.into(), ..self }
    }
}

type Outcome = Result<Said, ErrorKind>;

fn said(text: &str, reasoning: &str) -> Said {
    Said { text: text.into(), reasoning: reasoning.into(), finish: "stop".into(), ..Said::default() }
}

fn calling(calls: &[(&str, &str)]) -> Said {
    let calls = calls.iter().map(|(name, arguments)| ((*name).to_owned(), (*arguments).to_owned())).collect();
    Said { calls, finish: "tool_calls".into(), ..Said::default() }
}

fn using(usage: [u64; 4]) -> Said {
    Said { usage: Some(usage), ..said("hi", "") }
}

fn ended(finish: &str) -> Said {
    Said { finish: finish.into(), ..said("hi", "") }
}

const CUMULATIVE: &str = "[response]\ncumulative = true";
const TAGS: &str = "[reasoning]\ntags = ['<think>', '</think>']";

fn provider(sim: &Sim, profile: &str) -> Arc<OpenAiProvider> {
    let profile = Profile::from_toml("service", profile).unwrap();
    let key = ApiKey::new(sim.key()).unwrap();
    Arc::new(OpenAiProvider::builder(profile).base_url(sim.base_url()).api_key(key).build().unwrap())
}

/// Through all four; the same, or a panic that names the door.
#[track_caller]
fn through_every_door(profile: &'static str, script: Script, wanted: Outcome) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let sim = Sim::start().await.unwrap();
        let llm = provider(&sim, profile);
        let client = HttpService::new(llm.clone()).client().unwrap();
        sim.script(script.times(4));
        assert_eq!(whole_through_async_openai(&client).await, wanted, "async-openai, whole");
        assert_eq!(streamed_through_async_openai(&client).await, wanted, "async-openai, streamed");
        assert_eq!(whole_through_the_trait(&*llm).await, wanted, "the trait, whole");
        assert_eq!(streamed_through_the_trait(&*llm).await, wanted, "the trait, streamed");
    });
}

fn kind_of(error: &OpenAIError) -> ErrorKind {
    error.provider_error().unwrap_or_else(|| panic!("an error of async-openai's own: {error:?}")).kind()
}

fn word(finish: impl serde::Serialize) -> String {
    serde_json::to_value(finish).unwrap().as_str().unwrap_or_default().to_owned()
}

fn counts(usage: &CompletionUsage) -> [u64; 4] {
    let cached = usage.prompt_tokens_details.as_ref().and_then(|details| details.cached_tokens);
    let reasoning = usage.completion_tokens_details.as_ref().and_then(|details| details.reasoning_tokens);
    [
        usage.prompt_tokens.into(),
        usage.completion_tokens.into(),
        cached.unwrap_or_default().into(),
        reasoning.unwrap_or_default().into(),
    ]
}

fn provider_counts(usage: &Usage) -> [u64; 4] {
    [
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.cached_tokens().unwrap_or_default(),
        usage.reasoning_tokens().unwrap_or_default(),
    ]
}

async fn whole_through_async_openai(client: &Client<OpenAIConfig>) -> Outcome {
    let reply = client.chat().create(ask("m", "x")).await.map_err(|error| kind_of(&error))?;
    let reasoning = reply.reasoning_content().unwrap_or_default();
    let choice = &reply.choices[0];
    let mut ids = BTreeSet::new();
    let calls = choice.message.tool_calls.iter().flatten().map(|call| match call {
        ChatCompletionMessageToolCalls::Function(call) => {
            assert!(!call.id.is_empty() && ids.insert(call.id.clone()), "{:?}", call.id);
            (call.function.name.clone(), call.function.arguments.clone())
        }
        ChatCompletionMessageToolCalls::Custom(call) => panic!("{call:?}"),
    });
    Ok(Said {
        calls: calls.collect(),
        text: choice.message.content.clone().unwrap_or_default(),
        reasoning,
        finish: word(choice.finish_reason),
        usage: reply.usage.as_ref().map(counts),
    })
}

async fn streamed_through_async_openai(client: &Client<OpenAIConfig>) -> Outcome {
    let mut chunks = client.chat().create_stream(ask("m", "x")).await.map_err(|error| kind_of(&error))?;
    let mut all = Said::default();
    let mut calls: BTreeMap<u32, (String, String, String)> = BTreeMap::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| kind_of(&error))?;
        all.reasoning += &chunk.reasoning_content().unwrap_or_default();
        if let Some(usage) = &chunk.usage {
            assert!(all.usage.is_none(), "usage twice");
            all.usage = Some(counts(usage));
        }
        for choice in chunk.choices {
            all.text += &choice.delta.content.unwrap_or_default();
            if let Some(finish) = choice.finish_reason {
                all.finish = word(finish);
            }
            // As OpenAI's own SDKs do: everything is joined.
            for piece in choice.delta.tool_calls.into_iter().flatten() {
                let (id, name, arguments) = calls.entry(piece.index).or_default();
                *id += &piece.id.unwrap_or_default();
                let function = piece.function.unwrap_or_default();
                *name += &function.name.unwrap_or_default();
                *arguments += &function.arguments.unwrap_or_default();
            }
        }
    }
    let ids: BTreeSet<_> = calls.values().map(|(id, ..)| id).filter(|id| !id.is_empty()).collect();
    assert_eq!(ids.len(), calls.len(), "{calls:?}");
    all.calls = calls.into_values().map(|(_, name, arguments)| (name, arguments)).collect();
    Ok(all)
}

fn of_completion(reply: &ChatCompletion) -> Said {
    Said {
        text: reply.text(),
        reasoning: reply.reasoning().unwrap_or_default().to_owned(),
        calls: reply
            .tool_calls()
            .iter()
            .map(|call| (call.function.name.clone(), call.function.arguments.clone()))
            .collect(),
        finish: reply.finish_reason().map(word).unwrap_or_default(),
        usage: reply.usage.as_ref().map(provider_counts),
    }
}

async fn whole_through_the_trait(llm: &dyn Provider) -> Outcome {
    let reply = llm.chat(ChatRequest::user("x").model("m")).await.map_err(|error| error.kind())?;
    Ok(of_completion(&reply))
}

async fn streamed_through_the_trait(llm: &dyn Provider) -> Outcome {
    let stream = llm.chat_stream(ChatRequest::user("x").model("m")).await.map_err(|error| error.kind())?;
    let reply = stream.completion().await.map_err(|error| error.kind())?;
    Ok(of_completion(&reply))
}

fn whole(body: Value) -> Script {
    Script::status(200).json(body)
}

/// A whole answer with this choice.
fn choice(choice: Value) -> Script {
    whole(json!({"id":"1","object":"chat.completion","created":7,"model":"m","choices":[choice]}))
}

fn message(message: Value) -> Script {
    choice(json!({"index":0,"finish_reason":"stop","message":message}))
}

fn calls(calls: Value) -> Script {
    choice(
        json!({"index":0,"finish_reason":"tool_calls","message":{"role":"assistant","content":null,"tool_calls":calls}}),
    )
}

fn reason(reason: Value) -> Script {
    choice(json!({"index":0,"finish_reason":reason,"message":{"role":"assistant","content":"hi"}}))
}

fn usage(usage: Value) -> Script {
    whole(json!({"id":"1","object":"chat.completion","created":7,"model":"m","usage":usage,
        "choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"hi"}}]}))
}

fn chunk(delta: Value, finish: Value) -> Value {
    json!({"id":"1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":delta,"finish_reason":finish}]})
}

fn hi() -> Value {
    chunk(json!({"role":"assistant","content":"hi"}), Value::Null)
}

fn end() -> Value {
    chunk(json!({}), json!("stop"))
}

/// The last chunk of MiniMax's streams: all of the answer once more.
fn whole_message(message: Value, finish: &str) -> Value {
    json!({"id":"1","object":"chat.completion","created":7,"model":"m","choices":[{"index":0,"finish_reason":finish,"message":message}],
        "usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7},"base_resp":{"status_code":0,"status_msg":""}})
}

fn raw(body: String) -> Script {
    Script::raw_sse(body)
}

/// The deltas of a stream, its end and `[DONE]`.
fn deltas<const N: usize>(deltas: [Value; N], finish: &str) -> Script {
    let chunks = deltas.into_iter().map(|delta| chunk(delta, Value::Null).to_string());
    Script::sse(chunks.chain([chunk(json!({}), json!(finish)).to_string(), "[DONE]".to_owned()]))
}

fn pieces<const N: usize>(pieces: [Value; N]) -> Script {
    deltas(pieces.map(|piece| json!({ "tool_calls": [piece] })), "tool_calls")
}

/// A row a test: its name, what the service sends, and what it must come to at every door.
macro_rules! rows {
    (@profile) => { "" };
    (@profile $profile:expr) => { $profile };
    ($($name:ident $([$profile:expr])?: $script:expr => $wanted:expr;)*) => {
        $(#[test]
        fn $name() {
            through_every_door(rows!(@profile $($profile)?), $script, $wanted);
        })*
    };
}

rows! {
    // What is missing, or of another type.
    nothing_but_a_message: whole(json!({"choices":[{"message":{"content":"hi"}}]})) => Ok(said("hi", ""));
    null_everywhere: whole(json!({"id":null,"object":null,"created":null,"model":null,"usage":null,"service_tier":null,"choices":[{"index":null,"finish_reason":null,"logprobs":null,"message":{"role":null,"content":"hi","tool_calls":null,"refusal":null}}]})) => Ok(said("hi", ""));
    another_type_everywhere: whole(json!({"id":7,"object":7,"created":"1705651092.5","model":7,"service_tier":"on_demand","system_fingerprint":7,"choices":[{"index":"0","finish_reason":"stop","logprobs":"none","message":{"role":"model","content":"hi","refusal":false,"annotations":{},"audio":[]}}]})) => Ok(said("hi", ""));
    broken_parts_deep_inside: choice(json!({"index":0,"finish_reason":"stop","logprobs":{"content":[{"token":7}]},"message":{"role":"assistant","content":"hi","annotations":[{"type":"from_the_future"}]}})) => Ok(said("hi", ""));
    a_list_around_the_answer: whole(json!([{"choices":[{"message":{"content":"hi"}}]}])) => Ok(said("hi", ""));
    an_object_around_the_answer: whole(json!({"output":{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]},"request_id":"r"})) => Ok(said("hi", ""));
    a_text_for_a_message: choice(json!({"index":0,"finish_reason":"stop","text":"hi"})) => Ok(said("hi", ""));
    a_string_for_a_message: choice(json!({"index":0,"finish_reason":"stop","message":"hi"})) => Ok(said("hi", ""));
    a_text_beside_an_empty_message: choice(json!({"index":0,"finish_reason":"stop","message":{"role":"assistant","content":null},"text":"hi"})) => Ok(said("hi", ""));
    a_delta_for_a_message: choice(json!({"index":0,"finish_reason":"stop","delta":{"content":"hi"}})) => Ok(said("hi", ""));
    content_that_is_a_list: message(json!({"role":"assistant","content":[{"type":"text","text":"h"},{"type":"text","text":"i"}]})) => Ok(said("hi", ""));
    ollamas_own_answer: whole(json!({"model":"m","message":{"role":"assistant","content":"hi","thinking":"hm"},"done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":4})) => Ok(Said { usage: Some([3, 4, 0, 0]), ..said("hi", "hm") });

    // JSON that is none.
    half_a_surrogate_pair: Script::status(200).body(r#"{"choices":[{"message":{"content":"hi\ud83d"}}]}"#) => Ok(said("hi\u{fffd}", ""));
    control_characters_in_text: Script::status(200).body("{\"choices\":[{\"message\":{\"content\":\"h\ti\n\"}}]}") => Ok(said("h\ti\n", ""));
    numbers_that_are_none: Script::status(200).body(r#"{"score":NaN,"choices":[{"score":-Infinity,"message":{"content":"hi"}}]}"#) => Ok(said("hi", ""));
    bytes_that_are_no_text: Script::status(200).body(&b"{\"choices\":[{\"message\":{\"content\":\"hi\xff\"}}]}"[..]) => Ok(said("hi\u{fffd}", ""));
    a_byte_order_mark_and_blank_lines: Script::status(200).body("\n\n\u{feff}{\"choices\":[{\"message\":{\"content\":\"hi\"}}]}\n") => Ok(said("hi", ""));

    // Reasoning.
    reasoning_content: message(json!({"role":"assistant","content":"hi","reasoning_content":"hm"})) => Ok(said("hi", "hm"));
    reasoning_under_another_name: message(json!({"role":"assistant","content":"hi","reasoning":"hm"})) => Ok(said("hi", "hm"));
    reasoning_under_a_name_of_the_profiles_own ["[reasoning]\nfields = ['inner_voice']"]: message(json!({"role":"assistant","content":"hi","inner_voice":"hm"})) => Ok(said("hi", "hm"));
    streamed_reasoning_under_a_name_of_the_profiles_own ["[reasoning]\nfields = ['inner_voice']"]: deltas([json!({"inner_voice":"h"}), json!({"inner_voice":"m"}), json!({"content":"hi"})], "stop") => Ok(said("hi", "hm"));
    reasoning_under_two_names: message(json!({"role":"assistant","content":"hi","reasoning":"hm","reasoning_content":"hm"})) => Ok(said("hi", "hm"));
    reasoning_with_an_empty_one_beside: message(json!({"role":"assistant","content":"hi","reasoning":"hm","reasoning_content":""})) => Ok(said("hi", "hm"));
    reasoning_in_details: message(json!({"role":"assistant","content":"hi","reasoning_details":[{"type":"reasoning.summary","summary":"h"},{"type":"reasoning.text","text":"m"},{"type":"reasoning.encrypted","data":"=="}]})) => Ok(said("hi", "hm"));
    reasoning_in_parts: message(json!({"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"hi"}]})) => Ok(said("hi", "hm"));
    reasoning_between_tags [TAGS]: message(json!({"role":"assistant","content":"<think>\nhm</think>\n\nhi"})) => Ok(said("hi", "hm"));
    reasoning_between_tags_in_tags [TAGS]: message(json!({"role":"assistant","content":"<think>a<think>b</think>c</think>hi"})) => Ok(said("hi", "a<think>b</think>c"));
    reasoning_before_a_closing_tag_alone [TAGS]: message(json!({"role":"assistant","content":"hm</think>\n\nhi"})) => Ok(said("hi", "hm"));
    a_closing_tag_where_reasoning_is_told_apart [TAGS]: message(json!({"role":"assistant","content":"hi</think>","reasoning_content":"hm"})) => Ok(said("hi</think>", "hm"));
    reasoning_that_is_never_closed [TAGS]: choice(json!({"index":0,"finish_reason":"length","message":{"role":"assistant","content":"<think>hm"}})) => Ok(Said { finish: "length".into(), ..said("", "hm") });
    tags_where_no_profile_says_so: message(json!({"role":"assistant","content":"<think>hm</think>hi"})) => Ok(said("<think>hm</think>hi", ""));
    streamed_reasoning: deltas([json!({"reasoning":"h"}), json!({"reasoning":"m"}), json!({"content":"hi"})], "stop") => Ok(said("hi", "hm"));
    streamed_reasoning_under_two_names: deltas([json!({"reasoning":"hm","reasoning_content":"hm"}), json!({"content":"hi"})], "stop") => Ok(said("hi", "hm"));
    streamed_reasoning_in_details: deltas([json!({"content":"","reasoning_details":[{"type":"reasoning.text","text":"h"}]}), json!({"reasoning_details":[{"type":"reasoning.text","text":"m"}]}), json!({"content":"hi"})], "stop") => Ok(said("hi", "hm"));
    streamed_reasoning_in_parts: deltas([json!({"content":[{"type":"thinking","thinking":[{"type":"text","text":"h"}]}]}), json!({"content":[{"type":"thinking","thinking":"m"},{"type":"text","text":"h"}]}), json!({"content":"i"})], "stop") => Ok(said("hi", "hm"));
    streamed_reasoning_between_tags [TAGS]: deltas([json!({"content":"<th"}), json!({"content":"ink>h"}), json!({"content":"m</"}), json!({"content":"think>\n"}), json!({"content":"hi"})], "stop") => Ok(said("hi", "hm"));

    streamed_text_that_is_repeated_in_every_chunk [CUMULATIVE]: deltas([json!({"reasoning_details":[{"type":"reasoning.text","text":"h"}]}), json!({"reasoning_details":[{"type":"reasoning.text","text":"hm"}]}), json!({"content":"h"}), json!({"content":"hi"}), json!({"content":""})], "stop") => Ok(said("hi", "hm"));

    // Tool calls.
    a_call_without_id_and_type: calls(json!([{"function":{"name":"f","arguments":"{}"}}])) => Ok(calling(&[("f", "{}")]));
    arguments_that_are_an_object: calls(json!([{"id":"c","function":{"name":"f","arguments":{"a":1}}}])) => Ok(calling(&[("f", "{\"a\":1}")]));
    two_calls_with_one_id: calls(json!([{"id":"c","function":{"name":"f","arguments":"{}"}},{"id":"c","function":{"name":"g","arguments":"{}"}}])) => Ok(calling(&[("f", "{}"), ("g", "{}")]));
    a_call_that_is_not_in_a_list: calls(json!({"id":"c","function":{"name":"f","arguments":"{}"}})) => Ok(calling(&[("f", "{}")]));
    a_call_without_a_function_around: calls(json!([{"id":"c","name":"f","arguments":"{}"}])) => Ok(calling(&[("f", "{}")]));
    a_call_in_the_way_before_tools: choice(json!({"index":0,"finish_reason":"function_call","message":{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}}})) => Ok(calling(&[("f", "{}")]));
    streamed_calls_as_openai_sends_them: pieces([json!({"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}), json!({"index":0,"function":{"arguments":"{}"}}), json!({"index":1,"id":"b","type":"function","function":{"name":"g","arguments":""}}), json!({"index":1,"function":{"arguments":"{}"}})]) => Ok(calling(&[("f", "{}"), ("g", "{}")]));
    streamed_calls_without_index_and_id: pieces([json!({"function":{"name":"f","arguments":"{\"a\""}}), json!({"function":{"arguments":":1}"}}), json!({"function":{"name":"g","arguments":"{}"}})]) => Ok(calling(&[("f", "{\"a\":1}"), ("g", "{}")]));
    streamed_calls_all_under_index_0: pieces([json!({"index":0,"id":"","function":{"name":"f","arguments":"{}"}}), json!({"index":0,"id":"","function":{"name":"f","arguments":"{\"b\":1}"}})]) => Ok(calling(&[("f", "{}"), ("f", "{\"b\":1}")]));
    streamed_calls_with_id_and_name_in_every_delta: pieces([json!({"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}), json!({"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"a\":"}}), json!({"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"1}"}})]) => Ok(calling(&[("f", "{\"a\":1}")]));
    streamed_calls_with_another_id_in_every_delta: pieces([json!({"index":0,"id":"a1","type":"function","function":{"name":"f","arguments":""}}), json!({"index":0,"id":"a2","type":"function","function":{"arguments":"{\"a\":"}}), json!({"index":0,"id":"a3","type":"function","function":{"arguments":"1}"}}), json!({"index":0,"id":"b1","type":"function","function":{"name":"g","arguments":"{}"}})]) => Ok(calling(&[("f", "{\"a\":1}"), ("g", "{}")]));
    streamed_calls_with_late_arguments: pieces([json!({"index":0,"id":"a","type":"function","function":{"name":"f"}}), json!({"index":1,"id":"b","type":"function","function":{"name":"g"}}), json!({"index":0,"function":{"arguments":"{}"}}), json!({"index":1,"function":{"arguments":{"b":1}}})]) => Ok(calling(&[("f", "{}"), ("g", "{\"b\":1}")]));
    streamed_calls_several_in_one_delta: deltas([json!({"tool_calls":[{"function":{"name":"f","arguments":"{}"}},{"function":{"name":"f","arguments":"{}"}}]})], "stop") => Ok(Said { finish: "stop".into(), ..calling(&[("f", "{}"), ("f", "{}")]) });
    streamed_calls_without_ids_and_arguments_in_one_delta: deltas([json!({"tool_calls":[{"function":{"name":"f"}},{"function":{"name":"g"}}]})], "tool_calls") => Ok(calling(&[("f", ""), ("g", "")]));
    streamed_calls_with_one_id_for_all: pieces([json!({"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}), json!({"index":1,"id":"c","type":"function","function":{"name":"g","arguments":"{}"}})]) => Ok(calling(&[("f", "{}"), ("g", "{}")]));
    streamed_calls_without_a_reason_at_the_end: Script::sse([chunk(json!({"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]}), Value::Null).to_string(), "[DONE]".to_owned()]) => Ok(calling(&[("f", "{}")]));

    // Why it ended.
    no_reason: reason(json!("")) => Ok(ended("stop"));
    end_turn: reason(json!("end_turn")) => Ok(ended("stop"));
    max_tokens: reason(json!("MAX_TOKENS")) => Ok(ended("length"));
    model_length: reason(json!("model_length")) => Ok(ended("length"));
    safety: reason(json!("SAFETY")) => Ok(ended("content_filter"));
    sensitive: reason(json!("sensitive")) => Ok(ended("content_filter"));
    a_reason_of_the_future: reason(json!("tired")) => Ok(ended("stop"));
    guardrail: reason(json!("guardrail_intervened")) => Ok(ended("content_filter"));
    token_budget: reason(json!("token_budget_spent")) => Ok(ended("length"));
    preempted: reason(json!("preempted")) => Err(ErrorKind::Overloaded);
    network_error: reason(json!("network_error")) => Err(ErrorKind::Upstream);
    insufficient_system_resource: reason(json!("insufficient_system_resource")) => Err(ErrorKind::Overloaded);
    streamed_empty_reasons: Script::sse([chunk(json!({"content":"h"}), json!("")).to_string(), chunk(json!({"content":"i"}), json!("")).to_string(), chunk(json!({}), json!("eos")).to_string(), "[DONE]".to_owned()]) => Ok(ended("stop"));
    streamed_without_a_reason: Script::sse([hi().to_string(), "[DONE]".to_owned()]) => Ok(ended("stop"));

    // Usage.
    usage_with_nothing_in_it: usage(json!({})) => Ok(said("hi", ""));
    usage_without_a_total: usage(json!({"prompt_tokens":3,"completion_tokens":4})) => Ok(using([3, 4, 0, 0]));
    usage_in_other_words: usage(json!({"input_tokens":3,"output_tokens":4,"cache_read_input_tokens":1,"output_tokens_details":{"reasoning_tokens":2}})) => Ok(using([3, 4, 1, 2]));
    usage_of_a_cache_as_deepseek_says_it: usage(json!({"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"prompt_cache_hit_tokens":1,"reasoning_tokens":2})) => Ok(using([3, 4, 1, 2]));
    usage_of_a_cache_beside: usage(json!({"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"cached_tokens":1,"prompt_tokens_details":null})) => Ok(using([3, 4, 1, 0]));
    streamed_usage_of_groq: Script::sse([hi().to_string(), json!({"id":"1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"r","usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}}).to_string(), "[DONE]".to_owned()]) => Ok(using([3, 4, 0, 0]));
    streamed_usage_in_every_chunk: Script::sse([
        json!({"choices":[{"index":0,"delta":{"content":"h"}}],"usage":{"prompt_tokens":3,"completion_tokens":1}}).to_string(),
        json!({"choices":[{"index":0,"delta":{"content":"i"}}],"usage":{"prompt_tokens":3,"completion_tokens":2}}).to_string(),
        json!({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4}}).to_string(),
        json!({"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}).to_string(), "[DONE]".to_owned()]) => Ok(using([3, 4, 0, 0]));
    streamed_usage_in_a_chunk_alone: Script::sse([hi().to_string(), end().to_string(), json!({"usage":{"prompt_tokens":3,"completion_tokens":4}}).to_string(), "[DONE]".to_owned()]) => Ok(using([3, 4, 0, 0]));

    // How a stream is written.
    a_byte_order_mark_before_a_stream: raw(format!("\u{feff}data: {}\n\ndata: {}\n\ndata: [DONE]\n\n", hi(), end())) => Ok(said("hi", ""));
    carriage_returns_alone: raw(format!("data: {}\r\rdata: {}\r\rdata: [DONE]\r\r", hi(), end())) => Ok(said("hi", ""));
    one_line_break_between_events: raw(format!("data: {}\ndata: {}\ndata: [DONE]\n", hi(), end())) => Ok(said("hi", ""));
    noise_between_events: raw(format!(": hello\n\nid: 1\nretry: 5\nevent: ping\ndata: {{}}\n\ndata:\n\nevent: message\ndata: {}\n\n: keep-alive\n\ndata: {}\n\ndata: [DONE] \n\n", hi(), end())) => Ok(said("hi", ""));
    data_of_several_lines: raw(format!("data: {{\ndata: {}\n\ndata: {}\n\ndata: [DONE]\n\n", &hi().to_string()[1..], end())) => Ok(said("hi", ""));
    a_prefix_twice: raw(format!("data: data: {}\n\ndata: data: {}\n\ndata: data: [DONE]\n\n", hi(), end())) => Ok(said("hi", ""));
    a_list_of_chunks_before_another_in_an_event: raw(format!("data: [{},{}]{}\n\ndata: [DONE]\n\n", chunk(json!({"content":"h"}), Value::Null), chunk(json!({"content":"i"}), Value::Null), end())) => Ok(said("hi", ""));
    a_list_of_chunks_in_an_event: raw(format!("data: [{},{}]\n\ndata: [DONE]\n\n", hi(), end())) => Ok(said("hi", ""));
    two_chunks_in_an_event: raw(format!("data: {}{}\n\ndata: [DONE]\n\n", hi(), end())) => Ok(said("hi", ""));
    half_a_surrogate_pair_in_a_chunk: raw(format!("data: {}\n\ndata: {}\n\ndata: [DONE]\n\n", hi().to_string().replace("hi", "hi\\ud83d"), end())) => Ok(said("hi\u{fffd}", ""));
    no_done_at_the_end: raw(format!("data: {}\n\ndata: {}\n\n", hi(), end())) => Ok(said("hi", ""));
    whole_messages_for_deltas: raw(format!("data: {}\n\ndata: [DONE]\n\n", json!({"choices":[{"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}))) => Ok(said("hi", ""));
    a_whole_message_after_deltas: raw(format!("data: {}\n\ndata: {}\n\ndata: {}\n\n", chunk(json!({"reasoning_content":"hm"}), Value::Null), hi(), whole_message(json!({"role":"assistant","content":"hi","reasoning_content":"hm"}), "stop"))) => Ok(using([3, 4, 0, 0]).thinking("hm"));
    a_whole_message_after_a_reason: raw(format!("data: {}\n\ndata: {}\n\ndata: {}\n\ndata: [DONE]\n\n", hi(), end(), whole_message(json!({"role":"assistant","content":"hi"}), "stop"))) => Ok(using([3, 4, 0, 0]));
    a_whole_message_after_thoughts_between_tags [TAGS]: raw(format!("data: {}\n\ndata: {}\n\n", chunk(json!({"content":"<think>hm</think>hi"}), Value::Null), whole_message(json!({"role":"assistant","content":"<think>hm</think>hi"}), "stop"))) => Ok(using([3, 4, 0, 0]).thinking("hm"));
    a_whole_message_after_a_call: raw(format!("data: {}\n\ndata: {}\n\n", chunk(json!({"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]}), Value::Null), whole_message(json!({"role":"assistant","content":"","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]}), "tool_calls"))) => Ok(Said { usage: Some([3, 4, 0, 0]), ..calling(&[("f", "{}")]) });
    streamed_texts_for_deltas: raw(format!("data: {}\n\ndata: {}\n\ndata: {}\n\n", json!({"choices":[{"index":0,"text":"h"}]}), json!({"choices":[{"index":0,"delta":"i"}]}), end())) => Ok(said("hi", ""));
    a_chunk_that_is_null: raw(format!("data: null\n\ndata: {}\n\ndata: {}\n\ndata: [DONE]\n\n", hi(), end())) => Ok(said("hi", ""));

    // What is no answer.
    nothing_at_all: Script::status(200).body("") => Err(ErrorKind::Decode);
    a_web_page: Script::status(200).content_type("text/html").body("<!doctype html><title>Hello</title>") => Err(ErrorKind::Decode);
    an_error_under_200: whole(json!({"error":{"message":"Insufficient Balance"}})) => Err(ErrorKind::InsufficientBalance);
    an_error_that_says_nothing: whole(json!({"id":"1","error":{"message":"","type":"","code":null},"choices":[{"index":0,"finish_reason":"stop","error":{"code":0},"message":{"role":"assistant","content":"hi"}}]})) => Ok(said("hi", ""));
    an_error_in_a_choice: choice(json!({"index":0,"finish_reason":"error","error":{"code":429,"message":"slow down"},"message":{"role":"assistant","content":"h"}})) => Err(ErrorKind::RateLimited);
    an_error_in_a_choice_that_stopped: choice(json!({"index":0,"finish_reason":"stop","error":{"code":402,"message":"Insufficient credits"},"message":{"role":"assistant","content":""}})) => Err(ErrorKind::InsufficientBalance);
    an_error_in_a_choice_where_its_message_should_be: choice(json!({"index":0,"error":{"code":429,"message":"slow down"}})) => Err(ErrorKind::RateLimited);
    an_error_in_a_choice_of_a_stream: raw(format!("data: {}\n\ndata: {}\n\n", hi(), json!({"id":"1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{"content":""},"finish_reason":null,"error":{"code":429,"message":"slow down"}}]}))) => Err(ErrorKind::RateLimited);
    an_error_in_groqs_own_member: raw(format!("data: {}\n\ndata: {}\n\n", hi(), json!({"id":"1","object":"chat.completion.chunk","created":7,"model":"m","choices":[],"x_groq":{"error":"over capacity"}}))) => Err(ErrorKind::Overloaded);
    an_error_in_a_choice_of_an_answer_that_may_be_broken_off ["[response]\nbroken_off = 'finish_reason'"]: choice(json!({"index":0,"finish_reason":"error","error":{"code":502,"message":"it broke"},"message":{"role":"assistant","content":"hi"}})) => Ok(ended("length"));
    an_error_in_minimaxs_own_member: raw(format!("data: {}\n\ndata: {}\n\ndata: [DONE]\n\n", hi(), json!({"id":"1","object":"chat.completion.chunk","created":7,"model":"m","choices":[],"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}))) => Err(ErrorKind::InsufficientBalance);
    plain_words_that_begin_like_a_field: Script::status(200).body("data base is down") => Err(ErrorKind::Decode);
    an_error_in_a_list_under_200: whole(json!([{"error":{"code":429,"message":"Resource exhausted"}}])) => Err(ErrorKind::RateLimited);
    no_choices: whole(json!({"id":"1","choices":[]})) => Err(ErrorKind::Decode);
    a_message_that_is_none: whole(json!({"id":"1","choices":[{"message":null}]})) => Err(ErrorKind::Decode);
    a_body_that_ends_in_the_middle: Script::status(200).body("{\"choices\":[{\"message\":{\"content\":\"h") => Err(ErrorKind::Interrupted);
    a_stream_of_nothing: raw("data: [DONE]\n\n".to_owned()) => Err(ErrorKind::Decode);
    an_error_in_a_stream: raw(format!("data: {}\n\ndata: {}\n\ndata: [DONE]\n\n", hi(), json!({"error":{"message":"slow down","code":429}}))) => Err(ErrorKind::RateLimited);
    an_error_event: raw(format!("data: {}\n\nevent: error\ndata: {{\"message\":\"it broke\"}}\n\n", hi())) => Err(ErrorKind::Upstream);
    a_stream_that_is_cut: raw(format!("data: {}\n\n", hi())) => Err(ErrorKind::Interrupted);
    a_chunk_that_is_no_json: raw(format!("data: {}\n\ndata: oops\n\ndata: [DONE]\n\n", hi())) => Err(ErrorKind::Decode);
}

/// Where a stream was wanted only: JSON lines, and a list of all chunks, are no whole answer.
#[tokio::test]
async fn a_stream_may_be_json_lines_or_a_list() {
    let ollama = |text: &str, done: bool| json!({"model":"m","message":{"role":"assistant","content":text},"done":done,"done_reason":done.then_some("stop")});
    for body in [
        format!("{}\n{}\n", hi(), end()),
        format!("{}\r\n\r\n{}", hi(), end()),
        format!("\n{}\n{}\n[DONE]\n", hi(), end()),
        format!("[{},\n{}]", hi(), end()),
        format!("{}\n{}\n", ollama("hi", false), ollama("", true)),
    ] {
        let sim = Sim::start().await.unwrap();
        let llm = provider(&sim, "");
        let client = HttpService::new(llm.clone()).client().unwrap();
        for split in [7, 100_000] {
            sim.script(
                Script::status(200)
                    .content_type("application/x-ndjson")
                    .body(body.clone())
                    .split(split)
                    .times(2),
            );
            assert_eq!(streamed_through_async_openai(&client).await, Ok(said("hi", "")), "{body}");
            assert_eq!(streamed_through_the_trait(&*llm).await, Ok(said("hi", "")), "{body}");
        }
    }
}

/// A made-up id is another one in every answer: both may end in one conversation.
#[tokio::test]
async fn ids_that_are_made_up_are_never_the_same_in_two_answers() {
    let sim = Sim::start().await.unwrap();
    let llm = provider(&sim, "");
    sim.script(calls(json!([{"function":{"name":"f","arguments":"{}"}}])).times(2));
    let mut ids = BTreeSet::new();
    for _ in 0..2 {
        let reply = llm.chat(ChatRequest::user("x").model("m")).await.unwrap();
        ids.insert(reply.tool_calls()[0].id.clone());
    }
    assert_eq!(ids.len(), 2);
}

/// A layer asked for the usage of a stream; the service is asked for it, unless it takes no such parameter.
#[tokio::test]
async fn usage_that_a_layer_wants_is_asked_for_where_the_service_can_be_asked() {
    use modelswitch_provider::{Body, UsageWatch};
    for (profile, is_asked) in [("", true), ("[request]\nstream_options = false", false)] {
        let sim = Sim::start().await.unwrap();
        let llm = provider(&sim, profile);
        let mut request = ChatRequest::user("x").model("m").set("stream", true).into_request().unwrap();
        let watch = UsageWatch::ask(&mut request);
        sim.script(Script::sse([
            hi().to_string(),
            end().to_string(),
            json!({"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}).to_string(),
            "[DONE]".to_owned(),
        ]));
        let heard = Arc::new(std::sync::Mutex::new(0));
        let hears = heard.clone();
        let response = watch.observe(llm.send(request).await.unwrap(), move |usage| {
            *hears.lock().unwrap() = usage.total_tokens
        });
        let Body::Events(events) = response.body else { panic!("no stream") };
        let shown: Vec<Value> = events.map(|event| event.unwrap().json().unwrap()).collect().await;
        assert!(shown.len() == 2 && shown.iter().all(|chunk| chunk["usage"].is_null()), "{shown:?}");
        assert_eq!(*heard.lock().unwrap(), 7);
        let sent = sim.requests()[0].json();
        assert_eq!(sent["stream_options"]["include_usage"] == true, is_asked, "{sent}");
    }
}

/// A failure keeps its status, how long to wait and its id at every door, whatever its body looks like.
#[tokio::test]
async fn failures_keep_what_is_known_of_them_at_every_door() {
    let sim = Sim::start().await.unwrap();
    let llm = provider(&sim, "");
    let client = HttpService::new(llm.clone()).client().unwrap();
    for body in [
        "<html><title>Too many</title></html>",
        "slow down",
        "",
        r#"{"error":"slow down"}"#,
        r#"{"detail":[{"loc":["body"],"msg":"slow down"}]}"#,
        r#"{"object":"error","message":"slow down","code":429}"#,
        r#"[{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED"}}]"#,
        r#"{"error":{"message":"slow down","type":"t","param":null,"code":429}}"#,
    ] {
        let failure =
            Script::status(429).header("retry-after", "1.5").header("x-request-id", "req-1").body(body);
        sim.clear_scripts();
        sim.script(failure.times(4));
        let told = |error: Option<OpenAIError>| error.unwrap().provider_error().unwrap();
        let errors = [
            told(client.chat().create(ask("m", "x")).await.err()),
            told(client.chat().create_stream(ask("m", "x")).await.err()),
            llm.chat(ChatRequest::user("x").model("m")).await.err().unwrap(),
            llm.chat_stream(ChatRequest::user("x").model("m")).await.err().unwrap(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::RateLimited, "{body}");
            assert_eq!(error.status().map(|status| status.as_u16()), Some(429), "{body}");
            assert_eq!(error.retry_after(), Some(std::time::Duration::from_millis(1_500)), "{body}");
            assert_eq!(error.request_id(), Some("req-1"), "{body}");
        }
    }
}
