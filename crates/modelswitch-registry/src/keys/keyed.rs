//! A provider with one key or several: which one a call goes with, and what becomes of a key that fails.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use modelswitch_layers::genai;
use modelswitch_provider::{Attempt, Error, ErrorKind, Provider, Request, Response, Result, committed};
use tokio::time::Instant;

use super::slot::{Outcome, Slot, State};
use super::source::KeySource;
use super::{KeyInfo, KeyRefresh};
use crate::service::{Make, Service};

/// A limit is counted by the minute, mostly in a window that slides.
const REST_AFTER_LIMIT: Duration = Duration::from_secs(20);
/// A service that asks for longer is asked again all the same: limits are raised, clocks are wrong.
const LONGEST_REST: Duration = Duration::from_secs(3600);
/// Somebody has to pay first.
const REST_AFTER_EMPTY_PURSE: Duration = Duration::from_secs(300);
/// A refused key is mended at its source, which is looked at; this is for a service that was wrong.
const REST_AFTER_REFUSAL: Duration = Duration::from_secs(60);
/// A key that isn't there may come soon.
const REST_WITHOUT_KEY: Duration = Duration::from_secs(30);
/// How long a call waits for one key while there is another to ask with.
const WAIT_WITH_ANOTHER: Duration = Duration::from_secs(2);

/// A provider that reads its keys while it runs, and spreads its calls over them where there are several.
///
/// A key that is refused is read again, once for all calls that met it together, and the call repeated if the key is
/// another one. Of several keys one that fails for itself (refused, no money, a limit) is left alone for a while and
/// the call goes on with the next; when all are left alone, the one that is ready soonest is asked. Nothing is repeated
/// once an answer has begun.
pub(crate) struct Keyed {
    name: Arc<str>,
    slots: Vec<Slot>,
    next: AtomicUsize,
    /// What the profile says of a refused key; of several keys the one in question is named in its place.
    hint: String,
    made_at: Option<String>,
}

/// A try that failed with one of the keys.
struct Failed {
    slot: usize,
    error: Error,
    /// `None` when nothing was sent, for want of a key.
    took: Option<Duration>,
}

/// The keys of the provider that another one takes the place of.
pub(crate) struct Before<'a> {
    pub(crate) keys: &'a Keyed,
    /// Whether the same service is asked in the same way: another one may take what this one refused.
    pub(crate) is_same_service: bool,
}

impl Keyed {
    /// What a provider before had from the same places stays in use until it can be read again.
    pub(crate) fn new(
        name: &str,
        sources: Vec<KeySource>,
        hint: String,
        made_at: Option<&str>,
        make: &Make,
        before: Option<&Before<'_>>,
    ) -> Self {
        let name: Arc<str> = name.into();
        let mut left: Vec<&Slot> = before.iter().flat_map(|before| &before.keys.slots).collect();
        let slots = sources.into_iter().map(|source| {
            let same = left.iter().position(|slot| slot.reads_from(&source)).map(|place| left.remove(place));
            let slot = Slot::new(&name, source, make.clone(), same);
            if let Some(same) = same.filter(|_| before.is_some_and(|before| before.is_same_service)) {
                slot.go_on_resting(same);
            }
            slot
        });
        let slots = slots.collect();
        let next = before.map_or(0, |before| before.keys.next.load(Ordering::Relaxed));
        Self { name, slots, next: AtomicUsize::new(next), hint, made_at: made_at.map(str::to_owned) }
    }

    /// What is known of the keys now.
    pub(crate) fn info(&self) -> KeyInfo {
        match self.slots.as_slice() {
            [only] => only.info(),
            several => KeyInfo::of_pool(several.iter().map(Slot::info).collect()),
        }
    }

    /// Whether its keys, where that can be seen at once, are still those that it goes with.
    pub(crate) fn reads_the_same(&self) -> bool {
        self.slots.iter().all(Slot::reads_the_same)
    }

