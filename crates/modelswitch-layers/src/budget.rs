mod estimate;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use modelswitch_provider::{Error, ErrorKind, Provider, Request, Response, Result, Usage, UsageWatch};
use rust_decimal::Decimal;

use self::estimate::estimated_usage;
use crate::layer::Wrapped;
use crate::money::Clock;
use crate::observe::shown as shown_name;
use crate::period::{shown, shown_offset};
use crate::repeatable::{asks_a_model, may_be_billed};
use crate::usage::{hide, on_usage};
use crate::{
    Alias, Allowance, CacheStatus, Counter, Ending, Layer, MemoryCounter, Period, Prices, Tag, Taken,
};

/// For whom a limit is: how many sums a [`Budget`] has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// One for all that passes.
    #[default]
    All,
    /// One for each [`Tag`], and one for the calls that have none.
    Tag,
    /// One for each [`Alias`], or model that is asked for.
    Alias,
    /// One for each provider's model. Another target may still have money, so a call that is refused goes on to it.
    Target,
}

/// Refuses calls that would cost more than is left for the hour, the day or the month.
///
/// It **reserves before and settles after**. Before a call it takes what the call can cost from all its sums, in one step, so
/// that calls at the same time don't spend the same money; when the answer has ended it puts the sums right. So they are
/// never over a limit by more than calls cost beyond their estimate. The estimate is of a token for each three bytes of the
/// request, of 2000 for each image or sound that stands in it, and of as many tokens for the answer as the request allows
/// (`max_completion_tokens`, `max_tokens`, `max_output_tokens`, times `n`); where it allows any number, of
/// [4096](Self::assume_output).
///
/// A call is charged once, whatever happens below and however often it is tried there:
///
/// | the call | is charged |
/// |---|---|
/// | has ended and told its tokens | what they cost, exactly |
/// | was cut, or dropped by its reader, after it told tokens | what those cost |
/// | has ended without telling tokens, was cut or dropped before it did, or was given up before there was an answer | the estimate: the service may charge it |
/// | goes on in the background (`/responses` with `background`) | the estimate: what it took is told to whoever fetches it |
/// | failed, and a try of it by a timeout, a cut or an answer that can't be read | the estimate, for the same reason |
/// | failed otherwise, or was answered by a [`Cache`](crate::Cache) | nothing |
///
/// Batches and fine-tuning are outside of it: their services charge for files that were read long before, or for hours.
///
/// A refusal is a [`Rejected`](ErrorKind::Rejected) error with the code `budget_exceeded`. It says what was spent and when
/// there is money again, which is in [`Error::retry_after`] too. It holds for every target ([`Error::into_last_word`]),
/// unless each target has a budget of [its own](Scope::Target), or it is [one provider's](Self::let_others_answer). Below a limit it never bites; it costs the estimate, a lock
/// or a step of the [counter](Self::counter), and a search through each event of a stream.
///
/// A call belongs to the hour, day and month in which it was made, also when it ends in the next.
///
/// A model whose price isn't known can't be held to a budget and is refused, with the code `budget_unpriced`; another target
/// may be asked then. [`let_unpriced_pass`](Self::let_unpriced_pass) is for those that cost nothing. A counter that can't be
/// reached refuses nothing: it is told at `WARN`, and the call goes on.
///
/// It belongs below a router, where the target is known, and above [`Retry`](crate::Retry), or a call would be charged once a
/// try.
///
/// ```
/// use std::time::SystemTime;
/// use modelswitch_layers::{Budget, Money, Scope, Stack, Tag};
/// use modelswitch_provider::mock::MockProvider;
/// use modelswitch_provider::{ChatRequest, ErrorKind, Provider, Usage};
/// use rust_decimal::Decimal;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let prices = |_: &str, _: &str, usage: &Usage, _: SystemTime| {
///     Some(Money::new(Decimal::new(1, 3) * Decimal::from(usage.prompt_tokens + usage.completion_tokens), "USD"))
/// };
/// // Each tenant has a dollar a day and ten a month.
/// let budget = Budget::new("tenants", prices, "USD").each(Scope::Tag).day(Decimal::from(1)).month(Decimal::from(10));
/// let llm = Stack::new().layer(budget).over(MockProvider::reply("Yes."));
///
/// let ask = |tokens: u64| {
///     let mut request = ChatRequest::user("Is water wet?").max_tokens(tokens).into_request()?;
///     request.extensions.insert(Tag("tenant 7".into()));
///     Ok::<_, modelswitch_provider::Error>(request)
/// };
/// llm.send(ask(500)?).await?;
/// let refused = llm.send(ask(5000)?).await.map_err(|error| (error.kind(), error.may_succeed_elsewhere()));
/// assert_eq!(refused.err(), Some((ErrorKind::Rejected, false)));
/// # Ok::<(), modelswitch_provider::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Budget {
    name: Arc<str>,
    prices: Arc<dyn Prices>,
    currency: Arc<str>,
    limits: Vec<(Period, Decimal)>,
    scope: Scope,
    counter: Arc<dyn Counter>,
    utc_offset_minutes: i16,
    assumed_output: u64,
    unpriced_pass: bool,
    others_may_answer: bool,
    asks: bool,
    clock: Clock,
}

