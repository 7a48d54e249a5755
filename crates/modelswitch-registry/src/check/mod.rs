//! The connection check: what works with a provider, stage by stage, and what to do about what doesn't.

mod keys;
mod options;
mod report;
mod route;
mod tls;

use std::time::Duration;

use futures_util::future::join;
use http::HeaderMap;
use modelswitch_deepseek::{Balance, KeyState};
use modelswitch_provider::{
    Document, Endpoint, Error, ErrorKind, Head, Model, ModelList, Payload, Provider, Request, Response,
    Result,
};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::connect::Connected;
use crate::environment::Environment;
use crate::guard::NOT_ALLOWED;
use crate::mistake::looks_like_a_key;
use crate::spelling::nearest;
pub use options::CheckOptions;
use report::Found;
pub use report::{CheckMetadata, CheckReport, KeyReport, Outcome, Stage, StageReport};
use route::{Route, Walk};

/// A name is looked up and a connection made within moments, across the world too.
const WAY_LIMIT: Duration = Duration::from_secs(10);
/// A list of models is a small file; whoever needs longer isn't there.
const LIST_LIMIT: Duration = Duration::from_secs(30);
/// A model may have to be loaded first.
const COMPLETION_LIMIT: Duration = Duration::from_secs(60);

/// Looks at one provider, by this model or the one that it answers with by itself. One try each: a check shows what happens,
/// not what retries make of it.
pub(crate) async fn check(
    connected: &Connected,
    model: Option<String>,
    options: &CheckOptions,
) -> CheckReport {
    let started = Instant::now();
    // Proxies are the process's: the HTTP client reads them there, whatever variables the registry was given.
    let route = connected.info.base_url.as_deref().and_then(|url| Route::of(url, &Environment::default()));
    let mut run = Run::new(connected, options, route.as_ref());
    run.stage(Stage::Configuration, Duration::ZERO, || configuration(connected));
    let began = Instant::now();
    let found = key(connected).await;
    run.stage(Stage::Key, began.elapsed(), || found);
    let mut model = model.or_else(|| connected.info.default_model.clone());
    let mut listed_models = Vec::new();
    let mut unlisted = None;
    if run.goes_on() {
        let listed = Box::pin(reach(&mut run, route.as_ref(), connected, options)).await;
        run.stage(Stage::Authorised, Duration::ZERO, || authorised(&listed, connected));
        run.stage(Stage::Models, Duration::ZERO, || models(&listed, model.as_deref()));
        unlisted = listed.as_ref().err().filter(|error| is_not_told(error.kind())).map(|error| error.kind());
        listed_models = listed.unwrap_or_default();
        run.metadata.models = listed_models.iter().map(|model| model.id.clone()).collect();
        model = model.or_else(|| listed_models.first().map(|model| model.id.clone()));
    }
    if run.goes_on() && connected.has_balance() {
        options.tell(&connected.info.name, Stage::Balance);
        let began = Instant::now();
        let balance = timeout(options.or(LIST_LIMIT), connected.balance()).await;
        let balance = balance.unwrap_or_else(|_| Err(no_answer("/user/balance", options.or(LIST_LIMIT))));
        run.stage(Stage::Balance, began.elapsed(), || left(&balance, connected));
        run.metadata.balance = balance.ok();
    }
    if run.goes_on() {
        match (&model, unlisted) {
            (None, Some(kind)) if options.completion && connected.profile().is_some() => {
                run.stage(Stage::Completion, Duration::ZERO, || nothing_proved(kind, connected));
            }
            _ => Box::pin(complete(&mut run, model.as_deref(), &listed_models, connected, options)).await,
        }
    }
    run.keys = Box::pin(keys::each(connected, model.as_deref(), run.failed, options)).await;
    run.into_report(connected, started.elapsed())
}

