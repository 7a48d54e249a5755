//! How many tokens a request may take, before anybody has counted them.

use modelswitch_provider::{Endpoint, Request};

use crate::repeatable::wants_an_answer;
use crate::size::{most_output, text_and_pieces};

/// English has four letters a token. Chinese has more tokens than that for its letters, and as many for its bytes.
const BYTES_A_TOKEN: usize = 4;
/// An image or a piece of audio: services count a few hundred to a few thousand, whatever its size in bytes.
const TOKENS_A_PIECE: u64 = 1000;
/// What a model reads.
const READ: [&str; 7] = ["messages", "input", "prompt", "suffix", "instructions", "system", "tools"];

/// Those of the request and, unless it limits its answer itself, so many for that.
pub(super) fn tokens(request: &Request, answer: u64) -> u64 {
    let Some(body) = request.document().filter(|_| wants_an_answer(request)) else { return 0 };
    let read = READ.iter().filter_map(|name| body.get_raw(name)).map(of_text).fold(0, u64::saturating_add);
    let written = match most_output(body) {
        // It says it for no reason: a list of numbers has no length.
        _ if request.endpoint.path() == Endpoint::EMBEDDINGS.path() => 0,
        Some(limit) => limit,
        None => answer,
    };
    read.saturating_add(written)
}

fn of_text(json: &str) -> u64 {
    let (text, pieces) = text_and_pieces(json.as_bytes());
    let text = u64::try_from(text.div_ceil(BYTES_A_TOKEN)).unwrap_or(u64::MAX);
    text.saturating_add(pieces.saturating_mul(TOKENS_A_PIECE))
}

#[cfg(test)]
mod tests {
    use modelswitch_provider::Document;
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(path: &'static str, body: &Value, wanted: u64) {
        let endpoint = Endpoint::new("POST".parse().unwrap(), path).unwrap();
        let request = Request::new(endpoint, Document::from_serialize(body).unwrap());
        assert_eq!(tokens(&request, 100), wanted, "{path} {body}");
    }

    #[test]
    fn what_is_read_and_what_may_be_written_counts() {
        let messages = json!([{ "role": "user", "content": "x".repeat(370) }]); // 400 bytes of JSON
        check("/chat/completions", &json!({ "model": "m", "messages": messages }), 200);
        check("/chat/completions", &json!({ "messages": messages, "max_tokens": 7 }), 107);
        check(
            "/chat/completions",
            &json!({ "messages": messages, "max_tokens": null, "max_completion_tokens": 9 }),
            109,
        );
        check("/chat/completions", &json!({ "messages": messages, "max_tokens": -1 }), 200);
        check("/responses", &json!({ "input": "x".repeat(38), "max_output_tokens": 5 }), 15);
        check("/embeddings", &json!({ "input": "x".repeat(38) }), 10);
        check("/files", &json!({ "input": "x".repeat(38) }), 0);
    }

    #[test]
    fn binary_pieces_count_the_same_however_large() {
        for size in [40, 4_000_000] {
            let image = format!("data:image/png;base64,{}", "A".repeat(size));
            let messages = json!([{ "role": "user", "content": [{ "type": "image_url", "image_url": { "url": image } }] }]);
            check("/chat/completions", &json!({ "messages": messages, "max_tokens": 0 }), 1022);
        }
    }

    #[test]
    fn a_text_made_to_look_like_many_pieces_is_one() {
        let body = json!({ "messages": ";base64,".repeat(500_000), "max_tokens": 0 });
        check("/chat/completions", &body, 1001);
    }
}
