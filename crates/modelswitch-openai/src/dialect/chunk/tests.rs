use super::*;
use crate::Profile;
use modelswitch_provider::ErrorKind;
use serde_json::json;

fn run(profile: &str, chunks: &[Value]) -> Result<Vec<Value>> {
    run_in(&Context::of_test(profile, Kind::Chat), chunks)
}

fn run_in(context: &Context, chunks: &[Value]) -> Result<Vec<Value>> {
    run_with(context, &mut Seen::default(), chunks)
}

/// The same, to where the service says that it is done.
fn run_to_end(context: &Context, chunks: &[Value]) -> Result<Vec<Value>> {
    let mut seen = Seen::default();
    let mut out = run_with(context, &mut seen, chunks)?;
    out.extend(
        last_words(context, &mut seen)?
            .iter()
            .map(|bytes| -> Value { serde_json::from_slice(bytes).unwrap() }),
    );
    Ok(out)
}

fn run_with(context: &Context, seen: &mut Seen, chunks: &[Value]) -> Result<Vec<Value>> {
    let mut out = Vec::new();
    for chunk in chunks {
        shape(context, seen, chunk.to_string().into(), &mut out)?;
    }
    Ok(out.iter().map(|bytes| serde_json::from_slice(bytes).unwrap()).collect())
}

fn good(delta: Value) -> Value {
    json!({"id":"1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":delta,"logprobs":null,"finish_reason":null}],"usage":null})
}

#[test]
fn a_conforming_chunk_passes_as_the_bytes_it_came_in() {
    let context = Context::of_test("deepseek", Kind::Chat);
    for delta in [
        json!({"role":"assistant","content":null,"reasoning_content":""}),
        json!({"content":"x\n\u{e9}","reasoning_content":null}),
        json!({"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":""}}]}),
        json!({}),
    ] {
        let data = Bytes::from(good(delta).to_string());
        let mut out = Vec::new();
        shape(&context, &mut Seen::default(), data.clone(), &mut out).unwrap();
        assert_eq!(out.iter().map(|out| out.as_ptr()).collect::<Vec<_>>(), [data.as_ptr()]);
    }
}

