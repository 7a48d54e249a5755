//! `/v1/files`: uploads kept while the simulator runs.

use std::collections::VecDeque;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{error, invalid, missing, multipart, wrong_method};
use crate::answer::Answer;
use crate::recorded::Recorded;
use crate::state::{Shared, now};

/// The latest uploads.
#[derive(Default)]
pub(crate) struct Files(VecDeque<File>);

/// Older uploads are forgotten, so that a long demo doesn't fill the memory.
const MOST: usize = 64;

struct File {
    about: Value,
    content: Bytes,
}

impl Files {
    fn find(&self, id: &str) -> Option<&File> {
        self.0.iter().find(|file| file.is(id))
    }
}

impl File {
    fn is(&self, id: &str) -> bool {
        self.about.get("id").and_then(Value::as_str) == Some(id)
    }
}

pub(super) fn answer(shared: &Shared, request: &Recorded, path: &str) -> Answer {
    let (id, rest) = path.split_once('/').unwrap_or((path, ""));
    let method = &request.method;
    match (id, rest) {
        ("", "") if method == Method::POST => upload(shared, request),
        ("", "") if method == Method::GET => list(shared),
        (id, "") if method == Method::GET => shared
            .files()
            .find(id)
            .map_or_else(|| absent(id), |file| Answer::json(StatusCode::OK, &file.about)),
        (id, "content") if method == Method::GET => shared.files().find(id).map_or_else(
            || absent(id),
            |file| Answer::body(StatusCode::OK, "application/octet-stream", file.content.clone()),
        ),
        (id, "") if method == Method::DELETE => delete(shared, id),
        _ => wrong_method(request),
    }
}

fn upload(shared: &Shared, request: &Recorded) -> Answer {
    let Some(parts) = multipart::parts(request) else {
        return invalid("The body must be multipart/form-data.", Value::Null);
    };
    let Some(file) = parts.iter().find(|part| part.name == "file") else { return missing("file") };
    let Some(purpose) = parts.iter().find(|part| part.name == "purpose") else { return missing("purpose") };
    let about = json!({
        "id": format!("file-{}", shared.ids(request).letters(22)), "object": "file",
        "bytes": file.content.len(), "created_at": now(), "filename": file.filename.as_deref().unwrap_or("file"),
        "purpose": purpose.text(), "status": "processed",
    });
    let mut files = shared.files();
    files.0.push_back(File { about: about.clone(), content: file.content.clone() });
    if files.0.len() > MOST {
        files.0.pop_front();
    }
    Answer::json(StatusCode::OK, &about)
}

fn list(shared: &Shared) -> Answer {
    let data: Vec<Value> = shared.files().0.iter().map(|file| file.about.clone()).collect();
    let end = |file: Option<&Value>| file.and_then(|about| about.get("id")).cloned().unwrap_or_default();
    let (first, last) = (end(data.first()), end(data.last()));
    let list = json!({"object": "list", "first_id": first, "last_id": last, "has_more": false, "data": data});
    Answer::json(StatusCode::OK, &list)
}

fn delete(shared: &Shared, id: &str) -> Answer {
    let mut files = shared.files();
    let before = files.0.len();
    files.0.retain(|file| !file.is(id));
    if files.0.len() == before {
        return absent(id);
    }
    Answer::json(StatusCode::OK, &json!({"id": id, "object": "file", "deleted": true}))
}

fn absent(id: &str) -> Answer {
    let message = format!("No such File object: {id}");
    error(StatusCode::NOT_FOUND, "invalid_request_error", &message, json!("id"), Value::Null)
}
