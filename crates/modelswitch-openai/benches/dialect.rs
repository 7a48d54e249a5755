//! What each step of a dialect costs, beside bare decoding into async-openai's types in the same run:
//! `cargo bench -p modelswitch-openai --features bench`.
//!
//! divan, since a whole run takes seconds, it prints one table, and it brings four small crates along.

use async_openai::types::chat::{CreateChatCompletionResponse, CreateChatCompletionStreamResponse};
use bytes::Bytes;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use futures_util::{StreamExt, stream};
use modelswitch_openai::bench::Steps;
use modelswitch_provider::{ByteStream, Request};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

fn main() {
    divan::main();
}

/// Requests on their way to a service.
mod inward {
    use super::{Bencher, BytesCount, Request, Steps, Value, black_box, json};

    fn asked(more: Value) -> Value {
        let messages = [json!({ "role": "user", "content": "9.11 or 9.8?" })];
        let mut body = json!({ "model": "m", "messages": messages, "temperature": 0.5 });
        if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
            body.extend(more);
        }
        body
    }

    /// From the bytes as they arrive at a door to the bytes as they leave.
    fn put(bencher: Bencher<'_, '_>, profile: &str, body: &Value) {
        let (steps, text) = (Steps::of(profile), body.to_string());
        bencher.counter(BytesCount::new(text.len())).with_inputs(|| text.clone()).bench_values(|text| {
            let document = modelswitch_provider::Document::parse(text).ok()?;
            let request = Request::new(modelswitch_provider::Endpoint::CHAT_COMPLETIONS, document);
            let request = steps.inward(request).ok()?;
            Some(black_box(request.document()?.to_bytes()))
        });
    }

    /// Without the dialect: what the others are to be held against.
    #[divan::bench]
    fn bare_document_of_4_mb(bencher: Bencher<'_, '_>) {
        let text = large().to_string();
        bencher.counter(BytesCount::new(text.len())).with_inputs(|| text.clone()).bench_values(|text| {
            modelswitch_provider::Document::parse(text).map(|document| document.to_bytes())
        });
    }

    fn large() -> Value {
        asked(json!({ "messages": [{ "role": "user", "content": "a word ".repeat(600_000) }] }))
    }

    #[divan::bench]
    fn untouched(bencher: Bencher<'_, '_>) {
        put(bencher, "openai-compatible", &asked(json!({})));
    }

    #[divan::bench]
    fn untouched_of_4_mb(bencher: Bencher<'_, '_>) {
        put(bencher, "deepseek", &large());
    }

    #[divan::bench]
    fn token_limit_renamed(bencher: Bencher<'_, '_>) {
        put(bencher, "deepseek", &asked(json!({ "max_completion_tokens": 100 })));
    }

    #[divan::bench]
    fn role_mapped(bencher: Bencher<'_, '_>) {
        let messages = [json!({ "role": "developer", "content": "be brief" })];
        put(bencher, "deepseek", &asked(json!({ "messages": messages })));
    }

    fn tool() -> Value {
        json!({ "name": "look", "strict": true, "parameters": { "type": "object", "properties": { "place": { "type": "string" } } } })
    }

    #[divan::bench]
    fn effort_put_otherwise(bencher: Bencher<'_, '_>) {
        put(bencher, "openrouter", &asked(json!({ "reasoning_effort": "high" })));
    }

    #[divan::bench]
    fn parameter_left_out(bencher: Bencher<'_, '_>) {
        put(bencher, "cerebras", &asked(json!({ "presence_penalty": 0.5 })));
    }

    #[divan::bench]
    fn strict_taken_off_10_tools(bencher: Bencher<'_, '_>) {
        let tools = vec![json!({ "type": "function", "function": tool() }); 10];
        put(bencher, "minimax", &asked(json!({ "tools": tools })));
    }

    #[divan::bench]
    fn functions_as_10_tools(bencher: Bencher<'_, '_>) {
        put(bencher, "openai-compatible", &asked(json!({ "functions": vec![tool(); 10] })));
    }

    #[divan::bench]
    fn reasoning_of_40_turns_renamed(bencher: Bencher<'_, '_>) {
        let turn = json!({ "role": "assistant", "content": "9.8", "reasoning_content": "hm ".repeat(200) });
        put(bencher, "vllm", &asked(json!({ "messages": vec![turn; 40] })));
    }
}

