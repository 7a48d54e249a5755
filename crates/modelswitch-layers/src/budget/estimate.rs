//! What a call can take before anybody knows what it took.

use modelswitch_provider::{Payload, Request, Usage};
use serde_json::{Value, json};

use crate::size::{most_output, text_and_pieces};

/// A token has three to four bytes of most texts, and never less than one. JSON around the messages makes up for texts that
/// have more tokens.
const BYTES_PER_TOKEN: u64 = 3;

/// Services count an image or a piece of sound by what is seen or heard, whatever its size: up to some two thousand tokens.
const TOKENS_PER_PIECE: u64 = 2000;

/// A token for each three bytes of the request, and all the tokens that the answer may have.
pub(super) fn estimated_usage(request: &Request, assumed_output: u64) -> Usage {
    let input = match &request.body {
        // Writing a document that was changed anew would copy the whole conversation.
        Payload::Json(document) => {
            document.members().map(|(_, json)| tokens_of(json)).fold(0, u64::saturating_add)
        }
        Payload::Raw { bytes, .. } => count(bytes.len()).div_ceil(BYTES_PER_TOKEN),
        _ => 0,
    };
    let output = output_of(request, assumed_output);
    let mut usage = Usage::default();
    usage.prompt_tokens = input;
    usage.completion_tokens = output;
    usage.total_tokens = input.saturating_add(output);
    usage
}

fn tokens_of(json: &str) -> u64 {
    let (text, pieces) = text_and_pieces(json.as_bytes());
    count(text).div_ceil(BYTES_PER_TOKEN).saturating_add(pieces.saturating_mul(TOKENS_PER_PIECE))
}

fn count(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

fn output_of(request: &Request, assumed: u64) -> u64 {
    // Vectors aren't counted in tokens.
    if request.endpoint.path() == modelswitch_provider::Endpoint::EMBEDDINGS.path() {
        return 0;
    }
    let number = |name: &str| {
        let text = request.document()?.get_raw(name)?;
        serde_json::from_str::<Value>(text).unwrap_or(json!(null)).as_u64()
    };
    let most = request.document().and_then(most_output);
    let answers = ["n", "best_of"].into_iter().filter_map(number).max().unwrap_or(1).max(1);
    most.unwrap_or(assumed).saturating_mul(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_is_of_all_that_the_request_allows() {
        for (body, output) in [
            (json!({}), 100),
            (json!({ "max_tokens": 7 }), 7),
            (json!({ "max_tokens": 7, "max_completion_tokens": 9, "n": 3 }), 27),
            (json!({ "max_output_tokens": 5, "n": 0 }), 5),
            (json!({ "max_tokens": "many", "n": null }), 100),
            (json!({ "max_tokens": u64::MAX, "n": 2 }), u64::MAX),
        ] {
            let usage = estimated_usage(&Request::chat(&body).unwrap(), 100);
            assert_eq!(usage.completion_tokens, output, "{body}");
        }
        let body = json!({ "messages": "x".repeat(300) });
        let usage = estimated_usage(&Request::chat(&body).unwrap(), 0);
        assert!((100..105).contains(&usage.prompt_tokens));
    }

    #[test]
    fn an_image_is_not_counted_by_its_size() {
        let image = json!({ "url": format!("data:image/png;base64,{}", "x".repeat(5_000_000)) });
        let body = json!({ "messages": [{ "content": [image, image, { "text": "y".repeat(3000) }] }] });
        let usage = estimated_usage(&Request::chat(&body).unwrap(), 0);
        assert!((5000..5100).contains(&usage.prompt_tokens), "{}", usage.prompt_tokens);
    }

    #[test]
    fn a_text_of_nothing_but_beginnings_is_looked_through_once() {
        let body = json!({ "messages": ";base64,".repeat(500_000) });
        let usage = estimated_usage(&Request::chat(&body).unwrap(), 0);
        assert_eq!(usage.prompt_tokens, 1 + TOKENS_PER_PIECE);
    }
}