/// The way to the service, and the first request to it: the list of models. Both at once, since the request is what
/// counts: a client with a proxy or a resolver of its own may reach what isn't seen from here.
async fn reach(
    run: &mut Run,
    route: Option<&Route>,
    connected: &Connected,
    options: &CheckOptions,
) -> Result<Vec<Model>> {
    options.tell(&connected.info.name, Stage::Reachable);
    let mut metadata = CheckMetadata::default();
    let walked = async {
        match route {
            Some(route) => route.walk(options.or(WAY_LIMIT), &mut metadata).await,
            None => Walk::default(),
        }
    };
    let asked = async {
        match connected.lists_models() {
            true => timed(connected, Request::models(), options.or(LIST_LIMIT)).await,
            false => (Err(Error::unsupported("there is no list to ask for")), Duration::ZERO),
        }
    };
    let (walk, (answer, duration)) = join(walked, asked).await;
    run.metadata.addresses = metadata.addresses;
    run.metadata.proxy = metadata.proxy;
    let listed = answer.and_then(read_models).map(|(head, models)| {
        run.notice(&head);
        models
    });
    // Where nothing was asked, nothing arrived either.
    let arrived = connected.lists_models() && !matches!(&listed, Err(error) if never_arrived(error));
    for (stage, piece) in [(Stage::Dns, walk.dns), (Stage::Tcp, walk.tcp)] {
        if let Some((found, duration)) = piece {
            run.stage(stage, duration, || on_the_way(found, arrived, connected));
        }
    }
    if let Some(route) = route.filter(|route| route.is_tls) {
        run.stage(Stage::Tls, Duration::ZERO, || secured(&listed, arrived, route));
    }
    if run.goes_on() {
        let in_between = somebody_in_between(&listed, connected, options).await;
        run.stage(Stage::Reachable, duration, || reachable(&listed, in_between, route, connected));
    }
    listed
}

async fn complete(
    run: &mut Run,
    model: Option<&str>,
    listed: &[Model],
    connected: &Connected,
    options: &CheckOptions,
) {
    let skipped = match model {
        _ if !options.completion => "it was not to be asked for",
        None => "no model is known to ask; set default_model to have this tried",
        Some(_) => "",
    };
    let Some(model) = model.filter(|_| skipped.is_empty()) else {
        run.stage(Stage::Completion, Duration::ZERO, || Found::skipped(skipped));
        return;
    };
    options.tell(&connected.info.name, Stage::Completion);
    let (answer, duration) = match question(model, connected) {
        Ok(request) => timed(connected, request, options.or(COMPLETION_LIMIT)).await,
        Err(error) => (Err(error), Duration::ZERO),
    };
    let answer = answer.and_then(Response::into_json).map(|(head, body)| {
        run.notice(&head);
        run.metadata.serving_model = serving_model(&body);
    });
    let serving = run.metadata.serving_model.clone();
    run.stage(Stage::Completion, duration, || {
        completion(answer, model, serving.as_deref(), listed, connected.info.base_url.as_deref())
    });
}

/// It answers, and neither lists its models nor is there one to ask: a wrong address looks the same.
fn nothing_proved(unlisted: ErrorKind, connected: &Connected) -> Found {
    let url = connected.info.base_url.as_deref().filter(|_| unlisted != ErrorKind::Unsupported);
    let remedy = "set default_model to have it asked";
    let remedy = match url.and_then(without_a_path) {
        Some(perhaps) => format!("{perhaps}; else {remedy}"),
        None if unlisted == ErrorKind::ModelNotFound => {
            format!("see that base_url is where its API begins (often it ends in /v1); else {remedy}")
        }
        None => remedy.to_owned(),
    };
    Found::wrong("nothing was proved: it lists no models, and no model is known to ask", remedy)
}

/// What is most often missing from an address where nothing is found.
fn without_a_path(url: &str) -> Option<&'static str> {
    let host = url.split_once("://")?.1.trim_end_matches('/');
    (!host.contains('/')).then_some("perhaps /v1 is missing at the end of base_url")
}

struct Run {
    planned: Vec<Stage>,
    stages: Vec<StageReport>,
    failed: Option<Stage>,
    keys: Vec<KeyReport>,
    metadata: CheckMetadata,
}

impl Run {
    fn new(connected: &Connected, options: &CheckOptions, route: Option<&Route>) -> Self {
        options.tell(&connected.info.name, Stage::Key);
        let has_name =
            |route: &Route| route.proxy.is_some() || route.host.parse::<std::net::IpAddr>().is_err();
        let planned = [
            Some(Stage::Configuration),
            Some(Stage::Key),
            route.filter(|route| has_name(route)).map(|_| Stage::Dns),
            route.map(|_| Stage::Tcp),
            route.filter(|route| route.is_tls).map(|_| Stage::Tls),
            Some(Stage::Reachable),
            Some(Stage::Authorised),
            Some(Stage::Models),
            connected.has_balance().then_some(Stage::Balance),
            Some(Stage::Completion),
        ];
        Self {
            planned: planned.into_iter().flatten().collect(),
            stages: Vec::new(),
            failed: None,
            keys: Vec::new(),
            metadata: CheckMetadata::default(),
        }
    }

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

