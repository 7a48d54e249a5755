//! A stock async-openai client with no more than DeepSeek's base URL and key. It works, without the repairs: no
//! reasoning, no list of models, no status of many errors.
//!
//! `cargo run --example bare_config`

use async_openai::types::chat::{ChatCompletionRequestUserMessage, CreateChatCompletionRequestArgs};
use modelswitch::deepseek::DeepSeekConfig;
use modelswitch_sim::Sim;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example prints its answer")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Kept until the end: the simulator stops when it is dropped.
    let simulator;
    let config = match DeepSeekConfig::from_env() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("({error}: DeepSeek is SIMULATED on this machine)");
            simulator = Sim::start().await?;
            DeepSeekConfig::new(simulator.key())?.with_base_url(simulator.base_url())?
        }
    };
    let client = async_openai::Client::with_config(config);

    let request = CreateChatCompletionRequestArgs::default()
        .model("deepseek-flash")
        .messages([ChatCompletionRequestUserMessage::from("Say hello.").into()])
        .build()?;
    let reply = client.chat().create(request).await?;
    for choice in &reply.choices {
        println!("{}", choice.message.content.as_deref().unwrap_or_default());
    }
    Ok(())
}
