use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::message::null_is_default;
use crate::outline::Outline;
use crate::wire::wire;
use crate::{Document, Endpoint, FinishReason, Head, Request, Result, Usage};

/// A request to the older completions endpoint, which goes on with a text; DeepSeek fills in the middle with it.
///
/// The parameters that have a method here are kept in `extra` like all others, in the form of the wire.
///
/// ```
/// use modelswitch_provider::CompletionRequest;
///
/// let request = CompletionRequest::new("fn add(").suffix("}").max_tokens(64).stop(["\n\n"]).temperature(0.0);
/// assert_eq!(request.prompt, "fn add(");
/// assert_eq!(request.extra["suffix"], "}");
/// ```
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CompletionRequest {
    /// As in [`ChatRequest`](crate::ChatRequest).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The text to go on with.
    pub prompt: String,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Names and sizes: the prompt is a user's.
impl fmt::Debug for CompletionRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Outline::new(f, "CompletionRequest")
            .some("model", self.model.as_ref())
            .text("prompt", Some(&self.prompt))
            .extra(&self.extra)
            .finish()
    }
}

impl CompletionRequest {
    /// A request to go on with a text.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: prompt.into(), ..Self::default() }
    }

    /// Chooses the model.
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// The text that comes after the gap: the model fills in what stands between.
    pub fn suffix(self, suffix: impl Into<String>) -> Self {
        self.set("suffix", suffix.into())
    }

    /// The most tokens that the answer may have.
    pub fn max_tokens(self, tokens: u64) -> Self {
        self.set("max_tokens", tokens)
    }

    /// The texts that end the answer; they are not a part of it.
    pub fn stop<T: Into<String>>(self, texts: impl IntoIterator<Item = T>) -> Self {
        self.set("stop", texts.into_iter().map(Into::into).collect::<Vec<String>>())
    }

    /// How freely the model chooses: 0 to 2 with most services.
    pub fn temperature(self, temperature: f64) -> Self {
        self.set("temperature", temperature)
    }

    /// Chooses among the tokens that make up this share of the likelihood.
    pub fn top_p(self, share: f64) -> Self {
        self.set("top_p", share)
    }

    /// Whether the answer begins with the prompt.
    pub fn echo(self, echo: bool) -> Self {
        self.set("echo", echo)
    }

    /// How many likely tokens are told of each place, with their likelihood. They come in the `logprobs` of a choice's `extra`.
    pub fn logprobs(self, tokens: u64) -> Self {
        self.set("logprobs", tokens)
    }

    /// Sets any other field.
    pub fn set(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extra.insert(name.into(), value.into());
        self
    }

    /// The request for a provider.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) when a field stands twice.
    pub fn into_request(self) -> Result<Request> {
        Ok(Request::new(Endpoint::COMPLETIONS, Document::from_serialize(&self)?))
    }
}

/// The answer of the older completions endpoint; a chunk of its stream has the same form.
///
/// ```
/// use modelswitch_provider::Completion;
/// use serde_json::json;
///
/// let answer = Completion::from_wire(&json!({
///     "id": "1", "object": "text_completion", "created": 0, "model": "deepseek-flash",
///     "choices": [{ "index": 0, "text": "a, b", "finish_reason": "stop", "logprobs": { "tokens": ["a", ",", " b"] } }]
/// }))?;
/// assert_eq!(answer.text(), "a, b");
/// assert_eq!(answer.choices[0].extra["logprobs"]["tokens"][0], "a");
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Completion {
    /// The service's id of the answer.
    #[serde(default, deserialize_with = "null_is_default")]
    pub id: String,
    /// When it was made, in seconds since 1970.
    #[serde(default, deserialize_with = "null_is_default")]
    pub created: u64,
    /// The model that served: often not the name that was asked for.
    #[serde(default, deserialize_with = "null_is_default")]
    pub model: String,
    /// The answers.
    #[serde(default, deserialize_with = "null_is_default")]
    pub choices: Vec<CompletionChoice>,
    /// The tokens that were used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
    /// Who answered, at which try, with which headers and adaptations. Not a part of the wire.
    #[serde(skip)]
    pub head: Head,
}

/// Structure, names and sizes: the text is what somebody paid for.
impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Outline::new(f, "Completion")
            .field("id", &self.id)
            .field("created", &self.created)
            .field("model", &self.model)
            .field("choices", &self.choices)
            .some("usage", self.usage.as_ref())
            .extra(&self.extra)
            .field("head", &self.head)
            .finish()
    }
}

impl Completion {
    /// The text of the first choice; empty when it has none.
    pub fn text(&self) -> &str {
        self.choices.first().map(|choice| choice.text.as_str()).unwrap_or_default()
    }

    /// Why the first choice ended.
    pub fn finish_reason(&self) -> Option<&FinishReason> {
        self.choices.first()?.finish_reason.as_ref()
    }

    /// Adds the next chunk of a stream.
    ///
    /// ```
    /// use modelswitch_provider::Completion;
    /// use serde_json::json;
    ///
    /// let mut whole = Completion::default();
    /// for text in ["a, ", "b"] {
    ///     whole.push(Completion::from_wire(&json!({ "choices": [{ "index": 0, "text": text }] }))?);
    /// }
    /// assert_eq!(whole.text(), "a, b");
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    pub fn push(&mut self, chunk: Self) {
        if self.id.is_empty() {
            self.id = chunk.id;
        }
        if self.created == 0 {
            self.created = chunk.created;
        }
        if !chunk.model.is_empty() {
            self.model = chunk.model;
        }
        // Some services send what was used so far with every chunk: the last one counts.
        self.usage = chunk.usage.or(self.usage.take());
        self.extra.extend(chunk.extra.into_iter().filter(|(_, value)| !value.is_null()));
        for piece in chunk.choices {
            match self.choices.iter_mut().find(|choice| choice.index == piece.index) {
                Some(choice) => choice.push(piece),
                None => self.choices.push(piece),
            }
        }
    }
}