    /// Files that others can read.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> + '_ {
        self.slots.iter().filter_map(Slot::warning)
    }

    /// What there is to ask with, after the keys that were not read yet are.
    ///
    /// # Errors
    /// Why there is no key.
    pub(crate) async fn ready(&self) -> Result<Arc<Service>> {
        let states = join_all(self.slots.iter().map(|slot| slot.current(None))).await;
        let mut first = None;
        for state in states {
            match state.service() {
                Ok(service) => return Ok(service.clone()),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(self.without_key(first))
    }

    /// Has the keys that take time to be read read again at their next calls.
    pub(crate) fn expire(&self) {
        self.slots.iter().for_each(Slot::expire);
    }

    /// Whether there are several keys.
    pub(crate) fn is_pool(&self) -> bool {
        self.slots.len() > 1
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Where the key of this number comes from.
    pub(crate) fn source(&self, number: usize) -> String {
        self.slots.get(number).map(Slot::shown).unwrap_or_default()
    }

    /// Asks with this key and no other, and leaves it in peace or use whatever comes of it.
    ///
    /// # Errors
    /// Why there is no key, or whatever the asking fails with.
    pub(crate) async fn ask_with<T>(
        &self,
        number: usize,
        ask: impl AsyncFnOnce(&Service) -> Result<T>,
    ) -> Result<T> {
        let slot = self.slots.get(number).ok_or_else(|| self.without_key(None))?;
        let state = slot.current(None).await;
        let service = state.service().map_err(|error| self.without_key(Some(error)))?;
        ask(service).await.map_err(|error| self.named(slot, error))
    }

    /// Reads every key again.
    pub(crate) async fn refresh(&self) -> Vec<KeyRefresh> {
        let all = self.slots.iter().enumerate().map(|(number, slot)| async move {
            let outcome = slot.refresh().await;
            let (changed, error) = match outcome {
                Outcome::Same => (false, None),
                Outcome::Changed => (true, None),
                Outcome::Failed(error) => (false, Some(error.message().to_owned())),
            };
            KeyRefresh { provider: self.name.to_string(), slot: number, source: slot.shown(), changed, error }
        });
        join_all(all).await
    }

    /// Asks with one key after the other until one serves. What is given back beside the answer are the tries before it.
    ///
    /// # Errors
    /// The failure of the key that will be ready soonest, with the others' as its failures.
    pub(crate) async fn ask<T, F, Asked>(&self, ask: F) -> Result<(T, Vec<Attempt>)>
    where
        T: Send,
        F: Fn(Arc<Service>) -> Asked + Send + Sync,
        Asked: Future<Output = Result<T>> + Send,
    {
        let mut failed: Vec<Failed> = Vec::new();
        while let Some(number) = self.pick(&failed) {
            let Some(slot) = self.slots.get(number) else { break };
            let patience = self.patience(number, &failed);
            if patience.is_some() && !slot.seen().has_key() {
                // Calls that come meanwhile needn't wait for it too.
                self.rest(slot, &slot.seen(), REST_WITHOUT_KEY);
            }
            let mut state = slot.current(patience).await;
            let mut read_again = false;
            loop {
                let service = match state.service() {
                    Ok(service) => service.clone(),
                    Err(error) => {
                        self.rest(slot, &state, REST_WITHOUT_KEY);
                        failed.push(Failed { slot: number, error, took: None });
                        break;
                    }
                };
                let started = Instant::now();
                let error = match ask(service).await {
                    Ok(answer) => {
                        slot.wake(started);
                        return Ok((answer, tries(&failed)));
                    }
                    Err(error) => error,
                };
                let took = started.elapsed();
                let Some(rest) = self.rest_after(&error) else {
                    return Err(error.with_failures(tries(&failed)));
                };
                let is_refused = error.kind() == ErrorKind::Authentication;
                failed.push(Failed { slot: number, error: self.named(slot, error), took: Some(took) });
                if is_refused
                    && !read_again
                    && let Some(other) = slot.after_refusal(&state, started, patience).await
                {
                    (state, read_again) = (other, true);
                    continue;
                }
                self.rest(slot, &state, rest);
                break;
            }
        }
        Err(self.verdict(failed))
    }

    /// Of those that are ready and were not tried for this call, the next in turn; after one that failed, the one that
    /// comes after it. When none is ready at all, the one that will be soonest.
    fn pick(&self, failed: &[Failed]) -> Option<usize> {
        let untried =
            || (0..self.slots.len()).filter(|number| !failed.iter().any(|failed| failed.slot == *number));
        let until = |number: &usize| self.slots.get(*number).and_then(Slot::rests_until);
        // The turn goes around the ready ones alone, or the neighbour of one that rests would have its share too.
        let ready: Vec<usize> = untried().filter(|number| until(number).is_none()).collect();
        if ready.is_empty() {
            return untried().filter(|_| failed.is_empty()).min_by_key(until);
        }
        let place = match failed.last() {
            Some(last) => ready.iter().position(|number| *number > last.slot).unwrap_or_default(),
            None => self.next.fetch_add(1, Ordering::Relaxed) % ready.len(),
        };
        ready.get(place).copied()
    }

    /// How long to wait for this key: not for ever, if there is another one to ask with.
    fn patience(&self, number: usize, failed: &[Failed]) -> Option<Duration> {
        let has_another = self.slots.iter().enumerate().any(|(other, slot)| {
            let is_untried = other != number && !failed.iter().any(|failed| failed.slot == other);
            is_untried && slot.seen().has_key() && slot.rests_until().is_none()
        });
        has_another.then_some(WAIT_WITH_ANOTHER)
    }

    /// There is nothing else to ask with while a single key would be left alone.
    fn rest(&self, slot: &Slot, failed: &State, wait: Duration) {
        if self.slots.len() > 1 {
            tracing::debug!(
                { genai::PROVIDER_NAME } = &*self.name,
                source = slot.shown(),
                ?wait,
                "a key is left alone"
            );
            slot.rest(failed, wait);
        }
    }

    /// How long a key is left alone after this failure; `None` for one that is not the key's, or that another layer
    /// handles: with a single key, a limit and an empty purse are everybody's.
    fn rest_after(&self, error: &Error) -> Option<Duration> {
        let has_others = self.slots.len() > 1;
        match error.kind() {
            ErrorKind::Authentication => Some(REST_AFTER_REFUSAL),
            ErrorKind::InsufficientBalance if has_others => Some(REST_AFTER_EMPTY_PURSE),
            ErrorKind::RateLimited if has_others => {
                Some(error.retry_after().unwrap_or(REST_AFTER_LIMIT).min(LONGEST_REST))
            }
            ErrorKind::InsufficientBalance
            | ErrorKind::RateLimited
            | ErrorKind::InvalidRequest
            | ErrorKind::ContextLength
            | ErrorKind::ContentFiltered
            | ErrorKind::ModelNotFound
            | ErrorKind::Overloaded
            | ErrorKind::Upstream
            | ErrorKind::Timeout
            | ErrorKind::Connection
            | ErrorKind::Interrupted
            | ErrorKind::Decode
            | ErrorKind::Rejected
            | ErrorKind::Unsupported
            | ErrorKind::Config => None,
        }
    }

    /// Whoever is told that a key was refused must hear which of them.
    fn named(&self, slot: &Slot, error: Error) -> Error {
        if self.slots.len() == 1 || error.kind() != ErrorKind::Authentication || error.hint() != self.hint {
            return error;
        }
        error.with_hint(check_the_key_from(&slot.shown(), self.made_at.as_deref()))
    }

    /// The most hopeful failure: of a key that was asked with, and of those the one that will be ready soonest.
    fn verdict(&self, mut failed: Vec<Failed>) -> Error {
        let hope = |one: &Failed| {
            let until = self.slots.get(one.slot).and_then(Slot::rests_until);
            (one.took.is_none(), until)
        };
        // Of two tries with one slot the later counts: it was made with the newer key.
        let best = failed.iter().enumerate().rev().min_by_key(|(_, one)| hope(one)).map(|(place, _)| place);
        let Some(best) = best else { return self.without_key(None) };
        let Failed { error, .. } = failed.remove(best);
        error.with_failures(tries(&failed)).with_provider(self.name.clone())
    }

    fn without_key(&self, error: Option<Error>) -> Error {
        error.unwrap_or_else(|| Error::config("there is no key")).with_provider(self.name.clone())
    }
}

/// What to do about a key that was refused.
pub(crate) fn check_the_key_from(source: &str, made_at: Option<&str>) -> String {
    let made_at = made_at.map(|url| format!("; keys are made at {url}")).unwrap_or_default();
    format!("check the key from {source}{made_at}")
}

/// The tries, with those of layers inside, which the errors know.
fn tries(failed: &[Failed]) -> Vec<Attempt> {
    let mut tries = Vec::new();
    for Failed { error, took, .. } in failed {
        let Some(took) = took else { continue };
        let earlier = error.failures().iter().map(|failed| failed.duration).sum();
        tries.extend_from_slice(error.failures());
        tries.push(Attempt::of(error, took.saturating_sub(earlier)));
    }
    tries
}

#[async_trait]
impl Provider for Keyed {
    fn name(&self) -> &str {
        &self.name
    }

    async fn send(&self, request: Request) -> Result<Response> {
        let has_others = self.slots.len() > 1;
        let (mut response, mut failures) =
            self.ask(|service| try_once(service, request.clone(), has_others)).await?;
        failures.append(&mut response.head.failures);
        response.head.failures = failures;
        Ok(response)
    }
}

/// One try. Where there are other keys, up to its first content: a service may say in the first event that the key has
/// reached its limit.
async fn try_once(service: Arc<Service>, request: Request, has_others: bool) -> Result<Response> {
    let response = service.provider.send(request).await?;
    if !has_others {
        return Ok(response);
    }
    let Response { head, body } = response;
    // The head stays out here, so a stream that fails before its first content can still say whose it was.
    match committed(Response::new(body)).await {
        Ok(Response { body, .. }) => Ok(Response { head, body }),
        Err(error) => Err(head.blame(error).with_failures(head.failures)),
    }
}

impl fmt::Debug for Keyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed").field("name", &self.name).field("slots", &self.slots).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
