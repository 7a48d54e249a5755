use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;
use modelswitch_provider::mock::{MockProvider, events};
use modelswitch_provider::{ChatRequest, Error, ErrorKind, EventStream, Payload, ProviderExt};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

type Seen = Arc<Mutex<Vec<Value>>>;

/// A provider of this name that answers so, and what it was sent.
fn provider(
    origin: &ReasoningOrigin,
    name: &str,
    answer: impl Fn() -> Result<Response> + Send + Sync + 'static,
) -> (Arc<dyn Provider>, Seen) {
    let seen = Seen::default();
    let diary = seen.clone();
    let mut mock = MockProvider::new();
    mock.expect_name().return_const(name.to_owned());
    mock.expect_send().returning(move |request| {
        let body = request.document().map(Document::to_bytes).unwrap_or_default();
        diary.lock().unwrap().push(serde_json::from_slice(&body).unwrap_or_default());
        answer()
    });
    (origin.wrap(Arc::new(mock)), seen)
}

fn silent(origin: &ReasoningOrigin, name: &str) -> (Arc<dyn Provider>, Seen) {
    provider(origin, name, || Response::json(&json!({ "choices": [] })))
}

fn whole(thoughts: &[&str]) -> Result<Response> {
    let choices: Vec<Value> = (0..)
        .zip(thoughts)
        .map(|(index, thought): (u64, _)| {
            json!({ "index": index, "finish_reason": "stop",
                    "message": { "role": "assistant", "content": "x", "reasoning_content": thought } })
        })
        .collect();
    Response::json(&json!({ "choices": choices }))
}

fn piece(choice: u64, delta: Value) -> Result<Value> {
    Ok(json!({ "choices": [{ "index": choice, "delta": delta, "finish_reason": null }] }))
}

fn end(choice: u64) -> Result<Value> {
    Ok(json!({ "choices": [{ "index": choice, "delta": {}, "finish_reason": "stop" }] }))
}

/// A conversation that carries these thoughts, under `reasoning_content`.
fn history(thoughts: &[&str]) -> Request {
    let message = |thought| json!({ "role": "assistant", "content": "x", "reasoning_content": thought });
    Request::chat(&json!({ "messages": thoughts.iter().map(message).collect::<Vec<_>>() })).unwrap()
}

/// What a provider sees of a conversation with this thought; `None` when it was taken out.
async fn passes(origin: &ReasoningOrigin, name: &str, thought: &str) -> bool {
    let (provider, seen) = silent(origin, name);
    provider.send(history(&[thought])).await.unwrap();
    let seen = seen.lock().unwrap();
    seen[0]["messages"][0].get("reasoning_content").is_some()
}

async fn hear(origin: &ReasoningOrigin, name: &str, thought: &str) {
    let text = thought.to_owned();
    provider(origin, name, move || whole(&[&text])).0.send(history(&[])).await.unwrap();
}

async fn stream(origin: &ReasoningOrigin, name: &str, chunks: Vec<Result<Value>>) -> EventStream {
    let chunks = Mutex::new(Some(chunks));
    let answer = move || Ok(events(chunks.lock().unwrap().take().unwrap()));
    match provider(origin, name, answer).0.send(history(&[])).await.unwrap().body {
        Body::Events(events) => events,
        _ => panic!("a stream stays a stream"),
    }
}

#[tokio::test]
async fn what_one_provider_thought_reaches_no_other() {
    let origin = ReasoningOrigin::default();
    hear(&origin, "a", "because").await;
    assert!(passes(&origin, "a", "because").await);
    assert!(!passes(&origin, "b", "because").await);
}

#[tokio::test]
async fn the_head_tells_what_was_left_out_and_whose_it_was() {
    let origin = ReasoningOrigin::default();
    hear(&origin, "a", "because").await;
    hear(&origin, "c", "since").await;
    let (b, _) = provider(&origin, "b", || {
        let mut response = whole(&[])?;
        response.head.adaptations.push(Adaptation::new("user", "renamed"));
        Ok(response)
    });
    let told = b.send(history(&["because", "mine", "since"])).await.unwrap().head.adaptations;
    assert_eq!(told.len(), 2);
    assert_eq!(told[0].parameter, "reasoning_content");
    assert_eq!(
        told[0].change,
        "left out of 2 messages: `a` and `c` thought it, and reasoning isn't sent to another provider"
    );
    assert_eq!(told[1].parameter, "user", "what was done first stands first");
    assert!(b.send(history(&["mine"])).await.unwrap().head.adaptations.len() == 1);
}