impl Budget {
    /// A budget without limits yet. Budgets of one name, currency and offset that share a counter share their sums. Prices in another currency count
    /// as none.
    pub fn new(name: impl Into<Arc<str>>, prices: impl Prices, currency: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            prices: Arc::new(prices),
            currency: currency.into(),
            limits: Vec::new(),
            scope: Scope::default(),
            counter: Arc::new(MemoryCounter::new()),
            utc_offset_minutes: 0,
            // What most services allow an answer that asks for nothing, or more than most answers have.
            assumed_output: 4096,
            unpriced_pass: false,
            others_may_answer: false,
            asks: true,
            clock: Clock::default(),
        }
    }

    /// How much may be spent in an hour of the clock.
    #[must_use]
    pub fn hour(self, most: impl Into<Decimal>) -> Self {
        self.limit(Period::Hour, most.into())
    }

    /// How much may be spent in a day.
    #[must_use]
    pub fn day(self, most: impl Into<Decimal>) -> Self {
        self.limit(Period::Day, most.into())
    }

    /// How much may be spent in a month of the calendar.
    #[must_use]
    pub fn month(self, most: impl Into<Decimal>) -> Self {
        self.limit(Period::Month, most.into())
    }

    fn limit(mut self, period: Period, most: Decimal) -> Self {
        self.limits.retain(|(known, _)| *known != period);
        self.limits.push((period, most));
        self
    }

    /// For whom the limits are; one for all unless said.
    #[must_use]
    pub fn each(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Where the sums are kept; in memory unless said.
    #[must_use]
    pub fn counter(mut self, counter: impl Counter) -> Self {
        self.counter = Arc::new(counter);
        self
    }

    /// By how many minutes hours, days and months begin before those of UTC: 480 for Beijing.
    #[must_use]
    pub fn utc_offset(mut self, minutes: i16) -> Self {
        self.utc_offset_minutes = minutes;
        self
    }

    /// How many tokens an answer is taken for that may have any number.
    #[must_use]
    pub fn assume_output(mut self, tokens: u64) -> Self {
        self.assumed_output = tokens;
        self
    }

    /// Lets calls pass whose price isn't known, and counts nothing for them.
    #[must_use]
    pub fn let_unpriced_pass(mut self) -> Self {
        self.unpriced_pass = true;
        self
    }

    /// Lets a call that it refuses go on to the next target, for the budget of one provider among several.
    #[must_use]
    pub fn let_others_answer(mut self) -> Self {
        self.others_may_answer = true;
        self
    }

    /// As [`Cost::without_asking`](crate::Cost::without_asking).
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

    fn allowances(&self, of: &str, now: SystemTime) -> Vec<Allowance> {
        let allowance = |(period, most): &(Period, Decimal)| {
            let window = period.window(now, self.utc_offset_minutes);
            // What was spent in another currency, or by another midnight, is no part of this sum.
            let unit = format!("{}{}", self.currency, shown_offset(self.utc_offset_minutes));
            Allowance::new(format!("{}/{unit}/{period}/{}/{of}", self.name, window.name), *most, window.end)
        };
        self.limits.iter().map(allowance).collect()
    }

    /// Whose sums a call is charged to.
    fn owner(&self, provider: &str, model: &str, request: &Request) -> String {
        let extensions = &request.extensions;
        match self.scope {
            Scope::All => String::new(),
            Scope::Tag => extensions.get::<Tag>().map(|tag| tag.0.clone()).unwrap_or_default(),
            Scope::Alias => {
                extensions.get::<Alias>().map_or_else(|| model.to_owned(), |alias| alias.0.clone())
            }
            Scope::Target => format!("{provider}/{model}"),
        }
    }

    fn price(&self, provider: &str, model: &str, usage: &Usage, when: SystemTime) -> Option<Decimal> {
        let money = self.prices.cost(provider, model, usage, when)?;
        (money.currency == self.currency).then_some(money.amount)
    }

    async fn reserve(&self, provider: &str, request: &Request) -> Result<Option<Reservation>> {
        let now = self.clock.now();
        // It goes into errors and keys, and may be a key that stands in the wrong place.
        let model = shown_name(&request.model().unwrap_or_default());
        let usage = estimated_usage(request, self.assumed_output);
        let Some(estimate) = self.price(provider, &model, &usage, now) else {
            return if self.unpriced_pass { Ok(None) } else { Err(self.unpriced(provider, &model)) };
        };
        let allowances = self.allowances(&self.owner(provider, &model, request), now);
        let mut reserved = Reservation {
            budget: self.clone(),
            provider: provider.to_owned(),
            model,
            when: now,
            reserved: estimate,
            charge: estimate,
            allowances,
        };
        match self.counter.take(now, estimate, &reserved.allowances).await {
            Ok(Taken::Yes) => Ok(Some(reserved)),
            Ok(Taken::No { which, sum }) => {
                let refused = self.refused(&reserved, which, sum);
                reserved.allowances.clear();
                Err(refused)
            }
            Err(error) => {
                let kind = error.kind().as_str();
                tracing::warn!(
                    budget = &*self.name,
                    kind,
                    "the budget can't be read, so the call goes on without it"
                );
                // What it costs is counted all the same, if the counter is there again by then.
                reserved.reserved = Decimal::ZERO;
                Ok(Some(reserved))
            }
        }
    }

    fn refused(&self, wanted: &Reservation, which: usize, sum: Decimal) -> Error {
        let (Some((period, most)), Some(allowance)) = (self.limits.get(which), wanted.allowances.get(which))
        else {
            return Error::new(ErrorKind::Rejected, "the budget is used up").with_code(EXCEEDED);
        };
        let (name, currency) = (&self.name, &self.currency);
        let (spent, estimate) = (sum.normalize(), wanted.reserved.normalize());
        let message = format!(
            "the budget `{name}` has {} {currency} for this {period}, of which {spent} are spent or reserved, and this \
             call may cost {estimate}; the next {period} begins at {}",
            most.normalize(),
            shown(allowance.end)
        );
        let mut error = Error::new(ErrorKind::Rejected, message).with_code(EXCEEDED);
        // A call that is dearer than all there is will not fit later either.
        if wanted.reserved <= *most
            && let Ok(wait) = allowance.end.duration_since(wanted.when)
        {
            error = error.with_retry_after(wait);
        }
        error = error
            .with_hint("wait until there is money again, allow the answer fewer tokens, or raise the budget");
        if self.scope == Scope::Target || self.others_may_answer { error } else { error.into_last_word() }
    }

    fn unpriced(&self, provider: &str, model: &str) -> Error {
        let (name, currency) = (&self.name, &self.currency);
        let message = format!(
            "no price in {currency} is known for `{provider}/{model}`, so the budget `{name}` can't hold it"
        );
        let pass = "let models without one pass: `unpriced = \"pass\"` beside the amounts";
        let hint = match self.prices.how_to_add(provider, model, currency) {
            Some(how) => format!("give the model a price: {how}\nor {pass}"),
            None => format!("give the model a price, or {pass}"),
        };
        Error::new(ErrorKind::Rejected, message).with_code("budget_unpriced").with_hint(hint)
    }
}

