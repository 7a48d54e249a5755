//! The layers that the configuration asks for, each with the settings that it was made of: as long as those stay the same, so
//! does what it knows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use modelswitch_layers::{
    Breaker, Cache, Concurrency, Layer, RateLimit, ReasoningOrigin, Retry, Stack, Timeout,
};
use modelswitch_provider::{Provider, Request, Response, Result};

use crate::config::{
    AliasLayers, BreakerConfig, CacheConfig, Flag, LimitsConfig, ProviderConfig, RetryConfig, Share, Switch,
    Temperature, TimeoutConfig, Weight,
};
use crate::hints::Repeats;

/// A layer, and what it was made of.
#[derive(Clone, Debug)]
pub(crate) struct Kept<C, L> {
    config: C,
    pub(crate) layer: L,
}

impl<C: PartialEq, L: Clone> Kept<C, L> {
    /// The layer of before if it was made of the same, or a new one.
    pub(crate) fn new(config: C, before: Option<&Self>, make: impl FnOnce(&C) -> L) -> Self {
        match before.filter(|before| before.config == config) {
            Some(before) => Self { config, layer: before.layer.clone() },
            None => Self { layer: make(&config), config },
        }
    }
}

/// What goes around each provider, once for all of its calls.
#[derive(Clone, Debug)]
pub(crate) struct Layers {
    reasoning: ReasoningOrigin,
    cache: Option<Kept<CacheConfig, Cache>>,
    limits: Limits,
    breakers: Option<Kept<BreakerConfig, Breakers>>,
    tries: Tries,
}

/// How long is waited for a provider's answer, and how often it is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tries {
    /// `None` where nothing is repeated.
    retry: Option<RetryConfig>,
    /// `connect` is the transport's, and so are the others unless an alias has its own.
    timeout: TimeoutConfig,
}

impl Layers {
    /// Of a provider that is taken as it is.
    pub(crate) fn none(reasoning: &ReasoningOrigin) -> Self {
        let (reasoning, limits) = (reasoning.clone(), Limits::default());
        Self { reasoning, cache: None, limits, breakers: None, tries: Tries::default() }
    }

    /// Those that a provider's settings ask for, which have the common ones in them. `before` are those of the provider that
    /// it replaces, if that was at the same place.
    pub(crate) fn new(config: &ProviderConfig, reasoning: &ReasoningOrigin, before: Option<&Self>) -> Self {
        let timeout = TimeoutConfig { total: config.timeout.total, ..TimeoutConfig::default() };
        Self {
            reasoning: reasoning.clone(),
            cache: Switch::settle(config.cache, None)
                .map(|config| Kept::new(config, before.and_then(|before| before.cache.as_ref()), cache)),
            limits: Limits::new(config.limits, before.map(|before| &before.limits)),
            breakers: Switch::settle(config.breaker, None)
                .map(|config| breakers(config, before.and_then(|before| before.breakers.as_ref()))),
            tries: Tries { retry: Some(config.retry), timeout },
        }
    }

    /// The provider with all of them. The first line sees the request first.
    pub(crate) fn over(&self, once: &Arc<dyn Provider>) -> Arc<dyn Provider> {
        self.stacked(once, self.breakers.as_ref(), &self.tries)
    }

    /// The provider as an alias wants it asked: within its limits, which are the account's, but in the alias's own time, as
    /// often as it says and with the breakers that it has.
    pub(crate) fn tuned(
        &self,
        once: &Arc<dyn Provider>,
        alias: &AliasLayers,
        own: &OwnBreakers,
    ) -> Arc<dyn Provider> {
        let retry = match self.tries.retry {
            Some(retry) => Some(alias.retry.or(retry)),
            None => (alias.retry != RetryConfig::default()).then_some(alias.retry),
        };
        let timeout = TimeoutConfig { total: self.tries.timeout.total, ..alias.timeout };
        let breakers = match (alias.breaker, own) {
            (None, _) => self.breakers.as_ref(),
            (Some(Switch::Off), _) => None,
            (Some(Switch::On(_)), own) => own.as_ref(),
        };
        self.stacked(once, breakers, &Tries { retry, timeout })
    }

    fn stacked(
        &self,
        once: &Arc<dyn Provider>,
        breakers: Option<&Kept<BreakerConfig, Breakers>>,
        tries: &Tries,
    ) -> Arc<dyn Provider> {
        Stack::new()
            .layer(self.reasoning.clone())
            .layer(self.cache.as_ref().map(|cache| cache.layer.clone()))
            .layer(self.limits.clone())
            .layer(breakers.map(|breakers| breakers.layer.clone()))
            // With all tries.
            .layer(tries.timeout.total.map(|total| Timeout::new().total(total.0)))
            .layer(tries.retry.map(|config| Repeats(retry(config))))
            // Of one try.
            .layer(pieces(tries.timeout))
            .over(once.clone())
    }

