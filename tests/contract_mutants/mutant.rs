//! The real adapter with one fault in it.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use http::HeaderValue;
use modelswitch::{ApiKey, OpenAiProvider, Profile};
use modelswitch_provider::{
    Body, Error, ErrorKind, Event, EventStream, Head, Provider, Request, Response, Result,
};
use modelswitch_sim::contract::Upstream;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::parts::{Without, again, calls, choices, chunks, events, messages, whole};

/// One thing that an adapter does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    DropsReasoning,
    DropsReasoningOfStreams,
    PutsReasoningIntoText,
    DropsReasoningOfHistory,
    LosesToolIndex,
    LosesToolId,
    MendsToolArguments,
    SwallowsErrors,
    SwallowsErrorsInStreams,
    EndsCutStreamsQuietly,
    Retries402,
    RetriesAnything,
    BeginsCutStreamsAgain,
    AsksTwice,
    ShowsKeyInDebug,
    ShowsKeyInErrors,
    KeepsKeyInBodies,
    KeepsKeyInHead,
    SendsKeyAsQuery,
    ShowsPromptInErrors,
    LosesRetryAfter,
    LosesRequestIdOfErrors,
    LosesRequestId,
    LosesStatus,
    LosesProvider,
    TakesRateLimitForUpstream,
    TakesEmptyForError,
    ShowsWholeBody,
    Panics,
    BuffersStreams,
    TakesStreamsAhead,
    AsksForNoStream,
    GoesOnAfterDrop,
    ReadsOnAfterDrop,
    MixesConcurrentCalls,
    DropsUnknownFields,
    DropsUnknownParameters,
    DropsUsage,
    SwapsChunks,
    DropsLastChunk,
    RepeatsChunk,
    InventsFinishReason,
    IgnoresModel,
    ReversesMessages,
    BreaksUnicode,
    NeverEnds,
}

pub(crate) struct Mutant {
    inner: OpenAiProvider,
    fault: Option<Fault>,
    key: String,
    /// What calls of `MixesConcurrentCalls` share.
    slot: Mutex<Option<Request>>,
}

impl Mutant {
    pub(crate) fn new(at: &Upstream, fault: Option<Fault>) -> Self {
        let mut builder = OpenAiProvider::builder(Profile::embedded("deepseek").unwrap())
            .base_url(&*at.base_url)
            .api_key(ApiKey::new(&*at.key).unwrap());
        if fault == Some(Fault::SendsKeyAsQuery) {
            builder = builder.query("key", &*at.key);
        }
        Self { inner: builder.build().unwrap(), fault, key: at.key.clone(), slot: Mutex::default() }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }
}

impl fmt::Debug for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = if self.is(Fault::ShowsKeyInDebug) { &*self.key } else { "…" };
        f.debug_struct("Mutant").field("key", &shown).finish()
    }
}

#[async_trait]
impl Provider for Mutant {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn send(&self, request: Request) -> Result<Response> {
        let request = self.broken_request(request).await;
        let answered = match self.fault {
            Some(Fault::GoesOnAfterDrop) => {
                let inner = self.inner.clone();
                tokio::spawn(async move { inner.send(request).await }).await.unwrap()
            }
            Some(Fault::AsksTwice) => {
                let _ = self.inner.send(request.clone()).await;
                self.inner.send(request).await
            }
            Some(Fault::Retries402 | Fault::RetriesAnything) => self.again_if(request).await,
            Some(Fault::BeginsCutStreamsAgain) => self.begun_again(request).await,
            Some(Fault::AsksForNoStream) => self.whole_for_stream(request).await,
            Some(Fault::ShowsPromptInErrors) => {
                let prompt = request
                    .document()
                    .and_then(|body| body.get_raw("messages"))
                    .unwrap_or_default()
                    .to_owned();
                let answered = self.inner.send(request).await;
                answered.map_err(|error| {
                    again(&error, error.kind(), format!("{}: {prompt}", error.message()), Without::default())
                })
            }
            _ => self.inner.send(request).await,
        };
        match answered {
            Ok(response) => self.broken_response(response).await,
            Err(error) => self.broken_error(error),
        }
    }
}

impl Mutant {
    async fn broken_request(&self, mut request: Request) -> Request {
        match self.fault {
            Some(Fault::IgnoresModel) => request.set_model("deepseek-flash"),
            Some(Fault::MixesConcurrentCalls) => {
                let slot = || self.slot.lock().unwrap_or_else(PoisonError::into_inner);
                *slot() = Some(request.clone());
                tokio::task::yield_now().await;
                return slot().clone().unwrap();
            }
            Some(Fault::DropsUnknownParameters) => {
                if let Some(body) = request.document_mut() {
                    body.remove("x_contract");
                }
            }
            Some(Fault::ReversesMessages | Fault::DropsReasoningOfHistory) => {
                let reverses = self.is(Fault::ReversesMessages);
                if let Some(body) = request.document_mut() {
                    let mut messages: Vec<Value> = body.get("messages").unwrap().unwrap_or_default();
                    if reverses {
                        messages.reverse();
                    }
                    for message in messages.iter_mut().filter(|_| !reverses) {
                        message.as_object_mut().unwrap().remove("reasoning_content");
                    }
                    body.set("messages", messages).unwrap();
                }
            }
            _ => {}
        }
        request
    }

