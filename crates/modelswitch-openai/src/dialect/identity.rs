//! What is in shape stays as it is, in both directions, at every profile; and what a service says in its own way comes out as if it
//! had said it in ours.

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use modelswitch_provider::{ByteStream, Request};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Context, Kind, events, inward, outward};
use crate::{Policies, Profile};

fn profiles() -> impl Strategy<Value = Profile> {
    let names: Vec<_> = Profile::embedded_names().collect();
    prop::sample::select(names).prop_map(|name| Profile::embedded(name).unwrap())
}

/// Text without the brackets of a tag.
fn text() -> BoxedStrategy<String> {
    prop_oneof![
        "[^<]{0,12}",
        Just("9.8".to_owned()),
        Just("é\"\\\n\u{1f600} \0".to_owned()),
        Just("\"error\": null".to_owned()),
        Just(String::new()),
    ]
    .boxed()
}

/// Something that nobody has heard of, or nothing.
fn more() -> BoxedStrategy<Value> {
    prop_oneof![Just(json!({})), text().prop_map(|text| json!({ "x_more": { "deep": [text, 1, null] } }))]
        .boxed()
}

/// The first object with the members of the second one.
fn with(mut object: Value, more: &Value) -> Value {
    let members = object.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    object
}

fn usage() -> BoxedStrategy<Value> {
    (any::<u16>(), any::<u16>(), more())
        .prop_map(|(asked, said, more)| {
            let total = u32::from(asked) + u32::from(said);
            with(json!({ "prompt_tokens": asked, "completion_tokens": said, "total_tokens": total }), &more)
        })
        .boxed()
}

fn call(number: usize, name: &str, arguments: &str) -> Value {
    json!({ "id": format!("call_{number}"), "type": "function", "function": { "name": name, "arguments": arguments } })
}

/// An answer as OpenAI writes it.
fn chat() -> BoxedStrategy<Value> {
    let said = (text(), prop::collection::vec((text(), text()), 0..3), more());
    let choice = (said, more()).prop_map(|((content, calls, in_message), in_choice)| {
        let mut message = json!({ "role": "assistant", "content": content, "refusal": null });
        let reason = if calls.is_empty() { "stop" } else { "tool_calls" };
        if !calls.is_empty() {
            let calls =
                calls.iter().enumerate().map(|(number, (name, arguments))| call(number, name, arguments));
            message = with(message, &json!({ "tool_calls": calls.collect::<Vec<_>>() }));
        }
        let message = with(message, &in_message);
        with(json!({ "message": message, "logprobs": null, "finish_reason": reason }), &in_choice)
    });
    (text(), prop::collection::vec(choice, 1..3), usage(), more())
        .prop_map(|(id, choices, usage, more)| {
            let numbered = choices.iter().enumerate().map(|(index, choice)| with(json!({ "index": index }), choice));
            let choices: Vec<_> = numbered.collect();
            let answer = json!({
                "id": id, "object": "chat.completion", "created": 1_700_000_000, "model": "m", "choices": choices, "usage": usage,
            });
            with(answer, &more)
        })
        .boxed()
}

