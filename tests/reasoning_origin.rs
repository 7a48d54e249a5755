//! What one provider thought is never sent to another, over real sockets and through the registry.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails loudly")]

use std::sync::{Arc, Mutex};

use async_openai::types::chat::{
    ChatCompletionRequestAssistantMessageArgs, ChatCompletionRequestUserMessage, ChatCompletionTool,
    ChatCompletionTools, FunctionObjectArgs,
};
use futures_util::StreamExt;
use modelswitch::prelude::*;
use modelswitch::{ApiKey, ErrorKind, Extra, Registry};
use modelswitch_provider::mock::MockProvider;
use modelswitch_provider::{Request, Response};
use modelswitch_sim::{Script, Sim};
use modelswitch_tests::{World, ask, world};
use serde_json::{Value, json};

const QUESTION: &str = "9.11 or 9.8?";

/// A conversation that goes on after an answer, as an app would keep it.
fn next_turn(answer: Message) -> ChatRequest {
    let mut request = ChatRequest::user(QUESTION);
    request.messages.extend([answer, Message::user("Why?")]);
    request
}

/// What a service was sent last, of the answer before.
fn answer_that_was_sent(sim: &Sim) -> Value {
    sim.requests().pop().unwrap().json()["messages"][1].clone()
}

/// Asks DeepSeek, whole or as a stream, and gives back its message as it goes into the history.
async fn asked(world: &World, model: &str, streamed: bool) -> Message {
    let llm = world.registry.model(model).unwrap();
    let reply = if streamed {
        llm.chat_stream(QUESTION).await.unwrap().completion().await.unwrap()
    } else {
        llm.chat(QUESTION).await.unwrap()
    };
    let answer = reply.message().unwrap().clone();
    assert!(answer.reasoning_content.as_ref().is_some_and(|text| text.contains("simulated reasoning")));
    answer
}

#[tokio::test]
async fn a_conversation_goes_to_another_provider_without_the_thoughts_and_back_with_them() {
    for streamed in [false, true] {
        let world = world().await;
        let answer = asked(&world, "fast", streamed).await;

        for other in [world.registry.model("small").unwrap(), world.registry.router()] {
            let reply = other.chat(next_turn(answer.clone()).model("other/sim-small")).await.unwrap();
            let sent = answer_that_was_sent(&world.other);
            assert_eq!(sent["content"], answer.text());
            assert!(sent.get("reasoning_content").is_none() && sent.get("reasoning").is_none(), "{sent}");
            let told: Vec<&str> = reply.head.adaptations.iter().map(|one| one.parameter.as_str()).collect();
            assert_eq!(told, ["reasoning_content"]);
        }

        for model in ["fast", "deepseek/deepseek-v4-pro"] {
            let llm = world.registry.model(model).unwrap();
            let reply = llm.chat(next_turn(answer.clone())).await.unwrap();
            let sent = answer_that_was_sent(&world.deepseek);
            assert_eq!(sent["reasoning_content"], answer.reasoning_content.clone().unwrap());
            assert!(reply.head.adaptations.is_empty(), "{:?}", reply.head.adaptations);
        }
    }
}

#[tokio::test]
async fn what_an_app_on_async_openai_attaches_goes_to_the_provider_that_thought_it_and_to_no_other() {
    let deepseek = Sim::start().await.unwrap();
    let registry = Registry::builder()
        .toml(format!(
            "[providers.here]\nprofile = 'deepseek'\nbase_url = '{url}'\napi_key = {{ env = 'KEY' }}\n[providers.there]\nprofile = 'deepseek'\nbase_url = '{url}'\napi_key = {{ env = 'KEY' }}",
            url = deepseek.base_url()
        ))
        .environment([("KEY".to_owned(), deepseek.key().to_owned())])
        .build()
        .unwrap();
    let client = registry.client().unwrap();
    let reply = client.chat().create(ask("here/deepseek-flash", QUESTION)).await.unwrap();
    let thought = reply.reasoning_content().unwrap();
    for (provider, text, wanted) in [
        ("here", thought.as_str(), thought.as_str()),
        ("there", &thought, ""),
        ("there", "from a database", "from a database"),
    ] {
        let mut request = ask(&format!("{provider}/deepseek-flash"), QUESTION);
        let answer = ChatCompletionRequestAssistantMessageArgs::default().content("9.8").build().unwrap();
        request.messages.push(answer.into());
        request.messages.push(ChatCompletionRequestUserMessage::from("Why?").into());
        let function = FunctionObjectArgs::default()
            .name("unused")
            .parameters(json!({ "type": "object", "properties": {} }))
            .build()
            .unwrap();
        request.tools = Some(vec![ChatCompletionTools::Function(ChatCompletionTool { function })]);
        let attached = Extra::new().reasoning_content(1, text).headers().unwrap();
        client.chat().headers(attached).create(request).await.unwrap();
        assert_eq!(answer_that_was_sent(&deepseek)["reasoning_content"], wanted, "{provider}");
    }
}

