//! What a check found: types for products to read, as values or as JSON.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use modelswitch_deepseek::Balance;
use modelswitch_provider::Error;
use serde::{Serialize, Serializer};

/// What a check of one provider found. With `--json` in mind it serialises.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct CheckReport {
    /// The provider.
    pub provider: String,
    /// Where it is.
    pub base_url: Option<String>,
    /// The stages in their order. After one that failed the others are skipped. A stage that a provider can't have, such
    /// as TLS on plain http, isn't there.
    pub stages: Vec<StageReport>,
    /// Each of several keys, in the order of the configuration, tried by itself: calls would go on with another where one
    /// fails, and nobody would notice. Empty for a single key, which the stages tell of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyReport>,
    /// How long the whole check took.
    #[serde(rename = "duration_ms", serialize_with = "as_millis")]
    pub duration: Duration,
    /// What was learnt on the way.
    pub metadata: CheckMetadata,
}

impl CheckReport {
    /// True when no stage failed, and none of several keys.
    pub fn passed(&self) -> bool {
        self.failure().is_none() && self.failed_keys().next().is_none()
    }

    /// True when the service answered as it should at least once: it listed its models, told its balance, or a model
    /// answered. What passed without that, such as a check without a completion of a service that lists no models, only
    /// didn't fail.
    pub fn proved(&self) -> bool {
        [Stage::Authorised, Stage::Models, Stage::Balance, Stage::Completion]
            .into_iter()
            .filter_map(|stage| self.stage(stage))
            .any(|report| report.outcome == Outcome::Passed)
    }

    /// Those of several keys that failed. The provider may work all the same, with the others.
    pub fn failed_keys(&self) -> impl Iterator<Item = &KeyReport> {
        self.keys.iter().filter(|key| key.outcome == Outcome::Failed)
    }

    /// The stage that failed; the ones after it were skipped.
    pub fn failure(&self) -> Option<&StageReport> {
        self.stages.iter().find(|stage| stage.outcome == Outcome::Failed)
    }

    /// What one stage found; `None` for one that this provider hasn't.
    pub fn stage(&self, stage: Stage) -> Option<&StageReport> {
        self.stages.iter().find(|report| report.stage == stage)
    }
}

/// What a check learnt on the way, for a product to show or compare. What wasn't told is empty.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct CheckMetadata {
    /// The addresses behind the name.
    pub addresses: Vec<SocketAddr>,
    /// The variable whose proxy is used, such as `HTTPS_PROXY`. Its URL may hold a password and isn't shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// The version of HTTP that the service spoke, such as `HTTP/2.0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_version: Option<String>,
    /// Headers that tell of the service's version and of limits: `server`, `via`, `openai-version`, `x-ratelimit-…`, ….
    pub headers: BTreeMap<String, String>,
    /// The service's id of the last request that had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The ids of the models that it lists.
    pub models: Vec<String>,
    /// The model that the answer to the completion names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serving_model: Option<String>,
    /// What is left on the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance: Option<Balance>,
}

/// What one stage of a check found.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct StageReport {
    /// Which stage.
    pub stage: Stage,
    /// How it went.
    pub outcome: Outcome,
    /// What was found, or why it was skipped.
    pub detail: String,
    /// What to do about a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// How long it took; nothing for a stage that is read off another one's answer.
    #[serde(rename = "duration_ms", serialize_with = "as_millis")]
    pub duration: Duration,
}

/// What a check found of one of several keys. Never the key.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct KeyReport {
    /// Where it comes from, as [`KeyInfo::source`](crate::KeyInfo::source) has it.
    pub source: String,
    /// How it went. Skipped is what shows nothing of the key, such as a service that is overloaded.
    pub outcome: Outcome,
    /// What was found, or why it doesn't show.
    pub detail: String,
    /// What to do about a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// How long it took.
    #[serde(rename = "duration_ms", serialize_with = "as_millis")]
    pub duration: Duration,
}

/// What a check looks at, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// The configuration says where the provider is. A mistake in it would have kept the registry from being built.
    Configuration,
    /// The key is there, or none is needed.
    Key,
    /// The name in the base URL has an address.
    Dns,
    /// A connection can be made.
    Tcp,
    /// The service shows a certificate that is trusted.
    Tls,
    /// The service answers at its base URL.
    Reachable,
    /// It takes the key.
    Authorised,
    /// It lists its models.
    Models,
    /// Something is left on the account. Only where the service tells.
    Balance,
    /// It answers a question of a few tokens.
    Completion,
}

impl Stage {
    /// The stage in snake case, as JSON has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Key => "key",
            Self::Dns => "dns",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Reachable => "reachable",
            Self::Authorised => "authorised",
            Self::Models => "models",
            Self::Balance => "balance",
            Self::Completion => "completion",
        }
    }
}

/// How a stage went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It works.
    Passed,
    /// It doesn't.
    Failed,
    /// It wasn't tried, or there is nothing to try.
    Skipped,
}

impl Outcome {
    /// The outcome in snake case, as JSON has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// What a look at one stage gave.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) outcome: Outcome,
    pub(super) detail: String,
    pub(super) remedy: Option<String>,
}

impl Found {
    pub(super) fn passed(detail: impl Into<String>) -> Self {
        Self { outcome: Outcome::Passed, detail: detail.into(), remedy: None }
    }
    pub(super) fn skipped(detail: impl Into<String>) -> Self {
        Self { outcome: Outcome::Skipped, detail: detail.into(), remedy: None }
    }
    pub(super) fn wrong(detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed, detail: detail.into(), remedy: Some(remedy.into()) }
    }
    pub(super) fn failed(error: &Error) -> Self {
        let status = error.status().map(|status| format!("HTTP {}: ", status.as_u16())).unwrap_or_default();
        Self::wrong(format!("{status}{}", error.message()), error.hint())
    }
}

fn as_millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
