use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use serde::de::DeserializeOwned;

use crate::chunk_reader::ChunkReader;
use crate::stream::read_json;
use crate::{
    Body, ChatChunk, ChatCompletion, ChatRequest, Collector, Completion, CompletionRequest, EmbeddingRequest,
    Embeddings, Error, Event, EventStream, Head, Model, ModelList, Provider, Request, Response, Result,
};

/// What callers enjoy: typed calls on any [`Provider`], on `dyn Provider` too.
///
/// ```
/// use modelswitch_provider::{ChatRequest, Provider, ProviderExt, Result};
///
/// async fn summarize(llm: &dyn Provider, text: &str) -> Result<String> {
///     llm.ask(format!("One sentence: {text}")).await
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # use modelswitch_provider::mock::MockProvider;
/// let llm = MockProvider::reply("It is short.");
/// assert_eq!(summarize(&llm, "…").await?, "It is short.");
/// # Ok::<(), modelswitch_provider::Error>(()) }).unwrap();
/// ```
#[async_trait]
pub trait ProviderExt: Provider {
    /// Asks one question and gives back the text of the answer.
    ///
    /// # Errors
    /// As [`send`](Provider::send).
    async fn ask(&self, question: impl Into<String> + Send) -> Result<String> {
        Ok(self.chat(ChatRequest::user(question)).await?.text())
    }

    /// A chat completion, whole.
    ///
    /// # Errors
    /// As [`send`](Provider::send), and [`Decode`](crate::ErrorKind::Decode) for an answer of another shape.
    async fn chat(&self, request: impl Into<ChatRequest> + Send) -> Result<ChatCompletion> {
        let mut request = request.into();
        request.stream = None;
        let response = self.send(request.into_request()?).await?;
        if let Body::Events(_) = response.body {
            return ChatStream::new(response)?.completion().await;
        }
        let (head, body) = response.into_json()?;
        let mut completion: ChatCompletion = read(&head, "the chat completion", &body)?;
        completion.head = head;
        Ok(completion)
    }

    /// A chat completion as a stream of chunks.
    ///
    /// # Errors
    /// As [`send`](Provider::send); the stream's own failures are its items.
    async fn chat_stream(&self, request: impl Into<ChatRequest> + Send) -> Result<ChatStream> {
        let mut request = request.into();
        request.stream = Some(true);
        ChatStream::new(self.send(request.into_request()?).await?)
    }

    /// Goes on with a text (the older completions endpoint).
    ///
    /// # Errors
    /// As [`chat`](Self::chat).
    async fn complete(&self, mut request: CompletionRequest) -> Result<Completion> {
        request.extra.remove("stream");
        let response = self.send(request.into_request()?).await?;
        if let Body::Events(_) = response.body {
            return CompletionStream::new(response)?.completion().await;
        }
        let (head, body) = response.into_json()?;
        let mut completion: Completion = read(&head, "the completion", &body)?;
        completion.head = head;
        Ok(completion)
    }

    /// Goes on with a text, as a stream of chunks.
    ///
    /// # Errors
    /// As [`send`](Provider::send); the stream's own failures are its items.
    async fn complete_stream(&self, request: CompletionRequest) -> Result<CompletionStream> {
        let request = request.set("stream", true).into_request()?;
        CompletionStream::new(self.send(request).await?)
    }

    /// Vectors for texts.
    ///
    /// # Errors
    /// As [`chat`](Self::chat).
    async fn embed(&self, request: EmbeddingRequest) -> Result<Embeddings> {
        let (head, body) = self.send(request.into_request()?).await?.into_json()?;
        read(&head, "the embeddings", &body)
    }

    /// The models that the provider offers now.
    ///
    /// # Errors
    /// As [`chat`](Self::chat).
    async fn models(&self) -> Result<Vec<Model>> {
        let (head, body) = self.send(Request::models()).await?.into_json()?;
        Ok(read::<ModelList>(&head, "the list of models", &body)?.data)
    }
}

impl<P: Provider + ?Sized> ProviderExt for P {}

/// A streamed chat completion: chunks as they come, or the completion they amount to.
///
/// It ends properly (`None`), or with an `Err`: never quietly half-way. Dropping it cancels the call.
///
/// ```
/// # use modelswitch_provider::{ChatRequest, ProviderExt, Result, mock::MockProvider};
/// use futures_util::StreamExt;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let llm = MockProvider::reply("hello there");
/// let mut stream = llm.chat_stream("hi").await?;
/// let mut text = String::new();
/// while let Some(chunk) = stream.next().await {
///     text += chunk?.text();
/// }
/// assert_eq!(text, "hello there");
/// # Ok::<(), modelswitch_provider::Error>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct ChatStream {
    head: Head,
    events: EventStream,
    reader: ChunkReader,
}

impl ChatStream {
    /// Reads a response as a chat stream. A whole completion counts as a stream of one chunk.
    ///
    /// # Errors
    /// [`Decode`](crate::ErrorKind::Decode) when it is neither.
    pub fn new(response: Response) -> Result<Self> {
        let Response { head, body } = response;
        let events = match body {
            Body::Events(events) => events,
            Body::Json(body) => {
                let whole: ChatCompletion = read(&head, "the chat completion", &body)?;
                let chunk = crate::document::to_json(&whole.into_chunk())?;
                EventStream::new(stream::iter([Ok(Event::new(chunk))]))
            }
            Body::Other(_) => {
                return Err(head.blame(Error::decode("the answer is neither JSON nor a stream of events")));
            }
        };
        Ok(Self { head, events, reader: ChunkReader::default() })
    }

