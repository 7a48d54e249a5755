//! The connection check: what works with a provider, stage by stage, and what to do about what doesn't.

use std::time::Duration;

use modelswitch_deepseek::{Balance, KeyState};
use modelswitch_provider::{
    Endpoint, Error, ErrorKind, Model, ModelList, Provider, Request, Response, Result,
};
use serde::{Serialize, Serializer};
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::connect::Connected;
use crate::spelling::nearest;

/// What a check of one provider found. With `--json` in mind it serialises.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct CheckReport {
    /// The provider.
    pub provider: String,
    /// Where it is.
    pub base_url: Option<String>,
    /// The stages in their order. After one that failed the others are skipped.
    pub stages: Vec<StageReport>,
}

impl CheckReport {
    /// True when no stage failed.
    pub fn passed(&self) -> bool {
        self.stages.iter().all(|stage| stage.outcome != Outcome::Failed)
    }
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
    /// How long it took.
    #[serde(rename = "duration_ms", serialize_with = "as_millis")]
    pub duration: Duration,
}

/// What a check looks at, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// The key is there, or none is needed.
    Key,
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
            Self::Key => "key",
            Self::Reachable => "reachable",
            Self::Authorised => "authorised",
            Self::Models => "models",
            Self::Balance => "balance",
            Self::Completion => "completion",
        }
    }
}

/// How a stage went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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

/// A list of models is a small file; whoever needs longer isn't there.
const LIST_LIMIT: Duration = Duration::from_secs(30);
/// A model may have to be loaded first.
const COMPLETION_LIMIT: Duration = Duration::from_secs(60);

/// Looks at one provider. One try each: a check shows what happens, not what retries make of it.
pub(crate) async fn check(connected: &Connected) -> CheckReport {
    let mut run = Run { stages: Vec::new(), failed: None };
    let mut model = connected.info.default_model.clone();

    let started = Instant::now();
    let found = key(connected).await;
    run.stage(Stage::Key, started.elapsed(), || found);
    if run.goes_on() {
        let (answer, duration) = timed(connected, Request::models(), LIST_LIMIT).await;
        let listed = answer.and_then(read_models);
        let in_between = somebody_in_between(&listed, connected).await;
        run.stage(Stage::Reachable, duration, || reachable(&listed, in_between, connected));
        run.stage(Stage::Authorised, Duration::ZERO, || authorised(&listed, connected));
        run.stage(Stage::Models, Duration::ZERO, || models(&listed, model.as_deref()));
        model = model.or_else(|| listed.ok()?.first().map(|model| model.id.clone()));
    }
    if run.goes_on() && connected.has_balance() {
        let started = Instant::now();
        let balance = connected.balance().await;
        run.stage(Stage::Balance, started.elapsed(), || left(&balance, connected));
    }
    if run.goes_on() {
        match &model {
            Some(model) => {
                let (answer, duration) = match question(model, connected) {
                    Ok(request) => timed(connected, request, COMPLETION_LIMIT).await,
                    Err(error) => (Err(error), Duration::ZERO),
                };
                run.stage(Stage::Completion, duration, || completion(answer, model));
            }
            None => run.stage(Stage::Completion, Duration::ZERO, || {
                Found::skipped("no model is known to ask; set default_model to have this tried")
            }),
        }
    }
    run.skip_the_rest(connected);
    CheckReport {
        provider: connected.info.name.clone(),
        base_url: connected.info.base_url.clone(),
        stages: run.stages,
    }
}

struct Run {
    stages: Vec<StageReport>,
    failed: Option<Stage>,
}

impl Run {
    fn goes_on(&self) -> bool {
        self.failed.is_none()
    }

    fn stage(&mut self, stage: Stage, duration: Duration, look: impl FnOnce() -> Found) {
        if !self.goes_on() {
            return;
        }
        let Found { outcome, detail, remedy } = look();
        if outcome == Outcome::Failed {
            self.failed = Some(stage);
        }
        self.stages.push(StageReport { stage, outcome, detail, remedy, duration });
    }

