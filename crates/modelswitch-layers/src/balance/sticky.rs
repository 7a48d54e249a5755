//! Which calls belong together, and to which target.

use std::borrow::Cow;

use modelswitch_provider::Request;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Target;

/// In [`Request::extensions`]: what this call belongs to, whatever [`StickyBy`] says.
///
/// ```
/// use modelswitch_layers::StickyKey;
/// use modelswitch_provider::ChatRequest;
///
/// let mut request = ChatRequest::user("Hi").into_request()?;
/// request.extensions.insert(StickyKey("tenant 7".into()));
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StickyKey(pub String);

/// By what calls belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StickyBy {
    /// Only by a [`StickyKey`].
    Key,
    /// By OpenAI's `prompt_cache_key`.
    PromptCacheKey,
    /// By `safety_identifier`, `user_id` or `user`.
    User,
    /// By the beginning of the conversation: all that comes before the first answer, which stays as the conversation grows
    /// and is what a prompt cache knows again. The messages are looked through once.
    Conversation,
}

impl StickyBy {
    pub(super) fn key_of(self, request: &Request) -> Option<Cow<'_, str>> {
        if let Some(StickyKey(key)) = request.extensions.get::<StickyKey>() {
            return Some(Cow::Borrowed(key));
        }
        let body = request.document()?;
        let text =
            |names: &[&str]| names.iter().find_map(|name| body.str(name)).filter(|key| !key.is_empty());
        match self {
            Self::Key => None,
            Self::PromptCacheKey => text(&["prompt_cache_key"]),
            Self::User => text(&["safety_identifier", "user_id", "user"]),
            Self::Conversation => beginning(body.get_raw("messages")?).map(Cow::Owned),
        }
    }
}

fn beginning(messages: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Role<'a> {
        #[serde(borrow)]
        role: Cow<'a, str>,
    }
    let messages: Vec<&RawValue> = serde_json::from_str(messages).ok()?;
    let asked = messages.iter().take_while(|message| {
        serde_json::from_str::<Role<'_>>(message.get()).is_ok_and(|message| message.role != "assistant")
    });
    let text: String = asked.map(|message| message.get()).collect();
    (!text.is_empty()).then_some(text)
}

/// How much a key belongs to a target, by weighted rendezvous hashing: the highest score has it. Each target's score is its
/// own, so that another target more or less moves no key between two others.
pub(super) fn score(key: &str, target: &Target) -> f64 {
    let hash = spread(fnv(fnv(FNV_BEGIN, target.to_string().as_bytes()), key.as_bytes()));
    #[expect(clippy::cast_precision_loss, reason = "53 bits of it are kept, on purpose")]
    let share = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -f64::from(target.weight) / share.ln()
}

const FNV_BEGIN: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a: the standard library's hashes may differ between versions of Rust, and so between machines.
fn fnv(begin: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(begin, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The last step of splitmix64: FNV alone doesn't reach the upper bits with short keys.
fn spread(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
