//! The tokens that a call took, found in its answer; and the ask for them where a service tells them only when asked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{StreamExt, future};
use memchr::memmem;
use modelswitch_provider::{Body, Document, Endpoint, Event, EventStream, Request, Response, Usage};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::ending::{Ending, watch};

/// What an answer told of its tokens, whole or event by event, in OpenAI's older words whatever the endpoint's own are.
#[derive(Clone, Default)]
pub(crate) struct UsageSeen(Map<String, Value>);

impl UsageSeen {
    /// Takes in a whole answer.
    pub(crate) fn hear(&mut self, json: &[u8]) {
        // What can't be read tells nothing.
        if let Ok(answer) = serde_json::from_slice::<Answer<'_>>(json) {
            self.take_answer(&answer);
        }
    }

    /// Takes in an event, which is parsed only if there is something in it.
    pub(crate) fn hear_event(&mut self, event: &Event) {
        if has_member(&event.data, b"\"usage\"", b'{') {
            self.hear(&event.data);
        }
    }

    /// Takes in the `usage` of an answer. What was said last counts; what isn't said takes nothing back.
    pub(crate) fn take(&mut self, usage: &RawValue) {
        if let Ok(members) = serde_json::from_str::<Map<String, Value>>(usage.get()) {
            self.0.extend(members.into_iter().filter(|(_, value)| !value.is_null()));
        }
    }

    /// The tokens; `None` when nothing was told.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let tells = |names: [&str; 2]| names.iter().any(|name| self.0.contains_key(*name));
        if tells(["prompt_tokens", "completion_tokens"]) {
            return Usage::from_wire(&self.0).ok();
        }
        // Some endpoints count seconds or characters, which are no tokens.
        if tells(["input_tokens", "output_tokens"]) {
            Usage::from_wire(&self.in_older_words()).ok()
        } else {
            None
        }
    }

    fn take_answer(&mut self, answer: &Answer<'_>) {
        if let Some(usage) = answer.usage {
            self.take(usage);
        }
        // Events of `/responses` and of Anthropic's `/messages` have the answer one level deeper.
        for inner in [answer.response, answer.message].into_iter().flatten() {
            if let Ok(Answer { usage: Some(usage), .. }) = serde_json::from_str(inner.get()) {
                self.take(usage);
            }
        }
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

/// Runs `act` once when an answer has ended, with the tokens that it told of until then.
pub(crate) fn on_usage(
    response: Response,
    act: impl FnOnce(Ending, Option<Usage>) + Send + 'static,
) -> Response {
    let seen = Arc::new(Mutex::new(UsageSeen::default()));
    if let Body::Json(json) = &response.body {
        locked(&seen).hear(json);
    }
    let told = seen.clone();
    let look = move |event: &Event| locked(&told).hear_event(event);
    watch(response, look, move |ending| {
        let usage = locked(&seen).usage();
        act(ending, usage);
    })
}

fn locked(seen: &Mutex<UsageSeen>) -> MutexGuard<'_, UsageSeen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
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

/// True when a member of this quoted name has a value that begins so. Text inside of strings is never taken for it: its
/// quotes are escaped.
pub(crate) fn has_member(json: &[u8], quoted: &[u8], begins: u8) -> bool {
    memmem::find_iter(json, quoted).any(|at| {
        let rest = json.get(at + quoted.len()..).unwrap_or_default().trim_ascii_start();
        let rest = rest.strip_prefix(b":").unwrap_or_default().trim_ascii_start();
        rest.first() == Some(&begins)
    })
}

/// Asks for the tokens of a stream where the app didn't. True when the chunk that tells them isn't for the app, and
/// [`hide_usage`] has to take it out.
pub(crate) fn ask_for_usage(request: &mut Request) -> bool {
    let path = request.endpoint.path();
    let is_asked_for =
        [Endpoint::CHAT_COMPLETIONS, Endpoint::COMPLETIONS].iter().any(|one| one.path() == path);
    if !is_asked_for || !request.is_stream() {
        return false;
    }
    let Some(body) = request.document_mut() else { return false };
    let mut options: Map<String, Value> = match body.get_raw("stream_options") {
        Some(text) => match serde_json::from_str::<Option<_>>(text) {
            Ok(options) => options.unwrap_or_default(),
            // Whatever it is, telling its author is the service's affair.
            Err(_) => return false,
        },
        None => Map::new(),
    };
    if options.get("include_usage") == Some(&Value::Bool(true)) {
        return false;
    }
    options.insert("include_usage".to_owned(), true.into());
    body.set("stream_options", &options).is_ok()
}

/// True when a stream of this request is to tell its tokens in a chunk of their own.
pub(crate) fn wants_usage(body: &Document) -> bool {
    let options = body.get_raw("stream_options").and_then(|text| serde_json::from_str::<Value>(text).ok());
    options.is_some_and(|options| options.get("include_usage") == Some(&Value::Bool(true)))
}

/// Takes out the chunks that tell nothing but tokens. A chunk that says something else too stays as it is.
pub(crate) fn hide_usage(response: Response, hide: bool) -> Response {
    let Response { head, body } = response;
    let body = match body {
        Body::Events(events) if hide => {
            let shown = |event: &modelswitch_provider::Result<Event>| {
                future::ready(!event.as_ref().is_ok_and(is_only_usage))
            };
            Body::Events(EventStream::new(events.filter(shown)))
        }
        other => other,
    };
    Response { head, body }
}

pub(crate) fn is_only_usage(event: &Event) -> bool {
    #[derive(Deserialize)]
    struct Chunk<'a> {
        #[serde(borrow)]
        choices: Option<Vec<&'a RawValue>>,
        usage: Option<serde::de::IgnoredAny>,
    }
    has_member(&event.data, b"\"usage\"", b'{')
        && serde_json::from_slice::<Chunk<'_>>(&event.data)
            .is_ok_and(|chunk| chunk.choices.unwrap_or_default().is_empty() && chunk.usage.is_some())
}

