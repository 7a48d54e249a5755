//! What a case works with: the provider, the service behind it, and short ways to say what is expected.

use std::fmt::Debug;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use modelswitch_provider::{
    ChatChunk, ChatCompletion, ChatRequest, ChatStream, Error, ErrorKind, Message, Provider, ProviderExt,
};
use serde_json::{Value, json};

use super::{Build, Capabilities, Upstream};
use crate::{Recorded, Script, Sim};

/// Nothing, or what was expected and what was seen.
pub(super) type Verdict = Result<(), String>;

pub(super) struct Stage {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) can: Capabilities,
    pub(super) patience: Duration,
    service: Option<(Sim, Arc<Build>)>,
}

impl Stage {
    pub(super) fn over(sim: Sim, build: Arc<Build>, can: Capabilities, patience: Duration) -> Self {
        let upstream = Upstream { base_url: sim.base_url().to_owned(), key: sim.key().to_owned() };
        Self { provider: build(&upstream), can, patience, service: Some((sim, build)) }
    }

    pub(super) fn without_service(
        provider: Arc<dyn Provider>,
        can: Capabilities,
        patience: Duration,
    ) -> Self {
        Self { provider, can, patience, service: None }
    }

    /// The service; cases that ask for it are skipped where there is none.
    pub(super) fn sim(&self) -> Result<&Sim, String> {
        self.service
            .as_ref()
            .map(|(sim, _)| sim)
            .ok_or_else(|| "this case must control the service, and there is none".to_owned())
    }

    pub(super) fn has_service(&self) -> bool {
        self.service.is_some()
    }

    pub(super) fn key(&self) -> &str {
        self.service.as_ref().map(|(sim, _)| sim.key()).unwrap_or_default()
    }

    pub(super) fn without_key(&self, text: &str) -> String {
        match self.key() {
            "" => text.to_owned(),
            key => text.replace(key, "[key]"),
        }
    }

    /// Another provider of the same making.
    pub(super) fn provider_at(&self, base_url: String, key: &str) -> Result<Arc<dyn Provider>, String> {
        let (_, build) =
            self.service.as_ref().ok_or("this case must control the service, and there is none")?;
        Ok(build(&Upstream { base_url, key: key.to_owned() }))
    }

    /// Queues an answer of the service.
    pub(super) fn script(&self, script: Script) -> Verdict {
        self.sim()?.script(script);
        Ok(())
    }

    /// A question to the usual model.
    pub(super) fn ask(&self, text: impl Into<String>) -> ChatRequest {
        ChatRequest::user(text).model(&self.can.model)
    }

    /// The service's requests so far.
    pub(super) fn sent(&self) -> Result<Vec<Recorded>, String> {
        Ok(self.sim()?.requests())
    }

    /// The one request that the service got.
    pub(super) fn one_sent(&self) -> Result<Recorded, String> {
        let mut sent = self.sent()?;
        match (sent.pop(), sent.len()) {
            (Some(one), 0) => Ok(one),
            (Some(_), more) => Err(format!("expected one request to the service, it got {}", more + 1)),
            (None, _) => Err("expected one request to the service, it got none".to_owned()),
        }
    }

    /// The body of that request.
    pub(super) fn one_body(&self) -> Result<Value, String> {
        self.one_sent().map(|request| request.json())
    }

    /// Waits, but not for ever.
    pub(super) async fn within<T>(&self, what: &str, future: impl Future<Output = T>) -> Result<T, String> {
        tokio::time::timeout(self.patience, future).await.map_err(|_| {
            format!("expected {what}, got nothing within {:?} (set by `Contract::patience`)", self.patience)
        })
    }

    /// A whole answer.
    pub(super) async fn chat(&self, request: ChatRequest) -> Result<ChatCompletion, String> {
        self.within("an answer", self.provider.chat(request))
            .await?
            .map_err(|error| unexpected("an answer", &error))
    }

    /// The error in place of an answer.
    pub(super) async fn error(&self, request: ChatRequest) -> Result<Error, String> {
        match self.within("an error", self.provider.chat(request)).await? {
            Ok(_) => Err("expected an error, got a whole answer".to_owned()),
            Err(error) => Ok(error),
        }
    }

    /// A stream that has begun.
    pub(super) async fn stream(&self, request: ChatRequest) -> Result<ChatStream, String> {
        let begun = self.within("a stream", self.provider.chat_stream(request)).await?;
        begun.map_err(|error| unexpected("a stream", &error))
    }

