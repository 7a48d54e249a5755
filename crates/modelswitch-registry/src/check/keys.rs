//! Each key of a pool by itself: the pool as a whole hides a bad one, since it goes on with the next.

use futures_util::future::join_all;
use modelswitch_provider::{ErrorKind, Request, Response, Result};
use tokio::time::{Instant, timeout};

use super::report::{Found, KeyReport};
use super::{CheckOptions, Stage, no_answer, question};
use crate::connect::Connected;
use crate::guard::Guard;
use crate::keys::Keyed;

/// Looks at every key of a pool, all at once; `None` where there is no pool.
pub(super) async fn each(
    connected: &Connected,
    model: Option<&str>,
    failed: Option<Stage>,
    options: &CheckOptions,
) -> Vec<KeyReport> {
    let Some(keys) = connected.keys.as_deref().filter(|keys| keys.is_pool()) else { return Vec::new() };
    let reaches = !matches!(failed, Some(Stage::Dns | Stage::Tcp | Stage::Tls | Stage::Reachable));
    let model = model.filter(|_| options.completion);
    let all = (0..keys.len()).map(|slot| one(connected, keys, slot, model, reaches, options));
    join_all(all).await
}

async fn one(
    connected: &Connected,
    keys: &Keyed,
    slot: usize,
    model: Option<&str>,
    reaches: bool,
    options: &CheckOptions,
) -> KeyReport {
    let started = Instant::now();
    let limit = options.or(super::COMPLETION_LIMIT);
    let source = keys.source(slot);
    let asked = keys.ask_with(slot, async |service| {
        if !reaches {
            return Ok(None);
        }
        let provider = Guard::around(connected.rules.as_ref(), service.provider.clone());
        // Some services list their models to everybody, so only a completion shows that the key is taken.
        let request = match model {
            Some(model) => question(model, connected)?,
            None => Request::models(),
        };
        let endpoint = request.endpoint.to_string();
        let answer = timeout(limit, provider.send(request)).await;
        answer.unwrap_or_else(|_| Err(no_answer(&endpoint, limit))).map(Some)
    });
    let Found { outcome, detail, remedy } = found(&asked.await, model.is_some());
    KeyReport { source, outcome, detail, remedy, duration: started.elapsed() }
}

/// What is somebody else's failure isn't held against the key.
fn found(asked: &Result<Option<Response>>, completed: bool) -> Found {
    let error = match asked {
        Ok(Some(_)) => return Found::passed("it is taken"),
        Ok(None) => return Found::skipped("it is there; the service can't be reached"),
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::Authentication | ErrorKind::InsufficientBalance | ErrorKind::Config => {
            Found::failed(error)
        }
        // This key's account may lack the model.
        ErrorKind::ModelNotFound if completed => Found::failed(error),
        ErrorKind::ModelNotFound
        | ErrorKind::InvalidRequest
        | ErrorKind::ContextLength
        | ErrorKind::ContentFiltered
        | ErrorKind::RateLimited
        | ErrorKind::Overloaded
        | ErrorKind::Upstream
        | ErrorKind::Timeout
        | ErrorKind::Connection
        | ErrorKind::Interrupted
        | ErrorKind::Decode
        | ErrorKind::Rejected
        | ErrorKind::Unsupported => {
            Found::skipped(format!("it doesn't show: {}", Found::failed(error).detail))
        }
    }
}