#[test]
fn whatever_passes_the_look_async_openai_decodes() {
    let profile = Profile::embedded("deepseek").unwrap();
    let chunk = json!({"id":"1","object":"x","created":7,"model":"m","service_tier":"default","system_fingerprint":"f",
        "choices":[{"index":1,"delta":{"role":"assistant","refusal":null,"tool_calls":[]},"finish_reason":"tool_calls"}],
        "usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"prompt_tokens_details":{"cached_tokens":1},"completion_tokens_details":{"reasoning_tokens":1}}});
    let look: Look<'_> = serde_json::from_str(Box::leak(chunk.to_string().into_boxed_str())).unwrap();
    assert!(look.conforms(&profile));
    assert!(serde_json::from_value::<CreateChatCompletionStreamResponse>(chunk).is_ok());
}

#[test]
fn what_is_missing_is_filled_in_the_same_in_every_chunk() {
    let out = run_to_end(
        &Context::of_test("openai-compatible", Kind::Chat),
        &[
            json!({"id":"a","created":9,"choices":[{"delta":{"content":"x"}}]}),
            json!({"choices":[{"delta":null}]}),
            json!({"usage":{"prompt_tokens":1,"completion_tokens":1}}),
        ],
    )
    .unwrap();
    for chunk in &out {
        assert_eq!(
            (&chunk["id"], &chunk["created"], &chunk["model"]),
            (&json!("a"), &json!(9), &json!("asked"))
        );
    }
    assert_eq!(out[1]["choices"][0]["delta"], json!({}));
    assert_eq!(
        (&out[2]["choices"][0]["finish_reason"], &out[2]["usage"]["total_tokens"]),
        (&json!("stop"), &json!(2))
    );
}

#[test]
fn reasoning_is_always_reasoning_content() {
    let out = run(
        "vllm",
        &[
            good(json!({"reasoning":"hm"})),
            good(json!({"reasoning":"","content":"x"})),
            good(json!({"content":[{"type":"thinking","thinking":"hm"}]})),
        ],
    )
    .unwrap();
    assert_eq!(out[0]["choices"][0]["delta"]["reasoning_content"], "hm");
    assert_eq!(out[1]["choices"][0]["delta"]["content"], "x");
    assert_eq!(out[2]["choices"][0]["delta"]["reasoning_content"], "hm");
}

#[test]
fn a_look_copies_reasoning_as_reading_it_does() {
    let context = Context::of_test("openai", Kind::Chat);
    let details = json!([{"type":"reasoning.text","text":"details"}]);
    for (delta, is_copied) in [
        (json!({"reasoning":"h\"m\n\u{e9}"}), true),
        (json!({"reasoning":"hm","content":"","reasoning_details":details}), true),
        (json!({"reasoning":null,"reasoning_details":[],"content":"x"}), true),
        (json!({"reasoning":"","content":"x"}), true),
        (json!({"reasoning":"a","reasoning_content":"b"}), true),
        (json!({"reasoning":"hm","reasoning_content":""}), false),
        (json!({"reasoning":"hm","reasoning_content":null}), false),
        (json!({"reasoning":"","reasoning_details":details}), false),
        (json!({"reasoning":{"text":"hm"}}), false),
        (json!({"reasoning":"hm","thinking":"x"}), false),
    ] {
        let data = Bytes::from(good(delta.clone()).to_string());
        assert_eq!(pass(&context, &mut Seen::default(), &data).is_some(), is_copied, "{delta}");
        let mut out = Vec::new();
        shape(&context, &mut Seen::default(), data, &mut out).unwrap();
        let mut read = delta.clone();
        reasoning::unify(read.as_object_mut().unwrap(), &[]);
        let out: Value = serde_json::from_slice(&out[0]).unwrap();
        assert_eq!(out["choices"][0]["delta"], read, "{delta}");
    }
}

#[test]
fn reasoning_of_several_choices_is_copied_in_each() {
    let context = Context::of_test("openai", Kind::Chat);
    let of = |index: u32, delta: Value| json!({"index":index,"delta":delta,"finish_reason":null});
    let mut chunk = good(json!({}));
    chunk["choices"] = json!([
        of(0, json!({"reasoning":"a"})),
        of(1, json!({"content":"x"})),
        of(2, json!({"reasoning":"b"}))
    ]);
    let passed = pass(&context, &mut Seen::default(), &chunk.to_string().into()).unwrap();
    let out: Value = serde_json::from_slice(&passed).unwrap();
    let said = [0, 1, 2].map(|at| out["choices"][at]["delta"]["reasoning_content"].clone());
    assert_eq!(said, [json!("a"), Value::Null, json!("b")]);
}

#[test]
fn half_of_a_character_in_reasoning_is_mended() {
    let context = Context::of_test("openai-compatible", Kind::Chat);
    let text = good(json!({"reasoning":"x"})).to_string().replace("\"x\"", "\"\\ud83d\"");
    let mut out = Vec::new();
    shape(&context, &mut Seen::default(), text.into(), &mut out).unwrap();
    let out: Value = serde_json::from_slice(&out[0]).unwrap();
    assert_eq!(out["choices"][0]["delta"]["reasoning_content"], "\u{fffd}");
}

#[test]
fn a_custom_tools_call_is_decoded_with_its_name_and_input() {
    let out = run(
        "openai",
        &[
            good(json!({"tool_calls":[{"index":0,"id":"a","type":"custom","custom":{"name":"f","input":"x"}}]})),
            good(json!({"tool_calls":[{"index":0,"custom":{"input":"y"}}]})),
        ],
    )
    .unwrap();
    let calls = [0, 1].map(|at| &out[at]["choices"][0]["delta"]["tool_calls"][0]);
    assert_eq!((&calls[0]["id"], &calls[0]["native_type"]), (&json!("a"), &json!("custom")));
    assert_eq!(calls[0]["function"], json!({"name":"f","arguments":"x"}));
    assert_eq!(calls[1]["function"]["arguments"], "y");
    assert!(calls.iter().all(|call| call.get("type").is_none() && call["custom"].is_object()));
    for chunk in &out {
        assert!(
            serde_json::from_value::<CreateChatCompletionStreamResponse>(chunk.clone()).is_ok(),
            "{chunk}"
        );
    }
}

#[test]
fn tool_call_pieces_without_an_index_pair_up() {
    let piece = |call: Value| good(json!({"tool_calls":[call]}));
    let out = run(
        "openai-compatible",
        &[
            piece(json!({"id":"a","function":{"name":"f","arguments":"1"}})),
            piece(json!({"function":{"arguments":"2"}})),
            piece(json!({"id":"b","type":"","function":{"name":"g","arguments":{"x":1}}})),
            piece(json!({"id":"a","function":{"arguments":"3"}})),
        ],
    )
    .unwrap();
    let indices: Vec<_> =
        out.iter().map(|chunk| chunk["choices"][0]["delta"]["tool_calls"][0]["index"].clone()).collect();
    assert_eq!(indices, [0, 0, 1, 0]);
    assert_eq!(out[2]["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"], "{\"x\":1}");
}

#[test]
fn pieces_after_well_numbered_ones_and_two_calls_under_one_index_pair_up_too() {
    let piece = |call: Value| good(json!({"tool_calls":[call]}));
    let indices = |chunks: &[Value]| -> Vec<Value> {
        let out = run("openai-compatible", chunks).unwrap();
        out.iter().map(|chunk| chunk["choices"][0]["delta"]["tool_calls"][0]["index"].clone()).collect()
    };
    let numbered = |index: u32, id: &str| {
        piece(json!({"index":index,"id":id,"type":"function","function":{"name":"f","arguments":""}}))
    };
    let bare = piece(json!({"function":{"arguments":"1"}}));
    assert_eq!(indices(&[numbered(0, "a"), numbered(1, "b"), bare]), [0, 1, 1]);
    let more = piece(json!({"index":0,"function":{"arguments":"1"}}));
    assert_eq!(indices(&[numbered(0, "a"), numbered(0, "b"), more]), [0, 1, 1]);
}

#[test]
fn errors_in_the_middle_of_a_stream_are_errors() {
    for (chunk, kind) in [
        (json!({"error":{"message":"it broke"}}), ErrorKind::Upstream),
        (
            json!({"id":"1","choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}],"error":{"code":502,"message":"bad gateway"}}),
            ErrorKind::Upstream,
        ),
        (
            json!({"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"insufficient_system_resource"}]}),
            ErrorKind::Overloaded,
        ),
        (
            json!({"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"aborted"}]}),
            ErrorKind::Interrupted,
        ),
        (json!([1]), ErrorKind::Decode),
    ] {
        assert_eq!(run("deepseek", std::slice::from_ref(&chunk)).unwrap_err().kind(), kind, "{chunk}");
    }
}

#[test]
fn log_probabilities_of_reasoning_are_kept() {
    let chunk = json!({"id":"1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{"reasoning_content":"x"},"logprobs":{"reasoning_content":[{"token":"x"}]},"finish_reason":null}]});
    assert_eq!(run("deepseek", std::slice::from_ref(&chunk)).unwrap()[0], chunk);
}

fn thinking() -> Context {
    Context::of_test("openai-compatible", Kind::Chat)
}

fn joined(chunks: &[Value], index: u32, name: &str) -> String {
    let choices = chunks.iter().flat_map(|chunk| chunk["choices"].as_array().unwrap());
    let of_choice = choices.filter(|choice| choice["index"] == index);
    of_choice.filter_map(|choice| choice["delta"][name].as_str()).collect()
}

#[test]
fn a_thought_between_tags_is_reasoning_for_each_choice_by_itself() {
    let piece = |index: u32, text: &str| json!({"id":"1","object":"x","created":1,"model":"m","choices":[{"index":index,"delta":{"content":text}}]});
    let end = |index: u32| json!({"id":"1","object":"x","created":1,"model":"m","choices":[{"index":index,"delta":{},"finish_reason":"stop"}]});
    let pieces = [
        piece(0, "<th"),
        piece(1, "no <think>"),
        piece(0, "ink>h"),
        piece(0, "m</thi"),
        piece(2, "<think>on and on"),
        piece(0, "nk>\n\nyes "),
        piece(0, "<think>"),
        piece(3, "<thi"),
        end(0),
        end(1),
        end(2),
        end(3),
    ];
    let out = run_in(&thinking(), &pieces).unwrap();
    let told = |index| (joined(&out, index, "reasoning_content"), joined(&out, index, "content"));
    assert_eq!(told(0), ("hm".to_owned(), "yes <think>".to_owned()));
    assert_eq!(told(1), (String::new(), "no <think>".to_owned()));
    assert_eq!(told(2), ("on and on".to_owned(), String::new()));
    assert_eq!(told(3), (String::new(), "<thi".to_owned()));
}

#[test]
fn a_chunk_after_the_thought_passes_as_the_bytes_it_came_in() {
    let (context, mut seen, mut out) = (thinking(), Seen::default(), Vec::new());
    let data = Bytes::from(good(json!({"content":"x"})).to_string());
    shape(&context, &mut seen, good(json!({"content":"<think>hm</think>x"})).to_string().into(), &mut out)
        .unwrap();
    shape(&context, &mut seen, data.clone(), &mut out).unwrap();
    assert_eq!(out[1].as_ptr(), data.as_ptr());
}

#[test]
fn usage_goes_out_once_when_the_answer_is_whole() {
    let usage = |count: u32| json!({"prompt_tokens":1,"completion_tokens":count,"total_tokens":count + 1});
    let with = |finish: Value, count: u32| json!({"id":"1","object":"x","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":finish}],"usage":usage(count)});
    let alone =
        |count: u32| json!({"id":"1","object":"x","created":1,"model":"m","choices":[],"usage":usage(count)});
    let null = || Value::Null;
    let mut context = Context::of_test("openai-compatible", Kind::Chat);
    for (wants_usage, chunks, wanted) in [
        (
            false,
            vec![with(null(), 1), with(null(), 2), with(json!("stop"), 3)],
            vec![null(), null(), usage(3)],
        ),
        (true, vec![with(null(), 1), with(json!("stop"), 3), alone(3)], vec![null(), usage(3)]),
        (
            true,
            vec![with(null(), 1), good(json!({})), with(json!("stop"), 3), alone(4)],
            vec![null(), null(), usage(3), usage(4)],
        ),
        // Nobody says why it ended: that is said at the end, and the usage beside it or after.
        (false, vec![with(null(), 1), with(null(), 2)], vec![null(), null(), usage(2)]),
        (true, vec![with(null(), 1), alone(2)], vec![null(), null(), usage(2)]),
    ] {
        context.wants_usage = wants_usage;
        let out = run_to_end(&context, &chunks).unwrap();
        let shown: Vec<_> = out.iter().map(|chunk| chunk["usage"].clone()).collect();
        assert_eq!(shown, wanted, "{chunks:?}");
        assert!(out.iter().any(|chunk| chunk["choices"][0]["finish_reason"] == "stop"), "{chunks:?}");
    }
}

#[test]
fn groqs_usage_is_usage() {
    let chunk = json!({"id":"1","object":"x","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"r","usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}});
    let out = run("openai-compatible", &[chunk]).unwrap();
    assert_eq!(out[0]["usage"]["total_tokens"], 3);
}

#[test]
fn what_a_stream_did_not_say_is_said_at_its_end() {
    let call = json!({"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]});
    let out = run_to_end(&Context::of_test("openai-compatible", Kind::Chat), &[good(json!({"content":"x"}))])
        .unwrap();
    assert_eq!(
        (out.len(), &out[1]["choices"][0]["finish_reason"], &out[1]["id"]),
        (2, &json!("stop"), &json!("1"))
    );
    let out = run_to_end(&Context::of_test("openai-compatible", Kind::Chat), &[good(call)]).unwrap();
    assert_eq!(out[1]["choices"][0]["finish_reason"], "tool_calls");
}

#[test]
fn an_id_and_a_name_are_said_once() {
    let piece = |arguments: &str| {
        good(
            json!({"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":arguments}}]}),
        )
    };
    let out = run("openai-compatible", &[piece(""), piece("{\"a\":"), piece("1}")]).unwrap();
    let calls: Vec<_> =
        out.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].get(0)).collect();
    assert_eq!((&calls[0]["id"], &calls[0]["function"]["name"]), (&json!("c"), &json!("f")));
    assert_eq!(*calls[1], json!({"index":0,"function":{"arguments":"{\"a\":"}}));
    assert_eq!(*calls[2], json!({"index":0,"function":{"arguments":"1}"}}));
}

#[test]
fn calls_without_ids_get_some_that_stay_the_same() {
    let whole = |argument: u32| json!({"function":{"name":"f","arguments":{"a":argument}}});
    let out = run(
        "openai-compatible",
        &[good(json!({"tool_calls":[whole(1), whole(2)]})), good(json!({"tool_calls":[whole(3)]}))],
    )
    .unwrap();
    let calls: Vec<_> = out
        .iter()
        .flat_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].as_array().cloned().unwrap_or_default())
        .collect();
    let indices: Vec<_> = calls.iter().map(|call| call["index"].as_u64().unwrap()).collect();
    assert_eq!(indices, [0, 1, 2]);
    let ids: std::collections::BTreeSet<_> = calls.iter().map(|call| call["id"].as_str().unwrap()).collect();
    assert!(ids.len() == 3 && calls.iter().all(|call| call["type"] == "function"), "{calls:?}");
}

#[test]
fn a_call_in_the_way_before_tools_is_a_tool_call_unless_functions_were_offered() {
    let chunk = json!({"id":"1","object":"x","created":1,"model":"m","choices":[{"index":0,"delta":{"function_call":{"name":"f","arguments":{}}},"finish_reason":"function_call"}]});
    let mut context = Context::of_test("openai-compatible", Kind::Chat);
    let out = run_in(&context, std::slice::from_ref(&chunk)).unwrap();
    assert_eq!(out[0]["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"], "{}");
    assert_eq!(out[0]["choices"][0]["finish_reason"], "tool_calls");
    context.asked_functions = true;
    let out = run_in(&context, &[chunk]).unwrap();
    assert_eq!(out[0]["choices"][0]["delta"]["function_call"]["arguments"], "{}");
    assert_eq!(out[0]["choices"][0]["finish_reason"], "function_call");
}

#[test]
fn several_chunks_in_one_event_are_several_chunks() {
    let (one, two) = (good(json!({"content":"a"})), good(json!({"content":"b"})));
    for data in [
        json!([one, two]).to_string(),
        format!("{one}{two}"),
        format!("{one}\n{two}"),
        format!("[{one}]{two}"),
        format!("{one}[{two}]"),
    ] {
        let (mut seen, mut out) = (Seen::default(), Vec::new());
        shape(&Context::of_test("openai-compatible", Kind::Chat), &mut seen, data.clone().into(), &mut out)
            .unwrap();
        assert_eq!(out.len(), 2, "{data}");
        let out: Vec<Value> = out.iter().map(|out| serde_json::from_slice(out).unwrap()).collect();
        assert_eq!(joined(&out, 0, "content"), "ab", "{data}");
    }
}

#[test]
fn a_chunk_of_ollamas_own_api_is_a_chunk() {
    let out = run("ollama", &[
        json!({"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"","thinking":"hm"},"done":false}),
        json!({"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"x"},"done":true,"done_reason":"stop","prompt_eval_count":1,"eval_count":2}),
    ]).unwrap();
    assert_eq!(
        (joined(&out, 0, "reasoning_content").as_str(), joined(&out, 0, "content").as_str()),
        ("hm", "x")
    );
    assert_eq!(
        (&out[1]["choices"][0]["finish_reason"], &out[1]["usage"]["total_tokens"]),
        (&json!("stop"), &json!(3))
    );
}

fn finish(delta: Value, reason: &str) -> Value {
    let mut chunk = good(delta);
    chunk["choices"][0]["finish_reason"] = reason.into();
    chunk
}

/// What MiniMax sends last.
fn whole_message(message: Value) -> Value {
    json!({"id":"1","object":"chat.completion","created":7,"model":"m","choices":[{"index":0,"finish_reason":"stop","message":message}],
        "usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}})
}

fn reasons(chunks: &[Value]) -> Vec<&str> {
    let choices = chunks.iter().flat_map(|chunk| chunk["choices"].as_array().unwrap());
    choices.filter_map(|choice| choice["finish_reason"].as_str()).collect()
}

#[test]
fn a_whole_message_after_deltas_says_nothing_twice() {
    let call = |arguments: &str| json!({"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":arguments}}]});
    let whole = json!({"role":"assistant","content":"hi you","reasoning_content":"hm","tool_calls":call("{}")["tool_calls"]});
    for profile in ["openai", "openai-compatible", "minimax"] {
        let deltas =
            [good(json!({"reasoning_content":"hm"})), good(json!({"content":"hi you"})), good(call("{}"))];
        for with_end in [false, true] {
            let mut chunks = deltas.to_vec();
            chunks.extend(with_end.then(|| finish(json!({}), "stop")));
            chunks.push(whole_message(whole.clone()));
            let out = run(profile, &chunks).unwrap();
            let said = ["reasoning_content", "content"].map(|name| joined(&out, 0, name));
            assert_eq!(said, ["hm", "hi you"], "{profile}");
            let calls =
                out.iter().filter(|chunk| !chunk["choices"][0]["delta"]["tool_calls"].is_null()).count();
            assert_eq!((calls, reasons(&out)), (1, vec!["stop"]), "{profile}");
            assert_eq!(out.last().unwrap()["usage"]["total_tokens"], 3, "{profile}");
        }
    }
    let out = run(
        "minimax",
        &[
            good(json!({"content":"<think>hm</think>hi"})),
            whole_message(json!({"content":"<think>hm</think>hi"})),
        ],
    );
    assert_eq!(joined(&out.unwrap(), 0, "content"), "hi");
}

#[test]
fn a_message_alone_or_in_pieces_is_what_is_said() {
    let message = |text: &str| json!({"choices":[{"index":0,"message":{"role":"assistant","content":text},"finish_reason":null}]});
    let beside = |delta: Value| {
        let mut chunk = good(delta);
        chunk["choices"][0]["message"] = json!({"role":"assistant","content":"hi"});
        chunk
    };
    for chunks in [
        vec![message("h"), message("i")],
        vec![beside(json!({}))],
        vec![good(json!({"role":"assistant","content":""})), beside(json!({"content":""}))],
        vec![
            good(json!({"role":"assistant","content":"h"})),
            beside(json!({"content":"i"})),
            beside(json!({})),
        ],
    ] {
        assert_eq!(joined(&run("openai", &chunks).unwrap(), 0, "content"), "hi", "{chunks:?}");
    }
}

#[test]
fn a_text_and_a_string_are_what_is_said() {
    let choice = |choice: Value| {
        let mut chunk = good(json!({}));
        chunk["choices"] = json!([choice]);
        chunk
    };
    for chunk in [
        choice(json!({"index":0,"text":"hi"})),
        choice(json!({"index":0,"text":"hi","delta":{}})),
        choice(json!({"index":0,"text":"hi","delta":null,"message":null})),
        choice(json!({"index":0,"text":"hi","delta":{"content":"hi"}})),
        choice(json!({"index":0,"delta":"hi"})),
        choice(json!({"index":0,"message":"hi"})),
    ] {
        assert_eq!(
            joined(&run("openai", std::slice::from_ref(&chunk)).unwrap(), 0, "content"),
            "hi",
            "{chunk}"
        );
    }
    let repeated = choice(json!({"index":0,"text":"hi","delta":{},"finish_reason":"stop"}));
    let out = run("openai", &[good(json!({"content":"hi"})), repeated]).unwrap();
    assert_eq!(joined(&out, 0, "content"), "hi");
}

#[test]
fn a_whole_message_at_the_end_says_what_no_delta_said() {
    let call = json!([{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]);
    let mut last = finish(json!({}), "stop");
    last["choices"][0]["message"] =
        json!({"role":"assistant","reasoning_content":"hm","content":"hi","tool_calls":call});
    for (first, thought, text, calls) in [
        (json!({"reasoning_content":"hm"}), "hm", "hi", 1),
        (json!({"reasoning":"hm"}), "hm", "hi", 1),
        (json!({"content":"hi"}), "hm", "hi", 1),
        (json!({"content":"<think>hm</think>hi"}), "hm", "hi", 1),
        (
            json!({"reasoning_content":"hm","content":"hi","tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]}),
            "hm",
            "hi",
            1,
        ),
    ] {
        let out = run("openai-compatible", &[good(first.clone()), last.clone()]).unwrap();
        assert_eq!(joined(&out, 0, "reasoning_content"), thought, "{first}");
        assert_eq!(joined(&out, 0, "content"), text, "{first}");
        let pieces = out.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].as_array());
        assert_eq!(pieces.flatten().count(), calls, "{first}");
    }
}

#[test]
fn a_reason_that_is_given_again_is_none() {
    let mut last = finish(json!({}), "stop");
    last["usage"] = json!({"prompt_tokens":1,"completion_tokens":2,"total_tokens":3});
    let out =
        run("openai", &[finish(json!({"content":"x"}), "stop"), last, finish(json!({}), "length")]).unwrap();
    assert_eq!(reasons(&out), ["stop", "length"]);
    assert_eq!(out[1]["usage"]["total_tokens"], 3);
    // A look at the same chunk is no reason before it.
    let mut both = finish(json!({"content":"x"}), "stop");
    both["choices"].as_array_mut().unwrap().push(json!({"index":1,"delta":{"tool_calls":[{"index":0,"function":{"name":"f"}}]},"finish_reason":"stop"}));
    assert_eq!(reasons(&run("openai", &[both]).unwrap()), ["stop", "stop"]);
}

#[test]
fn an_error_in_a_chunk_that_conforms_is_an_error() {
    let bare = |more: Value| {
        let mut chunk = good(json!({}));
        chunk["choices"] = json!([]);
        chunk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        chunk
    };
    for (more, kind) in [
        (
            json!({"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}),
            ErrorKind::InsufficientBalance,
        ),
        (
            json!({"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0},"base_resp":{"status_code":"1008","status_msg":"insufficient balance"}}),
            ErrorKind::InsufficientBalance,
        ),
        (json!({"type":"error","message":"it broke"}), ErrorKind::Upstream),
        (json!({"object":"error","message":"it broke"}), ErrorKind::Upstream),
        (json!({"code":"overloaded","message":"the service is overloaded"}), ErrorKind::Overloaded),
        (json!({"object":"","success":false,"message":"it broke"}), ErrorKind::Upstream),
        (json!({"x_groq":{"error":"it broke"}}), ErrorKind::Upstream),
    ] {
        let chunk = bare(more);
        for profile in ["openai-compatible", "minimax"] {
            let error = run(profile, std::slice::from_ref(&chunk)).unwrap_err();
            assert_eq!(error.kind(), kind, "{profile} {chunk}");
        }
    }
    for more in [
        json!({"base_resp":{"status_code":0,"status_msg":""}}),
        json!({"prompt_filter_results":[]}),
        json!({"object":"","id":"","model":"","created":0,"code":0,"message":"success"}),
    ] {
        assert!(run("minimax", &[bare(more.clone())]).is_ok(), "{more}");
    }
    let mut well = good(json!({"role":"assistant"}));
    well["base_resp"] = json!({"status_code":0,"status_msg":""});
    let context = Context::of_test("minimax", Kind::Chat);
    assert!(pass(&context, &mut Seen::default(), &well.to_string().into()).is_some());
}