/// The chunks of a stream as OpenAI writes them.
fn chunks() -> BoxedStrategy<Vec<Value>> {
    let pieces = prop::collection::vec((text(), more()), 0..4);
    (pieces, prop::option::of((text(), prop::collection::vec(text(), 0..3))), prop::option::of(usage()))
        .prop_map(|(pieces, calls, usage)| {
            let chunk = |choices: Value, usage: Value| json!({ "id": "1", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": choices, "usage": usage });
            let delta = |delta: Value| {
                chunk(json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": null }]), Value::Null)
            };
            let mut all = vec![delta(json!({ "role": "assistant", "content": "" }))];
            all.extend(pieces.into_iter().map(|(text, more)| delta(with(json!({ "content": text }), &more))));
            let reason = if calls.is_some() { "tool_calls" } else { "stop" };
            if let Some((name, arguments)) = calls {
                let begin = with(json!({ "index": 0 }), &call(0, &name, ""));
                all.push(delta(json!({ "tool_calls": [begin] })));
                all.extend(arguments.into_iter().map(|text| {
                    delta(json!({ "tool_calls": [{ "index": 0, "function": { "arguments": text } }] }))
                }));
            }
            all.push(chunk(json!([{ "index": 0, "delta": {}, "logprobs": null, "finish_reason": reason }]), Value::Null));
            all.extend(usage.map(|usage| chunk(json!([]), usage)));
            all
        })
        .boxed()
}

/// A request that every service takes: what is particular about one has its own tests.
fn question() -> BoxedStrategy<Value> {
    let said = prop::collection::vec("[a-z]{1,8}", 0..3);
    (said, "[a-z]{1,8}", more(), any::<bool>())
        .prop_map(|(history, last, more, streams)| {
            let mut messages = vec![json!({ "role": "system", "content": "be brief" })];
            // Some services want the two to take turns.
            let turns = history.iter().flat_map(|text| {
                [json!({ "role": "user", "content": text }), json!({ "role": "assistant", "content": text })]
            });
            messages.extend(turns);
            messages.push(json!({ "role": "user", "content": last }));
            with(json!({ "model": "m", "messages": messages, "stream": streams }), &more)
        })
        .boxed()
}

fn json_of(bytes: &Bytes) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_conforming_answer_passes_at_every_profile(answer in chat(), profile in profiles()) {
        // A message that says nothing is looked at more closely: its text may stand beside it.
        let says = |choice: &Value| {
            let message = &choice["message"];
            message["content"].as_str().is_some_and(|text| !text.is_empty()) || message.get("tool_calls").is_some()
        };
        let is_openai = profile.name == "openai" && answer["choices"].as_array().unwrap().iter().all(says);
        let context = Context::plain(profile, Kind::Chat);
        let bytes = Bytes::from(answer.to_string());
        let shaped = outward::shape(&context, bytes.clone()).unwrap();
        prop_assert_eq!(json_of(&shaped), answer);
        if is_openai {
            prop_assert_eq!(shaped.as_ptr(), bytes.as_ptr(), "the bytes themselves pass");
        }
    }

    #[test]
    fn a_conforming_stream_passes_at_every_profile(chunks in chunks(), profile in profiles()) {
        // Each of its chunks has all that was said before.
        prop_assume!(!profile.response.cumulative);
        // What may become a tag is held back until it is clear that it is none.
        let begins = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect::<String>();
        let may_think = begins.starts_with(|letter: char| letter == '<' || letter.is_whitespace());
        prop_assume!(profile.reasoning.tags.is_none() || !may_think);
        let is_openai = profile.name == "openai";
        let context = Context { wants_stream: true, wants_usage: true, ..Context::plain(profile, Kind::Chat) };
        let sent: Vec<String> = chunks.iter().map(Value::to_string).collect();
        let body = sent.iter().map(|chunk| format!("data: {chunk}\n\n")).collect::<String>() + "data: [DONE]\n\n";
        let read = events::read(context, ByteStream::from(Bytes::from(body))).collect::<Vec<_>>();
        let read: Vec<Bytes> = read.now_or_never().unwrap().into_iter().map(|event| event.unwrap().data).collect();
        prop_assert_eq!(read.iter().map(json_of).collect::<Vec<_>>(), chunks);
        if is_openai {
            prop_assert_eq!(read, sent);
        }
    }

    #[test]
    fn a_conforming_request_passes_at_every_profile(question in question(), profile in profiles()) {
        let request = Request::chat(&question).unwrap();
        let bytes = request.document().unwrap().to_bytes();
        let adapted = inward::adapt(&profile, Policies::default(), Kind::Chat, request).unwrap();
        prop_assert!(adapted.adaptations.is_empty(), "{:?}", adapted.adaptations);
        prop_assert_eq!(adapted.request.document().unwrap().to_bytes(), bytes);
    }

    #[test]
    fn what_is_in_shape_once_is_in_shape_for_good(answer in chat(), profile in profiles(), new in text()) {
        // A service's own way: no id, arguments that are no text, a call alone, another name of the end.
        let mut own = answer;
        let members = own.as_object_mut().unwrap();
        members.retain(|name, _| name != "id" && name != "object");
        own["choices"][0]["message"]["tool_calls"] = json!({ "name": "f", "arguments": { "a": new } });
        own["choices"][0]["finish_reason"] = "eos".into();
        let context = Context::plain(profile, Kind::Chat);
        let once = outward::shape(&context, own.to_string().into()).unwrap();
        let twice = outward::shape(&context, once.clone()).unwrap();
        prop_assert_eq!(twice, once);
    }

    #[test]
    fn reasoning_that_a_service_puts_elsewhere_comes_out_in_its_place(
        profile in profiles(), thought in "[a-z][^<]{0,12}[a-z]", said in "[a-z][^<]{0,12}",
    ) {
        let answer = |message: Value| {
            let choice = json!({ "index": 0, "message": with(json!({ "role": "assistant" }), &message), "finish_reason": "stop" });
            json!({ "id": "1", "object": "chat.completion", "created": 7, "model": "m", "choices": [choice] })
        };
        let fields = profile.reasoning.fields.clone();
        let mut ways: Vec<Value> =
            fields.iter().map(|field| json!({ "content": said, field.as_str(): thought })).collect();
        if let Some((open, close)) = &profile.reasoning.tags {
            ways.push(json!({ "content": format!("{open}{thought}{close}\n\n{said}") }));
        }
        let context = Context::plain(profile, Kind::Chat);
        for message in ways {
            let shaped = json_of(&outward::shape(&context, answer(message).to_string().into()).unwrap());
            let message = &shaped["choices"][0]["message"];
            prop_assert_eq!(&message["reasoning_content"], &Value::from(thought.as_str()));
            prop_assert_eq!(&message["content"], &Value::from(said.as_str()));
        }
    }
}
