//! Reasoning through types that have no field for it. It rides in slots that chat answers leave empty: `metadata` of a
//! reply and `obfuscation` of a chunk, both in async-openai since 0.42.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use async_openai::types::chat::{CreateChatCompletionResponse, CreateChatCompletionStreamResponse};
use bytes::Bytes;
use memchr::memmem::Finder;
use modelswitch_provider::{Alike, Document, Event};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

const SLOT: &str = "modelswitch";
/// What a slot begins with in which the index and the text of one thought stand as they are: it is written, parsed and read
/// thousands of times in a stream.
const PLAIN: &str = "modelswitch ";

/// What the model thought, from async-openai's own types, which have no field for it.
///
/// It is there in answers that came through [`HttpService`](super::HttpService), of models that show their reasoning.
///
/// ```
/// use modelswitch_openai::ReasoningExt;
/// # use modelswitch_openai::async_openai::types::chat::CreateChatCompletionResponse;
///
/// fn show(reply: &CreateChatCompletionResponse) {
///     if let Some(reasoning) = reply.reasoning_content() {
///         println!("thought: {reasoning}");
///     }
/// }
/// # show(&CreateChatCompletionResponse::default());
/// ```
pub trait ReasoningExt {
    /// The reasoning of the choice with this index.
    fn reasoning_content_of(&self, choice: u32) -> Option<String>;

    /// The reasoning of the first choice.
    fn reasoning_content(&self) -> Option<String>;
}

impl ReasoningExt for CreateChatCompletionResponse {
    fn reasoning_content_of(&self, choice: u32) -> Option<String> {
        let metadata = serde_json::to_value(self.metadata.as_ref()?).ok()?;
        read_slot(metadata.get(SLOT)?, choice)
    }

    fn reasoning_content(&self) -> Option<String> {
        self.reasoning_content_of(self.choices.first()?.index)
    }
}

impl ReasoningExt for CreateChatCompletionStreamResponse {
    fn reasoning_content_of(&self, choice: u32) -> Option<String> {
        let slot = self.obfuscation.as_deref()?;
        if let Some((index, text)) = slot.strip_prefix(PLAIN).and_then(|slot| slot.split_once(' ')) {
            return (index.parse() == Ok(choice)).then(|| text.to_owned());
        }
        // OpenAI's own padding is no JSON.
        let slot: Value = serde_json::from_str(slot).ok()?;
        read_slot(slot.get(SLOT)?, choice)
    }

    fn reasoning_content(&self) -> Option<String> {
        self.reasoning_content_of(self.choices.first()?.index)
    }
}

fn read_slot(slot: &Value, choice: u32) -> Option<String> {
    Some(slot.get("reasoning_content")?.get(choice.to_string())?.as_str()?.to_owned())
}

/// Puts the reasoning of a reply where async-openai's type has room for it. A reply without reasoning stays as it is.
pub(super) fn into_reply(body: Bytes) -> Bytes {
    let put = || {
        let look = look(&body)?;
        let slot = json!(thoughts(&look, |choice| choice.message.as_ref())?);
        let mut document = Document::parse(body.clone()).ok()?;
        let mut metadata = document
            .get::<Value>("metadata")
            .ok()
            .flatten()
            .filter(Value::is_object)
            .unwrap_or_else(|| json!({}));
        metadata.as_object_mut()?.insert(SLOT.to_owned(), slot);
        document.set("metadata", metadata).ok()?;
        Some(document.to_bytes())
    };
    put().unwrap_or(body)
}

/// The same for the chunks of one stream. A thought comes in thousands of them, which differ in their text alone.
#[derive(Default)]
pub(super) struct IntoChunks {
    alike: Alike,
    /// What is written before and behind the text of one that is alike.
    around: (Vec<u8>, Vec<u8>),
}

impl IntoChunks {
    pub(super) fn put(&mut self, event: Event) -> Event {
        match self.with_slot(&event.data) {
            Some(data) => Event { data, ..event },
            None => event,
        }
    }