    /// A stream to its proper end.
    pub(super) async fn chunks(&self, request: ChatRequest) -> Result<Vec<ChatChunk>, String> {
        let (chunks, error) = self.drained(request).await?;
        match error {
            Some(error) => Err(unexpected("the stream to its end", &error)),
            None => Ok(chunks),
        }
    }

    /// A stream to whatever end it has. An error in place of the whole stream counts as one right at its beginning.
    pub(super) async fn drained(
        &self,
        request: ChatRequest,
    ) -> Result<(Vec<ChatChunk>, Option<Error>), String> {
        let begun = self.within("a stream", self.provider.chat_stream(request)).await?;
        match begun {
            Ok(stream) => self.drain(stream).await,
            Err(error) => Ok((Vec::new(), Some(error))),
        }
    }

    /// What is left of a stream, and how it ends. After its end nothing may come.
    pub(super) async fn drain(
        &self,
        mut stream: ChatStream,
    ) -> Result<(Vec<ChatChunk>, Option<Error>), String> {
        let mut chunks = Vec::new();
        let mut failed = None;
        while let Some(chunk) = self.within("the next event or an end", stream.next()).await? {
            match chunk {
                Ok(_) if failed.is_some() => {
                    return Err(
                        "expected the stream to end with its error, got another event after it".to_owned()
                    );
                }
                Err(_) if failed.is_some() => {
                    return Err(
                        "expected one error at the end of the stream, got a second one after it".to_owned()
                    );
                }
                Ok(chunk) => chunks.push(chunk),
                Err(error) => failed = Some(error),
            }
        }
        Ok((chunks, failed))
    }

    /// The service has no answer open any more.
    pub(super) async fn idle(&self, what: &str) -> Verdict {
        want(self.sim()?.wait_idle(self.patience).await, || {
            format!(
                "expected the service to be left alone with {what}, got a connection that was still open after {:?}",
                self.patience
            )
        })
    }

    /// The service has got so many requests.
    pub(super) async fn arrived(&self, count: usize) -> Verdict {
        let sim = self.sim()?;
        let wait = async {
            while sim.requests().len() < count {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        self.within("the request at the service", wait).await
    }
}

/// With the place of the check in front, for whoever wants to read what was done before it: what comes behind may be cut.
#[track_caller]
pub(super) fn want(holds: bool, why: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(format!("{}: {}", place(Location::caller()), why())) }
}

/// The file within the suite, and the line.
fn place(at: &Location<'_>) -> String {
    let file = at.file().rsplit(['/', '\\']).next().unwrap_or_default();
    format!("contract/cases/{file}:{}", at.line())
}

#[track_caller]
pub(super) fn same<T: PartialEq + Debug>(what: &str, got: T, wanted: T) -> Verdict {
    want(got == wanted, || format!("{what}: expected {wanted:?}, got {got:?}"))
}

pub(super) fn unexpected(wanted: &str, error: &Error) -> String {
    format!("expected {wanted}, got an error of kind {}: {error}", error.kind())
}

#[track_caller]
pub(super) fn kind_is(error: &Error, kind: ErrorKind) -> Verdict {
    want(error.kind() == kind, || {
        format!("expected an error of kind {kind}, got one of kind {}: {error}", error.kind())
    })
}

/// The texts of a stream put together.
pub(super) fn text_of(chunks: &[ChatChunk]) -> String {
    chunks.iter().map(ChatChunk::text).collect()
}

pub(super) fn reasoning_of(chunks: &[ChatChunk]) -> String {
    chunks.iter().filter_map(ChatChunk::reasoning).collect()
}

/// A stream's event in OpenAI's form.
pub(super) fn event(delta: &Value, finish: Option<&str>) -> String {
    json!({
        "id": "chatcmpl-contract", "object": "chat.completion.chunk", "created": 1_750_000_000, "model": "sim-small",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    })
    .to_string()
}

/// Events with these texts, without an end.
pub(super) fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let opening = event(&json!({"role": "assistant", "content": ""}), None);
    let more = texts.into_iter().map(|text| event(&json!({"content": text}), None));
    std::iter::once(opening).chain(more).collect()
}

/// A whole answer in OpenAI's form, with this message.
pub(super) fn answer(message: &Value, finish: &str) -> Value {
    json!({
        "id": "chatcmpl-contract", "object": "chat.completion", "created": 1_750_000_000, "model": "sim-small",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    })
}

/// A conversation that goes on after this answer.
pub(super) fn go_on(question: &str, answer: &ChatCompletion, then: &[Message]) -> Vec<Message> {
    let mut messages = vec![Message::user(question)];
    messages.extend(answer.message().cloned());
    messages.extend(then.iter().cloned());
    messages
}