#[tokio::test]
async fn falling_back_after_an_error_takes_the_thoughts_out_at_every_try() {
    let world = world().await;
    let answer = asked(&world, "fast", false).await;
    let request = next_turn(answer.clone());

    world.deepseek.script(Script::status(402).json(json!({"error":{"message":"Insufficient Balance"}})));
    let failed = world.registry.model("fast").unwrap().chat(request.clone()).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::InsufficientBalance);
    assert!(answer_that_was_sent(&world.deepseek).get("reasoning_content").is_some());

    world.other.script(Script::status(503).json(json!({"error":{"message":"busy"}})));
    let reply = world.registry.model("small").unwrap().chat(request.clone()).await.unwrap();
    assert_eq!(reply.head.attempts(), 2);
    for sent in world.other.requests() {
        assert!(sent.json()["messages"][1].get("reasoning_content").is_none());
    }
    // The caller's own request is as it was: the provider that thought it gets it back.
    world.registry.model("fast").unwrap().chat(request).await.unwrap();
    assert!(answer_that_was_sent(&world.deepseek).get("reasoning_content").is_some());
}

#[tokio::test]
async fn half_a_thought_of_a_stream_that_broke_is_kept_from_others_too() {
    let world = world().await;
    world.deepseek.script(Script::normal().cut_after_events(6));
    let mut chunks = world.registry.model("fast").unwrap().chat_stream(QUESTION).await.unwrap();
    let mut half = String::new();
    let error = loop {
        match chunks.next().await.unwrap() {
            Ok(chunk) => half += chunk.reasoning().unwrap_or_default(),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    assert!(!half.is_empty());
    let mut answer = Message::assistant("?");
    answer.reasoning_content = Some(half);
    world.registry.model("small").unwrap().chat(next_turn(answer)).await.unwrap();
    assert!(answer_that_was_sent(&world.other).get("reasoning_content").is_none());
}

#[tokio::test]
async fn reasoning_that_no_provider_gave_passes_and_so_does_what_was_given_before_a_restart() {
    let first = world().await;
    let answer = asked(&first, "fast", false).await;
    let second = world().await;
    second.registry.model("small").unwrap().chat(next_turn(answer.clone())).await.unwrap();
    assert_eq!(
        answer_that_was_sent(&second.other)["reasoning_content"],
        answer.reasoning_content.clone().unwrap()
    );
    let mut own = answer;
    own.reasoning_content = Some("an app's own".to_owned());
    first.registry.model("small").unwrap().chat(next_turn(own)).await.unwrap();
    assert_eq!(answer_that_was_sent(&first.other)["reasoning_content"], "an app's own");
}

#[tokio::test]
async fn providers_that_are_given_in_code_are_covered_too_under_the_names_they_have_here() {
    let deepseek = Sim::start().await.unwrap();
    let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
    let diary = seen.clone();
    let mine = MockProvider::answering(move |request| {
        diary.lock().unwrap().push(request);
        let message = json!({ "role": "assistant", "content": "x", "reasoning_content": "mine alone" });
        Response::json(&json!({ "choices": [{ "index": 0, "message": message }] }))
    });
    let registry = Registry::builder()
        .toml(format!("[providers.deepseek]\nbase_url = '{}'", deepseek.base_url()))
        .environment([])
        .api_key("deepseek", ApiKey::new(deepseek.key()).unwrap())
        .provider("mine", mine)
        .build()
        .unwrap();
    let flash = registry.model("deepseek/deepseek-flash").unwrap();
    let mine = registry.model("mine/small").unwrap();

    let answer = flash.chat(QUESTION).await.unwrap().message().unwrap().clone();
    let reply = mine.chat(next_turn(answer)).await.unwrap();
    let body: Value =
        serde_json::from_slice(&seen.lock().unwrap()[0].document().unwrap().to_bytes()).unwrap();
    assert!(body["messages"][1].get("reasoning_content").is_none(), "{body}");
    assert!(
        reply.head.adaptations[0].change.contains("`deepseek` thought it"),
        "{:?}",
        reply.head.adaptations
    );

    let answer = reply.message().unwrap().clone();
    let reply = flash.chat(next_turn(answer.clone())).await.unwrap();
    assert!(answer_that_was_sent(&deepseek).get("reasoning_content").is_none());
    assert!(reply.head.adaptations[0].change.contains("`mine` thought it"), "{:?}", reply.head.adaptations);
    mine.chat(next_turn(answer)).await.unwrap();
    let body: Value =
        serde_json::from_slice(&seen.lock().unwrap()[1].document().unwrap().to_bytes()).unwrap();
    assert_eq!(body["messages"][1]["reasoning_content"], "mine alone");
}