    fn with_slot(&mut self, chunk: &Bytes) -> Option<Bytes> {
        if let Some(text) = self.alike.text_of(chunk) {
            let (before, behind) = &self.around;
            return (!text.is_empty()).then(|| [before, text.as_bytes(), behind].concat().into());
        }
        let look = look(chunk)?;
        let thoughts = thoughts(&look, |choice| choice.delta.as_ref())?;
        let slot = serde_json::to_string(&BTreeMap::from([(SLOT, thoughts)])).ok()?;
        if look.obfuscation.is_some() {
            let mut document = Document::parse(chunk.clone()).ok()?;
            document.set("obfuscation", slot).ok()?;
            return Some(document.to_bytes());
        }
        self.learn(chunk, &look);
        with_obfuscation(&escaped(&slot), chunk)
    }

    fn learn(&mut self, chunk: &[u8], look: &Look<'_>) {
        let [
            Choice {
                index, delta: Some(Said { reasoning_content: Some(Text(Cow::Borrowed(text))) }), ..
            },
        ] = look.choices.as_slice()
        else {
            return;
        };
        let Some(around) = moved(chunk, *index, text) else { return };
        if self.alike.learn(chunk, text) {
            self.around = around;
        }
    }
}

/// The chunk with its reasoning moved to the slot, without its text: async-openai would read it there for nothing.
fn moved(chunk: &[u8], index: u32, text: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let start = text.as_ptr().addr().checked_sub(chunk.as_ptr().addr())?;
    let before = chunk.get(..start)?.strip_suffix(b"\"")?.trim_ascii_end().strip_suffix(b":")?;
    let mut before = before.trim_ascii_end().strip_suffix(b"\"reasoning_content\"")?.trim_ascii_end();
    let mut behind = chunk.get(start + text.len()..)?.strip_prefix(b"\"")?.trim_ascii_start();
    // One of the commas goes with it.
    if let Some(more) = behind.strip_prefix(b",") {
        behind = more;
    } else {
        before = before.strip_suffix(b",").unwrap_or(before);
    }
    // There are choices, so it isn't the only member.
    let others = before.trim_ascii_start().strip_prefix(b"{")?;
    let slot = format!("{{\"obfuscation\":\"{PLAIN}{index} ");
    Some((slot.into_bytes(), [b"\",", others, behind].concat()))
}

/// A text without control characters, as it stands between quotes.
fn escaped(text: &str) -> Cow<'_, str> {
    if memchr::memchr2(b'"', b'\\', text.as_bytes()).is_none() {
        return text.into();
    }
    text.replace('\\', r"\\").replace('"', r#"\""#).into()
}

/// The chunk with a member before the others, which aren't taken apart; the slot is written as it stands between quotes.
fn with_obfuscation(slot: &str, chunk: &[u8]) -> Option<Bytes> {
    let others = chunk.trim_ascii_start().strip_prefix(b"{")?;
    // There are choices, so it isn't the only member.
    Some([b"{\"obfuscation\":\"", slot.as_bytes(), b"\",", others].concat().into())
}

/// What `reasoning_content` there is; `None` when there isn't any, found out by a look that costs next to nothing.
fn look(body: &[u8]) -> Option<Look<'_>> {
    static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"reasoning_content\""));
    NAME.find(body)?;
    serde_json::from_slice(body).ok()
}

/// The reasoning of each choice, by its index.
type Thoughts<'a> = BTreeMap<&'static str, BTreeMap<u32, &'a str>>;

fn thoughts<'a>(
    look: &'a Look<'_>,
    pick: impl Fn(&'a Choice<'_>) -> Option<&'a Said<'a>>,
) -> Option<Thoughts<'a>> {
    let texts: BTreeMap<u32, &str> = look
        .choices
        .iter()
        .filter_map(|choice| {
            let text = pick(choice)?.reasoning_content.as_ref()?.0.as_ref();
            (!text.is_empty()).then_some((choice.index, text))
        })
        .collect();
    (!texts.is_empty()).then(|| BTreeMap::from([("reasoning_content", texts)]))
}

