//! Servers that speak the OpenAI API and that nobody here wrote, through door 1, door 2 and the program.
//!
//! `.ci/real-servers` installs them, starts them, says in `REAL_…` variables where they listen, and runs this. A test whose
//! server isn't there passes with a word. The text of so small a model means nothing, so nothing is asked of it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails loudly")]

#[path = "real/aimock.rs"]
mod aimock;
#[path = "real/litellm.rs"]
mod litellm;
#[path = "real/llamacpp.rs"]
mod llamacpp;
#[path = "real/mock_llm.rs"]
mod mock_llm;
#[path = "real/program.rs"]
mod program;
#[path = "real/steady.rs"]
mod steady;
#[path = "real/thoughts_and_calls.rs"]
mod thoughts_and_calls;

use std::sync::Arc;

use async_openai::types::chat::{
    ChatCompletionStreamOptions, ChatCompletionTool, ChatCompletionTools, CreateChatCompletionRequest,
    CreateChatCompletionStreamResponse, FunctionObjectArgs,
};
use futures_util::StreamExt;
use modelswitch::provider::{Provider, Tool};
use modelswitch::{ApiKey, Client, Registry};
use modelswitch_tests::ask;
use serde_json::{Value, json};

/// One server behind a registry, as `real/…`.
struct Server {
    address: String,
    key: Option<String>,
    registry: Registry,
}

impl Server {
    /// `None`, and a word, where it isn't there.
    fn find(name: &str, profile: &str) -> Option<Self> {
        #[expect(clippy::disallowed_methods, reason = "the script says there where its servers listen")]
        let variable = |name: &str| std::env::var(format!("REAL_{}", name.to_uppercase())).ok();
        let Some(address) = variable(name) else {
            eprintln!("skipped: {name} isn't there");
            return None;
        };
        let key = variable(&format!("{name}_key"));
        let registry = registry(&format!("{address}/v1"), profile, key.as_deref());
        Some(Self { address, key, registry })
    }

    fn client(&self) -> Client {
        self.registry.client().unwrap()
    }

    fn model(&self) -> Arc<dyn Provider> {
        self.registry.model("real/smol").unwrap()
    }
}

/// A registry that knows one provider, `real`, and tries once.
fn registry(base_url: &str, profile: &str, key: Option<&str>) -> Registry {
    let text =
        format!("retry.attempts = 1\n[providers.real]\nprofile = '{profile}'\nbase_url = '{base_url}'\n");
    let builder = Registry::builder().toml(text).environment([]);
    let builder = match key {
        Some(key) => builder.api_key("real", ApiKey::new(key).unwrap()),
        None => builder,
    };
    builder.build().unwrap()
}

/// A short question, for a short answer that is the same each time.
fn short(text: &str) -> CreateChatCompletionRequest {
    let mut request = ask("real/smol", text);
    request.max_completion_tokens = Some(12);
    request.temperature = Some(0.0);
    request
}

/// The same as a stream that ends with usage.
fn counted(mut request: CreateChatCompletionRequest) -> CreateChatCompletionRequest {
    request.stream_options =
        Some(ChatCompletionStreamOptions { include_usage: Some(true), include_obfuscation: None });
    request
}

async fn chunks(
    client: &Client,
    request: CreateChatCompletionRequest,
) -> Vec<CreateChatCompletionStreamResponse> {
    let stream = client.chat().create_stream(request).await.unwrap();
    stream.map(Result::unwrap).collect().await
}

fn text(chunks: &[CreateChatCompletionStreamResponse]) -> String {
    chunks.iter().flat_map(|chunk| &chunk.choices).filter_map(|choice| choice.delta.content.clone()).collect()
}

fn weather_parameters() -> Value {
    // One place alone, so that a grammar leads the smallest model to it.
    let place = json!({ "type": "string", "enum": ["Rome"] });
    json!({ "type": "object", "properties": { "place": place }, "required": ["place"] })
}

/// A tool, as door 1 takes it.
fn weather() -> ChatCompletionTools {
    let function =
        FunctionObjectArgs::default().name("weather").parameters(weather_parameters()).build().unwrap();
    ChatCompletionTools::Function(ChatCompletionTool { function })
}

/// The same, as door 2 takes it.
fn weather_tool() -> Tool {
    Tool::function("weather", "The weather at a place", weather_parameters())
}
