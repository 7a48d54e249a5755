//! LiteLLM's proxy, which is too large for every run: `.ci/real-servers --litellm`.

use modelswitch::ErrorKind;
use modelswitch::provider::ProviderExt;

use super::{Server, chunks, registry, short, text};

#[tokio::test]
#[ignore = "needs real servers: run .ci/real-servers --litellm"]
async fn a_proxy_answers_at_both_doors_and_refuses_what_it_does_not_know() {
    let Some(server) = Server::find("litellm", "openai-compatible") else { return };
    let reply = server.client().chat().create(short("hello")).await.unwrap();
    assert_eq!(reply.choices[0].message.content.as_deref(), Some("Hello from a proxy."));
    assert_eq!(text(&chunks(&server.client(), short("hello")).await), "Hello from a proxy.");
    assert_eq!(server.model().chat("hello").await.unwrap().text(), "Hello from a proxy.");

    let error = server.registry.model("real/nobody").unwrap().chat("hello").await.unwrap_err();
    assert!(error.status().unwrap().is_client_error(), "{}", error.report());
    let refused = registry(&format!("{}/v1", server.address), "openai-compatible", Some("sk-not-this-one"));
    let error = refused.model("real/smol").unwrap().chat("hello").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication, "{}", error.report());
}
