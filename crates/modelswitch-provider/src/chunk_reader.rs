use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{Alike, ChatChunk, Event, Result};

/// Decodes the chunks of one stream. One that is like another but for its text is that other with its text.
#[derive(Default)]
pub(crate) struct ChunkReader {
    alike: Alike,
    /// What was learnt, without its text.
    like: ChatChunk,
    is_thought: bool,
}

impl ChunkReader {
    /// # Errors
    /// [`Decode`](crate::ErrorKind::Decode) for what is no chunk.
    pub(crate) fn read(&mut self, event: &Event) -> Result<ChatChunk> {
        if let Some(chunk) = self.more_of_the_same(&event.data) {
            return Ok(chunk);
        }
        let chunk: ChatChunk = event.json()?;
        self.learn(&event.data, &chunk);
        Ok(chunk)
    }

    fn more_of_the_same(&mut self, data: &[u8]) -> Option<ChatChunk> {
        let text = unescaped(self.alike.text_of(data)?)?;
        let mut chunk = self.like.clone();
        *self.place_in(&mut chunk)? = Some(text);
        Some(chunk)
    }

    fn learn(&mut self, data: &[u8], chunk: &ChatChunk) {
        if self.alike.has_given_up() {
            return;
        }
        let Ok(Look { choices: [Choice { delta }] }) = serde_json::from_slice(data) else { return };
        let Some((text, is_thought)) = delta.only_text() else { return };
        if self.alike.learn(data, text) {
            self.is_thought = is_thought;
            let mut like = chunk.clone();
            if let Some(place) = self.place_in(&mut like) {
                *place = None;
            }
            self.like = like;
        }
    }

    fn place_in<'a>(&self, chunk: &'a mut ChatChunk) -> Option<&'a mut Option<String>> {
        let delta = &mut chunk.choices.first_mut()?.delta;
        Some(if self.is_thought { &mut delta.reasoning_content } else { &mut delta.content })
    }
}

impl fmt::Debug for ChunkReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChunkReader(…)")
    }
}

/// Where the text of a chunk of one choice stands.
#[derive(Deserialize)]
struct Look<'a> {
    #[serde(borrow)]
    choices: [Choice<'a>; 1],
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Delta<'a>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning_content: Option<&'a RawValue>,
}

impl<'a> Delta<'a> {
    /// What stands between the quotes, and whether it is reasoning, where the other is empty.
    fn only_text(&self) -> Option<(&'a str, bool)> {
        let inside = |value: Option<&'a RawValue>| value?.get().strip_prefix('"')?.strip_suffix('"');
        match (inside(self.content), inside(self.reasoning_content)) {
            (Some(text), None | Some("")) => Some((text, false)),
            (None | Some(""), Some(thought)) => Some((thought, true)),
            (Some(_), Some(_)) | (None, None) => None,
        }
    }
}

/// A text as it stands between quotes, as what it means.
fn unescaped(text: &str) -> Option<String> {
    if memchr::memchr(b'\\', text.as_bytes()).is_none() {
        return Some(text.to_owned());
    }
    serde_json::from_str(&format!("\"{text}\"")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_chunk_is_read_as_if_it_were_alone() {
        let chunk = |index: u32, delta: serde_json::Value| json!({"id":"1","object":"o","created":7,"model":"m","choices":[{"index":index,"delta":delta,"finish_reason":null}],"usage":null});
        let mut reader = ChunkReader::default();
        for chunk in [
            chunk(0, json!({"role":"assistant","content":""})),
            chunk(0, json!({"role":"assistant","content":"a"})),
            chunk(0, json!({"content":null,"reasoning_content":"hm"})),
            chunk(0, json!({"content":null,"reasoning_content":"so \"9\"\n"})),
            chunk(0, json!({"content":null,"reasoning_content":""})),
            chunk(0, json!({"content":"","reasoning_content":"x"})),
            chunk(0, json!({"content":"y","reasoning_content":""})),
            chunk(0, json!({"content":"z","reasoning_content":""})),
            chunk(1, json!({"content":"b","tool_calls":[{"index":0,"id":"c","function":{"name":"f"}}]})),
            chunk(1, json!({"content":"c\u{1}","tool_calls":[{"index":0,"id":"c","function":{"name":"f"}}]})),
            chunk(1, json!({"content":"d\t","tool_calls":[{"index":0,"id":"c","function":{"name":"f"}}]})),
            json!({"choices":[{"delta":{"content":"a"}},{"delta":{"content":"b"}}]}),
            json!({"choices":null,"usage":{"total_tokens":3}}),
        ] {
            let event = Event::new(chunk.to_string());
            for _ in 0..2 {
                assert_eq!(reader.read(&event).unwrap(), event.json().unwrap(), "{chunk}");
            }
        }
        assert!(reader.read(&Event::new("{")).is_err());
    }
}