#[cfg(test)]
mod tests {
    use modelswitch_provider::mock::events;

    use super::*;

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

    #[test]
    fn usage_is_asked_for_where_it_would_not_come_and_nothing_else_is_changed() {
        for (body, hidden, options) in [
            (json!({ "stream": true }), true, Some(json!({ "include_usage": true }))),
            (
                json!({ "stream": true, "stream_options": { "x": 1, "include_usage": false } }),
                true,
                Some(json!({ "x": 1, "include_usage": true })),
            ),
            (json!({ "stream": true, "stream_options": null }), true, Some(json!({ "include_usage": true }))),
            (
                json!({ "stream": true, "stream_options": { "include_usage": true } }),
                false,
                Some(json!({ "include_usage": true })),
            ),
            (json!({ "stream": true, "stream_options": 5 }), false, Some(json!(5))),
            (json!({ "stream": false }), false, None),
        ] {
            let mut request = Request::chat(&body).unwrap();
            assert_eq!(ask_for_usage(&mut request), hidden, "{body}");
            let set = request.document().unwrap().get_raw("stream_options").map(str::to_owned);
            assert_eq!(set.map(|text| serde_json::from_str::<Value>(&text).unwrap()), options, "{body}");
        }
    }

    #[tokio::test]
    async fn only_chunks_that_tell_nothing_but_tokens_are_hidden() {
        let stream = || {
            events([
                Ok(json!({ "choices": [{ "delta": { "content": "a" } }], "usage": null })),
                Ok(
                    json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }], "usage": { "prompt_tokens": 1 } }),
                ),
                Ok(json!({ "choices": [], "usage": { "prompt_tokens": 1 } })),
            ])
        };
        for (hide, left) in [(true, 2), (false, 3)] {
            let Body::Events(events) = hide_usage(stream(), hide).body else { panic!("a stream") };
            assert_eq!(events.count().await, left);
        }
    }
}
