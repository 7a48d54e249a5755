//! `/v1/files`.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{error, invalid, missing, wrong_method};
use crate::answer::Answer;
use crate::files::{File, list};
use crate::multipart;
use crate::recorded::Recorded;
use crate::state::{Shared, now};

/// Contents are kept, so there are not many.
const MOST: usize = 64;

/// Every key sees every file.
const OWNER: &str = "";

pub(super) fn answer(shared: &Shared, request: &Recorded, path: &str) -> Answer {
    let (id, rest) = path.split_once('/').unwrap_or((path, ""));
    let method = &request.method;
    match (id, rest) {
        ("", "") if method == Method::POST => upload(shared, request),
        ("", "") if method == Method::GET => {
            let data: Vec<Value> = shared.files().of(OWNER).map(|file| file.about.clone()).collect();
            list(&data, false)
        }
        (id, "") if method == Method::GET => shared
            .files()
            .find(OWNER, id)
            .map_or_else(|| absent(id), |file| Answer::json(StatusCode::OK, &file.about)),
        (id, "content") if method == Method::GET => shared.files().find(OWNER, id).map_or_else(
            || absent(id),
            |file| Answer::body(StatusCode::OK, "application/octet-stream", file.content.clone()),
        ),
        (id, "") if method == Method::DELETE => {
            shared.files().delete(OWNER, id).unwrap_or_else(|| absent(id))
        }
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
    let file = File { about: about.clone(), content: file.content.clone(), owner: OWNER.to_owned() };
    shared.files().push(file, MOST);
    Answer::json(StatusCode::OK, &about)
}

fn absent(id: &str) -> Answer {
    let message = format!("No such File object: {id}");
    error(StatusCode::NOT_FOUND, "invalid_request_error", &message, json!("id"), Value::Null)
}