    /// What an alias's own breakers of this provider's models are set to.
    pub(crate) fn breaker_for(&self, alias: &AliasLayers) -> Option<BreakerConfig> {
        let common = self.breakers.as_ref().map(|breakers| Switch::On(breakers.config));
        alias.breaker.and_then(|own| Switch::settle(Some(own), common))
    }
}

/// An alias's breakers of one target, where it has its own.
pub(crate) type OwnBreakers = Option<Kept<BreakerConfig, Breakers>>;

/// The breakers of before if they were made of the same, or new ones.
pub(crate) fn breakers(
    config: BreakerConfig,
    before: Option<&Kept<BreakerConfig, Breakers>>,
) -> Kept<BreakerConfig, Breakers> {
    Kept::new(config, before, |config| Breakers { config: *config, made: Arc::default() })
}

/// Limits on requests, on tokens and on calls at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits {
    pace: Option<Kept<LimitsConfig, RateLimit>>,
    places: Option<Kept<LimitsConfig, Concurrency>>,
}

impl Limits {
    pub(crate) fn new(config: LimitsConfig, before: Option<&Self>) -> Self {
        // Each only with what it reads, so that it outlives a change of the other.
        let of_pace = LimitsConfig { concurrent: None, adaptive: None, ..config };
        let of_places = LimitsConfig {
            requests_per_minute: None,
            tokens_per_minute: None,
            answer_tokens: None,
            ..config
        };
        let has_pace = config.requests_per_minute.is_some() || config.tokens_per_minute.is_some();
        Self {
            pace: has_pace.then(|| Kept::new(of_pace, before.and_then(|before| before.pace.as_ref()), pace)),
            places: config.concurrent.map(|concurrent| {
                Kept::new(of_places, before.and_then(|before| before.places.as_ref()), |config| {
                    places(concurrent.0, config)
                })
            }),
        }
    }
}

impl Layer for Limits {
    fn wrap(&self, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
        let pace = self.pace.as_ref().map(|pace| pace.layer.clone());
        let places = self.places.as_ref().map(|places| places.layer.clone());
        // Who waits for the minute holds no place.
        Stack::new().layer(pace).layer(places).wrap(inner)
    }
}

pub(crate) fn pace(config: &LimitsConfig) -> RateLimit {
    let mut limit = RateLimit::new();
    if let Some(requests) = config.requests_per_minute {
        limit = limit.requests(requests.0.into());
    }
    if let Some(tokens) = config.tokens_per_minute {
        limit = limit.tokens(tokens.0.into());
    }
    if let Some(wait) = config.wait {
        limit = limit.max_wait(wait.0);
    }
    if let Some(tokens) = config.answer_tokens {
        limit = limit.answer_tokens(tokens.0.into());
    }
    limit
}

fn places(concurrent: u32, config: &LimitsConfig) -> Concurrency {
    let mut places = Concurrency::new(concurrent);
    if let Some(Flag(true)) = config.adaptive {
        places = places.adaptive(1..=concurrent);
    }
    if let Some(wait) = config.wait {
        places = places.max_wait(wait.0);
        if wait.0.is_zero() {
            places = places.queue(0);
        }
    }
    places
}

/// One breaker for each model of a provider: that one of them fails says nothing of the others.
#[derive(Clone, Debug)]
pub(crate) struct Breakers {
    config: BreakerConfig,
    made: Arc<Mutex<HashMap<Box<str>, Breaker>>>,
}

/// Models beyond this many share a breaker: whoever asks for names that don't exist must not fill the memory.
const MOST_BREAKERS: usize = 1000;

impl Breakers {
    fn of(&self, model: &str) -> Breaker {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(breaker) = made.get(model) {
            return breaker.clone();
        }
        let model = if made.len() < MOST_BREAKERS { model } else { "" };
        made.entry(model.into()).or_insert_with(|| breaker(&self.config)).clone()
    }
}

