use std::sync::LazyLock;

use futures_util::{StreamExt, future};
use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

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
        let mut seen = UsageSeen::default();
        let Response { head, body } = response;
        let body = match body {
            Body::Json(json) => {
                if seen.hear(&json)
                    && let Some(usage) = seen.usage()
                {
                    heard(&usage);
                }
                Body::Json(json)
            }
            Body::Events(events) => Body::Events(EventStream::new(events.inspect(move |event| {
                if event.as_ref().is_ok_and(|event| seen.hear_event(event))
                    && let Some(usage) = seen.usage()
                {
                    heard(&usage);
                }
            }))),
            other => other,
        };
        self.hide(Response { head, body })
    }

    /// Hides what the caller didn't ask for, for a layer that has heard it in its own way.
    #[must_use]
    pub fn hide(self, response: Response) -> Response {
        let Response { head, body } = response;
        let body = match body {
            Body::Events(events) if self.hides => Body::Events(EventStream::new(
                events.filter(|event| future::ready(!event.as_ref().is_ok_and(Event::is_usage_alone))),
            )),
            other => other,
        };
        Response { head, body }
    }
}

/// What an answer told of its tokens, whole or event by event, in the words of the chat whatever the endpoint's own are: those
/// of `/responses` and of Anthropic's `/messages` are understood too.
///
/// ```
/// use modelswitch_provider::UsageSeen;
///
/// let mut seen = UsageSeen::default();
/// seen.hear(br#"{"usage":{"input_tokens":4,"cache_read_input_tokens":3,"output_tokens":1}}"#);
/// assert_eq!(seen.usage().map(|usage| (usage.prompt_tokens, usage.cached_tokens())), Some((7, Some(3))));
/// ```
#[derive(Clone, Debug, Default)]
pub struct UsageSeen(Map<String, Value>);

impl UsageSeen {
    /// Takes in a whole answer. False when it tells nothing.
    pub fn hear(&mut self, json: &[u8]) -> bool {
        // What can't be read tells nothing.
        serde_json::from_slice::<Answer<'_>>(json).is_ok_and(|answer| self.take_answer(&answer))
    }

    /// Takes in an event, which is parsed only if there is something in it. False when there isn't.
    pub fn hear_event(&mut self, event: &Event) -> bool {
        has_member(&event.data, USAGE, b'{') && self.hear(&event.data)
    }

    /// Takes in the `usage` of an answer. What was said last counts; what isn't said takes nothing back.
    pub fn take(&mut self, usage: &RawValue) -> bool {
        let Ok(members) = serde_json::from_str::<Map<String, Value>>(usage.get()) else { return false };
        self.0.extend(members.into_iter().filter(|(_, value)| !value.is_null()));
        true
    }

    /// The tokens; `None` when nothing was told.
    pub fn usage(&self) -> Option<Usage> {
        let tells = |names: &[&str]| names.iter().any(|name| self.0.contains_key(*name));
        if tells(&["prompt_tokens", "completion_tokens"]) {
            return Usage::from_wire(&self.0).ok();
        }
        if tells(&["input_tokens", "output_tokens"]) {
            return Usage::from_wire(&self.in_older_words()).ok();
        }
        // Some endpoints count seconds or characters, which are no tokens.
        if tells(&["total_tokens"]) { Usage::from_wire(&self.0).ok() } else { None }
    }

    fn take_answer(&mut self, answer: &Answer<'_>) -> bool {
        let mut tells = answer.usage.is_some_and(|usage| self.take(usage));
        // Events of `/responses` and of Anthropic's `/messages` have the answer one level deeper.
        for inner in [answer.response, answer.message].into_iter().flatten() {
            if let Ok(Answer { usage: Some(usage), .. }) = serde_json::from_str(inner.get()) {
                tells |= self.take(usage);
            }
        }
        tells
    }

