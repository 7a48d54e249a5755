#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use async_trait::async_trait;
use modelswitch_provider::{Error, Head, Provider, Request, Response, Result, Usage, UsageWatch};
use tokio::time::Instant;

use crate::layer::Wrapped;
use crate::money::Clock;
use crate::observe::shown;
use crate::repeatable::{asks_a_model, may_be_billed};
use crate::usage::{hide, on_usage};
use crate::{Alias, CacheStatus, Ending, Entry, Layer, Ledger, Outcome, Priced, Prices, Tag};

/// Says what each call cost, and writes it down.
///
/// The cost is on the head of the answer ([`CallCost`]): at once for a whole answer, at its end for a stream. With a
/// [`ledger`](Self::ledger) each call is an [`Entry`] there, however it ended: answered, failed, cut off or given up.
///
/// What it says is what the tokens that the service tells of cost at the [prices](Prices) that it was given, for the time at
/// which the call was made. What isn't known is said, and is never zero ([`Priced`]): a model without a price, an answer
/// that tells no tokens, work that goes on in the background (`/responses` with `background`). A call that was refused, or whose answer came from a [`Cache`](crate::Cache) below, is free. Tries
/// before the last one are counted ([`Entry::attempts`]) but have no cost: of what a service charges for a call that failed,
/// it tells nothing. Batches and fine-tuning are no entries: their services charge for files, or for hours.
///
/// The name that the app asked for is written down where a router says it ([`Alias`]).
///
/// Services tell the tokens of a stream only when they are asked. So the adapter below is told that they are wanted
/// ([`WantsUsage`](modelswitch_provider::WantsUsage)), and the chunk that tells nothing else is kept from an app that didn't
/// ask.
///
/// It belongs above a router: then it is one entry a call, with the target that answered. It never bites. It costs a search
/// for the word in each event of a stream, one more parsing of those that have it and of whole answers, and a copy of a
/// request that is changed.
///
/// ```
/// use modelswitch_layers::{By, CallCost, Cost, Ledger, MemoryLedger, Money, Query, Stack, Tag};
/// use modelswitch_provider::mock::MockProvider;
/// use modelswitch_provider::{ChatRequest, Provider, Usage};
/// use rust_decimal::Decimal;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let prices = |_: &str, _: &str, usage: &Usage, _: std::time::SystemTime| {
///     Some(Money::new(Decimal::new(2, 6) * Decimal::from(usage.total_tokens), "USD"))
/// };
/// let ledger = MemoryLedger::new();
/// let llm = Stack::new().layer(Cost::new(prices).ledger(ledger.clone())).over(MockProvider::reply("Yes."));
///
/// let mut request = ChatRequest::user("Is water wet?").into_request()?;
/// request.extensions.insert(Tag("tenant 7".into()));
/// let answer = llm.send(request).await?;
/// assert_eq!(CallCost::of(&answer.head).map(|cost| cost.to_string()).as_deref(), Some("0.000004 USD"));
///
/// let sums = ledger.sums(&Query::new().by([By::Tag])).await?;
/// assert_eq!((sums[0].group[0].as_deref(), sums[0].calls), (Some("tenant 7"), 1));
/// # Ok::<(), modelswitch_provider::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Cost {
    prices: Arc<dyn Prices>,
    ledger: Option<Arc<dyn Ledger>>,
    clock: Clock,
    asks: bool,
}

impl Cost {
    /// At these prices.
    pub fn new(prices: impl Prices) -> Self {
        Self { prices: Arc::new(prices), ledger: None, clock: Clock::default(), asks: true }
    }

    /// Writes each call down here.
    #[must_use]
    pub fn ledger(mut self, ledger: impl Ledger) -> Self {
        self.ledger = Some(Arc::new(ledger));
        self
    }

    /// Leaves streams as the app asks for them. One that isn't asked to tell its tokens then has no known cost.
    #[must_use]
    pub fn without_asking(mut self) -> Self {
        self.asks = false;
        self
    }

    /// Takes the time of day from elsewhere, for tests.
    #[must_use]
    pub fn clock(mut self, now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Clock::new(now);
        self
    }
}

impl Layer for Cost {
    fn wrap(&self, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
        Arc::new(Wrapped { layer: self.clone(), inner })
    }
}

