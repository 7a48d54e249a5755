//! Door 1, before and after: an app on async-openai that talks to whatever the configuration names.
//!
//! `cargo run --example quickstart`

use async_openai::types::chat::{ChatCompletionRequestUserMessage, CreateChatCompletionRequestArgs};
use modelswitch::prelude::*;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example prints its answer")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let services = modelswitch_examples::services().await?;

    // Before:   let client = async_openai::Client::new();
    // After:    let client = modelswitch::client()?;
    // Here the registry is asked, so that the example also runs where there is no key.
    let client = services.registry.client()?;

    let model = services.registry.default_model().unwrap_or_default();
    let request = CreateChatCompletionRequestArgs::default()
        .model(model)
        .messages([ChatCompletionRequestUserMessage::from("Which is larger, 9.11 or 9.8?").into()])
        .build()?;

    let capture = services.registry.capture();
    let reply = client.chat().headers(capture.headers()).create(request).await?;

    // The types are async-openai's own; reasoning is read through an extension trait.
    if let Some(reasoning) = reply.reasoning_content() {
        eprintln!("thought: {reasoning}");
    }
    for choice in &reply.choices {
        println!("{}", choice.message.content.as_deref().unwrap_or_default());
    }
    if let Some(head) = capture.head() {
        eprintln!("answered by {} at try {}", head.provider.as_deref().unwrap_or("?"), head.attempts());
    }
    Ok(())
}
