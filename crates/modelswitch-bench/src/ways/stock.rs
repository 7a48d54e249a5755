//! async-openai as it comes, and what an app does with it; door 1 is asked by the same code.

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::types::chat::{
    ChatCompletionRequestUserMessage, CreateChatCompletionRequest, CreateChatCompletionRequestArgs,
    CreateChatCompletionResponse, CreateChatCompletionStreamResponse,
};
use async_trait::async_trait;
use futures_util::StreamExt;

use super::{Chunks, KEY, MODEL, Way};
use crate::Failure;

/// An app on async-openai, whatever its client stands on.
pub(super) struct App(pub(super) Client<OpenAIConfig>);

pub(super) fn make(base: &str) -> Result<Box<dyn Way>, Failure> {
    Ok(Box::new(App(Client::with_config(OpenAIConfig::new().with_api_base(base).with_api_key(KEY)))))
}

pub(super) fn request(prompt: String) -> Result<CreateChatCompletionRequest, Failure> {
    let message = ChatCompletionRequestUserMessage::from(prompt);
    Ok(CreateChatCompletionRequestArgs::default().model(MODEL).messages([message.into()]).build()?)
}

pub(super) fn text_of(answer: &CreateChatCompletionResponse) -> usize {
    answer.choices.first().and_then(|choice| choice.message.content.as_ref()).map_or(0, String::len)
}

pub(super) fn text_of_chunk(chunk: &CreateChatCompletionStreamResponse) -> usize {
    chunk.choices.first().and_then(|choice| choice.delta.content.as_ref()).map_or(0, String::len)
}

#[async_trait]
impl Way for App {
    async fn ask(&self, prompt: String) -> Result<usize, Failure> {
        Ok(text_of(&self.0.chat().create(request(prompt)?).await?))
    }

    async fn open(&self, prompt: String) -> Result<Chunks, Failure> {
        let chunks = self.0.chat().create_stream(request(prompt)?).await?;
        Ok(chunks.map(|chunk| Ok(text_of_chunk(&chunk?))).boxed())
    }
}