/// The settings; prices and clock are code.
impl fmt::Debug for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cost").field("ledger", &self.ledger).field("asks", &self.asks).finish_non_exhaustive()
    }
}

#[async_trait]
impl Provider for Wrapped<Cost> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn send(&self, mut request: Request) -> Result<Response> {
        if !asks_a_model(&request) {
            return self.inner.send(request).await;
        }
        let mut call = Box::new(Call::begin(self.layer.clone(), self.name(), &request));
        let watch = self.layer.asks.then(|| UsageWatch::ask(&mut request));
        match self.inner.send(request).await {
            Ok(mut response) => {
                call.answered(&mut response.head);
                let watched = on_usage(response, move |ending, usage| call.end(ending, usage));
                Ok(hide(watch, watched))
            }
            Err(error) => {
                call.fail(&error);
                Err(error)
            }
        }
    }
}

/// What a call cost, on the head of its answer. Clones know the same: one that is kept tells the cost of a stream once the
/// stream has ended.
///
/// ```
/// use modelswitch_layers::CallCost;
/// use modelswitch_provider::Head;
///
/// // No `Cost` layer was there.
/// assert_eq!(CallCost::of(&Head::default()), None);
/// ```
#[derive(Clone, Debug, Default)]
pub struct CallCost(Arc<OnceLock<Priced>>);

impl CallCost {
    /// What the call cost; `None` while a stream goes on, and where no [`Cost`] layer was.
    pub fn of(head: &Head) -> Option<Priced> {
        head.extensions.get::<Self>()?.get().cloned()
    }

    /// What the call cost; `None` while a stream goes on.
    pub fn get(&self) -> Option<&Priced> {
        self.0.get()
    }
}

/// A call that goes on. It is written down when it is dropped, so it rides in the stream of an answer.
struct Call {
    layer: Cost,
    started: Instant,
    entry: Entry,
    cached: bool,
    cost: CallCost,
}

impl Call {
    fn begin(layer: Cost, provider: &str, request: &Request) -> Self {
        let mut entry = Entry::at(layer.clock.now());
        entry.provider = provider.to_owned();
        entry.model = request.model().map(|model| shown(&model)).unwrap_or_default();
        entry.alias = request.extensions.get::<Alias>().map(|alias| alias.0.clone());
        entry.tag = request.extensions.get::<Tag>().map(|tag| tag.0.clone());
        Self { layer, started: Instant::now(), entry, cached: false, cost: CallCost::default() }
    }

    fn answered(&mut self, head: &mut Head) {
        self.entry.attempts = head.attempts();
        self.answered_by(head.provider.as_deref(), head.model.as_deref());
        self.cached = matches!(head.extensions.get(), Some(CacheStatus::Hit { .. }));
        head.extensions.insert(self.cost.clone());
    }

    fn answered_by(&mut self, provider: Option<&str>, model: Option<&str>) {
        if let Some(provider) = provider {
            provider.clone_into(&mut self.entry.provider);
        }
        if let Some(model) = model {
            self.entry.model = shown(model);
        }
    }

    fn fail(&mut self, error: &Error) {
        self.entry.attempts = self.entry.attempts.max(error.attempts());
        self.answered_by(error.provider(), error.model());
        self.entry.outcome = Outcome::Error(error.kind());
        if !may_be_billed(error) {
            self.entry.cost = Priced::Free;
        }
    }

    fn end(mut self: Box<Self>, ending: Ending, usage: Option<Usage>) {
        self.entry.outcome = match ending {
            Ending::Finished => Outcome::Ok,
            Ending::Failed(error) => Outcome::Error(error.kind()),
            Ending::Dropped => Outcome::Cancelled,
        };
        if self.cached {
            self.entry.cost = Priced::Free;
        } else if let Some(usage) = usage {
            self.entry.tokens = Some((&usage).into());
            let entry = &self.entry;
            let cost = self.layer.prices.cost(&entry.provider, &entry.model, &usage, entry.time);
            self.entry.cost = cost.map_or(Priced::NoPrice, Priced::Known);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.entry.duration = self.started.elapsed();
        // A second end can't be: whoever ends a call takes it.
        let _ = self.cost.0.set(self.entry.cost.clone());
        if let Some(ledger) = &self.layer.ledger {
            ledger.record(self.entry.clone());
        }
    }
}
