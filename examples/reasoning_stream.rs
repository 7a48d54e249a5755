//! A stream with its reasoning, through async-openai's own types, and an error from the middle of it.
//!
//! `cargo run --example reasoning_stream`

use std::io::Write;

use async_openai::types::chat::{ChatCompletionRequestUserMessage, CreateChatCompletionRequestArgs};
use futures_util::StreamExt;
use modelswitch::prelude::*;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example prints its answer")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let services = modelswitch_examples::services().await?;
    let client = services.registry.client()?;

    let request = CreateChatCompletionRequestArgs::default()
        .model(services.registry.default_model().unwrap_or_default())
        .messages([ChatCompletionRequestUserMessage::from("Which is larger, 9.11 or 9.8?").into()])
        .build()?;
    let mut stream = client.chat().create_stream(request).await?;

    while let Some(chunk) = stream.next().await {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => {
                // A stream never ends half-way unseen: what broke it comes as an error with its kind and a hint.
                if let Some(error) = error.provider_error() {
                    eprintln!("\n{}", error.report());
                }
                return Err(error.into());
            }
        };
        if let Some(reasoning) = chunk.reasoning_content() {
            eprint!("{reasoning}");
        }
        for choice in &chunk.choices {
            print!("{}", choice.delta.content.as_deref().unwrap_or_default());
        }
        std::io::stdout().flush()?;
    }
    println!();
    Ok(())
}
