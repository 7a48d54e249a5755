//! reqwest and async-openai's types, with the least in between: no errors of services, no reasoning, no cut streams.

use async_openai::types::chat::{CreateChatCompletionResponse, CreateChatCompletionStreamResponse};
use async_trait::async_trait;
use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use memchr::memmem;

use super::bare::Reqwest;
use super::stock::{request, text_of, text_of_chunk};
use super::{Chunks, Way};
use crate::Failure;

struct Typed(Reqwest);

pub(super) fn make(base: &str) -> Result<Box<dyn Way>, Failure> {
    Ok(Box::new(Typed(Reqwest::new(base))))
}

#[async_trait]
impl Way for Typed {
    async fn ask(&self, prompt: String) -> Result<usize, Failure> {
        let body = serde_json::to_vec(&request(prompt)?)?;
        let bytes = self.0.send(body).await?.bytes().await?;
        Ok(text_of(&serde_json::from_slice::<CreateChatCompletionResponse>(&bytes)?))
    }

    async fn open(&self, prompt: String) -> Result<Chunks, Failure> {
        let mut request = request(prompt)?;
        request.stream = Some(true);
        let bytes = self.0.send(serde_json::to_vec(&request)?).await?.bytes_stream();
        Ok(decoded(bytes).boxed())
    }
}

fn decoded(
    bytes: impl Stream<Item = reqwest::Result<Bytes>> + Send + Unpin,
) -> impl Stream<Item = Result<usize, Failure>> + Send {
    stream::try_unfold((bytes, BytesMut::new()), |(mut bytes, mut read)| async move {
        loop {
            if let Some(end) = memmem::find(&read, b"\n\n") {
                let event = read.split_to(end);
                read.advance(2);
                let data = event.strip_prefix(b"data: ").ok_or("not an event")?;
                if data == b"[DONE]" {
                    return Ok(None);
                }
                let chunk: CreateChatCompletionStreamResponse = serde_json::from_slice(data)?;
                return Ok(Some((text_of_chunk(&chunk), (bytes, read))));
            }
            read.extend_from_slice(&bytes.next().await.ok_or("the stream was cut")??);
        }
    })
}
