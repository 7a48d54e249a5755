//! What calls cost: a counter that knows each call by its tag, and which targets' budgets a call has passed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use modelswitch_layers::{Allowance, Budget, Counter, Layer, Money, Scope, Stack, Taken, layer_fn};
use modelswitch_provider::{Provider, Request, Result, Usage};
use rust_decimal::Decimal;
use tokio::time::sleep;

use crate::provider::Call;

/// As many tokens as an answer may have, at a dollar each.
pub(crate) const ESTIMATE: u32 = 100;
/// As many as it has.
pub(crate) const COST: u32 = 5;

pub(crate) fn prices(_: &str, _: &str, usage: &Usage, _: SystemTime) -> Option<Money> {
    Some(Money::new(usage.completion_tokens, "USD"))
}

pub(crate) fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(12 * 3600)
}

/// What each call was charged, and how often it passed a budget.
#[derive(Clone, Debug, Default)]
pub(crate) struct Purse {
    /// How long it takes until money is reserved.
    wait: Duration,
    sums: Arc<Mutex<BTreeMap<String, Decimal>>>,
    passes: Arc<Mutex<Vec<u32>>>,
}

impl Purse {
    pub(crate) fn slow(wait: Duration) -> Self {
        Self { wait, ..Self::default() }
    }

    /// A target within a budget that has so much for each call.
    pub(crate) fn around(&self, most: u32, target: Arc<dyn Provider>) -> Arc<dyn Provider> {
        let budget = Budget::new("b", prices, "USD").each(Scope::Tag).day(most);
        let passes = self.passes.clone();
        let passed = layer_fn("passed", move |inner, request: Request| {
            passes.lock().unwrap().push(request.extensions.get::<Call>().unwrap().0);
            async move { inner.send(request).await }
        });
        let budget = budget.counter(self.clone()).clock(noon);
        budget.wrap(Stack::new().layer(passed).over(target))
    }

    pub(crate) fn charged(&self, call: u32) -> Decimal {
        self.sums.lock().unwrap().get(&call.to_string()).copied().unwrap_or_default()
    }

    pub(crate) fn passes(&self, call: u32) -> usize {
        self.passes.lock().unwrap().iter().filter(|one| **one == call).count()
    }
}

/// Whose sum it is stands last in its key.
fn owner(allowance: &Allowance) -> String {
    allowance.key.rsplit('/').next().unwrap().to_owned()
}

#[async_trait]
impl Counter for Purse {
    async fn take(&self, _: SystemTime, amount: Decimal, from: &[Allowance]) -> Result<Taken> {
        sleep(self.wait).await;
        let mut sums = self.sums.lock().unwrap();
        for (which, allowance) in from.iter().enumerate() {
            let sum = sums.entry(owner(allowance)).or_default();
            if *sum + amount > allowance.most {
                return Ok(Taken::No { which, sum: *sum });
            }
            *sum += amount;
        }
        Ok(Taken::Yes)
    }

    fn correct(&self, difference: Decimal, of: &[Allowance]) {
        for allowance in of {
            *self.sums.lock().unwrap().entry(owner(allowance)).or_default() += difference;
        }
    }

    async fn sum(&self, _: &str) -> Result<Decimal> {
        Ok(Decimal::ZERO)
    }
}
