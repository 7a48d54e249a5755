//! The same call to two providers: only a word of the configuration changes.
//!
//! `cargo run --example switch_by_config`

use async_openai::types::chat::{ChatCompletionRequestUserMessage, CreateChatCompletionRequestArgs};
use modelswitch::{Client, Registry};
use modelswitch_sim::{Personality, Sim};

/// The app. It knows async-openai and an alias, and nothing of providers.
async fn app(client: &Client) -> Result<String, Box<dyn std::error::Error>> {
    let request = CreateChatCompletionRequestArgs::default()
        .model("assistant")
        .messages([ChatCompletionRequestUserMessage::from("Who are you?").into()])
        .build()?;
    let reply = client.chat().create(request).await?;
    Ok(reply.choices.into_iter().next().and_then(|choice| choice.message.content).unwrap_or_default())
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example prints its answer")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Two services that are always there: simulated ones. Yours would be `[providers.deepseek]` and `[providers.openai]`,
    // with their keys in DEEPSEEK_API_KEY and OPENAI_API_KEY.
    println!("Both providers are SIMULATED on this machine.");
    let deepseek = Sim::start().await?;
    let other = Sim::builder().personality(Personality::OpenAi).start().await?;
    let providers = format!(
        "[providers.deepseek]\nbase_url = \"{}\"\n\n[providers.other]\nprofile = \"openai-compatible\"\nbase_url = \"{}\"\n\n\
         [models]\n",
        deepseek.base_url(),
        other.base_url()
    );

    for line in ["assistant = \"deepseek/deepseek-flash\"", "assistant = \"other/sim-small\""] {
        let registry = Registry::builder()
            .toml(format!("{providers}{line}\n"))
            .api_key("deepseek", modelswitch::ApiKey::new(deepseek.key())?)
            .api_key("other", modelswitch::ApiKey::new(other.key())?)
            .build()?;
        println!("\n{line}\n  {}", app(&registry.client()?).await?);
    }
    Ok(())
}
