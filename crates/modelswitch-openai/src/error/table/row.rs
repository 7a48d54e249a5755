//! The table of error bodies as it stands in `tests/error_bodies.toml`. The workspace's `tests/error_bodies.rs` reads it with
//! this file, too.

use std::collections::BTreeMap;

use modelswitch_provider::Error;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    pub(super) row: Vec<Row>,
}

/// What a service answers.
#[derive(Deserialize)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) service: String,
    pub(super) source: String,
    pub(super) sure: String,
    pub(super) status: u16,
    #[serde(default)]
    pub(super) stream: bool,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
    #[serde(flatten)]
    pub(super) wanted: Wanted,
}

/// What it must become.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub(super) struct Wanted {
    pub(super) kind: String,
    message: String,
    code: Option<String>,
    r#type: Option<String>,
    param: Option<String>,
    request_id: Option<String>,
    retry_after: Option<f64>,
    should_retry: Option<bool>,
}

impl Wanted {
    pub(super) fn of(error: &Error) -> Self {
        Self {
            kind: error.kind().as_str().to_owned(),
            message: error.message().to_owned(),
            code: error.code().map(str::to_owned),
            r#type: error.upstream_type().map(str::to_owned),
            param: error.param().map(str::to_owned),
            request_id: error.request_id().map(str::to_owned),
            retry_after: error.retry_after().map(|wait| wait.as_secs_f64()),
            should_retry: error.should_retry(),
        }
    }

    /// True for the same, whatever became of a wait's last digits on the way.
    pub(super) fn is_met_by(&self, found: &Self) -> bool {
        let is_close = match (self.retry_after, found.retry_after) {
            (Some(wanted), Some(found)) => (found - wanted).abs() < 0.002,
            (wanted, found) => wanted == found,
        };
        is_close && Self { retry_after: self.retry_after, ..found.clone() } == *self
    }
}
