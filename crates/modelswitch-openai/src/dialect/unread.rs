//! What passes without being read is what reading it would have made, and leaves behind what reading it would have.

use async_openai::types::chat::CreateChatCompletionResponse;
use bytes::Bytes;
use modelswitch_provider::{ByteStream, ChatCompletion, ErrorKind, Result};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::look::whole::Whole;
use super::properties::any_json::{changed, changes};
use super::properties::{all_of, context, usage};
use super::seen::Seen;
use super::{Context, Kind, chunk, events, outward};

/// An answer of which a look is enough.
fn plain() -> Value {
    json!({"id":"1","object":"chat.completion","created":7,"model":"m","service_tier":null,"system_fingerprint":"f","choices":[
        {"index":0,"finish_reason":"stop","logprobs":null,"message":{"role":"assistant","content":"hi","refusal":null,"reasoning_content":"hm","annotations":[],
            "tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"d","type":"function","function":{"name":"f","arguments":""}}]}}],
        "usage":usage()})
}

/// What an app on async-openai and one on our own view decode of an answer.
fn decoded(body: &[u8]) -> (CreateChatCompletionResponse, Vec<String>) {
    let mut typed: CreateChatCompletionResponse = serde_json::from_slice(body).unwrap();
    // Nobody reads it, and services have words of their own for it.
    typed.object.clear();
    let view: ChatCompletion = serde_json::from_slice(body).unwrap();
    let thoughts = view.choices.into_iter().filter_map(|choice| choice.message.reasoning_content);
    (typed, thoughts.filter(|thought| !thought.is_empty()).collect())
}

/// False where the answer has to be read. A context that has seen others knows their like again.
fn passes_as_reading_makes_it(context: &Context, answer: &Value) -> bool {
    let body = Bytes::from(answer.to_string());
    let passes = outward::conforms(context, &body);
    if passes {
        let read = outward::read(context, &body).unwrap_or_else(|error| panic!("{error}: {answer}"));
        assert_eq!(decoded(&body), decoded(&read), "{answer}");
    }
    passes
}

#[test]
fn a_look_is_enough_for_an_answer_as_most_services_send_it() {
    let text = plain().to_string();
    let context = context(Kind::Chat, true);
    assert!(Whole::of(&text).is_some_and(|whole| whole.conforms(&context.profile)));
    assert!(passes_as_reading_makes_it(&context, &plain()));
}

#[test]
fn a_look_is_not_enough_for_what_has_something_to_mend() {
    let context = context(Kind::Chat, true);
    let nothing = json!({"role":"assistant","content":""});
    let call = |id: &str| json!({"id":id,"type":"function","function":{"name":"f","arguments":"{}"}});
    for (place, value) in [
        // What an empty message doesn't say may stand beside it, and no message is one.
        ("/choices/0", json!({"index":0,"finish_reason":"stop","message":nothing,"delta":{"content":"hi"}})),
        ("/choices/0", json!({"index":0,"finish_reason":"stop","message":nothing,"text":"hi"})),
        ("/choices/0/message/tool_calls", json!([call("c"), call("c")])),
        ("/choices/0/message/tool_calls", json!([call("")])),
        ("/choices/0/message/content", json!("hm</think>hi")),
        ("/choices/0/message/content", json!("<think>hm</think>hi")),
        ("/choices/0/finish_reason", json!("eos")),
        ("/choices/0/finish_reason", Value::Null),
        (
            "/choices/0",
            json!({"index":0,"finish_reason":"stop","message":plain()["choices"][0]["message"],"error":{"message":"x"}}),
        ),
        ("/choices/0/message/reasoning_content", json!([])),
        (
            "/usage",
            json!({"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"prompt_cache_hit_tokens":1}),
        ),
    ] {
        let mut answer = plain();
        *answer.pointer_mut(place).unwrap() = value;
        assert!(!passes_as_reading_makes_it(&context, &answer), "{answer}");
    }
}

#[test]
fn an_answer_like_one_before_it_that_tells_a_failure_by_a_number_is_read() {
    let context = context(Kind::Chat, false);
    let with_status = |code: u32| {
        let mut answer = plain();
        answer["choices"][0]["message"].as_object_mut().unwrap().remove("tool_calls");
        answer["base_resp"] = json!({"status_code":code,"status_msg":"insufficient balance"});
        answer
    };
    assert!(passes_as_reading_makes_it(&context, &with_status(0)));
    assert!(passes_as_reading_makes_it(&context, &with_status(0)));
    assert!(!outward::conforms(&context, with_status(1008).to_string().as_bytes()));
}

/// What comes of a stream: the bytes of its chunks, and the kind of the error that ended it.
type Outcome = Vec<std::result::Result<Bytes, ErrorKind>>;

fn outcome(tags: bool, chunks: &[String]) -> Outcome {
    let frames = chunks.iter().map(|chunk| format!("data: {chunk}\n\n"));
    let text: String = frames.chain(["data: [DONE]\n\n".to_owned()]).collect();
    let events = all_of(events::read(context(Kind::Chat, tags), ByteStream::from(Bytes::from(text))));
    events.into_iter().map(|event| event.map(|event| event.data).map_err(|error| error.kind())).collect()
}

/// The same where each chunk is read.
fn outcome_of_reading(tags: bool, chunks: &[String]) -> Outcome {
    let (context, mut seen, mut out) = (context(Kind::Chat, tags), Seen::default(), Vec::new());
    let mut take = |chunk: &String| chunk::shape(&context, &mut seen, chunk.clone().into(), &mut out);
    let read: Result<()> = chunks.iter().try_for_each(&mut take);
    let read = read.and_then(|()| chunk::last_words(&context, &mut seen));
    let (words, error) = match read {
        Ok(words) => (words, None),
        Err(error) => (Vec::new(), Some(Err(error.kind()))),
    };
    out.into_iter().chain(words).map(Ok).chain(error).collect()
}

/// A chunk of some service, with a text, as it stands between quotes.
fn chunk(shape: usize, text: &str) -> String {
    let choice = match shape % SHAPES {
        0 | 1 => format!(r#"{{"index":0,"delta":{{"content":"{text}"}}}}"#),
        2 => r#"{"index":0,"delta":{"content":""}}"#.to_owned(),
        3 => format!(r#"{{"index":0,"delta":{{"content":null,"reasoning_content":"{text}"}}}}"#),
        4 => format!(r#"{{"index":0,"delta":{{"content":"","reasoning_content":"{text}"}}}}"#),
        5 => r#"{"index":0,"delta":{"role":"assistant","content":""}}"#.to_owned(),
        6 => format!(r#"{{"index":1,"delta":{{"content":"{text}"}}}}"#),
        7 => format!(r#"{{"index":0,"delta":{{"content":""}},"text":"{text}"}}"#),
        8 => format!(r#"{{"index":0,"delta":{{"content":"{text}"}},"text":"x"}}"#),
        9 => format!(
            r#"{{"index":0,"message":{{"role":"assistant","content":"{text}","reasoning_content":"{text}"}}}}"#
        ),
        10 => format!(r#"{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":"stop"}}"#),
        11 => format!(
            r#"{{"index":0,"delta":{{"tool_calls":[{{"index":0,"id":"{text}","type":"function","function":{{"name":"f","arguments":"{text}"}}}}]}}}}"#
        ),
        12 => format!(r#"{{"index":0,"delta":{{"content":"{text}","refusal":"no"}}}}"#),
        13 => format!(r#"{{"index":0,"delta":{{"content":"a","content":"{text}"}}}}"#),
        _ => format!(r#"{{"index":0,"delta":{{"reasoning":"{text}","content":""}}}}"#),
    };
    let envelope = match shape / SHAPES {
        0..=5 => "",
        6 => r#","object":"error""#,
        7 => r#","base_resp":{"status_code":1000}"#,
        8 => r#","type":"error""#,
        _ => r#","usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}"#,
    };
    let object = if envelope.contains("object") { "" } else { r#""object":"o","# };
    format!(r#"{{"id":"1",{object}"created":7,"model":"m","choices":[{choice}]{envelope}}}"#)
}

const SHAPES: usize = 15;

#[test]
fn a_whole_message_after_text_that_passed_unread_says_nothing_twice() {
    let end = chunk(9, "hi").replace(r#""message""#, r#""finish_reason":"stop","message""#);
    let chunks = [chunk(2, ""), chunk(0, "hi"), end];
    let out = outcome(false, &chunks);
    assert_eq!(out, outcome_of_reading(false, &chunks));
    let last: Value = serde_json::from_slice(out.last().unwrap().as_ref().unwrap()).unwrap();
    assert_eq!(last["choices"][0]["delta"].get("content"), None);
}

proptest! {
    #[test]
    fn a_whole_answer_that_passes_is_what_reading_makes_of_it(changes in changes(), tags: bool) {
        passes_as_reading_makes_it(&context(Kind::Chat, tags), &changed(plain(), &changes));
    }

    #[test]
    fn an_answer_like_one_before_it_is_what_reading_makes_of_it(changes in changes(), tags: bool, has_calls: bool) {
        let mut before = plain();
        if has_calls {
            before["choices"][0]["message"]["tool_calls"].as_array_mut().unwrap().truncate(1);
        } else {
            before["choices"][0]["message"].as_object_mut().unwrap().remove("tool_calls");
        }
        let context = context(Kind::Chat, tags);
        prop_assert!(passes_as_reading_makes_it(&context, &before));
        prop_assert!(context.moulds.fit(before.to_string().as_bytes()));
        passes_as_reading_makes_it(&context, &changed(before, &changes));
    }

    #[test]
    fn a_stream_is_the_same_whether_its_chunks_are_read_or_known_again(
        before in r"[ab<]{0,3}",
        chunks in vec((0..10 * SHAPES, r#"(|[ab<>/\\"nu09,:{}\[\]é\x01]{0,6}|<think>|</think>|hi)"#), 1..8),
        tags: bool,
    ) {
        let chunks: Vec<String> = [chunk(0, &before)].into_iter()
            .chain(chunks.iter().map(|(shape, text)| chunk(*shape, text)))
            .collect();
        prop_assert_eq!(outcome(tags, &chunks), outcome_of_reading(tags, &chunks));
    }

    /// The same shape again and again, as in streams.
    #[test]
    fn a_stream_of_one_shape_is_the_same_whether_its_chunks_are_read_or_known_again(
        shape in 0..SHAPES, texts in vec(r#"[ab"\\nu09,:é\x01]{0,5}"#, 1..6), last in 0..SHAPES, tags: bool,
    ) {
        let chunks: Vec<String> = texts.iter().map(|text| chunk(shape, text)).chain([chunk(last, "hi")]).collect();
        prop_assert_eq!(outcome(tags, &chunks), outcome_of_reading(tags, &chunks));
    }
}
