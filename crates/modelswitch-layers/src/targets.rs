//! One of several providers that may answer a call.

use std::fmt;
use std::sync::Arc;

use modelswitch_provider::{Error, Provider, Request, Response, Result};
use rust_decimal::Decimal;

use crate::attempt::send_until_committed;

/// One of several providers that may answer, and as which model.
///
/// ```
/// use modelswitch_layers::Target;
/// use modelswitch_provider::mock::MockProvider;
///
/// let target = Target::new(MockProvider::reply("Yes.")).model("deepseek-flash").weight(3);
/// assert_eq!(target.to_string(), "mock/deepseek-flash");
/// ```
#[derive(Clone, Debug)]
pub struct Target {
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) model: Option<Arc<str>>,
    pub(crate) weight: u32,
    pub(crate) price: Pricing,
}

impl Target {
    /// A provider, asked for whatever model the request names.
    pub fn new(provider: impl Provider) -> Self {
        Self { provider: crate::stack::shared(provider), model: None, weight: 1, price: Pricing::default() }
    }

    /// The model to ask it for, whatever the request names.
    #[must_use]
    pub fn model(mut self, model: impl Into<Arc<str>>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// How much of the load it takes, beside the others'; 1 unless said. 0 gets calls only when the others fail.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// What it costs, in any unit that is the same for all targets: the price of a million tokens for example.
    #[must_use]
    pub fn price(self, price: impl Into<Decimal>) -> Self {
        let price = price.into();
        self.price_by(move || Some(price))
    }

    /// The same for a price that changes, by the hour for example: it is asked at each call, and must answer from memory.
    #[must_use]
    pub fn price_by(mut self, price: impl Fn() -> Option<Decimal> + Send + Sync + 'static) -> Self {
        self.price = Pricing(Some(Arc::new(price)));
        self
    }

    /// Asks it, and waits for its first content.
    pub(crate) async fn ask(&self, mut request: Request) -> Result<Response> {
        if let Some(model) = &self.model {
            request.set_model(model);
        }
        let mut response =
            send_until_committed(&*self.provider, request).await.map_err(|error| self.blame(error))?;
        // Who answered, where that one doesn't say so itself.
        let head = &mut response.head;
        head.provider.get_or_insert_with(|| self.provider.name().into());
        head.model = head.model.take().or_else(|| self.model.clone());
        Ok(response)
    }

    /// Puts its names on an error that has none.
    pub(crate) fn blame(&self, error: Error) -> Error {
        let error = error.with_provider(self.provider.name());
        match &self.model {
            Some(model) => error.with_model(model.clone()),
            None => error,
        }
    }
}

/// `provider/model`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.provider.name())?;
        match &self.model {
            Some(model) => write!(f, "/{model}"),
            None => Ok(()),
        }
    }
}

/// What a target costs at the moment.
#[derive(Clone, Default)]
pub(crate) struct Pricing(Option<Arc<dyn Fn() -> Option<Decimal> + Send + Sync>>);

impl Pricing {
    pub(crate) fn now(&self) -> Option<Decimal> {
        self.0.as_ref().and_then(|price| price())
    }
}

impl fmt::Debug for Pricing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.now().fmt(f)
    }
}
