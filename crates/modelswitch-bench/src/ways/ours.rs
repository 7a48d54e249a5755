//! The doors, over a service without a profile, bare and with every layer that is always on for somebody.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use modelswitch_layers::{Breaker, Concurrency, Cost, Log, Money, RateLimit, Retry, Stack, Timeout};
use modelswitch_openai::{HttpService, OpenAiProvider, Profile};
use modelswitch_provider::{ApiKey, ChatRequest, Provider, ProviderExt, Usage};

use super::stock::App;
use super::{Chunks, KEY, MODEL, Way};
use crate::Failure;

fn provider(base: &str) -> Result<Arc<dyn Provider>, Failure> {
    let profile = Profile::compatible("bench", base);
    Ok(Arc::new(OpenAiProvider::builder(profile).api_key(ApiKey::new(KEY)?).build()?))
}

/// The order is the one of the layers' guide; the limits are never met.
fn with_layers(inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
    let price = |_: &str, _: &str, usage: &Usage, _| Some(Money::new(usage.total_tokens, "USD"));
    Stack::new()
        .layer(Log::new())
        .layer(Cost::new(price))
        .layer(RateLimit::new().requests(1_000_000_000))
        .layer(Concurrency::new(100_000))
        .layer(Breaker::new())
        .layer(Retry::new())
        .layer(Timeout::new())
        .over(inner)
}

pub(super) fn door_one(base: &str) -> Result<Box<dyn Way>, Failure> {
    Ok(Box::new(App(HttpService::new(provider(base)?).client()?)))
}

pub(super) fn door_one_with_layers(base: &str) -> Result<Box<dyn Way>, Failure> {
    Ok(Box::new(App(HttpService::new(with_layers(provider(base)?)).client()?)))
}

pub(super) fn door_two(base: &str) -> Result<Box<dyn Way>, Failure> {
    Ok(Box::new(Library(provider(base)?)))
}

pub(super) fn door_two_with_layers(base: &str) -> Result<Box<dyn Way>, Failure> {
    Ok(Box::new(Library(with_layers(provider(base)?))))
}

struct Library(Arc<dyn Provider>);

#[async_trait]
impl Way for Library {
    async fn ask(&self, prompt: String) -> Result<usize, Failure> {
        Ok(self.0.chat(ChatRequest::user(prompt).model(MODEL)).await?.text().len())
    }

    async fn open(&self, prompt: String) -> Result<Chunks, Failure> {
        let chunks = self.0.chat_stream(ChatRequest::user(prompt).model(MODEL)).await?;
        let length = |chunk: modelswitch_provider::ChatChunk| {
            chunk.text().len() + chunk.reasoning().map_or(0, str::len)
        };
        Ok(chunks.map(move |chunk| Ok(length(chunk?))).boxed())
    }
}
