//! `/files` of DeepSeek: images for a user's messages, documents to be read.
//!
//! <https://api-docs.deepseek.com/guides/files_api>

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::check::Refusal;
use crate::answer::Answer;
use crate::files::{File, list};
use crate::multipart::{self, Part};
use crate::recorded::Recorded;
use crate::state::{Shared, now};

/// As many files as an account may have. Only what is told about them is kept.
const MOST: usize = 10_000;

/// The purposes whose files are read as documents.
const DOCUMENTS: [&str; 2] = ["text_recognition", "rich_layout_recognition"];

pub(super) fn answer(shared: &Shared, request: &Recorded, id: &str) -> Answer {
    let key = request.bearer().unwrap_or_default();
    let answered = match (&request.method, id) {
        (&Method::POST, "") => upload(shared, request, key),
        (&Method::GET, "") => listed(shared, request, key),
        (&Method::GET, id) => {
            let about = shared.files().find(key, id).map(|file| file.about.clone());
            return about.map_or_else(|| absent(id), |about| Answer::json(StatusCode::OK, &about));
        }
        (&Method::DELETE, id) if !id.is_empty() => {
            return shared.files().delete(key, id).unwrap_or_else(|| absent(id));
        }
        _ => return Answer::empty(StatusCode::METHOD_NOT_ALLOWED),
    };
    answered.unwrap_or_else(|refusal| refusal.answer())
}

/// The content type of an image by its first bytes.
pub(super) fn image_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some("image/png"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

fn absent(id: &str) -> Answer {
    let message = format!("[simulated] No such file: {id}");
    super::error(StatusCode::NOT_FOUND, "invalid_request_error", &message)
}

fn upload(shared: &Shared, request: &Recorded, key: &str) -> Result<Answer, Refusal> {
    let parts = multipart::parts(request)
        .ok_or_else(|| Refusal::simulated("the body must be multipart/form-data"))?;
    let place = |name: &str| parts.iter().position(|part| part.name == name);
    let missing = |name: &str| Refusal::simulated(format!("missing form field `{name}`"));
    let purpose_place = place("purpose").ok_or_else(|| missing("purpose"))?;
    let file_place = place("file").ok_or_else(|| missing("file"))?;
    let (Some(purpose), Some(file)) = (parts.get(purpose_place), parts.get(file_place)) else {
        return Err(missing("file"));
    };
    let purpose = purpose.text();
    acceptable(&purpose, file, purpose_place < file_place)?;
    let created = now();
    let about = json!({
        "id": format!("file-api-{}", shared.ids(request).hex()), "object": "file", "bytes": file.content.len(),
        "created_at": created, "expires_at": lifetime(&parts)?.map(|seconds| created + seconds),
        "filename": file.filename.as_deref().unwrap_or("file"), "purpose": purpose, "status": "processed",
    });
    let file = File { about: about.clone(), content: Bytes::new(), owner: key.to_owned() };
    shared.files().push(file, MOST);
    Ok(Answer::json(StatusCode::OK, &about))
}

/// Whether the file fits its purpose; `purpose_first` is how a document must arrive.
fn acceptable(purpose: &str, file: &Part, purpose_first: bool) -> Result<(), Refusal> {
    let content = &file.content;
    if content.is_empty() {
        return Err(Refusal::simulated("the file is empty"));
    }
    if purpose == "user_data" {
        if image_type(content).is_none() {
            return Err(Refusal::simulated("a file for `user_data` must be a JPEG, PNG, GIF or WebP image"));
        }
        return at_most(content, 64);
    }
    if !DOCUMENTS.contains(&purpose) {
        return Err(Refusal::simulated(format!(
            "unknown purpose `{purpose}`, expected one of `user_data`, `text_recognition`, `rich_layout_recognition`"
        )));
    }
    if !purpose_first {
        return Err(Refusal::simulated("the field `purpose` must come before `file`"));
    }
    let office =
        [&b"%PDF"[..], b"PK\x03\x04", b"\xd0\xcf\x11\xe0"].iter().any(|mark| content.starts_with(mark));
    if !office && std::str::from_utf8(content).is_err() {
        return Err(Refusal::simulated("the file is no document that can be read"));
    }
    at_most(content, if office { 100 } else { 32 })
}

fn at_most(content: &Bytes, mebibytes: usize) -> Result<(), Refusal> {
    if content.len() <= mebibytes << 20 {
        return Ok(());
    }
    Err(Refusal::simulated(format!("the file is larger than {mebibytes} MiB")))
}

/// The seconds after which the file is deleted, if any are given.
fn lifetime(parts: &[Part]) -> Result<Option<u64>, Refusal> {
    let field = |name: &str| {
        let name = format!("expires_after[{name}]");
        parts.iter().find(|part| part.name == name).map(Part::text)
    };
    match (field("anchor"), field("seconds")) {
        (None, None) => Ok(None),
        (Some(anchor), Some(seconds)) if anchor == "created_at" => {
            let seconds = seconds.parse().ok().filter(|seconds| (3600..=2_592_000).contains(seconds));
            seconds.map(Some).ok_or_else(|| {
                Refusal::simulated("expires_after[seconds] must be a whole number from 3600 to 2592000")
            })
        }
        _ => Err(Refusal::simulated("expires_after needs `seconds` and the anchor `created_at`")),
    }
}

fn listed(shared: &Shared, request: &Recorded, key: &str) -> Result<Answer, Refusal> {
    let query = request.path.split_once('?').map_or("", |(_, query)| query);
    let asked = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let limit = asked("limit").map_or(Ok(1000), str::parse).ok().filter(|limit| (1..=1000).contains(limit));
    let limit: usize =
        limit.ok_or_else(|| Refusal::simulated("limit must be a whole number from 1 to 1000"))?;
    let newest_first = match asked("order") {
        None | Some("desc") => true,
        Some("asc") => false,
        Some(_) => return Err(Refusal::simulated("order must be `asc` or `desc`")),
    };
    let fits = |file: &&File| asked("purpose").is_none_or(|purpose| file.text("purpose") == purpose);
    let files = shared.files();
    let mut found: Vec<&File> = files.of(key).filter(fits).collect();
    if newest_first {
        found.reverse();
    }
    if let Some(after) = asked("after") {
        let place = found.iter().position(|file| file.text("id") == after);
        let place = place.ok_or_else(|| Refusal::simulated("after must be the id of a listed file"))?;
        found.drain(..=place);
    }
    let data: Vec<Value> = found.iter().take(limit).map(|file| file.about.clone()).collect();
    Ok(list(&data, found.len() > limit))
}