    /// What the head of an answer tells of the service.
    fn notice(&mut self, head: &Head) {
        self.metadata.http_version =
            head.version.map(|version| format!("{version:?}")).or(self.metadata.http_version.take());
        let id = head.request_id.as_deref().map(str::to_owned);
        self.metadata.request_id = id.or(self.metadata.request_id.take());
        self.metadata.headers.extend(telling(&head.headers));
    }

    fn into_report(mut self, connected: &Connected, duration: Duration) -> CheckReport {
        let reason = match self.failed {
            Some(Stage::Key) => "there is no key",
            Some(Stage::Dns | Stage::Tcp | Stage::Tls | Stage::Reachable) => "the service can't be reached",
            Some(Stage::Authorised) if !connected.info().key.set => "the service wants a key",
            Some(Stage::Authorised) => "the service doesn't take the key",
            Some(Stage::Balance) => "nothing is left on the account",
            Some(Stage::Configuration | Stage::Models | Stage::Completion) | None => {
                "the stage before it failed"
            }
        };
        for stage in self.planned {
            if !self.stages.iter().any(|report| report.stage == stage) {
                let Found { outcome, detail, remedy } = Found::skipped(reason);
                let duration = Duration::ZERO;
                self.stages.push(StageReport { stage, outcome, detail, remedy, duration });
            }
        }
        CheckReport {
            provider: connected.info.name.clone(),
            base_url: connected.info.base_url.clone(),
            stages: self.stages,
            keys: self.keys,
            duration,
            metadata: self.metadata,
        }
    }
}

/// Headers that tell of versions and limits. A value that might be a key is left out.
fn telling(headers: &HeaderMap) -> impl Iterator<Item = (String, String)> + '_ {
    const LONGEST: usize = 200;
    let is_telling = |name: &str| {
        matches!(name, "server" | "via" | "x-powered-by")
            || name.ends_with("-version")
            || ["x-ratelimit-", "ratelimit-", "anthropic-ratelimit-"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
    };
    headers.iter().filter(move |(name, _)| is_telling(name.as_str())).filter_map(|(name, value)| {
        let value = value.to_str().ok().filter(|value| value.len() <= LONGEST && !looks_like_a_key(value))?;
        Some((name.as_str().to_owned(), value.to_owned()))
    })
}

/// A registry is only built of what is right; that much is known when it is checked.
fn configuration(connected: &Connected) -> Found {
    Found::passed(match &connected.info.profile {
        Some(profile) => format!("profile {profile}"),
        None => "given in code".to_owned(),
    })
}

/// A piece of the way that fails, though the service answers, isn't the way that the client goes.
fn on_the_way(found: Found, arrived: bool, connected: &Connected) -> Found {
    if found.outcome != Outcome::Failed {
        return found;
    }
    if arrived {
        return Found::skipped(format!("{}, but the service answers", found.detail));
    }
    // A profile may know how its service is started.
    let profiled = connected.hinted(Error::new(ErrorKind::Connection, found.detail.clone()));
    let usual = Error::new(ErrorKind::Connection, String::new());
    match profiled.hint() {
        own if own != usual.hint() => Found { remedy: Some(own.to_owned()), ..found },
        _ => found,
    }
}