    async fn again_if(&self, request: Request) -> Result<Response> {
        match self.inner.send(request.clone()).await {
            Err(error)
                if self.is(Fault::RetriesAnything) || error.kind() == ErrorKind::InsufficientBalance =>
            {
                self.inner.send(request).await
            }
            answered => answered,
        }
    }

    /// A cut stream is asked for again, and its beginning comes twice.
    async fn begun_again(&self, request: Request) -> Result<Response> {
        let inner = self.inner.clone();
        let response = self.inner.send(request.clone()).await?;
        Ok(events(response, move |events| {
            events.then(move |event| {
                let (inner, request) = (inner.clone(), request.clone());
                async move {
                    if event.is_err() {
                        let _ = inner.send(request).await;
                    }
                    event
                }
            })
        }))
    }

    async fn whole_for_stream(&self, mut request: Request) -> Result<Response> {
        let wanted = request.is_stream();
        if let Some(body) = request.document_mut() {
            body.remove("stream");
            body.remove("stream_options");
        }
        let response = self.inner.send(request).await?;
        if !wanted {
            return Ok(response);
        }
        let (head, body) = response.into_json()?;
        let whole: modelswitch_provider::ChatCompletion = serde_json::from_slice(&body).unwrap();
        let chunk = Event::new(serde_json::to_string(&whole.into_chunk()).unwrap());
        Ok(Response { head, body: Body::Events(EventStream::new(stream::iter([Ok(chunk)]))) })
    }

    fn broken_error(&self, error: Error) -> Result<Response> {
        let same = |kind, without| again(&error, kind, error.message(), without);
        let kind = error.kind();
        Err(match self.fault {
            Some(Fault::SwallowsErrors) => {
                return Response::json(&json!({"choices": [{"index": 0, "message": {"content": ""}}]}));
            }
            Some(Fault::Panics) => panic!("a mutant"),
            Some(Fault::ShowsKeyInErrors) => {
                again(&error, kind, format!("{} ({})", error.message(), self.key), Without::default())
            }
            Some(Fault::KeepsKeyInBodies) => error.with_upstream_body(format!("the key was {}", self.key)),
            Some(Fault::ShowsWholeBody) => {
                let body = error.upstream_body().map(|body| String::from_utf8_lossy(body).into_owned());
                again(&error, kind, body.unwrap_or_default().repeat(2), Without::default())
            }
            Some(Fault::LosesRetryAfter) => same(kind, Without { retry_after: true, ..Without::default() }),
            Some(Fault::LosesRequestIdOfErrors) => {
                same(kind, Without { request_id: true, ..Without::default() })
            }
            Some(Fault::LosesStatus) => same(kind, Without { status: true, ..Without::default() }),
            Some(Fault::LosesProvider) => same(kind, Without { provider: true, ..Without::default() }),
            Some(Fault::TakesRateLimitForUpstream) if kind == ErrorKind::RateLimited => {
                same(ErrorKind::Upstream, Without::default())
            }
            _ => error,
        })
    }

    async fn broken_response(&self, mut response: Response) -> Result<Response> {
        let Some(fault) = self.fault else { return Ok(response) };
        match fault {
            Fault::LosesProvider => {
                response.head = Head::default();
                return Ok(response);
            }
            Fault::LosesRequestId => {
                response.head.request_id = None;
                return Ok(response);
            }
            Fault::KeepsKeyInHead => {
                response.head.headers.insert("x-echo", HeaderValue::from_str(&self.key).unwrap());
                return Ok(response);
            }
            Fault::TakesEmptyForError if is_empty(&response) => {
                return Err(Error::decode("the answer is empty"));
            }
            _ => {}
        }
        let response = if fault == Fault::DropsReasoningOfStreams {
            response
        } else {
            whole(response, |value| spoil(fault, value))
        };
        let response = match fault {
            // These have the bytes that the service sent.
            Fault::TakesStreamsAhead | Fault::ReadsOnAfterDrop | Fault::BuffersStreams => response,
            _ => chunks(response, move |value| spoil(fault, value)),
        };
        Ok(self.broken_stream(fault, response).await)
    }