    fn skip_the_rest(&mut self, connected: &Connected) {
        let balance = connected.has_balance().then_some(Stage::Balance);
        let all = [Stage::Key, Stage::Reachable, Stage::Authorised, Stage::Models]
            .into_iter()
            .chain(balance)
            .chain([Stage::Completion]);
        let reason = match self.failed {
            Some(Stage::Key) => "there is no key",
            Some(Stage::Reachable) => "the service can't be reached",
            Some(Stage::Authorised) => "the service doesn't take the key",
            Some(Stage::Balance) => "nothing is left on the account",
            Some(Stage::Models | Stage::Completion) | None => "the stage before it failed",
        };
        for stage in all.skip(self.stages.len()) {
            let Found { outcome, detail, remedy } = Found::skipped(reason);
            self.stages.push(StageReport { stage, outcome, detail, remedy, duration: Duration::ZERO });
        }
    }
}

struct Found {
    outcome: Outcome,
    detail: String,
    remedy: Option<String>,
}

impl Found {
    fn passed(detail: impl Into<String>) -> Self {
        Self { outcome: Outcome::Passed, detail: detail.into(), remedy: None }
    }
    fn skipped(detail: impl Into<String>) -> Self {
        Self { outcome: Outcome::Skipped, detail: detail.into(), remedy: None }
    }
    fn failed(error: &Error) -> Self {
        let status = error.status().map(|status| format!("HTTP {}: ", status.as_u16())).unwrap_or_default();
        let detail = format!("{status}{}", error.message());
        Self { outcome: Outcome::Failed, detail, remedy: Some(error.hint().to_owned()) }
    }
}

/// A key that takes time is looked for here first.
async fn key(connected: &Connected) -> Found {
    match connected.adapter().await {
        Err(error) => Found::failed(&error),
        Ok(_) => Found::passed(connected.info().key.source),
    }
}

/// A proxy, a firewall or a page to log in at answers in the service's place. Only an adapter knows its service's answers
/// so well, and it asks again to find out.
async fn somebody_in_between(listed: &Result<Vec<Model>>, connected: &Connected) -> Option<Found> {
    let (Err(error), Ok(Some(deepseek))) = (listed, connected.adapter().await) else { return None };
    // It would ask at endpoints that may not be asked.
    if connected.rules.as_ref().is_some_and(|rules| rules.limits_endpoints()) {
        return None;
    }
    // A gateway that lists no models is none of these, and who didn't answer in time won't do so now.
    if matches!(error.kind(), ErrorKind::ModelNotFound | ErrorKind::Timeout) {
        return None;
    }
    let found = timeout(LIST_LIMIT, deepseek.verify()).await.ok()?;
    (found.state == KeyState::Blocked).then_some(Found {
        outcome: Outcome::Failed,
        detail: format!("somebody else answers: {}", found.detail),
        remedy: found.remedy,
    })
}

fn reachable(listed: &Result<Vec<Model>>, in_between: Option<Found>, connected: &Connected) -> Found {
    if let Some(found) = in_between {
        return found;
    }
    match listed {
        Err(error) if never_arrived(error) => Found::failed(error),
        _ => Found::passed(connected.info.base_url.clone().unwrap_or_else(|| "it answers".to_owned())),
    }
}

/// Nothing came back: a status, or a body that can't be read, would show that something is there.
fn never_arrived(error: &Error) -> bool {
    let no_answer = matches!(error.kind(), ErrorKind::Connection | ErrorKind::Timeout | ErrorKind::Config);
    no_answer && error.status().is_none()
}

fn authorised(listed: &Result<Vec<Model>>, connected: &Connected) -> Found {
    match listed {
        Ok(_) if connected.info().key.set => Found::passed("the key is taken"),
        Ok(_) => Found::passed("it asks for no key"),
        Err(error) if error.kind() == ErrorKind::Authentication => Found::failed(error),
        Err(error) if error.kind() == ErrorKind::InsufficientBalance => Found::passed("the key is taken"),
        Err(_) => Found::skipped("the list of models doesn't tell; the completion does"),
    }
}

