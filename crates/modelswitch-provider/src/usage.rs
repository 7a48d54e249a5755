use bytes::Bytes;
use futures_util::{StreamExt, future};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Body, Document, Error, Event, EventStream, Request, Response, Result, Usage};

/// In [`Request::extensions`]: a layer wants the usage of a streamed answer, also where the caller didn't ask for it. An
/// adapter then asks the service for it, if the service can be asked. [`UsageWatch`] puts it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantsUsage;

/// For a layer that needs the usage of every answer, of streams too: asks for it on the way in, and hears it on the way
/// out. What came only because the layer asked is hidden again: a caller who didn't set `stream_options.include_usage`
/// never meets the chunk without choices in which OpenAI sends it. What a service sends unasked on a chunk with a choice
/// stays.
///
/// ```
/// use std::sync::{Arc, Mutex};
///
/// use async_trait::async_trait;
/// use modelswitch_provider::{Provider, Request, Response, Result, UsageWatch};
///
/// #[derive(Debug)]
/// struct Counted {
///     inner: Arc<dyn Provider>,
///     tokens: Arc<Mutex<u64>>,
/// }
///
/// #[async_trait]
/// impl Provider for Counted {
///     fn name(&self) -> &str {
///         self.inner.name()
///     }
///     async fn send(&self, mut request: Request) -> Result<Response> {
///         let watch = UsageWatch::ask(&mut request);
///         let tokens = self.tokens.clone();
///         let response = self.inner.send(request).await?;
///         Ok(watch.observe(response, move |usage| {
///             if let Ok(mut tokens) = tokens.lock() {
///                 *tokens += usage.total_tokens;
///             }
///         }))
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct UsageWatch {
    hides: bool,
}

impl UsageWatch {
    /// Asks for the usage of the answer. Only a stream has to be asked for it.
    pub fn ask(request: &mut Request) -> Self {
        let is_asked_for = request.includes_usage() || request.extensions.get::<WantsUsage>().is_some();
        request.extensions.insert(WantsUsage);
        Self { hides: request.is_stream() && !is_asked_for }
    }

    /// Hears the usage of an answer, of a stream while it is read, and hides what the caller didn't ask for. A service that
    /// says what was used so far is heard each time; the last counts.
    #[must_use]
    pub fn observe(self, response: Response, mut heard: impl FnMut(&Usage) + Send + 'static) -> Response {
        let Response { head, body } = response;
        let body = match body {
            Body::Json(json) => {
                if let Some(told) = Told::of(&json) {
                    told.hear(&mut heard);
                }
                Body::Json(json)
            }
            Body::Events(events) => Body::Events(self.observe_events(events, heard)),
            other => other,
        };
        Response { head, body }
    }

    fn observe_events(
        self,
        events: EventStream,
        mut heard: impl FnMut(&Usage) + Send + 'static,
    ) -> EventStream {
        EventStream::new(events.filter_map(move |event| {
            let told = event.as_ref().ok().and_then(|event: &Event| Told::of(&event.data));
            let is_usage_alone = told.as_ref().is_some_and(Told::is_usage_alone);
            if let Some(told) = told {
                told.hear(&mut heard);
            }
            future::ready((!(self.hides && is_usage_alone)).then_some(event))
        }))
    }
}

impl Request {
    /// True when the usage of the stream is asked for (`stream_options.include_usage`).
    pub fn includes_usage(&self) -> bool {
        #[derive(Deserialize)]
        struct Options {
            include_usage: Option<bool>,
        }
        let options = self.document().and_then(|body| body.get::<Options>("stream_options").ok()?);
        options.is_some_and(|options| options.include_usage == Some(true))
    }

    /// Asks for the usage of the stream (`stream_options.include_usage`).
    ///
    /// ```
    /// use modelswitch_provider::Request;
    /// use serde_json::json;
    ///
    /// let mut request = Request::chat(&json!({ "messages": [], "stream": true }))?;
    /// request.include_usage()?;
    /// assert!(request.includes_usage());
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) when the body is no JSON.
    pub fn include_usage(&mut self) -> Result<()> {
        let document: &mut Document =
            self.document_mut().ok_or_else(|| Error::invalid_request("the request has no JSON body"))?;
        let options = document.get::<Option<Map<String, Value>>>("stream_options").ok().flatten().flatten();
        let mut options = options.unwrap_or_default();
        options.insert("include_usage".to_owned(), true.into());
        document.set("stream_options", options)
    }
}

