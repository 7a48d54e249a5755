use std::fmt::{self, Write};

use http::{HeaderMap, HeaderValue};
use modelswitch_provider::{Document, Error, Request, Result};
use serde_json::{Map, Value};

use super::header;

/// Fields for the request's JSON that async-openai's type doesn't have: `thinking`, `prefix`, one that is new.
///
/// They go with a call in a header, which is taken off before the wire; where the request has the field too, this one
/// counts.
///
/// ```no_run
/// # async fn run(client: modelswitch_openai::Client, request: modelswitch_openai::async_openai::types::chat::CreateChatCompletionRequest) -> Result<(), Box<dyn std::error::Error>> {
/// use modelswitch_openai::{Extra, async_openai::traits::RequestOptionsBuilder};
/// use serde_json::json;
///
/// let quick = Extra::new().set("thinking", json!({ "type": "disabled" }));
/// let reply = client.chat().headers(quick.headers()?).create(request).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
pub struct Extra(Map<String, Value>);

/// The names of the fields: what is in them is a user's.
impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Extra").field(&self.0.keys()).finish()
    }
}

impl Extra {
    /// No fields yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a field.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    /// Attaches to an assistant's message, by its number in the request (from 0), what the model thought before it. Types that
    /// have no field for it can't say it themselves; a provider that wants it back, such as DeepSeek, puts it there, and no
    /// other ever gets it.
    ///
    /// ```
    /// use modelswitch_openai::Extra;
    ///
    /// // The second message is an answer whose reasoning was kept in a database.
    /// let extra = Extra::new().reasoning_content(1, "0.80 is more than 0.11");
    /// # let _ = extra;
    /// ```
    #[must_use]
    pub fn reasoning_content(mut self, message: usize, reasoning: impl Into<String>) -> Self {
        let attached = self.0.entry(ATTACHED_REASONING).or_insert_with(|| Value::Object(Map::new()));
        if let Some(attached) = attached.as_object_mut() {
            attached.insert(message.to_string(), Value::String(reasoning.into()));
        }
        self
    }

    /// The header to send with the call.
    ///
    /// # Errors
    /// [`InvalidRequest`](modelswitch_provider::ErrorKind::InvalidRequest) when the fields can't be in a header, which
    /// no JSON of usual size does.
    pub fn headers(&self) -> Result<HeaderMap> {
        let text = ascii(&Value::Object(self.0.clone()).to_string());
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| Error::invalid_request("the extra fields can't be sent in a header"))?;
        // What is in the fields is a user's.
        value.set_sensitive(true);
        Ok(HeaderMap::from_iter([(header::EXTRA.clone(), value)]))
    }
}

/// The member of a request that says that its last message is a beginning to be gone on with, for types that have no field for
/// it. An adapter that knows what that is says it in the message; it never reaches the wire.
///
/// ```
/// use modelswitch_openai::{ATTACHED_PREFIX, Extra};
///
/// let extra = Extra::new().set(ATTACHED_PREFIX, true);
/// # let _ = extra;
/// ```
pub const ATTACHED_PREFIX: &str = "modelswitch_prefix";

/// The member of a request under which reasoning is attached to its messages, by their numbers. An adapter that passes
/// reasoning back puts it there; it never reaches the wire.
///
/// ```
/// use modelswitch_openai::{ATTACHED_REASONING, Extra};
/// use serde_json::json;
///
/// // What `Extra::reasoning_content(1, "because")` writes.
/// let extra = Extra::new().set(ATTACHED_REASONING, json!({ "1": "because" }));
/// # let _ = extra;
/// ```
pub const ATTACHED_REASONING: &str = "modelswitch_reasoning";

/// # Errors
/// [`InvalidRequest`](modelswitch_provider::ErrorKind::InvalidRequest) when the header isn't a JSON object, or the
/// request has no JSON to put it into.
pub(super) fn apply(value: &HeaderValue, request: &mut Request) -> Result<()> {
    let extra = Document::parse(value.as_bytes().to_vec()).map_err(|_| {
        Error::invalid_request(format!("the header `{}` is not a JSON object", header::EXTRA))
    })?;
    let Some(document) = request.document_mut() else {
        return Err(Error::invalid_request("extra fields were given to a request that has no JSON body"));
    };
    document.merge(&extra);
    Ok(())
}

/// JSON in ASCII: a header takes nothing else.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() && character != '\u{7f}' {
            text.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a `String` can't fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_comes_through_the_header() {
        let extra = Extra::new().set("a", "é\n\u{1F600}\u{7f}\"").set("b", 1);
        let header = extra.headers().unwrap().remove(&header::EXTRA).unwrap();
        let mut request = Request::chat(&serde_json::json!({ "b": 2 })).unwrap();
        apply(&header, &mut request).unwrap();
        let document = request.document().unwrap();
        assert_eq!(document.str("a").as_deref(), Some("é\n\u{1F600}\u{7f}\""));
        assert_eq!(document.get_raw("b"), Some("1"));
    }
}
