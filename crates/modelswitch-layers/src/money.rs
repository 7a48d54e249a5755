//! What calls cost: amounts that are exact, prices that come from outside, and the price that nobody knows.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use modelswitch_provider::Usage;
use rust_decimal::Decimal;

/// An amount of money, exact.
///
/// ```
/// use modelswitch_layers::Money;
///
/// let money = Money::new("0.0090".parse::<rust_decimal::Decimal>()?, "USD");
/// assert_eq!(money.to_string(), "0.009 USD");
/// # Ok::<(), rust_decimal::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Money {
    /// How much.
    pub amount: Decimal,
    /// Of this currency, such as `USD`.
    pub currency: Arc<str>,
}

impl Money {
    /// So much of a currency.
    pub fn new(amount: impl Into<Decimal>, currency: impl Into<Arc<str>>) -> Self {
        Self { amount: amount.into(), currency: currency.into() }
    }
}

/// The amount and its currency, without needless zeros.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount.normalize(), self.currency)
    }
}

/// What a call cost, as far as that is known. What isn't known is said, and is never zero.
///
/// ```
/// use modelswitch_layers::{Money, Priced};
/// use rust_decimal::Decimal;
///
/// assert_eq!(Priced::Known(Money::new(Decimal::new(9, 3), "USD")).to_string(), "0.009 USD");
/// assert_eq!(Priced::NoPrice.to_string(), "unknown: no price");
/// assert!(Priced::NoPrice.known().is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Priced {
    /// So much.
    Known(Money),
    /// Nothing: a cache had the answer, or the service refused the call.
    Free,
    /// Nobody knows what the model costs.
    NoPrice,
    /// The answer didn't tell how many tokens it took: it is of a kind that doesn't, or was cut before it could.
    NoUsage,
}

impl Priced {
    /// The amount, where it is known and there is one.
    pub fn known(&self) -> Option<&Money> {
        match self {
            Self::Known(money) => Some(money),
            Self::Free | Self::NoPrice | Self::NoUsage => None,
        }
    }
}

/// The amount, or why there is none.
impl fmt::Display for Priced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(money) => money.fmt(f),
            Self::Free => f.write_str("free"),
            Self::NoPrice => f.write_str("unknown: no price"),
            Self::NoUsage => f.write_str("unknown: no usage"),
        }
    }
}

/// What tokens cost. A closure is one: this crate has no price list of its own.
///
/// It is asked once or twice a call, and must answer from memory.
///
/// ```
/// use modelswitch_layers::{Money, Prices};
/// use modelswitch_provider::Usage;
/// use rust_decimal::Decimal;
///
/// // A cent for a thousand tokens of the one model whose price is known.
/// let prices = |_provider: &str, model: &str, usage: &Usage, _when: std::time::SystemTime| {
///     let cent = Decimal::new(1, 2) * Decimal::from(usage.prompt_tokens + usage.completion_tokens) / Decimal::from(1000);
///     (model == "deepseek-flash").then(|| Money::new(cent, "USD"))
/// };
/// let usage = Usage::from_wire(&serde_json::json!({ "prompt_tokens": 1500, "completion_tokens": 500 }))?;
/// let cost = prices.cost("deepseek", "deepseek-flash", &usage, std::time::SystemTime::UNIX_EPOCH);
/// assert_eq!(cost.map(|money| money.to_string()).as_deref(), Some("0.02 USD"));
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
pub trait Prices: Send + Sync + 'static {
    /// What these tokens of a provider's model cost when they were asked for at that moment; `None` where no price is known.
    fn cost(&self, provider: &str, model: &str, usage: &Usage, when: SystemTime) -> Option<Money>;

    /// How a person gives a model a price in a currency, for the hint of a [`Budget`](crate::Budget) that refuses it for want of
    /// one; `None` where that isn't known.
    fn how_to_add(&self, _provider: &str, _model: &str, _currency: &str) -> Option<String> {
        None
    }
}

impl<F> Prices for F
where
    F: Fn(&str, &str, &Usage, SystemTime) -> Option<Money> + Send + Sync + 'static,
{
    fn cost(&self, provider: &str, model: &str, usage: &Usage, when: SystemTime) -> Option<Money> {
        self(provider, model, usage, when)
    }
}

/// Not for every `Arc<T>`: it could be a closure, too.
impl Prices for Arc<dyn Prices> {
    fn cost(&self, provider: &str, model: &str, usage: &Usage, when: SystemTime) -> Option<Money> {
        (**self).cost(provider, model, usage, when)
    }

    fn how_to_add(&self, provider: &str, model: &str, currency: &str) -> Option<String> {
        (**self).how_to_add(provider, model, currency)
    }
}

/// In [`Request::extensions`](modelswitch_provider::Request::extensions): for whom or for what a call is made. What it cost
/// is counted under it, and a [`Budget`](crate::Budget) can be one for each tag.
///
/// ```
/// use modelswitch_layers::Tag;
/// use modelswitch_provider::ChatRequest;
///
/// let mut request = ChatRequest::user("Hi").into_request()?;
/// request.extensions.insert(Tag("tenant 7".into()));
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tag(pub String);

/// In [`Request::extensions`](modelswitch_provider::Request::extensions): the name that the app asked for, where a router has
/// put a model in its place. A [`Budget`](crate::Budget) for each alias takes the model of a request without it;
/// [`Cost`](crate::Cost) then writes none down.
///
/// ```
/// use modelswitch_layers::Alias;
/// use modelswitch_provider::ChatRequest;
///
/// let mut request = ChatRequest::user("Hi").model("deepseek-flash").into_request()?;
/// request.extensions.insert(Alias("fast".into()));
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Alias(pub String);

/// Tells the time of day. One for tests stands still.
#[derive(Clone)]
pub(crate) struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    pub(crate) fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(crate) fn now(&self) -> SystemTime {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(SystemTime::now)
    }
}
