//! The bytes of an input: some that choose, and the rest, which is what is read.

use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use modelswitch_openai::{EmptyAnswer, ForcedToolChoice, JsonSchema, Policies, Profile};
use modelswitch_provider::Endpoint;

pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// One byte that chooses; 0 where there is none left.
    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// One of a list that isn't empty.
    pub(crate) fn one_of<T: Clone>(&mut self, list: &[T]) -> Option<T> {
        list.get(usize::from(self.byte()) % list.len().max(1)).cloned()
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn profile(&mut self) -> Profile {
        let names: Vec<_> = Profile::embedded_names().collect();
        self.one_of(&names).and_then(Profile::embedded).unwrap_or_default()
    }

    /// The endpoints whose bodies are known, the chat more often than the others.
    pub(crate) fn endpoint(&mut self) -> Endpoint {
        let chat = Endpoint::CHAT_COMPLETIONS;
        let messages =
            Endpoint::new(http::Method::POST, "/v1/messages").unwrap_or(Endpoint::CHAT_COMPLETIONS);
        let all = [
            chat.clone(),
            Endpoint::COMPLETIONS,
            Endpoint::EMBEDDINGS,
            Endpoint::MODELS,
            Endpoint::RESPONSES,
            messages,
            chat.clone(),
            chat.clone(),
        ];
        self.one_of(&all).unwrap_or(chat)
    }

    pub(crate) fn policies(&mut self) -> Policies {
        let bits = self.byte();
        let has = |bit: u8| bits & (1 << bit) != 0;
        Policies {
            strict: has(0),
            forced_tool_choice: if has(1) {
                ForcedToolChoice::Auto
            } else {
                ForcedToolChoice::DisableThinking
            },
            json_schema: if has(2) { JsonSchema::StrictTool } else { JsonSchema::default() },
            empty_answer: if has(3) { EmptyAnswer::Error } else { EmptyAnswer::default() },
            ..Policies::default()
        }
    }

    pub(crate) fn content_type(&mut self) -> HeaderMap {
        let all = ["application/json", "text/event-stream", "text/html", "text/plain"];
        let value = self.one_of(&all).map(HeaderValue::from_static);
        value.into_iter().map(|value| (CONTENT_TYPE, value)).collect()
    }
}

/// The bytes in pieces, whose lengths go by the seed; with the seed 0 in one, with 1 byte by byte.
pub(crate) fn pieces(bytes: &[u8], seed: u8) -> Vec<&[u8]> {
    let longest = match seed {
        0 => return vec![bytes],
        1 => 1,
        seed => usize::from(seed),
    };
    let (mut pieces, mut rest, mut state) = (Vec::new(), bytes, u32::from(seed));
    while !rest.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = usize::try_from(state >> 24).unwrap_or(1) % longest + 1;
        let (piece, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// The same of a text, whose characters stay whole.
pub(crate) fn texts(text: &str, seed: u8) -> Vec<&str> {
    let (mut texts, mut begin, mut end) = (Vec::new(), 0, 0);
    for piece in pieces(text.as_bytes(), seed) {
        end += piece.len();
        if text.is_char_boundary(end) {
            texts.extend(text.get(begin..end));
            begin = end;
        }
    }
    texts
}