    /// Of `/responses`, which counts cached tokens in, and of Anthropic, which counts them apart.
    fn in_older_words(&self) -> Value {
        let count = |name: &str| self.0.get(name).and_then(Value::as_u64).unwrap_or_default();
        let detail = |group: &str, name: &str| self.0.get(group)?.get(name)?.as_u64();
        let (read, written) = (count("cache_read_input_tokens"), count("cache_creation_input_tokens"));
        let prompt = count("input_tokens").saturating_add(read).saturating_add(written);
        let answer = count("output_tokens");
        let cached = detail("input_tokens_details", "cached_tokens").or((read > 0).then_some(read));
        let thought = detail("output_tokens_details", "reasoning_tokens");
        let mut usage = self.0.clone();
        let counts = json!({
            "prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt.saturating_add(answer),
            "prompt_tokens_details": cached.map(|tokens| json!({ "cached_tokens": tokens })),
            "completion_tokens_details": thought.map(|tokens| json!({ "reasoning_tokens": tokens })),
        });
        // What else is told, such as a cost of the service's own, stays for whoever knows its price list.
        usage.extend(
            counts.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())),
        );
        usage.into()
    }
}

/// As much of an answer as is of interest here, as it stands: one odd value must not make the others unreadable.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
}

/// True when a member of this name, which is given in its quotes, has a value that begins so, found out without reading the
/// JSON: inside of a text the quotes would be escaped.
///
/// ```
/// use modelswitch_provider::has_member;
///
/// assert!(has_member(br#"{"usage" : {"total_tokens":1}}"#, "\"usage\"", b'{'));
/// assert!(!has_member(br#"{"usage":null}"#, "\"usage\"", b'{'));
/// ```
pub fn has_member(json: &[u8], quoted: &str, begins: u8) -> bool {
    // Made once: several layers ask for this one in every event of a stream.
    static USAGE_FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(USAGE));
    let is_followed = |at: usize| {
        let rest = json.get(at + quoted.len()..).unwrap_or_default().trim_ascii_start();
        let rest = rest.strip_prefix(b":").unwrap_or_default().trim_ascii_start();
        rest.first() == Some(&begins)
    };
    match quoted {
        USAGE => USAGE_FINDER.find_iter(json).any(is_followed),
        other => memchr::memmem::find_iter(json, other).any(is_followed),
    }
}

const USAGE: &str = "\"usage\"";

impl Event {
    /// True for a chunk that tells the tokens of a stream and nothing else: it has no choices.
    ///
    /// ```
    /// use modelswitch_provider::Event;
    ///
    /// assert!(Event::new(r#"{"choices":[],"usage":{"total_tokens":3}}"#).is_usage_alone());
    /// ```
    pub fn is_usage_alone(&self) -> bool {
        #[derive(Deserialize)]
        struct Chunk<'a> {
            #[serde(borrow)]
            choices: Vec<&'a RawValue>,
        }
        has_member(&self.data, USAGE, b'{')
            && serde_json::from_slice::<Chunk<'_>>(&self.data).is_ok_and(|chunk| chunk.choices.is_empty())
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures_util::stream;

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

    fn heard(events: &[Value]) -> Option<[Option<u64>; 4]> {
        let mut seen = UsageSeen::default();
        for event in events {
            seen.hear_event(&Event::new(event.to_string()));
        }
        let usage = seen.usage()?;
        Some([
            Some(usage.prompt_tokens),
            Some(usage.completion_tokens),
            usage.cached_tokens(),
            usage.reasoning_tokens(),
        ])
    }

    #[test]
    fn tokens_are_found_wherever_an_endpoint_tells_them() {
        for (events, tokens) in [
            (vec![json!({ "choices": [{ "delta": { "content": "\"usage\":{" } }], "usage": null })], None),
            (
                vec![json!({ "choices": [], "usage": { "prompt_tokens": 7, "completion_tokens": 5,
                    "prompt_cache_hit_tokens": 3, "completion_tokens_details": { "reasoning_tokens": 2 } } })],
                Some([Some(7), Some(5), Some(3), Some(2)]),
            ),
            (
                vec![json!({ "type": "response.completed", "response": { "usage": { "input_tokens": 7,
                    "output_tokens": 5, "input_tokens_details": { "cached_tokens": 1 },
                    "output_tokens_details": { "reasoning_tokens": 2 } } } })],
                Some([Some(7), Some(5), Some(1), Some(2)]),
            ),
            (
                vec![
                    json!({ "type": "message_start", "message": { "usage": { "input_tokens": 4,
                        "cache_read_input_tokens": 3, "output_tokens": 1 } } }),
                    json!({ "type": "message_delta", "usage": { "output_tokens": 5 } }),
                ],
                Some([Some(7), Some(5), Some(3), None]),
            ),
            (vec![json!({ "usage": "much" })], None),
        ] {
            assert_eq!(heard(&events), tokens, "{events:?}");
        }
    }
}
