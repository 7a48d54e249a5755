//! How much there is in a request, for those who must guess what it takes.

use std::sync::LazyLock;

use memchr::memchr;
use memchr::memmem::Finder;
use modelswitch_provider::Document;

/// The bytes of JSON text without its images and pieces of sound, and how many of those there are: they stand in it as the
/// base64 of data URLs, and their size says nothing of what they take.
///
/// Each byte is looked at once, whatever stands in the text: a piece goes up to the end of its string, so a text of nothing but
/// beginnings isn't looked through anew for each of them.
pub(crate) fn text_and_pieces(json: &[u8]) -> (usize, u64) {
    static BEGIN: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b";base64,"));
    let (mut rest, mut text, mut pieces) = (json, 0, 0_u64);
    while let Some(begin) = BEGIN.find(rest) {
        text += begin;
        pieces += 1;
        let piece = rest.get(begin..).unwrap_or_default();
        rest = memchr(b'"', piece).and_then(|end| piece.get(end..)).unwrap_or_default();
    }
    (text + rest.len(), pieces)
}

/// How many tokens a request allows its answer, where it says so.
pub(crate) fn most_output(body: &Document) -> Option<u64> {
    let names = ["max_completion_tokens", "max_tokens", "max_output_tokens"];
    names.iter().find_map(|name| body.get_raw(name)?.parse().ok())
}