pub(crate) fn breaker(config: &BreakerConfig) -> Breaker {
    let mut breaker = Breaker::new();
    if let Some(Share(rate)) = config.failure_rate {
        breaker = breaker.failure_rate(rate);
    }
    if let Some(window) = config.window {
        breaker = breaker.window(window.0);
    }
    if let Some(calls) = config.minimum_calls {
        breaker = breaker.minimum_calls(calls.0);
    }
    if config.rest.is_some() || config.max_rest.is_some() {
        let rest = config.rest.map_or(REST, |rest| rest.0);
        breaker = breaker.rest(rest, config.max_rest.map_or(MAX_REST, |most| most.0));
    }
    if let Some(most) = config.max_retry_after {
        breaker = breaker.max_retry_after(most.0);
    }
    if let Some(probes) = config.probes {
        breaker = breaker.probes(probes.0);
    }
    breaker
}

/// The layer's own, which takes both at once.
pub(crate) const REST: std::time::Duration = std::time::Duration::from_secs(5);
pub(crate) const MAX_REST: std::time::Duration = std::time::Duration::from_secs(60);

impl Layer for Breakers {
    fn wrap(&self, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
        Arc::new(Broken { breakers: self.clone(), inner })
    }
}

#[derive(Debug)]
struct Broken {
    breakers: Breakers,
    inner: Arc<dyn Provider>,
}

#[async_trait]
impl Provider for Broken {
    fn name(&self) -> &str {
        self.inner.name()
    }
    async fn send(&self, request: Request) -> Result<Response> {
        let breaker = self.breakers.of(&request.model().unwrap_or_default());
        breaker.wrap(self.inner.clone()).send(request).await
    }
}

pub(crate) fn cache(config: &CacheConfig) -> Cache {
    let mut cache = Cache::new();
    if let Some(life) = config.time_to_live {
        cache = cache.time_to_live(life.0);
    }
    if let Some(bytes) = config.max_size {
        cache = cache.max_size(bytes.0.into());
    }
    if let Some(bytes) = config.max_answer {
        cache = cache.max_answer(usize::try_from(bytes.0).unwrap_or(usize::MAX));
    }
    if let Some(wait) = config.max_wait {
        cache = cache.max_wait(wait.0);
    }
    if let Some(Temperature(most)) = config.max_temperature {
        cache = cache.max_temperature(most);
    }
    match config.per_tag {
        Some(Flag(true)) => cache.per_tag(),
        Some(Flag(false)) | None => cache,
    }
}

pub(crate) fn retry(config: RetryConfig) -> Retry {
    let mut retry = Retry::default();
    if let Some(attempts) = config.attempts {
        retry = retry.attempts(attempts.0);
    }
    if let Some(delay) = config.base_delay {
        retry = retry.base_delay(delay.0);
    }
    if let Some(delay) = config.max_delay {
        retry = retry.max_delay(delay.0);
    }
    if let Some(wait) = config.max_retry_after {
        retry = retry.max_retry_after(wait.0);
    }
    if let Some(Weight(share)) = config.budget {
        retry = retry.budget(share, REPEATS_A_SECOND);
    }
    retry
}

/// The layer's own: so few harm nobody, and a program that is seldom used may repeat too.
const REPEATS_A_SECOND: u32 = 10;

/// The limits of one try above those of the transport.
fn pieces(config: TimeoutConfig) -> Option<Timeout> {
    if config.first_byte.is_none() && config.idle.is_none() {
        return None;
    }
    let mut timeout = Timeout::new();
    if let Some(first) = config.first_byte {
        timeout = timeout.first_byte(first.0);
    }
    if let Some(idle) = config.idle {
        timeout = timeout.idle(idle.0);
    }
    Some(timeout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Count;

    #[test]
    fn a_limit_outlives_a_change_of_the_other() {
        let config = LimitsConfig {
            requests_per_minute: Some(Count(2)),
            concurrent: Some(Count(3)),
            ..LimitsConfig::default()
        };
        let before = Limits::new(config, None);
        let taken = |limits: &Limits| limits.pace.as_ref().unwrap().layer.requests_left();
        let after = Limits::new(LimitsConfig { concurrent: Some(Count(4)), ..config }, Some(&before));
        assert_eq!(after.places.as_ref().unwrap().layer.limit(), 4);
        assert_eq!((taken(&before), taken(&after)), (Some(2), Some(2)));
        let none = Limits::new(LimitsConfig::default(), Some(&before));
        assert!(none.pace.is_none() && none.places.is_none());
    }

    #[test]
    fn each_model_has_a_breaker_and_names_without_end_share_one() {
        let breakers = breakers(BreakerConfig::default(), None).layer;
        for model in 0..2 * MOST_BREAKERS {
            breakers.of(&model.to_string());
        }
        assert_eq!(breakers.made.lock().unwrap().len(), MOST_BREAKERS + 1);
    }
}