const CHUNKS: usize = 1000;

fn chunk(delta: &Value) -> Value {
    json!({
        "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "system_fingerprint": "f",
        "choices": [{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": null }],
    })
}

/// A stream of one chunk many times, a packet each, and what ends it.
fn packets(chunk: &Value, count: usize) -> Vec<Bytes> {
    let packet = Bytes::from(format!("data: {chunk}\n\n"));
    let mut packets = vec![packet; count];
    packets.push(Bytes::from_static(b"data: [DONE]\n\n"));
    packets
}

fn runtime() -> Runtime {
    #[expect(clippy::expect_used, reason = "a bench without a runtime measures nothing")]
    Builder::new_current_thread().build().expect("a runtime")
}

/// Reads streams to their end.
fn read(bencher: Bencher<'_, '_>, packets: &[Bytes], count: usize) {
    let (steps, runtime) = (Steps::of("openai-compatible"), runtime());
    bencher.counter(ItemsCount::new(count)).with_inputs(|| packets.to_vec()).bench_values(|packets| {
        let body = ByteStream::new(stream::iter(packets.into_iter().map(Ok)));
        let mut events = steps.events(body);
        runtime.block_on(async {
            let mut read = 0;
            while let Some(Ok(event)) = events.next().await {
                read += black_box(event).data.len();
            }
            read
        })
    });
}

/// A thousand chunks from the bytes to events, so that the time of one is a thousandth.
mod thousand_chunks {
    use super::{
        Bencher, CHUNKS, CreateChatCompletionStreamResponse, ItemsCount, Value, black_box, chunk, json,
        packets, read,
    };

    fn step(bencher: Bencher<'_, '_>, chunk: &Value) {
        read(bencher, &packets(chunk, CHUNKS), CHUNKS);
    }

    #[divan::bench]
    fn bare_typed_decoding(bencher: Bencher<'_, '_>) {
        let text = chunk(&json!({ "content": "hello" })).to_string();
        bencher.counter(ItemsCount::new(CHUNKS)).bench(|| {
            for _ in 0..CHUNKS {
                black_box(serde_json::from_slice::<CreateChatCompletionStreamResponse>(text.as_bytes()).ok());
            }
        });
    }

    #[divan::bench]
    fn conforming(bencher: Bencher<'_, '_>) {
        step(bencher, &chunk(&json!({ "content": "hello" })));
    }

    #[divan::bench]
    fn conforming_with_reasoning_content(bencher: Bencher<'_, '_>) {
        step(bencher, &chunk(&json!({ "content": null, "reasoning_content": "hm" })));
    }

    #[divan::bench]
    fn with_reasoning(bencher: Bencher<'_, '_>) {
        step(bencher, &chunk(&json!({ "content": "", "reasoning": "hm" })));
    }

    #[divan::bench]
    fn in_a_thought_between_tags(bencher: Bencher<'_, '_>) {
        let mut all = packets(&chunk(&json!({ "content": "hello" })), CHUNKS - 1);
        all.insert(0, format!("data: {}\n\n", chunk(&json!({ "content": "<think>" }))).into());
        read(bencher, &all, CHUNKS);
    }

    #[divan::bench]
    fn with_usage_so_far(bencher: Bencher<'_, '_>) {
        let mut chunk = chunk(&json!({ "content": "hello" }));
        if let Some(members) = chunk.as_object_mut() {
            let usage = json!({ "prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16 });
            members.insert("usage".to_owned(), usage);
        }
        step(bencher, &chunk);
    }

    #[divan::bench]
    fn with_missing_fields(bencher: Bencher<'_, '_>) {
        step(bencher, &json!({ "choices": [{ "delta": { "content": "hello" } }] }));
    }

    #[divan::bench]
    fn with_a_tool_delta(bencher: Bencher<'_, '_>) {
        let call = json!({ "index": 0, "function": { "arguments": "{\"pl" } });
        step(bencher, &chunk(&json!({ "tool_calls": [call] })));
    }

    #[divan::bench]
    fn with_a_tool_delta_without_index(bencher: Bencher<'_, '_>) {
        let call = json!({ "id": "c", "function": { "name": "f", "arguments": "{\"pl" } });
        step(bencher, &chunk(&json!({ "tool_calls": [call] })));
    }
}

/// Whole answers.
mod whole {
    use super::{Bencher, Bytes, CreateChatCompletionResponse, Steps, Value, black_box, json};

    fn answer() -> Value {
        json!({
            "id": "c", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{
                "index": 0, "finish_reason": "stop",
                "message": { "role": "assistant", "content": "a word ".repeat(70), "refusal": null },
            }],
            "usage": { "prompt_tokens": 9, "completion_tokens": 70, "total_tokens": 79 },
        })
    }

    fn shape(bencher: Bencher<'_, '_>, answer: &Value) {
        let (steps, body) = (Steps::of("openai-compatible"), Bytes::from(answer.to_string()));
        bencher.bench(|| steps.whole(black_box(body.clone())).map(|body| body.len()));
    }

    #[divan::bench]
    fn bare_typed_decoding(bencher: Bencher<'_, '_>) {
        let text = answer().to_string();
        bencher.bench(|| serde_json::from_slice::<CreateChatCompletionResponse>(black_box(text.as_bytes())));
    }

    #[divan::bench]
    fn conforming(bencher: Bencher<'_, '_>) {
        shape(bencher, &answer());
    }

    #[divan::bench]
    fn with_a_thought_between_tags(bencher: Bencher<'_, '_>) {
        let text = format!("<think>{}</think>{}", "hm ".repeat(70), "a word ".repeat(70));
        let message = json!({ "role": "assistant", "content": text });
        let choice = json!({ "index": 0, "finish_reason": "stop", "message": message });
        let mut answer = answer();
        if let Some(members) = answer.as_object_mut() {
            members.insert("choices".to_owned(), json!([choice]));
        }
        shape(bencher, &answer);
    }

    #[divan::bench]
    fn sloppy(bencher: Bencher<'_, '_>) {
        let message = json!({ "content": "a word ".repeat(70), "reasoning": "hm" });
        shape(bencher, &json!({ "created": 1.5, "choices": [{ "message": message }], "usage": {} }));
    }
}

/// Ten thousand chunks, as a network may cut them.
mod ten_thousand_chunks {
    use super::{Bencher, Bytes, chunk, json, packets, read};

    const COUNT: usize = 10_000;

    fn pieces(bytes: usize) -> Vec<Bytes> {
        let mut whole = Bytes::from(packets(&chunk(&json!({ "content": "hello" })), COUNT).concat());
        let mut pieces = Vec::new();
        while !whole.is_empty() {
            pieces.push(whole.split_to(bytes.min(whole.len())));
        }
        pieces
    }

    #[divan::bench]
    fn a_packet_each(bencher: Bencher<'_, '_>) {
        read(bencher, &packets(&chunk(&json!({ "content": "hello" })), COUNT), COUNT);
    }

    #[divan::bench]
    fn in_packets_of_64_bytes(bencher: Bencher<'_, '_>) {
        read(bencher, &pieces(64), COUNT);
    }

    #[divan::bench]
    fn in_packets_of_16_kib(bencher: Bencher<'_, '_>) {
        read(bencher, &pieces(16 << 10), COUNT);
    }

    #[divan::bench]
    fn in_one_packet(bencher: Bencher<'_, '_>) {
        read(bencher, &pieces(usize::MAX), COUNT);
    }
}
