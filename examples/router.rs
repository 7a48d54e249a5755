//! An app goes on while one of its providers fails: the file says who answers instead.
//!
//! `cargo run --example router`

use async_openai::traits::RequestOptionsBuilder;
use async_openai::types::chat::{ChatCompletionRequestUserMessage, CreateChatCompletionRequestArgs};
use modelswitch::{Capture, Client, Registry};
use modelswitch_sim::{Personality, Script, Sim};

/// The app. It knows async-openai and a name, and nothing of providers; the capture is only to show who answered.
async fn app(client: &Client, capture: &Capture, model: &str) -> Result<String, Box<dyn std::error::Error>> {
    let request = CreateChatCompletionRequestArgs::default()
        .model(model)
        .messages([ChatCompletionRequestUserMessage::from("Who are you?").into()])
        .build()?;
    client.chat().headers(capture.headers()).create(request).await?;
    let head = capture.head().unwrap_or_default();
    let failed: Vec<String> = head
        .failures
        .iter()
        .map(|failed| {
            format!(", after {} failed ({})", failed.provider.as_deref().unwrap_or("?"), failed.kind)
        })
        .collect();
    Ok(format!("{} answered{}", head.provider.as_deref().unwrap_or("?"), failed.concat()))
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example prints its answer")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("Both providers are SIMULATED on this machine.");
    let first = Sim::builder().personality(Personality::OpenAi).start().await?;
    let second = Sim::builder().personality(Personality::OpenAi).start().await?;
    let file =
        include_str!("router.toml").replace("$FIRST", first.base_url()).replace("$SECOND", second.base_url());
    let registry = Registry::builder()
        .toml(file)
        .api_key("first", modelswitch::ApiKey::new(first.key())?)
        .api_key("second", modelswitch::ApiKey::new(second.key())?)
        .build()?;
    let client = registry.client()?;

    println!("smart: {}", app(&client, &registry.capture(), "smart").await?);
    // While the app runs, its first provider has too much to do.
    first.script(Script::status(503).times(2));
    for model in ["smart", "spread", "smart", "spread"] {
        println!("{model}: {}", app(&client, &registry.capture(), model).await?);
    }
    Ok(())
}