/// The code of the error when there isn't enough left.
const EXCEEDED: &str = "budget_exceeded";

impl Layer for Budget {
    fn wrap(&self, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
        Arc::new(Wrapped { layer: self.clone(), inner })
    }
}

/// The settings; prices and clock are code.
impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("name", &self.name)
            .field("currency", &self.currency)
            .field("limits", &self.limits)
            .field("scope", &self.scope)
            .field("counter", &self.counter)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Provider for Wrapped<Budget> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn send(&self, mut request: Request) -> Result<Response> {
        if !asks_a_model(&request) {
            return self.inner.send(request).await;
        }
        let reserved = self.layer.reserve(self.name(), &request).await;
        let Some(mut reserved) = reserved.map_err(|error| error.with_provider(self.name()))? else {
            return self.inner.send(request).await;
        };
        let watch = self.layer.asks.then(|| UsageWatch::ask(&mut request));
        match self.inner.send(request).await {
            Ok(response) => {
                let cached = matches!(response.head.extensions.get(), Some(CacheStatus::Hit { .. }));
                let settle = move |_: Ending, usage: Option<Usage>| reserved.settle(cached, usage.as_ref());
                Ok(hide(watch, on_usage(response, settle)))
            }
            Err(error) => {
                if !may_be_billed(&error) {
                    reserved.charge = Decimal::ZERO;
                }
                Err(error)
            }
        }
    }
}

/// Money that was taken for a call. The sums are put right when it is dropped, so it rides in the stream of an answer.
struct Reservation {
    budget: Budget,
    provider: String,
    model: String,
    when: SystemTime,
    reserved: Decimal,
    /// What the call is charged in the end; the estimate until something better is known.
    charge: Decimal,
    allowances: Vec<Allowance>,
}

impl Reservation {
    fn settle(mut self, cached: bool, usage: Option<&Usage>) {
        if cached {
            self.charge = Decimal::ZERO;
        } else if let Some(usage) = usage {
            // It had a price for the estimate; a list that has lost it since leaves the estimate.
            let cost = self.budget.price(&self.provider, &self.model, usage, self.when);
            self.charge = cost.unwrap_or(self.charge);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let difference = self.charge.saturating_sub(self.reserved);
        if !difference.is_zero() && !self.allowances.is_empty() {
            self.budget.counter.correct(difference, &self.allowances);
        }
    }
}
