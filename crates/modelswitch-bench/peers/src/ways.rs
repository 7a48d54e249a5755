//! genai and rig, each by its own OpenAI-compatible client, as its documentation shows it.

use async_trait::async_trait;
use futures_util::StreamExt;
use genai::adapter::AdapterKind;
use genai::chat::{ChatMessage, ChatRequest, ChatStreamEvent};
use genai::resolver::{AuthData, Endpoint};
use genai::{ModelIden, ServiceTarget};
use modelswitch_bench::Failure;
use modelswitch_bench::ways::{Chunks, KEY, MODEL, Make, Way};
use rig_core::completion::CompletionRequest;
use rig_core::driver::Model;
use rig_core::providers::openai::OpenAIConfig;
use rig_core::providers::openai::wire::Chat;
use rig_core::streaming::{Item, StreamEvent};

/// The same names as in `benches/measured.rs`.
pub const WAYS: &[(&str, Make)] = &[("genai 0.7", genai), ("rig 0.44", rig)];

struct Genai {
    client: genai::Client,
    target: ServiceTarget,
}

fn genai(base: &str) -> Result<Box<dyn Way>, Failure> {
    let target = ServiceTarget {
        endpoint: Endpoint::from_owned(format!("{base}/")),
        auth: AuthData::from_single(KEY),
        model: ModelIden::new(AdapterKind::OpenAI, MODEL),
    };
    Ok(Box::new(Genai { client: genai::Client::new()?, target }))
}

#[async_trait]
impl Way for Genai {
    async fn ask(&self, prompt: String) -> Result<usize, Failure> {
        let request = ChatRequest::new(vec![ChatMessage::user(prompt)]);
        let answer = self.client.exec_chat(self.target.clone(), request, None).await?;
        Ok(answer.first_text().ok_or("no text")?.len())
    }

    async fn open(&self, prompt: String) -> Result<Chunks, Failure> {
        let request = ChatRequest::new(vec![ChatMessage::user(prompt)]);
        let events = self.client.exec_chat_stream(self.target.clone(), request, None).await?.stream;
        let length = |event| match event {
            ChatStreamEvent::Chunk(chunk) | ChatStreamEvent::ReasoningChunk(chunk) => chunk.content.len(),
            _ => 0,
        };
        Ok(events.map(move |event| Ok(length(event?))).boxed())
    }
}

struct Rig(Model<Chat>);

fn rig(base: &str) -> Result<Box<dyn Way>, Failure> {
    Ok(Box::new(Rig(OpenAIConfig::new(KEY).with_base_url(base).client().chat(MODEL))))
}

#[async_trait]
impl Way for Rig {
    async fn ask(&self, prompt: String) -> Result<usize, Failure> {
        Ok(self.0.call(CompletionRequest::new(prompt)).await?.text().len())
    }

    async fn open(&self, prompt: String) -> Result<Chunks, Failure> {
        let events = self.0.stream(CompletionRequest::new(prompt))?;
        let length = |item| match item {
            Item::Event(StreamEvent::Text { text, .. } | StreamEvent::Reasoning { text, .. }) => text.len(),
            _ => 0,
        };
        Ok(events.map(move |event| Ok(length(event?))).boxed())
    }
}