fn models(listed: &Result<Vec<Model>>, default: Option<&str>) -> Found {
    match listed {
        Ok(models) => Found::passed(describe(models, default)),
        Err(error) if is_not_told(error.kind()) || error.kind() == ErrorKind::InsufficientBalance => {
            Found::skipped(format!("the service doesn't list its models: {}", error.message()))
        }
        Err(error) => Found::failed(error),
    }
}

/// A gateway in between may serve the completions and not the balance.
fn left(balance: &Result<Balance>, connected: &Connected) -> Found {
    match balance {
        Ok(balance) if balance.is_available => Found::passed(amounts(balance)),
        Ok(balance) => {
            let message = format!("too little is left for a call: {}", amounts(balance));
            Found::failed(&connected.hinted(Error::new(ErrorKind::InsufficientBalance, message)))
        }
        Err(error) if is_not_told(error.kind()) => {
            Found::skipped(format!("the service doesn't tell its balance: {}", error.message()))
        }
        Err(error) => Found::failed(error),
    }
}

fn amounts(balance: &Balance) -> String {
    let amounts = balance.infos.iter().map(|amount| format!("{} {}", amount.total, amount.currency));
    let amounts: Vec<String> = amounts.collect();
    if amounts.is_empty() { "no amount is told".to_owned() } else { amounts.join(", ") }
}

/// True when a service doesn't know what it was asked for, which is no failure of it.
fn is_not_told(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::ModelNotFound | ErrorKind::InvalidRequest | ErrorKind::Unsupported | ErrorKind::Decode => {
            true
        }
        ErrorKind::ContextLength
        | ErrorKind::ContentFiltered
        | ErrorKind::Authentication
        | ErrorKind::InsufficientBalance
        | ErrorKind::RateLimited
        | ErrorKind::Overloaded
        | ErrorKind::Upstream
        | ErrorKind::Timeout
        | ErrorKind::Connection
        | ErrorKind::Interrupted
        | ErrorKind::Rejected
        | ErrorKind::Config => false,
    }
}

/// Some services list less than they serve, so a default that isn't listed is told and not refused.
fn describe(models: &[Model], default: Option<&str>) -> String {
    let count = match models.len() {
        1 => "1 model".to_owned(),
        count => format!("{count} models"),
    };
    match default {
        Some(default) if !models.iter().any(|model| model.id == default) => {
            let near = nearest(default, models.iter().map(|model| model.id.as_str()));
            let near = near.map(|near| format!(", but `{near}` is")).unwrap_or_default();
            format!("{count}; the default `{default}` is not among them{near}")
        }
        _ => count,
    }
}

fn completion(answer: Result<Response>, model: &str) -> Found {
    match answer.and_then(Response::into_json) {
        Ok(_) => Found::passed(format!("`{model}` answers")),
        Err(error) => Found::failed(&error),
    }
}

/// The cheapest question: a few tokens, and no reasoning where that can be switched off.
fn question(model: &str, connected: &Connected) -> Result<Request> {
    let mut body = json!({
        "model": model,
        "messages": [{ "role": "user", "content": "Say ok." }],
        "max_tokens": 16,
    });
    if connected.has_balance()
        && let Some(body) = body.as_object_mut()
    {
        body.insert("thinking".to_owned(), json!({ "type": "disabled" }));
    }
    Request::chat(&body)
}

async fn timed(connected: &Connected, request: Request, limit: Duration) -> (Result<Response>, Duration) {
    let started = Instant::now();
    let endpoint: Endpoint = request.endpoint.clone();
    let answer = timeout(limit, connected.once.send(request)).await.unwrap_or_else(|_| {
        let seconds = limit.as_secs();
        Err(Error::new(ErrorKind::Timeout, format!("no answer to {endpoint} within {seconds} s")))
    });
    (answer, started.elapsed())
}

fn read_models(response: Response) -> Result<Vec<Model>> {
    let (_, body) = response.into_json()?;
    let list: ModelList =
        serde_json::from_slice(&body).map_err(|error| Error::decode_json("the list of models", &error))?;
    Ok(list.data)
}

fn as_millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