#[tokio::test]
async fn both_names_of_the_member_are_looked_at_and_all_else_stays_as_it_was_written() {
    let origin = ReasoningOrigin::default();
    hear(&origin, "a", "because").await;
    let answer = || Response::json(&json!({ "choices": [{ "message": { "reasoning": "since" } }] }));
    provider(&origin, "a", answer).0.send(history(&[])).await.unwrap();

    let body = r#"{"n":1.50,"messages":[{"content":"because","reasoning_content":"own"},{"role" : "assistant","reasoning":"because","reasoning_content":"since","x":1.0},{"reasoning":"\u0062ecause"}],"z":"\u00e9"}"#;
    let mut sent = Document::parse(body).unwrap();
    let left_out = origin.leave_out_of(&mut sent, "b").unwrap();
    assert_eq!(left_out.count(), 3);
    assert_eq!(
        sent.to_bytes(),
        r#"{"n":1.50,"messages":[{"content":"because","reasoning_content":"own"},{"role":"assistant","x":1.0},{}],"z":"\u00e9"}"#
    );

    let mut own = Document::parse(body).unwrap();
    assert!(origin.leave_out_of(&mut own, "a").unwrap().is_empty());
    assert_eq!(own.to_bytes(), body);
}

#[tokio::test]
async fn what_is_attached_beside_the_messages_is_looked_at_too() {
    let origin = ReasoningOrigin::default();
    hear(&origin, "a", "because").await;
    let body = r#"{"messages":[{}],"modelswitch_reasoning":{"0":"because","1":"own","2":5},"n":1}"#;
    let mut sent = Document::parse(body).unwrap();
    let left_out = origin.leave_out_of(&mut sent, "b").unwrap();
    assert_eq!(sent.to_bytes(), r#"{"messages":[{}],"modelswitch_reasoning":{"1":"own","2":5},"n":1}"#);
    assert_eq!(left_out.adaptations().next().unwrap().parameter, "reasoning_content");
    for (provider, body) in [("a", body), ("b", r#"{"modelswitch_reasoning":["because"]}"#)] {
        let mut sent = Document::parse(body).unwrap();
        assert!(origin.leave_out_of(&mut sent, provider).unwrap().is_empty());
        assert_eq!(sent.to_bytes(), body);
    }
}

#[tokio::test]
async fn what_two_providers_thought_alike_passes_to_both_and_to_no_third() {
    let origin = ReasoningOrigin::default();
    hear(&origin, "a", "because").await;
    hear(&origin, "b", "because").await;
    for (name, wanted) in [("a", true), ("b", true), ("c", false)] {
        assert_eq!(passes(&origin, name, "because").await, wanted, "{name}");
    }
}

#[tokio::test]
async fn what_nobody_is_known_to_have_thought_passes() {
    let origin = ReasoningOrigin::default();
    hear(&origin, "a", "because").await;
    for thought in ["because of it", "becaus", "Because", "", " "] {
        assert!(passes(&origin, "b", thought).await, "{thought:?}");
    }
    hear(&origin, "a", " \n").await;
    assert!(passes(&origin, "b", "\t").await, "nothing is nobody's");
}

#[tokio::test]
async fn white_space_makes_no_difference() {
    let origin = ReasoningOrigin::default();
    hear(&origin, "a", "\n one \r\n two\n").await;
    assert!(!passes(&origin, "b", "one\n two").await);
}

#[tokio::test]
async fn every_choice_of_a_whole_answer_is_heard() {
    let origin = ReasoningOrigin::default();
    let (a, _) = provider(&origin, "a", || whole(&["one", "two", "three"]));
    a.send(history(&[])).await.unwrap();
    for thought in ["one", "two", "three"] {
        assert!(!passes(&origin, "b", thought).await, "{thought}");
    }
}

#[tokio::test]
async fn a_stream_counts_from_the_finish_reason_of_each_choice() {
    let origin = ReasoningOrigin::default();
    let mut events = stream(
        &origin,
        "a",
        vec![
            piece(0, json!({ "reasoning_content": "be" })),
            piece(1, json!({ "reasoning_content": "si" })),
            piece(0, json!({ "reasoning_content": "cause", "content": null })),
            piece(0, json!({ "content": "9.8", "reasoning_content": null })),
            end(0),
            piece(1, json!({ "reasoning": "aloud", "reasoning_content": "nce" })),
        ],
    )
    .await;
    for _ in 0..4 {
        events.next().await.unwrap().unwrap();
    }
    assert!(passes(&origin, "b", "because").await);
    events.next().await.unwrap().unwrap();
    assert!(!passes(&origin, "b", "because").await);
    assert!(passes(&origin, "b", "since").await);
    // The end of the stream is the end of whatever had no finish reason; nobody has to drop it first.
    while events.next().await.is_some() {}
    assert!(!passes(&origin, "b", "since").await && !passes(&origin, "b", "aloud").await);
    assert!(passes(&origin, "b", "si").await, "a piece of a thought is none");
}

#[tokio::test]
async fn of_a_stream_that_fails_or_is_dropped_what_was_handed_on_counts() {
    let origin = ReasoningOrigin::default();
    let opening = || piece(0, json!({ "reasoning_content": "half a" }));
    let cut = vec![opening(), Err(Error::interrupted("the stream was cut")), piece(0, json!({}))];
    let mut events = stream(&origin, "a", cut).await;
    let all: Vec<_> = events.by_ref().collect().await;
    assert_eq!((all.len(), all[1].as_ref().unwrap_err().kind()), (2, ErrorKind::Interrupted));
    assert!(!passes(&origin, "b", "half a").await && passes(&origin, "a", "half a").await);

    let rest = piece(0, json!({ "reasoning_content": " thought" }));
    let mut events = stream(&origin, "c", vec![opening(), rest]).await;
    events.next().await.unwrap().unwrap();
    drop(events);
    assert!(passes(&origin, "c", "half a").await);
    assert!(passes(&origin, "b", "half a thought").await);
}

#[tokio::test]
async fn an_error_leaves_nothing_behind_and_the_next_call_is_as_clean() {
    let origin = ReasoningOrigin::default();
    hear(&origin, "a", "because").await;
    let failed = AtomicBool::new(false);
    let (b, seen) = provider(&origin, "b", move || match failed.swap(true, Ordering::SeqCst) {
        false => Err(Error::new(ErrorKind::Overloaded, "too busy")),
        true => whole(&[]),
    });
    assert!(b.send(history(&["because"])).await.is_err());
    b.send(history(&["because"])).await.unwrap();
    assert!(seen.lock().unwrap().iter().all(|body| body["messages"][0].get("reasoning_content").is_none()));
}

#[tokio::test]
async fn it_is_bounded_and_the_oldest_are_forgotten_first() {
    let origin = ReasoningOrigin::new(2);
    for thought in ["one", "two", "one", "three"] {
        hear(&origin, "a", thought).await;
    }
    for (thought, forgotten) in [("one", false), ("two", true), ("three", false)] {
        assert_eq!(passes(&origin, "b", thought).await, forgotten, "{thought}");
    }
    let known = origin.known();
    assert_eq!((known.thoughts.len(), known.by_age.len()), (2, 2));
}

#[tokio::test]
async fn switched_off_it_does_nothing() {
    let origin = ReasoningOrigin::new(0);
    hear(&origin, "a", "because").await;
    assert!(passes(&origin, "b", "because").await);
}

#[tokio::test]
async fn other_endpoints_and_bodies_that_cannot_be_read_pass_untouched() {
    let origin = ReasoningOrigin::default();
    hear(&origin, "a", "because").await;
    let odd = [
        r#"{"messages":{"reasoning_content":"because"}}"#,
        r#"{"messages":["\"reasoning\":\"because\"",{"reasoning_content":["because"]},{"reasoning":"x","content":"because"}]}"#,
        r#"{"reasoning":"because","messages":[]}"#,
        "{}",
    ];
    for body in odd {
        let mut sent = Document::parse(body).unwrap();
        assert!(origin.leave_out_of(&mut sent, "b").unwrap().is_empty());
        assert_eq!(sent.to_bytes(), body);
    }
    let (b, seen) = silent(&origin, "b");
    let body = history(&["because"]).document().unwrap().clone();
    b.send(Request::new(Endpoint::RESPONSES, body)).await.unwrap();
    b.send(Request::new(Endpoint::CHAT_COMPLETIONS, Payload::Empty)).await.unwrap();
    assert_eq!(seen.lock().unwrap()[0]["messages"][0]["reasoning_content"], "because");
}

#[tokio::test]
async fn answers_of_other_shapes_pass_and_are_not_listened_to() {
    let origin = ReasoningOrigin::default();
    for body in [
        "[]",
        "{\"choices\":null,\"reasoning\":\"x\"}",
        "\"reasoning\":\"x\"",
        "{\"choices\":[{\"message\":null}],\"reasoning\":\"x\"}",
    ] {
        let answer = move || Ok(Response::new(Body::Json(body.into())));
        let (_, passed) =
            provider(&origin, "a", answer).0.send(history(&[])).await.unwrap().into_json().unwrap();
        assert_eq!(passed, body);
    }
    let odd = r#"{"choices":[{"message":{"reasoning":{"x":1},"reasoning_content":"because"}}]}"#;
    provider(&origin, "a", move || Ok(Response::new(Body::Json(odd.into()))))
        .0
        .send(history(&[]))
        .await
        .unwrap();
    assert!(!passes(&origin, "b", "because").await);
}

#[tokio::test]
async fn a_stream_that_invents_choices_for_ever_does_not_fill_the_memory() {
    let origin = ReasoningOrigin::default();
    let chunks = (0..1_000).map(|choice| piece(choice, json!({ "reasoning_content": format!("{choice}") })));
    let mut events = stream(&origin, "a", chunks.collect()).await;
    while events.next().await.is_some() {}
    assert_eq!(origin.known().thoughts.len(), MOST_HEARD);
}

#[tokio::test]
async fn typed_messages_of_a_whole_conversation_go_through() {
    let origin = ReasoningOrigin::default();
    let (a, _) = provider(&origin, "a", || whole(&["because"]));
    let answer = a.chat("9.11 or 9.8?").await.unwrap().message().unwrap().clone();
    assert_eq!(answer.reasoning_content.as_deref(), Some("because"));
    let (b, seen) = silent(&origin, "b");
    let mut request = ChatRequest::user("9.11 or 9.8?");
    request.messages.push(answer);
    b.send(request.into_request().unwrap()).await.unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0]["messages"][1], json!({ "role": "assistant", "content": "x" }));
}

