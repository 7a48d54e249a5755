//! Uploads, kept while the simulator runs.

use std::collections::VecDeque;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::state::now;

/// The latest uploads, oldest first.
#[derive(Default)]
pub(crate) struct Files(VecDeque<File>);

/// One upload: what is told about it, and its content where that can be asked for.
pub(crate) struct File {
    pub(crate) about: Value,
    pub(crate) content: Bytes,
    /// The key it was uploaded with, which alone sees it; empty where every key does.
    pub(crate) owner: String,
}

impl File {
    pub(crate) fn text(&self, field: &str) -> &str {
        self.about.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    fn is_expired(&self) -> bool {
        self.about.get("expires_at").and_then(Value::as_u64).is_some_and(|end| end <= now())
    }
}

impl Files {
    /// Keeps a file. Beyond `most` of them the oldest is forgotten, so that a long demo doesn't fill the
    /// memory.
    pub(crate) fn push(&mut self, file: File, most: usize) {
        self.0.push_back(file);
        if self.0.len() > most {
            self.0.pop_front();
        }
    }

    /// The files of a key, oldest first.
    pub(crate) fn of<'a>(&'a self, owner: &'a str) -> impl DoubleEndedIterator<Item = &'a File> {
        self.0.iter().filter(move |file| file.owner == owner && !file.is_expired())
    }

    pub(crate) fn find<'a>(&'a self, owner: &'a str, id: &str) -> Option<&'a File> {
        self.of(owner).find(|file| file.text("id") == id)
    }

    /// Forgets a file; the answer to it, if there was one.
    pub(crate) fn delete(&mut self, owner: &str, id: &str) -> Option<Answer> {
        let before = self.0.len();
        self.0.retain(|file| file.owner != owner || file.text("id") != id);
        let deleted = json!({"id": id, "object": "file", "deleted": true});
        (self.0.len() < before).then(|| Answer::json(StatusCode::OK, &deleted))
    }
}

/// A list as both services write it.
pub(crate) fn list(data: &[Value], has_more: bool) -> Answer {
    let end = |file: Option<&Value>| file.and_then(|about| about.get("id")).cloned().unwrap_or_default();
    let (first, last) = (end(data.first()), end(data.last()));
    let list =
        json!({"object": "list", "first_id": first, "last_id": last, "has_more": has_more, "data": data});
    Answer::json(StatusCode::OK, &list)
}