/// One of the answers.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CompletionChoice {
    /// Its number.
    #[serde(default, deserialize_with = "null_is_default")]
    pub index: u32,
    /// The text that goes on.
    #[serde(default, deserialize_with = "null_is_default")]
    pub text: String,
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<FinishReason>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl fmt::Debug for CompletionChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Outline::new(f, "CompletionChoice")
            .field("index", &self.index)
            .text("text", Some(&self.text))
            .some("finish_reason", self.finish_reason.as_ref())
            .extra(&self.extra)
            .finish()
    }
}

impl CompletionChoice {
    fn push(&mut self, piece: Self) {
        self.text += &piece.text;
        self.finish_reason = piece.finish_reason.or(self.finish_reason.take());
        for (name, value) in piece.extra {
            match self.extra.get_mut(&name) {
                Some(known) if name == "logprobs" => join_logprobs(known, value),
                Some(known) if !value.is_null() => *known = value,
                Some(_) => {}
                None => {
                    self.extra.insert(name, value);
                }
            }
        }
    }
}

/// The old form has a list for each of text, offset, likelihood and alternatives, and each goes on.
fn join_logprobs(known: &mut Value, more: Value) {
    match (known, more) {
        (_, Value::Null) => {}
        (Value::Object(known), Value::Object(more)) => {
            for (name, value) in more {
                match (known.get_mut(&name), value) {
                    (Some(Value::Array(list)), Value::Array(items)) => list.extend(items),
                    (Some(_), Value::Null) => {}
                    (_, value) => {
                        known.insert(name, value);
                    }
                }
            }
        }
        (known, more) => *known = more,
    }
}

wire!(CompletionRequest, Completion, CompletionChoice);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_of_an_answer_is_lost_on_the_way_through() {
        let wire = json!({
            "id": "1", "object": "text_completion", "created": 1786400347, "model": "deepseek-flash",
            "system_fingerprint": "fp_1", "new_field": { "a": 1 },
            "choices": [{ "index": 0, "text": "a, b", "finish_reason": "stop", "logprobs": {
                "text_offset": [7, 8], "token_logprobs": [-0.1, null], "tokens": ["a", ", b"],
                "top_logprobs": [{ "a": -0.1 }, null] } }],
            "usage": { "prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "prompt_cache_hit_tokens": 0 }
        });
        assert_eq!(Completion::from_wire(&wire).unwrap().to_wire::<Value>().unwrap(), wire);
        let request =
            json!({ "model": "m", "prompt": "x", "suffix": "y", "echo": true, "stop": ["z"], "new": 1 });
        assert_eq!(CompletionRequest::from_wire(&request).unwrap().to_wire::<Value>().unwrap(), request);
    }

    #[test]
    fn the_methods_write_what_the_wire_has() {
        let request = CompletionRequest::new("fn add(")
            .model("m")
            .suffix("}")
            .max_tokens(64)
            .stop(["a", "b"])
            .temperature(0.5)
            .top_p(0.9)
            .echo(true)
            .logprobs(3);
        let wire = json!({
            "model": "m", "prompt": "fn add(", "suffix": "}", "max_tokens": 64, "stop": ["a", "b"],
            "temperature": 0.5, "top_p": 0.9, "echo": true, "logprobs": 3
        });
        assert_eq!(request.to_wire::<Value>().unwrap(), wire);
    }

    #[test]
    fn chunks_add_up_with_their_logprobs_and_the_last_usage() {
        let mut whole = Completion::default();
        let logprobs = |token: &str, offset: u32| json!({ "tokens": [token], "token_logprobs": [-0.5], "text_offset": [offset], "top_logprobs": null });
        for chunk in [
            json!({ "id": "1", "created": 7, "model": "m", "object": "text_completion", "usage": null,
                "choices": [{ "index": 0, "text": "a", "logprobs": logprobs("a", 0), "finish_reason": null },
                            { "index": 1, "text": "x", "logprobs": null }] }),
            json!({ "choices": [{ "index": 0, "text": "b", "logprobs": logprobs("b", 1) }] }),
            json!({ "choices": [{ "index": 0, "text": "", "logprobs": null, "finish_reason": "length" }],
                "usage": { "prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3 } }),
        ] {
            whole.push(Completion::from_wire(&chunk).unwrap());
        }
        assert_eq!((whole.text(), whole.finish_reason()), ("ab", Some(&FinishReason::Length)));
        assert_eq!(whole.choices[0].extra["logprobs"]["tokens"], json!(["a", "b"]));
        assert_eq!(whole.choices[0].extra["logprobs"]["text_offset"], json!([0, 1]));
        assert_eq!((whole.choices[1].text.as_str(), whole.id.as_str(), whole.created), ("x", "1", 7));
        assert_eq!(whole.usage.map(|usage| usage.total_tokens), Some(3));
        assert_eq!(whole.extra["object"], "text_completion");
    }
}