    async fn broken_stream(&self, fault: Fault, response: Response) -> Response {
        let key = self.key.clone();
        match fault {
            Fault::SwallowsErrorsInStreams => {
                events(response, |events| events.filter(|event| std::future::ready(event.is_ok())))
            }
            Fault::EndsCutStreamsQuietly => events(response, |events| {
                let is_cut = |error: &Error| error.kind() == ErrorKind::Interrupted;
                events.filter(move |event| std::future::ready(!event.as_ref().is_err_and(is_cut)))
            }),
            Fault::ShowsKeyInErrors => events(response, |events| {
                events.map(move |event| {
                    event.map_err(|error| {
                        again(
                            &error,
                            error.kind(),
                            format!("{} ({key})", error.message()),
                            Without::default(),
                        )
                    })
                })
            }),
            Fault::TakesRateLimitForUpstream => events(response, |events| {
                events.map(|event| {
                    event.map_err(|error| match error.kind() {
                        ErrorKind::RateLimited => error.with_kind(ErrorKind::Upstream),
                        _ => error,
                    })
                })
            }),
            Fault::BuffersStreams => {
                let Response { head, body } = response;
                let Body::Events(events) = body else { return Response { head, body } };
                let all: Vec<_> = events.collect().await;
                Response { head, body: Body::Events(EventStream::new(stream::iter(all))) }
            }
            Fault::TakesStreamsAhead | Fault::ReadsOnAfterDrop => events(response, read_ahead),
            Fault::SwapsChunks => events(response, |events| {
                events.chunks(2).flat_map(|mut two| {
                    two.reverse();
                    stream::iter(two)
                })
            }),
            Fault::RepeatsChunk => events(response, |events| {
                events.flat_map(|event| {
                    let twice = event.as_ref().ok().cloned().map(Ok);
                    stream::iter(std::iter::once(event).chain(twice))
                })
            }),
            Fault::DropsLastChunk => events(response, |events| {
                let finishes = |event: &Event| {
                    String::from_utf8_lossy(&event.data).contains(r#""finish_reason":"stop""#)
                };
                events.filter(move |event| std::future::ready(!event.as_ref().is_ok_and(finishes)))
            }),
            Fault::NeverEnds => events(response, |events| events.chain(stream::pending())),
            _ => response,
        }
    }
}

/// A task reads as fast as it can, and nobody stops it.
fn read_ahead(mut events: EventStream) -> impl futures_util::Stream<Item = Result<Event>> + Send {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            let _ = sender.send(event);
        }
        // The connection is held, too.
        tokio::time::sleep(Duration::from_secs(60)).await;
    });
    stream::unfold(
        receiver,
        |mut receiver| async move { receiver.recv().await.map(|event| (event, receiver)) },
    )
}

fn is_empty(response: &Response) -> bool {
    match &response.body {
        Body::Json(body) => String::from_utf8_lossy(body).contains(r#""content":"""#),
        _ => false,
    }
}

/// Spoils an answer or a chunk.
fn spoil(fault: Fault, value: &mut Value) {
    match fault {
        Fault::DropsReasoning | Fault::DropsReasoningOfStreams => messages(value, |message| {
            message.remove("reasoning_content");
        }),
        Fault::PutsReasoningIntoText => messages(value, |message| {
            if let Some(Value::String(reasoning)) = message.remove("reasoning_content") {
                let text = message.get("content").and_then(Value::as_str).unwrap_or_default().to_owned();
                message.insert("content".to_owned(), format!("<think>{reasoning}</think>{text}").into());
            }
        }),
        Fault::LosesToolIndex => calls(value, |call| {
            call.insert("index".to_owned(), 0.into());
            call.remove("id");
        }),
        Fault::LosesToolId => calls(value, |call| {
            call.insert("id".to_owned(), "".into());
        }),
        Fault::MendsToolArguments => calls(value, |call| {
            let arguments = call.get_mut("function").and_then(|function| function.get_mut("arguments"));
            if let Some(text) = arguments
                && serde_json::from_str::<Value>(text.as_str().unwrap_or_default()).is_err()
            {
                *text = "{}".into();
            }
        }),
        Fault::DropsUnknownFields => {
            value.as_object_mut().unwrap().retain(|name, _| !name.starts_with("x_"));
            messages(value, |message| message.retain(|name, _| !name.starts_with("x_")));
        }
        Fault::DropsUsage => {
            value.as_object_mut().unwrap().remove("usage");
        }
        Fault::InventsFinishReason => choices(value, |choice| {
            choice.as_object_mut().unwrap().insert("finish_reason".to_owned(), "stop".into());
        }),
        Fault::BreaksUnicode => messages(value, |message| {
            let text = message
                .get("content")
                .and_then(Value::as_str)
                .map(|text| text.replace(|c: char| !c.is_ascii(), "?"));
            message.insert("content".to_owned(), text.into());
        }),
        _ => {}
    }
}
