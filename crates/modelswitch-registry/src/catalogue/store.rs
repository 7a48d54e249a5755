//! The catalogue's file: what services listed, for the next process.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use modelswitch_openai::Moment;
use serde::{Deserialize, Serialize};

use super::model::Listed;
use super::{List, Owner};

/// A file of a few kilobytes, read once a provider and written once a list: not worth a thread of its own.
#[derive(Clone, Debug)]
pub(super) struct Store {
    path: PathBuf,
    /// Held while a list is put beside the others.
    putting: Arc<Mutex<()>>,
}

#[derive(Default, Serialize, Deserialize)]
struct Contents {
    version: u32,
    #[serde(default)]
    lists: BTreeMap<String, Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    base_url: Option<String>,
    /// What the configuration allowed when it was asked for: the list has no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rules: Option<String>,
    read: Moment,
    models: Vec<Listed>,
}

const VERSION: u32 = 1;

impl Store {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { path: folder.join("models.json"), putting: Arc::default() }
    }

    /// What was listed, and when.
    pub(super) fn get(&self, owner: &Owner) -> Option<(Vec<Listed>, SystemTime)> {
        let entry = self.contents().lists.remove(&owner.provider)?;
        let is_theirs = entry.base_url == owner.base_url && entry.rules == owner.rules;
        is_theirs.then_some((entry.models, entry.read.time()))
    }

    /// Puts a list beside the others. Of two processes that do so at once, one may lose its list, and asks again.
    pub(super) fn put(&self, owner: &Owner, list: &List) {
        let _one_at_a_time = self.putting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut contents = self.contents();
        contents.version = VERSION;
        let entry = Entry {
            base_url: owner.base_url.clone(),
            rules: owner.rules.clone(),
            read: Moment::from(list.read),
            models: list.models.to_vec(),
        };
        contents.lists.insert(owner.provider.clone(), entry);
        if let Err(error) = self.write(&contents) {
            tracing::warn!(path = %self.path.display(), %error, "the list of models can't be kept");
        }
    }

    fn contents(&self) -> Contents {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Contents::default(),
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "the kept lists of models can't be read");
                return Contents::default();
            }
        };
        match serde_json::from_slice::<Contents>(&text) {
            Ok(contents) if contents.version == VERSION => contents,
            Ok(_) | Err(_) => {
                tracing::warn!(path = %self.path.display(), "the kept lists of models are broken and ignored");
                Contents::default()
            }
        }
    }

    /// Whole or not at all: written beside it, then put in its place.
    fn write(&self, contents: &Contents) -> io::Result<()> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let folder = self.path.parent().unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(folder)?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let beside = folder.join(format!(".models.{}.{number}.tmp", std::process::id()));
        let written = fs::write(&beside, serde_json::to_vec(contents)?);
        let placed = written.and_then(|()| fs::rename(&beside, &self.path));
        if placed.is_err() {
            // What is left of it is of no use; that it can't be taken away either changes nothing.
            let _ = fs::remove_file(&beside);
        }
        placed
    }
}