    /// Who answers.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Waits for the rest and puts it together.
    ///
    /// # Errors
    /// What the stream fails with.
    pub async fn completion(mut self) -> Result<ChatCompletion> {
        let mut collector = Collector::new();
        while let Some(chunk) = self.next().await {
            collector.push(chunk?);
        }
        let mut completion = collector.finish();
        completion.head = self.head;
        Ok(completion)
    }
}

impl Stream for ChatStream {
    type Item = Result<ChatChunk>;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let event = std::task::ready!(Pin::new(&mut this.events).poll_next(cx));
        let chunk = event.map(|event| event.and_then(|event| this.reader.read(&event)));
        Poll::Ready(chunk.map(|chunk| chunk.map_err(|error| this.head.blame(error))))
    }
}

/// A streamed completion of a text: chunks as they come, or the completion they amount to.
///
/// It ends properly (`None`), or with an `Err`: never quietly half-way. Dropping it cancels the call.
///
/// ```
/// # use modelswitch_provider::{CompletionRequest, ProviderExt, Result, mock::{MockProvider, events}};
/// # use serde_json::json;
/// use futures_util::StreamExt;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let chunk = |text: &str| Ok(json!({ "choices": [{ "index": 0, "text": text }] }));
/// # let llm = MockProvider::script([Ok(events([chunk("a, "), chunk("b")]))]);
/// let mut stream = llm.complete_stream(CompletionRequest::new("fn add(").suffix(") {}")).await?;
/// let mut text = String::new();
/// while let Some(chunk) = stream.next().await {
///     text += chunk?.text();
/// }
/// assert_eq!(text, "a, b");
/// # Ok::<(), modelswitch_provider::Error>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct CompletionStream {
    head: Head,
    events: EventStream,
}

impl CompletionStream {
    /// Reads a response as a stream of completion chunks. A whole completion counts as a stream of one chunk.
    ///
    /// # Errors
    /// [`Decode`](crate::ErrorKind::Decode) when it is neither.
    pub fn new(response: Response) -> Result<Self> {
        let Response { head, body } = response;
        let events = match body {
            Body::Events(events) => events,
            // A chunk has the form of the whole.
            Body::Json(body) => EventStream::new(stream::iter([Ok(Event::new(body))])),
            Body::Other(_) => {
                return Err(head.blame(Error::decode("the answer is neither JSON nor a stream of events")));
            }
        };
        Ok(Self { head, events })
    }

    /// Who answers.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Waits for the rest and puts it together.
    ///
    /// # Errors
    /// What the stream fails with.
    pub async fn completion(mut self) -> Result<Completion> {
        let mut completion = Completion::default();
        while let Some(chunk) = self.next().await {
            completion.push(chunk?);
        }
        completion.head = self.head;
        Ok(completion)
    }
}

impl Stream for CompletionStream {
    type Item = Result<Completion>;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let event = std::task::ready!(Pin::new(&mut self.events).poll_next(cx));
        Poll::Ready(
            event.map(|event| event.and_then(|event| event.json()).map_err(|error| self.head.blame(error))),
        )
    }
}

fn read<T: DeserializeOwned>(head: &Head, what: &str, body: &Bytes) -> Result<T> {
    read_json(body)
        .map_err(|error| head.blame(Error::decode_json(what, &error).with_upstream_body(body.clone())))
}

#[cfg(all(test, feature = "mock"))]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::mock::{MockProvider, events};
    use serde_json::{Value, json};

    fn chunk(text: &str) -> Result<Value> {
        Ok(json!({ "id": "1", "choices": [{ "index": 0, "text": text }] }))
    }

    #[tokio::test]
    async fn a_completion_comes_whole_or_streamed_whichever_way_the_service_sends_it() {
        let whole = || Response::json(&chunk("a, b").unwrap());
        let pieces = || Ok(events([chunk("a, "), chunk("b")]));
        let llm = MockProvider::script([whole(), pieces(), whole(), pieces()]);
        let request = || CompletionRequest::new("fn add(").set("stream", true);
        for _ in 0..2 {
            assert_eq!(llm.complete(request()).await.unwrap().text(), "a, b");
        }
        for _ in 0..2 {
            let completion = llm.complete_stream(request()).await.unwrap().completion().await.unwrap();
            assert_eq!((completion.text(), completion.id.as_str()), ("a, b", "1"));
        }
    }

    #[tokio::test]
    async fn a_completion_that_was_cut_is_an_error_that_says_whose_it_was() {
        let llm = MockProvider::script([Ok(events([chunk("a"), Err(Error::interrupted("cut"))]))]);
        let stream = llm.complete_stream(CompletionRequest::new("x")).await.unwrap();
        let error = stream.completion().await.unwrap_err();
        assert_eq!((error.kind(), error.provider()), (ErrorKind::Interrupted, Some("mock")));
    }

    #[tokio::test]
    async fn the_wish_for_a_stream_is_the_methods_and_not_the_requests() {
        let llm = MockProvider::answering(|request| {
            assert!(!request.is_stream());
            Response::json(&chunk("a").unwrap())
        });
        assert!(llm.complete(CompletionRequest::new("x").set("stream", true)).await.is_ok());
    }
}