fn secured(listed: &Result<Vec<Model>>, arrived: bool, route: &Route) -> Found {
    let wrong = listed.as_ref().err().and_then(|error| tls::failure(error, &route.host));
    match (wrong, arrived, route.proxy) {
        (_, true, None) => Found::passed("the certificate is trusted"),
        (Some(wrong), _, _) => wrong,
        (None, true, Some(_)) => Found::passed("the certificate is trusted, through the proxy"),
        (None, false, Some(variable)) => Found::skipped(format!("the proxy in ${variable} comes first")),
        (None, false, None) => Found::skipped("no answer came that would tell"),
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
async fn somebody_in_between(
    listed: &Result<Vec<Model>>,
    connected: &Connected,
    options: &CheckOptions,
) -> Option<Found> {
    let (Err(error), Ok(Some(deepseek))) = (listed, connected.adapter().await) else { return None };
    // It would ask at endpoints that may not be asked.
    if connected.rules.as_ref().is_some_and(|rules| rules.limits_endpoints()) {
        return None;
    }
    // A gateway that lists no models is none of these, and who didn't answer in time won't do so now.
    if matches!(error.kind(), ErrorKind::ModelNotFound | ErrorKind::Timeout) {
        return None;
    }
    let found = timeout(options.or(LIST_LIMIT), deepseek.verify()).await.ok()?;
    (found.state == KeyState::Blocked).then_some(Found {
        outcome: Outcome::Failed,
        detail: format!("somebody else answers: {}", found.detail),
        remedy: found.remedy,
    })
}

fn reachable(
    listed: &Result<Vec<Model>>,
    in_between: Option<Found>,
    route: Option<&Route>,
    connected: &Connected,
) -> Found {
    if let Some(found) = in_between {
        return found;
    }
    let proxy = route.and_then(|route| route.proxy);
    let through =
        proxy.map_or_else(|| "the proxy".to_owned(), |variable| format!("the proxy in ${variable}"));
    match listed {
        Err(error) if error.status().is_some_and(|status| status.as_u16() == 407) => Found::wrong(
            "HTTP 407: a proxy asks for a user name and a password",
            format!("look at {through}: they go into its URL, http://user:password@host"),
        ),
        Err(error) if tls::is_refused_by_proxy(error) => Found::wrong(
            format!("{through} doesn't let the connection through"),
            "look at the proxy's rules and password; a host in NO_PROXY is reached without it",
        ),
        Err(error) if never_arrived(error) && proxy.is_some() => Found::wrong(
            format!("{through} gives no answer: {}", error.message()),
            "see that the proxy runs and its URL is right; a host in NO_PROXY is reached without it",
        ),
        Err(error) if never_arrived(error) => Found::failed(error),
        _ if !connected.lists_models() => Found::skipped("nothing was asked yet; the completion tells"),
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
        Err(error) if error.code() == Some(NOT_ALLOWED) => Found::skipped(error.message()),
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
        Err(error) if error.code() == Some(NOT_ALLOWED) => Found::skipped(error.message()),
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

fn completion(
    answer: Result<()>,
    model: &str,
    serving: Option<&str>,
    listed: &[Model],
    url: Option<&str>,
) -> Found {
    let error = match answer {
        Ok(()) => {
            let by = serving.filter(|serving| *serving != model);
            let by = by.map(|serving| format!(", served by `{serving}`")).unwrap_or_default();
            return Found::passed(format!("`{model}` answers{by}"));
        }
        Err(error) => error,
    };
    let near = nearest(model, listed.iter().map(|model| model.id.as_str()));
    match near.filter(|near| error.kind() == ErrorKind::ModelNotFound && *near != model) {
        Some(near) => {
            Found { remedy: Some(format!("set default_model = \"{near}\"")), ..Found::failed(&error) }
        }
        None => {
            let found = Found::failed(&error);
            // Whoever listed models was found at the right address.
            let is_lost = listed.is_empty() && error.status().is_some_and(|status| status.as_u16() == 404);
            match url.filter(|_| is_lost).and_then(without_a_path) {
                Some(perhaps) => Found { remedy: Some(format!("{perhaps}; else {}", error.hint())), ..found },
                None => found,
            }
        }
    }
}

fn serving_model(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        model: Option<String>,
    }
    serde_json::from_slice::<Named>(body).ok()?.model.filter(|model| !model.is_empty())
}

/// The cheapest question: a few tokens, and no reasoning where that can be switched off.
fn question(model: &str, connected: &Connected) -> Result<Request> {
    let chat = Endpoint::CHAT_COMPLETIONS;
    if connected.profile().is_some_and(|profile| profile.gone_endpoints.contains_key(chat.path())) {
        return question_without_chat(model);
    }
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

/// The same for a service that has Responses and no chat.
fn question_without_chat(model: &str) -> Result<Request> {
    let body = json!({ "model": model, "input": "Say ok.", "max_output_tokens": 16 });
    Ok(Request::new(Endpoint::RESPONSES, Payload::Json(Document::from_serialize(&body)?)))
}

async fn timed(connected: &Connected, request: Request, limit: Duration) -> (Result<Response>, Duration) {
    let started = Instant::now();
    let endpoint: Endpoint = request.endpoint.clone();
    let answer = timeout(limit, connected.once.send(request)).await;
    let answer = answer.unwrap_or_else(|_| Err(no_answer(&endpoint.to_string(), limit)));
    (answer, started.elapsed())
}

fn no_answer(endpoint: &str, limit: Duration) -> Error {
    Error::new(ErrorKind::Timeout, format!("no answer to {endpoint} within {} s", limit.as_secs_f64()))
}

fn read_models(response: Response) -> Result<(Head, Vec<Model>)> {
    let (head, body) = response.into_json()?;
    let list: ModelList =
        serde_json::from_slice(&body).map_err(|error| Error::decode_json("the list of models", &error))?;
    Ok((head, list.data))
}
