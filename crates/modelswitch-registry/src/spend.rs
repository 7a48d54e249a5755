//! What calls cost: the prices of the profiles, budgets, and where it is all written down.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use modelswitch_layers::{Budget, Cost, Counter, Ledger, MemoryCounter, MemoryLedger, Money, Prices, Scope};
use modelswitch_openai::{Billing, Profile};
use modelswitch_provider::{Result, Usage};

use crate::config::{Amount, BudgetConfig, Each, LedgerConfig, Switch, Unpriced, UtcOffset, Word};
use crate::connect::Connected;
use crate::mistake::dotted;

/// The prices that the providers' profiles know.
pub(crate) struct PriceList {
    providers: Arc<[Arc<Connected>]>,
    billing: Billing,
}

impl PriceList {
    /// In a currency, or in dollars where there is a price in them and another one where there isn't.
    pub(crate) fn new(providers: &Arc<[Arc<Connected>]>, currency: Option<&str>) -> Self {
        let billing = currency.into_iter().fold(Billing::new(), Billing::currency);
        Self { providers: providers.clone(), billing }
    }

    fn profile(&self, provider: &str) -> Option<&Profile> {
        self.providers.iter().find(|one| one.info.name == provider)?.profile()
    }

    /// Whether a provider's model has a price now.
    pub(crate) fn knows(&self, provider: &str, model: &str) -> bool {
        self.cost(provider, model, &Usage::default(), SystemTime::now()).is_some()
    }

    /// Whether any model of a provider has one.
    pub(crate) fn knows_any_of(&self, provider: &str) -> bool {
        let profile = self.profile(provider);
        profile.is_some_and(|profile| profile.facts.keys().any(|model| self.knows(provider, model)))
    }
}

impl Prices for PriceList {
    fn cost(&self, provider: &str, model: &str, usage: &Usage, when: SystemTime) -> Option<Money> {
        let facts = self.profile(provider)?.answering_to(model)?;
        let cost = facts.cost_with(usage, when, &self.billing)?;
        Some(Money::new(cost.amount, cost.currency))
    }

    fn how_to_add(&self, provider: &str, model: &str, currency: &str) -> Option<String> {
        let profile = self.profile(provider).filter(|profile| !profile.name.is_empty())?;
        let section = dotted(&["profiles", &profile.name, "model", model, "prices"]);
        Some(format!(
            "write [[{section}]] and below it rates.{currency} = {{ input = \"0.15\", output = \"0.60\" }}, what a million \
             tokens of each cost"
        ))
    }
}

/// A budget under the path of its section, which its refusals name. `None` without an amount.
pub(crate) fn budget(
    path: &str,
    config: &BudgetConfig,
    providers: &Arc<[Arc<Connected>]>,
    counter: &Arc<dyn Counter>,
) -> Option<Budget> {
    let (_, Amount { currency, .. }) = config.amounts().next()?;
    let prices = PriceList::new(providers, Some(currency));
    let mut budget = Budget::new(path, prices, currency.as_str()).counter(counter.clone());
    for (period, Amount { number, .. }) in config.amounts() {
        budget = match period {
            "hour" => budget.hour(*number),
            "day" => budget.day(*number),
            _ => budget.month(*number),
        };
    }
    budget = budget.each(match config.each {
        Some(Word(Each::Tag)) => Scope::Tag,
        Some(Word(Each::Alias)) => Scope::Alias,
        Some(Word(Each::Target)) => Scope::Target,
        Some(Word(Each::All)) | None => Scope::All,
    });
    if let Some(tokens) = config.answer_tokens {
        budget = budget.assume_output(tokens.0.into());
    }
    if let Some(UtcOffset(minutes)) = config.utc_offset {
        budget = budget.utc_offset(minutes);
    }
    match config.unpriced {
        Some(Word(Unpriced::Pass)) => Some(budget.let_unpriced_pass()),
        Some(Word(Unpriced::Refuse)) | None => Some(budget),
    }
}

/// Where calls are written down, and what was spent is counted.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    /// `None` for the memory.
    path: Option<PathBuf>,
    pub(crate) ledger: Arc<dyn Ledger>,
    counter: Option<Arc<dyn Counter>>,
}

impl Store {
    /// The store that the configuration names, or the one of before if that is the same.
    ///
    /// # Errors
    /// [`Config`](modelswitch_provider::ErrorKind::Config) for a file that can't be opened.
    pub(crate) fn new(
        config: Option<&Switch<LedgerConfig>>,
        folder: Option<&Path>,
        may_open: bool,
        before: Option<&Self>,
    ) -> Result<Option<Self>> {
        let Some(Switch::On(LedgerConfig { path })) = config else { return Ok(None) };
        // Who only looks whether a configuration is right makes no file.
        let path = path.as_ref().filter(|_| may_open);
        let path = path.map(|path| folder.map_or_else(|| PathBuf::from(path), |folder| folder.join(path)));
        if let Some(same) = before.filter(|before| before.path == path) {
            return Ok(Some(same.clone()));
        }
        match path {
            Some(path) => opened(path).map(Some),
            None => Ok(Some(Self { path: None, ledger: Arc::new(MemoryLedger::new()), counter: None })),
        }
    }

    /// Where budgets count; in memory where the ledger has no place for it.
    pub(crate) fn counter(store: Option<&Self>, memory: &Arc<MemoryCounter>) -> Arc<dyn Counter> {
        let kept = store.and_then(|store| store.counter.clone());
        kept.unwrap_or_else(|| memory.clone())
    }

    /// What writes each call down.
    pub(crate) fn cost(&self, providers: &Arc<[Arc<Connected>]>) -> Cost {
        Cost::new(PriceList::new(providers, None)).ledger(self.ledger.clone())
    }
}

#[cfg(feature = "sqlite")]
fn opened(path: PathBuf) -> Result<Store> {
    let file = modelswitch_layers::Sqlite::open(&path)?;
    let (ledger, counter) = (Arc::new(file.clone()), Arc::new(file));
    Ok(Store { path: Some(path), ledger, counter: Some(counter) })
}

#[cfg(not(feature = "sqlite"))]
fn opened(_: PathBuf) -> Result<Store> {
    Err(modelswitch_provider::Error::config("`ledger.path` needs the feature `sqlite` of this program")
        .with_hint("build it with the feature `sqlite`, or take `path` out for a ledger in memory"))
}