/// What an answer or an event tells of usage.
#[derive(Deserialize)]
struct Told {
    usage: Option<Value>,
    choices: Option<Vec<serde::de::IgnoredAny>>,
    /// Events of `/responses` have it one level deeper.
    response: Option<Inner>,
}

#[derive(Deserialize)]
struct Inner {
    usage: Option<Value>,
}

impl Told {
    /// `None` for what says nothing of it, found out by a look that costs next to nothing: inside of a text the quotes are
    /// escaped.
    fn of(json: &Bytes) -> Option<Self> {
        const NAME: &[u8] = b"\"usage\"";
        memchr::memmem::find(json, NAME)?;
        serde_json::from_slice(json).ok()
    }

    fn is_usage_alone(&self) -> bool {
        self.usage.as_ref().is_some_and(Value::is_object) && self.choices.as_ref().is_some_and(Vec::is_empty)
    }

    fn hear(self, heard: &mut impl FnMut(&Usage)) {
        let usage = self.usage.or(self.response.and_then(|response| response.usage));
        let Some(Value::Object(mut counts)) = usage else { return };
        for (name, other) in [("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens")] {
            if !counts.contains_key(name)
                && let Some(count) = counts.get(other).cloned()
            {
                counts.insert(name.to_owned(), count);
            }
        }
        if let Ok(usage) = serde_json::from_value(Value::Object(counts)) {
            heard(&usage);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures_util::stream;
    use serde_json::json;

    use super::*;

    fn ask(body: Value) -> Request {
        Request::chat(&body).unwrap()
    }

    async fn watched(request: &mut Request, events: &[Value]) -> (Vec<u64>, usize) {
        let watch = UsageWatch::ask(request);
        let events: Vec<_> = events.iter().map(|event| Ok(Event::new(event.to_string()))).collect();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = heard.clone();
        let response = watch.observe(
            Response::new(Body::Events(EventStream::new(stream::iter(events)))),
            move |usage: &Usage| hears.lock().unwrap().push(usage.total_tokens),
        );
        let Body::Events(events) = response.body else { unreachable!("a stream stays a stream") };
        let shown = events.collect::<Vec<_>>().await.len();
        let heard = heard.lock().unwrap().clone();
        (heard, shown)
    }

    fn chunks() -> [Value; 3] {
        [
            json!({"choices":[{"delta":{"content":"\"usage\""}}],"usage":null}),
            json!({"choices":[{"delta":{},"finish_reason":"stop"}]}),
            json!({"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}),
        ]
    }

    #[tokio::test]
    async fn usage_that_only_a_layer_asked_for_is_heard_and_hidden() {
        let mut request = ask(json!({"stream":true}));
        assert_eq!(watched(&mut request, &chunks()).await, (vec![3], 2));
        assert!(request.extensions.get::<WantsUsage>().is_some());
        // A layer below hears it too, and leaves it for the one above.
        assert_eq!(watched(&mut request, &chunks()).await, (vec![3], 3));
    }

    #[tokio::test]
    async fn usage_that_the_caller_asked_for_is_shown() {
        let mut request = ask(json!({"stream":true,"stream_options":{"include_usage":true}}));
        assert_eq!(watched(&mut request, &chunks()).await, (vec![3], 3));
    }

    #[tokio::test]
    async fn usage_beside_a_choice_stays_where_it_is() {
        let last = json!({"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"total_tokens":3}});
        assert_eq!(watched(&mut ask(json!({"stream":true})), &[last]).await, (vec![3], 1));
    }

    #[tokio::test]
    async fn usage_of_the_responses_endpoint_is_heard_too() {
        let last = json!({"type":"response.completed","response":{"usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}}});
        assert_eq!(watched(&mut ask(json!({"stream":true})), &[last]).await, (vec![3], 1));
    }

    #[test]
    fn other_options_of_a_stream_stay() {
        for (options, wanted) in [
            (json!({"include_obfuscation":false}), json!({"include_obfuscation":false,"include_usage":true})),
            (json!(null), json!({"include_usage":true})),
            (json!({"include_usage":false}), json!({"include_usage":true})),
        ] {
            let mut request = ask(json!({"stream":true,"stream_options":options}));
            assert!(!request.includes_usage());
            request.include_usage().unwrap();
            assert_eq!(request.document().unwrap().get::<Value>("stream_options").unwrap(), Some(wanted));
        }
    }
}