#[derive(Deserialize)]
struct Look<'a> {
    #[serde(borrow)]
    choices: Vec<Choice<'a>>,
    #[serde(default)]
    obfuscation: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: u32,
    #[serde(borrow, default)]
    message: Option<Said<'a>>,
    #[serde(borrow, default)]
    delta: Option<Said<'a>>,
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow, default)]
    reasoning_content: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reasoning_of_each_choice_comes_through_a_reply() {
        let body = json!({"id":"1","object":"chat.completion","created":1,"model":"m","metadata":{"mine":"stays"},"choices":[
            {"index":0,"message":{"role":"assistant","content":"a","reasoning_content":"because \"a\"\n"}},
            {"index":1,"message":{"role":"assistant","content":"b","reasoning_content":"because b"}}]});
        let reply: CreateChatCompletionResponse =
            serde_json::from_slice(&into_reply(body.to_string().into())).unwrap();
        assert_eq!(reply.reasoning_content().as_deref(), Some("because \"a\"\n"));
        assert_eq!(reply.reasoning_content_of(1).as_deref(), Some("because b"));
        assert_eq!(serde_json::to_value(reply.metadata).unwrap()["mine"], "stays");
    }

    #[test]
    fn the_reasoning_of_each_chunk_comes_through_whether_it_is_like_the_one_before_or_not() {
        let mut chunks = IntoChunks::default();
        let chunk = |thoughts: &[&str]| {
            let choices = thoughts.iter().enumerate();
            let choice = |(index, thought)| json!({"index":index,"delta":{"content":"","reasoning_content":thought},"finish_reason":null});
            json!({"id":"1","object":"o","created":1,"model":"m","choices":choices.map(choice).collect::<Vec<_>>()})
        };
        for thoughts in [
            &["hm"][..],
            &["say \"9.8\"\n"],
            &["C:\\dir"],
            &[""],
            &["tab\t, \u{1}, 数"],
            &["a", "b\""],
            &["so"],
            &["so"],
        ] {
            let event = Event::new(chunk(thoughts).to_string());
            let put = chunks.put(event.clone());
            let read: CreateChatCompletionStreamResponse = put.json().unwrap();
            for (index, thought) in (0..).zip(thoughts) {
                assert_eq!(read.reasoning_content_of(index).unwrap_or_default(), *thought);
            }
            assert!(thoughts != [""] || put == event, "nothing was thought");
        }
    }

    #[test]
    fn wherever_the_reasoning_of_a_chunk_stands_the_rest_of_it_stays() {
        for delta in [
            r#""reasoning_content":"TEXT""#,
            r#""content":"c","reasoning_content":"TEXT""#,
            r#" "content" : "c" , "reasoning_content" : "TEXT" "#,
            r#""reasoning_content":"TEXT","content":"c""#,
            r#""role":"assistant", "reasoning_content": "TEXT", "content": "c""#,
        ] {
            let mut chunks = IntoChunks::default();
            for (count, text) in ["a b", "1 2", r#"say \"9\"\n"#, "so"].into_iter().enumerate() {
                let chunk = format!(
                    r#" {{"id":"1","object":"o","created":1,"model":"m","choices":[{{"index":3,"delta":{{{}}}}}]}}"#,
                    delta.replace("TEXT", text)
                );
                let put = chunks.put(Event::new(chunk.clone()));
                let read: CreateChatCompletionStreamResponse = put.json().unwrap();
                let wanted: CreateChatCompletionStreamResponse = serde_json::from_str(&chunk).unwrap();
                assert_eq!(read.choices, wanted.choices, "{chunk}");
                let thought: String = serde_json::from_str(&format!("\"{text}\"")).unwrap();
                assert_eq!(read.reasoning_content().as_deref(), Some(thought.as_str()), "{chunk}");
                assert_eq!(read.reasoning_content_of(0), None);
                let is_moved = memchr::memmem::find(&put.data, b"reasoning_content\"").is_none();
                assert_eq!(is_moved, count > 0, "{chunk}");
            }
        }
    }

    #[test]
    fn an_answer_without_reasoning_stays_as_it_is() {
        for body in [
            r#"{"choices":[{"index":0,"message":{"content":"x"}}]}"#,
            r#"{"choices":[{"index":0,"message":{"reasoning_content":null}}]}"#,
            "[]",
        ] {
            assert_eq!(into_reply(Bytes::from_static(body.as_bytes())), body);
        }
    }

    #[test]
    fn padding_of_openai_is_not_taken_for_reasoning() {
        let chunk =
            CreateChatCompletionStreamResponse { obfuscation: Some("aB3x".to_owned()), ..Default::default() };
        assert_eq!(chunk.reasoning_content_of(0), None);
    }
}
