//! `/v1/audio/…`: what was received instead of what was said, and bytes instead of a voice.

use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::{invalid, missing, no_model, serving};
use crate::answer::{Answer, Piece};
use crate::multipart;
use crate::recorded::Recorded;
use crate::state::{Ids, Shared};

/// The size of one simulated frame of sound, each flushed by itself.
const FRAME: usize = 1024;

pub(super) fn transcription(request: &Recorded) -> Answer {
    let Some(parts) = multipart::parts(request) else {
        return invalid("The body must be multipart/form-data.", Value::Null);
    };
    let value = |name: &str| parts.iter().find(|part| part.name == name);
    let Some(file) = value("file") else { return missing("file") };
    let Some(model) = value("model").map(multipart::Part::text) else { return missing("model") };
    if serving(&model).is_none() {
        return no_model(&model);
    }
    let name = file.filename.as_deref().unwrap_or("file");
    let text = format!("[simulated transcription] {name}, {} bytes", file.content.len());
    if value("response_format").is_some_and(|format| format.text() == "text") {
        return Answer::body(StatusCode::OK, "text/plain; charset=utf-8", format!("{text}\n"));
    }
    // Whisper is billed by the second; the file's own length is as good a number as any.
    let usage = json!({"type": "duration", "seconds": file.content.len()});
    Answer::json(StatusCode::OK, &json!({"text": text, "usage": usage}))
}

pub(super) fn speech(shared: &Shared, body: &Value) -> Answer {
    let asked = body.get("model").and_then(Value::as_str).unwrap_or_default();
    if serving(asked).is_none() {
        return no_model(asked);
    }
    let Some(input) = body.get("input").and_then(Value::as_str) else { return missing("input") };
    let frames = (input.len() / 16 + 1).min(64);
    let mut numbers = Ids::from_text(input);
    let mut frame = || Piece::Other((0..FRAME / 8).flat_map(|_| numbers.number().to_le_bytes()).collect());
    let mut pieces = vec![Piece::Other("ID3".into())];
    pieces.extend((0..frames).map(|_| frame()));
    let mut answer = Answer::empty(StatusCode::OK).with(CONTENT_TYPE, "audio/mpeg");
    answer.pieces = pieces;
    answer.delivery.pace = Some(shared.settings.chunk_delay);
    answer
}
