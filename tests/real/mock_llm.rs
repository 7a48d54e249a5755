//! mock-llm, whose answers have no id, role, index, object, time, finish reason or usage.

use futures_util::StreamExt;
use modelswitch::ErrorKind;
use modelswitch::prelude::*;
use modelswitch::provider::ProviderExt;

use super::{Server, chunks, short, text};

fn mock_llm() -> Option<Server> {
    Server::find("mock_llm", "openai-compatible")
}

#[tokio::test]
#[ignore = "needs real servers: run .ci/real-servers"]
async fn an_answer_that_lacks_nearly_everything_is_whole_at_both_doors() {
    let Some(server) = mock_llm() else { return };
    let reply = server.client().chat().create(short("a dirty upstream")).await.unwrap();
    assert_eq!(reply.choices[0].message.content.as_deref(), Some("a dirty upstream"));
    assert!(!reply.id.is_empty() && !reply.model.is_empty() && reply.usage.is_none());
    assert_eq!(server.model().chat("a dirty upstream").await.unwrap().text(), "a dirty upstream");
}

#[tokio::test]
#[ignore = "needs real servers: run .ci/real-servers"]
async fn a_stream_that_lacks_nearly_everything_is_whole_at_both_doors() {
    let Some(server) = mock_llm() else { return };
    let chunks = chunks(&server.client(), short("a dirty upstream")).await;
    assert_eq!(text(&chunks), "a dirty upstream");
    assert!(chunks.iter().all(|chunk| !chunk.id.is_empty() && !chunk.model.is_empty()));
    let whole = server.model().chat_stream("a dirty upstream").await.unwrap().completion().await.unwrap();
    assert_eq!(whole.text(), "a dirty upstream");
}

#[tokio::test]
#[ignore = "needs real servers: run .ci/real-servers"]
async fn an_error_that_is_streamed_under_200_is_an_error_at_both_doors() {
    let Some(server) = mock_llm() else { return };
    let error = match server.client().chat().create_stream(short("too many")).await {
        Ok(stream) => stream.collect::<Vec<_>>().await.into_iter().find_map(Result::err).unwrap(),
        Err(error) => error,
    };
    assert_eq!(error.provider_error().unwrap().kind(), ErrorKind::RateLimited);
    let error = match server.model().chat_stream("too many").await {
        Ok(stream) => stream.completion().await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    let error = server.model().chat("too many").await.unwrap_err();
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::RateLimited, 429));
}

#[tokio::test]
#[ignore = "needs real servers: run .ci/real-servers"]
async fn a_list_of_bare_names_is_a_list_of_models_at_both_doors() {
    let Some(server) = mock_llm() else { return };
    let listed = server.client().models().list().await.unwrap();
    assert!(listed.data.iter().any(|model| model.id.contains("echo")), "{listed:?}");
    assert_eq!(server.registry.provider("real").unwrap().models().await.unwrap()[0].id, "echo");
}