#[test]
fn words_are_members_only_where_they_are_members() {
    for (json, wanted) in [
        (r#"{"reasoning_content":"x"}"#, true),
        (r#"{"reasoning" : "x"}"#, true),
        (r#"[{"a":[{"reasoning_content":"x"}]}]"#, true),
        (r#"{"reasoning_content":""}"#, false),
        (r#"{"reasoning_content":null,"content":"x"}"#, false),
        (r#"{"reasoning_tokens":"x"}"#, false),
        (r#"{"reasoning_contents":"x"}"#, false),
        (r#"{"content":"\"reasoning\":\"x\""}"#, false),
        (r#"{"content":"reasoning"}"#, false),
        (r#"{"reasoning"#, false),
        ("", false),
    ] {
        assert_eq!(has_reasoning(json.as_bytes()), wanted, "{json}");
    }
}

#[test]
fn nothing_of_what_was_thought_is_kept_or_shown() {
    let origin = ReasoningOrigin::default();
    let mut print = origin.fingerprint();
    print.push("canary");
    origin.remember(print.finish().unwrap(), &"a".into());
    assert_eq!(format!("{origin:?}"), "ReasoningOrigin { thoughts: 1 }");
    let mut other = ReasoningOrigin::default().fingerprint();
    other.push("canary");
    assert_ne!(print.finish(), other.finish(), "each memory has keys of its own");
}

/// Cuts a text at random places, between characters.
fn pieces(text: &str, cuts: &[prop::sample::Index]) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(letters.len() + 1)).collect();
    places.extend([0, letters.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| letters[pair[0]..pair[1]].iter().collect()).collect()
}

proptest! {
    #[test]
    fn however_a_stream_is_cut_the_thought_is_the_same(
        one in "\\PC{1,40}x",
        two in ".{0,40}y",
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        shuffle in prop::collection::vec(any::<bool>(), 64),
    ) {
        prop_assume!(one.split_whitespace().ne(two.split_whitespace()));
        let (mut first, mut second) = (pieces(&one, &cuts).into_iter(), pieces(&two, &cuts).into_iter());
        let mut chunks = Vec::new();
        for from_first in shuffle {
            let (choice, next) = if from_first { (0, first.next()) } else { (1, second.next()) };
            if let Some(text) = next {
                chunks.push(piece(choice, json!({ "reasoning_content": text })));
            }
        }
        chunks.extend(first.map(|text| piece(0, json!({ "reasoning_content": text }))));
        chunks.extend(second.map(|text| piece(1, json!({ "reasoning_content": text }))));
        chunks.extend([end(0), end(1)]);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let origin = ReasoningOrigin::default();
            let mut events = stream(&origin, "a", chunks).await;
            while events.next().await.is_some() {}
            for thought in [&one, &two] {
                prop_assert!(!passes(&origin, "b", thought).await, "{thought:?}");
                prop_assert!(passes(&origin, "a", thought).await, "{thought:?}");
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_fingerprint_depends_on_the_joined_text_only(
        text in ".{0,80}",
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..9),
    ) {
        let origin = ReasoningOrigin::default();
        let (mut whole, mut joined) = (origin.fingerprint(), origin.fingerprint());
        whole.push(&text);
        pieces(&text, &cuts).iter().for_each(|piece| joined.push(piece));
        prop_assert_eq!(whole.finish(), joined.finish());
    }
}
